// SPDX-License-Identifier: Apache-2.0
/* A compiled table that differs from its rules does not come into force. */
#include "tests/unit/policyd/guard_env.h"

static bool agrees = true;
static size_t samples_seen;
static const union pst_line *lines_seen;

/* In the place of the one in policyd/fw/verify.c. */
bool fw_verify(const struct fw_ruleset *set, const union pst_line *lines, uint32_t n_lines, size_t n,
	uint64_t seed, struct pst_fw_packet *ret_packet)
{
	(void)set;
	(void)n_lines;
	(void)seed;
	(void)ret_packet;
	samples_seen = n;
	lines_seen = lines;
	return agrees;
}

static void test_mismatch(void **state)
{
	(void)state;
	agrees = true;
	write_rules("drop", "    - {name: web, dport: 80, action: accept}\n");
	start();
	assert_true(samples_seen >= 2000);
	/* it is looked at before any program could see it */
	assert_true(lines_seen < env.fw || lines_seen >= env.fw + 2 * FW_LINES);
	agrees = false;
	pass_grace();
	write_rules("accept", "    - {name: telnet, dport: 23, action: drop}\n");
	assert_int_equal(guard_reload(env.guard, GUARD_ALL), -EILSEQ);
	assert_non_null(strstr(guard_error(env.guard), "differs from its rules"));
	assert_int_equal(env.guard->firewall.mismatches->value, 1);
	assert_refused(ASK("firewall_add", T("rule", "{name: x, action: drop}")), "differs from its rules");
	assert_int_equal(env.guard->firewall.mismatches->value, 2);
	assert_int_equal(env.guard->firewall.runtime.n, 0);
	turn_for(150 * MS);
	assert_int_equal(env.word->fw_generation, 1);
	assert_string_equal(verdict("192.0.2.1", 80), "accept rule web");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_mismatch, genv_setup, genv_teardown),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
