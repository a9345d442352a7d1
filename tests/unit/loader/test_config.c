// SPDX-License-Identifier: Apache-2.0
/* Section `loader`: defaults, checks over several fields, patterns of interfaces. */
#include "loader/config.h"
#include "loader/ladder.h"
#include "loader/patterns.h"
#include "tests/unit/base_test.h"

static int bind(const char *yaml, struct loader_config *config, struct pst_conf_errors *errors)
{
	struct pst_conf_ctx ctx = {.file = "t.yaml", .errors = errors, .base = config};
	struct pst_doc *doc = NULL;
	int r;

	assert_int_equal(loader_config_init(config), 0);
	assert_int_equal(pst_doc_parse("t.yaml", yaml, strlen(yaml), errors, &doc), 0);
	r = pst_conf_bind(&ctx, pst_doc_root(doc), loader_fields);
	if (!r)
		r = loader_config_validate(&ctx, pst_doc_root(doc));
	pst_doc_free(doc);
	return r;
}

static void refused(const char *yaml, const char *at, const char *says)
{
	struct pst_conf_errors errors = {0};
	struct loader_config config;

	assert_true(bind(yaml, &config, &errors) < 0);
	assert_true(errors.count > 0);
	if (!strstr(errors.text, at) || !strstr(errors.text, says))
		fail_msg("expected %s ... %s in: %s", at, says, errors.text);
	pst_conf_errors_done(&errors);
	loader_config_done(&config);
}

static void defaults_are_good(void **state)
{
	struct pst_conf_errors errors = {0};
	struct loader_config config;

	(void)state;
	assert_int_equal(bind("{}", &config, &errors), 0);
	for (int i = 0; i < SENSOR_MAX; i++) {
		bool file = i >= SENSOR_FILE_UNLINK && i <= SENSOR_FILE_TRUNCATE && i != SENSOR_FILE_MKNOD;

		/* what is asked all day is told on request */
		assert_int_equal(config.sensors[i], !file && i != SENSOR_CAPABILITY);
		assert_string_equal(config.rungs[i], "auto");
	}
	assert_true(patterns_take(&config.interfaces, "eth0", false));
	assert_false(patterns_take(&config.interfaces, "lo", false));
	assert_false(patterns_take(&config.xdp, "eth0", false));
	assert_false(patterns_take(&config.guarded, "eth0", false));
	assert_false(config.bpf_stats);
	loader_config_done(&config);
}

static void everything_can_be_set(void **state)
{
	static const char yaml[] =
		"sensors: {process: no, syscalls: off}\n"
		"rungs: {accept: sys_exit, cred: fentry, flows: clsact}\n"
		"rings: {process: 1MiB, net: 64KiB, flow: 128KiB}\n"
		"flows: {slots: 1024, idle: 5s}\n"
		"udp: {slots: 64, idle: 1m}\n"
		"drop_rate: 7\n"
		"cgroup_rate: 9\n"
		"guard: {interfaces: [eth*, '!eth0'], firewall_memory: 16MiB, list_memory: 64MiB,\n"
		"        connections: 1024, sources: 2048}\n"
		"interfaces: [eth*, '!eth9']\n"
		"xdp: eth3\n"
		"policies: {memory: 2MiB}\n"
		"cgroup: /sys/fs/cgroup\n"
		"bpf_stats: true\n";
	struct pst_conf_errors errors = {0};
	struct loader_config config;

	(void)state;
	assert_int_equal(bind(yaml, &config, &errors), 0);
	assert_false(config.sensors[SENSOR_PROCESS]);
	assert_false(config.sensors[SENSOR_SYSCALLS]);
	assert_true(config.sensors[SENSOR_TCP]);
	assert_string_equal(config.rungs[SENSOR_ACCEPT], "sys_exit");
	assert_int_equal(config.ring_bytes[PST_CLASS_PROCESS], 1 << 20);
	assert_int_equal(config.ring_bytes[PST_CLASS_NET], 64 << 10);
	assert_int_equal(config.ring_bytes[PST_CLASS_FLOW], 128 << 10);
	assert_int_equal(config.flow_slots, 1024);
	assert_int_equal(config.flow_idle_ns, 5000000000);
	assert_int_equal(config.udp_idle_ns, 60000000000);
	assert_int_equal(config.drop_rate, 7);
	assert_int_equal(config.cgroup_rate, 9);
	assert_true(patterns_take(&config.interfaces, "eth1", false));
	assert_false(patterns_take(&config.interfaces, "eth9", false));
	assert_true(patterns_take(&config.xdp, "eth3", false));
	assert_true(patterns_take(&config.guarded, "eth1", false));
	assert_false(patterns_take(&config.guarded, "eth0", false));
	assert_int_equal(config.firewall_memory, 16 << 20);
	assert_int_equal(config.list_memory, 64 << 20);
	assert_int_equal(config.connections, 1024);
	assert_int_equal(config.sources, 2048);
	assert_int_equal(config.policy_memory, 2 << 20);
	assert_string_equal(config.cgroup, "/sys/fs/cgroup");
	assert_true(config.bpf_stats);
	loader_config_done(&config);
}

