// SPDX-License-Identifier: Apache-2.0
/*
 * The guard's limits of one source: packets, bytes and connections, of all protocols and of each; who shares
 * a limit and who has none; a flood from forged sources beside real ones; two CPUs at once; limits that make
 * no sense. Time is moved by moving what the sources have used.
 */
#include "tests/bpf/ctrun.h"
#include "proto/base/loop.h"
#include "tests/bpf/twocpus.h"

#define MS 1000000u

/* As bpf/lib/srcrate.bpf.h has it; the loader sets only how many. */
struct source {
	uint64_t key, until[PST_LIMITS];
};

static struct pst_guard_limits *limits;
static struct source *sources;
static uint32_t n_sources;

static int rate_setup(void **state)
{
	if (setup(state))
		return -1;
	n_sources = bpf_map__max_entries(skel->maps.src_rates) * 2;
	sources = guard_map(skel->maps.src_rates, n_sources * sizeof(*sources));
	limits = &control->limits;
	control->flags = PST_GUARD_LIMITS;
	return sources && limits ? 0 : -1;
}

static void no_limits(void)
{
	memset(limits, 0, sizeof(*limits));
	memset(control->by_protocol, 0, sizeof(control->by_protocol));
	control->flags = PST_GUARD_LIMITS;
	memset(sources, 0, n_sources * sizeof(*sources));
}

static uint64_t limited_ns; /* since when, and what one costs */
static uint32_t limited_ms;

/* @ahead packets, KiB or connections at once, and then one in @cost_ms. */
static void limit(enum pst_limit which, uint32_t cost_ms, uint32_t ahead)
{
	no_limits();
	limited_ns = pst_now_mono_ns();
	limited_ms = cost_ms;
	limits->cost_ns[which] = cost_ms * MS;
	limits->ahead_us[which] = ahead * cost_ms * 1000;
}

static void later(uint64_t ms)
{
	for (uint32_t i = 0; i < n_sources; i++)
		for (int k = 0; k < PST_LIMITS; k++) {
			uint64_t *until = &sources[i].until[k];

			*until = *until > ms * MS ? *until - ms * MS : 0; /* a guest has not run for long */
		}
}

static struct flow from(bool ip6, uint32_t peer)
{
	return (struct flow){.ip6 = ip6, .protocol = 6, .peer = peer, .pport = 5000, .hport = 80};
}

static int send_in(const struct flow *f, uint8_t flags, uint16_t bytes)
{
	struct segment s = {.flags = flags, .bytes = bytes};
	struct packet p;

	flow_packet(&p, f, &s);
	return run(p.bytes, p.len);
}

/* How many of @n pass. */
static unsigned pass(const struct flow *f, uint8_t flags, uint16_t bytes, unsigned n)
{
	unsigned passed = 0;

	while (n--)
		passed += send_in(f, flags, bytes) == PASS;
	return passed;
}

/* So many passed, and twice as many as came free since limit(): on a slow machine a test takes long. */
static void passes(unsigned n, unsigned low, unsigned high)
{
	uint64_t free_now = (pst_now_mono_ns() - limited_ns) / 1000000 / limited_ms;

	assert_in_range(n, low, high + 2 * free_now);
}

/* The limit is exact but for the one that finds a little left, and for the time that the test takes. */
static void packets_a_second(void **state)
{
	uint64_t dropped = reason(PST_GUARD_RATE).packets;

	(void)state;
	for (int ip6 = 0; ip6 < 2; ip6++) {
		struct flow f = from(ip6, 1), other = from(ip6, 2);

		limit(PST_LIMIT_PACKETS, 1000, 10);
		passes(pass(&f, ACK, 0, 100), 10, 12);
		assert_int_equal(send_in(&f, SYN, 0), DROP);
		if (!ip6) /* another address of the same 64 bits is the same source */
			passes(pass(&other, ACK, 0, 100), 10, 12);
		later(3000);
		passes(pass(&f, ACK, 0, 100), 3, 5);
		later(1000 * 1000); /* no more than the burst is saved up */
		passes(pass(&f, ACK, 0, 100), 10, 12);
	}
	assert_true(reason(PST_GUARD_RATE).packets > dropped + 300);
}

