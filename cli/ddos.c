// SPDX-License-Identifier: Apache-2.0
/* `penstock ddos SUBCOMMAND`: the allow and block list, and what is done about floods. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "cli/ask.h"
#include "cli/cli.h"
#include "cli/commands.h"
#include "proto/base/cleanup.h"

#define SECOND_NS 1000000000ull
#define FOR_EVER  UINT64_MAX

static struct {
	const char *run_dir, *reason;
	uint64_t for_ns;
	bool json;
} opt = {.for_ns = FOR_EVER};

#define RUN_DIR                                                                                              \
	{                                                                                                    \
		"run-dir", 0, PST_ARG_STR, &opt.run_dir, "DIR", "folder of the sockets"                      \
	}

const struct pst_arg ddos_block_options[] = {
	{"for", 'f', PST_ARG_TIME, &opt.for_ns, "TIME", "as 30s or 1h; default: until it is unblocked"},
	{"reason", 'r', PST_ARG_STR, &opt.reason, "TEXT", "for those who look at the list"},
	RUN_DIR,
	{0},
};
const struct pst_arg ddos_unblock_options[] = {RUN_DIR, {0}};
const struct pst_arg ddos_list_options[] = {
	{"json", 'j', PST_ARG_FLAG, &opt.json, NULL, "one JSON object"},
	RUN_DIR,
	{0},
};

const struct pst_arg ddos_stats_options[] = {
	{"json", 'j', PST_ARG_FLAG, &opt.json, NULL, "one JSON object"},
	RUN_DIR,
	{0},
};

/* Each of the words is an address or a prefix; the first one that is refused ends it. */
static int change(const struct pst_args *args, const char *op, int argc, char **argv)
{
	int n = pst_args_parse(args, argc, argv), r = PST_EXIT_OK;

	if (n <= 0) {
		if (!n)
			fprintf(stderr, "%s: expected ADDRESS\nTry '%s --help'.\n", args->program,
				args->program);
		return n == -ECANCELED ? PST_EXIT_OK : PST_EXIT_USAGE;
	}
	if (!opt.for_ns) {
		fprintf(stderr, "%s: --for: expected more than 0\n", args->program);
		return PST_EXIT_USAGE;
	}
	for (int i = 1; i <= n && r <= EXIT_NOT_KEPT; i++) {
		PST_CLEANUP(pst_buf_done) struct pst_buf request = {0};
		int one;

		pst_mp_map(&request, 2u + (opt.for_ns != FOR_EVER) + !!opt.reason);
		pst_mp_str(&request, "op");
		pst_mp_str(&request, op);
		pst_mp_str(&request, "address");
		pst_mp_str(&request, argv[i]);
		if (opt.for_ns != FOR_EVER) {
			pst_mp_str(&request, "expires_s");
			pst_mp_uint(&request, (opt.for_ns + SECOND_NS - 1) / SECOND_NS);
		}
		if (opt.reason) {
			pst_mp_str(&request, "reason");
			pst_mp_str(&request, opt.reason);
		}
		one = ask_change(args->program, opt.run_dir, &request);
		r = PST_MAX(r, one);
	}
	return r;
}

static int block_main(int argc, char **argv)
{
	const struct pst_args args = {.program = "penstock ddos block",
		.summary = "Drops what comes from these addresses or prefixes over guarded interfaces.",
		.positional = "ADDRESS ...",
		.options = ddos_block_options,
		.examples = "  penstock ddos block 192.0.2.7 --for 1h --reason 'ssh scan'\n"
			    "  penstock ddos block 2001:db8:bad::/48\n"};

	return change(&args, "block", argc, argv);
}

static int unblock_main(int argc, char **argv)
{
	const struct pst_args args = {.program = "penstock ddos unblock",
		.summary =
			"Takes out what `block` put in, and offenders. What is in a file is taken out there.",
		.positional = "ADDRESS ...",
		.options = ddos_unblock_options,
		.examples = "  penstock ddos unblock 192.0.2.7\n"};

	return change(&args, "unblock", argc, argv);
}

static long long number(const json_t *object, const char *key)
{
	return json_integer_value(json_object_get(object, key));
}

static const char *text(const json_t *value)
{
	const char *s = json_string_value(value);

	return cli_safe(s ? s : "");
}

static void print_offenders(const json_t *o)
{
	const json_t *row;
	size_t i;

	if (!strcmp(text(json_object_get(o, "action")), "off") && !number(o, "total"))
		return;
	printf("offenders (%s): %lld\n", text(json_object_get(o, "action")), number(o, "total"));
	json_array_foreach(json_object_get(o, "list"), i, row)
	{
		char for_text[32];

		snprintf(for_text, sizeof(for_text), "%lld s more",
			json_integer_value(json_array_get(row, 1)));
		printf("  %-40s %-14s %s\n", text(json_array_get(row, 0)), for_text,
			text(json_array_get(row, 2)));
	}
}

