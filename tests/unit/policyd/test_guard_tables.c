// SPDX-License-Identifier: Apache-2.0
/* The loader's maps in this process: what is taken for them, and whether they are the same. */
#include "tests/unit/policyd/guard_env.h"

#define LINE sizeof(union pst_line)

static bool usable(size_t guard, size_t guards, size_t half, size_t halves, size_t line, size_t lines,
	size_t counts, size_t cpus)
{
	/* only sizes are looked at, and the two words of the first */
	struct pst_guard word = {0};
	struct guard_tables t = {
		.guard = {.base = &word, .entry_size = guard, .entries = guards},
		.fw = {.base = &word, .entry_size = half, .entries = halves},
		.block = {.base = &word, .entry_size = line, .entries = lines},
		.sigs = {.base = &word, .entry_size = sizeof(struct pst_sigs), .entries = 2},
		.offenders = {.base = &word,
			.entry_size = sizeof(struct pst_offenders),
			.entries = PST_OFFENDER_SETS + 1},
		.samples = {.base = &word, .entry_size = sizeof(struct pst_sample), .entries = PST_SAMPLES},
		.counts = {.base = &word, .entry_size = counts, .entries = cpus},
	};

	return !guard_tables_check(&t, 1);
}

static void test_sizes(void **state)
{
	const size_t g = sizeof(struct pst_guard), c = sizeof(struct pst_guard_counts), k = 1024;

	(void)state;
	pst_log_init("test", PST_LOG_TEXT, PST_LOG_ERROR - 1);
	assert_true(usable(g, 1, k * LINE, 2, LINE, 2 * k, c, 1));
	assert_true(usable(g, 1, 16 * LINE, 2, LINE, 32, c, GUARD_CPUS_MAX));
	assert_true(usable(g, 1, ((size_t)1 << 24) * LINE, 2, LINE, 2 << 24, c, 1));

	assert_false(usable(g + 8, 1, k * LINE, 2, LINE, 2 * k, c, 1));
	assert_false(usable(g, 2, k * LINE, 2, LINE, 2 * k, c, 1));
	assert_false(usable(g, 1, 0, 2, LINE, 2 * k, c, 1));
	assert_false(usable(g, 1, 8 * LINE, 2, LINE, 2 * k, c, 1));
	assert_false(usable(g, 1, (k - 1) * LINE, 2, LINE, 2 * k, c, 1));
	assert_false(usable(g, 1, k * LINE + 8, 2, LINE, 2 * k, c, 1));
	assert_false(usable(g, 1, ((size_t)1 << 25) * LINE, 2, LINE, 2 * k, c, 1));
	assert_false(usable(g, 1, ((size_t)1 << 32) * LINE, 2, LINE, 2 * k, c, 1)); /* 0 in 32 bits */
	assert_false(usable(g, 1, (((size_t)1 << 32) + k) * LINE, 2, LINE, 2 * k, c, 1));
	assert_false(usable(g, 1, k * LINE, 1, LINE, 2 * k, c, 1));
	assert_false(usable(g, 1, k * LINE, 3, LINE, 2 * k, c, 1));
	assert_false(usable(g, 1, k * LINE, 2, LINE + 8, 2 * k, c, 1));
	assert_false(usable(g, 1, k * LINE, 2, LINE, 2 * k + 1, c, 1));
	assert_false(usable(g, 1, k * LINE, 2, LINE, 2 * k + 2, c, 1));
	assert_false(usable(g, 1, k * LINE, 2, LINE, 0, c, 1));
	assert_false(usable(g, 1, k * LINE, 2, LINE, (size_t)1 << 33, c, 1));
	assert_false(usable(g, 1, k * LINE, 2, LINE, 2 * k, c - 8, 1));
	assert_false(usable(g, 1, k * LINE, 2, LINE, 2 * k, c, 0));
	assert_false(usable(g, 1, k * LINE, 2, LINE, 2 * k, c, GUARD_CPUS_MAX + 1));
}

/* A file is no map, whatever it is called: behind its end a mapping is fatal. */
static void test_files_are_no_maps(void **state)
{
	static const char *const names[FDS] = {PST_MAP_GUARD, PST_MAP_FW_LINES, PST_MAP_BLOCK_LINES,
		PST_MAP_GUARD_SIGS, PST_MAP_OFFENDERS, PST_MAP_SAMPLES, PST_MAP_GUARD_COUNTS};
	struct pst_fds fds = {.n = FDS};
	struct guard_tables t = {0};

	(void)state;
	pst_log_init("test", PST_LOG_TEXT, PST_LOG_ERROR - 1);
	for (int i = 0; i < FDS; i++) {
		snprintf(fds.v[i].name, sizeof(fds.v[i].name), "%s", names[i]);
		fds.v[i].fd = env.fd[i];
		fds.v[i].size = i == FD_COUNTS ? CPUS : 2;
	}
	assert_int_equal(guard_tables_map(&fds, 1, &t), -EBADF);
	assert_false(guard_tables_mapped(&t));
	for (fds.n = 0; fds.n < FDS; fds.n++)
		assert_int_equal(guard_tables_map(&fds, 1, &t), fds.n ? -EBADF : -ENOENT);
}

