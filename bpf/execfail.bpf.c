/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Sensor `exec_failed`, first rung: the return of the system call itself. The
 * entries of 32-bit callers are in execfail32.bpf.c, since a kernel need not have them.
 */
#include "bpf/lib/execfail.bpf.h"
#include "bpf/lib/gate.bpf.h"

SEC("fexit/__x64_sys_execve")
int execfail_execve(__u64 *ctx)
{
	struct pt_regs *regs;
	long ret = ctx[1];

	if (ret >= 0 || pst_gate_closed())
		return 0;
	regs = execfail_regs(ctx);
	execfail_emit(EXECFAIL_EXECVE, ret, BPF_CORE_READ(regs, di), BPF_CORE_READ(regs, si), 8);
	return 0;
}

SEC("fexit/__x64_sys_execveat")
int execfail_execveat(__u64 *ctx)
{
	struct pt_regs *regs;
	long ret = ctx[1];

	if (ret >= 0 || pst_gate_closed())
		return 0;
	regs = execfail_regs(ctx);
	execfail_emit(EXECFAIL_EXECVEAT, ret, BPF_CORE_READ(regs, si), BPF_CORE_READ(regs, dx), 8);
	return 0;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
