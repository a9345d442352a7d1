// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only OR BSD-2-Clause
/* Floors: what an attached program costs that does nothing. */
#include "bpf/lib/common.bpf.h"
#include "bpf/vmlinux_net.h"

SEC("raw_tp/sys_enter")
int empty_enter(__u64 *ctx)
{
	(void)ctx;
	return 0;
}

/* Beside those that enforce policies. */
SEC("?lsm/file_open")
int BPF_PROG(empty_open, struct file *file)
{
	(void)file;
	return 0;
}

SEC("?lsm/bprm_check_security")
int BPF_PROG(empty_exec, struct linux_binprm *bprm)
{
	(void)bprm;
	return 0;
}

SEC("?fentry/security_file_open")
int BPF_PROG(empty_open_f, struct file *file)
{
	(void)file;
	return 0;
}

SEC("?fentry/security_bprm_check")
int BPF_PROG(empty_exec_f, struct linux_binprm *bprm)
{
	(void)bprm;
	return 0;
}

SEC("?tp_btf/sys_exit")
int empty_exit(__u64 *ctx)
{
	(void)ctx;
	return 0;
}

SEC("?tp_btf/sched_process_exec")
int empty_begun(__u64 *ctx)
{
	(void)ctx;
	return 0;
}

SEC("tc")
int empty_tc(struct __sk_buff *ctx)
{
	(void)ctx;
	return -1; /* TC_ACT_UNSPEC: as if it were not there */
}

SEC("xdp")
int empty_drop(struct xdp_md *ctx)
{
	(void)ctx;
	return XDP_DROP;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
