// SPDX-License-Identifier: Apache-2.0
/*
 * Pacing: a source that can wait (a recording) is held back while a subscriber has too much that it has not
 * handled. How far each is stands in its checkpoint, which is mapped: looking costs no system call and the
 * subscriber nothing.
 */
#include "proto/wire/bus_internal.h"

#include "proto/base/cleanup.h"

#define PACE_HIGH     64 /* messages; half of what a queue holds */
#define PACE_LOW      32
#define PACE_TICK_NS  1000000ull
#define PACE_DROP_NS  5000000000ull
#define PACE_RETRY_NS 100000000ull

bool bus_paced(const struct pst_bus *bus)
{
	return bus->pace.wanted || bus->pace.from_input;
}

static uint64_t waiting(const struct bus_pace *pace, const struct bus_peer *peer)
{
	return pace->head - peer->at;
}

static uint64_t waiting_bytes(const struct bus_pace *pace, const struct bus_peer *peer)
{
	return waiting(pace, peer) ? pace->bytes - pace->fifo[peer->at % BUS_PACE_FIFO].before : 0;
}

void bus_pace_sent(struct pst_bus *bus, int topic, uint64_t end_seq, size_t bytes)
{
	struct bus_pace *pace = &bus->pace;

	for (unsigned i = 0; i < pace->n_peers; i++)
		if (waiting(pace, &pace->peers[i]) == BUS_PACE_FIFO)
			pace->peers[i].at++; /* only of one that is waited for no longer */
	pace->fifo[pace->head % BUS_PACE_FIFO].topic = (uint8_t)topic;
	pace->fifo[pace->head % BUS_PACE_FIFO].end_seq = end_seq;
	pace->fifo[pace->head % BUS_PACE_FIFO].before = pace->bytes;
	pace->head++;
	pace->bytes += bytes;
}

/* Opens its file, once in a while: it is not there yet, or may have been replaced by a new one. */
static void look(struct pst_bus *bus, struct bus_peer *peer, uint64_t now)
{
	char path[BUS_PATH_MAX];

	if (now - peer->looked_ns < PACE_RETRY_NS || (peer->view && now - peer->progress_ns < PACE_RETRY_NS))
		return;
	peer->looked_ns = now;
	pst_ckpt_close(peer->view);
	peer->view = NULL;
	if (bus_path(path, bus->run_dir, peer->name, ".ckpt") == 0 && pst_ckpt_view(path, &peer->view) < 0)
		peer->view = NULL;
}

/* How far the subscriber is, per topic. False: it has nothing of ours yet. A topic that no entry speaks of it
 * does not subscribe to: all its entries are stored when it has found its place (bus_repair.c). */
static bool positions(struct pst_bus *bus, struct bus_peer *peer, uint64_t now, uint64_t next[PST_TOPICS])
{
	bool found = false;
	uint64_t sum = 0;

	look(bus, peer, now);
	for (int i = 0; i < PST_TOPICS; i++)
		next[i] = BUS_UNKNOWN;
	for (int e = 0; peer->view && e < PST_CKPT_ENTRIES; e++) {
		const struct pst_ckpt_entry *entry = &peer->view->entry[e];
		struct pst_ckpt_words words;

		if (strncmp(entry->in_publisher, bus->stage, sizeof(entry->in_publisher)) ||
			!pst_ckpt_load(entry, &words) || words.in_epoch != bus->epoch)
			continue;
		found = true;
		for (int i = 0; i < PST_TOPICS; i++) {
			next[i] = PST_MIN(next[i], words.in_next[i]);
			sum += words.in_next[i];
		}
	}
	if (sum != peer->sum) {
		peer->sum = sum;
		peer->progress_ns = now;
	}
	return found;
}

static void advance(struct bus_pace *pace, struct bus_peer *peer, const uint64_t next[PST_TOPICS])
{
	while (waiting(pace, peer) && pace->fifo[peer->at % BUS_PACE_FIFO].end_seq <=
					      next[pace->fifo[peer->at % BUS_PACE_FIFO].topic])
		peer->at++;
}

static bool behind(const struct pst_bus *bus, const struct bus_peer *peer, bool held)
{
	return waiting(&bus->pace, peer) >= (held ? PACE_LOW : PACE_HIGH) ||
	       waiting_bytes(&bus->pace, peer) > bus->retention_bytes / 2;
}

static void give_up(struct pst_bus *bus, struct bus_peer *peer)
{
	peer->dropped = true;
	peer->held = false;
	bus->pace.drops->value++;
	pst_warn("subscriber does not move, no longer waiting for it subscriber=%s unhandled_batches=%llu",
		peer->name, (unsigned long long)waiting(&bus->pace, peer));
}

/* Whether to hold the source back for this one. Its file is read only when that is the question. */
static bool holds(struct pst_bus *bus, struct bus_peer *peer, uint64_t now)
{
	uint64_t next[PST_TOPICS];

	if (!behind(bus, peer, peer->held)) {
		peer->held = false;
		return false;
	}
	if (peer->dropped && now - peer->looked_ns < PACE_RETRY_NS)
		return false;
	if (!peer->held && !peer->dropped)
		peer->progress_ns = now; /* before, it had nothing to do */
	uint64_t moved = peer->progress_ns;
	if (positions(bus, peer, now, next))
		advance(&bus->pace, peer, next);
	if (peer->dropped && peer->progress_ns != moved) {
		peer->dropped = false;
		pst_info("subscriber moves again, waiting for it subscriber=%s", peer->name);
	}
	if (!peer->dropped && now - peer->progress_ns > PACE_DROP_NS)
		give_up(bus, peer);
	peer->held = !peer->dropped && behind(bus, peer, true);
	return peer->held;
}

