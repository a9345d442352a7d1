// SPDX-License-Identifier: Apache-2.0
/*
 * The guard's steps as a table: what is in force, a packet, and what has to become of it. Each line in eight
 * forms: IPv4 and IPv6, with a VLAN tag and without, at XDP and at tc. Of each: the action, the packet that
 * comes out, and that exactly the counters that the line names have moved; then the same packet cut at every
 * byte, of which each has to be "truncated" and nothing else, unless the block list has its source. All but
 * what is about connections and SYNs comes in each kind of tunnel too, with the same outcome.
 */
#include "policyd/fw/parse.h"
#include "tests/bpf/ctrun.h"
#include "tests/bpf/tunnels.h"

#define EVENT(e)  ((int)(e))
#define NO_RULE   (-1)
#define DROP_CUT  ((uint64_t)PST_GUARD_DROP_TRUNCATED)
#define SIG_PLACE 9 /* of the one signature's counter */

/* What one packet is about; peer 8 is on no list, 1 is on those of a line. */
struct form {
	bool ip6, tagged;
};

struct line {
	const char *name;
	/* in force */
	const char *rules; /* YAML; NULL: no firewall */
	const char *allow, *block;
	uint64_t flags; /* PST_GUARD_* */
	bool bad_flags; /* SYN with FIN */
	int signature;  /* of UDP from port 53 with 20 bytes or more; 0: none */
	bool syns;      /* the rate of all SYNs has been used up */
	void (*before)(const struct form *form);
	/* what comes, and what becomes of it */
	void (*make)(struct packet *p, const struct form *form);
	int action;
	enum pst_guard_reason reason;
	int event;   /* enum pst_guard_event; 0: none */
	int rule;    /* whose counter moves, from 0; NO_RULE */
	int through; /* one more, that lets it go on; NO_RULE or 0 when `rule` is none */
	bool signature_counts;
};

enum { SIG_NONE, SIG_COUNTS, SIG_DROPS };

static struct pst_sigs *sigs;
static uint64_t *src_rates, *syn_until;
static size_t src_rates_bytes;
static uint64_t generation = 2; /* numbers do not come again: verdicts are kept by them */

/* ---- packets ---- */

static void packet_of(struct packet *p, const struct form *form, struct flow f, struct segment s)
{
	f.ip6 = form->ip6;
	f.tagged = form->tagged;
	flow_packet(p, &f, &s);
}

static void udp(struct packet *p, const struct form *form)
{
	packet_of(p, form, (struct flow){.protocol = 17, .peer = 8, .pport = 4000, .hport = 53},
		(struct segment){.bytes = 16});
}

static void udp_of_1(struct packet *p, const struct form *form)
{
	packet_of(p, form, (struct flow){.protocol = 17, .peer = 1, .pport = 4000, .hport = 53},
		(struct segment){.bytes = 16});
}

/* Of another /64, which is what limits take for a source. */
static void udp_from_elsewhere(struct packet *p, const struct form *form)
{
	udp_of_1(p, form);
	if (form->ip6)
		p->bytes[p->l3 + 15] = 1;
}

static void udp_answer(struct packet *p, const struct form *form)
{
	packet_of(p, form, (struct flow){.protocol = 17, .peer = 8, .pport = 53, .hport = 4000},
		(struct segment){.bytes = 20});
}

static void udp_short_answer(struct packet *p, const struct form *form)
{
	packet_of(p, form, (struct flow){.protocol = 17, .peer = 8, .pport = 53, .hport = 4000},
		(struct segment){.bytes = 19});
}

static void sctp(struct packet *p, const struct form *form)
{
	packet_of(p, form, (struct flow){.protocol = 132, .peer = 8, .pport = 4000, .hport = 53},
		(struct segment){.bytes = 16});
}

static void segment(struct packet *p, const struct form *form, uint8_t flags)
{
	packet_of(p, form, (struct flow){.protocol = 6, .peer = 8, .pport = 4000, .hport = 80},
		(struct segment){.flags = flags, .seq = 1001, .ack = 5001});
}

static void tcp_syn(struct packet *p, const struct form *form)
{
	packet_of(p, form, (struct flow){.protocol = 6, .peer = 8, .pport = 4000, .hport = 80},
		(struct segment){.flags = SYN, .seq = 1000});
}

static void tcp_ack(struct packet *p, const struct form *form)
{
	segment(p, form, ACK);
}

static void tcp_syn_fin(struct packet *p, const struct form *form)
{
	segment(p, form, SYN | FIN);
}

