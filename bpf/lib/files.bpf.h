/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Records of changes of files. Both rungs use them: bpf/files.bpf.c, which knows files, and the program on
 * sys_exit (bpf/lib/filecalls.bpf.h), which knows what the caller gave.
 *
 * A record is made in an area that its maker claims: programs on functions may be preempted by one another,
 * so none that belongs to a CPU would do. Who finds all that it tries in use counts a lost record.
 */
#ifndef PST_FILES_BPF_H
#define PST_FILES_BPF_H

#define FILE_AREAS    16
#define PST_PATH_POOL FILE_AREAS

#include "bpf/lib/cgrate.bpf.h"
#include "bpf/lib/common.bpf.h"
#include "bpf/lib/core_fixes.bpf.h"
#include "bpf/lib/maps_ring_process.bpf.h"
#include "bpf/lib/path.bpf.h"
#include "bpf/lib/task.bpf.h"

#define FILE_TRIES    4
#define FILE_MASK     16383
#define FILE_TAIL_MAX (2 * (PST_FILE_PATH_MAX + PST_CWD_MAX))
#define FILE_ARGS     8

#define S_IFMT  0170000
#define S_IFIFO 0010000
#define S_IFCHR 0020000
#define S_IFDIR 0040000
#define S_IFBLK 0060000

/* `used` and `args` are read back from here: so the verifier takes them as unknown, whatever came before. */
struct file_area {
	struct pst_rec_file rec;
	char tail[FILE_MASK + 1 + PST_PATH_MAX + 8];
	volatile __u32 used;
	__u32 pad;
	volatile __u64 args[FILE_ARGS];
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, FILE_AREAS);
	__type(key, __u32);
	__type(value, struct file_area);
} file_area SEC(".maps");

/* Who has an area: an insertion succeeds for one. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, FILE_AREAS);
	__type(key, __u32);
	__type(value, __u64);
} file_claims SEC(".maps");

static __always_inline struct file_area *file_area_of(__u32 slot)
{
	return bpf_map_lookup_elem(&file_area, &slot);
}

/* FILE_AREAS: none is free. */
static __always_inline __u32 file_claim(void)
{
	__u32 slot, first = bpf_get_smp_processor_id() * FILE_TRIES;
	__u64 task = bpf_get_current_task();

	for (__u32 i = 0; i < FILE_TRIES; i++) {
		slot = (first + i) % FILE_AREAS;
		if (!bpf_map_update_elem(&file_claims, &slot, &task, BPF_NOEXIST))
			return slot;
	}
	return FILE_AREAS;
}

static __always_inline void file_release(__u32 slot)
{
	bpf_map_delete_elem(&file_claims, &slot);
}

/*
 * An area with the head of a record in it, all else zero; ends in file_end() or file_release(). FILE_AREAS:
 * over the bound, or lost. Not static, as the others below: verified once.
 */
__noinline int file_begin(__u32 kind)
{
	struct file_area *a;
	__u32 slot;

	if (!pst_cgrate_ok(PST_CLASS_PROCESS, kind))
		return FILE_AREAS;
	slot = file_claim();
	a = file_area_of(slot);
	if (!a) {
		pst_count_lost(PST_CLASS_PROCESS, sizeof(struct pst_rec_file));
		return FILE_AREAS;
	}
	__builtin_memset(&a->rec, 0, sizeof(a->rec));
	a->used = 0;
	pst_head(&a->rec.h, kind, sizeof(a->rec));
	pst_task_current(&a->rec.task);
	return slot;
}

/* Pads the record and lets it go. */
__noinline int file_end(__u32 slot)
{
	struct file_area *a = file_area_of(slot);
	__u32 len, size;

	if (!a)
		return 0;
	len = a->used;
	if (len > FILE_TAIL_MAX)
		len = FILE_TAIL_MAX; /* cannot be; for the verifier */
	__builtin_memset(&a->tail[len], 0, 8);
	size = PST_ALIGN8(sizeof(a->rec) + len);
	a->rec.h.size = size;
	pst_output(&ring_process, PST_CLASS_PROCESS, a, size);
	file_release(slot);
	return 0;
}

static __always_inline void file_part(struct file_area *a, __u32 part, __u32 at, __u32 len)
{
	a->rec.len[part & (PST_FILE_PARTS - 1)] = len;
	a->used = at + len;
}

static __always_inline __u16 file_cut_flag(__u32 part)
{
	return part >= PST_FILE_TO_BASE ? PST_FILE_TO_CUT : PST_FILE_CUT;
}

/* Appends a string, of the caller's memory or the kernel's. */
__noinline int file_add_string(__u32 slot, __u32 part, __u64 from, __u32 user)
{
	struct file_area *a = file_area_of(slot);
	char more = 0;
	__u32 at;
	long n;

	if (!a)
		return 0;
	at = a->used & FILE_MASK;
	if (user)
		n = bpf_probe_read_user_str(&a->tail[at], PST_FILE_PATH_MAX + 1, (const void *)from);
	else
		n = bpf_probe_read_kernel_str(&a->tail[at], PST_FILE_PATH_MAX + 1, (const void *)from);
	if (n < 0)
		pst_count_unread(PST_CLASS_PROCESS);
	if (n <= 0) /* of an empty string too, up to 6.12 */
		n = 1;
	if (n > PST_FILE_PATH_MAX && user)
		bpf_probe_read_user(&more, 1, (const void *)(from + PST_FILE_PATH_MAX));
	if (more)
		a->rec.h.flags |= file_cut_flag(part);
	file_part(a, part, at, n - 1);
	return 0;
}

/*
 * Appends the path of a dentry, or of @leaf in it: @leaf is the address of a name, and its length is in the
 * upper half of @part.
 */
__noinline int file_add_path(__u32 slot, __u32 part, __u64 mnt, __u64 dentry, __u64 leaf)
{
	struct pst_path *p = bpf_map_lookup_elem(&file_path, &slot);
	struct file_area *a = file_area_of(slot);
	struct pst_dentry d = {.len = part >> 16, .name = leaf};
	__u32 at, len;

	if (!a || !p)
		return 0;
	part &= PST_FILE_PARTS - 1;
	pst_path_begin(p);
	if (leaf && !pst_path_push(p, &d))
		p->cut = 1;
	pst_path_end(slot, p, (void *)mnt, (void *)dentry);
	at = a->used & FILE_MASK;
	if (part & 1)
		len = pst_path_copy(p, &a->tail[at], PST_FILE_PATH_MAX);
	else
		len = pst_path_copy(p, &a->tail[at], PST_CWD_MAX);
	if (p->cut || len < PST_PATH_MAX - p->off)
		a->rec.h.flags |= file_cut_flag(part);
	file_part(a, part, at, len);
	return 0;
}

/* A device's number as system calls and security hooks have it, to the kernel's own dev_t. */
static __always_inline __u32 pst_new_decode_dev(__u32 dev)
{
	__u32 major = dev >> 8 & 0xfff, minor = (dev & 0xff) | (dev >> 12 & 0xfff00);

	return major << 20 | minor;
}

/* Which file it is. */
static __always_inline void file_inode(struct dentry *dentry, __u64 *ret_ino, __u32 *ret_dev, __u32 *ret_mode)
{
	struct inode *inode = BPF_CORE_READ(dentry, d_inode);

	if (!inode)
		return;
	*ret_ino = BPF_CORE_READ(inode, i_ino);
	*ret_dev = BPF_CORE_READ(inode, i_sb, s_dev);
	*ret_mode = BPF_CORE_READ(inode, i_mode);
}

#endif
