/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef PST_MAPS_SYSCALLS_BPF_H
#define PST_MAPS_SYSCALLS_BPF_H

#include "bpf/lib/common.bpf.h"

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_HASH);
	__uint(max_entries, 16384);
	__type(key, struct pst_syscall_key);
	__type(value, __u64);
} syscalls SEC(".maps");

#endif
