// SPDX-License-Identifier: Apache-2.0
/* The routes of the HTTP API, except events. */
#include <errno.h>

#include "exporter/exporter.h"
#include "proto/base/cleanup.h"
#include "proto/base/conf.h"
#include "proto/wire/json.h"

#define LIMIT_DEFAULT 1000
#define FLOWS_DEFAULT 100
#define LIMIT_MAX     100000

/* ---- filters ---- */

static bool among(const char *const *names, const char *name)
{
	for (; names && *names; names++)
		if (!strcmp(*names, name))
			return true;
	return false;
}

static int refuse_param(
	struct request *request, const char *key, const char *const *keys, const char *const *others)
{
	const char *names[64], *near;
	size_t n = 0;

	for (; *keys && n < 48; keys++)
		names[n++] = *keys;
	for (; *others && n < 64; others++)
		names[n++] = *others;
	near = pst_conf_did_you_mean(key, names, n);
	if (near)
		reply_error(request, 400, "%.64s: no such parameter, did you mean %s?", key, near);
	else
		reply_error(request, 400, "%.64s: no such parameter", key);
	return -EINVAL;
}

int api_filter(struct request *request, const char *const *keys, const char *const *others,
	struct pst_filter **ret_filter)
{
	const struct params *params = request_params(request);
	struct pst_filter *filter = NULL;
	char error[200] = "";
	int r = pst_filter_new(&filter);

	if (!keys)
		keys = pst_filter_keys;
	for (unsigned i = 0; !r && i < params->n; i++) {
		const struct param *p = &params->v[i];

		if (among(others, p->key))
			continue;
		if (!among(keys, p->key)) {
			pst_filter_free(filter);
			return refuse_param(request, p->key, keys, others);
		}
		r = pst_filter_add(filter, p->key, p->value, pst_now_wall_ns(), error, sizeof(error));
		if (r)
			reply_error(request, 400, "%s: %s", p->key, *error ? error : "cannot be used");
	}
	if (r || pst_filter_empty(filter)) {
		pst_filter_free(filter);
		filter = NULL;
	}
	if (!r)
		*ret_filter = filter;
	return r;
}

static bool no_params(struct request *request)
{
	static const char *const none[] = {NULL};
	const struct params *params = request_params(request);

	if (!params->n)
		return true;
	refuse_param(request, params->v[0].key, none, none);
	return false;
}

static int read_limit(struct request *request, uint64_t fallback, uint64_t *ret_limit)
{
	char error[160];
	int r = params_u64(
		request_params(request), "limit", 1, LIMIT_MAX, fallback, ret_limit, error, sizeof(error));

	if (r < 0)
		reply_error(request, 400, "%s", error);
	return r;
}

/* ---- metrics ---- */

static void api_metrics(void *arg, struct request *request)
{
	static const char *const types[] = {"text/plain", "application/openmetrics-text"};
	static const char *const versions[] = {"0.0.4", "1.0.0"};
	struct exporter *x = arg;
	struct pst_buf body = {0};
	bool openmetrics;

	if (!no_params(request))
		return;
	/* whoever wants neither gets the older one, as is the custom */
	openmetrics = accept_choose(request_header(request, "Accept"), types, versions, 2) == 1;
	metrics_write(x, openmetrics, &body);
	reply_header(request, "Vary", "Accept");
	reply_body(request, 200, openmetrics ? EXPO_TYPE_OPENMETRICS : EXPO_TYPE_TEXT, &body);
}

/* ---- health ---- */

static void api_healthz(void *arg, struct request *request)
{
	struct pst_buf body = {0};

	(void)arg;
	pst_json_raw(&body, "ok\n");
	reply_body(request, 200, TYPE_TEXT, &body);
}

/* One check: good when @problem is empty. */
static bool put_check(struct pst_buf *out, bool first, const char *name, const char *problem)
{
	pst_json_raw(out, first ? "{\"name\":" : ",{\"name\":");
	pst_json_str(out, name, strlen(name));
	pst_json_raw(out, *problem ? ",\"ok\":false,\"reason\":" : ",\"ok\":true");
	if (*problem)
		pst_json_str(out, problem, strlen(problem));
	pst_json_raw(out, "}");
	return !*problem;
}

