// SPDX-License-Identifier: Apache-2.0
/* Compiled patterns against the plain evaluation of their text, on paths that sit at the patterns' corners.
 */
#include <string.h>

#include "policyd/path/path.h"
#include "proto/abi/lookup/paths.h"
#include "proto/base/cleanup.h"

#define SHORT 12 /* bytes that are made up at a time */

/* Of the plain evaluation, in all. */
#define STEPS_MAX ((uint64_t)200000000)

/* xorshift64*: the paths are the same for the same seed. */
static uint64_t draw(uint64_t *state)
{
	*state ^= *state >> 12;
	*state ^= *state << 25;
	*state ^= *state >> 27;
	return *state * 0x2545f4914f6cdd1d;
}

static uint32_t below(uint64_t *state, size_t n)
{
	return (uint32_t)(draw(state) >> 33) % (uint32_t)n;
}

struct path {
	uint8_t *bytes;
	size_t len;
};

static void add(struct path *p, const void *bytes, size_t n)
{
	n = PST_MIN(n, PST_PATH_MAX - p->len);
	memcpy(p->bytes + p->len, bytes, n);
	p->len += n;
}

static uint8_t byte(uint64_t *state)
{
	static const uint8_t usual[] = "aabbcxyz.-_*?[]\\\n 0123456789\x80\xff";

	return below(state, 4) ? usual[below(state, sizeof(usual) - 1)] : (uint8_t)(1 + below(state, 255));
}

/* Up to so many bytes, of one component. */
static void add_name(uint64_t *state, struct path *p, uint32_t most)
{
	for (uint32_t n = below(state, most + 1); n; n--) {
		uint8_t b = byte(state);

		add(p, b == '/' ? (const uint8_t *)"a" : &b, 1);
	}
}

static void add_components(uint64_t *state, struct path *p)
{
	for (uint32_t n = below(state, 4); n; n--) {
		add_name(state, p, SHORT);
		add(p, "a/", 2);
	}
}

/* A byte of the brackets behind @g, by chance, or of none; returns where they end. */
static size_t add_of_brackets(uint64_t *state, struct path *p, const struct path_pattern *pattern, size_t g)
{
	size_t first = g + (pattern->text[g] == '!'), end = first;

	while (pattern->text[end] != ']' || end == first)
		end += 1 + (pattern->text[end] == '\\');
	if (below(state, 4))
		add(p, pattern->text + first + below(state, end - first), 1);
	else
		add_name(state, p, 1);
	return end + 1;
}

/* A path that the pattern probably matches: its text, with something in place of what stands for others. */
static void add_match(uint64_t *state, struct path *p, const struct path_pattern *pattern)
{
	const uint8_t *text = pattern->text;
	size_t g = 0;

	if (pattern->kind != PATH_GLOB)
		add(p, text, pattern->len);
	while (pattern->kind == PATH_GLOB && g < pattern->len) {
		uint8_t c = text[g++];

		if (c == '*' && g < pattern->len && text[g] == '*') {
			add_components(state, p);
			g += 2;
		} else if (c == '*') {
			add_name(state, p, SHORT);
		} else if (c == '?') {
			add_name(state, p, 1);
		} else if (c == '[') {
			g = add_of_brackets(state, p, pattern, g);
		} else {
			g += c == '\\';
			add(p, text + g - 1, 1);
		}
	}
}

/* Something before or behind, as the kind asks for; or what just no longer matches. */
static void make(uint64_t *state, struct path *p, const struct path_pattern *a, const struct path_pattern *b)
{
	if (a->kind == PATH_SUFFIX) {
		add(p, "/", 1);
		add_components(state, p);
		add_name(state, p, SHORT);
	}
	add_match(state, p, a);
	switch (below(state, 8)) {
	case 0:
		add_name(state, p, SHORT);
		break;
	case 1:
		add(p, "/", 1);
		add_name(state, p, SHORT);
		break;
	case 2:
		add(p, "/", 1);
		add_components(state, p);
		add_name(state, p, SHORT);
		break;
	case 3:
		p->len = p->len ? below(state, p->len) : 0;
		break;
	case 4:
		p->len = p->len ? below(state, p->len) : 0;
		add_match(state, p, b);
		break;
	case 5:
		if (p->len > 1)
			p->bytes[1 + below(state, p->len - 1)] = byte(state);
		break;
	case 6:
		add_match(state, p, b);
		break;
	default:
		break;
	}
}

size_t path_sample(const struct path_set *set, uint64_t *state, uint8_t ret_path[PST_PATH_MAX])
{
	struct path p = {.bytes = ret_path};

	if (!set->n || !below(state, 16)) {
		add(&p, "/", 1);
		add_components(state, &p);
		add_name(state, &p, SHORT);
	} else {
		const struct path_pattern *a = &set->v[below(state, set->n)];

		make(state, &p, a, &set->v[below(state, set->n)]);
	}
	if (p.len)
		p.bytes[0] = '/';
	return p.len;
}

/*
 * Every class of the path names patterns of its automaton that match, and together they name all that match.
 * True also when there are too many steps to tell.
 */
static bool agrees(const struct path_set *set, const struct path_compiled *compiled,
	const uint32_t classes[PST_PATHS_AUTOMATA], const uint8_t *path, size_t len, uint64_t *steps)
{
	size_t found = 0, matching = 0;

	for (uint32_t a = 0; a < compiled->n; a++) {
		struct path_class of = path_class(compiled, a, classes[a]);

		if (classes[a] && !of.n)
			return false;
		for (size_t i = 0; i < of.n && *steps < STEPS_MAX; i++)
			if (!path_matches(&set->v[of.patterns[i]], path, len, steps))
				return false;
		found += of.n;
	}
	for (uint32_t i = 0; i < set->n && *steps < STEPS_MAX; i++)
		matching += path_matches(&set->v[i], path, len, steps);
	return found == matching || *steps >= STEPS_MAX;
}

bool path_verify(const struct path_set *set, const struct path_compiled *compiled,
	const union pst_line *lines, uint32_t n_lines, size_t *n, uint64_t seed,
	uint8_t ret_path[PST_PATH_MAX], size_t *ret_len)
{
	uint32_t classes[PST_PATHS_AUTOMATA];
	uint64_t state = seed | 1, steps = 0;

	for (size_t i = 0; i < *n; i++) {
		*ret_len = path_sample(set, &state, ret_path);
		path_lookup(lines, n_lines, ret_path, *ret_len, classes);
		if (!agrees(set, compiled, classes, ret_path, *ret_len, &steps))
			return false;
		if (steps >= STEPS_MAX)
			*n = i;
	}
	return true;
}
