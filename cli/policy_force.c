// SPDX-License-Identifier: Apache-2.0
/* `penstock policy apply`, `list`, `show`, `mode`, `delete`, `rollback`, `confirm`: asked of policyd. */
#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <time.h>

#include "cli/ask.h"
#include "cli/cli.h"
#include "cli/commands.h"
#include "proto/base/cleanup.h"

#define FILE_BYTES_MAX  (4u << 20) /* of a file: what policyd takes */
#define FILE_BYTES_PART (32u << 10)
#define NS_PER_S        1000000000ull
#define RED             "\033[31m"
#define GREEN           "\033[32m"
#define BOLD            "\033[1m"
#define PLAIN           "\033[0m"

static struct {
	const char *run_dir;
	bool json, host, replace, yaml;
	uint64_t for_ns;
} opt;

#define JSON                                                                                                 \
	{                                                                                                    \
		"json", 'j', PST_ARG_FLAG, &opt.json, NULL, "one JSON object"                                \
	}
#define RUN_DIR                                                                                              \
	{                                                                                                    \
		"run-dir", 0, PST_ARG_STR, &opt.run_dir, "DIR", "folder of the sockets"                      \
	}
#define HOST                                                                                                 \
	{                                                                                                    \
		"host", 0, PST_ARG_FLAG, &opt.host, NULL,                                                    \
			"also what throttles, denies or kills on the whole host"                             \
	}

const struct pst_arg policy_apply_options[] = {HOST,
	{"for", 0, PST_ARG_TIME, &opt.for_ns, "TIME", "takes itself back after that, unless it is confirmed"},
	{"replace", 0, PST_ARG_FLAG, &opt.replace, NULL,
		"these are all: what was applied before is taken out"},
	RUN_DIR, {0}};
const struct pst_arg policy_list_options[] = {JSON, RUN_DIR, {0}};
const struct pst_arg policy_show_options[] = {
	JSON, {"yaml", 'y', PST_ARG_FLAG, &opt.yaml, NULL, "the policy as it was written"}, RUN_DIR, {0}};
const struct pst_arg policy_mode_options[] = {HOST, RUN_DIR, {0}};
const struct pst_arg policy_delete_options[] = {RUN_DIR, {0}};
const struct pst_arg policy_rollback_options[] = {RUN_DIR, {0}};
const struct pst_arg policy_confirm_options[] = {RUN_DIR, {0}};

/* Words behind the options, @min to @max of them; -1 after a message or --help, with *ret_exit. */
static int words(const struct pst_args *args, int argc, char **argv, int min, int max, int *ret_exit)
{
	int n = pst_args_parse(args, argc, argv);

	*ret_exit = n == -ECANCELED ? PST_EXIT_OK : PST_EXIT_USAGE;
	if (n < 0)
		return -1;
	if (n >= min && n <= max)
		return n;
	fprintf(stderr, "%s: expected %s\nTry '%s --help'.\n", args->program, args->positional,
		args->program);
	return -1;
}

static const char *text_of(const json_t *object, const char *key)
{
	const char *text = json_string_value(json_object_get(object, key));

	return text ? text : "";
}

static long long number_of(const json_t *object, const char *key)
{
	return json_integer_value(json_object_get(object, key));
}

static void say_warnings(const char *program, const json_t *reply)
{
	const json_t *warning;
	size_t i;

	json_array_foreach(json_object_get(reply, "warnings"), i, warning)
	{
		const char *text = json_string_value(warning);

		fprintf(stderr, "%s: warning: %s\n", program, cli_message(text ? text : ""));
	}
}

static void put_op(struct pst_buf *request, const char *op, uint32_t more)
{
	pst_mp_map(request, 1 + more);
	pst_mp_str(request, "op");
	pst_mp_str(request, op);
}

#define PENDING_TRIES 50
#define PENDING_NS    40000000

/* Tables that were in force are not written to for a tenth of a second: it waits until the change counts, and
 * takes the reply's place. */
static json_t *wait_for_it(const char *program, json_t *reply)
{
	for (int i = 0; i < PENDING_TRIES && !strcmp(text_of(reply, "state"), "pending"); i++) {
		PST_CLEANUP(pst_buf_done) struct pst_buf request = {0};
		json_t *now;

		nanosleep(&(struct timespec){.tv_nsec = PENDING_NS}, NULL);
		put_op(&request, "policy_list", 1);
		pst_mp_str(&request, "limit");
		pst_mp_uint(&request, 0);
		now = ask_policyd(program, opt.run_dir, &request, "total");
		if (!now)
			break;
		json_object_update(reply, now);
		json_decref(now);
	}
	return reply;
}

