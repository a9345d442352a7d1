// SPDX-License-Identifier: Apache-2.0
#include "policyd/policy/pattern.h"

#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* ---- globs ---- */

enum token_type {
	TOKEN_END,
	TOKEN_BYTE,  /* this byte */
	TOKEN_ANY,   /* ?: a byte */
	TOKEN_CLASS, /* [...] */
	TOKEN_STAR,  /* *: any number of bytes */
	TOKEN_NAME,  /* * between slashes: one byte or more */
	TOKEN_DIRS,  /* ** and a slash: any number of directories */
	TOKEN_REST,  /* ** at the end: one byte or more of any kind */
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
static const char *next_token(const char *glob, bool path, struct token *ret)
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
		if (!path)
			return glob + 1;
		if (glob[1] != '*') { /* a path's glob begins with a slash */
			ret->type = glob[-1] == '/' && (!glob[1] || glob[1] == '/') ? TOKEN_NAME : TOKEN_STAR;
			return glob + 1;
		}
		ret->type = glob[2] ? TOKEN_DIRS : TOKEN_REST;
		return glob + (glob[2] ? 3 : 2);
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

/* Which places of the glob the text read so far may have come to: a bit for each. */
struct places {
	uint64_t v[POLICY_TEXT_MAX / 64 + 1];
	size_t end; /* no place is behind it */
};

static void add_place(struct places *p, const char *glob, size_t at, bool path)
{
	struct token t;
	size_t next;

	for (;; at = next) {
		p->v[at / 64] |= 1ull << at % 64;
		p->end = at > p->end ? at : p->end;
		next = (size_t)(next_token(glob + at, path, &t) - glob);
		if (t.type != TOKEN_STAR && t.type != TOKEN_DIRS)
			return;
		/* which may be nothing */
	}
}

static void step(const char *glob, bool path, const struct places *from, char byte, struct places *to)
{
	bool plain = !path || byte != '/';

	memset(to, 0, sizeof(*to));
	for (size_t at = 0; at <= from->end; at++) {
		struct token t;
		size_t next;

		if (!(from->v[at / 64] >> at % 64 & 1))
			continue;
		next = (size_t)(next_token(glob + at, path, &t) - glob);
		if ((t.type == TOKEN_BYTE && *t.at == byte) || (t.type == TOKEN_ANY && plain) ||
			(t.type == TOKEN_CLASS && plain && in_class(t.at, byte)) || t.type == TOKEN_REST ||
			(t.type == TOKEN_NAME && plain) || (t.type == TOKEN_DIRS && byte == '/'))
			add_place(to, glob, next, path);
		if (((t.type == TOKEN_STAR || t.type == TOKEN_NAME) && plain) || t.type == TOKEN_REST)
			add_place(to, glob, at, path);
		if (t.type == TOKEN_DIRS) { /* within a directory's name: only its end leads on */
			to->v[at / 64] |= 1ull << at % 64;
			to->end = at > to->end ? at : to->end;
		}
	}
}

static bool at_end(const struct places *p, const char *glob)
{
	size_t len = strlen(glob);

	return p->v[len / 64] >> len % 64 & 1;
}

/* @below: what is below something that the glob takes is taken, too. */
static bool glob_takes(const char *glob, const char *text, bool path, bool below)
{
	struct places places[2] = {0};
	unsigned now = 0;

	if (strlen(glob) > POLICY_TEXT_MAX)
		return false;
	add_place(&places[now], glob, 0, path);
	for (; *text; text++, now = !now) {
		if (below && *text == '/' && at_end(&places[now], glob))
			return true;
		step(glob, path, &places[now], *text, &places[!now]);
	}
	return at_end(&places[now], glob);
}

/* ---- what a pattern takes ---- */

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

bool policy_pattern_takes(const struct policy_pattern *p, const char *text)
{
	switch (p->kind) {
	case POLICY_EXACT:
		return !strcmp(p->text, text);
	case POLICY_PREFIX:
		return begins(text, p->text);
	case POLICY_SUFFIX:
		return ends(text, p->text);
	case POLICY_DIRECTORY:
	case POLICY_TREE:
		return is_in_directory(p->text, text, p->kind == POLICY_TREE);
	case POLICY_GLOB:
	case POLICY_TEXT_GLOB:
		return glob_takes(p->text, text, p->kind == POLICY_GLOB, false);
	case POLICY_CGROUP:
		return !strcmp(p->text, "/") || glob_takes(p->text, text, true, true);
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

static const char *glob_fault(const char *text, bool path)
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
		} else if (path && p[0] == '*' && p[1] == '*') {
			if ((p > text && p[-1] != '/') || (p[2] && p[2] != '/'))
				return "expected ** alone between slashes";
			p++;
		}
	}
	return NULL;
}

const char *policy_pattern_fault(enum policy_pattern_kind kind, const char *text)
{
	const char *fault;

	if (!*text)
		return "expected a text, this is empty";
	if (strlen(text) > POLICY_TEXT_MAX)
		return "longer than 4095 bytes";
	switch (kind) {
	case POLICY_PREFIX:
		return path_fault(text, true);
	case POLICY_SUFFIX:
		return strstr(text, "//") || text[strlen(text) - 1] == '/' || strstr(text, "/../")
			       ? "no path ends so"
			       : NULL;
	case POLICY_TEXT_GLOB:
		return glob_fault(text, false);
	case POLICY_GLOB:
	case POLICY_CGROUP:
		fault = path_fault(text, false);
		return fault ? fault : glob_fault(text, true);
	default:
		return path_fault(text, false);
	}
}
