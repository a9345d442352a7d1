// SPDX-License-Identifier: Apache-2.0
/* `penstock-policyd policy import` */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "policyd/foreign/internal.h"
#include "proto/base/args.h"
#include "proto/base/cleanup.h"
#include "proto/base/io.h"

#define EXIT_BAD      2 /* a file cannot be read */
#define EXIT_LEFT_OUT 3 /* something cannot be expressed */

static struct {
	const char *cgroup, *posture;
	bool strict;
} opt;

static const struct pst_arg options[] = {
	{"cgroup", 0, PST_ARG_STR, &opt.cgroup, "GLOB",
		"control groups of the pods that the originals select (default: all containers, in mode "
		"audit)"},
	{"posture", 0, PST_ARG_STR, &opt.posture, "WORD",
		"what KubeArmor's Allow do not name: audit (default) or block"},
	{"strict", 's', PST_ARG_FLAG, &opt.strict, NULL, "write nothing unless all is expressed exactly"},
	{0},
};

static int read_input(const char *path, char **ret_bytes, size_t *ret_len)
{
	PST_CLOSE int fd = -1;
	PST_FREE char *all = NULL;
	ssize_t n;

	if (strcmp(path, "-") != 0) {
		fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
		return fd < 0 ? -errno : pst_read_file(fd, POLICY_FILE_BYTES, ret_bytes, ret_len);
	}
	all = malloc(POLICY_FILE_BYTES + 1);
	n = all ? pst_read_all(STDIN_FILENO, all, POLICY_FILE_BYTES + 1) : -ENOMEM;
	if (n < 0)
		return (int)n;
	if (n > (ssize_t)POLICY_FILE_BYTES)
		return -EFBIG;
	*ret_bytes = PST_TAKE_PTR(all);
	*ret_len = (size_t)n;
	return 0;
}

static int read_one(struct foreign *f, const char *path)
{
	struct pst_conf_errors errors = {0};
	PST_FREE char *bytes = NULL;
	size_t len = 0;
	int e = read_input(path, &bytes, &len);

	if (e)
		pst_conf_error(&errors, path, 0, 0, "%s", e == -EFBIG ? "larger than 4 MiB" : strerror(-e));
	else
		e = foreign_read(f, strcmp(path, "-") ? path : "stdin", bytes, len, &errors);
	if (errors.text)
		fputs(errors.text, stderr);
	pst_conf_errors_done(&errors);
	return e;
}

static int read_all(struct foreign *f, char **paths, int n)
{
	const struct pst_strs named = {.v = paths, .n = (size_t)n};
	struct pst_conf_errors errors = {0};
	struct pst_strs files = {0};
	int e;

	if (n == 1 && !strcmp(paths[0], "-"))
		return read_one(f, "-");
	e = policy_files(&named, &errors, &files);
	if (errors.text)
		fputs(errors.text, stderr);
	pst_conf_errors_done(&errors);
	for (size_t i = 0; i < files.n && e != -ENOMEM; i++) {
		int k = read_one(f, files.v[i]);

		e = e ? e : k;
	}
	pst_strs_done(&files);
	return e;
}

static int print(const struct foreign *f)
{
	bool odd = f->left_out || (opt.strict && f->notes);

	if (f->said.v)
		fputs(f->said.v, stderr);
	if (f->n_said > FOREIGN_SAID_MAX)
		fprintf(stderr, "... and %u more\n", f->n_said - FOREIGN_SAID_MAX);
	if (opt.strict && odd) {
		fprintf(stderr, "nothing written: %u left out, %u notes\n", f->left_out, f->notes);
		return EXIT_LEFT_OUT;
	}
	if (f->yaml.n && pst_write_all(STDOUT_FILENO, f->yaml.v, f->yaml.n)) {
		fprintf(stderr, "standard output: %s\n", strerror(errno));
		return PST_EXIT_SYSTEM;
	}
	fprintf(stderr, "%u %s with %u %s written, %u left out\n", f->policies,
		f->policies == 1 ? "policy" : "policies", f->rules, f->rules == 1 ? "rule" : "rules",
		f->left_out);
	return odd ? EXIT_LEFT_OUT : PST_EXIT_OK;
}

/* Most come by `penstock policy import`, which passes these on as they are. */
static int usage(const char *what)
{
	fprintf(stderr, "penstock policy import: %s\nTry 'penstock policy import --help'.\n", what);
	return PST_EXIT_USAGE;
}

int foreign_main(int argc, char **argv)
{
	const struct pst_args args = {.program = "penstock-policyd policy import",
		.summary = "Prints policies of KubeArmor and Tetragon as Penstock's, and tells what is left "
			   "out and why.",
		.positional = "FILE...",
		.options = options,
		.examples = "  penstock-policyd policy import tracing.yaml > policies/tracing.yaml\n"};
	PST_CLEANUP(foreign_done) struct foreign f = {0};
	int n = pst_args_parse(&args, argc, argv), e;

	if (n < 0)
		return n == -ECANCELED ? PST_EXIT_OK : PST_EXIT_USAGE;
	if (!n)
		return usage("expected files or folders of policies, or - for standard input");
	if (opt.posture && strcmp(opt.posture, "audit") != 0 && strcmp(opt.posture, "block") != 0)
		return usage("--posture: expected audit or block");
	if (opt.cgroup && policy_pattern_fault(POLICY_CGROUP, opt.cgroup))
		return usage("--cgroup: expected a path or a glob of paths, such as '/kubepods.slice/**'");
	f.options = (struct foreign_options){opt.cgroup, opt.posture && !strcmp(opt.posture, "block")};
	e = read_all(&f, argv + 1, n);
	if (e)
		return e == -ENOMEM ? PST_EXIT_SYSTEM : EXIT_BAD;
	return print(&f);
}
