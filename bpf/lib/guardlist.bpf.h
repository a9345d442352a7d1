/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The allow and block list, asked for a packet's source (proto/abi/lookup/block.h). */
#ifndef PST_GUARDLIST_BPF_H
#define PST_GUARDLIST_BPF_H

#include "bpf/lib/trial.bpf.h"

const volatile __u32 cfg_block_mask = PST_BLOCK_LINES - 1; /* lines in a half of `block_lines` - 1 */

static __always_inline struct pst_half guard_block_half(const struct guard_packet *pkt)
{
	return (struct pst_half){
		.table = &block_lines,
		.base = pkt->block_generation & 1 ? cfg_block_mask + 1 : 0,
		.mask = cfg_block_mask,
	};
}

/* enum pst_block_kind of the source; what it matched in guard_packet(). */
static __always_inline __u32 guard_block_4(struct guard_packet *pkt, __u32 addr)
{
	struct pst_half half = guard_block_half(pkt);
	struct pst_block_hit hit = {};
	__u32 kind = pst_block_match_4(&half, addr, guard_now(pkt), &hit);

	pkt->hit = hit;
	return kind;
}

__noinline int guard_block_6(__u64 hi, __u64 lo)
{
	struct guard_packet *pkt = guard_packet();
	const struct pst_block_addr addr = {.hi = hi, .lo = lo};
	struct pst_block_hit hit = {};
	struct pst_half half;
	int kind;

	if (!pkt)
		return PST_BLOCK_NONE;
	half = guard_block_half(pkt);
	kind = pst_block_match_6(&half, &addr, guard_now(pkt), &hit);
	pkt->hit = hit;
	return kind;
}

/* What counters and samples tell of a packet of which nothing more is read. */
static __always_inline void guard_key_head(struct guard_packet *pkt, __u8 family, __u8 protocol)
{
	pkt->key.family = family;
	pkt->key.protocol = protocol;
	pkt->p.inner_off = 0;
}

/* @ip: from the protocol on. */
static __always_inline __u32 guard_listed_4(struct guard_packet *pkt, const __u8 *ip)
{
	__u32 kind = guard_block_4(pkt, bpf_ntohl(*(const __u32 *)(ip + 3)));

	if (kind >= PST_BLOCK_ADDRESS) {
		guard_key_head(pkt, AF_INET, ip[0]);
		pst_parse_addr4(pkt->key.saddr, ip + 3);
	}
	return kind;
}

static __always_inline __u32 guard_listed_6(struct guard_packet *pkt, const __u8 *ip)
{
	__u32 kind = guard_block_6(
		bpf_be64_to_cpu(*(const __u64 *)(ip + 2)), bpf_be64_to_cpu(*(const __u64 *)(ip + 10)));

	if (kind >= PST_BLOCK_ADDRESS) {
		guard_key_head(pkt, AF_INET6, ip[0]);
		__builtin_memcpy(pkt->key.saddr, ip + 2, 16);
	}
	return kind;
}

/* enum pst_block_kind of the source: at a fixed place behind the link header, whatever else is there. */
static __always_inline __u32 guard_listed(
	struct guard_packet *pkt, const struct pst_cursor *c, __u64 off, __u16 type)
{
	const __u8 *ip;

	if (type == PST_ETH_IP) {
		ip = pst_pull(c, off + 9, 7);
		return ip ? guard_listed_4(pkt, ip) : PST_BLOCK_NONE;
	}
	if (type != PST_ETH_IPV6)
		return PST_BLOCK_NONE;
	ip = pst_pull(c, off + 6, 18);
	return ip ? guard_listed_6(pkt, ip) : PST_BLOCK_NONE;
}

/*
 * Before anything else of the packet is read, so that what is blocked costs little. True: the lists drop it.
 * A dry run, a trial and the table of flows, which tell what the packet was, go on.
 */
static __always_inline bool guard_lists_drop(
	struct guard_packet *pkt, const struct pst_cursor *c, __u64 off, __u16 type)
{
	if (!pkt->block_generation)
		return false;
	pkt->listed = guard_listed(pkt, c, off, type);
	return pkt->listed >= PST_BLOCK_ADDRESS && !(pkt->flags & (PST_GUARD_DRY_LISTS | PST_GUARD_FLOWS)) &&
	       !guard_is_trial(pkt);
}

#endif
