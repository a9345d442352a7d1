// SPDX-License-Identifier: Apache-2.0
/* Address tables against the plain meaning of their lists; changes under a reader; scribbled tables. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "policyd/block/block.h"
#include "proto/abi/lookup/block.h"
#include "proto/base/cleanup.h"
#include "tests/unit/policyd/block_lists.h"

#define LINES (1u << 19)
#define NOW   1000u

static union pst_line *lines;

static int make_lines(void **state)
{
	(void)state;
	lines = aligned_alloc(64, (size_t)LINES * sizeof(*lines));
	return lines ? 0 : -1;
}

static int free_lines(void **state)
{
	(void)state;
	free(lines);
	return 0;
}

static struct block_options options(void)
{
	return (struct block_options){
		.generation = 3, .now = NOW, .seed = {word_draw(), word_draw(), word_draw()}};
}

static struct block_built build(const struct block_set *set, uint32_t n_lines)
{
	struct block_options o = options();
	struct block_built built;
	uint32_t needed;

	assert_int_equal(block_build(set, lines, n_lines, &o, &built, &needed), 0);
	assert_true(built.lines <= n_lines);
	return built;
}

static struct block_entry ip4(uint32_t addr)
{
	return (struct block_entry){.lo = addr, .len = 32};
}

static struct block_entry ip6(uint64_t hi, uint64_t lo)
{
	return (struct block_entry){.hi = hi, .lo = lo, .len = 128, .ip6 = true};
}

/* ---- look-up ---- */

/* The hit is an entry of the list. */
static bool is_listed(const struct block_list *list, const struct block_entry *addr, struct pst_block_hit hit)
{
	struct block_entry e = *addr;

	e.len = hit.len;
	entry_clear_rest(&e);
	for (size_t i = 0; i < list->n_addrs4; i++)
		if (hit.len == 32 && !e.ip6 && list->addrs4[i].addr == e.lo &&
			list->addrs4[i].reason == hit.reason &&
			block_expiry(list->addrs4[i].expires) == hit.expires)
			return true;
	for (size_t i = 0; i < list->addrs6.n + list->prefixes.n; i++) {
		const struct block_entry *p =
			i < list->addrs6.n ? &list->addrs6.v[i] : &list->prefixes.v[i - list->addrs6.n];

		if (p->ip6 == e.ip6 && p->len == hit.len && p->hi == e.hi && p->lo == e.lo &&
			p->reason == hit.reason && block_expiry(p->expires) == hit.expires)
			return true;
	}
	return false;
}

static void check(const struct block_set *set, uint32_t n_lines, const struct block_entry *addr, uint32_t now)
{
	struct pst_block_hit hit = {0};
	struct block_entry best;
	enum pst_block_kind want = set_linear(set, addr, now, &best);
	enum pst_block_kind got = block_lookup(lines, n_lines, addr, now, &hit);

	if (want != got)
		fail_msg("%016llx %016llx at %u: kind %d, expected %d", (unsigned long long)addr->hi,
			(unsigned long long)addr->lo, now, got, want);
	if (got == PST_BLOCK_NONE)
		return;
	assert_int_equal(hit.kind, got);
	assert_int_equal(hit.expires, best.expires);
	assert_int_equal(hit.len, best.len);
	assert_true(is_listed(got == PST_BLOCK_ALLOWED ? &set->allow : &set->block, addr, hit));
}

static void step(struct block_entry *a, int by)
{
	uint64_t lo = a->lo + (uint64_t)by;

	if (a->ip6)
		a->hi += by > 0 ? lo < a->lo : -(uint64_t)(lo > a->lo);
	a->lo = a->ip6 ? lo : (uint32_t)lo;
}

/* At the first and the last address of an entry, beside them, and somewhere inside. */
static void check_corners(const struct block_set *set, uint32_t n_lines, const struct block_entry *e)
{
	struct block_entry first = *e, last = *e, in = *e;
	unsigned len = e->ip6 ? e->len : 96u + e->len;

	last.hi |= len < 64 ? ~0ull >> len : 0;
	last.lo |= len <= 64 ? ~0ull : len < 128 ? ~0ull >> (len - 64) : 0;
	if (!e->ip6) {
		last.hi = 0;
		last.lo &= UINT32_MAX;
	}
	in.hi |= last.hi & word_draw();
	in.lo |= last.lo & word_draw();
	for (uint32_t now = NOW; now <= NOW + 3; now++) {
		struct block_entry before = first, after = last;

		step(&before, -1);
		step(&after, 1);
		check(set, n_lines, &first, now);
		check(set, n_lines, &last, now);
		check(set, n_lines, &in, now);
		check(set, n_lines, &before, now);
		check(set, n_lines, &after, now);
	}
}

