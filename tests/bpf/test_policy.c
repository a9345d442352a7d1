// SPDX-License-Identifier: Apache-2.0
/* What policies say of acts in a program of the kernel: loaded, and the same as in user space. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "policyd/policy/tables.h"
#include "proto/abi/lookup/policy.h"
#include "proto/base/cleanup.h"
#include "tests/bpf/policy.skel.h"
#include "tests/unit/policyd/policy_random.h"

#define HALF_BYTES ((size_t)PST_POL_LINES * sizeof(union pst_line))
#define PATHS      (1u << 14)

struct scratch {
	struct pst_act act;
	struct pst_pol_search search;
};

static struct policy_bpf *skel;
static union pst_line *halves[2], *paths;
static struct scratch *scratches; /* one a CPU */
static const uint64_t seed[2] = {0x1234567890abcdef, 0xfedcba0987654321};

static int load(void **state)
{
	void *map;

	(void)state;
	skel = policy_bpf__open_and_load();
	scratches = calloc((size_t)libbpf_num_possible_cpus(), sizeof(*scratches));
	paths = aligned_alloc(64, PATHS * sizeof(*paths));
	if (!skel || !scratches || !paths ||
		bpf_map__value_size(skel->maps.policy_scratch) != sizeof(*scratches))
		return -1;
	map = mmap(NULL, 2 * HALF_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED,
		bpf_map__fd(skel->maps.policy_lines), 0);
	if (map == MAP_FAILED)
		return -1;
	halves[0] = map;
	halves[1] = halves[0] + PST_POL_LINES;
	return 0;
}

static int unload(void **state)
{
	(void)state;
	munmap(halves[0], 2 * HALF_BYTES);
	free(scratches);
	free(paths);
	policy_bpf__destroy(skel);
	return 0;
}

/* The program finds the act on whatever CPU it runs, and what a search before it left there. */
static void run(uint32_t half, const struct pst_act *act)
{
	const uint8_t packet[64] = {0};
	const uint32_t zero = 0;
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = packet, .data_size_in = sizeof(packet));

	for (int cpu = 0; cpu < libbpf_num_possible_cpus(); cpu++) {
		memset(&scratches[cpu], (int)policy_draw(256), sizeof(*scratches));
		scratches[cpu].act = *act;
	}
	assert_int_equal(
		bpf_map_update_elem(bpf_map__fd(skel->maps.policy_scratch), &zero, scratches, BPF_ANY), 0);
	skel->bss->half = half;
	assert_int_equal(bpf_prog_test_run_opts(bpf_program__fd(skel->progs.test_policy), &opts), 0);
	assert_int_equal(opts.retval, 2);
}

static bool must_be_same(uint32_t half, const struct pst_act *act)
{
	struct policy_found found = policy_lookup(halves[half], PST_POL_LINES, act);

	run(half, act);
	if (found.rule != skel->bss->found || found.visits != skel->bss->visits ||
		found.cut != skel->bss->cut)
		fail_msg("rule %u after %u in the kernel, %u after %u here", skel->bss->found,
			skel->bss->visits, found.rule, found.visits);
	return found.rule != PST_POL_NO_RULE;
}

static struct policy_tables *compile(const struct policy_set *set, uint32_t half)
{
	const struct policy_room room = {halves[half], paths, PST_POL_LINES, PATHS};
	struct pst_conf_errors errors = {0};
	struct policy_tables *t = NULL;

	if (policy_compile(set, &room, 1, seed, &errors, &t))
		fail_msg("%s", errors.text ? errors.text : "refused");
	return t;
}

