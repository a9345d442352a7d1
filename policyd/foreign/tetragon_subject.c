// SPDX-License-Identifier: Apache-2.0
/* Filters on who does it: matchBinaries and the like. */
#include <string.h>

#include "policyd/foreign/tetragon.h"
#include "proto/base/cleanup.h"

#define WITH_CHILDREN "followChildren"

bool tracing_values(
	const struct tracing_selector *s, const struct pst_node *filter, const struct pst_node **ret_values)
{
	const struct pst_node *values = pst_node_get(filter, "values"), *odd;

	if (!values || values->type != PST_NODE_SEQUENCE || !values->child) {
		tracing_refuse(s, foreign_at(filter), "expected an operator and values");
		return false;
	}
	odd = values->child;
	while (odd && odd->type == PST_NODE_SCALAR)
		odd = odd->next;
	if (odd) {
		tracing_refuse(s, foreign_at(odd), "expected values that are texts or numbers");
		return false;
	}
	*ret_values = values;
	return true;
}

/* The only filter of a list, its operator without the Not, and its values. */
struct filter {
	const struct pst_node *node, *values;
	const char *op;
	bool not ;
};

static bool read_filter(
	struct tracing_selector *s, const struct pst_node *node, const char *const *known, struct filter *f)
{
	const struct pst_node *odd = node->type == PST_NODE_MAPPING ? foreign_unknown(node, known) : node;

	*f = (struct filter){.node = node, .op = foreign_text(node, "operator")};
	if (odd || !f->op) {
		tracing_refuse(s, odd && odd->key ? foreign_at_key(odd) : foreign_at(node),
			"%.64s: it is not known, or has no operator", odd && odd->key ? odd->key : "filter");
		return false;
	}
	f->not = !strncmp(f->op, "Not", 3);
	f->op += f->not ? 3 : 0;
	return tracing_values(s, node, &f->values);
}

/* ---- programs ---- */

static void put_programs(struct foreign_buf *to, enum policy_key key, const struct filter *f)
{
	const char *kind = !strcmp(f->op, "Prefix")    ? "prefix"
			   : !strcmp(f->op, "Postfix") ? "suffix"
						       : NULL,
		   *sep = "";

	foreign_put(to, ", %s: %s[", policy_rows[key].key, f->not ? "{not: " : "");
	for (const struct pst_node *n = f->values->child; n; n = n->next, sep = ", ") {
		foreign_put(to, kind ? "%s{%s: " : "%s", sep, kind);
		foreign_put_string(to, n->text, SIZE_MAX);
		foreign_put(to, kind ? "}" : "");
	}
	foreign_put(to, "]%s", f->not ? "}" : "");
}

static bool is_exact(const struct filter *f)
{
	return !strcmp(f->op, "In");
}

static bool is_program(const struct filter *f)
{
	return is_exact(f) || !strcmp(f->op, "Prefix") || !strcmp(f->op, "Postfix");
}

/* With children: two rules, or with Not one that asks for both. */
static bool read_binaries(struct tracing_selector *s, const struct pst_node *node)
{
	static const char *const known[] = {"operator", "values", WITH_CHILDREN, NULL};
	bool children = foreign_is_true(node, WITH_CHILDREN);
	struct filter f;

	if (!read_filter(s, node, known, &f))
		return false;
	if (!is_program(&f) || (children && !is_exact(&f)))
		return tracing_refuse(s, foreign_at(node),
			"matchBinaries: only In, Prefix and Postfix can be asked, with children only In");
	if (!tracing_take_key(s, node, POLICY_EXECUTABLES) ||
		(children && !tracing_take_key(s, node, POLICY_ANCESTORS)))
		return false;
	put_programs(&s->own, POLICY_EXECUTABLES, &f);
	if (children)
		put_programs(f.not ? &s->own : &s->children, POLICY_ANCESTORS, &f);
	return true;
}

static bool read_parents(struct tracing_selector *s, const struct pst_node *node)
{
	static const char *const known[] = {"operator", "values", NULL};
	struct filter f;

	if (!read_filter(s, node, known, &f))
		return false;
	if (!is_exact(&f))
		return tracing_refuse(
			s, foreign_at(node), "matchParentBinaries: only In and NotIn can be asked");
	if (!tracing_take_key(s, node, POLICY_PARENTS))
		return false;
	put_programs(&s->rule.conds, POLICY_PARENTS, &f);
	return true;
}

/* ---- namespaces ---- */

