/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Events as JSON, one object a line. Bytes that are not valid UTF-8 become U+FFFD, and the key <name>_b64
 * carries the bytes; control characters are escaped. 64-bit ids and times that may exceed 2^53 are written as
 * numbers (jq 1.7 and Python keep them); "time" is RFC 3339 UTC with nanoseconds.
 */
#ifndef PST_WIRE_JSON_H
#define PST_WIRE_JSON_H

#include "proto/wire/event.h"

void pst_json_str(struct pst_buf *out, const void *bytes, size_t len); /* quoted and escaped */
void pst_json_uint(struct pst_buf *out, uint64_t v);
void pst_json_int(struct pst_buf *out, int64_t v);
void pst_json_raw(struct pst_buf *out, const char *text);
/* {"kind":"process_exec","time":"...","ts_ns":...,<fields that are not empty>}; no newline. @wall_offset_ns:
 * see node_info. */
void pst_json_event(struct pst_buf *out, const struct pst_event *event, int64_t wall_offset_ns);
/* RFC 3339 with 9 digits into 31 bytes with the NUL. */
void pst_time_format(char buf[31], uint64_t unix_ns);
/* Event time to Unix time; what would be before 1970 is 1970, what is beyond the type its end. */
static inline uint64_t pst_wall_ns(uint64_t ts_ns, int64_t wall_offset_ns)
{
	uint64_t ns, offset = (uint64_t)wall_offset_ns;

	if (wall_offset_ns < 0)
		return ts_ns < -offset ? 0 : ts_ns + offset;
	return __builtin_add_overflow(ts_ns, offset, &ns) ? UINT64_MAX : ns;
}
/* RFC 3339, Unix seconds, or "5m" ago. 0 or -EINVAL. */
int pst_time_parse(const char *text, uint64_t now_unix_ns, uint64_t *ret_unix_ns);

#endif
