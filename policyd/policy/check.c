// SPDX-License-Identifier: Apache-2.0
/* What no act can match, what the kernel cannot do, and what is probably not meant. */
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "policyd/fw/covers.h"
#include "policyd/policy/covers.h"
#include "policyd/policy/reader.h"
#include "proto/base/cleanup.h"

#define PAIRS_MAX                                                                                            \
	2000000 /* comparisons of rules and of elements, in search of those that are never reached */
#define ACTS_MASK(action) (1u << (action))

static const struct pst_node *node_of(const struct pst_node *mapping, enum policy_key key)
{
	return pst_node_get(mapping, policy_rows[key].key);
}

/* ---- one condition ---- */

static bool ids_are_all(const struct policy_cond *c, uint32_t max)
{
	for (uint32_t i = 0; i < c->n; i++)
		if (c->ranges[i].lo == 0 && c->ranges[i].hi >= max)
			return true;
	return false;
}

static bool addresses_are_all(const struct policy_cond *c)
{
	bool ip4 = false, ip6 = false;

	for (uint32_t i = 0; i < c->n; i++) {
		ip4 |= fw_prefix_is_ip4(&c->prefixes[i]) ? c->prefixes[i].len == 96 : false;
		ip6 |= c->prefixes[i].len == 0;
	}
	return ip4 && ip6;
}

static bool patterns_are_all(const struct policy_cond *c)
{
	static char root[] = "/";
	const struct policy_pattern all = {POLICY_TREE, root};

	for (uint32_t i = 0; i < c->n; i++)
		if (policy_pattern_covers(&c->patterns[i], &all) || !strcmp(c->patterns[i].text, "/**"))
			return true;
	return false;
}

static bool cgroups_are_all(const struct policy_cond *c)
{
	for (uint32_t i = 0; i < c->n; i++)
		if (!strcmp(c->patterns[i].text, "/"))
			return true;
	return false;
}

/* Is everything in the list, as far as one element says so? */
static bool is_all(const struct policy_cond *c)
{
	switch (policy_rows[c->key].type) {
	case POLICY_T_IDS:
		return ids_are_all(c, UINT32_MAX - 1);
	case POLICY_T_PORTS:
		return ids_are_all(c, 65535);
	case POLICY_T_ADDRESSES:
		return addresses_are_all(c);
	case POLICY_T_PATTERNS:
		return patterns_are_all(c);
	case POLICY_T_CGROUPS:
		return cgroups_are_all(c);
	default:
		return false;
	}
}

static int check_not(struct policy_reader *r, const struct pst_node *node, const struct policy_cond *c)
{
	if (!c->other || !is_all(c))
		return 0;
	return POLICY_REJECT(r, node, "%s: not: all there is: nothing could match", policy_rows[c->key].key);
}

static int check_nots(
	struct policy_reader *r, const struct pst_node *mapping, const struct policy_conds *conds)
{
	int e = 0;

	for (size_t i = 0; i < conds->n; i++) {
		int k = check_not(r, node_of(mapping, conds->v[i].key), &conds->v[i]);

		e = e ? e : k;
	}
	return e;
}

int policy_check_scope(struct policy_reader *r, const struct pst_node *node, const struct policy *p)
{
	if (policy_cond_of(&p->scope, POLICY_CONTAINERS) && policy_cond_of(&p->scope, POLICY_HOST))
		return POLICY_REJECT(r, node_of(node, POLICY_HOST),
			"host: nothing is in containers and in none: expected one of containers and host");
	return check_nots(r, node, &p->scope);
}

/* ---- conditions of a rule against each other ---- */

static int check_operations(
	struct policy_reader *r, const struct pst_node *node, const struct policy_rule *rule)
{
	int e = 0;

	for (size_t i = 0; i < rule->conds.n; i++) {
		enum policy_key key = rule->conds.v[i].key;
		uint64_t without = rule->ops & ~policy_key_ops(key);

		if (without)
			e = POLICY_REJECT(r, node_of(node, key),
				"%s: %s has none, so the rule could never take it: expected another rule for "
				"it",
				policy_rows[key].key, policy_op_name((unsigned)__builtin_ctzll(without)));
	}
	return e;
}

static bool has_bit(const struct policy_cond *c, unsigned bit)
{
	return (c->bits[bit / 64] >> bit % 64 & 1) != c->other;
}

