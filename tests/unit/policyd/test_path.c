// SPDX-License-Identifier: Apache-2.0
/* Compiled path patterns against the plain evaluation: corners by hand, random sets, hostile ones, scribbled
 * tables. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "proto/base/cleanup.h"
#include "tests/unit/policyd/path_patterns.h"

static union pst_line *lines;

static int make_lines(void **state)
{
	(void)state;
	lines = aligned_alloc(64, (size_t)PST_PATHS_LINES * sizeof(*lines));
	return lines ? 0 : -1;
}

static int free_lines(void **state)
{
	(void)state;
	free(lines);
	return 0;
}

static uint32_t must_add(struct path_set *set, enum path_kind kind, const char *text)
{
	struct path_error error;
	uint32_t pattern;

	if (path_set_add(set, kind, text, strlen(text), &pattern, &error))
		fail_msg("%s %s: %s at %zu", path_kind_name(kind), text, error.what, error.at);
	return pattern;
}

static void compile(const struct path_set *set, struct path_compiled *ret_compiled)
{
	uint32_t refused;
	int e = path_compile(set, lines, PST_PATHS_LINES, ret_compiled, &refused);

	if (e)
		fail_msg("%s: %.*s", strerror(-e), (int)set->v[refused].len,
			(const char *)set->v[refused].text);
}

static bool is_found(const struct path_compiled *c, uint32_t pattern, const void *path, size_t len)
{
	uint32_t classes[PST_PATHS_AUTOMATA];
	unsigned found = 0;

	path_lookup(lines, PST_PATHS_LINES, path, len, classes);
	for (uint32_t a = 0; a < PST_PATHS_AUTOMATA; a++) {
		struct path_class of = path_class(c, a, classes[a]);

		for (size_t i = 0; i < of.n; i++)
			found += of.patterns[i] == pattern;
	}
	assert_true(found < 2);
	return found;
}

static void must_agree(const struct path_set *set, const struct path_compiled *c, size_t n, uint64_t seed)
{
	size_t compared = n;
	uint64_t steps = 0;
	uint8_t path[PST_PATH_MAX];
	size_t len;

	if (path_verify(set, c, lines, PST_PATHS_LINES, &compared, seed, path, &len)) {
		assert_int_equal(compared, n);
		return;
	}
	print_message("of %u patterns, for \"%.*s\"\n", set->n, (int)len, (const char *)path);
	for (uint32_t i = 0; i < set->n; i++)
		if (is_found(c, i, path, len) != path_matches(&set->v[i], path, len, &steps))
			print_message("%s %.*s: found %d\n", path_kind_name(set->v[i].kind),
				(int)set->v[i].len, (const char *)set->v[i].text, is_found(c, i, path, len));
	fail();
}

/* ---- what each kind means ---- */

