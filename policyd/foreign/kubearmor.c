// SPDX-License-Identifier: Apache-2.0
/*
 * KubeArmor. Of the rules of a section the one that names the source counts before one that does not, a path
 * before a directory, and a deeper directory before its parents; in this order they are written, as here the
 * first that takes an act counts. Rules that only audit are judged apart, so they become a policy of their
 * own.
 */
#include <stdlib.h>
#include <string.h>

#include "policyd/foreign/kubearmor.h"
#include "proto/base/cleanup.h"

#define REFUSED "EACCES" /* what KubeArmor answers */

struct reader {
	struct foreign_doc *d;
	struct foreign_policy enforced, audited;
	struct armor_common common;
	bool host;
};

/* ---- a section ---- */

static int by_rank(const void *a, const void *b)
{
	const struct armor_item *x = a, *y = b;

	if (x->rank != y->rank)
		return x->rank > y->rank ? -1 : 1;
	if (x->depth != y->depth)
		return x->depth > y->depth ? -1 : 1;
	return x->order < y->order ? -1 : x->order > y->order;
}

static void section_done(struct armor_section *s)
{
	for (size_t i = 0; i < s->n; i++) {
		foreign_buf_done(&s->v[i].object);
		foreign_buf_done(&s->v[i].source);
	}
	free(s->v);
}

static enum pst_pol_action action_of(enum armor_action a)
{
	return a == ARMOR_ALLOW ? PST_ACT_ALLOW : a == ARMOR_AUDIT ? PST_ACT_ALERT : PST_ACT_DENY;
}

static bool put_item(struct armor_section *s, struct reader *r, const struct armor_item *item, uint64_t ops,
	const char *access, enum armor_action action)
{
	PST_CLEANUP(foreign_rule_done)
	struct foreign_rule rule = {.ops = ops,
		.action = action_of(action),
		.error = action == ARMOR_BLOCK ? REFUSED : NULL,
		.about = item->common.message,
		.at = foreign_at(item->node)};

	(void)s;
	strncat(rule.label, item->label, sizeof(rule.label) - 1);
	foreign_put(&rule.conds, "%s%s%s", item->object.v ? item->object.v : "", access,
		item->source.v ? item->source.v : "");
	rule.conds.failed |= item->object.failed || item->source.failed;
	return foreign_add(action == ARMOR_AUDIT ? &r->audited : &r->enforced, &rule);
}

/* readOnly: reading is let through, all else of the file is not, whatever the action is. */
static bool put_read_only(struct armor_section *s, struct reader *r, const struct armor_item *item)
{
	enum armor_action other = item->common.action == ARMOR_AUDIT ? ARMOR_AUDIT : ARMOR_BLOCK;
	bool good = put_item(s, r, item, ARMOR_OPEN, ", access: [write, append]", other) &&
		    put_item(s, r, item, ARMOR_CHANGES, "", other);

	if (good && other == ARMOR_BLOCK)
		good = put_item(s, r, item, ARMOR_OPEN, ", access: {not: [write, append]}", ARMOR_ALLOW);
	return good;
}

/* What no Allow names. */
static void put_rest(struct armor_section *s, struct reader *r)
{
	bool block = s->d->f->options.block;
	PST_CLEANUP(foreign_rule_done)
	struct foreign_rule rule = {.ops = s->ops,
		.action = block ? PST_ACT_DENY : PST_ACT_ALERT,
		.error = block ? REFUSED : NULL,
		.about = "what no Allow names",
		.at = foreign_at_key(s->node)};

	if (s->incomplete) {
		foreign_note(s->d, rule.at,
			"%s: what no Allow names is not %s, as one that is left out may name it", s->name,
			block ? "denied" : "told");
		return;
	}
	foreign_note(s->d, rule.at,
		"%s: what this policy's Allow do not name is %s, also what other policies allow", s->name,
		block ? "denied" : "told (--posture block denies it)");
	strncat(rule.label, s->name, sizeof(rule.label) - 1);
	if (s->ops == ARMOR_NET)
		foreign_put(&rule.conds, ", families: {not: unix}");
	foreign_add(&r->enforced, &rule);
}

