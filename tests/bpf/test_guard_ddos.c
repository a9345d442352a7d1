// SPDX-License-Identifier: Apache-2.0
/*
 * What the guard does about floods: TCP flags that nobody sends; steps that run dry; signatures, each byte of
 * them, beside their plain evaluation, and tables that somebody scribbled into.
 */
#include "policyd/ddos/sigs.h"
#include "policyd/guard/ddos.h"
#include "tests/bpf/ctrun.h"

#define SOURCES4 "10.0.0.0/8\n"
#define SOURCES  SOURCES4 "2001:db8::/32\n"

static struct pst_sigs *sig_halves; /* two */

static int ddos_setup(void **state)
{
	if (ct_setup(state))
		return -1;
	sig_halves = guard_map(skel->maps.guard_sigs, 2 * sizeof(*sig_halves));
	return sig_halves ? 0 : -1;
}

static int all_off(void **state)
{
	(void)state;
	control->flags = control->bad_flags = control->sig_generation = 0;
	control->fw_generation = control->block_generation = 0;
	memset(&control->limits, 0, sizeof(control->limits));
	return 0;
}

static struct pst_guard_count event(enum pst_guard_event e)
{
	return reason((enum pst_guard_reason)e);
}

static void tcp_packet(struct packet *p, bool ip6, bool tagged, uint8_t flags)
{
	const struct flow f = {
		.ip6 = ip6, .tagged = tagged, .protocol = 6, .peer = 1, .pport = 5000, .hport = 80};
	const struct segment s = {.flags = flags, .bytes = 20};

	flow_packet(p, &f, &s);
}

/* ---- flags ---- */

/* Written out, unlike what is tested. */
static bool is_known_bad(uint8_t flags)
{
	static const uint8_t bad[] = {0, FIN, PSH, URG, FIN | PSH, FIN | URG, PSH | URG, FIN | PSH | URG,
		SYN | FIN, SYN | RST, FIN | RST, SYN | FIN | RST, SYN | FIN | ACK, SYN | RST | ACK,
		FIN | RST | ACK, SYN | FIN | RST | ACK};

	for (size_t i = 0; i < PST_ARRAY_SIZE(bad); i++)
		if ((flags & (FIN | SYN | RST | ACK)) == bad[i] || flags == bad[i])
			return true;
	return false;
}

static void flags_of_every_kind(void **state)
{
	(void)state;
	control->bad_flags = ddos_bad_flags();
	for (unsigned flags = 0; flags < 256; flags++)
		for (int form = 0; form < 4; form++) {
			bool bad = is_known_bad(flags & 63);
			struct packet p;

			tcp_packet(&p, form & 1, form & 2, (uint8_t)flags);
			expect(p.bytes, p.len, bad ? DROP : PASS,
				bad ? PST_GUARD_BAD_FLAGS : PST_GUARD_PASSED);
		}
}

/* What every stack sends, by name. */
static void flags_of_stacks_pass(void **state)
{
	static const uint8_t good[] = {SYN, SYN | 0xc0, SYN | ACK, ACK, PSH | ACK, URG | ACK, FIN | ACK,
		FIN | PSH | ACK, RST, RST | ACK, SYN | PSH};

	(void)state;
	control->bad_flags = ddos_bad_flags();
	for (size_t i = 0; i < PST_ARRAY_SIZE(good); i++) {
		struct packet p;

		tcp_packet(&p, i & 1, false, good[i]);
		expect(p.bytes, p.len, PASS, PST_GUARD_PASSED);
	}
}

/* The word says which, whatever it says. */
static void any_word(void **state)
{
	(void)state;
	for (int i = 0; i < 200; i++) {
		uint64_t word = rule_draw();
		uint8_t flags = (uint8_t)rule_draw();
		bool bad = word >> (flags & 63) & 1;
		struct packet p;

		control->bad_flags = word | 1ull << 63;
		tcp_packet(&p, i & 1, i & 2, flags);
		bad = bad || (flags & 63) == 63;
		expect(p.bytes, p.len, bad ? DROP : PASS, bad ? PST_GUARD_BAD_FLAGS : PST_GUARD_PASSED);
	}
}

