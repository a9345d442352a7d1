// SPDX-License-Identifier: Apache-2.0
#include <time.h>

#include "proto/wire/filter.h"
#include "tests/unit/wire_test.h"

#define NOW 1700000000000000000

static struct pst_filter *filter;
static struct pst_event event;
static char error[256];

static int setup(void **state)
{
	(void)state;
	memset(&event, 0, sizeof(event));
	return pst_filter_new(&filter);
}
static int teardown(void **state)
{
	(void)state;
	pst_filter_free(filter);
	filter = NULL;
	return 0;
}

static void reset(void)
{
	pst_filter_free(filter);
	assert_int_equal(pst_filter_new(&filter), 0);
}

static void add(const char *key, const char *value)
{
	strcpy(error, "untouched");
	int r = pst_filter_add(filter, key, value, NOW, error, sizeof(error));
	if (r)
		fail_msg("%s=%s: %s", key, value, error);
	assert_string_equal(error, "untouched");
}

static bool matches(void)
{
	return pst_filter_match(filter, &event, NOW);
}

static bool only(const char *key, const char *value)
{
	reset();
	add(key, value);
	assert_false(pst_filter_empty(filter));
	return matches();
}

static void set_kind(uint32_t kind)
{
	memset(&event, 0, sizeof(event));
	event.kind = kind;
	event.desc = pst_kind_by_id(kind);
	event.n_stages = 2;
}

static void an_empty_filter_takes_all(void **state)
{
	(void)state;
	assert_true(pst_filter_empty(filter));
	set_kind(PST_KIND_EXEC);
	assert_true(matches());
	set_kind(4711);
	assert_true(matches());
	assert_true(pst_filter_wants_kind(filter, 4711));
	assert_true(pst_filter_empty(NULL));
	assert_true(pst_filter_match(NULL, &event, 0));
	assert_true(pst_filter_wants_kind(NULL, 1));
	pst_filter_free(NULL);
}

static void kinds(void **state)
{
	(void)state;
	set_kind(PST_KIND_EXEC);
	assert_true(only("kind", "process_exec"));
	assert_true(only("kind", "process_*"));
	assert_true(only("kind", "*"));
	assert_true(only("kind", "[n-p]rocess_exe?"));
	assert_false(only("kind", "process_exec_failed"));
	assert_false(only("kind", "tcp_*"));
	assert_true(pst_filter_wants_kind(filter, PST_KIND_CONNECT));
	assert_false(pst_filter_wants_kind(filter, PST_KIND_EXEC));
	assert_false(pst_filter_wants_kind(filter, 4711));
	add("kind", "process_exit"); /* several: any */
	assert_true(pst_filter_wants_kind(filter, PST_KIND_EXIT));
	assert_true(pst_filter_wants_kind(filter, PST_KIND_CLOSE));
	assert_false(matches());
	set_kind(4711);
	assert_false(matches());
	assert_true(only("kind", "unknown"));
	assert_true(pst_filter_wants_kind(filter, 4711));
	assert_false(pst_filter_wants_kind(filter, PST_KIND_EXEC));
	for (size_t k = 0; k < pst_n_kinds; k++)
		for (size_t other = 0; other < pst_n_kinds; other++) {
			set_kind(pst_kinds[other].id);
			assert_int_equal(only("kind", pst_kinds[k].name), k == other);
			assert_int_equal(pst_filter_wants_kind(filter, pst_kinds[other].id), k == other);
		}
}

