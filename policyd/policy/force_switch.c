// SPDX-License-Identifier: Apache-2.0
/* Tables of a set: made in memory of our own, proven, and then put in force by one store; or what was before.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "policyd/policy/force_internal.h"
#include "proto/base/cleanup.h"
#include "proto/base/log.h"

#define VERIFY_ACTS 20000 /* at most */

void force_version_done(struct force_version *v)
{
	policy_tables_free(v->tables);
	force_set_done(&v->set);
	force_list_done(&v->list);
	*v = (struct force_version){0};
}

static void staged_done(struct force_staged *s)
{
	pst_shm_unmap(&s->lines);
	pst_shm_unmap(&s->paths);
	*s = (struct force_staged){0};
}

void force_drop_next(struct force *f)
{
	force_version_done(&f->next);
	staged_done(&f->staged);
	f->pending = false;
}

/* ---- cgroups ---- */

static void set_cgroup(struct force *f, struct policy_tables *t, uint64_t id, const char *path)
{
	int e = 0;

	if (!t)
		return;
	if (path)
		e = policy_cgroup_set(t, id, path);
	else
		policy_cgroup_forget(t, id);
	if (!e)
		return;
	f->cgroups_missed->value++;
	pst_warn_limited("a cgroup is treated as the one above path=%s error=\"%s\"", path, strerror(-e));
}

/* In all that is in force, was, or is about to be. */
static void on_cgroup(void *arg, uint64_t id, const char *path)
{
	struct force *f = arg;

	set_cgroup(f, f->current.tables, id, path);
	set_cgroup(f, f->undo ? f->previous.tables : NULL, id, path);
	set_cgroup(f, f->next.tables, id, path);
}

struct filling {
	struct force *force;
	struct policy_tables *tables;
};

static void fill_cgroup(void *arg, uint64_t id, const char *path)
{
	const struct filling *filling = arg;

	set_cgroup(filling->force, filling->tables, id, path);
}

static int see_cgroups(struct force *f)
{
	if (f->cgroups)
		return 0;
	if (!f->config.cgroup_root)
		return -ENOENT;
	return cgroups_open(f->loop, f->config.cgroup_root, on_cgroup, f, &f->cgroups);
}

static void fill_cgroups(struct force *f, struct policy_tables *t)
{
	struct filling filling = {f, t};
	int e;

	if (!policy_tables_ask_cgroups(t))
		return;
	e = see_cgroups(f);
	if (!e)
		cgroups_each(f->cgroups, fill_cgroup, &filling);
	else
		pst_error(FORCE_BLIND " root=%s error=\"%s\"",
			f->config.cgroup_root ? f->config.cgroup_root : "(none)", strerror(-e));
}

bool force_is_blind(const struct force *f)
{
	const struct policy_tables *t = f->pending ? f->next.tables : f->current.tables;

	return t && !f->cgroups && policy_tables_ask_cgroups(t);
}

void force_look(struct force *f)
{
	if (force_is_blind(f) && !see_cgroups(f))
		pst_info("cgroups can be seen now cgroups=%zu", cgroups_count(f->cgroups));
}

/* ---- made ---- */

static int stage(struct force_staged *s, struct policy_room *ret_room)
{
	int e = pst_shm_fake(sizeof(union pst_line), PST_POL_LINES, &s->lines);

	e = e ? e : pst_shm_fake(sizeof(union pst_line), PST_PATHS_LINES, &s->paths);
	*ret_room = (struct policy_room){s->lines.base, s->paths.base, PST_POL_LINES, PST_PATHS_LINES};
	return e;
}

/* The tables say what the policies say, or they do not come into force. */
static int verify(struct force *f, struct policy_tables *t, struct pst_conf_errors *errors)
{
	PST_FREE struct policy_sample *sample = malloc(sizeof(*sample));
	size_t acts = VERIFY_ACTS;

	if (!sample)
		return -ENOMEM;
	if (policy_verify(t, &acts, f->serial, sample))
		return 0;
	f->mismatches->value++;
	pst_conf_error(errors, "policies", 0, 0,
		"the tables that were made of them differ from them (%s): this is a bug of penstock-policyd, "
		"please report "
		"the policies",
		policy_op_name(sample->act.op) ? policy_op_name(sample->act.op) : "paths");
	return -EILSEQ;
}

