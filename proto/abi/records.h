/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause OR Apache-2.0 */
/*
 * Records: what the kernel programs put into the ring buffers, and what the
 * record file of `penstock-collector --record` holds, byte for byte.
 *
 * Host byte order, 8-byte aligned, never packed. A record starts with struct
 * pst_rec; `size` is the whole record with its variable tail. Every byte is
 * written by the producer (no kernel memory leaks through padding).
 * Ids only grow; a retired number stays reserved.
 */
#ifndef PST_ABI_RECORDS_H
#define PST_ABI_RECORDS_H

#include "proto/abi/types.h"

#define PST_COMM_LEN   16
#define PST_PATH_MAX   4096  /* longest path a record can carry */
#define PST_ARGV_MAX   4096  /* bytes of argv kept whole */
#define PST_CWD_MAX    1024  /* working directory */
#define PST_REC_MAX    12288 /* no record is longer */
#define PST_PATH_DEPTH 64    /* components walked before PST_EXEC_PATH_CUT */

/* The classes of record. Each has its own ring, so that a flood of one cannot starve another. */
enum pst_class {
	PST_CLASS_PROCESS = 0,
	PST_CLASS_NET = 1,
	PST_CLASS_FLOW = 2, /* flows evicted from the flow table before the collector saw their end */
	PST_CLASS_MAX = 3,
};

enum pst_rec_kind {
	PST_REC_FORK = 1,
	PST_REC_EXEC = 2,
	PST_REC_EXEC_FAILED = 3,
	PST_REC_EXIT = 4,
	PST_REC_CRED = 5,
	PST_REC_MODULE = 6,
	PST_REC_BPF = 7,
	PST_REC_PTRACE = 8,
	PST_REC_SIGNAL = 9,
	PST_REC_NAMESPACE = 10,
	PST_REC_MEMFD = 11,
	PST_REC_EXEC_MEMORY = 12,
	PST_REC_PERF = 13,
	PST_REC_PROC_MEM = 14,
	PST_REC_CAPABILITY = 15,

	PST_REC_TCP_CONNECT = 16, /* outcome of an active open */
	PST_REC_TCP_ACCEPT = 17,
	PST_REC_TCP_LISTEN = 18,
	PST_REC_TCP_CLOSE = 19,
	PST_REC_TCP_RETRANSMIT = 20,
	PST_REC_TCP_RESET = 21,   /* direction in struct pst_rec_sock.dir */
	PST_REC_DROP = 22,        /* packet freed by the kernel with a reason */
	PST_REC_UDP_EVICTED = 23, /* struct pst_rec_udp: evicted by the kernel program */
	PST_REC_UDP_READ =
		24, /* struct pst_rec_udp: made by the collector when it reads a slot, for recordings */

	PST_REC_FW_LOG = 25, /* struct pst_rec_fw_log: a packet that a firewall rule with `log` took */
	PST_REC_SOCKET_BIND = 26,
	PST_REC_SOCKET_CREATE = 27,

	PST_REC_FLOW_EVICTED = 32, /* struct pst_rec_flow: evicted by the kernel program */
	PST_REC_FLOW_READ =
		33, /* struct pst_rec_flow: made by the collector when it reads a slot, for recordings */
	PST_REC_FLOW_DROPPED = 34, /* the same of a slot of `guard_flows` */

	/* struct pst_rec_file */
	PST_REC_FILE_UNLINK = 35, /* rmdir too */
	PST_REC_FILE_RENAME = 36,
	PST_REC_FILE_LINK = 37,
	PST_REC_FILE_SYMLINK = 38,
	PST_REC_FILE_MKDIR = 39,
	PST_REC_FILE_MKNOD = 40,
	PST_REC_FILE_CHMOD = 41,
	PST_REC_FILE_CHOWN = 42,
	PST_REC_FILE_TRUNCATE = 43,
	PST_REC_FILE_XATTR = 44,
	PST_REC_FILE_MOUNT = 45,
	PST_REC_FILE_UMOUNT = 46,
	PST_REC_FILE_PIVOT_ROOT = 47,

