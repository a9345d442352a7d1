// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only OR BSD-2-Clause
/*
 * A sensor without an event: puts records into the ring of the net class, through the same code as the real
 * ones, each time that it is run by BPF_PROG_TEST_RUN. ctx: how many, number of the first. Returns how many
 * were lost.
 */
#include "bpf/lib/emit.bpf.h"
#include "bpf/lib/maps_ring_net.bpf.h"
#include "bpf/lib/task.bpf.h"

#define BURST_MAX 64

static __always_inline bool emit_small(__u64 seq)
{
	struct pst_rec_drop *rec = pst_reserve(&ring_net, PST_CLASS_NET, sizeof(*rec));

	if (!rec)
		return false;
	__builtin_memset(rec, 0, sizeof(*rec));
	pst_head(&rec->h, PST_REC_DROP, sizeof(*rec));
	rec->location = seq;
	rec->ifindex = 1;
	rec->len = 100;
	pst_submit(&ring_net, PST_CLASS_NET, rec, sizeof(*rec));
	return true;
}

static __always_inline bool emit_connect(__u64 seq)
{
	struct pst_rec_sock *rec = pst_reserve(&ring_net, PST_CLASS_NET, sizeof(*rec));

	if (!rec)
		return false;
	__builtin_memset(rec, 0, sizeof(*rec));
	pst_task_current(&rec->task);
	rec->ends.family = 2;
	rec->ends.protocol = 6;
	rec->ends.laddr[10] = rec->ends.laddr[11] = 0xff;
	rec->ends.raddr[10] = rec->ends.raddr[11] = 0xff;
	rec->ends.laddr[12] = rec->ends.raddr[12] = 127;
	rec->ends.rport = 443;
	rec->cookie = seq;
	/* last: latency counts from here */
	pst_head(&rec->h, PST_REC_TCP_CONNECT, sizeof(*rec));
	pst_submit(&ring_net, PST_CLASS_NET, rec, sizeof(*rec));
	return true;
}

SEC("raw_tp/sys_enter")
int bench_small(__u64 *ctx)
{
	__u64 n = ctx[0], seq = ctx[1], i;
	int lost = 0;

	for (i = 0; i < BURST_MAX && i < n; i++)
		lost += !emit_small(seq + i);
	return lost;
}

SEC("raw_tp/sys_enter")
int bench_connect(__u64 *ctx)
{
	__u64 n = ctx[0], seq = ctx[1], i;
	int lost = 0;

	for (i = 0; i < BURST_MAX && i < n; i++)
		lost += !emit_connect(seq + i);
	return lost;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
