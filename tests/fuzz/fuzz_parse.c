// SPDX-License-Identifier: Apache-2.0
/*
 * The packet parser of the kernel programs: any bytes as a frame, and what is in it when it is a tunnel.
 * Nothing is read outside, and what is said to be there lies within what is around it.
 */
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "bpf/lib/tunnel.bpf.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool holds)
{
	if (!holds)
		abort();
}

static void check_packet(const struct pst_flow_key *key, const struct pst_packet *p, __u64 off)
{
	check(key->family == AF_INET || key->family == AF_INET6);
	check(p->l4_off >= (key->family == AF_INET ? 20 : 40) && p->l4_off <= p->hdr_len);
	check(off + p->l4_off <= PST_HEADERS_MAX);
	check(!p->later_fragment || (!key->sport && !key->dport && p->fragment));
}

/* The transport header's end is not looked at when its length leads behind the packet's end. */
static void check_inner(const struct pst_cursor *c, __u64 off, const struct pst_flow_key *outer_key,
	const struct pst_packet *outer, enum pst_tunnel tunnel)
{
	struct pst_flow_key key = {0};
	struct pst_packet p = {0};
	__u64 end;

	if (pst_parse_inner(c, off, tunnel, outer_key, outer, &key, &p) != PST_PARSE_OK)
		return;
	end = outer->l3_len ? off + outer->l3_len : c->len;
	check(end <= c->len);
	check(p.inner_off > outer->l4_off || (tunnel == PST_TUNNEL_IPIP && p.inner_off == outer->l4_off));
	check(off + p.inner_off + p.l4_off <= end && off + p.inner_off + p.l3_len <= end);
	check_packet(&key, &p, off + p.inner_off);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct pst_cursor c = {.len = (__u32)size};
	struct pst_flow_key key = {0};
	struct pst_packet p = {0};
	uint8_t *frame = malloc(size);
	__u16 type = 0;
	__u32 off = 0;

	if (!frame)
		return 0;
	memcpy(frame, data, size);
	c.data = frame;
	c.end = frame + size;
	if (pst_parse_eth(&c, &type, &off) == PST_PARSE_OK &&
		pst_parse_ip(&c, off, type, &key, &p) == PST_PARSE_OK) {
		check_packet(&key, &p, off);
		for (enum pst_tunnel t = PST_TUNNEL_IPIP; t < PST_TUNNELS; t++)
			if (pst_tunnel_of(&key, &p, 4789) == t)
				check_inner(&c, off, &key, &p, t);
	}
	free(frame);
	return 0;
}
