// SPDX-License-Identifier: Apache-2.0
/* From the firewall's file and commands to the table in force: all or nothing, no half that is still read,
 * counters that go on. */
#include "policyd/guard/flags.h"
#include "tests/unit/policyd/guard_env.h"

#define WEB    "    - {name: web, proto: tcp, dport: 80, action: accept}\n"
#define TELNET "    - {name: telnet, proto: tcp, dport: 23, action: reject}\n"

static void reload_good(void)
{
	pass_grace();
	assert_int_equal(guard_reload(env.guard, GUARD_ALL), 0);
	settle();
}

/* ---- from the file ---- */

static void test_apply(void **state)
{
	(void)state;
	write_rules("drop", WEB TELNET);
	start();
	assert_int_equal(env.word->fw_generation, 1);
	assert_string_equal(verdict("192.0.2.1", 80), "accept rule web");
	assert_string_equal(verdict("192.0.2.1", 23), "reject rule telnet");
	assert_string_equal(verdict("192.0.2.1", 25), "drop policy ");

	const msgpack_object *r = firewall();
	assert_string_equal(text_of(r, "state"), "in force");
	assert_string_equal(text_of(r, "error"), "");
	assert_string_equal(text_of(r, "file"), env.firewall);
	assert_string_equal(text_of(r, "policy"), "drop");
	assert_int_equal(number_of(r, "generation"), 1);
	assert_int_equal(number_of(r, "total"), 2);
}

static void test_bad_file_keeps_the_old(void **state)
{
	(void)state;
	write_rules("drop", WEB);
	start();
	pass_grace();
	write_rules("accept", TELNET "    - {name: x, proto: tpc, action: drop}\n");
	assert_int_not_equal(guard_reload(env.guard, GUARD_ALL), 0);
	turn_for(150 * MS);
	assert_int_equal(env.word->fw_generation, 1);
	assert_string_equal(verdict("192.0.2.1", 80), "accept rule web");
	assert_string_equal(verdict("192.0.2.1", 23), "drop policy ");
	assert_non_null(strstr(guard_error(env.guard), "fw.yaml:5:24: "));
	assert_non_null(strstr(text_of(firewall(), "error"), "fw.yaml:5:24: "));

	write_rules("accept", TELNET);
	reload_good();
	assert_string_equal(verdict("192.0.2.1", 23), "reject rule telnet");
	assert_string_equal(text_of(firewall(), "error"), "");
}

static void test_named_file_must_be_there(void **state)
{
	(void)state;
	env.named = true;
	write_rules("drop", WEB);
	start();
	assert_return_code(unlink(env.firewall), errno);
	pass_grace();
	assert_int_equal(guard_reload(env.guard, GUARD_ALL), -ENOENT);
	assert_int_equal(env.word->fw_generation, 1);
	assert_non_null(strstr(guard_error(env.guard), env.firewall));
}

static void test_only_regular_files(void **state)
{
	(void)state;
	assert_return_code(mkfifo(env.firewall, 0600), errno);
	start(); /* and does not hang */
	assert_int_equal(env.word->fw_generation, 0);
	assert_non_null(strstr(guard_error(env.guard), "expected a regular file"));
}

/* The default file is gone: no firewall. When it comes back its numbers do not. */
static void test_no_file_no_firewall(void **state)
{
	(void)state;
	write_rules("drop", WEB);
	start();
	assert_return_code(unlink(env.firewall), errno);
	reload_good();
	assert_int_equal(env.word->fw_generation, 0);
	assert_string_equal(text_of(firewall(), "state"), "off");
	assert_string_equal(verdict("192.0.2.1", 23), "accept off ");
	guard_restart();
	write_rules("accept", TELNET);
	reload_good();
	assert_int_equal(env.word->fw_generation, 2);
	assert_string_equal(verdict("192.0.2.1", 23), "reject rule telnet");
}

/* ---- generations and halves ---- */

static void test_each_load_is_one_switch(void **state)
{
	(void)state;
	write_rules("drop", WEB);
	start();
	for (uint64_t n = 2; n < 20; n++) {
		const struct pst_fw_head *head = (const void *)(env.fw + (n & 1) * FW_LINES);

		write_rules("drop", n & 1 ? WEB : WEB TELNET);
		reload_good();
		assert_int_equal(env.word->fw_generation, n);
		assert_int_equal(head->generation, n);
		assert_int_equal(head->n_rules, n & 1 ? 1 : 2);
	}
}