/* A change and what came of it. The exit code. */
static int change(const char *program, const struct pst_buf *request)
{
	json_t *reply = ask_changed(program, opt.run_dir, request);
	long long until;
	int r;

	if (!reply)
		return PST_EXIT_SYSTEM;
	say_warnings(program, reply);
	reply = wait_for_it(program, reply);
	printf("policies: %s, generation %lld\n", cli_safe(text_of(reply, "state")),
		number_of(reply, "generation"));
	until = number_of(reply, "until_s");
	if (until)
		printf("taken back in %lld s, unless: penstock policy confirm\n", until);
	r = ask_say_not_kept(program, reply);
	json_decref(reply);
	return fflush(stdout) ? PST_EXIT_SYSTEM : r;
}

/* ---- apply ---- */

struct upload {
	const char *program;
	char id[20];
	size_t files;
};

/* 0 or the exit code, after a message. */
static int send_part(const struct upload *u, const char *file, const char *text, size_t len, bool more)
{
	PST_CLEANUP(pst_buf_done) struct pst_buf request = {0};
	json_t *reply;

	put_op(&request, "policy_upload", 4);
	pst_mp_str(&request, "id");
	pst_mp_str(&request, u->id);
	pst_mp_str(&request, "file");
	pst_mp_str(&request, file);
	pst_mp_str(&request, "text");
	pst_mp_bin(&request, text, len);
	pst_mp_str(&request, "more");
	pst_mp_bool(&request, more);
	reply = ask_policyd(u->program, opt.run_dir, &request, "ok");
	json_decref(reply);
	return reply ? 0 : PST_EXIT_SYSTEM;
}

static int refuse(const struct upload *u, const char *file, const char *why)
{
	fprintf(stderr, "%s: %s: %s\n", u->program, cli_safe(file), why);
	return PST_EXIT_USAGE;
}

static int send_stream(struct upload *u, const char *name, FILE *f)
{
	PST_FREE char *text = malloc(FILE_BYTES_MAX + 1);
	size_t len, at = 0;
	int r = 0;

	if (!text)
		return PST_EXIT_SYSTEM;
	len = fread(text, 1, FILE_BYTES_MAX + 1, f);
	if (ferror(f))
		return refuse(u, name, strerror(errno));
	if (len > FILE_BYTES_MAX)
		return refuse(u, name, "larger than 4 MiB");
	u->files++;
	do {
		size_t part = PST_MIN(len - at, (size_t)FILE_BYTES_PART);

		r = send_part(u, name, text + at, part, at + part < len);
		at += part;
	} while (!r && at < len);
	return r;
}

static int send_file(struct upload *u, const char *path)
{
	PST_FCLOSE FILE *f = fopen(path, "re");

	return f ? send_stream(u, path, f) : refuse(u, path, strerror(errno));
}

static int is_yaml(const struct dirent *entry)
{
	const char *dot = strrchr(entry->d_name, '.');

	return *entry->d_name != '.' && dot && (!strcmp(dot, ".yaml") || !strcmp(dot, ".yml"));
}

static int send_folder(struct upload *u, const char *path)
{
	struct dirent **entries = NULL;
	int n = scandir(path, &entries, is_yaml, alphasort), r = 0;

	if (n < 0)
		return refuse(u, path, strerror(errno));
	for (int i = 0; i < n; i++) {
		PST_FREE char *file = NULL;

		if (!r && asprintf(&file, "%s/%s", path, entries[i]->d_name) < 0)
			r = PST_EXIT_SYSTEM;
		r = r ? r : send_file(u, file);
		free(entries[i]);
	}
	free(entries);
	return r;
}

static int send_path(struct upload *u, const char *path)
{
	struct stat st;

	if (!strcmp(path, "-"))
		return send_stream(u, "stdin", stdin);
	return !stat(path, &st) && S_ISDIR(st.st_mode) ? send_folder(u, path) : send_file(u, path);
}

static int apply(const struct upload *u)
{
	PST_CLEANUP(pst_buf_done) struct pst_buf request = {0};

	put_op(&request, "policy_apply", 4);
	pst_mp_str(&request, "id");
	pst_mp_str(&request, u->id);
	pst_mp_str(&request, "host");
	pst_mp_bool(&request, opt.host);
	pst_mp_str(&request, "for_s");
	pst_mp_uint(&request, (opt.for_ns + NS_PER_S - 1) / NS_PER_S);
	pst_mp_str(&request, "replace");
	pst_mp_bool(&request, opt.replace);
	return change(u->program, &request);
}

