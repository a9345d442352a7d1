// SPDX-License-Identifier: Apache-2.0
#include "exporter/http_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "proto/base/cleanup.h"
#include "proto/base/log.h"

#define CONNECTION_BYTES (32u * 1024) /* request head and response buffer of one connection */
#define PEM_MAX          (1024 * 1024)
#define TLS_PRIORITIES   "NORMAL:-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2"
#define STOP_NS          200000000ull

/* ---- before the sandbox ---- */

static int read_pem(const char *path, char **ret_text)
{
	PST_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	PST_FREE char *text = NULL;
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0) {
		pst_error("cannot open path=%s error=%s", path, strerror(errno));
		return -errno;
	}
	if (!S_ISREG(st.st_mode) || st.st_size > PEM_MAX) {
		pst_error("not a PEM file path=%s", path);
		return -EINVAL;
	}
	text = calloc(1, (size_t)st.st_size + 1);
	if (!text)
		return -ENOMEM;
	if (read(fd, text, (size_t)st.st_size) != st.st_size) {
		pst_error("cannot read path=%s error=%s", path, strerror(errno));
		return -EIO;
	}
	*ret_text = PST_TAKE_PTR(text);
	return 0;
}

static int open_listener(struct http *http, const char *text)
{
	struct listener *listener = &http->listeners[http->n_listeners];
	struct listen_addr addr;
	char error[160];
	int r;

	r = listen_parse(text, &addr, error, sizeof(error));
	if (r < 0) {
		pst_error("%s", error);
		return r;
	}
	r = listen_open(&addr, &listener->fd);
	if (r < 0) {
		pst_error("cannot listen address=%s error=%s", text, strerror(-r));
		return r;
	}
	listener->http = http;
	listener->local_inet = addr.local && addr.sa.sa_family != AF_UNIX;
	listen_url(listener->fd, http->config->tls_cert, listener->url);
	http->n_listeners++;
	return 0;
}

static int open_all(struct http *http)
{
	const struct exporter_config *config = http->config;
	int r = 0;

	if (config->tls_cert) {
		r = read_pem(config->tls_cert, &http->cert);
		r = r ? r : read_pem(config->tls_key, &http->key);
	}
	r = r ? r
	      : auth_load(config->bearer_token_file, config->basic_user, config->basic_password_file,
			&http->auth);
	if (!config->listen.n)
		r = r ? r : open_listener(http, EXPORTER_LISTEN_DEFAULT);
	for (size_t i = 0; !r && i < config->listen.n && i < EXPORTER_LISTEN_MAX; i++)
		r = open_listener(http, config->listen.v[i]);
	return r;
}

static void on_kick(void *arg);
static void on_sweep(void *arg);

static int open_sources(struct http *http)
{
	int r;

	r = pst_loop_defer(http->loop, on_kick, http, &http->kick);
	r = r ? r : pst_loop_timer(http->loop, on_kick, http, &http->timer);
	return r ? r : pst_loop_timer(http->loop, on_sweep, http, &http->sweep);
}

static void make_stats(struct http *http)
{
	http->connections = pst_gauge("http_connections", "Open HTTP connections.");
	http->requests = pst_counter("http_requests", "HTTP requests.");
	http->cut =
		pst_counter("http_connections_cut", "HTTP connections closed because they took too long.");
	http->denied = pst_counter(
		"http_denied_requests", "HTTP requests without the right Host or authentication.");
	http->client_errors = pst_counter("http_client_errors", "HTTP requests answered with 4xx.");
	http->server_errors = pst_counter("http_server_errors", "HTTP requests answered with 5xx.");
	http->bytes = pst_counter("http_response_bytes", "Bytes of HTTP bodies, streams not counted.");
}

int http_open(struct pst_loop *loop, const struct exporter_config *config, const struct route *routes,
	void *arg, struct http **ret_http)
{
	struct http *http = calloc(1, sizeof(*http));
	int r;

	if (!http)
		return -ENOMEM;
	http->loop = loop;
	http->config = config;
	http->routes = routes;
	http->arg = arg;
	make_stats(http);
	for (unsigned i = 0; i < EXPORTER_LISTEN_MAX; i++)
		http->listeners[i].fd = -1;
	r = open_sources(http);
	r = r ? r : open_all(http);
	if (r < 0) {
		http_free(http);
		return r;
	}
	*ret_http = http;
	return 0;
}

