// SPDX-License-Identifier: Apache-2.0
/*
 * Trials of the guard (struct pst_guard_why): for each step and many packets, a trial changes no byte of any
 * table, and says what then becomes of the same packet when it is real; what it notes of each step; a real
 * packet in the middle of a trial is judged and counted, and the trial is void.
 */
#include <bpf/btf.h>

#include "tests/bpf/ctrun.h"
#include "tests/bpf/tunnels.h"

#define TRIES 100 /* before Linux 6.11 real packets come in between */

/* What the programs write; in the order in which the tests name them. */
static const char *const tables[] = {"src_rates", "guard", "guard_counts", "fw_cache", "ct", "ct_new",
	"guard_syn", "guard_sigs", "offenders", "drop_samples"};
#define TABLES PST_ARRAY_SIZE(tables)

static struct region {
	char *now, *before;
	size_t bytes;
} regions[TABLES];

/* Small tables: they are compared often. */
static void small(struct guard_bpf *guard)
{
	bpf_map__set_max_entries(guard->maps.ct, 1024);
	bpf_map__set_max_entries(guard->maps.ct_new, 1024);
	bpf_map__set_max_entries(guard->maps.src_rates, 1024);
	guard->rodata->cfg_ct_mask = guard->rodata->cfg_ct_new_mask = guard->rodata->cfg_src_mask = 1023;
}

static int why_setup(void **state)
{
	guard_prepare = small;
	if (ct_setup(state))
		return -1;
	for (size_t i = 0; i < TABLES; i++) {
		const struct bpf_map *map = bpf_object__find_map_by_name(skel->obj, tables[i]);
		struct region *r = &regions[i];

		r->bytes = map ? (size_t)bpf_map__value_size(map) * bpf_map__max_entries(map) : 0;
		r->now = map ? guard_map(map, r->bytes) : NULL;
		r->before = malloc(r->bytes);
		if (!r->now || !r->before)
			return -1;
	}
	return 0;
}

static int why_teardown(void **state)
{
	for (size_t i = 0; i < TABLES; i++)
		free(regions[i].before);
	return teardown(state);
}

static void arm(bool armed, struct pst_guard_why *why)
{
	const uint32_t zero = 0;

	*why = (struct pst_guard_why){.armed = armed, .ifindex = PST_GUARD_WHY_IFINDEX};
	assert_int_equal(bpf_map_update_elem(bpf_map__fd(skel->maps.guard_why), &zero, why, BPF_ANY), 0);
}

/* What becomes of it in a trial. */
static int judged(const struct packet *p, struct pst_guard_why *ret_why)
{
	const uint32_t zero = 0;
	struct pst_guard_why off;
	int action = -1;

	for (int tries = 0; tries < TRIES; tries++) {
		arm(true, ret_why);
		action = run(p->bytes, p->len);
		assert_int_equal(bpf_map_lookup_elem(bpf_map__fd(skel->maps.guard_why), &zero, ret_why), 0);
		if (ret_why->state != PST_GUARD_WHY_DISTURBED)
			break;
	}
	arm(false, &off);
	assert_int_equal(ret_why->state, PST_GUARD_WHY_DONE);
	return action;
}

/* After which every table is as it was. */
static int trial(const struct packet *p, struct pst_guard_why *ret_why)
{
	int action;

	for (size_t i = 0; i < TABLES; i++)
		memcpy(regions[i].before, regions[i].now, regions[i].bytes);
	action = judged(p, ret_why);
	for (size_t i = 0; i < TABLES; i++)
		if (memcmp(regions[i].before, regions[i].now, regions[i].bytes))
			fail_msg("a trial changed %s", tables[i]);
	return action;
}

/* Twice by trial, then really: the same verdict for the same reason. */
static struct pst_guard_why same(const struct packet *p)
{
	struct pst_guard_why why, again;
	struct pst_guard_count before;
	int action = trial(p, &why);