int policy_apply_main(int argc, char **argv)
{
	const struct pst_args args = {.program = "penstock policy apply",
		.summary = "Puts policies in force, all or none: those of the same name are replaced, the "
			   "others stay.",
		.positional = "FILE...",
		.options = policy_apply_options,
		.examples = "  penstock policy apply --for 5m policy.yaml && penstock policy confirm\n"
			    "  penstock policy apply --replace /etc/penstock/policies\n"
			    "  penstock policy import ksp.yaml | penstock policy apply -\n"};
	struct upload u = {.program = args.program};
	uint64_t id;
	int r, n = words(&args, argc, argv, 1, argc, &r);

	if (n < 0)
		return r;
	if (getrandom(&id, sizeof(id), 0) != sizeof(id))
		return PST_EXIT_SYSTEM;
	snprintf(u.id, sizeof(u.id), "%016" PRIx64, id);
	for (int i = 1; i <= n; i++) {
		r = send_path(&u, argv[i]);
		if (r)
			return r;
	}
	return u.files ? apply(&u) : refuse(&u, argv[1], "no *.yaml or *.yml in it");
}

/* ---- list ---- */

static void print_list(const json_t *reply, bool colour)
{
	const json_t *row;
	size_t i;

	printf("policies: %s", cli_safe(text_of(reply, "state")));
	if (number_of(reply, "generation"))
		printf(", generation %lld", number_of(reply, "generation"));
	if (number_of(reply, "until_s"))
		printf(", taken back in %lld s unless confirmed", number_of(reply, "until_s"));
	putchar('\n');
	if (*text_of(reply, "error"))
		printf("%snot in force: %s%s\n", colour ? RED : "", cli_message(text_of(reply, "error")),
			colour ? PLAIN : "");
	if (json_array_size(json_object_get(reply, "policies")))
		printf("%s%-32s %-8s %-9s %5s  %s%s\n", colour ? BOLD : "", "policy", "mode", "can", "rules",
			"from", colour ? PLAIN : "");
	json_array_foreach(json_object_get(reply, "policies"), i, row)
	{
		const char *mode = ask_text_at(row, 1);
		bool on = !strcmp(mode, "enforce");

		printf("%-32s %s%-8s%s %-9s %5lld  %s\n", cli_safe(ask_text_at(row, 0)),
			colour && on ? GREEN : "", cli_safe(mode), colour && on ? PLAIN : "",
			cli_safe(ask_text_at(row, 5)), ask_number_at(row, 3), cli_safe(ask_text_at(row, 2)));
	}
}

int policy_list_main(int argc, char **argv)
{
	static const char *const names[] = {"name", "mode", "file", "rules", "requires", "level"};
	const struct pst_args args = {.program = "penstock policy list",
		.summary = "The policies, their modes, and what this kernel can do for them.",
		.options = policy_list_options,
		.examples = "  penstock policy list\n"
			    "  penstock policy list --json | jq '.policies[] | select(.mode == "
			    "\"audit\").name'\n"};
	int r = pst_args_parse(&args, argc, argv);
	json_t *reply;

	if (r)
		return r == -ECANCELED ? PST_EXIT_OK : PST_EXIT_USAGE;
	reply = ask_pages(args.program, opt.run_dir, "policy_list", "policies");
	if (!reply)
		return PST_EXIT_SYSTEM;
	if (opt.json) {
		json_object_set_new(reply, "policies",
			ask_named(json_object_get(reply, "policies"), names, PST_ARRAY_SIZE(names)));
		return ask_print_json(reply);
	}
	print_list(reply, cli_colour(stdout));
	json_decref(reply);
	return fflush(stdout) || ferror(stdout) ? PST_EXIT_SYSTEM : PST_EXIT_OK;
}

/* ---- show ---- */

static void print_policy(const json_t *reply, bool colour)
{
	const json_t *row;
	size_t i;

	printf("%s: %s\n", cli_safe(text_of(reply, "name")), cli_safe(text_of(reply, "mode")));
	printf("%s%-32s %-9s %-9s %s%s\n", colour ? BOLD : "", "rule", "says", "does", "operations",
		colour ? PLAIN : "");
	json_array_foreach(json_object_get(reply, "rules"), i, row)
		printf("%-32s %-9s %-9s %s\n", cli_safe(ask_text_at(row, 0)), cli_safe(ask_text_at(row, 2)),
			cli_safe(ask_text_at(row, 3)), cli_safe(ask_text_at(row, 1)));
}

/* A part of it, from these on; NULL after a message. */
static json_t *ask_policy(const char *program, const char *name, size_t from, size_t rule_from)
{
	PST_CLEANUP(pst_buf_done) struct pst_buf request = {0};

	put_op(&request, "policy_show", 3);
	pst_mp_str(&request, "name");
	pst_mp_str(&request, name);
	pst_mp_str(&request, "from");
	pst_mp_uint(&request, from);
	pst_mp_str(&request, "rule_from");
	pst_mp_uint(&request, rule_from);
	return ask_policyd(program, opt.run_dir, &request, "text");
}

