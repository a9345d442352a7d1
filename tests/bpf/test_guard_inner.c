// SPDX-License-Identifier: Apache-2.0
/*
 * Tunnels that the guard looks into: which, and what of the packet around is still judged; what the inner
 * packet never has (a connection, an answer); what cannot be read; how it is counted, and told by a trial.
 * That each step treats it like a packet in no tunnel is shown in test_guard_cases.c.
 */
#include "policyd/fw/parse.h"
#include "tests/bpf/ctrun.h"
#include "tests/bpf/taps.h"
#include "tests/bpf/tunnels.h"

#define ALL ((uint64_t)PST_GUARD_INNER_IPIP | PST_GUARD_INNER_GRE | PST_GUARD_INNER_VXLAN)

#define IN_1   "10.0.0.1\n2001:db8::1\n"    /* the inner source */
#define AROUND "192.0.2.9\n2001:db8:9::9\n" /* that of the tunnel */
#define OTHERS "198.51.100.0/24\n2001:db8:7::/48\n"

static struct pst_sigs *sigs;
static struct pst_offenders *offender_sets;

/* A packet of inner source 1 in a tunnel. */
struct made {
	struct packet p;
	size_t l3; /* of what is around it */
};

static void make(struct made *m, const struct outer *o, struct flow f, struct segment s)
{
	f.peer = 1;
	flow_packet(&m->p, &f, &s);
	m->l3 = put_into(&m->p, o);
}

static void make_udp(struct made *m, const struct outer *o, bool ip6)
{
	make(m, o, (struct flow){.ip6 = ip6, .protocol = 17, .pport = 4000, .hport = 53},
		(struct segment){.bytes = 20});
}

static void make_tcp(struct made *m, const struct outer *o, bool ip6, uint8_t flags)
{
	make(m, o, (struct flow){.ip6 = ip6, .protocol = 6, .pport = 4000, .hport = 80},
		(struct segment){.flags = flags, .seq = 1000});
}

static int begin(void **state)
{
	(void)state;
	control->flags = ALL;
	control->fw_generation = control->block_generation = 0;
	control->bad_flags = control->sig_generation = 0;
	control->vxlan_port = VXLAN_PORT;
	memset(&control->limits, 0, sizeof(control->limits));
	memset(offender_sets, 0, (PST_OFFENDER_SETS + 1) * sizeof(*offender_sets));
	forget();
	at_tc = false;
	return 0;
}

/* In each kind of tunnel, at both hooks, all families. */
static void each(void (*check)(const struct outer *o, bool ip6))
{
	for (int n = 0; n < AROUNDS * 16; n++) {
		const struct outer o = {.around = n / 16, .ip6 = n & 1, .tagged = n & 2};

		at_tc = n & 4;
		check(&o, n & 8);
	}
	at_tc = false;
}

static void expects(const struct made *m, int action, enum pst_guard_reason why)
{
	expect(m->p.bytes, m->p.len, action, why);
}

static uint64_t flag_of(enum around around)
{
	return around == AROUND_IPIP    ? PST_GUARD_INNER_IPIP
	       : around == AROUND_VXLAN ? PST_GUARD_INNER_VXLAN
					: PST_GUARD_INNER_GRE;
}

static void force_text(const char *text)
{
	static uint64_t generation = 2; /* numbers do not come again: verdicts are kept by them */
	const struct fw_context context = {0};
	struct pst_conf_errors errors = {0};
	struct fw_ruleset *set;

	if (fw_parse("inner", text, strlen(text), &context, &errors, NULL, &set))
		fail_msg("%s: %s", text, errors.text ? errors.text : "?");
	control->fw_generation = generation;
	force(set);
	generation = control->fw_generation;
	fw_ruleset_free(set);
}

/* ---- which packet is judged ---- */

static void check_on_and_off(const struct outer *o, bool ip6)
{
	struct made m;

	make_udp(&m, o, ip6);
	control->flags = flag_of(o->around);
	expects(&m, DROP, PST_GUARD_BLOCKED);
	control->flags = ALL & ~flag_of(o->around);
	expects(&m, PASS, PST_GUARD_PASSED);
	control->flags = 0;
	expects(&m, PASS, PST_GUARD_PASSED);
}

