/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Where a thread group comes from: its executable, those before it and those of its ancestors, and what it
 * could do when its program began. Remembered from fork to exit, as whoever is adopted by init loses his
 * ancestors, and since a process may change what /proc/PID/exe says of it (PR_SET_MM_EXE_FILE). Who was there
 * before, or finds the table full, has those of his ancestors that live.
 *
 * A line is changed by its own exec alone, when the thread group has no other thread.
 */
#ifndef PST_LINEAGE_BPF_H
#define PST_LINEAGE_BPF_H

#include "bpf/lib/common.bpf.h"
#include "bpf/lib/core_fixes.bpf.h"
#include "bpf/lib/polobject.bpf.h"
#include "bpf/lib/task.bpf.h"
#include "proto/abi/facts.h"

#define LINEAGE_CLIMB 32 /* ancestors that are looked at */

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 32768);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct pst_lineage_key);
	__type(value, struct pst_lineage);
} lineages SEC(".maps");

enum lineage_count {
	LINEAGE_FULL, /* had no room */
	LINEAGE_MADE, /* was there before: from the ancestors that live */
	LINEAGE_COUNTS,
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, LINEAGE_COUNTS);
	__type(key, __u32);
	__type(value, __u64);
} lineage_counts SEC(".maps");

/* Where one is made. Tracepoints may interrupt what makes one for a subject. */
enum lineage_slot { LINEAGE_TRACED, LINEAGE_ASKED, LINEAGE_SLOTS };

struct lineage_buf {
	volatile __u64 owner; /* as struct object's */
	struct pst_lineage l;
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, LINEAGE_SLOTS);
	__type(key, __u32);
	__type(value, struct lineage_buf);
} lineage_bufs SEC(".maps");

static __always_inline void lineage_count(__u32 i)
{
	__u64 *n = bpf_map_lookup_elem(&lineage_counts, &i);

	if (n)
		*n += 1;
}

/* Of the current thread group. */
static __always_inline void lineage_key(struct pst_lineage_key *key)
{
	__u64 id = bpf_get_current_pid_tgid();

	key->start_ns = pst_current_start_ns(id >> 32 == (__u32)id);
	key->pid = id >> 32;
}

static __always_inline __u64 lineage_caps(struct task_struct *t)
{
	const struct cred *cred = BPF_CORE_READ(t, real_cred);

	return pst_caps(&cred->cap_effective);
}

/*
 * The executable of a task, in objects[OBJECT_EXE]: its path's hash, 0: not known. Takes a number, as global
 * functions do.
 */
__noinline __u64 lineage_exe(__u64 task)
{
	struct task_struct *t = (void *)task;
	struct file *file = BPF_CORE_READ(t, mm, exe_file);
	struct object *w;

	if (!file)
		return 0;
	w = pst_object_file(OBJECT_EXE, file, 0);
	if (!w)
		return 0;
	pst_object_walk(OBJECT_EXE, w);
	return pst_object_mine(w) ? w->facts.path_hash : 0;
}

/* As lineage_exe(), with the file's identity. */
static __always_inline void lineage_begin(struct pst_lineage *l, struct task_struct *t)
{
	__u32 which = OBJECT_EXE;
	struct object *w = bpf_map_lookup_elem(&objects, &which);

	l->exec_id = BPF_CORE_READ(t, self_exec_id);
	l->exe.ino = 0;
	l->exe.dev = 0;
	l->exe.pad = 0;
	l->flags &= ~(__u64)PST_LINEAGE_OWN;
	l->exe_hash = lineage_exe((__u64)t);
	if (!w || !BPF_CORE_READ(t, mm, exe_file) || !(w->facts.known & PST_OBJECT_ID))
		return;
	l->exe = w->facts.id;
	if (w->facts.odd & PST_ODD_OWN)
		l->flags |= PST_LINEAGE_OWN;
	if (pst_object_mine(w))
		return;
	l->exe.dev = 0;
	l->exe_hash = 0;
}

/* In front; from further back it is taken. */
static __always_inline void lineage_push(struct pst_lineage *l, __u64 hash)
{
	__u64 put = hash, was;

	if (!hash) {
		l->flags |= PST_LINEAGE_UNNAMED;
		return;
	}
#pragma unroll
	for (int i = 0; i < PST_LINEAGE_MAX; i++) {
		was = l->ancestors[i];
		l->ancestors[i] = put;
		if (!was || was == hash)
			return;
		put = was;
	}
	l->flags |= PST_LINEAGE_CUT;
}

