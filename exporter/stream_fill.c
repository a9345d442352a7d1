// SPDX-License-Identifier: Apache-2.0
/* Streams that read the store: slices of searching and sending between other work. */
#include "exporter/stream_internal.h"

#include <errno.h>

#include "proto/base/cleanup.h"
#include "proto/wire/json.h"

#define SLICE_EVENTS 512     /* looked at for one stream before the next has its turn */
#define TURN_NS      5000000 /* searching within one turn of the loop */

static bool match_stored(struct streams *ss, const struct pst_filter *filter, uint64_t seq, int64_t offset)
{
	struct store_event stored;

	if (!store_get(ss->config.store, seq, &stored))
		return false;
	lazy_init(&ss->scratch, stored.raw, stored.len);
	return stream_matches(filter, stored.kind, &ss->scratch, offset);
}

/* What a filter costs is up to whoever asked and to whoever chose the names in the events. */
static bool late(const struct stream *s, unsigned looked_at, uint64_t stop_ns)
{
	return looked_at && s->filter && pst_now_mono_ns() > stop_ns;
}

/* Backwards from the end. */
static void scan_slice(struct stream *s, int64_t offset, uint64_t stop_ns)
{
	struct streams *ss = s->owner;
	uint64_t oldest = store_oldest(ss->config.store);

	for (unsigned i = 0; i < SLICE_EVENTS && s->wanted && s->cursor > oldest && !late(s, i, stop_ns); i++)
		if (match_stored(ss, s->filter, --s->cursor, offset))
			s->wanted--;
	if (!s->wanted || s->cursor <= oldest)
		stream_set_state(s, STREAM_FILL);
}

static void skip_lost(struct stream *s)
{
	uint64_t oldest = store_oldest(s->owner->config.store);

	if (s->cursor >= oldest)
		return;
	stream_put_lost(s, oldest - s->cursor);
	s->cursor = oldest;
}

static void fill_slice(struct stream *s, int64_t offset, uint64_t stop_ns)
{
	struct streams *ss = s->owner;
	uint64_t next = store_next(ss->config.store);
	uint64_t end = s->follow ? next : PST_MIN(s->end, next);

	skip_lost(s);
	for (unsigned i = 0;
		i < SLICE_EVENTS && s->cursor < end && stream_pending(s) < FILL_BYTES && !late(s, i, stop_ns);
		i++, s->cursor++) {
		if (!match_stored(ss, s->filter, s->cursor, offset))
			continue;
		ss->json.len = 0;
		pst_json_event(&ss->json, &ss->scratch.event, offset);
		stream_put_event(s, s->cursor, &ss->scratch.event, &ss->json);
	}
	if (!stream_check_memory(s))
		return;
	if (s->cursor >= end && s->follow)
		stream_set_state(s, STREAM_LIVE);
	else if (s->cursor >= end)
		stream_finish(s);
	stream_wake(s);
}

bool stream_wants_slice(const struct stream *s)
{
	return s->state == STREAM_SCAN || (s->state == STREAM_FILL && stream_pending(s) < FILL_BYTES / 2);
}

/* Each stream that has something to do gets a slice, in turn, until the time is up. */
void streams_pump(void *arg)
{
	struct streams *ss = arg;
	int64_t offset = counts_wall_offset(ss->config.counts);
	uint64_t stop_ns = pst_now_mono_ns() + TURN_NS;
	unsigned n = 0;

	for (struct stream *s = ss->first; s; s = s->next)
		n++;
	while (n-- && ss->first) {
		struct stream *s = ss->first;

		stream_unlink(s);
		stream_link_last(s);
		if (!stream_wants_slice(s))
			continue;
		if (s->state == STREAM_SCAN)
			scan_slice(s, offset, stop_ns);
		else
			fill_slice(s, offset, stop_ns);
		if (stream_wants_slice(s))
			pst_defer_arm(ss->pump);
		if (pst_now_mono_ns() > stop_ns) {
			pst_defer_arm(ss->pump);
			return;
		}
	}
}

int stream_find_last(const struct store *store, const struct pst_filter *filter, uint64_t last,
	int64_t wall_offset_ns, uint64_t stop_ns, uint64_t *ret_seq)
{
	uint64_t seq = store_next(store), oldest = store_oldest(store);
	struct lazy_event lazy;
	struct store_event stored;

	if (!filter)
		seq -= PST_MIN(last, seq - oldest);
	while (filter && last && seq > oldest) {
		store_get(store, --seq, &stored);
		lazy_init(&lazy, stored.raw, stored.len);
		last -= stream_matches(filter, stored.kind, &lazy, wall_offset_ns);
		if (pst_now_mono_ns() > stop_ns)
			return -ETIME;
	}
	*ret_seq = seq;
	return 0;
}
