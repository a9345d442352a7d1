// SPDX-License-Identifier: Apache-2.0
/* From text to a document: which format, which chains, and what stands around the rules. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/import_internal.h"
#include "proto/base/cleanup.h"

static const char *const formats[] = {
	[IMPORT_NFT] = "nft", [IMPORT_IPTABLES] = "iptables", [IMPORT_IP6TABLES] = "ip6tables"};

bool import_format_parse(const char *word, enum import_format *ret_format)
{
	for (size_t i = IMPORT_NFT; i < PST_ARRAY_SIZE(formats); i++) {
		if (strcmp(formats[i], word) != 0)
			continue;
		*ret_format = (enum import_format)i;
		return true;
	}
	return false;
}

void import_result_done(struct import_result *result)
{
	free(result->yaml);
	free(result->said);
	*result = (struct import_result){0};
}

/* ---- chains and rules, for the readers ---- */

struct import_chain *import_chain_find(
	const struct import *im, const char *family, const char *table, const char *name)
{
	PST_FREE char *key = NULL;
	const json_t *number;

	if (asprintf(&key, "%s\n%s\n%s", family, table, name) < 0)
		key = NULL;
	number = key ? json_object_get(im->chain_index, key) : NULL;
	return number ? im->chains[json_integer_value(number)] : NULL;
}

struct import_chain *import_chain_add(
	struct import *im, const char *family, const char *table, const char *name)
{
	struct import_chain **v = reallocarray(im->chains, im->n_chains + 1, sizeof(*v));
	struct import_chain *chain = import_alloc(im, sizeof(*chain));
	PST_FREE char *key = NULL;

	if (v)
		im->chains = v;
	if (asprintf(&key, "%s\n%s\n%s", family, table, name) < 0)
		key = NULL;
	/* a name that is no UTF-8 cannot be a key */
	if (!v || !chain || !key ||
		json_object_set_new(im->chain_index, key, json_integer((json_int_t)im->n_chains))) {
		im->error = im->error ? im->error : -ENOMEM;
		return NULL;
	}
	chain->order = im->n_chains;
	chain->family = import_format_text(im, "%s", family);
	chain->table = import_format_text(im, "%s", table);
	chain->name = import_format_text(im, "%s", name);
	v[im->n_chains++] = chain;
	return im->error ? NULL : chain;
}

struct import_rule *import_rule_add(struct import *im, struct import_chain *chain, uint64_t number)
{
	struct import_rule *rule = import_alloc(im, sizeof(*rule));

	if (!rule)
		return NULL;
	rule->chain = chain;
	rule->number = number;
	if (chain->last)
		chain->last->next = rule;
	else
		chain->first = rule;
	chain->last = rule;
	chain->n_rules++;
	return rule;
}

bool import_rule_take(struct import *im, struct import_rule *rule, enum import_field field,
	const struct import_spans *spans)
{
	if (!rule->never && !import_cond_add(im, &rule->cond, field, spans))
		rule->never = true;
	return true;
}

bool import_rule_refuse(struct import *im, struct import_rule *rule, const char *format, ...)
{
	PST_FREE char *text = NULL;
	va_list ap;
	int n;

	if (rule->why)
		return false;
	va_start(ap, format);
	n = vasprintf(&text, format, ap);
	va_end(ap);
	if (n < 0)
		text = NULL;
	rule->why = text ? import_format_text(im, "%.300s", text) : NULL;
	if (!rule->why)
		rule->why = "there is no memory to say why";
	return false;
}

void import_cache_set(struct import *im, const char *key, const struct import_spans *spans)
{
	const struct import_spans **v = reallocarray(im->cached, im->n_cached + 1, sizeof(*v));

	if (v)
		im->cached = v;
	if (!v || !key || json_object_set_new(im->set_cache, key, json_integer((json_int_t)im->n_cached))) {
		im->error = im->error ? im->error : -ENOMEM;
		return;
	}
	v[im->n_cached++] = spans;
}

/* ---- which chains ---- */

static bool is_family_of_ip(const char *family)
{
	return !strcmp(family, "ip") || !strcmp(family, "ip6") || !strcmp(family, "inet") ||
	       !strcmp(family, "netdev");
}

