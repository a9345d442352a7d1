// SPDX-License-Identifier: Apache-2.0
/*
 * The guard's rules beside nftables: the same random rules in both, the same frames through both, and both
 * have to take the same verdict, by the same rule. nftables is the real one, at the ingress hook of devices
 * in a namespace of the test's own (tests/bpf/nft_rules.h).
 *
 * Left out of rules, since a chain there cannot say it or the guard does another thing by design: connection
 * states (the hook is before tracking), reject (it answers, the guard at XDP does not). Left out of frames:
 * what the guard's parser refuses (it passes whatever the rules are), two VLAN tags and 802.1ad tags
 * (nftables does not look behind the first, and its `vlan id` means 802.1Q alone), authentication headers in
 * IPv6 (nftables takes them for the protocol), fragments behind the first that go on with an extension header
 * of IPv6 (nftables knows no protocol of them).
 *
 * PENSTOCK_SEED=number for other rules and frames.
 */
#include "tests/bpf/guardrun.h"
#include "tests/bpf/fw_frame.h"
#include "tests/bpf/nft_rules.h"
#include "tests/bpf/reclog.h"
#include "tests/bpf/taps.h"

#include <inttypes.h>

#define NFT     "/usr/sbin/nft"
#define DEVICES "in2, in3"
#define FIRST   2u /* index of the first of them */
#define BATCH   256u
static_assert(BATCH < TAP_QUEUE, "a batch has room in one tap");

enum { IN_2, IN_3, PASSED, DROPPED, TAPS };
static int taps[TAPS];
static const char *no_nft; /* why the test cannot be run */

/* A frame on its way: what it is, and what nftables did with it. */
struct frame {
	struct pst_fw_packet fields;
	struct packet p;
	int action; /* PASS, DROP, 0: nothing came out yet */
	long rule;  /* -1: the policy */
};

static struct frame frames[BATCH];

/* ---- nftables ---- */

static int nft_load(const struct fw_ruleset *set)
{
	FILE *f = popen(NFT " -f -", "we");

	if (!f)
		return -1;
	nft_table(f, set, DEVICES);
	return pclose(f);
}

static int open_taps(void)
{
	static const char *const names[TAPS] = {"in2", "in3", "passed", "dropped"};

	for (unsigned i = 0; i < TAPS; i++) {
		taps[i] = tap_new(names[i], FIRST + i);
		if (taps[i] < 0)
			return -1;
	}
	return 0;
}

static int setup_both(void **state)
{
	const struct fw_ruleset nothing = {.policy = PST_FW_DROP};
	const char *seed = getenv("PENSTOCK_SEED");

	if (seed)
		rule_state = strtoull(seed, NULL, 0);
	if (!rule_state) /* it would stay 0 */
		rule_state = 1;
	printf("# PENSTOCK_SEED=0x%" PRIx64 "\n", rule_state);
	if (unshare(CLONE_NEWNET))
		return -1;
	if (access(NFT, X_OK))
		no_nft = "there is no " NFT;
	else if (open_taps())
		no_nft = "no tap devices";
	else if (nft_load(&nothing))
		no_nft = "this kernel's nf_tables has no table netdev with fwd and dup";
	fflush(stdout);
	return setup(state);
}

static uint64_t nft_counter(unsigned rule)
{
	uint64_t n;
	char command[128];
	FILE *f;

	snprintf(command, sizeof(command), NFT " list counter netdev guard rule%u", rule);
	f = popen(command, "re");
	assert_non_null(f);
	assert_int_equal(fscanf(f, " table netdev guard { counter %*s { packets %" SCNu64, &n), 1);
	while (fgetc(f) != EOF)
		;
	assert_int_equal(pclose(f), 0);
	return n;
}

/* ---- frames through nftables ---- */

/* The number of a frame is in its source address, that of the rule that decided in its destination. */
static const uint8_t our_mac[2] = {0x06, 0x77};

