// SPDX-License-Identifier: Apache-2.0
/* A set of policies into lines: rules and their asks first, then one dimension after the other. */
#include "policyd/policy/compile.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/base/cleanup.h"

#define ARGUMENTS_MAX 256 /* lists: bits of pst_act.arguments */

static_assert(POLICY_RULES_MAX <= PST_POL_RULES_MAX && POLICY_POLICIES_MAX <= UINT16_MAX,
	"what can be read has a number");

int policy_refuse(
	struct policy_tables *t, uint32_t rule, const struct policy_cond *at, const char *format, ...)
{
	const struct policy_rule_at *r = &t->rules[rule];
	char text[256];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	pst_conf_error(t->errors, r->policy->file, at ? at->line : r->rule->line,
		at ? at->column : r->rule->column, "policy %s%s%s: %s", r->policy->name, at ? ", " : "",
		at ? policy_rows[at->key].key : "", text);
	return -E2BIG;
}

void policy_tables_free(struct policy_tables *t)
{
	if (!t)
		return;
	policy_interns_done(&t->interns);
	policy_interns_done(&t->late);
	for (unsigned dim = 0; dim < POLICY_DIMS_ALL; dim++) {
		free(t->asks[dim].v);
		free(t->seen[dim].v);
	}
	for (unsigned multi = 0; multi < PST_POL_MULTIS; multi++)
		policy_uses_done(&t->uses[multi]);
	policy_uses_done(&t->cgroup_uses);
	path_set_done(&t->patterns);
	path_set_done(&t->cgroups);
	path_compiled_done(&t->compiled);
	path_compiled_done(&t->cgroups_compiled);
	free(t->cgroup_lines);
	free(t->named);
	free(t->filled);
	free(t->arguments);
	free(t->rules);
	free(t);
}

void policy_tables_freep(struct policy_tables **tables)
{
	policy_tables_free(*tables);
	*tables = NULL;
}

/* ---- what rules ask ---- */

/* Where the condition is looked up; -1: the rule itself says. */
static int dim_of(const struct policy_cond *c, bool scope)
{
	switch ((enum policy_key)c->key) {
	case POLICY_PATHS:
		return PST_POL_DIMS + PST_POL_PATH;
	case POLICY_FLAGS:
	case POLICY_ACCESS:
		return PST_POL_FILE;
	case POLICY_ADDRESSES:
		return PST_POL_ADDRESS;
	case POLICY_PORTS:
		return PST_POL_PORT;
	case POLICY_PROTOCOLS:
		return PST_POL_PROTOCOL;
	case POLICY_FAMILIES:
		return PST_POL_FAMILY;
	case POLICY_TARGETS:
		return PST_POL_DIMS + PST_POL_TARGET;
	case POLICY_SIGNALS:
		return PST_POL_SIGNAL;
	case POLICY_CAPABILITIES:
		return PST_POL_CAP;
	case POLICY_MODULES:
		return PST_POL_MODULE;
	case POLICY_EXECUTABLES:
		return PST_POL_DIMS + (scope ? PST_POL_SCOPE_EXECUTABLE : PST_POL_EXECUTABLE);
	case POLICY_PARENTS:
		return PST_POL_PARENT;
	case POLICY_ANCESTORS:
		return PST_POL_DIMS + PST_POL_ANCESTOR;
	case POLICY_DESCENDANTS:
		return PST_POL_DIMS + PST_POL_SCOPE_ANCESTOR;
	case POLICY_UIDS:
		return scope ? PST_POL_SCOPE_UID : PST_POL_UID;
	case POLICY_GIDS:
		return PST_POL_GID;
	case POLICY_NAMESPACES:
	case POLICY_CONTAINERS:
	case POLICY_HOST:
		return PST_POL_NS;
	case POLICY_CGROUPS:
		return PST_POL_CGROUP;
	default:
		return -1;
	}
}

static int add_asks(
	struct policy_tables *t, const struct policy_conds *conds, bool scope, uint32_t first, uint32_t end)
{
	for (size_t i = 0; i < conds->n; i++) {
		int dim = dim_of(&conds->v[i], scope), e;
		struct policy_asks *asks;

		if (dim < 0)
			continue;
		asks = &t->asks[dim];
		e = array_room((void **)&asks->v, &asks->size, asks->n, sizeof(*asks->v));
		if (e)
			return e;
		asks->v[asks->n++] = (struct policy_ask){&conds->v[i], first, end};
	}
	return 0;
}

/* Dimensions that a policy's scope asks for, as bits. */
static uint32_t scope_dims(const struct policy *p)
{
	uint32_t dims = 0;

	for (size_t i = 0; i < p->scope.n; i++) {
		int dim = dim_of(&p->scope.v[i], true);

		dims |= dim < 0 ? 0 : 1u << dim;
	}
	return dims;
}

