/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Test vectors (proto/wire/vectors): <name>.hex is a message, <name>.json what is in it. The generator and
 * the C test write the second by the functions here, one from what it encoded, the other from what it
 * decoded; tests/vectors/decode.py does it without them.
 *
 *   {"topic": ..., "header": {...}, "events": [{"kind", "ts_ns", "stages", "sensor", "enricher", "policyd",
 * "json"}, ...]}
 *
 * Fields with their default are left out; bytes are hex digits; "json" is the event as pst_json_event()
 * writes it, with the offset VEC_WALL_OFFSET.
 */
#ifndef PST_TESTS_VECTORS_H
#define PST_TESTS_VECTORS_H

#include <stdlib.h>

#include "proto/wire/bus.h"
#include "proto/wire/json.h"

#define VEC_WALL_OFFSET 1700000000123456789

static inline void vec_hex(struct pst_buf *out, const void *bytes, size_t len)
{
	const uint8_t *p = bytes;

	pst_json_raw(out, "\"");
	for (size_t i = 0; i < len; i++) {
		const char digits[3] = {"0123456789abcdef"[p[i] >> 4], "0123456789abcdef"[p[i] & 15], 0};
		pst_json_raw(out, digits);
	}
	pst_json_raw(out, "\"");
}

static inline void vec_list(struct pst_buf *out, const struct pst_val *v)
{
	struct pst_cur c = pst_cur(v->p, v->len);
	const void *bytes;
	uint32_t len;
	const char *before = "[";

	while (pst_list_next(&c, &bytes, &len)) {
		pst_json_raw(out, before);
		vec_hex(out, bytes, len);
		before = ", ";
	}
	pst_json_raw(out, "]");
}

static inline void vec_procs(struct pst_buf *out, const struct pst_val *v)
{
	struct pst_cur c = pst_cur(v->p, v->len);
	struct pst_proc_ref proc;
	const char *before = "[";

	while (pst_procs_next(&c, &proc)) {
		pst_json_raw(out, before);
		pst_json_raw(out, "[");
		pst_json_uint(out, proc.pid);
		pst_json_raw(out, ", ");
		pst_json_uint(out, proc.start_ns);
		pst_json_raw(out, ", ");
		vec_hex(out, proc.exe, proc.exe_len);
		pst_json_raw(out, "]");
		before = ", ";
	}
	pst_json_raw(out, "]");
}

static inline bool vec_is_default(const struct pst_field *f, const struct pst_val *v)
{
	if (f->type == PST_T_U || f->type == PST_T_I)
		return !v->u;
	return f->type == PST_T_L || f->type == PST_T_P ? !v->n : !v->len;
}

static inline void vec_fields(struct pst_buf *out, const char *name, const struct pst_field *fields,
	unsigned n, const struct pst_val *vals)
{
	const char *before = "";

	pst_json_raw(out, ", \"");
	pst_json_raw(out, name);
	pst_json_raw(out, "\": {");
	for (unsigned i = 0; i < n; i++) {
		if (vec_is_default(&fields[i], &vals[i]))
			continue;
		pst_json_raw(out, before);
		before = ", ";
		pst_json_str(out, fields[i].name, strlen(fields[i].name));
		pst_json_raw(out, ": ");
		if (fields[i].type == PST_T_U)
			pst_json_uint(out, vals[i].u);
		else if (fields[i].type == PST_T_I)
			pst_json_int(out, vals[i].i);
		else if (fields[i].type == PST_T_L)
			vec_list(out, &vals[i]);
		else if (fields[i].type == PST_T_P)
			vec_procs(out, &vals[i]);
		else
			vec_hex(out, vals[i].p, vals[i].len);
	}
	pst_json_raw(out, "}");
}

static inline void vec_number(struct pst_buf *out, const char *before, uint64_t v)
{
	pst_json_raw(out, before);
	pst_json_uint(out, v);
}

static inline void vec_event(struct pst_buf *out, const struct pst_event *e)
{
	vec_number(out, "{\"kind\": ", e->kind);
	vec_number(out, ", \"ts_ns\": ", e->ts_ns);
	vec_number(out, ", \"stages\": ", e->n_stages);
	if (e->desc)
		vec_fields(out, "sensor", e->desc->fields, e->desc->n_fields, e->sensor);
	if (e->n_stages > 1)
		vec_fields(out, "enricher", pst_enricher_fields, PST_ENR_N, e->enricher);
	if (e->n_stages > 2)
		vec_fields(out, "policyd", pst_policyd_fields, PST_POL_N, e->policyd);
	pst_json_raw(out, ", \"json\": ");
	pst_json_event(out, e, VEC_WALL_OFFSET);
	pst_json_raw(out, "}");
}

/* All up to the first event. */
static inline void vec_head(struct pst_buf *out, const struct pst_batch *b)
{
	pst_json_raw(out, "{\n\"topic\": \"");
	pst_json_raw(out, pst_topic_name((enum pst_topic)b->topic));
	vec_number(out, "\",\n\"header\": {\"version\": ", b->version);
	pst_json_raw(out, ", \"stage\": ");
	vec_hex(out, b->stage, b->stage_len);
	pst_json_raw(out, ", \"node\": ");
	vec_hex(out, b->node, b->node_len);
	vec_number(out, ", \"epoch\": ", b->epoch);
	vec_number(out, ", \"first_seq\": ", b->first_seq);
	vec_number(out, ", \"count\": ", b->count);
	vec_number(out, ", \"t_first_ns\": ", b->t_first_ns);
	vec_number(out, ", \"t_last_ns\": ", b->t_last_ns);
	vec_number(out, ", \"flags\": ", b->flags);
	pst_json_raw(out, "},\n\"events\": [");
}
static inline void vec_tail(struct pst_buf *out)
{
	pst_json_raw(out, "\n]\n}\n");
}

/* The whole expectation of a message that was decoded; the event is freed never (it is in place). -EBADMSG.
 */
static inline int vec_render(struct pst_buf *out, const void *message, size_t len)
{
	static struct pst_event e;
	struct pst_batch b;
	int r = pst_batch_decode(message, len, &b);

	if (r < 0)
		return r;
	vec_head(out, &b);
	for (uint32_t i = 0; i < b.count; i++) {
		r = pst_event_decode(&b.events, &e);
		if (r < 0)
			return r;
		pst_json_raw(out, i ? ",\n" : "\n");
		vec_event(out, &e);
	}
	vec_tail(out);
	return pst_cur_left(&b.events) ? -EBADMSG : 0;
}

#endif
