/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A trial run (struct pst_guard_why): the same steps as for any packet, and nothing changes.
 *
 * Before Linux 6.11 or so a test run is done with bottom halves on: a real packet on the same CPU may come in
 * the middle and use the same scratch. It is judged undisturbed, since it runs to its end before the trial
 * goes on, and says at its end that it was there; the trial then still changes nothing, and is void.
 */
#ifndef PST_TRIAL_BPF_H
#define PST_TRIAL_BPF_H

#include "bpf/lib/guardpkt.bpf.h"

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct pst_guard_why);
} guard_why SEC(".maps");

static __always_inline struct pst_guard_why *guard_why_entry(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&guard_why, &zero);
}

/* Nothing that an earlier packet left is to be taken for what this one found. */
static __always_inline void guard_trial_clear(struct guard_packet *pkt)
{
	__builtin_memset(&pkt->fw, 0, sizeof(pkt->fw));
	__builtin_memset(&pkt->hit, 0, sizeof(pkt->hit));
	__builtin_memset(&pkt->search.entry, 0, sizeof(pkt->search.entry));
	pkt->search.rule = PST_FW_NO_RULE;
	pkt->ct.pending = 0;
	pkt->now = 0;
	pkt->now_ns = 0;
	pkt->verdict = 0;
	pkt->passed = 0;
	pkt->cached = 0;
	pkt->syn = PST_GUARD_WHY_SYN_NONE;
	pkt->sig = PST_SIGS;
}

/* NULL: a packet that comes in there is no trial. */
static __always_inline struct pst_guard_why *guard_trial_at(__u32 ifindex)
{
	struct pst_guard_why *why;

	if (__builtin_expect(ifindex != PST_GUARD_WHY_IFINDEX, 1))
		return NULL;
	why = guard_why_entry();
	return why && PST_READ(why->armed) ? why : NULL;
}

/* At the start of each packet, before anything else of it is written. The interface it is to be judged by. */
static __always_inline __u32 guard_trial_begin(struct guard_packet *pkt, __u32 ifindex)
{
	struct pst_guard_why *why = guard_trial_at(ifindex);

	if (why) {
		PST_WRITE(pkt->trial, GUARD_TRIAL);
		guard_trial_clear(pkt);
		return why->ifindex;
	}
	if (__builtin_expect(PST_READ(pkt->trial), 0))
		PST_WRITE(pkt->trial, GUARD_INTERRUPTS);
	return ifindex;
}

/* The n-th rule on the way that decides nothing. */
static __always_inline void guard_trial_passed(__u32 n, __u32 id)
{
	struct pst_guard_why *why = guard_why_entry();
	__u64 i = n;

	pst_keep(i);
	if (why && i < PST_GUARD_WHY_PASSED)
		why->passed[i] = id;
}

/* What ct_track.bpf.h would do when the packet passes. */
static __always_inline __u32 guard_trial_then(__u32 pending)
{
	if (pending & (GUARD_CT_BEGIN | GUARD_CT_BEGIN_OPEN))
		return PST_GUARD_WHY_BEGINS;
	if (pending & GUARD_CT_CONFIRM)
		return PST_GUARD_WHY_IS_CONFIRMED;
	return pending ? PST_GUARD_WHY_GOES_ON : PST_GUARD_WHY_STAYS;
}

static __always_inline void guard_trial_note(struct pst_guard_why *why, const struct guard_packet *pkt)
{
	why->reason = pkt->reason;
	why->fw_generation = pkt->fw_generation;
	why->block_generation = pkt->block_generation;
	why->flags = pkt->flags;
	why->now_ns = pkt->now_ns;
	why->key = pkt->key;
	why->tcp_flags = pkt->p.tcp_flags;
	why->later_fragment = pkt->p.later_fragment;
	why->hit = pkt->hit;
	why->ct_state = pkt->fw.key[PST_FW_STATE];
	why->ct_then = guard_trial_then(pkt->ct.pending);
	why->vlan = pkt->fw.root[PST_FW_VLAN] ? 0 : PST_GUARD_WHY_TAGGED | pkt->fw.key[PST_FW_VLAN];
	why->dscp = pkt->fw.key[PST_FW_DSCP];
	why->cached = pkt->cached;
	why->verdict = pkt->verdict;
	why->rule = pkt->search.rule;
	why->entry = pkt->search.entry;
	why->n_passed = pkt->passed;
	why->syn = pkt->syn;
	why->bad_flags = pkt->bad_flags;
	why->sig_generation = pkt->sig_generation;
	why->dry = pkt->dry;
	why->sig = pkt->sig;
	why->offender = pkt->offender;
}

/* At the end of a trial, and of a packet that came in the middle of one. */
__noinline int guard_trial_end(void)
{
	struct guard_packet *pkt = guard_packet();
	struct pst_guard_why *why = guard_why_entry();

	if (!pkt || !why)
		return 0;
	if (PST_READ(pkt->trial) == GUARD_INTERRUPTS) {
		PST_WRITE(pkt->trial, GUARD_DISTURBED);
		return 0;
	}
	guard_trial_note(why, pkt);
	barrier();
	PST_WRITE(why->state,
		PST_READ(pkt->trial) == GUARD_TRIAL ? PST_GUARD_WHY_DONE : PST_GUARD_WHY_DISTURBED);
	PST_WRITE(pkt->trial, GUARD_REAL);
	return 0;
}

static __always_inline void guard_leave(const struct guard_packet *pkt)
{
	if (__builtin_expect(PST_READ(pkt->trial), 0))
		guard_trial_end();
}

#endif
