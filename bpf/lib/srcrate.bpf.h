/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What a source may send (struct pst_rates), of all protocols together and of each. A source has a moment for
 * each limit up to which it has used its share; each packet moves it on. Its share of a protocol has a key,
 * and so a place, of its own. One whose moments have all passed is like one that nobody knows,
 * so its place is free for others: forged sources hold places only as long as what they sent takes, and who
 * finds none is not limited.
 *
 * Moments are moved on by atomic adds, so two CPUs count together. One that takes a place while another adds
 * to it may be charged with a packet of its predecessor; nothing else can go wrong.
 */
#ifndef PST_SRCRATE_BPF_H
#define PST_SRCRATE_BPF_H

#include "bpf/lib/sigs.bpf.h"
#include "bpf/lib/trial.bpf.h"

#define SRCRATE_SETS 65536

struct srcrate_source {
	__u64 key;
	__u64 until[PST_LIMITS]; /* ns of CLOCK_BOOTTIME */
};

struct srcrate_set {
	struct srcrate_source way[PST_SRC_WAYS];
};
static_assert(sizeof(struct srcrate_set) == 64, "a cache line");

/* The loader sets the size and cfg_src_mask together. Mapped arrays begin at a page. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, SRCRATE_SETS);
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, __u32);
	__type(value, struct srcrate_set);
} src_rates SEC(".maps");

const volatile __u32 cfg_src_mask = SRCRATE_SETS - 1; /* sets - 1 */

/* Who has one address of a network of 64 bits has all of them. ::/32 has no hosts. */
static __always_inline __u64 srcrate_key(const struct pst_flow_key *k)
{
	if (k->family == AF_INET)
		return (__u64) * (const __u32 *)&k->saddr[12] << 32;
	return *(const __u64 *)&k->saddr[0];
}

static __always_inline struct srcrate_source *srcrate_known(struct srcrate_set *set, __u64 key)
{
	if (PST_READ(set->way[0].key) == key)
		return &set->way[0];
	return PST_READ(set->way[1].key) == key ? &set->way[1] : NULL;
}

static __always_inline bool srcrate_is_free(const struct srcrate_source *s, __u64 now)
{
	return PST_READ(s->until[0]) <= now && PST_READ(s->until[1]) <= now && PST_READ(s->until[2]) <= now;
}

static __always_inline struct srcrate_source *srcrate_free(struct srcrate_set *set, __u64 now)
{
	if (srcrate_is_free(&set->way[0], now))
		return &set->way[0];
	return srcrate_is_free(&set->way[1], now) ? &set->way[1] : NULL;
}

/* A source may be in two sets. NULL: all four places are taken. */
static __always_inline struct srcrate_source *srcrate_find(__u64 key, __u64 now)
{
	__u64 h = pst_slots_hash(&key, 1);
	__u32 a = h & cfg_src_mask, b = h >> 32 & cfg_src_mask;
	struct srcrate_set *first = bpf_map_lookup_elem(&src_rates, &a), *second;
	struct srcrate_source *s;

	if (!first)
		return NULL;
	s = srcrate_known(first, key);
	if (s)
		return s;
	second = bpf_map_lookup_elem(&src_rates, &b);
	if (!second)
		return NULL;
	s = srcrate_known(second, key);
	if (s)
		return s;
	s = srcrate_free(first, now);
	if (!s)
		s = srcrate_free(second, now);
	return s;
}

static __always_inline __u64 srcrate_cost(
	const struct guard_packet *pkt, const struct pst_rates *rates, enum pst_limit which)
{
	__u64 cost = PST_READ(rates->cost_ns[which]);

	if (which == PST_LIMIT_PACKETS)
		return cost * pkt->packets;
	if (which == PST_LIMIT_BYTES)
		return cost * pkt->bytes >> 10;
	return pkt->key.protocol == IPPROTO_TCP && (pkt->p.tcp_flags & 0x12) == 0x02 ? cost : 0;
}

/* Places in pst_guard_why.share. */
enum srcrate_share {
	SRCRATE_ALL = 0,
	SRCRATE_PROTOCOL,
};

/* A trial moves a copy on. @share is a constant. */
static __always_inline struct srcrate_source *srcrate_trial(const struct guard_packet *pkt,
	const struct srcrate_source *s, __u64 key, const struct pst_rates *rates, enum srcrate_share share)
{
	struct pst_guard_why *why = guard_why_entry();
	struct pst_guard_why_share *note;
	struct srcrate_source *copy;
	__u32 i;

	if (!why)
		return NULL;
	note = &why->share[share];
	note->rates = *rates;
	note->source = !s                        ? PST_GUARD_SOURCE_FULL
		       : PST_READ(s->key) == key ? PST_GUARD_SOURCE_KNOWN
						 : PST_GUARD_SOURCE_NEW;
	PST_SLOTS_UNROLL
	for (i = 0; i < PST_LIMITS; i++)
		note->cost[i] = srcrate_cost(pkt, rates, i);
	if (!s)
		return NULL;
	copy = (struct srcrate_source *)note->moved;
	copy->key = key;
	PST_SLOTS_UNROLL
	for (i = 0; i < PST_LIMITS; i++)
		note->until[i] = copy->until[i] = PST_READ(s->until[i]);
	return copy;
}

