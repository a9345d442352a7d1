/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What tracking has to know of a packet beside the parser's key: whose it is, where in its stream, what it
 * quotes. */
#ifndef PST_CT_READ_BPF_H
#define PST_CT_READ_BPF_H

#include "bpf/lib/ct_track.bpf.h"
#include "bpf/lib/plain.bpf.h"

#define CT_OFF_MAX (PST_HEADERS_MAX + PST_ETH_BYTES + 4 * PST_VLAN_TAGS + 8)

/*
 * Echo and its like: the asking side's port is the id, the other side's is not, so that two hosts that ask
 * each other with one id are two flows.
 */
static __always_inline void ct_key_echo(
	const struct pst_flow_key *k, __u32 id, bool asks, struct ct_tuple *ret_flow)
{
	__u32 other = id ^ 0xffff;

	ct_key(k, asks ? id : other, asks ? other : id, ret_flow);
}

/* Asked or answered. GUARD_CT_NONE: types that have no counterpart, as neighbour discovery. */
static __always_inline __u32 ct_icmp_kind(__u8 protocol, __u8 family, __u32 type)
{
	if (protocol == IPPROTO_ICMP && family == AF_INET) {
		if (type == 8 || type == 13 || type == 17)
			return GUARD_CT_OTHER;
		if (type == 0 || type == 14 || type == 18)
			return GUARD_CT_ANSWER;
		return type == 3 || type == 4 || type == 5 || type == 11 || type == 12 ? GUARD_CT_ERROR
										       : GUARD_CT_NONE;
	}
	if (protocol == IPPROTO_ICMPV6 && family == AF_INET6) {
		if (type == 128)
			return GUARD_CT_OTHER;
		if (type == 129)
			return GUARD_CT_ANSWER;
		return type >= 1 && type <= 4 ? GUARD_CT_ERROR : GUARD_CT_NONE;
	}
	return GUARD_CT_NONE;
}

static __always_inline void ct_read_tcp(struct guard_packet *pkt, const __u8 *h)
{
	__u32 l3_len = pkt->p.l3_len ? pkt->p.l3_len : pkt->bytes - pkt->off;

	pkt->ct.kind = GUARD_CT_TCP;
	pkt->ct.seq = pst_load32(h + 4);
	pkt->ct.ack = pst_load32(h + 8);
	pkt->ct.next = pkt->ct.seq + l3_len - pkt->p.hdr_len + !!(pkt->p.tcp_flags & TCP_SYN) +
		       !!(pkt->p.tcp_flags & TCP_FIN);
	ct_key(&pkt->key, pkt->key.sport, pkt->key.dport, &pkt->ct.flow);
}

static __always_inline void ct_read(struct guard_packet *pkt, const struct pst_cursor *c)
{
	__u64 at = pkt->off + pkt->p.l4_off;
	__u8 protocol = pkt->key.protocol;
	const __u8 *h;

	pkt->ct.kind = GUARD_CT_NONE;
	pkt->ct.next = 0;
	if (!pkt->key.family || pkt->p.later_fragment || at > CT_OFF_MAX)
		return;
	pst_keep(at);
	if (protocol == IPPROTO_TCP) {
		h = pst_pull(c, at, 20);
		if (h)
			ct_read_tcp(pkt, h);
	} else if (protocol == IPPROTO_ICMP || protocol == IPPROTO_ICMPV6) {
		pkt->ct.kind = ct_icmp_kind(protocol, pkt->key.family, pkt->key.sport);
		h = pst_pull(c, at, 8);
		if (!h)
			pkt->ct.kind = GUARD_CT_BAD;
		else if (pkt->ct.kind == GUARD_CT_OTHER || pkt->ct.kind == GUARD_CT_ANSWER)
			ct_key_echo(
				&pkt->key, pst_be16(h + 4), pkt->ct.kind == GUARD_CT_OTHER, &pkt->ct.flow);
	} else {
		bool ports = guard_has_ports(protocol);

		pkt->ct.kind = GUARD_CT_OTHER;
		ct_key(&pkt->key, ports ? pkt->key.sport : 0, ports ? pkt->key.dport : 0, &pkt->ct.flow);
	}
}

/*
 * What nearly all packets are where connections are tracked: a segment over IPv4, of one that is open. Read
 * and judged without a call. False: it is something else, and still to be read.
 */
static __always_inline bool guard_ct_is_open(struct guard_packet *pkt, const struct pst_cursor *c)
{
	__u64 at = pkt->off + pkt->p.l4_off;
	const __u8 *h;

	if (pkt->key.family != AF_INET || pkt->key.protocol != IPPROTO_TCP || pkt->p.later_fragment ||
		at > CT_OFF_MAX)
		return false;
	pst_keep(at);
	h = pst_pull(c, at, 20);
	if (!h || !ct_flags_may_be_open(pkt->p.tcp_flags))
		return false;
	pkt->ct.local = 0;
	pkt->ct.pending = 0;
	ct_read_tcp(pkt, h);
	guard_now(pkt);
	return ct_judge_open(pkt) == PST_CT_ESTABLISHED;
}

