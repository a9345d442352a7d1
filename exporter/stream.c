// SPDX-License-Identifier: Apache-2.0
#include "exporter/stream_internal.h"

#include <errno.h>

#include "exporter/expo.h"
#include "proto/base/cleanup.h"
#include "proto/base/stat.h"
#include "proto/wire/json.h"

#define KEEP_BYTES 16384   /* buffer that an idle stream keeps */
#define LIVE_NS    1000000 /* comparing one event with the filters of all live streams */

static void on_heartbeat(void *arg);

int streams_new(const struct streams_config *config, struct streams **ret_streams)
{
	struct streams *streams = calloc(1, sizeof(*streams));
	int r;

	if (!streams)
		return -ENOMEM;
	streams->config = *config;
	snprintf(streams->prefix, sizeof(streams->prefix), "%016llx-",
		(unsigned long long)store_epoch(config->store));
	streams->clients = pst_gauge("stream_clients", "Live event streams.");
	streams->sent = pst_counter("stream_events", "Events written to event streams.");
	streams->lost = pst_counter("stream_lost_events",
		"Events that left the store before a slow client's stream came to them.");
	r = pst_loop_defer(config->loop, streams_pump, streams, &streams->pump);
	r = r ? r : pst_loop_timer(config->loop, on_heartbeat, streams, &streams->heartbeat);
	if (r < 0) {
		streams_free(streams);
		return r;
	}
	pst_timer_arm(streams->heartbeat, config->heartbeat_ns, config->heartbeat_ns);
	*ret_streams = streams;
	return 0;
}

void streams_free(struct streams *streams)
{
	if (!streams)
		return;
	while (streams->first)
		stream_close(streams->first);
	pst_source_free(streams->pump);
	pst_source_free(streams->heartbeat);
	pst_buf_done(&streams->json);
	free(streams);
}

uint32_t streams_followers(const struct streams *streams)
{
	return streams->n_followers;
}

/* ---- the list ---- */

void stream_link_last(struct stream *s)
{
	struct streams *ss = s->owner;

	s->next = NULL;
	s->prev = ss->last;
	*(ss->last ? &ss->last->next : &ss->first) = s;
	ss->last = s;
}

void stream_unlink(struct stream *s)
{
	struct streams *ss = s->owner;

	*(s->prev ? &s->prev->next : &ss->first) = s->next;
	*(s->next ? &s->next->prev : &ss->last) = s->prev;
}

void stream_set_state(struct stream *s, enum state state)
{
	s->owner->n_live += (state == STREAM_LIVE) - (s->state == STREAM_LIVE);
	s->state = state;
	if (state == STREAM_SCAN || state == STREAM_FILL)
		pst_defer_arm(s->owner->pump);
}

size_t stream_pending(const struct stream *s)
{
	return s->out.len - s->read;
}

/* Something was written, or the end has come: the reader should look. */
void stream_wake(struct stream *s)
{
	if (!s->waiting || (!stream_pending(s) && s->state != STREAM_ENDED))
		return;
	s->waiting = false;
	s->wake(s->arg);
}

/* ---- writing ---- */

/* Where @text was read is room again. */
static void compact(struct stream *s)
{
	if (!s->read || s->read < s->out.len / 2)
		return;
	memmove(s->out.p, s->out.p + s->read, stream_pending(s));
	s->out.len -= s->read;
	s->read = 0;
}

void stream_put_event(
	struct stream *s, uint64_t seq, const struct pst_event *event, const struct pst_buf *json)
{
	struct pst_buf *out = &s->out;

	compact(s);
	if (s->format == STREAM_SSE) {
		pst_json_raw(out, "id: ");
		pst_json_raw(out, s->owner->prefix);
		expo_uint(out, seq);
		pst_json_raw(out, "\nevent: ");
		pst_json_raw(out, event->n_stages > 2 ? "alert"
				  : event->desc       ? event->desc->name
						      : "unknown");
		pst_json_raw(out, "\ndata: ");
	} else if (s->format == STREAM_ARRAY) {
		pst_json_raw(out, s->first ? "[\n" : ",\n");
	}
	pst_mp_raw(out, json->p, json->len);
	if (s->format != STREAM_ARRAY)
		pst_json_raw(out, s->format == STREAM_SSE ? "\n\n" : "\n");
	s->first = false;
	s->owner->sent->value++;
}

