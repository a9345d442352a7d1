// SPDX-License-Identifier: Apache-2.0
/*
 * What an attack wants to run: its first instructions write a byte to descriptor 9, so who holds the other
 * end knows whether it ran at all. Without libc and a loader, so that it runs in a chroot, from memory, and
 * when ld.so is given it. Which byte stands in the file behind "PST-MARK:", where a test can change it in a
 * copy.
 */
#include <sys/syscall.h>

static const volatile char mark[] = "PST-MARK:!";

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

__attribute__((used, noreturn)) void _start(void)
{
	char byte = mark[sizeof(mark) - 2];

	call(SYS_write, 9, (long)&byte, 1);
	for (;;)
		call(SYS_exit_group, 0, 0, 0);
}
