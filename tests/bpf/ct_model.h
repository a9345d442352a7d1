/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A plain model of what docs/design/guard.md says of connections: an array of flows, a side a struct, time
 * that only passes when it is told to. The kernel's program gets the same packets.
 */
#ifndef TESTS_BPF_CT_MODEL_H
#define TESTS_BPF_CT_MODEL_H

#include "tests/bpf/ctrun.h"

#define MODEL_FLOWS  10
#define MODEL_STEPS  350 /* a round: short, since real time passes too */
#define MODEL_ROUNDS 145 /* at XDP, and again at tc */

struct model_side {
	bool sent, syn, shown, fin, fin_acked, reset, again;
	uint32_t iss, end;
};

struct model_conn {
	bool is;
	struct model_side side[2]; /* the peer, the host */
	int first;
	long idle;
};

struct model_flow {
	struct flow flow;
	struct model_conn begun, open;
};

static inline void model_begin(struct model_flow *flows)
{
	static const uint8_t protocols[] = {6, 6, 6, 17, 1};

	memset(flows, 0, MODEL_FLOWS * sizeof(*flows));
	for (unsigned i = 0; i < MODEL_FLOWS; i++) {
		struct flow *f = &flows[i].flow;

		*f = (struct flow){.ip6 = rule_chance(50),
			.tagged = rule_chance(20),
			.protocol = protocols[rule_draw() % 5],
			.peer = (uint32_t)(rule_draw() % 3 * 128 + i + 1),
			.pport = (uint16_t)(rule_draw() % 4 + 1),
			.hport = (uint16_t)(rule_draw() % 4 + 1)};
		if (f->protocol == 1 && f->ip6)
			f->protocol = 58;
	}
}

static inline bool model_near(uint32_t a, uint32_t b, int32_t window)
{
	int32_t d = (int32_t)(a - b);

	return d >= -window && d <= window;
}

/* Sides that have sent a FIN, and the other side got it. */
static inline int model_closed(const struct model_conn *c)
{
	const struct model_side *s = c->side;

	return (s[0].fin && s[1].fin_acked) + (s[1].fin && s[0].fin_acked);
}

static inline long model_limit(const struct model_flow *m, const struct model_conn *c)
{
	const struct model_side *s = c->side;

	if (m->flow.protocol == 17)
		return s[0].again || s[1].again ? 120 : 30;
	if (m->flow.protocol != 6)
		return 30;
	if (s[0].reset || s[1].reset)
		return 10;
	if (model_closed(c))
		return model_closed(c) == 2 ? 60 : 120;
	if (c == &m->open)
		return 86400;
	return s[0].syn && s[1].syn ? 60 : 30;
}

static inline bool model_lives(const struct model_flow *m, const struct model_conn *c)
{
	return c->is && c->idle <= model_limit(m, c);
}

static inline int model_ask(struct model_flow *m, const struct segment *s, uint32_t next)
{
	bool syn = s->flags & SYN;

	m->begun = (struct model_conn){.is = true, .first = s->out};
	m->begun.side[s->out] =
		(struct model_side){.sent = true, .syn = syn, .iss = syn ? s->seq : next - 1, .end = next};
	return PST_CT_NEW;
}

static inline void model_confirm(struct model_flow *m)
{
	m->open = m->begun;
	m->open.idle = 0;
	m->begun.is = false;
}

/* ---- TCP ---- */

/* What a side that sends this would have gone on from. */
static inline bool model_follows(const struct model_side *me, const struct segment *s)
{
	return me->sent && model_near(s->seq, me->end, 4 << 20);
}

/* And what it would have got. */
static inline bool model_knows(const struct model_side *you, const struct segment *s)
{
	return you->sent && s->flags & ACK && model_near(s->ack, you->end, 4 << 20);
}

/* The same when a FIN comes: a whole window may be on its way to who sends it. */
static inline bool model_may_end(const struct model_side *you, const struct segment *s)
{
	int32_t d = (int32_t)(s->ack - you->end);

	return you->sent && s->flags & ACK && d >= -(1 << 30) && d <= 4 << 20;
}

static inline void model_carry_on(struct model_side *me, const struct model_side *you,
	const struct segment *s, uint32_t next, bool each)
{
	bool follows = model_follows(me, s), knows = model_knows(you, s);
	bool is_old = follows && (int32_t)(next - me->end) <= 0;

	if (!s->out && !follows && !knows)
		return;
	me->reset = false;
	if (s->flags & FIN && (s->out || (follows && model_may_end(you, s)))) {
		me->fin = true;
		me->end = next;
	} else if (each || me->fin ? !is_old : !model_near(next, me->end, 256 << 10)) {
		me->fin = false;
		me->end = next;
	}
}