static void make_frame(const struct fw_ruleset *set, uint64_t *state, unsigned i)
{
	struct frame *f = &frames[i];
	uint32_t ifindex;

	fw_sample(set, state, &f->fields);
	ifindex = f->fields.ifindex;
	f->fields.ifindex = ifindex == FIRST || ifindex == FIRST + 1 ? ifindex : FIRST + rule_chance(50);
	frame_build(&f->fields, &f->p);
	memcpy(f->p.bytes + 6, our_mac, 2);
	put16(f->p.bytes + 10, i);
	f->action = 0;
}

static void send_frame(const struct frame *f)
{
	ssize_t n = write(taps[IN_2 + f->fields.ifindex - FIRST], f->p.bytes, f->p.len);

	assert_int_equal(n, f->p.len);
}

/* False: there is nothing to read. */
static bool receive_frame(int tap, int action)
{
	uint8_t bytes[sizeof(frames->p.bytes)];
	ssize_t n = read(taps[tap], bytes, sizeof(bytes));
	unsigned i, rule;
	struct frame *f;

	if (n < 0) {
		assert_int_equal(errno, EAGAIN);
		return false;
	}
	if (n < 14 || memcmp(bytes + 6, our_mac, 2))
		return true; /* the kernel's own, say of IPv6 */
	i = (unsigned)bytes[10] << 8 | bytes[11];
	assert_true(i < BATCH);
	f = &frames[i];
	assert_int_equal(f->action, 0);
	assert_int_equal(n, f->p.len);
	assert_memory_equal(bytes + 6, f->p.bytes + 6, n - 6);
	rule = (unsigned)bytes[4] << 8 | bytes[5];
	assert_int_equal(bytes[0], 0x02);
	f->action = action;
	f->rule = rule == NFT_POLICY ? -1 : (long)rule;
	return true;
}

/* All of a batch come out, at one place or the other: else one was lost, which is no verdict. */
static void through_nft(unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		send_frame(&frames[i]);
	while (receive_frame(PASSED, PASS) || receive_frame(DROPPED, DROP))
		;
	for (unsigned i = 0; i < n; i++)
		if (!frames[i].action)
			fail_msg("nftables lost frame %u of a batch", i);
}

/* ---- and through the guard ---- */

/* At XDP or tc, as if it came in over its device. */
static int run_frame(const struct frame *f)
{
	struct xdp_md xdp = {.data_end = (uint32_t)f->p.len, .ingress_ifindex = f->fields.ifindex};
	struct __sk_buff skb = {.ifindex = f->fields.ifindex};
	const struct bpf_program *prog = at_tc ? skel->progs.guard_tc : skel->progs.guard_xdp;
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = f->p.bytes, .data_size_in = (uint32_t)f->p.len,
		.ctx_in = at_tc ? (void *)&skb : (void *)&xdp,
		.ctx_size_in = at_tc ? sizeof(skb) : sizeof(xdp), .repeat = 1);

	assert_int_equal(bpf_prog_test_run_opts(bpf_program__fd(prog), &opts), 0);
	if (!at_tc)
		return (int)opts.retval;
	assert_true(opts.retval == TC_SHOT || opts.retval == TC_UNSPEC);
	return opts.retval == TC_SHOT ? DROP : PASS;
}

/* Packets that the rule, or the policy, decided so far. */
static uint64_t decided(const struct fw_ruleset *set, long rule)
{
	if (rule >= 0)
		return counter(set->rules[rule].counter).packets;
	return reason(set->policy == PST_FW_ACCEPT ? PST_GUARD_FW_POLICY : PST_GUARD_FW_NO_MATCH).packets;
}

static bool agrees(const struct fw_ruleset *set, const struct frame *f)
{
	uint64_t before = decided(set, f->rule);

	return run_frame(f) == f->action && decided(set, f->rule) == before + 1;
}

/* ---- what is said of a frame on which they do not agree ---- */

