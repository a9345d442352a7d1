// SPDX-License-Identifier: Apache-2.0
/*
 * Subscription: takes batches, puts each topic in order, hands every event over once. What is
 * missing is fetched by bus_repair.c; meanwhile later batches wait here.
 */
#include "proto/wire/bus_internal.h"

#include "proto/base/cleanup.h"

/* ---- position ---- */

void bus_sub_commit_own(struct pst_sub *sub)
{
	struct pst_ckpt_words words = {0};

	if (!sub->entry)
		return;
	for (int i = 0; i < PST_TOPICS; i++) {
		words.in_next[i] = BUS_UNKNOWN;
		if (!sub->topic[i].have)
			continue;
		words.in_epoch = sub->topic[i].epoch;
		words.in_next[i] = sub->topic[i].next;
	}
	if (sub->config.on_commit)
		sub->config.on_commit(sub->config.arg, words.aux);
	pst_ckpt_store(sub->bus->ckpt, sub->entry, &words);
}

bool pst_sub_aux(const struct pst_sub *sub, uint64_t ret_aux[PST_SUB_AUX])
{
	struct pst_ckpt_words words;

	if (!sub->entry || !pst_ckpt_load(sub->entry, &words))
		return false;
	memcpy(ret_aux, words.aux, sizeof(words.aux));
	return true;
}

void bus_sub_moved(struct pst_sub *sub, struct sub_topic *t)
{
	if (t->out) {
		bus_position_moved(sub->bus, t->out);
		bus_arm_flush(sub->bus);
	} else {
		bus_sub_commit_own(sub);
	}
}

void pst_sub_mark(struct pst_sub *sub, enum pst_topic topic, uint64_t next_seq)
{
	struct sub_topic *t = &sub->topic[topic];

	t->next = next_seq;
	if (t->out)
		bus_position_moved(sub->bus, t->out);
}

/* ---- loss ---- */

static void report(struct pst_sub *sub, int topic, struct pst_stat *cause, uint64_t count)
{
	cause->value += count;
	pst_warn_limited("events lost publisher=%s topic=%s cause=%s count=%llu", sub->publisher,
		pst_topic_name(topic), cause->label, (unsigned long long)count);
	if (sub->config.on_loss)
		sub->config.on_loss(sub->config.arg, topic, cause->label, count);
}

void bus_sub_lose(struct pst_sub *sub, struct sub_topic *t, struct pst_stat *cause, uint64_t count)
{
	t->next += count;
	report(sub, bus_sub_topic_id(sub, t), cause, count);
	bus_sub_moved(sub, t);
}

void bus_sub_malformed(struct pst_sub *sub, int topic, uint32_t count)
{
	sub->bus->st.malformed->value++;
	report(sub, topic, sub->bus->st.lost_malformed, count);
}

/* ---- delivery ---- */

/* Cuts @n events off the front. */
static bool skip(struct pst_batch *batch, uint64_t n)
{
	for (uint64_t i = 0; i < n && !batch->events.bad; i++)
		pst_cur_skip(&batch->events);
	batch->first_seq += n;
	batch->count -= (uint32_t)n;
	return !batch->events.bad;
}

void bus_sub_deliver(struct pst_sub *sub, struct sub_topic *t, struct pst_batch *batch)
{
	uint64_t end = batch->first_seq + batch->count, again = t->next - batch->first_seq;
	int topic = bus_sub_topic_id(sub, t);

	sub->bus->st.duplicate->value += again;
	if (skip(batch, again)) {
		sub->bus->st.received[topic]->value += batch->count;
		sub->config.on_batch(sub->config.arg, batch);
	} else {
		bus_sub_malformed(sub, topic, batch->count);
	}
	t->next = end;
	t->unproven = false;
	if (batch->t_last_ns) {
		uint64_t now = pst_now_boot_ns();

		sub->lag_ns = now > batch->t_last_ns ? now - batch->t_last_ns : 0;
	}
	bus_sub_moved(sub, t);
}

void bus_sub_drop_pending(struct pst_sub *sub, struct sub_pending **at)
{
	struct sub_pending *p = *at;

	*at = p->next;
	sub->pending_bytes -= p->cost;
	free(p);
}

/* Delivers what has become next in line. */
void bus_sub_drain_pending(struct pst_sub *sub, struct sub_topic *t)
{
	while (t->pending && t->have && t->pending->batch.epoch == t->epoch &&
		t->pending->batch.first_seq <= t->next && !bus_sub_stopped(sub)) {
		struct sub_pending *p = t->pending;

		if (p->batch.first_seq + p->batch.count > t->next)
			bus_sub_deliver(sub, t, &p->batch);
		bus_sub_drop_pending(sub, &t->pending);
	}
}

