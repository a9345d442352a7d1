// SPDX-License-Identifier: Apache-2.0
/* Alerts of what policies did: which events are one, what is said, and how often. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "policyd/alerts.h"
#include "proto/base/cleanup.h"

static struct policy_alerts alerts;
static struct pst_val in[PST_POLICY_F_N], fields[PST_POL_N];
static const char *exe = "/usr/bin/cat";

static struct pst_val text(const char *s)
{
	return pst_val_str(s, strlen(s));
}

static void begin(const char *operation, const char *action, const char *done)
{
	memset(in, 0, sizeof(in));
	in[PST_POLICY_F_pid].u = 13;
	in[PST_POLICY_F_comm] = text("thread");
	in[PST_POLICY_F_operation] = text(operation);
	in[PST_POLICY_F_action] = text(action);
	in[PST_POLICY_F_done] = text(done);
	in[PST_POLICY_F_policy] = text("secrets");
	in[PST_POLICY_F_policy_rule] = text("nobody else does");
	in[PST_POLICY_F_policy_generation].u = 7;
}

/* As it comes from the enricher; good until the next one. */
static const struct pst_event *event(uint64_t ts_ns)
{
	static struct pst_buf sensor, whole;
	static struct pst_event e;
	struct pst_val enricher[PST_ENR_N] = {0};
	struct pst_cur cur;

	sensor.len = whole.len = 0;
	pst_event_pack(&sensor, PST_KIND_POLICY, ts_ns, in);
	cur = pst_cur(sensor.p, sensor.len);
	assert_int_equal(pst_event_scan(&cur, &e), 0);
	enricher[PST_ENR_exe] = text(exe);
	pst_event_append_enricher(&whole, &e, enricher);
	cur = pst_cur(whole.p, whole.len);
	assert_int_equal(pst_event_decode(&cur, &e), 0);
	return &e;
}

static bool take(uint64_t ts_ns)
{
	const struct pst_event *e = event(ts_ns);

	memset(fields, 0, sizeof(fields));
	assert_true(policy_alert_wanted(e));
	return policy_alert(&alerts, e, fields);
}

static int setup(void **state)
{
	(void)state;
	policy_alerts_done(&alerts);
	exe = "/usr/bin/cat";
	return 0;
}

static void assert_says(const char *want)
{
	static uint64_t ts = 1000000000000;

	assert_true(take(ts += 1000000000));
	assert_int_equal(fields[PST_POL_message].len, strlen(alerts.message));
	assert_string_equal(alerts.message, want);
}

static void what_is_said(void **state)
{
	const struct pst_val *tags = &fields[PST_POL_tags];
	struct pst_cur cur;
	const void *bytes;
	uint32_t len;

	(void)state;
	begin("file.open", "deny", "denied");
	in[PST_POLICY_F_path] = text("/etc/shadow");
	assert_says("denied: /usr/bin/cat opens /etc/shadow (policy secrets, rule nobody else does)");
	assert_string_equal(alerts.rule, "secrets/nobody else does");
	assert_int_equal(fields[PST_POL_rule].len, strlen(alerts.rule));
	assert_int_equal(fields[PST_POL_severity].u, 4);
	assert_int_equal(fields[PST_POL_suppressed].u, 0);
	assert_int_equal(tags->n, 2);
	cur = pst_cur(tags->p, tags->len);
	assert_true(pst_list_next(&cur, &bytes, &len) && len == 6 && !memcmp(bytes, "policy", 6));
	assert_true(pst_list_next(&cur, &bytes, &len) && len == 4 && !memcmp(bytes, "deny", 4));
	in[PST_POLICY_F_path] = text("");
	assert_says("denied: /usr/bin/cat opens a file whose path is not known (policy secrets, rule nobody "
		    "else does)");
	begin("file.rename", "deny", "told");
	in[PST_POLICY_F_path] = text("/a");
	in[PST_POLICY_F_to_path] = text("/b");
	assert_says("not denied: /usr/bin/cat renames /a to /b (policy secrets, rule nobody else does)");
	exe = "";
	in[PST_POLICY_F_policy] = in[PST_POLICY_F_policy_rule] = text("");
	in[PST_POLICY_F_policy_id].u = 3;
	in[PST_POLICY_F_policy_rule_id].u = 17;
	assert_says("not denied: thread renames /a to /b (policy #3, rule #17)");
	assert_string_equal(alerts.rule, "#3/#17");
}

static void objects(void **state)
{
	(void)state;
	begin("net.connect", "throttle", "denied");
	in[PST_POLICY_F_raddr] = pst_val_str("\x0a\0\0\2", 4);
	in[PST_POLICY_F_rport].u = 443;
	assert_says("denied: /usr/bin/cat connects to 10.0.0.2:443 (policy secrets, rule nobody else does)");
	assert_int_equal(fields[PST_POL_severity].u, 3);
	begin("net.bind", "alert", "told");
	in[PST_POLICY_F_laddr] = pst_val_str("\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\1", 16);
	in[PST_POLICY_F_lport].u = 80;
	assert_says("seen: /usr/bin/cat binds [::1]:80 (policy secrets, rule nobody else does)");
	assert_int_equal(fields[PST_POL_severity].u, 3);
	begin("process.signal", "kill", "killed");
	in[PST_POLICY_F_signal].u = 9;
	in[PST_POLICY_F_target_pid].u = 4711;
	assert_says("killed: /usr/bin/cat sends SIGKILL to 4711 (policy secrets, rule nobody else does)");
	assert_int_equal(fields[PST_POL_severity].u, 5);
	begin("cap.use", "kill", "told");
	in[PST_POLICY_F_capabilities].u = 1u << 21;
	assert_says("not killed: /usr/bin/cat uses CAP_SYS_ADMIN (policy secrets, rule nobody else does)");
	begin("99", "deny", "denied");
	assert_says("denied: /usr/bin/cat 99 (policy secrets, rule nobody else does)");
}