static void networks_of_64_bits(void **state)
{
	struct flow f = from(true, 1), sister = from(true, 2);
	struct segment s = {.flags = ACK};
	struct packet p;

	(void)state;
	limit(PST_LIMIT_PACKETS, 1000, 10);
	pass(&f, ACK, 0, 20);
	assert_int_equal(send_in(&sister, ACK, 0), DROP);
	flow_packet(&p, &sister, &s);
	p.bytes[p.l3 + 8 + 7] ^= 1;
	assert_int_equal(run(p.bytes, p.len), PASS);
}

static void bytes_a_second(void **state)
{
	struct flow f = from(false, 1);

	(void)state;
	limit(PST_LIMIT_BYTES, 1000, 10);
	passes(pass(&f, ACK, 1024 - 54, 100), 10, 12);
	limit(PST_LIMIT_BYTES, 1000, 10);
	passes(pass(&f, ACK, 512 - 54, 100), 20, 23);
}

static void connections_a_second(void **state)
{
	struct flow f = from(false, 1), udp = f;

	(void)state;
	udp.protocol = 17;
	limit(PST_LIMIT_CONNECTIONS, 1000, 10);
	passes(pass(&f, SYN, 0, 100), 10, 12);
	assert_int_equal(pass(&f, ACK, 0, 100), 100);
	assert_int_equal(pass(&f, SYN | ACK, 0, 100), 100);
	assert_int_equal(pass(&udp, 0, 0, 100), 100);
	assert_int_equal(send_in(&f, SYN, 0), DROP);
}

/* A packet that one limit drops takes nothing of the others. */
static void dropped_costs_nothing(void **state)
{
	struct flow f = from(false, 1);

	(void)state;
	limit(PST_LIMIT_CONNECTIONS, 1000, 1);
	limits->cost_ns[PST_LIMIT_PACKETS] = 1000 * MS;
	limits->ahead_us[PST_LIMIT_PACKETS] = 50000000;
	passes(pass(&f, SYN, 0, 100), 2, 3);
	passes(pass(&f, ACK, 0, 100), 47, 51);
}

static void switched_off(void **state)
{
	struct flow f = from(false, 1);
	struct packet arp;

	(void)state;
	limit(PST_LIMIT_PACKETS, 1000, 1);
	control->flags = 0;
	assert_int_equal(pass(&f, ACK, 0, 100), 100);
	control->flags = PST_GUARD_LIMITS;
	make_arp(&arp);
	for (int i = 0; i < 20; i++)
		assert_int_equal(run(arp.bytes, arp.len), PASS); /* has no source */
	no_limits();
	assert_int_equal(pass(&f, ACK, 0, 100), 100);
}

static void lists_come_first(void **state)
{
	struct flow allowed = from(false, 0x10001), blocked = from(false, 0x20001);

	(void)state;
	limit(PST_LIMIT_PACKETS, 1000, 5);
	force_lists("10.1.0.0/16\n", "10.2.0.1\n");
	assert_int_equal(pass(&allowed, ACK, 0, 100), 100);
	assert_int_equal(pass(&blocked, ACK, 0, 100), 0);
	control->block_generation = 0;
	assert_in_range(
		pass(&blocked, ACK, 0, 100), 5, 7); /* nothing of it was counted while it was blocked */
}

/*
 * Forged sources, one packet each. Who keeps to the limit loses nothing meanwhile; who does not is
 * held to it.
 */
static void forged_sources(void **state)
{
	struct flow good = from(false, 0xfffffe), bad = from(false, 0xffffff);
	unsigned passed = 0, n = 30000;

	(void)state;
	limit(PST_LIMIT_PACKETS, 1000, 20);
	passes(pass(&bad, ACK, 0, 100), 20, 24);
	for (unsigned i = 0; i < n; i++) {
		struct flow f = from(false, (uint32_t)rule_draw() % 0xfffff0);

		assert_int_equal(send_in(&f, SYN, 0), PASS);
		if (i % 100 == 0)
			passed += send_in(&bad, ACK, 0) == PASS;
		if (i % (n / 10) == 0)
			assert_int_equal(send_in(&good, ACK, 0), PASS);
	}
	passes(passed, 0, 2);
}

/* ---- by protocol ---- */

static void limit_protocol(
	enum pst_sig_protocol protocol, enum pst_limit which, uint32_t cost_ms, uint32_t ahead)
{
	limited_ns = pst_now_mono_ns();
	limited_ms = cost_ms;
	control->by_protocol[protocol].cost_ns[which] = cost_ms * MS;
	control->by_protocol[protocol].ahead_us[which] = ahead * cost_ms * 1000;
	control->flags |= PST_GUARD_BY_PROTOCOL;
}

