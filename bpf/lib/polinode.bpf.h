/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What rules have of the inodes of the file that is judged, and of the folders above it, under whatever name
 * (proto/abi/policy.h). Functions take numbers only, as 5.10 asks for.
 */
#ifndef PST_POLINODE_BPF_H
#define PST_POLINODE_BPF_H

#include "bpf/lib/policylook.bpf.h"
#include "bpf/lib/polobject.bpf.h"

/* Of the head's inode_as. */
#define POLINODE_FILE       (1u << PST_POL_AS_FILE)
#define POLINODE_FOLDERS    (1u << PST_POL_AS_IN | 1u << PST_POL_AS_ABOVE)
#define POLINODE_EXECUTABLE (1u << PST_POL_AS_EXECUTABLE | 1u << PST_POL_AS_SCOPE_EXECUTABLE)
#define POLINODE_TARGET     (1u << PST_POL_AS_TARGET)

/* The line of what rules have of it; 0: nothing, or it is not known. */
__noinline __u32 polinode(__u32 which, __u32 dev, __u64 ino)
{
	struct pst_half half = policy_half(which);

	if (!half.lines)
		return 0;
	return pst_pol_inode(&half, (const struct pst_pol_head *)half.lines, dev, ino);
}

/* @which: OBJECT_FIRST or OBJECT_OTHER. */
static __always_inline struct pst_act_inodes *polinode_of(struct policy_scratch *p, __u32 which)
{
	return which == OBJECT_OTHER ? &p->act.path_to_inodes : &p->act.path_inodes;
}

__noinline int polinode_file(__u32 half, __u32 which)
{
	struct object *w = bpf_map_lookup_elem(&objects, &which);
	struct policy_scratch *p = policy_scratch_here();

	if (w && p)
		polinode_of(p, which)->file = polinode(half, w->facts.id.dev, w->facts.id.ino);
	return 0;
}

/* One of the folders above. */
__noinline int polinode_folder(__u32 half, __u32 which, __u32 at)
{
	struct object *w = bpf_map_lookup_elem(&objects, &which);
	struct policy_scratch *p = policy_scratch_here();
	struct pst_half tables = policy_half(half);
	__u32 lists;

	if (!w || !p || !tables.lines)
		return 0;
	at &= PST_ABOVE_MAX - 1;
	lists = polinode(half, w->facts.above[at].dev, w->facts.above[at].ino);
	pst_pol_inode_above(&tables, polinode_of(p, which), lists, !at);
	return 0;
}

/* All that are known of. */
__noinline int polinode_folders(__u32 half, __u32 which)
{
	struct object *w = bpf_map_lookup_elem(&objects, &which);
	__u32 i;

	if (!w)
		return 0;
	for (i = 0; i < PST_ABOVE_MAX; i++) {
		if (i >= w->facts.n_above)
			break;
		polinode_folder(half, which, i);
	}
	return 0;
}

#endif
