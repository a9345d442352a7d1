/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * First rung of the sensors of files. Two programs an operation: the security hook has the paths and is asked
 * before it is done, the function of the VFS knows what came of it. Between the two what was asked is kept by
 * the task. An overlay calls the VFS again for the file below, with another dentry: that is not told.
 *
 * Only the first of the two looks at the gate: what a generation has heard being asked, it tells.
 */
#include "bpf/lib/filecalls.bpf.h"
#include "bpf/lib/files.bpf.h"
#include "bpf/lib/gate.bpf.h"

#define FILE_ASKS     1024
#define EWOULDBLOCK   11
#define FILE_NAME_MAX 256

struct file_what {
	__u64 match; /* dentry that the VFS is asked to change */
	__u64 mnt, dentry;
	__u64 to_mnt, to_dentry;
	__u64 text; /* of a symbolic link */
	__u64 ino;
	__u64 old_bytes, bytes;
	__u32 dev, mode, rdev, call_flags;
	__u32 new_mode;
	__u32 old_uid, old_gid, new_uid, new_gid;
	__u32 kind;
};

/* A name that is kept, as a rename changes those of files. */
struct file_leaf {
	volatile __u64 at; /* of `name`: read back it is a number, as functions take it; 0: none is kept */
	__u32 len;
	__u32 pad;
	char name[FILE_NAME_MAX];
};

/* With a name kept, the dentry is of the folder. */
struct file_ask {
	struct file_what what;
	struct file_leaf leaf, to_leaf;
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, FILE_ASKS);
	__type(key, __u64); /* address of the task */
	__type(value, struct file_ask);
} file_asks SEC(".maps");

static const struct file_ask nothing;

/* An argument of the function. Not read from ctx directly: see calls.bpf.c. */
static __always_inline __u64 arg(__u64 *ctx, __u32 n)
{
	__u64 v = 0;

	bpf_probe_read_kernel(&v, sizeof(v), ctx + n);
	return v;
}

static __always_inline void fill(struct pst_rec_file *r, const struct file_what *w, __s32 error, __u16 flags)
{
	r->h.flags |= flags;
	r->error = error;
	r->ino = w->ino;
	r->dev = w->dev;
	r->mode = w->mode;
	r->rdev = w->rdev;
	r->call_flags = w->call_flags;
	r->old_bytes = w->old_bytes;
	r->bytes = w->bytes;
	r->new_mode = w->new_mode;
	r->old_uid = w->old_uid;
	r->old_gid = w->old_gid;
	r->new_uid = w->new_uid;
	r->new_gid = w->new_gid;
}

/* Before it is done the dentries have their names. */
static __always_inline void tell_asked(const struct file_what *w, __s32 error, __u16 flags)
{
	__u32 slot = file_begin(w->kind);
	struct file_area *a = file_area_of(slot);

	if (!a)
		return;
	fill(&a->rec, w, error, flags);
	file_add_path(slot, PST_FILE_PATH, w->mnt, w->dentry, 0);
	if (w->to_dentry)
		file_add_path(slot, PST_FILE_TO, w->to_mnt, w->to_dentry, 0);
	if (w->text)
		file_add_string(slot, PST_FILE_TO, w->text, false);
	file_end(slot);
}

static __always_inline void tell_done(struct file_ask *ask, __s32 error)
{
	struct file_what *w = &ask->what;
	__u32 slot = file_begin(w->kind);
	struct file_area *a = file_area_of(slot);

	if (!a)
		return;
	if (!w->ino && !error) /* it has just been made */
		file_inode((void *)w->match, &w->ino, &w->dev, &w->mode);
	fill(&a->rec, w, error, 0);
	file_add_path(slot, PST_FILE_PATH | ask->leaf.len << 16, w->mnt, w->dentry, ask->leaf.at);
	if (w->to_dentry)
		file_add_path(
			slot, PST_FILE_TO | ask->to_leaf.len << 16, w->to_mnt, w->to_dentry, ask->to_leaf.at);
	if (w->text)
		file_add_string(slot, PST_FILE_TO, w->text, false);
	file_end(slot);
}

