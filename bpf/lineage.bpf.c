/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Lines of thread groups (bpf/lib/lineage.bpf.h). Programs of their own beside those of the sensor `process`:
 * attached where a policy's rung is in use, with or without that sensor, they cost nothing where none is.
 */
#include "bpf/lib/gate.bpf.h"
#include "bpf/lib/lineage.bpf.h"

SEC("tp_btf/sched_process_fork")
int BPF_PROG(line_fork, struct task_struct *parent, struct task_struct *child)
{
	if (child->pid != child->tgid || pst_gate_closed())
		return 0; /* a thread */
	lineage_fork(child);
	return 0;
}

SEC("tp_btf/sched_process_exec")
int line_exec(__u64 *ctx)
{
	(void)ctx;
	if (!pst_gate_closed())
		lineage_exec();
	return 0;
}

SEC("tp_btf/sched_process_exit")
int BPF_PROG(line_exit, struct task_struct *p)
{
	if (!pst_gate_closed())
		lineage_exit(p);
	return 0;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
