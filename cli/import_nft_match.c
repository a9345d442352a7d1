// SPDX-License-Identifier: Apache-2.0
/* What a rule of nftables matches: fields, values, sets. */
#include <string.h>

#include "cli/import_internal.h"
#include "proto/base/cleanup.h"

#define PROTO(n) (1u << (n))
#define BOTH     (PROTO(IMPORT_IP4) | PROTO(IMPORT_IP6))

static bool word_value(struct import *im, const json_t *json, const struct import_span *all, const void *arg,
	struct import_span *ret_span);
static bool address_value(struct import *im, const json_t *json, const struct import_span *all,
	const void *arg, struct import_span *ret_span);
static bool iface_value(struct import *im, const json_t *json, const struct import_span *all, const void *arg,
	struct import_span *ret_span);
static bool type_value(struct import *im, const json_t *json, const struct import_span *all, const void *arg,
	struct import_span *ret_span);

static const int ip4 = IMPORT_IP4, ip6 = IMPORT_IP6;
static const struct import_word no_words[] = {{0}};
static const struct import_word nf_protocols[] = {
	{"ipv4", NULL, IMPORT_IP4}, {"ipv6", NULL, IMPORT_IP6}, {0}};
static const struct import_word ether_types[] = {
	{"ip", "0x0800", IMPORT_IP4}, {"ip6", "0x86dd", IMPORT_IP6}, {0}};

/* Fields by their names in the text. */
static const struct name {
	const char *of, *field; /* `ip saddr`: of is "ip"; `meta iif`: of is "meta" */
	enum import_field to;
	unsigned kinds; /* the packets that have it; 0: all */
	int protocol;   /* the same; -1: any; -2: what has ports, and the rule must say so */
	uint64_t max;   /* 0: addresses */
	bool (*value)(struct import *im, const json_t *json, const struct import_span *all, const void *arg,
		struct import_span *ret_span);
	const void *arg;
} names[] = {
	{"ip", "saddr", IMPORT_SRC, PROTO(IMPORT_IP4), -1, 0, address_value, &ip4},
	{"ip", "daddr", IMPORT_DST, PROTO(IMPORT_IP4), -1, 0, address_value, &ip4},
	{"ip6", "saddr", IMPORT_SRC, PROTO(IMPORT_IP6), -1, 0, address_value, &ip6},
	{"ip6", "daddr", IMPORT_DST, PROTO(IMPORT_IP6), -1, 0, address_value, &ip6},
	{"ip", "protocol", IMPORT_PROTO, PROTO(IMPORT_IP4), -1, 255, word_value, import_protocols},
	{"ip", "dscp", IMPORT_DSCP, PROTO(IMPORT_IP4), -1, 63, word_value, import_dscps},
	{"ip6", "dscp", IMPORT_DSCP, PROTO(IMPORT_IP6), -1, 63, word_value, import_dscps},
	{"tcp", "sport", IMPORT_SPORT, BOTH, 6, 65535, word_value, no_words},
	{"tcp", "dport", IMPORT_DPORT, BOTH, 6, 65535, word_value, no_words},
	{"udp", "sport", IMPORT_SPORT, BOTH, 17, 65535, word_value, no_words},
	{"udp", "dport", IMPORT_DPORT, BOTH, 17, 65535, word_value, no_words},
	{"sctp", "sport", IMPORT_SPORT, BOTH, 132, 65535, word_value, no_words},
	{"sctp", "dport", IMPORT_DPORT, BOTH, 132, 65535, word_value, no_words},
	{"dccp", "sport", IMPORT_SPORT, BOTH, 33, 65535, word_value, no_words},
	{"dccp", "dport", IMPORT_DPORT, BOTH, 33, 65535, word_value, no_words},
	{"udplite", "sport", IMPORT_SPORT, BOTH, 136, 65535, word_value, no_words},
	{"udplite", "dport", IMPORT_DPORT, BOTH, 136, 65535, word_value, no_words},
	{"th", "sport", IMPORT_SPORT, BOTH, -2, 65535, word_value, no_words},
	{"th", "dport", IMPORT_DPORT, BOTH, -2, 65535, word_value, no_words},
	{"tcp", "flags", IMPORT_FLAGS, BOTH, 6, 255, word_value, import_flags},
	{"icmp", "type", IMPORT_ICMP, BOTH, 1, 255, type_value, import_icmp4_types},
	{"icmp", "code", IMPORT_ICMP, BOTH, 1, 255, word_value, import_icmp4_codes},
	{"icmpv6", "type", IMPORT_ICMP, BOTH, 58, 255, type_value, import_icmp6_types},
	{"icmpv6", "code", IMPORT_ICMP, BOTH, 58, 255, word_value, import_icmp6_codes},
	{"vlan", "id", IMPORT_VLAN, 0, -1, 4095, word_value, no_words},
	{"ether", "type", IMPORT_KIND, 0, -1, IMPORT_NO_IP, word_value, ether_types},
	{"meta", "protocol", IMPORT_KIND, 0, -1, IMPORT_NO_IP, word_value, ether_types},
	{"meta", "nfproto", IMPORT_KIND, 0, -1, IMPORT_NO_IP, word_value, nf_protocols},
	{"meta", "l4proto", IMPORT_PROTO, BOTH, -1, 255, word_value, import_protocols},
	{"meta", "iif", IMPORT_IFACE, 0, -1, IMPORT_IFACES, iface_value, NULL},
	{"meta", "iifname", IMPORT_IFACE, 0, -1, IMPORT_IFACES, iface_value, NULL},
	{"ct", "state", IMPORT_STATE, 0, -1, 4, word_value, import_states},
};