/* Other protocols have no flags, later fragments none that can be read, what is cut is not judged. */
static void packets_without_flags(void **state)
{
	(void)state;
	control->bad_flags = ~0ull;
	for (size_t i = 0; i < PACKETS; i++) {
		struct packet p;

		packets[i].make(&p);
		if (packets[i].what == 0 &&
			(p.key.protocol != IPPROTO_TCP || strstr(packets[i].name, "later fragment")))
			expect(p.bytes, p.len, PASS, PST_GUARD_PASSED);
	}
	struct packet p;

	eth(&p, 0x0800), ip4(&p, 6, 0), done(&p, 100, 0);
	put16(p.bytes + p.l3 + 6, 0x0010);
	expect(p.bytes, p.len, PASS, PST_GUARD_PASSED);
	tcp_packet(&p, false, false, 0);
	for (size_t len = 14 + 20; len < p.len; len++)
		expect(p.bytes, len, PASS, PST_GUARD_TRUNCATED);
}

static void flags_after_lists_before_rules(void **state)
{
	struct fw_ruleset accept = {.policy = PST_FW_ACCEPT};
	struct packet p;

	(void)state;
	control->bad_flags = ddos_bad_flags();
	tcp_packet(&p, false, false, 0);
	force(&accept);
	expect(p.bytes, p.len, DROP, PST_GUARD_BAD_FLAGS);
	force_lists("", SOURCES);
	expect(p.bytes, p.len, DROP, PST_GUARD_BLOCKED);
	force_lists(SOURCES4, "");
	expect(p.bytes, p.len, PASS, PST_GUARD_FW_POLICY);
}

/* ---- dry runs ---- */

/* Counted as what would have become of it, and once more as what became of it. */
static void expect_dry(const struct packet *p, enum pst_guard_event e, enum pst_guard_reason why)
{
	struct pst_guard_count before = event(e), after;

	expect(p->bytes, p->len, PASS, why);
	after = event(e);
	assert_int_equal(after.packets, before.packets + 1);
	assert_int_equal(after.bytes, before.bytes + p->len);
}

static void dry_flags(void **state)
{
	struct packet p;

	(void)state;
	control->bad_flags = ddos_bad_flags();
	control->flags = PST_GUARD_DRY_FLAGS;
	for (int form = 0; form < 4; form++) {
		tcp_packet(&p, form & 1, form & 2, SYN | FIN);
		expect_dry(&p, PST_GUARD_DRY_BAD_FLAGS, PST_GUARD_PASSED);
	}
}

static void dry_lists(void **state)
{
	struct packet p;

	(void)state;
	force_lists("", SOURCES);
	control->flags = PST_GUARD_DRY_LISTS;
	for (int form = 0; form < 4; form++) {
		tcp_packet(&p, form & 1, form & 2, ACK);
		expect_dry(&p, PST_GUARD_DRY_BLOCKED, PST_GUARD_PASSED);
	}
	control->flags = 0;
	expect(p.bytes, p.len, DROP, PST_GUARD_BLOCKED);
}

/* Who is over a limit goes on, and the steps behind judge it. */
static void dry_limits(void **state)
{
	struct fw_ruleset drop = {.policy = PST_FW_DROP};
	struct packet p;

	(void)state;
	control->limits.cost_ns[PST_LIMIT_PACKETS] = 1000000000;
	control->limits.ahead_us[PST_LIMIT_PACKETS] = 3000000;
	control->flags = PST_GUARD_LIMITS | PST_GUARD_DRY_LIMITS;
	tcp_packet(&p, false, false, ACK);
	for (int i = 0; i < 10; i++)
		assert_int_equal(run(p.bytes, p.len), PASS);
	expect_dry(&p, PST_GUARD_DRY_RATE, PST_GUARD_PASSED);
	force(&drop);
	expect(p.bytes, p.len, DROP, PST_GUARD_FW_NO_MATCH);
	control->flags = PST_GUARD_LIMITS;
	expect(p.bytes, p.len, DROP, PST_GUARD_RATE);
}

