// SPDX-License-Identifier: Apache-2.0
#include "loader/seccomp.h"

#include <errno.h>
#include <seccomp.h>
#include <sys/socket.h>

#include "proto/base/cleanup.h"

#define FAMILIES_MAX 64

/* A list of what is forbidden, and not of what is allowed: libbpf, libelf and the C library change their
 * ways. */
static const char *const forbidden[] = {"execve", "execveat", "ptrace", "process_vm_readv",
	"process_vm_writev", "pidfd_getfd", "kcmp", "mount", "umount2", "move_mount", "open_tree", "fsopen",
	"fsmount", "fspick", "mount_setattr", "pivot_root", "chroot", "setns", "unshare", "init_module",
	"finit_module", "delete_module", "kexec_load", "kexec_file_load", "reboot", "swapon", "swapoff",
	"quotactl", "acct", "ioperm", "iopl", "open_by_handle_at", "settimeofday", "clock_settime",
	"clock_adjtime", "adjtimex", "sethostname", "setdomainname", "add_key", "request_key", "keyctl",
	"userfaultfd", "io_uring_setup", "perf_event_open", "personality", "syslog", "nfsservctl",
	"lookup_dcookie", "modify_ldt", "vhangup"};

static void release(scmp_filter_ctx *ctx)
{
	if (*ctx)
		seccomp_release(*ctx);
}

/* Only Unix and netlink sockets; the register's upper half is not the kernel's to look at. */
static int limit_sockets(scmp_filter_ctx ctx)
{
	for (uint64_t family = 0; family < FAMILIES_MAX; family++) {
		int r;

		if (family == AF_UNIX || family == AF_NETLINK)
			continue;
		r = seccomp_rule_add(ctx, SCMP_ACT_ERRNO(EAFNOSUPPORT), SCMP_SYS(socket), 1,
			SCMP_A0(SCMP_CMP_MASKED_EQ, 0xffffffff, family));
		if (r < 0)
			return r;
	}
	return 0;
}

int seccomp_limit(void)
{
	PST_CLEANUP(release) scmp_filter_ctx ctx = seccomp_init(SCMP_ACT_ALLOW);
	int r;

#ifdef PST_SAN
	return -EOPNOTSUPP; /* the leak checker is a tracer */
#endif
	if (!ctx)
		return -ENOMEM;
	for (size_t i = 0; i < PST_ARRAY_SIZE(forbidden); i++) {
		int nr = seccomp_syscall_resolve_name(forbidden[i]);

		if (nr == __NR_SCMP_ERROR) /* newer than this libseccomp */
			continue;
		r = seccomp_rule_add(ctx, SCMP_ACT_KILL_PROCESS, nr, 0);
		if (r < 0 && r != -EDOM) /* EDOM: another architecture's */
			return r;
	}
	r = limit_sockets(ctx);
	return r ? r : seccomp_load(ctx);
}
