// SPDX-License-Identifier: Apache-2.0
/* Tunnels that are looked into: from YAML to the programs' words. */
#include "policyd/config.h"
#include "tests/unit/policyd/guard_env.h"

static struct config config;

static int parse(const char *yaml, struct pst_conf_errors *errors)
{
	struct pst_conf_ctx ctx = {.file = "t.yaml", .errors = errors, .base = &config};
	struct pst_doc *doc = NULL;
	int r;

	config = policyd_config;
	assert_int_equal(pst_doc_parse("t.yaml", yaml, strlen(yaml), errors, &doc), 0);
	r = pst_conf_bind(&ctx, pst_doc_root(doc), policyd_desc.fields);
	pst_doc_free(doc);
	return r;
}

static void means(const char *yaml, uint64_t inner, uint16_t port)
{
	struct pst_conf_errors errors = {0};
	struct guard_config guard;

	if (parse(yaml, &errors))
		fail_msg("%s", errors.text);
	config_guard(&config, &guard);
	assert_int_equal(guard.inner, inner);
	assert_int_equal(guard.vxlan_port, port);
	pst_conf_release(&config, policyd_desc.fields);
}

static void refused(const char *yaml, const char *says)
{
	struct pst_conf_errors errors = {0};

	assert_true(parse(yaml, &errors) < 0);
	if (!errors.count || strncmp(errors.text, "t.yaml:1:", 9) || !strstr(errors.text, says))
		fail_msg("expected %s in: %s", says, errors.text ? errors.text : "");
	pst_conf_errors_done(&errors);
	pst_conf_release(&config, policyd_desc.fields);
}

static void test_config(void **state)
{
	(void)state;
	means("{}", 0, 4789);
	means("inner: {}", 0, 4789);
	means("inner: {ipip: yes}", PST_GUARD_INNER_IPIP, 4789);
	means("inner: {gre: on, ipip: off}", PST_GUARD_INNER_GRE, 4789);
	means("inner: {vxlan: true, vxlan_port: 8472}", PST_GUARD_INNER_VXLAN, 8472);
	means("inner: {ipip: yes, gre: yes, vxlan: yes, vxlan_port: 65535}",
		PST_GUARD_INNER_IPIP | PST_GUARD_INNER_GRE | PST_GUARD_INNER_VXLAN, 65535);
	refused("inner: {vxlan_port: 0}", "vxlan_port");
	refused("inner: {vxlan_port: 65536}", "vxlan_port");
	refused("inner: {gre: both}", "gre");
	refused("inner: {geneve: yes}", "geneve");
	refused("inner: yes", "inner");
}

static void test_words(void **state)
{
	const uint64_t all = PST_GUARD_INNER_IPIP | PST_GUARD_INNER_GRE | PST_GUARD_INNER_VXLAN;

	(void)state;
	env.inner = all;
	env.vxlan_port = 8472;
	start();
	assert_int_equal(env.word->flags, all);
	assert_int_equal(env.word->vxlan_port, 8472);
	guard_end();
	env.inner = 0; /* and off again, though an earlier process had it on */
	env.vxlan_port = 4789;
	start();
	assert_int_equal(env.word->flags, 0);
	assert_int_equal(env.word->vxlan_port, 4789);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_config),
		cmocka_unit_test_setup_teardown(test_words, genv_setup, genv_teardown),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("inner headers", tests, NULL, NULL);
}