static void processes(void **state)
{
	(void)state;
	set_kind(PST_KIND_FORK);
	event.sensor[PST_FORK_F_pid].u = 42;
	event.sensor[PST_FORK_F_child_pid].u = 43;
	event.sensor[PST_FORK_F_uid].u = 0;
	event.sensor[PST_FORK_F_comm] = pst_val_str("nginx: worker", 13);
	event.enricher[PST_ENR_user] = pst_val_str("root", 4);
	event.enricher[PST_ENR_exe] = pst_val_str("/usr/sbin/nginx", 15);
	event.enricher[PST_ENR_container_id] = pst_val_str("4f1c0e", 6);
	assert_true(only("pid", "42"));
	assert_true(only("pid", "43"));
	assert_false(only("pid", "4"));
	assert_true(only("comm", "nginx*"));
	assert_false(only("comm", "nginx"));
	assert_true(only("exe", "/usr/*/nginx"));
	assert_false(only("exe", "nginx"));
	assert_true(only("user", "root"));
	assert_false(only("user", "roo"));
	assert_false(only("user", "root2"));
	assert_false(only("user", "*"));
	assert_true(only("uid", "0"));
	assert_false(only("uid", "1"));
	assert_true(only("container", "4f1c"));
	assert_true(only("container", "4f1c0e"));
	assert_false(only("container", "4f1c0e7"));
	assert_false(only("container", "f1c"));
	event.sensor[PST_FORK_F_pid].u = 0; /* the kernel: uid 0 is not root's */
	assert_false(only("uid", "0"));
	set_kind(PST_KIND_EXEC); /* has its own exe */
	event.sensor[PST_EXEC_F_exe] = pst_val_str("/bin/ls", 7);
	assert_true(only("exe", "/bin/ls"));
	set_kind(PST_KIND_LOSS);
	assert_false(only("pid", "0"));
	assert_false(only("comm", "*"));
	assert_false(only("exe", "*"));
	assert_false(only("container", "0"));
}

static void ends(void **state)
{
	(void)state;
	set_kind(PST_KIND_CONNECT);
	event.sensor[PST_CONNECT_F_protocol].u = 6;
	event.sensor[PST_CONNECT_F_laddr] = pst_val_str("\x0a\0\0\x01", 4);
	event.sensor[PST_CONNECT_F_raddr] = pst_val_str("\xc0\0\x02\x21", 4);
	event.sensor[PST_CONNECT_F_lport].u = 40000;
	event.sensor[PST_CONNECT_F_rport].u = 443;
	assert_true(only("address", "10.0.0.1"));
	assert_true(only("address", "192.0.2.0/24"));
	assert_true(only("address", "10.0.0.0/8"));
	assert_false(only("address", "10.0.0.2"));
	assert_false(only("address", "::/0"));
	assert_true(only("port", "443"));
	assert_true(only("port", "40000"));
	assert_false(only("port", "80"));
	assert_false(only("port", "0"));
	set_kind(PST_KIND_FLOW);
	event.sensor[PST_FLOW_F_saddr] = pst_val_str("\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x01", 16);
	event.sensor[PST_FLOW_F_sport].u = 8;
	event.sensor[PST_FLOW_F_protocol].u = 17;
	assert_true(only("address", "2001:db8::/32"));
	assert_false(only("address", "2001:db9::/32"));
	assert_true(only("port", "8"));
	event.sensor[PST_FLOW_F_protocol].u = 1; /* ICMP: a type, no port */
	assert_false(only("port", "8"));
	set_kind(PST_KIND_EXEC);
	assert_false(only("port", "0"));
	assert_false(only("address", "0.0.0.0/0"));
}

static void alerts(void **state)
{
	(void)state;
	set_kind(PST_KIND_EXEC);
	assert_false(only("alert", "true"));
	assert_true(only("alert", "false"));
	assert_false(only("severity", "debug"));
	event.n_stages = 3;
	assert_false(only("alert", "true")); /* an empty array makes none */
	event.policyd[PST_POL_rule] = pst_val_str("shell-in-pod", 12);
	event.policyd[PST_POL_severity].u = 3;
	assert_true(only("alert", "true"));
	assert_false(only("alert", "false"));
	assert_true(only("severity", "notice"));
	assert_true(only("severity", "warning"));
	assert_true(only("severity", "3"));
	assert_false(only("severity", "error"));
	assert_true(only("rule", "shell-in-pod"));
	assert_true(only("rule", "shell-*"));
	assert_false(only("rule", "shell"));
	assert_false(only("policy", "*")); /* of another kind */
	set_kind(PST_KIND_POLICY);
	assert_false(only("policy", "*"));
	event.sensor[PST_POLICY_F_policy] = pst_val_str("secrets", 7);
	assert_true(only("policy", "secrets"));
	assert_true(only("policy", "sec*"));
	assert_false(only("policy", "secret"));
}

