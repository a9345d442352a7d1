// SPDX-License-Identifier: Apache-2.0
/* Conditions: an element, a list of them, or what is in no list. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "policyd/policy/reader.h"

struct policy_hint policy_hint(const char *near, const char *expected)
{
	struct policy_hint h;

	if (near)
		snprintf(h.text, sizeof(h.text), "did you mean \"%s\"?", near);
	else
		snprintf(h.text, sizeof(h.text), "expected %s", expected);
	return h;
}

int policy_read_word(struct policy_reader *r, const struct pst_node *node, const struct policy_words *words,
	unsigned *ret_value)
{
	if (node->type != PST_NODE_SCALAR)
		return POLICY_REJECT(r, node, "%s: expected %s", r->what, words->examples);
	if (policy_word(words, node->text, ret_value))
		return 0;
	return POLICY_REJECT(r, node, "%s: \"%.64s\" is no %s, %s", r->what, node->text, words->what,
		policy_hint(
			policy_wants_hint(r) ? policy_word_near(words, node->text) : NULL, words->examples)
			.text);
}

int policy_read_text(struct policy_reader *r, const struct pst_node *node, size_t max, char **ret_text)
{
	size_t len = node->type == PST_NODE_SCALAR ? strlen(node->text) : 0;

	if (!len || len > max)
		return POLICY_REJECT(r, node, "%s: expected a text of 1 to %zu bytes", r->what, max);
	*ret_text = strdup(node->text);
	return *ret_text ? 0 : -ENOMEM;
}

/* ---- lists ---- */

static int make_room(struct policy_reader *r, const struct pst_node *node, uint32_t n, struct policy_cond *c)
{
	size_t bytes = policy_element_bytes(policy_rows[c->key].type);

	if (n > POLICY_LIST_MAX)
		return POLICY_REJECT(r, node, "%s: more than %d elements", r->what, POLICY_LIST_MAX);
	r->set->n_elements += n;
	if (r->set->n_elements > POLICY_ELEMENTS_MAX)
		return POLICY_REJECT(r, node, "%s: here all lists have more than %d elements", r->what,
			POLICY_ELEMENTS_MAX);
	if (!bytes)
		return 0;
	c->patterns = calloc(n, bytes);
	return c->patterns ? 0 : -ENOMEM;
}

/* An element or a list of them. */
static int read_list(struct policy_reader *r, const struct pst_node *node, struct policy_cond *c)
{
	bool list = node->type == PST_NODE_SEQUENCE;
	int e;

	if (list && !node->n_children)
		return POLICY_REJECT(r, node, "%s: the list is empty: nothing could match", r->what);
	e = make_room(r, node, list ? node->n_children : 1, c);
	if (e)
		return e;
	if (!list)
		return policy_read_element(r, node, c);
	for (const struct pst_node *n = node->child; n; n = n->next) {
		int k = policy_read_element(r, n, c);

		if (k && k != -EINVAL)
			return k;
		e = e ? e : k;
	}
	return e;
}

static int read_namespaces(struct policy_reader *r, const struct pst_node *node, struct policy_cond *c)
{
	int e = 0;

	if (node->type != PST_NODE_MAPPING || !node->n_children)
		return POLICY_REJECT(
			r, node, "%s: expected kinds with host or other, such as {pid: host}", r->what);
	for (const struct pst_node *n = node->child; n; n = n->next) {
		unsigned kind;

		if (!policy_word(&policy_ns_kinds, n->key, &kind)) {
			pst_conf_error(r->ctx.errors, r->ctx.file, n->key_line, n->key_column,
				"%s: \"%.64s\" is no %s, %s", r->what, n->key, policy_ns_kinds.what,
				policy_hint(
					policy_word_near(&policy_ns_kinds, n->key), policy_ns_kinds.examples)
					.text);
			e = -EINVAL;
		} else if (n->type == PST_NODE_SCALAR && !strcmp(n->text, "host")) {
			c->ns_host |= (uint8_t)(1u << kind);
		} else if (n->type == PST_NODE_SCALAR && !strcmp(n->text, "other")) {
			c->ns_other |= (uint8_t)(1u << kind);
		} else {
			e = POLICY_REJECT(r, n, "%s: %s: expected host or other", r->what, n->key);
		}
	}
	return e;
}

static int read_true(struct policy_reader *r, const struct pst_node *node)
{
	bool on;

	if (node->type == PST_NODE_SCALAR && policy_yes(node->text, &on) && on)
		return 0;
	return POLICY_REJECT(r, node,
		"%s: expected true; what is in containers and what is not are both taken where neither "
		"containers nor host is there",
		r->what);
}

int policy_read_cond(
	struct policy_reader *r, const struct pst_node *node, enum policy_key key, struct policy_cond *c)
{
	const struct pst_node * not ;

	*c = (struct policy_cond){.key = (uint8_t)key, .line = node->line, .column = node->column};
	r->what = policy_rows[key].key;
	if (policy_rows[key].type == POLICY_T_NAMESPACES)
		return read_namespaces(r, node, c);
	if (policy_rows[key].type == POLICY_T_TRUE)
		return read_true(r, node);
	not = pst_node_get(node, "not");
	c->other = not != NULL;
	if (c->other && node->n_children == 1)
		return read_list(r, not, c);
	if (node->type == PST_NODE_MAPPING && (c->other || policy_rows[key].type != POLICY_T_PATTERNS))
		return POLICY_REJECT(
			r, node, "%s: expected a value, a list of values, or {not: value or list}", r->what);
	return read_list(r, node, c);
}

int policy_read_conds(
	struct policy_reader *r, const struct pst_node *mapping, unsigned in, struct policy_conds *conds)
{
	int e = 0;

	conds->v = calloc(POLICY_KEYS, sizeof(*conds->v));
	if (!conds->v)
		return -ENOMEM;
	for (unsigned key = 0; key < POLICY_KEYS; key++) {
		const struct pst_node *node =
			policy_rows[key].in & in ? pst_node_get(mapping, policy_rows[key].key) : NULL;
		int k = node ? policy_read_cond(r, node, key, &conds->v[conds->n++]) : 0;

		if (k && k != -EINVAL)
			return k;
		e = e ? e : k;
	}
	return e;
}
