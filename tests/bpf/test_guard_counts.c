// SPDX-License-Identifier: Apache-2.0
/*
 * What the guard counts by interface, direction, protocol and verdict: every kind of packet, in and out, the
 * one cell that has to move and no other; and the places of interfaces, up to when there is none.
 */
#include <linux/bpf.h>

#include "tests/bpf/ctrun.h"

#define LO 1u /* over which test runs come in */

static struct pst_guard_counts *written; /* the same as `counts` */

static int counts_setup(void **state)
{
	if (ct_setup(state))
		return -1;
	written = guard_map(skel->maps.guard_counts, (size_t)cpus * sizeof(*written));
	return written ? 0 : -1;
}

static int all_off(void **state)
{
	(void)state;
	control->flags = control->fw_generation = control->block_generation = 0;
	for (int c = 0; c < cpus; c++) {
		memset(written[c].ifindex, 0, sizeof(written[c].ifindex));
		memset(written[c].iface, 0, sizeof(written[c].iface));
	}
	return 0;
}

static int all_off_at_tc(void **state)
{
	at_tc = true;
	return all_off(state);
}

static int done_at_tc(void **state)
{
	(void)state;
	at_tc = false;
	return 0;
}

/* ---- cells ---- */

/* Every cell of every place, over all CPUs. */
struct cells {
	struct pst_guard_count v[PST_GUARD_COUNTED_PLACES * PST_GUARD_CELLS];
};

static void see(struct cells *all)
{
	memset(all, 0, sizeof(*all));
	for (int c = 0; c < cpus; c++)
		for (size_t i = 0; i < PST_ARRAY_SIZE(all->v); i++)
			add(&all->v[i], &counts[c].iface[i]);
}

/* This cell has so many more than before, and no other has. */
static void expect_cell(
	struct cells *before, uint32_t place, uint32_t cell, uint64_t n, uint64_t bytes, const char *what)
{
	static struct cells after;
	struct pst_guard_count *c = &before->v[place * PST_GUARD_CELLS + cell];

	see(&after);
	c->packets += n;
	c->bytes += bytes;
	if (memcmp(before, &after, sizeof(after))) {
		for (uint32_t i = 0; i < PST_ARRAY_SIZE(after.v); i++)
			if (memcmp(&before->v[i], &after.v[i], sizeof(after.v[i])))
				print_message("place %u cell %u: %llu packets, %llu bytes too many\n",
					i / PST_GUARD_CELLS, i % PST_GUARD_CELLS,
					after.v[i].packets - before->v[i].packets,
					after.v[i].bytes - before->v[i].bytes);
		fail_msg("%s at %s", what, at_tc ? "tc" : "XDP");
	}
}

/* Written out, unlike what is tested. */
static unsigned protocol_of(const struct packet *p, int what)
{
	static const struct {
		uint8_t number, is;
	} known[] = {{6, PST_GUARD_TCP}, {17, PST_GUARD_UDP}, {1, PST_GUARD_ICMP}, {58, PST_GUARD_ICMPV6},
		{132, PST_GUARD_SCTP}, {47, PST_GUARD_GRE}};

	if (what == 1 && p->bytes[12] == 8 && p->bytes[13] == 6)
		return PST_GUARD_ARP;
	for (size_t i = 0; what == 0 && i < PST_ARRAY_SIZE(known); i++)
		if (known[i].number == p->key.protocol)
			return known[i].is;
	return PST_GUARD_OTHER;
}

#define DROP_ALL (PST_GUARD_DROP_TRUNCATED | PST_GUARD_DROP_MALFORMED | PST_GUARD_DROP_NO_IP)

static void check_in(const struct packet *p, size_t len, unsigned protocol, const char *name)
{
	static struct cells before;
	struct fw_ruleset closed = {.policy = PST_FW_DROP};

	for (int drops = 0; drops < 2; drops++) {
		if (drops)
			force(&closed);
		control->flags = drops ? DROP_ALL : 0;
		see(&before);
		assert_int_equal(run(p->bytes, len), drops ? DROP : PASS);
		expect_cell(&before, LO,
			PST_GUARD_CELL(PST_DIR_IN, protocol, drops ? PST_GUARD_DROP : PST_GUARD_PASS), 1, len,
			name);
	}
	control->fw_generation = 0;
}

