// SPDX-License-Identifier: Apache-2.0
/* The batch codec and the retention ring, without sockets: against a model, across restarts, with damaged
 * files. */
#include "tests/unit/bus_test.h"

#include <signal.h>
#include <sys/resource.h>

#include "proto/wire/bus_ret.h"

#define EPOCH 0x1122334455667788ull

/* ---- codec ---- */

static size_t make_batch(uint8_t *buf, uint32_t count)
{
	struct bus_head head = {.topic = PST_TOPIC_NET,
		.stage = "collector",
		.node = "host.example",
		.epoch = EPOCH,
		.first_seq = 77,
		.count = count,
		.t_first_ns = 5,
		.t_last_ns = 9,
		.flags = PST_BATCH_PACED};
	size_t len = bus_head_pack(buf, &head);

	for (uint32_t i = 0; i < count; i++)
		buf[len++] = 0x90;
	return len;
}

static void batch_round_trip(void **state)
{
	uint8_t buf[BUS_HEAD_MAX + 512];
	struct pst_batch b;
	size_t len = make_batch(buf, 3);

	(void)state;
	assert_memory_equal(buf, "net\0\0\0\0\0", 8);
	assert_int_equal(buf[8], 0x99); /* nine elements */
	assert_int_equal(pst_batch_decode(buf, len, &b), 0);
	assert_int_equal(b.topic, PST_TOPIC_NET);
	assert_int_equal(b.version, 1);
	assert_int_equal(b.stage_len, 9);
	assert_memory_equal(b.stage, "collector", 9);
	assert_memory_equal(b.node, "host.example", 12);
	assert_true(b.epoch == EPOCH);
	assert_int_equal(b.first_seq, 77);
	assert_int_equal(b.count, 3);
	assert_int_equal(b.t_first_ns, 5);
	assert_int_equal(b.t_last_ns, 9);
	assert_int_equal(b.flags, PST_BATCH_PACED);
	assert_int_equal(b.events.end - b.events.p, 3);
}

static void batch_without_flags_and_with_later_fields(void **state)
{
	uint8_t buf[BUS_HEAD_MAX + 512];
	struct pst_batch b;
	size_t len = make_batch(buf, 0);

	(void)state;
	buf[8] = 0x98; /* a peer that knows no flags: they are the last byte */
	assert_int_equal(pst_batch_decode(buf, len - 1, &b), 0);
	assert_int_equal(b.flags, 0);
	buf[8] = 0x9b; /* two more than we know */
	buf[len++] = 0xa1;
	buf[len++] = 'x';
	assert_int_equal(pst_batch_decode(buf, len, &b), -EBADMSG); /* the second is missing */
	buf[len++] = 0x07;
	assert_int_equal(pst_batch_decode(buf, len, &b), 0);
	assert_int_equal(b.flags, PST_BATCH_PACED);
}

static void batch_refuses_what_is_not_one(void **state)
{
	uint8_t buf[BUS_HEAD_MAX + 1024];
	struct pst_batch b = {.count = 4711};
	size_t len = make_batch(buf, 5), head = len - 5;

	(void)state;
	for (size_t n = 0; n < len; n++)
		assert_int_equal(pst_batch_decode(buf, n, &b), -EBADMSG);
	assert_int_equal(b.count, 4711); /* untouched on failure */
	buf[len] = 0x90;
	assert_int_equal(pst_batch_decode(buf, len + 1, &b), 0); /* events are not looked at */
	assert_int_equal(pst_batch_decode(buf, PST_MESSAGE_MAX + 1, &b), -EBADMSG);
	memcpy(buf, "nex", 3);
	assert_int_equal(pst_batch_decode(buf, len, &b), -EBADMSG);
	len = make_batch(buf, 0);
	assert_int_equal(pst_batch_decode(buf, len, &b), 0);
	assert_int_equal(pst_batch_decode(buf, len + 1, &b), -EBADMSG); /* a heartbeat has nothing after it */
	(void)head;
	for (size_t i = 0; i < len; i++)
		for (unsigned v = 0; v < 256; v++) { /* any byte: refused or sane */
			uint8_t was = buf[i];

			buf[i] = (uint8_t)v;
			if (pst_batch_decode(buf, len, &b) == 0) {
				assert_true(b.count <= PST_BATCH_EVENTS && b.first_seq <= BUS_SEQ_MAX);
				assert_true((const uint8_t *)b.stage + b.stage_len <= buf + len);
				assert_true((const uint8_t *)b.node + b.node_len <= buf + len);
			}
			buf[i] = was;
		}
}