	assert_int_equal(trial(p, &again), action);
	assert_int_equal(again.reason, why.reason);
	assert_int_equal(again.ct_state, why.ct_state);
	before = reason(why.reason);
	assert_int_equal(run(p->bytes, p->len), action);
	assert_int_equal(reason(why.reason).packets, before.packets + 1);
	return why;
}

/* Numbers of generations do not come again: verdicts are kept by them. */
static uint64_t generation = 2;

static void all_off(void)
{
	generation = PST_MAX(generation, control->fw_generation);
	control->flags = control->fw_generation = control->block_generation = 0;
	control->bad_flags = control->sig_generation = 0;
}

static void force_next(const struct fw_ruleset *set)
{
	control->fw_generation = generation;
	force(set);
	generation = control->fw_generation;
}

/* ---- what can be read of a packet ---- */

static void every_kind_of_packet(void **state)
{
	static const uint64_t flags[] = {0,
		PST_GUARD_DROP_TRUNCATED | PST_GUARD_DROP_MALFORMED | PST_GUARD_DROP_NO_IP, PST_GUARD_CT,
		PST_GUARD_CT | PST_GUARD_CT_LOOSE};

	(void)state;
	for (size_t f = 0; f < PST_ARRAY_SIZE(flags); f++) {
		all_off();
		control->fw_generation = generation;
		force_states(0);
		control->flags = flags[f];
		for (size_t i = 0; i < PACKETS; i++) {
			struct pst_guard_why why;
			struct packet p;

			packets[i].make(&p);
			why = same(&p);
			assert_int_equal(why.flags, flags[f]);
			if (!packets[i].what)
				assert_memory_equal(why.key.saddr, p.key.saddr, 16);
			p.len = PST_MIN(p.len, p.l3 + 41); /* tc's test run wants all of the IP header */
			same(&p);
		}
	}
}

/* What is inside has no connection: none is looked for, and none begins. */
static void every_kind_of_tunnel(void **state)
{
	(void)state;
	all_off();
	control->fw_generation = generation;
	force_states(0);
	control->vxlan_port = VXLAN_PORT;
	for (size_t i = 0; i < PACKETS * AROUNDS; i++) {
		const struct outer o = {i % AROUNDS, i & 1, i & 2};
		struct pst_guard_why why;
		struct packet p;

		control->flags = PST_GUARD_CT | PST_GUARD_DROP_MALFORMED | PST_GUARD_INNER_IPIP |
				 PST_GUARD_INNER_GRE | PST_GUARD_INNER_VXLAN;
		packets[i / AROUNDS].make(&p);
		if (packets[i / AROUNDS].what && !is_bridged(o.around))
			continue;
		put_into(&p, &o);
		why = same(&p);
		assert_int_not_equal(why.tunnel, PST_TUNNEL_NONE);
		assert_int_equal(why.ct_found, 0);
		if (packets[i / AROUNDS].what)
			continue;
		assert_int_equal(why.ct_state, PST_CT_UNTRACKED);
		assert_memory_equal(why.key.saddr, p.key.saddr, 16);
	}
}

/* A trial reads all of a packet; of a real one that is plain nothing is, with nothing on. Cut anywhere. */
static void nothing_on(void **state)
{
	static const uint64_t flags[] = {
		0, PST_GUARD_DROP_TRUNCATED | PST_GUARD_DROP_MALFORMED, PST_GUARD_CT | PST_GUARD_DRY_LISTS};
	unsigned off = 0, other = 0;

	(void)state;
	all_off();
	for (size_t i = 0; i < PST_ARRAY_SIZE(flags) * PACKETS; i++) {
		struct pst_guard_why why;
		struct pst_guard_count before;
		struct packet p;
		int action;

		control->flags = flags[i / PACKETS];
		packets[i % PACKETS].make(&p);
		same(&p);
		for (size_t len = p.l3 + (p.key.family == AF_INET ? 21 : 41); len <= p.len; len++) {
			struct packet cut = p;

			cut.len = len;
			action = judged(&cut, &why);
			before = reason(why.reason);
			assert_int_equal(run(cut.bytes, cut.len), action);
			assert_int_equal(reason(why.reason).packets, before.packets + 1);
			off += why.reason == PST_GUARD_OFF;
			other += why.reason != PST_GUARD_OFF;
		}
	}
	assert_true(off > 50 && other > 50);
	all_off();
}

