// SPDX-License-Identifier: Apache-2.0
/* From the tree into a struct, by a table. */
#include "proto/base/cleanup.h"
#include "proto/base/conf_internal.h"

#include <assert.h>
#include <inttypes.h>
#include <string.h>
#include <strings.h>

#define NAMES_MAX 64

static const char *const node_names[] = {
	[PST_NODE_SCALAR] = "a single value",
	[PST_NODE_SEQUENCE] = "a list",
	[PST_NODE_MAPPING] = "a mapping",
};

static void *member(const struct pst_conf_ctx *ctx, const struct pst_conf_field *f)
{
	return (char *)ctx->base + f->offset;
}

/* "key:" with nothing after it. */
static bool is_empty(const struct pst_node *n)
{
	return n->type == PST_NODE_SCALAR && !n->quoted &&
	       (!*n->text || !strcmp(n->text, "~") || !strcmp(n->text, "null"));
}

/* NULL (after an error) unless the node is a scalar with a text. */
static const char *scalar(struct pst_conf_ctx *ctx, const struct pst_conf_field *f, const struct pst_node *n,
	const char *expected)
{
	if (n->type != PST_NODE_SCALAR)
		pst_conf_reject(ctx, n, "%s: expected %s, found %s", f->key, expected, node_names[n->type]);
	else if (is_empty(n))
		pst_conf_reject(ctx, n, "%s: expected %s, found nothing", f->key, expected);
	else
		return n->text;
	return NULL;
}

/* As above, and not in quotes. */
static const char *plain(struct pst_conf_ctx *ctx, const struct pst_conf_field *f, const struct pst_node *n,
	const char *expected)
{
	const char *text = scalar(ctx, f, n, expected);

	if (text && n->quoted) {
		pst_conf_reject(ctx, n, "%s: expected %s, found a text in quotes", f->key, expected);
		return NULL;
	}
	return text;
}

/* ---- one value each ---- */

static int bind_bool(struct pst_conf_ctx *ctx, const struct pst_conf_field *f, const struct pst_node *n)
{
	static const char *const words[] = {"false", "true", "no", "yes", "off", "on"};
	const char *text = plain(ctx, f, n, "true or false");

	if (!text)
		return -EINVAL;
	for (size_t i = 0; i < PST_ARRAY_SIZE(words); i++)
		if (!strcasecmp(text, words[i])) {
			*(bool *)member(ctx, f) = i & 1;
			return 0;
		}
	return pst_conf_reject(
		ctx, n, "%s: expected true or false, found \"%s\"", f->key, conf_quote(text).s);
}

static int parse_u64(const char *text, uint64_t *ret_value)
{
	unsigned base = text[0] == '0' && text[1] == 'x' ? 16 : 10;
	const char *s = base == 16 ? text + 2 : text;
	uint64_t n = 0;

	if (!*s || (base == 10 && s[0] == '0' && s[1])) /* 010: eight or ten? */
		return -EINVAL;
	for (; *s; s++) {
		static const char digits[] = "0123456789abcdef";
		const char *d = strchr(digits, *s >= 'A' && *s <= 'F' ? *s - 'A' + 'a' : *s);

		if (!d || (unsigned)(d - digits) >= base)
			return -EINVAL;
		if (__builtin_mul_overflow(n, base, &n) ||
			__builtin_add_overflow(n, (uint64_t)(d - digits), &n))
			return -ERANGE;
	}
	*ret_value = n;
	return 0;
}

static int bind_number(struct pst_conf_ctx *ctx, const struct pst_conf_field *f, const struct pst_node *n)
{
	static const struct {
		const char *expected;
		int (*parse)(const char *text, uint64_t *ret_value);
	} kinds[] = {
		[PST_CONF_U64] = {"a number", parse_u64},
		[PST_CONF_SIZE] = {"a size such as 64KiB or 8MiB", pst_conf_parse_size},
		[PST_CONF_TIME] = {"a time with its unit such as 500ms, 5s or 1h", pst_conf_parse_time},
	};
	const char *expected = kinds[f->type].expected, *text = plain(ctx, f, n, expected);
	uint64_t value;

	assert(kinds[f->type].parse);
	if (!text)
		return -EINVAL;
	int r = kinds[f->type].parse(text, &value);
	if (r == -EINVAL)
		return pst_conf_reject(
			ctx, n, "%s: expected %s, found \"%s\"", f->key, expected, conf_quote(text).s);
	uint64_t max = f->max ? f->max : UINT64_MAX;
	if (!r && value >= f->min && value <= max) {
		*(uint64_t *)member(ctx, f) = value;
		return 0;
	}
	if (f->max)
		return pst_conf_reject(ctx, n, "%s: %s is not between %s and %s", f->key, conf_quote(text).s,
			conf_format(f->type, f->min).s, conf_format(f->type, f->max).s);
	if (r < 0)
		return pst_conf_reject(ctx, n, "%s: %s is too large", f->key, conf_quote(text).s);
	return pst_conf_reject(
		ctx, n, "%s: %s is less than %s", f->key, conf_quote(text).s, conf_format(f->type, f->min).s);
}

