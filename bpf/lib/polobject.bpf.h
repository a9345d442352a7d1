/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Facts of the object of an act (struct pst_object), from a file, a path or a dentry. In two steps, as most
 * acts are judged by what the first one tells: what it is, and how it is opened; then where it is, a walk of
 * names to the root of the mount namespace, and of directories to the roots of their file systems.
 *
 * What programs at trampolines (LSM, fentry) gather can be scribbled over by another task on this CPU where
 * the kernel preempts them. Each task notes that the buffer is its own before it begins, and looks for its
 * note at the end: pst_object_mine(). All that comes between may be wrong and is done again.
 */
#ifndef PST_POLOBJECT_BPF_H
#define PST_POLOBJECT_BPF_H

#include "bpf/lib/common.bpf.h"
#include "bpf/lib/core_fixes.bpf.h"
#include "bpf/lib/path.bpf.h"
#include "bpf/lib/pathhash.bpf.h"
#include "bpf/lib/proc.bpf.h"
#include "proto/abi/facts.h"

#define OBJECT_RAW        512
#define OBJECT_STEPS      (2 * PST_PATH_DEPTH + 32) /* names, mounts, and directories that no path shows */
#define BTRFS_SUPER_MAGIC 0x9123683e

#define FMODE_READ    1
#define FMODE_WRITE   2
#define OPEN_EXEC     0x20 /* __FMODE_EXEC, in f_flags */
#define OPEN_TRUNC    01000
#define OPEN_APPEND   02000
#define S_IFMT        0170000
#define S_IFREG       0100000
#define S_SETID       06000
#define MNT_ANON_INO  0xeffffff7 /* since 6.18 */
#define USER_INIT_INO 0xeffffffd

/* A rename or a link has two; an executable is looked at while either is in use. */
enum object_which { OBJECT_FIRST, OBJECT_OTHER, OBJECT_EXE, OBJECTS };

/* What is read of a dentry. */
struct object_dentry {
	__u64 hashed; /* 0: its name has been taken away */
	struct pst_dentry d;
	__u64 inode;
};

/* Read back at each step, as struct pst_path is. */
struct object {
	struct pst_path path; /* first: the buffer that classes are looked up in */
	struct pst_object facts;
	volatile __u64 owner;
	volatile __u32 dev;     /* of the file system that the walk is in; 0: not looked at yet */
	volatile __u32 up;      /* came from what is in this directory, and not from a mount on it */
	volatile __u32 beyond;  /* the root of the mount */
	volatile __u32 lacks;   /* enum pst_object_known: what turned out not to be told */
	struct object_dentry d; /* where the walk is: the stack is short */
	__u8 raw[OBJECT_RAW];   /* the head of one of the kernel's structs, read at once */
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, OBJECTS);
	__type(key, __u32);
	__type(value, struct object);
} objects SEC(".maps");

/* ---- what it is ---- */

/* A read by helper costs some 10 ns, of a word or of a struct. So structs are read at once, as far as is
 * needed. */
#define OBJECT_END(type, member)                                                                             \
	((__u32)bpf_core_field_offset(struct type, member) +                                                 \
		(__u32)bpf_core_field_size(((struct type *)0)->member))
#define OBJECT_READ(w, from, bytes)                                                                          \
	bpf_probe_read_kernel((w)->raw, (bytes) < OBJECT_RAW ? (bytes) : OBJECT_RAW, from)
#define OBJECT_AT(w, type, member, as) (*(as *)((w)->raw + bpf_core_field_offset(struct type, member)))

static __always_inline __u32 object_max(__u32 a, __u32 b)
{
	return a > b ? a : b;
}

/* 0: inode numbers of this file system are not unique (subvolumes of btrfs have their own). */
static __always_inline __u32 object_dev(struct object *w, struct super_block *sb, __u64 *ret_magic)
{
	*ret_magic = 0;
	if (OBJECT_READ(w, sb, object_max(OBJECT_END(super_block, s_dev), OBJECT_END(super_block, s_magic))))
		return 0;
	*ret_magic = OBJECT_AT(w, super_block, s_magic, __u64);
	return *ret_magic == BTRFS_SUPER_MAGIC ? 0 : OBJECT_AT(w, super_block, s_dev, __u32);
}

