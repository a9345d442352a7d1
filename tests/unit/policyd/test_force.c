// SPDX-License-Identifier: Apache-2.0
/* Policies in force: switched, gone back on, on trial, saved; files and commands together. */
#include "tests/unit/policyd/force_env.h"

static const struct pst_pol_head *head_in_force(void)
{
	return (const struct pst_pol_head *)(fenv.lines + (fenv.page->generation & 1) * PST_POL_LINES);
}

static const struct pst_pol_labels *labels_in_force(void)
{
	return fenv.names + (fenv.page->generation & 1);
}

/* ---- switched ---- */

static void test_switch(void **state)
{
	uint64_t first;

	(void)state;
	force_start();
	assert_string_equal(text_of(ASK("policy_list"), "state"), "off");
	assert_ok(APPLY(DENY("one", "/etc/shadow")));
	force_settle();
	first = fenv.page->generation;
	assert_true(first);
	assert_int_equal(head_in_force()->generation, (uint32_t)first);
	assert_int_equal(head_in_force()->seed[0], 11);
	assert_int_equal(head_in_force()->seed[1], 22);
	assert_int_equal(labels_in_force()->generation, first);
	assert_string_equal(labels_in_force()->rule[0].policy, "one");
	assert_string_equal(labels_in_force()->rule[0].rule, "r");
	assert_string_equal(verdict_on(OPEN("/etc/shadow")), "deny one r");
	assert_string_equal(verdict_on(OPEN("/etc/passwd")), "none");
	assert_string_equal(text_of(ASK("policy_list"), "state"), "in force");
	assert_string_equal(row(0), "one enforce p.yaml 1  deny");
	/* another one is added */
	force_pass_grace();
	assert_ok(APPLY(DENY("two", "/etc/passwd")));
	assert_int_not_equal(fenv.page->generation & 1, first & 1);
	assert_true(fenv.page->generation > first);
	assert_string_equal(verdict_on(OPEN("/etc/shadow")), "deny one r");
	assert_string_equal(verdict_on(OPEN("/etc/passwd")), "deny two r");
	/* the first half is as it was */
	assert_int_equal(
		((struct pst_pol_head *)(fenv.lines + (first & 1) * PST_POL_LINES))->generation, first);
	assert_int_equal(fenv.names[first & 1].generation, first);
}

/* A half that was in force is not written until nobody reads it any more. */
static void test_grace(void **state)
{
	uint64_t first, second;

	(void)state;
	force_start();
	assert_ok(APPLY(DENY("one", "/a")));
	force_pass_grace();
	first = fenv.page->generation;
	fenv.force->tables.half.left_ns = pst_now_mono_ns() + 1000 * MS;
	assert_ok(APPLY(DENY("two", "/b")));
	assert_int_equal(fenv.page->generation, first);
	assert_string_equal(text_of(ASK("policy_list"), "state"), "pending");
	assert_int_equal(number_of(ASK("policy_list"), "total"), 2);
	assert_string_equal(verdict_on(OPEN("/b")), "none");
	/* what waits is gone when somebody goes back */
	assert_ok(ASK("policy_rollback"));
	assert_string_equal(text_of(ASK("policy_list"), "state"), "in force");
	assert_int_equal(number_of(ASK("policy_list"), "total"), 1);
	assert_ok(APPLY(DENY("two", "/b")));
	force_settle();
	second = fenv.page->generation;
	assert_true(second > first);
	assert_string_equal(verdict_on(OPEN("/b")), "deny two r");
	/* none is left: nothing is in force, without waiting */
	assert_ok(ASK("policy_delete", L("names", "one", "two")));
	assert_int_equal(fenv.page->generation, 0);
	assert_int_equal(fenv.page->last, second);
	assert_string_equal(text_of(ASK("policy_list"), "state"), "off");
	assert_ok(ASK("policy_rollback"));
	assert_int_equal(fenv.page->generation, second);
}

