/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Which operations of a subject no rule can take, whatever their object is: kept for each thread group, so
 * that what policies are not about costs some words that are compared. Rules that ask for namespaces are
 * taken as if they did not, since namespaces change without a mark.
 *
 * Kept as subjects are (bpf/lib/polsubject.bpf.h): in an array that all CPUs share, with a sum.
 */
#ifndef PST_POLINTEREST_BPF_H
#define PST_POLINTEREST_BPF_H

#include "bpf/lib/policyjudge.bpf.h"

#define INTERESTS 8192
#define INTEREST_DIMS                                                                                        \
	(1u << PST_POL_UID | 1u << PST_POL_SCOPE_UID | 1u << PST_POL_GID | 1u << PST_POL_CGROUP |            \
		1u << PST_POL_PARENT)
#define INTEREST_EXE   (1u << PST_POL_EXECUTABLE | 1u << PST_POL_SCOPE_EXECUTABLE)
#define INTEREST_MULTI (INTEREST_EXE | 1u << PST_POL_ANCESTOR | 1u << PST_POL_SCOPE_ANCESTOR)
#define INTEREST_STEPS (PST_POL_CHUNKS_MAX * 9 / POLICY_STEPS + 1)

/* As long as all of it is the same, so is the answer. */
struct interest_key {
	struct subject_key who;
	__u64 ids;
	__u64 cgroup;
	__u64 tables; /* generation, and struct pst_pol_head.told */
};

struct interest {
	struct interest_key key;
	__u64 looked; /* operations that were looked at, */
	__u64 none;   /* and those that no rule can take */
	__u64 sum;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, INTERESTS);
	__type(key, __u32);
	__type(value, struct interest);
} interests SEC(".maps");

#define INTEREST_KEY_WORDS (sizeof(struct interest_key) / 8)

static __always_inline struct interest *interest_entry(void)
{
	__u32 i = bpf_get_current_pid_tgid() >> 32 & (INTERESTS - 1);

	return bpf_map_lookup_elem(&interests, &i);
}

static __always_inline __u64 interest_ids(void)
{
	struct task_struct *t;
	const struct cred *c;

	if (pst_has_task_btf()) {
		c = pst_current_btf()->real_cred;
		return c ? c->euid.val | (__u64)c->egid.val << 32 : 0;
	}
	t = (void *)bpf_get_current_task();
	c = BPF_CORE_READ(t, real_cred);
	return BPF_CORE_READ(c, euid.val) | (__u64)BPF_CORE_READ(c, egid.val) << 32;
}

static __always_inline __u64 interest_tables(const struct pst_pol_head *head)
{
	__u64 told = *(volatile const __u32 *)&head->told;

	return told << 32 | *(volatile const __u32 *)&head->generation;
}

static __always_inline void interest_key_now(struct interest_key *key, const struct pst_pol_head *head)
{
	subject_key_now(&key->who);
	key->ids = interest_ids();
	key->cgroup = bpf_get_current_cgroup_id();
	key->tables = interest_tables(head);
}

static __always_inline __u64 interest_sum(const struct interest_key *key, __u64 looked, __u64 none)
{
	__u64 sum = subject_sum(0, (const __u64 *)key, INTEREST_KEY_WORDS);

	sum += looked * 0x94d049bb133111ebULL + none * 0xd6e8feb86659fd93ULL;
	return (sum ^ sum >> 29) * 0xbf58476d1ce4e5b9ULL | 1;
}

/* The next chunk or word of the search; 0: it goes on, 1: a rule is left, 2: none is. */
__noinline int interest_steps(__u32 half)
{
	struct policy_scratch *p = policy_scratch_here();

	if (!p)
		return 1;
	for (int i = 0; i < POLICY_STEPS; i++) {
		if (p->search.bits)
			return 1;
		if (!p->search.words && !p->search.chunks)
			return 2;
		policy_go_on(half);
	}
	return 0;
}

__noinline int interest_begin(__u32 which)
{
	struct policy_scratch *p = policy_scratch_here();
	struct pst_half half = policy_half(which);
	const struct pst_pol_head *head = (const struct pst_pol_head *)half.lines;

	if (!p || !head)
		return 0;
	p->search.class_line[PST_POL_OP] =
		pst_pol_value(&half, pst_pol_dim(&half, PST_POL_OP)->root[0], p->act.op & 63);
	p->search.half = which;
	pst_pol_begin_with(&half, &p->search, (head->used & INTEREST_DIMS) | 1u << PST_POL_OP,
		head->multi & INTEREST_MULTI);
	return 0;
}

/* May the executable's path, which is not known, be known again without a change of the key? */
static __always_inline bool interest_may_come(const struct judge *j, __u32 known, __u32 multi)
{
	return multi & INTEREST_EXE && j->subject.known & PST_SUBJECT_EXE && !(known & PST_KNOWN_EXECUTABLE);
}

