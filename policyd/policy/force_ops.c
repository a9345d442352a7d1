// SPDX-License-Identifier: Apache-2.0
/* Requests that change policies (docs/policies.md has the ops). */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "policyd/guard/guard.h"
#include "policyd/policy/force_internal.h"
#include "proto/base/cleanup.h"
#include "proto/base/log.h"

#define SECOND_NS   1000000000ull
#define TRIAL_MAX_S (7 * 86400u)

static bool is_true(const msgpack_object *request, const char *key)
{
	const msgpack_object *o = pst_ctl_get(request, key);
	uint64_t number;

	if (pst_ctl_u64(request, key, &number))
		return number;
	return o && o->type == MSGPACK_OBJECT_BOOLEAN && o->via.boolean;
}

static bool text_id(const msgpack_object *request, char id[FORCE_ID_MAX + 1])
{
	uint64_t number;

	if (!pst_ctl_u64(request, "id", &number))
		return pst_ctl_text(request, "id", id, FORCE_ID_MAX + 1);
	snprintf(id, FORCE_ID_MAX + 1, "%llu", (unsigned long long)number);
	return true;
}

/* The first message, and how many there are. */
static int refuse(int e, const struct pst_conf_errors *errors, char *error, size_t size)
{
	const char *text = errors->text ? errors->text : strerror(-e);
	int n = (int)strcspn(text, "\n");

	if (errors->count > 1)
		snprintf(error, size, "%.*s (and %u more)", PST_MIN(n, 440), text, errors->count - 1);
	else
		snprintf(error, size, "%.*s", n, text);
	return e;
}

static void put_warnings(struct pst_buf *out, const struct force *f, const struct pst_conf_errors *warnings)
{
	uint32_t n = 0;

	for (const char *p = warnings->text; p && *p; p += strcspn(p, "\n"), p += *p == '\n')
		n++;
	pst_mp_str(out, "warnings");
	pst_mp_array(out, n + force_is_blind(f));
	if (force_is_blind(f))
		pst_mp_str(out, FORCE_BLIND);
	for (const char *p = warnings->text; p && *p; p += strcspn(p, "\n"), p += *p == '\n') {
		char line[512];

		snprintf(line, sizeof(line), "%.*s", (int)strcspn(p, "\n"), p);
		pst_mp_str(out, line);
	}
}

static int answer(const struct force *f, const struct pst_conf_errors *warnings, struct pst_buf *reply)
{
	char unsaved[512];

	saving_warning(&f->saved, unsaved, sizeof(unsaved));
	pst_mp_map(reply, 6);
	pst_mp_str(reply, "ok");
	pst_mp_bool(reply, true);
	force_put_text(reply, "state", force_state_name(f));
	force_put_uint(reply, "generation", guard_generation(&f->tables.half));
	force_put_uint(reply, "until_s", force_seconds_left(f));
	force_put_text(reply, "warning", unsaved);
	put_warnings(reply, f, warnings);
	return 0;
}

/* ---- what is not done ---- */

static int on_trial(const struct force *f, char *error, size_t size)
{
	if (!f->until_ns)
		return 0;
	snprintf(error, size, "policies are on trial: confirm them or roll them back first");
	return -EBUSY;
}

static int is_held(const struct force *f, bool replace, char *error, size_t size)
{
	if (!f->held || replace)
		return 0;
	snprintf(error, size, "%s%s%s", f->held, f->error ? ": " : "", f->error ? f->error : "");
	return -EBUSY;
}

/* Nobody locks himself out of a host without having said so. */
static int spares_host(const struct force_item *item, char *error, size_t size)
{
	const struct policy *p = item->p->policy;
	const struct policy_rule *rule = item->mode == POLICY_ENFORCE ? policy_holds_host(p) : NULL;

	if (!rule)
		return 0;
	snprintf(error, size,
		"%s:%u:%u: the rule \"%s\" can %s any process of the host, as the policy \"%s\" has %s: "
		"expected a scope, "
		"mode: audit, or that the request says host",
		p->file, rule->line, rule->column, rule->name,
		rule->action == PST_ACT_KILL ? "kill" : "hold up", p->name,
		p->scope.n ? "a scope that leaves none out" : "none");
	return -EPERM;
}

