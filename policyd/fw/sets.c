// SPDX-License-Identifier: Apache-2.0
/* `sets:`: lists that have a name. What a set holds follows from its first element. */
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "policyd/fw/reader.h"

void fw_set_done(struct fw_set *set)
{
	free(set->addrs.v);
	free(set->ranges.v);
	free(set->ends.v);
}

void fw_sets_done(struct fw_reader *r)
{
	for (size_t i = 0; i < r->n_sets; i++)
		fw_set_done(&r->sets[i]);
	free(r->sets);
	fw_names_done(&r->set_names);
}

static const char *set_near(const struct fw_reader *r, const char *name)
{
	const char *names[FW_SETS_MAX];

	if (!fw_wants_hint(r))
		return NULL;
	for (size_t i = 0; i < r->n_sets; i++)
		names[i] = r->sets[i].name;
	return pst_conf_did_you_mean(name, names, r->n_sets);
}

size_t fw_set_size(const struct fw_set *set)
{
	return set->addrs.n + set->ranges.n + set->ends.n;
}

static const char *const holds_names[] = {
	[FW_HOLDS_UNKNOWN] = "nothing",
	[FW_HOLDS_ADDRESSES] = "addresses",
	[FW_HOLDS_PORTS] = "ports",
	[FW_HOLDS_ENDPOINTS] = "addresses with ports",
};

int fw_find_set(
	struct fw_reader *r, const struct pst_node *node, enum fw_holds holds, const struct fw_set **ret_set)
{
	const char *name = node->text + 1, *near;
	const struct fw_set *set;
	uint32_t i;

	if (!fw_names_find(&r->set_names, name, &i)) {
		near = set_near(r, name);
		return FW_REJECT(r, node, "%s: there is no set \"%.64s\"%s%s%s", r->what, name,
			near ? ", did you mean \"$" : ", expected one that is defined above",
			near ? near : "", near ? "\"?" : "");
	}
	set = &r->sets[i];
	if (set->bad)
		return -EINVAL;
	if (holds != FW_HOLDS_UNKNOWN && set->holds != FW_HOLDS_UNKNOWN && set->holds != holds)
		return FW_REJECT(r, node, "%s: the set \"%s\" holds %s, expected one of %s", r->what, name,
			holds_names[set->holds], holds_names[holds]);
	*ret_set = set;
	return 0;
}

static bool is_name(const char *name)
{
	size_t len = strlen(name);

	for (const char *c = name; *c; c++)
		if (!isalnum((unsigned char)*c) && !strchr("-_.", *c))
			return false;
	return len > 0 && len <= FW_NAME_MAX;
}

/* A number is a port; what is in brackets or has one colon is an address with a port. */
enum fw_holds fw_element_holds(const char *text)
{
	const char *colon = strchr(text, ':');

	if (isdigit((unsigned char)text[0]) && !strpbrk(text, ".:/"))
		return FW_HOLDS_PORTS;
	return text[0] == '[' || (colon && !strchr(colon + 1, ':')) ? FW_HOLDS_ENDPOINTS : FW_HOLDS_ADDRESSES;
}

/* What the first element that tells is. */
static enum fw_holds holds_of(const struct fw_reader *r, const struct pst_node *node)
{
	const struct pst_node *n = node->type == PST_NODE_SEQUENCE ? node->child : node;
	enum fw_holds holds = FW_HOLDS_UNKNOWN;

	for (; n && holds == FW_HOLDS_UNKNOWN; n = n->next) {
		uint32_t i;

		if (n->type != PST_NODE_SCALAR)
			return FW_HOLDS_ADDRESSES; /* which it is not: refused there */
		if (n->text[0] != '$')
			return fw_element_holds(n->text);
		if (fw_names_find(&r->set_names, n->text + 1, &i))
			holds = r->sets[i].holds;
		if (node->type != PST_NODE_SEQUENCE)
			break;
	}
	return holds;
}

static int read_elements(struct fw_reader *r, const struct pst_node *node, struct fw_set *set)
{
	if (node->type == PST_NODE_SEQUENCE && !node->n_children)
		return 0;
	switch (set->holds) {
	case FW_HOLDS_PORTS:
		return fw_read_each(r, node, fw_read_port, &set->ranges);
	case FW_HOLDS_ENDPOINTS:
		return fw_read_each(r, node, fw_read_endpoint, &set->ends);
	default:
		return fw_read_each(r, node, fw_read_prefix, &set->addrs);
	}
}

static int read_set(struct fw_reader *r, const struct pst_node *node)
{
	struct fw_set *set = &r->sets[r->n_sets];
	int e;

	if (!is_name(node->key)) {
		pst_conf_error(r->ctx.errors, r->ctx.file, node->key_line, node->key_column,
			"\"%.64s\" is no name of a set, expected 1 to %d letters, digits, \"-\", \"_\" or "
			"\".\"",
			node->key, FW_NAME_MAX);
		return -EINVAL;
	}
	*set = (struct fw_set){.name = node->key, .holds = holds_of(r, node)};
	snprintf(r->what, sizeof(r->what), "set %s", node->key);
	e = read_elements(r, node, set);
	e = e ? e : fw_set_change(r, node, set);
	set->bad = e != 0;
	/* only now can it be found: a set holds sets that are above it */
	if (fw_names_add(&r->set_names, set->name, (uint32_t)r->n_sets++) < 0)
		return -ENOMEM;
	return e;
}

int fw_sets_info(const struct fw_reader *r, struct fw_ruleset *set)
{
	set->sets = calloc(r->n_sets + 1, sizeof(*set->sets));
	if (!set->sets)
		return -ENOMEM;
	for (size_t i = 0; i < r->n_sets; i++) {
		struct fw_set_info *info = &set->sets[i];

		*info = (struct fw_set_info){.holds = r->sets[i].holds, .n = fw_set_size(&r->sets[i])};
		info->name = strdup(r->sets[i].name);
		if (!info->name)
			return -ENOMEM;
		set->n_sets++;
	}
	return 0;
}

int fw_read_sets(struct fw_reader *r, const struct pst_node *node)
{
	if (node->type != PST_NODE_MAPPING)
		return FW_REJECT(
			r, node, "sets: expected names with lists, such as {office: [192.0.2.0/24]}");
	if (node->n_children > FW_SETS_MAX)
		return FW_REJECT(r, node, "sets: more than %d sets", FW_SETS_MAX);
	r->sets = calloc(node->n_children + 1, sizeof(*r->sets));
	if (!r->sets)
		return -ENOMEM;
	for (const struct pst_node *n = node->child; n; n = n->next) {
		int e = read_set(r, n);

		if (e && e != -EINVAL && e != -E2BIG)
			return e;
	}
	return 0;
}
