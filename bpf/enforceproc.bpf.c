/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Policies in force on what processes do to others, to themselves and to the kernel (docs/design/policy.md,
 * "Hooks"), by tracepoints: what is done is judged where a call begins, as who it is then, and killed when it
 * has returned well. Of capset(2), and of /proc/PID/mem, what came of it is judged at the end; of signals and
 * modules the kernel tells itself.
 */
#include "bpf/lib/enforce.bpf.h"
#include "bpf/lib/polproc.bpf.h"

/* Calls that are judged here: where hooks judge the first, only the others. */
const volatile bool cfg_proc_calls = false;
const volatile bool cfg_made_calls = false; /* process.namespace, process.memfd */

/* Of what is no operation: that which it may be. */
static __always_inline __u32 op_of(__u32 op)
{
	if (op == POLPROC_CLONE)
		return PST_OP_PROCESS_NAMESPACE;
	return op == POLPROC_OPEN ? PST_OP_PROCESS_PTRACE : op;
}

static __always_inline bool is_judged_here(__u32 op)
{
	return op == PST_OP_PROCESS_NAMESPACE || op == PST_OP_PROCESS_MEMFD ? cfg_made_calls : cfg_proc_calls;
}

static __always_inline bool asked(__u32 op, __u32 *half)
{
	return !pst_gate_closed() && enforce_of_interest(op, half);
}

/* Judged, and done at once. */
static __always_inline void judged(__u32 op, __u32 half, const struct judge_proc *on)
{
	struct pst_verdict v = {};

	judge_act(half, op, &(struct judge_on){.proc = on}, &v);
	enforce_as(op, PST_HOOK_TRACEPOINT, half, &v, false);
}

/* ---- between the beginning of a call and its end ---- */

#define WAITING 8192

struct waiting_key {
	__u64 id; /* thread group and thread */
	__u32 generation;
	__u32 pad;
};

/* What is to be done when it returns. */
struct waiting {
	__u64 start_ns; /* of the thread group */
	__u64 verdict[2];
	__u64 target_start;
	__u32 target_pid;
	__u32 nr;
	__u32 half;
	__u8 op;
	__u8 file;
	__u8 is_clone;
	__u8 made;  /* of a clone: the child has another namespace */
	__u8 child; /* it is that child: killed, and nothing told of it */
	__u8 pad[7];
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, WAITING);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct waiting_key);
	__type(value, struct waiting);
} policy_waiting SEC(".maps");

static __always_inline void waiting_key(struct waiting_key *key)
{
	key->id = bpf_get_current_pid_tgid();
	key->generation = cfg_generation;
	key->pad = 0;
}

static __always_inline __u64 own_start(void)
{
	__u64 id = bpf_get_current_pid_tgid();

	return pst_current_start_ns(id >> 32 == (__u32)id);
}

/* False: no room. */
static __noinline bool wait_for_end(
	const struct polproc_call *c, __u32 op, __u32 half, const struct pst_verdict *v)
{
	struct judge *j = judge_here();
	struct waiting w = {.op = op, .half = half, .nr = c->nr, .is_clone = c->op == POLPROC_CLONE};
	struct policy_scratch *p = policy_scratch_here();
	struct waiting_key key;

	if (!j || !p)
		return false;
	waiting_key(&key);
	w.start_ns = own_start();
	__builtin_memcpy(w.verdict, v, sizeof(w.verdict));
	w.target_start = j->target_start;
	w.target_pid = j->target_pid;
	w.file = p->act.file;
	return !bpf_map_update_elem(&policy_waiting, &key, &w, BPF_ANY);
}

/* ---- calls that begin ---- */

#define CLONE_NEWTIME    0x80
#define NEW_NAMESPACES   0x7e020000 /* CLONE_NEW*, of all others */
#define PTRACE_TRACEME   0
#define PTRACE_ATTACH    16
#define PTRACE_SEIZE     0x4206
#define MAP_ANONYMOUS    0x20
#define CALL_MMAP        9
#define CALL_MMAP2       192
#define CALL_CLONE3      435
#define CALL_PIDFD_GETFD 438

static __always_inline bool is_ptrace(__u32 nr)
{
	return nr == 101 || nr == 26 || (nr & ~(__u32)SYSNR_X32_BIT) == 521;
}

/* Whose memory, or whom to trace. False: neither, or its own. */
static __always_inline bool of_ptrace(const struct polproc_call *c, struct judge_proc *on)
{
	if (is_ptrace(c->nr)) {
		if (c->arg[0] == PTRACE_TRACEME) {
			on->target = bpf_get_current_task();
			return true;
		}
		if (c->arg[0] != PTRACE_ATTACH && c->arg[0] != PTRACE_SEIZE)
			return false;
		on->target = polproc_of_number(c->arg[1]);
	} else if ((c->nr & ~(__u32)SYSNR_X32_BIT) == CALL_PIDFD_GETFD) {
		on->target = polproc_of_pidfd(c->arg[0]);
	} else {
		on->target = polproc_of_number(c->arg[0]);
	}
	return on->target && !polproc_is_own(on->target);
}

