// SPDX-License-Identifier: Apache-2.0
#include "policyd/fw/tree.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "proto/base/cleanup.h"

#define LARGE_MAX (PST_STRIDE_FAN * PST_STRIDE_FAN)

/* One stride's interval: from start on, this entry. */
struct item {
	uint32_t entry;
	uint16_t start;
};

/* Grows to what a stride can need at most. */
struct items {
	struct item *v;
	size_t n, size;
};

static void items_done(struct items *items)
{
	free(items->v);
}

int fw_arena_take(struct fw_arena *arena, uint32_t n, uint32_t *ret_line)
{
	if (n > arena->size - arena->used)
		return -ENOSPC;
	memset(arena->lines + arena->used, 0, n * sizeof(union pst_line));
	*ret_line = arena->used;
	arena->used += n;
	return 0;
}

/* Leaves of one value are joined. */
static int add(struct items *items, uint32_t start, uint32_t entry)
{
	if (items->n && items->v[items->n - 1].entry == entry && !(entry & PST_STRIDE_NODE))
		return 0;
	if (items->n == items->size) {
		size_t size = items->size ? items->size * 2 : PST_STRIDE_FAN;
		struct item *v = reallocarray(items->v, size, sizeof(*v));

		if (!v)
			return -ENOMEM;
		items->v = v;
		items->size = size;
	}
	items->v[items->n++] = (struct item){.start = (uint16_t)start, .entry = entry};
	return 0;
}

/* The line of starts of a node: where its 2nd, 3rd, ... part begins; what is not used is above all keys. */
static void put_starts(union pst_line *line, const struct item *v, size_t n, size_t step)
{
	for (size_t i = 1; i < PST_STRIDE_FAN; i++)
		line->u16[i - 1] = i * step < n ? v[i * step].start : 0xffff;
}

/* A key of 0xffff also passes the starts that are not used: what is behind them is the last entry again. */
static void put_small(union pst_line *lines, const struct item *v, size_t n)
{
	put_starts(lines, v, n, 1);
	for (size_t i = 0; i < PST_STRIDE_FAN; i++)
		lines[1 + i / 16].u32[i % 16] = v[i < n ? i : n - 1].entry;
}

static void put_tiny(union pst_line *line, const struct item *v, size_t n)
{
	for (size_t i = 1; i < PST_STRIDE_TINY_FAN; i++)
		line->u16[i - 1] = i < n ? v[i].start : 0xffff;
	for (size_t i = 0; i < PST_STRIDE_TINY_FAN; i++)
		line->u32[8 + i] = v[i < n ? i : n - 1].entry;
}

static void put_large(union pst_line *lines, const struct item *v, size_t n)
{
	size_t step = (n + PST_STRIDE_FAN - 1) / PST_STRIDE_FAN;
	size_t parts = (n + step - 1) / step;

	put_starts(lines, v, n, step);
	for (size_t i = 0; i < PST_STRIDE_FAN; i++) {
		size_t from = (i < parts ? i : parts - 1) * step;

		put_small(lines + 1 + i * PST_STRIDE_SMALL_SIZE, v + from, n - from < step ? n - from : step);
	}
}

static void put_dense(union pst_line *lines, const struct item *v, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		uint32_t end = i + 1 < n ? v[i + 1].start : 0x10000;

		for (uint32_t x = v[i].start; x < end; x++)
			lines[x / 16].u32[x % 16] = v[i].entry;
	}
}

static int put_node(struct fw_arena *arena, const struct items *items, uint32_t *ret_entry)
{
	static const struct {
		size_t max;
		uint32_t kind, lines;
		void (*put)(union pst_line *lines, const struct item *v, size_t n);
	} kinds[] = {
		{PST_STRIDE_TINY_FAN, PST_STRIDE_TINY, 1, put_tiny},
		{PST_STRIDE_FAN, PST_STRIDE_SMALL, PST_STRIDE_SMALL_SIZE, put_small},
		{LARGE_MAX, PST_STRIDE_LARGE, PST_STRIDE_LARGE_SIZE, put_large},
		{SIZE_MAX, PST_STRIDE_DENSE, PST_STRIDE_DENSE_SIZE, put_dense},
	};
	uint32_t line;
	int k = 0, e;

	while (items->n > kinds[k].max)
		k++;
	e = fw_arena_take(arena, kinds[k].lines, &line);
	if (e)
		return e;
	kinds[k].put(arena->lines + line, items->v, items->n);
	*ret_entry = PST_STRIDE_NODE | kinds[k].kind | line;
	return 0;
}

static int build(struct fw_arena *arena, const struct fw_interval *v, size_t n, unsigned strides, fw_key base,
	uint32_t *ret_entry);

/* The part of the stride that begins at @at and in which intervals begin: it needs a node of its own. */
static int add_split(struct fw_arena *arena, struct items *items, const struct fw_interval *v, size_t n,
	unsigned strides, fw_key base, uint32_t at)
{
	uint32_t entry;
	int e = build(arena, v, n, strides - 1, base + ((fw_key)at << (16 * (strides - 1))), &entry);

	return e ? e : add(items, at, entry);
}

/* Intervals @v, of which the first begins at or before @base, over the keys that begin with @base. */
static int build(struct fw_arena *arena, const struct fw_interval *v, size_t n, unsigned strides, fw_key base,
	uint32_t *ret_entry)
{
	PST_CLEANUP(items_done) struct items items = {0};
	unsigned shift = 16 * (strides - 1);
	int e = 0;

	for (size_t i = 0; i < n && !e;) {
		fw_key start = v[i].start > base ? v[i].start - base : 0;
		uint32_t at = (uint32_t)(start >> shift);
		size_t in = i + 1;

		/* those that begin in the same part of this stride, behind the first */
		while (in < n && (uint32_t)((v[in].start - base) >> shift) == at)
			in++;
		if (in == i + 1 && start == (fw_key)at << shift) {
			e = add(&items, at, v[i].value);
		} else {
			/* the one before it reaches into this part, unless one begins right with it */
			size_t first = start == (fw_key)at << shift ? i : i - 1;

			e = add_split(arena, &items, v + first, in - first, strides, base, at);
			/* the last of them goes on behind this part */
			if (!e && at < 0xffff && (in == n || v[in].start - base != (fw_key)(at + 1) << shift))
				e = add(&items, at + 1, v[in - 1].value);
		}
		i = in;
	}
	if (e)
		return e;
	if (items.n == 1 && !(items.v[0].entry & PST_STRIDE_NODE)) {
		*ret_entry = items.v[0].entry;
		return 0;
	}
	return put_node(arena, &items, ret_entry);
}

int fw_tree_build(struct fw_arena *arena, const struct fw_interval *intervals, size_t n, unsigned strides,
	uint32_t *ret_entry)
{
	if (!strides) {
		*ret_entry = intervals[0].value;
		return 0;
	}
	return build(arena, intervals, n, strides, 0, ret_entry);
}
