// SPDX-License-Identifier: Apache-2.0
/*
 * A program that lives as briefly as one can: no libc, whose start alone takes longer in a virtual machine
 * than the rest. brief INDEX CODE LIFE_US      sleeps, then ends with CODE; 255: kills itself by SIGUSR1
 */
#include <linux/time_types.h>
#include <signal.h>
#include <sys/syscall.h>

static long call(long nr, long a, long b, long c)
{
#if defined(__x86_64__)
	long r;

	__asm__ volatile("syscall" : "=a"(r) : "a"(nr), "D"(a), "S"(b), "d"(c) : "rcx", "r11", "memory");
	return r;
#elif defined(__aarch64__)
	register long x8 __asm__("x8") = nr;
	register long x0 __asm__("x0") = a;
	register long x1 __asm__("x1") = b;
	register long x2 __asm__("x2") = c;

	__asm__ volatile("svc 0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2) : "memory");
	return x0;
#else
#error "say how a system call is made here"
#endif
}

static long number(const char *text)
{
	long n = 0;

	while (*text >= '0' && *text <= '9')
		n = n * 10 + *text++ - '0';
	return n;
}

/* @stack: argc, argv[0], ... */
__attribute__((used)) void brief_main(long *stack)
{
	char **argv = (char **)(stack + 1);
	long code = 100;

	if (stack[0] == 4) {
		struct __kernel_timespec life = {.tv_nsec = number(argv[3]) * 1000};

		code = number(argv[2]);
		if (life.tv_nsec)
			call(SYS_nanosleep, (long)&life, 0, 0);
		if (code == 255)
			call(SYS_kill, call(SYS_getpid, 0, 0, 0), SIGUSR1, 0);
	}
	call(SYS_exit_group, code, 0, 0);
}

#if defined(__x86_64__)
__asm__(".globl _start\n_start:\n\tmov %rsp, %rdi\n\tand $-16, %rsp\n\tcall brief_main\n");
#else
__asm__(".globl _start\n_start:\n\tmov x0, sp\n\tbl brief_main\n");
#endif
