// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/base_test.h"

#include "exporter/series.h"

static const struct metric metric = {"x", METRIC_COUNTER, "", "a", "X."};

static char *expose(const struct series_set *set, struct pst_buf *out)
{
	struct expo expo = {.out = out};

	out->len = 0;
	expo_family(&expo, &metric);
	series_expose(set, &expo, false);
	pst_mp_raw(out, "", 1);
	return (char *)out->p;
}

static void add(struct series_set *set, const char *a, const char *b, uint64_t n)
{
	const struct series_label labels[] = {SERIES_TEXT("a", a), SERIES_TEXT("b", b)};

	*series_at(set, labels, 2) += n;
}

static unsigned lines(const char *text, const char *part)
{
	unsigned n = 0;

	for (const char *p = text; (p = strstr(p, part)); p++)
		n++;
	return n;
}

static void same_labels_are_one_series(void **state)
{
	struct series_set *set;
	struct pst_buf out = {0};

	(void)state;
	assert_int_equal(series_new(10, 100, &set), 0);
	add(set, "x", "y", 1);
	add(set, "x", "z", 10);
	add(set, "x", "y", 2);
	assert_int_equal(series_count(set), 2);
	assert_non_null(strstr(expose(set, &out),
		"penstock_x_total{a=\"x\",b=\"y\"} 3\npenstock_x_total{a=\"x\",b=\"z\"} 10\n"));
	/* quotes cannot make two label sets look the same */
	add(set, "x\",b=\"y", "", 1);
	assert_int_equal(series_count(set), 3);
	pst_buf_done(&out);
	series_free(set);
}

static void the_bound_holds_and_nothing_is_lost(void **state)
{
	struct series_set *set;
	struct pst_buf out = {0};
	char name[32];

	(void)state;
	assert_int_equal(series_new(100, 100, &set), 0);
	for (unsigned i = 0; i < 1000; i++) {
		snprintf(name, sizeof(name), "n%u", i);
		add(set, name, "y", 1);
		add(set, name, "y", 1);
	}
	assert_int_equal(series_count(set), 100);
	assert_int_equal(series_overflowed(set), 1800);
	assert_int_equal(lines(expose(set, &out), "} "), 101);
	assert_non_null(strstr((char *)out.p, "penstock_x_total{a=\"n99\",b=\"y\"} 2\n"));
	assert_non_null(strstr((char *)out.p, "penstock_x_total{a=\"other\",b=\"other\"} 1800\n"));
	pst_buf_done(&out);
	series_free(set);
}

/* A label set that appears twice would make the whole scrape invalid. */
static void really_called_other(void **state)
{
	struct series_set *set;
	struct pst_buf out = {0};

	(void)state;
	for (unsigned before = 0; before < 2; before++) {
		assert_int_equal(series_new(1, 100, &set), 0);
		add(set, before ? "other" : "first", before ? "other" : "first", 1);
		add(set, "second", "second", 2);
		add(set, "other", "other", 4);
		assert_int_equal(lines(expose(set, &out), "a=\"other\",b=\"other\""), 1);
		assert_non_null(strstr((char *)out.p, before ? "b=\"other\"} 7\n" : "b=\"other\"} 6\n"));
		series_free(set);
	}
	pst_buf_done(&out);
}

static void long_values_share_a_series(void **state)
{
	struct series_set *set;
	char a[300], b[300];

	(void)state;
	memset(a, 'a', sizeof(a));
	memset(b, 'a', sizeof(b));
	a[298] = b[299] = a[299] = 0;
	assert_int_equal(series_new(10, 64, &set), 0);
	add(set, a, "y", 1);
	add(set, b, "y", 1);
	assert_int_equal(series_count(set), 1);
	series_free(set);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(same_labels_are_one_series),
		cmocka_unit_test(the_bound_holds_and_nothing_is_lost),
		cmocka_unit_test(really_called_other),
		cmocka_unit_test(long_values_share_a_series),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
