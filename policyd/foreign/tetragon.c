// SPDX-License-Identifier: Apache-2.0
/*
 * Tetragon. Each hook becomes a policy, as hooks act beside each other; its selectors become rules in their
 * order, as there, too, the first that takes an act counts.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "policyd/foreign/tetragon.h"
#include "proto/base/cleanup.h"

bool tracing_refuse(const struct tracing_selector *s, struct foreign_at at, const char *format, ...)
{
	PST_FREE char *text = NULL;
	va_list ap;

	va_start(ap, format);
	if (vasprintf(&text, format, ap) < 0)
		text = NULL;
	va_end(ap);
	foreign_leave_out(s->d, at, "%s, %s", s->label, text ? text : "no memory");
	return false;
}

bool tracing_take_key(struct tracing_selector *s, const struct pst_node *node, enum policy_key key)
{
	if (s->keys >> key & 1)
		return tracing_refuse(s, foreign_at(node),
			"two conditions on %s cannot be expressed in one rule", policy_rows[key].key);
	s->keys |= 1ull << key;
	return true;
}

static bool is_null(const struct pst_node *node)
{
	return !node || (node->type == PST_NODE_SCALAR && !node->quoted &&
				(!*node->text || !strcmp(node->text, "null") || !strcmp(node->text, "~")));
}

/* ---- actions ---- */

/* What happens is the strongest of them. */
static void strengthen(struct foreign_rule *rule, enum pst_pol_action action, const char *error)
{
	if (action <= rule->action)
		return;
	rule->action = action;
	rule->error = error;
}

static long number_of(const struct pst_node *node, const char *key)
{
	const char *text = foreign_text(node, key);
	char *end;
	long n = text ? strtol(text, &end, 0) : 0;

	return text && *text && !*end ? n : 0;
}

static bool read_override(struct tracing_selector *s, const struct pst_node *node)
{
	long error = number_of(node, "argError");
	bool named = error < 0 && error > -(long)policy_errnos.n;
	const char *name = named ? policy_errnos.name((unsigned)-error) : NULL;

	if (!name)
		return tracing_refuse(s, foreign_at(node),
			"matchActions: what is denied fails with an errno, expected argError: -1 or the "
			"like");
	strengthen(&s->rule, PST_ACT_DENY, name);
	return true;
}

static bool read_signal(struct tracing_selector *s, const struct pst_node *node)
{
	if (number_of(node, "argSig") != 9)
		return tracing_refuse(s, foreign_at(node), "matchActions: no signal but SIGKILL can be sent");
	strengthen(&s->rule, PST_ACT_KILL, NULL);
	return true;
}

static bool read_action(struct tracing_selector *s, const struct pst_node *node)
{
	static const char *const beside[] = {"GetUrl", "DnsLookup", "TrackSock", "UntrackSock"};
	const char *action = foreign_text(node, "action");

	if (!action)
		return tracing_refuse(s, foreign_at(node), "matchActions: expected an action");
	if (!strcmp(action, "Sigkill")) {
		strengthen(&s->rule, PST_ACT_KILL, NULL);
		return true;
	}
	if (!strcmp(action, "Override"))
		return read_override(s, node);
	if (!strcmp(action, "Signal"))
		return read_signal(s, node);
	if (!strcmp(action, "NotifyEnforcer"))
		return pst_node_get(node, "argSig") ? read_signal(s, node) : read_override(s, node);
	for (size_t i = 0; i < PST_ARRAY_SIZE(beside); i++)
		if (!strcmp(action, beside[i])) {
			foreign_note(s->d, foreign_at(node), "%s: %s does not happen", s->label, action);
			return true;
		}
	if (!strcmp(action, "NoPost") || !strcmp(action, "Post")) {
		strengthen(&s->rule, *action == 'P' ? PST_ACT_AUDIT : PST_ACT_ALLOW, NULL);
		if (pst_node_get(node, "rateLimit"))
			foreign_note(s->d, foreign_at(node), "%s: rateLimit: each act is told", s->label);
		return true;
	}
	return tracing_refuse(s, foreign_at(node), "matchActions: %.64s cannot be expressed", action);
}

static bool read_actions(struct tracing_selector *s)
{
	const struct pst_node *list = s->node ? pst_node_get(s->node, "matchActions") : NULL;
	bool good = true;

	s->rule.action = PST_ACT_NONE;
	for (const struct pst_node *n = list ? list->child : NULL; n; n = n->next)
		good &= read_action(s, n);
	if (s->rule.action == PST_ACT_NONE)
		s->rule.action = good ? PST_ACT_AUDIT : PST_ACT_NONE;
	return good;
}

/* ---- a selector ---- */

