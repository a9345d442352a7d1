// SPDX-License-Identifier: Apache-2.0
#include "loader/ladder.h"

#include <stdio.h>
#include <assert.h>
#include <string.h>

#include "loader/feature.h"
#include "proto/abi/maps.h"
#include "proto/base/cleanup.h"

#define NEEDS(feature) (1u << (feature))
static_assert(FEATURE_MAX <= 32, "needs is a word");

/*
 * Rungs of policies: their programs, and those that remember ancestors, which all of them share. LSM denies
 * and kills, the rest kills; cgroup hooks deny.
 */
#define LINEAGE                                                                                              \
	{"lineage", "line_fork", ATTACH_TRACE, false}, {"lineage", "line_exec", ATTACH_TRACE, false},        \
	{                                                                                                    \
		"lineage", "line_exit", ATTACH_TRACE, false                                                  \
	}
#define POLICY_RUNG(name, can, needs, ...)                                                                   \
	{                                                                                                    \
		(name), (can), (needs), {LINEAGE, __VA_ARGS__},                                              \
		{                                                                                            \
			{                                                                                    \
				"lineage", "cfg_lines_wait"                                                  \
			}                                                                                    \
		}                                                                                            \
	}
#define LSM_RUNG(...)         POLICY_RUNG("lsm", CAN_OBSERVE | CAN_DENY | CAN_KILL, NEEDS(FEATURE_LSM), __VA_ARGS__)
#define FENTRY_RUNG(...)      POLICY_RUNG("fentry", CAN_OBSERVE | CAN_KILL, NEEDS(FEATURE_FENTRY), __VA_ARGS__)
#define TRACE_RUNG(name, ...) POLICY_RUNG(name, CAN_OBSERVE | CAN_KILL, 0, __VA_ARGS__)

#define FILE_PROGRAM(name, optional)                                                                         \
	{                                                                                                    \
		"enforcefile", "enforce_" name, ATTACH_TRACE, (optional)                                     \
	}
/* file_truncate came with 6.2; before, path_truncate is asked for both. */
#define FILE_PROGRAMS(end)                                                                                   \
	FILE_PROGRAM("unlink" end, false), FILE_PROGRAM("rmdir" end, false),                                 \
		FILE_PROGRAM("rename" end, false), FILE_PROGRAM("link" end, false),                          \
		FILE_PROGRAM("symlink" end, false), FILE_PROGRAM("mkdir" end, false),                        \
		FILE_PROGRAM("chmod" end, false), FILE_PROGRAM("truncate" end, false),                       \
		FILE_PROGRAM("ftruncate" end, true), FILE_PROGRAM("mount" end, false),                       \
		FILE_PROGRAM("move_mount" end, false), FILE_PROGRAM("umount" end, false),                    \
		FILE_PROGRAM("pivot" end, false)
#define FILE_OPS                                                                                             \
	(PST_OP_BIT(PST_OP_FILE_UNLINK) | PST_OP_BIT(PST_OP_FILE_RENAME) | PST_OP_BIT(PST_OP_FILE_LINK) |    \
		PST_OP_BIT(PST_OP_FILE_SYMLINK) | PST_OP_BIT(PST_OP_FILE_MKDIR) |                            \
		PST_OP_BIT(PST_OP_FILE_CHMOD) | PST_OP_BIT(PST_OP_FILE_TRUNCATE) |                           \
		PST_OP_BIT(PST_OP_FILE_MOUNT) | PST_OP_BIT(PST_OP_FILE_UMOUNT) |                             \
		PST_OP_BIT(PST_OP_FILE_PIVOT_ROOT))

#define PROC_OPS                                                                                             \
	(PST_OP_BIT(PST_OP_PROCESS_PTRACE) | PST_OP_BIT(PST_OP_PROCESS_SIGNAL) |                             \
		PST_OP_BIT(PST_OP_PROCESS_SETID) | PST_OP_BIT(PST_OP_PROCESS_CAPSET) |                       \
		PST_OP_BIT(PST_OP_PROCESS_BPF) | PST_OP_BIT(PST_OP_PROCESS_PERF) |                           \
		PST_OP_BIT(PST_OP_PROCESS_MPROTECT))