static const struct {
	enum path_kind kind;
	const char *pattern, *path;
	bool matches;
} meanings[] = {
	{PATH_EXACT, "/etc/shadow", "/etc/shadow", true},
	{PATH_EXACT, "/etc/shadow", "/etc/shadow-", false},
	{PATH_EXACT, "/etc/shadow", "/etc/shado", false},
	{PATH_EXACT, "/etc/shadow", "", false},
	{PATH_EXACT, "/", "/", true},
	{PATH_EXACT, "/", "/a", false},
	{PATH_EXACT, "/a*[?\\", "/a*[?\\", true},
	{PATH_EXACT, "/a*", "/ab", false},
	{PATH_EXACT, "/new\nline", "/new\nline", true},
	{PATH_EXACT, "/\xff\xfe", "/\xff\xfe", true},
	{PATH_PREFIX, "/usr/bin/py", "/usr/bin/python3", true},
	{PATH_PREFIX, "/usr/bin/py", "/usr/bin/py", true},
	{PATH_PREFIX, "/usr/bin/py", "/usr/bin/p", false},
	{PATH_PREFIX, "/usr/bin/py", "/usr/bin/pY/thon", false},
	{PATH_PREFIX, "/usr/bin/py", "/usr/bin/py/x/y", true},
	{PATH_PREFIX, "/usr/", "/usr", false},
	{PATH_PREFIX, "/usr/", "/usr/x", true},
	{PATH_PREFIX, "/", "/", true},
	{PATH_PREFIX, "/", "/x", true},
	{PATH_CHILDREN, "/etc", "/etc/passwd", true},
	{PATH_CHILDREN, "/etc", "/etc", false},
	{PATH_CHILDREN, "/etc", "/etc/", false},
	{PATH_CHILDREN, "/etc", "/etc/ssh/config", false},
	{PATH_CHILDREN, "/etc", "/etcetera", false},
	{PATH_CHILDREN, "/", "/", false},
	{PATH_CHILDREN, "/", "/a", true},
	{PATH_CHILDREN, "/", "/a/b", false},
	{PATH_BELOW, "/etc", "/etc", true},
	{PATH_BELOW, "/etc", "/etc/ssh/config", true},
	{PATH_BELOW, "/etc", "/etc/x", true},
	{PATH_BELOW, "/etc", "/etcetera", false},
	{PATH_BELOW, "/etc", "/et", false},
	{PATH_BELOW, "/", "/", true},
	{PATH_BELOW, "/", "/a/b", true},
	{PATH_SUFFIX, ".so", "/lib/x.so", true},
	{PATH_SUFFIX, ".so", "/.so", true},
	{PATH_SUFFIX, ".so", "/lib/x.so.1", false},
	{PATH_SUFFIX, ".so", "so", false},
	{PATH_SUFFIX, ".so", "", false},
	{PATH_SUFFIX, "/bin/sh", "/usr/bin/sh", true},
	{PATH_SUFFIX, "/bin/sh", "/bin/sh", true},
	{PATH_SUFFIX, "/bin/sh", "/usr/sbin/sh", false},
	{PATH_GLOB, "/home/*/.ssh/**", "/home/me/.ssh/id_rsa", true},
	{PATH_GLOB, "/home/*/.ssh/**", "/home/me/.ssh/a/b", true},
	{PATH_GLOB, "/home/*/.ssh/**", "/home/me/.ssh", false},
	{PATH_GLOB, "/home/*/.ssh/**", "/home/me/you/.ssh/id", false},
	{PATH_GLOB, "/home/*/.ssh/**", "/home//.ssh/id", false},
	{PATH_GLOB, "/*", "/a", true},
	{PATH_GLOB, "/*", "/", false},
	{PATH_GLOB, "/*", "/a/b", false},
	{PATH_GLOB, "/a*", "/a", true},
	{PATH_GLOB, "/a*c*e", "/abcde", true},
	{PATH_GLOB, "/a*c*e", "/ace", true},
	{PATH_GLOB, "/a*c*e", "/aec", false},
	{PATH_GLOB, "/a*c*e", "/ac/e", false},
	{PATH_GLOB, "/**", "/", false},
	{PATH_GLOB, "/**", "/a/b/c", true},
	{PATH_GLOB, "/a/**/b", "/a/b", true},
	{PATH_GLOB, "/a/**/b", "/a/x/y/b", true},
	{PATH_GLOB, "/a/**/b", "/a/xb", false},
	{PATH_GLOB, "/a/**/b", "/a/b/c", false},
	{PATH_GLOB, "/**/**/b", "/b", true},
	{PATH_GLOB, "/**/b/**/c", "/x/b/b/y/c", true},
	{PATH_GLOB, "/**/b/**/c", "/x/c/b", false},
	{PATH_GLOB, "/**/*.so", "/x.so", true},
	{PATH_GLOB, "/**/*.so", "/usr/lib/x.so", true},
	{PATH_GLOB, "/**/*.so", "/usr/lib/.so", true},
	{PATH_GLOB, "/**/*.so", "/usr/lib.so/x", false},
	{PATH_GLOB, "/**/bin/sh", "/bin/sh", true},
	{PATH_GLOB, "/**/bin/sh", "/usr/bin/sh", true},
	{PATH_GLOB, "/**/bin/sh", "/usr/sbin/sh", false},
	{PATH_GLOB, "/**/*a/b", "/xa/b", true},
	{PATH_GLOB, "/**/*a/b", "/x/b", false},
	{PATH_GLOB, "/**/*a/b", "/xxa/b", true},
	{PATH_GLOB, "/**/*\\/x", "/x", false},
	{PATH_GLOB, "/**/*\\/x", "/a/x", true},
	{PATH_GLOB, "/?", "/a", true},
	{PATH_GLOB, "/?", "/", false},
	{PATH_GLOB, "/?", "//", false},
	{PATH_GLOB, "/?", "/\x80", true},
	{PATH_GLOB, "/[a-c]x", "/bx", true},
	{PATH_GLOB, "/[a-c]x", "/dx", false},
	{PATH_GLOB, "/[!a-c]x", "/dx", true},
	{PATH_GLOB, "/[!a-c]x", "/ax", false},
	{PATH_GLOB, "/x[!a]y", "/x/y", false},
	{PATH_GLOB, "/x[+-9]y", "/x/y", false},
	{PATH_GLOB, "/x[+-9]y", "/x5y", true},
	{PATH_GLOB, "/[]]", "/]", true},
	{PATH_GLOB, "/[!]]", "/]", false},
	{PATH_GLOB, "/[!]]", "/a", true},
	{PATH_GLOB, "/[a-]", "/-", true},
	{PATH_GLOB, "/[\\]\\-a]", "/-", true},
	{PATH_GLOB, "/[\\]\\-a]", "/]", true},
	{PATH_GLOB, "/[\\]\\-a]", "/b", false},
	{PATH_GLOB, "/[\x80-\xff]", "/\x90", true},
	{PATH_GLOB, "/[\x80-\xff]", "/a", false},
	{PATH_GLOB, "/\\*\\?\\[\\\\", "/*?[\\", true},
	{PATH_GLOB, "/\\*", "/a", false},
	{PATH_GLOB, "/a]", "/a]", true},
	{PATH_GLOB, "/a\nb*", "/a\nb\n", true},
};

