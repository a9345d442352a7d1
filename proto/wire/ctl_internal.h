/* SPDX-License-Identifier: Apache-2.0 */
/* Control sockets: what ctl*.c and bus*.c share with each other and nobody else. */
#ifndef PST_WIRE_CTL_INTERNAL_H
#define PST_WIRE_CTL_INTERNAL_H

#include "proto/base/loop.h"
#include "proto/wire/ctl.h"
#include "proto/wire/sp.h"

#define CTL_REQUEST_MAX (64u << 10)
#define CTL_REPLY_MAX   PST_MESSAGE_MAX
#define CTL_BACKTRACE   36 /* bytes: up to 8 hops and the request's number */

/* ---- client (ctl_client.c): one request at a time; the connection is kept for the next ---- */

struct ctl_client;
/* On the loop, exactly once a request; not from within ctl_client_request. */
typedef void (*ctl_client_fn)(void *arg, int error, const void *reply, size_t len);
int ctl_client_new(
	struct pst_loop *loop, const char *path, const struct sp_peer *peer, struct ctl_client **ret_client);
void ctl_client_free(struct ctl_client *client); /* NULL is fine; a request under way is forgotten */
int ctl_client_request(struct ctl_client *client, const void *request, size_t len, unsigned timeout_ms,
	ctl_client_fn fn, void *arg);

/* Before the sandbox, where the users can be looked up: from here on requests go only to sockets of the
 * stages' own users (bus_peer_user). */
void ctl_remember_peers(const struct pst_bus *bus);

/* ---- messages (ctl_msg.c) ---- */

/* One msgpack value, nothing after it, of sane depth and size: then it is safe to be unpacked. */
bool ctl_value_valid(const void *bytes, size_t len);
int ctl_unpack(const void *bytes, size_t len, msgpack_unpacked *ret_value);
int ctl_unpack_copy(
	const void *bytes, size_t len, msgpack_unpacked *ret_value); /* keeps no pointer into @bytes */
/* A map's next key as text; "" if it is none. */
void ctl_key(struct pst_cur *cur, char *buf, size_t size);

/* ---- server (ctl_server.c, ctl_ops.c) ---- */

struct ctl_op {
	struct ctl_op *next;
	char name[24];
	pst_ctl_fn fn;
	void *arg;
};
struct ctl_server;
int ctl_server_new(struct pst_bus *bus);
int ctl_server_start(struct pst_bus *bus);
void ctl_server_free(struct pst_bus *bus);
/* Answers any bytes: @reply gets one value. False: it was refused. */
bool ctl_answer(struct pst_bus *bus, const void *request, size_t len, struct pst_buf *reply);
int ctl_op_status(void *arg, const msgpack_object *request, struct pst_buf *reply, char *error, size_t size);
int ctl_op_cursor(void *arg, const msgpack_object *request, struct pst_buf *reply, char *error, size_t size);
int ctl_op_replay(void *arg, const msgpack_object *request, struct pst_buf *reply, char *error, size_t size);

#endif
