// SPDX-License-Identifier: Apache-2.0
/*
 * Prefixes lie around one another, and an outer one may hold longer than an inner one. So each interval
 * between two ends of prefixes leads to the one around it that expires last: the look-up has one record to
 * read.
 */
#include "policyd/block/trees.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "policyd/block/set.h"
#include "proto/base/cleanup.h"

#define LENS             129 /* 0 to 128 */
#define RECORDS_A_LINE   8
#define RECORD_LEN_BIT   32
#define RECORD_CAUSE_BIT 40

struct prefix {
	fw_key first, last;
	uint64_t record;
};

struct records {
	uint64_t *v;
	size_t n, size;
	uint32_t line;
};

/* A prefix that the sweep is in. */
struct open_prefix {
	fw_key first, last;
	uint64_t best; /* of it and those around it */
};

struct sweep {
	struct open_prefix open[LENS];
	unsigned n_open;
	struct fw_interval *v;
	size_t n;
	fw_key top;
	const struct records *records;
};

struct prefixes {
	struct prefix *v;
	size_t n, size;
};

static void records_done(struct records *r)
{
	free(r->v);
}

static void prefixes_done(struct prefixes *p)
{
	free(p->v);
}

static uint64_t record_of(const struct block_entry *e)
{
	return block_expiry(e->expires) | (uint64_t)e->len << RECORD_LEN_BIT |
	       (uint64_t)e->reason << RECORD_CAUSE_BIT;
}

static struct block_entry entry_of(const struct block_addr4 *a)
{
	return (struct block_entry){.lo = a->addr, .expires = a->expires, .reason = a->reason, .len = 32};
}

/* ---- all that goes into trees ---- */

typedef int visit_fn(void *arg, const struct block_entry *entry);

static int visit_entries(const struct block_entries *entries, uint32_t now, visit_fn *visit, void *arg)
{
	int e = 0;

	for (size_t i = 0; i < entries->n && !e; i++)
		if (block_expiry(entries->v[i].expires) > now)
			e = visit(arg, &entries->v[i]);
	return e;
}

static int visit_list(const struct block_list *list, bool has_addrs, uint32_t now, visit_fn *visit, void *arg)
{
	int e = visit_entries(&list->prefixes, now, visit, arg);

	if (e || !has_addrs)
		return e;
	for (size_t i = 0; i < list->n_addrs4 && !e; i++) {
		struct block_entry entry = entry_of(&list->addrs4[i]);

		if (block_expiry(entry.expires) > now)
			e = visit(arg, &entry);
	}
	return e ? e : visit_entries(&list->addrs6, now, visit, arg);
}

/* ---- records ---- */

static int add_record(void *arg, const struct block_entry *entry)
{
	struct records *r = arg;
	uint64_t record = record_of(entry);

	if (r->n && r->v[r->n - 1] == record)
		return 0;
	if (array_room((void **)&r->v, &r->size, r->n, sizeof(*r->v)))
		return -ENOMEM;
	r->v[r->n++] = record;
	return 0;
}