/* The half that was left is not written before its time, and then the switch comes by itself. */
static void test_grace(void **state)
{
	size_t half = FW_LINES * sizeof(union pst_line);
	union pst_line *before = malloc(half);
	uint64_t switched, now;

	(void)state;
	assert_non_null(before);
	write_rules("drop", WEB);
	start();
	write_rules("drop", TELNET);
	reload_good(); /* 2: the half 1 is left now */
	hold_grace();
	switched = env.guard->tables.firewall.left_ns;
	memcpy(before, env.fw + FW_LINES, half);
	write_rules("accept", WEB TELNET);
	assert_int_equal(guard_reload(env.guard, GUARD_ALL), 0);
	do {
		assert_int_equal(env.word->fw_generation, 2);
		assert_memory_equal(env.fw + FW_LINES, before, half);
		assert_string_equal(text_of(firewall(), "state"), "pending");
		assert_string_equal(verdict("192.0.2.1", 80), "drop policy ");
		now = pst_now_mono_ns();
		assert_true(pst_loop_turn(env.loop, 1) >= 0);
	} while (env.word->fw_generation == 2 && now < switched + 10000 * MS);
	assert_true(pst_now_mono_ns() >= switched + GUARD_GRACE_NS);
	assert_int_equal(env.word->fw_generation, 3);
	assert_string_equal(text_of(firewall(), "state"), "in force");
	assert_string_equal(verdict("192.0.2.1", 80), "accept rule web");
	free(before);
}

static void test_the_last_one_waiting_counts(void **state)
{
	(void)state;
	write_rules("drop", WEB);
	start();
	hold_grace();
	for (int i = 0; i < 5; i++) {
		char rules[128];

		snprintf(rules, sizeof(rules), "    - {name: r%d, proto: tcp, dport: 80, action: accept}\n",
			i);
		write_rules("drop", rules);
		assert_int_equal(guard_reload(env.guard, GUARD_ALL), 0);
	}
	assert_int_equal(env.word->fw_generation, 1);
	settle();
	assert_int_equal(env.word->fw_generation, 2);
	assert_string_equal(verdict("192.0.2.1", 80), "accept rule r4");
	turn_for(150 * MS);
	assert_int_equal(env.word->fw_generation, 2);
}

static void test_scribbled_word(void **state)
{
	const uint64_t words[] = {UINT64_MAX, UINT64_MAX - 1, 0x100000000, 0xffffffff, 7, 6, 0};

	(void)state;
	write_rules("drop", WEB);
	start();
	for (size_t i = 0; i < PST_ARRAY_SIZE(words); i++) {
		uint64_t was = words[i], last = env.word->fw_last, is;

		env.word->fw_generation = was;
		reload_good();
		is = env.word->fw_generation;
		assert_int_not_equal((uint32_t)is, 0);
		assert_int_not_equal(is, last);
		assert_int_equal(env.word->fw_last, is);
		if (was)
			assert_int_not_equal(is & 1, was & 1);
		assert_string_equal(verdict("192.0.2.1", 80), "accept rule web");
	}
}

static void test_too_large(void **state)
{
	char *text = NULL;
	size_t len;
	FILE *f = open_memstream(&text, &len);

	(void)state;
	files_open(64, BLOCK_LINES);
	write_rules("drop", WEB);
	start();
	pass_grace();
	fputs("firewall:\n  rules:\n", f);
	for (int i = 0; i < 300; i++)
		fprintf(f, "    - {name: r%d, src: 10.%d.%d.0/24, dport: %d, action: drop}\n", i, i / 7,
			i % 7, i + 1);
	fclose(f);
	write_text(env.firewall, text);
	free(text);
	assert_int_equal(guard_reload(env.guard, GUARD_ALL), -ENOSPC);
	assert_non_null(strstr(guard_error(env.guard),
		"fw.yaml: the rules do not fit into the table, which has 8KiB: raise "
		"loader.guard.firewall_memory to 128KiB\n"));
	assert_int_equal(env.word->fw_generation, 1);
	assert_string_equal(verdict("192.0.2.1", 80), "accept rule web");
	files_open(512, BLOCK_LINES); /* half of what the message says */
	adopt();
	assert_int_equal(guard_reload(env.guard, GUARD_ALL), -ENOSPC);
	files_open(1024, BLOCK_LINES);
	adopt();
	reload_good();
	assert_int_equal(number_of(firewall(), "total"), 300);
}

