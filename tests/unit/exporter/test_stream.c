// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/base_test.h"

#include "exporter/stream.h"
#include "tests/unit/exporter/events.h"

#define MS 1000000ull

struct fixture {
	struct pst_loop *loop;
	struct store *store;
	struct cgroups *cgroups;
	struct flows *flows;
	struct counts *counts;
	struct streams *streams;
	struct lazy_event lazy;
	unsigned wakes;
	uint64_t n; /* events fed */
};

static void make(struct fixture *f, uint32_t events, uint64_t heartbeat_ns)
{
	const struct counts_bounds bounds = {100, 100};
	struct streams_config config = {
		.max_followers = 3, .queue_bytes = 4096, .heartbeat_ns = heartbeat_ns};

	assert_int_equal(pst_loop_new(&f->loop), 0);
	assert_int_equal(store_new(events, 1 << 20, &f->store), 0);
	assert_int_equal(cgroups_new(16, &f->cgroups), 0);
	assert_int_equal(flows_new(16, &f->flows), 0);
	assert_int_equal(counts_new(&bounds, f->flows, f->cgroups, &f->counts), 0);
	config.loop = f->loop;
	config.store = f->store;
	config.counts = f->counts;
	assert_int_equal(streams_new(&config, &f->streams), 0);
}

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	assert_non_null(f);
	make(f, 1000, 1000000 * MS);
	*state = f;
	return 0;
}

static void destroy(struct fixture *f)
{
	streams_free(f->streams);
	counts_free(f->counts);
	flows_free(f->flows);
	cgroups_free(f->cgroups);
	store_free(f->store);
	pst_loop_free(f->loop);
}

static int teardown(void **state)
{
	destroy(*state);
	free(*state);
	return 0;
}

/* Exits of pid 1, 2, 3, ...; even ones with code 1. */
static void feed(struct fixture *f, unsigned n)
{
	while (n--) {
		uint64_t pid = ++f->n;
		struct pst_buf raw = event_exit(pid * MS, pid, pid % 2 ? 0 : 1, 0);
		struct store_event stored = {.kind = PST_KIND_EXIT, .raw = raw.p, .len = (uint32_t)raw.len};

		stored.seq = store_add(f->store, PST_KIND_EXIT, raw.p, (uint32_t)raw.len);
		lazy_init(&f->lazy, raw.p, (uint32_t)raw.len);
		streams_event(f->streams, &stored, &f->lazy);
		pst_buf_done(&raw);
	}
}

static void on_wake(void *arg)
{
	((struct fixture *)arg)->wakes++;
}

static struct stream *start(struct fixture *f, struct stream_query query)
{
	struct stream *s;

	assert_int_equal(stream_open(f->streams, &query, on_wake, f, &s), 0);
	return s;
}

/* All there is to read now, with the loop turning; true at the end of the stream. */
static bool read_all(struct fixture *f, struct stream *s, char *buf, size_t size)
{
	size_t len = 0;
	ssize_t n = 0;

	for (unsigned idle = 0; idle < 10;) {
		n = stream_read(s, buf + len, size - 1 - len);
		if (n < 0)
			break;
		len += (size_t)n;
		idle = n ? 0 : idle + 1;
		if (!n)
			pst_loop_turn(f->loop, 0);
	}
	buf[len] = 0;
	return n < 0;
}

/* The pids in the text, checked to rise by one (or by @step). */
static unsigned count_pids(const char *text, uint64_t first, uint64_t step)
{
	unsigned n = 0;

	for (const char *p = text; (p = strstr(p, "\"pid\":")); n++) {
		p += 6;
		assert_int_equal(strtoull(p, NULL, 10), first + n * step);
	}
	return n;
}

static char buf[1 << 20];

static void last_n(void **state)
{
	struct fixture *f = *state;
	struct stream *s;

	feed(f, 100);
	s = start(f, (struct stream_query){.last = 10});
	assert_true(read_all(f, s, buf, sizeof(buf)));
	assert_int_equal(count_pids(buf, 91, 1), 10);
	assert_int_equal(buf[strlen(buf) - 1], '\n');
	stream_close(s);
	s = start(f, (struct stream_query){.last = 1000});
	assert_true(read_all(f, s, buf, sizeof(buf)));
	assert_int_equal(count_pids(buf, 1, 1), 100);
	stream_close(s);
	s = start(f, (struct stream_query){.all = true});
	assert_true(read_all(f, s, buf, sizeof(buf)));
	assert_int_equal(count_pids(buf, 1, 1), 100);
	stream_close(s);
	s = start(f, (struct stream_query){.last = 0});
	assert_true(read_all(f, s, buf, sizeof(buf)));
	assert_string_equal(buf, "");
	stream_close(s);
}

