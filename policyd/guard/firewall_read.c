// SPDX-License-Identifier: Apache-2.0
/* The file's rules and those by command, as one rule set. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "policyd/fw/names.h"
#include "policyd/guard/firewall_internal.h"
#include "proto/base/cleanup.h"
#include "proto/base/io.h"
#include "proto/base/log.h"

int firewall_read_text(
	const char *path, bool named, char **ret_text, size_t *ret_len, struct pst_conf_errors *errors)
{
	PST_CLOSE int fd = path ? open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK) : -1;
	int e = fd < 0 ? -errno : pst_read_file(fd, FW_TEXT_MAX, ret_text, ret_len);

	if (!path || (fd < 0 && e == -ENOENT && !named)) {
		*ret_text = NULL;
		*ret_len = 0;
		return 0;
	}
	if (e)
		pst_conf_error(errors, path, 0, 0, "%s",
			e == -EINVAL   ? "expected a regular file"
			: e == -EFBIG  ? "larger than 16 MiB"
			: e == -EAGAIN ? "changed while it was read: reload when it is written"
				       : strerror(-e));
	return e;
}

/* Nothing degrades silently: tags may not be seen. */
static void say_what_is_idle(const char *name, const struct fw_ruleset *set)
{
	size_t vlan = 0;

	for (size_t i = 0; i < set->n; i++)
		vlan += set->rules[i].vlan.n > 0;
	if (vlan)
		pst_warn("at XDP a tag that the interface takes off (rxvlan) is not seen, penstock status "
			 "says "
			 "where: these rules look at it file=%s vlan=%zu",
			name, vlan);
}

int firewall_parse(struct ifnames *ifnames, const char *name, const char *text, size_t len,
	struct runtime_sets *sets, struct pst_conf_errors *errors, struct fw_ruleset **ret_set)
{
	const struct fw_context context = {
		.ifindex = ifnames_note,
		.arg = ifnames,
		.changes = sets ? sets->v : NULL,
		.n_changes = sets ? sets->n : 0,
	};
	struct pst_conf_errors warnings = {0};
	int e = fw_parse(name, text, len, &context, errors, &warnings, ret_set);

	for (const char *p = warnings.text, *end; p && *p; p = *end ? end + 1 : end) {
		end = p + strcspn(p, "\n");
		pst_warn("%.*s", (int)(end - p), p);
	}
	pst_conf_errors_done(&warnings);
	if (!e)
		say_what_is_idle(name, *ret_set);
	return e;
}

int firewall_parse_runtime(struct ifnames *ifnames, const char *name, const struct runtime_rules *rules,
	struct pst_conf_errors *errors, struct fw_ruleset **ret_set)
{
	size_t len;
	PST_FREE char *text = rules->n ? runtime_rules_document(rules, &len) : NULL;
	int e;

	*ret_set = NULL;
	if (!rules->n)
		return 0;
	e = text ? firewall_parse(ifnames, name, text, len, NULL, errors, ret_set) : -ENOMEM;
	for (size_t i = 0; !e && i < (*ret_set)->n; i++)
		(*ret_set)->rules[i].id = FIREWALL_RUNTIME_ID + (uint32_t)i;
	return e;
}

/* A name is there once. */
static int check_names(const struct fw_ruleset *set, const char *file, struct pst_conf_errors *errors)
{
	PST_CLEANUP(fw_names_done) struct fw_names names = {0};

	for (size_t i = 0; i < set->n; i++) {
		int e = fw_names_add(&names, set->rules[i].name, (uint32_t)i);

		if (e == -EEXIST)
			pst_conf_error(errors, file, 0, 0,
				"the rule \"%s\" is there twice, in the file and added by command: delete "
				"the latter or "
				"rename the former",
				set->rules[i].name);
		if (e)
			return e;
	}
	return 0;
}

/* @first's rules, then @second's, whose policy holds. Both may be NULL, and are taken. */
static int merge(struct fw_ruleset *first, struct fw_ruleset **second)
{
	struct fw_rule *rules;

	if (!first || !*second)
		return 0;
	rules = reallocarray(first->rules, first->n + (*second)->n + 1, sizeof(*rules));
	if (!rules)
		return -ENOMEM;
	memcpy(rules + first->n, (*second)->rules, (*second)->n * sizeof(*rules));
	first->rules = rules;
	first->n += (*second)->n;
	first->policy = (*second)->policy;
	(*second)->n = 0;
	free(first->sets); /* those by command have none */
	first->sets = PST_TAKE_PTR((*second)->sets);
	first->n_sets = (*second)->n_sets;
	(*second)->n_sets = 0;
	return 0;
}

static bool has_set(const struct fw_ruleset *set, const char *name)
{
	for (size_t i = 0; set && i < set->n_sets; i++)
		if (!strcmp(set->sets[i].name, name))
			return true;
	return false;
}

/* @set: NULL without a file */
static void no_such_set(const struct firewall *fw, const struct fw_ruleset *set, const char *name,
	struct pst_conf_errors *errors)
{
	size_t n = set ? set->n_sets : 0;
	PST_FREE const char **names = calloc(n + 1, sizeof(*names));
	const char *near;

	for (size_t i = 0; names && i < n; i++)
		names[i] = set->sets[i].name;
	near = names ? pst_conf_did_you_mean(name, names, n) : NULL;
	pst_conf_error(errors, firewall_name(fw), 0, 0, "there is no set \"%s\"%s%s%s", name,
		near ? ", did you mean \"" : ", expected one of the file", near ? near : "",
		near ? "\"?" : "");
}

/* What somebody just asked for and that came to nothing; that it is there already is no error. What was asked
 * for earlier, of a file that is another by now, is kept: the next file may be as it was. */
static int check_changes(
	const struct firewall *fw, const struct fw_ruleset *set, struct pst_conf_errors *errors)
{
	size_t idle = 0;

	for (size_t i = 0; i < fw->sets.n; i++)
		idle += !fw->sets.v[i].errors && !fw->sets.v[i].done;
	if (idle)
		pst_info("elements of sets that were added or deleted by command: the file says the same, or "
			 "has no such set changes=%zu of=%zu",
			idle, fw->sets.n);
	for (size_t i = 0; i < fw->sets.n; i++) {
		const struct fw_set_change *c = &fw->sets.v[i];

		if (!c->errors || c->done || (c->add && has_set(set, c->set)))
			continue;
		if (!has_set(set, c->set))
			no_such_set(fw, set, c->set, errors);
		else
			pst_conf_error(errors, firewall_name(fw), 0, 0, "%s is not in the set \"%s\"",
				c->element, c->set);
		return -ENOENT;
	}
	return 0;
}

int firewall_read_rules(struct firewall *fw, const struct runtime_rules *runtime, const char *text,
	size_t len, struct pst_conf_errors *errors, struct firewall_rules *ret_rules)
{
	PST_CLEANUP(fw_ruleset_freep) struct fw_ruleset *first = NULL, *second = NULL;
	int e = firewall_parse_runtime(&fw->ifnames, fw->runtime_path, runtime, errors, &first);

	if (!e && text)
		e = firewall_parse(&fw->ifnames, fw->path, text, len, &fw->sets, errors, &second);
	e = e ? e : check_changes(fw, second, errors);
	e = e ? e : merge(first, &second);
	if (!e && first)
		e = check_names(first, fw->path ? fw->path : fw->runtime_path, errors);
	if (e)
		return e;
	*ret_rules = (struct firewall_rules){.n_runtime = runtime->n};
	ret_rules->set = first ? PST_TAKE_PTR(first) : PST_TAKE_PTR(second);
	return 0;
}
