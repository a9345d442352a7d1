/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What the iterator over `syscalls` needs beside the table itself. */
#ifndef PST_MAPS_SYSCALLS_END_BPF_H
#define PST_MAPS_SYSCALLS_END_BPF_H

#include "bpf/lib/common.bpf.h"

#define SYSCALLS_LOST_LINES 64

/* Calls that found no room in the table; CPU n counts in line n % SYSCALLS_LOST_LINES. */
struct syscalls_lost {
	__u64 count;
	__u64 pad[7];
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, SYSCALLS_LOST_LINES);
	__type(key, __u32);
	__type(value, struct syscalls_lost);
} syscalls_lost SEC(".maps");

/*
 * Cgroups that were removed: the next pass of the iterator shows their entries for the last time and deletes
 * them, so that the table is not filled by containers long gone.
 */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 4096);
	__type(key, __u64);
	__type(value, __u8);
} cgroups_gone SEC(".maps");

#endif