static void on_and_off(void **state)
{
	(void)state;
	force_lists("", IN_1);
	each(check_on_and_off);
}

/* Rules see one of the two: here each drops what the other one accepts. */
static void check_rules(const struct outer *o, bool ip6)
{
	struct made m;

	make_udp(&m, o, ip6);
	control->flags = ALL;
	expects(&m, DROP, PST_GUARD_FW_DROP);
	control->flags = 0;
	expects(&m, PASS, PST_GUARD_FW_ACCEPT);
}

static void rules_see_what_is_inside(void **state)
{
	(void)state;
	force_text("firewall: {policy: drop, rules: ["
		   "{name: inside, src: [10.0.0.1, '2001:db8::1'], proto: udp, dport: 53, action: drop},"
		   "{name: around, src: [192.0.2.9, '2001:db8:9::9'], action: accept}]}");
	each(check_rules);
}

static void another_port_is_no_vxlan(void **state)
{
	const struct outer o = {AROUND_VXLAN, false, false};
	struct made m;

	(void)state;
	force_lists("", IN_1);
	make_udp(&m, &o, false);
	control->vxlan_port = 8472;
	expects(&m, PASS, PST_GUARD_PASSED);
	put16(m.p.bytes + m.l3 + 20 + 2, 8472);
	expects(&m, DROP, PST_GUARD_BLOCKED);
}

static void check_fragment(const struct outer *o, bool ip6)
{
	struct made m;

	if (o->ip6)
		return;
	make_udp(&m, o, ip6);
	put16(m.p.bytes + m.l3 + 6, 0x2000); /* the first one */
	expects(&m, PASS, PST_GUARD_PASSED);
	put16(m.p.bytes + m.l3 + 6, 0x4000);
	expects(&m, DROP, PST_GUARD_BLOCKED);
}

static void fragments_have_nothing_inside(void **state)
{
	(void)state;
	force_lists("", IN_1);
	each(check_fragment);
}

/* ---- lists: both are asked, and only the one inside is let off the other steps ---- */

static void check_around_blocked(const struct outer *o, bool ip6)
{
	struct made m;

	make_udp(&m, o, ip6);
	expects(&m, DROP, PST_GUARD_BLOCKED);
	m.p.len = m.l3 + (o->ip6 ? 41 : 21); /* nothing inside is looked at */
	expects(&m, DROP, PST_GUARD_BLOCKED);
}

static uint64_t dry(void)
{
	return reason((enum pst_guard_reason)PST_GUARD_DRY_BLOCKED).packets;
}

static void check_dry(const struct outer *o, bool ip6)
{
	uint64_t before = dry();
	struct made m;

	make_udp(&m, o, ip6);
	expects(&m, DROP, PST_GUARD_FW_DROP);
	assert_int_equal(dry(), before + 1);
}

static void check_blocked(const struct outer *o, bool ip6)
{
	struct made m;

	make_udp(&m, o, ip6);
	expects(&m, DROP, PST_GUARD_BLOCKED);
}

/* SYN and FIN. */
static void check_bad_flags(const struct outer *o, bool ip6)
{
	struct made m;

	make_tcp(&m, o, ip6, SYN | FIN);
	expects(&m, DROP, PST_GUARD_BAD_FLAGS);
}

static void check_let_off(const struct outer *o, bool ip6)
{
	struct made m;

	make_tcp(&m, o, ip6, SYN | FIN);
	expects(&m, PASS, PST_GUARD_PASSED);
}

static void lists(void **state)
{
	(void)state;
	force_lists(IN_1, AROUND);
	each(check_around_blocked);
	force_lists(AROUND, IN_1);
	each(check_blocked);
	control->bad_flags = 1ull << (SYN | FIN);
	force_lists(AROUND, OTHERS);
	each(check_bad_flags);
	force_lists(IN_1, OTHERS);
	each(check_let_off);
}

/* The step runs dry: each packet counts once, whichever source is listed, and the rules see what is inside.
 */
static void lists_that_only_count(void **state)
{
	(void)state;
	control->flags |= PST_GUARD_DRY_LISTS;
	force_text(
		"firewall: {policy: accept, rules: [{name: inside, proto: udp, dport: 53, action: drop}]}");
	force_lists("", AROUND);
	each(check_dry);
	force_lists("", IN_1);
	each(check_dry);
	force_lists("", AROUND IN_1);
	each(check_dry);
}