/* The security modules said @ret. NULL: it is told already, as they refused or as too many are asking. */
static __always_inline struct file_ask *file_asked(const struct file_what *w, int ret)
{
	__u64 task = bpf_get_current_task();
	struct file_ask *ask = NULL;

	if (ret) {
		tell_asked(w, -ret, 0);
		return NULL;
	}
	if (bpf_map_lookup_elem(&file_asks, &task)) /* what it asked before was done past our programs */
		pst_count_lost(PST_CLASS_PROCESS, sizeof(struct pst_rec_file));
	if (!bpf_map_update_elem(&file_asks, &task, &nothing, BPF_ANY))
		ask = bpf_map_lookup_elem(&file_asks, &task);
	if (!ask) {
		tell_asked(w, 0, PST_FILE_RESULT_OPEN);
		return NULL;
	}
	ask->what = *w;
	return ask;
}

/*
 * @ret: an int, or since 6.15 of vfs_mkdir (88d5baf69082) a dentry or an error in its place. A lease that has
 * to be broken makes the caller ask again.
 */
static __always_inline int file_done(__u32 kind, __u64 dentry, __u64 ret)
{
	__u64 task = bpf_get_current_task();
	struct file_ask *ask = bpf_map_lookup_elem(&file_asks, &task);
	__u32 high = ret >> 32;
	__s32 error = high && high != ~0U ? 0 : -(__s32)ret;

	if (!ask || ask->what.match != dentry || ask->what.kind != kind)
		return 0;
	if (error != EWOULDBLOCK)
		tell_done(ask, error);
	bpf_map_delete_elem(&file_asks, &task);
	return 0;
}

/* Where the compiler has put the beginning of vfs_rmdir into its caller (5.10): what it has not told yet. */
SEC("fexit/do_rmdir")
int files_do_rmdir(__u64 *ctx)
{
	__u64 task = bpf_get_current_task();
	struct file_ask *ask = bpf_map_lookup_elem(&file_asks, &task);

	return ask ? file_done(PST_REC_FILE_UNLINK, ask->what.match, (__u32)ctx[2]) : 0;
}

/* ---- asked ---- */

static __always_inline struct file_what what(__u32 kind, __u64 match, __u64 dir)
{
	struct file_what w = {.kind = kind, .match = match, .dentry = match};

	w.mnt = (__u64)BPF_CORE_READ((struct path *)dir, mnt);
	return w;
}

/* A name in a folder: arguments 0 and 1. */
static __always_inline struct file_what what_in(__u32 kind, __u64 *ctx)
{
	return what(kind, arg(ctx, 1), arg(ctx, 0));
}

static __always_inline void what_file(struct file_what *w, __u64 dentry)
{
	file_inode((void *)dentry, &w->ino, &w->dev, &w->mode);
}

static __always_inline int ask_remove(__u64 *ctx)
{
	struct file_what w = what_in(PST_REC_FILE_UNLINK, ctx);

	what_file(&w, w.match);
	file_asked(&w, (int)ctx[2]);
	return 0;
}

SEC("fexit/security_path_unlink")
int files_ask_unlink(__u64 *ctx)
{
	return pst_gate_closed() ? 0 : ask_remove(ctx);
}

SEC("fexit/security_path_rmdir")
int files_ask_rmdir(__u64 *ctx)
{
	return pst_gate_closed() ? 0 : ask_remove(ctx);
}

static __always_inline void keep_name(struct file_leaf *leaf, __u64 dentry)
{
	const unsigned char *name = BPF_CORE_READ((struct dentry *)dentry, d_name.name);
	long n = bpf_probe_read_kernel_str(leaf->name, sizeof(leaf->name), name);

	leaf->at = (__u64)leaf->name;
	leaf->len = n > 0 ? n - 1 : 0;
}

SEC("fexit/security_path_rename")
int files_ask_rename(__u64 *ctx)
{
	struct path *dir = (void *)arg(ctx, 0), *to_dir = (void *)arg(ctx, 2);
	struct file_ask *ask;
	struct file_what w;

	if (pst_gate_closed())
		return 0;
	w = what(PST_REC_FILE_RENAME, arg(ctx, 1), (__u64)dir);
	what_file(&w, w.match);
	w.to_mnt = (__u64)BPF_CORE_READ(to_dir, mnt);
	w.to_dentry = arg(ctx, 3);
	w.call_flags = arg(ctx, 4);
	ask = file_asked(&w, (int)ctx[5]);
	if (!ask)
		return 0;
	keep_name(&ask->leaf, w.match);
	keep_name(&ask->to_leaf, w.to_dentry);
	ask->what.dentry = (__u64)BPF_CORE_READ(dir, dentry);
	ask->what.to_dentry = (__u64)BPF_CORE_READ(to_dir, dentry);
	return 0;
}

