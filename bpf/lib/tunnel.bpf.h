/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What is inside of a tunnel: IP in IP, GRE (RFC 2784 and 2890) with IP or Ethernet in it, VXLAN (RFC 7348).
 * One level: a tunnel in a tunnel is a packet of its protocol. As the parser that it is part of, it has no
 * state and no helper, and compiles for user space, where it is tested.
 */
#ifndef PST_TUNNEL_BPF_H
#define PST_TUNNEL_BPF_H

#include "bpf/lib/parse.bpf.h"
#include "proto/abi/guard.h"

#define PST_ETH_BRIDGED 0x6558 /* in GRE: an Ethernet frame */
#define PST_ETH_WCCP    0x883e /* in GRE: IPv4, maybe behind four bytes */

#define PST_TUNNEL_BYTES_MIN 4
#define PST_VXLAN_BYTES      16 /* with UDP's header */

/* Of a packet that was parsed. What was cut has no inner headers, or not all of them. */
PST_PARSE_FN enum pst_tunnel pst_tunnel_of(
	const struct pst_flow_key *key, const struct pst_packet *p, __u32 vxlan_port)
{
	if (p->fragment)
		return PST_TUNNEL_NONE;
	switch (key->protocol) {
	case IPPROTO_IPIP:
	case IPPROTO_IPV6:
		return PST_TUNNEL_IPIP;
	case IPPROTO_GRE:
		return PST_TUNNEL_GRE;
	case IPPROTO_UDP:
		return key->dport == vxlan_port ? PST_TUNNEL_VXLAN : PST_TUNNEL_NONE;
	default:
		return PST_TUNNEL_NONE;
	}
}

/* What the header of a tunnel says: the type of what is in it, and where that begins. */
struct pst_inner {
	__u64 off;
	__u64 type;
};

/* Linux takes a redirected packet for IPv4 too, and its bytes before it for what they are not. */
PST_PARSE_FN enum pst_parse pst_tunnel_wccp(const struct pst_cursor *c, struct pst_inner *in)
{
	const __u8 *h = pst_pull(c, in->off, 1);

	if (!h)
		return PST_PARSE_SHORT;
	if (h[0] >> 4 != 4)
		in->off += 4;
	in->type = PST_ETH_IP;
	return PST_PARSE_OK;
}

/* Routing (RFC 1701) and other versions (PPTP) are not looked into; reserved bits are ignored. */
PST_PARSE_FN enum pst_parse pst_tunnel_gre(const struct pst_cursor *c, struct pst_inner *in)
{
	const __u8 *h = pst_pull(c, in->off, 4);
	bool plain;

	if (!h)
		return PST_PARSE_SHORT;
	if (h[0] & 0x40 || h[1] & 7)
		return PST_PARSE_OTHER;
	plain = !(h[0] & 0xb0);
	in->type = pst_be16(h + 2);
	in->off += 4 + (h[0] >> 7) * 4 + (h[0] >> 5 & 1) * 4 + (h[0] >> 4 & 1) * 4;
	return in->type == PST_ETH_WCCP && plain ? pst_tunnel_wccp(c, in) : PST_PARSE_OK;
}

/* Without the bit that says so, nothing of its header is valid. */
PST_PARSE_FN enum pst_parse pst_tunnel_vxlan(const struct pst_cursor *c, struct pst_inner *in)
{
	const __u8 *h = pst_pull(c, in->off, PST_VXLAN_BYTES);

	if (!h)
		return PST_PARSE_SHORT;
	if (!(h[8] & 8))
		return PST_PARSE_BAD;
	in->off += PST_VXLAN_BYTES;
	in->type = PST_ETH_BRIDGED;
	return PST_PARSE_OK;
}

/* Through the tunnel's header, and that of Ethernet if there is one. */
PST_PARSE_FN enum pst_parse pst_tunnel_open(
	const struct pst_cursor *c, enum pst_tunnel tunnel, struct pst_inner *in)
{
	enum pst_parse what = PST_PARSE_OK;
	__u16 type = 0;

	if (tunnel == PST_TUNNEL_GRE)
		what = pst_tunnel_gre(c, in);
	else if (tunnel == PST_TUNNEL_VXLAN)
		what = pst_tunnel_vxlan(c, in);
	if (what != PST_PARSE_OK || in->type != PST_ETH_BRIDGED)
		return what;
	pst_launder(in->off, c->len);
	if (in->off > PST_HEADERS_MAX)
		return PST_PARSE_BAD;
	pst_keep(in->off);
	what = pst_parse_eth_at(c, in->off, &type, &in->off);
	in->type = type;
	return what;
}

/* IP that has to end at @end. */
PST_PARSE_FN enum pst_parse pst_tunnel_ip(const struct pst_cursor *c, const struct pst_inner *in, __u64 end,
	struct pst_flow_key *key, struct pst_packet *p)
{
	__u64 off = in->off, type = in->type;
	enum pst_parse what;

	pst_launder(off, c->len);
	pst_launder(type, c->len);
	if (off > end)
		return PST_PARSE_SHORT;
	if (type != PST_ETH_IP && type != PST_ETH_IPV6)
		return PST_PARSE_OTHER;
	if (off + (type == PST_ETH_IP ? 20 : 40) > end)
		return PST_PARSE_SHORT;
	if (off > PST_HEADERS_MAX)
		return PST_PARSE_BAD;
	pst_keep(off);
	what = pst_parse_ip_at(c, off, type, key, p);
	if (what == PST_PARSE_OK && in->off + (p->l3_len ? p->l3_len : p->hdr_len) > end)
		return PST_PARSE_SHORT;
	return what;
}

/*
 * The packet inside of the one at @off, of which @outer_key and @outer are. Fills @key and @p as
 * pst_parse_ip() does. OTHER: what is in the tunnel is not IP, or not to be found by what is known here.
 */
PST_PARSE_FN enum pst_parse pst_parse_inner(const struct pst_cursor *c, __u64 off, enum pst_tunnel tunnel,
	const struct pst_flow_key *outer_key, const struct pst_packet *outer, struct pst_flow_key *key,
	struct pst_packet *p)
{
	__u64 end = outer->l3_len ? off + outer->l3_len : c->len;
	struct pst_inner in = {.off = off + outer->l4_off,
		.type = outer_key->protocol == IPPROTO_IPIP ? PST_ETH_IP : PST_ETH_IPV6};
	enum pst_parse what;

	if (end > c->len || in.off + PST_TUNNEL_BYTES_MIN > end)
		return PST_PARSE_SHORT;
	pst_launder(in.off, c->len);
	if (in.off > PST_HEADERS_MAX)
		return PST_PARSE_BAD;
	pst_keep(in.off);
	what = pst_tunnel_open(c, tunnel, &in);
	if (what == PST_PARSE_OK)
		what = pst_tunnel_ip(c, &in, end, key, p);
	p->inner_off = in.off - off;
	return what;
}

#endif
