// SPDX-License-Identifier: Apache-2.0
#include "proto/base/stage.h"

#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "proto/abi/maps.h"
#include "proto/base/cleanup.h"
#include "proto/base/log.h"

#define OPTIONS_MAX 32

static const char *const log_formats[] = {"text", "json", NULL};
static const char *const log_levels[] = {"error", "warn", "info", "debug", NULL};
static const char *const sections[] = {"common", "loader", "collector", "enricher", "policyd", "exporter"};

static const struct pst_conf_field log_fields[] = {
	{.key = "format",
		.type = PST_CONF_ENUM,
		.offset = offsetof(struct pst_common, log_format),
		.help = "text (key=value) or json",
		.names = log_formats},
	{.key = "level",
		.type = PST_CONF_ENUM,
		.offset = offsetof(struct pst_common, log_level),
		.help = "error, warn, info or debug",
		.names = log_levels},
	{0},
};

const struct pst_conf_field pst_common_fields[] = {
	{.key = "run_dir",
		.type = PST_CONF_STR,
		.offset = offsetof(struct pst_common, run_dir),
		.help = "folder of sockets and state",
		.min = 1,
		.max = 80},
	{.key = "bpffs",
		.type = PST_CONF_STR,
		.offset = offsetof(struct pst_common, bpffs),
		.help = "folder of the pins, below a mounted bpffs",
		.min = 1,
		.max = 200},
	{.key = "node",
		.type = PST_CONF_STR,
		.offset = offsetof(struct pst_common, node),
		.help = "name of this host in events (default: the host name)",
		.min = 1,
		.max = 64},
	{.key = "user_prefix",
		.type = PST_CONF_STR,
		.offset = offsetof(struct pst_common, user_prefix),
		.help = "stages run as the users <prefix><stage>",
		.max = 24},
	{.key = "log", .type = PST_CONF_SECTION, .help = "log lines on stderr", .section = log_fields},
	{0},
};

/* Where the configuration came from, for a reload. */
static struct {
	const char *path;
	bool named;
	const char *run_dir, *bpffs, *log_level, *log_format;
	bool check, print;
} opt;

static int replace(char **target, const char *text)
{
	char *copy = strdup(text);

	if (!copy)
		return -ENOMEM;
	free(*target);
	*target = copy;
	return 0;
}

static int defaults(struct pst_common *common)
{
	char host[65] = "localhost";
	int r;

	gethostname(host, sizeof(host) - 1);
	host[sizeof(host) - 1] = 0;
	r = replace(&common->run_dir, PST_RUN_DIR);
	r = r ? r : replace(&common->bpffs, PST_PIN_DIR);
	r = r ? r : replace(&common->node, host);
	r = r ? r : replace(&common->user_prefix, "penstock-");
	common->log_format = PST_LOG_TEXT;
	common->log_level = PST_LOG_INFO;
	return r;
}

static void check_sections(struct pst_conf_ctx *ctx, const struct pst_node *root)
{
	for (const struct pst_node *n = root->child; n; n = n->next) {
		bool known = false;
		const char *near;

		for (size_t i = 0; i < PST_ARRAY_SIZE(sections); i++)
			known |= !strcmp(n->key, sections[i]);
		if (known)
			continue;
		near = pst_conf_did_you_mean(n->key, sections, PST_ARRAY_SIZE(sections));
		pst_conf_error(ctx->errors, ctx->file, n->key_line, n->key_column,
			"unknown section \"%s\"%s%s%s", n->key, near ? ", did you mean \"" : "",
			near ? near : "", near ? "\"?" : "");
	}
}

static int bind_section(struct pst_conf_ctx *ctx, const struct pst_node *root, const char *name, void *base,
	const struct pst_conf_field *fields)
{
	ctx->base = base;
	return pst_conf_bind(ctx, root ? pst_node_get(root, name) : NULL, fields);
}

static int bind_all(const struct pst_stage_desc *desc, const struct pst_doc *doc, struct pst_common *common,
	void *config, struct pst_conf_errors *errors)
{
	const struct pst_node *root = doc ? pst_doc_root(doc) : NULL;
	struct pst_conf_ctx ctx = {.file = opt.path, .errors = errors};

	if (root && root->type != PST_NODE_MAPPING)
		return pst_conf_reject(
			&ctx, root, "expected a mapping of sections (common, %s, ...)", desc->stage);
	if (root)
		check_sections(&ctx, root);
	bind_section(&ctx, root, "common", common, pst_common_fields);
	bind_section(&ctx, root, desc->stage, config, desc->fields);
	if (!errors->count && desc->validate)
		desc->validate(&ctx, root ? pst_node_get(root, desc->stage) : NULL);
	if (opt.check && desc->check)
		desc->check(&ctx);
	return errors->count ? -EINVAL : 0;
}

static int override(const char *from_args, const char *env, char **target)
{
	const char *text = from_args ? from_args : getenv(env);

	return text && *text ? replace(target, text) : 0;
}

static int override_log(struct pst_common *common)
{
	enum pst_log_level level;

	if (opt.log_level) {
		if (pst_log_level_parse(opt.log_level, &level) < 0) {
			fprintf(stderr, "--log-level: expected error, warn, info or debug, got \"%s\"\n",
				opt.log_level);
			return -EINVAL;
		}
		common->log_level = level;
	}
	if (opt.log_format) {
		if (strcmp(opt.log_format, "text") && strcmp(opt.log_format, "json")) {
			fprintf(stderr, "--log-format: expected text or json, got \"%s\"\n", opt.log_format);
			return -EINVAL;
		}
		common->log_format = strcmp(opt.log_format, "json") ? PST_LOG_TEXT : PST_LOG_JSON;
	}
	return 0;
}

