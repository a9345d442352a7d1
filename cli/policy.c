// SPDX-License-Identifier: Apache-2.0
/* `penstock policy check`, `import`, `schema`, `test`: policyd's own program knows best. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "cli/cli.h"
#include "cli/commands.h"
#include "cli/run.h"
#include "proto/base/cleanup.h"

static struct {
	const char *bindir, *act, *cgroup, *posture;
	bool json, strict;
} opt;

#define JSON                                                                                                 \
	{                                                                                                    \
		"json", 'j', PST_ARG_FLAG, &opt.json, NULL, "one JSON object"                                \
	}
#define BINDIR                                                                                               \
	{                                                                                                    \
		"bindir", 0, PST_ARG_STR, &opt.bindir, "DIR",                                                \
			"folder of the programs (default: that of penstock)"                                 \
	}

static const struct pst_arg check_options[] = {JSON, BINDIR, {0}};
static const struct pst_arg import_options[] = {{"cgroup", 0, PST_ARG_STR, &opt.cgroup, "GLOB",
							"control groups of the pods that the originals "
							"select (default: all containers, in mode audit)"},
	{"posture", 0, PST_ARG_STR, &opt.posture, "WORD",
		"what KubeArmor's Allow do not name: audit (default) or block"},
	{"strict", 's', PST_ARG_FLAG, &opt.strict, NULL, "write nothing unless all is expressed exactly"},
	BINDIR, {0}};
static const struct pst_arg schema_options[] = {BINDIR, {0}};
static const struct pst_arg test_options[] = {
	{"act", 'a', PST_ARG_STR, &opt.act, "ACT", "what is done, and by whom, as YAML or JSON"}, JSON,
	BINDIR, {0}};

static void add_option(const char **args, size_t *k, const char *name, const char *value)
{
	if (!value)
		return;
	args[(*k)++] = name;
	args[(*k)++] = value;
}

/* With the files behind the options, whatever their names look like. */
static int forward(const char *sub, char **files, int n)
{
	PST_FREE const char **args = calloc((size_t)n + 12, sizeof(*args));
	size_t k = 0;
	int e;

	if (!args)
		return PST_EXIT_SYSTEM;
	args[k++] = "policy";
	args[k++] = sub;
	if (opt.json)
		args[k++] = "--json";
	if (opt.strict)
		args[k++] = "--strict";
	add_option(args, &k, "--act", opt.act);
	add_option(args, &k, "--cgroup", opt.cgroup);
	add_option(args, &k, "--posture", opt.posture);
	if (n)
		args[k++] = "--";
	for (int i = 0; i < n; i++)
		args[k++] = files[i];
	e = run_stage(opt.bindir, "policyd", args, -1, NULL);
	return e < 0 ? PST_EXIT_SYSTEM : e;
}

static int no_file(const struct pst_args *args)
{
	fprintf(stderr, "%s: expected files or folders of policies\nTry '%s --help'.\n", args->program,
		args->program);
	return PST_EXIT_USAGE;
}

static int check_main(int argc, char **argv)
{
	const struct pst_args args = {.program = "penstock policy check",
		.summary =
			"Says whether policies are good, and if not, where and why. Puts nothing in force.",
		.positional = "FILE...",
		.options = check_options,
		.examples = "  penstock policy check policy.yaml\n"
			    "  penstock policy check --json policies/ | jq .errors\n"};
	int n = pst_args_parse(&args, argc, argv);

	if (n < 0)
		return n == -ECANCELED ? PST_EXIT_OK : PST_EXIT_USAGE;
	return n ? forward("check", argv + 1, n) : no_file(&args);
}

static int import_main(int argc, char **argv)
{
	const struct pst_args args = {.program = "penstock policy import",
		.summary = "Prints policies of KubeArmor and Tetragon as Penstock's, and tells what is left "
			   "out and why.",
		.positional = "FILE...",
		.options = import_options,
		.examples = "  penstock policy import tracing.yaml > policies/tracing.yaml\n"
			    "  kubectl get ksp -A -o yaml | penstock policy import - > policies/pods.yaml\n"
			    "  penstock policy import --strict --cgroup '/kubepods.slice/**' ksp/\n"};
	int n = pst_args_parse(&args, argc, argv);

	if (n < 0)
		return n == -ECANCELED ? PST_EXIT_OK : PST_EXIT_USAGE;
	return n ? forward("import", argv + 1, n) : no_file(&args);
}

static int schema_main(int argc, char **argv)
{
	const struct pst_args args = {.program = "penstock policy schema",
		.summary = "Prints the JSON Schema of policies, for editors and for checks elsewhere.",
		.options = schema_options,
		.examples = "  penstock policy schema > policy.schema.json\n"};
	int n = pst_args_parse(&args, argc, argv);

	if (n)
		return n == -ECANCELED ? PST_EXIT_OK : PST_EXIT_USAGE;
	return forward("schema", NULL, 0);
}

static int test_main(int argc, char **argv)
{
	const struct pst_args args = {.program = "penstock policy test",
		.summary =
			"Says what policies would do about an act, and which rule says so. Puts nothing in "
			"force.",
		.positional = "FILE...",
		.options = test_options,
		.examples =
			"  penstock policy test --act '{operation: file.open, path: /etc/shadow, uid: 33}' "
			"policies/\n"};
	int n = pst_args_parse(&args, argc, argv);

	if (n < 0)
		return n == -ECANCELED ? PST_EXIT_OK : PST_EXIT_USAGE;
	if (!n)
		return no_file(&args);
	if (!opt.act) {
		fprintf(stderr, "%s: expected --act ACT\nTry '%s --help'.\n", args.program, args.program);
		return PST_EXIT_USAGE;
	}
	return forward("test", argv + 1, n);
}

const struct command policy_commands[] = {
	{"apply", "puts policies in force", policy_apply_main, policy_apply_options, NULL},
	{"check", "whether policies are good, and if not, why", check_main, check_options, NULL},
	{"confirm", "what was applied for a time stays", policy_confirm_main, policy_confirm_options, NULL},
	{"delete", "takes policies out", policy_delete_main, policy_delete_options, NULL},
	{"import", "policies of KubeArmor and Tetragon as Penstock's", import_main, import_options, NULL},
	{"list", "policies and their modes", policy_list_main, policy_list_options, NULL},
	{"mode", "switches a policy to enforce, audit or off", policy_mode_main, policy_mode_options, NULL},
	{"rollback", "back to the policies before the last change", policy_rollback_main,
		policy_rollback_options, NULL},
	{"schema", "the JSON Schema of policies", schema_main, schema_options, NULL},
	{"show", "a policy's rules and what becomes of them", policy_show_main, policy_show_options, NULL},
	{"test", "what policies would do about an act", test_main, test_options, NULL},
	{0},
};

int policy_main(int argc, char **argv)
{
	return cli_sub_main("penstock policy",
		"Policies on what processes do: put in force, looked at, tried out (docs/policies.md).",
		"  penstock policy check policies/\n"
		"  penstock policy apply --for 5m policies/\n"
		"  penstock policy test --act '{operation: cap.use, capabilities: [CAP_SYS_ADMIN]}' "
		"policies/\n",
		policy_commands, argc, argv);
}