static void tcp_syn_fin_of_1(struct packet *p, const struct form *form)
{
	packet_of(p, form, (struct flow){.protocol = 6, .peer = 1, .pport = 4000, .hport = 80},
		(struct segment){.flags = SYN | FIN});
}

static void echo(struct packet *p, const struct form *form)
{
	packet_of(p, form, (struct flow){.protocol = form->ip6 ? 58 : 1, .peer = 8, .pport = 7, .hport = 0},
		(struct segment){.type = form->ip6 ? 128 : 8, .bytes = 20});
}

/* DSCP 46 */
static void udp_ef(struct packet *p, const struct form *form)
{
	uint8_t *l3;

	udp(p, form);
	l3 = p->bytes + p->l3;
	if (form->ip6) {
		l3[0] |= 46 >> 2;
		l3[1] = (uint8_t)((46 & 3) << 6);
	} else {
		l3[1] = 46 << 2;
	}
}

/* A fragment but the first: no ports. */
static void fragment(struct packet *p, const struct form *form)
{
	static const struct flow f = {.protocol = 17, .peer = 8};

	link_header(p, form->ip6, form->tagged);
	if (form->ip6) {
		ip6(p, 44);
		put_addresses(p->bytes + p->l3, &(struct flow){.ip6 = true, .peer = 8}, false);
		fragment6(p, 17, 8);
	} else {
		ip4(p, 17, 0);
		put_addresses(p->bytes + p->l3, &f, false);
		put16(p->bytes + p->l3 + 6, 0x0010);
	}
	done(p, 40, 0);
}

/* Its total length is less than its header; of IPv6 the payload's is less than the extension header. */
static void contradicts(struct packet *p, const struct form *form)
{
	link_header(p, form->ip6, form->tagged);
	if (form->ip6) {
		ip6(p, 60);
		ext(p, 60, 17, 8);
		ports(p, 8), done(p, 8, 0);
		put16(p->bytes + p->l3 + 4, 4);
	} else {
		ip4(p, 17, 0), ports(p, 8), done(p, 8, 0);
		put16(p->bytes + p->l3 + 2, 19);
	}
}

static void contradicts_of_1(struct packet *p, const struct form *form)
{
	contradicts(p, form);
	put_addresses(p->bytes + p->l3, &(struct flow){.ip6 = form->ip6, .peer = 1}, false);
}

/* IP of no version, as its link header does not say. */
static void no_version_of_1(struct packet *p, const struct form *form)
{
	udp_of_1(p, form);
	p->bytes[p->l3] = 0;
}

static void arp(struct packet *p, const struct form *form)
{
	eth(p, form->tagged ? 0 : 0x0806);
	if (form->tagged)
		vlan(p, 0x8100, 0x0806);
	memset(grow(p, 46), 1, 46);
}

/* "Port unreachable", about what the host sent in sent(). */
static void unreachable(struct packet *p, const struct form *form)
{
	const struct flow outer = {
		.ip6 = form->ip6, .tagged = form->tagged, .protocol = form->ip6 ? 58 : 1, .peer = 9};
	const struct flow inner = {.ip6 = form->ip6, .protocol = 17, .peer = 8, .pport = 4000, .hport = 5300};
	struct packet quoted;

	memset(&quoted, 0, sizeof(quoted));
	ip_packet(&quoted, &inner, &(struct segment){.out = true, .bytes = 8});
	flow_packet(p, &outer, &(struct segment){.type = form->ip6 ? 1 : 3});
	memcpy(p->bytes + p->len, quoted.bytes, quoted.len);
	p->len += quoted.len;
	put16(p->length, (unsigned)(p->len - p->l3) - (form->ip6 ? 40 : 0));
}

/* ---- what came before ---- */

static void pass_by(const struct form *form, struct flow f, struct segment s)
{
	struct packet p;

	packet_of(&p, form, f, s);
	if (s.out)
		send_out(&p);
	else
		assert_int_equal(run(p.bytes, p.len), PASS);
}

static void connected(const struct form *form)
{
	static const struct flow f = {.protocol = 6, .peer = 8, .pport = 4000, .hport = 80};

	pass_by(form, f, (struct segment){.flags = SYN, .seq = 1000});
	pass_by(form, f, (struct segment){.out = true, .flags = SYN | ACK, .seq = 5000, .ack = 1001});
	pass_by(form, f, (struct segment){.flags = ACK, .seq = 1001, .ack = 5001});
}

