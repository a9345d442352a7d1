// SPDX-License-Identifier: Apache-2.0
/* penstock-exporter: metrics, events, processes and flows over HTTP; events to a file. */
#include <errno.h>
#include <libgen.h>
#include <signal.h>
#include <string.h>

#include "exporter/exporter.h"
#include "proto/base/cleanup.h"
#include "proto/base/log.h"
#include "proto/base/notify.h"
#include "proto/base/sandbox.h"
#include "proto/wire/ctl.h"

#define CGROUPS_MAX 4096
#define SECOND_NS   1000000000ull
#define DRAIN_NS    2500000000ull /* a little longer than a question to a stage may take */

static void exporter_done(struct exporter *x)
{
	http_free(x->http);
	streams_free(x->streams);
	output_free(x->output);
	scrape_free(x->scrape);
	stages_free(x->stages);
	pst_bus_free(x->bus);
	pst_source_free(x->second);
	report_free(x->report);
	counts_free(x->counts);
	flows_free(x->flows);
	cgroups_free(x->cgroups);
	store_free(x->store);
	free(x->lazy);
	pst_loop_free(x->loop);
}

static void on_signal(void *arg, int signo)
{
	struct exporter *x = arg;

	if (signo != SIGHUP)
		return pst_loop_stop(x->loop);
	if (x->output)
		output_reopen(x->output);
	pst_info("reopened the output file; other settings change with a restart, which loses nothing");
}

static int on_reload(
	void *arg, const msgpack_object *request, struct pst_buf *reply, char *error, size_t error_size)
{
	struct exporter *x = arg;

	(void)request;
	(void)error;
	(void)error_size;
	if (x->output)
		output_reopen(x->output);
	pst_mp_map(reply, 1);
	pst_mp_str(reply, "ok");
	pst_mp_bool(reply, true);
	return 0;
}

static uint32_t status_extra(void *arg, struct pst_buf *out)
{
	struct exporter *x = arg;
	uint32_t n = 0;

	while (http_url(x->http, n))
		n++;
	pst_mp_str(out, "listen");
	pst_mp_array(out, n);
	for (uint32_t i = 0; i < n; i++)
		pst_mp_str(out, http_url(x->http, i));
	return 1;
}

/* A cgroup whose counters are shown, but whose name no event has told yet: the enricher's processes know it.
 */
static void on_learned(void *arg, int error, struct pst_buf *json)
{
	struct exporter *x = arg;

	(void)error;
	(void)json;
	x->learning = false;
}

static void on_scraped(void *arg)
{
	struct exporter *x = arg;
	const struct procs_query query = {.limit = 0};

	if (!x->learning && !pst_loop_stopping(x->loop) && scrape_nameless(x->scrape, x->cgroups))
		x->learning = procs_list(&x->procs, &query, on_learned, x) == 0;
}

static void read_report(struct exporter *x)
{
	struct scrape_interface v[SCRAPE_INTERFACES_MAX];
	const char *name;
	uint32_t ifindex;
	unsigned n = 0;

	if (!report_refresh(x->report))
		return;
	for (unsigned i = 0; n < SCRAPE_INTERFACES_MAX && report_interface(x->report, i, &ifindex, &name);
		i++) {
		if (!ifindex || !*name || (n && v[n - 1].ifindex == ifindex))
			continue;
		v[n].ifindex = ifindex;
		snprintf(v[n++].name, sizeof(v[0].name), "%s", name);
	}
	scrape_name_interfaces(x->scrape, v, n);
}

static void on_second(void *arg)
{
	read_report(arg);
}

static int open_parts(struct exporter *x)
{
	const struct exporter_config *config = x->config;
	const struct counts_bounds bounds = {(uint32_t)config->max_series, (uint32_t)config->max_label_bytes};
	int r;

	x->lazy = calloc(1, sizeof(*x->lazy));
	if (!x->lazy)
		return -ENOMEM;
	x->scrapes = pst_counter("metrics_scrapes", "Times that the metrics were written.");
	x->scrape_ns = pst_counter("metrics_write_ns", "Time spent writing metrics.");
	r = store_new((uint32_t)config->store_events, config->store_bytes, &x->store);
	r = r ? r : cgroups_new(CGROUPS_MAX, &x->cgroups);
	r = r ? r : flows_new((uint32_t)config->max_flows, &x->flows);
	r = r ? r : counts_new(&bounds, x->flows, x->cgroups, &x->counts);
	r = r ? r : report_new(x->common->run_dir, bounds.max_label_bytes, &x->report);
	x->procs =
		(struct procs_config){.loop = x->loop, .run_dir = x->common->run_dir, .cgroups = x->cgroups};
	return r;
}

static int open_active(struct exporter *x)
{
	const struct exporter_config *config = x->config;
	PST_FREE char *iter_dir = pst_iter_path(x->common, "");
	const struct streams_config streams = {.loop = x->loop,
		.store = x->store,
		.counts = x->counts,
		.max_followers = (uint32_t)config->stream_clients,
		.queue_bytes = config->stream_queue_bytes,
		.heartbeat_ns = config->stream_heartbeat_ns};
	const struct stages_config stages = {.loop = x->loop,
		.run_dir = x->common->run_dir,
		.interval_ns = config->status_ns,
		.max_label_bytes = (uint32_t)config->max_label_bytes};
	struct scrape_config scrape = {.loop = x->loop,
		.interval_ns = config->iterators_ns,
		.max_series = (uint32_t)config->max_series,
		.max_label_bytes = (uint32_t)config->max_label_bytes,
		.syscall_cgroups = (uint32_t)config->syscall_cgroups,
		.done = on_scraped,
		.arg = x};
	int r;

	if (!iter_dir)
		return -ENOMEM;
	iter_dir[strlen(iter_dir) - 1] = 0;
	scrape.iter_dir = iter_dir;
	r = streams_new(&streams, &x->streams);
	r = r ? r : stages_new(&stages, &x->stages);
	r = r ? r : scrape_new(&scrape, &x->scrape);
	if (!r && config->output_path)
		r = output_new(x->loop, config, &x->output);
	return r ? r : pst_loop_timer(x->loop, on_second, x, &x->second);
}