/* ---- what it never has ---- */

static void check_untracked(const struct outer *o, bool ip6)
{
	struct made m;

	make_tcp(&m, o, ip6, SYN);
	assert_int_equal(state_of(&m.p), PST_CT_UNTRACKED);
	make_tcp(&m, o, ip6, ACK);
	assert_int_equal(state_of(&m.p), PST_CT_UNTRACKED);
	assert_int_equal(entries(0) + entries(1), 0);
}

static void no_connection(void **state)
{
	(void)state;
	control->flags |= PST_GUARD_CT | PST_GUARD_CT_LOOSE;
	force_states(0);
	each(check_untracked);
}

static void check_syn(const struct outer *o, bool ip6)
{
	struct made m;

	make_tcp(&m, o, ip6, SYN);
	control->flags = ALL | PST_GUARD_SYN | PST_GUARD_CT;
	expects(&m, PASS, PST_GUARD_OFF);
}

/* The rate of all SYNs has been used up. */
static void no_cookies(void **state)
{
	struct flow f = {.protocol = 6, .peer = 1, .pport = 4000, .hport = 80};
	uint64_t *until = guard_map(skel->maps.guard_syn, 4096);
	struct packet p;

	(void)state;
	assert_non_null(until);
	*until = UINT64_MAX;
	control->limits.syn_cost_ns = 1000000000;
	control->limits.syn_ahead_us = 1000;
	each(check_syn);
	flow_packet(&p, &f, &(struct segment){.flags = SYN});
	expect(p.bytes, p.len, DROP, PST_GUARD_SYN_LIMIT);
	*until = 0;
	munmap(until, 4096);
}

static void check_rejected(const struct outer *o, bool ip6)
{
	static uint8_t out[2048];
	uint64_t unanswered = reason((enum pst_guard_reason)PST_GUARD_UNANSWERED).packets;
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_out = out, .data_size_out = sizeof(out), .repeat = 1);
	struct made m;

	make_tcp(&m, o, ip6, SYN);
	opts.data_in = m.p.bytes;
	opts.data_size_in = (uint32_t)m.p.len;
	assert_int_equal(
		bpf_prog_test_run_opts(
			bpf_program__fd(at_tc ? skel->progs.guard_tc : skel->progs.guard_xdp), &opts),
		0);
	assert_int_equal(opts.retval, at_tc ? TC_SHOT : DROP);
	assert_int_equal(opts.data_size_out, m.p.len);
	assert_memory_equal(out, m.p.bytes, m.p.len);
	assert_int_equal(reason((enum pst_guard_reason)PST_GUARD_UNANSWERED).packets, unanswered + 1);
}

static void no_answer(void **state)
{
	(void)state;
	force_text("firewall: {policy: accept, rules: [{name: a, proto: tcp, action: reject}]}");
	each(check_rejected);
}

/* ---- floods ---- */

static void force_signature(uint8_t flags)
{
	struct pst_sigs *half = &sigs[1];

	memset(half, 0, sizeof(*half));
	half->protocol[PST_SIG_UDP] = half->dport[53] = 1;
	for (int i = 0; i < PST_SIG_PORTS; i++)
		half->sport[i] = 1;
	half->sig[0] = (struct pst_sig){
		.sport = {0, 65535}, .dport = {53, 53}, .len = {20, 20}, .protocol = 17, .flags = flags};
	control->sig_generation = 3;
}

static void check_signature(const struct outer *o, bool ip6)
{
	struct made m;

	make_udp(&m, o, ip6);
	force_signature(PST_SIG_DROP);
	expects(&m, DROP, PST_GUARD_SIGNATURE);
	force_signature(PST_SIG_DROP | PST_SIG_UNASKED); /* who knows what was asked through a tunnel? */
	expects(&m, PASS, PST_GUARD_PASSED);
}

static void signatures(void **state)
{
	(void)state;
	control->flags |= PST_GUARD_CT;
	each(check_signature);
}

