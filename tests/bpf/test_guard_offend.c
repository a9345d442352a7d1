// SPDX-License-Identifier: Apache-2.0
/*
 * Offenders: who goes on to send what is dropped is blocked for a time, and nobody else; what counts against
 * whom, above all what others can send in his name; a full table; two CPUs; tables that somebody scribbled
 * into. And samples of what is dropped, by which policyd says who sends it. Time is moved by moving the
 * sources' moments.
 */
#include "policyd/ddos/sigs.h"
#include "policyd/guard/offenders.h"
#include "proto/wire/names.h"
#include "tests/bpf/ctrun.h"
#include "tests/bpf/twocpus.h"

#define NS    1000000000ull
#define AFTER 10
#define ON    (PST_GUARD_OFFENDERS | PST_GUARD_FORGEABLE)
#define ASKS  (PST_GUARD_OFFENDERS | PST_GUARD_CT)

static struct pst_offenders *sets;
static struct pst_sigs *sig_halves;
static struct pst_sample *samples;
static void *src_rates;
static size_t src_rates_bytes;

static int offend_setup(void **state)
{
	if (ct_setup(state))
		return -1;
	sets = guard_map(skel->maps.offenders, (PST_OFFENDER_SETS + 1) * sizeof(*sets));
	sig_halves = guard_map(skel->maps.guard_sigs, 2 * sizeof(*sig_halves));
	src_rates_bytes = (size_t)bpf_map__max_entries(skel->maps.src_rates) * 64;
	src_rates = guard_map(skel->maps.src_rates, src_rates_bytes);
	samples = guard_map(skel->maps.drop_samples, PST_SAMPLES * sizeof(*samples));
	return sets && sig_halves && src_rates && samples ? 0 : -1;
}

/* AFTER packets within 1,000 s, so that the test's own seconds are few; blocked for as long. */
static int begin(void **state)
{
	const struct offenders_config config = {
		.after = AFTER, .within_ns = 1000 * NS, .for_ns = 1000 * NS, .action = DDOS_DROP};
	const struct sig_set udp = {
		.v = {{.name = "udp", .drop = true, .protocol = 17, .len = {0, UINT16_MAX}}}, .n = 1};

	(void)state;
	memset(sets, 0, (PST_OFFENDER_SETS + 1) * sizeof(*sets));
	memset(&control->limits, 0, sizeof(control->limits));
	memset(src_rates, 0, src_rates_bytes);
	memset(samples, 0, PST_SAMPLES * sizeof(*samples));
	forget();
	offenders_limits(&config, &control->limits);
	assert_int_equal(sigs_build(&udp, &sig_halves[1]), 0);
	control->fw_generation = control->block_generation = control->bad_flags = 0;
	control->sig_generation = 3;
	control->flags = ON;
	return 0;
}

static struct pst_guard_count event(enum pst_guard_event e)
{
	return reason((enum pst_guard_reason)e);
}

static void expect_flow(const struct flow *f, const struct segment *s, int action, enum pst_guard_reason why)
{
	struct packet p;

	flow_packet(&p, f, s);
	expect(p.bytes, p.len, action, why);
}

/* Of UDP, which the signature drops. */
static void offend(const struct flow *f, unsigned n)
{
	while (n--)
		expect_flow(f, &(struct segment){.bytes = 20}, DROP, PST_GUARD_SIGNATURE);
}

static void expect_tcp(struct flow f, int action, enum pst_guard_reason why)
{
	f.protocol = 6;
	expect_flow(&f, &(struct segment){.flags = SYN}, action, why);
}

static void later(uint64_t seconds)
{
	uint64_t by = seconds * NS >> PST_OFFENDER_UNIT;

	for (size_t i = 0; i <= PST_OFFENDER_SETS; i++)
		for (int k = 0; k < PST_OFFENDER_WAYS; k++) {
			__u64 *word = &sets[i].way[k].word;
			uint64_t moment = *word & PST_OFFENDER_TIME;

			*word = (*word & ~PST_OFFENDER_TIME) | (moment > by ? moment - by : 0);
		}
}

static struct flow from(int form, uint32_t peer)
{
	return (struct flow){.ip6 = form & 1, .tagged = form & 2, .protocol = 17, .peer = peer, 4000, 53};
}

