/* SPDX-License-Identifier: Apache-2.0 */
/* What the packet programs counted, over all CPUs. */
#ifndef POLICYD_GUARD_COUNTS_H
#define POLICYD_GUARD_COUNTS_H

#include "policyd/guard/tables.h"

void guard_count_add(struct pst_guard_count *sum, const struct pst_guard_count *count);
/* Zeros where nothing is mapped, or for a place that there is not. */
/* @reason: also enum pst_guard_event. */
struct pst_guard_count guard_count_reason(const struct guard_tables *tables, unsigned reason);
struct pst_guard_count guard_count_rule(const struct guard_tables *tables, uint32_t place);
/* Before a new rule counts there. */
void guard_count_clear(const struct guard_tables *tables, uint32_t place);
struct pst_guard_count guard_count_sig(const struct guard_tables *tables, uint32_t place);
void guard_count_clear_sig(const struct guard_tables *tables, uint32_t place);

/*
 * Totals of all places, for who asks often about all: they are made once a second at most, and in the order
 * in which they lie in memory, since a line of each place for each CPU is many.
 */
struct guard_totals {
	struct pst_guard_count *v; /* owned, PST_FW_COUNTERS */
	uint64_t until_ns;         /* CLOCK_MONOTONIC: until then they count */
	uint64_t generation;       /* of the firewall, whose rules count there */
};

/* NULL without memory; stays the totals'. */
const struct pst_guard_count *guard_totals(
	struct guard_totals *totals, const struct guard_tables *tables, uint64_t now_ns);
void guard_totals_done(struct guard_totals *totals); /* zeroed: nothing to do */

#endif
