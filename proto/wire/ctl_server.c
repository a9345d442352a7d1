// SPDX-License-Identifier: Apache-2.0
/*
 * Control socket. A client that sends rubbish is told so or cut off, one that does not read holds up only
 * itself, one that says nothing makes room when its place is wanted.
 */
#include "proto/wire/bus_internal.h"
#include "proto/wire/ctl_server.h"

#include "proto/base/cleanup.h"

#define CONNECTIONS_MAX 64

struct ctl_conn {
	struct ctl_conn *next;
	struct pst_bus *bus;
	struct sp sp;
	struct pst_source *io;
	uid_t uid;
	uint64_t active_ns;
};

/* ---- answering ---- */

static void answer_error(struct pst_buf *reply, const char *text)
{
	reply->len = 0;
	reply->failed = false;
	pst_mp_map(reply, 1);
	pst_mp_str(reply, "error");
	pst_mp_str(reply, text);
}

static const struct ctl_op *find_op(const struct ctl_server *server, const char *name)
{
	for (const struct ctl_op *op = server->ops; op; op = op->next)
		if (!strcmp(op->name, name))
			return op;
	return NULL;
}

static int run_op(
	struct pst_bus *bus, const msgpack_object *request, struct pst_buf *reply, char *error, size_t size)
{
	const struct ctl_op *op;
	char name[sizeof(op->name)];

	snprintf(error, size, "malformed request: expected a map with \"op\"");
	if (!pst_ctl_text(request, "op", name, sizeof(name)))
		return -EBADMSG;
	op = find_op(bus->ctl, name);
	snprintf(error, size, op ? "failed" : "unknown op");
	if (!op)
		return -ENOSYS;
	int r = op->fn(op->arg, request, reply, error, size);
	if (r == 0 && (reply->failed || reply->len > CTL_REPLY_MAX)) {
		snprintf(error, size, "reply too large");
		r = -EMSGSIZE;
	}
	return r;
}

/* The message may hold what the client wrote. */
static void warn_refused(const struct pst_bus *bus, size_t len, const char *error)
{
	char safe[1024];

	pst_warn_limited("control request refused uid=%u bytes=%zu error=\"%s\"",
		(unsigned)bus->ctl->peer_uid, len,
		pst_log_escape(safe, sizeof(safe), error, (unsigned)strlen(error)));
}

bool ctl_answer(struct pst_bus *bus, const void *request, size_t len, struct pst_buf *reply)
{
	msgpack_unpacked value;
	char error[512]; /* a message that names a file and a place in it */
	int r = ctl_unpack(request, len, &value);

	bus->st.ctl_requests->value++;
	if (r < 0) {
		snprintf(error, sizeof(error), "malformed request: not one msgpack value");
	} else {
		r = run_op(bus, &value.data, reply, error, sizeof(error));
		msgpack_unpacked_destroy(&value);
	}
	if (r == 0)
		return true;
	bus->st.ctl_errors->value++;
	/* The others are answers that a well-behaved client may get. */
	if (r == -EBADMSG || r == -ENOSYS || r == -EINVAL)
		warn_refused(bus, len, error);
	answer_error(reply, error);
	return false;
}

/* ---- connections ---- */

static void conn_close(struct ctl_conn *conn)
{
	struct ctl_server *server = conn->bus->ctl;

	for (struct ctl_conn **p = &server->conns; *p; p = &(*p)->next)
		if (*p == conn) {
			*p = conn->next;
			server->n_conns--;
			break;
		}
	pst_source_free(conn->io);
	sp_done(&conn->sp);
	free(conn);
}

/* Length of the way back (request's number, before it the hops of devices), which ends with a word whose high
 * bit is set; 0: none. */
static size_t backtrace(const struct pst_buf *in)
{
	for (size_t n = 4; n <= in->len && n <= CTL_BACKTRACE; n += 4)
		if (in->p[n - 4] & 0x80)
			return n;
	return 0;
}

static int conn_answer(struct ctl_conn *conn)
{
	PST_CLEANUP(pst_buf_done) struct pst_buf reply = {0};
	const struct pst_buf *in = &conn->sp.in;
	size_t head = backtrace(in);

	if (!head)
		return -EBADMSG;
	conn->bus->ctl->peer_uid = conn->uid;
	if (in->len - head > CTL_REQUEST_MAX) {
		conn->bus->st.ctl_errors->value++;
		answer_error(&reply, "request too large");
	} else {
		ctl_answer(conn->bus, in->p + head, in->len - head, &reply);
	}
	int r = sp_put(&conn->sp, in->p, head, reply.p, reply.len);
	sp_next(&conn->sp);
	return r;
}

/* One request a wake; no further one is read before its answer has gone out. */
static int conn_go_on(struct ctl_conn *conn)
{
	int r = sp_write(&conn->sp);

	if (r == 0 && !sp_writing(&conn->sp)) {
		r = sp_read(&conn->sp);
		if (r == 1) {
			r = conn_answer(conn);
			r = r < 0 ? r : sp_write(&conn->sp);
		}
	}
	if (r < 0)
		return r;
	return pst_source_set_events(conn->io, sp_writing(&conn->sp) ? EPOLLOUT : EPOLLIN);
}

