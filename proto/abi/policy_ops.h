/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause OR Apache-2.0 */
/*
 * Words of runtime policies (docs/policies.md) and their numbers: operations, what a rule can ask of the
 * object, actions. The parser, the JSON Schema and the documentation are made from these tables. Numbers only
 * grow; one that is retired stays reserved.
 */
#ifndef PST_ABI_POLICY_OPS_H
#define PST_ABI_POLICY_OPS_H

#include "proto/abi/types.h"

/* What a rule can ask of the object: each operation has some of these. */
enum pst_pol_ask {
	PST_ASK_PATHS,
	PST_ASK_FLAGS,
	PST_ASK_ACCESS,
	PST_ASK_ADDRESSES,
	PST_ASK_PORTS,
	PST_ASK_PROTOCOLS,
	PST_ASK_FAMILIES,
	PST_ASK_TARGETS,
	PST_ASK_SIGNALS,
	PST_ASK_CAPABILITIES,
	PST_ASK_MODULES,
	PST_ASK_ARGUMENTS,
	PST_ASKS,
};

#define PST_ASK_BIT(ask) (1u << PST_ASK_##ask)
#define PST_ASK_ENDPOINT                                                                                     \
	(PST_ASK_BIT(ADDRESSES) | PST_ASK_BIT(PORTS) | PST_ASK_BIT(PROTOCOLS) | PST_ASK_BIT(FAMILIES))

/* X(identifier, number, name, asks, what it is). Below 64: an operation is a bit of a word. */
#define PST_POLICY_OPS(X)                                                                                    \
	X(PROCESS_EXEC, 1, "process.exec", PST_ASK_BIT(PATHS) | PST_ASK_BIT(FLAGS) | PST_ASK_BIT(ARGUMENTS), \
		"starts a program; the path is the program's file")                                          \
	X(PROCESS_PTRACE, 2, "process.ptrace", PST_ASK_BIT(TARGETS),                                         \
		"attaches to another process, reads or writes its memory")                                   \
	X(PROCESS_SIGNAL, 3, "process.signal", PST_ASK_BIT(TARGETS) | PST_ASK_BIT(SIGNALS),                  \
		"sends a signal to another process")                                                         \
	X(PROCESS_SETID, 4, "process.setid", 0, "changes its user or group ids")                             \
	X(PROCESS_CAPSET, 5, "process.capset", PST_ASK_BIT(CAPABILITIES), "changes its capabilities")        \
	X(PROCESS_NAMESPACE, 6, "process.namespace", 0, "makes or enters a namespace")                       \
	X(PROCESS_MODULE, 7, "process.module", PST_ASK_BIT(MODULES), "loads a kernel module")                \
	X(PROCESS_BPF, 8, "process.bpf", 0, "calls bpf(2)")                                                  \
	X(PROCESS_PERF, 9, "process.perf", 0, "opens a perf event")                                          \
	X(PROCESS_MEMFD, 10, "process.memfd", 0, "makes a file that is only in memory")                      \
	X(PROCESS_MPROTECT, 11, "process.mprotect", PST_ASK_BIT(ACCESS),                                     \
		"changes what its memory allows; the access is the new one")                                 \
	X(FILE_OPEN, 12, "file.open", PST_ASK_BIT(PATHS) | PST_ASK_BIT(FLAGS) | PST_ASK_BIT(ACCESS),         \
		"opens or creates a file")                                                                   \
	X(FILE_UNLINK, 13, "file.unlink", PST_ASK_BIT(PATHS), "removes a file or a directory")               \
	X(FILE_RENAME, 14, "file.rename", PST_ASK_BIT(PATHS), "renames; either of the two paths counts")     \
	X(FILE_LINK, 15, "file.link", PST_ASK_BIT(PATHS),                                                    \
		"makes a hard link; either of the two paths counts")                                         \
	X(FILE_SYMLINK, 16, "file.symlink", PST_ASK_BIT(PATHS),                                              \
		"makes a symbolic link; the path is the link's own")                                         \
	X(FILE_MKDIR, 17, "file.mkdir", PST_ASK_BIT(PATHS), "makes a directory")                             \
	X(FILE_CHMOD, 18, "file.chmod", PST_ASK_BIT(PATHS), "changes a file's mode")                         \
	X(FILE_CHOWN, 19, "file.chown", PST_ASK_BIT(PATHS), "changes a file's owner or group")               \
	X(FILE_TRUNCATE, 20, "file.truncate", PST_ASK_BIT(PATHS),                                            \
		"sets a file's length; also by opening it with O_TRUNC")                                     \
	X(FILE_MOUNT, 21, "file.mount", PST_ASK_BIT(PATHS),                                                  \
		"mounts, or changes what is mounted; the path is where")                                     \
	X(FILE_UMOUNT, 22, "file.umount", PST_ASK_BIT(PATHS), "unmounts; the path is where it is mounted")   \
	X(FILE_PIVOT_ROOT, 23, "file.pivot_root", PST_ASK_BIT(PATHS),                                        \
		"changes the root of its mounts; the path is the new root")                                  \
	X(NET_SOCKET, 24, "net.socket", PST_ASK_BIT(PROTOCOLS) | PST_ASK_BIT(FAMILIES), "makes a socket")    \
	X(NET_CONNECT, 25, "net.connect", PST_ASK_ENDPOINT,                                                  \
		"connects; address and port are the other end's")                                            \
	X(NET_SENDMSG, 26, "net.sendmsg", PST_ASK_ENDPOINT,                                                  \
		"sends without a connection; address and port are the other end's")                          \
	X(NET_BIND, 27, "net.bind", PST_ASK_ENDPOINT, "binds a socket; address and port are its own")        \
	X(NET_LISTEN, 28, "net.listen", PST_ASK_ENDPOINT, "listens; address and port are its own")           \
	X(NET_ACCEPT, 29, "net.accept", PST_ASK_ENDPOINT,                                                    \
		"accepts a connection; address and port are its own")                                        \
	X(CAP_USE, 30, "cap.use", PST_ASK_BIT(CAPABILITIES), "uses a capability that it has")

enum pst_pol_op {
#define PST_OP_ENUM(id, number, name, asks, help) PST_OP_##id = number,
	PST_POLICY_OPS(PST_OP_ENUM)
#undef PST_OP_ENUM
};
#define PST_OPS_MAX    64 /* numbers are below */
#define PST_OP_BIT(op) (1ull << (op))

/* What a rule does, the stronger the larger; 0: no rule says anything. */
enum pst_pol_action {
	PST_ACT_NONE,
	PST_ACT_ALLOW,
	PST_ACT_AUDIT,    /* told as an event */
	PST_ACT_ALERT,    /* told as an alert */
	PST_ACT_THROTTLE, /* denied above a rate */
	PST_ACT_DENY,
	PST_ACT_KILL,
	PST_ACTIONS,
};

/* Of a file, as bits. */
enum pst_pol_flag { PST_FILE_MEMFD, PST_FILE_UNLINKED, PST_FILE_UPPER, PST_FILE_SETID, PST_FILE_FLAGS };
enum pst_pol_access {
	PST_ACCESS_READ,
	PST_ACCESS_WRITE,
	PST_ACCESS_EXECUTE,
	PST_ACCESS_APPEND,
	PST_ACCESSES
};

enum pst_pol_ns {
	PST_NS_CGROUP,
	PST_NS_IPC,
	PST_NS_MNT,
	PST_NS_NET,
	PST_NS_PID,
	PST_NS_TIME,
	PST_NS_USER,
	PST_NS_UTS,
	PST_NAMESPACES,
};

#endif
