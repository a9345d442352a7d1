// SPDX-License-Identifier: Apache-2.0
/* A rule of iptables-save: a table of the options that have a counterpart. */
#include <string.h>
#include <strings.h>

#include "cli/import_internal.h"
#include "proto/base/cleanup.h"

struct words {
	struct import *im;
	struct import_rule *rule;
	int kind; /* of addresses */
};

struct option;
typedef bool take(struct words *w, const struct option *o, const char *value, bool negated);

struct option {
	const char *name;
	unsigned n_values;
	take *take; /* NULL: it changes nothing that Penstock does */
	enum import_field field;
	const struct import_word *known; /* words that the value may be */
};

static bool add(struct words *w, enum import_field field, const struct import_spans *spans, bool negated)
{
	return import_rule_take(w->im, w->rule, field, negated ? import_spans_not(w->im, spans) : spans);
}

static bool refuse_value(struct words *w, const struct option *o, const char *value)
{
	return import_rule_refuse(w->im, w->rule, "%s %s has no counterpart", o->name, value);
}

/* ---- addresses and interfaces ---- */

static bool take_address(struct words *w, const struct option *o, const char *value, bool negated)
{
	struct import_span span;
	import_value address;
	int bits;

	if (!import_address(value, strlen(value), w->kind, &address, &bits))
		return import_rule_refuse(
			w->im, w->rule, "%s %s is no address of this family", o->name, value);
	if (bits < 0)
		return import_rule_refuse(w->im, w->rule, "%s %s: the mask has holes", o->name, value);
	import_prefix(address, bits, w->kind, &span);
	return add(
		w, o->field, import_spans_one(w->im, span.lo, span.hi, import_address_max(w->kind)), negated);
}

/* a-b */
static bool take_addresses(struct words *w, const struct option *o, const char *value, bool negated)
{
	const char *dash = strchrnul(value, '-');
	import_value lo, hi;

	if (!*dash || !import_address(value, (size_t)(dash - value), w->kind, &lo, NULL) ||
		!import_address(dash + 1, strlen(dash + 1), w->kind, &hi, NULL) || lo > hi)
		return refuse_value(w, o, value);
	return add(w, o->field, import_spans_one(w->im, lo, hi, import_address_max(w->kind)), negated);
}

static bool take_iface(struct words *w, const struct option *o, const char *value, bool negated)
{
	unsigned n;

	if (!strcmp(value, "+") && !negated)
		return true;
	if (!import_iface(w->im, value, strlen(value), &n))
		return import_rule_refuse(
			w->im, w->rule, "-i %s: interfaces are named, without wildcards", value);
	return add(w, o->field, import_spans_one(w->im, n, n, IMPORT_IFACES), negated);
}

/* ---- numbers and words ---- */

static bool take_proto(struct words *w, const struct option *o, const char *value, bool negated)
{
	unsigned n;

	if (!strcasecmp(value, "all"))
		n = 0;
	else if (!import_word_value(o->known, value, strlen(value), 255, &n))
		return refuse_value(w, o, value);
	return n         ? add(w, o->field, import_spans_one(w->im, n, n, 255), negated)
	       : negated ? refuse_value(w, o, value)
			 : true;
}

static const char *behind_comma(const char *at)
{
	const char *comma = strchr(at, ',');

	return comma ? comma + 1 : NULL;
}

/* "22", "1000:", "22,80:90" */
static bool take_ports(struct words *w, const struct option *o, const char *value, bool negated)
{
	PST_CLEANUP(import_list_done) struct import_list list = {0};

	for (const char *at = value; at; at = behind_comma(at)) {
		size_t len = strcspn(at, ","), first = strcspn(at, ":,");
		uint64_t lo = 0, hi = 65535;
		bool range = first < len;

		if ((first || !range) && !import_number(at, first, 65535, &lo))
			return refuse_value(w, o, value);
		if (range && len > first + 1 && !import_number(at + first + 1, len - first - 1, 65535, &hi))
			return refuse_value(w, o, value);
		hi = range ? hi : lo;
		if (lo > hi)
			return refuse_value(w, o, value);
		import_list_add(w->im, &list, lo, hi);
	}
	return add(w, o->field, import_spans_make(w->im, &list, 65535), negated);
}

