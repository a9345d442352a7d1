// SPDX-License-Identifier: Apache-2.0
#include "exporter/http_internal.h"

#include <errno.h>
#include <stdarg.h>
#include <string.h>

#include "exporter/stream.h"
#include "proto/base/cleanup.h"
#include "proto/base/log.h"
#include "proto/wire/json.h"

#define BLOCK_BYTES 16384

struct request *request_new(struct listener *listener, struct MHD_Connection *conn, const char *target)
{
	const union MHD_ConnectionInfo *info =
		MHD_get_connection_info(conn, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
	PST_FREE struct request *request = calloc(1, sizeof(*request));

	if (!request)
		return NULL;
	request->target = strdup(target);
	if (!request->target)
		return NULL;
	request->http = listener->http;
	request->listener = listener;
	request->conn = conn;
	request->c = info ? info->socket_context : NULL;
	return PST_TAKE_PTR(request);
}

static void set_phase(struct request *request, int phase)
{
	struct conn *c = request->c;

	if (!c || c->phase == CONN_CUT)
		return;
	c->phase = phase;
	c->since_ns = pst_now_mono_ns();
}

static void leave_suspended(struct request *request)
{
	struct http *http = request->http;

	if (!request->suspended)
		return;
	request->suspended = false;
	*(request->prev ? &request->prev->next : &http->suspended) = request->next;
	if (request->next)
		request->next->prev = request->prev;
	request->prev = request->next = NULL;
	*request->slot = NULL;
}

void request_free(struct request *request)
{
	if (!request)
		return;
	leave_suspended(request);
	set_phase(request, CONN_REQUEST);
	if (request->response)
		MHD_destroy_response(request->response);
	free(request->target);
	free(request);
}

const struct params *request_params(const struct request *request)
{
	return &request->params;
}

const char *request_header(const struct request *request, const char *name)
{
	return MHD_lookup_connection_value(request->conn, MHD_HEADER_KIND, name);
}

bool request_is_head(const struct request *request)
{
	return request->head;
}

struct http *request_http(const struct request *request)
{
	return request->http;
}

void request_suspend(struct request *request, struct request **slot)
{
	struct http *http = request->http;

	request->suspended = true;
	request->slot = slot;
	request->next = http->suspended;
	if (request->next)
		request->next->prev = request;
	http->suspended = request;
	MHD_suspend_connection(request->conn);
}

/* ---- replies ---- */

static void count_status(struct http *http, unsigned status)
{
	if (status >= 500)
		http->server_errors->value++;
	else if (status >= 400)
		http->client_errors->value++;
}

static void add_headers(struct request *request, struct MHD_Response *response, const char *type)
{
	static const struct reply_header_pair fixed[] = {
		{"Cache-Control", "no-store"},
		{"X-Content-Type-Options", "nosniff"},
		{"Content-Security-Policy",
			"default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'"},
		{"Cross-Origin-Resource-Policy", "same-origin"},
		{"Referrer-Policy", "no-referrer"},
	};

	MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, type);
	for (unsigned i = 0; i < PST_ARRAY_SIZE(fixed); i++)
		MHD_add_response_header(response, fixed[i].name, fixed[i].value);
	for (unsigned i = 0; i < request->n_headers; i++)
		MHD_add_response_header(response, request->headers[i].name, request->headers[i].value);
}

/* Sends it now, or keeps it until the suspended request is called again. Takes @response; NULL: no memory. */
static void submit(struct request *request, unsigned status, struct MHD_Response *response)
{
	if (!response)
		status = 503; /* nothing is queued, which closes the connection */
	count_status(request->http, status);
	request->response = response;
	request->status = status;
	if (!request->suspended)
		return;
	leave_suspended(request);
	MHD_resume_connection(request->conn);
	http_kick(request->http);
}

void reply_header(struct request *request, const char *name, const char *value)
{
	if (request->n_headers < PST_ARRAY_SIZE(request->headers))
		request->headers[request->n_headers++] = (struct reply_header_pair){name, value};
}

void reply_body(struct request *request, unsigned status, const char *type, struct pst_buf *body)
{
	struct MHD_Response *response = NULL;

	if (!body->failed)
		response = MHD_create_response_from_buffer(body->len, body->p, MHD_RESPMEM_MUST_FREE);
	if (response) {
		request->http->bytes->value += body->len;
		*body = (struct pst_buf){0};
		add_headers(request, response, type);
	}
	pst_buf_done(body);
	submit(request, status, response);
}

void reply_error(struct request *request, unsigned status, const char *format, ...)
{
	struct pst_buf body = {0};
	char text[512];
	va_list ap;

	va_start(ap, format);
	vsnprintf(text, sizeof(text), format, ap);
	va_end(ap);
	pst_json_raw(&body, "{\"error\":");
	pst_json_str(&body, text, strlen(text));
	pst_json_raw(&body, "}\n");
	reply_body(request, status, TYPE_JSON, &body);
}

/* ---- streams ---- */

struct stream_reply {
	struct http *http;
	struct MHD_Connection *conn;
	struct stream *stream;
	struct pst_source *hangup;
	bool suspended;
};

static ssize_t read_stream(void *arg, uint64_t pos, char *buf, size_t max)
{
	struct stream_reply *reply = arg;
	ssize_t n = stream_read(reply->stream, buf, max);

	(void)pos;
	if (n < 0)
		return MHD_CONTENT_READER_END_OF_STREAM;
	if (!n) {
		reply->suspended = true;
		MHD_suspend_connection(reply->conn);
	}
	return n;
}