static __always_inline __u32 object_flags(struct inode *inode, __u32 mode, __u32 links, __u64 magic)
{
	__u32 flags = links ? 0 : 1 << PST_FILE_UNLINKED;

	if (magic == OVERLAYFS_SUPER_MAGIC && pst_ovl_upper(inode))
		flags |= 1 << PST_FILE_UPPER;
	if ((mode & S_IFMT) == S_IFREG && mode & S_SETID)
		flags |= 1 << PST_FILE_SETID;
	return flags;
}

static __always_inline void object_inode(struct object *w, struct dentry *dentry, struct inode *inode)
{
	__u32 bytes = object_max(OBJECT_END(inode, i_mode), OBJECT_END(inode, i_sb)), mode, links;
	struct pst_object *o = &w->facts;
	struct super_block *sb;
	__u64 magic, ino;

	bytes = object_max(bytes, object_max(OBJECT_END(inode, i_ino), OBJECT_END(inode, i_nlink)));
	if (OBJECT_READ(w, inode, bytes))
		return;
	mode = OBJECT_AT(w, inode, i_mode, __u16);
	links = OBJECT_AT(w, inode, i_nlink, __u32);
	ino = OBJECT_AT(w, inode, i_ino, __u64);
	sb = OBJECT_AT(w, inode, i_sb, struct super_block *);
	o->id.dev = object_dev(w, sb, &magic);
	o->flags = object_flags(inode, mode, links, magic);
	if (!links && pst_is_memfd(dentry))
		o->flags |= 1 << PST_FILE_MEMFD;
	o->known |= PST_OBJECT_FLAGS;
	if (!o->id.dev)
		return;
	o->id.ino = ino;
	o->known |= PST_OBJECT_ID;
}

/*
 * What an open asks for. A program that is started is not read by the process. @asked: flags of the call,
 * where they are at hand: O_TRUNC is gone from the file once it is open.
 */
static __always_inline __u32 object_access(__u32 mode, __u32 flags, __u32 asked)
{
	__u32 access = 0;

	if (flags & OPEN_EXEC)
		return 1 << PST_ACCESS_EXECUTE;
	access |= mode & FMODE_READ ? 1 << PST_ACCESS_READ : 0;
	access |= mode & FMODE_WRITE || (flags | asked) & OPEN_TRUNC ? 1 << PST_ACCESS_WRITE : 0;
	access |= mode & FMODE_WRITE && flags & OPEN_APPEND ? 1 << PST_ACCESS_APPEND : 0;
	return access;
}

static __always_inline void object_begin(struct object *w)
{
	struct pst_object *o = &w->facts;

	w->owner = bpf_get_current_pid_tgid();
	__builtin_memset(o, 0, __builtin_offsetof(struct pst_object, above));
	w->path.off = PST_PATH_MAX;
	w->path.names = 0;
	w->path.mount = 0;
	w->path.mnt_root = 0;
	w->dev = 0;
	w->up = 0;
	w->beyond = 0;
	w->lacks = 0;
}

/* Neighbours in all known kernels, and then read at once. */
static __always_inline long object_dentry_read(struct object_dentry *d, const struct dentry *dentry)
{
	__u32 hashed = bpf_core_field_offset(struct dentry, d_hash.pprev);
	long err;

	if (bpf_core_field_offset(struct dentry, d_parent) == hashed + 8 &&
		bpf_core_field_offset(struct dentry, d_name) == hashed + 16 &&
		bpf_core_field_offset(struct dentry, d_inode) == hashed + 32)
		return bpf_probe_read_kernel(d, sizeof(*d), &dentry->d_hash.pprev);
	err = bpf_probe_read_kernel(&d->hashed, sizeof(d->hashed), &dentry->d_hash.pprev);
	err = err ? err : pst_dentry_read(&d->d, dentry);
	return err ? err : bpf_probe_read_kernel(&d->inode, sizeof(d->inode), &dentry->d_inode);
}

