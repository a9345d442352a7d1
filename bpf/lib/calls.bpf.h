/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Records of single system calls that processes rarely make, and break-ins often. Both rungs use them: fexit
 * programs on the calls themselves (bpf/calls.bpf.c), and the one program on sys_exit (bpf/sysexit.bpf.c).
 * What lies in the caller's memory is read when the call returns.
 */
#ifndef PST_CALLS_BPF_H
#define PST_CALLS_BPF_H

#include "bpf/lib/call.bpf.h"
#include "bpf/lib/cgrate.bpf.h"
#include "bpf/lib/common.bpf.h"
#include "bpf/lib/core_fixes.bpf.h"
#include "bpf/lib/maps_ring_process.bpf.h"
#include "bpf/lib/proc.bpf.h"
#include "bpf/lib/task.bpf.h"

/* Room for a record, its head filled; NULL: over the bound, or lost. */
static __always_inline void *call_begin(__u32 kind, __u32 size)
{
	struct pst_rec *h;

	if (!pst_cgrate_ok(PST_CLASS_PROCESS, kind))
		return NULL;
	h = bpf_ringbuf_reserve(&ring_process, size, 0);
	if (!h) {
		pst_count_lost(PST_CLASS_PROCESS, size);
		return NULL;
	}
	pst_head(h, kind, size);
	return h;
}

#define CALL_BEGIN(kind, type) ((struct type *)call_begin(kind, sizeof(struct type)))
#define CALL_END(r)            pst_submit(&ring_process, PST_CLASS_PROCESS, r, sizeof(*(r)))

/* ---- bpf(2) ---- */

#define BPF_PROG_LOAD 5

/* union bpf_attr of it, as far as it is told */
struct call_bpf_attr {
	__u32 prog_type;
	__u32 insn_cnt;
	__u64 insns, license;
	__u32 log_level, log_size;
	__u64 log_buf;
	__u32 kern_version, prog_flags;
	char prog_name[PST_BPF_NAME_BYTES];
	__u32 prog_ifindex;
	__u32 expected_attach_type;
};

static __always_inline void call_bpf(const struct call *c)
{
	struct call_bpf_attr attr = {};
	__u64 at, size;
	struct pst_rec_bpf *r;

	if ((__u32)CALL_ARG0(c) != BPF_PROG_LOAD)
		return;
	r = CALL_BEGIN(PST_REC_BPF, pst_rec_bpf);
	if (!r)
		return;
	at = CALL_ARG1(c);
	size = (__u32)CALL_ARG2(c);
	if (size > sizeof(attr))
		size = sizeof(attr); /* what is not given is zero */
	if (bpf_probe_read_user(&attr, size & 127, (const void *)at))
		pst_count_unread(PST_CLASS_PROCESS);
	pst_task_current(&r->task);
	r->error = call_error(c->ret);
	r->prog_type = attr.prog_type;
	r->attach_type = attr.expected_attach_type;
	r->insns = attr.insn_cnt;
	__builtin_memcpy(r->name, attr.prog_name, sizeof(r->name));
	CALL_END(r);
}

/* ---- ptrace(2), process_vm_writev(2) ---- */

#define PTRACE_TRACEME 0
#define PTRACE_ATTACH  16
#define PTRACE_SEIZE   0x4206

/* Who the current thread has begun to trace last; NULL: nobody. */
static __always_inline struct task_struct *call_tracee(void)
{
	struct task_struct *t = (void *)bpf_get_current_task();
	char *first = (char *)BPF_CORE_READ(t, ptraced.next);

	if (!first || first == (char *)t + bpf_core_field_offset(struct task_struct, ptraced))
		return NULL;
	return (struct task_struct *)(first - bpf_core_field_offset(struct task_struct, ptrace_entry));
}

static __always_inline void call_ptrace_emit(
	const struct call *c, __u32 op, __u32 given, struct task_struct *target)
{
	struct pst_rec_ptrace *r = CALL_BEGIN(PST_REC_PTRACE, pst_rec_ptrace);

	if (!r)
		return;
	pst_task_current(&r->task);
	if (target)
		pst_task_of(&r->target, target);
	else
		__builtin_memset(&r->target, 0, sizeof(r->target));
	r->error = call_error(c->ret);
	r->op = op;
	r->given_pid = given;
	r->pad = 0;
	CALL_END(r);
}