/* Comes instead of the events, and like them only if there is room to say it. */
void stream_put_lost(struct stream *s, uint64_t count)
{
	struct pst_buf *out = &s->out;

	if (s->format == STREAM_SSE)
		pst_json_raw(out, "event: lost\ndata: ");
	else if (s->format == STREAM_ARRAY)
		pst_json_raw(out, s->first ? "[\n" : ",\n");
	pst_json_raw(out, "{\"kind\":\"stream_lost\",\"count\":");
	pst_json_uint(out, count);
	pst_json_raw(out, ",\"cause\":\"slow_client\"}");
	if (s->format != STREAM_ARRAY)
		pst_json_raw(out, s->format == STREAM_SSE ? "\n\n" : "\n");
	s->first = false;
	s->owner->lost->value += count;
}

void stream_finish(struct stream *s)
{
	if (s->format == STREAM_ARRAY)
		pst_json_raw(&s->out, s->first ? "[]\n" : "\n]\n");
	stream_set_state(s, STREAM_ENDED);
	stream_wake(s);
}

bool stream_matches(const struct pst_filter *filter, uint32_t kind, struct lazy_event *lazy, int64_t offset)
{
	const struct pst_event *event;

	if (filter && !pst_filter_wants_kind(filter, kind))
		return false;
	event = lazy_get(lazy);
	return event && (!filter || pst_filter_match(filter, event, offset));
}

/* Could not be kept: a stream without memory ends. True if all is well. */
bool stream_check_memory(struct stream *s)
{
	if (!s->out.failed && !s->owner->json.failed)
		return true;
	s->owner->json.failed = false;
	s->out.failed = false;
	s->out.len = s->read = 0;
	stream_set_state(s, STREAM_ENDED);
	stream_wake(s);
	return false;
}

/* ---- live ---- */

/* From @seq on it reads the store, at its own pace. */
static void fall_back(struct stream *s, uint64_t seq)
{
	s->cursor = seq;
	stream_set_state(s, STREAM_FILL);
}

static void put_live(
	struct stream *s, const struct store_event *stored, struct lazy_event *lazy, int64_t offset)
{
	struct pst_buf *json = &s->owner->json;

	if (!json->len)
		pst_json_event(json, lazy_get(lazy), offset);
	if (stream_pending(s) + json->len > s->owner->config.queue_bytes) {
		fall_back(s, stored->seq); /* when it has read what is waiting */
		return;
	}
	stream_put_event(s, stored->seq, lazy_get(lazy), json);
	if (stream_check_memory(s))
		stream_wake(s);
}

void streams_event(struct streams *streams, const struct store_event *stored, struct lazy_event *lazy)
{
	uint64_t stop_ns;
	int64_t offset;
	bool late = false;

	if (!streams->n_live)
		return;
	offset = counts_wall_offset(streams->config.counts);
	stop_ns = pst_now_mono_ns() + LIVE_NS;
	streams->json.len = 0;
	for (struct stream *s = streams->first, *next; s; s = next) {
		next = s->next;
		if (s->state != STREAM_LIVE)
			continue;
		/* A filter that takes long is for the store, where it holds up no event. */
		if (late && s->filter) {
			fall_back(s, stored->seq);
			continue;
		}
		if (stream_matches(s->filter, stored->kind, lazy, offset))
			put_live(s, stored, lazy, offset);
		late = s->filter && pst_now_mono_ns() > stop_ns;
		if (late && s->state == STREAM_LIVE)
			fall_back(s, stored->seq + 1);
	}
}

static void on_heartbeat(void *arg)
{
	struct streams *ss = arg;
	uint64_t now = pst_now_mono_ns();

	for (struct stream *s = ss->first, *next; s; s = next) {
		next = s->next;
		if (s->format != STREAM_SSE || s->state == STREAM_ENDED || stream_pending(s) ||
			now - s->sent_ns < ss->config.heartbeat_ns / 2)
			continue;
		pst_json_raw(&s->out, ": heartbeat\n\n");
		if (stream_check_memory(s))
			stream_wake(s);
	}
}

