/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What a packet is to the connections that are tracked: guard_ct_judge() before the rules, which only reads
 * the tables, and guard_ct_settle() when they have let it pass, which alone writes them. A packet that is
 * dropped leaves no trace.
 */
#ifndef PST_CT_TRACK_BPF_H
#define PST_CT_TRACK_BPF_H

#include "bpf/lib/trial.bpf.h"

enum guard_ct_kind {
	GUARD_CT_NONE = 0, /* nothing to track */
	GUARD_CT_TCP,
	GUARD_CT_OTHER,  /* by addresses, protocol, and ports where there are any */
	GUARD_CT_ANSWER, /* likewise, and says nothing of itself: an echo reply */
	GUARD_CT_ERROR,  /* quotes a packet */
	GUARD_CT_BAD,
};

#define GUARD_CT_UNKNOWN PST_CT_STATES /* no entry */
#define GUARD_CT_CLOSING 0x100         /* beside the state: another connection may have come after it */

/* How far a number may be from the one that is noted: what is on its way, but for very long and wide paths.
 */
#define CT_WINDOW (4 << 20)
/* The last segment is noted only when it moved so far: a store for each packet would send the line about. */
#define CT_SLACK    (256 << 10)
#define CT_FLIGHT   (1 << 30) /* no window is larger (RFC 7323, 2.3) */
#define CT_SYN_DATA 65536     /* what may come with a SYN is less (RFC 7413) */

#define TCP_FIN 0x01
#define TCP_SYN 0x02
#define TCP_RST 0x04
#define TCP_ACK 0x10
#define TCP_URG 0x20

/* SYN, SYN URG, SYN ACK, RST, RST ACK, FIN ACK, FIN ACK URG, ACK, ACK URG: the rest is sent by nobody. */
#define CT_FLAGS_SEEN (TCP_FIN | TCP_SYN | TCP_RST | TCP_ACK | TCP_URG)
#define CT_FLAGS_VALID                                                                                       \
	(1ULL << 0x02 | 1ULL << 0x22 | 1ULL << 0x12 | 1ULL << 0x04 | 1ULL << 0x14 | 1ULL << 0x11 |           \
		1ULL << 0x31 | 1ULL << 0x10 | 1ULL << 0x30)

static __always_inline void ct_trial_hit(__u32 table, const struct ct_hit *hit)
{
	struct pst_guard_why *why = guard_why_entry();

	if (!why)
		return;
	why->ct_found |= 1u << table;
	why->ct[table] = *hit->e;
}

/* ct_search() for the packet at hand, of which @t is a part. */
static __always_inline bool ct_find(__u32 table, const struct ct_tuple *t, __u32 now, struct ct_hit *ret_hit)
{
	const struct guard_packet *pkt =
		(const void *)((const char *)t - offsetof(struct guard_packet, ct.flow));

	if (!ct_search(table, t, now, ret_hit))
		return false;
	if (guard_is_trial(pkt))
		ct_trial_hit(table, ret_hit);
	return true;
}

static __always_inline bool ct_flags_valid(__u32 flags)
{
	return CT_FLAGS_VALID >> (flags & CT_FLAGS_SEEN) & 1;
}

static __always_inline bool ct_flags_may_be_open(__u32 flags)
{
	return ct_flags_valid(flags) && (flags & (TCP_SYN | TCP_ACK)) != TCP_SYN;
}

/* Constant indices on the two ways: the halves are in registers. */
static __always_inline __u64 ct_own(const struct ct_hit *hit, __u32 dir)
{
	return dir ? hit->half[1] : hit->half[0];
}

/* The entry was seen now, and its side's half becomes @half. Nothing to do: nearly always. */
static __always_inline void ct_update(struct guard_packet *pkt, const struct ct_hit *hit, __u64 half)
{
	if (ct_own(hit, pkt->ct.flow.dir) == half && PST_READ(hit->e->seen) == pkt->now)
		return;
	pkt->ct.own = half;
	pkt->ct.at = hit->at;
	pkt->ct.pending |= GUARD_CT_UPDATE;
}

static __always_inline __u64 ct_with_end(__u64 half, __u32 end)
{
	return (half & ~PST_CT_END_MASK) | end;
}

static __always_inline bool ct_is_near(__u32 a, __u32 b, __u32 window)
{
	return a - b + window <= 2 * window;
}

