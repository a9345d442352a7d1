// SPDX-License-Identifier: Apache-2.0
/* penstock-policyd: rules on events, alerts on the bus; the guard's tables. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "policyd/alerts.h"
#include "policyd/config.h"
#include "policyd/guard/guard.h"
#include "policyd/policy/force.h"
#include "policyd/policy/tool.h"
#include "policyd/rules.h"
#include "policyd/watch.h"
#include "proto/base/cleanup.h"
#include "proto/base/log.h"
#include "proto/base/loop.h"
#include "proto/base/notify.h"
#include "proto/base/sandbox.h"
#include "proto/base/stat.h"
#include "proto/wire/ctl.h"

#define IN_TOPICS ((1u << PST_TOPICS) - 1 - (1u << PST_TOPIC_ALERT) - (1u << PST_TOPIC_COUNT))
#define PATHS_MAX 400 /* rules, policies, firewall, lists, and where links to these lead */

struct stage {
	struct config *config;
	struct pst_loop *loop;
	struct pst_bus *bus;
	struct pst_sub *sub;
	struct rules *rules;
	uint64_t generation;
	char *last_error; /* of the last reload; NULL: it was good */
	struct watch *watch, *firewall_watch, *lists_watch, *signatures_watch, *policies_watch;
	struct force_config force_config;
	struct force *force;
	struct guard *guard;
	struct policy_alerts policy_alerts;
	struct pst_stat *n_rules, *alerts, *suppressed, *reloads, *reload_errors;
};

static void stage_done(struct stage *s)
{
	watch_free(s->watch);
	watch_free(s->firewall_watch);
	watch_free(s->lists_watch);
	watch_free(s->signatures_watch);
	watch_free(s->policies_watch);
	guard_free(s->guard);
	force_free(s->force);
	pst_bus_free(s->bus);
	pst_loop_free(s->loop);
	rules_free(s->rules);
	policy_alerts_done(&s->policy_alerts);
	free(s->last_error);
}

static void publish(struct stage *s, const struct pst_event *e, const struct pst_val *v)
{
	s->alerts->value++;
	pst_event_append_policyd(pst_bus_put(s->bus, PST_TOPIC_ALERT), e, v);
	pst_bus_end(s->bus, PST_TOPIC_ALERT, e->ts_ns);
}

static void alert(struct stage *s, struct rule *r, const struct pst_event *e)
{
	struct pst_val v[PST_POL_N] = {0};
	char message[RULE_MESSAGE_MAX + 1];
	size_t len;

	r->matched++;
	if (!alert_take(&r->rate, e->ts_ns)) {
		s->suppressed->value++;
		return;
	}
	len = rule_message(r, e, message);
	v[PST_POL_rule] = pst_val_str(r->name, strlen(r->name));
	v[PST_POL_severity].u = r->severity;
	v[PST_POL_message] = pst_val_str(message, len);
	v[PST_POL_tags] = (struct pst_val){.p = r->tags.p, .len = (uint32_t)r->tags.len, .n = r->n_tags};
	v[PST_POL_suppressed].u = r->rate.suppressed;
	r->rate.suppressed = 0;
	r->alerts++;
	publish(s, e, v);
}

/* What a policy did needs no rule. */
static void alert_policy(struct stage *s, const struct pst_event *e)
{
	struct pst_val v[PST_POL_N] = {0};

	if (!policy_alert_wanted(e))
		return;
	if (policy_alert(&s->policy_alerts, e, v))
		publish(s, e, v);
	else
		s->suppressed->value++;
}

static void match(struct stage *s, const struct pst_event *scanned)
{
	struct pst_cur cur = pst_cur(scanned->raw, scanned->raw_len);
	struct pst_event e;

	if (!rules_want(s->rules, scanned->kind) && scanned->kind != PST_KIND_POLICY)
		return;
	if (pst_event_decode(&cur, &e) < 0) {
		pst_stat(
			PST_STAT_COUNTER, "lost_events", "cause", "malformed", "events not handled, by cause")
			->value++;
		return;
	}
	if (e.kind == PST_KIND_POLICY)
		alert_policy(s, &e);
	for (uint32_t i = 0; i < s->rules->n_by_kind[e.kind]; i++) {
		struct rule *r = &s->rules->v[s->rules->by_kind[e.kind][i]];

		if (!r->match || cond_match(r->match, &e))
			alert(s, r, &e);
	}
}

