/* SPDX-License-Identifier: Apache-2.0 */
/* Packets of tests/bpf/packets.h in tunnels. */
#ifndef TESTS_BPF_TUNNELS_H
#define TESTS_BPF_TUNNELS_H

#include "tests/bpf/packets.h"

#define VXLAN_PORT 4789

enum around {
	AROUND_IPIP,
	AROUND_GRE,
	AROUND_GRE_ALL, /* checksum, key and sequence number */
	AROUND_GRE_ETH,
	AROUND_GRE_ETH_KEY,
	AROUND_VXLAN,
	AROUNDS,
};

struct outer {
	enum around around;
	bool ip6, tagged;
};

/* Whole frames are in them. */
static inline bool is_bridged(enum around around)
{
	return around >= AROUND_GRE_ETH;
}

static inline bool is_ip6_frame(const struct packet *p)
{
	return p->bytes[p->l3 - 2] == 0x86;
}

static inline void gre(struct packet *p, uint8_t flags, unsigned int type)
{
	uint8_t *h = grow(p, 4u + 4u * (unsigned)__builtin_popcount(flags & 0xb0));

	h[0] = flags;
	put16(h + 2, type);
}

static inline void vxlan(struct packet *p)
{
	uint8_t *h = grow(p, 16);

	put16(h, 50000);
	put16(h + 2, VXLAN_PORT);
	h[8] = 8;
	h[14] = 42;
}

/* @p: a packet, which comes out in a tunnel from 192.0.2.9, or 2001:db8:9::9; returns where the outer IP is.
 */
static inline size_t put_into(struct packet *p, const struct outer *o)
{
	static const uint8_t flags[AROUNDS] = {[AROUND_GRE_ALL] = 0xb0, [AROUND_GRE_ETH_KEY] = 0x20};
	static const uint8_t ends[8] = {192, 0, 2, 9, 192, 0, 2, 1};
	size_t from = is_bridged(o->around) ? 0 : p->l3, l3;
	bool inside6 = is_ip6_frame(p);
	struct packet in = *p;
	uint8_t protocol = o->around == AROUND_VXLAN ? 17 : o->around ? 47 : inside6 ? 41 : 4;

	eth(p, o->tagged ? 0 : o->ip6 ? 0x86dd : 0x0800);
	if (o->tagged)
		vlan(p, 0x8100, o->ip6 ? 0x86dd : 0x0800);
	l3 = p->l3;
	o->ip6 ? ip6(p, protocol) : ip4(p, protocol, 0);
	if (o->ip6)
		inet_pton(AF_INET6, "2001:db8:9::9", p->bytes + l3 + 8);
	else
		memcpy(p->bytes + l3 + 12, ends, sizeof(ends));
	if (o->around == AROUND_VXLAN)
		vxlan(p);
	else if (o->around != AROUND_IPIP)
		gre(p, flags[o->around], is_bridged(o->around) ? 0x6558 : inside6 ? 0x86dd : 0x0800);
	p->l3 = p->len + in.l3 - from;
	p->need = p->len + in.need - from;
	p->seen = p->len + in.seen - from;
	p->key = in.key;
	p->l3_len = in.l3_len;
	p->tcp_flags = in.tcp_flags;
	memcpy(p->bytes + p->len, in.bytes + from, in.len - from);
	p->len += in.len - from;
	put16(p->length, (unsigned)(p->len - l3) - (o->ip6 ? 40 : 0));
	return l3;
}

/* The outer packet's length, as if it ended after @bytes of the frame. */
static inline void set_outer_end(struct packet *p, size_t l3, bool outer6, size_t bytes)
{
	put16(p->bytes + l3 + (outer6 ? 4 : 2), (unsigned)(bytes - l3) - (outer6 ? 40 : 0));
}

#endif
