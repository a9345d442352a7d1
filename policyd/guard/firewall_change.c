// SPDX-License-Identifier: Apache-2.0
/* Rules by command: added, deleted, kept in the run folder. */
#include <errno.h>
#include <string.h>

#include "policyd/guard/firewall_internal.h"
#include "proto/base/cleanup.h"
#include "proto/base/log.h"

static uint32_t any_interface(const char *name, void *arg)
{
	(void)name;
	(void)arg;
	return 1;
}

/* Also of a rule that cannot be read any more, as its interface is gone. */
static bool is_named(const char *text, const char *name)
{
	static const struct fw_context context = {.ifindex = any_interface};
	PST_CLEANUP(fw_ruleset_freep) struct fw_ruleset *set = NULL;
	PST_CLEANUP(pst_conf_errors_done) struct pst_conf_errors errors = {0};
	char *one = (char *)(uintptr_t)text;
	const struct runtime_rules rules = {.text = &one, .n = 1};
	size_t len;
	PST_FREE char *document = runtime_rules_document(&rules, &len);

	return document && !fw_parse("rule", document, len, &context, &errors, NULL, &set) &&
	       !strcmp(set->rules[0].name, name);
}

static bool is_shown(const struct firewall *fw, const char *name)
{
	const struct firewall_rules *r = firewall_shown(fw);

	for (size_t i = 0; r && i < r->set->n; i++)
		if (!strcmp(r->set->rules[i].name, name))
			return true;
	return false;
}

/* Where a rule of that name is among those that were added; an error that says why it is not. */
static int find_runtime(
	const struct firewall *fw, const char *name, size_t *ret_at, struct pst_conf_errors *errors)
{
	for (size_t i = 0; i < fw->runtime.n; i++)
		if (is_named(fw->runtime.text[i], name)) {
			*ret_at = i;
			return 0;
		}
	if (is_shown(fw, name))
		pst_conf_error(errors, firewall_name(fw), 0, 0,
			"the rule \"%s\" is the file's: change the file, and reload", name);
	else
		pst_conf_error(errors, "firewall", 0, 0, "there is no rule \"%s\"", name);
	return -ENOENT;
}

bool firewall_may_change(
	const struct firewall *fw, const struct guard_tables *tables, struct pst_conf_errors *errors)
{
	if (fw->loaded || fw->pending || fw->current.set || !guard_generation(&tables->firewall))
		return true;
	pst_conf_error(errors, firewall_name(fw), 0, 0,
		"the rules in force are those of an earlier process, the file's are bad: correct it first");
	return false;
}

/* Builds with @runtime and keeps it. */
static int change(struct firewall *fw, const struct guard_tables *tables, struct runtime_rules *runtime,
	struct pst_conf_errors *errors)
{
	int e = -ECANCELED;

	if (firewall_may_change(fw, tables, errors))
		e = firewall_build(fw, tables, runtime, fw->text, fw->text_len, errors);
	if (e)
		return e;
	runtime_rules_done(&fw->runtime);
	fw->runtime = *runtime;
	*runtime = (struct runtime_rules){0};
	saving_note(&fw->saved_rules, runtime_rules_save(fw->runtime_path, &fw->runtime));
	return 0;
}

/* It is one rule, by itself; its place in messages is its own. */
static int check_rule(struct firewall *fw, const char *text, struct pst_conf_errors *errors)
{
	PST_CLEANUP(fw_ruleset_freep) struct fw_ruleset *set = NULL;
	char *one = (char *)(uintptr_t)text;
	const struct runtime_rules rules = {.text = &one, .n = 1};

	if (!runtime_rule_ok(text, strlen(text))) {
		pst_conf_error(errors, "rule", 0, 0,
			"expected one line of at most %d bytes: {name: .., src: .., action: ..}",
			RUNTIME_RULE_MAX);
		return -EINVAL;
	}
	return firewall_parse_runtime(&fw->ifnames, "rule", &rules, errors, &set);
}

int firewall_add(struct firewall *fw, const struct guard_tables *tables, const char *text, const char *before,
	struct pst_conf_errors *errors)
{
	PST_CLEANUP(runtime_rules_done) struct runtime_rules runtime = {0};
	size_t at = fw->runtime.n;
	int e = check_rule(fw, text, errors);

	if (!e && before)
		e = find_runtime(fw, before, &at, errors);
	if (!e && fw->runtime.n == RUNTIME_RULES_MAX) {
		pst_conf_error(errors, "rule", 0, 0, "%d rules were added already: put them into the file",
			RUNTIME_RULES_MAX);
		e = -E2BIG;
	}
	e = e ? e : runtime_rules_edit(&fw->runtime, text, at, &runtime);
	return e ? e : change(fw, tables, &runtime, errors);
}

int firewall_delete(struct firewall *fw, const struct guard_tables *tables, const char *name,
	struct pst_conf_errors *errors)
{
	PST_CLEANUP(runtime_rules_done) struct runtime_rules runtime = {0};
	size_t at;
	int e = find_runtime(fw, name, &at, errors);

	e = e ? e : runtime_rules_edit(&fw->runtime, NULL, at, &runtime);
	return e ? e : change(fw, tables, &runtime, errors);
}
