// SPDX-License-Identifier: Apache-2.0
/* The bus between publishers and subscribers of one process: order, exactly once, repair, counting. Killing:
 * test_bus_crash.c. */
#include "tests/unit/bus_test.h"

#include <poll.h>
#include <malloc.h>
#include <nng/nng.h>
#include <nng/protocol/pubsub0/pub.h>
#include <nng/protocol/pubsub0/sub.h>
#include <sys/socket.h>
#include <sys/stat.h>

static bool connected(const struct sink *sink)
{
	struct pst_sub_state st;

	pst_sub_state(sink->sub, &st);
	return st.connected;
}

/* It has asked the publisher where things stand, and knows. */
static bool settled(const struct sink *sink)
{
	return sink->sub->topic[PST_TOPIC_PROC].have && sink->sub->request == SUB_IDLE;
}

/* Publishes the first ten events and waits until batches arrive by the live way, not by replay alone. */
static void go_live(struct bus_env *env, struct pst_bus *pub, struct sink *sink)
{
	struct bus_topic *t = &pub->topic[PST_TOPIC_PROC];
	struct pst_sub_state st;

	RUN_UNTIL(env, settled(sink));
	publish_range(pub, PST_TOPIC_PROC, t->next, t->next + 10);
	pst_bus_flush(pub);
	RUN_UNTIL(env, (t->heartbeats = 3, pst_timer_arm(pub->heartbeat_timer, 0, 0), run_for(env, 2),
			       pst_sub_state(sink->sub, &st), st.last_rx_ns) &&
			       sink->next == t->next && settled(sink));
}

static struct pst_bus *start_sink(struct bus_env *env, const char *stage, const char *publisher,
	uint32_t topics, int resume, struct sink *sink)
{
	struct pst_bus *bus = open_bus(env, stage, 0, 0);

	subscribe(bus, publisher, topics, resume, sink);
	assert_int_equal(pst_bus_start(bus), 0);
	return bus;
}

/* ---- plain ---- */

static void events_arrive_once_in_order(void **state)
{
	struct bus_env *env = *state;
	struct sink sink = {0};
	struct pst_bus *pub = start_bus(env, "pub", BUS_TOPIC(PROC), 0);
	struct pst_bus *in = start_sink(env, "in", "pub", BUS_TOPIC(PROC), PST_RESUME_OWN, &sink);

	for (uint64_t n = 0; n < 100000; n += 1000) {
		publish_range(pub, PST_TOPIC_PROC, n, n + 1000);
		pst_loop_turn(env->loop, 0);
	}
	RUN_UNTIL(env, sink.events == 100000);
	assert_int_equal(sink.wrong, 0);
	assert_int_equal(sink.lost, 0);
	assert_int_equal(pst_bus_next_seq(pub, PST_TOPIC_PROC), 100000);
	struct pst_sub_state st;
	pst_sub_state(sink.sub, &st);
	assert_true(st.connected);
	assert_int_equal(st.next_seq[PST_TOPIC_PROC], 100000);
	assert_true(st.epoch == pub->epoch);
	pst_bus_free(in);
	pst_bus_free(pub);
}

static void single_event_goes_out_at_once(void **state)
{
	struct bus_env *env = *state;
	struct sink sink = {0};
	struct pst_bus *pub = start_bus(env, "pub", BUS_TOPIC(PROC), 0);
	struct pst_bus *in = start_sink(env, "in", "pub", BUS_TOPIC(PROC), PST_RESUME_NONE, &sink);

	RUN_UNTIL(env, connected(&sink));
	run_for(env, 20);
	uint64_t begin = pst_now_mono_ns();
	publish(pub, PST_TOPIC_PROC, 0);
	RUN_UNTIL(env, sink.events == 1);
	assert_true(pst_now_mono_ns() - begin < 200000000); /* generous: the machine may be busy */
	pst_bus_free(in);
	pst_bus_free(pub);
}

static void topics_are_apart(void **state)
{
	struct bus_env *env = *state;
	struct sink proc = {0}, net = {0};
	struct pst_bus *pub = start_bus(env, "pub", BUS_TOPIC(PROC) | BUS_TOPIC(NET) | BUS_TOPIC(FLOW), 0);
	struct pst_bus *a = start_sink(env, "a", "pub", BUS_TOPIC(PROC), PST_RESUME_OWN, &proc);
	struct pst_bus *b = start_sink(env, "b", "pub", BUS_TOPIC(NET), PST_RESUME_OWN, &net);

	for (uint64_t n = 0; n < 5000; n++) {
		publish(pub, PST_TOPIC_PROC, n);
		publish(pub, PST_TOPIC_FLOW, 7);
		if (n % 3 == 0)
			publish(pub, PST_TOPIC_NET, n / 3);
	}
	RUN_UNTIL(env, proc.events == 5000 && net.events == 1667);
	assert_int_equal(proc.wrong + net.wrong + proc.lost + net.lost, 0);
	pst_bus_free(a);
	pst_bus_free(b);
	pst_bus_free(pub);
}

static void onlooker_begins_with_what_comes_next(void **state)
{
	struct bus_env *env = *state;
	struct sink sink = {.learn = true};
	struct pst_bus *pub = start_bus(env, "pub", BUS_TOPIC(PROC), 0);

	publish_range(pub, PST_TOPIC_PROC, 0, 3000);
	pst_bus_flush(pub);
	struct pst_bus *in = start_sink(env, "in", "pub", BUS_TOPIC(PROC), PST_RESUME_NONE, &sink);
	RUN_UNTIL(env, connected(&sink));
	run_for(env, 50);
	assert_int_equal(sink.events, 0);
	publish_range(pub, PST_TOPIC_PROC, 3000, 4000);
	RUN_UNTIL(env, sink.next == 4000);
	assert_int_equal(sink.events, 1000);
	assert_int_equal(sink.lost, 0);
	pst_bus_free(in);
	pst_bus_free(pub);
}

static void latecomer_gets_what_is_held(void **state)
{
	struct bus_env *env = *state;
	struct sink sink = {0};
	struct pst_bus *pub = start_bus(env, "pub", BUS_TOPIC(PROC), 0);
	uint64_t replayed = pub->st.replayed->value;

	publish_range(pub, PST_TOPIC_PROC, 0, 30000);
	pst_bus_flush(pub);
	struct pst_bus *in = start_sink(env, "in", "pub", BUS_TOPIC(PROC), PST_RESUME_OWN, &sink);
	RUN_UNTIL(env, sink.events == 30000);
	assert_int_equal(pub->st.replayed->value - replayed, 30000);
	assert_int_equal(sink.wrong + sink.lost, 0);
	pst_bus_free(in);
	pst_bus_free(pub);
}

