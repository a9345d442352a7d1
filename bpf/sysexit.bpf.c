/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The second rung of every sensor that would rather sit on a function's return:
 * one program on sys_exit, where fentry and fexit cannot be had. Every system
 * call of the host passes here, so what nobody wants leaves after a compare and a load.
 */
#include "bpf/lib/accept.bpf.h"
#include "bpf/lib/calls.bpf.h"
#include "bpf/lib/cred.bpf.h"
#include "bpf/lib/execfail.bpf.h"
#include "bpf/lib/filecalls.bpf.h"
#include "bpf/lib/gate.bpf.h"
#include "bpf/lib/sockcall.bpf.h"
#include "bpf/lib/sysnr.bpf.h"

/* Which sensors this serves. cfg_cred needs `cred_enter` attached too, and before `sysexit`. */
const volatile bool cfg_exec_failed = true;
const volatile bool cfg_cred = true;
const volatile bool cfg_accept = false;
const volatile bool cfg_bpf = false;
const volatile bool cfg_ptrace = false;
const volatile bool cfg_namespace = false;
const volatile bool cfg_memfd = false;
const volatile bool cfg_perf = false;
const volatile bool cfg_exec_memory = false;
const volatile bool cfg_proc_mem = false;
const volatile bool cfg_socket = false;
const volatile bool cfg_bind = false;
const volatile bool cfg_file_unlink = false;
const volatile bool cfg_file_rename = false;
const volatile bool cfg_file_link = false;
const volatile bool cfg_file_symlink = false;
const volatile bool cfg_file_mkdir = false;
const volatile bool cfg_file_mknod = false;
const volatile bool cfg_file_chmod = false;
const volatile bool cfg_file_chown = false;
const volatile bool cfg_file_truncate = false;
const volatile bool cfg_file_xattr = false;
const volatile bool cfg_file_mount = false;
const volatile bool cfg_file_umount = false;
const volatile bool cfg_file_pivot_root = false;

/* Which changes of files; in the order of the kinds of record. */
static __always_inline __u32 sysexit_files(void)
{
	return cfg_file_unlink << 0 | cfg_file_rename << 1 | cfg_file_link << 2 | cfg_file_symlink << 3 |
	       cfg_file_mkdir << 4 | cfg_file_mknod << 5 | cfg_file_chmod << 6 | cfg_file_chown << 7 |
	       cfg_file_truncate << 8 | cfg_file_xattr << 9 | cfg_file_mount << 10 | cfg_file_umount << 11 |
	       cfg_file_pivot_root << 12;
}

/*
 * Credentials of the tasks that are inside a call that may change them, by the address of their task_struct:
 * a thread that executes a file takes over its leader's tid on the way. LRU, since a task killed in the
 * middle leaves its entry behind.
 */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 4096);
	__type(key, __u64);
	__type(value, struct pst_cred);
} cred_calls SEC(".maps");

SEC("tp_btf/sys_enter")
int BPF_PROG(cred_enter, struct pt_regs *regs, long id)
{
	struct sysnr nr = {};
	struct pst_cred c;
	__u64 task;

	if (!sysnr_classify(id, SYSNR_NS, &nr) || pst_gate_closed())
		return 0;
	task = bpf_get_current_task();
	pst_cred_current(&c);
	bpf_map_update_elem(&cred_calls, &task, &c, BPF_ANY);
	return 0;
}

static __always_inline void sysexit_exec_failed(struct pt_regs *regs, struct sysnr nr, long ret)
{
	__u64 filename = regs->di, argv = regs->si;

	if (nr.compat) {
		filename = (__u32)(nr.kind == SYSNR_EXECVE ? regs->bx : regs->cx);
		argv = (__u32)(nr.kind == SYSNR_EXECVE ? regs->cx : regs->dx);
	} else if (nr.kind == SYSNR_EXECVEAT) {
		filename = regs->si;
		argv = regs->dx;
	}
	execfail_emit(EXECFAIL_SYSEXIT, ret, filename, argv, nr.ptr32 ? 4 : 8);
}

static __always_inline void sysexit_cred(struct sysnr nr, long ret)
{
	__u64 task = bpf_get_current_task();
	struct pst_cred *before, after;
	bool exec = nr.kind <= SYSNR_EXECVEAT;

	before = bpf_map_lookup_elem(&cred_calls, &task);
	if (ret >= 0 && (before || !exec)) { /* setfsuid and setfsgid return the old id */
		pst_cred_current(&after);
		pst_cred_emit(before, &after, exec ? PST_CRED_DURING_EXEC : 0);
	}
	if (before)
		bpf_map_delete_elem(&cred_calls, &task);
}

/* Which of two calls that share their kind: the numbers of unshare. */
static __always_inline __u32 sysexit_ns_call(const struct pt_regs *regs, bool compat)
{
	return (regs->orig_ax & (SYSNR_MAX - 1)) == (compat ? 310U : 272U) ? PST_NS_UNSHARE : PST_NS_SETNS;
}

#define O_ACCMODE 3

/*
 * The 32-bit number is of a change of files: does somebody want it? Those of link and unlink are mmap and
 * mprotect to all others, which do not pay for what only those two want.
 */
static __always_inline bool sysexit_asks_width(__u32 native)
{
	if (native == SYSNR_MMAP)
		return cfg_file_link;
	if (native == SYSNR_MPROTECT)
		return cfg_file_unlink;
	return sysexit_files();
}

