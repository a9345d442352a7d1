// SPDX-License-Identifier: Apache-2.0
/* The report: its shape, states and reasons; who gets which descriptor. */
#include <jansson.h>

#include "loader/fdserver.h"
#include "loader/report.h"
#include "proto/abi/maps.h"
#include "proto/abi/policy.h"
#include "tests/unit/base_test.h"

static struct loader l;
static struct report_names names;

static int setup(void **state)
{
	(void)state;
	l = (struct loader){.stats_fd = -1, .cgroup_fd = -1};
	assert_int_equal(loader_config_init(&l.config), 0);
	plan_init(&l.plan, &l.config, &l.outcomes);
	names.drop_reasons = json_array();
	names.reset_reasons = json_array();
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	report_names_done(&names);
	free(l.net.v);
	free(l.common.run_dir);
	loader_config_done(&l.config);
	return 0;
}

static const json_t *sensor_of(const json_t *root, const char *name)
{
	const json_t *j;
	size_t i;

	json_array_foreach(json_object_get(root, "sensors"), i, j)
	{
		if (!strcmp(json_string_value(json_object_get(j, "name")), name))
			return j;
	}
	fail_msg("no sensor %s", name);
	return NULL;
}

static const char *text(const json_t *j, const char *key)
{
	return json_string_value(json_object_get(j, key));
}

static void sensors_and_reasons(void **state)
{
	json_t *root;
	const json_t *j;

	(void)state;
	plan_demote(&l.plan, SENSOR_CRED, "refused");
	l.config.sensors[SENSOR_UDP] = false;
	l.outcomes.sensors[SENSOR_UDP].off = 1;
	l.outcomes.sensors[SENSOR_UDP].rung = RUNG_NONE;
	plan_demote(&l.plan, SENSOR_PROCESS, "not here");
	root = report_json(&l, &names);
	assert_non_null(root);
	assert_int_equal(json_array_size(json_object_get(root, "sensors")), SENSOR_MAX);

	j = sensor_of(root, "tcp");
	assert_string_equal(text(j, "state"), "active");
	assert_string_equal(json_string_value(json_array_get(json_object_get(j, "can"), 0)), "observe");
	j = sensor_of(root, "cred");
	assert_string_equal(text(j, "state"), "weaker");
	assert_string_equal(text(j, "rung"), "sys_exit");
	j = json_array_get(json_object_get(j, "why_not"), 0);
	assert_string_equal(text(j, "rung"), "fentry");
	assert_string_equal(text(j, "reason"), "refused");
	j = sensor_of(root, "udp");
	assert_string_equal(text(j, "state"), "off");
	assert_true(json_is_null(json_object_get(j, "rung")));
	j = sensor_of(root, "process");
	assert_string_equal(text(j, "state"), "unavailable");
	assert_int_equal(json_array_size(json_object_get(j, "can")), 0);
	json_decref(root);
}

static const json_t *operation_of(const json_t *root, const char *name)
{
	const json_t *list = json_object_get(json_object_get(root, "policies"), "operations"), *j;
	size_t i;

	json_array_foreach(list, i, j)
	{
		if (!strcmp(text(j, "name"), name))
			return j;
	}
	fail_msg("no operation %s", name);
	return NULL;
}

static void operations_of_policies(void **state)
{
	json_t *root;
	const json_t *j;

	(void)state;
	plan_demote(&l.plan, SENSOR_POLICY_OPEN, "not among the LSMs");
	l.features.results[FEATURE_SEND_SIGNAL].ok = true;
	root = report_json(&l, &names);
	j = operation_of(root, "file.open");
	assert_string_equal(text(j, "level"), "kill");
	assert_string_equal(text(j, "sensor"), "policy_open");
	assert_string_equal(text(j, "why_not"), "not among the LSMs");
	j = operation_of(root, "process.exec");
	assert_string_equal(text(j, "level"), "deny");
	assert_string_equal(text(j, "why_not"), "");
	j = operation_of(root, "cap.use");
	assert_string_equal(text(j, "level"), "none");
	assert_string_equal(text(j, "why_not"), "no program judges it");
	json_decref(root);

	/* without the helper that kills */
	l.features.results[FEATURE_SEND_SIGNAL].ok = false;
	l.outcomes.sensors[SENSOR_POLICY_EXEC] = (struct outcome){.rung = RUNG_NONE, .off = 1};
	root = report_json(&l, &names);
	assert_string_equal(text(operation_of(root, "file.open"), "level"), "observe");
	assert_int_equal(json_array_size(json_object_get(sensor_of(root, "policy_open"), "can")), 1);
	assert_string_equal(text(operation_of(root, "process.exec"), "why_not"), "off in the configuration");
	json_decref(root);
}