int pst_stage_reload(const struct pst_stage_desc *desc, struct pst_common *common, void *config,
	struct pst_conf_errors *errors)
{
	PST_CLEANUP(pst_doc_freep) struct pst_doc *doc = NULL;
	int r;

	if (!opt.named && access(opt.path, F_OK) < 0 && errno == ENOENT)
		r = 0;
	else
		r = pst_doc_load(opt.path, errors, &doc);
	r = r ? r : defaults(common);
	r = r ? r : bind_all(desc, doc, common, config, errors);
	r = r ? r : override(opt.run_dir, "PENSTOCK_RUN_DIR", &common->run_dir);
	r = r ? r : override(opt.bpffs, "PENSTOCK_BPFFS", &common->bpffs);
	return r ? r : override_log(common);
}

static const struct pst_arg common_options[] = {
	{"config", 'c', PST_ARG_STR, &opt.path, "FILE",
		"configuration file (default " PST_CONFIG_PATH ", if it is there)"},
	{"check", 'n', PST_ARG_FLAG, &opt.check, NULL, "check the configuration and exit"},
	{"print-config", 0, PST_ARG_FLAG, &opt.print, NULL,
		"print the configuration in force as commented YAML and exit"},
	{"run-dir", 0, PST_ARG_STR, &opt.run_dir, "DIR",
		"folder of sockets and state (default " PST_RUN_DIR ")"},
	{"bpffs", 0, PST_ARG_STR, &opt.bpffs, "DIR", "folder of the pins (default " PST_PIN_DIR ")"},
	{"log-level", 0, PST_ARG_STR, &opt.log_level, "LEVEL", "error, warn, info or debug"},
	{"log-format", 0, PST_ARG_STR, &opt.log_format, "FORMAT", "text or json"},
};

static int parse_args(const struct pst_stage_desc *desc, int argc, char **argv)
{
	struct pst_arg all[OPTIONS_MAX] = {0};
	char program[64];
	struct pst_args args = {.program = program,
		.summary = desc->summary,
		.positional = desc->positional,
		.options = all,
		.examples = desc->examples};
	size_t n = 0;

	for (const struct pst_arg *a = desc->options;
		a && a->name && n < OPTIONS_MAX - PST_ARRAY_SIZE(common_options) - 1; a++)
		all[n++] = *a;
	memcpy(&all[n], common_options, sizeof(common_options));
	snprintf(program, sizeof(program), "penstock-%s", desc->stage);
	return pst_args_parse(&args, argc, argv);
}

static void print_config(
	const struct pst_stage_desc *desc, const struct pst_common *common, const void *config)
{
	pst_conf_print_section("common", common, pst_common_fields);
	pst_conf_print_section(desc->stage, config, desc->fields);
}

/* Woken, we wait for our turn instead of pushing a workload off its processor. Another policy than the
 * default is somebody's choice. */
static void yield_to_workloads(void)
{
	const struct sched_param none = {0};

	if (sched_getscheduler(0) == SCHED_OTHER && sched_setscheduler(0, SCHED_BATCH, &none) < 0)
		pst_warn("can't be scheduled as a batch error=%s", strerror(errno));
}

int pst_stage_configure(const struct pst_stage_desc *desc, int argc, char **argv, struct pst_common *common,
	void *config, int *ret_positional)
{
	struct pst_conf_errors errors = {0};
	const char *env = getenv("PENSTOCK_CONFIG");
	int n, r;

	memset(&opt, 0, sizeof(opt));
	n = parse_args(desc, argc, argv);
	if (n == -ECANCELED)
		return PST_STAGE_DONE;
	if (n < 0)
		return -EINVAL;
	if (!opt.path && env && *env)
		opt.path = env;
	opt.named = opt.path != NULL;
	if (!opt.path)
		opt.path = PST_CONFIG_PATH;
	r = pst_stage_reload(desc, common, config, &errors);
	if (errors.count)
		fputs(errors.text, stderr);
	pst_conf_errors_done(&errors);
	if (r < 0)
		return -EINVAL;
	if (opt.print)
		print_config(desc, common, config);
	if (opt.check && !opt.print)
		printf("%s: the configuration of %s is good\n",
			opt.named || !access(opt.path, F_OK) ? opt.path : "no file", desc->stage);
	if (opt.check || opt.print)
		return PST_STAGE_DONE;
	pst_log_init(desc->stage, common->log_format, common->log_level);
	yield_to_workloads();
	if (ret_positional)
		*ret_positional = n;
	return 0;
}

void pst_common_done(struct pst_common *common)
{
	pst_conf_release(common, pst_common_fields);
	memset(common, 0, sizeof(*common));
}

static char *join3(const char *a, const char *b, const char *c)
{
	char *out;

	return asprintf(&out, "%s%s%s", a, b, c) < 0 ? NULL : out;
}

char *pst_run_path(const struct pst_common *common, const char *name)
{
	return join3(common->run_dir, "/", name);
}

char *pst_iter_path(const struct pst_common *common, const char *name)
{
	return join3(common->bpffs, "/iters/", name);
}

char *pst_stage_user(const struct pst_common *common, const char *stage)
{
	return geteuid() ? strdup("") : join3(common->user_prefix, stage, "");
}
