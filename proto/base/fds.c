// SPDX-License-Identifier: Apache-2.0
#include "proto/base/fds.h"
#include "proto/abi/maps.h"
#include "proto/base/cleanup.h"
#include "proto/base/fds_internal.h"
#include "proto/base/log.h"
#include "proto/base/loop.h"

#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>

#define FDS_A_MESSAGE 8 /* one is expected; more are received only to be closed */
#define RETRY_NS      20000000

const struct pst_fd *pst_fds_find(const struct pst_fds *fds, const char *name)
{
	for (unsigned i = 0; i < fds->n; i++)
		if (!strcmp(fds->v[i].name, name))
			return &fds->v[i];
	return NULL;
}

void pst_fds_done(struct pst_fds *fds)
{
	for (unsigned i = 0; i < fds->n; i++)
		close(fds->v[i].fd);
	fds->n = 0;
}

bool fds_name_ok(const char *name, size_t size)
{
	size_t len = strnlen(name, size);

	if (!len || len == size)
		return false;
	return strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-") == len;
}

int fds_add(struct pst_fds *fds, const char *name, uint64_t size, int fd)
{
	if (fds->n == PST_FDS_MAX)
		return -E2BIG;
	if (pst_fds_find(fds, name))
		return -EEXIST;
	struct pst_fd *f = &fds->v[fds->n++];
	*f = (struct pst_fd){.size = size, .fd = fd};
	memcpy(f->name, name, strlen(name) + 1); /* fds_name_ok */
	return 0;
}

/* ---- server ---- */

static int send_message(int sock, const struct pst_fd_msg *msg, int fd)
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control = {0};
	struct iovec iov = {(void *)msg, sizeof(*msg)};
	struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1};

	if (fd >= 0) {
		m.msg_control = &control;
		m.msg_controllen = sizeof(control);
		struct cmsghdr *c = CMSG_FIRSTHDR(&m);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(c), &fd, sizeof(fd));
	}
	return sendmsg(sock, &m, MSG_DONTWAIT | MSG_NOSIGNAL) < 0 ? -errno : 0;
}

int pst_fds_send(int sock, const char *name, uint64_t size, int fd)
{
	struct pst_fd_msg msg = {.size = size, .abi = PST_ABI_VERSION};

	if (!fds_name_ok(name, sizeof(msg.name)) || fd < 0)
		return -EINVAL;
	memcpy(msg.name, name, strlen(name) + 1);
	return send_message(sock, &msg, fd);
}

int pst_fds_send_end(int sock, uint32_t error)
{
	struct pst_fd_msg msg = {.abi = PST_ABI_VERSION, .error = error};

	return send_message(sock, &msg, -1);
}

/* ---- client ---- */

static int wait_readable(int sock, uint64_t deadline_ns)
{
	struct pollfd p = {.fd = sock, .events = POLLIN};

	for (;;) {
		uint64_t now = pst_now_mono_ns();
		uint64_t left_ms = deadline_ns > now ? (deadline_ns - now + 999999) / 1000000 : 0;
		int n = poll(&p, 1, (int)PST_MIN(left_ms, INT32_MAX));

		if (n > 0)
			return 0;
		if (!n)
			return -ETIMEDOUT;
		if (errno != EINTR)
			return -errno;
	}
}

/* All descriptors that came along; @ret_fds has room for FDS_A_MESSAGE. */
static unsigned take_descriptors(struct msghdr *m, int *ret_fds)
{
	unsigned n = 0;

	for (struct cmsghdr *c = CMSG_FIRSTHDR(m); c; c = CMSG_NXTHDR(m, c)) {
		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		size_t here = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		for (size_t i = 0; i < here; i++) {
			int fd;

			memcpy(&fd, CMSG_DATA(c) + i * sizeof(int), sizeof(fd));
			if (n < FDS_A_MESSAGE)
				ret_fds[n++] = fd;
			else
				close(fd);
		}
	}
	return n;
}

static int check_message(const struct pst_fd_msg *msg, unsigned n_fds)
{
	if (msg->abi != PST_ABI_VERSION) {
		pst_error("the loader has another ABI than this process: start the same version of both "
			  "loader=%u "
			  "own=%u",
			msg->abi, PST_ABI_VERSION);
		return -EPROTO;
	}
	if (!msg->name[0])
		return n_fds || msg->error > 4095 ? -EPROTO : 0;
	if (n_fds != 1 || msg->error || !fds_name_ok(msg->name, sizeof(msg->name)))
		return -EPROTO;
	return 0;
}

