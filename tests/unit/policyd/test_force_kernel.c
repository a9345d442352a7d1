// SPDX-License-Identifier: Apache-2.0
/* What a kernel can do of policies, cgroups as they come and go, and what is read of hostile bytes. */
#include "tests/unit/policyd/force_env.h"

#define OPS          "file.open, file.unlink"
#define ON(what)     POLICY("p", SCOPED what "  rules:\n" RULE_ON(OPS, "/a", "deny"))
#define UNLINK(path) "{operation: file.unlink, uid: 33, path: " path "}"

static void levels(enum pst_pol_level open, enum pst_pol_level unlink)
{
	fenv.page->level[PST_OP_FILE_OPEN] = (uint8_t)open;
	fenv.page->level[PST_OP_FILE_UNLINK] = (uint8_t)unlink;
}

/* ---- levels ---- */

static void test_effects(void **state)
{
	static const struct {
		enum pst_pol_action action;
		enum policy_need requires;
		enum policy_mode mode;
		enum pst_pol_level level;
		enum pst_pol_action does;
		bool enough;
	} cases[] = {
		{PST_ACT_ALLOW, POLICY_DENY, POLICY_ENFORCE, PST_LEVEL_NONE, PST_ACT_ALLOW, true},
		{PST_ACT_AUDIT, POLICY_AS_RULES, POLICY_ENFORCE, PST_LEVEL_OBSERVE, PST_ACT_AUDIT, true},
		{PST_ACT_AUDIT, POLICY_OBSERVE, POLICY_ENFORCE, PST_LEVEL_NONE, PST_ACT_NONE, false},
		{PST_ACT_ALERT, POLICY_AS_RULES, POLICY_AUDIT, PST_LEVEL_OBSERVE, PST_ACT_ALERT, true},
		{PST_ACT_DENY, POLICY_AS_RULES, POLICY_ENFORCE, PST_LEVEL_DENY, PST_ACT_DENY, true},
		{PST_ACT_DENY, POLICY_AS_RULES, POLICY_ENFORCE, PST_LEVEL_KILL, PST_ACT_AUDIT, false},
		{PST_ACT_DENY, POLICY_AS_RULES, POLICY_AUDIT, PST_LEVEL_OBSERVE, PST_ACT_AUDIT, true},
		{PST_ACT_DENY, POLICY_KILL, POLICY_ENFORCE, PST_LEVEL_DENY, PST_ACT_DENY, true},
		{PST_ACT_DENY, POLICY_KILL, POLICY_ENFORCE, PST_LEVEL_KILL, PST_ACT_KILL, true},
		{PST_ACT_DENY, POLICY_KILL, POLICY_ENFORCE, PST_LEVEL_OBSERVE, PST_ACT_AUDIT, false},
		{PST_ACT_DENY, POLICY_OBSERVE, POLICY_ENFORCE, PST_LEVEL_KILL, PST_ACT_AUDIT, true},
		{PST_ACT_DENY, POLICY_OBSERVE, POLICY_ENFORCE, PST_LEVEL_OBSERVE, PST_ACT_AUDIT, true},
		{PST_ACT_DENY, POLICY_OBSERVE, POLICY_ENFORCE, PST_LEVEL_NONE, PST_ACT_NONE, false},
		{PST_ACT_DENY, POLICY_DENY, POLICY_ENFORCE, PST_LEVEL_KILL, PST_ACT_AUDIT, false},
		{PST_ACT_THROTTLE, POLICY_KILL, POLICY_ENFORCE, PST_LEVEL_KILL, PST_ACT_AUDIT, false},
		{PST_ACT_THROTTLE, POLICY_AS_RULES, POLICY_ENFORCE, PST_LEVEL_DENY, PST_ACT_THROTTLE, true},
		{PST_ACT_KILL, POLICY_AS_RULES, POLICY_ENFORCE, PST_LEVEL_KILL, PST_ACT_KILL, true},
		{PST_ACT_KILL, POLICY_AS_RULES, POLICY_ENFORCE, PST_LEVEL_DENY, PST_ACT_KILL, true},
		{PST_ACT_KILL, POLICY_AS_RULES, POLICY_ENFORCE, PST_LEVEL_OBSERVE, PST_ACT_AUDIT, false},
		{PST_ACT_KILL, POLICY_DENY, POLICY_ENFORCE, PST_LEVEL_KILL, PST_ACT_KILL, false},
		{PST_ACT_KILL, POLICY_OBSERVE, POLICY_ENFORCE, PST_LEVEL_KILL, PST_ACT_KILL, true},
	};

	(void)state;
	for (size_t i = 0; i < PST_ARRAY_SIZE(cases); i++) {
		const struct policy p = {.requires = cases[i].requires};
		const struct policy_rule rule = {.action = cases[i].action};
		const char *why;
		enum pst_pol_action does = force_effect(&p, &rule, cases[i].mode, cases[i].level, &why);

		if (does != cases[i].does || !why != cases[i].enough)
			fail_msg("case %zu: %d, %s", i, (int)does, why ? why : "enough");
	}
}