static void subscriber_resumes_where_it_was(void **state)
{
	struct bus_env *env = *state;
	struct sink sink = {0};
	struct pst_bus *pub = start_bus(env, "pub", BUS_TOPIC(PROC), 0);

	for (uint64_t n = 0; n < 20000; n += 2000) {
		struct pst_bus *in = start_sink(env, "in", "pub", BUS_TOPIC(PROC), PST_RESUME_OWN, &sink);

		publish_range(pub, PST_TOPIC_PROC, n, n + 1000);
		RUN_UNTIL(env, sink.events == n + 1000);
		pst_bus_free(in);
		publish_range(pub, PST_TOPIC_PROC, n + 1000, n + 2000); /* while it is away */
		pst_bus_flush(pub);
	}
	struct pst_bus *in = start_sink(env, "in", "pub", BUS_TOPIC(PROC), PST_RESUME_OWN, &sink);
	RUN_UNTIL(env, sink.events == 20000);
	assert_int_equal(sink.wrong + sink.lost, 0);
	pst_bus_free(in);
	pst_bus_free(pub);
}

/* ---- gaps ---- */

static void slow_subscriber_misses_nothing_that_is_held(void **state)
{
	struct bus_env *env = *state;
	struct sink sink = {0};
	struct pst_bus *pub = start_bus(env, "pub", BUS_TOPIC(PROC), 0);
	struct pst_bus *in = start_sink(env, "in", "pub", BUS_TOPIC(PROC), PST_RESUME_OWN, &sink);
	uint64_t gaps = in->st.gaps->value;

	RUN_UNTIL(env, connected(&sink));
	publish_range(pub, PST_TOPIC_PROC, 0, 10);
	RUN_UNTIL(env, sink.events == 10);
	pst_sub_pause(sink.sub, true);
	for (uint64_t n = 10; n < 200010; n += 1000) { /* far more than the queues take */
		publish_range(pub, PST_TOPIC_PROC, n, n + 1000);
		pst_loop_turn(env->loop, 0);
	}
	run_for(env, 20);
	assert_int_equal(sink.events, 10);
	pst_sub_pause(sink.sub, false);
	RUN_UNTIL(env, sink.events == 200010);
	assert_int_equal(sink.wrong + sink.lost, 0);
	assert_true(in->st.gaps->value > gaps);
	pst_bus_free(in);
	pst_bus_free(pub);
}

static void what_is_not_held_is_counted(void **state)
{
	struct bus_env *env = *state;
	struct sink sink = {0};
	struct pst_bus *pub = start_bus(env, "pub", BUS_TOPIC(PROC), 1 << 20);
	struct pst_bus *in = start_sink(env, "in", "pub", BUS_TOPIC(PROC), PST_RESUME_OWN, &sink);
	uint64_t lost = in->st.lost_retention->value;

	RUN_UNTIL(env, settled(&sink));
	for (int round = 0; round < 3; round++) {
		pst_sub_pause(sink.sub, true);
		for (uint64_t n = 0; n < 200000; n += 1000) {
			uint64_t at = pst_bus_next_seq(pub, PST_TOPIC_PROC);

			publish_range(pub, PST_TOPIC_PROC, at, at + 1000);
			pst_loop_turn(env->loop, 0);
		}
		pst_sub_pause(sink.sub, false);
		RUN_UNTIL(env, sink.next == pst_bus_next_seq(pub, PST_TOPIC_PROC));
	}
	assert_int_equal(sink.events + sink.lost, 600000);
	assert_int_equal(sink.wrong, 0);
	assert_true(sink.lost > 0 && sink.events > 3000);
	assert_string_equal(sink.cause, "retention");
	assert_int_equal(in->st.lost_retention->value - lost, sink.lost);
	pst_bus_free(in);
	pst_bus_free(pub);
}

/* Publishes and commits, but nothing goes out: as if the queue had been full. */
static void publish_silently(struct pst_bus *pub, enum pst_topic topic, uint64_t from, uint64_t to)
{
	struct bus_out *out = pub->out;

	pub->out = NULL;
	publish_range(pub, topic, from, to);
	pst_bus_flush(pub);
	pub->out = out;
}

static void lost_last_batch_is_noticed_by_heartbeat(void **state)
{
	struct bus_env *env = *state;
	struct sink sink = {0};
	struct pst_bus *pub = start_bus(env, "pub", BUS_TOPIC(PROC), 0);
	struct pst_bus *in = start_sink(env, "in", "pub", BUS_TOPIC(PROC), PST_RESUME_OWN, &sink);

	go_live(env, pub, &sink);
	publish_silently(pub, PST_TOPIC_PROC, 10, 30);
	run_for(env, 100);
	assert_int_equal(sink.events, 10);
	RUN_UNTIL(env, sink.events == 30);
	assert_int_equal(sink.wrong + sink.lost, 0);
	pst_bus_free(in);
	pst_bus_free(pub);
}

static void hole_in_the_retention_is_counted(void **state)
{
	struct bus_env *env = *state;
	struct sink sink = {0};
	struct pst_bus *pub = start_bus(env, "pub", BUS_TOPIC(PROC), 0);
	struct pst_bus *in = start_sink(env, "in", "pub", BUS_TOPIC(PROC), PST_RESUME_OWN, &sink);

	go_live(env, pub, &sink);
	publish_silently(pub, PST_TOPIC_PROC, 10, 30);
	pub->topic[PST_TOPIC_PROC].next += 7; /* a batch that could be neither retained nor sent */
	publish_silently(pub, PST_TOPIC_PROC, 37, 50);
	pub->topic[PST_TOPIC_PROC].next += 5;
	publish_range(pub, PST_TOPIC_PROC, 55, 60);
	RUN_UNTIL(env, sink.next == 60);
	assert_int_equal(sink.wrong, 0);
	assert_int_equal(sink.lost, 12);
	assert_int_equal(sink.events, 48);
	pst_bus_free(in);
	pst_bus_free(pub);
}

/* ---- publisher's restart ---- */

