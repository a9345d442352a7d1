// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/base_test.h"

#include "exporter/config.h"

static char dir[32], path[64];
static struct pst_common common;
static struct exporter_config config;
static struct capture c;

static int setup(void **state)
{
	(void)state;
	tmpdir_make(dir);
	snprintf(path, sizeof(path), "%s/penstock.yaml", dir);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	tmpdir_remove(dir);
	return 0;
}

/* What --check says to this section, on stderr. */
static const char *check(const char *section, int expected)
{
	char *argv[] = {"penstock-exporter", "--config", path, "--check", NULL};
	FILE *f = fopen(path, "w");
	struct capture out;
	const char *text;
	int r;

	assert_non_null(f);
	fprintf(f, "exporter:\n%s", section);
	fclose(f);
	exporter_config_defaults(&config);
	capture_begin(&c, 2);
	capture_begin(&out, 1);
	r = pst_stage_configure(&exporter_desc, 4, argv, &common, &config, NULL);
	capture_end(&out);
	text = capture_end(&c);
	if (r != expected)
		fail_msg("%s: %d instead of %d: %s", section, r, expected, text);
	exporter_config_done(&config);
	pst_common_done(&common);
	return text;
}

#define GOOD PST_STAGE_DONE
#define BAD  (-EINVAL)

static void listening(void **state)
{
	(void)state;
	check("  listen: 127.0.0.1:9435\n", GOOD);
	check("  listen: [\"[::1]:0\", \"localhost:1\", \"unix:/run/x.sock\", \"127.8.8.8:65535\"]\n", GOOD);
	assert_non_null(strstr(check("  listen:\n    - 127.0.0.1:9435\n    - 0.0.0.0:9435\n", BAD),
		"penstock.yaml:4:7: \"0.0.0.0:9435\" can be reached from other hosts: configure exporter.tls "
		"and "
		"exporter.auth, or say exporter.insecure_listen: true"));
	check("  listen: \"[::]:9435\"\n", BAD);
	check("  listen: 192.0.2.1:9435\n", BAD);
	check("  listen: 192.0.2.1:9435\n  insecure_listen: true\n", GOOD);
	check("  listen: 192.0.2.1:9435\n  tls: {cert: /c, key: /k}\n", BAD);
	check("  listen: 192.0.2.1:9435\n  auth: {bearer_token_file: /t}\n", BAD);
	check("  listen: 192.0.2.1:9435\n  tls: {cert: /c, key: /k}\n  auth: {bearer_token_file: /t}\n",
		GOOD);
	check("  listen: 192.0.2.1:9435\n  tls: {cert: /c, key: /k}\n  auth: {basic: {user: u, "
	      "password_file: /p}}\n",
		GOOD);
}

static void bad_addresses(void **state)
{
	static const char *const bad[] = {"\"9435\"", "\":9435\"", "127.0.0.1", "\"127.0.0.1:\"",
		"127.0.0.1:65536", "127.0.0.1:-1", "127.0.0.1:http", "example.com:80", "\"::1:80\"",
		"\"[::1]\"", "\"[::1:80\"", "\"[]:80\"", "\"unix:relative\"", "\"unix:\"",
		"\"127.0.0.1:80 \""};
	char section[128];

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		snprintf(section, sizeof(section), "  listen: %s\n", bad[i]);
		assert_non_null(strstr(check(section, BAD), "expected ADDRESS:PORT"));
	}
}

static void pairs(void **state)
{
	(void)state;
	assert_non_null(
		strstr(check("  tls: {cert: /c}\n", BAD), "penstock.yaml:2:8: tls needs both cert and key"));
	check("  tls: {key: /k}\n", BAD);
	check("  auth: {basic: {user: u}}\n", BAD);
	check("  auth: {basic: {password_file: /p}}\n", BAD);
	check("  auth: {basic: {user: \"a:b\", password_file: /p}}\n", BAD);
	check("  output: {path: relative.jsonl}\n", BAD);
	check("  output: {path: /var/log/x.jsonl, kinds: [alert, \"process_*\", tcp_connect]}\n", GOOD);
	assert_non_null(strstr(check("  output:\n    path: /x\n    kinds: [alert, proces_exec]\n", BAD),
		"penstock.yaml:4:20:"));
}

static void bounds(void **state)
{
	(void)state;
	check("  store: {events: 0}\n", BAD);
	check("  store: {bytes: 1KiB}\n", BAD);
	check("  stream: {clients: 100000}\n", BAD);
	check("  timeout: 10ms\n", BAD);
	check("  bounds: {max_label_bytes: 3}\n", BAD);
	assert_non_null(strstr(check("  lisen: 127.0.0.1:1\n", BAD), "did you mean \"listen\"?"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(listening),
		cmocka_unit_test(bad_addresses),
		cmocka_unit_test(pairs),
		cmocka_unit_test(bounds),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, setup, teardown);
}
