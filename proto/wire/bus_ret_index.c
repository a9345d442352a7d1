// SPDX-License-Identifier: Apache-2.0
/* Where a topic's batches stand in the retention ring. */
#include "proto/wire/bus_ret.h"

#include "proto/base/cleanup.h"

static struct ret_entry *entry(const struct ret_topic *t, uint32_t i)
{
	return &t->index[(t->begin + i) & (t->size - 1)];
}

static int index_grow(struct ret_topic *t)
{
	uint32_t size = t->size ? t->size * 2 : 16;
	struct ret_entry *index = calloc(size, sizeof(*index));

	if (!index)
		return -ENOMEM;
	for (uint32_t i = 0; i < t->n; i++)
		index[i] = *entry(t, i);
	free(t->index);
	t->index = index;
	t->size = size;
	t->begin = 0;
	return 0;
}

/* Without memory for it the record is simply found later or not at all: then it counts as not held. */
void ret_index_add(struct ret_topic *t, const struct bus_ret_rec *rec)
{
	if (!t->records)
		t->oldest = rec->first_seq;
	t->records++;
	t->events += rec->count;
	if (t->n && rec->pos - entry(t, t->n - 1)->pos < RET_STRIDE)
		return;
	if (t->n == t->size && index_grow(t) < 0)
		return;
	t->n++;
	*entry(t, t->n - 1) = (struct ret_entry){rec->first_seq, rec->pos};
}

void ret_index_drop(struct ret_topic *t, const struct bus_ret_rec *rec)
{
	t->records--;
	t->events -= rec->count;
	t->oldest = rec->first_seq + rec->count;
}

void ret_index_pop(struct ret_topic *t, uint64_t tail)
{
	while (t->n && ((t->n > 1 && entry(t, 1)->pos <= tail) ||
			       (entry(t, 0)->pos < tail && tail - entry(t, 0)->pos >= RET_STRIDE))) {
		t->begin = (t->begin + 1) & (t->size - 1);
		t->n--;
	}
}

/* Last entry with pos <= @pos (by_seq: first_seq <= @pos), or 0. */
static uint32_t index_find(const struct ret_topic *t, uint64_t pos, bool by_seq)
{
	uint32_t lo = 0, hi = t->n;

	while (hi - lo > 1) {
		uint32_t mid = lo + (hi - lo) / 2;
		uint64_t at = by_seq ? entry(t, mid)->first_seq : entry(t, mid)->pos;

		if (at <= pos)
			lo = mid;
		else
			hi = mid;
	}
	return lo;
}

void ret_index_clear(struct bus_ret *ring)
{
	for (int i = 0; i < PST_TOPICS; i++) {
		struct ret_topic *t = &ring->topic[i];

		t->n = t->begin = 0;
		t->records = t->events = 0;
	}
}

bool ret_index_jump(const struct ret_topic *t, uint64_t *pos)
{
	uint32_t i = index_find(t, *pos, false);

	if (!t->n)
		return false;
	if (entry(t, i)->pos < *pos && *pos - entry(t, i)->pos >= RET_STRIDE) {
		if (i + 1 == t->n)
			return false;
		*pos = entry(t, i + 1)->pos;
	}
	return true;
}

uint64_t ret_index_seek(const struct ret_topic *t, uint64_t seq)
{
	return t->n ? entry(t, index_find(t, seq, true))->pos : UINT64_MAX;
}
