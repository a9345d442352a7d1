// SPDX-License-Identifier: Apache-2.0
/*
 * Publisher. Open batch -> sealed (numbered, in the retention ring) -> committed (with the input position,
 * one atomic flip) -> sent. Seal and commit are apart because a full batch may have to be sealed in the
 * middle of an input event's outcomes, and a commit may only lie between two input events.
 */
#include "proto/wire/bus_internal.h"

#include <assert.h>

#include "proto/base/cleanup.h"

#define HEARTBEAT_NS  1000000000ull
#define HEARTBEATS    3            /* after the last event of a topic */
#define BUF_KEEP      (160u << 10) /* a buffer that grew beyond is given back */
#define CLOSE_WAIT_NS 100000000ull

/* ---- from events to batches ---- */

static struct bus_topic *topic_of(struct pst_bus *bus, enum pst_topic topic)
{
	return (unsigned)topic < PST_TOPICS && bus_publishes(bus, topic) ? &bus->topic[topic] : NULL;
}

/* @count 0: a heartbeat. */
static struct bus_packet *build(struct pst_bus *bus, const struct bus_topic *t, uint32_t count)
{
	uint8_t head[BUS_HEAD_MAX];
	struct bus_head h = {.topic = t->id,
		.stage = bus->stage,
		.node = bus->node,
		.epoch = bus->epoch,
		.first_seq = count ? t->next : t->committed,
		.count = count,
		.t_first_ns = count ? t->t_first_ns : 0,
		.t_last_ns = count ? t->t_last_ns : 0,
		.flags = bus_paced(bus) ? PST_BATCH_PACED : 0};
	size_t head_len = bus_head_pack(head, &h), events_len = count ? t->events.len : 0;
	struct bus_packet *packet = bus_packet_new(head_len + events_len);

	if (!packet)
		return NULL;
	memcpy(bus_packet_message(packet), head, head_len);
	if (events_len)
		memcpy(bus_packet_message(packet) + head_len, t->events.p, events_len);
	return packet;
}

static void retain(struct pst_bus *bus, const struct bus_topic *t, struct bus_packet *packet)
{
	int r = bus_ret_append(bus->ret, t->id, t->next, t->count, bus_packet_message(packet), packet->len);

	if (r < 0) {
		/* Goes out all the same; whoever misses it then cannot have it repeated. */
		bus->st.ret_errors->value++;
		pst_warn_limited(
			"cannot retain a batch topic=%s error=\"%s\"", pst_topic_name(t->id), strerror(-r));
	}
}

static void clear_batch(struct bus_topic *t)
{
	t->count = 0;
	t->events.len = 0;
	if (t->events.size > BUF_KEEP)
		pst_buf_done(&t->events);
}

/* The open batch gets its numbers. Without memory its events are lost, and counted before they have a number.
 */
static void seal(struct pst_bus *bus, struct bus_topic *t)
{
	if (!t->count)
		return;
	struct bus_packet *packet = build(bus, t, t->count);
	if (!packet) {
		t->dropped->value += t->count;
		pst_warn_limited("no memory for a batch topic=%s events=%u", pst_topic_name(t->id), t->count);
		clear_batch(t);
		return;
	}
	retain(bus, t, packet);
	t->next += t->count;
	t->staged[t->n_staged].packet = packet;
	t->staged[t->n_staged++].end_seq = t->next;
	t->published->value += t->count;
	bus->st.batches->value++;
	clear_batch(t);
}

static void send_packet(struct pst_bus *bus, struct bus_packet *packet)
{
	if (bus->out)
		bus_out_send(bus->out, packet);
	bus_packet_free(packet);
}

static void send_staged(struct pst_bus *bus, struct bus_topic *t)
{
	for (unsigned i = 0; i < t->n_staged; i++) {
		if (bus_paced(bus))
			bus_pace_sent(bus, t->id, t->staged[i].end_seq, t->staged[i].packet->len);
		send_packet(bus, t->staged[i].packet);
	}
	t->n_staged = 0;
}

