// SPDX-License-Identifier: Apache-2.0
#include "policyd/path/lists.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define POOL_MAX    ((size_t)32 << 20)
#define SLOTS_FIRST 256

static uint32_t hash(const uint32_t *v, size_t n)
{
	uint64_t h = 0x9e3779b97f4a7c15;

	for (size_t i = 0; i < n; i++) {
		h = (h ^ v[i]) * 0xff51afd7ed558ccd;
		h ^= h >> 32;
	}
	return (uint32_t)h;
}

int path_lists_init(struct path_lists *l)
{
	uint32_t empty;

	memset(l, 0, sizeof(*l));
	return path_lists_put(l, NULL, 0, &empty);
}

void path_lists_close(struct path_lists *l)
{
	free(l->slots);
	l->slots = NULL;
	l->n_slots = 0;
}

void path_lists_done(struct path_lists *l)
{
	path_lists_close(l);
	free(l->pool);
	free(l->starts);
	memset(l, 0, sizeof(*l));
}

static int grow_slots(struct path_lists *l)
{
	uint32_t n_slots = l->n_slots ? l->n_slots * 2 : SLOTS_FIRST, at;
	uint32_t *slots = calloc(n_slots, sizeof(*slots));

	if (!slots)
		return -ENOMEM;
	for (uint32_t i = 0; i < l->n; i++) {
		size_t n;
		const uint32_t *v = path_list(l, i, &n);

		for (at = hash(v, n) & (n_slots - 1); slots[at]; at = (at + 1) & (n_slots - 1))
			;
		slots[at] = i + 1;
	}
	free(l->slots);
	l->slots = slots;
	l->n_slots = n_slots;
	return 0;
}

static int grow(uint32_t **v, size_t size)
{
	uint32_t *more = reallocarray(*v, size, sizeof(*more));

	if (!more)
		return -ENOMEM;
	*v = more;
	return 0;
}

/* Room for a list of @n numbers. */
static int make_room(struct path_lists *l, size_t n)
{
	size_t size = l->size ? l->size : SLOTS_FIRST;
	uint32_t lists = l->n_size ? l->n_size * 2 : SLOTS_FIRST;

	if (n > POOL_MAX - l->used)
		return -E2BIG;
	while (size - l->used < n)
		size *= 2;
	if (size > l->size) {
		if (grow(&l->pool, size))
			return -ENOMEM;
		l->size = size;
	}
	if (l->n + 2 > l->n_size) {
		if (grow(&l->starts, lists))
			return -ENOMEM;
		l->n_size = lists;
	}
	return (l->n + 1) * 2 > l->n_slots ? grow_slots(l) : 0;
}

int path_lists_put(struct path_lists *l, const uint32_t *v, size_t n, uint32_t *ret_list)
{
	uint32_t at;
	int e;

	if (!n && l->n) {
		*ret_list = 0;
		return 0;
	}
	e = make_room(l, n);
	if (e)
		return e;
	for (at = hash(v, n) & (l->n_slots - 1); l->slots[at]; at = (at + 1) & (l->n_slots - 1)) {
		size_t many;
		const uint32_t *other = path_list(l, l->slots[at] - 1, &many);

		if (many == n && (!n || !memcmp(other, v, n * sizeof(*v)))) {
			*ret_list = l->slots[at] - 1;
			return 0;
		}
	}
	if (n)
		memcpy(l->pool + l->used, v, n * sizeof(*v));
	if (!l->n)
		l->starts[0] = 0;
	l->used += n;
	l->starts[++l->n] = (uint32_t)l->used;
	l->slots[at] = l->n;
	*ret_list = l->n - 1;
	return 0;
}