/* The one that is one too many is dropped as those before it; what comes then is not looked at. */
static void blocked_after_so_many(void **state)
{
	(void)state;
	for (int form = 0; form < 4; form++) {
		struct flow f = from(form, 1), other = from(form, 2);
		uint64_t blocked = event(PST_GUARD_OFFENDER_BLOCKED).packets;

		begin(NULL);
		offend(&f, AFTER - 1);
		expect_tcp(f, PASS, PST_GUARD_PASSED);
		assert_int_equal(event(PST_GUARD_OFFENDER_BLOCKED).packets, blocked);
		offend(&f, 1);
		assert_int_equal(event(PST_GUARD_OFFENDER_BLOCKED).packets, blocked + 1);
		expect_tcp(f, DROP, PST_GUARD_OFFENDER);
		expect_flow(&f, &(struct segment){.bytes = 20}, DROP, PST_GUARD_OFFENDER);
		if (f.ip6) /* another address of the same 64 bits is the same source */
			expect_tcp(other, DROP, PST_GUARD_OFFENDER);
		else
			expect_tcp(other, PASS, PST_GUARD_PASSED);
	}
}

static void another_network(void **state)
{
	struct flow f = from(1, 1);
	struct packet p;

	(void)state;
	offend(&f, AFTER);
	f.protocol = 6;
	flow_packet(&p, &f, &(struct segment){.flags = SYN});
	p.bytes[p.l3 + 8 + 7] ^= 1;
	expect(p.bytes, p.len, PASS, PST_GUARD_PASSED);
}

/* It ends by itself, and what was before is forgotten; so is what was not enough. */
static void ends(void **state)
{
	struct flow f = from(0, 1);

	(void)state;
	offend(&f, AFTER);
	later(900);
	expect_tcp(f, DROP, PST_GUARD_OFFENDER);
	later(100);
	expect_tcp(f, PASS, PST_GUARD_PASSED);
	offend(&f, AFTER - 1);
	later(1000);
	offend(&f, AFTER - 1);
	later(300); /* three of them are forgotten */
	offend(&f, 3);
	expect_tcp(f, PASS, PST_GUARD_PASSED);
	offend(&f, 1);
	expect_tcp(f, DROP, PST_GUARD_OFFENDER);
}

static void switched_off(void **state)
{
	struct flow f = from(0, 1);

	(void)state;
	control->flags = 0;
	offend(&f, 3 * AFTER);
	expect_tcp(f, PASS, PST_GUARD_PASSED);
	control->flags = ON;
	offend(&f, AFTER);
	control->flags = 0;
	expect_tcp(f, PASS, PST_GUARD_PASSED);
}

/* As each other step: counted, and the packet goes on; it is no offence once more. */
static void dry_run(void **state)
{
	struct flow f = from(0, 1);
	uint64_t dry = event(PST_GUARD_DRY_OFFENDER).packets;
	uint64_t blocked = event(PST_GUARD_OFFENDER_BLOCKED).packets;

	(void)state;
	control->flags = ON | PST_GUARD_DRY_OFFENDERS;
	offend(&f, AFTER);
	expect_tcp(f, PASS, PST_GUARD_PASSED);
	assert_int_equal(event(PST_GUARD_DRY_OFFENDER).packets, dry + 1);
	offend(&f, 2 * AFTER);
	assert_int_equal(event(PST_GUARD_DRY_OFFENDER).packets, dry + 1 + 2 * AFTER);
	assert_int_equal(event(PST_GUARD_OFFENDER_BLOCKED).packets, blocked + 1);
}

/* The allow list is above it; what only counts is no offence; what a rule drops is none either. */
static void no_offence(void **state)
{
	struct fw_ruleset drop = {.policy = PST_FW_DROP};
	struct flow f = from(0, 1);
	struct segment s = {.bytes = 20};

	(void)state;
	force_lists("10.0.0.1\n", "");
	for (int i = 0; i < 2 * AFTER; i++)
		expect_flow(&f, &s, PASS, PST_GUARD_PASSED);
	control->block_generation = 0;
	offend(&f, AFTER);
	expect_flow(&f, &s, DROP, PST_GUARD_OFFENDER);
	force_lists("10.0.0.1\n", "");
	expect_flow(&f, &s, PASS, PST_GUARD_PASSED);
	f.peer = 2;
	force_lists("", "10.0.0.2\n");
	for (int i = 0; i < 2 * AFTER; i++)
		expect_flow(&f, &s, DROP, PST_GUARD_BLOCKED);
	force_lists("", "");
	sig_halves[1].sig[0].flags = 0;
	for (int i = 0; i < 2 * AFTER; i++)
		expect_flow(&f, &s, PASS, PST_GUARD_PASSED);
	force(&drop);
	for (int i = 0; i < 2 * AFTER; i++)
		expect_flow(&f, &s, DROP, PST_GUARD_FW_NO_MATCH);
	control->fw_generation = 0;
	expect_flow(&f, &s, PASS, PST_GUARD_PASSED);
}

