// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/base_test.h"

#include "exporter/stage_stats.h"
#include "proto/base/stat.h"

/* Rows as status has them; a NULL name ends. */
struct row {
	const char *name, *label_name, *label, *type;
	uint64_t value;
	const char *help;
};

static struct stage_stats *parse(const char *stage, const struct row *rows)
{
	msgpack_sbuffer sbuf;
	msgpack_packer pk;
	msgpack_unpacked value;
	struct stage_stats *stats;
	size_t n = 0;

	while (rows[n].name)
		n++;
	msgpack_sbuffer_init(&sbuf);
	msgpack_packer_init(&pk, &sbuf, msgpack_sbuffer_write);
	msgpack_pack_array(&pk, n);
	for (size_t i = 0; i < n; i++) {
		const char *text[] = {rows[i].name, rows[i].label_name, rows[i].label, rows[i].type};

		msgpack_pack_array(&pk, 6);
		for (unsigned k = 0; k < 4; k++) {
			if (text[k])
				msgpack_pack_str_with_body(&pk, text[k], strlen(text[k]));
			else
				msgpack_pack_nil(&pk);
		}
		msgpack_pack_uint64(&pk, rows[i].value);
		msgpack_pack_str_with_body(&pk, rows[i].help, strlen(rows[i].help));
	}
	msgpack_unpacked_init(&value);
	assert_int_equal(msgpack_unpack_next(&value, sbuf.data, sbuf.size, NULL), MSGPACK_UNPACK_SUCCESS);
	stats = stage_stats_parse(stage, &value.data, 32);
	assert_non_null(stats);
	msgpack_unpacked_destroy(&value);
	msgpack_sbuffer_destroy(&sbuf);
	return stats;
}

static char *expose(const struct stage_stats *const *stats, unsigned n, struct pst_buf *out, bool openmetrics)
{
	struct expo expo = {.out = out, .openmetrics = openmetrics};

	out->len = 0;
	stage_stats_expose(stats, n, &expo);
	pst_mp_raw(out, "", 1);
	return (char *)out->p;
}

static void families_of_several_stages(void **state)
{
	const struct row a[] = {{"received_events", "topic", "proc", "counter", 5, "Events received."},
		{"busy_ns", NULL, NULL, "counter", 1500000000, "Busy."}, {0}};
	const struct row b[] = {{"received_events", "topic", "net", "counter", 7, "Events received."}, {0}};
	const struct stage_stats *stats[] = {parse("collector", a), parse("enricher", b)};
	struct pst_buf out = {0};

	(void)state;
	assert_string_equal(expose(stats, 2, &out, false),
		"# HELP penstock_busy_seconds_total Busy.\n# TYPE penstock_busy_seconds_total counter\n"
		"penstock_busy_seconds_total{stage=\"collector\"} 1.5\n"
		"# HELP penstock_received_events_total Events received.\n# TYPE "
		"penstock_received_events_total counter\n"
		"penstock_received_events_total{stage=\"collector\",topic=\"proc\"} 5\n"
		"penstock_received_events_total{stage=\"enricher\",topic=\"net\"} 7\n"
		"# HELP penstock_stage_stats_skipped Values in status replies that could not be made into a "
		"metric.\n"
		"# TYPE penstock_stage_stats_skipped gauge\npenstock_stage_stats_skipped 0\n");
	assert_non_null(strstr(expose(stats, 2, &out, true), "# UNIT penstock_busy_seconds seconds\n"));
	pst_buf_done(&out);
	stage_stats_free((struct stage_stats *)stats[0]);
	stage_stats_free((struct stage_stats *)stats[1]);
}

/* The last label has the commas that are left; what names the same twice, or too many, is left out. */
static void several_labels(void **state)
{
	const struct row rows[] = {
		{"a_packets", "direction,protocol,interface", "in,tcp,eth0", "counter", 1, ""},
		{"a_packets", "direction,protocol,interface", "in,tcp,e,t\"h", "counter", 2, ""},
		{"b", "x,stage", "1,2", "gauge", 3, ""},
		{"c", "x,y,z", "1", "gauge", 4, ""},
		{"d", "x", "1,2", "gauge", 5, ""},
		{"e", "x,x", "1,2", "gauge", 6, ""},
		{"f", "x,,y", "1,2,3", "gauge", 7, ""},
		{"g", "a,b,c,d,e,f,g,h,i", "1,2,3,4,5,6,7,8,9", "gauge", 8, ""},
		{"h", "a,b,c,d,e,f,g,h", "1,2,3,4,5,6,7,8", "gauge", 9, ""},
		{"i", "x,", "1,2", "gauge", 10, ""},
		{0},
	};
	const struct stage_stats *stats[] = {parse("s", rows)};
	struct pst_buf out = {0};
	const char *text = expose(stats, 1, &out, false);

	(void)state;
	assert_non_null(strstr(text, "penstock_a_packets_total{stage=\"s\",direction=\"in\",protocol=\"tcp\","
				     "interface=\"eth0\"} 1\n"));
	assert_non_null(strstr(text, "penstock_a_packets_total{stage=\"s\",direction=\"in\",protocol=\"tcp\","
				     "interface=\"e,t\\\"h\"} 2\n"));
	assert_non_null(strstr(text, "penstock_b{stage=\"s\",x=\"1\",stage_label=\"2\"} 3\n"));
	assert_non_null(strstr(text, "penstock_c{stage=\"s\",x=\"1\",y=\"\",z=\"\"} 4\n"));
	assert_non_null(strstr(text, "penstock_d{stage=\"s\",x=\"1,2\"} 5\n"));
	assert_non_null(strstr(text, "g=\"7\",h=\"8\"} 9\n"));
	assert_non_null(strstr(text, "penstock_i{stage=\"s\",x=\"1,2\"} 10\n"));
	assert_non_null(strstr(text, "penstock_stage_stats_skipped 3\n"));
	pst_buf_done(&out);
	stage_stats_free((struct stage_stats *)stats[0]);
}

