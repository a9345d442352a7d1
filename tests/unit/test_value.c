// SPDX-License-Identifier: Apache-2.0
#include <time.h>

#include "proto/wire/fmt.h"
#include "proto/wire/names.h"
#include "tests/unit/wire_test.h"

static const char *text_of(uint8_t type, uint8_t format, struct pst_val v)
{
	static char text[256];
	const struct pst_field field = {.name = "x", .type = type, .format = format};

	memset(text, '#', sizeof(text));
	size_t n = pst_val_text(&v, &field, text, sizeof(text));
	assert_true(n < sizeof(text));
	assert_int_equal(text[n], '\0');
	assert_int_equal(text[n + 1], '#');
	return text;
}

static const char *number(uint8_t format, uint64_t v)
{
	return text_of(PST_T_U, format, (struct pst_val){.u = v});
}

/* A number, its text, and whether the text means the number again. */
static const struct {
	uint8_t format;
	uint64_t v;
	const char *text;
	bool exact;
} numbers[] = {
	{PST_FMT_NUM, 0, "0", true},
	{PST_FMT_NUM, UINT64_MAX, "18446744073709551615", true},
	{PST_FMT_CODE, 0, "0", true},
	{PST_FMT_NS, 0, "0ns", true},
	{PST_FMT_NS, 999, "999ns", true},
	{PST_FMT_NS, 1500, "1.5us", true},
	{PST_FMT_NS, 1500000, "1.5ms", true},
	{PST_FMT_NS, 1234567, "1.234ms", false},
	{PST_FMT_NS, 1000999999, "1s", false},
	{PST_FMT_NS, 59999000000, "59.999s", true},
	{PST_FMT_NS, 60000000000, "1m", true},
	{PST_FMT_NS, 90000000000, "1m30s", true},
	{PST_FMT_NS, 7205000000000, "2h", false},
	{PST_FMT_NS, 273600000000000, "3d4h", true},
	{PST_FMT_NS, UINT64_MAX, "213503d23h", false},
	{PST_FMT_TIME, 12000000034, "12.000000034s", true},
	{PST_FMT_TIME, UINT64_MAX, "18446744073.709551615s", true},
	{PST_FMT_BYTES, 0, "0B", true},
	{PST_FMT_BYTES, 1023, "1023B", true},
	{PST_FMT_BYTES, 1536, "1.5KiB", true},
	{PST_FMT_BYTES, 1048575, "1023.9KiB", false},
	{PST_FMT_BYTES, 1048576, "1MiB", true},
	{PST_FMT_BYTES, UINT64_MAX, "15.9EiB", false},
	{PST_FMT_PROTO, 6, "tcp", true},
	{PST_FMT_PROTO, 17, "udp", true},
	{PST_FMT_PROTO, 58, "icmpv6", true},
	{PST_FMT_PROTO, 253, "253", true},
	{PST_FMT_PROTO, 4711, "4711", true},
	{PST_FMT_DIR, 0, "none", true},
	{PST_FMT_DIR, 1, "in", true},
	{PST_FMT_DIR, 2, "out", true},
	{PST_FMT_DIR, 3, "3", true},
	{PST_FMT_ERRNO, 0, "0", true},
	{PST_FMT_ERRNO, 1, "EPERM", true},
	{PST_FMT_ERRNO, 111, "ECONNREFUSED", true},
	{PST_FMT_ERRNO, 512, "512", true}, /* the kernel's own */
	{PST_FMT_ERRNO, UINT64_MAX, "18446744073709551615", true},
	{PST_FMT_SIGNAL, 0, "0", true},
	{PST_FMT_SIGNAL, 1, "SIGHUP", true},
	{PST_FMT_SIGNAL, 9, "SIGKILL", true},
	{PST_FMT_SIGNAL, 31, "SIGSYS", true},
	{PST_FMT_SIGNAL, 34, "SIGRTMIN", true},
	{PST_FMT_SIGNAL, 64, "SIGRTMIN+30", true},
	{PST_FMT_SIGNAL, 65, "65", true},
	{PST_FMT_CAPS, 0, "none", true},
	{PST_FMT_CAPS, 1, "CAP_CHOWN", true},
	{PST_FMT_CAPS, 1ull << 40 | 1ull << 21, "CAP_SYS_ADMIN|CAP_CHECKPOINT_RESTORE", true},
	{PST_FMT_CAPS, (1ull << 41) - 1, "all", true},
	{PST_FMT_CAPS, 1ull << 63 | 1, "CAP_CHOWN|bit63", false},
	{PST_FMT_TCPFLAGS, 0x12, "SYN|ACK", true},
	{PST_FMT_TCPFLAGS, 0xff, "FIN|SYN|RST|PSH|ACK|URG|ECE|CWR", true},
	{PST_FMT_TCPSTATE, 1, "ESTABLISHED", true},
	{PST_FMT_TCPSTATE, 10, "LISTEN", true},
	{PST_FMT_TCPSTATE, 12, "NEW_SYN_RECV", true},
	{PST_FMT_TCPSTATE, 0, "0", true},
	{PST_FMT_FAMILY, 2, "inet", true},
	{PST_FMT_FAMILY, 10, "inet6", true},
	{PST_FMT_FAMILY, 1, "unix", true},
	{PST_FMT_FAMILY, 17, "packet", true},
	{PST_FMT_FAMILY, 6, "6", true},
	{PST_FMT_FAMILY, 4242, "4242", true},
	{PST_FMT_DEV, 8 << 20 | 1, "8:1", true},
	{PST_FMT_DEV, 0xfffull << 20 | 0xfffff, "4095:1048575", true},
	{PST_FMT_EXECFLAGS, 0x89, "argv_cut|memfd|setid", true},
	{PST_FMT_CREDFLAGS, 3, "in_exec|before_unknown", true},
	{PST_FMT_FILEFLAGS, 0xf, "memfd|unlinked|upper|setid", true},
	{PST_FMT_ACCESS, 0xf, "read|write|execute|append", true},
	{PST_FMT_PATHODD, 0x7f, "cut|nowhere|detached|foreign|removed|mountless|own", true},
	{PST_FMT_ID, 0, "0", true},
	{PST_FMT_ID, 4294967295, "unset", true},
	{PST_FMT_SEVERITY, 0, "debug", true},
	{PST_FMT_SEVERITY, 5, "critical", true},
	{PST_FMT_SEVERITY, 6, "6", true},
	{PST_FMT_BOOL, 0, "false", true},
	{PST_FMT_BOOL, 1, "true", true},
	{PST_FMT_HEX, 0, "0x0", true},
	{PST_FMT_HEX, UINT64_MAX, "0xffffffffffffffff", true},
};

