/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What signatures and limits drop goes out over an interface instead, to somebody who looks closer, when
 * policyd names one. The frame is as it came. Whether the device takes it nobody says here: it is dropped
 * then, as it would have been.
 */
#ifndef PST_SCRUB_BPF_H
#define PST_SCRUB_BPF_H

#include "bpf/lib/guardpkt.bpf.h"

#define SCRUBBED (1u << PST_GUARD_RATE | 1u << PST_GUARD_SIGNATURE)

/* The interface for one that is dropped; 0: none. Never back to where it came from. */
__noinline int guard_scrub_to(void)
{
	struct guard_packet *pkt = guard_packet();
	__u32 zero = 0, to;
	const struct pst_guard *g = bpf_map_lookup_elem(&guard, &zero);

	if (!pkt || !g)
		return 0;
	to = PST_READ(g->scrub_ifindex);
	if (to == pkt->fw.ifindex || to > 0x7fffffff)
		return 0;
	if (to)
		guard_count_reason(PST_GUARD_SCRUBBED, pkt);
	return to;
}

/* For one that is dropped: @drop, or the action that sends it there. */
static __always_inline int guard_scrub(const struct guard_packet *pkt, __u32 reason, int drop)
{
	int to = 0;

	if (pkt->flags & PST_GUARD_SCRUB && SCRUBBED >> (reason & 31) & 1)
		to = guard_scrub_to();
	return to ? bpf_redirect(to, 0) : drop;
}

#endif
