// SPDX-License-Identifier: Apache-2.0
/* Taking the place of a Unix socket that is there already. */
#include "exporter/listen.h"
#include "tests/unit/base_test.h"

static char dir[32];
static struct listen_addr addr;

static int setup(void **state)
{
	char text[80], error[160];

	(void)state;
	tmpdir_make(dir);
	snprintf(text, sizeof(text), "unix:%s/http.sock", dir);
	return listen_parse(text, &addr, error, sizeof(error));
}

static int teardown(void **state)
{
	(void)state;
	tmpdir_remove(dir);
	return 0;
}

static int listen_with(int backlog)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	assert_true(fd >= 0);
	assert_return_code(bind(fd, &addr.sa, addr.len), errno);
	assert_return_code(listen(fd, backlog), errno);
	return fd;
}

static int dial(void)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	assert_true(fd >= 0);
	if (connect(fd, &addr.sa, addr.len) == 0)
		return fd;
	close(fd);
	return -1;
}

static void what_a_killed_run_left_is_replaced(void **state)
{
	int fd = -1;

	(void)state;
	close(listen_with(1));
	assert_int_equal(listen_open(&addr, &fd), 0);
	int client = dial();
	assert_true(client >= 0);
	close(client);
	close(fd);
}

static void one_in_use_is_left_alone(void **state)
{
	int fd = -1, other = listen_with(8);

	(void)state;
	assert_int_equal(listen_open(&addr, &fd), -EADDRINUSE);
	int client = dial();
	assert_true(client >= 0);
	close(client);
	close(other);
}

/* Nobody accepts, and there is no place left to wait in. */
static void one_that_is_full_does_not_hold_us(void **state)
{
	int fd = -1, other = listen_with(0), waiting[64];
	unsigned n = 0;

	(void)state;
	while (n < 64 && (waiting[n] = dial()) >= 0)
		n++;
	assert_true(n > 0 && n < 64);
	alarm(20);
	assert_int_equal(listen_open(&addr, &fd), -EADDRINUSE);
	alarm(0);
	while (n)
		close(waiting[--n]);
	close(other);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(what_a_killed_run_left_is_replaced),
		TEST(one_in_use_is_left_alone),
		TEST(one_that_is_full_does_not_hold_us),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