static void test_bad_stays(void **state)
{
	uint64_t first, changes, errors;

	(void)state;
	force_start();
	changes = fenv.force->applies->value;
	errors = fenv.force->apply_errors->value;
	assert_ok(APPLY(DENY("one", "/a")));
	force_pass_grace();
	first = fenv.page->generation;
	assert_refused(
		APPLY(POLICY("two", "  rules:\n    - {name: r, operations: [file.opne], action: deny}\n")),
		"p.yaml:6:30: ");
	assert_refused(APPLY(DENY("two", "relative")), "p.yaml:7:");
	assert_refused(ASK("policy_apply", T("id", "nosuch")), "expected id");
	assert_refused(ASK("policy_delete", L("names", "nosuch")), "there is no policy \"nosuch\"");
	assert_refused(ASK("policy_mode", T("name", "one"), T("mode", "of")), "expected name, and mode");
	assert_int_equal(fenv.page->generation, first);
	assert_string_equal(row(0), "one enforce p.yaml 1  deny");
	assert_string_equal(row(1), "");
	assert_int_equal(fenv.force->applies->value - changes, 6);
	assert_int_equal(fenv.force->apply_errors->value - errors, 5);
}

static void test_rollback(void **state)
{
	uint64_t first, second;

	(void)state;
	force_start();
	assert_refused(ASK("policy_rollback"), "nothing to go back to");
	assert_ok(APPLY(DENY("one", "/a")));
	force_pass_grace();
	first = fenv.page->generation;
	assert_ok(APPLY(DENY("two", "/b"), Y("replace")));
	force_settle();
	second = fenv.page->generation;
	assert_string_equal(verdict_on(OPEN("/a")), "none");
	assert_ok(ASK("policy_rollback"));
	assert_int_equal(fenv.page->generation, first);
	assert_string_equal(verdict_on(OPEN("/a")), "deny one r");
	assert_string_equal(row(0), "one enforce p.yaml 1  deny");
	assert_ok(ASK("policy_rollback"));
	assert_int_equal(fenv.page->generation, second);
	assert_ok(ASK("policy_rollback"));
	/* numbers never come twice */
	force_pass_grace();
	assert_ok(APPLY(DENY("three", "/c")));
	force_settle();
	assert_true(fenv.page->generation > second);
	assert_string_equal(verdict_on(OPEN("/a")), "deny one r");
	/* the state followed */
	force_restart();
	assert_string_equal(row(0), "one enforce p.yaml 1  deny");
	assert_string_equal(row(1), "three enforce p.yaml 1  deny");
	assert_refused(ASK("policy_rollback"), "nothing to go back to");
	/* somebody else's tables */
	force_pass_grace();
	assert_ok(APPLY(DENY("four", "/d")));
	force_settle();
	fenv.page->generation += 2;
	assert_string_equal(text_of(ASK("policy_list"), "state"), "not enforced");
	assert_refused(ASK("policy_rollback"), "written by another");
}

/* ---- whole hosts ---- */

#define EVERYBODY(action, mode)                                                                              \
	POLICY("all", "  mode: " mode "\n  rules:\n" RULE_ON("file.open", "/a", action))

static void test_host(void **state)
{
	(void)state;
	force_start();
	assert_refused(APPLY(EVERYBODY("deny", "enforce")),
		"p.yaml:7:7: the rule \"r\" can hold up any process of the host");
	assert_refused(APPLY(EVERYBODY("kill", "enforce")), "can kill any process of the host");
	assert_int_equal(fenv.page->generation, 0);
	assert_ok(APPLY(EVERYBODY("audit", "enforce")));
	assert_ok(APPLY(EVERYBODY("deny", "audit")));
	force_settle();
	assert_string_equal(verdict_on(OPEN("/a")), "audit all r");
	assert_refused(ASK("policy_mode", T("name", "all"), T("mode", "enforce")), "any process of the host");
	assert_refused(ASK("policy_mode", T("name", "all"), T("mode", "enforce"), T("host", "no")),
		"any process of the host");
	assert_ok(ASK("policy_mode", T("name", "all"), T("mode", "enforce"), N("host", 1)));
	force_settle();
	assert_string_equal(verdict_on(OPEN("/a")), "deny all r");
	assert_ok(ASK("policy_mode", T("name", "all"), T("mode", "off")));
	force_settle();
	assert_int_equal(fenv.page->generation, 0);
	assert_ok(APPLY(EVERYBODY("kill", "enforce"), Y("host")));
	force_settle();
	assert_string_equal(verdict_on(OPEN("/a")), "kill all r");
}

