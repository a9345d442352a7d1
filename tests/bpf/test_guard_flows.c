// SPDX-License-Identifier: Apache-2.0
/*
 * What flows are told of the guard's verdicts: the table of what it drops or answers, and what it hands to
 * the flow program of what passes; at XDP and tc, both families, and nothing while it is off.
 */
#include <sched.h>
#include <time.h>

#include "tests/bpf/ctrun.h"

#include "bpf/flow.skel.h"
#include "tests/bpf/slotread.h"

#define SLOTS   PST_GUARD_FLOW_SLOTS
#define RULE    7u /* where the rule counts */
#define LISTED  "10.0.0.5\n2001:db8::5\n"
#define NO_RULE PST_JUDGED_NO_RULE

static struct flow_bpf *flows_skel;
static const struct pst_flow *slots;

static int open_flows(void **state)
{
	size_t bytes = SLOTS * sizeof(struct pst_flow);
	cpu_set_t one;
	void *p;

	if (setup(state))
		return -1;
	/* both programs run on one CPU, as for a real packet */
	CPU_ZERO(&one);
	CPU_SET(sched_getcpu(), &one);
	flows_skel = flow_bpf__open();
	if (sched_setaffinity(0, sizeof(one), &one) || !flows_skel)
		return -1;
	flows_skel->rodata->cfg_flow_judged = 1;
	if (bpf_map__set_max_entries(flows_skel->maps.guard_judged, (uint32_t)cpus) ||
		bpf_map__reuse_fd(flows_skel->maps.guard_judged, bpf_map__fd(skel->maps.guard_judged)) ||
		flow_bpf__load(flows_skel) || bpf_map_freeze(bpf_map__fd(skel->maps.guard_flows)))
		return -1;
	p = mmap(NULL, bytes, PROT_READ, MAP_SHARED, bpf_map__fd(skel->maps.guard_flows), 0);
	slots = p;
	return p == MAP_FAILED;
}

static int close_flows(void **state)
{
	flow_bpf__destroy(flows_skel);
	return teardown(state);
}

static void size_maps(struct guard_bpf *s)
{
	s->rodata->cfg_guard_netns = 4242;
	bpf_map__set_max_entries(s->maps.guard_judged, (uint32_t)libbpf_num_possible_cpus());
}

static void flows_on(uint64_t more)
{
	*(volatile uint64_t *)&control->flags = PST_GUARD_FLOWS | more;
}

/* ---- packets ---- */

static struct flow flow_from(bool ip6, uint8_t peer, uint16_t port)
{
	return (struct flow){
		.ip6 = ip6, .protocol = 17, .peer = peer, .pport = port, .hport = 80, .tagged = at_tc};
}

/* With the key that a parser reads. */
static void packet_from(struct packet *p, bool ip6, uint8_t peer, uint16_t port)
{
	struct flow f = flow_from(ip6, peer, port);
	struct segment s = {.bytes = 30};
	const uint8_t *ip;

	flow_packet(p, &f, &s);
	ip = p->bytes + p->l3;
	p->l3_len = (uint32_t)(p->len - p->l3);
	memset(&p->key, 0, sizeof(p->key));
	if (ip6) {
		memcpy(p->key.saddr, ip + 8, 16);
		memcpy(p->key.daddr, ip + 24, 16);
	} else {
		memset(p->key.saddr + 10, 0xff, 2);
		memset(p->key.daddr + 10, 0xff, 2);
		memcpy(p->key.saddr + 12, ip + 12, 4);
		memcpy(p->key.daddr + 12, ip + 16, 4);
	}
	p->key.family = ip6 ? AF_INET6 : AF_INET;
	p->key.protocol = 17;
	p->key.sport = port;
	p->key.dport = 80;
}

static struct pst_flow_key key_of(const struct packet *p)
{
	struct pst_flow_key key = p->key;

	key.ifindex = 1;
	key.dir = PST_DIR_IN;
	key.netns = 4242;
	return key;
}

/* Number of its slot, or -1. */
static int find(const struct packet *p, struct pst_flow *ret)
{
	struct pst_flow_key key = key_of(p);
	struct pst_flow f;

	for (int i = 0; i < (int)SLOTS; i++)
		if (slot_read(&slots[i], &f) && !memcmp(&f.key, &key, sizeof(key))) {
			*ret = f;
			return i;
		}
	return -1;
}

static size_t used(void)
{
	struct pst_flow f;
	size_t n = 0;

	for (size_t i = 0; i < SLOTS; i++)
		n += slot_read(&slots[i], &f);
	return n;
}

/* Packets of all flows that are there or were. */
static uint64_t sum_all(void)
{
	struct pst_flow f;
	uint64_t sum = 0;

	for (size_t i = 0; i < SLOTS; i++)
		if (slot_read(&slots[i], &f))
			sum += f.packets + f.gone_packets;
	return sum;
}