static void publisher_goes_on_with_its_numbers(void **state)
{
	struct bus_env *env = *state;
	struct sink sink = {0};
	struct pst_bus *in = start_sink(env, "in", "pub", BUS_TOPIC(PROC), PST_RESUME_OWN, &sink);
	uint64_t epoch = 0, published = 0;

	for (int round = 0; round < 5; round++) {
		struct pst_bus *pub = open_bus(env, "pub", BUS_TOPIC(PROC), 0);

		assert_true(!epoch || pub->epoch == epoch);
		epoch = pub->epoch;
		assert_int_equal(pst_bus_next_seq(pub, PST_TOPIC_PROC), published);
		assert_int_equal(pst_bus_start(pub), 0);
		publish_range(pub, PST_TOPIC_PROC, published, published + 1500);
		published += 1500;
		if (round % 2)
			RUN_UNTIL(env, sink.events == published);
		pst_bus_free(pub);
	}
	struct pst_bus *pub = start_bus(env, "pub", BUS_TOPIC(PROC), 0);
	RUN_UNTIL(env, sink.events == published);
	assert_int_equal(sink.wrong + sink.lost, 0);
	pst_bus_free(pub);
	pst_bus_free(in);
}

/* The publisher has 1,000 events more than the subscriber, then loses @file. */
static void lose_file(struct bus_env *env, struct sink *sink, const char *file)
{
	struct pst_bus *pub = start_bus(env, "pub", BUS_TOPIC(PROC) | BUS_TOPIC(NET), 0);
	struct pst_bus *in =
		start_sink(env, "in", "pub", BUS_TOPIC(PROC) | BUS_TOPIC(NET), PST_RESUME_OWN, sink);
	uint64_t epoch = pub->epoch;

	publish_range(pub, PST_TOPIC_PROC, 0, 2000);
	RUN_UNTIL(env, sink->events == 2000);
	pst_bus_free(in);
	publish_range(pub, PST_TOPIC_PROC, 2000, 3000);
	pst_bus_free(pub);
	assert_int_equal(unlink(env_path(env, file)), 0);

	pub = start_bus(env, "pub", BUS_TOPIC(PROC) | BUS_TOPIC(NET), 0);
	assert_true(pub->epoch != epoch);
	assert_int_equal(pst_bus_next_seq(pub, PST_TOPIC_PROC), 0);
	in = start_sink(env, "in", "pub", BUS_TOPIC(PROC) | BUS_TOPIC(NET), PST_RESUME_OWN, sink);
	publish_range(pub, PST_TOPIC_PROC, 3000, 4000);
	RUN_UNTIL(env, sink->next == 4000);
	publish_range(pub, PST_TOPIC_PROC, 4000, 5000);
	RUN_UNTIL(env, sink->next == 5000);
	assert_int_equal(sink->wrong, 0);
	pst_bus_free(in);
	pst_bus_free(pub);
}

static void lost_retention_file_is_counted_to_the_event(void **state)
{
	struct sink sink = {0};
	uint64_t resets = pst_counter("epoch_resets", "")->value;

	lose_file(*state, &sink, "pub.ret");
	assert_int_equal(sink.lost, 1000);
	assert_string_equal(sink.cause, "epoch");
	assert_int_equal(sink.events, 4000);
	assert_int_equal(pst_counter("epoch_resets", "")->value, resets + 1);
}

static void learn_again(struct sink *sink, const struct pst_event *event)
{
	if (event->ts_ns == 2000)
		sink->learn = true; /* what follows is not told */
}

static void lost_checkpoint_is_an_unknown_gap(void **state)
{
	struct sink sink = {.hook = learn_again};
	uint64_t unknown = pst_counter("unknown_gaps", "")->value;

	lose_file(*state, &sink, "pub.ckpt");
	assert_int_equal(sink.lost, 0);
	assert_int_equal(sink.events, 4000);
	assert_int_equal(pst_counter("unknown_gaps", "")->value, unknown + 2); /* of both topics */
}

static void damaged_retention_file_starts_an_epoch(void **state)
{
	struct bus_env *env = *state;
	struct pst_bus *pub = start_bus(env, "pub", BUS_TOPIC(PROC), 0);
	uint64_t epoch = pub->epoch;

	publish_range(pub, PST_TOPIC_PROC, 0, 5000);
	pst_bus_free(pub);
	PST_CLOSE int fd = open(env_path(env, "pub.ret"), O_RDWR);
	assert_int_equal(pwrite(fd, "xyz", 3, 4096 + 1), 3);
	pub = start_bus(env, "pub", BUS_TOPIC(PROC), 0);
	assert_true(pub->epoch != epoch);
	uint64_t prev;
	assert_int_equal(bus_ret_prev(pub->ret, PST_TOPIC_PROC, &prev), 5000);
	assert_true(prev == epoch);
	pst_bus_free(pub);
}

static void live_subscriber_follows_into_the_new_epoch(void **state)
{
	struct bus_env *env = *state;
	struct sink sink = {0};
	struct pst_bus *pub = start_bus(env, "pub", BUS_TOPIC(PROC), 0);
	struct pst_bus *in = start_sink(env, "in", "pub", BUS_TOPIC(PROC), PST_RESUME_OWN, &sink);
	uint64_t n = 0;

	for (int round = 0; round < 5; round++) {
		publish_range(pub, PST_TOPIC_PROC, n, n + 700);
		n += 700;
		RUN_UNTIL(env, sink.next == n);
		publish_silently(pub, PST_TOPIC_PROC, n, n + 100); /* will be lost */
		n += 100;
		pst_bus_free(pub);
		unlink(env_path(env, "pub.ret"));
		pub = start_bus(env, "pub", BUS_TOPIC(PROC), 0);
	}
	publish_range(pub, PST_TOPIC_PROC, n, n + 10);
	RUN_UNTIL(env, sink.next == n + 10);
	assert_int_equal(sink.wrong, 0);
	assert_int_equal(sink.lost, 500);
	assert_int_equal(sink.events, 3510);
	pst_bus_free(in);
	pst_bus_free(pub);
}

/* ---- hostile ---- */

