/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One event: [kind, ts_ns, [sensor fields], [enricher fields], [policyd fields]]. Decoding is in place:
 * values point into the message, which must outlive the view.
 */
#ifndef PST_WIRE_EVENT_H
#define PST_WIRE_EVENT_H

#include <netinet/in.h>
#include <stdbool.h>

#include "proto/wire/mp.h"
#include "proto/wire/schema.h"

struct pst_val {
	union {
		uint64_t u;
		int64_t i;
		const void *p; /* S, A: bytes. L, P: the encoded elements, one after the other */
	};
	uint32_t len; /* S, A: bytes. L, P: bytes of the encoded elements */
	uint32_t n;   /* L, P: elements */
};

struct pst_event {
	uint32_t kind;
	const struct pst_kind *desc; /* NULL: unknown kind; then no sensor value is decoded */
	uint64_t ts_ns;
	uint32_t n_stages;  /* inner arrays present: 1 sensor, 2 + enricher, 3 + policyd */
	const uint8_t *raw; /* the whole event */
	uint32_t raw_len;
	const uint8_t *stage_raw[3]; /* the inner arrays as they came, with their head */
	uint32_t stage_raw_len[3];
	struct pst_val sensor[PST_SENSOR_FIELDS_MAX]; /* missing ones are zero */
	struct pst_val enricher[PST_ENR_N];
	struct pst_val policyd[PST_POL_N];
};

#define PST_STRING_MAX 4096 /* bytes of one string: limit of the wire */

/* Decode one event at the cursor and move past it. 0 or -EBADMSG (cursor bad, @ret_event undefined). Field
 * values of a wrong type, or longer than 4,096 bytes, are -EBADMSG. */
int pst_event_decode(struct pst_cur *cur, struct pst_event *ret_event);
/* Same, but only kind, time and the extents of the inner arrays: for those who pass on. */
int pst_event_scan(struct pst_cur *cur, struct pst_event *ret_event);

/* Encode [kind, ts, [fields]]; trailing zero/empty fields are left out (readers take the default). A string
 * beyond the limit, or an unknown kind, fails the buffer and writes nothing. */
void pst_event_pack(struct pst_buf *buf, uint32_t kind, uint64_t ts_ns, const struct pst_val *sensor);
/* Append the enricher's or policyd's array to the received bytes of @event (not decoded and encoded again).
 * An array of that stage that is there already is replaced. */
void pst_event_append_enricher(
	struct pst_buf *buf, const struct pst_event *event, const struct pst_val *enricher);
void pst_event_append_policyd(
	struct pst_buf *buf, const struct pst_event *event, const struct pst_val *policyd);

/* Build L and P values: the elements in @buf (which must outlive the value). A string beyond the limit fails
 * the buffer. */
void pst_list_add(struct pst_buf *elements, const void *bytes, uint32_t len);
void pst_list_add_nul(struct pst_buf *elements, const void *bytes, uint32_t len,
	uint32_t *ret_n); /* NUL-separated, as argv; none for 0 bytes */
void pst_procs_add(
	struct pst_buf *elements, uint32_t pid, uint64_t start_ns, const void *exe, uint32_t exe_len);
/* Walk them: start with *cur = pst_cur(val->p, val->len). False at the end or when bad. */
bool pst_list_next(struct pst_cur *cur, const void **ret_bytes, uint32_t *ret_len);
struct pst_proc_ref {
	uint32_t pid;
	uint64_t start_ns;
	const void *exe;
	uint32_t exe_len;
};
bool pst_procs_next(struct pst_cur *cur, struct pst_proc_ref *ret_proc);

/*
 * Field by JSON name: its description and value. Sensor first, then enricher, then policyd; where two have
 * the name, the first that is not empty. NULL: this kind has no such field.
 */
const struct pst_val *pst_event_field(
	const struct pst_event *event, const char *name, const struct pst_field **ret_field);
bool pst_val_empty(const struct pst_val *val, const struct pst_field *field);

/* People's form of a value by its format ("tcp", "ECONNREFUSED", "SIGKILL", "10.0.0.1", "1.5ms",
 * "/bin/true"), NUL-terminated, cut to @size, not escaped for any medium (bytes may be anything). Lists:
 * space-separated. Returns its length. */
size_t pst_val_text(const struct pst_val *val, const struct pst_field *field, char *buf, size_t size);
/* The reverse for names in rules and filters: "tcp" -> 6, "ECONNREFUSED" -> 111, "SIGKILL" -> 9, "true" -> 1,
 * numbers. -EINVAL. */
int pst_val_parse(const struct pst_field *field, const char *text, uint64_t *ret_value);

/* An address value: IPv4-mapped 16 bytes become 4. Returns a value that points to @bytes. */
struct pst_val pst_val_addr(const uint8_t bytes[16]);
struct pst_val pst_val_str(const void *bytes, size_t len);

#endif
