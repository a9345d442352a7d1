/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A record of an exec that failed, made from the caller's own arguments. */
#ifndef PST_EXECFAIL_BPF_H
#define PST_EXECFAIL_BPF_H

#include "bpf/lib/common.bpf.h"
#include "bpf/lib/maps_ring_process.bpf.h"
#include "bpf/lib/task.bpf.h"

#define EXECFAIL_ARGS 256 /* arguments looked at; then PST_EXEC_ARGV_CUT */
#define EXECFAIL_MASK 8191

struct execfail_buf {
	struct pst_rec_exec_failed rec;
	char tail[EXECFAIL_MASK + 1 + PST_ARGV_MAX + 8]; /* offsets are masked to below 8192 */
};

/*
 * One for each program. Tracepoints run with preemption off, but the fexit programs may be preempted by one
 * another; the same one is never entered twice on a CPU (the kernel counts what it skips for that in
 * recursion_misses).
 */
enum execfail_slot {
	EXECFAIL_EXECVE = 0,
	EXECFAIL_EXECVEAT = 1,
	EXECFAIL_EXECVE32 = 2,
	EXECFAIL_EXECVEAT32 = 3,
	EXECFAIL_SYSEXIT = 4,
	EXECFAIL_SLOTS = 5,
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, EXECFAIL_SLOTS);
	__type(key, __u32);
	__type(value, struct execfail_buf);
} execfail_buf SEC(".maps");

static_assert(sizeof(struct pst_rec_exec_failed) + PST_PATH_MAX + PST_ARGV_MAX <= PST_REC_MAX, "it fits");

/* Of an empty string the helper returns 0, not 1 with its NUL, on kernels before 6.13 at least. */
static __always_inline __u32 execfail_filename(struct execfail_buf *b, __u64 filename)
{
	long n = bpf_probe_read_user_str(b->tail, PST_PATH_MAX, (const void *)filename);

	if (n > 0)
		return n - 1;
	if (n < 0)
		pst_count_unread(PST_CLASS_PROCESS);
	return 0;
}

static __always_inline int execfail_fault(struct execfail_buf *b)
{
	b->rec.h.flags |= PST_EXEC_ARGV_FAULT;
	pst_count_unread(PST_CLASS_PROCESS);
	return 0;
}

/*
 * Appends the arguments, each with its NUL; the last one's is taken off at the end, hence the one byte more.
 * A tracing program cannot fault memory in, and from 6.8 on the kernel has not touched the arguments either
 * when it finds no file: one whose page is not present is left empty, and that is flagged.
 *
 * The length is kept in the record: what is read back from a map is unknown to the verifier, so the loop's
 * states converge. And the function is not static, so that it is verified once and not for every state of its
 * callers.
 */
__noinline int execfail_argv(__u32 slot, __u64 argv, __u32 width)
{
	struct execfail_buf *b = bpf_map_lookup_elem(&execfail_buf, &slot);
	volatile __u16 *len;
	__u32 at, have;
	__u64 arg;
	long n;

	if (!b)
		return 0;
	len = &b->rec.argv_len;
	for (__u32 i = 0; i < EXECFAIL_ARGS; i++) {
		arg = 0;
		if (bpf_probe_read_user(&arg, 8 - (width & 4), (const void *)(argv + (__u64)i * width)))
			return execfail_fault(b);
		if (!arg)
			return 0;
		have = *len;
		if (have > PST_ARGV_MAX)
			break;
		at = (b->rec.filename_len + have) & EXECFAIL_MASK;
		n = bpf_probe_read_user_str(&b->tail[at], PST_ARGV_MAX + 2 - have, (const void *)arg);
		if (n < 0)
			execfail_fault(b);
		if (n <= 0) {
			b->tail[at] = 0;
			n = 1;
		}
		*len = have + n;
		if (*len > PST_ARGV_MAX + 1)
			break;
	}
	b->rec.h.flags |= PST_EXEC_ARGV_CUT;
	return 0;
}

/* The call failed with ret; filename and argv are the caller's pointers, width the size of those in argv. */
static __always_inline void execfail_emit(__u32 slot, long ret, __u64 filename, __u64 argv, __u32 width)
{
	struct execfail_buf *b = bpf_map_lookup_elem(&execfail_buf, &slot);
	struct pst_rec_exec_failed *r;
	__u32 len, size;

	if (!b)
		return;
	r = &b->rec;
	pst_head(&r->h, PST_REC_EXEC_FAILED, 0);
	pst_task_current(&r->task);
	r->error = -ret;
	r->filename_len = execfail_filename(b, filename);
	r->argv_len = 0;
	if (argv)
		execfail_argv(slot, argv, width);
	len = *(volatile __u16 *)&r->argv_len;
	if (len)
		len--;
	if (len > PST_ARGV_MAX)
		len = PST_ARGV_MAX;
	r->argv_len = len;
	len += *(volatile __u16 *)&r->filename_len;
	if (len > PST_PATH_MAX + PST_ARGV_MAX)
		return; /* cannot be; for the verifier */
	__builtin_memset(&b->tail[len], 0, 8);
	size = PST_ALIGN8(sizeof(*r) + len);
	r->h.size = size;
	pst_output(&ring_process, PST_CLASS_PROCESS, b, size);
}

/*
 * The system call's registers: the only argument of the function that an fexit program sits on. Not read from
 * ctx directly, since in the BTF of some kernels (Debian's 5.10: __x64_sys_execveat) it points to a struct
 * that is only declared, which the verifier refuses.
 */
static __always_inline struct pt_regs *execfail_regs(void *ctx)
{
	struct pt_regs *regs = NULL;

	bpf_probe_read_kernel(&regs, sizeof(regs), ctx);
	return regs;
}

#endif