static bool check_fit(struct tracing_selector *s)
{
	const struct tracing_hook *h = s->hook;

	if (h->fit == TRACING_WIDER && s->rule.action != PST_ACT_AUDIT)
		return tracing_refuse(s, s->rule.at,
			"%s is more than %s: %s; as it would %s, write it by hand", policy_op_name(h->op),
			h->call, h->why,
			s->rule.action == PST_ACT_ALLOW ? "let more through" : "hold up more");
	if (h->fit != TRACING_SAME)
		foreign_note(
			s->d, s->rule.at, "%s is not quite %s: %s", policy_op_name(h->op), h->call, h->why);
	return true;
}

static bool check_filters(struct tracing_selector *s)
{
	static const char *const known[] = {"matchArgs", "matchBinaries", "matchParentBinaries",
		"matchNamespaces", "matchCapabilities", "matchCapabilityChanges", "matchActions"};

	for (const struct pst_node *n = s->node->child; n; n = n->next) {
		size_t i = 0;

		while (i < PST_ARRAY_SIZE(known) && strcmp(known[i], n->key) != 0)
			i++;
		if (is_null(n) || (n->type == PST_NODE_SEQUENCE && !n->n_children))
			continue;
		if (i == PST_ARRAY_SIZE(known) || n->type != PST_NODE_SEQUENCE)
			return tracing_refuse(s, foreign_at_key(n), "%.64s: it cannot be expressed", n->key);
	}
	return true;
}

static bool read_filters(struct tracing_selector *s)
{
	const struct pst_node *args = s->node ? pst_node_get(s->node, "matchArgs") : NULL;

	if (s->hook->conds) {
		foreign_put(&s->rule.conds, "%s", s->hook->conds);
		s->keys |= 1ull << POLICY_PROTOCOLS;
	}
	if (!s->node)
		return true;
	return check_filters(s) && (is_null(args) || tracing_read_args(s, args)) && tracing_read_subject(s);
}

/* Who is the program, and who descends from it: either is enough. */
static bool put_rules(struct tracing_selector *s, struct foreign_policy *p)
{
	size_t n = s->rule.conds.n;
	bool good;

	if (s->own.v)
		foreign_put(&s->rule.conds, "%s", s->own.v);
	good = foreign_add(p, &s->rule);
	if (!good || !s->children.v)
		return good;
	s->rule.conds.n = n;
	foreign_put(&s->rule.conds, "%s", s->children.v);
	return foreign_add(p, &s->rule);
}

static void selector_done(struct tracing_selector *s)
{
	foreign_rule_done(&s->rule);
	foreign_buf_done(&s->own);
	foreign_buf_done(&s->children);
}

/* @weakest: of those left out before it, what it does; a stronger one behind it would take what it took. */
static void read_selector(struct tracing_selector *s, struct foreign_policy *p, enum pst_pol_action *weakest)
{
	bool good = read_actions(s);

	if (good && s->rule.action > *weakest)
		good = tracing_refuse(
			s, s->rule.at, "it would take what a selector before it took, which is left out");
	else
		good = good && read_filters(s) && check_fit(s) && put_rules(s, p);
	if (!good && s->rule.action < *weakest)
		*weakest = s->rule.action;
}

/* ---- a hook ---- */

static void read_hook(
	struct foreign_doc *d, const struct pst_node *entry, const struct tracing_hook *hook, bool tracepoint)
{
	const struct pst_node *list = pst_node_get(entry, "selectors"),
			      *first = is_null(list) ? NULL : list->child;
	struct foreign_policy p = {.d = d, .suffix = ""};
	enum pst_pol_action weakest = PST_ACTIONS;
	const struct pst_node *n = first;

	do {
		PST_CLEANUP(selector_done)
		struct tracing_selector s = {.d = d,
			.hook = hook,
			.entry = entry,
			.node = n,
			.label = hook->call,
			.args_have_other_numbers = tracepoint};

		s.rule = (struct foreign_rule){.ops = PST_OP_BIT(hook->op),
			.about = foreign_text(entry, "message"),
			.at = foreign_at(n ? n : entry)};
		strncat(s.rule.label, hook->call, sizeof(s.rule.label) - 1);
		if (n && n->type != PST_NODE_MAPPING) {
			tracing_refuse(&s, foreign_at(n), "expected filters");
			weakest = PST_ACT_NONE;
		} else {
			read_selector(&s, &p, &weakest);
		}
		n = n ? n->next : NULL;
	} while (n);
	foreign_close(&p);
}

