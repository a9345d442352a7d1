/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The absolute path of a (mount, dentry), as far as the root of its mount
 * namespace: bpf_d_path() is not allowed in tracepoints. Names are collected
 * from the leaf up, so the path is built from the end of the buffer backwards;
 * a path that is too long or too deep loses its head, never its leaf.
 */
#ifndef PST_PATH_BPF_H
#define PST_PATH_BPF_H

#include "bpf/lib/common.bpf.h"

#define PST_PATH_STEPS    (PST_PATH_DEPTH + 16) /* names and crossed mounts */
#define PST_NAME_MAX      255
#define PST_PATH_MAX_MASK (2 * PST_PATH_MAX - 1)

/*
 * Lives in a map and is read back at each step (volatile): what comes from there
 * the verifier takes as unknown, so the loop's states converge.
 */
struct pst_path {
	volatile __u64 dentry;
	volatile __u64 mount;    /* struct mount */
	volatile __u64 mnt_root; /* dentry, root of that mount */
	volatile __u32 off;      /* first byte of the path in buf; it ends at PST_PATH_MAX */
	volatile __u32 names;
	volatile __u32 cut; /* the head is missing */
	__u32 pad;
	char buf[2 * PST_PATH_MAX + PST_NAME_MAX + 1]; /* an offset is masked to below twice PST_PATH_MAX */
};

/* One for each kind of caller, since an iterator can be interrupted by a tracepoint on the same CPU. */
enum pst_path_slot {
	PST_PATH_EXEC = 0,
	PST_PATH_ITER = 1,
	PST_PATH_SLOTS = 2,
};

/* An object whose programs may be preempted says how many it wants beside CPUs, and who has which. */
#ifdef PST_PATH_POOL
#define PST_PATH_BUF file_path
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, PST_PATH_POOL);
	__type(key, __u32);
	__type(value, struct pst_path);
} file_path SEC(".maps");
#else
#define PST_PATH_BUF path_buf
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, PST_PATH_SLOTS);
	__type(key, __u32);
	__type(value, struct pst_path);
} path_buf SEC(".maps");
#endif

/* What one step needs of a dentry. */
struct pst_dentry {
	__u64 parent;
	__u32 hash, len;
	__u64 name;
};

/* Parent and name are neighbours in all known kernels and are then read at once. */
static __always_inline long pst_dentry_read(struct pst_dentry *d, const struct dentry *dentry)
{
	long err;

	if (bpf_core_field_offset(struct dentry, d_name) ==
		bpf_core_field_offset(struct dentry, d_parent) + sizeof(void *))
		return bpf_probe_read_kernel(d, sizeof(*d), &dentry->d_parent);
	err = bpf_probe_read_kernel(&d->parent, sizeof(d->parent), &dentry->d_parent);
	return err ? err : bpf_probe_read_kernel(&d->hash, 16, &dentry->d_name);
}

/* Puts "/name" before what is there. False: no room, or the name changed under us. */
static __always_inline bool pst_path_push(struct pst_path *p, const struct pst_dentry *d)
{
	__u32 len = d->len, end = p->off, off;
	long n;

	if (len > PST_NAME_MAX || end > PST_PATH_MAX || end < len + 1)
		return false;
	off = end - len;
	/* the string variant stops at a NUL: a rename meanwhile cannot make us copy what lies behind the name
	 */
	n = bpf_probe_read_kernel_str(&p->buf[off & PST_PATH_MAX_MASK], len + 1, (const void *)d->name);
	if (n != (long)len + 1)
		return false;
	p->buf[end & PST_PATH_MAX_MASK] =
		'/'; /* where the NUL fell: the name to the right, or behind the end */
	off--;
	p->buf[off & PST_PATH_MAX_MASK] = '/';
	p->off = off;
	return true;
}

