// SPDX-License-Identifier: Apache-2.0
/* Fields of an event by their JSON names: one small hash table a kind, and one for what the other stages add.
 */
#include "proto/base/cleanup.h"
#include "proto/wire/event.h"

#define SLOTS     128 /* more than twice the most names, so that probes are short */
#define KINDS_MAX 64

static uint8_t by_kind[KINDS_MAX][SLOTS]; /* index of the field + 1; 0: free */
static uint8_t added[SLOTS];              /* enricher's, then policyd's */

static unsigned hash(const char *name)
{
	uint32_t h = 2166136261u; /* FNV-1a */

	for (; *name; name++)
		h = (h ^ (uint8_t)*name) * 16777619u;
	return h ^ h >> 15;
}

static void insert(uint8_t slots[SLOTS], const char *name, unsigned index)
{
	unsigned i = hash(name) % SLOTS;

	while (slots[i])
		i = (i + 1) % SLOTS;
	slots[i] = (uint8_t)(index + 1);
}

__attribute__((constructor)) static void fill(void)
{
	_Static_assert(
		PST_SENSOR_FIELDS_MAX <= SLOTS / 2 && PST_ENR_N + PST_POL_N <= SLOTS / 2, "tables too small");

	for (size_t k = 0; k < pst_n_kinds && k < KINDS_MAX; k++)
		for (unsigned f = 0; f < pst_kinds[k].n_fields; f++)
			insert(by_kind[k], pst_kinds[k].fields[f].name, f);
	for (unsigned f = 0; f < PST_ENR_N; f++)
		insert(added, pst_enricher_fields[f].name, f);
	for (unsigned f = 0; f < PST_POL_N; f++)
		insert(added, pst_policyd_fields[f].name, PST_ENR_N + f);
}

static const struct pst_field *added_field(unsigned index)
{
	return index < PST_ENR_N ? &pst_enricher_fields[index] : &pst_policyd_fields[index - PST_ENR_N];
}

static const struct pst_val *sensor_field(
	const struct pst_event *event, const char *name, unsigned h, const struct pst_field **ret_field)
{
	size_t k = event->desc ? (size_t)(event->desc - pst_kinds) : KINDS_MAX;

	if (k >= KINDS_MAX)
		return NULL;
	for (unsigned i = h % SLOTS; by_kind[k][i]; i = (i + 1) % SLOTS) {
		unsigned f = by_kind[k][i] - 1u;

		if (!strcmp(event->desc->fields[f].name, name)) {
			*ret_field = &event->desc->fields[f];
			return &event->sensor[f];
		}
	}
	return NULL;
}

static const struct pst_val *added_value(
	const struct pst_event *event, const char *name, unsigned h, const struct pst_field **ret_field)
{
	for (unsigned i = h % SLOTS; added[i]; i = (i + 1) % SLOTS) {
		unsigned f = added[i] - 1u;

		if (!strcmp(added_field(f)->name, name)) {
			*ret_field = added_field(f);
			return f < PST_ENR_N ? &event->enricher[f] : &event->policyd[f - PST_ENR_N];
		}
	}
	return NULL;
}

const struct pst_val *pst_event_field(
	const struct pst_event *event, const char *name, const struct pst_field **ret_field)
{
	const struct pst_field *field = NULL, *other;
	unsigned h = hash(name);
	const struct pst_val *val = sensor_field(event, name, h, &field);

	if (!val || pst_val_empty(val, field)) {
		const struct pst_val *more = added_value(event, name, h, &other);

		if (more && (!val || !pst_val_empty(more, other))) {
			val = more;
			field = other;
		}
	}
	if (val)
		*ret_field = field;
	return val;
}
