/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Putting records into a ring: counted exactly once as emitted or as lost,
 * and the reader woken only when it sleeps.
 *
 * Wake-ups. A wake-up costs 6 to 40 us, so records are submitted with
 * BPF_RB_NO_WAKEUP and ring_ctl[class].awake says whether the reader drains by
 * itself. It is looked at AFTER the record was submitted: submitting is a full
 * barrier (xchg of the record's header), and the reader clears `awake`, fences,
 * and looks at the ring once more before it sleeps. So either the reader sees the
 * record or we see awake == 0. A record that is out cannot be given a wake-up any more,
 * hence the empty one that is discarded with BPF_RB_FORCE_WAKEUP (readers skip it).
 */
#ifndef PST_EMIT_BPF_H
#define PST_EMIT_BPF_H

#include "bpf/lib/common.bpf.h"
#include "bpf/lib/maps_stats.bpf.h"

/* Below this fill no watermark is looked at; and the width of the window above the half in which it fires. */
#define PST_EMIT_BACKLOG (64U << 10)
#define PST_EMIT_WINDOW  (8U << 10)

/* This CPU's counters of a class. NULL only to please the verifier. */
static __always_inline struct pst_class_stat *pst_stat(__u32 class)
{
	__u32 i = class * PST_CPUS_MAX + (bpf_get_smp_processor_id() & (PST_CPUS_MAX - 1));

	return bpf_map_lookup_elem(&class_stats, &i);
}

static __always_inline void pst_count_lost(__u32 class, __u32 size)
{
	struct pst_class_stat *s = pst_stat(class);

	if (s) {
		__sync_fetch_and_add(&s->lost, 1);
		__sync_fetch_and_add(&s->lost_bytes, size);
	}
}

static __always_inline void pst_count_emitted(__u32 class, __u32 size)
{
	struct pst_class_stat *s = pst_stat(class);

	if (s) {
		__sync_fetch_and_add(&s->emitted, 1);
		__sync_fetch_and_add(&s->emitted_bytes, size);
	}
}

/* Memory could not be read; the record goes out without it. */
static __always_inline void pst_count_unread(__u32 class)
{
	struct pst_class_stat *s = pst_stat(class);

	if (s)
		__sync_fetch_and_add(&s->unread, 1);
}

static __always_inline void pst_force_wakeup(void *ring, struct pst_ring_ctl *ctl)
{
	void *empty = bpf_ringbuf_reserve(ring, 8, 0);

	/* no room: the reader is behind and not asleep, or the next record tries again */
	if (!empty)
		return;
	ctl->awake = 1; /* before the wake-up, or it could overwrite the reader's next 0 */
	bpf_ringbuf_discard(empty, BPF_RB_FORCE_WAKEUP);
}

/* After a record was submitted. The watermark fires on the way up, not for every record above it. */
static __always_inline void pst_wake(void *ring, __u32 class)
{
	struct pst_ring_ctl *ctl = bpf_map_lookup_elem(&ring_ctl, &class);
	__u64 fill, half;

	if (!ctl)
		return;
	if (!*(volatile __u32 *)&ctl->awake) {
		pst_force_wakeup(ring, ctl);
		return;
	}
	fill = bpf_ringbuf_query(ring, BPF_RB_AVAIL_DATA);
	if (fill < PST_EMIT_BACKLOG)
		return;
	half = bpf_ringbuf_query(ring, BPF_RB_RING_SIZE) / 2;
	if (fill - half < PST_EMIT_WINDOW)
		pst_force_wakeup(ring, ctl);
}

/* Room for one record of constant size, or NULL (counted as lost). Ends in pst_submit. */
static __always_inline void *pst_reserve(void *ring, __u32 class, __u64 size)
{
	void *rec = bpf_ringbuf_reserve(ring, size, 0);

	if (!rec)
		pst_count_lost(class, size);
	return rec;
}

static __always_inline void pst_submit(void *ring, __u32 class, void *rec, __u32 size)
{
	bpf_ringbuf_submit(rec, BPF_RB_NO_WAKEUP);
	pst_count_emitted(class, size);
	pst_wake(ring, class);
}

/* A finished record from other memory. False: lost, and counted. */
static __always_inline bool pst_output(void *ring, __u32 class, void *rec, __u64 size)
{
	if (bpf_ringbuf_output(ring, rec, size, BPF_RB_NO_WAKEUP)) {
		pst_count_lost(class, size);
		return false;
	}
	pst_count_emitted(class, size);
	pst_wake(ring, class);
	return true;
}

/* Head of a record; ts_ns is now. */
static __always_inline void pst_head(struct pst_rec *h, __u16 kind, __u32 size)
{
	h->kind = kind;
	h->flags = 0;
	h->size = size;
	h->ts_ns = bpf_ktime_get_boot_ns();
}

#endif