/* ---- lists ---- */

static void lists(void **state)
{
	static const struct {
		const char *allow, *block;
		unsigned kind, len4, len6;
	} cases[] = {
		{"", "10.0.0.99\n", PST_BLOCK_NONE, 0, 0},
		{"", "10.0.0.1\n2001:db8::1\n", PST_BLOCK_ADDRESS, 32, 128},
		{"", "10.0.0.0/24\n2001:db8::/48\n", PST_BLOCK_PREFIX, 24, 48},
		{"10.0.0.0/8\n2001:db8::/32\n", "10.0.0.0/24\n2001:db8::/48\n", PST_BLOCK_ALLOWED, 8, 32},
	};

	(void)state;
	all_off();
	for (size_t i = 0; i < PST_ARRAY_SIZE(cases); i++) {
		force_lists(cases[i].allow, cases[i].block);
		for (int n = 0; n < 4; n++) {
			struct flow f = {n & 1, n & 2, 17, 1, 1000, 53};
			struct pst_guard_why why;
			struct packet p;

			flow_packet(&p, &f, &(struct segment){0});
			why = same(&p);
			assert_int_equal(why.block_generation, control->block_generation);
			assert_int_equal(why.hit.kind, cases[i].kind);
			if (cases[i].kind)
				assert_int_equal(why.hit.len, f.ip6 ? cases[i].len6 : cases[i].len4);
			assert_int_equal(why.reason,
				cases[i].kind >= PST_BLOCK_ADDRESS ? PST_GUARD_BLOCKED : PST_GUARD_PASSED);
		}
	}
}

/* ---- limits ---- */

static void check_limit(const struct packet *p, enum pst_limit which)
{
	struct pst_guard_why why = same(p);

	assert_int_equal(why.share[0].source, PST_GUARD_SOURCE_NEW);
	why = same(p);
	assert_int_equal(why.share[0].source, PST_GUARD_SOURCE_KNOWN);
	assert_int_equal(why.reason, PST_GUARD_PASSED);
	assert_true(why.share[0].until[which] > why.now_ns);
	for (int i = 0; i < 100 && run(p->bytes, p->len) == PASS; i++)
		continue;
	why = same(p);
	assert_int_equal(why.reason, PST_GUARD_RATE);
	assert_true(why.share[0].cost[which]);
	assert_true(why.share[0].until[which] > why.now_ns + why.share[0].rates.ahead_us[which] * 1000ull);
	for (int i = 0; i < PST_LIMITS; i++)
		assert_true(i == (int)which || !why.share[0].cost[i]);
}

static void limits(void **state)
{
	(void)state;
	all_off();
	control->flags = PST_GUARD_LIMITS;
	for (int n = 0; n < PST_LIMITS * 4; n++) {
		struct flow f = {n & 1, n & 2, 6, 100 + (uint32_t)n, 5000, 80};
		enum pst_limit which = (enum pst_limit)(n / 4);
		struct packet p;

		memset(regions[0].now, 0, regions[0].bytes);
		memset(&control->limits, 0, sizeof(control->limits));
		control->limits.cost_ns[which] = 1000000000;
		control->limits.ahead_us[which] = 10000000;
		flow_packet(&p, &f, &(struct segment){.flags = SYN, .bytes = 1200});
		check_limit(&p, which);
	}
	/* no place free: not limited, and a trial takes none */
	memset(regions[0].now, 0xff, regions[0].bytes);
	for (int ip6 = 0; ip6 < 2; ip6++) {
		struct flow f = {ip6, false, 17, 7, 1000, 53};
		struct packet p;

		flow_packet(&p, &f, &(struct segment){0});
		assert_int_equal(same(&p).share[0].source, PST_GUARD_SOURCE_FULL);
	}
	memset(regions[0].now, 0, regions[0].bytes);
	all_off();
}