static const struct {
	uint8_t protocol4, protocol6;
	enum pst_sig_protocol which;
} protocols[] = {{6, 6, PST_SIG_TCP}, {17, 17, PST_SIG_UDP}, {1, 58, PST_SIG_ICMP}, {47, 47, PST_SIG_OTHER}};

static struct flow of_protocol(struct flow f, size_t i)
{
	f.protocol = f.ip6 ? protocols[i].protocol6 : protocols[i].protocol4;
	return f;
}

/* Each has a share of its own; the others are not limited. */
static void each_protocol(void **state)
{
	(void)state;
	for (int ip6 = 0; ip6 < 2; ip6++)
		for (size_t i = 0; i < PST_ARRAY_SIZE(protocols); i++) {
			struct flow f = from(ip6, 1), other = from(ip6, 2);

			no_limits();
			control->flags = 0;
			limit_protocol(protocols[i].which, PST_LIMIT_PACKETS, 1000, 10);
			for (size_t k = 0; k < PST_ARRAY_SIZE(protocols); k++) {
				struct flow one = of_protocol(f, k);

				if (k == i)
					passes(pass(&one, ACK, 0, 100), 10, 12);
				else
					assert_int_equal(pass(&one, ACK, 0, 100), 100);
			}
			other = of_protocol(other, i);
			if (!ip6)
				passes(pass(&other, ACK, 0, 100), 10, 12);
			f = of_protocol(f, i);
			later(3000);
			passes(pass(&f, ACK, 0, 100), 3, 5);
			control->flags = 0;
			assert_int_equal(pass(&f, ACK, 0, 20), 20);
		}
}

static void all_protocols_limited(void **state)
{
	struct flow f = from(false, 1);

	(void)state;
	no_limits();
	control->flags = 0;
	for (size_t i = 0; i < PST_ARRAY_SIZE(protocols); i++)
		limit_protocol(protocols[i].which, PST_LIMIT_PACKETS, 1000, 10 * (uint32_t)(i + 1));
	for (size_t i = 0; i < PST_ARRAY_SIZE(protocols); i++) {
		struct flow one = of_protocol(f, i);

		passes(pass(&one, ACK, 0, 100), 10 * (unsigned)(i + 1), 10 * (unsigned)(i + 1) + 2);
	}
}

static void bytes_of_a_protocol(void **state)
{
	struct flow f = from(false, 1);

	(void)state;
	no_limits();
	control->flags = 0;
	limit_protocol(PST_SIG_TCP, PST_LIMIT_BYTES, 1000, 10);
	passes(pass(&f, ACK, 512 - 54, 100), 20, 23);
}

/* What its protocol's limit drops takes nothing of that of all, and what that drops nothing of its
 * protocol's. */
static void both_limits(void **state)
{
	struct flow udp = from(false, 1), tcp = from(false, 1);

	(void)state;
	udp.protocol = 17;
	limit(PST_LIMIT_PACKETS, 1000, 50);
	limit_protocol(PST_SIG_UDP, PST_LIMIT_PACKETS, 1000, 10);
	passes(pass(&udp, 0, 0, 200), 10, 12);
	passes(pass(&tcp, ACK, 0, 200), 37, 42);
	limit(PST_LIMIT_PACKETS, 1000, 10);
	limit_protocol(PST_SIG_UDP, PST_LIMIT_PACKETS, 1000, 30);
	passes(pass(&udp, 0, 0, 200), 10, 12);
	control->flags &= ~(uint64_t)PST_GUARD_LIMITS;
	passes(pass(&udp, 0, 0, 200), 17, 22);
}

static void dry_protocol(void **state)
{
	uint64_t dry = reason((enum pst_guard_reason)PST_GUARD_DRY_RATE).packets;
	struct flow udp = from(false, 1);

	(void)state;
	udp.protocol = 17;
	no_limits();
	control->flags = PST_GUARD_DRY_LIMITS;
	limit_protocol(PST_SIG_UDP, PST_LIMIT_PACKETS, 1000, 10);
	assert_int_equal(pass(&udp, 0, 0, 100), 100);
	passes((unsigned)(100 - (reason((enum pst_guard_reason)PST_GUARD_DRY_RATE).packets - dry)), 10, 12);
	force_lists("10.0.0.1\n", "");
	control->flags &= ~(uint64_t)PST_GUARD_DRY_LIMITS;
	assert_int_equal(pass(&udp, 0, 0, 100), 100);
	control->block_generation = 0;
}

