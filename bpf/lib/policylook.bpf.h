/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What the policies say of an act: the look-up of proto/abi/lookup/policy.h, over an act in this CPU's
 * scratch. Each part is a function of its own, which the verifier looks at once; they take numbers only, as
 * 5.10 asks for.
 */
#ifndef PST_POLICYLOOK_BPF_H
#define PST_POLICYLOOK_BPF_H

#include "bpf/lib/common.bpf.h"

/* Of the search in this CPU's scratch. */
__u32 policy_multi_chunks(__u32 multi);
__u32 policy_multi_refs(__u32 multi);
__u64 policy_multi_bits(__u32 multi, __u32 w);
#define PST_POL_MULTI_CHUNKS(t, s, multi)  policy_multi_chunks(multi)
#define PST_POL_MULTI_REFS(t, s, multi)    policy_multi_refs(multi)
#define PST_POL_MULTI_BITS(t, s, multi, w) policy_multi_bits(multi, w)
#include "proto/abi/lookup/policy.h"

/* An entry is a half. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 2);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(key_size, sizeof(__u32));
	__uint(value_size, PST_POL_LINES * sizeof(union pst_line));
} policy_lines SEC(".maps");

/* The act, and the search. */
struct policy_scratch {
	struct pst_act act;
	struct pst_pol_search search;
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct policy_scratch);
} policy_scratch SEC(".maps");

/* Lines in a half of `policy_lines` - 1; goes with the value's size. */
const volatile __u32 cfg_policy_mask = PST_POL_LINES - 1;

#define POLICY_STEPS 8 /* of the search, at a time */

static __always_inline struct policy_scratch *policy_scratch_here(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&policy_scratch, &zero);
}

static __always_inline struct pst_half policy_half(__u32 half)
{
	half &= 1;
	return (struct pst_half){.lines = bpf_map_lookup_elem(&policy_lines, &half), .mask = cfg_policy_mask};
}

__noinline __u32 policy_multi_chunks(__u32 multi)
{
	struct policy_scratch *p = policy_scratch_here();
	struct pst_half half;

	if (!p || multi >= PST_POL_MULTIS)
		return 0;
	half = policy_half(p->search.half);
	return half.lines ? pst_pol_multi_chunks(&half, &p->search, multi) : 0;
}

__noinline __u32 policy_multi_refs(__u32 multi)
{
	struct policy_scratch *p = policy_scratch_here();
	struct pst_half half;

	if (!p || multi >= PST_POL_MULTIS)
		return 0;
	half = policy_half(p->search.half);
	return half.lines ? pst_pol_multi_refs(&half, &p->search, multi) : 0;
}

__noinline __u64 policy_multi_bits(__u32 multi, __u32 w)
{
	struct policy_scratch *p = policy_scratch_here();
	struct pst_half half;

	if (!p || multi >= PST_POL_MULTIS)
		return 0;
	half = policy_half(p->search.half);
	return half.lines ? pst_pol_multi_bits(&half, &p->search, multi, w) : 0;
}

/* The subject's classes. */
__noinline int policy_subject(__u32 which)
{
	struct policy_scratch *p = policy_scratch_here();
	struct pst_half half = policy_half(which);

	if (!p || !half.lines)
		return 0;
	pst_pol_subject(&half, (const struct pst_pol_head *)half.lines, &p->act, &p->search);
	return 0;
}

/* The subject's executable and ancestors. */
__noinline int policy_subject_lists(__u32 which)
{
	struct policy_scratch *p = policy_scratch_here();
	struct pst_half half = policy_half(which);

	if (!p || !half.lines)
		return 0;
	pst_pol_subject_lists(&half, (const struct pst_pol_head *)half.lines, &p->act, &p->search);
	return 0;
}

/* The object's classes. */
__noinline int policy_object(__u32 which)
{
	struct policy_scratch *p = policy_scratch_here();
	struct pst_half half = policy_half(which);

	if (!p || !half.lines)
		return 0;
	pst_pol_object(&half, (const struct pst_pol_head *)half.lines, &p->act, &p->search);
	return 0;
}

/* The object's paths. */
__noinline int policy_object_lists(__u32 which)
{
	struct policy_scratch *p = policy_scratch_here();
	struct pst_half half = policy_half(which);

	if (!p || !half.lines)
		return 0;
	pst_pol_object_lists(&half, (const struct pst_pol_head *)half.lines, &p->act, &p->search);
	return 0;
}

__noinline int policy_begin(__u32 which)
{
	struct policy_scratch *p = policy_scratch_here();
	struct pst_half half = policy_half(which);

	if (!p || !half.lines)
		return 0;
	p->search.half = which;
	pst_pol_begin(&half, (const struct pst_pol_head *)half.lines, &p->search);
	return 0;
}

/* The next chunk, or the next word of it. */
__noinline int policy_go_on(__u32 which)
{
	struct policy_scratch *p = policy_scratch_here();
	struct pst_half half = policy_half(which);

	if (!p || !half.lines)
		return 0;
	if (p->search.words)
		pst_pol_word(&half, (const struct pst_pol_head *)half.lines, &p->search);
	else
		pst_pol_chunk(&half, &p->search);
	return 0;
}

/* The next rule. */
__noinline int policy_rule(__u32 which)
{
	struct policy_scratch *p = policy_scratch_here();
	struct pst_half half = policy_half(which);

	if (!p || !half.lines)
		return 0;
	pst_pol_rule(&half, (const struct pst_pol_head *)half.lines, &p->act, &p->search);
	return 0;
}

/* Goes on with the search; not 0: it is over. */
__noinline int policy_steps(__u32 which)
{
	struct policy_scratch *p = policy_scratch_here();
	__u32 i;

	if (!p)
		return 1;
	for (i = 0; i < POLICY_STEPS; i++) {
		if (pst_pol_is_over(&p->search))
			return 1;
		if (p->search.bits)
			policy_rule(which);
		else
			policy_go_on(which);
	}
	return 0;
}

/* The act in the scratch, against the half: what was found is in the scratch. */
static __always_inline void policy_look(__u32 which)
{
	__u32 i;

	policy_subject(which);
	policy_subject_lists(which);
	policy_object(which);
	policy_object_lists(which);
	policy_begin(which);
	for (i = 0; i < PST_POL_STEPS / POLICY_STEPS + 1; i++)
		if (policy_steps(which))
			break;
}

#endif