/* One message; 1: more to come, 0: that was the end. */
static int receive(int sock, uint64_t deadline_ns, struct pst_fds *fds)
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(FDS_A_MESSAGE * sizeof(int))];
	} control;
	struct pst_fd_msg msg;
	struct iovec iov = {&msg, sizeof(msg)};
	struct msghdr m = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = sizeof(control),
	};
	int came[FDS_A_MESSAGE] = {-1};
	ssize_t len;

	int r = wait_readable(sock, deadline_ns);
	if (r < 0)
		return r;
	len = recvmsg(sock, &m, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
	if (len < 0)
		return errno == EAGAIN || errno == EINTR ? 1 : -errno;
	unsigned n = take_descriptors(&m, came);
	if (!len && !n)
		return -ECONNRESET; /* closed before the end */
	r = len == (ssize_t)sizeof(msg) && !(m.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) ? check_message(&msg, n)
										     : -EPROTO;
	if (!r && msg.name[0])
		r = fds_add(fds, msg.name, msg.size, came[0]);
	if (r < 0) {
		for (unsigned i = 0; i < n; i++)
			close(came[i]);
		return r;
	}
	return msg.name[0] ? 1 : -(int)msg.error;
}

/* Others may make a socket of this name while there is no loader, and what it would hand over is mapped. */
static int check_server(int sock)
{
	struct ucred peer;
	socklen_t len = sizeof(peer);

	if (getsockopt(sock, SOL_SOCKET, SO_PEERCRED, &peer, &len) < 0)
		return -errno;
	return peer.uid == 0 || peer.uid == geteuid() ? 0 : -EPERM;
}

int pst_fds_request(const char *socket_path, int timeout_ms, struct pst_fds *ret_fds)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	uint64_t deadline_ns = pst_now_mono_ns() + (uint64_t)PST_MAX(timeout_ms, 0) * 1000000u;
	PST_CLEANUP(pst_fds_done) struct pst_fds fds = {.n = 0};

	if (strlen(socket_path) >= sizeof(addr.sun_path))
		return -ENAMETOOLONG;
	memcpy(addr.sun_path, socket_path, strlen(socket_path) + 1);
	PST_CLOSE int sock = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (sock < 0 || connect(sock, (struct sockaddr *)&addr, sizeof(addr)) < 0)
		return -errno;
	int r = check_server(sock);
	if (r < 0)
		return r;
	if (send(sock, "1", 1, MSG_NOSIGNAL) < 0)
		return -errno;
	for (;;) {
		r = receive(sock, deadline_ns, &fds);

		if (r < 0)
			return r;
		if (!r)
			break;
	}
	*ret_fds = fds;
	fds.n = 0;
	return 0;
}

/* ---- both ways ---- */

static void pause_ns(uint64_t ns)
{
	struct timespec ts = {.tv_nsec = (long)ns};

	nanosleep(&ts, NULL);
}

/* The loader is starting, is being replaced, or its queue is full: worth another try. */
static bool is_passing(int r, const char *path)
{
	/* Bound, but its mode not set yet; what the loader itself refuses has a socket that we may write to.
	 */
	if (r == -EACCES)
		return access(path, W_OK) < 0;
	/* EPERM: the loader will take the place of a socket that is not its. */
	return r == -ENOENT || r == -ECONNREFUSED || r == -EAGAIN || r == -ECONNRESET || r == -EPIPE ||
	       r == -ENOTCONN || r == -EPERM;
}

static int explain(int r, const char *path, int timeout_ms)
{
	if (r == -ETIMEDOUT)
		pst_error(
			"no descriptors from the loader: is penstock-loader running? socket=%s waited_ms=%d",
			path, timeout_ms);
	else if (r == -EACCES)
		pst_error("the loader gives this user no descriptors: run as the user of the stage uid=%u "
			  "socket=%s",
			(unsigned)geteuid(), path);
	else if (r == -EPERM)
		pst_error("the loader's socket is neither root's nor ours: remove it, or start the loader "
			  "socket=%s",
			path);
	else if (r == -EPROTO)
		pst_error("what answers is no loader of this version socket=%s", path);
	else
		pst_error("no descriptors from the loader socket=%s: %s", path, strerror(-r));
	return r;
}

int pst_fds_fetch(const char *socket_path, int timeout_ms, struct pst_fds *ret_fds)
{
	uint64_t deadline_ns = pst_now_mono_ns() + (uint64_t)PST_MAX(timeout_ms, 0) * 1000000u;

	if (!pst_fds_inherited(ret_fds))
		return 0;
	for (;;) {
		uint64_t now = pst_now_mono_ns();
		uint64_t left_ns = deadline_ns > now ? deadline_ns - now : 0;
		int r = pst_fds_request(socket_path, (int)((left_ns + 999999) / 1000000), ret_fds);

		if (!r)
			return 0;
		if (!is_passing(r, socket_path))
			return explain(r, socket_path, timeout_ms);
		if (!left_ns)
			return explain(r == -EACCES || r == -EPERM ? r : -ETIMEDOUT, socket_path, timeout_ms);
		pause_ns(PST_MIN(left_ns, RETRY_NS));
	}
}