static __always_inline void object_name(struct object *w, struct dentry *dentry)
{
	struct pst_object *o = &w->facts;
	struct dentry *parent;

	if (object_dentry_read(&w->d, dentry))
		return;
	parent = (void *)w->d.d.parent;
	o->name = (__u64)w->d.d.len << 32 | w->d.d.hash;
	o->parent_ino = BPF_CORE_READ(parent, d_inode, i_ino);
	if (!w->d.hashed && parent != dentry)
		o->odd |= PST_ODD_REMOVED;
}

/* @mnt NULL: not told. @inode NULL: there is no file yet. A frame of its own, which is gone when the walk
 * begins. */
static __noinline int object_path(
	struct object *w, struct vfsmount *mnt, struct dentry *dentry, struct inode *inode)
{
	struct pst_object *o = &w->facts;

	object_begin(w);
	w->path.dentry = (__u64)dentry;
	object_name(w, dentry);
	if (inode)
		object_inode(w, dentry, inode);
	if (!mnt) {
		o->odd |= PST_ODD_MOUNTLESS;
		return 0;
	}
	w->path.mnt_root = (__u64)BPF_CORE_READ(mnt, mnt_root);
	w->path.mount = (__u64)mnt - bpf_core_field_offset(struct mount, mnt);
	o->mount = w->path.mount;
	return 0;
}

/* NULL only to please the verifier. */
static __always_inline struct object *pst_object_path(
	__u32 which, struct vfsmount *mnt, struct dentry *dentry, struct inode *inode)
{
	struct object *w = bpf_map_lookup_elem(&objects, &which);

	if (w)
		object_path(w, mnt, dentry, inode);
	return w;
}

static __always_inline struct object *pst_object_file(__u32 which, struct file *file, __u32 asked)
{
	struct object *w = bpf_map_lookup_elem(&objects, &which);
	struct vfsmount *mnt;
	struct dentry *dentry;
	struct inode *inode;
	__u32 mode, flags;
	long error;

	if (!w)
		return NULL;
	error = OBJECT_READ(w, file, bpf_core_type_size(struct file)); /* then all is 0 */
	mode = OBJECT_AT(w, file, f_mode, __u32);
	flags = OBJECT_AT(w, file, f_flags, __u32);
	mnt = OBJECT_AT(w, file, f_path.mnt, struct vfsmount *);
	dentry = OBJECT_AT(w, file, f_path.dentry, struct dentry *);
	inode = OBJECT_AT(w, file, f_inode, struct inode *);
	object_path(w, mnt, dentry, inode);
	if (error)
		return w;
	w->facts.access = object_access(mode, flags, asked);
	w->facts.known |= PST_OBJECT_ACCESS;
	return w;
}

/* ---- where it is ---- */

/* A directory above. */
static __always_inline void object_above(struct object *w, struct inode *inode)
{
	__u32 n = w->facts.n_above;
	__u64 at = n, magic;

	if (!w->dev)
		w->dev = object_dev(w, BPF_CORE_READ(inode, i_sb), &magic);
	if (!w->dev || n >= PST_ABOVE_MAX) {
		w->lacks |= PST_OBJECT_ABOVE;
		return;
	}
	pst_hide(at);
	at &= PST_ABOVE_MAX - 1;
	w->facts.above[at].ino = BPF_CORE_READ(inode, i_ino);
	w->facts.above[at].dev = w->dev;
	w->facts.above[at].pad = 0;
	w->facts.n_above = n + 1;
}

/* To what the file system is mounted on. False: at the root of a namespace, or what was taken for one. */
static __always_inline bool object_cross(struct object *w)
{
	struct mount *mount = (void *)w->path.mount;

	w->beyond = 0;
	w->up = 0;
	w->dev = 0;
	if (!mount || pst_path_cross(&w->path))
		return mount;
	if (BPF_CORE_READ(mount, mnt_parent) != mount)
		w->facts.odd |= PST_ODD_CUT;
	return false;
}

