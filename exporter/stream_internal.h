/* SPDX-License-Identifier: Apache-2.0 */
/* Shared by stream.c (one stream, live events) and stream_fill.c (reading the store). */
#ifndef EXPORTER_STREAM_INTERNAL_H
#define EXPORTER_STREAM_INTERNAL_H

#include "exporter/stream.h"
#include "proto/base/stat.h"

#define FILL_BYTES 65536 /* read from the store ahead of the client */

enum state { STREAM_SCAN, STREAM_FILL, STREAM_LIVE, STREAM_ENDED };

struct stream {
	struct streams *owner;
	struct stream *prev, *next;
	enum state state;
	enum stream_format format;
	bool follow, waiting, first;
	struct pst_filter *filter;
	uint64_t cursor; /* SCAN: down to here was looked at; FILL: next to send */
	uint64_t wanted; /* SCAN: matches still to find */
	uint64_t end;    /* not following: up to here */
	struct pst_buf out;
	size_t read; /* of out */
	uint64_t sent_ns;
	void (*wake)(void *arg);
	void *arg;
};

struct streams {
	struct streams_config config;
	struct stream *first, *last; /* the next to be served is the first */
	uint32_t n_followers, n_live;
	struct pst_source *pump, *heartbeat;
	struct pst_buf json;
	struct lazy_event scratch;
	char prefix[20]; /* epoch of the store, in hex, with the dash */
	struct pst_stat *clients, *lost, *sent;
};

void stream_set_state(struct stream *s, enum state state);
size_t stream_pending(const struct stream *s);
/* Something was written, or the end has come: the reader should look. */
void stream_wake(struct stream *s);
void stream_put_event(
	struct stream *s, uint64_t seq, const struct pst_event *event, const struct pst_buf *json);
void stream_put_lost(struct stream *s, uint64_t count);
void stream_finish(struct stream *s);
bool stream_matches(const struct pst_filter *filter, uint32_t kind, struct lazy_event *lazy, int64_t offset);
bool stream_check_memory(struct stream *s);

/* Is there anything to be done for it? */
bool stream_wants_slice(const struct stream *s);
/* Deferred: a slice for each stream that wants one. */
void streams_pump(void *arg);
void stream_link_last(struct stream *s);
void stream_unlink(struct stream *s);

#endif
