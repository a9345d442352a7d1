// SPDX-License-Identifier: Apache-2.0
#include "policyd/policy/report.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/base/cleanup.h"
#include "proto/base/log.h"
#include "proto/wire/json.h"

void policy_report_done(struct policy_report *report)
{
	pst_buf_done(&report->errors);
	pst_buf_done(&report->warnings);
}

static void add_str(struct pst_buf *out, const char *key, const char *text)
{
	pst_json_raw(out, out->len && out->p[out->len - 1] == '{' ? "\"" : ",\"");
	pst_json_raw(out, key);
	pst_json_raw(out, "\":");
	pst_json_str(out, text, strlen(text));
}

static void add_number(struct pst_buf *out, const char *key, uint64_t v)
{
	pst_json_raw(out, out->len && out->p[out->len - 1] == '{' ? "\"" : ",\"");
	pst_json_raw(out, key);
	pst_json_raw(out, "\":");
	pst_json_uint(out, v);
}

/* ---- errors and warnings ---- */

/* "file:line:column: message" of a file whose name is known; the place may be missing. */
static void add_line(struct pst_buf *out, const char *file, const char *line, size_t len)
{
	size_t skip = file ? strlen(file) : 0;
	unsigned long row = 0, column = 0;
	char *end;

	pst_json_raw(out, out->len ? ",{" : "{");
	if (skip && skip < len && !strncmp(line, file, skip) && line[skip] == ':') {
		add_str(out, "file", file);
		line += skip + 1;
		len -= skip + 1;
		row = isdigit((unsigned char)*line) ? strtoul(line, &end, 10) : 0;
		if (row && *end == ':')
			column = strtoul(end + 1, &end, 10);
		if (column && *end == ':') {
			add_number(out, "line", row);
			add_number(out, "column", column);
			len -= (size_t)(end + 1 - line);
			line = end + 1;
		}
		while (len && *line == ' ') {
			line++;
			len--;
		}
	}
	pst_json_raw(out, out->p[out->len - 1] == '{' ? "\"message\":" : ",\"message\":");
	pst_json_str(out, line, len);
	pst_json_raw(out, "}");
}

static void add_all(struct policy_report *report, struct pst_buf *to, const char *what, const char *file,
	struct pst_conf_errors *errors)
{
	uint32_t told = PST_MIN(errors->count, PST_CONF_ERRORS_MAX);
	char more[64] = "";

	for (const char *p = errors->text, *end; p && *p; p = *end ? end + 1 : end) {
		end = p + strcspn(p, "\n");
		if (report->json)
			add_line(to, file, p, (size_t)(end - p));
		else
			fprintf(stderr, "%s%.*s\n", what, (int)(end - p), p);
	}
	if (errors->count > told)
		snprintf(more, sizeof(more), "%u more of this file are not shown", errors->count - told);
	if (*more && report->json)
		add_line(to, file, more, strlen(more));
	else if (*more)
		fprintf(stderr, "%s%s\n", what, more);
	pst_conf_errors_done(errors);
}

void policy_report_add(struct policy_report *report, const char *file, struct pst_conf_errors *errors,
	struct pst_conf_errors *warnings)
{
	add_all(report, &report->errors, "", file, errors);
	add_all(report, &report->warnings, "warning: ", file, warnings);
}

/* Half an answer is none. */
static void print_buf(struct pst_buf *out)
{
	if (out->failed)
		fputs("out of memory\n", stderr);
	else
		printf("%.*s\n", (int)out->len, (const char *)out->p);
	pst_buf_done(out);
}

static void add_policies(struct pst_buf *out, const struct policy_set *set)
{
	for (size_t i = 0; i < set->n; i++) {
		const struct policy *p = set->v[i];

		pst_json_raw(out, i ? ",{" : "{");
		add_str(out, "name", p->name);
		add_str(out, "file", p->file);
		add_number(out, "line", p->line);
		add_str(out, "mode", policy_modes.name(p->mode));
		if (p->requires != POLICY_AS_RULES)
			add_str(out, "requires", policy_needs.name(p->requires));
		add_number(out, "rules", p->n);
		pst_json_raw(out, "}");
	}
}

