// SPDX-License-Identifier: Apache-2.0
/*
 * What this kernel can do of rules. A rule whose operations differ in that becomes several, side by side and
 * with the same name, of which no act meets more than one.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "policyd/policy/force_internal.h"
#include "proto/base/cleanup.h"

const char *force_level_name(enum pst_pol_level level)
{
	static const char *const names[] = {"none", "observe", "kill", "deny"};

	return names[PST_MIN((unsigned)level, (unsigned)PST_LEVEL_DENY)];
}

/* Of what holds an act up or kills. */
static enum pst_pol_action hold(
	const struct policy *p, enum pst_pol_action want, enum pst_pol_level level, const char **ret_why)
{
	bool kills = want == PST_ACT_KILL || (want == PST_ACT_DENY && p->requires == POLICY_KILL);

	if (level == PST_LEVEL_KILL && kills) {
		*ret_why = p->requires == POLICY_DENY ? "it can be killed for, and not denied" : NULL;
		return PST_ACT_KILL;
	}
	if (level >= PST_LEVEL_DENY)
		return want;
	if (p->requires != POLICY_OBSERVE)
		*ret_why = level == PST_LEVEL_KILL ? "it can be killed for, and not denied"
			   : want == PST_ACT_KILL  ? "it can be told, and not killed for"
						   : "it can be told, and not denied";
	return PST_ACT_AUDIT;
}

enum pst_pol_action force_effect(const struct policy *p, const struct policy_rule *rule,
	enum policy_mode mode, enum pst_pol_level level, const char **ret_why)
{
	*ret_why = NULL;
	if (rule->action <= PST_ACT_ALLOW)
		return rule->action;
	if (level == PST_LEVEL_NONE) {
		*ret_why = "no program asks for it";
		return PST_ACT_NONE;
	}
	if (rule->action < PST_ACT_THROTTLE)
		return rule->action;
	if (mode == POLICY_AUDIT)
		return PST_ACT_AUDIT;
	return hold(p, rule->action, level, ret_why);
}

enum pst_pol_level force_level_of(const struct policy *p, const struct force_levels *levels)
{
	uint8_t least = PST_LEVEL_DENY;

	for (size_t i = 0; i < p->n; i++)
		for (uint64_t ops = p->rules[i].ops; ops; ops &= ops - 1)
			least = PST_MIN(least, levels->of[__builtin_ctzll(ops)]);
	return least;
}

/* ---- warnings ---- */

static void warn(const struct policy *p, uint32_t line, uint32_t column, const char *what,
	struct pst_conf_errors *warnings)
{
	pst_conf_error(warnings, p->file, line, column,
		"the policy \"%s\" has %s: nothing is taken by it yet", p->name, what);
}

void force_warn(const struct force_list *list, struct pst_conf_errors *warnings)
{
	for (size_t i = 0; i < list->n; i++) {
		const struct policy *p = list->v[i].p->policy;
		const struct policy_cond *c = policy_cond_of(&p->scope, POLICY_CONTAINERS);

		c = c ? c : policy_cond_of(&p->scope, POLICY_HOST);
		if (c)
			warn(p, c->line, c->column, "a scope of containers or of the host", warnings);
		for (size_t k = 0; k < p->n; k++) {
			c = policy_cond_of(&p->rules[k].conds, POLICY_ARGUMENTS);
			if (c)
				warn(p, c->line, c->column, "a rule with arguments", warnings);
		}
	}
}

/* ---- the set ---- */

void force_set_done(struct force_set *s)
{
	free(s->set.v);
	free(s->policies);
	free(s->rules);
	*s = (struct force_set){0};
}

static void lack(const struct policy *p, const struct policy_rule *rule, unsigned op, const char *why,
	struct pst_conf_errors *errors)
{
	pst_conf_error(errors, p->file, rule->line, rule->column,
		"the policy \"%s\", rule \"%s\": %s cannot be had of this kernel for %s: %s", p->name,
		rule->name, policy_actions.name(rule->action), policy_op_name(op), why);
}

