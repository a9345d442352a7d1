/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Headers of a packet in a tracing program: a copy of its linear part from the network header on, parsed. */
#ifndef PST_SKB_BPF_H
#define PST_SKB_BPF_H

#include "bpf/vmlinux_net.h"

#define PST_PARSE_COPY 128
#include "bpf/lib/common.bpf.h"
#include "bpf/lib/parse.bpf.h"

#define PST_SKB_DEPTH 4 /* process, softirq, interrupt, NMI: each may cut into the one before */

/* One packet: the copy of its headers, and what they say. */
struct pst_skb_level {
	__u8 bytes[PST_PARSE_COPY];
	struct pst_flow_key key;
	struct pst_packet p;
};

struct pst_skb_scratch {
	__u64 depth;
	struct pst_skb_level level[PST_SKB_DEPTH];
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct pst_skb_scratch);
} skb_scratch SEC(".maps");

static __always_inline struct pst_skb_scratch *pst_skb_scratch(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&skb_scratch, &zero);
}

static __always_inline enum pst_parse pst_skb_copy(struct sk_buff *skb, struct pst_skb_level *l)
{
	__u16 type = bpf_ntohs(BPF_CORE_READ(skb, protocol));
	__u32 net = BPF_CORE_READ(skb, network_header), tail = BPF_CORE_READ(skb, tail), len;
	struct pst_cursor c = {.data = l->bytes};

	__builtin_memset(&l->key, 0, sizeof(l->key));
	__builtin_memset(&l->p, 0, sizeof(l->p));
	if (type != PST_ETH_IP && type != PST_ETH_IPV6)
		return PST_PARSE_OTHER;
	if (!net || net == 0xffff || net >= tail) /* never set */
		return PST_PARSE_SHORT;
	len = tail - net;
	if (len > PST_PARSE_COPY)
		len = PST_PARSE_COPY;
	pst_hide(len);
	if (len > PST_PARSE_COPY || bpf_probe_read_kernel(l->bytes, len, BPF_CORE_READ(skb, head) + net))
		return PST_PARSE_SHORT;
	c.len = len;
	return pst_parse_ip(&c, 0, type, &l->key, &l->p);
}

/* Into level @depth; enum pst_parse. Global, so that it is verified once; @skb is the packet's address. */
__noinline int pst_skb_parse(__u64 skb, __u32 depth)
{
	struct pst_skb_scratch *s = pst_skb_scratch();

	if (!s || depth >= PST_SKB_DEPTH)
		return PST_PARSE_SHORT;
	return pst_skb_copy((struct sk_buff *)skb, &s->level[depth]);
}

/* A level of our own until pst_skb_leave(). NULL: too deep. */
static __always_inline struct pst_skb_level *pst_skb_enter(__u32 *ret_depth)
{
	struct pst_skb_scratch *s = pst_skb_scratch();
	__u64 depth;

	if (!s)
		return NULL;
	depth = *(volatile __u64 *)&s->depth;
	if (depth >= PST_SKB_DEPTH)
		return NULL;
	*(volatile __u64 *)&s->depth = depth + 1;
	*ret_depth = depth;
	return &s->level[depth];
}

static __always_inline void pst_skb_leave(__u32 depth)
{
	struct pst_skb_scratch *s = pst_skb_scratch();

	if (s)
		*(volatile __u64 *)&s->depth = depth;
}

static __always_inline __u32 pst_skb_netns(struct sk_buff *skb)
{
	return BPF_CORE_READ(skb, dev, nd_net.net, ns.inum);
}

#endif