static void on_conn(void *arg, int fd, uint32_t epoll_events)
{
	struct ctl_conn *conn = arg;

	(void)fd;
	conn->active_ns = pst_now_mono_ns();
	int r = conn_go_on(conn);
	if (r == 0 && !(epoll_events & EPOLLERR))
		return;
	if (r == -EBADMSG || r == -EMSGSIZE) {
		conn->bus->st.ctl_errors->value++;
		pst_warn_limited("control connection cut off: %s uid=%u",
			r == -EMSGSIZE ? "request too large" : "not the protocol", (unsigned)conn->uid);
	}
	conn_close(conn);
}

static void make_place(struct ctl_server *server)
{
	struct ctl_conn *oldest = server->conns;

	if (!oldest || server->n_conns < CONNECTIONS_MAX)
		return;
	for (struct ctl_conn *c = server->conns; c; c = c->next)
		if (c->active_ns < oldest->active_ns)
			oldest = c;
	server->bus->st.ctl_refused->value++;
	pst_warn_limited("control connection closed to make room for another uid=%u", (unsigned)oldest->uid);
	conn_close(oldest);
}

static bool accepted(void *arg, int fd, uid_t uid)
{
	struct ctl_server *server = arg;

	make_place(server);
	PST_FREE struct ctl_conn *conn = calloc(1, sizeof(*conn));
	if (!conn)
		return false;
	conn->bus = server->bus;
	conn->uid = uid;
	conn->active_ns = pst_now_mono_ns();
	sp_init(&conn->sp, fd, SP_REP, SP_REQ, CTL_REQUEST_MAX + CTL_BACKTRACE);
	if (pst_loop_fd(server->bus->loop, fd, EPOLLIN | EPOLLOUT, on_conn, conn, &conn->io) < 0) {
		pst_buf_done(&conn->sp.out);
		return false;
	}
	conn->next = server->conns;
	server->conns = PST_TAKE_PTR(conn);
	server->n_conns++;
	return true;
}

/* ---- opening ---- */

static int add_op(struct pst_bus *bus, const char *name, pst_ctl_fn fn, void *arg)
{
	struct ctl_op *op;

	if (strlen(name) >= sizeof(op->name))
		return -ENAMETOOLONG;
	if (find_op(bus->ctl, name))
		return -EEXIST;
	op = calloc(1, sizeof(*op));
	if (!op)
		return -ENOMEM;
	memcpy(op->name, name, strlen(name) + 1);
	op->fn = fn;
	op->arg = arg;
	op->next = bus->ctl->ops;
	bus->ctl->ops = op;
	return 0;
}

int pst_ctl_handle(struct pst_bus *bus, const char *op, pst_ctl_fn fn, void *arg)
{
	return add_op(bus, op, fn, arg);
}

void pst_ctl_status_extra(struct pst_bus *bus, uint32_t (*fn)(void *arg, struct pst_buf *out), void *arg)
{
	bus->ctl->extra = fn;
	bus->ctl->extra_arg = arg;
}

void pst_ctl_stats_extra(struct pst_bus *bus, uint32_t (*fn)(void *arg, struct pst_buf *out), void *arg)
{
	bus->ctl->stats = fn;
	bus->ctl->stats_arg = arg;
}

void pst_bus_set_sandbox(struct pst_bus *bus, const char *text)
{
	snprintf(bus->ctl->sandbox, sizeof(bus->ctl->sandbox), "%s", text);
}

uid_t pst_ctl_peer_uid(const struct pst_bus *bus)
{
	return bus->ctl->peer_uid;
}

int ctl_server_new(struct pst_bus *bus)
{
	struct ctl_server *server = calloc(1, sizeof(*server));

	if (!server)
		return -ENOMEM;
	server->listener.fd = -1;
	server->bus = bus;
	server->peer_uid = (uid_t)-1;
	bus->ctl = server;
	bus->st.ctl_requests = pst_counter("ctl_requests", "Control requests answered.");
	bus->st.ctl_errors = pst_counter("ctl_errors", "Control requests refused.");
	bus->st.ctl_refused =
		pst_counter("ctl_evictions", "Control connections closed to make room for another.");
	ctl_remember_users(server);
	ctl_remember_peers(bus);
	int r = add_op(bus, "status", ctl_op_status, bus);
	r = r < 0 ? r : add_op(bus, "cursor", ctl_op_cursor, bus);
	return r < 0 ? r : add_op(bus, "replay", ctl_op_replay, bus);
}

int ctl_server_start(struct pst_bus *bus)
{
	return bus_listener_open(bus, ".ctl", accepted, bus->ctl, &bus->ctl->listener);
}

void ctl_server_free(struct pst_bus *bus)
{
	struct ctl_server *server = bus->ctl;

	if (!server)
		return;
	while (server->conns)
		conn_close(server->conns);
	bus_listener_close(&server->listener);
	while (server->ops) {
		struct ctl_op *op = server->ops;

		server->ops = op->next;
		free(op);
	}
	free(server);
	bus->ctl = NULL;
}
