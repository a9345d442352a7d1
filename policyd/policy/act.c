// SPDX-License-Identifier: Apache-2.0
#include "policyd/policy/act.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "policyd/fw/words.h"
#include "policyd/policy/reader.h"
#include "proto/base/cleanup.h"

#define NAME      "act"
#define TEXTS_MAX 1000

enum value {
	TEXT,  /* const char * */
	TEXTS, /* a list of them */
	PATH,  /* TEXT that a kernel would come to */
	PATHS,
	ID,   /* uint32_t */
	WORD, /* int: one of the words of a condition */
	PORT, /* int */
	BITS, /* uint64_t of such */
	BITS32,
	BOOL,
	ADDRESS,
	OPERATION,
	NAMESPACES,
	SAME, /* paths: aliases */
	FOLDERS,
	SAME_EXECUTABLE,
	SAME_TARGET,
};

static const struct row {
	const char *key;
	enum value value;
	size_t offset; /* in struct policy_act */
	enum policy_key words;
	const char *help;
} rows[] = {
#define AT(member) offsetof(struct policy_act, member)
	{"operation", OPERATION, AT(op), 0, "must be there"},
	{"executable", PATH, AT(executable), 0, "of the process"},
	{"parent", PATH, AT(parent), 0, "its executable; it is also an ancestor"},
	{"ancestors", PATHS, AT(ancestors), 0, "their executables"},
	{"cgroup", PATH, AT(cgroup), 0, "path from the root of the hierarchy"},
	{"container", BOOL, AT(container), 0, "`true`: it is in one"},
	{"uid", ID, AT(uid), 0, "effective; default 0"},
	{"gid", ID, AT(gid), 0, "likewise"},
	{"holds", BITS, AT(holds), POLICY_HOLDS, "effective capabilities"},
	{"gained", BITS, AT(gained), POLICY_GAINED, "of which it did not have when its program began"},
	{"namespaces", NAMESPACES, AT(ns_host), 0, "by kind, `host` (default) or `other`"},
	{"path", PATH, AT(path), 0, "of the file"},
	{"to", PATH, AT(path_to), 0, "second path of `file.rename` and `file.link`"},
	{"same", SAME, AT(aliases), 0, "other paths of the file: hard links, bind mounts"},
	{"folders", FOLDERS, AT(aliases), 0,
		"other paths of the folders above it, the nearest first: where it is in a bind mount"},
	{"sameExecutable", SAME_EXECUTABLE, AT(aliases), 0, "other paths of the executable"},
	{"sameTarget", SAME_TARGET, AT(aliases), 0, "other paths of the target"},
	{"flags", BITS32, AT(flags), POLICY_FLAGS, "of the file"},
	{"access", BITS32, AT(access), POLICY_ACCESS, "that is asked for"},
	{"address", ADDRESS, AT(address), 0, ""},
	{"port", PORT, AT(port), 0, ""},
	{"protocol", WORD, AT(protocol), POLICY_PROTOCOLS, ""},
	{"family", WORD, AT(family), POLICY_FAMILIES, "default: that of the address"},
	{"signal", WORD, AT(signal), POLICY_SIGNALS, ""},
	{"target", PATH, AT(target), 0, "executable of the other process"},
	{"module", TEXT, AT(module), 0, "name of the kernel module"},
	{"capabilities", BITS, AT(capabilities), POLICY_CAPABILITIES, "that are used or set"},
	{"arguments", TEXTS, AT(arguments), 0, "of the program"},
};

const char *policy_act_key(size_t i, const char **ret_help)
{
	if (i >= PST_ARRAY_SIZE(rows))
		return NULL;
	*ret_help = rows[i].help;
	return rows[i].key;
}

void policy_act_done(struct policy_act_text *a)
{
	free(a->ancestors);
	free(a->arguments);
	free(a->aliases);
	pst_doc_free(a->doc);
	*a = (struct policy_act_text){0};
}

/* ---- values ---- */

static int read_text(struct policy_reader *r, const struct pst_node *node, const char **ret)
{
	size_t len = node->type == PST_NODE_SCALAR ? strlen(node->text) : 0;

	if (!len || len > POLICY_TEXT_MAX)
		return POLICY_REJECT(
			r, node, "%s: expected a text of 1 to %d bytes", r->what, POLICY_TEXT_MAX);
	*ret = node->text;
	return 0;
}

