// SPDX-License-Identifier: Apache-2.0
/*
 * bench_guard [ROUNDS]: what a packet costs in the guard, by BPF_PROG_TEST_RUN, as JSON lines. The programs
 * run in turn on one CPU: the feeder with nothing but a drop behind it, with the parser and a drop, with the
 * guard switched off, with the firewall and its cache of verdicts, and with the firewall without it (every
 * packet is searched for). Then the steps against floods alone, and the whole chain for connections that are
 * open: both lists, limits, tracking, rules; of these lists and limits alone too.
 */
#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include "bpf/guard.skel.h"
#include "policyd/block/block.h"
#include "policyd/block/set.h"
#include "policyd/ddos/sigs.h"
#include "policyd/fw/fw.h"
#include "proto/base/cleanup.h"
#include "tests/bench/bench_guard.skel.h"
#include "tests/unit/policyd/fw_rules.h"

#define LINES       (1u << 18) /* of a half */
#define CACHE_SETS  (1u << 17)
#define BLOCK_LINES 65536u
#define REPEAT      200000
#define FLOWS       100000
#define STRANGERS   (1u << 20)
#define CT_BUCKETS  (1u << 17)
#define ROUNDS_MAX  15

struct flow {
	uint32_t saddr, daddr;
	uint16_t sport, dport;
	uint32_t pad;
};

/* One instance of the guard; the one without a cache has it for a CPU that we are not on. */
struct instance {
	struct guard_bpf *skel;
	union pst_line *lines, *block;
	struct pst_guard *control;
	struct pst_guard_limits *limits;
};

static struct instance cached, plain, chain;
static struct bench_guard_bpf *bench;
static struct flow *flows;

static void *map_memory(int fd, size_t size)
{
	void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	return p == MAP_FAILED ? NULL : p;
}

static int open_instance(struct instance *g, uint32_t cpus)
{
	g->skel = guard_bpf__open();
	if (!g->skel)
		return -1;
	g->skel->rodata->cfg_fw_mask = LINES - 1;
	g->skel->rodata->cfg_fwcache_mask = CACHE_SETS - 1;
	bpf_map__set_value_size(g->skel->maps.fw_cache, CACHE_SETS * 64);
	bpf_map__set_max_entries(g->skel->maps.fw_cache, cpus);
	bpf_map__set_value_size(g->skel->maps.fw_lines, LINES * sizeof(*g->lines));
	g->skel->rodata->cfg_ct_mask = g->skel->rodata->cfg_ct_new_mask = CT_BUCKETS - 1;
	bpf_map__set_max_entries(g->skel->maps.ct, CT_BUCKETS);
	bpf_map__set_max_entries(g->skel->maps.ct_new, CT_BUCKETS);
	if (guard_bpf__load(g->skel))
		return -1;
	g->lines = map_memory(bpf_map__fd(g->skel->maps.fw_lines), (size_t)2 * LINES * sizeof(*g->lines));
	g->control = map_memory(bpf_map__fd(g->skel->maps.guard), 4096);
	g->block = map_memory(
		bpf_map__fd(g->skel->maps.block_lines), (size_t)2 * BLOCK_LINES * sizeof(*g->block));
	g->limits = &g->control->limits;
	return g->lines && g->control && g->block && g->limits ? 0 : -1;
}

static int setup(void)
{
	int cpus = libbpf_num_possible_cpus();
	cpu_set_t last;

	CPU_ZERO(&last);
	CPU_SET((size_t)cpus - 1, &last);
	if (cpus < 2 || sched_setaffinity(0, sizeof(last), &last))
		return -1;
	bench = bench_guard_bpf__open();
	if (!bench)
		return -1;
	bench->rodata->cfg_ct_new_mask = (1 << 16) - 1; /* as many entries as the kernel's table has */
	bpf_map__set_max_entries(bench->maps.ct_new, 1 << 16);
	if (bench_guard_bpf__load(bench) || open_instance(&cached, (uint32_t)cpus) ||
		open_instance(&plain, 1) || open_instance(&chain, (uint32_t)cpus))
		return -1;
	flows = map_memory(bpf_map__fd(bench->maps.bench_flows), STRANGERS * sizeof(*flows));
	return flows ? 0 : -1;
}

