/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What acts on processes and on the kernel are on (struct judge_proc): the process behind a number or a
 * descriptor, the access that memory gets, the name of a module, and which system calls are such acts.
 */
#ifndef PST_POLPROC_BPF_H
#define PST_POLPROC_BPF_H

#include "bpf/lib/policyjudge.bpf.h"
#include "bpf/lib/sysnr.bpf.h"

/* ---- processes ---- */

#define POLPROC_LEVELS   5 /* of the tree: 30 bits, and numbers have 22 */
#define POLPROC_INNER(e) (((e)&3) == 2 && (e) > 4096)

/* The first task of a struct pid. */
static __always_inline __u64 polproc_of_pid(struct pid *pid)
{
	char *link = (char *)BPF_CORE_READ(pid, tasks[0].first);

	return link ? (__u64)(link - bpf_core_field_offset(struct task_struct, pid_links)) : 0;
}

/* The number of a thread, as the current process counts; 0: there is none. */
__noinline __u64 polproc_of_number(__u32 number)
{
	struct task_struct *t = (void *)bpf_get_current_task();
	struct pid *own = BPF_CORE_READ(t, thread_pid);
	struct pid_namespace *ns = NULL;
	__u64 entry, at;
	__u32 shift;

	at = BPF_CORE_READ(own, level);
	at = (__u64)own + bpf_core_field_offset(struct pid, numbers) + at * bpf_core_type_size(struct upid) +
	     bpf_core_field_offset(struct upid, ns);
	bpf_probe_read_kernel(&ns, sizeof(ns), (const void *)at);
	number -= BPF_CORE_READ(ns, idr.idr_base);
	entry = (__u64)BPF_CORE_READ(ns, idr.idr_rt.xa_head);
	if (!POLPROC_INNER(entry))
		return number ? 0 : polproc_of_pid((void *)entry);
#pragma unroll
	for (int i = 0; i < POLPROC_LEVELS; i++) {
		at = entry - 2;
		shift = BPF_CORE_READ((struct xa_node *)at, shift) & 31;
		if (!i && number >> shift >= 64)
			return 0;
		at += bpf_core_field_offset(struct xa_node, slots) + (number >> shift & 63) * sizeof(void *);
		if (bpf_probe_read_kernel(&entry, sizeof(entry), (const void *)at))
			return 0;
		if (!POLPROC_INNER(entry))
			return polproc_of_pid((void *)entry);
	}
	return 0;
}

static __always_inline struct file *polproc_file(__u32 fd)
{
	struct task_struct *t = (void *)bpf_get_current_task();
	struct fdtable *table = BPF_CORE_READ(t, files, fdt);
	struct file **files = BPF_CORE_READ(table, fd), *file = NULL;

	if (fd < BPF_CORE_READ(table, max_fds))
		bpf_probe_read_kernel(&file, sizeof(file), files + fd);
	return file;
}

#define PIDFS_MAGIC 0x50494446

/* Of a pidfd; since 6.9 (cb12fd8e0dab) they have a file system of their own. */
static __noinline __u64 polproc_of_pidfd(__u32 fd)
{
	struct file *file = polproc_file(fd);
	struct inode *inode = BPF_CORE_READ(file, f_inode);

	if (BPF_CORE_READ(inode, i_sb, s_magic) == PIDFS_MAGIC)
		return polproc_of_pid(BPF_CORE_READ(inode, i_private));
	return polproc_of_pid(BPF_CORE_READ(file, private_data));
}

static __always_inline bool polproc_is_own(__u64 task)
{
	struct task_struct *t = (void *)task;

	return (__u32)BPF_CORE_READ(t, tgid) == bpf_get_current_pid_tgid() >> 32;
}

/* ---- memory ---- */

#define PROT_READ  1
#define PROT_WRITE 2
#define PROT_EXEC  4

static __always_inline __u32 polproc_access(__u32 prot)
{
	return (prot & PROT_READ ? 1u << PST_ACCESS_READ : 0) |
	       (prot & PROT_WRITE ? 1u << PST_ACCESS_WRITE : 0) |
	       (prot & PROT_EXEC ? 1u << PST_ACCESS_EXECUTE : 0);
}

/* ---- modules ---- */

/* Names of modules are compared as paths are. */
static __always_inline __u64 polproc_module(struct module *m)
{
	__u64 word[sizeof(m->name) / 8 + 1] = {}, last = 0;
	struct pst_pathhash hash;
	long len = bpf_core_read_str(word, sizeof(m->name), &m->name);

	if (len < 2)
		return 0;
	len--; /* the NUL */
	pst_pathhash_begin(&hash, cfg_path_key[0], cfg_path_key[1]);
#pragma unroll
	for (int i = 0; i < (int)sizeof(m->name) / 8; i++) {
		if (len >= 8 * (i + 1))
			pst_pathhash_word(&hash, word[i]);
		else if (len >= 8 * i)
			last = word[i];
	}
	return pst_pathhash_end(&hash, last, len);
}

