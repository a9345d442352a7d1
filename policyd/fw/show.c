// SPDX-License-Identifier: Apache-2.0
#include "policyd/fw/show.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <inttypes.h>
#include <string.h>

#include "policyd/fw/reader.h"

#define TABLE_ELEMENTS 4 /* of a list, in a table's line */

struct show {
	FILE *out;
	const struct fw_show_context *context;
	bool table; /* a line for people, not YAML */
	unsigned n_keys;
	size_t n, all, shown; /* of the list that is shown */
	bool other;
};

/* ---- shape: "key: [a, b]" or "key a,b" ---- */

static void key(struct show *s, const char *name)
{
	if (s->n_keys++)
		fputs(s->table ? " " : ", ", s->out);
	fprintf(s->out, s->table ? "%s " : "%s: ", name);
}

static void list_begin(struct show *s, const char *name, size_t n, bool other)
{
	key(s, name);
	s->n = 0;
	s->all = n;
	s->shown = s->table && n > TABLE_ELEMENTS ? TABLE_ELEMENTS : n;
	s->other = other;
	if (other)
		fputs(s->table ? "not " : "{not: ", s->out);
	if (n != 1 && !s->table)
		fputc('[', s->out);
}

/* Before each element; false: enough of them. */
static bool list_next(struct show *s)
{
	if (s->n == s->shown)
		return false;
	if (s->n++)
		fputs(s->table ? "," : ", ", s->out);
	return true;
}

static void list_end(struct show *s)
{
	if (s->shown < s->all)
		fprintf(s->out, ",+%zu", s->all - s->shown);
	if (s->all != 1 && !s->table)
		fputc(']', s->out);
	if (s->other && !s->table)
		fputc('}', s->out);
}

static bool is_plain(const char *text)
{
	if (!isalnum((unsigned char)*text))
		return false;
	for (const char *c = text; *c; c++)
		if (!isalnum((unsigned char)*c) && !strchr("-_./ ", *c))
			return false;
	return text[strlen(text) - 1] != ' ';
}

static void string(struct show *s, const char *text)
{
	if (is_plain(text)) {
		fputs(text, s->out);
		return;
	}
	fputc('"', s->out);
	for (; *text; text++) {
		if (*text == '"' || *text == '\\')
			fputc('\\', s->out);
		fputc(*text, s->out);
	}
	fputc('"', s->out);
}

/* ---- fields ---- */

static void prefix(struct show *s, const struct fw_prefix *p)
{
	bool ip4 = fw_prefix_is_ip4(p), quotes;
	char text[INET6_ADDRSTRLEN];

	inet_ntop(ip4 ? AF_INET : AF_INET6, ip4 ? p->addr + 12 : p->addr, text, sizeof(text));
	/* a colon at an end is YAML's within brackets */
	quotes = !s->table && (text[0] == ':' || (p->len == 128 && text[strlen(text) - 1] == ':'));
	fputs(quotes ? "\"" : "", s->out);
	fputs(text, s->out);
	if (p->len < 128)
		fprintf(s->out, "/%u", ip4 ? p->len - 96u : p->len);
	fputs(quotes ? "\"" : "", s->out);
}

static void prefixes(struct show *s, const char *name, const struct fw_prefixes *list)
{
	if (!list->n)
		return;
	list_begin(s, name, list->n, list->other);
	for (size_t i = 0; i < list->n && list_next(s); i++)
		prefix(s, &list->v[i]);
	list_end(s);
}

static void endpoints(struct show *s, const char *name, const struct fw_endpoints *list)
{
	const char *quote = s->table ? "" : "\"";

	if (!list->n)
		return;
	list_begin(s, name, list->n, list->other);
	for (size_t i = 0; i < list->n && list_next(s); i++) {
		const struct fw_endpoint *end = &list->v[i];
		bool ip4 = fw_addr_is_ip4(end->addr);
		char text[INET6_ADDRSTRLEN];

		inet_ntop(ip4 ? AF_INET : AF_INET6, ip4 ? end->addr + 12 : end->addr, text, sizeof(text));
		fprintf(s->out, ip4 ? "%s%s:%u%s" : "%s[%s]:%u%s", quote, text, end->port, quote);
	}
	list_end(s);
}