static void check_list(const struct block_set *set, uint32_t n_lines, const struct block_list *list)
{
	for (size_t i = 0; i < list->n_addrs4; i++) {
		struct block_entry e = ip4(list->addrs4[i].addr);

		check_corners(set, n_lines, &e);
	}
	for (size_t i = 0; i < list->addrs6.n; i++)
		check_corners(set, n_lines, &list->addrs6.v[i]);
	for (size_t i = 0; i < list->prefixes.n; i++)
		check_corners(set, n_lines, &list->prefixes.v[i]);
}

static void empty_lists(void **state)
{
	struct block_set set = {0};
	struct block_entry a4 = ip4(0), a6 = ip6(0, 0);

	(void)state;
	for (uint32_t n = 64; n <= LINES; n *= 2)
		build(&set, n);
	for (uint32_t now = 0; now < 2; now++) {
		check(&set, LINES, &a4, now ? UINT32_MAX : 0);
		check(&set, LINES, &a6, now ? UINT32_MAX : 0);
	}
}

static void random_lists(void **state)
{
	static const size_t sizes[] = {0, 1, 2, 7, 8, 40, 150};

	(void)state;
	for (unsigned round = 0; round < 150; round++) {
		struct block_set set = {0};
		uint32_t n = 1u << 15;

		list_random(&set.block, sizes[round % 7], sizes[round / 7 % 7], NOW);
		list_random(&set.allow, sizes[round % 5], sizes[round / 7 % 6] / 2, NOW);
		build(&set, n);
		check_list(&set, n, &set.block);
		check_list(&set, n, &set.allow);
		block_set_done(&set);
	}
}

/* The whole of each family, every length on one address, and the last second. */
static void ends_of_everything(void **state)
{
	struct block_set set = {0};
	struct block_entry e;

	(void)state;
	for (unsigned len = 0; len <= 128; len++) {
		e = ip6(~0ull, ~0ull);
		e.len = (uint8_t)len;
		e.expires = len ? NOW + 1 + len % 3 : 0;
		entry_clear_rest(&e);
		assert_int_equal(block_list_add(&set.block, &e), 0);
		if (len > 32)
			continue;
		e = (struct block_entry){.lo = 0, .len = (uint8_t)len, .expires = PST_BLOCK_NEVER - 1 - len};
		assert_int_equal(block_list_add(&set.block, &e), 0);
	}
	build(&set, 1u << 14);
	check_list(&set, 1u << 14, &set.block);
	e = ip4(0);
	check(&set, 1u << 14, &e, PST_BLOCK_NEVER - 2);
	check(&set, 1u << 14, &e, PST_BLOCK_NEVER - 1);
	check(&set, 1u << 14, &e, PST_BLOCK_NEVER);
	block_set_done(&set);
}

/* An address before and after it expires, and what lies around it. */
static void expiry(void **state)
{
	struct block_set set = {0};
	struct block_entry net = {.lo = 0x0a000000, .len = 8, .expires = NOW + 9, .reason = 2};
	struct block_entry addr = ip4(0x0a000001);
	struct pst_block_hit hit;

	(void)state;
	addr.expires = NOW + 5;
	addr.reason = 1;
	block_list_add(&set.block, &net);
	block_list_add(&set.block, &addr);
	build(&set, 256);
	assert_int_equal(block_lookup(lines, 256, &addr, NOW + 4, &hit), PST_BLOCK_ADDRESS);
	assert_true(hit.reason == 1 && hit.len == 32 && hit.expires == NOW + 5);
	assert_int_equal(block_lookup(lines, 256, &addr, NOW + 5, &hit), PST_BLOCK_PREFIX);
	assert_true(hit.reason == 2 && hit.len == 8 && hit.expires == NOW + 9);
	assert_int_equal(block_lookup(lines, 256, &addr, NOW + 9, &hit), PST_BLOCK_NONE);
	block_set_done(&set);
}