static uint8_t tcp_flags = 0x02;

/* TCP in IPv4, without addresses and ports; the length of an empty segment and Ethernet's padding */
static void make_packet(uint8_t packet[64], uint8_t flags)
{
	const uint8_t bytes[64] = {
		[12] = 8, [14] = 0x45, [16] = 0, [17] = 40, [22] = 64, [23] = 6, [46] = 0x50, [47] = flags};

	memcpy(packet, bytes, sizeof(bytes));
}

/* ns a packet, through the feeder and then @prog */
static double run(int prog, uint32_t n_flows)
{
	uint8_t packet[64];
	uint32_t zero = 0;
	LIBBPF_OPTS(
		bpf_test_run_opts, opts, .data_in = packet, .data_size_in = sizeof(packet), .repeat = REPEAT);

	make_packet(packet, tcp_flags);
	bench->bss->bench_at = 0;
	bench->data->bench_n = n_flows;
	if (bpf_map_update_elem(bpf_map__fd(bench->maps.bench_next), &zero, &prog, BPF_ANY) ||
		bpf_prog_test_run_opts(bpf_program__fd(bench->progs.bench_feed), &opts)) {
		perror("test run");
		exit(PST_EXIT_SYSTEM);
	}
	return opts.duration;
}

/* Flows that rules speak of: addresses and ports out of a rule each. */
static void make_flows(const struct fw_ruleset *set)
{
	for (uint32_t i = 0; i < FLOWS; i++) {
		const struct fw_rule *r = &set->rules[rule_draw() % set->n];
		struct flow f = {.saddr = (uint32_t)rule_draw(), .daddr = (uint32_t)rule_draw()};

		if (r->src.n && fw_prefix_is_ip4(r->src.v))
			memcpy(&f.saddr, r->src.v[0].addr + 12, 4);
		if (r->dst.n && fw_prefix_is_ip4(r->dst.v))
			memcpy(&f.daddr, r->dst.v[0].addr + 12, 4);
		if (rule_chance(50)) {
			f.saddr ^= (uint32_t)rule_draw() << 24;
			f.daddr ^= (uint32_t)rule_draw() << 24;
		}
		f.sport = (uint16_t)rule_draw();
		f.dport = __builtin_bswap16(r->dport.n ? r->dport.v[0].lo : (uint16_t)(rule_draw() % 1024));
		flows[i] = f;
	}
}

static int by_value(const void *a, const void *b)
{
	return *(const double *)a < *(const double *)b ? -1 : 1;
}

static double median(double *v, int n)
{
	qsort(v, (size_t)n, sizeof(*v), by_value);
	return v[n / 2];
}

static double now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

static int guard_of(const struct instance *g, uint64_t generation)
{
	g->control->fw_generation = generation;
	return bpf_program__fd(g->skel->progs.guard_xdp);
}

static void measure(size_t n_rules, uint32_t n_flows, int rounds)
{
	double drop[ROUNDS_MAX], parse[ROUNDS_MAX], off[ROUNDS_MAX], on[ROUNDS_MAX], search[ROUNDS_MAX];

	run(guard_of(&cached, 2), n_flows); /* so that the cache is full */
	for (int i = 0; i < rounds; i++) {
		drop[i] = run(bpf_program__fd(bench->progs.bench_drop), n_flows);
		parse[i] = run(bpf_program__fd(bench->progs.bench_parse), n_flows);
		off[i] = run(guard_of(&cached, 0), n_flows);
		on[i] = run(guard_of(&cached, 2), n_flows);
		search[i] = run(guard_of(&plain, 2), n_flows);
	}
	printf("{\"rules\": %zu, \"flows\": %u, \"drop\": %.1f, \"parse\": %.1f, \"off\": %.1f, \"cached\": "
	       "%.1f, "
	       "\"search\": %.1f}\n",
		n_rules, n_flows, median(drop, rounds), median(parse, rounds), median(off, rounds),
		median(on, rounds), median(search, rounds));
	fflush(stdout);
}

