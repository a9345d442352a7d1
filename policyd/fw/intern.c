// SPDX-License-Identifier: Apache-2.0
#include "policyd/fw/intern.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define SIZE_FIRST 1024

static uint64_t hash(const union pst_line *lines, uint32_t n)
{
	uint64_t h = 0x9e3779b97f4a7c15;

	for (uint32_t i = 0; i < n; i++)
		for (int w = 0; w < 8; w++) {
			h = (h ^ lines[i].u64[w]) * 0xff51afd7ed558ccd;
			h ^= h >> 32;
		}
	return h;
}

void fw_intern_done(struct fw_intern *intern)
{
	free(intern->slots);
	memset(intern, 0, sizeof(*intern));
}

static int grow(struct fw_intern *t, const struct fw_arena *arena, uint32_t n)
{
	size_t size = t->size ? t->size * 2 : SIZE_FIRST;
	uint32_t *slots = calloc(size, sizeof(*slots));

	if (!slots)
		return -ENOMEM;
	for (size_t i = 0; i < t->size; i++) {
		size_t at;

		if (!t->slots[i])
			continue;
		at = hash(arena->lines + t->slots[i] - 1, n) & (size - 1);
		while (slots[at])
			at = (at + 1) & (size - 1);
		slots[at] = t->slots[i];
	}
	free(t->slots);
	t->slots = slots;
	t->size = size;
	return 0;
}

int fw_intern(struct fw_intern *t, struct fw_arena *arena, const union pst_line *lines, uint32_t n,
	uint32_t *ret_line)
{
	uint32_t line;
	size_t at;
	int e;

	if (t->n * 2 >= t->size) {
		e = grow(t, arena, n);
		if (e)
			return e;
	}
	for (at = hash(lines, n) & (t->size - 1); t->slots[at]; at = (at + 1) & (t->size - 1))
		if (!memcmp(arena->lines + t->slots[at] - 1, lines, n * sizeof(*lines))) {
			*ret_line = t->slots[at] - 1;
			return 0;
		}
	e = fw_arena_take(arena, n, &line);
	if (e)
		return e;
	memcpy(arena->lines + line, lines, n * sizeof(*lines));
	t->slots[at] = line + 1;
	t->n++;
	*ret_line = line;
	return 0;
}
