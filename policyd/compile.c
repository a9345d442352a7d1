// SPDX-License-Identifier: Apache-2.0
/* `match:` of a rule to conditions. */
#include "policyd/compile.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "proto/base/cleanup.h"

static const struct {
	const char *name;
	enum op op;
} ops[] = {
	{"equals", OP_EQUALS},
	{"in", OP_IN},
	{"prefix", OP_PREFIX},
	{"suffix", OP_SUFFIX},
	{"contains", OP_CONTAINS},
	{"glob", OP_GLOB},
	{"cidr", OP_CIDR},
	{"greater", OP_GREATER},
	{"less", OP_LESS},
	{"exists", OP_EXISTS},
};

void cond_free(struct cond *c)
{
	while (c) {
		struct cond *next = c->next;

		cond_free(c->child);
		named_field_done(&c->field);
		for (uint32_t i = 0; i < c->n_values; i++)
			free(c->values[i].text);
		free(c->values);
		free(c);
		c = next;
	}
}

static void cond_freep(struct cond **c)
{
	cond_free(*c);
}

int compile_field(
	struct pst_conf_ctx *ctx, const struct pst_node *node, const char *name, struct named_field *ret)
{
	const char *const *names;
	const char *near;
	size_t n;
	int e = named_field_init(ret, name);

	if (e != -ENOENT)
		return e;
	n = named_field_names(&names);
	near = pst_conf_did_you_mean(name, names, n);
	if (near)
		return pst_conf_reject(
			ctx, node, "no event has a field \"%s\", did you mean \"%s\"?", name, near);
	return pst_conf_reject(ctx, node, "no event has a field \"%s\" (docs/events.md lists them)", name);
}

/* The description of a field that several kinds have: they agree in type wherever the name is the same. */
static const struct pst_field *any_field(const struct named_field *f)
{
	for (unsigned k = 0; k < KIND_MAX; k++)
		if (f->by_kind[k][0].field)
			return f->by_kind[k][0].field;
	return NULL;
}

static int parse_number(
	struct pst_conf_ctx *ctx, const struct pst_node *node, const struct pst_field *field, struct value *v)
{
	if (pst_val_parse(field, v->text, &v->number) < 0)
		return pst_conf_reject(ctx, node, "\"%s\" is no value of the field %s", v->text, field->name);
	v->is_number = true;
	return 0;
}

static int parse_value(
	struct pst_conf_ctx *ctx, const struct pst_node *node, const struct cond *c, struct value *v)
{
	const struct pst_field *field = any_field(&c->field);
	bool number = field->type == PST_T_U || field->type == PST_T_I;

	if (node->type != PST_NODE_SCALAR)
		return pst_conf_reject(ctx, node, "expected a value for %s", field->name);
	v->text = strdup(node->text);
	if (!v->text)
		return -ENOMEM;
	v->len = (uint32_t)strlen(v->text);
	if (c->op == OP_CIDR && field->type != PST_T_A)
		return pst_conf_reject(ctx, node, "cidr needs an address, and %s is none", field->name);
	if (field->type == PST_T_A && (c->op == OP_CIDR || c->op == OP_EQUALS || c->op == OP_IN)) {
		if (pst_cidr_parse(v->text, &v->cidr) < 0)
			return pst_conf_reject(ctx, node, "\"%s\" is no address and no CIDR", v->text);
		return 0;
	}
	if (number && (c->op == OP_EQUALS || c->op == OP_IN || c->op == OP_GREATER || c->op == OP_LESS))
		return parse_number(ctx, node, field, v);
	if (c->op == OP_GREATER || c->op == OP_LESS)
		return pst_conf_reject(ctx, node, "%s is no number", field->name);
	return 0;
}

static int parse_values(struct pst_conf_ctx *ctx, const struct pst_node *node, struct cond *c)
{
	const struct pst_node *first = node->type == PST_NODE_SEQUENCE ? node->child : node;
	uint32_t n = node->type == PST_NODE_SEQUENCE ? node->n_children : 1;
	int e = 0;

	if (node->type == PST_NODE_SEQUENCE && c->op != OP_IN && c->op != OP_CIDR && c->op != OP_PREFIX &&
		c->op != OP_SUFFIX && c->op != OP_GLOB && c->op != OP_CONTAINS)
		return pst_conf_reject(ctx, node, "expected one value");
	if (!n)
		return pst_conf_reject(ctx, node, "the list is empty: the condition could never hold");
	c->values = calloc(n, sizeof(*c->values));
	if (!c->values)
		return -ENOMEM;
	for (const struct pst_node *k = first; k && c->n_values < n && !e; k = k->next)
		e = parse_value(ctx, k, c, &c->values[c->n_values++]);
	return e;
}

