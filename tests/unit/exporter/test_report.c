// SPDX-License-Identifier: Apache-2.0
/* The loader's report as the exporter reads it: as large as the loader makes it, and nobody else's. */
#include "exporter/report.h"
#include "tests/unit/base_test.h"

#include "proto/base/log.h"

#define INTERFACES 4096 /* INTERFACES_MAX of the loader */

static char dir[32], path[64];
static struct report *report;

static int setup(void **state)
{
	(void)state;
	pst_log_init("test", PST_LOG_TEXT, PST_LOG_ERROR);
	tmpdir_make(dir);
	snprintf(path, sizeof(path), "%s/loader.json", dir);
	return report_new(dir, 128, &report);
}

static int teardown(void **state)
{
	(void)state;
	report_free(report);
	tmpdir_remove(dir);
	return 0;
}

/* As the loader writes it, each interface both ways. */
static void write_report(unsigned interfaces)
{
	FILE *f = fopen(path, "we");

	assert_non_null(f);
	fprintf(f, "{\n \"serving\": false,\n \"interfaces\": [");
	for (unsigned i = 0; i < 2 * interfaces; i++)
		fprintf(f,
			"%s\n  {\n   \"name\": \"veth%011u\",\n   \"ifindex\": %u,\n   \"dir\": \"%s\",\n"
			"   \"mode\": \"none\",\n   \"why\": \"left out by the configuration\"\n  }",
			i ? "," : "", i / 2, 1000000 + i / 2, i % 2 ? "out" : "in");
	fprintf(f, "\n ]\n}\n");
	assert_int_equal(fclose(f), 0);
}

static void as_many_interfaces_as_the_loader_tells_of(void **state)
{
	uint32_t ifindex;
	const char *name;

	(void)state;
	write_report(INTERFACES);
	assert_true(report_refresh(report));
	assert_string_equal(report_problem(report), "");
	assert_true(report_interface(report, 2 * INTERFACES - 1, &ifindex, &name));
	assert_int_equal(ifindex, 1000000 + INTERFACES - 1);
	assert_false(report_interface(report, 2 * INTERFACES, &ifindex, &name));
}

static void of_another_user_it_is_refused(void **state)
{
	(void)state;
	if (geteuid())
		skip();
	write_report(1);
	assert_return_code(chown(path, 65534, 65534), errno);
	assert_false(report_refresh(report));
	assert_non_null(strstr(report_problem(report), "neither root's nor ours"));
	assert_return_code(unlink(path), errno);
	write_report(1);
	assert_true(report_refresh(report));
	assert_string_equal(report_problem(report), "");
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(as_many_interfaces_as_the_loader_tells_of),
		TEST(of_another_user_it_is_refused),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
