// SPDX-License-Identifier: Apache-2.0
#include "loader/copies.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include "proto/base/cleanup.h"
#include "proto/base/log.h"
#include "proto/base/loop.h"

#define PAGE          4096u
#define COMPARE_LOOKS 10

static const struct table {
	const char *map, *name;
	size_t generation; /* offsets in struct pst_guard */
	bool in_place;     /* it changes while it is in force */
} tables[COPIES_TABLES] = {
	[COPIES_FIREWALL] = {PST_MAP_FW_LINES, "firewall", offsetof(struct pst_guard, fw_generation), false},
	[COPIES_LISTS] = {PST_MAP_BLOCK_LINES, "lists", offsetof(struct pst_guard, block_generation), true},
	[COPIES_SIGNATURES] = {PST_MAP_GUARD_SIGS, "signatures", offsetof(struct pst_guard, sig_generation),
		false},
};

/* The live ones. */
struct live {
	struct region guard, lines[COPIES_TABLES];
};

static void live_done(struct live *l)
{
	region_unmap(&l->guard);
	for (int i = 0; i < COPIES_TABLES; i++)
		region_unmap(&l->lines[i]);
}

static struct pst_guard *words_of(const struct live *l)
{
	return (struct pst_guard *)l->guard.p;
}

static __u64 *generation_of(struct pst_guard *words, int table)
{
	return (__u64 *)((char *)words + tables[table].generation);
}

static uint64_t generation(const struct live *l, int table)
{
	return __atomic_load_n(generation_of(words_of(l), table), __ATOMIC_ACQUIRE);
}

static struct region half_of(const struct live *l, int table, uint64_t generation)
{
	size_t bytes = l->lines[table].bytes / 2;

	return (struct region){l->lines[table].p + (generation & 1) * bytes, bytes};
}

/* 0; -ENOENT: nothing is guarded; -errno. */
static int live_open(const struct pins *pins, struct live *l)
{
	int r = region_map_pinned(pins, PST_MAP_GUARD, &l->guard);

	for (int i = 0; i < COPIES_TABLES && !r; i++)
		r = region_map_pinned(pins, tables[i].map, &l->lines[i]);
	return !r && l->guard.bytes < sizeof(struct pst_guard) ? -ENOENT : r;
}

/* ---- copying ---- */

static void copy_free(struct copy *c)
{
	for (int i = 0; c && i < COPIES_TABLES; i++)
		region_unmap(&c->half[i]);
	free(c);
}

static void copy_freep(struct copy **c)
{
	copy_free(*c);
}

static uint64_t sum_of(const struct region *half)
{
	const uint64_t *words = (const uint64_t *)half->p;
	uint64_t sum = half->bytes;

	for (size_t i = 0; i < half->bytes / sizeof(*words); i++)
		sum = (sum ^ words[i]) * 0x9e3779b97f4a7c15ull + (sum >> 29);
	return sum;
}

