// SPDX-License-Identifier: Apache-2.0
/* Whose socket loader.fds is: what another user's hands over is not taken. Only root can try. */
#include "tests/unit/base_test.h"
#include "proto/base/fds.h"
#include "proto/base/log.h"

#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>

#define NOBODY 65534

static char dir[32], path[64];

static int setup(void **state)
{
	(void)state;
	pst_log_init("test", PST_LOG_TEXT, PST_LOG_ERROR);
	tmpdir_make(dir);
	assert_return_code(chmod(dir, 01777), errno);
	snprintf(path, sizeof(path), "%s/loader.fds", dir);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	tmpdir_remove(dir);
	return 0;
}

static int listen_as(uid_t uid)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	int s = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

	strcpy(addr.sun_path, path);
	unlink(path);
	if (s < 0 || setresuid(uid, uid, 0) < 0 || bind(s, (struct sockaddr *)&addr, sizeof(addr)) < 0 ||
		chmod(path, 0666) < 0 || listen(s, 8) < 0)
		_exit(90);
	return s;
}

/* Hands over one descriptor to each who asks within a second of the last. */
static void hand_over(int s)
{
	struct pollfd p = {.fd = s, .events = POLLIN};

	while (poll(&p, 1, 1000) > 0) {
		int c = accept4(s, NULL, NULL, SOCK_CLOEXEC), fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
		char byte;

		if (recv(c, &byte, 1, 0) == 1 && byte == '1') {
			pst_fds_send(c, "ring_net", 8 << 20, fd);
			pst_fds_send_end(c, 0);
		}
		close(fd);
		close(c);
	}
}

static pid_t serve_as(uid_t uid)
{
	int ready[2];
	char byte;

	assert_return_code(pipe2(ready, O_CLOEXEC), errno);
	pid_t pid = fork();
	assert_true(pid >= 0);
	if (!pid) {
		alarm(20);
		int s = listen_as(uid);
		close(ready[1]);
		hand_over(s);
		_exit(0);
	}
	close(ready[1]);
	assert_int_equal(read(ready[0], &byte, 1), 0);
	close(ready[0]);
	return pid;
}

static void assert_served(pid_t pid)
{
	int status;

	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

static void another_users_socket_is_refused(void **state)
{
	struct capture log;
	struct pst_fds fds = {.n = 0};

	(void)state;
	if (geteuid())
		skip();
	pid_t pid = serve_as(NOBODY);
	assert_int_equal(pst_fds_request(path, 5000, &fds), -EPERM);
	capture_begin(&log, 2);
	int r = pst_fds_fetch(path, 50, &fds);
	capture_end(&log);
	assert_int_equal(r, -EPERM);
	assert_non_null(strstr(log.text, "neither root's nor ours"));
	assert_int_equal(fds.n, 0);
	assert_served(pid);
}

static void roots_socket_is_taken(void **state)
{
	struct pst_fds fds;

	(void)state;
	if (geteuid())
		skip();
	pid_t pid = serve_as(0);
	assert_return_code(seteuid(NOBODY), errno);
	int r = pst_fds_request(path, 5000, &fds);
	assert_return_code(seteuid(0), errno);
	assert_int_equal(r, 0);
	assert_int_equal(fds.n, 1);
	pst_fds_done(&fds);
	assert_served(pid);
}

/* The loader takes the place of what was there while a stage waits for it. */
static void the_loader_may_still_come(void **state)
{
	struct pst_fds fds;

	(void)state;
	if (geteuid())
		skip();
	assert_served(serve_as(NOBODY));
	pid_t pid = fork();
	assert_true(pid >= 0);
	if (!pid) {
		alarm(20);
		usleep(100000);
		hand_over(listen_as(0));
		_exit(0);
	}
	int r = pst_fds_fetch(path, 10000, &fds);
	assert_int_equal(r, 0);
	assert_int_equal(fds.n, 1);
	pst_fds_done(&fds);
	assert_served(pid);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(another_users_socket_is_refused),
		TEST(roots_socket_is_taken),
		TEST(the_loader_may_still_come),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
