// SPDX-License-Identifier: Apache-2.0
/* Sets of the firewall's file that commands change: all or nothing, one switch, kept over restarts and
 * reloads. */
#include "tests/unit/policyd/guard_env.h"

#define RULES                                                                                                \
	"  rules:\n    - {name: in, src: $office, action: accept}\n"                                         \
	"    - {name: web, proto: tcp, dst: $services, action: reject}\n"

static void write_sets(const char *office, const char *services)
{
	char text[1024];

	snprintf(text, sizeof(text),
		"firewall:\n  policy: drop\n  sets: {office: [%s], services: [%s]}\n" RULES, office,
		services);
	write_text(env.firewall, text);
}

static const msgpack_object *put_in(const char *set, const char *element)
{
	pass_grace();
	return ASK("firewall_set", T("set", set), L("add", element));
}

static const msgpack_object *take_out(const char *set, const char *element)
{
	pass_grace();
	return ASK("firewall_set", T("set", set), L("delete", element));
}

/* What a packet to 198.51.100.1 comes to. */
static const char *from(const char *src, uint16_t dport)
{
	static char text[200];
	const msgpack_object *r;

	settle();
	r = ASK("firewall_test",
		M("packet", T("src", src), T("dst", "198.51.100.1"), N("dport", dport), {0}));
	assert_ok(r);
	snprintf(text, sizeof(text), "%s %s %s", text_of(r, "verdict"), text_of(r, "by"), text_of(r, "rule"));
	return text;
}

static size_t elements_of(const char *name)
{
	const msgpack_object *sets = pst_ctl_get(ASK("firewall_sets"), "sets");

	for (uint32_t i = 0; i < sets->via.array.size; i++) {
		const msgpack_object *row = sets->via.array.ptr[i].via.array.ptr;

		if (row[0].via.str.size == strlen(name) && !memcmp(row[0].via.str.ptr, name, strlen(name)))
			return row[2].via.u64;
	}
	fail_msg("no set %s", name);
	return 0;
}

static void test_add_and_delete(void **state)
{
	(void)state;
	write_sets("192.0.2.1", "");
	start();
	assert_string_equal(from("192.0.2.1", 80), "accept rule in");
	assert_string_equal(from("192.0.2.2", 80), "drop policy ");
	assert_int_equal(number_of(put_in("office", "192.0.2.2"), "changed"), 1);
	assert_string_equal(from("192.0.2.2", 80), "accept rule in");
	assert_int_equal(elements_of("office"), 2);
	/* the file's own, and back */
	assert_int_equal(number_of(take_out("office", "192.0.2.1"), "changed"), 1);
	assert_string_equal(from("192.0.2.1", 80), "drop policy ");
	assert_string_equal(from("192.0.2.2", 80), "accept rule in");
	assert_int_equal(number_of(put_in("office", "192.0.2.1/32"), "changed"), 1);
	assert_string_equal(from("192.0.2.1", 80), "accept rule in");
	assert_int_equal(number_of(take_out("office", "192.0.2.2"), "changed"), 1);
	assert_string_equal(from("192.0.2.2", 80), "drop policy ");
	assert_int_equal(env.guard->firewall.sets.n, 0);
}

static void test_what_is_there_is_no_error(void **state)
{
	(void)state;
	write_sets("192.0.2.1", "");
	start();
	pass_grace();
	assert_int_equal(number_of(ASK("firewall_set", T("set", "office"),
					   L("add", "192.0.2.1", "192.0.2.2", "192.0.2.2/32")),
				 "changed"),
		1);
	assert_int_equal(number_of(put_in("office", "192.0.2.2"), "changed"), 0);
	assert_int_equal(env.guard->firewall.sets.n, 1);
}

