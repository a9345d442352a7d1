// SPDX-License-Identifier: Apache-2.0
/* `penstock fw import`: the file in, the document out. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/commands.h"
#include "cli/import.h"
#include "proto/base/cleanup.h"
#include "proto/base/io.h"

#define EXIT_BAD      2 /* the text is none that can be read */
#define EXIT_LEFT_OUT 3 /* there is a document, and rules are missing from it */

static struct {
	const char *format, *chain;
} opt;

const struct pst_arg fw_import_options[] = {
	{"format", 'f', PST_ARG_STR, &opt.format, "FORMAT",
		"nft, iptables or ip6tables (default: what the text looks like)"},
	{"chain", 0, PST_ARG_STR, &opt.chain, "NAME",
		"this chain, also TABLE/CHAIN or FAMILY/TABLE/CHAIN (default: all that guard incoming "
		"packets)"},
	{0},
};

/* All of it, or one byte more than may be. */
static int read_all(const char *path, char **ret_text, size_t *ret_len)
{
	PST_FREE char *text = malloc(IMPORT_TEXT_MAX + 1);
	PST_CLOSE int opened = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
	ssize_t n;

	if (!text)
		return -ENOMEM;
	if (path && opened < 0)
		return -errno;
	n = pst_read_all(path ? opened : STDIN_FILENO, text, IMPORT_TEXT_MAX + 1);
	if (n < 0)
		return (int)n;
	*ret_text = PST_TAKE_PTR(text);
	*ret_len = (size_t)n;
	return 0;
}

static int print(const struct import_result *r)
{
	if (pst_write_all(STDOUT_FILENO, r->yaml, r->yaml_len)) {
		fprintf(stderr, "penstock fw import: standard output: %s\n", strerror(errno));
		return PST_EXIT_SYSTEM;
	}
	fprintf(stderr, "%u rules written, %u left out\n", r->rules, r->left_out);
	return r->left_out ? EXIT_LEFT_OUT : PST_EXIT_OK;
}

static int import(const char *path, const struct import_options *options)
{
	PST_CLEANUP(import_result_done) struct import_result result = {0};
	PST_FREE char *text = NULL;
	const char *name = path ? path : "stdin";
	size_t len = 0;
	int e = read_all(path, &text, &len);

	if (e) {
		fprintf(stderr, "penstock fw import: %s: %s\n", cli_safe(name), strerror(-e));
		return EXIT_BAD;
	}
	e = import_rules(name, text, len, options, &result);
	if (result.said)
		pst_write_all(STDERR_FILENO, result.said, result.said_len);
	if (!e)
		return print(&result);
	if (e != -EBADMSG)
		fprintf(stderr, "penstock fw import: %s\n", strerror(-e));
	return e == -EBADMSG ? EXIT_BAD : PST_EXIT_SYSTEM;
}

int fw_import_main(int argc, char **argv)
{
	const struct pst_args args = {.program = "penstock fw import",
		.summary = "Prints rules of nftables or iptables as a firewall document, and tells what is "
			   "left out and why.",
		.positional = "[FILE]",
		.options = fw_import_options,
		.examples = "  nft -j list ruleset | penstock fw import > fw.yaml\n"
			    "  (iptables-save; ip6tables-save) | penstock fw import > fw.yaml\n"
			    "  penstock fw import --chain inet/filter/input ruleset.json\n"};
	struct import_options options = {0};
	int n = pst_args_parse(&args, argc, argv);

	if (n < 0)
		return n == -ECANCELED ? PST_EXIT_OK : PST_EXIT_USAGE;
	if (opt.format && !import_format_parse(opt.format, &options.format)) {
		fprintf(stderr,
			"penstock fw import: \"%s\" is no format, expected nft, iptables or ip6tables\n",
			cli_safe(opt.format));
		return PST_EXIT_USAGE;
	}
	if (n > 1) {
		fputs("penstock fw import: expected at most one FILE\nTry 'penstock fw import --help'.\n",
			stderr);
		return PST_EXIT_USAGE;
	}
	options.chain = opt.chain;
	return import(n && strcmp(argv[1], "-") ? argv[1] : NULL, &options);
}
