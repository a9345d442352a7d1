// SPDX-License-Identifier: Apache-2.0
/*
 * Which patterns go into one automaton. Literals do, as many as there are: they make a tree. Of globs that do
 * not fit together those that go on beside all others are parted from the rest, and of either as many as fit
 * are put together, until there are too many automata.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "policyd/fw/tree.h"
#include "policyd/path/dfa.h"
#include "proto/abi/lookup/paths.h"
#include "proto/base/cleanup.h"

/* What hostile patterns may cost: about a second in all. */
#define WORK_LITERALS ((uint64_t)32 << 20)
#define WORK_GLOBS    ((uint64_t)24 << 20)
#define WORK_GROUP    ((uint64_t)4 << 20)
/* States of one automaton of globs, beside one for each token: what grows with the text may, what multiplies
 * may not. */
#define STATES_GROUP 4096

struct path_classes {
	struct path_lists lists;
};

/* A pattern to be placed: its tokens. */
struct item {
	uint32_t first, n;
	uint32_t pattern;
	enum path_shape shape;
};

struct compiler {
	const struct path_set *set;
	struct path_tokens tokens;
	struct item *items; /* by shape, then by text */
	uint32_t *firsts;
	struct fw_arena arena;
	struct pst_paths_head head;
	struct path_compiled made;
	uint64_t work; /* left for globs */
	uint32_t refused;
};

static void compiler_done(struct compiler *c)
{
	path_tokens_done(&c->tokens);
	free(c->items);
	free(c->firsts);
	path_compiled_done(&c->made);
}

void path_compiled_done(struct path_compiled *m)
{
	for (uint32_t i = 0; i < m->n; i++) {
		path_lists_done(&m->automata[i]->lists);
		free(m->automata[i]);
	}
	memset(m, 0, sizeof(*m));
}

struct path_class path_class(const struct path_compiled *m, uint32_t automaton, uint32_t class)
{
	struct path_class of = {0};

	if (automaton < m->n && class < m->automata[automaton]->lists.n)
		of.patterns = path_list(&m->automata[automaton]->lists, class, &of.n);
	return of;
}

uint32_t path_class_count(const struct path_compiled *m, uint32_t automaton)
{
	return automaton < m->n ? m->automata[automaton]->lists.n : 0;
}

/* ---- one automaton ---- */

/* Its lines and classes; what it is is put into the head. */
static int place(struct compiler *c, struct path_dfa *dfa, bool backward)
{
	struct path_classes *classes;
	uint32_t n = c->made.n;
	int e = path_dfa_emit(dfa, &c->arena, &c->head.root[n]);

	if (e)
		return e;
	classes = calloc(1, sizeof(*classes));
	if (!classes)
		return -ENOMEM;
	classes->lists = dfa->classes;
	memset(&dfa->classes, 0, sizeof(dfa->classes));
	c->made.automata[n] = classes;
	c->made.n = c->head.n = n + 1;
	c->made.states += dfa->n;
	c->head.backward |= (uint32_t)backward << n;
	return 0;
}

static int try_group(struct compiler *c, const struct item *v, uint32_t n, struct path_budget *budget)
{
	PST_CLEANUP(path_dfa_done) struct path_dfa dfa = {0};
	int e;

	if (c->made.n == PST_PATHS_AUTOMATA)
		return -ENFILE;
	for (uint32_t i = 0; i < n; i++)
		c->firsts[i] = v[i].first;
	e = path_dfa_build(&c->tokens, c->firsts, n, budget, &dfa);
	return e ? e : place(c, &dfa, v->shape == PATH_BACKWARD);
}

static int place_literals(struct compiler *c, const struct item *v, uint32_t n)
{
	struct path_budget budget = {.work = WORK_LITERALS, .states = UINT32_MAX};
	int e = n ? try_group(c, v, n, &budget) : 0;

	if (e)
		c->refused = v->pattern;
	return e;
}

/* So many globs as one automaton. -E2BIG: fewer may do. */
static int try_globs(struct compiler *c, const struct item *v, uint32_t n)
{
	uint64_t work = PST_MIN(c->work, WORK_GROUP);
	struct path_budget budget = {.work = work, .states = STATES_GROUP};
	int e;

	for (uint32_t i = 0; i < n; i++)
		budget.states += v[i].n;
	e = try_group(c, v, n, &budget);
	c->work -= work - budget.work;
	if (e)
		c->refused = v->pattern;
	return e;
}