/* By itself, and among all others. */
static void each_kind(void **state)
{
	struct path_set all = {0};
	struct path_compiled c_all;
	uint64_t steps = 0;

	(void)state;
	for (size_t i = 0; i < PST_ARRAY_SIZE(meanings); i++)
		must_add(&all, meanings[i].kind, meanings[i].pattern);
	for (size_t i = 0; i < PST_ARRAY_SIZE(meanings); i++) {
		const char *path = meanings[i].path;
		struct path_set one = {0};
		struct path_compiled c;
		uint32_t p = must_add(&one, meanings[i].kind, meanings[i].pattern);
		bool plain = path_matches(&one.v[p], (const uint8_t *)path, strlen(path), &steps);

		compile(&one, &c);
		if (plain != meanings[i].matches || is_found(&c, p, path, strlen(path)) != plain)
			fail_msg("%s %s, path %s: plain %d", path_kind_name(meanings[i].kind),
				meanings[i].pattern, path, plain);
		must_agree(&one, &c, 200, i);
		path_compiled_done(&c);
		path_set_done(&one);
	}
	compile(&all, &c_all);
	for (size_t i = 0; i < PST_ARRAY_SIZE(meanings); i++) {
		uint32_t p = must_add(&all, meanings[i].kind, meanings[i].pattern);

		assert_int_equal(
			is_found(&c_all, p, meanings[i].path, strlen(meanings[i].path)), meanings[i].matches);
	}
	must_agree(&all, &c_all, 20000, 1);
	path_compiled_done(&c_all);
	path_set_done(&all);
}

