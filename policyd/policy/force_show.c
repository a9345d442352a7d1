// SPDX-License-Identifier: Apache-2.0
/* Which policies there are, and what they say. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "policyd/policy/force_internal.h"
#include "proto/base/cleanup.h"

#define POLICIES_A_REPLY 500u
#define RULES_A_REPLY    1000u
#define TEXT_A_REPLY     (512u << 10)

static struct force_levels levels_of(const struct force *f)
{
	return force_tables_levels(&f->tables);
}

static void put_policy(struct pst_buf *out, const struct force_item *item, const struct force_levels *levels)
{
	const struct policy *p = item->p->policy;

	pst_mp_array(out, 6);
	pst_mp_str(out, p->name);
	pst_mp_str(out, policy_modes.name(item->mode));
	pst_mp_str(out, p->file);
	pst_mp_uint(out, p->n);
	pst_mp_str(out, p->requires == POLICY_AS_RULES ? "" : policy_needs.name(p->requires));
	pst_mp_str(out, force_level_name(force_level_of(p, levels)));
}

uint64_t force_seconds_left(const struct force *f)
{
	uint64_t now = pst_now_boot_ns();

	return f->until_ns > now ? (f->until_ns - now + 999999999) / 1000000000 : 0;
}

/* {from, limit} -> {generation, state, error, until_s, total, policies: [[name, mode, file, rules, requires,
 * level]]} */
int force_on_list(void *arg, const msgpack_object *request, struct pst_buf *reply, char *error, size_t size)
{
	const struct force *f = arg;
	const struct force_list *list = force_latest(f);
	const struct force_levels levels = levels_of(f);
	uint64_t from = 0, limit = POLICIES_A_REPLY, n;

	(void)error;
	(void)size;
	pst_ctl_u64(request, "from", &from);
	pst_ctl_u64(request, "limit", &limit);
	from = PST_MIN(from, (uint64_t)list->n);
	n = PST_MIN(list->n - from, PST_MIN(limit, (uint64_t)POLICIES_A_REPLY));
	pst_mp_map(reply, 6);
	force_put_uint(reply, "generation", guard_generation(&f->tables.half));
	force_put_text(reply, "state", force_state_name(f));
	force_put_text(reply, "error", force_error(f));
	force_put_uint(reply, "until_s", force_seconds_left(f));
	force_put_uint(reply, "total", list->n);
	pst_mp_str(reply, "policies");
	pst_mp_array(reply, (uint32_t)n);
	for (uint64_t i = from; i < from + n; i++)
		put_policy(reply, &list->v[i], &levels);
	return 0;
}

/* ---- one ---- */

/* What is done, and for which operations where that differs. */
static void put_achieved(struct pst_buf *out, const struct force_item *item, const struct policy_rule *rule,
	const struct force_levels *levels)
{
	uint64_t by[PST_ACTIONS] = {0};
	PST_FREE char *text = NULL;
	size_t len;
	FILE *f = open_memstream(&text, &len);

	for (uint64_t ops = rule->ops; ops; ops &= ops - 1) {
		unsigned op = (unsigned)__builtin_ctzll(ops);
		const char *why;

		by[force_effect(item->p->policy, rule, item->mode, (enum pst_pol_level)levels->of[op],
			&why)] |= PST_OP_BIT(op);
	}
	for (unsigned does = PST_ACTIONS; f && does--;) {
		const char *sep = " of ";

		if (!by[does])
			continue;
		fprintf(f, "%s%s", ftell(f) ? "; " : "", does ? policy_actions.name(does) : "nothing");
		for (uint64_t ops = by[does] == rule->ops ? 0 : by[does]; ops; ops &= ops - 1, sep = ", ")
			fprintf(f, "%s%s", sep, policy_op_name((unsigned)__builtin_ctzll(ops)));
	}
	pst_mp_str(out, f && !fclose(f) ? text : "");
}

static void put_ops(struct pst_buf *out, uint64_t ops)
{
	char text[1024] = "";
	size_t len = 0;

	for (; ops && len < sizeof(text); ops &= ops - 1)
		len += (size_t)snprintf(text + len, sizeof(text) - len, "%s%s", len ? ", " : "",
			policy_op_name((unsigned)__builtin_ctzll(ops)));
	pst_mp_str(out, text);
}

static void put_rules(
	struct pst_buf *out, const struct force *f, const struct force_item *item, uint64_t from)
{
	const struct policy *p = item->p->policy;
	const struct force_levels levels = levels_of(f);
	uint64_t n;

	from = PST_MIN(from, (uint64_t)p->n);
	n = PST_MIN(p->n - from, (uint64_t)RULES_A_REPLY);
	pst_mp_str(out, "rules");
	pst_mp_array(out, (uint32_t)n);
	for (uint64_t i = from; i < from + n; i++) {
		pst_mp_array(out, 4);
		pst_mp_str(out, p->rules[i].name);
		put_ops(out, p->rules[i].ops);
		pst_mp_str(out, policy_actions.name(p->rules[i].action));
		if (item->mode == POLICY_OFF)
			pst_mp_str(out, "nothing");
		else
			put_achieved(out, item, &p->rules[i], &levels);
	}
}

/* How many of the bytes from @from on: no character is cut, as the text is UTF-8. */
static size_t part_of(const char *text, size_t len, size_t from)
{
	size_t n = PST_MIN(len - from, (size_t)TEXT_A_REPLY);

	while (from + n < len && n && ((unsigned char)text[from + n] & 0xc0) == 0x80)
		n--;
	return n;
}

/* {name, from, rule_from} -> {name, mode, file, line, applied, text, size, total, rules: [[name, operations,
 * action, achieved]]} */
int force_on_show(void *arg, const msgpack_object *request, struct pst_buf *reply, char *error, size_t size)
{
	const struct force *f = arg;
	const struct force_item *item;
	char name[POLICY_NAME_MAX + 1];
	uint64_t from = 0, rule_from = 0;

	if (!pst_ctl_text(request, "name", name, sizeof(name))) {
		snprintf(error, size, "expected name, that of a policy");
		return -EINVAL;
	}
	item = force_list_find(force_latest(f), name);
	if (!item) {
		snprintf(error, size, "there is no policy \"%s\"", name);
		return -ENOENT;
	}
	pst_ctl_u64(request, "from", &from);
	pst_ctl_u64(request, "rule_from", &rule_from);
	from = PST_MIN(from, (uint64_t)item->p->len);
	pst_mp_map(reply, 9);
	force_put_text(reply, "name", name);
	force_put_text(reply, "mode", policy_modes.name(item->mode));
	force_put_text(reply, "file", item->p->policy->file);
	force_put_uint(reply, "line", item->p->policy->line);
	pst_mp_str(reply, "applied");
	pst_mp_bool(reply, item->applied);
	pst_mp_str(reply, "text");
	pst_mp_bin(reply, item->p->text + from, part_of(item->p->text, item->p->len, from));
	force_put_uint(reply, "size", item->p->len);
	force_put_uint(reply, "total", item->p->policy->n);
	put_rules(reply, f, item, rule_from);
	return 0;
}
