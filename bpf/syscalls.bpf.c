/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Sensor `syscalls`: how often each cgroup makes which system call. Every call
 * of the host passes here; the attached hook alone costs it some 16 ns, this program 15 more.
 */
#include "bpf/lib/gate.bpf.h"
#include "bpf/lib/maps_syscalls.bpf.h"
#include "bpf/lib/maps_syscalls_end.bpf.h"
#include "bpf/lib/sysnr.bpf.h"

#define SYSCALLS_NR_MAX 1024 /* above it nothing is a number: a caller cannot fill the table with those */

static __always_inline void syscalls_count_lost(void)
{
	__u32 i = bpf_get_smp_processor_id() & (SYSCALLS_LOST_LINES - 1);
	struct syscalls_lost *l = bpf_map_lookup_elem(&syscalls_lost, &i);

	if (l)
		__sync_fetch_and_add(&l->count, 1);
}

/* The first call of its kind on any CPU. */
static __always_inline void syscalls_first(struct pst_syscall_key *key)
{
	__u64 one = 1, *count;

	if (!bpf_map_update_elem(&syscalls, key, &one, BPF_NOEXIST))
		return;
	count = bpf_map_lookup_elem(&syscalls, key); /* another CPU was faster */
	if (count)
		*count += 1;
	else
		syscalls_count_lost();
}

static __always_inline __u32 syscalls_nr(__u64 id)
{
	__u32 nr = id & ~(__u64)SYSNR_X32_BIT;

	if (id & ~(__u64)(SYSNR_X32_BIT | (SYSCALLS_NR_MAX - 1)))
		nr = PST_SYSCALL_INVALID;
	return sysnr_is_compat() ? nr | PST_SYSCALL_COMPAT : nr;
}

/* Tracepoints run with preemption off, so a CPU's own counter needs no atomic add. */
SEC("raw_tp/sys_enter")
int syscalls_enter(__u64 *ctx)
{
	struct pst_syscall_key key = {};
	__u64 *count;

	if (pst_gate_closed())
		return 0;
	key.cgroup_id = bpf_get_current_cgroup_id();
	key.nr = syscalls_nr(ctx[1]);
	count = bpf_map_lookup_elem(&syscalls, &key);
	if (count)
		*count += 1;
	else
		syscalls_first(&key);
	return 0;
}

SEC("tp_btf/cgroup_rmdir")
int BPF_PROG(syscalls_rmdir, struct cgroup *cgrp)
{
	__u64 id = BPF_CORE_READ(cgrp, kn, id); /* by helper calls: see proc.bpf.h */
	__u8 one = 1;

	/* 0 is the v2 hierarchy; the ids of the others are numbers of their own */
	if (BPF_CORE_READ(cgrp, root, hierarchy_id) || pst_gate_closed())
		return 0;
	bpf_map_update_elem(&cgroups_gone, &id, &one, BPF_ANY);
	return 0;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
