// SPDX-License-Identifier: Apache-2.0
#include "policyd/guard/ddos.h"

#include <stdbool.h>

#include "proto/abi/guard.h"

enum { FIN = 1, SYN = 2, RST = 4, ACK = 16 };

/*
 * RFC 9293: a segment begins a connection (SYN), ends it (FIN) or resets it, and no two of these at once
 * (3.5, 3.10.7.4); all but the first SYN and a reset carry an acknowledgement (3.10.7.4: "if the ACK bit is
 * off, drop the segment"). PSH and URG say nothing by themselves: a SYN may carry data (RFC 7413).
 */
static bool is_bad(unsigned flags)
{
	if (flags & SYN && flags & (FIN | RST))
		return true;
	return (flags & FIN && flags & RST) || !(flags & (SYN | RST | ACK));
}

uint64_t ddos_bad_flags(void)
{
	uint64_t bad = 0;

	for (unsigned flags = 0; flags < PST_TCP_FLAGS; flags++)
		bad |= (uint64_t)is_bad(flags) << flags;
	return bad;
}

uint64_t ddos_dry_runs(const struct ddos_config *c)
{
	return (c->lists == DDOS_COUNT ? PST_GUARD_DRY_LISTS : 0u) |
	       (c->limits == DDOS_COUNT ? PST_GUARD_DRY_LIMITS : 0u) |
	       (c->flags == DDOS_COUNT ? PST_GUARD_DRY_FLAGS : 0u) |
	       (c->offenders.action == DDOS_COUNT ? PST_GUARD_DRY_OFFENDERS : 0u);
}
