/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause OR Apache-2.0 */
/*
 * The classes of a path (proto/abi/policy.h). Compiles for user space too: policyd compares the compiled
 * conditions with a plain evaluation of their text. Whatever the table holds, a visit reads within it and
 * within the buffer, and whoever walks counts the visits.
 */
#ifndef PST_ABI_LOOKUP_PATHS_H
#define PST_ABI_LOOKUP_PATHS_H

#include "proto/abi/lookup/stride.h"
#include "proto/abi/policy.h"

#define PST_PATHS_ONES 0x0101010101010101ULL
#define PST_PATHS_TOPS 0x8080808080808080ULL

/* Words are compared as bytes in memory, from any of them on: of what is not aligned clang loads byte by
 * byte. */
#ifdef __bpf__
typedef __u64 pst_paths_word;
#else
typedef __u64 __attribute__((aligned(1))) pst_paths_word;
#endif
static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "the first byte of a word is its lowest");

/* A path in a buffer (struct pst_paths_buf), and the direction in which it is read. */
struct pst_paths_text {
	const __u8 *bytes;
	__u32 start; /* PST_PATHS_MARGIN and more */
	__u32 len;   /* at most PST_PATH_MAX */
	__u32 backward;
};

/* Before the byte at @pos, in the direction of reading. */
struct pst_paths_walk {
	__u32 entry;
	__u32 pos;
};

/* The number of lowest bytes that are 0 in @v, if they are seen by their top bits; 8: all. */
PST_STRIDE_FN __u32 pst_paths_zeros(__u64 v)
{
	return (__u32)(((((v & -v) - 1) & PST_PATHS_TOPS) >> 7) * PST_PATHS_ONES >> 56);
}

/* Eight bytes, of which the one at @pos is the lowest; what is behind the path is rubbish. */
PST_STRIDE_FN __u64 pst_paths_word_at(const struct pst_paths_text *p, __u32 pos)
{
	__u64 at = p->backward ? p->start + p->len - pos - 8 : p->start + pos, word;

	pst_stride_keep(at);
	word = *(const pst_paths_word *)(p->bytes + (at & (PST_PATHS_ROOM - 1)));
	return p->backward ? __builtin_bswap64(word) : word;
}

PST_STRIDE_FN __u32 pst_paths_byte(const struct pst_paths_text *p, __u32 pos)
{
	return pst_paths_word_at(p, pos) & 0xff;
}

/* How many bytes from @pos on are those of the run, also of what is behind the path. */
PST_STRIDE_FN __u32 pst_paths_same(const struct pst_paths_run *run, const struct pst_paths_text *p, __u32 pos)
{
	__u32 i, n = 0, same;

	PST_STRIDE_UNROLL
	for (i = 0; i < PST_PATHS_RUN_BYTES; i += 8) {
		same = pst_paths_zeros(pst_paths_word_at(p, pos + i) ^ run->bytes[i / 8]);
		n += same;
		if (same < 8)
			break;
	}
	return n;
}

PST_STRIDE_FN void pst_paths_visit_run(
	const struct pst_paths_run *run, const struct pst_paths_text *p, struct pst_paths_walk *w)
{
	__u32 len = run->ends >> PST_PATHS_RUN_LEN, left = p->len - w->pos;
	__u32 same = pst_paths_same(run, p, w->pos);

	if (same >= len && left >= len) {
		w->entry = run->next;
		w->pos += len;
	} else if (same >= left) {
		w->entry = run->ends & PST_PATHS_CLASS;
	} else {
		w->entry = pst_paths_byte(p, w->pos + same) == '/' ? run->slash : run->other;
		w->pos += same + 1;
	}
}

PST_STRIDE_FN void pst_paths_visit_few(
	const struct pst_paths_few *few, const struct pst_paths_text *p, struct pst_paths_walk *w)
{
	__u32 here = w->entry, pos = w->pos, to = here, i;
	__u64 keys = few->keys, word = pst_paths_word_at(p, pos), differ, n;

	/* nodes are often left for themselves: that costs no visit for each byte */
	for (i = 0; i < 8; i++) {
		differ = keys ^ (word & 0xff) * PST_PATHS_ONES;
		n = pst_paths_zeros((differ - PST_PATHS_ONES) & ~differ & PST_PATHS_TOPS);
		pst_stride_keep(n);
		to = few->to[n < PST_PATHS_FEW_KEYS ? n : PST_PATHS_FEW_KEYS];
		word >>= 8;
		pos++;
		if (to != here || pos >= p->len)
			break;
	}
	w->entry = to;
	w->pos = pos;
}

PST_STRIDE_FN void pst_paths_visit_many(
	const struct pst_half *t, const struct pst_paths_text *p, struct pst_paths_walk *w)
{
	__u32 line = w->entry & PST_PATHS_LINE, byte = pst_paths_byte(p, w->pos);
	__u32 at = pst_line_at(t, line + byte / 64)->u8[byte % 64];

	w->entry = pst_line_at(t, line + PST_PATHS_MANY_LINES + at / 16)->u32[at % 16];
	w->pos++;
}

/* True while there is something left to visit. */
PST_STRIDE_FN bool pst_paths_goes_on(const struct pst_paths_text *p, const struct pst_paths_walk *w)
{
	return w->entry & PST_PATHS_NODE && w->pos < p->len;
}

/* One node, if pst_paths_goes_on(): passes a byte or more, unless somebody scribbled into the table. */
PST_STRIDE_FN void pst_paths_visit(
	const struct pst_half *t, const struct pst_paths_text *p, struct pst_paths_walk *w)
{
	__u32 kind = w->entry & PST_PATHS_KIND;

	if (kind == PST_PATHS_END)
		w->entry = 0;
	else if (kind == PST_PATHS_MANY)
		pst_paths_visit_many(t, p, w);
	else if (kind == PST_PATHS_FEW)
		pst_paths_visit_few(
			(const struct pst_paths_few *)pst_line_at(t, w->entry & PST_PATHS_LINE), p, w);
	else
		pst_paths_visit_run(
			(const struct pst_paths_run *)pst_line_at(t, w->entry & PST_PATHS_LINE), p, w);
}

/* The class of a path that ends where the walk did. */
PST_STRIDE_FN __u32 pst_paths_class(const struct pst_half *t, __u32 entry)
{
	__u32 line = entry & PST_PATHS_LINE, kind = entry & PST_PATHS_KIND;

	if (!(entry & PST_PATHS_NODE) || kind == PST_PATHS_END)
		return entry & PST_PATHS_CLASS;
	if (kind == PST_PATHS_MANY)
		line += PST_PATHS_MANY_LINES;
	return pst_line_at(t, line)->u32[0] & PST_PATHS_CLASS;
}

#endif