/* Of what no path can be no rule says anything: "allowed" would be misleading. */
static int read_path(struct policy_reader *r, const struct pst_node *node, const char **ret)
{
	const char *fault;
	int e = read_text(r, node, ret);

	if (e)
		return e;
	fault = policy_pattern_fault(POLICY_EXACT, *ret);
	return fault ? POLICY_REJECT(r, node, "%s: \"%s\": %s", r->what, *ret, fault) : 0;
}

static int read_list(struct policy_reader *r, const struct pst_node *node,
	int (*read)(struct policy_reader *, const struct pst_node *, const char **), const char ***ret,
	size_t *ret_n)
{
	int e = 0;

	if (node->type != PST_NODE_SEQUENCE || node->n_children > TEXTS_MAX)
		return POLICY_REJECT(r, node, "%s: expected a list of at most %d texts", r->what, TEXTS_MAX);
	*ret = calloc(node->n_children + 2, sizeof(**ret)); /* and the parent */
	if (!*ret)
		return -ENOMEM;
	for (const struct pst_node *n = node->child; n && !e; n = n->next)
		e = read(r, n, &(*ret)[(*ret_n)++]);
	return e;
}

static int read_number(struct policy_reader *r, const struct pst_node *node, uint32_t max, uint32_t *ret)
{
	if (node->type == PST_NODE_SCALAR && fw_number(node->text, max, ret))
		return 0;
	return POLICY_REJECT(r, node, "%s: expected a number of 0 to %u", r->what, max);
}

static int read_word(struct policy_reader *r, const struct pst_node *node, enum policy_key key, int *ret)
{
	unsigned v;
	int e = policy_read_word(r, node, policy_rows[key].words, &v);

	if (!e)
		*ret = (int)v;
	return e;
}

static int read_bits(struct policy_reader *r, const struct pst_node *node, enum policy_key key, uint64_t *ret)
{
	int e = 0, bit = 0;

	if (node->type != PST_NODE_SEQUENCE)
		return POLICY_REJECT(r, node, "%s: expected a list", r->what);
	for (const struct pst_node *n = node->child; n && !e; n = n->next) {
		e = read_word(r, n, key, &bit);
		*ret |= 1ull << bit;
	}
	return e;
}

static int read_address(struct policy_reader *r, const struct pst_node *node, struct policy_act *act)
{
	struct fw_prefix prefix = {0};
	int e = node->type == PST_NODE_SCALAR ? policy_read_prefix(r, node, &prefix)
					      : POLICY_REJECT(r, node, "%s: expected an address", r->what);

	if (e)
		return e;
	if (prefix.len != 128)
		return POLICY_REJECT(r, node, "%s: expected an address, not a prefix", r->what);
	memcpy(act->address, prefix.addr, sizeof(act->address));
	act->has_address = true;
	if (act->family < 0)
		act->family = fw_prefix_is_ip4(&prefix) ? AF_INET : AF_INET6;
	return 0;
}

static int read_namespaces(struct policy_reader *r, const struct pst_node *node, uint8_t *ns_host)
{
	struct policy_cond c;
	int e = policy_read_cond(r, node, POLICY_NAMESPACES, &c);

	if (!e)
		*ns_host = (uint8_t)~c.ns_other;
	return e;
}

static int read_bool(struct policy_reader *r, const struct pst_node *node, bool *ret)
{
	if (node->type != PST_NODE_SCALAR ||
		(strcmp(node->text, "true") != 0 && strcmp(node->text, "false") != 0))
		return POLICY_REJECT(r, node, "%s: expected true or false", r->what);
	*ret = *node->text == 't';
	return 0;
}

static int read_aliases(
	struct policy_reader *r, const struct pst_node *node, enum value value, struct policy_act_text *a)
{
	struct policy_alias alias = {.of = value == SAME_EXECUTABLE ? POLICY_ALIAS_EXECUTABLE
					   : value == SAME_TARGET   ? POLICY_ALIAS_TARGET
								    : POLICY_ALIAS_PATH,
		.as = value == FOLDERS ? POLICY_ALIAS_IN : POLICY_ALIAS_FILE};
	struct policy_alias *v;
	int e = 0;

	if (node->type != PST_NODE_SEQUENCE || node->n_children > TEXTS_MAX)
		return POLICY_REJECT(r, node, "%s: expected a list of at most %d paths", r->what, TEXTS_MAX);
	v = reallocarray(a->aliases, a->act.n_aliases + node->n_children + 1, sizeof(*v));
	if (!v)
		return -ENOMEM;
	a->aliases = v;
	for (const struct pst_node *n = node->child; n && !e; n = n->next) {
		e = read_path(r, n, &alias.path);
		v[a->act.n_aliases++] = alias;
		if (alias.as == POLICY_ALIAS_IN)
			alias.as = POLICY_ALIAS_ABOVE;
	}
	return e;
}

