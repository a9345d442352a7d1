// SPDX-License-Identifier: Apache-2.0
/* Client of a control socket: on the loop (one request at a time, the connection kept), or blocking. */
#include "proto/wire/ctl_internal.h"

#include <poll.h>
#include <sys/random.h>

#include "proto/base/cleanup.h"
#include "proto/wire/bus_internal.h"

struct ctl_client {
	struct pst_loop *loop;
	char path[BUS_PATH_MAX];
	struct sp_peer peer;
	struct sp sp;
	struct pst_source *io, *timer;
	struct pst_buf request; /* kept, should a connection of before turn out to be closed */
	uint32_t number;
	bool busy, reused;
	int failed; /* told on the next turn of the loop */
	ctl_client_fn fn;
	void *arg;
};

/* ---- whom the stages' sockets may belong to ---- */

static struct {
	const char *stage;
	struct sp_peer peer;
} known[] = {{.stage = "collector"}, {.stage = "enricher"}, {.stage = "policyd"}, {.stage = "exporter"}};

void ctl_remember_peers(const struct pst_bus *bus)
{
	for (size_t i = 0; i < PST_ARRAY_SIZE(known); i++)
		bus_peer_user(bus, known[i].stage, &known[i].peer);
}

static struct sp_peer peer_of(const char *stage)
{
	for (size_t i = 0; i < PST_ARRAY_SIZE(known); i++)
		if (!strcmp(known[i].stage, stage))
			return known[i].peer;
	return (struct sp_peer){0};
}

/* ---- both kinds ---- */

static uint32_t first_number(void)
{
	uint32_t n = 0;

	return getrandom(&n, sizeof(n), GRND_NONBLOCK) == sizeof(n) ? n : (uint32_t)pst_now_mono_ns();
}

static int put_request(struct sp *sp, uint32_t number, const void *request, size_t len)
{
	uint8_t head[4] = {(uint8_t)(0x80 | number >> 24), (uint8_t)(number >> 16), (uint8_t)(number >> 8),
		(uint8_t)number};

	return sp_put(sp, head, sizeof(head), request, len);
}