/* ---- signatures ---- */

static uint64_t sig_count(size_t i)
{
	uint64_t n = 0;

	for (int c = 0; c < cpus; c++)
		n += ((const volatile struct pst_guard_counts *)counts)[c].sig[i].packets;
	return n;
}

static void force_sigs(const struct sig_set *set)
{
	uint64_t generation = control->sig_generation < 2 ? 2 : control->sig_generation + 1;

	assert_int_equal(sigs_build(set, &sig_halves[generation & 1]), 0);
	*(volatile uint64_t *)&control->sig_generation = generation;
}

/* A datagram whose payload begins with @head. */
struct datagram {
	bool ip6, tagged;
	uint8_t protocol;
	uint16_t sport, dport, bytes;
	const uint8_t *head;
	size_t n_head;
};

static size_t make_datagram(struct packet *p, const struct datagram *d)
{
	const struct flow f = {.ip6 = d->ip6,
		.tagged = d->tagged,
		.protocol = d->protocol,
		.peer = 1,
		.pport = d->sport,
		.hport = d->dport};
	const struct segment s = {.flags = ACK, .bytes = d->bytes};

	flow_packet(p, &f, &s);
	for (size_t i = 0; i < d->n_head; i++)
		p->bytes[p->len - d->bytes + i] = d->head[i];
	return p->len - d->bytes;
}

static void expect_sig(const struct packet *p, const struct sig_set *set, size_t i, bool match)
{
	bool drop = match && set->v[i].drop;
	uint64_t before = sig_count(i);

	expect(p->bytes, p->len, drop ? DROP : PASS, drop ? PST_GUARD_SIGNATURE : PST_GUARD_PASSED);
	assert_int_equal(sig_count(i), before + match);
}

/* What a built-in one takes, and what differs from it in one thing. */
static void check_service(const struct sig_set *set, size_t i, int form)
{
	const struct sig *s = &set->v[i];
	uint8_t head[PST_SIG_BYTES + 8];
	struct datagram d = {.ip6 = form & 1,
		.tagged = form & 2,
		.protocol = s->protocol,
		.sport = s->sport.v[0].lo,
		.dport = 40000,
		.bytes = s->len.lo,
		.head = head,
		.n_head = s->offset + s->need};
	struct packet p;
	size_t at;

	memset(head, 0, sizeof(head));
	memcpy(head + s->offset, s->value, s->need);
	make_datagram(&p, &d);
	expect_sig(&p, set, i, true);
	for (unsigned k = 0; k < s->need * 8; k++) {
		at = make_datagram(&p, &d);
		p.bytes[at + s->offset + k / 8] ^= (uint8_t)(1u << k % 8);
		expect_sig(&p, set, i, !(s->mask[k / 8] >> k % 8 & 1));
	}
	d.bytes--;
	d.n_head = PST_MIN(d.n_head, (size_t)d.bytes);
	make_datagram(&p, &d);
	expect_sig(&p, set, i, false);
	d.bytes++;
	d.sport += 1 << 7; /* the same word of the table */
	make_datagram(&p, &d);
	expect_sig(&p, set, i, false);
	d.sport -= 1 << 7;
	d.protocol = 136;
	make_datagram(&p, &d);
	expect_sig(&p, set, i, false);
}

static void services_that_amplify(void **state)
{
	(void)state;
	for (int drop = 0; drop < 2; drop++) {
		struct sig_set set = {0};

		assert_int_equal(sigs_add_amplification(drop, &set), 0);
		assert_true(set.n >= 12);
		force_sigs(&set);
		for (size_t i = 0; i < set.n; i++)
			for (int form = 0; form < 4; form++)
				check_service(&set, i, form);
	}
}