/* @list, which is taken, takes the place of what is or was to be in force. */
static int change(struct force *f, struct force_list *list, char *error, size_t size)
{
	PST_CLEANUP(pst_conf_errors_done) struct pst_conf_errors errors = {0};
	int e = force_list_mark(list, force_latest(f));

	e = e ? e : force_build(f, list, true, &errors);
	if (e)
		return refuse(e, &errors, error, size);
	force_commit(f);
	force_save(f);
	return 0;
}

/* ---- upload ---- */

/* {id, file, text, more} */
static int on_upload(
	void *arg, const msgpack_object *request, struct pst_buf *reply, char *error, size_t size)
{
	static const struct pst_conf_errors none;
	const msgpack_object *text = pst_ctl_get(request, "text");
	char id[FORCE_ID_MAX + 1], file[FORCE_FILE_MAX + 1];
	struct force *f = arg;
	int e = guard_check_user(f->bus, error, size);

	if (e)
		return e;
	if (!text_id(request, id) || !pst_ctl_text(request, "file", file, sizeof(file)) || !text ||
		(text->type != MSGPACK_OBJECT_STR && text->type != MSGPACK_OBJECT_BIN)) {
		snprintf(error, size, "expected id, file (at most %d bytes) and text", FORCE_FILE_MAX);
		return -EINVAL;
	}
	snprintf(error, size, "out of memory");
	e = force_upload_put(&f->uploads, id, file, text->via.bin.ptr, text->via.bin.size,
		is_true(request, "more"), pst_now_mono_ns(), error, size);
	return e ? e : answer(f, &none, reply);
}

/* ---- apply ---- */

static int check_applied(const struct force *f, const struct force_list *more, bool host,
	struct pst_conf_errors *warnings, char *error, size_t size)
{
	int e = 0;

	for (size_t i = 0; i < more->n && !e && !host; i++)
		e = spares_host(&more->v[i], error, size);
	for (size_t i = 0; i < more->n && !e; i++) {
		const struct policy *p = more->v[i].p->policy;
		const struct force_item *file = force_list_find(&f->files, p->name);

		if (file)
			pst_conf_error(warnings, p->file, p->line, 0,
				"the policy \"%s\" counts in the place of the one in %s:%u", p->name,
				file->p->policy->file, file->p->policy->line);
	}
	force_warn(more, warnings);
	return e;
}

/* The uploaded ones with those of files, and with the others that were applied unless @replace. */
static int set_with(const struct force *f, const struct force_list *more, bool replace,
	struct pst_conf_errors *errors, struct force_list *ret_list)
{
	static const struct force_list none;
	PST_CLEANUP(force_list_done) struct force_list all = {0};
	int e = force_list_put(replace ? &none : force_latest(f), more, &all);

	return e ? e : force_list_merge(&f->files, &all, errors, ret_list);
}

/* For so long, then it is as it is now, unless somebody says that it is good. */
static int begin_trial(struct force *f, uint64_t for_s)
{
	if (!f->until_ns) {
		int e = force_list_copy(force_latest(f), &f->before);

		if (e)
			return e;
		f->before_serial = f->pending ? f->next.serial : f->current.serial;
	}
	f->until_ns = pst_now_boot_ns() + for_s * SECOND_NS;
	f->for_s = for_s;
	return 0;
}

static int apply(struct force *f, const msgpack_object *request, struct force_list *more,
	struct pst_conf_errors *warnings, char *error, size_t size)
{
	PST_CLEANUP(pst_conf_errors_done) struct pst_conf_errors errors = {0};
	PST_CLEANUP(force_list_done) struct force_list list = {0};
	bool replace = is_true(request, "replace"), fresh = !f->until_ns;
	uint64_t for_s = 0, until_ns = f->until_ns, was_s = f->for_s;
	int e;

