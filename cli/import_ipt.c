// SPDX-License-Identifier: Apache-2.0
/* `iptables-save`: tables, chains, and the lines of rules; a rule's words are import_ipt_rule.c's. */
#include <errno.h>
#include <string.h>

#include "cli/import_internal.h"
#include "proto/base/cleanup.h"

#define WORDS_MAX 1024 /* of a rule */

struct reader {
	struct import *im;
	bool ip6;
	const char *table; /* NULL: outside of one */
	unsigned line;
	char *words[WORDS_MAX];
	char *copy; /* what the words point into */
};

static const char *family(const struct reader *r)
{
	return r->ip6 ? "ip6" : "ip";
}

/* ---- chains ---- */

static const struct {
	const char *name, *hook_name;
	enum import_hook hook;
} hooks[] = {{"PREROUTING", "prerouting", IMPORT_PREROUTING}, {"INPUT", "input", IMPORT_INPUT},
	{"FORWARD", "forward", IMPORT_OTHER_HOOK}, {"OUTPUT", "output", IMPORT_OTHER_HOOK},
	{"POSTROUTING", "postrouting", IMPORT_OTHER_HOOK}};

static int priority(const char *table, enum import_hook hook)
{
	static const struct {
		const char *table;
		int priority;
	} tables[] = {{"raw", -300}, {"mangle", -150}, {"nat", -100}, {"filter", 0}, {"security", 50}};

	if (!strcmp(table, "nat") && hook == IMPORT_INPUT)
		return 100;
	for (size_t i = 0; i < PST_ARRAY_SIZE(tables); i++)
		if (!strcmp(tables[i].table, table))
			return tables[i].priority;
	return 0;
}

static void make_base(struct reader *r, struct import_chain *chain, const char *policy)
{
	for (size_t i = 0; i < PST_ARRAY_SIZE(hooks); i++) {
		if (strcmp(hooks[i].name, chain->name) != 0)
			continue;
		chain->hook = hooks[i].hook;
		chain->hook_name = hooks[i].hook_name;
		chain->forwards = !strcmp(chain->name, "FORWARD");
	}
	chain->nat = !strcmp(r->table, "nat");
	chain->drops = !strcmp(policy, "DROP");
	chain->priority = priority(r->table, chain->hook);
}

/* What is no UTF-8 cannot be found again. */
static bool is_utf8(const char *text)
{
	json_t *json = json_string(text);

	json_decref(json);
	return json;
}

/* ":INPUT DROP [0:0]" */
static int read_chain(struct reader *r, char *text)
{
	char *save = NULL, *name = strtok_r(text + 1, " \t", &save), *policy = strtok_r(NULL, " \t", &save);
	import_value kind = r->ip6 ? IMPORT_IP6 : IMPORT_IP4;
	struct import_chain *chain;

	if (!r->table || !name || !policy)
		return import_bad(
			r->im, "%u: expected a chain within a table, such as :INPUT DROP [0:0]", r->line);
	if (strcmp(policy, "ACCEPT") != 0 && strcmp(policy, "DROP") != 0 && strcmp(policy, "-") != 0)
		return import_bad(
			r->im, "%u: the policy \"%s\" is neither ACCEPT, DROP nor -", r->line, policy);
	if (!is_utf8(name))
		return import_bad(r->im, "%u: the chain's name is no UTF-8", r->line);
	if (import_chain_find(r->im, family(r), r->table, name))
		return import_bad(r->im, "%u: there is a chain %s in this table already", r->line, name);
	chain = import_chain_add(r->im, family(r), r->table, name);
	if (!chain)
		return 0;
	import_cond_add(r->im, &chain->base, IMPORT_KIND, import_spans_one(r->im, kind, kind, IMPORT_NO_IP));
	if (strcmp(policy, "-") != 0)
		make_base(r, chain, policy);
	return 0;
}

static int read_table(struct reader *r, const char *text)
{
	if (r->table)
		return import_bad(r->im, "%u: the table before has no COMMIT", r->line);
	if (!text[1] || !is_utf8(text + 1))
		return import_bad(r->im, "%u: expected the name of a table behind *", r->line);
	r->table = import_format_text(r->im, "%s", text + 1);
	return 0;
}

/* ---- rules ---- */

/* Words between blanks; quotes hold them together, a backslash takes the next character as it is. Returns how
 * many, or -1: a quote that does not end, or too many. */
