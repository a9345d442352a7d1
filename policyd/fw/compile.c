// SPDX-License-Identifier: Apache-2.0
/*
 * Rules into lines. Along each dimension the rules begin and end to match at edges; between two edges the
 * rules that match are one bit vector, of which each edge changes a few bits, so a few chunks. Chunks and
 * vectors that were there before are used again, so the table grows with the rules and not with their square.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "policyd/array.h"
#include "policyd/fw/fw.h"
#include "policyd/fw/intern.h"
#include "policyd/fw/intervals.h"
#include "policyd/fw/pairs.h"
#include "proto/base/cleanup.h"

/* At this key the rule begins to match, or ends to. */
struct edge {
	fw_key at;
	uint32_t rule;
};

#define CLASS_LINES_MAX 2

struct compiler {
	const struct fw_ruleset *set;
	struct fw_arena arena;
	struct fw_intern chunks, classes;
	struct fw_spans spans;
	struct edge *edges;
	size_t n_edges, edges_size;
	struct fw_interval *intervals;
	size_t n_intervals, intervals_size;
	uint32_t n_chunks, class_lines;
	/* the vector at the place of the sweep, as bits and as a class */
	union pst_line bits[PST_FW_CHUNKS_MAX];
	union pst_line class[CLASS_LINES_MAX];
	uint32_t dirty; /* chunks whose bits changed */
};

static_assert(PST_FW_RULES_MAX < 1 << (32 - PST_FW_NAME) && PST_FW_NAME_BYTES == sizeof(union pst_line),
	"each rule may have a name, a line");
static_assert((1 + PST_FW_CHUNKS_MAX) * sizeof(uint32_t) <= CLASS_LINES_MAX * sizeof(union pst_line),
	"a class fits");

static void compiler_done(struct compiler *c)
{
	fw_intern_done(&c->chunks);
	fw_intern_done(&c->classes);
	free(c->spans.v);
	free(c->edges);
	free(c->intervals);
}

static int add_edge(struct compiler *c, fw_key at, uint32_t rule)
{
	int e = array_room((void **)&c->edges, &c->edges_size, c->n_edges, sizeof(*c->edges));

	if (!e)
		c->edges[c->n_edges++] = (struct edge){at, rule};
	return e;
}

static void toggle(struct compiler *c, uint32_t rule)
{
	uint32_t chunk = rule / PST_FW_CHUNK_RULES, bit = rule % PST_FW_CHUNK_RULES;

	c->bits[chunk].u64[bit / 64] ^= 1ULL << bit % 64;
	c->dirty |= 1u << chunk;
}

/* The changed chunks into the class. */
static int update_class(struct compiler *c)
{
	uint32_t *words = c->class[0].u32;

	for (uint32_t chunk = 0; chunk < c->n_chunks; chunk++) {
		uint32_t line = 0, used = 0;
		int e;

		if (!(c->dirty >> chunk & 1))
			continue;
		for (int w = 0; w < 8; w++)
			used |= (uint32_t) !!c->bits[chunk].u64[w] << w;
		words[0] &= ~(1u << chunk);
		words[1 + chunk] = 0;
		if (!used)
			continue;
		e = fw_intern(&c->chunks, &c->arena, &c->bits[chunk], 1, &line);
		if (e)
			return e;
		if (line > PST_FW_REF_LINE)
			return -ENOSPC;
		words[0] |= 1u << chunk;
		words[1 + chunk] = line | used << PST_FW_REF_WORDS;
	}
	c->dirty = 0;
	return 0;
}

/* From @start on this class. */
static int add_class(struct compiler *c, fw_key start)
{
	uint32_t line;
	int e = update_class(c);

	e = e ? e : fw_intern(&c->classes, &c->arena, c->class, c->class_lines, &line);
	e = e ? e
	      : array_room((void **)&c->intervals, &c->intervals_size, c->n_intervals, sizeof(*c->intervals));
	if (!e)
		c->intervals[c->n_intervals++] = (struct fw_interval){.start = start, .value = line};
	return e;
}

static int by_key(const void *a, const void *b)
{
	const struct edge *x = a, *y = b;

	return x->at < y->at ? -1 : x->at > y->at;
}

/* Edges of all rules behind one root; those that match from the first key on are toggled at once. */
static int find_edges(struct compiler *c, enum pst_fw_dim dim, unsigned root)
{
	fw_key max = fw_dim_max(dim, root);

	c->n_edges = 0;
	memset(c->bits, 0, sizeof(c->bits));
	memset(c->class, 0, sizeof(c->class));
	for (uint32_t i = 0; i < c->set->n; i++) {
		int takes = fw_rule_takes(&c->set->rules[i], dim, root, &c->spans);

		if (takes < 0)
			return takes;
		if (takes == FW_TAKES_ALL)
			toggle(c, i);
		for (size_t k = 0; takes == FW_TAKES_SOME && k < c->spans.n; k++) {
			const struct fw_span *s = &c->spans.v[k];
			int e = add_edge(c, s->lo, i);

			if (!e && s->hi < max)
				e = add_edge(c, s->hi + 1, i);
			if (e)
				return e;
		}
	}
	c->dirty = ~0u;
	if (c->n_edges)
		qsort(c->edges, c->n_edges, sizeof(*c->edges), by_key);
	return 0;
}