static void test_requires(void **state)
{
	(void)state;
	force_start();
	levels(PST_LEVEL_DENY, PST_LEVEL_KILL);
	assert_refused(APPLY(ON("")),
		"p.yaml:7:7: the policy \"p\", rule \"r\": deny cannot be had of this kernel for "
		"file.unlink: it can be killed for, and not denied");
	assert_refused(APPLY(ON("  requires: deny\n")), "not denied");
	assert_int_equal(fenv.page->generation, 0);
	assert_ok(APPLY(ON("  requires: kill\n")));
	force_settle();
	/* one rule to people, two in the tables */
	assert_string_equal(row(0), "p enforce p.yaml 1 kill kill");
	assert_string_equal(achieved("p", 0), "kill of file.unlink; deny of file.open");
	assert_string_equal(verdict_on(OPEN("/a")), "deny p r");
	assert_string_equal(verdict_on(UNLINK("/a")), "kill p r");
	assert_int_equal(fenv.force->current.set.set.n_rules, 2);
	assert_string_equal(fenv.names[fenv.page->generation & 1].rule[0].rule, "r");
	assert_string_equal(fenv.names[fenv.page->generation & 1].rule[1].rule, "r");
	assert_ok(APPLY(ON("  requires: observe\n")));
	force_settle();
	assert_string_equal(verdict_on(UNLINK("/a")), "audit p r");
	assert_string_equal(achieved("p", 0), "deny of file.open; audit of file.unlink");
	levels(PST_LEVEL_DENY, PST_LEVEL_NONE);
	assert_refused(APPLY(ON("  requires: observe\n")), "no program asks for it");
	/* of what is off nothing is asked */
	assert_ok(APPLY(ON("  requires: observe\n  mode: 'off'\n")));
	assert_refused(ASK("policy_mode", T("name", "p"), T("mode", "audit")), "no program asks for it");
	assert_string_equal(achieved("p", 0), "nothing");
}

/* What the rule says stays what it says, whatever is done. */
static void test_would(void **state)
{
	const struct pst_pol_rule *r;
	const struct pst_pol_head *head;

	(void)state;
	force_start();
	levels(PST_LEVEL_KILL, PST_LEVEL_KILL);
	assert_ok(APPLY(ON("  requires: observe\n")));
	force_settle();
	head = (void *)(fenv.lines + (fenv.page->generation & 1) * PST_POL_LINES);
	r = (void *)(fenv.lines + (fenv.page->generation & 1) * PST_POL_LINES + head->rules);
	assert_int_equal(r->action, PST_ACT_AUDIT);
	assert_int_equal(r->would, PST_ACT_DENY);
}