/* ---- a table of two places ---- */

static void one_set(struct guard_bpf *s)
{
	s->rodata->cfg_src_mask = 0;
	bpf_map__set_max_entries(s->maps.src_rates, 1);
}

static void no_place(void **state)
{
	struct flow a = from(false, 1), b = from(false, 2), c = from(false, 3);
	uint64_t full = reason((enum pst_guard_reason)PST_GUARD_RATE_FULL).packets;

	(void)state;
	limit(PST_LIMIT_PACKETS, 4000, 5); /* longer than a slow guest takes for all of this */
	pass(&a, ACK, 0, 10);
	pass(&b, ACK, 0, 10);
	assert_int_equal(pass(&c, ACK, 0, 100), 100); /* not limited, and it pushes nobody out */
	assert_int_equal(reason((enum pst_guard_reason)PST_GUARD_RATE_FULL).packets, full + 100);
	limit_protocol(PST_SIG_TCP, PST_LIMIT_PACKETS, 4000, 5); /* nor a place for that: a packet is one */
	assert_int_equal(pass(&c, ACK, 0, 10), 10);
	assert_int_equal(reason((enum pst_guard_reason)PST_GUARD_RATE_FULL).packets, full + 110);
	control->flags &= ~(uint64_t)PST_GUARD_BY_PROTOCOL;
	assert_int_equal(send_in(&a, ACK, 0), DROP);
	assert_int_equal(send_in(&b, ACK, 0), DROP);
	later(80000);
	passes(pass(&c, ACK, 0, 100), 5, 7); /* what they used has passed */
}

/* Whatever is written there. */
static void limits_that_make_no_sense(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 20000; i++) {
		struct flow f = from(rule_chance(50), (uint32_t)rule_draw() % 5);
		uint8_t *bytes = (uint8_t *)limits;
		int verdict;

		bytes[rule_draw() % sizeof(*limits)] = (uint8_t)rule_draw();
		((uint8_t *)control->by_protocol)[rule_draw() % sizeof(control->by_protocol)] =
			(uint8_t)rule_draw();
		control->flags = PST_GUARD_LIMITS | PST_GUARD_BY_PROTOCOL;
		verdict = send_in(&f, rule_chance(50) ? SYN : ACK, 500);
		assert_true(verdict == PASS || verdict == DROP);
	}
	no_limits();
}

/* ---- two CPUs ---- */

static unsigned passed_on[2];

static void send_many(int cpu)
{
	struct flow f = from(false, 1);

	passed_on[cpu] = pass(&f, ACK, 0, 6000);
}

/* Together they let through what one would. */
static void two_cpus_one_source(void **state)
{
	(void)state;
	limit(PST_LIMIT_PACKETS, 100, 5000); /* 500 s ahead, so that the test's own seconds are few */
	two_cpus(send_many);
	passes(passed_on[0] + passed_on[1], 4900, 5300);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(packets_a_second),
		cmocka_unit_test(networks_of_64_bits),
		cmocka_unit_test(bytes_a_second),
		cmocka_unit_test(connections_a_second),
		cmocka_unit_test(dropped_costs_nothing),
		cmocka_unit_test(switched_off),
		cmocka_unit_test(lists_come_first),
		cmocka_unit_test(each_protocol),
		cmocka_unit_test(all_protocols_limited),
		cmocka_unit_test(bytes_of_a_protocol),
		cmocka_unit_test(both_limits),
		cmocka_unit_test(dry_protocol),
	};
	const struct CMUnitTest loads[] = {
		cmocka_unit_test(forged_sources),
		cmocka_unit_test(two_cpus_one_source),
	};
	const struct CMUnitTest small[] = {
		cmocka_unit_test(no_place),
		cmocka_unit_test(limits_that_make_no_sense),
	};
	int failed;

	cmocka_set_message_output(CM_OUTPUT_TAP);
	guard_loads = LOAD_XDP;
	failed = cmocka_run_group_tests_name("limits at XDP", tests, rate_setup, teardown);
	at_tc = true;
	guard_loads = LOAD_TC;
	failed += cmocka_run_group_tests_name("limits at tc", tests, rate_setup, teardown);
	at_tc = false;
	guard_loads = LOAD_XDP;
	failed += cmocka_run_group_tests_name("limits under load", loads, rate_setup, teardown);
	guard_prepare = one_set;
	guard_loads = LOAD_XDP;
	return failed + cmocka_run_group_tests_name("limits with two places", small, rate_setup, teardown);
}
