// SPDX-License-Identifier: Apache-2.0
/* `penstock fw sets`, `add-element`, `delete-element`: asked of policyd. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "cli/ask.h"
#include "cli/cli.h"
#include "cli/commands.h"
#include "proto/base/cleanup.h"

#define ELEMENTS_MAX 1000 /* in one change: a request is at most 64 KiB */
#define ELEMENT_MAX  63

static struct {
	const char *run_dir, *file;
	bool json;
} opt;

#define RUN_DIR                                                                                              \
	{                                                                                                    \
		"run-dir", 0, PST_ARG_STR, &opt.run_dir, "DIR", "folder of the sockets"                      \
	}

/* ---- sets ---- */

const struct pst_arg fw_sets_options[] = {
	{"json", 'j', PST_ARG_FLAG, &opt.json, NULL, "one JSON object"},
	RUN_DIR,
	{0},
};

static const char *text_at(const json_t *row, size_t i)
{
	return cli_safe(ask_text_at(row, i));
}

static void print_sets(const json_t *reply)
{
	size_t i, shown = json_array_size(json_object_get(reply, "changes"));
	long long total = json_integer_value(json_object_get(reply, "total"));
	const json_t *row;

	json_array_foreach(json_object_get(reply, "sets"), i, row)
	{
		printf("%-24s %8lld ", text_at(row, 0), ask_number_at(row, 2));
		puts(*text_at(row, 1) ? text_at(row, 1) : "elements");
	}
	if (!json_array_size(json_object_get(reply, "sets")))
		puts("the firewall has no sets");
	if (total)
		printf("by command: %lld%s\n", total, (long long)shown < total ? ", the last of them" : "");
	json_array_foreach(json_object_get(reply, "changes"), i, row)
	{
		printf("  %-24s ", text_at(row, 0));
		printf("%-8s ", text_at(row, 1));
		printf("%s%s\n", text_at(row, 2),
			json_is_true(json_array_get(row, 3)) ? "" : "  (changes nothing now)");
	}
}

static int print_json(json_t *reply)
{
	static const char *const set[] = {"name", "holds", "elements"};
	static const char *const change[] = {"set", "change", "element", "counts"};

	json_object_set_new(
		reply, "sets", ask_named(json_object_get(reply, "sets"), set, PST_ARRAY_SIZE(set)));
	json_object_set_new(reply, "changes",
		ask_named(json_object_get(reply, "changes"), change, PST_ARRAY_SIZE(change)));
	return ask_print_json(reply);
}

int fw_sets_main(int argc, char **argv)
{
	const struct pst_args args = {.program = "penstock fw sets",
		.summary = "The firewall's sets, and what commands have changed about them.",
		.options = fw_sets_options,
		.examples = "  penstock fw sets\n  penstock fw sets --json | jq '.sets[].name'\n"};
	PST_CLEANUP(pst_buf_done) struct pst_buf request = {0};
	int n = pst_args_parse(&args, argc, argv);
	json_t *reply;

	if (n)
		return n == -ECANCELED ? PST_EXIT_OK : PST_EXIT_USAGE;
	pst_mp_map(&request, 1);
	pst_mp_str(&request, "op");
	pst_mp_str(&request, "firewall_sets");
	reply = ask_policyd(args.program, opt.run_dir, &request, "sets");
	if (!reply)
		return PST_EXIT_SYSTEM;
	if (opt.json)
		return print_json(reply);
	print_sets(reply);
	json_decref(reply);
	return fflush(stdout) || ferror(stdout) ? PST_EXIT_SYSTEM : PST_EXIT_OK;
}

/* ---- add-element, delete-element ---- */

#define FROM_FILE                                                                                            \
	{                                                                                                    \
		"file", 'f', PST_ARG_STR, &opt.file, "FILE", "elements, one a line; - is standard input"     \
	}

const struct pst_arg fw_add_element_options[] = {FROM_FILE, RUN_DIR, {0}};
const struct pst_arg fw_delete_element_options[] = {FROM_FILE, RUN_DIR, {0}};

