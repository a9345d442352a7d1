// SPDX-License-Identifier: Apache-2.0
#include "policyd/guard/offenders.h"

#include <endian.h>

#include "proto/base/cleanup.h"
#include "proto/base/loop.h"
#include "proto/wire/names.h"

#define NS 1000000000ull

/* ---- how ---- */

uint64_t offenders_flags(const struct offenders_config *c)
{
	if (!c->after)
		return 0;
	return PST_GUARD_OFFENDERS | (c->forgeable ? PST_GUARD_FORGEABLE : 0u);
}

void offenders_limits(const struct offenders_config *c, struct pst_guard_limits *l)
{
	uint64_t cost = c->after ? PST_MAX((c->within_ns >> PST_OFFENDER_UNIT) / c->after, 1) : 0;

	l->offend_cost = (uint32_t)PST_MIN(cost, (uint64_t)UINT32_MAX);
	/* the last one finds a little less than the others took: some time has passed since */
	l->offend_ahead = (uint32_t)PST_MIN(cost * c->after - cost / 2, (uint64_t)UINT32_MAX);
	l->offend_for = c->after ? (uint32_t)PST_MIN(c->for_ns >> 20, (uint64_t)UINT32_MAX) : 0;
}

bool offenders_ask(const struct offenders_config *c)
{
	return c->after && !c->forgeable;
}

enum ddos_action offenders_action(const struct offenders_config *c)
{
	return c->after ? c->action : DDOS_OFF;
}

/* ---- which ---- */

static struct pst_offender *at(const struct guard_tables *t, size_t i)
{
	struct pst_offenders *sets = t->offenders.base;

	return &sets[i / PST_OFFENDER_WAYS].way[i % PST_OFFENDER_WAYS];
}

#define PLACES ((size_t)PST_OFFENDER_SETS * PST_OFFENDER_WAYS)

/* 0: it is not blocked */
static uint64_t blocked_word(const struct pst_offender *o, uint64_t now)
{
	uint64_t word = __atomic_load_n(&o->word, __ATOMIC_RELAXED);

	return word & PST_OFFENDER_BLOCKED && (word & PST_OFFENDER_TIME) > now ? word : 0;
}

static uint64_t source_of(const struct pst_offender *o)
{
	return __atomic_load_n(&o->source, __ATOMIC_RELAXED);
}

/* As it lies in the packet; of an IPv4 address the lower half is 0. */
static struct block_entry entry_of(uint64_t source)
{
	if (!(uint32_t)source)
		return (struct block_entry){.lo = be32toh((uint32_t)(source >> 32)), .len = 32};
	return (struct block_entry){.hi = be64toh(source), .len = 64, .ip6 = true};
}

static struct offender offender_of(uint64_t source, uint64_t word, uint64_t now)
{
	const char *cause = pst_guard_offence_name(word >> PST_OFFENDER_CAUSE_SHIFT & 7);

	return (struct offender){.source = entry_of(source),
		.left_s = (((word & PST_OFFENDER_TIME) - now) << PST_OFFENDER_UNIT) / NS,
		.cause = cause ? cause : "?"};
}

void offenders_read(const struct guard_tables *t, uint64_t now_ns, struct offenders_list *ret)
{
	uint64_t now = now_ns >> PST_OFFENDER_UNIT;

	ret->n = ret->total = 0;
	for (size_t i = 0; guard_tables_mapped(t) && i < PLACES; i++) {
		uint64_t word = blocked_word(at(t, i), now);

		if (!word)
			continue;
		if (ret->n < OFFENDERS_SHOWN)
			ret->v[ret->n++] = offender_of(source_of(at(t, i)), word, now);
		ret->total++;
	}
}

size_t offenders_count(const struct guard_tables *t, uint64_t now_ns)
{
	size_t n = 0;

	for (size_t i = 0; guard_tables_mapped(t) && i < PLACES; i++)
		n += blocked_word(at(t, i), now_ns >> PST_OFFENDER_UNIT) != 0;
	return n;
}

/* ---- no longer ---- */

static bool is_of(const struct block_entry *source, const struct block_entry *e)
{
	if (source->ip6 != e->ip6 || e->len < source->len)
		return false;
	return e->ip6 ? source->hi == e->hi : source->lo == e->lo;
}

bool offenders_free(const struct guard_tables *t, const struct block_entry *e)
{
	uint64_t now = pst_now_boot_ns() >> PST_OFFENDER_UNIT;
	bool found = false;

	for (size_t i = 0; guard_tables_mapped(t) && i < PLACES; i++) {
		struct block_entry source = entry_of(source_of(at(t, i)));

		if (!blocked_word(at(t, i), now) || !is_of(&source, e))
			continue;
		__atomic_store_n(&at(t, i)->word, 0, __ATOMIC_RELAXED);
		found = true;
	}
	return found;
}
