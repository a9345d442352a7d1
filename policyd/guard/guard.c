// SPDX-License-Identifier: Apache-2.0
#include "policyd/guard/guard.h"

#include <errno.h>
#include <string.h>

#include "policyd/guard/flags.h"
#include "policyd/guard/internal.h"
#include "proto/base/cleanup.h"
#include "proto/base/log.h"

#define SECOND_NS     1000000000ull
#define FIRST_WAIT_MS 1000 /* for the loader's answer, at start */
#define LATER_WAIT_MS 250

/* ---- coming into force ---- */

/* What is ready waits for the tables that come: said once. */
static bool waits_for_loader(struct guard *g)
{
	bool moved = guard_tables_moved(&g->tables);

	if (moved && !g->moved_told)
		pst_info("the loader makes other tables: what changes comes into force in those");
	g->moved_told = moved;
	return moved;
}

static uint64_t sooner(uint64_t a, uint64_t b)
{
	return a && b ? PST_MIN(a, b) : a + b;
}

void guard_commit(struct guard *g)
{
	uint64_t now = pst_now_mono_ns(), left;

	if (waits_for_loader(g))
		return;
	guard_flags_set(g, now);
	left = firewall_commit(&g->firewall, &g->tables, now);
	left = sooner(left, lists_commit(&g->lists, &g->tables, now));
	left = sooner(left, signatures_commit(&g->signatures, &g->tables, now));
	guard_flags_set(g, now);
	if (left)
		pst_timer_arm(g->commit, left, 0);
}

static void on_commit(void *arg)
{
	guard_commit(arg);
}

/* ---- loading ---- */

/* Keeps what went wrong, for status. */
static void note(char **error, int e, const struct pst_conf_errors *errors, const char *what)
{
	free(*error);
	*error = NULL;
	if (!e)
		return;
	*error = strdup(errors->text ? errors->text : strerror(-e));
	pst_conf_errors_log(errors);
	pst_error("%s not changed error=\"%s\"", what, errors->text ? "see above" : strerror(-e));
}

static int load_firewall(struct guard *g)
{
	PST_CLEANUP(pst_conf_errors_done) struct pst_conf_errors errors = {0};
	int e = firewall_load(&g->firewall, &g->tables, &errors);

	g->reloads->value++;
	g->reload_errors->value += e != 0;
	note(&g->firewall_error, e, &errors, "firewall");
	return e;
}

static int load_lists(struct guard *g)
{
	PST_CLEANUP(pst_conf_errors_done) struct pst_conf_errors errors = {0};
	int e = lists_load(&g->lists, &g->tables, &errors);

	g->lists_reloads->value++;
	g->lists_errors->value += e != 0;
	note(&g->lists_error, e, &errors, "lists");
	return e;
}

static int load_signatures(struct guard *g)
{
	PST_CLEANUP(pst_conf_errors_done) struct pst_conf_errors errors = {0};
	int e = signatures_load(&g->signatures, &errors);

	g->signatures_reloads->value++;
	g->signatures_errors->value += e != 0;
	note(&g->signatures_error, e, &errors, "signatures");
	return e;
}

int guard_reload(struct guard *g, unsigned tables)
{
	int e = tables & GUARD_FIREWALL ? load_firewall(g) : 0;
	int r = tables & GUARD_LISTS ? load_lists(g) : 0;
	int s = tables & GUARD_SIGNATURES ? load_signatures(g) : 0;

	guard_commit(g);
	return e ? e : r ? r : s;
}

const char *guard_error(const struct guard *g)
{
	return g->firewall_error     ? g->firewall_error
	       : g->lists_error      ? g->lists_error
	       : g->signatures_error ? g->signatures_error
				     : "";
}

/* ---- tables ---- */

/* What was read before, into tables that are others. */
static void renew(struct guard *g)
{
	PST_CLEANUP(pst_conf_errors_done) struct pst_conf_errors errors = {0}, more = {0};
	int e;

	if (g->firewall.loaded) {
		e = firewall_renew(&g->firewall, &g->tables, &errors);
		note(&g->firewall_error, e, &errors, "firewall");
	} else {
		load_firewall(g);
	}
	if (g->lists.loaded) {
		e = lists_renew(&g->lists, &g->tables, &more);
		note(&g->lists_error, e, &more, "lists");
	} else {
		load_lists(g);
	}
	if (!g->signatures.loaded)
		load_signatures(g);
}

