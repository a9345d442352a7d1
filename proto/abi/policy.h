/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause OR Apache-2.0 */
/*
 * Tables of runtime policies: which set of path conditions a path is in. docs/design/paths.md says why they
 * look so. A table is lines of 64 bytes in a half, as those of the guard (proto/abi/guard.h); every position
 * is a line number that is masked.
 */
#ifndef PST_ABI_POLICY_H
#define PST_ABI_POLICY_H

#include "proto/abi/guard.h"

#define PST_PATHS_AUTOMATA 16
#define PST_PATHS_LINES    (1u << 16) /* of a half at most: a value of 4 MiB */

/*
 * Where a path is looked up: anywhere in the buffer, but for the first and the last PST_PATHS_MARGIN bytes,
 * which are read and not looked at. The buffer of bpf/lib/path.bpf.h is one, from its struct's first byte on.
 */
#define PST_PATHS_ROOM   8192
#define PST_PATHS_MARGIN 8

struct pst_paths_buf {
	__u8 bytes[PST_PATHS_ROOM + PST_PATHS_MARGIN];
};
static_assert(sizeof(struct pst_paths_buf) == 8200, "abi");

/*
 * Where an automaton is: a class, which nothing that follows changes (bit 31 clear), or a node, which tells
 * the class of a path that ends here and where to go with the next byte. Class 0: no condition matches.
 */
#define PST_PATHS_NODE  0x80000000u
#define PST_PATHS_KIND  0x60000000u
#define PST_PATHS_LINE  0x00ffffffu
#define PST_PATHS_CLASS 0x00ffffffu
/* struct pst_paths_run */
#define PST_PATHS_RUN 0x00000000u
/* struct pst_paths_few */
#define PST_PATHS_FEW 0x20000000u
/* a place for each byte (four lines), then the entries, of which the first is the class of a path that ends
 */
#define PST_PATHS_MANY 0x40000000u
/* no line: the class of a path that ends; with whatever follows it is 0 */
#define PST_PATHS_END 0x60000000u

#define PST_PATHS_RUN_BYTES  48
#define PST_PATHS_RUN_LEN    24 /* from this bit on */
#define PST_PATHS_FEW_KEYS   8
#define PST_PATHS_MANY_LINES 4

/* Bytes in a row: all of them lead to `next`; another byte leads elsewhere, and does so within all of them.
 */
struct pst_paths_run {
	__u32 ends; /* the class of a path that ends before the last byte, and how many bytes */
	__u32 next;
	__u32 other;
	__u32 slash; /* as other, of '/' */
	__u64 bytes[PST_PATHS_RUN_BYTES / 8];
};
static_assert(sizeof(struct pst_paths_run) == 64, "abi");

/* Up to 8 bytes that lead elsewhere than all others; the last one is there again where there are less. */
struct pst_paths_few {
	__u32 ends;
	__u32 pad;
	__u64 keys;
	__u32 to[PST_PATHS_FEW_KEYS + 1]; /* the last: all others */
	__u32 rest[3];
};
static_assert(sizeof(struct pst_paths_few) == 64, "abi");

/* The first two lines of a half. */
struct pst_paths_head {
	__u32 n;        /* automata */
	__u32 backward; /* bit n: automaton n reads the path from its end */
	__u32 pad[14];
	__u32 root[PST_PATHS_AUTOMATA];
};
static_assert(sizeof(struct pst_paths_head) == 128, "abi");

#endif