/*
 * Nobody wants it: no sensor asks for that number, or it is frequent and the registers say that it is
 * harmless, as of mapping, protecting and opening nearly all is. Asked before anything else.
 */
static __always_inline bool sysexit_idle(const struct pt_regs *regs, long ret)
{
	__u64 nr = regs->orig_ax;
	__u16 kinds;

	if (nr >= SYSNR_MAX)
		return !(nr & SYSNR_X32_BIT);
	kinds = sysnr_kinds[nr & (SYSNR_MAX - 1)];
	if (SYSNR_COMPAT(kinds) >= SYSNR_FILE && !sysexit_asks_width(SYSNR_NATIVE(kinds)))
		kinds = SYSNR_NATIVE(kinds);
	if (!kinds)
		return true;
	if (kinds < SYSNR_MMAP || kinds > SYSNR_OPENAT)
		return false;
	if (kinds <= SYSNR_MPROTECT)
		return !cfg_exec_memory || !(regs->dx & PROT_EXEC);
	return !cfg_proc_mem || ret < 0 || !((kinds == SYSNR_OPEN ? regs->si : regs->dx) & O_ACCMODE);
}

static __always_inline void sysexit_memory(struct pt_regs *regs, struct call *c, struct sysnr nr)
{
	if (!(regs->dx & PROT_EXEC)) /* of mmap and mprotect, in both numberings */
		return;
	if (nr.kind == SYSNR_MMAP && (nr.compat ? regs->si : regs->r10) & MAP_ANONYMOUS)
		call_mmap(c);
	if (nr.kind == SYSNR_MPROTECT)
		call_mprotect(c);
}

static __always_inline void sysexit_file(const struct call *c, __u32 nr)
{
	const struct filecall *f = filecall_of(nr);

	if (f && sysexit_files() >> ((f->kind - PST_REC_FILE_UNLINK) & 31) & 1)
		filecall(c, nr);
}

/* Calls whose record is made of their arguments. */
static __always_inline void sysexit_call(struct pt_regs *regs, struct sysnr nr, long ret)
{
	struct call c = {.regs = regs, .compat = nr.compat, .ret = ret};

	if (cfg_bpf && nr.kind == SYSNR_BPF)
		call_bpf(&c);
	if (cfg_ptrace && nr.kind == SYSNR_PTRACE)
		call_ptrace(&c);
	if (cfg_ptrace && nr.kind == SYSNR_VM_WRITE)
		call_vm_write(&c);
	if (cfg_namespace && nr.kind == SYSNR_NS)
		call_namespace(&c, sysexit_ns_call(regs, nr.compat));
	if (cfg_memfd && nr.kind == SYSNR_MEMFD)
		call_memfd(&c);
	if (cfg_perf && nr.kind == SYSNR_PERF)
		call_perf(&c);
	if (cfg_exec_memory)
		sysexit_memory(regs, &c, nr);
	if (cfg_proc_mem && nr.kind >= SYSNR_OPEN && nr.kind < SYSNR_FILE)
		call_open(&c);
	if (sysexit_files() && nr.kind >= SYSNR_FILE)
		sysexit_file(&c, nr.kind);
}

/* Which of the calls that share their kind, by the numbers of socketcall. What it was given goes into @args.
 */
static __always_inline __u32 sysexit_sockcall(struct pt_regs *regs, const struct call *c, __u32 args[3])
{
	args[0] = c->compat ? regs->bx : regs->di;
	args[1] = c->compat ? regs->cx : regs->si;
	args[2] = regs->dx;
	switch (regs->orig_ax & (SYSNR_MAX - 1)) {
	case 102:
		return sockcall_socketcall(c, args);
	case 41:
	case 359:
		return SOCKCALL_SOCKET;
	case 49:
	case 361:
		return SOCKCALL_BIND;
	default:
		return SOCKCALL_ACCEPT;
	}
}

static __always_inline void sysexit_socket(struct pt_regs *regs, struct sysnr nr, long ret)
{
	struct call c = {.regs = regs, .compat = nr.compat, .ret = ret};
	__u32 args[3] = {}, which = sysexit_sockcall(regs, &c, args);

	if (cfg_accept && (which == SOCKCALL_ACCEPT || which == SOCKCALL_ACCEPT4))
		pst_accept_exit(ret);
	if (cfg_socket && which == SOCKCALL_SOCKET)
		sockcall_socket(args[0], args[1], args[2], ret);
	if (cfg_bind && which == SOCKCALL_BIND) /* a pointer of 64 bits is in no word of theirs */
		sockcall_bind(args[0], nr.compat ? args[1] : regs->si, args[2], ret);
}

SEC("tp_btf/sys_exit")
int BPF_PROG(sysexit, struct pt_regs *regs, long ret)
{
	const __u32 last = sysexit_files() ? SYSNR_KINDS : SYSNR_FILE - 1;
	struct sysnr nr = {};

	if (sysexit_idle(regs, ret) || !sysnr_classify(regs->orig_ax, last, &nr) || pst_gate_closed())
		return 0;
	if (nr.kind >= SYSNR_NS)
		sysexit_call(regs, nr, ret);
	if ((cfg_accept || cfg_socket || cfg_bind) && nr.kind == SYSNR_SOCKET)
		sysexit_socket(regs, nr, ret);
	if (cfg_exec_failed && nr.kind <= SYSNR_EXECVEAT && ret < 0)
		sysexit_exec_failed(regs, nr, ret);
	if (cfg_cred && nr.kind <= SYSNR_NS)
		sysexit_cred(nr, ret);
	return 0;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
