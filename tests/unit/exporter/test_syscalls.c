// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/base_test.h"

#include "exporter/syscalls.h"

static struct syscall_counts *pass(struct syscalls *sc, const struct pst_iter_syscall *v, size_t n)
{
	struct syscall_counts *counts;

	assert_int_equal(syscalls_pass(sc, v, n, &counts), 0);
	return counts;
}

static uint64_t of_cgroup(const struct syscall_counts *counts, uint64_t id, unsigned abi, unsigned nr)
{
	for (uint32_t slot = 1; slot < counts->n_slots; slot++)
		if (counts->cgroup_ids[slot] == id)
			return counts->v[slot][abi][nr];
	return 0;
}

static void the_busiest_get_places(void **state)
{
	const struct pst_iter_syscall v[] = {{.cgroup_id = 1, .nr = 0, .count = 5},
		{.cgroup_id = 2, .nr = 0, .count = 50}, {.cgroup_id = 3, .nr = 1, .count = 500},
		{.cgroup_id = 1, .nr = 1, .count = 6},
		{.cgroup_id = 3, .nr = 3 | PST_SYSCALL_COMPAT, .count = 7},
		{.cgroup_id = 3, .nr = 600, .count = 9}};
	struct syscalls *sc;
	struct syscall_counts *counts;

	(void)state;
	assert_int_equal(syscalls_new(2, 1000, &sc), 0);
	counts = pass(sc, v, 6);
	assert_int_equal(of_cgroup(counts, 3, ABI_NATIVE, 1), 500);
	assert_int_equal(of_cgroup(counts, 3, ABI_COMPAT, 3), 7);
	assert_int_equal(of_cgroup(counts, 3, ABI_NATIVE, SYSCALLS_NR - 1), 9);
	assert_int_equal(of_cgroup(counts, 2, ABI_NATIVE, 0), 50);
	assert_int_equal(counts->v[0][ABI_NATIVE][0], 5);
	assert_int_equal(counts->v[0][ABI_NATIVE][1], 6);
	syscall_counts_free(counts);
	syscalls_free(sc);
}

/* Random cgroups come, count and go: no series ever falls, and the sum of all is what the kernel counted. */
static void counters_never_fall(void **state)
{
	enum { CGROUPS = 20, NRS = 5, ROUNDS = 300 };
	static uint64_t kernel[CGROUPS][NRS], before[CGROUPS][NRS], other_before[NRS], pooled_before, total;
	static uint64_t ids[CGROUPS];
	struct syscalls *sc;
	uint64_t next_id = 1, seed = 7;

	(void)state;
	assert_int_equal(syscalls_new(4, 12, &sc), 0);
	for (unsigned round = 0; round < ROUNDS; round++) {
		struct pst_iter_syscall v[CGROUPS * NRS];
		struct syscall_counts *counts;
		uint64_t sum = 0;
		size_t n = 0;

		for (unsigned c = 0; c < CGROUPS; c++) {
			seed = seed * 6364136223846793005u + 1442695040888963407u;
			if ((seed >> 60) == 0 || !ids[c]) { /* replaced by a new one */
				ids[c] = next_id++;
				memset(kernel[c], 0, sizeof(kernel[c]));
				memset(before[c], 0, sizeof(before[c]));
			}
			for (unsigned nr = 0; nr < NRS; nr++) {
				uint64_t add = seed >> (40 + nr * 3) & 7;

				kernel[c][nr] += add;
				total += add;
				v[n++] = (struct pst_iter_syscall){
					.cgroup_id = ids[c], .nr = nr, .count = kernel[c][nr]};
			}
		}
		counts = pass(sc, v, n);
		for (unsigned nr = 0; nr < NRS; nr++) {
			assert_true(counts->v[0][ABI_NATIVE][nr] >= other_before[nr]);
			other_before[nr] = counts->v[0][ABI_NATIVE][nr];
			sum += other_before[nr];
		}
		assert_true(counts->other_series >= pooled_before);
		pooled_before = counts->other_series;
		for (unsigned c = 0; c < CGROUPS; c++) {
			for (unsigned nr = 0; nr < NRS; nr++) {
				uint64_t now = of_cgroup(counts, ids[c], ABI_NATIVE, nr);

				assert_true(now >= before[c][nr]);
				before[c][nr] = now;
			}
		}
		assert_true(sum <= total);
		syscall_counts_free(counts);
	}
	syscalls_free(sc);
}