static __always_inline bool of_mprotect(const struct polproc_call *c, struct judge_proc *on)
{
	__u32 nr = c->nr & ~(__u32)SYSNR_X32_BIT;

	on->file = polproc_access(c->arg[2]);
	on->known = PST_KNOWN_FILE;
	if (nr != CALL_MMAP && nr != CALL_MMAP2)
		return true;
	return c->arg[3] & MAP_ANONYMOUS && c->arg[2] & PROT_EXEC; /* what is new, and code */
}

static __always_inline bool of_namespace(const struct polproc_call *c)
{
	__u32 nr = c->nr & ~(__u32)SYSNR_X32_BIT;

	if (c->op == POLPROC_CLONE) /* flags of clone3() lie in memory: what comes of it tells */
		return nr == CALL_CLONE3 || c->arg[0] & NEW_NAMESPACES;
	if (nr == 272 || nr == 310)
		return c->arg[0] & (NEW_NAMESPACES | CLONE_NEWTIME);
	return true;
}

/* False: nothing to be judged. */
static __noinline bool call_is_on(const struct polproc_call *c, __u32 op, struct judge_proc *on)
{
	if (op == PST_OP_PROCESS_PTRACE)
		return of_ptrace(c, on);
	if (op == PST_OP_PROCESS_MPROTECT)
		return of_mprotect(c, on);
	if (op == PST_OP_PROCESS_NAMESPACE)
		return of_namespace(c);
	return true;
}

SEC("tp_btf/sys_enter")
int BPF_PROG(enforce_call, struct pt_regs *regs)
{
	struct pst_verdict v = {};
	struct judge_proc on = {};
	struct polproc_call c;
	__u32 half = 0, op;

	polproc_call(&c, regs);
	op = op_of(c.op);
	if (!op || c.op == POLPROC_OPEN || c.op == PST_OP_PROCESS_CAPSET || !is_judged_here(op))
		return 0;
	if (!asked(op, &half) || !call_is_on(&c, op, &on))
		return 0;
	judge_act(half, op, &(struct judge_on){.proc = &on}, &v);
	if (v.action >= PST_ACT_AUDIT && !wait_for_end(&c, op, half, &v))
		enforce_as(op, PST_HOOK_TRACEPOINT, half, &v, false);
	return 0;
}

/* ---- processes that are made ---- */

static __always_inline bool same_user_ns(struct task_struct *a, struct task_struct *b)
{
	return BPF_CORE_READ(a, real_cred, user_ns) == BPF_CORE_READ(b, real_cred, user_ns);
}

static __always_inline bool same_namespaces(struct task_struct *a, struct task_struct *b)
{
	struct nsproxy *n = BPF_CORE_READ(a, nsproxy), *m = BPF_CORE_READ(b, nsproxy);

	if (!same_user_ns(a, b))
		return false;
	if (n == m)
		return true;
	return BPF_CORE_READ(n, uts_ns) == BPF_CORE_READ(m, uts_ns) &&
	       BPF_CORE_READ(n, ipc_ns) == BPF_CORE_READ(m, ipc_ns) &&
	       BPF_CORE_READ(n, mnt_ns) == BPF_CORE_READ(m, mnt_ns) &&
	       BPF_CORE_READ(n, net_ns) == BPF_CORE_READ(m, net_ns) &&
	       BPF_CORE_READ(n, cgroup_ns) == BPF_CORE_READ(m, cgroup_ns) &&
	       BPF_CORE_READ(n, pid_ns_for_children) == BPF_CORE_READ(m, pid_ns_for_children) &&
	       BPF_CORE_READ(n, time_ns_for_children) == BPF_CORE_READ(m, time_ns_for_children);
}

/* The child is to do nothing either: its first call is the end of its parent's. */
SEC("tp_btf/sched_process_fork")
int BPF_PROG(enforce_cloned, struct task_struct *parent, struct task_struct *child)
{
	struct waiting_key key;
	struct waiting *w, copy;

	waiting_key(&key);
	w = bpf_map_lookup_elem(&policy_waiting, &key);
	if (!w || !w->is_clone || same_namespaces(parent, child))
		return 0;
	w->made = 1;
	copy = *w;
	copy.child = 1;
	copy.start_ns = BPF_CORE_READ(child, group_leader, start_boottime);
	key.id = (__u64)BPF_CORE_READ(child, tgid) << 32 | (__u32)BPF_CORE_READ(child, pid);
	bpf_map_update_elem(&policy_waiting, &key, &copy, BPF_ANY);
	return 0;
}

/* ---- calls that return ---- */

#define ERRORS 4095

/* As it was judged when the call began. */
static __noinline int waited(const struct waiting *w)
{
	struct policy_scratch *p = policy_scratch_here();
	struct judge *j = judge_here();
	struct pst_verdict v;

	if (!p || !j)
		return 0;
	j->owner = bpf_get_current_pid_tgid();
	j->target_start = w->target_start;
	j->target_pid = w->target_pid;
	__builtin_memset(&p->act, 0, sizeof(p->act));
	p->act.op = w->op;
	p->act.file = w->file;
	__builtin_memcpy(&v, w->verdict, sizeof(v));
	enforce_as(w->op, PST_HOOK_TRACEPOINT, w->half, &v, false);
	return 0;
}