/* What each is blocked for is in its word. */
static void causes(void **state)
{
	static const struct {
		uint8_t protocol, flags;
		enum pst_guard_reason why;
		enum pst_offence cause;
	} cases[] = {{17, 0, PST_GUARD_SIGNATURE, PST_OFFENCE_SIGNATURE},
		{6, SYN | FIN, PST_GUARD_BAD_FLAGS, PST_OFFENCE_FLAGS},
		{6, ACK, PST_GUARD_RATE, PST_OFFENCE_RATE}};

	(void)state;
	for (size_t i = 0; i < PST_ARRAY_SIZE(cases); i++) {
		struct flow f = from(0, 100 + (uint32_t)i);
		struct segment s = {.flags = cases[i].flags, .bytes = 10};
		struct offenders_list list;
		struct guard_tables t = {.guard.base = control, .offenders.base = sets};
		struct packet p;

		begin(NULL);
		control->bad_flags = 1ull << (SYN | FIN);
		f.protocol = cases[i].protocol;
		if (cases[i].cause == PST_OFFENCE_RATE) {
			control->flags = ON | PST_GUARD_LIMITS;
			control->limits.cost_ns[PST_LIMIT_PACKETS] = (uint32_t)(4 * NS);
			flow_packet(&p, &f, &s);
			(void)run(p.bytes, p.len);
		}
		for (int n = 0; n < AFTER; n++)
			expect_flow(&f, &s, DROP, cases[i].why);
		expect_flow(&f, &s, DROP, PST_GUARD_OFFENDER);
		offenders_read(&t, block_clock_now().boot_ns, &list);
		assert_int_equal(list.n, 1);
		assert_int_equal(list.v[0].source.lo, 0x0a000000u + f.peer);
		assert_string_equal(list.v[0].cause, pst_guard_reason_name(cases[i].why));
		assert_in_range(list.v[0].left_s, 900, 1000);
		assert_true(offenders_free(&t, &list.v[0].source));
		control->flags = ON;
		f.protocol = 6;
		expect_flow(&f, &(struct segment){.flags = SYN}, PASS, PST_GUARD_PASSED);
	}
}

/* ---- whose address is it? ---- */

/* One packet, and then none. */
static void limit_packets(void)
{
	control->limits.cost_ns[PST_LIMIT_PACKETS] = (uint32_t)(4 * NS);
	control->limits.ahead_us[PST_LIMIT_PACKETS] = 0;
	control->flags |= PST_GUARD_LIMITS;
}

static void over_limit(const struct flow *f, const struct segment *s, unsigned n)
{
	struct packet p;

	flow_packet(&p, f, &(struct segment){.flags = SYN, .seq = 77});
	(void)run(p.bytes, p.len); /* takes what there is */
	while (n--)
		expect_flow(f, s, DROP, PST_GUARD_RATE);
}

/* A handshake, with and without rules. */
static void shake(const struct flow *f, bool rules)
{
	const struct segment s[] = {{false, SYN, 1000, 0, 0, 0}, {true, SYN | ACK, 5000, 1001, 0, 0},
		{false, ACK, 1001, 5001, 0, 0}};

	control->flags = ASKS;
	if (rules) {
		force_states(0);
		open_tcp(f);
		control->fw_generation = 0;
		return;
	}
	expect_flow(f, &s[0], PASS, PST_GUARD_PASSED);
	go(f, &s[1]);
	expect_flow(f, &s[2], PASS, PST_GUARD_PASSED);
}

