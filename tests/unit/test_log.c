// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/base_test.h"
#include "proto/base/log.h"

static struct capture cap;

static const char *escaped(const char *bytes, unsigned len)
{
	static char buf[256];
	return pst_log_escape(buf, sizeof(buf), bytes, len);
}
#define ESC(literal) escaped(literal, sizeof(literal) - 1)

static void escape_keeps_what_is_readable(void **state)
{
	(void)state;
	assert_string_equal(ESC("plain text / 42"), "plain text / 42");
	assert_string_equal(ESC("gr\xc3\xbc\xc3\x9f \xe2\x82\xac \xf0\x9f\x90\x9d"),
		"gr\xc3\xbc\xc3\x9f \xe2\x82\xac \xf0\x9f\x90\x9d");
	assert_string_equal(ESC(""), "");
}

static void escape_shows_what_could_forge(void **state)
{
	(void)state;
	assert_string_equal(ESC("a\nb\tc\x1b[2J\x7f"), "a\\x0ab\\x09c\\x1b[2J\\x7f");
	assert_string_equal(ESC("a\0b"), "a\\x00b");
	assert_string_equal(ESC("say \"hi\" \\"), "say \\\"hi\\\" \\\\");
	assert_string_equal(ESC("\xc2\x9b"), "\\xc2\\x9b");          /* C1 control: CSI */
	assert_string_equal(ESC("\xe2\x80\xae"), "\\xe2\\x80\\xae"); /* right-to-left override */
	assert_string_equal(ESC("\xe2\x80\xa8"), "\\xe2\\x80\\xa8"); /* line separator */
}

static void escape_refuses_malformed_utf8(void **state)
{
	(void)state;
	assert_string_equal(ESC("\xc3"), "\\xc3");          /* cut */
	assert_string_equal(ESC("\xc0\xaf"), "\\xc0\\xaf"); /* overlong */
	assert_string_equal(ESC("\xe0\x80\x80"), "\\xe0\\x80\\x80");
	assert_string_equal(ESC("\xed\xa0\x80"), "\\xed\\xa0\\x80");          /* surrogate */
	assert_string_equal(ESC("\xf4\x90\x80\x80"), "\\xf4\\x90\\x80\\x80"); /* above U+10FFFF */
	assert_string_equal(ESC("\x80x\xff"), "\\x80x\\xff");
	assert_string_equal(ESC("\xe2\x82z"), "\\xe2\\x82z");
}

static void escape_cuts_with_dots(void **state)
{
	char buf[9];

	(void)state;
	assert_string_equal(pst_log_escape(buf, sizeof(buf), "12345678", 8), "12345678");
	assert_string_equal(pst_log_escape(buf, sizeof(buf), "123456789", 9), "12345...");
	/* The escape of \n does not fit before the dots: it goes as a whole. */
	assert_string_equal(pst_log_escape(buf, sizeof(buf), "12\n456789", 9), "12...");
	assert_string_equal(pst_log_escape(buf, 3, "12345", 5), "..");
	assert_string_equal(pst_log_plain(buf, sizeof(buf), "\"\\\x1b", 3), "\"\\\\x1b");
	assert_string_equal(pst_log_escape(buf, 1, "12345", 5), "");
	memset(buf, 'x', sizeof(buf));
	pst_log_escape(buf, 0, "12345", 5);
	assert_int_equal(buf[0], 'x');
}

static void text_line(void **state)
{
	(void)state;
	pst_log_init("collector", PST_LOG_TEXT, PST_LOG_INFO);
	capture_begin(&cap, 2);
	errno = ENOENT;
	pst_warn("cannot open path=%s: %m", "/a\nforged");
	assert_int_equal(errno, ENOENT);
	pst_debug("not shown");
	const char *line = capture_end(&cap);
	int year, month, day, hour, minute, second, ms, end = 0;
	assert_int_equal(sscanf(line, "%4d-%2d-%2dT%2d:%2d:%2d.%3dZ%n", &year, &month, &day, &hour, &minute,
				 &second, &ms, &end),
		7);
	assert_int_equal(end, 24);
	assert_string_equal(
		line + end, " warn collector cannot open path=/a\\x0aforged: No such file or directory\n");
}

static void json_line(void **state)
{
	(void)state;
	pst_log_init("policyd", PST_LOG_JSON, PST_LOG_DEBUG);
	capture_begin(&cap, 2);
	pst_debug("a \"quoted\" \\ \x01 \xff%s", "");
	const char *line = capture_end(&cap);
	const char *rest = strstr(line, "Z\",");
	assert_memory_equal(line, "{\"time\":\"", 9);
	assert_non_null(rest);
	assert_string_equal(rest,
		"Z\",\"level\":\"debug\",\"stage\":\"policyd\",\"message\":\"a \\\"quoted\\\" \\\\ "
		"\\\\x01 \\\\xff\"}\n");
}