static void print_lists(const json_t *reply)
{
	const json_t *allow = json_object_get(reply, "allow"), *block = json_object_get(reply, "block"), *row;
	const char *error = text(json_object_get(reply, "error"));
	size_t i;

	printf("lists: %s, generation %lld\n", text(json_object_get(reply, "state")),
		number(reply, "generation"));
	ask_say_idle(stdout, reply);
	if (*error)
		printf("not in force: %s\n", error);
	if (*text(json_object_get(reply, "warning")))
		printf("warning: %s\n", text(json_object_get(reply, "warning")));
	printf("allow: %lld entries of %lld files\n", number(allow, "entries"), number(allow, "files"));
	printf("block: %lld IPv4 addresses, %lld IPv6 addresses, %lld prefixes of %lld files and %lld by "
	       "command\n",
		number(block, "entries_4"), number(block, "entries_6"), number(block, "prefixes"),
		number(block, "files"), number(block, "runtime_total"));
	json_array_foreach(json_object_get(block, "runtime"), i, row)
	{
		long long left = json_integer_value(json_array_get(row, 1));
		char for_text[32] = "";

		if (left)
			snprintf(for_text, sizeof(for_text), "%lld s more", left);
		printf("  %-40s %-14s %s\n", text(json_array_get(row, 0)), for_text,
			text(json_array_get(row, 2)));
	}
	print_offenders(json_object_get(reply, "offenders"));
}

static void print_signatures(const json_t *reply)
{
	const char *error = text(json_object_get(reply, "error"));
	const json_t *row;
	size_t i;

	if (*error)
		printf("signatures not in force: %s\n", error);
	if (!json_array_size(json_object_get(reply, "signatures")))
		return;
	printf("\n%-24s %-6s %15s %18s\n", "signature", "does", "packets", "bytes");
	json_array_foreach(json_object_get(reply, "signatures"), i, row)
	{
		printf("%-24s %-6s %15lld %18lld\n", text(json_array_get(row, 0)),
			text(json_array_get(row, 1)), json_integer_value(json_array_get(row, 2)),
			json_integer_value(json_array_get(row, 3)));
	}
}

static void print_scrub(const json_t *s)
{
	if (!*text(json_array_get(s, 0)))
		return;
	printf("\nsent to %s instead%s: %lld packets, %lld bytes\n", text(json_array_get(s, 0)),
		json_integer_value(json_array_get(s, 1)) ? "" : " (there is none now)",
		json_integer_value(json_array_get(s, 2)), json_integer_value(json_array_get(s, 3)));
}

static void print_stats(const json_t *reply)
{
	const json_t *row;
	size_t i;

	if (!json_is_true(json_object_get(reply, "guarded")))
		printf("not guarded: the loader guards no interface (loader.guard)\n");
	else
		ask_say_idle(stdout, reply);
	printf("%-12s %-6s %15s %18s %19s %18s\n", "step", "does", "packets dropped", "bytes",
		"would have dropped", "bytes");
	json_array_foreach(json_object_get(reply, "steps"), i, row) printf(
		"%-12s %-6s %15lld %18lld %19lld %18lld\n", text(json_array_get(row, 0)),
		text(json_array_get(row, 1)), json_integer_value(json_array_get(row, 2)),
		json_integer_value(json_array_get(row, 3)), json_integer_value(json_array_get(row, 4)),
		json_integer_value(json_array_get(row, 5)));
	print_signatures(reply);
	print_scrub(json_object_get(reply, "scrub"));
}

/* Asks @op and shows the reply, which has @key. */
static int show(const struct pst_args *args, const char *op, const char *key, void (*print)(const json_t *),
	int argc, char **argv)
{
	PST_CLEANUP(pst_buf_done) struct pst_buf request = {0};
	int n = pst_args_parse(args, argc, argv);
	json_t *reply;

	if (n)
		return n == -ECANCELED ? PST_EXIT_OK : PST_EXIT_USAGE;
	pst_mp_map(&request, 1);
	pst_mp_str(&request, "op");
	pst_mp_str(&request, op);
	reply = ask_policyd(args->program, opt.run_dir, &request, key);
	if (!reply)
		return PST_EXIT_SYSTEM;
	if (opt.json)
		return ask_print_json(reply);
	print(reply);
	json_decref(reply);
	return fflush(stdout) ? PST_EXIT_SYSTEM : PST_EXIT_OK;
}

static int list_main(int argc, char **argv)
{
	const struct pst_args args = {.program = "penstock ddos list",
		.summary = "How many addresses are allowed and blocked, which by command, and offenders.",
		.options = ddos_list_options,
		.examples = "  penstock ddos list\n"};

	return show(&args, "lists", "block", print_lists, argc, argv);
}

static int stats_main(int argc, char **argv)
{
	const struct pst_args args = {.program = "penstock ddos stats",
		.summary = "What each step dropped, and what it would have dropped while it ran dry.",
		.options = ddos_stats_options,
		.examples = "  penstock ddos stats\n"};

	return show(&args, "ddos", "steps", print_stats, argc, argv);
}

const struct command ddos_commands[] = {
	{"block", "drop what comes from an address", block_main, ddos_block_options, NULL},
	{"unblock", "no longer", unblock_main, ddos_unblock_options, NULL},
	{"list", "what is allowed and blocked", list_main, ddos_list_options, NULL},
	{"stats", "what each step dropped, or would have", stats_main, ddos_stats_options, NULL},
	{0},
};

int ddos_main(int argc, char **argv)
{
	return cli_sub_main("penstock ddos", "Who is let in and who is not, before any rule (docs/ddos.md).",
		"  sudo penstock ddos block 192.0.2.7 --for 1h --reason 'ssh scan'\n"
		"  penstock ddos list\n",
		ddos_commands, argc, argv);
}