static void numbers_as_text(void **state)
{
	(void)state;
	for (size_t i = 0; i < PST_ARRAY_SIZE(numbers); i++)
		assert_string_equal(number(numbers[i].format, numbers[i].v), numbers[i].text);
}

static void and_back(void **state)
{
	(void)state;
	for (size_t i = 0; i < PST_ARRAY_SIZE(numbers); i++) {
		const struct pst_field field = {.type = PST_T_U, .format = numbers[i].format};
		uint64_t v = ~numbers[i].v;

		if (!numbers[i].exact || numbers[i].format == PST_FMT_TIME)
			continue;
		if (pst_val_parse(&field, numbers[i].text, &v) < 0 || v != numbers[i].v)
			fail_msg("%s became %ju", numbers[i].text, (uintmax_t)v);
	}
}

static void other_spellings(void **state)
{
	static const struct {
		uint8_t format;
		const char *text;
		uint64_t v;
	} cases[] = {{PST_FMT_PROTO, "TCP", 6}, {PST_FMT_PROTO, "icmp6", 58}, {PST_FMT_PROTO, "0x11", 17},
		{PST_FMT_SIGNAL, "kill", 9}, {PST_FMT_SIGNAL, "sigterm", 15}, {PST_FMT_SIGNAL, "rtmin+3", 37},
		{PST_FMT_ERRNO, "enoent", 2}, {PST_FMT_ERRNO, "EWOULDBLOCK", 11},
		{PST_FMT_ERRNO, "ENOTSUP", 95}, {PST_FMT_ERRNO, "EOPNOTSUPP", 95},
		{PST_FMT_ERRNO, "EDEADLOCK", 35}, {PST_FMT_ERRNO, "2", 2},
		{PST_FMT_CAPS, "net_admin", 1 << 12}, {PST_FMT_CAPS, "CAP_KILL,sys_admin", 1 << 5 | 1 << 21},
		{PST_FMT_CAPS, "0x21", 0x21}, {PST_FMT_TCPFLAGS, "syn|0x10", 0x12},
		{PST_FMT_FAMILY, "ipv4", 2}, {PST_FMT_FAMILY, "IPv6", 10}, {PST_FMT_SEVERITY, "warn", 3},
		{PST_FMT_NS, "1d", 86400000000000}, {PST_FMT_NS, "0.5s", 500000000}, {PST_FMT_NS, "250", 250},
		{PST_FMT_BYTES, "2M", 2097152}, {PST_FMT_BYTES, "64K", 65536},
		{PST_FMT_BYTES, "1.5GiB", 1610612736}, {PST_FMT_BYTES, "16383P", 16383ull << 50},
		{PST_FMT_NUM, "0xFF", 255}, {PST_FMT_NUM, "007", 7}, {PST_FMT_DEV, "136", 136}};

	(void)state;
	for (size_t i = 0; i < PST_ARRAY_SIZE(cases); i++) {
		const struct pst_field field = {.type = PST_T_U, .format = cases[i].format};
		uint64_t v = 999;
		if (pst_val_parse(&field, cases[i].text, &v) < 0 || v != cases[i].v)
			fail_msg("%s became %ju", cases[i].text, (uintmax_t)v);
	}
}

