// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/wire_test.h"

static struct pst_buf out;
static struct pst_event event;

static int fresh(void **state)
{
	(void)state;
	out.len = 0;
	memset(&event, 0, sizeof(event));
	return 0;
}
static int done(void **state)
{
	(void)state;
	pst_buf_done(&out);
	return 0;
}

static const char *str(const char *bytes, size_t len)
{
	out.len = 0;
	pst_json_str(&out, bytes, len);
	assert_true(json_valid(out.p, out.len));
	return buf_text(&out);
}
#define STR(s) str(s, sizeof(s) - 1)

static void plain_strings(void **state)
{
	char text[64], want[68];

	(void)state;
	for (size_t len = 0; len < sizeof(text); len++) { /* each of the ways to copy */
		for (size_t i = 0; i < len; i++)
			text[i] = (char)('a' + i % 26);
		snprintf(want, sizeof(want), "\"%.*s\"", (int)len, text);
		assert_string_equal(str(text, len), want);
	}
	assert_string_equal(STR("~ /<>&'"), "\"~ /<>&'\"");
	assert_string_equal(
		STR("\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80"), "\"\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\"");
}

static void escapes(void **state)
{
	(void)state;
	assert_string_equal(STR("\""), "\"\\\"\"");
	assert_string_equal(STR("\\"), "\"\\\\\"");
	assert_string_equal(STR("\b\t\n\f\r"), "\"\\b\\t\\n\\f\\r\"");
	assert_string_equal(STR("\0\x01\x0b\x1f\x7f"), "\"\\u0000\\u0001\\u000b\\u001f\\u007f\"");
	/* what JSON lets through, and terminals and scripts should not get */
	assert_string_equal(STR("\x1b[2J"), "\"\\u001b[2J\"");
	assert_string_equal(STR("\xc2\x80\xc2\x9b\xc2\x9f\xc2\xa0"), "\"\\u0080\\u009b\\u009f\xc2\xa0\"");
	assert_string_equal(STR("\xe2\x80\xa7\xe2\x80\xa8\xe2\x80\xa9\xe2\x80\xae\xe2\x80\xaf"),
		"\"\xe2\x80\xa7\\u2028\\u2029\\u202e\xe2\x80\xaf\"");
	assert_string_equal(STR("\xe2\x81\xa6\xe2\x81\xa9"), "\"\\u2066\\u2069\"");
	assert_string_equal(
		STR("\xd8\x9c\xe2\x80\x8e\xe2\x80\x8f\xef\xbb\xbf"), "\"\\u061c\\u200e\\u200f\\ufeff\"");
}

#define R "\xef\xbf\xbd"
static void bytes_that_are_no_text(void **state)
{
	(void)state;
	assert_string_equal(STR("\x80"), "\"" R "\"");
	assert_string_equal(STR("\xff\xfe"), "\"" R R "\"");
	assert_string_equal(STR("\xc0\xaf"), "\"" R R "\""); /* overlong */
	assert_string_equal(STR("\xe0\x80\xaf"), "\"" R R R "\"");
	assert_string_equal(STR("\xf0\x8f\xbf\xbf"), "\"" R R R R "\"");
	assert_string_equal(STR("\xed\xa0\x80"), "\"" R R R "\"");       /* a surrogate */
	assert_string_equal(STR("\xf4\x90\x80\x80"), "\"" R R R R "\""); /* beyond U+10FFFF */
	assert_string_equal(STR("\xf4\x8f\xbf\xbf"), "\"\xf4\x8f\xbf\xbf\"");
	assert_string_equal(STR("a\xe2\x82"), "\"a" R "\""); /* cut off: one replacement */
	assert_string_equal(STR("\xf0\x9f\x98"), "\"" R "\"");
	assert_string_equal(STR("\xf0\x9f\x98x"), "\"" R "x\"");
	assert_string_equal(STR("\xe2\x82\""), "\"" R "\\\"\"");
	assert_string_equal(STR("\xc3\xc3\xa9"), "\"" R "\xc3\xa9\"");
}

/* A byte of each value at each place, in strings of each length: nothing is missed, whichever way it is
 * copied. */
static void every_byte_at_every_place(void **state)
{
	(void)state;
	for (size_t len = 1; len <= 40; len++)
		for (size_t at = 0; at < len; at++)
			for (unsigned c = 0; c < 256; c++) {
				char *text = malloc(len);

				memset(text, 'x', len);
				text[at] = (char)c;
				str(text, len);
				bool plain = c >= 0x20 && c < 0x7f && c != '"' && c != '\\';
				if (plain != (out.len == len + 2))
					fail_msg("byte %u at %zu of %zu", c, at, len);
				free(text);
			}
}

