// SPDX-License-Identifier: Apache-2.0
/* Documents of others: what they are, and the policies that they become. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "policyd/foreign/internal.h"
#include "proto/base/cleanup.h"

#define NODES_MAX 500000
#define TRIED_MAX 50000 /* rules that are read in all, whether they are written or not */
#define HEAD      "apiVersion: penstock.dev/v1\nkind: Policy\nmetadata:\n  name: "

static const struct pst_doc_bounds bounds = {.bytes = POLICY_FILE_BYTES,
	.nodes = NODES_MAX,
	.documents = 2 * POLICY_POLICIES_MAX,
	.end_nul = true};

/* ---- what is told ---- */

static void tell(const struct foreign_doc *d, struct foreign_at at, const char *what, const char *why)
{
	struct foreign *f = d->f;

	if (f->n_said++ >= FOREIGN_SAID_MAX)
		return;
	foreign_put_clean(&f->said, d->file, 4096);
	foreign_put(&f->said, ":%u:%u: %s: ", at.line, at.column, what);
	foreign_put_clean(&f->said, why, 500);
	foreign_put(&f->said, "\n");
}

#define TELL(d, at, what, format)                                                                            \
	do {                                                                                                 \
		PST_FREE char *text = NULL;                                                                  \
		va_list ap;                                                                                  \
                                                                                                             \
		va_start(ap, format);                                                                        \
		if (vasprintf(&text, format, ap) < 0)                                                        \
			text = NULL;                                                                         \
		va_end(ap);                                                                                  \
		tell(d, at, what, text ? text : "no memory");                                                \
	} while (0)

void foreign_leave_out(const struct foreign_doc *d, struct foreign_at at, const char *format, ...)
{
	d->f->left_out++;
	TELL(d, at, "left out", format);
}

void foreign_note(const struct foreign_doc *d, struct foreign_at at, const char *format, ...)
{
	d->f->notes++;
	TELL(d, at, "note", format);
}

/* ---- nodes ---- */

const struct pst_node *foreign_unknown(const struct pst_node *mapping, const char *const *known)
{
	for (const struct pst_node *n = mapping->child; n; n = n->next) {
		size_t i = 0;

		while (known[i] && strcmp(known[i], n->key) != 0)
			i++;
		if (!known[i])
			return n;
	}
	return NULL;
}

const char *foreign_text(const struct pst_node *mapping, const char *key)
{
	const struct pst_node *n =
		mapping && mapping->type == PST_NODE_MAPPING ? pst_node_get(mapping, key) : NULL;

	return n && n->type == PST_NODE_SCALAR ? n->text : NULL;
}

bool foreign_is_true(const struct pst_node *mapping, const char *key)
{
	const char *text = foreign_text(mapping, key);

	return text && (!strcmp(text, "true") || !strcmp(text, "True") || !strcmp(text, "TRUE"));
}

/* ---- what is written ---- */

/* As Kubernetes' labels: what is none of their characters becomes a dash. */
static void put_label(struct foreign_buf *to, const char *name, const char *suffix, unsigned number)
{
	char label[POLICY_NAME_MAX + 1] = "", tail[32] = "";
	size_t n = 0, max;

	if (number)
		snprintf(tail, sizeof(tail), "%s-%u", suffix, number + 1);
	else
		snprintf(tail, sizeof(tail), "%s", suffix);
	max = POLICY_NAME_MAX - strlen(tail);
	for (const char *p = name; *p && n < max; p++) {
		char c = *p >= 'A' && *p <= 'Z' ? (char)(*p - 'A' + 'a') : *p;
		bool good = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');

		if (good || n)
			label[n++] = good ? c : '-';
	}
	while (n && label[n - 1] == '-')
		n--;
	label[n] = 0;
	foreign_put(to, "%s%s", n ? label : "imported", tail);
}

/* A name that no policy has yet. */
static void put_name(struct foreign_buf *to, const struct foreign_doc *d, const char *suffix)
{
	uint32_t at;

	for (unsigned i = 0; i <= POLICY_POLICIES_MAX; i++) {
		PST_CLEANUP(foreign_buf_done) struct foreign_buf name = {0};

		put_label(&name, d->name, suffix, i);
		if (name.failed || i == POLICY_POLICIES_MAX ||
			!fw_names_find(&d->f->set.names, name.v, &at)) {
			foreign_put(to, "%s", name.v ? name.v : "");
			return;
		}
	}
}