static void nonsense_is_refused(void **state)
{
	static const struct {
		uint8_t format;
		const char *text;
	} cases[] = {{PST_FMT_NUM, ""}, {PST_FMT_NUM, "-1"}, {PST_FMT_NUM, "+1"}, {PST_FMT_NUM, " 1"},
		{PST_FMT_NUM, "1 "}, {PST_FMT_NUM, "1x"}, {PST_FMT_NUM, "0x"}, {PST_FMT_NUM, "0xg"},
		{PST_FMT_NUM, "18446744073709551616"}, {PST_FMT_NUM, "0x10000000000000000"},
		{PST_FMT_NUM, "99999999999999999999999"}, {PST_FMT_PROTO, "tc"}, {PST_FMT_PROTO, "tcpx"},
		{PST_FMT_SIGNAL, "SIG"}, {PST_FMT_SIGNAL, "SIGKIL"}, {PST_FMT_ERRNO, "E"},
		{PST_FMT_CAPS, "CAP_"}, {PST_FMT_CAPS, "CAP_CHOWN|"}, {PST_FMT_CAPS, "|CAP_CHOWN"},
		{PST_FMT_CAPS, "CAP_CHOWN||CAP_KILL"}, {PST_FMT_CAPS, "CAP_CHOWN CAP_KILL"},
		{PST_FMT_TCPFLAGS, "all"}, {PST_FMT_DEV, "8:"}, {PST_FMT_DEV, ":1"}, {PST_FMT_DEV, "8:1:1"},
		{PST_FMT_DEV, "4096:0"}, {PST_FMT_DEV, "1:1048576"}, {PST_FMT_NS, "1.5"}, {PST_FMT_NS, "ms"},
		{PST_FMT_NS, "1."}, {PST_FMT_NS, ".5s"}, {PST_FMT_NS, "1.s"}, {PST_FMT_NS, "1x"},
		{PST_FMT_NS, "1s "}, {PST_FMT_NS, "1s2"}, {PST_FMT_NS, "213504d"},
		{PST_FMT_NS, "200000d20000d"}, {PST_FMT_NS, "0x10s"}, {PST_FMT_BYTES, "1.5"},
		{PST_FMT_BYTES, "K"}, {PST_FMT_BYTES, "16384P"}, {PST_FMT_BYTES, "1K1K"},
		{PST_FMT_BYTES, "1kB"}, {PST_FMT_ID, "root"}, {PST_FMT_BOOL, "yes"},
		{PST_FMT_SEVERITY, "high"}, {PST_FMT_FAMILY, "inet4"}, {PST_FMT_TIME, "12s"}};

	(void)state;
	for (size_t i = 0; i < PST_ARRAY_SIZE(cases); i++) {
		const struct pst_field field = {.type = PST_T_U, .format = cases[i].format};
		uint64_t v = 999;
		if (pst_val_parse(&field, cases[i].text, &v) != -EINVAL || v != 999)
			fail_msg("accepted %s as %ju", cases[i].text, (uintmax_t)v);
	}
	for (uint8_t type = PST_T_S; type <= PST_T_P; type++) {
		const struct pst_field field = {.type = type, .format = PST_FMT_NUM};
		uint64_t v;
		assert_int_equal(pst_val_parse(&field, "1", &v), -EINVAL);
	}
}