static void test_users(void **state)
{
	(void)state;
	force_start();
	assert_ok(APPLY(DENY("one", "/a")));
	env.bus->ctl->peer_uid = geteuid() + 1;
	assert_refused(ASK("policy_upload", T("id", "x"), T("file", "f"), T("text", "t")), "only root");
	assert_refused(ASK("policy_apply", T("id", "x")), "only root");
	assert_refused(ASK("policy_mode", T("name", "one"), T("mode", "off")), "only root");
	assert_refused(ASK("policy_delete", L("names", "one")), "only root");
	assert_refused(ASK("policy_rollback"), "only root");
	assert_refused(ASK("policy_confirm"), "only root");
	assert_int_equal(number_of(ASK("policy_list"), "total"), 1);
	assert_ok(ASK("policy_show", T("name", "one")));
}

/* ---- on trial ---- */

static void test_trial(void **state)
{
	uint64_t first, now = pst_now_boot_ns();

	(void)state;
	force_start();
	assert_ok(APPLY(DENY("one", "/a")));
	force_pass_grace();
	first = fenv.page->generation;
	assert_ok(APPLY(DENY("two", "/b"), N("for_s", 30)));
	force_settle();
	assert_in_range(number_of(ASK("policy_list"), "until_s"), 20, 30);
	assert_in_range(
		number_of(ASK("policy_upload", T("id", "x"), T("file", "x"), T("text", "")), "until_s"), 20,
		30);
	assert_string_equal(verdict_on(OPEN("/b")), "deny two r");
	assert_refused(APPLY(DENY("three", "/c")), "on trial");
	assert_refused(ASK("policy_delete", L("names", "one")), "on trial");
	assert_refused(ASK("policy_mode", T("name", "one"), T("mode", "off")), "on trial");
	force_tick(fenv.force, now + 20000 * MS);
	assert_string_equal(verdict_on(OPEN("/b")), "deny two r");
	force_tick(fenv.force, now + 60000 * MS);
	assert_int_equal(fenv.page->generation, first); /* one store */
	assert_int_equal(number_of(ASK("policy_list"), "until_s"), 0);
	assert_string_equal(row(1), "");
	assert_refused(ASK("policy_confirm"), "no policies are on trial");
	/* twice, and both go */
	force_pass_grace();
	assert_ok(APPLY(DENY("two", "/b"), N("for_s", 30)));
	force_pass_grace();
	assert_ok(APPLY(DENY("three", "/c"), N("for_s", 30)));
	force_pass_grace();
	assert_ok(ASK("policy_rollback"));
	force_settle();
	assert_string_equal(row(0), "one enforce p.yaml 1  deny");
	assert_string_equal(row(1), "");
	/* confirmed */
	assert_ok(APPLY(DENY("two", "/b"), N("for_s", 30)));
	assert_ok(ASK("policy_confirm"));
	force_settle();
	force_tick(fenv.force, now + 600000 * MS);
	assert_string_equal(verdict_on(OPEN("/b")), "deny two r");
	assert_refused(APPLY(DENY("x", "/x"), N("for_s", 1000000)), "for_s: expected at most");
	/* what was refused is not on trial */
	assert_refused(APPLY(EVERYBODY("deny", "enforce"), N("for_s", 30)), "any process");
	assert_refused(ASK("policy_confirm"), "no policies are on trial");
}

