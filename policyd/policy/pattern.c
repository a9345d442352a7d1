// SPDX-License-Identifier: Apache-2.0
#include "policyd/policy/pattern.h"

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "policyd/path/tokens.h"
#include "proto/base/cleanup.h"

/* ---- globs of any text; those of paths are policyd/path/ ---- */

enum token_type {
	TOKEN_END,
	TOKEN_BYTE,  /* this byte */
	TOKEN_ANY,   /* ?: a byte */
	TOKEN_CLASS, /* [...] */
	TOKEN_STAR,  /* *: any number of bytes */
};

struct token {
	enum token_type type;
	const char *at; /* BYTE: it; CLASS: behind the [ */
};

/* The ] that ends the class which begins at @p, and is not its first byte; NULL: there is none. */
static const char *class_end(const char *p)
{
	p += *p == '!';
	return *p ? strchr(p + 1, ']') : NULL;
}

/* The token at @glob; returns what is behind it. The glob was checked. */
static const char *next_token(const char *glob, struct token *ret)
{
	*ret = (struct token){.type = TOKEN_BYTE, .at = glob};
	switch (*glob) {
	case '\0':
		ret->type = TOKEN_END;
		return glob;
	case '?':
		ret->type = TOKEN_ANY;
		return glob + 1;
	case '[':
		*ret = (struct token){TOKEN_CLASS, glob + 1};
		return class_end(glob + 1) + 1;
	case '\\':
		ret->at = glob + 1;
		return glob + 2;
	case '*':
		ret->type = TOKEN_STAR;
		return glob + 1;
	default:
		return glob + 1;
	}
}

/* [abc], [a-z], [!a-z] */
static bool in_class(const char *class, char byte)
{
	const unsigned char *c = (const unsigned char *)class, b = (unsigned char)byte;
	bool other = *c == '!', in = false, first = true;

	for (c += other; first || *c != ']'; first = false) {
		if (c[1] == '-' && c[2] != ']') {
			in |= b >= c[0] && b <= c[2];
			c += 3;
		} else {
			in |= b == *c;
			c++;
		}
	}
	return in != other;
}

static bool token_takes(const struct token *t, char byte)
{
	return t->type == TOKEN_ANY || (t->type == TOKEN_BYTE && *t->at == byte) ||
	       (t->type == TOKEN_CLASS && in_class(t->at, byte));
}

/* What does not go on is tried again with one byte more for the last star. */
static bool glob_takes(const char *glob, const char *text)
{
	const char *star = NULL, *from = NULL, *next;
	struct token t;

	for (;;) {
		next = next_token(glob, &t);
		if (t.type == TOKEN_STAR) {
			star = glob = next;
			from = text;
		} else if (*text && token_takes(&t, *text)) {
			glob = next;
			text++;
		} else if (t.type == TOKEN_END && !*text) {
			return true;
		} else if (star && *from) {
			glob = star;
			text = ++from;
		} else {
			return false;
		}
	}
}

/* ---- what a pattern takes ---- */

static bool path_takes(enum path_kind kind, const char *pattern, const char *text)
{
	const struct path_pattern p = {
		.text = (uint8_t *)(uintptr_t)pattern, .len = (uint32_t)strlen(pattern), .kind = kind};
	uint64_t steps = 0;

	return path_matches(&p, (const uint8_t *)text, strlen(text), &steps);
}

/* What the glob takes, and all below. */
static bool cgroup_takes(const char *glob, const char *text)
{
	char below[POLICY_TEXT_MAX + sizeof("/**")];

	if (!strpbrk(glob, "*?[\\"))
		return path_takes(PATH_BELOW, glob, text);
	if (strlen(glob) > POLICY_TEXT_MAX)
		return false;
	stpcpy(stpcpy(below, glob), "/**");
	return path_takes(PATH_GLOB, glob, text) || path_takes(PATH_GLOB, below, text);
}

static bool begins(const char *text, const char *with)
{
	return !strncmp(text, with, strlen(with));
}

static bool ends(const char *text, const char *with)
{
	size_t n = strlen(text), m = strlen(with);

	return m <= n && !strcmp(text + n - m, with);
}

static bool is_in_directory(const char *directory, const char *text, bool deep)
{
	size_t n = strlen(directory);

	if (!strcmp(directory, text))
		return deep;
	n -= n == 1; /* "/" */
	return !strncmp(directory, text, n) && text[n] == '/' && (deep || !strchr(text + n + 1, '/'));
}

enum path_kind policy_path_kind(enum policy_pattern_kind kind)
{
	static const enum path_kind kinds[] = {
		[POLICY_EXACT] = PATH_EXACT,
		[POLICY_PREFIX] = PATH_PREFIX,
		[POLICY_SUFFIX] = PATH_SUFFIX,
		[POLICY_DIRECTORY] = PATH_CHILDREN,
		[POLICY_TREE] = PATH_BELOW,
		[POLICY_GLOB] = PATH_GLOB,
	};

