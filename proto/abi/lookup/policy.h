/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause OR Apache-2.0 */
/*
 * What policies say of an act (proto/abi/policy.h): the strongest rule of those that are the first of their
 * policy to take it. Compiles for user space too: policyd compares the compiled rules with a plain evaluation
 * of their source before they are switched in. Whatever the tables hold, a step reads within them.
 *
 * pst_pol_subject(), pst_pol_object(), their lists, pst_pol_begin(), then pst_pol_step() until
 * pst_pol_is_over(), at most PST_POL_STEPS times.
 */
#ifndef PST_ABI_LOOKUP_POLICY_H
#define PST_ABI_LOOKUP_POLICY_H

#include "proto/abi/lookup/fw.h"
#include "proto/abi/policy.h"

/* Chunks, their words, and rules. */
#define PST_POL_STEPS (PST_POL_CHUNKS_MAX * 9 + PST_POL_VISITS_MAX + 1)

#define PST_POL_NO_RULE 0xffffffffu

/* The search: too large for a program's stack. */
struct pst_pol_search {
	__u64 bits;   /* what is left of the word, */
	__u32 words;  /* of the chunk, */
	__u32 chunks; /* of the summary */
	__u32 chunk;
	__u32 first;    /* rule of bit 0 in bits */
	__u32 from;     /* rules before this one are passed over */
	__u32 visits;   /* rules that were looked at */
	__u32 cut;      /* there were more than PST_POL_VISITS_MAX */
	__u32 rule;     /* the strongest so far, or PST_POL_NO_RULE; */
	__u32 strength; /* its PST_POL_STRENGTH() */
	__u32 used;     /* dimensions that are looked at: those of the head, or fewer, */
	__u32 multi;    /* likewise */
	__u32 half;     /* of the tables: kernel programs' own */
	__u32 class_line[PST_POL_DIMS];
	__u32 ref[PST_POL_DIMS];
	__u32 base[PST_POL_MULTIS]; /* classes */
	__u32 base_ref[PST_POL_MULTIS];
	__u32 n[PST_POL_MULTIS]; /* of list */
	__u32 list[PST_POL_MULTIS][PST_POL_LISTS];
	__u32 list_ref[PST_POL_MULTIS][PST_POL_LISTS];
};

/* ---- names ---- */

/* NULL: no rule has it. */
PST_STRIDE_FN const struct pst_pol_name *pst_pol_name_at(
	const struct pst_half *t, const struct pst_pol_head *head, __u64 key)
{
	__u32 i;

	if (!head->names)
		return NULL;
	for (i = 0; i < PST_POL_PROBES; i++) {
		const union pst_line *l = pst_line_at(t, head->names + (((__u32)key + i) & head->name_mask));
		const struct pst_pol_name *n = (const struct pst_pol_name *)l;

		if (n[0].key == key)
			return &n[0];
		if (n[1].key == key)
			return &n[1];
		if (!n[1].key)
			break;
	}
	return NULL;
}

PST_STRIDE_FN __u32 pst_pol_cgroup_home(const struct pst_pol_head *head, __u64 id)
{
	return (__u32)((id + head->seed[0]) * (head->seed[1] | 1) >> 32);
}

/* The cgroup's class, or 0. */
PST_STRIDE_FN __u32 pst_pol_cgroup_class(const struct pst_half *t, const struct pst_pol_head *head, __u64 id)
{
	__u32 home = pst_pol_cgroup_home(head, id), i, k;

	if (!head->cgroups || !id)
		return 0;
	for (i = 0; i < PST_POL_PROBES; i++) {
		const union pst_line *l = pst_line_at(t, head->cgroups + ((home + i) & head->cgroup_mask));
		const struct pst_pol_cgroup *g = (const struct pst_pol_cgroup *)l;

		PST_STRIDE_UNROLL
		for (k = 0; k < PST_POL_CGROUPS_A_LINE; k++) {
			if (g[k].id == id)
				return g[k].class;
			if (!g[k].id)
				return 0;
		}
	}
	return 0;
}

