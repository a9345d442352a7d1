// SPDX-License-Identifier: Apache-2.0
/* Ports whose SYNs are answered, from text. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "policyd/guard/guard.h"
#include "policyd/guard/syn.h"
#include "proto/base/cleanup.h"

static __u64 ports[PST_GUARD_PORT_WORDS];

static int parse(const char *a, const char *b, size_t *ret_bad)
{
	char *texts[] = {(char *)(uintptr_t)a, (char *)(uintptr_t)b};
	struct pst_strs strs = {.v = texts, .n = b ? 2 : 1};

	return syn_ports_parse(&strs, ports, ret_bad);
}

static unsigned n_set(void)
{
	unsigned n = 0;

	for (size_t i = 0; i < PST_ARRAY_SIZE(ports); i++)
		n += (unsigned)__builtin_popcountll(ports[i]);
	return n;
}

static bool is_set(unsigned port)
{
	return ports[port / 64] >> port % 64 & 1;
}

static void good(void **state)
{
	size_t bad;

	(void)state;
	assert_int_equal(parse("80", "63-128", &bad), 0);
	assert_int_equal(n_set(), 66);
	assert_true(is_set(63) && is_set(64) && is_set(80) && is_set(128) && !is_set(62) && !is_set(129));
	assert_int_equal(parse("1-65535", NULL, &bad), 0);
	assert_int_equal(n_set(), 65535);
	assert_false(is_set(0));
	assert_int_equal(parse("65535-65535", "1", &bad), 0);
	assert_int_equal(n_set(), 2);
}

static void refused(void **state)
{
	static const char *const texts[] = {"", "0", "65536", "-1", "+1", " 1", "1 ", "80-", "-80", "80-79",
		"1-2-3", "0-3", "1-65536", "http", "0x50", "99999999999999999999", "80,443", "1-+3"};
	size_t bad = 9;

	(void)state;
	for (size_t i = 0; i < PST_ARRAY_SIZE(texts); i++) {
		assert_int_equal(parse(texts[i], NULL, &bad), -EINVAL);
		assert_int_equal(bad, 0);
		assert_int_equal(parse("1", texts[i], &bad), -EINVAL);
		assert_int_equal(bad, 1);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(good), cmocka_unit_test(refused)};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("ports of SYNs", tests, NULL, NULL);
}
