/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Maps that several objects of the network side share; each is declared here and nowhere else. */
#ifndef PST_MAPS_NET_BPF_H
#define PST_MAPS_NET_BPF_H

#include "bpf/lib/common.bpf.h"
#include "bpf/vmlinux_net.h"

/* What is remembered of a TCP socket between its events. */
enum pst_sock_phase {
	PST_SOCK_CONNECTING = 1, /* an active open without an outcome yet */
	PST_SOCK_OPEN = 2,
	PST_SOCK_FAILED = 3, /* the outcome was a failure */
};

struct pst_sock_entry {
	struct pst_task task; /* owner; pid 0: not known yet */
	__u64 since_ns;       /* connect(2), then established; 0: not known */
	__u64 cookie;
	__u8 phase;
	__u8 active; /* this end opened: its SYN counts in bytes_acked */
	__u8 pad[6];
};

/* By address of the socket. Entries go with TCP_CLOSE; the LRU only bounds what a very busy host can make. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 65536);
	__type(key, __u64);
	__type(value, struct pst_sock_entry);
} tcp_sockets SEC(".maps");

#endif
