// SPDX-License-Identifier: Apache-2.0
/* penstock-enricher: who was behind each event. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "enricher/config.h"
#include "enricher/enrich.h"
#include "enricher/list.h"
#include "proto/base/cleanup.h"
#include "proto/base/log.h"
#include "proto/base/loop.h"
#include "proto/base/notify.h"
#include "proto/base/sandbox.h"
#include "proto/base/stat.h"
#include "proto/wire/ctl.h"

#define SEC       1000000000ull
#define IN_TOPICS ((1u << PST_TOPICS) - 1 - (1u << PST_TOPIC_ALERT))

struct stage {
	const struct config *config;
	struct pst_loop *loop;
	struct pst_bus *bus;
	struct pst_sub *sub;
	struct pst_source *second;
	struct enrich enrich;
	char *iter_path, *cgroup_root, *boot_id;
	struct pst_stat *misses;
	uint64_t seconds;
};

static void stage_done(struct stage *s)
{
	pst_source_free(s->second);
	pst_bus_free(s->bus);
	proctree_free(s->enrich.tree);
	cgroups_free(s->enrich.cgroups);
	names_free(s->enrich.names);
	pst_buf_done(&s->enrich.ancestors);
	pst_loop_free(s->loop);
	free(s->iter_path);
	free(s->cgroup_root);
	free(s->boot_id);
}

static void read_tasks(struct stage *s)
{
	int e = s->enrich.offline ? 0 : proctree_load(s->enrich.tree, s->iter_path, s->enrich.hybrid);

	if (e)
		pst_warn_limited("can't read the task iterator, the process tree knows only what events tell "
				 "path=%s error=%s",
			s->iter_path, strerror(-e));
}

/* A recording may be of another boot: then this host's tasks, users and cgroups say nothing about it. */
static void learn_node(struct stage *s, const struct pst_event *e)
{
	const struct pst_val *id = &e->sensor[PST_NODE_F_boot_id];
	bool offline = s->boot_id && (id->len != strlen(s->boot_id) || memcmp(id->p, s->boot_id, id->len));

	if (offline != s->enrich.offline)
		pst_info("events are of %s boot", offline ? "another" : "this");
	s->enrich.offline = offline;
	cgroups_set_offline(s->enrich.cgroups, offline);
}

static void on_batch(void *arg, const struct pst_batch *batch)
{
	struct stage *s = arg;
	struct pst_batch_iter it;
	struct pst_event event;
	struct pst_val values[PST_ENR_N];

	pst_batch_iter_init(&it, s->sub, batch);
	while (pst_batch_iter_next(&it, &event)) {
		if (event.kind == PST_KIND_NODE)
			learn_node(s, &event);
		enrich_event(&s->enrich, &event, values);
		pst_event_append_enricher(pst_bus_put(s->bus, (enum pst_topic)batch->topic), &event, values);
		pst_bus_end(s->bus, (enum pst_topic)batch->topic, event.ts_ns);
	}
}

static void on_loss(void *arg, enum pst_topic topic, const char *cause, uint64_t count)
{
	struct stage *s = arg;
	struct pst_val v[PST_LOSS_F_N] = {0};
	char where[32];
	int n = snprintf(where, sizeof(where), "collector/%s", pst_topic_name(topic));
	uint64_t now = pst_now_boot_ns();

	v[PST_LOSS_F_stage] = pst_val_str("enricher", 8);
	v[PST_LOSS_F_where] = pst_val_str(where, (size_t)n);
	v[PST_LOSS_F_cause] = pst_val_str(cause, strlen(cause));
	v[PST_LOSS_F_count].u = count;
	pst_event_pack(pst_bus_put(s->bus, PST_TOPIC_META), PST_KIND_LOSS, now, v);
	pst_bus_end(s->bus, PST_TOPIC_META, now);
}

static void on_second(void *arg)
{
	struct stage *s = arg;

	proctree_expire(s->enrich.tree, s->enrich.offline ? s->enrich.events_ns : pst_now_boot_ns());
	if (s->enrich.missed) {
		s->enrich.missed = false;
		s->misses->value++;
		read_tasks(s);
	}
	if (s->seconds++ % 10 == 0)
		names_refresh(s->enrich.names);
}

static int on_processes(
	void *arg, const msgpack_object *request, struct pst_buf *reply, char *error, size_t error_size)
{
	struct stage *s = arg;

	return list_processes(&s->enrich, request, reply, error, error_size);
}

