// SPDX-License-Identifier: Apache-2.0
/* Policies of others, at random: what is written says of every act what the original says, as its own rules
 * of precedence have it. Clause by clause is in tests/e2e/test_policy_import.py. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "policyd/foreign/internal.h"
#include "proto/base/cleanup.h"

#define ROUNDS 400
#define ITEMS  6

static uint32_t seed = 1;

static unsigned dice(unsigned n)
{
	seed = seed * 1664525 + 1013904223;
	return (seed >> 8) % n;
}

static const char *const paths[] = {"/a", "/a/b", "/a/b/c", "/a/x", "/d", "/d/e", "/abc"};
static const char *const dirs[] = {"/", "/a/", "/a/b/", "/d/"};
static const char *const programs[] = {"/p", "/q", "/r"};
#define ANY(list) ((unsigned)dice(PST_ARRAY_SIZE(list)))

static struct foreign must_import(const char *text, const struct foreign_options *options)
{
	struct foreign f = {.options = *options};
	struct pst_conf_errors errors = {0};

	if (foreign_read(&f, "t", text, strlen(text), &errors))
		fail_msg("%s\n%s", errors.text, text);
	if (f.left_out)
		fail_msg("%s\n%s", f.said.v, text);
	return f;
}

static enum pst_pol_action says(
	const struct foreign *f, enum pst_pol_op op, const char *path, const char *program)
{
	struct policy_act act = POLICY_ACT_INIT;

	act.op = op;
	act.path = path;
	act.executable = program;
	act.cgroup = "/pods/x";
	return policy_judge(&f->set, &act).would;
}

/* ---- KubeArmor ---- */

struct match {
	bool is_dir, recursive;
	const char *path, *source; /* source: NULL: any */
	enum pst_pol_action action;
};

/* The directory itself, too. */
static bool is_in(const struct match *m, const char *path)
{
	size_t n = strlen(m->path);

	if (!m->is_dir)
		return !strcmp(m->path, path);
	if (strlen(path) == n - 1 && !strncmp(m->path, path, n - 1))
		return true;
	return !strncmp(m->path, path, n) && path[n] && (m->recursive || !strchr(path + n, '/'));
}

/* The source before none, a path before a directory, a deeper one before its parents. */
static bool is_nearer(const struct match *a, const struct match *b)
{
	if (!a->source != !b->source)
		return a->source;
	if (a->is_dir != b->is_dir)
		return b->is_dir;
	return strlen(a->path) > strlen(b->path);
}

static enum pst_pol_action armor_says(const struct match *v, size_t n, const char *path, const char *program)
{
	const struct match *best = NULL;
	bool allows = false;

	for (size_t i = 0; i < n; i++) {
		allows |= v[i].action == PST_ACT_ALLOW;
		if (is_in(&v[i], path) && (!v[i].source || !strcmp(v[i].source, program)) &&
			(!best || is_nearer(&v[i], best)))
			best = &v[i];
	}
	return best ? best->action : allows ? PST_ACT_DENY : PST_ACT_NONE;
}

/* No two that are equally near: which of them counts there is left to chance. */
static bool is_taken(const struct match *v, size_t n, const struct match *m)
{
	for (size_t i = 0; i < n; i++)
		if (!is_nearer(&v[i], m) && !is_nearer(m, &v[i]) &&
			(!m->source || !strcmp(v[i].source, m->source)))
			return true;
	return false;
}

static struct match make_match(void)
{
	struct match m = {.is_dir = dice(2), .action = dice(2) ? PST_ACT_ALLOW : PST_ACT_DENY};

	m.recursive = m.is_dir && dice(2);
	m.path = m.is_dir ? dirs[ANY(dirs)] : paths[ANY(paths)];
	m.source = dice(3) ? NULL : programs[ANY(programs)];
	return m;
}

static void put_matches(struct foreign_buf *to, const struct match *v, size_t n, bool are_dirs)
{
	foreign_put(to, "    %s:\n", are_dirs ? "matchDirectories" : "matchPaths");
	for (size_t i = 0; i < n; i++) {
		if (v[i].is_dir != are_dirs)
			continue;
		foreign_put(to, "    - {%s: %s, recursive: %s, action: %s", are_dirs ? "dir" : "path",
			v[i].path, v[i].recursive ? "true" : "false",
			v[i].action == PST_ACT_ALLOW ? "Allow" : "Block");
		if (v[i].source)
			foreign_put(to, ", fromSource: [{path: %s}]", v[i].source);
		foreign_put(to, "}\n");
	}
}

static void kubearmor(void **state)
{
	const struct foreign_options options = {"/pods", true};

	(void)state;
	for (unsigned round = 0; round < ROUNDS; round++) {
		PST_CLEANUP(foreign_buf_done) struct foreign_buf text = {0};
		PST_CLEANUP(foreign_done) struct foreign f = {0};
		struct match v[ITEMS];
		size_t n = 0;

		for (unsigned i = 0; i < ITEMS; i++) {
			v[n] = make_match();
			n += !is_taken(v, n, &v[n]);
		}
		foreign_put(&text,
			"apiVersion: security.kubearmor.com/v1\nkind: KubeArmorPolicy\nmetadata: {name: "
			"k}\nspec:\n  selector: {}\n  process:\n");
		put_matches(&text, v, n, true);
		put_matches(&text, v, n, false);
		f = must_import(text.v, &options);
		for (unsigned p = 0; p < PST_ARRAY_SIZE(paths); p++)
			for (unsigned q = 0; q < PST_ARRAY_SIZE(programs); q++)
				if (says(&f, PST_OP_PROCESS_EXEC, paths[p], programs[q]) !=
					armor_says(v, n, paths[p], programs[q]))
					fail_msg("%s by %s\n%s\n%s", paths[p], programs[q], text.v, f.yaml.v);
	}
}