static void interfaces_and_privilege(void **state)
{
	json_t *root;
	const json_t *j;

	(void)state;
	l.net.v = calloc(2, sizeof(*l.net.v));
	l.net.n = 2;
	l.net.v[0] = (struct net_iface){.ifindex = 3, .name = "eth0", .in = NET_XDP_GENERIC, .out = NET_TCX};
	l.net.v[1] = (struct net_iface){.ifindex = 4, .name = "\xff\xfe", .why = "left out"};
	l.caps = (struct caps_level){.kept = 1ull << 12 | 1ull << 39, .no_new_privs = true};
	root = report_json(&l, &names);
	assert_non_null(root);
	j = json_object_get(root, "interfaces");
	assert_int_equal(json_array_size(j), 4);
	assert_string_equal(text(json_array_get(j, 0), "mode"), "xdp-generic");
	assert_string_equal(text(json_array_get(j, 1), "mode"), "tcx");
	assert_string_equal(text(json_array_get(j, 1), "dir"), "out");
	assert_string_equal(text(json_array_get(j, 2), "name"), "if4"); /* bytes that JSON cannot carry */
	assert_string_equal(text(json_array_get(j, 2), "mode"), "none");
	j = json_object_get(json_object_get(root, "privilege"), "capabilities");
	assert_int_equal(json_array_size(j), 2);
	assert_string_equal(json_string_value(json_array_get(j, 0)), "net_admin");
	assert_string_equal(json_string_value(json_array_get(j, 1)), "bpf");
	json_decref(root);
}

static void file_is_replaced_whole(void **state)
{
	char dir[32], path[64], next[64];
	struct stat st;
	json_t *root;

	(void)state;
	tmpdir_make(dir);
	l.common.run_dir = strdup(dir);
	snprintf(path, sizeof(path), "%s/" REPORT_FILE, dir);
	snprintf(next, sizeof(next), "%s/" REPORT_FILE ".next", dir);
	/* somebody laid a trap where the next one is written */
	assert_int_equal(symlink("/nowhere/at/all", next), 0);
	assert_int_equal(report_write(&l, &names), 0);
	assert_int_equal(lstat(path, &st), 0);
	assert_true(S_ISREG(st.st_mode));
	assert_int_equal(st.st_mode & 07777, 0640);
	assert_int_equal(access(next, F_OK), -1);
	root = json_load_file(path, 0, NULL);
	assert_non_null(root);
	assert_int_equal(json_integer_value(json_object_get(root, "report")), REPORT_VERSION);
	assert_int_equal(json_integer_value(json_object_get(root, "abi")), PST_ABI_VERSION);
	json_decref(root);
	tmpdir_remove(dir);
}

static void descriptors_by_user(void **state)
{
	struct accounts a = {.uid = {101, 102, (uid_t)-1, 104}};

	(void)state;
	assert_int_equal(fdserver_roles(&a, 0), FDS_ROOT);
	assert_int_equal(fdserver_roles(&a, 101), 1u << ACCOUNT_COLLECTOR);
	assert_int_equal(fdserver_roles(&a, 104), 1u << ACCOUNT_EXPORTER);
	assert_int_equal(fdserver_roles(&a, 999), 0);
	assert_int_equal(fdserver_roles(&a, (uid_t)-1), 0); /* an account that does not exist is nobody */
	assert_true(fdserver_may(FDS_ROOT, PST_MAP_FLOWS));
	assert_true(fdserver_may(1u << ACCOUNT_COLLECTOR, PST_MAP_RING_NET));
	assert_false(fdserver_may(1u << ACCOUNT_EXPORTER, PST_MAP_RING_NET));
	assert_false(fdserver_may(1u << ACCOUNT_ENRICHER, PST_MAP_CLASS_STATS));
	assert_true(fdserver_may(1u << ACCOUNT_POLICYD, PST_MAP_POLICY));
	assert_true(fdserver_may(1u << ACCOUNT_COLLECTOR, PST_MAP_POLICY_NAMES));
	assert_false(fdserver_may(1u << ACCOUNT_COLLECTOR, PST_MAP_POLICY_LINES));
	assert_false(fdserver_may(FDS_ROOT, "gate")); /* nobody's but the loader's */
	assert_false(fdserver_may(0, PST_MAP_FLOWS));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(sensors_and_reasons, setup, teardown),
		cmocka_unit_test_setup_teardown(operations_of_policies, setup, teardown),
		cmocka_unit_test_setup_teardown(interfaces_and_privilege, setup, teardown),
		cmocka_unit_test_setup_teardown(file_is_replaced_whole, setup, teardown),
		cmocka_unit_test(descriptors_by_user),
	};
	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("loader report", tests, NULL, NULL);
}