/* The quoted packet's transport header, of which eight bytes are there (RFC 792), or its start. */
static __always_inline bool ct_quoted_l4(
	struct pst_flow_key *k, const struct pst_cursor *c, __u64 at, struct ct_tuple *ret_flow)
{
	bool icmp = k->protocol == IPPROTO_ICMP || k->protocol == IPPROTO_ICMPV6;
	const __u8 *h;
	__u32 kind;

	if (!icmp && !guard_has_ports(k->protocol)) {
		ct_key(k, 0, 0, ret_flow);
		return true;
	}
	if (at > CT_OFF_MAX)
		return false;
	pst_keep(at);
	h = pst_pull(c, at, 8);
	if (!h)
		return false;
	if (!icmp) {
		ct_key(k, pst_be16(h), pst_be16(h + 2), ret_flow);
		return true;
	}
	kind = ct_icmp_kind(k->protocol, k->family, h[0]);
	ct_key_echo(k, pst_be16(h + 4), kind == GUARD_CT_OTHER, ret_flow);
	return kind == GUARD_CT_OTHER || kind == GUARD_CT_ANSWER;
}

/* The flow that an ICMP error quotes. It goes to who sent the quoted packet, or it is no answer to it. */
static __always_inline bool ct_read_quoted(struct guard_packet *pkt, const struct pst_cursor *c)
{
	__u64 at = (__u64)pkt->off + pkt->p.l4_off + 8;
	struct pst_flow_key *k = &pkt->ct.quoted;
	struct pst_transport t = {0, 0, 0};
	struct pst_packet p = {};
	enum pst_parse what;

	__builtin_memset(k, 0, sizeof(*k));
	pst_launder(at, c->len);
	if (at > CT_OFF_MAX)
		return false;
	pst_keep(at);
	if (pkt->key.family == AF_INET)
		what = pst_parse_ip4(c, at, k, &p, &t);
	else
		what = pst_parse_ip6(c, at, k, &p, &t);
	if (what != PST_PARSE_OK || t.later_fragment)
		return false;
	k->protocol = t.protocol;
	pst_launder(t.off, c->len);
	if (!ct_quoted_l4(k, c, t.off, &pkt->ct.flow))
		return false;
	return *(__u64 *)&k->saddr[0] == *(__u64 *)&pkt->key.daddr[0] &&
	       *(__u64 *)&k->saddr[8] == *(__u64 *)&pkt->key.daddr[8];
}

/* After the parser: struct guard_ct. The quoted packet's headers are read apart, so verified apart. */
__noinline int guard_ct_read_xdp(struct xdp_md *ctx)
{
	struct pst_cursor c = {.data = (void *)(long)ctx->data, .end = (void *)(long)ctx->data_end};
	struct guard_packet *pkt = guard_packet();

	if (!pkt)
		return 0;
	c.len = (long)c.end - (long)c.data;
	pkt->ct.local = 0;
	ct_read(pkt, &c);
	return pkt->ct.kind;
}

__noinline int guard_ct_quoted_xdp(struct xdp_md *ctx)
{
	struct pst_cursor c = {.data = (void *)(long)ctx->data, .end = (void *)(long)ctx->data_end};
	struct guard_packet *pkt = guard_packet();

	if (!pkt)
		return 0;
	c.len = (long)c.end - (long)c.data;
	if (!ct_read_quoted(pkt, &c))
		pkt->ct.kind = GUARD_CT_BAD;
	return 0;
}

__noinline int guard_ct_read_skb(struct __sk_buff *ctx)
{
	struct pst_cursor c = {
		.data = (void *)(long)ctx->data, .end = (void *)(long)ctx->data_end, .len = ctx->len};
	struct guard_packet *pkt = guard_packet();

	if (!pkt)
		return 0;
	pkt->ct.local = 0;
	ct_read(pkt, &c);
	return pkt->ct.kind;
}

__noinline int guard_ct_quoted_skb(struct __sk_buff *ctx)
{
	struct pst_cursor c = {
		.data = (void *)(long)ctx->data, .end = (void *)(long)ctx->data_end, .len = ctx->len};
	struct guard_packet *pkt = guard_packet();

	if (!pkt)
		return 0;
	if (!ct_read_quoted(pkt, &c))
		pkt->ct.kind = GUARD_CT_BAD;
	return 0;
}

#endif
