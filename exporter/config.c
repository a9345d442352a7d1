// SPDX-License-Identifier: Apache-2.0
#include "exporter/config.h"

#include <errno.h>
#include <string.h>

#include "proto/base/cleanup.h"
#include "proto/wire/filter.h"

#define MIB    (1024ull * 1024)
#define SECOND 1000000000ull

static const char *const fsync_names[] = {"none", "rotate", "interval", NULL};

#define AT(member) .offset = offsetof(struct exporter_config, member)

static const struct pst_conf_field tls_fields[] = {
	{.key = "cert",
		.type = PST_CONF_STR,
		AT(tls_cert),
		.help = "certificate chain, PEM",
		.min = 1,
		.max = 4095},
	{.key = "key", .type = PST_CONF_STR, AT(tls_key), .help = "private key, PEM", .min = 1, .max = 4095},
	{0},
};

static const struct pst_conf_field basic_fields[] = {
	{.key = "user", .type = PST_CONF_STR, AT(basic_user), .help = "user name", .min = 1, .max = 128},
	{.key = "password_file",
		.type = PST_CONF_STR,
		AT(basic_password_file),
		.help = "file with the password in its first line",
		.min = 1,
		.max = 4095},
	{0},
};

static const struct pst_conf_field auth_fields[] = {
	{.key = "bearer_token_file",
		.type = PST_CONF_STR,
		AT(bearer_token_file),
		.help = "file with the token in its first line",
		.min = 1,
		.max = 4095},
	{.key = "basic",
		.type = PST_CONF_SECTION,
		.help = "HTTP basic authentication",
		.section = basic_fields},
	{0},
};

static const struct pst_conf_field store_fields[] = {
	{.key = "events",
		.type = PST_CONF_U64,
		AT(store_events),
		.help = "events kept for /api/v1/events (65536)",
		.min = 16,
		.max = 1u << 24},
	{.key = "bytes",
		.type = PST_CONF_SIZE,
		AT(store_bytes),
		.help = "and at most this much memory for them (8MiB)",
		.min = 64 * 1024,
		.max = 1024 * MIB},
	{0},
};

static const struct pst_conf_field stream_fields[] = {
	{.key = "clients",
		.type = PST_CONF_U64,
		AT(stream_clients),
		.help = "live event streams at a time (64)",
		.max = 1024},
	{.key = "queue",
		.type = PST_CONF_SIZE,
		AT(stream_queue_bytes),
		.help = "bytes waiting for one client before it falls back to the store (256KiB)",
		.min = 16 * 1024,
		.max = 16 * MIB},
	{.key = "heartbeat",
		.type = PST_CONF_TIME,
		AT(stream_heartbeat_ns),
		.help = "a comment line this often on a quiet SSE stream (15s)",
		.min = SECOND / 10,
		.max = 300 * SECOND},
	{0},
};

static const struct pst_conf_field output_fields[] = {
	{.key = "path",
		.type = PST_CONF_STR,
		AT(output_path),
		.help = "JSON-lines file; absent: none",
		.min = 1,
		.max = 4000},
	{.key = "max_size",
		.type = PST_CONF_SIZE,
		AT(output_max_bytes),
		.help = "rotate before the file grows beyond this (100MiB)",
		.min = 4096,
		.max = 1ull << 40},
	{.key = "keep",
		.type = PST_CONF_U64,
		AT(output_keep),
		.help = "rotated files to keep: path.1 is the newest (5)",
		.max = 1000},
	{.key = "kinds",
		.type = PST_CONF_STRS,
		AT(output_kinds),
		.help = "kinds of event, names or globs; `alert` stands for alerts of any kind (all)",
		.max = 64},
	{.key = "fsync",
		.type = PST_CONF_ENUM,
		AT(output_fsync),
		.help = "none, rotate (a file when it is full) or interval (none)",
		.names = fsync_names},
	{.key = "fsync_interval",
		.type = PST_CONF_TIME,
		AT(output_sync_ns),
		.help = "with fsync: interval (5s)",
		.min = SECOND / 10,
		.max = 3600 * SECOND},
	{0},
};

static const struct pst_conf_field scrape_fields[] = {
	{.key = "iterators",
		.type = PST_CONF_TIME,
		AT(iterators_ns),
		.help = "how often the kernel's counters are read (15s)",
		.min = SECOND / 10,
		.max = 3600 * SECOND},
	{.key = "status",
		.type = PST_CONF_TIME,
		AT(status_ns),
		.help = "how often the other processes are asked for their status (5s)",
		.min = SECOND / 10,
		.max = 3600 * SECOND},
	{0},
};