const struct sensor sensors[SENSOR_MAX] = {
	[SENSOR_PROCESS] = {"process", "fork, exec, exit", 0,
		{{"tp_btf", CAN_OBSERVE, 0,
			{{"process", "process_fork", ATTACH_TRACE, false},
				{"process", "process_exec", ATTACH_TRACE, false},
				{"process", "process_exit", ATTACH_TRACE, false}},
			{{0}}}}},
	[SENSOR_EXEC_FAILED] = {"exec_failed", "exec that failed", 0,
		{{"fexit", CAN_OBSERVE, NEEDS(FEATURE_FEXIT),
			 {{"execfail", "execfail_execve", ATTACH_TRACE, false},
				 {"execfail", "execfail_execveat", ATTACH_TRACE, false},
				 {"execfail32", "execfail32_execve", ATTACH_TRACE, true},
				 {"execfail32", "execfail32_execveat", ATTACH_TRACE, true}},
			 {{0}}},
			{"sys_exit", CAN_OBSERVE, 0, {{"sysexit", "sysexit", ATTACH_TRACE, false}},
				{{"sysexit", "cfg_exec_failed"}}}}},
	[SENSOR_CRED] = {"cred", "change of credentials", 0,
		{{"fentry", CAN_OBSERVE, NEEDS(FEATURE_FENTRY),
			 {{"cred", "cred_commit", ATTACH_TRACE, false}}, {{0}}},
			{"sys_exit", CAN_OBSERVE, 0,
				{{"sysexit", "cred_enter", ATTACH_TRACE, false},
					{"sysexit", "sysexit", ATTACH_TRACE, false}},
				{{"sysexit", "cfg_cred"}}}}},
	[SENSOR_TCP] = {"tcp", "TCP connect, listen, close, retransmit, reset", 0,
		{{"tp_btf", CAN_OBSERVE, 0,
			{{"socket", "socket_state", ATTACH_TRACE, false},
				{"socket", "socket_retrans", ATTACH_TRACE, false},
				{"socket", "reset_sent", ATTACH_TRACE, false},
				{"socket", "reset_received", ATTACH_TRACE, false}},
			{{0}}}}},
	[SENSOR_ACCEPT] = {"accept", "TCP accept", 0,
		{{"fentry", CAN_OBSERVE, NEEDS(FEATURE_FENTRY),
			 {{"accept", "accept_graft", ATTACH_TRACE, false}}, {{0}}},
			{"sys_exit", CAN_OBSERVE, 0, {{"sysexit", "sysexit", ATTACH_TRACE, false}},
				{{"sysexit", "cfg_accept"}}}}},
	[SENSOR_UDP] = {"udp", "UDP traffic by socket and peer", 0,
		{{"cgroup", CAN_OBSERVE, NEEDS(FEATURE_CGROUP_SKB),
			{{"udp", "udp_ingress", ATTACH_CGROUP, false},
				{"udp", "udp_egress", ATTACH_CGROUP, false},
				{"udp", "udp_bind4", ATTACH_CGROUP, false},
				{"udp", "udp_bind6", ATTACH_CGROUP, false}},
			{{0}}}}},
	[SENSOR_DROPS] = {"drops", "dropped packets, with the kernel's reason", 0,
		{{"tp_btf", CAN_OBSERVE, 0, {{"socket", "packet_drop", ATTACH_TRACE, false}}, {{0}}}}},
	[SENSOR_FLOWS] = {"flows", "flows, and packets by interface and protocol", 0,
		{{"tcx", CAN_OBSERVE, NEEDS(FEATURE_TCX),
			 {{"flow", "flow_ingress", ATTACH_TC_IN, false},
				 {"flow", "flow_egress", ATTACH_TC_OUT, false},
				 {"flow", "flow_xdp", ATTACH_XDP, true}},
			 {{0}}},
			{"clsact", CAN_OBSERVE, 0,
				{{"flow", "flow_ingress", ATTACH_TC_IN, false},
					{"flow", "flow_egress", ATTACH_TC_OUT, false},
					{"flow", "flow_xdp", ATTACH_XDP, true}},
				{{0}}}}},
	[SENSOR_SYSCALLS] = {"syscalls", "system calls by number and cgroup", 0,
		{{"raw_tp", CAN_OBSERVE, 0,
			{{"syscalls", "syscalls_enter", ATTACH_TRACE, false},
				{"syscalls", "syscalls_rmdir", ATTACH_TRACE, false}},
			{{0}}}}},
	[SENSOR_MODULE] = {"module", "kernel modules that are loaded", 0,
		{{"tp_btf", CAN_OBSERVE, 0, {{"module", "module_load", ATTACH_TRACE, false}}, {{0}}}}},
	[SENSOR_BPF] = {"bpf", "BPF programs that are loaded", 0,
		{{"fexit", CAN_OBSERVE, NEEDS(FEATURE_FEXIT),
			 {{"calls", "calls_bpf", ATTACH_TRACE, false},
				 {"calls", "calls_bpf32", ATTACH_TRACE, true}},
			 {{0}}},
			{"sys_exit", CAN_OBSERVE, 0, {{"sysexit", "sysexit", ATTACH_TRACE, false}},
				{{"sysexit", "cfg_bpf"}}}}},
	[SENSOR_PTRACE] = {"ptrace", "processes that trace others or write into their memory", 0,
		{{"fexit", CAN_OBSERVE, NEEDS(FEATURE_FEXIT),
			 {{"calls", "calls_ptrace", ATTACH_TRACE, false},
				 {"calls", "calls_ptrace32", ATTACH_TRACE, true},
				 {"calls", "calls_vm", ATTACH_TRACE, false},
				 {"calls", "calls_vm32", ATTACH_TRACE, true}},
			 {{0}}},
			{"sys_exit", CAN_OBSERVE, 0, {{"sysexit", "sysexit", ATTACH_TRACE, false}},
				{{"sysexit", "cfg_ptrace"}}}}},
	[SENSOR_SIGNAL] = {"signal", "signals to a process of another cgroup", 0,
		{{"tp_btf", CAN_OBSERVE, 0, {{"signal", "signal_generate", ATTACH_TRACE, false}}, {{0}}}}},
	[SENSOR_NAMESPACE] = {"namespace", "unshare and setns", 0,
		{{"fexit", CAN_OBSERVE, NEEDS(FEATURE_FEXIT),
			 {{"calls", "calls_unshare", ATTACH_TRACE, false},
				 {"calls", "calls_unshare32", ATTACH_TRACE, true},
				 {"calls", "calls_setns", ATTACH_TRACE, false},
				 {"calls", "calls_setns32", ATTACH_TRACE, true}},
			 {{0}}},
			{"sys_exit", CAN_OBSERVE, 0, {{"sysexit", "sysexit", ATTACH_TRACE, false}},
				{{"sysexit", "cfg_namespace"}}}}},
	[SENSOR_MEMFD] = {"memfd", "files that exist in memory alone (memfd_create)", 0,
		{{"fexit", CAN_OBSERVE, NEEDS(FEATURE_FEXIT),
			 {{"calls", "calls_memfd", ATTACH_TRACE, false},
				 {"calls", "calls_memfd32", ATTACH_TRACE, true}},
			 {{0}}},
			{"sys_exit", CAN_OBSERVE, 0, {{"sysexit", "sysexit", ATTACH_TRACE, false}},
				{{"sysexit", "cfg_memfd"}}}}},
	[SENSOR_EXEC_MEMORY] = {"exec_memory", "anonymous memory made executable", 0,
		{{"fexit", CAN_OBSERVE, NEEDS(FEATURE_FEXIT),
			 {{"calls", "calls_mprotect", ATTACH_TRACE, false},
				 {"calls", "calls_mmap", ATTACH_TRACE, false},
				 {"calls", "calls_mmap32", ATTACH_TRACE, true}},
			 {{0}}},
			{"sys_exit", CAN_OBSERVE, 0, {{"sysexit", "sysexit", ATTACH_TRACE, false}},
				{{"sysexit", "cfg_exec_memory"}}}}},
	[SENSOR_PERF] = {"perf", "performance counters and their samples (perf_event_open)", 0,
		{{"fexit", CAN_OBSERVE, NEEDS(FEATURE_FEXIT),
			 {{"calls", "calls_perf", ATTACH_TRACE, false},
				 {"calls", "calls_perf32", ATTACH_TRACE, true}},
			 {{0}}},
			{"sys_exit", CAN_OBSERVE, 0, {{"sysexit", "sysexit", ATTACH_TRACE, false}},
				{{"sysexit", "cfg_perf"}}}}},
	[SENSOR_PROC_MEM] = {"proc_mem", "memory of others opened for writing in /proc", 0,
		{{"fexit", CAN_OBSERVE, NEEDS(FEATURE_FEXIT),
			 {{"calls", "calls_mem_open", ATTACH_TRACE, false}}, {{0}}},
			{"sys_exit", CAN_OBSERVE, 0, {{"sysexit", "sysexit", ATTACH_TRACE, false}},
				{{"sysexit", "cfg_proc_mem"}}}}},
	[SENSOR_CAPABILITY] = {"capability", "checks of capabilities", 0,
		{{"fexit", CAN_OBSERVE, NEEDS(FEATURE_FEXIT),
			 {{"capability", "capability_asked", ATTACH_TRACE, false}}, {{0}}},
			{"tp_btf", CAN_OBSERVE, 0, {{"capability", "capability_traced", ATTACH_TRACE, false}},
				{{0}}}}},
	[SENSOR_SOCKET] = {"socket", "sockets of unusual kinds", 0,
		{{"fexit", CAN_OBSERVE, NEEDS(FEATURE_FEXIT),
			 {{"sockcall", "sockcall_create", ATTACH_TRACE, false}}, {{0}}},
			{"sys_exit", CAN_OBSERVE, 0, {{"sysexit", "sysexit", ATTACH_TRACE, false}},
				{{"sysexit", "cfg_socket"}}}}},
	[SENSOR_BIND] = {"bind", "addresses that sockets are bound to", 0,
		{{"fexit", CAN_OBSERVE, NEEDS(FEATURE_FEXIT),
			 {{"sockcall", "sockcall_bound", ATTACH_TRACE, false},
				 {"sockcall", "sockcall_bound32", ATTACH_TRACE, true},
				 {"sockcall", "sockcall_multi32", ATTACH_TRACE, true}},
			 {{0}}},
			{"sys_exit", CAN_OBSERVE, 0, {{"sysexit", "sysexit", ATTACH_TRACE, false}},
				{{"sysexit", "cfg_bind"}}}}},
	[SENSOR_FILE_UNLINK] = {"file_unlink", "names of files that are removed", 0,
		{{"fexit", CAN_OBSERVE, NEEDS(FEATURE_FEXIT),
			 {{"files", "files_ask_unlink", ATTACH_TRACE, false},
				 {"files", "files_unlink", ATTACH_TRACE, false},
				 {"files", "files_ask_rmdir", ATTACH_TRACE, false},
				 {"files", "files_rmdir", ATTACH_TRACE, false},
				 {"files", "files_do_rmdir", ATTACH_TRACE, true}},
			 {{0}}},
			{"sys_exit", CAN_OBSERVE, 0, {{"sysexit", "sysexit", ATTACH_TRACE, false}},
				{{"sysexit", "cfg_file_unlink"}}}}},
	[SENSOR_FILE_RENAME] = {"file_rename", "files that are renamed", 0,
		{{"fexit", CAN_OBSERVE, NEEDS(FEATURE_FEXIT),
			 {{"files", "files_ask_rename", ATTACH_TRACE, false},
				 {"files", "files_rename", ATTACH_TRACE, false}},
			 {{0}}},
			{"sys_exit", CAN_OBSERVE, 0, {{"sysexit", "sysexit", ATTACH_TRACE, false}},
				{{"sysexit", "cfg_file_rename"}}}}},
	[SENSOR_FILE_LINK] = {"file_link", "further names of files (hard links)", 0,
		{{"fexit", CAN_OBSERVE, NEEDS(FEATURE_FEXIT),
			 {{"files", "files_ask_link", ATTACH_TRACE, false},
				 {"files", "files_link", ATTACH_TRACE, false}},
			 {{0}}},
			{"sys_exit", CAN_OBSERVE, 0, {{"sysexit", "sysexit", ATTACH_TRACE, false}},
				{{"sysexit", "cfg_file_link"}}}}},
	[SENSOR_FILE_SYMLINK] = {"file_symlink", "symbolic links that are made", 0,
		{{"fexit", CAN_OBSERVE, NEEDS(FEATURE_FEXIT),
			 {{"files", "files_ask_symlink", ATTACH_TRACE, false},
				 {"files", "files_symlink", ATTACH_TRACE, false}},
			 {{0}}},
			{"sys_exit", CAN_OBSERVE, 0, {{"sysexit", "sysexit", ATTACH_TRACE, false}},
				{{"sysexit", "cfg_file_symlink"}}}}},
	[SENSOR_FILE_MKDIR] = {"file_mkdir", "directories that are made", 0,
		{{"fexit", CAN_OBSERVE, NEEDS(FEATURE_FEXIT),
			 {{"files", "files_ask_mkdir", ATTACH_TRACE, false},
				 {"files", "files_mkdir", ATTACH_TRACE, false}},
			 {{0}}},
			{"sys_exit", CAN_OBSERVE, 0, {{"sysexit", "sysexit", ATTACH_TRACE, false}},
				{{"sysexit", "cfg_file_mkdir"}}}}},
	[SENSOR_FILE_MKNOD] = {"file_mknod", "devices and FIFOs that are made", 0,
		{{"fexit", CAN_OBSERVE, NEEDS(FEATURE_FEXIT),
			 {{"files", "files_ask_mknod", ATTACH_TRACE, false},
				 {"files", "files_mknod", ATTACH_TRACE, false}},
			 {{0}}},
			{"sys_exit", CAN_OBSERVE, 0, {{"sysexit", "sysexit", ATTACH_TRACE, false}},
				{{"sysexit", "cfg_file_mknod"}}}}},
	[SENSOR_FILE_CHMOD] = {"file_chmod", "modes of files that are changed", 0,
		{{"fexit", CAN_OBSERVE, NEEDS(FEATURE_FEXIT),
			 {{"files", "files_ask_chmod", ATTACH_TRACE, false},
				 {"files", "files_notify", ATTACH_TRACE, false}},
			 {{0}}},
			{"sys_exit", CAN_OBSERVE, 0, {{"sysexit", "sysexit", ATTACH_TRACE, false}},
				{{"sysexit", "cfg_file_chmod"}}}}},
	[SENSOR_FILE_CHOWN] = {"file_chown", "owners of files that are changed", 0,
		{{"fexit", CAN_OBSERVE, NEEDS(FEATURE_FEXIT),
			 {{"files", "files_ask_chown", ATTACH_TRACE, false},
				 {"files", "files_notify", ATTACH_TRACE, false}},
			 {{0}}},
			{"sys_exit", CAN_OBSERVE, 0, {{"sysexit", "sysexit", ATTACH_TRACE, false}},
				{{"sysexit", "cfg_file_chown"}}}}},
	[SENSOR_FILE_TRUNCATE] = {"file_truncate", "lengths of files that are set", 0,
		{{"fexit", CAN_OBSERVE, NEEDS(FEATURE_FEXIT),
			 {{"files", "files_ask_truncate", ATTACH_TRACE, false},
				 {"files", "files_ask_ftruncate", ATTACH_TRACE, true},
				 {"files", "files_notify", ATTACH_TRACE, false}},
			 {{0}}},
			{"sys_exit", CAN_OBSERVE, 0, {{"sysexit", "sysexit", ATTACH_TRACE, false}},
				{{"sysexit", "cfg_file_truncate"}}}}},
	[SENSOR_FILE_XATTR] = {"file_xattr", "extended attributes that are set or removed", 0,
		{{"fexit", CAN_OBSERVE, NEEDS(FEATURE_FEXIT),
			 {{"files", "files_setxattr", ATTACH_TRACE, false},
				 {"files", "files_lsetxattr", ATTACH_TRACE, false},
				 {"files", "files_fsetxattr", ATTACH_TRACE, false},
				 {"files", "files_setxattrat", ATTACH_TRACE, true},
				 {"files", "files_remxattr", ATTACH_TRACE, false},
				 {"files", "files_lremxattr", ATTACH_TRACE, false},
				 {"files", "files_fremxattr", ATTACH_TRACE, false},
				 {"files", "files_remxattrat", ATTACH_TRACE, true},
				 {"files", "files_setxattr32", ATTACH_TRACE, true},
				 {"files", "files_lsetxattr32", ATTACH_TRACE, true},
				 {"files", "files_fsetxattr32", ATTACH_TRACE, true},
				 {"files", "files_setxattrat32", ATTACH_TRACE, true},
				 {"files", "files_remxattr32", ATTACH_TRACE, true},
				 {"files", "files_lremxattr32", ATTACH_TRACE, true},
				 {"files", "files_fremxattr32", ATTACH_TRACE, true},
				 {"files", "files_remxattrat32", ATTACH_TRACE, true}},
			 {{0}}},
			{"sys_exit", CAN_OBSERVE, 0, {{"sysexit", "sysexit", ATTACH_TRACE, false}},
				{{"sysexit", "cfg_file_xattr"}}}}},
	[SENSOR_FILE_MOUNT] = {"file_mount", "file systems that are mounted or moved", 0,
		{{"fexit", CAN_OBSERVE, NEEDS(FEATURE_FEXIT),
			 {{"files", "files_mount", ATTACH_TRACE, false},
				 {"files", "files_move_mount", ATTACH_TRACE, false},
				 {"files", "files_move_mount32", ATTACH_TRACE, true}},
			 {{0}}},
			{"sys_exit", CAN_OBSERVE, 0, {{"sysexit", "sysexit", ATTACH_TRACE, false}},
				{{"sysexit", "cfg_file_mount"}}}}},
	[SENSOR_FILE_UMOUNT] = {"file_umount", "file systems that are unmounted", 0,
		{{"fexit", CAN_OBSERVE, NEEDS(FEATURE_FEXIT),
			 {{"files", "files_ask_umount", ATTACH_TRACE, false},
				 {"files", "files_umount", ATTACH_TRACE, false}},
			 {{0}}},
			{"sys_exit", CAN_OBSERVE, 0, {{"sysexit", "sysexit", ATTACH_TRACE, false}},
				{{"sysexit", "cfg_file_umount"}}}}},
	[SENSOR_FILE_PIVOT_ROOT] = {"file_pivot_root", "mount namespaces that get another root", 0,
		{{"fexit", CAN_OBSERVE, NEEDS(FEATURE_FEXIT),
			 {{"files", "files_ask_pivot", ATTACH_TRACE, false}}, {{0}}},
			{"sys_exit", CAN_OBSERVE, 0, {{"sysexit", "sysexit", ATTACH_TRACE, false}},
				{{"sysexit", "cfg_file_pivot_root"}}}}},
	[SENSOR_POLICY_EXEC] = {"policy_exec", "policies: programs that are started",
		PST_OP_BIT(PST_OP_PROCESS_EXEC),
		{LSM_RUNG({"enforce", "enforce_exec", ATTACH_TRACE, false}),
			FENTRY_RUNG({"enforce", "enforce_exec_f", ATTACH_TRACE, false}),
			TRACE_RUNG("tp_btf", {"enforce", "enforce_begun", ATTACH_TRACE, false})}},
	[SENSOR_POLICY_OPEN] = {"policy_open", "policies: files that are opened",
		PST_OP_BIT(PST_OP_FILE_OPEN),
		{LSM_RUNG({"enforce", "enforce_open", ATTACH_TRACE, false}),
			FENTRY_RUNG({"enforce", "enforce_open_f", ATTACH_TRACE, false}),
			TRACE_RUNG("sys_exit", {"enforce", "enforce_open_x", ATTACH_TRACE, false})}},
	[SENSOR_POLICY_FILE] = {"policy_file", "policies: changes of files, and mounts", FILE_OPS,
		{LSM_RUNG(FILE_PROGRAMS("")), FENTRY_RUNG(FILE_PROGRAMS("_f"))}},
	/* A sensor of its own, as kernels before 6.1 have it on the last rung alone. */
	[SENSOR_POLICY_CHOWN] = {"policy_chown", "policies: owners of files that are changed",
		PST_OP_BIT(PST_OP_FILE_CHOWN),
		{LSM_RUNG(FILE_PROGRAM("chown", false)), FENTRY_RUNG(FILE_PROGRAM("chown_f", false))}},
	[SENSOR_POLICY_NET] = {"policy_net", "policies: what is done with sockets",
		PST_OP_BIT(PST_OP_NET_SOCKET) | PST_OP_BIT(PST_OP_NET_CONNECT) |
			PST_OP_BIT(PST_OP_NET_SENDMSG) | PST_OP_BIT(PST_OP_NET_BIND) |
			PST_OP_BIT(PST_OP_NET_LISTEN) | PST_OP_BIT(PST_OP_NET_ACCEPT),
		{LSM_RUNG({"enforcenet", "enforce_socket", ATTACH_TRACE, false},
			 {"enforcenet", "enforce_connect", ATTACH_TRACE, false},
			 {"enforcenet", "enforce_sendmsg", ATTACH_TRACE, false},
			 {"enforcenet", "enforce_bind", ATTACH_TRACE, false},
			 {"enforcenet", "enforce_listen", ATTACH_TRACE, false},
			 {"enforcenet", "enforce_accept", ATTACH_TRACE, false}),
			FENTRY_RUNG({"enforcenet", "enforce_socket_f", ATTACH_TRACE, false},
				{"enforcenet", "enforce_connect_f", ATTACH_TRACE, false},
				{"enforcenet", "enforce_sendmsg_f", ATTACH_TRACE, false},
				{"enforcenet", "enforce_bind_f", ATTACH_TRACE, false},
				{"enforcenet", "enforce_listen_f", ATTACH_TRACE, false},
				{"enforcenet", "enforce_accept_f", ATTACH_TRACE, false}),
			/* the root cgroup sees what IPv4 and IPv6 do, and sys_exit what else is done */
			{"cgroup", CAN_OBSERVE | CAN_KILL, NEEDS(FEATURE_CGROUP_CONNECT),
				{LINEAGE, {"enforcenet", "enforce_net_x", ATTACH_TRACE, false},
					{"enforcenet", "enforce_socket_g", ATTACH_CGROUP, false},
					{"enforcenet", "enforce_connect4", ATTACH_CGROUP, false},
					{"enforcenet", "enforce_connect6", ATTACH_CGROUP, false},
					{"enforcenet", "enforce_sendmsg4", ATTACH_CGROUP, false},
					{"enforcenet", "enforce_sendmsg6", ATTACH_CGROUP, false},
					{"enforcenet", "enforce_bind4", ATTACH_CGROUP, false},
					{"enforcenet", "enforce_bind6", ATTACH_CGROUP, false}},
				{{"lineage", "cfg_lines_wait"}, {"enforcenet", "cfg_groups_deny"},
					{"enforcenet", "cfg_exit_judges"}}}}},
	[SENSOR_POLICY_PROC] = {"policy_proc",
		"policies: what is done to other processes, to oneself, to the kernel", PROC_OPS,
		{{"tp_btf", CAN_OBSERVE | CAN_KILL, 0,
			{LINEAGE, {"enforceproc", "enforce_call", ATTACH_TRACE, false},
				{"enforceproc", "enforce_call_x", ATTACH_TRACE, false},
				{"enforceproc", "enforce_signal", ATTACH_TRACE, false}},
			{{"lineage", "cfg_lines_wait"}, {"enforceproc", "cfg_proc_calls"}}}}},
	[SENSOR_POLICY_MADE] = {"policy_made", "policies: namespaces, and files in memory alone",
		PST_OP_BIT(PST_OP_PROCESS_NAMESPACE) | PST_OP_BIT(PST_OP_PROCESS_MEMFD),
		{{"tp_btf", CAN_OBSERVE | CAN_KILL, 0,
			{LINEAGE, {"enforceproc", "enforce_call", ATTACH_TRACE, false},
				{"enforceproc", "enforce_call_x", ATTACH_TRACE, false},
				{"enforceproc", "enforce_cloned", ATTACH_TRACE, false}},
			{{"lineage", "cfg_lines_wait"}, {"enforceproc", "cfg_made_calls"}}}}},
	[SENSOR_POLICY_MODULE] = {"policy_module", "policies: kernel modules that are loaded",
		PST_OP_BIT(PST_OP_PROCESS_MODULE),
		{TRACE_RUNG("tp_btf", {"enforceproc", "enforce_module", ATTACH_TRACE, false})}},
	[SENSOR_GUARD] = {"guard", "packets that rules and lists drop", 0,
		{{"xdp", CAN_OBSERVE | CAN_DENY, NEEDS(FEATURE_XDP),
			 {{"guard", "guard_xdp", ATTACH_GUARD_XDP, false},
				 {"guard", "guard_tc", ATTACH_GUARD_IN, false},
				 {"guard", "guard_tc_egress", ATTACH_GUARD_OUT, false}},
			 {{0}}},
			{"tc", CAN_OBSERVE | CAN_DENY, 0,
				{{"guard", "guard_tc", ATTACH_GUARD_IN, false},
					{"guard", "guard_tc_egress", ATTACH_GUARD_OUT, false}},
				{{0}}}}},
};