static struct pst_filter *filter_of(const char *key, const char *value)
{
	struct pst_filter *filter;
	char error[160];

	assert_int_equal(pst_filter_new(&filter), 0);
	assert_int_equal(pst_filter_add(filter, key, value, 0, error, sizeof(error)), 0);
	return filter;
}

static void last_n_that_match(void **state)
{
	struct fixture *f = *state;
	struct stream *s;

	feed(f, 900);
	s = start(f, (struct stream_query){.last = 5, .filter = filter_of("kind", "process_exit")});
	assert_true(read_all(f, s, buf, sizeof(buf)));
	assert_int_equal(count_pids(buf, 896, 1), 5);
	stream_close(s);
	s = start(f, (struct stream_query){.last = 5, .filter = filter_of("pid", "7")});
	assert_true(read_all(f, s, buf, sizeof(buf)));
	assert_int_equal(count_pids(buf, 7, 1), 1);
	stream_close(s);
	s = start(f, (struct stream_query){.last = 5, .filter = filter_of("kind", "tcp_connect")});
	assert_true(read_all(f, s, buf, sizeof(buf)));
	assert_string_equal(buf, "");
	stream_close(s);
}

/* 63 patterns, each of which compares most of itself at every byte of a name of the right kind, then perhaps
 * one that matches. */
static struct pst_filter *costly_filter(bool matches)
{
	struct pst_filter *filter;
	char pattern[257] = "*", error[160];

	memset(pattern + 1, 'a', 254);
	assert_int_equal(pst_filter_new(&filter), 0);
	for (int i = 0; i < 63; i++) {
		pattern[255] = (char)(0x80 + i);
		assert_int_equal(pst_filter_add(filter, "exe", pattern, 0, error, sizeof(error)), 0);
	}
	if (matches)
		assert_int_equal(pst_filter_add(filter, "exe", "a*", 0, error, sizeof(error)), 0);
	return filter;
}

static void costly_filters_hold_up_no_event(void **state)
{
	static char name[4096];
	struct fixture *f = *state;
	struct stream *plain = start(f, (struct stream_query){.follow = true}), *costly[2];
	struct pst_val v[PST_SENSOR_FIELDS_MAX] = {0};
	uint64_t first_ns = 0, rest_ns = 0;

	memset(name, 'a', sizeof(name));
	v[PST_EXEC_F_exe] = pst_val_str(name, sizeof(name));
	for (unsigned i = 0; i < 2; i++)
		costly[i] = start(f, (struct stream_query){.follow = true, .filter = costly_filter(i == 0)});
	for (uint64_t pid = 1; pid <= 60; pid++) {
		uint64_t begin = pst_now_mono_ns();

		v[PST_EXEC_F_pid].u = pid;
		struct pst_buf raw = event_pack(PST_KIND_EXEC, pid * MS, v);
		struct store_event stored = {.kind = PST_KIND_EXEC, .raw = raw.p, .len = (uint32_t)raw.len};

		stored.seq = store_add(f->store, PST_KIND_EXEC, raw.p, (uint32_t)raw.len);
		lazy_init(&f->lazy, raw.p, (uint32_t)raw.len);
		streams_event(f->streams, &stored, &f->lazy);
		pst_buf_done(&raw);
		if (pid == 1)
			first_ns = pst_now_mono_ns() - begin;
		else
			rest_ns += pst_now_mono_ns() - begin;
	}
	/* The first was compared with one of the filters; with all of them each would take twice that. */
	assert_true(first_ns > 1000000);
	assert_true(rest_ns < 20 * first_ns);
	/* Who asks for no more than is cheap has everything; the others get theirs when there is time. */
	assert_false(read_all(f, plain, buf, sizeof(buf)));
	assert_int_equal(count_pids(buf, 1, 1), 60);
	stream_close(costly[1]);
	unsigned pids = 0;
	while (pids < 5) {
		ssize_t n = stream_read(costly[0], buf, sizeof(buf) - 1);

		assert_true(n >= 0);
		buf[n] = 0;
		pids += n ? count_pids(buf, pids + 1, 1) : 0;
		pst_loop_turn(f->loop, 0);
	}
	stream_close(costly[0]);
	stream_close(plain);
}

