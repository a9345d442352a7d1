// SPDX-License-Identifier: Apache-2.0
#include "policyd/policy/force.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "policyd/policy/force_internal.h"
#include "proto/base/cleanup.h"
#include "proto/base/log.h"

#define SECOND_NS  1000000000ull
#define STATE_FILE "policyd.policies"

/* Why what an earlier process put in force stays. */
#define HELD_FILES "files of policies are not good, and what an earlier process put in force stays"
#define HELD_STATE                                                                                           \
	"what was applied cannot be read any more, and what an earlier process put in force stays: apply "   \
	"all of it with replace"

void force_note(struct force *f, int e, const struct pst_conf_errors *errors)
{
	free(f->error);
	f->error = NULL;
	if (!e)
		return;
	f->error = errors->text ? strndup(errors->text, strcspn(errors->text, "\n")) : strdup(strerror(-e));
	pst_conf_errors_log(errors);
	pst_error("policies not changed error=\"%s\"", errors->text ? "see above" : strerror(-e));
}

/* ---- files ---- */

static void log_warnings(const struct pst_conf_errors *warnings)
{
	for (const char *p = warnings->text; p && *p; p += strcspn(p, "\n"), p += *p == '\n')
		pst_warn("%.*s", (int)strcspn(p, "\n"), p);
}

/* All of them that are good; @e of those that are not. */
static int read_files(const struct force_config *c, struct pst_conf_errors *errors,
	struct pst_conf_errors *warnings, struct force_list *ret_list)
{
	PST_CLEANUP(force_reader_done) struct force_reader r = {0};
	PST_CLEANUP(pst_strs_done) struct pst_strs files = {0};
	int e = policy_files_maybe(c->files, c->files_named, errors, &files);

	for (size_t i = 0; i < files.n && e != -ENOMEM; i++) {
		int k = force_read_file(&r, files.v[i], errors, warnings);

		e = e ? e : k;
	}
	*ret_list = force_reader_take(&r, false);
	return e;
}

static int load(struct force *f, struct pst_conf_errors *errors)
{
	PST_CLEANUP(pst_conf_errors_done) struct pst_conf_errors warnings = {0};
	PST_CLEANUP(force_list_done) struct force_list files = {0}, list = {0};
	int e = read_files(&f->config, errors, &warnings, &files);

	log_warnings(&warnings);
	e = e ? e : force_list_merge(&files, force_latest(f), errors, &list);
	e = e ? e : force_list_mark(&list, force_latest(f));
	/* What is in force is better than what the kernel cannot do; at first there is nothing. */
	e = e ? e : force_build(f, &list, force_latest(f)->n && !f->held, errors);
	if (e)
		return e;
	force_list_done(&f->files);
	f->files = files;
	files = (struct force_list){0};
	if (f->held && !strcmp(f->held, HELD_FILES))
		f->held = NULL;
	return 0;
}

int force_reload(struct force *f)
{
	PST_CLEANUP(pst_conf_errors_done) struct pst_conf_errors errors = {0};
	int e = load(f, &errors);

	f->reloads->value++;
	f->reload_errors->value += e != 0;
	force_note(f, e, &errors);
	force_commit(f);
	return e;
}

/* What was applied is not forgotten when the files are too many for it. */
static int first_list(struct force *f, const struct force_list *by, struct pst_conf_errors *errors,
	struct force_list *ret_list)
{
	static const struct force_list none;
	struct pst_conf_errors unsaid = {0};
	int e = force_list_merge(&f->files, by, errors, ret_list);

	if (!e || e == -ENOMEM)
		return e;
	f->held = HELD_FILES;
	force_list_merge(&none, by, &unsaid, ret_list);
	pst_conf_errors_done(&unsaid);
	return e;
}

/* At first: files that are good, with what was changed by command. */
static int first_load(struct force *f, const struct force_list *by)
{
	PST_CLEANUP(pst_conf_errors_done) struct pst_conf_errors errors = {0}, warnings = {0};
	struct force_list list = {0};
	int e = read_files(&f->config, &errors, &warnings, &f->files), k;

	log_warnings(&warnings);
	f->held = e ? HELD_FILES : f->held;
	k = first_list(f, by, &errors, &list);
	e = e ? e : k;
	k = force_build(f, &list, false, &errors);
	if (k) { /* as when there are no tables: it is known, and waits */
		f->next.list = list;
		f->pending = true;
	}
	e = e ? e : k;
	f->reloads->value++;
	f->reload_errors->value += e != 0;
	force_note(f, e, &errors);
	return e == -ENOMEM ? e : 0;
}

/* ---- the saved state ---- */

void force_save(struct force *f)
{
	const struct force_state state = {
		.now = *force_latest(f), .before = f->before, .until_ns = f->until_ns, .for_s = f->for_s};

	saving_note(&f->saved, force_state_save(f->state_path, &state));
}

