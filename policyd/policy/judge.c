// SPDX-License-Identifier: Apache-2.0
/* Policies evaluated as they are written, one by one: what the compiled tables are compared with. */
#include <string.h>

#include "policyd/policy/policy.h"

static bool pattern_in(const struct policy_cond *c, const char *text)
{
	for (uint32_t i = 0; i < c->n; i++)
		if (policy_pattern_takes(&c->patterns[i], text))
			return true;
	return false;
}

static bool range_in(const struct policy_cond *c, uint32_t v)
{
	for (uint32_t i = 0; i < c->n; i++)
		if (v >= c->ranges[i].lo && v <= c->ranges[i].hi)
			return true;
	return false;
}

static bool is_ip4(const uint8_t *address)
{
	static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};

	return !memcmp(address, mapped, sizeof(mapped));
}

static bool prefix_has(const struct fw_prefix *p, const uint8_t *address)
{
	if (fw_prefix_is_ip4(p) != is_ip4(address))
		return false;
	for (unsigned bit = 0; bit < p->len; bit++)
		if ((p->addr[bit / 8] ^ address[bit / 8]) & 0x80 >> bit % 8)
			return false;
	return true;
}

static bool address_in(const struct policy_cond *c, const uint8_t *address)
{
	for (uint32_t i = 0; i < c->n; i++)
		if (prefix_has(&c->prefixes[i], address))
			return true;
	return false;
}

/* ---- of what may be not known: neither the list nor its `not` takes it ---- */

static bool takes_text(const struct policy_cond *c, const char *text)
{
	return text && pattern_in(c, text) != c->other;
}

/* One of them is in the list. */
static bool takes_texts(const struct policy_cond *c, const char *const *texts, size_t n)
{
	bool in = false;

	for (size_t i = 0; texts && i < n; i++)
		in |= pattern_in(c, texts[i]);
	return texts && in != c->other;
}

/* Is it what the pattern names by this path? */
static bool is_alias(const struct policy_pattern *p, const struct policy_alias *a)
{
	switch (p->kind) {
	case POLICY_EXACT:
		return a->as == POLICY_ALIAS_FILE && !strcmp(p->text, a->path);
	case POLICY_DIRECTORY:
		return a->as == POLICY_ALIAS_IN && !strcmp(p->text, a->path);
	case POLICY_TREE:
		return !strcmp(p->text, a->path);
	default:
		return false;
	}
}

static bool alias_in(const struct policy_cond *c, const struct policy_act *act, enum policy_alias_of of)
{
	for (size_t i = 0; i < act->n_aliases; i++)
		for (uint32_t k = 0; k < c->n && act->aliases[i].of == of; k++)
			if (is_alias(&c->patterns[k], &act->aliases[i]))
				return true;
	return false;
}

/* Of a file whose path is not known only this is: that it is in a list, by its inode. */
static bool takes_file(const struct policy_cond *c, const char *text, bool in)
{
	if (!text)
		return in && !c->other;
	return (in || pattern_in(c, text)) != c->other;
}

static bool takes_paths(const struct policy_cond *c, const struct policy_act *act)
{
	bool in = alias_in(c, act, POLICY_ALIAS_PATH) || alias_in(c, act, POLICY_ALIAS_PATH_TO);

	if (act->path && act->path_to)
		in |= pattern_in(c, act->path_to);
	return takes_file(c, act->path, in);
}

static bool takes_number(const struct policy_cond *c, int v)
{
	return v >= 0 && range_in(c, (uint32_t)v) != c->other;
}

static bool takes_word(const struct policy_cond *c, int v)
{
	return v >= 0 && v < 256 && (c->bits[v / 64] >> v % 64 & 1) != c->other;
}

/* One of the bits is in the list. */
static bool takes_bits(const struct policy_cond *c, uint64_t bits)
{
	return (bool)(c->bits[0] & bits) != c->other;
}