static __always_inline __u32 ct_begin(struct guard_packet *pkt, __u64 how)
{
	struct guard_ct *ct = &pkt->ct;
	__u64 half = PST_CT_SEEN | PST_CT_ORIG | how | ct->next;

	if (ct->local)
		half |= PST_CT_LOCAL;
	ct->make.half[0] = ct->flow.dir ? 0 : half;
	ct->make.half[1] = ct->flow.dir ? half : 0;
	ct->make.isn = how & PST_CT_SYN ? ct->seq : ct->next - 1;
	ct->pending |= GUARD_CT_BEGIN;
	return PST_CT_NEW;
}

/* ---- TCP: numbers that fit (RFC 9293, 3.10.7.4; RFC 5961) ---- */

/* Near its own side's last segment. */
static __always_inline bool ct_is_next(const struct guard_packet *pkt, __u64 own)
{
	return own & PST_CT_SEEN && ct_is_near(pkt->ct.seq, (__u32)own, CT_WINDOW);
}

/* It acknowledges what the other side sent of late: a stranger does not know those numbers. */
static __always_inline bool ct_answers(const struct guard_packet *pkt, __u64 other)
{
	return other & PST_CT_SEEN && pkt->p.tcp_flags & TCP_ACK &&
	       ct_is_near(pkt->ct.ack, (__u32)other, CT_WINDOW);
}

/*
 * Likewise of a FIN, which is sent once: whatever may be on its way towards who sends it is not acknowledged
 * yet.
 */
static __always_inline bool ct_fin_answers(const struct guard_packet *pkt, __u64 other)
{
	return other & PST_CT_SEEN && pkt->p.tcp_flags & TCP_ACK &&
	       pkt->ct.ack - (__u32)other + CT_FLIGHT <= CT_FLIGHT + CT_WINDOW;
}

static __always_inline bool ct_is_ahead(__u32 a, __u32 b)
{
	return (__s32)(a - b) > 0;
}

/*
 * A side's half after a segment without SYN and RST. Either number fits, or it moves nothing; for a FIN both
 * have to. What comes behind a FIN takes it back. @exact: every number is noted, and not only leaps.
 */
static __always_inline __u64 ct_go_on(const struct guard_packet *pkt, __u64 own, __u64 other, bool exact)
{
	bool local = pkt->ct.local, next = ct_is_next(pkt, own), stays;

	if (!local && !next && !ct_answers(pkt, other))
		return own;
	own &= ~PST_CT_RST; /* who goes on has not reset: it was somebody else, or very old */
	if (pkt->p.tcp_flags & TCP_FIN && (local || (next && ct_fin_answers(pkt, other))))
		return ct_with_end(own | PST_CT_FIN, pkt->ct.next);
	if (exact || own & PST_CT_FIN)
		stays = next && !ct_is_ahead(pkt->ct.next, (__u32)own);
	else
		stays = ct_is_near(pkt->ct.next, (__u32)own, CT_SLACK);
	return stays ? own : ct_with_end(own & ~PST_CT_FIN, pkt->ct.next);
}

/* ---- TCP that both sides have confirmed ---- */

static __always_inline bool ct_is_open(const struct ct_hit *hit)
{
	return hit->half[0] & hit->half[1] & PST_CT_ACKED;
}

/* Another connection may come after it. */
static __always_inline bool ct_is_closing(const struct ct_hit *hit)
{
	return (hit->half[0] | hit->half[1]) & PST_CT_RST || ct_closed(hit->half[0], hit->half[1]) == 2;
}

/* One that fits passes; it counts only close to where its side is, as the host takes no other. */
static __always_inline __u32 ct_open_reset(struct guard_packet *pkt, const struct ct_hit *hit)
{
	__u64 own = ct_own(hit, pkt->ct.flow.dir), other = ct_own(hit, !pkt->ct.flow.dir);
	bool answers = ct_answers(pkt, other);

	if (!answers && !ct_is_next(pkt, own))
		return PST_CT_INVALID;
	if (pkt->ct.local ||
		(ct_is_near(pkt->ct.seq, (__u32)own, CT_SLACK) && (answers || !(pkt->p.tcp_flags & TCP_ACK))))
		own |= PST_CT_RST;
	ct_update(pkt, hit, own);
	return PST_CT_ESTABLISHED;
}

