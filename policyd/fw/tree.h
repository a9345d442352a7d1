/* SPDX-License-Identifier: Apache-2.0 */
/* Building stride trees (proto/abi/guard.h) into an arena of lines. */
#ifndef PST_POLICYD_FW_TREE_H
#define PST_POLICYD_FW_TREE_H

#include <stddef.h>
#include <stdint.h>

#include "proto/abi/guard.h"

__extension__ typedef unsigned __int128 fw_key;

/* Lines handed out from the front. */
struct fw_arena {
	union pst_line *lines;
	uint32_t size;
	uint32_t used;
};

/* @n lines, zeroed. Their number in @ret_line; -ENOSPC. */
int fw_arena_take(struct fw_arena *arena, uint32_t n, uint32_t *ret_line);

/* From @start on (to the next one's start) keys have this value. */
struct fw_interval {
	fw_key start;
	uint32_t value;
};

/*
 * The tree of @n intervals, sorted by start and beginning at 0, over keys of @strides strides of 16 bits
 * (0: there is one key).
 * Neighbours of one value need not be joined. 0; -ENOSPC; -ENOMEM.
 */
int fw_tree_build(struct fw_arena *arena, const struct fw_interval *intervals, size_t n, unsigned strides,
	uint32_t *ret_entry);

#endif
