/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause OR Apache-2.0 */
/*
 * Look-ups in stride trees (proto/abi/guard.h). Compiles for user space too, where PST_LINE_AT() is an index
 * into an array. No branch depends on the packet within a node: a mispredicted one would cost more than the
 * search.
 */
#ifndef PST_ABI_LOOKUP_STRIDE_H
#define PST_ABI_LOOKUP_STRIDE_H

#include "proto/abi/guard.h"

#ifdef __bpf__
#define PST_STRIDE_FN     static __always_inline
#define PST_STRIDE_UNROLL _Pragma("unroll")
#else
#define PST_STRIDE_FN static inline
#define PST_STRIDE_UNROLL
#endif

/*
 * The compiler may neither take a value's bound for granted (the verifier follows less than it does: mask
 * after this) nor use an older copy of a value that was just bounded (bound before this).
 */
#ifdef __bpf__
#define pst_stride_keep(value) asm volatile("" : "+r"(value))
#else
#define pst_stride_keep(value) ((void)(value))
#endif

/*
 * Half of a table: its first line, and how many lines it has (a power of two) less one. A kernel program may
 * have it by map entries of a line each instead, where the half is larger than one map value can be: @table
 * and the entry of its first line. Constant at each use, so that one way of the two is compiled.
 */
struct pst_half {
	const union pst_line *lines;
	void *table;
	__u32 base;
	__u32 mask;
};

PST_STRIDE_FN const union pst_line *pst_line_at(const struct pst_half *t, __u32 line)
{
	__u64 at = line & t->mask;

#ifdef __bpf__
	if (t->table) {
		__u32 i = t->base + (line & t->mask);

		return bpf_map_lookup_elem(t->table, &i);
	}
#endif
	pst_stride_keep(at);
	return t->lines + at;
}

/* Only of map entries, and only for the verifier. */
PST_STRIDE_FN __u32 pst_line_missing(const struct pst_half *t, const union pst_line *l)
{
	return t->table && !l;
}

/* @half if the start at that place is not above @x, else 0. */
PST_STRIDE_FN __u64 pst_stride_half(const union pst_line *l, __u64 n, __u32 half, __u32 x)
{
	__u64 at = n + half - 1;

	pst_stride_keep(at);
	return ((__u64)l->u16[at & 31] - x - 1) >> 32 & half;
}

/* How many of the 31 sorted starts are not above @x. */
PST_STRIDE_FN __u32 pst_stride_search(const union pst_line *l, __u32 x)
{
	__u64 n = pst_stride_half(l, 0, 16, x);

	n += pst_stride_half(l, n, 8, x);
	n += pst_stride_half(l, n, 4, x);
	n += pst_stride_half(l, n, 2, x);
	n += pst_stride_half(l, n, 1, x);
	pst_stride_keep(n);
	return n & (PST_STRIDE_FAN - 1);
}

/* How many of the 7 sorted starts are not above @x. */
PST_STRIDE_FN __u32 pst_stride_search_tiny(const union pst_line *l, __u32 x)
{
	__u64 n = pst_stride_half(l, 0, 4, x);

	n += pst_stride_half(l, n, 2, x);
	n += pst_stride_half(l, n, 1, x);
	pst_stride_keep(n);
	return n & (PST_STRIDE_TINY_FAN - 1);
}

/* One stride: the entry for @x behind @entry, which is a node. */
PST_STRIDE_FN __u32 pst_stride_step(const struct pst_half *t, __u32 entry, __u32 x)
{
	__u32 line = entry & PST_STRIDE_LINE, kind = entry & PST_STRIDE_KIND, n;
	const union pst_line *l;

	if (kind == PST_STRIDE_TINY) {
		l = pst_line_at(t, line);
		return pst_line_missing(t, l) ? 0 : l->u32[8 + pst_stride_search_tiny(l, x)];
	}
	if (kind == PST_STRIDE_DENSE) {
		l = pst_line_at(t, line + (x >> 4));
		return pst_line_missing(t, l) ? 0 : l->u32[x & 15];
	}
	if (kind == PST_STRIDE_LARGE) {
		l = pst_line_at(t, line);
		if (pst_line_missing(t, l))
			return 0;
		line += 1 + pst_stride_search(l, x) * PST_STRIDE_SMALL_SIZE;
	}
	l = pst_line_at(t, line);
	if (pst_line_missing(t, l))
		return 0;
	n = pst_stride_search(l, x);
	l = pst_line_at(t, line + 1 + (n >> 4));
	return pst_line_missing(t, l) ? 0 : l->u32[n & 15];
}

#endif
