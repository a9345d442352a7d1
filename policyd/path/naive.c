// SPDX-License-Identifier: Apache-2.0
/*
 * The meaning of a pattern, from its text, byte after byte: what the compiled automata are held against. It
 * shares nothing with them.
 */
#include <stdlib.h>
#include <string.h>

#include "policyd/path/path.h"
#include "proto/base/cleanup.h"

/*
 * What is left of a glob from byte g on, against what is left of a path from byte s on. A choice that was
 * tried has failed: had it not, nothing else would be tried.
 */
struct attempt {
	const uint8_t *glob, *path;
	size_t glob_len, path_len;
	uint8_t *tried; /* bits; NULL until there is a choice */
	uint64_t steps;
};

static bool glob_matches(struct attempt *a, size_t g, size_t s);

/* One byte of the glob's brackets at *g, which goes behind it; a backslash may stand before it. */
static uint8_t bracket_byte(const struct attempt *a, size_t *g)
{
	*g += a->glob[*g] == '\\';
	return a->glob[(*g)++];
}

/* Is @byte in the brackets behind *g? It goes behind the closing one. */
static bool in_brackets(const struct attempt *a, size_t *g, uint8_t byte)
{
	bool other = a->glob[*g] == '!', found = false;
	size_t first = *g += other;

	while (a->glob[*g] != ']' || *g == first) {
		uint8_t lo = bracket_byte(a, g), hi = lo;

		if (a->glob[*g] == '-' && a->glob[*g + 1] != ']') {
			++*g;
			hi = bracket_byte(a, g);
		}
		found |= byte >= lo && byte <= hi;
	}
	++*g;
	return byte != '/' && found != other;
}

/* Has the choice at @g been tried for the path from @s on? It has now. */
static bool was_tried(struct attempt *a, size_t g, size_t s)
{
	size_t bit = g * (a->path_len + 1) + s;
	bool tried;

	if (!a->tried)
		a->tried = calloc(a->glob_len * (a->path_len + 1) / 8 + 1, 1);
	if (!a->tried) /* slower, and just as right */
		return false;
	tried = a->tried[bit / 8] >> bit % 8 & 1;
	a->tried[bit / 8] |= (uint8_t)(1 << bit % 8);
	return tried;
}

/* A star at @g: any number of bytes, or if it is a component, one at least; none of them a slash. */
static bool star_matches(struct attempt *a, size_t g, size_t s)
{
	bool component = a->glob[g - 1] == '/' && (g + 1 == a->glob_len || a->glob[g + 1] == '/');

	if (component && (s == a->path_len || a->path[s++] == '/'))
		return false;
	while (!was_tried(a, g, s)) {
		if (glob_matches(a, g + 1, s))
			return true;
		if (s == a->path_len || a->path[s++] == '/')
			return false;
	}
	return false;
}

/* Two stars at @g: any number of components, or at the end anything. */
static bool deep_matches(struct attempt *a, size_t g, size_t s)
{
	if (g + 2 == a->glob_len)
		return s < a->path_len;
	while (!was_tried(a, g, s)) {
		if (glob_matches(a, g + 3, s))
			return true;
		while (s < a->path_len && a->path[s] != '/')
			s++;
		if (s++ == a->path_len)
			return false;
	}
	return false;
}

static bool glob_matches(struct attempt *a, size_t g, size_t s)
{
	for (; g < a->glob_len; s++) {
		uint8_t c = a->glob[g++];

		a->steps++;
		if (c == '*' && g < a->glob_len && a->glob[g] == '*')
			return deep_matches(a, g - 1, s);
		if (c == '*')
			return star_matches(a, g - 1, s);
		if (s == a->path_len)
			return false;
		if (c == '?') {
			if (a->path[s] == '/')
				return false;
		} else if (c == '[') {
			if (!in_brackets(a, &g, a->path[s]))
				return false;
		} else {
			if (c == '\\')
				c = a->glob[g++];
			if (a->path[s] != c)
				return false;
		}
	}
	return s == a->path_len;
}

static bool is_below(const struct path_pattern *p, const uint8_t *path, size_t len)
{
	if (p->len == 1)
		return len && path[0] == '/';
	return len >= p->len && !memcmp(path, p->text, p->len) && (len == p->len || path[p->len] == '/');
}

bool path_matches(const struct path_pattern *p, const uint8_t *path, size_t len, uint64_t *steps)
{
	struct attempt a = {.glob = p->text, .glob_len = p->len, .path = path, .path_len = len};
	size_t dir = p->len == 1 ? 1 : p->len + 1; /* with its slash */
	bool matches;

	++*steps;
	switch (p->kind) {
	case PATH_EXACT:
		return len == p->len && !memcmp(path, p->text, len);
	case PATH_PREFIX:
		return len >= p->len && !memcmp(path, p->text, p->len);
	case PATH_SUFFIX:
		return len >= p->len && !memcmp(path + len - p->len, p->text, p->len);
	case PATH_BELOW:
		return is_below(p, path, len);
	case PATH_CHILDREN:
		return len > dir && is_below(p, path, len) && !memchr(path + dir, '/', len - dir);
	default:
		matches = glob_matches(&a, 0, 0);
		free(a.tried);
		*steps += a.steps;
		return matches;
	}
}
