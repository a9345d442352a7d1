// SPDX-License-Identifier: Apache-2.0
/*
 * Three arrays of the same capacity: entries (key, value), links (order of use, hash) and an open-addressed
 * index of (hash tag, entry number). A lookup touches one line of the index and one entry; the order of use
 * lives apart and densely, so that marking an entry as used does not pull its neighbours' values into the
 * processor's cache.
 */
#include "proto/base/cache.h"
#include "proto/base/cleanup.h"

#include <assert.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/random.h>

#define NIL            UINT32_MAX
#define CURSOR_END     (UINT32_MAX - 1)
#define ENTRIES_MAX    (1u << 30)
#define CAPACITY_FIRST 64u

struct slot {
	uint32_t tag;   /* low half of the hash: the home slot is tag & mask */
	uint32_t entry; /* number + 1; 0: empty */
};

struct link {
	uint32_t newer, older; /* free entries are chained by `older` */
	uint32_t tag;
};

struct pst_cache {
	size_t key_size, value_offset, entry_size;
	uint32_t max, capacity, used, count; /* used: entries ever taken; the rest was never touched */
	uint32_t mask;
	uint32_t newest, oldest, free;
	struct slot *index;
	struct link *links;
	unsigned char *entries;
	uint64_t evictions;
	pst_cache_drop_fn drop;
	void *arg;
};

/* ---- SipHash-1-3 (Aumasson, Bernstein) ---- */

static uint64_t seed[2];

__attribute__((constructor)) static void draw_seed(void)
{
	if (getrandom(seed, sizeof(seed), GRND_NONBLOCK) == (ssize_t)sizeof(seed))
		return;
	/* Very early in boot: the bytes that the kernel gave this process at execve. */
	const void *at_random = (const void *)getauxval(AT_RANDOM);
	if (at_random)
		memcpy(seed, at_random, sizeof(seed));
}

static inline uint64_t rotl(uint64_t x, unsigned n)
{
	return x << n | x >> (64 - n);
}

#define SIP_ROUND(v0, v1, v2, v3)                                                                            \
	do {                                                                                                 \
		v0 += v1;                                                                                    \
		v1 = rotl(v1, 13) ^ v0;                                                                      \
		v0 = rotl(v0, 32);                                                                           \
		v2 += v3;                                                                                    \
		v3 = rotl(v3, 16) ^ v2;                                                                      \
		v0 += v3;                                                                                    \
		v3 = rotl(v3, 21) ^ v0;                                                                      \
		v2 += v1;                                                                                    \
		v1 = rotl(v1, 17) ^ v2;                                                                      \
		v2 = rotl(v2, 32);                                                                           \
	} while (0)

static inline uint64_t load64(const unsigned char *p)
{
	uint64_t x;

	memcpy(&x, p, sizeof(x));
	return x; /* host order: hashes do not leave the process */
}

/* Always inlined: with a constant @len the loop unrolls and the tail vanishes. */
__attribute__((always_inline)) static inline uint64_t sip13(const void *bytes, size_t len)
{
	const unsigned char *p = bytes, *end = p + (len & ~(size_t)7);
	uint64_t v0 = seed[0] ^ 0x736f6d6570736575u, v1 = seed[1] ^ 0x646f72616e646f6du;
	uint64_t v2 = seed[0] ^ 0x6c7967656e657261u, v3 = seed[1] ^ 0x7465646279746573u;
	uint64_t last = (uint64_t)len << 56;

	for (; p < end; p += 8) {
		uint64_t m = load64(p);

		v3 ^= m;
		SIP_ROUND(v0, v1, v2, v3);
		v0 ^= m;
	}
	for (unsigned i = 0; i < (len & 7); i++)
		last |= (uint64_t)p[i] << (8 * i);
	v3 ^= last;
	SIP_ROUND(v0, v1, v2, v3);
	v0 ^= last;
	v2 ^= 0xff;
	SIP_ROUND(v0, v1, v2, v3);
	SIP_ROUND(v0, v1, v2, v3);
	SIP_ROUND(v0, v1, v2, v3);
	return v0 ^ v1 ^ v2 ^ v3;
}

uint64_t pst_hash(const void *bytes, size_t len)
{
	return sip13(bytes, len);
}

