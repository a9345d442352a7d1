// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only OR BSD-2-Clause
/* The look-up of bpf/lib/policylook.bpf.h by itself, for its test and its benchmark. */
#include "bpf/lib/policylook.bpf.h"
#include "bpf/vmlinux_net.h"

/* Set between runs: the half, and (in the scratch) the act. */
__u32 half;

__u32 found, visits, cut;

SEC("xdp")
int test_policy(struct xdp_md *ctx)
{
	struct policy_scratch *p;

	(void)ctx;
	policy_look(half);
	p = policy_scratch_here();
	if (!p)
		return 0; /* XDP_ABORTED */
	found = p->search.rule;
	visits = p->search.visits;
	cut = pst_pol_is_cut(&p->act, &p->search);
	return 2; /* XDP_PASS */
}

/* What the benchmark takes off. */
SEC("xdp")
int test_nothing(struct xdp_md *ctx)
{
	(void)ctx;
	return 2;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