static void what_is_there_twice(void **state)
{
	struct block_set set = {0};
	struct block_entry a = ip4(7), b = ip6(7, 7);
	const uint32_t expires[] = {NOW + 3, NOW + 7, NOW + 5, NOW - 1};

	(void)state;
	for (unsigned i = 0; i < 4; i++) {
		a.expires = b.expires = expires[i];
		block_list_add(&set.block, &a);
		block_list_add(&set.block, &b);
	}
	assert_int_equal(build(&set, 256).twice, 4);
	check_list(&set, 256, &set.block);
	for (uint32_t now = NOW; now < NOW + 9; now++) {
		check(&set, 256, &a, now);
		check(&set, 256, &b, now);
	}
	block_set_done(&set);
}

/* ---- size ---- */

static void add_many(struct block_list *list, uint32_t n, bool is_ip6)
{
	for (uint32_t i = 0; i < n; i++) {
		/* all different: a product with an odd number */
		struct block_entry e =
			is_ip6 ? ip6(0x20010db8ull << 32 | i * 2654435761u, i) : ip4(i * 2654435761u);

		e.reason = (uint8_t)(i % 7);
		assert_int_equal(block_list_add(list, &e), 0);
	}
}

static void check_many(uint32_t n_lines, uint32_t n, uint32_t more, bool is_ip6)
{
	for (uint32_t i = 0; i < n + more; i++) {
		struct block_entry e =
			is_ip6 ? ip6(0x20010db8ull << 32 | i * 2654435761u, i) : ip4(i * 2654435761u);
		struct pst_block_hit hit = {0};

		assert_int_equal(block_lookup(lines, n_lines, &e, NOW, &hit),
			i < n ? PST_BLOCK_ADDRESS : PST_BLOCK_NONE);
		assert_true(i >= n || (hit.reason == i % 7 && hit.expires == PST_BLOCK_NEVER));
	}
}

static void a_million(void **state)
{
	struct block_set set = {0};

	(void)state;
	add_many(&set.block, 1000000, false);
	assert_int_equal(build(&set, LINES).twice, 0);
	check_many(LINES, 1000000, 200000, false);
	build(&set, LINES / 2); /* more than half full */
	check_many(LINES / 2, 1000000, 200000, false);
	block_set_done(&set);
	add_many(&set.block, 1000000, true);
	build(&set, LINES);
	check_many(LINES, 1000000, 200000, true);
	block_set_done(&set);
}

/* What it says it needs is enough, and less is too little. */
static void tables_without_room(void **state)
{
	struct block_options o = options();
	struct block_set set = {0};
	struct block_built built;
	uint32_t needed = 0, n = 1;

	(void)state;
	list_random(&set.block, 3000, 300, NOW);
	list_random(&set.allow, 100, 100, NOW);
	assert_int_equal(block_build(&set, lines, 0, &o, &built, &needed), -ENOSPC);
	for (; n < needed; n *= 2) {
		uint32_t again = 0;

		assert_int_equal(block_build(&set, lines, n, &o, &built, &again), -ENOSPC);
		assert_int_equal(again, needed);
	}
	assert_int_equal(block_build(&set, lines, needed - 1, &o, &built, &needed), -ENOSPC);
	assert_int_equal(block_build(&set, lines, needed, &o, &built, &needed), 0);
	build(&set, n);
	check_list(&set, n, &set.block);
	block_set_done(&set);
}

/* ---- changes ---- */

/* Until nothing more finds a place: all are found, and nothing else. */
static void full_buckets(void **state)
{
	(void)state;
	for (unsigned is_ip6 = 0; is_ip6 < 2; is_ip6++) {
		struct block_set set = {0};
		uint32_t n = 0;
		int e = 0;

		build(&set, 64);
		while (!e) {
			struct block_entry a =
				is_ip6 ? ip6(0x20010db8ull << 32 | n * 2654435761u, n) : ip4(n * 2654435761u);

			a.reason = (uint8_t)(n % 7);
			e = block_insert(lines, 64, &a, NOW);
			n += !e;
		}
		assert_int_equal(e, -ENOSPC);
		assert_true(n >= 16 * (is_ip6 ? PST_BLOCK_SLOTS_6 : PST_BLOCK_SLOTS_4));
		check_many(64, n, 100000, is_ip6);
	}
}