static void test_same(void **state)
{
	struct guard_tables a, b;
	struct pst_guard word;
	size_t half = FW_LINES * LINE;
	char *before = malloc(2 * half), *counts = malloc(file_size(FD_COUNTS));

	(void)state;
	assert_true(before && counts);
	memset(env.fw, 0x3c, 2 * half);
	memset(env.counts, 0x5a, file_size(FD_COUNTS));
	env.word->fw_generation = 5;
	tables_of_files(&a);
	tables_of_files(&b);
	word = *env.word;
	memcpy(before, env.fw, 2 * half);
	memcpy(counts, env.counts, file_size(FD_COUNTS));
	assert_true(guard_tables_same(&a, &b));
	assert_memory_equal(&word, env.word, sizeof(word)); /* and nothing is changed */
	assert_memory_equal(before, env.fw, 2 * half);
	assert_memory_equal(counts, env.counts, file_size(FD_COUNTS));
	free(before);
	free(counts);

	/* one of them made anew is enough */
	for (int i = 0; i < FDS; i++) {
		struct pst_shm *const of[FDS] = {
			&b.guard, &b.fw, &b.block, &b.sigs, &b.offenders, &b.samples, &b.counts};
		struct pst_shm kept = *of[i], other;

		assert_int_equal(pst_shm_fake(kept.entry_size, kept.entries, &other), 0);
		memcpy(other.base, kept.base, kept.len);
		*of[i] = other;
		assert_int_equal(guard_tables_check(&b, 1), 0);
		assert_false(guard_tables_same(&a, &b));
		pst_shm_unmap(of[i]);
		*of[i] = kept;
		assert_int_equal(guard_tables_check(&b, 1), 0);
		assert_true(guard_tables_same(&a, &b));
	}
	guard_tables_unmap(&a);
	guard_tables_unmap(&b);
}

static void test_generations(void **state)
{
	static const struct {
		uint64_t now, last, next;
	} cases[] = {
		{0, 0, 1},
		{1, 1, 2},
		{2, 2, 3},
		{0, 2, 3},
		{0, 3, 4},
		{5, 2, 6},
		{4, 6, 7},
		{4, 7, 9}, /* 8 would be the half in force */
		{UINT64_MAX, 0, 2},
		{UINT64_MAX - 1, UINT64_MAX - 1, UINT64_MAX},
		{4, UINT64_MAX, 1},
		{0xffffffff, 0xffffffff, 0x100000002}, /* programs keep 32 bits of it, of which 0 is none */
		{0, 0xffffffff, 0x100000002},
	};
	struct guard_tables t;

	(void)state;
	tables_of_files(&t);
	for (size_t i = 0; i < PST_ARRAY_SIZE(cases); i++) {
		env.word->fw_generation = cases[i].now;
		env.word->fw_last = cases[i].last;
		assert_int_equal(guard_next_generation(&t.firewall), cases[i].next);
	}
	guard_tables_unmap(&t);
}

/* A fresh table may be written at once; of one that somebody left it is not known when. */
static void test_grace_of_tables_taken_over(void **state)
{
	struct guard_tables t;
	uint64_t now;

	(void)state;
	tables_of_files(&t);
	assert_int_equal(guard_grace_left(&t.firewall, 1), 0);
	guard_tables_unmap(&t);
	env.word->fw_generation = 3;
	env.word->block_last = 3;
	tables_of_files(&t);
	now = pst_now_mono_ns();
	assert_in_range(guard_grace_left(&t.firewall, now), 1, GUARD_GRACE_NS);
	assert_in_range(guard_grace_left(&t.lists, now), 1, GUARD_GRACE_NS);
	assert_int_equal(guard_grace_left(&t.firewall, now + GUARD_GRACE_NS), 0);
	guard_tables_unmap(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sizes),
		cmocka_unit_test_setup_teardown(test_files_are_no_maps, genv_setup, genv_teardown),
		cmocka_unit_test_setup_teardown(test_same, genv_setup, genv_teardown),
		cmocka_unit_test_setup_teardown(test_generations, genv_setup, genv_teardown),
		cmocka_unit_test_setup_teardown(test_grace_of_tables_taken_over, genv_setup, genv_teardown),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
