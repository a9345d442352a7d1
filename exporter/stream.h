/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a client of /api/v1/events reads: events from the store and then, when it follows, live ones. Knows
 * nothing of HTTP.
 *
 * A stream that keeps up gets each event in the turn in which it comes. One that does not falls back to
 * reading the store at its own pace; only when the store has dropped what it had not read yet, that is
 * counted lost and told to it. Long searches are done in slices between other work.
 */
#ifndef EXPORTER_STREAM_H
#define EXPORTER_STREAM_H

#include "exporter/config.h"
#include "exporter/counts.h"
#include "exporter/lazy.h"
#include "exporter/store.h"
#include "proto/base/loop.h"
#include "proto/wire/filter.h"

struct streams;
struct stream;

enum stream_format { STREAM_LINES, STREAM_ARRAY, STREAM_SSE };

struct stream_query {
	enum stream_format format;
	bool follow;
	struct pst_filter *filter; /* NULL: all; taken on success */
	bool all;                  /* from the oldest on; else the last @last that match */
	uint64_t last;
	uint64_t resume_epoch, resume_seq; /* epoch 0: not a resumption; else go on after this event */
};

struct streams_config {
	struct pst_loop *loop;
	const struct store *store;
	const struct counts *counts; /* for the clock */
	uint32_t max_followers;
	size_t queue_bytes;
	uint64_t heartbeat_ns;
};

int streams_new(const struct streams_config *config, struct streams **ret_streams);
void streams_free(struct streams *streams); /* no stream may be open; NULL is fine */
/* An event that was just stored. */
void streams_event(struct streams *streams, const struct store_event *stored, struct lazy_event *lazy);
uint32_t streams_followers(const struct streams *streams);
/* Ends all: readers get what is waiting and then the end. */
void streams_end(struct streams *streams);

/* @wake is called, from the loop, when there is something to read after stream_read had nothing. 0; -EBUSY:
 * too many followers; -ENOMEM. */
int stream_open(struct streams *streams, const struct stream_query *query, void (*wake)(void *arg), void *arg,
	struct stream **ret_stream);
void stream_close(struct stream *stream);
/* Bytes copied; 0: nothing now; -1: the end. */
ssize_t stream_read(struct stream *stream, char *buf, size_t max);
/* The reader is gone: end it at the next read. */
void stream_end(struct stream *stream);

/* "<epoch>-<number>", as in `id:` and Last-Event-ID. 0 or -EINVAL. */
int stream_id_parse(const char *text, uint64_t *ret_epoch, uint64_t *ret_seq);

/* Number of the oldest of the last @last events that match, looking at no more than the store holds. -ETIME:
 * it takes longer than until @stop_ns. */
int stream_find_last(const struct store *store, const struct pst_filter *filter, uint64_t last,
	int64_t wall_offset_ns, uint64_t stop_ns, uint64_t *ret_seq);

#endif
