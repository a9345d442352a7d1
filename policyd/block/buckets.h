/* SPDX-License-Identifier: Apache-2.0 */
/* Single addresses in buckets: the side that writes (proto/abi/lookup/block.h reads). */
#ifndef PST_POLICYD_BLOCK_BUCKETS_H
#define PST_POLICYD_BLOCK_BUCKETS_H

#include "policyd/block/block.h"

/* @n buckets from @first on. */
struct block_buckets {
	union pst_line *first;
	uint32_t n;
};

/* @home: the address's bucket. @keep_later: what is there and expires later stays; else the new one replaces
 * it. 0; 1: it was there already; -ENOSPC. */
int block_put_4(struct block_buckets buckets, uint32_t home, const struct block_addr4 *addr, uint32_t now,
	bool keep_later);
int block_put_6(struct block_buckets buckets, uint32_t home, const struct block_entry *addr, uint32_t now,
	bool keep_later);
/* 0 or -ENOENT. */
int block_take_4(struct block_buckets buckets, uint32_t home, uint32_t addr, uint32_t now);
int block_take_6(struct block_buckets buckets, uint32_t home, const struct block_entry *addr, uint32_t now);

#endif