/* A kernel that can do less than before: never without a word, and others can still be changed. */
static void test_weaker(void **state)
{
	uint64_t first;

	(void)state;
	force_start();
	levels(PST_LEVEL_DENY, PST_LEVEL_DENY);
	assert_ok(APPLY(ON("")));
	force_settle();
	first = fenv.page->generation;
	assert_string_equal(verdict_on(UNLINK("/a")), "deny p r");
	assert_int_equal(fenv.force->weaker->value, 0);
	levels(PST_LEVEL_DENY, PST_LEVEL_OBSERVE);
	force_tick(fenv.force, 0);
	force_settle();
	assert_int_not_equal(fenv.page->generation, first);
	assert_string_equal(verdict_on(OPEN("/a")), "deny p r");
	assert_string_equal(verdict_on(UNLINK("/a")), "audit p r");
	assert_int_equal(fenv.force->weaker->value, 1);
	assert_non_null(strstr(force_error(fenv.force), "deny cannot be had of this kernel for file.unlink"));
	assert_ok(APPLY(DENY("other", "/b")));
	force_settle();
	assert_string_equal(verdict_on(OPEN("/b")), "deny other r");
	assert_refused(APPLY(ON("")), "cannot be had");
	levels(PST_LEVEL_DENY, PST_LEVEL_DENY);
	force_tick(fenv.force, 0);
	force_settle();
	assert_string_equal(verdict_on(UNLINK("/a")), "deny p r");
	assert_int_equal(fenv.force->weaker->value, 0);
	assert_string_equal(force_error(fenv.force), "");
	/* and at start */
	levels(PST_LEVEL_KILL, PST_LEVEL_DENY);
	force_restart();
	assert_string_equal(verdict_on(OPEN("/a")), "audit p r");
	assert_string_equal(verdict_on(OPEN("/b")), "audit other r");
	assert_int_equal(fenv.force->weaker->value, 2);
	memset(fenv.page->level, 0, sizeof(fenv.page->level));
	force_tick(fenv.force, 0);
	assert_string_equal(text_of(ASK("policy_list"), "state"), "not enforced");
}

static void test_warnings(void **state)
{
	const msgpack_object *warnings;

	(void)state;
	force_start();
	warnings = pst_ctl_get(
		APPLY(POLICY("c",
			"  scope: {containers: true, uids: 5}\n  rules:\n    - {name: r, operations: "
			"process.exec, arguments: [x], action: audit}\n")),
		"warnings");
	assert_non_null(warnings);
	assert_int_equal(warnings->via.array.size, 2);
}

/* ---- cgroups ---- */

static void groups_make(const char *path)
{
	char at[200];

	snprintf(at, sizeof(at), "%s%s", fenv.groups, path);
	assert_return_code(mkdir(at, 0755), errno);
}

static uint64_t groups_id(const char *path)
{
	char at[200];
	struct stat st;

	snprintf(at, sizeof(at), "%s%s", fenv.groups, path);
	assert_return_code(stat(at, &st), errno);
	return st.st_ino;
}

static void groups_remove(const char *path)
{
	char at[200];

	snprintf(at, sizeof(at), "%s%s", fenv.groups, path);
	assert_return_code(rmdir(at), errno);
}

static void wait_for_verdict(uint64_t id, const char *verdict)
{
	uint64_t end = pst_now_mono_ns() + 20000 * MS;

	while (strcmp(verdict_in(OPEN("/x"), id), verdict) != 0) {
		assert_true(pst_loop_turn(env.loop, 5) >= 0);
		if (pst_now_mono_ns() > end)
			fail_msg("%s, and not %s", verdict_in(OPEN("/x"), id), verdict);
	}
}

