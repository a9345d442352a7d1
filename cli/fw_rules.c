// SPDX-License-Identifier: Apache-2.0
/* `penstock fw list`, `stats`, `test`, `add`, `delete`: asked of policyd. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "cli/ask.h"
#include "cli/cli.h"
#include "cli/commands.h"
#include "proto/base/cleanup.h"

#define RED   "\033[31m"
#define GREEN "\033[32m"
#define BOLD  "\033[1m"
#define PLAIN "\033[0m"

static struct {
	const char *run_dir, *before;
	bool json, all;
} opt;

#define RUN_DIR                                                                                              \
	{                                                                                                    \
		"run-dir", 0, PST_ARG_STR, &opt.run_dir, "DIR", "folder of the sockets"                      \
	}

/* ---- what policyd says ---- */

static const char *text_of(const json_t *object, const char *key)
{
	const char *text = json_string_value(json_object_get(object, key));

	return cli_safe(text ? text : "");
}

static long long number_of(const json_t *object, const char *key)
{
	return json_integer_value(json_object_get(object, key));
}

static void print_state(const json_t *reply, bool colour)
{
	const char *error = json_string_value(json_object_get(reply, "error"));

	printf("firewall: %s", text_of(reply, "state"));
	if (number_of(reply, "generation"))
		printf(", generation %lld, policy %s, rules %lld", number_of(reply, "generation"),
			text_of(reply, "policy"), number_of(reply, "total"));
	if (*text_of(reply, "file"))
		printf(", %s", text_of(reply, "file"));
	putchar('\n');
	ask_say_idle(stdout, reply);
	if (error && *error)
		printf("%snot in force: %s%s\n", colour ? RED : "", cli_message(error), colour ? PLAIN : "");
	if (*text_of(reply, "idle"))
		printf("%snot done: %s%s\n", colour ? RED : "", text_of(reply, "idle"), colour ? PLAIN : "");
	if (*text_of(reply, "warning"))
		printf("%swarning: %s%s\n", colour ? RED : "", text_of(reply, "warning"),
			colour ? PLAIN : "");
}

/* ---- list ---- */

const struct pst_arg fw_list_options[] = {
	{"json", 'j', PST_ARG_FLAG, &opt.json, NULL, "one JSON object"},
	RUN_DIR,
	{0},
};

static const char *action_colour(const char *action)
{
	if (!strcmp(action, "accept") || !strcmp(action, "next"))
		return GREEN;
	return !strcmp(action, "continue") ? "" : RED;
}

static void print_rules(const json_t *reply, bool colour)
{
	const json_t *row;
	size_t i;

	if (json_array_size(json_object_get(reply, "rules")))
		printf("%s     id action       packets          bytes  name                 takes%s\n",
			colour ? BOLD : "", colour ? PLAIN : "");
	json_array_foreach(json_object_get(reply, "rules"), i, row)
	{
		const char *action = ask_text_at(row, 2);

		printf("%7lld %s%-9s%s %10lld %14lld  %-20s %s\n", ask_number_at(row, 0),
			colour ? action_colour(action) : "", cli_safe(action), colour ? PLAIN : "",
			ask_number_at(row, 4), ask_number_at(row, 5), cli_safe(ask_text_at(row, 1)),
			cli_safe(ask_text_at(row, 3)));
	}
}

static int reply_json(json_t *reply)
{
	static const char *const rule[] = {"id", "name", "action", "takes", "packets", "bytes"};
	static const char *const reason[] = {"reason", "packets", "bytes"};
	static const char *const cell[] = {
		"interface", "direction", "protocol", "verdict", "packets", "bytes"};

	json_object_set_new(
		reply, "rules", ask_named(json_object_get(reply, "rules"), rule, PST_ARRAY_SIZE(rule)));
	json_object_set_new(reply, "reasons",
		ask_named(json_object_get(reply, "reasons"), reason, PST_ARRAY_SIZE(reason)));
	json_object_set_new(reply, "interfaces",
		ask_named(json_object_get(reply, "interfaces"), cell, PST_ARRAY_SIZE(cell)));
	return ask_print_json(reply);
}

static int no_words(const struct pst_args *args, int argc, char **argv)
{
	int n = pst_args_parse(args, argc, argv);

	return n == -ECANCELED ? PST_EXIT_OK : n ? PST_EXIT_USAGE : -1;
}

/* The state and what @print makes of the reply, or all of it as JSON. */
static int show(
	const struct pst_args *args, int argc, char **argv, void (*print)(const json_t *reply, bool colour))
{
	int r = no_words(args, argc, argv);
	bool colour = cli_colour(stdout);
	json_t *reply;

	if (r >= 0)
		return r;
	reply = ask_pages(args->program, opt.run_dir, "firewall", "rules");
	if (!reply)
		return PST_EXIT_SYSTEM;
	if (opt.json)
		return reply_json(reply);
	print_state(reply, colour);
	print(reply, colour);
	json_decref(reply);
	return fflush(stdout) || ferror(stdout) ? PST_EXIT_SYSTEM : PST_EXIT_OK;
}