static inline uint32_t tag_of(const struct pst_cache *c, const void *key)
{
	switch (c->key_size) {
	case 8:
		return (uint32_t)sip13(key, 8);
	case 16:
		return (uint32_t)sip13(key, 16);
	default:
		return (uint32_t)pst_hash(key, c->key_size);
	}
}

static inline bool key_equal(const struct pst_cache *c, const unsigned char *a, const unsigned char *b)
{
	switch (c->key_size) {
	case 8:
		return load64(a) == load64(b);
	case 16:
		return load64(a) == load64(b) && load64(a + 8) == load64(b + 8);
	default:
		return !memcmp(a, b, c->key_size);
	}
}

/* ---- entries and their order of use ---- */

static inline unsigned char *entry_at(const struct pst_cache *c, uint32_t i)
{
	return c->entries + (size_t)i * c->entry_size;
}

static inline void *value_at(const struct pst_cache *c, uint32_t i)
{
	return entry_at(c, i) + c->value_offset;
}

static void order_unlink(struct pst_cache *c, uint32_t i)
{
	struct link *l = &c->links[i];

	*(l->newer == NIL ? &c->newest : &c->links[l->newer].older) = l->older;
	*(l->older == NIL ? &c->oldest : &c->links[l->older].newer) = l->newer;
}

static void order_push(struct pst_cache *c, uint32_t i)
{
	c->links[i].newer = NIL;
	c->links[i].older = c->newest;
	*(c->newest == NIL ? &c->oldest : &c->links[c->newest].newer) = i;
	c->newest = i;
}

static inline void touch(struct pst_cache *c, uint32_t i)
{
	if (c->newest == i)
		return;
	order_unlink(c, i);
	order_push(c, i);
}

static inline uint32_t find(const struct pst_cache *c, const void *key, uint32_t tag)
{
	for (uint32_t s = tag & c->mask; c->index[s].entry; s = (s + 1) & c->mask) {
		uint32_t i = c->index[s].entry - 1;

		if (c->index[s].tag == tag && key_equal(c, entry_at(c, i), key))
			return i;
	}
	return NIL;
}

static void index_add(struct pst_cache *c, uint32_t tag, uint32_t i)
{
	uint32_t s = tag & c->mask;

	while (c->index[s].entry)
		s = (s + 1) & c->mask;
	c->index[s] = (struct slot){tag, i + 1};
}

/* Closes the gap by moving later members of the run back (no tombstones, so lookups never get longer with
 * age). */
static void index_remove(struct pst_cache *c, uint32_t i)
{
	uint32_t hole = c->links[i].tag & c->mask;

	while (c->index[hole].entry != i + 1)
		hole = (hole + 1) & c->mask;
	for (uint32_t s = (hole + 1) & c->mask; c->index[s].entry; s = (s + 1) & c->mask) {
		uint32_t home = c->index[s].tag & c->mask;

		/* May move only if its home is not after the hole, counted around the end. */
		if (((s - home) & c->mask) >= ((s - hole) & c->mask)) {
			c->index[hole] = c->index[s];
			hole = s;
		}
	}
	c->index[hole].entry = 0;
}

/* Takes the entry out and hands it to its owner for release; the caller puts its number to use. */
static void discard(struct pst_cache *c, uint32_t i)
{
	index_remove(c, i);
	order_unlink(c, i);
	c->count--;
	if (c->drop)
		c->drop(c->arg, value_at(c, i));
}

/* ---- growth ---- */

static uint32_t index_size(uint32_t capacity)
{
	uint32_t size = 8;

	while ((uint64_t)size * 3 < (uint64_t)capacity * 4) /* at most three quarters full */
		size *= 2;
	return size;
}

static bool resize(void **array, size_t n, size_t size)
{
	void *p = reallocarray(*array, n, size);

	if (p)
		*array = p;
	return p != NULL;
}

static bool grow(struct pst_cache *c)
{
	uint32_t capacity = c->capacity ? PST_MIN(c->capacity * 2, c->max) : PST_MIN(CAPACITY_FIRST, c->max);
	uint32_t slots = index_size(capacity);

	/* A larger array beside the old capacity is harmless: only when all three are there does the capacity
	 * grow. */
	if (!resize((void **)&c->links, capacity, sizeof(*c->links)) ||
		!resize((void **)&c->entries, capacity, c->entry_size))
		return false;
	if (!c->index || slots != c->mask + 1) {
		struct slot *index = calloc(slots, sizeof(*index));

		if (!index)
			return false;
		free(c->index);
		c->index = index;
		c->mask = slots - 1;
		for (uint32_t i = c->oldest; i != NIL; i = c->links[i].newer)
			index_add(c, c->links[i].tag, i);
	}
	c->capacity = capacity;
	return true;
}

