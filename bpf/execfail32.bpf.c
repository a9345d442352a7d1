/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Sensor `exec_failed`, first rung, 32-bit callers: loads only where CONFIG_IA32_EMULATION is set. */
#include "bpf/lib/execfail.bpf.h"
#include "bpf/lib/gate.bpf.h"

SEC("fexit/__ia32_compat_sys_execve")
int execfail32_execve(__u64 *ctx)
{
	struct pt_regs *regs;
	long ret = ctx[1];

	if (ret >= 0 || pst_gate_closed())
		return 0;
	regs = execfail_regs(ctx);
	execfail_emit(
		EXECFAIL_EXECVE32, ret, (__u32)BPF_CORE_READ(regs, bx), (__u32)BPF_CORE_READ(regs, cx), 4);
	return 0;
}

SEC("fexit/__ia32_compat_sys_execveat")
int execfail32_execveat(__u64 *ctx)
{
	struct pt_regs *regs;
	long ret = ctx[1];

	if (ret >= 0 || pst_gate_closed())
		return 0;
	regs = execfail_regs(ctx);
	execfail_emit(
		EXECFAIL_EXECVEAT32, ret, (__u32)BPF_CORE_READ(regs, cx), (__u32)BPF_CORE_READ(regs, dx), 4);
	return 0;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