/* Of its protocol, beside that of all: a share of its own. */
static void limits_of_a_protocol(void **state)
{
	struct pst_guard_why why;
	struct packet p;

	(void)state;
	all_off();
	memset(regions[0].now, 0, regions[0].bytes);
	memset(&control->limits, 0, sizeof(control->limits));
	control->by_protocol[PST_SIG_UDP].cost_ns[PST_LIMIT_PACKETS] = 1000000000;
	control->by_protocol[PST_SIG_UDP].ahead_us[PST_LIMIT_PACKETS] = 10000000;
	for (int n = 0; n < 8; n++) {
		struct flow f = {n & 1, n & 2, 17, 200 + (uint32_t)n, 5000, 80};

		control->flags = PST_GUARD_BY_PROTOCOL | (n & 4 ? PST_GUARD_LIMITS : 0);
		memset(regions[0].now, 0, regions[0].bytes);
		flow_packet(&p, &f, &(struct segment){0});
		assert_int_equal(same(&p).share[1].source, PST_GUARD_SOURCE_NEW);
		why = same(&p);
		assert_int_equal(why.share[1].source, PST_GUARD_SOURCE_KNOWN);
		assert_int_equal(why.share[0].source, n & 4 ? PST_GUARD_SOURCE_KNOWN : PST_GUARD_SOURCE_NONE);
		assert_true(why.share[1].until[PST_LIMIT_PACKETS] > why.now_ns);
		for (int i = 0; i < 100 && run(p.bytes, p.len) == PASS; i++)
			continue;
		why = same(&p);
		assert_int_equal(why.reason, PST_GUARD_RATE);
		assert_int_equal(why.share[0].source, PST_GUARD_SOURCE_NONE); /* not asked any more */
		f.protocol = 6;
		flow_packet(&p, &f, &(struct segment){.flags = ACK});
		why = same(&p);
		assert_int_equal(why.reason, PST_GUARD_PASSED);
		assert_int_equal(why.share[1].source, PST_GUARD_SOURCE_NONE);
	}
	memset(control->by_protocol, 0, sizeof(control->by_protocol));
	memset(regions[0].now, 0, regions[0].bytes);
	all_off();
}

/* ---- connections ---- */

struct step {
	struct segment s;
	int state;      /* of one that comes in */
	unsigned found; /* bit 0: in `ct`, bit 1: in `ct_new` */
};

static void walk(const struct flow *f, const struct step *steps, size_t n)
{
	forget();
	for (size_t i = 0; i < n; i++) {
		struct pst_guard_why why;
		struct packet p;

		flow_packet(&p, f, &steps[i].s);
		if (steps[i].s.out) {
			send_out(&p);
			continue;
		}
		why = same(&p);
		if (why.ct_state != (unsigned)steps[i].state || why.ct_found != steps[i].found)
			fail_msg("step %zu: state %u, found %u", i, why.ct_state, why.ct_found);
		for (int t = 0; t < 2; t++)
			if (why.ct_found >> t & 1)
				assert_true(is_entry(&why.ct[t]));
	}
}

