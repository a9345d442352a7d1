// SPDX-License-Identifier: Apache-2.0
/* `sets:`: lists that have a name. What a set holds follows from its first element. */
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "policyd/fw/reader.h"

void fw_sets_done(struct fw_reader *r)
{
	for (size_t i = 0; i < r->n_sets; i++) {
		free(r->sets[i].addrs.v);
		free(r->sets[i].ranges.v);
	}
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

int fw_find_set(struct fw_reader *r, const struct pst_node *node, bool ports, const struct fw_set **ret_set)
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
	if (set->ports != ports)
		return FW_REJECT(r, node, "%s: the set \"%s\" holds %s, expected one of %s", r->what, name,
			set->ports ? "ports" : "addresses", ports ? "ports" : "addresses");
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

/* A number is a port; what is no number is an address. */
static bool holds_ports(const struct fw_reader *r, const struct pst_node *node)
{
	const struct pst_node *first = node->type == PST_NODE_SEQUENCE ? node->child : node;
	uint32_t i;

	if (!first || first->type != PST_NODE_SCALAR)
		return false;
	if (first->text[0] == '$')
		return fw_names_find(&r->set_names, first->text + 1, &i) && r->sets[i].ports;
	return isdigit((unsigned char)first->text[0]) && !strpbrk(first->text, ".:/");
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
	*set = (struct fw_set){.name = node->key, .ports = holds_ports(r, node)};
	snprintf(r->what, sizeof(r->what), "set %s", node->key);
	if (set->ports)
		e = fw_read_each(r, node, fw_read_port, &set->ranges);
	else
		e = fw_read_each(r, node, fw_read_prefix, &set->addrs);
	set->bad = e != 0;
	/* only now can it be found: a set holds sets that are above it */
	if (fw_names_add(&r->set_names, set->name, (uint32_t)r->n_sets++) < 0)
		return -ENOMEM;
	return e;
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
