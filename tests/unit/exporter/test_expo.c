// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/base_test.h"

#include "exporter/expo.h"

static char *text_of(struct pst_buf *buf)
{
	pst_mp_raw(buf, "", 1);
	assert_false(buf->failed);
	return (char *)buf->p;
}

static void check_label(const void *bytes, size_t len, size_t max, const char *expected)
{
	struct pst_buf out = {0};

	expo_label(&out, "a", bytes, len, max);
	assert_false(out.failed);
	assert_string_equal((char *)out.p, expected);
	assert_int_equal(out.len, strlen(expected));
	pst_buf_done(&out);
}

static void label_escapes(void **state)
{
	(void)state;
	check_label("plain", 5, 100, "a=\"plain\"");
	check_label("", 0, 100, "a=\"\"");
	check_label("q\"b\\n\n", 6, 100, "a=\"q\\\"b\\\\n\\n\"");
	check_label("\r\t\x01\x7f", 4, 100, "a=\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\"");
	check_label("a\0b", 3, 100,
		"a=\"a\xef\xbf\xbd"
		"b\"");
}

static void label_makes_valid_utf8(void **state)
{
	static const struct {
		const char *bytes, *expected;
	} cases[] = {
		{"\xc3\xa4", "a=\"\xc3\xa4\""},                 /* two bytes */
		{"\xe2\x82\xac", "a=\"\xe2\x82\xac\""},         /* three */
		{"\xf0\x9f\x98\x80", "a=\"\xf0\x9f\x98\x80\""}, /* four */
		{"\xff", "a=\"\xef\xbf\xbd\""}, {"\xc0\xaf", "a=\"\xef\xbf\xbd\xef\xbf\xbd\""}, /* overlong */
		{"\xe0\x80\x80", "a=\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\""},
		{"\xed\xa0\x80", "a=\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\""}, /* a surrogate */
		{"\xf4\x90\x80\x80", "a=\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\""}, /* beyond */
		{"x\xe2\x82", "a=\"x\xef\xbf\xbd\xef\xbf\xbd\""},                               /* cut off */
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		check_label(cases[i].bytes, strlen(cases[i].bytes), 100, cases[i].expected);
}

static void label_is_cut(void **state)
{
	(void)state;
	check_label("0123456789", 10, 10, "a=\"0123456789\"");
	check_label("0123456789x", 11, 10, "a=\"0123456...\"");
	/* never in the middle of a character */
	check_label("012345\xe2\x82\xac"
		    "9abc",
		13, 10, "a=\"012345...\"");
	check_label("\xff\xff\xff\xff\xff", 5, 10, "a=\"\xef\xbf\xbd\xef\xbf\xbd...\"");
}

static void labels_are_joined(void **state)
{
	struct pst_buf out = {0};

	(void)state;
	expo_label_text(&out, "a", "1");
	expo_label_text(&out, "b", "2");
	assert_string_equal((char *)out.p, "a=\"1\",b=\"2\"");
	pst_buf_done(&out);
}

static void numbers(void **state)
{
	static const uint64_t cases[] = {
		0, 9, 10, 99, 100, 101, 12345, 4294967295u, 10000000000u, UINT64_MAX};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct pst_buf out = {0};
		char expected[32];

		snprintf(expected, sizeof(expected), "%llu", (unsigned long long)cases[i]);
		expo_uint(&out, cases[i]);
		assert_string_equal(text_of(&out), expected);
		pst_buf_done(&out);
	}
}

static void check_ns(uint64_t ns, const char *expected)
{
	static const struct metric metric = {"x_seconds", METRIC_GAUGE, "seconds", "", "X."};
	struct pst_buf out = {0};
	struct expo expo = {.out = &out};
	char line[128];

	expo_family(&expo, &metric);
	expo_ns(&expo, NULL, ns);
	snprintf(line, sizeof(line), "\npenstock_x_seconds %s\n", expected);
	assert_non_null(strstr(text_of(&out), line));
	pst_buf_done(&out);
}

static void seconds(void **state)
{
	(void)state;
	check_ns(0, "0");
	check_ns(1, "0.000000001");
	check_ns(1500000000, "1.5");
	check_ns(2000000000, "2");
	check_ns(UINT64_MAX, "18446744073.709551615");
}