static void connections(void **state)
{
	static const struct step tcp[] = {
		{{false, ACK, 1, 1, 0, 0}, PST_CT_INVALID, 0},
		{{false, SYN, 1000, 0, 0, 0}, PST_CT_NEW, 0},
		{{false, SYN, 1000, 0, 0, 0}, PST_CT_NEW, 2},
		{{true, SYN | ACK, 5000, 1001, 0, 0}, 0, 0},
		{{false, ACK, 1001, 7777, 0, 0}, PST_CT_INVALID, 2},
		{{false, ACK, 1001, 5001, 0, 0}, PST_CT_ESTABLISHED, 2},
		{{false, ACK, 1001, 5001, 100, 0}, PST_CT_ESTABLISHED, 1},
		{{true, ACK | FIN, 5001, 1101, 0, 0}, 0, 0},
		{{false, ACK | FIN, 1101, 5002, 0, 0}, PST_CT_ESTABLISHED, 1},
	};
	static const struct step reset[] = {
		{{false, SYN, 1000, 0, 0, 0}, PST_CT_NEW, 0},
		{{false, RST, 1001, 0, 0, 0}, PST_CT_NEW, 2},
	};
	static const struct step udp[] = {
		{{0}, PST_CT_NEW, 0},
		{{.out = true}, 0, 0},
		{{0}, PST_CT_ESTABLISHED, 2},
		{{0}, PST_CT_ESTABLISHED, 1},
	};

	(void)state;
	all_off();
	control->flags = PST_GUARD_CT;
	for (int drops = 0; drops < 2; drops++) {
		generation = PST_MAX(generation, control->fw_generation);
		control->fw_generation = generation;
		force_states(drops ? 1u << PST_CT_INVALID : 0);
		for (int n = 0; n < 4; n++) {
			struct flow t = {n & 1, n & 2, 6, 10 + (uint32_t)n, 5000, 80};
			struct flow u = {n & 1, n & 2, 17, 20 + (uint32_t)n, 5000, 53};

			walk(&t, tcp, PST_ARRAY_SIZE(tcp));
			walk(&t, reset, PST_ARRAY_SIZE(reset));
			walk(&u, udp, PST_ARRAY_SIZE(udp));
		}
	}
	forget();
	all_off();
}

/* ---- rules ---- */

/* One that only counts, one that drops by port, one that accepts; then the policy. */
static void rules(void **state)
{
	struct fw_rule r[3] = {
		{.id = 501, .action = PST_FW_NEXT, .counter = 30},
		{.id = 502,
			.action = PST_FW_DROP,
			.counter = 31,
			.has = FW_HAS_STATE,
			.state = 1 << PST_CT_INVALID},
		{.id = 503,
			.action = PST_FW_ACCEPT,
			.counter = 32,
			.has = FW_HAS_STATE,
			.state = 1 << PST_CT_NEW},
	};
	static const uint8_t flags[] = {SYN | FIN, SYN};

	(void)state;
	all_off();
	control->flags = PST_GUARD_CT;
	for (int counting = 0; counting < 2; counting++) {
		struct fw_ruleset set = {
			.rules = r + !counting, .n = 2u + (unsigned)counting, .policy = PST_FW_DROP};

		force_next(&set);
		for (int n = 0; n < 8; n++) {
			struct flow f = {n & 1, n & 2, 6, 30 + (uint32_t)n, 5000, 80};
			bool accept = n & 4;
			struct pst_guard_why why;
			struct packet p;

			forget();
			flow_packet(&p, &f, &(struct segment){.flags = flags[accept]});
			for (int again = 0; again < 2; again++) {
				why = same(&p);
				assert_int_equal(
					why.reason, accept ? PST_GUARD_FW_ACCEPT : PST_GUARD_FW_DROP);
				assert_int_equal(why.rule, counting + accept);
				assert_int_equal(why.entry.id, 502 + accept);
				assert_int_equal(why.entry.counter, 31 + accept);
				assert_int_equal(why.n_passed, counting);
				assert_int_equal(why.passed[0], counting ? 501 : 0);
				/* kept by the real packet before, where verdicts are kept */
				if (!f.ip6 && !counting && again)
					assert_int_equal(why.cached, 1);
				if (f.ip6 || counting)
					assert_int_equal(why.cached, 0);
				assert_int_equal(why.vlan, f.tagged ? PST_GUARD_WHY_TAGGED | 77 : 0);
			}
		}
	}
	all_off();
}