static const struct pst_conf_field bound_fields[] = {
	{.key = "max_series",
		.type = PST_CONF_U64,
		AT(max_series),
		.help = "series of one metric; what is beyond is counted as \"other\" (2000)",
		.min = 1,
		.max = 1u << 20},
	{.key = "max_label_bytes",
		.type = PST_CONF_U64,
		AT(max_label_bytes),
		.help = "longer label values are cut (128)",
		.min = 16,
		.max = 1024},
	{.key = "flows",
		.type = PST_CONF_U64,
		AT(max_flows),
		.help = "flows kept for /api/v1/flows (8192)",
		.min = 16,
		.max = 1u << 20},
	{.key = "syscall_cgroups",
		.type = PST_CONF_U64,
		AT(syscall_cgroups),
		.help = "cgroups with system call counters of their own (10)",
		.max = 1000},
	{0},
};

static const struct pst_conf_field fields[] = {
	{.key = "listen",
		.type = PST_CONF_STRS,
		AT(listen),
		.help = "addresses: 127.0.0.1:9435, [::1]:9435, unix:/path (" EXPORTER_LISTEN_DEFAULT ")",
		.max = EXPORTER_LISTEN_MAX},
	{.key = "insecure_listen",
		.type = PST_CONF_BOOL,
		AT(insecure_listen),
		.help = "listen beyond this host although tls or auth is not configured (false)"},
	{.key = "allowed_hosts",
		.type = PST_CONF_STRS,
		AT(allowed_hosts),
		.help = "further names in Host: that are served on a loopback address without auth",
		.max = 32},
	{.key = "max_connections",
		.type = PST_CONF_U64,
		AT(max_connections),
		.help = "HTTP connections of one address (128)",
		.min = 1,
		.max = 4096},
	{.key = "timeout",
		.type = PST_CONF_TIME,
		AT(timeout_ns),
		.help = "for a request to arrive, and for a client to take the next bytes (30s)",
		.min = SECOND,
		.max = 3600 * SECOND},
	{.key = "tls", .type = PST_CONF_SECTION, .help = "HTTPS instead of HTTP", .section = tls_fields},
	{.key = "auth",
		.type = PST_CONF_SECTION,
		.help = "either of the two lets a client in",
		.section = auth_fields},
	{.key = "store", .type = PST_CONF_SECTION, .help = "events kept in memory", .section = store_fields},
	{.key = "stream", .type = PST_CONF_SECTION, .help = "live events (SSE)", .section = stream_fields},
	{.key = "output", .type = PST_CONF_SECTION, .help = "events to a file", .section = output_fields},
	{.key = "scrape",
		.type = PST_CONF_SECTION,
		.help = "where metrics come from",
		.section = scrape_fields},
	{.key = "bounds",
		.type = PST_CONF_SECTION,
		.help = "of memory and label sets",
		.section = bound_fields},
	{0},
};

void exporter_config_defaults(struct exporter_config *config)
{
	*config = (struct exporter_config){
		.max_connections = 128,
		.timeout_ns = 30 * SECOND,
		.store_events = 65536,
		.store_bytes = 8 * MIB,
		.stream_clients = 64,
		.stream_queue_bytes = 256 * 1024,
		.stream_heartbeat_ns = 15 * SECOND,
		.output_max_bytes = 100 * MIB,
		.output_keep = 5,
		.output_sync_ns = 5 * SECOND,
		.iterators_ns = 15 * SECOND,
		.status_ns = 5 * SECOND,
		.max_series = 2000,
		.max_label_bytes = 128,
		.max_flows = 8192,
		.syscall_cgroups = 10,
	};
}

void exporter_config_done(struct exporter_config *config)
{
	pst_conf_release(config, fields);
	memset(config, 0, sizeof(*config));
}

bool exporter_config_has_auth(const struct exporter_config *config)
{
	return config->bearer_token_file || config->basic_user;
}

static const struct pst_node *find(const struct pst_node *section, const char *key)
{
	return section && section->type == PST_NODE_MAPPING ? pst_node_get(section, key) : NULL;
}

/* The place to blame: the key if it is there, else its section. */
static const struct pst_node *place(const struct pst_node *section, const char *key)
{
	const struct pst_node *node = find(section, key);

	return node ? node : section;
}

