// SPDX-License-Identifier: Apache-2.0
/* Patterns from their text. What no path of the kernel can match is refused: somebody meant something else.
 */
#include "policyd/path/tokens.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define GROW_FIRST 64

void path_tokens_done(struct path_tokens *t)
{
	free(t->v);
	free(t->sets);
	memset(t, 0, sizeof(*t));
}

/* Where in a pattern the reader is, and what it makes. */
struct reader {
	struct path_tokens *tokens;
	const uint8_t *text;
	uint32_t len, at;
	uint32_t pattern;
	uint32_t component; /* its first token */
	struct path_error *error;
};

static int refuse(struct reader *r, size_t at, const char *what)
{
	*r->error = (struct path_error){.what = what, .at = at};
	return -EINVAL;
}

static int no_memory(struct reader *r)
{
	*r->error = (struct path_error){.what = "out of memory", .at = r->at};
	return -ENOMEM;
}

static int put(struct reader *r, enum path_token_type type, uint32_t arg)
{
	struct path_tokens *t = r->tokens;

	if (t->n == t->size) {
		uint32_t size = t->size ? t->size * 2 : GROW_FIRST;
		struct path_token *v = reallocarray(t->v, size, sizeof(*v));

		if (!v)
			return no_memory(r);
		t->v = v;
		t->size = size;
	}
	t->v[t->n++] = (struct path_token){.type = type, .pattern = r->pattern, .arg = arg};
	if (type == PATH_LITERAL && arg == '/')
		r->component = t->n;
	return 0;
}

static int put_set(struct reader *r, const struct path_bytes *set)
{
	struct path_tokens *t = r->tokens;

	if (t->n_sets == t->sets_size) {
		uint32_t size = t->sets_size ? t->sets_size * 2 : GROW_FIRST;
		struct path_bytes *sets = reallocarray(t->sets, size, sizeof(*sets));

		if (!sets)
			return no_memory(r);
		t->sets = sets;
		t->sets_size = size;
	}
	t->sets[t->n_sets++] = *set;
	return put(r, PATH_SET, t->n_sets - 1);
}

static int put_literals(struct reader *r, const uint8_t *bytes, uint32_t n)
{
	int e = 0;

	for (uint32_t i = 0; i < n && !e; i++)
		e = put(r, PATH_LITERAL, bytes[i]);
	return e;
}

/* ---- what no path of the kernel has ---- */

/* "//", "/./" and "/../", also at the end of whole paths (@ends). */
static int check_components(struct reader *r, bool ends)
{
	const uint8_t *s = r->text;

	for (uint32_t i = 0; i < r->len; i++) {
		uint32_t dots = 0, next;

		if (s[i] != '/')
			continue;
		while (dots < 3 && i + 1 + dots < r->len && s[i + 1 + dots] == '.')
			dots++;
		next = i + 1 + dots;
		if (next < r->len ? s[next] != '/' || dots > 2 : !ends || dots > 2 || r->len == 1)
			continue;
		return refuse(r, i,
			dots            ? "no path has a component '.' or '..'"
			: next < r->len ? "no path has two slashes in a row"
					: "no path ends with a slash");
	}
	return 0;
}

static int check(struct reader *r, enum path_kind kind)
{
	const uint8_t *nul = memchr(r->text, 0, r->len);

	if (!r->len)
		return refuse(r, 0, "empty");
	if (r->len > PST_PATH_MAX)
		return refuse(r, PST_PATH_MAX, "longer than a path can be");
	if (nul)
		return refuse(r, (size_t)(nul - r->text), "no path has a NUL byte");
	if (kind != PATH_SUFFIX && r->text[0] != '/')
		return refuse(r, 0, "expected a path that begins with a slash");
	if (kind == PATH_SUFFIX && r->len == 1 && r->text[0] == '/')
		return refuse(r, 0, "no path but / ends with a slash");
	return check_components(r, kind != PATH_PREFIX);
}

/* ---- globs ---- */