	PST_REC_POLICY = 48, /* struct pst_rec_policy: a rule that is more than `allow` took an act */
};

/* Head of every record. */
struct pst_rec {
	__u16 kind;  /* enum pst_rec_kind */
	__u16 flags; /* per kind */
	__u32 size;  /* bytes, head included, multiple of 8 */
	__u64 ts_ns; /* CLOCK_BOOTTIME */
};
static_assert(sizeof(struct pst_rec) == 16, "abi");

/* Who did it. All zero when the kernel ran it with no process of interest (softirq, unknown owner). */
struct pst_task {
	__u64 start_ns; /* CLOCK_BOOTTIME start of the thread group leader: (pid, start_ns) names a process */
	__u64 cgroup_id; /* cgroup v2 id (inode of its folder) */
	__u32 pid;       /* thread group, as the initial pid namespace counts */
	__u32 tid;
	__u32 uid;
	__u32 gid;
	char comm[PST_COMM_LEN];
};
static_assert(sizeof(struct pst_task) == 48, "abi");

/* ---- process class ---- */

/* Inode numbers of a process's namespaces. */
struct pst_ns {
	__u32 mnt, pid, net, user, uts, ipc, cgroup, time;
};

struct pst_rec_fork {
	struct pst_rec h;
	struct pst_task parent; /* parent.tid is the thread that called clone */
	__u64 child_start_ns;
	__u32 child_pid;
	__u32 clone_flags; /* those that can be told from parent and child: docs/design/kernel.md */
	__u64 child_cgroup_id;
};

enum pst_exec_flags {
	PST_EXEC_ARGV_CUT = 1 << 0, /* argv was longer than PST_ARGV_MAX */
	PST_EXEC_PATH_CUT = 1 << 1, /* the path lost its head (too deep or long), or the filename its end */
	PST_EXEC_CWD_CUT = 1 << 2,  /* its head is missing */
	PST_EXEC_MEMFD = 1 << 3,
	PST_EXEC_UNLINKED = 1 << 4,   /* the file has no name any more */
	PST_EXEC_UPPER = 1 << 5,      /* from the writable layer of an overlay: not in the image */
	PST_EXEC_ARGV_FAULT = 1 << 6, /* argv could not be read (paged out) */
	PST_EXEC_SETID = 1 << 7,      /* set-user-ID, set-group-ID or file capabilities took effect */
};

/* Tail: filename[filename_len] path[path_len] cwd[cwd_len] argv[argv_len] (no NUL at the ends; argv is
 * NUL-separated as in /proc/PID/cmdline), padded with zeros to 8. */
struct pst_rec_exec {
	struct pst_rec h;
	struct pst_task task;
	struct pst_ns ns;
	__u64 exe_ino;
	__u64 cap_effective;
	__u64 parent_start_ns;
	__u32 exe_dev; /* kernel dev_t: major << 20 | minor */
	__u32 parent_pid;
	__u32 loginuid; /* 0xffffffff: not set */
	__u32 euid;
	__u32 tty;          /* dev_t as above, 0: none */
	__u16 filename_len; /* as given to execve */
	__u16 path_len;     /* resolved by the kernel */
	__u16 cwd_len;
	__u16 argv_len;
	__u32 argc; /* 0 if unknown */
};

/* Tail: filename[filename_len] argv[argv_len], as above; h.flags: PST_EXEC_ARGV_CUT, PST_EXEC_ARGV_FAULT. */
struct pst_rec_exec_failed {
	struct pst_rec h;
	struct pst_task task;
	__s32 error; /* positive errno */
	__u16 filename_len;
	__u16 argv_len;
};