static long guard_rule(const struct fw_ruleset *set, const struct frame *f)
{
	uint64_t *before = calloc(set->n, sizeof(*before));
	long rule = -1;

	assert_non_null(before);
	for (size_t i = 0; i < set->n; i++)
		before[i] = decided(set, (long)i);
	run_frame(f);
	for (size_t i = 0; i < set->n; i++)
		if (set->rules[i].action != PST_FW_NEXT && decided(set, (long)i) != before[i])
			rule = (long)i;
	free(before);
	return rule;
}

static void tell_rule(const struct fw_ruleset *set, const char *who, int action, long rule)
{
	printf("# %s: %s by ", who, action == PASS ? "passed" : "dropped");
	if (rule < 0) {
		printf("no rule\n");
		return;
	}
	printf("rule %ld:\n", rule);
	nft_rule(stdout, &set->rules[rule], (unsigned)rule);
}

static void tell(const struct fw_ruleset *set, const struct frame *f)
{
	const struct pst_fw_packet *k = &f->fields;
	char src[64], dst[64];

	tell_rule(set, "nftables", f->action, f->rule);
	tell_rule(set, at_tc ? "guard at tc" : "guard at XDP", run_frame(f), guard_rule(set, f));
	printf("# rules one by one: %ld\n# device %u, ", fw_linear(set, k), k->ifindex);
	if (!k->root[PST_FW_VLAN])
		printf("vlan %u, ", k->key[PST_FW_VLAN]);
	printf("%s > %s, ", inet_ntop(AF_INET6, k->addr[0], src, sizeof(src)),
		inet_ntop(AF_INET6, k->addr[1], dst, sizeof(dst)));
	printf("protocol %u, ports %s %u > %u, flags or type %u: 0x%04x, dscp %u\n# ", k->key[PST_FW_PROTO],
		k->root[PST_FW_SPORT] ? "none" : "are", k->key[PST_FW_SPORT], k->key[PST_FW_DPORT],
		k->root[PST_FW_L4], k->key[PST_FW_L4], k->key[PST_FW_DSCP]);
	for (size_t i = 0; i < f->p.len; i++)
		printf("%02x%s", f->p.bytes[i], i % 32 == 31 ? "\n# " : " ");
	printf("\n");
}

/* ---- rules of which both can speak ---- */

/* The protocols with ports that rule_random() does not know. */
static void make_rare(struct fw_rule *r)
{
	static const uint8_t rare[] = {33, 132, 136};
	uint8_t protocol = rare[rule_draw() % sizeof(rare)];

	memset(r->protocols, 0, sizeof(r->protocols));
	r->protocols[protocol / 64] = 1ULL << protocol % 64;
}

static void make_comparable(struct fw_rule *r, size_t *next)
{
	if (r->protocols[0] == 1ULL << 17 && rule_chance(20))
		make_rare(r);
	r->has &= (uint8_t)~FW_HAS_STATE;
	for (size_t i = 0; i < r->vlan.n; i++) {
		uint16_t a = r->vlan.v[i].lo & 0xfff, b = r->vlan.v[i].hi & 0xfff;

		r->vlan.v[i] = (struct fw_range){a < b ? a : b, a < b ? b : a};
	}
	r->action = rule_chance(50) ? PST_FW_ACCEPT : PST_FW_DROP;
	if (*next < PST_FW_NEXT_MAX && rule_chance(4))
		r->action = PST_FW_NEXT;
	*next += r->action == PST_FW_NEXT;
}

/* Half of the rules plain, half with lists, `not` and all fields. */
static void make_rule(struct fw_rule *r, size_t i, size_t *next)
{
	rule_random(r, (uint32_t)i, rule_chance(50));
	make_comparable(r, next);
}

/* The first rule that decides more than one of @share samples; -1: none does. */
static long find_greedy(const struct fw_ruleset *set, unsigned share)
{
	uint64_t state = rule_draw() | 1;
	unsigned *taken = calloc(set->n, sizeof(*taken)), samples = 30 * share;
	long found = -1;

	assert_non_null(taken);
	while (samples-- && found < 0) {
		struct pst_fw_packet p;
		long rule;

		fw_sample(set, &state, &p);
		rule = fw_linear(set, &p);
		if (rule >= 0 && ++taken[rule] > 30)
			found = rule;
	}
	free(taken);
	return found;
}