static __always_inline void call_ptrace(const struct call *c)
{
	__u64 request = CALL_ARG0(c);
	struct task_struct *target = NULL;
	__u32 given;

	if (request != PTRACE_ATTACH && request != PTRACE_SEIZE && request != PTRACE_TRACEME)
		return;
	given = CALL_ARG1(c);
	if (request == PTRACE_TRACEME) {
		call_ptrace_emit(c, PST_PTRACE_TRACEME, 0, (void *)bpf_get_current_task());
		return;
	}
	if (!c->ret)
		target = call_tracee();
	call_ptrace_emit(c, request == PTRACE_ATTACH ? PST_PTRACE_ATTACH : PST_PTRACE_SEIZE, given, target);
}

static __always_inline void call_vm_write(const struct call *c)
{
	call_ptrace_emit(c, PST_PTRACE_VM_WRITE, CALL_ARG0(c), NULL);
}

/* ---- unshare(2), setns(2) ---- */

/* All but CLONE_NEWTIME, which is among the bits of a signal in clone(2). */
#define CLONE_NEW_ALL                                                                                        \
	(0x00020000 | 0x02000000 | 0x04000000 | 0x08000000 | 0x10000000 | 0x20000000 | 0x40000000)
#define CLONE_NEWTIME 0x00000080

static __always_inline void call_ns_read(struct pst_ns *ns)
{
	struct task_struct *t = (void *)bpf_get_current_task();
	struct nsproxy *p = BPF_CORE_READ(t, nsproxy);

	ns->user = BPF_CORE_READ(t, real_cred, user_ns, ns.inum);
	ns->pid = BPF_CORE_READ(p, pid_ns_for_children, ns.inum); /* the own one never changes */
	ns->mnt = BPF_CORE_READ(p, mnt_ns, ns.inum);
	ns->net = BPF_CORE_READ(p, net_ns, ns.inum);
	ns->uts = BPF_CORE_READ(p, uts_ns, ns.inum);
	ns->ipc = BPF_CORE_READ(p, ipc_ns, ns.inum);
	ns->cgroup = BPF_CORE_READ(p, cgroup_ns, ns.inum);
	ns->time = 0;
	if (bpf_core_field_exists(p->time_ns))
		ns->time = BPF_CORE_READ(p, time_ns, ns.inum);
}

static __always_inline void call_namespace(const struct call *c, __u32 which)
{
	__u32 flags = which == PST_NS_UNSHARE ? CALL_ARG0(c) : CALL_ARG1(c);
	struct pst_rec_namespace *r;

	if (which == PST_NS_UNSHARE && !(flags & (CLONE_NEW_ALL | CLONE_NEWTIME)))
		return; /* takes apart what threads share, and makes no namespace */
	r = CALL_BEGIN(PST_REC_NAMESPACE, pst_rec_namespace);
	if (!r)
		return;
	pst_task_current(&r->task);
	call_ns_read(&r->ns);
	r->error = call_error(c->ret);
	r->call = which;
	r->flags = flags;
	r->pad = 0;
	CALL_END(r);
}

/* ---- memfd_create(2) ---- */

static __always_inline void call_memfd(const struct call *c)
{
	struct pst_rec_memfd *r = CALL_BEGIN(PST_REC_MEMFD, pst_rec_memfd);

	if (!r)
		return;
	pst_task_current(&r->task);
	r->error = call_error(c->ret);
	r->flags = CALL_ARG1(c);
	__builtin_memset(r->name, 0, sizeof(r->name));
	if (bpf_probe_read_user_str(r->name, sizeof(r->name), (const void *)CALL_ARG0(c)) < 0)
		pst_count_unread(PST_CLASS_PROCESS);
	CALL_END(r);
}

/* ---- perf_event_open(2) ---- */

/* struct perf_event_attr, its head */
struct call_perf_attr {
	__u32 type;
	__u32 size;
	__u64 config;
};

static __always_inline void call_perf(const struct call *c)
{
	struct pst_rec_perf *r = CALL_BEGIN(PST_REC_PERF, pst_rec_perf);
	struct call_perf_attr attr = {};

	if (!r)
		return;
	if (bpf_probe_read_user(&attr, sizeof(attr), (const void *)CALL_ARG0(c)))
		pst_count_unread(PST_CLASS_PROCESS);
	pst_task_current(&r->task);
	r->config = attr.config;
	r->type = attr.type;
	r->error = call_error(c->ret);
	r->given_pid = CALL_ARG1(c);
	r->cpu = CALL_ARG2(c);
	r->flags = CALL_ARG4(c);
	CALL_END(r);
}

