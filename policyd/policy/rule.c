// SPDX-License-Identifier: Apache-2.0
/* A rule's keys. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "policyd/fw/words.h"
#include "policyd/policy/reader.h"
#include "proto/base/cleanup.h"

#define RATE_MAX        1000000
#define WITHIN_MAX_NS   86400000000000ull
#define DESCRIPTION_MAX 4096

struct keys {
	const char *names[POLICY_KEYS + 8];
	size_t n;
};

int policy_reject_key(struct policy_reader *r, const struct pst_node *node, const char *what,
	const char *const *known, size_t n, const char *expected)
{
	pst_conf_error(r->ctx.errors, r->ctx.file, node->key_line, node->key_column,
		"unknown key \"%.64s\" of %s, %s", node->key, what,
		policy_hint(
			policy_wants_hint(r) ? pst_conf_did_you_mean(node->key, known, n) : NULL, expected)
			.text);
	return -EINVAL;
}

static int read_name(struct policy_reader *r, const struct pst_node *node, struct policy_rule *rule)
{
	int e = policy_read_text(r, node, POLICY_NAME_MAX, &rule->name);

	for (const unsigned char *p = e ? NULL : (unsigned char *)rule->name; p && *p; p++)
		if (*p < 0x20 || *p == 0x7f)
			return POLICY_REJECT(r, node, "name: expected a text without control characters");
	return e;
}

static int read_description(struct policy_reader *r, const struct pst_node *node, struct policy_rule *rule)
{
	PST_FREE char *text = NULL;

	(void)rule;
	return policy_read_text(r, node, DESCRIPTION_MAX, &text);
}

static int add_op(struct policy_reader *r, const struct pst_node *node, struct policy_rule *rule)
{
	unsigned op;
	int e = policy_read_word(r, node, &policy_op_words, &op);

	if (!e)
		rule->ops |= PST_OP_BIT(op);
	return e;
}

static int read_operations(struct policy_reader *r, const struct pst_node *node, struct policy_rule *rule)
{
	int e = 0;

	if (node->type != PST_NODE_SEQUENCE)
		return add_op(r, node, rule);
	if (!node->n_children)
		return POLICY_REJECT(r, node, "operations: the list is empty: nothing could match");
	for (const struct pst_node *n = node->child; n; n = n->next) {
		int k = add_op(r, n, rule);

		e = e ? e : k;
	}
	return e;
}

static int read_action(struct policy_reader *r, const struct pst_node *node, struct policy_rule *rule)
{
	unsigned action;
	int e = policy_read_word(r, node, &policy_actions, &action);

	if (!e)
		rule->action = (enum pst_pol_action)action;
	return e;
}

static int read_errno(struct policy_reader *r, const struct pst_node *node, struct policy_rule *rule)
{
	unsigned error;
	int e = policy_read_word(r, node, &policy_errnos, &error);

	if (!e)
		rule->error = (int)error;
	return e;
}

/* "100/1s" */
static int read_rate(struct policy_reader *r, const struct pst_node *node, struct policy_rule *rule)
{
	const char *slash = node->type == PST_NODE_SCALAR ? strchr(node->text, '/') : NULL;
	uint32_t rate = 0;
	char number[16] = "";

	if (slash && (size_t)(slash - node->text) < sizeof(number))
		memcpy(number, node->text, (size_t)(slash - node->text));
	if (!slash || !fw_number(number, RATE_MAX, &rate) || !rate ||
		pst_conf_parse_time(slash + 1, &rule->within_ns) < 0 || !rule->within_ns ||
		rule->within_ns > WITHIN_MAX_NS)
		return POLICY_REJECT(
			r, node, "rate: expected 1 to %d times in up to a day, such as 100/1s", RATE_MAX);
	rule->rate = rate;
	return 0;
}

static const struct {
	const char *key;
	int (*read)(struct policy_reader *r, const struct pst_node *node, struct policy_rule *rule);
} own[] = {
	{"name", read_name},
	{"description", read_description},
	{"operations", read_operations},
	{"action", read_action},
	{"errno", read_errno},
	{"rate", read_rate},
};

