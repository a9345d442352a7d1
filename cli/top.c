// SPDX-License-Identifier: Apache-2.0
/* `penstock top`: processes by events, connections by bytes, the guard's verdicts and interfaces, over the
 * last interval. */
#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "cli/cli.h"
#include "cli/commands.h"
#include "cli/top_guard.h"
#include "cli/top_iface.h"
#include "cli/watch.h"
#include "proto/base/cache.h"
#include "proto/base/cleanup.h"
#include "proto/base/log.h"

#define ENTRIES_MAX 16384
#define NAME_LEN    48
#define TALK_LEN    160
#define ROWS_MAX    1000

static struct {
	const char *run_dir;
	uint64_t interval_ns, rows;
	bool once, json;
} opt = {.interval_ns = 2000000000ull};

const struct pst_arg top_options[] = {
	{"interval", 'i', PST_ARG_TIME, &opt.interval_ns, "TIME", "length of an interval (default 2s)"},
	{"rows", 'n', PST_ARG_U64, &opt.rows, "N",
		"rows of each table (default: 15, or what fits on the terminal)"},
	{"once", '1', PST_ARG_FLAG, &opt.once, NULL, "one interval, then end"},
	{"json", 'j', PST_ARG_FLAG, &opt.json, NULL, "one JSON object an interval"},
	{"run-dir", 0, PST_ARG_STR, &opt.run_dir, "DIR", "folder of the sockets"},
	{0},
};

struct proc_key {
	uint64_t start_ns, pid;
};
struct proc_row {
	char name[NAME_LEN];
	uint64_t pid, events, execs, connects, udp_bytes;
};
struct talk_key {
	uint64_t a, b; /* hash of the ends: two different ones practically never meet */
};
struct talk_row {
	char text[TALK_LEN], verdict[16], reason[32], rule[NAME_LEN];
	uint64_t packets, bytes;
};

struct top {
	struct pst_loop *loop;
	struct pst_source *timer;
	struct watch *watch;
	struct pst_cache *procs, *talks;
	struct top_guard guard;
	uint64_t events, since_ns;
	bool terminal;
	int error;
};

static uint64_t number(const struct pst_event *e, const char *name)
{
	const struct pst_field *f;
	const struct pst_val *v = pst_event_field(e, name, &f);

	return v && f->type == PST_T_U ? v->u : 0;
}

static void text(const struct pst_event *e, const char *name, char *buf, size_t size)
{
	const struct pst_field *f;
	const struct pst_val *v = pst_event_field(e, name, &f);
	char raw[256];
	size_t n = v ? pst_val_text(v, f, raw, sizeof(raw)) : 0;

	pst_log_escape(buf, (unsigned)size, raw, (unsigned)n);
}

static void count_process(struct top *t, const struct pst_event *e)
{
	struct proc_key key = {.start_ns = number(e, "start_ns"), .pid = number(e, "pid")};
	struct proc_row *row = key.pid ? pst_cache_put(t->procs, &key, NULL) : NULL;

	if (!row)
		return;
	text(e, "comm", row->name, sizeof(row->name));
	row->pid = key.pid;
	row->events++;
	row->execs += e->kind == PST_KIND_EXEC;
	row->connects += e->kind == PST_KIND_CONNECT || e->kind == PST_KIND_ACCEPT;
	if (e->kind == PST_KIND_UDP)
		row->udp_bytes += number(e, "bytes_sent") + number(e, "bytes_received");
}

/* address:port, IPv6 in brackets */
static void end_text(const struct pst_event *e, const char *addr, const char *port, char *buf, size_t size)
{
	char address[48];
	bool v6;

	text(e, addr, address, sizeof(address));
	v6 = strchr(address, ':');
	snprintf(buf, size, "%s%s%s:%u", v6 ? "[" : "", address, v6 ? "]" : "", (unsigned)number(e, port));
}

static void count_talk(struct top *t, const struct pst_event *e)
{
	char from[64], to[64], protocol[16], line[TALK_LEN];
	struct talk_key key;
	struct talk_row *row;
	int n;

	end_text(e, "saddr", "sport", from, sizeof(from));
	end_text(e, "daddr", "dport", to, sizeof(to));
	text(e, "protocol", protocol, sizeof(protocol));
	n = snprintf(line, sizeof(line), "%s %s → %s", protocol, from, to);
	key.a = pst_hash(line, (size_t)n);
	key.b = number(e, "flow_id");
	row = pst_cache_put(t->talks, &key, NULL);
	if (!row)
		return;
	memcpy(row->text, line, (size_t)n + 1);
	text(e, "verdict", row->verdict, sizeof(row->verdict));
	text(e, "last_reason", row->reason, sizeof(row->reason));
	text(e, "last_fw_rule", row->rule, sizeof(row->rule));
	row->packets += number(e, "delta_packets");
	row->bytes += number(e, "delta_bytes");
}

