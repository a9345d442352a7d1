/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Offenders (struct pst_offenders): who goes on to send what flags, signatures and limits drop is blocked for
 * a time. Each packet that is dropped moves its source's moment on; who is too far ahead of the clock is
 * blocked. So offences are forgotten with time, and a place is free again when they are.
 *
 * Anybody can send in the name of another. So what counts is, unless PST_GUARD_FORGEABLE is set, what belongs
 * to an open TCP connection and has the numbers of both its sides, which only the two ends know.
 *
 * Nothing gives way: a source that finds no place is not counted. Moments are moved on by atomic adds; a word
 * has bits of its source's hash, so that a place that two CPUs take at once is one's or free.
 */
#ifndef PST_OFFEND_BPF_H
#define PST_OFFEND_BPF_H

#include "bpf/lib/ct_read.bpf.h"
#include "bpf/lib/srcrate.bpf.h"

/* Mapped arrays begin at a page, so that sets are cache lines. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, PST_OFFENDER_SETS + 1);
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, __u32);
	__type(value, struct pst_offenders);
} offenders SEC(".maps");

/* Where a source is, and how its word is known. */
struct offend_place {
	struct pst_offenders *set;
	__u64 source;
	__u64 tag;
};

static __always_inline __u64 offend_now(struct guard_packet *pkt)
{
	return guard_now_ns(pkt) >> PST_OFFENDER_UNIT & PST_OFFENDER_TIME;
}

static __always_inline bool offend_place(const struct guard_packet *pkt, struct offend_place *ret_place)
{
	__u64 source = srcrate_key(&pkt->key), h = pst_slots_hash(&source, 1);
	__u32 i = h % PST_OFFENDER_SETS;

	ret_place->source = source;
	ret_place->tag = h & PST_OFFENDER_TAG;
	ret_place->set = bpf_map_lookup_elem(&offenders, &i);
	return source && ret_place->set;
}

static __always_inline bool offend_is(const struct pst_offender *o, const struct offend_place *place)
{
	return PST_READ(o->source) == place->source && (PST_READ(o->word) & PST_OFFENDER_TAG) == place->tag;
}

static __always_inline struct pst_offender *offend_known(const struct offend_place *place)
{
	struct pst_offenders *set = place->set;

	if (offend_is(&set->way[0], place))
		return &set->way[0];
	if (offend_is(&set->way[1], place))
		return &set->way[1];
	if (offend_is(&set->way[2], place))
		return &set->way[2];
	return offend_is(&set->way[3], place) ? &set->way[3] : NULL;
}

static __always_inline bool offend_is_free(const struct pst_offender *o, __u64 now)
{
	return (PST_READ(o->word) & PST_OFFENDER_TIME) <= now;
}

static __always_inline struct pst_offender *offend_free(struct pst_offenders *set, __u64 now)
{
	if (offend_is_free(&set->way[0], now))
		return &set->way[0];
	if (offend_is_free(&set->way[1], now))
		return &set->way[1];
	if (offend_is_free(&set->way[2], now))
		return &set->way[2];
	return offend_is_free(&set->way[3], now) ? &set->way[3] : NULL;
}

/* ---- is it blocked? ---- */

/* Nearly always nobody is: a word that all CPUs only read. */
static __always_inline bool offend_any(__u64 now)
{
	__u32 i = PST_OFFENDER_HEAD;
	struct pst_offenders *head = bpf_map_lookup_elem(&offenders, &i);

	return head && PST_READ(head->way[0].source) > now;
}

static __always_inline bool offend_is_blocked(__u64 word, __u64 now)
{
	return word & PST_OFFENDER_BLOCKED && (word & PST_OFFENDER_TIME) > now;
}

/* True: the packet's source is blocked. */
__noinline int guard_is_offender(void)
{
	struct guard_packet *pkt = guard_packet();
	struct offend_place place;
	struct pst_offender *o;
	__u64 now, word;

	if (!pkt)
		return false;
	now = offend_now(pkt);
	if (!offend_any(now) || !offend_place(pkt, &place))
		return false;
	o = offend_known(&place);
	if (!o)
		return false;
	word = PST_READ(o->word);
	if (!offend_is_blocked(word, now))
		return false;
	pkt->offender = word;
	return true;
}

/* ---- what was dropped ---- */

#define OFFENCES (1u << PST_GUARD_RATE | 1u << PST_GUARD_SIGNATURE | 1u << PST_GUARD_BAD_FLAGS)

static __always_inline bool guard_offends(const struct guard_packet *pkt, __u32 reason)
{
	return pkt->flags & PST_GUARD_OFFENDERS && OFFENCES >> (reason & 31) & 1 && !guard_is_trial(pkt);
}

