// SPDX-License-Identifier: Apache-2.0
/* Signatures from text: what is taken, and what is refused with its place and reason. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "policyd/ddos/sigs.h"
#include "proto/base/cleanup.h"

static struct sig_set set;

static int parse(const char *list, struct pst_conf_errors *errors)
{
	char text[20000];

	snprintf(text, sizeof(text), "signatures:\n%s", list);
	return sigs_parse("s.yaml", text, strlen(text), errors, &set);
}

static void test_taken(void **state)
{
	struct pst_conf_errors errors = {0};
	const struct sig *s = set.v;

	(void)state;
	memset(&set, 0, sizeof(set));
	assert_int_equal(
		parse("  - name: query-flood\n    protocol: udp\n"
		      "    source_port: [9, 1-3, 53, 3-5]\n    port: 27015\n    length: 25-1400\n"
		      "    payload: {offset: 4, hex: \"ff FE0a\", mask: ff fe 0f}\n    unasked: yes\n"
		      "    action: count\n"
		      "  - {name: t, protocol: 6, payload: {text: \"GET /\"}}\n",
			&errors),
		0);
	assert_int_equal(set.n, 2);
	assert_string_equal(s[0].name, "query-flood");
	assert_int_equal(s[0].protocol, 17);
	assert_int_equal(s[0].sport.n, 3); /* what touches is one range */
	assert_int_equal(s[0].sport.v[0].lo, 1);
	assert_int_equal(s[0].sport.v[0].hi, 5);
	assert_int_equal(s[0].sport.v[1].lo, 9);
	assert_int_equal(s[0].dport.v[0].hi, 27015);
	assert_int_equal(s[0].len.lo, 25);
	assert_int_equal(s[0].len.hi, 1400);
	assert_int_equal(s[0].offset, 4);
	assert_int_equal(s[0].need, 3);
	assert_memory_equal(s[0].value, "\xff\xfe\x0a", 3);
	assert_memory_equal(s[0].mask, "\xff\xfe\x0f\0", 4);
	assert_true(s[0].unasked && !s[0].drop);
	assert_true(!s[1].unasked && s[1].drop);
	assert_int_equal(s[1].need, 5);
	assert_memory_equal(s[1].value, "GET /", 5);
	assert_memory_equal(s[1].mask, "\xff\xff\xff\xff\xff\0", 6);
	assert_int_equal(s[1].len.hi, UINT16_MAX);
	pst_conf_errors_done(&errors);
}

