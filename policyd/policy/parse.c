// SPDX-License-Identifier: Apache-2.0
/* Documents: one policy each. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "policyd/policy/reader.h"
#include "proto/base/cleanup.h"
#include "proto/base/io.h"

#define NODES_MAX       500000
#define ANNOTATIONS_MAX 64
#define ANNOTATION_MAX  4096
#define API_VERSION     "penstock.dev/v1"
#define NAMES(list)     list, PST_ARRAY_SIZE(list)

static const struct pst_doc_bounds bounds = {
	.bytes = POLICY_FILE_BYTES, .nodes = NODES_MAX, .documents = 2 * POLICY_POLICIES_MAX};

/* A mapping with none but the known keys. */
static int check_mapping(struct policy_reader *r, const struct pst_node *node, const char *what,
	const char *const *known, size_t n, const char *expected)
{
	int e = 0;

	if (node->type != PST_NODE_MAPPING)
		return POLICY_REJECT(r, node, "expected %s: a mapping with %s", what, expected);
	for (const struct pst_node *k = node->child; k; k = k->next) {
		size_t i = 0;

		while (i < n && strcmp(known[i], k->key) != 0)
			i++;
		if (i == n)
			e = policy_reject_key(r, k, what, known, n, expected);
	}
	return e;
}

/* The value of a key that must be there. */
static const struct pst_node *must_have(
	struct policy_reader *r, const struct pst_node *node, const char *key, const char *expected)
{
	const struct pst_node *value = pst_node_get(node, key);

	if (!value)
		POLICY_REJECT(r, node, "%s is missing, expected %s", key, expected);
	return value;
}

static int expect_text(
	struct policy_reader *r, const struct pst_node *root, const char *key, const char *text)
{
	const struct pst_node *node = must_have(r, root, key, text);

	if (!node)
		return -EINVAL;
	if (node->type == PST_NODE_SCALAR && !strcmp(node->text, text))
		return 0;
	return POLICY_REJECT(r, node, "%s: expected %s", key, text);
}

/* ---- metadata ---- */

/* RFC 1123, as Kubernetes has it. */
static bool is_label(const char *text)
{
	size_t len = strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789-");

	return len && len <= POLICY_NAME_MAX && !text[len] && text[0] != '-' && text[len - 1] != '-';
}

static int read_name(struct policy_reader *r, const struct pst_node *metadata, struct policy *p)
{
	const struct pst_node *node = must_have(r, metadata, "name", "a name that no other policy has");

	if (!node)
		return -EINVAL;
	if (node->type != PST_NODE_SCALAR || !is_label(node->text))
		return POLICY_REJECT(r, node,
			"name: expected 1 to %d of a-z, 0-9 and -, with no - at the ends", POLICY_NAME_MAX);
	p->name = strdup(node->text);
	return p->name ? 0 : -ENOMEM;
}

/* For people: texts by name. */
static int check_texts(struct policy_reader *r, const struct pst_node *node, const char *what)
{
	int e = 0;

	if (!node)
		return 0;
	if (node->type != PST_NODE_MAPPING || node->n_children > ANNOTATIONS_MAX)
		return POLICY_REJECT(
			r, node, "%s: expected a mapping of at most %d texts", what, ANNOTATIONS_MAX);
	for (const struct pst_node *n = node->child; n; n = n->next)
		if (n->type != PST_NODE_SCALAR || strlen(n->text) > ANNOTATION_MAX)
			e = POLICY_REJECT(
				r, n, "%s: expected a text of at most %d bytes", what, ANNOTATION_MAX);
	return e;
}

static int read_metadata(struct policy_reader *r, const struct pst_node *root, struct policy *p)
{
	static const char *const keys[] = {"name", "labels", "annotations"};
	const struct pst_node *node = must_have(r, root, "metadata", "{name: ...}");
	int e, k;

	if (!node)
		return -EINVAL;
	e = check_mapping(r, node, "metadata", NAMES(keys), "name, labels or annotations");
	if (node->type != PST_NODE_MAPPING)
		return e;
	k = read_name(r, node, p);
	if (k == -ENOMEM)
		return k;
	e = e ? e : k;
	k = check_texts(r, pst_node_get(node, "labels"), "labels");
	e = e ? e : k;
	k = check_texts(r, pst_node_get(node, "annotations"), "annotations");
	return e ? e : k;
}