/* Globs that are too many for one automaton: half of them, and so on; then the next may be a few more. */
static int pack_globs(struct compiler *c, const struct item *v, uint32_t n)
{
	uint32_t many = n;
	bool has_fitted = false;

	while (n) {
		int e;

		many = PST_MIN(many, n);
		e = try_globs(c, v, many);
		if (e == -E2BIG && many > 1 && c->work) {
			many = has_fitted ? many * 4 / 5 : many / 2;
			continue;
		}
		if (e)
			return e;
		v += many;
		n -= many;
		many += (many + 3) / 4;
		has_fitted = true;
	}
	return 0;
}

/* The @n_plain first ones are not PATH_WILD. */
static int place_globs(struct compiler *c, const struct item *v, uint32_t n_plain, uint32_t n_wild)
{
	int e = n_plain && n_wild ? try_globs(c, v, n_plain + n_wild) : -E2BIG;

	if (e != -E2BIG)
		return e;
	e = pack_globs(c, v, n_plain);
	return e ? e : pack_globs(c, v + n_plain, n_wild);
}

/* ---- all ---- */

static int by_shape(const void *a, const void *b, void *arg)
{
	const struct path_set *set = arg;
	const struct item *x = a, *y = b;
	const struct path_pattern *p = &set->v[x->pattern], *q = &set->v[y->pattern];
	int order;

	if (x->shape != y->shape)
		return x->shape < y->shape ? -1 : 1;
	order = memcmp(p->text, q->text, PST_MIN(p->len, q->len));
	if (order)
		return order;
	return p->len != q->len ? (p->len < q->len ? -1 : 1) : x->pattern < y->pattern ? -1 : 1;
}

static int read_patterns(struct compiler *c)
{
	struct path_error error;

	c->items = calloc(c->set->n + 1, sizeof(*c->items));
	c->firsts = calloc(c->set->n + 1, sizeof(*c->firsts));
	if (!c->items || !c->firsts)
		return -ENOMEM;
	for (uint32_t i = 0; i < c->set->n; i++) {
		uint32_t first = c->tokens.n;
		int e = path_tokens_add(&c->tokens, &c->set->v[i], i, &error);

		c->refused = i;
		if (e)
			return e;
		c->items[i].shape = path_tokens_shape(&c->tokens, first, c->set->v[i].kind);
		c->items[i].first = first;
		c->items[i].n = c->tokens.n - first;
		c->items[i].pattern = i;
	}
	qsort_r(c->items, c->set->n, sizeof(*c->items), by_shape, (void *)c->set);
	return 0;
}

static int compile(struct compiler *c)
{
	uint32_t from[PATH_SHAPES + 1] = {0}, at = 0, line;
	int e = read_patterns(c);

	for (uint32_t shape = 0; shape < PATH_SHAPES; shape++) {
		from[shape] = at;
		while (!e && at < c->set->n && c->items[at].shape == shape)
			at++;
	}
	e = e ? e : fw_arena_take(&c->arena, sizeof(c->head) / sizeof(union pst_line), &line);
	e = e ? e : place_literals(c, c->items, from[PATH_BACKWARD]);
	e = e ? e : place_literals(c, c->items + from[PATH_BACKWARD], from[PATH_PLAIN] - from[PATH_BACKWARD]);
	return e ? e
		 : place_globs(c, c->items + from[PATH_PLAIN], from[PATH_WILD] - from[PATH_PLAIN],
			   at - from[PATH_WILD]);
}

int path_compile(const struct path_set *set, union pst_line *lines, uint32_t n_lines,
	struct path_compiled *ret_compiled, uint32_t *ret_refused)
{
	PST_CLEANUP(compiler_done)
	struct compiler c = {.set = set, .arena = {.lines = lines, .size = n_lines}, .work = WORK_GLOBS};
	int e = compile(&c);

	if (e) {
		*ret_refused = c.refused;
		return e == -ENFILE ? -E2BIG : e;
	}
	memcpy(lines, &c.head, sizeof(c.head));
	c.made.lines = c.arena.used;
	*ret_compiled = c.made;
	memset(&c.made, 0, sizeof(c.made));
	return 0;
}