static void own_connection_counts(void **state)
{
	const struct segment s = {.flags = ACK, .seq = 1001, .ack = 5001, .bytes = 100};

	(void)state;
	for (int form = 0; form < 8; form++) {
		struct flow f = from(form, 200 + (uint32_t)form), syn;

		begin(NULL);
		f.protocol = 6;
		shake(&f, form & 4);
		assert_int_equal(entries(0), 1);
		limit_packets();
		over_limit(&f, &s, AFTER);
		expect_flow(&f, &s, DROP, PST_GUARD_OFFENDER);
		syn = f;
		syn.pport++;
		expect_flow(&syn, &(struct segment){.flags = SYN}, DROP, PST_GUARD_OFFENDER);
	}
}

/* What anybody could send in the client's name blocks nobody. */
static void in_the_name_of_another(void **state)
{
	static const struct segment forged[] = {
		{.flags = SYN, .seq = 1001},
		{.flags = RST, .seq = 1001},
		{.flags = ACK, .seq = 1001 + (16u << 20), .ack = 5001}, /* fits one side only */
		{.flags = ACK, .seq = 1001, .ack = 5001 + (16u << 20)},
		{.flags = ACK, .seq = 1001, .ack = 5001 + (1u << 20)},
		{.flags = FIN, .seq = 1001},
		{.flags = SYN | ACK, .seq = 1001, .ack = 5001},
	};

	(void)state;
	for (int ip6 = 0; ip6 < 2; ip6++)
		for (size_t i = 0; i < PST_ARRAY_SIZE(forged) + 2; i++) {
			struct flow f = from(ip6, 300), other;

			begin(NULL);
			f.protocol = 6;
			shake(&f, false);
			limit_packets();
			other = f;
			if (i == PST_ARRAY_SIZE(forged)) /* another port; another protocol */
				other.pport++;
			else if (i == PST_ARRAY_SIZE(forged) + 1)
				other.protocol = 17, control->sig_generation = 0;
			over_limit(&other,
				i < PST_ARRAY_SIZE(forged)
					? &forged[i]
					: &(struct segment){.flags = ACK, .seq = 1001, .ack = 5001},
				5 * AFTER);
			control->flags = ASKS;
			expect_flow(&f, &(struct segment){.flags = ACK, .seq = 1001, .ack = 5001}, PASS,
				PST_GUARD_PASSED);
			assert_int_equal(sets[PST_OFFENDER_HEAD].way[0].source, 0);
		}
}

/* A connection that the host's side alone, or nobody, has confirmed. */
static void half_a_connection(void **state)
{
	struct flow f = from(0, 400);
	struct segment ack = {.flags = ACK, .seq = 1001, .ack = 5001};

	(void)state;
	control->flags = ASKS;
	f.protocol = 6;
	expect_flow(&f, &(struct segment){.flags = SYN, .seq = 1000}, PASS, PST_GUARD_PASSED);
	go(&f, &(struct segment){.out = true, .flags = SYN | ACK, .seq = 5000, .ack = 1001});
	limit_packets();
	expect_flow(&f, &(struct segment){.flags = SYN, .seq = 1000}, PASS, PST_GUARD_PASSED);
	for (int i = 0; i < 5 * AFTER; i++)
		expect_flow(&f, &ack, DROP, PST_GUARD_RATE);
	assert_int_equal(sets[PST_OFFENDER_HEAD].way[0].source, 0);
}

/* ---- many ---- */

/* Forged sources, a packet each, hold no place for long, and whom it is about stays. */
static void forged_sources(void **state)
{
	struct flow bad = from(0, 0xffffff), good = from(0, 0xfffffe);
	uint64_t full = event(PST_GUARD_OFFENDER_FULL).packets;

	(void)state;
	control->limits.offend_cost = (uint32_t)(NS / AFTER >> PST_OFFENDER_UNIT); /* 1 s */
	control->limits.offend_ahead = AFTER * control->limits.offend_cost;
	while (!sets[PST_OFFENDER_HEAD].way[0].source)
		offend(&bad, 1);
	for (unsigned i = 0; i < 10000; i++) {
		struct flow f = from(0, (uint32_t)rule_draw() % 0xfffff0);

		offend(&f, 1);
		if (i % 1000 == 0) {
			expect_tcp(bad, DROP, PST_GUARD_OFFENDER);
			expect_tcp(good, PASS, PST_GUARD_PASSED);
		}
	}
	assert_true(event(PST_GUARD_OFFENDER_FULL).packets - full < 500);
}

