// SPDX-License-Identifier: Apache-2.0
/*
 * Repair: what a subscription has missed it fetches from the publisher's control socket, one request at a
 * time. `cursor` after each connection tells what there is; `replay` fetches; what is no longer held is
 * counted, to the event.
 */
#include "proto/wire/bus_internal.h"

#include "proto/base/cleanup.h"

#define TIMEOUT_MS      2000
#define BACKOFF_MIN_NS  10000000ull
#define BACKOFF_MAX_NS  500000000ull
#define BAD_REPLIES_MAX 5
#define RECHECK_NS      1000000ull

struct cursor {
	uint64_t epoch, prev_epoch;
	struct {
		uint64_t oldest, next, prev_next;
	} topic[PST_TOPICS];
};
struct replay { /* the batches stay in place */
	struct pst_cur batches;
	uint32_t n;
	uint64_t next;
	bool refused, other_epoch;
};

/* ---- reading replies ---- */

static void take_cursor_topics(struct pst_cur *cur, struct cursor *c)
{
	char key[16];

	for (uint32_t n = pst_cur_map(cur); n-- && !cur->bad;) {
		uint8_t name[8];

		ctl_key(cur, key, sizeof(key));
		bus_topic_pad(name, key);
		int topic = pst_topic_parse((const char *)name);
		for (uint32_t m = pst_cur_map(cur); m-- && !cur->bad;) {
			ctl_key(cur, key, sizeof(key));
			if (topic < 0)
				pst_cur_skip(cur);
			else if (!strcmp(key, "oldest_seq"))
				c->topic[topic].oldest = pst_cur_uint(cur);
			else if (!strcmp(key, "next_seq"))
				c->topic[topic].next = pst_cur_uint(cur);
			else if (!strcmp(key, "prev_next"))
				c->topic[topic].prev_next = pst_cur_uint(cur);
			else
				pst_cur_skip(cur);
		}
	}
}

static int take_cursor(const void *reply, size_t len, struct cursor *c)
{
	struct pst_cur cur = pst_cur(reply, len);
	char key[16];

	*c = (struct cursor){0};
	for (int i = 0; i < PST_TOPICS; i++)
		c->topic[i].prev_next = BUS_UNKNOWN;
	for (uint32_t n = pst_cur_map(&cur); n-- && !cur.bad;) {
		ctl_key(&cur, key, sizeof(key));
		if (!strcmp(key, "epoch"))
			c->epoch = pst_cur_uint(&cur);
		else if (!strcmp(key, "prev_epoch"))
			c->prev_epoch = pst_cur_uint(&cur);
		else if (!strcmp(key, "topics"))
			take_cursor_topics(&cur, c);
		else
			pst_cur_skip(&cur);
	}
	if (cur.bad || !c->epoch)
		return -EBADMSG;
	for (int i = 0; i < PST_TOPICS; i++)
		if (c->topic[i].next > BUS_SEQ_MAX || c->topic[i].oldest > c->topic[i].next)
			return -EBADMSG;
	return 0;
}

static int take_replay(const void *reply, size_t len, struct replay *ret_replay)
{
	struct pst_cur cur = pst_cur(reply, len);
	struct replay r = {.next = BUS_UNKNOWN};
	char key[16], text[16];

	for (uint32_t n = pst_cur_map(&cur); n-- && !cur.bad;) {
		ctl_key(&cur, key, sizeof(key));
		if (!strcmp(key, "batches")) {
			r.batches = cur;
			r.n = pst_cur_array(&r.batches);
			pst_cur_skip(&cur);
		} else if (!strcmp(key, "next_seq")) {
			r.next = pst_cur_uint(&cur);
		} else if (!strcmp(key, "error")) {
			ctl_key(&cur, text, sizeof(text));
			r.refused = true;
			r.other_epoch = !strcmp(text, "epoch");
		} else {
			pst_cur_skip(&cur);
		}
	}
	if (cur.bad || (!r.refused && (r.batches.bad || r.next > BUS_SEQ_MAX)))
		return -EBADMSG;
	*ret_replay = r;
	return 0;
}

