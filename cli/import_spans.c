// SPDX-License-Identifier: Apache-2.0
/* Sets of numbers, and what a rule takes: a set for each field. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cli/import_internal.h"

static const struct import_spans nothing; /* also what stands for a set when there is no memory */

/* ---- from a list ---- */

void import_list_done(struct import_list *list)
{
	free(list->v);
	*list = (struct import_list){0};
}

void import_list_add(struct import *im, struct import_list *list, import_value lo, import_value hi)
{
	if (list->n == list->room) {
		size_t room = list->room ? list->room * 2 : 16;
		struct import_span *v = reallocarray(list->v, room, sizeof(*v));

		if (!v) {
			im->error = im->error ? im->error : -ENOMEM;
			return;
		}
		list->v = v;
		list->room = room;
	}
	list->v[list->n++] = (struct import_span){lo, hi};
}

static int by_start(const void *a, const void *b)
{
	const struct import_span *x = a, *y = b;

	return x->lo < y->lo ? -1 : x->lo > y->lo;
}

static struct import_spans *spans_new(struct import *im, size_t n, import_value max)
{
	struct import_spans *s = NULL;

	im->work += n;
	if (im->work > IMPORT_WORK_MAX)
		im->error = im->error ? im->error : -E2BIG;
	else
		s = import_alloc(im, sizeof(*s) + n * sizeof(*s->v));
	if (s)
		s->max = max;
	return s;
}

static const struct import_spans *done(struct import *im, struct import_spans *s)
{
	import_trim(im, s, sizeof(*s) + s->n * sizeof(*s->v));
	return s;
}

const struct import_spans *import_spans_make(struct import *im, struct import_list *list, import_value max)
{
	struct import_spans *s;

	if (list->n)
		qsort(list->v, list->n, sizeof(*list->v), by_start);
	s = spans_new(im, list->n, max);
	for (size_t i = 0; s && i < list->n; i++) {
		struct import_span *last = s->n ? &s->v[s->n - 1] : NULL;

		if (last && (last->hi == max || list->v[i].lo <= last->hi + 1))
			last->hi = last->hi > list->v[i].hi ? last->hi : list->v[i].hi;
		else
			s->v[s->n++] = list->v[i];
	}
	return s ? done(im, s) : &nothing;
}

const struct import_spans *import_spans_one(
	struct import *im, import_value lo, import_value hi, import_value max)
{
	struct import_spans *s = spans_new(im, 1, max);

	if (!s)
		return &nothing;
	s->v[0] = (struct import_span){lo, hi};
	s->n = 1;
	return s;
}

/* ---- of two ---- */

const struct import_spans *import_spans_not(struct import *im, const struct import_spans *a)
{
	struct import_spans *s = spans_new(im, a->n + 1, a->max);
	import_value at = 0;

	if (!s)
		return &nothing;
	s->set = a->set;
	s->other = !a->other;
	for (size_t i = 0; i < a->n; i++) {
		if (a->v[i].lo > at)
			s->v[s->n++] = (struct import_span){at, a->v[i].lo - 1};
		if (a->v[i].hi == a->max)
			return done(im, s);
		at = a->v[i].hi + 1;
	}
	s->v[s->n++] = (struct import_span){at, a->max};
	return done(im, s);
}

const struct import_spans *import_spans_and(
	struct import *im, const struct import_spans *a, const struct import_spans *b)
{
	struct import_spans *s;

	if (!a || !b || a == b)
		return a ? a : b;
	s = spans_new(im, a->n + b->n, a->max);
	if (!s)
		return &nothing;
	for (size_t i = 0, k = 0; i < a->n && k < b->n;) {
		import_value lo = a->v[i].lo > b->v[k].lo ? a->v[i].lo : b->v[k].lo;
		import_value hi = a->v[i].hi < b->v[k].hi ? a->v[i].hi : b->v[k].hi;

		if (lo <= hi)
			s->v[s->n++] = (struct import_span){lo, hi};
		if (a->v[i].hi < b->v[k].hi)
			i++;
		else
			k++;
	}
	/* nothing was taken away: it is still the set that has a name */
	if (s->n == a->n && (!s->n || !memcmp(s->v, a->v, s->n * sizeof(*s->v))))
		return a;
	if (s->n == b->n && (!s->n || !memcmp(s->v, b->v, s->n * sizeof(*s->v))))
		return b;
	return done(im, s);
}

bool import_spans_has(const struct import_spans *spans, import_value value)
{
	for (size_t i = 0; spans && i < spans->n; i++)
		if (value >= spans->v[i].lo && value <= spans->v[i].hi)
			return true;
	return !spans;
}

static bool is_all(const struct import_spans *s)
{
	return s->n == 1 && s->v[0].lo == 0 && s->v[0].hi == s->max;
}

/* ---- conditions ---- */

bool import_cond_add(struct import *im, struct import_cond *cond, enum import_field field,
	const struct import_spans *spans)
{
	spans = import_spans_and(im, cond->f[field], spans);
	/* a VLAN tag with any id is not the same as none */
	cond->f[field] = spans && field != IMPORT_VLAN && is_all(spans) ? NULL : spans;
	return !spans || spans->n;
}

bool import_cond_and(struct import *im, struct import_cond *cond, const struct import_cond *with)
{
	for (int i = 0; i < IMPORT_FIELDS; i++)
		if (with->f[i] && !import_cond_add(im, cond, (enum import_field)i, with->f[i]))
			return false;
	return true;
}

void import_alts_and(struct import *im, const struct import_alts *alts, const struct import_cond *cond,
	struct import_alts *ret_alts)
{
	ret_alts->n = 0;
	for (unsigned i = 0; i < alts->n; i++) {
		ret_alts->v[ret_alts->n] = alts->v[i];
		ret_alts->n += import_cond_and(im, &ret_alts->v[ret_alts->n], cond);
	}
}

/* What of @from is not in @cond: it differs in the first field, or is the same there and differs in the
 * second, and so on. */
static bool subtract_one(struct import *im, struct import_alts *to, const struct import_cond *from,
	const struct import_cond *cond)
{
	struct import_cond same = *from;

	if (cond->f[IMPORT_VLAN] && !from->f[IMPORT_VLAN])
		return false; /* packets without a tag differ, and cannot be named */
	for (int i = 0; i < IMPORT_FIELDS; i++) {
		struct import_cond differs = same;
		enum import_field field = (enum import_field)i;

		if (!cond->f[i])
			continue;
		if (import_cond_add(im, &differs, field, import_spans_not(im, cond->f[i]))) {
			if (to->n == IMPORT_ALTS_MAX)
				return false;
			to->v[to->n++] = differs;
		}
		if (!import_cond_add(im, &same, field, cond->f[i]))
			break;
	}
	return true;
}

bool import_alts_subtract(struct import *im, struct import_alts *alts, const struct import_cond *cond)
{
	struct import_alts left = {.n = 0};

	for (unsigned i = 0; i < alts->n; i++)
		if (!subtract_one(im, &left, &alts->v[i], cond))
			return false;
	*alts = left;
	return true;
}
