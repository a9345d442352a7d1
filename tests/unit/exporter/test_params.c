// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/base_test.h"

#include "exporter/params.h"

static int parse(const char *query, char *buf, struct params *params, char *error)
{
	memcpy(buf, query, strlen(query) + 1);
	return params_parse(buf, params, error, 160);
}

static void queries(void **state)
{
	struct params params;
	char buf[256], error[160];

	(void)state;
	assert_int_equal(parse("", buf, &params, error), 0);
	assert_int_equal(params.n, 0);
	assert_int_equal(parse("kind=process_%2A&pid=1&&pid=2&flag&x=a+b%20c&e=", buf, &params, error), 0);
	assert_int_equal(params.n, 6);
	assert_string_equal(params_get(&params, "kind"), "process_*");
	assert_string_equal(params_get(&params, "pid"), "1");
	assert_string_equal(params.v[2].value, "2");
	assert_string_equal(params_get(&params, "flag"), "");
	assert_string_equal(params_get(&params, "x"), "a b c");
	assert_string_equal(params_get(&params, "e"), "");
	assert_null(params_get(&params, "none"));
	assert_int_equal(parse("a=1=2", buf, &params, error), 0);
	assert_string_equal(params_get(&params, "a"), "1=2");
	assert_int_equal(parse("%61=%3d", buf, &params, error), 0);
	assert_string_equal(params_get(&params, "a"), "=");
}

static void broken_queries(void **state)
{
	static const char *const bad[] = {
		"a=%", "a=%2", "a=%zz", "%4", "a=1&b=%g0", "a=%00", "%00=a", "a=x%00y"};
	struct params params;
	char buf[4096], many[4096] = "", error[160];

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(parse(bad[i], buf, &params, error), -EINVAL);
	assert_int_equal(parse("a=1&b=%g0", buf, &params, error), -EINVAL);
	assert_non_null(strstr(error, "parameter 2"));
	for (unsigned i = 0; i < PARAMS_MAX; i++)
		memcpy(many + 4 * i, "a=1&", 5);
	assert_int_equal(parse(many, buf, &params, error), 0);
	memcpy(many + 4 * PARAMS_MAX, "a=1", 4);
	assert_int_equal(parse(many, buf, &params, error), -EINVAL);
}

static void numbers(void **state)
{
	static const char *const bad[] = {
		"n=", "n=-1", "n=x", "n=1x", "n=11", "n=99999999999999999999", "n= 1", "n=0x1"};
	struct params params;
	char buf[64], error[160];
	uint64_t v;

	(void)state;
	assert_int_equal(parse("n=10", buf, &params, error), 0);
	assert_int_equal(params_u64(&params, "n", 1, 10, 5, &v, error, sizeof(error)), 0);
	assert_int_equal(v, 10);
	assert_int_equal(params_u64(&params, "m", 1, 10, 5, &v, error, sizeof(error)), 0);
	assert_int_equal(v, 5);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_int_equal(parse(bad[i], buf, &params, error), 0);
		assert_int_equal(params_u64(&params, "n", 1, 10, 5, &v, error, sizeof(error)), -EINVAL);
		assert_string_equal(error, "n: expected a number from 1 to 10");
	}
}

static void booleans(void **state)
{
	struct params params;
	char buf[64], error[160];
	bool v;

	(void)state;
	assert_int_equal(parse("a&b=1&c=true&d=0&e=no&f=maybe", buf, &params, error), 0);
	for (const char *key = "abc"; *key; key++) {
		assert_int_equal(params_bool(&params, (char[2]){*key, 0}, &v, error, sizeof(error)), 0);
		assert_true(v);
	}
	for (const char *key = "dez"; *key; key++) {
		assert_int_equal(params_bool(&params, (char[2]){*key, 0}, &v, error, sizeof(error)), 0);
		assert_false(v);
	}
	assert_int_equal(params_bool(&params, "f", &v, error, sizeof(error)), -EINVAL);
}

static void accept_headers(void **state)
{
	static const char *const types[] = {"text/plain", "application/openmetrics-text"};
	static const char *const versions[] = {"0.0.4", "1.0.0"};
	static const struct {
		const char *header;
		int choice;
	} cases[] = {
		{NULL, 0},
		{"", 0},
		{"*/*", 0},
		{"text/*", 0},
		{"application/*", 1},
		{"application/json", -1},
		{"text/plain;q=0", -1},
		{"application/openmetrics-text; version=1.0.0; charset=utf-8", 1},
		{"application/openmetrics-text; version=0.0.1", -1},
		{"APPLICATION/OpenMetrics-Text", 1},
		{"text/plain;q=0.3, application/openmetrics-text;q=0.4", 1},
		{"text/plain;q=0.5, application/openmetrics-text;q=0.4", 0},
		/* what Prometheus 2.42 sends */
		{"application/openmetrics-text;version=1.0.0,application/"
		 "openmetrics-text;version=0.0.1;q=0.75,text/"
		 "plain;version=0.0.4;q=0.5,*/*;q=0.1",
			1},
		/* an exact range outweighs a wide one */
		{"*/*;q=1, text/plain;q=0.1, application/openmetrics-text;q=0.2", 1},
		{"text/plain;q=0.1, */*;q=1", 1},
		{"garbage, ;;;=, /, text/plain", 0},
		{";q=1,,,", -1},
		{"text/plain;q=abc", 0},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		int choice = accept_choose(cases[i].header, types, versions, 2);

		if (choice != cases[i].choice)
			fail_msg("%s: %d, expected %d", cases[i].header, choice, cases[i].choice);
	}
}

static void hosts(void **state)
{
	static const char *const names[] = {"node.example"};
	static const char *const good[] = {"localhost", "localhost:9435", "127.0.0.1", "127.0.0.1:1",
		"127.9.9.9:80", "[::1]", "[::1]:9435", "LOCALHOST", "node.example", "Node.Example:9435", ""};
	static const char *const bad[] = {"evil.example", "evil.example:9435", "localhost.evil.example",
		"127.0.0.1.evil.example", "10.0.0.1", "[::2]:9435", "[::1", "[::1]x", "0x7f000001", "127.1",
		"2130706433", ":9435"};

	(void)state;
	assert_true(host_allowed(NULL, names, 1));
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
		if (!host_allowed(good[i], names, 1))
			fail_msg("%s is refused", good[i]);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		if (host_allowed(bad[i], names, 1))
			fail_msg("%s is let in", bad[i]);
	assert_false(host_allowed("node.example", NULL, 0));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(queries),
		cmocka_unit_test(broken_queries),
		cmocka_unit_test(numbers),
		cmocka_unit_test(booleans),
		cmocka_unit_test(accept_headers),
		cmocka_unit_test(hosts),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
