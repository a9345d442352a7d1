// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/base_test.h"
#include "proto/abi/maps.h"
#include "proto/base/cleanup.h"
#include "proto/base/fds.h"
#include "proto/base/log.h"
#include "proto/base/loop.h"

#include <linux/bpf.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>

static char dir[32], path[64];
static unsigned fds_before;

static int setup(void **state)
{
	(void)state;
	pst_log_init("test", PST_LOG_TEXT, PST_LOG_ERROR);
	tmpdir_make(dir);
	snprintf(path, sizeof(path), "%s/loader.fds", dir);
	fds_before = open_fds();
	return 0;
}

/* Whatever happened, no descriptor is left over. */
static int teardown(void **state)
{
	(void)state;
	tmpdir_remove(dir);
	assert_int_equal(open_fds(), fds_before);
	return 0;
}

static int listen_at(void)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	int s = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

	strcpy(addr.sun_path, path);
	unlink(path);
	if (s < 0 || bind(s, (struct sockaddr *)&addr, sizeof(addr)) < 0 || listen(s, 8) < 0)
		_exit(90);
	return s;
}

/* A server in a child: takes one client, reads its byte, lets @answer speak. */
typedef void (*answer_fn)(int sock);

static pid_t serve_after(useconds_t delay, unsigned clients, answer_fn answer)
{
	int s = delay ? -1 : listen_at();
	pid_t pid = fork();

	if (pid) {
		assert_true(pid > 0);
		if (s >= 0)
			close(s);
		return pid;
	}
	alarm(20);
	if (delay) {
		usleep(delay);
		s = listen_at();
	}
	for (; clients; clients--) {
		char byte[8];
		int c = accept4(s, NULL, NULL, SOCK_CLOEXEC);

		if (c < 0 || read(c, byte, sizeof(byte)) != 1 || byte[0] != '1')
			_exit(91);
		answer(c);
		close(c);
	}
	_exit(0);
}

