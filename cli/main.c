// SPDX-License-Identifier: Apache-2.0
/* penstock: the command for people. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/commands.h"
#include "proto/base/cleanup.h"
#include "proto/base/conf.h"

static void help(FILE *to)
{
	fputs("penstock - see and guard what happens on this host\n\nusage: penstock COMMAND "
	      "[OPTION]...\n\ncommands:\n",
		to);
	for (const struct command *c = cli_commands; c->name; c++)
		fprintf(to, "  %-12s %s\n", c->name, c->summary);
	fputs("\npenstock COMMAND --help shows a command's options and examples.\n"
	      "\nexamples:\n"
	      "  sudo penstock up                       all five processes here, events until Ctrl-C\n"
	      "  penstock status                        what runs, what each sensor can do here\n"
	      "  penstock observe --kind 'tcp_*'        events of TCP as they come\n"
	      "  penstock observe --last 100 -o jsonl   the last hundred as JSON lines\n",
		to);
}

static int unknown(const char *name)
{
	const char *names[64], *near;
	size_t n = 0;

	for (const struct command *c = cli_commands; c->name && n < PST_ARRAY_SIZE(names); c++)
		names[n++] = c->name;
	near = pst_conf_did_you_mean(name, names, n);
	fprintf(stderr, "penstock: unknown command \"%s\"%s%s%s; see penstock --help\n", name,
		near ? ", did you mean \"" : "", near ? near : "", near ? "\"?" : "");
	return PST_EXIT_USAGE;
}

int main(int argc, char **argv)
{
	if (argc < 2) {
		help(stderr);
		return PST_EXIT_USAGE;
	}
	if (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h") || !strcmp(argv[1], "help")) {
		help(stdout);
		return PST_EXIT_OK;
	}
	if (!strcmp(argv[1], "--version") || !strcmp(argv[1], "-V")) {
		puts("penstock " PST_VERSION);
		return PST_EXIT_OK;
	}
	for (const struct command *c = cli_commands; c->name; c++)
		if (!strcmp(c->name, argv[1]))
			return c->run(argc - 1, argv + 1);
	return unknown(argv[1]);
}
