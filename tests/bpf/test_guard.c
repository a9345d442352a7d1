// SPDX-License-Identifier: Apache-2.0
/*
 * The guard's program by BPF_PROG_TEST_RUN: every kind of packet against a rule that names it, cut at every
 * byte; random rules against their plain evaluation; the cache, generations, and tables that somebody
 * scribbled into.
 */
#include "tests/bpf/guardrun.h"
#include "tests/bpf/fw_frame.h"

/* A test run at tc wants a whole IP header behind Ethernet's. */
static size_t shortest(const struct packet *p)
{
	unsigned type = (unsigned)p->bytes[12] << 8 | p->bytes[13];

	return 14 + (!at_tc ? 0 : type == 0x0800 ? 20 : type == 0x86dd ? 40 : 1);
}

/* ---- one rule ---- */

static void name_ports(struct fw_rule *r, const struct packet *p)
{
	static struct fw_range sport, dport;

	sport = (struct fw_range){p->key.sport, p->key.sport};
	dport = (struct fw_range){p->key.dport, p->key.dport};
	r->sport = (struct fw_ranges){&sport, 1, false};
	r->dport = (struct fw_ranges){&dport, 1, false};
}

/* A rule that names all that the packet is. */
static void name_packet(struct fw_rule *r, const struct packet *p, bool fragment)
{
	static struct fw_prefix src, dst;
	static struct fw_range icmp;
	uint8_t proto = p->key.protocol;

	memset(r, 0, sizeof(*r));
	memcpy(src.addr, p->key.saddr, 16);
	memcpy(dst.addr, p->key.daddr, 16);
	src.len = dst.len = 128;
	r->src = (struct fw_prefixes){&src, 1, false};
	r->dst = (struct fw_prefixes){&dst, 1, false};
	r->family = p->key.family == AF_INET ? 4 : 6;
	r->has = FW_HAS_PROTO;
	r->protocols[proto / 64] = 1ULL << proto % 64;
	if (fragment)
		return;
	if (proto == 6 || proto == 17 || proto == 33 || proto == 132 || proto == 136)
		name_ports(r, p);
	if (proto == 1 || proto == 58) {
		icmp.lo = icmp.hi = (uint16_t)(p->key.sport << 8 | p->key.dport);
		r->icmp = (struct fw_ranges){&icmp, 1, false};
		r->has |= FW_HAS_ICMP;
	}
	if (proto == 6) {
		r->has |= FW_HAS_TCP_FLAGS;
		r->tcp_mask = 0xff;
		r->tcp_value = p->tcp_flags;
	}
}

static bool is_later_fragment(const char *name)
{
	return strstr(name, "later fragment");
}

/* Without padding. */
static size_t whole(const struct packet *p)
{
	return p->l3_len ? p->l3 + p->l3_len : p->need;
}

/* What the rule does, and another rule of which one field differs does not. */
static void check_kind(const struct packet *p, bool fragment)
{
	static const struct {
		enum pst_fw_action action;
		int what;
		enum pst_guard_reason reason;
	} kinds[] = {{PST_FW_ACCEPT, PASS, PST_GUARD_FW_ACCEPT}, {PST_FW_STEP, PASS, PST_GUARD_FW_STEP},
		{PST_FW_DROP, DROP, PST_GUARD_FW_DROP}, {PST_FW_REJECT, DROP, PST_GUARD_FW_REJECT}};
	struct fw_ruleset set = {.rules = calloc(1, sizeof(*set.rules)), .n = 1};
	struct fw_rule *r = set.rules;

	for (size_t k = 0; k < PST_ARRAY_SIZE(kinds); k++) {
		name_packet(r, p, fragment);
		r->action = (uint8_t)kinds[k].action;
		r->counter = 7;
		set.policy = kinds[k].what == PASS ? PST_FW_DROP : PST_FW_ACCEPT;
		force(&set);
		for (int twice = 0; twice < 2; twice++) { /* searched, then from the cache */
			uint64_t counted = counter(7).packets;

			expect(p->bytes, p->len, kinds[k].what, kinds[k].reason);
			assert_int_equal(counter(7).packets, counted + 1);
		}
	}
	for (size_t len = shortest(p); len < whole(p);
		len++) /* the rule rejects, and a cut packet is none of its */
		expect(p->bytes, len, PASS, PST_GUARD_TRUNCATED);
	r->src.v->addr[15] ^= 1;
	force(&set);
	expect(p->bytes, p->len, PASS, PST_GUARD_FW_POLICY);
	r->src.v->addr[15] ^= 1;
	if (r->dport.n) {
		r->dport.v->lo = r->dport.v->hi = (uint16_t)(p->key.dport + 1);
		force(&set);
		expect(p->bytes, p->len, PASS, PST_GUARD_FW_POLICY);
	}
	free(set.rules);
}

