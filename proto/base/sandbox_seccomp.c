// SPDX-License-Identifier: Apache-2.0
/*
 * The filter as data. Three answers beside "yes": a call that no honest stage makes ends the process, so that
 * an attack is seen; a call that libc tries before an older one gets ENOSYS, so that it falls back; all the
 * rest gets EPERM.
 */
#include "proto/base/cleanup.h"
#include "proto/base/log.h"
#include "proto/base/sandbox_internal.h"

#include <linux/prctl.h>
#include <netinet/in.h>
#include <sched.h>
#include <seccomp.h>
#include <stdint.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <termios.h>

#ifndef PR_SET_VMA
#define PR_SET_VMA 0x53564d41 /* malloc names its memory */
#endif
#define CLONE_NEWTIME_BIT 0x00000080u
#define NAMESPACES                                                                                           \
	(CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWUSER | CLONE_NEWPID |        \
		CLONE_NEWNET | CLONE_NEWTIME_BIT)

#define SYS(name) SCMP_SYS(name)

static const int deadly[] = {
	/* the kernel's own machinery */
	SYS(bpf),
	SYS(perf_event_open),
	SYS(init_module),
	SYS(finit_module),
	SYS(delete_module),
	SYS(create_module),
	SYS(kexec_load),
	SYS(kexec_file_load),
	SYS(reboot),
	SYS(swapon),
	SYS(swapoff),
	SYS(iopl),
	SYS(ioperm),
	SYS(syslog),
	SYS(acct),
	SYS(settimeofday),
	SYS(clock_settime),
	SYS(clock_adjtime),
	SYS(adjtimex),
	SYS(sethostname),
	SYS(setdomainname),
	/* other programs and processes */
	SYS(execve),
	SYS(execveat),
	SYS(ptrace),
	SYS(process_vm_readv),
	SYS(process_vm_writev),
	SYS(process_madvise),
	SYS(pidfd_getfd),
	SYS(kcmp),
	/* another view of the system */
	SYS(mount),
	SYS(umount),
	SYS(umount2),
	SYS(move_mount),
	SYS(mount_setattr),
	SYS(open_tree),
	SYS(fsopen),
	SYS(fsconfig),
	SYS(fsmount),
	SYS(fspick),
	SYS(pivot_root),
	SYS(chroot),
	SYS(setns),
	SYS(unshare),
	SYS(quotactl),
	/* ways around a check */
	SYS(open_by_handle_at),
	SYS(userfaultfd),
	SYS(io_uring_setup),
	SYS(io_uring_enter),
	SYS(io_uring_register),
	SYS(add_key),
	SYS(request_key),
	SYS(keyctl),
	SYS(modify_ldt),
	SYS(uselib),
	/* other rights */
	SYS(setuid),
	SYS(setgid),
	SYS(setreuid),
	SYS(setregid),
	SYS(setresuid),
	SYS(setresgid),
	SYS(setfsuid),
	SYS(setfsgid),
	SYS(setgroups),
	SYS(capset),
};