static void policy(void **state)
{
	struct fw_ruleset set = {.policy = PST_FW_DROP};
	struct packet p;

	(void)state;
	all_off();
	for (int round = 0; round < 2; round++) {
		struct pst_guard_why why;

		set.policy = round ? PST_FW_ACCEPT : PST_FW_DROP;
		force_next(&set);
		make_tcp4(&p);
		why = same(&p);
		assert_int_equal(why.reason, round ? PST_GUARD_FW_POLICY : PST_GUARD_FW_NO_MATCH);
		assert_int_equal(why.rule, 0xffffffffu);
	}
	all_off();
}

/* The rules see the interface that the trial names, and not the one of the test run. */
static void by_interface(void **state)
{
	uint32_t seventh = 7;
	struct fw_rule r = {.has = FW_HAS_IFACE, .n_ifaces = 1, .ifaces = &seventh, .action = PST_FW_DROP};
	struct fw_ruleset set = {.rules = &r, .n = 1, .policy = PST_FW_ACCEPT};
	const uint32_t zero = 0;
	struct pst_guard_why why, off;
	struct packet p;

	(void)state;
	all_off();
	force_next(&set);
	make_udp6(&p);
	for (uint32_t ifindex = 6; ifindex < 9; ifindex++) {
		arm(true, &why);
		why.ifindex = ifindex;
		assert_int_equal(
			bpf_map_update_elem(bpf_map__fd(skel->maps.guard_why), &zero, &why, BPF_ANY), 0);
		assert_int_equal(run(p.bytes, p.len), ifindex == 7 ? DROP : PASS);
	}
	arm(false, &off);
	all_off();
}

/* ---- disturbed ---- */

static uint32_t trial_offset(void)
{
	const struct btf *btf = bpf_object__btf(skel->obj);
	int id = btf__find_by_name_kind(btf, "guard_packet", BTF_KIND_STRUCT);
	const struct btf_type *t = id > 0 ? btf__type_by_id(btf, (uint32_t)id) : NULL;

	assert_non_null(t);
	for (unsigned i = 0; i < btf_vlen(t); i++)
		if (!strcmp(btf__name_by_offset(btf, btf_members(t)[i].name_off), "trial"))
			return btf_members(t)[i].offset / 8;
	fail();
	return 0;
}

/* ---- floods ---- */

#define DRY(event) (1u << ((event)-PST_GUARD_DRY_BLOCKED))

static void bad_flags(void **state)
{
	struct pst_guard_why why;
	struct packet p;

	(void)state;
	all_off();
	control->bad_flags = 1ull << (SYN | FIN);
	for (int n = 0; n < 4; n++) {
		struct flow f = {n & 1, n & 2, 6, 1, 1000, 80};

		control->flags = 0;
		flow_packet(&p, &f, &(struct segment){.flags = SYN | FIN});
		why = same(&p);
		assert_int_equal(why.reason, PST_GUARD_BAD_FLAGS);
		assert_true(why.bad_flags == control->bad_flags);
		assert_int_equal(why.dry, 0);
		control->flags = PST_GUARD_DRY_FLAGS;
		why = same(&p);
		assert_int_equal(why.reason, PST_GUARD_PASSED);
		assert_int_equal(why.dry, DRY(PST_GUARD_DRY_BAD_FLAGS));
		flow_packet(&p, &f, &(struct segment){.flags = SYN});
		assert_int_equal(same(&p).dry, 0);
	}
	all_off();
}

/* One of UDP from port 53, which counts in place 9. */
static struct pst_sig *one_signature(void)
{
	struct pst_sigs *half = (struct pst_sigs *)regions[7].now + 1;

	memset(half, 0, sizeof(*half));
	half->protocol[PST_SIG_UDP] = half->sport[53] = 1;
	for (int i = 0; i < PST_SIG_PORTS; i++)
		half->dport[i] = 1;
	half->sig[0] = (struct pst_sig){
		.sport = {53, 53}, .dport = {0, 65535}, .len = {0, 65535}, .protocol = 17, .counter = 9};
	return &half->sig[0];
}

