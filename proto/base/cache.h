/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A bounded hash table with least-recently-used eviction. Keys are fixed-size byte strings, hashed with a
 * seed drawn at start (SipHash-1-3), so that nobody outside can choose collisions. Entries are fixed-size and
 * live in one allocation that grows by doubling up to the bound.
 */
#ifndef PST_BASE_CACHE_H
#define PST_BASE_CACHE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct pst_cache;

/* Called with an entry that is about to go (evicted, removed, freed): release what it owns. */
typedef void (*pst_cache_drop_fn)(void *arg, void *value);

int pst_cache_new(size_t key_size, size_t value_size, uint32_t max_entries, pst_cache_drop_fn drop, void *arg,
	struct pst_cache **ret_cache);
void pst_cache_free(struct pst_cache *cache); /* NULL is fine */
/* Value or NULL. get() marks it as used, peek() does not. Pointers stay valid until the next put. */
void *pst_cache_get(struct pst_cache *cache, const void *key);
void *pst_cache_peek(const struct pst_cache *cache, const void *key);
/* Found, or made with a zeroed value (evicting the oldest at the bound). NULL only without memory. @ret_made
 * may be NULL. */
void *pst_cache_put(struct pst_cache *cache, const void *key, bool *ret_made);
bool pst_cache_remove(struct pst_cache *cache, const void *key);
uint32_t pst_cache_count(const struct pst_cache *cache);
uint64_t pst_cache_evictions(const struct pst_cache *cache); /* by the bound, not by remove */
/* From the least recently used on: start with *cursor = UINT32_MAX; false at the end. Removing the current
 * entry is allowed. */
bool pst_cache_next(const struct pst_cache *cache, uint32_t *cursor, const void **ret_key, void **ret_value);

uint64_t pst_hash(const void *bytes, size_t len); /* seeded per process */

#endif