static void send_batch(struct pst_bus *pub, uint64_t epoch, uint64_t first, uint32_t count)
{
	uint8_t head[BUS_HEAD_MAX];
	struct bus_head h = {.topic = PST_TOPIC_PROC,
		.stage = pub->stage,
		.node = "x",
		.epoch = epoch,
		.first_seq = first,
		.count = count};
	struct pst_buf events = {0};
	size_t head_len = bus_head_pack(head, &h);

	for (uint32_t i = 0; i < count; i++)
		put_event(&events, first + i);
	struct bus_packet *packet = bus_packet_new(head_len + events.len);
	assert_non_null(packet);
	memcpy(bus_packet_message(packet), head, head_len);
	if (events.len)
		memcpy(bus_packet_message(packet) + head_len, events.p, events.len);
	bus_out_send(pub->out, packet);
	bus_packet_free(packet);
	pst_buf_done(&events);
}

static void duplicates_are_cut_off(void **state)
{
	struct bus_env *env = *state;
	struct sink sink = {0};
	struct pst_bus *pub = start_bus(env, "pub", BUS_TOPIC(PROC), 0);
	struct pst_bus *in = start_sink(env, "in", "pub", BUS_TOPIC(PROC), PST_RESUME_OWN, &sink);

	go_live(env, pub, &sink);
	publish_range(pub, PST_TOPIC_PROC, 10, 100);
	RUN_UNTIL(env, sink.events == 100 && settled(&sink));
	uint64_t duplicates = in->st.duplicate->value;
	pub->topic[PST_TOPIC_PROC].next = pub->topic[PST_TOPIC_PROC].committed = 150;
	send_batch(pub, pub->epoch, 0, 100);
	send_batch(pub, pub->epoch, 50, 100); /* half of it is known */
	send_batch(pub, pub->epoch, 149, 1);
	RUN_UNTIL(env, sink.events == 150);
	run_for(env, 30);
	assert_int_equal(sink.wrong + sink.lost, 0);
	assert_int_equal(sink.events, 150);
	assert_int_equal(in->st.duplicate->value - duplicates, 100 + 50 + 1);
	pst_bus_free(in);
	pst_bus_free(pub);
}

static void batches_out_of_order_are_put_in_order(void **state)
{
	struct bus_env *env = *state;
	struct sink sink = {0};
	struct pst_bus *pub = start_bus(env, "pub", BUS_TOPIC(PROC), 0);
	struct pst_bus *in = start_sink(env, "in", "pub", BUS_TOPIC(PROC), PST_RESUME_OWN, &sink);

	go_live(env, pub, &sink);
	publish_silently(pub, PST_TOPIC_PROC, 10, 100);
	send_batch(pub, pub->epoch, 70, 30);
	send_batch(pub, pub->epoch, 30, 10);
	send_batch(pub, pub->epoch, 25, 10);
	send_batch(pub, pub->epoch, 50, 10);
	RUN_UNTIL(env, sink.events == 100);
	assert_int_equal(sink.wrong + sink.lost, 0);
	pst_bus_free(in);
	pst_bus_free(pub);
}

static void forged_numbers_do_no_harm(void **state)
{
	struct bus_env *env = *state;
	struct sink sink = {0};
	struct pst_bus *pub = start_bus(env, "pub", BUS_TOPIC(PROC), 0);
	struct pst_bus *in = start_sink(env, "in", "pub", BUS_TOPIC(PROC), PST_RESUME_OWN, &sink);
	uint64_t stale = in->st.stale->value, malformed = in->st.malformed->value;

	go_live(env, pub, &sink);
	send_batch(pub, pub->epoch ^ 1, 5, 10);           /* an epoch that never was */
	send_batch(pub, pub->epoch, BUS_SEQ_MAX - 10, 5); /* events that the publisher knows nothing of */
	send_batch(pub, pub->epoch, 1000000, 0);
	RUN_UNTIL(env, in->st.stale->value > stale && in->st.malformed->value > malformed);
	run_for(env, 50);
	publish_range(pub, PST_TOPIC_PROC, 10, 600);
	RUN_UNTIL(env, sink.events == 600);
	assert_int_equal(sink.wrong + sink.lost, 0);
	pst_bus_free(in);
	pst_bus_free(pub);
}

static void malformed_event_costs_the_rest_of_its_batch(void **state)
{
	struct bus_env *env = *state;
	struct sink sink = {0};
	struct pst_bus *pub = start_bus(env, "pub", BUS_TOPIC(PROC), 0);
	struct pst_bus *in = start_sink(env, "in", "pub", BUS_TOPIC(PROC), PST_RESUME_OWN, &sink);

	RUN_UNTIL(env, connected(&sink));
	publish_range(pub, PST_TOPIC_PROC, 0, 6);
	pst_mp_raw(pst_bus_put(pub, PST_TOPIC_PROC), "\xc1junk", 5); /* the stage's own fault */
	assert_true(pst_bus_end(pub, PST_TOPIC_PROC, 7));
	publish_range(pub, PST_TOPIC_PROC, 7, 10);
	pst_bus_flush(pub);
	publish_range(pub, PST_TOPIC_PROC, 10, 20);
	RUN_UNTIL(env, sink.next == 20);
	assert_int_equal(sink.wrong, 0);
	assert_int_equal(sink.lost, 4);
	assert_string_equal(sink.cause, "malformed");
	assert_int_equal(sink.events, 16);
	pst_bus_free(in);
	pst_bus_free(pub);
}

static void what_cannot_be_an_event_is_not_published(void **state)
{
	struct bus_env *env = *state;
	struct pst_bus *pub = start_bus(env, "pub", BUS_TOPIC(PROC), 0);
	uint64_t dropped = pub->topic[PST_TOPIC_PROC].dropped->value;
	static uint8_t big[BUS_EVENT_MAX];

	publish(pub, PST_TOPIC_PROC, 0);
	pst_bus_put(pub, PST_TOPIC_PROC)->failed = true;
	assert_false(pst_bus_end(pub, PST_TOPIC_PROC, 1));
	pst_bus_put(pub, PST_TOPIC_PROC);
	assert_false(pst_bus_end(pub, PST_TOPIC_PROC, 1));
	pst_mp_bin(pst_bus_put(pub, PST_TOPIC_PROC), big, sizeof(big));
	assert_false(pst_bus_end(pub, PST_TOPIC_PROC, 1));
	assert_true(publish(pub, PST_TOPIC_PROC, 1));
	assert_int_equal(pst_bus_next_seq(pub, PST_TOPIC_PROC), 2);
	assert_int_equal(pub->topic[PST_TOPIC_PROC].dropped->value - dropped, 3);
	pst_bus_free(pub);
}

