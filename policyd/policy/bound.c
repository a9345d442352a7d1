// SPDX-License-Identifier: Apache-2.0
/*
 * How many rules one act can be held against. Each rule is counted in one dimension: of those in which it has
 * a list the one where its classes have fewest rules. Of the rules that are counted in a dimension an act can
 * meet those of one class at most (of what is or-ed: of one class of each part), so the sum over all
 * dimensions is a bound. It is above what can really come about.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "policyd/policy/compile.h"
#include "proto/base/cleanup.h"

struct bound {
	struct policy_tables *t;
	struct policy_bits lists[POLICY_DIMS_ALL];   /* rules with a list in the dimension */
	struct policy_bits counted[POLICY_DIMS_ALL]; /* of them those that are counted there */
	uint32_t *least;                             /* of each rule, and in which dimension */
	uint8_t *dim;
	uint32_t *most; /* of each rule, in this dimension */
};

static void bound_freep(struct bound **b)
{
	if (!*b)
		return;
	free((*b)->least);
	free((*b)->dim);
	free((*b)->most);
	free(*b);
}

/* Takes a class of the dimension; @part: of several that are or-ed. */
typedef void class_fn(
	struct bound *b, unsigned dim, uint32_t part, const struct policy_bits *bits, void *arg);

static int by_place(const void *a, const void *b)
{
	const uint64_t *x = a, *y = b;

	return *x < *y ? -1 : *x > *y;
}

static void each_cgroup_class(struct bound *b, class_fn *fn, void *arg)
{
	for (uint32_t a = 0; a < b->t->cgroups_compiled.n; a++)
		for (uint32_t c = 0; c < path_class_count(&b->t->cgroups_compiled, a); c++) {
			struct policy_bits bits = {0};

			policy_cgroup_bits(b->t, a, c, &bits);
			fn(b, PST_POL_CGROUP, a, &bits, arg);
		}
}

static void each_class(struct bound *b, unsigned dim, class_fn *fn, void *arg)
{
	struct policy_seen *seen = &b->t->seen[dim];

	if (seen->n)
		qsort(seen->v, seen->n, sizeof(*seen->v), by_place);
	for (size_t i = 0; i < seen->n; i++) {
		struct policy_bits bits;

		if (i && seen->v[i] == seen->v[i - 1])
			continue;
		policy_class_get(b->t, (uint32_t)seen->v[i], &bits);
		fn(b, dim, (uint32_t)(seen->v[i] >> 32), &bits, arg);
	}
	if (dim == PST_POL_CGROUP)
		each_cgroup_class(b, fn, arg);
}

/* ---- where each rule is counted ---- */

static void add_most(struct bound *b, unsigned dim, uint32_t part, const struct policy_bits *bits, void *arg)
{
	uint32_t n = policy_bits_count(bits, &b->lists[dim]);

	(void)part;
	(void)arg;
	for (uint32_t w = 0; w * 64 < b->t->n_rules; w++)
		for (uint64_t left = bits->w[w] & b->lists[dim].w[w]; left; left &= left - 1) {
			uint32_t rule = w * 64 + (uint32_t)__builtin_ctzll(left);

			b->most[rule] = PST_MAX(b->most[rule], n);
		}
}

static void find_lists(struct bound *b, unsigned dim)
{
	const struct policy_asks *asks = &b->t->asks[dim];

	if (dim == PST_POL_OP)
		policy_bits_set(&b->lists[dim], 0, b->t->n_rules);
	for (size_t i = 0; i < asks->n; i++)
		if (!asks->v[i].cond->other)
			policy_bits_set(&b->lists[dim], asks->v[i].first, asks->v[i].end);
}

static void count_rules(struct bound *b)
{
	for (unsigned dim = 0; dim < POLICY_DIMS_ALL; dim++) {
		find_lists(b, dim);
		memset(b->most, 0, b->t->n_rules * sizeof(*b->most));
		each_class(b, dim, add_most, NULL);
		for (uint32_t i = 0; i < b->t->n_rules; i++)
			if (b->most[i] && (!b->least[i] || b->most[i] < b->least[i])) {
				b->least[i] = b->most[i];
				b->dim[i] = (uint8_t)dim;
			}
	}
	for (uint32_t i = 0; i < b->t->n_rules; i++)
		policy_bits_set(&b->counted[b->dim[i]], i, i + 1);
}

/* ---- the sum of an operation ---- */

struct sum {
	struct policy_bits rules; /* of the operation, counted in the dimension */
	uint32_t most[PST_PATHS_AUTOMATA];
	uint32_t worst, rule; /* the largest class, and its last rule */
};