static import_value max_of(const struct name *name)
{
	if (name->to == IMPORT_ICMP)
		return 0xffff;
	return name->max ? name->max : import_address_max(*(const int *)name->arg);
}

/* ---- values ---- */

static bool word_value(struct import *im, const json_t *json, const struct import_span *all, const void *arg,
	struct import_span *ret_span)
{
	const struct import_word *words = arg;
	const char *text = json_string_value(json);
	/* kinds and states have no numbers in this language */
	unsigned n, max = words == nf_protocols || words == ether_types || words == import_states
				  ? 0
				  : (unsigned)all->hi;

	(void)im;
	if (json_is_integer(json) && max && json_integer_value(json) >= 0 && json_integer_value(json) <= max)
		n = (unsigned)json_integer_value(json);
	else if (!text || !import_word_value(words, text, strlen(text), max, &n))
		return false;
	*ret_span = (struct import_span){n, n};
	return true;
}

static bool type_value(struct import *im, const json_t *json, const struct import_span *all, const void *arg,
	struct import_span *ret_span)
{
	if (!word_value(im, json, all, arg, ret_span))
		return false;
	ret_span->lo <<= 8;
	ret_span->hi = ret_span->lo | 255;
	return true;
}

static bool address_value(struct import *im, const json_t *json, const struct import_span *all,
	const void *arg, struct import_span *ret_span)
{
	const json_t *prefix = json_object_get(json, "prefix"), *len = json_object_get(prefix, "len");
	const char *text = json_string_value(prefix ? json_object_get(prefix, "addr") : json);
	int kind = *(const int *)arg, bits = kind == IMPORT_IP4 ? 32 : 128;
	import_value address;

	(void)im;
	(void)all;
	if (!text || !import_address(text, strlen(text), kind, &address, NULL))
		return false;
	if (prefix &&
		(!json_is_integer(len) || json_integer_value(len) < 0 || json_integer_value(len) > bits))
		return false;
	import_prefix(address, prefix ? (int)json_integer_value(len) : bits, kind, ret_span);
	return true;
}

static bool iface_value(struct import *im, const json_t *json, const struct import_span *all, const void *arg,
	struct import_span *ret_span)
{
	const char *text = json_string_value(json);
	unsigned n;

	(void)all;
	(void)arg;
	if (!text || !import_iface(im, text, strlen(text), &n))
		return false;
	*ret_span = (struct import_span){n, n};
	return true;
}