static void sent(const struct form *form)
{
	pass_by(form, (struct flow){.protocol = 17, .peer = 8, .pport = 4000, .hport = 5300},
		(struct segment){.out = true, .bytes = 8});
}

/* What all its share is. */
static void share_is_used(const struct form *form)
{
	struct packet p;

	udp(&p, form);
	for (int i = 0; i < 3; i++)
		assert_int_equal(run(p.bytes, p.len), PASS);
}

/* ---- the table ---- */

#define LIST_OF_1     "10.0.0.1\n2001:db8::1\n"
#define PREFIXES_OF_8 "10.0.0.8/29\n2001:db8::8/125\n"
#define ACCEPTS       "firewall: {policy: accept, rules: ["
#define DROPS         "firewall: {policy: drop, rules: ["
#define END           "]}"
#define STATES                                                                                               \
	DROPS "{name: known, state: established, action: accept}, {name: related, state: related, action: "  \
	      "accept}, {name: strange, state: invalid, action: drop}, {name: new, state: new, action: "     \
	      "accept}, {name: pieces, state: untracked, action: reject}" END

/* `rule` and `through` count from 0, so lines without rules say NO_RULE. */
#define NONE    .rule = NO_RULE, .through = NO_RULE
#define RULE(n) .rule = (n), .through = NO_RULE

