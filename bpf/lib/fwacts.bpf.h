/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What rules do beside their verdicts. The search notes it in the packet's scratch (fwacts_of()); it is done
 * once the verdict is known, so nothing is done to a packet that another step drops.
 */
#ifndef PST_FWACTS_BPF_H
#define PST_FWACTS_BPF_H

#include "bpf/lib/emit.bpf.h"
#include "bpf/lib/guardpkt.bpf.h"
#include "bpf/lib/maps_ring_net.bpf.h"
#include "bpf/vmlinux_net.h"

const volatile __u32 cfg_fw_mask = PST_FW_LINES - 1; /* lines in a half of `fw_lines` - 1 */

/* The half in force for this packet. */
static __always_inline bool guard_fw_half(const struct guard_packet *pkt, struct pst_half *ret_half)
{
	__u32 i = pkt->fw_generation & 1;

	*ret_half = (struct pst_half){
		.lines = bpf_map_lookup_elem(&fw_lines, &i),
		.mask = cfg_fw_mask,
	};
	return ret_half->lines;
}

/* Of each rule that takes the packet, also one on the way. */
static __always_inline void fwacts_of(struct guard_packet *pkt, const struct pst_fw_entry *entry)
{
	pkt->acts |= entry->action & (PST_FW_MARK | PST_FW_LOG);
	if (entry->action & PST_FW_LOG)
		pkt->log = *entry;
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

/* ---- log ---- */

/* Of one rule; what is above it is counted, and told with its next record. */
#define FWLOG_COST_NS  100000000ULL /* 10 a second */
#define FWLOG_AHEAD_NS 900000000ULL /* and 10 at once */

struct fwlog {
	__u64 until; /* ns of CLOCK_BOOTTIME up to which the rate has been used */
	__u64 held;  /* packets since the last record */
};

/* By pst_fw_entry.counter, so they belong to a rule's name. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, PST_FW_COUNTERS);
	__type(key, __u32);
	__type(value, struct fwlog);
} fw_logs SEC(".maps");

static __always_inline bool fwlog_in_rate(struct guard_packet *pkt, struct fwlog *log)
{
	__u64 now = guard_now_ns(pkt), until = PST_READ(log->until);
	struct pst_class_stat *s;

	if (until <= now + FWLOG_AHEAD_NS) {
		if (until < now)
			PST_WRITE(log->until, now + FWLOG_COST_NS);
		else
			__sync_fetch_and_add(&log->until, FWLOG_COST_NS);
		return true;
	}
	__sync_fetch_and_add(&log->held, 1);
	guard_count_reason(PST_GUARD_LOG_HELD, pkt);
	s = pst_stat(PST_CLASS_NET);
	if (s)
		__sync_fetch_and_add(&s->suppressed, 1);
	return false;
}

static __always_inline void fwlog_name(const struct guard_packet *pkt, struct pst_rec_fw_log *rec)
{
	__u64 *to = (__u64 *)rec->name;
	const union pst_line *line;
	struct pst_half half;
	int i;

	if (!guard_fw_half(pkt, &half))
		return;
	line = pst_line_at(
		&half, ((const struct pst_fw_head *)half.lines)->names + (pkt->log.action >> PST_FW_NAME));
	PST_SLOTS_UNROLL
	for (i = 0; i < PST_FW_NAME_BYTES / 8; i++)
		to[i] = line->u64[i];
}

static __always_inline void fwlog_ends(const struct guard_packet *pkt, struct pst_rec_fw_log *rec)
{
	const struct pst_flow_key *key = &pkt->key;

	__builtin_memcpy(rec->ends.laddr, key->saddr, 16);
	__builtin_memcpy(rec->ends.raddr, key->daddr, 16);
	rec->ends.family = key->family;
	rec->ends.protocol = key->protocol;
	if (pkt->p.later_fragment)
		return;
	rec->tcp_flags = pkt->p.tcp_flags;
	if (key->protocol == IPPROTO_ICMP || key->protocol == IPPROTO_ICMPV6) {
		rec->icmp_type = key->sport;
		rec->icmp_code = key->dport;
	} else {
		rec->ends.lport = key->sport;
		rec->ends.rport = key->dport;
	}
}

/* The packet at hand; @hook: enum pst_fw_hook */
__noinline int fwacts_log(__u32 hook, __u32 netns)
{
	struct guard_packet *pkt = guard_packet();
	struct pst_rec_fw_log *rec;
	struct fwlog *log;
	__u32 place;
	__u64 held;

	if (!pkt || guard_is_trial(pkt))
		return 0;
	place = pkt->log.counter;
	log = bpf_map_lookup_elem(&fw_logs, &place);
	if (!log || !fwlog_in_rate(pkt, log))
		return 0;
	rec = pst_reserve(&ring_net, PST_CLASS_NET, sizeof(*rec));
	if (!rec)
		return 0;
	__builtin_memset(rec, 0, sizeof(*rec));
	pst_head(&rec->h, PST_REC_FW_LOG, sizeof(*rec));
	held = PST_READ(log->held);
	if (held)
		__sync_fetch_and_add(&log->held, -held);
	rec->suppressed = held;
	rec->generation = pkt->fw_generation;
	rec->rule = pkt->log.id;
	rec->ifindex = pkt->fw.ifindex;
	rec->len = pkt->bytes;
	rec->netns = netns;
	rec->vlan = pkt->fw.root[PST_FW_VLAN] ? 0 : pkt->fw.key[PST_FW_VLAN];
	rec->reason = pkt->reason;
	rec->hook = hook;
	rec->dir = PST_DIR_IN;
	fwlog_ends(pkt, rec);
	fwlog_name(pkt, rec);
	pst_submit(&ring_net, PST_CLASS_NET, rec, sizeof(*rec));
	return 0;
}

static __always_inline void fwacts_log_xdp(struct xdp_md *ctx)
{
	struct xdp_buff *xdp = (void *)ctx;

	fwacts_log(PST_FW_HOOK_XDP, BPF_CORE_READ(xdp, rxq, dev, nd_net.net, ns.inum));
}

static __always_inline void fwacts_log_skb(struct __sk_buff *ctx)
{
	struct sk_buff *skb = (void *)ctx;

	fwacts_log(PST_FW_HOOK_TC, BPF_CORE_READ(skb, dev, nd_net.net, ns.inum));
}

#endif
