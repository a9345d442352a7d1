/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Slot tables: open-addressed tables in memory-mapped arrays, which user space
 * reads without a system call. proto/abi/records.h has the slots, docs/design/kernel.md
 * ("Network side") the argument why this is right. Compiles for user space too, where
 * it runs under threads (tests/bpf/test_slots.c).
 *
 * A key belongs to one bucket of eight slots and is looked for from a start of
 * its own, in a circle. Slots are never given back, only taken over, so a slot that was
 * never used ends the search.
 *
 * Only the holder of a bucket's claim changes gens and keys in it. Everybody adds to the
 * totals of a slot that he has found, and may do so because
 * - a slot is taken over only after it was idle for idle_ns, and
 * - whoever finds it idle for longer than half of that stamps last_ns, fences, and looks at
 *   gen again, while the taker makes gen odd, fences, and looks at last_ns again: one
 *   of the two sees the other.
 * What remains: a program that is stopped for half of idle_ns between finding
 * a slot and adding to it counts one packet for the wrong key.
 *
 * Fences are locked adds. On x86 every one is a full barrier; on arm64 the adds of -mcpu=v3 without
 * a result are not, so a port needs the fetching form (5.12).
 */
#ifndef PST_SLOTS_BPF_H
#define PST_SLOTS_BPF_H

#define PST_BUCKET_SLOTS 8
#define PST_CLAIM_TRIES  16 /* then the packet is counted in table_full */
#define PST_SEED_WORDS   7  /* one a key word, and one to mix */

#ifdef __bpf__
#define PST_SLOTS_FN     static __always_inline
#define PST_SLOTS_CONST  const volatile
#define PST_SLOTS_UNROLL _Pragma("unroll")
#else
#define PST_SLOTS_FN static inline
#define PST_SLOTS_CONST
#define PST_SLOTS_UNROLL
#endif

/* Where the test lets another thread in. */
#ifndef PST_SLOTS_POINT
#define PST_SLOTS_POINT()
#endif

/* Kernel-wide random numbers, set by the loader; these only keep a table without a loader in order. */
PST_SLOTS_CONST __u64 cfg_hash_seed[PST_SEED_WORDS] = {
	0x9e3779b97f4a7c15,
	0xbf58476d1ce4e5b9,
	0x94d049bb133111eb,
	0xd6e8feb86659fd93,
	0xa0761d6478bd642f,
	0xe7037ed1a0b428db,
	0x8ebc6af09c88c6e3,
};

/* One table. All constant, so that the compiler folds it away. */
struct pst_slots {
	void *table;
	void *claims;
	__u32 mask;      /* slots - 1; slots are a power of two, at least a bucket */
	__u32 key_words; /* behind gen, 8 bytes each */
	__u32 last_off;  /* of last_ns in the slot */
	__u64 idle_ns;
};

/* Where a key lives. */
struct pst_place {
	__u32 bucket;
	__u32 start;
};

struct pst_head_slot {
	__u64 gen;
	__u64 key[];
};

#define PST_READ(x)     (*(const volatile __typeof__(x) *)&(x))
#define PST_WRITE(x, v) (*(volatile __typeof__(x) *)&(x) = (v))

/*
 * NH (a sum of products of keyed 32-bit halves: two keys collide in its 64 bits with a chance of 2^-32,
 * whoever chose them without knowing the seed), then mixed, since NH of keys that count up counts up too.
 */
PST_SLOTS_FN __u64 pst_slots_hash(const __u64 *key, __u32 words)
{
	__u64 h = 0;
	__u32 i;

	PST_SLOTS_UNROLL
	for (i = 0; i < words; i++) {
		__u64 seed = cfg_hash_seed[i];
		__u32 lo = (__u32)key[i] + (__u32)seed;
		__u32 hi = (__u32)(key[i] >> 32) + (__u32)(seed >> 32);

		h += (__u64)lo * hi;
	}
	h ^= h >> 32;
	h *= cfg_hash_seed[PST_SEED_WORDS - 1] | 1;
	h ^= h >> 29;
	h *= 0xbf58476d1ce4e5b9ULL;
	return h ^ h >> 32;
}

PST_SLOTS_FN struct pst_place pst_slots_place_of(const struct pst_slots *t, __u64 h)
{
	struct pst_place place;

	place.bucket = (__u32)(h >> 32) & (t->mask / PST_BUCKET_SLOTS);
	place.start = h & (PST_BUCKET_SLOTS - 1);
	return place;
}

PST_SLOTS_FN struct pst_place pst_slots_place(const struct pst_slots *t, const __u64 *key)
{
	return pst_slots_place_of(t, pst_slots_hash(key, t->key_words));
}

PST_SLOTS_FN __u32 pst_slots_index(const struct pst_place *place, __u32 i)
{
	return place->bucket * PST_BUCKET_SLOTS + ((place->start + i) & (PST_BUCKET_SLOTS - 1));
}

PST_SLOTS_FN bool pst_slots_differ(
	const struct pst_slots *t, const struct pst_head_slot *slot, const __u64 *key)
{
	__u64 diff = 0;
	__u32 i;

	PST_SLOTS_UNROLL
	for (i = 0; i < t->key_words; i++)
		diff |= PST_READ(slot->key[i]) ^ key[i];
	return diff;
}

PST_SLOTS_FN __u64 *pst_slots_last(const struct pst_slots *t, struct pst_head_slot *slot)
{
	return (__u64 *)((char *)slot + t->last_off);
}