/* Who sends it is who sent what is inside. */
static void offenders(void **state)
{
	const struct outer o = {AROUND_GRE, true, false};
	struct made m, other;

	(void)state;
	control->flags |= PST_GUARD_OFFENDERS | PST_GUARD_FORGEABLE;
	control->limits.offend_cost = 100000000; /* 100 s */
	control->limits.offend_ahead = 250000000;
	control->limits.offend_for = 1 << 20;
	force_signature(PST_SIG_DROP);
	make_udp(&m, &o, false);
	for (int i = 0; i < 3; i++)
		expects(&m, DROP, PST_GUARD_SIGNATURE);
	expects(&m, DROP, PST_GUARD_OFFENDER);
	make_udp(&other, &o, true);
	expects(&other, DROP, PST_GUARD_SIGNATURE);
	control->flags = 0;
	expects(&m, PASS, PST_GUARD_PASSED);
}

/* A segment of an open connection, with its numbers: outside of a tunnel it counts, inside it proves nothing.
 */
static void no_proof(void **state)
{
	const struct outer o = {AROUND_IPIP, false, false};
	struct flow f = {.protocol = 6, .peer = 1, .pport = 4000, .hport = 80};
	struct segment s = {.flags = ACK, .seq = 1001, .ack = 5001};
	struct made m;

	(void)state;
	control->flags |= PST_GUARD_CT;
	force_states(0);
	open_tcp(&f);
	control->flags |= PST_GUARD_OFFENDERS;
	control->bad_flags = 1ull << ACK;
	control->limits.offend_cost = control->limits.offend_ahead = control->limits.offend_for = 1 << 20;
	make(&m, &o, f, s);
	for (int i = 0; i < 5; i++)
		expects(&m, DROP, PST_GUARD_BAD_FLAGS);
	flow_packet(&m.p, &f, &s);
	expects(&m, DROP, PST_GUARD_BAD_FLAGS);
	expects(&m, DROP, PST_GUARD_OFFENDER);
}

/* ---- what cannot be read, by interface ---- */

static void expect_unread(const struct made *m, enum pst_guard_reason why, uint64_t flag)
{
	control->flags = ALL;
	expects(m, PASS, why);
	control->flags = ALL | flag;
	expects(m, DROP, why);
	control->flags = ALL | flag | PST_GUARD_DROP_IFACES;
	control->ifaces.drop[1] = 1ull << 32; /* a test run comes in over the first */
	expects(m, PASS, why);
	control->ifaces.drop[1] = 1ull << 32 | flag;
	control->flags = ALL | PST_GUARD_DROP_IFACES;
	expects(m, DROP, why);
	control->ifaces.drop[1] = 0;
}

static void check_unread(const struct outer *o, bool ip6)
{
	struct made m;

	make_udp(&m, o, ip6);
	set_outer_end(&m.p, m.l3, o->ip6, m.p.len - 1);
	expect_unread(&m, PST_GUARD_TRUNCATED, PST_GUARD_DROP_TRUNCATED);
	make_udp(&m, o, ip6);
	m.p.bytes[m.p.l3] = 0x10;
	expect_unread(&m, PST_GUARD_MALFORMED, PST_GUARD_DROP_MALFORMED);
	make_udp(&m, o, ip6);
	if (is_bridged(o->around))
		put16(m.p.bytes + m.p.l3 - 2, 0x0806);
	else if (o->around != AROUND_IPIP)
		m.p.bytes[m.l3 + (o->ip6 ? 41 : 21)] = 1; /* PPTP */
	else
		return;
	expect_unread(&m, PST_GUARD_NO_IP, PST_GUARD_DROP_NO_IP);
}

static void unread(void **state)
{
	(void)state;
	each(check_unread);
}

/* ---- counters ---- */

static void expect_cell(const struct made *m, enum pst_guard_protocol protocol)
{
	uint32_t i = PST_GUARD_CELL(PST_DIR_IN, protocol, PST_GUARD_PASS);
	struct pst_guard_count before = cell(i);

	assert_int_equal(run(m->p.bytes, m->p.len), PASS);
	assert_int_equal(cell(i).packets, before.packets + 1);
	assert_int_equal(cell(i).bytes, before.bytes + m->p.len);
}

/* As the packet on the wire is, and as it is when it goes out; whether what is inside could be read or not.
 */