static void test_trial_restart(void **state)
{
	uint64_t now = pst_now_boot_ns();

	(void)state;
	force_start();
	assert_ok(APPLY(DENY("one", "/a")));
	force_pass_grace();
	assert_ok(APPLY(DENY("two", "/b"), N("for_s", 30), Y("replace")));
	force_restart();
	assert_string_equal(row(0), "two enforce p.yaml 1  deny");
	assert_in_range(number_of(ASK("policy_list"), "until_s"), 1, 30);
	force_tick(fenv.force, now + 60000 * MS);
	force_settle();
	assert_string_equal(row(0), "one enforce p.yaml 1  deny");
	assert_string_equal(row(1), "");
	assert_string_equal(verdict_on(OPEN("/a")), "deny one r");
	assert_string_equal(verdict_on(OPEN("/b")), "none");
	force_restart();
	assert_string_equal(row(0), "one enforce p.yaml 1  deny");
	assert_int_equal(number_of(ASK("policy_list"), "until_s"), 0);
}

/* ---- saved ---- */

#define TWO                                                                                                  \
	"# first\n" POLICY("one", "  scope: {uids: 33}\n  rules:\n    - {name: r, operations: file.open, "   \
				  "paths: /a, action: deny}\n") "---\n# second\n" POLICY("two",              \
		"  scope: {uids: 33}\n  requires: kill\n  rules:\n    - {name: r, operations: "              \
		"file.open, paths: /b, action: deny}\n")

static void test_saved(void **state)
{
	(void)state;
	force_start();
	assert_ok(APPLY(TWO));
	force_settle();
	assert_ok(ASK("policy_mode", T("name", "two"), T("mode", "audit")));
	force_settle();
	for (int i = 0; i < 2; i++) {
		assert_string_equal(row(0), "one enforce p.yaml 1  deny");
		assert_string_equal(row(1), "two audit p.yaml 1 kill deny");
		assert_string_equal(verdict_on(OPEN("/a")), "deny one r");
		assert_string_equal(verdict_on(OPEN("/b")), "audit two r");
		assert_memory_equal(
			text_of(ASK("policy_show", T("name", "one")), "text"), "# first\napiVersion", 18);
		assert_memory_equal(
			text_of(ASK("policy_show", T("name", "two")), "text"), "# second\napiVersion", 19);
		assert_int_equal(number_of(ASK("policy_show", T("name", "two")), "line"), 11);
		assert_int_equal(fenv.force->current.list.v[1].p->policy->rules[0].line, 18);
		force_restart();
	}
}

/* What is in force is not taken away because of a file that nobody can read. */
static void test_state_lost(void **state)
{
	char path[100];
	uint64_t first;

	(void)state;
	snprintf(path, sizeof(path), "%s/policyd.policies", env.dir);
	force_start();
	assert_ok(APPLY(DENY("one", "/a")));
	force_settle();
	first = fenv.page->generation;
	write_text(path, "penstock-policies 1\nrubbish\n");
	force_restart();
	assert_int_equal(fenv.page->generation, first);
	assert_string_equal(row(0), "");
	assert_non_null(strstr(text_of(ASK("policy_list"), "error"), "cannot be read any more"));
	assert_refused(APPLY(DENY("two", "/b")), "cannot be read any more");
	assert_ok(ASK("policy_apply", T("id", upload_id), Y("replace")));
	force_settle();
	assert_string_equal(verdict_on(OPEN("/b")), "deny two r");
	force_restart();
	assert_string_equal(row(0), "two enforce p.yaml 1  deny");
	/* nothing is in force: it is as if there had been no file */
	write_text(path, "rubbish");
	force_end();
	force_files_open();
	force_start();
	assert_ok(APPLY(DENY("two", "/b")));
}

