// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/base_test.h"
#include "proto/base/args.h"
#include "proto/base/cleanup.h"

static struct {
	bool follow, verbose;
	const char *config;
	uint64_t last, since;
	struct pst_arg_strs filters;
} got;

static const struct pst_arg options[] = {
	{"follow", 'f', PST_ARG_FLAG, &got.follow, NULL, "go on with new events as they come"},
	{"verbose", 'v', PST_ARG_FLAG, &got.verbose, NULL, "say more"},
	{"config", 'c', PST_ARG_STR, &got.config, "FILE",
		"configuration file to read in place of /etc/penstock/penstock.yaml, which need not exist "
		"unless it is "
		"named here"},
	{"last", 'n', PST_ARG_U64, &got.last, "N", "begin with the last N events"},
	{"since", 0, PST_ARG_TIME, &got.since, "TIME", "begin that long ago"},
	{"a-filter-with-a-very-long-name", 0, PST_ARG_STRS, &got.filters, "EXPRESSION", "only what matches"},
	{0},
};

static const struct pst_args with_words = {
	.program = "penstock observe",
	.summary = "Shows events.",
	.positional = "[KIND]...",
	.options = options,
	.examples = "  penstock observe --last 5\n",
};
static const struct pst_args no_words = {.program = "penstock-x", .summary = "X.", .options = options};

static char *words[64];
static struct capture out, err;
static char out_text[65536], err_text[65536];

/* Splits @line at blanks, parses it; output goes to out_text and err_text. */
static int parse(const struct pst_args *args, const char *line)
{
	static char copy[1024];
	int argc = 1;

	memset(&got, 0, sizeof(got));
	snprintf(copy, sizeof(copy), "%s", line);
	words[0] = (char *)"program";
	for (char *save, *w = strtok_r(copy, " ", &save); w; w = strtok_r(NULL, " ", &save))
		words[argc++] = w;
	words[argc] = NULL;
	capture_begin(&out, 1);
	capture_begin(&err, 2);
	int r = pst_args_parse(args, argc, words);
	strcpy(err_text, capture_end(&err));
	strcpy(out_text, capture_end(&out));
	return r;
}

static void every_form_of_an_option(void **state)
{
	static const char *const forms[] = {
		"--config f --last 7 --follow",
		"--config=f --last=7 --follow",
		"-c f -n 7 -f",
		"-cf -n7 -f",
		"-fcf -n 0x7",
		"-fvc f -n 007",
	};

	(void)state;
	for (unsigned i = 0; i < PST_ARRAY_SIZE(forms); i++) {
		assert_int_equal(parse(&no_words, forms[i]), 0);
		assert_string_equal(got.config, "f");
		assert_int_equal(got.last, 7);
		assert_true(got.follow);
		assert_string_equal(err_text, "");
	}
	assert_int_equal(parse(&no_words, "--since 1500ms"), 0);
	assert_int_equal(got.since, 1500000000);
	assert_int_equal(parse(&no_words, "--config= --last 18446744073709551615"), 0);
	assert_string_equal(got.config, "");
	assert_true(got.last == UINT64_MAX);
	assert_int_equal(parse(&no_words, ""), 0);
}

static void words_stay_in_order(void **state)
{
	(void)state;
	assert_int_equal(parse(&with_words, "exec -f - --last 3 exit -- -n --config"), 5);
	static const char *const want[] = {"exec", "-", "exit", "-n", "--config"};
	for (unsigned i = 0; i < 5; i++)
		assert_string_equal(words[1 + i], want[i]);
	assert_null(words[6]);
	assert_true(got.follow);
	assert_int_equal(got.last, 3);
	assert_null(got.config);
}

static void repeated_strings(void **state)
{
	(void)state;
	assert_int_equal(
		parse(&no_words, "--a-filter-with-a-very-long-name=a --a-filter-with-a-very-long-name b"), 0);
	assert_int_equal(got.filters.n, 2);
	assert_string_equal(got.filters.v[1], "b");
}

static void too_many_repeats(void **state)
{
	const struct pst_arg one[] = {{"e", 'e', PST_ARG_STRS, &got.filters, "E", "e"}, {0}};
	const struct pst_args args = {.program = "p", .summary = "", .options = one};
	char line[256] = "";

	(void)state;
	for (int i = 0; i < 32; i++)
		strcat(line, "-ex ");
	assert_int_equal(parse(&args, line), 0);
	assert_int_equal(got.filters.n, 32);
	strcat(line, "-ex");
	assert_int_equal(parse(&args, line), -EINVAL);
	assert_non_null(strstr(err_text, "--e may be given at most 32 times"));
}