/* A publisher that sends anything at all; then the real one takes its place. */
static void rogue_publisher(void **state)
{
	struct bus_env *env = *state;
	struct sink sink = {0};
	char url[160];
	nng_socket rogue;
	uint64_t seed = 4711, malformed = pst_counter("malformed_messages", "")->value;
	struct pst_bus *in = start_sink(env, "in", "pub", BUS_TOPIC(PROC), PST_RESUME_OWN, &sink);

	snprintf(url, sizeof(url), "ipc://%s", env_path(env, "pub.pub"));
	assert_int_equal(nng_pub0_open(&rogue), 0);
	assert_int_equal(nng_listen(rogue, url, NULL, 0), 0);
	RUN_UNTIL(env, connected(&sink));
	for (int i = 0; i < 3000; i++) {
		uint8_t buf[400] = "proc";
		size_t len = 8 + (size_t)(rand_r((unsigned *)&seed) % 392);

		for (size_t j = 8; j < len; j++)
			buf[j] = (uint8_t)rand_r((unsigned *)&seed);
		if (i % 2) { /* nearly a batch */
			struct bus_head h = {.topic = 0,
				.stage = "pub",
				.node = "x",
				.epoch = 1,
				.first_seq = (uint64_t)i,
				.count = 3};
			size_t n = bus_head_pack(buf, &h);

			buf[9 + (size_t)rand_r((unsigned *)&seed) % (n - 9)] ^=
				(uint8_t)(1 + rand_r((unsigned *)&seed) % 255);
		}
		nng_send(rogue, buf, len, 0);
		if (i % 50 == 0)
			pst_loop_turn(env->loop, 1);
	}
	run_for(env, 100);
	assert_true(pst_counter("malformed_messages", "")->value > malformed + 100);
	assert_int_equal(sink.events, 0);
	nng_close(rogue);
	struct pst_bus *pub = start_bus(env, "pub", BUS_TOPIC(PROC), 0);
	publish_range(pub, PST_TOPIC_PROC, 0, 100);
	RUN_UNTIL(env, sink.events == 100);
	assert_int_equal(sink.wrong + sink.lost, 0);
	pst_bus_free(in);
	pst_bus_free(pub);
}

/* What anyone else uses to join: the real thing understands us, and the test above shows that we understand
 * it. */
/* A publisher that sends the smallest batches there are, all of them behind a gap. */
static void what_waits_behind_a_gap_is_bounded(void **state)
{
	struct bus_env *env = *state;
	struct sink sink = {0};
	struct pst_bus *in = open_bus(env, "in", 0, 0);
	uint64_t dropped = pst_counter("pending_dropped_batches", "")->value;
	size_t before = mallinfo2().uordblks;
	unsigned waiting = 0;

	subscribe(in, "pub", BUS_TOPIC(PROC), PST_RESUME_OWN, &sink);
	for (uint64_t i = 0; i < 20000; i++) {
		uint8_t buf[BUS_HEAD_MAX + 1];
		struct bus_head h = {.stage = "pub", .node = "", .epoch = 1, .first_seq = 2 * i, .count = 1};
		size_t n = bus_head_pack(buf, &h);

		buf[n] = 0x90;
		bus_sub_message(sink.sub, buf, n + 1);
	}
	for (const struct sub_pending *p = sink.sub->topic[PST_TOPIC_PROC].pending; p; p = p->next)
		waiting++;
	assert_true(waiting > 1000 && waiting <= BUS_PENDING_BYTES / BUS_PENDING_LEAST);
	assert_int_equal(pst_counter("pending_dropped_batches", "")->value - dropped, 20000 - waiting);
	assert_true(mallinfo2().uordblks - before < BUS_PENDING_BYTES + (1u << 20));
	pst_bus_free(in);
}

/* Whoever may connect may also stop reading, each time at another moment. */
static void what_waits_for_those_that_do_not_read_is_bounded(void **state)
{
	struct bus_env *env = *state;
	struct sink sink = {0};
	struct pst_bus *pub = start_bus(env, "pub", BUS_TOPIC(PROC), 0);
	struct pst_bus *in = start_sink(env, "in", "pub", BUS_TOPIC(PROC), PST_RESUME_OWN, &sink);
	size_t before = mallinfo2().uordblks + mallinfo2().hblkhd;
	uint64_t n = 0;
	int fd[16];

	RUN_UNTIL(env, settled(&sink));
	for (unsigned i = 0; i < PST_ARRAY_SIZE(fd); i++) {
		uint8_t greeting[SP_GREETING];

		fd[i] = sp_connect(env_path(env, "pub.pub"), &(struct sp_peer){0});
		assert_true(fd[i] >= 0);
		sp_greeting(greeting, SP_SUB);
		assert_int_equal(send(fd[i], greeting, sizeof(greeting), 0), SP_GREETING);
		run_for(env, 5);
		for (unsigned k = 0; k < 140; k++, n += 512) {
			publish_range(pub, PST_TOPIC_PROC, n, n + 512);
			pst_loop_turn(env->loop, 0);
		}
		assert_true(mallinfo2().uordblks + mallinfo2().hblkhd - before < 40u << 20);
	}
	assert_true(pst_counter("subscribers_cut", "")->value > 0);
	RUN_UNTIL(env, sink.events == n); /* the one that reads is served */
	assert_int_equal(sink.wrong + sink.lost, 0);
	for (unsigned i = 0; i < PST_ARRAY_SIZE(fd); i++)
		close(fd[i]);
	pst_bus_free(in);
	pst_bus_free(pub);
}

/* Takes what is there; each batch has to follow the one before. */
static void nng_take(nng_socket sub, uint64_t *events)
{
	struct pollfd readable = {.events = POLLIN};
	struct pst_batch b;
	nng_msg *msg;

	/* nng 1.5 may not come back from a receive without waiting when nothing is there. */
	assert_int_equal(nng_socket_get_int(sub, NNG_OPT_RECVFD, &readable.fd), 0);
	while (poll(&readable, 1, 0) == 1) {
		assert_int_equal(nng_recvmsg(sub, &msg, 0), 0);
		assert_int_equal(pst_batch_decode(nng_msg_body(msg), nng_msg_len(msg), &b), 0);
		assert_int_equal(b.topic, PST_TOPIC_PROC);
		assert_int_equal(b.first_seq, *events);
		*events += b.count;
		nng_msg_free(msg);
	}
}