/* ---- spec ---- */

static int read_choice(struct policy_reader *r, const struct pst_node *spec, const char *key,
	const struct policy_words *words, unsigned *value)
{
	const struct pst_node *node = pst_node_get(spec, key);

	r->what = key;
	return node ? policy_read_word(r, node, words, value) : 0;
}

static int read_scope(struct policy_reader *r, const struct pst_node *node, struct policy *p)
{
	const char *keys[POLICY_KEYS];
	size_t n = 0;
	int e, k;

	for (unsigned i = 0; i < POLICY_KEYS; i++)
		if (policy_rows[i].in & POLICY_IN_SCOPE)
			keys[n++] = policy_rows[i].key;
	e = check_mapping(
		r, node, "a scope", keys, n, "cgroups, containers, host, uids, executables or descendantsOf");
	if (node->type != PST_NODE_MAPPING)
		return e;
	if (!node->n_children)
		return POLICY_REJECT(
			r, node, "scope: it is empty, expected it left out or a condition in it");
	k = policy_read_conds(r, node, POLICY_IN_SCOPE, &p->scope);
	if (k == -ENOMEM)
		return k;
	e = e ? e : k ? k : policy_check_scope(r, node, p);
	r->scope_refused = e;
	return e;
}

static int read_spec(struct policy_reader *r, const struct pst_node *root, struct policy *p)
{
	static const char *const keys[] = {"mode", "requires", "scope", "rules"};
	const struct pst_node *node = must_have(r, root, "spec", "{rules: [...]}"), *rules, *scope;
	unsigned mode = POLICY_ENFORCE, need = POLICY_AS_RULES;
	int e, k;

	if (!node)
		return -EINVAL;
	e = check_mapping(r, node, "a policy's spec", NAMES(keys), "mode, requires, scope or rules");
	if (node->type != PST_NODE_MAPPING)
		return e;
	k = read_choice(r, node, "mode", &policy_modes, &mode);
	e = e ? e : k;
	k = read_choice(r, node, "requires", &policy_needs, &need);
	e = e ? e : k;
	p->mode = (enum policy_mode)mode;
	p->requires = (enum policy_need)need;
	scope = pst_node_get(node, "scope");
	k = scope ? read_scope(r, scope, p) : 0;
	if (k == -ENOMEM)
		return k;
	e = e ? e : k;
	rules = must_have(r, node, "rules", "a list of rules");
	k = rules ? policy_read_rules(r, rules, p) : -EINVAL;
	return k == -ENOMEM ? k : e ? e : k;
}

/* ---- documents ---- */

static int read_policy(struct policy_reader *r, const struct pst_node *root, struct policy *p)
{
	static const char *const keys[] = {"apiVersion", "kind", "metadata", "spec"};
	int e = check_mapping(r, root, "a policy", NAMES(keys), "apiVersion, kind, metadata and spec"), k;

	if (root->type != PST_NODE_MAPPING)
		return e;
	k = expect_text(r, root, "apiVersion", API_VERSION);
	e = e ? e : k;
	k = expect_text(r, root, "kind", "Policy");
	e = e ? e : k;
	k = read_metadata(r, root, p);
	if (k == -ENOMEM)
		return k;
	e = e ? e : k;
	k = read_spec(r, root, p);
	return k == -ENOMEM ? k : e ? e : k ? k : policy_check(r, p);
}

static int check_unique(struct policy_reader *r, const struct pst_node *root, const struct policy *p)
{
	uint32_t at;
	int e = p->name ? fw_names_add(&r->set->names, p->name, (uint32_t)r->set->n) : 0;

	if (e != -EEXIST)
		return e;
	fw_names_find(&r->set->names, p->name, &at);
	return POLICY_REJECT(r, pst_node_get(pst_node_get(root, "metadata"), "name"),
		"name: \"%s\" is the name of the policy in %s:%u already, expected another", p->name,
		r->set->v[at]->file, r->set->v[at]->line);
}

