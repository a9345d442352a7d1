/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef PST_MAPS_UDP_BPF_H
#define PST_MAPS_UDP_BPF_H

#include "bpf/lib/common.bpf.h"

/* Slot table, frozen by the loader and mapped read-only by the collector. The loader sets the size and
 * cfg_udp_mask together. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 16384);
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, __u32);
	__type(value, struct pst_udp);
} udp_peers SEC(".maps");

/* Buckets of `udp_peers` in which a key is being made, with the time. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 4096);
	__type(key, __u32);
	__type(value, __u64);
} claims_udp SEC(".maps");

struct pst_udp_owner {
	__u64 start_ns;
	__u64 cgroup_id;
	__u32 pid;
	__u32 pad;
};

/* By socket cookie: who bound the socket, or last sent to a new peer through it. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 16384);
	__type(key, __u64);
	__type(value, struct pst_udp_owner);
} udp_owners SEC(".maps");

#endif