static void every_kind_of_packet(void **state)
{
	(void)state;
	for (size_t i = 0; i < PACKETS; i++) {
		struct packet p;

		packets[i].make(&p);
		print_message("# %s\n", packets[i].name);
		if (packets[i].what == 0)
			check_kind(&p, is_later_fragment(packets[i].name));
	}
}

/* With these flags in force, what these are for is dropped, and nothing else that no rule is asked about. */
static void check_flags(uint64_t in_force, uint64_t flags)
{
	control->flags = in_force;
	for (size_t i = 0; i < PACKETS; i++) {
		struct packet p;

		packets[i].make(&p);
		if (packets[i].what == 3)
			expect(p.bytes, p.len, flags & PST_GUARD_DROP_MALFORMED ? DROP : PASS,
				PST_GUARD_MALFORMED);
		else if (packets[i].what == 1)
			expect(p.bytes, p.len, flags & PST_GUARD_DROP_NO_IP ? DROP : PASS, PST_GUARD_NO_IP);
		else if (whole(&p) > shortest(&p))
			expect(p.bytes, whole(&p) - 1, flags & PST_GUARD_DROP_TRUNCATED ? DROP : PASS,
				PST_GUARD_TRUNCATED);
	}
	control->flags = 0;
}

static void check_flag(uint64_t flag)
{
	check_flags(flag, flag);
}

/* What cannot be read and what is no IP: no rule and no policy is asked. */
static void what_is_not_right(void **state)
{
	static const enum pst_fw_action policies[] = {PST_FW_ACCEPT, PST_FW_DROP};

	(void)state;
	for (size_t i = 0; i < PST_ARRAY_SIZE(policies); i++) {
		struct fw_ruleset set = {.policy = policies[i]};

		force(&set);
		check_flag(0);
		check_flag(PST_GUARD_DROP_TRUNCATED);
		check_flag(PST_GUARD_DROP_MALFORMED);
		check_flag(PST_GUARD_DROP_NO_IP);
	}
}

#define ALL_FLAGS           ((uint64_t)PST_GUARD_DROP_TRUNCATED | PST_GUARD_DROP_MALFORMED | PST_GUARD_DROP_NO_IP)
#define OWN(ifindex, flags) ((uint64_t)(ifindex) << 32 | (flags))
#define HERE                1u /* where packets of a test run come in */

