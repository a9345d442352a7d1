// SPDX-License-Identifier: Apache-2.0
#include "policyd/policy/tool.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "policyd/foreign/foreign.h"
#include "policyd/policy/act.h"
#include "policyd/policy/report.h"
#include "policyd/policy/schema.h"
#include "policyd/policy/tables.h"
#include "proto/base/args.h"
#include "proto/base/cleanup.h"

#define CHECKED_ACTS 5000 /* at most */

#define EXIT_HELD 1 /* the act would be throttled, denied or killed */

static struct {
	bool json;
	const char *act;
} opt;

static const struct pst_arg check_options[] = {
	{"json", 'j', PST_ARG_FLAG, &opt.json, NULL, "one JSON object"},
	{0},
};

static const struct pst_arg test_options[] = {
	{"act", 'a', PST_ARG_STR, &opt.act, "ACT", "what is done, and by whom, as YAML or JSON"},
	{"json", 'j', PST_ARG_FLAG, &opt.json, NULL, "one JSON object"},
	{0},
};

static const struct pst_arg no_options[] = {{0}};

static int flushed(int code)
{
	return fflush(stdout) || ferror(stdout) ? PST_EXIT_SYSTEM : code;
}

/* All files, each with its errors and warnings in the report. */
static int read_all(char **paths, int n, struct policy_set *set, struct policy_report *report)
{
	const struct pst_strs named = {.v = paths, .n = (size_t)n};
	struct pst_strs files = {0};
	struct pst_conf_errors errors = {0}, warnings = {0};
	int e = policy_files(&named, &errors, &files);

	policy_report_add(report, NULL, &errors, &warnings);
	for (size_t i = 0; i < files.n && e != -ENOMEM; i++) {
		int k = policy_read(set, files.v[i], &errors, &warnings);

		policy_report_add(report, files.v[i], &errors, &warnings);
		e = e ? e : k;
	}
	pst_strs_done(&files);
	return e;
}

/* The file that the error speaks of. */
static const char *file_of(const struct policy_set *set, const struct pst_conf_errors *errors)
{
	for (size_t i = 0; i < set->n && errors->text; i++) {
		size_t len = strlen(set->v[i]->file);

		if (!strncmp(errors->text, set->v[i]->file, len) && errors->text[len] == ':')
			return set->v[i]->file;
	}
	return NULL;
}

/* The tables say what the policies do. */
static int prove(struct policy_tables *tables)
{
	PST_CLEANUP(pst_freep) struct policy_sample *sample = malloc(sizeof(*sample));
	size_t acts = CHECKED_ACTS;

	if (!sample)
		return -ENOMEM;
	if (policy_verify(tables, &acts, 1, sample))
		return 0;
	fprintf(stderr, "the tables that were made of the policies differ from them (%s): this is a bug\n",
		policy_op_name(sample->act.op) ? policy_op_name(sample->act.op) : "paths");
	return -EFAULT;
}

/* Can the kernel's tables hold them all? */
static int fits(const struct policy_set *set, struct policy_report *report)
{
	static const uint64_t seed[2] = {0x9e3779b97f4a7c15, 0xff51afd7ed558ccd}; /* in force nowhere */
	PST_CLEANUP(pst_freep) union pst_line *lines = calloc(PST_POL_LINES, sizeof(*lines));
	PST_CLEANUP(pst_freep) union pst_line *paths = calloc(PST_PATHS_LINES, sizeof(*paths));
	const struct policy_room room = {lines, paths, PST_POL_LINES, PST_PATHS_LINES};
	PST_CLEANUP(policy_tables_freep) struct policy_tables *tables = NULL;
	struct pst_conf_errors errors = {0}, warnings = {0};
	int e = lines && paths ? policy_compile(set, &room, 1, seed, &errors, &tables) : -ENOMEM;

	policy_report_add(report, file_of(set, &errors), &errors, &warnings);
	return e ? e : prove(tables);
}

static int code_of(int e)
{
	return e == -ENOMEM || e == -EFAULT ? PST_EXIT_SYSTEM : e ? PST_EXIT_USAGE : PST_EXIT_OK;
}