/* ---- executable memory ---- */

#define PROT_EXEC     4
#define MAP_ANONYMOUS 0x20

static __always_inline void call_exec_memory_emit(
	__u64 address, __u64 bytes, __u32 call, __u32 prot, __u32 old_prot, __u32 mapping)
{
	struct pst_rec_exec_memory *r = CALL_BEGIN(PST_REC_EXEC_MEMORY, pst_rec_exec_memory);

	if (!r)
		return;
	pst_task_current(&r->task);
	r->address = address;
	r->bytes = bytes;
	r->call = call;
	r->prot = prot;
	r->old_prot = old_prot;
	r->mapping = mapping;
	CALL_END(r);
}

/* The caller has seen to it that it is anonymous and executable. */
static __always_inline void call_mmap(const struct call *c)
{
	if (c->ret < 0 && c->ret > -4096)
		return;
	call_exec_memory_emit(c->ret, CALL_ARG1(c), PST_EXEC_MMAP, CALL_ARG2(c), 0, PST_MAPPING_ANONYMOUS);
}

static __always_inline void call_mprotect(const struct call *c)
{
	if (!c->ret)
		call_exec_memory_emit(
			CALL_ARG0(c), CALL_ARG1(c), PST_EXEC_MPROTECT, CALL_ARG2(c), 0, PST_MAPPING_UNKNOWN);
}

/* ---- /proc/PID/mem, opened for writing ---- */

#define PROC_SUPER_MAGIC 0x9fa0
#define FMODE_READ       1
#define FMODE_WRITE      2
#define MEM_NAME         0x6d656d /* "mem" and its NUL, as a word */

/* The leader or thread that a folder of /proc is about. */
static __always_inline struct task_struct *call_proc_task(struct inode *inode)
{
	struct proc_inode *p = (void *)((char *)inode - bpf_core_field_offset(struct proc_inode, vfs_inode));
	char *link = (char *)BPF_CORE_READ(p, pid, tasks[0].first);

	return link ? (void *)(link - bpf_core_field_offset(struct task_struct, pid_links)) : NULL;
}

/* @file: of /proc/PID/mem. Nothing is told of a process that opens its own. */
static __always_inline void call_proc_mem(struct file *file)
{
	__u32 mode = BPF_CORE_READ(file, f_mode);
	struct pst_rec_proc_mem *r;
	struct task_struct *target;

	if (!(mode & FMODE_WRITE))
		return;
	target = call_proc_task(BPF_CORE_READ(file, f_inode));
	if (!target || (__u32)BPF_CORE_READ(target, tgid) == bpf_get_current_pid_tgid() >> 32)
		return;
	r = CALL_BEGIN(PST_REC_PROC_MEM, pst_rec_proc_mem);
	if (!r)
		return;
	pst_task_current(&r->task);
	pst_task_of(&r->target, target);
	r->readable = mode & FMODE_READ;
	r->pad = 0;
	CALL_END(r);
}

static __always_inline bool call_is_proc_mem(struct file *file)
{
	const unsigned char *name = NULL;
	__u32 word = 0;

	if (BPF_CORE_READ(file, f_inode, i_sb, s_magic) != PROC_SUPER_MAGIC)
		return false;
	name = BPF_CORE_READ(file, f_path.dentry, d_name.name);
	bpf_probe_read_kernel(&word, sizeof(word), name);
	return word == MEM_NAME;
}

/* What a descriptor of the current process stands for, unless another thread has closed it meanwhile. */
static __always_inline struct file *call_file(__u32 fd)
{
	struct task_struct *t = (void *)bpf_get_current_task();
	struct fdtable *table = BPF_CORE_READ(t, files, fdt);
	struct file **files = BPF_CORE_READ(table, fd), *file = NULL;

	if (fd >= BPF_CORE_READ(table, max_fds))
		return NULL;
	bpf_probe_read_kernel(&file, sizeof(file), files + fd);
	return file;
}

static __always_inline void call_open(const struct call *c)
{
	struct file *file = c->ret < 0 ? NULL : call_file(c->ret);

	if (file && call_is_proc_mem(file))
		call_proc_mem(file);
}

#endif