static __always_inline __u32 ct_open_state(struct guard_packet *pkt, const struct ct_hit *hit)
{
	__u64 own = ct_own(hit, pkt->ct.flow.dir), other = ct_own(hit, !pkt->ct.flow.dir);
	__u32 flags = pkt->p.tcp_flags;

	if (flags & TCP_RST)
		return ct_open_reset(pkt, hit);
	if (flags & TCP_SYN) {
		if (!ct_is_next(pkt, own))
			return PST_CT_INVALID;
	} else {
		own = ct_go_on(pkt, own, other, false);
		if (!(other & PST_CT_FIN))
			own &= ~PST_CT_FIN_ACKED;
		else if (pkt->ct.ack == (__u32)other)
			own |= PST_CT_FIN_ACKED;
	}
	ct_update(pkt, hit, own);
	return PST_CT_ESTABLISHED;
}

/* enum pst_ct_state, perhaps with GUARD_CT_CLOSING, or GUARD_CT_UNKNOWN */
static __always_inline __u32 ct_judge_open(struct guard_packet *pkt)
{
	struct ct_hit hit;

	if (!ct_find(CT_CONFIRMED, &pkt->ct.flow, pkt->now, &hit))
		return GUARD_CT_UNKNOWN;
	return ct_open_state(pkt, &hit) | (ct_is_closing(&hit) ? GUARD_CT_CLOSING : 0);
}

__noinline int guard_ct_open(void)
{
	struct guard_packet *pkt = guard_packet();

	return pkt ? ct_judge_open(pkt) : GUARD_CT_UNKNOWN;
}

/* ---- TCP that has only begun ---- */

static __always_inline __u32 ct_new_syn(struct guard_packet *pkt, struct ct_hit *hit)
{
	__u32 dir = pkt->ct.flow.dir;
	__u64 own = ct_own(hit, dir), other = ct_own(hit, !dir);
	bool first = own & PST_CT_ORIG, again;

	if (ct_is_open(hit) && !ct_is_closing(hit))
		return PST_CT_NEW; /* leaves it alone, as one in the other table */
	again = other & PST_CT_SYN ? (__u32)own == pkt->ct.next : PST_READ(hit->e->isn) == pkt->ct.seq;
	if ((own | other) & PST_CT_RST || ct_is_open(hit) || !((first ? own : other) & PST_CT_SYN) ||
		(first && !again))
		return ct_begin(pkt, PST_CT_SYN);
	if (first && ct_is_ahead(pkt->ct.next, (__u32)own))
		own = ct_with_end(own, pkt->ct.next);
	if (!(own & PST_CT_SYN)) /* both sides open: data does not count then */
		own = ct_with_end(own | PST_CT_SEEN | PST_CT_SYN, pkt->ct.seq + 1);
	ct_update(pkt, hit, own);
	return first ? PST_CT_NEW : PST_CT_ESTABLISHED;
}

/* The entry's isn is the other side's. */
static __always_inline bool ct_isn_is_other(__u64 own, __u64 other)
{
	return own & PST_CT_ORIG ? other & PST_CT_ACKED : !(own & PST_CT_ACKED);
}

/* It acknowledges exactly the other's SYN, with what data it had or without (RFC 7413). */
static __always_inline bool ct_acks_syn(
	const struct guard_packet *pkt, const struct ct_hit *hit, __u64 own, __u64 other)
{
	return pkt->ct.ack == (__u32)other ||
	       (ct_isn_is_other(own, other) && pkt->ct.ack == PST_READ(hit->e->isn) + 1);
}

/* One that fits passes; it counts if it is exact. */
static __always_inline __u32 ct_new_reset(struct guard_packet *pkt, struct ct_hit *hit)
{
	__u32 dir = pkt->ct.flow.dir;
	__u64 own = ct_own(hit, dir), other = ct_own(hit, !dir);
	bool fits, counts;

	if (own & PST_CT_SEEN) {
		fits = ct_is_next(pkt, own);
		counts = pkt->ct.seq == (__u32)own;
	} else {
		counts = pkt->p.tcp_flags & TCP_ACK && ct_acks_syn(pkt, hit, own, other);
		fits = other & PST_CT_SYN ? counts : ct_answers(pkt, other);
	}
	if (!fits)
		return PST_CT_INVALID;
	ct_update(pkt, hit, counts ? own | PST_CT_SEEN | PST_CT_RST : own);
	return other & PST_CT_SEEN ? PST_CT_ESTABLISHED : PST_CT_NEW;
}