int fw_list_main(int argc, char **argv)
{
	const struct pst_args args = {.program = "penstock fw list",
		.summary = "The rules in force in the order in which they are held against a packet.",
		.options = fw_list_options,
		.examples = "  penstock fw list\n  penstock fw list --json | jq '.rules[] | select(.packets "
			    "== 0).name'\n"};

	return show(&args, argc, argv, print_rules);
}

/* ---- stats ---- */

const struct pst_arg fw_stats_options[] = {
	{"all", 'a', PST_ARG_FLAG, &opt.all, NULL, "also what has counted nothing"},
	{"json", 'j', PST_ARG_FLAG, &opt.json, NULL, "one JSON object"},
	RUN_DIR,
	{0},
};

static void print_counts(const json_t *rows, size_t name, const char *title, bool colour)
{
	const json_t *row;
	size_t i;

	printf("%s%-24s    packets          bytes%s\n", colour ? BOLD : "", title, colour ? PLAIN : "");
	json_array_foreach(rows, i, row)
	{
		size_t counts = json_array_size(row) - 2;

		if (opt.all || ask_number_at(row, counts))
			printf("%-24s %10lld %14lld\n", cli_safe(ask_text_at(row, name)),
				ask_number_at(row, counts), ask_number_at(row, counts + 1));
	}
}

static void print_interfaces(const json_t *rows, bool colour)
{
	const json_t *row;
	size_t i;

	printf("%s%-15s dir protocol verdict    packets          bytes%s\n", colour ? BOLD : "", "interface",
		colour ? PLAIN : "");
	json_array_foreach(rows, i, row) printf("%-15s %-3s %-8s %-7s %10lld %14lld\n",
		cli_safe(ask_text_at(row, 0)), cli_safe(ask_text_at(row, 1)), cli_safe(ask_text_at(row, 2)),
		cli_safe(ask_text_at(row, 3)), ask_number_at(row, 4), ask_number_at(row, 5));
}

static void print_all_counts(const json_t *reply, bool colour)
{
	print_counts(json_object_get(reply, "reasons"), 0, "reason", colour);
	putchar('\n');
	print_interfaces(json_object_get(reply, "interfaces"), colour);
	putchar('\n');
	print_counts(json_object_get(reply, "rules"), 1, "rule", colour);
}

int fw_stats_main(int argc, char **argv)
{
	const struct pst_args args = {.program = "penstock fw stats",
		.summary = "Packets and bytes that came in over guarded interfaces, by reason and by rule; "
			   "and by "
			   "interface, also what went out.",
		.options = fw_stats_options,
		.examples = "  penstock fw stats\n  watch -n1 penstock fw stats\n"};

	return show(&args, argc, argv, print_all_counts);
}

/* ---- test ---- */

static struct {
	const char *src, *dst, *proto, *sport, *dport, *interface, *tcp_flags, *icmp, *vlan, *dscp, *state;
} packet;

const struct pst_arg fw_test_options[] = {
	{"src", 's', PST_ARG_STR, &packet.src, "ADDRESS", "source"},
	{"dst", 'd', PST_ARG_STR, &packet.dst, "ADDRESS", "destination"},
	{"proto", 'p', PST_ARG_STR, &packet.proto, "NAME", "tcp, udp, icmp, ... or a number"},
	{"sport", 0, PST_ARG_STR, &packet.sport, "PORT", "source port"},
	{"dport", 0, PST_ARG_STR, &packet.dport, "PORT", "destination port"},
	{"interface", 'i', PST_ARG_STR, &packet.interface, "NAME", "where it comes in"},
	{"tcp-flags", 0, PST_ARG_STR, &packet.tcp_flags, "FLAGS", "as syn or syn,ack"},
	{"icmp", 0, PST_ARG_STR, &packet.icmp, "TYPE", "name, type or type/code"},
	{"vlan", 0, PST_ARG_STR, &packet.vlan, "ID", "outer tag"},
	{"dscp", 0, PST_ARG_STR, &packet.dscp, "NAME", "name or number"},
	{"state", 0, PST_ARG_STR, &packet.state, "STATE", "new, established, related, invalid or untracked"},
	{"json", 'j', PST_ARG_FLAG, &opt.json, NULL, "one JSON object"},
	RUN_DIR,
	{0},
};

static void put_packet(struct pst_buf *request)
{
	const struct {
		const char *key, *value;
	} fields[] = {{"src", packet.src}, {"dst", packet.dst}, {"proto", packet.proto},
		{"sport", packet.sport}, {"dport", packet.dport}, {"interface", packet.interface},
		{"tcp_flags", packet.tcp_flags}, {"icmp", packet.icmp}, {"vlan", packet.vlan},
		{"dscp", packet.dscp}, {"state", packet.state}};
	uint32_t n = 0;

	for (size_t i = 0; i < PST_ARRAY_SIZE(fields); i++)
		n += fields[i].value != NULL;
	pst_mp_map(request, 2);
	pst_mp_str(request, "op");
	pst_mp_str(request, "firewall_test");
	pst_mp_str(request, "packet");
	pst_mp_map(request, n);
	for (size_t i = 0; i < PST_ARRAY_SIZE(fields); i++) {
		if (!fields[i].value)
			continue;
		pst_mp_str(request, fields[i].key);
		pst_mp_str(request, fields[i].value);
	}
}