static void times(void **state)
{
	(void)state;
	set_kind(PST_KIND_EXEC);
	event.ts_ns = 60000000000; /* with the offset: a minute after NOW */
	assert_true(only("since", "2023-11-14T22:14:20Z"));
	assert_false(only("since", "2023-11-14T22:14:20.000000001Z"));
	assert_true(only("until", "2023-11-14T22:14:20Z"));
	assert_false(only("until", "2023-11-14T22:14:19.999999999Z"));
	assert_true(only("since", "5m"));
	assert_false(only("until", "5m"));
	assert_true(only("until", "1700000060"));
	assert_true(pst_filter_match(filter, &event, INT64_MIN));
	reset();
	add("since", "1m");
	assert_false(pst_filter_match(filter, &event, -60000000001)); /* before 1970 */
}

static void all_keys_and_any_value(void **state)
{
	(void)state;
	set_kind(PST_KIND_EXEC);
	event.sensor[PST_EXEC_F_pid].u = 5;
	event.sensor[PST_EXEC_F_comm] = pst_val_str("a", 1);
	reset();
	add("pid", "4");
	assert_false(matches());
	add("pid", "5");
	assert_true(matches());
	add("comm", "b");
	assert_false(matches());
	add("comm", "c");
	add("comm", "[a]");
	assert_true(matches());
	add("kind", "tcp_*");
	assert_false(matches());
	add("kind", "process_exec");
	assert_true(matches());
}

static void refuses(const char *key, const char *value, int want, const char *in_error)
{
	int r = pst_filter_add(filter, key, value, NOW, error, sizeof(error));

	if (r != want || !strstr(error, in_error))
		fail_msg("%s=%s: %d, %s", key, value, r, error);
}

static void errors(void **state)
{
	static const char *const bad[][2] = {{"kind", "no_such_kind"}, {"kind", ""}, {"pid", "x"},
		{"pid", "-1"}, {"pid", "4294967296"}, {"pid", ""}, {"comm", ""}, {"exe", ""},
		{"container", ""}, {"address", "10.0.0"}, {"address", "10.0.0.0/33"}, {"address", "host"},
		{"address", ""}, {"port", "65536"}, {"port", "http"}, {"user", ""}, {"uid", "root"},
		{"alert", "yes"}, {"alert", "2"}, {"severity", "high"}, {"severity", "6"}, {"rule", ""},
		{"since", "yesterday"}, {"until", ""}};
	char small[8], *huge = malloc(5001);

	(void)state;
	for (size_t i = 0; i < PST_ARRAY_SIZE(bad); i++) {
		char want[32];
		snprintf(want, sizeof(want), "%s: expected ", bad[i][0]);
		refuses(bad[i][0], bad[i][1], -EINVAL, want);
	}
	refuses("Kind", "x", -EINVAL, "unknown key, expected one of kind, pid, ");
	refuses("", "x", -EINVAL, "unknown key");
	refuses("kind\n", "\x1b[31m", -EINVAL, "until");
	refuses("pid", "\x1b[31m", -EINVAL, "process id");
	assert_null(strchr(error, '\x1b')); /* no byte of the value comes back */
	memset(huge, '*', 5000);
	huge[5000] = '\0';
	refuses("comm", huge, -E2BIG, "longer than");
	free(huge);
	memset(small, '#', sizeof(small));
	assert_int_equal(pst_filter_add(filter, "nonsense", "x", NOW, small, 7), -EINVAL);
	assert_int_equal(small[6], '\0');
	assert_int_equal(small[7], '#');
	assert_true(pst_filter_empty(filter)); /* nothing of it all was taken */
	for (int i = 0; i < PST_FILTER_VALUES_MAX; i++)
		add("pid", "1");
	refuses("pid", "1", -E2BIG, "more than 64");
}

static void all_keys_are_listed(void **state)
{
	static const char *const values[] = {
		"flow", "1", "c", "/e", "a", "::1", "1", "u", "1", "true", "info", "r", "p", "1s", "1s"};
	unsigned n = 0;

	(void)state;
	for (; pst_filter_keys[n]; n++)
		add(pst_filter_keys[n], values[n]);
	assert_int_equal(n, PST_ARRAY_SIZE(values));
}

/* ---- globs ---- */