static const struct {
	enum path_kind kind;
	const char *pattern, *what;
	size_t at;
} mistakes[] = {
	{PATH_EXACT, "", "empty", 0},
	{PATH_EXACT, "etc", "expected a path that begins with a slash", 0},
	{PATH_GLOB, "*", "expected a path that begins with a slash", 0},
	{PATH_EXACT, "/etc/", "no path ends with a slash", 4},
	{PATH_BELOW, "/etc/", "no path ends with a slash", 4},
	{PATH_EXACT, "/a//b", "no path has two slashes in a row", 2},
	{PATH_PREFIX, "/a//", "no path has two slashes in a row", 2},
	{PATH_EXACT, "/a/./b", "no path has a component '.' or '..'", 2},
	{PATH_EXACT, "/a/..", "no path has a component '.' or '..'", 2},
	{PATH_PREFIX, "/a/../", "no path has a component '.' or '..'", 2},
	{PATH_SUFFIX, "/", "no path but / ends with a slash", 0},
	{PATH_SUFFIX, "a/", "no path ends with a slash", 1},
	{PATH_GLOB, "/a/*/", "no path ends with a slash", 4},
	{PATH_GLOB, "/a**", "** is a component of its own: nothing is beside it", 2},
	{PATH_GLOB, "/**a", "** is a component of its own: nothing is beside it", 1},
	{PATH_GLOB, "/***", "** is a component of its own: nothing is beside it", 1},
	{PATH_GLOB, "/a[bc", "expected a ] behind this bracket", 2},
	{PATH_GLOB, "/a[", "expected a ] behind this bracket", 2},
	{PATH_GLOB, "/a[]", "expected a ] behind this bracket", 2},
	{PATH_GLOB, "/a[!", "expected a ] behind this bracket", 2},
	{PATH_GLOB, "/a[!]", "expected a ] behind this bracket", 2},
	{PATH_GLOB, "/a[b-", "expected a ] behind this bracket", 2},
	{PATH_GLOB, "/a[z-a]", "the range ends before it begins", 3},
	{PATH_GLOB, "/a[b/c]", "a slash cannot be in brackets", 4},
	{PATH_GLOB, "/a[\\/]", "a slash cannot be in brackets", 3},
	{PATH_GLOB, "/a[+-/]", "a slash cannot be in brackets", 3},
	{PATH_GLOB, "/a[!\1-\xff]", "no byte is in these brackets", 2},
	{PATH_GLOB, "/a\\", "expected a byte after the backslash", 2},
	{PATH_GLOB, "/a[\\", "expected a byte after the backslash", 3},
};

static void mistakes_have_a_place(void **state)
{
	struct path_set set = {0};
	struct path_error error;
	uint32_t pattern;
	char long_path[PST_PATH_MAX + 1];

	(void)state;
	for (size_t i = 0; i < PST_ARRAY_SIZE(mistakes); i++) {
		assert_int_equal(path_set_add(&set, mistakes[i].kind, mistakes[i].pattern,
					 strlen(mistakes[i].pattern), &pattern, &error),
			-EINVAL);
		if (strcmp(error.what, mistakes[i].what) != 0 || error.at != mistakes[i].at)
			fail_msg("%s: %s at %zu", mistakes[i].pattern, error.what, error.at);
	}
	assert_int_equal(path_set_add(&set, PATH_EXACT, "/a\0b", 4, &pattern, &error), -EINVAL);
	assert_int_equal(error.at, 2);
	memset(long_path, '/', 1);
	memset(long_path + 1, 'a', sizeof(long_path) - 1);
	assert_int_equal(
		path_set_add(&set, PATH_EXACT, long_path, sizeof(long_path), &pattern, &error), -EINVAL);
	assert_int_equal(
		path_set_add(&set, PATH_EXACT, long_path, (size_t)1 << 32 | 5, &pattern, &error), -EINVAL);
	assert_int_equal(set.n, 0);
	path_set_done(&set);
}

static void equal_patterns_are_one(void **state)
{
	struct path_set set = {0};

	(void)state;
	for (int round = 0; round < 2; round++)
		for (uint32_t i = 0; i < 200; i++) {
			char text[16];

			snprintf(text, sizeof(text), "/%u", i / 2);
			assert_int_equal(must_add(&set, i % 2 ? PATH_EXACT : PATH_BELOW, text), i);
		}
	assert_int_equal(set.n, 200);
	path_set_done(&set);
}

static void kinds_have_names(void **state)
{
	enum path_kind kind;

	(void)state;
	for (int i = 0; i < PATH_KINDS; i++) {
		assert_true(path_kind_parse(path_kind_name((enum path_kind)i), &kind));
		assert_int_equal(kind, i);
	}
	assert_false(path_kind_parse("regex", &kind));
}

static void no_patterns(void **state)
{
	struct path_set set = {0};
	struct path_compiled c;

	(void)state;
	compile(&set, &c);
	assert_int_equal(c.n, 0);
	assert_false(is_found(&c, 0, "/", 1));
	path_compiled_done(&c);
}