static void nng_subscriber_understands_us(void **state)
{
	struct bus_env *env = *state;
	struct pst_bus *pub = start_bus(env, "pub", BUS_TOPIC(PROC) | BUS_TOPIC(NET), 0);
	char url[160];
	nng_socket sub;
	uint64_t events = 0;

	snprintf(url, sizeof(url), "ipc://%s", env_path(env, "pub.pub"));
	assert_int_equal(nng_sub0_open(&sub), 0);
	assert_int_equal(nng_socket_set(sub, NNG_OPT_SUB_SUBSCRIBE, "proc\0\0\0\0", 8), 0);
	assert_int_equal(nng_socket_set_int(sub, NNG_OPT_RECVBUF, 1000), 0);
	assert_int_equal(nng_dial(sub, url, NULL, NNG_FLAG_NONBLOCK), 0);
	struct pst_stat *subscribers = pst_gauge("subscribers", "");
	RUN_UNTIL(env, subscribers->value == 1);
	uint64_t end = pst_now_mono_ns() + 60000000000ull;
	for (uint64_t n = 0; n < 100000; n++) {
		publish(pub, PST_TOPIC_PROC, n);
		if (n % 5 == 0)
			publish(pub, PST_TOPIC_NET, n);
		/* nng's own threads have to keep up: it asks for nothing again */
		for (bool behind = n % 1000 == 0; behind && pst_now_mono_ns() < end;
			behind = events + 10000 < n) {
			pst_loop_turn(env->loop, 0);
			nng_take(sub, &events);
		}
	}
	while (events < 100000 && pst_now_mono_ns() < end) {
		pst_loop_turn(env->loop, 1);
		nng_take(sub, &events);
	}
	assert_int_equal(events, 100000);
	nng_close(sub);
	RUN_UNTIL(env, subscribers->value == 0);
	pst_bus_free(pub);
}

/* ---- commits ---- */

struct splitter {
	struct pst_bus *bus;
	struct pst_sub *sub;
	uint64_t made, commits, wrong;
};
#define OUTCOMES 700 /* more than a batch holds */

static void split(void *arg, const struct pst_batch *batch)
{
	struct splitter *s = arg;
	struct pst_batch_iter it;
	struct pst_event event;

	pst_batch_iter_init(&it, s->sub, batch);
	while (pst_batch_iter_next(&it, &event))
		for (int i = 0; i < OUTCOMES; i++)
			publish(s->bus, PST_TOPIC_ALERT, s->made++);
}

static void check_commit(void *arg, enum pst_topic topic)
{
	struct splitter *s = arg;
	struct pst_ckpt_words words;

	assert_int_equal(topic, PST_TOPIC_ALERT);
	assert_true(pst_ckpt_load(s->bus->topic[topic].entry, &words));
	if (words.in_next[PST_TOPIC_PROC] == BUS_UNKNOWN)
		return;
	s->commits++;
	s->wrong += words.out_next != words.in_next[PST_TOPIC_PROC] * OUTCOMES;
}

static void commit_lies_between_two_inputs(void **state)
{
	struct bus_env *env = *state;
	struct sink sink = {0};
	struct splitter s = {0};
	struct pst_bus *pub = start_bus(env, "pub", BUS_TOPIC(PROC), 0);
	struct pst_sub_config config = {.publisher = "pub",
		.topics = BUS_TOPIC(PROC),
		.resume = PST_RESUME_OUT_ALERT,
		.on_batch = split,
		.arg = &s};

	s.bus = open_bus(env, "mid", BUS_TOPIC(ALERT), 0);
	assert_int_equal(pst_bus_subscribe(s.bus, &config, &s.sub), 0);
	pst_bus_on_commit(s.bus, check_commit, &s);
	assert_int_equal(pst_bus_start(s.bus), 0);
	struct pst_bus *in = start_sink(env, "in", "mid", BUS_TOPIC(ALERT), PST_RESUME_OWN, &sink);
	publish_range(pub, PST_TOPIC_PROC, 0, 200);
	RUN_UNTIL(env, sink.events == 200 * OUTCOMES);
	assert_int_equal(s.wrong, 0);
	assert_true(s.commits >= 200);
	assert_int_equal(sink.wrong + sink.lost, 0);
	pst_bus_free(in);
	pst_bus_free(s.bus);
	pst_bus_free(pub);
}

static struct pst_bus *aux_bus;
static void check_aux(void *arg, enum pst_topic topic)
{
	assert_int_equal(pst_bus_get_aux(aux_bus, topic, 0), aux_bus->topic[topic].committed);
	assert_int_equal(pst_bus_get_aux(aux_bus, topic, 2), aux_bus->topic[topic].committed * 3);
	++*(uint64_t *)arg;
}

static void words_are_committed_with_their_events(void **state)
{
	struct bus_env *env = *state;
	uint64_t commits = 0;

	for (uint64_t round = 0; round < 3; round++) {
		aux_bus = start_bus(env, "pub", BUS_TOPIC(PROC), 0);
		assert_int_equal(pst_bus_get_aux(aux_bus, PST_TOPIC_PROC, 0), round * 2001);
		assert_int_equal(pst_bus_get_aux(aux_bus, PST_TOPIC_PROC, 2), round * 2001 * 3);
		pst_bus_on_commit(aux_bus, check_aux, &commits);
		for (uint64_t n = round * 2001; n < (round + 1) * 2001; n++) {
			publish(aux_bus, PST_TOPIC_PROC, n);
			pst_bus_set_aux(aux_bus, PST_TOPIC_PROC, 0, n + 1);
			pst_bus_set_aux(aux_bus, PST_TOPIC_PROC, 2, (n + 1) * 3);
			if (n % 100 == 0)
				pst_loop_turn(env->loop, 0);
		}
		pst_bus_free(aux_bus);
	}
	assert_true(commits > 12);
}

/* ---- pacing ---- */

struct relay {
	struct pst_bus *bus;
	struct pst_sub *sub;
};

static void pass_on(void *arg, const struct pst_batch *batch)
{
	struct relay *r = arg;
	struct pst_batch_iter it;
	struct pst_event e;

	pst_batch_iter_init(&it, r->sub, batch);
	it.scan_only = true;
	while (pst_batch_iter_next(&it, &e)) {
		pst_mp_raw(pst_bus_put(r->bus, PST_TOPIC_PROC), e.raw, e.raw_len);
		pst_bus_end(r->bus, PST_TOPIC_PROC, e.ts_ns);
	}
}

