// SPDX-License-Identifier: Apache-2.0
/*
 * What the tables of policies say: `policy_doc --schema` the JSON Schema docs/policy.schema.json, `policy_doc
 * PAGE` the page docs/policies.md with the parts between "<!-- generated: NAME -->" and "<!-- end -->" made
 * anew.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "policyd/policy/act.h"
#include "policyd/policy/schema.h"
#include "proto/base/cleanup.h"

static void print_asks(uint32_t asks)
{
	const char *sep = "";

	for (unsigned i = 0; i < PST_ASKS; i++) {
		if (!(asks >> i & 1))
			continue;
		printf("%s`%s`", sep, policy_rows[i].key);
		sep = ", ";
	}
}

static void print_operations(void)
{
	puts("| operation | number | the process ... | conditions on the object |\n|---|---|---|---|");
	for (size_t i = 0; i < policy_n_ops; i++) {
		printf("| `%s` | %d | %s | ", policy_ops[i].name, (int)policy_ops[i].number,
			policy_ops[i].help);
		print_asks(policy_ops[i].asks);
		puts(" |");
	}
}

static void print_words(const struct policy_words *words)
{
	const char *sep = "";

	for (unsigned v = 0; v < words->n; v++) {
		if (!words->name(v))
			continue;
		printf("%s`%s`", sep, words->name(v));
		sep = ", ";
	}
}

static void print_value(const struct policy_row *row)
{
	static const char *const values[POLICY_TYPES] = {
		[POLICY_T_PATTERNS] = "[paths](#paths)",
		[POLICY_T_FILES] = "exact paths",
		[POLICY_T_CGROUPS] = "globs of paths",
		[POLICY_T_GLOBS] = "globs of any text",
		[POLICY_T_NAMES] = "names",
		[POLICY_T_IDS] = "numbers, ranges",
		[POLICY_T_PORTS] = "0 to 65535, ranges",
		[POLICY_T_ADDRESSES] = "addresses, prefixes",
		[POLICY_T_NAMESPACES] = "mapping",
		[POLICY_T_TRUE] = "`true`",
	};

	if (values[row->type])
		fputs(values[row->type], stdout);
	else if (row->words->n <= 8)
		print_words(row->words);
	else
		fputs(row->words->examples, stdout);
}

static void print_conditions(unsigned in, bool object, bool subject)
{
	puts("| key | values | takes |\n|---|---|---|");
	for (unsigned i = 0; i < POLICY_KEYS; i++) {
		const struct policy_row *row = &policy_rows[i];

		if (!(row->in & in) || !(policy_is_on_object(i) ? object : subject))
			continue;
		printf("| `%s` | ", row->key);
		print_value(row);
		printf(" | %s |\n", row->help);
	}
}

static void print_object(void)
{
	print_conditions(POLICY_IN_RULE, true, false);
}

static void print_subject(void)
{
	print_conditions(POLICY_IN_RULE, false, true);
}

static void print_scope(void)
{
	print_conditions(POLICY_IN_SCOPE, true, true);
}

static void print_namespaces(void)
{
	fputs("Kinds of namespaces are ", stdout);
	print_words(&policy_ns_kinds);
	puts(".");
}

static void print_act(void)
{
	const char *key, *help;

	puts("| key | |\n|---|---|");
	for (size_t i = 0; (key = policy_act_key(i, &help)); i++)
		printf("| `%s` | %s |\n", key, help);
}

static const struct {
	const char *name;
	void (*print)(void);
} parts[] = {
	{"operations", print_operations},
	{"object", print_object},
	{"subject", print_subject},
	{"namespaces", print_namespaces},
	{"scope", print_scope},
	{"act", print_act},
};

/* The part that the line begins; NULL: it begins none. */
static void (*part_of(const char *line))(void)
{
	char begin[64];

	for (size_t i = 0; i < PST_ARRAY_SIZE(parts); i++) {
		snprintf(begin, sizeof(begin), "<!-- generated: %s -->\n", parts[i].name);
		if (!strcmp(line, begin))
			return parts[i].print;
	}
	return NULL;
}

static int print_page(const char *path)
{
	PST_FCLOSE FILE *page = fopen(path, "re");
	PST_FREE char *line = NULL;
	size_t size = 0, done = 0;
	bool skip = false;

	if (!page) {
		perror(path);
		return 1;
	}
	while (getline(&line, &size, page) > 0) {
		void (*print)(void) = part_of(line);

		skip &= strcmp(line, "<!-- end -->\n") != 0;
		if (!skip)
			fputs(line, stdout);
		if (!print)
			continue;
		print();
		skip = true;
		done++;
	}
	if (skip || done != PST_ARRAY_SIZE(parts)) {
		fprintf(stderr, "%s: %zu of %zu parts, or one without end\n", path, done,
			PST_ARRAY_SIZE(parts));
		return 1;
	}
	return 0;
}

int main(int argc, char **argv)
{
	int e = 0;

	if (argc != 2) {
		fputs("usage: policy_doc --schema | PAGE\n", stderr);
		return PST_EXIT_USAGE;
	}
	if (!strcmp(argv[1], "--schema"))
		policy_schema_print(stdout);
	else
		e = print_page(argv[1]);
	return fflush(stdout) ? 1 : e;
}