/* The function's name, as a kprobe would have it. */
static bool name_of(const struct pst_node *entry, const char *kind, char name[128])
{
	const char *call = foreign_text(entry, !strcmp(kind, "lsmhooks") ? "hook" : "call"),
		   *subsystem = foreign_text(entry, "subsystem"), *event = foreign_text(entry, "event");

	if (!strcmp(kind, "tracepoints")) {
		if (subsystem && event && !strcmp(subsystem, "syscalls") && !strncmp(event, "sys_enter_", 10))
			return snprintf(name, 128, "sys_%s", event + 10) < 128;
		return subsystem && event &&
		       ((!strcmp(subsystem, "sched") && !strcmp(event, "sched_process_exec")) ||
			       (!strcmp(subsystem, "module") && !strcmp(event, "module_load"))) &&
		       snprintf(name, 128, "%s", event) < 128;
	}
	if (!strcmp(kind, "lsmhooks"))
		return call && snprintf(name, 128, "security_%s",
				       !strcmp(call, "bprm_check_security") ? "bprm_check" : call) < 128;
	return call && snprintf(name, 128, "%s", call) < 128;
}

static void read_entry(struct foreign_doc *d, const struct pst_node *entry, const char *kind)
{
	static const char *const known[] = {"call", "hook", "subsystem", "event", "raw", "return", "syscall",
		"message", "args", "returnArg", "returnArgAction", "selectors", "tags", "ignore", NULL};
	const struct pst_node *odd = entry->type == PST_NODE_MAPPING ? foreign_unknown(entry, known) : entry;
	const struct tracing_hook *hook;
	char name[128] = "";

	if (odd) {
		foreign_leave_out(d, odd->key ? foreign_at_key(odd) : foreign_at(odd),
			"%s: %.64s: it is not known, or cannot be expressed", kind,
			odd->key ? odd->key : "entry");
		return;
	}
	hook = name_of(entry, kind, name) ? tracing_hook_find(name) : NULL;
	if (!hook)
		foreign_leave_out(
			d, foreign_at(entry), "%s: no operation is like %.64s", kind, *name ? name : "it");
	else
		read_hook(d, entry, hook, !strcmp(kind, "tracepoints"));
}

/* ---- a policy ---- */

static void read_options(struct foreign_doc *d, const struct pst_node *list)
{
	for (const struct pst_node *n = list->child; n; n = n->next) {
		const char *name = foreign_text(n, "name"), *value = foreign_text(n, "value");

		if (!name || strcmp(name, "policy-mode") != 0)
			continue; /* how Tetragon attaches */
		if (value && !strncmp(value, "monitor", 7))
			d->audit = true;
		else if (!value || strncmp(value, "enforce", 7) != 0)
			foreign_note(d, foreign_at(n),
				"policy-mode: expected monitor or enforce, taken as enforce");
	}
}

static void read_scope(struct foreign_doc *d, const struct pst_node *spec)
{
	const struct pst_node *pods = pst_node_get(spec, "podSelector"),
			      *containers = pst_node_get(spec, "containerSelector"),
			      *host = pst_node_get(spec, "hostSelector");
	const struct pst_node *selector = !is_null(pods) ? pods : !is_null(containers) ? containers : NULL;
	bool namespaced = !strcmp(d->kind, "TracingPolicyNamespaced");

	if (!is_null(host))
		foreign_scope(d, host, "", "a hostSelector");
	else if (selector || namespaced)
		foreign_scope(d, selector ? selector : spec, "  scope: {containers: true}\n",
			"whose pods are selected");
	if (!is_null(pods) && !is_null(containers) && !d->f->options.cgroup)
		foreign_note(
			d, foreign_at_key(containers), "nor can it be expressed which of their containers");
}

static void read_entries(struct foreign_doc *d, const struct pst_node *list, const char *kind)
{
	if (list->type != PST_NODE_SEQUENCE) {
		foreign_leave_out(d, foreign_at_key(list), "%s: expected a list", kind);
		return;
	}
	for (const struct pst_node *n = list->child; n; n = n->next)
		read_entry(d, n, kind);
}

void foreign_tetragon(struct foreign_doc *d, const struct pst_node *spec)
{
	static const char *const hooks[] = {"kprobes", "lsmhooks", "tracepoints", "fentries"},
				 *const other[] = {
					 "podSelector", "containerSelector", "hostSelector", "options"};
	const struct pst_node *options = pst_node_get(spec, "options");

	read_scope(d, spec);
	if (!is_null(options))
		read_options(d, options);
	for (const struct pst_node *n = spec->child; n; n = n->next) {
		size_t i = 0, k = 0;

		while (i < PST_ARRAY_SIZE(hooks) && strcmp(hooks[i], n->key) != 0)
			i++;
		while (k < PST_ARRAY_SIZE(other) && strcmp(other[k], n->key) != 0)
			k++;
		if (k < PST_ARRAY_SIZE(other) || is_null(n))
			continue;
		if (i < PST_ARRAY_SIZE(hooks))
			read_entries(d, n, n->key);
		else
			foreign_leave_out(d, foreign_at_key(n), "%.64s: it cannot be expressed", n->key);
	}
}