/* ---- cursor ---- */

static void drop_foreign(struct pst_sub *sub, struct sub_topic *t)
{
	for (struct sub_pending **at = &t->pending; *at;) {
		if ((*at)->batch.epoch == t->epoch) {
			at = &(*at)->next;
			continue;
		}
		sub->bus->st.stale->value++;
		bus_sub_drop_pending(sub, at);
	}
}

/* The publisher has begun anew: what it had and we have not is lost, but for what is waiting here. */
static void leave_epoch(struct pst_sub *sub, struct sub_topic *t, const struct cursor *c)
{
	int topic = bus_sub_topic_id(sub, t);
	uint64_t end = c->topic[topic].prev_next;

	while (t->pending && t->pending->batch.epoch == t->epoch) {
		struct sub_pending *p = t->pending;

		if (p->batch.first_seq > t->next)
			bus_sub_lose(sub, t, sub->bus->st.lost_epoch, p->batch.first_seq - t->next);
		if (p->batch.first_seq + p->batch.count > t->next)
			bus_sub_deliver(sub, t, &p->batch);
		bus_sub_drop_pending(sub, &t->pending);
	}
	if (c->prev_epoch != t->epoch || end > BUS_SEQ_MAX) {
		sub->bus->st.unknown_gaps->value++;
		pst_warn("publisher has a new epoch and does not know where ours ended: loss unknown "
			 "publisher=%s topic=%s",
			sub->publisher, pst_topic_name(topic));
	} else if (end > t->next) {
		bus_sub_lose(sub, t, sub->bus->st.lost_epoch, end - t->next);
	}
}

static void enter_epoch(struct pst_sub *sub, struct sub_topic *t, const struct cursor *c, uint64_t next)
{
	t->have = true;
	t->unproven = false;
	t->epoch = c->epoch;
	t->next = next;
	t->target = c->topic[bus_sub_topic_id(sub, t)].next;
	t->bad_replies = 0;
}

/* Never had anything: begins with the oldest that there is; a mere onlooker with what comes next. */
static uint64_t beginning(const struct pst_sub *sub, int topic, const struct cursor *c)
{
	return sub->config.resume == PST_RESUME_NONE ? c->topic[topic].next : c->topic[topic].oldest;
}

/*
 * Nothing was received since the start, and the checkpoint is beyond what the publisher has published: it is
 * damaged. All that comes would be taken for known, for ever. So as if there were none.
 */
static void check_resumed(struct pst_sub *sub, struct sub_topic *t, const struct cursor *c)
{
	int topic = bus_sub_topic_id(sub, t);

	if (t->unproven && t->next > c->topic[topic].next) {
		sub->bus->st.unknown_gaps->value++;
		pst_warn("checkpoint is ahead of the publisher, beginning with the oldest that it holds: "
			 "loss unknown "
			 "publisher=%s topic=%s",
			sub->publisher, pst_topic_name(topic));
		t->next = t->target = beginning(sub, topic, c);
	}
	t->unproven = false;
}

static void move_target(struct pst_sub *sub, struct sub_topic *t, uint64_t next)
{
	if (next > t->next && t->target <= t->next)
		sub->bus->st.gaps->value++;
	t->target = PST_MAX(t->target, next);
}

static bool new_epoch(const struct pst_sub *sub, const struct cursor *c)
{
	for (int i = 0; i < PST_TOPICS; i++)
		if (sub->topic[i].have && sub->topic[i].epoch != c->epoch)
			return true;
	return false;
}