void foreign_annotate(struct foreign_doc *d, const char *key, const struct pst_node *value)
{
	if (!value)
		return;
	if (value->type == PST_NODE_SCALAR && *value->text) {
		foreign_put(&d->notes, ", %s: ", key);
		foreign_put_string(&d->notes, value->text, FOREIGN_TEXT_MAX);
	} else if (value->type == PST_NODE_SEQUENCE) {
		PST_CLEANUP(foreign_buf_done) struct foreign_buf all = {0};

		for (const struct pst_node *n = value->child; n && all.n < FOREIGN_TEXT_MAX; n = n->next)
			if (n->type == PST_NODE_SCALAR)
				foreign_put(&all, "%s%s", all.n ? ", " : "", n->text);
		foreign_put(&d->notes, ", %s: ", key);
		foreign_put_string(&d->notes, all.v ? all.v : "", FOREIGN_TEXT_MAX);
		d->notes.failed |= all.failed;
	}
}

void foreign_scope(struct foreign_doc *d, const struct pst_node *selector, const char *all, const char *what)
{
	PST_CLEANUP(foreign_buf_done) struct foreign_buf text = {0};

	if (d->f->options.cgroup) {
		foreign_put_string(&text, d->f->options.cgroup, POLICY_TEXT_MAX);
		snprintf(d->scope, sizeof(d->scope), "  scope: {cgroups: %s}\n", text.v ? text.v : "\"\"");
		return;
	}
	snprintf(d->scope, sizeof(d->scope), "%s", all);
	d->audit = true;
	foreign_note(d, foreign_at_key(selector),
		"%s cannot be expressed: %s judged, in mode audit; --cgroup says which control groups are "
		"meant",
		what, *all ? "all containers are" : "all there is is");
}

/* @suffix: of its name; NULL: it is only to be tried, and any name will do. */
static void put_head(struct foreign_buf *to, const struct foreign_doc *d, const char *suffix)
{
	foreign_put(to, HEAD);
	if (suffix)
		put_name(to, d, suffix);
	else
		foreign_put(to, "tried");
	foreign_put(to, "\n  annotations: {imported: ");
	{
		PST_CLEANUP(foreign_buf_done) struct foreign_buf from = {0};

		foreign_put(
			&from, "%s %s%s%s", d->kind, d->space ? d->space : "", d->space ? "/" : "", d->name);
		foreign_put_string(to, from.v ? from.v : "", FOREIGN_TEXT_MAX);
	}
	foreign_put(to, "%s}\nspec:\n  mode: %s\n%s  rules:\n", d->notes.v ? d->notes.v : "",
		d->audit ? "audit" : "enforce", d->scope);
}

void foreign_rule_done(struct foreign_rule *rule)
{
	foreign_buf_done(&rule->conds);
}

static void put_rule(struct foreign_buf *to, const struct foreign_rule *rule, unsigned number)
{
	const char *sep = "";

	foreign_put(to, "    - {name: \"%s, line %u (%u)\"", rule->label, rule->at.line, number);
	if (rule->about && *rule->about) {
		foreign_put(to, ", description: ");
		foreign_put_string(to, rule->about, FOREIGN_TEXT_MAX);
	}
	foreign_put(to, ", operations: [");
	for (unsigned op = 0; op < PST_OPS_MAX; op++) {
		if (!(rule->ops & PST_OP_BIT(op)))
			continue;
		foreign_put(to, "%s%s", sep, policy_op_name(op));
		sep = ", ";
	}
	foreign_put(
		to, "]%s, action: %s", rule->conds.v ? rule->conds.v : "", policy_actions.name(rule->action));
	if (rule->error)
		foreign_put(to, ", errno: %s", rule->error);
	foreign_put(to, "}\n");
	to->failed |= rule->conds.failed;
}

/* What the reader of policies says of it, without the place; NULL: it is good. Owned by the caller. */
static char *why_refused(struct policy_set *set, const struct foreign_buf *text)
{
	struct pst_conf_errors errors = {0};
	const char *why;
	char *copy;

	if (text->failed || !text->v)
		return strdup("no memory");
	if (!policy_parse(set, "import", text->v, text->n, &errors, NULL))
		return NULL;
	why = errors.text ? strstr(errors.text, ": ") : NULL;
	copy = strndup(why ? why + 2 : "it would not be accepted", why ? strcspn(why + 2, "\n") : 200);
	pst_conf_errors_done(&errors);
	return copy ? copy : strdup("");
}

bool foreign_add(struct foreign_policy *p, const struct foreign_rule *rule)
{
	PST_CLEANUP(foreign_buf_done) struct foreign_buf alone = {0};
	PST_CLEANUP(policy_set_done) struct policy_set set = {0};
	struct foreign *f = p->d->f;
	PST_FREE char *why = NULL;

	if (f->tried++ >= TRIED_MAX || f->yaml.n + p->rules.n > FOREIGN_YAML_MAX) {
		foreign_leave_out(p->d, rule->at, "%s: there is no room for it", rule->label);
		return false;
	}
	put_head(&alone, p->d, NULL);
	put_rule(&alone, rule, 1);
	why = why_refused(&set, &alone);
	if (why) {
		foreign_leave_out(p->d, rule->at, "%s: %s", rule->label, why);
		return false;
	}
	put_rule(&p->rules, rule, ++p->n);
	return true;
}