static const struct line lines[] = {
	{"nothing is on", .make = udp, .action = PASS, .reason = PST_GUARD_OFF, NONE},
	/* what cannot be read */
	{"malformed passes", .make = contradicts, .action = PASS, .reason = PST_GUARD_MALFORMED, NONE},
	{"malformed drops", .flags = PST_GUARD_DROP_MALFORMED, .make = contradicts, .action = DROP,
		.reason = PST_GUARD_MALFORMED, NONE},
	{"ARP passes", .rules = DROPS END, .make = arp, .action = PASS, .reason = PST_GUARD_NO_IP, NONE},
	{"ARP drops", .flags = PST_GUARD_DROP_NO_IP, .make = arp, .action = DROP, .reason = PST_GUARD_NO_IP,
		NONE},
	/* lists */
	{"not on the list", .block = LIST_OF_1, .make = udp, .action = PASS, .reason = PST_GUARD_PASSED,
		NONE},
	{"its address is blocked", .block = LIST_OF_1, .make = udp_of_1, .action = DROP,
		.reason = PST_GUARD_BLOCKED, NONE},
	{"its prefix is blocked", .block = PREFIXES_OF_8, .make = udp, .action = DROP,
		.reason = PST_GUARD_BLOCKED, NONE},
	{"beside the prefix", .block = PREFIXES_OF_8, .make = udp_of_1, .action = PASS,
		.reason = PST_GUARD_PASSED, NONE},
	{"blocked and allowed", .allow = LIST_OF_1, .block = LIST_OF_1, .make = udp_of_1, .action = PASS,
		.reason = PST_GUARD_PASSED, NONE},
	{"blocked, but it only counts", .block = LIST_OF_1, .flags = PST_GUARD_DRY_LISTS, .make = udp_of_1,
		.action = PASS, .reason = PST_GUARD_PASSED, .event = EVENT(PST_GUARD_DRY_BLOCKED), NONE},
	{"blocked, and malformed", .block = LIST_OF_1, .flags = PST_GUARD_DROP_MALFORMED,
		.make = contradicts_of_1, .action = DROP, .reason = PST_GUARD_BLOCKED, NONE},
	{"blocked, and of no version", .block = LIST_OF_1, .make = no_version_of_1, .action = DROP,
		.reason = PST_GUARD_BLOCKED, NONE},
	{"allowed, and malformed", .allow = LIST_OF_1, .flags = PST_GUARD_DROP_MALFORMED,
		.make = contradicts_of_1, .action = DROP, .reason = PST_GUARD_MALFORMED, NONE},
	{"blocked by what only counts, and malformed", .block = LIST_OF_1, .flags = PST_GUARD_DRY_LISTS,
		.make = contradicts_of_1, .action = PASS, .reason = PST_GUARD_MALFORMED,
		.event = EVENT(PST_GUARD_DRY_BLOCKED), NONE},
	{"the list before the rules", .block = LIST_OF_1, .rules = ACCEPTS END, .make = udp_of_1,
		.action = DROP, .reason = PST_GUARD_BLOCKED, NONE},
	{"the rules after the allow list", .allow = LIST_OF_1, .rules = DROPS END, .make = udp_of_1,
		.action = DROP, .reason = PST_GUARD_FW_NO_MATCH, NONE},
	/* TCP flags */
	{"bad flags", .bad_flags = true, .make = tcp_syn_fin, .action = DROP, .reason = PST_GUARD_BAD_FLAGS,
		NONE},
	{"bad flags only count", .bad_flags = true, .flags = PST_GUARD_DRY_FLAGS, .make = tcp_syn_fin,
		.action = PASS, .reason = PST_GUARD_PASSED, .event = EVENT(PST_GUARD_DRY_BAD_FLAGS), NONE},
	{"bad flags of who is allowed", .bad_flags = true, .allow = LIST_OF_1, .make = tcp_syn_fin_of_1,
		.action = PASS, .reason = PST_GUARD_PASSED, NONE},
	{"good flags", .bad_flags = true, .make = tcp_syn, .action = PASS, .reason = PST_GUARD_PASSED, NONE},
	{"no flags in UDP", .bad_flags = true, .make = udp, .action = PASS, .reason = PST_GUARD_PASSED, NONE},
	/* signatures */
	{"a signature", .signature = SIG_DROPS, .make = udp_answer, .action = DROP,
		.reason = PST_GUARD_SIGNATURE, .signature_counts = true, NONE},
	{"a signature that only counts", .signature = SIG_COUNTS, .make = udp_answer, .action = PASS,
		.reason = PST_GUARD_PASSED, .event = EVENT(PST_GUARD_DRY_SIGNATURE), .signature_counts = true,
		NONE},
	{"another port than the signature's", .signature = SIG_DROPS, .make = udp, .action = PASS,
		.reason = PST_GUARD_PASSED, NONE},
	{"a byte too short for it", .signature = SIG_DROPS, .make = udp_short_answer, .action = PASS,
		.reason = PST_GUARD_PASSED, NONE},
	/* limits */
	{"within its share", .flags = PST_GUARD_LIMITS, .make = udp, .action = PASS,
		.reason = PST_GUARD_PASSED, NONE},
	{"over its share", .flags = PST_GUARD_LIMITS, .before = share_is_used, .make = udp, .action = DROP,
		.reason = PST_GUARD_RATE, NONE},
	{"over, but it only counts", .flags = PST_GUARD_LIMITS | PST_GUARD_DRY_LIMITS,
		.before = share_is_used, .make = udp, .action = PASS, .reason = PST_GUARD_PASSED,
		.event = EVENT(PST_GUARD_DRY_RATE), NONE},
	{"another source's share", .flags = PST_GUARD_LIMITS, .before = share_is_used,
		.make = udp_from_elsewhere, .action = PASS, .reason = PST_GUARD_PASSED, NONE},
	/* rules */
	{"the policy accepts", .rules = ACCEPTS END, .make = udp, .action = PASS,
		.reason = PST_GUARD_FW_POLICY, NONE},
	{"the policy drops", .rules = DROPS END, .make = udp, .action = DROP, .reason = PST_GUARD_FW_NO_MATCH,
		NONE},
	{"by source", .rules = DROPS "{name: a, src: [10.0.0.8, '2001:db8::8'], action: accept}" END,
		.make = udp, .action = PASS, .reason = PST_GUARD_FW_ACCEPT, RULE(0)},
	{"another source", .rules = ACCEPTS "{name: a, src: [10.0.0.8, '2001:db8::8'], action: drop}" END,
		.make = udp_of_1, .action = PASS, .reason = PST_GUARD_FW_POLICY, NONE},
	{"by destination",
		.rules = ACCEPTS "{name: a, dst: [192.0.2.0/24, '2001:db8::/32'], action: drop}" END,
		.make = udp, .action = DROP, .reason = PST_GUARD_FW_DROP, RULE(0)},
	{"rejected, and nothing that is answered",
		.rules = ACCEPTS "{name: a, proto: udp, action: reject}" END, .make = fragment,
		.action = DROP, .reason = PST_GUARD_FW_REJECT, .event = EVENT(PST_GUARD_UNANSWERED), RULE(0)},
	{"by protocol", .rules = ACCEPTS "{name: a, proto: sctp, action: drop}" END, .make = sctp,
		.action = DROP, .reason = PST_GUARD_FW_DROP, RULE(0)},
	{"by ports", .rules = ACCEPTS "{name: a, sport: 3999-4000, dport: [52-53, 80], action: drop}" END,
		.make = udp, .action = DROP, .reason = PST_GUARD_FW_DROP, RULE(0)},
	{"beside the ports", .rules = ACCEPTS "{name: a, dport: [52, 54-65535], action: drop}" END,
		.make = udp, .action = PASS, .reason = PST_GUARD_FW_POLICY, NONE},
	{"by flags", .rules = DROPS "{name: a, tcp_flags: 'syn / syn,ack', action: accept}" END,
		.make = tcp_syn, .action = PASS, .reason = PST_GUARD_FW_ACCEPT, RULE(0)},
	{"other flags", .rules = ACCEPTS "{name: a, tcp_flags: 'syn / syn,ack', action: drop}" END,
		.make = tcp_ack, .action = PASS, .reason = PST_GUARD_FW_POLICY, NONE},
	{"by ICMP type",
		.rules = ACCEPTS "{name: a, proto: icmp, icmp: echo-request, action: drop}, {name: b, proto: "
				 "icmpv6, icmp: echo-request, action: continue}, {name: c, action: drop}" END,
		.make = echo, .action = DROP, .reason = PST_GUARD_FW_DROP, RULE(0)},
	{"by DSCP", .rules = ACCEPTS "{name: a, dscp: ef, action: drop}" END, .make = udp_ef, .action = DROP,
		.reason = PST_GUARD_FW_DROP, RULE(0)},
	{"another DSCP", .rules = ACCEPTS "{name: a, dscp: ef, action: drop}" END, .make = udp,
		.action = PASS, .reason = PST_GUARD_FW_POLICY, NONE},
	{"by interface", .rules = DROPS "{name: a, interface: here, action: accept}" END, .make = udp,
		.action = PASS, .reason = PST_GUARD_FW_ACCEPT, RULE(0)},
	{"another interface", .rules = ACCEPTS "{name: a, interface: there, action: drop}" END, .make = udp,
		.action = PASS, .reason = PST_GUARD_FW_POLICY, NONE},
	{"the first that matches",
		.rules = DROPS "{name: a, proto: udp, dport: 54, action: drop}, {name: b, "
			       "proto: udp, action: accept}, {name: c, action: drop}" END,
		.make = udp, .action = PASS, .reason = PST_GUARD_FW_ACCEPT, RULE(1)},
	{"counted on the way",
		.rules = DROPS "{name: a, proto: udp, action: continue}, {name: b, dport: 53, "
			       "action: accept}" END,
		.make = udp, .action = PASS, .reason = PST_GUARD_FW_ACCEPT, .rule = 1, .through = 0},
	{"on to the next step",
		.rules = DROPS "{name: a, proto: udp, action: next}, {name: b, action: drop}" END,
		.make = udp, .action = PASS, .reason = PST_GUARD_FW_STEP, RULE(0)},
	{"a SYN too many is dropped there", .rules = DROPS "{name: a, proto: tcp, action: next}" END,
		.syns = true, .flags = PST_GUARD_SYN, .make = tcp_syn, .action = DROP,
		.reason = PST_GUARD_SYN_LIMIT, RULE(0)},
	{"a fragment has no ports", .rules = ACCEPTS "{name: a, dport: 0-65535, action: drop}" END,
		.make = fragment, .action = PASS, .reason = PST_GUARD_FW_POLICY, NONE},
	{"a fragment has a protocol", .rules = ACCEPTS "{name: a, proto: udp, action: drop}" END,
		.make = fragment, .action = DROP, .reason = PST_GUARD_FW_DROP, RULE(0)},
	/* connections */
	{"new", .rules = STATES, .flags = PST_GUARD_CT, .make = tcp_syn, .action = PASS,
		.reason = PST_GUARD_FW_ACCEPT, .event = EVENT(PST_GUARD_CT_BEGUN), RULE(3)},
	{"established", .rules = STATES, .flags = PST_GUARD_CT, .before = connected, .make = tcp_ack,
		.action = PASS, .reason = PST_GUARD_FW_ACCEPT, RULE(0)},
	{"of no connection", .rules = STATES, .flags = PST_GUARD_CT, .make = tcp_ack, .action = DROP,
		.reason = PST_GUARD_FW_DROP, RULE(2)},
	{"picked up", .rules = STATES, .flags = PST_GUARD_CT | PST_GUARD_CT_LOOSE, .make = tcp_ack,
		.action = PASS, .reason = PST_GUARD_FW_ACCEPT, .event = EVENT(PST_GUARD_CT_BEGUN), RULE(3)},
	{"related", .rules = STATES, .flags = PST_GUARD_CT, .before = sent, .make = unreachable,
		.action = PASS, .reason = PST_GUARD_FW_ACCEPT, RULE(1)},
	{"related to nothing", .rules = STATES, .flags = PST_GUARD_CT, .make = unreachable, .action = DROP,
		.reason = PST_GUARD_FW_DROP, RULE(2)},
	{"untracked", .rules = STATES, .flags = PST_GUARD_CT, .make = fragment, .action = DROP,
		.reason = PST_GUARD_FW_REJECT, .event = EVENT(PST_GUARD_UNANSWERED), RULE(4)},
	{"what is dropped begins nothing", .rules = DROPS "{name: a, state: new, action: drop}" END,
		.flags = PST_GUARD_CT, .make = tcp_syn, .action = DROP, .reason = PST_GUARD_FW_DROP, RULE(0)},
	/* SYNs of all */
	{"a SYN too many", .syns = true, .flags = PST_GUARD_SYN, .make = tcp_syn, .action = DROP,
		.reason = PST_GUARD_SYN_LIMIT, NONE},
	{"a SYN too many that a rule accepts", .syns = true, .flags = PST_GUARD_SYN | PST_GUARD_CT,
		.rules = STATES, .make = tcp_syn, .action = DROP, .reason = PST_GUARD_SYN_LIMIT, RULE(3)},
	{"no SYN", .syns = true, .flags = PST_GUARD_SYN, .make = tcp_ack, .action = PASS,
		.reason = PST_GUARD_PASSED, NONE},
};