static void add_buf(struct pst_buf *out, const char *key, const struct pst_buf *list)
{
	pst_json_raw(out, key);
	if (list->len)
		pst_mp_raw(out, list->p, list->len);
	pst_json_raw(out, "]");
}

void policy_report_json(const struct policy_report *report, const struct policy_set *set)
{
	struct pst_buf out = {0};

	pst_json_raw(&out, set ? "{\"good\":true,\"policies\":[" : "{\"good\":false,\"policies\":[");
	if (set)
		add_policies(&out, set);
	add_buf(&out, "],\"errors\":[", &report->errors);
	add_buf(&out, ",\"warnings\":[", &report->warnings);
	pst_json_raw(&out, "}");
	print_buf(&out);
}

/* ---- verdicts ---- */

static const char *action_word(enum pst_pol_action action)
{
	return action ? policy_actions.name(action) : "none";
}

static int error_of(const struct policy_rule *rule)
{
	return rule->error ? rule->error : EPERM;
}

static void add_verdict(struct pst_buf *out, const struct policy *p, const struct policy_rule *rule,
	enum pst_pol_action action)
{
	add_str(out, "action", action_word(action));
	if (!rule)
		return;
	if (rule->action != action)
		add_str(out, "would", policy_actions.name(rule->action));
	if (action == PST_ACT_DENY || action == PST_ACT_THROTTLE)
		add_str(out, "errno", policy_errnos.name((unsigned)error_of(rule)));
	add_str(out, "policy", p->name);
	add_str(out, "rule", rule->name);
}

static void verdict_json(
	const struct policy_set *set, const struct policy_act *act, const struct policy_verdict *v)
{
	struct pst_buf out = {0};
	const char *sep = ",\"policies\":[{";

	pst_json_raw(&out, "{");
	add_verdict(&out, v->policy, v->rule, v->action);
	for (size_t i = 0; i < set->n; i++) {
		const struct policy_rule *rule = policy_match(set->v[i], act);

		if (!rule)
			continue;
		pst_json_raw(&out, sep);
		add_verdict(&out, set->v[i], rule, policy_effect(set->v[i], rule));
		pst_json_raw(&out, "}");
		sep = ",{";
	}
	pst_json_raw(&out, *sep == ',' && sep[1] == '"' ? ",\"policies\":[]}" : "]}");
	print_buf(&out);
}

static void print_rule(const struct policy *p, const struct policy_rule *rule)
{
	enum pst_pol_action action = policy_effect(p, rule);
	char name[256];

	printf("  %-20s line %-5u %-9s %s", p->name, rule->line, action_word(action),
		pst_log_escape(name, sizeof(name), rule->name, (unsigned)strlen(rule->name)));
	if (rule->action != action)
		printf(" (in audit: would %s)", action_word(rule->action));
	putchar('\n');
}

enum pst_pol_action policy_report_verdict(
	const struct policy_set *set, const struct policy_act *act, bool json)
{
	const struct policy_verdict v = policy_judge(set, act);

	if (json) {
		verdict_json(set, act, &v);
		return v.action;
	}
	if (!v.rule)
		puts("allowed: no rule takes it");
	else if (v.action == PST_ACT_DENY || v.action == PST_ACT_THROTTLE)
		printf("%s with %s, by the policy %s\n", action_word(v.action),
			policy_errnos.name((unsigned)error_of(v.rule)), v.policy->name);
	else
		printf("%s, by the policy %s\n", action_word(v.action), v.policy->name);
	for (size_t i = 0; i < set->n; i++) {
		const struct policy_rule *rule = policy_match(set->v[i], act);

		if (rule)
			print_rule(set->v[i], rule);
	}
	return v.action;
}
