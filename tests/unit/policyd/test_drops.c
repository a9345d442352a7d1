// SPDX-License-Identifier: Apache-2.0
/* What is done with what cannot be read, by interface: from YAML to the programs' table. */
#include <net/if.h>

#include "policyd/config.h"
#include "tests/unit/base_test.h"

#define TRUNCATED ((uint64_t)PST_GUARD_DROP_TRUNCATED)
#define MALFORMED ((uint64_t)PST_GUARD_DROP_MALFORMED)
#define NO_IP     ((uint64_t)PST_GUARD_DROP_NO_IP)

static struct config config;
static struct ifnames names;
static struct pst_guard_ifaces ifaces;

static int parse(const char *yaml, struct pst_conf_errors *errors)
{
	struct pst_conf_ctx ctx = {.file = "t.yaml", .errors = errors, .base = &config};
	struct pst_doc *doc = NULL;
	int r;

	assert_int_equal(pst_doc_parse("t.yaml", yaml, strlen(yaml), errors, &doc), 0);
	r = config_drop_parse(&ctx, pst_doc_root(doc));
	pst_doc_free(doc);
	return r;
}

static void good(const char *yaml)
{
	struct pst_conf_errors errors = {0};

	config.drop_by = (struct drops_config){0};
	if (parse(yaml, &errors))
		fail_msg("%s", errors.text);
}

static void refused(const char *yaml, const char *at, const char *says)
{
	struct pst_conf_errors errors = {0};

	good("{before: {}}");
	assert_int_equal(parse(yaml, &errors), -EINVAL);
	if (!errors.count || !strstr(errors.text, at) || !strstr(errors.text, says))
		fail_msg("expected %s ... %s in: %s", at, says, errors.text ? errors.text : "");
	assert_string_equal(config.drop_by.v[0].pattern, "before"); /* all or nothing */
	pst_conf_errors_done(&errors);
}

static void entries(void **state)
{
	const struct drops_config *d = &config.drop_by;

	(void)state;
	good("{eth0: {truncated: no, no_ip: yes}, 'veth*': {malformed: off}, lo: {}}");
	assert_int_equal(d->n, 3);
	assert_string_equal(d->v[0].pattern, "eth0");
	assert_int_equal(d->v[0].set, TRUNCATED | NO_IP);
	assert_int_equal(d->v[0].flags, NO_IP);
	assert_int_equal(d->v[1].set, MALFORMED);
	assert_int_equal(d->v[1].flags, 0);
	assert_int_equal(d->v[2].set, 0);
	good("{}");
	assert_int_equal(d->n, 0);
}

static void mistakes(void **state)
{
	char many[2048] = "{";

	(void)state;
	refused("[eth0]", "t.yaml:1:1", "a mapping");
	refused("{eth0: no}", "t.yaml:1:8", "mapping");
	refused("eth0: {}\naveryveryverylongname: {truncated: no}\n", "t.yaml:2:1", "at most 15 bytes");
	refused("{eth0: {truncatd: no}}", "t.yaml:1:9", "did you mean \"truncated\"");
	refused("{eth0: {truncated: maybe}}", "t.yaml:1:20", "true or false");
	for (int i = 0; i <= DROPS_MAX; i++)
		snprintf(many + strlen(many), sizeof(many) - strlen(many), "e%d: {}, ", i);
	refused(strcat(many, "}"), "t.yaml:1:1", "more than 64");
}

static void printed_reads_back(void **state)
{
	struct drops_config before;
	struct capture c;

	(void)state;
	good("{\"e'h\\\"0\": {truncated: no, malformed: yes}, 'veth*': {no_ip: yes}, lo: {}}");
	before = config.drop_by;
	capture_begin(&c, 1);
	config_drop_print(&config);
	good(capture_end(&c));
	assert_memory_equal(&config.drop_by, &before, sizeof(before));
}

static uint64_t own(uint32_t ifindex)
{
	for (unsigned i = 0; i < PST_GUARD_IFACES; i++)
		if (ifaces.drop[i] >> 32 == ifindex)
			return ifaces.drop[i];
	return 0;
}

static bool set(bool judges)
{
	config.drop_by.all = TRUNCATED | MALFORMED;
	return drops_set(&config.drop_by, &names, &ifaces, judges);
}

static void into_the_table(void **state)
{
	const uint32_t lo = if_nametoindex("lo");

	(void)state;
	assert_int_equal(ifnames_open(&names), 0);
	ifaces = (struct pst_guard_ifaces){.attached = 2, .ifindex = {lo, 0x7ffffff0}};
	good("{'l?': {truncated: no, no_ip: yes}, lo: {malformed: no}}");
	assert_true(set(true));
	assert_int_equal(own(lo), (uint64_t)lo << 32 | MALFORMED | NO_IP); /* the first that matches */
	assert_int_equal(own(0x7ffffff0), 0);                              /* there is none */
	assert_true(set(true));
	/* what was there before goes */
	for (unsigned i = 0; i < PST_GUARD_IFACES; i++)
		ifaces.drop[i] = (uint64_t)77 << 32;
	assert_true(set(true));
	assert_int_equal(own(77), 0);
	/* nothing is judged, or nobody guards, or nobody says something of it */
	assert_false(set(false));
	assert_int_equal(own(lo), 0);
	ifaces.attached = 0;
	assert_false(set(true));
	ifaces.attached = 1;
	good("{eth0: {no_ip: yes}}");
	assert_false(set(true));
	/* whatever somebody scribbled there */
	ifaces.attached = UINT32_MAX;
	memset(ifaces.ifindex, 0xff, sizeof(ifaces.ifindex));
	good("{'*': {no_ip: yes}}");
	assert_false(set(true));
	ifnames_close(&names);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(entries),
		cmocka_unit_test(mistakes),
		cmocka_unit_test(printed_reads_back),
		cmocka_unit_test(into_the_table),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("drops by interface", tests, NULL, NULL);
}