static bool has_port_protocol(const struct policy_cond *c)
{
	return has_bit(c, IPPROTO_TCP) || has_bit(c, IPPROTO_UDP) || has_bit(c, IPPROTO_SCTP) ||
	       has_bit(c, IPPROTO_DCCP) || has_bit(c, IPPROTO_UDPLITE);
}

static bool has_family_address(const struct policy_cond *addresses, bool ip4)
{
	for (uint32_t i = 0; i < addresses->n; i++)
		if (fw_prefix_is_ip4(&addresses->prefixes[i]) == ip4)
			return true;
	return addresses->other;
}

static int check_endpoint(struct policy_reader *r, const struct pst_node *node, const struct policy_conds *c)
{
	const struct policy_cond *addresses = policy_cond_of(c, POLICY_ADDRESSES),
				 *ports = policy_cond_of(c, POLICY_PORTS),
				 *protocols = policy_cond_of(c, POLICY_PROTOCOLS),
				 *families = policy_cond_of(c, POLICY_FAMILIES);

	if (ports && protocols && !has_port_protocol(protocols))
		return POLICY_REJECT(r, node_of(node, ports->key),
			"ports: nothing could match: none of the protocols has ports");
	if (!families)
		return 0;
	if ((addresses || ports || protocols) && !has_bit(families, AF_INET) && !has_bit(families, AF_INET6))
		return POLICY_REJECT(r, node_of(node, families->key),
			"families: nothing could match: only inet and inet6 have addresses, ports and "
			"protocols");
	if (addresses && !(has_bit(families, AF_INET) && has_family_address(addresses, true)) &&
		!(has_bit(families, AF_INET6) && has_family_address(addresses, false)))
		return POLICY_REJECT(r, node_of(node, addresses->key),
			"addresses: nothing could match: none is of the families");
	return 0;
}

/* Who is in the scope and in the rule's own list? */
static int check_scope_of(struct policy_reader *r, const struct pst_node *node, const struct policy *p,
	const struct policy_conds *conds, enum policy_key key)
{
	const struct policy_cond *in = policy_cond_of(&p->scope, key), *own = policy_cond_of(conds, key);

	if (!in || !own || r->scope_refused || !policy_conds_apart(in, own))
		return 0;
	return POLICY_REJECT(r, node_of(node, key),
		"%s: nothing could match: the policy's scope has none of them", policy_rows[key].key);
}

/* ---- actions ---- */

#define MAY_HAVE_ERRNO (ACTS_MASK(PST_ACT_DENY) | ACTS_MASK(PST_ACT_THROTTLE))

static int check_action(struct policy_reader *r, const struct pst_node *node, const struct policy_rule *rule)
{
	const char *name = policy_actions.name(rule->action);

	if (rule->error && !(MAY_HAVE_ERRNO >> rule->action & 1))
		return POLICY_REJECT(r, pst_node_get(node, "errno"),
			"errno: what is %s gets no error: expected action deny or throttle",
			rule->action == PST_ACT_KILL ? "killed" : "let through");
	if (rule->rate && rule->action != PST_ACT_THROTTLE)
		return POLICY_REJECT(
			r, pst_node_get(node, "rate"), "rate: expected action throttle, not %s", name);
	if (!rule->rate && rule->action == PST_ACT_THROTTLE)
		return POLICY_REJECT(r, pst_node_get(node, "action"),
			"action: throttle needs a rate, such as rate: 100/1s");
	return 0;
}

/* Arguments are in the new program's memory, which is there when the old one is gone. */
static int check_arguments(struct policy_reader *r, const struct pst_node *node, const struct policy *p,
	const struct policy_rule *rule)
{
	const struct pst_node *arguments = node_of(node, POLICY_ARGUMENTS);
	const struct policy_rule *asks = r->asks = !r->asks && arguments ? rule : r->asks;

	if (!asks || !(rule->ops & PST_OP_BIT(PST_OP_PROCESS_EXEC)))
		return 0;
	if (arguments && p->requires == POLICY_DENY)
		return POLICY_REJECT(r, arguments,
			"arguments: they are known when the program has been started, too late to deny: "
			"expected "
			"requires: kill");
	if (!(MAY_HAVE_ERRNO >> rule->action & 1))
		return 0;
	if (asks == rule)
		return POLICY_REJECT(r, arguments,
			"arguments: they are known when the program has been started, too late to deny: "
			"expected "
			"action: kill");
	return POLICY_REJECT(r, pst_node_get(node, "action"),
		"action: the rule \"%.64s\" in line %u asks for arguments, which are known too late to %s "
		"process.exec after it: expected action: kill",
		asks->name ? asks->name : "", asks->line, policy_actions.name(rule->action));
}

