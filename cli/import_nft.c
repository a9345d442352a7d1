// SPDX-License-Identifier: Apache-2.0
/* `nft -j list ruleset`: chains and rules; what a rule matches is import_nft_match.c's. */
#include <string.h>

#include "cli/import_internal.h"
#include "proto/base/cleanup.h"

static const char *text_of(const json_t *object, const char *key)
{
	return json_string_value(json_object_get(object, key));
}

/* The only key of an object, NULL: there is none, or several. */
static const char *only_key(const json_t *object, const json_t **ret_value)
{
	void *at = json_object_iter((json_t *)object);

	if (!at || json_object_size(object) != 1)
		return NULL;
	*ret_value = json_object_iter_value(at);
	return json_object_iter_key(at);
}

/* ---- chains ---- */

static enum import_hook hook_of(const char *name)
{
	static const struct {
		const char *name;
		enum import_hook hook;
	} hooks[] = {{"ingress", IMPORT_INGRESS}, {"prerouting", IMPORT_PREROUTING}, {"input", IMPORT_INPUT}};

	for (size_t i = 0; i < PST_ARRAY_SIZE(hooks); i++)
		if (!strcmp(hooks[i].name, name))
			return hooks[i].hook;
	return IMPORT_OTHER_HOOK;
}

/* Packets that the family sees. */
static bool family_kinds(struct import *im, const char *family, bool ingress, struct import_cond *cond)
{
	bool all = !strcmp(family, "netdev") || (ingress && !strcmp(family, "inet"));
	import_value lo = !strcmp(family, "ip6") ? IMPORT_IP6 : IMPORT_IP4;
	import_value hi = all ? IMPORT_NO_IP : !strcmp(family, "ip") ? IMPORT_IP4 : IMPORT_IP6;

	return import_cond_add(im, cond, IMPORT_KIND, import_spans_one(im, lo, hi, IMPORT_NO_IP));
}

/* A chain at ingress is that of its interfaces. */
static void read_devices(struct import *im, struct import_chain *chain, const json_t *dev)
{
	PST_CLEANUP(import_list_done) struct import_list list = {0};
	size_t n = json_is_array(dev) ? json_array_size(dev) : 1;
	unsigned number;

	chain->no_device = !n;
	for (size_t i = 0; i < n; i++) {
		const json_t *one = json_is_array(dev) ? json_array_get(dev, i) : dev;
		const char *name = json_string_value(one);

		if (name && import_iface(im, name, strlen(name), &number))
			import_list_add(im, &list, number, number);
		else
			chain->no_device = true;
	}
	import_cond_add(im, &chain->base, IMPORT_IFACE, import_spans_make(im, &list, IMPORT_IFACES));
}

static int read_chain(struct import *im, const json_t *json, size_t at)
{
	const char *family = text_of(json, "family"), *table = text_of(json, "table"),
		   *name = text_of(json, "name");
	const char *hook = text_of(json, "hook"), *type = text_of(json, "type"),
		   *policy = text_of(json, "policy");
	struct import_chain *chain;

	if (!family || !table || !name)
		return import_bad(im, " nftables[%zu]: expected a chain with family, table and name", at);
	if (import_chain_find(im, family, table, name))
		return import_bad(im, " nftables[%zu]: there is a chain %s of this table already", at, name);
	chain = import_chain_add(im, family, table, name);
	if (!chain)
		return 0;
	family_kinds(im, family, hook && !strcmp(hook, "ingress"), &chain->base);
	if (!hook)
		return 0;
	chain->hook = hook_of(hook);
	chain->hook_name = hook;
	chain->forwards = !strcmp(hook, "forward");
	chain->nat = type && !strcmp(type, "nat");
	chain->drops = policy && !strcmp(policy, "drop");
	chain->priority = json_integer_value(json_object_get(json, "prio"));
	if (chain->hook == IMPORT_INGRESS)
		read_devices(im, chain, json_object_get(json, "dev"));
	return 0;
}

/* ---- statements ---- */

static void read_mark(struct import *im, struct import_rule *rule, const json_t *mangle)
{
	const json_t *meta = json_object_get(json_object_get(mangle, "key"), "meta");
	const json_t *value = json_object_get(mangle, "value");
	const char *key = text_of(meta, "key");

	if (!key || strcmp(key, "mark") != 0)
		import_rule_refuse(im, rule, "it changes something other than the packet's mark");
	else if (!json_is_integer(value) || json_integer_value(value) < 0 ||
		 json_integer_value(value) > UINT32_MAX)
		import_rule_refuse(im, rule, "the mark is worked out, and only a number can be set");
	else if (rule->has_mark)
		import_rule_refuse(im, rule, "it sets the mark twice");
	else {
		rule->has_mark = true;
		rule->mark = (uint32_t)json_integer_value(value);
	}
}

