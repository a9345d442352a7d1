/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause OR Apache-2.0 */
/*
 * Is an address on the allow list or the block list (proto/abi/guard.h)? Compiles for user space too.
 *
 * The table may change while it is read: policyd puts addresses into free slots and takes them out. An IPv4
 * entry is one word, which is loaded once. Of an IPv6 entry the expiry is loaded before the address, and a
 * slot gets another address only once its expiry has passed for longer than a packet can take
 * (policyd/block/block.h).
 */
#ifndef PST_ABI_LOOKUP_BLOCK_H
#define PST_ABI_LOOKUP_BLOCK_H

#include "proto/abi/lookup/stride.h"

/* Addresses as numbers: IPv6 in two words, IPv4 in the second. */
struct pst_block_addr {
	__u64 hi;
	__u64 lo;
};

/* Loaded once and as a whole: what is beside it may change meanwhile. */
PST_STRIDE_FN __u64 pst_block_word(const union pst_line *l, __u32 i)
{
	return *(const volatile __u64 *)&l->u64[i];
}

PST_STRIDE_FN __u32 pst_block_half_word(const union pst_line *l, __u32 i)
{
	return *(const volatile __u32 *)&l->u32[i];
}

/* Keyed mixing: the multipliers are secret, and so is what the sums wrap at. */
PST_STRIDE_FN __u32 pst_block_hash_4(const struct pst_block_head *head, __u32 addr)
{
	__u64 z = (addr + head->seed[0]) * head->seed[1];

	return (__u32)((z ^ z >> 32) * head->seed[2] >> 32);
}

PST_STRIDE_FN __u32 pst_block_hash_6(const struct pst_block_head *head, __u64 hi, __u64 lo)
{
	__u64 z = (hi + head->seed[0]) * head->seed[1];

	z = ((z ^ z >> 32) + lo) * head->seed[2];
	z = (z ^ z >> 32) * head->seed[1];
	return (__u32)((z ^ z >> 32) * head->seed[2] >> 32);
}

/* The bucket of a hash; @n need not be a power of two. */
PST_STRIDE_FN __u32 pst_block_home(__u32 hash, __u32 n)
{
	return (__u32)((__u64)hash * n >> 32);
}

/* The @i-th step from bucket @at; in tables that policyd makes @i is below @n. */
PST_STRIDE_FN __u32 pst_block_step(__u32 at, __u32 i, __u32 n)
{
	return at + i < n ? at + i : at + i - n;
}

PST_STRIDE_FN __u32 pst_block_hit_is(
	struct pst_block_hit *hit, __u32 kind, __u32 len, __u32 reason, __u32 expires)
{
	hit->expires = expires;
	hit->kind = (__u8)kind;
	hit->len = (__u8)len;
	hit->reason = (__u8)reason;
	hit->pad = 0;
	return kind;
}

PST_STRIDE_FN __u32 pst_block_find_4(const struct pst_half *t, const struct pst_block_head *head, __u32 addr,
	__u32 now, struct pst_block_hit *ret_hit)
{
	/* the words that match: of this address, with an expiry above now */
	__u64 from = ((__u64)addr << 32 | now) + 1, span = PST_BLOCK_NEVER - now, word, more;
	__u32 first = head->bucket_4, n = head->buckets_4, far = 0, at, i, k;

	at = pst_block_home(pst_block_hash_4(head, addr), n);
	for (i = 0; i <= PST_BLOCK_FAR_MAX; i++) {
		const union pst_line *l = pst_line_at(t, first + at);

		if (pst_line_missing(t, l))
			break;
		PST_STRIDE_UNROLL
		for (k = 0; k < PST_BLOCK_SLOTS_4; k++) {
			word = pst_block_word(l, k);
			if (word - from < span)
				return pst_block_hit_is(ret_hit, PST_BLOCK_ADDRESS, 32,
					pst_block_word(l, PST_BLOCK_MORE_4) >> 8 * k & 0xff, (__u32)word);
		}
		more = pst_block_word(l, PST_BLOCK_MORE_4);
		if (!i)
			far = (__u32)(more >> PST_BLOCK_FAR_4);
		if (i >= far)
			break;
		at = pst_block_step(at, i + 1, n);
	}
	return PST_BLOCK_NONE;
}