/* Number of an unused entry, or NIL without memory. */
static uint32_t take(struct pst_cache *c)
{
	uint32_t i = c->free;

	if (i != NIL) {
		c->free = c->links[i].older;
		return i;
	}
	if (c->count == c->max) {
		i = c->oldest;
		discard(c, i);
		c->evictions++;
		return i;
	}
	if (c->used == c->capacity && !grow(c))
		return NIL;
	return c->used++;
}

/* ---- exported ---- */

int pst_cache_new(size_t key_size, size_t value_size, uint32_t max_entries, pst_cache_drop_fn drop, void *arg,
	struct pst_cache **ret_cache)
{
	if (!key_size || key_size > 4096 || value_size > (1u << 20) || !max_entries ||
		max_entries > ENTRIES_MAX)
		return -EINVAL;

	size_t value_offset = (key_size + 7) & ~(size_t)7;
	PST_FREE struct pst_cache *c = malloc(sizeof(*c));
	if (!c)
		return -ENOMEM;
	*c = (struct pst_cache){
		.key_size = key_size,
		.value_offset = value_offset,
		.entry_size = value_offset + ((value_size + 7) & ~(size_t)7),
		.max = max_entries,
		.newest = NIL,
		.oldest = NIL,
		.free = NIL,
		.drop = drop,
		.arg = arg,
	};
	if (!grow(c)) {
		free(c->links);
		free(c->entries);
		return -ENOMEM;
	}
	*ret_cache = PST_TAKE_PTR(c);
	return 0;
}

void pst_cache_free(struct pst_cache *cache)
{
	if (!cache)
		return;
	if (cache->drop)
		for (uint32_t i = cache->oldest; i != NIL; i = cache->links[i].newer)
			cache->drop(cache->arg, value_at(cache, i));
	free(cache->index);
	free(cache->links);
	free(cache->entries);
	free(cache);
}

void *pst_cache_get(struct pst_cache *cache, const void *key)
{
	uint32_t i = find(cache, key, tag_of(cache, key));

	if (i == NIL)
		return NULL;
	touch(cache, i);
	return value_at(cache, i);
}

void *pst_cache_peek(const struct pst_cache *cache, const void *key)
{
	uint32_t i = find(cache, key, tag_of(cache, key));

	return i == NIL ? NULL : value_at(cache, i);
}

void *pst_cache_put(struct pst_cache *cache, const void *key, bool *ret_made)
{
	uint32_t tag = tag_of(cache, key), i = find(cache, key, tag);
	bool made = i == NIL;

	if (made) {
		i = take(cache);
		if (i == NIL)
			return NULL;
		memset(entry_at(cache, i), 0, cache->entry_size);
		memcpy(entry_at(cache, i), key, cache->key_size);
		cache->links[i].tag = tag;
		index_add(cache, tag, i);
		order_push(cache, i);
		cache->count++;
	} else {
		touch(cache, i);
	}
	if (ret_made)
		*ret_made = made;
	return value_at(cache, i);
}

bool pst_cache_remove(struct pst_cache *cache, const void *key)
{
	uint32_t i = find(cache, key, tag_of(cache, key));

	if (i == NIL)
		return false;
	discard(cache, i);
	cache->links[i].older = cache->free;
	cache->free = i;
	return true;
}

uint32_t pst_cache_count(const struct pst_cache *cache)
{
	return cache->count;
}

uint64_t pst_cache_evictions(const struct pst_cache *cache)
{
	return cache->evictions;
}

/* The cursor holds the entry to come, so that the current one may go. Marking entries as used on the way
 * (get) would make the walk see them again: use peek. */
bool pst_cache_next(const struct pst_cache *cache, uint32_t *cursor, const void **ret_key, void **ret_value)
{
	uint32_t i = *cursor == NIL ? cache->oldest : *cursor;

	if (i == NIL || i == CURSOR_END)
		return false;
	assert(i < cache->used);
	*cursor = cache->links[i].newer == NIL ? CURSOR_END : cache->links[i].newer;
	*ret_key = entry_at(cache, i);
	*ret_value = value_at(cache, i);
	return true;
}