struct pst_rec_exit {
	struct pst_rec h;
	struct pst_task task;
	__u64 run_ns; /* since start_ns */
	__u64 utime_ns, stime_ns;
	__u32 code;   /* exit status 0..255 */
	__u32 signal; /* 0: exited by itself */
	__u32 core;   /* core dumped */
	__u32 parent_pid;
};

struct pst_cred {
	__u32 uid, euid, suid, fsuid;
	__u32 gid, egid, sgid, fsgid;
	__u64 cap_effective, cap_permitted;
};

enum pst_cred_flags {
	PST_CRED_DURING_EXEC = 1 << 0,    /* a set-user-ID, set-group-ID or capable file was executed */
	PST_CRED_BEFORE_UNKNOWN = 1 << 1, /* before is zero: the call had begun before the sensor did */
};

struct pst_rec_cred {
	struct pst_rec h;
	struct pst_task task;
	struct pst_cred before, after;
};

/*
 * What processes rarely ask for, and break-ins often. `error` is 0 or a positive errno. What a call was given
 * lies in the caller's memory, from which it is read when the call returns: another thread may have changed
 * it meanwhile.
 */

#define PST_MODULE_NAME_BYTES 56
#define PST_BPF_NAME_BYTES    16
#define PST_MEMFD_NAME_BYTES  64 /* longer ones are cut */

struct pst_rec_module {
	struct pst_rec h;
	struct pst_task task; /* who loads it */
	char name[PST_MODULE_NAME_BYTES];
	__u64 taints; /* bits of TAINT_*: proprietary, forced, out of tree, unsigned, ... */
};

struct pst_rec_bpf {
	struct pst_rec h;
	struct pst_task task;
	__s32 error;
	__u32 prog_type;   /* enum bpf_prog_type */
	__u32 attach_type; /* enum bpf_attach_type that it expects */
	__u32 insns;
	char name[PST_BPF_NAME_BYTES];
};

enum pst_ptrace_op {
	PST_PTRACE_ATTACH = 1,
	PST_PTRACE_SEIZE = 2,
	PST_PTRACE_TRACEME = 3,
	PST_PTRACE_VM_WRITE = 4, /* process_vm_writev */
	PST_PTRACE_OPS = 5,
};

struct pst_rec_ptrace {
	struct pst_rec h;
	struct pst_task task;
	struct pst_task target; /* zero: not known */
	__s32 error;
	__u32 op;        /* enum pst_ptrace_op */
	__u32 given_pid; /* as the caller counts */
	__u32 pad;
};

struct pst_rec_signal {
	struct pst_rec h;
	struct pst_task task;
	struct pst_task target;
	__u32 sig;
	__s32 code;   /* si_code */
	__u32 result; /* 0 delivered, 1 ignored, 2 already pending, 3 no room, 4 delivered without its details
		       */
	__u32 group;  /* to the process, not to one thread */
};

enum pst_ns_call { PST_NS_UNSHARE = 1, PST_NS_SETNS = 2, PST_NS_CALLS = 3 };

struct pst_rec_namespace {
	struct pst_rec h;
	struct pst_task task;
	struct pst_ns ns; /* after the call */
	__s32 error;
	__u32 call;  /* enum pst_ns_call */
	__u32 flags; /* as given: CLONE_NEW*; of setns 0: whatever the descriptor is of */
	__u32 pad;
};

struct pst_rec_memfd {
	struct pst_rec h;
	struct pst_task task;
	__s32 error;
	__u32 flags; /* MFD_* */
	char name[PST_MEMFD_NAME_BYTES];
};

enum pst_exec_memory_call { PST_EXEC_MMAP = 1, PST_EXEC_MPROTECT = 2, PST_EXEC_CALLS = 3 };

enum pst_mapping {
	PST_MAPPING_UNKNOWN = 0,
	PST_MAPPING_ANONYMOUS = 1,
	PST_MAPPING_FILE = 2, /* private pages of a file that were written to */
};

