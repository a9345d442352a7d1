/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Second rung of the sensors of files: system calls at their end, by what the caller gave them. Paths are
 * read from its memory then, and what they are relative to is resolved; links in them, and "..", are not
 * followed.
 */
#ifndef PST_FILECALLS_BPF_H
#define PST_FILECALLS_BPF_H

#include "bpf/lib/calls.bpf.h"
#include "bpf/lib/files.bpf.h"
#include "bpf/lib/sysnr.bpf.h"

#define AT_FDCWD     (-100)
#define AT_REMOVEDIR 0x200

/* Which argument is what; 0: none, else its number and one. */
struct filecall {
	__u8 kind; /* enum pst_rec_kind */
	__u8 fd, path, to_fd, to;
	__u8 mode, rdev, flags;
	__u8 uid;   /* the group follows */
	__u8 bytes; /* length of the file, or of an attribute's value */
	__u8 text;  /* of a symbolic link, an attribute's name, what is mounted */
	__u8 type;  /* of a file system */
	__u8 op;    /* enum pst_file_op */
};

/* In the order of enum sysnr_kind, from SYSNR_FILE on. */
static const struct filecall filecalls[SYSNR_FILES] = {
	[SYSNR_UNLINK - SYSNR_FILE] = {PST_REC_FILE_UNLINK, .path = 1},
	[SYSNR_UNLINKAT - SYSNR_FILE] = {PST_REC_FILE_UNLINK, .fd = 1, .path = 2, .flags = 3},
	[SYSNR_RMDIR - SYSNR_FILE] = {PST_REC_FILE_UNLINK, .path = 1},
	[SYSNR_RENAME - SYSNR_FILE] = {PST_REC_FILE_RENAME, .path = 1, .to = 2},
	[SYSNR_RENAMEAT - SYSNR_FILE] = {PST_REC_FILE_RENAME, .fd = 1, .path = 2, .to_fd = 3, .to = 4},
	[SYSNR_RENAMEAT2 -
		SYSNR_FILE] = {PST_REC_FILE_RENAME, .fd = 1, .path = 2, .to_fd = 3, .to = 4, .flags = 5},
	[SYSNR_LINK - SYSNR_FILE] = {PST_REC_FILE_LINK, .path = 1, .to = 2},
	[SYSNR_LINKAT -
		SYSNR_FILE] = {PST_REC_FILE_LINK, .fd = 1, .path = 2, .to_fd = 3, .to = 4, .flags = 5},
	[SYSNR_SYMLINK - SYSNR_FILE] = {PST_REC_FILE_SYMLINK, .text = 1, .path = 2},
	[SYSNR_SYMLINKAT - SYSNR_FILE] = {PST_REC_FILE_SYMLINK, .text = 1, .fd = 2, .path = 3},
	[SYSNR_MKDIR - SYSNR_FILE] = {PST_REC_FILE_MKDIR, .path = 1, .mode = 2},
	[SYSNR_MKDIRAT - SYSNR_FILE] = {PST_REC_FILE_MKDIR, .fd = 1, .path = 2, .mode = 3},
	[SYSNR_MKNOD - SYSNR_FILE] = {PST_REC_FILE_MKNOD, .path = 1, .mode = 2, .rdev = 3},
	[SYSNR_MKNODAT - SYSNR_FILE] = {PST_REC_FILE_MKNOD, .fd = 1, .path = 2, .mode = 3, .rdev = 4},
	[SYSNR_CHMOD - SYSNR_FILE] = {PST_REC_FILE_CHMOD, .path = 1, .mode = 2},
	[SYSNR_FCHMOD - SYSNR_FILE] = {PST_REC_FILE_CHMOD, .fd = 1, .mode = 2},
	[SYSNR_FCHMODAT - SYSNR_FILE] = {PST_REC_FILE_CHMOD, .fd = 1, .path = 2, .mode = 3},
	[SYSNR_CHOWN - SYSNR_FILE] = {PST_REC_FILE_CHOWN, .path = 1, .uid = 2},
	[SYSNR_FCHOWN - SYSNR_FILE] = {PST_REC_FILE_CHOWN, .fd = 1, .uid = 2},
	[SYSNR_FCHOWNAT - SYSNR_FILE] = {PST_REC_FILE_CHOWN, .fd = 1, .path = 2, .uid = 3},
	[SYSNR_CHOWN16 - SYSNR_FILE] = {PST_REC_FILE_CHOWN, .path = 1, .uid = 2},
	[SYSNR_FCHOWN16 - SYSNR_FILE] = {PST_REC_FILE_CHOWN, .fd = 1, .uid = 2},
	[SYSNR_TRUNCATE - SYSNR_FILE] = {PST_REC_FILE_TRUNCATE, .path = 1, .bytes = 2},
	[SYSNR_FTRUNCATE - SYSNR_FILE] = {PST_REC_FILE_TRUNCATE, .fd = 1, .bytes = 2},
	[SYSNR_TRUNCATE64 - SYSNR_FILE] = {PST_REC_FILE_TRUNCATE, .path = 1, .bytes = 2},
	[SYSNR_FTRUNCATE64 - SYSNR_FILE] = {PST_REC_FILE_TRUNCATE, .fd = 1, .bytes = 2},
	[SYSNR_SETXATTR - SYSNR_FILE] = {PST_REC_FILE_XATTR, .path = 1, .text = 2, .bytes = 4, .flags = 5,
		.op = PST_FILE_XATTR_SET},
	[SYSNR_FSETXATTR - SYSNR_FILE] = {PST_REC_FILE_XATTR, .fd = 1, .text = 2, .bytes = 4, .flags = 5,
		.op = PST_FILE_XATTR_SET},
	[SYSNR_SETXATTRAT -
		SYSNR_FILE] = {PST_REC_FILE_XATTR, .fd = 1, .path = 2, .text = 4, .op = PST_FILE_XATTR_SET},
	[SYSNR_REMOVEXATTR -
		SYSNR_FILE] = {PST_REC_FILE_XATTR, .path = 1, .text = 2, .op = PST_FILE_XATTR_REMOVE},
	[SYSNR_FREMOVEXATTR -
		SYSNR_FILE] = {PST_REC_FILE_XATTR, .fd = 1, .text = 2, .op = PST_FILE_XATTR_REMOVE},
	[SYSNR_REMOVEXATTRAT - SYSNR_FILE] = {PST_REC_FILE_XATTR, .fd = 1, .path = 2, .text = 4,
		.op = PST_FILE_XATTR_REMOVE},
	[SYSNR_MOUNT - SYSNR_FILE] = {PST_REC_FILE_MOUNT, .text = 1, .path = 2, .type = 3, .flags = 4,
		.op = PST_FILE_MOUNT_OLD},
	[SYSNR_MOVE_MOUNT - SYSNR_FILE] = {PST_REC_FILE_MOUNT, .text = 2, .fd = 3, .path = 4, .flags = 5,
		.op = PST_FILE_MOUNT_MOVE},
	[SYSNR_UMOUNT - SYSNR_FILE] = {PST_REC_FILE_UMOUNT, .path = 1, .flags = 2},
	[SYSNR_UMOUNT1 - SYSNR_FILE] = {PST_REC_FILE_UMOUNT, .path = 1},
	[SYSNR_PIVOT_ROOT - SYSNR_FILE] = {PST_REC_FILE_PIVOT_ROOT, .path = 1, .to = 2},
};

