// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "policyd/rules.h"

#define NAMES_MAX 512

static void add_ref(
	struct field_ref refs[RULE_REFS], uint8_t stage, unsigned index, const struct pst_field *field)
{
	for (unsigned i = 0; i < RULE_REFS; i++) {
		if (refs[i].field)
			continue;
		refs[i] = (struct field_ref){.stage = stage, .index = (uint8_t)index, .field = field};
		return;
	}
}

static void resolve(struct field_ref refs[RULE_REFS], const struct pst_kind *kind, const char *name)
{
	for (unsigned i = 0; i < kind->n_fields; i++)
		if (!strcmp(kind->fields[i].name, name))
			add_ref(refs, 0, i, &kind->fields[i]);
	for (unsigned i = 0; i < PST_ENR_N; i++)
		if (!strcmp(pst_enricher_fields[i].name, name))
			add_ref(refs, 1, i, &pst_enricher_fields[i]);
}

int named_field_init(struct named_field *f, const char *name)
{
	bool any = false;

	f->name = strdup(name);
	f->by_kind = calloc(KIND_MAX, sizeof(*f->by_kind));
	if (!f->name || !f->by_kind) {
		named_field_done(f);
		return -ENOMEM;
	}
	for (size_t k = 0; k < pst_n_kinds; k++) {
		if (pst_kinds[k].id >= KIND_MAX)
			continue;
		resolve(f->by_kind[pst_kinds[k].id], &pst_kinds[k], name);
		any |= f->by_kind[pst_kinds[k].id][0].field != NULL;
	}
	if (any)
		return 0;
	named_field_done(f);
	return -ENOENT;
}

void named_field_done(struct named_field *f)
{
	free(f->name);
	free(f->by_kind);
	*f = (struct named_field){0};
}

const struct pst_val *named_field_get(
	const struct named_field *f, const struct pst_event *e, const struct pst_field **ret_field)
{
	const struct field_ref *refs = f->by_kind[e->kind];

	for (unsigned i = 0; i < RULE_REFS && refs[i].field; i++) {
		const struct pst_val *v =
			refs[i].stage ? &e->enricher[refs[i].index] : &e->sensor[refs[i].index];

		*ret_field = refs[i].field;
		if (!pst_val_empty(v, refs[i].field))
			return v;
		/* A number that is 0 is a value (uid 0, error 0), unless another array has the field. */
		if (refs[i].field->type == PST_T_U || refs[i].field->type == PST_T_I)
			return v;
	}
	return NULL;
}

size_t named_field_names(const char *const **ret_names)
{
	static const char *names[NAMES_MAX];
	static size_t n;

	for (size_t k = 0; !n && k <= pst_n_kinds; k++) {
		const struct pst_field *fields = k < pst_n_kinds ? pst_kinds[k].fields : pst_enricher_fields;
		size_t count = k < pst_n_kinds ? pst_kinds[k].n_fields : PST_ENR_N;
		static size_t total;

		for (size_t i = 0; i < count && total < NAMES_MAX; i++)
			names[total++] = fields[i].name;
		if (k == pst_n_kinds)
			n = total;
	}
	*ret_names = names;
	return n;
}