/* Interfaces with flags of their own: those are what counts, wherever in reach of its place they are. */
static void what_differs_by_interface(void **state)
{
	const uint64_t one = PST_GUARD_DROP_MALFORMED, by = PST_GUARD_DROP_IFACES;
	struct fw_ruleset set = {.policy = PST_FW_ACCEPT};
	__u64 *drop = control->ifaces.drop;

	(void)state;
	force(&set);
	for (unsigned at = HERE; at < HERE + PST_GUARD_IFACE_TRIES; at++) {
		drop[at] = OWN(HERE, one);
		check_flags(by, one);
		check_flags(by | ALL_FLAGS, one);
		check_flags(ALL_FLAGS, ALL_FLAGS); /* nobody says that there are any */
		drop[at] = OWN(HERE, 0);
		check_flags(by | ALL_FLAGS, 0);
		drop[at] = OWN(HERE + PST_GUARD_IFACES, one); /* another one's */
		check_flags(by | ALL_FLAGS, ALL_FLAGS);
	}
	/* out of reach, in the first place as in the last */
	drop[HERE + PST_GUARD_IFACE_TRIES] = drop[0] = drop[PST_GUARD_IFACES - 1] = OWN(HERE, one);
	check_flags(by | ALL_FLAGS, ALL_FLAGS);
	/* rubbish decides of such packets, and of no others */
	for (unsigned i = 0; i < PST_GUARD_IFACES; i++)
		drop[i] = 0x1ffffffffull;
	check_flags(by, ALL_FLAGS);
	control->flags = by;
	for (size_t i = 0; i < PACKETS; i++) {
		struct packet p;

		packets[i].make(&p);
		if (packets[i].what == 0)
			expect(p.bytes, p.len, PASS, PST_GUARD_FW_POLICY);
	}
	memset(drop, 0, sizeof(control->ifaces.drop));
	control->flags = 0;
}

/* Headers whole, cut anywhere: never a verdict of rules on half a packet. */
static void cut_anywhere(void **state)
{
	struct fw_ruleset set = {.policy = PST_FW_DROP};

	(void)state;
	force(&set);
	for (size_t i = 0; i < PACKETS; i++) {
		struct packet p;

		packets[i].make(&p);
		if (packets[i].what != 0)
			continue;
		for (size_t len = shortest(&p); len <= p.len; len++)
			expect(p.bytes, len, len < whole(&p) ? PASS : DROP,
				len < whole(&p) ? PST_GUARD_TRUNCATED : PST_GUARD_FW_NO_MATCH);
	}
}

/* ---- many rules ---- */

static int action_of(const struct fw_ruleset *set, long rule)
{
	unsigned action = rule < 0 ? set->policy : set->rules[rule].action;

	return action == PST_FW_ACCEPT || action == PST_FW_STEP ? PASS : DROP;
}

static void check_rules(const struct fw_ruleset *set, unsigned samples)
{
	uint64_t state = rule_draw() | 1;

	force(set);
	for (unsigned i = 0; i < samples; i++) {
		struct pst_fw_packet s;
		struct packet p;
		uint64_t counted;
		long rule;

		fw_sample(set, &state, &s);
		s.ifindex = 1; /* the loopback device's, in a test run */
		if (rule_chance(2))
			s.root[PST_FW_SADDR] = FRAME_NO_IP;
		frame_build(&s, &p);
		if (s.root[PST_FW_SADDR] == FRAME_NO_IP) { /* no rule is asked about what is no IP */
			expect(p.bytes, p.len, PASS, PST_GUARD_NO_IP);
			continue;
		}
		rule = fw_linear(set, &s);
		counted = rule < 0 ? 0 : counter(set->rules[rule].counter).packets;
		for (int k = 1; k < 3; k++) {
			assert_int_equal(run(p.bytes, p.len), action_of(set, rule));
			if (rule >= 0)
				assert_int_equal(
					counter(set->rules[rule].counter).packets, counted + (unsigned)k);
		}
	}
}

static void random_rules(void **state)
{
	static const size_t sizes[] = {1, 3, 20, 64, 65, 300, 520, 1100};

	(void)state;
	for (unsigned round = 0; round < 24; round++) {
		struct fw_ruleset set;

		rules_random(&set, sizes[round % PST_ARRAY_SIZE(sizes)], round % 3);
		set.policy = round & 1 ? PST_FW_DROP : PST_FW_ACCEPT;
		check_rules(&set, 150);
		fw_ruleset_done(&set);
	}
}