static void test_cgroups(void **state)
{
	static const char text[] =
		POLICY("web", "  scope: {cgroups: [/web]}\n  rules:\n" RULE_ON("file.open", "/x", "deny"));
	uint64_t web, deep, other;

	(void)state;
	snprintf(fenv.groups, sizeof(fenv.groups), "%s/groups", env.dir);
	groups_make("");
	groups_make("/web");
	groups_make("/other");
	web = groups_id("/web");
	other = groups_id("/other");
	force_start();
	assert_ok(APPLY(DENY("one", "/a")));
	force_settle();
	assert_null(fenv.force->cgroups); /* nobody asks */
	assert_ok(APPLY(text));
	force_settle();
	force_tick(fenv.force, 0);
	assert_int_equal(fenv.force->n_cgroups->value, 3);
	assert_string_equal(verdict_in(OPEN("/x"), web), "deny web r");
	assert_string_equal(verdict_in(OPEN("/x"), other), "none");
	/* they come */
	groups_make("/web/a");
	groups_make("/web/a/b");
	deep = groups_id("/web/a/b");
	wait_for_verdict(deep, "deny web r");
	assert_string_equal(verdict_in(OPEN("/x"), groups_id("/web/a")), "deny web r");
	/* what was in force before knows them too */
	force_pass_grace();
	assert_ok(APPLY(DENY("two", "/b")));
	groups_make("/web/c");
	wait_for_verdict(groups_id("/web/c"), "deny web r");
	assert_ok(ASK("policy_rollback"));
	assert_string_equal(verdict_in(OPEN("/x"), groups_id("/web/c")), "deny web r");
	/* they go */
	groups_remove("/web/a/b");
	wait_for_verdict(deep, "none");
	/* events that are lost */
	groups_make("/web/d");
	groups_remove("/web/c");
	cgroups_rescan(fenv.force->cgroups);
	assert_string_equal(verdict_in(OPEN("/x"), groups_id("/web/d")), "deny web r");
	assert_int_equal(cgroups_count(fenv.force->cgroups), 5);
	groups_remove("/web/d");
	groups_remove("/web/a");
	groups_remove("/web");
	groups_remove("/other");
	force_end();
	groups_remove("");
}

/* Nobody can tell which cgroups there are, until somebody can. */
static void test_blind(void **state)
{
	static const char text[] =
		POLICY("web", "  scope: {cgroups: [/web]}\n  rules:\n" RULE_ON("file.open", "/x", "deny"));
	const msgpack_object *warnings;

	(void)state;
	snprintf(fenv.groups, sizeof(fenv.groups), "%s/groups", env.dir);
	force_start();
	warnings = pst_ctl_get(APPLY(text), "warnings");
	assert_int_equal(warnings->via.array.size, 1);
	force_settle();
	assert_string_equal(force_error(fenv.force), FORCE_BLIND);
	groups_make("");
	groups_make("/web");
	force_tick(fenv.force, 0);
	assert_string_equal(force_error(fenv.force), "");
	assert_string_equal(verdict_in(OPEN("/x"), groups_id("/web")), "deny web r");
	groups_remove("/web");
	force_end();
	groups_remove("");
}

/* ---- uploads ---- */

