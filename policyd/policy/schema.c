// SPDX-License-Identifier: Apache-2.0
#include "policyd/policy/schema.h"

#include <string.h>

#include "policyd/policy/policy.h"
#include "proto/base/cleanup.h"

#define STRINGIFY(x) #x
#define NUMBER(x)    STRINGIFY(x)
/* a / and names that are not . or .. */
#define PATH_REGEX "^(/|(/(?!\\\\.{1,2}(/|$))[^/]+)+)$"
#define PATH_TEXT  "{\"type\": \"string\", \"maxLength\": 4095, \"pattern\": \"" PATH_REGEX "\"}"

/* In quotes; help texts have nothing else to escape. */
static void print_text(FILE *out, const char *text)
{
	putc('"', out);
	for (; *text; text++) {
		if (*text == '"' || *text == '\\')
			putc('\\', out);
		putc(*text, out);
	}
	putc('"', out);
}

static void print_words(FILE *out, const struct policy_words *words)
{
	const char *sep = "";

	fputs("{\"enum\": [", out);
	for (unsigned v = 0; v < words->n; v++) {
		if (!words->name(v))
			continue;
		fprintf(out, "%s\"%s\"", sep, words->name(v));
		sep = ", ";
	}
	fputs("]}", out);
}

static void print_words_or_number(FILE *out, const struct policy_words *words)
{
	if (!words->numbers) {
		print_words(out, words);
		return;
	}
	fputs("{\"anyOf\": [", out);
	print_words(out, words);
	fprintf(out, ", {\"type\": \"integer\", \"minimum\": 0, \"maximum\": %u}]}", words->n - 1);
}

/* ---- elements of conditions, by type ---- */

#define RANGE(max)                                                                                           \
	"{\"anyOf\": [{\"type\": \"integer\", \"minimum\": 0, \"maximum\": " NUMBER(                         \
		max) "}, {\"type\": \"string\", \"pattern\": \"^[0-9]+(-[0-9]+)?$\"}]}"

static const struct {
	const char *name, *element;
} types[POLICY_TYPES] = {
	[POLICY_T_PATTERNS] = {"pattern",
		"{\"anyOf\": [\n"
		"      " PATH_TEXT ",\n"
		"      {\"type\": \"object\", \"additionalProperties\": false, \"required\": [\"prefix\"],\n"
		"       \"properties\": {\"prefix\": {\"type\": \"string\", \"maxLength\": 4095, "
		"\"pattern\": \"^/\"}}},\n"
		"      {\"type\": \"object\", \"additionalProperties\": false, \"required\": [\"suffix\"],\n"
		"       \"properties\": {\"suffix\": {\"type\": \"string\", \"maxLength\": 4095, "
		"\"pattern\": \"[^/]$\"}}},\n"
		"      {\"type\": \"object\", \"additionalProperties\": false, \"required\": "
		"[\"directory\"],\n"
		"       \"properties\": {\"directory\": " PATH_TEXT
		", \"recursive\": {\"type\": \"boolean\"}}},\n"
		"      {\"type\": \"object\", \"additionalProperties\": false, \"required\": [\"glob\"],\n"
		"       \"properties\": {\"glob\": " PATH_TEXT "}}\n"
		"    ]}"},
	[POLICY_T_FILES] = {"file", PATH_TEXT},
	[POLICY_T_CGROUPS] = {"cgroup", PATH_TEXT},
	[POLICY_T_GLOBS] = {"glob", "{\"type\": \"string\", \"minLength\": 1, \"maxLength\": 4095}"},
	[POLICY_T_NAMES] = {"module", "{\"type\": \"string\", \"pattern\": \"^[A-Za-z0-9_-]{1,55}$\"}"},
	[POLICY_T_IDS] = {"id", RANGE(4294967294)},
	[POLICY_T_PORTS] = {"port", RANGE(65535)},
	[POLICY_T_ADDRESSES] = {"address",
		"{\"type\": \"string\", \"pattern\": \"^[0-9a-fA-F:.]+(/[0-9]{1,3})?$\"}"},
};

static void print_types(FILE *out)
{
	for (size_t i = 0; i < POLICY_TYPES; i++)
		if (types[i].name)
			fprintf(out, "    \"%s\": %s,\n", types[i].name, types[i].element);
}

