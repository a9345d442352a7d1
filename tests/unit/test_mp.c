// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/wire_test.h"

static struct pst_buf buf;

static int empty_buf(void **state)
{
	(void)state;
	pst_buf_done(&buf);
	return 0;
}

static void integers_have_their_shortest_form(void **state)
{
	static const struct {
		uint64_t v;
		const char *hex;
	} cases[] = {{0, "00"}, {127, "7f"}, {128, "cc80"}, {255, "ccff"}, {256, "cd0100"}, {65535, "cdffff"},
		{65536, "ce00010000"}, {0xffffff, "ce00ffffff"}, {0xffffffff, "ceffffffff"},
		{0x100000000, "cf0000000100000000"}, {UINT64_MAX, "cfffffffffffffffff"},
		{0x0102030405060708, "cf0102030405060708"}};

	(void)state;
	for (size_t i = 0; i < PST_ARRAY_SIZE(cases); i++) {
		buf.len = 0;
		pst_mp_uint(&buf, cases[i].v);
		assert_buf(&buf, cases[i].hex);
	}
}

static void signed_integers_have_their_shortest_form(void **state)
{
	static const struct {
		int64_t v;
		const char *hex;
	} cases[] = {{0, "00"}, {127, "7f"}, {128, "cc80"}, {-1, "ff"}, {-32, "e0"}, {-33, "d0df"},
		{-128, "d080"}, {-129, "d1ff7f"}, {-32768, "d18000"}, {-32769, "d2ffff7fff"},
		{INT32_MIN, "d280000000"}, {(int64_t)INT32_MIN - 1, "d3ffffffff7fffffff"},
		{INT64_MIN, "d38000000000000000"}, {INT64_MAX, "cf7fffffffffffffff"}};

	(void)state;
	for (size_t i = 0; i < PST_ARRAY_SIZE(cases); i++) {
		buf.len = 0;
		pst_mp_int(&buf, cases[i].v);
		assert_buf(&buf, cases[i].hex);
		struct pst_cur c = pst_cur(buf.p, buf.len);
		assert_int_equal(pst_cur_int(&c), cases[i].v);
		assert_false(c.bad);
	}
}

static void other_values(void **state)
{
	(void)state;
	pst_mp_nil(&buf);
	pst_mp_bool(&buf, true);
	pst_mp_bool(&buf, false);
	pst_mp_str(&buf, "abc");
	pst_mp_bin(&buf, "de", 2);
	pst_mp_bin(&buf, NULL, 0);
	pst_mp_array(&buf, 2);
	pst_mp_array(&buf, 16);
	pst_mp_array(&buf, 65536);
	pst_mp_map(&buf, 15);
	pst_mp_map(&buf, 16);
	pst_mp_map(&buf, 65536);
	pst_mp_raw(&buf, NULL, 0);
	pst_mp_raw(&buf, "\xc0", 1);
	assert_buf(&buf, "c0 c3 c2 a3616263 c4026465 c400 92 dc0010 dd00010000 8f de0010 df00010000 c0");
}

static void lengths_of_strings(void **state)
{
	static const struct {
		size_t len;
		const char *bin, *str;
	} cases[] = {{0, "c400", "a0"}, {31, "c41f", "bf"}, {32, "c420", "d920"}, {255, "c4ff", "d9ff"},
		{256, "c50100", "da0100"}, {65535, "c5ffff", "daffff"}, {65536, "c600010000", "db00010000"}};
	char *text = malloc(65537);

	(void)state;
	assert_non_null(text);
	for (size_t i = 0; i < PST_ARRAY_SIZE(cases); i++) {
		size_t len = cases[i].len;
		uint32_t got = 1;

		memset(text, 'x', len);
		text[len] = '\0';
		for (int str = 0; str < 2; str++) {
			struct bytes head = from_hex(str ? cases[i].str : cases[i].bin);

			buf.len = 0;
			str ? pst_mp_str(&buf, text) : pst_mp_bin(&buf, text, len);
			assert_int_equal(buf.len, head.len + len);
			assert_memory_equal(buf.p, head.p, head.len);
			struct pst_cur c = pst_cur(buf.p, buf.len);
			assert_int_equal(pst_cur_peek(&c), str ? PST_MP_STR : PST_MP_BIN);
			const void *bytes = pst_cur_bytes(&c, &got);
			assert_int_equal(got, len);
			assert_memory_equal(bytes, text, len);
			assert_false(c.bad);
			assert_int_equal(pst_cur_left(&c), 0);
			bytes_done(&head);
		}
	}
	free(text);
}

