// SPDX-License-Identifier: Apache-2.0
/*
 * A subscription between a publisher and a control socket that say anything in any order: batches and replies
 * that are whole but lie, and plain rubbish. Whatever comes, per topic and epoch each number is handed over
 * or counted lost exactly once, in order.
 */
#include <errno.h>
#include <stdlib.h>

#include "proto/base/cleanup.h"
#include "proto/base/log.h"
#include "proto/wire/bus_internal.h"

#define BYTES_MAX 4096

static struct pst_bus *bus;
static struct pst_sub *sub;
static struct {
	bool known;
	uint64_t epoch, next;
} seen[PST_TOPICS];
static unsigned pauses;

static void follow(int topic)
{
	const struct sub_topic *t = &sub->topic[topic];

	if (seen[topic].known && seen[topic].epoch == t->epoch)
		return;
	if (seen[topic].known)
		seen[topic].next = 0; /* a new epoch begins at 0 */
	else
		seen[topic].next = BUS_UNKNOWN; /* where it begins is not our business */
	seen[topic].known = true;
	seen[topic].epoch = t->epoch;
}

static void on_batch(void *arg, const struct pst_batch *b)
{
	(void)arg;
	follow(b->topic);
	if (seen[b->topic].next == BUS_UNKNOWN)
		seen[b->topic].next = b->first_seq;
	if (!b->count || b->epoch != seen[b->topic].epoch || b->first_seq != seen[b->topic].next)
		abort();
	seen[b->topic].next += b->count;
	if (pauses && b->first_seq % 3 == 0) {
		pauses--;
		pst_sub_pause(sub, true);
	}
}

static void on_loss(void *arg, enum pst_topic topic, const char *cause, uint64_t count)
{
	(void)arg;
	follow((int)topic);
	if (!count || count > BUS_SEQ_MAX)
		abort();
	/* Of a batch that cannot be cut the rest is lost, and not moved by the count. */
	(void)cause;
	if (seen[topic].next != BUS_UNKNOWN)
		seen[topic].next += count;
}

static void start(void)
{
	static struct pst_loop *loop;
	struct pst_bus_config config = {.stage = "in", .run_dir = "/nonexistent", .ephemeral = true};
	struct pst_sub_config sc = {.publisher = "pub",
		.topics = 1u << PST_TOPIC_PROC | 1u << PST_TOPIC_NET,
		.resume = PST_RESUME_OWN,
		.on_batch = on_batch,
		.on_loss = on_loss};

	pst_log_init("fuzz", PST_LOG_TEXT, PST_LOG_ERROR);
	if (!loop && pst_loop_new(&loop) < 0)
		abort();
	if (pst_bus_open(loop, &config, &bus) < 0 || pst_bus_subscribe(bus, &sc, &sub) < 0)
		abort();
	memset(seen, 0, sizeof(seen));
}

struct input {
	const uint8_t *p, *end;
};
static uint8_t take(struct input *in)
{
	return in->p < in->end ? *in->p++ : 0;
}

static void put_batch(struct input *in, struct pst_buf *out)
{
	uint8_t head[BUS_HEAD_MAX], what = take(in);
	struct bus_head h = {.topic = what & 1 ? PST_TOPIC_NET : PST_TOPIC_PROC,
		.stage = "pub",
		.node = "n",
		.epoch = 1 + (what >> 1) % 3,
		.first_seq = take(in),
		.count = take(in) % 16,
		.flags = what >> 7};

	pst_mp_raw(out, head, bus_head_pack(head, &h));
	for (uint32_t i = 0; i < h.count; i++)
		pst_mp_raw(out, what & 0x40 ? "\x93\x01\x02" : "\x92\x01\x02", 3);
}