/* ---- sizes ---- */

static void longest_paths(void **state)
{
	static char text[PST_PATH_MAX];
	struct path_set set = {0};
	struct path_compiled c;
	struct path_error error;
	uint32_t p, star;

	(void)state;
	memset(text, 'x', sizeof(text));
	for (size_t i = 0; i < sizeof(text); i += 128)
		text[i] = '/';
	assert_int_equal(path_set_add(&set, PATH_EXACT, text, sizeof(text), &p, &error), 0);
	star = must_add(&set, PATH_GLOB, "/**/*x");
	must_add(&set, PATH_GLOB, "/**/y?");
	assert_int_equal(
		path_set_add(&set, PATH_SUFFIX, text + 1, sizeof(text) - 1, &(uint32_t){0}, &error), 0);
	compile(&set, &c);
	assert_true(is_found(&c, p, text, sizeof(text)));
	assert_true(is_found(&c, star, text, sizeof(text)));
	assert_false(is_found(&c, p, text, sizeof(text) - 1));
	text[sizeof(text) - 1] = 'y';
	assert_false(is_found(&c, p, text, sizeof(text)));
	assert_false(is_found(&c, star, text, sizeof(text)));
	must_agree(&set, &c, 300, 3);
	path_compiled_done(&c);
	path_set_done(&set);
}

/* What the design promises: they take no more than a value of a map on the oldest kernel. */
static void ten_thousand_paths(void **state)
{
	struct path_set set = {0};
	struct path_compiled c;

	(void)state;
	while (set.n < PATH_PATTERNS_MAX) {
		char text[41];

		for (size_t i = 0; i < sizeof(text) - 1; i++)
			text[i] = i % 10 ? (char)('a' + path_draw(26)) : '/';
		text[sizeof(text) - 1] = 0;
		must_add(&set, PATH_EXACT, text);
	}
	compile(&set, &c);
	print_message("# 10,000 exact paths: %u lines, %u states\n", c.lines, c.states);
	assert_true(c.lines <= PST_PATHS_LINES / 2);
	must_agree(&set, &c, 300, 5);
	assert_true(path_set_add(&set, PATH_EXACT, "/one/more", 9, &(uint32_t){0}, &(struct path_error){0}) ==
		    -E2BIG);
	path_compiled_done(&c);
	path_set_done(&set);
}

/* Every kind at once, most of them within a few folders. */
static void ten_thousand_mixed(void **state)
{
	static const char *const shape[] = {"/usr/lib/%u/x%u", "/usr/lib/%u/x%u", "/var/%u/%u", "/opt/%u/%u",
		".x%u%u", "/home/*/%u/%u/**"};
	struct path_set set = {0};
	struct path_compiled c;

	(void)state;
	for (uint32_t i = 0; set.n < PATH_PATTERNS_MAX; i++) {
		char text[64];

		snprintf(text, sizeof(text), shape[i % PATH_KINDS], i % 97, i);
		must_add(&set, (enum path_kind)(i % PATH_KINDS), text);
	}
	compile(&set, &c);
	print_message("# 10,000 of all kinds: %u lines, %u states, %u automata\n", c.lines, c.states, c.n);
	assert_true(c.n <= 3);
	must_agree(&set, &c, 1000, 7);
	path_compiled_done(&c);
	path_set_done(&set);
}

/* They multiply as globs, and do not as what they are. */
static void suffixes_in_globs(void **state)
{
	static const char *const shape[] = {"/**/*.x%u", "/**/name%u", "/**/*a/b%u"};
	struct path_set set = {0};
	struct path_compiled c;

	(void)state;
	for (uint32_t i = 0; i < 3000; i++) {
		char text[64];

		snprintf(text, sizeof(text), shape[i % PST_ARRAY_SIZE(shape)], i);
		must_add(&set, PATH_GLOB, text);
	}
	compile(&set, &c);
	assert_int_equal(c.n, 1);
	must_agree(&set, &c, 1000, 15);
	path_compiled_done(&c);
	path_set_done(&set);
}

