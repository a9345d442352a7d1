// SPDX-License-Identifier: Apache-2.0
/* The firewall's document: policy, sets, rules. */
#include "policyd/fw/parse.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "policyd/fw/covers.h"
#include "policyd/fw/reader.h"
#include "proto/base/cleanup.h"

static void reader_done(struct fw_reader *r)
{
	fw_sets_done(r);
	fw_names_done(&r->rule_names);
}

static int read_policy(struct fw_reader *r, const struct pst_node *node, struct fw_ruleset *set)
{
	uint16_t action;

	if (node->type != PST_NODE_SCALAR || !fw_word_value(&fw_actions, node->text, &action) ||
		(action != PST_FW_ACCEPT && action != PST_FW_DROP))
		return FW_REJECT(r, node, "policy: expected accept or drop");
	set->policy = action;
	return 0;
}

static int read_rules(struct fw_reader *r, const struct pst_node *node, struct fw_ruleset *set)
{
	if (node->type != PST_NODE_SEQUENCE)
		return FW_REJECT(r, node, "rules: expected a list of rules");
	set->rules = calloc(PST_MIN(node->n_children, PST_FW_RULES_MAX) + 1, sizeof(*set->rules));
	if (!set->rules)
		return -ENOMEM;
	for (const struct pst_node *n = node->child; n; n = n->next) {
		struct fw_rule *rule = &set->rules[set->n];
		int e;

		if (set->n == PST_FW_RULES_MAX)
			return FW_REJECT(r, n, "more than %d rules", PST_FW_RULES_MAX);
		rule->counter = (uint32_t)set->n;
		rule->id = (uint32_t)++set->n;
		e = fw_read_rule(r, n, rule);
		if (e == -ENOMEM)
			return e;
	}
	return 0;
}

static int read_key(struct fw_reader *r, const struct pst_node *node)
{
	static const char *const keys[] = {"policy", "sets", "rules"};
	const char *near;

	for (size_t i = 0; i < PST_ARRAY_SIZE(keys); i++)
		if (!strcmp(keys[i], node->key))
			return 0;
	near = pst_conf_did_you_mean(node->key, keys, PST_ARRAY_SIZE(keys));
	pst_conf_error(r->ctx.errors, r->ctx.file, node->key_line, node->key_column,
		"unknown key \"%.64s\" of the firewall%s%s%s", node->key,
		near ? ", did you mean \"" : ", expected policy, sets or rules", near ? near : "",
		near ? "\"?" : "");
	return -EINVAL;
}

/* Sets are read before rules, wherever they stand. */
static int read_firewall(struct fw_reader *r, const struct pst_doc *doc, struct fw_ruleset *set)
{
	const struct pst_node *root = pst_doc_root(doc), *top = pst_node_get(root, "firewall"), *node;
	int e = 0;

	if (!top || top->type != PST_NODE_MAPPING || root->n_children != 1)
		return FW_REJECT(r, top ? top : root,
			"expected one key, firewall, with policy, sets and rules below it");
	for (node = top->child; node; node = node->next)
		read_key(r, node);
	node = pst_node_get(top, "policy");
	if (node)
		read_policy(r, node, set);
	node = pst_node_get(top, "sets");
	if (node)
		e = fw_read_sets(r, node);
	node = pst_node_get(top, "rules");
	if (node && e != -ENOMEM)
		e = read_rules(r, node, set);
	return e ? e : fw_sets_info(r, set);
}

/* ICMP of the family that the rule does not take: a slip, though such packets can be made. */
static void warn_of_icmp(const struct fw_reader *r, const struct pst_node *node, const struct fw_rule *rule,
	struct pst_conf_errors *warnings)
{
	unsigned kinds = fw_rule_kinds(rule);
	bool other = rule->protocols[1] | rule->protocols[2] | rule->protocols[3];
	uint64_t protocols = rule->has & FW_HAS_PROTO && !other ? rule->protocols[0] : 0;

	if ((kinds == FW_KIND_IP6 && protocols == 1ULL << 1) ||
		(kinds == FW_KIND_IP4 && protocols == 1ULL << 58))
		pst_conf_error(warnings, r->ctx.file, node->line, node->column,
			"the rule \"%s\" takes ICMP%s in IPv%u packets, did you mean \"icmp%s\"?", rule->name,
			kinds == FW_KIND_IP4 ? "v6" : "", kinds == FW_KIND_IP4 ? 4 : 6,
			kinds == FW_KIND_IP4 ? "" : "v6");
}

static int warn(const struct fw_reader *r, const struct pst_node *rules, const struct fw_ruleset *set,
	struct pst_conf_errors *warnings)
{
	PST_FREE long *by = malloc((set->n + 1) * sizeof(*by));
	PST_FREE uint32_t *lines = calloc(set->n + 1, sizeof(*lines));
	size_t i = 0;

	if (!by || !lines || fw_shadowed(set, by) < 0)
		return -ENOMEM;
	for (const struct pst_node *n = rules ? rules->child : NULL; n && i < set->n; n = n->next, i++) {
		lines[i] = n->line;
		warn_of_icmp(r, n, &set->rules[i], warnings);
		if (by[i] >= 0)
			pst_conf_error(warnings, r->ctx.file, n->line, n->column,
				"no packet reaches the rule \"%s\": \"%s\" in line %u takes all that it "
				"takes",
				set->rules[i].name, set->rules[by[i]].name, lines[by[i]]);
	}
	return 0;
}

int fw_parse(const char *name, const char *text, size_t len, const struct fw_context *context,
	struct pst_conf_errors *errors, struct pst_conf_errors *warnings, struct fw_ruleset **ret_set)
{
	static const struct pst_doc_bounds bounds = {.bytes = FW_TEXT_MAX, .nodes = FW_NODES_MAX};
	PST_CLEANUP(fw_ruleset_freep) struct fw_ruleset *set = calloc(1, sizeof(*set));
	PST_CLEANUP(pst_doc_freep) struct pst_doc *doc = NULL;
	PST_CLEANUP(reader_done)
	struct fw_reader r = {.ctx = {.file = name, .errors = errors}, .context = context};
	uint32_t before = errors->count;
	int e = set ? pst_doc_parse_within(name, text, len, &bounds, errors, &doc) : -ENOMEM;

	if (e)
		return e;
	e = read_firewall(&r, doc, set);
	if (!e && errors->count == before && warnings)
		e = warn(&r, pst_node_get(pst_node_get(pst_doc_root(doc), "firewall"), "rules"), set,
			warnings);
	if (e == -ENOMEM)
		pst_conf_error(errors, name, 0, 0, "out of memory");
	if (!e && errors->count != before)
		e = -EINVAL;
	if (!e)
		*ret_set = PST_TAKE_PTR(set);
	return e;
}