SEC("fexit/security_path_link")
int files_ask_link(__u64 *ctx)
{
	struct file_what w;

	if (pst_gate_closed())
		return 0;
	w = what(PST_REC_FILE_LINK, arg(ctx, 2), arg(ctx, 1));
	w.to_mnt = w.mnt;
	w.to_dentry = w.match;
	w.dentry = arg(ctx, 0); /* of the same mount, or it would be refused */
	what_file(&w, w.dentry);
	file_asked(&w, (int)ctx[3]);
	return 0;
}

SEC("fexit/security_path_symlink")
int files_ask_symlink(__u64 *ctx)
{
	struct file_what w;

	if (pst_gate_closed())
		return 0;
	w = what_in(PST_REC_FILE_SYMLINK, ctx);
	w.text = arg(ctx, 2);
	file_asked(&w, (int)ctx[3]);
	return 0;
}

SEC("fexit/security_path_mkdir")
int files_ask_mkdir(__u64 *ctx)
{
	struct file_what w;

	if (pst_gate_closed())
		return 0;
	w = what_in(PST_REC_FILE_MKDIR, ctx);
	w.mode = S_IFDIR | (arg(ctx, 2) & ~S_IFMT & 0xffff);
	file_asked(&w, (int)ctx[3]);
	return 0;
}

/* Files that open(2) makes pass here too, and sockets that bind(2) makes: only devices and FIFOs are told. */
SEC("fexit/security_path_mknod")
int files_ask_mknod(__u64 *ctx)
{
	__u32 mode = arg(ctx, 2) & 0xffff, type = mode & S_IFMT;
	struct file_what w;

	if ((type != S_IFCHR && type != S_IFBLK && type != S_IFIFO) || pst_gate_closed())
		return 0;
	w = what_in(PST_REC_FILE_MKNOD, ctx);
	w.mode = mode;
	w.rdev = pst_new_decode_dev(arg(ctx, 3));
	file_asked(&w, (int)ctx[4]);
	return 0;
}

/* ---- attributes ---- */

static __always_inline struct file_what what_at(__u32 kind, __u64 path)
{
	__u64 dentry = (__u64)BPF_CORE_READ((struct path *)path, dentry);
	struct file_what w = what(kind, dentry, path);
	struct inode *inode = BPF_CORE_READ((struct dentry *)dentry, d_inode);

	what_file(&w, dentry);
	w.old_uid = BPF_CORE_READ(inode, i_uid.val);
	w.old_gid = BPF_CORE_READ(inode, i_gid.val);
	w.new_uid = w.new_gid = ~0U;
	w.old_bytes = BPF_CORE_READ(inode, i_size);
	return w;
}

SEC("fexit/security_path_chmod")
int files_ask_chmod(__u64 *ctx)
{
	struct file_what w;

	if (pst_gate_closed())
		return 0;
	w = what_at(PST_REC_FILE_CHMOD, arg(ctx, 0));
	w.new_mode = arg(ctx, 1) & 07777;
	file_asked(&w, (int)ctx[2]);
	return 0;
}

/* Its ids are structs, which kernels before 6.1 do not hand to programs: they load none on this function. */
SEC("fexit/security_path_chown")
int files_ask_chown(__u64 *ctx)
{
	struct file_what w;

	if (pst_gate_closed())
		return 0;
	w = what_at(PST_REC_FILE_CHOWN, arg(ctx, 0));
	w.new_uid = arg(ctx, 1);
	w.new_gid = arg(ctx, 2);
	file_asked(&w, (int)pst_func_ret(ctx, 3));
	return 0;
}

static __always_inline void ask_truncate(__u64 path, int ret)
{
	struct file_what w = what_at(PST_REC_FILE_TRUNCATE, path);

	file_asked(&w, ret);
}

