// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/base_test.h"

#include <signal.h>
#include <sys/resource.h>

#include "exporter/output.h"
#include "proto/base/cleanup.h"
#include "proto/base/stat.h"
#include "tests/unit/exporter/events.h"

struct fixture {
	struct pst_loop *loop;
	struct output *output;
	struct exporter_config config;
	char dir[32], path[64];
};

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	assert_non_null(f);
	tmpdir_make(f->dir);
	snprintf(f->path, sizeof(f->path), "%s/events.jsonl", f->dir);
	assert_int_equal(pst_loop_new(&f->loop), 0);
	exporter_config_defaults(&f->config);
	f->config.output_path = f->path;
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	output_free(f->output);
	pst_loop_free(f->loop);
	tmpdir_remove(f->dir);
	free(f);
	return 0;
}

static void open_output(struct fixture *f)
{
	assert_int_equal(output_new(f->loop, &f->config, &f->output), 0);
	assert_int_equal(output_open(f->output), 0);
}

static void write_events(struct fixture *f, unsigned from, unsigned n)
{
	for (unsigned i = from; i < from + n; i++) {
		struct pst_buf raw = event_exit(1000000000ull * i, i, 0, 0);
		struct pst_cur cur = pst_cur(raw.p, raw.len);
		struct pst_event event;

		assert_int_equal(pst_event_decode(&cur, &event), 0);
		output_event(f->output, &event, 0);
		pst_buf_done(&raw);
	}
}

static char *read_file(const char *path, char *buf, size_t size)
{
	FILE *file = fopen(path, "r");
	size_t n;

	assert_non_null(file);
	n = fread(buf, 1, size - 1, file);
	buf[n] = 0;
	fclose(file);
	return buf;
}

/* Pids in the file, in order; every line must be whole. */
static unsigned read_pids(const char *path, uint64_t *pids, unsigned max)
{
	static char buf[1 << 20];
	unsigned n = 0;

	for (char *p = read_file(path, buf, sizeof(buf)), *end; *p; p = end + 1) {
		char *pid = strstr(p, "\"pid\":");

		end = strchr(p, '\n');
		assert_non_null(end);
		assert_int_equal(*p, '{');
		assert_int_equal(end[-1], '}');
		assert_true(pid && pid < end && n < max);
		pids[n++] = strtoull(pid + 6, NULL, 10);
	}
	return n;
}

static uint64_t stat_value(const char *name)
{
	for (const struct pst_stat *s = pst_stat_first(); s; s = s->next)
		if (!strcmp(s->name, name))
			return s->value;
	fail_msg("no stat %s", name);
	return 0;
}