PST_STRIDE_FN __u32 pst_block_find_6(const struct pst_half *t, const struct pst_block_head *head,
	const struct pst_block_addr *addr, __u32 now, struct pst_block_hit *ret_hit)
{
	__u32 first = head->bucket_6, n = head->buckets_6, far = 0, at, i, k, expires, more;
	__u64 hi = addr->hi, lo = addr->lo, other;

	at = pst_block_home(pst_block_hash_6(head, hi, lo), n);
	for (i = 0; i <= PST_BLOCK_FAR_MAX; i++) {
		const union pst_line *l = pst_line_at(t, first + at);

		if (pst_line_missing(t, l))
			break;
		PST_STRIDE_UNROLL
		for (k = 0; k < PST_BLOCK_SLOTS_6; k++) {
			expires = pst_block_half_word(l, PST_BLOCK_EXPIRES_6 + k);
			other = (pst_block_word(l, 2 * k) ^ hi) | (pst_block_word(l, 2 * k + 1) ^ lo);
			if (!other && expires > now)
				return pst_block_hit_is(ret_hit, PST_BLOCK_ADDRESS, 128,
					pst_block_half_word(l, PST_BLOCK_MORE_6) >> 8 * k & 0xff, expires);
		}
		more = pst_block_half_word(l, PST_BLOCK_MORE_6);
		if (!i)
			far = more >> PST_BLOCK_FAR_6;
		if (i >= far)
			break;
		at = pst_block_step(at, i + 1, n);
	}
	return PST_BLOCK_NONE;
}

/* The prefix around an address whose strides begin at @from (a constant); it is on a list of @kind. */
PST_STRIDE_FN __u32 pst_block_tree(const struct pst_half *t, __u32 entry, const struct pst_block_addr *addr,
	__u32 from, __u32 now, __u32 kind, struct pst_block_hit *ret_hit)
{
	const union pst_line *l;
	__u64 record;
	__u32 i;

	for (i = from; i < PST_STRIDES_MAX; i++) {
		__u64 word = i < PST_STRIDES_MAX / 2 ? addr->hi : addr->lo;

		if (!(entry & PST_STRIDE_NODE))
			break;
		entry = pst_stride_step(t, entry, (__u32)(word >> (48 - 16 * (i & 3))) & 0xffff);
	}
	if (!entry || entry & PST_STRIDE_NODE)
		return PST_BLOCK_NONE;
	l = pst_line_at(t, entry >> 3);
	if (pst_line_missing(t, l))
		return PST_BLOCK_NONE;
	record = pst_block_word(l, entry & 7);
	if ((__u32)record <= now)
		return PST_BLOCK_NONE;
	return pst_block_hit_is(ret_hit, kind, record >> 32 & 0xff, record >> 40 & 0xff, (__u32)record);
}

/*
 * The allow list, then single addresses, then prefixes. @now: seconds of CLOCK_BOOTTIME. enum pst_block_kind;
 * unless it is PST_BLOCK_NONE, ret_hit says the same and what matched.
 */
PST_STRIDE_FN __u32 pst_block_match_4(
	const struct pst_half *t, __u32 addr, __u32 now, struct pst_block_hit *ret_hit)
{
	const struct pst_block_head *head = (const struct pst_block_head *)pst_line_at(t, 0);
	const struct pst_block_addr key = {.lo = addr};
	__u32 kind = PST_BLOCK_NONE;

	if (!head)
		return kind;
	if (head->allow[0])
		kind = pst_block_tree(
			t, head->allow[0], &key, PST_STRIDES_MAX - 2, now, PST_BLOCK_ALLOWED, ret_hit);
	if (kind == PST_BLOCK_NONE && head->buckets_4)
		kind = pst_block_find_4(t, head, addr, now, ret_hit);
	if (kind == PST_BLOCK_NONE && head->block[0])
		kind = pst_block_tree(
			t, head->block[0], &key, PST_STRIDES_MAX - 2, now, PST_BLOCK_PREFIX, ret_hit);
	return kind;
}

PST_STRIDE_FN __u32 pst_block_match_6(
	const struct pst_half *t, const struct pst_block_addr *addr, __u32 now, struct pst_block_hit *ret_hit)
{
	const struct pst_block_head *head = (const struct pst_block_head *)pst_line_at(t, 0);
	__u32 kind = PST_BLOCK_NONE;

	if (!head)
		return kind;
	if (head->allow[1])
		kind = pst_block_tree(t, head->allow[1], addr, 0, now, PST_BLOCK_ALLOWED, ret_hit);
	if (kind == PST_BLOCK_NONE && head->buckets_6)
		kind = pst_block_find_6(t, head, addr, now, ret_hit);
	if (kind == PST_BLOCK_NONE && head->block[1])
		kind = pst_block_tree(t, head->block[1], addr, 0, now, PST_BLOCK_PREFIX, ret_hit);
	return kind;
}

#endif