/* Whatever its form, and however few bytes follow. */
static void any_form_of_an_integer_is_read(void **state)
{
	static const char *const forms[] = {"05", "cc05", "cd0005", "ce00000005", "cf0000000000000005",
		"d005", "d10005", "d200000005", "d30000000000000005"};

	(void)state;
	for (size_t i = 0; i < PST_ARRAY_SIZE(forms); i++)
		for (int more = 0; more < 2; more++) {
			char text[64];
			snprintf(text, sizeof(text), "%s%s", forms[i], more ? "c0c0c0c0c0c0c0c0c0c0" : "");
			struct bytes b = from_hex(text);
			struct pst_cur c = pst_cur(b.p, b.len), d = c, p = c;
			assert_int_equal(pst_cur_uint(&c), 5);
			assert_int_equal(pst_cur_int(&d), 5);
			assert_false(c.bad || d.bad);
			assert_ptr_equal(c.p, b.p + strlen(forms[i]) / 2);
			assert_ptr_equal(c.p, d.p);
			assert_int_equal(pst_cur_peek(&p), PST_MP_UINT);
			bytes_done(&b);
		}
}

static void assert_bad(struct pst_cur *c)
{
	uint32_t n;

	assert_true(c->bad);
	assert_int_equal(pst_cur_peek(c), PST_MP_END);
	assert_int_equal(pst_cur_uint(c), 0);
	assert_int_equal(pst_cur_int(c), 0);
	assert_int_equal(pst_cur_array(c), 0);
	assert_int_equal(pst_cur_map(c), 0);
	assert_false(pst_cur_bool(c));
	assert_null(pst_cur_bytes(c, &n));
	assert_int_equal(n, 0);
	pst_cur_skip(c);
	assert_true(c->bad);
}

static void what_was_not_asked_for_is_bad_for_ever(void **state)
{
	/* what each of the readers must refuse */
	static const struct {
		char reader;
		const char *hex;
	} cases[] = {{'u', "ff"}, {'u', "d0ff"}, {'u', "d3ffffffffffffffff"}, {'u', "c0"}, {'u', "c3"},
		{'u', "a0"}, {'u', "90"}, {'u', "ca00000000"}, {'u', ""}, {'u', "cc"},
		{'u', "cf00000000000000"}, {'i', "cf8000000000000000"}, {'i', "c400"}, {'i', ""},
		{'i', "d2000000"}, {'b', "01"}, {'b', ""}, {'b', "c0"}, {'s', "01"}, {'s', "c0"}, {'s', ""},
		{'s', "c4"}, {'s', "c401"}, {'s', "a2ff"}, {'s', "c50001"}, {'s', "c6ffffffffff"},
		{'s', "d9"}, {'s', "dbffffffff"}, {'s', "c70101ff"}, {'s', "90"}, {'a', "80"}, {'a', "91"},
		{'a', "9fc0"}, {'a', "dc"}, {'a', "dc0001"}, {'a', "ddffffffffc0"}, {'a', ""}, {'m', "90"},
		{'m', "81c0"}, {'m', "df80000001c0c0c0"}, {'m', "de00"}, {'m', ""}};

	(void)state;
	for (size_t i = 0; i < PST_ARRAY_SIZE(cases); i++) {
		struct bytes b = from_hex(cases[i].hex);
		struct pst_cur c = pst_cur(b.p, b.len);
		uint32_t n;

		if (cases[i].reader == 'u')
			pst_cur_uint(&c);
		else if (cases[i].reader == 'i')
			pst_cur_int(&c);
		else if (cases[i].reader == 'b')
			pst_cur_bool(&c);
		else if (cases[i].reader == 's')
			assert_null(pst_cur_bytes(&c, &n));
		else if (cases[i].reader == 'a')
			assert_int_equal(pst_cur_array(&c), 0);
		else
			assert_int_equal(pst_cur_map(&c), 0);
		if (!c.bad)
			fail_msg("%c accepted %s", cases[i].reader, cases[i].hex);
		assert_bad(&c);
		bytes_done(&b);
	}
}