/* Files of the firewall are none of the lists' business. */
static void test_one_table_alone(void **state)
{
	(void)state;
	write_rules("drop", WEB);
	write_text(env.block, "192.0.2.1\n");
	start();
	pass_grace();
	write_text(env.block, "rubbish\n");
	assert_int_equal(guard_reload(env.guard, GUARD_FIREWALL), 0);
	settle();
	assert_int_equal(env.word->fw_generation, 2);
	assert_int_equal(env.word->block_generation, 1);
	assert_string_equal(guard_error(env.guard), "");
	pass_grace();
	assert_int_not_equal(guard_reload(env.guard, GUARD_LISTS), 0);
	settle();
	assert_int_equal(env.word->fw_generation, 2);
	assert_non_null(strstr(guard_error(env.guard), "block.list:1:"));
}

/* The file was taken away, or is not configured any more, while policyd was not there. */
static void test_restart_without_a_file(void **state)
{
	(void)state;
	write_rules("drop", WEB);
	start();
	guard_end();
	assert_return_code(unlink(env.firewall), errno);
	guard_begin();
	adopt();
	settle();
	assert_int_equal(env.word->fw_generation, 0);
	assert_string_equal(text_of(firewall(), "state"), "off");
}

/* ---- counters ---- */

static void test_counters_follow_names(void **state)
{
	(void)state;
	memset(env.counts, 0x55, file_size(FD_COUNTS)); /* of who was there before */
	write_rules("drop", WEB TELNET);
	start();
	assert_int_equal(packets_of("web"), 0);
	count("web", 5);
	count("telnet", 7);
	write_rules("drop", TELNET "    - {name: new, proto: udp, action: drop}\n" WEB);
	reload_good();
	assert_int_equal(packets_of("web"), 5);
	assert_int_equal(packets_of("telnet"), 7);
	assert_int_equal(packets_of("new"), 0);
	write_rules("drop", WEB);
	reload_good();
	assert_int_equal(packets_of("web"), 5);
	assert_int_equal(packets_of("telnet"), -1);
	write_rules("drop", TELNET WEB);
	reload_good();
	assert_int_equal(packets_of("telnet"), 0); /* it was gone: begins anew */
	assert_int_equal(packets_of("web"), 5);
}

static void test_counters_survive_a_restart(void **state)
{
	(void)state;
	write_rules("drop", WEB TELNET);
	start();
	write_rules("drop", TELNET WEB); /* so that places are not simply in order */
	reload_good();
	count("web", 11);
	count("telnet", 13);
	guard_restart();
	settle();
	assert_int_equal(env.word->fw_generation, 3);
	assert_int_equal(packets_of("web"), 11);
	assert_int_equal(packets_of("telnet"), 13);
}

/* What another makes of the hint costs counters and nothing else. */
static void test_places_are_a_hint(void **state)
{
	char path[96], text[400];

	(void)state;
	snprintf(path, sizeof(path), "%s/policyd.places", env.dir);
	write_rules("drop", WEB TELNET);
	start();
	for (unsigned i = 0; i < 7; i++) {
		uint64_t is = env.word->fw_generation;
		const char *const bad[] = {"", "rubbish\n", "penstock-places 1\n0 web",
			"penstock-places %llu\n99999 web\n", "penstock-places %llu\n-1 web\n",
			"penstock-places %llu\n0 web\n0 telnet\n0 web\n"};

		count("web", 3);
		assert_return_code(unlink(path), errno);
		if (i == 6) {
			assert_return_code(symlink("/etc/passwd", path), errno);
		} else {
			snprintf(text, sizeof(text), bad[i], (unsigned long long)is);
			write_text(path, text);
		}
		guard_restart();
		settle();
		assert_string_equal(verdict("192.0.2.1", 80), "accept rule web");
		assert_string_equal(verdict("192.0.2.1", 23), "reject rule telnet");
		assert_true(env.guard->firewall.current.set->rules[0].counter !=
			    env.guard->firewall.current.set->rules[1].counter);
		if (i != 5)
			assert_int_equal(packets_of("web"), 0);
	}
}

