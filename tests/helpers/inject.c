// SPDX-License-Identifier: Apache-2.0
/*
 * Lets another process make a system call, as somebody would who has taken it over: inject TID NUMBER
 * [ARGUMENT]... An argument is a number, s:TEXT (address of the text), x:HEX (address of these bytes) or
 * z:COUNT (address of zeros). Prints "ret VALUE", or "killed SIGNAL" when the process did not survive it.
 * Needs root; nothing in the process has to be prepared for it. A thread is stopped where it is and goes on
 * there afterwards.
 */
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#define ARGS_MAX    6
#define SCRATCH_MAX 8192
#define BELOW_STACK 65536 /* the scratch area lies this far below what is in use */
#define SKIP        77
#define FAILED      111

#ifdef __x86_64__
static const unsigned char instruction[] = {0x0f, 0x05}; /* syscall */

static void set_call(struct user_regs_struct *r, uint64_t at, long nr, const uint64_t arg[ARGS_MAX])
{
	r->rip = at;
	r->rax = (unsigned long long)nr;
	r->orig_rax = (unsigned long long)-1; /* nothing to restart */
	r->rdi = arg[0];
	r->rsi = arg[1];
	r->rdx = arg[2];
	r->r10 = arg[3];
	r->r8 = arg[4];
	r->r9 = arg[5];
}
#define STACK(r)  ((r)->rsp)
#define RESULT(r) ((long)(r)->rax)
#else
static const unsigned char instruction[] = {0};
static void set_call(struct user_regs_struct *r, uint64_t at, long nr, const uint64_t arg[ARGS_MAX])
{
	(void)r, (void)at, (void)nr, (void)arg;
	puts("skip: no system call can be injected on this architecture yet");
	exit(SKIP);
}
#define STACK(r)  0
#define RESULT(r) 0
#endif

struct call {
	long nr;
	uint64_t arg[ARGS_MAX];
	bool is_address[ARGS_MAX]; /* arg is an offset into scratch */
	unsigned char scratch[SCRATCH_MAX];
	size_t used;
};

static void die(const char *what)
{
	fprintf(stderr, "inject: %s: %s\n", what, strerror(errno));
	exit(FAILED);
}

static void usage(const char *what)
{
	fprintf(stderr, "inject: %s\nusage: inject TID NUMBER [NUMBER | s:TEXT | x:HEX | z:COUNT]...\n",
		what);
	exit(100);
}

static uint64_t number(const char *text)
{
	char *end;
	uint64_t n = strtoull(text, &end, 0);

	if (!*text || *end)
		usage("not a number");
	return n;
}

static unsigned char *reserve(struct call *call, size_t n)
{
	unsigned char *p = call->scratch + call->used;

	if (n > SCRATCH_MAX - call->used)
		usage("too much");
	call->used += (n + 15) & ~15ul;
	return p;
}

static void parse_argument(struct call *call, int i, const char *text)
{
	call->is_address[i] = text[0] && text[1] == ':';
	if (!call->is_address[i]) {
		call->arg[i] = number(text);
		return;
	}
	call->arg[i] = call->used;
	text += 2;
	switch (text[-2]) {
	case 's':
		memcpy(reserve(call, strlen(text) + 1), text, strlen(text) + 1);
		break;
	case 'z':
		reserve(call, number(text));
		break;
	case 'x':
		for (; text[0] && text[1]; text += 2) {
			char byte[3] = {text[0], text[1], 0};

			call->scratch[call->used++] = (unsigned char)strtoul(byte, NULL, 16);
			if (call->used == SCRATCH_MAX)
				usage("too much");
		}
		call->used = (call->used + 15) & ~15ul;
		break;
	default:
		usage("unknown kind of argument");
	}
}

/* Where the process has a system call instruction: in libc. */
static uint64_t find_instruction(pid_t tid, int mem)
{
	char path[64], line[512];
	unsigned char page[4096];

	snprintf(path, sizeof(path), "/proc/%d/maps", tid);
	FILE *f = fopen(path, "re");
	if (!f)
		die(path);
	while (fgets(line, sizeof(line), f)) {
		unsigned long from, to;

		if (!strstr(line, " r-xp ") || !strstr(line, "/libc") ||
			sscanf(line, "%lx-%lx", &from, &to) != 2)
			continue;
		for (; from < to; from += sizeof(page)) {
			if (pread(mem, page, sizeof(page), (off_t)from) != sizeof(page))
				continue;
			void *at = memmem(page, sizeof(page), instruction, sizeof(instruction));
			if (at) {
				fclose(f);
				return from + (uint64_t)((unsigned char *)at - page);
			}
		}
	}
	fprintf(stderr, "inject: the process has no libc\n");
	exit(FAILED);
}

static void registers(enum __ptrace_request request, pid_t tid, struct user_regs_struct *regs)
{
	struct iovec iov = {regs, sizeof(*regs)};

	if (ptrace(request, tid, NT_PRSTATUS, &iov) < 0)
		die("registers");
}

/* Until it stands still; prints and exits when it ends instead. */
static void wait_stop(pid_t tid)
{
	int status;

	for (;;) {
		if (waitpid(tid, &status, __WALL) < 0)
			die("wait");
		if (WIFSIGNALED(status) || WIFEXITED(status)) {
			printf("%s %d\n", WIFSIGNALED(status) ? "killed" : "exited",
				WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
			exit(0);
		}
		if (WSTOPSIG(status) != SIGSYS)
			return;
		/* Before 5.16 a tracer is asked; the answer is to let it through. */
		if (ptrace(PTRACE_CONT, tid, 0, SIGSYS) < 0)
			die("continue");
	}
}

static void place(struct call *call, int mem, uint64_t stack)
{
	uint64_t base = (stack - BELOW_STACK) & ~15ul;

	if (call->used && pwrite(mem, call->scratch, call->used, (off_t)base) != (ssize_t)call->used)
		die("memory");
	for (int i = 0; i < ARGS_MAX; i++)
		if (call->is_address[i])
			call->arg[i] += base;
}

int main(int argc, char **argv)
{
	static struct call call;
	struct user_regs_struct before, regs;
	char path[64];

	if (argc < 3 || argc > 3 + ARGS_MAX)
		usage("what?");
	pid_t tid = (pid_t)number(argv[1]);
	call.nr = (long)number(argv[2]);
	for (int i = 3; i < argc; i++)
		parse_argument(&call, i - 3, argv[i]);
	snprintf(path, sizeof(path), "/proc/%d/mem", tid);
	int mem = open(path, O_RDWR | O_CLOEXEC);
	if (mem < 0)
		die(path);
	if (ptrace(PTRACE_SEIZE, tid, 0, 0) < 0 || ptrace(PTRACE_INTERRUPT, tid, 0, 0) < 0)
		die("attach");
	wait_stop(tid);
	registers(PTRACE_GETREGSET, tid, &before);
	regs = before;
	place(&call, mem, STACK(&before));
	set_call(&regs, find_instruction(tid, mem), call.nr, call.arg);
	registers(PTRACE_SETREGSET, tid, &regs);
	if (ptrace(PTRACE_SINGLESTEP, tid, 0, 0) < 0)
		die("step");
	wait_stop(tid);
	registers(PTRACE_GETREGSET, tid, &regs);
	registers(PTRACE_SETREGSET, tid, &before);
	if (ptrace(PTRACE_DETACH, tid, 0, 0) < 0)
		die("detach");
	printf("ret %ld\n", RESULT(&regs));
	return 0;
}