/* Each state has all patterns above it in its set: the sum grows with the square, and is bounded. */
static void nested_prefixes(void **state)
{
	struct path_set set = {0};
	struct path_compiled c;
	char text[1001];

	(void)state;
	memset(text, 'a', sizeof(text));
	text[0] = '/';
	for (size_t len = 1; len < sizeof(text); len++) {
		text[len] = 0;
		must_add(&set, PATH_PREFIX, text);
		text[len] = 'a';
	}
	compile(&set, &c);
	must_agree(&set, &c, 1000, 9);
	path_compiled_done(&c);
	path_set_done(&set);
}

/* ---- random sets ---- */

static void random_sets(void **state)
{
	(void)state;
	for (unsigned round = 0; round < 400; round++) {
		struct path_set set = {0};
		struct path_compiled c;
		bool globs = round % 3 == 0;
		uint32_t n = round % 5 == 0 ? 1 : 1 + path_draw(round % 5 == 1 && !globs ? 200 : 20);

		for (uint32_t i = 0; i < n; i++)
			path_add_random(&set, globs ? PATH_GLOB : (enum path_kind)path_draw(PATH_KINDS));
		compile(&set, &c);
		must_agree(&set, &c, n > 20 ? 300 : 1000, round);
		path_compiled_done(&c);
		path_set_done(&set);
	}
}

/* ---- what does not fit ---- */

/* Alone each of them is small; together they would need a state for each set of them that has begun. */
static void globs_are_parted(void **state)
{
	struct path_set set = {0};
	struct path_compiled c;

	(void)state;
	for (char a = 'a'; a <= 'z'; a++) {
		char text[32];

		snprintf(text, sizeof(text), "/**/%c/**/x%c*y", a, a);
		must_add(&set, PATH_GLOB, text);
		snprintf(text, sizeof(text), "/home/*/.%c/**", a);
		must_add(&set, PATH_GLOB, text);
	}
	compile(&set, &c);
	assert_true(c.n > 1);
	must_agree(&set, &c, 3000, 11);
	path_compiled_done(&c);
	path_set_done(&set);
}

/* Of those that have to be parted, beside all else there is. */
static void many_wild_globs(void **state)
{
	struct path_set set = {0};
	struct path_compiled c;

	(void)state;
	must_add(&set, PATH_EXACT, "/etc/shadow");
	must_add(&set, PATH_SUFFIX, ".so");
	must_add(&set, PATH_GLOB, "/home/*/.ssh/[a-z]*");
	for (uint32_t i = 0; i < 100; i++) {
		char text[32];

		snprintf(text, sizeof(text), "/**/d%u/**", i);
		must_add(&set, PATH_GLOB, text);
	}
	compile(&set, &c);
	assert_true(c.n <= PST_PATHS_AUTOMATA);
	must_agree(&set, &c, 5000, 13);
	path_compiled_done(&c);
	path_set_done(&set);
}

static void hostile_sets_are_refused(void **state)
{
	struct path_set set = {0};
	struct path_compiled c;
	uint32_t refused = UINT32_MAX;

	(void)state;
	for (uint32_t i = 0; i < 3000; i++) {
		char text[64];

		snprintf(text, sizeof(text), "/**/%u*a*%u/**/b%u*c/**/d%u", i, i, i % 7, i % 11);
		must_add(&set, PATH_GLOB, text);
	}
	assert_int_equal(path_compile(&set, lines, PST_PATHS_LINES, &c, &refused), -E2BIG);
	assert_true(refused < set.n);
	path_set_done(&set);

	/* by itself: which of the last bytes were an a */
	refused = UINT32_MAX;
	must_add(&set, PATH_EXACT, "/a");
	must_add(&set, PATH_GLOB, "/**/*a????????????????????b");
	assert_int_equal(path_compile(&set, lines, PST_PATHS_LINES, &c, &refused), -E2BIG);
	assert_int_equal(refused, 1);
	path_set_done(&set);
}

static void table_without_room(void **state)
{
	struct path_set set = {0};
	struct path_compiled c;
	uint32_t refused = UINT32_MAX;

	(void)state;
	must_add(&set, PATH_EXACT, "/a/b");
	assert_int_equal(path_compile(&set, lines, 2, &c, &refused), -ENOSPC);
	assert_int_equal(refused, 0);
	assert_int_equal(path_compile(&set, lines, 1, &c, &refused), -ENOSPC);
	assert_int_equal(path_compile(&set, lines, 4, &c, &refused), 0);
	path_compiled_done(&c);
	path_set_done(&set);
}

