// SPDX-License-Identifier: Apache-2.0
#include "policyd/path/dfa.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "proto/base/cleanup.h"

#define GROW_FIRST 256
#define STATES_MAX (1u << (32 - PATH_KEY_STATE))

/* Tokens, in order but for a few. */
struct tokens {
	uint32_t *v;
	uint32_t n, size;
};

struct builder {
	const struct path_tokens *tokens;
	struct path_budget *budget;
	struct path_dfa *dfa;
	struct path_lists sets; /* of tokens; the number of a set is that of its state */
	/* where the tokens of one state lead: with any byte but the slash, with the slash, with one byte */
	struct tokens other, slash, by_byte[256];
	uint64_t touched[4]; /* bytes with a list */
	struct tokens set;
	struct tokens here; /* of the state */
};

static void builder_done(struct builder *b)
{
	path_lists_done(&b->sets);
	free(b->other.v);
	free(b->slash.v);
	free(b->set.v);
	free(b->here.v);
	for (int i = 0; i < 256; i++)
		free(b->by_byte[i].v);
}

void path_dfa_done(struct path_dfa *d)
{
	free(d->states);
	free(d->keys);
	path_lists_done(&d->classes);
	memset(d, 0, sizeof(*d));
}

static int reserve(struct tokens *t, uint32_t n)
{
	uint32_t size = t->size ? t->size : GROW_FIRST;
	uint32_t *v;

	while (size < n)
		size *= 2;
	if (size == t->size)
		return 0;
	v = reallocarray(t->v, size, sizeof(*v));
	if (!v)
		return -ENOMEM;
	t->v = v;
	t->size = size;
	return 0;
}

static int put(struct builder *b, struct tokens *t, uint32_t token)
{
	if (!b->budget->work)
		return -E2BIG;
	b->budget->work--;
	if (t->n == t->size && reserve(t, t->n + 1))
		return -ENOMEM;
	t->v[t->n++] = token;
	return 0;
}

/* A token, and those behind it that a match can be before without another byte. */
static int enter(struct builder *b, struct tokens *t, uint32_t token)
{
	enum path_token_type type;
	int e;

	do {
		type = (enum path_token_type)b->tokens->v[token].type;
		e = put(b, t, token++);
	} while (!e && (type == PATH_STAR || type == PATH_DEEP));
	return e;
}

static int enter_by(struct builder *b, uint32_t byte, uint32_t token)
{
	b->touched[byte / 64] |= 1ULL << byte % 64;
	return enter(b, &b->by_byte[byte], token);
}

static int enter_by_set(struct builder *b, const struct path_bytes *set, uint32_t token)
{
	int e = 0;

	for (uint32_t w = 0; w < 4; w++)
		for (uint64_t bits = set->has[w]; bits && !e; bits &= bits - 1)
			e = enter_by(b, w * 64 + (uint32_t)__builtin_ctzll(bits), token);
	return e;
}

/* Where a match before this token goes on. */
static int leave(struct builder *b, uint32_t token)
{
	const struct path_token *t = &b->tokens->v[token];
	int e;

	switch ((enum path_token_type)t->type) {
	case PATH_LITERAL:
		return enter_by(b, t->arg, token + 1);
	case PATH_SET:
		return enter_by_set(b, &b->tokens->sets[t->arg], token + 1);
	case PATH_ANY:
		return enter(b, &b->other, token + 1);
	case PATH_STAR:
		return enter(b, &b->other, token);
	case PATH_DEEP: /* what is behind it begins behind a slash */
		e = put(b, &b->other, token);
		return e ? e : enter(b, &b->slash, token);
	case PATH_INSIDE:
		return put(b, &b->slash, token + 1);
	case PATH_REST:
		token++;
		break;
	case PATH_ALL:
		break;
	default:
		return 0;
	}
	e = put(b, &b->other, token);
	return e ? e : put(b, &b->slash, token);
}

/* ---- sets ---- */

/* Tokens were put in the order of those that they are behind: nearly sorted. */
static void sort(struct tokens *t)
{
	for (uint32_t i = 1; i < t->n; i++) {
		uint32_t token = t->v[i], at = i;

		for (; at && t->v[at - 1] > token; at--)
			t->v[at] = t->v[at - 1];
		t->v[at] = token;
	}
}

/*
 * From which token of its pattern on, up to @token, which is in the set, nothing more is said: whoever is
 * before anything, or before any number of components, matches all that an earlier one would; a star
 * matches all that an earlier one within its component would.
 */
static uint32_t covers_from(const struct path_tokens *tokens, uint32_t token)
{
	const struct path_token *t = &tokens->v[token];

	switch ((enum path_token_type)t->type) {
	case PATH_ALL:
	case PATH_REST:
	case PATH_DEEP:
		return 0;
	case PATH_STAR:
		return t->arg;
	default:
		return token;
	}
}

/* Takes out what is there twice, and what later tokens of the pattern cover. */
static void prune(const struct path_tokens *tokens, struct tokens *t)
{
	uint32_t kept = t->n, pattern = UINT32_MAX, from = 0;

	for (uint32_t i = t->n; i--;) {
		uint32_t token = t->v[i], p = tokens->v[token].pattern;

		if (p == pattern && token >= from)
			continue;
		from = covers_from(tokens, token);
		pattern = p;
		t->v[--kept] = token;
	}
	memmove(t->v, t->v + kept, (t->n - kept) * sizeof(*t->v));
	t->n -= kept;
}

