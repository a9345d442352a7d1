// SPDX-License-Identifier: Apache-2.0
/* Compiled firewall tables against the plain evaluation: corners by hand, random rule sets, scribbled tables.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "policyd/fw/fw.h"
#include "policyd/fw/tree.h"
#include "proto/base/cleanup.h"
#include "tests/unit/policyd/fw_rules.h"

#define LINES (1u << 19)

static union pst_line *lines;

static int make_lines(void **state)
{
	(void)state;
	lines = aligned_alloc(64, (size_t)LINES * sizeof(*lines));
	return lines ? 0 : -1;
}

static int free_lines(void **state)
{
	(void)state;
	free(lines);
	return 0;
}

/* ---- trees ---- */

static uint32_t tree_find(const struct pst_half *half, uint32_t entry, fw_key key, unsigned strides)
{
	for (unsigned i = strides; i-- && entry & PST_STRIDE_NODE;)
		entry = pst_stride_step(half, entry, (uint32_t)(key >> 16 * i) & 0xffff);
	assert_false(entry & PST_STRIDE_NODE);
	return entry;
}

static void check_tree(const struct fw_interval *v, size_t n, unsigned strides)
{
	struct fw_arena arena = {.lines = lines, .size = LINES};
	struct pst_half half = {.lines = lines, .mask = LINES - 1};
	fw_key top = strides == 8 ? ~(fw_key)0 : ((fw_key)1 << 16 * strides) - 1;
	uint32_t entry;

	assert_int_equal(fw_tree_build(&arena, v, n, strides, &entry), 0);
	for (size_t i = 0; i < n; i++) {
		fw_key end = i + 1 < n ? v[i + 1].start - 1 : top;
		fw_key probe[4] = {v[i].start, end, v[i].start + (end - v[i].start) / 2,
			v[i].start + (end > v[i].start)};

		for (int k = 0; k < 4; k++)
			assert_int_equal(tree_find(&half, entry, probe[k], strides), v[i].value);
	}
}

static void tree_of_one_value(void **state)
{
	struct fw_interval v[] = {{0, 7}, {5, 7}, {0x12345678, 7}};

	(void)state;
	check_tree(v, 3, 2);
}

static void tree_at_the_ends(void **state)
{
	struct fw_interval v[] = {{0, 1}, {1, 2}, {0xffff, 3}, {0x10000, 4}, {0x1ffff, 5}, {0xfffeffff, 6},
		{0xffff0000, 7}, {0xffffffff, 8}};

	(void)state;
	for (size_t n = 1; n <= PST_ARRAY_SIZE(v); n++)
		check_tree(v, n, 2);
	check_tree(v, 3, 1);
}

static int by_start(const void *a, const void *b)
{
	const struct fw_interval *x = a, *y = b;

	return x->start < y->start ? -1 : x->start > y->start;
}

/* Every size of node, one to eight strides, dense and far apart. */
static void tree_of_random_intervals(void **state)
{
	static const size_t sizes[] = {2, 7, 8, 9, 31, 32, 33, 34, 1000, 1023, 1024, 1025, 5000};
	struct fw_interval *v = calloc(5000, sizeof(*v));

	(void)state;
	for (unsigned round = 0; round < 240; round++) {
		unsigned strides = 1 + round % 8;
		size_t n = sizes[round / 8 % PST_ARRAY_SIZE(sizes)], kept = 1;
		fw_key mask = strides == 8 ? ~(fw_key)0 : ((fw_key)1 << 16 * strides) - 1;

		if (round % 3 == 0)
			mask &= ~(fw_key)0 << 16 * (strides - 1) | 0x3ff; /* many in a few places */
		for (size_t i = 1; i < n; i++) {
			fw_key key = 0;

			for (int k = 0; k < 8; k++)
				key = key << 16 | (rule_draw() & 0xffff);
			v[i] = (struct fw_interval){key & mask, (uint32_t)rule_draw() & 0xff};
		}
		v[0] = (struct fw_interval){0, 1};
		qsort(v + 1, n - 1, sizeof(*v), by_start);
		for (size_t i = 1; i < n; i++)
			if (v[i].start != v[kept - 1].start)
				v[kept++] = v[i];
		check_tree(v, kept, strides);
	}
	free(v);
}

static void tree_without_room(void **state)
{
	struct fw_interval v[] = {{0, 1}, {9, 2}};
	struct fw_arena arena = {.lines = lines, .size = 0};
	uint32_t entry;

	(void)state;
	assert_int_equal(fw_tree_build(&arena, v, 2, 1, &entry), -ENOSPC);
}

/* ---- rules ---- */

static void assert_same(const struct fw_ruleset *set, size_t packets)
{
	struct pst_fw_packet p;
	struct fw_compiled made;

	assert_int_equal(fw_compile(set, lines, LINES, 1, &made), 0);
	if (!fw_verify(set, lines, LINES, packets, rule_draw(), &p))
		fail_msg("%zu rules: linear %ld, compiled %ld", set->n, fw_linear(set, &p),
			fw_lookup(lines, LINES, &p));
}