/* ---- what is in force ---- */

static uint32_t index_of(const char *name, void *arg)
{
	(void)arg;
	return !strcmp(name, "here") ? 1 : 99; /* a test run comes in over the first */
}

static void force_text(const char *text)
{
	const struct fw_context context = {.ifindex = index_of};
	struct pst_conf_errors errors = {0};
	struct fw_ruleset *set;

	if (fw_parse("case", text, strlen(text), &context, &errors, NULL, &set))
		fail_msg("%s: %s", text, errors.text ? errors.text : "?");
	control->fw_generation = generation;
	force(set);
	generation = control->fw_generation;
	fw_ruleset_free(set);
}

static void force_signature(bool drops)
{
	struct pst_sigs *half = &sigs[1];

	memset(half, 0, sizeof(*half));
	half->protocol[PST_SIG_UDP] = half->sport[53] = 1;
	for (int i = 0; i < PST_SIG_PORTS; i++)
		half->dport[i] = 1;
	half->sig[0] = (struct pst_sig){.sport = {53, 53},
		.dport = {0, 65535},
		.len = {20, 65535},
		.protocol = 17,
		.flags = drops ? PST_SIG_DROP : 0,
		.counter = SIG_PLACE};
	control->sig_generation = 3;
}

static void put_in_force(const struct line *l)
{
	control->flags = control->bad_flags = control->sig_generation = 0;
	generation = PST_MAX(generation, control->fw_generation);
	control->fw_generation = control->block_generation = 0;
	control->limits = (struct pst_guard_limits){.syn_cost_ns = 1000000000, .syn_ahead_us = 1000};
	control->limits.cost_ns[PST_LIMIT_PACKETS] = 1000000000;
	control->limits.ahead_us[PST_LIMIT_PACKETS] = 2000000;
	if (l->rules)
		force_text(l->rules);
	if (l->allow || l->block)
		force_lists(l->allow ? l->allow : "", l->block ? l->block : "");
	if (l->signature)
		force_signature(l->signature == SIG_DROPS);
	control->bad_flags = l->bad_flags ? 1ull << (SYN | FIN) : 0;
}