/* One mount up. False: this is the root of the mount namespace (or a detached mount). */
static __always_inline bool pst_path_cross(struct pst_path *p)
{
	struct mount *mount = (void *)p->mount, *up = NULL;
	struct dentry *point = NULL, *root = NULL;

	if (bpf_core_read(&up, sizeof(up), &mount->mnt_parent) || up == mount || !up ||
		bpf_core_read(&point, sizeof(point), &mount->mnt_mountpoint) ||
		bpf_core_read(&root, sizeof(root), &up->mnt.mnt_root))
		return false;
	p->mount = (__u64)up;
	p->dentry = (__u64)point;
	p->mnt_root = (__u64)root;
	return true;
}

/* A dentry that is its own parent and no mount's root: memfd, or a disconnected one, whose name is "/". */
static __always_inline void pst_path_pseudo(struct pst_path *p, const struct pst_dentry *d)
{
	char first = 0;

	bpf_probe_read_kernel(&first, 1, (const void *)d->name);
	if (first && first != '/')
		pst_path_push(p, d);
}

/*
 * From the leaf to the root. 1: the head is missing. Not static: the verifier looks at a global function
 * once, whatever the callers and their states are, and this loop is most of what it has to look at.
 */
__noinline int pst_path_climb(__u32 slot)
{
	struct pst_path *p = bpf_map_lookup_elem(&PST_PATH_BUF, &slot);
	struct pst_dentry d;
	__u64 at;

	if (!p)
		return 1;
	for (int i = 0; i < PST_PATH_STEPS; i++) {
		at = p->dentry;
		if (at == p->mnt_root) {
			if (!pst_path_cross(p))
				return 0;
			continue;
		}
		if (p->names >= PST_PATH_DEPTH || pst_dentry_read(&d, (const void *)at))
			return 1;
		if (d.parent == at) {
			pst_path_pseudo(p, &d);
			return 0;
		}
		if (!pst_path_push(p, &d))
			return 1;
		p->names++;
		p->dentry = d.parent;
	}
	return 1;
}

static __always_inline void pst_path_begin(struct pst_path *p)
{
	p->off = PST_PATH_MAX;
	p->names = 0;
	p->cut = 0;
}

/* Puts the path of the dentry before what is there. */
static __always_inline void pst_path_end(
	__u32 slot, struct pst_path *p, struct vfsmount *mnt, struct dentry *dentry)
{
	struct dentry *root = NULL;

	if (!mnt || !dentry)
		return;
	bpf_core_read(&root, sizeof(root), &mnt->mnt_root);
	p->dentry = (__u64)dentry;
	p->mnt_root = (__u64)root;
	p->mount = (__u64)mnt - bpf_core_field_offset(struct mount, mnt);
	p->cut |= pst_path_climb(slot);
	if (p->off == PST_PATH_MAX && !p->cut) {
		p->off = PST_PATH_MAX - 1;
		p->buf[PST_PATH_MAX - 1] = '/';
	}
}

/*
 * Resolves into this CPU's buffer of that slot: the path is buf[off .. PST_PATH_MAX), and cut says that its
 * head is missing. NULL only to please the verifier.
 */
static __always_inline struct pst_path *pst_path_resolve(
	__u32 slot, struct vfsmount *mnt, struct dentry *dentry)
{
	struct pst_path *p = bpf_map_lookup_elem(&PST_PATH_BUF, &slot);

	if (!p)
		return NULL;
	pst_path_begin(p);
	pst_path_end(slot, p, mnt, dentry);
	return p;
}

/* Appends the last bytes of the resolved path, at most max of them, to dst. Returns how many; dst has max +
 * slack. */
static __always_inline __u32 pst_path_copy(struct pst_path *p, void *dst, __u32 max)
{
	__u32 off = p->off, len;

	if (off > PST_PATH_MAX)
		return 0;
	len = PST_PATH_MAX - off;
	if (len > max)
		len = max;
	off = PST_PATH_MAX - len;
	if (bpf_probe_read_kernel(dst, len, &p->buf[off & PST_PATH_MAX_MASK]))
		return 0;
	return len;
}

#endif
