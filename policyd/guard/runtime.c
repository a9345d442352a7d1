// SPDX-License-Identifier: Apache-2.0
/* Rules that were added by command. */
#include "policyd/guard/runtime.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "proto/base/cleanup.h"
#include "proto/base/own.h"

#define MODE     0640
#define HEAD     "firewall:\n  rules:\n"
#define ELEMENT  "    - "
#define FILE_MAX ((size_t)RUNTIME_RULES_MAX * (RUNTIME_RULE_MAX + sizeof(ELEMENT) + 1) + sizeof(HEAD))

void runtime_rules_done(struct runtime_rules *rules)
{
	for (size_t i = 0; i < rules->n; i++)
		free(rules->text[i]);
	free(rules->text);
	*rules = (struct runtime_rules){0};
}

bool runtime_rule_ok(const char *text, size_t len)
{
	if (len < 2 || len > RUNTIME_RULE_MAX || text[0] != '{' || text[len - 1] != '}')
		return false;
	for (size_t i = 0; i < len; i++)
		if ((unsigned char)text[i] < 0x20 || text[i] == 0x7f)
			return false;
	return true;
}

static int add_rule(struct runtime_rules *rules, const char *text, size_t len)
{
	rules->text[rules->n] = strndup(text, len);
	if (!rules->text[rules->n])
		return -ENOMEM;
	rules->n++;
	return 0;
}

int runtime_rules_edit(
	const struct runtime_rules *rules, const char *text, size_t at, struct runtime_rules *ret_rules)
{
	PST_CLEANUP(runtime_rules_done)
	struct runtime_rules r = {.text = calloc(rules->n + 1, sizeof(*r.text))};
	int e = r.text ? 0 : -ENOMEM;

	for (size_t i = 0; !e && i <= rules->n; i++) {
		if (i == at && text)
			e = add_rule(&r, text, strlen(text));
		if (!e && i < rules->n && (i != at || text))
			e = add_rule(&r, rules->text[i], strlen(rules->text[i]));
	}
	if (e)
		return e;
	*ret_rules = r;
	r = (struct runtime_rules){0};
	return 0;
}

char *runtime_rules_document(const struct runtime_rules *rules, size_t *ret_len)
{
	char *text = NULL;
	FILE *out = open_memstream(&text, ret_len);

	if (!out)
		return NULL;
	fputs(HEAD, out);
	for (size_t i = 0; i < rules->n; i++)
		fprintf(out, ELEMENT "%s\n", rules->text[i]);
	if (fclose(out) == 0)
		return text;
	free(text);
	return NULL;
}

/* The line's length without its newline, or -EBADMSG. */
static ssize_t rule_line(const char *p, const char *end)
{
	const char *newline = memchr(p, '\n', (size_t)(end - p));
	size_t head = strlen(ELEMENT);

	if (!newline || (size_t)(newline - p) < head || memcmp(p, ELEMENT, head) != 0 ||
		!runtime_rule_ok(p + head, (size_t)(newline - p) - head))
		return -EBADMSG;
	return newline - p;
}

int runtime_rules_parse(const char *text, size_t len, struct runtime_rules *ret_rules)
{
	PST_CLEANUP(runtime_rules_done)
	struct runtime_rules r = {.text = calloc(RUNTIME_RULES_MAX, sizeof(*r.text))};
	size_t head = strlen(HEAD);
	const char *end = text + len;

	if (!r.text)
		return -ENOMEM;
	if (len < head || memcmp(text, HEAD, head) != 0)
		return -EBADMSG;
	for (const char *p = text + head; p < end;) {
		ssize_t line = rule_line(p, end);
		int e = line < 0 || r.n == RUNTIME_RULES_MAX
				? -EBADMSG
				: add_rule(&r, p + strlen(ELEMENT), (size_t)line - strlen(ELEMENT));

		if (e)
			return e;
		p += line + 1;
	}
	*ret_rules = r;
	r = (struct runtime_rules){0};
	return 0;
}

int runtime_rules_load(const char *path, struct runtime_rules *ret_rules)
{
	PST_FREE char *text = NULL;
	size_t len;
	int e = pst_own_read(path, FILE_MAX, &text, &len);

	if (e == -ENOENT) {
		*ret_rules = (struct runtime_rules){0};
		return 0;
	}
	return e ? e : runtime_rules_parse(text, len, ret_rules);
}

int runtime_rules_save(const char *path, const struct runtime_rules *rules)
{
	size_t len;
	PST_FREE char *text = runtime_rules_document(rules, &len);

	return text ? pst_own_write(path, MODE, text, len) : -ENOMEM;
}

/* ---- places ---- */

#define PLACES_HEAD "penstock-places %" PRIu64 "\n"
#define PLACE_LINE  80 /* a number, a name, and what is between them */

int runtime_places_save(const char *path, gid_t group, const struct fw_ruleset *set, uint64_t generation)
{
	PST_FREE char *text = NULL;
	size_t len;
	FILE *out = open_memstream(&text, &len);

	if (!out)
		return -ENOMEM;
	fprintf(out, PLACES_HEAD, generation);
	for (size_t i = 0; i < set->n; i++)
		fprintf(out, "%" PRIu32 " %s\n", set->rules[i].counter, set->rules[i].name);
	return fclose(out) ? -ENOMEM : pst_own_write_shared(path, group, text, len);
}

/* "PLACE NAME" */
static int parse_place(const char *line, size_t len, struct fw_rule *rule)
{
	uint32_t place = 0;
	size_t i = 0;

	for (; i < len && i < 6 && line[i] >= '0' && line[i] <= '9'; i++)
		place = place * 10 + (uint32_t)(line[i] - '0');
	if (!i || i + 1 >= len || line[i] != ' ' || place >= PST_FW_COUNTERS)
		return -EBADMSG;
	rule->counter = place;
	rule->name = strndup(line + i + 1, len - i - 1);
	return rule->name ? 0 : -ENOMEM;
}

int runtime_places_parse(const char *text, size_t len, uint64_t generation, struct fw_ruleset **ret_set)
{
	PST_CLEANUP(fw_ruleset_freep) struct fw_ruleset *set = calloc(1, sizeof(*set));
	char head[48];
	size_t head_len = (size_t)snprintf(head, sizeof(head), PLACES_HEAD, generation);
	const char *end = text + len;

	if (!set || !(set->rules = calloc(PST_FW_RULES_MAX, sizeof(*set->rules))))
		return -ENOMEM;
	if (len < head_len || memcmp(text, head, head_len) != 0)
		return -ESTALE;
	for (const char *p = text + head_len, *newline; p < end; p = newline + 1) {
		int e;

		newline = memchr(p, '\n', (size_t)(end - p));
		if (!newline || set->n == PST_FW_RULES_MAX)
			return -EBADMSG;
		e = parse_place(p, (size_t)(newline - p), &set->rules[set->n]);
		if (e)
			return e;
		set->n++;
	}
	*ret_set = PST_TAKE_PTR(set);
	return 0;
}

int runtime_places_load(const char *path, uint64_t generation, struct fw_ruleset **ret_set)
{
	PST_FREE char *text = NULL;
	size_t len;
	int e = pst_own_read(path, (size_t)PST_FW_RULES_MAX * PLACE_LINE, &text, &len);

	return e ? e : runtime_places_parse(text, len, generation, ret_set);
}