static void ranges(struct show *s, const char *name, const struct fw_ranges *list)
{
	if (!list->n)
		return;
	list_begin(s, name, list->n, list->other);
	for (size_t i = 0; i < list->n && list_next(s); i++) {
		fprintf(s->out, "%u", list->v[i].lo);
		if (list->v[i].hi != list->v[i].lo)
			fprintf(s->out, "-%u", list->v[i].hi);
	}
	list_end(s);
}

static void interfaces(struct show *s, const struct fw_rule *r)
{
	list_begin(s, "interface", r->n_ifaces, false);
	for (size_t i = 0; i < r->n_ifaces && list_next(s); i++) {
		const char *name = s->context && s->context->ifname
					   ? s->context->ifname(r->ifaces[i], s->context->arg)
					   : NULL;

		if (name)
			string(s, name);
		else
			fprintf(s->out, "?%u", r->ifaces[i]);
	}
	list_end(s);
}

/* The values whose bits are set, of @max; if that is most of them, those that are not. */
static void bits(
	struct show *s, const char *name, const struct fw_words *words, const uint64_t *v, unsigned max)
{
	unsigned set = 0;
	bool other;

	for (unsigned i = 0; i < max; i++)
		set += v[i / 64] >> i % 64 & 1;
	other = max > 8 && set > max / 2 && set < max;
	list_begin(s, name, other ? max - set : set, other);
	for (unsigned i = 0; i < max; i++) {
		const char *word = fw_word_name(words, i);

		if ((v[i / 64] >> i % 64 & 1) == other)
			continue;
		if (!list_next(s))
			break;
		if (word)
			fputs(word, s->out);
		else
			fprintf(s->out, "%u", i);
	}
	list_end(s);
}

static void flags(FILE *out, uint8_t set)
{
	if (!set || set == 0xff) {
		fputs(set ? "all" : "none", out);
		return;
	}
	for (unsigned bit = 0, n = 0; bit < 8; bit++)
		if (set >> bit & 1)
			fprintf(out, "%s%s", n++ ? "," : "", fw_word_name(&fw_flags, 1u << bit));
}

static void tcp_flags(struct show *s, const struct fw_rule *r)
{
	key(s, "tcp_flags");
	fputs(s->table ? "" : "\"", s->out);
	flags(s->out, r->tcp_value);
	if (r->tcp_mask != r->tcp_value || !r->tcp_mask) {
		fputs(s->table ? "/" : " / ", s->out);
		flags(s->out, r->tcp_mask);
	}
	fputs(s->table ? "" : "\"", s->out);
}

/* "echo-request", "destination-unreachable/port-unreachable", "8", "3/4", "3-5", "3/1-4/7" */
static void icmp_range(struct show *s, const struct fw_rule *r, const struct fw_range *range)
{
	unsigned type = range->lo >> 8, code = range->lo & 255, end = range->hi >> 8, last = range->hi & 255;
	const struct fw_words *types, *codes;
	bool one = fw_icmp_words(r, &types, &codes);
	const char *word = one && type == end ? fw_word_name(types, type << 8) : NULL;

	if (!code && last == 255) {
		if (word)
			fputs(word, s->out);
		else if (type == end)
			fprintf(s->out, "%u", type);
		else
			fprintf(s->out, "%u-%u", type, end);
	} else if (range->lo == range->hi) {
		const char *name = word ? fw_word_name(codes, range->lo) : NULL;

		if (name)
			fprintf(s->out, "%s/%s", word, name);
		else
			fprintf(s->out, "%u/%u", type, code);
	} else {
		fprintf(s->out, "%u/%u-%u/%u", type, code, end, last);
	}
}

