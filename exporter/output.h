/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Events to a file, one JSON object a line. Rotated by size: path.1 is the newest of the old ones. A disk
 * that is full, or any other error, loses lines (whole ones; counted) and is tried again; it never stops the
 * exporter. Each event is in it once, also across kill -9: what was written is committed together with the
 * position in the events.
 */
#ifndef EXPORTER_OUTPUT_H
#define EXPORTER_OUTPUT_H

#include "exporter/config.h"
#include "proto/base/loop.h"
#include "proto/wire/event.h"

struct output;

/* The end of the file after an event. */
struct output_mark {
	uint64_t file; /* inode; 0: none was open */
	uint64_t size;
	uint64_t number; /* grows from mark to mark */
};

/* Touches no file yet. @config->output_path must be set; the strings are not copied. 0 or -errno. */
int output_new(struct pst_loop *loop, const struct exporter_config *config, struct output **ret_output);
/* Opens (and makes) the file; in the sandbox, as the stage's user. 0 or -errno with a log line. */
int output_open(struct output *output);
/* Before output_open, after a restart: the files as they were at @mark. 0 or -errno with a log line. */
int output_recover(const char *path, uint64_t keep, const struct output_mark *mark);
/* Writes what is waiting, and says where the file ends then. Marks are numbered on from @last_number of the
 * run before. */
void output_mark(struct output *output, struct output_mark *ret_mark);
void output_number_marks(struct output *output, uint64_t last_number);
void output_free(struct output *output); /* writes what is waiting; NULL is fine */
/* Is an event of this kind written? Alerts are asked for apart. */
bool output_wants(const struct output *output, uint32_t kind, bool alert);
/* Take a decoded event. Written at the end of the loop's turn at the latest. */
void output_event(struct output *output, const struct pst_event *event, int64_t wall_offset_ns);
void output_flush(struct output *output);
/* Somebody moved the file away (SIGHUP): open the path again. */
void output_reopen(struct output *output);
/* Did the last write succeed? */
bool output_healthy(const struct output *output);

#endif