static void test_refused(void **state)
{
	static const struct {
		const char *text, *error;
	} cases[] = {
		{"  - {protocol: udp, port: 1}\n", "s.yaml:2:5: expected name and protocol"},
		{"  - {name: a, port: 1}\n", "expected name and protocol"},
		{"  - {name: a, protocol: udp}\n", "would match all of its protocol"},
		{"  - {name: a b, protocol: udp, port: 1}\n", "name: expected at most 63"},
		{"  - {name: amp-dns, protocol: udp, port: 1}\n", "\"amp-dns\" is built in"},
		{"  - {name: a, protocol: udp, port: 1}\n  - {name: a, protocol: udp, port: 2}\n",
			"s.yaml:3:12: name: there is another \"a\""},
		{"  - {name: a, protocol: upd, port: 1}\n", "protocol: expected"},
		{"  - {name: a, protocol: 256, port: 1}\n", "protocol: expected"},
		{"  - {name: a, protocol: udp, port: 65536}\n", "port: expected a port or a range"},
		{"  - {name: a, protocol: udp, port: 9-8}\n", "port: expected a port or a range"},
		{"  - {name: a, protocol: udp, source_port: -8}\n",
			"source_port: expected a port or a range"},
		{"  - {name: a, protocol: udp, port: []}\n", "the list is empty"},
		{"  - {name: a, protocol: udp, port: {}}\n", "port: expected a port or a range"},
		{"  - {name: a, protocol: udp, port: [1,3,5,7,9,11,13,15,17,19,21,23,25,27,29,31,33]}\n",
			"more than 16"},
		{"  - {name: a, protocol: icmp, port: 1}\n", "its protocol has no ports"},
		{"  - {name: a, protocol: udp, length: -5}\n", "length: expected"},
		{"  - {name: a, protocol: udp, payload: 5}\n", "payload: expected hex or text"},
		{"  - {name: a, protocol: udp, payload: {offset: 5}}\n", "payload: expected hex or text"},
		{"  - {name: a, protocol: udp, payload: {hex: 00, text: a}}\n",
			"payload: expected hex or text"},
		{"  - {name: a, protocol: udp, payload: {hex: 00, x: a}}\n", "payload: expected hex or text"},
		{"  - {name: a, protocol: udp, payload: {hex: 0}}\n", "hex: expected 1 to 16"},
		{"  - {name: a, protocol: udp, payload: {hex: \"\"}}\n", "hex: expected 1 to 16"},
		{"  - {name: a, protocol: udp, payload: {hex: 0g}}\n", "hex: expected 1 to 16"},
		{"  - {name: a, protocol: udp, payload: {hex: 0011223344556677889900112233445566}}\n",
			"hex: expected 1 to 16"},
		{"  - {name: a, protocol: udp, payload: {text: 12345678901234567}}\n",
			"text: expected 1 to 16"},
		{"  - {name: a, protocol: udp, payload: {hex: 0011, mask: ff}}\n", "mask: expected 2 bytes"},
		{"  - {name: a, protocol: udp, payload: {hex: 0011, mask: ff10}}\n",
			"mask: byte 1 of the value"},
		{"  - {name: a, protocol: udp, payload: {hex: 00, offset: 9001}}\n",
			"offset: expected a number up to 9000"},
		{"  - {name: a, protocol: udp, length: 4, payload: {hex: 0011, offset: 3}}\n",
			"nothing could match"},
		{"  - {name: a, protocol: udp, port: 1, unasked: maybe}\n", "unasked: expected yes or no"},
		{"  - {name: a, protocol: udp, port: 1, action: pass}\n", "action: expected count or drop"},
		{"  - {name: a, protocol: udp, prot: 1}\n", "did you mean \"port\""},
		{"  - a\n", "expected a signature"},
		{"  a: b\n", "expected one key, signatures"},
	};

	(void)state;
	for (size_t i = 0; i < PST_ARRAY_SIZE(cases); i++) {
		struct pst_conf_errors errors = {0};

		memset(&set, 0, sizeof(set));
		assert_int_equal(parse(cases[i].text, &errors), -EINVAL);
		assert_int_equal(set.n, 0);
		if (!errors.text || !strstr(errors.text, cases[i].error))
			fail_msg("%s: expected \"%s\" in \"%s\"", cases[i].text, cases[i].error,
				errors.text ? errors.text : "");
		pst_conf_errors_done(&errors);
	}
}

/* 64, and not one more; pairs of ports count. */
static void test_room(void **state)
{
	struct pst_conf_errors errors = {0};
	char text[10000];
	size_t n = 0;

	(void)state;
	for (int i = 0; i < PST_SIGS; i++)
		n += (size_t)snprintf(
			text + n, sizeof(text) - n, "  - {name: s%d, protocol: udp, port: %d}\n", i, i * 2);
	memset(&set, 0, sizeof(set));
	assert_int_equal(parse(text, &errors), 0);
	assert_int_equal(set.n, PST_SIGS);
	assert_int_equal(sigs_add_amplification(true, &set), -ENOSPC);
	memset(&set, 0, sizeof(set));
	snprintf(text + n, sizeof(text) - n, "  - {name: x, protocol: udp, port: 1}\n");
	assert_int_equal(parse(text, &errors), -EINVAL);
	assert_non_null(strstr(errors.text, "more than 64 signatures"));
	memset(&set, 0, sizeof(set));
	assert_int_equal(parse("  - {name: a, protocol: udp, source_port: [1,3,5,7,9,11,13,15,17], "
			       "port: [1,3,5,7,9,11,13,15]}\n",
				 &errors),
		-EINVAL);
	assert_non_null(strstr(errors.text, "more than 64 pairs"));
	pst_conf_errors_done(&errors);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_taken),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_room),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
