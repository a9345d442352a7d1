// SPDX-License-Identifier: Apache-2.0
/*
 * Packets that rules log: the record field by field, at XDP and tc, whatever becomes of the packet; the rate
 * of a rule, what it holds back, and what a full ring loses.
 */
#include "tests/bpf/ctrun.h"
#include "tests/bpf/reclog.h"

#define RING_BYTES 4096
#define PLACE      33 /* of the logging rule's counter */
#define NAME_64    "a name of sixty-four bytes, which is the longest that there may "

static struct reclog recs;

static void small_ring(struct guard_bpf *s)
{
	bpf_map__set_max_entries(s->maps.ring_net, RING_BYTES);
}

static int log_setup(void **state)
{
	guard_prepare = small_ring;
	if (setup(state))
		return -1;
	reclog_open(&recs, bpf_map__fd(skel->maps.ring_net));
	return 0;
}

static int log_teardown(void **state)
{
	reclog_close(&recs);
	return teardown(state);
}

struct log_state {
	uint64_t until, held;
};

static struct log_state log_state(uint32_t place)
{
	struct log_state s;

	assert_int_equal(bpf_map_lookup_elem(bpf_map__fd(skel->maps.fw_logs), &place, &s), 0);
	return s;
}

/* As if nothing had been logged for long; what was held back stays. */
static void rate_is_free(uint32_t place)
{
	struct log_state s = {.held = log_state(place).held};

	assert_int_equal(bpf_map_update_elem(bpf_map__fd(skel->maps.fw_logs), &place, &s, BPF_ANY), 0);
}

static void nothing_yet(void)
{
	struct log_state s = {0};
	uint32_t place = PLACE;

	assert_int_equal(bpf_map_update_elem(bpf_map__fd(skel->maps.fw_logs), &place, &s, BPF_ANY), 0);
	reclog_clear(&recs);
}

static const struct pst_rec_fw_log *record(uint64_t n)
{
	const struct pst_rec_fw_log *r = (const void *)recs.bytes;

	assert_true(ring_buffer__consume(recs.rb) >= 0);
	assert_true(n < recs.records);
	assert_int_equal(recs.len, recs.records * sizeof(*r));
	r = (const void *)(recs.bytes + n * sizeof(*r));
	assert_int_equal(r->h.kind, PST_REC_FW_LOG);
	return r;
}

static uint64_t records(void)
{
	assert_true(ring_buffer__consume(recs.rb) >= 0);
	return recs.records;
}

static struct pst_class_stat stats(void)
{
	struct pst_class_stat all = {0}, s;

	for (uint32_t i = PST_CLASS_NET * PST_CPUS_MAX; i < (PST_CLASS_NET + 1) * PST_CPUS_MAX; i++) {
		assert_int_equal(bpf_map_lookup_elem(bpf_map__fd(skel->maps.class_stats), &i, &s), 0);
		all.emitted += s.emitted;
		all.lost += s.lost;
		all.suppressed += s.suppressed;
	}
	return all;
}

static uint64_t held(void)
{
	return reason((enum pst_guard_reason)PST_GUARD_LOG_HELD).packets;
}

/* Rules that count on the way, then the last one. */
static void force_logging(uint8_t action, enum pst_fw_action policy, const char *name)
{
	struct fw_rule rules[] = {
		{.action = PST_FW_NEXT, .counter = 30, .id = 1, .log = true, .name = (char *)"another"},
		{.action = action, .counter = PLACE, .id = 2, .log = true, .name = (char *)name},
		{.action = PST_FW_NEXT, .counter = 31, .id = 3},
	};
	struct fw_ruleset set = {.rules = rules, .n = 3, .policy = policy};

	force(&set);
}

/* ---- the record ---- */

static struct flow flow_of(unsigned way, uint8_t protocol)
{
	return (struct flow){.ip6 = way & 1,
		.tagged = way >> 1 & 1,
		.protocol = protocol,
		.peer = 5,
		.pport = 40000,
		.hport = 80};
}

