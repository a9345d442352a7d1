/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Flows are told what became of them: of what passes, the flow program (judged.bpf.h); of what the guard
 * drops or answers itself, nobody sees more, so it is added to a table of flows here.
 */
#ifndef PST_FWFLOW_BPF_H
#define PST_FWFLOW_BPF_H

#include "bpf/lib/guardpkt.bpf.h"
#include "bpf/lib/judged.bpf.h"
#include "bpf/lib/slots.bpf.h"

#define GUARD_VERDICT_COUNTER 16 /* in guard_packet.verdict: the rule's counter from this bit on */

const volatile __u32 cfg_guard_netns = 0; /* whose interfaces are guarded; 0: not known */

/* Frozen by the loader and mapped read-only by the collector. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, PST_GUARD_FLOW_SLOTS);
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, __u32);
	__type(value, struct pst_flow);
} guard_flows SEC(".maps");

/* As `claims` of `flows`. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 4096);
	__type(key, __u32);
	__type(value, __u64);
} guard_claims SEC(".maps");

/*
 * New flows of all CPUs together: making one is dear, and forged packets are of a new one each. So many find
 * a place within the time that a slot stays taken. Who is above the rate changes nothing, so in a flood all
 * CPUs only read that line.
 */
#define FWFLOW_COST_NS  1000000ULL   /* 1,000 a second */
#define FWFLOW_AHEAD_NS 999000000ULL /* and 1,000 at once */

struct fwflow_rate {
	__u64 until; /* ns of CLOCK_BOOTTIME up to which the rate has been used */
	__u64 pad[7];
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct fwflow_rate);
} guard_flow_new SEC(".maps");

/*
 * Eight bits of each slot's key, a bucket to a word: what is not there is not in the bucket, so a packet of a
 * new flow reads one word that is warm in place of slots that are not. Written with the bucket's claim.
 */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, PST_GUARD_FLOW_SLOTS / PST_BUCKET_SLOTS);
	__type(key, __u32);
	__type(value, __u64);
} guard_flow_tags SEC(".maps");

#define FWFLOW_ONES 0x0101010101010101ULL

static __always_inline __u64 fwflow_tag(__u64 hash)
{
	return (hash >> 8 & 0x7f) | 0x80;
}

/* False: it is certainly not in the bucket. */
static __always_inline bool fwflow_may_be(__u32 bucket, __u64 hash)
{
	const __u64 *tags = bpf_map_lookup_elem(&guard_flow_tags, &bucket);
	__u64 differ = tags ? PST_READ(*tags) ^ fwflow_tag(hash) * FWFLOW_ONES : 0;

	return (differ - FWFLOW_ONES) & ~differ & (FWFLOW_ONES << 7);
}

static __always_inline void fwflow_set_tag(__u32 index, __u64 hash)
{
	__u32 bucket = index / PST_BUCKET_SLOTS, shift = index % PST_BUCKET_SLOTS * 8;
	__u64 *tags = bpf_map_lookup_elem(&guard_flow_tags, &bucket);

	if (tags)
		PST_WRITE(*tags, (PST_READ(*tags) & ~(0xffULL << shift)) | fwflow_tag(hash) << shift);
}

#define FWFLOW_TABLE                                                                                         \
	{                                                                                                    \
		.table = &guard_flows, .claims = &guard_claims, .mask = PST_GUARD_FLOW_SLOTS - 1,            \
		.key_words = sizeof(struct pst_flow_key) / 8,                                                \
		.last_off = offsetof(struct pst_flow, last_ns), .idle_ns = PST_GUARD_FLOW_IDLE_NS,           \
	}

static __always_inline bool fwflow_in_rate(__u64 now)
{
	__u32 zero = 0;
	struct fwflow_rate *rate = bpf_map_lookup_elem(&guard_flow_new, &zero);
	__u64 until = rate ? PST_READ(rate->until) : 0;

	if (!rate || until > now + FWFLOW_AHEAD_NS)
		return false;
	if (until < now)
		PST_WRITE(rate->until, now + FWFLOW_COST_NS);
	else
		__sync_fetch_and_add(&rate->until, FWFLOW_COST_NS);
	return true;
}

/* PST_JUDGED of the packet at hand; only a verdict of the rules' has a rule. */
static __always_inline __u64 fwflow_word(const struct guard_packet *pkt)
{
	switch (pkt->reason) {
	case PST_GUARD_FW_ACCEPT:
	case PST_GUARD_FW_DROP:
	case PST_GUARD_FW_REJECT:
	case PST_GUARD_FW_STEP:
		return PST_JUDGED(pkt->reason, pkt->verdict >> GUARD_VERDICT_COUNTER, pkt->fw_generation);
	default:
		return PST_JUDGED(pkt->reason, PST_JUDGED_NO_RULE, 0);
	}
}

