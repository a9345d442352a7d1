// SPDX-License-Identifier: Apache-2.0
/* `penstock status`: stages, sensors, interfaces. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "cli/ask.h"
#include "cli/cli.h"
#include "cli/commands.h"
#include "cli/report.h"
#include "proto/base/cleanup.h"

#define RED    "\033[31m"
#define GREEN  "\033[32m"
#define YELLOW "\033[33m"
#define BOLD   "\033[1m"
#define PLAIN  "\033[0m"

static struct {
	const char *run_dir;
	bool json, verbose;
} opt;

const struct pst_arg status_options[] = {
	{"json", 'j', PST_ARG_FLAG, &opt.json, NULL, "everything as one JSON object"},
	{"verbose", 'v', PST_ARG_FLAG, &opt.verbose, NULL, "also every counter of every stage that is not 0"},
	{"run-dir", 0, PST_ARG_STR, &opt.run_dir, "DIR", "folder of the sockets"},
	{0},
};

static const char *const loader_states[] = {
	[LOADER_UP] = "up", [LOADER_DONE] = "done", [LOADER_DOWN] = "down"};

static bool colour;

static const char *paint(const char *code)
{
	return colour ? code : "";
}

/* ---- stages ---- */

/* Sum of a counter over its labels. */
static json_int_t total(const json_t *status, const char *name)
{
	const json_t *s;
	json_int_t sum = 0;
	size_t i;

	json_array_foreach(json_object_get(status, "stats"), i, s)
	{
		const char *n = json_string_value(json_array_get(s, 0));

		if (n && !strcmp(n, name))
			sum += json_integer_value(json_array_get(s, 4));
	}
	return sum;
}

static bool any_input_away(const json_t *status, json_int_t *ret_lag_ns)
{
	const char *name;
	json_t *input;
	bool away = false;

	*ret_lag_ns = 0;
	json_object_foreach(json_object_get(status, "inputs"), name, input)
	{
		json_int_t lag = json_integer_value(json_object_get(input, "lag_ns"));

		away |= !json_boolean_value(json_object_get(input, "connected"));
		*ret_lag_ns = PST_MAX(*ret_lag_ns, lag);
	}
	return away;
}

static bool is_loss(const char *name)
{
	static const char *const names[] = {"lost_events", "kernel_lost_records", "kernel_table_full_packets",
		"dropped_events", "malformed_records", "malformed_messages", "stream_lost_events",
		"output_lost_events", "recorded_lost_records", "kernel_suppressed_records"};

	for (size_t i = 0; i < PST_ARRAY_SIZE(names); i++)
		if (!strcmp(name, names[i]))
			return true;
	return false;
}

static void print_counters(const json_t *status)
{
	const json_t *s;
	size_t i;

	json_array_foreach(json_object_get(status, "stats"), i, s)
	{
		const char *name = json_string_value(json_array_get(s, 0));
		const char *label = json_string_value(json_array_get(s, 2));
		json_int_t value = json_integer_value(json_array_get(s, 4));

		if (!name || !value || (!opt.verbose && !is_loss(name)))
			continue;
		printf("    %s%s%s%s%s %lld%s\n", is_loss(name) ? paint(RED) : "", cli_safe(name),
			label ? "{" : "", label ? cli_safe(label) : "", label ? "}" : "", (long long)value,
			paint(PLAIN));
	}
}

static void print_stage(const char *stage, const json_t *status, int error)
{
	json_int_t lag;
	bool away;

	if (!status) {
		printf("  %-10s %sdown%s  %s\n", stage, paint(RED), paint(PLAIN), ask_error(error));
		return;
	}
	away = any_input_away(status, &lag);
	printf("  %-10s %s%-4s%s  %-8s %12lld %12lld %8lld %9.1f %8.1f %8.1f  %s\n", stage,
		paint(away ? YELLOW : GREEN), away ? "wait" : "up", paint(PLAIN),
		report_safe(status, "version"),
		(long long)(total(status, "received_events") + total(status, "drained_records")),
		(long long)total(status, "published_events"),
		(long long)(total(status, "lost_events") + total(status, "kernel_lost_records")),
		(double)lag / 1e6, (double)json_integer_value(json_object_get(status, "rss_bytes")) / 1048576,
		(double)json_integer_value(json_object_get(status, "cpu_ns")) / 1e9,
		report_safe(status, "sandbox"));
	print_counters(status);
}

/* ---- loader: it answers no request, so from its report and /proc ---- */