static void assert_served(pid_t pid)
{
	int status;

	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

static int open_text(const char *text)
{
	int p[2];

	if (pipe2(p, O_CLOEXEC) < 0 || write(p[1], text, strlen(text)) < 0)
		_exit(92);
	close(p[1]);
	return p[0];
}

static void answer_two(int sock)
{
	int a = open_text("first"), b = open_text("second");

	if (pst_fds_send(sock, "ring_net", 8 << 20, a) || pst_fds_send(sock, "flows", 65536, b) ||
		pst_fds_send_end(sock, 0))
		_exit(93);
}

static void assert_text(int fd, const char *text)
{
	char buf[32] = "";

	assert_int_equal(read(fd, buf, sizeof(buf) - 1), (int)strlen(text));
	assert_string_equal(buf, text);
	assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
}

static void descriptors_arrive(void **state)
{
	struct pst_fds fds;

	(void)state;
	pid_t pid = serve_after(0, 1, answer_two);
	assert_int_equal(pst_fds_request(path, 5000, &fds), 0);
	assert_served(pid);
	assert_int_equal(fds.n, 2);
	assert_string_equal(fds.v[0].name, "ring_net");
	assert_int_equal(fds.v[0].size, 8 << 20);
	assert_int_equal(pst_fds_find(&fds, "flows")->size, 65536);
	assert_text(pst_fds_find(&fds, "ring_net")->fd, "first");
	assert_text(pst_fds_find(&fds, "flows")->fd, "second");
	assert_null(pst_fds_find(&fds, "flow"));
	pst_fds_done(&fds);
	pst_fds_done(&fds);
}

static void fetch_waits_for_the_loader(void **state)
{
	struct pst_fds fds;

	(void)state;
	pid_t pid = serve_after(150000, 1, answer_two);
	assert_int_equal(pst_fds_fetch(path, 10000, &fds), 0);
	assert_served(pid);
	assert_int_equal(fds.n, 2);
	pst_fds_done(&fds);
}

static void answer_nothing(int sock)
{
	(void)sock;
}

static void answer_half_then_all(int sock)
{
	static unsigned calls;

	if (calls++)
		answer_two(sock);
	else if (pst_fds_send(sock, "ring_net", 1, open_text("x")))
		_exit(94);
}

static void fetch_asks_again_when_cut_off(void **state)
{
	struct pst_fds fds;

	(void)state;
	pid_t pid = serve_after(0, 2, answer_half_then_all);
	assert_int_equal(pst_fds_fetch(path, 10000, &fds), 0);
	assert_served(pid);
	assert_int_equal(fds.n, 2);
	assert_text(fds.v[0].fd, "first");
	pst_fds_done(&fds);
}

static struct capture cap;

static void nobody_there(void **state)
{
	struct pst_fds fds = {.n = 7};
	uint64_t begin = pst_now_mono_ns();

	(void)state;
	assert_int_equal(pst_fds_request(path, 5000, &fds), -ENOENT);
	capture_begin(&cap, 2);
	int r = pst_fds_fetch(path, 100, &fds);
	capture_end(&cap);
	assert_int_equal(r, -ETIMEDOUT);
	assert_non_null(strstr(cap.text, "is penstock-loader running?"));
	assert_true(pst_now_mono_ns() - begin >= 100000000);
	assert_int_equal(fds.n, 7);
	char deep[200];
	memset(deep, 'x', sizeof(deep) - 1);
	deep[sizeof(deep) - 1] = '\0';
	assert_int_equal(pst_fds_request(deep, 100, &fds), -ENAMETOOLONG);
	int s = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	strcpy(addr.sun_path, path);
	assert_return_code(bind(s, (struct sockaddr *)&addr, sizeof(addr)), errno);
	close(s);
	assert_int_equal(pst_fds_request(path, 100, &fds), -ECONNREFUSED);
}

static void answer_denied(int sock)
{
	pst_fds_send_end(sock, EACCES);
}

static void refusal_is_final(void **state)
{
	struct pst_fds fds;

	(void)state;
	pid_t pid = serve_after(0, 1, answer_denied);
	capture_begin(&cap, 2);
	int r = pst_fds_fetch(path, 10000, &fds);
	capture_end(&cap);
	assert_int_equal(r, -EACCES);
	assert_non_null(strstr(cap.text, "run as the user of the stage"));
	assert_served(pid);
}

static void answer_silence(int sock)
{
	char c;
	if (read(sock, &c, 1) > 0) /* until the client goes; it says nothing more */
		_exit(95);
}

static void silent_server_times_out(void **state)
{
	struct pst_fds fds;
	uint64_t begin = pst_now_mono_ns();

	(void)state;
	pid_t pid = serve_after(0, 1, answer_silence);
	assert_int_equal(pst_fds_request(path, 80, &fds), -ETIMEDOUT);
	uint64_t took = pst_now_mono_ns() - begin;
	assert_true(took >= 80000000 && took < 5000000000);
	assert_served(pid);
}

/* ---- hostile servers ---- */

/* A message of any bytes with any number of descriptors. */
static void send_raw(int sock, const void *bytes, size_t len, unsigned n_fds)
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(64 * sizeof(int))];
	} control = {0};
	struct iovec iov = {(void *)bytes, len};
	struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1};
	int fds[64];

	for (unsigned i = 0; i < n_fds; i++)
		fds[i] = open("/dev/null", O_RDONLY | O_CLOEXEC);
	if (n_fds) {
		m.msg_control = &control;
		m.msg_controllen = CMSG_SPACE(n_fds * sizeof(int));
		struct cmsghdr *c = CMSG_FIRSTHDR(&m);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(n_fds * sizeof(int));
		memcpy(CMSG_DATA(c), fds, n_fds * sizeof(int));
	}
	sendmsg(sock, &m, MSG_NOSIGNAL);
	for (unsigned i = 0; i < n_fds; i++)
		close(fds[i]);
}

static struct pst_fd_msg raw;
static size_t raw_len;
static unsigned raw_fds, raw_times;

static void answer_raw(int sock)
{
	for (unsigned i = 0; i < raw_times; i++)
		send_raw(sock, &raw, raw_len, raw_fds);
	pst_fds_send_end(sock, 0);
	answer_silence(sock);
}