static void series_are_bounded(void **state)
{
	struct pst_iter_syscall v[200];
	struct syscalls *sc;
	struct syscall_counts *counts;
	unsigned shown = 0;
	uint64_t sum;

	(void)state;
	for (unsigned i = 0; i < 200; i++)
		v[i] = (struct pst_iter_syscall){.cgroup_id = 1, .nr = i, .count = 10};
	assert_int_equal(syscalls_new(1, 50, &sc), 0);
	counts = pass(sc, v, 200);
	sum = counts->other_series;
	for (unsigned nr = 0; nr < SYSCALLS_NR; nr++) {
		shown += counts->v[1][ABI_NATIVE][nr] != 0;
		sum += counts->v[1][ABI_NATIVE][nr];
	}
	assert_int_equal(shown, 50);
	assert_int_equal(sum, 2000);
	syscall_counts_free(counts);
	syscalls_free(sc);
}

/* What the kernel had no room for is no call of any cgroup, and takes nobody's place. */
static void lost_is_apart(void **state)
{
	const struct pst_iter_syscall v[] = {{.nr = PST_SYSCALL_LOST, .count = 1000},
		{.cgroup_id = 2, .nr = 0, .count = 5}, {.cgroup_id = 3, .nr = 600, .count = 4}};
	struct syscalls *sc;
	struct syscall_counts *counts;

	(void)state;
	assert_int_equal(syscalls_new(1, 50, &sc), 0);
	counts = pass(sc, v, 3);
	assert_int_equal(counts->lost, 1000);
	assert_int_equal(of_cgroup(counts, 2, ABI_NATIVE, 0), 5);
	for (unsigned abi = 0; abi < ABIS; abi++)
		for (unsigned nr = 0; nr < SYSCALLS_NR; nr++)
			assert_int_equal(
				counts->v[0][abi][nr], abi == ABI_NATIVE && nr == SYSCALLS_NR - 1 ? 4 : 0);
	syscall_counts_free(counts);
	counts = pass(sc, v + 1, 2);
	assert_int_equal(counts->lost, 0);
	syscall_counts_free(counts);
	syscalls_free(sc);
}

static void names_and_labels(void **state)
{
	const struct pst_iter_syscall v[] = {
		{.cgroup_id = 7, .nr = 0, .count = 3}, {.cgroup_id = 8, .nr = 1, .count = 1}};
	static struct syscall_names names;
	static const struct metric metric = {"s", METRIC_COUNTER, "", "", "S."};
	struct pst_buf out = {0};
	struct expo expo = {.out = &out};
	struct syscalls *sc;
	struct syscall_counts *counts;
	struct cgroups *cgroups;

	(void)state;
	syscall_names_init(&names);
#ifdef __x86_64__
	assert_string_equal(names.v[ABI_NATIVE][0], "read");
	assert_string_equal(names.v[ABI_NATIVE][59], "execve");
	assert_string_equal(names.v[ABI_COMPAT][11], "execve");
#endif
	assert_null(names.v[ABI_NATIVE][SYSCALLS_NR - 1]);
	assert_int_equal(cgroups_new(4, &cgroups), 0);
	cgroups_put(cgroups, 7, "/a\"b", 4, "c1", 2);
	assert_int_equal(syscalls_new(1, 50, &sc), 0);
	counts = pass(sc, v, 2);
	assert_false(syscall_counts_nameless(counts, cgroups));
	expo_family(&expo, &metric);
	syscall_counts_expose(counts, &names, cgroups, 64, &expo);
	pst_mp_raw(&out, "", 1);
#ifdef __x86_64__
	assert_non_null(strstr((char *)out.p, "penstock_s_total{syscall=\"read\",abi=\"native\",cgroup=\"/"
					      "a\\\"b\",container_id=\"c1\"} 3\n"));
	assert_non_null(strstr((char *)out.p,
		"penstock_s_total{syscall=\"write\",abi=\"native\",cgroup=\"other\",container_id=\"\"} 1\n"));
#endif
	syscall_counts_free(counts);
	syscalls_free(sc);
	cgroups_free(cgroups);
	assert_int_equal(cgroups_new(4, &cgroups), 0);
	assert_int_equal(syscalls_new(1, 50, &sc), 0);
	counts = pass(sc, v, 2);
	assert_true(syscall_counts_nameless(counts, cgroups));
	syscall_counts_free(counts);
	syscalls_free(sc);
	cgroups_free(cgroups);
	syscall_names_done(&names);
	pst_buf_done(&out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_busiest_get_places),
		cmocka_unit_test(counters_never_fall),
		cmocka_unit_test(series_are_bounded),
		cmocka_unit_test(lost_is_apart),
		cmocka_unit_test(names_and_labels),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