static void every_packet_in(void **state)
{
	bool seen[PST_GUARD_PROTOCOLS] = {false};

	(void)state;
	for (size_t i = 0; i < PACKETS; i++) {
		struct packet p;

		packets[i].make(&p);
		unsigned protocol = protocol_of(&p, packets[i].what);

		seen[protocol] = true;
		check_in(&p, p.len, protocol, packets[i].name);
	}
	for (int i = 0; i < PST_GUARD_PROTOCOLS; i++)
		assert_true(seen[i]);
}

static void tagged(struct packet *p, bool ip6, uint8_t protocol)
{
	struct flow f = {.ip6 = ip6, .tagged = true, .protocol = protocol, .peer = 1, .pport = 5, .hport = 9};
	struct segment s = {.flags = SYN, .bytes = 20};

	flow_packet(p, &f, &s);
}

static void tagged_in(void **state)
{
	struct packet p;

	(void)state;
	for (int ip6 = 0; ip6 < 2; ip6++) {
		tagged(&p, ip6, 6);
		check_in(&p, p.len, PST_GUARD_TCP, "tagged TCP");
		tagged(&p, ip6, 17);
		check_in(&p, p.len, PST_GUARD_UDP, "tagged UDP");
	}
}

/* What cannot be read is of no protocol, however much of it is there. */
static void cut_in(void **state)
{
	struct packet p;

	(void)state;
	make_tcp4(&p);
	for (size_t len = p.l3 + 21; len < p.len; len++)
		check_in(&p, len, PST_GUARD_OTHER, "TCP that is cut");
}

static void check_out(const struct packet *p, unsigned protocol, const char *name)
{
	static struct cells before;

	for (int tracked = 0; tracked < 2; tracked++) {
		control->flags = tracked ? PST_GUARD_CT : 0;
		see(&before);
		send_out(p);
		expect_cell(
			&before, LO, PST_GUARD_CELL(PST_DIR_OUT, protocol, PST_GUARD_PASS), 1, p->len, name);
	}
	forget();
}

/* With and without tracking, which have each their own way to the protocol. */
static void every_packet_out(void **state)
{
	struct packet p;

	(void)state;
	for (size_t i = 0; i < PACKETS; i++) {
		packets[i].make(&p);
		if (packets[i].what <= 1)
			check_out(&p, protocol_of(&p, packets[i].what), packets[i].name);
	}
	for (int ip6 = 0; ip6 < 2; ip6++) {
		tagged(&p, ip6, 6);
		check_out(&p, PST_GUARD_TCP, "tagged TCP");
	}
}

/* What the stack hands over as one is many on the wire. */
static void many_as_one(void **state)
{
	struct __sk_buff ctx = {.gso_segs = 7};
	static struct cells before;
	struct packet p;

	(void)state;
	make_tcp4(&p);
	for (int i = 0; i < 3; i++) {
		const struct bpf_program *prog = i ? skel->progs.guard_tc_egress : skel->progs.guard_tc;
		LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = p.bytes, .data_size_in = (uint32_t)p.len,
			.ctx_in = &ctx, .ctx_size_in = sizeof(ctx), .repeat = 1);

		control->flags = i == 2 ? PST_GUARD_CT : 0;
		see(&before);
		assert_int_equal(bpf_prog_test_run_opts(bpf_program__fd(prog), &opts), 0);
		expect_cell(&before, LO,
			PST_GUARD_CELL(i ? PST_DIR_OUT : PST_DIR_IN, PST_GUARD_TCP, PST_GUARD_PASS), 7, p.len,
			"seven segments");
	}
	forget();
}

