// SPDX-License-Identifier: Apache-2.0
/*
 * Prints what the schema says: `schema_doc --markdown` the reference page docs/events.md, `schema_doc --json`
 * the machine-readable proto/wire/schema.json, for stages in other languages.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/base/cleanup.h"
#include "proto/wire/json.h"
#include "proto/wire/names.h"

struct name {
	const char *name, *help;
};

static const struct name types[] = {
	[PST_T_U] = {"uint", "unsigned integer, at most 64 bits"},
	[PST_T_I] = {"int", "signed integer, at most 64 bits"},
	[PST_T_S] = {"bytes",
		"`bin` of at most 4,096 bytes; mostly text, but from the kernel: it may be anything"},
	[PST_T_A] = {"address", "`bin` of 4 (IPv4) or 16 bytes (IPv6), in network order; empty: none"},
	[PST_T_L] = {"list", "array of `bin`, each of at most 4,096 bytes"},
	[PST_T_P] = {"processes", "array of `[pid, start_ns, exe]`"},
};

/* Help: how people see it, and what JSON has. */
static const struct name formats[] = {
	[PST_FMT_NUM] = {"num", "a number"},
	[PST_FMT_NS] = {"ns", "a duration in nanoseconds; text: `1.5ms`, `1m30s`; JSON: the number"},
	[PST_FMT_TIME] = {"time",
		"CLOCK_BOOTTIME in nanoseconds; text: seconds since boot; JSON: the number"},
	[PST_FMT_BYTES] = {"size", "a number of bytes; text: `1.5KiB`; JSON: the number"},
	[PST_FMT_STR] = {"str", "text as it is"},
	[PST_FMT_PROTO] = {"protocol", "IP protocol by name; JSON: a string, for others the number in it"},
	[PST_FMT_DIR] = {"direction", "by name"},
	[PST_FMT_ERRNO] = {"errno", "`ECONNREFUSED`; JSON: a string, for those without a name the number in "
				    "it; 0: no error, left out"},
	[PST_FMT_SIGNAL] = {"signal", "`SIGKILL`; JSON: a string; 0: none, left out"},
	[PST_FMT_CAPS] = {"capabilities",
		"set of capabilities; text: `CAP_CHOWN|CAP_KILL` or `all`; JSON: an array of names"},
	[PST_FMT_TCPFLAGS] = {"tcp_flags", "text: `SYN|ACK`; JSON: an array of names"},
	[PST_FMT_TCPSTATE] = {"tcp_state", "by name"},
	[PST_FMT_FAMILY] = {"family", "address family by name"},
	[PST_FMT_DEV] = {"device", "major number << 20 | minor number; text and JSON: `\"8:1\"`"},
	[PST_FMT_EXECFLAGS] = {"exec_flags", "text: joined by `|`; JSON: an array of names"},
	[PST_FMT_ID] = {"id", "of a user or group. 0 is root's and so is never left out, except where there "
			      "is no process (`pid` 0); "
			      "4294967295: unset, left out"},
	[PST_FMT_SEVERITY] = {"severity", "by name; never left out of an alert"},
	[PST_FMT_BOOL] = {"bool", "0 or 1; JSON: `true`, left out when false"},
	[PST_FMT_HEX] = {"hex", "text and JSON: `\"0x1f\"`"},
	[PST_FMT_CREDFLAGS] = {"cred_flags", "text: joined by `|`; JSON: an array of names"},
	[PST_FMT_CODE] = {"code", "a number of which 0 says something: never left out"},
	[PST_FMT_FILEFLAGS] = {"file_flags", "text: joined by `|`; JSON: an array of names"},
	[PST_FMT_ACCESS] = {"access", "text: joined by `|`; JSON: an array of names"},
	[PST_FMT_PATHODD] = {"path_odd", "text: joined by `|`; JSON: an array of names"},
};

static const char *const topic_help[PST_TOPICS] = {
	[PST_TOPIC_PROC] = "processes",
	[PST_TOPIC_FILE] =
		"files; no kind uses it yet: `file_*` are among what their processes do, in `proc`",
	[PST_TOPIC_NET] = "sockets and packets",
	[PST_TOPIC_FLOW] = "flows",
	[PST_TOPIC_L7] = "requests of application protocols; no kind uses it yet",
	[PST_TOPIC_COUNT] = "counters; no kind uses it yet",
	[PST_TOPIC_ALERT] = "events of any kind to which policyd has added its array",
	[PST_TOPIC_META] = "about the pipeline itself",
};

/* ---- Markdown ---- */

