/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One system call by any of the doors that a process has into the kernel: the usual instruction, the 32-bit
 * one, that of x32, and io_uring in its three ways. What an attack does is written once, and the door is
 * another word of its line.
 */
#ifndef PST_ATTACK_CALLS_H
#define PST_ATTACK_CALLS_H

#include <errno.h>
#include <linux/io_uring.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define RESULT_FD 8
#define PROOF_FD  9
#define LOW_BYTES (1u << 20)

enum door { BY_SYSCALL, BY_INT80, BY_X32, BY_URING, BY_URING_ASYNC, BY_URING_SQPOLL, DOORS };
static const char *const door_names[DOORS] = {
	"syscall", "int80", "x32", "uring", "uring-async", "uring-sqpoll"};
static enum door door;

/* ---- what came of it ---- */

__attribute__((noreturn, format(printf, 1, 2))) static void done(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vdprintf(RESULT_FD, format, args);
	va_end(args);
	_exit(0);
}

/* This machine has not what the attack is made of. */
#define cannot(reason) done("cannot: %s", reason)

/* What leads up to the attack has to work under any policy of the table. */
static long must(long r, const char *what)
{
	if (r < 0)
		done("broken: %s: %s", what, strerrorname_np(errno));
	return r;
}

static unsigned proven; /* 3: both */

/* A proof of what was done: '!' for what is forbidden, '.' for what is not. */
static void prove(char byte)
{
	proven |= byte == '!' ? 1 : 2;
	if (write(PROOF_FD, &byte, 1) != 1)
		_exit(82);
}

/* ---- memory that a 32-bit pointer reaches ---- */

static void *low_alloc(size_t size)
{
	static char *at;
	static size_t used;

	if (!at) {
		at = mmap(NULL, LOW_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT,
			-1, 0);
		must(at == MAP_FAILED ? -1 : 0, "low memory");
	}
	used = (used + 15) & ~(size_t)15;
	used += size;
	if (used > LOW_BYTES)
		done("broken: no low memory left");
	return at + used - size;
}

static void *low_copy(const void *from, size_t size)
{
	return memcpy(low_alloc(size), from, size);
}

__attribute__((format(printf, 1, 2))) static char *low_text(const char *format, ...)
{
	char *text = low_alloc(8192);
	va_list args;

	va_start(args, format);
	vsnprintf(text, 8192, format, args);
	va_end(args);
	return text;
}

/* ---- the 32-bit door ---- */

#ifdef __x86_64__
static const struct {
	short nr, nr32;
} numbers[] = {
	{SYS_open, 5},
	{SYS_creat, 8},
	{SYS_openat, 295},
	{SYS_openat2, 437},
	{SYS_execve, 11},
	{SYS_execveat, 358},
	{SYS_unlink, 10},
	{SYS_unlinkat, 301},
	{SYS_rmdir, 40},
	{SYS_rename, 38},
	{SYS_renameat2, 353},
	{SYS_link, 9},
	{SYS_linkat, 303},
	{SYS_symlinkat, 304},
	{SYS_mkdirat, 296},
	{SYS_mkdir, 39},
	{SYS_symlink, 83},
	{SYS_chmod, 15},
	{SYS_fchmodat, 306},
	{SYS_fchmod, 94},
	{SYS_chown, 212},
	{SYS_lchown, 198},
	{SYS_fchown, 207},
	{SYS_fchownat, 298},
	{SYS_truncate, 92},
	{SYS_mount, 21},
	{SYS_umount2, 52},
	{SYS_pivot_root, 217},
	{SYS_socket, 359},
	{SYS_connect, 362},
	{SYS_bind, 361},
	{SYS_sendto, 369},
	{SYS_listen, 363},
	{SYS_accept4, 364},
	{SYS_ptrace, 26},
	{SYS_kill, 37},
	{SYS_tkill, 238},
	{SYS_tgkill, 270},
	{SYS_setuid, 213},
	{SYS_setresuid, 208},
	{SYS_setgid, 214},
	{SYS_capset, 185},
	{SYS_unshare, 310},
	{SYS_setns, 346},
	{SYS_memfd_create, 356},
	{SYS_mprotect, 125},
	{SYS_finit_module, 350},
	{SYS_bpf, 357},
	{SYS_perf_event_open, 336},
	{SYS_chroot, 61},
	{SYS_mknodat, 297},
	{SYS_getpid, 20},
	{SYS_open_by_handle_at, 342},
};