/* 1: the answer to @number is in sp->in, after its first four bytes. Some others are skipped. */
static int get_reply(struct sp *sp, uint32_t number)
{
	for (int others = 0; others < 8; others++) {
		int r = sp_read(sp);

		if (r <= 0)
			return r;
		if (sp->in.len < 4)
			return -EBADMSG;
		const uint8_t *p = sp->in.p;
		uint32_t got = (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
		if (got == (0x80000000u | (number & 0x7fffffffu)))
			return 1;
		sp_next(sp);
	}
	return -EBADMSG;
}

/* ---- on the loop ---- */

static void hang_up(struct ctl_client *c)
{
	pst_source_free(c->io);
	c->io = NULL;
	sp_done(&c->sp);
}

static void finish(struct ctl_client *c, int error)
{
	ctl_client_fn fn = c->fn;
	struct sp sp = {.fd = -1};

	c->busy = false;
	pst_timer_disarm(c->timer);
	if (error < 0)
		hang_up(c);
	else
		sp.in = c->sp.in; /* the callback may begin the next request, or free the client */
	c->sp.in = (struct pst_buf){0};
	if (c->sp.fd >= 0)
		sp_next(&c->sp);
	fn(c->arg, error, error < 0 ? NULL : sp.in.p + 4, error < 0 ? 0 : sp.in.len - 4);
	pst_buf_done(&sp.in);
}

static int go_on(struct ctl_client *c)
{
	int r = sp_write(&c->sp);

	r = r < 0 ? r : get_reply(&c->sp, c->number);
	if (r)
		return r;
	return pst_source_set_events(c->io, EPOLLIN | (sp_writing(&c->sp) ? EPOLLOUT : 0));
}

static void on_io(void *arg, int fd, uint32_t epoll_events);

static int dial(struct ctl_client *c)
{
	int fd = sp_connect(c->path, &c->peer);

	if (fd == -EACCES)
		pst_warn_limited(
			"control socket refused: it is another user's, or closed to us path=%s", c->path);
	if (fd < 0)
		return fd;
	sp_init(&c->sp, fd, SP_REQ, SP_REP, CTL_REPLY_MAX);
	int r = pst_loop_fd(c->loop, fd, EPOLLIN, on_io, c, &c->io);
	if (r < 0)
		sp_done(&c->sp);
	return r;
}

static int begin(struct ctl_client *c)
{
	int r = c->sp.fd < 0 ? dial(c) : 0;

	r = r < 0 ? r : put_request(&c->sp, ++c->number, c->request.p, c->request.len);
	return r < 0 ? r : pst_source_set_events(c->io, EPOLLIN | EPOLLOUT);
}

static void on_io(void *arg, int fd, uint32_t epoll_events)
{
	struct ctl_client *c = arg;

	(void)fd;
	(void)epoll_events;
	if (!c->busy) {
		hang_up(c); /* closed, or something that no one asked for */
		return;
	}
	int r = go_on(c);
	if (r < 0 && c->reused) {
		/* The server gives up idle connections: once more on a new one. */
		c->reused = false;
		hang_up(c);
		r = begin(c);
	}
	if (r == -EPIPE || r == -ECONNRESET)
		r = -ECONNREFUSED;
	if (r)
		finish(c, r < 0 ? r : 0);
}

static void on_time(void *arg)
{
	struct ctl_client *c = arg;

	finish(c, c->failed ? c->failed : -ETIMEDOUT);
}

int ctl_client_new(
	struct pst_loop *loop, const char *path, const struct sp_peer *peer, struct ctl_client **ret_client)
{
	struct ctl_client *c = calloc(1, sizeof(*c));

	if (!c)
		return -ENOMEM;
	c->loop = loop;
	c->sp.fd = -1;
	c->peer = *peer;
	c->number = first_number();
	snprintf(c->path, sizeof(c->path), "%s", path);
	int r = pst_loop_timer(loop, on_time, c, &c->timer);
	if (r < 0) {
		free(c);
		return r;
	}
	*ret_client = c;
	return 0;
}

void ctl_client_free(struct ctl_client *client)
{
	if (!client)
		return;
	hang_up(client);
	pst_source_free(client->timer);
	pst_buf_done(&client->request);
	free(client);
}

int ctl_client_request(struct ctl_client *client, const void *request, size_t len, unsigned timeout_ms,
	ctl_client_fn fn, void *arg)
{
	if (client->busy)
		return -EBUSY;
	client->request.len = 0;
	pst_mp_raw(&client->request, request, len);
	if (client->request.failed)
		return -ENOMEM;
	client->busy = true;
	client->fn = fn;
	client->arg = arg;
	client->reused = client->sp.fd >= 0;
	client->failed = begin(client);
	pst_timer_arm(client->timer, client->failed ? 0 : timeout_ms * 1000000ull, 0);
	return 0;
}

/* ---- one request, asynchronous ---- */

struct single {
	struct ctl_client *client;
	pst_ctl_reply_fn fn;
	void *arg;
};

static void single_done(void *arg, int error, const void *reply, size_t len)
{
	struct single *s = arg;
	msgpack_unpacked value = {0};

	if (error == 0)
		error = ctl_unpack(reply, len, &value);
	s->fn(s->arg, error, error < 0 ? NULL : &value.data);
	if (error == 0)
		msgpack_unpacked_destroy(&value);
	ctl_client_free(s->client);
	free(s);
}

int pst_ctl_request(struct pst_loop *loop, const char *run_dir, const char *stage, const void *request,
	size_t len, unsigned timeout_ms, pst_ctl_reply_fn fn, void *arg)
{
	PST_FREE struct single *s = calloc(1, sizeof(*s));
	char path[BUS_PATH_MAX];
	int r = s ? bus_path(path, run_dir, stage, ".ctl") : -ENOMEM;

	struct sp_peer peer = peer_of(stage);
	r = r < 0 ? r : ctl_client_new(loop, path, &peer, &s->client);
	if (r < 0)
		return r;
	s->fn = fn;
	s->arg = arg;
	r = ctl_client_request(s->client, request, len, timeout_ms, single_done, s);
	if (r < 0) {
		ctl_client_free(s->client);
		return r;
	}
	(void)PST_TAKE_PTR(s); /* single_done frees it */
	return 0;
}

/* ---- one request, blocking ---- */

static int wait_io(const struct sp *sp, uint64_t deadline)
{
	uint64_t now = pst_now_mono_ns();
	struct pollfd p = {.fd = sp->fd, .events = (short)(POLLIN | (sp_writing(sp) ? POLLOUT : 0))};

	if (now >= deadline)
		return -ETIMEDOUT;
	return poll(&p, 1, (int)((deadline - now) / 1000000u) + 1) < 0 && errno != EINTR ? -errno : 0;
}

static void sp_donep(struct sp *sp)
{
	sp_done(sp);
}

int pst_ctl_call(const char *run_dir, const char *stage, const void *request, size_t len, unsigned timeout_ms,
	msgpack_unpacked *ret_reply)
{
	PST_CLEANUP(sp_donep) struct sp sp = {.fd = -1};
	uint64_t deadline = pst_now_mono_ns() + timeout_ms * 1000000ull;
	uint32_t number = first_number();
	char path[BUS_PATH_MAX];
	int r = bus_path(path, run_dir, stage, ".ctl");

	struct sp_peer peer = peer_of(stage);
	r = r < 0 ? r : sp_connect(path, &peer);
	if (r < 0)
		return r;
	sp_init(&sp, r, SP_REQ, SP_REP, CTL_REPLY_MAX);
	r = put_request(&sp, number, request, len);
	while (r == 0) {
		r = sp_write(&sp);
		r = r < 0 ? r : get_reply(&sp, number);
		r = r ? r : wait_io(&sp, deadline);
	}
	if (r < 0)
		return r == -EPIPE || r == -ECONNRESET ? -ECONNREFUSED : r;
	return ctl_unpack_copy(sp.in.p + 4, sp.in.len - 4, ret_reply);
}
