// SPDX-License-Identifier: Apache-2.0
#include "policyd/block/set.h"

#include <stdlib.h>
#include <string.h>

int block_entries_add(struct block_entries *entries, const struct block_entry *entry)
{
	if (entries->n >= BLOCK_ENTRIES_MAX)
		return -E2BIG;
	if (array_room((void **)&entries->v, &entries->size, entries->n, sizeof(*entry)))
		return -ENOMEM;
	entries->v[entries->n++] = *entry;
	return 0;
}

int block_list_add(struct block_list *list, const struct block_entry *e)
{
	if (!e->ip6 && e->len == 32)
		return block_list_add_addr4(
			list, (struct block_addr4){(uint32_t)e->lo, e->expires, e->reason});
	return block_entries_add(e->len == 128 ? &list->addrs6 : &list->prefixes, e);
}

static void list_done(struct block_list *list)
{
	free(list->addrs4);
	free(list->addrs6.v);
	free(list->prefixes.v);
}

void block_set_done(struct block_set *set)
{
	list_done(&set->block);
	list_done(&set->allow);
	for (unsigned i = 1; i <= set->reasons.n; i++)
		free(set->reasons.text[i]);
	memset(set, 0, sizeof(*set));
}

static size_t hash(const char *text, size_t len)
{
	uint32_t h = 2166136261u;

	for (size_t i = 0; i < len; i++)
		h = (h ^ (uint8_t)text[i]) * 16777619u;
	return h ^ h >> 16;
}

static bool reason_is(const struct block_reasons *r, unsigned i, const char *text, size_t len)
{
	return !strncmp(r->text[i], text, len) && !r->text[i][len];
}

int block_reason_number(struct block_reasons *r, const char *text, size_t len)
{
	size_t at = hash(text, len) % BLOCK_REASON_SLOTS;

	for (; r->slots[at]; at = (at + 1) % BLOCK_REASON_SLOTS)
		if (reason_is(r, r->slots[at], text, len))
			return r->slots[at];
	if (r->n == BLOCK_REASONS - 2)
		return BLOCK_REASONS - 1;
	r->text[r->n + 1] = strndup(text, len);
	if (!r->text[r->n + 1])
		return -ENOMEM;
	r->slots[at] = (uint8_t)++r->n;
	return (int)r->n;
}

const char *block_reason(const struct block_reasons *r, unsigned reason)
{
	if (reason == BLOCK_REASONS - 1)
		return "another reason";
	return reason && reason <= r->n ? r->text[reason] : "";
}
