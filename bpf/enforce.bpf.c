/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Policies in force on what processes start and open (docs/design/policy.md, "Hooks"), on three rungs: LSM
 * denies, the functions that it calls kill before it happens, tracepoints kill at its end. A program that is
 * started is judged before its first instruction on each; of a file that is opened sys_exit sees the file
 * itself, and the call does not return.
 */
#include "bpf/lib/enforce.bpf.h"
#include "bpf/lib/sysnr.bpf.h"

static __always_inline int opened(__u32 hook, struct file *file)
{
	struct pst_verdict v = {};
	__u32 half = 0;

	if (pst_gate_closed() || !enforce_of_interest(PST_OP_FILE_OPEN, &half))
		return 0;
	pst_judge_open(half, file, 0, &v);
	return enforce(PST_OP_FILE_OPEN, hook, half, &v);
}

static __always_inline int started(__u32 hook, struct linux_binprm *bprm)
{
	struct pst_verdict v = {};
	__u32 half = 0;

	if (pst_gate_closed() || !enforce_of_interest(PST_OP_PROCESS_EXEC, &half))
		return 0;
	pst_judge_exec(half, bprm, &v);
	return enforce(PST_OP_PROCESS_EXEC, hook, half, &v);
}

SEC("lsm/file_open")
int BPF_PROG(enforce_open, struct file *file)
{
	return opened(PST_HOOK_LSM, file);
}

SEC("lsm/bprm_check_security")
int BPF_PROG(enforce_exec, struct linux_binprm *bprm)
{
	return started(PST_HOOK_LSM, bprm);
}

SEC("fentry/security_file_open")
int BPF_PROG(enforce_open_f, struct file *file)
{
	opened(PST_HOOK_FENTRY, file);
	return 0;
}

SEC("fentry/security_bprm_check")
int BPF_PROG(enforce_exec_f, struct linux_binprm *bprm)
{
	started(PST_HOOK_FENTRY, bprm);
	return 0;
}

/* ---- tracepoints ---- */

SEC("tp_btf/sched_process_exec")
int enforce_begun(__u64 *ctx)
{
	struct pst_verdict v = {};
	__u32 half = 0;

	(void)ctx;
	if (pst_gate_closed() || !enforce_asked(PST_OP_PROCESS_EXEC, &half) || pst_interest_begun_none(half))
		return 0;
	pst_judge_begun(half, &v);
	enforce(PST_OP_PROCESS_EXEC, PST_HOOK_TRACEPOINT, half, &v);
	return 0;
}

/* Does the call give a descriptor of a file that it opened? Flags of it, where they are in a register. */
static __always_inline bool opens(const struct pt_regs *regs, __u32 *asked)
{
	__u64 nr = regs->orig_ax & ~(__u64)SYSNR_X32_BIT;

	switch (nr) {
	case 2: /* open, and 32-bit fork */
		*asked = regs->si;
		return !sysnr_is_compat();
	case 5: /* 32-bit open */
		*asked = regs->cx;
		return sysnr_is_compat();
	case 257: /* openat, and 32-bit remap_file_pages */
		*asked = regs->dx;
		return !sysnr_is_compat();
	case 295: /* 32-bit openat, and preadv */
		*asked = regs->dx;
		return sysnr_is_compat();
	case 85:  /* creat, and 32-bit readlink */
	case 304: /* open_by_handle_at */
		return !sysnr_is_compat();
	case 8:   /* 32-bit creat, and lseek */
	case 342: /* 32-bit open_by_handle_at */
		return sysnr_is_compat();
	case 437: /* openat2, in both */
		return true;
	default:
		return false;
	}
}

static __always_inline struct file *file_of_fd(__u32 fd)
{
	struct task_struct *t = (void *)bpf_get_current_task();
	struct fdtable *table = BPF_CORE_READ(t, files, fdt);
	struct file **files = BPF_CORE_READ(table, fd), *file = NULL;

	if (fd < BPF_CORE_READ(table, max_fds))
		bpf_probe_read_kernel(&file, sizeof(file), files + fd);
	return file;
}

SEC("tp_btf/sys_exit")
int BPF_PROG(enforce_open_x, struct pt_regs *regs, long fd)
{
	struct pst_verdict v = {};
	__u32 half = 0, asked = 0;
	struct file *file;

	if (fd < 0 || !opens(regs, &asked) || pst_gate_closed() ||
		!enforce_of_interest(PST_OP_FILE_OPEN, &half))
		return 0;
	file = file_of_fd(fd);
	if (!file)
		return 0;
	pst_judge_open(half, file, asked, &v);
	enforce(PST_OP_FILE_OPEN, PST_HOOK_TRACEPOINT, half, &v);
	return 0;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