struct pst_rec_exec_memory {
	struct pst_rec h;
	struct pst_task task;
	__u64 address;
	__u64 bytes;
	__u32 call;     /* enum pst_exec_memory_call */
	__u32 prot;     /* PROT_* */
	__u32 old_prot; /* 0: not known */
	__u32 mapping;  /* enum pst_mapping */
};

struct pst_rec_perf {
	struct pst_rec h;
	struct pst_task task;
	__u64 config;
	__u64 flags;
	__u32 type; /* PERF_TYPE_*, or number of a PMU */
	__s32 error;
	__s32 given_pid; /* -1: all */
	__s32 cpu;       /* -1: all */
};

struct pst_rec_proc_mem {
	struct pst_rec h;
	struct pst_task task;
	struct pst_task target; /* whose memory it is */
	__u32 readable;         /* not for writing alone */
	__u32 pad;
};

enum pst_capability_flags {
	PST_CAP_GRANTED = 1 << 0,
	PST_CAP_INIT_NS = 1 << 1, /* asked of the initial user namespace */
	PST_CAP_NOAUDIT = 1 << 2, /* a refusal is not to be audited */
	PST_CAP_AUDIT_UNKNOWN = 1 << 3,
};

/* Stands for all equal checks of an interval: same cgroup, program, capability and flags. */
struct pst_rec_capability {
	struct pst_rec h;
	struct pst_task task; /* who was checked when the record was made */
	__u64 checks; /* equal ones up to this one, as far as the table reaches back; it forgets the oldest */
	__u32 capability;
	__u32 flags;   /* enum pst_capability_flags */
	__u32 user_ns; /* inode of the user namespace in which it was asked for */
	__u32 pad;
};

/* ---- changes of files, process class ---- */

#define PST_FILE_PATH_MAX 4095 /* what a system call takes, without its NUL */

enum pst_file_rec_flags {
	PST_FILE_CUT = 1 << 0,         /* the path lost its head, or what was given its end */
	PST_FILE_TO_CUT = 1 << 1,      /* the same of the second path */
	PST_FILE_AS_GIVEN = 1 << 2,    /* paths as the caller gave them, and where they begin */
	PST_FILE_RESULT_OPEN = 1 << 3, /* told before it was done: `error` is not known */
};

enum pst_file_op {
	PST_FILE_OP_NONE = 0,
	PST_FILE_XATTR_SET = 1,
	PST_FILE_XATTR_REMOVE = 2,
	PST_FILE_MOUNT_OLD = 3,  /* mount(2): what it is for follows from its flags */
	PST_FILE_MOUNT_MOVE = 4, /* move_mount(2) */
	PST_FILE_OPS = 5
};

/* What the tail is made of, one after the other. A path as given that is not absolute begins at its base. */
enum pst_file_part {
	PST_FILE_BASE = 0,
	PST_FILE_PATH = 1,
	PST_FILE_TO_BASE = 2, /* MOUNT: type of the file system */
	PST_FILE_TO = 3,      /* also the text of a symbolic link, an attribute's name, what is mounted */
	PST_FILE_PARTS = 4,
};

/* Tail: the parts, none with a NUL, padded with zeros to 8. What does not apply, or is not known, is zero. */
struct pst_rec_file {
	struct pst_rec h; /* flags: enum pst_file_rec_flags */
	struct pst_task task;
	__u64 ino;
	__u32 dev;        /* of the file system, kernel dev_t */
	__u32 mode;       /* st_mode: of the file, or as asked for */
	__u64 old_bytes;  /* TRUNCATE: length before */
	__u64 bytes;      /* TRUNCATE: length after; XATTR: of the value */
	__u32 rdev;       /* MKNOD: kernel dev_t of the device */
	__u32 call_flags; /* RENAME: RENAME_*; XATTR: XATTR_*; MOUNT: MS_*; UMOUNT: MNT_* */
	__u32 new_mode;   /* CHMOD */
	__u32 old_uid, old_gid;
	__u32 new_uid, new_gid; /* CHOWN; ~0: as before */
	__u32 op;               /* enum pst_file_op */
	__s32 error;
	__u16 len[PST_FILE_PARTS];
	__u32 pad;
};
static_assert(sizeof(struct pst_rec_file) + 2 * (PST_FILE_PATH_MAX + PST_CWD_MAX) + 8 <= PST_REC_MAX,
	"room for a record");