static int merge(struct builder *b, const struct tokens *x, const struct tokens *y)
{
	uint32_t i = 0, k = 0;

	b->set.n = 0;
	while (i < x->n || k < y->n) {
		bool first = k == y->n || (i < x->n && x->v[i] <= y->v[k]);
		int e = put(b, &b->set, first ? x->v[i++] : y->v[k++]);

		if (e)
			return e;
	}
	prune(b->tokens, &b->set);
	return 0;
}

/* The class of a path that ends before these tokens. */
static int class_of(struct builder *b, const struct tokens *t, uint32_t *ret_class)
{
	b->set.n = 0;
	for (uint32_t i = 0; i < t->n; i++) {
		const struct path_token *token = &b->tokens->v[t->v[i]];
		int e;

		if (token->type != PATH_ALL && token->type != PATH_STOP && token->type != PATH_INSIDE)
			continue;
		e = put(b, &b->set, token->pattern);
		if (e)
			return e;
	}
	return path_lists_put(&b->dfa->classes, b->set.v, b->set.n, ret_class);
}

/* ---- states ---- */

static int state_of(struct builder *b, const struct tokens *x, const struct tokens *y, uint32_t *ret_state)
{
	int e = merge(b, x, y);

	e = e ? e : path_lists_put(&b->sets, b->set.v, b->set.n, ret_state);
	return e ? e : b->sets.n > PST_MIN(b->budget->states, STATES_MAX) ? -E2BIG : 0;
}

static int add_key(struct path_dfa *d, uint32_t byte, uint32_t to)
{
	if (d->n_keys == d->keys_size) {
		uint32_t size = d->keys_size ? d->keys_size * 2 : GROW_FIRST;
		uint32_t *keys = reallocarray(d->keys, size, sizeof(*keys));

		if (!keys)
			return -ENOMEM;
		d->keys = keys;
		d->keys_size = size;
	}
	d->keys[d->n_keys++] = to << PATH_KEY_STATE | byte;
	return 0;
}

static int add_byte(struct builder *b, struct path_state *s, uint32_t byte)
{
	struct tokens *own = &b->by_byte[byte];
	uint32_t to;
	int e;

	sort(own);
	e = state_of(b, byte == '/' ? &b->slash : &b->other, own, &to);
	own->n = 0;
	if (e || to == s->other)
		return e;
	s->n_keys++;
	return add_key(b->dfa, byte, to);
}

/* What the state's tokens lead to. */
static int fill(struct builder *b, struct path_state *s)
{
	static const struct tokens none;
	int e = 0;

	b->other.n = b->slash.n = 0;
	memset(b->touched, 0, sizeof(b->touched));
	for (uint32_t i = 0; i < b->here.n && !e; i++)
		e = leave(b, b->here.v[i]);
	sort(&b->other);
	sort(&b->slash);
	b->touched['/' / 64] |= 1ULL << '/' % 64;
	e = e ? e : class_of(b, &b->here, &s->class);
	e = e ? e : state_of(b, &b->other, &none, &s->other);
	for (uint32_t w = 0; w < 4; w++)
		for (uint64_t bits = b->touched[w]; bits && !e; bits &= bits - 1)
			e = add_byte(b, s, w * 64 + (uint32_t)__builtin_ctzll(bits));
	return e;
}

static int add_state(struct builder *b)
{
	struct path_dfa *d = b->dfa;
	struct path_state s = {.first_key = d->n_keys};
	const uint32_t *v;
	size_t n;
	int e;

	if (d->n == d->size) {
		uint32_t size = d->size ? d->size * 2 : GROW_FIRST;
		struct path_state *states = reallocarray(d->states, size, sizeof(*states));

		if (!states)
			return -ENOMEM;
		d->states = states;
		d->size = size;
	}
	v = path_list(&b->sets, d->n, &n);
	if (reserve(&b->here, (uint32_t)n + 1))
		return -ENOMEM;
	if (n)
		memcpy(b->here.v, v, n * sizeof(*v));
	b->here.n = (uint32_t)n;
	e = fill(b, &s);
	d->states[d->n++] = s;
	return e;
}

static int by_number(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return x < y ? -1 : x > y;
}

static int build(struct builder *b, const uint32_t *firsts, uint32_t n)
{
	static const struct tokens none;
	int e = path_lists_init(&b->sets);

	e = e ? e : path_lists_init(&b->dfa->classes);
	b->other.n = 0;
	for (uint32_t i = 0; i < n && !e; i++)
		e = enter(b, &b->other, firsts[i]);
	if (b->other.n) /* these come in any order */
		qsort(b->other.v, b->other.n, sizeof(*b->other.v), by_number);
	e = e ? e : state_of(b, &b->other, &none, &b->dfa->root);
	while (!e && b->dfa->n < b->sets.n)
		e = add_state(b);
	path_lists_close(&b->dfa->classes);
	return e;
}

int path_dfa_build(const struct path_tokens *tokens, const uint32_t *firsts, uint32_t n,
	struct path_budget *budget, struct path_dfa *ret_dfa)
{
	PST_CLEANUP(path_dfa_done) struct path_dfa dfa = {0};
	PST_CLEANUP(builder_done) struct builder b = {.tokens = tokens, .budget = budget, .dfa = &dfa};
	int e = build(&b, firsts, n);

	if (e)
		return e;
	*ret_dfa = dfa;
	memset(&dfa, 0, sizeof(dfa));
	return 0;
}