static void got_cursor(struct pst_sub *sub, const struct cursor *c)
{
	/* Batches of the old epoch may still stand in the socket. */
	if (new_epoch(sub, c) && !bus_sub_receive(sub)) {
		sub->need_cursor = true;
		pst_timer_arm(sub->retry, RECHECK_NS, 0);
		return;
	}
	/* First the old epoch is finished for all topics, then all change: a commit has one epoch for all of
	 * them. */
	for (int i = 0; i < PST_TOPICS; i++)
		if (sub->topic[i].have && sub->topic[i].epoch != c->epoch)
			leave_epoch(sub, &sub->topic[i], c);
	for (int i = 0; i < PST_TOPICS; i++) {
		struct sub_topic *t = &sub->topic[i];

		if (!t->wanted)
			continue;
		if (!t->have || t->epoch != c->epoch) {
			enter_epoch(sub, t, c, t->have ? 0 : beginning(sub, i, c));
			continue;
		}
		check_resumed(sub, t, c);
		move_target(sub, t, c->topic[i].next);
	}
	for (int i = 0; i < PST_TOPICS; i++) {
		struct sub_topic *t = &sub->topic[i];

		if (!t->wanted)
			continue;
		if (!sub->need_cursor)
			drop_foreign(sub, t);
		bus_sub_moved(sub, t);
		bus_sub_drain_pending(sub, t);
	}
	pst_bus_flush(
		sub->bus); /* from here on our checkpoint says where we are: pacing publishers look there */
}

/* ---- replay ---- */

/* One batch of a reply. False: this is not what was asked for. */
static bool replay_one(struct pst_sub *sub, struct sub_topic *t, const void *message, size_t len, uint64_t to)
{
	struct pst_batch b;

	if (pst_batch_decode(message, len, &b) < 0 || b.topic != sub->req_topic || b.epoch != t->epoch ||
		!b.count)
		return false;
	uint64_t held = PST_MIN(b.first_seq, to); /* what is before is not */
	if (held > t->next)
		bus_sub_lose(sub, t, sub->bus->st.lost_retention, held - t->next);
	uint64_t end = b.first_seq + b.count, before = t->next;
	if (b.first_seq > t->next || end <= t->next)
		return true;
	bus_sub_deliver(sub, t, &b);
	sub->bus->st.replayed->value += end - before;
	return true;
}

/* The publisher does not know what it has sent itself: it is not ours, or it lies. */
static void contradiction(struct pst_sub *sub, struct sub_topic *t, uint64_t next)
{
	sub->bus->st.malformed->value++;
	pst_warn_limited("publisher's numbers contradict each other publisher=%s topic=%s", sub->publisher,
		pst_topic_name(sub->req_topic));
	while (t->pending && t->pending->batch.epoch == t->epoch)
		bus_sub_drop_pending(sub, &t->pending);
	t->target = PST_MAX(next, t->next);
}

static void bad_reply(struct pst_sub *sub, struct sub_topic *t, uint64_t to)
{
	sub->bus->st.malformed->value++;
	if (++t->bad_replies < BAD_REPLIES_MAX) {
		sub->backoff_ns = PST_MIN(PST_MAX(sub->backoff_ns * 2, BACKOFF_MIN_NS), BACKOFF_MAX_NS);
		pst_timer_arm(sub->retry, sub->backoff_ns, 0);
		return;
	}
	t->bad_replies = 0;
	if (to > t->next)
		bus_sub_lose(sub, t, sub->bus->st.lost_malformed, to - t->next);
	bus_sub_drain_pending(sub, t);
}

static void got_replay(struct pst_sub *sub, struct sub_topic *t, struct replay *r)
{
	uint64_t to = PST_MIN(sub->req_to, r->next), before = t->next;
	bool good = true;

	if (r->other_epoch || t->epoch != sub->req_epoch) {
		sub->need_cursor = true;
		return;
	}
	for (uint32_t i = 0; i < r->n && good && !bus_sub_stopped(sub); i++) {
		uint32_t len;
		const void *message = pst_cur_bytes(&r->batches, &len);

		good = !r->batches.bad && replay_one(sub, t, message, len, to);
	}
	if (r->refused || !good) {
		bad_reply(sub, t, to);
		return;
	}
	t->bad_replies = 0;
	if (r->next < sub->req_to)
		contradiction(sub, t, r->next);
	else if (t->next == before && to > t->next && !bus_sub_stopped(sub))
		bus_sub_lose(sub, t, sub->bus->st.lost_retention, to - t->next); /* nothing of it is held */
	bus_sub_drain_pending(sub, t);
}