/* All places are others': they stay, and who finds none is dropped as before but not blocked. */
static void full_table(void **state)
{
	uint64_t now = block_clock_now().boot_ns >> PST_OFFENDER_UNIT, full;
	size_t bytes = PST_OFFENDER_SETS * sizeof(*sets);
	struct pst_offenders *before = malloc(bytes);
	struct flow f = from(0, 1);

	(void)state;
	assert_non_null(before);
	for (size_t i = 0; i < PST_OFFENDER_SETS; i++)
		for (unsigned k = 0; k < PST_OFFENDER_WAYS; k++) {
			uint64_t moment = now + (500 * NS >> PST_OFFENDER_UNIT);

			sets[i].way[k].source = 0xff00000000000000ull + i * PST_OFFENDER_WAYS + k;
			sets[i].way[k].word = (k & 1 ? PST_OFFENDER_BLOCKED : 0) | moment;
		}
	sets[PST_OFFENDER_HEAD].way[0].source = PST_OFFENDER_TIME;
	memcpy(before, sets, bytes);
	full = event(PST_GUARD_OFFENDER_FULL).packets;
	offend(&f, 3 * AFTER);
	expect_tcp(f, PASS, PST_GUARD_PASSED);
	assert_int_equal(event(PST_GUARD_OFFENDER_FULL).packets, full + 3 * AFTER);
	assert_memory_equal(before, sets, bytes);
	free(before);
	later(501);
	offend(&f, AFTER);
	expect_tcp(f, DROP, PST_GUARD_OFFENDER);
}

/* Whatever is written there; and what is left behind, blocks nobody for longer than it says. */
static void scribbles(void **state)
{
	(void)state;
	control->flags = ON | PST_GUARD_LIMITS | PST_GUARD_CT;
	for (unsigned i = 0; i < 4000; i++) {
		struct flow f = from(rule_chance(50), (uint32_t)rule_draw() % 5);
		uint8_t *limits = (uint8_t *)&control->limits;
		struct packet p;
		int verdict;

		if (rule_chance(10))
			control->flags ^= PST_GUARD_FORGEABLE;
		if (rule_chance(50))
			f.protocol = 6;
		limits[rule_draw() % sizeof(control->limits)] = (uint8_t)rule_draw();
		for (int k = 0; k < 64; k++)
			((uint8_t *)sets)[rule_draw() % ((PST_OFFENDER_SETS + 1) * sizeof(*sets))] =
				(uint8_t)rule_draw();
		flow_packet(&p, &f, &(struct segment){.flags = ACK, .bytes = 20});
		verdict = run(p.bytes, p.len);
		assert_true(verdict == PASS || verdict == DROP);
	}
}

/* Any word for a source's own: it is blocked as long as that says, and no other bit matters. */
static void any_word(void **state)
{
	struct flow f = from(0, 7);
	__u64 *word = NULL, tag;

	(void)state;
	offend(&f, AFTER);
	for (size_t i = 0; i < PST_OFFENDER_SETS; i++)
		for (int k = 0; k < PST_OFFENDER_WAYS; k++)
			if (sets[i].way[k].source)
				word = &sets[i].way[k].word;
	assert_non_null(word);
	tag = *word & PST_OFFENDER_TAG;
	sets[PST_OFFENDER_HEAD].way[0].source = PST_OFFENDER_TIME;
	for (unsigned i = 0; i < 2000; i++) {
		uint64_t now = block_clock_now().boot_ns >> PST_OFFENDER_UNIT;
		bool ahead = rule_chance(50), ours = rule_chance(80), blocked = rule_chance(50);
		uint64_t moment = ahead ? now + (100 * NS >> PST_OFFENDER_UNIT) : now / 2;

		*word = moment | (ours ? tag : tag ^ (1ull << (48 + rule_draw() % 12))) |
			rule_draw() % 8 << PST_OFFENDER_CAUSE_SHIFT;
		*word = blocked ? *word | PST_OFFENDER_BLOCKED : *word & ~PST_OFFENDER_BLOCKED;
		if (ahead && ours && blocked)
			expect_tcp(f, DROP, PST_GUARD_OFFENDER);
		else
			expect_tcp(f, PASS, PST_GUARD_PASSED);
	}
}

/* ---- samples ---- */