/* ---- one stream ---- */

static void start(struct stream *s, const struct stream_query *query)
{
	const struct store *store = s->owner->config.store;
	uint64_t next = store_next(store), oldest = store_oldest(store);

	s->end = next;
	if (query->resume_epoch == store_epoch(store) && query->resume_seq < next) {
		s->cursor = query->resume_seq + 1;
		stream_set_state(s, STREAM_FILL);
	} else if (query->all || query->resume_epoch) {
		/* numbers of another run say nothing: all there is */
		s->cursor = oldest;
		stream_set_state(s, STREAM_FILL);
	} else if (!query->last) {
		s->cursor = next;
		stream_set_state(s, s->follow ? STREAM_LIVE : STREAM_FILL);
	} else if (!s->filter) {
		s->cursor = next - PST_MIN(query->last, next - oldest);
		stream_set_state(s, STREAM_FILL);
	} else {
		s->cursor = next;
		s->wanted = query->last;
		stream_set_state(s, STREAM_SCAN);
	}
}

int stream_open(struct streams *streams, const struct stream_query *query, void (*wake_fn)(void *arg),
	void *arg, struct stream **ret_stream)
{
	struct stream *s;

	if (query->follow && streams->n_followers >= streams->config.max_followers)
		return -EBUSY;
	s = calloc(1, sizeof(*s));
	if (!s)
		return -ENOMEM;
	*s = (struct stream){.owner = streams,
		.format = query->format,
		.follow = query->follow,
		.filter = query->filter,
		.wake = wake_fn,
		.arg = arg,
		.first = true,
		.state = STREAM_ENDED,
		.sent_ns = pst_now_mono_ns()};
	/* A first line at once: the client sees that it is connected, and proxies pass the header on. */
	if (s->format == STREAM_SSE)
		pst_json_raw(&s->out, ": penstock events\n\n");
	stream_link_last(s);
	streams->n_followers += s->follow;
	streams->clients->value = streams->n_followers;
	start(s, query);
	*ret_stream = s;
	return 0;
}

void stream_close(struct stream *stream)
{
	struct streams *ss;

	if (!stream)
		return;
	ss = stream->owner;
	stream_set_state(stream, STREAM_ENDED);
	stream_unlink(stream);
	ss->n_followers -= stream->follow;
	ss->clients->value = ss->n_followers;
	pst_filter_free(stream->filter);
	pst_buf_done(&stream->out);
	free(stream);
}

ssize_t stream_read(struct stream *stream, char *buf, size_t max)
{
	size_t n = PST_MIN(stream_pending(stream), max);

	if (!n && stream->state == STREAM_ENDED)
		return -1;
	if (!n) {
		stream->waiting = true;
		if (stream_wants_slice(stream))
			pst_defer_arm(stream->owner->pump);
		return 0;
	}
	memcpy(buf, stream->out.p + stream->read, n);
	stream->read += n;
	stream->sent_ns = pst_now_mono_ns();
	if (!stream_pending(stream)) {
		stream->out.len = stream->read = 0;
		if (stream->out.size > KEEP_BYTES)
			pst_buf_done(&stream->out);
	}
	if (stream_wants_slice(stream))
		pst_defer_arm(stream->owner->pump);
	return (ssize_t)n;
}

void stream_end(struct stream *stream)
{
	if (stream->state == STREAM_ENDED)
		return;
	stream_set_state(stream, STREAM_ENDED);
	stream_wake(stream);
}

void streams_end(struct streams *streams)
{
	for (struct stream *s = streams->first, *next; s; s = next) {
		next = s->next;
		stream_end(s);
	}
}

int stream_id_parse(const char *text, uint64_t *ret_epoch, uint64_t *ret_seq)
{
	unsigned long long epoch, seq;
	char *end;

	if (strspn(text, "0123456789abcdef") != 16 || text[16] != '-')
		return -EINVAL;
	epoch = strtoull(text, &end, 16);
	if (!epoch || text[17] < '0' || text[17] > '9')
		return -EINVAL;
	errno = 0;
	seq = strtoull(text + 17, &end, 10);
	if (*end || errno)
		return -EINVAL;
	*ret_epoch = epoch;
	*ret_seq = seq;
	return 0;
}
