// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

#include "policyd/rules.h"
#include "proto/base/cleanup.h"

/* An exec by uid 1000 of /usr/bin/curl -k http://x in a container, with an enricher's array. */
static void exec_event(struct pst_buf *out)
{
	PST_CLEANUP(pst_buf_done) struct pst_buf sensor = {0}, list = {0}, procs = {0};
	struct pst_val s[PST_EXEC_F_N] = {0}, en[PST_ENR_N] = {0};
	struct pst_event e;
	struct pst_cur cur;

	pst_list_add(&list, "curl", 4);
	pst_list_add(&list, "-k", 2);
	pst_list_add(&list, "http://x", 8);
	s[PST_EXEC_F_pid].u = 42;
	s[PST_EXEC_F_uid].u = 1000;
	s[PST_EXEC_F_comm] = pst_val_str("curl", 4);
	s[PST_EXEC_F_exe] = pst_val_str("/usr/bin/curl", 13);
	s[PST_EXEC_F_argv] = (struct pst_val){.p = list.p, .len = (uint32_t)list.len, .n = 3};
	pst_event_pack(&sensor, PST_KIND_EXEC, 5, s);
	cur = pst_cur(sensor.p, sensor.len);
	assert_int_equal(pst_event_decode(&cur, &e), 0);
	pst_procs_add(&procs, 41, 1, "/usr/bin/bash", 13);
	pst_procs_add(&procs, 1, 1, "/sbin/init", 10);
	en[PST_ENR_user] = pst_val_str("alice", 5);
	en[PST_ENR_ancestors] = (struct pst_val){.p = procs.p, .len = (uint32_t)procs.len, .n = 2};
	en[PST_ENR_container_id] = pst_val_str("0123456789abcdef", 16);
	pst_event_append_enricher(out, &e, en);
}

static void connect_event(struct pst_buf *out)
{
	struct pst_val s[PST_CONNECT_F_N] = {0};
	uint8_t addr[16] = {[10] = 0xff, [11] = 0xff, [12] = 10, [13] = 1, [14] = 2, [15] = 3};

	s[PST_CONNECT_F_pid].u = 7;
	s[PST_CONNECT_F_comm] = pst_val_str("nc", 2);
	s[PST_CONNECT_F_protocol].u = IPPROTO_TCP;
	s[PST_CONNECT_F_raddr] = pst_val_addr(addr);
	s[PST_CONNECT_F_rport].u = 443;
	s[PST_CONNECT_F_error].u = 111;
	pst_event_pack(out, PST_KIND_CONNECT, 6, s);
}

static struct rules *must_parse(const char *yaml)
{
	struct pst_conf_errors errors = {0};
	struct rules *rules = NULL;
	int e = rules_parse("t.yaml", yaml, strlen(yaml), &errors, &rules);

	if (e)
		fail_msg("%s: %s", yaml, errors.text ? errors.text : "no error text");
	pst_conf_errors_done(&errors);
	return rules;
}

/* How many of the rules match the event. */
static unsigned matches(const char *match, void (*make)(struct pst_buf *out))
{
	PST_CLEANUP(pst_buf_done) struct pst_buf raw = {0};
	char yaml[1024];
	struct pst_event e;
	struct pst_cur cur;
	struct rules *rules;
	unsigned n = 0;

	make(&raw);
	cur = pst_cur(raw.p, raw.len);
	assert_int_equal(pst_event_decode(&cur, &e), 0);
	snprintf(yaml, sizeof(yaml), "rules: [{name: a, match: %s}]", match);
	rules = must_parse(yaml);
	for (uint32_t i = 0; i < rules->n_by_kind[e.kind]; i++)
		n += cond_match(rules->v[rules->by_kind[e.kind][i]].match, &e);
	rules_free(rules);
	return n;
}