static void hostile_rows(void **state)
{
	const struct row rows[] = {
		{"Bad-Name\"}", "stage", "x\"\n", "gauge", 1, "two\nlines"},
		{"", NULL, NULL, "gauge", 1, ""},
		{"9lives", NULL, NULL, "gauge", 1, ""},
		{"unit_us", NULL, NULL, "gauge", UINT64_MAX, ""},
		{"events", NULL, NULL, "counter", 3, "Same name as one of ours."},
		{"tcp_connect_duration_seconds_count", NULL, NULL, "counter", 3, ""},
		{"x_total", NULL, NULL, "counter", 1, ""},
		{"x", NULL, NULL, "counter", 2, ""}, /* the same once more */
		{"y", "l", "1", "gauge", 1, ""},
		{"y", "l", "2", "counter", 2, ""}, /* another type */
		{"z", NULL, NULL, "histogram", 2, ""},
		{0},
	};
	const struct stage_stats *stats[] = {parse("s", rows)};
	struct pst_buf out = {0};
	const char *text = expose(stats, 1, &out, false);

	(void)state;
	assert_non_null(strstr(text, "# HELP penstock_bad_name__ two lines\n"));
	assert_non_null(strstr(text, "penstock_bad_name__{stage=\"s\",stage_label=\"x\\\"\\n\"} 1\n"));
	assert_non_null(strstr(text, "penstock_unit_seconds{stage=\"s\"} 18446744073.709551615\n"));
	assert_non_null(strstr(text, "\npenstock_stage_events_total{stage=\"s\"} 3\n"));
	assert_null(strstr(text, "\npenstock_events_total"));
	assert_null(strstr(text, "\npenstock_tcp_connect_duration_seconds_total"));
	assert_non_null(strstr(text, "\npenstock_x_total{stage=\"s\"} "));
	assert_null(strstr(strstr(text, "\npenstock_x_total{") + 1, "\npenstock_x_total{"));
	/* "", 9lives, histogram; the second x, the second y */
	assert_non_null(strstr(text, "penstock_stage_stats_skipped 5\n"));
	pst_buf_done(&out);
	stage_stats_free((struct stage_stats *)stats[0]);
}

/* A stage's own rows and those that it makes when asked all have room; names of rules are anybody's text. */
static void as_many_as_a_stage_has(void **state)
{
	enum { MOST = PST_STATS_MAX + 1 + PST_STATS_EXTRA_MAX };
	struct row *rows = calloc(MOST + 4, sizeof(*rows));
	char(*labels)[32] = calloc(MOST + 4, sizeof(*labels));
	const struct stage_stats *stats;
	struct pst_buf out = {0};
	char last[64];

	(void)state;
	assert_true(rows && labels);
	for (unsigned i = 0; i < MOST + 3; i++) {
		snprintf(labels[i], sizeof(labels[i]), i ? "rule %u" : "a \"rule\"\\\n", i);
		rows[i] = (struct row){"rule_packets", "rule", labels[i], "counter", i + 1, "Packets."};
	}
	stats = parse("policyd", rows);
	expose(&stats, 1, &out, false);
	assert_non_null(strstr((char *)out.p, "{stage=\"policyd\",rule=\"a \\\"rule\\\"\\\\\\n\"} 1\n"));
	snprintf(last, sizeof(last), "{stage=\"policyd\",rule=\"rule %d\"} %d\n", MOST - 1, MOST);
	assert_non_null(strstr((char *)out.p, last));
	snprintf(last, sizeof(last), "\"rule %d\"", MOST);
	assert_null(strstr((char *)out.p, last));
	assert_non_null(strstr((char *)out.p, "penstock_stage_stats_skipped 3\n"));
	stage_stats_free((struct stage_stats *)stats);
	pst_buf_done(&out);
	free(rows);
	free(labels);
}

static void anything_at_all(void **state)
{
	msgpack_object objects[] = {{.type = MSGPACK_OBJECT_NIL}, {.type = MSGPACK_OBJECT_BOOLEAN},
		{.type = MSGPACK_OBJECT_ARRAY}};
	struct stage_stats *stats;

	(void)state;
	stats = stage_stats_parse("s", NULL, 32);
	stage_stats_free(stats);
	for (unsigned i = 0; i < 3; i++) {
		msgpack_object array = {.type = MSGPACK_OBJECT_ARRAY, .via.array = {1, &objects[i]}};
		const struct stage_stats *one;
		struct pst_buf out = {0};

		one = stage_stats_parse("s", &array, 32);
		assert_non_null(one);
		assert_non_null(strstr(expose(&one, 1, &out, false), "skipped 1\n"));
		stage_stats_free((struct stage_stats *)one);
		pst_buf_done(&out);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(families_of_several_stages),
		cmocka_unit_test(several_labels),
		cmocka_unit_test(hostile_rows),
		cmocka_unit_test(as_many_as_a_stage_has),
		cmocka_unit_test(anything_at_all),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