static void check_counted(const struct outer *o, bool ip6)
{
	enum pst_guard_protocol protocol = o->around == AROUND_IPIP    ? PST_GUARD_OTHER
					   : o->around == AROUND_VXLAN ? PST_GUARD_UDP
								       : PST_GUARD_GRE;
	struct flow f = {.protocol = 6, .peer = 1};
	struct made m;

	make_tcp(&m, o, ip6, ACK);
	expect_cell(&m, protocol);
	if (is_bridged(o->around)) {
		put16(m.p.bytes + m.p.l3 - 2, 0x0806);
		expect_cell(&m, protocol);
	}
	flow_packet(&m.p, &f, &(struct segment){.flags = ACK});
	expect_cell(&m, PST_GUARD_TCP);
}

static void counted_as_on_the_wire(void **state)
{
	(void)state;
	each(check_counted);
}

/* What a tunnel left behind is nothing to the next packet, of which only the source is read. */
static void check_next(const struct outer *o, bool ip6)
{
	uint32_t i = PST_GUARD_CELL(PST_DIR_IN, PST_GUARD_TCP, PST_GUARD_DROP);
	struct flow f = {.protocol = 6, .peer = 2};
	uint64_t before = cell(i).packets;
	struct made m;

	make_tcp(&m, o, ip6, ACK);
	expects(&m, PASS, PST_GUARD_PASSED);
	flow_packet(&m.p, &f, &(struct segment){.flags = ACK});
	expects(&m, DROP, PST_GUARD_BLOCKED);
	assert_int_equal(cell(i).packets, before + 1);
}

static void the_next_packet(void **state)
{
	(void)state;
	force_lists("", "10.0.0.2\n");
	each(check_next);
}

static void the_tag_is_the_frames(void **state)
{
	static const char rules[] =
		"firewall: {policy: accept, rules: [{name: a, vlan: 0-4095, action: drop}]}";
	struct made m;

	(void)state;
	force_text(rules);
	for (int n = 0; n < AROUNDS * 2; n++) {
		struct outer o = {n / 2, false, n & 1};
		struct flow f = {.protocol = 17, .peer = 1, .tagged = !o.tagged};

		flow_packet(&m.p, &f, &(struct segment){.bytes = 8});
		m.l3 = put_into(&m.p, &o);
		expects(&m, o.tagged ? DROP : PASS, o.tagged ? PST_GUARD_FW_DROP : PST_GUARD_FW_POLICY);
	}
}

/* ---- without a link header ---- */

#define IFINDEX 78

/* A device with the guard at tc; -1: there is none on this kernel. */
static int guarded_tun(void)
{
	LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = IFINDEX, .attach_point = BPF_TC_INGRESS);
	LIBBPF_OPTS(bpf_tc_opts, opts, .prog_fd = bpf_program__fd(skel->progs.guard_tc));
	int tun;

	assert_return_code(unshare(CLONE_NEWNET), errno);
	tun = tap_new_flags("tun", IFINDEX, IFF_TUN);
	if (tun < 0)
		return -1;
	assert_int_equal(bpf_tc_hook_create(&hook), 0);
	assert_int_equal(bpf_tc_attach(&hook, &opts), 0);
	return tun;
}

/* Of TCP, which rules reject: does an answer come? */
static bool is_answered(int tun, const uint8_t *ip, size_t len)
{
	uint64_t before = reason(PST_GUARD_FW_REJECT).packets;
	uint8_t answer[256];
	bool any = false;

	assert_int_equal(write(tun, ip, len), len);
	assert_int_equal(reason(PST_GUARD_FW_REJECT).packets, before + 1);
	while (read(tun, answer, sizeof(answer)) > 0)
		any |= answer[0] >> 4 == 4; /* the host itself has things to say over IPv6 */
	return any;
}

/* Where the inner header's offset could be that of a packet behind two tags, and its bytes a tag. */
static void no_link_header(void **state)
{
	const struct outer o = {AROUND_IPIP, false, false};
	struct flow f = {.protocol = 6, .peer = 1, .pport = 4000, .hport = 80};
	int tun = guarded_tun();
	struct packet p;
	struct made m;

	(void)state;
	if (tun < 0)
		skip();
	force_text("firewall: {policy: accept, rules: [{name: a, vlan: 0-4095, action: drop}, {name: b, "
		   "proto: tcp, action: reject}]}");
	make_tcp(&m, &o, false, SYN);
	assert_false(is_answered(tun, m.p.bytes + m.l3, m.p.len - m.l3));
	flow_packet(&p, &f, &(struct segment){.flags = SYN, .seq = 1000});
	assert_true(is_answered(tun, p.bytes + p.l3, p.len - p.l3));
	close(tun);
}