static const int allowed[] = {
	/* descriptors */
	SYS(read),
	SYS(write),
	SYS(pread64),
	SYS(pwrite64),
	SYS(preadv),
	SYS(pwritev),
	SYS(readv),
	SYS(writev),
	SYS(close),
	SYS(lseek),
	SYS(dup),
	SYS(dup2),
	SYS(dup3),
	SYS(fcntl),
	SYS(flock),
	SYS(pipe),
	SYS(pipe2),
	SYS(eventfd2),
	SYS(sendfile),
	SYS(fsync),
	SYS(fdatasync),
	SYS(ftruncate),
	SYS(fallocate),
	SYS(fadvise64),
	/* files: Landlock and the modes say which */
	SYS(open),
	SYS(openat),
	SYS(stat),
	SYS(lstat),
	SYS(fstat),
	SYS(newfstatat),
	SYS(statx),
	SYS(statfs),
	SYS(fstatfs),
	SYS(access),
	SYS(faccessat),
	SYS(faccessat2),
	SYS(readlink),
	SYS(readlinkat),
	SYS(getdents),
	SYS(getdents64),
	SYS(getcwd),
	SYS(mkdir),
	SYS(mkdirat),
	SYS(rmdir),
	SYS(rename),
	SYS(renameat),
	SYS(renameat2),
	SYS(unlink),
	SYS(unlinkat),
	SYS(umask),
	SYS(chmod),
	SYS(fchmod),
	SYS(fchmodat),
	SYS(chown),
	SYS(fchown),
	SYS(fchownat),
	SYS(inotify_init1),
	SYS(inotify_add_watch),
	SYS(inotify_rm_watch),
	/* waiting */
	SYS(epoll_create),
	SYS(epoll_create1),
	SYS(epoll_ctl),
	SYS(epoll_wait),
	SYS(epoll_pwait),
	SYS(epoll_pwait2),
	SYS(poll),
	SYS(ppoll),
	SYS(select),
	SYS(pselect6),
	SYS(timerfd_create),
	SYS(timerfd_settime),
	SYS(timerfd_gettime),
	SYS(signalfd4),
	SYS(nanosleep),
	SYS(clock_nanosleep),
	SYS(restart_syscall),
	/* sockets; socket() itself and what can carry data with a connection are below */
	SYS(bind),
	SYS(listen),
	SYS(accept),
	SYS(accept4),
	SYS(connect),
	SYS(shutdown),
	SYS(getsockname),
	SYS(getpeername),
	SYS(getsockopt),
	SYS(setsockopt),
	SYS(recvfrom),
	SYS(recvmsg),
	SYS(recvmmsg),
	/* memory and threads; what could make code is below */
	SYS(brk),
	SYS(munmap),
	SYS(mremap),
	SYS(madvise),
	SYS(msync),
	SYS(futex),
	SYS(set_robust_list),
	SYS(get_robust_list),
	SYS(rseq),
	SYS(set_tid_address),
	SYS(membarrier),
	SYS(sched_yield),
	SYS(sched_getaffinity),
	SYS(sched_getparam),
	SYS(sched_getscheduler),
	SYS(getcpu),
	/* signals */
	SYS(rt_sigaction),
	SYS(rt_sigprocmask),
	SYS(rt_sigreturn),
	SYS(rt_sigpending),
	SYS(rt_sigsuspend),
	SYS(rt_sigtimedwait),
	SYS(sigaltstack),
	/* looking at oneself */
	SYS(getpid),
	SYS(gettid),
	SYS(getppid),
	SYS(getpgrp),
	SYS(getuid),
	SYS(geteuid),
	SYS(getgid),
	SYS(getegid),
	SYS(getresuid),
	SYS(getresgid),
	SYS(getgroups),
	SYS(capget),
	SYS(uname),
	SYS(sysinfo),
	SYS(getrlimit),
	SYS(getrusage),
	SYS(times),
	SYS(time),
	SYS(gettimeofday),
	SYS(clock_gettime),
	SYS(clock_getres),
	SYS(getrandom),
	SYS(exit),
	SYS(exit_group),
};

/* System calls that came after libseccomp 2.5 have the same number on every architecture. A newer libc may
 * try them first. */
#define NEW_FIRST 449
#define NEW_LAST  499

/* One call with conditions on its arguments, all of which must hold. A call may have several lines. */
struct rule {
	int nr;
	unsigned n;
	struct scmp_arg_cmp arg[3];
};

#define EQ(i, value)           SCMP_CMP(i, SCMP_CMP_EQ, value)
#define MASKED(i, mask, value) SCMP_CMP(i, SCMP_CMP_MASKED_EQ, mask, value)

static const struct rule conditional[] = {
	/* a thread, never a process or a namespace; clone3 is a structure that cannot be looked into: libc
	   falls back to clone */
	{SYS(clone), 1, {MASKED(0, CLONE_THREAD | NAMESPACES, CLONE_THREAD)}},
	/* no memory may become code */
	{SYS(mmap), 1, {MASKED(2, PROT_EXEC, 0)}},
	{SYS(mprotect), 1, {MASKED(2, PROT_EXEC, 0)}},
	{SYS(socket), 1, {EQ(0, AF_UNIX)}},
	{SYS(socketpair), 1, {EQ(0, AF_UNIX)}},
	/* asking for limits, not setting them */
	{SYS(prlimit64), 2, {EQ(0, 0), EQ(2, 0)}},
	{SYS(prctl), 1, {EQ(0, PR_SET_NAME)}},
	{SYS(prctl), 1, {EQ(0, PR_GET_NAME)}},
	{SYS(prctl), 1, {EQ(0, PR_SET_VMA)}},
	{SYS(prctl), 1, {EQ(0, PR_GET_DUMPABLE)}},
	{SYS(prctl), 1, {EQ(0, PR_GET_SECCOMP)}},
	{SYS(prctl), 1, {EQ(0, PR_GET_NO_NEW_PRIVS)}},
	{SYS(prctl), 1, {EQ(0, PR_CAPBSET_READ)}},
	{SYS(ioctl), 1, {EQ(1, FIONREAD)}},
	{SYS(ioctl), 1, {EQ(1, FIONBIO)}},
	{SYS(ioctl), 1, {EQ(1, FIOCLEX)}},
	{SYS(ioctl), 1, {EQ(1, TCGETS)}},
	{SYS(ioctl), 1, {EQ(1, TIOCGWINSZ)}},
};

/* On a Unix socket: names of interfaces to numbers and back, of our own network namespace. */
static const struct rule interfaces[] = {
	{SYS(ioctl), 1, {EQ(1, SIOCGIFINDEX)}},
	{SYS(ioctl), 1, {EQ(1, SIOCGIFNAME)}},
};