static __always_inline __u32 ct_new_syn_ack(struct guard_packet *pkt, struct ct_hit *hit)
{
	__u32 dir = pkt->ct.flow.dir;
	__u64 own = ct_own(hit, dir), other = ct_own(hit, !dir);
	bool first = own & PST_CT_ORIG;

	if (!(other & PST_CT_SYN))
		return PST_CT_INVALID;
	if (!first && own & PST_CT_ACKED && pkt->ct.seq == PST_READ(hit->e->isn) &&
		(__u32)other - pkt->ct.ack < CT_SYN_DATA) {
		ct_update(pkt, hit, own); /* once more */
		return PST_CT_ESTABLISHED;
	}
	if (!ct_acks_syn(pkt, hit, own, other))
		return PST_CT_INVALID;
	pkt->ct.own = ct_with_end(own | PST_CT_SEEN | PST_CT_SYN | PST_CT_ACKED, pkt->ct.next);
	pkt->ct.at = hit->at;
	pkt->ct.isn = pkt->ct.seq;
	pkt->ct.pending |= first ? GUARD_CT_UPDATE : GUARD_CT_UPDATE | GUARD_CT_ISN;
	if (other & PST_CT_ACKED)
		pkt->ct.pending |= GUARD_CT_CONFIRM;
	return PST_CT_ESTABLISHED;
}

/* Who was first has to show that it got the other's SYN, or what came behind it: that cannot be guessed. */
static __always_inline bool ct_new_shows(
	const struct guard_packet *pkt, const struct ct_hit *hit, __u64 own, __u64 other)
{
	__u32 first = ct_isn_is_other(own, other) ? PST_READ(hit->e->isn) + 1 : (__u32)other;

	return !ct_is_ahead(first, (__u32)other) && (__u32)other - pkt->ct.ack <= (__u32)other - first;
}

/* After the SYNs: the ACK that confirms, and what comes with it or before it. */
static __always_inline __u32 ct_new_ack(struct guard_packet *pkt, struct ct_hit *hit)
{
	__u32 dir = pkt->ct.flow.dir;
	__u64 own = ct_own(hit, dir), other = ct_own(hit, !dir);

	if (!(own & PST_CT_SYN)) /* a host that knows another connection asks back (RFC 9293, 3.5.2) */
		return PST_CT_ESTABLISHED;
	if (!(other & PST_CT_SYN))
		return PST_CT_INVALID;
	if (own & PST_CT_ACKED) {
		ct_update(pkt, hit, ct_go_on(pkt, own, other, true));
		return PST_CT_ESTABLISHED;
	}
	if (!pkt->ct.local && !ct_new_shows(pkt, hit, own, other))
		return PST_CT_INVALID;
	if (!(own & PST_CT_ORIG)) { /* from now on the entry's isn is this side's */
		pkt->ct.isn = (__u32)own - 1;
		pkt->ct.pending |= GUARD_CT_ISN;
	}
	own = (own | PST_CT_ACKED) & ~PST_CT_RST;
	if (ct_is_ahead(pkt->ct.next, (__u32)own))
		own = ct_with_end(own, pkt->ct.next);
	if (pkt->p.tcp_flags & TCP_FIN)
		own = ct_with_end(own | PST_CT_FIN, pkt->ct.next);
	ct_update(pkt, hit, own);
	if (other & PST_CT_ACKED)
		pkt->ct.pending |= GUARD_CT_CONFIRM;
	return PST_CT_ESTABLISHED;
}

/* A connection whose beginning nobody saw: what the host sends is believed once it is answered. */
static __always_inline __u32 ct_new_picked_up(struct guard_packet *pkt, struct ct_hit *hit)
{
	__u32 dir = pkt->ct.flow.dir;
	__u64 own = ct_own(hit, dir), other = ct_own(hit, !dir);
	bool believed = pkt->ct.local || ct_answers(pkt, other);

	if (own & PST_CT_SEEN)
		own = ct_go_on(pkt, own, other, false);
	else if (believed)
		own = ct_with_end(own | PST_CT_SEEN, pkt->ct.next);
	ct_update(pkt, hit, own);
	if (!(own & PST_CT_ORIG) && believed)
		pkt->ct.pending |= GUARD_CT_CONFIRM;
	return other & PST_CT_SEEN ? PST_CT_ESTABLISHED : PST_CT_NEW;
}