static bool read_verdict(struct import *im, struct import_rule *rule, const char *key, const json_t *value)
{
	static const struct {
		const char *key;
		enum import_verdict verdict;
	} verdicts[] = {{"accept", IMPORT_ACCEPT}, {"drop", IMPORT_DROP}, {"reject", IMPORT_REJECT},
		{"return", IMPORT_RETURN}, {"jump", IMPORT_JUMP}, {"goto", IMPORT_GOTO},
		{"continue", IMPORT_NOTHING}};
	size_t i = 0;

	while (i < PST_ARRAY_SIZE(verdicts) && strcmp(verdicts[i].key, key) != 0)
		i++;
	if (i == PST_ARRAY_SIZE(verdicts))
		return false;
	if (rule->verdict != IMPORT_NOTHING)
		import_rule_refuse(im, rule, "it has two verdicts");
	rule->verdict = verdicts[i].verdict;
	if (rule->verdict == IMPORT_REJECT && text_of(value, "expr"))
		rule->reject_with = import_reject_with(text_of(value, "expr"));
	if (rule->verdict != IMPORT_JUMP && rule->verdict != IMPORT_GOTO)
		return true;
	rule->target_name = text_of(value, "target");
	if (rule->target_name)
		rule->target =
			import_chain_find(im, rule->chain->family, rule->chain->table, rule->target_name);
	if (!rule->target)
		import_rule_refuse(im, rule, "there is no such chain");
	return true;
}

/* Each element of a map is a part of the rule: it has one key, so at most one part takes a packet. */
static void read_vmap(struct import *im, struct import_rule *rule, const json_t *vmap)
{
	const json_t *data = json_object_get(vmap, "data"), *set = json_object_get(data, "set"), *pair,
		     *value;
	struct import_rule whole = *rule, *part = rule;
	const char *map = json_string_value(data), *key;
	size_t i;

	if (map && map[0] == '@') {
		PST_FREE char *id = NULL;

		if (asprintf(&id, "%s\n%s\n%s", rule->chain->family, rule->chain->table, map + 1) < 0)
			id = NULL;
		set = id ? json_object_get(json_object_get(im->set_index, id), "elem") : NULL;
	}
	if (!json_array_size(set)) {
		import_rule_refuse(im, rule, "its map is empty or not in the text");
		return;
	}
	json_array_foreach(set, i, pair)
	{
		if (i) {
			part->also = import_alloc(im, sizeof(*part));
			if (!part->also)
				return;
			part = part->also;
			*part = whole;
		}
		key = only_key(json_array_get(pair, 1), &value);
		if (!key ||
			!import_nft_spans(
				im, part, json_object_get(vmap, "key"), NULL, json_array_get(pair, 0)) ||
			!read_verdict(im, part, key, value))
			import_rule_refuse(im, part, "it has a map that has no counterpart");
		if (part->why) {
			import_rule_refuse(im, rule, "%s", part->why);
			return;
		}
	}
}

static const char *why_not(const char *statement)
{
	static const struct {
		const char *statement, *why;
	} known[] = {
		{"xt", "it has a match or target of iptables, which nft does not tell; iptables-save does"},
		{"limit", "it holds for a rate only"}, {"quota", "it holds for an amount only"},
		{"ct count", "it counts connections"}, {"set", "it changes a set"},
		{"map", "it changes a map"}, {"dnat", "it translates addresses"},
		{"snat", "it translates addresses"}, {"redirect", "it translates addresses"},
		{"masquerade", "it translates addresses"}, {"queue", "it asks a program"},
		{"notrack", "it turns connection tracking off"}};

	for (size_t i = 0; i < PST_ARRAY_SIZE(known); i++)
		if (!strcmp(known[i].statement, statement))
			return known[i].why;
	return NULL;
}

static void read_statement(struct import *im, struct import_rule *rule, const json_t *statement)
{
	const json_t *value = NULL;
	const char *key = only_key(statement, &value);
	bool match = key && (!strcmp(key, "match") || !strcmp(key, "vmap"));

	if (!key)
		import_rule_refuse(im, rule, "it has a statement of an unknown form");
	else if (rule->also || (match && (rule->log || rule->has_mark)) || rule->verdict != IMPORT_NOTHING)
		import_rule_refuse(im, rule, "it does something before all its conditions hold");
	else if (!strcmp(key, "match"))
		import_nft_match(im, rule, value);
	else if (!strcmp(key, "vmap"))
		read_vmap(im, rule, value);
	else if (!strcmp(key, "log"))
		rule->log = true;
	else if (!strcmp(key, "mangle"))
		read_mark(im, rule, value);
	else if (strcmp(key, "counter") != 0 && !read_verdict(im, rule, key, value))
		import_rule_refuse(im, rule, why_not(key) ? "%s" : "\"%s\" has no counterpart",
			why_not(key) ? why_not(key) : key);
}