/* What the programs did about an act that a rule took. */
enum pst_policy_done {
	PST_DONE_TOLD,   /* nothing else: the rule wants no more, or (action above) the hook cannot do it */
	PST_DONE_DENIED, /* the call fails with `error` */
	PST_DONE_KILLED, /* SIGKILL was sent */
};

/* Members that the operation does not have, or that are not known, are 0. Tail: path[path_len] to[to_len],
 * padded with zeros to 8. In recordings, where nobody knows the names any more, the collector adds them: with
 * the flag struct pst_pol_label of proto/abi/policy.h comes behind that. */
#define PST_POLICY_NAMED 1
struct pst_rec_policy {
	struct pst_rec h;
	struct pst_task task;
	__u64 ino;          /* of the file */
	__u64 capabilities; /* asked for, as bits */
	__u32 dev;          /* kernel dev_t */
	__u32 generation;   /* of the tables */
	__u32 rule;         /* its number in them */
	__u16 policy;       /* the policy's */
	__u16 error;        /* errno of a denial */
	__u8 op;            /* enum pst_pol_op */
	__u8 action;        /* enum pst_pol_action: of the rule in its policy's mode, */
	__u8 would;         /* and what the rule says */
	__u8 done;          /* enum pst_policy_done */
	__u8 hook;          /* enum pst_policy_hook */
	__u8 file;          /* enum pst_pol_flag from bit 4 on, enum pst_pol_access */
	__u8 odd;           /* enum pst_object_odd of the path */
	__u8 told;          /* enum pst_pol_told */
	__u8 addr[16];      /* of the network operations; IPv4 as ::ffff:a.b.c.d */
	__u16 port;         /* host order */
	__u8 family, protocol;
	__u8 signal;
	__u8 pad[3];
	__u32 target_pid; /* of signals and ptrace: thread group, */
	__u32 pad2;
	__u64 target_start_ns; /* and its start */
	__u16 path_len, to_len;
	__u32 pad3;
};
static_assert(sizeof(struct pst_rec_policy) == 152, "abi");

/* Where an act was judged. */
enum pst_policy_hook {
	PST_HOOK_LSM = 1,
	PST_HOOK_FENTRY,
	PST_HOOK_TRACEPOINT, /* at the end of the call, or of the exec */
	PST_HOOK_CGROUP,
};

/* ---- net class ---- */

enum pst_dir { PST_DIR_NONE = 0, PST_DIR_IN = 1, PST_DIR_OUT = 2 };

/* Both ends of a socket; local first. IPv4 addresses are IPv4-mapped (::ffff:a.b.c.d) in network order. */
struct pst_ends {
	__u8 laddr[16];
	__u8 raddr[16];
	__u16 lport; /* host byte order */
	__u16 rport;
	__u16 family;  /* AF_INET or AF_INET6, as the socket speaks */
	__u8 protocol; /* IPPROTO_* */
	__u8 pad;
};
static_assert(sizeof(struct pst_ends) == 40, "abi");

/* Every TCP socket record. What does not apply to a kind is zero. */
struct pst_rec_sock {
	struct pst_rec h;
	struct pst_task task; /* owner; of an accepted socket the accepting process */
	struct pst_ends ends;
	__u64 cookie;     /* socket cookie; on kernels without the helper an id derived from its address */
	__u64 bytes_sent; /* acked by the peer */
	__u64 bytes_received;
	__u64 duration_ns; /* CONNECT: handshake; CLOSE: since established */
	__u32 srtt_us;
	__u32 retransmits; /* segments */
	__s32 error;       /* CONNECT: 0 or positive errno */
	__u32 backlog;     /* LISTEN */
	__u32 netns;       /* inode of the network namespace */
	__u16 state;       /* TCP state before the event */
	__u8 dir;          /* enum pst_dir: RESET sent or received */
	__u8 pad;
	__u32 reason; /* RESET sent: enum sk_rst_reason of this kernel, 0 if unknown */
	__u32 pad2;
};