static long int80(long nr, const long a[6])
{
	register long f __asm__("r12") = a[5];
	long r;

	/* The sixth argument is in ebp; the red zone is the compiler's. */
	__asm__ volatile("lea -128(%%rsp), %%rsp\n\tpush %%rbp\n\tmov %%r12, %%rbp\n\tint $0x80\n\t"
			 "pop %%rbp\n\tlea 128(%%rsp), %%rsp"
			 : "=a"(r)
			 : "a"(nr), "b"(a[0]), "c"(a[1]), "d"(a[2]), "S"(a[3]), "D"(a[4]), "r"(f)
			 : "memory", "cc", "r8", "r9", "r10", "r11");
	return (int)r;
}

static long call32(long nr, const long a[6])
{
	for (unsigned i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
		if (numbers[i].nr == nr)
			return int80(numbers[i].nr32, a);
	done("broken: no 32-bit number of call %ld", nr);
}

/* x32 has numbers of its own for calls whose arguments are laid out otherwise. */
static long number_x32(long nr)
{
	return 0x40000000 | (nr == SYS_execve ? 520 : nr == SYS_execveat ? 545 : nr == SYS_ptrace ? 521 : nr);
}

/* Is the door there at all? A kernel without it kills who knocks. */
static void ask_door(void)
{
	const long none[6] = {0};
	int status;
	pid_t pid;

	if (door == BY_X32 && syscall(0x40000000 | SYS_getpid) < 0)
		cannot("no x32 system calls");
	if (door != BY_INT80)
		return;
	pid = fork();
	if (!pid)
		_exit(call32(SYS_getpid, none) != getpid());
	if (pid < 0 || waitpid(pid, &status, 0) != pid || status)
		cannot("no 32-bit system calls");
}
#else
static long call32(long nr, const long a[6])
{
	(void)nr, (void)a;
	cannot("no 32-bit system calls");
}

static long number_x32(long nr)
{
	return nr;
}

static void ask_door(void)
{
	if (door == BY_X32 || door == BY_INT80)
		cannot("no such system calls on this architecture");
}
#endif

/* ---- io_uring ---- */

#define OP_BIND   56 /* newer than some headers */
#define OP_LISTEN 57

struct ring {
	int fd;
	unsigned *sq_tail, *sq_mask, *sq_array, *cq_head, *cq_tail, *cq_mask;
	struct io_uring_sqe *sqes;
	struct io_uring_cqe *cqes;
};

static void *ring_map(int fd, size_t size, off_t at)
{
	void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, fd, at);

	must(p == MAP_FAILED ? -1 : 0, "map of io_uring");
	return p;
}

static struct ring *ring_get(void)
{
	struct io_uring_params p = {
		.flags = door == BY_URING_SQPOLL ? IORING_SETUP_SQPOLL : 0, .sq_thread_idle = 1000};
	static struct ring r;
	char *sq, *cq;

	if (r.sqes)
		return &r;
	r.fd = (int)syscall(SYS_io_uring_setup, 4, &p);
	if (r.fd < 0)
		cannot("no io_uring");
	sq = ring_map(r.fd, p.sq_off.array + p.sq_entries * sizeof(unsigned), IORING_OFF_SQ_RING);
	cq = ring_map(r.fd, p.cq_off.cqes + p.cq_entries * sizeof(struct io_uring_cqe), IORING_OFF_CQ_RING);
	r.sqes = ring_map(r.fd, p.sq_entries * sizeof(struct io_uring_sqe), IORING_OFF_SQES);
	r.sq_tail = (unsigned *)(sq + p.sq_off.tail);
	r.sq_mask = (unsigned *)(sq + p.sq_off.ring_mask);
	r.sq_array = (unsigned *)(sq + p.sq_off.array);
	r.cq_head = (unsigned *)(cq + p.cq_off.head);
	r.cq_tail = (unsigned *)(cq + p.cq_off.tail);
	r.cq_mask = (unsigned *)(cq + p.cq_off.ring_mask);
	r.cqes = (struct io_uring_cqe *)(cq + p.cq_off.cqes);
	return &r;
}

static void ring_ask(const struct ring *r, unsigned op)
{
	struct {
		struct io_uring_probe head;
		struct io_uring_probe_op ops[256];
	} probe = {0};

	if (syscall(SYS_io_uring_register, r->fd, IORING_REGISTER_PROBE, &probe, 256) < 0 ||
		op > probe.head.last_op || !(probe.ops[op].flags & IO_URING_OP_SUPPORTED))
		cannot("io_uring has no such operation");
}