static uint64_t full(void)
{
	return reason((enum pst_guard_reason)PST_GUARD_FLOW_FULL).packets;
}

/* Up to when the rate of new flows is used. */
static void rate_used(uint64_t until)
{
	uint64_t value[8] = {until};
	uint32_t zero = 0;

	assert_int_equal(
		bpf_map_update_elem(bpf_map__fd(skel->maps.guard_flow_new), &zero, value, BPF_ANY), 0);
}

static void rate_free(void)
{
	rate_used(0);
}

static void one_rule(uint8_t action)
{
	struct fw_rule r = {.action = action, .counter = RULE, .id = 1};
	struct fw_ruleset set = {.rules = &r, .n = 1, .policy = PST_FW_ACCEPT};

	force(&set);
}

static uint64_t judged_by_rule(enum pst_guard_reason why)
{
	return PST_JUDGED(why, RULE, control->fw_generation);
}

/* ---- what is dropped ---- */

static void expect_dropped(bool ip6, uint8_t peer, uint16_t port, uint64_t word)
{
	struct pst_flow f, g;
	struct packet p;

	packet_from(&p, ip6, peer, port);
	rate_free();
	assert_int_equal(run(p.bytes, p.len), DROP);
	assert_true(0 <= find(&p, &f));
	assert_int_equal(f.packets, 1);
	assert_int_equal(f.bytes, p.l3_len);
	assert_int_equal(f.netns, 4242);
	assert_true(f.judged_first == word && f.judged_last == word);
	assert_int_equal(run(p.bytes, p.len), DROP);
	assert_true(0 <= find(&p, &g));
	assert_int_equal(g.packets, 2);
	assert_int_equal(g.bytes, 2 * p.l3_len);
	assert_true(g.gen == f.gen && g.first_ns == f.first_ns && g.last_ns >= f.last_ns);
}

static void by_what_step(void **state)
{
	(void)state;
	flows_on(0);
	force_lists("", LISTED);
	for (int tc = 0; tc < 2; tc++) {
		at_tc = tc;
		for (int ip6 = 0; ip6 < 2; ip6++) {
			uint16_t port = (uint16_t)(1000 + 10 * tc + ip6);

			one_rule(PST_FW_DROP);
			expect_dropped(ip6, 5, port, PST_JUDGED(PST_GUARD_BLOCKED, NO_RULE, 0));
			expect_dropped(ip6, 9, port, judged_by_rule(PST_GUARD_FW_DROP));
			one_rule(PST_FW_REJECT);
			expect_dropped(ip6, 9, (uint16_t)(port + 100), judged_by_rule(PST_GUARD_FW_REJECT));
		}
	}
	at_tc = false;
	force_lists("", "");
}

/* Another verdict on the same flow: the first stays, the last is the last. */
static void another_verdict(void **state)
{
	struct pst_flow f;
	struct packet p;
	uint64_t first;

	(void)state;
	flows_on(0);
	rate_free();
	one_rule(PST_FW_DROP);
	first = judged_by_rule(PST_GUARD_FW_DROP);
	packet_from(&p, false, 11, 2000);
	assert_int_equal(run(p.bytes, p.len), DROP);
	one_rule(PST_FW_DROP);
	assert_int_equal(run(p.bytes, p.len), DROP);
	assert_true(0 <= find(&p, &f));
	assert_true(f.judged_first == first && f.judged_last == judged_by_rule(PST_GUARD_FW_DROP));
	assert_int_not_equal(f.judged_first, f.judged_last);
	force_lists("", "10.0.0.11\n");
	assert_int_equal(run(p.bytes, p.len), DROP);
	assert_true(0 <= find(&p, &f));
	assert_true(f.judged_first == first);
	assert_true(f.judged_last == PST_JUDGED(PST_GUARD_BLOCKED, NO_RULE, 0));
	assert_int_equal(f.packets, 3);
	force_lists("", "");
}

static void nothing_when_off(void **state)
{
	size_t before = used();
	struct packet p;

	(void)state;
	flows_on(0);
	*(volatile uint64_t *)&control->flags = 0;
	one_rule(PST_FW_DROP);
	for (int tc = 0; tc < 2; tc++)
		for (uint16_t port = 1; port < 50; port++) {
			at_tc = tc;
			packet_from(&p, port & 1, 12, port);
			assert_int_equal(run(p.bytes, p.len), DROP);
		}
	at_tc = false;
	assert_int_equal(used(), before);
}