static int bind_str(struct pst_conf_ctx *ctx, const struct pst_conf_field *f, const struct pst_node *n)
{
	const char *text = scalar(ctx, f, n, "a text");

	if (!text)
		return -EINVAL;
	size_t len = strlen(text);
	if (f->max && (len < f->min || len > f->max))
		return pst_conf_reject(ctx, n,
			"%s: the text has %zu bytes, not between %" PRIu64 " and %" PRIu64, f->key, len,
			f->min, f->max);
	char *copy = strdup(text);
	if (!copy)
		return pst_conf_reject(ctx, n, "out of memory");
	free(*(char **)member(ctx, f));
	*(char **)member(ctx, f) = copy;
	return 0;
}

/* "one, two, three", cut when it gets long */
static void join(char *buf, size_t size, const char *const *names, size_t n)
{
	size_t len = 0;

	buf[0] = '\0';
	for (size_t i = 0; i < n; i++) {
		int w = snprintf(buf + len, size - len, "%s%s", i ? ", " : "", names[i]);

		if (w < 0 || (size_t)w >= size - len) {
			memcpy(buf + PST_MIN(len, size - 6), ", ...", 6);
			return;
		}
		len += (size_t)w;
	}
}

/* Says what @word may have meant: the nearest of @names, or all of them. */
static int reject_word(struct pst_conf_ctx *ctx, uint32_t line, uint32_t column, const char *what,
	const char *word, const char *const *names, size_t n)
{
	const char *near = pst_conf_did_you_mean(word, names, n);
	char list[256];

	if (near) {
		pst_conf_error(ctx->errors, ctx->file, line, column, "%s \"%s\"; did you mean \"%s\"?", what,
			conf_quote(word).s, near);
		return -EINVAL;
	}
	join(list, sizeof(list), names, n);
	pst_conf_error(ctx->errors, ctx->file, line, column, "%s \"%s\"; expected %s%s", what,
		conf_quote(word).s, n > 1 ? "one of: " : "", n ? list : "nothing");
	return -EINVAL;
}

static int bind_enum(struct pst_conf_ctx *ctx, const struct pst_conf_field *f, const struct pst_node *n)
{
	const char *text = scalar(ctx, f, n, "a word"), *names[NAMES_MAX];
	char what[96];
	size_t count = 0;

	if (!text)
		return -EINVAL;
	for (; f->names[count] && count < NAMES_MAX; count++) {
		names[count] = f->names[count];
		if (!strcmp(text, names[count])) {
			*(int *)member(ctx, f) = (int)count;
			return 0;
		}
	}
	snprintf(what, sizeof(what), "%s: unknown value", f->key);
	return reject_word(ctx, n->line, n->column, what, text, names, count);
}

/* ---- lists of strings ---- */

void pst_strs_done(struct pst_strs *strs)
{
	for (size_t i = 0; i < strs->n; i++)
		free(strs->v[i]);
	free(strs->v);
	*strs = (struct pst_strs){0};
}

static int strs_add(struct pst_conf_ctx *ctx, const struct pst_conf_field *f, struct pst_strs *strs,
	const struct pst_node *n)
{
	const char *text = scalar(ctx, f, n, "a text");

	if (!text)
		return -EINVAL;
	strs->v[strs->n] = strdup(text);
	if (!strs->v[strs->n])
		return pst_conf_reject(ctx, n, "out of memory");
	strs->n++;
	return 0;
}