const struct iterator iterators[] = {
	{PST_ITER_TASKS, "iters", "iter_tasks", NULL, "enricher", -1},
	{PST_ITER_SYSCALLS, "iters", "iter_syscalls", PST_MAP_SYSCALLS, "exporter", SENSOR_SYSCALLS},
	{PST_ITER_INTERFACES, "iters", "iter_interfaces", PST_MAP_IFACE_COUNTERS, "exporter", SENSOR_FLOWS},
	{PST_ITER_PROGRAMS, "iters", "iter_programs", NULL, "exporter", -1},
	{PST_ITER_MAPS, "iters", "iter_maps", NULL, "exporter", -1},
};
const size_t n_iterators = PST_ARRAY_SIZE(iterators);

const char *ladder_op_name(unsigned op)
{
#define OP_NAME(id, number, name, asks, help) [number] = (name),
	static const char *const names[PST_OPS_MAX] = {PST_POLICY_OPS(OP_NAME)};
#undef OP_NAME

	return op < PST_OPS_MAX ? names[op] : NULL;
}

unsigned ladder_can(const struct rung *rung, bool kills)
{
	return kills ? rung->can : rung->can & ~(unsigned)CAN_KILL;
}

int ladder_rung_find(enum sensor_id sensor, const char *name)
{
	for (int i = 0; i < RUNGS_MAX && sensors[sensor].rungs[i].name; i++)
		if (!strcmp(sensors[sensor].rungs[i].name, name))
			return i;
	return -1;
}
