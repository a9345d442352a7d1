/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What rules do beside their verdicts. The search notes it in the packet's scratch (fwacts_of()); it is done
 * once the verdict is known, so nothing is done to a packet that another step drops.
 */
#ifndef PST_FWACTS_BPF_H
#define PST_FWACTS_BPF_H

#include "bpf/lib/guardpkt.bpf.h"

/* Of each rule that takes the packet, also one on the way. */
static __always_inline void fwacts_of(struct guard_packet *pkt, const struct pst_fw_entry *entry)
{
	pkt->acts |= entry->action & PST_FW_MARK;
	if (entry->action & PST_FW_MARK)
		pkt->mark = entry->mark;
}

/* It passes. There is no mark before there is an skb. */
static __always_inline void fwacts_pass_xdp(const struct guard_packet *pkt)
{
	guard_count_reason(PST_GUARD_UNMARKED, pkt);
}

/* A table may hold anything: our own mark is none that a rule sets. */
static __always_inline void fwacts_pass_skb(struct __sk_buff *ctx, const struct guard_packet *pkt)
{
	if (pkt->mark == PST_GUARD_OWN_MARK)
		guard_count_reason(PST_GUARD_UNMARKED, pkt);
	else
		ctx->mark = pkt->mark;
}

#endif