/* Inserts and removes against a plain array. */
static void random_changes(void **state)
{
	enum { KEYS = 400 };
	uint32_t expires[KEYS] = {0}, now = NOW;
	struct block_set set = {0};
	struct block_options o = options();
	struct block_built built;
	uint32_t needed;

	(void)state;
	o.spare_4 = o.spare_6 = 120; /* fewer than come: some buckets get full */
	assert_int_equal(block_build(&set, lines, 256, &o, &built, &needed), 0);
	for (unsigned round = 0; round < 200000; round++) {
		uint32_t i = (uint32_t)(list_draw() % KEYS);
		struct block_entry a = i % 2 ? ip6(i / 16, i) : ip4(i);
		struct pst_block_hit hit = {0};
		bool there = expires[i] > now;
		int e;

		now += list_draw() % 50 == 0;
		there = expires[i] > now;
		assert_int_equal(
			block_lookup(lines, 256, &a, now, &hit), there ? PST_BLOCK_ADDRESS : PST_BLOCK_NONE);
		assert_true(!there || hit.expires == expires[i]);
		if (list_draw() % 2) {
			assert_int_equal(block_remove(lines, 256, &a, now), there ? 0 : -ENOENT);
			expires[i] = 0;
			continue;
		}
		a.expires = now + 1 + (uint32_t)list_draw() % 5;
		e = block_insert(lines, 256, &a, now);
		if (e != -ENOSPC) {
			assert_int_equal(e, there);
			expires[i] = a.expires;
		}
	}
}

struct shared {
	uint32_t n_lines;
	struct block_entry a, b, stays;
	atomic_uint now, passes;
	atomic_bool stop;
	unsigned long found, wrong;
};

/* Finds what stays, at times what comes and goes, and never half of one address with half of the other. */
static void *read_on(void *arg)
{
	struct shared *s = arg;
	struct block_entry mixed[2] = {s->a, s->b};
	struct pst_block_hit hit;

	mixed[0].lo = s->b.lo;
	mixed[1].lo = s->a.lo;
	while (!atomic_load(&s->stop)) {
		uint32_t now = atomic_load(&s->now);

		s->found += block_lookup(lines, s->n_lines, &s->a, now, &hit) == PST_BLOCK_ADDRESS;
		s->found += block_lookup(lines, s->n_lines, &s->b, now, &hit) == PST_BLOCK_ADDRESS;
		s->wrong += block_lookup(lines, s->n_lines, &s->stays, now, &hit) != PST_BLOCK_ADDRESS;
		s->wrong += hit.reason != 9;
		for (int i = 0; i < 2 && s->a.ip6; i++)
			s->wrong += block_lookup(lines, s->n_lines, &mixed[i], now, &hit) != PST_BLOCK_NONE;
		atomic_fetch_add(&s->passes, 1);
	}
	return NULL;
}

/* A second goes by: whoever looked something up before is done with it. */
static void pass_second(struct shared *s)
{
	unsigned passes = atomic_load(&s->passes);

	while (atomic_load(&s->passes) - passes < 2)
		sched_yield();
	atomic_fetch_add(&s->now, 1);
}

static void change_under_reader(struct shared *s)
{
	struct block_set set = {0};
	struct block_options o = options();
	struct block_built built;
	uint32_t needed;
	pthread_t reader;

	s->stays.reason = 9;
	block_list_add(&set.block, &s->stays);
	assert_int_equal(block_build(&set, lines, s->n_lines, &o, &built, &needed), 0);
	atomic_store(&s->now, NOW);
	assert_int_equal(pthread_create(&reader, NULL, read_on, s), 0);
	for (unsigned round = 0; round < 3000; round++) {
		const struct block_entry *e = round % 2 ? &s->a : &s->b;
		uint32_t now = atomic_load(&s->now);

		assert_int_equal(block_insert(lines, s->n_lines, e, now), 0);
		if (round % 64 == 0)
			pass_second(s);
		assert_int_equal(block_remove(lines, s->n_lines, e, atomic_load(&s->now)), 0);
		for (int i = 0; i < BLOCK_GRACE_S && e->ip6; i++)
			pass_second(s);
	}
	atomic_store(&s->stop, true);
	pthread_join(reader, NULL);
	assert_int_equal(s->wrong, 0);
	assert_true(s->found > 0);
	block_set_done(&set);
}