static int add_room(struct policy_reader *r, const struct pst_node *root)
{
	struct policy_set *set = r->set;
	struct policy **v;

	if (set->n == POLICY_POLICIES_MAX)
		return POLICY_REJECT(r, root, "more than %d policies", POLICY_POLICIES_MAX);
	if (set->n < set->size)
		return 0;
	v = reallocarray(set->v, set->size ? set->size * 2 : 16, sizeof(struct policy *));
	if (!v)
		return -ENOMEM;
	set->v = v;
	set->size = set->size ? set->size * 2 : 16;
	return 0;
}

/* A policy that was refused stays in the set until the file is done: its name is taken all the same. */
static int read_document(struct policy_reader *r, const struct pst_node *root)
{
	PST_CLEANUP(policy_freep) struct policy *p = calloc(1, sizeof(*p));
	int e = p ? add_room(r, root) : -ENOMEM, k;

	if (e)
		return e;
	r->scope_refused = false;
	r->asks = NULL;
	p->line = root->line;
	p->file = strdup(r->ctx.file);
	e = p->file ? read_policy(r, root, p) : -ENOMEM;
	if (e == -ENOMEM)
		return e;
	k = check_unique(r, root, p);
	if (k)
		return k;
	r->set->v[r->set->n++] = PST_TAKE_PTR(p);
	return e;
}

static int read_documents(struct policy_reader *r, const struct pst_doc *doc)
{
	int e = 0;

	if (!pst_doc_root(doc))
		return POLICY_REJECT(r, NULL, "there is no policy in it");
	for (const struct pst_node *n = pst_doc_root(doc); n; n = n->next) {
		int k = read_document(r, n);

		if (k && k != -EINVAL)
			return k;
		e = e ? e : k;
	}
	return e;
}

static int read_doc(struct policy_set *set, const char *name, const struct pst_doc *doc,
	struct pst_conf_errors *errors, struct pst_conf_errors *warnings)
{
	struct policy_reader r = {.ctx = {.file = name, .errors = errors}, .warnings = warnings, .set = set};
	int e = read_documents(&r, doc);

	if (e == -ENOMEM)
		pst_conf_error(errors, name, 0, 0, "out of memory");
	return e;
}

int policy_parse(struct policy_set *set, const char *name, const void *bytes, size_t len,
	struct pst_conf_errors *errors, struct pst_conf_errors *warnings)
{
	PST_CLEANUP(pst_doc_freep) struct pst_doc *doc = NULL;
	int e;

	if (set->n_bytes + len > POLICY_ALL_BYTES) {
		pst_conf_error(
			errors, name, 0, 0, "here all files have more than %u MiB", POLICY_ALL_BYTES >> 20);
		return -EFBIG;
	}
	set->n_bytes += len;
	e = pst_doc_parse_within(name, bytes, len, &bounds, errors, &doc);
	return e ? e : read_doc(set, name, doc, errors, warnings);
}

int policy_read_bytes(const char *path, struct pst_conf_errors *errors, char **ret_bytes, size_t *ret_len)
{
	PST_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	int e = fd < 0 ? -errno : pst_read_file(fd, POLICY_FILE_BYTES, ret_bytes, ret_len);

	if (e)
		pst_conf_error(errors, path, 0, 0, "%s",
			e == -EINVAL   ? "expected a regular file"
			: e == -EFBIG  ? "larger than 4 MiB"
			: e == -EAGAIN ? "changed while it was read"
				       : strerror(-e));
	return e;
}

int policy_read(struct policy_set *set, const char *path, struct pst_conf_errors *errors,
	struct pst_conf_errors *warnings)
{
	PST_FREE char *bytes = NULL;
	size_t len = 0;
	int e = policy_read_bytes(path, errors, &bytes, &len);

	return e ? e : policy_parse(set, path, bytes, len, errors, warnings);
}