/* What is in the slots, by event; each is of this source and step. */
static unsigned sampled(enum pst_guard_event e, const struct packet *p, unsigned sig)
{
	unsigned n = 0;

	for (unsigned i = 0; i < PST_SAMPLES; i++) {
		if (!samples[i].event)
			continue;
		assert_int_equal(samples[i].event, e);
		assert_int_equal(samples[i].sig, sig);
		assert_int_equal(samples[i].packets, 1);
		assert_int_equal(samples[i].ifindex, 1);
		if (samples[i].source[10] == 0xff) /* IPv4 */
			assert_memory_equal(samples[i].source + 12, p->bytes + p->l3 + 12, 4);
		else
			assert_memory_equal(samples[i].source, p->bytes + p->l3 + 8, 16);
		n++;
	}
	return n;
}

/* Each step that takes a packet, whether it drops or runs dry, and no other; as many as the mask says. */
static void samples_of_steps(void **state)
{
	static const struct {
		enum pst_guard_event e;
		uint64_t dry;
	} steps[] = {{PST_GUARD_DRY_BLOCKED, PST_GUARD_DRY_LISTS}, {PST_GUARD_DRY_RATE, PST_GUARD_DRY_LIMITS},
		{PST_GUARD_DRY_BAD_FLAGS, PST_GUARD_DRY_FLAGS}, {PST_GUARD_DRY_SIGNATURE, 0},
		{PST_GUARD_DRY_OFFENDER, PST_GUARD_DRY_OFFENDERS}};

	(void)state;
	for (size_t i = 0; i < PST_ARRAY_SIZE(steps) * 4; i++) {
		enum pst_guard_event e = steps[i / 4].e;
		struct flow f = from((int)i & 1, 1);
		bool dry = i & 2;
		struct packet p;

		begin(NULL);
		f.protocol = e == PST_GUARD_DRY_SIGNATURE ? 17 : 6;
		sig_halves[1].sig[0].counter = 33;
		sig_halves[1].sig[0].flags = dry ? 0 : PST_SIG_DROP;
		control->flags = PST_GUARD_SAMPLES | (dry ? steps[i / 4].dry : 0);
		flow_packet(&p, &f, &(struct segment){.flags = SYN | FIN});
		if (e == PST_GUARD_DRY_BLOCKED)
			force_lists("", "10.0.0.1\n2001:db8::1\n");
		if (e == PST_GUARD_DRY_RATE) {
			limit_packets();
			(void)run(p.bytes, p.len);
		}
		if (e == PST_GUARD_DRY_BAD_FLAGS)
			control->bad_flags = 1ull << (SYN | FIN);
		if (e == PST_GUARD_DRY_OFFENDER) {
			struct flow udp = f;

			udp.protocol = 17;
			control->flags |= ON;
			sig_halves[1].sig[0].flags = PST_SIG_DROP;
			offend(&udp, AFTER);
			memset(samples, 0, PST_SAMPLES * sizeof(*samples));
		}
		for (int k = 0; k < 200; k++)
			assert_int_equal(run(p.bytes, p.len), dry ? PASS : DROP);
		/* by lot: some fall into one slot */
		assert_in_range(sampled(e, &p, e == PST_GUARD_DRY_SIGNATURE ? 33 : 0), 150, 200);
		memset(samples, 0, PST_SAMPLES * sizeof(*samples));
		control->limits.sample_mask = 15;
		for (int k = 0; k < 800; k++)
			(void)run(p.bytes, p.len);
		assert_in_range(sampled(e, &p, e == PST_GUARD_DRY_SIGNATURE ? 33 : 0), 15, 100);
		memset(samples, 0, PST_SAMPLES * sizeof(*samples));
		control->flags &= ~(uint64_t)PST_GUARD_SAMPLES;
		for (int k = 0; k < 20; k++)
			(void)run(p.bytes, p.len);
		assert_int_equal(sampled(e, &p, 0), 0);
	}
}

/* ---- scrubbing ---- */

#define REDIRECT (at_tc ? 7 : 4) /* TC_ACT_REDIRECT, XDP_REDIRECT */

static void expect_scrubbed(const struct flow *f, uint8_t flags, bool to, enum pst_guard_reason why)
{
	const struct bpf_program *prog = at_tc ? skel->progs.guard_tc : skel->progs.guard_xdp;
	uint64_t before = event(PST_GUARD_SCRUBBED).packets, dropped = reason(why).packets;
	struct packet p;

	flow_packet(&p, f, &(struct segment){.flags = flags, .bytes = 20});
	assert_int_equal(run_prog(prog, p.bytes, p.len), to ? REDIRECT : at_tc ? TC_SHOT : DROP);
	assert_int_equal(event(PST_GUARD_SCRUBBED).packets, before + to);
	assert_int_equal(reason(why).packets, dropped + 1);
}