static void random_strings_are_valid(void **state)
{
	uint64_t seed = 99;

	(void)state;
	for (int i = 0; i < 100000; i++) {
		size_t len = random_u64(&seed) % 50;
		char *text = malloc(len ? len : 1);

		for (size_t j = 0; j < len; j++) {
			uint64_t r = random_u64(&seed);
			text[j] = r & 0x300 ? "\xe2\x80\xa8\xf0\x9f\xed\xc2\"\\x"[r % 10] : (char)r;
		}
		str(text, len); /* checks it */
		free(text);
	}
}

static void numbers(void **state)
{
	(void)state;
	pst_json_uint(&out, UINT64_MAX);
	pst_json_raw(&out, ",");
	pst_json_int(&out, INT64_MIN);
	pst_json_raw(&out, ",");
	pst_json_int(&out, 0);
	assert_string_equal(buf_text(&out), "18446744073709551615,-9223372036854775808,0");
}

/* ---- events ---- */

static const char *json_of(int64_t offset)
{
	out.len = 0;
	pst_json_event(&out, &event, offset);
	if (!json_valid(out.p, out.len))
		fail_msg("%s", buf_text(&out));
	return buf_text(&out);
}

static void set_kind(uint32_t kind)
{
	memset(&event, 0, sizeof(event));
	event.kind = kind;
	event.desc = pst_kind_by_id(kind);
	event.n_stages = 1;
}

static void an_exec(void **state)
{
	struct pst_buf list = {0}, procs = {0};
	struct pst_val *v = event.sensor;
	uint32_t n;

	(void)state;
	set_kind(PST_KIND_EXEC);
	event.ts_ns = 5000000001;
	v[PST_EXEC_F_pid].u = 7;
	v[PST_EXEC_F_gid].u = 4294967295;
	v[PST_EXEC_F_exe] = pst_val_str("/bin/ls", 7);
	pst_list_add_nul(&list, "ls\0\0-l", 6, &n);
	v[PST_EXEC_F_argv] = (struct pst_val){.p = list.p, .len = (uint32_t)list.len, .n = n};
	v[PST_EXEC_F_flags].u = 0x10;
	v[PST_EXEC_F_cap_effective].u = 3;
	v[PST_EXEC_F_tty].u = 136 << 20 | 2;
	v[PST_EXEC_F_euid].u = 5;
	v[PST_EXEC_F_loginuid].u = 4294967295;
	event.n_stages = 2;
	event.enricher[PST_ENR_exe] = pst_val_str("/other", 6); /* not twice */
	event.enricher[PST_ENR_user] = pst_val_str("root", 4);
	pst_procs_add(&procs, 1, 2, "/sbin/init", 10);
	pst_procs_add(&procs, 0, 0, "", 0);
	event.enricher[PST_ENR_ancestors] =
		(struct pst_val){.p = procs.p, .len = (uint32_t)procs.len, .n = 2};
	assert_string_equal(json_of(1000000000),
		"{\"kind\":\"process_exec\",\"time\":\"1970-01-01T00:00:06.000000001Z\",\"ts_ns\":5000000001,"
		"\"pid\":7,\"uid\":0,"
		"\"exe\":\"/bin/ls\",\"argv\":[\"ls\",\"\",\"-l\"],\"flags\":[\"unlinked\"],\"euid\":5,"
		"\"cap_effective\":[\"CAP_CHOWN\",\"CAP_DAC_OVERRIDE\"],\"tty\":\"136:2\",\"user\":\"root\","
		"\"ancestors\":[{\"pid\":1,\"start_ns\":2,\"exe\":\"/sbin/"
		"init\"},{\"pid\":0,\"start_ns\":0}]}");
	v[PST_EXEC_F_exe].len = 0; /* then the enricher's */
	assert_non_null(strstr(json_of(0), "\"exe\":\"/other\""));
	pst_buf_done(&list);
	pst_buf_done(&procs);
}

static void a_connect_with_names(void **state)
{
	struct pst_val *v = event.sensor;

	(void)state;
	set_kind(PST_KIND_CONNECT);
	v[PST_CONNECT_F_protocol].u = 6;
	v[PST_CONNECT_F_family].u = 2;
	v[PST_CONNECT_F_raddr] = pst_val_str("\x7f\0\0\x01", 4);
	v[PST_CONNECT_F_rport].u = 80;
	v[PST_CONNECT_F_error].u = 111;
	assert_string_equal(json_of(0),
		"{\"kind\":\"tcp_connect\",\"time\":\"1970-01-01T00:00:00.000000000Z\",\"ts_ns\":0,"
		"\"protocol\":\"tcp\","
		"\"family\":\"inet\",\"raddr\":\"127.0.0.1\",\"rport\":80,\"error\":\"ECONNREFUSED\"}");
	v[PST_CONNECT_F_error].u = 0; /* it worked: left out */
	assert_null(strstr(json_of(0), "error"));
	v[PST_CONNECT_F_error].u = 512; /* one type, name or not */
	v[PST_CONNECT_F_protocol].u = 253;
	assert_non_null(strstr(json_of(0), "\"error\":\"512\""));
	assert_non_null(strstr(json_of(0), "\"protocol\":\"253\""));
}