/* What packets leave behind is as before the first one. */
static void begin(const struct line *l, const struct form *form, uint64_t more_flags)
{
	forget();
	memset(src_rates, 0, src_rates_bytes);
	*syn_until = 0;
	control->flags = l->flags & ~(uint64_t)PST_GUARD_DRY_LIMITS;
	if (l->before)
		l->before(form);
	*syn_until = l->syns ? UINT64_MAX : 0;
	control->flags = l->flags | more_flags;
}

/* ---- one packet ---- */

#define RULES_SEEN 64

struct seen {
	uint64_t reason[PST_GUARD_REASONS_ROOM], rule[RULES_SEEN], sig[PST_SIGS];
	uint64_t bytes; /* of them all */
};

static void see(struct seen *s)
{
	memset(s, 0, sizeof(*s));
	for (int c = 0; c < cpus; c++) {
		const volatile struct pst_guard_counts *of = &counts[c];

		for (int i = 0; i < PST_GUARD_REASONS_ROOM; i++)
			s->reason[i] += of->reason[i].packets, s->bytes += of->reason[i].bytes;
		for (int i = 0; i < RULES_SEEN; i++)
			s->rule[i] += of->rule[i].packets, s->bytes += of->rule[i].bytes;
		for (int i = 0; i < PST_SIGS; i++)
			s->sig[i] += of->sig[i].packets, s->bytes += of->sig[i].bytes;
	}
}

