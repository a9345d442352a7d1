/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Verdicts of the firewall by what its rules look at, for IPv4: a flow's second packet costs one cache line
 * and no search. What no rule looks at is left out of the key, so flows that differ only there share an
 * entry. Each CPU has its own table, so nothing is ever half written; the generation in an entry makes all of
 * them void when the rules change. A stranger can fill it, which costs him a packet an entry and others a
 * search.
 */
#ifndef PST_FWCACHE_BPF_H
#define PST_FWCACHE_BPF_H

#include "bpf/lib/common.bpf.h"
#include "bpf/lib/slots.bpf.h"
#include "proto/abi/guard.h"

#define FWCACHE_WAYS  2 /* one cache line: a second one costs more than the searches that it saves */
#define FWCACHE_WORDS 3
#define FWCACHE_SETS  8192

struct fwcache_entry {
	__u64 key[FWCACHE_WORDS];
	__u32 generation; /* 0: empty */
	__u32 verdict;
};

struct fwcache_set {
	struct fwcache_entry way[FWCACHE_WAYS];
};
static_assert(sizeof(struct fwcache_set) == 64, "a cache line");

/*
 * An entry is a CPU's whole table; more CPUs than entries go without. Not a per-CPU array, whose values begin
 * anywhere in a cache line. The loader sets both sizes and cfg_fwcache_mask.
 */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 2);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(key_size, sizeof(__u32));
	__uint(value_size, FWCACHE_SETS * sizeof(struct fwcache_set));
} fw_cache SEC(".maps");

const volatile __u32 cfg_fwcache_mask = FWCACHE_SETS - 1; /* sets - 1 */

/* A keyed hash (see pst_slots_place()): nobody can aim at one set. */
static __always_inline __u64 fwcache_hash(const __u64 key[FWCACHE_WORDS])
{
	__u64 h = 0;
	__u32 i;

	PST_SLOTS_UNROLL
	for (i = 0; i < FWCACHE_WORDS; i++) {
		__u64 seed = cfg_hash_seed[i];

		h += (__u64)((__u32)key[i] + (__u32)seed) * ((__u32)(key[i] >> 32) + (__u32)(seed >> 32));
	}
	h ^= h >> 32;
	h *= cfg_hash_seed[PST_SEED_WORDS - 1] | 1;
	return h ^ h >> 32;
}

/* The two sets where a key may be: the second is looked at when it is not in the first. */
struct fwcache_place {
	struct fwcache_set *set[2];
};

static __always_inline bool fwcache_place(const __u64 key[FWCACHE_WORDS], struct fwcache_place *ret_place)
{
	__u32 cpu = bpf_get_smp_processor_id();
	struct fwcache_set *sets = bpf_map_lookup_elem(&fw_cache, &cpu);
	__u64 h = fwcache_hash(key), a = h & cfg_fwcache_mask, b = h >> 32 & cfg_fwcache_mask;

	if (!sets)
		return false;
	pst_hide(a);
	pst_hide(b);
	ret_place->set[0] = sets + a;
	ret_place->set[1] = sets + b;
	return true;
}

static __always_inline bool fwcache_find_in(
	const struct fwcache_set *set, const __u64 key[FWCACHE_WORDS], __u32 generation, __u32 *ret_verdict)
{
	int i;

	PST_SLOTS_UNROLL
	for (i = 0; i < FWCACHE_WAYS; i++) {
		const struct fwcache_entry *e = &set->way[i];

		if (e->key[0] == key[0] && e->key[1] == key[1] && e->key[2] == key[2] &&
			e->generation == generation) {
			*ret_verdict = e->verdict;
			return true;
		}
	}
	return false;
}

static __always_inline bool fwcache_find(const struct fwcache_place *place, const __u64 key[FWCACHE_WORDS],
	__u32 generation, __u32 *ret_verdict)
{
	return fwcache_find_in(place->set[0], key, generation, ret_verdict) ||
	       fwcache_find_in(place->set[1], key, generation, ret_verdict);
}

/* Instead of a void entry, else of the one that @any chooses. */
static __always_inline void fwcache_put(const struct fwcache_place *place, const __u64 key[FWCACHE_WORDS],
	__u32 generation, __u32 verdict, __u32 any)
{
	struct fwcache_entry *e = &place->set[0]->way[any & (FWCACHE_WAYS - 1)];
	int i;

	if (any & FWCACHE_WAYS)
		e = &place->set[1]->way[any & (FWCACHE_WAYS - 1)];
	PST_SLOTS_UNROLL
	for (i = FWCACHE_WAYS - 1; i >= 0; i--)
		if (place->set[1]->way[i].generation != generation)
			e = &place->set[1]->way[i];
	PST_SLOTS_UNROLL
	for (i = FWCACHE_WAYS - 1; i >= 0; i--)
		if (place->set[0]->way[i].generation != generation)
			e = &place->set[0]->way[i];
	e->key[0] = key[0];
	e->key[1] = key[1];
	e->key[2] = key[2];
	e->generation = generation;
	e->verdict = verdict;
}

#endif