static void what_zero_means(void **state)
{
	(void)state;
	set_kind(PST_KIND_EXIT);
	event.sensor[PST_EXIT_F_pid].u = 1;
	assert_non_null(strstr(json_of(0), "\"uid\":0,\"gid\":0,\"exit_code\":0}"));
	event.sensor[PST_EXIT_F_signal].u = 9;
	event.sensor[PST_EXIT_F_core_dumped].u = 1;
	assert_non_null(strstr(json_of(0), "\"signal\":\"SIGKILL\",\"core_dumped\":true}"));
	set_kind(PST_KIND_RETRANSMIT); /* of no process: not root's */
	assert_null(strstr(json_of(0), "uid"));
	set_kind(PST_KIND_DROP);
	event.sensor[PST_DROP_F_location].u = 0xffffffff81000000;
	event.sensor[PST_DROP_F_tcp_flags].u = 0x102;
	assert_non_null(
		strstr(json_of(0), "\"tcp_flags\":[\"SYN\",\"bit8\"],\"location\":\"0xffffffff81000000\"}"));
	set_kind(PST_KIND_NODE);
	event.sensor[PST_NODE_F_wall_offset_ns].i = -5;
	assert_non_null(strstr(json_of(0), "\"wall_offset_ns\":-5}"));
}

static void all_capabilities_are_spelt(void **state)
{
	(void)state;
	set_kind(PST_KIND_EXEC);
	event.sensor[PST_EXEC_F_cap_effective].u = (1ull << 41) - 1;
	const char *text = strstr(json_of(0), "\"cap_effective\":[\"CAP_CHOWN\",");
	assert_non_null(text);
	unsigned n = 0;
	for (const char *p = text; (p = strstr(p, "\"CAP_")); p++)
		n++;
	assert_int_equal(n, 41);
	assert_non_null(strstr(text, ",\"CAP_CHECKPOINT_RESTORE\"]"));
	event.sensor[PST_EXEC_F_cap_effective].u = UINT64_MAX;
	assert_non_null(strstr(json_of(0), "\"CAP_CHECKPOINT_RESTORE\",\"bit41\""));
}

static void bytes_are_kept_beside_the_text(void **state)
{
	struct pst_buf list = {0};
	struct pst_val *v = event.sensor;

	(void)state;
	set_kind(PST_KIND_EXEC_FAILED);
	v[PST_EXEC_FAILED_F_filename] = pst_val_str("/\xff\xfe", 3);
	pst_list_add(&list, "ok", 2);
	pst_list_add(&list, "\xff", 1);
	pst_list_add(&list, "", 0);
	v[PST_EXEC_FAILED_F_argv] = (struct pst_val){.p = list.p, .len = (uint32_t)list.len, .n = 3};
	const char *text = json_of(0);
	assert_non_null(strstr(text, "\"filename\":\"/" R R "\",\"filename_b64\":\"L//+\","));
	assert_non_null(
		strstr(text, "\"argv\":[\"ok\",\"" R "\",\"\"],\"argv_b64\":[\"b2s=\",\"/w==\",\"\"]"));
	list.len = 0;
	pst_procs_add(&list, 1, 2, "\xff\xff", 2);
	event.n_stages = 2;
	event.enricher[PST_ENR_ancestors] = (struct pst_val){.p = list.p, .len = (uint32_t)list.len, .n = 1};
	assert_non_null(
		strstr(json_of(0), "{\"pid\":1,\"start_ns\":2,\"exe\":\"" R R "\",\"exe_b64\":\"//8=\"}"));
	pst_buf_done(&list);
}

static void alerts_and_unknown_kinds(void **state)
{
	(void)state;
	set_kind(PST_KIND_LOSS);
	event.policyd[PST_POL_rule] = pst_val_str("r", 1);
	assert_null(strstr(json_of(0), "rule")); /* policyd has not seen it */
	event.n_stages = 3;
	assert_non_null(strstr(json_of(0), "\"rule\":\"r\",\"severity\":\"debug\"}"));
	set_kind(4242);
	event.n_stages = 2;
	event.enricher[PST_ENR_exe] = pst_val_str("/x", 2);
	assert_string_equal(json_of(0), "{\"kind\":\"unknown\",\"time\":\"1970-01-01T00:00:00.000000000Z\","
					"\"ts_ns\":0,\"kind_id\":4242,\"exe\":\"/x\"}");
}