/* What is no IP, or ends before its addresses, is dropped and no flow. */
static void what_is_no_flow(void **state)
{
	uint64_t before_full = full();
	struct packet arp, p;
	size_t before = used();

	(void)state;
	flows_on(PST_GUARD_DROP_NO_IP | PST_GUARD_DROP_TRUNCATED);
	one_rule(PST_FW_ACCEPT);
	eth(&arp, 0x0806);
	(void)grow(&arp, 28);
	for (int tc = 0; tc < 2; tc++) {
		at_tc = tc;
		expect(arp.bytes, arp.len, DROP, PST_GUARD_NO_IP);
		for (int ip6 = 0; ip6 < 2; ip6++) {
			packet_from(&p, ip6, 14, 1);
			expect(p.bytes, p.l3 + 19, DROP, PST_GUARD_TRUNCATED);
		}
	}
	at_tc = false;
	assert_int_equal(used(), before);
	assert_int_equal(full(), before_full);
	rate_free();
	expect(p.bytes, p.l3 + 40, DROP, PST_GUARD_TRUNCATED); /* with addresses it is one */
	assert_int_equal(used(), before + 1);
}

/*
 * A flood of forged sources: no more flows than the rate allows, the others are counted, packet by packet; a
 * flow that has its place already is told on.
 */
static void a_flood(void **state)
{
	uint64_t told = 0, before_full, late_full = 0, before_sum, sent = 0;
	size_t before = used();
	struct packet known, p;
	struct pst_flow f, g;

	(void)state;
	flows_on(0);
	one_rule(PST_FW_DROP);
	rate_free();
	packet_from(&known, false, 200, 3000);
	assert_int_equal(run(known.bytes, known.len), DROP);
	assert_true(0 <= find(&known, &f));
	before_full = full();
	before_sum = sum_all();
	for (unsigned n = 0; n < 30000; n++) {
		if (n == 20000) { /* whatever time it takes */
			assert_true(used() > before + 100);
			late_full = full();
			rate_used(UINT64_MAX / 2);
		}
		packet_from(&p, n & 1, (uint8_t)(1 + n % 100), (uint16_t)(10000 + n));
		assert_int_equal(run(p.bytes, p.len), DROP);
		sent++;
		if (n % 100 == 0) {
			assert_int_equal(run(known.bytes, known.len), DROP);
			told++;
		}
	}
	assert_true(0 <= find(&known, &g));
	assert_int_equal(g.packets, f.packets + told);
	assert_int_equal(full(), late_full + 10000);
	/* each is in the table, or gave way there and is in its slot's sum, or was counted as not noted */
	assert_int_equal(sum_all() - before_sum + full() - before_full, sent + told);
}

