/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Sensor `process`: fork, exec and exit of thread groups. */
#include "bpf/lib/gate.bpf.h"
#include "bpf/lib/maps_ring_process.bpf.h"
#include "bpf/lib/path.bpf.h"
#include "bpf/lib/proc.bpf.h"
#include "bpf/lib/task.bpf.h"

/* Bits of clone(2) whose effect can be seen on parent and child; the call's own flags reach no tracepoint. */
#define CLONE_VM        0x00000100
#define CLONE_FS        0x00000200
#define CLONE_FILES     0x00000400
#define CLONE_SIGHAND   0x00000800
#define CLONE_PARENT    0x00008000
#define CLONE_NEWNS     0x00020000
#define CLONE_NEWCGROUP 0x02000000
#define CLONE_NEWUTS    0x04000000
#define CLONE_NEWIPC    0x08000000
#define CLONE_NEWUSER   0x10000000
#define CLONE_NEWPID    0x20000000
#define CLONE_NEWNET    0x40000000
#define CSIGNAL         0xff

#define SIGNAL_GROUP_EXIT 4 /* signal_struct.flags */

/* filename is cut here, so that a whole record fits PST_REC_MAX */
#define FILENAME_MAX 2048
#define TAIL_MAX     (FILENAME_MAX + PST_PATH_MAX + PST_CWD_MAX + PST_ARGV_MAX)

#define TAIL_MASK 8191
#define PAGE_SIZE 4096UL

static_assert(sizeof(struct pst_rec_exec) + TAIL_MAX <= PST_REC_MAX, "an exec record has room");

/* Tracepoints run with preemption off, so one buffer a CPU is enough. */
struct exec_buf {
	struct pst_rec_exec rec;
	char tail[TAIL_MASK + 1 + PST_ARGV_MAX + 8];
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct exec_buf);
} exec_buf SEC(".maps");

/* Thread groups whose exit is out, see exit_first(). Unused where the kernel names the last thread itself. */
struct exit_key {
	__u64 start_ns;
	__u64 pid;
};

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 4096);
	__type(key, struct exit_key);
	__type(value, __u8);
} exits SEC(".maps");

/* ---- fork ---- */

#define differ(a, b, member) (BPF_CORE_READ(a, member) != BPF_CORE_READ(b, member))

static __always_inline __u32 clone_flags_ns(struct nsproxy *p, struct nsproxy *c)
{
	__u32 flags = 0;

	if (p == c)
		return 0;
	flags |= differ(p, c, mnt_ns) ? CLONE_NEWNS : 0;
	flags |= differ(p, c, cgroup_ns) ? CLONE_NEWCGROUP : 0;
	flags |= differ(p, c, uts_ns) ? CLONE_NEWUTS : 0;
	flags |= differ(p, c, ipc_ns) ? CLONE_NEWIPC : 0;
	flags |= differ(p, c, pid_ns_for_children) ? CLONE_NEWPID : 0;
	flags |= differ(p, c, net_ns) ? CLONE_NEWNET : 0;
	return flags;
}

/* What parent and child share or not; only compared. */
struct parts {
	__u64 fs, files, nsproxy, sighand;
};

/* Neighbours in all known kernels, and then read at once. */
static __always_inline void parts_read(struct parts *r, struct task_struct *t)
{
	__u32 fs = bpf_core_field_offset(struct task_struct, fs);
	__u32 files = bpf_core_field_offset(struct task_struct, files) - fs;
	__u32 nsproxy = bpf_core_field_offset(struct task_struct, nsproxy) - fs;
	__u32 sighand = bpf_core_field_offset(struct task_struct, sighand) - fs;
	__u64 raw[8] = {};
	char *p = (char *)raw;

	if (files < sighand && nsproxy < sighand && sighand < sizeof(raw)) {
		bpf_probe_read_kernel(raw, sighand + 8, &t->fs);
		r->fs = raw[0];
		r->files = *(__u64 *)(p + files);
		r->nsproxy = *(__u64 *)(p + nsproxy);
		r->sighand = *(__u64 *)(p + sighand);
		return;
	}
	r->fs = (__u64)BPF_CORE_READ(t, fs);
	r->files = (__u64)BPF_CORE_READ(t, files);
	r->nsproxy = (__u64)BPF_CORE_READ(t, nsproxy);
	r->sighand = (__u64)BPF_CORE_READ(t, sighand);
}

static __always_inline __u32 clone_flags(struct task_struct *parent, struct task_struct *child)
{
	__u32 flags = child->exit_signal & CSIGNAL;
	struct parts p, c;

	parts_read(&p, parent);
	parts_read(&c, child);
	flags |= differ(parent, child, mm) ? 0 : CLONE_VM;
	flags |= p.fs == c.fs ? CLONE_FS : 0;
	flags |= p.files == c.files ? CLONE_FILES : 0;
	flags |= p.sighand == c.sighand ? CLONE_SIGHAND : 0;
	flags |= child->real_parent->tgid != parent->tgid ? CLONE_PARENT : 0;
	flags |= BPF_CORE_READ(parent, cred, user_ns) != BPF_CORE_READ(child, cred, user_ns) ? CLONE_NEWUSER
											     : 0;
	return flags | clone_flags_ns((void *)p.nsproxy, (void *)c.nsproxy);
}