static int measure_rules(size_t n, int rounds)
{
	struct fw_ruleset set;
	struct fw_compiled made;
	struct pst_fw_packet p;
	double start, compiled;

	rule_state = 0x9e3779b97f4a7c15; /* the same rules each time */
	rules_random(&set, n, 0);
	start = now_ms();
	if (fw_compile(&set, cached.lines, LINES, 2, &made))
		return -1;
	compiled = now_ms();
	if (!fw_verify(&set, cached.lines, LINES, 2000, 7, &p))
		return -1;
	printf("{\"rules\": %zu, \"compile_ms\": %.1f, \"verify_ms\": %.1f, \"lines\": %u}\n", n,
		compiled - start, now_ms() - compiled, made.lines);
	memcpy(plain.lines, cached.lines, made.lines * sizeof(*plain.lines));
	make_flows(&set);
	measure(n, 1, rounds);
	measure(n, FLOWS, rounds);
	fw_ruleset_done(&set);
	return 0;
}

/* ---- the whole chain ---- */

static void put_segment(int prog, const struct flow *f, bool back, uint8_t flags, uint32_t seq, uint32_t ack)
{
	uint8_t packet[64];
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = packet, .data_size_in = sizeof(packet), .repeat = 1);

	make_packet(packet, flags);
	memcpy(packet + 26, back ? &f->daddr : &f->saddr, 4);
	memcpy(packet + 30, back ? &f->saddr : &f->daddr, 4);
	memcpy(packet + 34, back ? &f->dport : &f->sport, 2);
	memcpy(packet + 36, back ? &f->sport : &f->dport, 2);
	seq = __builtin_bswap32(seq);
	ack = __builtin_bswap32(ack);
	memcpy(packet + 38, &seq, 4);
	memcpy(packet + 42, &ack, 4);
	bpf_prog_test_run_opts(prog, &opts);
}

static void establish(void)
{
	int in = bpf_program__fd(chain.skel->progs.guard_xdp);
	int out = bpf_program__fd(chain.skel->progs.guard_tc_egress);

	for (uint32_t i = 0; i < FLOWS; i++) {
		put_segment(in, &flows[i], false, 0x02, 0xffffffff, 0);
		put_segment(out, &flows[i], true, 0x12, 0xffffffff, 0);
		put_segment(in, &flows[i], false, 0x10, 0, 0);
	}
}

static int force_lists(void)
{
	struct block_clock clock = block_clock_now();
	struct block_options options = {.seed = {rule_draw(), rule_draw() | 1, rule_draw() | 1},
		.now = (uint32_t)(clock.boot_ns / 1000000000)};
	struct block_entry entry;
	struct block_set set = {0};
	struct block_built built;
	uint32_t needed;
	int r = 0;

	for (unsigned i = 0; i < 100000 && !r; i++) {
		char text[32];

		snprintf(text, sizeof(text), i % 1000 ? "172.%u.%u.%u" : "192.%u.%u.0/24", 16 + (i >> 16),
			i >> 8 & 255, i & 255);
		r = block_entry_parse(text, strlen(text), &entry);
		if (!r)
			r = block_list_add(i % 1000 ? &set.block : &set.allow, &entry);
	}
	if (!r)
		r = block_build(&set, chain.block, BLOCK_LINES, &options, &built, &needed);
	block_set_done(&set);
	return r;
}

