// SPDX-License-Identifier: Apache-2.0
/* Rule files: reading folders, the keys of a rule, the index by kind. */
#include "policyd/rules.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "policyd/compile.h"
#include "proto/base/cleanup.h"

#define FILES_MAX 1000

static void part_done(struct part *p)
{
	free(p->literal);
	named_field_done(&p->field);
}

static void rule_done(struct rule *r)
{
	free(r->name);
	cond_free(r->match);
	for (uint32_t i = 0; i < r->n_parts; i++)
		part_done(&r->parts[i]);
	free(r->parts);
	pst_buf_done(&r->tags);
}

void rules_free(struct rules *rules)
{
	if (!rules)
		return;
	for (size_t i = 0; i < rules->n; i++)
		rule_done(&rules->v[i]);
	for (unsigned k = 0; k < KIND_MAX; k++)
		free(rules->by_kind[k]);
	free(rules->v);
	free(rules);
}

static void rules_freep(struct rules **rules)
{
	rules_free(*rules);
}

static int add_part(struct rule *r, const char *literal, size_t len, struct named_field *field)
{
	struct part *p = realloc(r->parts, (r->n_parts + 1) * sizeof(*p));

	if (!p)
		return -ENOMEM;
	r->parts = p;
	p = &p[r->n_parts];
	*p = (struct part){0};
	if (field)
		p->field = *field;
	else if (!(p->literal = strndup(literal, len)))
		return -ENOMEM;
	r->n_parts++;
	return 0;
}

/* "text {field} text"; "{{" is a brace. */
static int parse_message(struct pst_conf_ctx *ctx, const struct pst_node *node, struct rule *r)
{
	const char *p = node->text;
	int e = 0;

	while (*p && !e) {
		const char *open = strchr(p, '{'), *close;
		struct named_field field = {0};
		char name[64];

		if (!open)
			return add_part(r, p, strlen(p), NULL);
		if (open[1] == '{') {
			e = add_part(r, p, (size_t)(open - p) + 1, NULL);
			p = open + 2;
			continue;
		}
		close = strchr(open, '}');
		if (!close || (size_t)(close - open) > sizeof(name))
			return pst_conf_reject(ctx, node, "message: \"{\" without \"}\"");
		memcpy(name, open + 1, (size_t)(close - open) - 1);
		name[close - open - 1] = 0;
		e = compile_field(ctx, node, name, &field);
		if (!e && open > p)
			e = add_part(r, p, (size_t)(open - p), NULL);
		if (!e)
			e = add_part(r, NULL, 0, &field);
		if (e)
			named_field_done(&field);
		p = close + 1;
	}
	return e;
}

/* "10/1m", "none" */
static int parse_rate(struct pst_conf_ctx *ctx, const struct pst_node *node, struct rule *r)
{
	char *end;

	r->rate.burst = 0;
	if (!strcmp(node->text, "none"))
		return 0;
	errno = 0;
	r->rate.burst = isdigit((unsigned char)node->text[0]) ? strtoull(node->text, &end, 10) : 0;
	if (!r->rate.burst || errno || r->rate.burst > 1000000 || *end != '/' ||
		pst_conf_parse_time(end + 1, &r->rate.interval_ns) < 0 || !r->rate.interval_ns)
		return pst_conf_reject(
			ctx, node, "rate: expected a number of alerts and a time, such as 10/1m, or none");
	r->rate.tokens = (double)r->rate.burst;
	return 0;
}

static int parse_severity(struct pst_conf_ctx *ctx, const struct pst_node *node, struct rule *r)
{
	if (pst_val_parse(&pst_policyd_fields[PST_POL_severity], node->text, &r->severity) < 0 ||
		r->severity > 5)
		return pst_conf_reject(ctx, node,
			"severity: expected debug, info, notice, warning, error or critical, got \"%s\"",
			node->text);
	return 0;
}