static void long_lines_are_cut_and_end(void **state)
{
	static char huge[10000];

	(void)state;
	memset(huge, '"', sizeof(huge) - 1);
	for (int json = 0; json < 2; json++) {
		pst_log_init("x", json ? PST_LOG_JSON : PST_LOG_TEXT, PST_LOG_INFO);
		capture_begin(&cap, 2);
		pst_info("%s", huge);
		const char *line = capture_end(&cap);
		size_t len = strlen(line);
		assert_true(len > 1000 && len <= 4096);
		assert_ptr_equal(strchr(line, '\n'), line + len - 1);
		assert_non_null(strstr(line, json ? "...\"}\n" : "...\n"));
	}
}

static void limited_counts_what_it_holds_back(void **state)
{
	struct pst_ratelimit rl = {0};

	(void)state;
	pst_log_init("x", PST_LOG_TEXT, PST_LOG_INFO);
	capture_begin(&cap, 2);
	for (int i = 0; i < 5; i++)
		pst_log_limited(&rl, PST_LOG_WARN, "flood n=%d", i);
	rl.last_ns -= 1000000000u; /* as if a second had passed */
	pst_log_limited(&rl, PST_LOG_WARN, "flood n=%d", 5);
	const char *text = capture_end(&cap);
	assert_non_null(strstr(text, "flood n=0\n"));
	assert_null(strstr(text, "n=1"));
	assert_non_null(strstr(text, "flood n=5 suppressed=4\n"));
	assert_int_equal(rl.suppressed, 0);
}

static void lines_that_stderr_refuses_are_counted(void **state)
{
	int p[2], saved = dup(2);

	(void)state;
	pst_log_init("x", PST_LOG_TEXT, PST_LOG_INFO);
	assert_return_code(pipe2(p, O_NONBLOCK), errno);
	static char fill[65536];
	while (write(p[1], fill, sizeof(fill)) > 0)
		;
	dup2(p[1], 2);
	pst_info("one");
	pst_info("two");
	dup2(saved, 2);
	close(saved);
	close(p[0]);
	close(p[1]);
	capture_begin(&cap, 2);
	pst_info("three");
	pst_info("four");
	const char *text = capture_end(&cap);
	assert_non_null(strstr(text, "three lines_lost=2\n"));
	assert_non_null(strstr(text, "four\n"));
}

static void journal_gets_priority_and_no_time(void **state)
{
	struct stat st;
	char env[64];

	(void)state;
	capture_begin(&cap, 2);
	assert_return_code(fstat(2, &st), errno);
	snprintf(env, sizeof(env), "%llu:%llu", (unsigned long long)st.st_dev, (unsigned long long)st.st_ino);
	setenv("JOURNAL_STREAM", env, 1);
	pst_log_init("x", PST_LOG_TEXT, PST_LOG_INFO);
	pst_error("bad");
	setenv("JOURNAL_STREAM", "1:1", 1); /* inherited, but stderr is something else */
	pst_log_init("x", PST_LOG_TEXT, PST_LOG_INFO);
	pst_error("worse");
	unsetenv("JOURNAL_STREAM");
	const char *text = capture_end(&cap);
	assert_memory_equal(text, "<3>error x bad\n", 15);
	assert_int_equal(text[15], '2'); /* of the year */
}

static void levels_have_names(void **state)
{
	enum pst_log_level level = PST_LOG_WARN;

	(void)state;
	assert_int_equal(pst_log_level_parse("debug", &level), 0);
	assert_int_equal(level, PST_LOG_DEBUG);
	assert_int_equal(pst_log_level_parse("error", &level), 0);
	assert_int_equal(level, PST_LOG_ERROR);
	assert_int_equal(pst_log_level_parse("Error", &level), -EINVAL);
	assert_int_equal(pst_log_level_parse("", &level), -EINVAL);
	assert_int_equal(level, PST_LOG_ERROR);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(escape_keeps_what_is_readable),
		cmocka_unit_test(escape_shows_what_could_forge),
		cmocka_unit_test(escape_refuses_malformed_utf8),
		cmocka_unit_test(escape_cuts_with_dots),
		cmocka_unit_test(text_line),
		cmocka_unit_test(json_line),
		cmocka_unit_test(long_lines_are_cut_and_end),
		cmocka_unit_test(limited_counts_what_it_holds_back),
		cmocka_unit_test(lines_that_stderr_refuses_are_counted),
		cmocka_unit_test(journal_gets_priority_and_no_time),
		cmocka_unit_test(levels_have_names),
	};
	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("log", tests, NULL, NULL);
}