static char *write_counter(struct pst_buf *out, bool openmetrics, bool sample)
{
	static const struct metric metric = {"x_bytes", METRIC_COUNTER, "bytes", "a", "Say \"x\" \\ y."};
	struct expo expo = {.out = out, .openmetrics = openmetrics};

	expo_family(&expo, &metric);
	if (sample)
		expo_u64(&expo, "a=\"b\"", 7);
	expo_end(&expo);
	return text_of(out);
}

static void counters(void **state)
{
	struct pst_buf out = {0};

	(void)state;
	assert_string_equal(write_counter(&out, false, true),
		"# HELP penstock_x_bytes_total Say \"x\" \\\\ y.\n# TYPE penstock_x_bytes_total counter\n"
		"penstock_x_bytes_total{a=\"b\"} 7\n");
	out.len = 0;
	assert_string_equal(write_counter(&out, true, true),
		"# HELP penstock_x_bytes Say \\\"x\\\" \\\\ y.\n# TYPE penstock_x_bytes counter\n# UNIT "
		"penstock_x_bytes "
		"bytes\npenstock_x_bytes_total{a=\"b\"} 7\n# EOF\n");
	out.len = 0;
	assert_string_equal(
		write_counter(&out, false, false), ""); /* a family without samples says nothing */
	pst_buf_done(&out);
}

static void infos(void **state)
{
	static const struct metric metric = {"x", METRIC_INFO, "", "a", "X."};
	struct pst_buf out = {0};
	struct expo expo = {.out = &out};

	(void)state;
	expo_family(&expo, &metric);
	expo_u64(&expo, "a=\"b\"", 1);
	assert_string_equal(text_of(&out),
		"# HELP penstock_x_info X.\n# TYPE penstock_x_info gauge\npenstock_x_info{a=\"b\"} 1\n");
	out.len = 0;
	expo.openmetrics = true;
	expo_family(&expo, &metric);
	expo_u64(&expo, "a=\"b\"", 1);
	assert_string_equal(
		text_of(&out), "# HELP penstock_x X.\n# TYPE penstock_x info\npenstock_x_info{a=\"b\"} 1\n");
	pst_buf_done(&out);
}

static void histograms(void **state)
{
	static const struct metric metric = {"x_seconds", METRIC_HISTOGRAM, "seconds", "", "X."};
	static const uint64_t bounds[] = {500000000, 2000000000}, counts[] = {1, 2, 3};
	struct pst_buf out = {0};
	struct expo expo = {.out = &out};

	(void)state;
	expo_family(&expo, &metric);
	expo_histogram(&expo, bounds, counts, 2, 9500000000);
	assert_string_equal(text_of(&out),
		"# HELP penstock_x_seconds X.\n# TYPE penstock_x_seconds histogram\n"
		"penstock_x_seconds_bucket{le=\"0.5\"} 1\npenstock_x_seconds_bucket{le=\"2.0\"} 3\n"
		"penstock_x_seconds_bucket{le=\"+Inf\"} 6\npenstock_x_seconds_count "
		"6\npenstock_x_seconds_sum 9.5\n");
	pst_buf_done(&out);
}

/* What promtool and OpenMetrics demand of the table itself. */
static void table_is_sound(void **state)
{
	(void)state;
	for (unsigned i = 0; i < METRICS_N; i++) {
		const struct metric *m = &metrics_table[i];
		size_t len = strlen(m->name), unit = strlen(m->unit);

		assert_int_equal(strspn(m->name, "abcdefghijklmnopqrstuvwxyz0123456789_"), len);
		assert_true(*m->help && m->help[strlen(m->help) - 1] == '.');
		if (unit)
			assert_string_equal(m->name + len - unit, m->unit);
		for (unsigned k = 0; k < i; k++)
			assert_string_not_equal(m->name, metrics_table[k].name);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(label_escapes),
		cmocka_unit_test(label_makes_valid_utf8),
		cmocka_unit_test(label_is_cut),
		cmocka_unit_test(labels_are_joined),
		cmocka_unit_test(numbers),
		cmocka_unit_test(seconds),
		cmocka_unit_test(counters),
		cmocka_unit_test(infos),
		cmocka_unit_test(histograms),
		cmocka_unit_test(table_is_sound),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
