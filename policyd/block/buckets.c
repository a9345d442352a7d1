// SPDX-License-Identifier: Apache-2.0
/* What is written here may be read at the same time: the order of the stores is block.h's. */
#include "policyd/block/buckets.h"

#include <errno.h>

#include "policyd/block/set.h"
#include "proto/abi/lookup/block.h"

/* An address, as both families have it; @ip6 is a constant wherever it counts. */
struct key {
	uint64_t hi, lo;
	uint32_t expires; /* as in the table */
	uint8_t reason;
};

struct slot {
	union pst_line *line; /* NULL: none */
	uint32_t far;
	unsigned k;
};

struct found {
	struct slot same, vacant;
};

static inline uint32_t expiry_of(const union pst_line *l, bool ip6, unsigned k)
{
	return ip6 ? l->u32[PST_BLOCK_EXPIRES_6 + k] : (uint32_t)l->u64[k];
}

static inline bool holds(const union pst_line *l, bool ip6, unsigned k, const struct key *key)
{
	if (ip6)
		return l->u64[2 * k] == key->hi && l->u64[2 * k + 1] == key->lo;
	return l->u64[k] >> 32 == key->lo;
}

static inline uint32_t far_of(const union pst_line *l, bool ip6)
{
	return ip6 ? l->u32[PST_BLOCK_MORE_6] >> PST_BLOCK_FAR_6
		   : (uint32_t)(l->u64[PST_BLOCK_MORE_4] >> PST_BLOCK_FAR_4);
}

static inline bool is_vacant(uint32_t expires, bool ip6, uint32_t now)
{
	return ip6 ? !expires || (expires <= now && now - expires >= BLOCK_GRACE_S) : expires <= now;
}

/* Where the address is, or else the first slot that could take it. */
static inline struct found search(
	struct block_buckets b, bool ip6, uint32_t home, const struct key *key, uint32_t now)
{
	unsigned slots = ip6 ? PST_BLOCK_SLOTS_6 : PST_BLOCK_SLOTS_4;
	struct found f = {0};
	uint32_t far = 0, at = home;

	for (uint32_t i = 0; i <= PST_BLOCK_FAR_MAX && i < b.n; at = pst_block_step(at, ++i, b.n)) {
		union pst_line *l = b.first + at;

		if (!i)
			far = far_of(l, ip6);
		if (i > far && f.vacant.line)
			break;
		for (unsigned k = 0; k < slots; k++) {
			uint32_t expires = expiry_of(l, ip6, k);
			struct slot here = {.line = l, .far = i, .k = k};

			if (expires && holds(l, ip6, k, key)) {
				f.same = here;
				return f;
			}
			if (!f.vacant.line && is_vacant(expires, ip6, now))
				f.vacant = here;
		}
	}
	return f;
}

static inline void store64(uint64_t *p, uint64_t v)
{
	__atomic_store_n(p, v, __ATOMIC_RELEASE);
}

static inline void store32(uint32_t *p, uint32_t v)
{
	__atomic_store_n(p, v, __ATOMIC_RELEASE);
}

static inline void raise_far(union pst_line *home, bool ip6, uint32_t far)
{
	uint32_t old = far_of(home, ip6);

	if (old >= far)
		return;
	if (ip6)
		store32(&home->u32[PST_BLOCK_MORE_6],
			home->u32[PST_BLOCK_MORE_6] ^ (old ^ far) << PST_BLOCK_FAR_6);
	else
		store64((uint64_t *)&home->u64[PST_BLOCK_MORE_4],
			home->u64[PST_BLOCK_MORE_4] ^ (uint64_t)(old ^ far) << PST_BLOCK_FAR_4);
}

static inline void write_reason(union pst_line *l, bool ip6, unsigned k, uint8_t reason)
{
	if (ip6)
		store32(&l->u32[PST_BLOCK_MORE_6],
			(l->u32[PST_BLOCK_MORE_6] & ~(0xffu << 8 * k)) | (uint32_t)reason << 8 * k);
	else
		store64((uint64_t *)&l->u64[PST_BLOCK_MORE_4],
			(l->u64[PST_BLOCK_MORE_4] & ~(0xffull << 8 * k)) | (uint64_t)reason << 8 * k);
}

static inline void write_slot(struct slot s, bool ip6, const struct key *key)
{
	write_reason(s.line, ip6, s.k, key->reason);
	if (!ip6) {
		store64((uint64_t *)&s.line->u64[s.k], key->lo << 32 | key->expires);
		return;
	}
	store64((uint64_t *)&s.line->u64[2 * s.k], key->hi);
	store64((uint64_t *)&s.line->u64[2 * s.k + 1], key->lo);
	store32(&s.line->u32[PST_BLOCK_EXPIRES_6 + s.k], key->expires);
}

static inline int put(
	struct block_buckets b, bool ip6, uint32_t home, const struct key *key, uint32_t now, bool keep_later)
{
	struct found f = search(b, ip6, home, key, now);
	uint32_t old;

	if (f.same.line) {
		old = expiry_of(f.same.line, ip6, f.same.k);
		if (!keep_later || old < key->expires)
			write_slot(f.same, ip6, key);
		return old > now;
	}
	if (!f.vacant.line)
		return -ENOSPC;
	raise_far(b.first + home, ip6, f.vacant.far);
	write_slot(f.vacant, ip6, key);
	return 0;
}

static struct key key_4(const struct block_addr4 *a)
{
	return (struct key){.lo = a->addr, .expires = block_expiry(a->expires), .reason = a->reason};
}

static struct key key_6(const struct block_entry *e)
{
	return (struct key){
		.hi = e->hi, .lo = e->lo, .expires = block_expiry(e->expires), .reason = e->reason};
}

int block_put_4(
	struct block_buckets b, uint32_t home, const struct block_addr4 *addr, uint32_t now, bool keep_later)
{
	struct key key = key_4(addr);

	return put(b, false, home, &key, now, keep_later);
}

int block_put_6(
	struct block_buckets b, uint32_t home, const struct block_entry *addr, uint32_t now, bool keep_later)
{
	struct key key = key_6(addr);

	return put(b, true, home, &key, now, keep_later);
}

int block_take_4(struct block_buckets b, uint32_t home, uint32_t addr, uint32_t now)
{
	struct key key = {.lo = addr};
	struct slot s = search(b, false, home, &key, now).same;

	if (!s.line || expiry_of(s.line, false, s.k) <= now)
		return -ENOENT;
	store64((uint64_t *)&s.line->u64[s.k], 0);
	return 0;
}

/* Its expiry says since when the slot is free; 0 would say that it always was. */
int block_take_6(struct block_buckets b, uint32_t home, const struct block_entry *addr, uint32_t now)
{
	struct key key = key_6(addr);
	struct slot s = search(b, true, home, &key, now).same;

	if (!s.line || expiry_of(s.line, true, s.k) <= now)
		return -ENOENT;
	store32(&s.line->u32[PST_BLOCK_EXPIRES_6 + s.k], now ? now : 1);
	return 0;
}