/* Most of a table is empty: pages of zeros take no memory. */
static int copy_half(const struct region *from, struct region *ret_half)
{
	static const char zeros[PAGE];
	char *to = mmap(NULL, from->bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (to == MAP_FAILED)
		return -errno;
	for (size_t at = 0; at < from->bytes; at += PAGE) {
		size_t n = PST_MIN((size_t)PAGE, from->bytes - at);

		if (memcmp(from->p + at, zeros, n) != 0)
			memcpy(to + at, from->p + at, n);
	}
	*ret_half = (struct region){to, from->bytes};
	return 0;
}

static int take(const struct live *l, struct copy **ret_copy)
{
	PST_CLEANUP(copy_freep) struct copy *c = calloc(1, sizeof(*c));
	int r = c ? 0 : -ENOMEM;

	if (c)
		c->words = *words_of(l);
	for (int i = 0; i < COPIES_TABLES && !r; i++) {
		uint64_t g = *generation_of(&c->words, i);
		struct region half = half_of(l, i, g);

		r = g ? copy_half(&half, &c->half[i]) : 0;
		if (!r && generation(l, i) != g)
			r = -EAGAIN;
		if (!r && g)
			c->sum[i] = sum_of(&c->half[i]);
	}
	if (r)
		return r;
	c->taken_boot_ns = pst_now_boot_ns();
	*ret_copy = PST_TAKE_PTR(c);
	return 0;
}

static void push(struct copies *copies, struct copy *c)
{
	copy_free(copies->v[COPIES_MAX - 1]);
	memmove(&copies->v[1], &copies->v[0], (COPIES_MAX - 1) * sizeof(copies->v[0]));
	copies->v[0] = c;
}

/* ---- looking ---- */

static bool fits(const struct live *l, const struct copy *c)
{
	for (int i = 0; i < COPIES_TABLES; i++)
		if (c->half[i].p && c->half[i].bytes != l->lines[i].bytes / 2)
			return false;
	return true;
}

/* Is this what the latest copy was taken of? */
static bool is_kept(const struct copies *copies, const struct live *l)
{
	struct copy *c = copies->v[0];

	for (int i = 0; i < COPIES_TABLES && c; i++)
		if (generation(l, i) != *generation_of(&c->words, i))
			return false;
	return c && fits(l, c);
}

/* In force since the last look; and a number that just passes by is not copied. */
static bool is_steady(struct copies *copies, const struct live *l)
{
	bool same = true;

	for (int i = 0; i < COPIES_TABLES; i++) {
		uint64_t now = generation(l, i);

		same &= now == copies->seen[i];
		copies->seen[i] = now;
	}
	return same;
}

static void compare(struct copies *copies, const struct live *l)
{
	const struct copy *c = copies->v[0];
	unsigned changed = 0;

	for (int i = 0; i < COPIES_TABLES; i++) {
		uint64_t g = copies->seen[i];
		struct region half = half_of(l, i, g);

		if (!g || tables[i].in_place || sum_of(&half) == c->sum[i] || generation(l, i) != g)
			continue;
		changed |= 1u << i;
		if (!(copies->changed >> i & 1))
			pst_error("the %s in force was changed without a new generation: who writes the "
				  "tables is "
				  "broken or not policyd; stop it, then penstock-loader restore "
				  "generation=%llu",
				tables[i].name, (unsigned long long)g);
	}
	copies->changed = changed;
}

void copies_look(struct copies *copies, const struct pins *pins)
{
	PST_CLEANUP(live_done) struct live l = {0};
	struct copy *c;
	int r = live_open(pins, &l);

	if (r && r != -ENOENT)
		pst_warn_limited("cannot look at the guard's tables error=%s", strerror(-r));
	if (r || !is_steady(copies, &l))
		return;
	if (is_kept(copies, &l)) {
		if (++copies->looks % COMPARE_LOOKS == 0)
			compare(copies, &l);
		return;
	}
	r = take(&l, &c);
	if (!r) {
		push(copies, c);
		copies->changed = 0;
	} else if (r != -EAGAIN) {
		pst_warn_limited("cannot keep a copy of the guard's tables error=%s", strerror(-r));
	}
}

const char *copies_changed(const struct copies *copies, char *buf, size_t size)
{
	size_t n = 0;

	buf[0] = '\0';
	for (int i = 0; i < COPIES_TABLES; i++)
		if (copies && copies->changed >> i & 1 && n < size)
			n += (size_t)snprintf(buf + n, size - n, "%s%s", n ? ", " : "", tables[i].name);
	return buf;
}

/* ---- restoring ---- */

static __u64 *last_of(const struct live *l, int table)
{
	struct pst_guard *g = words_of(l);

	return table == COPIES_FIREWALL ? &g->fw_last
	       : table == COPIES_LISTS  ? &g->block_last
					: &((struct pst_sigs *)l->lines[COPIES_SIGNATURES].p)->last;
}

/* As policyd numbers: never one that was in use, nor 0 in its lower half, and of the half that is idle. */
static uint64_t next_generation(const struct live *l, int table, uint64_t kept)
{
	uint64_t now = generation(l, table), next = PST_MAX(PST_MAX(now, *last_of(l, table)), kept) + 1;

	if (now && !((next ^ now) & 1))
		next++;
	return (uint32_t)next ? next : next + 2;
}

/* The number is in the table too: for people, and of signatures as the last one, which lies in one of the
 * halves. */
static void number_half(const struct region *half, int table, uint64_t generation)
{
	if (table == COPIES_FIREWALL)
		((struct pst_fw_head *)half->p)->generation = (uint32_t)generation;
	if (table == COPIES_LISTS)
		((struct pst_block_head *)half->p)->generation = (uint32_t)generation;
	if (table == COPIES_SIGNATURES)
		((struct pst_sigs *)half->p)->last = generation;
}

/* Everything of it is written before the word that puts it in force. */
static void put_table(const struct live *l, struct copy *c, int table)
{
	__u64 *kept = generation_of(&c->words, table), *last = last_of(l, table), next = 0;
	struct region half;

	if (*kept) {
		next = next_generation(l, table, *kept);
		half = half_of(l, table, next);
		number_half(&c->half[table], table, next);
		c->sum[table] = sum_of(&c->half[table]);
		memcpy(half.p, c->half[table].p, half.bytes);
	}
	*last = next ? next : PST_MAX(*last, generation(l, table));
	*kept = next;
	__atomic_store_n(generation_of(words_of(l), table), next, __ATOMIC_RELEASE);
}

/* policyd's words but the generations; what the loader itself says stays. */
static void put_words(struct pst_guard *to, const struct pst_guard *from)
{
	to->bad_flags = from->bad_flags;
	to->limits = from->limits;
	memcpy(to->syn_ports, from->syn_ports, sizeof(to->syn_ports));
	memcpy(to->by_protocol, from->by_protocol, sizeof(to->by_protocol));
	to->scrub_ifindex = from->scrub_ifindex;
	to->vxlan_port = from->vxlan_port;
	memcpy(to->ifaces.drop, from->ifaces.drop, sizeof(to->ifaces.drop));
	__atomic_store_n(&to->flags, from->flags, __ATOMIC_RELEASE);
}

int copies_restore(struct copies *copies, const struct pins *pins, unsigned which,
	uint64_t ret_generations[COPIES_TABLES])
{
	PST_CLEANUP(live_done) struct live l = {0};
	struct copy *c = which < COPIES_MAX ? copies->v[which] : NULL;
	int r = c ? live_open(pins, &l) : -ENOENT;

	if (!r && !fits(&l, c))
		r = -ESTALE;
	if (r)
		return r;
	put_words(words_of(&l), &c->words);
	for (int i = 0; i < COPIES_TABLES; i++) {
		put_table(&l, c, i);
		ret_generations[i] = copies->seen[i] = *generation_of(&c->words, i);
	}
	/* what was in force is not to be gone back to */
	for (unsigned i = 0; i < COPIES_MAX; i++)
		if (copies->v[i] != c)
			copy_free(copies->v[i]);
	memset(copies->v, 0, sizeof(copies->v));
	copies->v[0] = c;
	copies->changed = 0;
	return 0;
}

void copies_done(struct copies *copies)
{
	for (unsigned i = 0; i < COPIES_MAX; i++)
		copy_free(copies->v[i]);
	*copies = (struct copies){0};
}