/* A value, a range, or an element with a comment. */
static bool add_element(struct import *im, struct import_rule *rule, const struct name *name,
	const json_t *json, struct import_list *to)
{
	const struct import_span all = {0, name->max};
	const json_t *elem = json_object_get(json, "elem"), *range;
	struct import_span first, last;

	if (elem && (json_object_get(elem, "timeout") || json_object_get(elem, "expires")))
		return import_rule_refuse(im, rule, "elements of its set come and go with time");
	json = elem ? json_object_get(elem, "val") : json;
	range = json_object_get(json, "range");
	if (!name->value(im, range ? json_array_get(range, 0) : json, &all, name->arg, &first))
		return import_rule_refuse(im, rule, "%s %s: a value that has no counterpart%s", name->of,
			name->field,
			name->to == IMPORT_IFACE ? " (interfaces are named, without wildcards)" : "");
	last = first;
	if (range && !name->value(im, json_array_get(range, 1), &all, name->arg, &last))
		return import_rule_refuse(
			im, rule, "%s %s: a range that has no counterpart", name->of, name->field);
	if (first.lo > last.hi || (range && name->to == IMPORT_IFACE))
		return import_rule_refuse(im, rule, "%s %s: an empty range", name->of, name->field);
	import_list_add(im, to, first.lo, last.hi);
	return !im->error;
}

static const struct import_spans *spans_of(
	struct import *im, struct import_rule *rule, const struct name *name, const json_t *list)
{
	PST_CLEANUP(import_list_done) struct import_list elements = {0};
	size_t n = json_is_array(list) ? json_array_size(list) : 1;

	for (size_t i = 0; i < n; i++)
		if (!add_element(
			    im, rule, name, json_is_array(list) ? json_array_get(list, i) : list, &elements))
			return NULL;
	if (!n) {
		import_rule_refuse(im, rule, "a set is empty");
		return NULL;
	}
	/* a code by itself is that of every type */
	if (name->to == IMPORT_ICMP && !strcmp(name->field, "code"))
		for (size_t k = elements.n, i = 0; i < k && !im->error; i++)
			for (unsigned type = elements.v[i].hi < 256 ? 1 : 256; type < 256 && !im->error;
				type++)
				import_list_add(im, &elements, elements.v[i].lo + type * 256,
					elements.v[i].hi + type * 256);
	return import_spans_make(im, &elements, max_of(name));
}

/* ---- sets with names ---- */

static bool has_flag(const json_t *set, const char *flag)
{
	const json_t *flags = json_object_get(set, "flags"), *one;
	size_t i;

	if (json_is_string(flags))
		return !strcmp(json_string_value(flags), flag);
	json_array_foreach(
		flags, i, one) if (json_is_string(one) && !strcmp(json_string_value(one), flag)) return true;
	return false;
}

static bool can_have_name(enum import_field field)
{
	return field == IMPORT_SRC || field == IMPORT_DST || field == IMPORT_SPORT || field == IMPORT_DPORT;
}

/* A set is worked out once for each kind of value, not for each rule that names it. */
static const struct import_spans *named(struct import *im, struct import_rule *rule, const struct name *name,
	const char *id, const json_t *set)
{
	const char *kind = name->max ? "numbers" : name->of;
	PST_FREE char *key = NULL;
	const json_t *known;
	struct import_spans *spans;

	if (!can_have_name(name->to))
		return spans_of(im, rule, name, json_object_get(set, "elem"));
	if (asprintf(&key, "%s\n%s", id, kind) < 0)
		key = NULL;
	known = key ? json_object_get(im->set_cache, key) : NULL;
	if (known)
		return im->cached[json_integer_value(known)];
	spans = (struct import_spans *)spans_of(im, rule, name, json_object_get(set, "elem"));
	if (!spans || im->error)
		return spans;
	spans->set = import_alloc(im, sizeof(*spans->set));
	if (spans->set)
		spans->set->from = json_string_value(json_object_get(set, "name"));
	import_cache_set(im, key, spans);
	return spans;
}

static const struct import_spans *find_set(
	struct import *im, struct import_rule *rule, const struct name *name, const char *at_name)
{
	PST_FREE char *id = NULL;
	const json_t *set;

	if (asprintf(&id, "%s\n%s\n%s", rule->chain->family, rule->chain->table, at_name + 1) < 0)
		id = NULL;
	set = id ? json_object_get(im->set_index, id) : NULL;
	if (!set)
		import_rule_refuse(im, rule, "its set is not in the text");
	else if (json_object_get(set, "changed by rules") || has_flag(set, "dynamic"))
		import_rule_refuse(im, rule, "rules change its set");
	else if (has_flag(set, "timeout"))
		import_rule_refuse(im, rule, "elements of its set come and go with time");
	else if (!json_array_size(json_object_get(set, "elem")))
		import_rule_refuse(im, rule, "its set is empty");
	else
		return named(im, rule, name, id, set);
	return NULL;
}

