/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A bound on records that strangers can cause as fast as they send packets. Per CPU
 * and second; what exceeds it is counted in class_stats.suppressed and costs no ring space.
 */
#ifndef PST_RATE_BPF_H
#define PST_RATE_BPF_H

#include "bpf/lib/common.bpf.h"
#include "bpf/lib/emit.bpf.h"

enum pst_rate_kind {
	PST_RATE_DROP = 0,
	PST_RATE_RESET = 1,
	PST_RATE_MAX = 2,
};

struct pst_rate {
	__u64 second;
	__u64 count;
};

/* Not shared with other objects, and worth nothing after an upgrade. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, PST_RATE_MAX);
	__type(key, __u32);
	__type(value, struct pst_rate);
} net_rates SEC(".maps");

/* May one more record go out? @limit 0: always. A program that an interrupt cuts into may miscount by one. */
static __always_inline bool pst_rate_ok(__u32 kind, __u32 limit)
{
	struct pst_class_stat *s;
	struct pst_rate *r;
	__u64 second;

	if (!limit)
		return true;
	r = bpf_map_lookup_elem(&net_rates, &kind);
	if (!r)
		return false;
	second = bpf_ktime_get_ns() >> 30; /* 1.07 s: no division */
	if (r->second != second) {
		r->second = second;
		r->count = 0;
	}
	if (r->count < limit) {
		r->count++;
		return true;
	}
	s = pst_stat(PST_CLASS_NET);
	if (s)
		__sync_fetch_and_add(&s->suppressed, 1);
	return false;
}

#endif