SEC("fexit/security_path_truncate")
int files_ask_truncate(__u64 *ctx)
{
	if (!pst_gate_closed())
		ask_truncate(arg(ctx, 0), (int)ctx[1]);
	return 0;
}

/* Since 6.2 (3350607dc563) what is open has a hook of its own. */
SEC("fexit/security_file_truncate")
int files_ask_ftruncate(__u64 *ctx)
{
	struct file *file = (void *)arg(ctx, 0);

	if (!pst_gate_closed())
		ask_truncate((__u64)&file->f_path, (int)ctx[1]);
	return 0;
}

#define ATTR_SIZE (1 << 3)

/* What chmod, chown and truncate end in, and utimes too, of which nothing was asked. */
static __always_inline int notify_done(__u64 dentry, struct iattr *attr, __s32 ret)
{
	__u64 task = bpf_get_current_task();
	struct file_ask *ask = bpf_map_lookup_elem(&file_asks, &task);
	__u32 kind;

	if (!ask)
		return 0;
	kind = ask->what.kind;
	if (kind < PST_REC_FILE_CHMOD || kind > PST_REC_FILE_TRUNCATE)
		return 0;
	if (kind == PST_REC_FILE_TRUNCATE && BPF_CORE_READ(attr, ia_valid) & ATTR_SIZE)
		ask->what.bytes = BPF_CORE_READ(attr, ia_size);
	return file_done(kind, dentry, (__u32)ret);
}

SEC("fexit/notify_change")
int files_notify(__u64 *ctx)
{
	if (pst_vfs_shift())
		return notify_done(arg(ctx, 1), (void *)arg(ctx, 2), pst_func_ret(ctx, 4));
	return notify_done(arg(ctx, 0), (void *)arg(ctx, 1), pst_func_ret(ctx, 3));
}

/*
 * Extended attributes: their security hook has no mount, so these are calls at their end, on this rung as on
 * the other; but no other call pays.
 */
#define FILE_CALL(name, function, is_compat, nr)                                                             \
	SEC("fexit/" function)                                                                               \
	int name(__u64 *ctx)                                                                                 \
	{                                                                                                    \
		struct call c = {.compat = is_compat, .ret = ctx[1]};                                        \
                                                                                                             \
		if (pst_gate_closed())                                                                       \
			return 0;                                                                            \
		c.regs = (void *)arg(ctx, 0);                                                                \
		filecall(&c, nr);                                                                            \
		return 0;                                                                                    \
	}
