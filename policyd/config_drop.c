// SPDX-License-Identifier: Apache-2.0
/* Section `drop.interfaces`: what is done with packets that cannot be read, by interface. */
#include <stddef.h>
#include <stdio.h>

#include "policyd/config.h"
#include "proto/base/cleanup.h"

struct choice {
	bool truncated, malformed, no_ip;
};

#define CHOICE(k, text)                                                                                      \
	{                                                                                                    \
		.key = #k, .type = PST_CONF_BOOL, .offset = offsetof(struct choice, k), .help = (text)       \
	}

static const struct pst_conf_field choices[] = {
	CHOICE(truncated, "a header ends behind the packet's end"),
	CHOICE(malformed, "a header contradicts itself"),
	CHOICE(no_ip, "neither IPv4 nor IPv6"),
	{0},
};
static const uint64_t flags[] = {PST_GUARD_DROP_TRUNCATED, PST_GUARD_DROP_MALFORMED, PST_GUARD_DROP_NO_IP};

/* What is left out is as for all interfaces. */
static int parse_choices(struct pst_conf_ctx *ctx, const struct pst_node *node, struct drops_entry *entry)
{
	struct choice choice = {0};
	struct pst_conf_ctx inner = {.file = ctx->file, .errors = ctx->errors, .base = &choice};
	int r = pst_conf_bind(&inner, node, choices);

	for (size_t i = 0; !r && node->type == PST_NODE_MAPPING && i < PST_ARRAY_SIZE(flags); i++)
		if (pst_node_get(node, choices[i].key)) {
			entry->set |= flags[i];
			entry->flags |= *((const bool *)&choice + i) ? flags[i] : 0;
		}
	return r;
}

static int parse_entry(struct pst_conf_ctx *ctx, const struct pst_node *node, struct drops_entry *entry)
{
	const char *flaw = pst_ifpattern_flaw(node->key);

	if (flaw) {
		pst_conf_error(ctx->errors, ctx->file, node->key_line, node->key_column,
			"expected the name of an interface or a glob: %s", flaw);
		return -EINVAL;
	}
	snprintf(entry->pattern, sizeof(entry->pattern), "%s", node->key);
	return parse_choices(ctx, node, entry);
}

int config_drop_parse(struct pst_conf_ctx *ctx, const struct pst_node *node)
{
	struct config *config = ctx->base;
	struct drops_config drop = {.n = 0};
	int r = 0;

	if (node->type == PST_NODE_SCALAR && !node->quoted && !*node->text) /* all of it commented out */
		return 0;
	if (node->type != PST_NODE_MAPPING)
		return pst_conf_reject(
			ctx, node, "interfaces: expected a mapping such as {eth0: {truncated: no}}");
	if (node->n_children > DROPS_MAX)
		return pst_conf_reject(ctx, node, "interfaces: more than %d entries", DROPS_MAX);
	for (const struct pst_node *n = node->child; n; n = n->next)
		if (parse_entry(ctx, n, &drop.v[drop.n++]))
			r = -EINVAL;
	if (!r)
		config->drop_by = drop;
	return r;
}

static void print_key(const char *text)
{
	putchar('\'');
	for (; *text; text++) {
		if (*text == '\'')
			putchar('\'');
		putchar(*text);
	}
	printf("': ");
}

static void print_entry(const struct drops_entry *e)
{
	bool first = true;

	print_key(e->pattern);
	putchar('{');
	for (size_t i = 0; i < PST_ARRAY_SIZE(flags); i++) {
		if (!(e->set & flags[i]))
			continue;
		printf("%s%s: %s", first ? "" : ", ", choices[i].key, e->flags & flags[i] ? "true" : "false");
		first = false;
	}
	putchar('}');
}

void config_drop_print(const void *base)
{
	const struct drops_config *drop = &((const struct config *)base)->drop_by;

	putchar('{');
	for (size_t i = 0; i < drop->n; i++) {
		if (i)
			printf(", ");
		print_entry(&drop->v[i]);
	}
	putchar('}');
}