struct place {
	uint32_t dims, number;
};

static int by_dims(const void *a, const void *b)
{
	const struct place *x = a, *y = b;

	if (x->dims != y->dims)
		return x->dims < y->dims ? -1 : 1;
	return x->number < y->number ? -1 : x->number > y->number;
}

static int read_policy(struct policy_tables *t, uint32_t number)
{
	const struct policy *p = t->set->v[number];
	uint32_t first = t->n_rules, end = first + (uint32_t)p->n;
	int e = 0;

	for (size_t k = 0; k < p->n && !e; k++, t->n_rules++) {
		t->rules[t->n_rules] = (struct policy_rule_at){p, &p->rules[k], number, end};
		t->head.ops |= p->rules[k].ops;
		e = add_asks(t, &p->rules[k].conds, false, t->n_rules, t->n_rules + 1);
	}
	return e ? e : add_asks(t, &p->scope, true, first, end);
}

/* Those of policies that are asked, in the order of the tables. */
static int read_rules(struct policy_tables *t)
{
	PST_CLEANUP(pst_freep) struct place *places = calloc(t->set->n + 1, sizeof(*places));
	uint32_t n = 0;
	int e = 0;

	t->rules = calloc(t->set->n_rules + 1, sizeof(*t->rules));
	if (!t->rules || !places)
		return -ENOMEM;
	for (uint32_t i = 0; i < t->set->n; i++)
		if (t->set->v[i]->mode != POLICY_OFF && t->set->v[i]->n)
			places[n++] = (struct place){scope_dims(t->set->v[i]), i};
	qsort(places, n, sizeof(*places), by_dims);
	for (uint32_t i = 0; i < n && !e; i++)
		e = read_policy(t, places[i].number);
	return e;
}

/* ---- rules ---- */

static int put_arguments(
	struct policy_tables *t, uint32_t rule, const struct policy_cond *c, struct pst_pol_rule *r)
{
	const struct policy_cond **v;

	if (t->n_arguments == ARGUMENTS_MAX)
		return policy_refuse(t, rule, c, "more than %d rules ask for arguments", ARGUMENTS_MAX);
	v = reallocarray(t->arguments, t->n_arguments + 1, sizeof(const struct policy_cond *));
	if (!v)
		return -ENOMEM;
	t->arguments = v;
	r->arguments = (uint8_t)t->n_arguments;
	v[t->n_arguments++] = c;
	return 0;
}

/* What no vector says. */
static int put_asks(struct policy_tables *t, uint32_t rule, struct pst_pol_rule *r)
{
	static const struct {
		enum policy_key key;
		unsigned ask;
	} asks[] = {{POLICY_HOLDS, PST_POL_HOLDS}, {POLICY_GAINED, PST_POL_GAINED},
		{POLICY_CAPABILITIES, PST_POL_CAPS}, {POLICY_ARGUMENTS, PST_POL_ARGUMENTS}};
	__u64 *const words[] = {&r->holds, &r->gained, &r->capabilities};

	for (size_t i = 0; i < PST_ARRAY_SIZE(asks); i++) {
		const struct policy_cond *c = policy_cond_of(&t->rules[rule].rule->conds, asks[i].key);
		int e;

		if (!c)
			continue;
		r->asks |= (uint8_t)(asks[i].ask | (c->other ? PST_POL_NOT(asks[i].ask) : 0));
		if (i < PST_ARRAY_SIZE(words)) {
			*words[i] = c->bits[0];
			continue;
		}
		e = put_arguments(t, rule, c, r);
		if (e)
			return e;
	}
	return 0;
}

static int put_rules(struct policy_tables *t)
{
	int e = fw_arena_take(&t->arena, t->n_rules + 1, &t->head.rules);

	for (uint32_t i = 0; i < t->n_rules && !e; i++) {
		const struct policy_rule_at *at = &t->rules[i];
		struct pst_pol_rule *r = (struct pst_pol_rule *)&t->arena.lines[t->head.rules + i];

		r->end = at->end;
		r->policy = (uint16_t)at->number;
		r->error = (uint16_t)at->rule->error;
		r->action = (uint8_t)policy_effect(at->policy, at->rule);
		r->would = (uint8_t)at->rule->action;
		r->rate = at->rule->rate;
		r->within_ns = at->rule->within_ns;
		e = put_asks(t, i, r);
	}
	return e;
}

