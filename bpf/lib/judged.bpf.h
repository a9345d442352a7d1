/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * From the guard to the flow program on the same CPU: what became of a packet that passed (struct
 * pst_judged). At tc one runs right behind the other; from XDP to tc a driver passes a batch, and GRO joins
 * frames, so there is room for some. Found by the whole key, so what is told of a flow was made of a packet
 * of that flow. An entry that another one overwrote is not told.
 */
#ifndef PST_JUDGED_BPF_H
#define PST_JUDGED_BPF_H

#include "bpf/lib/common.bpf.h"
#include "bpf/lib/parse.bpf.h"
#include "bpf/lib/slots.bpf.h"
#include "proto/abi/guard.h"

/* The loader sets how many. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 2);
	__type(key, __u32);
	__type(value, struct pst_judged_here);
} guard_judged SEC(".maps");

static __always_inline struct pst_judged_here *judged_here(void)
{
	__u32 cpu = bpf_get_smp_processor_id();

	return bpf_map_lookup_elem(&guard_judged, &cpu);
}

/* @key: struct pst_flow_key. What both programs know of it. */
static __always_inline __u64 judged_ports(const __u64 *key, __u32 ifindex)
{
	return (key[4] & 0xffffffff) | (__u64)ifindex << 32;
}

static __always_inline __u64 judged_protocol(const __u64 *key)
{
	return key[5] & 0xffff;
}

static __always_inline struct pst_judged *judged_at(
	struct pst_judged_here *here, const __u64 *key, __u32 ifindex)
{
	__u64 h = (key[0] + key[1]) * 0x9e3779b97f4a7c15ULL ^ (key[2] + key[3]) * 0xbf58476d1ce4e5b9ULL ^
		  judged_ports(key, ifindex) * 0x94d049bb133111ebULL;
	__u64 i = h >> 57;

	pst_keep(i);
	return i < PST_JUDGED_ENTRIES ? &here->entry[i] : NULL;
}
static_assert(PST_JUDGED_ENTRIES == 1 << (64 - 57), "all of them are used");

static __always_inline void judged_put(const __u64 *key, __u32 ifindex, __u64 word)
{
	struct pst_judged_here *here = judged_here();
	struct pst_judged *e = here ? judged_at(here, key, ifindex) : NULL;
	__u64 jiffies = bpf_jiffies64();

	if (!e)
		return;
	e->key[0] = key[0];
	e->key[1] = key[1];
	e->key[2] = key[2];
	e->key[3] = key[3];
	e->key[4] = judged_ports(key, ifindex);
	e->key[5] = judged_protocol(key);
	e->word = word;
	e->jiffies = jiffies;
	here->jiffies = jiffies;
}

/* PST_JUDGED, or 0. */
static __always_inline __u64 judged_take(const __u64 *key, __u32 ifindex)
{
	struct pst_judged_here *here = judged_here();
	__u64 now, word;
	struct pst_judged *e;

	if (!here || !here->jiffies)
		return 0;
	now = bpf_jiffies64();
	if (now - here->jiffies > PST_JUDGED_JIFFIES)
		return 0;
	e = judged_at(here, key, ifindex);
	if (!e || !e->word || now - e->jiffies > PST_JUDGED_JIFFIES)
		return 0;
	if ((e->key[0] ^ key[0]) | (e->key[1] ^ key[1]) | (e->key[2] ^ key[2]) | (e->key[3] ^ key[3]) |
		(e->key[4] ^ judged_ports(key, ifindex)) | (e->key[5] ^ judged_protocol(key)))
		return 0;
	word = e->word;
	e->word = 0;
	return word;
}

#endif