/* One bucket, so that the two take turns in its slots. */
static void changes_under_a_reader(void **state)
{
	struct shared v4 = {.n_lines = 2, .a = ip4(1), .b = ip4(0), .stays = ip4(3)};
	struct shared v6 = {.n_lines = 2, .a = ip6(1, 11), .b = ip6(2, 22), .stays = ip6(3, 33)};

	(void)state;
	change_under_reader(&v4);
	change_under_reader(&v6);
}

/* Whoever writes the table may write anything: the look-up ends, inside the table (ASan watches). */
static void scribbled_tables(void **state)
{
	const uint32_t n = 2048;
	union pst_line *small = aligned_alloc(64, n * sizeof(*small));
	struct block_options o = options();
	struct block_set set = {0};
	struct block_built built;
	uint32_t needed;

	(void)state;
	list_random(&set.block, 300, 20, NOW);
	list_random(&set.allow, 10, 10, NOW);
	for (unsigned round = 0; round < 4000; round++) {
		uint8_t *bytes = (uint8_t *)small;

		if (round % 100 == 0)
			assert_int_equal(block_build(&set, small, n, &o, &built, &needed), 0);
		for (int k = 0; k < 20; k++)
			bytes[list_draw() % (built.lines * sizeof(*small))] = (uint8_t)list_draw();
		if (round % 7 == 0)
			for (size_t i = 0; i < n * sizeof(*small); i++)
				bytes[i] = (uint8_t)list_draw();
		else
			bytes[list_draw() % sizeof(*small)] = (uint8_t)list_draw();
		for (int k = 0; k < 40; k++) {
			struct block_entry e = entry_random(k & 1, true, NOW);
			struct pst_block_hit hit;

			block_lookup(small, n, &e, NOW, &hit);
			block_insert(small, n, &e, NOW);
			block_remove(small, n, &e, NOW);
		}
	}
	block_set_done(&set);
	free(small);
}

/* ---- text ---- */

static const struct block_clock noon = {
	.boot_ns = 5000000000000ull, .unix_ns = 1893456000000000000ull}; /* 2030 */

static struct block_loaded parse(
	const char *text, size_t len, struct block_set *set, struct pst_conf_errors *errors)
{
	PST_FREE char *copy = malloc(len); /* of exactly its size: ASan sees who reads on */
	struct block_loaded loaded = {0};

	memcpy(copy, text, len);
	assert_int_equal(
		block_parse("list", copy, len, &noon, &set->reasons, &set->block, errors, &loaded), 0);
	return loaded;
}

static void good_lines(void **state)
{
	static const char text[] =
		"# a list\n"
		"\n"
		"192.0.2.1\n"
		"  192.0.2.2\t \r\n"
		"192.0.2.3# at once\n"
		"192.0.2.4/32   # a comment\n"
		"10.0.0.0/8 reason=scan expires=1h30m\n"
		"0.0.0.0/0 expires=2030-01-01T00:00:10.5Z reason=\"two words # one text\" # two\n"
		"2001:DB8::1 reason=scan\n"
		"2001:db8::/32 expires=\"2030-01-01T01:00:01+01:00\"\n"
		"::ffff:192.0.2.5 reason=https://example.org/#list\n"
		"::ffff:0:0/96\n"
		"::/0 expires=99999d\n"
		"198.51.100.1 expires=2029-12-31T23:59:59Z reason=gone\n"
		"198.51.100.2 expires=0s\n"
		"255.255.255.255";
	struct block_set set = {0};
	struct pst_conf_errors errors = {0};
	struct block_loaded l = parse(text, sizeof(text) - 1, &set, &errors);
	const struct block_entry *p;

	(void)state;
	assert_null(errors.text);
	assert_int_equal(l.lines, 16);
	assert_int_equal(l.entries, 12);
	assert_int_equal(l.bad, 0);
	assert_int_equal(l.expired, 2);
	assert_int_equal(set.block.n_addrs4, 6);
	for (uint32_t i = 0; i < 4; i++)
		assert_int_equal(set.block.addrs4[i].addr, 0xc0000201 + i);
	assert_int_equal(set.block.addrs4[4].addr, 0xc0000205);
	assert_string_equal(
		block_reason(&set.reasons, set.block.addrs4[4].reason), "https://example.org/#list");
	assert_int_equal(set.block.addrs4[5].addr, 0xffffffff);
	assert_int_equal(set.block.addrs6.n, 1);
	assert_true(set.block.addrs6.v[0].hi == 0x20010db800000000 && set.block.addrs6.v[0].lo == 1);
	assert_string_equal(block_reason(&set.reasons, set.block.addrs6.v[0].reason), "scan");
	assert_int_equal(set.block.prefixes.n, 5);
	p = set.block.prefixes.v;
	assert_true(p[0].lo == 0x0a000000 && p[0].len == 8 && p[0].expires == 5000 + 5400 && !p[0].ip6);
	assert_true(p[1].lo == 0 && p[1].len == 0 && p[1].expires == 5011);
	assert_string_equal(block_reason(&set.reasons, p[1].reason), "two words # one text");
	assert_true(p[2].hi == 0x20010db800000000 && p[2].len == 32 && p[2].expires == 5001 && p[2].ip6);
	assert_true(p[3].lo == 0xffff00000000 && p[3].len == 96 && p[3].ip6 && !p[3].reason);
	assert_true(p[4].len == 0 && p[4].ip6 && p[4].expires == PST_BLOCK_NEVER - 1);
	block_set_done(&set);
}

