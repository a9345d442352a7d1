/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Flows and interface counters: what passes an interface, at tc (both ways)
 * or, where the configuration says so, at XDP (in only).
 *
 * Packets are packets on the wire and bytes are bytes of layer 3 on the wire: a GSO or
 * GRO packet counts as its segments, each with its headers.
 */
#include "bpf/lib/common.bpf.h"
#include "bpf/vmlinux_net.h"
#include "bpf/lib/emit.bpf.h"
#include "bpf/lib/judged.bpf.h"
#include "bpf/lib/link.bpf.h"
#include "bpf/lib/maps_flow.bpf.h"
#include "bpf/lib/maps_ring_flow.bpf.h"
#include "bpf/lib/parse.bpf.h"
#include "bpf/lib/slots.bpf.h"

const volatile __u32 cfg_flow_mask = 65536 - 1;             /* slots in `flows` - 1 */
const volatile __u64 cfg_flow_idle_ns = 30ULL * 1000000000; /* a slot idle for so long may be taken over */
const volatile bool cfg_flow_table = true;                  /* account flows */
const volatile bool cfg_flow_ifaces = true;                 /* account interfaces */
const volatile __u32 cfg_flow_judged = 0;                   /* there is a guard that may have judged them */

/* Headers that are made contiguous when they are not: link, IP and its longest sensible chain, transport. */
#define FLOW_PULL 256

/* One packet as it will be accounted. */
struct flow_packet {
	struct pst_flow_key key;
	struct pst_packet p;
	__u64 now;
	__u64 bytes;
	__u64 judged; /* PST_JUDGED; 0: not known */
	__u32 packets;
	__u32 off; /* of layer 3 */
	__u16 type;
};

/*
 * The packet at hand. Programs at tc and XDP run with bottom halves off and never one inside another, so one
 * a CPU is enough; and what comes out of a map says nothing to the verifier of how it got there, which keeps
 * it from following every chain of headers through all the rest. Its functions are global for the same
 * reason: each is verified once.
 */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct flow_packet);
} flow_scratch SEC(".maps");

static __always_inline struct flow_packet *flow_packet(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&flow_scratch, &zero);
}

#define FLOW_TABLE                                                                                           \
	{                                                                                                    \
		.table = &flows, .claims = &claims, .mask = cfg_flow_mask,                                   \
		.key_words = sizeof(struct pst_flow_key) / 8,                                                \
		.last_off = offsetof(struct pst_flow, last_ns), .idle_ns = cfg_flow_idle_ns,                 \
	}

static __always_inline void flow_judged(struct pst_flow *flow, __u64 word)
{
	if (!flow->judged_first)
		PST_WRITE(flow->judged_first, word);
	if (flow->judged_last != word)
		PST_WRITE(flow->judged_last, word);
}

static __always_inline void flow_add(struct pst_flow *flow, const struct flow_packet *pkt)
{
	__u32 flags = PST_READ(flow->tcp_flags) | pkt->p.tcp_flags;

	__sync_fetch_and_add(&flow->packets, pkt->packets);
	__sync_fetch_and_add(&flow->bytes, pkt->bytes);
	PST_WRITE(flow->last_ns, pkt->now);
	/* no atomic or before 5.12: two CPUs that each bring a new flag in the same nanoseconds may lose one
	 */
	if (flags != flow->tcp_flags)
		PST_WRITE(flow->tcp_flags, flags);
	if (pkt->judged)
		flow_judged(flow, pkt->judged);
}

static __always_inline void flow_evict(const struct pst_flow *flow, __u32 index, __u64 gen)
{
	struct pst_rec_flow *rec = pst_reserve(&ring_flow, PST_CLASS_FLOW, sizeof(*rec));

	if (!rec)
		return;
	pst_head(&rec->h, PST_REC_FLOW_EVICTED, sizeof(*rec));
	rec->index = index;
	rec->slot = *flow;
	rec->slot.gen = gen;
	pst_submit(&ring_flow, PST_CLASS_FLOW, rec, sizeof(*rec));
}

