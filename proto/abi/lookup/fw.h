/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause OR Apache-2.0 */
/*
 * The first firewall rule that a packet matches (proto/abi/guard.h). Compiles for user space too: policyd
 * compares the compiled rules with a plain evaluation of their source before they are switched in.
 */
#ifndef PST_ABI_LOOKUP_FW_H
#define PST_ABI_LOOKUP_FW_H

#include "proto/abi/lookup/stride.h"

/* Chunks, their words, and rules: more than a packet can need. */
#define PST_FW_STEPS (PST_FW_CHUNKS_MAX * 9 + PST_FW_NEXT_MAX + PST_FW_PAIRED_MAX + 1)

#define PST_FW_NO_RULE 0xffffffffu

/* Where the search is: what is left of the summary, of the chunk's words, of the word's rules. */
struct pst_fw_search {
	__u64 bits;
	__u32 words;
	__u32 chunks;
	__u32 first; /* rule of bit 0 in bits */
	__u32 chunk;
	__u32 rule;                /* that was found */
	struct pst_fw_entry entry; /* and what it does */
	__u32 ref[PST_FW_DIMS];
	__u32 class_line[PST_FW_DIMS];
};

/* Index of the lowest bit. BPF has no instruction for it before v4: one product, one load (de Bruijn). */
#ifdef __bpf__
static const __u8 pst_fw_ctz[64] = {0, 1, 2, 53, 3, 7, 54, 27, 4, 38, 41, 8, 34, 55, 48, 28, 62, 5, 39, 46,
	44, 42, 22, 9, 24, 35, 59, 56, 49, 18, 29, 11, 63, 52, 6, 26, 37, 40, 33, 47, 61, 45, 43, 21, 23, 58,
	17, 10, 51, 25, 36, 32, 60, 20, 57, 16, 50, 31, 19, 15, 30, 14, 13, 12};

PST_STRIDE_FN __u32 pst_fw_lowest(__u64 v)
{
	return pst_fw_ctz[((v & -v) * 0x022fdd63cc95386dULL) >> 58];
}
#else
PST_STRIDE_FN __u32 pst_fw_lowest(__u64 v)
{
	return (__u32)__builtin_ctzll(v);
}
#endif

PST_STRIDE_FN __u32 pst_fw_stride(const struct pst_fw_packet *p, int dim, __u32 i)
{
	if (dim <= PST_FW_DADDR)
		return (__u32)p->addr[dim][2 * i] << 8 | p->addr[dim][2 * i + 1];
	if (dim == PST_FW_IFACE)
		return i ? p->ifindex & 0xffff : p->ifindex >> 16;
	return p->key[dim];
}

PST_STRIDE_FN __u32 pst_fw_walk(
	const struct pst_half *t, __u32 entry, const struct pst_fw_packet *p, int dim, __u32 from, __u32 to)
{
	__u32 i;

	for (i = from; i < to; i++) {
		if (!(entry & PST_STRIDE_NODE))
			break;
		entry = pst_stride_step(t, entry, pst_fw_stride(p, dim, i));
	}
	return entry & ~PST_STRIDE_NODE;
}

/* The line of the class in one dimension; @dim is a constant. */
PST_STRIDE_FN __u32 pst_fw_class(
	const struct pst_half *t, const struct pst_fw_dim_head *head, const struct pst_fw_packet *p, int dim)
{
	__u32 root = p->root[dim], entry;

	entry = head->root[root < PST_FW_ROOTS ? root : 0];
	if (dim == PST_FW_IFACE)
		return pst_fw_walk(t, entry, p, dim, 0, 2);
	if (dim > PST_FW_DADDR)
		return pst_fw_walk(t, entry, p, dim, 0, 1);
	if (root)
		return pst_fw_walk(t, entry, p, dim, 0, PST_STRIDES_MAX);
	return pst_fw_walk(t, entry, p, dim, PST_STRIDES_MAX - 2, PST_STRIDES_MAX);
}

