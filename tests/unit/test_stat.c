// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/base_test.h"
#include "proto/base/log.h"
#include "proto/base/stat.h"

static void same_name_and_label_is_the_same_entry(void **state)
{
	(void)state;
	struct pst_stat *a = pst_counter("received_events", "Events received.");
	char copy[] = "received_events"; /* other address, same text */
	assert_ptr_equal(pst_counter(copy, "x"), a);
	struct pst_stat *b = pst_stat(PST_STAT_COUNTER, "lost_events", "cause", "retention", "Lost.");
	struct pst_stat *c = pst_stat(PST_STAT_COUNTER, "lost_events", "cause", "queue", "Lost.");
	assert_ptr_not_equal(a, b);
	assert_ptr_not_equal(b, c);
	assert_ptr_equal(pst_stat(PST_STAT_COUNTER, "lost_events", "cause", "queue", "Lost."), c);
	c->value += 3;
	assert_int_equal(b->value, 0);
}

static void listed_in_order_of_registration(void **state)
{
	(void)state;
	pst_gauge("open_files", "Open files.");
	const struct pst_stat *s = pst_stat_first();
	assert_string_equal(s->name, "received_events");
	assert_int_equal(s->type, PST_STAT_COUNTER);
	s = s->next;
	assert_string_equal(s->label, "retention");
	s = s->next;
	assert_string_equal(s->label, "queue");
	assert_int_equal(s->value, 3);
	s = s->next;
	assert_string_equal(s->name, "open_files");
	assert_int_equal(s->type, PST_STAT_GAUGE);
	assert_null(s->next);
}

static void beyond_the_bound_one_entry_takes_all(void **state)
{
	static char names[PST_STATS_MAX + 8][16];
	unsigned n = 0, overflow = 0;

	(void)state;
	pst_log_init("test", PST_LOG_TEXT, PST_LOG_ERROR);
	for (unsigned i = 0; i < PST_STATS_MAX + 8; i++) {
		snprintf(names[i], sizeof(names[i]), "n%u", i);
		struct pst_stat *s = pst_counter(names[i], "many");
		assert_non_null(s);
		s->value++;
	}
	for (const struct pst_stat *s = pst_stat_first(); s; s = s->next, n++)
		if (!strcmp(s->name, "stats_overflow")) {
			overflow++;
			assert_int_equal(s->value, 8 + 4); /* 4 were there before */
		}
	assert_int_equal(overflow, 1);
	assert_int_equal(n, PST_STATS_MAX + 1);
	assert_string_equal(pst_counter("received_events", "x")->name, "received_events");
	assert_string_equal(pst_counter("n7", "x")->name, "n7");
}

static void memory_and_cpu(void **state)
{
	(void)state;
	assert_int_equal(pst_stat_rss_bytes(), 0);
	pst_stat_open();
	unsigned fds = open_fds();
	pst_stat_open();
	assert_int_equal(open_fds(), fds);
	uint64_t before = pst_stat_rss_bytes();
	assert_true(before > 100000 && before < 4000000000u);
	volatile char *p = malloc(32 << 20);
	assert_non_null((void *)p);
	for (size_t i = 0; i < 32 << 20; i += 4096)
		p[i] = 1;
	assert_true(pst_stat_rss_bytes() >= before + (30 << 20));
	free((void *)p);
	uint64_t cpu = pst_stat_cpu_ns();
	assert_true(cpu > 0);
	for (volatile unsigned i = 0; i < 10000000; i++)
		;
	assert_true(pst_stat_cpu_ns() > cpu + 1000000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(same_name_and_label_is_the_same_entry),
		cmocka_unit_test(listed_in_order_of_registration),
		cmocka_unit_test(beyond_the_bound_one_entry_takes_all),
		cmocka_unit_test(memory_and_cpu),
	};
	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("stat", tests, NULL, NULL);
}