static int add_kind(struct pst_conf_ctx *ctx, const struct pst_node *node, struct rule *r)
{
	bool any = false;

	if (node->type != PST_NODE_SCALAR)
		return pst_conf_reject(ctx, node, "kinds: expected names such as process_exec or tcp_*");
	for (size_t k = 0; k < pst_n_kinds; k++) {
		if (pst_kinds[k].id >= KIND_MAX ||
			!pst_glob_match(node->text, pst_kinds[k].name, strlen(pst_kinds[k].name)))
			continue;
		r->kinds[pst_kinds[k].id / 8] |= (uint8_t)(1 << pst_kinds[k].id % 8);
		any = true;
	}
	if (!any) {
		const char *names[KIND_MAX], *near;
		size_t n = 0;

		for (size_t k = 0; k < pst_n_kinds && n < KIND_MAX; k++)
			names[n++] = pst_kinds[k].name;
		near = pst_conf_did_you_mean(node->text, names, n);
		return pst_conf_reject(ctx, node, "no kind of event is called \"%s\"%s%s%s", node->text,
			near ? ", did you mean \"" : "", near ? near : "", near ? "\"?" : "");
	}
	return 0;
}

static int each(struct pst_conf_ctx *ctx, const struct pst_node *node, struct rule *r,
	int (*fn)(struct pst_conf_ctx *ctx, const struct pst_node *node, struct rule *r))
{
	int e = 0;

	if (node->type != PST_NODE_SEQUENCE)
		return fn(ctx, node, r);
	for (const struct pst_node *k = node->child; k && !e; k = k->next)
		e = fn(ctx, k, r);
	return e;
}

static int add_tag(struct pst_conf_ctx *ctx, const struct pst_node *node, struct rule *r)
{
	if (node->type != PST_NODE_SCALAR || strlen(node->text) > 64 || r->n_tags == 32)
		return pst_conf_reject(ctx, node, "tags: expected at most 32 words of at most 64 bytes");
	pst_list_add(&r->tags, node->text, (uint32_t)strlen(node->text));
	r->n_tags++;
	return r->tags.failed ? -ENOMEM : 0;
}

static int parse_kinds(struct pst_conf_ctx *ctx, const struct pst_node *node, struct rule *r)
{
	return each(ctx, node, r, add_kind);
}

static int parse_tags(struct pst_conf_ctx *ctx, const struct pst_node *node, struct rule *r)
{
	return each(ctx, node, r, add_tag);
}

static int parse_match(struct pst_conf_ctx *ctx, const struct pst_node *node, struct rule *r)
{
	return compile_match(ctx, node, &r->match);
}

static int parse_name(struct pst_conf_ctx *ctx, const struct pst_node *node, struct rule *r)
{
	size_t len = strlen(node->text);

	if (!len || len > 128)
		return pst_conf_reject(ctx, node, "name: expected 1 to 128 bytes");
	r->name = strdup(node->text);
	return r->name ? 0 : -ENOMEM;
}

static int parse_nothing(struct pst_conf_ctx *ctx, const struct pst_node *node, struct rule *r)
{
	(void)ctx;
	(void)node;
	(void)r;
	return 0;
}

static const struct {
	const char *key;
	bool scalar;
	int (*parse)(struct pst_conf_ctx *ctx, const struct pst_node *node, struct rule *r);
} keys[] = {
	{"name", true, parse_name},
	{"description", true, parse_nothing}, /* for people */
	{"kinds", false, parse_kinds},
	{"match", false, parse_match},
	{"severity", true, parse_severity},
	{"message", true, parse_message},
	{"tags", false, parse_tags},
	{"rate", true, parse_rate},
};