/* ---- the ring ---- */

struct model {
	uint64_t next[PST_TOPICS];
	uint64_t seed;
};

static uint64_t rnd(struct model *m)
{
	m->seed ^= m->seed << 13;
	m->seed ^= m->seed >> 7;
	m->seed ^= m->seed << 17;
	return m->seed;
}

/* Content follows from topic and number, so that what comes back can be checked. */
static size_t content(uint8_t *buf, int topic, uint64_t first, uint32_t count, size_t len)
{
	for (size_t i = 0; i < len; i++)
		buf[i] = (uint8_t)(first * 31 + (uint64_t)topic * 7 + count + i);
	return len;
}

static size_t record_len(int topic, uint64_t first, uint32_t count)
{
	return 40 + (first * 2654435761u + (uint64_t)topic * 97 + count) % 7000;
}

static void check_topic(struct bus_ret *ring, struct model *m, int topic, uint64_t from)
{
	static uint8_t buf[PST_MESSAGE_MAX], want[PST_MESSAGE_MAX];
	uint64_t pos = bus_ret_seek(ring, topic, from), oldest = bus_ret_oldest(ring, topic, m->next[topic]);
	uint64_t expect = PST_MAX(oldest, from), events = 0;
	struct bus_ret_rec rec;

	while (bus_ret_next(ring, topic, &pos, &rec)) {
		if (rec.first_seq + rec.count <= expect)
			continue;
		assert_true(rec.first_seq <= expect);
		assert_int_equal(rec.len, record_len(topic, rec.first_seq, rec.count));
		assert_int_equal(bus_ret_read(ring, &rec, buf), 0);
		content(want, topic, rec.first_seq, rec.count, rec.len);
		assert_memory_equal(buf, want, rec.len);
		events += rec.first_seq + rec.count - expect;
		expect = rec.first_seq + rec.count;
	}
	assert_int_equal(expect, m->next[topic]); /* without a hole, to the end */
	if (from <= oldest)
		assert_int_equal(events, bus_ret_events(ring, topic));
}

static void append_some(struct bus_ret *ring, struct model *m, unsigned n)
{
	static uint8_t buf[PST_MESSAGE_MAX];

	for (unsigned i = 0; i < n; i++) {
		/* one busy topic, one rare one, some between */
		int topic = (int)(rnd(m) % 100);
		topic = topic < 70 ? 0 : topic < 99 ? 1 + topic % 4 : 6;
		uint32_t count = 1 + (uint32_t)(rnd(m) % PST_BATCH_EVENTS);
		size_t len = record_len(topic, m->next[topic], count);

		content(buf, topic, m->next[topic], count, len);
		assert_int_equal(bus_ret_append(ring, topic, m->next[topic], count, buf, len), 0);
		m->next[topic] += count;
	}
}

static void check_all(struct bus_ret *ring, struct model *m)
{
	for (int t = 0; t < PST_TOPICS; t++) {
		uint64_t oldest = bus_ret_oldest(ring, t, m->next[t]);

		check_topic(ring, m, t, 0);
		check_topic(ring, m, t, oldest + rnd(m) % (m->next[t] - oldest + 1));
	}
}

static void ring_matches_model(void **state)
{
	struct bus_env *env = *state;
	struct model m = {.seed = 88172645463325252ull};
	struct bus_ret *ring;
	bool fresh;

	assert_int_equal(bus_ret_open(env_path(env, "x.ret"), 1 << 20, &ring, &fresh), 0);
	assert_true(fresh);
	bus_ret_reset(ring, EPOCH, 0, NULL);
	for (int round = 0; round < 300; round++) {
		append_some(ring, &m, 1 + rnd(&m) % 60);
		assert_true(bus_ret_bytes(ring) <= 1 << 20);
		check_all(ring, &m);
		if (round % 7)
			continue;
		bus_ret_close(ring);
		assert_int_equal(bus_ret_open(env_path(env, "x.ret"), 1 << 20, &ring, &fresh), 0);
		assert_false(fresh);
		assert_true(bus_ret_epoch(ring) == EPOCH);
		assert_int_equal(bus_ret_settle(ring, m.next), 0);
		check_all(ring, &m);
	}
	assert_true(ring->map->head > 8 * ring->size); /* many laps */
	bus_ret_close(ring);
}