/* ---- commands ---- */

static void test_add_and_delete(void **state)
{
	(void)state;
	write_rules("drop", WEB);
	start();
	pass_grace();
	assert_ok(ASK("firewall_add", T("rule", "{name: bad guy, src: 192.0.2.66, action: drop}")));
	settle();
	assert_string_equal(verdict("192.0.2.66", 80), "drop rule bad guy");
	assert_string_equal(verdict("192.0.2.1", 80), "accept rule web");
	assert_ok(ASK("firewall_add", T("rule", "{name: but, src: 192.0.2.66, dport: 80, action: accept}"),
		T("before", "bad guy")));
	settle();
	assert_string_equal(verdict("192.0.2.66", 80), "accept rule but");
	assert_string_equal(verdict("192.0.2.66", 81), "drop rule bad guy");
	assert_int_equal(number_of(firewall(), "total"), 3);

	/* the file changes below them */
	write_rules("drop", TELNET);
	reload_good();
	assert_string_equal(verdict("192.0.2.66", 23), "drop rule bad guy");
	assert_string_equal(verdict("192.0.2.1", 23), "reject rule telnet");

	count("bad guy", 9);
	guard_restart();
	settle();
	assert_string_equal(verdict("192.0.2.66", 81), "drop rule bad guy");
	assert_string_equal(verdict("192.0.2.66", 80), "accept rule but");
	assert_int_equal(packets_of("bad guy"), 9);

	assert_ok(ASK("firewall_delete", T("name", "but")));
	settle();
	assert_string_equal(verdict("192.0.2.66", 80), "drop rule bad guy");
	assert_ok(ASK("firewall_delete", T("name", "bad guy")));
	settle();
	assert_string_equal(verdict("192.0.2.66", 81), "drop policy ");
	assert_refused(ASK("firewall_delete", T("name", "bad guy")), "there is no rule");
	assert_refused(ASK("firewall_delete", T("name", "telnet")), "is the file's");
}

static void test_refused_rules_change_nothing(void **state)
{
	static const struct {
		const char *rule, *error;
	} bad[] = {
		{"", "expected one line"},
		{"{name: x", "expected one line"},
		{"{name: x, action: drop}\n    - {name: y, action: drop}", "expected one line"},
		{"{name: x, action: dorp}", "rule:3:"},
		{"{name: x, action: drop}, {name: y, action: drop}", "rule:3:"},
		{"{name: x, src: $office, action: drop}", "rule:3:"},
		{"{name: x, interface: nosuch0, action: drop}", "there is no interface"},
		{"{name: web, action: drop}", "is there twice"},
		{"{name: mine, action: drop}", "mine"},
	};
	uint64_t generation;

	(void)state;
	write_rules("drop", WEB);
	start();
	assert_ok(ASK("firewall_add", T("rule", "{name: mine, src: 192.0.2.9, action: drop}")));
	pass_grace();
	generation = env.word->fw_generation;
	for (size_t i = 0; i < PST_ARRAY_SIZE(bad); i++)
		assert_refused(ASK("firewall_add", T("rule", bad[i].rule)), bad[i].error);
	assert_refused(ASK("firewall_add", T("rule", "{name: x, action: drop}"), T("before", "web")),
		"is the file's");
	assert_refused(
		ASK("firewall_add", T("rule", "{name: x, action: drop}"), N("before", 1)), "expected rule");
	env.bus->ctl->peer_uid = geteuid() + 1;
	assert_refused(ASK("firewall_add", T("rule", "{name: x, action: drop}")), "only root");
	assert_refused(ASK("firewall_delete", T("name", "mine")), "only root");
	assert_int_equal(number_of(firewall(), "total"), 2); /* reading is for all */
	turn_for(150 * MS);
	assert_int_equal(env.word->fw_generation, generation);
	assert_int_equal(env.guard->firewall.runtime.n, 1);
}