static void signed_numbers(void **state)
{
	static const struct pst_field field = {.type = PST_T_I, .format = PST_FMT_NS},
				      plain = {.type = PST_T_I, .format = PST_FMT_NUM};
	uint64_t v;

	(void)state;
	assert_string_equal(text_of(PST_T_I, PST_FMT_NS, (struct pst_val){.i = -1500000}), "-1.5ms");
	assert_string_equal(
		text_of(PST_T_I, PST_FMT_NUM, (struct pst_val){.i = INT64_MIN}), "-9223372036854775808");
	assert_string_equal(
		text_of(PST_T_I, PST_FMT_NUM, (struct pst_val){.i = INT64_MAX}), "9223372036854775807");
	assert_int_equal(pst_val_parse(&field, "-1.5ms", &v), 0);
	assert_int_equal((int64_t)v, -1500000);
	assert_int_equal(pst_val_parse(&plain, "-9223372036854775808", &v), 0);
	assert_int_equal((int64_t)v, INT64_MIN);
	assert_int_equal(pst_val_parse(&plain, "9223372036854775807", &v), 0);
	assert_int_equal(pst_val_parse(&plain, "9223372036854775808", &v), -EINVAL);
	assert_int_equal(pst_val_parse(&plain, "-9223372036854775809", &v), -EINVAL);
	assert_int_equal(pst_val_parse(&plain, "-", &v), -EINVAL);
	assert_int_equal(pst_val_parse(&plain, "--1", &v), -EINVAL);
}

static const char *address(const char *hex)
{
	struct bytes b = from_hex(hex);
	const char *text = text_of(PST_T_A, PST_FMT_STR, pst_val_str(b.p, b.len));

	bytes_done(&b);
	return text;
}

static void addresses(void **state)
{
	(void)state;
	assert_string_equal(address("0a000001"), "10.0.0.1");
	assert_string_equal(address("00000000"), "0.0.0.0");
	assert_string_equal(address("ffffffff"), "255.255.255.255");
	assert_string_equal(address(""), "");
	assert_string_equal(address("0102"), "");
	/* RFC 5952 */
	assert_string_equal(address("00000000000000000000000000000000"), "::");
	assert_string_equal(address("00000000000000000000000000000001"), "::1");
	assert_string_equal(address("20010db8000000000000000000000001"), "2001:db8::1");
	assert_string_equal(address("20010db8000000010001000100010001"),
		"2001:db8:0:1:1:1:1:1"); /* one zero group is spelt */
	assert_string_equal(
		address("20010000000000010000000000000001"), "2001:0:0:1::1"); /* the longest run */
	assert_string_equal(
		address("20010db8000000000001000000000001"), "2001:db8::1:0:0:1"); /* the first of two */
	assert_string_equal(address("20010db800010000000000000000ffff"), "2001:db8:1::ffff");
	assert_string_equal(address("fe800000000000000000000000000000"), "fe80::");
	assert_string_equal(address("00010002000300040005000600070008"), "1:2:3:4:5:6:7:8");
	assert_string_equal(
		address("abcdef0112345678abcdef0112345678"), "abcd:ef01:1234:5678:abcd:ef01:1234:5678");
	assert_string_equal(address("00000000000000000000ffff7f000001"), "::ffff:127.0.0.1");
	assert_string_equal(
		address("ffffffffffffffffffffffffffffffff"), "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff");
}

static void mapped_addresses_become_short(void **state)
{
	struct bytes v4 = from_hex("00000000000000000000ffff0a000001"),
		     v6 = from_hex("00000000000000000000fffe0a000001");
	struct pst_val a = pst_val_addr(v4.p), b = pst_val_addr(v6.p);

	(void)state;
	assert_int_equal(a.len, 4);
	assert_ptr_equal(a.p, v4.p + 12);
	assert_int_equal(b.len, 16);
	assert_ptr_equal(b.p, v6.p);
	bytes_done(&v4);
	bytes_done(&v6);
}

