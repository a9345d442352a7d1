/* SPDX-License-Identifier: Apache-2.0 */
/* Command lines: one table gives the parser, --help and the shell completion. */
#ifndef PST_BASE_ARGS_H
#define PST_BASE_ARGS_H

#include <stdbool.h>
#include <stdint.h>

enum pst_arg_type {
	PST_ARG_FLAG, /* bool */
	PST_ARG_STR,  /* const char * (points into argv) */
	PST_ARG_U64,  /* uint64_t */
	PST_ARG_TIME, /* uint64_t ns, as 5s */
	PST_ARG_STRS, /* struct pst_arg_strs: may be given several times */
};

struct pst_arg_strs {
	const char *v[32];
	unsigned n;
};

struct pst_arg {
	const char *name; /* long name, without dashes */
	char letter;      /* 0: none */
	enum pst_arg_type type;
	void *target;
	const char *value_name; /* for --help: FILE, N */
	const char *help;
};

struct pst_args {
	const char *program;           /* "penstock-collector", "penstock observe" */
	const char *summary;           /* one line */
	const char *positional;        /* usage text of what follows the options, or NULL if nothing may */
	const struct pst_arg *options; /* ends with name NULL; --help and --version are added */
	const char *examples;          /* shown at the end of --help, or NULL */
};

/*
 * Parses argv[1..]. Options may stand between positional arguments; "--" ends them. Returns the number of
 * positional arguments, moved to argv[1..] in order; -EINVAL after printing a message with a "did you mean"
 * to stderr (exit PST_EXIT_USAGE); -ECANCELED when --help or --version was printed (exit 0).
 */
int pst_args_parse(const struct pst_args *args, int argc, char **argv);
void pst_args_help(const struct pst_args *args);

#endif
