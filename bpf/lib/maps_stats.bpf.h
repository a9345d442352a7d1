/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The two small tables that every emitting object shares. */
#ifndef PST_MAPS_STATS_BPF_H
#define PST_MAPS_STATS_BPF_H

#include "bpf/lib/common.bpf.h"

/* class * PST_CPUS_MAX + cpu; frozen by the loader, mapped read-only by the collector */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, PST_CLASS_MAX *PST_CPUS_MAX);
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, __u32);
	__type(value, struct pst_class_stat);
} class_stats SEC(".maps");

/* One line per class, mapped read-write by the collector. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, PST_CLASS_MAX);
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, __u32);
	__type(value, struct pst_ring_ctl);
} ring_ctl SEC(".maps");

#endif