static void lists(void **state)
{
	struct pst_buf b = {0};
	uint32_t n;

	(void)state;
	pst_list_add_nul(&b, "ls\0-l\0\0a b", 10, &n);
	assert_string_equal(
		text_of(PST_T_L, PST_FMT_STR, (struct pst_val){.p = b.p, .len = (uint32_t)b.len, .n = n}),
		"ls -l  a b");
	b.len = 0;
	pst_procs_add(&b, 10, 1, "/bin/sh", 7);
	pst_procs_add(&b, 1, 1, NULL, 0);
	assert_string_equal(
		text_of(PST_T_P, PST_FMT_STR, (struct pst_val){.p = b.p, .len = (uint32_t)b.len, .n = 2}),
		"/bin/sh 1");
	assert_string_equal(text_of(PST_T_L, PST_FMT_STR, (struct pst_val){.n = 0}), "");
	assert_string_equal(text_of(PST_T_P, PST_FMT_STR, (struct pst_val){.n = 0}), "");
	assert_string_equal(text_of(PST_T_S, PST_FMT_STR, pst_val_str("\xff\x01x", 3)), "\xff\x01x");
	pst_buf_done(&b);
}

/* Any size of buffer, to the byte: the sanitizer sees what goes beyond. */
static void text_is_cut_to_the_buffer(void **state)
{
	struct pst_buf b = {0};
	uint32_t n;

	(void)state;
	pst_list_add_nul(&b, "first\0second\0third", 18, &n);
	const struct {
		uint8_t type, format;
		struct pst_val v;
	} cases[] = {{PST_T_U, PST_FMT_NUM, {.u = UINT64_MAX}}, {PST_T_U, PST_FMT_CAPS, {.u = UINT64_MAX}},
		{PST_T_U, PST_FMT_TIME, {.u = 1}}, {PST_T_U, PST_FMT_DEV, {.u = UINT64_MAX}},
		{PST_T_U, PST_FMT_PROTO, {.u = 6}}, {PST_T_U, PST_FMT_NS, {.u = UINT64_MAX}},
		{PST_T_U, PST_FMT_BYTES, {.u = UINT64_MAX}}, {PST_T_U, PST_FMT_HEX, {.u = UINT64_MAX}},
		{PST_T_I, PST_FMT_NUM, {.i = INT64_MIN}}, {PST_T_S, PST_FMT_STR, pst_val_str("some text", 9)},
		{PST_T_A, PST_FMT_STR, pst_val_str("0123456789abcdef", 16)},
		{PST_T_L, PST_FMT_STR, {.p = b.p, .len = (uint32_t)b.len, .n = n}}};
	for (size_t i = 0; i < PST_ARRAY_SIZE(cases); i++) {
		const struct pst_field field = {.type = cases[i].type, .format = cases[i].format};
		char whole[1024];
		size_t full = pst_val_text(&cases[i].v, &field, whole, sizeof(whole));

		assert_true(full > 0 && full < sizeof(whole) - 1);
		assert_int_equal(pst_val_text(&cases[i].v, &field, whole, 0), 0);
		for (size_t size = 1; size <= full + 2; size++) {
			char *cut = malloc(size);
			size_t len = pst_val_text(&cases[i].v, &field, cut, size);
			assert_int_equal(len, PST_MIN(full, size - 1));
			assert_memory_equal(cut, whole, len);
			assert_int_equal(cut[len], '\0');
			free(cut);
		}
	}
	pst_buf_done(&b);
}

static void emptiness(void **state)
{
	static const struct {
		uint8_t type, format;
		struct pst_val v;
		bool empty;
	} cases[] = {{PST_T_U, PST_FMT_NUM, {.u = 0}, true}, {PST_T_U, PST_FMT_NUM, {.u = 1}, false},
		{PST_T_U, PST_FMT_ERRNO, {.u = 0}, true}, {PST_T_U, PST_FMT_ID, {.u = 0}, false},
		{PST_T_U, PST_FMT_ID, {.u = 4294967295}, true}, {PST_T_U, PST_FMT_CODE, {.u = 0}, false},
		{PST_T_U, PST_FMT_SEVERITY, {.u = 0}, false}, {PST_T_U, PST_FMT_BOOL, {.u = 0}, true},
		{PST_T_I, PST_FMT_NS, {.i = 0}, true}, {PST_T_I, PST_FMT_NS, {.i = -1}, false},
		{PST_T_S, PST_FMT_STR, {.p = "x", .len = 0}, true},
		{PST_T_S, PST_FMT_STR, {.p = "x", .len = 1}, false}, {PST_T_A, PST_FMT_STR, {.len = 0}, true},
		{PST_T_L, PST_FMT_STR, {.n = 0}, true},
		{PST_T_L, PST_FMT_STR, {.p = "\xc4", .len = 2, .n = 1}, false},
		{PST_T_P, PST_FMT_STR, {.n = 0}, true}};

	(void)state;
	for (size_t i = 0; i < PST_ARRAY_SIZE(cases); i++) {
		const struct pst_field field = {.type = cases[i].type, .format = cases[i].format};
		if (pst_val_empty(&cases[i].v, &field) != cases[i].empty)
			fail_msg("case %zu", i);
	}
}