PST_STRIDE_FN __u32 pst_pol_inode_home(const struct pst_pol_head *head, __u32 dev, __u64 ino)
{
	return (__u32)(((ino ^ (__u64)dev << 32) + head->seed[0]) * (head->seed[1] | 1) >> 32);
}

/* The line of its lists, or 0: no rule names it. */
PST_STRIDE_FN __u32 pst_pol_inode(
	const struct pst_half *t, const struct pst_pol_head *head, __u32 dev, __u64 ino)
{
	__u32 home = pst_pol_inode_home(head, dev, ino), i, k;

	if (!head->inodes || !dev || !ino)
		return 0;
	PST_STRIDE_UNROLL /* as a loop, clang falls through into its head, which 5.10 refuses */
		for (i = 0; i < PST_POL_PROBES; i++)
	{
		const union pst_line *l = pst_line_at(t, head->inodes + ((home + i) & head->inode_mask));
		const struct pst_pol_inode *n = (const struct pst_pol_inode *)l;

		PST_STRIDE_UNROLL
		for (k = 0; k < PST_POL_INODES_A_LINE; k++) {
			if (n[k].ino == ino && n[k].dev == dev)
				return n[k].lists;
			if (!n[k].ino)
				return 0;
		}
	}
	return 0;
}

/* Notes the lists of a folder above; @nearest: of the one that the file is in. */
PST_STRIDE_FN void pst_pol_inode_above(
	const struct pst_half *t, struct pst_act_inodes *of, __u32 lists, __u32 nearest)
{
	if (!lists)
		return;
	if (nearest)
		of->in = lists;
	if (!pst_line_at(t, lists)->u32[2 * PST_POL_AS_ABOVE])
		return;
	if (of->n_above < PST_POL_ABOVE)
		of->above[of->n_above & (PST_POL_ABOVE - 1)] = lists;
	of->n_above++;
}

/* ---- classes ---- */

PST_STRIDE_FN const struct pst_pol_dim_head *pst_pol_dim(const struct pst_half *t, __u32 dim)
{
	const union pst_line *l = pst_line_at(t, PST_POL_DIM_LINE + dim / PST_POL_DIMS_A_LINE);

	return (const struct pst_pol_dim_head *)l + dim % PST_POL_DIMS_A_LINE;
}

PST_STRIDE_FN const struct pst_pol_multi_head *pst_pol_multi(const struct pst_half *t, __u32 multi)
{
	return (const struct pst_pol_multi_head *)pst_line_at(t, PST_POL_MULTI_LINE + 2 * multi);
}

/* Of an array: the value's entry. */
PST_STRIDE_FN __u32 pst_pol_value(const struct pst_half *t, __u32 line, __u32 value)
{
	return pst_line_at(t, line + (value >> 4))->u32[value & 15];
}

PST_STRIDE_FN __u32 pst_pol_tree_32(const struct pst_half *t, __u32 entry, __u32 key)
{
	if (entry & PST_STRIDE_NODE)
		entry = pst_stride_step(t, entry, key >> 16);
	if (entry & PST_STRIDE_NODE)
		entry = pst_stride_step(t, entry, key & 0xffff);
	return entry & ~PST_STRIDE_NODE;
}

PST_STRIDE_FN __u32 pst_pol_address(
	const struct pst_half *t, const struct pst_pol_dim_head *d, const struct pst_act *a)
{
	__u32 i = a->is_ip6 ? 0 : PST_STRIDES_MAX - 2, entry = d->root[a->is_ip6 ? 1 : 0];

	for (; i < PST_STRIDES_MAX; i++) {
		if (!(entry & PST_STRIDE_NODE))
			break;
		entry = pst_stride_step(t, entry, (__u32)a->addr[2 * i] << 8 | a->addr[2 * i + 1]);
	}
	return entry & ~PST_STRIDE_NODE;
}

PST_STRIDE_FN __u32 pst_pol_port(
	const struct pst_half *t, const struct pst_pol_dim_head *d, const struct pst_act *a)
{
	__u32 entry = d->root[0];

	if (entry & PST_STRIDE_NODE)
		entry = pst_stride_step(t, entry, a->port);
	return entry & ~PST_STRIDE_NODE;
}