/* The guard's own answers go out uncounted: they are told of where they were given. */
static void own_answers_out(void **state)
{
	struct __sk_buff ctx = {.mark = 0x70737463};
	static struct cells before, after;
	struct packet p;

	(void)state;
	make_tcp4(&p);
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = p.bytes, .data_size_in = (uint32_t)p.len,
		.ctx_in = &ctx, .ctx_size_in = sizeof(ctx), .repeat = 1);
	see(&before);
	assert_int_equal(bpf_prog_test_run_opts(bpf_program__fd(skel->progs.guard_tc_egress), &opts), 0);
	see(&after);
	assert_memory_equal(&before, &after, sizeof(after));
}

/* ---- places ---- */

static void own(uint32_t place, uint32_t ifindex)
{
	for (int c = 0; c < cpus; c++)
		written[c].ifindex[place % PST_GUARD_COUNTED_IFACES] = ifindex;
}

/* Who is where it is: on the CPUs that saw a packet, and on no other. */
static unsigned owners(uint32_t place, uint32_t ifindex)
{
	unsigned n = 0;

	for (int c = 0; c < cpus; c++)
		n += ((const volatile struct pst_guard_counts *)counts)[c].ifindex[place] == ifindex;
	return n;
}

static void one_in(uint32_t place)
{
	static struct cells before;
	struct packet p;

	make_udp4(&p);
	see(&before);
	assert_int_equal(run(p.bytes, p.len), PASS);
	expect_cell(
		&before, place, PST_GUARD_CELL(PST_DIR_IN, PST_GUARD_UDP, PST_GUARD_PASS), 1, p.len, "UDP");
}

/* Each place that it may have, while those before are others'; then none. */
static void places(void **state)
{
	(void)state;
	for (uint32_t i = 0; i < PST_GUARD_COUNTED_TRIES; i++) {
		uint32_t place = (LO + i * PST_GUARD_COUNTED_STEP) % PST_GUARD_COUNTED_IFACES;

		one_in(place);
		assert_int_not_equal(owners(place, LO), 0);
		one_in(place);
		own(place, 1000 + i);
	}
	for (int i = 0; i < 3; i++)
		one_in(PST_GUARD_COUNTED_OTHER);
	for (uint32_t i = 0; i < PST_GUARD_COUNTED_IFACES; i++)
		assert_int_equal(owners(i, LO), 0);
}

/* A place that was freed before its own does not make it move. */
static void stays(void **state)
{
	uint32_t second = (LO + PST_GUARD_COUNTED_STEP) % PST_GUARD_COUNTED_IFACES;

	(void)state;
	own(LO, 1000);
	own(second, LO);
	one_in(second);
	own(LO, 0);
	one_in(second);
	assert_int_equal(owners(LO, LO), 0);
}

/* Whatever is in the table: the packet passes, and is counted once, somewhere. */
static void rubbish(void **state)
{
	static struct cells before, after;
	struct packet p;

	(void)state;
	make_udp4(&p);
	for (int i = 0; i < 200; i++) {
		uint64_t sum = 0;

		for (int c = 0; c < cpus; c++)
			for (size_t k = 0; k < PST_GUARD_COUNTED_IFACES; k++)
				written[c].ifindex[k] = (uint32_t)rule_draw() % 3;
		see(&before);
		assert_int_equal(run(p.bytes, p.len), PASS);
		see(&after);
		for (size_t k = 0; k < PST_ARRAY_SIZE(after.v); k++)
			sum += after.v[k].packets - before.v[k].packets;
		assert_int_equal(sum, 1);
	}
}

#define TEST(f)  cmocka_unit_test_setup(f, all_off)
#define AT_TC(f) cmocka_unit_test_setup_teardown(f, all_off_at_tc, done_at_tc)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(every_packet_in),
		TEST(tagged_in),
		TEST(cut_in),
		TEST(places),
		TEST(stays),
		TEST(rubbish),
		AT_TC(every_packet_in),
		AT_TC(tagged_in),
		AT_TC(cut_in),
		AT_TC(places),
		AT_TC(every_packet_out),
		AT_TC(many_as_one),
		AT_TC(own_answers_out),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("counters by interface", tests, counts_setup, teardown);
}
