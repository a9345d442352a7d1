/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Who did it: struct pst_task of the current task. */
#ifndef PST_TASK_BPF_H
#define PST_TASK_BPF_H

#include "bpf/lib/common.bpf.h"
#include "bpf/lib/core_fixes.bpf.h"

/* Start of the current thread group, CLOCK_BOOTTIME. */
static __always_inline __u64 pst_current_start_ns(bool leader)
{
	struct task_struct *t;

	if (leader && pst_has_task_btf())
		return pst_current_btf()->start_boottime;
	t = (void *)bpf_get_current_task();
	return BPF_CORE_READ(t, group_leader, start_boottime);
}

/* Fills every byte. For tracing programs in process context. */
static __always_inline void pst_task_current(struct pst_task *t)
{
	__u64 id = bpf_get_current_pid_tgid();
	__u64 ugid = bpf_get_current_uid_gid();

	t->start_ns = pst_current_start_ns(id >> 32 == (__u32)id);
	t->cgroup_id = bpf_get_current_cgroup_id();
	t->pid = id >> 32;
	t->tid = (__u32)id;
	t->uid = (__u32)ugid;
	t->gid = ugid >> 32;
	if (bpf_get_current_comm(t->comm, sizeof(t->comm)))
		__builtin_memset(t->comm, 0, sizeof(t->comm));
}

/* Cgroup v2 id of any task. */
static __always_inline __u64 pst_task_cgroup(struct task_struct *t)
{
	return BPF_CORE_READ(t, cgroups, dfl_cgrp, kn, id);
}

/* Of any task, and any memory that looks like one: nothing of it is trusted. Fills every byte. */
static __always_inline void pst_task_of(struct pst_task *ret, struct task_struct *t)
{
	const struct cred *cred = BPF_CORE_READ(t, real_cred);

	__builtin_memset(ret->comm, 0, sizeof(ret->comm));
	ret->start_ns = BPF_CORE_READ(t, group_leader, start_boottime);
	ret->cgroup_id = pst_task_cgroup(t);
	ret->pid = BPF_CORE_READ(t, tgid);
	ret->tid = BPF_CORE_READ(t, pid);
	ret->uid = BPF_CORE_READ(cred, uid.val);
	ret->gid = BPF_CORE_READ(cred, gid.val);
	bpf_core_read_str(ret->comm, sizeof(ret->comm), &t->comm);
}

#endif