static void wake_stream(void *arg)
{
	struct stream_reply *reply = arg;

	if (!reply->suspended)
		return;
	reply->suspended = false;
	MHD_resume_connection(reply->conn);
	http_kick(reply->http);
}

static void free_stream(void *arg)
{
	struct stream_reply *reply = arg;

	pst_source_free(reply->hangup);
	stream_close(reply->stream);
	free(reply);
}

/* libmicrohttpd does not look at a suspended connection: see ourselves that the client went away. */
static void on_hangup(void *arg, int fd, uint32_t events)
{
	struct stream_reply *reply = arg;

	(void)fd;
	(void)events;
	pst_source_set_events(reply->hangup, 0);
	stream_end(reply->stream);
}

static void watch_hangup(struct request *request, struct stream_reply *reply)
{
	if (request->c && pst_loop_fd(request->http->loop, request->c->fd, EPOLLRDHUP, on_hangup, reply,
				  &reply->hangup) < 0)
		reply->hangup = NULL; /* the next heartbeat notices it */
}

int reply_stream(struct request *request, const char *type, bool follow, stream_open_fn open, void *arg)
{
	PST_FREE struct stream_reply *reply = calloc(1, sizeof(*reply));
	struct MHD_Response *response;
	int r;

	if (!reply)
		return -ENOMEM;
	reply->http = request->http;
	reply->conn = request->conn;
	r = open(arg, wake_stream, reply, &reply->stream);
	if (r < 0)
		return r;
	response = MHD_create_response_from_callback(
		MHD_SIZE_UNKNOWN, BLOCK_BYTES, read_stream, reply, free_stream);
	if (!response) {
		stream_close(reply->stream);
		return -ENOMEM;
	}
	if (follow) {
		watch_hangup(request, reply);
		set_phase(request, CONN_STREAM);
		MHD_add_response_header(response, "X-Accel-Buffering", "no");
	}
	PST_TAKE_PTR(reply);
	add_headers(request, response, type);
	submit(request, 200, response);
	return 0;
}

/* ---- dispatch ---- */

static const struct route *find_route(const struct http *http, const char *path)
{
	for (const struct route *route = http->routes; route->path; route++)
		if (!strcmp(route->path, path))
			return route;
	return NULL;
}

/* Who may ask? False after replying. */
static bool admit(struct request *request, const struct route *route)
{
	const struct http *http = request->http;
	const struct pst_strs *names = &http->config->allowed_hosts;
	bool bare =
		request->listener->local_inet && !auth_needed(&http->auth) && !http->config->insecure_listen;

	if (bare && !host_allowed(request_header(request, "Host"), (const char *const *)names->v, names->n)) {
		http->denied->value++;
		reply_error(request, 421, "this name is not in exporter.allowed_hosts");
		return false;
	}
	if (route->open || auth_check(&http->auth, request_header(request, "Authorization")))
		return true;
	http->denied->value++;
	reply_header(request, "WWW-Authenticate", auth_challenge(&http->auth));
	reply_error(request, 401, "authentication is needed");
	return false;
}

static void dispatch(struct request *request)
{
	char *query = strchr(request->target, '?');
	const struct route *route;
	char error[160];

	if (query)
		*query++ = 0;
	request->http->requests->value++;
	/* What is not there is told only to those who may know. */
	route = find_route(request->http, request->target);
	if (!admit(request, route ? route : &(struct route){.open = false}))
		return;
	if (!route)
		return reply_error(request, 404, "no such path; see /");
	if (query && params_parse(query, &request->params, error, sizeof(error)) < 0)
		return reply_error(request, 400, "%s", error);
	route->fn(request->http->arg, request);
}

static bool has_body(const struct request *request)
{
	const char *length = request_header(request, MHD_HTTP_HEADER_CONTENT_LENGTH);

	return (length && strcmp(length, "0") != 0) ||
	       request_header(request, MHD_HTTP_HEADER_TRANSFER_ENCODING);
}

/* What can be refused before the body. True: go on. */
static bool check_head(struct request *request, const char *method)
{
	request->head = !strcmp(method, MHD_HTTP_METHOD_HEAD);
	if (!request->head && strcmp(method, MHD_HTTP_METHOD_GET) != 0) {
		reply_header(request, "Allow", "GET, HEAD");
		reply_header(request, "Connection", "close");
		reply_error(request, 405, "only GET and HEAD are served");
		return false;
	}
	if (has_body(request)) {
		reply_header(request, "Connection", "close");
		reply_error(request, 400, "a request cannot have a body");
		return false;
	}
	return true;
}

static enum MHD_Result send_reply(struct request *request)
{
	enum MHD_Result r;

	if (!request->response)
		return MHD_NO;
	r = MHD_queue_response(request->conn, request->status, request->response);
	MHD_destroy_response(PST_TAKE_PTR(request->response));
	return r;
}

enum MHD_Result request_handle(
	struct request *request, const char *method, const char *upload, size_t *upload_size)
{
	(void)upload;
	if (!request->seen) {
		request->seen = true;
		set_phase(request, CONN_REPLY);
		return check_head(request, method) ? MHD_YES : send_reply(request);
	}
	if (*upload_size) {
		*upload_size = 0;
		return MHD_YES;
	}
	if (!request->dispatched) {
		request->dispatched = true;
		dispatch(request);
		if (request->suspended)
			return MHD_YES;
	}
	return send_reply(request);
}
