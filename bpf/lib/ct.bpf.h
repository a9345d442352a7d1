/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The tables of connections (proto/abi/ct.h): buckets of four entries of a cache line each. A key is looked
 * for from a start of its own, in a circle, up to an entry that was never used.
 *
 * There is no lock. An entry's words are stored whole, and what makes it an entry is that its key is the one
 * looked for and both halves have the hash of that key. So whatever two CPUs write at the same time, an entry
 * is right or void, and a void one is free. A half is changed by packets of its own side only, and all that
 * such a packet does is to set bits and move a sequence number on.
 */
#ifndef PST_CT_BPF_H
#define PST_CT_BPF_H

#include "bpf/lib/common.bpf.h"
#include "bpf/vmlinux_net.h"
#include "bpf/lib/slots.bpf.h"
#include "proto/abi/ct.h"

enum ct_table {
	CT_CONFIRMED = 0,
	CT_NEW,
};

#define CT_BUCKETS     16384 /* 4 MiB */
#define CT_NEW_BUCKETS 16384

/* Mapped arrays begin at a page, so that entries are cache lines. The loader sets sizes and masks together.
 */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, CT_BUCKETS);
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, __u32);
	__type(value, struct pst_ct_bucket);
} ct SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, CT_NEW_BUCKETS);
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, __u32);
	__type(value, struct pst_ct_bucket);
} ct_new SEC(".maps");

const volatile __u32 cfg_ct_mask = CT_BUCKETS - 1; /* buckets - 1 */
const volatile __u32 cfg_ct_new_mask = CT_NEW_BUCKETS - 1;

/* RFC 5382 wants TCP's to be more than two hours, RFC 4787 UDP's two minutes. */
const volatile __u32 ct_timeouts[PST_CT_TIMEOUTS] = {
	[PST_CT_T_SYN_SENT] = 30,
	[PST_CT_T_SYN_RECV] = 60,
	[PST_CT_T_OPEN] = 86400,
	[PST_CT_T_FIN] = 120,
	[PST_CT_T_CLOSED] = 60,
	[PST_CT_T_RESET] = 10,
	[PST_CT_T_UDP] = 30,
	[PST_CT_T_UDP_STREAM] = 120,
	[PST_CT_T_ICMP] = 30,
	[PST_CT_T_OTHER] = 600,
};

#define CT_FRESH       4   /* seconds: no timeout is shorter */
#define CT_LOCAL_FIRST 5   /* what the host itself began and nobody answered comes first that long */
#define CT_YIELD       120 /* a confirmed connection may take the place of one that was idle for longer */

/* Whose packet it is. */
struct ct_tuple {
	__u64 key[PST_CT_KEY_WORDS];
	__u64 hash;
	__u32 dir; /* which half is the sender's */
	__u32 pad;
};

/* What an entry begins with. */
struct ct_new_entry {
	__u64 half[2]; /* without the tag */
	__u32 isn;
	__u32 class;
};

#define CT_IS_IP6(key) ((key)[PST_CT_KEY_WORDS - 1] & 2)

static __always_inline __u64 ct_tag(const struct ct_tuple *t)
{
	return t->hash >> PST_CT_TAG_SHIFT << PST_CT_TAG_SHIFT;
}

static __always_inline __u32 ct_protocol(const __u64 key[PST_CT_KEY_WORDS])
{
	return key[PST_CT_KEY_WORDS - 1] >> 8 & 0xff;
}

static __always_inline void ct_key4(
	const struct pst_flow_key *k, __u32 sport, __u32 dport, struct ct_tuple *t)
{
	__u64 saddr = *(const __u32 *)&k->saddr[12], daddr = *(const __u32 *)&k->daddr[12];

	t->dir = saddr != daddr ? saddr > daddr : sport > dport;
	t->key[0] = t->dir ? daddr << 32 | saddr : saddr << 32 | daddr;
	t->key[1] = t->key[2] = t->key[3] = 0;
}

static __always_inline void ct_key6(
	const struct pst_flow_key *k, __u32 sport, __u32 dport, struct ct_tuple *t)
{
	const __u64 *s = (const __u64 *)k->saddr, *d = (const __u64 *)k->daddr;

	t->dir = s[0] != d[0] ? s[0] > d[0] : s[1] != d[1] ? s[1] > d[1] : sport > dport;
	t->key[0] = t->dir ? d[0] : s[0];
	t->key[1] = t->dir ? d[1] : s[1];
	t->key[2] = t->dir ? s[0] : d[0];
	t->key[3] = t->dir ? s[1] : d[1];
}

