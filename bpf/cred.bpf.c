/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Sensor `cred`, first rung: where every change of a task's credentials passes. */
#include "bpf/lib/cred.bpf.h"
#include "bpf/lib/gate.bpf.h"

SEC("fentry/commit_creds")
int BPF_PROG(cred_commit, struct cred *new)
{
	struct task_struct *t = (void *)bpf_get_current_task();
	struct pst_cred before, after;

	if (pst_gate_closed())
		return 0;
	pst_cred_current(&before);
	pst_cred_read(&after, new);
	pst_cred_emit(
		&before, &after, BPF_CORE_READ_BITFIELD_PROBED(t, in_execve) ? PST_CRED_DURING_EXEC : 0);
	return 0;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