static void times_stay_within_the_calendar(void **state)
{
	(void)state;
	set_kind(PST_KIND_LOSS);
	event.ts_ns = 10;
	assert_non_null(strstr(json_of(-11), "\"time\":\"1970-01-01T00:00:00.000000000Z\""));
	assert_non_null(strstr(json_of(INT64_MIN), "\"time\":\"1970-01-01T00:00:00.000000000Z\""));
	assert_non_null(strstr(json_of(-10), "\"time\":\"1970-01-01T00:00:00.000000000Z\""));
	assert_non_null(strstr(json_of(-9), "\"time\":\"1970-01-01T00:00:00.000000001Z\""));
	event.ts_ns = UINT64_MAX;
	assert_non_null(strstr(
		json_of(1), "\"time\":\"2554-07-21T23:34:33.709551615Z\",\"ts_ns\":18446744073709551615"));
	assert_int_equal(pst_wall_ns(5, INT64_MAX), (uint64_t)INT64_MAX + 5);
	assert_int_equal(pst_wall_ns(UINT64_MAX, INT64_MIN), (uint64_t)INT64_MAX);
}

/* Room is reserved for the worst that a field can become. */
static void the_longest_of_everything(void **state)
{
	static char text[PST_STRING_MAX];
	struct pst_buf list = {0}, procs = {0};

	(void)state;
	memset(text, 1, sizeof(text));
	for (int i = 0; i < 5; i++)
		pst_list_add(&list, text, sizeof(text));
	for (int i = 0; i < 16; i++)
		pst_procs_add(&procs, UINT32_MAX, UINT64_MAX, text, sizeof(text));
	for (size_t k = 0; k < pst_n_kinds; k++) {
		set_kind(pst_kinds[k].id);
		event.ts_ns = UINT64_MAX;
		event.n_stages = 3;
		for (unsigned f = 0; f < event.desc->n_fields + 0u + PST_ENR_N + PST_POL_N; f++) {
			unsigned s = event.desc->n_fields, e = s + PST_ENR_N;
			const struct pst_field *field = f < s   ? &event.desc->fields[f]
							: f < e ? &pst_enricher_fields[f - s]
								: &pst_policyd_fields[f - e];
			struct pst_val *v = f < s   ? &event.sensor[f]
					    : f < e ? &event.enricher[f - s]
						    : &event.policyd[f - e];
			*v = field->type == PST_T_L
				     ? (struct pst_val){.p = list.p, .len = (uint32_t)list.len, .n = 5}
			     : field->type == PST_T_P
				     ? (struct pst_val){.p = procs.p, .len = (uint32_t)procs.len, .n = 16}
			     : field->type == PST_T_S ? pst_val_str(text, sizeof(text))
			     : field->type == PST_T_A ? pst_val_str("0123456789abcdef", 16)
						      : (struct pst_val){.u = UINT64_MAX};
		}
		pst_buf_done(&out); /* so that each growth is seen */
		json_of(INT64_MAX);
		assert_false(out.failed);
	}
	pst_buf_done(&list);
	pst_buf_done(&procs);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(plain_strings, fresh, done),
		cmocka_unit_test_setup_teardown(escapes, fresh, done),
		cmocka_unit_test_setup_teardown(bytes_that_are_no_text, fresh, done),
		cmocka_unit_test_setup_teardown(every_byte_at_every_place, fresh, done),
		cmocka_unit_test_setup_teardown(random_strings_are_valid, fresh, done),
		cmocka_unit_test_setup_teardown(numbers, fresh, done),
		cmocka_unit_test_setup_teardown(an_exec, fresh, done),
		cmocka_unit_test_setup_teardown(a_connect_with_names, fresh, done),
		cmocka_unit_test_setup_teardown(what_zero_means, fresh, done),
		cmocka_unit_test_setup_teardown(all_capabilities_are_spelt, fresh, done),
		cmocka_unit_test_setup_teardown(bytes_are_kept_beside_the_text, fresh, done),
		cmocka_unit_test_setup_teardown(alerts_and_unknown_kinds, fresh, done),
		cmocka_unit_test_setup_teardown(times_stay_within_the_calendar, fresh, done),
		cmocka_unit_test_setup_teardown(the_longest_of_everything, fresh, done),
	};
	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("json", tests, NULL, NULL);
}