/* A deadline of another boot is not trusted: it is never further off than it was at first. */
static int first_state(struct force *f)
{
	PST_CLEANUP(force_state_done) struct force_state s = {0};
	int e = force_state_load(f->state_path, &s);

	if (e) {
		pst_error("policies that were applied by command are lost path=%s error=\"%s\"",
			f->state_path, strerror(-e));
		f->held = HELD_STATE;
	}
	if (!e && s.until_ns) {
		f->until_ns = PST_MIN(s.until_ns, pst_now_boot_ns() + s.for_s * SECOND_NS);
		f->for_s = s.for_s;
		f->before = s.before;
		s.before = (struct force_list){0};
	}
	return first_load(f, &s.now);
}

/* ---- on trial ---- */

void force_end_trial(struct force *f)
{
	force_list_done(&f->before);
	f->until_ns = f->for_s = f->before_serial = 0;
}

int force_revert(struct force *f, char *error, size_t size)
{
	PST_CLEANUP(pst_conf_errors_done) struct pst_conf_errors errors = {0};
	PST_CLEANUP(force_list_done) struct force_list list = {0};
	int e;

	if (!f->pending && f->undo && f->previous.serial == f->before_serial && !force_undo(f, error, size)) {
		force_end_trial(f);
		force_save(f);
		return 0;
	}
	e = force_list_merge(&f->files, &f->before, &errors, &list);
	e = e ? e : force_build(f, &list, false, &errors);
	if (e) {
		force_note(f, e, &errors);
		snprintf(error, size, "%s", f->error ? f->error : strerror(-e));
		return e;
	}
	force_end_trial(f);
	force_save(f);
	force_commit(f);
	return 0;
}

static void end_of_trial(struct force *f)
{
	char error[512];
	int e;

	pst_warn("nobody confirmed the policies on trial: those before come back");
	f->rollbacks->value++;
	e = force_revert(f, error, sizeof(error));
	if (e) /* again in a while, and not at each look */
		f->until_ns += 60 * SECOND_NS;
}

/* ---- each second ---- */

/* Weaker or stronger hooks: tables are made for those. */
static void follow_levels(struct force *f)
{
	PST_CLEANUP(pst_conf_errors_done) struct pst_conf_errors errors = {0};
	PST_CLEANUP(force_list_done) struct force_list list = {0};
	struct force_version *v = f->pending ? &f->next : &f->current;
	struct force_levels levels;
	int e;

	if (!force_tables_mapped(&f->tables) || force_tables_moved(&f->tables))
		return;
	levels = force_tables_levels(&f->tables);
	if (!memcmp(&levels, &v->levels, sizeof(levels)) || (!v->ready && f->pending))
		return;
	pst_info("hooks of policies are others than before: the tables are made anew");
	v->levels = levels; /* once, also if it fails */
	e = force_list_copy(&v->list, &list);
	e = e ? e : force_build(f, &list, false, &errors);
	if (e)
		force_note(f, e, &errors);
	force_commit(f);
}

static void show_cgroups(struct force *f)
{
	f->n_cgroups->value = f->cgroups ? cgroups_count(f->cgroups) : 0;
}

void force_tick(struct force *f, uint64_t now_boot_ns)
{
	force_uploads_expire(&f->uploads, pst_now_mono_ns());
	if (saving_due(&f->saved))
		force_save(f);
	follow_levels(f);
	force_look(f);
	if (f->until_ns && now_boot_ns >= f->until_ns)
		end_of_trial(f);
	show_cgroups(f);
}

static void on_second(void *arg)
{
	force_tick(arg, pst_now_boot_ns());
	force_look_at_inodes(arg);
}

static void on_commit(void *arg)
{
	force_commit(arg);
}

/* ---- the loader ---- */

bool force_waits(void *arg)
{
	const struct force *f = arg;

	return f->ask_again || force_tables_moved(&f->tables);
}

void force_take(void *arg, const struct pst_fds *fds)
{
	PST_CLEANUP(force_tables_unmap) struct force_tables tables = {0};
	struct force *f = arg;
	int e = force_tables_map(fds, pst_now_mono_ns(), &tables);
	bool mapped = force_tables_mapped(&f->tables);

	f->ask_again = false;
	if (e && e != -ENOENT)
		return;
	/* To compare maps a word of the idle half is written: not while somebody may read it. */
	if (mapped && guard_grace_left(&f->tables.half, pst_now_mono_ns())) {
		f->ask_again = true;
		return;
	}
	if (e ? !mapped : mapped && force_tables_same(&f->tables, &tables))
		return;
	force_adopt(f, &tables);
}

/* ---- the whole ---- */