static void a_search_has_an_end(void **state)
{
	struct fixture *f = *state;
	struct pst_filter *filter = filter_of("pid", "7");
	uint64_t seq = 0;

	feed(f, 900);
	assert_int_equal(stream_find_last(f->store, filter, 1, 0, UINT64_MAX, &seq), 0);
	assert_int_equal(seq, 7);
	assert_int_equal(stream_find_last(f->store, NULL, 5, 0, 0, &seq), 0);
	assert_int_equal(seq, 896);
	assert_int_equal(stream_find_last(f->store, filter, 1, 0, pst_now_mono_ns(), &seq), -ETIME);
	pst_filter_free(filter);
}

static void arrays(void **state)
{
	struct fixture *f = *state;
	struct stream *s;

	s = start(f, (struct stream_query){.last = 3, .format = STREAM_ARRAY});
	assert_true(read_all(f, s, buf, sizeof(buf)));
	assert_string_equal(buf, "[]\n");
	stream_close(s);
	feed(f, 3);
	s = start(f, (struct stream_query){.last = 2, .format = STREAM_ARRAY});
	assert_true(read_all(f, s, buf, sizeof(buf)));
	assert_int_equal(count_pids(buf, 2, 1), 2);
	assert_int_equal(strncmp(buf, "[\n{", 3), 0);
	assert_non_null(strstr(buf, "},\n{"));
	assert_string_equal(buf + strlen(buf) - 4, "}\n]\n");
	stream_close(s);
}

static void live(void **state)
{
	struct fixture *f = *state;
	struct stream *s = start(f, (struct stream_query){.follow = true, .last = 2, .format = STREAM_SSE});
	char id[64];

	assert_int_equal(streams_followers(f->streams), 1);
	feed(f, 3);
	assert_false(read_all(f, s, buf, sizeof(buf)));
	assert_int_equal(strncmp(buf, ": penstock", 10), 0);
	assert_int_equal(count_pids(buf, 1, 1), 3);
	/* a reader that had nothing is woken in the very call that brings the event */
	f->wakes = 0;
	feed(f, 1);
	assert_int_equal(f->wakes, 1);
	assert_false(read_all(f, s, buf, sizeof(buf)));
	snprintf(id, sizeof(id), "id: %016llx-4\nevent: process_exit\ndata: {",
		(unsigned long long)store_epoch(f->store));
	assert_int_equal(strncmp(buf, id, strlen(id)), 0);
	assert_string_equal(buf + strlen(buf) - 3, "}\n\n");
	stream_close(s);
	assert_int_equal(streams_followers(f->streams), 0);
}

static void resumes(void **state)
{
	struct fixture *f = *state;
	struct stream *s;
	uint64_t epoch, seq;
	char id[64];

	feed(f, 50);
	snprintf(id, sizeof(id), "%016llx-40", (unsigned long long)store_epoch(f->store));
	assert_int_equal(stream_id_parse(id, &epoch, &seq), 0);
	s = start(f, (struct stream_query){.follow = true, .resume_epoch = epoch, .resume_seq = seq});
	read_all(f, s, buf, sizeof(buf));
	assert_int_equal(count_pids(buf, 41, 1), 10);
	feed(f, 1);
	read_all(f, s, buf, sizeof(buf));
	assert_int_equal(count_pids(buf, 51, 1), 1);
	stream_close(s);
	/* an id of another run: all that is there */
	s = start(f, (struct stream_query){.follow = true, .resume_epoch = epoch ^ 2, .resume_seq = 7});
	read_all(f, s, buf, sizeof(buf));
	assert_int_equal(count_pids(buf, 1, 1), 51);
	stream_close(s);
}

static void ids(void **state)
{
	static const char *const bad[] = {"", "1", "0000000000000000-1", "0123456789abcdef",
		"0123456789abcdef-", "0123456789abcdef-x", "0123456789abcdef-1x", "0123456789abcdefg-1",
		"0123456789abcde-1", "0123456789abcdef--1", "0123456789abcdef-99999999999999999999",
		"0123456789ABCDEF-1"};
	uint64_t epoch, seq;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		if (stream_id_parse(bad[i], &epoch, &seq) != -EINVAL)
			fail_msg("%s was taken", bad[i]);
	assert_int_equal(stream_id_parse("0123456789abcdef-18446744073709551615", &epoch, &seq), 0);
	assert_true(epoch == 0x0123456789abcdef && seq == UINT64_MAX);
}