static void test_addresses_with_ports(void **state)
{
	(void)state;
	write_sets("192.0.2.1", "");
	start();
	assert_string_equal(from("192.0.2.9", 443), "drop policy ");
	assert_ok(put_in("services", "198.51.100.1:443"));
	assert_string_equal(from("192.0.2.9", 443), "reject rule web");
	assert_string_equal(from("192.0.2.9", 444), "drop policy ");
	assert_refused(put_in("services", "198.51.100.1"), "is no address with a port");
	assert_refused(put_in("office", "198.51.100.1:443"), "is no address, expected");
	/* the last one: nobody is in the set */
	assert_ok(take_out("services", "198.51.100.1:443"));
	assert_string_equal(from("192.0.2.9", 443), "drop policy ");
	assert_ok(put_in("services", "198.51.100.1"));
	assert_string_equal(from("192.0.2.9", 444), "reject rule web");
}

static void test_refused_without_a_file(void **state)
{
	(void)state;
	start();
	assert_refused(put_in("office", "192.0.2.2"), "there is no set \"office\", expected one of the file");
	assert_refused(take_out("office", "192.0.2.2"), "\"office\"");
}

static void test_refused(void **state)
{
	uint64_t generation;

	(void)state;
	write_sets("192.0.2.1", "");
	start();
	generation = env.word->fw_generation;
	assert_refused(put_in("nosuch", "192.0.2.2"), "there is no set \"nosuch\", expected one of the file");
	assert_refused(put_in("offce", "192.0.2.2"), "there is no set \"offce\", did you mean \"office\"?");
	assert_refused(take_out("nosuch", "192.0.2.2"), "there is no set \"nosuch\"");
	assert_refused(take_out("office", "192.0.2.2"), "192.0.2.2 is not in the set \"office\"");
	assert_refused(put_in("office", "x"), "\"x\" is no address");
	assert_refused(put_in("office", "$services"), "expected an element, not a set");
	assert_refused(put_in("office", "80"), "\"80\" is no address");
	/* all or nothing */
	assert_refused(ASK("firewall_set", T("set", "office"), L("add", "192.0.2.7", "192.0.2.8/24")),
		"has bits behind its prefix");
	assert_refused(ASK("firewall_set", T("set", "office"), L("delete", "192.0.2.1", "192.0.2.8")),
		"not in the set");
	assert_refused(ASK("firewall_set", T("set", "office")), "expected set");
	assert_refused(ASK("firewall_set", L("add", "192.0.2.1")), "expected set");
	assert_refused(
		ASK("firewall_set", T("set", "office"), L("add", "192.0.2.1"), L("delete", "192.0.2.1")),
		"expected set");
	assert_refused(ASK("firewall_set", T("set", "office"), N("add", 1)), "expected set");
	assert_refused(ASK("firewall_set", T("set", "office"), L("add", "")), "expected set");
	assert_refused(put_in("office", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
					"aaaaaaaaaaaaaaaa"),
		"expected set");
	env.bus->ctl->peer_uid = geteuid() + 1;
	assert_refused(put_in("office", "192.0.2.2"), "only root");
	assert_int_equal(elements_of("office"), 1);
	turn_for(150 * MS);
	assert_int_equal(env.word->fw_generation, generation);
	assert_int_equal(env.guard->firewall.sets.n, 0);
}

static void test_kept(void **state)
{
	(void)state;
	write_sets("192.0.2.1", "192.0.2.9:80");
	start();
	assert_ok(put_in("office", "192.0.2.2"));
	assert_ok(take_out("office", "192.0.2.1"));
	settle();
	guard_restart();
	assert_string_equal(from("192.0.2.1", 80), "drop policy ");
	assert_string_equal(from("192.0.2.2", 80), "accept rule in");
	/* the file says the same by now, then something else, then has no such set */
	write_sets("192.0.2.2, 192.0.2.3", "192.0.2.9:80");
	pass_grace();
	assert_int_equal(guard_reload(env.guard, GUARD_ALL), 0);
	assert_int_equal(elements_of("office"), 2);
	write_rules("drop", "    - {name: web, dport: 80, action: accept}\n");
	pass_grace();
	assert_int_equal(guard_reload(env.guard, GUARD_ALL), 0);
	write_sets("192.0.2.1, 192.0.2.3", "192.0.2.9:80");
	pass_grace();
	assert_int_equal(guard_reload(env.guard, GUARD_ALL), 0);
	assert_string_equal(from("192.0.2.1", 80), "drop policy ");
	assert_string_equal(from("192.0.2.2", 80), "accept rule in");
	assert_string_equal(from("192.0.2.3", 80), "accept rule in");
}