PST_STRIDE_FN __u32 pst_pol_cap_value(const struct pst_act *a)
{
	__u64 caps = a->capabilities;

	if (!caps)
		return PST_POL_CAP_NONE;
	return caps & (caps - 1) ? PST_POL_CAP_MANY : pst_fw_lowest(caps);
}

/* The class in one dimension of the subject; @dim is a constant. */
PST_STRIDE_FN __u32 pst_pol_subject_class(
	const struct pst_half *t, const struct pst_pol_head *head, const struct pst_act *a, __u32 dim)
{
	const struct pst_pol_dim_head *d = pst_pol_dim(t, dim);
	const struct pst_pol_name *name;
	__u32 class;

	switch (dim) {
	case PST_POL_UID:
	case PST_POL_SCOPE_UID:
		return pst_pol_tree_32(t, d->root[0], a->uid);
	case PST_POL_GID:
		return pst_pol_tree_32(t, d->root[0], a->gid);
	case PST_POL_NS:
		return a->known & PST_KNOWN_NS ? pst_pol_value(t, d->root[0], a->ns & (PST_ACT_NS_VALUES - 1))
					       : d->unknown;
	case PST_POL_CGROUP:
		class = pst_pol_cgroup_class(t, head, a->cgroup);
		return class ? class : d->unknown;
	default:
		if (!(a->known & PST_KNOWN_PARENT))
			return d->unknown;
		name = pst_pol_name_at(t, head, a->parent);
		return name ? name->parent : d->miss;
	}
}

PST_STRIDE_FN __u32 pst_pol_object_class(
	const struct pst_half *t, const struct pst_pol_head *head, const struct pst_act *a, __u32 dim)
{
	const struct pst_pol_dim_head *d = pst_pol_dim(t, dim);
	const struct pst_pol_name *name;

	switch (dim) {
	case PST_POL_FILE:
		return a->known & PST_KNOWN_FILE ? pst_pol_value(t, d->root[0], a->file) : d->unknown;
	case PST_POL_ADDRESS:
		return a->known & PST_KNOWN_ADDRESS ? pst_pol_address(t, d, a) : d->unknown;
	case PST_POL_PORT:
		return a->known & PST_KNOWN_PORT ? pst_pol_port(t, d, a) : d->unknown;
	case PST_POL_PROTOCOL:
		return a->known & PST_KNOWN_PROTOCOL ? pst_pol_value(t, d->root[0], a->protocol) : d->unknown;
	case PST_POL_FAMILY:
		return a->known & PST_KNOWN_FAMILY ? pst_pol_value(t, d->root[0], a->family) : d->unknown;
	case PST_POL_SIGNAL:
		return a->known & PST_KNOWN_SIGNAL ? pst_pol_value(t, d->root[0], a->signal) : d->unknown;
	case PST_POL_CAP:
		return pst_pol_value(t, d->root[0], pst_pol_cap_value(a));
	default:
		if (!(a->known & PST_KNOWN_MODULE))
			return d->unknown;
		name = pst_pol_name_at(t, head, a->module);
		return name ? name->module : d->miss;
	}
}

/* ---- what can be in several lists ---- */

PST_STRIDE_FN void pst_pol_add_list(struct pst_pol_search *s, __u32 multi, __u32 class)
{
	__u32 n = s->n[multi];

	if (!class || n >= PST_POL_LISTS)
		return;
	s->list[multi][n & (PST_POL_LISTS - 1)] = class;
	s->n[multi] = n + 1;
}

/* Of a text: its class of each automaton. */
PST_STRIDE_FN void pst_pol_add_text(const struct pst_half *t, struct pst_pol_search *s, __u32 multi,
	const __u32 classes[PST_PATHS_AUTOMATA])
{
	const union pst_line *of = pst_line_at(t, PST_POL_MULTI_LINE + 2 * multi + 1);
	__u32 i;

	for (i = 0; i < PST_PATHS_AUTOMATA; i++)
		if (of->u32[i] && classes[i])
			pst_pol_add_list(s, multi, pst_pol_value(t, of->u32[i], classes[i]));
}