/* ---- requests ---- */

void bus_repair_reply(void *arg, int error, const void *reply, size_t len)
{
	struct pst_sub *sub = arg;
	struct cursor cursor = {0};
	struct replay replay = {0};
	int what = sub->request;
	struct sub_topic *t = &sub->topic[sub->req_topic];

	sub->request = SUB_IDLE;
	if (error == 0)
		error = what == SUB_CURSOR ? take_cursor(reply, len, &cursor)
					   : take_replay(reply, len, &replay);
	if (error == -EBADMSG && what == SUB_REPLAY) {
		bad_reply(sub, t, sub->req_to);
	} else if (error < 0) {
		/* The publisher is away or busy: it will be there again, and asked again. */
		sub->need_cursor |= what == SUB_CURSOR;
		sub->bus->st.malformed->value += error == -EBADMSG;
		sub->backoff_ns = PST_MIN(PST_MAX(sub->backoff_ns * 2, BACKOFF_MIN_NS), BACKOFF_MAX_NS);
		pst_timer_arm(sub->retry, sub->backoff_ns, 0);
		return;
	} else {
		sub->backoff_ns = 0;
		if (what == SUB_CURSOR)
			got_cursor(sub, &cursor);
		else
			got_replay(sub, t, &replay);
	}
	bus_repair_kick(sub);
}

static void ask(struct pst_sub *sub, const struct pst_buf *request)
{
	int r = request->failed ? -ENOMEM
				: ctl_client_request(sub->client, request->p, request->len, TIMEOUT_MS,
					  bus_repair_reply, sub);

	if (r == 0)
		return;
	sub->request = SUB_IDLE;
	pst_timer_arm(sub->retry, BACKOFF_MAX_NS, 0);
}

static void send_cursor(struct pst_sub *sub)
{
	PST_CLEANUP(pst_buf_done) struct pst_buf req = {0};

	sub->need_cursor = false;
	sub->request = SUB_CURSOR;
	pst_mp_map(&req, 1);
	pst_mp_str(&req, "op");
	pst_mp_str(&req, "cursor");
	ask(sub, &req);
}

static void send_replay(struct pst_sub *sub, struct sub_topic *t)
{
	PST_CLEANUP(pst_buf_done) struct pst_buf req = {0};

	sub->request = SUB_REPLAY;
	sub->req_topic = bus_sub_topic_id(sub, t);
	sub->req_epoch = t->epoch;
	sub->req_to = t->target;
	if (t->pending && t->pending->batch.epoch == t->epoch)
		sub->req_to = PST_MIN(t->target, t->pending->batch.first_seq);
	pst_mp_map(&req, 5);
	pst_mp_str(&req, "op");
	pst_mp_str(&req, "replay");
	pst_mp_str(&req, "topic");
	pst_mp_str(&req, pst_topic_name(sub->req_topic));
	pst_mp_str(&req, "epoch");
	pst_mp_uint(&req, t->epoch);
	pst_mp_str(&req, "from");
	pst_mp_uint(&req, t->next);
	pst_mp_str(&req, "to");
	pst_mp_uint(&req, sub->req_to);
	ask(sub, &req);
}

void bus_repair_kick(struct pst_sub *sub)
{
	if (sub->request != SUB_IDLE || pst_timer_armed(sub->retry) || bus_sub_stopped(sub) || !sub->greeted)
		return;
	if (sub->need_cursor) {
		send_cursor(sub);
		return;
	}
	for (int i = 1; i <= PST_TOPICS; i++) { /* in turn */
		struct sub_topic *t = &sub->topic[(sub->req_topic + i) % PST_TOPICS];

		if (t->have && t->next < t->target) {
			send_replay(sub, t);
			return;
		}
	}
}

void bus_repair_retry(void *arg)
{
	struct pst_sub *sub = arg;

	for (int i = 0; i < PST_TOPICS; i++)
		bus_sub_drain_pending(sub, &sub->topic[i]);
	bus_sub_receive(sub);
	bus_repair_kick(sub);
}
