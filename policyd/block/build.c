// SPDX-License-Identifier: Apache-2.0
/* Lists into lines: the head, the trees, and in what is left the buckets. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "policyd/block/buckets.h"
#include "policyd/block/set.h"
#include "policyd/block/trees.h"
#include "proto/abi/lookup/block.h"
#include "proto/base/cleanup.h"

#define TRIES         4  /* seeds, before the table is held to be too small */
#define AHEAD         16 /* bucket lines on their way while one is filled; a power of two */
#define BUCKETS_LEAST 16

/* Buckets of one family. At ease: an address is in its own bucket in 97 of 100 cases. */
struct room {
	uint32_t least, good;
};

static struct room room_for(size_t n, unsigned slots, unsigned good_percent)
{
	size_t least = (n * 100 / 75 + slots - 1) / slots, good = n * 100 / good_percent / slots + 1;

	good = PST_MAX(good, (size_t)BUCKETS_LEAST);
	return (struct room){.least = (uint32_t)least, .good = (uint32_t)PST_MAX(good, least)};
}

/* Shares @lines out. 0, or -ENOSPC. */
static int share(uint32_t lines, const struct room room[2], struct pst_block_head *head)
{
	uint64_t least = (uint64_t)room[0].least + room[1].least;
	uint64_t extra = (uint64_t)room[0].good + room[1].good - least, left;

	if (least > lines)
		return -ENOSPC;
	left = PST_MIN(lines - least, extra);
	head->buckets_4 = room[0].least;
	if (extra)
		head->buckets_4 += (uint32_t)(left * (room[0].good - room[0].least) / extra);
	head->buckets_6 = (uint32_t)(least + left - head->buckets_4);
	return 0;
}

/* splitmix64 */
static uint64_t mix(uint64_t z)
{
	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
	z = (z ^ z >> 27) * 0x94d049bb133111eb;
	return z ^ z >> 31;
}

static void set_seed(struct pst_block_head *head, const struct block_options *o, unsigned attempt)
{
	for (int i = 0; i < 3; i++)
		head->seed[i] = mix(o->seed[i] + attempt * 0x9e3779b97f4a7c15) | (i > 0);
}

static uint32_t home_4(const struct pst_block_head *h, uint32_t addr)
{
	return pst_block_home(pst_block_hash_4(h, addr), h->buckets_4);
}

static uint32_t home_6(const struct pst_block_head *h, const struct block_entry *e)
{
	return pst_block_home(pst_block_hash_6(h, e->hi, e->lo), h->buckets_6);
}

/* The lines are taken in the order of the hash, so each would be waited for: they are asked for in time. */
static int fill_4(const struct block_list *list, union pst_line *lines, const struct pst_block_head *h,
	uint32_t now, struct block_built *built)
{
	struct block_buckets b = {.first = lines + h->bucket_4, .n = h->buckets_4};
	uint32_t homes[AHEAD];

	for (size_t i = 0; i < list->n_addrs4 + AHEAD; i++) {
		uint32_t *home = &homes[i % AHEAD];
		int e = 0;

		if (i >= AHEAD && block_expiry(list->addrs4[i - AHEAD].expires) > now)
			e = block_put_4(b, *home, &list->addrs4[i - AHEAD], now, true);
		if (e < 0)
			return e;
		built->twice += (uint32_t)e;
		if (i < list->n_addrs4) {
			*home = home_4(h, list->addrs4[i].addr);
			__builtin_prefetch(b.first + *home, 1);
		}
	}
	return 0;
}

static int fill_6(const struct block_list *list, union pst_line *lines, const struct pst_block_head *h,
	uint32_t now, struct block_built *built)
{
	struct block_buckets b = {.first = lines + h->bucket_6, .n = h->buckets_6};
	const struct block_entries *addrs = &list->addrs6;

	for (size_t i = 0; i < addrs->n; i++) {
		int e;

		if (i + AHEAD < addrs->n)
			__builtin_prefetch(b.first + home_6(h, &addrs->v[i + AHEAD]), 1);
		if (block_expiry(addrs->v[i].expires) <= now)
			continue;
		e = block_put_6(b, home_6(h, &addrs->v[i]), &addrs->v[i], now, true);
		if (e < 0)
			return e;
		built->twice += (uint32_t)e;
	}
	return 0;
}

/* A seed for which all addresses find a place. */
static int fill(const struct block_set *set, union pst_line *lines, const struct block_options *o,
	struct pst_block_head *h, struct block_built *built)
{
	size_t bytes = ((size_t)h->buckets_4 + h->buckets_6) * sizeof(*lines);
	int e = -ENOSPC;

	for (unsigned i = 0; i < TRIES && e == -ENOSPC; i++) {
		set_seed(h, o, i);
		built->twice = 0;
		memset(lines + h->bucket_4, 0, bytes);
		e = fill_4(&set->block, lines, h, o->now, built);
		e = e ? e : fill_6(&set->block, lines, h, o->now, built);
	}
	return e;
}