/* Rules of which the first accepts what is established; while connections are made, none at all. */
static int force_chain(size_t n)
{
	struct fw_ruleset set, none = {0};
	struct fw_compiled made;
	int r;

	rule_state = 0x9e3779b97f4a7c15;
	rules_random(&set, n, 0);
	fw_rule_done(&set.rules[0]);
	set.rules[0] = (struct fw_rule){.has = FW_HAS_STATE, .state = 1 << PST_CT_ESTABLISHED};
	make_flows(&set);
	r = fw_compile(&set, chain.lines, LINES, 2, &made);
	if (!r)
		r = fw_compile(&none, chain.lines + LINES, LINES, 3, &made);
	fw_ruleset_done(&set);
	return r ? r : force_lists();
}

/* Limits that nobody reaches: half of what one packet after the other takes. */
static void wide_limits(void)
{
	*chain.limits =
		(struct pst_guard_limits){.cost_ns = {40, 40, 40}, .ahead_us = {1000000, 1000000, 1000000}};
}

static void measure_chain(size_t n_rules, uint32_t n_flows, int rounds)
{
	double parse[ROUNDS_MAX], all[ROUNDS_MAX], limitless[ROUNDS_MAX], track[ROUNDS_MAX];
	double lists[ROUNDS_MAX], limits[ROUNDS_MAX];
	int prog = bpf_program__fd(chain.skel->progs.guard_xdp);

	tcp_flags = 0x10;
	for (int i = 0; i < rounds; i++) {
		parse[i] = run(bpf_program__fd(bench->progs.bench_parse), n_flows);
		chain.control->fw_generation = 2;
		chain.control->block_generation = 2;
		chain.control->flags = PST_GUARD_CT | PST_GUARD_LIMITS;
		run(prog, n_flows);
		all[i] = run(prog, n_flows);
		chain.control->flags = PST_GUARD_CT;
		limitless[i] = run(prog, n_flows);
		chain.control->block_generation = 0;
		track[i] = run(prog, n_flows);
		chain.control->fw_generation = 0;
		chain.control->flags = PST_GUARD_LIMITS;
		limits[i] = run(prog, n_flows);
		chain.control->flags = 0;
		chain.control->block_generation = 2;
		lists[i] = run(prog, n_flows);
	}
	printf("{\"rules\": %zu, \"open\": %u, \"parse\": %.1f, \"chain\": %.1f, \"without_limits\": %.1f, "
	       "\"tracking\": %.1f, \"lists\": %.1f, \"limits\": %.1f}\n",
		n_rules, n_flows, median(parse, rounds), median(all, rounds), median(limitless, rounds),
		median(track, rounds), median(lists, rounds), median(limits, rounds));
}

/* One table of connections beside the other: known ones, and strangers who only begin. */
static void measure_tables(uint32_t n_flows, int rounds)
{
	double parse[ROUNDS_MAX], own[ROUNDS_MAX], lru[ROUNDS_MAX];

	for (uint32_t i = FLOWS; i < n_flows; i++)
		flows[i] = (struct flow){
			.saddr = (uint32_t)rule_draw(), .daddr = 1, .sport = (uint16_t)rule_draw()};
	for (int i = 0; i < rounds; i++) {
		parse[i] = run(bpf_program__fd(bench->progs.bench_parse), n_flows);
		own[i] = run(bpf_program__fd(bench->progs.bench_conn_own), n_flows);
		lru[i] = run(bpf_program__fd(bench->progs.bench_conn_lru), n_flows);
	}
	printf("{\"connections\": %u, \"parse\": %.1f, \"own\": %.1f, \"lru\": %.1f}\n", n_flows,
		median(parse, rounds), median(own, rounds), median(lru, rounds));
}

/* Sources on the block list, one or many in turn, with everything switched on. */
static void measure_blocked(uint32_t n_flows, int rounds)
{
	double drop[ROUNDS_MAX], blocked[ROUNDS_MAX];
	int prog = guard_of(&chain, 2);

	for (uint32_t i = 0; i < n_flows; i++)
		flows[i] = (struct flow){.saddr = htonl(0xac100000 + 1 + i % 999), .daddr = 1};
	chain.control->block_generation = 2;
	chain.control->flags = PST_GUARD_CT | PST_GUARD_LIMITS;
	for (int i = 0; i < rounds; i++) {
		drop[i] = run(bpf_program__fd(bench->progs.bench_drop), n_flows);
		blocked[i] = run(prog, n_flows);
	}
	printf("{\"listed\": %u, \"drop\": %.1f, \"blocked\": %.1f}\n", n_flows, median(drop, rounds),
		median(blocked, rounds));
}