/* Both sides have confirmed it, but it found no room: judged as if it had, and tried again. */
static __always_inline __u32 ct_new_open(struct guard_packet *pkt, struct ct_hit *hit)
{
	__u32 state = ct_open_state(pkt, hit);

	if (state == PST_CT_ESTABLISHED && !(pkt->p.tcp_flags & TCP_RST))
		pkt->ct.pending |= GUARD_CT_CONFIRM;
	return state;
}

__noinline int guard_ct_embryo(void)
{
	struct guard_packet *pkt = guard_packet();
	struct ct_hit hit;
	__u32 flags;

	if (!pkt || !ct_find(CT_NEW, &pkt->ct.flow, pkt->now, &hit))
		return GUARD_CT_UNKNOWN;
	flags = pkt->p.tcp_flags;
	if ((flags & (TCP_SYN | TCP_ACK)) == TCP_SYN)
		return ct_new_syn(pkt, &hit);
	if (ct_is_open(&hit))
		return ct_new_open(pkt, &hit);
	if (flags & TCP_RST)
		return ct_new_reset(pkt, &hit);
	if (flags & TCP_SYN)
		return ct_new_syn_ack(pkt, &hit);
	if ((hit.half[0] | hit.half[1]) & PST_CT_SYN)
		return ct_new_ack(pkt, &hit);
	return ct_new_picked_up(pkt, &hit);
}

/* The host answers a SYN whose entry is gone, by a flood perhaps: it stands for the SYN too. */
static __always_inline __u32 ct_begin_answered(struct guard_packet *pkt)
{
	struct guard_ct *ct = &pkt->ct;
	__u64 own = PST_CT_SEEN | PST_CT_SYN | PST_CT_ACKED | ct->next;
	__u64 other = PST_CT_SEEN | PST_CT_ORIG | PST_CT_SYN | ct->ack;

	ct->make.half[0] = ct->flow.dir ? other : own;
	ct->make.half[1] = ct->flow.dir ? own : other;
	ct->make.isn = ct->seq;
	ct->pending |= GUARD_CT_BEGIN;
	return PST_CT_ESTABLISHED;
}

/* A segment that no entry explains; @begun: one is there, but this is not of it. */
static __always_inline __u32 ct_stray(struct guard_packet *pkt, __u32 begun)
{
	__u32 flags = pkt->p.tcp_flags;

	if (flags & TCP_SYN)
		return pkt->ct.local ? ct_begin_answered(pkt) : PST_CT_INVALID;
	if (flags & TCP_RST || begun == PST_CT_INVALID)
		return PST_CT_INVALID;
	if (pkt->ct.local || pkt->flags & PST_GUARD_CT_LOOSE)
		return ct_begin(pkt, 0);
	return PST_CT_INVALID;
}

static __always_inline __u32 ct_judge_tcp(struct guard_packet *pkt)
{
	__u32 flags = pkt->p.tcp_flags, open, begun, pending;

	if (!ct_flags_valid(flags))
		return PST_CT_INVALID;
	if ((flags & (TCP_SYN | TCP_ACK)) == TCP_SYN) {
		/* always the wish for a new one: whatever is known of an old one stays as it is */
		begun = guard_ct_embryo();
		return begun == GUARD_CT_UNKNOWN ? ct_begin(pkt, PST_CT_SYN) : begun;
	}
	open = guard_ct_open();
	if (open == PST_CT_ESTABLISHED)
		return open;
	pending = pkt->ct.pending;
	pkt->ct.pending = 0;
	begun = guard_ct_embryo();
	if (begun != GUARD_CT_UNKNOWN && begun != PST_CT_INVALID)
		return begun; /* it is of the newer one */
	pkt->ct.pending = pending;
	if (open == GUARD_CT_UNKNOWN && begun == GUARD_CT_UNKNOWN)
		open = guard_ct_open(); /* another CPU may have moved it between the two looks */
	open &= ~GUARD_CT_CLOSING;
	if (open != GUARD_CT_UNKNOWN)
		return open;
	return ct_stray(pkt, begun);
}

/* ---- all but TCP ---- */

static __always_inline __u32 ct_other_state(struct guard_packet *pkt, struct ct_hit *hit, bool confirmed)
{
	__u32 dir = pkt->ct.flow.dir;
	__u64 own = ct_own(hit, dir), other = ct_own(hit, !dir), half = own | PST_CT_SEEN;

	if (own & PST_CT_ORIG && other & PST_CT_SEEN)
		half |= PST_CT_AGAIN;
	ct_update(pkt, hit, half);
	if (!confirmed && half & PST_CT_AGAIN)
		pkt->ct.pending |= GUARD_CT_CONFIRM;
	return other & PST_CT_SEEN ? PST_CT_ESTABLISHED : PST_CT_NEW;
}