static int request_raw(const struct pst_fd_msg *msg, size_t len, unsigned n_fds, unsigned times)
{
	struct pst_fds fds = {.n = 0};
	unsigned before = open_fds();

	raw = *msg;
	raw_len = len;
	raw_fds = n_fds;
	raw_times = times;
	pid_t pid = serve_after(0, 1, answer_raw);
	capture_begin(&cap, 2);
	int r = pst_fds_request(path, 5000, &fds);
	capture_end(&cap);
	pst_fds_done(&fds);
	assert_int_equal(open_fds(), before);
	assert_served(pid);
	return r;
}

static void hostile_messages_are_refused(void **state)
{
	struct pst_fd_msg good = {.name = "ring_net", .size = 1, .abi = PST_ABI_VERSION}, msg;
	size_t all = sizeof(good);

	(void)state;
	assert_int_equal(request_raw(&good, all, 1, 1), 0);       /* the yardstick */
	assert_int_equal(request_raw(&good, all, 0, 1), -EPROTO); /* a name without descriptor */
	assert_int_equal(request_raw(&good, all, 2, 1), -EPROTO);
	assert_int_equal(request_raw(&good, all, 8, 1), -EPROTO);
	assert_int_equal(request_raw(&good, all, 40, 1), -EPROTO); /* more than there is room for */
	assert_int_equal(request_raw(&good, all - 1, 1, 1), -EPROTO);
	assert_int_equal(request_raw(&good, 0, 0, 1), -ECONNRESET);
	assert_int_equal(request_raw(&good, all, 1, 2), -EEXIST); /* the same name twice */
	msg = good;
	msg.abi++;
	assert_int_equal(request_raw(&msg, all, 1, 1), -EPROTO);
	assert_non_null(strstr(cap.text, "start the same version of both loader=2 own=1"));
	msg = good;
	memset(msg.name, 'a', sizeof(msg.name)); /* not terminated */
	assert_int_equal(request_raw(&msg, all, 1, 1), -EPROTO);
	msg = good;
	strcpy(msg.name, "a/../b");
	assert_int_equal(request_raw(&msg, all, 1, 1), -EPROTO);
	strcpy(msg.name, "a\nb");
	assert_int_equal(request_raw(&msg, all, 1, 1), -EPROTO);
	msg = good;
	msg.error = EACCES; /* an error beside a descriptor */
	assert_int_equal(request_raw(&msg, all, 1, 1), -EPROTO);
	msg = (struct pst_fd_msg){.abi = PST_ABI_VERSION}; /* the end, with a descriptor */
	assert_int_equal(request_raw(&msg, all, 1, 1), -EPROTO);
	msg.error = 0xffffffff;
	assert_int_equal(request_raw(&msg, all, 0, 1), -EPROTO);
}

static void oversized_message_is_refused(void **state)
{
	(void)state;
	/* raw is sent with bytes from beyond it: a message longer than the structure */
	static struct {
		struct pst_fd_msg msg;
		char more[64];
	} big = {.msg = {.name = "ring_net", .abi = PST_ABI_VERSION}};
	struct pst_fds fds = {.n = 0};
	int s = listen_at();
	pid_t pid = fork();
	if (!pid) {
		alarm(20);
		int c = accept4(s, NULL, NULL, SOCK_CLOEXEC);
		send_raw(c, &big, sizeof(big), 1);
		answer_silence(c);
		_exit(0);
	}
	close(s);
	assert_int_equal(pst_fds_request(path, 5000, &fds), -EPROTO);
	int status;
	kill(pid, SIGTERM);
	assert_int_equal(waitpid(pid, &status, 0), pid);
}

static void answer_flood(int sock)
{
	for (unsigned i = 0; i < 100; i++) {
		struct pst_fd_msg msg = {.abi = PST_ABI_VERSION};

		snprintf(msg.name, sizeof(msg.name), "n%u", i);
		send_raw(sock, &msg, sizeof(msg), 1);
	}
}

static void flood_is_bounded(void **state)
{
	struct pst_fds fds = {.n = 0};

	(void)state;
	pid_t pid = serve_after(0, 1, answer_flood);
	assert_int_equal(pst_fds_request(path, 5000, &fds), -E2BIG);
	assert_served(pid);
	assert_int_equal(fds.n, 0);
}