	pst_ctl_u64(request, "for_s", &for_s);
	if (for_s > TRIAL_MAX_S) {
		snprintf(error, size, "for_s: expected at most %u, a week", TRIAL_MAX_S);
		return -EINVAL;
	}
	e = for_s ? 0 : on_trial(f, error, size);
	e = e ? e : is_held(f, replace, error, size);
	e = e ? e : check_applied(f, more, is_true(request, "host"), warnings, error, size);
	if (e)
		return e;
	e = set_with(f, more, replace, &errors, &list);
	if (e)
		return refuse(e, &errors, error, size);
	e = for_s ? begin_trial(f, for_s) : 0;
	if (!e) {
		const char *held = f->held;

		f->held = NULL;
		e = change(f, &list, error, size);
		f->held = e ? held : NULL;
	}
	if (!e || !for_s)
		return e;
	if (fresh)
		force_end_trial(f);
	f->until_ns = until_ns;
	f->for_s = was_s;
	return e;
}

/* {id, host, for_s, replace} */
static int on_apply(
	struct force *f, const msgpack_object *request, struct pst_buf *reply, char *error, size_t size)
{
	PST_CLEANUP(pst_conf_errors_done) struct pst_conf_errors errors = {0}, warnings = {0};
	PST_CLEANUP(force_list_done) struct force_list more = {0};
	char id[FORCE_ID_MAX + 1];
	struct force_upload *u;
	int e;

	u = text_id(request, id) && *id ? force_upload_find(&f->uploads, id) : NULL;
	if (!u) {
		snprintf(error, size,
			"expected id, that of policies that were uploaded in the last %d seconds",
			FORCE_UPLOAD_S);
		return -EINVAL;
	}
	e = force_upload_read(u, &errors, &warnings, &more);
	e = e ? refuse(e, &errors, error, size) : apply(f, request, &more, &warnings, error, size);
	if (e)
		return e;
	force_upload_drop(u);
	return answer(f, &warnings, reply);
}

/* {} */
static int on_confirm(
	struct force *f, const msgpack_object *request, struct pst_buf *reply, char *error, size_t size)
{
	static const struct pst_conf_errors none;
	(void)request;
	if (!f->until_ns) {
		snprintf(error, size, "no policies are on trial");
		return -ENOENT;
	}
	force_end_trial(f);
	force_save(f);
	return answer(f, &none, reply);
}

/* What is in force, instead of what waits to be; or what was before it. */
static int go_back(struct force *f, char *error, size_t size)
{
	if (f->until_ns)
		return force_revert(f, error, size);
	if (!f->pending || !f->current.serial)
		return force_undo(f, error, size);
	force_drop_next(f);
	return 0;
}

/* {} */
static int on_rollback(
	struct force *f, const msgpack_object *request, struct pst_buf *reply, char *error, size_t size)
{
	static const struct pst_conf_errors none;
	int e = is_held(f, false, error, size);

	(void)request;
	e = e ? e : go_back(f, error, size);
	if (e)
		return e;
	force_save(f);
	return answer(f, &none, reply);
}

/* ---- one by one ---- */

static int find(const struct force_list *list, const char *name, struct force_item **ret_item, char *error,
	size_t size)
{
	*ret_item = force_list_find(list, name);
	if (*ret_item)
		return 0;
	snprintf(error, size, "there is no policy \"%.64s\"", name);
	return -ENOENT;
}

/* {name, mode, host} */
static int on_mode(
	struct force *f, const msgpack_object *request, struct pst_buf *reply, char *error, size_t size)
{
	PST_CLEANUP(pst_conf_errors_done) struct pst_conf_errors warnings = {0};
	PST_CLEANUP(force_list_done) struct force_list list = {0};
	char name[POLICY_NAME_MAX + 1], word[16];
	struct force_item *item;
	unsigned mode;
	int e = on_trial(f, error, size);