/* Without a file the rules of commands are all that there are. */
static void test_add_without_a_file(void **state)
{
	(void)state;
	start();
	assert_string_equal(text_of(firewall(), "state"), "off");
	assert_ok(ASK("firewall_add", T("rule", "{name: x, dport: 25, action: drop}")));
	assert_string_equal(verdict("192.0.2.1", 25), "drop rule x");
	assert_string_equal(verdict("192.0.2.1", 26), "accept policy ");
	assert_string_equal(text_of(firewall(), "file"), "");
	pass_grace();
	assert_ok(ASK("firewall_delete", T("name", "x")));
	assert_int_equal(env.word->fw_generation, 0);
}

/* A rule that was good and is not any more: at a reload the old table stays; at first the file's rules are
 * better than none; and the rule can be taken out. */
static void test_added_rule_goes_bad(void **state)
{
	char path[96];

	(void)state;
	snprintf(path, sizeof(path), "%s/policyd.firewall.yaml", env.dir);
	write_rules("drop", WEB);
	write_text(path, "firewall:\n  rules:\n    - {name: gone, interface: nosuch0, action: drop}\n");
	start();
	assert_int_equal(env.word->fw_generation, 1);
	assert_string_equal(verdict("192.0.2.1", 80), "accept rule web");
	assert_non_null(strstr(guard_error(env.guard), "policyd.firewall.yaml:3:"));
	pass_grace();
	assert_int_not_equal(guard_reload(env.guard, GUARD_ALL), 0);
	assert_int_equal(env.word->fw_generation, 1);
	assert_ok(ASK("firewall_delete", T("name", "gone")));
	reload_good();
	assert_int_equal(env.word->fw_generation, 3);
	assert_string_equal(guard_error(env.guard), "");
}

/* The file is bad and the table in force is an earlier process's: a command must not replace it by one rule.
 */
static void test_add_on_top_of_an_unknown_table(void **state)
{
	(void)state;
	write_rules("drop", WEB);
	start();
	write_rules("drop", "    - {name: x, proto: tpc, action: drop}\n");
	guard_restart();
	pass_grace();
	assert_refused(
		ASK("firewall_add", T("rule", "{name: y, dport: 25, action: drop}")), "correct it first");
	assert_int_equal(env.word->fw_generation, 1);
	assert_string_equal(verdict("192.0.2.1", 80), "accept rule ");
}

/* ---- tables that come, go, and change ---- */

static void test_not_guarded_at_first(void **state)
{
	(void)state;
	write_rules("drop", WEB);
	guard_begin();
	assert_string_equal(text_of(firewall(), "state"), "not guarded");
	assert_int_equal(number_of(firewall(), "total"), 1);
	assert_refused(ASK("firewall_test", M("packet", {0})), "not guarded");
	assert_ok(ASK("firewall_add", T("rule", "{name: x, dport: 25, action: drop}")));
	turn_for(150 * MS);
	adopt();
	assert_int_equal(env.word->fw_generation, 1);
	assert_string_equal(verdict("192.0.2.1", 25), "drop rule x");
	assert_string_equal(verdict("192.0.2.1", 80), "accept rule web");
}

static void test_other_tables(void **state)
{
	(void)state;
	write_rules("drop", WEB);
	start();
	/* the file is bad by now: what is known goes into the new tables */
	write_rules("drop", "    - {name: x, proto: tpc, action: drop}\n");
	files_open(2 * FW_LINES, BLOCK_LINES);
	adopt();
	assert_int_equal(env.word->fw_generation, 1);
	assert_string_equal(verdict("192.0.2.1", 80), "accept rule web");
	assert_int_equal(env.guard->tables.firewall.n, 2 * FW_LINES);
}

static uint64_t flags_after(uint64_t now)
{
	guard_flags_set(env.guard, now);
	return env.word->flags & (PST_GUARD_CT | PST_GUARD_CT_LOOSE);
}

/* Connections are picked up in their middle for a minute: after the start, and when the loader made their
 * tables anew, which says so by the flag. */
static void test_picking_up(void **state)
{
	const uint64_t both = PST_GUARD_CT | PST_GUARD_CT_LOOSE;
	uint64_t now = pst_now_mono_ns();

	(void)state;
	write_rules("drop", "    - {name: answers, state: established, action: accept}\n");
	start();
	settle();
	assert_int_equal(flags_after(now), both);
	assert_int_equal(flags_after(now + 30000 * MS), both);
	now += 120000 * MS;
	assert_int_equal(flags_after(now), PST_GUARD_CT);
	env.word->flags |= PST_GUARD_CT_LOOSE;
	assert_int_equal(flags_after(now + 1000 * MS), both);
	assert_int_equal(flags_after(now + 60000 * MS), both);
	assert_int_equal(flags_after(now + 62000 * MS), PST_GUARD_CT);
}