/* "Pid" with "host_ns" */
static bool read_namespace(struct tracing_selector *s, const struct pst_node *node, uint8_t *kinds)
{
	static const char *const known[] = {"operator", "values", "namespace", NULL};
	static const char *const names[] = {"Cgroup", "Ipc", "Mnt", "Net", "Pid", "Time", "User", "Uts"};
	const char *name = foreign_text(node, "namespace");
	struct filter f;
	unsigned kind = 0;

	if (!read_filter(s, node, known, &f))
		return false;
	while (name && kind < PST_ARRAY_SIZE(names) && strcmp(names[kind], name) != 0)
		kind++;
	if (!name || kind == PST_ARRAY_SIZE(names) || *kinds >> kind & 1 || !is_exact(&f) ||
		f.values->n_children != 1 || strcmp(f.values->child->text, "host_ns") != 0)
		return tracing_refuse(s, foreign_at(node),
			"matchNamespaces: only whether a namespace is the host's (host_ns) can be asked, of "
			"each kind once");
	*kinds |= (uint8_t)(1u << kind);
	foreign_put(&s->rule.conds, "%s%s: %s",
		s->rule.conds.n && s->rule.conds.v[s->rule.conds.n - 1] == '{' ? "" : ", ",
		policy_ns_kinds.name(kind), f.not ? "other" : "host");
	return true;
}

static bool read_namespaces(struct tracing_selector *s, const struct pst_node *list)
{
	uint8_t kinds = 0;

	foreign_put(&s->rule.conds, ", namespaces: {");
	for (const struct pst_node *n = list->child; n; n = n->next)
		if (!read_namespace(s, n, &kinds))
			return false;
	foreign_put(&s->rule.conds, "}");
	return true;
}

/* ---- capabilities ---- */

static bool read_caps(
	struct tracing_selector *s, const struct pst_node *node, enum policy_key key, const char *what)
{
	static const char *const known[] = {"type", "operator", "values", "isNamespaceCapability", NULL};
	const char *type = foreign_text(node, "type"), *sep = "";
	struct filter f;

	if (!read_filter(s, node, known, &f))
		return false;
	if (!is_exact(&f) || (type && strcmp(type, "Effective") != 0) ||
		foreign_is_true(node, "isNamespaceCapability"))
		return tracing_refuse(s, foreign_at(node),
			"%s: only effective capabilities can be asked, with In and NotIn", what);
	if (!tracing_take_key(s, node, key))
		return false;
	foreign_put(&s->rule.conds, ", %s: %s[", policy_rows[key].key, f.not ? "{not: " : "");
	for (const struct pst_node *n = f.values->child; n; n = n->next, sep = ", ") {
		foreign_put(&s->rule.conds, "%s", sep);
		foreign_put_string(&s->rule.conds, n->text, POLICY_TEXT_MAX);
	}
	foreign_put(&s->rule.conds, "]%s", f.not ? "}" : "");
	return true;
}

static bool read_has(struct tracing_selector *s, const struct pst_node *node)
{
	return read_caps(s, node, POLICY_HOLDS, "matchCapabilities");
}

static bool read_changes(struct tracing_selector *s, const struct pst_node *node)
{
	if (!strncmp(foreign_text(node, "operator") ? foreign_text(node, "operator") : "", "Not", 3))
		return tracing_refuse(s, foreign_at(node), "matchCapabilityChanges: only In can be asked");
	if (!read_caps(s, node, POLICY_GAINED, "matchCapabilityChanges"))
		return false;
	foreign_note(s->d, foreign_at(node),
		"%s: capabilities that were gained are asked for, not those that were lost", s->label);
	return true;
}

/* ---- all of them ---- */

static bool read_list(struct tracing_selector *s, const struct pst_node *list,
	bool (*read)(struct tracing_selector *s, const struct pst_node *node))
{
	for (const struct pst_node *n = list->child; n; n = n->next)
		if (!read(s, n))
			return false;
	return true;
}

bool tracing_read_subject(struct tracing_selector *s)
{
	static const struct {
		const char *key;
		bool (*read)(struct tracing_selector *s, const struct pst_node *node);
	} filters[] = {{"matchBinaries", read_binaries}, {"matchParentBinaries", read_parents},
		{"matchCapabilities", read_has}, {"matchCapabilityChanges", read_changes}};
	const struct pst_node *namespaces = pst_node_get(s->node, "matchNamespaces");

	for (size_t i = 0; i < PST_ARRAY_SIZE(filters); i++) {
		const struct pst_node *list = pst_node_get(s->node, filters[i].key);

		if (list && !read_list(s, list, filters[i].read))
			return false;
	}
	return !namespaces || !namespaces->child || read_namespaces(s, namespaces);
}
