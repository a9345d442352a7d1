// SPDX-License-Identifier: Apache-2.0
/* Functions that Tetragon hooks, and the operations that are like them. */
#include <string.h>

#include "policyd/foreign/tetragon.h"
#include "proto/base/cleanup.h"

#define SAME             TRACING_SAME, NULL, NULL
#define WIDER            TRACING_WIDER, "other system calls do the same, and the operation takes them, too", NULL
#define ARG(n, kind)     .args = {{n, TRACING_##kind}}
#define ARGS(n, a, m, b) .args = {{n, TRACING_##a}, {m, TRACING_##b}}
#define NO_ARGS          .args = {{0, TRACING_NO_ARG}}
#define OP(name)         PST_OP_##name

static const struct tracing_hook hooks[] = {
	{"security_bprm_check", OP(PROCESS_EXEC), SAME, ARG(0, PATH)},
	{"security_bprm_creds_for_exec", OP(PROCESS_EXEC), SAME, ARG(0, PATH)},
	{"security_bprm_creds_from_file", OP(PROCESS_EXEC), SAME, ARG(0, PATH)},
	{"sched_process_exec", OP(PROCESS_EXEC), TRACING_NEAR,
		"programs are those that start it, not what is started", NULL, NO_ARGS},
	{"sys_execve", OP(PROCESS_EXEC), WIDER, ARG(0, WRITTEN)},
	{"sys_execveat", OP(PROCESS_EXEC), WIDER, ARG(1, WRITTEN)},
	{"security_ptrace_access_check", OP(PROCESS_PTRACE), SAME, NO_ARGS},
	{"sys_ptrace", OP(PROCESS_PTRACE), WIDER, NO_ARGS},
	{"security_task_kill", OP(PROCESS_SIGNAL), SAME, ARG(2, SIGNAL)},
	{"sys_kill", OP(PROCESS_SIGNAL), WIDER, ARG(1, SIGNAL)},
	{"sys_tkill", OP(PROCESS_SIGNAL), WIDER, ARG(1, SIGNAL)},
	{"sys_tgkill", OP(PROCESS_SIGNAL), WIDER, ARG(2, SIGNAL)},
	{"security_task_fix_setuid", OP(PROCESS_SETID), WIDER, NO_ARGS},
	{"security_task_fix_setgid", OP(PROCESS_SETID), WIDER, NO_ARGS},
	{"sys_setuid", OP(PROCESS_SETID), WIDER, NO_ARGS},
	{"sys_setgid", OP(PROCESS_SETID), WIDER, NO_ARGS},
	{"sys_setreuid", OP(PROCESS_SETID), WIDER, NO_ARGS},
	{"sys_setregid", OP(PROCESS_SETID), WIDER, NO_ARGS},
	{"sys_setresuid", OP(PROCESS_SETID), WIDER, NO_ARGS},
	{"sys_setresgid", OP(PROCESS_SETID), WIDER, NO_ARGS},
	{"sys_setfsuid", OP(PROCESS_SETID), WIDER, NO_ARGS},
	{"sys_setfsgid", OP(PROCESS_SETID), WIDER, NO_ARGS},
	{"security_capset", OP(PROCESS_CAPSET), SAME, NO_ARGS},
	{"sys_capset", OP(PROCESS_CAPSET), SAME, NO_ARGS},
	{"security_create_user_ns", OP(PROCESS_NAMESPACE), WIDER, NO_ARGS},
	{"create_user_ns", OP(PROCESS_NAMESPACE), WIDER, NO_ARGS},
	{"sys_unshare", OP(PROCESS_NAMESPACE), WIDER, NO_ARGS},
	{"sys_setns", OP(PROCESS_NAMESPACE), WIDER, NO_ARGS},
	{"do_init_module", OP(PROCESS_MODULE), SAME, ARG(0, MODULE)},
	{"module_load", OP(PROCESS_MODULE), SAME, NO_ARGS},
	{"security_kernel_module_request", OP(PROCESS_MODULE), WIDER, ARG(0, MODULE)},
	{"sys_init_module", OP(PROCESS_MODULE), WIDER, NO_ARGS},
	{"sys_finit_module", OP(PROCESS_MODULE), WIDER, NO_ARGS},
	{"security_bpf", OP(PROCESS_BPF), SAME, NO_ARGS},
	{"sys_bpf", OP(PROCESS_BPF), SAME, NO_ARGS},
	{"security_perf_event_open", OP(PROCESS_PERF), SAME, NO_ARGS},
	{"sys_perf_event_open", OP(PROCESS_PERF), SAME, NO_ARGS},
	{"sys_memfd_create", OP(PROCESS_MEMFD), SAME, NO_ARGS},
	{"security_file_mprotect", OP(PROCESS_MPROTECT), SAME, ARG(2, PROT)},
	{"sys_mprotect", OP(PROCESS_MPROTECT), WIDER, ARG(2, PROT)},
	{"security_file_open", OP(FILE_OPEN), SAME, ARG(0, PATH)},
	{"security_file_permission", OP(FILE_OPEN), TRACING_NEAR,
		"what is read and written is judged when it is opened", NULL, ARGS(0, PATH, 1, MAY)},
	{"fd_install", OP(FILE_OPEN), TRACING_NEAR,
		"a file is judged when it is opened, not when its descriptor is passed on", NULL,
		ARG(1, PATH)},
	{"sys_open", OP(FILE_OPEN), WIDER, ARG(0, WRITTEN)},
	{"sys_openat", OP(FILE_OPEN), WIDER, ARG(1, WRITTEN)},
	{"sys_openat2", OP(FILE_OPEN), WIDER, ARG(1, WRITTEN)},
	{"sys_creat", OP(FILE_OPEN), WIDER, ARG(0, WRITTEN)},
	{"security_path_unlink", OP(FILE_UNLINK), WIDER, NO_ARGS},
	{"security_inode_unlink", OP(FILE_UNLINK), WIDER, NO_ARGS},
	{"sys_unlink", OP(FILE_UNLINK), WIDER, ARG(0, WRITTEN)},
	{"sys_unlinkat", OP(FILE_UNLINK), WIDER, ARG(1, WRITTEN)},
	{"sys_rmdir", OP(FILE_UNLINK), WIDER, ARG(0, WRITTEN)},
	{"security_path_rename", OP(FILE_RENAME), SAME, NO_ARGS},
	{"security_inode_rename", OP(FILE_RENAME), SAME, NO_ARGS},
	{"sys_rename", OP(FILE_RENAME), WIDER, NO_ARGS},
	{"sys_renameat", OP(FILE_RENAME), WIDER, NO_ARGS},
	{"sys_renameat2", OP(FILE_RENAME), WIDER, NO_ARGS},
	{"security_path_link", OP(FILE_LINK), SAME, NO_ARGS},
	{"security_inode_link", OP(FILE_LINK), SAME, NO_ARGS},
	{"sys_link", OP(FILE_LINK), WIDER, NO_ARGS},
	{"sys_linkat", OP(FILE_LINK), WIDER, NO_ARGS},
	{"security_path_symlink", OP(FILE_SYMLINK), SAME, NO_ARGS},
	{"security_inode_symlink", OP(FILE_SYMLINK), SAME, NO_ARGS},
	{"sys_symlink", OP(FILE_SYMLINK), WIDER, ARG(1, WRITTEN)},
	{"sys_symlinkat", OP(FILE_SYMLINK), WIDER, ARG(2, WRITTEN)},
	{"security_path_mkdir", OP(FILE_MKDIR), SAME, NO_ARGS},
	{"security_inode_mkdir", OP(FILE_MKDIR), SAME, NO_ARGS},
	{"sys_mkdir", OP(FILE_MKDIR), WIDER, ARG(0, WRITTEN)},
	{"sys_mkdirat", OP(FILE_MKDIR), WIDER, ARG(1, WRITTEN)},
	{"security_path_chmod", OP(FILE_CHMOD), SAME, ARG(0, PATH)},
	{"sys_chmod", OP(FILE_CHMOD), WIDER, ARG(0, WRITTEN)},
	{"sys_fchmodat", OP(FILE_CHMOD), WIDER, ARG(1, WRITTEN)},
	{"security_path_chown", OP(FILE_CHOWN), SAME, ARG(0, PATH)},
	{"sys_chown", OP(FILE_CHOWN), WIDER, ARG(0, WRITTEN)},
	{"sys_lchown", OP(FILE_CHOWN), WIDER, ARG(0, WRITTEN)},
	{"sys_fchownat", OP(FILE_CHOWN), WIDER, ARG(1, WRITTEN)},
	{"security_path_truncate", OP(FILE_TRUNCATE), SAME, ARG(0, PATH)},
	{"sys_truncate", OP(FILE_TRUNCATE), SAME, ARG(0, WRITTEN)},
	{"security_sb_mount", OP(FILE_MOUNT), WIDER, ARG(1, PATH)},
	{"sys_mount", OP(FILE_MOUNT), WIDER, ARG(1, WRITTEN)},
	{"security_sb_umount", OP(FILE_UMOUNT), SAME, NO_ARGS},
	{"sys_umount", OP(FILE_UMOUNT), SAME, ARG(0, WRITTEN)},
	{"security_sb_pivotroot", OP(FILE_PIVOT_ROOT), SAME, NO_ARGS},
	{"sys_pivot_root", OP(FILE_PIVOT_ROOT), SAME, NO_ARGS},
	{"security_socket_create", OP(NET_SOCKET), SAME, ARG(0, FAMILY)},
	{"sys_socket", OP(NET_SOCKET), WIDER, ARG(0, FAMILY)},
	{"security_socket_connect", OP(NET_CONNECT), SAME, ARGS(0, SOCKET, 1, SOCKADDR)},
	{"tcp_connect", OP(NET_CONNECT), TRACING_SAME, NULL, ", protocols: tcp", ARG(0, PEER)},
	{"security_socket_sendmsg", OP(NET_SENDMSG), TRACING_NEAR,
		"only what is sent without a connection is judged", NULL, NO_ARGS},
	{"security_socket_bind", OP(NET_BIND), SAME, ARGS(0, SOCKET, 1, SOCKADDR)},
	{"security_socket_listen", OP(NET_LISTEN), SAME, ARG(0, OWN)},
	{"inet_csk_listen_start", OP(NET_LISTEN), TRACING_SAME, NULL, ", protocols: tcp", ARG(0, OWN)},
	{"security_socket_accept", OP(NET_ACCEPT), SAME, ARG(0, OWN)},
	{"security_capable", OP(CAP_USE), TRACING_NEAR, "only capabilities that the process has are judged",
		NULL, ARG(2, CAP)},
	{"cap_capable", OP(CAP_USE), TRACING_NEAR, "only capabilities that the process has are judged", NULL,
		ARG(2, CAP)},
};

const struct tracing_hook *tracing_hook_find(const char *call)
{
	static const char *const prefixes[] = {"__x64_", "__arm64_"};

	for (size_t i = 0; i < PST_ARRAY_SIZE(prefixes); i++)
		if (!strncmp(call, prefixes[i], strlen(prefixes[i])))
			call += strlen(prefixes[i]);
	if (!strncmp(call, "__sys_", 6)) /* what those of all architectures call */
		call += 2;
	for (size_t i = 0; i < PST_ARRAY_SIZE(hooks); i++)
		if (!strcmp(hooks[i].call, call))
			return &hooks[i];
	return NULL;
}