static void errors_say_what_was_expected(void **state)
{
	static const struct {
		const char *line, *message;
	} cases[] = {
		{"--folow", "penstock-x: unknown option --folow; did you mean --follow?\nTry 'penstock-x "
			    "--help'.\n"},
		{"--hlep", "did you mean --help?"},
		{"--zzz=1", "unknown option --zzz\n"},
		{"--", ""},
		{"-x", "unknown option -x"},
		{"-fx", "unknown option -x"},
		{"-\x01", "unknown option -?"},
		{"--follow=1", "--follow takes no value"},
		{"--config", "--config needs a value (FILE)"},
		{"-n", "--last needs a value (N)"},
		{"--last 7x", "--last: \"7x\" is not a number"},
		{"--last=", "--last: \"\" is not a number"},
		{"--last 0x", "--last: \"0x\" is not a number"},
		{"--last -1", "--last: \"-1\" is not a number"},
		{"--last 18446744073709551616", "too large"},
		{"--since 5", "--since: \"5\" is not a time; write it as 500ms, 5s, 2m, 1h or 1d"},
		{"--since 99999999999999d", "too large"},
		{"word", "\"word\" is not expected: only options are"},
	};

	(void)state;
	for (unsigned i = 0; i < PST_ARRAY_SIZE(cases); i++) {
		int r = parse(&no_words, cases[i].line);

		assert_int_equal(r, cases[i].message[0] ? -EINVAL : 0);
		if (!strstr(err_text, cases[i].message))
			fail_msg("\"%s\": %s", cases[i].line, err_text);
		assert_string_equal(out_text, "");
	}
	char huge[1000];
	memset(huge, 'a', sizeof(huge));
	memcpy(huge, "--", 2);
	huge[sizeof(huge) - 1] = '\0';
	assert_int_equal(parse(&no_words, huge), -EINVAL);
	assert_true(strlen(err_text) < 200);
}

static void help_is_aligned_and_wrapped(void **state)
{
	(void)state;
	assert_int_equal(parse(&with_words, "--help"), -ECANCELED);
	assert_string_equal(out_text,
		"Usage: penstock observe [OPTION]... [KIND]...\n"
		"Shows events.\n"
		"\n"
		"Options:\n"
		"  -f, --follow                go on with new events as they come\n"
		"  -v, --verbose               say more\n"
		"  -c, --config FILE           configuration file to read in place of\n"
		"                              /etc/penstock/penstock.yaml, which need not exist\n"
		"                              unless it is named here\n"
		"  -n, --last N                begin with the last N events\n"
		"      --since TIME            begin that long ago\n"
		"      --a-filter-with-a-very-long-name EXPRESSION\n"
		"                              only what matches\n"
		"  -h, --help                  show this text\n"
		"  -V, --version               show the version\n"
		"\n"
		"Examples:\n"
		"  penstock observe --last 5\n");
	assert_int_equal(parse(&no_words, "-vh --nonsense"), -ECANCELED);
	assert_memory_equal(out_text, "Usage: penstock-x [OPTION]...\n", 30);
}

static void version_names_the_program(void **state)
{
	(void)state;
	assert_int_equal(parse(&with_words, "--version"), -ECANCELED);
	assert_memory_equal(out_text, "penstock observe ", 17);
	assert_ptr_equal(strchr(out_text, '\n'), out_text + strlen(out_text) - 1);
	assert_true(strlen(out_text) > 18);
	assert_int_equal(parse(&with_words, "-V"), -ECANCELED);
}

static void no_table_at_all(void **state)
{
	const struct pst_args bare = {.program = "p", .summary = "P."};

	(void)state;
	assert_int_equal(parse(&bare, ""), 0);
	assert_int_equal(parse(&bare, "--help"), -ECANCELED);
	assert_int_equal(parse(&bare, "--what"), -EINVAL);
	char *none[] = {NULL};
	assert_int_equal(pst_args_parse(&bare, 0, none), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_form_of_an_option),
		cmocka_unit_test(words_stay_in_order),
		cmocka_unit_test(repeated_strings),
		cmocka_unit_test(too_many_repeats),
		cmocka_unit_test(errors_say_what_was_expected),
		cmocka_unit_test(help_is_aligned_and_wrapped),
		cmocka_unit_test(version_names_the_program),
		cmocka_unit_test(no_table_at_all),
	};
	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("args", tests, NULL, NULL);
}