static int measure_tracking(int rounds)
{
	int r = force_chain(1000);

	if (r)
		return r;
	wide_limits();
	chain.control->fw_generation = 3;
	chain.control->flags = PST_GUARD_CT;
	establish();
	measure_chain(1000, 1, rounds);
	measure_chain(1000, FLOWS, rounds);
	measure_tables(1, rounds);
	measure_tables(FLOWS, rounds);
	measure_tables(STRANGERS, rounds);
	measure_blocked(1, rounds);
	measure_blocked(999, rounds);
	return 0;
}

/* Of 64 signatures none may match by its ports, or each may and none does. */
static void put_signatures(struct pst_sigs *table, bool with_port)
{
	static struct sig_set set;

	set.n = PST_SIGS;
	for (size_t i = 0; i < PST_SIGS; i++) {
		set.v[i] = (struct sig){.drop = true, .protocol = 6, .len = {1, UINT16_MAX}};
		set.v[i].sport = (struct sig_ports){.v = {{7, 7}}, .n = with_port};
	}
	if (sigs_build(&set, table))
		abort();
}

static void measure_floods(int rounds)
{
	double parse[ROUNDS_MAX], flags[ROUNDS_MAX], none[ROUNDS_MAX], all[ROUNDS_MAX];
	struct pst_sigs *sigs = map_memory(bpf_map__fd(cached.skel->maps.guard_sigs), 2 * sizeof(*sigs));
	int prog = guard_of(&cached, 0);

	if (!sigs)
		exit(PST_EXIT_SYSTEM);
	put_signatures(&sigs[0], true);
	put_signatures(&sigs[1], false);
	flows[0] = (struct flow){.saddr = 1, .daddr = 2, .sport = 0x5000, .dport = 0x5000};
	for (int i = 0; i < rounds; i++) {
		parse[i] = run(bpf_program__fd(bench->progs.bench_parse), 1);
		cached.control->bad_flags = 1;
		flags[i] = run(prog, 1);
		cached.control->bad_flags = 0;
		cached.control->sig_generation = 2;
		none[i] = run(prog, 1);
		cached.control->sig_generation = 3;
		all[i] = run(prog, 1);
		cached.control->sig_generation = 0;
	}
	printf("{\"signatures\": %d, \"parse\": %.1f, \"flags\": %.1f, \"none_fits\": %.1f, \"all_fit\": "
	       "%.1f}\n",
		PST_SIGS, median(parse, rounds), median(flags, rounds), median(none, rounds),
		median(all, rounds));
	fflush(stdout);
	munmap(sigs, 2 * sizeof(*sigs));
}

int main(int argc, char **argv)
{
	static const size_t sizes[] = {1, 100, 1000, 10000};
	int rounds = argc > 1 ? atoi(argv[1]) : 5, r = 0;

	if (rounds < 1 || rounds > ROUNDS_MAX || setup()) {
		fprintf(stderr, "usage: bench_guard [ROUNDS up to %d], as root, on two CPUs or more\n",
			ROUNDS_MAX);
		return PST_EXIT_SYSTEM;
	}
	measure_floods(rounds);
	for (size_t k = 0; k < PST_ARRAY_SIZE(sizes) && !r; k++)
		r = measure_rules(sizes[k], rounds);
	if (!r)
		r = measure_tracking(rounds);
	bench_guard_bpf__destroy(bench);
	guard_bpf__destroy(cached.skel);
	guard_bpf__destroy(plain.skel);
	guard_bpf__destroy(chain.skel);
	return r ? PST_EXIT_SYSTEM : PST_EXIT_OK;
}
