// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only OR BSD-2-Clause
/*
 * What policies say of real acts, for their test and their measurement, on each rung: a process says by
 * ioctl(FD, magic, WHAT) that its next open, or its next exec, is to be judged, and finds the verdict in this
 * object's memory. Nothing is denied.
 */
#include "bpf/lib/polnet.bpf.h"

#define SYS_IOCTL 16

enum ask {
	ASK_OPEN = 1, /* the next one */
	ASK_EXEC = 2,
	ASK_FILE = 3,    /* the descriptor's file, as if it had been opened now */
	ASK_STOLEN = 4,  /* the same, as if another task had come in between */
	ASK_OTHER = 5,   /* the same, as if the tables had been changed meanwhile */
	ASK_NOTHING = 6, /* what the measurement itself takes */
	ASK_CONNECT = 7  /* the descriptor's socket, as if it were to be connected to `address` */
};

/* Set between runs. */
__u32 magic, half, repeat, at_hooks;
__u32 address[8]; /* a struct sockaddr_in6 */

struct pst_verdict verdict;
struct pst_act act;
__u32 answers, told;
__u64 took_ns;

/* Thread groups whose next open, or exec, is to be judged. */
__u32 opens, execs;

static __always_inline bool is_next(__u32 *who)
{
	if (!*who || bpf_get_current_pid_tgid() >> 32 != *who)
		return false;
	*who = 0;
	return true;
}

static __always_inline void answer(void)
{
	struct policy_scratch *p = policy_scratch_here();

	if (p)
		bpf_probe_read_kernel(&act, sizeof(act), &p->act);
	answers++;
}

/* A frame of its own, as 5.10 adds them up. */
__noinline __u64 file_at(__u32 fd)
{
	struct task_struct *t = (void *)bpf_get_current_task();
	struct fdtable *table = BPF_CORE_READ(t, files, fdt);
	struct file **files = BPF_CORE_READ(table, fd), *file = NULL;

	if (fd < BPF_CORE_READ(table, max_fds))
		bpf_probe_read_kernel(&file, sizeof(file), files + fd);
	return (__u64)file;
}

static __always_inline struct file *file_of(__u32 fd)
{
	return (struct file *)file_at(fd);
}

static struct judge_end end;

/* As bpf/enforcenet.bpf.c does it. Beside judge_fd() and not in it: 5.10 adds frames up. */
__noinline int judge_socket(__u32 fd)
{
	const struct pst_pol_head *head = judge_head(half);
	struct file *file = file_of(fd);
	struct socket *socket;
	struct sock *sk;

	if (!head || !(head->ops & PST_OP_BIT(PST_OP_NET_CONNECT)))
		return 0;
	socket = BPF_CORE_READ((struct file___net *)file, private_data);
	sk = BPF_CORE_READ(socket, sk);
	__builtin_memset(&end, 0, sizeof(end));
	polnet_socket(&end, sk);
	if (!polnet_named(&end, PST_OP_NET_CONNECT, address, sizeof(address)))
		return 0;
	polnet_other(&end, sk);
	judge_net(half, PST_OP_NET_CONNECT, &end, &verdict);
	return 0;
}

__noinline int judge_fd(__u32 fd)
{
	pst_judge_open(half, file_of(fd), 0, &verdict);
	return 0;
}

/* What the measurement itself takes. */
__noinline int judge_nothing(__u32 fd)
{
	struct pst_verdict v = {};

	verdict = v;
	return !file_of(fd);
}

/* What comes in between is found at the end. */
__noinline int judge_disturbed(__u32 fd, __u32 what)
{
	struct judge *j = judge_here();
	struct judge_on on = {};
	struct pst_verdict v = {};

	if (!j)
		return 0;
	on.file = file_of(fd);
	judge_begin(half, j, PST_OP_FILE_OPEN, &on);
	if (what == ASK_OTHER)
		j->generation -= 1;
	judge_look(half, &on);
	if (what == ASK_STOLEN)
		j->owner = 1;
	told = judge_told(half, j, &v);
	return 0;
}

/* A loop of its own for each: with a choice in it one is too much for the verifier. */
#define AGAIN(judge, fd)                                                                                     \
	for (int i = 0; i < 1000 && i < repeat; i++)                                                         \
	judge(fd)

static __always_inline void asked_for(__u32 fd, __u32 what)
{
	__u64 start = bpf_ktime_get_ns();

	if (what == ASK_CONNECT)
		AGAIN(judge_socket, fd);
	else if (what == ASK_NOTHING)
		AGAIN(judge_nothing, fd);
	else
		AGAIN(judge_fd, fd);
	took_ns = bpf_ktime_get_ns() - start;
	if (what == ASK_STOLEN || what == ASK_OTHER)
		judge_disturbed(fd, what);
	else if (what == ASK_CONNECT)
		judge_socket(fd);
	else if (what == ASK_NOTHING)
		judge_nothing(fd);
	else
		judge_fd(fd);
	answer();
}

SEC("tp_btf/sys_enter")
int engine_enter(__u64 *ctx)
{
	struct pt_regs *regs = NULL;
	__u32 what;

	if (ctx[1] != SYS_IOCTL)
		return 0;
	bpf_probe_read_kernel(&regs, sizeof(regs), ctx);
	if (!magic || (__u32)BPF_CORE_READ(regs, si) != magic)
		return 0;
	what = BPF_CORE_READ(regs, dx);
	if (what == ASK_OPEN)
		opens = bpf_get_current_pid_tgid() >> 32;
	else if (what == ASK_EXEC)
		execs = bpf_get_current_pid_tgid() >> 32;
	else
		asked_for(BPF_CORE_READ(regs, di), what);
	return 0;
}

/* ---- rungs ---- */

SEC("tp_btf/sys_exit")
int engine_exit(__u64 *ctx)
{
	struct pt_regs *regs = NULL;
	long fd = ctx[1], nr;

	if (at_hooks || !opens)
		return 0;
	bpf_probe_read_kernel(&regs, sizeof(regs), ctx);
	nr = BPF_CORE_READ(regs, orig_ax);
	if ((nr != 2 && nr != 85 && nr != 257 && nr != 437) || fd < 0 || !is_next(&opens))
		return 0;
	judge_fd(fd);
	answer();
	return 0;
}

SEC("tp_btf/sched_process_exec")
int engine_exec(__u64 *ctx)
{
	struct pst_verdict v = {};

	(void)ctx;
	if (at_hooks || !is_next(&execs))
		return 0;
	pst_judge_begun(half, &v);
	verdict = v;
	answer();
	return 0;
}

static __always_inline int opened(struct file *file)
{
	struct pst_verdict v = {};

	if (!is_next(&opens))
		return 0;
	pst_judge_open(half, file, 0, &v);
	verdict = v;
	answer();
	return 0;
}

static __always_inline int started(struct linux_binprm *bprm)
{
	struct pst_verdict v = {};

	if (!is_next(&execs))
		return 0;
	pst_judge_exec(half, bprm, &v);
	verdict = v;
	answer();
	return 0;
}

SEC("?lsm/file_open")
int BPF_PROG(engine_lsm_open, struct file *file)
{
	return opened(file);
}

SEC("?lsm/bprm_check_security")
int BPF_PROG(engine_lsm_exec, struct linux_binprm *bprm)
{
	return started(bprm);
}

SEC("?fentry/security_file_open")
int BPF_PROG(engine_fentry_open, struct file *file)
{
	return opened(file);
}

SEC("?fentry/security_bprm_check")
int BPF_PROG(engine_fentry_exec, struct linux_binprm *bprm)
{
	return started(bprm);
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