/* Fields of /proc/PID/<file>, counted from 0, as numbers; false if it is not there. */
static bool proc_number(json_int_t pid, const char *file, unsigned field, double *ret_value)
{
	char path[64], text[1024] = "", *at;
	ssize_t n;

	snprintf(path, sizeof(path), "/proc/%lld/%s", (long long)pid, file);
	PST_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC);
	n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
	if (n <= 0)
		return false;
	at = strrchr(text, ')'); /* the name in /proc/PID/stat may hold anything */
	for (at = at ? at + 1 : text; field && *at; field--)
		at += strspn(at, " ") + strcspn(at + strspn(at, " "), " ");
	*ret_value = strtod(at, NULL);
	return true;
}

static void privilege_text(const json_t *report, char *buf, size_t size)
{
	const json_t *privilege = json_object_get(report, "privilege"), *cap;
	size_t i, n = (size_t)snprintf(buf, size, "root caps=");

	json_array_foreach(json_object_get(privilege, "capabilities"), i, cap)
	{
		if (n < size)
			n += (size_t)snprintf(
				buf + n, size - n, "%s%s", i ? "," : "", json_string_value(cap));
	}
	if (n < size)
		snprintf(buf + n, size - n, "%s%s",
			json_is_true(json_object_get(privilege, "no_new_privs")) ? " nnp" : "",
			json_is_true(json_object_get(privilege, "seccomp")) ? " seccomp" : "");
}

static void print_loader(const json_t *report, enum loader_state state, const char *error)
{
	json_int_t pid = json_integer_value(json_object_get(report, "pid"));
	double pages = 0, user = 0, system = 0;
	char sandbox[256];

	printf("  %-10s %s%-4s%s  ", "loader", paint(state == LOADER_DOWN ? RED : GREEN),
		loader_states[state], paint(PLAIN));
	if (!report) {
		printf("%s\n", cli_safe(error));
		return;
	}
	printf("%-8s ", report_safe(report, "version"));
	if (state == LOADER_UP && proc_number(pid, "statm", 1, &pages) &&
		proc_number(pid, "stat", 11, &user) && proc_number(pid, "stat", 12, &system)) {
		privilege_text(report, sandbox, sizeof(sandbox));
		printf("%12s %12s %8s %9s %8.1f %8.1f  %s\n", "-", "-", "-", "-",
			pages * (double)sysconf(_SC_PAGESIZE) / 1048576,
			(user + system) / (double)sysconf(_SC_CLK_TCK), cli_safe(sandbox));
	} else {
		printf("the kernel programs work without it\n");
	}
	if (*report_text(report, "load_error"))
		printf("  %10s %sthe last load failed, what was in force stays:%s %s\n", "", paint(RED),
			paint(PLAIN), report_safe(report, "load_error"));
	if (*report_text(report, "tables_changed"))
		printf("  %10s %schanged in force, by whom is not known:%s %s (penstock-loader restore)\n",
			"", paint(RED), paint(PLAIN), report_safe(report, "tables_changed"));
}

/* ---- sensors ---- */

static const char *state_colour(const char *state)
{
	return !strcmp(state, "active") ? GREEN : !strcmp(state, "unavailable") ? RED : YELLOW;
}

static void print_sensor(const json_t *sensor)
{
	const json_t *why, *can;
	char abilities[64] = "";
	size_t i, n = 0;

	json_array_foreach(json_object_get(sensor, "can"), i, can)
	{
		if (n < sizeof(abilities) && json_is_string(can))
			n += (size_t)snprintf(abilities + n, sizeof(abilities) - n, "%s%s", i ? "," : "",
				json_string_value(can));
	}
	printf("  %-12s %s%-11s%s %-14s %-12s %s\n", report_safe(sensor, "name"),
		paint(state_colour(report_text(sensor, "state"))), report_safe(sensor, "state"), paint(PLAIN),
		report_safe(sensor, "rung"), cli_safe(abilities), report_safe(sensor, "help"));
	json_array_foreach(json_object_get(sensor, "why_not"), i, why)
	{
		printf("  %12s not %s: %s\n", "", report_safe(why, "rung"), report_reason(why));
	}
}

static void print_guard(const json_t *guard)
{
	const json_t *x;
	size_t i;

	if (json_array_size(guard))
		printf("\n%sguarded            mode%s\n", paint(BOLD), paint(PLAIN));
	json_array_foreach(guard, i, x)
	{
		bool off = !strcmp(report_text(x, "mode"), "none"),
		     half = !off && !strcmp(report_text(x, "out"), "none");

		printf("  %-16s %s%s%s%s%s\n", report_safe(x, "name"), paint(off ? RED : GREEN),
			report_safe(x, "mode"), paint(PLAIN), *report_text(x, "why") ? ": " : "",
			report_safe(x, "why"));
		if (json_is_true(json_object_get(x, "tags_hidden")))
			printf("  %16s rules with vlan see no tag here, the interface takes it off: ethtool "
			       "-K %s "
			       "rxvlan off\n",
				"", report_safe(x, "name"));
		if (half)
			printf("  %16s %swhat the host sends is not seen, no connection is "
			       "established%s%s%s\n",
				"", paint(RED), paint(PLAIN), *report_text(x, "out_why") ? ": " : "",
				report_safe(x, "out_why"));
	}
}