static void take_position(struct bus_topic *t)
{
	const struct pst_sub *sub = t->input;
	struct pst_ckpt_words *w = &t->words;

	memcpy(w->aux, t->aux, sizeof(w->aux));
	if (!sub)
		return;
	for (int i = 0; i < PST_TOPICS; i++) {
		const struct sub_topic *in = &sub->topic[i];

		w->in_next[i] = BUS_UNKNOWN;
		if (in->out != t || !in->have)
			continue;
		w->in_epoch = in->epoch;
		w->in_next[i] = in->next;
	}
}

/* All that was put becomes final together with the position that it came from, and goes out. */
void bus_commit(struct pst_bus *bus, struct bus_topic *t)
{
	if (t->writing)
		return;
	seal(bus, t);
	take_position(t);
	t->words.out_epoch = bus->epoch;
	t->words.out_next = t->next;
	pst_ckpt_store(bus->ckpt, t->entry, &t->words);
	t->committed = t->next;
	t->dirty = false;
	bool news = t->n_staged > 0;
	send_staged(bus, t);
	if (news) {
		t->heartbeats = HEARTBEATS;
		if (bus->started && !pst_timer_armed(bus->heartbeat_timer))
			pst_timer_arm(bus->heartbeat_timer, HEARTBEAT_NS, 0);
	}
	if (bus->on_commit)
		bus->on_commit(bus->on_commit_arg, (enum pst_topic)t->id);
	if (news)
		bus_pace_check(bus);
}

/* ---- the stage's side ---- */

static bool full(const struct bus_topic *t)
{
	return t->count >= PST_BATCH_EVENTS || t->events.len >= PST_BATCH_BYTES;
}

static void make_place(struct pst_bus *bus, struct bus_topic *t)
{
	if (t->covered || !t->positioned) {
		bus_commit(bus, t);
		return;
	}
	/* In the middle of an input event's outcomes: numbered now, final when the position has moved. */
	seal(bus, t);
	if (t->n_staged < BUS_STAGED)
		return;
	bus->st.early->value++;
	bus_commit(bus, t);
}

struct pst_buf *pst_bus_put(struct pst_bus *bus, enum pst_topic topic)
{
	struct bus_topic *t = topic_of(bus, topic);

	assert(t && !t->writing && "publishes this topic, one event at a time");
	if (__builtin_expect(full(t), 0))
		make_place(bus, t);
	bus_arm_flush(bus);
	t->writing = true;
	t->covered = false;
	t->mark = t->events.len;
	return &t->events;
}

bool pst_bus_end(struct pst_bus *bus, enum pst_topic topic, uint64_t ts_ns)
{
	struct bus_topic *t = topic_of(bus, topic);

	assert(t && t->writing);
	t->writing = false;
	if (__builtin_expect(
		    t->events.failed || t->events.len <= t->mark || t->events.len - t->mark > BUS_EVENT_MAX,
		    0)) {
		t->events.len = t->mark;
		t->events.failed = false;
		t->dropped->value++;
		pst_warn_limited("event dropped: malformed or too large topic=%s", pst_topic_name(topic));
		return false;
	}
	if (!t->count++)
		t->t_first_ns = ts_ns;
	t->t_last_ns = ts_ns;
	return true;
}

void pst_bus_flush(struct pst_bus *bus)
{
	for (int i = 0; i < PST_TOPICS; i++) {
		struct bus_topic *t = &bus->topic[i];

		if (bus_publishes(bus, i) && (t->count || t->n_staged || t->dirty))
			bus_commit(bus, t);
	}
	bus->flush_pending = false;
	bus->flushed_ns = pst_now_mono_ns();
	pst_timer_disarm(bus->flush_timer);
}

/* At once when the last time is long enough ago, so that a single event has no delay; else together with what
 * comes within the delay, so that a busy stage sends large batches. */
static void flush_soon(void *arg)
{
	struct pst_bus *bus = arg;
	uint64_t since = pst_now_mono_ns() - bus->flushed_ns;

	if (since >= PST_BATCH_DELAY_NS)
		pst_bus_flush(bus);
	else if (!pst_timer_armed(bus->flush_timer))
		pst_timer_arm(bus->flush_timer, PST_BATCH_DELAY_NS - since, 0);
}

static void flush_now(void *arg)
{
	pst_bus_flush(arg);
}