static int by_number(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

static int put_records(struct records *r, struct fw_arena *arena)
{
	size_t n = 0;
	int e;

	if (!r->n)
		return 0;
	qsort(r->v, r->n, sizeof(*r->v), by_number);
	for (size_t i = 0; i < r->n; i++)
		if (!n || r->v[i] != r->v[n - 1])
			r->v[n++] = r->v[i];
	r->n = n;
	e = fw_arena_take(arena, (uint32_t)((n + RECORDS_A_LINE - 1) / RECORDS_A_LINE), &r->line);
	if (!e)
		memcpy(arena->lines + r->line, r->v, n * sizeof(*r->v));
	return e;
}

static uint32_t place_of(const struct records *r, uint64_t record)
{
	const uint64_t *p = record ? bsearch(&record, r->v, r->n, sizeof(*r->v), by_number) : NULL;

	return p ? r->line * RECORDS_A_LINE + (uint32_t)(p - r->v) : 0;
}

/* ---- one tree ---- */

struct wanted {
	struct prefixes *prefixes;
	bool ip6;
};

static int add_prefix(void *arg, const struct block_entry *e)
{
	struct wanted *w = arg;
	struct prefixes *p = w->prefixes;
	unsigned rest = (e->ip6 ? 128 : 32) - e->len;
	fw_key first = (fw_key)e->hi << 64 | e->lo;

	if (e->ip6 != w->ip6)
		return 0;
	if (array_room((void **)&p->v, &p->size, p->n, sizeof(*p->v)))
		return -ENOMEM;
	p->v[p->n++] = (struct prefix){
		.first = first,
		.last = rest == 128 ? ~(fw_key)0 : first + (((fw_key)1 << rest) - 1),
		.record = record_of(e),
	};
	return 0;
}

/* An outer one is before the inner ones. */
static int by_place(const void *a, const void *b)
{
	const struct prefix *x = a, *y = b;

	if (x->first != y->first)
		return x->first < y->first ? -1 : 1;
	return x->last > y->last ? -1 : x->last < y->last;
}

static void emit(struct sweep *s, fw_key start, uint64_t best)
{
	uint32_t value = place_of(s->records, best);

	if (s->v[s->n - 1].start != start)
		s->n++;
	s->v[s->n - 1] = (struct fw_interval){.start = start, .value = value};
}

static void leave(struct sweep *s)
{
	fw_key last = s->open[--s->n_open].last;

	if (last < s->top)
		emit(s, last + 1, s->n_open ? s->open[s->n_open - 1].best : 0);
}

static void enter(struct sweep *s, const struct prefix *p)
{
	struct open_prefix *in = s->n_open ? &s->open[s->n_open - 1] : NULL;
	uint64_t best = p->record;

	if (in && (uint32_t)in->best > (uint32_t)best)
		best = in->best;
	if (in && in->first == p->first && in->last == p->last)
		in->best = best;
	else
		s->open[s->n_open++] = (struct open_prefix){.first = p->first, .last = p->last, .best = best};
	emit(s, p->first, best);
}

/* @v has room for two intervals a prefix and one. Returns how many there are. */
static size_t make_intervals(
	const struct prefixes *prefixes, const struct records *records, bool ip6, struct fw_interval *v)
{
	struct sweep s = {.v = v, .n = 1, .records = records, .top = ip6 ? ~(fw_key)0 : UINT32_MAX};

	v[0] = (struct fw_interval){0};
	for (size_t i = 0; i < prefixes->n; i++) {
		const struct prefix *p = &prefixes->v[i];

		while (s.n_open && s.open[s.n_open - 1].last < p->first)
			leave(&s);
		enter(&s, p);
	}
	while (s.n_open)
		leave(&s);
	return s.n;
}

static int build_tree(const struct block_list *list, bool has_addrs, bool ip6, uint32_t now,
	const struct records *records, struct fw_arena *arena, uint32_t *ret_entry)
{
	PST_CLEANUP(prefixes_done) struct prefixes prefixes = {0};
	PST_FREE struct fw_interval *v = NULL;
	struct wanted w = {.prefixes = &prefixes, .ip6 = ip6};
	int e = visit_list(list, has_addrs, now, add_prefix, &w);

	if (e)
		return e;
	if (prefixes.n)
		qsort(prefixes.v, prefixes.n, sizeof(*prefixes.v), by_place);
	v = calloc(prefixes.n * 2 + 1, sizeof(*v));
	if (!v)
		return -ENOMEM;
	return fw_tree_build(
		arena, v, make_intervals(&prefixes, records, ip6, v), ip6 ? PST_STRIDES_MAX : 2, ret_entry);
}

int block_trees_build(const struct block_set *set, struct fw_arena *arena, uint32_t now,
	struct pst_block_head *head, uint32_t *ret_records)
{
	PST_CLEANUP(records_done) struct records records = {0};
	int e = visit_list(&set->block, false, now, add_record, &records);

	e = e ? e : visit_list(&set->allow, true, now, add_record, &records);
	e = e ? e : put_records(&records, arena);
	for (unsigned ip6 = 0; ip6 < 2 && !e; ip6++) {
		e = build_tree(&set->allow, true, ip6, now, &records, arena, &head->allow[ip6]);
		e = e ? e : build_tree(&set->block, false, ip6, now, &records, arena, &head->block[ip6]);
	}
	if (!e)
		*ret_records = (uint32_t)records.n;
	return e;
}
