/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A bound on records that any process can cause as fast as it makes system calls: a bucket per cgroup and
 * kind of record, so that nobody uses up what others have. What exceeds it is counted in
 * class_stats.suppressed and costs no ring space.
 *
 * The bucket is one word, the time at which it will be full again: each record moves it one gap on, and one
 * that would move it more than a second beyond now stays out. Two CPUs at once may let one record too many
 * through (no compare and exchange before 5.12).
 */
#ifndef PST_CGRATE_BPF_H
#define PST_CGRATE_BPF_H

#include "bpf/lib/common.bpf.h"
#include "bpf/lib/emit.bpf.h"

#define PST_CGRATE_BURST_NS 1000000000ULL

/* Nanoseconds between two records of one cgroup and kind; 0: no bound. */
const volatile __u64 cfg_cgroup_gap_ns = 0;

struct pst_cgrate_key {
	__u64 cgroup_id;
	__u64 kind; /* enum pst_rec_kind */
};

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 8192);
	__type(key, struct pst_cgrate_key);
	__type(value, __u64);
} cgroup_rates SEC(".maps");

static __always_inline bool pst_cgrate_held(__u32 class)
{
	struct pst_class_stat *s = pst_stat(class);

	if (s)
		__sync_fetch_and_add(&s->suppressed, 1);
	return false;
}

/* May the current cgroup cause one more record of the kind, which is of that class? */
static __always_inline bool pst_cgrate_ok(__u32 class, __u32 kind)
{
	struct pst_cgrate_key key = {};
	__u64 now, *full, next;

	if (!cfg_cgroup_gap_ns)
		return true;
	key.cgroup_id = bpf_get_current_cgroup_id();
	key.kind = kind;
	now = bpf_ktime_get_ns();
	full = bpf_map_lookup_elem(&cgroup_rates, &key);
	if (!full) {
		next = now + cfg_cgroup_gap_ns;
		bpf_map_update_elem(&cgroup_rates, &key, &next, BPF_NOEXIST);
		return true;
	}
	next = *(volatile __u64 *)full;
	next = (next > now ? next : now) + cfg_cgroup_gap_ns;
	if (next > now + PST_CGRATE_BURST_NS)
		return pst_cgrate_held(class);
	*(volatile __u64 *)full = next;
	return true;
}

#endif
