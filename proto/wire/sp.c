// SPDX-License-Identifier: Apache-2.0
/* The scalability protocol on Unix sockets, never blocking. See sp.h. */
#include "proto/wire/sp.h"

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "proto/base/cleanup.h"

#define READ_STEP  (64u << 10) /* memory follows what has come, not what was announced */
#define KEEP_BYTES (64u << 10)

void sp_greeting(uint8_t buf[SP_GREETING], uint16_t protocol)
{
	memcpy(buf, "\0SP\0\0\0\0", SP_GREETING);
	buf[4] = (uint8_t)(protocol >> 8);
	buf[5] = (uint8_t)protocol;
}

void sp_head(uint8_t buf[SP_HEAD], uint64_t len)
{
	buf[0] = SP_MESSAGE;
	pst_store_be64(buf + 1, len);
}

int sp_head_len(const uint8_t buf[SP_HEAD], uint64_t max, uint64_t *ret_len)
{
	uint64_t len = pst_load_be64(buf + 1);

	if (buf[0] != SP_MESSAGE)
		return -EBADMSG;
	if (len > max)
		return -EMSGSIZE;
	*ret_len = len;
	return 0;
}

/* ---- sockets ---- */

int sp_connect(const char *path, const struct sp_peer *peer)
{
	struct sockaddr_un sa = {.sun_family = AF_UNIX};
	PST_CLOSE int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	uid_t uid;

	if (fd < 0)
		return -errno;
	if (strlen(path) >= sizeof(sa.sun_path))
		return -ENAMETOOLONG;
	memcpy(sa.sun_path, path, strlen(path) + 1);
	/* Succeeds or fails at once; a full backlog comes as EAGAIN and is as good as no one there. */
	if (connect(fd, (struct sockaddr *)&sa, sizeof(sa)) < 0)
		return errno == ENOENT || errno == EAGAIN ? -ECONNREFUSED : -errno;
	if (!sp_uid(fd, &uid) || !sp_uid_allowed(peer, uid))
		return -EACCES;
	return PST_TAKE_FD(fd);
}

int sp_bind(const char *path)
{
	struct sockaddr_un sa = {.sun_family = AF_UNIX};
	PST_CLOSE int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd < 0)
		return -errno;
	if (strlen(path) >= sizeof(sa.sun_path))
		return -ENAMETOOLONG;
	memcpy(sa.sun_path, path, strlen(path) + 1);
	if (bind(fd, (struct sockaddr *)&sa, sizeof(sa)) < 0 || chmod(path, 0600) < 0)
		return -errno;
	return PST_TAKE_FD(fd);
}

bool sp_uid(int fd, uid_t *ret_uid)
{
	struct ucred cred;
	socklen_t len = sizeof(cred);

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &len) < 0)
		return false;
	*ret_uid = cred.uid;
	return true;
}

bool sp_uid_allowed(const struct sp_peer *peer, uid_t uid)
{
	return !peer->check || uid == 0 || uid == peer->uid || uid == geteuid();
}

/* ---- a conversation ---- */

void sp_init(struct sp *sp, int fd, uint16_t own, uint16_t peer, size_t max)
{
	uint8_t greeting[SP_GREETING];

	*sp = (struct sp){.fd = fd, .peer = peer, .max = max};
	sp_greeting(greeting, own);
	pst_mp_raw(&sp->out, greeting, sizeof(greeting));
}

void sp_done(struct sp *sp)
{
	pst_closep(&sp->fd);
	pst_buf_done(&sp->in);
	pst_buf_done(&sp->out);
	*sp = (struct sp){.fd = -1};
}

int sp_put(struct sp *sp, const void *head, size_t head_len, const void *body, size_t body_len)
{
	uint8_t frame[SP_HEAD];
	size_t before = sp->out.len;

	sp_head(frame, head_len + body_len);
	pst_mp_raw(&sp->out, frame, sizeof(frame));
	pst_mp_raw(&sp->out, head, head_len);
	pst_mp_raw(&sp->out, body, body_len);
	if (!sp->out.failed)
		return 0;
	sp->out.len = before;
	sp->out.failed = false;
	return -ENOMEM;
}

int sp_write(struct sp *sp)
{
	while (sp_writing(sp)) {
		ssize_t n = send(sp->fd, sp->out.p + sp->out_at, sp->out.len - sp->out_at,
			MSG_NOSIGNAL | MSG_DONTWAIT);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return errno == EAGAIN ? 0 : -errno;
		sp->out_at += (size_t)n;
	}
	sp->out.len = sp->out_at = 0;
	if (sp->out.size > KEEP_BYTES)
		pst_buf_done(&sp->out);
	return 0;
}

/* Bytes received, 0: would block. */
static ssize_t take(struct sp *sp, void *buf, size_t len)
{
	for (;;) {
		ssize_t n = recv(sp->fd, buf, len, MSG_DONTWAIT);

		if (n > 0)
			return n;
		if (n == 0)
			return -EPIPE;
		if (errno == EAGAIN)
			return 0;
		if (errno != EINTR)
			return -errno;
	}
}

/* 1: all of it is there. */
static int fill(struct sp *sp, unsigned *have, unsigned want)
{
	while (*have < want) {
		ssize_t n = take(sp, sp->head + *have, want - *have);

		if (n <= 0)
			return (int)n;
		*have += (unsigned)n;
	}
	return 1;
}

static int greet(struct sp *sp)
{
	uint8_t want[SP_GREETING];

	sp_greeting(want, sp->peer);
	int r = fill(sp, &sp->greeted, SP_GREETING);

	return r <= 0 ? r : memcmp(sp->head, want, SP_GREETING) ? -EBADMSG : 1;
}

static int begin(struct sp *sp)
{
	int r = fill(sp, &sp->head_len, sizeof(sp->head));

	if (r <= 0)
		return r;
	r = sp_head_len(sp->head, sp->max, &sp->in_want);
	return r < 0 ? r : 1;
}

int sp_read(struct sp *sp)
{
	int r = sp->greeted < SP_GREETING ? greet(sp) : 1;

	if (r > 0 && sp->head_len < sizeof(sp->head))
		r = begin(sp);
	if (r <= 0)
		return r;
	while (sp->in.len < sp->in_want) {
		size_t step = PST_MIN(sp->in_want - sp->in.len, (uint64_t)READ_STEP);

		if (!pst_buf_reserve(&sp->in, step))
			return -ENOMEM;
		ssize_t n = take(sp, sp->in.p + sp->in.len, step);
		if (n <= 0)
			return (int)n;
		sp->in.len += (size_t)n;
	}
	return 1;
}

void sp_next(struct sp *sp)
{
	sp->head_len = 0;
	sp->in.len = 0;
	if (sp->in.size > KEEP_BYTES)
		pst_buf_done(&sp->in);
}