static void no_rules(void **state)
{
	struct fw_ruleset set = {.policy = PST_FW_DROP};
	const struct pst_fw_head *head = (void *)lines;

	(void)state;
	assert_same(&set, 1000);
	assert_int_equal(head->policy, PST_FW_DROP);
	assert_int_equal(head->used, 0);
}

/* The check says no to a table of other rules, and the packet that it gives shows why. */
static void verify_says_no(void **state)
{
	struct fw_range port = {80, 80};
	struct fw_rule rule = {.dport = {.v = &port, .n = 1}};
	struct fw_ruleset set = {.rules = &rule, .n = 1};
	struct pst_fw_packet p = {0};

	(void)state;
	assert_same(&set, 1000);
	port = (struct fw_range){80, 81};
	assert_false(fw_verify(&set, lines, LINES, 1000, 7, &p));
	assert_int_equal(p.key[PST_FW_DPORT], 81);
	assert_int_equal(fw_linear(&set, &p), 0);
	assert_int_equal(fw_lookup(lines, LINES, &p), -1);
}

static void random_rules(void **state)
{
	static const size_t sizes[] = {1, 2, 3, 10, 64, 65, 500, 512, 513, 1100};

	(void)state;
	for (unsigned round = 0; round < 120; round++) {
		struct fw_ruleset set = {0};

		rules_random(&set, sizes[round % PST_ARRAY_SIZE(sizes)], round % 5);
		assert_same(&set, 2000);
		fw_ruleset_done(&set);
	}
}

/* As many as there may be, and one more. */
static void most_rules(void **state)
{
	struct fw_ruleset set = {0};
	struct fw_compiled made;

	(void)state;
	rules_random(&set, PST_FW_RULES_MAX + 1, 0);
	assert_int_equal(fw_compile(&set, lines, LINES, 1, &made), -E2BIG);
	fw_rule_done(&set.rules[--set.n]);
	assert_same(&set, 200);
	fw_ruleset_done(&set);
}

static void table_without_room(void **state)
{
	struct fw_ruleset set = {0};
	struct fw_compiled made;

	(void)state;
	rules_random(&set, 500, 0);
	for (uint32_t n = 1; n <= 256; n *= 2)
		assert_int_equal(fw_compile(&set, lines, n, 1, &made), -ENOSPC);
	fw_ruleset_done(&set);
}

/* A rule that says nothing by itself is passed, and the one behind it speaks. */
static void rules_that_go_on(void **state)
{
	struct fw_ruleset set = {0};
	struct fw_compiled made;
	struct pst_fw_packet p;

	(void)state;
	rules_random(&set, 300, 0);
	for (size_t i = 0; i < set.n; i++) {
		set.rules[i].action = PST_FW_DROP;
		set.rules[i].family = 4;
		if (i % 5 && i < 299)
			continue;
		fw_rule_done(&set.rules[i]); /* matches everything */
		set.rules[i].action = i == 299 ? PST_FW_DROP : PST_FW_NEXT;
	}
	assert_same(&set, 1000);
	memset(&p, 0, sizeof(p));
	p.root[PST_FW_SADDR] = p.root[PST_FW_DADDR] = 1;
	p.key[PST_FW_PROTO] = PST_FW_PROTO_6 | 6;
	assert_int_equal(fw_linear(&set, &p), 299);
	assert_int_equal(fw_lookup(lines, LINES, &p), 299);
	for (size_t i = 1; i < 10; i++)
		set.rules[i].action = PST_FW_NEXT;
	assert_int_equal(fw_compile(&set, lines, LINES, 1, &made), -E2BIG);
	fw_ruleset_done(&set);
}

/* Whoever writes the table may write anything: the look-up ends, inside the table (ASan watches). */
static void scribbled_tables(void **state)
{
	const uint32_t n = 4096;
	union pst_line *small = aligned_alloc(64, n * sizeof(*small));
	struct fw_ruleset set = {0};
	struct fw_compiled made;
	struct pst_fw_packet p;

	(void)state;
	rules_random(&set, 60, 1);
	for (unsigned round = 0; round < 2000; round++) {
		uint8_t *bytes = (uint8_t *)small;

		if (round % 100 == 0)
			assert_int_equal(fw_compile(&set, small, n, 1, &made), 0);
		for (int k = 0; k < 20; k++)
			bytes[rule_draw() % (made.lines * sizeof(*small))] = (uint8_t)rule_draw();
		if (round % 7 == 0)
			for (size_t i = 0; i < n * sizeof(*small); i++)
				bytes[i] = (uint8_t)rule_draw();
		fw_verify(&set, small, n, 20, rule_draw(), &p);
	}
	fw_ruleset_done(&set);
	free(small);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(tree_of_one_value),
		cmocka_unit_test(tree_at_the_ends),
		cmocka_unit_test(tree_of_random_intervals),
		cmocka_unit_test(tree_without_room),
		cmocka_unit_test(no_rules),
		cmocka_unit_test(verify_says_no),
		cmocka_unit_test(random_rules),
		cmocka_unit_test(most_rules),
		cmocka_unit_test(table_without_room),
		cmocka_unit_test(rules_that_go_on),
		cmocka_unit_test(scribbled_tables),
	};

	return cmocka_run_group_tests(tests, make_lines, free_lines);
}