/* TCP only: Landlock tells connections of other protocols from nothing. */
static const struct rule inet_server[] = {
	{SYS(socket), 3, {EQ(0, AF_INET), MASKED(1, 0xf, SOCK_STREAM), EQ(2, 0)}},
	{SYS(socket), 3, {EQ(0, AF_INET), MASKED(1, 0xf, SOCK_STREAM), EQ(2, IPPROTO_TCP)}},
	{SYS(socket), 3, {EQ(0, AF_INET6), MASKED(1, 0xf, SOCK_STREAM), EQ(2, 0)}},
	{SYS(socket), 3, {EQ(0, AF_INET6), MASKED(1, 0xf, SOCK_STREAM), EQ(2, IPPROTO_TCP)}},
};

/* UDP, for names. */
static const struct rule inet_client[] = {
	{SYS(socket), 3, {EQ(0, AF_INET), MASKED(1, 0xf, SOCK_DGRAM), EQ(2, 0)}},
	{SYS(socket), 3, {EQ(0, AF_INET), MASKED(1, 0xf, SOCK_DGRAM), EQ(2, IPPROTO_UDP)}},
	{SYS(socket), 3, {EQ(0, AF_INET6), MASKED(1, 0xf, SOCK_DGRAM), EQ(2, 0)}},
	{SYS(socket), 3, {EQ(0, AF_INET6), MASKED(1, 0xf, SOCK_DGRAM), EQ(2, IPPROTO_UDP)}},
};

/* MSG_FASTOPEN connects without a call of connect(2), past Landlock. */
static const struct rule sending[] = {
	{SYS(sendto), 1, {MASKED(3, MSG_FASTOPEN, 0)}},
	{SYS(sendmsg), 1, {MASKED(2, MSG_FASTOPEN, 0)}},
	{SYS(sendmmsg), 1, {MASKED(3, MSG_FASTOPEN, 0)}},
};

static int add_all(scmp_filter_ctx ctx, uint32_t action, const int *list, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		int r = seccomp_rule_add(ctx, action, list[i], 0);

		if (r < 0)
			return r;
	}
	return 0;
}

static int add_rules(scmp_filter_ctx ctx, const struct rule *rules, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		int r = seccomp_rule_add_array(ctx, SCMP_ACT_ALLOW, rules[i].nr, rules[i].n, rules[i].arg);

		if (r < 0)
			return r;
	}
	return 0;
}

/* abort() and assert() end by a signal to oneself. */
static int add_own_signals(scmp_filter_ctx ctx)
{
	const struct rule rule = {SYS(tgkill), 1, {EQ(0, (scmp_datum_t)getpid())}};

	return add_rules(ctx, &rule, 1);
}

static int add_missing(scmp_filter_ctx ctx)
{
	int r = seccomp_rule_add(ctx, SCMP_ACT_ERRNO(ENOSYS), SYS(clone3), 0);

	for (int nr = NEW_FIRST; !r && nr <= NEW_LAST; nr++)
		r = seccomp_rule_add(ctx, SCMP_ACT_ERRNO(ENOSYS), nr, 0);
	return r;
}

static int build(scmp_filter_ctx ctx, const struct pst_sandbox *sandbox)
{
	int r;

	/* Calls of another architecture would be other calls under these numbers. */
	r = seccomp_attr_set(ctx, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS);
	r = r ? r : seccomp_attr_set(ctx, SCMP_FLTATR_CTL_OPTIMIZE, 2); /* a tree, not a chain */
	r = r ? r : add_all(ctx, SCMP_ACT_KILL_PROCESS, deadly, PST_ARRAY_SIZE(deadly));
	r = r ? r : add_all(ctx, SCMP_ACT_ALLOW, allowed, PST_ARRAY_SIZE(allowed));
	r = r ? r : add_rules(ctx, conditional, PST_ARRAY_SIZE(conditional));
	r = r ? r : add_rules(ctx, sending, PST_ARRAY_SIZE(sending));
	r = r ? r : add_own_signals(ctx);
	r = r ? r : add_missing(ctx);
	if (!r && sandbox->interfaces)
		r = add_rules(ctx, interfaces, PST_ARRAY_SIZE(interfaces));
	if (!r && sandbox->inet)
		r = add_rules(ctx, inet_server, PST_ARRAY_SIZE(inet_server));
	if (!r && sandbox->inet && sandbox->inet_connect)
		r = add_rules(ctx, inet_client, PST_ARRAY_SIZE(inet_client));
	return r;
}

static void release(scmp_filter_ctx *ctx)
{
	if (*ctx)
		seccomp_release(*ctx);
}

int sandbox_seccomp(const struct pst_sandbox *sandbox)
{
	PST_CLEANUP(release) scmp_filter_ctx ctx = seccomp_init(SCMP_ACT_ERRNO(EPERM));
	int r = ctx ? build(ctx, sandbox) : -ENOMEM;

	if (!r)
		r = seccomp_load(ctx);
	if (r < 0)
		pst_error("sandbox: seccomp: %s", strerror(-r));
	return r;
}
