/* SPDX-License-Identifier: Apache-2.0 */
/* The lists in memory. */
#ifndef PST_POLICYD_BLOCK_SET_H
#define PST_POLICYD_BLOCK_SET_H

#include <errno.h>

#include "policyd/array.h"
#include "policyd/block/block.h"

/* Number of a text, which gets one if it has none; BLOCK_REASONS - 1 when all are in use; -ENOMEM. */
int block_reason_number(struct block_reasons *reasons, const char *text, size_t len);

/* 0; -E2BIG; -ENOMEM. */
int block_list_add(struct block_list *list, const struct block_entry *entry);
int block_entries_add(struct block_entries *entries, const struct block_entry *entry);

static inline int block_list_add_addr4(struct block_list *list, struct block_addr4 addr)
{
	if (list->n_addrs4 >= BLOCK_ENTRIES_MAX)
		return -E2BIG;
	if (list->n_addrs4 == list->size4 &&
		array_room((void **)&list->addrs4, &list->size4, list->n_addrs4, sizeof(addr)))
		return -ENOMEM;
	list->addrs4[list->n_addrs4++] = addr;
	return 0;
}

/* How an expiry is written in the table. */
static inline uint32_t block_expiry(uint32_t expires)
{
	return expires ? expires : PST_BLOCK_NEVER;
}

#endif
