// SPDX-License-Identifier: Apache-2.0
#include "loader/serve.h"

#include <errno.h>
#include <signal.h>
#include <string.h>

#include "loader/copies.h"
#include "loader/fdserver.h"
#include "loader/guardmaps.h"
#include "loader/report.h"
#include "loader/unload.h"
#include "proto/base/cleanup.h"
#include "proto/base/log.h"
#include "proto/base/loop.h"
#include "proto/base/notify.h"

#define REPORT_NS        10000000000ull
#define CHECK_NS         1000000000ull
#define REPORT_SOON_NS   200000000ull /* several interfaces often come together */
#define NETLINK_MESSAGES 64

struct server {
	struct loader *l;
	struct pst_loop *loop;
	struct fdserver *fds;
	struct report_names names;
	struct copies copies;
	struct pst_source *netlink, *report, *check;
	int netlink_fd;
};

/* ---- report ---- */

static void on_report(void *arg)
{
	struct server *s = arg;

	waiting_look(&s->l->waiting, &s->l->config, &s->l->net, true);
	report_write(s->l, &s->names);
	pst_timer_arm(s->report, REPORT_NS, 0);
}

static void report_soon(struct server *s)
{
	pst_timer_arm(s->report, REPORT_SOON_NS, 0);
}

/* ---- interfaces ---- */

static void on_link(void *arg, const struct link_event *event)
{
	struct server *s = arg;

	net_event(&s->l->net, event);
	report_soon(s);
}

static void on_check(void *arg)
{
	struct server *s = arg;

	unsigned changed = s->copies.changed;

	if (net_check(&s->l->net))
		report_soon(s);
	copies_look(&s->copies, &s->l->pins);
	if (s->copies.changed != changed)
		report_soon(s);
	guardmaps_attached(&s->l->pins, &s->l->net);
}

static void on_netlink(void *arg, int fd, uint32_t events)
{
	struct server *s = arg;
	int r = netlink_read(fd, NETLINK_MESSAGES, on_link, s);

	(void)events;
	if (r == -ENOBUFS) {
		pst_warn("messages about interfaces were lost, listing them anew");
		net_sync(&s->l->net, &s->l->config, &s->l->plan, &s->l->features);
		report_soon(s);
	} else if (r) {
		pst_warn_limited("cannot read about interfaces error=%s", strerror(-r));
	}
}

/* ---- reload ---- */

static void warn_fixed(const struct pst_common *now, const struct pst_common *next)
{
	if (strcmp(now->bpffs, next->bpffs) || strcmp(now->run_dir, next->run_dir) ||
		strcmp(now->user_prefix, next->user_prefix))
		pst_warn("bpffs, run_dir and user_prefix change only with a restart");
}

/* A line each. */
static void say_errors(const struct pst_conf_errors *errors, int r)
{
	const char *at = errors->count ? errors->text : "";

	pst_error("the configuration is not good, the old one stays error=%s", strerror(-r));
	for (size_t n = strcspn(at, "\n"); n; at += n + (at[n] == '\n'), n = strcspn(at, "\n"))
		pst_error("%.*s", (int)n, at);
}

static int reload_config(struct loader *l, struct loader_config *ret_next)
{
	struct pst_conf_errors errors = {0};
	struct loader_config next;
	struct pst_common common = {0};
	int r = loader_config_init(&next);

	if (r)
		return r;
	r = pst_stage_reload(l->desc, &common, &next, &errors);
	if (r) {
		say_errors(&errors, r);
		loader_config_done(&next);
	} else {
		warn_fixed(&l->common, &common);
		*ret_next = next;
	}
	pst_conf_errors_done(&errors);
	pst_common_done(&common);
	return r;
}

static void reload(struct server *s)
{
	struct loader_config before = s->l->config;
	int r;

	if (reload_config(s->l, &s->l->config))
		return;
	r = loader_apply(s->l);
	if (r) {
		loader_config_done(&s->l->config);
		s->l->config = before;
		s->l->waiting = (struct waiting){0};
		net_sync(&s->l->net, &s->l->config, &s->l->plan, &s->l->features);
	} else {
		loader_config_done(&before);
		pst_info("configuration loaded anew");
	}
	features_trim(&s->l->features);
	on_report(s);
}

static void on_signal(void *arg, int signo)
{
	struct server *s = arg;

	if (signo == SIGHUP)
		reload(s);
	else
		pst_loop_stop(s->loop);
}

/* ---- set up ---- */

/* A guard that works is better than none, and interfaces come and go all the same. */
static int load(struct loader *l)
{
	int r = loader_apply(l);

	if (r != -ENOEXEC)
		return r;
	pst_warn("serving with what an earlier load left in force: reload or restart to load again");
	return loader_keep(l);
}

static int start(struct server *s)
{
	int r;

	/* before the list, so that nothing falls between the two */
	s->netlink_fd = netlink_open();
	r = s->netlink_fd < 0 ? s->netlink_fd : load(s->l);
	if (r)
		return r;
	report_names_load(&s->names, &s->l->features);
	features_trim(&s->l->features);
	r = pst_loop_fd(s->loop, s->netlink_fd, EPOLLIN, on_netlink, s, &s->netlink);
	r = r ? r : pst_loop_timer(s->loop, on_report, s, &s->report);
	r = r ? r : pst_loop_timer(s->loop, on_check, s, &s->check);
	r = r ? r : fdserver_open(s->loop, s->l, &s->fds);
	if (!r) {
		on_report(s);
		pst_timer_arm(s->check, CHECK_NS, CHECK_NS);
	}
	return r;
}

static void finish(struct server *s, bool unload_on_exit)
{
	pst_notify_stopping();
	fdserver_free(s->fds);
	if (!unload_on_exit) {
		s->l->serving = false;
		report_write(s->l, &s->names);
		return;
	}
	net_detach_all(&s->l->net);
	guardmaps_attached(&s->l->pins, &s->l->net);
	pins_remove_all(&s->l->pins);
	unload_run_dir(&s->l->common);
	pst_info("everything is taken down");
}

int serve(struct loader *l, bool unload_on_exit)
{
	PST_CLEANUP(pst_loop_freep) struct pst_loop *loop = NULL;
	struct server s = {.l = l, .netlink_fd = -1};
	int r = pst_loop_new(&loop);

	s.loop = loop;
	l->copies = &s.copies;
	r = r ? r : pst_loop_signals(loop, on_signal, &s);
	r = r ? r : start(&s);
	if (!r) {
		pst_notify_ready();
		r = pst_loop_run(loop);
		finish(&s, unload_on_exit);
	} else {
		fdserver_free(s.fds);
	}
	pst_source_free(s.netlink);
	pst_source_free(s.report);
	pst_source_free(s.check);
	pst_closep(&s.netlink_fd);
	report_names_done(&s.names);
	copies_done(&s.copies);
	l->copies = NULL;
	return r ? PST_EXIT_SYSTEM : PST_EXIT_OK;
}
