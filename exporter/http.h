/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The HTTP server: libmicrohttpd in our loop, one daemon an address. Decides who may ask (Host,
 * authentication), bounds connections and time, and hands requests to a table of routes.
 */
#ifndef EXPORTER_HTTP_H
#define EXPORTER_HTTP_H

#include "exporter/auth.h"
#include "exporter/config.h"
#include "exporter/params.h"
#include "proto/base/loop.h"
#include "proto/wire/mp.h"

struct http;
struct request;
struct stream;

#define TYPE_JSON  "application/json"
#define TYPE_LINES "application/x-ndjson"
#define TYPE_SSE   "text/event-stream"
#define TYPE_HTML  "text/html; charset=utf-8"
#define TYPE_TEXT  "text/plain; charset=utf-8"

/* Answers by exactly one of the reply_ functions, now or, after request_suspend, later. */
typedef void (*route_fn)(void *arg, struct request *request);
struct route {
	const char *path;
	route_fn fn;
	bool open; /* served without authentication */
};

/* Before the sandbox: opens the sockets, reads certificate and secrets. 0 or -errno with a log line. */
int http_open(struct pst_loop *loop, const struct exporter_config *config, const struct route *routes,
	void *arg, struct http **ret_http);
/* In the sandbox. 0 or -errno with a log line. */
int http_start(struct http *http);
/* Answers what is under way, for a moment, and closes. NULL is fine. */
void http_free(struct http *http);
/* Let libmicrohttpd work at the end of this turn. */
void http_kick(struct http *http);
/* URLs as bound, e.g. "http://127.0.0.1:9435"; NULL after the last. */
const char *http_url(const struct http *http, unsigned i);

/* ---- for routes ---- */

const struct params *request_params(const struct request *request);
const char *request_header(const struct request *request, const char *name); /* NULL if absent */
bool request_is_head(const struct request *request);
struct http *request_http(const struct request *request);
/* Not now: keep the request until reply_ is called from elsewhere. If it ends before that (only when the
 * server does), @slot, which holds the pointer that the caller will use, is set to NULL. */
void request_suspend(struct request *request, struct request **slot);

/* @body is taken (emptied), also on failure. @type must be static. */
void reply_body(struct request *request, unsigned status, const char *type, struct pst_buf *body);
/* {"error":"..."}; @format as printf. */
void reply_error(struct request *request, unsigned status, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
/* Adds a header to the reply that follows. At most two; both static text. */
void reply_header(struct request *request, const char *name, const char *value);
/* A body that is made as it is read. @open makes the stream with the wake-up it is given; it returns 0 or
 * -errno, after which the caller still has to reply. The stream is closed with the connection. */
typedef int (*stream_open_fn)(void *arg, void (*wake)(void *arg), void *wake_arg, struct stream **ret_stream);
int reply_stream(struct request *request, const char *type, bool follow, stream_open_fn open, void *arg);

#endif