static void digits_of_any_number(void **state)
{
	char got[32], want[32];
	uint64_t seed = 1, v;

	(void)state;
	for (int i = 0; i < 300000; i++) {
		v = i < 20000 ? (uint64_t)i : random_u64(&seed) >> random_u64(&seed) % 64;
		*pst_fmt_u64(got, v) = '\0';
		snprintf(want, sizeof(want), "%ju", (uintmax_t)v);
		assert_string_equal(got, want);
		*pst_fmt_i64(got, (int64_t)-v) = '\0';
		snprintf(want, sizeof(want), "%jd", (intmax_t)-v);
		assert_string_equal(got, want);
		*pst_fmt_hex(got, v) = '\0';
		snprintf(want, sizeof(want), "0x%jx", (uintmax_t)v);
		assert_string_equal(got, want);
		unsigned n = (unsigned)(seed % 21);
		*pst_fmt_digits(got, v % 1000000, n) = '\0';
		assert_int_equal(strlen(got), n);
		if (n >= 6)
			assert_int_equal(strtoull(got, NULL, 10), v % 1000000);
	}
	for (v = 1; v <= 1000000000000000000; v *= 10)
		for (int d = -1; d <= 1; d++) {
			*pst_fmt_u64(got, v + (uint64_t)d) = '\0';
			snprintf(want, sizeof(want), "%ju", (uintmax_t)(v + (uint64_t)d));
			assert_string_equal(got, want);
		}
}

static void every_name_means_its_number(void **state)
{
	unsigned named = 0, n;
	uint64_t v;

	(void)state;
	for (enum pst_field_format f = PST_FMT_NUM; f <= PST_FMT_CODE; f++) {
		const char *const *bits = pst_name_bits(f, &n);
		for (unsigned i = 0; i < 4200; i++) {
			const char *name = bits ? i < n ? bits[i] : NULL : pst_name_of(f, i);
			if (!name)
				continue;
			assert_int_equal(pst_name_value(f, name, strlen(name), &v), 0);
			assert_int_equal(v, bits ? 1ull << i : i);
			named++;
		}
	}
	assert_true(named > 250);
	pst_name_bits(PST_FMT_CAPS, &n);
	assert_int_equal(n, 41);
	assert_int_equal(pst_name_value(PST_FMT_PROTO, "tcp\0x", 5, &v), -EINVAL);
	assert_int_equal(pst_name_value(PST_FMT_NUM, "tcp", 3, &v), -EINVAL);
	assert_null(pst_name_of(PST_FMT_NUM, 6));
	assert_null(pst_name_of(PST_FMT_SIGNAL, UINT64_MAX));
}

/* ---- time ---- */

static void times_are_formatted(void **state)
{
	char text[31];
	uint64_t seed = 7;

	(void)state;
	pst_time_format(text, 0);
	assert_string_equal(text, "1970-01-01T00:00:00.000000000Z");
	pst_time_format(text, UINT64_MAX);
	assert_string_equal(text, "2554-07-21T23:34:33.709551615Z");
	for (int i = 0; i < 100000; i++) { /* as libc has it, and back */
		uint64_t ns = random_u64(&seed) >> (i & 1), back = 0;
		time_t s = (time_t)(ns / 1000000000);
		struct tm tm;
		char want[64];
		strftime(want, sizeof(want), "%Y-%m-%dT%H:%M:%S", gmtime_r(&s, &tm));
		pst_time_format(text, ns);
		assert_memory_equal(text, want, 19);
		assert_int_equal(text[19], '.');
		assert_int_equal(strtoull(text + 20, NULL, 10), ns % 1000000000);
		if (tm.tm_year + 1900 < 2554) {
			assert_int_equal(pst_time_parse(text, 0, &back), 0);
			assert_int_equal(back, ns);
		}
	}
}