static inline int model_open_tcp(struct model_flow *m, const struct segment *s, uint32_t next)
{
	struct model_side *me = &m->open.side[s->out], *you = &m->open.side[!s->out];
	bool follows = model_follows(me, s), knows = model_knows(you, s);

	if (s->flags & RST ? !follows && !knows : s->flags & SYN && !follows)
		return PST_CT_INVALID;
	m->open.idle = 0;
	if (s->flags & RST) {
		if (s->out || (model_near(s->seq, me->end, 256 << 10) && (knows || !(s->flags & ACK))))
			me->reset = true;
		return PST_CT_ESTABLISHED;
	}
	if (s->flags & SYN)
		return PST_CT_ESTABLISHED;
	model_carry_on(me, you, s, next, false);
	me->fin_acked = you->fin && (me->fin_acked || s->ack == you->end);
	return PST_CT_ESTABLISHED;
}

static inline int model_syn(struct model_flow *m, const struct segment *s, uint32_t next)
{
	struct model_conn *c = &m->begun;
	struct model_side *me = &c->side[s->out], *you = &c->side[!s->out];

	if (!model_lives(m, c) || me->reset || you->reset)
		return model_ask(m, s, next);
	if (c->first == s->out && (!me->syn || (you->syn ? me->end != next : me->iss != s->seq)))
		return model_ask(m, s, next);
	if (c->first != s->out && !you->syn)
		return model_ask(m, s, next);
	c->idle = 0;
	if (c->first == s->out) {
		if ((int32_t)(next - me->end) > 0)
			me->end = next;
		return PST_CT_NEW;
	}
	if (!me->syn)
		*me = (struct model_side){.sent = true, .syn = true, .iss = s->seq, .end = s->seq + 1};
	return PST_CT_ESTABLISHED;
}

/* SYN-SENT and SYN-RECEIVED: just what the other side's SYN took, its data with it or not. */
static inline bool model_acks_syn(const struct model_side *you, const struct segment *s)
{
	return s->ack == you->end || s->ack == you->iss + 1;
}

static inline int model_begun_reset(struct model_flow *m, const struct segment *s)
{
	struct model_side *me = &m->begun.side[s->out], *you = &m->begun.side[!s->out];
	bool exact = me->sent ? s->seq == me->end : s->flags & ACK && model_acks_syn(you, s);

	if (!exact && !(me->sent ? model_follows(me, s) : !you->syn && model_knows(you, s)))
		return PST_CT_INVALID;
	m->begun.idle = 0;
	if (exact)
		me->sent = me->reset = true;
	return you->sent ? PST_CT_ESTABLISHED : PST_CT_NEW;
}

static inline int model_synack(struct model_flow *m, const struct segment *s, uint32_t next)
{
	struct model_side *me = &m->begun.side[s->out], *you = &m->begun.side[!s->out];
	bool first = m->begun.first == s->out, before = me->shown && !first;

	if (!you->syn)
		return PST_CT_INVALID;
	if (before && s->seq == me->iss && you->end - s->ack < 65536) {
		m->begun.idle = 0;
		return PST_CT_ESTABLISHED;
	}
	if (before ? s->ack != you->end : !model_acks_syn(you, s))
		return PST_CT_INVALID;
	me->sent = me->syn = me->shown = true;
	me->end = next;
	if (!first)
		me->iss = s->seq;
	m->begun.idle = 0;
	if (you->shown)
		model_confirm(m);
	return PST_CT_ESTABLISHED;
}

/* The host answers what nobody knows of. */
static inline int model_answer(struct model_flow *m, const struct segment *s, uint32_t next)
{
	m->begun = (struct model_conn){.is = true, .first = !s->out};
	m->begun.side[s->out] =
		(struct model_side){.sent = true, .syn = true, .shown = true, .iss = s->seq, .end = next};
	m->begun.side[!s->out] =
		(struct model_side){.sent = true, .syn = true, .iss = s->ack - 1, .end = s->ack};
	return PST_CT_ESTABLISHED;
}

static inline int model_picked_up(struct model_flow *m, const struct segment *s, uint32_t next)
{
	struct model_side *me = &m->begun.side[s->out], *you = &m->begun.side[!s->out];
	bool believed = s->out || model_knows(you, s);

	m->begun.idle = 0;
	if (me->sent)
		model_carry_on(me, you, s, next, false);
	else if (believed)
		*me = (struct model_side){.sent = true, .end = next};
	if (m->begun.first != s->out && believed)
		model_confirm(m);
	return you->sent ? PST_CT_ESTABLISHED : PST_CT_NEW;
}

static inline int model_begun_ack(struct model_flow *m, const struct segment *s, uint32_t next)
{
	struct model_side *me = &m->begun.side[s->out], *you = &m->begun.side[!s->out];

	if (!me->syn && !you->syn)
		return model_picked_up(m, s, next);
	if (!me->syn)
		return PST_CT_ESTABLISHED;
	if (!you->syn)
		return PST_CT_INVALID;
	if (me->shown) {
		model_carry_on(me, you, s, next, true);
	} else {
		if (!s->out &&
			((int32_t)(you->end - you->iss) <= 0 || you->end - s->ack >= you->end - you->iss))
			return PST_CT_INVALID;
		me->shown = true;
		me->reset = false;
		me->fin = s->flags & FIN;
		if (me->fin || (int32_t)(next - me->end) > 0)
			me->end = next;
		if (you->shown)
			model_confirm(m);
	}
	m->begun.idle = 0;
	return PST_CT_ESTABLISHED;
}