static __always_inline bool object_cut(struct object *w)
{
	w->facts.odd |= PST_ODD_CUT;
	return false;
}

/* A name, a directory or a mount further up. False: no further. */
static __always_inline bool object_step(struct object *w)
{
	__u64 at = w->path.dentry;
	bool top;

	if (object_dentry_read(&w->d, (const void *)at))
		return object_cut(w);
	if (w->up)
		object_above(w, (void *)w->d.inode);
	top = w->d.d.parent == at;
	if (at == w->path.mnt_root)
		w->beyond = 1;
	if (top && (w->beyond || !w->path.mount))
		return object_cross(w);
	if (top) {
		w->facts.odd |= PST_ODD_NOWHERE;
		pst_path_pseudo(&w->path, &w->d.d);
		return false;
	}
	if (!w->beyond) {
		if (w->path.names >= PST_PATH_DEPTH || !pst_path_push(&w->path, &w->d.d))
			return object_cut(w);
		w->path.names++;
	}
	w->up = 1;
	w->path.dentry = w->d.d.parent;
	return true;
}

/* Not static, as pst_path_climb(): looked at once. What climbs is no function, as calls may be no deeper. */
__noinline int pst_object_step(__u32 which)
{
	struct object *w = bpf_map_lookup_elem(&objects, &which);

	return w && object_step(w);
}

static __always_inline void object_climb(__u32 which, struct object *w)
{
	for (int i = 0; i < OBJECT_STEPS; i++)
		if (!pst_object_step(which))
			return;
	w->facts.odd |= PST_ODD_CUT;
}

/* Not static either: 512 words at most. */
__noinline __u64 pst_object_hash(__u32 which)
{
	struct object *w = bpf_map_lookup_elem(&objects, &which);

	return w ? pst_path_hash(&w->path) : 0;
}

/* Which namespace the mount is in. An unmounted one is in none; the kernel's own say an error, and those of
 * open_tree(2) one that nobody can enter. */
static __always_inline void object_namespace(struct object *w)
{
	struct mount *mount = (void *)w->facts.mount;
	struct task_struct *t = (void *)bpf_get_current_task();
	struct mnt_namespace *ns = BPF_CORE_READ(mount, mnt_ns);
	__u32 inum = ns ? BPF_CORE_READ(ns, ns.inum) : 0;

	if (!inum || inum == MNT_ANON_INO)
		w->facts.odd |= PST_ODD_DETACHED;
	else if (ns != BPF_CORE_READ(t, nsproxy, mnt_ns))
		w->facts.odd |= PST_ODD_FOREIGN;
	if (inum && BPF_CORE_READ(ns, user_ns, ns.inum) != USER_INIT_INO)
		w->facts.odd |= PST_ODD_OWN;
}

/* Path and directories above. */
static __always_inline void pst_object_walk(__u32 which, struct object *w)
{
	struct pst_object *o = &w->facts;

	object_climb(which, w);
	if (o->mount)
		object_namespace(w);
	if (w->path.off == PST_PATH_MAX && !(o->odd & (PST_ODD_CUT | PST_ODD_NOWHERE))) {
		w->path.off = PST_PATH_MAX - 1;
		w->path.buf[PST_PATH_MAX - 1] = '/';
	}
	o->path_off = w->path.off;
	o->path_len = PST_PATH_MAX - o->path_off;
	if (!(o->odd & (PST_ODD_CUT | PST_ODD_NOWHERE | PST_ODD_DETACHED)))
		o->known |= PST_OBJECT_ABOVE;
	o->known &= ~w->lacks;
	if (o->odd & (PST_ODD_CUT | PST_ODD_NOWHERE | PST_ODD_DETACHED | PST_ODD_MOUNTLESS))
		return;
	o->known |= PST_OBJECT_PATH;
	o->path_hash = pst_object_hash(which);
}

/* False: another task has used the buffer since this one began; what was made of it counts for nothing. */
static __always_inline bool pst_object_mine(const struct object *w)
{
	return w->owner == bpf_get_current_pid_tgid();
}

#endif