/* All of it. */
static json_t *fetch_policy(const char *program, const char *name)
{
	json_t *all = ask_policy(program, name, 0, 0);

	for (bool more = all; more;) {
		json_t *text = json_object_get(all, "text"), *rules = json_object_get(all, "rules"), *part,
		       *joined;
		size_t len = json_string_length(text), n = json_array_size(rules);

		if (len >= (size_t)number_of(all, "size") && n >= (size_t)number_of(all, "total"))
			return all;
		part = ask_policy(program, name, len, n);
		if (!part)
			break;
		more = json_string_length(json_object_get(part, "text")) ||
		       json_array_size(json_object_get(part, "rules"));
		joined = json_sprintf("%s%s", json_string_value(text), text_of(part, "text"));
		json_object_set_new(all, "text", joined);
		json_array_extend(rules, json_object_get(part, "rules"));
		json_decref(part);
	}
	json_decref(all);
	return NULL;
}

int policy_show_main(int argc, char **argv)
{
	static const char *const names[] = {"name", "operations", "action", "achieved"};
	const struct pst_args args = {.program = "penstock policy show",
		.summary = "A policy's rules: what each says, and what this kernel does; or its text.",
		.positional = "NAME",
		.options = policy_show_options,
		.examples = "  penstock policy show secrets\n"
			    "  penstock policy show --yaml secrets > secrets.yaml\n"};
	json_t *reply;
	int r;

	if (words(&args, argc, argv, 1, 1, &r) < 0)
		return r;
	reply = fetch_policy(args.program, argv[1]);
	if (!reply)
		return PST_EXIT_SYSTEM;
	if (opt.json) {
		json_object_set_new(reply, "rules",
			ask_named(json_object_get(reply, "rules"), names, PST_ARRAY_SIZE(names)));
		return ask_print_json(reply);
	}
	if (opt.yaml)
		fputs(text_of(reply, "text"), stdout);
	else
		print_policy(reply, cli_colour(stdout));
	json_decref(reply);
	return fflush(stdout) || ferror(stdout) ? PST_EXIT_SYSTEM : PST_EXIT_OK;
}

/* ---- mode, delete, rollback, confirm ---- */

int policy_mode_main(int argc, char **argv)
{
	const struct pst_args args = {.program = "penstock policy mode",
		.summary = "Switches a policy: enforce, audit (what it would do is only told), or off.",
		.positional = "NAME MODE",
		.options = policy_mode_options,
		.examples = "  penstock policy mode secrets audit\n"};
	PST_CLEANUP(pst_buf_done) struct pst_buf request = {0};
	int r;

	if (words(&args, argc, argv, 2, 2, &r) < 0)
		return r;
	put_op(&request, "policy_mode", 3);
	pst_mp_str(&request, "name");
	pst_mp_str(&request, argv[1]);
	pst_mp_str(&request, "mode");
	pst_mp_str(&request, argv[2]);
	pst_mp_str(&request, "host");
	pst_mp_bool(&request, opt.host);
	return change(args.program, &request);
}

int policy_delete_main(int argc, char **argv)
{
	const struct pst_args args = {.program = "penstock policy delete",
		.summary = "Takes out policies that were applied. Those of files are changed there.",
		.positional = "NAME...",
		.options = policy_delete_options,
		.examples = "  penstock policy delete secrets no-raw-sockets\n"};
	PST_CLEANUP(pst_buf_done) struct pst_buf request = {0};
	int r, n = words(&args, argc, argv, 1, 1000, &r);

	if (n < 0)
		return r;
	put_op(&request, "policy_delete", 1);
	pst_mp_str(&request, "names");
	pst_mp_array(&request, (uint32_t)n);
	for (int i = 1; i <= n; i++)
		pst_mp_str(&request, argv[i]);
	return change(args.program, &request);
}

static int plain_change(const struct pst_args *args, const char *op, int argc, char **argv)
{
	PST_CLEANUP(pst_buf_done) struct pst_buf request = {0};
	int n = pst_args_parse(args, argc, argv);

	if (n)
		return n == -ECANCELED ? PST_EXIT_OK : PST_EXIT_USAGE;
	put_op(&request, op, 0);
	return change(args->program, &request);
}

int policy_rollback_main(int argc, char **argv)
{
	const struct pst_args args = {.program = "penstock policy rollback",
		.summary = "Back to the policies that were in force before the last change: one write, "
			   "nothing is made anew.",
		.options = policy_rollback_options,
		.examples = "  penstock policy rollback\n"};

	return plain_change(&args, "policy_rollback", argc, argv);
}

int policy_confirm_main(int argc, char **argv)
{
	const struct pst_args args = {.program = "penstock policy confirm",
		.summary = "What was applied for a time stays.",
		.options = policy_confirm_options,
		.examples = "  penstock policy apply --for 5m policy.yaml\n  penstock policy confirm\n"};

	return plain_change(&args, "policy_confirm", argc, argv);
}
