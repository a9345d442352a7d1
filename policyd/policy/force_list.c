// SPDX-License-Identifier: Apache-2.0
/* Sets of policies as they were written: read, put together. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "policyd/array.h"
#include "policyd/policy/force_internal.h"
#include "proto/base/cleanup.h"
#include "proto/base/log.h"

void force_policy_unref(struct force_policy *p)
{
	if (--p->refs)
		return;
	policy_free(p->policy);
	free(p->text);
	free(p);
}

void force_list_done(struct force_list *list)
{
	for (size_t i = 0; i < list->n; i++)
		force_policy_unref(list->v[i].p);
	free(list->v);
	*list = (struct force_list){0};
}

int force_list_add(struct force_list *list, const struct force_item *item)
{
	int e = array_room((void **)&list->v, &list->size, list->n, sizeof(*list->v));

	if (e)
		return e;
	item->p->refs++;
	list->v[list->n++] = *item;
	return 0;
}

int force_list_copy(const struct force_list *from, struct force_list *ret_list)
{
	PST_CLEANUP(force_list_done) struct force_list list = {0};
	int e = 0;

	for (size_t i = 0; i < from->n && !e; i++)
		e = force_list_add(&list, &from->v[i]);
	if (e)
		return e;
	*ret_list = list;
	list = (struct force_list){0};
	return 0;
}

struct force_item *force_list_find(const struct force_list *list, const char *name)
{
	for (size_t i = 0; i < list->n; i++)
		if (!strcmp(list->v[i].p->policy->name, name))
			return &list->v[i];
	return NULL;
}

/* ---- put together ---- */

static int index_names(const struct force_list *list, struct fw_names *names)
{
	int e = 0;

	for (size_t i = 0; i < list->n && !e; i++)
		e = fw_names_add(names, list->v[i].p->policy->name, (uint32_t)i);
	return e == -EEXIST ? -EINVAL : e;
}

static size_t elements_of(const struct policy_conds *conds)
{
	size_t n = 0;

	for (size_t i = 0; i < conds->n; i++)
		n += conds->v[i].n;
	return n;
}

/* Bounds that files alone and commands alone keep, but not both together. */
static int check_size(const struct force_list *list, struct pst_conf_errors *errors)
{
	size_t rules = 0, elements = 0;

	for (size_t i = 0; i < list->n; i++) {
		const struct policy *p = list->v[i].p->policy;

		rules += p->n;
		elements += elements_of(&p->scope);
		for (size_t k = 0; k < p->n; k++)
			elements += elements_of(&p->rules[k].conds);
	}
	if (list->n <= POLICY_POLICIES_MAX && rules <= POLICY_RULES_MAX && elements <= POLICY_ELEMENTS_MAX)
		return 0;
	pst_conf_error(errors, "policies", 0, 0,
		"all together are %zu with %zu rules and %zu values: expected at most %d, %d and %d", list->n,
		rules, elements, POLICY_POLICIES_MAX, POLICY_RULES_MAX, POLICY_ELEMENTS_MAX);
	return -E2BIG;
}

static int merge(const struct force_list *files, const struct force_list *by, const struct fw_names *names,
	struct force_list *list)
{
	int e = 0;

	for (size_t i = 0; i < files->n && !e; i++) {
		struct force_item item = files->v[i];
		uint32_t at;

		if (fw_names_find(names, item.p->policy->name, &at)) {
			if (by->v[at].applied) {
				pst_warn_limited(
					"a policy of a file does not count, as one of its name was applied "
					"policy=%s file=%s",
					item.p->policy->name, item.p->policy->file);
				continue;
			}
			item.moded = by->v[at].moded;
			item.mode = item.moded ? by->v[at].mode : item.mode;
		}
		e = force_list_add(list, &item);
	}
	for (size_t i = 0; i < by->n && !e; i++)
		e = by->v[i].applied ? force_list_add(list, &by->v[i]) : 0;
	return e;
}

int force_list_merge(const struct force_list *files, const struct force_list *by,
	struct pst_conf_errors *errors, struct force_list *ret_list)
{
	PST_CLEANUP(force_list_done) struct force_list list = {0};
	PST_CLEANUP(fw_names_done) struct fw_names names = {0};
	int e = index_names(by, &names);

	e = e ? e : merge(files, by, &names, &list);
	e = e ? e : check_size(&list, errors);
	if (e)
		return e;
	*ret_list = list;
	list = (struct force_list){0};
	return 0;
}

int force_list_unique(const struct force_list *a, const struct force_list *b, struct force_list *ret_list)
{
	PST_CLEANUP(fw_names_done) struct fw_names names = {0};
	PST_CLEANUP(force_list_done) struct force_list list = {0};
	int e = force_list_copy(a, &list);

	for (size_t i = 0; i < b->n && !e; i++)
		e = force_list_add(&list, &b->v[i]);
	e = e ? e : index_names(&list, &names);
	if (e)
		return e == -EINVAL ? -EBADMSG : e;
	*ret_list = list;
	list = (struct force_list){0};
	return 0;
}