static void cut_off_answers(void **state)
{
	struct pst_fds fds = {.n = 0};

	(void)state;
	pid_t pid = serve_after(0, 1, answer_nothing);
	assert_int_equal(pst_fds_request(path, 5000, &fds), -ECONNRESET);
	assert_served(pid);
}

/* ---- server side ---- */

static void send_never_blocks(void **state)
{
	int pair[2], r = 0;

	(void)state;
	assert_return_code(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), errno);
	for (unsigned i = 0; i < 100000 && !r; i++)
		r = pst_fds_send(pair[0], "ring_net", 0, pair[0]);
	assert_true(r == -EAGAIN || r == -ETOOMANYREFS);
	close(pair[1]);
	r = pst_fds_send_end(pair[0], 0); /* and no SIGPIPE */
	assert_true(r == -EPIPE || r == -ECONNRESET);
	assert_int_equal(pst_fds_send(pair[0], "", 0, 0), -EINVAL);
	assert_int_equal(pst_fds_send(pair[0], "a b", 0, 0), -EINVAL);
	assert_int_equal(pst_fds_send(pair[0], "a", 0, -1), -EINVAL);
	assert_int_equal(pst_fds_send(pair[0], "a-name-that-has-32-bytes-or-more-", 0, 0), -EINVAL);
	close(pair[0]);
}

/* ---- environment ---- */

static void supervisor_passes_by_environment(void **state)
{
	struct pst_fds fds = {.n = 2}, got;
	char text[128];

	(void)state;
	fds.v[0] = (struct pst_fd){.name = "ring_net", .size = 8 << 20, .fd = open_text("first")};
	fds.v[1] = (struct pst_fd){.name = "flows", .size = 0, .fd = open_text("second")};
	for (unsigned i = 0; i < 2; i++)
		fcntl(fds.v[i].fd, F_SETFD, 0); /* inheritable */
	assert_int_equal(pst_fds_env(&fds, text, sizeof(text)), 0);
	char want[128];
	snprintf(want, sizeof(want), "%d:ring_net:8388608,%d:flows:0", fds.v[0].fd, fds.v[1].fd);
	assert_string_equal(text, want);
	for (size_t size = 0; size <= strlen(want); size++) {
		char small[128];
		assert_int_equal(pst_fds_env(&fds, small, size), -ENOSPC);
	}
	setenv("PENSTOCK_FDS", text, 1);
	assert_int_equal(pst_fds_fetch("/nonexistent", 0, &got), 0);
	assert_null(getenv("PENSTOCK_FDS"));
	assert_int_equal(got.n, 2);
	assert_int_equal(got.v[0].size, 8 << 20);
	assert_int_equal(got.v[0].fd, fds.v[0].fd);
	assert_text(got.v[1].fd, "second"); /* also that it is close-on-exec now */
	pst_fds_done(&got);
}

/* systemd's names have no room for a size: the kernel knows it. */
static void size_of_a_map_comes_from_the_kernel(void **state)
{
	union bpf_attr attr = {
		.map_type = BPF_MAP_TYPE_ARRAY, .key_size = 4, .value_size = 8, .max_entries = 1234};
	struct pst_fds got;
	char text[64];

	(void)state;
	int fd = (int)syscall(SYS_bpf, BPF_MAP_CREATE, &attr, sizeof(attr));
	if (fd < 0)
		skip();
	snprintf(text, sizeof(text), "%d:flows", fd);
	setenv("PENSTOCK_FDS", text, 1);
	assert_int_equal(pst_fds_fetch("/nonexistent", 0, &got), 0);
	assert_int_equal(got.v[0].size, 1234);
	pst_fds_done(&got);
}