static void bad_lines(void **state)
{
#define ADDRESS "expected an IPv4 or IPv6 address or prefix, such as 192.0.2.1 or 2001:db8::/32"
#define REST    "the address has bits behind this length: expected the first address of the prefix"
#define TIME    "expected a duration such as 1h30m or a time such as 2030-01-31T12:00:00Z"
	static const struct {
		const char *text, *message;
	} lines_of[] = {
		{"example.org", "1: 'example.org': " ADDRESS},
		{"  1.2.3", "3: '1.2.3': " ADDRESS},
		{"1.2.3.4.5", "1: '1.2.3.4.5': " ADDRESS},
		{"1.2.3.", "1: '1.2.3.': " ADDRESS},
		{"1,2,3,4", "1: '1,2,3,4': " ADDRESS},
		{"-1.2.3.4", "1: '-1.2.3.4': " ADDRESS},
		{"/8", "1: '/8': " ADDRESS},
		{"=", "1: '=': " ADDRESS},
		{"1.2.300.4", "5: '1.2.300.4': expected an octet of 0 to 255"},
		{"1.2.3.1000", "7: '1.2.3.1000': expected an octet of 0 to 255"},
		{"1.02.3.4", "3: '1.02.3.4': expected an octet without leading zeros"},
		{"1.2.3.4/33", "9: '1.2.3.4/33': expected a prefix length of 0 to 32"},
		{"1.2.3.4/", "9: '1.2.3.4/': expected a prefix length of 0 to 32"},
		{"1.2.3.4/08", "9: '1.2.3.4/08': expected a prefix length of 0 to 32"},
		{"1.2.3.4/255.0.0.0", "9: '1.2.3.4/255.0.0.0': expected a prefix length of 0 to 32"},
		{"10.0.0.1/8", "10: '10.0.0.1/8': " REST},
		{"2001:db8::1/64", "13: '2001:db8::1/64': " REST},
		{"::/129", "4: '::/129': expected a prefix length of 0 to 128"},
		{"1:2:3", "1: '1:2:3': expected an IPv6 address such as 2001:db8::1"},
		{"fe80::1%eth0", "1: 'fe80::1%eth0': expected an IPv6 address such as 2001:db8::1"},
		{"1.2.3.4 8080", "9: '8080': expected expires=, reason= or a comment behind #"},
		{"1.2.3.4 reason", "9: 'reason': expected expires=, reason= or a comment behind #"},
		{"1.2.3.4 Reason=x", "9: 'Reason': expected expires=, reason= or a comment behind #"},
		{"1.2.3.4 reason=a reason=b", "18: reason= is there twice: expected it once"},
		{"1.2.3.4 expires=1h expires=1h", "20: expires= is there twice: expected it once"},
		{"1.2.3.4 reason=", "16: expected a reason of 1 to 64 bytes"},
		{"1.2.3.4 reason=\"\"", "17: expected a reason of 1 to 64 bytes"},
		{"1.2.3.4 reason=\"a\001b\"", "18: expected a reason without control characters"},
		{"1.2.3.4 reason=\"a", "16: expected a closing quote before the end of the line"},
		{"1.2.3.4 reason=\"a\"b", "19: expected a blank after the closing quote"},
		{"1.2.3.4 expires=soon", "17: 'soon': " TIME},
		{"1.2.3.4 expires=", "17: '': " TIME},
		{"1.2.3.4 expires=-1h", "17: '-1h': " TIME},
		{"1.2.3.4 expires=1893456000", "17: '1893456000': " TIME},
		{"1.2.3.4 expires=2030-02-30T00:00:00Z", "17: '2030-02-30T00:00:00Z': " TIME},
		{"\033[2J", "1: '?[2J': " ADDRESS},
	};

	(void)state;
	for (size_t i = 0; i < PST_ARRAY_SIZE(lines_of); i++) {
		struct block_set set = {0};
		struct pst_conf_errors errors = {0};
		char text[256], message[256];
		int len = snprintf(text, sizeof(text), "9.9.9.9\n%s\n8.8.8.8", lines_of[i].text);
		struct block_loaded l = parse(text, (size_t)len, &set, &errors);

		snprintf(message, sizeof(message), "list:2:%s\n", lines_of[i].message);
		assert_non_null(errors.text);
		assert_string_equal(errors.text, message);
		assert_int_equal(l.bad, 1);
		assert_int_equal(l.lines, 3);
		assert_int_equal(set.block.n_addrs4, 2);
		pst_conf_errors_done(&errors);
		block_set_done(&set);
	}
}

