/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause OR Apache-2.0 */
/*
 * Maps, iterators and their pins: the layout of the bpffs folder, which is a
 * written protocol (docs/pins.md). The folder is /sys/fs/bpf/penstock unless
 * the configuration names another; names have at most 15 characters.
 */
#ifndef PST_ABI_MAPS_H
#define PST_ABI_MAPS_H

#include "proto/abi/records.h"

#define PST_ABI_VERSION 1   /* grows when a record, a map or an iterator line changes incompatibly */
#define PST_CPUS_MAX    256 /* counters of CPU n live in line n % PST_CPUS_MAX */

#define PST_PIN_DIR "/sys/fs/bpf/penstock"

/* maps/<name>; descriptors handed to the collector carry the same names */
#define PST_MAP_RING_PROCESS "ring_process" /* ring buffer, collector */
#define PST_MAP_RING_NET     "ring_net"
#define PST_MAP_RING_FLOW    "ring_flow"
#define PST_MAP_RING_CTL                                                                                     \
	"ring_ctl" /* array of struct pst_ring_ctl, index class; mapped rw by the collector */
#define PST_MAP_CLASS_STATS "class_stats" /* frozen array of struct pst_class_stat; mapped ro */
#define PST_MAP_FLOWS       "flows"       /* frozen array of struct pst_flow; mapped ro */
#define PST_MAP_UDP_PEERS   "udp_peers"   /* frozen array of struct pst_udp; mapped ro */

/* iters/<name>: opened and read anew at each pass; fixed-size entries as below */
#define PST_ITER_TASKS      "tasks"      /* enricher: struct pst_iter_task, variable tail */
#define PST_ITER_SYSCALLS   "syscalls"   /* exporter: struct pst_iter_syscall */
#define PST_ITER_INTERFACES "interfaces" /* exporter: struct pst_iter_iface */
#define PST_ITER_PROGRAMS   "programs"   /* exporter: struct pst_iter_prog, our programs only */
#define PST_ITER_MAPS       "maps"       /* exporter: struct pst_iter_map, our maps only */

/* One live thread group. Tail: path[path_len] cwd is not given; padded with zeros to 8. */
struct pst_iter_task {
	__u32 size;     /* bytes, tail included */
	__u16 path_len; /* 0: kernel thread or unreadable */
	__u16 flags;    /* enum pst_exec_flags: memfd, unlinked, upper */
	struct pst_task task;
	__u64 parent_start_ns;
	__u64 cap_effective;
	__u64 exe_ino;
	__u32 exe_dev;
	__u32 parent_pid;
	__u32 loginuid;
	__u32 euid;
	__u32 tty;
	__u32 kthread; /* 1: kernel thread */
	struct pst_ns ns;
};

#define PST_MAP_OWN_IDS                                                                                      \
	"own_ids" /* hash: struct pst_own_id -> __u32, any value; what `programs` and `maps` show */

enum pst_own_kind { PST_OWN_PROG = 0, PST_OWN_MAP = 1 };

struct pst_own_id {
	__u32 kind; /* enum pst_own_kind */
	__u32 id;
};
static_assert(sizeof(struct pst_own_id) == 8, "abi");

#define PST_MAP_SYSCALLS "syscalls" /* per-CPU hash: struct pst_syscall_key -> __u64 */

struct pst_syscall_key { /* head of struct pst_iter_syscall */
	__u64 cgroup_id;
	__u32 nr;
	__u32 pad;
};
static_assert(sizeof(struct pst_syscall_key) == 16, "abi");

/* System calls of one cgroup by number. nr is that of the native table; compat calls are counted with
 * PST_SYSCALL_COMPAT. */
#define PST_SYSCALL_COMPAT  0x10000
#define PST_SYSCALL_INVALID 0xffff     /* a number that no kernel has; also with PST_SYSCALL_COMPAT */
#define PST_SYSCALL_LOST    0xffffffff /* cgroup 0: calls not counted above, as the table was full */
struct pst_iter_syscall {
	__u64 cgroup_id;
	__u32 nr;
	__u32 pad;
	__u64 count; /* since the map was made, all CPUs */
};

#define PST_MAP_IFACE_COUNTERS                                                                               \
	"iface_counters" /* per-CPU hash: struct pst_iface_key -> struct pst_iface_count */

struct pst_iface_key { /* head of struct pst_iter_iface */
	__u32 ifindex;
	__u32 netns;
	__u16 ethertype;
	__u8 protocol;
	__u8 dir;
};
static_assert(sizeof(struct pst_iface_key) == 12, "abi");

struct pst_iface_count {
	__u64 packets;
	__u64 bytes;
};

/* Packets through one interface, one direction, one protocol. */
struct pst_iter_iface {
	__u32 ifindex;
	__u32 netns;
	__u16 ethertype; /* host order: 0x0800, 0x86dd, 0x0806; 0: other */
	__u8 protocol;   /* IPPROTO_*; 255: one not listed in bpf/lib/parse.bpf.h; 0: not IP, or IP that is
			    malformed */
	__u8 dir;        /* enum pst_dir */
	__u32 pad;
	__u64 packets;
	__u64 bytes;
};

struct pst_iter_prog {
	__u32 id;
	__u32 type; /* enum bpf_prog_type */
	char name[16];
	__u64 run_count; /* 0 while BPF stats are off */
	__u64 run_time_ns;
	__u64 misses;   /* recursion_misses */
	__u32 stats_on; /* BPF stats were on when this was read */
	__u32 insns;    /* translated length */
};

#define PST_MAP_USED_UNKNOWN                                                                                 \
	0xffffffffffffffff /* the kernel counts no entries of such a map (before 6.6)                        \
			    */

struct pst_iter_map {
	__u32 id;
	__u32 type;
	char name[16];
	__u32 max_entries;
	__u32 value_size;
	__u64 used;     /* ring buffer: bytes not yet consumed; hash: entries; else max_entries */
	__u64 capacity; /* in the same unit */
};

#endif
