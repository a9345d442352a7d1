// SPDX-License-Identifier: Apache-2.0
/* `penstock config`: each stage checks or prints its own section; here the five become one answer. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/commands.h"
#include "cli/run.h"
#include "proto/base/cleanup.h"

static struct {
	const char *bindir;
} opt;

const struct pst_arg config_options[] = {
	{"bindir", 0, PST_ARG_STR, &opt.bindir, "DIR", "folder of the programs (default: that of penstock)"},
	{0},
};

static const char *const stages[] = {"loader", "collector", "enricher", "policyd", "exporter"};
#define STAGES PST_ARRAY_SIZE(stages)

static int ask(const char *stage, const char *option, const char *file, int capture, char **ret_text)
{
	const char *args[5] = {NULL};
	int n = 0;

	if (!strcmp(stage, "loader"))
		args[n++] = "load";
	args[n++] = option;
	if (file) {
		args[n++] = "--config";
		args[n++] = file;
	}
	return run_stage(opt.bindir, stage, args, capture, ret_text);
}

/* Is this line one of @text? */
static bool has_line(const char *text, const char *line, size_t len)
{
	for (const char *at = text; at && *at; at = strchr(at, '\n'), at += at != NULL) {
		size_t n = strcspn(at, "\n");

		if (n == len && !memcmp(at, line, len))
			return true;
	}
	return false;
}

/* What every stage says of the common part is said once. */
static void print_new_lines(char *const *texts, size_t i)
{
	for (const char *line = texts[i]; line && *line;) {
		size_t len = strcspn(line, "\n");
		bool said = false;

		for (size_t k = 0; k < i && !said; k++)
			said = has_line(texts[k], line, len);
		if (!said)
			fprintf(stderr, "%.*s\n", (int)len, line);
		line += len + (line[len] == '\n');
	}
}

static int check(const char *file)
{
	char *texts[STAGES] = {NULL};
	int worst = PST_EXIT_OK;

	for (size_t i = 0; i < STAGES; i++) {
		int code = ask(stages[i], "--check", file, STDERR_FILENO, &texts[i]);

		print_new_lines(texts, i);
		if (code)
			worst = code < 0 ? PST_EXIT_SYSTEM : code;
	}
	for (size_t i = 0; i < STAGES; i++)
		free(texts[i]);
	return worst;
}

/* One file: the section `common` once, then each stage's own. */
static int print(const char *file)
{
	for (size_t i = 0; i < STAGES; i++) {
		PST_FREE char *text = NULL;
		PST_FREE char *head = NULL;
		int code = ask(stages[i], "--print-config", file, STDOUT_FILENO, &text);
		const char *own;

		if (code)
			return code < 0 ? PST_EXIT_SYSTEM : code;
		if (!text || asprintf(&head, "\n%s:", stages[i]) < 0)
			return PST_EXIT_SYSTEM;
		own = strstr(text, head);
		fputs(i && own ? own + 1 : text, stdout);
	}
	return PST_EXIT_OK;
}

int config_main(int argc, char **argv)
{
	const struct pst_args args = {.program = "penstock config",
		.summary = "Checks or prints the configuration of all five processes.",
		.positional = "check|print [FILE]",
		.options = config_options,
		.examples = "  penstock config check /etc/penstock/penstock.yaml\n"
			    "  penstock config print > penstock.yaml                  the defaults, with "
			    "comments\n"};
	int n = pst_args_parse(&args, argc, argv);

	if (n < 0)
		return n == -ECANCELED ? PST_EXIT_OK : PST_EXIT_USAGE;
	if ((n == 1 || n == 2) && !strcmp(argv[1], "check"))
		return check(n == 2 ? argv[2] : NULL);
	if ((n == 1 || n == 2) && !strcmp(argv[1], "print"))
		return print(n == 2 ? argv[2] : NULL);
	fprintf(stderr,
		"penstock config: expected check or print, and at most one FILE\nTry 'penstock config "
		"--help'.\n");
	return PST_EXIT_USAGE;
}
