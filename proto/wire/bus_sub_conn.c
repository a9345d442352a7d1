// SPDX-License-Identifier: Apache-2.0
/* A subscription's connection: dialing, greeting, cutting messages out of what comes. */
#include "proto/wire/bus_internal.h"

#include <sys/socket.h>

#include "proto/base/cleanup.h"

#define REDIAL_MIN_NS 10000000ull
#define REDIAL_MAX_NS 200000000ull
#define RX_BYTES      (256u << 10)
#define READS_A_WAKE  4

static void dial_later(struct pst_sub *sub)
{
	sub->redial_ns = PST_MIN(PST_MAX(sub->redial_ns * 2, REDIAL_MIN_NS), REDIAL_MAX_NS);
	pst_timer_arm(sub->dial, sub->redial_ns, 0);
}

void bus_sub_hang_up(struct pst_sub *sub)
{
	pst_source_free(sub->io);
	sub->io = NULL;
	pst_closep(&sub->fd);
	sub->fd = -1;
	sub->greeted = false;
	pst_buf_done(&sub->rx); /* half a message: its number will be missed */
	sub->rx_at = 0;
	dial_later(sub);
}

static void connected(struct pst_sub *sub)
{
	sub->greeted = true;
	sub->redial_ns = 0;
	sub->bus->st.connects->value++;
	pst_debug("connected publisher=%s", sub->publisher);
	/* Events may have been published while there was no connection. */
	sub->need_cursor = true;
	sub->backoff_ns = 0;
	pst_timer_arm(sub->retry, 0, 0);
}

/* ---- messages ---- */

static size_t unread(const struct pst_sub *sub)
{
	return sub->rx.len - sub->rx_at;
}

/* 1: handled one; 0: not whole yet. */
static int take_one(struct pst_sub *sub, size_t *ret_want)
{
	const uint8_t *p = sub->rx.p + sub->rx_at;
	uint8_t want[SP_GREETING];
	uint64_t len = 0;

	*ret_want = sub->greeted ? SP_HEAD : SP_GREETING;
	if (unread(sub) < *ret_want)
		return 0;
	if (!sub->greeted) {
		sp_greeting(want, SP_PUB);
		if (memcmp(p, want, SP_GREETING))
			return -EBADMSG;
		sub->rx_at += SP_GREETING;
		connected(sub);
		return 1;
	}
	int r = sp_head_len(p, PST_MESSAGE_MAX, &len);
	*ret_want = SP_HEAD + (size_t)len;
	if (r < 0 || unread(sub) < *ret_want)
		return r;
	sub->rx_at += *ret_want;
	bus_sub_message(sub, p + SP_HEAD, (size_t)len);
	return 1;
}

/* Bytes, 0: there are none now. */
static ssize_t read_more(struct pst_sub *sub, size_t want)
{
	struct pst_buf *rx = &sub->rx;

	if (sub->rx_at && rx->len > sub->rx_at)
		memmove(rx->p, rx->p + sub->rx_at, unread(sub));
	rx->len -= sub->rx_at;
	sub->rx_at = 0;
	if (!rx->len && rx->size > 2 * RX_BYTES)
		pst_buf_done(rx);
	if (!pst_buf_reserve(rx, PST_MAX(rx->size, (size_t)RX_BYTES) - rx->len) ||
		(want > rx->size && !pst_buf_reserve(rx, want - rx->len)))
		return -ENOMEM;
	ssize_t n = recv(sub->fd, rx->p + rx->len, rx->size - rx->len, MSG_DONTWAIT);
	if (n > 0)
		rx->len += (size_t)n;
	if (n >= 0)
		return n ? n : -EPIPE;
	return errno == EAGAIN || errno == EINTR ? 0 : -errno;
}

static void broken(struct pst_sub *sub, int error)
{
	if (error == -EBADMSG || error == -EMSGSIZE) {
		sub->bus->st.malformed->value++;
		pst_warn_limited("publisher cut off: %s publisher=%s",
			error == -EMSGSIZE ? "message too large" : "not the protocol", sub->publisher);
		sub->redial_ns = REDIAL_MAX_NS;
	} else {
		pst_debug("connection lost publisher=%s error=\"%s\"", sub->publisher, strerror(-error));
	}
	bus_sub_hang_up(sub);
}

bool bus_sub_receive(struct pst_sub *sub)
{
	for (int i = 0; i <= READS_A_WAKE && sub->fd >= 0; i++) {
		size_t want = 0;
		ssize_t r;

		while (!bus_sub_stopped(sub) && (r = take_one(sub, &want)) > 0)
			;
		if (bus_sub_stopped(sub))
			return false;
		if (r == 0 && i == READS_A_WAKE)
			return false;
		r = r < 0 ? r : read_more(sub, want);
		if (r < 0)
			broken(sub, (int)r);
		if (r <= 0)
			return r == 0;
	}
	return false;
}

static void on_io(void *arg, int fd, uint32_t epoll_events)
{
	struct pst_sub *sub = arg;

	(void)fd;
	(void)epoll_events;
	for (int i = 0; i < PST_TOPICS; i++)
		bus_sub_drain_pending(sub, &sub->topic[i]);
	bus_sub_receive(sub);
	bus_repair_kick(sub);
}

/* ---- dialing ---- */

static int greet(struct pst_sub *sub)
{
	uint8_t greeting[SP_GREETING];

	sp_greeting(greeting, SP_SUB);
	if (send(sub->fd, greeting, sizeof(greeting), MSG_NOSIGNAL | MSG_DONTWAIT) != sizeof(greeting))
		return -EPIPE;
	return pst_loop_fd(sub->bus->loop, sub->fd, bus_sub_stopped(sub) ? 0 : EPOLLIN, on_io, sub, &sub->io);
}

void bus_sub_dial(void *arg)
{
	struct pst_sub *sub = arg;
	int r = sp_connect(sub->path, &sub->peer);

	if (r < 0) {
		if (r == -EACCES)
			pst_warn_limited("publisher refused: its socket is another user's, or closed to us "
					 "publisher=%s",
				sub->publisher);
		dial_later(sub);
		return;
	}
	sub->fd = r;
	if (greet(sub) < 0)
		bus_sub_hang_up(sub);
}