static bool takes_object(const struct policy_cond *c, const struct policy_act *act)
{
	switch ((enum policy_key)c->key) {
	case POLICY_PATHS:
		return takes_paths(c, act);
	case POLICY_FLAGS:
		return !(act->unknown & POLICY_UNKNOWN_FILE) && takes_bits(c, act->flags);
	case POLICY_ACCESS:
		return !(act->unknown & POLICY_UNKNOWN_FILE) && takes_bits(c, act->access);
	case POLICY_ADDRESSES:
		return act->has_address && address_in(c, act->address) != c->other;
	case POLICY_PORTS:
		return takes_number(c, act->port);
	case POLICY_PROTOCOLS:
		return takes_word(c, act->protocol);
	case POLICY_FAMILIES:
		return takes_word(c, act->family);
	case POLICY_TARGETS:
		return takes_file(c, act->target, alias_in(c, act, POLICY_ALIAS_TARGET));
	case POLICY_SIGNALS:
		return takes_word(c, act->signal);
	case POLICY_CAPABILITIES:
		return takes_bits(c, act->capabilities);
	case POLICY_MODULES:
		return takes_text(c, act->module);
	case POLICY_ARGUMENTS:
		return takes_texts(c, act->arguments, act->n_arguments);
	default:
		return false;
	}
}

/* In a container, or in none. */
static bool is_placed(const struct policy_act *act)
{
	return !(act->unknown & (POLICY_UNKNOWN_CONTAINER | POLICY_UNKNOWN_NS));
}

static bool takes_subject(const struct policy_cond *c, const struct policy_act *act)
{
	switch ((enum policy_key)c->key) {
	case POLICY_EXECUTABLES:
		return takes_file(c, act->executable, alias_in(c, act, POLICY_ALIAS_EXECUTABLE));
	case POLICY_PARENTS:
		return takes_text(c, act->parent);
	case POLICY_ANCESTORS:
	case POLICY_DESCENDANTS:
		return takes_texts(c, act->ancestors, act->n_ancestors);
	case POLICY_UIDS:
		return range_in(c, act->uid) != c->other;
	case POLICY_GIDS:
		return range_in(c, act->gid) != c->other;
	case POLICY_HOLDS:
		return takes_bits(c, act->holds);
	case POLICY_GAINED:
		return !(act->unknown & POLICY_UNKNOWN_GAINED) && takes_bits(c, act->gained);
	case POLICY_NAMESPACES:
		return !(act->unknown & POLICY_UNKNOWN_NS) && !(c->ns_host & ~act->ns_host) &&
		       !(c->ns_other & act->ns_host);
	case POLICY_CGROUPS:
		return takes_text(c, act->cgroup);
	case POLICY_CONTAINERS:
		return is_placed(act) && act->container;
	case POLICY_HOST:
		return is_placed(act) && !act->container;
	default:
		return false;
	}
}

static bool all_take(const struct policy_conds *conds, const struct policy_act *act)
{
	for (size_t i = 0; i < conds->n; i++) {
		const struct policy_cond *c = &conds->v[i];

		if (!(policy_is_on_object(c->key) ? takes_object(c, act) : takes_subject(c, act)))
			return false;
	}
	return true;
}

const struct policy_rule *policy_match(const struct policy *policy, const struct policy_act *act)
{
	if (policy->mode == POLICY_OFF || !all_take(&policy->scope, act))
		return NULL;
	for (size_t i = 0; i < policy->n; i++)
		if (policy->rules[i].ops & PST_OP_BIT(act->op) && all_take(&policy->rules[i].conds, act))
			return &policy->rules[i];
	return NULL;
}

enum pst_pol_action policy_effect(const struct policy *policy, const struct policy_rule *rule)
{
	if (policy->mode == POLICY_AUDIT && rule->action >= PST_ACT_THROTTLE)
		return PST_ACT_AUDIT;
	return rule->does ? rule->does : rule->action;
}

struct policy_verdict policy_judge(const struct policy_set *set, const struct policy_act *act)
{
	struct policy_verdict best = {0};

	for (size_t i = 0; i < set->n; i++) {
		const struct policy_rule *rule = policy_match(set->v[i], act);
		struct policy_verdict v = {.policy = set->v[i], .rule = rule};

		if (!rule)
			continue;
		v.action = policy_effect(v.policy, rule);
		v.would = rule->action;
		if (v.action > best.action || (v.action == best.action && v.would > best.would))
			best = v;
	}
	return best;
}
