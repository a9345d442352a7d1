/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Which generation of the programs works. Tracing links cannot be given another program, so an upgrade
 * attaches the new programs beside the old ones and then moves the gate, CPU by CPU, by a store made on that
 *CPU: handlers of one event run one after the other without preemption, so all see the gate before the move
 *or all after it, and every event is handled by exactly one generation. (docs/design/kernel.md, "Upgrade in
 *place", has what remains.)
 *
 * First line of every program that is attached to a tracepoint or a function:
 *	if (pst_gate_closed())
 *		return 0;
 */
#ifndef PST_GATE_BPF_H
#define PST_GATE_BPF_H

#include "bpf/lib/common.bpf.h"

/* Drawn by the loader for each load; 0 is open for the gate of a test that sets neither. */
const volatile __u32 cfg_generation = 0;

/* Generation in force on CPU n, n % PST_CPUS_MAX. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, PST_CPUS_MAX);
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, __u32);
	__type(value, __u32);
} gate SEC(".maps");

/* How many generations the gate is past this one; below 0: not there yet. */
static __always_inline int pst_gate_past(void)
{
	__u32 i = bpf_get_smp_processor_id() & (PST_CPUS_MAX - 1);
	__u32 *generation = bpf_map_lookup_elem(&gate, &i);

	return generation ? (int)(*(volatile __u32 *)generation - cfg_generation) : -1;
}

/*
 * What forbids something must not find itself between two generations: at trampolines a task may be stopped
 * behind a program whose gate is closed still, and go on with one whose gate is closed by then. So programs
 * of objects that define PST_GATE_STAYS work on until they are detached, and only say no more (enforce()).
 */
static __always_inline bool pst_gate_closed(void)
{
#ifdef PST_GATE_STAYS
	return pst_gate_past() < 0;
#else
	return pst_gate_past() != 0;
#endif
}

#endif
