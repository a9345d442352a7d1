/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * UDP traffic by socket and peer, at the root cgroup: every packet that a socket of the
 * host sends or receives passes here with layer 3 in front, so what is not UDP leaves at once.
 * A GSO or GRO packet counts as its datagrams. The verdict is always "allow".
 */
#include "bpf/lib/common.bpf.h"
#include "bpf/vmlinux_net.h"
#include "bpf/lib/emit.bpf.h"
#include "bpf/lib/maps_ring_net.bpf.h"
#include "bpf/lib/maps_udp.bpf.h"
#include "bpf/lib/parse.bpf.h"
#include "bpf/lib/slots.bpf.h"

const volatile __u32 cfg_udp_mask = 16384 - 1;             /* slots in `udp_peers` - 1 */
const volatile __u64 cfg_udp_idle_ns = 60ULL * 1000000000; /* a slot idle for so long may be taken over */

#define UDP_ALLOW  1
#define PF_KTHREAD 0x00200000
#define UDP_PROTO  17

/* One packet as it will be accounted. */
struct udp_packet {
	struct pst_udp_key key;
	__u8 laddr[16];
	__u64 now;
	__u64 bytes;
	__u32 packets;
	__u8 dir;
};

#define UDP_TABLE                                                                                            \
	{                                                                                                    \
		.table = &udp_peers, .claims = &claims_udp, .mask = cfg_udp_mask,                            \
		.key_words = sizeof(struct pst_udp_key) / 8, .last_off = offsetof(struct pst_udp, last_ns),  \
		.idle_ns = cfg_udp_idle_ns,                                                                  \
	}

/* The current process. False: a thread of the kernel, which owns no socket that anybody asks for. */
static __always_inline bool udp_current(struct pst_udp_owner *o)
{
	struct task_struct *t = (void *)bpf_get_current_task();

	if (BPF_CORE_READ(t, flags) & PF_KTHREAD)
		return false;
	o->pid = BPF_CORE_READ(t, tgid);
	o->pad = 0;
	o->start_ns = BPF_CORE_READ(t, group_leader, start_boottime);
	o->cgroup_id = BPF_CORE_READ(t, cgroups, dfl_cgrp, kn, id);
	return o->pid;
}

/* pid last: who reads it finds the rest. */
static __always_inline void udp_set_owner(struct pst_udp *u, const struct pst_udp_owner *o)
{
	PST_WRITE(u->start_ns, o->start_ns);
	PST_WRITE(u->cgroup_id, o->cgroup_id);
	PST_WRITE(u->pid, o->pid);
}

static __always_inline void udp_add(struct pst_udp *u, const struct udp_packet *pkt)
{
	if (pkt->dir == PST_DIR_OUT) {
		__sync_fetch_and_add(&u->tx_packets, pkt->packets);
		__sync_fetch_and_add(&u->tx_bytes, pkt->bytes);
	} else {
		__sync_fetch_and_add(&u->rx_packets, pkt->packets);
		__sync_fetch_and_add(&u->rx_bytes, pkt->bytes);
	}
	PST_WRITE(u->last_ns, pkt->now);
}

static __always_inline void udp_evict(const struct pst_udp *u, __u32 index, __u64 gen)
{
	struct pst_rec_udp *rec = pst_reserve(&ring_net, PST_CLASS_NET, sizeof(*rec));

	if (!rec)
		return;
	pst_head(&rec->h, PST_REC_UDP_EVICTED, sizeof(*rec));
	rec->index = index;
	rec->slot = *u;
	rec->slot.gen = gen;
	pst_submit(&ring_net, PST_CLASS_NET, rec, sizeof(*rec));
}

/* Whose is the socket? The sender's, when it sends; else of who bound it. */
static __always_inline void udp_find_owner(
	struct __sk_buff *ctx, const struct udp_packet *pkt, struct pst_udp_owner *o)
{
	struct pst_udp_owner *known;

	if (pkt->dir == PST_DIR_OUT && udp_current(o)) {
		bpf_map_update_elem(&udp_owners, &pkt->key.cookie, o, BPF_ANY);
		return;
	}
	known = bpf_map_lookup_elem(&udp_owners, &pkt->key.cookie);
	if (known)
		*o = *known;
	else
		o->cgroup_id = bpf_skb_cgroup_id(ctx);
}

static __always_inline __u32 udp_netns(struct __sk_buff *ctx)
{
	struct sk_buff *skb = (void *)ctx;

	return BPF_CORE_READ(skb, sk, __sk_common.skc_net.net, ns.inum);
}

static __always_inline void udp_fill(
	struct pst_udp *u, const struct udp_packet *pkt, const struct pst_udp_owner *o, __u32 netns)
{
	bool out = pkt->dir == PST_DIR_OUT;

	__builtin_memcpy(u->laddr, pkt->laddr, sizeof(u->laddr));
	u->tx_packets = out ? pkt->packets : 0;
	u->tx_bytes = out ? pkt->bytes : 0;
	u->rx_packets = out ? 0 : pkt->packets;
	u->rx_bytes = out ? 0 : pkt->bytes;
	PST_WRITE(u->last_ns, pkt->now);
	u->netns = netns;
	udp_set_owner(u, o);
}