/* Of an inode; @unnamed: the path is not known. */
PST_STRIDE_FN void pst_pol_add_inode(
	const struct pst_half *t, struct pst_pol_search *s, __u32 multi, __u32 lists, __u32 as, __u32 unnamed)
{
	if (lists)
		pst_pol_add_list(s, multi, pst_line_at(t, lists)->u32[2 * as + (unnamed & 1)]);
}

PST_STRIDE_FN void pst_pol_add_inodes(
	const struct pst_half *t, struct pst_pol_search *s, const struct pst_act_inodes *of, __u32 unnamed)
{
	__u32 i;

	pst_pol_add_inode(t, s, PST_POL_PATH, of->file, PST_POL_AS_FILE, unnamed);
	pst_pol_add_inode(t, s, PST_POL_PATH, of->in, PST_POL_AS_IN, unnamed);
	for (i = 0; i < PST_POL_ABOVE; i++) {
		if (i >= of->n_above)
			break;
		pst_pol_add_inode(t, s, PST_POL_PATH, of->above[i], PST_POL_AS_ABOVE, unnamed);
	}
}

PST_STRIDE_FN void pst_pol_multi_begin(
	const struct pst_half *t, struct pst_pol_search *s, __u32 multi, __u32 known)
{
	const struct pst_pol_multi_head *m = pst_pol_multi(t, multi);

	s->n[multi] = 0;
	s->base[multi] = known ? m->base : m->unknown;
}

PST_STRIDE_FN void pst_pol_ancestors(const struct pst_half *t, const struct pst_pol_head *head,
	const struct pst_act *a, struct pst_pol_search *s)
{
	__u32 known = a->known & PST_KNOWN_ANCESTORS, i;

	pst_pol_multi_begin(t, s, PST_POL_ANCESTOR, known);
	pst_pol_multi_begin(t, s, PST_POL_SCOPE_ANCESTOR, known);
	for (i = 0; i < PST_POL_ANCESTORS; i++) {
		const struct pst_pol_name *name;

		if (!known || i >= a->n_ancestors)
			break;
		name = pst_pol_name_at(t, head, a->ancestor[i]);
		if (!name)
			continue;
		pst_pol_add_list(s, PST_POL_ANCESTOR, name->ancestor);
		pst_pol_add_list(s, PST_POL_SCOPE_ANCESTOR, name->scope_ancestor);
	}
}

PST_STRIDE_FN void pst_pol_executable(
	const struct pst_half *t, const struct pst_act *a, struct pst_pol_search *s, __u32 multi)
{
	__u32 known = a->known & PST_KNOWN_EXECUTABLE;
	__u32 as = multi == PST_POL_EXECUTABLE ? PST_POL_AS_EXECUTABLE : PST_POL_AS_SCOPE_EXECUTABLE;

	pst_pol_multi_begin(t, s, multi, known);
	if (known)
		pst_pol_add_text(t, s, multi, a->executable);
	pst_pol_add_inode(t, s, multi, a->executable_inode, as, !known);
}

/* ---- the search ---- */

/* The subject's classes and lists are the same until the subject, or the tables, change. */
PST_STRIDE_FN void pst_pol_subject(const struct pst_half *t, const struct pst_pol_head *head,
	const struct pst_act *a, struct pst_pol_search *s)
{
	__u32 dim;

	PST_STRIDE_UNROLL
	for (dim = PST_POL_UID; dim <= PST_POL_PARENT; dim++)
		if (head->used & 1u << dim)
			s->class_line[dim] = pst_pol_subject_class(t, head, a, dim);
}

PST_STRIDE_FN void pst_pol_subject_lists(const struct pst_half *t, const struct pst_pol_head *head,
	const struct pst_act *a, struct pst_pol_search *s)
{
	if (head->multi & (1u << PST_POL_ANCESTOR | 1u << PST_POL_SCOPE_ANCESTOR))
		pst_pol_ancestors(t, head, a, s);
	if (head->multi & 1u << PST_POL_EXECUTABLE)
		pst_pol_executable(t, a, s, PST_POL_EXECUTABLE);
	if (head->multi & 1u << PST_POL_SCOPE_EXECUTABLE)
		pst_pol_executable(t, a, s, PST_POL_SCOPE_EXECUTABLE);
}