	return kinds[kind];
}

bool policy_pattern_takes(const struct policy_pattern *p, const char *text)
{
	switch (p->kind) {
	case POLICY_EXACT:
		return !strcmp(p->text, text);
	case POLICY_SUFFIX: /* what does not begin with a slash is no path */
		return *text == '/' && path_takes(PATH_SUFFIX, p->text, text);
	case POLICY_PREFIX:
	case POLICY_DIRECTORY:
	case POLICY_TREE:
	case POLICY_GLOB:
		return path_takes(policy_path_kind(p->kind), p->text, text);
	case POLICY_TEXT_GLOB:
		return glob_takes(p->text, text);
	case POLICY_CGROUP:
		return cgroup_takes(p->text, text);
	}
	return false;
}

bool policy_pattern_covers(const struct policy_pattern *a, const struct policy_pattern *b)
{
	if (a->kind == b->kind && !strcmp(a->text, b->text))
		return true;
	switch (b->kind) {
	case POLICY_EXACT:
		return policy_pattern_takes(a, b->text);
	case POLICY_DIRECTORY:
	case POLICY_TREE:
		return (a->kind == POLICY_TREE && is_in_directory(a->text, b->text, true)) ||
		       (a->kind == POLICY_PREFIX && begins(b->text, a->text));
	case POLICY_PREFIX:
		return a->kind == POLICY_PREFIX && begins(b->text, a->text);
	case POLICY_SUFFIX:
		return a->kind == POLICY_SUFFIX && ends(b->text, a->text);
	default:
		return false;
	}
}

/* ---- what a pattern may be ---- */

/* A component that no resolved path has. @open: the last one goes on behind the text. */
static const char *components_fault(const char *text, bool open)
{
	for (const char *p = text + 1, *end;; p = end + 1) {
		size_t len;

		end = strchrnul(p, '/');
		len = (size_t)(end - p);
		if (!*end && open)
			return NULL;
		if (!len)
			return *end ? "\"//\": expected one slash" : "expected no slash at the end";
		if (len == 2 && !memcmp(p, "..", 2))
			return "\"..\": expected the path that it leads to";
		if (len == 1 && *p == '.')
			return "\".\": expected the path without it";
		if (!*end)
			return NULL;
	}
}

static const char *path_fault(const char *text, bool open)
{
	if (*text != '/')
		return "expected an absolute path, one that begins with /";
	if (!text[1])
		return NULL;
	return components_fault(text, open);
}

static const char *class_fault(const char *p, const char *end)
{
	for (p += *p == '!'; p < end; p++) {
		if (*p == '/')
			return "a / in [...]: it never matches one";
		if (p[1] == '-' && p + 2 < end && (unsigned char)p[0] > (unsigned char)p[2])
			return "the range in [...] is reversed";
	}
	return NULL;
}

static const char *glob_fault(const char *text)
{
	for (const char *p = text; *p; p++) {
		if (*p == '\\') {
			if (!*++p)
				return "a \\ at the end: expected the character that it makes plain";
		} else if (*p == '[') {
			const char *end = class_end(p + 1), *fault = end ? class_fault(p + 1, end) : NULL;

			if (!end || fault)
				return fault ? fault
					     : "the [ never ends: expected a ], or \\[ for the character";
			p = end;
		}
	}
	return NULL;
}

/* What the automata's reader says: one reading of globs, wherever they are looked up. */
static const char *tokens_fault(enum path_kind kind, const char *text)
{
	PST_CLEANUP(path_tokens_done) struct path_tokens tokens = {0};
	const struct path_pattern p = {
		.text = (uint8_t *)(uintptr_t)text, .len = (uint32_t)strlen(text), .kind = kind};
	struct path_error error;

	return path_tokens_add(&tokens, &p, 0, &error) ? error.what : NULL;
}

const char *policy_pattern_fault(enum policy_pattern_kind kind, const char *text)
{
	const char *fault = NULL;

	if (!*text)
		return "expected a text, this is empty";
	if (strlen(text) > POLICY_TEXT_MAX)
		return "longer than 4095 bytes";
	if (kind == POLICY_TEXT_GLOB)
		return glob_fault(text);
	if (kind == POLICY_SUFFIX && (strstr(text, "//") || text[strlen(text) - 1] == '/'))
		return "no path ends so";
	if (kind != POLICY_SUFFIX)
		fault = path_fault(text, kind == POLICY_PREFIX);
	return fault ? fault : tokens_fault(kind == POLICY_CGROUP ? PATH_GLOB : policy_path_kind(kind), text);
}