/* The rare half, once a peer. */
static __noinline void udp_new(struct __sk_buff *ctx, struct udp_packet *pkt)
{
	const struct pst_slots t = UDP_TABLE;
	struct pst_place place = pst_slots_place(&t, (__u64 *)&pkt->key);
	struct pst_udp_owner found = {}, owner;
	struct pst_head_slot *slot = NULL;
	struct pst_class_stat *s;
	__u32 index = 0, netns;
	__u64 old = 0;

	/* before the bucket is claimed: others may be waiting for it */
	udp_find_owner(ctx, pkt, &found);
	pst_settle((__u64 *)&owner, (const __u64 *)&found, sizeof(owner) / 8, ctx->len);
	netns = udp_netns(ctx);
	switch (pst_slots_get(&t, &place, (__u64 *)&pkt->key, pkt->now, &slot, &index, &old)) {
	case PST_SLOTS_FOUND:
		if (slot)
			udp_add((struct pst_udp *)slot, pkt);
		return;
	case PST_SLOTS_TAKEN:
		break;
	default:
		s = pst_stat(PST_CLASS_NET);
		if (s) {
			__sync_fetch_and_add(&s->table_full, pkt->packets);
			__sync_fetch_and_add(&s->table_full_bytes, pkt->bytes);
		}
		return;
	}
	if (!slot)
		return;
	if (old)
		udp_evict((struct pst_udp *)slot, index, old);
	pst_slots_set_key(&t, slot, (__u64 *)&pkt->key);
	udp_fill((struct pst_udp *)slot, pkt, &owner, netns);
	pst_slots_publish(slot);
	pst_slots_release(&t, &place);
}

static __always_inline void udp_count(struct __sk_buff *ctx, struct udp_packet *pkt)
{
	const struct pst_slots t = UDP_TABLE;
	struct pst_place place = pst_slots_place(&t, (__u64 *)&pkt->key);
	struct pst_udp_owner owner;
	struct pst_udp *u;
	__u32 index;

	u = pst_slots_find(&t, &place, (__u64 *)&pkt->key, pkt->now, &index);
	if (!u) {
		udp_new(ctx, pkt);
		return;
	}
	/* a socket that was bound by one process (socket activation) and is used by another: the first to
	 * send decides */
	if (pkt->dir == PST_DIR_OUT && !PST_READ(u->tx_packets) && udp_current(&owner))
		udp_set_owner(u, &owner);
	udp_add(u, pkt);
}

/* Ports, addresses and length of a UDP packet. False: not UDP after all. */
static __always_inline bool udp_parse(
	struct __sk_buff *ctx, const struct pst_cursor *c, __u16 type, struct udp_packet *pkt)
{
	struct pst_flow_key key = {};
	struct pst_packet p = {};
	bool out = pkt->dir == PST_DIR_OUT;

	if (pst_parse_ip(c, 0, type, &key, &p) != PST_PARSE_OK || key.protocol != UDP_PROTO ||
		p.later_fragment)
		return false;
	__builtin_memcpy(pkt->laddr, out ? key.saddr : key.daddr, 16);
	__builtin_memcpy(pkt->key.raddr, out ? key.daddr : key.saddr, 16);
	pkt->key.lport = out ? key.sport : key.dport;
	pkt->key.rport = out ? key.dport : key.sport;
	pkt->key.family = key.family;
	pkt->packets = ctx->gso_segs > 1 ? ctx->gso_segs : 1;
	pkt->bytes = ctx->len > p.hdr_len ? ctx->len - p.hdr_len : 0;
	return true;
}

static __always_inline void udp_packet(struct __sk_buff *ctx, __u8 dir)
{
	struct pst_cursor c = {
		.data = (void *)(long)ctx->data, .end = (void *)(long)ctx->data_end, .len = ctx->len};
	struct udp_packet parsed = {.dir = dir}, pkt;
	const __u8 *h = pst_pull(&c, 0, 20);
	__u16 type;

	if (!h)
		return;
	if (h[0] >> 4 == 4) {
		if (h[9] != UDP_PROTO)
			return;
		type = PST_ETH_IP;
	} else {
		/* UDP, or an extension header before it */
		if (h[6] != UDP_PROTO && h[6] != IPPROTO_HOPOPTS && h[6] != IPPROTO_ROUTING &&
			h[6] != IPPROTO_FRAGMENT && h[6] != IPPROTO_DSTOPTS)
			return;
		type = PST_ETH_IPV6;
	}
	if (!udp_parse(ctx, &c, type, &parsed))
		return;
	pst_settle((__u64 *)&pkt, (const __u64 *)&parsed, sizeof(pkt) / 8, c.len);
	pkt.dir = dir;
	pkt.now = bpf_ktime_get_boot_ns();
	pkt.key.cookie = bpf_get_socket_cookie(ctx);
	udp_count(ctx, &pkt);
}

SEC("cgroup_skb/egress")
int udp_egress(struct __sk_buff *ctx)
{
	udp_packet(ctx, PST_DIR_OUT);
	return UDP_ALLOW;
}

SEC("cgroup_skb/ingress")
int udp_ingress(struct __sk_buff *ctx)
{
	udp_packet(ctx, PST_DIR_IN);
	return UDP_ALLOW;
}

/* A socket that only receives never shows its owner in a packet. */
static __always_inline int udp_bound(struct bpf_sock *ctx)
{
	struct pst_udp_owner owner = {};
	__u64 cookie;

	if (ctx->protocol != UDP_PROTO || !udp_current(&owner))
		return UDP_ALLOW;
	cookie = bpf_get_socket_cookie(ctx);
	bpf_map_update_elem(&udp_owners, &cookie, &owner, BPF_ANY);
	return UDP_ALLOW;
}

SEC("cgroup/post_bind4")
int udp_bind4(struct bpf_sock *ctx)
{
	return udp_bound(ctx);
}

SEC("cgroup/post_bind6")
int udp_bind6(struct bpf_sock *ctx)
{
	return udp_bound(ctx);
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