static int parse_exists(struct pst_conf_ctx *ctx, const struct pst_node *node, struct cond *c)
{
	if (node->type == PST_NODE_SCALAR && !strcmp(node->text, "true"))
		c->wanted = true;
	else if (node->type != PST_NODE_SCALAR || strcmp(node->text, "false"))
		return pst_conf_reject(ctx, node, "exists: expected true or false");
	return 0;
}

static int find_op(struct pst_conf_ctx *ctx, const struct pst_node *node, enum op *ret_op)
{
	const char *names[PST_ARRAY_SIZE(ops)], *near;

	for (size_t i = 0; i < PST_ARRAY_SIZE(ops); i++) {
		names[i] = ops[i].name;
		if (strcmp(ops[i].name, node->key))
			continue;
		*ret_op = ops[i].op;
		return 0;
	}
	near = pst_conf_did_you_mean(node->key, names, PST_ARRAY_SIZE(ops));
	pst_conf_error(ctx->errors, ctx->file, node->key_line, node->key_column,
		"unknown comparison \"%s\"%s%s%s (equals, in, prefix, suffix, contains, glob, cidr, greater, "
		"less, exists)",
		node->key, near ? ", did you mean \"" : "", near ? near : "", near ? "\"?" : "");
	return -EINVAL;
}

/* One comparison of one field. */
static int leaf(struct pst_conf_ctx *ctx, const struct pst_node *field_node, const struct pst_node *value,
	enum op op, struct cond **ret)
{
	PST_CLEANUP(cond_freep) struct cond *c = calloc(1, sizeof(*c));
	int e;

	if (!c)
		return -ENOMEM;
	c->op = op;
	e = compile_field(ctx, field_node, field_node->key, &c->field);
	if (!e)
		e = op == OP_EXISTS ? parse_exists(ctx, value, c) : parse_values(ctx, value, c);
	if (!e)
		*ret = PST_TAKE_PTR(c);
	return e;
}

/* Where the next of a list is linked in. */
static struct cond **end_of(struct cond **tail)
{
	while (*tail)
		tail = &(*tail)->next;
	return tail;
}

/* `field: value`, `field: [values]` or `field: {comparison: value, ...}`: appends to @tail. */
static int field_conds(struct pst_conf_ctx *ctx, const struct pst_node *node, struct cond **tail)
{
	int e = 0;

	if (node->type != PST_NODE_MAPPING)
		return leaf(ctx, node, node, node->type == PST_NODE_SEQUENCE ? OP_IN : OP_EQUALS, tail);
	if (!node->n_children)
		return pst_conf_reject(ctx, node, "expected a comparison of %s", node->key);
	for (const struct pst_node *k = node->child; k && !e; k = k->next) {
		enum op op;

		e = find_op(ctx, k, &op);
		e = e ? e : leaf(ctx, node, k, op, tail);
		tail = end_of(tail);
	}
	return e;
}

static int branch(struct pst_conf_ctx *ctx, const struct pst_node *node, enum op op, struct cond **ret)
{
	PST_CLEANUP(cond_freep) struct cond *c = calloc(1, sizeof(*c));
	struct cond **tail;
	int e = 0;

	if (!c)
		return -ENOMEM;
	c->op = op;
	tail = &c->child;
	if (op == OP_NOT) {
		e = compile_match(ctx, node, tail);
	} else if (node->type != PST_NODE_SEQUENCE || !node->n_children) {
		e = pst_conf_reject(ctx, node, "%s: expected a sequence of conditions", node->key);
	} else {
		for (const struct pst_node *k = node->child; k && !e; k = k->next) {
			e = compile_match(ctx, k, tail);
			tail = end_of(tail);
		}
	}
	if (!e)
		*ret = PST_TAKE_PTR(c);
	return e;
}

int compile_match(struct pst_conf_ctx *ctx, const struct pst_node *node, struct cond **ret)
{
	PST_CLEANUP(cond_freep) struct cond *all = NULL;
	struct cond **tail;
	int e = 0;

	if (node->type != PST_NODE_MAPPING || !node->n_children)
		return pst_conf_reject(ctx, node, "expected a mapping of conditions, such as {exe: /bin/sh}");
	all = calloc(1, sizeof(*all));
	if (!all)
		return -ENOMEM;
	all->op = OP_AND;
	tail = &all->child;
	for (const struct pst_node *k = node->child; k && !e; k = k->next) {
		bool is_branch = true;
		enum op op = OP_AND;

		if (!strcmp(k->key, "or"))
			op = OP_OR;
		else if (!strcmp(k->key, "not"))
			op = OP_NOT;
		else
			is_branch = !strcmp(k->key, "and");
		e = is_branch ? branch(ctx, k, op, tail) : field_conds(ctx, k, tail);
		tail = end_of(tail);
	}
	if (!e)
		*ret = PST_TAKE_PTR(all);
	return e;
}