/* ---- system calls ---- */

#define POLPROC_CLONE 63 /* instead of an operation: one that may be process.namespace */
#define POLPROC_OPEN  62 /* one that may open the memory of another process */

static __always_inline __u32 polproc_native(__u64 nr)
{
	switch (nr & ~(__u64)SYSNR_X32_BIT) {
	case 2:   /* open */
	case 257: /* openat */
	case 437: /* openat2 */
		return POLPROC_OPEN;
	case 9:   /* mmap */
	case 10:  /* mprotect */
	case 329: /* pkey_mprotect */
		return PST_OP_PROCESS_MPROTECT;
	case 56:  /* clone */
	case 435: /* clone3 */
		return POLPROC_CLONE;
	case 101: /* ptrace */
	case 310: /* process_vm_readv */
	case 311: /* process_vm_writev */
	case 438: /* pidfd_getfd */
	case 521: /* the first three of x32 */
	case 539:
	case 540:
		return PST_OP_PROCESS_PTRACE;
	case 105: /* setuid */
	case 106: /* setgid */
	case 113: /* setreuid */
	case 114: /* setregid */
	case 116: /* setgroups */
	case 117: /* setresuid */
	case 119: /* setresgid */
	case 122: /* setfsuid */
	case 123: /* setfsgid */
		return PST_OP_PROCESS_SETID;
	case 126:
		return PST_OP_PROCESS_CAPSET;
	case 272: /* unshare */
	case 308: /* setns */
		return PST_OP_PROCESS_NAMESPACE;
	case 298:
		return PST_OP_PROCESS_PERF;
	case 319: /* memfd_create */
	case 447: /* memfd_secret */
		return PST_OP_PROCESS_MEMFD;
	case 321:
		return PST_OP_PROCESS_BPF;
	default:
		return 0;
	}
}

static __always_inline __u32 polproc_compat(__u64 nr)
{
	switch (nr) {
	case 5:   /* open */
	case 295: /* openat */
	case 437: /* openat2 */
		return POLPROC_OPEN;
	case 125: /* mprotect */
	case 192: /* mmap2 */
	case 380: /* pkey_mprotect */
		return PST_OP_PROCESS_MPROTECT;
	case 120: /* clone */
	case 435: /* clone3 */
		return POLPROC_CLONE;
	case 26:  /* ptrace */
	case 347: /* process_vm_readv */
	case 348: /* process_vm_writev */
	case 438: /* pidfd_getfd */
		return PST_OP_PROCESS_PTRACE;
	case 23: /* those of 16 bits, */
	case 46:
	case 70:
	case 71:
	case 81:
	case 138:
	case 139:
	case 164:
	case 170:
	case 203: /* and of 32 */
	case 204:
	case 206:
	case 208:
	case 210:
	case 213:
	case 214:
	case 215:
	case 216:
		return PST_OP_PROCESS_SETID;
	case 185:
		return PST_OP_PROCESS_CAPSET;
	case 310: /* unshare */
	case 346: /* setns */
		return PST_OP_PROCESS_NAMESPACE;
	case 336:
		return PST_OP_PROCESS_PERF;
	case 356: /* memfd_create */
	case 447: /* memfd_secret */
		return PST_OP_PROCESS_MEMFD;
	case 357:
		return PST_OP_PROCESS_BPF;
	default:
		return 0;
	}
}

struct polproc_call {
	__u32 op; /* 0: none of these */
	__u32 nr;
	__u64 arg[4];
};

/* Of the call that begins or returns; its number and the first arguments. */
static __always_inline void polproc_call(struct polproc_call *c, const struct pt_regs *regs)
{
	__u64 nr = regs->orig_ax;

	c->op = 0;
	if (!polproc_native(nr) && !polproc_compat(nr))
		return;
	c->nr = nr;
	if (sysnr_is_compat()) {
		c->op = polproc_compat(nr);
		c->arg[0] = (__u32)regs->bx;
		c->arg[1] = (__u32)regs->cx;
		c->arg[2] = (__u32)regs->dx;
		c->arg[3] = (__u32)regs->si;
		return;
	}
	c->op = polproc_native(nr);
	c->arg[0] = regs->di;
	c->arg[1] = regs->si;
	c->arg[2] = regs->dx;
	c->arg[3] = regs->r10;
}

#endif
