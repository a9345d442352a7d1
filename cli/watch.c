// SPDX-License-Identifier: Apache-2.0
#include "cli/watch.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/ask.h"
#include "cli/cli.h"
#include "proto/base/cleanup.h"
#include "proto/wire/bus.h"
#include "proto/wire/ctl.h"

#define TOPICS ((1u << PST_TOPICS) - 1)

struct watch {
	struct pst_loop *loop;
	const char *run_dir;
	struct pst_bus *bus;
	struct pst_sub *enricher, *policyd;
	struct watch_options options;
	struct show show;
	int64_t wall_offset_ns;
};

static void on_event(struct watch *w, const struct pst_event *e)
{
	if (e->kind == PST_KIND_NODE)
		w->wall_offset_ns = e->sensor[PST_NODE_F_wall_offset_ns].i;
	if (w->options.filter && !pst_filter_match(w->options.filter, e, w->wall_offset_ns))
		return;
	if (w->options.on_event)
		w->options.on_event(w->options.arg, e);
	else
		show_event(&w->show, e, w->wall_offset_ns);
}

static void batch(struct watch *w, struct pst_sub *sub, const struct pst_batch *b)
{
	struct pst_batch_iter it;
	struct pst_event e;

	pst_batch_iter_init(&it, sub, b);
	while (!pst_loop_stopping(w->loop) && pst_batch_iter_next(&it, &e))
		on_event(w, &e);
	if (!show_flush(&w->show))
		pst_loop_stop(w->loop);
}

static void on_enricher(void *arg, const struct pst_batch *b)
{
	struct watch *w = arg;

	batch(w, w->enricher, b);
}

static void on_policyd(void *arg, const struct pst_batch *b)
{
	struct watch *w = arg;

	batch(w, w->policyd, b);
}

static void on_loss(void *arg, enum pst_topic topic, const char *cause, uint64_t count)
{
	(void)arg;
	fprintf(stderr, "penstock: %llu events of topic %s were lost on the way to here (%s)\n",
		(unsigned long long)count, pst_topic_name(topic), cause);
}

int watch_start(struct pst_loop *loop, const char *run_dir, const struct watch_options *options,
	struct watch **ret_watch)
{
	struct watch *w = calloc(1, sizeof(*w));
	const char *as = options ? options->as_stage : NULL;
	const struct pst_bus_config bus = {
		.stage = as ? as : "cli", .run_dir = run_dir, .node = "", .ephemeral = !as};
	struct pst_sub_config sub = {.publisher = "enricher",
		.topics = TOPICS & ~(1u << PST_TOPIC_ALERT),
		.resume = as ? PST_RESUME_OWN : PST_RESUME_NONE,
		.on_batch = on_enricher,
		.on_loss = on_loss,
		.arg = w};
	int e;

	if (!w)
		return -ENOMEM;
	w->loop = loop;
	w->run_dir = run_dir;
	if (options)
		w->options = *options;
	/* What `penstock up` shows must not hold up what it supervises. */
	show_init(&w->show, w->options.form, !options);
	w->wall_offset_ns = w->options.wall_offset_ns ? *w->options.wall_offset_ns
						      : (int64_t)(pst_now_wall_ns() - pst_now_boot_ns());
	e = pst_bus_open(loop, &bus, &w->bus);
	e = e ? e : pst_bus_subscribe(w->bus, &sub, &w->enricher);
	sub.publisher = "policyd";
	sub.topics = 1u << PST_TOPIC_ALERT;
	sub.on_batch = on_policyd;
	e = e ? e : pst_bus_subscribe(w->bus, &sub, &w->policyd);
	e = e ? e : pst_bus_start(w->bus);
	if (e) {
		w->show.form = SHOW_COMPACT; /* no empty array for what never began */
		watch_free(w);
		return e;
	}
	*ret_watch = w;
	return 0;
}

static bool caught_up(const struct watch *w, const struct pst_sub *sub, const char *publisher)
{
	PST_CLEANUP(pst_buf_done) struct pst_buf request = {0};
	struct pst_sub_state state;
	const msgpack_object *topics;
	msgpack_unpacked reply;
	bool good = true;

	pst_mp_map(&request, 1);
	pst_mp_str(&request, "op");
	pst_mp_str(&request, "cursor");
	if (pst_ctl_call(w->run_dir, publisher, request.p, request.len, 1000, &reply) < 0)
		return false;
	pst_sub_state(sub, &state);
	topics = pst_ctl_get(&reply.data, "topics");
	for (int t = 0; t < PST_TOPICS; t++) {
		const msgpack_object *topic = topics ? pst_ctl_get(topics, pst_topic_name(t)) : NULL;
		uint64_t next = 0;

		if (topic && pst_ctl_u64(topic, "next_seq", &next) && next && state.next_seq[t] < next)
			good = false;
	}
	msgpack_unpacked_destroy(&reply);
	return good;
}

bool watch_caught_up(struct watch *w)
{
	return caught_up(w, w->enricher, "enricher") && caught_up(w, w->policyd, "policyd");
}

int watch_free(struct watch *w)
{
	int e;

	if (!w)
		return 0;
	pst_bus_free(w->bus);
	if (w->options.on_event)
		w->show.form = SHOW_COMPACT;
	e = show_end(&w->show);
	free(w);
	return e;
}

int watch_check(const char *run_dir, const char *program)
{
	int e;
	json_t *status = ask_json(run_dir, "enricher", "cursor", &e);

	json_decref(status);
	if (status)
		return 0;
	fprintf(stderr, "%s: the enricher, which has the events: %s (%s/enricher.ctl)\n", program,
		ask_error(e), run_dir);
	return e;
}