static bool take_states(struct words *w, const struct option *o, const char *value, bool negated)
{
	PST_CLEANUP(import_list_done) struct import_list list = {0};
	unsigned n;

	for (const char *at = value; at; at = behind_comma(at)) {
		if (!import_word_value(o->known, at, strcspn(at, ","), 0, &n))
			return refuse_value(w, o, value);
		import_list_add(w->im, &list, n, n);
	}
	return add(w, o->field, import_spans_make(w->im, &list, 4), negated);
}

static bool take_dscp(struct words *w, const struct option *o, const char *value, bool negated)
{
	unsigned n;

	if (!import_word_value(o->known, value, strlen(value), 63, &n))
		return refuse_value(w, o, value);
	return add(w, o->field, import_spans_one(w->im, n, n, 63), negated);
}

/* "8", "3/4", "any", or the name of a type */
static bool take_icmp(struct words *w, const struct option *o, const char *value, bool negated)
{
	const char *slash = strchrnul(value, '/');
	unsigned type;
	uint64_t code = 0, last = 255;

	if (!strcmp(value, "any") || (!strcmp(value, "255") && w->kind == IMPORT_IP4))
		return negated ? refuse_value(w, o, value) : true;
	if (!import_word_value(o->known, value, (size_t)(slash - value), 255, &type))
		return refuse_value(w, o, value);
	if (*slash && !import_number(slash + 1, strlen(slash + 1), 255, &code))
		return refuse_value(w, o, value);
	last = *slash ? code : last;
	return add(w, o->field, import_spans_one(w->im, type << 8 | code, type << 8 | last, 0xffff), negated);
}

/* ---- TCP flags ---- */

/* "SYN,RST", "ALL", "NONE"; ALL is what the flags once were: six. */
static bool flags_of(const char *text, size_t len, unsigned *ret_flags)
{
	unsigned bit;

	*ret_flags = 0;
	for (size_t at = 0; at < len;) {
		size_t n = strcspn(text + at, ", ");

		n = n > len - at ? len - at : n;
		if (n == 3 && !strncasecmp(text + at, "ALL", n))
			bit = 0x3f;
		else if (n == 4 && !strncasecmp(text + at, "NONE", n))
			bit = 0;
		else if (!import_word_value(import_flags, text + at, n, 255, &bit))
			return false;
		*ret_flags |= bit;
		at += n + 1;
	}
	return len > 0;
}

static bool add_flags(struct words *w, unsigned mask, unsigned set, bool negated)
{
	PST_CLEANUP(import_list_done) struct import_list list = {0};

	for (unsigned byte = 0; byte < 256; byte++)
		if ((byte & mask) == set)
			import_list_add(w->im, &list, byte, byte);
	return add(w, IMPORT_FLAGS, import_spans_make(w->im, &list, 255), negated);
}

/* The two words come as one, with a blank between them. */
static bool take_flags(struct words *w, const struct option *o, const char *value, bool negated)
{
	size_t len = strcspn(value, " ");
	unsigned mask, set;

	if (!value[len] || !flags_of(value, len, &mask) ||
		!flags_of(value + len + 1, strlen(value + len + 1), &set))
		return refuse_value(w, o, value);
	return add_flags(w, mask, set, negated);
}

static bool take_syn(struct words *w, const struct option *o, const char *value, bool negated)
{
	(void)o;
	(void)value;
	return add_flags(w, 0x17, 2, negated);
}

/* ---- targets ---- */

