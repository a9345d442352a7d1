/* SPDX-License-Identifier: Apache-2.0 */
/* Sources that the packet programs block for what they sent (struct pst_offenders): how, which, and no
 * longer.
 */
#ifndef POLICYD_GUARD_OFFENDERS_H
#define POLICYD_GUARD_OFFENDERS_H

#include "policyd/block/block.h"
#include "policyd/guard/ddos.h"
#include "policyd/guard/tables.h"

#define OFFENDERS_SHOWN 1000

struct offender {
	struct block_entry source; /* an IPv4 address or 64 bits of an IPv6 one */
	uint64_t left_s;
	const char *cause;
};

struct offenders_list {
	struct offender v[OFFENDERS_SHOWN];
	size_t n, total;
};

/* PST_GUARD_OFFENDERS etc. */
uint64_t offenders_flags(const struct offenders_config *config);
/* offend_cost etc. */
void offenders_limits(const struct offenders_config *config, struct pst_guard_limits *limits);
/* Do connections have to be tracked for it? */
bool offenders_ask(const struct offenders_config *config);
/* DDOS_OFF when it is off. */
enum ddos_action offenders_action(const struct offenders_config *config);

/* @now_ns: CLOCK_BOOTTIME. Programs write meanwhile. */
void offenders_read(const struct guard_tables *tables, uint64_t now_ns, struct offenders_list *ret_list);
size_t offenders_count(const struct guard_tables *tables, uint64_t now_ns);
/* The source that @entry is, or is an address of; all that it is blocked for is forgotten. False: it is none.
 */
bool offenders_free(const struct guard_tables *tables, const struct block_entry *entry);

#endif
