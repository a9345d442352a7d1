// SPDX-License-Identifier: Apache-2.0
/* `penstock probe`: the loader's own program knows best. */
#include <errno.h>
#include <stdio.h>

#include "cli/commands.h"
#include "cli/run.h"
#include "proto/base/cleanup.h"

static struct {
	const char *bindir;
	bool json;
} opt;

const struct pst_arg probe_options[] = {
	{"json", 'j', PST_ARG_FLAG, &opt.json, NULL, "for machines"},
	{"bindir", 0, PST_ARG_STR, &opt.bindir, "DIR", "folder of the programs (default: that of penstock)"},
	{0},
};

int probe_main(int argc, char **argv)
{
	const struct pst_args args = {.program = "penstock probe",
		.summary = "What this kernel can do: features, sensors and their rungs, and why not more.",
		.options = probe_options,
		.examples = "  sudo penstock probe\n  sudo penstock probe --json | jq .sensors\n"};
	const char *forward[] = {"probe", NULL, NULL};
	int e = pst_args_parse(&args, argc, argv);

	if (e)
		return e == -ECANCELED ? PST_EXIT_OK : PST_EXIT_USAGE;
	if (opt.json)
		forward[1] = "--json";
	e = run_stage(opt.bindir, "loader", forward, -1, NULL);
	return e < 0 ? PST_EXIT_SYSTEM : e;
}
