// SPDX-License-Identifier: Apache-2.0
#include "policyd/policy/policy.h"

#include <stdlib.h>

static void cond_done(struct policy_cond *c)
{
	switch (policy_rows[c->key].type) {
	case POLICY_T_PATTERNS:
	case POLICY_T_FILES:
	case POLICY_T_CGROUPS:
	case POLICY_T_GLOBS:
	case POLICY_T_NAMES:
		for (uint32_t i = 0; i < c->n; i++)
			free(c->patterns[i].text);
		free(c->patterns);
		break;
	case POLICY_T_IDS:
	case POLICY_T_PORTS:
		free(c->ranges);
		break;
	case POLICY_T_ADDRESSES:
		free(c->prefixes);
		break;
	default:
		break;
	}
}

static void conds_done(struct policy_conds *conds)
{
	for (size_t i = 0; i < conds->n; i++)
		cond_done(&conds->v[i]);
	free(conds->v);
}

void policy_free(struct policy *p)
{
	if (!p)
		return;
	for (size_t i = 0; i < p->n; i++) {
		free(p->rules[i].name);
		conds_done(&p->rules[i].conds);
	}
	free(p->rules);
	conds_done(&p->scope);
	free(p->name);
	free(p->file);
	free(p);
}

void policy_freep(struct policy **policy)
{
	policy_free(*policy);
}

void policy_set_done(struct policy_set *set)
{
	for (size_t i = 0; i < set->n; i++)
		policy_free(set->v[i]);
	free(set->v);
	fw_names_done(&set->names);
	*set = (struct policy_set){0};
}

const struct policy_cond *policy_cond_of(const struct policy_conds *conds, enum policy_key key)
{
	for (size_t i = 0; i < conds->n; i++)
		if (conds->v[i].key == key)
			return &conds->v[i];
	return NULL;
}
