// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only OR BSD-2-Clause
/*
 * What is told of an act's object, for its test and its measurement: a process asks by ioctl(FD, magic,
 * WHAT), and finds the answer in this object's memory.
 */
#include "bpf/lib/polobject.bpf.h"
#include "bpf/lib/polsubject.bpf.h"

#define SYS_IOCTL 16

enum ask {
	ASK_FILE = 1,   /* the descriptor's file */
	ASK_DENTRY = 2, /* the same without its mount */
	ASK_BEGIN = 3,  /* only what it is */
	ASK_STOLEN = 4, /* as if another task had come in between */
	ASK_SUBJECT = 5,
	ASK_SUBJECT_ANEW = 6, /* nothing kept */
	ASK_NAMESPACES = 7,
	ASK_KEY = 8,     /* only what is looked at to see that what is kept still holds */
	ASK_NOTHING = 9, /* what the measurement itself takes */
	ASK_FD = 10,     /* the same of objects */
};

/* Set between runs. */
__u32 magic, asked, repeat, starts, opens;

struct pst_object object, started;
struct pst_subject subject;
struct pst_subject_ns namespaces;
__u64 ancestors[PST_LINEAGE_MAX];
__u32 answers, whole, execs, ancestors_told;
__u64 took_ns;
char path[PST_PATH_MAX], started_path[PST_PATH_MAX];

static __always_inline void keep(struct object *w, struct pst_object *o, char *at)
{
	__u64 off = w->facts.path_off;

	bpf_probe_read_kernel(o, sizeof(*o), &w->facts);
	pst_hide(off);
	off &= PST_PATH_MAX_MASK;
	bpf_probe_read_kernel(at, PST_PATH_MAX, &w->path.buf[off]);
}

/* Where descriptors of the current task lead. */
static __always_inline struct file *file_of(__u32 fd)
{
	struct task_struct *t = (void *)bpf_get_current_task();
	struct fdtable *table = BPF_CORE_READ(t, files, fdt);
	struct file **files = BPF_CORE_READ(table, fd), *file = NULL;

	if (fd < BPF_CORE_READ(table, max_fds))
		bpf_probe_read_kernel(&file, sizeof(file), files + fd);
	return file;
}

/* Asked by a thread group that is about to be forgotten, or by one that is another program by now. */
static __always_inline void forget(void)
{
	struct subject *e = subject_entry();

	if (e)
		e->key.start_ns = 0;
}

__noinline int gather_subject(__u32 what)
{
	if (what == ASK_SUBJECT_ANEW)
		forget();
	pst_subject(&subject);
	return 1;
}

__noinline int gather_key(void)
{
	struct subject_key now = {};

	subject_key_now(&now);
	return now.exec_id;
}

__noinline int gather_namespaces(void)
{
	pst_subject_namespaces(&namespaces);
	return 1;
}

__noinline int gather_object(__u32 fd, __u32 what)
{
	struct file *file = file_of(fd);
	struct object *w;

	if (what == ASK_FD)
		return file != NULL;
	if (what == ASK_DENTRY)
		w = pst_object_path(
			OBJECT_OTHER, NULL, BPF_CORE_READ(file, f_path.dentry), BPF_CORE_READ(file, f_inode));
	else
		w = pst_object_file(OBJECT_FIRST, file, asked);
	if (!w)
		return 0;
	if (what != ASK_BEGIN)
		pst_object_walk(what == ASK_DENTRY ? OBJECT_OTHER : OBJECT_FIRST, w);
	return 1;
}

__noinline int gather(__u32 fd, __u32 what)
{
	if (what == ASK_NOTHING)
		return 0;
	if (what == ASK_SUBJECT || what == ASK_SUBJECT_ANEW)
		return gather_subject(what);
	if (what == ASK_NAMESPACES)
		return gather_namespaces();
	if (what == ASK_KEY)
		return gather_key();
	return gather_object(fd, what);
}

static __always_inline void answer(__u32 fd, __u32 what)
{
	__u32 which = what == ASK_DENTRY ? OBJECT_OTHER : OBJECT_FIRST;
	struct object *w = bpf_map_lookup_elem(&objects, &which);
	__u64 start = bpf_ktime_get_ns();

	for (int i = 0; i < 1000; i++) {
		if (i >= repeat)
			break;
		gather(fd, what);
	}
	took_ns = bpf_ktime_get_ns() - start;
	gather(fd, what);
	if (!w)
		return;
	if (what >= ASK_SUBJECT) {
		ancestors_told = pst_subject_ancestors(ancestors);
		answers++;
		return;
	}
	if (what == ASK_STOLEN)
		w->owner = 1;
	whole = pst_object_mine(w);
	keep(w, &object, path);
	answers++;
}

SEC("tp_btf/sys_enter")
int facts_enter(__u64 *ctx)
{
	struct pt_regs *regs = NULL;

	if (ctx[1] != SYS_IOCTL)
		return 0;
	bpf_probe_read_kernel(&regs, sizeof(regs), ctx);
	if (!magic || (__u32)BPF_CORE_READ(regs, si) != magic)
		return 0;
	answer(BPF_CORE_READ(regs, di), BPF_CORE_READ(regs, dx));
	return 0;
}

SEC("tp_btf/sched_process_exec")
int BPF_PROG(facts_exec, struct task_struct *p, int old_pid, struct linux_binprm *bprm)
{
	struct object *w;

	if (!starts || (__u32)p->tgid != starts)
		return 0;
	w = pst_object_file(OBJECT_OTHER, BPF_CORE_READ(bprm, file), 0);
	if (!w)
		return 0;
	pst_object_walk(OBJECT_OTHER, w);
	keep(w, &started, started_path);
	execs++;
	return 0;
}

/* Where an open can be denied; loaded by a test of its own. */
SEC("?lsm/file_open")
int BPF_PROG(facts_open, struct file *file)
{
	struct object *w;

	if (!opens || bpf_get_current_pid_tgid() >> 32 != opens)
		return 0;
	w = pst_object_file(OBJECT_FIRST, file, 0);
	if (!w)
		return 0;
	pst_object_walk(OBJECT_FIRST, w);
	whole = pst_object_mine(w);
	keep(w, &object, path);
	answers++;
	return 0;
}

/* In the middle of an exec: new memory and credentials, and the line is not told yet. */
SEC("?lsm/bprm_committed_creds")
int BPF_PROG(facts_committed, struct linux_binprm *bprm)
{
	if (!opens || bpf_get_current_pid_tgid() >> 32 != opens)
		return 0;
	pst_subject(&subject);
	ancestors_told = pst_subject_ancestors(ancestors);
	answers++;
	return 0;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