/* From the last rule on: the strongest so far, of every 64 rules. */
static int put_ranks(struct policy_tables *t)
{
	uint32_t strongest = 0;
	int e = fw_arena_take(&t->arena, PST_POL_RULES_MAX / 64 / 16, &t->head.ranks);

	for (uint32_t i = t->n_rules; i-- && !e;) {
		const struct pst_pol_rule *r =
			(const struct pst_pol_rule *)&t->arena.lines[t->head.rules + i];
		uint32_t strength = PST_POL_STRENGTH(r->action, r->would, r->policy);

		strongest = PST_MAX(strongest, strength);
		t->arena.lines[t->head.ranks + i / 64 / 16].u32[i / 64 % 16] = strongest;
	}
	return e;
}

/* ---- all ---- */

static int compile(struct policy_tables *t)
{
	uint32_t line;
	int e = read_rules(t);

	e = e ? e : fw_arena_take(&t->arena, PST_POL_FIRST_LINE, &line);
	e = e ? e : put_rules(t);
	e = e ? e : put_ranks(t);
	e = e ? e : policy_compile_dims(t);
	e = e ? e : policy_compile_texts(t);
	e = e ? e : policy_compile_names(t);
	e = e ? e : policy_compile_cgroups(t);
	e = e ? e : policy_compile_inodes(t);
	return e ? e : policy_check_bound(t);
}

/* There is no room: what takes most of it is probably the longest list. */
static int refuse_size(struct policy_tables *t)
{
	const struct policy_ask *longest = NULL;

	for (unsigned dim = 0; dim < POLICY_DIMS_ALL; dim++)
		for (size_t i = 0; i < t->asks[dim].n; i++)
			if (!longest || t->asks[dim].v[i].cond->n > longest->cond->n)
				longest = &t->asks[dim].v[i];
	if (!t->n_rules)
		return -E2BIG;
	return policy_refuse(t, longest ? longest->first : 0, longest ? longest->cond : NULL,
		"all policies together need more than the %u lines of the tables; this is the longest list",
		t->arena.size);
}

int policy_compile(const struct policy_set *set, const struct policy_room *room, uint32_t generation,
	const uint64_t seed[2], struct pst_conf_errors *errors, struct policy_tables **ret_tables)
{
	PST_CLEANUP(policy_tables_freep) struct policy_tables *t = calloc(1, sizeof(*t));
	int e;

	if (!t)
		return -ENOMEM;
	t->set = set;
	t->room = *room;
	t->errors = errors;
	t->arena = (struct fw_arena){.lines = room->lines, .size = room->n_lines};
	t->head.generation = generation;
	memcpy(t->head.seed, seed, sizeof(t->head.seed));
	e = compile(t);
	if (e == -ENOSPC)
		return refuse_size(t);
	if (e)
		return e;
	t->head.n_rules = t->n_rules;
	t->mark = t->arena.used;
	t->errors = NULL;
	memcpy(room->lines, &t->head, sizeof(t->head));
	*ret_tables = PST_TAKE_PTR(t);
	return 0;
}

struct policy_made policy_tables_made(const struct policy_tables *t)
{
	return (struct policy_made){
		.rules = t->n_rules,
		.lines = t->arena.used,
		.path_lines = t->compiled.lines,
		.classes = (uint32_t)(t->interns.classes[0].n + t->interns.classes[1].n +
				      t->late.classes[0].n + t->late.classes[1].n),
		.chunks = (uint32_t)(t->interns.chunks.n + t->late.chunks.n),
		.automata = t->compiled.n,
		.patterns = t->patterns.n,
	};
}

void policy_tables_move(struct policy_tables *t, const struct policy_room *room, uint32_t generation)
{
	struct pst_pol_head *head = (struct pst_pol_head *)room->lines;
	const size_t at = sizeof(*head) / sizeof(*room->lines);

	__atomic_store_n(&head->generation, 0, __ATOMIC_SEQ_CST);
	t->head.generation = 0;
	memcpy(head, &t->head, sizeof(*head));
	memcpy(room->lines + at, t->room.lines + at, (t->arena.used - at) * sizeof(*room->lines));
	memcpy(room->paths, t->room.paths, t->compiled.lines * sizeof(*room->paths));
	t->head.generation = generation;
	t->room = *room;
	t->arena.lines = room->lines;
	__atomic_store_n(&head->generation, generation, __ATOMIC_RELEASE);
}

bool policy_tables_rule(const struct policy_tables *t, uint32_t number, const struct policy **ret_policy,
	const struct policy_rule **ret_rule)
{
	if (number >= t->n_rules)
		return false;
	*ret_policy = t->rules[number].policy;
	*ret_rule = t->rules[number].rule;
	return true;
}

bool policy_tables_ask_cgroups(const struct policy_tables *t)
{
	return t->asks[PST_POL_CGROUP].n;
}
