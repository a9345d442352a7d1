/* SPDX-License-Identifier: Apache-2.0 */
/* Other processes, the process's own rights and memory, and doors into the kernel. */
#ifndef PST_ATTACK_PROCS_H
#define PST_ATTACK_PROCS_H

#include <linux/bpf.h>
#include <linux/capability.h>
#include <linux/perf_event.h>
#include <linux/sched.h>
#include <sys/fsuid.h>
#include <sys/ioctl.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/shm.h>
#include <sys/sysmacros.h>
#include <sys/uio.h>

#include "tests/helpers/attack_net.h"

#define SOMEBODY 61043

/* The first word: the process that is attacked. */
static pid_t victim(void)
{
	return (pid_t)atoi(extra[0]);
}

/* ---- its memory ---- */

static long do_ptrace_attach(const struct at *at)
{
	(void)at;
	return sys(SYS_ptrace, PTRACE_ATTACH, victim(), 0, 0);
}

static long do_ptrace_seize(const struct at *at)
{
	(void)at;
	return sys(SYS_ptrace, PTRACE_SEIZE, victim(), 0, 0);
}

/* An address that every process of this program has: where it is not, EFAULT says that the reader was let in.
 */
static long do_vm_read(const struct at *at)
{
	char byte;
	struct iovec to = {&byte, 1}, from = {(void *)strtoul(extra[1], NULL, 16), 1};
	long r = sys(SYS_process_vm_readv, victim(), ARG(&to), 1, ARG(&from), 1, 0);

	(void)at;
	return r < 0 && r != -EFAULT ? r : 0;
}

static long do_proc_mem(const struct at *at)
{
	(void)at;
	return take(sys(SYS_openat, AT_FDCWD, ARG(low_text("/proc/%d/mem", victim())), O_RDWR, 0));
}

static int pidfd(void)
{
	int fd = (int)syscall(SYS_pidfd_open, victim(), 0);

	if (fd < 0)
		cannot("no pidfd_open");
	return fd;
}

static long do_pidfd_getfd(const struct at *at)
{
	long r = sys(438, pidfd(), 0, 0);

	(void)at;
	return r < 0 ? r : 0;
}

/* ---- signals ---- */

#define MILD SIGUSR1 /* which the victim ignores */

static long do_kill(const struct at *at)
{
	(void)at;
	return sys(SYS_kill, victim(), MILD);
}

static long do_tkill(const struct at *at)
{
	(void)at;
	return sys(SYS_tkill, victim(), MILD);
}

static long do_tgkill(const struct at *at)
{
	(void)at;
	return sys(SYS_tgkill, victim(), victim(), MILD);
}

static long do_kill_group(const struct at *at)
{
	(void)at;
	return sys(SYS_kill, -victim(), MILD);
}

static long do_sigqueue(const struct at *at)
{
	siginfo_t info = {.si_signo = MILD, .si_code = SI_QUEUE};

	(void)at;
	return sys(SYS_rt_sigqueueinfo, victim(), MILD, ARG(&info));
}

static long do_pidfd_signal(const struct at *at)
{
	(void)at;
	return sys(SYS_pidfd_send_signal, pidfd(), MILD, 0, 0);
}

/* ---- ids and capabilities ---- */

static long do_setuid(const struct at *at)
{
	(void)at;
	return sys(SYS_setuid, SOMEBODY);
}

static long do_setresuid(const struct at *at)
{
	(void)at;
	return sys(SYS_setresuid, SOMEBODY, SOMEBODY, SOMEBODY);
}

static long do_setreuid(const struct at *at)
{
	(void)at;
	return sys(SYS_setreuid, SOMEBODY, SOMEBODY);
}

static long do_setgid(const struct at *at)
{
	(void)at;
	return sys(SYS_setgid, SOMEBODY);
}

/* It says nothing of errors: what the id is afterwards says so. */
static long do_setfsuid(const struct at *at)
{
	(void)at;
	sys(SYS_setfsuid, SOMEBODY);
	return syscall(SYS_setfsuid, -1) == SOMEBODY ? 0 : -EPERM;
}

static long do_capset(const struct at *at)
{
	struct __user_cap_header_struct *head = low_alloc(sizeof(*head));
	struct __user_cap_data_struct *data = low_alloc(2 * sizeof(*data));

	(void)at;
	*head = (struct __user_cap_header_struct){_LINUX_CAPABILITY_VERSION_3, 0};
	must(syscall(SYS_capget, head, data), "capget");
	data[0].effective &= ~(1u << CAP_SYS_NICE);
	return sys(SYS_capset, ARG(head), ARG(data));
}

/* ---- namespaces ---- */

static long do_unshare(const struct at *at)
{
	(void)at;
	return sys(SYS_unshare, CLONE_NEWUTS);
}

static long began(long pid)
{
	if (!pid)
		_exit(0);
	return pid < 0 ? pid : 0;
}

static long do_clone(const struct at *at)
{
	(void)at;
	return began(sys(SYS_clone, CLONE_NEWUTS | SIGCHLD, 0, 0, 0, 0));
}

static long do_clone3(const struct at *at)
{
	struct clone_args args = {.flags = CLONE_NEWUTS, .exit_signal = SIGCHLD};
	long pid = sys(SYS_clone3, ARG(&args), sizeof(args));

	(void)at;
	if (pid == -ENOSYS)
		cannot("no clone3");
	return began(pid);
}

static long do_setns(const struct at *at)
{
	(void)at;
	return sys(SYS_setns, ARG(must(open("/proc/self/ns/uts", O_RDONLY), "open of a namespace")), 0);
}

/* ---- memory ---- */

static long do_memfd(const struct at *at)
{
	long fd = sys(SYS_memfd_create, ARG(low_text("attack")), 0);

	(void)at;
	return fd < 0 ? fd : 0;
}