static void on_event(void *arg, const struct pst_event *e)
{
	struct top *t = arg;

	t->events++;
	if (e->kind == PST_KIND_FLOW)
		count_talk(t, e);
	else
		count_process(t, e);
}

static int by_events(const void *a, const void *b)
{
	const struct proc_row *x = *(struct proc_row *const *)a, *y = *(struct proc_row *const *)b;

	return x->events < y->events ? 1 : -(x->events > y->events);
}

static int by_bytes(const void *a, const void *b)
{
	const struct talk_row *x = *(struct talk_row *const *)a, *y = *(struct talk_row *const *)b;

	return x->bytes < y->bytes ? 1 : -(x->bytes > y->bytes);
}

/* Pointers to the cache's values, sorted; owned. */
static void **sorted(struct pst_cache *cache, int (*order)(const void *, const void *), size_t *ret_n)
{
	void **rows = calloc(pst_cache_count(cache) + 1, sizeof(*rows)), *value;
	uint32_t cursor = UINT32_MAX;
	const void *key;

	*ret_n = 0;
	while (rows && pst_cache_next(cache, &cursor, &key, &value))
		rows[(*ret_n)++] = value;
	if (rows)
		qsort(rows, *ret_n, sizeof(*rows), order);
	return rows;
}

static size_t rows_shown(const struct top *t)
{
	int tables = 2 + !!json_array_size(t->guard.rows) + !!json_array_size(t->guard.moved);
	int frame = 3 * tables;
	struct winsize size;

	if (opt.rows)
		return opt.rows;
	if (!t->terminal || ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) < 0 || !size.ws_row)
		return 15;
	return size.ws_row > frame + tables ? (size_t)((size.ws_row - frame) / tables)
					    : 1; /* frame: no rows */
}

static void print_processes(struct top *t, double seconds, size_t rows)
{
	size_t n;
	PST_FREE void **procs = sorted(t->procs, by_events, &n);

	printf("%10s %8s %8s %12s %8s  %s\n", "events/s", "execs/s", "conns/s", "UDP bytes/s", "pid",
		"process");
	for (size_t i = 0; i < n && i < rows; i++) {
		const struct proc_row *r = procs[i];

		printf("%10.1f %8.1f %8.1f %12.0f %8llu  %s\n", (double)r->events / seconds,
			(double)r->execs / seconds, (double)r->connects / seconds,
			(double)r->udp_bytes / seconds, (unsigned long long)r->pid, r->name);
	}
}

static void print_flows(struct top *t, double seconds, size_t rows)
{
	size_t n;
	PST_FREE void **talks = sorted(t->talks, by_bytes, &n);

	printf("\n%12s %10s  %s\n", "bytes/s", "packets/s", "flow");
	for (size_t i = 0; i < n && i < rows; i++) {
		const struct talk_row *r = talks[i];

		printf("%12.0f %10.1f  %s%s%s%s%s\n", (double)r->bytes / seconds,
			(double)r->packets / seconds, r->text, *r->verdict ? "  " : "", r->verdict,
			*r->rule     ? " by "
			: *r->reason ? ": "
				     : "",
			*r->rule ? r->rule : r->reason);
	}
}

static void print_tables(struct top *t, double seconds)
{
	size_t rows = rows_shown(t);

	if (t->terminal)
		fputs("\033[H\033[2J\033[?7l", stdout); /* long lines are cut, not wrapped */
	printf("%.0f events/s\n\n", (double)t->events / seconds);
	print_processes(t, seconds, rows);
	print_flows(t, seconds, rows);
	top_guard_print(&t->guard, seconds, rows);
	top_iface_print(t->guard.moved, seconds, rows);
	if (t->terminal)
		fputs("\033[?7h", stdout);
	fflush(stdout);
}

static json_t *json_processes(struct top *t, double seconds, size_t rows)
{
	json_t *list = json_array();
	size_t n;
	PST_FREE void **procs = sorted(t->procs, by_events, &n);

	for (size_t i = 0; i < n && i < rows; i++) {
		const struct proc_row *r = procs[i];

		json_array_append_new(
			list, json_pack("{s:s, s:I, s:f, s:f, s:f, s:f}", "comm", r->name, "pid",
				      (json_int_t)r->pid, "events_per_second", (double)r->events / seconds,
				      "execs_per_second", (double)r->execs / seconds,
				      "connections_per_second", (double)r->connects / seconds,
				      "udp_bytes_per_second", (double)r->udp_bytes / seconds));
	}
	return list;
}