static bool guards(const struct import_chain *chain)
{
	return is_family_of_ip(chain->family) && chain->hook != IMPORT_NO_HOOK &&
	       chain->hook != IMPORT_OTHER_HOOK;
}

static bool is_trivial(const struct import_chain *chain)
{
	return !chain->drops && !chain->first;
}

/* "CHAIN", "TABLE/CHAIN" or "FAMILY/TABLE/CHAIN" */
static bool is_named(const struct import_chain *chain, const char *name)
{
	PST_FREE char *full = NULL;
	size_t len = strlen(name), n;

	if (asprintf(&full, "%s/%s/%s", chain->family, chain->table, chain->name) < 0) {
		full = NULL;
		return false;
	}
	n = strlen(full);
	return n >= len && !strcmp(full + n - len, name) && (n == len || full[n - len - 1] == '/');
}

/* In the order in which a packet meets them. */
static int by_hook(const void *a, const void *b)
{
	const struct import_chain *x = *(struct import_chain *const *)a,
				  *y = *(struct import_chain *const *)b;

	if (x->hook != y->hook)
		return x->hook < y->hook ? -1 : 1;
	if (x->priority != y->priority)
		return x->priority < y->priority ? -1 : 1;
	return x->order < y->order ? -1 : x->order > y->order;
}

static bool meet(struct import *im, const struct import_chain *a, const struct import_chain *b)
{
	struct import_cond both = a->base;

	return import_cond_and(im, &both, &b->base);
}

/* Packets that this chain accepts meet another one that could drop them. */
static bool is_followed(struct import *im, struct import_chain *const *v, size_t n)
{
	for (size_t i = 1; i < n; i++)
		if (!v[i]->nat && !is_trivial(v[i]) && meet(im, v[0], v[i]))
			return true;
	return false;
}

static void tell_of_others(struct import *im)
{
	bool forwards = false;

	for (size_t i = 0; i < im->n_chains; i++) {
		const struct import_chain *c = im->chains[i];

		if (c->hook == IMPORT_NO_HOOK || guards(c) || is_trivial(c))
			continue;
		import_note(im,
			"the chain %s %s %s (%s, %zu rules) is not imported: the rules guard what comes in",
			c->family, c->table, c->name, c->hook_name, c->n_rules);
		forwards |= c->forwards;
	}
	if (forwards)
		import_note(im, "packets that this host would forward meet the rules here, too; a chain of "
				"the hook input "
				"does not see them");
}

static size_t pick(struct import *im, struct import_chain **ret_v)
{
	size_t n = 0;

	for (size_t i = 0; i < im->n_chains; i++) {
		struct import_chain *c = im->chains[i];

		if (im->options->chain ? is_named(c, im->options->chain) : guards(c))
			ret_v[n++] = c;
	}
	if (n)
		qsort(ret_v, n, sizeof(*ret_v), by_hook);
	return n;
}

static int walk_all(struct import *im)
{
	PST_FREE struct import_chain **v = calloc(im->n_chains + 1, sizeof(struct import_chain *));
	size_t n = v ? pick(im, v) : 0;

	if (!v) {
		im->error = -ENOMEM;
		return 0;
	}
	if (!n)
		return import_bad(im,
			im->options->chain ? " there is no chain %s" : " no chain guards incoming packets%s",
			im->options->chain ? im->options->chain : "");
	if (n > IMPORT_CHAINS_MAX)
		return import_bad(im, " more than %d chains guard incoming packets", IMPORT_CHAINS_MAX);
	for (size_t i = 0; i < n && !im->error; i++) {
		if (v[i]->hook == IMPORT_NO_HOOK)
			import_note(im, "the chain %s is that of no hook: what passes its end is accepted",
				v[i]->name);
		import_walk(im, v[i], is_followed(im, v + i, n - i));
	}
	if (!im->options->chain)
		tell_of_others(im);
	return 0;
}

/* ---- the document ---- */