static bool may_be(struct armor_section *s, struct reader *r, struct armor_item *item)
{
	if (item->common.action != ARMOR_ALLOW || !r->host)
		return true;
	armor_refuse(s, item, foreign_at(item->node), "action",
		"what hosts are allowed depends on KubeArmor's configuration: write an allow-list by hand");
	return false;
}

/* Where an Allow is missing, a Block behind it takes what it would have let through. */
static void warn_of_blocks(const struct armor_section *s)
{
	for (size_t i = 0; i < s->n && s->allows && s->incomplete; i++) {
		if (s->v[i].common.action != ARMOR_BLOCK)
			continue;
		foreign_note(s->d, foreign_at(s->v[i].node),
			"%s: it may take what the Allow that is left out lets through", s->v[i].label);
		return;
	}
}

static void put_section(struct armor_section *s, struct reader *r)
{
	qsort(s->v, s->n, sizeof(*s->v), by_rank);
	for (size_t i = 0; i < s->n; i++) {
		struct armor_item *item = &s->v[i];
		bool good = item->read_only ? put_read_only(s, r, item)
					    : put_item(s, r, item, item->ops, "", item->common.action);
		s->incomplete |= !good && item->common.action == ARMOR_ALLOW;
	}
	warn_of_blocks(s);
	if (s->allows && !r->host)
		put_rest(s, r);
}

static void read_match(struct armor_section *s, struct reader *r, const struct armor_match *m)
{
	const struct pst_node *list = pst_node_get(s->node, m->list);

	if (armor_is_null(list))
		return;
	if (list->type != PST_NODE_SEQUENCE) {
		foreign_leave_out(s->d, foreign_at_key(list), "%s: expected a list", m->label);
		s->incomplete = true;
		return;
	}
	for (const struct pst_node *n = list->child; n; n = n->next) {
		struct armor_item *item = &s->v[s->n];

		*item = (struct armor_item){
			.node = n, .label = m->label, .ops = m->ops, .common = s->common, .order = s->n};
		bool good = armor_read_item(s, item, m) && may_be(s, r, item);

		s->allows |= item->common.action == ARMOR_ALLOW;
		if (good) {
			s->n++;
			continue;
		}
		foreign_buf_done(&item->object);
		foreign_buf_done(&item->source);
	}
}

static size_t count(const struct armor_section *s)
{
	size_t n = 0;

	for (size_t i = 0; i < armor_n_matches; i++) {
		const struct pst_node *list = strcmp(armor_matches[i].section, s->name)
						      ? NULL
						      : pst_node_get(s->node, armor_matches[i].list);

		n += list ? list->n_children : 0;
	}
	return n;
}

static void check_section(struct armor_section *s)
{
	static const char *const known[] = {"matchPaths", "matchDirectories", "matchPatterns",
		"matchProtocols", "matchCapabilities", "severity", "tags", "message", "action", NULL};
	const struct pst_node *odd = foreign_unknown(s->node, known);

	if (!odd)
		return;
	foreign_leave_out(s->d, foreign_at_key(odd), "%s, %s: it is not known, or cannot be expressed",
		s->name, odd->key);
	s->incomplete = true;
}

/* What is different in all of a section's rules. */
static void remark(const struct armor_section *s)
{
	static const char *const remarks[][2] = {{"file", "mknod has no operation; what is open already is "
							  "not judged again when it is written to"},
		{"network", "Unix sockets are neither TCP nor UDP"}};

	for (size_t i = 0; i < PST_ARRAY_SIZE(remarks); i++)
		if (s->n && !strcmp(remarks[i][0], s->name))
			foreign_put(&s->d->remarks, "# %s: %s\n", remarks[i][0], remarks[i][1]);
}