/* Each operation has a verb of its own. */
static void operations(void **state)
{
#define OP_NAME(id, number, name, asks, help) name,
	static const char *const names[] = {PST_POLICY_OPS(OP_NAME)};
#undef OP_NAME
	char bare[64];

	(void)state;
	for (size_t i = 0; i < PST_ARRAY_SIZE(names); i++) {
		begin(names[i], "deny", "denied");
		in[PST_POLICY_F_policy_rule_id].u = i;
		assert_true(take(1000000000000));
		snprintf(bare, sizeof(bare), "cat %s", names[i]);
		assert_null(strstr(alerts.message, bare));
	}
}

static void what_is_none(void **state)
{
	static const char *const none[] = {"audit", "allow", "none", "7", "", "denyx", "den"};

	(void)state;
	for (size_t i = 0; i < PST_ARRAY_SIZE(none); i++) {
		begin("file.open", none[i], "told");
		in[PST_POLICY_F_would] = text("deny");
		assert_false(policy_alert_wanted(event(1)));
		assert_false(policy_alert(&alerts, event(1), fields));
	}
}

/* What decided is told whatever else there is. */
static void longest(void **state)
{
	static char path[PST_STRING_MAX], name[PST_STRING_MAX];
	const char *end;

	(void)state;
	memset(path, 'p', sizeof(path));
	memset(name, 'n', sizeof(name));
	begin("file.rename", "deny", "denied");
	in[PST_POLICY_F_path] = in[PST_POLICY_F_to_path] = pst_val_str(path, sizeof(path));
	in[PST_POLICY_F_capabilities].u = UINT64_MAX;
	in[PST_POLICY_F_raddr] = pst_val_str("\x20\1\xd\xb8\0\0\0\0\0\0\0\0\0\0\0\1", 16);
	in[PST_POLICY_F_rport].u = 65535;
	in[PST_POLICY_F_policy] = in[PST_POLICY_F_policy_rule] = pst_val_str(name, PST_POL_NAME - 1);
	assert_true(take(1000000000000));
	assert_true(fields[PST_POL_message].len <= RULE_MESSAGE_MAX);
	end = strstr(alerts.message, " (policy nnn");
	assert_non_null(end);
	assert_non_null(strstr(end, "n, rule n"));
	assert_int_equal(alerts.message[fields[PST_POL_message].len - 1], ')');
	assert_int_equal(fields[PST_POL_rule].len, 2 * PST_POL_NAME - 1);
	/* no policy is called so, but an event may say it */
	in[PST_POLICY_F_policy] = in[PST_POLICY_F_policy_rule] = pst_val_str(name, sizeof(name));
	in[PST_POLICY_F_policy_rule_id].u = UINT64_MAX;
	in[PST_POLICY_F_policy_generation].u = UINT64_MAX;
	assert_true(take(1000000000000));
	assert_true(fields[PST_POL_message].len <= RULE_MESSAGE_MAX);
	assert_true(fields[PST_POL_rule].len < sizeof(alerts.rule));
}

static unsigned flood(uint64_t ts_ns, unsigned n)
{
	unsigned told = 0;

	while (n--)
		told += take(ts_ns);
	return told;
}

static void a_flood_is_a_few(void **state)
{
	const uint64_t second = 1000000000;
	uint64_t t = 1000 * second;

	(void)state;
	begin("file.open", "deny", "denied");
	assert_int_equal(flood(t, 1000), 10);
	in[PST_POLICY_F_policy_rule_id].u = 1; /* each rule has its own */
	assert_int_equal(flood(t, 1000), 10);
	in[PST_POLICY_F_policy_rule_id].u = 0;
	assert_int_equal(flood(t + 1, 5), 0);
	assert_true(take(t + second));
	assert_int_equal(fields[PST_POL_suppressed].u, 995);
	assert_true(take(t + second));
	assert_int_equal(fields[PST_POL_suppressed].u, 0);
	assert_int_equal(flood(t + 2 * second, 1000), 10);
	/* events of two generations in turn make no more alerts */
	for (unsigned i = 0; i < 100; i++) {
		in[PST_POLICY_F_policy_generation].u = 7 + i % 2;
		assert_false(take(t + 2 * second));
	}
	in[PST_POLICY_F_policy_generation].u = 9;
	assert_true(take(t + 3 * second));
	assert_int_equal(fields[PST_POL_suppressed].u, 0); /* those were another's */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(what_is_said, setup),
		cmocka_unit_test_setup(objects, setup),
		cmocka_unit_test_setup(operations, setup),
		cmocka_unit_test_setup(what_is_none, setup),
		cmocka_unit_test_setup(longest, setup),
		cmocka_unit_test_setup(a_flood_is_a_few, setup),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, setup);
}