/* @l as it has to move the counters; nothing else moves. */
static void count(struct seen *s, const struct line *l, size_t len)
{
	unsigned n = 1;

	s->reason[l->reason]++;
	if (l->event)
		s->reason[l->event]++, n++;
	if (l->rule != NO_RULE)
		s->rule[l->rule]++, n++;
	if (l->through != NO_RULE)
		s->rule[l->through]++, n++;
	if (l->signature_counts)
		s->sig[SIG_PLACE]++, n++;
	s->bytes += n * len;
}

static void check(const struct line *l, const struct form *form, const struct packet *p, size_t len)
{
	static uint8_t out[sizeof(p->bytes)];
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = p->bytes, .data_size_in = (uint32_t)len,
		.data_out = out, .data_size_out = sizeof(out), .repeat = 1);
	struct seen before, after;
	uint32_t action;

	see(&before);
	assert_int_equal(
		bpf_prog_test_run_opts(
			bpf_program__fd(at_tc ? skel->progs.guard_tc : skel->progs.guard_xdp), &opts),
		0);
	see(&after);
	count(&before, l, len);
	action = at_tc ? l->action == DROP ? TC_SHOT : TC_UNSPEC : (uint32_t)l->action;
	if (opts.retval != action || memcmp(&before, &after, sizeof(before)) || opts.data_size_out != len ||
		memcmp(out, p->bytes, len))
		fail_msg("%s, IPv%d%s at %s, %zu of %zu bytes: action %u, reasons%s, rules%s, signatures%s, "
			 "bytes%s, packet%s",
			l->name, form->ip6 ? 6 : 4, form->tagged ? ", tagged" : "", at_tc ? "tc" : "XDP", len,
			p->len, opts.retval,
			memcmp(before.reason, after.reason, sizeof(before.reason)) ? " differ" : " good",
			memcmp(before.rule, after.rule, sizeof(before.rule)) ? " differ" : " good",
			memcmp(before.sig, after.sig, sizeof(before.sig)) ? " differ" : " good",
			before.bytes != after.bytes ? " differ" : " good",
			opts.data_size_out != len || memcmp(out, p->bytes, len) ? " differs" : " good");
}

/* The shortest frame that a test run takes: at tc all of the IP header. */
static size_t shortest(const struct packet *p, const struct form *form)
{
	return at_tc ? p->l3 + (form->ip6 ? 40 : 20) + 1 : 14;
}

/* A listed source counts as soon as it is there; all else that is cut is truncated. */
static struct line when_cut(const struct line *l, const struct form *form, const struct packet *p, size_t len)
{
	bool has_source = len >= p->l3 + (form->ip6 ? 24 : 16);
	struct line t = {.name = l->name, .action = PASS, .reason = PST_GUARD_TRUNCATED, NONE};

	if (has_source && l->reason == PST_GUARD_BLOCKED) {
		t.action = DROP;
		t.reason = PST_GUARD_BLOCKED;
	}
	if (has_source && l->event == EVENT(PST_GUARD_DRY_BLOCKED))
		t.event = l->event;
	return t;
}

static unsigned cut(const struct line *l, const struct form *form, const struct packet *p)
{
	unsigned n = 0;

	for (size_t len = shortest(p, form); len < p->len; len++, n += 2)
		for (int drops = 0; drops < 2; drops++) {
			struct line truncated = when_cut(l, form, p, len);

			if (drops)
				truncated.action = DROP;
			control->flags = (l->flags & ~DROP_CUT) | (drops ? DROP_CUT : 0);
			check(&truncated, form, p, len);
		}
	return n;
}

static unsigned n_cases, n_cuts;

