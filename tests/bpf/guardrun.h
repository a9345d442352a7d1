/* SPDX-License-Identifier: Apache-2.0 */
/* The guard's programs by BPF_PROG_TEST_RUN: loaded, their tables mapped, one packet put through, counters
 * read. */
#ifndef TESTS_BPF_GUARDRUN_H
#define TESTS_BPF_GUARDRUN_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#include "bpf/guard.skel.h"
#include "policyd/block/block.h"
#include "tests/bpf/packets.h"
#include "proto/base/cleanup.h"
#include "tests/unit/policyd/fw_rules.h"

#define LINES       65536u
#define DROP        1
#define PASS        2
#define TC_SHOT     2u
#define TC_UNSPEC   0xffffffffu
#define TC_REDIRECT 7u

static struct guard_bpf *skel;
static bool at_tc; /* the program there, else that at XDP */
/* What a group of tests runs: in a guest, having one verified takes longer than most tests. */
enum { LOAD_XDP = 1, LOAD_TC = 2, LOAD_EGRESS = 4 };
static unsigned guard_loads = LOAD_XDP | LOAD_TC | LOAD_EGRESS;
static union pst_line *halves[2], *block_halves[2];
static struct pst_guard *control;
static const struct pst_guard_counts *counts; /* one a CPU */
static int cpus;

/* A test's own sizes and constants, before the programs are loaded. */
static void (*guard_prepare)(struct guard_bpf *skel);

static void *guard_map(const struct bpf_map *map, size_t size)
{
	void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, bpf_map__fd(map), 0);

	return p == MAP_FAILED ? NULL : p;
}

static inline int setup(void **state)
{
	union pst_line *lines, *block;

	(void)state;
	skel = guard_bpf__open();
	cpus = libbpf_num_possible_cpus();
	if (!skel || cpus < 1 || bpf_map__set_max_entries(skel->maps.guard_counts, (uint32_t)cpus) ||
		bpf_map__set_max_entries(skel->maps.fw_cache, (uint32_t)cpus))
		return -1;
	if (guard_prepare)
		guard_prepare(skel);
	bpf_program__set_autoload(skel->progs.guard_xdp, guard_loads & LOAD_XDP);
	bpf_program__set_autoload(skel->progs.guard_tc, guard_loads & LOAD_TC);
	bpf_program__set_autoload(skel->progs.guard_tc_egress, guard_loads & LOAD_EGRESS);
	if (guard_bpf__load(skel))
		return -1;
	counts = guard_map(skel->maps.guard_counts, (size_t)cpus * sizeof(*counts));
	lines = guard_map(skel->maps.fw_lines, (size_t)2 * LINES * sizeof(union pst_line));
	control = guard_map(skel->maps.guard, sizeof(*control));
	block = guard_map(skel->maps.block_lines, (size_t)2 * LINES * sizeof(union pst_line));
	if (!lines || !block || !control || !counts)
		return -1;
	for (int i = 0; i < 2; i++) {
		halves[i] = lines + (size_t)i * LINES;
		block_halves[i] = block + (size_t)i * LINES;
	}
	return 0;
}

static inline int teardown(void **state)
{
	(void)state;
	guard_bpf__destroy(skel);
	return 0;
}

/* ---- what the tests ask ---- */

static inline uint32_t run_prog(const struct bpf_program *prog, const void *bytes, size_t len)
{
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = bytes, .data_size_in = (uint32_t)len, .repeat = 1);

	assert_int_equal(bpf_prog_test_run_opts(bpf_program__fd(prog), &opts), 0);
	return opts.retval;
}

static inline int run(const void *bytes, size_t len)
{
	uint32_t verdict = run_prog(at_tc ? skel->progs.guard_tc : skel->progs.guard_xdp, bytes, len);

	if (!at_tc)
		return (int)verdict;
	assert_true(verdict == TC_SHOT || verdict == TC_UNSPEC || verdict == TC_REDIRECT);
	return verdict == TC_UNSPEC ? PASS : DROP; /* what is rejected goes back as an answer */
}

static inline void add(struct pst_guard_count *all, const volatile struct pst_guard_count *c)
{
	all->packets += c->packets;
	all->bytes += c->bytes;
}

static inline struct pst_guard_count reason(enum pst_guard_reason r)
{
	struct pst_guard_count all = {0};

	for (int c = 0; c < cpus; c++)
		add(&all, &counts[c].reason[r]);
	return all;
}

static inline struct pst_guard_count counter(uint32_t i)
{
	struct pst_guard_count all = {0};

	for (int c = 0; c < cpus; c++)
		add(&all, &counts[c].rule[i]);
	return all;
}

/* PST_GUARD_CELL, of all interfaces. */
static inline struct pst_guard_count cell(uint32_t i)
{
	struct pst_guard_count all = {0};

	for (int c = 0; c < cpus; c++)
		for (uint32_t place = 0; place < PST_GUARD_COUNTED_PLACES; place++)
			add(&all, &counts[c].iface[place * PST_GUARD_CELLS + i]);
	return all;
}

static inline void force(const struct fw_ruleset *set)
{
	uint64_t generation = control->fw_generation + 1;
	struct fw_compiled made;

	if (generation < 2)
		generation = 2;
	assert_int_equal(fw_compile(set, halves[generation & 1], LINES, (uint32_t)generation, &made), 0);
	*(volatile uint64_t *)&control->fw_generation = generation;
}

/* One packet: what becomes of it, and that this alone was counted. */
static inline void expect(const void *bytes, size_t len, int action, enum pst_guard_reason why)
{
	struct pst_guard_count before = reason(why), after;

	assert_int_equal(run(bytes, len), action);
	after = reason(why);
	assert_int_equal(after.packets, before.packets + 1);
	assert_int_equal(after.bytes, before.bytes + len);
}

static inline void read_list(struct block_set *set, struct block_list *list, const char *text)
{
	struct block_clock clock = block_clock_now();
	struct pst_conf_errors errors = {0};
	struct block_loaded loaded = {0};

	assert_int_equal(
		block_parse("t", text, strlen(text), &clock, &set->reasons, list, &errors, &loaded), 0);
	assert_int_equal(loaded.bad, 0);
	pst_conf_errors_done(&errors);
}

/* Puts lists in force, in the half that is not. */
static inline void force_lists(const char *allow, const char *block)
{
	uint64_t generation = control->block_generation < 2 ? 2 : control->block_generation + 1;
	struct block_options options = {.seed = {rule_draw(), rule_draw() | 1, rule_draw() | 1},
		.now = (uint32_t)(block_clock_now().boot_ns / 1000000000)};
	struct block_set set = {0};
	struct block_built built;
	uint32_t needed;

	read_list(&set, &set.allow, allow);
	read_list(&set, &set.block, block);
	assert_int_equal(
		block_build(&set, block_halves[generation & 1], LINES, &options, &built, &needed), 0);
	*(volatile uint64_t *)&control->block_generation = generation;
	block_set_done(&set);
}

#endif
