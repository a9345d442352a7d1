// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only OR BSD-2-Clause
/* Sends the test run's frame on, from the next source. Pages come round again, so all that changes is written
 * each time. */
#include "bpf/lib/common.bpf.h"
#include "bpf/vmlinux_net.h"

#include <bpf/bpf_endian.h>

const volatile __u32 ifindex, first, n_sources,
	ip_sum; /* the sum of the IP header without source and checksum */

__u32 next;

struct eth_ip {
	__u8 mac[12];
	__be16 proto;
	__u8 before[10];
	__be16 check;
	__be32 saddr;
	__be32 daddr;
} __attribute__((packed));

SEC("xdp")
int send_frame(struct xdp_md *ctx)
{
	struct eth_ip *p = (void *)(long)ctx->data;
	__u32 i = next, source = first + i, sum;

	if ((void *)(p + 1) > (void *)(long)ctx->data_end)
		return XDP_DROP;
	next = i + 1 < n_sources ? i + 1 : 0;
	sum = ip_sum + (source >> 16) + (source & 0xffff);
	sum = (sum >> 16) + (sum & 0xffff);
	sum = (sum >> 16) + (sum & 0xffff);
	p->saddr = bpf_htonl(source);
	p->check = bpf_htons(~sum & 0xffff);
	return bpf_redirect(ifindex, 0);
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