const char *http_url(const struct http *http, unsigned i)
{
	return i < http->n_listeners ? http->listeners[i].url : NULL;
}

/* ---- libmicrohttpd's callbacks ---- */

static void on_mhd_log(void *arg, const char *format, va_list ap)
{
	char text[256];

	(void)arg;
	vsnprintf(text, sizeof(text), format, ap);
	text[strcspn(text, "\n")] = 0;
	pst_debug("libmicrohttpd: %s", text);
}

static void *on_target(void *arg, const char *target, struct MHD_Connection *conn)
{
	return request_new(arg, conn, target);
}

static enum MHD_Result on_request(void *arg, struct MHD_Connection *conn, const char *url, const char *method,
	const char *version, const char *upload, size_t *upload_size, void **request)
{
	(void)arg;
	(void)conn;
	(void)url;
	(void)version;
	return *request ? request_handle(*request, method, upload, upload_size) : MHD_NO;
}

static void on_completed(
	void *arg, struct MHD_Connection *conn, void **request, enum MHD_RequestTerminationCode why)
{
	(void)arg;
	(void)conn;
	(void)why;
	request_free(*request);
	*request = NULL;
}

static void conn_opened(struct http *http, struct MHD_Connection *conn, void **ret_context)
{
	const union MHD_ConnectionInfo *info =
		MHD_get_connection_info(conn, MHD_CONNECTION_INFO_CONNECTION_FD);
	struct conn *c = calloc(1, sizeof(*c));

	if (!c || !info) {
		free(c);
		return;
	}
	c->http = http;
	c->fd = info->connect_fd;
	c->since_ns = pst_now_mono_ns();
	c->next = http->conns;
	if (c->next)
		c->next->prev = c;
	http->conns = c;
	http->connections->value++;
	*ret_context = c;
}

static void conn_closed(struct http *http, struct conn *c)
{
	*(c->prev ? &c->prev->next : &http->conns) = c->next;
	if (c->next)
		c->next->prev = c->prev;
	http->connections->value--;
	free(c);
	/* At its limit libmicrohttpd takes no more connections, and it looks again only when it is called. */
	http_kick(http);
}

static void on_connection(
	void *arg, struct MHD_Connection *conn, void **context, enum MHD_ConnectionNotificationCode what)
{
	struct listener *listener = arg;

	if (what == MHD_CONNECTION_NOTIFY_STARTED) {
		*context = NULL;
		conn_opened(listener->http, conn, context);
	} else if (*context) {
		conn_closed(listener->http, *context);
		*context = NULL;
	}
}

/* A request that trickles in, or a reply that is taken in sips, never looks idle to libmicrohttpd. */
static void on_sweep(void *arg)
{
	struct http *http = arg;
	uint64_t now = pst_now_mono_ns(), limit = http->config->timeout_ns;

	for (struct conn *c = http->conns; c; c = c->next) {
		uint64_t allowed = c->phase == CONN_REQUEST ? limit : 4 * limit;

		if (c->phase >= CONN_STREAM || now - c->since_ns < allowed)
			continue;
		c->phase = CONN_CUT;
		http->cut->value++;
		shutdown(c->fd, SHUT_RDWR);
		http_kick(http);
	}
}

/* ---- the loop ---- */

/* Its epoll is edge-triggered inside: what it has not finished is only in its time-out (0: at once). */
static void run_daemons(struct http *http)
{
	uint64_t next_ms = UINT64_MAX;

	for (unsigned i = 0; i < http->n_listeners; i++) {
		struct MHD_Daemon *daemon = http->listeners[i].daemon;
		MHD_UNSIGNED_LONG_LONG ms;

		if (!daemon)
			continue;
		MHD_run(daemon);
		if (MHD_get_timeout(daemon, &ms) == MHD_YES && ms < next_ms)
			next_ms = ms;
	}
	if (next_ms == UINT64_MAX)
		pst_timer_disarm(http->timer);
	else
		pst_timer_arm(http->timer, PST_MIN(next_ms, 60000u) * 1000000, 0);
}

static void on_kick(void *arg)
{
	run_daemons(arg);
}