static void globs(void **state)
{
	static const struct {
		const char *pattern, *text;
		bool match;
	} cases[] = {{"", "", true}, {"", "a", false}, {"*", "", true}, {"*", "anything/at all", true},
		{"a", "a", true}, {"a", "A", false}, {"a", "ab", false}, {"?", "", false}, {"?", "x", true},
		{"??", "x", false}, {"a*", "a", true}, {"a*b", "ab", true}, {"a*b", "axxb", true},
		{"a*b", "axxbc", false}, {"*.so*", "/lib/x.so.6", true}, {"**a**", "xax", true},
		{"*a*b*c*", "1a2b3c4", true}, {"*a*b*c*", "1a2c3b4", false}, {"*ab", "aab", true},
		{"*aab", "aaaab", true}, {"a?c*e", "abcde", true}, {"[abc]", "b", true},
		{"[abc]", "d", false}, {"[a-c]x", "bx", true}, {"[!a-c]", "b", false}, {"[^a-c]", "d", true},
		{"[!a]", "", false}, {"[]]", "]", true}, {"[]a]", "a", true}, {"[!]]", "]", false},
		{"[a-]", "-", true}, {"[-a]", "-", true}, {"[c-a]", "b", false}, {"[a", "[a", true},
		{"[a", "a", false}, {"[", "[", true}, {"[]", "[]", true}, {"[!", "[!", true},
		{"[a]]", "a]", true}, {"[*]", "*", true}, {"[*]", "x", false}, {"\\*", "*", true},
		{"\\*", "x", false}, {"\\\\", "\\", true}, {"\\", "\\", true}, {"a\\?b", "a?b", true},
		{"[\\]", "\\", true}, {"[\x80-\xff]", "\xc3", true}, {"[a-z][0-9]*", "k8s", true},
		{"*[0-9]", "eth0", true}, {"*[0-9]", "eth", false}};

	(void)state;
	for (size_t i = 0; i < PST_ARRAY_SIZE(cases); i++)
		if (pst_glob_match(cases[i].pattern, cases[i].text, strlen(cases[i].text)) != cases[i].match)
			fail_msg("%s against %s", cases[i].pattern, cases[i].text);
	assert_true(pst_glob_match("a*c", "a\0b\0c", 5)); /* NUL is a byte like others */
	assert_true(pst_glob_match("a?c", "a\0c", 3));
	assert_false(pst_glob_match("a", "a\0", 2));
	assert_true(pst_glob_match("*", NULL, 0));
	assert_false(pst_glob_match("x", NULL, 0));
}

/* As slow as it is simple: what it means, by definition. */
static bool slow_glob(const char *p, const char *s)
{
	if (*p == '*')
		return slow_glob(p + 1, s) || (*s && slow_glob(p, s + 1));
	if (!*p || !*s)
		return !*p && !*s;
	return (*p == '?' || *p == *s) && slow_glob(p + 1, s + 1);
}

static void globs_by_definition(void **state)
{
	uint64_t seed = 3;
	unsigned hits = 0;

	(void)state;
	for (int i = 0; i < 300000; i++) {
		char pattern[9] = "", text[11] = "";
		for (uint64_t n = random_u64(&seed) % 9, k = 0; k < n; k++)
			pattern[k] = "ab*?*"[random_u64(&seed) % 5];
		for (uint64_t n = random_u64(&seed) % 11, k = 0; k < n; k++)
			text[k] = "ab"[random_u64(&seed) % 2];
		bool want = slow_glob(pattern, text);
		hits += want;
		if (pst_glob_match(pattern, text, strlen(text)) != want)
			fail_msg("%s against %s", pattern, text);
	}
	assert_true(hits > 10000);
}

static uint64_t cpu_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);
	return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

/* The worst there is, at the longest there is: a filter's value against a string of the wire. Backtracking
 * would not end in this life. */
static void globs_do_not_blow_up(void **state)
{
	static char pattern[1025], text[PST_STRING_MAX];
	static const char *const parts[] = {
		"*a", "*?", "*[a]", "?*", "[", "[[", "[!", "*[b", "a*", "\\a*", "[a-"};
	uint64_t start = cpu_ns();

	(void)state;
	memset(text, 'a', sizeof(text));
	for (size_t i = 0; i < PST_ARRAY_SIZE(parts); i++)
		for (int end = 0; end < 3; end++) {
			size_t n = 0, len = strlen(parts[i]);
			pattern[n++] = '*';
			while (n + len < sizeof(pattern) - 2) {
				memcpy(pattern + n, parts[i], len);
				n += len;
			}
			if (end)
				pattern[n++] = end == 1 ? 'b' : ']';
			pattern[n] = '\0';
			pst_glob_match(pattern, text, sizeof(text));
		}
	assert_true(cpu_ns() - start < 20000000000); /* 33 of them, with sanitizers on a slow machine */
}