static void read_section(struct reader *r, const struct pst_node *node, const char *name, uint64_t ops)
{
	PST_CLEANUP(section_done)
	struct armor_section s = {.d = r->d, .node = node, .name = name, .ops = ops};

	if (armor_is_null(node))
		return;
	if (node->type != PST_NODE_MAPPING || !armor_read_common(node, &r->common, &s.common)) {
		foreign_leave_out(r->d, foreign_at_key(node),
			"%s: expected matches, and an action of Allow, Audit or Block", name);
		return;
	}
	check_section(&s);
	s.v = calloc(count(&s) + 1, sizeof(*s.v));
	if (!s.v) {
		r->d->f->yaml.failed = true;
		return;
	}
	for (size_t i = 0; i < armor_n_matches; i++)
		if (!strcmp(armor_matches[i].section, name))
			read_match(&s, r, &armor_matches[i]);
	remark(&s);
	put_section(&s, r);
}

/* ---- a policy ---- */

static void read_selector(struct reader *r, const struct pst_node *spec)
{
	const struct pst_node *pods = pst_node_get(spec, "selector"),
			      *nodes = pst_node_get(spec, "nodeSelector");

	if (r->host) {
		strncat(r->d->scope, "  scope: {host: true}\n", sizeof(r->d->scope) - 1);
		if (!armor_is_null(nodes) && nodes->n_children)
			foreign_note(r->d, foreign_at_key(nodes),
				"nodeSelector: it is for the hosts that this file is put on");
		return;
	}
	foreign_scope(r->d, pods ? pods : spec, "  scope: {containers: true}\n", "whose pods are selected");
}

static void check_spec(struct reader *r, const struct pst_node *spec)
{
	static const char *const said[][2] = {{"syscalls", "system calls by name cannot be asked"},
		{"presets", "they are no rules"}, {"apparmor", "profiles of AppArmor cannot be read"},
		{"selinux", "profiles of SELinux cannot be read"}};
	static const char *const known[] = {"selector", "nodeSelector", "process", "file", "network",
		"capabilities", "severity", "tags", "message", "action", NULL};

	for (const struct pst_node *n = spec->child; n; n = n->next) {
		const char *why = "it is not known";
		size_t i = 0;

		while (known[i] && strcmp(known[i], n->key) != 0)
			i++;
		if (known[i] || armor_is_null(n))
			continue;
		for (i = 0; i < PST_ARRAY_SIZE(said); i++)
			why = strcmp(said[i][0], n->key) ? why : said[i][1];
		foreign_leave_out(r->d, foreign_at_key(n), "%.64s: %s", n->key, why);
	}
}

void foreign_kubearmor(struct foreign_doc *d, const struct pst_node *spec)
{
	const struct armor_common none = {.action = ARMOR_BLOCK};
	struct reader r = {.d = d, .host = !strcmp(d->kind, "KubeArmorHostPolicy")};

	r.enforced.d = r.audited.d = d;
	if (!armor_read_common(spec, &none, &r.common)) {
		foreign_leave_out(d, foreign_at_key(pst_node_get(spec, "action")),
			"action: expected Allow, Audit or Block");
		return;
	}
	read_selector(&r, spec);
	check_spec(&r, spec);
	foreign_annotate(d, "severity", pst_node_get(spec, "severity"));
	foreign_annotate(d, "tags", pst_node_get(spec, "tags"));
	foreign_annotate(d, "message", pst_node_get(spec, "message"));
	read_section(&r, pst_node_get(spec, "process"), "process", ARMOR_EXEC);
	read_section(&r, pst_node_get(spec, "file"), "file", ARMOR_OPEN | ARMOR_CHANGES);
	read_section(&r, pst_node_get(spec, "network"), "network", ARMOR_NET);
	read_section(&r, pst_node_get(spec, "capabilities"), "capabilities", ARMOR_CAP);
	r.audited.suffix = r.enforced.n ? "-audit" : "";
	r.enforced.suffix = "";
	foreign_close(&r.enforced);
	foreign_close(&r.audited);
}