static int no_file(const struct pst_args *args)
{
	fprintf(stderr, "%s: expected files or folders of policies\nTry '%s --help'.\n", args->program,
		args->program);
	return PST_EXIT_USAGE;
}

static int check_main(int argc, char **argv)
{
	const struct pst_args args = {.program = "penstock-policyd policy check",
		.summary =
			"Says whether policies are good, and if not, where and why. Puts nothing in force.",
		.positional = "FILE...",
		.options = check_options,
		.examples = "  penstock-policyd policy check policies/\n"};
	PST_CLEANUP(policy_report_done) struct policy_report report = {0};
	PST_CLEANUP(policy_set_done) struct policy_set set = {0};
	int n = pst_args_parse(&args, argc, argv), e;

	if (n < 0)
		return n == -ECANCELED ? PST_EXIT_OK : PST_EXIT_USAGE;
	if (!n)
		return no_file(&args);
	report.json = opt.json;
	e = read_all(argv + 1, n, &set, &report);
	e = e ? e : fits(&set, &report);
	if (opt.json)
		policy_report_json(&report, e ? NULL : &set);
	else if (!e)
		printf("%zu %s, %zu %s: good\n", set.n, set.n == 1 ? "policy" : "policies", set.n_rules,
			set.n_rules == 1 ? "rule" : "rules");
	return flushed(code_of(e));
}

static int schema_main(int argc, char **argv)
{
	const struct pst_args args = {.program = "penstock-policyd policy schema",
		.summary = "Prints the JSON Schema of policies.",
		.options = no_options,
		.examples = "  penstock-policyd policy schema > policy.schema.json\n"};
	int n = pst_args_parse(&args, argc, argv);

	if (n)
		return n == -ECANCELED ? PST_EXIT_OK : PST_EXIT_USAGE;
	policy_schema_print(stdout);
	return flushed(PST_EXIT_OK);
}

static int judge(const struct policy_set *set)
{
	struct pst_conf_errors errors = {0};
	struct policy_act_text act;
	enum pst_pol_action action;

	if (policy_act_parse(opt.act, &errors, &act)) {
		fputs(errors.text ? errors.text : "out of memory\n", stderr);
		pst_conf_errors_done(&errors);
		return PST_EXIT_USAGE;
	}
	action = policy_report_verdict(set, &act.act, opt.json);
	policy_act_done(&act);
	return flushed(action >= PST_ACT_THROTTLE ? EXIT_HELD : PST_EXIT_OK);
}

static int test_main(int argc, char **argv)
{
	const struct pst_args args = {.program = "penstock-policyd policy test",
		.summary = "Says what policies would do about an act, and which rule says so. Puts nothing "
			   "in force.",
		.positional = "FILE...",
		.options = test_options,
		.examples = "  penstock-policyd policy test --act '{operation: file.open, path: /etc/shadow, "
			    "uid: 33}' policies/\n"};
	PST_CLEANUP(policy_report_done) struct policy_report report = {0};
	PST_CLEANUP(policy_set_done) struct policy_set set = {0};
	int n = pst_args_parse(&args, argc, argv), e;

	if (n < 0)
		return n == -ECANCELED ? PST_EXIT_OK : PST_EXIT_USAGE;
	if (!n)
		return no_file(&args);
	if (!opt.act) {
		fprintf(stderr, "%s: expected --act ACT\nTry '%s --help'.\n", args.program, args.program);
		return PST_EXIT_USAGE;
	}
	e = read_all(argv + 1, n, &set, &report);
	return e ? code_of(e) : judge(&set);
}

int policy_tool_main(int argc, char **argv)
{
	static const struct {
		const char *name;
		int (*run)(int argc, char **argv);
	} subs[] = {{"check", check_main}, {"import", foreign_main}, {"schema", schema_main},
		{"test", test_main}};

	for (size_t i = 0; argc > 1 && i < PST_ARRAY_SIZE(subs); i++)
		if (!strcmp(argv[1], subs[i].name))
			return subs[i].run(argc - 1, argv + 1);
	fputs("penstock-policyd policy: expected check, import, schema or test\n", stderr);
	return PST_EXIT_USAGE;
}