static void put_head(struct import *im, struct import_buf *to)
{
	import_printf(to, "# From ");
	import_put_clean(to, im->name, strlen(im->name), 200);
	import_printf(to, ", by penstock fw import.\n");
	if (im->left_out)
		import_printf(to,
			"# LEFT OUT: %u rules that cannot be expressed; each stands as a comment where it "
			"was. What they took\n"
			"# meets the rules below them: read them before this is put in force.\n",
			im->left_out);
	import_printf(to, "# What is no IP (ARP) meets neither rules nor policy here.\n"
			  "firewall:\n  policy: accept\n");
	if (im->n_sets)
		import_printf(to, "  sets:\n");
}

static int finish(struct import *im, struct import_result *result)
{
	struct import_buf yaml = {0};

	put_head(im, &yaml);
	import_put(&yaml, im->sets.v ? im->sets.v : "", im->sets.n);
	if (im->n_rules)
		import_printf(&yaml, "  rules:\n");
	import_put(&yaml, im->rules.v ? im->rules.v : "", im->rules.n);
	if (im->n_said > IMPORT_SAID_MAX)
		import_printf(&im->said, "... and %u more that are left out\n", im->n_said - IMPORT_SAID_MAX);
	if (yaml.failed || im->said.failed || im->rules.failed || im->sets.failed) {
		import_buf_done(&yaml);
		return -ENOMEM;
	}
	result->yaml = yaml.v;
	result->yaml_len = yaml.n;
	result->rules = im->n_rules;
	result->left_out = im->left_out;
	return 0;
}

/* ---- reading ---- */

static enum import_format detect(const char *text, size_t len)
{
	size_t at = 0;

	while (at < len && strchr(" \t\r\n", text[at]) && text[at])
		at++;
	return at < len && (text[at] == '{' || text[at] == '[') ? IMPORT_NFT : IMPORT_IPTABLES;
}

static int read_text(struct import *im, const char *text, size_t len, json_t **ret_root)
{
	enum import_format format = im->options->format;
	json_error_t error;

	if (len > IMPORT_TEXT_MAX)
		return import_bad(im, " larger than %u MiB", IMPORT_TEXT_MAX >> 20);
	if (format == IMPORT_DETECT)
		format = detect(text, len);
	if (format != IMPORT_NFT)
		return import_read_ipt(im, text, len, format == IMPORT_IP6TABLES);
	*ret_root = json_loadb(text, len, 0, &error);
	if (!*ret_root)
		return import_bad(im, "%d:%d: %s", error.line, error.column, error.text);
	return import_read_nft(im, *ret_root);
}

static void done(struct import *im)
{
	json_decref(im->chain_index);
	json_decref(im->iface_index);
	json_decref(im->set_index);
	json_decref(im->set_cache);
	json_decref(im->rule_names);
	json_decref(im->set_names);
	free(im->chains);
	free(im->cached);
	free(im->ifaces);
	import_buf_done(&im->rules);
	import_buf_done(&im->sets);
	import_buf_done(&im->said);
	import_free_all(im);
}

static void prepare(struct import *im)
{
	json_t **const objects[] = {&im->chain_index, &im->iface_index, &im->set_index, &im->set_cache,
		&im->rule_names, &im->set_names};

	for (size_t i = 0; i < PST_ARRAY_SIZE(objects); i++) {
		*objects[i] = json_object();
		if (!*objects[i])
			im->error = -ENOMEM;
	}
}

int import_rules(const char *name, const char *text, size_t len, const struct import_options *options,
	struct import_result *ret_result)
{
	PST_CLEANUP(done) struct import im = {.name = name, .options = options};
	json_t *root = NULL;
	int e = 0;

	*ret_result = (struct import_result){0};
	prepare(&im);
	if (!im.error)
		e = read_text(&im, text, len, &root);
	if (!e && !im.error)
		e = walk_all(&im);
	if (!e && im.error == -E2BIG)
		e = import_bad(&im, " the rules are more than can be worked out");
	else if (!e && im.error)
		e = im.error;
	if (!e)
		e = finish(&im, ret_result);
	json_decref(root);
	ret_result->said = im.said.v;
	ret_result->said_len = im.said.n;
	im.said = (struct import_buf){0};
	return e;
}
