/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The packet that the guard's programs have at hand, the clock, and counting. */
#ifndef PST_GUARDPKT_BPF_H
#define PST_GUARDPKT_BPF_H

#include "bpf/lib/common.bpf.h"
#include "bpf/lib/ct.bpf.h"
#include "bpf/lib/fwcache.bpf.h"
#include "bpf/lib/maps_guard.bpf.h"
#include "bpf/lib/parse.bpf.h"
#include "proto/abi/lookup/block.h"
#include "proto/abi/lookup/fw.h"

/* What guard_ct_settle() (ct_track.bpf.h) has to do, in this order. */
#define GUARD_CT_UPDATE     1  /* ct.own into the entry at ct.at */
#define GUARD_CT_ISN        2  /* and ct.isn */
#define GUARD_CT_BEGIN      4  /* ct.make into ct_new */
#define GUARD_CT_CONFIRM    8  /* from ct_new to ct */
#define GUARD_CT_BEGIN_OPEN 16 /* into ct at once: what a SYN cookie vouched for */

/* What tracking reads of a packet, and what it means to do once the verdict is known. */
struct guard_ct {
	struct ct_tuple flow; /* of the packet; of the quoted one in an ICMP error */
	struct ct_new_entry make;
	struct pst_flow_key quoted;
	__u32 kind;    /* enum guard_ct_kind */
	__u32 pending; /* GUARD_CT_UPDATE etc. */
	__u32 seq, ack;
	__u32 next;  /* the sequence number behind the segment */
	__u32 local; /* on its way out */
	__u64 own;   /* what its side's half becomes */
	__u32 at;    /* of which entry: ct_at() */
	__u32 isn;   /* and its isn */
};

/*
 * Programs at XDP and tc run with bottom halves off and never one inside another, so one a CPU is enough;
 * what comes out of a map says nothing to the verifier of how it got there (see bpf/flow.bpf.c).
 */
struct guard_packet {
	struct pst_flow_key key;
	struct pst_packet p;
	struct pst_fw_packet fw;
	struct pst_fw_search search;
	struct pst_block_hit hit; /* the source's */
	struct guard_ct ct;
	__u64 fw_generation;
	__u64 block_generation;
	__u64 flags;     /* PST_GUARD_CT etc. */
	__u64 bad_flags; /* as struct pst_guard has them */
	__u64 sig_generation;
	__u64 sigs;          /* signatures that it may match and that were not looked at */
	__u64 clock_jiffies; /* when the clock was read */
	__u64 now_ns;        /* of CLOCK_BOOTTIME, a jiffy old at most */
	__u64 offender;      /* the source's word, if it is blocked (struct pst_offender) */
	__u64 cache_key[FWCACHE_WORDS];
	__u32 packets;           /* on the wire: what GRO made one comes as one to tc */
	__u32 bytes;             /* of the frame */
	__u32 off;               /* of layer 3 */
	__u32 link;              /* enum pst_parse of layer 2 */
	__u32 type;              /* of what is there */
	__u32 tag;               /* the outer one, when the device took it off: GUARD_TAGGED | TCI */
	__u32 verdict;           /* of the search */
	__u32 passed;            /* rules on the way that decided nothing */
	__u32 misses;            /* so far, any number: which way of a full set goes */
	__u32 now;               /* its second */
	__u32 listed;            /* enum pst_block_kind of its source */
	__u32 allowed;           /* its source is on the allow list, which counts from the lists' turn on */
	__u32 asked;             /* enum sig_asked */
	__u32 payload;           /* bytes behind its headers */
	__u32 dry;               /* bits of the steps that would drop it but run dry (struct pst_guard_why) */
	__u32 sig;               /* the last one that matched, by its counter; of a trial: PST_SIGS: none */
	__u32 syn;               /* a trial's: enum pst_guard_why_syn */
	__u32 trial;             /* enum guard_trial */
	__u32 reason;            /* enum pst_guard_reason */
	__u32 tunnel;            /* enum pst_tunnel, where p.inner_off is not 0 */
	__u32 cached;            /* a trial's: the verdict was kept */
	struct pst_fw_entry log; /* the last rule that logs, with PST_FW_LOG in acts */
	__u32 acts; /* what rules do beside their verdicts: PST_FW_MARK etc., of all that it met */
	__u32 mark; /* the last one */
};