static bool at_end_of_component(const struct reader *r, uint32_t at)
{
	return at >= r->len || r->text[at] == '/';
}

/* The byte at @r->at, which a backslash may stand before. */
static int read_byte(struct reader *r, uint32_t *ret_byte)
{
	if (r->text[r->at] == '\\' && ++r->at == r->len)
		return refuse(r, r->at - 1, "expected a byte after the backslash");
	*ret_byte = r->text[r->at++];
	return 0;
}

/* A byte or a range of them. */
static int read_range(struct reader *r, struct path_bytes *set)
{
	uint32_t at = r->at, lo, hi;
	int e = read_byte(r, &lo);

	if (e)
		return e;
	hi = lo;
	if (r->at + 1 < r->len && r->text[r->at] == '-' && r->text[r->at + 1] != ']') {
		r->at++;
		e = read_byte(r, &hi);
		if (e)
			return e;
	}
	if (lo == '/' || hi == '/')
		return refuse(r, at, "a slash cannot be in brackets");
	if (lo > hi)
		return refuse(r, at, "the range ends before it begins");
	for (uint32_t b = lo; b <= hi; b++)
		set->has[b / 64] |= 1ULL << b % 64;
	return 0;
}

/* Behind the bracket at @open. */
static int read_set(struct reader *r, uint32_t open)
{
	struct path_bytes set = {0};
	bool other = r->at < r->len && r->text[r->at] == '!';
	uint32_t first;
	int e = 0;

	r->at += other;
	first = r->at;
	while (!e && r->at < r->len && (r->text[r->at] != ']' || r->at == first))
		e = read_range(r, &set);
	if (e)
		return e;
	if (r->at >= r->len)
		return refuse(r, open, "expected a ] behind this bracket");
	r->at++;
	for (int i = 0; other && i < 4; i++)
		set.has[i] = ~set.has[i];
	set.has[0] &= ~(1ULL << '/' | 1); /* bytes that no name has, which a range may go over */
	if (!(set.has[0] | set.has[1] | set.has[2] | set.has[3]))
		return refuse(r, open, "no byte is in these brackets");
	return put_set(r, &set);
}

static int read_stars(struct reader *r)
{
	uint32_t open = r->at;
	bool starts = open && r->text[open - 1] == '/' && r->component == r->tokens->n;
	int e = 0;

	while (r->at < r->len && r->text[r->at] == '*')
		r->at++;
	if (r->at - open == 1) {
		if (starts && at_end_of_component(r, r->at))
			e = put(r, PATH_ANY, 0);
		return e ? e : put(r, PATH_STAR, r->component);
	}
	if (r->at - open > 2 || !starts || !at_end_of_component(r, r->at))
		return refuse(r, open, "** is a component of its own: nothing is beside it");
	if (r->at == r->len)
		return put(r, PATH_REST, 0);
	r->at++; /* PATH_DEEP is with the slash behind it */
	if (r->tokens->v[r->tokens->n - 1].type != PATH_DEEP)
		e = put(r, PATH_DEEP, 0);
	r->component = r->tokens->n;
	return e;
}

static int read_glob(struct reader *r)
{
	uint32_t byte;
	int e = 0;

	while (r->at < r->len && !e) {
		switch (r->text[r->at]) {
		case '*':
			e = read_stars(r);
			break;
		case '?':
			r->at++;
			e = put(r, PATH_ANY, 0);
			break;
		case '[':
			r->at++;
			e = read_set(r, r->at - 1);
			break;
		default:
			e = read_byte(r, &byte);
			e = e ? e : put(r, PATH_LITERAL, byte);
		}
	}
	if (!e && r->tokens->v[r->tokens->n - 1].type != PATH_REST)
		return put(r, PATH_STOP, 0);
	return e ? e : put(r, PATH_ALL, 0);
}