static void mistakes_are_named_with_their_place(void **state)
{
	(void)state;
	refused("rings: {process: 3MiB}\n", "t.yaml:1:18", "power of two");
	refused("flows:\n  slots: 100\n", "t.yaml:2:10", "power of two");
	refused("udp: {slots: 65}\n", "t.yaml:1:14", "power of two");
	refused("rings: {net: 1KiB}\n", "t.yaml:1:14", "");
	refused("rungs: {accept: fentri}\n", "t.yaml:1:17", "did you mean \"fentry\"");
	refused("rungs: {process: nonsense_of_another_kind}\n", "t.yaml:1:18", "has no rung");
	refused("interfaces: ['']\n", "t.yaml:1", "interface");
	refused("interfaces: ['!']\n", "t.yaml:1", "interface");
	refused("xdp: [eth0, '!']\n", "t.yaml:1:13", "there is nothing");
	refused("xdp: averyveryverylongname\n", "t.yaml:1:6", "at most 15 bytes");
	refused("guard: {interfaces: [eth0, '']}\n", "t.yaml:1:28", "there is nothing");
	refused("guard: {interfaces: [eth0, lo]}\n", "t.yaml:1:28", "never guarded");
	refused("guard:\n  interfaces:\n    - eth0\n    - net/eth1\n", "t.yaml:4:7", "no name has");
	refused("guard: {interfaces: ['eth 0']}\n", "t.yaml:1:22", "no name has");
	refused("guard: {connections: 100}\n", "t.yaml:1:22", "power of two");
	refused("guard: {sources: 63}\n", "t.yaml:1:18", "");
	refused("guard: {list_memory: 3MiB}\n", "t.yaml:1:22", "power of two");
	refused("guard:\n  firewall_memory: 1KiB\n", "t.yaml:2:20", "");
	refused("policies: {memory: 3MiB}\n", "t.yaml:1:20", "power of two");
	refused("policies: {memory: 32MiB}\n", "t.yaml:1:20", "");
	refused("cgroup: relative/path\n", "t.yaml:1:9", "absolute");
	refused("sensors: {proces: no}\n", "t.yaml:1:11", "did you mean \"process\"");
	refused("drop_rate: 0\n", "t.yaml:1:12", "");
	refused("cgroup_rate: 0\n", "t.yaml:1:14", "");
}

static bool take(const char *name, size_t n, const char *const *patterns)
{
	struct pst_strs strs = {(char **)patterns, n};

	return patterns_take(&strs, name, false);
}
#define TAKE(name, ...)                                                                                      \
	take(name, sizeof((const char *[]){__VA_ARGS__}) / sizeof(char *), (const char *const[]){__VA_ARGS__})

static void patterns(void **state)
{
	(void)state;
	assert_true(TAKE("eth0", "eth0"));
	assert_false(TAKE("eth01", "eth0"));
	assert_true(TAKE("veth12ab", "veth*"));
	assert_true(TAKE("eth1", "eth?"));
	assert_false(TAKE("eth10", "eth?"));
	assert_true(TAKE("eth1", "eth[12]"));
	/* exclusions win wherever they stand */
	assert_false(TAKE("lo", "*", "!lo"));
	assert_false(TAKE("lo", "!lo", "*"));
	assert_false(TAKE("docker0", "*", "!docker*", "docker0"));
	/* exclusions alone mean all others */
	assert_true(TAKE("eth0", "!lo"));
	assert_false(TAKE("lo", "!lo"));
	assert_false(take("eth0", 0, NULL));
	assert_false(TAKE("eth0", "eth*", "!eth*"));
	/* a name is bytes, not a path */
	assert_true(TAKE("a.b@c", "*"));
}

