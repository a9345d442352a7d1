/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Policies in force on what processes do to files beside opening them, and on mounts (docs/design/policy.md,
 * "Hooks"). Where the security hooks are asked the paths are resolved and nothing has happened yet: LSM
 * denies; fentry on the functions that ask kills, but what was asked for happens all the same, as nothing
 * looks for signals from there on.
 *
 * An overlay calls the file systems below past these hooks, and so does nfsd. Kernel threads are left alone.
 */
#include "bpf/lib/enforce.bpf.h"

#define PF_KTHREAD 0x00200000

/* ---- what an act is on ---- */

static __always_inline struct judge_on at(const struct path *path)
{
	return (struct judge_on){.mnt = path->mnt, .dentry = path->dentry};
}

static __always_inline struct judge_on name_in(const struct path *dir, struct dentry *name)
{
	return (struct judge_on){.mnt = dir->mnt, .dentry = name};
}

static __always_inline struct judge_on both(
	const struct path *dir, struct dentry *name, const struct path *to_dir, struct dentry *to_name)
{
	return (struct judge_on){
		.mnt = dir->mnt, .dentry = name, .to_mnt = to_dir->mnt, .to_dentry = to_name};
}

/* What is mounted is where it is mounted. */
static __always_inline struct judge_on root_of(struct vfsmount *mnt)
{
	return (struct judge_on){.mnt = mnt, .dentry = mnt->mnt_root};
}

/* ---- programs ---- */

static __always_inline bool is_kthread(void)
{
	struct task_struct *t = (void *)bpf_get_current_task();

	return BPF_CORE_READ(t, flags) & PF_KTHREAD;
}

static __always_inline bool asked(__u32 op, __u32 *half)
{
	return !pst_gate_closed() && enforce_of_interest(op, half) && !is_kthread();
}

static __always_inline int judged(__u32 op, __u32 hook, __u32 half, struct judge_on on)
{
	struct pst_verdict v = {};

	judge_act(half, op, &on, &v);
	return enforce(op, hook, half, &v);
}

/* By the number of an argument. */
#define ARG(type, n) ((type)ctx[n])
#define PATH(n)      ARG(const struct path *, n)
#define NAME(n)      ARG(struct dentry *, n)

#define RUNG(name, attach, op, hook, on)                                                                     \
	SEC(attach)                                                                                          \
	int name(__u64 *ctx)                                                                                 \
	{                                                                                                    \
		__u32 half = 0;                                                                              \
		int error = asked(op, &half) ? judged(op, hook, half, on) : 0;                               \
                                                                                                             \
		return hook == PST_HOOK_LSM ? error : 0;                                                     \
	}

#define HOOK(name, function, op, on)                                                                         \
	RUNG(enforce_##name, "lsm/" function, op, PST_HOOK_LSM, on)                                          \
	RUNG(enforce_##name##_f, "fentry/security_" function, op, PST_HOOK_FENTRY, on)

/* Its ids are structs, with which kernels before 6.1 let no program attach; what asks has them as numbers. */
RUNG(enforce_chown, "lsm/path_chown", PST_OP_FILE_CHOWN, PST_HOOK_LSM, at(PATH(0)))
RUNG(enforce_chown_f, "fentry/chown_common", PST_OP_FILE_CHOWN, PST_HOOK_FENTRY, at(PATH(0)))

HOOK(unlink, "path_unlink", PST_OP_FILE_UNLINK, name_in(PATH(0), NAME(1)))
HOOK(rmdir, "path_rmdir", PST_OP_FILE_UNLINK, name_in(PATH(0), NAME(1)))
HOOK(rename, "path_rename", PST_OP_FILE_RENAME, both(PATH(0), NAME(1), PATH(2), NAME(3)))
/* Both are on one mount, or it would have been refused. */
HOOK(link, "path_link", PST_OP_FILE_LINK, both(PATH(1), NAME(0), PATH(1), NAME(2)))
HOOK(symlink, "path_symlink", PST_OP_FILE_SYMLINK, name_in(PATH(0), NAME(1)))
HOOK(mkdir, "path_mkdir", PST_OP_FILE_MKDIR, name_in(PATH(0), NAME(1)))
HOOK(chmod, "path_chmod", PST_OP_FILE_CHMOD, at(PATH(0)))
/* Since 6.2 (3350607dc563) the first is asked by truncate(2) alone. */
HOOK(truncate, "path_truncate", PST_OP_FILE_TRUNCATE, at(PATH(0)))
HOOK(ftruncate, "file_truncate", PST_OP_FILE_TRUNCATE, at(&ARG(struct file *, 0)->f_path))
HOOK(mount, "sb_mount", PST_OP_FILE_MOUNT, at(PATH(1)))
HOOK(move_mount, "move_mount", PST_OP_FILE_MOUNT, at(PATH(1)))
HOOK(umount, "sb_umount", PST_OP_FILE_UMOUNT, root_of(ARG(struct vfsmount *, 0)))
HOOK(pivot, "sb_pivotroot", PST_OP_FILE_PIVOT_ROOT, at(PATH(1)))

char LICENSE[] SEC("license") = "Dual BSD/GPL";