static void test_uploads(void **state)
{
	static const char half[] = "apiVersion: penstock.dev/v1\nkind: Policy\n",
			  rest[] = "metadata: {name: one}\nspec:\n  scope: {uids: 33}\n  rules:\n"
				   "    - {name: r, operations: file.open, paths: /a, action: deny}\n";
	char name[300], id[32];

	(void)state;
	force_start();
	assert_ok(ASK("policy_upload", T("id", "a"), T("file", "f"), T("text", half), Y("more")));
	assert_refused(ASK("policy_apply", T("id", "a")), "the rest of the file is missing");
	assert_ok(ASK("policy_upload", T("id", "a"), T("file", "f"), T("text", rest)));
	assert_ok(ASK("policy_upload", T("id", "a"), T("file", "g"), T("text", DENY("two", "/b"))));
	assert_ok(ASK("policy_apply", T("id", "a")));
	force_settle();
	assert_string_equal(row(0), "one enforce f 1  deny");
	assert_string_equal(row(1), "two enforce g 1  deny");
	assert_refused(ASK("policy_apply", T("id", "a")), "expected id");
	/* malformed */
	assert_ok(ASK("policy_upload", T("id", "a"), T("file", "f"), T("text", half)));
	assert_refused(ASK("policy_upload", T("id", "a"), T("file", "f"), T("text", half)), "there already");
	assert_refused(ASK("policy_apply", T("id", "a")), "expected id");
	assert_ok(ASK("policy_upload", T("id", "a"), T("file", "f"), T("text", half), Y("more")));
	assert_refused(
		ASK("policy_upload", T("id", "a"), T("file", "g"), T("text", half)), "rest of another file");
	memset(name, 'x', sizeof(name) - 1);
	name[sizeof(name) - 1] = 0;
	assert_refused(
		ASK("policy_upload", T("id", "a"), T("file", name), T("text", "x")), "expected id, file");
	assert_refused(
		ASK("policy_upload", T("id", name), T("file", "f"), T("text", "x")), "expected id, file");
	assert_refused(
		ASK("policy_upload", T("id", "a"), T("file", "f\ng"), T("text", "x")), "control characters");
	assert_refused(ASK("policy_upload", T("id", ""), T("file", "f"), T("text", "x")), "expected id");
	assert_refused(ASK("policy_upload", T("id", "a"), T("file", "f"), N("text", 5)), "expected id");
	assert_refused(ASK("policy_apply", T("id", "")), "expected id");
	/* the oldest makes room */
	for (int i = 0; i <= FORCE_UPLOADS_MAX; i++) {
		snprintf(id, sizeof(id), "id%d", i);
		assert_ok(ASK("policy_upload", T("id", id), T("file", "f"), T("text", DENY("three", "/c"))));
	}
	assert_refused(ASK("policy_apply", T("id", "id0")), "expected id");
	assert_ok(ASK("policy_apply", T("id", "id1")));
	/* and time */
	force_uploads_expire(&fenv.force->uploads, pst_now_mono_ns() + (FORCE_UPLOAD_S - 5) * 1000 * MS);
	assert_non_null(force_upload_find(&fenv.force->uploads, "id2"));
	force_uploads_expire(&fenv.force->uploads, pst_now_mono_ns() + (FORCE_UPLOAD_S + 5) * 1000 * MS);
	assert_null(force_upload_find(&fenv.force->uploads, "id2"));
}

static void test_upload_sizes(void **state)
{
	struct force_uploads uploads = {0};
	char *mib = calloc(1, 1 << 20), error[200], file[16];
	int e = 0, n = 0;

	(void)state;
	assert_non_null(mib);
	for (; n < 5 && !e; n++)
		e = force_upload_put(&uploads, "a", "f", mib, 1 << 20, true, 1, error, sizeof(error));
	assert_int_equal(e, -EFBIG);
	assert_int_equal(n, 5);
	assert_int_equal(
		force_upload_put(&uploads, "b", "f", mib, 1 << 20, false, 1, error, sizeof(error)), 0);
	for (n = e = 0; n < 65 && !e; n++) {
		snprintf(file, sizeof(file), "f%d", n);
		e = force_upload_put(&uploads, "a", file, mib, 1 << 20, false, 2, error, sizeof(error));
	}
	assert_int_equal(e, -EFBIG);
	assert_int_equal(n, 65);
	assert_null(force_upload_find(&uploads, "b")); /* it had to make room */
	force_uploads_done(&uploads);
	free(mib);
}

/* ---- the state's text ---- */

static int parse(const char *text)
{
	struct force_state s;
	int e = force_state_parse(text, strlen(text), &s);

	if (!e)
		force_state_done(&s);
	return e;
}

#define HEAD "penstock-policies 1\n"

