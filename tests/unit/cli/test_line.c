// SPDX-License-Identifier: Apache-2.0
/* Events of policies as lines for people: on a terminal what was denied or killed is red. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "cli/line.h"
#include "proto/base/cleanup.h"

static struct pst_event event;
static char line[4096];

static struct pst_val text(const char *s)
{
	return pst_val_str(s, strlen(s));
}

static void begin(const char *operation, const char *action, const char *done)
{
	struct pst_val *v = event.sensor;

	event = (struct pst_event){.kind = PST_KIND_POLICY, .n_stages = 2};
	event.desc = pst_kind_by_id(PST_KIND_POLICY);
	v[PST_POLICY_F_pid].u = 13;
	v[PST_POLICY_F_comm] = text("cat");
	v[PST_POLICY_F_operation] = text(operation);
	v[PST_POLICY_F_action] = text(action);
	v[PST_POLICY_F_done] = text(done);
	v[PST_POLICY_F_policy] = text("secrets");
	v[PST_POLICY_F_policy_rule] = text("nobody else");
}

/* Without the time. */
static const char *show(bool colour)
{
	PST_CLEANUP(pst_buf_done) struct pst_buf out = {0};
	const char *rest;

	line_event(&out, &event, 0, colour);
	assert_true(out.len < sizeof(line));
	memcpy(line, out.p, out.len);
	line[out.len] = 0;
	rest = strstr(line, "cat");
	assert_non_null(rest);
	return rest;
}

static void done(void **state)
{
	(void)state;
	begin("file.open", "deny", "denied");
	event.sensor[PST_POLICY_F_path] = text("/etc/shadow");
	event.sensor[PST_POLICY_F_error].u = EACCES;
	assert_string_equal(
		show(false), "cat[13] policy denied file.open /etc/shadow EACCES by secrets/nobody else");
	assert_non_null(strstr(show(true), "\033[31mdenied\033[0m file.open"));
	begin("process.exec", "kill", "killed");
	assert_string_equal(show(false), "cat[13] policy killed process.exec by secrets/nobody else");
	assert_non_null(strstr(show(true), "\033[31mkilled\033[0m"));
}

static void told(void **state)
{
	(void)state;
	begin("file.rename", "audit", "told");
	event.sensor[PST_POLICY_F_path] = text("/a\n");
	event.sensor[PST_POLICY_F_to_path] = text("/b");
	event.sensor[PST_POLICY_F_would] = text("deny");
	assert_string_equal(show(false),
		"cat[13] policy audit file.rename /a\\x0a → /b by secrets/nobody else (would deny)");
	assert_null(strstr(show(true), "\033[31m"));
	assert_non_null(strstr(show(true), "\033[33maudit\033[0m"));
	event.sensor[PST_POLICY_F_action] = text("alert");
	event.sensor[PST_POLICY_F_would] = text("");
	assert_null(strstr(show(false), "("));
	event.sensor[PST_POLICY_F_action] = text("kill"); /* and the hook could not */
	assert_non_null(strstr(show(false), "policy kill file.rename"));
	assert_non_null(strstr(show(false), "(only told)"));
}

static void objects(void **state)
{
	(void)state;
	begin("net.connect", "throttle", "denied");
	event.sensor[PST_POLICY_F_raddr] = pst_val_str("\x0a\0\0\2", 4);
	event.sensor[PST_POLICY_F_rport].u = 443;
	event.sensor[PST_POLICY_F_policy] = event.sensor[PST_POLICY_F_policy_rule] = text("");
	event.sensor[PST_POLICY_F_policy_rule_id].u = 17;
	assert_string_equal(show(false), "cat[13] policy denied net.connect → 10.0.0.2:443 by #0/#17");
	begin("net.bind", "deny", "denied");
	event.sensor[PST_POLICY_F_lport].u = 80;
	assert_string_equal(show(false), "cat[13] policy denied net.bind *:80 by secrets/nobody else");
	begin("process.signal", "deny", "denied");
	event.sensor[PST_POLICY_F_signal].u = 9;
	event.sensor[PST_POLICY_F_target_pid].u = 4711;
	assert_string_equal(
		show(false), "cat[13] policy denied process.signal SIGKILL → [4711] by secrets/nobody else");
	begin("cap.use", "deny", "denied");
	event.sensor[PST_POLICY_F_capabilities].u = 1u << 21;
	assert_string_equal(
		show(false), "cat[13] policy denied cap.use CAP_SYS_ADMIN by secrets/nobody else");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(done),
		cmocka_unit_test(told),
		cmocka_unit_test(objects),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
