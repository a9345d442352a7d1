/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What a source may send (struct pst_guard_limits). A source has a moment for each limit up to which it has
 * used its share; each packet moves it on. One whose moments have all passed is like one that nobody knows,
 * so its place is free for others: forged sources hold places only as long as what they sent takes, and who
 * finds none is not limited.
 *
 * Moments are moved on by atomic adds, so two CPUs count together. One that takes a place while another adds
 * to it may be charged with a packet of its predecessor; nothing else can go wrong.
 */
#ifndef PST_SRCRATE_BPF_H
#define PST_SRCRATE_BPF_H

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
	const struct guard_packet *pkt, const struct pst_guard_limits *limits, enum pst_limit which)
{
	__u64 cost = PST_READ(limits->cost_ns[which]);

	if (which == PST_LIMIT_PACKETS)
		return cost * pkt->packets;
	if (which == PST_LIMIT_BYTES)
		return cost * pkt->bytes >> 10;
	return pkt->key.protocol == IPPROTO_TCP && (pkt->p.tcp_flags & 0x12) == 0x02 ? cost : 0;
}

/* A trial moves a copy on. */
static __always_inline struct srcrate_source *srcrate_trial(const struct guard_packet *pkt,
	const struct srcrate_source *s, __u64 key, const struct pst_guard_limits *limits)
{
	struct pst_guard_why *why = guard_why_entry();
	struct srcrate_source *copy;
	__u32 i;

	if (!why)
		return NULL;
	why->limits = *limits;
	why->source = !s                        ? PST_GUARD_SOURCE_FULL
		      : PST_READ(s->key) == key ? PST_GUARD_SOURCE_KNOWN
						: PST_GUARD_SOURCE_NEW;
	PST_SLOTS_UNROLL
	for (i = 0; i < PST_LIMITS; i++)
		why->cost[i] = srcrate_cost(pkt, limits, i);
	if (!s)
		return NULL;
	copy = (struct srcrate_source *)why->moved;
	copy->key = key;
	PST_SLOTS_UNROLL
	for (i = 0; i < PST_LIMITS; i++)
		why->until[i] = copy->until[i] = PST_READ(s->until[i]);
	return copy;
}

/* The packet's source, in a place of its own; NULL: there is none. */
static __always_inline struct srcrate_source *srcrate_take(
	const struct guard_packet *pkt, const struct pst_guard_limits *limits, __u64 now)
{
	__u64 key = srcrate_key(&pkt->key);
	struct srcrate_source *s = srcrate_find(key, now);

	if (guard_is_trial(pkt))
		return srcrate_trial(pkt, s, key, limits);
	if (s && PST_READ(s->key) != key)
		PST_WRITE(s->key, key);
	return s;
}

static __always_inline bool srcrate_is_over(const struct srcrate_source *s,
	const struct pst_guard_limits *limits, enum pst_limit which, __u64 now)
{
	return PST_READ(s->until[which]) > now + PST_READ(limits->ahead_us[which]) * 1000ULL;
}

static __always_inline void srcrate_charge(
	struct srcrate_source *s, enum pst_limit which, __u64 cost, __u64 now)
{
	if (!cost)
		return;
	if (PST_READ(s->until[which]) < now)
		PST_WRITE(s->until[which], now + cost);
	else
		__sync_fetch_and_add(&s->until[which], cost);
}

/* What is dropped takes nothing of its source's share. */
__noinline int guard_over_limit(void)
{
	struct guard_packet *pkt = guard_packet();
	const struct pst_guard_limits *limits;
	const struct pst_guard *g;
	__u64 cost[PST_LIMITS], now;
	struct srcrate_source *s;
	__u32 zero = 0, i;

	g = bpf_map_lookup_elem(&guard, &zero);
	if (!pkt || !g)
		return false;
	limits = &g->limits;
	now = guard_now_ns(pkt);
	s = srcrate_take(pkt, limits, now);
	if (!s) {
		guard_count_reason(PST_GUARD_RATE_FULL, pkt);
		return false;
	}
	PST_SLOTS_UNROLL
	for (i = 0; i < PST_LIMITS; i++) {
		cost[i] = srcrate_cost(pkt, limits, i);
		if (cost[i] && srcrate_is_over(s, limits, i, now))
			return true;
	}
	PST_SLOTS_UNROLL
	for (i = 0; i < PST_LIMITS; i++)
		srcrate_charge(s, i, cost[i], now);
	return false;
}

#endif
