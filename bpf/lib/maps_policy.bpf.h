/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The page that says what policies are in force. */
#ifndef PST_MAPS_POLICY_BPF_H
#define PST_MAPS_POLICY_BPF_H

#include "bpf/lib/common.bpf.h"
#include "proto/abi/policy.h"

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, __u32);
	__type(value, struct pst_policy);
} policy SEC(".maps");

static __always_inline struct pst_policy *pst_policy_page(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&policy, &zero);
}

#endif
