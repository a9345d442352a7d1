// SPDX-License-Identifier: Apache-2.0
/* A recording as source: at full speed as the subscribers take it, or in the recorded time. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "collector/source.h"
#include "proto/abi/guard.h"
#include "proto/abi/maps.h"
#include "proto/base/cleanup.h"
#include "proto/base/log.h"
#include "proto/base/stat.h"

#define TURN_RECORDS 2048
#define TABLE_SLOTS  65536
#define NODE_NS      10000000000ull

struct replay {
	struct pst_loop *loop;
	const struct config *config;
	struct sink *sink;
	struct recording recording;
	struct pst_source *timer;
	uint64_t started_ns, first_ns; /* real time: monotonic start, and the first record's time */
	uint64_t rounds;
	uint64_t node_ns;
	uint64_t waited; /* turns since the end, for --exit */
	struct pst_stat *played;
	int error; /* that ended it */
	bool done;
};

static void node(struct replay *r)
{
	uint64_t now = pst_now_mono_ns();

	if (r->node_ns && now - r->node_ns < NODE_NS)
		return;
	r->node_ns = now;
	sink_node(r->sink, r->config, r->recording.head.boot_id, r->recording.head.kernel);
}

/* Nanoseconds until a record of time @ts is due; 0: now. */
static uint64_t due_in(struct replay *r, uint64_t ts)
{
	double at;
	uint64_t elapsed;

	if (r->config->speed_factor == 0)
		return 0;
	if (!r->started_ns) {
		r->started_ns = pst_now_mono_ns();
		r->first_ns = ts;
	}
	at = ts > r->first_ns ? (double)(ts - r->first_ns) / r->config->speed_factor : 0;
	elapsed = pst_now_mono_ns() - r->started_ns;
	return at > (double)elapsed ? (uint64_t)(at - (double)elapsed) : 0;
}

static void finish(struct replay *r)
{
	bool drained;

	pst_bus_flush(r->sink->bus);
	drained = !pst_bus_backlog(r->sink->bus);
	if (!r->config->exit_after)
		return;
	/* 10 s at most: a subscriber that is not there does not keep us for ever. */
	if (drained || ++r->waited > 1000)
		pst_loop_stop(r->loop);
	else
		pst_timer_arm(r->timer, 10000000, 0);
}

int replay_result(const struct replay *r)
{
	return r && r->config->exit_after ? r->error : 0;
}

static bool end_of_round(struct replay *r, int error)
{
	r->error = error;
	if (error)
		pst_error("%s, the rest is not played path=%s offset=%llu error=%s",
			error == -EBADMSG ? "malformed record" : "can't read the recording",
			r->config->replay, (unsigned long long)r->recording.at, strerror(-error));
	if (error || ++r->rounds >= r->config->repeat) {
		r->done = true;
		pst_info("replay finished records=%llu", (unsigned long long)r->played->value);
		finish(r);
		return false;
	}
	recording_rewind(&r->recording);
	r->started_ns = 0;
	return true;
}

static void on_turn(void *arg)
{
	struct replay *r = arg;

	if (r->done) {
		finish(r);
		return;
	}
	node(r);
	for (unsigned i = 0; i < TURN_RECORDS; i++) {
		uint64_t at = r->recording.at;
		const struct pst_rec *rec;
		uint64_t wait;
		int error;

		if (pst_bus_congested(r->sink->bus))
			return; /* on_ready goes on */
		rec = recording_next(&r->recording, &error);
		if (!rec) {
			if (end_of_round(r, error))
				continue;
			return;
		}
		wait = due_in(r, rec->ts_ns);
		if (wait) {
			r->recording.at = at;
			pst_bus_flush(r->sink->bus);
			pst_timer_arm(r->timer, wait, 0);
			return;
		}
		sink_record(r->sink, rec, rec->size);
		r->played->value++;
	}
	pst_timer_arm(r->timer, 0, 0);
}

static void on_ready(void *arg)
{
	struct replay *r = arg;

	if (!pst_timer_armed(r->timer))
		pst_timer_arm(r->timer, 0, 0);
}

int replay_open(
	struct pst_loop *loop, const struct config *config, struct sink *sink, struct replay **ret_replay)
{
	struct replay *r = calloc(1, sizeof(*r));
	int e;

	if (!r)
		return -ENOMEM;
	r->loop = loop;
	r->config = config;
	r->sink = sink;
	r->played = pst_counter("played_records", "records of the recording played");
	e = recording_open(config->replay, &r->recording);
	e = e ? e : table_open(&sink->tables.flows, NULL, 1, TABLE_SLOTS, 0, 0);
	e = e ? e : table_open(&sink->tables.udp, NULL, 1, TABLE_SLOTS, 0, 0);
	e = e ? e : table_open(&sink->tables.drops, NULL, 1, PST_GUARD_FLOW_SLOTS, 0, 0);
	if (e) {
		replay_free(r);
		return e;
	}
	sink->wall_offset_ns = r->recording.head.wall_offset_ns;
	*ret_replay = r;
	return 0;
}

int replay_start(struct replay *r)
{
	int e = pst_loop_timer(r->loop, on_turn, r, &r->timer);

	if (e)
		return e;
	pst_bus_set_paced(r->sink->bus, true);
	pst_bus_on_ready(r->sink->bus, on_ready, r);
	pst_timer_arm(r->timer, 0, 0);
	return 0;
}

void replay_free(struct replay *r)
{
	if (!r)
		return;
	pst_source_free(r->timer);
	recording_close(&r->recording);
	table_close(&r->sink->tables.flows);
	table_close(&r->sink->tables.udp);
	table_close(&r->sink->tables.drops);
	free(r);
}
