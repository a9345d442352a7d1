// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/base_test.h"
#include "proto/base/cleanup.h"
#include "proto/base/log.h"
#include "proto/base/notify.h"

#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>

/* The module speaks once a process: each case runs in a child. Its exit code is the line of what failed. */
#define CHECK(cond)                                                                                          \
	do {                                                                                                 \
		if (!(cond)) {                                                                               \
			fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #cond);                           \
			_exit(1);                                                                            \
		}                                                                                            \
	} while (0)

static void in_child(void (*fn)(void))
{
	pid_t pid = fork();
	int status;

	if (!pid) {
		alarm(20);
		unsetenv("NOTIFY_SOCKET");
		unsetenv("PENSTOCK_NOTIFY_FD");
		fn();
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

static int bind_to(const char *path, size_t len)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	int s = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	memcpy(addr.sun_path, path, len);
	CHECK(s >= 0);
	CHECK(!bind(s, (struct sockaddr *)&addr, (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len)));
	return s;
}

static void check_received(int s, const char *text)
{
	char buf[512];
	ssize_t n = recv(s, buf, sizeof(buf) - 1, 0);

	if (!text) {
		CHECK(n < 0 && errno == EAGAIN);
		return;
	}
	CHECK(n >= 0);
	buf[n] = '\0';
	if (strcmp(buf, text))
		fprintf(stderr, "got \"%s\", not \"%s\"\n", buf, text);
	CHECK(!strcmp(buf, text));
}

static void newline_on_descriptor(void)
{
	char text[16], buf[8];
	int p[2];

	CHECK(!pipe(p));
	snprintf(text, sizeof(text), "%d", p[1]);
	setenv("PENSTOCK_NOTIFY_FD", text, 1);
	CHECK(!pst_notify_open());
	CHECK(!getenv("PENSTOCK_NOTIFY_FD"));
	CHECK(fcntl(p[1], F_GETFD) & FD_CLOEXEC);
	pst_notify_status("starting");
	pst_notify_ready();
	pst_notify_ready();
	pst_notify_stopping();
	CHECK(read(p[0], buf, sizeof(buf)) == 1 && buf[0] == '\n');
	CHECK(read(p[0], buf, sizeof(buf)) == 0); /* closed: nothing more can come */
}

static void systemd_by_path(void)
{
	char dir[] = "/tmp/pst-notify-XXXXXX", path[64], huge[2000], want[300];

	CHECK(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/s", dir);
	int s = bind_to(path, strlen(path) + 1);
	setenv("NOTIFY_SOCKET", path, 1);
	CHECK(!pst_notify_open());
	CHECK(!getenv("NOTIFY_SOCKET"));
	unlink(path); /* as good as a sandbox: the connection is what counts */
	rmdir(dir);
	check_received(s, NULL);
	pst_notify_ready();
	check_received(s, "READY=1\n");
	pst_notify_ready();
	check_received(s, NULL);
	pst_notify_status("12 events/s\nMAINPID=1\n");
	check_received(s, "STATUS=12 events/s\n");
	memset(huge, 'x', sizeof(huge) - 1);
	huge[sizeof(huge) - 1] = '\0';
	pst_notify_status(huge);
	snprintf(want, sizeof(want), "STATUS=%.240s\n", huge);
	check_received(s, want);
	pst_notify_stopping();
	check_received(s, "STOPPING=1\n");
	close(s);
	pst_log_init("x", PST_LOG_TEXT, PST_LOG_ERROR);
	pst_notify_stopping(); /* nobody listens any more: no SIGPIPE, no failure */
}

static void systemd_by_abstract_name(void)
{
	char name[64];

	snprintf(name, sizeof(name), "@pst-notify-test-%d", (int)getpid());
	char raw[64];
	memcpy(raw, name, sizeof(raw));
	raw[0] = '\0';
	int s = bind_to(raw, strlen(name));
	setenv("NOTIFY_SOCKET", name, 1);
	CHECK(!pst_notify_open());
	pst_notify_ready();
	check_received(s, "READY=1\n");
}

static void nothing_to_tell(void)
{
	CHECK(!pst_notify_open());
	pst_notify_ready();
	pst_notify_status("x");
	pst_notify_stopping();
	setenv("NOTIFY_SOCKET", "", 1);
	CHECK(!pst_notify_open());
}

static void bad_environment(void)
{
	static const char *const fds[] = {"", "x", "3x", "1", "-1", "12345", "99999999999999999999"};
	static const char *const sockets[] = {"relative", "@", "/", "/nonexistent/socket"};
	char deep[200];

	pst_log_init("x", PST_LOG_TEXT, PST_LOG_ERROR);
	CHECK(freopen("/dev/null", "w", stderr));
	for (unsigned i = 0; i < PST_ARRAY_SIZE(fds); i++) {
		setenv("PENSTOCK_NOTIFY_FD", fds[i], 1);
		CHECK((pst_notify_open() < 0) == (fds[i][0] != '\0'));
		CHECK(!getenv("PENSTOCK_NOTIFY_FD"));
	}
	for (unsigned i = 0; i < PST_ARRAY_SIZE(sockets); i++) {
		setenv("NOTIFY_SOCKET", sockets[i], 1);
		CHECK(pst_notify_open() < 0);
		CHECK(!getenv("NOTIFY_SOCKET"));
	}
	memset(deep, 'x', sizeof(deep) - 1);
	deep[0] = '/';
	deep[sizeof(deep) - 1] = '\0';
	setenv("NOTIFY_SOCKET", deep, 1);
	CHECK(pst_notify_open() == -EINVAL);
	pst_notify_ready();
}

#define CASE(f)                                                                                              \
	static void test_##f(void **state)                                                                   \
	{                                                                                                    \
		(void)state;                                                                                 \
		in_child(f);                                                                                 \
	}
CASE(newline_on_descriptor)
CASE(systemd_by_path)
CASE(systemd_by_abstract_name)
CASE(nothing_to_tell)
CASE(bad_environment)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_newline_on_descriptor),
		cmocka_unit_test(test_systemd_by_path),
		cmocka_unit_test(test_systemd_by_abstract_name),
		cmocka_unit_test(test_nothing_to_tell),
		cmocka_unit_test(test_bad_environment),
	};
	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("notify", tests, NULL, NULL);
}