static void on_batch(void *arg, const struct pst_batch *batch)
{
	struct stage *s = arg;
	struct pst_batch_iter it;
	struct pst_event e;

	pst_batch_iter_init(&it, s->sub, batch);
	it.scan_only = true;
	while (pst_batch_iter_next(&it, &e))
		match(s, &e);
}

/* All or nothing: on an error the old rules stay in force. */
static int reload(struct stage *s)
{
	struct pst_conf_errors errors = {0};
	struct rules *fresh = NULL;
	int e = rules_load(config_rules(s->config), config_rules_named(s->config), &errors, &fresh);

	s->reloads->value++;
	free(s->last_error);
	s->last_error = NULL;
	if (e) {
		s->reload_errors->value++;
		pst_conf_errors_log(&errors);
		s->last_error = strdup(errors.text ? errors.text : strerror(-e));
		if (s->rules)
			pst_error("rules not changed, generation %llu stays in force",
				(unsigned long long)s->generation);
	} else {
		if (s->rules)
			rules_inherit(fresh, s->rules);
		rules_free(s->rules);
		s->rules = fresh;
		s->generation++;
		s->n_rules->value = fresh->n;
		pst_info("rules loaded rules=%zu generation=%llu", fresh->n,
			(unsigned long long)s->generation);
	}
	pst_conf_errors_done(&errors);
	return e;
}

static void on_signal(void *arg, int signo)
{
	struct stage *s = arg;

	if (signo != SIGHUP) {
		pst_loop_stop(s->loop);
		return;
	}
	reload(s);
	guard_reload(s->guard, GUARD_ALL);
	force_reload(s->force);
}

static void on_changed(void *arg)
{
	reload(arg);
}

static void on_firewall_changed(void *arg)
{
	struct stage *s = arg;

	guard_reload(s->guard, GUARD_FIREWALL);
}

static void on_lists_changed(void *arg)
{
	struct stage *s = arg;

	guard_reload(s->guard, GUARD_LISTS);
}

static void on_signatures_changed(void *arg)
{
	struct stage *s = arg;

	guard_reload(s->guard, GUARD_SIGNATURES);
}

static void on_policies_changed(void *arg)
{
	struct stage *s = arg;

	force_reload(s->force);
}

static int on_reload(
	void *arg, const msgpack_object *request, struct pst_buf *reply, char *error, size_t error_size)
{
	struct stage *s = arg;
	int e = guard_check_user(s->bus, error, error_size), r, p;

	(void)request;
	if (e)
		return e;
	e = reload(s);
	r = guard_reload(s->guard, GUARD_ALL);
	p = force_reload(s->force);
	if (e || r || p) {
		snprintf(error, error_size, "%s",
			e   ? s->last_error
			: r ? guard_error(s->guard)
			    : force_error(s->force));
		return e ? e : r ? r : p;
	}
	pst_mp_map(reply, 2);
	pst_mp_str(reply, "ok");
	pst_mp_bool(reply, true);
	pst_mp_str(reply, "generation");
	pst_mp_uint(reply, s->generation);
	return 0;
}

/* {op:"rules"} -> {generation, error, rules: [[name, severity, matched, alerts, suppressed], ...]} */
static int on_rules(
	void *arg, const msgpack_object *request, struct pst_buf *reply, char *error, size_t error_size)
{
	struct stage *s = arg;

	(void)request;
	(void)error;
	(void)error_size;
	pst_mp_map(reply, 3);
	pst_mp_str(reply, "generation");
	pst_mp_uint(reply, s->generation);
	pst_mp_str(reply, "error");
	pst_mp_str(reply, s->last_error ? s->last_error : "");
	pst_mp_str(reply, "rules");
	pst_mp_array(reply, (uint32_t)s->rules->n);
	for (size_t i = 0; i < s->rules->n; i++) {
		const struct rule *r = &s->rules->v[i];

		pst_mp_array(reply, 5);
		pst_mp_str(reply, r->name);
		pst_mp_uint(reply, r->severity);
		pst_mp_uint(reply, r->matched);
		pst_mp_uint(reply, r->alerts);
		pst_mp_uint(reply, r->rate.suppressed);
	}
	return 0;
}