static void cursor_reply(struct input *in, struct pst_buf *out)
{
	uint8_t what = take(in);

	pst_mp_map(out, 3);
	pst_mp_str(out, "epoch");
	pst_mp_uint(out, 1 + what % 3);
	pst_mp_str(out, "prev_epoch");
	pst_mp_uint(out, (what >> 2) % 4);
	pst_mp_str(out, "topics");
	pst_mp_map(out, 2);
	for (int i = 0; i < 2; i++) {
		uint8_t oldest = take(in);

		pst_mp_str(out, i ? "net" : "proc");
		pst_mp_map(out, 3);
		pst_mp_str(out, "oldest_seq");
		pst_mp_uint(out, oldest);
		pst_mp_str(out, "next_seq");
		pst_mp_uint(out, (uint64_t)oldest + take(in));
		pst_mp_str(out, "prev_next");
		pst_mp_uint(out, take(in));
	}
}

static void replay_reply(struct input *in, struct pst_buf *out)
{
	uint32_t n = take(in) % 8;

	pst_mp_map(out, 2);
	pst_mp_str(out, "batches");
	pst_mp_array(out, n);
	for (uint32_t i = 0; i < n; i++) {
		struct pst_buf b = {0};

		put_batch(in, &b);
		pst_mp_bin(out, b.p, b.len);
		pst_buf_done(&b);
	}
	pst_mp_str(out, "next_seq");
	pst_mp_uint(out, take(in));
}

static void rubbish(struct input *in, struct pst_buf *out)
{
	size_t n = take(in);

	n = PST_MIN(n, (size_t)(in->end - in->p));
	pst_mp_raw(out, in->p, n);
	in->p += n;
}

/* As if the connection stood and requests went out: what the reply answers is set by hand. */
static void reply(int what, int topic, uint64_t to, const struct pst_buf *bytes, int error)
{
	sub->request = what == SUB_CURSOR ? SUB_CURSOR : SUB_REPLAY;
	sub->req_topic = topic;
	sub->req_epoch = sub->topic[topic].epoch;
	sub->req_to = to;
	if (what == SUB_REPLAY && (!sub->topic[topic].have || to <= sub->topic[topic].next))
		sub->request = SUB_CURSOR; /* would never be asked */
	sub->need_cursor = false;
	bus_repair_reply(sub, error, bytes->p, bytes->len);
	sub->request = SUB_IDLE;
	pst_timer_disarm(sub->retry);
}

static void step(struct input *in)
{
	struct pst_buf b = {0};
	uint8_t op = take(in);
	int topic = op & 0x80 ? PST_TOPIC_NET : PST_TOPIC_PROC;

	switch (op % 8) {
	case 0:
	case 1:
		put_batch(in, &b);
		if (!bus_sub_stopped(sub))
			bus_sub_message(sub, b.p, b.len);
		break;
	case 2:
		cursor_reply(in, &b);
		reply(SUB_CURSOR, topic, 0, &b, 0);
		break;
	case 3:
		replay_reply(in, &b);
		reply(SUB_REPLAY, topic, sub->topic[topic].target, &b, 0);
		break;
	case 4:
		rubbish(in, &b);
		if (!bus_sub_stopped(sub))
			bus_sub_message(sub, b.p, b.len);
		break;
	case 5:
		rubbish(in, &b);
		reply(op & 0x40 ? SUB_CURSOR : SUB_REPLAY, topic, sub->topic[topic].target, &b, 0);
		break;
	case 6:
		reply(op & 0x40 ? SUB_CURSOR : SUB_REPLAY, topic, sub->topic[topic].target, &b, -ETIMEDOUT);
		break;
	case 7:
		pauses = op >> 4;
		pst_sub_pause(sub, false);
		bus_repair_retry(sub);
		break;
	}
	pst_buf_done(&b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = {data, data + size};

	if (size > BYTES_MAX)
		return 0;
	start();
	while (in.p < in.end)
		step(&in);
	for (int i = 0; i < PST_TOPICS; i++)
		if (seen[i].known && seen[i].next != BUS_UNKNOWN && seen[i].epoch == sub->topic[i].epoch &&
			seen[i].next != sub->topic[i].next)
			abort();
	pst_bus_free(bus);
	return 0;
}