/* Is there a rule for the act's operation that does not ask for another subject? */
static __always_inline bool interest_look(__u32 half)
{
	int r = 0;

	policy_subject(half);
	policy_subject_lists(half);
	interest_begin(half);
	for (int i = 0; i < INTEREST_STEPS; i++) {
		r = interest_steps(half);
		if (r)
			break;
	}
	return r != 2;
}

static __always_inline bool interest_same(const struct interest_key *a, const struct interest_key *b)
{
	return subject_key_same(&a->who, &b->who) && a->ids == b->ids && a->cgroup == b->cgroup &&
	       a->tables == b->tables;
}

/* The entry, or an empty one. The sum is against mixtures; the key has to be the same. */
static __always_inline void interest_kept(
	const struct interest *e, const struct interest_key *now, __u64 *ret_looked, __u64 *ret_none)
{
	*ret_looked = *(volatile __u64 *)&e->looked;
	*ret_none = *(volatile __u64 *)&e->none;
	if (interest_same(&e->key, now) &&
		interest_sum(now, *ret_looked, *ret_none) == *(volatile __u64 *)&e->sum)
		return;
	*ret_looked = 0;
	*ret_none = 0;
}

/* What was found out is kept, unless another task came in between. @now: from before. */
__noinline int interest_keep(__u32 half, __u32 op, __u32 any)
{
	const struct pst_pol_head *head = judge_head(half);
	struct interest *e = interest_entry();
	struct judge *j = judge_here();
	struct interest_key now = {};
	__u64 looked, none;

	if (!e || !j || !head || j->owner != bpf_get_current_pid_tgid())
		return 0;
	interest_key_now(&now, head);
	if (now.tables != j->tables)
		return 0;
	interest_kept(e, &now, &looked, &none);
	looked |= PST_OP_BIT(op & 63);
	none |= any ? 0 : PST_OP_BIT(op & 63);
	*(volatile __u64 *)&e->sum = 0;
	e->key = now;
	e->looked = looked;
	e->none = none;
	*(volatile __u64 *)&e->sum = interest_sum(&now, looked, none);
	return 0;
}

/* @how: as judge_begin() has it. */
static __always_inline bool interest_any(
	__u32 half, __u32 op, __u32 how, const struct pst_pol_head *head, struct judge *j)
{
	judge_begin(half, j, op, &(struct judge_on){.how = how});
	j->tables = interest_tables(head);
	judge_gather_subject(half, head->used & INTEREST_DIMS, head->multi & INTEREST_MULTI, head->inode_as);
	return interest_look(half);
}

/* Finds out. */
static __always_inline void interest_make(__u32 half, __u32 op)
{
	const struct pst_pol_head *head = judge_head(half);
	struct policy_scratch *p = policy_scratch_here();
	struct judge *j = judge_here();
	bool any;

	if (!head || !p || !j)
		return;
	any = interest_any(half, op, 0, head, j);
	if (any || !interest_may_come(j, p->act.known, head->multi))
		interest_keep(half, op, any);
}

enum interest_state { INTEREST_OPEN, INTEREST_ANY, INTEREST_NONE };

/* What is known of it. A frame of its own, which is gone when it has to be found out. */
__noinline int interest_state(__u32 half, __u32 op)
{
	const struct pst_pol_head *head = judge_head(half);
	struct interest *e = interest_entry();
	struct interest_key now = {};
	__u64 looked, none;

	if (!head || !e)
		return INTEREST_ANY;
	interest_key_now(&now, head);
	interest_kept(e, &now, &looked, &none);
	if (none & PST_OP_BIT(op & 63))
		return INTEREST_NONE;
	return looked & PST_OP_BIT(op & 63) ? INTEREST_ANY : INTEREST_OPEN;
}

/*
 * Can no rule take the operation, whatever its object is? Found out once, and at the first time the answer is
 * no.
 */
static __always_inline bool pst_interest_none(__u32 half, __u32 op)
{
	int state = interest_state(half, op);

	if (state == INTEREST_OPEN)
		interest_make(half, op);
	return state == INTEREST_NONE;
}

/* Likewise of a program that has just begun (sched_process_exec), of which nothing can be kept yet. */
static __always_inline bool pst_interest_begun_none(__u32 half)
{
	const struct pst_pol_head *head = judge_head(half);
	struct judge *j = judge_here();

	if (!head || !j || interest_any(half, PST_OP_PROCESS_EXEC, JUDGE_BEGUN, head, j))
		return false;
	return j->owner == bpf_get_current_pid_tgid() && j->tables == interest_tables(head);
}

#endif
