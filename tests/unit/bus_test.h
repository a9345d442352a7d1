/* SPDX-License-Identifier: Apache-2.0 */
/* What the tests of the bus share: a run folder, publishers and subscribers on one loop, events that carry
 * their number. */
#ifndef PST_TESTS_BUS_TEST_H
#define PST_TESTS_BUS_TEST_H

#include "proto/base/cleanup.h"
#include "proto/wire/bus_internal.h"
#include "proto/wire/ctl.h"
#include "tests/unit/base_test.h"

#define BUS_TOPIC(t) (1u << PST_TOPIC_##t)

/* An event of about 110 bytes whose time is its number: ts_ns = n + 1. */
static inline void put_event(struct pst_buf *buf, uint64_t n)
{
	struct pst_val v[PST_SENSOR_FIELDS_MAX] = {0};

	v[PST_EXIT_F_pid].u = 1000 + n % 30000;
	v[PST_EXIT_F_start_ns].u = 123456789012345 + n;
	v[PST_EXIT_F_tid].u = 1000 + n % 30000;
	v[PST_EXIT_F_uid].u = 1000;
	v[PST_EXIT_F_gid].u = 1000;
	v[PST_EXIT_F_cgroup_id].u = 4711;
	v[PST_EXIT_F_comm] =
		pst_val_str("some-command-of-a-process-that-has-a-long-name-to-fill-the-event", 58);
	v[PST_EXIT_F_exit_code].u = n & 255;
	v[PST_EXIT_F_run_ns].u = 987654321 + n;
	pst_event_pack(buf, PST_KIND_EXIT, n + 1, v);
}

static inline bool publish(struct pst_bus *bus, enum pst_topic topic, uint64_t n)
{
	put_event(pst_bus_put(bus, topic), n);
	return pst_bus_end(bus, topic, n + 1);
}

static inline void publish_range(struct pst_bus *bus, enum pst_topic topic, uint64_t from, uint64_t to)
{
	for (; from < to; from++)
		assert_true(publish(bus, topic, from));
}

/* What a subscriber has had of one topic: every number from `next` on in order, or lost. */
struct sink {
	struct pst_sub *sub;
	uint64_t next; /* number expected; a loss moves it */
	uint64_t events, batches, lost, wrong;
	char cause[16];
	bool learn; /* take the first number as it comes */
	void (*hook)(struct sink *sink, const struct pst_event *event);
	void *hook_arg;
};

static inline void sink_batch(void *arg, const struct pst_batch *batch)
{
	struct sink *sink = arg;
	struct pst_batch_iter it;
	struct pst_event event;

	sink->batches++;
	pst_batch_iter_init(&it, sink->sub, batch);
	while (pst_batch_iter_next(&it, &event)) {
		if (sink->learn)
			sink->next = event.ts_ns - 1;
		sink->learn = false;
		sink->wrong += event.ts_ns != sink->next + 1;
		sink->next = event.ts_ns;
		sink->events++;
		if (sink->hook)
			sink->hook(sink, &event);
	}
}

static inline void sink_loss(void *arg, enum pst_topic topic, const char *cause, uint64_t count)
{
	struct sink *sink = arg;

	(void)topic;
	sink->lost += count;
	sink->next += count;
	snprintf(sink->cause, sizeof(sink->cause), "%s", cause);
}

struct bus_env {
	char dir[32];
	struct pst_loop *loop;
};

static inline int env_setup(void **state)
{
	struct bus_env *env = calloc(1, sizeof(*env));

	assert_non_null(env);
	tmpdir_make(env->dir);
	assert_int_equal(pst_loop_new(&env->loop), 0);
	*state = env;
	return 0;
}

static inline int env_teardown(void **state)
{
	struct bus_env *env = *state;

	pst_loop_free(env->loop);
	tmpdir_remove(env->dir);
	free(env);
	return 0;
}

static inline struct pst_bus *open_bus(
	struct bus_env *env, const char *stage, uint32_t topics, uint64_t retention)
{
	struct pst_bus *bus;
	struct pst_bus_config config = {.stage = stage,
		.run_dir = env->dir,
		.node = "node-1",
		.topics = topics,
		.retention_bytes = retention};

	assert_int_equal(pst_bus_open(env->loop, &config, &bus), 0);
	return bus;
}

static inline struct pst_bus *start_bus(
	struct bus_env *env, const char *stage, uint32_t topics, uint64_t retention)
{
	struct pst_bus *bus = open_bus(env, stage, topics, retention);

	assert_int_equal(pst_bus_start(bus), 0);
	return bus;
}

static inline void subscribe(
	struct pst_bus *bus, const char *publisher, uint32_t topics, int resume, struct sink *sink)
{
	struct pst_sub_config config = {.publisher = publisher,
		.topics = topics,
		.on_batch = sink_batch,
		.on_loss = sink_loss,
		.arg = sink};

	config.resume = resume;
	assert_int_equal(pst_bus_subscribe(bus, &config, &sink->sub), 0);
}

/* Runs the loop until @condition, at most 10 s. */
#define RUN_UNTIL(env, condition)                                                                            \
	do {                                                                                                 \
		uint64_t end_ = pst_now_mono_ns() + 10000000000ull;                                          \
		while (!(condition) && pst_now_mono_ns() < end_)                                             \
			assert_true(pst_loop_turn((env)->loop, 10) >= 0);                                    \
		assert_true(condition);                                                                      \
	} while (0)

static inline void run_for(struct bus_env *env, unsigned ms)
{
	uint64_t end = pst_now_mono_ns() + ms * 1000000ull;

	while (pst_now_mono_ns() < end)
		assert_true(pst_loop_turn(env->loop, 1) >= 0);
}

static inline char *env_path(struct bus_env *env, const char *name)
{
	static char path[128];

	snprintf(path, sizeof(path), "%s/%s", env->dir, name);
	return path;
}

#endif