/* The rare half, once a flow: out of line, so that the common one stays small. */
__noinline int flow_new(void)
{
	struct flow_packet *pkt = flow_packet();
	const struct pst_slots t = FLOW_TABLE;
	struct pst_head_slot *slot = NULL;
	struct pst_class_stat *s;
	struct pst_place place;
	struct pst_flow *flow;
	__u64 old = 0, now;
	__u32 index = 0;

	if (!pkt)
		return 0;
	now = pkt->now;
	place = pst_slots_place(&t, (__u64 *)&pkt->key);
	switch (pst_slots_get(&t, &place, (__u64 *)&pkt->key, now, &slot, &index, &old)) {
	case PST_SLOTS_FOUND:
		if (slot)
			flow_add((struct pst_flow *)slot, pkt);
		return 0;
	case PST_SLOTS_TAKEN:
		break;
	default:
		s = pst_stat(PST_CLASS_FLOW);
		if (s) {
			__sync_fetch_and_add(&s->table_full, pkt->packets);
			__sync_fetch_and_add(&s->table_full_bytes, pkt->bytes);
		}
		return 0;
	}
	if (!slot)
		return 0;
	flow = (struct pst_flow *)slot;
	if (old)
		flow_evict(flow, index, old);
	pst_slots_set_key(&t, slot, (__u64 *)&pkt->key);
	flow->packets = pkt->packets;
	flow->bytes = pkt->bytes;
	flow->first_ns = now;
	PST_WRITE(flow->last_ns, now);
	flow->tcp_flags = pkt->p.tcp_flags;
	flow->netns = pkt->key.netns;
	flow->judged_first = flow->judged_last = pkt->judged;
	pst_slots_publish(slot);
	pst_slots_release(&t, &place);
	return 0;
}

static __always_inline void flow_count(struct flow_packet *pkt)
{
	const struct pst_slots t = FLOW_TABLE;
	struct pst_place place = pst_slots_place(&t, (__u64 *)&pkt->key);
	struct pst_flow *flow;
	__u32 index;

	flow = pst_slots_find(&t, &place, (__u64 *)&pkt->key, pkt->now, &index);
	if (flow)
		flow_add(flow, pkt);
	else
		flow_new();
}

static __always_inline void iface_count(const struct flow_packet *pkt, enum pst_parse what)
{
	struct pst_iface_key key = {
		.ifindex = pkt->key.ifindex,
		.netns = pkt->key.netns,
		.dir = pkt->key.dir,
	};
	struct pst_iface_count *c, zero = {};
	struct pst_class_stat *s;

	if (pkt->type == PST_ETH_IP || pkt->type == PST_ETH_IPV6 || pkt->type == PST_ETH_ARP)
		key.ethertype = pkt->type;
	if (what == PST_PARSE_OK)
		key.protocol = pst_protocol_known(pkt->key.protocol) ? pkt->key.protocol : PST_PROTOCOL_REST;
	c = bpf_map_lookup_elem(&iface_counters, &key);
	if (!c) {
		bpf_map_update_elem(&iface_counters, &key, &zero, BPF_NOEXIST);
		c = bpf_map_lookup_elem(&iface_counters, &key);
	}
	if (c) {
		c->packets += pkt->packets;
		c->bytes += pkt->bytes;
		return;
	}
	s = pst_stat(PST_CLASS_FLOW);
	if (s)
		__sync_fetch_and_add(&s->unread, 1);
}

static __always_inline void flow_account(struct flow_packet *pkt, enum pst_parse what)
{
	if (cfg_flow_ifaces)
		iface_count(pkt, what);
	if (cfg_flow_table && what == PST_PARSE_OK)
		flow_count(pkt);
}

/*
 * Wire packets and layer 3 bytes of a packet of which @real bytes from layer 3 on are here. A length in the
 * header that exceeds what is here makes it SHORT; one that is smaller is right, the rest is padding.
 */
static __always_inline enum pst_parse flow_measure(
	struct flow_packet *pkt, enum pst_parse what, __u32 real, __u32 gso_size, __u32 gso_segs)
{
	pkt->packets = 1;
	pkt->bytes = real;
	if (what != PST_PARSE_OK)
		return what;
	if (!gso_size) {
		if (pkt->p.l3_len > real)
			return PST_PARSE_SHORT;
		if (pkt->p.l3_len)
			pkt->bytes = pkt->p.l3_len;
		return PST_PARSE_OK;
	}
	if (!gso_segs && real > pkt->p.hdr_len) /* from a guest: nobody counted them yet */
		gso_segs = (real - pkt->p.hdr_len + gso_size - 1) / gso_size;
	if (gso_segs > 1) {
		pkt->packets = gso_segs;
		pkt->bytes += (__u64)(gso_segs - 1) * pkt->p.hdr_len;
	}
	return PST_PARSE_OK;
}