/* Tables that no program looks at stop nothing. */
static void tell_attached(struct guard *g)
{
	uint32_t n = guard_attached(&g->tables);
	bool idle = guard_idle(&g->tables);

	if (idle && !g->idle)
		pst_warn("written, not enforced: the loader has attached the guard to no interface (penstock "
			 "status)");
	else if (!idle && g->idle && n)
		pst_info("enforced from now on: the guard is attached interfaces=%u", n);
	g->idle = idle;
	g->attached->value = n;
}

void guard_adopt(struct guard *g, struct guard_tables *tables)
{
	guard_tables_unmap(&g->tables);
	guard_totals_done(&g->totals);
	g->tables = *tables;
	*tables = (struct guard_tables){0};
	firewall_tables_changed(&g->firewall, &g->tables);
	lists_tables_changed(&g->lists);
	signatures_tables_changed(&g->signatures);
	pst_info("guarding: the tables are there fw_lines=%u list_lines=%u cpus=%zu", g->tables.firewall.n,
		g->tables.lists.n, g->tables.counts.entries);
	tell_attached(g);
	renew(g);
	guard_commit(g);
}

static void drop_tables(struct guard *g)
{
	if (guard_tables_mapped(&g->tables))
		pst_info("not guarding any more: the loader has no tables");
	guard_tables_unmap(&g->tables);
}

/* The loader's answer, which may be what we have. */
static void take(struct guard *g, const struct pst_fds *fds)
{
	PST_CLEANUP(guard_tables_unmap) struct guard_tables tables = {0};
	int e = guard_tables_map(fds, pst_now_mono_ns(), &tables);

	if (g->config.take)
		g->config.take(g->config.arg, fds);
	if (e == -ENOENT)
		drop_tables(g);
	else if (!e && !(guard_tables_mapped(&g->tables) && guard_tables_same(&g->tables, &tables)))
		guard_adopt(g, &tables);
}

static void ask_loader(struct guard *g, int timeout_ms)
{
	PST_CLEANUP(pst_fds_done) struct pst_fds fds = {0};
	int e = pst_fds_request(g->fds_path, timeout_ms, &fds);

	if (!e)
		take(g, &fds);
	else
		pst_debug("no tables from the loader path=%s error=\"%s\"", g->fds_path, strerror(-e));
}

/* Is it another file, or written since? */
static bool changed(const char *path, struct guard_stamp *stamp)
{
	struct guard_stamp now = {0};
	struct stat st;
	bool differs;

	if (!lstat(path, &st))
		now = (struct guard_stamp){.ino = st.st_ino, .changed = st.st_ctim};
	differs = now.ino != stamp->ino || now.changed.tv_sec != stamp->changed.tv_sec ||
		  now.changed.tv_nsec != stamp->changed.tv_nsec;
	*stamp = now;
	return differs && now.ino;
}

/* A loader that comes makes its socket anew; one that loads anew writes its report. */
static bool loader_changed(struct guard *g)
{
	bool fds = changed(g->fds_path, &g->fds_stamp), report = changed(g->report_path, &g->report_stamp);

	return fds || report;
}

/* Rules hold interfaces by number. */
static void follow_interfaces(struct guard *g)
{
	PST_CLEANUP(pst_conf_errors_done) struct pst_conf_errors errors = {0};
	int e;

	if (!ifnames_changed(&g->firewall.ifnames))
		return;
	e = firewall_renew(&g->firewall, &g->tables, &errors);
	g->followed->value++;
	g->reload_errors->value += e != 0;
	note(&g->firewall_error, e, &errors, "firewall");
	guard_commit(g);
}

static void on_second(void *arg)
{
	struct guard *g = arg;
	uint64_t now = pst_now_mono_ns();

	firewall_tick(&g->firewall, &g->tables);
	lists_tick(&g->lists);
	follow_interfaces(g);
	tell_attached(g);
	guard_floods(g, pst_now_boot_ns());
	guard_acts_tick(g);
	guard_ifaces_sweep(&g->tables, &g->firewall.ifnames, &g->gone, now);
	guard_flags_set(g, now);
	/* To compare maps a word of an idle half is written: not while somebody may read it. */
	if (guard_grace_left(&g->tables.firewall, now) || guard_grace_left(&g->tables.lists, now) ||
		guard_grace_left(&g->tables.signatures, now))
		return;
	if (loader_changed(g) || waits_for_loader(g) || (g->config.waits && g->config.waits(g->config.arg)))
		ask_loader(g, LATER_WAIT_MS);
}

