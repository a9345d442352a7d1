// SPDX-License-Identifier: Apache-2.0
/* Dimensions in which an act has one class: by value, and by trees over intervals. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "policyd/fw/intervals.h"
#include "policyd/policy/compile.h"
#include "proto/base/cleanup.h"

/* ---- by value ---- */

static const struct {
	unsigned dim, values, size; /* of the array */
} by_value[] = {
	{PST_POL_NS, PST_ACT_NS_VALUES, PST_ACT_NS_VALUES},
	{PST_POL_FILE, 256, 256},
	{PST_POL_PROTOCOL, 256, 256},
	{PST_POL_FAMILY, 256, 256},
	{PST_POL_SIGNAL, 256, 256},
	{PST_POL_CAP, PST_POL_CAP_MANY + 1, 80},
};

static bool cap_takes(const struct policy_cond *c, unsigned value)
{
	if (value == PST_POL_CAP_MANY) /* the rule says */
		return true;
	return (value < PST_POL_CAP_NONE && (c->bits[0] >> value & 1)) != c->other;
}

static bool value_takes(const struct policy_cond *c, unsigned value)
{
	switch (c->key) {
	case POLICY_NAMESPACES:
		return !(c->ns_host & ~value) && !(c->ns_other & value);
	case POLICY_CONTAINERS:
		return (value & (PST_ACT_CONTAINER | PST_ACT_SOMEWHERE)) == PST_ACT_CONTAINER;
	case POLICY_HOST:
		return !(value & (PST_ACT_CONTAINER | PST_ACT_SOMEWHERE));
	case POLICY_FLAGS:
		return (bool)(c->bits[0] & value >> 4) != c->other;
	case POLICY_ACCESS:
		return (bool)(c->bits[0] & value & 15) != c->other;
	case POLICY_CAPABILITIES:
		return cap_takes(c, value);
	default:
		return (c->bits[value / 64] >> value % 64 & 1) != c->other;
	}
}

static int put_value(struct policy_tables *t, unsigned dim, uint32_t array, unsigned value)
{
	const struct policy_asks *asks = &t->asks[dim];
	struct policy_bits bits = {0};

	policy_bits_set(&bits, 0, t->n_rules);
	for (size_t i = 0; i < asks->n; i++)
		if (!value_takes(asks->v[i].cond, value))
			policy_bits_clear(&bits, asks->v[i].first, asks->v[i].end);
	return policy_class_of(t, dim, 0, &bits, &t->arena.lines[array + value / 16].u32[value % 16]);
}

static int compile_values(struct policy_tables *t, unsigned dim, unsigned values, unsigned size)
{
	uint32_t array;
	int e = fw_arena_take(&t->arena, size / 16, &array);

	for (unsigned v = 0; v < values && !e; v++)
		e = put_value(t, dim, array, v);
	if (!e)
		policy_dim_head(t, dim)->root[0] = array;
	return e;
}

static int compile_ops(struct policy_tables *t)
{
	uint32_t array;
	int e = fw_arena_take(&t->arena, PST_OPS_MAX / 16, &array);

	for (unsigned op = 0; op < PST_OPS_MAX && !e; op++) {
		struct policy_bits bits = {0};

		for (uint32_t i = 0; i < t->n_rules; i++)
			if (t->rules[i].rule->ops & PST_OP_BIT(op))
				policy_bits_set(&bits, i, i + 1);
		e = policy_class_of(t, PST_POL_OP, 0, &bits, &t->arena.lines[array + op / 16].u32[op % 16]);
	}
	if (!e)
		policy_dim_head(t, PST_POL_OP)->root[0] = array;
	return e;
}

/* ---- by trees ---- */

/* At this key the rules begin to take, or end to. */
struct edge {
	fw_key at;
	uint32_t first, end;
};

struct sweep {
	struct policy_tables *t;
	unsigned dim, root;
	struct fw_spans spans;
	struct edge *edges;
	size_t n_edges, edges_size;
	struct fw_interval *intervals;
	size_t n_intervals, intervals_size;
};

static void sweep_done(struct sweep *s)
{
	free(s->spans.v);
	free(s->edges);
	free(s->intervals);
}

static unsigned strides(unsigned dim, unsigned root)
{
	return dim == PST_POL_PORT ? 1 : dim == PST_POL_ADDRESS && root ? PST_STRIDES_MAX : 2;
}

static fw_key key_max(const struct sweep *s)
{
	unsigned n = strides(s->dim, s->root);

	return n == PST_STRIDES_MAX ? ~(fw_key)0 : ((fw_key)1 << 16 * n) - 1;
}

static int add_prefix(struct sweep *s, const struct fw_prefix *p)
{
	unsigned bits = s->root ? 128 : 32, len = s->root ? p->len : p->len - 96u;
	fw_key lo;

	if (fw_prefix_is_ip4(p) != !s->root)
		return 0;
	lo = fw_key_load(p->addr, bits / 8);
	return fw_span_add(&s->spans, lo, len == bits ? lo : lo | (~(fw_key)0 >> (128 - bits + len)));
}