/* Bytes of layer 3 on the wire, as `flows` has them. */
static __always_inline __u64 fwflow_bytes(const struct guard_packet *pkt)
{
	__u32 real = pkt->bytes > pkt->off ? pkt->bytes - pkt->off : 0;

	if (pkt->packets > 1)
		return real + (__u64)(pkt->packets - 1) * pkt->p.hdr_len;
	return pkt->p.l3_len && pkt->p.l3_len < real ? pkt->p.l3_len : real;
}

static __always_inline void fwflow_add(struct pst_flow *flow, const struct guard_packet *pkt)
{
	__u32 flags = PST_READ(flow->tcp_flags) | pkt->p.tcp_flags;
	__u64 word = fwflow_word(pkt);

	__sync_fetch_and_add(&flow->packets, pkt->packets);
	__sync_fetch_and_add(&flow->bytes, fwflow_bytes(pkt));
	if (flow->last_ns != pkt->now_ns)
		PST_WRITE(flow->last_ns, pkt->now_ns);
	if (flags != flow->tcp_flags)
		PST_WRITE(flow->tcp_flags, flags);
	if (word != flow->judged_last)
		PST_WRITE(flow->judged_last, word);
}

/* What the flow before has is told up to the collector's last look; it finds out by `gone_packets`. */
static __always_inline void fwflow_fill(struct pst_flow *flow, const struct guard_packet *pkt, bool used)
{
	flow->gone_packets = used ? flow->gone_packets + flow->packets : 0;
	flow->packets = pkt->packets;
	flow->bytes = fwflow_bytes(pkt);
	flow->first_ns = pkt->now_ns;
	PST_WRITE(flow->last_ns, pkt->now_ns);
	flow->tcp_flags = pkt->p.tcp_flags;
	flow->netns = pkt->key.netns;
	flow->judged_first = fwflow_word(pkt);
	flow->judged_last = flow->judged_first;
}

/* The rare half, once a flow. */
__noinline int fwflow_new(__u64 hash)
{
	struct guard_packet *pkt = guard_packet();
	const struct pst_slots t = FWFLOW_TABLE;
	enum pst_slots_got got = PST_SLOTS_NONE;
	struct pst_head_slot *slot = NULL;
	struct pst_place place;
	__u64 old = 0, now;
	__u32 index = 0;

	if (!pkt)
		return 0;
	now = pkt->now_ns;
	place = pst_slots_place_of(&t, hash);
	if (fwflow_in_rate(now))
		got = pst_slots_get(&t, &place, (__u64 *)&pkt->key, now, &slot, &index, &old);
	if (got == PST_SLOTS_NONE || !slot) {
		guard_count_reason(PST_GUARD_FLOW_FULL, pkt);
		return 0;
	}
	if (got == PST_SLOTS_FOUND) {
		fwflow_add((struct pst_flow *)slot, pkt);
		return 0;
	}
	pst_slots_set_key(&t, slot, (__u64 *)&pkt->key);
	fwflow_fill((struct pst_flow *)slot, pkt, old);
	fwflow_set_tag(index, hash);
	pst_slots_publish(slot);
	pst_slots_release(&t, &place);
	return 0;
}

static __always_inline void fwflow_dropped(struct guard_packet *pkt)
{
	const struct pst_slots t = FWFLOW_TABLE;
	struct pst_flow *flow = NULL;
	struct pst_place place;
	__u32 index;
	__u64 hash;

	pkt->key.ifindex = pkt->fw.ifindex;
	pkt->key.netns = cfg_guard_netns;
	pkt->key.dir = PST_DIR_IN;
	guard_now_ns(pkt);
	hash = pst_slots_hash((__u64 *)&pkt->key, t.key_words);
	place = pst_slots_place_of(&t, hash);
	if (fwflow_may_be(place.bucket, hash))
		flow = pst_slots_find(&t, &place, (__u64 *)&pkt->key, pkt->now_ns, &index);
	if (flow)
		fwflow_add(flow, pkt);
	else
		fwflow_new(hash);
}

/* With PST_GUARD_FLOWS: the verdict on the packet at hand is known. What is no IP is no flow. */
__noinline int fwflow_judged(bool passes)
{
	struct guard_packet *pkt = guard_packet();

	if (!pkt || !pkt->key.family || guard_is_trial(pkt))
		return 0;
	if (passes)
		judged_put((__u64 *)&pkt->key, pkt->fw.ifindex, fwflow_word(pkt));
	else
		fwflow_dropped(pkt);
	return 0;
}

#endif