/* ---- TCP flags: one byte ---- */

static bool flags_value(const json_t *json, unsigned depth, unsigned *ret_flags)
{
	const json_t *list = json_is_object(json) ? json_object_get(json, "|") : json, *one;
	const char *text = json_string_value(json);
	unsigned flags = 0;
	size_t i;

	*ret_flags = 0;
	if (json_is_integer(json) && json_integer_value(json) >= 0 && json_integer_value(json) <= 255) {
		*ret_flags = (unsigned)json_integer_value(json);
		return true;
	}
	if (text)
		return import_word_value(import_flags, text, strlen(text), 255, ret_flags);
	json_array_foreach(list, i, one)
	{
		if (depth > 8 || !flags_value(one, depth + 1, &flags))
			return false;
		*ret_flags |= flags;
	}
	return json_is_array(list) && i;
}

static bool in_flags(unsigned byte, const char *op, unsigned mask, unsigned value)
{
	if (!strcmp(op, "in"))
		return byte & mask & value;
	if (!strcmp(op, "!"))
		return !(byte & mask & value);
	return (byte & mask) == value;
}

/* Bytes that @op, a mask and a value, or one of several values, take. */
static const struct import_spans *flags_spans(
	struct import *im, const char *op, const json_t *mask, const json_t *right)
{
	PST_CLEANUP(import_list_done) struct import_list list = {0};
	const json_t *set = json_object_get(right, "set");
	size_t n = set ? json_array_size(set) : 1;
	unsigned bits = 255, value;

	if ((mask && !flags_value(mask, 0, &bits)) || n > 256)
		return NULL;
	for (size_t i = 0; i < n; i++) {
		if (!flags_value(set ? json_array_get(set, i) : right, 0, &value))
			return NULL;
		for (unsigned byte = 0; byte < 256; byte++)
			if (in_flags(byte, op, bits, value) && !im->error)
				import_list_add(im, &list, byte, byte);
	}
	return import_spans_make(im, &list, 255);
}

/* ---- a match ---- */

static const struct name *name_of(const json_t *left)
{
	static const char *const kinds[] = {"payload", "meta", "ct"};

	for (size_t i = 0; i < PST_ARRAY_SIZE(kinds); i++) {
		const json_t *json = json_object_get(left, kinds[i]);
		const char *of = i ? kinds[i] : json_string_value(json_object_get(json, "protocol"));
		const char *field = json_string_value(json_object_get(json, i ? "key" : "field"));

		for (size_t k = 0; of && field && k < PST_ARRAY_SIZE(names); k++)
			if (!strcmp(names[k].of, of) && !strcmp(names[k].field, field))
				return &names[k];
	}
	return NULL;
}

/* Why a field cannot be looked at, in its own words. */
static bool refuse_left(struct import *im, struct import_rule *rule, const json_t *left)
{
	const json_t *payload = json_object_get(left, "payload"), *meta = json_object_get(left, "meta");
	const json_t *ct = json_object_get(left, "ct"), *json = payload ? payload : meta ? meta : ct;
	const char *of = payload ? json_string_value(json_object_get(payload, "protocol"))
			 : meta  ? "meta"
				 : "ct";
	const char *field = json_string_value(json_object_get(json, payload ? "field" : "key"));
	const char *key = json_object_iter_key(json_object_iter((json_t *)left));

	if (of && field && !strcmp(of, "ip6") && !strcmp(field, "nexthdr"))
		return import_rule_refuse(im, rule,
			"ip6 nexthdr looks at the first header, not behind extensions as meta l4proto does");
	if (json && of && field)
		return import_rule_refuse(im, rule, "%s %s has no counterpart", of, field);
	return import_rule_refuse(im, rule, "a match of \"%s\" has no counterpart", key ? key : "this form");
}

static bool has_ports(const struct import_spans *protocols)
{
	static const unsigned with_ports[] = {6, 17, 33, 132, 136};

	for (size_t i = 0; protocols && i < protocols->n; i++)
		for (import_value p = protocols->v[i].lo; p <= protocols->v[i].hi; p++) {
			size_t k = 0;

			while (k < PST_ARRAY_SIZE(with_ports) && with_ports[k] != p)
				k++;
			if (k == PST_ARRAY_SIZE(with_ports))
				return false;
		}
	return protocols;
}

