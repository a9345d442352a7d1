/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Lines of thread groups (bpf/lib/lineage.bpf.h). Programs of their own beside those of the sensor `process`:
 * attached where a policy's rung is in use, with or without that sensor. Until the first policy ever came
 * into force they are a load and a compare; from then on nothing is left out, since a line that missed an
 * exec would be another's.
 */
#include "bpf/lib/gate.bpf.h"
#include "bpf/lib/lineage.bpf.h"
#include "bpf/lib/maps_policy.bpf.h"

/* Is there nothing to remember before a policy has been in force? */
const volatile bool cfg_lines_wait = false;

static __always_inline bool line_off(void)
{
	struct pst_policy *page;

	if (pst_gate_closed())
		return true;
	if (!cfg_lines_wait)
		return false;
	page = pst_policy_page();
	return !page || !*(volatile __u64 *)&page->last;
}

SEC("tp_btf/sched_process_fork")
int BPF_PROG(line_fork, struct task_struct *parent, struct task_struct *child)
{
	if (child->pid != child->tgid || line_off())
		return 0; /* a thread */
	lineage_fork(child);
	return 0;
}

SEC("tp_btf/sched_process_exec")
int line_exec(__u64 *ctx)
{
	(void)ctx;
	if (!line_off())
		lineage_exec();
	return 0;
}

SEC("tp_btf/sched_process_exit")
int BPF_PROG(line_exit, struct task_struct *p)
{
	if (!line_off())
		lineage_exit(p);
	return 0;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