static void types_are_told(void **state)
{
	static const struct {
		const char *hex;
		enum pst_mp_type type;
	} cases[] = {{"00", PST_MP_UINT}, {"7f", PST_MP_UINT}, {"cc80", PST_MP_UINT}, {"d001", PST_MP_UINT},
		{"d0ff", PST_MP_INT}, {"e0", PST_MP_INT}, {"ff", PST_MP_INT}, {"c0", PST_MP_NIL},
		{"c2", PST_MP_BOOL}, {"c3", PST_MP_BOOL}, {"c400", PST_MP_BIN}, {"c60000", PST_MP_BIN},
		{"a0", PST_MP_STR}, {"db", PST_MP_STR}, {"9f", PST_MP_ARRAY}, {"dc", PST_MP_ARRAY},
		{"80", PST_MP_MAP}, {"df", PST_MP_MAP}, {"c1", PST_MP_OTHER}, {"c7", PST_MP_OTHER},
		{"ca", PST_MP_OTHER}, {"d4", PST_MP_OTHER}, {"", PST_MP_END}};

	(void)state;
	for (size_t i = 0; i < PST_ARRAY_SIZE(cases); i++) {
		struct bytes b = from_hex(cases[i].hex);
		struct pst_cur c = pst_cur(b.p, b.len);
		assert_int_equal(pst_cur_peek(&c), cases[i].type);
		bytes_done(&b);
	}
}

static void skips_every_type(void **state)
{
	static const char *const values[] = {"00", "7f", "ff", "c0", "c2", "c3", "cc80", "cd0100",
		"ce00010000", "cf0000000100000000", "d080", "d18000", "d280000000", "d38000000000000000",
		"ca00000000", "cb0000000000000000", "a0", "a161", "d90161", "da000161", "db0000000161",
		"c40161", "c5000161", "c60000000161", "d40100", "d5010000", "d60100000000",
		"d7010000000000000000", "d80100000000000000000000000000000000", "c70101ff", "c8000101ff",
		"c90000000101ff", "90", "9201c0", "dc0002c0c0", "dd00000001c0", "80", "81a16191c0",
		"de0001c0c0", "df00000001c0c0", "93929001c0a0"};

	(void)state;
	for (size_t i = 0; i < PST_ARRAY_SIZE(values); i++) {
		struct bytes b = from_hex(values[i]);
		struct pst_cur c = pst_cur(b.p, b.len);

		pst_cur_skip(&c);
		if (c.bad || c.p != b.p + b.len)
			fail_msg("%s", values[i]);
		for (size_t n = 0; n < b.len; n++) { /* any end too early */
			struct bytes cut = {malloc(n ? n : 1), n};
			memcpy(cut.p, b.p, n);
			c = pst_cur(cut.p, n);
			pst_cur_skip(&c);
			if (!c.bad)
				fail_msg("%zu bytes of %s", n, values[i]);
			bytes_done(&cut);
		}
		bytes_done(&b);
	}
}

static bool skips(const void *bytes, size_t len, unsigned depth, uint32_t string_max)
{
	struct pst_cur c = pst_cur(bytes, len);

	pst_cur_skip_within(&c, depth, string_max);
	assert_true(c.bad || !pst_cur_left(&c));
	return !c.bad;
}

static void nesting_is_bounded(void **state)
{
	uint8_t arrays[64];

	(void)state;
	memset(arrays, 0x91, sizeof(arrays));
	for (unsigned depth = 0; depth <= 10; depth++) {
		unsigned allowed = depth < PST_MP_DEPTH ? depth : PST_MP_DEPTH;

		for (unsigned n = 1; n <= 12; n++) { /* n containers, the last one empty */
			arrays[n - 1] = 0x90;
			assert_int_equal(skips(arrays, n, depth, 9), n <= allowed);
			arrays[n - 1] = 0x91;
			/* each map but the last has one key and the next map as its value */
			uint8_t nested[64];
			unsigned len = 0;
			for (unsigned i = 1; i < n; i++) {
				nested[len++] = 0x81;
				nested[len++] = 0x01;
			}
			nested[len++] = 0x80;
			assert_int_equal(skips(nested, len, depth, 9), n <= allowed);
		}
	}
	/* flat after deep: the levels are given back */
	assert_true(skips("\x93\x91\x90\x91\x90\x91\x90", 7, 3, 9));
	assert_false(skips("\x93\x91\x90\x91\x91\x90\x91\x90", 8, 3, 9));
	struct pst_cur c = pst_cur(arrays, sizeof(arrays));
	pst_cur_skip(&c);
	assert_true(c.bad);
}