/* ---- Tetragon ---- */

enum how { EQUAL, PREFIX, POSTFIX, HOWS };

struct filter {
	bool there, not ;
	enum how how;
	const char *values[2];
};

struct selector {
	struct filter path, program;
	enum pst_pol_action action;
};

static bool compare(enum how how, const char *value, const char *text)
{
	size_t n = strlen(value), m = strlen(text);

	return how == EQUAL    ? !strcmp(value, text)
	       : how == PREFIX ? !strncmp(value, text, n)
			       : n <= m && !strcmp(text + m - n, value);
}

static bool takes(const struct filter *f, const char *text)
{
	return !f->there ||
	       (compare(f->how, f->values[0], text) || compare(f->how, f->values[1], text)) != f->not ;
}

static enum pst_pol_action tracing_says(
	const struct selector *v, size_t n, const char *path, const char *program)
{
	for (size_t i = 0; i < n; i++)
		if (takes(&v[i].path, path) && takes(&v[i].program, program))
			return v[i].action;
	return PST_ACT_NONE;
}

static struct filter make_filter(const char *const *values, unsigned n)
{
	return (struct filter){.there = dice(3),
		.not = dice(2),
		.how = dice(HOWS),
		.values = {values[dice(n)], values[dice(n)]}};
}

static void put_filter(struct foreign_buf *to, const char *before, const char *equal, const struct filter *f)
{
	const char *const names[] = {equal, "Prefix", "Postfix"};

	if (f->there)
		foreign_put(to, "      %s operator: %s%s, values: [%s, %s]}]\n", before, f->not ? "Not" : "",
			f->not &&f->how == EQUAL ? equal : names[f->how], f->values[0], f->values[1]);
}

static void put_selector(struct foreign_buf *to, const struct selector *s)
{
	static const char *const actions[PST_ACTIONS] = {[PST_ACT_ALLOW] = "NoPost",
		[PST_ACT_AUDIT] = "Post",
		[PST_ACT_DENY] = "Override, argError: -1",
		[PST_ACT_KILL] = "Sigkill"};

	foreign_put(to, "    - matchActions: [{action: %s}]\n", actions[s->action]);
	put_filter(to, "matchArgs: [{index: 0,", "Equal", &s->path);
	put_filter(to, "matchBinaries: [{", "In", &s->program);
}

static void tetragon(void **state)
{
	static const enum pst_pol_action actions[] = {
		PST_ACT_ALLOW, PST_ACT_AUDIT, PST_ACT_DENY, PST_ACT_KILL};
	const struct foreign_options options = {0};

	(void)state;
	for (unsigned round = 0; round < ROUNDS; round++) {
		PST_CLEANUP(foreign_buf_done) struct foreign_buf text = {0};
		PST_CLEANUP(foreign_done) struct foreign f = {0};
		struct selector v[ITEMS];
		size_t n = 1 + dice(ITEMS);

		foreign_put(&text, "apiVersion: cilium.io/v1alpha1\nkind: TracingPolicy\nmetadata: {name: "
				   "t}\nspec:\n  lsmhooks:\n  - hook: file_open\n    selectors:\n");
		for (size_t i = 0; i < n; i++) {
			v[i] = (struct selector){make_filter(paths, PST_ARRAY_SIZE(paths)),
				make_filter(programs, PST_ARRAY_SIZE(programs)), actions[ANY(actions)]};
			put_selector(&text, &v[i]);
		}
		f = must_import(text.v, &options);
		for (unsigned p = 0; p < PST_ARRAY_SIZE(paths); p++)
			for (unsigned q = 0; q < PST_ARRAY_SIZE(programs); q++)
				if (says(&f, PST_OP_FILE_OPEN, paths[p], programs[q]) !=
					tracing_says(v, n, paths[p], programs[q]))
					fail_msg("%s by %s\n%s\n%s", paths[p], programs[q], text.v, f.yaml.v);
	}
}

/* ---- bounds ---- */

/* More rules than may be are left out, and each is counted. */
static void many_rules(void **state)
{
	const struct foreign_options options = {"/pods", false};
	PST_CLEANUP(foreign_buf_done) struct foreign_buf text = {0};
	PST_CLEANUP(foreign_done) struct foreign f = {.options = options};
	struct pst_conf_errors errors = {0};

	(void)state;
	foreign_put(&text,
		"apiVersion: security.kubearmor.com/v1\nkind: KubeArmorPolicy\nmetadata: {name: k}\nspec:\n"
		"  selector: {}\n  process:\n    matchPaths:\n");
	for (unsigned i = 0; i < 60000; i++)
		foreign_put(&text, "    - {path: x}\n");
	assert_int_equal(foreign_read(&f, "t", text.v, text.n, &errors), 0);
	assert_int_equal(f.left_out, 60000);
	assert_int_equal(f.n_said, 60000);
	assert_int_equal(f.policies, 0);
	assert_int_equal(f.yaml.n, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(kubearmor),
		cmocka_unit_test(tetragon),
		cmocka_unit_test(many_rules),
	};

	return cmocka_run_group_tests_name("policyd/foreign", tests, NULL, NULL);
}
