// SPDX-License-Identifier: Apache-2.0
/* /api/v1/events: stored events, and live ones. */
#include <errno.h>

#include "exporter/exporter.h"

#define LAST_DEFAULT 1000
#define LAST_MAX     (1u << 24)

enum { AS_LINES, AS_SSE, AS_ARRAY, AS_N };
static const char *const types[AS_N] = {TYPE_LINES, TYPE_SSE, TYPE_JSON};
static const enum stream_format formats[AS_N] = {STREAM_LINES, STREAM_SSE, STREAM_ARRAY};

static const char *const own_params[] = {"last", "format", "follow", NULL};

/* ?format= outweighs Accept. -1 after replying. */
static int choose_format(struct request *request)
{
	static const char *const names[] = {"jsonl", "sse", "json", NULL};
	const char *name = params_get(request_params(request), "format");
	int as;

	if (name) {
		for (as = 0; names[as]; as++)
			if (!strcmp(names[as], name))
				return as;
		reply_error(request, 400, "format: expected jsonl, json or sse");
		return -1;
	}
	as = accept_choose(request_header(request, "Accept"), types, NULL, AS_N);
	if (as < 0)
		reply_error(request, 406, "served as " TYPE_LINES ", " TYPE_JSON " or " TYPE_SSE);
	return as;
}

static int read_resume(struct request *request, struct stream_query *query)
{
	const char *id = request_header(request, "Last-Event-ID");

	if (!id || query->format != STREAM_SSE)
		return 0;
	if (stream_id_parse(id, &query->resume_epoch, &query->resume_seq) == 0)
		return 0;
	reply_error(request, 400, "Last-Event-ID: not an id of this API");
	return -EINVAL;
}

static int read_query(struct request *request, struct stream_query *query)
{
	const struct params *params = request_params(request);
	bool has_last = params_get(params, "last"), since = params_get(params, "since");
	int as = choose_format(request);
	char error[160];
	bool follow;

	if (as < 0)
		return -EINVAL;
	query->format = formats[as];
	if (params_bool(params, "follow", &follow, error, sizeof(error)) < 0 ||
		params_u64(params, "last", 0, LAST_MAX, 0, &query->last, error, sizeof(error)) < 0) {
		reply_error(request, 400, "%s", error);
		return -EINVAL;
	}
	/* SSE is live by nature; ?follow=0 makes it end. */
	query->follow = follow || (query->format == STREAM_SSE && !params_get(params, "follow"));
	if (query->follow && query->format == STREAM_ARRAY) {
		reply_error(request, 400, "follow: not with format json; take jsonl or sse");
		return -EINVAL;
	}
	query->all = since && !has_last;
	if (!has_last && !query->follow)
		query->last = LAST_DEFAULT;
	return read_resume(request, query);
}

struct opening {
	struct exporter *x;
	struct stream_query *query;
};

static int open_stream(void *arg, void (*wake)(void *arg), void *wake_arg, struct stream **ret_stream)
{
	struct opening *opening = arg;
	int r = stream_open(opening->x->streams, opening->query, wake, wake_arg, ret_stream);

	if (!r)
		opening->query->filter = NULL; /* the stream's, also if the reply fails after all */
	return r;
}

void api_events(void *arg, struct request *request)
{
	struct exporter *x = arg;
	struct stream_query query = {0};
	struct opening opening = {x, &query};
	const char *type;
	int r;

	if (read_query(request, &query) < 0 || api_filter(request, NULL, own_params, &query.filter) < 0)
		return;
	type = query.format == STREAM_SSE ? TYPE_SSE : query.format == STREAM_ARRAY ? TYPE_JSON : TYPE_LINES;
	if (request_is_head(request)) {
		struct pst_buf empty = {0};

		pst_filter_free(query.filter);
		return reply_body(request, 200, type, &empty);
	}
	r = reply_stream(request, type, query.follow, open_stream, &opening);
	if (!r)
		return;
	pst_filter_free(query.filter);
	if (r != -EBUSY)
		return reply_error(request, 503, "out of memory");
	reply_header(request, "Retry-After", "30");
	reply_error(request, 503, "all %llu live streams are in use (exporter.stream.clients)",
		(unsigned long long)x->config->stream_clients);
}