static int parse_key(struct pst_conf_ctx *ctx, const struct pst_node *node, struct rule *r)
{
	const char *names[PST_ARRAY_SIZE(keys)], *near;

	for (size_t i = 0; i < PST_ARRAY_SIZE(keys); i++) {
		names[i] = keys[i].key;
		if (strcmp(keys[i].key, node->key))
			continue;
		if (keys[i].scalar && node->type != PST_NODE_SCALAR)
			return pst_conf_reject(ctx, node, "%s: expected one value", node->key);
		return keys[i].parse(ctx, node, r);
	}
	near = pst_conf_did_you_mean(node->key, names, PST_ARRAY_SIZE(keys));
	pst_conf_error(ctx->errors, ctx->file, node->key_line, node->key_column,
		"unknown key \"%s\" of a rule%s%s%s", node->key, near ? ", did you mean \"" : "",
		near ? near : "", near ? "\"?" : "");
	return -EINVAL;
}

static int parse_rule(struct pst_conf_ctx *ctx, const struct pst_node *node, struct rule *r)
{
	static const uint8_t none[KIND_MAX / 8];
	uint32_t before = ctx->errors->count;
	int e = 0, k;

	if (node->type != PST_NODE_MAPPING)
		return pst_conf_reject(
			ctx, node, "expected a rule: a mapping with name, kinds, match, severity, message");
	r->severity = 3;
	r->rate = ALERT_RATE;
	for (const struct pst_node *n = node->child; n; n = n->next) {
		k = parse_key(ctx, n, r);
		e = e ? e : k;
	}
	if (e || ctx->errors->count > before)
		return e ? e : -EINVAL;
	if (!r->name)
		return pst_conf_reject(ctx, node, "the rule has no name");
	if (!memcmp(r->kinds, none, sizeof(none)) && !r->match)
		return pst_conf_reject(
			ctx, node, "rule %s matches every event: give it kinds or match", r->name);
	if (!memcmp(r->kinds, none, sizeof(none)))
		memset(r->kinds, 0xff, sizeof(r->kinds));
	if (!r->n_parts)
		e = add_part(r, r->name, strlen(r->name), NULL);
	return e;
}

static bool is_taken(const struct rules *rules, const char *name)
{
	for (size_t i = 0; i + 1 < rules->n; i++)
		if (name && rules->v[i].name && /* one that was refused may have none */
			!strcmp(rules->v[i].name, name))
			return true;
	return false;
}

static int parse_doc(struct pst_conf_ctx *ctx, const struct pst_doc *doc, struct rules *rules)
{
	const struct pst_node *root = pst_doc_root(doc), *list;
	int e = 0, k;

	if (!root)
		return 0;
	list = root->type == PST_NODE_MAPPING ? pst_node_get(root, "rules") : NULL;
	if (!list || list->type != PST_NODE_SEQUENCE || root->n_children != 1)
		return pst_conf_reject(ctx, root, "expected one key, rules, with a sequence of rules");
	for (const struct pst_node *n = list->child; n; n = n->next) {
		struct rule *v = rules->n < RULES_MAX ? realloc(rules->v, (rules->n + 1) * sizeof(*v)) : NULL;

		if (!v)
			return pst_conf_reject(ctx, n, "more than %d rules", RULES_MAX);
		rules->v = v;
		v[rules->n] = (struct rule){0};
		k = parse_rule(ctx, n, &v[rules->n++]);
		if (!k && is_taken(rules, v[rules->n - 1].name))
			k = pst_conf_reject(
				ctx, n, "a rule of the name \"%s\" is there already", v[rules->n - 1].name);
		e = e ? e : k;
	}
	return e;
}

static int load_file(const char *path, struct pst_conf_errors *errors, struct rules *rules)
{
	PST_CLEANUP(pst_doc_freep) struct pst_doc *doc = NULL;
	struct pst_conf_ctx ctx = {.file = path, .errors = errors};
	int e = pst_doc_load(path, errors, &doc);

	return e ? e : parse_doc(&ctx, doc, rules);
}

static int is_yaml(const struct dirent *e)
{
	const char *dot = strrchr(e->d_name, '.');

	return e->d_name[0] != '.' && dot && (!strcmp(dot, ".yaml") || !strcmp(dot, ".yml"));
}

