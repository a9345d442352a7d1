// SPDX-License-Identifier: Apache-2.0
/* `penstock observe`: stored events from the exporter, live ones from the bus. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cli/ask.h"
#include "cli/cli.h"
#include "cli/commands.h"
#include "cli/watch.h"
#include "proto/base/cleanup.h"
#include "proto/wire/filter.h"

#define POLL_NS  100000000ull
#define AGAIN_NS 1000000000ull /* the exporter is away: it may be about to start again */
#define KEYS     13            /* since and until are options of their own */

static struct {
	const char *run_dir, *output, *since, *until;
	struct pst_arg_strs key[KEYS];
	uint64_t last;
	bool follow;
} opt;

#define KEY(i, name_, letter_, value_, help_)                                                                \
	{                                                                                                    \
		name_, letter_, PST_ARG_STRS, &opt.key[i], value_, help_                                     \
	}

/* In the order of the keys in key_names. */
const struct pst_arg observe_options[] = {
	KEY(0, "kind", 'k', "NAME", "kind of event, or a glob: process_exec, 'tcp_*' (several: any of them)"),
	KEY(1, "pid", 'p', "PID", "process"),
	KEY(2, "comm", 0, "NAME", "thread name, or a glob"),
	KEY(3, "exe", 0, "PATH", "program, or a glob"),
	KEY(4, "container", 0, "ID", "beginning of a container id"),
	KEY(5, "address", 'a', "ADDR", "address or CIDR at either end"),
	KEY(6, "port", 0, "PORT", "port at either end"),
	KEY(7, "user", 'u', "NAME", "user name"),
	KEY(8, "uid", 0, "UID", "user id"),
	KEY(9, "alert", 0, "BOOL", "true: only alerts"),
	KEY(10, "severity", 0, "LEVEL", "alerts of at least this severity"),
	KEY(11, "rule", 0, "NAME", "alerts of this rule, or a glob"),
	KEY(12, "policy", 0, "NAME", "what this policy took, or a glob"),
	{"since", 's', PST_ARG_STR, &opt.since, "TIME",
		"stored events from this time on: 5m (ago), 2026-01-31T12:00:00Z"},
	{"until", 0, PST_ARG_STR, &opt.until, "TIME", "stored events up to this time"},
	{"last", 'n', PST_ARG_U64, &opt.last, "N", "the last N stored events"},
	{"follow", 'f', PST_ARG_FLAG, &opt.follow, NULL,
		"go on with new events (the default without last, since, until)"},
	{"output", 'o', PST_ARG_STR, &opt.output, "FORM", "compact (default), json, jsonl"},
	{"run-dir", 0, PST_ARG_STR, &opt.run_dir, "DIR", "folder of the sockets"},
	{0},
};
static const char *const key_names[KEYS] = {"kind", "pid", "comm", "exe", "container", "address", "port",
	"user", "uid", "alert", "severity", "rule", "policy"};

struct observe {
	const char *run_dir;
	struct pst_loop *loop;
	struct pst_source *poll;
	struct show show;
	uint64_t epoch, after;
	bool seen, away;
	int error;
};

static int add_filter(struct pst_filter *f, const char *key, const char *text)
{
	char error[160];
	int e = pst_filter_add(f, key, text, pst_now_wall_ns(), error, sizeof(error));

	if (e)
		fprintf(stderr, "penstock observe: %s\n", error);
	return e;
}

static int make_filter(struct pst_filter **ret)
{
	int e = pst_filter_new(ret);

	for (unsigned k = 0; k < KEYS; k++)
		for (unsigned i = 0; i < opt.key[k].n && !e; i++)
			e = add_filter(*ret, key_names[k], opt.key[k].v[i]);
	e = e || !opt.since ? e : add_filter(*ret, "since", opt.since);
	return e || !opt.until ? e : add_filter(*ret, "until", opt.until);
}

static uint32_t count_keys(void)
{
	uint32_t n = (opt.since != NULL) + (opt.until != NULL);

	for (unsigned k = 0; k < KEYS; k++)
		n += opt.key[k].n > 0;
	return n;
}

static void put_filter(struct pst_buf *out)
{
	pst_mp_map(out, count_keys());
	for (unsigned k = 0; k < KEYS; k++) {
		if (!opt.key[k].n)
			continue;
		pst_mp_str(out, key_names[k]);
		pst_mp_array(out, opt.key[k].n);
		for (unsigned i = 0; i < opt.key[k].n; i++)
			pst_mp_str(out, opt.key[k].v[i]);
	}
	if (opt.since) {
		pst_mp_str(out, "since");
		pst_mp_str(out, opt.since);
	}
	if (opt.until) {
		pst_mp_str(out, "until");
		pst_mp_str(out, opt.until);
	}
}

static void show(struct observe *o, const msgpack_object *raw, int64_t wall_offset_ns)
{
	struct pst_cur cur;
	struct pst_event e;

	if (raw->type != MSGPACK_OBJECT_BIN)
		return;
	cur = pst_cur(raw->via.bin.ptr, raw->via.bin.size);
	if (pst_event_decode(&cur, &e) == 0)
		show_event(&o->show, &e, wall_offset_ns);
}

static void put_request(const struct observe *o, struct pst_buf *request)
{
	pst_mp_map(request, o->seen ? 4 : opt.last ? 3 : 2);
	pst_mp_str(request, "op");
	pst_mp_str(request, "events");
	pst_mp_str(request, "filter");
	put_filter(request);
	if (o->seen) {
		pst_mp_str(request, "epoch");
		pst_mp_uint(request, o->epoch);
		pst_mp_str(request, "after");
		pst_mp_uint(request, o->after);
	} else if (opt.last) {
		pst_mp_str(request, "last");
		pst_mp_uint(request, opt.last);
	}
}

