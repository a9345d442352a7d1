/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Classes of a path: the automata of proto/abi/policy.h, walked over a path in a buffer of this CPU. A step
 * is a function of its own, which the verifier looks at once and not for each byte; it takes and gives
 * numbers only, as 5.10 asks for.
 */
#ifndef PST_PATHCLASS_BPF_H
#define PST_PATHCLASS_BPF_H

#include "bpf/lib/common.bpf.h"
#include "proto/abi/lookup/paths.h"

#define PATHCLASS_VISITS 8 /* in a step */
#define PATHCLASS_STEPS  (PST_PATH_MAX / PATHCLASS_VISITS)

/* An entry is a half. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 2);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(key_size, sizeof(__u32));
	__uint(value_size, PST_PATHS_LINES * sizeof(union pst_line));
} path_lines SEC(".maps");

/* Where paths are on this CPU: the including file's own function. NULL only to please the verifier. */
static __always_inline const struct pst_paths_buf *pathclass_buf(__u32 number);

/* Lines in a half of `path_lines` - 1; goes with the value's size. */
const volatile __u32 cfg_path_mask = PST_PATHS_LINES - 1;

static __always_inline struct pst_half pathclass_half(__u32 half)
{
	return (struct pst_half){.lines = bpf_map_lookup_elem(&path_lines, &half), .mask = cfg_path_mask};
}

/* Which half, in which direction the path is read, and in which buffer it is. */
#define PATHCLASS_HALF     1
#define PATHCLASS_BACKWARD 2
#define PATHCLASS_BUF(n)   ((n) << 2)

/* One node: the entry behind it, and in the upper half the position. */
__noinline __u64 pathclass_visit(__u64 at, __u32 start, __u32 len, __u32 how)
{
	struct pst_paths_text p = {.start = start, .len = len, .backward = how & PATHCLASS_BACKWARD};
	struct pst_paths_walk w = {.entry = at, .pos = at >> 32};
	struct pst_half half = pathclass_half(how & PATHCLASS_HALF);
	const struct pst_paths_buf *buf = pathclass_buf(how >> 2);

	if (!buf || !half.lines)
		return 0;
	p.bytes = buf->bytes;
	pst_paths_visit(&half, &p, &w);
	return (__u64)w.pos << 32 | w.entry;
}

/* Up to PATHCLASS_VISITS nodes from @entry and @pos on, likewise. */
__noinline __u64 pathclass_step(__u32 entry, __u32 pos, __u32 start, __u32 len, __u32 how)
{
	struct pst_paths_text p = {.start = start, .len = len, .backward = how & PATHCLASS_BACKWARD};
	__u64 at = (__u64)pos << 32 | entry;

	for (int i = 0; i < PATHCLASS_VISITS; i++) {
		struct pst_paths_walk w = {.entry = at, .pos = at >> 32};

		if (!pst_paths_goes_on(&p, &w))
			break;
		at = pathclass_visit(at, start, len, how);
	}
	return at;
}

/* How many automata that half has. */
static __always_inline __u32 pathclass_automata(__u32 which)
{
	struct pst_half half = pathclass_half(which & PATHCLASS_HALF);
	const struct pst_paths_head *head = (const struct pst_paths_head *)half.lines;

	return head ? head->n : 0;
}

/* The class that @automaton has for the @len bytes from @start on in this CPU's buffer; @which: half and
 * buffer. */
__noinline __u32 pathclass(__u32 which, __u32 automaton, __u32 start, __u32 len)
{
	struct pst_half half = pathclass_half(which & PATHCLASS_HALF);
	const struct pst_paths_head *head = (const struct pst_paths_head *)half.lines;
	__u32 how = which & ~PATHCLASS_BACKWARD, i;
	__u64 at;

	if (!head || automaton >= PST_PATHS_AUTOMATA || automaton >= head->n)
		return 0;
	if (head->backward >> automaton & 1)
		how |= PATHCLASS_BACKWARD;
	at = head->root[automaton & (PST_PATHS_AUTOMATA - 1)];
	for (i = 0; i < PATHCLASS_STEPS; i++) {
		if (!(at & PST_PATHS_NODE) || at >> 32 >= len)
			break;
		at = pathclass_step((__u32)at, at >> 32, start, len, how);
	}
	return pst_paths_class(&half, (__u32)at);
}

#endif