/* Rules that only count do so for each packet, though verdicts are kept. */
static void rules_that_only_count(void **state)
{
	struct fw_ruleset set = {.rules = calloc(3, sizeof(*set.rules)), .n = 3};
	uint64_t first, second;
	struct packet p;

	(void)state;
	make_tcp4(&p);
	for (uint32_t i = 0; i < 3; i++)
		set.rules[i] =
			(struct fw_rule){.action = i < 2 ? PST_FW_NEXT : PST_FW_DROP, .counter = 20 + i};
	force(&set);
	first = counter(20).packets;
	second = counter(21).packets;
	for (unsigned i = 1; i <= 5; i++) {
		expect(p.bytes, p.len, DROP, PST_GUARD_FW_DROP);
		assert_int_equal(counter(20).packets, first + i);
		assert_int_equal(counter(21).packets, second + i);
	}
	free(set.rules);
}

/* ---- allow and block list ---- */

/* What the packets of the table come from. */
#define SOURCE4 "8.0.9.1"
#define SOURCE6 "2001:db8:86dd::1"

static void expect_all(int action, enum pst_guard_reason why)
{
	for (size_t i = 0; i < PACKETS; i++) {
		struct packet p;

		packets[i].make(&p);
		if (packets[i].what == 0)
			expect(p.bytes, p.len, action, why);
	}
}

static void sources_on_lists(void **state)
{
	static const struct {
		const char *allow, *block;
		int action;
	} cases[] = {
		{"", "", PASS},
		{"", SOURCE4 "\n" SOURCE6 "\n", DROP},
		{"", "8.0.9.0\n8.0.9.2\n2001:db8:86dd::\n2001:db8:86dd::2\n", PASS},
		{"", "8.0.9.0/24\n2001:db8:86dd::/48\n", DROP},
		{"", "8.0.8.0/24\n8.0.9.2/31\n2001:db8:86de::/48\n", PASS},
		{"", "0.0.0.0/0\n::/0\n", DROP},
		{SOURCE4 "\n" SOURCE6 "\n", "0.0.0.0/0\n::/0\n", PASS},
		{"8.0.0.0/9\n2001:db8::/32\n", SOURCE4 "\n" SOURCE6 "\n", PASS},
		{"8.0.9.0\n", SOURCE4 "\n" SOURCE6 "\n", DROP},
		{"", SOURCE4 " expires=1h reason=scan\n" SOURCE6 " expires=1h\n", DROP},
	};

	(void)state;
	control->fw_generation = 0;
	for (size_t i = 0; i < PST_ARRAY_SIZE(cases); i++) {
		print_message("# lists %zu\n", i);
		force_lists(cases[i].allow, cases[i].block);
		expect_all(cases[i].action, cases[i].action == DROP ? PST_GUARD_BLOCKED : PST_GUARD_PASSED);
	}
	control->block_generation = 0;
	expect_all(PASS, PST_GUARD_OFF);
}

/* An entry ends by itself. */
static void blocked_for_a_second(void **state)
{
	struct packet p;
	int dropped = 0;

	(void)state;
	control->fw_generation = 0;
	make_udp4(&p);
	force_lists("", SOURCE4 " expires=2s\n");
	for (int i = 0; i < 100 && run(p.bytes, p.len) == DROP; i++, dropped++)
		usleep(50000);
	assert_in_range(dropped, 1, 99);
	control->block_generation = 0;
}

/* Whom the list lets pass the rules may still drop, and no packet of a blocked source comes to the rules. */
static void lists_come_before_rules(void **state)
{
	struct fw_ruleset set = {.policy = PST_FW_DROP};
	struct packet p;

	(void)state;
	make_tcp4(&p);
	force(&set);
	force_lists(SOURCE4 "\n", "");
	expect(p.bytes, p.len, DROP, PST_GUARD_FW_NO_MATCH);
	force_lists("", SOURCE4 "\n");
	expect(p.bytes, p.len, DROP, PST_GUARD_BLOCKED);
	make_arp(&p); /* has no source to be on a list */
	expect(p.bytes, p.len, PASS, PST_GUARD_NO_IP);
	control->block_generation = 0;
}