SEC("tp_btf/sched_process_fork")
int BPF_PROG(process_fork, struct task_struct *parent, struct task_struct *child)
{
	struct pst_rec_fork *rec;

	if (child->pid != child->tgid || pst_gate_closed())
		return 0; /* a thread */
	rec = pst_reserve(&ring_process, PST_CLASS_PROCESS, sizeof(*rec));
	if (!rec)
		return 0;
	pst_head(&rec->h, PST_REC_FORK, sizeof(*rec));
	pst_task_current(&rec->parent);
	rec->child_start_ns = child->start_boottime;
	rec->child_pid = child->tgid;
	rec->clone_flags = clone_flags(parent, child);
	rec->child_cgroup_id = BPF_CORE_READ(child, cgroups, dfl_cgrp, kn, id);
	pst_submit(&ring_process, PST_CLASS_PROCESS, rec, sizeof(*rec));
	return 0;
}

/* ---- exec ---- */

static __always_inline __u32 exec_filename(struct exec_buf *b, struct linux_binprm *bprm)
{
	long n = bpf_probe_read_kernel_str(b->tail, FILENAME_MAX + 1, bprm->filename);

	if (n <= 0) {
		pst_count_unread(PST_CLASS_PROCESS);
		return 0;
	}
	if (n == FILENAME_MAX + 1)
		b->rec.h.flags |= PST_EXEC_PATH_CUT;
	return n - 1;
}

/* argv lies in one piece in the new process's memory, which is the current one by now. */
static __always_inline __u32 exec_argv(
	struct exec_buf *b, struct linux_binprm *bprm, struct mm_struct *mm, __u32 off)
{
	__u64 start = mm->arg_start, len = mm->arg_end - start, page;
	char *dst = &b->tail[off & (TAIL_MASK)];

	if (!bprm->argc || !len)
		return 0;
	len--; /* the last argument's NUL */
	if (len > PST_ARGV_MAX) {
		b->rec.h.flags |= PST_EXEC_ARGV_CUT;
		len = PST_ARGV_MAX;
	}
	if (!bpf_probe_read_user(dst, len, (void *)start))
		return len;
	b->rec.h.flags |= PST_EXEC_ARGV_FAULT;
	pst_count_unread(PST_CLASS_PROCESS);
	/* what its first page holds may still be there */
	page = PAGE_SIZE - (start & (PAGE_SIZE - 1));
	if (len > page)
		len = page;
	if (len > PST_ARGV_MAX || bpf_probe_read_user(dst, len, (void *)start))
		return 0;
	return len;
}

static __always_inline void exec_file(struct pst_rec_exec *r, struct file *file)
{
	struct inode *inode = BPF_CORE_READ(file, f_inode);

	r->exe_ino = BPF_CORE_READ(inode, i_ino);
	r->exe_dev = BPF_CORE_READ(inode, i_sb, s_dev);
	r->h.flags |= pst_file_flags(file, inode);
}

static __always_inline void exec_who(struct pst_rec_exec *r, struct task_struct *p)
{
	struct task_struct *parent = p->real_parent;
	const struct cred *cred = p->cred;

	pst_task_current(&r->task);
	pst_ns_fill(&r->ns, p, cred);
	r->cap_effective = pst_caps(&cred->cap_effective);
	r->parent_start_ns = parent->group_leader->start_boottime;
	r->parent_pid = parent->tgid;
	r->loginuid = pst_loginuid(p);
	r->euid = cred->euid.val;
	r->tty = pst_tty(p);
}

/* Appends a path to the tail. Returns its length; flag is set when it is not whole. */
static __always_inline __u32 exec_path(
	struct exec_buf *b, struct path *path, __u32 off, __u32 max, __u32 flag)
{
	struct path at = {};
	struct pst_path *p;

	bpf_probe_read_kernel(&at, sizeof(at), path);
	p = pst_path_resolve(PST_PATH_EXEC, at.mnt, at.dentry);

	if (!p)
		return 0;
	if (p->cut || PST_PATH_MAX - p->off > max)
		b->rec.h.flags |= flag;
	return pst_path_copy(p, &b->tail[off & TAIL_MASK], max);
}

/* filename, path, cwd and argv one after the other. Returns the length of all. */
static __always_inline __u32 exec_tail(struct exec_buf *b, struct task_struct *p, struct linux_binprm *bprm,
	struct file *file, struct mm_struct *mm)
{
	struct fs_struct *fs = BPF_CORE_READ(p, fs);
	struct pst_rec_exec *r = &b->rec;
	__u32 off, n;

	off = exec_filename(b, bprm);
	r->filename_len = off;

	n = exec_path(b, &file->f_path, off, PST_PATH_MAX, PST_EXEC_PATH_CUT);
	r->path_len = n;
	off += n;

	n = exec_path(b, &fs->pwd, off, PST_CWD_MAX, PST_EXEC_CWD_CUT);
	r->cwd_len = n;
	off += n;