static int bind_strs(struct pst_conf_ctx *ctx, const struct pst_conf_field *f, const struct pst_node *n)
{
	PST_CLEANUP(pst_strs_done) struct pst_strs strs = {0};
	bool list = n->type == PST_NODE_SEQUENCE;
	size_t count = list ? n->n_children : 1;
	int r = 0;

	if (n->type == PST_NODE_MAPPING)
		return pst_conf_reject(ctx, n, "%s: expected a list of texts, found a mapping", f->key);
	if (count < f->min || (f->max && count > f->max))
		return pst_conf_reject(ctx, n,
			"%s: the list has %zu entries, not between %" PRIu64 " and %" PRIu64, f->key, count,
			f->min, f->max ? f->max : UINT64_MAX);
	strs.v = calloc(count ? count : 1, sizeof(*strs.v));
	if (!strs.v)
		return pst_conf_reject(ctx, n, "out of memory");
	if (!list)
		r = strs_add(ctx, f, &strs, n);
	for (const struct pst_node *c = list ? n->child : NULL; c; c = c->next)
		if (strs_add(ctx, f, &strs, c) < 0)
			r = -EINVAL;
	if (r < 0)
		return r;
	pst_strs_done(member(ctx, f));
	*(struct pst_strs *)member(ctx, f) = strs;
	strs = (struct pst_strs){0};
	return 0;
}

/* ---- tables ---- */

static int bind_custom(struct pst_conf_ctx *ctx, const struct pst_conf_field *f, const struct pst_node *n)
{
	uint32_t before = ctx->errors->count;
	int r = f->parse(ctx, n);

	/* Whatever went wrong, the user gets a line with a place. */
	if (r < 0 && ctx->errors->count == before)
		pst_conf_reject(ctx, n, "%s: %s", f->key, strerror(-r));
	return r < 0 || ctx->errors->count != before ? -EINVAL : 0;
}

static int bind_field(struct pst_conf_ctx *ctx, const struct pst_conf_field *f, const struct pst_node *n)
{
	switch (f->type) {
	case PST_CONF_BOOL:
		return bind_bool(ctx, f, n);
	case PST_CONF_U64:
	case PST_CONF_SIZE:
	case PST_CONF_TIME:
		return bind_number(ctx, f, n);
	case PST_CONF_STR:
		return bind_str(ctx, f, n);
	case PST_CONF_ENUM:
		return bind_enum(ctx, f, n);
	case PST_CONF_STRS:
		return bind_strs(ctx, f, n);
	case PST_CONF_SECTION:
		return pst_conf_bind(ctx, n, f->section);
	case PST_CONF_CUSTOM:
		return bind_custom(ctx, f, n);
	}
	return -EINVAL;
}

static int unknown_key(
	struct pst_conf_ctx *ctx, const struct pst_node *n, const struct pst_conf_field *fields)
{
	const char *names[NAMES_MAX];
	size_t count = 0;

	for (; fields[count].key && count < NAMES_MAX; count++)
		names[count] = fields[count].key;
	return reject_word(ctx, n->key_line, n->key_column, "unknown key", n->key, names, count);
}

int pst_conf_bind(struct pst_conf_ctx *ctx, const struct pst_node *node, const struct pst_conf_field *fields)
{
	int r = 0;

	if (!node || is_empty(node)) /* "section:" with all its keys commented out */
		return 0;
	if (node->type != PST_NODE_MAPPING)
		return pst_conf_reject(ctx, node, "%s%sexpected a mapping (key: value), found %s",
			node->key ? conf_quote(node->key).s : "", node->key ? ": " : "",
			node_names[node->type]);
	for (const struct pst_node *n = node->child; n; n = n->next) {
		const struct pst_conf_field *f = fields;

		while (f->key && strcmp(f->key, n->key))
			f++;
		if ((f->key ? bind_field(ctx, f, n) : unknown_key(ctx, n, fields)) < 0)
			r = -EINVAL;
	}
	return r;
}

void pst_conf_release(void *base, const struct pst_conf_field *fields)
{
	for (const struct pst_conf_field *f = fields; f->key; f++) {
		char *p = (char *)base + f->offset;

		if (f->type == PST_CONF_SECTION) {
			pst_conf_release(base, f->section);
		} else if (f->type == PST_CONF_STR) {
			free(*(char **)p);
			*(char **)p = NULL;
		} else if (f->type == PST_CONF_STRS) {
			pst_strs_done((struct pst_strs *)p);
		}
	}
}