/* The classes of the packet, in which chunks all of them have a rule, and already the first chunk. */
PST_STRIDE_FN void pst_fw_classes(const struct pst_half *t, const struct pst_fw_head *head,
	const struct pst_fw_packet *p, struct pst_fw_search *s)
{
	__u32 used = head->used, chunks = ~0u, words = 0xff;
	int dim;

	PST_STRIDE_UNROLL
	for (dim = 0; dim < PST_FW_DIMS; dim++) {
		const struct pst_fw_dim_head *d;
		const union pst_line *l;
		__u32 line;

		if (!(used & 1u << dim))
			continue;
		l = pst_line_at(t, PST_FW_DIM_LINE + dim / PST_FW_DIMS_A_LINE);
		d = (const struct pst_fw_dim_head *)l + dim % PST_FW_DIMS_A_LINE;
		line = pst_fw_class(t, d, p, dim);
		s->class_line[dim] = line;
		l = pst_line_at(t, line);
		chunks &= l->u32[0];
		s->ref[dim] = l->u32[1];
		words &= l->u32[1] >> PST_FW_REF_WORDS;
	}
	s->rule = PST_FW_NO_RULE;
	s->bits = 0;
	s->words = chunks & 1 ? words : 0;
	s->chunk = 0;
	s->chunks = chunks & ~1u;
}

/* The next chunk: its references, and in which words it may have a rule. */
PST_STRIDE_FN void pst_fw_chunk(const struct pst_half *t, __u32 used, struct pst_fw_search *s)
{
	__u32 words = 0xff, at;
	int dim;

	s->chunk = pst_fw_lowest(s->chunks);
	s->chunks &= s->chunks - 1;
	at = 1 + s->chunk;
	PST_STRIDE_UNROLL
	for (dim = 0; dim < PST_FW_DIMS; dim++) {
		const union pst_line *l;
		__u32 ref;

		if (!(used & 1u << dim))
			continue;
		l = pst_line_at(t, s->class_line[dim] + (at >> 4));
		ref = l->u32[at & 15];
		s->ref[dim] = ref;
		words &= ref >> PST_FW_REF_WORDS;
	}
	s->words = words;
}

/* The next word of the chunk: the rules in it that all classes share. */
PST_STRIDE_FN void pst_fw_word(const struct pst_half *t, __u32 used, struct pst_fw_search *s)
{
	__u32 w = pst_fw_lowest(s->words) & 7;
	__u64 bits = ~0ULL;
	int dim;

	s->words &= s->words - 1;
	PST_STRIDE_UNROLL
	for (dim = 0; dim < PST_FW_DIMS; dim++) {
		const union pst_line *l;

		if (!(used & 1u << dim))
			continue;
		l = pst_line_at(t, s->ref[dim] & PST_FW_REF_LINE);
		bits &= l->u64[w];
	}
	s->bits = bits;
	s->first = s->chunk * PST_FW_CHUNK_RULES + w * 64;
}

/* ---- pairs of address and port ---- */

/* Where the search for a pair begins; @key: port << 16 | tag, an IPv4 address is in @lo. */
PST_STRIDE_FN __u32 pst_fw_pair_home(const struct pst_fw_head *head, __u64 hi, __u64 lo, __u32 key)
{
	__u64 z = (hi + head->seed[0]) * head->seed[1];

	z = ((z ^ z >> 32) + lo) * head->seed[1];
	z = ((z ^ z >> 32) + key) * head->seed[1];
	return (__u32)(z >> 32);
}

PST_STRIDE_FN bool pst_fw_pair_4(
	const struct pst_half *t, const struct pst_fw_head *head, __u32 addr, __u32 key)
{
	__u32 at = pst_fw_pair_home(head, 0, addr, key), i, k;
	__u64 want = (__u64)addr << 32 | key;

	for (i = 0; i < PST_FW_PAIR_LINES; i++) {
		const union pst_line *l = pst_line_at(t, head->pairs[0] + ((at + i) & head->pair_mask[0]));

		if (pst_line_missing(t, l))
			return false;
		PST_STRIDE_UNROLL
		for (k = 0; k < PST_FW_PAIRS_4; k++)
			if (l->u64[k] == want)
				return true;
		if (!l->u64[PST_FW_PAIRS_4 - 1])
			return false;
	}
	return false;
}