/* Another CPU may have stamped a later time than our now. */
PST_SLOTS_FN bool pst_slots_older(const struct pst_slots *t, struct pst_head_slot *slot, __u64 now, __u64 age)
{
	return (__s64)(now - PST_READ(*pst_slots_last(t, slot))) >= (__s64)age;
}

/* A locked add of nothing. The compiler would make an `or` of it, which BPF has only since 5.12. */
PST_SLOTS_FN void pst_slots_fence(__u64 *at)
{
#ifdef __bpf__
	asm volatile("lock *(u64 *)(%0 + 0) += %1" : : "r"(at), "r"(0ULL) : "memory");
#else
	__sync_fetch_and_add(at, 0);
	__sync_synchronize();
#endif
}

/* Makes a slot that was idle for long safe to add to. False: it is being taken over. */
PST_SLOTS_FN bool pst_slots_revive(
	const struct pst_slots *t, struct pst_head_slot *slot, __u64 gen, __u64 now)
{
	__u64 *last = pst_slots_last(t, slot);

	PST_WRITE(*last, now);
	pst_slots_fence(last);
	PST_SLOTS_POINT();
	return PST_READ(slot->gen) == gen;
}

/* The key's slot, safe to add to until the program ends, and its number. NULL: there is none. */
PST_SLOTS_FN void *pst_slots_find(const struct pst_slots *t, const struct pst_place *place, const __u64 *key,
	__u64 now, __u32 *ret_index)
{
	__u32 i;

	for (i = 0; i < PST_BUCKET_SLOTS; i++) {
		__u32 index = pst_slots_index(place, i);
		struct pst_head_slot *slot = bpf_map_lookup_elem(t->table, &index);
		__u64 gen;

		if (!slot)
			return NULL;
		gen = PST_READ(slot->gen);
		if (!gen)
			return NULL;
		if (gen & 1 || pst_slots_differ(t, slot, key))
			continue;
		PST_SLOTS_POINT();
		/* last_ns, then gen again: it is this key's last_ns */
		if (pst_slots_older(t, slot, now, t->idle_ns / 2)) {
			if (!pst_slots_revive(t, slot, gen, now))
				return NULL;
		} else if (PST_READ(slot->gen) != gen) {
			return NULL;
		}
		*ret_index = index;
		return slot;
	}
	return NULL;
}

/* With the claim: takes a slot for @key; its gen is odd then. @ret_old: gen it had, 0: never used. */
PST_SLOTS_FN void *pst_slots_take(
	const struct pst_slots *t, const struct pst_place *place, __u64 now, __u32 *ret_index, __u64 *ret_old)
{
	__u32 i;

	for (i = 0; i < PST_BUCKET_SLOTS; i++) {
		__u32 index = pst_slots_index(place, i);
		struct pst_head_slot *slot = bpf_map_lookup_elem(t->table, &index);
		__u64 gen;

		if (!slot)
			return NULL;
		gen = PST_READ(slot->gen);
		if (gen & 1 || (gen && !pst_slots_older(t, slot, now, t->idle_ns)))
			continue;
		PST_SLOTS_POINT();
		__sync_fetch_and_add(&slot->gen, 1);
		PST_SLOTS_POINT();
		if (gen && !pst_slots_older(t, slot, now, t->idle_ns)) {
			PST_WRITE(slot->gen, gen); /* revived at the last moment; nothing was changed */
			continue;
		}
		*ret_index = index;
		*ret_old = gen;
		return slot;
	}
	return NULL;
}

enum pst_slots_got {
	PST_SLOTS_NONE = 0,
	PST_SLOTS_FOUND, /* somebody else made it meanwhile: add to it */
	PST_SLOTS_TAKEN, /* fill it, then pst_slots_publish() and pst_slots_release() */
};

PST_SLOTS_FN void pst_slots_release(const struct pst_slots *t, const struct pst_place *place)
{
	bpf_map_delete_elem(t->claims, &place->bucket);
}

/* A slot for a key that pst_slots_find() did not find. */
PST_SLOTS_FN enum pst_slots_got pst_slots_get(const struct pst_slots *t, const struct pst_place *place,
	const __u64 *key, __u64 now, struct pst_head_slot **ret_slot, __u32 *ret_index, __u64 *ret_old)
{
	struct pst_head_slot *slot;
	bool mine = false;
	int tries;

	for (tries = 0; tries < PST_CLAIM_TRIES && !mine; tries++)
		mine = !bpf_map_update_elem(t->claims, &place->bucket, &now, BPF_NOEXIST);
	/* also under the claim: the last holder may have made it */
	slot = pst_slots_find(t, place, key, now, ret_index);
	if (slot) {
		if (mine)
			pst_slots_release(t, place);
		*ret_slot = slot;
		return PST_SLOTS_FOUND;
	}
	if (!mine)
		return PST_SLOTS_NONE;
	slot = pst_slots_take(t, place, now, ret_index, ret_old);
	if (!slot) {
		pst_slots_release(t, place);
		return PST_SLOTS_NONE;
	}
	*ret_slot = slot;
	return PST_SLOTS_TAKEN;
}

/* The key, which nobody else looks at while gen is odd. */
PST_SLOTS_FN void pst_slots_set_key(const struct pst_slots *t, struct pst_head_slot *slot, const __u64 *key)
{
	__u32 i;

	PST_SLOTS_UNROLL
	for (i = 0; i < t->key_words; i++)
		PST_WRITE(slot->key[i], key[i]);
}

/* After every other byte of the slot was written. */
PST_SLOTS_FN void pst_slots_publish(struct pst_head_slot *slot)
{
	__sync_fetch_and_add(&slot->gen, 1);
}

#endif