/* In a cell of a table. */
static void put_cell(const char *text)
{
	for (; *text; text++) {
		if (*text == '|')
			putchar('\\');
		putchar(*text);
	}
}

static void put_fields(const struct pst_field *fields, size_t n)
{
	puts("\n| # | field | type | format | meaning |\n|---|---|---|---|---|");
	for (size_t i = 0; i < n; i++) {
		const struct pst_field *f = &fields[i];

		printf("| %zu | `%s` | %s | %s | ", i, f->name, types[f->type].name, formats[f->format].name);
		put_cell(f->help);
		puts(" |");
	}
}

/* The names of a format, in order of their numbers. */
static void put_names(enum pst_field_format format)
{
	unsigned n;
	const char *const *bits = pst_name_bits(format, &n);
	bool first = true;

	for (unsigned v = 0; v < (bits ? n : 256); v++) {
		const char *name = bits ? bits[v] : pst_name_of(format, v);

		if (!name)
			continue;
		printf("%s`%s` %u", first ? ". " : ", ", name, v);
		first = false;
	}
	if (!first && bits)
		printf(" (bits)");
}

static bool has_short_list(enum pst_field_format format)
{
	return format != PST_FMT_ERRNO && format != PST_FMT_SIGNAL && format != PST_FMT_BOOL;
}

static void put_kind(const struct pst_kind *kind)
{
	printf("\n### %s\n\nKind %u, topic `%s`: %s.\n", kind->name, kind->id, pst_topic_name(kind->topic),
		kind->help);
	put_fields(kind->fields, kind->n_fields);
}

static void put_intro(void)
{
	puts("# Events\n"
	     "\n"
	     "<!-- Made from proto/wire/schema.def by `make docs-update`; do not edit. -->\n"
	     "\n"
	     "An event on the bus is the msgpack array `[kind, ts_ns, [sensor's fields], [enricher's "
	     "fields], [policyd's fields]]`; a stage that has not\n"
	     "seen it has not added its array. Fields are positional, in the order of the tables below. An "
	     "array may be shorter (what is missing has the\n"
	     "default: 0 or empty) or longer (what a reader does not know it passes over); fields are only "
	     "ever appended. `ts_ns` is CLOCK_BOOTTIME;\n"
	     "`wall_offset_ns` of the latest `node_info` makes it Unix time.\n"
	     "\n"
	     "In JSON an event is one object: `kind` (its name, or `unknown` and `kind_id`), `time` (RFC "
	     "3339, UTC, nanoseconds), `ts_ns`, and then every\n"
	     "field that is not empty under its name. **Left out** is what is empty: numbers that are 0, "
	     "empty text, lists without elements. So `error`\n"
	     "is missing when a `tcp_connect` succeeded, and `signal` when a process exited by itself; the "
	     "formats `id`, `code` and `severity` say when\n"
	     "they are left out. Where two stages have a field of one name, the sensor's counts unless it is "
	     "empty. Text that is no valid UTF-8 has U+FFFD\n"
	     "in the places that are not, and its bytes in base64 under `<name>_b64`. Integers have up to 64 "
	     "bits: read them with a parser that keeps\n"
	     "them (Python, jq from 1.7 on).\n");
	printf("The same in a form for programs: `proto/wire/schema.json`. Version of the wire format: %d.\n",
		PST_WIRE_VERSION);
}

static void print_markdown(void)
{
	put_intro();
	puts("\n## Topics\n\n| topic | what |\n|---|---|");
	for (int t = 0; t < PST_TOPICS; t++)
		printf("| `%s` | %s |\n", pst_topic_name((enum pst_topic)t), topic_help[t]);
	puts("\n## Types\n\n| type | on the wire |\n|---|---|");
	for (size_t i = 0; i < PST_ARRAY_SIZE(types); i++) {
		printf("| %s | ", types[i].name);
		put_cell(types[i].help);
		puts(" |");
	}
	puts("\n## Formats\n\n| format | how it is shown |\n|---|---|");
	for (size_t i = 0; i < PST_ARRAY_SIZE(formats); i++) {
		printf("| %s | ", formats[i].name);
		put_cell(formats[i].help);
		if (has_short_list((enum pst_field_format)i))
			put_names((enum pst_field_format)i);
		puts(" |");
	}
	puts("\n## Kinds");
	for (size_t k = 0; k < pst_n_kinds; k++)
		put_kind(&pst_kinds[k]);
	puts("\n## What the enricher adds\n\nThe same for every kind.");
	put_fields(pst_enricher_fields, PST_ENR_N);
	puts("\n## What policyd adds\n\nOn the topic `alert`. An event with a `rule` is an alert.");
	put_fields(pst_policyd_fields, PST_POL_N);
}