/* The match needs each of its bytes, and the packet has to have them: not padding, not what was cut. */
static void payload_byte_by_byte(void **state)
{
	struct sig_set set = {.n = 1};
	struct sig *s = &set.v[0];

	(void)state;
	for (uint8_t need = 1; need <= PST_SIG_BYTES; need++)
		for (int form = 0; form < 4; form++) {
			uint8_t head[40];
			struct datagram d = {.ip6 = form & 1,
				.tagged = form & 2,
				.protocol = 17,
				.sport = 5,
				.dport = 6,
				.bytes = (uint16_t)(13 + need),
				.head = head,
				.n_head = 13u + need};
			struct packet p;
			size_t at, len;

			*s = (struct sig){.name = "x",
				.drop = true,
				.protocol = 17,
				.len = {0, UINT16_MAX},
				.offset = 13,
				.need = need};
			for (unsigned k = 0; k < sizeof(head); k++)
				head[k] = (uint8_t)(k * 7 + 1);
			memset(s->mask, 0xff, need);
			memcpy(s->value, head + 13, need);
			force_sigs(&set);
			at = make_datagram(&p, &d);
			expect_sig(&p, &set, 0, true);
			for (unsigned k = 0; k < need; k++) {
				p.bytes[at + 13 + k] ^= 0x10;
				expect_sig(&p, &set, 0, false);
				p.bytes[at + 13 + k] ^= 0x10;
			}
			for (len = p.len - need; len < p.len; len++) /* cut */
				expect(p.bytes, len, PASS, PST_GUARD_TRUNCATED);
			for (uint16_t n = 13; n < 13 + need; n++) { /* the rest is padding */
				len = p.len;
				d.bytes = n;
				d.n_head = n;
				make_datagram(&p, &d);
				memcpy(p.bytes + p.len, head + n, len - p.len);
				p.len = len;
				expect_sig(&p, &set, 0, false);
			}
		}
}

/* Where the payload of each protocol begins. */
static void payloads_of_protocols(void **state)
{
	struct sig_set set = {.n = 1};
	struct sig *s = &set.v[0];

	(void)state;
	for (size_t i = 0; i < PACKETS; i++) {
		struct packet p;
		size_t n;

		packets[i].make(&p);
		n = p.l3_len ? p.l3 + p.l3_len - p.need : 0;
		if (packets[i].what != 0 || strstr(packets[i].name, "later fragment") || n < 2 || n > 16)
			continue;
		for (size_t k = 0; k < n; k++)
			p.bytes[p.need + k] = (uint8_t)(0xa0 + k);
		*s = (struct sig){.name = "x",
			.drop = true,
			.protocol = p.key.protocol,
			.len = {(uint16_t)n, (uint16_t)n},
			.need = (uint8_t)n};
		memset(s->mask, 0xff, n);
		memcpy(s->value, p.bytes + p.need, n);
		force_sigs(&set);
		print_message("# %s\n", packets[i].name);
		expect_sig(&p, &set, 0, true);
		p.bytes[p.need] ^= 1;
		expect_sig(&p, &set, 0, false);
	}
}

/* ---- many signatures, beside their plain evaluation ---- */

static bool in_ports(const struct sig_ports *ports, uint16_t port)
{
	for (size_t i = 0; i < ports->n; i++)
		if (port >= ports->v[i].lo && port <= ports->v[i].hi)
			return true;
	return !ports->n;
}

static bool takes(const struct sig *s, const struct datagram *d, const uint8_t *payload)
{
	if (s->protocol != d->protocol || !in_ports(&s->sport, d->sport) || !in_ports(&s->dport, d->dport) ||
		d->bytes < s->len.lo || d->bytes > s->len.hi || s->offset + s->need > d->bytes)
		return false;
	for (unsigned i = 0; i < s->need; i++)
		if ((payload[s->offset + i] ^ s->value[i]) & s->mask[i])
			return false;
	return true;
}

static void random_ports(struct sig_ports *ports)
{
	ports->n = rule_draw() % 3;
	for (size_t i = 0; i < ports->n; i++) {
		ports->v[i].lo = (uint16_t)(rule_draw() % 200);
		ports->v[i].hi = (uint16_t)(ports->v[i].lo + (rule_chance(50) ? 0 : rule_draw() % 300));
	}
	sigs_merge_ports(ports);
}