/* A verification that cannot fail is none. */
static void verify_says_no(void **state)
{
	struct path_set set = {0}, other = {0};
	struct path_compiled c;
	uint8_t path[PST_PATH_MAX];
	size_t len, n = 1000;

	(void)state;
	must_add(&set, PATH_GLOB, "/a/*b/c");
	must_add(&other, PATH_GLOB, "/a/*c/c");
	compile(&set, &c);
	assert_true(path_verify(&set, &c, lines, PST_PATHS_LINES, &n, 1, path, &len));
	assert_false(path_verify(&other, &c, lines, PST_PATHS_LINES, &n, 1, path, &len));
	path_compiled_done(&c);
	path_set_done(&set);
	path_set_done(&other);
}

/* The plain evaluation of many stars is work: it ends, and says how far it came. */
static void verify_ends(void **state)
{
	struct path_set set = {0};
	struct path_compiled c;
	uint8_t path[PST_PATH_MAX];
	char text[PST_PATH_MAX];
	size_t len = 0, n = 1000000;

	(void)state;
	for (char last = 'a'; last <= 'p'; last++) {
		size_t at = 0;

		text[at++] = '/';
		while (at < 4000) {
			text[at++] = '*';
			text[at++] = 'a';
		}
		text[at++] = last;
		text[at] = 0;
		must_add(&set, PATH_GLOB, text);
	}
	compile(&set, &c);
	assert_true(path_verify(&set, &c, lines, PST_PATHS_LINES, &n, 1, path, &len));
	assert_true(n < 1000000);
	path_compiled_done(&c);
	path_set_done(&set);
}

/* Whoever writes the table may write anything: the look-up ends, inside the table (ASan watches). */
static void scribbled_tables(void **state)
{
	const uint32_t n = 4096;
	union pst_line *small = aligned_alloc(64, n * sizeof(*small));
	struct path_set set = {0};
	struct path_compiled c;
	uint32_t refused, classes[PST_PATHS_AUTOMATA];
	uint8_t path[PST_PATH_MAX];

	(void)state;
	for (int i = 0; i < 100; i++)
		path_add_random(&set, (enum path_kind)path_draw(PATH_KINDS));
	for (unsigned round = 0; round < 2000; round++) {
		uint8_t *bytes = (uint8_t *)small;

		if (round % 100 == 0) {
			if (round)
				path_compiled_done(&c);
			assert_int_equal(path_compile(&set, small, n, &c, &refused), 0);
		}
		for (int k = 0; k < 20; k++)
			bytes[path_draw(c.lines * sizeof(*small))] = (uint8_t)path_draw(256);
		for (size_t i = 0; round % 7 == 0 && i < n * sizeof(*small); i++)
			bytes[i] = (uint8_t)path_draw(256);
		for (int k = 0; k < 20; k++) {
			size_t len = path_sample(&set, &path_state, path);

			path_lookup(small, n, path, k ? len : sizeof(path), classes);
		}
	}
	path_compiled_done(&c);
	path_set_done(&set);
	free(small);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_kind),
		cmocka_unit_test(mistakes_have_a_place),
		cmocka_unit_test(equal_patterns_are_one),
		cmocka_unit_test(kinds_have_names),
		cmocka_unit_test(no_patterns),
		cmocka_unit_test(longest_paths),
		cmocka_unit_test(ten_thousand_paths),
		cmocka_unit_test(ten_thousand_mixed),
		cmocka_unit_test(suffixes_in_globs),
		cmocka_unit_test(nested_prefixes),
		cmocka_unit_test(random_sets),
		cmocka_unit_test(globs_are_parted),
		cmocka_unit_test(many_wild_globs),
		cmocka_unit_test(hostile_sets_are_refused),
		cmocka_unit_test(table_without_room),
		cmocka_unit_test(verify_says_no),
		cmocka_unit_test(verify_ends),
		cmocka_unit_test(scribbled_tables),
	};

	return cmocka_run_group_tests(tests, make_lines, free_lines);
}