/* Without the loader's tables nothing is known of the kernel, and all is looked at as if it could do all. */
static struct force_levels levels_of(const struct force *f)
{
	struct force_levels levels;

	if (force_tables_mapped(&f->tables))
		return force_tables_levels(&f->tables);
	memset(levels.of, PST_LEVEL_DENY, sizeof(levels.of));
	return levels;
}

static int compile(
	struct force *f, struct force_version *v, struct force_staged *s, struct pst_conf_errors *errors)
{
	static const uint64_t nowhere[2] = {0x9e3779b97f4a7c15, 0xff51afd7ed558ccd};
	const struct pst_policy *page = force_page(&f->tables);
	uint64_t seed[2] = {page ? page->key[0] : nowhere[0], page ? page->key[1] : nowhere[1]};
	struct policy_room room;
	int e = stage(s, &room);

	e = e ? e : policy_compile(&v->set.set, &room, 1, seed, errors, &v->tables);
	e = e ? e : verify(f, v->tables, errors);
	if (e && !errors->count)
		pst_conf_error(errors, "policies", 0, 0, "%s", strerror(-e));
	return e;
}

/* What the tables need to know beside the policies. */
static void fill(struct force *f, struct force_version *v)
{
	fill_cgroups(f, v->tables);
	force_see_inodes(f, v->tables);
}

static int make(struct force *f, struct force_version *v, struct force_staged *s, bool strict,
	struct pst_conf_errors *errors)
{
	struct pst_conf_errors lacks = {0};
	int e;

	v->levels = levels_of(f);
	e = force_set_make(&v->list, &v->levels, strict, strict ? errors : &lacks, &v->set);
	if (!strict && e && lacks.text)
		pst_conf_error(errors, "policies", 0, 0, "%.*s", (int)strcspn(lacks.text, "\n"), lacks.text);
	pst_conf_errors_done(&lacks);
	if (e || !v->set.set.n_rules)
		return e;
	e = compile(f, v, s, errors);
	if (!e && force_tables_mapped(&f->tables))
		fill(f, v);
	return e;
}

int force_build(struct force *f, struct force_list *list, bool strict, struct pst_conf_errors *errors)
{
	struct force_version v = {.list = *list, .serial = ++f->serial};
	struct force_staged staged = {0};
	int e = make(f, &v, &staged, strict, errors);

	if (e) {
		v.list = (struct force_list){0};
		force_version_done(&v);
		staged_done(&staged);
		return e;
	}
	*list = (struct force_list){0};
	v.ready = force_tables_mapped(&f->tables);
	if (!v.ready) {
		policy_tables_free(PST_TAKE_PTR(v.tables));
		staged_done(&staged);
	}
	force_drop_next(f);
	f->next = v;
	f->staged = staged;
	f->pending = true;
	return 0;
}

/* ---- in force ---- */

static void show(struct force *f)
{
	f->policies->value = f->current.list.n;
	f->rules->value = f->current.set.set.n_rules;
	f->generation->value = guard_generation(&f->tables.half);
	f->weaker->value = f->current.set.weaker;
}

/* Rules that are held against a weaker kernel than they must have: never without a word. */
static void tell_weaker(struct force *f)
{
	PST_CLEANUP(pst_conf_errors_done) struct pst_conf_errors lacks = {0};
	PST_CLEANUP(force_set_done) struct force_set set = {0};

	free(f->weaker_text);
	f->weaker_text = NULL;
	if (!f->current.set.weaker)
		return;
	force_set_make(&f->current.list, &f->current.levels, false, &lacks, &set);
	pst_error(
		"policies are weaker than they must be: what the kernel can do of them is in force rules=%u",
		f->current.set.weaker);
	pst_conf_errors_log(&lacks);
	f->weaker_text = lacks.text ? strndup(lacks.text, strcspn(lacks.text, "\n")) : NULL;
}