static void print_element(FILE *out, const struct policy_row *row)
{
	if (row->type == POLICY_T_WORDS)
		print_words_or_number(out, row->words);
	else
		fprintf(out, "{\"$ref\": \"#/$defs/%s\"}", types[row->type].name);
}

/* An element or a list of them. */
static void print_list(FILE *out, const struct policy_row *row)
{
	fputs("\"anyOf\": [", out);
	print_element(out, row);
	fprintf(out, ",\n        {\"type\": \"array\", \"minItems\": 1, \"maxItems\": %d, \"items\": ",
		POLICY_LIST_MAX);
	print_element(out, row);
	fputs("}", out);
}

static void print_namespaces(FILE *out)
{
	const char *sep = "";

	fputs("\"type\": \"object\", \"additionalProperties\": false, \"minProperties\": 1, \"properties\": "
	      "{",
		out);
	for (unsigned v = 0; v < policy_ns_kinds.n; v++) {
		fprintf(out, "%s\"%s\": {\"enum\": [\"host\", \"other\"]}", sep, policy_ns_kinds.name(v));
		sep = ", ";
	}
	fputs("}", out);
}

static void print_cond(FILE *out, const struct policy_row *row)
{
	fprintf(out, "        \"%s\": {\"description\": ", row->key);
	print_text(out, row->help);
	fputs(",\n        ", out);
	if (row->type == POLICY_T_TRUE) {
		fputs("\"const\": true", out);
	} else if (row->type == POLICY_T_NAMESPACES) {
		print_namespaces(out);
	} else {
		print_list(out, row);
		fputs(",\n        {\"type\": \"object\", \"additionalProperties\": false, \"required\": "
		      "[\"not\"], "
		      "\"properties\": {\"not\": {",
			out);
		print_list(out, row);
		fputs("]}}}]", out);
	}
	fputs("}", out);
}

static void print_conds(FILE *out, unsigned in)
{
	const char *sep = "";

	for (unsigned i = 0; i < POLICY_KEYS; i++) {
		if (!(policy_rows[i].in & in))
			continue;
		fputs(sep, out);
		print_cond(out, &policy_rows[i]);
		sep = ",\n";
	}
	fputs("\n      }", out);
}

/* ---- rules ---- */

static void print_ops(FILE *out, uint64_t ops)
{
	for (unsigned list = 0; list < 2; list++) {
		const char *sep = "";

		fputs(list ? ", {\"type\": \"array\", \"minItems\": 1, \"items\": {\"enum\": ["
			   : "{\"anyOf\": [{\"enum\": [",
			out);
		for (size_t i = 0; i < policy_n_ops; i++) {
			if (!(ops >> policy_ops[i].number & 1))
				continue;
			fprintf(out, "%s\"%s\"", sep, policy_ops[i].name);
			sep = ", ";
		}
		fputs("]}", out);
	}
	fputs("}]}", out);
}

/* Which operations can have a condition. */
static void print_asks(FILE *out)
{
	for (unsigned i = 0; i < PST_ASKS; i++) {
		fprintf(out,
			"        {\"if\": {\"required\": [\"%s\"]}, \"then\": {\"properties\": "
			"{\"operations\":\n         ",
			policy_rows[i].key);
		print_ops(out, policy_key_ops(i));
		fputs("}}},\n", out);
	}
}