static void in_message(struct pst_batch *b, const uint8_t *from, const uint8_t *to)
{
	b->stage = (const char *)to + (b->stage - (const char *)from);
	b->node = (const char *)to + (b->node - (const char *)from);
	b->events.p = to + (b->events.p - from);
	b->events.end = to + (b->events.end - from);
}

/* A copy, by number among its epoch, other epochs behind. */
static void put_aside(struct pst_sub *sub, struct sub_topic *t, const struct pst_batch *batch,
	const void *message, size_t len)
{
	struct sub_pending **at = &t->pending, *p;
	bool ours = t->have && batch->epoch == t->epoch;

	while (*at &&
		(!ours || ((*at)->batch.epoch == t->epoch && (*at)->batch.first_seq < batch->first_seq)))
		at = &(*at)->next;
	size_t cost = PST_MAX(sizeof(*p) + len, (size_t)BUS_PENDING_LEAST);
	p = sub->pending_bytes + cost > BUS_PENDING_BYTES ? NULL : malloc(sizeof(*p) + len);
	if (!p) {
		/* Will be fetched again: its numbers are known to exist. */
		sub->bus->st.pending_dropped->value++;
		return;
	}
	*p = (struct sub_pending){.next = *at, .cost = cost, .batch = *batch};
	memcpy(p->message, message, len);
	in_message(&p->batch, message, p->message);
	sub->pending_bytes += cost;
	*at = p;
}

/* A batch of the epoch that we are in. */
static void in_epoch(
	struct pst_sub *sub, struct sub_topic *t, struct pst_batch *batch, const void *message, size_t len)
{
	uint64_t end = batch->first_seq + batch->count;

	if (batch->first_seq > t->next) {
		if (t->target <= t->next)
			sub->bus->st.gaps->value++;
		t->target = PST_MAX(t->target, end);
		if (batch->count)
			put_aside(sub, t, batch, message, len);
	} else if (end > t->next) {
		bus_sub_deliver(sub, t, batch);
		bus_sub_drain_pending(sub, t);
	} else {
		sub->bus->st.duplicate->value += batch->count;
	}
}

static void begin_here(struct sub_topic *t, const struct pst_batch *batch)
{
	t->have = true;
	t->epoch = batch->epoch;
	t->next = t->target = batch->first_seq;
}

void bus_sub_message(struct pst_sub *sub, const void *message, size_t len)
{
	struct pst_batch batch;
	const char *name = sub->publisher;

	if (pst_batch_decode(message, len, &batch) < 0 || batch.stage_len != strlen(name) ||
		memcmp(batch.stage, name, batch.stage_len)) {
		sub->bus->st.malformed->value++;
		pst_warn_limited("malformed batch refused publisher=%s bytes=%zu", name, len);
		return;
	}
	struct sub_topic *t = &sub->topic[batch.topic];
	bool paced = batch.flags & PST_BATCH_PACED;
	sub->last_rx_ns = pst_now_boot_ns();
	if (sub->paced != paced) {
		sub->paced = paced;
		bus_pace_from_input(sub->bus);
	}
	if (!t->wanted)
		return; /* a publisher sends all its topics to everyone */
	if (!t->have && sub->config.resume == PST_RESUME_NONE)
		begin_here(t, &batch);
	if (t->have && batch.epoch == t->epoch) {
		in_epoch(sub, t, &batch, message, len);
		return;
	}
	sub->need_cursor = true;
	if (batch.count)
		put_aside(sub, t, &batch, message, len);
}

/* ---- pausing ---- */

static void set_stopped(struct pst_sub *sub, bool before)
{
	bool stopped = bus_sub_stopped(sub);

	if (stopped == before)
		return;
	if (sub->io)
		pst_source_set_events(sub->io, stopped ? 0 : EPOLLIN);
	if (!stopped)
		pst_timer_arm(
			sub->retry, 0, 0); /* goes on with what is here already, not from within the caller */
}

void pst_sub_pause(struct pst_sub *sub, bool paused)
{
	bool before = bus_sub_stopped(sub);

	sub->paused = paused;
	set_stopped(sub, before);
}

void bus_sub_pause_auto(struct pst_sub *sub, bool paused)
{
	bool before = bus_sub_stopped(sub);

	sub->paused_auto = paused;
	set_stopped(sub, before);
}