static bool take_target(struct words *w, const struct option *o, const char *value, bool negated)
{
	static const struct {
		const char *name;
		enum import_verdict verdict;
	} known[] = {{"ACCEPT", IMPORT_ACCEPT}, {"DROP", IMPORT_DROP}, {"REJECT", IMPORT_REJECT},
		{"RETURN", IMPORT_RETURN}, {"LOG", IMPORT_NOTHING}, {"NFLOG", IMPORT_NOTHING},
		{"MARK", IMPORT_NOTHING}};

	w->rule->log = !strcmp(value, "LOG") || !strcmp(value, "NFLOG");
	for (size_t i = 0; i < PST_ARRAY_SIZE(known); i++) {
		if (strcmp(known[i].name, value) != 0 || o->name[1] == 'g')
			continue;
		w->rule->verdict = known[i].verdict;
		return negated ? refuse_value(w, o, value) : true;
	}
	w->rule->verdict = o->name[1] == 'g' ? IMPORT_GOTO : IMPORT_JUMP;
	w->rule->target_name = import_format_text(w->im, "%s", value);
	return negated ? refuse_value(w, o, value) : true;
}

/* "0x10/0xffffffff", "0x10": the whole mark */
static bool take_mark(struct words *w, const struct option *o, const char *value, bool negated)
{
	const char *slash = strchrnul(value, '/');
	uint64_t mark, mask = UINT32_MAX;

	if (negated || !import_number(value, (size_t)(slash - value), UINT32_MAX, &mark) ||
		(*slash && !import_number(slash + 1, strlen(slash + 1), UINT32_MAX, &mask)))
		return refuse_value(w, o, value);
	if (mask != UINT32_MAX)
		return import_rule_refuse(
			w->im, w->rule, "%s %s sets some bits of the mark only", o->name, value);
	w->rule->has_mark = true;
	w->rule->mark = (uint32_t)mark;
	return true;
}

static bool take_reject_with(struct words *w, const struct option *o, const char *value, bool negated)
{
	if (negated)
		return refuse_value(w, o, value);
	w->rule->reject_with = import_reject_with(value);
	return true;
}

static bool take_comment(struct words *w, const struct option *o, const char *value, bool negated)
{
	(void)o;
	(void)negated;
	w->rule->name = import_format_text(w->im, "%s", value);
	return true;
}

/* ---- the table ---- */

static const char *const modules[] = {"tcp", "udp", "sctp", "dccp", "udplite", "icmp", "icmp6", "icmpv6",
	"ipv6-icmp", "multiport", "conntrack", "state", "comment", "iprange", "dscp"};

static const struct option options[] = {
	{"-s", 1, take_address, IMPORT_SRC, NULL},
	{"--source", 1, take_address, IMPORT_SRC, NULL},
	{"-d", 1, take_address, IMPORT_DST, NULL},
	{"--destination", 1, take_address, IMPORT_DST, NULL},
	{"-i", 1, take_iface, IMPORT_IFACE, NULL},
	{"--in-interface", 1, take_iface, IMPORT_IFACE, NULL},
	{"-p", 1, take_proto, IMPORT_PROTO, import_protocols},
	{"--protocol", 1, take_proto, IMPORT_PROTO, import_protocols},
	{"-j", 1, take_target, 0, NULL},
	{"--jump", 1, take_target, 0, NULL},
	{"-g", 1, take_target, 0, NULL},
	{"--sport", 1, take_ports, IMPORT_SPORT, NULL},
	{"--sports", 1, take_ports, IMPORT_SPORT, NULL},
	{"--dport", 1, take_ports, IMPORT_DPORT, NULL},
	{"--dports", 1, take_ports, IMPORT_DPORT, NULL},
	{"--tcp-flags", 2, take_flags, IMPORT_FLAGS, NULL},
	{"--syn", 0, take_syn, IMPORT_FLAGS, NULL},
	{"--icmp-type", 1, take_icmp, IMPORT_ICMP, import_icmp4_types},
	{"--icmpv6-type", 1, take_icmp, IMPORT_ICMP, import_icmp6_types},
	{"--ctstate", 1, take_states, IMPORT_STATE, import_states},
	{"--state", 1, take_states, IMPORT_STATE, import_states},
	{"--src-range", 1, take_addresses, IMPORT_SRC, NULL},
	{"--dst-range", 1, take_addresses, IMPORT_DST, NULL},
	{"--dscp", 1, take_dscp, IMPORT_DSCP, import_dscps},
	{"--dscp-class", 1, take_dscp, IMPORT_DSCP, import_dscps},
	{"--comment", 1, take_comment, 0, NULL},
	{"--set-mark", 1, take_mark, 0, NULL},
	{"--set-xmark", 1, take_mark, 0, NULL},
	{"--reject-with", 1, take_reject_with, 0, NULL},
	{"--log-prefix", 1, NULL, 0, NULL},
	{"--log-level", 1, NULL, 0, NULL},
	{"--log-tcp-sequence", 0, NULL, 0, NULL},
	{"--log-tcp-options", 0, NULL, 0, NULL},
	{"--log-ip-options", 0, NULL, 0, NULL},
	{"--log-uid", 0, NULL, 0, NULL},
	{"--log-macdecode", 0, NULL, 0, NULL},
	{"--nflog-group", 1, NULL, 0, NULL},
	{"--nflog-prefix", 1, NULL, 0, NULL},
	{"--nflog-range", 1, NULL, 0, NULL},
	{"--nflog-size", 1, NULL, 0, NULL},
	{"--nflog-threshold", 1, NULL, 0, NULL},
};