/* Too long, a NUL byte, and more bad lines than messages. */
static void worse_lines(void **state)
{
	static char text[BLOCK_LINE_MAX * 64];
	struct block_set set = {0};
	struct pst_conf_errors errors = {0};
	size_t len = 0;
	struct block_loaded l;

	(void)state;
	memset(text, ' ', sizeof(text));
	memcpy(text, "1.2.3.4", 7);
	text[BLOCK_LINE_MAX] = '\n';
	text[2 * BLOCK_LINE_MAX + 2] = '\n';
	l = parse(text, 2 * BLOCK_LINE_MAX + 3, &set, &errors);
	assert_int_equal(l.bad, 1);
	assert_string_equal(errors.text, "list:2:1: expected a line of at most 1024 bytes\n");
	pst_conf_errors_done(&errors);
	l = parse("1.2.3.4\0\n1.2.3.4 reason=\"a\0\"", 28, &set, &errors);
	assert_int_equal(l.bad, 2);
	pst_conf_errors_done(&errors);
	for (int i = 0; i < 1000; i++)
		len += (size_t)sprintf(text + len, "1.2.3.%d\nbad%d\n", i % 256, i);
	l = parse(text, len, &set, &errors);
	assert_int_equal(l.bad, 1000);
	assert_int_equal(l.entries, 1000);
	assert_int_equal(errors.count, 1000);
	assert_non_null(strstr(errors.text, "list:40:1: 'bad19'"));
	assert_null(strstr(errors.text, "bad20"));
	pst_conf_errors_done(&errors);
	block_set_done(&set);
}

/* More texts than numbers. */
static void many_reasons(void **state)
{
	static char text[300 * 32];
	struct block_set set = {0};
	struct pst_conf_errors errors = {0};
	size_t len = 0;

	(void)state;
	for (int i = 0; i < 300; i++)
		len += (size_t)sprintf(text + len, "10.0.0.%d reason=r%d\n", i % 250, i % 290);
	assert_int_equal(parse(text, len, &set, &errors).unnamed, 290 - 254);
	assert_int_equal(set.reasons.n, 254);
	for (int i = 0; i < 300; i++) {
		char want[32];

		snprintf(want, sizeof(want), "r%d", i % 290);
		assert_string_equal(block_reason(&set.reasons, set.block.addrs4[i].reason),
			i % 290 < 254 ? want : "another reason");
	}
	block_set_done(&set);
}