__noinline int guard_ct_other(void)
{
	struct guard_packet *pkt = guard_packet();
	struct ct_hit hit;

	if (!pkt)
		return PST_CT_INVALID;
	if (ct_find(CT_CONFIRMED, &pkt->ct.flow, pkt->now, &hit))
		return ct_other_state(pkt, &hit, true);
	if (ct_find(CT_NEW, &pkt->ct.flow, pkt->now, &hit))
		return ct_other_state(pkt, &hit, false);
	if (ct_find(CT_CONFIRMED, &pkt->ct.flow, pkt->now, &hit)) /* moved meanwhile */
		return ct_other_state(pkt, &hit, true);
	return pkt->ct.kind == GUARD_CT_ANSWER ? PST_CT_INVALID : ct_begin(pkt, 0);
}

/* The quoted packet is one that was seen on its way. */
__noinline int guard_ct_related(void)
{
	struct guard_packet *pkt = guard_packet();
	struct ct_hit hit;

	if (!pkt)
		return PST_CT_INVALID;
	if (!ct_find(CT_CONFIRMED, &pkt->ct.flow, pkt->now, &hit) &&
		!ct_find(CT_NEW, &pkt->ct.flow, pkt->now, &hit) &&
		!ct_find(CT_CONFIRMED, &pkt->ct.flow, pkt->now, &hit)) /* moved meanwhile */
		return PST_CT_INVALID;
	return ct_own(&hit, pkt->ct.flow.dir) & PST_CT_SEEN ? PST_CT_RELATED : PST_CT_INVALID;
}

/* ---- for the chain ---- */

/* enum pst_ct_state, after guard_ct_read_*() */
__noinline int guard_ct_judge(void)
{
	struct guard_packet *pkt = guard_packet();

	if (!pkt)
		return PST_CT_UNTRACKED;
	pkt->ct.pending = 0;
	switch (pkt->ct.kind) {
	case GUARD_CT_NONE:
		return PST_CT_UNTRACKED;
	case GUARD_CT_TCP:
		guard_now(pkt);
		return ct_judge_tcp(pkt);
	case GUARD_CT_OTHER:
	case GUARD_CT_ANSWER:
		guard_now(pkt);
		return guard_ct_other();
	case GUARD_CT_ERROR:
		guard_now(pkt);
		return guard_ct_related();
	default:
		return PST_CT_INVALID;
	}
}

/*
 * The ACK of a SYN cookie: the handshake is done, and nobody kept anything of it. It stands for all of it.
 */
static __always_inline __u32 guard_ct_begin_open(struct guard_packet *pkt)
{
	struct guard_ct *ct = &pkt->ct;
	__u64 done = PST_CT_SEEN | PST_CT_SYN | PST_CT_ACKED;
	__u64 own = done | PST_CT_ORIG | ct->next, other = done | ct->ack;

	ct->make.half[0] = ct->flow.dir ? other : own;
	ct->make.half[1] = ct->flow.dir ? own : other;
	ct->make.isn = 0;
	ct->pending = GUARD_CT_BEGIN_OPEN;
	return PST_CT_ESTABLISHED;
}

/* ct_score() of one way; @table: enum ct_table */
__noinline int guard_ct_score(__u32 table, __u32 way)
{
	struct guard_packet *pkt = guard_packet();
	struct pst_ct_bucket *b;

	if (!pkt)
		return 0;
	b = table == CT_NEW ? ct_bucket(CT_NEW, &pkt->ct.flow) : ct_bucket(CT_CONFIRMED, &pkt->ct.flow);
	if (!b)
		return 0;
	return ct_score(ct_way(b, &pkt->ct.flow, way), &pkt->ct.flow, pkt->ct.make.class, pkt->now);
}