static uint64_t backlog(struct pst_bus *bus, struct bus_peer *peer, uint64_t now)
{
	uint64_t next[PST_TOPICS], sum = 0;

	if (now - peer->asked_ns > PACE_DROP_NS)
		peer->progress_ns = now; /* nobody looked since: what it did meanwhile is unknown */
	peer->asked_ns = now;
	/* Not there yet is not the same as not there: it gets as long to appear as it gets to move. */
	if (!positions(bus, peer, now, next))
		return now - bus->opened_ns < PACE_DROP_NS;
	for (int i = 0; i < PST_TOPICS; i++) {
		uint64_t end = bus->topic[i].next + bus->topic[i].count;

		if (bus_publishes(bus, i) && next[i] < end)
			sum += end - next[i];
	}
	if (!sum)
		peer->progress_ns = now;
	return now - peer->progress_ns > PACE_DROP_NS ? 0 : sum;
}

uint64_t pst_bus_backlog(struct pst_bus *bus)
{
	uint64_t now = pst_now_mono_ns(), worst = 0;

	for (unsigned i = 0; i < bus->pace.n_peers; i++)
		worst = PST_MAX(worst, backlog(bus, &bus->pace.peers[i], now));
	return worst;
}

static void set_congested(struct pst_bus *bus, bool congested)
{
	struct bus_pace *pace = &bus->pace;

	if (pace->congested == congested)
		return;
	pace->congested = congested;
	pace->congestions->value += congested;
	for (struct pst_sub *sub = bus->subs; sub; sub = sub->next)
		bus_sub_pause_auto(sub, congested);
	if (!congested && pace->ready)
		pace->ready(pace->ready_arg);
}

void bus_pace_check(struct pst_bus *bus)
{
	struct bus_pace *pace = &bus->pace;
	bool hold = false;

	if (bus_paced(bus)) {
		uint64_t now = pst_now_mono_ns();

		for (unsigned i = 0; i < pace->n_peers; i++)
			hold |= holds(bus, &pace->peers[i], now);
	}
	if (hold)
		pst_timer_arm(pace->timer, PACE_TICK_NS, 0);
	set_congested(bus, hold);
}

static void tick(void *arg)
{
	struct pst_bus *bus = arg;

	/* What is sealed but held back in open batches must not be what the subscribers wait for. */
	pst_bus_flush(bus);
	bus_pace_check(bus);
}

/* From here on messages are counted; what went out before is not waited for. */
static void start(struct pst_bus *bus)
{
	uint64_t now = pst_now_mono_ns();

	for (unsigned i = 0; i < bus->pace.n_peers; i++) {
		bus->pace.peers[i].at = bus->pace.head;
		bus->pace.peers[i].progress_ns = now;
		bus->pace.peers[i].held = bus->pace.peers[i].dropped = false;
	}
}

static void change(struct pst_bus *bus, bool *what, bool paced)
{
	bool before = bus_paced(bus);

	*what = paced;
	if (bus_paced(bus) && !before)
		start(bus);
	else if (!bus_paced(bus) && before)
		bus_pace_check(bus);
}

void pst_bus_set_paced(struct pst_bus *bus, bool paced)
{
	change(bus, &bus->pace.wanted, paced);
}

void bus_pace_from_input(struct pst_bus *bus)
{
	bool paced = false;

	for (const struct pst_sub *sub = bus->subs; sub; sub = sub->next)
		paced |= sub->paced;
	change(bus, &bus->pace.from_input, paced);
}

bool pst_bus_congested(struct pst_bus *bus)
{
	return bus->pace.congested;
}

void pst_bus_on_ready(struct pst_bus *bus, void (*fn)(void *arg), void *arg)
{
	bus->pace.ready = fn;
	bus->pace.ready_arg = arg;
}

int bus_pace_open(struct pst_bus *bus, const char *const *subscribers)
{
	struct bus_pace *pace = &bus->pace;

	pace->congestions = pst_counter(
		"congestions", "Times the source was held back until the subscribers had caught up.");
	pace->drops =
		pst_counter("pacing_drops", "Times a subscriber that did not move was waited for no longer.");
	for (; subscribers && *subscribers; subscribers++) {
		if (pace->n_peers == BUS_PEERS_MAX)
			return -E2BIG;
		if (strlen(*subscribers) > BUS_NAME_MAX)
			return -ENAMETOOLONG;
		memcpy(pace->peers[pace->n_peers++].name, *subscribers, strlen(*subscribers) + 1);
	}
	return pst_loop_timer(bus->loop, tick, bus, &pace->timer);
}

void bus_pace_close(struct pst_bus *bus)
{
	for (unsigned i = 0; i < bus->pace.n_peers; i++)
		pst_ckpt_close(bus->pace.peers[i].view);
	bus->pace.n_peers = 0;
	pst_source_free(bus->pace.timer);
	bus->pace.timer = NULL;
}