int force_list_put(const struct force_list *list, const struct force_list *more, struct force_list *ret_list)
{
	PST_CLEANUP(force_list_done) struct force_list l = {0};
	PST_CLEANUP(fw_names_done) struct fw_names names = {0};
	int e = index_names(more, &names);
	uint32_t at;

	for (size_t i = 0; i < list->n && !e; i++)
		if (!fw_names_find(&names, list->v[i].p->policy->name, &at))
			e = force_list_add(&l, &list->v[i]);
	for (size_t i = 0; i < more->n && !e; i++)
		e = force_list_add(&l, &more->v[i]);
	if (e)
		return e;
	*ret_list = l;
	l = (struct force_list){0};
	return 0;
}

int force_list_mark(struct force_list *list, const struct force_list *old)
{
	PST_CLEANUP(fw_names_done) struct fw_names names = {0};
	int e = index_names(old, &names);
	uint32_t at;

	for (size_t i = 0; i < list->n && !e; i++) {
		struct force_item *item = &list->v[i];

		item->lenient = fw_names_find(&names, item->p->policy->name, &at) &&
				old->v[at].p == item->p && old->v[at].mode == item->mode;
	}
	return e;
}

/* ---- texts ---- */

/* "---" and "..." at a line's beginning are between documents, wherever they stand. */
static bool is_mark(const char *line, const char *end)
{
	return end - line >= 3 && (!memcmp(line, "---", 3) || !memcmp(line, "...", 3)) &&
	       (end - line == 3 || strchr(" \t\r\n", line[3]));
}

static const char *next_line(const char *at, const char *end)
{
	const char *newline = memchr(at, '\n', (size_t)(end - at));

	return newline ? newline + 1 : end;
}

/* Are lines what they are to a reader of YAML? It knows more ends of lines than one, and UTF-16. */
static bool has_plain_lines(const char *text, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		const unsigned char *p = (const unsigned char *)text + i;

		if (!*p || (*p == '\r' && (i + 1 == len || p[1] != '\n')) || *p >= 0xfe)
			return false;
		if (i + 1 < len && *p == 0xc2 && p[1] == 0x85)
			return false;
		if (i + 2 < len && *p == 0xe2 && p[1] == 0x80 && (p[2] == 0xa8 || p[2] == 0xa9))
			return false;
	}
	return true;
}

struct part {
	const char *text;
	size_t len;
	uint32_t line;
};

/* The document that @line is in; from @from on, which is where the one before ended. */
static struct part part_of(const char *end, const struct part *from, uint32_t line)
{
	struct part p = *from;
	const char *at = p.text;

	for (uint32_t n = p.line; at < end; n++) {
		const char *next = next_line(at, end);

		if (is_mark(at, end) && n > line)
			break;
		if (is_mark(at, end)) {
			p.line = n < line ? n + 1 : n;
			p.text = n < line ? next : at;
		}
		at = next;
	}
	p.len = (size_t)(at - p.text);
	return p;
}

static int add_part(struct force_reader *r, struct policy *policy, const struct part *part)
{
	struct force_policy *p = calloc(1, sizeof(*p));
	struct force_item item = {.p = p, .mode = policy->mode};
	int e;

	if (!p)
		return -ENOMEM;
	*p = (struct force_policy){.len = part->len, .line = part->line, .text = malloc(part->len + 1)};
	e = p->text ? force_list_add(&r->list, &item) : -ENOMEM;
	if (e) {
		free(p->text);
		free(p);
		return e;
	}
	memcpy(p->text, part->text, part->len);
	p->text[part->len] = 0;
	p->policy = policy;
	return 0;
}

static int add_parts(struct force_reader *r, const char *file, const char *text, size_t len, size_t first,
	struct pst_conf_errors *errors)
{
	struct part part = {text, len, 1};
	bool several = r->set.n - first > 1;
	int e = 0;

	if (several && !has_plain_lines(text, len)) {
		pst_conf_error(errors, file, 0, 0,
			"expected UTF-8 with lines that end in \\n, as there are several policies");
		return -EINVAL;
	}
	for (size_t i = first; i < r->set.n && !e; i++) {
		if (several)
			part = part_of(text + len, &part, r->set.v[i]->line);
		e = add_part(r, r->set.v[i], &part);
	}
	return e;
}

int force_read(struct force_reader *r, const char *file, const char *text, size_t len,
	struct pst_conf_errors *errors, struct pst_conf_errors *warnings)
{
	size_t first = r->set.n;
	int e = policy_parse(&r->set, file, text, len, errors, warnings);

	return e ? e : add_parts(r, file, text, len, first, errors);
}

int force_read_file(struct force_reader *r, const char *path, struct pst_conf_errors *errors,
	struct pst_conf_errors *warnings)
{
	PST_FREE char *bytes = NULL;
	size_t len = 0;
	int e = policy_read_bytes(path, errors, &bytes, &len);

	return e ? e : force_read(r, path, bytes, len, errors, warnings);
}

struct force_list force_reader_take(struct force_reader *r, bool applied)
{
	struct force_list list = r->list;

	for (size_t i = 0; i < list.n; i++)
		list.v[i].applied = applied;
	/* those of files that were refused are the set's */
	for (size_t i = 0, k = 0; i < r->set.n && k < list.n; i++)
		if (r->set.v[i] == list.v[k].p->policy) {
			r->set.v[i] = NULL;
			k++;
		}
	r->list = (struct force_list){0};
	policy_set_done(&r->set);
	return list;
}

void force_reader_done(struct force_reader *r)
{
	for (size_t i = 0; i < r->list.n; i++)
		r->list.v[i].p->policy = NULL;
	force_list_done(&r->list);
	policy_set_done(&r->set);
}