/* Rules that were added by command are in force beside them, in any order. */
static void test_beside_added_rules(void **state)
{
	(void)state;
	write_sets("192.0.2.1", "");
	start();
	pass_grace();
	assert_ok(ASK("firewall_add", T("rule", "{name: bad, src: 192.0.2.2, action: drop}")));
	assert_ok(put_in("office", "192.0.2.2"));
	assert_string_equal(from("192.0.2.2", 80), "drop rule bad");
	pass_grace();
	assert_ok(ASK("firewall_delete", T("name", "bad")));
	assert_string_equal(from("192.0.2.2", 80), "accept rule in");
}

static void test_many(void **state)
{
	char element[24];

	(void)state;
	write_sets("192.0.2.1", "");
	start();
	for (unsigned i = 0; i < 40; i++) {
		snprintf(element, sizeof(element), "10.0.%u.0/24", i);
		assert_ok(put_in("office", element));
	}
	settle();
	assert_int_equal(elements_of("office"), 41);
	assert_int_equal(env.word->fw_generation, 41);
	for (unsigned i = 0; i < 40; i += 2) {
		snprintf(element, sizeof(element), "10.0.%u.0/24", i);
		assert_ok(take_out("office", element));
	}
	assert_string_equal(from("10.0.38.7", 1), "drop policy ");
	assert_string_equal(from("10.0.39.7", 1), "accept rule in");
}

/* ---- the file of changes ---- */

static void test_file(void **state)
{
	static const struct {
		const char *text;
		int error;
	} files[] = {
		{"", 0},
		{"+ a 192.0.2.1\n", 0},
		{"+ a 192.0.2.1\n- b 80\n", 0},
		{"+ a 192.0.2.1", -EBADMSG},
		{"* a 192.0.2.1\n", -EBADMSG},
		{"+a 192.0.2.1\n", -EBADMSG},
		{"+ a\n", -EBADMSG},
		{"+  a\n", -EBADMSG},
		{"+ a \n", -EBADMSG},
		{"+ a b c\n", -EBADMSG},
		{"+ a 1\n+ a 1\n", -EBADMSG},
		{"+ a 1\n- a 1\n", -EBADMSG},
		{"\n", -EBADMSG},
	};

	(void)state;
	for (size_t i = 0; i < PST_ARRAY_SIZE(files); i++) {
		struct runtime_sets sets;
		size_t len = strlen(files[i].text), again;

		assert_int_equal(runtime_sets_parse(files[i].text, len, &sets), files[i].error);
		if (files[i].error)
			continue;
		PST_FREE char *text = runtime_sets_text(&sets, &again);
		assert_string_equal(text, files[i].text);
		assert_int_equal(again, len);
		runtime_sets_done(&sets);
	}
}

static void test_bad_file(void **state)
{
	char path[96];

	(void)state;
	snprintf(path, sizeof(path), "%s/policyd.sets", env.dir);
	write_text(path, "+ office 192.0.2.2\nrubbish\n");
	write_sets("192.0.2.1", "");
	start(); /* the rules of the file are in force all the same */
	assert_string_equal(from("192.0.2.1", 80), "accept rule in");
	assert_int_equal(env.guard->firewall.sets.n, 0);
	assert_ok(put_in("office", "192.0.2.3"));
	assert_string_equal(from("192.0.2.3", 80), "accept rule in");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, genv_setup, genv_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_add_and_delete),
		TEST(test_what_is_there_is_no_error),
		TEST(test_addresses_with_ports),
		TEST(test_refused),
		TEST(test_refused_without_a_file),
		TEST(test_kept),
		TEST(test_beside_added_rules),
		TEST(test_many),
		cmocka_unit_test(test_file),
		TEST(test_bad_file),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
