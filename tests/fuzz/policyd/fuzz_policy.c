// SPDX-License-Identifier: Apache-2.0
/* Any bytes as policies and, behind a NUL, an act; what is accepted is judged, and the verdict held against
 * each policy's. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "policyd/policy/act.h"
#include "policyd/policy/covers.h"

#define RULES_MAX 30 /* of a policy, that are compared one by one */

static bool takes(const struct policy *p, size_t rule, const struct policy_act *act)
{
	struct policy one = *p;

	one.mode = POLICY_ENFORCE;
	one.scope.n = 0;
	one.rules = &p->rules[rule];
	one.n = 1;
	return policy_match(&one, act) != NULL;
}

/* A rule takes all that one takes which it covers. */
static void check_covers(const struct policy *p, const struct policy_act *act)
{
	size_t budget = 100000, n = p->n < RULES_MAX ? p->n : RULES_MAX;

	for (size_t i = 0; i < n; i++)
		for (size_t j = 0; j < n; j++)
			if (policy_rule_covers(&p->rules[i], &p->rules[j], &budget) && takes(p, j, act) &&
				!takes(p, i, act))
				abort();
}

static void check_verdict(const struct policy_set *set, const struct policy_act *act)
{
	const struct policy_verdict v = policy_judge(set, act);

	if (!v.rule != !v.policy || !v.rule != !v.action || v.would < v.action)
		abort();
	for (size_t i = 0; i < set->n; i++) {
		const struct policy_rule *rule = policy_match(set->v[i], act);

		if (rule && policy_effect(set->v[i], rule) > v.action)
			abort();
		check_covers(set->v[i], act);
	}
	if (v.rule && policy_match(v.policy, act) != v.rule)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const uint8_t *nul = memchr(data, 0, size);
	size_t len = nul ? (size_t)(nul - data) : size;
	char *text = nul ? strndup((const char *)nul + 1, size - len - 1)
			 : strdup("{operation: file.open, path: /etc/x}");
	struct pst_conf_errors errors = {0}, warnings = {0}, act_errors = {0};
	struct policy_set set = {0};
	struct policy_act_text act;
	int e = policy_parse(&set, "fuzz.yaml", data, len, &errors, &warnings);

	if (!text || !e != !errors.count)
		abort();
	if (!policy_act_parse(text, &act_errors, &act)) {
		if (!e)
			check_verdict(&set, &act.act);
		policy_act_done(&act);
	}
	free(text);
	policy_set_done(&set);
	pst_conf_errors_done(&errors);
	pst_conf_errors_done(&warnings);
	pst_conf_errors_done(&act_errors);
	return 0;
}