static bool take_module(struct words *w, const char *name)
{
	for (size_t i = 0; i < PST_ARRAY_SIZE(modules); i++)
		if (!strcmp(modules[i], name))
			return true;
	return import_rule_refuse(w->im, w->rule, "-m %s has no counterpart%s", name,
		!strcmp(name, "set") ? ": the sets of ipset are not in the text" : "");
}

static const struct option *option_of(const char *name)
{
	for (size_t i = 0; i < PST_ARRAY_SIZE(options); i++)
		if (!strcmp(options[i].name, name))
			return &options[i];
	return NULL;
}

/* Ports, flags and types are only of packets of a protocol that -p names: then they are where they should be.
 */
static bool fits_protocol(struct words *w)
{
	const struct import_spans *p = w->rule->cond.f[IMPORT_PROTO];
	const struct import_cond *c = &w->rule->cond;
	unsigned one = p && p->n == 1 && p->v[0].lo == p->v[0].hi ? (unsigned)p->v[0].lo : 0;
	bool ports = one == 6 || one == 17 || one == 33 || one == 132 || one == 136;

	if ((c->f[IMPORT_SPORT] || c->f[IMPORT_DPORT]) && !ports)
		return import_rule_refuse(w->im, w->rule, "ports without a protocol that has them");
	if (c->f[IMPORT_FLAGS] && one != 6)
		return import_rule_refuse(w->im, w->rule, "TCP flags without -p tcp");
	if (c->f[IMPORT_ICMP] && one != (w->kind == IMPORT_IP4 ? 1 : 58))
		return import_rule_refuse(w->im, w->rule, "an ICMP type without -p icmp or ipv6-icmp");
	return true;
}

/* One option with its values; returns how many words it took. */
static size_t take_option(struct words *w, char **v, size_t n, bool negated)
{
	const struct option *o = option_of(v[0]);
	char pair[128];

	if (!strcmp(v[0], "-m") && n > 1) {
		take_module(w, v[1]);
		return 2;
	}
	if (!o || n <= o->n_values) {
		import_rule_refuse(w->im, w->rule, "%s has no counterpart", v[0]);
		return 1;
	}
	if (o->n_values == 2) {
		snprintf(pair, sizeof(pair), "%.60s %.60s", v[1], v[2]);
		o->take(w, o, pair, negated);
	} else if (o->take) {
		o->take(w, o, o->n_values ? v[1] : "", negated);
	}
	return 1 + o->n_values;
}

/* Words of an option that has no counterpart are met as if they were options: the first reason is the one
 * that is told, and the target is found. */
bool import_ipt_rule(struct import *im, struct import_rule *rule, char **words, size_t n, bool ip6)
{
	struct words w = {im, rule, ip6 ? IMPORT_IP6 : IMPORT_IP4};

	for (size_t i = 0; i < n;) {
		bool negated = !strcmp(words[i], "!");

		i += negated;
		if (i == n)
			return import_rule_refuse(im, rule, "! with nothing behind it");
		i += take_option(&w, words + i, n - i, negated);
	}
	return rule->never || fits_protocol(&w);
}
