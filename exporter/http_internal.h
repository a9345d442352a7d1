/* SPDX-License-Identifier: Apache-2.0 */
/* Shared by http.c (server) and request.c (one request). */
#ifndef EXPORTER_HTTP_INTERNAL_H
#define EXPORTER_HTTP_INTERNAL_H

#include <microhttpd.h>

#include "exporter/http.h"
#include "exporter/listen.h"
#include "proto/base/stat.h"

/* A connection: is it waiting for a request, or being answered, and since when? */
struct conn {
	struct conn *prev, *next;
	struct http *http;
	int fd;
	enum { CONN_REQUEST, CONN_REPLY, CONN_STREAM, CONN_CUT } phase;
	uint64_t since_ns;
};

struct listener {
	struct http *http;
	int fd;
	struct MHD_Daemon *daemon;
	struct pst_source *source; /* of the daemon's epoll descriptor */
	char url[LISTEN_URL_MAX];
	bool local_inet; /* a loopback address, which any web page can make a browser connect to */
};

struct http {
	struct pst_loop *loop;
	const struct exporter_config *config;
	const struct route *routes;
	void *arg;
	struct listener listeners[EXPORTER_LISTEN_MAX];
	unsigned n_listeners;
	struct auth auth;
	char *cert, *key; /* PEM */
	struct pst_source *kick, *timer, *sweep;
	struct conn *conns;
	struct request *suspended;
	struct pst_stat *connections, *requests, *cut, *denied, *client_errors, *server_errors, *bytes;
};

struct reply_header_pair {
	const char *name, *value;
};

struct request {
	struct http *http;
	struct listener *listener;
	struct MHD_Connection *conn;
	struct conn *c;
	char *target; /* raw; cut into path and query */
	struct params params;
	bool head, seen, dispatched, suspended;
	struct request *prev, *next; /* the suspended ones */
	struct request **slot;
	struct reply_header_pair headers[2];
	unsigned n_headers;
	/* the reply, when it came while the request was suspended */
	struct MHD_Response *response;
	unsigned status;
};

struct request *request_new(struct listener *listener, struct MHD_Connection *conn, const char *target);
void request_free(struct request *request); /* NULL is fine */
/* First call: method and body; later ones: dispatch, or send what is ready. */
enum MHD_Result request_handle(
	struct request *request, const char *method, const char *upload, size_t *upload_size);

#endif