struct pst_rec_drop {
	struct pst_rec h;
	struct pst_ends ends; /* source as local, destination as remote; family 0: not IP */
	__u64 location;       /* kernel address, resolved by nobody: for comparison only */
	__u32 reason;         /* enum skb_drop_reason of this kernel, 0 if it has none */
	__u32 ifindex;
	__u32 len; /* bytes */
	__u32 netns;
	__u8 tcp_flags;
	__u8 pad[7];
};

/* A socket of an unusual kind: asked for by whom, and what came of it. */
struct pst_rec_socket {
	struct pst_rec h;
	struct pst_task task;
	__s32 error;  /* 0 or positive errno */
	__u32 family; /* as given, whatever it is */
	__u32 type;   /* SOCK_*, without flags */
	__u32 protocol;
	__u32 netns; /* inode of the network namespace */
	__u32 pad;
};

#define PST_BIND_NAME_BYTES 128 /* a Unix socket's has 108 at most */

/* A socket was given an address: the one that it has then, or, if that failed, the one that was asked for. */
struct pst_rec_bind {
	struct pst_rec h;
	struct pst_task task;
	__u8 addr[16];    /* as in struct pst_ends */
	__u32 port;       /* of IP and vsock; 0 of raw sockets */
	__s32 error;      /* 0 or positive errno */
	__u32 netns;      /* inode of the network namespace of the process */
	__u32 ifindex;    /* of packet sockets, 0: all */
	__u16 family;     /* of the socket */
	__u16 type;       /* SOCK_* */
	__u16 protocol;   /* of packet sockets as given: network order, 0: the one it was made with */
	__u16 name_bytes; /* of Unix sockets; without the family */
	char name[PST_BIND_NAME_BYTES]; /* the first byte is 0: abstract; zeros behind it */
};

#define PST_FW_NAME_BYTES 64

enum pst_fw_hook { PST_FW_HOOK_XDP = 1, PST_FW_HOOK_TC = 2 };

struct pst_rec_fw_log {
	struct pst_rec h;
	struct pst_ends ends; /* source as local, destination as remote */
	__u64 generation;     /* of the rules */
	__u64 suppressed;     /* packets of this rule that were not logged since its last record */
	__u32 rule;           /* its number in the source */
	__u32 ifindex;
	__u32 len; /* bytes of the frame */
	__u32 netns;
	__u16 vlan;  /* id of the outer tag, 0: none */
	__u8 reason; /* enum pst_guard_reason: what became of it */
	__u8 hook;   /* enum pst_fw_hook */
	__u8 dir;    /* enum pst_dir */
	__u8 tcp_flags;
	__u8 icmp_type, icmp_code;
	char name[PST_FW_NAME_BYTES]; /* of the rule; zeros behind it, if there is room */
};

/* ---- tables that the collector maps read-only (frozen mmapable arrays) ---- */

/*
 * A slot table is an array of 128-byte slots: `state` says whether it is used. The programs
 * insert and evict; the collector only reads. `gen` grows by one each time a slot changes hands.
 * A reader copies the slot, reads gen again and retries if it moved (seqlock without a writer lock:
 * an odd gen means that the slot is being filled).
 */
struct pst_flow_key {
	__u8 saddr[16];
	__u8 daddr[16];
	__u16 sport; /* host order; ICMP: type */
	__u16 dport; /* ICMP: code */
	__u32 ifindex;
	__u8 family; /* AF_INET, AF_INET6 */
	__u8 protocol;
	__u8 dir; /* enum pst_dir, seen from the interface's host */
	__u8 pad;
	__u32 netns; /* inode: interface numbers repeat between network namespaces */
};
static_assert(sizeof(struct pst_flow_key) == 48, "abi");