static json_t *json_flows(struct top *t, double seconds, size_t rows)
{
	json_t *list = json_array();
	size_t n;
	PST_FREE void **talks = sorted(t->talks, by_bytes, &n);

	for (size_t i = 0; i < n && i < rows; i++) {
		const struct talk_row *r = talks[i];

		json_array_append_new(
			list, json_pack("{s:s, s:f, s:f, s:s, s:s, s:s}", "flow", r->text, "bytes_per_second",
				      (double)r->bytes / seconds, "packets_per_second",
				      (double)r->packets / seconds, "verdict", r->verdict, "reason",
				      r->reason, "fw_rule", r->rule));
	}
	return list;
}

static void print_json(struct top *t, double seconds)
{
	size_t rows = rows_shown(t);
	json_t *root = json_pack("{s:f, s:f, s:o, s:o, s:o, s:o}", "seconds", seconds, "events_per_second",
		(double)t->events / seconds, "processes", json_processes(t, seconds, rows), "flows",
		json_flows(t, seconds, rows), "guard", top_guard_json(&t->guard, seconds, rows), "interfaces",
		top_iface_json(t->guard.moved, seconds));

	json_dumpf(root, stdout, JSON_COMPACT);
	putchar('\n');
	fflush(stdout);
	json_decref(root);
}

static void clear(struct pst_cache *cache)
{
	uint32_t cursor = UINT32_MAX;
	const void *key;
	void *value;

	while (pst_cache_next(cache, &cursor, &key, &value))
		pst_cache_remove(cache, key);
}

static void on_interval(void *arg)
{
	struct top *t = arg;
	uint64_t now = pst_now_mono_ns();
	double seconds = (double)(now - t->since_ns) / 1e9;

	top_guard_sample(&t->guard, cli_run_dir(opt.run_dir));
	if (opt.json)
		print_json(t, seconds);
	else
		print_tables(t, seconds);
	clear(t->procs);
	clear(t->talks);
	t->events = 0;
	t->since_ns = now;
	if (ferror(stdout))
		t->error = -errno;
	if (opt.once || t->error)
		pst_loop_stop(t->loop);
}

static int start(struct top *t)
{
	const struct watch_options options = {.on_event = on_event, .arg = t};
	int e = watch_check(cli_run_dir(opt.run_dir), "penstock top");

	e = e ? e
	      : pst_cache_new(
			sizeof(struct proc_key), sizeof(struct proc_row), ENTRIES_MAX, NULL, NULL, &t->procs);

	e = e ? e
	      : pst_cache_new(
			sizeof(struct talk_key), sizeof(struct talk_row), ENTRIES_MAX, NULL, NULL, &t->talks);
	e = e ? e : pst_loop_new(&t->loop);
	e = e ? e : pst_loop_signals(t->loop, NULL, NULL);
	e = e ? e : watch_start(t->loop, cli_run_dir(opt.run_dir), &options, &t->watch);
	e = e ? e : pst_loop_timer(t->loop, on_interval, t, &t->timer);
	if (e)
		return e;
	if (t->terminal) {
		printf("the first interval ends in %.1f s\n", (double)opt.interval_ns / 1e9);
		fflush(stdout);
	}
	top_guard_sample(&t->guard, cli_run_dir(opt.run_dir));
	t->since_ns = pst_now_mono_ns();
	pst_timer_arm(t->timer, opt.interval_ns, opt.interval_ns);
	return pst_loop_run(t->loop);
}

int top_main(int argc, char **argv)
{
	const struct pst_args args = {.program = "penstock top",
		.summary = "Processes by events, flows by bytes, what the guard did and on which interface, "
			   "interval by interval.",
		.options = top_options,
		.examples = "  penstock top\n  penstock top --once --interval 10s --json\n"};
	struct top t = {0};
	int e = pst_args_parse(&args, argc, argv);

	if (e)
		return e == -ECANCELED ? PST_EXIT_OK : PST_EXIT_USAGE;
	if (!opt.interval_ns || opt.rows > ROWS_MAX) {
		fprintf(stderr, "penstock top: expected an interval above 0 and at most %d rows\n", ROWS_MAX);
		return PST_EXIT_USAGE;
	}
	t.terminal = isatty(STDOUT_FILENO) && !opt.json && !opt.once;
	e = start(&t);
	pst_source_free(t.timer);
	watch_free(t.watch);
	pst_loop_free(t.loop);
	pst_cache_free(t.procs);
	pst_cache_free(t.talks);
	top_guard_done(&t.guard);
	if (t.error && t.error != -EPIPE)
		fprintf(stderr, "penstock top: %s\n", strerror(-t.error));
	return e < 0 || (t.error && t.error != -EPIPE) ? PST_EXIT_SYSTEM : PST_EXIT_OK;
}