static long do_memfd_secret(const struct at *at)
{
	long fd = sys(447, 0);

	(void)at;
	if (fd == -ENOSYS)
		cannot("no memfd_secret");
	return fd < 0 ? fd : 0;
}

/* Code that says that it ran: mov eax, 42; ret. */
static const unsigned char code[] = {0xb8, 0x2a, 0, 0, 0, 0xc3};

static long ran(void *at)
{
#ifdef __x86_64__
	int (*f)(void);

	memcpy(&f, &at, sizeof(f));
	if (f() == 42)
		prove('!');
#else
	(void)at;
#endif
	return 0;
}

static void *page_with_code(int protection)
{
	char *p = mmap(NULL, 4096, protection, MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);

	if (p == MAP_FAILED)
		return NULL;
	memcpy(p, code, sizeof(code));
	return p;
}

static long do_mprotect(const struct at *at)
{
	void *p = page_with_code(PROT_READ | PROT_WRITE);
	long r = sys(SYS_mprotect, ARG(p), 4096, PROT_READ | PROT_EXEC);

	(void)at;
	return r < 0 ? r : ran(p);
}

static long do_pkey_mprotect(const struct at *at)
{
	void *p = page_with_code(PROT_READ | PROT_WRITE);
	long r = sys(SYS_pkey_mprotect, ARG(p), 4096, PROT_READ | PROT_EXEC, -1);

	(void)at;
	return r < 0 ? r : ran(p);
}

static long do_mmap_rwx(const struct at *at)
{
	void *p = page_with_code(PROT_READ | PROT_WRITE | PROT_EXEC);

	(void)at;
	return p ? ran(p) : -errno;
}

/* Written by one map, executed by the other. */
static long do_mmap_twice(const struct at *at)
{
	int fd = (int)must(memfd_create("attack", 0), "memfd");
	void *p;

	(void)at;
	must(write(fd, code, sizeof(code)) == sizeof(code) ? 0 : -1, "write");
	p = mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_SHARED, fd, 0);
	return p == MAP_FAILED ? -errno : ran(p);
}

static long do_shmat(const struct at *at)
{
	int id = shmget(IPC_PRIVATE, 4096, 0700);
	void *p;

	(void)at;
	if (id < 0)
		cannot("no shared memory of System V");
	p = shmat(id, NULL, SHM_EXEC);
	shmctl(id, IPC_RMID, NULL);
	if (p == (void *)-1)
		return -errno;
	memcpy(p, code, sizeof(code));
	return ran(p);
}

/* Whatever may be read may be executed, says this personality. */
static long do_read_implies_exec(const struct at *at)
{
	void *p = page_with_code(PROT_READ | PROT_WRITE);
	long r;

	(void)at;
	must(personality(READ_IMPLIES_EXEC), "personality");
	r = sys(SYS_mprotect, ARG(p), 4096, PROT_READ);
	return r < 0 ? r : ran(p);
}

/* ---- into the kernel ---- */

/* Words: the module's file, its name. It may be there. */
static long do_module(const struct at *at)
{
	int fd = (int)must(open(extra[0], O_RDONLY), "open of the module");

	(void)at;
	return sys(SYS_finit_module, fd, ARG(low_text("%s", "")), 0);
}

static long do_bpf_map(const struct at *at)
{
	union bpf_attr *attr = low_alloc(sizeof(*attr));
	long fd;

	(void)at;
	attr->map_type = BPF_MAP_TYPE_ARRAY;
	attr->key_size = 4;
	attr->value_size = 8;
	attr->max_entries = 1;
	fd = sys(SYS_bpf, BPF_MAP_CREATE, ARG(attr), sizeof(*attr));
	return fd < 0 ? fd : 0;
}

static long do_bpf_program(const struct at *at)
{
	const struct bpf_insn insns[] = {{.code = 0xb7}, {.code = 0x95}};
	union bpf_attr *attr = low_alloc(sizeof(*attr));
	long fd;

	(void)at;
	attr->prog_type = BPF_PROG_TYPE_SOCKET_FILTER;
	attr->insn_cnt = 2;
	attr->insns = (uint64_t)(uintptr_t)low_copy(insns, sizeof(insns));
	attr->license = (uint64_t)(uintptr_t)low_text("GPL");
	fd = sys(SYS_bpf, BPF_PROG_LOAD, ARG(attr), sizeof(*attr));
	return fd < 0 ? fd : 0;
}

static long do_perf(const struct at *at)
{
	struct perf_event_attr *attr = low_alloc(sizeof(*attr));
	long fd;

	(void)at;
	attr->type = PERF_TYPE_SOFTWARE;
	attr->size = sizeof(*attr);
	attr->config = PERF_COUNT_SW_TASK_CLOCK;
	fd = sys(SYS_perf_event_open, ARG(attr), 0, -1, -1, 0);
	if (fd == -ENOSYS)
		cannot("no perf_event_open");
	return fd < 0 ? fd : 0;
}

/* ---- capabilities ---- */

static long do_cap_chroot(const struct at *at)
{
	(void)at;
	return sys(SYS_chroot, ARG(low_text("/")));
}

static long do_cap_mknod(const struct at *at)
{
	(void)at;
	return sys(SYS_mknodat, AT_FDCWD, ARG(HERE("device")), S_IFCHR | 0600, ARG(makedev(1, 3)));
}

static long do_cap_raw(const struct at *at)
{
	(void)at;
	return made(sys(SYS_socket, AF_INET, SOCK_RAW, IPPROTO_UDP));
}

static long do_cap_nice(const struct at *at)
{
	(void)at;
	return sys(SYS_setpriority, 0, 0, -1);
}

#endif