static void every_form(const struct line *l)
{
	put_in_force(l);
	for (int i = 0; i < 8; i++) {
		struct form form = {.ip6 = i & 1, .tagged = i & 2};
		struct line as_it_is = *l;
		struct packet p;

		at_tc = i & 4;
		if (form.ip6 && l->make == echo) /* ICMPv6 is taken by the rules for it */
			as_it_is.rule = 2, as_it_is.through = 1;
		l->make(&p, &form);
		begin(l, &form, 0);
		check(&as_it_is, &form, &p, p.len);
		n_cases++;
		if (l->make == arp || l->make == contradicts || l->make == contradicts_of_1)
			continue; /* how much of it there is, nothing says */
		begin(l, &form, 0);
		n_cuts += cut(l, &form, &p);
	}
	at_tc = false;
}

/* ---- in tunnels ---- */

#define INNER ((uint64_t)PST_GUARD_INNER_IPIP | PST_GUARD_INNER_GRE | PST_GUARD_INNER_VXLAN)
#define HERE  ((uint64_t)PST_GUARD_CT | PST_GUARD_SYN) /* of what is in no tunnel */

/* What differs: a source is looked for in the lists once all headers could be read. */
static struct line when_inside(const struct line *l)
{
	struct line in = *l;

	if (l->make == contradicts_of_1 || l->make == no_version_of_1) {
		in.reason = PST_GUARD_MALFORMED;
		in.action = l->flags & PST_GUARD_DROP_MALFORMED ? DROP : PASS;
		in.event = 0;
	}
	in.flags |= INNER;
	return in;
}

static unsigned cut_inside(const struct line *l, const struct form *form, const struct packet *p, size_t from)
{
	struct line truncated = {.name = l->name, .action = DROP, .reason = PST_GUARD_TRUNCATED, NONE};
	unsigned n = 0;

	begin(l, form, DROP_CUT);
	for (size_t len = from; len < p->len; len++, n++)
		check(&truncated, form, p, len);
	return n;
}

/* @i: of its line */
static void in_tunnel(size_t i, const struct outer *o, bool ip6)
{
	struct line in = when_inside(&lines[i]);
	struct form form = {.ip6 = ip6, .tagged = false};
	struct packet p;
	size_t l3;

	if (in.make == arp && !is_bridged(o->around))
		return;
	if (in.make == echo && ip6)
		in.rule = 2, in.through = 1;
	in.make(&p, &form);
	l3 = put_into(&p, o);
	form.tagged = o->tagged;
	begin(&in, &form, 0);
	check(&in, &form, &p, p.len);
	n_cases++;
	if (i % AROUNDS == o->around && in.make != arp) /* each kind a part of the lines */
		n_cuts += cut_inside(&in, &form, &p, l3 + (o->ip6 ? 41 : 21));
}

static void in_tunnels(size_t i)
{
	for (int n = 0; n < AROUNDS * 16; n++) {
		const struct outer o = {.around = n / 16, .ip6 = n & 1, .tagged = n & 2};

		at_tc = n & 4;
		in_tunnel(i, &o, n & 8);
	}
	at_tc = false;
}

static void every_line(void **state)
{
	(void)state;
	for (size_t i = 0; i < PST_ARRAY_SIZE(lines); i++) {
		every_form(&lines[i]);
		if (!(lines[i].flags & HERE))
			in_tunnels(i);
	}
	print_message("# %u cases, and %u packets that were cut\n", n_cases, n_cuts);
	assert_true(n_cases >= 4000);
}

/* ---- */

static void small(struct guard_bpf *s)
{
	bpf_map__set_max_entries(s->maps.ct, 64);
	bpf_map__set_max_entries(s->maps.ct_new, 64);
	bpf_map__set_max_entries(s->maps.src_rates, 64);
	s->rodata->cfg_ct_mask = s->rodata->cfg_ct_new_mask = s->rodata->cfg_src_mask = 63;
}

static int cases_setup(void **state)
{
	guard_prepare = small;
	if (ct_setup(state))
		return -1;
	sigs = guard_map(skel->maps.guard_sigs, 2 * sizeof(*sigs));
	src_rates_bytes = 64 * (size_t)bpf_map__value_size(skel->maps.src_rates);
	src_rates = guard_map(skel->maps.src_rates, src_rates_bytes);
	syn_until = guard_map(skel->maps.guard_syn, 4096);
	control->vxlan_port = VXLAN_PORT;
	return sigs && src_rates && syn_until ? 0 : -1;
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(every_line)};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("the guard's steps", tests, cases_setup, teardown);
}