static int read_value(struct policy_reader *r, const struct pst_node *node, const struct row *row,
	struct policy_act_text *a)
{
	void *at = (char *)&a->act + row->offset;
	uint64_t bits = 0;
	uint32_t number = 0;
	int e = 0;

	switch (row->value) {
	case TEXT:
		return read_text(r, node, at);
	case TEXTS:
		return read_list(r, node, read_text, &a->arguments, &a->act.n_arguments);
	case PATH:
		return read_path(r, node, at);
	case PATHS:
		return read_list(r, node, read_path, &a->ancestors, &a->act.n_ancestors);
	case ID:
		return read_number(r, node, UINT32_MAX, at);
	case PORT:
		e = read_number(r, node, 65535, &number);
		*(int *)at = (int)number;
		return e;
	case WORD:
		return read_word(r, node, row->words, at);
	case BITS:
		return read_bits(r, node, row->words, at);
	case BITS32:
		e = read_bits(r, node, row->words, &bits);
		*(uint32_t *)at = (uint32_t)bits;
		return e;
	case BOOL:
		return read_bool(r, node, at);
	case ADDRESS:
		return read_address(r, node, &a->act);
	case NAMESPACES:
		return read_namespaces(r, node, at);
	case SAME:
	case FOLDERS:
	case SAME_EXECUTABLE:
	case SAME_TARGET:
		return read_aliases(r, node, row->value, a);
	case OPERATION:
		e = policy_read_word(r, node, &policy_op_words, &number);
		a->act.op = (enum pst_pol_op)number;
		return e;
	}
	return -EINVAL;
}

/* ---- the act ---- */

static const struct row *row_of(struct policy_reader *r, const struct pst_node *node)
{
	const char *names[PST_ARRAY_SIZE(rows)];

	for (size_t i = 0; i < PST_ARRAY_SIZE(rows); i++) {
		names[i] = rows[i].key;
		if (!strcmp(rows[i].key, node->key))
			return &rows[i];
	}
	policy_reject_key(
		r, node, "an act", names, PST_ARRAY_SIZE(rows), "operation, executable, path or the like");
	return NULL;
}

/* The parent is the first of the ancestors. */
static int add_parent(struct policy_act_text *a)
{
	if (a->act.parent && !a->ancestors && !(a->ancestors = calloc(2, sizeof(*a->ancestors))))
		return -ENOMEM;
	if (a->act.parent)
		a->ancestors[a->act.n_ancestors++] = a->act.parent;
	a->act.ancestors = a->ancestors;
	a->act.arguments = a->arguments;
	a->act.aliases = a->aliases;
	return 0;
}

static int read_act(struct policy_reader *r, const struct pst_node *root, struct policy_act_text *a)
{
	int e = 0, k;

	if (!root || root->type != PST_NODE_MAPPING)
		return POLICY_REJECT(r, root,
			"expected an act such as {operation: file.open, path: /etc/shadow, uid: 33}");
	if (!pst_node_get(root, "operation"))
		e = POLICY_REJECT(r, root, "operation is missing, expected one such as file.open");
	for (const struct pst_node *n = root->child; n; n = n->next) {
		const struct row *row = row_of(r, n);

		r->what = n->key;
		k = row ? read_value(r, n, row, a) : -EINVAL;
		if (k == -ENOMEM)
			return k;
		e = e ? e : k;
	}
	return e ? e : add_parent(a);
}

int policy_act_parse(const char *text, struct pst_conf_errors *errors, struct policy_act_text *ret_act)
{
	PST_CLEANUP(policy_act_done) struct policy_act_text a = {.act = POLICY_ACT_INIT};
	struct policy_set none = {0};
	struct policy_reader r = {.ctx = {.file = NAME, .errors = errors}, .set = &none};
	int e = pst_doc_parse(NAME, text, strlen(text), errors, &a.doc);

	a.act.ns_host = UINT8_MAX;
	e = e ? e : read_act(&r, pst_doc_root(a.doc), &a);
	if (e == -ENOMEM)
		pst_conf_error(errors, NAME, 0, 0, "out of memory");
	if (e)
		return e;
	*ret_act = a;
	a = (struct policy_act_text){0};
	return 0;
}