/* The field is looked at in packets that have it. */
static bool take_what_has_it(struct import *im, struct import_rule *rule, const struct name *name)
{
	if (name->kinds) {
		bool both = name->kinds == BOTH;
		import_value lo = name->kinds & PROTO(IMPORT_IP4) ? IMPORT_IP4 : IMPORT_IP6;

		import_rule_take(im, rule, IMPORT_KIND,
			import_spans_one(im, lo, both ? (import_value)IMPORT_IP6 : lo, IMPORT_NO_IP));
	}
	if (name->protocol >= 0)
		import_rule_take(im, rule, IMPORT_PROTO,
			import_spans_one(im, (unsigned)name->protocol, (unsigned)name->protocol, 255));
	else if (name->protocol == -2 && !rule->never && !has_ports(rule->cond.f[IMPORT_PROTO]))
		return import_rule_refuse(im, rule, "th looks at whatever is there where ports would be");
	return true;
}

static const struct import_spans *compare(struct import *im, struct import_rule *rule,
	const struct name *name, const char *op, const json_t *right)
{
	const struct import_spans *one = spans_of(im, rule, name, right);
	import_value max = max_of(name);
	bool less = op[0] == '<', equal = op[1] == '=';

	if (!one || one->n != 1)
		return NULL;
	if (less && !equal && !one->v[0].lo)
		return import_spans_make(im, &(struct import_list){0}, max);
	if (!less && !equal && one->v[0].hi == max)
		return import_spans_make(im, &(struct import_list){0}, max);
	if (less)
		return import_spans_one(im, 0, equal ? one->v[0].hi : one->v[0].lo - 1, max);
	return import_spans_one(im, equal ? one->v[0].lo : one->v[0].hi + 1, max, max);
}

static const struct import_spans *right_spans(struct import *im, struct import_rule *rule,
	const struct name *name, const char *op, const json_t *right)
{
	const json_t *set = json_object_get(right, "set");
	const char *text = json_string_value(right);
	const struct import_spans *spans;

	if (op[0] == '<' || op[0] == '>')
		return name->to == IMPORT_IFACE || name->to == IMPORT_KIND || name->to == IMPORT_STATE
			       ? NULL
			       : compare(im, rule, name, op, right);
	spans = text && text[0] == '@' ? find_set(im, rule, name, text)
				       : spans_of(im, rule, name, set ? set : right);
	return spans && op[0] == '!' ? import_spans_not(im, spans) : spans;
}

bool import_nft_spans(struct import *im, struct import_rule *rule, const json_t *left, const json_t *op,
	const json_t *right)
{
	static const char *const ops[] = {"==", "!=", "in", "!", "<", ">", "<=", ">="};
	const json_t *masked = json_object_get(left, "&");
	const struct name *name = name_of(masked ? json_array_get(masked, 0) : left);
	const char *sign = op ? json_string_value(op) : "==";
	const struct import_spans *spans;
	size_t i = 0;

	while (sign && i < PST_ARRAY_SIZE(ops) && strcmp(ops[i], sign) != 0)
		i++;
	if (!sign || i == PST_ARRAY_SIZE(ops))
		return import_rule_refuse(im, rule, "a match of an unknown form");
	/* == and != of a list compare bits, which no packet of one state has or all have */
	if (json_is_array(right) && i < 2 && !(name && name->to == IMPORT_FLAGS))
		return import_rule_refuse(im, rule, "a match of an unknown form");
	if (!name || (masked && name->to != IMPORT_FLAGS))
		return refuse_left(im, rule, left);
	if (!take_what_has_it(im, rule, name))
		return false;
	if (name->to != IMPORT_FLAGS)
		spans = right_spans(im, rule, name, sign, right);
	else
		spans = i < 4 ? flags_spans(im, sign, masked ? json_array_get(masked, 1) : NULL, right)
			      : NULL;
	if (spans && name->to == IMPORT_FLAGS && !strcmp(sign, "!="))
		spans = import_spans_not(im, spans);
	if (!spans)
		return import_rule_refuse(
			im, rule, "%s %s: a value that has no counterpart", name->of, name->field);
	return import_rule_take(im, rule, name->to, spans);
}

bool import_nft_match(struct import *im, struct import_rule *rule, const json_t *match)
{
	return import_nft_spans(im, rule, json_object_get(match, "left"), json_object_get(match, "op"),
		json_object_get(match, "right"));
}