static void test_states(void **state)
{
	static const char good[] = DENY("one", "/a");
	static const char *const bad[] = {"", "penstock-policies 2\n", HEAD "\n", HEAD "x", HEAD "policy\n",
		HEAD "policy - 1 2\n", HEAD "policy - 1 999 f\n", HEAD "policy off 0 1 f\nx\n",
		HEAD "policy - 1 1 f\nx\n", HEAD "policy odd 1 1 f\nx\n", HEAD "mode - one\n",
		HEAD "mode off \n", HEAD "mode off one", HEAD "mode off one\nmode off one\n",
		HEAD "before 5\n", HEAD "before 0 5\n", HEAD "before 5 5 5\n",
		HEAD "before 5 5\nbefore 5 5\n", HEAD "before 99999999999999999999 5\n",
		HEAD "policy - 1 -1 f\nx\n", HEAD "policy - 1 18446744073709551615 f\nx\n"};
	char text[1000];

	(void)state;
	for (size_t i = 0; i < PST_ARRAY_SIZE(bad); i++)
		if (parse(bad[i]) != -EBADMSG)
			fail_msg("taken: %s", bad[i]);
	assert_int_equal(parse(HEAD), 0);
	assert_int_equal(parse(HEAD "mode off one\nbefore 5 5\nmode audit one\n"), 0);
	snprintf(text, sizeof(text), HEAD "policy audit 7 %zu my file\n%s\n", strlen(good), good);
	assert_int_equal(parse(text), 0);
	snprintf(text, sizeof(text), HEAD "policy - 7 %zu f\n%s\nmode off one\n", strlen(good), good);
	assert_int_equal(parse(text), -EBADMSG);
	snprintf(text, sizeof(text), HEAD "policy - 7 %zu f\n%s\npolicy - 7 %zu f\n%s\n", strlen(good), good,
		strlen(good), good);
	assert_int_equal(parse(text), -EBADMSG);
	snprintf(text, sizeof(text), HEAD "policy - 7 %zu f\n%sx\n", strlen(good), good);
	assert_int_equal(parse(text), -EBADMSG);
}

/* ---- documents of a file ---- */

static void test_documents(void **state)
{
	static const char two[] =
		"%YAML 1.1\n--- # begins\n" DENY("one", "/a") "...\n---\n\n---\n" DENY("two", "/b") "---\n";
	static const char odd[] = DENY("one", "/a") "---\n" DENY("two", "/b") "# \xc2\x85---\n";
	static const char inline_[] = "--- {apiVersion: penstock.dev/v1, kind: Policy, metadata: {name: "
				      "one}, spec: {rules: [{name: r, operations: "
				      "file.open, action: audit}]}}\n--- {apiVersion: penstock.dev/v1, kind: "
				      "Policy, metadata: {name: two}, spec: {rules: "
				      "[{name: r, operations: file.open, action: audit}]}}\n";

	(void)state;
	force_start();
	assert_ok(APPLY(two));
	assert_memory_equal(text_of(ASK("policy_show", T("name", "two")), "text"), "apiVersion", 10);
	assert_string_equal(text_of(ASK("policy_show", T("name", "two")), "text"), DENY("two", "/b"));
	assert_string_equal(text_of(ASK("policy_show", T("name", "one")), "text"), DENY("one", "/a"));
	assert_refused(APPLY(odd), "lines that end in");
	assert_ok(APPLY(inline_));
	force_settle();
	force_restart();
	assert_string_equal(row(0), "one enforce p.yaml 1  deny");
	assert_string_equal(row(1), "two enforce p.yaml 1  deny");
	assert_string_equal(verdict_on(OPEN("/b")), "audit one r");
	assert_refused(ASK("policy_show", T("name", "three")), "there is no policy");
}

int main(void)
{
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, fenv_setup, fenv_teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_effects),
		TEST(test_requires),
		TEST(test_would),
		TEST(test_weaker),
		TEST(test_warnings),
		TEST(test_cgroups),
		TEST(test_blind),
		TEST(test_uploads),
		TEST(test_upload_sizes),
		TEST(test_states),
		TEST(test_documents),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