static __always_inline void filecall_args(struct file_area *a, const struct call *c)
{
	a->args[0] = 0;
	a->args[1] = CALL_ARG0(c);
	a->args[2] = CALL_ARG1(c);
	a->args[3] = CALL_ARG2(c);
	a->args[4] = CALL_ARG3(c);
	a->args[5] = CALL_ARG4(c);
}

static __always_inline __u64 filecall_arg(const struct file_area *a, __u8 n)
{
	return a->args[n & (FILE_ARGS - 1)];
}

/* What a descriptor is of, or AT_FDCWD: the current folder. */
__noinline int filecall_fd(__u32 slot, __u32 part, __u32 fd)
{
	struct task_struct *t = (void *)bpf_get_current_task();
	struct path at = {};
	struct file *file;

	if (fd == (__u32)AT_FDCWD) {
		BPF_CORE_READ_INTO(&at, t, fs, pwd);
	} else {
		file = call_file(fd);
		if (!file)
			return 0;
		BPF_CORE_READ_INTO(&at, file, f_path);
	}
	return file_add_path(slot, part, (__u64)at.mnt, (__u64)at.dentry, 0);
}

/* What does not begin with a slash is relative to a folder of the caller's, or its own. */
__noinline int filecall_path(__u32 slot, __u32 part, __u32 fd, __u64 path)
{
	char first = 0;

	bpf_probe_read_user(&first, 1, (const void *)path);
	if (first != '/')
		filecall_fd(slot, part - 1, fd);
	return file_add_string(slot, part, path, true);
}