static void random_set(struct sig_set *set, size_t n)
{
	struct pst_sigs table;

	memset(set, 0, sizeof(*set));
	while (set->n < n) {
		struct sig *s = &set->v[set->n];

		*s = (struct sig){.drop = rule_chance(30), .protocol = rule_chance(80) ? 17 : 6};
		snprintf(s->name, sizeof(s->name), "s%zu", set->n);
		random_ports(&s->sport);
		random_ports(&s->dport);
		s->len.lo = (uint16_t)(rule_draw() % 30);
		s->len.hi = (uint16_t)(s->len.lo + rule_draw() % 60);
		if (rule_chance(50)) {
			s->offset = (uint16_t)(rule_draw() % 20);
			s->need = (uint8_t)(1 + rule_draw() % PST_SIG_BYTES);
			s->mask[rule_draw() % s->need] = (uint8_t)(1u << rule_draw() % 3);
		}
		set->n++;
		if (sigs_build(set, &table)) {
			set->n--;
			return;
		}
	}
}

static void random_signatures(void **state)
{
	(void)state;
	for (unsigned round = 0; round < 60; round++) {
		struct sig_set set;

		random_set(&set, 1 + rule_draw() % PST_SIGS);
		force_sigs(&set);
		for (unsigned k = 0; k < 60; k++) {
			uint8_t payload[64];
			struct datagram d = {.ip6 = rule_chance(50),
				.tagged = rule_chance(50),
				.protocol = rule_chance(80) ? 17 : 6,
				.sport = (uint16_t)(rule_draw() % 300),
				.dport = (uint16_t)(rule_draw() % 300),
				.bytes = (uint16_t)(rule_draw() % sizeof(payload)),
				.head = payload};
			uint64_t before[PST_SIGS];
			bool dropped = false;
			struct packet p;

			d.n_head = d.bytes;
			for (size_t i = 0; i < sizeof(payload); i++)
				payload[i] = (uint8_t)(rule_draw() & 7);
			make_datagram(&p, &d);
			for (size_t i = 0; i < set.n; i++)
				before[i] = sig_count(i);
			assert_true(p.len < sizeof(p.bytes));
			int action = run(p.bytes, p.len);

			for (size_t i = 0; i < set.n; i++) {
				bool taken = !dropped && takes(&set.v[i], &d, payload);

				assert_int_equal(sig_count(i), before[i] + taken);
				dropped = dropped || (taken && set.v[i].drop);
			}
			assert_int_equal(action, dropped ? DROP : PASS);
		}
	}
}

/* All 64 are looked at, the last of them too. */
static void the_last_of_64(void **state)
{
	struct sig_set set = {.n = PST_SIGS};
	struct datagram d = {.protocol = 17, .sport = 5, .dport = 6, .bytes = 9};
	struct packet p;

	(void)state;
	for (size_t i = 0; i < PST_SIGS; i++)
		set.v[i] = (struct sig){.drop = i == PST_SIGS - 1, .protocol = 17, .len = {1, 9}};
	force_sigs(&set);
	make_datagram(&p, &d);
	expect_sig(&p, &set, PST_SIGS - 1, true);
	assert_int_equal(event(PST_GUARD_DRY_SIGNATURE).packets > 0, 1);
	set.v[0].drop = true;
	force_sigs(&set);
	expect_sig(&p, &set, 0, true);
}

static void dry_signatures(void **state)
{
	struct sig_set set = {.n = 2};
	struct datagram d = {.protocol = 17, .sport = 5, .dport = 6, .bytes = 9};
	struct packet p;

	(void)state;
	set.v[0] = set.v[1] = (struct sig){.protocol = 17, .len = {0, 9}};
	force_sigs(&set);
	make_datagram(&p, &d);
	expect_dry(&p, PST_GUARD_DRY_SIGNATURE, PST_GUARD_PASSED); /* once, though two match */
}

