// SPDX-License-Identifier: Apache-2.0
/* Acts as the numbers that hooks gather, and the look-up of the kernel programs in user space. */
#include <string.h>

#include "proto/abi/lookup/policy.h"
#include "policyd/policy/compile.h"
#include "proto/base/cleanup.h"

/* What is no absolute path is in no list: no class says anything of it. */
static uint32_t path_facts(const struct policy_tables *t, const char *path, uint32_t known,
	uint32_t ret_classes[PST_PATHS_AUTOMATA])
{
	size_t len = path ? strlen(path) : 0;

	if (!path || len > PST_PATH_MAX)
		return 0;
	if (*path == '/')
		path_lookup(t->room.paths, t->room.n_paths, (const uint8_t *)path, len, ret_classes);
	return known;
}

static uint32_t subject_facts(const struct policy_tables *t, const struct policy_act *act, struct pst_act *a)
{
	uint32_t known = path_facts(t, act->executable, PST_KNOWN_EXECUTABLE, a->executable);

	a->uid = act->uid;
	a->gid = act->gid;
	a->holds = act->holds;
	a->gained = act->gained;
	a->ns = act->ns_host | (act->container ? PST_ACT_CONTAINER : 0);
	a->ns |= act->unknown & POLICY_UNKNOWN_CONTAINER ? PST_ACT_SOMEWHERE : 0;
	known |= act->unknown & POLICY_UNKNOWN_GAINED ? 0 : PST_KNOWN_GAINED;
	known |= act->unknown & POLICY_UNKNOWN_NS ? 0 : PST_KNOWN_NS;
	if (act->parent) {
		a->parent = policy_name_key(&t->head, act->parent);
		known |= PST_KNOWN_PARENT;
	}
	if (!act->ancestors)
		return known;
	a->n_ancestors = (uint32_t)PST_MIN(act->n_ancestors, (size_t)PST_POL_ANCESTORS);
	for (uint32_t i = 0; i < a->n_ancestors; i++)
		a->ancestor[i] = policy_name_key(&t->head, act->ancestors[i]);
	return known | PST_KNOWN_ANCESTORS;
}

static bool is_ip4(const uint8_t *address)
{
	static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};

	return !memcmp(address, mapped, sizeof(mapped));
}

static uint32_t net_facts(const struct policy_act *act, struct pst_act *a)
{
	uint32_t known = 0;

	if (act->has_address) {
		memcpy(a->addr, act->address, sizeof(a->addr));
		a->is_ip6 = !is_ip4(act->address);
		known |= PST_KNOWN_ADDRESS;
	}
	if (act->port >= 0 && act->port <= UINT16_MAX) {
		a->port = (uint16_t)act->port;
		known |= PST_KNOWN_PORT;
	}
	if (act->protocol >= 0 && act->protocol <= UINT8_MAX) {
		a->protocol = (uint8_t)act->protocol;
		known |= PST_KNOWN_PROTOCOL;
	}
	if (act->family >= 0 && act->family <= UINT8_MAX) {
		a->family = (uint8_t)act->family;
		known |= PST_KNOWN_FAMILY;
	}
	return known;
}

/* Lists that one of the arguments is in. */
static void argument_facts(const struct policy_tables *t, const struct policy_act *act, struct pst_act *a)
{
	for (uint32_t n = 0; n < t->n_arguments; n++) {
		const struct policy_cond *c = t->arguments[n];
		bool in = false;

		for (size_t i = 0; i < act->n_arguments && !in; i++)
			for (uint32_t k = 0; k < c->n && !in; k++)
				in = policy_pattern_takes(&c->patterns[k], act->arguments[i]);
		a->arguments[n / 64] |= (uint64_t)in << n % 64;
	}
}

static uint32_t object_facts(const struct policy_tables *t, const struct policy_act *act, struct pst_act *a)
{
	uint32_t known = path_facts(t, act->path, PST_KNOWN_PATH, a->path);

	known |= path_facts(t, act->path_to, PST_KNOWN_PATH_TO, a->path_to);
	known |= path_facts(t, act->target, PST_KNOWN_TARGET, a->target);
	a->file = (uint8_t)((act->flags & 15) << 4 | (act->access & 15));
	known |= act->unknown & POLICY_UNKNOWN_FILE ? 0 : PST_KNOWN_FILE;
	a->capabilities = act->capabilities;
	if (act->signal >= 0 && act->signal <= UINT8_MAX) {
		a->signal = (uint8_t)act->signal;
		known |= PST_KNOWN_SIGNAL;
	}
	if (act->module) {
		a->module = policy_name_key(&t->head, act->module);
		known |= PST_KNOWN_MODULE;
	}
	if (act->arguments) {
		argument_facts(t, act, a);
		known |= PST_KNOWN_ARGUMENTS;
	}
	return known | net_facts(act, a);
}

void policy_facts(
	const struct policy_tables *t, const struct policy_act *act, uint64_t cgroup, struct pst_act *ret_act)
{
	memset(ret_act, 0, sizeof(*ret_act));
	ret_act->op = act->op;
	ret_act->cgroup = cgroup;
	ret_act->known = subject_facts(t, act, ret_act);
	ret_act->known |= object_facts(t, act, ret_act);
}

struct policy_found policy_lookup(const union pst_line *lines, uint32_t n_lines, const struct pst_act *act)
{
	const struct pst_half half = {.lines = lines, .mask = n_lines - 1};
	const struct pst_pol_head *head = (const struct pst_pol_head *)lines;
	struct pst_pol_search s;

	if (!(head->ops & PST_OP_BIT(act->op & (PST_OPS_MAX - 1))))
		return (struct policy_found){.rule = PST_POL_NO_RULE};
	pst_pol_subject(&half, head, act, &s);
	pst_pol_subject_lists(&half, head, act, &s);
	pst_pol_object(&half, head, act, &s);
	pst_pol_object_lists(&half, head, act, &s);
	pst_pol_begin(&half, head, &s);
	for (int i = 0; i < PST_POL_STEPS && !pst_pol_is_over(&s); i++)
		pst_pol_step(&half, head, act, &s);
	return (struct policy_found){.rule = s.rule, .visits = s.visits, .cut = pst_pol_is_cut(act, &s)};
}

struct policy_verdict policy_tables_verdict(const struct policy_tables *t, const struct policy_found *found)
{
	const struct policy_rule_at *r = found->rule < t->n_rules ? &t->rules[found->rule] : NULL;

	if (!r)
		return (struct policy_verdict){0};
	return (struct policy_verdict){.action = policy_effect(r->policy, r->rule),
		.would = r->rule->action,
		.policy = r->policy,
		.rule = r->rule};
}