static int split(char *text, char **words)
{
	char *from = text, *to = text;
	int n = 0;

	for (;;) {
		bool quote = false;

		from += strspn(from, " \t");
		if (!*from)
			return n;
		if (n == WORDS_MAX)
			return -1;
		words[n++] = to;
		for (; *from && (quote || !strchr(" \t", *from)); from++) {
			if (*from == '\\' && from[1])
				*to++ = *++from;
			else if (*from == '"')
				quote = !quote;
			else
				*to++ = *from;
		}
		if (quote)
			return -1;
		from += *from != 0;
		*to++ = 0;
	}
}

/* "-A INPUT ..." */
static int read_rule(struct reader *r, const char *line, size_t len, char *text)
{
	int n = split(text, r->words);
	struct import_chain *chain;
	struct import_rule *rule;

	if (n < 0)
		return import_bad(r->im, "%u: a quote does not end, or there are more than %d words", r->line,
			WORDS_MAX);
	if (!r->table || n < 2)
		return import_bad(
			r->im, "%u: expected a rule within a table, such as -A INPUT -j ACCEPT", r->line);
	chain = import_chain_find(r->im, family(r), r->table, r->words[1]);
	if (!chain)
		return import_bad(r->im, "%u: there is no chain %s in this table", r->line, r->words[1]);
	rule = import_rule_add(r->im, chain, r->line);
	if (!rule)
		return 0;
	rule->line = line;
	rule->line_len = len;
	import_ipt_rule(r->im, rule, r->words + 2, (size_t)n - 2, r->ip6);
	return 0;
}

/* A rule may name a chain that stands below it in the text: chains are looked up when all are read. */
static void find_targets(struct import *im)
{
	for (size_t i = 0; i < im->n_chains; i++)
		for (struct import_rule *rule = im->chains[i]->first; rule; rule = rule->next) {
			if (!rule->target_name)
				continue;
			rule->target = import_chain_find(
				im, im->chains[i]->family, im->chains[i]->table, rule->target_name);
			if (!rule->target)
				import_rule_refuse(
					im, rule, "the target %s has no counterpart", rule->target_name);
		}
}

/* ---- lines ---- */

static int read_line(struct reader *r, const char *line, size_t len)
{
	char *text = r->copy;

	if (memchr(line, 0, len))
		return import_bad(r->im, "%u: there is a zero byte", r->line);
	memcpy(text, line, len);
	text[len] = 0;
	while (len && strchr(" \t\r", text[len - 1]))
		text[--len] = 0;
	text += strspn(text, " \t");
	if (!strncmp(text, "# Generated by ip", 17))
		r->ip6 = text[17] == '6';
	if (*text == '[') { /* counters: [packets:bytes] -A ... */
		text += strcspn(text, "]");
		text += strspn(text, "] \t");
	}
	switch (*text) {
	case '#':
	case 0:
		return 0;
	case '*':
		return read_table(r, text);
	case ':':
		return read_chain(r, text);
	case '-':
		if (!strncmp(text, "-A ", 3) || !strncmp(text, "--append ", 9))
			return read_rule(r, line, len, text);
	}
	if (strcmp(text, "COMMIT") != 0)
		return import_bad(r->im,
			"%u: expected what iptables-save prints: a comment, *TABLE, :CHAIN, -A or COMMIT",
			r->line);
	r->table = NULL;
	return 0;
}

int import_read_ipt(struct import *im, const char *text, size_t len, bool ip6)
{
	PST_FREE char *copy = malloc(len + 1);
	struct reader r = {.im = im, .ip6 = ip6, .copy = copy};
	size_t at = 0;
	int e = 0;

	im->place = "line";
	if (!copy)
		im->error = -ENOMEM;
	while (at < len && !e && !im->error) {
		const char *end = memchr(text + at, '\n', len - at);
		size_t n = end ? (size_t)(end - text) - at : len - at;

		r.line++;
		e = read_line(&r, text + at, n);
		at += n + 1;
	}
	if (!e && !im->error && r.table)
		e = import_bad(
			im, "%u: the text ends within the table %s: there is no COMMIT", r.line, r.table);
	if (!e && !im->n_chains)
		e = import_bad(im, "%u: there is no table in the text", r.line);
	find_targets(im);
	return e;
}