static int read_rule(struct import *im, const json_t *json, size_t at)
{
	const char *family = text_of(json, "family"), *table = text_of(json, "table"),
		   *name = text_of(json, "chain");
	const json_t *expr = json_object_get(json, "expr"), *handle = json_object_get(json, "handle"),
		     *statement;
	struct import_chain *chain =
		family && table && name ? import_chain_find(im, family, table, name) : NULL;
	struct import_rule *rule;
	size_t i;

	if (!chain)
		return import_bad(im, " nftables[%zu]: expected a rule of a chain that is in the text", at);
	if (!json_is_array(expr))
		return import_bad(im, " nftables[%zu]: expected a rule with \"expr\"", at);
	rule = import_rule_add(im, chain, (uint64_t)json_integer_value(handle));
	if (!rule)
		return 0;
	rule->expr = expr;
	rule->name = text_of(json, "comment");
	/* A reason is given at the first, and yet the verdict is of interest: what is lost is told. */
	json_array_foreach(expr, i, statement) read_statement(im, rule, statement);
	return 0;
}

/* ---- sets ---- */

static int set_id(struct import *im, const json_t *json, size_t at, char **ret_id)
{
	const char *family = text_of(json, "family"), *table = text_of(json, "table"),
		   *name = text_of(json, "name");

	if (!family || !table || !name)
		return import_bad(im, " nftables[%zu]: expected a set with family, table and name", at);
	if (asprintf(ret_id, "%s\n%s\n%s", family, table, name) < 0)
		*ret_id = NULL;
	return 0;
}

static int read_set(struct import *im, const json_t *json, size_t at)
{
	PST_FREE char *id = NULL;
	int e = set_id(im, json, at, &id);

	if (e)
		return e;
	if (!id || json_object_set(im->set_index, id, (json_t *)json))
		im->error = -ENOMEM;
	return 0;
}

/* What rules put into a set is of the moment. */
static void find_changes(struct import *im, const json_t *json)
{
	const json_t *statement, *set;
	size_t i;

	json_array_foreach(json_object_get(json, "expr"), i, statement)
	{
		const char *name = text_of(json_object_get(statement, "set"), "set");
		PST_FREE char *id = NULL;

		if (!name || name[0] != '@' || !text_of(json, "family") || !text_of(json, "table"))
			continue;
		if (asprintf(&id, "%s\n%s\n%s", text_of(json, "family"), text_of(json, "table"), name + 1) <
			0)
			id = NULL;
		set = id ? json_object_get(im->set_index, id) : NULL;
		if (set)
			json_object_set_new((json_t *)set, "changed by rules", json_true());
	}
}

/* ---- the whole ---- */

enum pass { CHAINS, CHANGES, RULES };

static int read_entry(struct import *im, const json_t *entry, size_t at, enum pass pass)
{
	const json_t *value = NULL;
	const char *key = only_key(entry, &value);

	if (!key || !json_is_object(value))
		return import_bad(im, " nftables[%zu]: expected an object with one key, such as rule", at);
	if (pass == CHAINS && !strcmp(key, "chain"))
		return read_chain(im, value, at);
	if (pass == CHAINS && (!strcmp(key, "set") || !strcmp(key, "map")))
		return read_set(im, value, at);
	if (pass == CHANGES && !strcmp(key, "rule"))
		find_changes(im, value);
	if (pass == RULES && !strcmp(key, "rule"))
		return read_rule(im, value, at);
	return 0;
}

int import_read_nft(struct import *im, json_t *root)
{
	const json_t *list = json_object_get(root, "nftables"), *entry;
	size_t i;
	int e = 0;

	im->place = "handle";
	if (!json_is_array(list))
		return import_bad(
			im, " expected an object with \"nftables\", as nft -j list ruleset prints it");
	for (enum pass pass = CHAINS; pass <= RULES; pass++)
		for (i = 0; !e && !im->error && i < json_array_size(list); i++) {
			entry = json_array_get(list, i);
			e = read_entry(im, entry, i, pass);
		}
	return e;
}