struct elements {
	struct pst_buf packed;
	uint32_t n;
};

static int add(const char *program, struct elements *elements, const char *text)
{
	if (strlen(text) > ELEMENT_MAX || elements->n == ELEMENTS_MAX) {
		fprintf(stderr, "%s: %.64s: expected at most %d elements of at most %d bytes\n", program,
			cli_safe(text), ELEMENTS_MAX, ELEMENT_MAX);
		return PST_EXIT_USAGE;
	}
	elements->n++;
	pst_mp_str(&elements->packed, text);
	return 0;
}

/* What is behind a # is for people. */
static int add_lines(const char *program, struct elements *elements, FILE *in)
{
	char line[1024];
	int r = 0;

	while (!r && fgets(line, sizeof(line), in)) {
		char *word = line + strspn(line, " \t\r\n");

		word[strcspn(word, " \t\r\n#")] = '\0';
		if (*word)
			r = add(program, elements, word);
	}
	if (!r && ferror(in)) {
		fprintf(stderr, "%s: %s: %s\n", program, opt.file, strerror(errno));
		r = PST_EXIT_SYSTEM;
	}
	return r;
}

static int add_file(const char *program, struct elements *elements)
{
	FILE *in = !strcmp(opt.file, "-") ? stdin : fopen(opt.file, "re");
	int r;

	if (!in) {
		fprintf(stderr, "%s: %s: %s\n", program, opt.file, strerror(errno));
		return PST_EXIT_SYSTEM;
	}
	r = add_lines(program, elements, in);
	if (in != stdin)
		fclose(in);
	return r;
}

static int take_elements(const struct pst_args *args, int n, char **argv, struct elements *elements)
{
	int r = 0;

	for (int i = 2; i <= n && !r; i++)
		r = add(args->program, elements, argv[i]);
	if (!r && opt.file)
		r = add_file(args->program, elements);
	if (r || elements->n)
		return r;
	fprintf(stderr, "%s: expected %s, or --file with elements\nTry '%s --help'.\n", args->program,
		args->positional, args->program);
	return PST_EXIT_USAGE;
}

static int change(const struct pst_args *args, const char *key, int argc, char **argv)
{
	PST_CLEANUP(pst_buf_done) struct pst_buf request = {0};
	struct elements elements = {0};
	int n = pst_args_parse(args, argc, argv), r;

	if (n < 0)
		return n == -ECANCELED ? PST_EXIT_OK : PST_EXIT_USAGE;
	r = take_elements(args, n, argv, &elements);
	if (!r) {
		pst_mp_map(&request, 3);
		pst_mp_str(&request, "op");
		pst_mp_str(&request, "firewall_set");
		pst_mp_str(&request, "set");
		pst_mp_str(&request, argv[1]);
		pst_mp_str(&request, key);
		pst_mp_array(&request, elements.n);
		pst_mp_raw(&request, elements.packed.p, elements.packed.len);
		r = ask_change(args->program, opt.run_dir, &request);
	}
	pst_buf_done(&elements.packed);
	return r;
}

int fw_add_element_main(int argc, char **argv)
{
	const struct pst_args args = {.program = "penstock fw add-element",
		.summary = "Puts elements into a set of the firewall's file: all at once, or none. They stay "
			   "until they are deleted or the host starts anew. What is there already stays.",
		.positional = "SET ELEMENT ...",
		.options = fw_add_element_options,
		.examples = "  penstock fw add-element office 192.0.2.7 198.51.100.0/24\n"
			    "  penstock fw add-element services '[2001:db8::1]:443'\n"
			    "  penstock fw add-element office --file addresses.txt\n"};

	return change(&args, "add", argc, argv);
}

int fw_delete_element_main(int argc, char **argv)
{
	const struct pst_args args = {.program = "penstock fw delete-element",
		.summary = "Takes elements out of a set, those of the file too: all at once, or none.",
		.positional = "SET ELEMENT ...",
		.options = fw_delete_element_options,
		.examples = "  penstock fw delete-element office 192.0.2.7\n"};

	return change(&args, "delete", argc, argv);
}