/* Both directions have one key. */
static __always_inline void ct_key(const struct pst_flow_key *k, __u32 sport, __u32 dport, struct ct_tuple *t)
{
	__u64 words[2], ports;

	if (k->family == AF_INET)
		ct_key4(k, sport, dport, t);
	else
		ct_key6(k, sport, dport, t);
	ports = t->dir ? dport << 16 | sport : sport << 16 | dport;
	t->key[4] = ports << 32 | (__u64)k->protocol << 8 | (k->family == AF_INET ? 1 : 2);
	words[0] = t->key[0];
	words[1] = t->key[4];
	t->hash = k->family == AF_INET ? pst_slots_hash(words, 2) : pst_slots_hash(t->key, PST_CT_KEY_WORDS);
	t->hash |= 1ULL << PST_CT_TAG_SHIFT; /* a void half has no entry's tag */
}

/* ---- an entry ---- */

/* How many sides have sent a FIN that the other one acknowledged: anybody can send one that it has not. */
static __always_inline __u32 ct_closed(__u64 a, __u64 b)
{
	return (a & PST_CT_FIN && b & PST_CT_FIN_ACKED) + (b & PST_CT_FIN && a & PST_CT_FIN_ACKED);
}

static __always_inline __u32 ct_timeout_tcp(__u64 a, __u64 b)
{
	__u32 closed = ct_closed(a, b);

	if ((a | b) & PST_CT_RST)
		return PST_CT_T_RESET;
	if (closed)
		return closed == 2 ? PST_CT_T_CLOSED : PST_CT_T_FIN;
	if (a & b & PST_CT_ACKED)
		return PST_CT_T_OPEN;
	return a & b & PST_CT_SYN ? PST_CT_T_SYN_RECV : PST_CT_T_SYN_SENT;
}

static __always_inline __u32 ct_timeout(__u32 protocol, __u64 a, __u64 b)
{
	switch (protocol) {
	case IPPROTO_TCP:
		return ct_timeout_tcp(a, b);
	case IPPROTO_UDP:
	case IPPROTO_UDPLITE:
		return (a | b) & PST_CT_AGAIN ? PST_CT_T_UDP_STREAM : PST_CT_T_UDP;
	case IPPROTO_ICMP:
	case IPPROTO_ICMPV6:
		return PST_CT_T_ICMP;
	default:
		return PST_CT_T_OTHER;
	}
}

static __always_inline __u32 ct_seconds(__u32 protocol, __u64 a, __u64 b)
{
	__u64 which = ct_timeout(protocol, a, b);

	pst_hide(which);
	return which < PST_CT_TIMEOUTS ? ct_timeouts[which] : 0;
}

/* Seconds since its last packet. Another CPU's clock may be a little ahead. */
static __always_inline __u32 ct_idle(const struct pst_ct_entry *e, __u32 now)
{
	__s32 idle = now - PST_READ(e->seen);

	return idle < 0 ? 0 : idle;
}

static __always_inline bool ct_is_over(const struct pst_ct_entry *e, __u64 a, __u64 b, __u32 now)
{
	__u32 idle = ct_idle(e, now);

	return idle > CT_FRESH && idle > ct_seconds(ct_protocol(e->key), a, b);
}

/* What may not be evicted by what: by entries of its own rank or below only as ct_score() says. */
static __always_inline __u32 ct_class(__u32 protocol, __u64 a, __u64 b, __u32 idle)
{
	__u64 any = a | b, both = a & b;

	if (any & PST_CT_RST || ct_closed(a, b))
		return 0;
	if (both & PST_CT_ACKED)
		return 2;
	if (protocol != IPPROTO_TCP && any & PST_CT_AGAIN)
		return 1;
	if (protocol != IPPROTO_TCP && both & PST_CT_SEEN)
		return 0;
	return any & PST_CT_LOCAL && idle < CT_LOCAL_FIRST;
}

static __always_inline bool ct_is_key(const struct pst_ct_entry *e, const struct ct_tuple *t)
{
	if (PST_READ(e->key[4]) != t->key[4] || PST_READ(e->key[0]) != t->key[0])
		return false;
	if (!CT_IS_IP6(t->key))
		return true;
	return !((PST_READ(e->key[1]) ^ t->key[1]) | (PST_READ(e->key[2]) ^ t->key[2]) |
		 (PST_READ(e->key[3]) ^ t->key[3]));
}

static __always_inline struct pst_ct_bucket *ct_bucket(__u32 table, const struct ct_tuple *t)
{
	__u32 i = t->hash & (table == CT_NEW ? cfg_ct_new_mask : cfg_ct_mask);

	if (table == CT_NEW)
		return bpf_map_lookup_elem(&ct_new, &i);
	return bpf_map_lookup_elem(&ct, &i);
}

static __always_inline struct pst_ct_entry *ct_way(struct pst_ct_bucket *b, const struct ct_tuple *t, __u32 i)
{
	__u64 at = (t->hash >> 32) + i;

	pst_hide(at);
	return &b->way[at & (PST_CT_WAYS - 1)];
}

