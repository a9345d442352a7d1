/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Packets by interface, direction, protocol and verdict: places of each CPU's own (struct pst_guard_counts).
 */
#ifndef PST_GUARDCOUNT_BPF_H
#define PST_GUARDCOUNT_BPF_H

#include "bpf/lib/guardpkt.bpf.h"

/* enum pst_guard_protocol; @type is of the frame, and says what a packet is that is no IP. */
static __always_inline __u32 guard_protocol(__u8 family, __u8 protocol, __u16 type)
{
	if (!family)
		return type == PST_ETH_ARP ? PST_GUARD_ARP : PST_GUARD_OTHER;
	switch (protocol) {
	case IPPROTO_TCP:
		return PST_GUARD_TCP;
	case IPPROTO_UDP:
		return PST_GUARD_UDP;
	case IPPROTO_ICMP:
		return PST_GUARD_ICMP;
	case IPPROTO_ICMPV6:
		return PST_GUARD_ICMPV6;
	case IPPROTO_SCTP:
		return PST_GUARD_SCTP;
	case IPPROTO_GRE:
		return PST_GUARD_GRE;
	default:
		return PST_GUARD_OTHER;
	}
}

/* The packet on the wire, also where what is in a tunnel was judged in its place: as it is on its way out. */
static __always_inline __u32 guard_protocol_in(const struct guard_packet *pkt)
{
	if (__builtin_expect(pkt->p.inner_off, 0))
		return pkt->tunnel == PST_TUNNEL_GRE     ? PST_GUARD_GRE
		       : pkt->tunnel == PST_TUNNEL_VXLAN ? PST_GUARD_UDP
							 : PST_GUARD_OTHER;
	return guard_protocol(pkt->key.family, pkt->key.protocol, pkt->type);
}

static __always_inline void guard_add_cell(
	struct pst_guard_counts *counts, __u64 place, __u32 cell, __u32 packets, __u32 bytes)
{
	__u64 i = place * PST_GUARD_CELLS + cell % PST_GUARD_CELLS;

	pst_keep(i);
	if (i >= PST_GUARD_COUNTED_PLACES * PST_GUARD_CELLS)
		return;
	counts->iface[i].packets += packets;
	counts->iface[i].bytes += bytes;
}

/* The interface's place on this CPU, which nobody else takes meanwhile. */
static __always_inline __u64 guard_iface_place(struct pst_guard_counts *counts, __u32 ifindex)
{
	__u64 free = PST_GUARD_COUNTED_OTHER;

	PST_UNROLL
	for (__u32 i = 0; i < PST_GUARD_COUNTED_TRIES; i++) {
		__u64 at = (ifindex + i * PST_GUARD_COUNTED_STEP) % PST_GUARD_COUNTED_IFACES;
		__u32 owner = PST_READ(counts->ifindex[at]);

		if (owner == ifindex)
			return at;
		if (!owner && free == PST_GUARD_COUNTED_OTHER)
			free = at;
	}
	pst_keep(free);
	if (free < PST_GUARD_COUNTED_IFACES)
		PST_WRITE(counts->ifindex[free], ifindex);
	return free;
}

/* An interface that has another place than its first, or none yet. Verified once, as it is no static
 * function. */
__noinline int guard_count_elsewhere(__u32 ifindex, __u32 cell, __u32 packets, __u32 bytes)
{
	struct pst_guard_counts *counts = guard_counts_here();

	if (counts && ifindex)
		guard_add_cell(counts, guard_iface_place(counts, ifindex), cell, packets, bytes);
	return 0;
}

/* @cell: PST_GUARD_CELL */
static __always_inline void guard_count_iface(
	struct pst_guard_counts *counts, __u32 ifindex, __u32 cell, __u32 packets, __u32 bytes)
{
	__u64 at = ifindex % PST_GUARD_COUNTED_IFACES;

	if (__builtin_expect(ifindex && PST_READ(counts->ifindex[at]) == ifindex, 1))
		guard_add_cell(counts, at, cell, packets, bytes);
	else
		guard_count_elsewhere(ifindex, cell, packets, bytes);
}

/* A packet that came in and was judged; @protocol: enum pst_guard_protocol. */
static __always_inline void guard_count_judged(
	__u32 ifindex, __u32 reason, __u32 protocol, __u32 verdict, __u32 packets, __u32 bytes)
{
	struct pst_guard_counts *counts = guard_counts_here();
	__u64 i = reason;

	if (!counts)
		return;
	pst_keep(i);
	if (i < PST_GUARD_REASONS_ROOM) {
		counts->reason[i].packets += packets;
		counts->reason[i].bytes += bytes;
	}
	guard_count_iface(counts, ifindex, PST_GUARD_CELL(PST_DIR_IN, protocol, verdict), packets, bytes);
}

/* @read: its headers mean something. */
static __always_inline void guard_count_in(
	const struct guard_packet *pkt, __u32 reason, bool read, __u32 verdict)
{
	__u32 protocol = PST_GUARD_OTHER;

	if (guard_is_trial(pkt))
		return;
	if (read)
		protocol = guard_protocol_in(pkt);
	guard_count_judged(pkt->fw.ifindex, reason, protocol, verdict, pkt->packets, pkt->bytes);
}

static __always_inline void guard_count_out(struct __sk_buff *ctx, __u32 protocol)
{
	struct pst_guard_counts *counts = guard_counts_here();

	if (counts)
		guard_count_iface(counts, ctx->ifindex, PST_GUARD_CELL(PST_DIR_OUT, protocol, PST_GUARD_PASS),
			ctx->gso_segs > 1 ? ctx->gso_segs : 1, ctx->len);
}

#define GUARD_LOOK_CLOSER PST_GUARD_PROTOCOLS

/*
 * The protocol of what is sent, when nothing else of it is asked for: one byte at a fixed place. Tags in the
 * frame and headers that extend IPv6 are the parser's.
 */
static __always_inline __u32 guard_protocol_out(struct __sk_buff *ctx)
{
	__u16 type = bpf_ntohs(ctx->protocol);
	__u8 protocol = 0;

	if (type == PST_ETH_VLAN || type == PST_ETH_QINQ)
		return GUARD_LOOK_CLOSER;
	if (type != PST_ETH_IP && type != PST_ETH_IPV6)
		return guard_protocol(0, 0, type);
	if (bpf_skb_load_bytes_relative(ctx, type == PST_ETH_IP ? 9 : 6, &protocol, 1, BPF_HDR_START_NET))
		return PST_GUARD_OTHER;
	if (type == PST_ETH_IPV6 && pst_is_ext(protocol))
		return GUARD_LOOK_CLOSER;
	return guard_protocol(AF_INET, protocol, type);
}

#endif