static uint32_t status_extra(void *arg, struct pst_buf *out)
{
	struct stage *s = arg;

	pst_mp_str(out, "rules");
	pst_mp_uint(out, s->rules->n);
	pst_mp_str(out, "generation");
	pst_mp_uint(out, s->generation);
	pst_mp_str(out, "rules_error");
	pst_mp_str(out, s->last_error ? s->last_error : "");
	return 3 + guard_status(s->guard, out) + force_status(s->force, out);
}

static int open_bus(struct stage *s)
{
	static const char *const subscribers[] = {"exporter", NULL};
	struct pst_bus_config bus = {.stage = "policyd",
		.run_dir = s->config->common.run_dir,
		.node = s->config->common.node,
		.topics = 1u << PST_TOPIC_ALERT,
		.retention_bytes = s->config->retention_bytes,
		.subscribers = subscribers,
		.user_prefix = s->config->common.user_prefix};
	struct pst_sub_config sub = {.publisher = "enricher",
		.topics = IN_TOPICS,
		.resume = PST_RESUME_OUT_ALERT,
		.on_batch = on_batch,
		.arg = s};
	int e = pst_bus_open(s->loop, &bus, &s->bus);

	e = e ? e : pst_bus_subscribe(s->bus, &sub, &s->sub);
	e = e ? e : pst_ctl_handle(s->bus, "reload", on_reload, s);
	e = e ? e : pst_ctl_handle(s->bus, "rules", on_rules, s);
	if (!e)
		pst_ctl_status_extra(s->bus, status_extra, s);
	return e;
}

/* The folders that files are read from again. */
struct folders {
	struct pst_sandbox_path path[PATHS_MAX + 2];
	size_t n; /* the first is the run folder, which is not owned */
};

static void folders_done(struct folders *f)
{
	for (size_t i = 1; i < f->n; i++)
		free((char *)(uintptr_t)f->path[i].path);
}

static int add_folders(struct folders *f, const struct pst_strs *paths, char *(*folder_of)(const char *path))
{
	for (size_t i = 0; i < paths->n && f->n <= PATHS_MAX; i++) {
		char *folder = folder_of(paths->v[i]);

		if (!folder)
			return -ENOMEM;
		f->path[f->n++] = (struct pst_sandbox_path){folder, PST_PATH_READ};
	}
	return 0;
}

static int enter_sandbox(struct stage *s)
{
	PST_CLEANUP(folders_done)
	struct folders folders = {
		.path = {{s->config->common.run_dir, PST_PATH_READ | PST_PATH_WRITE | PST_PATH_CREATE}},
		.n = 1};
	const struct pst_strs *files[] = {config_firewall_file(s->config), config_list_files(s->config),
		config_signatures_file(s->config)};
	const struct pst_sandbox sandbox = {.paths = folders.path, .interfaces = true};
	struct pst_sandbox_level level;
	const struct pst_strs cgroups = {(char *[]){(char *)(uintptr_t)s->force_config.cgroup_root}, 1};
	int e = add_folders(&folders, config_rules(s->config), watch_folder);

	e = e ? e : add_folders(&folders, s->force_config.files, watch_folder);
	if (cgroups.v[0])
		e = e ? e : add_folders(&folders, &cgroups, watch_folder);

	for (size_t i = 0; i < PST_ARRAY_SIZE(files); i++) {
		e = e ? e : add_folders(&folders, files[i], watch_file_folder);
		e = e ? e : add_folders(&folders, files[i], watch_real_folder);
	}
	e = e ? e : pst_sandbox_enter(&sandbox, &level);
	if (!e)
		pst_bus_set_sandbox(s->bus, level.text);
	return e;
}