/* What signatures and limits drop, and nothing else; never to where it came from; without an interface it is
 * dropped. */
static void scrubbed(void **state)
{
	(void)state;
	for (int form = 0; form < 4; form++) {
		struct flow udp = from(form, 1), tcp = udp;

		begin(NULL);
		tcp.protocol = 6;
		control->bad_flags = 1ull << (SYN | FIN);
		control->flags = PST_GUARD_SCRUB | PST_GUARD_LIMITS;
		control->scrub_ifindex = 4711;
		expect_scrubbed(&udp, 0, true, PST_GUARD_SIGNATURE);
		expect_scrubbed(&tcp, SYN | FIN, false, PST_GUARD_BAD_FLAGS);
		limit_packets();
		expect_flow(&tcp, &(struct segment){.flags = SYN}, PASS, PST_GUARD_PASSED);
		expect_scrubbed(&tcp, SYN, true, PST_GUARD_RATE);
		force_lists("", "10.0.0.1\n2001:db8::1\n");
		expect_scrubbed(&udp, 0, false, PST_GUARD_BLOCKED);
		control->block_generation = 0;
		control->scrub_ifindex = 0;
		expect_scrubbed(&udp, 0, false, PST_GUARD_SIGNATURE);
		control->scrub_ifindex = 1; /* a test run comes in over the loopback interface */
		expect_scrubbed(&udp, 0, false, PST_GUARD_SIGNATURE);
		control->scrub_ifindex = UINT32_MAX;
		expect_scrubbed(&udp, 0, false, PST_GUARD_SIGNATURE);
		control->scrub_ifindex = 4711;
		control->flags = 0;
		expect_scrubbed(&udp, 0, false, PST_GUARD_SIGNATURE);
	}
	control->scrub_ifindex = 0;
}

static unsigned not_blocked[2];

static void send_many(int cpu)
{
	struct flow f = from(0, 1);
	struct packet p;

	flow_packet(&p, &f, &(struct segment){.bytes = 20});
	for (int i = 0; i < 2000; i++) {
		run(p.bytes, p.len);
		not_blocked[cpu] += !sets[PST_OFFENDER_HEAD].way[0].source;
	}
}

/* Together they offend as one would. */
static void two_cpus_one_source(void **state)
{
	uint64_t blocked = event(PST_GUARD_OFFENDER_BLOCKED).packets;

	(void)state;
	control->limits.offend_cost = (uint32_t)(NS >> PST_OFFENDER_UNIT);
	control->limits.offend_ahead = 2000 * control->limits.offend_cost;
	two_cpus(send_many);
	assert_in_range(not_blocked[0] + not_blocked[1], 1900, 2400);
	assert_in_range(event(PST_GUARD_OFFENDER_BLOCKED).packets - blocked, 1, 2);
}

#define CASE(f) cmocka_unit_test_setup(f, begin)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(blocked_after_so_many),
		CASE(another_network),
		CASE(ends),
		CASE(switched_off),
		CASE(dry_run),
		CASE(no_offence),
		CASE(causes),
		CASE(own_connection_counts),
		CASE(in_the_name_of_another),
		CASE(half_a_connection),
		CASE(full_table),
		CASE(any_word),
		CASE(samples_of_steps),
		CASE(scrubbed),
		CASE(scribbles),
	};
	const struct CMUnitTest loads[] = {
		CASE(forged_sources),
		CASE(two_cpus_one_source),
	};
	int failed;

	cmocka_set_message_output(CM_OUTPUT_TAP);
	guard_loads = LOAD_XDP | LOAD_EGRESS;
	failed = cmocka_run_group_tests_name("offenders at XDP", tests, offend_setup, teardown);
	at_tc = true;
	guard_loads = LOAD_TC | LOAD_EGRESS;
	failed += cmocka_run_group_tests_name("offenders at tc", tests, offend_setup, teardown);
	at_tc = false;
	guard_loads = LOAD_XDP;
	return failed + cmocka_run_group_tests_name("offenders under load", loads, offend_setup, teardown);
}