/* What inet_pton() takes, and the same of it, but for octets with leading zeros. */
static void addresses_of_libc(void **state)
{
	static const char alphabet[] = "0123456789abcdefF::::::....";
	static const char *const some[] = {"::", "::1", "1::", ":::", "1:2:3:4:5:6:7::", "::2:3:4:5:6:7:8",
		"1:2:3:4:5:6:7:8", "1:2:3:4:5:6:7:8:9", "1:2:3:4::5:6:7:8", "1::2::3", ":1",
		"1:", "::1.2.3.4", "1:2:3:4:5:6:1.2.3.4", "1:2:3:4:5:6:7:1.2.3.4", "::1.2.3", "::1.2.3.4:5",
		"12345::", "::1.2.3.256", "1:2:3:4:5:6:7:", "::.1", "", ":"};

	(void)state;
	for (unsigned i = 0; i < 400000; i++) {
		char text[48] = "::";
		size_t len = list_draw() % 20;
		struct block_entry e;
		uint8_t bytes[16];
		int is_ip6;

		for (size_t k = 0; k < len; k++)
			text[k] = alphabet[list_draw() % (sizeof(alphabet) - 1)];
		if (i < PST_ARRAY_SIZE(some))
			strcpy(text, some[i]);
		is_ip6 = !!strchr(text, ':');
		if (inet_pton(is_ip6 ? AF_INET6 : AF_INET, text, bytes) != 1) {
			assert_int_equal(block_entry_parse(text, strlen(text), &e), -EINVAL);
			continue;
		}
		if (block_entry_parse(text, strlen(text), &e)) {
			assert_non_null(strstr(text, "."));
			continue;
		}
		for (unsigned k = 0; is_ip6 && e.ip6 && k < 8; k++) {
			assert_int_equal(bytes[k], e.hi >> (56 - 8 * k) & 0xff);
			assert_int_equal(bytes[8 + k], e.lo >> (56 - 8 * k) & 0xff);
		}
		for (unsigned k = 0; !e.ip6 && k < 4; k++)
			assert_int_equal(bytes[(is_ip6 ? 12 : 0) + k], e.lo >> (24 - 8 * k) & 0xff);
	}
}

static void a_file(void **state)
{
	char path[] = "/tmp/test_block.XXXXXX";
	int fd = mkstemp(path);
	FILE *f = fdopen(fd, "w");
	struct block_set set = {0};
	struct pst_conf_errors errors = {0};
	struct block_loaded l = {0};

	(void)state;
	for (uint32_t i = 0; i < 1000000; i++) {
		uint32_t a = i * 2654435761u;

		fprintf(f, "%u.%u.%u.%u\n", a >> 24, a >> 16 & 255, a >> 8 & 255, a & 255);
	}
	fprintf(f, "10.0.0.1/8\n");
	fclose(f);
	assert_int_equal(block_load(path, &noon, &set.reasons, &set.block, &errors, &l), 0);
	assert_int_equal(l.entries, 1000000);
	for (uint32_t i = 0; i < 1000000; i++)
		assert_int_equal(set.block.addrs4[i].addr, i * 2654435761u);
	assert_int_equal(strncmp(errors.text, path, strlen(path)), 0);
	assert_int_equal(strncmp(errors.text + strlen(path), ":1000001:10: ", 13), 0);
	unlink(path);
	assert_int_equal(block_load(path, &noon, &set.reasons, &set.block, &errors, &l), -ENOENT);
	assert_int_equal(block_load("/tmp", &noon, &set.reasons, &set.block, &errors, &l), -EINVAL);
	pst_conf_errors_done(&errors);
	block_set_done(&set);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(empty_lists),
		cmocka_unit_test(random_lists),
		cmocka_unit_test(ends_of_everything),
		cmocka_unit_test(expiry),
		cmocka_unit_test(what_is_there_twice),
		cmocka_unit_test(a_million),
		cmocka_unit_test(tables_without_room),
		cmocka_unit_test(full_buckets),
		cmocka_unit_test(random_changes),
		cmocka_unit_test(changes_under_a_reader),
		cmocka_unit_test(scribbled_tables),
		cmocka_unit_test(good_lines),
		cmocka_unit_test(bad_lines),
		cmocka_unit_test(worse_lines),
		cmocka_unit_test(many_reasons),
		cmocka_unit_test(addresses_of_libc),
		cmocka_unit_test(a_file),
	};

	return cmocka_run_group_tests(tests, make_lines, free_lines);
}
