/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Where layer 3 begins in a packet at tc. */
#ifndef PST_LINK_BPF_H
#define PST_LINK_BPF_H

#include "bpf/lib/common.bpf.h"
#include "bpf/vmlinux_net.h"
#include "bpf/lib/parse.bpf.h"

/* Layer 3 starts at data: a device without link header. For packets whose bytes could be either. */
static __always_inline bool pst_link_none(struct __sk_buff *ctx)
{
	struct sk_buff *skb = (void *)ctx;

	return BPF_CORE_READ(skb, head) + BPF_CORE_READ(skb, network_header) == BPF_CORE_READ(skb, data);
}

/*
 * Type and offset of layer 3. Devices with and without a link header share the program, and a context does
 * not tell which it is: bytes 12 and 13 are the type in Ethernet and, in IPv4, part of the source address,
 * which anybody may choose.
 */
static __always_inline enum pst_parse pst_link_skb(
	struct __sk_buff *ctx, const struct pst_cursor *c, __u16 *ret_type, __u32 *ret_off)
{
	__u16 proto = bpf_ntohs(ctx->protocol), type;
	const __u8 *h = pst_pull(c, 0, PST_ETH_BYTES);
	bool eth, ip;

	*ret_type = proto;
	*ret_off = 0;
	if (!h)
		return PST_PARSE_SHORT;
	type = pst_be16(h + 12);
	eth = type == proto || type == PST_ETH_VLAN || type == PST_ETH_QINQ;
	ip = (proto == PST_ETH_IP && h[0] >> 4 == 4) || (proto == PST_ETH_IPV6 && h[0] >> 4 == 6);
	if (eth && ip)
		eth = !pst_link_none(ctx);
	if (eth)
		return pst_parse_eth(c, ret_type, ret_off);
	return ip ? PST_PARSE_OK : PST_PARSE_OTHER;
}

#endif