PST_STRIDE_FN bool pst_fw_pair_6(
	const struct pst_half *t, const struct pst_fw_head *head, __u64 hi, __u64 lo, __u32 key)
{
	__u32 at = pst_fw_pair_home(head, hi, lo, key), i, k;

	for (i = 0; i < PST_FW_PAIR_LINES; i++) {
		const union pst_line *l = pst_line_at(t, head->pairs[1] + ((at + i) & head->pair_mask[1]));

		if (pst_line_missing(t, l))
			return false;
		PST_STRIDE_UNROLL
		for (k = 0; k < PST_FW_PAIRS_6; k++)
			if (l->u32[PST_FW_PAIR_TAGS_6 + k] == key && l->u64[2 * k] == hi &&
				l->u64[2 * k + 1] == lo)
				return true;
		if (!l->u32[PST_FW_PAIR_TAGS_6 + PST_FW_PAIRS_6 - 1])
			return false;
	}
	return false;
}

/* Are the packet's address and port of this side in the rule's list? */
PST_STRIDE_FN bool pst_fw_pair(const struct pst_half *t, const struct pst_fw_head *head,
	const struct pst_fw_packet *p, __u32 rule, __u32 side)
{
	const __u32 *a = (const __u32 *)p->addr[side];
	__u32 key = (__u32)p->key[PST_FW_SPORT + side] << 16 | PST_FW_PAIR_TAG(rule, side);

	if (!p->root[PST_FW_SADDR])
		return pst_fw_pair_4(t, head, a[3], key);
	return pst_fw_pair_6(t, head, (__u64)a[0] << 32 | a[1], (__u64)a[2] << 32 | a[3], key);
}

/* Does the packet pass what the vectors cannot say of this rule? */
PST_STRIDE_FN bool pst_fw_pairs(const struct pst_half *t, const struct pst_fw_head *head,
	const struct pst_fw_packet *p, __u32 rule, __u32 action)
{
	if (action & PST_FW_PAIR(0) && pst_fw_pair(t, head, p, rule, 0) == !!(action & PST_FW_PAIR_NOT(0)))
		return false;
	return !(action & PST_FW_PAIR(1)) ||
	       pst_fw_pair(t, head, p, rule, 1) != !!(action & PST_FW_PAIR_NOT(1));
}

/* The next rule that all classes share: true if it says something, and is in @s then; one that says nothing
 * goes to @pass. */
PST_STRIDE_FN bool pst_fw_rule(const struct pst_half *t, const struct pst_fw_head *head,
	const struct pst_fw_packet *p, struct pst_fw_search *s,
	void (*pass)(const struct pst_fw_entry *entry, void *arg), void *arg)
{
	__u32 rule = s->first + pst_fw_lowest(s->bits);
	const struct pst_fw_entry *e =
		(const struct pst_fw_entry *)pst_line_at(t, head->rules + rule / PST_FW_ENTRIES_A_LINE) +
		rule % PST_FW_ENTRIES_A_LINE;

	s->bits &= s->bits - 1;
	if (rule >= head->n_rules) /* a table that somebody scribbled into */
		return true;
	if (e->action & PST_FW_PAIRED && !pst_fw_pairs(t, head, p, rule, e->action))
		return false;
	if ((e->action & 0xff) == PST_FW_NEXT) {
		pass(e, arg);
		return false;
	}
	s->entry = *e;
	s->rule = rule;
	return true;
}

/*
 * After pst_fw_classes(), at most PST_FW_STEPS times: goes on with the search. True when it is over: s->rule
 * is the first rule that matches and says something, with its entry in @s, or PST_FW_NO_RULE: the policy
 * holds.
 */
PST_STRIDE_FN bool pst_fw_step(const struct pst_half *t, const struct pst_fw_head *head,
	const struct pst_fw_packet *p, struct pst_fw_search *s,
	void (*pass)(const struct pst_fw_entry *entry, void *arg), void *arg)
{
	if (s->bits)
		return pst_fw_rule(t, head, p, s, pass, arg);
	if (s->words)
		pst_fw_word(t, head->used, s);
	else if (s->chunks)
		pst_fw_chunk(t, head->used, s);
	else
		return true;
	return false;
}

#endif