/* In a place of its own; NULL: there is none. */
static __always_inline struct srcrate_source *srcrate_take(const struct guard_packet *pkt, __u64 key,
	const struct pst_rates *rates, enum srcrate_share share, __u64 now)
{
	struct srcrate_source *s = srcrate_find(key, now);

	if (guard_is_trial(pkt))
		return srcrate_trial(pkt, s, key, rates, share);
	if (s && PST_READ(s->key) != key)
		PST_WRITE(s->key, key);
	return s;
}

static __always_inline bool srcrate_is_over(const struct guard_packet *pkt, const struct srcrate_source *s,
	const struct pst_rates *rates, __u64 now)
{
	__u32 i;

	PST_SLOTS_UNROLL
	for (i = 0; i < PST_LIMITS; i++)
		if (srcrate_cost(pkt, rates, i) &&
			PST_READ(s->until[i]) > now + PST_READ(rates->ahead_us[i]) * 1000ULL)
			return true;
	return false;
}

static __always_inline void srcrate_charge(
	const struct guard_packet *pkt, struct srcrate_source *s, const struct pst_rates *rates, __u64 now)
{
	__u64 cost;
	__u32 i;

	PST_SLOTS_UNROLL
	for (i = 0; i < PST_LIMITS; i++) {
		cost = srcrate_cost(pkt, rates, i);
		if (!cost)
			continue;
		if (PST_READ(s->until[i]) < now)
			PST_WRITE(s->until[i], now + cost);
		else
			__sync_fetch_and_add(&s->until[i], cost);
	}
}

static_assert(__builtin_offsetof(struct pst_guard_limits, cost_ns) ==
			      __builtin_offsetof(struct pst_rates, cost_ns) &&
		      __builtin_offsetof(struct pst_guard_limits, ahead_us) ==
			      __builtin_offsetof(struct pst_rates, ahead_us),
	"the limits begin with their rates");

enum srcrate_found {
	SRCRATE_WITHIN = 0,
	SRCRATE_OVER,
	SRCRATE_FULL, /* there is no place for its source */
};

/* Of all protocols together: enum srcrate_found. What is dropped takes nothing of its source's share. */
static __always_inline __u32 guard_over_limit(void)
{
	struct guard_packet *pkt = guard_packet();
	const struct pst_rates *rates;
	const struct pst_guard *g;
	struct srcrate_source *s;
	__u32 zero = 0;
	__u64 now;

	g = bpf_map_lookup_elem(&guard, &zero);
	if (!pkt || !g)
		return SRCRATE_WITHIN;
	rates = (const struct pst_rates *)&g->limits;
	now = guard_now_ns(pkt);
	s = srcrate_take(pkt, srcrate_key(&pkt->key), rates, SRCRATE_ALL, now);
	if (!s)
		return SRCRATE_FULL;
	if (srcrate_is_over(pkt, s, rates, now))
		return SRCRATE_OVER;
	srcrate_charge(pkt, s, rates, now);
	return SRCRATE_WITHIN;
}

/* Multiplied, as the lower half of an IPv6 network's key is anything. */
static __always_inline __u64 srcrate_protocol_key(const struct pst_flow_key *k, __u64 protocol)
{
	return srcrate_key(k) ^ (protocol + 1) * 0x9e3779b97f4a7c15ULL;
}

/* Of its protocol, enum srcrate_found: is it over, or else, with @charge, that it was let through. */
__noinline int guard_protocol_limit(__u32 charge)
{
	struct guard_packet *pkt = guard_packet();
	const struct pst_rates *rates;
	const struct pst_guard *g;
	struct srcrate_source *s;
	__u64 now, protocol;
	__u32 zero = 0;

	g = bpf_map_lookup_elem(&guard, &zero);
	if (!pkt || !g || (charge && guard_is_trial(pkt)))
		return SRCRATE_WITHIN;
	protocol = sig_protocol(pkt->key.protocol);
	pst_keep(protocol);
	if (protocol >= PST_SIG_PROTOCOLS)
		return SRCRATE_WITHIN;
	rates = &g->by_protocol[protocol];
	if (!(PST_READ(rates->cost_ns[0]) | PST_READ(rates->cost_ns[1]) | PST_READ(rates->cost_ns[2])))
		return SRCRATE_WITHIN;
	now = guard_now_ns(pkt);
	s = srcrate_take(pkt, srcrate_protocol_key(&pkt->key, protocol), rates, SRCRATE_PROTOCOL, now);
	if (!s)
		return SRCRATE_FULL;
	if (!charge)
		return srcrate_is_over(pkt, s, rates, now) ? SRCRATE_OVER : SRCRATE_WITHIN;
	srcrate_charge(pkt, s, rates, now);
	return SRCRATE_WITHIN;
}

/* Both, before either is charged. A packet that one of them does not limit is counted once. */
static __always_inline bool guard_over_limits(const struct guard_packet *pkt)
{
	__u32 protocol = SRCRATE_WITHIN, all = SRCRATE_WITHIN;

	if (pkt->flags & PST_GUARD_BY_PROTOCOL)
		protocol = guard_protocol_limit(false);
	if (protocol == SRCRATE_OVER)
		return true;
	if (pkt->flags & PST_GUARD_LIMITS)
		all = guard_over_limit();
	if (all == SRCRATE_OVER)
		return true;
	if (pkt->flags & PST_GUARD_BY_PROTOCOL && protocol == SRCRATE_WITHIN)
		guard_protocol_limit(true);
	if (protocol == SRCRATE_FULL || all == SRCRATE_FULL)
		guard_count_reason(PST_GUARD_RATE_FULL, pkt);
	return false;
}

#endif