	e = e ? e : is_held(f, false, error, size);
	if (e)
		return e;
	if (!pst_ctl_text(request, "name", name, sizeof(name)) ||
		!pst_ctl_text(request, "mode", word, sizeof(word)) ||
		!policy_word(&policy_modes, word, &mode)) {
		snprintf(error, size, "expected name, and mode: enforce, audit or off");
		return -EINVAL;
	}
	snprintf(error, size, "out of memory");
	e = force_list_copy(force_latest(f), &list);
	e = e ? e : find(&list, name, &item, error, size);
	if (e)
		return e;
	item->mode = (enum policy_mode)mode;
	item->moded = item->mode != item->p->policy->mode;
	e = is_true(request, "host") ? 0 : spares_host(item, error, size);
	e = e ? e : change(f, &list, error, size);
	return e ? e : answer(f, &warnings, reply);
}

/* Without this name; that of a file comes back as it is written there. */
static int delete_one(struct force_list *list, const char *name, char *error, size_t size)
{
	struct force_item *item;
	int e = find(list, name, &item, error, size);

	if (e)
		return e;
	if (!item->applied && !item->moded) {
		snprintf(error, size, "the policy \"%s\" is of the file %s: it is deleted there", name,
			item->p->policy->file);
		return -EINVAL;
	}
	force_policy_unref(item->p);
	memmove(item, item + 1, (size_t)(list->v + list->n - item - 1) * sizeof(*item));
	list->n--;
	return 0;
}

/* {names} */
static int on_delete(
	struct force *f, const msgpack_object *request, struct pst_buf *reply, char *error, size_t size)
{
	PST_CLEANUP(pst_conf_errors_done) struct pst_conf_errors errors = {0}, warnings = {0};
	PST_CLEANUP(force_list_done) struct force_list list = {0}, all = {0};
	const msgpack_object *names = pst_ctl_get(request, "names");
	int e = on_trial(f, error, size);

	e = e ? e : is_held(f, false, error, size);
	if (e)
		return e;
	if (!names || names->type != MSGPACK_OBJECT_ARRAY || !names->via.array.size) {
		snprintf(error, size, "expected names, a list of policies");
		return -EINVAL;
	}
	snprintf(error, size, "out of memory");
	e = force_list_copy(force_latest(f), &list);
	for (uint32_t i = 0; i < names->via.array.size && !e; i++) {
		const msgpack_object *o = &names->via.array.ptr[i];
		char name[POLICY_NAME_MAX + 1] = "";

		if (o->type == MSGPACK_OBJECT_STR || o->type == MSGPACK_OBJECT_BIN)
			snprintf(name, sizeof(name), "%.*s", (int)PST_MIN(o->via.str.size, 100u),
				o->via.str.ptr);
		e = delete_one(&list, name, error, size);
	}
	if (e)
		return e;
	e = force_list_merge(&f->files, &list, &errors, &all);
	e = e ? refuse(e, &errors, error, size) : change(f, &all, error, size);
	return e ? e : answer(f, &warnings, reply);
}

/* ---- all ---- */

static int on_change(
	void *arg, const msgpack_object *request, struct pst_buf *reply, char *error, size_t size)
{
	const struct force_change *c = arg;
	int e = guard_check_user(c->force->bus, error, size);

	if (e)
		return e;
	e = c->fn(c->force, request, reply, error, size);
	c->force->applies->value++;
	c->force->apply_errors->value += e != 0;
	return e;
}

int force_ops(struct force *f)
{
	static const struct {
		const char *name;
		force_change_fn *fn;
	} changes[FORCE_CHANGES] = {
		{"policy_apply", on_apply},
		{"policy_confirm", on_confirm},
		{"policy_rollback", on_rollback},
		{"policy_mode", on_mode},
		{"policy_delete", on_delete},
	};
	int e = pst_ctl_handle(f->bus, "policy_upload", on_upload, f);

	for (size_t i = 0; !e && i < FORCE_CHANGES; i++) {
		f->changes[i] = (struct force_change){f, changes[i].fn};
		e = pst_ctl_handle(f->bus, changes[i].name, on_change, &f->changes[i]);
	}
	e = e ? e : pst_ctl_handle(f->bus, "policy_list", force_on_list, f);
	return e ? e : pst_ctl_handle(f->bus, "policy_show", force_on_show, f);
}
