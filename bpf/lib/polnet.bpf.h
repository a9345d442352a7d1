/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What acts on the network are on (struct judge_end): of a socket its family and protocol, and its own
 * address or that which the call names. Told is where the kernel will go, and not how it was written: what is
 * IPv4 in an IPv6 address is IPv4, and no address at all is this machine.
 */
#ifndef PST_POLNET_BPF_H
#define PST_POLNET_BPF_H

#include <bpf/bpf_endian.h>

#include "bpf/lib/policyjudge.bpf.h"
#include "bpf/vmlinux_net.h"

#define AF_UNSPEC       0
#define SOCK_STREAM     1
#define SOCK_DGRAM      2
#define SOCK_RAW        3
#define SOCK_SEQPACKET  5
#define IPPROTO_MPTCP   262
#define POLNET_FASTOPEN 0x20000000 /* MSG_FASTOPEN */

/* Of these lengths and longer the kernel takes an address. */
#define POLNET_IP4_BYTES 16
#define POLNET_IP6_BYTES 24

#define POLNET_MAPPED    bpf_htonl(0xffff) /* third word of ::ffff:a.b.c.d */
#define POLNET_LOOPBACK4 bpf_htonl(0x7f000001)
#define POLNET_LOOPBACK6 bpf_htonl(1) /* last word of ::1 */

static __always_inline bool polnet_has_ports(__u32 protocol)
{
	return protocol == IPPROTO_TCP || protocol == IPPROTO_UDP || protocol == IPPROTO_SCTP ||
	       protocol == IPPROTO_DCCP || protocol == IPPROTO_UDPLITE;
}

static __always_inline bool polnet_is_ip(__u32 family)
{
	return family == AF_INET || family == AF_INET6;
}

/* @protocol is one of IP only if the family is. MPTCP is TCP to all that is on the way. */
static __always_inline void polnet_kind(struct judge_end *e, __u32 family, __u32 type, __u32 protocol)
{
	e->family = family;
	e->type = type;
	e->known |= PST_KNOWN_FAMILY;
	if (protocol == IPPROTO_MPTCP)
		protocol = IPPROTO_TCP;
	if (!polnet_is_ip(family) || protocol > 255)
		return;
	e->protocol = protocol;
	e->known |= PST_KNOWN_PROTOCOL;
}

/* Ids of ping and raw sockets are no ports. */
static __always_inline void polnet_port(struct judge_end *e, __u16 port)
{
	if (e->type == SOCK_RAW || !polnet_has_ports(e->protocol))
		return;
	e->port = port;
	e->known |= PST_KNOWN_PORT;
}

static __always_inline void polnet_ip4(struct judge_end *e, __be32 addr)
{
	e->addr[0] = 0;
	e->addr[1] = 0;
	e->addr[2] = POLNET_MAPPED;
	e->addr[3] = addr;
	e->is_ip6 = 0;
	e->family = AF_INET;
	e->known |= PST_KNOWN_ADDRESS;
}

static __always_inline void polnet_ip6(struct judge_end *e, const __u32 *addr)
{
	if (!addr[0] && !addr[1] && addr[2] == POLNET_MAPPED) {
		polnet_ip4(e, addr[3]);
		return;
	}
	e->addr[0] = addr[0];
	e->addr[1] = addr[1];
	e->addr[2] = addr[2];
	e->addr[3] = addr[3];
	e->is_ip6 = 1;
	e->family = AF_INET6;
	e->known |= PST_KNOWN_ADDRESS;
}

/* ---- sockets ---- */

static __always_inline void polnet_socket(struct judge_end *e, struct sock *sk)
{
	polnet_kind(e, BPF_CORE_READ(sk, __sk_common.skc_family), BPF_CORE_READ(sk, sk_type),
		BPF_CORE_READ(sk, sk_protocol));
}

