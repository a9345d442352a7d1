// SPDX-License-Identifier: Apache-2.0
/* penstock-collector: kernel records to events on the bus. */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "collector/record_op.h"
#include "collector/source.h"
#include "proto/base/cleanup.h"
#include "proto/base/log.h"
#include "proto/base/notify.h"
#include "proto/base/sandbox.h"
#include "proto/base/stat.h"
#include "proto/wire/ctl.h"

#define TOPICS (1u << PST_TOPIC_PROC | 1u << PST_TOPIC_NET | 1u << PST_TOPIC_FLOW | 1u << PST_TOPIC_META)

struct stage {
	const struct config *config;
	struct pst_loop *loop;
	struct pst_bus *bus;
	struct sink sink;
	struct live *live;
	struct replay *replay;
	struct record_op *record_op;
};

static void stage_done(struct stage *s)
{
	/* First: what it commits at its end it tells the source. */
	pst_bus_free(s->bus);
	live_free(s->live);
	replay_free(s->replay);
	record_op_free(s->record_op);
	recorder_free(s->sink.recorder);
	names_done(&s->sink.names);
	pst_buf_done(&s->sink.convert.list);
	free(s->sink.report_path);
	pst_loop_free(s->loop);
}

static void record_slot(void *arg, const struct pst_rec *rec)
{
	struct sink *sink = arg;

	if (sink->recorder)
		recorder_write(sink->recorder, rec);
}

static int parse_speed(struct config *config)
{
	char *end;

	if (!strcmp(config->speed, "max"))
		config->speed_factor = 0;
	else if (!strcmp(config->speed, "real"))
		config->speed_factor = 1;
	else {
		config->speed_factor = strtod(config->speed, &end);
		if (*end || !isfinite(config->speed_factor) || config->speed_factor <= 0) {
			pst_error(
				"--speed: expected max, real or a factor above 0, got \"%s\"", config->speed);
			return -EINVAL;
		}
	}
	return 0;
}

static int open_bus(struct stage *s, const struct config *config)
{
	static const char *const subscribers[] = {"enricher", NULL};
	struct pst_bus_config bus = {.stage = "collector",
		.run_dir = config->common.run_dir,
		.node = config->common.node,
		.topics = TOPICS,
		.retention_bytes = config->retention_bytes,
		.subscribers = subscribers,
		.user_prefix = config->common.user_prefix};

	int e = pst_bus_open(s->loop, &bus, &s->bus);

	return e ? e : record_op_open(s->loop, s->bus, config, &s->sink, &s->record_op);
}

static void init_sink(struct stage *s)
{
	s->sink.convert.names = &s->sink.names;
	s->sink.tables = (struct tables){
		.convert = &s->sink.convert, .config = s->config, .on_read = record_slot, .arg = &s->sink};
}

/* What the caller may read and write and the stage's user may not: recordings. */
static int open_files(struct stage *s)
{
	int e = s->config->record ? recorder_open(s->config->record, &s->sink.recorder) : 0;

	return e || !s->config->replay ? e : replay_open(s->loop, s->config, &s->sink, &s->replay);
}

static int open_source(struct stage *s)
{
	s->sink.bus = s->sink.tables.bus = s->bus;
	return s->replay ? 0 : live_open(s->loop, s->config, &s->sink, &s->live);
}

static int enter_sandbox(struct stage *s, const struct config *config)
{
	const struct pst_sandbox_path paths[] = {
		{config->common.run_dir, PST_PATH_READ | PST_PATH_WRITE | PST_PATH_CREATE},
		{"/proc/sys/kernel/random/boot_id", PST_PATH_READ},
		{NULL, 0},
	};
	const struct pst_sandbox sandbox = {.paths = paths};
	struct pst_sandbox_level level;
	int e = pst_sandbox_enter(&sandbox, &level);

	if (!e)
		pst_bus_set_sandbox(s->bus, level.text);
	return e;
}

static int run(struct config *config)
{
	PST_CLEANUP(stage_done) struct stage s = {.config = config};
	PST_FREE char *user = pst_stage_user(&config->common, "collector");
	int e;

	if (!user)
		return -ENOMEM;
	e = pst_loop_new(&s.loop);
	e = e ? e : pst_loop_signals(s.loop, NULL, NULL);
	e = e ? e : pst_notify_open();
	init_sink(&s);
	e = e ? e : open_files(&s);
	if (!e && *user)
		e = pst_sandbox_drop_user(user);
	pst_stat_open();
	e = e ? e : open_bus(&s, config);
	e = e ? e : open_source(&s);
	e = e ? e : enter_sandbox(&s, config);
	e = e ? e : pst_bus_start(s.bus);
	e = e ? e : s.live ? live_start(s.live) : replay_start(s.replay);
	if (e)
		return e;
	pst_notify_ready();
	pst_info("ready source=%s", config->replay ? config->replay : "kernel");
	e = pst_loop_run(s.loop);
	pst_notify_stopping();
	return e ? e : replay_result(s.replay);
}

int main(int argc, char **argv)
{
	struct config *config = &collector_config;
	int e = pst_stage_configure(&collector_desc, argc, argv, &config->common, config, NULL);

	if (e)
		return e == PST_STAGE_DONE ? PST_EXIT_OK : PST_EXIT_USAGE;
	if (parse_speed(config) < 0)
		return PST_EXIT_USAGE;
	e = run(config);
	if (e < 0)
		pst_error("stopped error=%s", strerror(-e));
	pst_common_done(&config->common);
	/* A malformed recording does not get better by trying again. */
	if (e == -EBADMSG && config->replay)
		return PST_EXIT_USAGE;
	return e < 0 ? PST_EXIT_SYSTEM : PST_EXIT_OK;
}
