/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause OR Apache-2.0 */
/*
 * Connections that the guard tracks. Only its programs write them, nobody maps them; the layout is here for
 * those who look at a copy. docs/design/guard.md says why they look so.
 */
#ifndef PST_ABI_CT_H
#define PST_ABI_CT_H

#include "proto/abi/types.h"

#define PST_MAP_CT     "ct" /* array of struct pst_ct_bucket: connections that both sides have confirmed */
#define PST_MAP_CT_NEW "ct_new" /* likewise: what has only begun */

#define PST_CT_KEY_WORDS 5
#define PST_CT_WAYS      4

/*
 * What one side has sent, in a word that is stored whole: the sequence number behind its last segment (TCP),
 * PST_CT_SEEN etc., and bits of the key's hash. Only packets of that side change it. An entry counts if both
 * its words have the hash of its key: one that two CPUs were writing at once does not.
 */
#define PST_CT_END_MASK  0xffffffffULL
#define PST_CT_SEEN      (1ULL << 32) /* it has sent something */
#define PST_CT_SYN       (1ULL << 33) /* TCP: its SYN, or SYN and ACK */
#define PST_CT_ACKED     (1ULL << 34) /* TCP: the ACK of the other side's SYN */
#define PST_CT_FIN       (1ULL << 35) /* its FIN; the number is right behind it. Counts once it is acknowledged */
#define PST_CT_RST       (1ULL << 36)
#define PST_CT_ORIG      (1ULL << 37) /* it was first */
#define PST_CT_LOCAL     (1ULL << 38) /* and it is this host */
#define PST_CT_AGAIN     (1ULL << 39) /* not TCP: it was first, and sent more after an answer */
#define PST_CT_FIN_ACKED (1ULL << 39) /* TCP: the ACK of the other side's FIN */
#define PST_CT_TAG_SHIFT 40

/* Key: the lower address (IPv4: both in the first word), the higher one, ports, protocol and version. */
struct pst_ct_entry {
	__u64 key[PST_CT_KEY_WORDS];
	__u64 half[2]; /* of the lower address, of the higher one */
	__u32 seen;    /* second of CLOCK_BOOTTIME of the last packet */
	__u32 isn;     /* TCP that begins: of the first side's SYN, then of the other one's SYN and ACK */
};
static_assert(sizeof(struct pst_ct_entry) == 64, "a cache line");

struct pst_ct_bucket {
	struct pst_ct_entry way[PST_CT_WAYS];
};
static_assert(sizeof(struct pst_ct_bucket) == 256, "abi");

/* Places in the constant ct_timeouts: how long an entry outlives its last packet. */
enum pst_ct_timeout {
	PST_CT_T_SYN_SENT = 0,
	PST_CT_T_SYN_RECV,
	PST_CT_T_OPEN,
	PST_CT_T_FIN,    /* one side has closed */
	PST_CT_T_CLOSED, /* both have */
	PST_CT_T_RESET,
	PST_CT_T_UDP,
	PST_CT_T_UDP_STREAM,
	PST_CT_T_ICMP,
	PST_CT_T_OTHER,
	PST_CT_TIMEOUTS,
};

#endif
