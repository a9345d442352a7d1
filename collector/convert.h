/* SPDX-License-Identifier: Apache-2.0 */
/* Raw records to events. Records are hostile: they may come from a file. */
#ifndef COLLECTOR_CONVERT_H
#define COLLECTOR_CONVERT_H

#include "collector/names.h"
#include "proto/abi/records.h"
#include "proto/wire/event.h"

struct convert {
	struct pst_buf list; /* scratch for argv */
	struct names *names;
};

/* Size and kind fit each other, and the tail is as long as the record says. */
bool convert_check(const struct pst_rec *rec, size_t len);
/* Topic that a record's events go to; -EINVAL: unknown kind. */
int convert_topic(uint16_t kind);
/* Encode one record that is not a table slot. 0; -EBADMSG: malformed, nothing written; -ENOENT: no event
 * comes of it. */
int convert_record(struct convert *c, const struct pst_rec *rec, size_t len, struct pst_buf *out);

union convert_room {
	struct pst_rec rec;
	uint8_t bytes[PST_REC_MAX];
};
/* A record of a policy, which was checked, as a recording has it: with the names of policy and rule, if they
 * are known. Good as long as both. */
const struct pst_rec *convert_policy_named(
	const struct names *names, const struct pst_rec_policy *rec, union convert_room *room);

struct convert_flow {
	const struct pst_flow *slot;
	uint64_t index;
	bool dropped; /* it is of the guard's table: what did not pass */
	uint64_t ts_ns;
	uint64_t delta_packets, delta_bytes;
	const char *end; /* "" while it goes on */
};
void convert_flow(struct convert *c, const struct convert_flow *flow, struct pst_buf *out);

struct convert_udp {
	const struct pst_udp *slot;
	uint64_t ts_ns;
	uint64_t tx_packets, tx_bytes, rx_packets, rx_bytes; /* in the interval */
	uint64_t interval_ns;
};
void convert_udp(struct convert *c, const struct convert_udp *udp, struct pst_buf *out);

#endif