/* A folder that is not empty is in the way of the file. */
static void test_not_saved(void **state)
{
	char path[100];

	(void)state;
	snprintf(path, sizeof(path), "%s/policyd.policies", env.dir);
	force_start();
	obstruct(path);
	assert_non_null(strstr(text_of(APPLY(DENY("one", "/a")), "warning"), "this change is lost"));
	clear(path);
	for (int i = 0; i < 16; i++)
		force_tick(fenv.force, 0);
	force_restart();
	assert_string_equal(row(0), "one enforce p.yaml 1  deny");
}

/* ---- files ---- */

static void write_policy(const char *name, const char *text)
{
	char path[200];

	mkdir(fenv.folder, 0755);
	snprintf(path, sizeof(path), "%s/%s", fenv.folder, name);
	write_text(path, text);
}

static void test_files(void **state)
{
	(void)state;
	write_policy("a.yaml", DENY("one", "/a"));
	force_start();
	force_settle();
	assert_string_equal(verdict_on(OPEN("/a")), "deny one r");
	assert_refused(ASK("policy_delete", L("names", "one")), "is of the file");
	/* the mode is ours, the rest the file's */
	assert_ok(ASK("policy_mode", T("name", "one"), T("mode", "audit")));
	force_settle();
	write_policy("a.yaml", DENY("one", "/aa"));
	assert_int_equal(force_reload(fenv.force), 0);
	force_settle();
	assert_string_equal(verdict_on(OPEN("/aa")), "audit one r");
	force_restart();
	assert_string_equal(verdict_on(OPEN("/aa")), "audit one r");
	/* the applied one wins */
	assert_int_equal(pst_ctl_get(APPLY(DENY("one", "/b")), "warnings")->via.array.size, 1);
	force_settle();
	assert_string_equal(verdict_on(OPEN("/aa")), "none");
	assert_string_equal(verdict_on(OPEN("/b")), "deny one r");
	assert_ok(ASK("policy_delete", L("names", "one")));
	force_settle();
	assert_string_equal(verdict_on(OPEN("/aa")), "deny one r");
	/* a bad one changes nothing */
	write_policy("b.yaml", "apiVersion: no\n");
	assert_int_not_equal(force_reload(fenv.force), 0);
	assert_non_null(strstr(force_error(fenv.force), "b.yaml:1:"));
	assert_string_equal(verdict_on(OPEN("/aa")), "deny one r");
	assert_non_null(strstr(text_of(ASK("policy_list"), "error"), "b.yaml:1:"));
	/* nor does it at start */
	force_restart();
	assert_refused(APPLY(DENY("two", "/b")), "b.yaml:1:");
	write_policy("b.yaml", DENY("two", "/c"));
	assert_int_equal(force_reload(fenv.force), 0);
	force_settle();
	assert_string_equal(verdict_on(OPEN("/aa")), "deny one r");
	assert_string_equal(verdict_on(OPEN("/c")), "deny two r");
	assert_string_equal(force_error(fenv.force), "");
}

/* At first, with nothing in force, what is good is better than nothing. */
static void test_files_first(void **state)
{
	(void)state;
	write_policy("a.yaml", DENY("one", "/a"));
	write_policy("b.yaml", "kind: Nothing\n");
	force_start();
	force_settle();
	assert_string_equal(verdict_on(OPEN("/a")), "deny one r");
	assert_non_null(strstr(force_error(fenv.force), "b.yaml:1:"));
}