static void long_strings_are_refused_where_bounded(void **state)
{
	(void)state;
	assert_true(skips("\xc4\x03"
			  "abc",
		5, 1, 3));
	assert_false(skips("\xc4\x03"
			   "abc",
		5, 1, 2));
	assert_false(skips("\xd9\x03"
			   "abc",
		5, 1, 2));
	assert_false(skips("\xa3"
			   "abc",
		4, 1, 2));
	assert_false(skips("\xc7\x03"
			   "tabc",
		6, 1, 2));
	assert_false(skips("\x91\xc4\x03"
			   "abc",
		6, 1, 2));
	assert_true(skips("\xc4\x0a"
			  "0123456789",
		12, 1, 10));
	assert_false(skips("\xc4\x0a"
			   "0123456789",
		12, 1, 9));
}

/* A claim of four billion elements costs nothing. */
static void counts_beyond_the_bytes_are_refused(void **state)
{
	static const uint8_t wide[] = {0xdd, 0xff, 0xff, 0xff, 0xff, 0xdd, 0xff, 0xff, 0xff, 0xff};

	(void)state;
	assert_false(skips(wide, sizeof(wide), 8, 10));
	assert_false(skips("\xdf\xff\xff\xff\xff", 5, 8, 10));
	assert_false(skips("\x92\x01", 2, 8, 10));
}

static void buffers_grow_and_fail(void **state)
{
	char big[1000];

	(void)state;
	memset(big, 7, sizeof(big));
	for (int i = 0; i < 1000; i++)
		pst_mp_raw(&buf, big, sizeof(big));
	assert_int_equal(buf.len, 1000000);
	assert_false(buf.failed);
	for (size_t i = 0; i < buf.len; i++)
		assert_int_equal(buf.p[i], 7);
	assert_false(pst_buf_reserve(&buf, SIZE_MAX)); /* no sum may wrap */
	assert_true(buf.failed);
	assert_int_equal(buf.len, 1000000);
	buf.failed = false;
	assert_false(pst_buf_reserve(&buf, SIZE_MAX - buf.len + 1));
	assert_true(buf.failed);
	pst_buf_done(&buf);
	assert_null(buf.p);
	assert_false(buf.failed);
	pst_buf_done(&buf);
}

/* Whatever the bytes: each reader stops within them, and ends. */
static void random_bytes_are_walked_safely(void **state)
{
	uint64_t seed = 88172645463325252, good = 0;

	(void)state;
	for (int round = 0; round < 200000; round++) {
		size_t len = random_u64(&seed) % 40;
		uint8_t *p = malloc(len ? len : 1);
		uint32_t n;

		assert_non_null(p);
		for (size_t i = 0; i < len; i++) {
			uint64_t r = random_u64(&seed);
			p[i] = (uint8_t)(r & 0x100 ? 0x80 | (r & 0x5f) : r);
		}
		struct pst_cur c = pst_cur(p, len);
		while (!c.bad && pst_cur_left(&c)) {
			const uint8_t *before = c.p;
			switch (random_u64(&seed) % 6) {
			case 0:
				pst_cur_uint(&c);
				break;
			case 1:
				pst_cur_int(&c);
				break;
			case 2:
				pst_cur_bytes(&c, &n);
				break;
			case 3:
				n = pst_cur_array(&c);
				assert_true(n <= pst_cur_left(&c));
				break;
			case 4:
				n = pst_cur_map(&c);
				assert_true((uint64_t)n * 2 <= pst_cur_left(&c));
				break;
			default:
				pst_cur_skip(&c);
			}
			assert_true(c.p > before && c.p <= c.end);
			good += !c.bad;
		}
		free(p);
	}
	assert_true(good > 50000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(integers_have_their_shortest_form, empty_buf),
		cmocka_unit_test_teardown(signed_integers_have_their_shortest_form, empty_buf),
		cmocka_unit_test_teardown(other_values, empty_buf),
		cmocka_unit_test_teardown(lengths_of_strings, empty_buf),
		cmocka_unit_test(any_form_of_an_integer_is_read),
		cmocka_unit_test(what_was_not_asked_for_is_bad_for_ever),
		cmocka_unit_test(types_are_told),
		cmocka_unit_test(skips_every_type),
		cmocka_unit_test(nesting_is_bounded),
		cmocka_unit_test(long_strings_are_refused_where_bounded),
		cmocka_unit_test(counts_beyond_the_bytes_are_refused),
		cmocka_unit_test_teardown(buffers_grow_and_fail, empty_buf),
		cmocka_unit_test(random_bytes_are_walked_safely),
	};
	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("mp", tests, NULL, NULL);
}
