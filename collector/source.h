/* SPDX-License-Identifier: Apache-2.0 */
/* Where records come from: the kernel's rings and tables (live.c) or a recording (replay.c). */
#ifndef COLLECTOR_SOURCE_H
#define COLLECTOR_SOURCE_H

#include "collector/config.h"
#include "collector/convert.h"
#include "collector/record.h"
#include "collector/tables.h"
#include "proto/base/fds.h"
#include "proto/base/loop.h"
#include "proto/wire/bus.h"

/* What both sources feed: records in, events on the bus. */
struct sink {
	struct pst_bus *bus;
	struct convert convert;
	struct tables tables;
	struct names names;
	struct recorder *recorder; /* NULL: none */
	int64_t wall_offset_ns;    /* of the source's clock */
	char *report_path;         /* loader.json; NULL in a replay */
};

/* One record to its topic. Malformed ones are counted. */
void sink_record(struct sink *sink, const struct pst_rec *rec, size_t len);
/* node_info and events_lost events. */
void sink_node(struct sink *sink, const struct config *config, const char *boot_id, const char *kernel);
void sink_loss(struct sink *sink, const char *where, const char *cause, uint64_t count);

struct live;
/* Before the sandbox: descriptors, mappings, state files. 0 or -errno. */
int live_open(struct pst_loop *loop, const struct config *config, struct sink *sink, struct live **ret_live);
/* In the sandbox, bus started: begin to drain. */
int live_start(struct live *live);
void live_free(struct live *live); /* NULL is fine */

struct replay;
int replay_open(
	struct pst_loop *loop, const struct config *config, struct sink *sink, struct replay **ret_replay);
int replay_start(struct replay *replay);
/* What a run that ends with its recording ends with: 0; -EBADMSG, -errno: not all of it was played. NULL is
 * fine. */
int replay_result(const struct replay *replay);
void replay_free(struct replay *replay);

#endif
