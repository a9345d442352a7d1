// SPDX-License-Identifier: Apache-2.0
#include "policyd/guard/counts.h"

#include <stdlib.h>
#include <string.h>

#define LASTS_NS 1000000000ull

static struct pst_guard_counts *of_cpu(const struct guard_tables *t, size_t cpu)
{
	return (struct pst_guard_counts *)t->counts.base + cpu;
}

/* Each CPU adds to its own by plain stores: what is read may be a packet old. */
void guard_count_add(struct pst_guard_count *sum, const struct pst_guard_count *c)
{
	sum->packets += __atomic_load_n(&c->packets, __ATOMIC_RELAXED);
	sum->bytes += __atomic_load_n(&c->bytes, __ATOMIC_RELAXED);
}

struct pst_guard_count guard_count_reason(const struct guard_tables *t, unsigned reason)
{
	struct pst_guard_count sum = {0};

	for (size_t cpu = 0; reason < PST_GUARD_REASONS_ROOM && cpu < t->counts.entries; cpu++)
		guard_count_add(&sum, &of_cpu(t, cpu)->reason[reason]);
	return sum;
}

struct pst_guard_count guard_count_rule(const struct guard_tables *t, uint32_t place)
{
	struct pst_guard_count sum = {0};

	for (size_t cpu = 0; place < PST_FW_COUNTERS && cpu < t->counts.entries; cpu++)
		guard_count_add(&sum, &of_cpu(t, cpu)->rule[place]);
	return sum;
}

void guard_count_clear(const struct guard_tables *t, uint32_t place)
{
	for (size_t cpu = 0; place < PST_FW_COUNTERS && cpu < t->counts.entries; cpu++)
		of_cpu(t, cpu)->rule[place] = (struct pst_guard_count){0};
}

struct pst_guard_count guard_count_sig(const struct guard_tables *t, uint32_t place)
{
	struct pst_guard_count sum = {0};

	for (size_t cpu = 0; place < PST_SIGS && cpu < t->counts.entries; cpu++)
		guard_count_add(&sum, &of_cpu(t, cpu)->sig[place]);
	return sum;
}

void guard_count_clear_sig(const struct guard_tables *t, uint32_t place)
{
	for (size_t cpu = 0; place < PST_SIGS && cpu < t->counts.entries; cpu++)
		of_cpu(t, cpu)->sig[place] = (struct pst_guard_count){0};
}

const struct pst_guard_count *guard_totals(
	struct guard_totals *totals, const struct guard_tables *t, uint64_t now_ns)
{
	uint64_t generation = guard_generation(&t->firewall);

	if (!totals->v)
		totals->v = calloc(PST_FW_COUNTERS, sizeof(*totals->v));
	if (!totals->v || (now_ns < totals->until_ns && generation == totals->generation))
		return totals->v;
	memset(totals->v, 0, PST_FW_COUNTERS * sizeof(*totals->v));
	for (size_t cpu = 0; cpu < t->counts.entries; cpu++)
		for (size_t place = 0; place < PST_FW_COUNTERS; place++)
			guard_count_add(&totals->v[place], &of_cpu(t, cpu)->rule[place]);
	totals->until_ns = now_ns + LASTS_NS;
	totals->generation = generation;
	return totals->v;
}

void guard_totals_done(struct guard_totals *totals)
{
	free(totals->v);
	*totals = (struct guard_totals){0};
}