static void add_class(struct bound *b, unsigned dim, uint32_t part, const struct policy_bits *bits, void *arg)
{
	struct sum *s = arg;
	uint32_t n = policy_bits_count(bits, &s->rules);

	(void)dim;
	s->most[part] = PST_MAX(s->most[part], n);
	if (n <= s->worst)
		return;
	s->worst = n;
	for (uint32_t w = 0; w * 64 < b->t->n_rules; w++)
		if (bits->w[w] & s->rules.w[w])
			s->rule = w * 64 + 63 - (uint32_t)__builtin_clzll(bits->w[w] & s->rules.w[w]);
}

/* Is this the automaton of what rules have the inodes of? A file under another name is in the lists of that
 * name, and in those of the one that they have for it. */
static bool has_inodes(const struct policy_tables *t, unsigned dim, unsigned part)
{
	static const uint32_t as[POLICY_DIMS_ALL] = {
		[PST_POL_DIMS + PST_POL_PATH] =
			1u << PST_POL_AS_FILE | 1u << PST_POL_AS_IN | 1u << PST_POL_AS_ABOVE,
		[PST_POL_DIMS + PST_POL_EXECUTABLE] = 1u << PST_POL_AS_EXECUTABLE,
		[PST_POL_DIMS + PST_POL_SCOPE_EXECUTABLE] = 1u << PST_POL_AS_SCOPE_EXECUTABLE,
		[PST_POL_DIMS + PST_POL_TARGET] = 1u << PST_POL_AS_TARGET,
	};

	return !part && t->head.inode_as & as[dim]; /* all literals are in the first one */
}

/* How many classes an act can be in. */
static uint32_t times(unsigned dim, unsigned op)
{
	if (dim == PST_POL_DIMS + PST_POL_ANCESTOR || dim == PST_POL_DIMS + PST_POL_SCOPE_ANCESTOR)
		return PST_POL_ANCESTORS;
	if (dim == PST_POL_DIMS + PST_POL_PATH && (op == PST_OP_FILE_RENAME || op == PST_OP_FILE_LINK))
		return 2;
	return 1;
}

static int check_op(struct bound *b, unsigned op, const struct policy_bits *of_op)
{
	struct sum s = {.worst = 0};
	uint64_t sum = 0;

	for (unsigned dim = 0; dim < POLICY_DIMS_ALL; dim++) {
		for (unsigned w = 0; w < PST_ARRAY_SIZE(of_op->w); w++)
			s.rules.w[w] = of_op->w[w] & b->counted[dim].w[w];
		memset(s.most, 0, sizeof(s.most));
		each_class(b, dim, add_class, &s);
		for (unsigned part = 0; part < PST_PATHS_AUTOMATA; part++)
			sum += (uint64_t)s.most[part] * times(dim, op) * (1 + has_inodes(b->t, dim, part));
	}
	if (sum <= PST_POL_VISITS_MAX)
		return 0;
	return policy_refuse(b->t, s.rule, NULL,
		"rule \"%s\": one act of %s could be held against %u rules, %u of them for the same reason "
		"as "
		"this one; %d are possible",
		b->t->rules[s.rule].rule->name, policy_op_name(op),
		(unsigned)PST_MIN(sum, (uint64_t)b->t->n_rules), s.worst, PST_POL_VISITS_MAX);
}

int policy_check_bound(struct policy_tables *t)
{
	PST_CLEANUP(bound_freep) struct bound *b = NULL;
	int e = 0;

	for (unsigned op = 0; op < PST_OPS_MAX && !e; op++) {
		struct policy_bits of_op = {0};

		for (uint32_t i = 0; i < t->n_rules; i++)
			if (t->rules[i].rule->ops & PST_OP_BIT(op))
				policy_bits_set(&of_op, i, i + 1);
		if (policy_bits_count(&of_op, &of_op) <= PST_POL_VISITS_MAX)
			continue;
		if (!b) {
			b = calloc(1, sizeof(*b));
			if (!b)
				return -ENOMEM;
			b->t = t;
			b->least = calloc((size_t)t->n_rules + 1, sizeof(*b->least));
			b->dim = calloc((size_t)t->n_rules + 1, sizeof(*b->dim));
			b->most = calloc((size_t)t->n_rules + 1, sizeof(*b->most));
			if (!b->least || !b->dim || !b->most)
				return -ENOMEM;
			count_rules(b);
		}
		e = check_op(b, op, &of_op);
	}
	return e;
}
