// SPDX-License-Identifier: Apache-2.0
/*
 * Marks of rules: at tc a packet that passes has the mark of the last rule that took it and names one; at XDP
 * there is none, and each such packet is counted.
 */
#include "tests/bpf/guardrun.h"

#define OWN 0x70737463u

static struct fw_rule rules[4];
static struct fw_ruleset set = {.rules = rules};

static void rule(uint8_t action, bool has_mark, uint32_t mark)
{
	rules[set.n] = (struct fw_rule){.action = action,
		.has_mark = has_mark,
		.mark = mark,
		.counter = 10 + (uint32_t)set.n,
		.id = 1 + (uint32_t)set.n};
	set.n++;
}

static void no_rules(void)
{
	memset(rules, 0, sizeof(rules));
	set.n = 0;
	set.policy = PST_FW_ACCEPT;
}

/* Runs one packet that has mark @before; what it has then. */
static uint32_t mark_of(const struct packet *p, uint32_t before, uint32_t expected)
{
	struct __sk_buff in = {.mark = before}, out = {0};
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = p->bytes, .data_size_in = (uint32_t)p->len,
		.ctx_in = &in, .ctx_size_in = sizeof(in), .ctx_out = &out, .ctx_size_out = sizeof(out),
		.repeat = 1);

	assert_int_equal(bpf_prog_test_run_opts(bpf_program__fd(skel->progs.guard_tc), &opts), 0);
	assert_int_equal(opts.retval, expected);
	return out.mark;
}

static uint64_t unmarked(void)
{
	return reason((enum pst_guard_reason)PST_GUARD_UNMARKED).packets;
}

/* Each kind of packet, twice: searched, and what may be kept is kept. */
static void each(uint32_t before, uint32_t expected, uint32_t mark)
{
	for (size_t i = 0; i < PACKETS; i++) {
		struct packet p;

		packets[i].make(&p);
		if (packets[i].what != 0)
			continue;
		for (int twice = 0; twice < 2; twice++)
			assert_int_equal(mark_of(&p, before, expected), mark);
	}
}

static void the_last_one_counts(void **state)
{
	(void)state;
	no_rules();
	rule(PST_FW_NEXT, true, 7);
	rule(PST_FW_NEXT, false, 0);
	force(&set);
	each(3, TC_UNSPEC, 7); /* the policy accepts */
	rule(PST_FW_ACCEPT, true, 0xfffffff0);
	force(&set);
	each(3, TC_UNSPEC, 0xfffffff0);
	rules[2].mark = 0; /* a mark too */
	force(&set);
	each(3, TC_UNSPEC, 0);
	assert_int_equal(unmarked(), 0);
}

static void others_stay(void **state)
{
	(void)state;
	no_rules();
	rule(PST_FW_ACCEPT, false, 0);
	rule(PST_FW_ACCEPT, true, 9); /* no packet comes so far */
	force(&set);
	each(3, TC_UNSPEC, 3);
	control->fw_generation = 0; /* what the last packet's rules said is not this one's */
	each(3, TC_UNSPEC, 3);
}

static void what_is_dropped_has_none(void **state)
{
	(void)state;
	no_rules();
	rule(PST_FW_NEXT, true, 7);
	rule(PST_FW_DROP, true, 8);
	force(&set);
	each(3, TC_SHOT, 3);
	assert_int_equal(unmarked(), 0);
}

static void not_the_guards_own(void **state)
{
	struct packet p;

	(void)state;
	packets[0].make(&p);
	assert_int_equal(packets[0].what, 0);
	no_rules();
	rule(PST_FW_ACCEPT, true, OWN);
	force(&set);
	assert_int_equal(unmarked(), 0);
	assert_int_equal(mark_of(&p, 3, TC_UNSPEC), 3);
	assert_int_equal(unmarked(), 1);
}

static void counted_at_xdp(void **state)
{
	uint64_t before = unmarked(), n = 0;

	(void)state;
	no_rules();
	rule(PST_FW_NEXT, true, 7);
	force(&set);
	for (size_t i = 0; i < PACKETS; i++) {
		struct packet p;

		packets[i].make(&p);
		if (packets[i].what != 0)
			continue;
		expect(p.bytes, p.len, PASS, PST_GUARD_FW_POLICY);
		n++;
	}
	assert_true(n > 10);
	assert_int_equal(unmarked(), before + n);
	rules[0].has_mark = false;
	force(&set);
	each(3, TC_UNSPEC, 3);
	assert_int_equal(unmarked(), before + n);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_last_one_counts),
		cmocka_unit_test(others_stay),
		cmocka_unit_test(what_is_dropped_has_none),
		cmocka_unit_test(not_the_guards_own),
		cmocka_unit_test(counted_at_xdp),
	};

	guard_loads = LOAD_XDP | LOAD_TC;
	return cmocka_run_group_tests(tests, setup, teardown);
}