static __always_inline __u64 offend_cause(__u32 reason)
{
	__u64 cause = reason == PST_GUARD_RATE        ? PST_OFFENCE_RATE
		      : reason == PST_GUARD_SIGNATURE ? PST_OFFENCE_SIGNATURE
						      : PST_OFFENCE_FLAGS;

	return cause << PST_OFFENDER_CAUSE_SHIFT;
}

static __always_inline void offend_block(const struct guard_packet *pkt, struct pst_offender *o,
	const struct offend_place *place, __u64 until, __u32 reason)
{
	__u32 i = PST_OFFENDER_HEAD;
	struct pst_offenders *head = bpf_map_lookup_elem(&offenders, &i);

	until &= PST_OFFENDER_TIME;
	PST_WRITE(o->word, PST_OFFENDER_BLOCKED | offend_cause(reason) | place->tag | until);
	if (head && PST_READ(head->way[0].source) < until)
		PST_WRITE(head->way[0].source, until);
	guard_count_event(PST_GUARD_OFFENDER_BLOCKED, pkt);
}

static __always_inline void offend_count(const struct guard_packet *pkt, struct pst_offender *o,
	const struct offend_place *place, __u32 reason, __u64 now)
{
	__u32 zero = 0;
	const struct pst_guard *g = bpf_map_lookup_elem(&guard, &zero);
	__u64 word = offend_is(o, place) ? PST_READ(o->word) : place->tag;
	__u64 moment = word & PST_OFFENDER_TIME, cost;

	if (!g || offend_is_blocked(word, now))
		return; /* it runs dry, or another CPU was faster */
	cost = (__u64)PST_READ(g->limits.offend_cost) * pkt->packets;
	if (PST_READ(o->source) != place->source)
		PST_WRITE(o->source, place->source);
	if ((moment > now ? moment - now : 0) + cost >= PST_READ(g->limits.offend_ahead))
		offend_block(pkt, o, place, now + ((__u64)PST_READ(g->limits.offend_for) << 10), reason);
	else if (moment > now)
		__sync_fetch_and_add(&o->word, cost);
	else
		PST_WRITE(o->word, place->tag | ((now + cost) & PST_OFFENDER_TIME));
}

/* One more packet that was dropped; @reason: enum pst_guard_reason. */
__noinline int guard_offend(__u32 reason)
{
	struct guard_packet *pkt = guard_packet();
	struct offend_place place;
	struct pst_offender *o;
	__u64 now;

	if (!pkt || !offend_place(pkt, &place))
		return 0;
	now = offend_now(pkt);
	o = offend_known(&place);
	if (!o)
		o = offend_free(place.set, now);
	if (o)
		offend_count(pkt, o, &place, reason, now);
	else
		guard_count_reason(PST_GUARD_OFFENDER_FULL, pkt);
	return 0;
}

/*
 * It is of an open TCP connection, and fits what both sides sent last. Who knows addresses and ports, but
 * sees nothing of it, has to guess what the host sent last, to 256 KiB: one packet of 8,192. After
 * guard_ct_read_*().
 */
__noinline int guard_offend_proven(void)
{
	struct guard_packet *pkt = guard_packet();
	struct ct_hit hit;
	__u64 own, other;

	if (!pkt || pkt->p.inner_off || pkt->ct.kind != GUARD_CT_TCP ||
		pkt->p.tcp_flags & (TCP_SYN | TCP_RST))
		return false;
	guard_now(pkt);
	if (!ct_find(CT_CONFIRMED, &pkt->ct.flow, pkt->now, &hit) || !ct_is_open(&hit))
		return false;
	own = ct_own(&hit, pkt->ct.flow.dir);
	other = ct_own(&hit, !pkt->ct.flow.dir);
	return ct_is_next(pkt, own) && ct_answers(pkt, other) &&
	       ct_is_near(pkt->ct.ack, (__u32)other, CT_SLACK);
}

static __always_inline void guard_offend_xdp(struct xdp_md *ctx, const struct guard_packet *pkt, __u32 reason)
{
	if (!(pkt->flags & PST_GUARD_FORGEABLE)) {
		guard_ct_read_xdp(ctx);
		if (!guard_offend_proven())
			return;
	}
	guard_offend(reason);
}

static __always_inline void guard_offend_skb(
	struct __sk_buff *ctx, const struct guard_packet *pkt, __u32 reason)
{
	if (!(pkt->flags & PST_GUARD_FORGEABLE)) {
		guard_ct_read_skb(ctx);
		if (!guard_offend_proven())
			return;
	}
	guard_offend(reason);
}

/* Connections are tracked without rules too: they show whose an address is. */
static __always_inline bool guard_offend_asks(const struct guard_packet *pkt)
{
	return (pkt->flags & (PST_GUARD_OFFENDERS | PST_GUARD_FORGEABLE)) == PST_GUARD_OFFENDERS;
}

#endif