static void what_no_name_can_be(void **state)
{
	static const char *const bad[] = {"", "!", ".", "..", "!..", "a/b", "eth0:1", "eth 0", "eth\n",
		"\x7f", "sixteen_bytes_is", "?????????????????", "averyveryvery*long*", "default  route",
		"default route ", "!eth\t0"};
	static const char *const good[] = {"eth0", "!eth0", "*", "fifteen_bytes_i", "averyveryvery*lo",
		"a.b@c", "e[[:alpha:]]h[0-9]*", "\\*star", "...", "default route", "!default route",
		"veth_\xc3\xa9"};

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		if (!patterns_flaw(bad[i]))
			fail_msg("taken: \"%s\"", bad[i]);
	for (size_t i = 0; i < sizeof(good) / sizeof(*good); i++)
		if (patterns_flaw(good[i]))
			fail_msg("refused: \"%s\": %s", good[i], patterns_flaw(good[i]));
	char *many = calloc(1, 66);

	memset(many, '*', 65);
	assert_non_null(patterns_flaw(many));
	free(many);
}

static void sets_of_patterns(void **state)
{
	const char *const list[] = {"eth*", "!eth1", "wan0", "eth*", "*"};
	const struct pst_strs strs = {(char **)list, 5};

	(void)state;
	assert_int_equal(patterns_asking(&strs), 1 << 0 | 1 << 2 | 1 << 4); /* one time each */
	assert_int_equal(patterns_hit(&strs, "eth1", false), 1 << 0 | 1 << 3 | 1 << 4);
	assert_int_equal(patterns_hit(&strs, "wan0", false), 1 << 2 | 1 << 4);
}

static void default_routes(void **state)
{
	const char *const list[] = {"default route", "!eth1"}, *const others[] = {"*", "!default route"};
	const struct pst_strs strs = {(char **)list, 2}, but = {(char **)others, 2};

	(void)state;
	assert_true(patterns_ask_routes(&strs));
	assert_true(patterns_take(&strs, "eth0", true));
	assert_false(patterns_take(&strs, "eth0", false));
	assert_false(patterns_take(&strs, "eth1", true));
	assert_int_equal(patterns_hit(&strs, "eth0", true), 1);
	assert_true(patterns_ask_routes(&but));
	assert_true(patterns_take(&but, "eth0", false));
	assert_false(patterns_take(&but, "eth0", true));
}

static void printed_configuration_reads_back(void **state)
{
	struct pst_conf_errors errors = {0};
	struct loader_config config, again;
	struct capture c;

	(void)state;
	assert_int_equal(bind("rungs: {accept: sys_exit}\nflows: {idle: 7s}\n", &config, &errors), 0);
	capture_begin(&c, 1);
	pst_conf_print(&config, loader_fields);
	const char *text = capture_end(&c);
	struct pst_doc *doc = NULL;
	assert_int_equal(pst_doc_parse("p", text, strlen(text), &errors, &doc), 0);
	assert_int_equal(loader_config_init(&again), 0);
	struct pst_conf_ctx ctx = {.file = "p", .errors = &errors, .base = &again};
	assert_int_equal(pst_conf_bind(&ctx, pst_doc_root(doc), loader_fields), 0);
	assert_string_equal(again.rungs[SENSOR_ACCEPT], "sys_exit");
	assert_int_equal(again.flow_idle_ns, 7000000000);
	assert_int_equal(again.interfaces.n, config.interfaces.n);
	pst_doc_free(doc);
	loader_config_done(&config);
	loader_config_done(&again);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(defaults_are_good),
		cmocka_unit_test(everything_can_be_set),
		cmocka_unit_test(mistakes_are_named_with_their_place),
		cmocka_unit_test(patterns),
		cmocka_unit_test(what_no_name_can_be),
		cmocka_unit_test(sets_of_patterns),
		cmocka_unit_test(default_routes),
		cmocka_unit_test(printed_configuration_reads_back),
	};
	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("loader config", tests, NULL, NULL);
}