static const struct {
	const char *match;
	bool exec, connect;
} conditions[] = {
	{"{comm: curl}", true, false},
	{"{comm: cur}", false, false},
	{"{comm: [nc, curl]}", true, true},
	{"{comm: {in: [wget, curl]}}", true, false},
	{"{exe: {prefix: /usr/bin/}}", true, false},
	{"{exe: {suffix: curl}}", true, false},
	{"{exe: {glob: \"/usr/*/curl\"}}", true, false},
	{"{exe: {contains: bin}}", true, false},
	{"{argv: -k}", true, false},
	{"{argv: {prefix: \"http://\"}}", true, false},
	{"{argv: {prefix: \"https://\"}}", false, false},
	{"{ancestors: /usr/bin/bash}", true, false},
	{"{ancestors: {suffix: init}}", true, false},
	{"{uid: 1000}", true, false},
	{"{uid: {greater: 999}}", true, false},
	{"{uid: {less: 1000}}", false, true},
	{"{user: alice}", true, false},
	{"{container_id: {exists: true}}", true, false},
	{"{container_id: {exists: false}}", false, true},
	{"{raddr: 10.1.2.3}", false, true},
	{"{raddr: {cidr: 10.0.0.0/8}}", false, true},
	{"{raddr: {cidr: [192.168.0.0/16, 10.1.2.0/24]}}", false, true},
	{"{raddr: {cidr: 10.2.0.0/16}}", false, false},
	{"{raddr: {prefix: \"10.1.\"}}", false, true},
	{"{rport: 443, error: ECONNREFUSED}", false, true},
	{"{rport: 443, error: ETIMEDOUT}", false, false},
	{"{protocol: tcp}", false, true},
	{"{not: {comm: curl}}", false, true},
	{"{or: [{comm: curl}, {comm: nc}]}", true, true},
	{"{and: [{comm: curl}, {uid: 0}]}", false, false},
	{"{comm: curl, not: {or: [{uid: 0}, {user: bob}]}}", true, false},
	{"{rport: {greater: 400, less: 500}}", false, true},
};

static void test_conditions(void **state)
{
	(void)state;
	for (size_t i = 0; i < PST_ARRAY_SIZE(conditions); i++) {
		if (matches(conditions[i].match, exec_event) != conditions[i].exec)
			fail_msg("%s on the exec: expected %d", conditions[i].match, conditions[i].exec);
		if (matches(conditions[i].match, connect_event) != conditions[i].connect)
			fail_msg(
				"%s on the connect: expected %d", conditions[i].match, conditions[i].connect);
	}
}

static const struct {
	const char *yaml, *error;
} bad[] = {
	{"rules: 5", "t.yaml:1:1: expected one key, rules"},
	{"x: []", "expected one key, rules"},
	{"rules:\n  - name: a\n    kinds: [process_exce]",
		"t.yaml:3:13: no kind of event is called \"process_exce\", did you mean \"process_exec\"?"},
	{"rules:\n  - name: a\n    match: {com: x}",
		"t.yaml:3:18: no event has a field \"com\", did you mean \"comm\"?"},
	{"rules:\n  - name: a\n    match: {comm: {prefx: x}}",
		"t.yaml:3:20: unknown comparison \"prefx\", did you mean \"prefix\"?"},
	{"rules:\n  - nam: a", "t.yaml:2:5: unknown key \"nam\" of a rule, did you mean \"name\"?"},
	{"rules:\n  - kinds: [process_exec]", "t.yaml:2:5: the rule has no name"},
	{"rules:\n  - name: a", "matches every event"},
	{"rules:\n  - {name: a, kinds: process_exec}\n  - {name: a, kinds: process_exec}",
		"t.yaml:3:5: a rule of the name \"a\" is there already"},
	{"rules:\n  - {name: a, kinds: process_exec, severity: hgih}", "severity: expected debug"},
	{"rules:\n  - {name: a, kinds: process_exec, rate: often}", "rate: expected a number"},
	{"rules:\n  - {name: a, kinds: process_exec, message: \"x {nope}\"}",
		"no event has a field \"nope\""},
	{"rules:\n  - {name: a, kinds: process_exec, message: \"x {exe\"}", "\"{\" without \"}\""},
	{"rules:\n  - {name: a, match: {raddr: 10.0.0.300}}", "no address and no CIDR"},
	{"rules:\n  - {name: a, match: {comm: {cidr: 10.0.0.0/8}}}", "cidr needs an address"},
	{"rules:\n  - {name: a, match: {rport: https}}", "\"https\" is no value of the field rport"},
	{"rules:\n  - {name: a, match: {or: {comm: x}}}", "or: expected a sequence"},
	{"rules:\n  - {name: a, match: {comm: []}}", "the list is empty"},
	{"rules:\n  - {name: a, match: {comm: {}}}", "expected a comparison of comm"},
	{"rules:\n  - {name: a, match: {pid: {exists: maybe}}}", "exists: expected true or false"},
	{"rules: [", "t.yaml:"},
};

