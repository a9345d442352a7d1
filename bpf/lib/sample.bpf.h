/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Samples of what steps against floods take (struct pst_sample): who sends it is for policyd to find out. */
#ifndef PST_SAMPLE_BPF_H
#define PST_SAMPLE_BPF_H

#include "bpf/lib/guardpkt.bpf.h"

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, PST_SAMPLES);
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, __u32);
	__type(value, struct pst_sample);
} drop_samples SEC(".maps");

/* By lot, since who knows which packet is looked at could send another one then. */
__noinline int guard_sample_draw(__u32 event)
{
	struct guard_packet *pkt = guard_packet();
	__u32 lot = bpf_get_prandom_u32(), zero = 0, i = lot % PST_SAMPLES;
	const struct pst_guard *g = bpf_map_lookup_elem(&guard, &zero);
	struct pst_sample *s;

	if (!pkt || !g || lot / PST_SAMPLES & PST_READ(g->limits.sample_mask))
		return 0;
	s = bpf_map_lookup_elem(&drop_samples, &i);
	if (!s)
		return 0;
	PST_WRITE(s->event, 0);
	__builtin_memcpy(s->source, pkt->key.saddr, sizeof(s->source));
	PST_WRITE(s->packets, pkt->packets);
	PST_WRITE(s->ifindex, pkt->fw.ifindex);
	PST_WRITE(s->sig, event == PST_GUARD_DRY_SIGNATURE ? pkt->sig : 0);
	PST_WRITE(s->event, event);
	return 0;
}

/* @event: PST_GUARD_DRY_* of the step, whether it runs dry or not. */
static __always_inline void guard_sample(const struct guard_packet *pkt, __u32 event)
{
	if (pkt->flags & PST_GUARD_SAMPLES && !guard_is_trial(pkt))
		guard_sample_draw(event);
}

#endif
