// SPDX-License-Identifier: Apache-2.0
#include "policyd/policy/covers.h"

#include <string.h>

#include "policyd/fw/covers.h"

static bool element_covers(const struct policy_cond *a, uint32_t i, const struct policy_cond *b, uint32_t j)
{
	switch (policy_rows[a->key].type) {
	case POLICY_T_IDS:
	case POLICY_T_PORTS:
		return a->ranges[i].lo <= b->ranges[j].lo && a->ranges[i].hi >= b->ranges[j].hi;
	case POLICY_T_ADDRESSES:
		return fw_prefix_is_ip4(&a->prefixes[i]) == fw_prefix_is_ip4(&b->prefixes[j]) &&
		       fw_prefix_covers(&a->prefixes[i], &b->prefixes[j]);
	default:
		return policy_pattern_covers(&a->patterns[i], &b->patterns[j]);
	}
}

/* Is each element of @b within one of @a? */
static bool list_covers(const struct policy_cond *a, const struct policy_cond *b, size_t *budget)
{
	for (uint32_t j = 0; j < b->n; j++) {
		uint32_t i = 0;

		while (i < a->n && *budget && !element_covers(a, i, b, j)) {
			i++;
			--*budget;
		}
		if (i == a->n || !*budget)
			return false;
	}
	return true;
}

static bool bits_cover(const struct policy_cond *a, const struct policy_cond *b)
{
	for (unsigned i = 0; i < 4; i++)
		if (b->bits[i] & ~a->bits[i])
			return false;
	return true;
}

static bool cond_covers(const struct policy_cond *a, const struct policy_cond *b, size_t *budget)
{
	const struct policy_cond *large = a->other ? b : a, *small = a->other ? a : b;

	switch (policy_rows[a->key].type) {
	case POLICY_T_TRUE:
		return true;
	case POLICY_T_NAMESPACES:
		return !(a->ns_host & ~b->ns_host) && !(a->ns_other & ~b->ns_other);
	default:
		break;
	}
	/* what is not in a small list is not in a part of it, either */
	if (a->other != b->other)
		return false;
	return policy_rows[a->key].type == POLICY_T_WORDS ? bits_cover(large, small)
							  : list_covers(large, small, budget);
}

bool policy_rule_covers(const struct policy_rule *a, const struct policy_rule *b, size_t *budget)
{
	*budget -= *budget > 0;
	if (b->ops & ~a->ops)
		return false;
	for (size_t i = 0; i < a->conds.n; i++) {
		const struct policy_cond *c = policy_cond_of(&b->conds, a->conds.v[i].key);

		if (!c || !cond_covers(&a->conds.v[i], c, budget))
			return false;
	}
	return true;
}

static bool ranges_meet(const struct policy_range *a, const struct policy_range *b)
{
	return a->lo <= b->hi && b->lo <= a->hi;
}

bool policy_conds_apart(const struct policy_cond *a, const struct policy_cond *b)
{
	bool ids = policy_rows[a->key].type == POLICY_T_IDS;

	if (a->other || b->other)
		return false;
	for (uint32_t i = 0; i < a->n; i++)
		for (uint32_t j = 0; j < b->n; j++)
			if (ids ? ranges_meet(&a->ranges[i], &b->ranges[j])
				: a->patterns[i].kind != POLICY_EXACT ||
						b->patterns[j].kind != POLICY_EXACT ||
						!strcmp(a->patterns[i].text, b->patterns[j].text))
				return false;
	return true;
}
