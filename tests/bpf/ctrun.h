/* SPDX-License-Identifier: Apache-2.0 */
/* For the tests of connection tracking: flows, their packets, and what the guard makes of them. */
#ifndef TESTS_BPF_CTRUN_H
#define TESTS_BPF_CTRUN_H

#include "tests/bpf/guardrun.h"
#include "proto/abi/ct.h"

#define FIN 0x01
#define SYN 0x02
#define RST 0x04
#define PSH 0x08
#define ACK 0x10
#define URG 0x20

#define STATE_COUNTER 100 /* of the rule that takes a state */

static struct pst_ct_bucket *ct_maps[2];
static uint32_t ct_buckets[2];

/* A connection, seen from the host: @peer is who is outside. */
struct flow {
	bool ip6, tagged;
	uint8_t protocol;
	uint32_t peer; /* number of the address */
	uint16_t pport, hport;
};

/* What goes one way; of TCP and echo as named. */
struct segment {
	bool out; /* the host sends it */
	uint8_t flags;
	uint32_t seq, ack;
	uint16_t bytes;
	uint8_t type; /* ICMP */
};

static inline void put32(uint8_t *at, uint32_t v)
{
	put16(at, v >> 16);
	put16(at + 2, v & 0xffff);
}

static inline void put_addresses(uint8_t *l3, const struct flow *f, bool out)
{
	uint8_t peer[16] = {0x20, 1, 0xd, 0xb8}, host[16] = {0x20, 1, 0xd, 0xb8, [15] = 77};
	size_t n = f->ip6 ? 16 : 4, at = f->ip6 ? 8 : 12;

	put32(peer + 12, f->peer);
	if (!f->ip6) {
		put32(peer, 0x0a000000u + f->peer);
		put32(host, 0xc0000201u);
	}
	memcpy(l3 + at, out ? host : peer, n);
	memcpy(l3 + at + n, out ? peer : host, n);
}

/* IP and what is in it, without a link header: also what ICMP errors quote. */
static inline void ip_packet(struct packet *p, const struct flow *f, const struct segment *s)
{
	size_t l3 = p->len;
	uint8_t *l4;

	f->ip6 ? ip6(p, f->protocol) : ip4(p, f->protocol, 0);
	put_addresses(p->bytes + l3, f, s->out);
	l4 = p->bytes + p->len;
	if (f->protocol == 6)
		tcp(p, s->flags, 0);
	else if (f->protocol == 1 || f->protocol == 58)
		icmp(p, s->type, 0), put32(grow(p, 4), (uint32_t)f->pport << 16);
	else
		(void)grow(p, 8);
	if (f->protocol != 1 && f->protocol != 58) {
		put16(l4, s->out ? f->hport : f->pport);
		put16(l4 + 2, s->out ? f->pport : f->hport);
	}
	if (f->protocol == 6) {
		put32(l4 + 4, s->seq);
		put32(l4 + 8, s->ack);
	}
	p->len += s->bytes;
	put16(p->length, (unsigned)(p->len - l3) - (f->ip6 ? 40 : 0));
}

static inline void link_header(struct packet *p, bool ip6, bool tagged)
{
	unsigned type = ip6 ? 0x86dd : 0x0800;

	eth(p, tagged ? 0 : type);
	if (tagged)
		vlan(p, 0x8100, type);
}

static inline void flow_packet(struct packet *p, const struct flow *f, const struct segment *s)
{
	link_header(p, f->ip6, f->tagged);
	ip_packet(p, f, s);
}

/* A rule a state, which counts; @drops: bit n drops what is in state n. */
static inline void force_states(unsigned drops)
{
	struct fw_rule rules[PST_CT_STATES] = {0};
	struct fw_ruleset set = {.rules = rules, .n = PST_CT_STATES, .policy = PST_FW_ACCEPT};

	for (uint32_t i = 0; i < PST_CT_STATES; i++) {
		rules[i].has = FW_HAS_STATE;
		rules[i].state = (uint8_t)(1u << i);
		rules[i].counter = STATE_COUNTER + i;
		rules[i].action = drops >> i & 1 ? PST_FW_DROP : PST_FW_ACCEPT;
	}
	force(&set);
}

static inline void states_counted(uint64_t ret[PST_CT_STATES])
{
	for (uint32_t i = 0; i < PST_CT_STATES; i++)
		ret[i] = counter(STATE_COUNTER + i).packets;
}

/* A packet that comes in: the state in which the rules saw it. */
static inline int state_of(const struct packet *p)
{
	uint64_t before[PST_CT_STATES], after[PST_CT_STATES];
	int state = -1;

	states_counted(before);
	(void)run(p->bytes, p->len);
	states_counted(after);
	for (int i = 0; i < PST_CT_STATES; i++)
		if (after[i] != before[i]) {
			assert_int_equal(state, -1);
			state = i;
		}
	assert_int_not_equal(state, -1);
	return state;
}

static inline void send_out(const struct packet *p)
{
	assert_int_equal(run_prog(skel->progs.guard_tc_egress, p->bytes, p->len), TC_UNSPEC);
}

/* One segment, either way; -1 for one that goes out. */
static inline int go(const struct flow *f, const struct segment *s)
{
	struct packet p;

	flow_packet(&p, f, s);
	if (!s->out)
		return state_of(&p);
	send_out(&p);
	return -1;
}

/* As if @seconds had passed: every entry gets older. */
static inline void age(uint32_t seconds)
{
	for (int t = 0; t < 2; t++)
		for (uint32_t i = 0; i < ct_buckets[t]; i++)
			for (int k = 0; k < PST_CT_WAYS; k++)
				if (ct_maps[t][i].way[k].key[4])
					ct_maps[t][i].way[k].seen -= seconds;
}

static inline void forget(void)
{
	for (int t = 0; t < 2; t++)
		memset(ct_maps[t], 0, ct_buckets[t] * sizeof(*ct_maps[t]));
}

static inline bool is_entry(const struct pst_ct_entry *e)
{
	return e->half[0] && e->half[1] && !((e->half[0] ^ e->half[1]) >> PST_CT_TAG_SHIFT);
}

static inline unsigned entries(int table)
{
	unsigned n = 0;

	for (uint32_t i = 0; i < ct_buckets[table]; i++)
		for (int k = 0; k < PST_CT_WAYS; k++)
			n += is_entry(&ct_maps[table][i].way[k]);
	return n;
}

static inline int ct_setup(void **state)
{
	if (setup(state))
		return -1;
	ct_buckets[0] = bpf_map__max_entries(skel->maps.ct);
	ct_buckets[1] = bpf_map__max_entries(skel->maps.ct_new);
	ct_maps[0] = guard_map(skel->maps.ct, ct_buckets[0] * sizeof(struct pst_ct_bucket));
	ct_maps[1] = guard_map(skel->maps.ct_new, ct_buckets[1] * sizeof(struct pst_ct_bucket));
	if (!ct_maps[0] || !ct_maps[1])
		return -1;
	control->flags = PST_GUARD_CT;
	force_states(0);
	return 0;
}

/* A TCP connection that both sides have confirmed. */
static inline void open_tcp(const struct flow *f)
{
	const struct segment s[] = {{false, SYN, 1000, 0, 0, 0}, {true, SYN | ACK, 5000, 1001, 0, 0},
		{false, ACK, 1001, 5001, 0, 0}};

	assert_int_equal(go(f, &s[0]), PST_CT_NEW);
	go(f, &s[1]);
	assert_int_equal(go(f, &s[2]), PST_CT_ESTABLISHED);
}

#endif