/* A change that cannot be saved is in force all the same: whoever asked is told, and it is tried again. */
static void test_not_saved(void **state)
{
	struct firewall *fw;
	const msgpack_object *r;
	char path[96];

	(void)state;
	snprintf(path, sizeof(path), "%s/policyd.firewall.yaml", env.dir);
	write_rules("drop", WEB);
	start();
	fw = &env.guard->firewall;
	r = ASK("firewall_add", T("rule", "{name: x, dport: 25, action: accept}"));
	assert_string_equal(text_of(r, "warning"), "");
	obstruct(path);
	r = ASK("firewall_add", T("rule", "{name: y, dport: 26, action: accept}"));
	assert_ok(r);
	assert_non_null(strstr(text_of(r, "warning"), path));
	assert_int_equal(fw->saved_rules.errors->value, 1);
	pass_grace();
	assert_string_equal(verdict("192.0.2.1", 26), "accept rule y");
	assert_non_null(strstr(text_of(firewall(), "warning"), path));

	for (int i = 0; i < 100; i++)
		firewall_tick(fw, &env.guard->tables);
	assert_in_range(fw->saved_rules.errors->value, 2, 20);
	clear(path);
	for (int i = 0; i < 100; i++)
		firewall_tick(fw, &env.guard->tables);
	assert_string_equal(text_of(firewall(), "warning"), "");
	guard_restart();
	settle();
	assert_string_equal(verdict("192.0.2.1", 26), "accept rule y");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_apply, genv_setup, genv_teardown),
		cmocka_unit_test_setup_teardown(test_bad_file_keeps_the_old, genv_setup, genv_teardown),
		cmocka_unit_test_setup_teardown(test_named_file_must_be_there, genv_setup, genv_teardown),
		cmocka_unit_test_setup_teardown(test_only_regular_files, genv_setup, genv_teardown),
		cmocka_unit_test_setup_teardown(test_no_file_no_firewall, genv_setup, genv_teardown),
		cmocka_unit_test_setup_teardown(test_each_load_is_one_switch, genv_setup, genv_teardown),
		cmocka_unit_test_setup_teardown(test_grace, genv_setup, genv_teardown),
		cmocka_unit_test_setup_teardown(test_the_last_one_waiting_counts, genv_setup, genv_teardown),
		cmocka_unit_test_setup_teardown(test_scribbled_word, genv_setup, genv_teardown),
		cmocka_unit_test_setup_teardown(test_too_large, genv_setup, genv_teardown),
		cmocka_unit_test_setup_teardown(test_one_table_alone, genv_setup, genv_teardown),
		cmocka_unit_test_setup_teardown(test_restart_without_a_file, genv_setup, genv_teardown),
		cmocka_unit_test_setup_teardown(test_counters_follow_names, genv_setup, genv_teardown),
		cmocka_unit_test_setup_teardown(test_counters_survive_a_restart, genv_setup, genv_teardown),
		cmocka_unit_test_setup_teardown(test_places_are_a_hint, genv_setup, genv_teardown),
		cmocka_unit_test_setup_teardown(test_add_and_delete, genv_setup, genv_teardown),
		cmocka_unit_test_setup_teardown(test_refused_rules_change_nothing, genv_setup, genv_teardown),
		cmocka_unit_test_setup_teardown(test_add_without_a_file, genv_setup, genv_teardown),
		cmocka_unit_test_setup_teardown(test_added_rule_goes_bad, genv_setup, genv_teardown),
		cmocka_unit_test_setup_teardown(
			test_add_on_top_of_an_unknown_table, genv_setup, genv_teardown),
		cmocka_unit_test_setup_teardown(test_not_guarded_at_first, genv_setup, genv_teardown),
		cmocka_unit_test_setup_teardown(test_other_tables, genv_setup, genv_teardown),
		cmocka_unit_test_setup_teardown(test_not_saved, genv_setup, genv_teardown),
		cmocka_unit_test_setup_teardown(test_picking_up, genv_setup, genv_teardown),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