struct pst_flow {
	__u64 gen; /* even: valid; odd: being written; 0: never used */
	struct pst_flow_key key;
	__u64 packets;
	__u64 bytes;             /* layer 3 length */
	__u64 first_ns, last_ns; /* CLOCK_BOOTTIME */
	__u32 tcp_flags;         /* all that were seen, or-ed */
	__u32 netns;
	__u64 judged_first; /* what the guard made of the first packet of which that is known, and of the */
	__u64 judged_last;  /* last: PST_JUDGED, 0: not known */
	__u64 gone_packets; /* in `guard_flows`: of the flows that had this slot before */
	__u64 pad;
};
static_assert(sizeof(struct pst_flow) == 128, "abi");

/*
 * What the guard made of a packet, in a word that is stored whole: enum pst_guard_reason, the counter of the
 * rule that decided (PST_JUDGED_NO_RULE: none did) and, with a rule, the lower half of the rules' generation.
 */
#define PST_JUDGED_NO_RULE 0xffffu
#define PST_JUDGED(reason, counter, generation)                                                              \
	((__u64)(generation) << 32 | (__u64)((counter)&0xffff) << 16 | 0x100 | ((reason)&0xff))
#define PST_JUDGED_REASON(word)     ((__u32)((word)&0xff))
#define PST_JUDGED_COUNTER(word)    ((__u32)((word) >> 16 & 0xffff))
#define PST_JUDGED_GENERATION(word) ((__u32)((word) >> 32))

struct pst_udp_key {
	__u64 cookie;
	__u8 raddr[16];
	__u16 rport;
	__u16 lport;
	__u32 family;
};
static_assert(sizeof(struct pst_udp_key) == 32, "abi");

/* UDP traffic of one socket with one peer; cumulative, the collector makes per-second deltas. */
struct pst_udp {
	__u64 gen;
	struct pst_udp_key key;
	__u8 laddr[16];
	__u64 tx_packets, tx_bytes; /* UDP payload bytes */
	__u64 rx_packets, rx_bytes;
	__u64 last_ns;
	__u64 start_ns; /* owner, see pst_task; 0 when the first packet came before the owner was known */
	__u32 pid;
	__u32 netns;
	__u64 cgroup_id;
	__u64 pad;
};
static_assert(sizeof(struct pst_udp) == 128, "abi");

/* A slot with its last totals; slot.gen is the generation that it had. */
struct pst_rec_flow {
	struct pst_rec h;
	__u64 index; /* of the slot in the table */
	struct pst_flow slot;
};
struct pst_rec_udp {
	struct pst_rec h;
	__u64 index;
	struct pst_udp slot;
};

/* Counters of one class on one CPU: one cache line, index class * PST_CPUS_MAX + cpu. */
struct pst_class_stat {
	__u64 emitted; /* records reserved and submitted */
	__u64 emitted_bytes;
	__u64 lost; /* reserve failed: ring full */
	__u64 lost_bytes;
	__u64 unread;     /* helper failed to read kernel or user memory; the record went out without it */
	__u64 table_full; /* packets of flows or peers that found no free slot, or a bucket claimed for too
			     long */
	__u64 table_full_bytes;
	__u64 suppressed; /* records held back by a rate bound (drops, resets, logs, signals): neither emitted
			   * nor lost
			   */
};
static_assert(sizeof(struct pst_class_stat) == 64, "abi");

/* One line per ring in `ring_ctl`, mapped read-write by the collector. The programs trust nothing in it. */
struct pst_ring_ctl {
	__u32 awake; /* 1: the reader drains by itself, do not wake it; set by whoever wakes it, cleared by
			the reader */
	__u32 pad[15];
};
static_assert(sizeof(struct pst_ring_ctl) == 64, "abi");

#endif