static struct pst_bus *open_paced(
	struct bus_env *env, const char *stage, const char *subscriber, uint64_t retention)
{
	const char *const subscribers[] = {subscriber, NULL};
	struct pst_bus_config config = {.stage = stage,
		.run_dir = env->dir,
		.topics = BUS_TOPIC(PROC),
		.retention_bytes = retention,
		.subscribers = subscribers};
	struct pst_bus *bus;

	assert_int_equal(pst_bus_open(env->loop, &config, &bus), 0);
	return bus;
}

static void be_slow(struct sink *sink, const struct pst_event *event)
{
	(void)sink;
	if (event->ts_ns % 64 == 0)
		usleep(100);
}

static void ready(void *arg)
{
	++*(unsigned *)arg;
}

static void paced_source_loses_nothing(void **state)
{
	struct bus_env *env = *state;
	struct sink sink = {.hook = be_slow};
	struct relay relay;
	unsigned readies = 0;
	const uint64_t total = 300000;
	uint64_t congestions = pst_counter("congestions", "")->value;
	struct pst_bus *pub = open_paced(env, "pub", "mid", 4 << 20);
	struct pst_sub_config config = {.publisher = "pub",
		.topics = BUS_TOPIC(PROC),
		.resume = PST_RESUME_OUT_SAME,
		.on_batch = pass_on,
		.arg = &relay};

	relay.bus = open_paced(env, "mid", "in", 4 << 20);
	assert_int_equal(pst_bus_subscribe(relay.bus, &config, &relay.sub), 0);
	assert_int_equal(pst_bus_start(pub), 0);
	assert_int_equal(pst_bus_start(relay.bus), 0);
	struct pst_bus *in = start_sink(env, "in", "mid", BUS_TOPIC(PROC), PST_RESUME_OWN, &sink);
	pst_bus_set_paced(pub, true);
	pst_bus_on_ready(pub, ready, &readies);
	uint64_t n = 0, end = pst_now_mono_ns() + 30000000000ull;
	while (sink.events < total && pst_now_mono_ns() < end) {
		for (int i = 0; i < 60000 && n < total && !pst_bus_congested(pub); i++)
			publish(pub, PST_TOPIC_PROC, n++);
		pst_loop_turn(env->loop, n < total && !pst_bus_congested(pub) ? 0 : 1);
	}
	assert_int_equal(sink.events, total);
	assert_int_equal(sink.wrong + sink.lost, 0);
	assert_true(readies > 3);
	assert_true(pst_counter("congestions", "")->value > congestions);
	assert_true(relay.bus->pace.from_input);
	RUN_UNTIL(env, pst_bus_backlog(pub) == 0 && pst_bus_backlog(relay.bus) == 0);
	pst_bus_set_paced(pub, false);
	publish(pub, PST_TOPIC_PROC, total);
	RUN_UNTIL(env, sink.events == total + 1);
	assert_false(relay.bus->pace.from_input);
	pst_bus_free(in);
	pst_bus_free(relay.bus);
	pst_bus_free(pub);
}

static void subscriber_that_does_not_move_is_given_up(void **state)
{
	struct bus_env *env = *state;
	struct sink sink = {0};
	struct pst_bus *pub = open_paced(env, "pub", "in", 0);
	uint64_t drops = pub->pace.drops->value, n = 0;

	assert_int_equal(pst_bus_start(pub), 0);
	struct pst_bus *in = start_sink(env, "in", "pub", BUS_TOPIC(PROC), PST_RESUME_OWN, &sink);
	pst_bus_set_paced(pub, true);
	publish_range(pub, PST_TOPIC_PROC, 0, 10);
	n = 10;
	RUN_UNTIL(env, sink.events == 10);
	assert_int_equal(pst_bus_backlog(pub), 0);
	pst_sub_pause(sink.sub, true);
	while (!pst_bus_congested(pub)) {
		publish(pub, PST_TOPIC_PROC, n++);
		if (n % 64 == 0)
			pst_loop_turn(env->loop, 0);
	}
	assert_int_equal(pst_bus_backlog(pub), n - 10);
	uint64_t begin = pst_now_mono_ns();
	RUN_UNTIL(env, !pst_bus_congested(pub));
	assert_true(pst_now_mono_ns() - begin > 4500000000ull);
	assert_int_equal(pub->pace.drops->value, drops + 1);
	publish_range(pub, PST_TOPIC_PROC, n, n + 5000); /* is not waited for */
	n += 5000;
	assert_false(pst_bus_congested(pub));
	pst_sub_pause(sink.sub, false);
	RUN_UNTIL(env, sink.events == n);
	assert_int_equal(sink.wrong + sink.lost, 0);
	/* it moves again: waited for as before */
	RUN_UNTIL(env, (publish(pub, PST_TOPIC_PROC, n++), !pub->pace.peers[0].dropped));
	RUN_UNTIL(env, sink.events == n);
	pst_bus_free(in);
	pst_bus_free(pub);
}

/* ---- files ---- */

static void second_instance_is_refused(void **state)
{
	struct bus_env *env = *state;
	struct pst_bus *pub = start_bus(env, "pub", BUS_TOPIC(PROC), 0), *second;
	struct pst_bus_config config = {.stage = "pub", .run_dir = env->dir, .topics = BUS_TOPIC(PROC)};

	assert_int_equal(pst_bus_open(env->loop, &config, &second), -EBUSY);
	config.ephemeral = true;
	assert_int_equal(pst_bus_open(env->loop, &config, &second), -EADDRINUSE);
	assert_int_equal(access(env_path(env, "pub.pub"), F_OK), 0);
	pst_bus_free(pub);
	assert_int_equal(access(env_path(env, "pub.pub"), F_OK), -1);
	assert_int_equal(access(env_path(env, "pub.ctl"), F_OK), -1);
}