static const char *input_problem(const struct pst_sub *sub)
{
	struct pst_sub_state state;

	pst_sub_state(sub, &state);
	return state.connected ? "" : "not connected";
}

static void api_readyz(void *arg, struct request *request)
{
	struct exporter *x = arg;
	struct pst_buf checks = {0}, body = {0};
	char text[512];
	bool ready;

	if (!no_params(request))
		return;
	ready = put_check(&checks, true, "input:enricher", input_problem(x->enricher));
	ready &= put_check(&checks, false, "input:policyd", input_problem(x->policyd));
	stages_missing(x->stages, text, sizeof(text));
	ready &= put_check(&checks, false, "stages", text);
	ready &= put_check(&checks, false, "loader_report", report_problem(x->report));
	scrape_failed(x->scrape, text, sizeof(text));
	ready &= put_check(&checks, false, "iterators", text);
	if (x->output)
		ready &= put_check(
			&checks, false, "output", output_healthy(x->output) ? "" : "cannot be written");
	pst_json_raw(&body, ready ? "{\"ready\":true,\"checks\":[" : "{\"ready\":false,\"checks\":[");
	pst_mp_raw(&body, checks.p, checks.len);
	pst_json_raw(&body, "]}\n");
	pst_buf_done(&checks);
	reply_body(request, ready ? 200 : 503, TYPE_JSON, &body);
}

/* ---- status ---- */

static void api_status(void *arg, struct request *request)
{
	struct exporter *x = arg;
	struct pst_buf body = {0};

	if (!no_params(request))
		return;
	pst_json_raw(&body, "{\"node\":");
	pst_json_str(&body, x->common->node, strlen(x->common->node));
	pst_json_raw(&body, ",\"version\":\"" PST_VERSION "\",\"stages\":{");
	stages_json(x->stages, &body);
	pst_json_raw(&body, "},\"loader\":");
	report_json(x->report, &body);
	pst_json_raw(&body, "}\n");
	reply_body(request, 200, TYPE_JSON, &body);
}

/* ---- flows ---- */

static int read_sort(struct request *request, enum flows_order *ret_order)
{
	static const char *const names[] = {"bytes", "packets", "last"};
	const char *name = params_get(request_params(request), "sort");

	*ret_order = FLOWS_BY_BYTES;
	for (unsigned i = 0; name && i < PST_ARRAY_SIZE(names); i++) {
		if (!strcmp(name, names[i])) {
			*ret_order = (enum flows_order)i;
			return 0;
		}
	}
	if (!name)
		return 0;
	reply_error(request, 400, "sort: expected bytes, packets or last");
	return -EINVAL;
}

static void api_flows(void *arg, struct request *request)
{
	static const char *const keys[] = {"address", "port", "since", "until", NULL};
	static const char *const others[] = {"limit", "sort", "active", NULL};
	struct exporter *x = arg;
	struct flows_query query = {.wall_offset_ns = counts_wall_offset(x->counts)};
	struct pst_filter *filter;
	struct pst_buf body = {0};
	char error[160];
	uint64_t limit;

	if (read_limit(request, FLOWS_DEFAULT, &limit) < 0 || read_sort(request, &query.order) < 0)
		return;
	if (params_bool(request_params(request), "active", &query.active, error, sizeof(error)) < 0)
		return reply_error(request, 400, "%s", error);
	if (api_filter(request, keys, others, &filter) < 0)
		return;
	query.limit = (uint32_t)limit;
	query.filter = filter;
	flows_json(x->flows, &query, &body);
	pst_filter_free(filter);
	reply_body(request, 200, TYPE_JSON, &body);
}

/* ---- processes ---- */

struct waiting {
	struct request *request; /* NULL: it ended before the answer came */
};

