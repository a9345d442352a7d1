/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What a record tells of a process, read from a task that the verifier knows (tp_btf, bpf_iter). */
#ifndef PST_PROC_BPF_H
#define PST_PROC_BPF_H

#include "bpf/lib/common.bpf.h"
#include "bpf/lib/core_fixes.bpf.h"

#define OVERLAYFS_SUPER_MAGIC 0x794c7630
#define MEMFD_NAME            0x3a64666d656dULL /* "memfd:" */
#define MEMFD_NAME_LEN        6

/* Inode number of the pid namespace that the task lives in (nsproxy has that of its future children). */
static __always_inline __u32 pst_pid_ns(struct task_struct *t)
{
	struct pid_namespace *ns = NULL;
	struct pid *pid = NULL;
	unsigned int level = 0, inum = 0;

	bpf_core_read(&pid, sizeof(pid), &t->thread_pid);
	if (!pid || bpf_core_read(&level, sizeof(level), &pid->level) || level > 32)
		return 0;
	bpf_core_read(&ns, sizeof(ns), (char *)&pid->numbers[0].ns + level * bpf_core_type_size(struct upid));
	if (ns)
		bpf_core_read(&inum, sizeof(inum), &ns->ns.inum);
	return inum;
}

/*
 * How pointers are followed. For each pointer that a program loads by itself from one that the verifier
 * trusts (an argument of the program, the current task, what RCU protects), kernels since 6.4 look through
 * all their types, up to four times (btf_nested_type_is_trusted): 2 ms, at each load. What comes of it is a
 * pointer without trust, and loads from that one are free again. A helper call costs the run some 8 ns. So a
 * pointer behind which there is much is loaded, once and before programs branch, and a single value is read
 * by BPF_CORE_READ.
 */
static __always_inline void pst_ns_fill(struct pst_ns *ns, struct task_struct *t, const struct cred *cred)
{
	struct nsproxy *p = t->nsproxy;

	__builtin_memset(ns, 0, sizeof(*ns));
	ns->user = cred->user_ns->ns.inum;
	ns->pid = pst_pid_ns(t);
	if (!p) /* exiting */
		return;
	ns->mnt = p->mnt_ns->ns.inum;
	ns->net = p->net_ns->ns.inum;
	ns->uts = p->uts_ns->ns.inum;
	ns->ipc = p->ipc_ns->ns.inum;
	ns->cgroup = p->cgroup_ns->ns.inum;
	if (bpf_core_field_exists(p->time_ns))
		ns->time = p->time_ns->ns.inum;
}

/* Controlling terminal as major << 20 | minor, 0: none. */
static __always_inline __u32 pst_tty(struct task_struct *t)
{
	struct tty_struct *tty = BPF_CORE_READ(t, signal, tty);
	struct tty_driver *driver;

	if (!tty)
		return 0;
	driver = BPF_CORE_READ(tty, driver);
	return ((__u32)BPF_CORE_READ(driver, major) << 20) + BPF_CORE_READ(driver, minor_start) +
	       BPF_CORE_READ(tty, index);
}

/* A memfd's dentry belongs to no tree; no file in a folder can look like that. */
static __always_inline bool pst_is_memfd(struct dentry *dentry)
{
	const unsigned char *name = NULL;
	struct dentry *parent = NULL;
	__u64 start = 0;

	bpf_core_read(&parent, sizeof(parent), &dentry->d_parent);
	bpf_core_read(&name, sizeof(name), &dentry->d_name.name);
	bpf_probe_read_kernel(&start, MEMFD_NAME_LEN, name);
	return dentry == parent && start == MEMFD_NAME;
}

/* enum pst_exec_flags of the file itself. */
static __always_inline __u32 pst_file_flags(struct file *file, struct inode *inode)
{
	struct dentry *dentry = NULL;
	__u32 flags = 0;

	if (BPF_CORE_READ(inode, i_sb, s_magic) == OVERLAYFS_SUPER_MAGIC && pst_ovl_upper(inode))
		flags |= PST_EXEC_UPPER;
	if (BPF_CORE_READ(inode, i_nlink))
		return flags;
	flags |= PST_EXEC_UNLINKED;
	bpf_core_read(&dentry, sizeof(dentry), &file->f_path.dentry);
	if (pst_is_memfd(dentry))
		flags |= PST_EXEC_MEMFD;
	return flags;
}

#endif