static void publish(struct force *f, uint64_t now_ns)
{
	uint64_t generation = guard_next_generation(&f->tables.half);
	struct policy_room room = force_tables_room(&f->tables, generation);

	f->undo = false; /* its half, if it has one, is written to */
	force_tables_label(&f->tables, f->next.tables, generation);
	policy_tables_move(f->next.tables, &room, (uint32_t)generation);
	guard_switch(&f->tables.half, generation, now_ns);
	f->next.generation = generation;
	pst_info("policies in force policies=%zu rules=%zu generation=%llu", f->next.list.n,
		f->next.set.set.n_rules, (unsigned long long)generation);
}

static bool moved(struct force *f)
{
	bool is = force_tables_moved(&f->tables);

	if (is && !f->moved_told)
		pst_info("the loader makes other tables of policies: what changes comes into force in those");
	f->moved_told = is;
	return is;
}

void force_commit(struct force *f)
{
	uint64_t now = pst_now_mono_ns(), was = guard_generation(&f->tables.half), left;

	if (!f->pending || !f->next.ready || f->held || moved(f))
		return;
	left = f->next.tables ? guard_grace_left(&f->tables.half, now) : 0;
	if (left) {
		pst_timer_arm(f->commit, left, 0);
		return;
	}
	if (f->next.tables)
		publish(f, now);
	else if (was)
		guard_switch_off(&f->tables.half, now);
	force_version_done(&f->previous);
	f->previous = f->current;
	f->current = f->next;
	f->next = (struct force_version){0};
	f->undo = was == f->previous.generation && f->previous.serial;
	force_drop_next(f);
	show(f);
	tell_weaker(f);
}

int force_undo(struct force *f, char *error, size_t size)
{
	struct force_version was = f->current;

	if (!f->undo || f->pending) {
		snprintf(error, size, "there is nothing to go back to: %s",
			f->pending ? "a change is about to come into force"
				   : "nothing was changed since penstock-policyd was started or got these "
				     "tables");
		return -ENOENT;
	}
	if (force_tables_moved(&f->tables) || guard_generation(&f->tables.half) != f->current.generation) {
		snprintf(error, size, "what is in force was written by another: apply the policies anew");
		return -EBUSY;
	}
	guard_switch_back(&f->tables.half, f->previous.generation, pst_now_mono_ns());
	f->current = f->previous;
	f->previous = was;
	if (f->current.tables)
		force_see_inodes(f, f->current.tables);
	pst_info("policies in force as before policies=%zu generation=%llu", f->current.list.n,
		(unsigned long long)f->current.generation);
	show(f);
	tell_weaker(f);
	return 0;
}

/* ---- other tables ---- */

/* What is made was for tables that are gone. */
static void forget_tables(struct force *f)
{
	struct force_list latest = {0};

	if (f->pending) {
		latest = f->next.list;
		f->next.list = (struct force_list){0};
	} else {
		latest = f->current.list;
		f->current.list = (struct force_list){0};
	}
	force_version_done(&f->current);
	force_version_done(&f->previous);
	force_drop_next(f);
	f->undo = false;
	f->next.list = latest;
	f->pending = true;
	force_tables_unmap(&f->tables);
}

void force_adopt(struct force *f, struct force_tables *tables)
{
	PST_CLEANUP(pst_conf_errors_done) struct pst_conf_errors errors = {0};
	struct force_list list;
	int e;

	forget_tables(f);
	f->tables = *tables;
	*tables = (struct force_tables){0};
	show(f);
	if (!force_tables_mapped(&f->tables)) {
		pst_info("no policies in force any more: the loader has no tables of them");
		return;
	}
	pst_info("tables of policies are there generation=%llu",
		(unsigned long long)guard_generation(&f->tables.half));
	if (f->held && !guard_generation(&f->tables.half))
		f->held = NULL; /* nothing is in force: what is good is better than that */
	list = f->next.list;
	f->next.list = (struct force_list){0};
	e = force_build(f, &list, false, &errors);
	if (e) {
		f->next.list = list;
		force_note(f, e, &errors);
	}
	force_commit(f);
}