/* Files that are too many for the tables: what is in force stays, and what was applied is not forgotten. */
static void test_files_large(void **state)
{
	char name[32], *text = NULL;
	uint64_t first;

	(void)state;
	force_start();
	assert_ok(APPLY(DENY("one", "/a")));
	force_settle();
	for (int i = 0; i < 11; i++) {
		size_t len;
		FILE *f = open_memstream(&text, &len);

		fprintf(f,
			POLICY("large-%d", SCOPED
				"  rules:\n    - {name: r, operations: file.open, action: deny, paths: ["),
			i);
		for (int k = 0; k < 1000; k++)
			fprintf(f, "%s/%d/%d", k ? ", " : "", i, k);
		fprintf(f, "]}\n");
		assert_int_equal(fclose(f), 0);
		snprintf(name, sizeof(name), "%d.yaml", i);
		write_policy(name, text);
		free(text);
	}
	assert_int_not_equal(force_reload(fenv.force), 0);
	assert_non_null(strstr(force_error(fenv.force), "more than 10,000 different patterns"));
	assert_string_equal(verdict_on(OPEN("/a")), "deny one r");
	first = fenv.page->generation;
	force_restart();
	assert_int_equal(fenv.page->generation, first);
	assert_non_null(strstr(force_error(fenv.force), "more than 10,000 different patterns"));
	assert_int_equal(number_of(ASK("policy_list"), "total"), 12);
	assert_refused(APPLY(DENY("two", "/b")), "different patterns");
	for (int i = 1; i < 11; i++) {
		snprintf(name, sizeof(name), "%d.yaml", i);
		write_policy(name, "# none\n");
	}
	assert_int_not_equal(force_reload(fenv.force), 0); /* a file without any is none */
	for (int i = 1; i < 11; i++) {
		char path[200];

		snprintf(path, sizeof(path), "%s/%d.yaml", fenv.folder, i);
		assert_return_code(unlink(path), errno);
	}
	assert_int_equal(force_reload(fenv.force), 0);
	force_settle();
	assert_string_equal(verdict_on(OPEN("/a")), "deny one r");
	assert_string_equal(verdict_on(OPEN("/0/5")), "deny large-0 r");
}

/* ---- other tables ---- */

static void test_later(void **state)
{
	(void)state;
	force_begin();
	assert_ok(APPLY(DENY("one", "/a")));
	assert_string_equal(text_of(ASK("policy_list"), "state"), "not enforced");
	assert_refused(ASK("policy_rollback"), "nothing to go back to");
	force_map();
	force_settle();
	assert_string_equal(verdict_on(OPEN("/a")), "deny one r");
	/* others are made */
	__atomic_store_n(&fenv.page->flags, PST_POLICY_MOVED, __ATOMIC_RELEASE);
	assert_true(force_waits(fenv.force));
	assert_ok(APPLY(DENY("two", "/b")));
	assert_string_equal(text_of(ASK("policy_list"), "state"), "pending");
	force_files_open();
	assert_int_equal(fenv.page->generation, 0);
	force_map();
	force_settle();
	assert_string_equal(verdict_on(OPEN("/a")), "deny one r");
	assert_string_equal(verdict_on(OPEN("/b")), "deny two r");
	assert_refused(ASK("policy_rollback"), "nothing to go back to");
	/* and gone */
	force_adopt(fenv.force, &(struct force_tables){0});
	assert_string_equal(text_of(ASK("policy_list"), "state"), "not enforced");
	assert_int_equal(number_of(ASK("policy_list"), "total"), 2);
}

static void test_same_tables(void **state)
{
	struct force_tables a, b;

	(void)state;
	force_tables_of_files(&a);
	force_tables_of_files(&b);
	assert_true(force_tables_same(&a, &b));
	force_tables_unmap(&b);
	force_files_open();
	force_tables_of_files(&b);
	assert_false(force_tables_same(&a, &b));
	b.lines.entry_size /= 2;
	assert_int_equal(force_tables_check(&b, 0), -EINVAL);
	force_tables_unmap(&a);
	force_tables_unmap(&b);
}

int main(void)
{
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, fenv_setup, fenv_teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_switch),
		TEST(test_grace),
		TEST(test_bad_stays),
		TEST(test_rollback),
		TEST(test_host),
		TEST(test_users),
		TEST(test_trial),
		TEST(test_trial_restart),
		TEST(test_saved),
		TEST(test_state_lost),
		TEST(test_not_saved),
		TEST(test_files),
		TEST(test_files_first),
		TEST(test_files_large),
		TEST(test_later),
		TEST(test_same_tables),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