static void signatures(void **state)
{
	struct pst_sig *sig = one_signature();
	struct pst_guard_why why;
	struct packet p;

	(void)state;
	all_off();
	control->sig_generation = 3;
	for (int n = 0; n < 4; n++) {
		struct flow f = {n & 1, n & 2, 17, 1, 53, 1000};

		sig->flags = PST_SIG_DROP;
		flow_packet(&p, &f, &(struct segment){.bytes = 10});
		why = same(&p);
		assert_int_equal(why.reason, PST_GUARD_SIGNATURE);
		assert_int_equal(why.sig, 9);
		assert_int_equal(why.sig_generation, 3);
		sig->flags = 0;
		why = same(&p);
		assert_int_equal(why.reason, PST_GUARD_PASSED);
		assert_int_equal(why.dry, DRY(PST_GUARD_DRY_SIGNATURE));
		assert_int_equal(why.sig, 9);
		f.pport = 54;
		flow_packet(&p, &f, &(struct segment){.bytes = 10});
		why = same(&p);
		assert_int_equal(why.sig, PST_SIGS);
		assert_int_equal(why.dry, 0);
	}
	all_off();
}

/* What is dropped in a trial counts against nobody; who is blocked is told with his word. */
static void offenders(void **state)
{
	struct pst_guard_why why;
	struct packet p;

	(void)state;
	all_off();
	control->bad_flags = 1ull << (SYN | FIN);
	control->limits.offend_cost = control->limits.offend_ahead = 1000000;
	control->limits.offend_for = 1000000;
	for (int n = 0; n < 4; n++) {
		struct flow f = {n & 1, n & 2, 6, 1, 1000, 80};

		memset(regions[8].now, 0, regions[8].bytes);
		control->flags = PST_GUARD_OFFENDERS | PST_GUARD_FORGEABLE;
		flow_packet(&p, &f, &(struct segment){.flags = SYN | FIN});
		why = same(&p);
		assert_int_equal(why.reason, PST_GUARD_BAD_FLAGS);
		assert_int_equal(why.offender, 0);
		flow_packet(&p, &f, &(struct segment){.flags = SYN});
		why = same(&p);
		assert_int_equal(why.reason, PST_GUARD_OFFENDER);
		assert_true(why.offender & PST_OFFENDER_BLOCKED);
		assert_int_equal(why.offender >> PST_OFFENDER_CAUSE_SHIFT & 7, PST_OFFENCE_FLAGS);
		assert_true((why.offender & PST_OFFENDER_TIME) > why.now_ns >> PST_OFFENDER_UNIT);
		control->flags |= PST_GUARD_DRY_OFFENDERS;
		why = same(&p);
		assert_int_equal(why.reason, PST_GUARD_PASSED);
		assert_int_equal(why.dry, DRY(PST_GUARD_DRY_OFFENDER));
		assert_true(why.offender & PST_OFFENDER_BLOCKED);
	}
	memset(regions[8].now, 0, regions[8].bytes);
	memset(&control->limits, 0, sizeof(control->limits));
	all_off();
}