/* Its own address and port, 0 as long as it has none. */
static __always_inline void polnet_own(struct judge_end *e, struct sock *sk)
{
	__u32 addr[4] = {};

	if (e->family == AF_INET) {
		polnet_ip4(e, BPF_CORE_READ(sk, __sk_common.skc_rcv_saddr));
	} else if (e->family == AF_INET6) {
		bpf_core_read(addr, sizeof(addr), &sk->__sk_common.skc_v6_rcv_saddr);
		polnet_ip6(e, addr);
	} else {
		return;
	}
	polnet_port(e, BPF_CORE_READ(sk, __sk_common.skc_num));
}

/* The other end's. False: it is connected no more. */
static __always_inline bool polnet_peer(struct judge_end *e, struct sock *sk)
{
	__u32 addr[4] = {};

	if (e->family == AF_INET) {
		polnet_ip4(e, BPF_CORE_READ(sk, __sk_common.skc_daddr));
	} else if (e->family == AF_INET6) {
		bpf_core_read(addr, sizeof(addr), &sk->__sk_common.skc_v6_daddr);
		polnet_ip6(e, addr);
	} else {
		return true;
	}
	polnet_port(e, bpf_ntohs(BPF_CORE_READ(sk, __sk_common.skc_dport)));
	return e->addr[0] | e->addr[1] | (e->is_ip6 ? e->addr[2] : 0) | e->addr[3];
}

/* Who connects or sends to no address gets the socket's own, or this machine's. */
static __always_inline void polnet_other(struct judge_end *e, struct sock *sk)
{
	__be32 own;

	if (e->addr[3] || !(e->known & PST_KNOWN_ADDRESS))
		return;
	if (!e->is_ip6) {
		own = BPF_CORE_READ(sk, __sk_common.skc_rcv_saddr);
		e->addr[3] = own ? own : POLNET_LOOPBACK4;
	} else if (!e->addr[0] && !e->addr[1] && !e->addr[2]) {
		__u32 addr[4] = {};

		bpf_core_read(addr, sizeof(addr), &sk->__sk_common.skc_v6_rcv_saddr);
		addr[3] = POLNET_LOOPBACK6;
		if (!addr[0] && !addr[1] && addr[2] == POLNET_MAPPED)
			polnet_ip4(e, POLNET_LOOPBACK4);
		else
			e->addr[3] = POLNET_LOOPBACK6;
	}
}

/*
 * The address in a call, of which the kernel has made a copy. Without a family it is the end of a connection;
 * where an address is needed, one of the socket's family; and to UDP over IPv6 none. False: it names nobody.
 */
static __always_inline bool polnet_named(struct judge_end *e, __u32 op, const void *at, __u32 bytes)
{
	__u32 w[POLNET_IP6_BYTES / 4] = {};
	__u32 family = e->family;

	if (bytes < sizeof(__u16) || bpf_probe_read_kernel(w, sizeof(w), at))
		return true;
	if ((__u16)w[0] == AF_UNSPEC) {
		if (op == PST_OP_NET_CONNECT)
			return false;
		if (op == PST_OP_NET_SENDMSG && family == AF_INET6 && e->protocol == IPPROTO_UDP)
			return false;
	} else if (polnet_is_ip(family)) {
		family = (__u16)w[0];
	}
	if (!polnet_is_ip(e->family))
		return true;
	if (family == AF_INET && bytes >= POLNET_IP4_BYTES)
		polnet_ip4(e, w[1]);
	else if (family == AF_INET6 && bytes >= POLNET_IP6_BYTES)
		polnet_ip6(e, w + 2);
	else
		return true; /* the kernel will not have it */
	polnet_port(e, bpf_ntohs(w[0] >> 16));
	return true;
}

/* Of socket(2): what protocol 0 stands for. */
static __always_inline __u32 polnet_default(__u32 type, __u32 protocol)
{
	if (protocol)
		return protocol;
	switch (type) {
	case SOCK_STREAM:
		return IPPROTO_TCP;
	case SOCK_DGRAM:
		return IPPROTO_UDP;
	case SOCK_SEQPACKET:
		return IPPROTO_SCTP;
	default:
		return 0;
	}
}

#endif
