/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A packet that came in a tunnel is judged in place of the one around it, where PST_GUARD_INNER_* ask for it.
 * Once its headers are read, guard_packet() has it as if nothing were around it, but for the frame's bytes,
 * the VLAN tag and the interface.
 */
#ifndef PST_INNER_BPF_H
#define PST_INNER_BPF_H

#include "bpf/lib/sample.bpf.h"
#include "bpf/lib/trial.bpf.h"
#include "bpf/lib/tunnel.bpf.h"

#define GUARD_INNER (PST_GUARD_INNER_IPIP | PST_GUARD_INNER_GRE | PST_GUARD_INNER_VXLAN)
static_assert(PST_GUARD_INNER_GRE == PST_GUARD_INNER_IPIP << (PST_TUNNEL_GRE - PST_TUNNEL_IPIP), "abi");
static_assert(PST_GUARD_INNER_VXLAN == PST_GUARD_INNER_IPIP << (PST_TUNNEL_VXLAN - PST_TUNNEL_IPIP), "abi");

/*
 * Connections are of what is on the wire, and the other direction of this one is in a tunnel too: it has no
 * state, proves nothing, and no SYN is answered in its place.
 */
#define GUARD_NOT_INSIDE ((__u64)PST_GUARD_CT | PST_GUARD_SYN)

/* What the packet says alone: most are of no tunnel. */
static __always_inline bool inner_may_be(const struct guard_packet *pkt, enum pst_parse what)
{
	__u8 protocol = pkt->key.protocol;

	return what == PST_PARSE_OK && (protocol == IPPROTO_UDP || protocol == IPPROTO_IPIP ||
					       protocol == IPPROTO_IPV6 || protocol == IPPROTO_GRE);
}

/* enum pst_tunnel, if it is to be looked into: nothing is, of what the lists drop. */
static __always_inline __u32 inner_tunnel(const struct guard_packet *pkt)
{
	__u32 zero = 0, tunnel;
	const struct pst_guard *g = bpf_map_lookup_elem(&guard, &zero);

	if (!g || (pkt->listed >= PST_BLOCK_ADDRESS && !(pkt->flags & PST_GUARD_DRY_LISTS)))
		return PST_TUNNEL_NONE;
	tunnel = pst_tunnel_of(&pkt->key, &pkt->p, PST_READ(g->vxlan_port));
	return tunnel && pkt->flags & (PST_GUARD_INNER_IPIP >> 1) << tunnel ? tunnel : PST_TUNNEL_NONE;
}

static __always_inline void inner_note(const struct guard_packet *pkt, __u32 tunnel)
{
	struct pst_guard_why *why = guard_why_entry();

	if (!why)
		return;
	why->tunnel = tunnel;
	why->outer = pkt->key;
}

/* enum pst_parse. Only what could be read takes the place of what is around it. */
static __always_inline int inner_parse(struct guard_packet *pkt, const struct pst_cursor *c)
{
	__u32 tunnel = inner_tunnel(pkt);
	struct pst_flow_key key = {};
	struct pst_packet p = {};
	enum pst_parse what;

	if (!tunnel)
		return PST_PARSE_OK;
	if (guard_is_trial(pkt))
		inner_note(pkt, tunnel);
	what = pst_parse_inner(c, pkt->off, tunnel, &pkt->key, &pkt->p, &key, &p);
	if (what != PST_PARSE_OK)
		return what;
	if (pkt->listed >= PST_BLOCK_ADDRESS) { /* what is around it: a dry run */
		guard_sample(pkt, PST_GUARD_DRY_BLOCKED);
		guard_note_dry(pkt, PST_GUARD_DRY_BLOCKED);
	}
	pkt->key = key;
	pkt->p = p;
	pkt->off += p.inner_off;
	pkt->tunnel = tunnel;
	pkt->flags &= ~GUARD_NOT_INSIDE;
	return PST_PARSE_OK;
}

/* After guard_parse_xdp(), or guard_parse_skb(): enum pst_parse. */
__noinline int guard_inner_xdp(struct xdp_md *ctx)
{
	struct pst_cursor c = {.data = (void *)(long)ctx->data, .end = (void *)(long)ctx->data_end};
	struct guard_packet *pkt = guard_packet();

	if (!pkt)
		return PST_PARSE_SHORT;
	c.len = (long)c.end - (long)c.data;
	return inner_parse(pkt, &c);
}

__noinline int guard_inner_skb(struct __sk_buff *ctx)
{
	struct pst_cursor c = {
		.data = (void *)(long)ctx->data, .end = (void *)(long)ctx->data_end, .len = ctx->len};
	struct guard_packet *pkt = guard_packet();

	return pkt ? inner_parse(pkt, &c) : PST_PARSE_SHORT;
}

#endif
