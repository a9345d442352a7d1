/* SPDX-License-Identifier: Apache-2.0 */
/* Random lists and their plain meaning, for the tests of tables. */
#ifndef TESTS_BLOCK_LISTS_H
#define TESTS_BLOCK_LISTS_H

#include "policyd/block/set.h"

static uint64_t list_state = 0x9e3779b97f4a7c15;

static inline uint64_t list_draw(void)
{
	list_state ^= list_state >> 12;
	list_state ^= list_state << 25;
	list_state ^= list_state >> 27;
	return list_state * 0x2545f4914f6cdd1d >> 8;
}

static inline uint64_t word_draw(void)
{
	return list_draw() << 32 ^ list_draw();
}

static inline void entry_clear_rest(struct block_entry *e)
{
	unsigned len = e->ip6 ? e->len : 96u + e->len;

	e->hi = len >= 64 ? e->hi : len ? e->hi & ~0ull << (64 - len) : 0;
	e->lo = len >= 128 ? e->lo : len > 64 ? e->lo & ~0ull << (128 - len) : 0;
}

/* In few places, so that they meet: most bytes of an address are one of four. */
static inline struct block_entry entry_random(bool ip6, bool single, uint32_t now)
{
	struct block_entry e = {.ip6 = ip6, .len = ip6 ? 128 : 32, .reason = (uint8_t)(list_draw() % 5)};
	const uint32_t expiries[] = {0, 0, now, now + 1, now + 2, now + 3, now - 1};

	for (int i = 0; i < 8; i++) {
		e.hi = e.hi << 8 | (list_draw() % 4 ? list_draw() % 2 * 0xff : list_draw() & 0xff);
		e.lo = e.lo << 8 | (list_draw() % 4 ? list_draw() % 2 * 0xff : list_draw() & 0xff);
	}
	if (!ip6) {
		e.hi = 0;
		e.lo &= UINT32_MAX;
	}
	e.expires = expiries[list_draw() % 7];
	if (!single)
		e.len = (uint8_t)(list_draw() % e.len);
	entry_clear_rest(&e);
	return e;
}

static inline void list_random(struct block_list *list, size_t addrs, size_t prefixes, uint32_t now)
{
	for (size_t i = 0; i < addrs + prefixes; i++) {
		struct block_entry e = entry_random(list_draw() & 1, i < addrs, now);

		if (block_list_add(list, &e))
			abort();
	}
}

static inline bool entry_has(const struct block_entry *e, const struct block_entry *addr)
{
	struct block_entry a = *addr;

	if (e->ip6 != addr->ip6)
		return false;
	a.len = e->len;
	entry_clear_rest(&a);
	return a.hi == e->hi && a.lo == e->lo;
}

/* Counts those that expire last; ret_best is one of them, of the longest prefix. */
static inline void consider(
	const struct block_entry *e, const struct block_entry *addr, uint32_t now, struct block_entry *best)
{
	uint32_t expires = block_expiry(e->expires);

	if (!entry_has(e, addr) || expires <= now)
		return;
	if (expires > best->expires || (expires == best->expires && e->len > best->len)) {
		best->expires = expires;
		best->len = e->len;
	}
}

static inline bool list_has(const struct block_list *list, bool addrs, bool prefixes,
	const struct block_entry *addr, uint32_t now, struct block_entry *best)
{
	memset(best, 0, sizeof(*best));
	for (size_t i = 0; addrs && i < list->n_addrs4; i++) {
		const struct block_addr4 *a = &list->addrs4[i];
		struct block_entry e = {.lo = a->addr, .expires = a->expires, .len = 32};

		consider(&e, addr, now, best);
	}
	for (size_t i = 0; addrs && i < list->addrs6.n; i++)
		consider(&list->addrs6.v[i], addr, now, best);
	for (size_t i = 0; prefixes && i < list->prefixes.n; i++)
		consider(&list->prefixes.v[i], addr, now, best);
	return best->expires > 0;
}

/* The meaning of lists: enum pst_block_kind, and expiry and length of what is to be shown. */
static inline enum pst_block_kind set_linear(
	const struct block_set *set, const struct block_entry *addr, uint32_t now, struct block_entry *best)
{
	if (list_has(&set->allow, true, true, addr, now, best))
		return PST_BLOCK_ALLOWED;
	if (list_has(&set->block, true, false, addr, now, best))
		return PST_BLOCK_ADDRESS;
	return list_has(&set->block, false, true, addr, now, best) ? PST_BLOCK_PREFIX : PST_BLOCK_NONE;
}

#endif