static int load_folder(const char *path, struct pst_conf_errors *errors, struct rules *rules)
{
	struct dirent **list;
	int n = scandir(path, &list, is_yaml, alphasort), e = 0;

	if (n < 0) {
		e = -errno;
		pst_conf_error(errors, path, 0, 0, "%s", strerror(errno));
		return e;
	}
	for (int i = 0; i < n; i++) {
		PST_FREE char *file = NULL;
		int k = asprintf(&file, "%s/%s", path, list[i]->d_name) < 0 || i >= FILES_MAX
				? -ENOMEM
				: load_file(file, errors, rules);

		e = e ? e : k;
		free(list[i]);
	}
	free(list);
	return e;
}

static int index_kinds(struct rules *rules)
{
	for (unsigned k = 0; k < KIND_MAX; k++) {
		for (size_t i = 0; i < rules->n; i++) {
			if (!(rules->v[i].kinds[k / 8] >> k % 8 & 1))
				continue;
			if (!rules->by_kind[k])
				rules->by_kind[k] = calloc(rules->n, sizeof(uint32_t));
			if (!rules->by_kind[k])
				return -ENOMEM;
			rules->by_kind[k][rules->n_by_kind[k]++] = (uint32_t)i;
		}
	}
	return 0;
}

static int load_path(const char *path, bool must_exist, struct pst_conf_errors *errors, struct rules *rules)
{
	struct stat st;

	if (stat(path, &st) < 0) {
		int e = -errno;

		if (e == -ENOENT && !must_exist)
			return 0; /* no rules there, which is fine */
		pst_conf_error(errors, path, 0, 0, "%s", strerror(-e));
		return e;
	}
	return S_ISDIR(st.st_mode) ? load_folder(path, errors, rules) : load_file(path, errors, rules);
}

int rules_load(const struct pst_strs *paths, bool must_exist, struct pst_conf_errors *errors,
	struct rules **ret_rules)
{
	PST_CLEANUP(rules_freep) struct rules *rules = calloc(1, sizeof(*rules));
	int e = 0;

	if (!rules)
		return -ENOMEM;
	for (size_t i = 0; i < paths->n; i++) {
		int k = load_path(paths->v[i], must_exist, errors, rules);

		e = e ? e : k;
	}
	e = e ? e : errors->count ? -EINVAL : index_kinds(rules);
	if (!e)
		*ret_rules = PST_TAKE_PTR(rules);
	return e;
}

int rules_parse(const char *name, const void *bytes, size_t len, struct pst_conf_errors *errors,
	struct rules **ret_rules)
{
	PST_CLEANUP(rules_freep) struct rules *rules = calloc(1, sizeof(*rules));
	PST_CLEANUP(pst_doc_freep) struct pst_doc *doc = NULL;
	struct pst_conf_ctx ctx = {.file = name, .errors = errors};
	int e = rules ? pst_doc_parse(name, bytes, len, errors, &doc) : -ENOMEM;

	e = e ? e : parse_doc(&ctx, doc, rules);
	e = e ? e : errors->count ? -EINVAL : index_kinds(rules);
	if (!e)
		*ret_rules = PST_TAKE_PTR(rules);
	return e;
}

bool rules_want(const struct rules *rules, uint32_t kind)
{
	return kind < KIND_MAX && rules->n_by_kind[kind];
}

void rules_inherit(struct rules *to, const struct rules *from)
{
	for (size_t i = 0; i < to->n; i++) {
		struct rule *r = &to->v[i];

		for (size_t j = 0; j < from->n; j++) {
			if (strcmp(r->name, from->v[j].name))
				continue;
			r->matched = from->v[j].matched;
			r->alerts = from->v[j].alerts;
			r->rate.suppressed = from->v[j].rate.suppressed;
			break;
		}
	}
}