static int check_pairs(
	struct pst_conf_ctx *ctx, const struct exporter_config *config, const struct pst_node *section)
{
	if (!config->tls_cert != !config->tls_key)
		return pst_conf_reject(ctx, place(section, "tls"), "tls needs both cert and key");
	if (!config->basic_user != !config->basic_password_file)
		return pst_conf_reject(
			ctx, place(section, "auth"), "auth.basic needs both user and password_file");
	if (config->basic_user && strchr(config->basic_user, ':'))
		return pst_conf_reject(ctx, place(section, "auth"), "auth.basic.user cannot contain a colon");
	if (config->output_path && config->output_path[0] != '/')
		return pst_conf_reject(ctx, place(section, "output"), "output.path must be an absolute path");
	return 0;
}

static const struct pst_node *nth(const struct pst_node *node, size_t i)
{
	const struct pst_node *child = node && node->type == PST_NODE_SEQUENCE ? node->child : NULL;

	while (child && i--)
		child = child->next;
	return child ? child : node;
}

struct pst_arg_strs exporter_listen_args;

static int override_listen(struct exporter_config *config)
{
	if (!exporter_listen_args.n)
		return 0;
	pst_strs_done(&config->listen);
	config->listen = (struct pst_strs){.v = calloc(exporter_listen_args.n, sizeof(char *))};
	if (!config->listen.v)
		return -ENOMEM;
	for (; config->listen.n < exporter_listen_args.n; config->listen.n++) {
		config->listen.v[config->listen.n] = strdup(exporter_listen_args.v[config->listen.n]);
		if (!config->listen.v[config->listen.n])
			return -ENOMEM;
	}
	return 0;
}

static int reject_listen(struct pst_conf_ctx *ctx, const struct pst_node *node, const char *text)
{
	if (!exporter_listen_args.n)
		return pst_conf_reject(ctx, node, "%s", text);
	pst_conf_error(ctx->errors, "--listen", 0, 0, "%s", text);
	return -EINVAL;
}

static int check_listen(
	struct pst_conf_ctx *ctx, const struct exporter_config *config, const struct pst_node *section)
{
	bool secure = config->tls_cert && exporter_config_has_auth(config);
	const struct pst_node *node = find(section, "listen");

	for (size_t i = 0; i < config->listen.n; i++) {
		const char *text = config->listen.v[i];
		struct listen_addr addr;
		char error[256];

		if (listen_parse(text, &addr, error, sizeof(error)) < 0)
			return reject_listen(ctx, nth(node, i), error);
		if (addr.local || secure || config->insecure_listen)
			continue;
		snprintf(error, sizeof(error),
			"\"%.64s\" can be reached from other hosts: configure exporter.tls and "
			"exporter.auth, "
			"or say exporter.insecure_listen: true",
			text);
		return reject_listen(ctx, nth(node, i), error);
	}
	return 0;
}

static int check_kinds(
	struct pst_conf_ctx *ctx, const struct exporter_config *config, const struct pst_node *section)
{
	const struct pst_node *node = find(find(section, "output"), "kinds");
	struct pst_filter *filter;
	int r;

	r = pst_filter_new(&filter);
	for (size_t i = 0; !r && i < config->output_kinds.n; i++) {
		char error[160] = "";

		if (!strcmp(config->output_kinds.v[i], "alert"))
			continue;
		r = pst_filter_add(filter, "kind", config->output_kinds.v[i], 0, error, sizeof(error));
		if (r)
			r = pst_conf_reject(ctx, nth(node, i), "%s", error);
	}
	pst_filter_free(filter);
	return r;
}

static int validate(struct pst_conf_ctx *ctx, const struct pst_node *section)
{
	struct exporter_config *config = ctx->base;
	int r = override_listen(config);

	r = r ? r : check_pairs(ctx, config, section);
	r = r ? r : check_listen(ctx, config, section);
	return r ? r : check_kinds(ctx, config, section);
}

const struct pst_stage_desc exporter_desc = {
	.stage = "exporter",
	.summary = "Serves metrics, events, processes and flows over HTTP, and writes events to a file.",
	.examples = "  penstock-exporter --check --config /etc/penstock/penstock.yaml\n"
		    "  curl http://127.0.0.1:9435/metrics\n"
		    "  curl -N -H 'Accept: text/event-stream' "
		    "'http://127.0.0.1:9435/api/v1/events?kind=process_*'\n",
	.fields = fields,
	.validate = validate,
};