static void icmp(struct show *s, const struct fw_rule *r)
{
	if (!r->icmp.n) {
		key(s, "icmp");
		fputs("any", s->out);
		return;
	}
	list_begin(s, "icmp", r->icmp.n, r->icmp.other);
	for (size_t i = 0; i < r->icmp.n && list_next(s); i++)
		icmp_range(s, r, &r->icmp.v[i]);
	list_end(s);
}

/* What the rule takes. */
static void fields(struct show *s, const struct fw_rule *r)
{
	uint64_t state = r->state;

	if (r->has & FW_HAS_NOTHING && s->table) {
		key(s, "nothing:");
		fputs("a set that it names is empty", s->out);
	}
	if (r->family) {
		key(s, "family");
		fprintf(s->out, "%u", r->family);
	}
	if (r->has & FW_HAS_IFACE)
		interfaces(s, r);
	ranges(s, "vlan", &r->vlan);
	if (r->has & FW_HAS_PROTO)
		bits(s, "proto", &fw_protocols, r->protocols, 256);
	prefixes(s, "src", &r->src);
	endpoints(s, "src", &r->ends[0]);
	prefixes(s, "dst", &r->dst);
	endpoints(s, "dst", &r->ends[1]);
	ranges(s, "sport", &r->sport);
	ranges(s, "dport", &r->dport);
	if (r->has & FW_HAS_TCP_FLAGS)
		tcp_flags(s, r);
	if (r->has & FW_HAS_ICMP)
		icmp(s, r);
	if (r->has & FW_HAS_STATE)
		bits(s, "state", &fw_states, &state, PST_CT_STATES);
	if (r->has & FW_HAS_DSCP)
		bits(s, "dscp", &fw_dscps, &r->dscp, 64);
}

static void effects(struct show *s, const struct fw_rule *r)
{
	if (r->with) {
		key(s, "reject_with");
		fputs(fw_word_name(&fw_reject_with, r->with), s->out);
	}
	if (r->log) {
		key(s, "log");
		fputs("yes", s->out);
	}
	if (r->has_mark) {
		key(s, "mark");
		fprintf(s->out, "0x%" PRIx32, r->mark);
	}
}

void fw_rule_show(FILE *out, const struct fw_rule *rule, const struct fw_show_context *context)
{
	struct show s = {.out = out, .context = context};

	fputc('{', out);
	key(&s, "name");
	string(&s, rule->name ? rule->name : "");
	fields(&s, rule);
	key(&s, "action");
	fputs(fw_word_name(&fw_actions, rule->action), out);
	effects(&s, rule);
	fputc('}', out);
}

void fw_ruleset_show(FILE *out, const struct fw_ruleset *set, const struct fw_show_context *context)
{
	fprintf(out, "firewall:\n  policy: %s\n  rules:%s\n", fw_word_name(&fw_actions, set->policy),
		set->n ? "" : " []");
	for (size_t i = 0; i < set->n; i++) {
		fputs("    - ", out);
		fw_rule_show(out, &set->rules[i], context);
		fputc('\n', out);
	}
}

void fw_rule_fields(FILE *out, const struct fw_rule *rule, const struct fw_show_context *context)
{
	struct show s = {.out = out, .context = context, .table = true};

	fields(&s, rule);
	if (!s.n_keys++)
		fputs("any", out); /* fields() said nothing */
	effects(&s, rule);
}

void fw_rule_list(FILE *out, const struct fw_rule *rule, const struct fw_show_context *context)
{
	fprintf(out, "%5" PRIu32 "  %-8s  %-24s  ", rule->id, fw_word_name(&fw_actions, rule->action),
		rule->name ? rule->name : "");
	fw_rule_fields(out, rule, context);
	fputc('\n', out);
}