static void test_errors(void **state)
{
	(void)state;
	for (size_t i = 0; i < PST_ARRAY_SIZE(bad); i++) {
		struct pst_conf_errors errors = {0};
		struct rules *rules = NULL;

		if (!rules_parse("t.yaml", bad[i].yaml, strlen(bad[i].yaml), &errors, &rules))
			fail_msg("accepted: %s", bad[i].yaml);
		assert_null(rules);
		if (!errors.text || !strstr(errors.text, bad[i].error))
			fail_msg("%s\ngot: %s\nexpected: %s", bad[i].yaml,
				errors.text ? errors.text : "nothing", bad[i].error);
		pst_conf_errors_done(&errors);
	}
}

static void test_message(void **state)
{
	PST_CLEANUP(pst_buf_done) struct pst_buf raw = {0};
	struct rules *rules = must_parse("rules: [{name: a, kinds: process_exec, message: \"{user} ran {exe} "
					 "({argv}) {{pid {pid}}\"}]");
	char text[RULE_MESSAGE_MAX + 1];
	struct pst_event e;
	struct pst_cur cur;

	(void)state;
	exec_event(&raw);
	cur = pst_cur(raw.p, raw.len);
	assert_int_equal(pst_event_decode(&cur, &e), 0);
	rule_message(&rules->v[0], &e, text);
	assert_string_equal(text, "alice ran /usr/bin/curl (curl -k http://x) {pid 42}");
	rules_free(rules);
}

static void test_rate(void **state)
{
	struct rules *rules = must_parse("rules: [{name: a, kinds: process_exec, rate: 2/1s}]");
	struct rule *r = &rules->v[0];
	uint64_t t = 100000000000ull;

	(void)state;
	assert_true(alert_take(&r->rate, t));
	assert_true(alert_take(&r->rate, t));
	assert_false(alert_take(&r->rate, t));
	assert_false(alert_take(&r->rate, t + 1));
	assert_int_equal(r->rate.suppressed, 2);
	assert_true(alert_take(&r->rate, t + 600000000)); /* 1.2 tokens came back */
	assert_false(alert_take(&r->rate, t + 600000000));
	/* events of two rings: each time back by 10 ms and on again grants nothing */
	for (unsigned i = 0; i < 10000; i++)
		assert_false(alert_take(&r->rate, t + 600000000 - i % 2 * 10000000));
	/* time that goes back gives nothing and breaks nothing */
	assert_false(alert_take(&r->rate, 5));
	/* the recording is played again, from its beginning */
	assert_true(alert_take(&r->rate, 5 + 500000000));
	rules_free(rules);
}

static void test_inherit(void **state)
{
	struct rules *a =
		must_parse("rules: [{name: x, kinds: process_exec}, {name: y, kinds: process_exit}]");
	struct rules *b =
		must_parse("rules: [{name: y, kinds: process_exit}, {name: z, kinds: process_exit}]");

	(void)state;
	a->v[1].alerts = 7;
	rules_inherit(b, a);
	assert_int_equal(b->v[0].alerts, 7);
	assert_int_equal(b->v[1].alerts, 0);
	assert_true(rules_want(b, PST_KIND_EXIT));
	assert_false(rules_want(b, PST_KIND_EXEC));
	assert_false(rules_want(b, 4000000000u));
	rules_free(a);
	rules_free(b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_conditions),
		cmocka_unit_test(test_errors),
		cmocka_unit_test(test_message),
		cmocka_unit_test(test_rate),
		cmocka_unit_test(test_inherit),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("rules", tests, NULL, NULL);
}
