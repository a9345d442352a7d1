/* SPDX-License-Identifier: Apache-2.0 */
/* Random patterns of paths, for the tests and the benchmark. */
#ifndef TESTS_PATH_PATTERNS_H
#define TESTS_PATH_PATTERNS_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "policyd/path/path.h"

static uint64_t path_state = 0x9e3779b97f4a7c15;

static inline uint32_t path_draw(uint32_t n)
{
	path_state ^= path_state >> 12;
	path_state ^= path_state << 25;
	path_state ^= path_state >> 27;
	return (uint32_t)(path_state * 0x2545f4914f6cdd1d >> 33) % n;
}

/* Text that grows, cut at its end. */
struct path_text {
	char s[PST_PATH_MAX];
	size_t len;
};

static inline void text_add(struct path_text *t, const char *s)
{
	for (; *s && t->len < sizeof(t->s); s++)
		t->s[t->len++] = *s;
}

/* Few letters, so that patterns meet; @glob: with what means more. */
static inline void text_add_name(struct path_text *t, bool glob)
{
	static const char *const literal[] = {
		"a", "b", "a", "b", "ab", "c", ".", "x-", "\n", "\x80", "\xff", "aab"};
	static const char *const more[] = {
		"?", "*", "[ab]", "[!a]", "[a-c]", "\\*", "\\a", "[]a]", "[!\x80-\xff]", "*b"};

	text_add(t, "a" + path_draw(2));
	for (uint32_t n = 1 + path_draw(4); n; n--)
		if (!glob || path_draw(2))
			text_add(t, literal[path_draw(sizeof(literal) / sizeof(*literal))]);
		else if (t->len && t->s[t->len - 1] != '*')
			text_add(t, more[path_draw(sizeof(more) / sizeof(*more))]);
	if (t->s[t->len - 1] == '.' || t->s[t->len - 1] == '/')
		text_add(t, "c");
}

/* Of @kind, into the set. Some of them are refused, and left out. */
static inline void path_add_random(struct path_set *set, enum path_kind kind)
{
	struct path_text t = {.len = 0};
	struct path_error error;
	uint32_t pattern;

	for (uint32_t n = 1 + path_draw(4); n; n--) {
		if (kind != PATH_SUFFIX || path_draw(2))
			text_add(&t, "/");
		if (kind == PATH_GLOB && !path_draw(5) && t.len && t.s[t.len - 1] == '/')
			text_add(&t, n > 1 ? "**/" : "**");
		if (kind == PATH_GLOB && t.len > 1 && t.s[t.len - 1] == '*')
			break;
		text_add_name(&t, kind == PATH_GLOB);
	}
	(void)path_set_add(set, kind, t.s, t.len, &pattern, &error);
}

#endif