/* Twice below the rate, since a trial takes nothing of it; then above it. */
static void too_many_syns(void **state)
{
	struct flow f = {.protocol = 6, .peer = 1, .pport = 1000, .hport = 80};
	struct segment syn = {.flags = SYN};
	struct pst_guard_why why;
	struct packet p;

	(void)state;
	all_off();
	memset(regions[6].now, 0, regions[6].bytes);
	control->limits.syn_cost_ns = 3000000000;
	control->limits.syn_ahead_us = 1000;
	control->flags = PST_GUARD_SYN | PST_GUARD_CT;
	force_states(0);
	flow_packet(&p, &f, &syn);
	for (int i = 0; i < 3; i++) {
		trial(&p, &why);
		assert_int_equal(why.syn, PST_GUARD_WHY_SYN_WITHIN);
		assert_int_equal(why.reason, PST_GUARD_FW_ACCEPT);
		assert_int_equal(why.ct_then, PST_GUARD_WHY_BEGINS);
	}
	assert_int_equal(run(p.bytes, p.len), PASS);
	why = same(&p);
	assert_int_equal(why.syn, PST_GUARD_WHY_SYN_OVER);
	assert_int_equal(why.reason, PST_GUARD_SYN_LIMIT);
	assert_true(why.verdict >> 16 != 0xffff); /* a rule let it through */
	flow_packet(&p, &f, &(struct segment){.flags = ACK});
	assert_int_equal(same(&p).syn, PST_GUARD_WHY_SYN_NONE);
	memset(&control->limits, 0, sizeof(control->limits));
	all_off();
}

/* As if a trial was under way on each CPU. */
static void real_within_trial(void **state)
{
	int fd = bpf_map__fd(skel->maps.guard_scratch);
	size_t size = (bpf_map__value_size(skel->maps.guard_scratch) + 7) / 8 * 8;
	PST_FREE char *scratch = calloc((size_t)cpus, size);
	uint32_t at = trial_offset(), marks = 0;
	const uint32_t zero = 0, one = 1;
	struct packet p;

	(void)state;
	assert_non_null(scratch);
	all_off();
	make_tcp4(&p);
	for (int way = 0; way < 2; way++) {
		for (int c = 0; c < cpus; c++)
			memcpy(scratch + (size_t)c * size + at, &one, sizeof(one));
		assert_int_equal(bpf_map_update_elem(fd, &zero, scratch, BPF_ANY), 0);
		if (way) {
			control->flags = PST_GUARD_CT;
			send_out(&p);
			assert_int_equal(entries(1), 1);
		} else {
			expect(p.bytes, p.len, PASS, PST_GUARD_OFF); /* leaves the scratch alone */
			control->bad_flags = 1;
			expect(p.bytes, p.len, PASS, PST_GUARD_PASSED); /* counted, though */
			control->bad_flags = 0;
		}
		assert_int_equal(bpf_map_lookup_elem(fd, &zero, scratch), 0);
		marks = 0;
		for (int c = 0; c < cpus; c++) {
			uint32_t mark;

			memcpy(&mark, scratch + (size_t)c * size + at, sizeof(mark));
			marks += mark == 3; /* void, and still changes nothing */
			assert_true(mark == 1 || mark == 3);
		}
		assert_in_range(marks, 1, cpus);
		forget();
	}
	memset(scratch, 0, (size_t)cpus * size);
	assert_int_equal(bpf_map_update_elem(fd, &zero, scratch, BPF_ANY), 0);
	all_off();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_kind_of_packet),
		cmocka_unit_test(every_kind_of_tunnel),
		cmocka_unit_test(nothing_on),
		cmocka_unit_test(lists),
		cmocka_unit_test(limits),
		cmocka_unit_test(limits_of_a_protocol),
		cmocka_unit_test(connections),
		cmocka_unit_test(rules),
		cmocka_unit_test(policy),
		cmocka_unit_test(by_interface),
		cmocka_unit_test(bad_flags),
		cmocka_unit_test(signatures),
		cmocka_unit_test(offenders),
		cmocka_unit_test(too_many_syns),
		cmocka_unit_test(real_within_trial),
	};
	int failed;

	cmocka_set_message_output(CM_OUTPUT_TAP);
	guard_loads = LOAD_XDP | LOAD_EGRESS;
	failed = cmocka_run_group_tests_name("trials at XDP", tests, why_setup, why_teardown);
	at_tc = true;
	guard_loads = LOAD_TC | LOAD_EGRESS;
	return failed + cmocka_run_group_tests_name("trials at tc", tests, why_setup, why_teardown);
}