static void print_rule(FILE *out)
{
	fputs("    \"rule\": {\n"
	      "      \"type\": \"object\", \"additionalProperties\": false, \"required\": [\"name\", "
	      "\"operations\", \"action\"],\n"
	      "      \"properties\": {\n"
	      "        \"name\": {\"type\": \"string\", \"pattern\": \"^[^\\u0000-\\u001f\\u007f]+$\", "
	      "\"maxLength\": " NUMBER(
		      POLICY_NAME_MAX) "},\n"
				       "        \"description\": {\"type\": \"string\", \"minLength\": 1, "
				       "\"maxLength\": 4096},\n"
				       "        \"operations\": ",
		out);
	print_ops(out, UINT64_MAX);
	fputs(",\n        \"action\": ", out);
	print_words(out, &policy_actions);
	fputs(",\n        \"errno\": ", out);
	print_words(out, &policy_errnos);
	fputs(",\n        \"rate\": {\"type\": \"string\", \"pattern\": "
	      "\"^[0-9]+/[0-9]+(ns|us|ms|s|m|h|d)$\"},\n",
		out);
	print_conds(out, POLICY_IN_RULE);
	fputs(",\n      \"allOf\": [\n", out);
	print_asks(out);
	fputs("        {\"if\": {\"required\": [\"errno\"]}, \"then\": {\"properties\": {\"action\": "
	      "{\"enum\": [\"deny\", "
	      "\"throttle\"]}}}},\n"
	      "        {\"if\": {\"required\": [\"arguments\"]}, \"then\": {\"properties\": {\"action\": "
	      "{\"not\": {\"enum\": "
	      "[\"deny\", \"throttle\"]}}}}},\n"
	      "        {\"if\": {\"properties\": {\"action\": {\"const\": \"throttle\"}}, \"required\": "
	      "[\"action\"]}, "
	      "\"then\": {\"required\": [\"rate\"]},\n"
	      "         \"else\": {\"properties\": {\"rate\": false}}}\n"
	      "      ]\n    },\n",
		out);
}

static void print_scope(FILE *out)
{
	fputs("    \"scope\": {\n"
	      "      \"type\": \"object\", \"additionalProperties\": false, \"minProperties\": 1,\n"
	      "      \"not\": {\"required\": [\"containers\", \"host\"]},\n"
	      "      \"properties\": {\n",
		out);
	print_conds(out, POLICY_IN_SCOPE);
	fputs("\n    },\n", out);
}

static void print_spec(FILE *out)
{
	fputs("    \"spec\": {\n"
	      "      \"type\": \"object\", \"additionalProperties\": false, \"required\": [\"rules\"],\n"
	      "      \"properties\": {\n"
	      "        \"mode\": ",
		out);
	print_words(out, &policy_modes);
	fputs(",\n        \"requires\": ", out);
	print_words(out, &policy_needs);
	fputs(",\n        \"scope\": {\"$ref\": \"#/$defs/scope\"},\n"
	      "        \"rules\": {\"type\": \"array\", \"minItems\": 1, \"maxItems\": " NUMBER(
		      POLICY_RULES_MAX) ", \"items\": {\"$ref\": \"#/$defs/rule\"}}\n"
					"      }\n    }\n",
		out);
}

void policy_schema_print(FILE *out)
{
	fputs("{\n"
	      "  \"$schema\": \"https://json-schema.org/draft/2020-12/schema\",\n"
	      "  \"title\": \"Penstock policy\",\n"
	      "  \"type\": \"object\", \"additionalProperties\": false, \"required\": [\"apiVersion\", "
	      "\"kind\", \"metadata\", "
	      "\"spec\"],\n"
	      "  \"properties\": {\n"
	      "    \"apiVersion\": {\"const\": \"penstock.dev/v1\"},\n"
	      "    \"kind\": {\"const\": \"Policy\"},\n"
	      "    \"metadata\": {\n"
	      "      \"type\": \"object\", \"additionalProperties\": false, \"required\": [\"name\"],\n"
	      "      \"properties\": {\n"
	      "        \"name\": {\"type\": \"string\", \"maxLength\": " NUMBER(
		      POLICY_NAME_MAX) ", \"pattern\": \"^[a-z0-9]([a-z0-9-]*[a-z0-9])?$\"},\n"
				       "        \"labels\": {\"$ref\": \"#/$defs/texts\"},\n"
				       "        \"annotations\": {\"$ref\": \"#/$defs/texts\"}\n"
				       "      }\n    },\n"
				       "    \"spec\": {\"$ref\": \"#/$defs/spec\"}\n"
				       "  },\n"
				       "  \"$defs\": {\n"
				       "    \"texts\": {\"type\": \"object\", \"maxProperties\": 64, "
				       "\"additionalProperties\": {\"type\": \"string\", \"maxLength\": "
				       "4096}},\n",
		out);
	print_types(out);
	print_rule(out);
	print_scope(out);
	print_spec(out);
	fputs("  }\n}\n", out);
}