static int open_bus(struct exporter *x)
{
	const struct pst_bus_config bus = {.stage = "exporter",
		.run_dir = x->common->run_dir,
		.node = x->common->node,
		.user_prefix = x->common->user_prefix};
	int r = pst_bus_open(x->loop, &bus, &x->bus);

	r = r ? r : feed_open(x);
	r = r ? r : pst_ctl_handle(x->bus, "reload", on_reload, x);
	r = r ? r : events_op_open(x);
	if (!r)
		pst_ctl_status_extra(x->bus, status_extra, x);
	return r;
}

/* The folder of the iterators; while the loader has not made it, the nearest one above it that is there (file
 * modes decide there). */
static char *iterators_folder(struct exporter *x)
{
	char *path = pst_iter_path(x->common, "");

	while (path && access(path, F_OK) < 0 && strchr(path, '/') && strcmp(path, "/") != 0)
		dirname(path);
	return path;
}

static int enter_sandbox(struct exporter *x)
{
	PST_FREE char *iters = iterators_folder(x);
	PST_FREE char *output = x->config->output_path ? strdup(x->config->output_path) : NULL;
	const struct pst_sandbox_path paths[] = {
		{x->common->run_dir, PST_PATH_READ | PST_PATH_WRITE | PST_PATH_CREATE},
		{iters, PST_PATH_READ},
		{output ? dirname(output) : NULL, PST_PATH_READ | PST_PATH_WRITE | PST_PATH_CREATE},
		{NULL, 0},
	};
	const struct pst_sandbox sandbox = {.paths = paths, .inet = true};
	struct pst_sandbox_level level;
	int r = iters ? pst_sandbox_enter(&sandbox, &level) : -ENOMEM;

	if (!r)
		pst_bus_set_sandbox(x->bus, level.text);
	return r;
}

static int start(struct exporter *x)
{
	int r = 0;

	if (x->output) {
		feed_recover_output(x); /* what fails there is said, and the events are there twice */
		r = output_open(x->output);
	}
	r = r ? r : pst_bus_start(x->bus);
	r = r ? r : http_start(x->http);
	if (r < 0)
		return r;
	read_report(x); /* names for the first pass */
	r = scrape_start(x->scrape);
	if (r < 0)
		return r;
	stages_start(x->stages);
	pst_timer_arm(x->second, SECOND_NS, SECOND_NS);
	return 0;
}

/* Questions to other stages are answered or time out; then nothing refers to us any more. */
static void drain(struct exporter *x)
{
	uint64_t stop_ns = pst_now_mono_ns() + DRAIN_NS;

	streams_end(x->streams);
	while ((x->learning || stages_waiting(x->stages) || procs_waiting()) && pst_now_mono_ns() < stop_ns)
		pst_loop_turn(x->loop, 20);
}

static int run(const struct pst_common *common, const struct exporter_config *config)
{
	PST_CLEANUP(exporter_done) struct exporter x = {.common = common, .config = config};
	PST_FREE char *user = pst_stage_user(common, "exporter");
	int r;

	if (!user)
		return -ENOMEM;
	r = pst_loop_new(&x.loop);
	r = r ? r : pst_loop_signals(x.loop, on_signal, &x);
	r = r ? r : pst_notify_open();
	pst_stat_open();
	r = r ? r : open_parts(&x);
	/* with the rights of who started us: ports below 1024, key and secret files */
	r = r ? r : http_open(x.loop, config, api_routes, &x, &x.http);
	if (!r && *user)
		r = pst_sandbox_drop_user(user);
	r = r ? r : open_active(&x);
	r = r ? r : open_bus(&x);
	r = r ? r : enter_sandbox(&x);
	r = r ? r : start(&x);
	if (r < 0)
		return r;
	pst_notify_ready();
	pst_info("ready");
	r = pst_loop_run(x.loop);
	pst_notify_stopping();
	drain(&x);
	return r;
}

static bool list_metrics;

int main(int argc, char **argv)
{
	static const struct pst_arg options[] = {
		{"list-metrics", 0, PST_ARG_FLAG, &list_metrics, NULL,
			"print the metrics as a Markdown table and exit"},
		{"listen", 'l', PST_ARG_STRS, &exporter_listen_args, "ADDR",
			"listen here instead of where the configuration says"},
		{0},
	};
	struct pst_stage_desc desc = exporter_desc;
	PST_CLEANUP(exporter_config_done) struct exporter_config config;
	PST_CLEANUP(pst_common_done) struct pst_common common = {0};
	int r;

	desc.options = options;
	exporter_config_defaults(&config);
	r = pst_stage_configure(&desc, argc, argv, &common, &config, NULL);
	if (r)
		return r == PST_STAGE_DONE ? PST_EXIT_OK : PST_EXIT_USAGE;
	if (list_metrics) {
		expo_print_table();
		return PST_EXIT_OK;
	}
	r = run(&common, &config);
	if (r < 0)
		pst_error("stopped error=%s", strerror(-r));
	return r < 0 ? PST_EXIT_SYSTEM : PST_EXIT_OK;
}