static void print_list_hit(const json_t *reply, const char *list)
{
	printf("%s is on the %s list", text_of(reply, "prefix"), list);
	if (*text_of(reply, "reason"))
		printf(": %s", text_of(reply, "reason"));
	if (number_of(reply, "expires_s"))
		printf(" (for %lld s more)", number_of(reply, "expires_s"));
}

static void print_verdict(const json_t *reply, bool colour)
{
	const char *verdict = text_of(reply, "verdict"), *by = text_of(reply, "by");

	printf("%s%s%s: ", colour ? action_colour(verdict) : "", verdict, colour ? PLAIN : "");
	if (!strcmp(by, "rule"))
		printf("rule %lld, %s: %s", number_of(reply, "id"), text_of(reply, "rule"),
			text_of(reply, "text"));
	else if (!strcmp(by, "block_list"))
		print_list_hit(reply, "block");
	else if (!strcmp(by, "allow_list"))
		print_list_hit(reply, "allow");
	else if (!strcmp(by, "policy"))
		printf("no rule takes it, and this is the policy");
	else
		printf("nothing is switched on that would judge it");
	putchar('\n');
}

int fw_test_main(int argc, char **argv)
{
	const struct pst_args args = {.program = "penstock fw test",
		.summary = "What the tables in force make of a packet. Exits with 0 when it would be "
			   "accepted, 1 when not.",
		.options = fw_test_options,
		.examples = "  penstock fw test --src 192.0.2.7 --proto tcp --dport 22\n"
			    "  penstock fw test --src 2001:db8::1 --proto icmpv6 --icmp echo-request\n"};
	PST_CLEANUP(pst_buf_done) struct pst_buf request = {0};
	int r = no_words(&args, argc, argv);
	json_t *reply;
	bool accepted;

	if (r >= 0)
		return r;
	put_packet(&request);
	reply = ask_policyd(args.program, opt.run_dir, &request, "verdict");
	if (!reply)
		return PST_EXIT_SYSTEM;
	accepted = !strcmp(text_of(reply, "verdict"), "accept") || !strcmp(text_of(reply, "verdict"), "next");
	if (opt.json) {
		r = ask_print_json(reply);
		return r ? r : !accepted;
	}
	print_verdict(reply, cli_colour(stdout));
	json_decref(reply);
	return !accepted;
}

/* ---- add, delete ---- */

const struct pst_arg fw_add_options[] = {
	{"before", 'b', PST_ARG_STR, &opt.before, "NAME", "before this rule, one that was added too"},
	RUN_DIR,
	{0},
};
const struct pst_arg fw_delete_options[] = {RUN_DIR, {0}};

/* Exactly one word, else a message. */
static int one_word(const struct pst_args *args, int argc, char **argv)
{
	int n = pst_args_parse(args, argc, argv);

	if (n == 1)
		return -1;
	if (n >= 0)
		fprintf(stderr, "%s: expected %s\nTry '%s --help'.\n", args->program, args->positional,
			args->program);
	return n == -ECANCELED ? PST_EXIT_OK : PST_EXIT_USAGE;
}

int fw_add_main(int argc, char **argv)
{
	const struct pst_args args = {.program = "penstock fw add",
		.summary = "Puts a rule before those of the file, behind those that were added before. It "
			   "stays until it is deleted or the host starts anew.",
		.positional = "RULE",
		.options = fw_add_options,
		.examples = "  penstock fw add '{name: no telnet, proto: tcp, dport: 23, action: drop}'\n"};
	PST_CLEANUP(pst_buf_done) struct pst_buf request = {0};
	int r = one_word(&args, argc, argv);

	if (r >= 0)
		return r;
	pst_mp_map(&request, opt.before ? 3 : 2);
	pst_mp_str(&request, "op");
	pst_mp_str(&request, "firewall_add");
	pst_mp_str(&request, "rule");
	pst_mp_str(&request, argv[1]);
	if (opt.before) {
		pst_mp_str(&request, "before");
		pst_mp_str(&request, opt.before);
	}
	return ask_change(args.program, opt.run_dir, &request);
}

int fw_delete_main(int argc, char **argv)
{
	const struct pst_args args = {.program = "penstock fw delete",
		.summary = "Takes out a rule that was added. Those of the file are changed there.",
		.positional = "NAME",
		.options = fw_delete_options,
		.examples = "  penstock fw delete 'no telnet'\n"};
	PST_CLEANUP(pst_buf_done) struct pst_buf request = {0};
	int r = one_word(&args, argc, argv);

	if (r >= 0)
		return r;
	pst_mp_map(&request, 2);
	pst_mp_str(&request, "op");
	pst_mp_str(&request, "firewall_delete");
	pst_mp_str(&request, "name");
	pst_mp_str(&request, argv[1]);
	return ask_change(args.program, opt.run_dir, &request);
}