PST_STRIDE_FN void pst_pol_object(const struct pst_half *t, const struct pst_pol_head *head,
	const struct pst_act *a, struct pst_pol_search *s)
{
	__u32 dim;

	s->class_line[PST_POL_OP] = pst_pol_value(t, pst_pol_dim(t, PST_POL_OP)->root[0], a->op & 63);
	PST_STRIDE_UNROLL
	for (dim = PST_POL_FILE; dim < PST_POL_DIMS; dim++)
		if (head->used & 1u << dim)
			s->class_line[dim] = pst_pol_object_class(t, head, a, dim);
}

PST_STRIDE_FN void pst_pol_paths(const struct pst_half *t, const struct pst_pol_head *head,
	const struct pst_act *a, struct pst_pol_search *s)
{
	__u32 known = a->known & PST_KNOWN_PATH;

	pst_pol_multi_begin(t, s, PST_POL_PATH, known);
	if (known)
		pst_pol_add_text(t, s, PST_POL_PATH, a->path);
	if (known && a->known & PST_KNOWN_PATH_TO)
		pst_pol_add_text(t, s, PST_POL_PATH, a->path_to);
	if (!head->inodes)
		return;
	pst_pol_add_inodes(t, s, &a->path_inodes, !known);
	pst_pol_add_inodes(t, s, &a->path_to_inodes, !known);
}

PST_STRIDE_FN void pst_pol_object_lists(const struct pst_half *t, const struct pst_pol_head *head,
	const struct pst_act *a, struct pst_pol_search *s)
{
	if (head->multi & 1u << PST_POL_PATH)
		pst_pol_paths(t, head, a, s);
	if (!(head->multi & 1u << PST_POL_TARGET))
		return;
	pst_pol_multi_begin(t, s, PST_POL_TARGET, a->known & PST_KNOWN_TARGET);
	if (a->known & PST_KNOWN_TARGET)
		pst_pol_add_text(t, s, PST_POL_TARGET, a->target);
	pst_pol_add_inode(
		t, s, PST_POL_TARGET, a->target_inode, PST_POL_AS_TARGET, !(a->known & PST_KNOWN_TARGET));
}

/*
 * What is or-ed over several lists. Kernel programs have functions of their own for these, which the verifier
 * looks at once and not for each dimension.
 */
#ifndef PST_POL_MULTI_CHUNKS
#define PST_POL_MULTI_CHUNKS(t, s, multi)  pst_pol_multi_chunks(t, s, multi)
#define PST_POL_MULTI_REFS(t, s, multi)    pst_pol_multi_refs(t, s, multi)
#define PST_POL_MULTI_BITS(t, s, multi, w) pst_pol_multi_bits(t, s, multi, w)
#endif

/* Chunks in which the dimension may have a rule. */
PST_STRIDE_FN __u32 pst_pol_multi_chunks(
	const struct pst_half *t, const struct pst_pol_search *s, __u32 multi)
{
	__u32 chunks = pst_line_at(t, s->base[multi])->u32[0], i;

	for (i = 0; i < PST_POL_LISTS; i++) {
		if (i >= s->n[multi])
			break;
		chunks |= pst_line_at(t, s->list[multi][i])->u32[0];
	}
	return chunks;
}

/* Once it is over: not all was looked at. */
PST_STRIDE_FN __u32 pst_pol_is_cut(const struct pst_act *a, const struct pst_pol_search *s)
{
	return s->cut || a->path_inodes.n_above > PST_POL_ABOVE || a->path_to_inodes.n_above > PST_POL_ABOVE;
}