static uint64_t boot_ns(void)
{
	struct timespec t;

	assert_int_equal(clock_gettime(CLOCK_BOOTTIME, &t), 0);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* A slot is another flow's after its time of silence and not before, and keeps how many packets were its
 * flows'. */
static void places_get_free(void **state)
{
	struct pst_flow f, g;
	struct packet p, q;
	unsigned n = 0;
	int at;

	(void)state;
	flows_on(0);
	one_rule(PST_FW_DROP);
	rate_free();
	packet_from(&p, false, 201, 4000);
	assert_int_equal(run(p.bytes, p.len), DROP);
	assert_int_equal(run(p.bytes, p.len), DROP);
	at = find(&p, &f);
	assert_true(at >= 0);
	do {
		if (n % 500 == 0)
			rate_free();
		packet_from(&q, n & 1, (uint8_t)(1 + n / 2 % 250), (uint16_t)(20000 + n / 500));
		assert_int_equal(run(q.bytes, q.len), DROP);
		assert_true(++n < 10000000);
	} while (!slot_read(&slots[at], &g) || g.gen == f.gen);
	assert_true(boot_ns() >= f.last_ns + PST_GUARD_FLOW_IDLE_NS);
	assert_true(g.gone_packets >= f.gone_packets + 2);
	if (g.gen == f.gen + 2)
		assert_int_equal(g.gone_packets, f.gone_packets + 2);
}

/* ---- what passes ---- */

static uint32_t flow_run(const struct packet *p)
{
	return run_prog(flows_skel->progs.flow_ingress, p->bytes, p->len);
}

static bool flow_of(const struct packet *p, struct pst_flow *ret)
{
	struct pst_flow f;

	for (uint32_t i = 0; i < 65536; i++)
		if (!bpf_map_lookup_elem(bpf_map__fd(flows_skel->maps.flows), &i, &f) && f.gen &&
			!memcmp(&f.key, &p->key, 36)) {
			*ret = f;
			return true;
		}
	return false;
}

static struct pst_judged_here here(void)
{
	struct pst_judged_here h;
	uint32_t cpu = (uint32_t)sched_getcpu();

	assert_int_equal(bpf_map_lookup_elem(bpf_map__fd(skel->maps.guard_judged), &cpu, &h), 0);
	return h;
}

static void set_here(const struct pst_judged_here *h)
{
	uint32_t cpu = (uint32_t)sched_getcpu();

	assert_int_equal(bpf_map_update_elem(bpf_map__fd(skel->maps.guard_judged), &cpu, h, BPF_ANY), 0);
}

static size_t waiting(void)
{
	struct pst_judged_here h = here();
	size_t n = 0;

	for (size_t i = 0; i < PST_JUDGED_ENTRIES; i++)
		n += h.entry[i].word != 0;
	return n;
}

static void nothing_waits(void)
{
	struct pst_judged_here none = {0};

	set_here(&none);
}

/* The flow is told of a packet that passes; in as many tries as a busy machine needs. */
static void expect_told(bool ip6, uint16_t port, uint64_t word)
{
	struct pst_flow f;
	struct packet p;

	packet_from(&p, ip6, 30, port);
	do {
		assert_int_equal(run(p.bytes, p.len), PASS);
		assert_int_equal(flow_run(&p), TC_UNSPEC);
		assert_true(flow_of(&p, &f));
	} while (!f.judged_first);
	assert_true(f.judged_first == word && f.judged_last == word);
	assert_int_equal(waiting(), 0);
}

static void what_passes(void **state)
{
	(void)state;
	flows_on(0);
	nothing_waits();
	for (int tc = 0; tc < 2; tc++)
		for (int ip6 = 0; ip6 < 2; ip6++) {
			uint16_t port = (uint16_t)(5000 + 10 * tc + ip6);

			at_tc = tc;
			one_rule(PST_FW_ACCEPT);
			expect_told(ip6, port, judged_by_rule(PST_GUARD_FW_ACCEPT));
			*(volatile uint64_t *)&control->fw_generation = 0;
			expect_told(ip6, (uint16_t)(port + 100), PST_JUDGED(PST_GUARD_PASSED, NO_RULE, 0));
		}
	at_tc = false;
}

/* Not told: of another flow, of one that is not on this interface, of some time ago; and not twice. */
static void what_is_not_certain(void **state)
{
	struct packet p, q;
	struct pst_judged_here h;
	struct pst_flow f;

	(void)state;
	flows_on(0);
	one_rule(PST_FW_ACCEPT);
	packet_from(&p, false, 31, 6000);
	packet_from(&q, false, 31, 6001);
	for (unsigned what = 0; what < 4; what++) {
		nothing_waits();
		assert_int_equal(run(p.bytes, p.len), PASS);
		assert_int_equal(waiting(), 1);
		h = here();
		for (size_t i = 0; i < PST_JUDGED_ENTRIES; i++) {
			if (!h.entry[i].word)
				continue;
			if (what == 1)
				h.entry[i].key[4] ^= 1ull << 32; /* the interface */
			if (what == 2)
				h.entry[i].jiffies -= PST_JUDGED_JIFFIES + 1;
			if (what == 3)
				h.entry[i].key[5] ^= 1; /* the family */
		}
		set_here(&h);
		flow_run(what ? &p : &q);
		assert_int_equal(waiting(), 1);
	}
	assert_true(flow_of(&p, &f));
	assert_int_equal(f.judged_first, 0);
	assert_true(flow_of(&q, &f));
	assert_int_equal(f.judged_first, 0);
	nothing_waits();
	*(volatile uint64_t *)&control->flags = 0;
	assert_int_equal(run(p.bytes, p.len), PASS);
	assert_int_equal(waiting(), 0);
}

/* What lies there may be anything. */
static void rubbish(void **state)
{
	struct pst_judged_here h;
	uint64_t *word = (uint64_t *)&h;
	struct packet p;

	(void)state;
	flows_on(0);
	one_rule(PST_FW_ACCEPT);
	for (unsigned n = 0; n < 200; n++) {
		for (size_t i = 0; i < sizeof(h) / 8; i++)
			word[i] = (uint64_t)rule_draw() << 32 | rule_draw();
		set_here(&h);
		packet_from(&p, n & 1, (uint8_t)n, (uint16_t)(7000 + n));
		assert_int_equal(run(p.bytes, p.len), PASS);
		assert_int_equal(flow_run(&p), TC_UNSPEC);
	}
	nothing_waits();
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(by_what_step),
		cmocka_unit_test(another_verdict),
		cmocka_unit_test(nothing_when_off),
		cmocka_unit_test(what_is_no_flow),
		cmocka_unit_test(a_flood),
		cmocka_unit_test(places_get_free),
		cmocka_unit_test(what_passes),
		cmocka_unit_test(what_is_not_certain),
		cmocka_unit_test(rubbish),
	};

	guard_prepare = size_maps;
	return cmocka_run_group_tests_name("flows and verdicts", tests, open_flows, close_flows);
}