static void heartbeat(void *arg)
{
	struct pst_bus *bus = arg;
	bool more = false;

	for (int i = 0; i < PST_TOPICS; i++) {
		struct bus_topic *t = &bus->topic[i];

		if (!t->heartbeats)
			continue;
		struct bus_packet *packet = build(bus, t, 0);
		if (packet)
			send_packet(bus, packet);
		more |= --t->heartbeats > 0;
	}
	if (more)
		pst_timer_arm(bus->heartbeat_timer, HEARTBEAT_NS, 0);
}

void pst_bus_set_aux(struct pst_bus *bus, enum pst_topic topic, unsigned i, uint64_t value)
{
	struct bus_topic *t = topic_of(bus, topic);

	assert(t && i < PST_ARRAY_SIZE(t->aux));
	t->positioned = true;
	t->aux[i] = value;
	t->covered = t->dirty = true; /* committed at the next put or flush: the other words may follow */
	bus_arm_flush(bus);
}

uint64_t pst_bus_get_aux(const struct pst_bus *bus, enum pst_topic topic, unsigned i)
{
	assert((unsigned)topic < PST_TOPICS && i < PST_ARRAY_SIZE(bus->topic[topic].aux));
	return bus->topic[topic].words.aux[i];
}

void pst_bus_on_commit(struct pst_bus *bus, void (*fn)(void *arg, enum pst_topic topic), void *arg)
{
	bus->on_commit = fn;
	bus->on_commit_arg = arg;
}

uint64_t pst_bus_next_seq(const struct pst_bus *bus, enum pst_topic topic)
{
	assert((unsigned)topic < PST_TOPICS);
	return bus->topic[topic].next + bus->topic[topic].count;
}

uint64_t pst_bus_epoch(const struct pst_bus *bus)
{
	return bus->epoch;
}

/* ---- opening and closing ---- */

static void topic_stats(struct bus_topic *t)
{
	const char *name = pst_topic_name(t->id);

	t->published =
		pst_stat(PST_STAT_COUNTER, "published_events", "topic", name, "Events sealed into batches.");
	t->dropped = pst_stat(PST_STAT_COUNTER, "dropped_events", "topic", name,
		"Events that could not be published: malformed, too large or no memory.");
}

static int open_topic(struct pst_bus *bus, struct bus_topic *t)
{
	char name[sizeof(t->entry->name)];

	topic_stats(t);
	for (int i = 0; i < PST_TOPICS; i++)
		t->words.in_next[i] = BUS_UNKNOWN;
	snprintf(name, sizeof(name), "out:%s", pst_topic_name((enum pst_topic)t->id));
	/* Found first: making one with another publisher's name would void it, our own numbers too. */
	t->entry = pst_ckpt_entry(bus->ckpt, name, NULL, false);
	if (!t->entry)
		t->entry = pst_ckpt_entry(bus->ckpt, name, NULL, true);
	if (!t->entry)
		return -ENOSPC;
	if (pst_ckpt_load(t->entry, &t->words))
		memcpy(t->aux, t->words.aux, sizeof(t->aux));
	return 0;
}

int bus_pub_open(struct pst_bus *bus)
{
	int r = pst_loop_defer(bus->loop, flush_soon, bus, &bus->flush_defer);

	r = r < 0 ? r : pst_loop_timer(bus->loop, flush_now, bus, &bus->flush_timer);
	r = r < 0 ? r : pst_loop_timer(bus->loop, heartbeat, bus, &bus->heartbeat_timer);
	for (int i = 0; i < PST_TOPICS && r == 0; i++) {
		bus->topic[i].id = i;
		if (bus_publishes(bus, i))
			r = open_topic(bus, &bus->topic[i]);
	}
	return r;
}

int bus_pub_start(struct pst_bus *bus)
{
	return bus_out_new(bus, &bus->out);
}

void bus_pub_close(struct pst_bus *bus)
{
	if (bus->out)
		bus_out_flush(bus->out, CLOSE_WAIT_NS);
	bus_out_free(bus->out);
	bus->out = NULL;
	for (int i = 0; i < PST_TOPICS; i++) {
		struct bus_topic *t = &bus->topic[i];

		while (t->n_staged)
			bus_packet_free(t->staged[--t->n_staged].packet);
		pst_buf_done(&t->events);
	}
	pst_source_free(bus->flush_defer);
	pst_source_free(bus->flush_timer);
	pst_source_free(bus->heartbeat_timer);
}
