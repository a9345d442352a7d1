// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only OR BSD-2-Clause
/*
 * Look-ups of a blocked source address: in the address table, in a hash map, and none. Each run of a program
 * is a packet from the next of `n_sources` addresses, which are made from a counter, so that a repeated test
 * run goes through all of them.
 */
#include "bpf/lib/common.bpf.h"
#include "bpf/vmlinux_net.h"

#include <bpf/bpf_endian.h>

#include "proto/abi/lookup/block.h"

#define LINES     (1u << 19)
#define ETH_IP    0x0800
#define XDP_DROP  1
#define HASH_SIZE 1100000

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, LINES);
	__type(key, __u32);
	__type(value, union pst_line);
} block_lines SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, HASH_SIZE);
	__type(key, __u32);
	__type(value, __u64);
} block_hash SEC(".maps");

struct eth_ip {
	__u8 mac[12];
	__be16 proto;
	__u8 before[12];
	__u8 saddr[4];
	__u8 daddr[4];
} __attribute__((packed));

struct eth_ip6 {
	__u8 mac[12];
	__be16 proto;
	__u8 before[8];
	__u8 saddr[16];
	__u8 daddr[16];
} __attribute__((packed));

/* Set between runs: which addresses the packets come from. */
__u32 first, n_sources, next;

/* The packet's source, replaced by the next one. */
static __always_inline __u32 source(struct xdp_md *ctx)
{
	const struct eth_ip *p = (void *)(long)ctx->data;
	__u32 i;

	if ((void *)(p + 1) > (void *)(long)ctx->data_end || p->proto != bpf_htons(ETH_IP))
		return 0;
	i = next;
	next = i + 1 < n_sources ? i + 1 : 0;
	/* all different, as the product is with an odd number */
	return (first + i) * 2654435761u + (p->saddr[0] & 0);
}

static __always_inline __u32 present(void)
{
	return bpf_ktime_get_boot_ns() / 1000000000;
}

/* All but the look-up. */
SEC("xdp")
int bench_floor(struct xdp_md *ctx)
{
	return source(ctx) == present() ? XDP_PASS : XDP_DROP;
}

SEC("xdp")
int bench_bare(struct xdp_md *ctx)
{
	(void)ctx;
	return XDP_DROP;
}

SEC("xdp")
int bench_table(struct xdp_md *ctx)
{
	struct pst_half half = {.table = &block_lines, .mask = LINES - 1};
	struct pst_block_hit hit;
	__u32 now = present();

	return pst_block_match_4(&half, source(ctx), now, &hit) >= PST_BLOCK_ADDRESS ? XDP_DROP : XDP_PASS;
}

SEC("xdp")
int bench_hash(struct xdp_md *ctx)
{
	__u32 addr = source(ctx), now = present();
	__u64 *word = bpf_map_lookup_elem(&block_hash, &addr);

	return word && (__u32)*word > now ? XDP_DROP : XDP_PASS;
}

/* The rest of the look-up, for the verifier. */
SEC("xdp")
int bench_table6(struct xdp_md *ctx)
{
	const struct eth_ip6 *p = (void *)(long)ctx->data;
	struct pst_half half = {.table = &block_lines, .mask = LINES - 1};
	struct pst_block_addr addr = {};
	struct pst_block_hit hit;
	int i;

	if ((void *)(p + 1) > (void *)(long)ctx->data_end)
		return XDP_PASS;
	for (i = 0; i < 8; i++) {
		addr.hi = addr.hi << 8 | p->saddr[i];
		addr.lo = addr.lo << 8 | p->saddr[8 + i];
	}
	return pst_block_match_6(&half, &addr, present(), &hit) >= PST_BLOCK_ADDRESS ? XDP_DROP : XDP_PASS;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