static void ring_forgets_what_was_not_committed(void **state)
{
	struct bus_env *env = *state;
	struct model m = {.seed = 1}, committed;
	struct bus_ret *ring;
	bool fresh;

	assert_int_equal(bus_ret_open(env_path(env, "x.ret"), 1 << 20, &ring, &fresh), 0);
	bus_ret_reset(ring, EPOCH, 0, NULL);
	append_some(ring, &m, 50);
	committed = m;
	append_some(ring, &m, 20);
	for (int i = 0; i < 2; i++) { /* also when it is killed again right away */
		bus_ret_close(ring);
		assert_int_equal(bus_ret_open(env_path(env, "x.ret"), 1 << 20, &ring, &fresh), 0);
		assert_int_equal(bus_ret_settle(ring, committed.next), 0);
		check_all(ring, &committed);
	}
	append_some(ring, &committed, 200); /* the numbers are given out again */
	check_all(ring, &committed);
	bus_ret_close(ring);
	/* A commit in the middle of a batch cannot have been. */
	assert_int_equal(bus_ret_open(env_path(env, "x.ret"), 1 << 20, &ring, &fresh), 0);
	committed.next[0]--;
	assert_int_equal(bus_ret_settle(ring, committed.next), -EBADMSG);
	bus_ret_close(ring);
}

static void ring_takes_its_content_into_another_size(void **state)
{
	struct bus_env *env = *state;
	struct model m = {.seed = 7};
	struct bus_ret *ring;
	const uint64_t sizes[] = {1 << 20, 4 << 20, 1 << 19, 1 << 21};
	uint64_t held = 0;
	bool fresh;

	for (size_t i = 0; i < PST_ARRAY_SIZE(sizes); i++) {
		assert_int_equal(bus_ret_open(env_path(env, "x.ret"), sizes[i], &ring, &fresh), 0);
		assert_int_equal(fresh, i == 0);
		if (fresh)
			bus_ret_reset(ring, EPOCH, 5, m.next);
		assert_int_equal(bus_ret_settle(ring, m.next), 0);
		assert_int_equal(ring->size, sizes[i]);
		if (i && sizes[i] > sizes[i - 1])
			assert_int_equal(bus_ret_events(ring, 0), held);
		check_all(ring, &m);
		append_some(ring, &m, 300);
		check_all(ring, &m);
		held = bus_ret_events(ring, 0);
		bus_ret_close(ring);
	}
}

static void damage_is_noticed(void **state)
{
	struct bus_env *env = *state;
	struct model m = {.seed = 3};
	struct bus_ret *ring;
	bool fresh;
	static const struct {
		off_t at;
		bool noticed;
	} where[] = {{0, true}, {8, true}, {16, false}, {offsetof(struct ret_head, head), true},
		{offsetof(struct ret_head, tail) + 4, true}, {offsetof(struct ret_head, boot), true},
		{4096, true}, {4096 + 4, true}, {4096 + 8, true}};

	for (size_t i = 0; i < PST_ARRAY_SIZE(where); i++) {
		unlink(env_path(env, "x.ret"));
		assert_int_equal(bus_ret_open(env_path(env, "x.ret"), 1 << 20, &ring, &fresh), 0);
		bus_ret_reset(ring, EPOCH, 0, NULL);
		memset(m.next, 0, sizeof(m.next));
		append_some(ring, &m, 20);
		bus_ret_close(ring);
		PST_CLOSE int fd = open(env_path(env, "x.ret"), O_RDWR);
		uint8_t byte;
		assert_int_equal(pread(fd, &byte, 1, where[i].at), 1);
		byte ^= 0x55;
		assert_int_equal(pwrite(fd, &byte, 1, where[i].at), 1);
		assert_int_equal(bus_ret_open(env_path(env, "x.ret"), 1 << 20, &ring, &fresh), 0);
		assert_int_equal(fresh, where[i].noticed);
		bus_ret_close(ring);
	}
	/* cut short, empty, not a file */
	const off_t sizes[] = {0, 1, 4096, 300001};
	for (size_t i = 0; i < PST_ARRAY_SIZE(sizes); i++) {
		assert_int_equal(truncate(env_path(env, "x.ret"), sizes[i]), 0);
		assert_int_equal(bus_ret_open(env_path(env, "x.ret"), 1 << 20, &ring, &fresh), 0);
		assert_true(fresh);
		bus_ret_reset(ring, EPOCH, 0, NULL);
		bus_ret_close(ring);
	}
	unlink(env_path(env, "x.ret"));
	assert_int_equal(symlink("/etc/passwd", env_path(env, "x.ret")), 0);
	assert_int_equal(bus_ret_open(env_path(env, "x.ret"), 1 << 20, &ring, &fresh), -ELOOP);
}

