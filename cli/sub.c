// SPDX-License-Identifier: Apache-2.0
/* Commands that have subcommands. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "cli/cli.h"
#include "proto/base/cleanup.h"
#include "proto/base/conf.h"

#define SUBS_MAX 16

static int unknown(const char *program, const struct command *subs, const char *name)
{
	const char *names[SUBS_MAX], *near;
	size_t n = 0;

	for (const struct command *c = subs; c->name && n < SUBS_MAX; c++)
		names[n++] = c->name;
	near = pst_conf_did_you_mean(name, names, n);
	fprintf(stderr, "%s: unknown subcommand \"%s\"%s%s%s\nTry '%s --help'.\n", program, cli_safe(name),
		near ? ", did you mean \"" : "", near ? near : "", near ? "\"?" : "", program);
	return PST_EXIT_USAGE;
}

static void help(const struct pst_args *args, const struct command *subs)
{
	size_t width = 0;

	for (const struct command *c = subs; c->name; c++)
		width = PST_MAX(width, strlen(c->name));
	printf("Usage: %s SUBCOMMAND [OPTION]...\n%s\n\nSubcommands:\n", args->program, args->summary);
	for (const struct command *c = subs; c->name; c++)
		printf("  %-*s  %s\n", (int)width, c->name, c->summary);
	printf("\nExamples:\n%s\n%s SUBCOMMAND --help shows a subcommand's options.\n", args->examples,
		args->program);
}

static bool is_help(const char *word)
{
	return !strcmp(word, "--help") || !strcmp(word, "-h") || !strcmp(word, "help");
}

int cli_sub_main(const char *program, const char *summary, const char *examples, const struct command *subs,
	int argc, char **argv)
{
	static const struct pst_arg none[] = {{0}};
	const struct pst_args args = {.program = program,
		.summary = summary,
		.positional = "SUBCOMMAND",
		.options = none,
		.examples = examples};
	int n;

	if (argc > 1 && is_help(argv[1])) {
		help(&args, subs);
		return PST_EXIT_OK;
	}
	for (const struct command *c = subs; c->name && argc > 1; c++)
		if (!strcmp(c->name, argv[1]))
			return c->run(argc - 1, argv + 1);
	/* before the options behind it, of which nothing is known */
	n = argc > 1 && *argv[1] != '-' ? 1 : pst_args_parse(&args, argc, argv);
	if (n > 0)
		return unknown(program, subs, argv[1]);
	if (n == -ECANCELED)
		return PST_EXIT_OK;
	if (!n)
		fprintf(stderr, "%s: expected a subcommand\nTry '%s --help'.\n", program, program);
	return PST_EXIT_USAGE;
}