static int compile_root(struct compiler *c, enum pst_fw_dim dim, unsigned root, uint32_t *ret_entry)
{
	int e = find_edges(c, dim, root);
	size_t i = 0;

	c->n_intervals = 0;
	for (; !e && i < c->n_edges && !c->edges[i].at; i++)
		toggle(c, c->edges[i].rule);
	e = e ? e : add_class(c, 0);
	while (!e && i < c->n_edges) {
		fw_key at = c->edges[i].at;

		for (; i < c->n_edges && c->edges[i].at == at; i++)
			toggle(c, c->edges[i].rule);
		e = add_class(c, at);
	}
	return e ? e
		 : fw_tree_build(
			   &c->arena, c->intervals, c->n_intervals, fw_dim_strides(dim, root), ret_entry);
}

static bool is_used(const struct fw_ruleset *set, enum pst_fw_dim dim, struct fw_spans *spans)
{
	for (size_t i = 0; i < set->n; i++)
		if (fw_rule_takes(&set->rules[i], dim, PST_FW_ROOTS - 1, spans) != FW_TAKES_ALL)
			return true;
	return false;
}

static int compile_dim(struct compiler *c, enum pst_fw_dim dim)
{
	union pst_line *line = &c->arena.lines[PST_FW_DIM_LINE + dim / PST_FW_DIMS_A_LINE];
	struct pst_fw_dim_head *head = (struct pst_fw_dim_head *)line + dim % PST_FW_DIMS_A_LINE;
	int e = 0;

	for (unsigned root = 0; root < PST_FW_ROOTS && !e; root++)
		e = compile_root(c, dim, root, &head->root[root]);
	return e;
}

static int put_entries(struct compiler *c, uint32_t *ret_line)
{
	const struct fw_ruleset *set = c->set;
	uint32_t lines = (uint32_t)(set->n / PST_FW_ENTRIES_A_LINE + 1);
	struct pst_fw_entry *entries;
	int e = fw_arena_take(&c->arena, lines, ret_line);

	if (e)
		return e;
	entries = (struct pst_fw_entry *)(c->arena.lines + *ret_line);
	for (size_t i = 0; i < set->n; i++) {
		const struct fw_rule *r = &set->rules[i];

		entries[i] = (struct pst_fw_entry){
			.action = r->action | (r->log ? PST_FW_LOG : 0) | (r->has_mark ? PST_FW_MARK : 0) |
				  (uint32_t)r->with << PST_FW_WITH | fw_pair_flags(r),
			.counter = r->counter,
			.mark = r->mark,
			.id = r->id,
		};
	}
	return 0;
}

/* Those of rules that log, for their records; the entries are there. */
static int put_names(struct compiler *c, const struct pst_fw_head *head, uint32_t *ret_line)
{
	struct pst_fw_entry *entries = (struct pst_fw_entry *)(c->arena.lines + head->rules);
	uint32_t n = 0;

	for (size_t i = 0; i < c->set->n; i++) {
		const struct fw_rule *r = &c->set->rules[i];
		uint32_t line;
		int e = r->log ? fw_arena_take(&c->arena, 1, &line) : 0;

		if (e)
			return e;
		if (!r->log)
			continue;
		if (!n)
			*ret_line = line;
		entries[i].action |= n++ << PST_FW_NAME;
		if (r->name)
			memcpy(&c->arena.lines[line], r->name, strnlen(r->name, PST_FW_NAME_BYTES));
	}
	return 0;
}

static int compile(struct compiler *c, struct pst_fw_head *head)
{
	uint32_t line;
	int e = fw_arena_take(&c->arena, PST_FW_FIRST_LINE, &line);

	e = e ? e : put_entries(c, &head->rules);
	e = e ? e : put_names(c, head, &head->names);
	e = e ? e : fw_pairs_build(c->set, &c->arena, head);
	for (int dim = 0; dim < PST_FW_DIMS && !e; dim++) {
		if (!is_used(c->set, (enum pst_fw_dim)dim, &c->spans))
			continue;
		head->used |= 1u << dim;
		e = compile_dim(c, (enum pst_fw_dim)dim);
	}
	return e;
}

/* More rules than a packet may meet on its way to the one that says something. */
static bool too_many(const struct fw_ruleset *set)
{
	size_t next = 0, paired = 0;

	for (size_t i = 0; i < set->n; i++) {
		next += set->rules[i].action == PST_FW_NEXT;
		paired += fw_pair_flags(&set->rules[i]) != 0;
	}
	return set->n > PST_FW_RULES_MAX || next > PST_FW_NEXT_MAX || paired > PST_FW_PAIRED_MAX;
}

int fw_compile(const struct fw_ruleset *set, union pst_line *lines, uint32_t n_lines, uint32_t generation,
	struct fw_compiled *ret_compiled)
{
	PST_CLEANUP(compiler_done)
	struct compiler c = {.set = set, .arena = {.lines = lines, .size = n_lines}};
	struct pst_fw_head head = {
		.n_rules = (uint32_t)set->n, .policy = set->policy, .generation = generation};
	int e;

	if (too_many(set))
		return -E2BIG;
	c.n_chunks = (uint32_t)((set->n + PST_FW_CHUNK_RULES - 1) / PST_FW_CHUNK_RULES);
	c.class_lines = 1 + c.n_chunks / 16;
	head.n_chunks = c.n_chunks;
	e = compile(&c, &head);
	if (e)
		return e;
	memcpy(lines, &head, sizeof(head));
	*ret_compiled =
		(struct fw_compiled){.lines = c.arena.used, .chunks = c.chunks.n, .classes = c.classes.n};
	return 0;
}