/* Entries of the configuration that match no interface. */
static void print_waiting(const json_t *waiting, bool serving)
{
	const json_t *x;
	size_t i;

	if (json_array_size(waiting))
		printf("\n%sno such interface   list%s\n", paint(BOLD), paint(PLAIN));
	json_array_foreach(waiting, i, x)
	{
		printf("  %-16s %sloader.%s%s: %s\n", report_safe(x, "entry"), paint(YELLOW),
			report_safe(x, "list"), paint(PLAIN),
			serving ? "attached when one appears" : "attached by the next load");
	}
}

static void print_report(const json_t *report)
{
	const json_t *x;
	size_t i;

	printf("\n%ssensor         state       by             can          what%s\n", paint(BOLD),
		paint(PLAIN));
	json_array_foreach(json_object_get(report, "sensors"), i, x)
	{
		print_sensor(x);
	}
	printf("\n%sinterface          in/out mode%s\n", paint(BOLD), paint(PLAIN));
	json_array_foreach(json_object_get(report, "interfaces"), i, x)
	{
		printf("  %-16s %-6s %s%s%s\n", report_safe(x, "name"), report_safe(x, "dir"),
			report_safe(x, "mode"), *report_text(x, "why") ? ": " : "", report_safe(x, "why"));
	}
	print_guard(json_object_get(report, "guard"));
	print_waiting(json_object_get(report, "waiting"), json_is_true(json_object_get(report, "serving")));
}

/* ---- whole ---- */

static int print_all(const char *run_dir)
{
	char error[256] = "";
	json_t *report = report_load(run_dir, error, sizeof(error));
	enum loader_state state = report_loader_state(run_dir, report);
	unsigned down = state == LOADER_DOWN;

	colour = cli_colour(stdout);
	printf("%sstage        state version      received    published     lost    lag ms  RSS MiB    CPU s "
	       " "
	       "sandbox%s\n",
		paint(BOLD), paint(PLAIN));
	print_loader(report, state, error);
	for (unsigned i = 0; ask_stages[i]; i++) {
		int e;
		json_t *status = ask_json(run_dir, ask_stages[i], "status", &e);

		down += !status;
		print_stage(ask_stages[i], status, e);
		json_decref(status);
	}
	if (report)
		print_report(report);
	json_decref(report);
	return down ? 1 : PST_EXIT_OK;
}

static int print_json(const char *run_dir)
{
	json_t *all = json_object(), *stages = json_object();
	PST_FREE char *text = NULL;
	char error[256] = "";
	json_t *report = report_load(run_dir, error, sizeof(error));
	enum loader_state state = report_loader_state(run_dir, report);
	unsigned down = state == LOADER_DOWN;

	for (unsigned i = 0; ask_stages[i]; i++) {
		int e;
		json_t *status = ask_json(run_dir, ask_stages[i], "status", &e);

		down += !status;
		json_object_set_new(
			stages, ask_stages[i], status ? status : json_pack("{s:s}", "error", ask_error(e)));
	}
	json_object_set_new(all, "stages", stages);
	json_object_set_new(all, "loader_state", json_string(loader_states[state]));
	json_object_set_new(all, "loader", report ? report : json_pack("{s:s}", "error", cli_safe(error)));
	text = json_dumps(all, JSON_INDENT(1) | JSON_ENSURE_ASCII);
	for (const char *p = text; p && *p; p++)
		*p == 0x7f ? fputs("\\u007f", stdout)
			   : putchar(*p); /* the one control character that jansson leaves */
	putchar('\n');
	json_decref(all);
	return down ? 1 : PST_EXIT_OK;
}

int status_main(int argc, char **argv)
{
	const struct pst_args args = {.program = "penstock status",
		.summary = "What runs, what was received, published and lost, and what each sensor can do on "
			   "this kernel. Exits with 1 if a process is down.",
		.options = status_options,
		.examples = "  penstock status\n  penstock status --json | jq .stages.collector.rss_bytes\n"};
	const char *run_dir;
	int e = pst_args_parse(&args, argc, argv);

	if (e)
		return e == -ECANCELED ? PST_EXIT_OK : PST_EXIT_USAGE;
	run_dir = cli_run_dir(opt.run_dir);
	return opt.json ? print_json(run_dir) : print_all(run_dir);
}