static void same_as_in_user_space(void **state)
{
	PST_CLEANUP(pst_freep) struct policy_sample *s = malloc(sizeof(*s));
	unsigned found = 0, none = 0, inodes = 0;
	uint64_t acts = 5;

	(void)state;
	for (unsigned round = 0; round < 16; round++) {
		PST_CLEANUP(policy_set_done) struct policy_set set = {0};
		PST_CLEANUP(policy_tables_freep) struct policy_tables *t = NULL;

		policy_random_set(&set, round % 4 ? 8 : 300, 6);
		t = compile(&set, round % 2);
		for (unsigned i = 0; i < 200; i++) {
			struct pst_act act;

			policy_sample(t, &acts, s);
			assert_true(policy_sample_facts(t, i, s, &act));
			inodes += act.path_inodes.file || act.path_inodes.n_above || act.executable_inode;
			if (must_be_same(round % 2, &act))
				found++;
			else
				none++;
		}
	}
	assert_true(found > 400 && none > 400 && inodes > 100);
}

/* As many rules as an act can meet; then more, as somebody wrote into the tables: cut, and told. */
static void longest_searches(void **state)
{
	PST_CLEANUP(policy_set_done) struct policy_set set = {0};
	PST_CLEANUP(policy_tables_freep) struct policy_tables *t = NULL;
	PST_CLEANUP(pst_freep) char *text = NULL;
	struct pst_conf_errors errors = {0};
	struct pst_act act = {.op = PST_OP_FILE_OPEN};
	size_t len;
	FILE *f = open_memstream(&text, &len);

	(void)state;
	for (unsigned i = 0; i < PST_POL_VISITS_MAX + 200; i++)
		fprintf(f,
			"---\napiVersion: penstock.dev/v1\nkind: Policy\nmetadata: {name: p%u}\nspec: "
			"{rules: "
			"[{name: r, operations: %s, holds: CAP_KILL, action: audit}]}\n",
			i, i < PST_POL_VISITS_MAX ? "file.open" : "file.mkdir");
	fclose(f);
	assert_int_equal(policy_parse(&set, "p.yaml", text, len, &errors, NULL), 0);
	t = compile(&set, 0);
	must_be_same(0, &act);
	assert_int_equal(skel->bss->visits, PST_POL_VISITS_MAX);
	assert_int_equal(skel->bss->cut, 0);
	((struct pst_pol_head *)halves[0])->used &= ~(1u << PST_POL_OP);
	must_be_same(0, &act);
	assert_int_equal(skel->bss->visits, PST_POL_VISITS_MAX);
	assert_int_equal(skel->bss->cut, 1);
}

/* Whatever the tables hold, the program ends, and finds what user space finds in them. */
static void scribbled_tables(void **state)
{
	PST_CLEANUP(pst_freep) struct policy_sample *s = malloc(sizeof(*s));
	PST_CLEANUP(policy_set_done) struct policy_set set = {0};
	PST_CLEANUP(policy_tables_freep) struct policy_tables *t = NULL;
	uint64_t acts = 5;

	(void)state;
	policy_random_set(&set, 60, 6);
	for (unsigned round = 0; round < 60; round++) {
		policy_tables_freep(&t);
		t = compile(&set, 1);
		for (uint32_t i = 1u << policy_draw(12); i; i--)
			halves[1][policy_draw(round % 3 ? policy_tables_made(t).lines : PST_POL_FIRST_LINE)]
				.u32[policy_draw(16)] =
				policy_draw(4) ? policy_draw(UINT32_MAX) : policy_draw(4096);
		for (unsigned i = 0; i < 20; i++) {
			struct pst_act act;

			policy_sample(t, &acts, s);
			policy_facts(t, &s->act, 0, &act);
			for (unsigned k = 0; k < sizeof(act) && i % 2; k++)
				((uint8_t *)&act)[k] ^= (uint8_t)(policy_draw(4) ? 0 : policy_draw(256));
			/* user space is spared the look-up of what is of no interest; so would be a hook */
			if (((struct pst_pol_head *)halves[1])->ops & PST_OP_BIT(act.op & 63))
				must_be_same(1, &act);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(same_as_in_user_space),
		cmocka_unit_test(longest_searches),
		cmocka_unit_test(scribbled_tables),
	};

	return cmocka_run_group_tests(tests, load, unload);
}