/* What the act does not have a class for yet is left out: any rule may take that. */
PST_STRIDE_FN void pst_pol_begin_with(
	const struct pst_half *t, struct pst_pol_search *s, __u32 used, __u32 multi)
{
	__u32 chunks = (1u << PST_POL_CHUNKS_MAX) - 1, i;

	for (i = 0; i < PST_POL_DIMS; i++)
		if (used & 1u << i)
			chunks &= pst_line_at(t, s->class_line[i])->u32[0];
	for (i = 0; i < PST_POL_MULTIS; i++)
		if (multi & 1u << i)
			chunks &= PST_POL_MULTI_CHUNKS(t, s, i);
	s->chunks = chunks;
	s->words = s->chunk = s->first = s->from = s->visits = s->cut = s->strength = 0;
	s->bits = 0;
	s->rule = PST_POL_NO_RULE;
	s->used = used;
	s->multi = multi;
}

PST_STRIDE_FN void pst_pol_begin(
	const struct pst_half *t, const struct pst_pol_head *head, struct pst_pol_search *s)
{
	pst_pol_begin_with(t, s, head->used, head->multi);
}

/* The class's word for this chunk; 0: it has no rule there. */
PST_STRIDE_FN __u32 pst_pol_ref(const struct pst_half *t, __u32 class, __u32 chunk)
{
	__u32 chunks = pst_line_at(t, class)->u32[0], at;

	if (!(chunks >> (chunk & 31) & 1))
		return 0;
	at = 1 + chunk - pst_fw_lowest(chunks);
	return pst_line_at(t, class + (at >> 4))->u32[at & 15];
}

/* Which words of the chunk may have a rule. */
PST_STRIDE_FN __u32 pst_pol_multi_refs(const struct pst_half *t, struct pst_pol_search *s, __u32 multi)
{
	__u32 ref = pst_pol_ref(t, s->base[multi], s->chunk), words = ref, i;

	s->base_ref[multi] = ref;
	for (i = 0; i < PST_POL_LISTS; i++) {
		if (i >= s->n[multi])
			break;
		ref = pst_pol_ref(t, s->list[multi][i], s->chunk);
		s->list_ref[multi][i] = ref;
		words |= ref;
	}
	return words >> PST_POL_REF_WORDS;
}

PST_STRIDE_FN void pst_pol_chunk(const struct pst_half *t, struct pst_pol_search *s)
{
	__u32 words = 0xff, i;

	s->chunk = pst_fw_lowest(s->chunks);
	s->chunks &= s->chunks - 1;
	for (i = 0; i < PST_POL_DIMS; i++) {
		if (!(s->used & 1u << i))
			continue;
		s->ref[i] = pst_pol_ref(t, s->class_line[i], s->chunk);
		words &= s->ref[i] >> PST_POL_REF_WORDS;
	}
	for (i = 0; i < PST_POL_MULTIS; i++)
		if (words && s->multi & 1u << i)
			words &= PST_POL_MULTI_REFS(t, s, i);
	s->words = words;
}

PST_STRIDE_FN __u64 pst_pol_bits(const struct pst_half *t, __u32 ref, __u32 w)
{
	if (!(ref >> (PST_POL_REF_WORDS + w) & 1))
		return 0;
	return pst_line_at(t, ref & PST_POL_REF_LINE)->u64[w & 7];
}

PST_STRIDE_FN __u64 pst_pol_multi_bits(
	const struct pst_half *t, const struct pst_pol_search *s, __u32 multi, __u32 w)
{
	__u64 in = 0;
	__u32 i;

	for (i = 0; i < PST_POL_LISTS; i++) {
		if (i >= s->n[multi])
			break;
		in |= pst_pol_bits(t, s->list_ref[multi][i], w);
	}
	return in ^ pst_pol_bits(t, s->base_ref[multi], w);
}

/* Of the rules from @first on those from @from on. */
PST_STRIDE_FN __u64 pst_pol_behind(__u64 bits, __u32 first, __u32 from)
{
	if (from <= first)
		return bits;
	return from - first < 64 ? bits & ~0ULL << (from - first) : 0;
}