static void overwritten_under_our_feet(void **state)
{
	struct bus_env *env = *state;
	struct model m = {.seed = 11};
	struct bus_ret *ring;
	bool fresh;
	static uint8_t junk[1 << 20];

	assert_int_equal(bus_ret_open(env_path(env, "x.ret"), 1 << 20, &ring, &fresh), 0);
	bus_ret_reset(ring, EPOCH, 0, NULL);
	append_some(ring, &m, 100);
	PST_CLOSE int fd = open(env_path(env, "x.ret"), O_RDWR);
	assert_int_equal(pwrite(fd, junk, sizeof(junk), 4096), sizeof(junk));
	append_some(ring, &m, 2000);
	check_all(ring, &m);
	bus_ret_close(ring);
}

static void full_disk_is_an_error(void **state)
{
	struct bus_env *env = *state;
	struct model m = {.seed = 5};
	struct rlimit old, small = {300000, 300000};
	struct bus_ret *ring;
	bool fresh;
	static uint8_t buf[5000];

	assert_int_equal(bus_ret_open(env_path(env, "x.ret"), 1 << 20, &ring, &fresh), 0);
	bus_ret_reset(ring, EPOCH, 0, NULL);
	signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
	small.rlim_max = old.rlim_max;
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
	int r = 0;
	for (int i = 0; i < 200 && r == 0; i++) {
		r = bus_ret_append(ring, 0, m.next[0], 1, buf, sizeof(buf));
		m.next[0] += r == 0;
	}
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
	assert_int_equal(r, -EFBIG);
	assert_int_equal(bus_ret_events(ring, 0), m.next[0]); /* what is in is in */
	assert_int_equal(bus_ret_append(ring, 0, m.next[0], 1, buf, sizeof(buf)), 0);
	bus_ret_close(ring);
	assert_int_equal(bus_ret_open(env_path(env, "x.ret"), 1 << 20, &ring, &fresh), 0);
	assert_false(fresh);
	bus_ret_close(ring);
}

static void too_large_for_the_ring(void **state)
{
	static uint8_t buf[RET_MIN];
	struct bus_ret *ring;
	bool fresh;

	(void)state;
	assert_int_equal(bus_ret_open(NULL, 1, &ring, &fresh), 0); /* the least that there is, in memory */
	bus_ret_reset(ring, EPOCH, 0, NULL);
	assert_int_equal(ring->size, RET_MIN);
	assert_int_equal(bus_ret_append(ring, 0, 0, 1, buf, RET_MIN / 2), -EMSGSIZE);
	assert_int_equal(bus_ret_append(ring, 0, 0, 1, buf, RET_MIN / 2 - 32), 0);
	assert_int_equal(bus_ret_append(ring, 0, 1, 1, buf, RET_MIN / 2 - 40), 0);
	assert_int_equal(bus_ret_append(ring, 0, 2, 1, buf, RET_MIN / 2 - 40), 0);
	assert_int_equal(bus_ret_oldest(ring, 0, 3), 1);
	bus_ret_close(ring);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(batch_round_trip),
		cmocka_unit_test(batch_without_flags_and_with_later_fields),
		cmocka_unit_test(batch_refuses_what_is_not_one),
		cmocka_unit_test_setup_teardown(ring_matches_model, env_setup, env_teardown),
		cmocka_unit_test_setup_teardown(ring_forgets_what_was_not_committed, env_setup, env_teardown),
		cmocka_unit_test_setup_teardown(
			ring_takes_its_content_into_another_size, env_setup, env_teardown),
		cmocka_unit_test_setup_teardown(damage_is_noticed, env_setup, env_teardown),
		cmocka_unit_test_setup_teardown(overwritten_under_our_feet, env_setup, env_teardown),
		cmocka_unit_test_setup_teardown(full_disk_is_an_error, env_setup, env_teardown),
		cmocka_unit_test(too_large_for_the_ring),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
