// SPDX-License-Identifier: Apache-2.0
/*
 * The publisher's socket: every subscriber gets every message (it filters by topic itself, as the protocol
 * has it), from a bounded queue of its own that holds references. What a slow one has no room for is counted
 * and not sent; it will ask for it.
 */
#include "proto/wire/bus_internal.h"

#include <poll.h>
#include <sys/socket.h>

#include "proto/base/cleanup.h"

#define CONNECTIONS_MAX 128
#define PER_USER_MAX    32
#define QUEUE_BYTES     (8u << 20)
#define HELD_BYTES      (32u << 20) /* of all queues, what several share once */
#define SEND_BUFFER     (1 << 20)
#define IOV_MAX_OURS    8

struct out_conn {
	struct out_conn *next;
	struct bus_out *out;
	int fd;
	struct pst_source *io;
	uid_t uid;
	uint8_t greeting[SP_GREETING];
	unsigned greeted; /* bytes of it received */
	uint32_t events;  /* watched */
	struct bus_packet *queue[BUS_QUEUE];
	unsigned first, n;
	size_t sent;  /* bytes of the first that are out */
	size_t bytes; /* in the queue */
};

struct bus_out {
	struct pst_bus *bus;
	struct bus_listener listener;
	struct out_conn *conns;
	unsigned n_conns;
	uint64_t number; /* of the message sent last */
	size_t held;
	struct pst_stat *refused, *cut, *subscribers;
};

/* ---- messages ---- */

struct bus_packet *bus_packet_new(size_t len)
{
	struct bus_packet *p = malloc(sizeof(*p) + SP_HEAD + len);

	if (!p)
		return NULL;
	p->refs = 1;
	p->queues = 0;
	p->number = 0;
	p->len = (uint32_t)len;
	sp_head(p->bytes, len);
	return p;
}

void bus_packet_free(struct bus_packet *packet)
{
	if (packet && --packet->refs == 0)
		free(packet);
}

static size_t frame_len(const struct bus_packet *p)
{
	return SP_HEAD + p->len;
}

/* ---- connections ---- */

static void drop_first(struct out_conn *c)
{
	struct bus_packet *packet = c->queue[c->first];

	c->bytes -= frame_len(packet);
	if (!--packet->queues)
		c->out->held -= frame_len(packet);
	bus_packet_free(packet);
	c->first = (c->first + 1) % BUS_QUEUE;
	c->n--;
	c->sent = 0;
}

static void conn_close(struct out_conn *c)
{
	for (struct out_conn **p = &c->out->conns; *p; p = &(*p)->next)
		if (*p == c) {
			*p = c->next;
			c->out->n_conns--;
			break;
		}
	c->out->subscribers->value -= c->greeted == SP_GREETING;
	while (c->n)
		drop_first(c);
	pst_source_free(c->io);
	close(c->fd);
	free(c);
}

static int fill_iov(const struct out_conn *c, struct iovec iov[IOV_MAX_OURS])
{
	unsigned n = 0;

	for (; n < c->n && n < IOV_MAX_OURS; n++) {
		struct bus_packet *p = c->queue[(c->first + n) % BUS_QUEUE];
		size_t skip = n ? 0 : c->sent;

		iov[n] = (struct iovec){p->bytes + skip, frame_len(p) - skip};
	}
	return (int)n;
}

static void advance(struct out_conn *c, size_t written)
{
	while (written) {
		size_t left = frame_len(c->queue[c->first]) - c->sent;

		if (written < left) {
			c->sent += written;
			return;
		}
		written -= left;
		drop_first(c);
	}
}

static int conn_write(struct out_conn *c)
{
	while (c->n) {
		struct iovec iov[IOV_MAX_OURS];
		struct msghdr msg = {.msg_iov = iov, .msg_iovlen = (size_t)fill_iov(c, iov)};
		ssize_t n = sendmsg(c->fd, &msg, MSG_NOSIGNAL | MSG_DONTWAIT);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return errno == EAGAIN ? 0 : -errno;
		advance(c, (size_t)n);
	}
	return 0;
}

/* EPOLLIN always: it tells when the other side has gone. */
static int watch(struct out_conn *c)
{
	return pst_source_set_events(c->io, EPOLLIN | (c->n ? EPOLLOUT : 0));
}

/* A subscriber has nothing to say but its greeting. */
static int conn_read(struct out_conn *c)
{
	uint8_t want[SP_GREETING], more;
	bool whole = c->greeted == SP_GREETING;
	ssize_t n = whole ? recv(c->fd, &more, 1, MSG_DONTWAIT)
			  : recv(c->fd, c->greeting + c->greeted, SP_GREETING - c->greeted, MSG_DONTWAIT);

	if (n < 0)
		return errno == EAGAIN || errno == EINTR ? 0 : -errno;
	if (n == 0)
		return -EPIPE;
	if (whole)
		return -EBADMSG;
	c->greeted += (unsigned)n;
	if (c->greeted < SP_GREETING)
		return 0;
	sp_greeting(want, SP_SUB);
	if (memcmp(c->greeting, want, SP_GREETING)) {
		c->greeted = 0;
		return -EBADMSG;
	}
	c->out->subscribers->value++;
	return 0;
}

static void on_conn(void *arg, int fd, uint32_t epoll_events)
{
	struct out_conn *c = arg;
	int r = 0;

	(void)fd;
	if (epoll_events & (EPOLLIN | EPOLLHUP | EPOLLERR))
		r = conn_read(c);
	r = r < 0 ? r : conn_write(c);
	r = r < 0 ? r : watch(c);
	if (r == -EBADMSG) {
		c->out->bus->st.malformed->value++;
		pst_warn_limited("subscriber cut off: not the protocol uid=%u", (unsigned)c->uid);
	}
	if (r < 0)
		conn_close(c);
}