/* What the packet at hand is (bpf/lib/trial.bpf.h): odd numbers change nothing. */
enum guard_trial {
	GUARD_REAL = 0,
	GUARD_TRIAL = 1,
	GUARD_INTERRUPTS = 2, /* a real one, in the middle of a trial */
	GUARD_DISTURBED = 3,  /* the trial after that */
};

static __always_inline bool guard_is_trial(const struct guard_packet *pkt)
{
	return __builtin_expect(PST_READ(pkt->trial) & 1, 0);
}

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct guard_packet);
} guard_scratch SEC(".maps");

static __always_inline struct guard_packet *guard_packet(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&guard_scratch, &zero);
}

/* Reading the clock for each packet would cost more than a look-up: once a jiffy. */
static __always_inline __u64 guard_now_ns(struct guard_packet *pkt)
{
	__u64 jiffies = bpf_jiffies64();

	if (!pkt->now || jiffies != pkt->clock_jiffies) {
		pkt->now_ns = bpf_ktime_get_boot_ns();
		pkt->now = pkt->now_ns / 1000000000;
		pkt->clock_jiffies = jiffies;
	}
	return pkt->now_ns;
}

static __always_inline __u32 guard_now(struct guard_packet *pkt)
{
	guard_now_ns(pkt);
	return pkt->now;
}

static __always_inline void guard_add(struct pst_guard_count *c, const struct guard_packet *pkt)
{
	c->packets += pkt->packets;
	c->bytes += pkt->bytes;
}

static __always_inline struct pst_guard_counts *guard_counts_here(void)
{
	__u32 cpu = bpf_get_smp_processor_id();

	return bpf_map_lookup_elem(&guard_counts, &cpu);
}

/* enum pst_guard_reason or pst_guard_event */
static __always_inline void guard_count_reason(__u32 reason, const struct guard_packet *pkt)
{
	struct pst_guard_counts *counts = guard_counts_here();

	if (counts && reason < PST_GUARD_REASONS_ROOM && !guard_is_trial(pkt))
		guard_add(&counts->reason[reason], pkt);
}

/* enum pst_guard_event: entries, so 1 whatever the packet stands for */
static __always_inline void guard_count_event(__u32 event, const struct guard_packet *pkt)
{
	struct pst_guard_counts *counts = guard_counts_here();

	if (!counts || event >= PST_GUARD_REASONS_ROOM)
		return;
	counts->reason[event].packets++;
	counts->reason[event].bytes += pkt->bytes;
}

/* A step would drop it, but runs dry; @event: PST_GUARD_DRY_*. Counted once a packet. */
static __always_inline void guard_note_dry(struct guard_packet *pkt, __u32 event)
{
	__u32 bit = 1u << (event - PST_GUARD_DRY_BLOCKED);

	if (!(pkt->dry & bit))
		guard_count_reason(event, pkt);
	pkt->dry |= bit;
}

static __always_inline void guard_count_rule(__u32 counter, const struct guard_packet *pkt)
{
	struct pst_guard_counts *counts = guard_counts_here();
	__u64 i = counter;

	pst_keep(i);
	if (counts && i < PST_FW_COUNTERS && !guard_is_trial(pkt))
		guard_add(&counts->rule[i], pkt);
}

static __always_inline void guard_count_sig(__u32 counter, const struct guard_packet *pkt)
{
	struct pst_guard_counts *counts = guard_counts_here();
	__u64 i = counter % PST_SIGS;

	pst_keep(i);
	if (counts && i < PST_SIGS && !guard_is_trial(pkt))
		guard_add(&counts->sig[i], pkt);
}

static __always_inline bool guard_has_ports(__u8 protocol)
{
	return protocol == IPPROTO_TCP || protocol == IPPROTO_UDP || protocol == IPPROTO_UDPLITE ||
	       protocol == IPPROTO_SCTP || protocol == IPPROTO_DCCP;
}

#endif