/* At the end, if it is not there yet. */
static __always_inline void lineage_add(struct pst_lineage *l, __u64 hash)
{
#pragma unroll
	for (int i = 0; i < PST_LINEAGE_MAX; i++) {
		if (l->ancestors[i] == hash)
			return;
		if (!l->ancestors[i]) {
			l->ancestors[i] = hash;
			return;
		}
	}
	l->flags |= PST_LINEAGE_CUT;
}

/* 0: there is none. Functions of numbers, one beside the other, as the stack is short. */
__noinline __u64 lineage_parent(__u64 task)
{
	struct task_struct *t = (void *)task, *parent = BPF_CORE_READ(t, real_parent);

	return parent && BPF_CORE_READ(parent, pid) ? (__u64)parent : 0;
}

/* An ancestor of that executable. Kernel threads have none. */
__noinline int lineage_take(__u32 slot, __u64 task, __u64 hash, __u32 nearest)
{
	struct lineage_buf *b = bpf_map_lookup_elem(&lineage_bufs, &slot);
	struct task_struct *t = (void *)task;

	if (!b || !BPF_CORE_READ(t, mm))
		return 0;
	if (hash)
		lineage_add(&b->l, hash);
	else
		b->l.flags |= PST_LINEAGE_UNNAMED;
	if (nearest)
		b->l.parent_hash = hash;
	return 0;
}

/* Of the current task, from the ancestors that it has now. False: another task has used the buffer. */
__noinline int lineage_climb(__u32 slot)
{
	struct lineage_buf *b = bpf_map_lookup_elem(&lineage_bufs, &slot);
	__u64 task = bpf_get_current_task();

	if (!b)
		return 0;
	b->owner = bpf_get_current_pid_tgid();
	__builtin_memset(&b->l, 0, sizeof(b->l));
	b->l.flags = PST_LINEAGE_CLIMBED;
	lineage_begin(&b->l, (void *)task);
	for (int i = 0; i < LINEAGE_CLIMB; i++) {
		task = lineage_parent(task);
		if (!task)
			return b->owner == bpf_get_current_pid_tgid();
		lineage_take(slot, task, lineage_exe(task), !i);
	}
	b->l.flags |= PST_LINEAGE_CUT;
	return b->owner == bpf_get_current_pid_tgid();
}

/* Of the current task, remembered from now on. NULL: no room. For tracepoints. */
static __always_inline struct pst_lineage *lineage_late(struct pst_lineage_key *key)
{
	__u32 slot = LINEAGE_TRACED;
	struct lineage_buf *b = bpf_map_lookup_elem(&lineage_bufs, &slot);

	if (!b)
		return NULL;
	lineage_climb(slot);
	if (bpf_map_update_elem(&lineages, key, &b->l, BPF_NOEXIST)) {
		lineage_count(LINEAGE_FULL);
		return NULL;
	}
	lineage_count(LINEAGE_MADE);
	return bpf_map_lookup_elem(&lineages, key);
}

/* The current task has a child that does not run yet. @child: that the verifier knows. */
static __always_inline void lineage_fork(struct task_struct *child)
{
	struct pst_lineage_key key = {};
	struct pst_lineage *p, l;

	if (!child->mm)
		return; /* of the kernel */
	lineage_key(&key);
	p = bpf_map_lookup_elem(&lineages, &key);
	if (!p)
		p = lineage_late(&key);
	if (!p)
		return;
	l = *p;
	l.parent_hash = l.exe_hash;
	lineage_push(&l, l.exe_hash);
	key.start_ns = child->start_boottime;
	key.pid = child->tgid;
	if (bpf_map_update_elem(&lineages, &key, &l, BPF_ANY))
		lineage_count(LINEAGE_FULL);
}

/* The current task has another program. */
static __always_inline void lineage_exec(void)
{
	struct task_struct *t = (void *)bpf_get_current_task();
	struct pst_lineage_key key = {};
	struct pst_lineage *l;

	lineage_key(&key);
	l = bpf_map_lookup_elem(&lineages, &key);
	if (l) {
		lineage_push(l, l->exe_hash);
		lineage_begin(l, t);
	} else {
		l = lineage_late(&key);
	}
	if (!l)
		return;
	l->caps = lineage_caps(t);
	l->flags |= PST_LINEAGE_CAPS;
}

/* A thread leaves: with the last one goes the line. More than one may be the last; the second finds nothing.
 */
static __always_inline void lineage_exit(struct task_struct *t)
{
	struct pst_lineage_key key = {};

	if (t->signal->live.counter)
		return;
	lineage_key(&key);
	bpf_map_delete_elem(&lineages, &key);
}

#endif