static void on_processes(void *arg, int error, struct pst_buf *json)
{
	PST_FREE struct waiting *waiting = arg;
	struct request *request = waiting->request;

	if (!request)
		return;
	if (!error)
		return reply_body(request, 200, TYPE_JSON, json);
	reply_header(request, "Retry-After", "5");
	reply_error(request, 503, "the enricher does not answer: %s", strerror(-error));
}

static void ask_processes(struct exporter *x, struct request *request, struct procs_query *query)
{
	struct waiting *waiting = calloc(1, sizeof(*waiting));
	int r = waiting ? procs_list(&x->procs, query, on_processes, waiting) : -ENOMEM;

	if (!r) {
		waiting->request = request;
		return request_suspend(request, &waiting->request);
	}
	free(waiting);
	pst_filter_free(query->filter);
	reply_error(request, 503, "cannot ask the enricher: %s", strerror(-r));
}

static void api_processes(void *arg, struct request *request)
{
	static const char *const keys[] = {"pid", "comm", "exe", "container", "user", "uid", NULL};
	static const char *const others[] = {"limit", "after", NULL};
	struct exporter *x = arg;
	struct procs_query query = {.wall_offset_ns = counts_wall_offset(x->counts)};
	uint64_t limit, after;
	char error[160];

	if (read_limit(request, LIMIT_DEFAULT, &limit) < 0)
		return;
	if (params_u64(request_params(request), "after", 0, UINT32_MAX, 0, &after, error, sizeof(error)) < 0)
		return reply_error(request, 400, "%s", error);
	if (api_filter(request, keys, others, &query.filter) < 0)
		return;
	query.limit = (uint32_t)limit;
	query.after = (uint32_t)after;
	ask_processes(x, request, &query);
}

/* ---- index ---- */

static void api_index(void *arg, struct request *request)
{
	static const char page[] =
		"<!DOCTYPE html><html lang=\"en\"><meta charset=\"utf-8\"><title>Penstock exporter</title>\n"
		"<style>body{font:16px/1.5 sans-serif;margin:2em "
		"auto;max-width:44em}code{background:#eee}</style>\n"
		"<h1>Penstock exporter</h1><p>Version " PST_VERSION "\n<ul>\n"
		"<li><a href=\"/metrics\">/metrics</a> Prometheus text or OpenMetrics\n"
		"<li><a href=\"/healthz\">/healthz</a> the process answers\n"
		"<li><a href=\"/readyz\">/readyz</a> inputs, stages and the loader's report are good, or why "
		"not\n"
		"<li><a href=\"/api/v1/events?last=20\">/api/v1/events</a> events: <code>last</code>, "
		"<code>follow</code>, "
		"<code>format</code> (jsonl, json, sse) and the filters <code>kind pid comm exe container "
		"address port user "
		"uid alert severity rule policy since until</code>\n"
		"<li><a href=\"/api/v1/processes?limit=100\">/api/v1/processes</a> processes: "
		"<code>limit</code>, "
		"<code>after</code>, <code>pid comm exe container user uid</code>\n"
		"<li><a href=\"/api/v1/flows\">/api/v1/flows</a> flows: <code>limit</code>, "
		"<code>sort</code> (bytes, packets, "
		"last), <code>active</code>, <code>address port since until</code>\n"
		"<li><a href=\"/api/v1/status\">/api/v1/status</a> every stage's status and the loader's "
		"report\n</ul>\n";
	struct pst_buf body = {0};

	(void)arg;
	if (!no_params(request))
		return;
	pst_json_raw(&body, page);
	reply_body(request, 200, TYPE_HTML, &body);
}

const struct route api_routes[] = {
	{"/", api_index, false},
	{"/metrics", api_metrics, false},
	{"/healthz", api_healthz, true},
	{"/readyz", api_readyz, false},
	{"/api/v1/events", api_events, false},
	{"/api/v1/processes", api_processes, false},
	{"/api/v1/flows", api_flows, false},
	{"/api/v1/status", api_status, false},
	{0},
};