/* ---- penstock why ---- */

static void trial(const struct made *m, struct pst_guard_why *why)
{
	const uint32_t zero = 0;
	const int fd = bpf_map__fd(skel->maps.guard_why);

	for (int tries = 0; tries < 100; tries++) { /* a real packet may come in between */
		*why = (struct pst_guard_why){.armed = 1, .ifindex = 1};
		assert_int_equal(bpf_map_update_elem(fd, &zero, why, BPF_ANY), 0);
		(void)run(m->p.bytes, m->p.len);
		assert_int_equal(bpf_map_lookup_elem(fd, &zero, why), 0);
		if (why->state == PST_GUARD_WHY_DONE)
			break;
	}
	assert_int_equal(why->state, PST_GUARD_WHY_DONE);
	assert_int_equal(bpf_map_update_elem(fd, &zero, &(struct pst_guard_why){0}, BPF_ANY), 0);
}

static void check_told(const struct outer *o, bool ip6)
{
	enum pst_tunnel tunnel = o->around == AROUND_IPIP    ? PST_TUNNEL_IPIP
				 : o->around == AROUND_VXLAN ? PST_TUNNEL_VXLAN
							     : PST_TUNNEL_GRE;
	struct pst_guard_why why;
	struct made m;

	make_udp(&m, o, ip6);
	trial(&m, &why);
	assert_int_equal(why.tunnel, tunnel);
	assert_int_equal(why.key.protocol, 17);
	assert_int_equal(why.key.family, ip6 ? AF_INET6 : AF_INET);
	assert_int_equal(why.key.dport, 53);
	assert_int_equal(why.outer.family, o->ip6 ? AF_INET6 : AF_INET);
	assert_int_equal(why.outer.saddr[15], 9);
	m.p.bytes[m.p.l3] = 0x10;
	trial(&m, &why);
	assert_int_equal(why.reason, PST_GUARD_MALFORMED);
	assert_int_equal(why.tunnel, tunnel);
	assert_int_equal(why.key.saddr[15], 9); /* what could be read */
	control->flags = 0;
	make_udp(&m, o, ip6);
	trial(&m, &why);
	assert_int_equal(why.tunnel, PST_TUNNEL_NONE);
	assert_int_equal(why.key.saddr[15], 9);
	control->flags = ALL;
}

static void told(void **state)
{
	(void)state;
	each(check_told);
}

/* ---- */

static int inner_setup(void **state)
{
	if (ct_setup(state))
		return -1;
	sigs = guard_map(skel->maps.guard_sigs, 2 * sizeof(*sigs));
	offender_sets = guard_map(skel->maps.offenders, (PST_OFFENDER_SETS + 1) * sizeof(*offender_sets));
	return sigs && offender_sets ? 0 : -1;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(on_and_off, begin),
		cmocka_unit_test_setup(rules_see_what_is_inside, begin),
		cmocka_unit_test_setup(another_port_is_no_vxlan, begin),
		cmocka_unit_test_setup(fragments_have_nothing_inside, begin),
		cmocka_unit_test_setup(lists, begin),
		cmocka_unit_test_setup(lists_that_only_count, begin),
		cmocka_unit_test_setup(no_connection, begin),
		cmocka_unit_test_setup(no_cookies, begin),
		cmocka_unit_test_setup(no_answer, begin),
		cmocka_unit_test_setup(signatures, begin),
		cmocka_unit_test_setup(offenders, begin),
		cmocka_unit_test_setup(no_proof, begin),
		cmocka_unit_test_setup(unread, begin),
		cmocka_unit_test_setup(counted_as_on_the_wire, begin),
		cmocka_unit_test_setup(the_next_packet, begin),
		cmocka_unit_test_setup(the_tag_is_the_frames, begin),
		cmocka_unit_test_setup(told, begin),
		cmocka_unit_test_setup(no_link_header, begin),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("the guard in tunnels", tests, inner_setup, teardown);
}