/* ---- JSON ---- */

static struct pst_buf out;

static void js(const char *raw)
{
	pst_json_raw(&out, raw);
}
static void js_str(const char *text)
{
	pst_json_str(&out, text, strlen(text));
}
static void js_pair(const char *key, const char *text, const char *after)
{
	js_str(key);
	js(": ");
	js_str(text);
	js(after);
}

static void js_fields(const struct pst_field *fields, size_t n, const char *indent)
{
	js("[\n");
	for (size_t i = 0; i < n; i++) {
		js(indent);
		js("\t{");
		js_pair("name", fields[i].name, ", ");
		js_pair("type", types[fields[i].type].name, ", ");
		js_pair("format", formats[fields[i].format].name, ", ");
		js_pair("help", fields[i].help, i + 1 < n ? "},\n" : "}\n");
	}
	js(indent);
	js("]");
}

static void js_names(enum pst_field_format format)
{
	unsigned n;
	const char *const *bits = pst_name_bits(format, &n);
	bool first = true;

	js(bits ? "\"bits\": [" : "\"names\": {");
	for (unsigned v = 0; v < (bits ? n : 256); v++) {
		const char *name = bits ? bits[v] : pst_name_of(format, v);

		if (!name)
			continue;
		if (!first)
			js(", ");
		first = false;
		if (!bits) {
			char key[16];

			snprintf(key, sizeof(key), "%u", v);
			js_pair(key, name, "");
		} else {
			js_str(name);
		}
	}
	js(bits ? "]" : "}");
}

static void js_formats(void)
{
	unsigned n;

	js("\t\"formats\": {\n");
	for (size_t i = 0; i < PST_ARRAY_SIZE(formats); i++) {
		enum pst_field_format f = (enum pst_field_format)i;
		bool named = pst_name_of(f, 1) || pst_name_of(f, 2) || pst_name_bits(f, &n);

		js("\t\t");
		js_str(formats[i].name);
		js(": {");
		js_pair("help", formats[i].help, named ? ", " : "");
		if (named)
			js_names(f);
		js(i + 1 < PST_ARRAY_SIZE(formats) ? "},\n" : "}\n");
	}
	js("\t},\n");
}

static void js_kinds(void)
{
	js("\t\"kinds\": [\n");
	for (size_t k = 0; k < pst_n_kinds; k++) {
		js("\t\t{\"id\": ");
		pst_json_uint(&out, pst_kinds[k].id);
		js(", ");
		js_pair("name", pst_kinds[k].name, ", ");
		js_pair("topic", pst_topic_name(pst_kinds[k].topic), ", ");
		js_pair("help", pst_kinds[k].help, ", \"fields\": ");
		js_fields(pst_kinds[k].fields, pst_kinds[k].n_fields, "\t\t");
		js(k + 1 < pst_n_kinds ? "},\n" : "}\n");
	}
	js("\t],\n");
}

static void print_json(void)
{
	js("{\n\t\"version\": ");
	pst_json_uint(&out, PST_WIRE_VERSION);
	js(",\n\t\"topics\": [");
	for (int t = 0; t < PST_TOPICS; t++) {
		js(t ? ", " : "");
		js_str(pst_topic_name((enum pst_topic)t));
	}
	js("],\n\t\"types\": {\n");
	for (size_t i = 0; i < PST_ARRAY_SIZE(types); i++) {
		js("\t\t");
		js_pair(types[i].name, types[i].help, i + 1 < PST_ARRAY_SIZE(types) ? ",\n" : "\n");
	}
	js("\t},\n");
	js_formats();
	js_kinds();
	js("\t\"enricher\": ");
	js_fields(pst_enricher_fields, PST_ENR_N, "\t");
	js(",\n\t\"policyd\": ");
	js_fields(pst_policyd_fields, PST_POL_N, "\t");
	js("\n}\n");
	fwrite(out.p, 1, out.len, stdout);
}

int main(int argc, char **argv)
{
	if (argc == 2 && !strcmp(argv[1], "--markdown")) {
		print_markdown();
	} else if (argc == 2 && !strcmp(argv[1], "--json")) {
		print_json();
	} else {
		fputs("usage: schema_doc --markdown|--json\n", stderr);
		return PST_EXIT_USAGE;
	}
	bool failed = out.failed;
	pst_buf_done(&out);
	return failed || fflush(stdout) || ferror(stdout) ? PST_EXIT_SYSTEM : PST_EXIT_OK;
}
