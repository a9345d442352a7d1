/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef PST_MAPS_FLOW_BPF_H
#define PST_MAPS_FLOW_BPF_H

#include "bpf/lib/common.bpf.h"

/* Slot table, frozen by the loader and mapped read-only by the collector. The loader sets the size and
 * cfg_flow_mask together. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 65536);
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, __u32);
	__type(value, struct pst_flow);
} flows SEC(".maps");

/* Buckets of `flows` in which a key is being made, with the time; as many at once as there are CPUs. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 4096);
	__type(key, __u32);
	__type(value, __u64);
} claims SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_HASH);
	__uint(max_entries, 16384);
	__type(key, struct pst_iface_key);
	__type(value, struct pst_iface_count);
} iface_counters SEC(".maps");

#endif