/* ct.make into a table, in place of what is worth least. False: nothing may give way. */
static __always_inline bool ct_put(struct guard_packet *pkt, __u32 table)
{
	struct pst_ct_bucket *b;
	int best = 0, way = 0, score, i;

	for (i = 0; i < PST_CT_WAYS; i++) {
		score = guard_ct_score(table, i);
		if (score > best && !(best == CT_SCORE_FREE && score == CT_SCORE_UNUSED)) {
			best = score;
			way = i;
		}
		if (score >= CT_SCORE_UNUSED)
			break;
	}
	b = ct_bucket(table, &pkt->ct.flow);
	if (!best || !b) {
		guard_count_event(PST_GUARD_CT_FULL, pkt);
		return false;
	}
	if (best < CT_SCORE_FREE)
		guard_count_event(PST_GUARD_CT_EVICTED, pkt);
	ct_write(ct_way(b, &pkt->ct.flow, way), &pkt->ct.flow, &pkt->ct.make, pkt->now);
	return true;
}

static __always_inline __u32 ct_make_class(const struct guard_packet *pkt)
{
	return ct_class(ct_protocol(pkt->ct.flow.key), pkt->ct.make.half[0], pkt->ct.make.half[1], 0);
}

__noinline int guard_ct_put_new(void)
{
	struct guard_packet *pkt = guard_packet();

	if (!pkt)
		return 0;
	pkt->ct.make.class = ct_make_class(pkt);
	if (ct_put(pkt, CT_NEW))
		guard_count_event(PST_GUARD_CT_BEGUN, pkt);
	return 0;
}

/* From one table to the other. If there is no room in it, it stays where it is, and is tried again. */
__noinline int guard_ct_confirm(void)
{
	struct guard_packet *pkt = guard_packet();
	__u64 both = 0;
	struct ct_hit hit;

	if (!pkt || !ct_find(CT_NEW, &pkt->ct.flow, pkt->now, &hit))
		return 0;
	if (pkt->ct.kind == GUARD_CT_TCP)
		both = PST_CT_ACKED;
	pkt->ct.make.half[0] = hit.half[0] << (64 - PST_CT_TAG_SHIFT) >> (64 - PST_CT_TAG_SHIFT) | both;
	pkt->ct.make.half[1] = hit.half[1] << (64 - PST_CT_TAG_SHIFT) >> (64 - PST_CT_TAG_SHIFT) | both;
	pkt->ct.make.isn = 0;
	pkt->ct.make.class = ct_make_class(pkt);
	if (!ct_put(pkt, CT_CONFIRMED))
		return 0;
	PST_WRITE(hit.e->half[0], 0);
	PST_WRITE(hit.e->half[1], 0);
	guard_count_event(PST_GUARD_CT_CONFIRMED, pkt);
	return 0;
}

__noinline int guard_ct_put_open(void)
{
	struct guard_packet *pkt = guard_packet();

	if (!pkt)
		return 0;
	pkt->ct.make.class = ct_make_class(pkt);
	if (ct_put(pkt, CT_CONFIRMED))
		guard_count_event(PST_GUARD_CT_CONFIRMED, pkt);
	return 0;
}

/* Another CPU may have taken the entry since it was found: then it stays as it is. */
__noinline int guard_ct_update(void)
{
	struct guard_packet *pkt = guard_packet();
	struct pst_ct_entry *e;
	__u64 own, *half;

	if (!pkt)
		return 0;
	e = ct_at(&pkt->ct.flow, pkt->ct.at);
	if (!e)
		return 0;
	own = pkt->ct.own;
	half = pkt->ct.flow.dir ? &e->half[1] : &e->half[0];
	if ((PST_READ(*half) ^ own) >> PST_CT_TAG_SHIFT)
		return 0;
	if (pkt->ct.pending & GUARD_CT_ISN)
		PST_WRITE(e->isn, pkt->ct.isn);
	if (PST_READ(*half) != own)
		PST_WRITE(*half, own);
	if (PST_READ(e->seen) != pkt->now)
		PST_WRITE(e->seen, pkt->now);
	return 0;
}

/* The packet passes: what it says of its connection is kept. */
static __always_inline void guard_ct_settle(const struct guard_packet *pkt)
{
	if (!pkt->ct.pending || guard_is_trial(pkt))
		return;
	if (pkt->ct.pending & GUARD_CT_UPDATE)
		guard_ct_update();
	if (pkt->ct.pending & GUARD_CT_BEGIN)
		guard_ct_put_new();
	if (pkt->ct.pending & GUARD_CT_CONFIRM)
		guard_ct_confirm();
	if (pkt->ct.pending & GUARD_CT_BEGIN_OPEN)
		guard_ct_put_open();
}

#endif
