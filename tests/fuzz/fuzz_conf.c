// SPDX-License-Identifier: Apache-2.0
/* Any bytes as a configuration file: parsed, bound by a table with every type, printed and read back. */
#include "proto/base/cleanup.h"
#include "proto/base/conf.h"
#include "proto/base/log.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct config {
	bool flag, inner_flag;
	uint64_t number, size, time;
	char *text, *inner_text;
	int word;
	struct pst_strs list;
	uint64_t scalars;
};

/* Walks a whole subtree, as a stage that reads rules would. */
static unsigned walk(struct pst_conf_ctx *ctx, const struct pst_node *node)
{
	unsigned n = 1;

	if (node->type == PST_NODE_SCALAR) {
		((struct config *)ctx->base)->scalars += strlen(node->text);
		return n;
	}
	for (const struct pst_node *c = node->child; c; c = c->next) {
		if (c->parent != node || (node->type == PST_NODE_MAPPING) != (c->key != NULL))
			abort();
		if (c->key && pst_node_get(node, c->key) != c && node->n_children < 100)
			abort(); /* a duplicate got through */
		n += walk(ctx, c);
	}
	return n;
}

static int parse_rules(struct pst_conf_ctx *ctx, const struct pst_node *node)
{
	return walk(ctx, node) > 50 ? pst_conf_reject(ctx, node, "too many") : 0;
}

static const char *const words[] = {"low", "middle", "high", NULL};
#define AT(m) offsetof(struct config, m)
static const struct pst_conf_field inner[] = {
	{.key = "flag", .type = PST_CONF_BOOL, .offset = AT(inner_flag), .help = "x"},
	{.key = "text", .type = PST_CONF_STR, .offset = AT(inner_text), .help = "x"},
	{0},
};
static const struct pst_conf_field fields[] = {
	{.key = "flag", .type = PST_CONF_BOOL, .offset = AT(flag), .help = "x"},
	{.key = "number", .type = PST_CONF_U64, .offset = AT(number), .max = 1000, .help = "x"},
	{.key = "size", .type = PST_CONF_SIZE, .offset = AT(size), .help = "x"},
	{.key = "time", .type = PST_CONF_TIME, .offset = AT(time), .help = "x"},
	{.key = "text", .type = PST_CONF_STR, .offset = AT(text), .help = "x", .min = 1, .max = 40},
	{.key = "word", .type = PST_CONF_ENUM, .offset = AT(word), .help = "x", .names = words},
	{.key = "list", .type = PST_CONF_STRS, .offset = AT(list), .help = "x", .max = 9},
	{.key = "inner", .type = PST_CONF_SECTION, .section = inner, .help = "x"},
	{.key = "rules", .type = PST_CONF_CUSTOM, .parse = parse_rules, .help = "x"},
	{0},
};

/* Every error has one line, and a file that was refused at least one. */
static void check_errors(const struct pst_conf_errors *errors, int r)
{
	uint32_t lines = 0;

	for (size_t i = 0; i < errors->text_len; i++)
		lines += errors->text[i] == '\n';
	if ((r < 0) != (errors->count > 0) || lines != PST_MIN(errors->count, PST_CONF_ERRORS_MAX))
		abort();
}

static int load(const void *data, size_t size, struct config *config)
{
	PST_CLEANUP(pst_conf_errors_done) struct pst_conf_errors errors = {0};
	PST_CLEANUP(pst_doc_freep) struct pst_doc *doc = NULL;
	struct pst_conf_ctx ctx = {.file = "fuzz", .errors = &errors, .base = config};

	int r = pst_doc_parse("fuzz", data, size, &errors, &doc);
	if (!r)
		r = pst_conf_bind(&ctx, pst_doc_root(doc), fields);
	check_errors(&errors, r);
	return r;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct config a = {.text = strdup("default")}, b = {0};
	char *text = NULL;
	size_t len = 0;

	if (!load(data, size, &a)) {
		FILE *saved = stdout;

		stdout = open_memstream(&text, &len);
		if (!stdout)
			abort();
		pst_conf_print(&a, fields);
		fclose(stdout);
		stdout = saved;
		/* Bytes that are no UTF-8 cannot have come through; so what was printed is good, and means
		 * the same. */
		if (load(text, len, &b) < 0 || a.flag != b.flag || a.number != b.number || a.size != b.size ||
			a.time != b.time || strcmp(a.text, b.text) || a.word != b.word ||
			a.list.n != b.list.n)
			abort();
		for (size_t i = 0; i < a.list.n; i++)
			if (strcmp(a.list.v[i], b.list.v[i]))
				abort();
	}
	free(text);
	pst_conf_release(&a, fields);
	pst_conf_release(&b, fields);
	return 0;
}
