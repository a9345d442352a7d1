// SPDX-License-Identifier: Apache-2.0
/*
 * Policies as tables: what it takes to put 10, 100 and 1,000 policies of ten rules each into tables and to
 * compare these with the plain evaluation, and one look-up: in a kernel program, in user space, and by the
 * plain evaluation. A figure a line: NAME VALUE UNIT.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "proto/abi/lookup/policy.h"
#include "policyd/policy/tables.h"
#include "proto/base/cleanup.h"
#include "proto/base/loop.h"
#include "tests/bench/policies.h"
#include "tests/bpf/policy.skel.h"

#define ACTS   512
#define ROUNDS 200
#define CHECKS 20000 /* acts of the comparison: or as many as it does */

#define HALF_BYTES  ((size_t)PST_POL_LINES * sizeof(union pst_line))
#define KERNEL_ACTS 32
#define REPEAT      20000

static struct policy_bpf *skel;
static void *scratches; /* one a CPU */
static struct policy_room room = {.n_lines = PST_POL_LINES, .n_paths = PST_PATHS_LINES};

static double run(const struct bpf_program *prog)
{
	static const uint8_t packet[64];
	LIBBPF_OPTS(
		bpf_test_run_opts, opts, .data_in = packet, .data_size_in = sizeof(packet), .repeat = REPEAT);

	if (bpf_prog_test_run_opts(bpf_program__fd(prog), &opts))
		die("test run");
	return opts.duration;
}

/* One act over and over, so caches are warm; net of an empty program. */
static double in_kernel(const struct pst_act *act)
{
	size_t bytes = bpf_map__value_size(skel->maps.policy_scratch);
	const uint32_t zero = 0;

	for (int cpu = 0; cpu < libbpf_num_possible_cpus(); cpu++)
		memcpy((char *)scratches + (size_t)cpu * bytes, act, sizeof(*act));
	if (bpf_map_update_elem(bpf_map__fd(skel->maps.policy_scratch), &zero, scratches, BPF_ANY))
		die("act");
	return run(skel->progs.test_policy) - run(skel->progs.test_nothing);
}

struct acts {
	struct policy_sample *samples;
	struct pst_act *facts;
};

/* Acts of the comparison. */
static struct acts make_acts(struct policy_tables *t)
{
	struct acts a = {calloc(ACTS, sizeof(*a.samples)), calloc(ACTS, sizeof(*a.facts))};
	uint64_t state = 7;

	if (!a.samples || !a.facts)
		die("acts");
	for (unsigned i = 0; i < ACTS; i++) {
		struct policy_sample *s = &a.samples[i];

		policy_sample(t, &state, s);
		if (!policy_sample_facts(t, i, s, &a.facts[i]))
			die("inodes");
	}
	return a;
}

static void measure_lookup(const struct policy_set *set, struct policy_tables *t, unsigned rules)
{
	struct acts a = make_acts(t);
	uint64_t start = pst_now_mono_ns(), found = 0, visits = 0;
	double kernel = 0;

	for (unsigned r = 0; r < ROUNDS; r++)
		for (unsigned i = 0; i < ACTS; i++) {
			struct policy_found f = policy_lookup(room.lines, room.n_lines, &a.facts[i]);

			found += f.rule != PST_POL_NO_RULE;
			visits = PST_MAX(visits, f.visits);
		}
	printf("policy.lookup_user_ns_%u %.1f ns\n", rules,
		(double)(pst_now_mono_ns() - start) / ROUNDS / ACTS);
	printf("policy.lookup_found_%u %.2f part\npolicy.lookup_visits_%u %u rules\n", rules,
		(double)found / ROUNDS / ACTS, rules, (unsigned)visits);
	for (unsigned i = 0; i < KERNEL_ACTS; i++)
		kernel += in_kernel(&a.facts[i]);
	printf("policy.lookup_ns_%u %.1f ns\n", rules, kernel / KERNEL_ACTS);
	start = pst_now_mono_ns();
	for (unsigned i = 0; i < ACTS; i++)
		found += policy_judge(set, &a.samples[i].act).rule != NULL;
	printf("policy.judge_us_%u %.1f us\n", rules, (double)(pst_now_mono_ns() - start) / ACTS / 1e3);
	free(a.samples);
	free(a.facts);
}

static void measure(unsigned n)
{
	static const uint64_t seed[2] = {0x9e3779b97f4a7c15, 0xff51afd7ed558ccd};
	PST_CLEANUP(pst_freep) struct policy_sample *s = malloc(sizeof(*s));
	PST_CLEANUP(policy_set_done) struct policy_set set = {0};
	PST_CLEANUP(policy_tables_freep) struct policy_tables *t = NULL;
	struct pst_conf_errors errors = {0};
	struct policy_made made;
	uint64_t start, compiled;
	size_t checks = CHECKS;

	if (!s)
		die("sample");
	make_set(&set, n);
	start = pst_now_mono_ns();
	if (policy_compile(&set, &room, 1, seed, &errors, &t))
		die(errors.text);
	compiled = pst_now_mono_ns();
	if (!policy_verify(t, &checks, 7, s))
		die("the tables differ from the policies");
	printf("policy.apply_ms_%u %.1f ms\npolicy.compile_ms_%u %.1f ms\npolicy.checks_%u %zu acts\n", n,
		(double)(pst_now_mono_ns() - start) / 1e6, n, (double)(compiled - start) / 1e6, n, checks);
	made = policy_tables_made(t);
	printf("policy.lines_%u %u lines\npolicy.path_lines_%u %u lines\npolicy.classes_%u %u classes\n", n,
		made.lines, n, made.path_lines, n, made.classes);
	measure_lookup(&set, t, made.rules);
	fflush(stdout);
}

int main(void)
{
	skel = policy_bpf__open_and_load();
	if (!skel)
		die("open");
	scratches =
		calloc((size_t)libbpf_num_possible_cpus(), bpf_map__value_size(skel->maps.policy_scratch));
	room.paths = aligned_alloc(64, PST_PATHS_LINES * sizeof(*room.paths));
	if (!scratches || !room.paths)
		die("memory");
	room.lines = mmap(NULL, HALF_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED,
		bpf_map__fd(skel->maps.policy_lines), 0);
	if (room.lines == MAP_FAILED)
		die("mmap");
	measure(10);
	measure(100);
	measure(1000);
	policy_bpf__destroy(skel);
	free(scratches);
	free(room.paths);
	return 0;
}