static char *read_boot_id(void)
{
	char buf[64] = "";
	PST_FCLOSE FILE *f = fopen("/proc/sys/kernel/random/boot_id", "re");

	if (!f || !fgets(buf, sizeof(buf), f))
		return NULL;
	buf[strcspn(buf, "\n")] = 0;
	return strdup(buf);
}

static int open_state(struct stage *s)
{
	const struct config *c = s->config;
	int e;

	s->boot_id = read_boot_id();
	s->cgroup_root = cgroups_find_root();
	s->iter_path = pst_iter_path(&c->common, PST_ITER_TASKS);
	if (!s->iter_path)
		return -ENOMEM;
	if (!s->cgroup_root)
		pst_warn("no cgroup2 mount: events go without container and unit");
	s->enrich.hybrid = cgroups_hybrid();
	s->misses = pst_counter(
		"task_rereads", "times that the task list was read again because a process was not known");
	e = proctree_new((uint32_t)c->processes_max, c->linger_ns, &s->enrich.tree);
	e = e ? e
	      : cgroups_new(
			s->cgroup_root ? s->cgroup_root : "", (uint32_t)c->cgroups_max, &s->enrich.cgroups);
	return e ? e : names_new("/etc/passwd", "/etc/services", &s->enrich.names);
}

static int open_bus(struct stage *s)
{
	static const char *const subscribers[] = {"policyd", "exporter", NULL};
	struct pst_bus_config bus = {.stage = "enricher",
		.run_dir = s->config->common.run_dir,
		.node = s->config->common.node,
		.topics = IN_TOPICS,
		.retention_bytes = s->config->retention_bytes,
		.subscribers = subscribers,
		.user_prefix = s->config->common.user_prefix};
	struct pst_sub_config sub = {.publisher = "collector",
		.topics = IN_TOPICS,
		.resume = PST_RESUME_OUT_SAME,
		.on_batch = on_batch,
		.on_loss = on_loss,
		.arg = s};
	int e = pst_bus_open(s->loop, &bus, &s->bus);

	e = e ? e : pst_bus_subscribe(s->bus, &sub, &s->sub);
	return e ? e : pst_ctl_handle(s->bus, "processes", on_processes, s);
}

static int enter_sandbox(struct stage *s)
{
	const struct pst_sandbox_path paths[] = {
		{s->config->common.run_dir, PST_PATH_READ | PST_PATH_WRITE | PST_PATH_CREATE},
		{s->iter_path, PST_PATH_READ},
		{"/proc", PST_PATH_READ},
		{s->cgroup_root ? s->cgroup_root : "/sys/fs/cgroup", PST_PATH_READ},
		{"/etc/passwd", PST_PATH_READ},
		{"/etc/services", PST_PATH_READ},
		{NULL, 0},
	};
	const struct pst_sandbox sandbox = {.paths = paths};
	struct pst_sandbox_level level;
	int e = pst_sandbox_enter(&sandbox, &level);

	if (!e)
		pst_bus_set_sandbox(s->bus, level.text);
	return e;
}

static int run(const struct config *config)
{
	PST_CLEANUP(stage_done) struct stage s = {.config = config};
	PST_FREE char *user = pst_stage_user(&config->common, "enricher");
	int e;

	if (!user)
		return -ENOMEM;
	e = pst_loop_new(&s.loop);
	e = e ? e : pst_loop_signals(s.loop, NULL, NULL);
	e = e ? e : pst_notify_open();
	if (!e && *user)
		e = pst_sandbox_drop_user(user);
	pst_stat_open();
	e = e ? e : open_state(&s);
	e = e ? e : open_bus(&s);
	e = e ? e : enter_sandbox(&s);
	if (!e)
		read_tasks(&s);
	e = e ? e : pst_bus_start(s.bus);
	e = e ? e : pst_loop_timer(s.loop, on_second, &s, &s.second);
	if (e)
		return e;
	pst_timer_arm(s.second, SEC, SEC);
	pst_notify_ready();
	pst_info("ready processes=%u", proctree_count(s.enrich.tree));
	e = pst_loop_run(s.loop);
	pst_notify_stopping();
	return e;
}

int main(int argc, char **argv)
{
	struct config *config = &enricher_config;
	int e = pst_stage_configure(&enricher_desc, argc, argv, &config->common, config, NULL);

	if (e)
		return e == PST_STAGE_DONE ? PST_EXIT_OK : PST_EXIT_USAGE;
	e = run(config);
	if (e < 0)
		pst_error("stopped error=%s", strerror(-e));
	pst_common_done(&config->common);
	return e < 0 ? PST_EXIT_SYSTEM : PST_EXIT_OK;
}