/* ---- accepting ---- */

static bool make_place(struct bus_out *out, uid_t uid)
{
	unsigned same = 0;
	struct out_conn *silent = NULL, *own_silent = NULL;

	for (struct out_conn *c = out->conns; c; c = c->next) {
		same += c->uid == uid;
		if (c->greeted == SP_GREETING)
			continue;
		silent = c; /* the oldest such */
		own_silent = c->uid == uid ? c : own_silent;
	}
	if (same < PER_USER_MAX && out->n_conns < CONNECTIONS_MAX)
		return true;
	out->refused->value++;
	pst_warn_limited("more subscribers than there is room for uid=%u of_this_user=%u of_all=%u",
		(unsigned)uid, same, out->n_conns);
	/* Who has all the places of one user gets none of another's. */
	if (same >= PER_USER_MAX)
		silent = own_silent;
	if (!silent)
		return false;
	conn_close(silent);
	return true;
}

static int conn_new(struct bus_out *out, int fd, uid_t uid)
{
	PST_FREE struct out_conn *c = calloc(1, sizeof(*c));
	uint8_t greeting[SP_GREETING];
	int size = SEND_BUFFER;

	if (!c)
		return -ENOMEM;
	sp_greeting(greeting, SP_PUB);
	/* Room for more than a batch between two turns of the loop; the kernel gives what it allows. */
	setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
	if (send(fd, greeting, sizeof(greeting), MSG_NOSIGNAL | MSG_DONTWAIT) != sizeof(greeting))
		return -EPIPE;
	c->out = out;
	c->fd = fd;
	c->uid = uid;
	int r = pst_loop_fd(out->bus->loop, fd, EPOLLIN, on_conn, c, &c->io);
	if (r < 0)
		return r;
	c->next = out->conns;
	out->conns = PST_TAKE_PTR(c);
	out->n_conns++;
	return 0;
}

static bool accepted(void *arg, int fd, uid_t uid)
{
	struct bus_out *out = arg;

	return make_place(out, uid) && conn_new(out, fd, uid) == 0;
}

/* ---- the bus's side ---- */

static void enqueue(struct out_conn *c, struct bus_packet *packet)
{
	if (c->n == BUS_QUEUE || c->bytes + frame_len(packet) > QUEUE_BYTES) {
		/* The newest is left out: what is in the queue stays in line, and retention holds the newest
		 * longest. */
		c->out->bus->st.send_dropped->value++;
		return;
	}
	packet->refs++;
	if (!packet->queues++)
		c->out->held += frame_len(packet);
	c->queue[(c->first + c->n++) % BUS_QUEUE] = packet;
	c->bytes += frame_len(packet);
}

/*
 * Subscribers that stopped reading at different times hold different messages. Who stopped first is cut off:
 * it comes again when it goes on, and asks for what it missed.
 */
static bool cut_off_slowest(struct bus_out *out)
{
	struct out_conn *slowest = NULL;

	for (struct out_conn *c = out->conns; c; c = c->next)
		if (c->n && (!slowest || c->queue[c->first]->number < slowest->queue[slowest->first]->number))
			slowest = c;
	if (!slowest)
		return false;
	out->cut->value++;
	pst_warn_limited("subscriber cut off: too much waits for those that do not read uid=%u",
		(unsigned)slowest->uid);
	conn_close(slowest);
	return true;
}

void bus_out_send(struct bus_out *out, struct bus_packet *packet)
{
	struct out_conn *next;

	packet->number = ++out->number;
	for (struct out_conn *c = out->conns; c; c = next) {
		/* Who is behind is written to when the kernel says that there is room; or when it gets tight,
		 * as in a handler that publishes much at once. */
		bool now = !c->n || c->n >= BUS_QUEUE / 2;

		next = c->next;
		if (c->greeted < SP_GREETING)
			continue;
		enqueue(c, packet);
		if (now && (conn_write(c) < 0 || watch(c) < 0))
			conn_close(c);
	}
	while (out->held > HELD_BYTES && cut_off_slowest(out))
		;
}

static bool flushed(const struct bus_out *out)
{
	for (const struct out_conn *c = out->conns; c; c = c->next)
		if (c->n)
			return false;
	return true;
}

void bus_out_flush(struct bus_out *out, uint64_t wait_ns)
{
	uint64_t end = pst_now_mono_ns() + wait_ns;

	while (!flushed(out) && pst_now_mono_ns() < end) {
		struct out_conn *next;

		for (struct out_conn *c = out->conns; c; c = next) {
			next = c->next;
			if (c->n && conn_write(c) < 0)
				conn_close(c);
		}
		poll(NULL, 0, 1);
	}
}

int bus_out_new(struct pst_bus *bus, struct bus_out **ret_out)
{
	struct bus_out *out = calloc(1, sizeof(*out));

	if (!out)
		return -ENOMEM;
	out->bus = bus;
	out->refused = pst_counter("subscribers_refused", "Connections that were too many.");
	out->cut = pst_counter("subscribers_cut",
		"Connections closed because too much waited for subscribers that did not read.");
	out->subscribers = pst_gauge("subscribers", "Subscribers connected.");
	*ret_out = out; /* also on failure: there may be a socket to be removed */
	return bus_listener_open(bus, ".pub", accepted, out, &out->listener);
}

void bus_out_free(struct bus_out *out)
{
	if (!out)
		return;
	while (out->conns)
		conn_close(out->conns);
	bus_listener_close(&out->listener);
	free(out);
}
