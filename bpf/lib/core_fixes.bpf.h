/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What differs between kernels, one getter a difference, with the commit that made it. */
#ifndef PST_CORE_FIXES_BPF_H
#define PST_CORE_FIXES_BPF_H

#include "bpf/lib/common.bpf.h"

/* bpf_get_current_task_btf() came in 5.11 (3ca1032ab7ab); its result can be read without a helper call. */
static __always_inline bool pst_has_task_btf(void)
{
	return bpf_core_enum_value_exists(enum bpf_func_id, BPF_FUNC_get_current_task_btf);
}

static __always_inline struct task_struct *pst_current_btf(void)
{
	return bpf_get_current_task_btf();
}

/*
 * Capabilities as one word. The struct was two 32-bit words, low one first, until 6.3 made it one of 64 bits
 * (f122a08b197d): the same bytes on a little-endian machine.
 */
static __always_inline __u64 pst_caps(const struct kernel_cap_struct *cap)
{
	__u64 v = 0;

	bpf_probe_read_kernel(&v, sizeof(v), cap);
	return v;
}

/* Absent without CONFIG_AUDIT. */
static __always_inline __u32 pst_loginuid(struct task_struct *t)
{
	return bpf_core_field_exists(t->loginuid) ? t->loginuid.val : ~0U;
}

/* 6.16 gave sched_process_exit a second argument, exact where `live == 0` is not (two threads leaving at
 * once). */
struct trace_event_raw_sched_process_exit {
	bool group_dead;
} __attribute__((preserve_access_index));

static __always_inline bool pst_has_group_dead(void)
{
	return bpf_core_field_exists(((struct trace_event_raw_sched_process_exit *)0)->group_dead);
}

/*
 * The upper dentry of an overlay inode. ovl_inode is in vmlinux's BTF only where overlayfs is built in; as a
 * module it may not even be loaded yet. But since 4.13 (13cf199d0088) the pointer has followed the embedded
 * vfs_inode in every release, which needs no BTF of the module.
 */
struct ovl_inode {
	struct inode vfs_inode;
	struct dentry *__upperdentry;
} __attribute__((preserve_access_index));

static __always_inline struct dentry *pst_ovl_upper(struct inode *inode)
{
	__u64 off = bpf_core_type_size(struct inode);
	struct dentry *upper = NULL;

	if (bpf_core_field_exists(((struct ovl_inode *)0)->__upperdentry))
		off = bpf_core_field_offset(struct ovl_inode, __upperdentry) -
		      bpf_core_field_offset(struct ovl_inode, vfs_inode);
	bpf_probe_read_kernel(&upper, sizeof(upper), (char *)inode + off);
	return upper;
}

/*
 * Functions of the VFS got another first argument in 5.12, the user namespace of the mount (6521f8917082),
 * which a mount has had since then, and which became an idmap in 6.2.
 */
struct vfsmount___5_12 {
	struct user_namespace *mnt_userns;
} __attribute__((preserve_access_index));

struct vfsmount___6_2 {
	struct mnt_idmap *mnt_idmap;
} __attribute__((preserve_access_index));

static __always_inline __u32 pst_vfs_shift(void)
{
	return bpf_core_field_exists(((struct vfsmount___5_12 *)0)->mnt_userns) ||
	       bpf_core_field_exists(((struct vfsmount___6_2 *)0)->mnt_idmap);
}

/* Instead of the six arguments of vfs_rename: 5.12 (9fe61450972d), and 5.10 after 5.10.220. */
static __always_inline bool pst_vfs_renamedata(void)
{
	return bpf_core_type_exists(struct renamedata);
}

/*
 * What the function of an fexit program returned. The helper came in 5.17 (f92c1e183604); before, it lies
 * behind the @nargs arguments.
 */
static __always_inline __u64 pst_func_ret(__u64 *ctx, const __u32 nargs)
{
	__u64 ret = 0;

	if (bpf_core_enum_value_exists(enum bpf_func_id, BPF_FUNC_get_func_ret))
		bpf_get_func_ret(ctx, &ret);
	else
		bpf_probe_read_kernel(&ret, sizeof(ret), ctx + nargs);
	return ret;
}

/* Run counters were behind aux until 5.12 (700d4796ef59), as plain words until 5.17 (61a0abaee209). */
struct bpf_prog_aux___5_10 {
	struct bpf_prog_stats *stats;
} __attribute__((preserve_access_index));

static __always_inline const struct bpf_prog_stats *pst_prog_stats(const struct bpf_prog *prog)
{
	const struct bpf_prog_stats *stats = NULL;

	if (bpf_core_field_exists(prog->stats)) {
		bpf_core_read(&stats, sizeof(stats), &prog->stats);
	} else {
		struct bpf_prog_aux___5_10 *aux = NULL;

		bpf_core_read(&aux, sizeof(aux), &prog->aux);
		bpf_core_read(&stats, sizeof(stats), &aux->stats);
	}
	return stats;
}

/* cnt, nsecs and, since 5.12 (9ed9e9ba2337), misses: one word each, the first of the struct. */
static __always_inline __u32 pst_prog_stats_size(void)
{
	return bpf_core_field_exists(((struct bpf_prog_stats *)0)->misses) ? 24 : 16;
}

#endif