/* What the condition takes, as spans. */
static int find_spans(struct sweep *s, const struct policy_cond *c)
{
	int e = 0;

	s->spans.n = 0;
	for (uint32_t i = 0; i < c->n && !e; i++)
		e = s->dim == PST_POL_ADDRESS ? add_prefix(s, &c->prefixes[i])
					      : fw_span_add(&s->spans, c->ranges[i].lo, c->ranges[i].hi);
	fw_spans_join(&s->spans);
	return e || !c->other ? e : fw_spans_complement(&s->spans, key_max(s));
}

static int add_edge(struct sweep *s, fw_key at, const struct policy_ask *ask)
{
	int e = array_room((void **)&s->edges, &s->edges_size, s->n_edges, sizeof(*s->edges));

	if (!e)
		s->edges[s->n_edges++] = (struct edge){at, ask->first, ask->end};
	return e;
}

static int find_edges(struct sweep *s)
{
	const struct policy_asks *asks = &s->t->asks[s->dim];
	int e = 0;

	for (size_t i = 0; i < asks->n && !e; i++) {
		e = find_spans(s, asks->v[i].cond);
		for (size_t k = 0; k < s->spans.n && !e; k++) {
			e = add_edge(s, s->spans.v[k].lo, &asks->v[i]);
			if (!e && s->spans.v[k].hi < key_max(s))
				e = add_edge(s, s->spans.v[k].hi + 1, &asks->v[i]);
		}
	}
	return e;
}

static int by_key(const void *a, const void *b)
{
	const struct edge *x = a, *y = b;

	return x->at < y->at ? -1 : x->at > y->at;
}

/* From @start on this class. */
static int add_interval(struct sweep *s, fw_key start, const struct policy_bits *bits)
{
	uint32_t line;
	int e = policy_class_of(s->t, s->dim, 0, bits, &line);

	e = e ? e
	      : array_room((void **)&s->intervals, &s->intervals_size, s->n_intervals, sizeof(*s->intervals));
	if (!e)
		s->intervals[s->n_intervals++] = (struct fw_interval){.start = start, .value = line};
	return e;
}

static int compile_root(struct policy_tables *t, unsigned dim, unsigned root, uint32_t *ret_entry)
{
	PST_CLEANUP(sweep_done) struct sweep s = {.t = t, .dim = dim, .root = root};
	struct policy_bits bits;
	int e = find_edges(&s);

	if (s.n_edges)
		qsort(s.edges, s.n_edges, sizeof(*s.edges), by_key);
	policy_free_bits(t, dim, false, &bits);
	if (!e && (!s.n_edges || s.edges[0].at))
		e = add_interval(&s, 0, &bits);
	for (size_t i = 0; i < s.n_edges && !e;) {
		fw_key at = s.edges[i].at;

		for (; i < s.n_edges && s.edges[i].at == at; i++)
			policy_bits_flip(&bits, s.edges[i].first, s.edges[i].end);
		e = add_interval(&s, at, &bits);
	}
	return e ? e : fw_tree_build(&t->arena, s.intervals, s.n_intervals, strides(dim, root), ret_entry);
}

static int compile_tree(struct policy_tables *t, unsigned dim)
{
	int e = 0;

	for (unsigned root = 0; root < (dim == PST_POL_ADDRESS ? 2 : 1) && !e; root++) {
		uint32_t entry = 0;

		e = compile_root(t, dim, root, &entry);
		policy_dim_head(t, dim)->root[root] = entry;
	}
	return e;
}

static int put_unknown(struct policy_tables *t, unsigned dim)
{
	struct policy_bits bits;
	uint32_t line = 0;
	int e;

	policy_free_bits(t, dim, false, &bits);
	e = policy_class_of(t, dim, 0, &bits, &line);
	policy_dim_head(t, dim)->unknown = line;
	return e;
}

int policy_compile_dims(struct policy_tables *t)
{
	static const unsigned trees[] = {
		PST_POL_UID, PST_POL_SCOPE_UID, PST_POL_GID, PST_POL_ADDRESS, PST_POL_PORT};
	int e = compile_ops(t);

	t->head.used |= 1u << PST_POL_OP;
	for (unsigned dim = PST_POL_UID; dim < PST_POL_DIMS && !e; dim++)
		if (t->asks[dim].n) {
			t->head.used |= 1u << dim;
			e = put_unknown(t, dim);
		}
	for (size_t i = 0; i < PST_ARRAY_SIZE(by_value) && !e; i++)
		if (t->asks[by_value[i].dim].n)
			e = compile_values(t, by_value[i].dim, by_value[i].values, by_value[i].size);
	for (size_t i = 0; i < PST_ARRAY_SIZE(trees) && !e; i++)
		if (t->asks[trees[i]].n)
			e = compile_tree(t, trees[i]);
	return e;
}