/* The next word of the chunk: the rules in it that all dimensions leave. */
PST_STRIDE_FN void pst_pol_word(
	const struct pst_half *t, const struct pst_pol_head *head, struct pst_pol_search *s)
{
	__u32 w = pst_fw_lowest(s->words) & 7, at = s->chunk * 8 + w, i;
	__u64 bits = ~0ULL;

	/* nothing from here on is stronger than what was found */
	if (pst_line_at(t, head->ranks + (at >> 4))->u32[at & 15] <= s->strength) {
		s->words = s->chunks = 0;
		return;
	}
	s->words &= s->words - 1;
	for (i = 0; i < PST_POL_DIMS; i++)
		if (s->used & 1u << i)
			bits &= pst_pol_bits(t, s->ref[i], w);
	for (i = 0; i < PST_POL_MULTIS; i++)
		if (bits && s->multi & 1u << i)
			bits &= PST_POL_MULTI_BITS(t, s, i, w);
	s->first = at * 64;
	s->bits = pst_pol_behind(bits, s->first, s->from);
}

PST_STRIDE_FN __u32 pst_pol_ask(__u32 asks, __u32 ask, __u64 in)
{
	return !(asks & ask) || !in == !!(asks & PST_POL_NOT(ask));
}

/* What the vectors cannot say. */
PST_STRIDE_FN __u32 pst_pol_takes(const struct pst_pol_rule *r, const struct pst_act *a)
{
	__u32 asks = r->asks;

	if (!(asks & 15))
		return 1;
	if (asks & PST_POL_ARGUMENTS && !(a->known & PST_KNOWN_ARGUMENTS))
		return 0;
	if (asks & PST_POL_GAINED && !(a->known & PST_KNOWN_GAINED))
		return 0;
	return pst_pol_ask(asks, PST_POL_HOLDS, r->holds & a->holds) &&
	       pst_pol_ask(asks, PST_POL_GAINED, r->gained & a->gained) &&
	       pst_pol_ask(asks, PST_POL_CAPS, r->capabilities & a->capabilities) &&
	       pst_pol_ask(
		       asks, PST_POL_ARGUMENTS, a->arguments[r->arguments >> 6] >> (r->arguments & 63) & 1);
}

/* Goes on with the rule of this number. */
PST_STRIDE_FN void pst_pol_skip_to(struct pst_pol_search *s, __u32 rule)
{
	__u32 chunk = rule / PST_POL_CHUNK_RULES;

	s->from = rule;
	s->bits = pst_pol_behind(s->bits, s->first, rule);
	if (chunk == s->chunk) {
		s->words &= 0xffu << (rule / 64 & 7);
		return;
	}
	s->words = 0;
	s->chunks = chunk < PST_POL_CHUNKS_MAX ? s->chunks & ~0u << chunk : 0;
}

/* The next rule that all dimensions leave. */
PST_STRIDE_FN void pst_pol_rule(const struct pst_half *t, const struct pst_pol_head *head,
	const struct pst_act *a, struct pst_pol_search *s)
{
	__u32 rule = s->first + pst_fw_lowest(s->bits), strength;
	const struct pst_pol_rule *r = (const struct pst_pol_rule *)pst_line_at(t, head->rules + rule);

	s->bits &= s->bits - 1;
	s->visits++;
	if (rule >= head->n_rules || !pst_pol_takes(r, a))
		return;
	strength = PST_POL_STRENGTH(r->action, r->would, r->policy);
	if (strength > s->strength) {
		s->strength = strength;
		s->rule = rule;
	}
	pst_pol_skip_to(s, r->end);
}

/* Also when it is cut: s->rule. */
PST_STRIDE_FN bool pst_pol_is_over(struct pst_pol_search *s)
{
	s->cut = s->bits && s->visits >= PST_POL_VISITS_MAX;
	return s->cut || !(s->bits || s->words || s->chunks);
}

/* Unless pst_pol_is_over(). */
PST_STRIDE_FN void pst_pol_step(const struct pst_half *t, const struct pst_pol_head *head,
	const struct pst_act *a, struct pst_pol_search *s)
{
	if (s->bits)
		pst_pol_rule(t, head, a, s);
	else if (s->words)
		pst_pol_word(t, head, s);
	else
		pst_pol_chunk(t, s);
}

#endif