static void written_at_the_end_of_the_turn(void **state)
{
	struct fixture *f = *state;
	uint64_t pids[8];
	struct stat st;

	open_output(f);
	write_events(f, 1, 3);
	assert_int_equal(read_pids(f->path, pids, 8), 0);
	pst_loop_turn(f->loop, 0);
	assert_int_equal(read_pids(f->path, pids, 8), 3);
	assert_int_equal(pids[2], 3);
	assert_int_equal(stat(f->path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0640);
}

static void appends_and_ends_a_torn_line(void **state)
{
	struct fixture *f = *state;
	char buf[4096];
	FILE *file = fopen(f->path, "w");

	assert_non_null(file);
	fputs("{\"torn\":", file);
	fclose(file);
	open_output(f);
	write_events(f, 1, 1);
	output_flush(f->output);
	assert_int_equal(strncmp(read_file(f->path, buf, sizeof(buf)), "{\"torn\":\n{", 10), 0);
}

static void rotates_by_size(void **state)
{
	struct fixture *f = *state;
	uint64_t pids[1000], next = 300;
	char path[96];
	struct stat st;

	f->config.output_max_bytes = 4096;
	f->config.output_keep = 3;
	open_output(f);
	write_events(f, 1, 300);
	output_flush(f->output);
	/* newest last in path, older in path.1 to path.3; nothing missing between them */
	for (unsigned i = 0; i <= 3; i++) {
		unsigned n;

		snprintf(path, sizeof(path), i ? "%s.%u" : "%s", f->path, i);
		assert_int_equal(stat(path, &st), 0);
		assert_true(st.st_size <= 4096 && st.st_size > 0);
		assert_true(!i || st.st_size > 4096 - 300);
		n = read_pids(path, pids, 1000);
		while (n--)
			assert_int_equal(pids[n], next--);
	}
	snprintf(path, sizeof(path), "%s.4", f->path);
	assert_int_equal(access(path, F_OK), -1);
}

static void keeps_none(void **state)
{
	struct fixture *f = *state;
	char path[96];
	struct stat st;

	f->config.output_max_bytes = 4096;
	f->config.output_keep = 0;
	open_output(f);
	write_events(f, 1, 300);
	output_flush(f->output);
	assert_int_equal(stat(f->path, &st), 0);
	assert_true(st.st_size <= 4096);
	snprintf(path, sizeof(path), "%s.1", f->path);
	assert_int_equal(access(path, F_OK), -1);
}

static void reopens(void **state)
{
	struct fixture *f = *state;
	uint64_t pids[8];
	char moved[96];

	open_output(f);
	write_events(f, 1, 1);
	snprintf(moved, sizeof(moved), "%s.moved", f->path);
	output_flush(f->output);
	assert_int_equal(rename(f->path, moved), 0);
	write_events(f, 2, 1); /* goes where the open file is, wherever that was moved */
	output_reopen(f->output);
	write_events(f, 3, 1);
	output_flush(f->output);
	assert_int_equal(read_pids(moved, pids, 8), 2);
	assert_int_equal(read_pids(f->path, pids, 8), 1);
	assert_int_equal(pids[0], 3);
}

static void a_full_disk_loses_whole_lines_and_heals(void **state)
{
	struct fixture *f = *state;
	struct rlimit old, small = {0};
	uint64_t pids[4000], lost, written;
	struct capture c;
	unsigned n;

	open_output(f);
	signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
	small = old;
	small.rlim_cur = 2000;
	lost = stat_value("output_lost_events");
	written = stat_value("output_events");
	capture_begin(&c, 2);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
	for (unsigned i = 0; i < 10; i++) {
		write_events(f, 1 + i * 3, 3);
		output_flush(f->output);
	}
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
	capture_end(&c);
	assert_false(output_healthy(f->output));
	lost = stat_value("output_lost_events") - lost;
	n = read_pids(f->path, pids, 4000); /* checks that every line is whole */
	assert_true(n > 0 && n < 30);
	assert_int_equal(n + lost, 30);
	assert_int_equal(stat_value("output_events") - written, n);
	write_events(f, 100, 1);
	output_flush(f->output);
	assert_true(output_healthy(f->output));
	assert_int_equal(read_pids(f->path, pids, 4000), n + 1);
	assert_int_equal(pids[n], 100);
}

static void refuses_what_is_no_file(void **state)
{
	struct fixture *f = *state;
	char target[96];
	struct capture c;

	capture_begin(&c, 2);
	assert_int_equal(output_new(f->loop, &f->config, &f->output), 0);
	assert_int_equal(mkfifo(f->path, 0600), 0);
	assert_int_equal(output_open(f->output), -EINVAL);
	unlink(f->path);
	snprintf(target, sizeof(target), "%s/target", f->dir);
	assert_int_equal(symlink(target, f->path), 0);
	assert_int_equal(output_open(f->output), -ELOOP);
	capture_end(&c);
}

static uint64_t pids_in(const struct fixture *f, const char *ending, uint64_t *ret_last)
{
	char path[96];
	uint64_t pids[256];
	unsigned n;

	snprintf(path, sizeof(path), "%s%s", f->path, ending);
	if (access(path, F_OK) < 0)
		return 0;
	n = read_pids(path, pids, PST_ARRAY_SIZE(pids));
	*ret_last = n ? pids[n - 1] : 0;
	return n;
}

/* What came after the mark is written by a process that then dies without a word. */
static void die_after(struct fixture *f, unsigned n)
{
	write_events(f, 100, n);
	output_flush(f->output);
	output_free(f->output);
	f->output = NULL;
}

static void recovers_to_the_mark(void **state)
{
	struct fixture *f = *state;
	struct output_mark mark;
	uint64_t last;

	open_output(f);
	output_number_marks(f->output, 7);
	write_events(f, 1, 3);
	output_mark(f->output, &mark);
	assert_int_equal(pids_in(f, "", &last), 3); /* a mark is a flush */
	assert_int_equal(mark.number, 8);
	die_after(f, 5);
	assert_int_equal(pids_in(f, "", &last), 8);
	assert_int_equal(output_recover(f->path, f->config.output_keep, &mark), 0);
	assert_int_equal(pids_in(f, "", &last), 3);
	assert_int_equal(last, 3);
	assert_int_equal(output_recover(f->path, f->config.output_keep, &mark), 0);
	assert_int_equal(pids_in(f, "", &last), 3);
}

static void recovers_across_rotations(void **state)
{
	struct fixture *f = *state;
	struct output_mark mark, none = {0};
	uint64_t last;
	char old[96];

	f->config.output_max_bytes = 4096;
	f->config.output_keep = 9;
	open_output(f);
	write_events(f, 1, 70);
	output_flush(f->output);
	assert_true(pids_in(f, ".1", &last));
	output_mark(f->output, &mark);
	uint64_t here = pids_in(f, "", &last);
	assert_int_equal(last, 70);
	die_after(f, 80);
	assert_true(pids_in(f, ".3", &last));
	/* Not our file any more, or shorter than it was: hands off. */
	struct output_mark other = {.file = mark.file + 100000, .size = 1, .number = 1};
	uint64_t after = pids_in(f, "", &last);
	assert_int_equal(output_recover(f->path, 9, &other), 0);
	other = (struct output_mark){.file = mark.file, .size = 1 << 20, .number = 1};
	assert_int_equal(output_recover(f->path, 9, &other), 0);
	assert_int_equal(output_recover(f->path, 9, &none), 0);
	assert_int_equal(pids_in(f, "", &last), after);
	assert_int_equal(output_recover(f->path, 9, &mark), 0);
	assert_int_equal(pids_in(f, "", &last), here);
	assert_int_equal(last, 70);
	assert_true(pids_in(f, ".1", &last));
	assert_int_equal(last, 70 - here);
	snprintf(old, sizeof(old), "%s.3", f->path);
	assert_int_equal(access(old, F_OK), -1);
}

static void wants_by_kind(void **state)
{
	struct fixture *f = *state;
	char *kinds[] = {"process_*", "alert"};

	open_output(f);
	assert_true(output_wants(f->output, PST_KIND_EXIT, false));
	assert_true(output_wants(f->output, PST_KIND_FLOW, true));
	output_free(f->output);
	f->config.output_kinds = (struct pst_strs){kinds, 1};
	open_output(f);
	assert_true(output_wants(f->output, PST_KIND_EXIT, false));
	assert_false(output_wants(f->output, PST_KIND_FLOW, false));
	assert_false(output_wants(f->output, PST_KIND_EXIT, true));
	output_free(f->output);
	f->config.output_kinds = (struct pst_strs){kinds + 1, 1};
	open_output(f);
	assert_false(output_wants(f->output, PST_KIND_EXIT, false));
	assert_true(output_wants(f->output, PST_KIND_EXIT, true));
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(written_at_the_end_of_the_turn),
		TEST(appends_and_ends_a_torn_line),
		TEST(rotates_by_size),
		TEST(keeps_none),
		TEST(reopens),
		TEST(a_full_disk_loses_whole_lines_and_heals),
		TEST(refuses_what_is_no_file),
		TEST(recovers_to_the_mark),
		TEST(recovers_across_rotations),
		TEST(wants_by_kind),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