/* Lines that the head and the trees take, found out in memory of our own. */
static int measure_trees(const struct block_set *set, uint32_t now, uint32_t *ret_lines)
{
	for (uint32_t size = 1u << 12; size <= PST_STRIDE_LINE; size *= 2) {
		PST_FREE union pst_line *lines = aligned_alloc(sizeof(*lines), size * sizeof(*lines));
		struct fw_arena arena = {.lines = lines, .size = size, .used = 1};
		struct pst_block_head head;
		uint32_t records;
		int e = lines ? block_trees_build(set, &arena, now, &head, &records) : -ENOMEM;

		if (!e)
			*ret_lines = arena.used;
		if (e != -ENOSPC)
			return e;
	}
	return -ENOMEM;
}

static int build(const struct block_set *set, const struct room room[2], struct fw_arena *arena,
	const struct block_options *o, struct pst_block_head *head, struct block_built *built)
{
	int e = block_trees_build(set, arena, o->now, head, &built->records);

	e = e ? e : share(arena->size - arena->used, room, head);
	if (e)
		return e;
	head->bucket_4 = arena->used;
	head->bucket_6 = head->bucket_4 + head->buckets_4;
	built->buckets_4 = head->buckets_4;
	built->buckets_6 = head->buckets_6;
	built->lines = head->bucket_6 + head->buckets_6;
	return fill(set, arena->lines, o, head, built);
}

static size_t count(const struct block_list *list)
{
	return list->n_addrs4 + list->addrs6.n + list->prefixes.n;
}

int block_build(const struct block_set *set, union pst_line *lines, uint32_t n_lines,
	const struct block_options *o, struct block_built *ret_built, uint32_t *ret_needed)
{
	const struct room room[2] = {
		room_for(set->block.n_addrs4 + o->spare_4, PST_BLOCK_SLOTS_4, 50),
		room_for(set->block.addrs6.n + o->spare_6, PST_BLOCK_SLOTS_6, 40),
	};
	struct fw_arena arena = {.lines = lines, .size = n_lines, .used = 1};
	struct pst_block_head head = {
		.generation = o->generation, .entries = (uint32_t)(count(&set->block) + count(&set->allow))};
	struct block_built built = {0};
	uint32_t trees;
	int e = n_lines ? build(set, room, &arena, o, &head, &built) : -ENOSPC;

	if (e == -ENOSPC) {
		e = measure_trees(set, o->now, &trees);
		if (e)
			return e;
		*ret_needed = PST_MAX(trees + room[0].least + room[1].least, n_lines + 1);
		return -ENOSPC;
	}
	if (e)
		return e;
	memcpy(lines, &head, sizeof(head));
	*ret_built = built;
	return 0;
}

/* ---- one address in a table that is there ---- */

static const struct pst_block_head *head_of(const union pst_line *lines)
{
	return (const struct pst_block_head *)lines;
}

/* The buckets, if the head says something that this table can hold. */
static bool find_buckets(union pst_line *lines, uint32_t n_lines, bool ip6, struct block_buckets *ret_buckets)
{
	const struct pst_block_head *h = head_of(lines);
	uint32_t first = ip6 ? h->bucket_6 : h->bucket_4, n = ip6 ? h->buckets_6 : h->buckets_4;

	if (!n || !first || first >= n_lines || n > n_lines - first)
		return false;
	*ret_buckets = (struct block_buckets){.first = lines + first, .n = n};
	return true;
}

int block_insert(union pst_line *lines, uint32_t n_lines, const struct block_entry *entry, uint32_t now)
{
	const struct block_addr4 addr = {(uint32_t)entry->lo, entry->expires, entry->reason};
	struct block_buckets b;

	if (!find_buckets(lines, n_lines, entry->ip6, &b))
		return -ENOSPC;
	if (entry->ip6)
		return block_put_6(b, home_6(head_of(lines), entry), entry, now, false);
	return block_put_4(b, home_4(head_of(lines), addr.addr), &addr, now, false);
}

int block_remove(union pst_line *lines, uint32_t n_lines, const struct block_entry *entry, uint32_t now)
{
	struct block_buckets b;

	if (!find_buckets(lines, n_lines, entry->ip6, &b))
		return -ENOENT;
	if (entry->ip6)
		return block_take_6(b, home_6(head_of(lines), entry), entry, now);
	return block_take_4(b, home_4(head_of(lines), (uint32_t)entry->lo), (uint32_t)entry->lo, now);
}

enum pst_block_kind block_lookup(const union pst_line *lines, uint32_t n_lines,
	const struct block_entry *addr, uint32_t now, struct pst_block_hit *ret_hit)
{
	struct pst_half half = {.lines = lines, .mask = n_lines - 1};
	struct pst_block_addr key = {.hi = addr->hi, .lo = addr->lo};

	if (addr->ip6)
		return (enum pst_block_kind)pst_block_match_6(&half, &key, now, ret_hit);
	return (enum pst_block_kind)pst_block_match_4(&half, (uint32_t)addr->lo, now, ret_hit);
}