int policy_check_rule(struct policy_reader *r, const struct pst_node *node, const struct policy *p,
	const struct policy_rule *rule)
{
	int e = check_operations(r, node, rule), k = check_nots(r, node, &rule->conds);

	e = e ? e : k;
	k = check_endpoint(r, node, &rule->conds);
	e = e ? e : k;
	k = check_action(r, node, rule);
	e = e ? e : k;
	k = check_arguments(r, node, p, rule);
	e = e ? e : k;
	k = check_scope_of(r, node, p, &rule->conds, POLICY_UIDS);
	e = e ? e : k;
	k = check_scope_of(r, node, p, &rule->conds, POLICY_EXECUTABLES);
	return e ? e : k;
}

/* ---- the policy ---- */

static int by_name(const void *a, const void *b)
{
	const struct policy_rule *x = *(const struct policy_rule *const *)a,
				 *y = *(const struct policy_rule *const *)b;
	int d = strcmp(x->name, y->name);

	return d ? d : (x > y) - (x < y);
}

static int check_names(struct policy_reader *r, const struct policy *p)
{
	PST_FREE const struct policy_rule **v = calloc(p->n, sizeof(*v));
	int e = 0;

	if (!v)
		return -ENOMEM;
	for (size_t i = 0; i < p->n; i++)
		v[i] = &p->rules[i];
	qsort(v, p->n, sizeof(*v), by_name);
	for (size_t i = 1; i < p->n; i++) {
		if (strcmp(v[i - 1]->name, v[i]->name) != 0)
			continue;
		pst_conf_error(r->ctx.errors, r->ctx.file, v[i]->line, v[i]->column,
			"the name \"%s\" is that of the rule in line %u already, expected another",
			v[i]->name, v[i - 1]->line);
		e = -EINVAL;
	}
	return e;
}

const struct policy_rule *policy_holds_host(const struct policy *p)
{
	for (size_t i = 0; i < p->scope.n; i++)
		if (p->scope.v[i].key != POLICY_HOST && !is_all(&p->scope.v[i]))
			return NULL;
	for (size_t i = 0; i < p->n; i++)
		if (p->rules[i].action >= PST_ACT_THROTTLE)
			return &p->rules[i];
	return NULL;
}

static void warn_of_host(struct policy_reader *r, const struct policy *p)
{
	const struct policy_rule *rule = p->mode == POLICY_OFF ? NULL : policy_holds_host(p);

	if (rule)
		pst_conf_error(r->warnings, r->ctx.file, rule->line, rule->column,
			"the rule \"%s\" can %s any process of the host: the policy \"%s\" has %s",
			rule->name, rule->action == PST_ACT_KILL ? "kill" : "hold up", p->name,
			p->scope.n ? "a scope that leaves none out" : "no scope");
}

static void warn_of_rule(
	struct policy_reader *r, const struct policy_rule *rule, const struct policy_rule *by)
{
	if (by)
		pst_conf_error(r->warnings, r->ctx.file, rule->line, rule->column,
			"the rule \"%s\" is never reached: \"%s\" in line %u takes all that it takes",
			rule->name, by->name, by->line);
	else
		pst_conf_error(r->warnings, r->ctx.file, rule->line, rule->column,
			"the rule \"%s\" is never reached: rules before it take all of its operations",
			rule->name);
}

/* Whole operations that are taken, and one rule against one other: what is certain in bounded time. */
static void warn_of_unreached(struct policy_reader *r, const struct policy *p)
{
	size_t budget = PAIRS_MAX;
	uint64_t taken = 0;

	for (size_t i = 0; i < p->n; i++) {
		const struct policy_rule *rule = &p->rules[i], *by = NULL;

		for (size_t j = 0; j < i && !by && budget; j++)
			by = policy_rule_covers(&p->rules[j], rule, &budget) ? &p->rules[j] : NULL;
		if (by || !(rule->ops & ~taken))
			warn_of_rule(r, rule, by);
		if (!rule->conds.n)
			taken |= rule->ops;
	}
}

int policy_check(struct policy_reader *r, const struct policy *p)
{
	int e = check_names(r, p);

	if (e || !r->warnings)
		return e;
	warn_of_host(r, p);
	warn_of_unreached(r, p);
	return 0;
}