static uint64_t sum_lost(const char *text)
{
	uint64_t sum = 0;

	for (const char *p = text; (p = strstr(p, "\"stream_lost\",\"count\":"));) {
		p += 22;
		sum += strtoull(p, NULL, 10);
	}
	return sum;
}

/* What a client that does not read is sent in the end, and what it is told to have missed, is everything. */
static void a_slow_client_is_told_what_it_missed(void **state)
{
	struct fixture *f = *state;
	struct stream *s = start(f, (struct stream_query){.follow = true});
	unsigned got;

	read_all(f, s, buf, sizeof(buf));
	feed(f, 500); /* more than the queue, less than the store: nothing is lost */
	read_all(f, s, buf, sizeof(buf));
	assert_int_equal(count_pids(buf, 1, 1), 500);
	assert_int_equal(sum_lost(buf), 0);
	feed(f, 5000); /* five times the store */
	read_all(f, s, buf, sizeof(buf));
	got = 0;
	for (const char *p = buf; (p = strstr(p, "\"pid\":")); p++)
		got++;
	assert_true(got >= 1000);
	assert_int_equal(got + sum_lost(buf), 5000);
	/* and it is live again */
	feed(f, 1);
	read_all(f, s, buf, sizeof(buf));
	assert_int_equal(count_pids(buf, 5501, 1), 1);
	stream_close(s);
}

static void too_many_followers(void **state)
{
	struct fixture *f = *state;
	const struct stream_query query = {.follow = true}, finite = {.last = 1};
	struct stream *s[3], *more;

	for (unsigned i = 0; i < 3; i++)
		s[i] = start(f, query);
	assert_int_equal(stream_open(f->streams, &query, on_wake, f, &more), -EBUSY);
	more = start(f, finite); /* what ends by itself is not counted */
	stream_close(more);
	stream_close(s[1]);
	s[1] = start(f, query);
	for (unsigned i = 0; i < 3; i++)
		stream_close(s[i]);
}

static void filters_live(void **state)
{
	struct fixture *f = *state;
	struct stream *s = start(f, (struct stream_query){.follow = true, .filter = filter_of("pid", "3")});

	read_all(f, s, buf, sizeof(buf));
	f->wakes = 0;
	feed(f, 10);
	assert_int_equal(f->wakes, 1);
	read_all(f, s, buf, sizeof(buf));
	assert_int_equal(count_pids(buf, 3, 1), 1);
	stream_close(s);
}

static void heartbeats(void **state)
{
	struct fixture f = {0};
	struct stream *sse, *lines;
	uint64_t stop = pst_now_mono_ns() + 2000 * MS;

	(void)state;
	make(&f, 100, 20 * MS);
	sse = start(&f, (struct stream_query){.follow = true, .format = STREAM_SSE});
	lines = start(&f, (struct stream_query){.follow = true});
	read_all(&f, sse, buf, sizeof(buf));
	read_all(&f, lines, buf, sizeof(buf));
	f.wakes = 0;
	while (!f.wakes && pst_now_mono_ns() < stop)
		pst_loop_turn(f.loop, 50);
	read_all(&f, sse, buf, sizeof(buf));
	assert_string_equal(buf, ": heartbeat\n\n");
	read_all(&f, lines, buf, sizeof(buf));
	assert_string_equal(buf, "");
	stream_close(sse);
	stream_close(lines);
	destroy(&f);
}

static void ends(void **state)
{
	struct fixture *f = *state;
	struct stream *s = start(f, (struct stream_query){.follow = true});

	read_all(f, s, buf, sizeof(buf));
	f->wakes = 0;
	streams_end(f->streams);
	assert_int_equal(f->wakes, 1);
	assert_true(read_all(f, s, buf, sizeof(buf)));
	feed(f, 1);
	assert_true(read_all(f, s, buf, sizeof(buf)));
	assert_string_equal(buf, "");
	stream_close(s);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(last_n),
		TEST(last_n_that_match),
		TEST(costly_filters_hold_up_no_event),
		TEST(a_search_has_an_end),
		TEST(arrays),
		TEST(live),
		TEST(resumes),
		TEST(ids),
		TEST(a_slow_client_is_told_what_it_missed),
		TEST(too_many_followers),
		TEST(filters_live),
		TEST(heartbeats),
		TEST(ends),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