/* A rule that takes too much is made anew: those below it would not be reached. */
static void make_rules(struct fw_ruleset *set, size_t n)
{
	size_t next = 0;
	long greedy;

	*set = (struct fw_ruleset){.rules = calloc(n, sizeof(*set->rules)), .n = n};
	assert_non_null(set->rules);
	set->policy = rule_chance(50) ? PST_FW_DROP : PST_FW_ACCEPT;
	for (size_t i = 0; i < n; i++)
		make_rule(&set->rules[i], i, &next);
	while ((greedy = find_greedy(set, 50)) >= 0) {
		fw_rule_done(&set->rules[greedy]);
		make_rule(&set->rules[greedy], (size_t)greedy, &next);
	}
}

/* ---- the tests ---- */

struct tally {
	unsigned passed, frames, rules;
	bool *seen; /* a rule that decided */
};

static void count(struct tally *t, const struct frame *f)
{
	t->frames++;
	t->passed += f->action == PASS;
	if (f->rule >= 0 && !t->seen[f->rule]) {
		t->seen[f->rule] = true;
		t->rules++;
	}
}

static void check_batch(const struct fw_ruleset *set, uint64_t *state, unsigned n, struct tally *tally)
{
	for (unsigned i = 0; i < n; i++)
		make_frame(set, state, i);
	through_nft(n);
	for (unsigned i = 0; i < n; i++) {
		for (at_tc = false;; at_tc = true) {
			if (!agrees(set, &frames[i])) {
				tell(set, &frames[i]);
				fail_msg("not the same verdict");
			}
			if (at_tc)
				break;
		}
		count(tally, &frames[i]);
	}
}

/* Rules that only count: each frame came to us twice, at XDP and at tc. */
static void check_counters(const struct fw_ruleset *set, const uint64_t *before)
{
	for (unsigned i = 0; i < set->n; i++)
		if (set->rules[i].action == PST_FW_NEXT) {
			uint64_t ours = counter(set->rules[i].counter).packets - before[i];
			uint64_t theirs = nft_counter(i);

			if (ours != 2 * theirs) {
				nft_rule(stdout, &set->rules[i], i);
				fail_msg("rule %u: nftables counted %" PRIu64 ", the guard %" PRIu64
					 " in two runs",
					i, theirs, ours);
			}
		}
}

static void compare(size_t n_rules, unsigned n_frames)
{
	uint64_t state = rule_draw() | 1, *before = calloc(n_rules, sizeof(*before));
	struct tally tally = {.seen = calloc(n_rules, sizeof(bool))};
	struct fw_ruleset set;

	make_rules(&set, n_rules);
	assert_int_equal(nft_load(&set), 0);
	force(&set);
	for (size_t i = 0; i < n_rules; i++)
		before[i] = counter(set.rules[i].counter).packets;
	for (unsigned i = 0; i < n_frames; i += BATCH)
		check_batch(&set, &state, n_frames - i < BATCH ? n_frames - i : BATCH, &tally);
	check_counters(&set, before);
	printf("# %zu rules, of which %u decided; %u frames, of which %u passed\n", n_rules, tally.rules,
		tally.frames, tally.passed);
	/* a comparison in which most goes one way, or to few rules, would show little */
	assert_in_range(tally.passed, tally.frames / 100, tally.frames - tally.frames / 100);
	assert_true(tally.rules >= n_rules / 2);
	fw_ruleset_done(&set);
	free(before);
	free(tally.seen);
}

static void ten_sets_of_rules(void **state)
{
	(void)state;
	if (no_nft)
		skip_because("%s", no_nft);
	for (int i = 0; i < 10; i++)
		compare(100, 10000);
}

static void a_thousand_rules(void **state)
{
	(void)state;
	if (no_nft)
		skip_because("%s", no_nft);
	compare(1000, 100000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ten_sets_of_rules),
		cmocka_unit_test(a_thousand_rules),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("the guard beside nftables", tests, setup_both, teardown);
}