static void bad_environment_falls_to_the_socket(void **state)
{
	int fd = open_text("x");
	char bad[12][64];
	struct pst_fds got;

	(void)state;
	snprintf(bad[0], 64, "%d", fd);
	snprintf(bad[1], 64, "%d:", fd);
	snprintf(bad[2], 64, "%d:a/b", fd);
	snprintf(bad[3], 64, "%d:a:", fd);
	snprintf(bad[4], 64, "%d:a:1x", fd);
	snprintf(bad[5], 64, "%d:a:1,", fd);
	snprintf(bad[6], 64, "12345:a:1");
	snprintf(bad[7], 64, "99999999999999999999999:a:1");
	snprintf(bad[8], 64, "-1:a:1");
	snprintf(bad[9], 64, "2:a:1"); /* stderr is not one of them */
	snprintf(bad[10], 64, "%d:a:18446744073709551616", fd);
	snprintf(bad[11], 64, ":::,,,");
	for (unsigned i = 0; i < 12; i++) {
		setenv("PENSTOCK_FDS", bad[i], 1);
		capture_begin(&cap, 2);
		pst_log_init("test", PST_LOG_TEXT, PST_LOG_WARN);
		int r = pst_fds_fetch(path, 0, &got);
		capture_end(&cap);
		assert_int_equal(r, -ETIMEDOUT);
		assert_non_null(strstr(cap.text, "unusable descriptors in the environment"));
		/* Also the first entry of [5], which was good: who knows whose it is. */
		assert_true(fcntl(fd, F_GETFD) >= 0);
	}
	char twice[64];
	snprintf(twice, sizeof(twice), "%d:a:1,%d:b:1", fd, fd);
	setenv("PENSTOCK_FDS", twice, 1);
	capture_begin(&cap, 2);
	assert_int_equal(pst_fds_fetch(path, 0, &got), -ETIMEDOUT);
	capture_end(&cap);
	close(fd);
}

static int quiet_fetch(struct pst_fds *ret_fds)
{
	capture_begin(&cap, 2);
	int r = pst_fds_fetch("/nonexistent", 0, ret_fds);
	capture_end(&cap);
	return r;
}

/* As systemd does it: descriptors from 3 on, in a process of its own because the numbers are fixed. */
static void systemd_fd_store(void **state)
{
	(void)state;
	pid_t pid = fork();
	if (!pid) {
		struct pst_fds got;
		char text[32];
		int a = open_text("first"), b = open_text("second");

		a = fcntl(a, F_DUPFD, 20);
		b = fcntl(b, F_DUPFD, 20);
		if (dup2(a, 3) != 3 || dup2(b, 4) != 4)
			_exit(1);
		snprintf(text, sizeof(text), "%d", (int)getpid());
		setenv("LISTEN_PID", "1", 1); /* someone else's */
		setenv("LISTEN_FDS", "2", 1);
		setenv("LISTEN_FDNAMES", "ring_net:class-stats.x", 1);
		if (quiet_fetch(&got) != -ETIMEDOUT)
			_exit(2);
		setenv("LISTEN_PID", text, 1);
		setenv("LISTEN_FDS", "2", 1);
		setenv("LISTEN_FDNAMES", "ring_net:class-stats.x", 1);
		if (pst_fds_fetch("/nonexistent", 0, &got) || got.n != 2)
			_exit(3);
		const struct pst_fd *f = pst_fds_find(&got, "class-stats.x");
		if (!f || f->fd != 4 || read(4, text, 6) != 6 || memcmp(text, "second", 6))
			_exit(4);
		if (getenv("LISTEN_FDS") || getenv("LISTEN_PID") || getenv("LISTEN_FDNAMES"))
			_exit(5);
		_exit(0);
	}
	assert_served(pid);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(descriptors_arrive),
		TEST(fetch_waits_for_the_loader),
		TEST(fetch_asks_again_when_cut_off),
		TEST(nobody_there),
		TEST(refusal_is_final),
		TEST(silent_server_times_out),
		TEST(hostile_messages_are_refused),
		TEST(oversized_message_is_refused),
		TEST(flood_is_bounded),
		TEST(cut_off_answers),
		TEST(send_never_blocks),
		TEST(supervisor_passes_by_environment),
		TEST(size_of_a_map_comes_from_the_kernel),
		TEST(bad_environment_falls_to_the_socket),
		TEST(systemd_fd_store),
	};
	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("fds", tests, NULL, NULL);
}