static __always_inline void filecall_paths(struct file_area *a, __u32 slot, const struct filecall *f)
{
	__u32 fd = f->fd ? filecall_arg(a, f->fd) : AT_FDCWD;

	if (f->path)
		filecall_path(slot, PST_FILE_PATH, fd, filecall_arg(a, f->path));
	else
		filecall_fd(slot, PST_FILE_PATH, fd);
	if (f->type && filecall_arg(a, f->type))
		file_add_string(slot, PST_FILE_TO_BASE, filecall_arg(a, f->type), true);
	if (f->text && filecall_arg(a, f->text))
		file_add_string(slot, PST_FILE_TO, filecall_arg(a, f->text), true);
	if (!f->to)
		return;
	fd = f->to_fd ? filecall_arg(a, f->to_fd) : AT_FDCWD;
	filecall_path(slot, PST_FILE_TO, fd, filecall_arg(a, f->to));
}

/* What is known of the file without having seen it. */
static __always_inline __u32 filecall_mode(const struct file_area *a, const struct filecall *f, __u32 nr)
{
	__u32 mode = f->mode ? filecall_arg(a, f->mode) & 0xffff : 0;

	if (f->kind == PST_REC_FILE_MKDIR)
		return S_IFDIR | (mode & ~S_IFMT);
	if (nr == SYSNR_RMDIR || (nr == SYSNR_UNLINKAT && filecall_arg(a, f->flags) & AT_REMOVEDIR))
		return S_IFDIR;
	return f->kind == PST_REC_FILE_MKNOD ? mode : 0;
}

static __always_inline __u32 filecall_id(const struct file_area *a, __u8 n, __u32 nr)
{
	__u32 id = filecall_arg(a, n);

	if (nr != SYSNR_CHOWN16 && nr != SYSNR_FCHOWN16)
		return id;
	return (id & 0xffff) == 0xffff ? ~0U : id & 0xffff;
}

static __always_inline void filecall_ids(struct file_area *a, const struct filecall *f, __u32 nr)
{
	if (!f->uid)
		return;
	a->rec.old_uid = a->rec.old_gid = ~0U; /* not known */
	a->rec.new_uid = filecall_id(a, f->uid, nr);
	a->rec.new_gid = filecall_id(a, f->uid + 1, nr);
}

static __always_inline __u64 filecall_bytes(const struct file_area *a, const struct filecall *f, __u32 nr)
{
	__u64 bytes = f->bytes ? filecall_arg(a, f->bytes) : 0;

	if (nr == SYSNR_TRUNCATE64 || nr == SYSNR_FTRUNCATE64)
		bytes |= filecall_arg(a, f->bytes + 1) << 32;
	return bytes;
}

static __always_inline bool filecall_is_node(__u32 mode)
{
	mode &= S_IFMT;
	return mode == S_IFCHR || mode == S_IFBLK || mode == S_IFIFO;
}

/* NULL: not one of them. */
static __always_inline const struct filecall *filecall_of(__u32 nr)
{
	__u32 i = nr - SYSNR_FILE;

	pst_hide(i);
	return i < SYSNR_FILES ? &filecalls[i] : NULL;
}

static __always_inline void filecall(const struct call *c, __u32 nr)
{
	const struct filecall *f = filecall_of(nr);
	struct file_area *a;
	__u32 slot;

	if (!f)
		return;
	if (f->kind == PST_REC_FILE_MKNOD &&
		!filecall_is_node(nr == SYSNR_MKNOD ? CALL_ARG1(c) : CALL_ARG2(c)))
		return;
	slot = file_begin(f->kind);
	a = file_area_of(slot);
	if (!a)
		return;
	filecall_args(a, c);
	a->rec.h.flags = f->path ? PST_FILE_AS_GIVEN : 0;
	a->rec.error = call_error(c->ret);
	a->rec.mode = filecall_mode(a, f, nr);
	if (f->kind == PST_REC_FILE_CHMOD)
		a->rec.new_mode = filecall_arg(a, f->mode) & 07777;
	if (f->rdev)
		a->rec.rdev = pst_new_decode_dev(filecall_arg(a, f->rdev));
	if (f->kind != PST_REC_FILE_UNLINK && f->flags)
		a->rec.call_flags = filecall_arg(a, f->flags);
	a->rec.op = f->op;
	filecall_ids(a, f, nr);
	a->rec.bytes = filecall_bytes(a, f, nr);
	filecall_paths(a, slot, f);
	file_end(slot);
}

#endif