static void register_stats(struct stage *s)
{
	s->n_rules = pst_gauge("rules", "rules in force");
	s->alerts = pst_counter("alerts", "alerts published");
	s->suppressed =
		pst_counter("suppressed_alerts", "alerts held back by rate limits, of rules and of policies");
	s->reloads = pst_counter("rule_reloads", "times that the rules were read");
	s->reload_errors = pst_counter("rule_reload_errors", "of which refused");
}

/* Before the guard, which has what the loader hands out. */
static int open_force(struct stage *s)
{
	int e;

	config_force(s->config, &s->force_config);
	/* Before they are read, so that no change falls between the two. */
	e = watch_open(s->loop, s->force_config.files, on_policies_changed, s, &s->policies_watch);
	return e ? e : force_open(s->loop, s->bus, &s->force_config, &s->force);
}

static int open_guard(struct stage *s)
{
	struct guard_config config;
	int e;

	config_guard(s->config, &config);
	config.take = force_take;
	config.waits = force_waits;
	config.arg = s->force;
	/* Before they are read, so that no change falls between the two. */
	e = watch_open_files(
		s->loop, config_firewall_file(s->config), on_firewall_changed, s, &s->firewall_watch);
	e = e ? e
	      : watch_open_files(s->loop, config_list_files(s->config), on_lists_changed, s, &s->lists_watch);
	e = e ? e
	      : watch_open_files(s->loop, config_signatures_file(s->config), on_signatures_changed, s,
			&s->signatures_watch);
	return e ? e : guard_open(s->loop, s->bus, &config, &s->guard);
}

static int run(struct config *config)
{
	PST_CLEANUP(stage_done) struct stage s = {.config = config};
	PST_FREE char *user = pst_stage_user(&config->common, "policyd");
	int e;

	if (!user)
		return -ENOMEM;
	register_stats(&s);
	e = pst_loop_new(&s.loop);
	e = e ? e : pst_loop_signals(s.loop, on_signal, &s);
	e = e ? e : pst_notify_open();
	if (!e && *user)
		e = pst_sandbox_drop_user(user);
	pst_stat_open();
	e = e ? e : open_bus(&s);
	/* Before they are read, so that no change falls between the two. */
	e = e ? e : watch_open(s.loop, config_rules(config), on_changed, &s, &s.watch);
	e = e ? e : reload(&s);
	e = e ? e : open_force(&s);
	e = e ? e : open_guard(&s);
	e = e ? e : enter_sandbox(&s);
	e = e ? e : pst_bus_start(s.bus);
	if (e)
		return e;
	pst_notify_ready();
	pst_info("ready rules=%zu", s.rules->n);
	e = pst_loop_run(s.loop);
	pst_notify_stopping();
	return e;
}

/* The rules too, as they are a good part of the configuration. */
static int check_rules(struct pst_conf_ctx *ctx, const struct pst_node *section)
{
	struct rules *rules = NULL;
	int e = rules_load(config_rules(ctx->base), config_rules_named(ctx->base), ctx->errors, &rules);

	rules_free(rules);
	return config_check_ports(ctx, section) ? -EINVAL : e;
}

/* These keep nobody from starting: what is in force stays. */
static int check_guard(struct pst_conf_ctx *ctx)
{
	struct force_config force;
	struct guard_config guard;
	int e, r;

	config_guard(ctx->base, &guard);
	config_force(ctx->base, &force);
	e = guard_check(&guard, ctx->errors);
	r = force_check(&force, ctx->errors);
	return e ? e : r;
}

int main(int argc, char **argv)
{
	struct config *config = &policyd_config;
	struct pst_stage_desc desc = policyd_desc;
	int e;

	if (argc > 1 && !strcmp(argv[1], "policy"))
		return policy_tool_main(argc - 1, argv + 1);
	desc.validate = check_rules;
	desc.check = check_guard;
	e = pst_stage_configure(&desc, argc, argv, &config->common, config, NULL);
	if (e)
		return e == PST_STAGE_DONE ? PST_EXIT_OK : PST_EXIT_USAGE;
	e = run(config);
	if (e < 0)
		pst_error("stopped error=%s", strerror(-e));
	pst_common_done(&config->common);
	return e < 0 ? e == -EINVAL || e == -EBADMSG ? PST_EXIT_USAGE : PST_EXIT_SYSTEM : PST_EXIT_OK;
}