static void expect_record(const struct packet *p, const struct flow *f, uint8_t flags, unsigned why)
{
	const struct pst_rec_fw_log *r = record(0);
	bool icmp = f->protocol == 1 || f->protocol == 58;

	assert_int_equal(records(), 1);
	if (f->ip6) {
		assert_memory_equal(r->ends.laddr, p->bytes + p->l3 + 8, 16);
		assert_memory_equal(r->ends.raddr, p->bytes + p->l3 + 24, 16);
	} else {
		static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};

		assert_memory_equal(r->ends.laddr, mapped, 12);
		assert_memory_equal(r->ends.laddr + 12, p->bytes + p->l3 + 12, 4);
		assert_memory_equal(r->ends.raddr, mapped, 12);
		assert_memory_equal(r->ends.raddr + 12, p->bytes + p->l3 + 16, 4);
	}
	assert_int_equal(r->ends.family, f->ip6 ? AF_INET6 : AF_INET);
	assert_int_equal(r->ends.protocol, f->protocol);
	assert_int_equal(r->ends.lport, icmp ? 0 : f->pport);
	assert_int_equal(r->ends.rport, icmp ? 0 : f->hport);
	assert_int_equal(r->tcp_flags, flags);
	assert_int_equal(r->icmp_type, icmp ? 200 : 0);
	assert_int_equal(r->icmp_code, 0);
	assert_int_equal(r->vlan, f->tagged ? 77 : 0);
	assert_int_equal(r->len, p->len);
	assert_int_equal(r->ifindex, 1);
	assert_int_not_equal(r->netns, 0);
	assert_int_equal(r->generation, control->fw_generation);
	assert_int_equal(r->suppressed, 0);
	assert_int_equal(r->rule, 2);
	assert_int_equal(r->reason, why);
	assert_int_equal(r->hook, at_tc ? PST_FW_HOOK_TC : PST_FW_HOOK_XDP);
	assert_int_equal(r->dir, PST_DIR_IN);
	assert_int_equal(strncmp(r->name, NAME_64, 64), 0);
}

static void records_of(uint8_t action, int what, unsigned why)
{
	static const uint8_t protocols[] = {6, 17, 1, 47};

	force_logging(action, PST_FW_ACCEPT, NAME_64);
	for (unsigned way = 0; way < 4; way++)
		for (size_t i = 0; i < sizeof(protocols); i++) {
			struct flow f = flow_of(way, protocols[i] == 1 && way & 1 ? 58 : protocols[i]);
			struct segment s = {.flags = SYN | PSH, .type = 200, .bytes = 33};
			struct packet p;

			if (f.protocol == 47)
				f.pport = f.hport = 0;
			nothing_yet();
			flow_packet(&p, &f, &s);
			expect(p.bytes, p.len, what, why);
			expect_record(&p, &f, f.protocol == 6 ? SYN | PSH : 0, why);
		}
}

static void each_field(void **state)
{
	static_assert(sizeof(NAME_64) == 65, "the longest");
	(void)state;
	for (int tc = 0; tc < 2; tc++) {
		at_tc = tc;
		records_of(PST_FW_ACCEPT, PASS, PST_GUARD_FW_ACCEPT);
		records_of(PST_FW_DROP, DROP, PST_GUARD_FW_DROP);
		records_of(PST_FW_REJECT, DROP, PST_GUARD_FW_REJECT);
		records_of(PST_FW_STEP, PASS, PST_GUARD_FW_STEP);
		records_of(PST_FW_NEXT, PASS, PST_GUARD_FW_POLICY);
	}
	at_tc = false;
}

static void short_name_and_none(void **state)
{
	struct flow f = flow_of(0, 17);
	struct segment s = {0};
	char name[PST_FW_NAME_BYTES] = "dns";
	struct packet p;

	(void)state;
	flow_packet(&p, &f, &s);
	force_logging(PST_FW_DROP, PST_FW_ACCEPT, name);
	nothing_yet();
	expect(p.bytes, p.len, DROP, PST_GUARD_FW_DROP);
	assert_memory_equal(record(0)->name, name, sizeof(name));
	force_logging(PST_FW_DROP, PST_FW_ACCEPT, NULL);
	nothing_yet();
	memset(name, 0, sizeof(name));
	expect(p.bytes, p.len, DROP, PST_GUARD_FW_DROP);
	assert_memory_equal(record(0)->name, name, sizeof(name));
}

/* A rule without log behind one that has it, and none at all; the word is this packet's, not the last one's.
 */
static void only_who_asks(void **state)
{
	struct fw_rule rules[] = {
		{.action = PST_FW_NEXT, .counter = PLACE, .id = 7, .log = true, .name = (char *)"first"},
		{.action = PST_FW_DROP, .counter = 31, .id = 8},
	};
	struct fw_ruleset set = {.rules = rules, .n = 2, .policy = PST_FW_ACCEPT};
	struct flow f = flow_of(0, 17);
	struct segment s = {0};
	struct packet p;

	(void)state;
	flow_packet(&p, &f, &s);
	force(&set);
	nothing_yet();
	expect(p.bytes, p.len, DROP, PST_GUARD_FW_DROP);
	assert_int_equal(record(0)->rule, 7);
	assert_int_equal(record(0)->reason, PST_GUARD_FW_DROP);
	rules[0].log = false;
	force(&set);
	nothing_yet();
	expect(p.bytes, p.len, DROP, PST_GUARD_FW_DROP);
	expect(p.bytes, p.len, DROP, PST_GUARD_FW_DROP); /* kept by then */
	assert_int_equal(records(), 0);
}

/* ---- how many ---- */