static void scribbled_lists(void **state)
{
	struct packet p;

	(void)state;
	control->fw_generation = 0;
	for (unsigned round = 0; round < 100; round++) {
		uint8_t *bytes;

		if (round % 20 == 0)
			force_lists("8.1.0.0/16\n", "10.0.0.1\n10.0.0.0/8\n2001:db8::1\n2001:db8::/33\n");
		bytes = (uint8_t *)block_halves[control->block_generation & 1];
		for (int k = 0; k < 50; k++)
			bytes[rule_draw() % 8192] = (uint8_t)rule_draw();
		for (size_t i = 0; i < PACKETS; i++) {
			int action;

			packets[i].make(&p);
			action = run(p.bytes, p.len);
			assert_true(action == PASS || action == DROP);
		}
	}
	control->block_generation = 0;
}

/* ---- generations ---- */

static void switched_off(void **state)
{
	struct packet p;

	(void)state;
	make_udp4(&p);
	control->fw_generation = 0;
	expect(p.bytes, p.len, PASS, PST_GUARD_OFF);
}

/* Old verdicts are void with the word, both ways. */
static void one_word_switches(void **state)
{
	struct fw_ruleset drop = {.policy = PST_FW_DROP}, accept = {.policy = PST_FW_ACCEPT};
	uint64_t generation;
	struct packet p;

	(void)state;
	make_udp4(&p);
	force(&drop);
	generation = control->fw_generation;
	for (int i = 0; i < 100; i++) {
		expect(p.bytes, p.len, DROP, PST_GUARD_FW_NO_MATCH);
		if (!i)
			force(&accept);
		control->fw_generation = generation + 1;
		expect(p.bytes, p.len, PASS, PST_GUARD_FW_POLICY);
		control->fw_generation = generation; /* rollback is the word alone */
	}
	control->fw_generation = generation + 1;
}

/* Whatever the table says, the program ends with a verdict. */
static void scribbled_tables(void **state)
{
	struct fw_ruleset set;
	struct packet p;

	(void)state;
	rules_random(&set, 200, 1);
	for (unsigned round = 0; round < 160; round++) {
		uint8_t *bytes;

		if (round % 40 == 0)
			force(&set);
		bytes = (uint8_t *)halves[control->fw_generation & 1];
		for (int k = 0; k < 50; k++)
			bytes[rule_draw() % (round % 2 ? 4096 : 400000)] = (uint8_t)rule_draw();
		control->fw_generation += 2; /* nothing from the cache */
		for (size_t i = 0; i < PACKETS; i++) {
			int action;

			packets[i].make(&p);
			action = run(p.bytes, p.len);
			assert_true(action == PASS || action == DROP);
		}
	}
	fw_ruleset_done(&set);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(switched_off),
		cmocka_unit_test(every_kind_of_packet),
		cmocka_unit_test(what_is_not_right),
		cmocka_unit_test(what_differs_by_interface),
		cmocka_unit_test(cut_anywhere),
		cmocka_unit_test(random_rules),
		cmocka_unit_test(rules_that_only_count),
		cmocka_unit_test(sources_on_lists),
		cmocka_unit_test(blocked_for_a_second),
		cmocka_unit_test(lists_come_before_rules),
		cmocka_unit_test(scribbled_lists),
		cmocka_unit_test(one_word_switches),
		cmocka_unit_test(scribbled_tables),
	};

	int failed;

	cmocka_set_message_output(CM_OUTPUT_TAP);
	guard_loads = LOAD_XDP;
	failed = cmocka_run_group_tests_name("guard at XDP", tests, setup, teardown);

	at_tc = true;
	guard_loads = LOAD_TC;
	return failed + cmocka_run_group_tests_name("guard at tc", tests, setup, teardown);
}