	n = exec_argv(b, bprm, mm, off);
	r->argv_len = n;
	return off + n;
}

SEC("tp_btf/sched_process_exec")
int BPF_PROG(process_exec, struct task_struct *p, int old_pid, struct linux_binprm *bprm)
{
	__u32 zero = 0, len, size;
	struct exec_buf *b = bpf_map_lookup_elem(&exec_buf, &zero);
	struct mm_struct *mm;
	struct file *file;

	if (!b || pst_gate_closed())
		return 0;
	mm = p->mm;
	file = BPF_CORE_READ(bprm, file);
	pst_head(&b->rec.h, PST_REC_EXEC, 0);
	b->rec.h.flags = BPF_CORE_READ_BITFIELD(bprm, secureexec) ? PST_EXEC_SETID : 0;
	exec_who(&b->rec, p);
	exec_file(&b->rec, file);
	b->rec.argc = bprm->argc;
	len = exec_tail(b, p, bprm, file, mm);
	if (len > TAIL_MAX)
		return 0; /* cannot be; for the verifier */
	__builtin_memset(&b->tail[len], 0, 8);
	size = PST_ALIGN8(sizeof(b->rec) + len);
	b->rec.h.size = size;
	pst_output(&ring_process, PST_CLASS_PROCESS, b, size);
	return 0;
}

/* ---- exit ---- */

/*
 * Is this the last thread of its group? `live` is decremented before the
 * tracepoint, so of threads that leave at once several may find it zero: the first of
 * them to come here is it. While others are not released yet it leaves a note, and who comes
 * when no other is left looks for one (which costs a process of one thread no more than a lookup).
 */
static __always_inline bool exit_first(struct task_struct *p)
{
	struct exit_key key = {};
	__u8 one = 1;

	if (p->signal->live.counter)
		return false;
	key.start_ns = p->group_leader->start_boottime;
	key.pid = p->tgid;
	if (p->signal->nr_threads <= 1)
		return !bpf_map_lookup_elem(&exits, &key);
	return !bpf_map_update_elem(&exits, &key, &one, BPF_NOEXIST);
}

/* part / whole * total without overflow, to 16 bits of precision */
static __always_inline __u64 exit_share(__u64 total, __u64 part, __u64 whole)
{
	__u64 ratio = ((part >> 10) << 16) / ((whole >> 10) + 1);

	return (total >> 16) * ratio + (((total & 0xffff) * ratio) >> 16);
}

/*
 * CPU time of the group up to the last scheduler tick: that of the threads gone
 * (in signal), of this one, and of a leader that left first. utime and stime are sampled by the tick, and 0
 * for most short processes; the sum is exact, so as in wait4(2) it is divided in their proportion.
 */
static __always_inline void exit_cpu(struct pst_rec_exit *r, struct task_struct *p, struct signal_struct *sig)
{
	__u64 utime = sig->utime + p->utime;
	__u64 stime = sig->stime + p->stime;
	__u64 sum = sig->sum_sched_runtime + p->se.sum_exec_runtime;

	if (p->pid != p->tgid) {
		struct task_struct *leader = BPF_CORE_READ(p, group_leader);

		utime += BPF_CORE_READ(leader, utime);
		stime += BPF_CORE_READ(leader, stime);
		sum += BPF_CORE_READ(leader, se.sum_exec_runtime);
	}
	if (!stime)
		r->stime_ns = 0;
	else if (!utime)
		r->stime_ns = sum;
	else
		r->stime_ns = exit_share(sum, stime, utime + stime);
	r->utime_ns = sum - r->stime_ns;
}

/* The status that wait(2) will tell: of the group when it was ended as one, else of its leader. */
static __always_inline void exit_status(
	struct pst_rec_exit *r, struct task_struct *p, struct signal_struct *sig)
{
	__u32 code;

	if (sig->flags & SIGNAL_GROUP_EXIT)
		code = sig->group_exit_code;
	else if (p->pid == p->tgid)
		code = p->exit_code;
	else
		code = BPF_CORE_READ(p, group_leader, exit_code);
	r->code = (code >> 8) & 0xff;
	r->signal = code & 0x7f;
	r->core = code >> 7 & 1;
}

static __always_inline void exit_emit(struct task_struct *p)
{
	struct pst_rec_exit *r = pst_reserve(&ring_process, PST_CLASS_PROCESS, sizeof(*r));
	struct signal_struct *sig = p->signal;

	if (!r)
		return;
	pst_head(&r->h, PST_REC_EXIT, sizeof(*r));
	pst_task_current(&r->task);
	r->run_ns = r->h.ts_ns - r->task.start_ns;
	exit_cpu(r, p, sig);
	exit_status(r, p, sig);
	r->parent_pid = p->real_parent->tgid;
	pst_submit(&ring_process, PST_CLASS_PROCESS, r, sizeof(*r));
}

SEC("tp_btf/sched_process_exit")
int process_exit(__u64 *ctx)
{
	struct task_struct *p = (void *)ctx[0];

	if (pst_gate_closed())
		return 0;
	if (pst_has_group_dead() ? !(bool)ctx[1] : !exit_first(p))
		return 0;
	exit_emit(p);
	return 0;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