/* The arguments of a system call, as io_uring wants them. */
static struct io_uring_sqe ring_entry(long nr, const long a[6])
{
	struct io_uring_sqe s = {.fd = (int)a[0], .addr = (uint64_t)a[1]};

	switch (nr) {
	case SYS_openat:
		s.opcode = IORING_OP_OPENAT;
		s.open_flags = (unsigned)a[2];
		s.len = (unsigned)a[3];
		break;
	case SYS_openat2:
		s.opcode = IORING_OP_OPENAT2;
		s.addr2 = (uint64_t)a[2];
		s.len = (unsigned)a[3];
		break;
	case SYS_unlinkat:
		s.opcode = IORING_OP_UNLINKAT;
		s.unlink_flags = (unsigned)a[2];
		break;
	case SYS_mkdirat:
		s.opcode = IORING_OP_MKDIRAT;
		s.len = (unsigned)a[2];
		break;
	case SYS_symlinkat:
		s.opcode = IORING_OP_SYMLINKAT;
		s.fd = (int)a[1];
		s.addr = (uint64_t)a[0];
		s.addr2 = (uint64_t)a[2];
		break;
	case SYS_renameat2:
	case SYS_linkat:
		s.opcode = nr == SYS_linkat ? IORING_OP_LINKAT : IORING_OP_RENAMEAT;
		s.len = (unsigned)a[2];
		s.addr2 = (uint64_t)a[3];
		s.rename_flags = (unsigned)a[4];
		break;
	case SYS_socket:
		s.opcode = IORING_OP_SOCKET;
		s.off = (uint64_t)a[1];
		s.len = (unsigned)a[2];
		s.addr = 0;
		break;
	case SYS_connect:
	case SYS_bind:
		s.opcode = nr == SYS_bind ? OP_BIND : IORING_OP_CONNECT;
		s.addr2 = (uint64_t)a[2];
		break;
	case SYS_listen:
		s.opcode = OP_LISTEN;
		s.addr = 0;
		s.len = (unsigned)a[1];
		break;
	case SYS_accept4:
		s.opcode = IORING_OP_ACCEPT;
		s.addr2 = (uint64_t)a[2];
		s.accept_flags = (unsigned)a[3];
		break;
	case SYS_sendmsg:
		s.opcode = IORING_OP_SENDMSG;
		s.len = 1;
		s.msg_flags = (unsigned)a[2];
		break;
	default:
		done("broken: io_uring has nothing like call %ld", nr);
	}
	return s;
}

static long ring_call(long nr, const long a[6])
{
	struct io_uring_sqe s = ring_entry(nr, a);
	unsigned tail, enter = IORING_ENTER_GETEVENTS;
	struct ring *r = ring_get();
	long result;

	ring_ask(r, s.opcode);
	if (door == BY_URING_ASYNC)
		s.flags = IOSQE_ASYNC;
	if (door == BY_URING_SQPOLL)
		enter |= IORING_ENTER_SQ_WAKEUP;
	tail = *r->sq_tail;
	r->sqes[tail & *r->sq_mask] = s;
	r->sq_array[tail & *r->sq_mask] = tail & *r->sq_mask;
	__atomic_store_n(r->sq_tail, tail + 1, __ATOMIC_RELEASE);
	while (__atomic_load_n(r->cq_tail, __ATOMIC_ACQUIRE) == *r->cq_head)
		if (syscall(SYS_io_uring_enter, r->fd, 1, 1, enter, NULL, 0) < 0 && errno != EINTR)
			return -errno;
	result = r->cqes[*r->cq_head & *r->cq_mask].res;
	__atomic_store_n(r->cq_head, *r->cq_head + 1, __ATOMIC_RELEASE);
	return result;
}

/* ---- by the door that was asked for ---- */

/* Returns what the kernel says: a number, or -errno. */
static long sys6(long nr, const long a[6])
{
	long r;

	switch (door) {
	case BY_INT80:
		return call32(nr, a);
	case BY_URING:
	case BY_URING_ASYNC:
	case BY_URING_SQPOLL:
		return ring_call(nr, a);
	case BY_X32:
		nr = number_x32(nr);
		break;
	default:
		break;
	}
	r = syscall(nr, a[0], a[1], a[2], a[3], a[4], a[5]);
	return r < 0 ? -errno : r;
}
#define ARG(x)       ((long)(x))
#define sys(nr, ...) sys6(nr, (const long[6]){__VA_ARGS__})

#endif