static struct keys known_keys(void)
{
	struct keys k = {.n = 0};

	for (size_t i = 0; i < PST_ARRAY_SIZE(own); i++)
		k.names[k.n++] = own[i].key;
	for (unsigned i = 0; i < POLICY_KEYS; i++)
		if (policy_rows[i].in & POLICY_IN_RULE)
			k.names[k.n++] = policy_rows[i].key;
	return k;
}

static int check_key(struct policy_reader *r, const struct pst_node *node, const struct keys *known)
{
	for (size_t i = 0; i < known->n; i++)
		if (!strcmp(known->names[i], node->key))
			return 0;
	for (unsigned i = 0; i < POLICY_KEYS; i++) {
		if (strcmp(policy_rows[i].key, node->key) != 0)
			continue;
		pst_conf_error(r->ctx.errors, r->ctx.file, node->key_line, node->key_column,
			"%s says who is judged: expected it in the policy's scope", node->key);
		return -EINVAL;
	}
	return policy_reject_key(r, node, "a rule", known->names, known->n,
		"name, operations, action, errno, rate or a condition such as paths");
}

static int read_keys(struct policy_reader *r, const struct pst_node *node, struct policy_rule *rule)
{
	const struct keys known = known_keys();
	int e = 0, k;

	for (const struct pst_node *n = node->child; n; n = n->next) {
		k = check_key(r, n, &known);
		e = e ? e : k;
	}
	for (size_t i = 0; i < PST_ARRAY_SIZE(own); i++) {
		const struct pst_node *n = pst_node_get(node, own[i].key);

		r->what = own[i].key;
		k = n ? own[i].read(r, n, rule) : 0;
		if (k == -ENOMEM)
			return k;
		e = e ? e : k;
	}
	k = policy_read_conds(r, node, POLICY_IN_RULE, &rule->conds);
	return k == -ENOMEM ? k : e ? e : k;
}

/* What must be there. */
static int check_present(struct policy_reader *r, const struct pst_node *node)
{
	static const char *const must[][2] = {{"name", "one that no other rule of the policy has"},
		{"operations", "a list such as [file.open]"},
		{"action", "allow, audit, alert, throttle, deny or kill"}};
	int e = 0;

	for (size_t i = 0; i < PST_ARRAY_SIZE(must); i++)
		if (!pst_node_get(node, must[i][0]))
			e = POLICY_REJECT(r, node, "the rule has no %s, expected %s", must[i][0], must[i][1]);
	return e;
}

static int read_rule(struct policy_reader *r, const struct pst_node *node, struct policy *p)
{
	struct policy_rule *rule = &p->rules[p->n++];
	int e, k;

	rule->line = node->line;
	rule->column = node->column;
	if (node->type != PST_NODE_MAPPING)
		return POLICY_REJECT(r, node,
			"expected a rule such as {name: no bpf, operations: [process.bpf], action: deny}");
	e = read_keys(r, node, rule);
	if (e == -ENOMEM)
		return e;
	k = check_present(r, node);
	return e ? e : k ? k : policy_check_rule(r, node, p, rule);
}

int policy_read_rules(struct policy_reader *r, const struct pst_node *node, struct policy *p)
{
	int e = 0;

	if (node->type != PST_NODE_SEQUENCE || !node->n_children)
		return POLICY_REJECT(r, node, "rules: expected a list of rules");
	if (r->set->n_rules + node->n_children > POLICY_RULES_MAX)
		return POLICY_REJECT(r, node, "here all policies have more than %d rules", POLICY_RULES_MAX);
	r->set->n_rules += node->n_children;
	p->rules = calloc(node->n_children, sizeof(*p->rules));
	if (!p->rules)
		return -ENOMEM;
	for (const struct pst_node *n = node->child; n; n = n->next) {
		int k = read_rule(r, n, p);

		if (k == -ENOMEM)
			return k;
		e = e ? e : k;
	}
	return e;
}