static void times_are_parsed(void **state)
{
	static const uint64_t now = 1700000000000000000;
	static const struct {
		const char *text;
		uint64_t ns;
	} cases[] = {{"1970-01-01T00:00:00Z", 0}, {"2000-02-29T12:00:00Z", 951825600000000000},
		{"2023-11-14T22:13:20Z", 1700000000000000000},
		{"2023-11-14t22:13:20.5z", 1700000000500000000},
		{"2023-11-14 22:13:20.123456789Z", 1700000000123456789},
		{"2023-11-14T22:13:20.1234567899Z", 1700000000123456789},
		{"2023-11-15T00:13:20+02:00", 1700000000000000000},
		{"2023-11-14T16:43:20-05:30", 1700000000000000000},
		{"2016-12-31T23:59:60Z", 1483228800000000000}, {"1700000000", 1700000000000000000},
		{"1700000000.25", 1700000000250000000}, {"0", 0}, {"5m", now - 300000000000},
		{"1h30m", now - 5400000000000}, {"0s", now}, {"1.5s", now - 1500000000}, {"100000d", 0}};

	(void)state;
	for (size_t i = 0; i < PST_ARRAY_SIZE(cases); i++) {
		uint64_t ns = 1;
		if (pst_time_parse(cases[i].text, now, &ns) < 0 || ns != cases[i].ns)
			fail_msg("%s became %ju", cases[i].text, (uintmax_t)ns);
	}
}

static void times_that_are_none(void **state)
{
	static const char *const cases[] = {"", " ", "now", "-1", "1.", ".5", "1.5.5", "18446744074",
		"99999999999999999999", "5x", "m", "5m5", "2023-11-14", "2023-11-14T22:13Z",
		"2023-11-14T22:13:20", "2023-11-14T22:13:20ZZ", "2023-11-14T22:13:20Z ",
		"2023-11-14T22:13:20.Z", "2023-11-14T22:13:20+0200", "2023-11-14T22:13:20+02",
		"2023-11-14T22:13:20+24:00", "2023-11-14T22:13:20+00:60", "2023-13-01T00:00:00Z",
		"2023-00-01T00:00:00Z", "2023-02-29T00:00:00Z", "1900-02-29T00:00:00Z",
		"2100-02-29T00:00:00Z", "2023-04-31T00:00:00Z", "2023-01-00T00:00:00Z",
		"2023-01-32T00:00:00Z", "2023-01-01T24:00:00Z", "2023-01-01T00:60:00Z",
		"2023-01-01T00:00:61Z", "1969-12-31T23:59:59Z", "1970-01-01T00:00:00+00:01",
		"2554-01-01T00:00:00Z", "9999-01-01T00:00:00Z", "2023-1-01T00:00:00Z", "2023-01-01X00:00:00Z",
		"20x3-01-01T00:00:00Z"};

	(void)state;
	for (size_t i = 0; i < PST_ARRAY_SIZE(cases); i++) {
		uint64_t ns = 77;
		if (pst_time_parse(cases[i], 1700000000000000000, &ns) != -EINVAL || ns != 77)
			fail_msg("accepted %s as %ju", cases[i], (uintmax_t)ns);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(numbers_as_text),
		cmocka_unit_test(and_back),
		cmocka_unit_test(other_spellings),
		cmocka_unit_test(nonsense_is_refused),
		cmocka_unit_test(signed_numbers),
		cmocka_unit_test(addresses),
		cmocka_unit_test(mapped_addresses_become_short),
		cmocka_unit_test(lists),
		cmocka_unit_test(text_is_cut_to_the_buffer),
		cmocka_unit_test(emptiness),
		cmocka_unit_test(digits_of_any_number),
		cmocka_unit_test(every_name_means_its_number),
		cmocka_unit_test(times_are_formatted),
		cmocka_unit_test(times_are_parsed),
		cmocka_unit_test(times_that_are_none),
	};
	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("value", tests, NULL, NULL);
}