static void on_epoll(void *arg, int fd, uint32_t events)
{
	(void)fd;
	(void)events;
	run_daemons(arg);
}

void http_kick(struct http *http)
{
	pst_defer_arm(http->kick);
}

static struct MHD_Daemon *start_daemon(struct listener *listener)
{
	const struct exporter_config *config = listener->http->config;
	unsigned flags = MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ERROR_LOG;
	struct MHD_OptionItem tls[] = {
		{MHD_OPTION_HTTPS_MEM_CERT, 0, listener->http->cert},
		{MHD_OPTION_HTTPS_MEM_KEY, 0, listener->http->key},
		{MHD_OPTION_HTTPS_PRIORITIES, 0, (void *)TLS_PRIORITIES},
		{MHD_OPTION_END, 0, NULL},
	};

	if (config->tls_cert)
		flags |= MHD_USE_TLS;
	else
		tls[0].option = MHD_OPTION_END;
	return MHD_start_daemon(flags, 0, NULL, NULL, on_request, listener, MHD_OPTION_EXTERNAL_LOGGER,
		on_mhd_log, NULL, MHD_OPTION_LISTEN_SOCKET, listener->fd, MHD_OPTION_CONNECTION_LIMIT,
		(unsigned)config->max_connections, MHD_OPTION_CONNECTION_TIMEOUT,
		(unsigned)(config->timeout_ns / 1000000000), MHD_OPTION_CONNECTION_MEMORY_LIMIT,
		(size_t)CONNECTION_BYTES, MHD_OPTION_STRICT_FOR_CLIENT, 1, MHD_OPTION_URI_LOG_CALLBACK,
		on_target, listener, MHD_OPTION_NOTIFY_COMPLETED, on_completed, listener,
		MHD_OPTION_NOTIFY_CONNECTION, on_connection, listener, MHD_OPTION_ARRAY, tls, MHD_OPTION_END);
}

int http_start(struct http *http)
{
	for (unsigned i = 0; i < http->n_listeners; i++) {
		struct listener *listener = &http->listeners[i];
		const union MHD_DaemonInfo *info;
		int r;

		listener->daemon = start_daemon(listener);
		if (!listener->daemon) {
			pst_error("cannot start the HTTP server url=%s%s", listener->url,
				http->cert ? " (are certificate and key a pair?)" : "");
			return -EIO;
		}
		listener->fd = -1; /* libmicrohttpd closes it */
		info = MHD_get_daemon_info(listener->daemon, MHD_DAEMON_INFO_EPOLL_FD);
		if (!info)
			return -EIO;
		r = pst_loop_fd(http->loop, info->epoll_fd, EPOLLIN, on_epoll, http, &listener->source);
		if (r < 0)
			return r;
		pst_info("listening url=%s", listener->url);
	}
	pst_timer_arm(http->sweep, http->config->timeout_ns / 4, http->config->timeout_ns / 4);
	return 0;
}

/* ---- the end ---- */

static void drain(struct http *http)
{
	uint64_t stop_ns = pst_now_mono_ns() + STOP_NS;

	while (http->suspended)
		reply_error(http->suspended, 503, "the exporter is stopping");
	for (unsigned i = 0; i < http->n_listeners; i++) {
		MHD_socket fd =
			http->listeners[i].daemon ? MHD_quiesce_daemon(http->listeners[i].daemon) : -1;

		if (fd >= 0)
			close(fd);
	}
	while (http->conns && pst_now_mono_ns() < stop_ns) {
		run_daemons(http);
		usleep(1000);
	}
}

void http_free(struct http *http)
{
	if (!http)
		return;
	drain(http);
	for (unsigned i = 0; i < EXPORTER_LISTEN_MAX; i++) {
		struct listener *listener = &http->listeners[i];

		pst_source_free(listener->source);
		if (listener->daemon)
			MHD_stop_daemon(listener->daemon);
		if (listener->fd >= 0)
			close(listener->fd);
		if (!strncmp(listener->url, "unix:", 5))
			unlink(listener->url + 5);
	}
	pst_source_free(http->kick);
	pst_source_free(http->timer);
	pst_source_free(http->sweep);
	auth_done(&http->auth);
	if (http->key)
		explicit_bzero(http->key, strlen(http->key));
	free(http->key);
	free(http->cert);
	free(http);
}