/* Lists come first: the one drops, the other lets by. Fragments behind the first have nothing to look at. */
static void who_is_not_looked_at(void **state)
{
	struct sig_set set = {.n = 1};
	struct datagram d = {.protocol = 17, .sport = 5, .dport = 6, .bytes = 9};
	struct packet p;

	(void)state;
	set.v[0] = (struct sig){.drop = true, .protocol = 17, .len = {0, UINT16_MAX}};
	force_sigs(&set);
	make_datagram(&p, &d);
	force_lists("", SOURCES);
	expect(p.bytes, p.len, DROP, PST_GUARD_BLOCKED);
	force_lists(SOURCES, "");
	expect_sig(&p, &set, 0, false);
	force_lists("", "");
	expect_sig(&p, &set, 0, true);
	put16(p.bytes + p.l3 + 6, 0x0010);
	expect_sig(&p, &set, 0, false);
}

/* The host's own questions are answered, where connections are tracked; nobody else gets by. */
static void what_the_host_asked_for(void **state)
{
	(void)state;
	for (int ip6 = 0; ip6 < 2; ip6++) {
		struct sig_set set = {0};
		struct flow f = {.ip6 = ip6, .protocol = 17, .peer = 1, .pport = 53, .hport = 40000},
			    other = f;
		struct segment ask = {.out = true, .bytes = 30}, answer = {.bytes = 600};
		struct packet p;

		forget();
		other.peer = 2;
		assert_int_equal(sigs_add_amplification(true, &set), 0);
		force_sigs(&set);
		control->flags = PST_GUARD_CT;
		flow_packet(&p, &f, &answer);
		p.bytes[p.len - answer.bytes + 2] = 0x80;
		expect(p.bytes, p.len, DROP, PST_GUARD_SIGNATURE);
		go(&f, &ask);
		expect(p.bytes, p.len, PASS, PST_GUARD_PASSED);
		control->flags = 0; /* not tracked: nothing is known */
		expect(p.bytes, p.len, DROP, PST_GUARD_SIGNATURE);
		control->flags = PST_GUARD_CT;
		expect(p.bytes, p.len, PASS, PST_GUARD_PASSED);
		flow_packet(&p, &other, &answer);
		p.bytes[p.len - answer.bytes + 2] = 0x80;
		expect(p.bytes, p.len, DROP, PST_GUARD_SIGNATURE);
	}
}

/* Whatever the table says, the program ends with a verdict. */
static void scribbled_signatures(void **state)
{
	struct sig_set set;

	(void)state;
	for (unsigned round = 0; round < 200; round++) {
		uint8_t *bytes;

		if (round % 20 == 0) {
			random_set(&set, PST_SIGS);
			force_sigs(&set);
		}
		bytes = (uint8_t *)&sig_halves[control->sig_generation & 1];
		for (int k = 0; k < 200; k++)
			bytes[rule_draw() % sizeof(struct pst_sigs)] = (uint8_t)rule_draw();
		if (round & 1)
			memset(bytes, 0xff, offsetof(struct pst_sigs, sig)); /* each may match */
		control->flags = round & 2 ? PST_GUARD_CT : 0;
		for (size_t i = 0; i < PACKETS; i++) {
			struct packet p;
			int action;

			packets[i].make(&p);
			action = run(p.bytes, p.len);
			assert_true(action == PASS || action == DROP);
		}
	}
}

#define CASE(f) cmocka_unit_test_setup(f, all_off)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(flags_of_every_kind),
		CASE(flags_of_stacks_pass),
		CASE(any_word),
		CASE(packets_without_flags),
		CASE(flags_after_lists_before_rules),
		CASE(dry_flags),
		CASE(dry_lists),
		CASE(dry_limits),
		CASE(services_that_amplify),
		CASE(payload_byte_by_byte),
		CASE(payloads_of_protocols),
		CASE(random_signatures),
		CASE(the_last_of_64),
		CASE(dry_signatures),
		CASE(who_is_not_looked_at),
		CASE(what_the_host_asked_for),
		CASE(scribbled_signatures),
	};
	int failed;

	cmocka_set_message_output(CM_OUTPUT_TAP);
	guard_loads = LOAD_XDP | LOAD_EGRESS;
	failed = cmocka_run_group_tests_name("floods at XDP", tests, ddos_setup, teardown);
	at_tc = true;
	guard_loads = LOAD_TC | LOAD_EGRESS;
	return failed + cmocka_run_group_tests_name("floods at tc", tests, ddos_setup, teardown);
}