/* ---- address ranges ---- */

static bool in_range(const char *range, const char *hex)
{
	struct pst_cidr cidr;
	struct bytes b = from_hex(hex);
	struct pst_val v = pst_val_str(b.p, b.len);

	if (pst_cidr_parse(range, &cidr) < 0)
		fail_msg("%s", range);
	bool match = pst_cidr_match(&cidr, &v);
	bytes_done(&b);
	return match;
}

static void ranges(void **state)
{
	(void)state;
	assert_true(in_range("10.0.0.0/8", "0affffff"));
	assert_false(in_range("10.0.0.0/8", "0b000000"));
	assert_true(in_range("10.1.2.3/8", "0a000001")); /* bits of the host do not matter */
	assert_true(in_range("10.1.2.3", "0a010203"));
	assert_false(in_range("10.1.2.3", "0a010202"));
	assert_true(in_range("10.1.2.2/31", "0a010203"));
	assert_false(in_range("10.1.2.2/31", "0a010204"));
	assert_true(in_range("128.0.0.0/1", "ff000000"));
	assert_false(in_range("128.0.0.0/1", "7f000000"));
	assert_true(in_range("0.0.0.0/0", "08080808"));
	assert_false(in_range("0.0.0.0/0", "20010db8000000000000000000000001"));
	assert_true(in_range("::/0", "20010db8000000000000000000000001"));
	assert_false(in_range("::/0", "08080808"));
	assert_true(in_range("2001:db8::/32", "20010db8ffffffffffffffffffffffff"));
	assert_false(in_range("2001:db8::/32", "20010db9000000000000000000000000"));
	assert_true(in_range("2001:db8::1", "20010db8000000000000000000000001"));
	assert_true(in_range("2001:db8:8000::/33", "20010db8800000000000000000000000"));
	assert_false(in_range("2001:db8:8000::/33", "20010db8700000000000000000000000"));
	/* one address in two spellings */
	assert_true(in_range("10.0.0.0/8", "00000000000000000000ffff0a000001"));
	assert_true(in_range("::ffff:10.0.0.0/104", "0a000001"));
	assert_true(in_range("::ffff:0:0/96", "0a000001"));
	assert_false(in_range("10.0.0.0/8", "0a0000")); /* no address */
	assert_false(in_range("::/0", ""));
}

static void bad_ranges(void **state)
{
	static const char *const bad[] = {"", "/", "/8", "10.0.0.0/", "10.0.0.0/-1", "10.0.0.0/+8",
		"10.0.0.0/33", "10.0.0.0/0x8", "10.0.0.0/8 ", "10.0.0.0 /8", "10.0.0.0/8/8", "::/129",
		"::/99999999999999999999", "10.0.0", "10.0.0.256", "1:2", "::1::", "fe80::1%eth0", "host",
		"::ffff:10.0.0.0.0",
		"0000:0000:0000:0000:0000:0000:0000:0000:0000:0000:0000:0000:0000:0000:0000:0000:0000:0000"};
	struct pst_cidr cidr;

	(void)state;
	for (size_t i = 0; i < PST_ARRAY_SIZE(bad); i++)
		if (pst_cidr_parse(bad[i], &cidr) != -EINVAL)
			fail_msg("accepted %s", bad[i]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(an_empty_filter_takes_all, setup, teardown),
		cmocka_unit_test_setup_teardown(kinds, setup, teardown),
		cmocka_unit_test_setup_teardown(processes, setup, teardown),
		cmocka_unit_test_setup_teardown(ends, setup, teardown),
		cmocka_unit_test_setup_teardown(alerts, setup, teardown),
		cmocka_unit_test_setup_teardown(times, setup, teardown),
		cmocka_unit_test_setup_teardown(all_keys_and_any_value, setup, teardown),
		cmocka_unit_test_setup_teardown(errors, setup, teardown),
		cmocka_unit_test_setup_teardown(all_keys_are_listed, setup, teardown),
		cmocka_unit_test(globs),
		cmocka_unit_test(globs_by_definition),
		cmocka_unit_test(globs_do_not_blow_up),
		cmocka_unit_test(ranges),
		cmocka_unit_test(bad_ranges),
	};
	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("filter", tests, NULL, NULL);
}
