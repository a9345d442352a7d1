/* SPDX-License-Identifier: Apache-2.0 */
/* The `penstock` command: one file a subcommand, a table in main.c. */
#ifndef CLI_CLI_H
#define CLI_CLI_H

#include <stdbool.h>
#include <stdio.h>

#include "proto/base/args.h"

struct command {
	const char *name, *summary;
	int (*run)(int argc, char **argv); /* argv[0] is the subcommand; returns the exit code */
	const struct pst_arg *options;     /* for the completion */
	const struct command *subs;        /* subcommands, ends with name NULL; or NULL */
};

/* Runs the one of @subs that argv[1] names. @program: "penstock fw". */
int cli_sub_main(const char *program, const char *summary, const char *examples, const struct command *subs,
	int argc, char **argv);

extern const struct command cli_commands[], fw_commands[], ddos_commands[],
	policy_commands[]; /* end with name NULL */

/* Folders, from the option, else the environment, else the default. */
const char *cli_run_dir(const char *from_option);
const char *cli_bpffs(const char *from_option);
/* Folder of the stages' binaries: the option, else that of this program. Owned. */
char *cli_bindir(const char *from_option);
bool cli_colour(FILE *to); /* a terminal, and NO_COLOR is not set */
/* Where stdout goes, as a descriptor of our own: on a terminal, writing to it never waits. -1 if it cannot be
 * had. */
int cli_stdout_open(void);
/* What others wrote, for a terminal: control characters and the like escaped. Good until the eighth call
 * after. */
const char *cli_safe(const char *text);
/* Likewise of a whole message: quotes stay as they are. */
const char *cli_message(const char *text);

#endif
