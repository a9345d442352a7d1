// SPDX-License-Identifier: Apache-2.0
/* State files: whole or not at all, and nobody else's. */
#include "tests/unit/base_test.h"

#include "proto/base/cleanup.h"
#include "proto/base/log.h"
#include "proto/base/own.h"

#define MAX 1000

static char dir[32], path[64], next[72], other[64];

static int setup(void **state)
{
	(void)state;
	pst_log_init("test", PST_LOG_TEXT, PST_LOG_ERROR);
	tmpdir_make(dir);
	snprintf(path, sizeof(path), "%s/state", dir);
	snprintf(next, sizeof(next), "%s/state.next", dir);
	snprintf(other, sizeof(other), "%s/other", dir);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	rmdir(path);
	rmdir(next);
	tmpdir_remove(dir);
	return 0;
}

static int read_error(void)
{
	PST_FREE char *bytes = NULL;
	size_t len;

	return pst_own_read(path, MAX, &bytes, &len);
}

static void assert_text(const char *want)
{
	PST_FREE char *bytes = NULL;
	size_t len = 0;

	assert_int_equal(pst_own_read(path, MAX, &bytes, &len), 0);
	assert_int_equal(len, strlen(want));
	assert_string_equal(bytes, want); /* and a NUL behind it */
}

static void written_and_read(void **state)
{
	struct stat st;

	(void)state;
	assert_int_equal(read_error(), -ENOENT);
	assert_int_equal(pst_own_write(path, 0640, "a longer text", 13), 0);
	assert_text("a longer text");
	assert_int_equal(pst_own_write(path, 0640, "short", 5), 0);
	assert_text("short");
	assert_int_equal(pst_own_write(path, 0640, "", 0), 0);
	assert_text("");
	assert_return_code(stat(path, &st), errno);
	assert_int_equal(st.st_mode & 07777 & ~0640u, 0);
	assert_int_equal(access(next, F_OK), -1);
}

static void within_bounds(void **state)
{
	char text[MAX + 1];

	(void)state;
	memset(text, 'x', sizeof(text));
	assert_int_equal(pst_own_write(path, 0600, text, MAX), 0);
	assert_int_equal(read_error(), 0);
	assert_int_equal(pst_own_write(path, 0600, text, MAX + 1), 0);
	assert_int_equal(read_error(), -EFBIG);
}

/* A link, a pipe, a folder, a file with a second name, another user's: not read. */
static void only_ours_is_read(void **state)
{
	(void)state;
	assert_int_equal(pst_own_write(other, 0600, "x", 1), 0);
	assert_return_code(symlink(other, path), errno);
	assert_int_equal(read_error(), -ELOOP);
	assert_return_code(unlink(path), errno);
	assert_return_code(mkfifo(path, 0600), errno);
	assert_int_equal(read_error(), -EPERM);
	assert_return_code(unlink(path), errno);
	assert_return_code(mkdir(path, 0700), errno);
	assert_int_equal(read_error(), -EPERM);
	assert_return_code(rmdir(path), errno);
	assert_return_code(link(other, path), errno);
	assert_int_equal(read_error(), -EPERM);
	assert_return_code(unlink(path), errno);
	assert_int_equal(pst_own_write(path, 0600, "x", 1), 0);
	if (geteuid())
		return;
	assert_return_code(chown(path, 65534, 65534), errno);
	assert_int_equal(read_error(), -EPERM);
}

/* What somebody put where the next one is written is not written into. */
static void nothing_is_written_elsewhere(void **state)
{
	struct stat st;

	(void)state;
	assert_int_equal(pst_own_write(other, 0600, "keep", 4), 0);
	assert_return_code(link(other, next), errno);
	assert_int_equal(pst_own_write(path, 0600, "one", 3), 0);
	assert_text("one");
	assert_return_code(symlink(other, next), errno);
	assert_int_equal(pst_own_write(path, 0600, "two", 3), -ELOOP);
	assert_text("one"); /* what was there stays */
	assert_return_code(stat(other, &st), errno);
	assert_int_equal(st.st_size, 4);
	assert_return_code(unlink(next), errno);
	assert_return_code(mkdir(next, 0700), errno);
	assert_int_not_equal(pst_own_write(path, 0600, "two", 3), 0);
	assert_text("one");
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(written_and_read),
		TEST(within_bounds),
		TEST(only_ours_is_read),
		TEST(nothing_is_written_elsewhere),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