static __always_inline __u32 flow_netns(struct __sk_buff *ctx)
{
	struct sk_buff *skb = (void *)ctx;

	return BPF_CORE_READ(skb, dev, nd_net.net, ns.inum);
}

/* Headers of the packet into flow_packet(); enum pst_parse. */
__noinline int flow_parse(struct __sk_buff *ctx)
{
	struct pst_cursor c = {
		.data = (void *)(long)ctx->data, .end = (void *)(long)ctx->data_end, .len = ctx->len};
	struct flow_packet *pkt = flow_packet();
	enum pst_parse what;
	__u32 off = 0;
	__u16 type = 0;

	if (!pkt)
		return PST_PARSE_SHORT;
	__builtin_memset(pkt, 0, sizeof(*pkt));
	what = pst_link_skb(ctx, &c, &type, &off);
	pkt->type = type;
	pkt->off = off;
	if (what != PST_PARSE_OK)
		return what;
	return pst_parse_ip(&c, off, type, &pkt->key, &pkt->p);
}

static __always_inline void flow_tc(struct __sk_buff *ctx, __u8 dir)
{
	struct flow_packet *pkt = flow_packet();
	enum pst_parse what = flow_parse(ctx);
	__u32 len = ctx->len;

	if (what == PST_PARSE_SHORT && (long)ctx->data_end - (long)ctx->data < len) {
		/* headers outside the linear part: some drivers, and senders with pages */
		if (!bpf_skb_pull_data(ctx, len < FLOW_PULL ? len : FLOW_PULL))
			what = flow_parse(ctx);
	}
	if (!pkt)
		return;
	pkt->now = bpf_ktime_get_boot_ns();
	pkt->key.ifindex = ctx->ifindex;
	pkt->key.netns = flow_netns(ctx);
	pkt->key.dir = dir;
	if (cfg_flow_judged && dir == PST_DIR_IN && what == PST_PARSE_OK)
		pkt->judged = judged_take((__u64 *)&pkt->key, pkt->key.ifindex);
	what = flow_measure(pkt, what, len > pkt->off ? len - pkt->off : 0, ctx->gso_size, ctx->gso_segs);
	flow_account(pkt, what);
}

SEC("tc")
int flow_ingress(struct __sk_buff *ctx)
{
	flow_tc(ctx, PST_DIR_IN);
	return TC_ACT_UNSPEC;
}

SEC("tc")
int flow_egress(struct __sk_buff *ctx)
{
	flow_tc(ctx, PST_DIR_OUT);
	return TC_ACT_UNSPEC;
}

__noinline int flow_parse_xdp(struct xdp_md *ctx)
{
	struct pst_cursor c = {.data = (void *)(long)ctx->data, .end = (void *)(long)ctx->data_end};
	struct flow_packet *pkt = flow_packet();
	enum pst_parse what;
	__u32 off = 0;
	__u16 type = 0;

	if (!pkt)
		return PST_PARSE_SHORT;
	c.len = (long)c.end - (long)c.data;
	__builtin_memset(pkt, 0, sizeof(*pkt));
	pkt->bytes = c.len; /* what comes after this call has no use for packet pointers */
	what = pst_parse_eth(&c, &type, &off);
	pkt->type = type;
	pkt->off = off;
	if (what != PST_PARSE_OK)
		return what;
	return pst_parse_ip(&c, off, type, &pkt->key, &pkt->p);
}

SEC("xdp")
int flow_xdp(struct xdp_md *ctx)
{
	struct xdp_buff *xdp = (void *)ctx;
	struct flow_packet *pkt = flow_packet();
	enum pst_parse what = flow_parse_xdp(ctx);
	__u32 len;

	if (!pkt)
		return XDP_PASS;
	len = pkt->bytes;
	pkt->now = bpf_ktime_get_boot_ns();
	pkt->key.ifindex = ctx->ingress_ifindex;
	pkt->key.netns = BPF_CORE_READ(xdp, rxq, dev, nd_net.net, ns.inum);
	pkt->key.dir = PST_DIR_IN;
	what = flow_measure(pkt, what, len > pkt->off ? len - pkt->off : 0, 0, 0);
	flow_account(pkt, what);
	return XDP_PASS;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