static void stale_sockets_are_removed_and_nothing_else(void **state)
{
	struct bus_env *env = *state;
	struct pst_bus_config config = {.stage = "pub", .run_dir = env->dir, .topics = BUS_TOPIC(PROC)};
	struct pst_bus *pub;

	assert_int_equal(mknod(env_path(env, "pub.pub"), S_IFSOCK | 0600, 0), 0);
	assert_int_equal(mknod(env_path(env, "pub.ctl"), S_IFSOCK | 0600, 0), 0);
	pst_bus_free(start_bus(env, "pub", BUS_TOPIC(PROC), 0));
	PST_CLOSE int fd = open(env_path(env, "pub.ctl"), O_CREAT | O_WRONLY, 0600);
	assert_int_equal(pst_bus_open(env->loop, &config, &pub), -EEXIST);
	assert_int_equal(access(env_path(env, "pub.ctl"), F_OK), 0);
}

static void sockets_are_not_for_everyone(void **state)
{
	struct bus_env *env = *state;
	struct pst_bus *pub = open_bus(env, "pub", BUS_TOPIC(PROC), 0);
	struct stat st;

	pub->has_group = false;
	assert_int_equal(pst_bus_start(pub), 0);
	assert_int_equal(stat(env_path(env, "pub.pub"), &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	pst_bus_free(pub);
	pub = open_bus(env, "pub", BUS_TOPIC(PROC), 0);
	pub->has_group = true;
	pub->group = getegid();
	assert_int_equal(pst_bus_start(pub), 0);
	assert_int_equal(stat(env_path(env, "pub.pub"), &st), 0);
	assert_int_equal(st.st_mode & 07777, 0660);
	assert_int_equal(stat(env_path(env, "pub.ctl"), &st), 0);
	assert_int_equal(st.st_mode & 07777, 0660);
	assert_int_equal(st.st_gid, getegid());
	assert_int_equal(stat(env_path(env, "pub.ret"), &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	pst_bus_free(pub);
}

static void ephemeral_bus_leaves_no_file(void **state)
{
	struct bus_env *env = *state;
	struct pst_bus_config config = {
		.stage = "pub", .run_dir = env->dir, .topics = BUS_TOPIC(PROC), .ephemeral = true};
	struct pst_bus_config onlooker = {.stage = "cli", .run_dir = env->dir, .ephemeral = true};
	struct sink sink = {0};
	struct pst_bus *pub, *in;

	assert_int_equal(pst_bus_open(env->loop, &config, &pub), 0);
	assert_int_equal(pst_bus_start(pub), 0);
	assert_int_equal(pst_bus_open(env->loop, &onlooker, &in), 0);
	subscribe(in, "pub", BUS_TOPIC(PROC), PST_RESUME_NONE, &sink);
	assert_int_equal(pst_bus_start(in), 0);
	assert_int_equal(access(env_path(env, "cli.ctl"), F_OK), -1);
	RUN_UNTIL(env, settled(&sink));
	publish_range(pub, PST_TOPIC_PROC, 0, 10);
	RUN_UNTIL(env, sink.events == 10);
	assert_int_equal(access(env_path(env, "pub.ret"), F_OK), -1);
	assert_int_equal(access(env_path(env, "pub.ckpt"), F_OK), -1);
	pst_bus_free(in);
	pst_bus_free(pub);
}

static void wrong_configurations_are_refused(void **state)
{
	struct bus_env *env = *state;
	struct pst_bus_config config = {.stage = "a-name-too-long-for-a-stage", .run_dir = env->dir};
	struct pst_sub_config sub = {.publisher = "pub", .topics = BUS_TOPIC(NET), .on_batch = sink_batch};
	struct pst_bus *bus;
	struct pst_sub *ret_sub;

	assert_int_equal(pst_bus_open(env->loop, &config, &bus), -EINVAL);
	config.stage = "";
	assert_int_equal(pst_bus_open(env->loop, &config, &bus), -EINVAL);
	config = (struct pst_bus_config){.stage = "x",
		.run_dir = "/tmp/"
			   "a-folder-whose-name-is-so-long-that-no-socket-can-be-made-in-it-because-its-"
			   "address-does-not-"
			   "fit/x"};
	assert_int_equal(pst_bus_open(env->loop, &config, &bus), -ENAMETOOLONG);
	config.run_dir = "/nonexistent";
	assert_int_equal(pst_bus_open(env->loop, &config, &bus), -ENOENT);
	bus = open_bus(env, "x", BUS_TOPIC(PROC), 0);
	sub.resume = PST_RESUME_OUT_SAME; /* net is not published */
	assert_int_equal(pst_bus_subscribe(bus, &sub, &ret_sub), -EINVAL);
	sub.resume = PST_RESUME_OUT_ALERT;
	assert_int_equal(pst_bus_subscribe(bus, &sub, &ret_sub), -EINVAL);
	pst_bus_free(bus);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, env_setup, env_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(events_arrive_once_in_order),
		TEST(single_event_goes_out_at_once),
		TEST(topics_are_apart),
		TEST(onlooker_begins_with_what_comes_next),
		TEST(latecomer_gets_what_is_held),
		TEST(subscriber_resumes_where_it_was),
		TEST(slow_subscriber_misses_nothing_that_is_held),
		TEST(what_is_not_held_is_counted),
		TEST(lost_last_batch_is_noticed_by_heartbeat),
		TEST(hole_in_the_retention_is_counted),
		TEST(publisher_goes_on_with_its_numbers),
		TEST(lost_retention_file_is_counted_to_the_event),
		TEST(lost_checkpoint_is_an_unknown_gap),
		TEST(damaged_retention_file_starts_an_epoch),
		TEST(live_subscriber_follows_into_the_new_epoch),
		TEST(duplicates_are_cut_off),
		TEST(batches_out_of_order_are_put_in_order),
		TEST(forged_numbers_do_no_harm),
		TEST(malformed_event_costs_the_rest_of_its_batch),
		TEST(what_cannot_be_an_event_is_not_published),
		TEST(rogue_publisher),
		TEST(what_waits_behind_a_gap_is_bounded),
		TEST(what_waits_for_those_that_do_not_read_is_bounded),
		TEST(nng_subscriber_understands_us),
		TEST(commit_lies_between_two_inputs),
		TEST(words_are_committed_with_their_events),
		TEST(paced_source_loses_nothing),
		TEST(subscriber_that_does_not_move_is_given_up),
		TEST(second_instance_is_refused),
		TEST(stale_sockets_are_removed_and_nothing_else),
		TEST(sockets_are_not_for_everyone),
		TEST(ephemeral_bus_leaves_no_file),
		TEST(wrong_configurations_are_refused),
	};

	pst_log_init("test", PST_LOG_TEXT, PST_LOG_ERROR);
	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