static __noinline int returned(__u32 nr, __u64 ret)
{
	struct waiting_key key;
	struct waiting *at, w;

	waiting_key(&key);
	at = bpf_map_lookup_elem(&policy_waiting, &key);
	if (!at)
		return 0;
	w = *at;
	bpf_map_delete_elem(&policy_waiting, &key);
	if (w.start_ns != own_start() || w.nr != nr || ret >= -(__u64)ERRORS || (w.is_clone && !w.made))
		return 0;
	if (!w.child)
		return waited(&w);
	if ((w.verdict[1] >> 32 & 0xff) == PST_ACT_KILL)
		bpf_send_signal(ENFORCE_SIGKILL);
	return 0;
}

#define PROC_SUPER_MAGIC 0x9fa0
#define MEM_NAME         0x6d656d /* "mem" and its NUL, as a word */

/* Of /proc/PID/mem, the process; 0: it is another file, or its own. */
static __noinline __u64 memory_of(__u32 fd)
{
	struct file *file = polproc_file(fd);
	struct inode *inode = BPF_CORE_READ(file, f_inode);
	struct proc_inode *p = (void *)((char *)inode - bpf_core_field_offset(struct proc_inode, vfs_inode));
	const unsigned char *name = BPF_CORE_READ(file, f_path.dentry, d_name.name);
	__u32 word = 0;
	__u64 task;

	if (BPF_CORE_READ(inode, i_sb, s_magic) != PROC_SUPER_MAGIC)
		return 0;
	bpf_probe_read_kernel(&word, sizeof(word), name);
	task = word == MEM_NAME ? polproc_of_pid(BPF_CORE_READ(p, pid)) : 0;
	return task && !polproc_is_own(task) ? task : 0;
}

static __always_inline void capabilities_now(struct judge_proc *on)
{
	const struct cred *cred = BPF_CORE_READ((struct task_struct *)bpf_get_current_task(), real_cred);

	on->capabilities = pst_caps(&cred->cap_effective) | pst_caps(&cred->cap_permitted) |
			   pst_caps(&cred->cap_inheritable);
}

/* What is judged at the end; 0: nothing. */
static __always_inline __u32 ended(const struct polproc_call *c, long ret, struct judge_proc *on, __u32 *half)
{
	__u32 op = op_of(c->op);

	if (ret < 0 || !asked(op, half))
		return 0;
	if (op == PST_OP_PROCESS_CAPSET) {
		capabilities_now(on);
		return op;
	}
	on->target = memory_of(ret);
	return on->target ? op : 0;
}

SEC("tp_btf/sys_exit")
int BPF_PROG(enforce_call_x, struct pt_regs *regs, long ret)
{
	struct judge_proc on = {};
	struct polproc_call c;
	__u32 half = 0, op;

	polproc_call(&c, regs);
	if (!c.op || !is_judged_here(op_of(c.op)))
		return 0;
	if (c.op != POLPROC_OPEN && c.op != PST_OP_PROCESS_CAPSET)
		return returned(c.nr, ret);
	op = ended(&c, ret, &on, &half);
	if (op)
		judged(op, half, &on);
	return 0;
}

/* ---- signals ---- */

#define SEND_SIG_NOINFO 0 /* instead of a pointer: sent by a process, nothing more to tell */
#define SEND_SIG_PRIV   1 /* by the kernel */
#define SI_TIMER        (-2)
#define SI_SIGIO        (-5)
#define SI_ASYNCNL      (-60)

/* Of codes that are anybody's to choose those that the kernel uses itself, at any time, are left out. */
static __always_inline bool by_process(struct kernel_siginfo *info)
{
	int code;

	if ((__u64)info <= SEND_SIG_PRIV)
		return (__u64)info == SEND_SIG_NOINFO;
	code = BPF_CORE_READ(info, si_code);
	return code <= 0 && (code > SI_TIMER || code < SI_SIGIO) && code != SI_ASYNCNL;
}

SEC("tp_btf/signal_generate")
int BPF_PROG(enforce_signal, int sig, struct kernel_siginfo *info, struct task_struct *task)
{
	struct judge_proc on = {.signal = sig, .known = PST_KNOWN_SIGNAL};
	__u32 half = 0;

	if (!by_process(info) || !asked(PST_OP_PROCESS_SIGNAL, &half))
		return 0;
	bpf_core_read(&on.target, sizeof(on.target), &task);
	if (on.target && !polproc_is_own(on.target))
		judged(PST_OP_PROCESS_SIGNAL, half, &on);
	return 0;
}

/* ---- modules ---- */

/* It is in place, and about to begin, which nothing keeps it from. */
SEC("tp_btf/module_load")
int BPF_PROG(enforce_module, struct module *m)
{
	struct judge_proc on = {};
	__u32 half = 0;

	if (!asked(PST_OP_PROCESS_MODULE, &half))
		return 0;
	on.module = polproc_module(m);
	on.known = on.module ? PST_KNOWN_MODULE : 0;
	judged(PST_OP_PROCESS_MODULE, half, &on);
	return 0;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