/* An entry that was found, and what was in it then: another CPU may take it meanwhile. */
struct ct_hit {
	struct pst_ct_entry *e;
	__u64 half[2];
	__u64 at; /* its table and way: see ct_at() */
};

enum ct_look {
	CT_GO_ON = 0,
	CT_FOUND,
	CT_ABSENT,
};

static __always_inline enum ct_look ct_look(
	struct pst_ct_entry *e, const struct ct_tuple *t, __u32 now, struct ct_hit *ret_hit)
{
	__u64 tag = ct_tag(t), a, b;

	if (!ct_is_key(e, t))
		return PST_READ(e->key[4]) ? CT_GO_ON : CT_ABSENT;
	a = PST_READ(e->half[0]);
	b = PST_READ(e->half[1]);
	if (((a ^ tag) | (b ^ tag)) >> PST_CT_TAG_SHIFT || ct_is_over(e, a, b, now))
		return CT_GO_ON;
	ret_hit->e = e;
	ret_hit->half[0] = a;
	ret_hit->half[1] = b;
	return CT_FOUND;
}

/* The entry of a key that ct_find() found in this place. */
static __always_inline struct pst_ct_entry *ct_at(const struct ct_tuple *t, __u32 at)
{
	struct pst_ct_bucket *b = at >= PST_CT_WAYS ? ct_bucket(CT_NEW, t) : ct_bucket(CT_CONFIRMED, t);

	return b ? ct_way(b, t, at) : NULL;
}

/* The entry of a key, unless its time is over; @table is a constant. No loop: 5.10 refuses the compiler's. */
static __always_inline bool ct_search(
	__u32 table, const struct ct_tuple *t, __u32 now, struct ct_hit *ret_hit)
{
	struct pst_ct_bucket *b = ct_bucket(table, t);
	enum ct_look look;

	if (!b)
		return false;
	ret_hit->at = table * PST_CT_WAYS;
	look = ct_look(ct_way(b, t, 0), t, now, ret_hit);
	if (look == CT_GO_ON) {
		ret_hit->at = table * PST_CT_WAYS + 1;
		look = ct_look(ct_way(b, t, 1), t, now, ret_hit);
	}
	if (look == CT_GO_ON) {
		ret_hit->at = table * PST_CT_WAYS + 2;
		look = ct_look(ct_way(b, t, 2), t, now, ret_hit);
	}
	if (look == CT_GO_ON) {
		ret_hit->at = table * PST_CT_WAYS + 3;
		look = ct_look(ct_way(b, t, 3), t, now, ret_hit);
	}
	return look == CT_FOUND;
}

#define CT_SCORE_SAME   0x7fffffff
#define CT_SCORE_UNUSED 0x40000001 /* nor any behind it */
#define CT_SCORE_FREE   0x40000000
#define CT_SCORE_CLASS  0x01000000

/* How well an entry serves for a new one of @class and key @t; 0: not at all. */
static __always_inline __u32 ct_score(
	const struct pst_ct_entry *e, const struct ct_tuple *t, __u32 class, __u32 now)
{
	__u64 a = PST_READ(e->half[0]), z = PST_READ(e->half[1]);
	__u32 idle = ct_idle(e, now), its;

	if (ct_is_key(e, t))
		return CT_SCORE_SAME;
	if (!PST_READ(e->key[4]))
		return CT_SCORE_UNUSED;
	if ((a ^ z) >> PST_CT_TAG_SHIFT || !(a | z) || ct_is_over(e, a, z, now))
		return CT_SCORE_FREE;
	its = ct_class(ct_protocol(e->key), a, z, idle);
	if (its > class || (its && its == class && idle < CT_YIELD))
		return 0;
	if (idle >= CT_SCORE_CLASS)
		idle = CT_SCORE_CLASS - 1;
	return (3 - its) * CT_SCORE_CLASS + idle;
}

/* Nobody takes it for an entry until the last half is written. */
static __always_inline void ct_write(
	struct pst_ct_entry *e, const struct ct_tuple *t, const struct ct_new_entry *make, __u32 now)
{
	__u64 tag = ct_tag(t);
	__u32 i;

	PST_WRITE(e->half[0], 0);
	PST_WRITE(e->half[1], 0);
	PST_SLOTS_UNROLL
	for (i = 0; i < PST_CT_KEY_WORDS; i++)
		PST_WRITE(e->key[i], t->key[i]);
	PST_WRITE(e->seen, now);
	PST_WRITE(e->isn, make->isn);
	PST_WRITE(e->half[0], make->half[0] | tag);
	PST_WRITE(e->half[1], make->half[1] | tag);
}

#endif