/* Operations by what is done about them. What no program asks for is as it is written: it does nothing until
 * one comes. */
static bool sort_ops(const struct force_item *item, const struct policy_rule *rule,
	const struct force_levels *levels, struct pst_conf_errors *errors, uint64_t ret_ops[PST_ACTIONS])
{
	const struct policy *p = item->p->policy;
	bool enough = true;

	memset(ret_ops, 0, PST_ACTIONS * sizeof(*ret_ops));
	for (uint64_t ops = rule->ops; ops; ops &= ops - 1) {
		unsigned op = (unsigned)__builtin_ctzll(ops);
		const char *why;
		enum pst_pol_action does =
			force_effect(p, rule, item->mode, (enum pst_pol_level)levels->of[op], &why);

		ret_ops[does ? does : rule->action] |= PST_OP_BIT(op);
		if (!why)
			continue;
		enough = false;
		lack(p, rule, op, why, errors);
	}
	return enough;
}

static int put_rule(struct force_set *s, const struct force_item *item, const struct policy_rule *rule,
	const struct force_levels *levels, struct pst_conf_errors *errors)
{
	struct pst_conf_errors unsaid = {0};
	uint64_t ops[PST_ACTIONS];

	s->weaker += !sort_ops(item, rule, levels, errors ? errors : &unsaid, ops);
	pst_conf_errors_done(&unsaid);
	for (unsigned does = 0; does < PST_ACTIONS; does++) {
		if (!ops[does])
			continue;
		if (s->set.n_rules == PST_POL_RULES_MAX) {
			if (errors)
				pst_conf_error(errors, item->p->policy->file, rule->line, rule->column,
					"more than %d rules, as those whose operations this kernel treats "
					"differently count as several",
					PST_POL_RULES_MAX);
			return -E2BIG;
		}
		s->rules[s->set.n_rules] = *rule;
		s->rules[s->set.n_rules].ops = ops[does];
		s->rules[s->set.n_rules++].does = (enum pst_pol_action)does;
	}
	return 0;
}

static int put_policy(struct force_set *s, const struct force_item *item, const struct force_levels *levels,
	struct pst_conf_errors *errors)
{
	const struct policy *p = item->p->policy;
	struct policy *to = &s->policies[s->set.n];
	size_t first = s->set.n_rules;
	int e = 0;

	*to = *p;
	to->mode = item->mode;
	to->rules = s->rules + first;
	for (size_t i = 0; i < p->n && !e; i++)
		e = put_rule(s, item, &p->rules[i], levels, errors);
	to->n = s->set.n_rules - first;
	s->set.v[s->set.n++] = to;
	for (size_t i = 0; i < p->scope.n; i++)
		s->set.n_elements += p->scope.v[i].n;
	for (size_t i = 0; i < to->n; i++)
		for (size_t k = 0; k < to->rules[i].conds.n; k++)
			s->set.n_elements += to->rules[i].conds.v[k].n;
	return e;
}

int force_set_make(const struct force_list *list, const struct force_levels *levels, bool strict,
	struct pst_conf_errors *errors, struct force_set *ret_set)
{
	PST_CLEANUP(force_set_done)
	struct force_set s = {.set.v = calloc(list->n + 1, sizeof(struct policy *)),
		.policies = calloc(list->n + 1, sizeof(*s.policies)),
		.rules = calloc(PST_POL_RULES_MAX, sizeof(*s.rules))};
	int e = s.set.v && s.policies && s.rules ? 0 : -ENOMEM;
	unsigned refused = 0;

	for (size_t i = 0; i < list->n && !e; i++) {
		bool says = !strict || !list->v[i].lenient;
		unsigned weaker = s.weaker;

		if (list->v[i].mode == POLICY_OFF)
			continue;
		e = put_policy(&s, &list->v[i], levels, says ? errors : NULL);
		refused += strict && says ? s.weaker - weaker : 0;
	}
	if (!e && refused)
		e = -EPERM;
	if (e)
		return e;
	*ret_set = s;
	s = (struct force_set){0};
	return 0;
}