static void above_the_rate(void **state)
{
	struct pst_class_stat before = stats(), after;
	uint64_t not_logged = held(), logged, n;
	struct flow f = flow_of(0, 17);
	struct segment s = {0};
	struct packet p;

	(void)state;
	flow_packet(&p, &f, &s);
	force_logging(PST_FW_DROP, PST_FW_ACCEPT, "a");
	nothing_yet();
	for (n = 0; held() - not_logged < 5; n++)
		(void)run(p.bytes, p.len);
	logged = records();
	assert_true(logged >= 10);
	assert_int_equal(logged + 5, n);
	assert_int_equal(record(9)->suppressed, 0);
	assert_int_equal(log_state(PLACE).held, 5);
	rate_is_free(PLACE);
	reclog_clear(&recs);
	(void)run(p.bytes, p.len);
	(void)run(p.bytes, p.len);
	assert_int_equal(record(0)->suppressed, 5);
	assert_int_equal(record(1)->suppressed, 0);
	after = stats();
	assert_int_equal(after.suppressed, before.suppressed + 5);
	assert_int_equal(after.emitted, before.emitted + logged + 2);
	assert_int_equal(after.lost, before.lost);
	assert_int_equal(log_state(30).until, 0); /* each rule has its own: this one was never the last */
}

/* Nobody reads: what finds no room is counted as lost, and what was held back is told later. */
static void full_ring(void **state)
{
	struct pst_class_stat before, after;
	struct flow f = flow_of(1, 6);
	struct segment s = {.flags = SYN};
	struct log_state some = {.held = 3};
	uint32_t place = PLACE;
	struct packet p;

	(void)state;
	flow_packet(&p, &f, &s);
	force_logging(PST_FW_ACCEPT, PST_FW_DROP, "a");
	nothing_yet();
	before = stats();
	for (int i = 0; i < 40; i++) {
		rate_is_free(PLACE);
		expect(p.bytes, p.len, PASS, PST_GUARD_FW_ACCEPT);
	}
	assert_int_equal(bpf_map_update_elem(bpf_map__fd(skel->maps.fw_logs), &place, &some, BPF_ANY), 0);
	(void)run(p.bytes, p.len); /* lost too */
	after = stats();
	assert_int_equal(after.emitted - before.emitted + after.lost - before.lost, 41);
	assert_true(after.lost - before.lost > 10);
	assert_int_equal(records(), after.emitted - before.emitted);
	reclog_clear(&recs);
	rate_is_free(PLACE);
	(void)run(p.bytes, p.len);
	assert_int_equal(record(0)->suppressed, 3);
}

/* ---- what is not to be believed ---- */

static void scribbled_names(void **state)
{
	struct flow f = flow_of(0, 17);
	struct segment s = {0};
	struct packet p;

	(void)state;
	flow_packet(&p, &f, &s);
	force_logging(PST_FW_DROP, PST_FW_ACCEPT, "a");
	for (unsigned i = 0; i < 64; i++) {
		struct pst_fw_head *head = (struct pst_fw_head *)halves[control->fw_generation & 1];

		nothing_yet();
		head->names = (uint32_t)rule_draw();
		expect(p.bytes, p.len, DROP, PST_GUARD_FW_DROP);
		assert_memory_equal(record(0)->name,
			&halves[control->fw_generation & 1][(head->names + 1) & (LINES - 1)], 64);
	}
}

static void trials_log_nothing(void **state)
{
	struct pst_guard_why why = {.armed = 1, .ifindex = 1};
	struct flow f = flow_of(0, 17);
	struct segment s = {0};
	uint64_t before = held();
	uint32_t zero = 0;
	struct packet p;

	(void)state;
	flow_packet(&p, &f, &s);
	force_logging(PST_FW_DROP, PST_FW_ACCEPT, "a");
	nothing_yet();
	assert_int_equal(bpf_map_update_elem(bpf_map__fd(skel->maps.guard_why), &zero, &why, BPF_ANY), 0);
	for (int i = 0; i < 30; i++)
		assert_int_equal(run(p.bytes, p.len), DROP);
	assert_int_equal(bpf_map_lookup_elem(bpf_map__fd(skel->maps.guard_why), &zero, &why), 0);
	assert_int_equal(why.state, PST_GUARD_WHY_DONE);
	memset(&why, 0, sizeof(why));
	assert_int_equal(bpf_map_update_elem(bpf_map__fd(skel->maps.guard_why), &zero, &why, BPF_ANY), 0);
	assert_int_equal(records(), 0);
	assert_int_equal(held(), before);
	assert_int_equal(log_state(PLACE).until, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_field),
		cmocka_unit_test(short_name_and_none),
		cmocka_unit_test(only_who_asks),
		cmocka_unit_test(above_the_rate),
		cmocka_unit_test(full_ring),
		cmocka_unit_test(scribbled_names),
		cmocka_unit_test(trials_log_nothing),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	guard_loads = LOAD_XDP | LOAD_TC;
	return cmocka_run_group_tests_name("logged", tests, log_setup, log_teardown);
}