void foreign_close(struct foreign_policy *p)
{
	PST_CLEANUP(foreign_buf_done) struct foreign_buf text = {0};
	struct foreign *f = p->d->f;
	PST_FREE char *why = NULL;

	if (p->n) {
		put_head(&text, p->d, p->suffix);
		foreign_put(&text, "%s", p->rules.v ? p->rules.v : "");
		text.failed |= p->rules.failed || p->d->remarks.failed;
		why = why_refused(&f->set, &text);
	}
	if (why) {
		foreign_leave_out(p->d, foreign_at(p->d->root), "the policy %s: %s", p->d->name, why);
	} else if (p->n) {
		foreign_put(&f->yaml, "%s%s%s", f->policies ? "---\n" : "",
			p->d->remarks.v ? p->d->remarks.v : "", text.v);
		f->policies++;
		f->rules += p->n;
	}
	foreign_buf_done(&p->rules);
}

/* ---- documents ---- */

static const struct {
	const char *kind, *api;
	void (*read)(struct foreign_doc *d, const struct pst_node *spec);
} kinds[] = {
	{"KubeArmorPolicy", "security.kubearmor.com/", foreign_kubearmor},
	{"KubeArmorClusterPolicy", "security.kubearmor.com/", foreign_kubearmor},
	{"KubeArmorHostPolicy", "security.kubearmor.com/", foreign_kubearmor},
	{"TracingPolicy", "cilium.io/", foreign_tetragon},
	{"TracingPolicyNamespaced", "cilium.io/", foreign_tetragon},
};

static void read_document(struct foreign *f, const char *file, const struct pst_node *root);

/* `kubectl get -o yaml` makes a list. */
static void read_items(struct foreign *f, const char *file, const struct pst_node *items)
{
	for (const struct pst_node *n = items->child; n; n = n->next)
		if (n->type != PST_NODE_MAPPING || !pst_node_get(n, "items"))
			read_document(f, file, n);
}

static void read_kind(struct foreign_doc *d, const struct pst_node *root, size_t kind)
{
	const struct pst_node *metadata = pst_node_get(root, "metadata"), *spec = pst_node_get(root, "spec");
	const char *api = foreign_text(root, "apiVersion");

	d->name = foreign_text(metadata, "name");
	d->space = foreign_text(metadata, "namespace");
	if (!api || strncmp(api, kinds[kind].api, strlen(kinds[kind].api)) != 0)
		foreign_leave_out(
			d, foreign_at(root), "%s: expected an apiVersion of %s", d->kind, kinds[kind].api);
	else if (!d->name || !spec || spec->type != PST_NODE_MAPPING)
		foreign_leave_out(d, foreign_at(root), "%s: it has no name or no spec", d->kind);
	else
		kinds[kind].read(d, spec);
}

static void read_document(struct foreign *f, const char *file, const struct pst_node *root)
{
	struct foreign_doc d = {.f = f, .file = file, .root = root};
	const struct pst_node *items = root->type == PST_NODE_MAPPING ? pst_node_get(root, "items") : NULL;
	size_t i = 0;

	d.kind = foreign_text(root, "kind");
	if (items && items->type == PST_NODE_SEQUENCE) {
		read_items(f, file, items);
		return;
	}
	while (d.kind && i < PST_ARRAY_SIZE(kinds) && strcmp(kinds[i].kind, d.kind) != 0)
		i++;
	if (!d.kind || i == PST_ARRAY_SIZE(kinds))
		foreign_leave_out(&d, foreign_at(root),
			"%s: expected KubeArmorPolicy, KubeArmorClusterPolicy, KubeArmorHostPolicy, "
			"TracingPolicy or TracingPolicyNamespaced",
			d.kind ? d.kind : "a document without a kind");
	else
		read_kind(&d, root, i);
	foreign_buf_done(&d.notes);
	foreign_buf_done(&d.remarks);
}

int foreign_read(
	struct foreign *f, const char *name, const void *bytes, size_t len, struct pst_conf_errors *errors)
{
	PST_CLEANUP(pst_doc_freep) struct pst_doc *doc = NULL;
	int e = pst_doc_parse_within(name, bytes, len, &bounds, errors, &doc);

	if (e)
		return e == -ENOMEM ? e : -EBADMSG;
	for (const struct pst_node *n = pst_doc_root(doc); n; n = n->next)
		read_document(f, name, n);
	return f->yaml.failed || f->said.failed ? -ENOMEM : 0;
}

void foreign_done(struct foreign *f)
{
	foreign_buf_done(&f->yaml);
	foreign_buf_done(&f->said);
	policy_set_done(&f->set);
}