#define FILE_CALLS(name, function, nr)                                                                       \
	FILE_CALL(name, "__x64_sys_" function, false, nr)                                                    \
	FILE_CALL(name##32, "__ia32_sys_" function, true, nr)

FILE_CALLS(files_setxattr, "setxattr", SYSNR_SETXATTR)
FILE_CALLS(files_lsetxattr, "lsetxattr", SYSNR_SETXATTR)
FILE_CALLS(files_fsetxattr, "fsetxattr", SYSNR_FSETXATTR)
FILE_CALLS(files_setxattrat, "setxattrat", SYSNR_SETXATTRAT)
FILE_CALLS(files_remxattr, "removexattr", SYSNR_REMOVEXATTR)
FILE_CALLS(files_lremxattr, "lremovexattr", SYSNR_REMOVEXATTR)
FILE_CALLS(files_fremxattr, "fremovexattr", SYSNR_FREMOVEXATTR)
FILE_CALLS(files_remxattrat, "removexattrat", SYSNR_REMOVEXATTRAT)

/* ---- mounts ---- */

SEC("fexit/path_mount")
int files_mount(__u64 *ctx)
{
	struct path *at = (void *)arg(ctx, 1);
	__u64 source = arg(ctx, 0), type = arg(ctx, 2);
	struct file_area *a;
	__u32 slot;

	if (pst_gate_closed())
		return 0;
	slot = file_begin(PST_REC_FILE_MOUNT);
	a = file_area_of(slot);
	if (!a)
		return 0;
	a->rec.error = -(__s32)ctx[5];
	a->rec.call_flags = arg(ctx, 3);
	a->rec.op = PST_FILE_MOUNT_OLD;
	file_add_path(
		slot, PST_FILE_PATH, (__u64)BPF_CORE_READ(at, mnt), (__u64)BPF_CORE_READ(at, dentry), 0);
	if (type)
		file_add_string(slot, PST_FILE_TO_BASE, type, false);
	if (source)
		file_add_string(slot, PST_FILE_TO, source, false);
	file_end(slot);
	return 0;
}

/* The rest of a mount's path is where it is mounted; that stays when it is gone. */
SEC("fexit/security_sb_umount")
int files_ask_umount(__u64 *ctx)
{
	__u64 mnt = arg(ctx, 0);
	struct file_what w = {.kind = PST_REC_FILE_UMOUNT, .match = mnt};
	struct mount *m = (void *)(mnt - bpf_core_field_offset(struct mount, mnt)), *parent;

	if (pst_gate_closed())
		return 0;
	parent = BPF_CORE_READ(m, mnt_parent);
	w.mnt = (__u64)parent + bpf_core_field_offset(struct mount, mnt);
	w.dentry = (__u64)BPF_CORE_READ(m, mnt_mountpoint);
	w.call_flags = arg(ctx, 1);
	file_asked(&w, (int)ctx[2]);
	return 0;
}

SEC("fexit/path_umount")
int files_umount(__u64 *ctx)
{
	struct path *at = (void *)arg(ctx, 0);

	return file_done(PST_REC_FILE_UMOUNT, (__u64)BPF_CORE_READ(at, mnt), (__u32)ctx[2]);
}

/* Told when it is asked: afterwards neither path is where it was. */
SEC("fexit/security_sb_pivotroot")
int files_ask_pivot(__u64 *ctx)
{
	struct path *old = (void *)arg(ctx, 0), *root = (void *)arg(ctx, 1);
	struct file_what w = {.kind = PST_REC_FILE_PIVOT_ROOT};
	int ret = (int)ctx[2];

	if (pst_gate_closed())
		return 0;
	w.mnt = (__u64)BPF_CORE_READ(root, mnt);
	w.dentry = (__u64)BPF_CORE_READ(root, dentry);
	w.to_mnt = (__u64)BPF_CORE_READ(old, mnt);
	w.to_dentry = (__u64)BPF_CORE_READ(old, dentry);
	tell_asked(&w, -ret, ret ? 0 : PST_FILE_RESULT_OPEN);
	return 0;
}

FILE_CALLS(files_move_mount, "move_mount", SYSNR_MOVE_MOUNT)

/* ---- done ---- */

/* @dentry, @nargs: before 5.12 */
#define DONE(name, function, kind, dentry, nargs)                                                            \
	SEC("fexit/" function)                                                                               \
	int name(__u64 *ctx)                                                                                 \
	{                                                                                                    \
		const __u32 shift = pst_vfs_shift();                                                         \
                                                                                                             \
		if (shift)                                                                                   \
			return file_done(kind, arg(ctx, (dentry) + 1), pst_func_ret(ctx, (nargs) + 1));      \
		return file_done(kind, arg(ctx, dentry), pst_func_ret(ctx, nargs));                          \
	}

DONE(files_unlink, "vfs_unlink", PST_REC_FILE_UNLINK, 1, 3)
DONE(files_rmdir, "vfs_rmdir", PST_REC_FILE_UNLINK, 1, 2)
DONE(files_link, "vfs_link", PST_REC_FILE_LINK, 2, 4)
DONE(files_symlink, "vfs_symlink", PST_REC_FILE_SYMLINK, 1, 3)
DONE(files_mkdir, "vfs_mkdir", PST_REC_FILE_MKDIR, 1, 3)
DONE(files_mknod, "vfs_mknod", PST_REC_FILE_MKNOD, 1, 4)

SEC("fexit/vfs_rename")
int files_rename(__u64 *ctx)
{
	struct renamedata *rd;

	if (!pst_vfs_renamedata())
		return file_done(PST_REC_FILE_RENAME, arg(ctx, 1), pst_func_ret(ctx, 6));
	rd = (void *)arg(ctx, 0);
	return file_done(PST_REC_FILE_RENAME, (__u64)BPF_CORE_READ(rd, old_dentry), pst_func_ret(ctx, 1));
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