static void register_stats(struct force *f)
{
	f->policies = pst_gauge("policies", "policies in force");
	f->rules = pst_gauge("policy_rules", "their rules");
	f->generation = pst_gauge("policy_generation", "number of the policies' tables in force, 0: none");
	f->inodes =
		pst_gauge("policy_inodes", "files and folders that rules name and that are known by inode");
	f->inodes_missed = pst_gauge("policy_inodes_missed",
		"those that are known by path alone: not to be looked at, or no room");
	f->weaker = pst_gauge("policy_rules_weaker", "rules of policies in force that do less than they "
						     "must, as the kernel cannot do it any more");
	f->applies = pst_counter("policy_changes", "times that policies were to be changed by command");
	f->apply_errors = pst_counter("policy_change_errors", "of which refused");
	f->reloads = pst_counter("policy_reloads", "times that the files of policies were read");
	f->reload_errors = pst_counter("policy_reload_errors", "of which refused");
	f->rollbacks = pst_counter("policy_trials_ended", "times that nobody confirmed policies on trial");
	f->mismatches = pst_counter("policy_verify_mismatches",
		"compiled tables of policies that differed from them and were not used");
	f->n_cgroups = pst_gauge("policy_cgroups", "cgroups that the tables of policies know");
	f->cgroups_missed = pst_counter(
		"policy_cgroups_missed", "cgroups that had no room there, and are treated as the one above");
}

int force_open(struct pst_loop *loop, struct pst_bus *bus, const struct force_config *config,
	struct force **ret_force)
{
	struct force *f = calloc(1, sizeof(*f));
	int e;

	if (!f)
		return -ENOMEM;
	*f = (struct force){.loop = loop, .bus = bus, .config = *config};
	register_stats(f);
	if (asprintf(&f->state_path, "%s/" STATE_FILE, config->run_dir) < 0)
		f->state_path = NULL;
	e = f->state_path ? 0 : -ENOMEM;
	if (!e)
		saving_open(&f->saved, f->state_path, "policies");
	e = e ? e : pst_loop_timer(loop, on_commit, f, &f->commit);
	e = e ? e : pst_loop_timer(loop, on_second, f, &f->second);
	e = e ? e : force_ops(f);
	e = e ? e : first_state(f);
	if (e) {
		force_free(f);
		return e;
	}
	pst_timer_arm(f->second, SECOND_NS, SECOND_NS);
	*ret_force = f;
	return 0;
}

void force_free(struct force *f)
{
	if (!f)
		return;
	pst_source_free(f->commit);
	pst_source_free(f->second);
	cgroups_free(f->cgroups);
	force_version_done(&f->current);
	force_version_done(&f->previous);
	force_drop_next(f);
	force_list_done(&f->files);
	force_list_done(&f->before);
	force_uploads_done(&f->uploads);
	force_tables_unmap(&f->tables);
	free(f->state_path);
	free(f->error);
	free(f->weaker_text);
	free(f);
}

int force_check(const struct force_config *config, struct pst_conf_errors *errors)
{
	PST_CLEANUP(pst_conf_errors_done) struct pst_conf_errors warnings = {0};
	PST_CLEANUP(force_list_done) struct force_list list = {0};
	struct force scratch = {0}; /* without tables: what this kernel can do is not asked */
	int e = read_files(config, errors, &warnings, &list);

	register_stats(&scratch);
	log_warnings(&warnings);
	e = e ? e : force_build(&scratch, &list, true, errors);
	force_drop_next(&scratch);
	return e ? -EINVAL : 0;
}

/* ---- what is told ---- */

const char *force_error(const struct force *f)
{
	if (f->error)
		return f->error;
	if (f->held)
		return f->held;
	if (f->weaker_text)
		return f->weaker_text;
	return force_is_blind(f) ? FORCE_BLIND : "";
}

static bool has_levels(const struct force *f)
{
	struct force_levels levels = force_tables_levels(&f->tables);

	for (unsigned i = 0; i < PST_OPS_MAX; i++)
		if (levels.of[i])
			return true;
	return false;
}

const char *force_state_name(const struct force *f)
{
	uint64_t generation = guard_generation(&f->tables.half);

	if (!generation && !force_latest(f)->n)
		return "off";
	if (!force_tables_mapped(&f->tables) || !has_levels(f))
		return "not enforced";
	if (f->pending || force_tables_moved(&f->tables))
		return "pending";
	if (generation != f->current.generation)
		return "not enforced";
	return generation ? "in force" : "off";
}

uint32_t force_status(const struct force *f, struct pst_buf *out)
{
	force_put_text(out, "policies_state", force_state_name(f));
	force_put_text(out, "policies_error", force_error(f));
	force_put_uint(out, "policies_generation", guard_generation(&f->tables.half));
	force_put_uint(out, "policies", f->current.list.n);
	force_put_uint(out, "policy_rules", f->rules->value);
	force_put_uint(out, "policy_rules_weaker", f->current.set.weaker);
	return 6;
}
