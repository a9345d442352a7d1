// SPDX-License-Identifier: Apache-2.0
#include "policyd/fw/pairs.h"

#include <errno.h>
#include <string.h>
#include <sys/random.h>

#include "proto/abi/lookup/fw.h"

uint32_t fw_pair_flags(const struct fw_rule *rule)
{
	uint32_t flags = 0;

	for (unsigned side = 0; side < 2; side++) {
		const struct fw_endpoints *list = &rule->ends[side];

		flags |= list->n ? PST_FW_PAIR(side) : 0;
		flags |= list->n && list->other ? PST_FW_PAIR_NOT(side) : 0;
	}
	return flags;
}

struct table {
	struct pst_fw_head *head;
	union pst_line *lines;
	unsigned family; /* index: IPv4, IPv6 */
};

/* A list may name a pair twice: it takes one slot. */
static bool put_in(const struct table *t, union pst_line *l, const uint32_t *a, uint32_t key)
{
	uint64_t word = (uint64_t)a[3] << 32 | key, hi = (uint64_t)a[0] << 32 | a[1],
		 lo = (uint64_t)a[2] << 32 | a[3];

	for (unsigned k = 0; !t->family && k < PST_FW_PAIRS_4; k++)
		if (!l->u64[k] || l->u64[k] == word) {
			l->u64[k] = word;
			return true;
		}
	for (unsigned k = 0; t->family && k < PST_FW_PAIRS_6; k++) {
		uint32_t *tag = &l->u32[PST_FW_PAIR_TAGS_6 + k];

		if (!*tag || (*tag == key && l->u64[2 * k] == hi && l->u64[2 * k + 1] == lo)) {
			*tag = key;
			l->u64[2 * k] = hi;
			l->u64[2 * k + 1] = lo;
			return true;
		}
	}
	return false;
}

static bool put(const struct table *t, const struct fw_endpoint *end, uint32_t tag)
{
	uint32_t a[4], key = (uint32_t)end->port << 16 | tag, at;

	memcpy(a, end->addr, sizeof(a));
	if (t->family)
		at = pst_fw_pair_home(t->head, (uint64_t)a[0] << 32 | a[1], (uint64_t)a[2] << 32 | a[3], key);
	else
		at = pst_fw_pair_home(t->head, 0, a[3], key);
	for (uint32_t i = 0; i < PST_FW_PAIR_LINES; i++)
		if (put_in(t, &t->lines[(at + i) & t->head->pair_mask[t->family]], a, key))
			return true;
	return false;
}

static bool put_all(const struct table *t, const struct fw_ruleset *set)
{
	for (uint32_t i = 0; i < set->n; i++)
		for (unsigned side = 0; side < 2; side++) {
			const struct fw_endpoints *list = &set->rules[i].ends[side];

			for (size_t k = 0; k < list->n; k++)
				if (fw_addr_is_ip4(list->v[k].addr) == !t->family &&
					!put(t, &list->v[k], PST_FW_PAIR_TAG(i, side)))
					return false;
		}
	return true;
}

static size_t count(const struct fw_ruleset *set, unsigned family)
{
	size_t n = 0;

	for (size_t i = 0; i < set->n; i++)
		for (unsigned side = 0; side < 2; side++)
			for (size_t k = 0; k < set->rules[i].ends[side].n; k++)
				n += fw_addr_is_ip4(set->rules[i].ends[side].v[k].addr) == !family;
	return n;
}

/* Half full, or emptier until no pair is further from home than a look-up goes. */
static int build(
	const struct fw_ruleset *set, struct fw_arena *arena, struct pst_fw_head *head, unsigned family)
{
	size_t slots = family ? PST_FW_PAIRS_6 : PST_FW_PAIRS_4, n = count(set, family);
	struct table t = {.head = head, .family = family};
	uint32_t lines = 1;
	int e;

	if (!n)
		return 0;
	while (lines * slots < 2 * n)
		lines *= 2;
	for (uint32_t before = arena->used;; lines *= 2) {
		arena->used = before;
		e = fw_arena_take(arena, lines, &head->pairs[family]);
		if (e)
			return e;
		head->pair_mask[family] = lines - 1;
		t.lines = arena->lines + head->pairs[family];
		if (put_all(&t, set))
			return 0;
	}
}

int fw_pairs_build(const struct fw_ruleset *set, struct fw_arena *arena, struct pst_fw_head *head)
{
	int e;

	if (getrandom(head->seed, sizeof(head->seed), 0) != sizeof(head->seed))
		return -EIO;
	head->seed[1] |= 1;
	e = build(set, arena, head, 0);
	return e ? e : build(set, arena, head, 1);
}