static void first_tables(struct guard *g)
{
	PST_CLEANUP(pst_fds_done) struct pst_fds fds = {0};

	loader_changed(g);
	if (!pst_fds_inherited(&fds))
		take(g, &fds);
	else
		ask_loader(g, FIRST_WAIT_MS);
}

/* ---- the whole ---- */

static int init(struct guard *g)
{
	const struct guard_config *c = &g->config;
	int e;

	g->reloads = pst_counter("firewall_reloads", "times that the firewall's file was read");
	g->reload_errors = pst_counter("firewall_reload_errors", "of which refused");
	g->attached = pst_gauge("guard_attached",
		"interfaces on which packet programs look at the tables; 0: what is written is not enforced");
	g->followed = pst_counter("firewall_interface_changes",
		"times that the table was made anew, as an interface that "
		"rules name was made anew or renamed");
	g->lists_reloads = pst_counter("lists_reloads", "times that the allow and block lists were read");
	g->lists_errors = pst_counter("lists_reload_errors", "of which refused");
	g->signatures_reloads = pst_counter("signatures_reloads", "times that the signatures' file was read");
	g->signatures_errors = pst_counter("signatures_reload_errors", "of which refused");
	g->signatures.config = &c->ddos;
	g->floods = pst_gauge("floods", "floods that go on");
	g->floods_detected = pst_counter("floods_detected", "floods that began");
	if (asprintf(&g->fds_path, "%s/loader.fds", c->run_dir) < 0)
		g->fds_path = NULL;
	if (asprintf(&g->report_path, "%s/loader.json", c->run_dir) < 0)
		g->report_path = NULL;
	e = g->fds_path && g->report_path ? 0 : -ENOMEM;
	e = e ? e : firewall_open(&g->firewall, c->firewall, c->firewall_named, c->run_dir);
	e = e ? e : lists_open(&g->lists, &c->lists, c->run_dir);
	syn_open(&g->syn, c);
	e = e ? e : pst_loop_timer(g->loop, on_commit, g, &g->commit);
	e = e ? e : pst_loop_timer(g->loop, on_second, g, &g->second);
	return e ? e : guard_ops(g);
}

int guard_open(struct pst_loop *loop, struct pst_bus *bus, const struct guard_config *config,
	struct guard **ret_guard)
{
	struct guard *g = calloc(1, sizeof(*g));
	int e;

	if (!g)
		return -ENOMEM;
	*g = (struct guard){
		.loop = loop, .bus = bus, .config = *config, .firewall.ifnames.sock = -1, .syn.sysctl = -1};
	e = init(g);
	if (e) {
		guard_free(g);
		return e;
	}
	first_tables(g);
	if (!guard_tables_mapped(&g->tables))
		guard_reload(g, GUARD_ALL);
	pst_timer_arm(g->second, SECOND_NS, SECOND_NS);
	*ret_guard = g;
	return 0;
}

void guard_free(struct guard *g)
{
	if (!g)
		return;
	pst_source_free(g->commit);
	pst_source_free(g->second);
	firewall_close(&g->firewall);
	lists_close(&g->lists);
	syn_close(&g->syn);
	guard_tables_unmap(&g->tables);
	guard_totals_done(&g->totals);
	free(g->fds_path);
	free(g->report_path);
	free(g->firewall_error);
	free(g->lists_error);
	free(g->signatures_error);
	free(g);
}

int guard_check(const struct guard_config *config, struct pst_conf_errors *errors)
{
	int e = firewall_check(config->firewall, config->firewall_named, errors);
	int r = lists_check(&config->lists, errors);
	int s = signatures_check(&config->ddos, errors);

	return e || r || s ? -EINVAL : 0;
}

uint32_t guard_status(const struct guard *g, struct pst_buf *out)
{
	put_text(out, "firewall", firewall_state(&g->firewall, &g->tables));
	put_text(out, "firewall_error", g->firewall_error ? g->firewall_error : "");
	put_uint(out, "firewall_generation", guard_generation(&g->tables.firewall));
	put_uint(out, "firewall_rules", g->firewall.rules->value);
	put_text(out, "lists", lists_state(&g->lists, &g->tables));
	put_text(out, "lists_error", g->lists_error ? g->lists_error : "");
	put_uint(out, "lists_generation", guard_generation(&g->tables.lists));
	put_text(out, "signatures", signatures_state(&g->signatures, &g->tables));
	put_text(out, "signatures_error", g->signatures_error ? g->signatures_error : "");
	put_uint(out, "guard_attached", guard_attached(&g->tables));
	return 10;
}
