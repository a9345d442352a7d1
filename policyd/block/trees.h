/* SPDX-License-Identifier: Apache-2.0 */
/* Prefixes as stride trees. */
#ifndef PST_POLICYD_BLOCK_TREES_H
#define PST_POLICYD_BLOCK_TREES_H

#include "policyd/block/block.h"
#include "policyd/fw/tree.h"

/*
 * The trees of both lists into @arena, their roots into @head. What has expired at @now is left out. 0;
 * -ENOSPC; -ENOMEM. ret_records: how many different expiries, reasons and lengths there are.
 */
int block_trees_build(const struct block_set *set, struct fw_arena *arena, uint32_t now,
	struct pst_block_head *head, uint32_t *ret_records);

#endif