static void take_reply(struct observe *o, const msgpack_object *reply, bool *ret_more)
{
	const msgpack_object *events = pst_ctl_get(reply, "events"), *more = pst_ctl_get(reply, "more"),
			     *offset = pst_ctl_get(reply, "wall_offset_ns");
	uint64_t skipped = 0;

	pst_ctl_u64(reply, "skipped", &skipped);
	if (o->seen && skipped)
		fprintf(stderr, "penstock observe: %llu events went out of the store before they were read\n",
			(unsigned long long)skipped);
	pst_ctl_u64(reply, "epoch", &o->epoch);
	o->seen = pst_ctl_u64(reply, "next", &o->after);
	for (uint32_t i = 0; events && events->type == MSGPACK_OBJECT_ARRAY && i < events->via.array.size;
		i++)
		show(o, &events->via.array.ptr[i], offset ? offset->via.i64 : 0);
	*ret_more = o->seen && more && more->type == MSGPACK_OBJECT_BOOLEAN && more->via.boolean;
}

/* One request; *ret_more: the store has more to give at once. */
static int ask(struct observe *o, bool *ret_more)
{
	PST_CLEANUP(pst_buf_done) struct pst_buf request = {0};
	msgpack_unpacked reply;
	char text[256];
	int e;

	*ret_more = false;
	put_request(o, &request);
	e = pst_ctl_call(o->run_dir, "exporter", request.p, request.len, ASK_TIMEOUT_MS, &reply);
	if (e < 0) {
		if (!o->away)
			fprintf(stderr, "penstock observe: the exporter, which keeps the events: %s\n",
				ask_error(e));
		return e;
	}
	if (pst_ctl_text(&reply.data, "error", text, sizeof(text))) {
		fprintf(stderr, "penstock observe: %s\n", cli_safe(text));
		e = -EINVAL;
	} else {
		take_reply(o, &reply.data, ret_more);
	}
	msgpack_unpacked_destroy(&reply);
	return e;
}

static void on_poll(void *arg)
{
	struct observe *o = arg;
	bool more = true;
	int e = 0;

	while (more && !e) {
		e = ask(o, &more);
		if (!show_flush(&o->show)) {
			pst_loop_stop(o->loop);
			return;
		}
	}
	/* A stage may be started again while we look on. */
	o->away = o->seen && (e == -ENOENT || e == -ECONNREFUSED || e == -ETIMEDOUT || e == -ECONNRESET);
	if (e && !o->away) {
		o->error = e;
		pst_loop_stop(o->loop);
		return;
	}
	pst_timer_arm(o->poll, e ? AGAIN_NS : POLL_NS, 0);
}

static int make_loop(struct observe *o)
{
	int e = pst_loop_new(&o->loop);

	return e ? e : pst_loop_signals(o->loop, NULL, NULL);
}

/* Again and again from where we were: nothing is missed or shown twice. */
static int follow_store(struct observe *o)
{
	int e = make_loop(o);

	e = e ? e : pst_loop_timer(o->loop, on_poll, o, &o->poll);
	if (e)
		return e;
	pst_timer_arm(o->poll, 0, 0);
	e = pst_loop_run(o->loop);
	return e ? e : o->error;
}

static int read_store(struct observe *o)
{
	bool more = true;
	int e = 0;

	while (more && !e) {
		e = ask(o, &more);
		if (!show_flush(&o->show) || (opt.last && o->show.shown >= opt.last))
			break;
	}
	return e;
}

static int live(struct observe *o, const struct pst_filter *filter, enum show_form form)
{
	const struct watch_options options = {.filter = filter, .form = form};
	struct watch *watch;
	int ended, e = watch_check(o->run_dir, "penstock observe");

	e = e ? e : make_loop(o);
	e = e ? e : watch_start(o->loop, o->run_dir, &options, &watch);
	if (e)
		return e;
	e = pst_loop_run(o->loop);
	ended = watch_free(watch);
	return e ? e : ended;
}

static int stored(struct observe *o, enum show_form form)
{
	int ended, e;

	show_init(&o->show, form, false);
	e = opt.follow ? follow_store(o) : read_store(o);
	if (e)
		o->show.form = SHOW_COMPACT; /* no array that looks complete */
	ended = show_end(&o->show);
	return e ? e : ended;
}

int observe_main(int argc, char **argv)
{
	const struct pst_args args = {.program = "penstock observe",
		.summary = "Shows events: those that were, those that come, or both.",
		.options = observe_options,
		.examples = "  penstock observe                                    all, as they come\n"
			    "  penstock observe --kind 'tcp_*' --address 10.0.0.0/8\n"
			    "  penstock observe --last 100 --output jsonl          the last hundred\n"
			    "  penstock observe --since 5m --follow --comm nginx\n"
			    "  penstock observe --alert true --severity error\n"};
	struct observe o = {0};
	struct pst_filter *filter = NULL;
	enum show_form form;
	int e = pst_args_parse(&args, argc, argv);

	if (e)
		return e == -ECANCELED ? PST_EXIT_OK : PST_EXIT_USAGE;
	if (show_parse(args.program, opt.output, &form) < 0 || make_filter(&filter) < 0) {
		pst_filter_free(filter);
		return PST_EXIT_USAGE;
	}
	o.run_dir = cli_run_dir(opt.run_dir);
	e = opt.last || opt.since || opt.until ? stored(&o, form) : live(&o, filter, form);
	pst_source_free(o.poll);
	pst_loop_free(o.loop);
	pst_filter_free(filter);
	return e < 0 ? PST_EXIT_SYSTEM : PST_EXIT_OK;
}