static int read(struct reader *r, enum path_kind kind)
{
	bool root = r->len == 1;
	int e;

	if (kind == PATH_GLOB)
		return read_glob(r);
	e = put_literals(r, r->text, r->len);
	if (e)
		return e;
	switch (kind) {
	case PATH_CHILDREN:
		e = root ? 0 : put(r, PATH_LITERAL, '/');
		e = e ? e : put(r, PATH_ANY, 0);
		e = e ? e : put(r, PATH_STAR, r->component);
		return e ? e : put(r, PATH_STOP, 0);
	case PATH_BELOW:
		e = root ? 0 : put(r, PATH_INSIDE, 0);
		return e ? e : put(r, PATH_ALL, 0);
	case PATH_PREFIX:
	case PATH_SUFFIX:
		return put(r, PATH_ALL, 0);
	default:
		return put(r, PATH_STOP, 0);
	}
}

int path_tokens_add(struct path_tokens *tokens, const struct path_pattern *pattern, uint32_t number,
	struct path_error *ret_error)
{
	struct reader r = {.tokens = tokens,
		.text = pattern->text,
		.len = pattern->len,
		.pattern = number,
		.component = tokens->n,
		.error = ret_error};
	uint32_t n = tokens->n, n_sets = tokens->n_sets;
	int e = check(&r, pattern->kind);

	e = e ? e : read(&r, pattern->kind);
	if (e) {
		tokens->n = n;
		tokens->n_sets = n_sets;
	}
	return e;
}

/* ---- shapes ---- */

/* The @n literals from @from on, turned round, from @to on; then anything. */
static void turn(struct path_token *v, uint32_t *ret_n, uint32_t from, uint32_t n)
{
	for (uint32_t i = 0; i < n / 2; i++) {
		struct path_token t = v[from + i];

		v[from + i] = v[from + n - 1 - i];
		v[from + n - 1 - i] = t;
	}
	memmove(v, v + from, n * sizeof(*v));
	v[n] = (struct path_token){.type = PATH_ALL, .pattern = v[0].pattern};
	*ret_n = n + 1;
}

static uint32_t count_literals(const struct path_token *v, uint32_t n)
{
	uint32_t i = 0;

	while (i < n && v[i].type == PATH_LITERAL)
		i++;
	return i;
}

/*
 * A slash, PATH_DEEP and literals are the suffix of that slash and the literals; with a star between them, of
 * the literals alone. How many literals, from *ret_from on; 0: it is neither.
 */
static uint32_t suffix_literals(struct path_token *v, uint32_t n, uint32_t *ret_from)
{
	uint32_t from = 2, literals;
	bool star;

	if (n < 4 || v[0].type != PATH_LITERAL || v[1].type != PATH_DEEP || v[n - 1].type != PATH_STOP)
		return 0;
	star = v[2].type == PATH_STAR;
	from += star;
	literals = count_literals(v + from, n - from);
	if (!literals || from + literals != n - 1)
		return 0;
	if (star) {
		*ret_from = from;
		return v[from].arg == '/' ? 0 : literals; /* that slash is not the first one */
	}
	v[1] = v[0];
	*ret_from = 1;
	return literals + 1;
}

enum path_shape path_tokens_shape(struct path_tokens *tokens, uint32_t first, enum path_kind kind)
{
	struct path_token *v = tokens->v + first;
	uint32_t n = tokens->n - first, literals = count_literals(v, n), from = 0, kept;

	if (kind == PATH_SUFFIX || (kind == PATH_GLOB && literals < n - 1)) {
		literals = kind == PATH_SUFFIX ? literals : suffix_literals(v, n, &from);
		if (literals) {
			turn(v, &kept, from, literals);
			tokens->n = first + kept;
			return PATH_BACKWARD;
		}
	}
	if (kind != PATH_GLOB)
		return PATH_FORWARD;
	literals = count_literals(v, n);
	if (literals == n - 1 || v[literals].type == PATH_REST)
		return PATH_FORWARD;
	for (uint32_t i = 0; i < n; i++)
		if (v[i].type == PATH_DEEP)
			return PATH_WILD;
	return PATH_PLAIN;
}