static inline bool model_sane(unsigned flags)
{
	switch (flags & (FIN | SYN | RST | ACK | URG)) {
	case SYN:
	case SYN | URG:
	case SYN | ACK:
	case RST:
	case RST | ACK:
	case ACK:
	case ACK | URG:
	case FIN | ACK:
	case FIN | ACK | URG:
		return true;
	default:
		return false;
	}
}

static inline int model_tcp(struct model_flow *m, const struct segment *s)
{
	uint32_t next = s->seq + s->bytes + !!(s->flags & SYN) + !!(s->flags & FIN);
	bool closing = m->open.side[0].reset || m->open.side[1].reset || model_closed(&m->open) == 2;
	struct model_conn was = m->open, judged;
	int open = -1, begun = -1;

	if (!model_sane(s->flags))
		return PST_CT_INVALID;
	if (s->flags & SYN && !(s->flags & ACK))
		return model_syn(m, s, next);
	if (model_lives(m, &m->open))
		open = model_open_tcp(m, s, next);
	if (open == PST_CT_ESTABLISHED && !closing)
		return open;
	judged = m->open;
	m->open = was; /* a newer one may explain it */
	if (model_lives(m, &m->begun))
		begun = s->flags & RST   ? model_begun_reset(m, s)
			: s->flags & SYN ? model_synack(m, s, next)
					 : model_begun_ack(m, s, next);
	if (begun >= 0 && begun != PST_CT_INVALID)
		return begun;
	m->open = judged;
	if (open >= 0)
		return open;
	if (s->out && s->flags & SYN)
		return model_answer(m, s, next);
	if (begun < 0 && s->out && !(s->flags & RST))
		return model_ask(m, s, next);
	return PST_CT_INVALID;
}

/* ---- the others ---- */

/* @answer: an echo reply. The two sides' own echoes are two connections, so @m is by who asks. */
static inline int model_other(struct model_flow *m, const struct segment *s, bool answer)
{
	struct model_conn *c = model_lives(m, &m->open)    ? &m->open
			       : model_lives(m, &m->begun) ? &m->begun
							   : NULL;
	bool answered, out = s->out;

	if (!c)
		return answer ? PST_CT_INVALID : model_ask(m, s, 0);
	c->idle = 0;
	c->side[out].sent = true;
	answered = c->side[!out].sent;
	if (c->first == (int)out && answered)
		c->side[out].again = true;
	if (c == &m->begun && c->side[out].again)
		model_confirm(m);
	return answered ? PST_CT_ESTABLISHED : PST_CT_NEW;
}

/* ---- a step ---- */

/* Numbers that often fit. */
static inline struct segment model_draw(const struct model_flow *m)
{
	static const uint8_t flags[] = {SYN, SYN, SYN | ACK, SYN | ACK, ACK, ACK, ACK, ACK, PSH | ACK,
		FIN | ACK, RST, RST | ACK, FIN | SYN, 0};
	const struct model_conn *c = m->begun.is && rule_chance(70) ? &m->begun : &m->open;
	struct segment s = {.out = rule_chance(50), .flags = flags[rule_draw() % sizeof(flags)]};

	s.bytes = (uint16_t)(rule_chance(70) ? 0 : rule_draw() % 1400);
	s.seq = c->side[s.out].end + (rule_chance(80) ? 0 : (uint32_t)rule_draw() >> rule_draw() % 32);
	s.ack = c->side[!s.out].end - (rule_chance(80) ? 0 : (uint32_t)rule_draw() >> rule_draw() % 32);
	if (s.flags & SYN && rule_chance(50))
		s.seq = rule_chance(50) ? c->side[s.out].end - 1 : c->side[s.out].iss;
	if (s.flags & SYN && rule_chance(20))
		s.ack = c->side[!s.out].iss + 1;
	return s;
}

static inline void model_age(struct model_flow *flows)
{
	/* sums of these are never near a limit, and real time is a second at most */
	long seconds = rule_chance(90) ? 14 * (long)(rule_draw() % 3 + 1) : rule_chance(90) ? 126 : 90006;

	age((uint32_t)seconds);
	for (unsigned i = 0; i < MODEL_FLOWS; i++) {
		flows[i].begun.idle += seconds;
		flows[i].open.idle += seconds;
	}
}

static inline void model_step(struct model_flow *flows)
{
	struct model_flow *m = &flows[rule_draw() % MODEL_FLOWS];
	struct segment s = model_draw(m);
	bool echo = m->flow.protocol == 1 || m->flow.protocol == 58, answer = false;
	int is, should;

	if (rule_chance(4))
		model_age(flows);
	if (echo) { /* the peer asks in every other flow, else the host */
		answer = s.out != (m->flow.peer & 1);
		s.type = m->flow.ip6 ? (answer ? 129 : 128) : (answer ? 0 : 8);
	}
	if (m->flow.protocol == 6)
		should = model_tcp(m, &s);
	else
		should = model_other(m, &s, answer);
	is = go(&m->flow, &s);
	if (!s.out)
		assert_int_equal(is, should);
}

#endif
