// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only OR BSD-2-Clause
/*
 * What the guard is measured against: a bare drop, and the bare parser and a drop. And what feeds them:
 * before each run the packet gets the addresses and ports of the next of many flows, since a test run gives
 * every program the same packet again.
 */
#include "bpf/lib/common.bpf.h"
#include "bpf/vmlinux_net.h"
#include "bpf/lib/ct.bpf.h"
#include "bpf/lib/parse.bpf.h"

struct bench_flow {
	__u32 saddr, daddr; /* network order, as ports */
	__u16 sport, dport;
	__u32 pad;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1 << 20);
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, __u32);
	__type(value, struct bench_flow);
} bench_flows SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u32);
} bench_next SEC(".maps");

struct bench_parsed {
	struct pst_flow_key key;
	struct pst_packet p;
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct bench_parsed);
} bench_parsed SEC(".maps");

__u32 bench_n = 1; /* flows */
__u32 bench_at = 0;

SEC("xdp")
int bench_feed(struct xdp_md *ctx)
{
	__u8 *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	__u32 i = bench_at + 1;
	struct bench_flow *f;

	if (i >= bench_n)
		i = 0;
	bench_at = i;
	f = bpf_map_lookup_elem(&bench_flows, &i);
	if (!f || data + 38 > end)
		return XDP_PASS;
	*(__u32 *)(data + 26) = f->saddr;
	*(__u32 *)(data + 30) = f->daddr;
	*(__u16 *)(data + 34) = f->sport;
	*(__u16 *)(data + 36) = f->dport;
	bpf_tail_call(ctx, &bench_next, 0);
	return XDP_PASS;
}

SEC("xdp")
int bench_drop(struct xdp_md *ctx)
{
	return XDP_DROP;
}

__noinline int bench_parse_packet(struct xdp_md *ctx)
{
	struct pst_cursor c = {.data = (void *)(long)ctx->data, .end = (void *)(long)ctx->data_end};
	struct bench_parsed *r;
	enum pst_parse what;
	__u32 zero = 0, off = 0;
	__u16 type = 0;

	r = bpf_map_lookup_elem(&bench_parsed, &zero);
	if (!r)
		return PST_PARSE_SHORT;
	c.len = (long)c.end - (long)c.data;
	__builtin_memset(r, 0, sizeof(*r));
	what = pst_parse_eth(&c, &type, &off);
	return what != PST_PARSE_OK ? what : pst_parse_ip(&c, off, type, &r->key, &r->p);
}

SEC("xdp")
int bench_parse(struct xdp_md *ctx)
{
	return bench_parse_packet(ctx) == PST_PARSE_OK ? XDP_DROP : XDP_PASS;
}

/* ---- a table of connections: ours, and the kernel's ---- */

struct bench_key {
	__u64 word[PST_CT_KEY_WORDS];
};

struct bench_conn {
	__u64 half[2];
	__u32 seen;
	__u32 isn;
};

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 1 << 18);
	__type(key, struct bench_key);
	__type(value, struct bench_conn);
} bench_lru SEC(".maps");

__u32 bench_now = 1000;

/* The parser, then what both have to do. */
static __always_inline bool bench_tuple(struct xdp_md *ctx, struct ct_tuple *t)
{
	struct bench_parsed *r;
	__u32 zero = 0;

	if (bench_parse_packet(ctx) != PST_PARSE_OK)
		return false;
	r = bpf_map_lookup_elem(&bench_parsed, &zero);
	if (r)
		ct_key(&r->key, r->key.sport, r->key.dport, t);
	return r;
}

SEC("xdp")
int bench_conn_lru(struct xdp_md *ctx)
{
	struct bench_conn *c, fresh = {.half = {PST_CT_SEEN}, .seen = bench_now};
	struct ct_tuple t;

	if (!bench_tuple(ctx, &t))
		return XDP_PASS;
	c = bpf_map_lookup_elem(&bench_lru, t.key);
	if (c && c->half[0] & PST_CT_SEEN) {
		if (c->seen != bench_now)
			c->seen = bench_now;
		return XDP_DROP;
	}
	bpf_map_update_elem(&bench_lru, t.key, &fresh, BPF_ANY);
	return XDP_DROP;
}

SEC("xdp")
int bench_conn_own(struct xdp_md *ctx)
{
	struct ct_new_entry make = {.half = {PST_CT_SEEN}};
	struct pst_ct_bucket *b;
	__u32 score, best = 0, way = 0, i;
	struct ct_tuple t;
	struct ct_hit hit;

	if (!bench_tuple(ctx, &t))
		return XDP_PASS;
	if (ct_search(CT_NEW, &t, bench_now, &hit)) {
		if (PST_READ(hit.e->seen) != bench_now)
			PST_WRITE(hit.e->seen, bench_now);
		return XDP_DROP;
	}
	b = ct_bucket(CT_NEW, &t);
	for (i = 0; b && i < PST_CT_WAYS; i++) {
		score = ct_score(ct_way(b, &t, i), &t, 0, bench_now);
		if (score > best) {
			best = score;
			way = i;
		}
	}
	if (b)
		ct_write(ct_way(b, &t, way), &t, &make, bench_now);
	return XDP_DROP;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
