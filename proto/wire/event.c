// SPDX-License-Identifier: Apache-2.0
/* Reading and writing whole events. Everything read comes from outside: every length is checked before it is
 * used. */
#include <errno.h>

#include "proto/wire/event.h"

/* The event's own array and the inner one are two of the levels that the wire allows. */
#define DEPTH_INNER (PST_MP_DEPTH - 1)
#define DEPTH_FIELD (PST_MP_DEPTH - 2)

/* ---- reading ---- */

static inline const void *take_string(struct pst_cur *c, uint32_t *ret_len)
{
	const void *bytes = pst_cur_bytes(c, ret_len);

	if (__builtin_expect(*ret_len > PST_STRING_MAX, 0))
		pst_cur_fail(c);
	return bytes;
}

static struct pst_val list_val(const uint8_t *first, const struct pst_cur *c, uint32_t n)
{
	return (struct pst_val){.p = first, .len = (uint32_t)(c->p - first), .n = n};
}

static struct pst_val take_list(struct pst_cur *c)
{
	uint32_t n = pst_cur_array(c), len;
	const uint8_t *first = c->p;

	for (uint32_t i = 0; i < n && !c->bad; i++)
		take_string(c, &len);
	return list_val(first, c, n);
}

static void take_proc(struct pst_cur *c, struct pst_proc_ref *ret_proc)
{
	uint32_t n = pst_cur_array(c);
	uint64_t pid = pst_cur_uint(c);

	ret_proc->pid = (uint32_t)pid;
	ret_proc->start_ns = pst_cur_uint(c);
	ret_proc->exe = take_string(c, &ret_proc->exe_len);
	if (n < 3 || pid > UINT32_MAX)
		pst_cur_fail(c);
	for (; n > 3 && !c->bad; n--)
		pst_cur_skip_within(c, DEPTH_FIELD - 2, PST_STRING_MAX);
}

static struct pst_val take_procs(struct pst_cur *c)
{
	uint32_t n = pst_cur_array(c);
	const uint8_t *first = c->p;
	struct pst_proc_ref proc;

	for (uint32_t i = 0; i < n && !c->bad; i++)
		take_proc(c, &proc);
	return list_val(first, c, n);
}

/* One inner array: the known fields into @ret_vals, zeros for those that are missing, the others checked and
 * skipped. The cursor is local and its address given to nobody, which keeps it in registers. */
static inline struct pst_cur take_fields(
	struct pst_cur c, const struct pst_field *fields, uint32_t n_fields, struct pst_val *ret_vals)
{
	uint32_t n = pst_cur_array(&c), i, len;
	uint32_t known = n < n_fields ? n : n_fields;
	struct pst_cur other;

	for (i = 0; i < known; i++) {
		unsigned type = fields[i].type;
		const void *bytes;

		if (type == PST_T_U) {
			ret_vals[i] = (struct pst_val){.u = pst_cur_uint(&c)};
		} else if (type == PST_T_S || type == PST_T_A) {
			bytes = take_string(&c, &len);
			if (type == PST_T_A && len != 4 && len != 16 && len)
				pst_cur_fail(&c);
			ret_vals[i] = (struct pst_val){.p = bytes, .len = len};
		} else {
			other = c;
			if (type == PST_T_L)
				ret_vals[i] = take_list(&other);
			else if (type == PST_T_P)
				ret_vals[i] = take_procs(&other);
			else
				ret_vals[i] = (struct pst_val){.i = pst_cur_int(&other)};
			c = other;
		}
	}
	for (; i < n_fields; i++)
		ret_vals[i] = (struct pst_val){.u = 0};
	if (__builtin_expect(known < n, 0)) {
		other = c;
		for (i = known; i < n && !other.bad; i++)
			pst_cur_skip_within(&other, DEPTH_FIELD, PST_STRING_MAX);
		c = other;
	}
	return c;
}

static inline void begin_stage(const struct pst_cur *c, struct pst_event *e, unsigned stage)
{
	e->stage_raw[stage] = c->p;
}
static inline void end_stage(const struct pst_cur *c, struct pst_event *e, unsigned stage)
{
	e->stage_raw_len[stage] = (uint32_t)(c->p - e->stage_raw[stage]);
	e->n_stages = stage + 1;
}

/* An inner array without a look at its fields. */
static void skip_stage(struct pst_cur *c, struct pst_event *e, unsigned stage)
{
	begin_stage(c, e, stage);
	if (pst_cur_peek(c) == PST_MP_ARRAY)
		pst_cur_skip_within(c, DEPTH_INNER, PST_STRING_MAX);
	else
		pst_cur_fail(c);
	end_stage(c, e, stage);
}

/* [kind, ts_ns, ...: returns the number of elements of the whole. */
static inline uint32_t take_head(struct pst_cur *c, struct pst_event *e)
{
	e->raw = c->p;
	uint32_t n = pst_cur_array(c);
	uint64_t kind = pst_cur_uint(c);
	e->kind = (uint32_t)kind;
	e->ts_ns = pst_cur_uint(c);
	if (n < 3 || kind > UINT32_MAX)
		pst_cur_fail(c);
	e->desc = pst_kind_by_id(e->kind);
	return n;
}

/* What later versions put after the inner arrays; then the end. */
static inline int take_tail(struct pst_cur *cur, struct pst_cur *c, struct pst_event *e, uint32_t n)
{
	for (; n > 5 && !c->bad; n--)
		pst_cur_skip_within(c, DEPTH_INNER, PST_STRING_MAX);
	e->raw_len = (uint32_t)(c->p - e->raw);
	if (c->bad || c->p - e->raw > UINT32_MAX) {
		pst_cur_fail(cur);
		return -EBADMSG;
	}
	*cur = *c;
	return 0;
}

int pst_event_scan(struct pst_cur *cur, struct pst_event *ret_event)
{
	struct pst_cur c = *cur;
	uint32_t n = take_head(&c, ret_event);

	for (unsigned stage = 0; stage < 3 && stage + 2 < n && !c.bad; stage++)
		skip_stage(&c, ret_event, stage);
	return take_tail(cur, &c, ret_event, n);
}

int pst_event_decode(struct pst_cur *cur, struct pst_event *ret_event)
{
	struct pst_event *e = ret_event;
	struct pst_cur c = *cur;
	uint32_t n = take_head(&c, e);

	if (e->desc) {
		begin_stage(&c, e, 0);
		c = take_fields(c, e->desc->fields, e->desc->n_fields, e->sensor);
		end_stage(&c, e, 0);
	} else {
		skip_stage(&c, e, 0);
		memset(e->sensor, 0, sizeof(e->sensor));
	}
	if (n > 3) {
		begin_stage(&c, e, 1);
		c = take_fields(c, pst_enricher_fields, PST_ENR_N, e->enricher);
		end_stage(&c, e, 1);
	} else {
		memset(e->enricher, 0, sizeof(e->enricher));
	}
	if (n > 4) {
		begin_stage(&c, e, 2);
		c = take_fields(c, pst_policyd_fields, PST_POL_N, e->policyd);
		end_stage(&c, e, 2);
	} else {
		memset(e->policyd, 0, sizeof(e->policyd));
	}
	return take_tail(cur, &c, e, n);
}

/* ---- writing ---- */

static inline bool is_default(const struct pst_val *v, unsigned type)
{
	if (type <= PST_T_I)
		return !v->u;
	return type <= PST_T_A ? !v->len : !v->n;
}

/* An inner array, without its trailing defaults. False (and failed, nothing written) when a value is beyond
 * the limits. */
static bool put_fields(
	struct pst_buf *buf, const struct pst_field *fields, uint32_t n_fields, const struct pst_val *vals)
{
	size_t bound = 5;
	uint32_t n = 0;

	for (uint32_t i = 0; i < n_fields; i++) {
		unsigned type = fields[i].type;

		bound += 9;
		if (type > PST_T_I) {
			bound += vals[i].len;
			if (type <= PST_T_A && vals[i].len > PST_STRING_MAX) {
				buf->failed = true;
				return false;
			}
		}
		if (!is_default(&vals[i], type))
			n = i + 1;
	}
	if (!pst_buf_reserve(buf, bound))
		return false;
	uint8_t *w = pst_mp_put_array(buf->p + buf->len, n);
	for (uint32_t i = 0; i < n; i++) {
		const struct pst_val *v = &vals[i];
		unsigned type = fields[i].type;

		if (type == PST_T_U) {
			w = pst_mp_put_uint(w, v->u);
			continue;
		}
		if (type == PST_T_I) {
			w = pst_mp_put_int(w, v->i);
			continue;
		}
		w = type <= PST_T_A ? pst_mp_put_bin_head(w, v->len) : pst_mp_put_array(w, v->n);
		if (v->len)
			pst_copy(w, v->p, v->len);
		w += v->len;
	}
	buf->len = (size_t)(w - buf->p);
	return true;
}

void pst_event_pack(struct pst_buf *buf, uint32_t kind, uint64_t ts_ns, const struct pst_val *sensor)
{
	const struct pst_kind *desc = pst_kind_by_id(kind);
	size_t start = buf->len;

	if (!desc) {
		buf->failed = true;
		return;
	}
	pst_mp_array(buf, 3);
	pst_mp_uint(buf, kind);
	pst_mp_uint(buf, ts_ns);
	if (!put_fields(buf, desc->fields, desc->n_fields, sensor))
		buf->len = start;
}

/* The outer array's head: its length in bytes, its elements. @event was decoded, so that it is whole. */
static unsigned outer_head(const struct pst_event *event, uint32_t *ret_n)
{
	struct pst_cur c = pst_cur(event->raw, event->raw_len);

	*ret_n = pst_cur_array(&c);
	return (unsigned)(c.p - event->raw);
}

/* The event with the array of @stage (1 or 2) put in or replaced; all else is copied as it came. */
static void append(struct pst_buf *buf, const struct pst_event *event, unsigned stage,
	const struct pst_field *fields, uint32_t n_fields, const struct pst_val *vals)
{
	uint32_t n, before = event->n_stages < stage ? event->n_stages : stage;
	unsigned head = outer_head(event, &n);
	const uint8_t *end = event->stage_raw[before - 1] + event->stage_raw_len[before - 1];
	const uint8_t *rest =
		event->n_stages > stage ? event->stage_raw[stage] + event->stage_raw_len[stage] : NULL;
	size_t start = buf->len;

	pst_mp_array(buf, n < stage + 3 ? stage + 3 : n);
	pst_mp_raw(buf, event->raw + head, (size_t)(end - event->raw) - head);
	for (; before < stage; before++)
		pst_mp_array(buf, 0); /* policyd without an enricher before it */
	if (!put_fields(buf, fields, n_fields, vals)) {
		buf->len = start;
		return;
	}
	if (rest)
		pst_mp_raw(buf, rest, (size_t)(event->raw + event->raw_len - rest));
}

void pst_event_append_enricher(
	struct pst_buf *buf, const struct pst_event *event, const struct pst_val *enricher)
{
	append(buf, event, 1, pst_enricher_fields, PST_ENR_N, enricher);
}

void pst_event_append_policyd(
	struct pst_buf *buf, const struct pst_event *event, const struct pst_val *policyd)
{
	append(buf, event, 2, pst_policyd_fields, PST_POL_N, policyd);
}

/* ---- lists ---- */

void pst_list_add(struct pst_buf *elements, const void *bytes, uint32_t len)
{
	if (len > PST_STRING_MAX)
		elements->failed = true;
	else
		pst_mp_bin(elements, bytes, len);
}

void pst_list_add_nul(struct pst_buf *elements, const void *bytes, uint32_t len, uint32_t *ret_n)
{
	const char *p = bytes, *end = len ? p + len : p;
	uint32_t n = 0;

	while (p < end) {
		const char *nul = memchr(p, 0, (size_t)(end - p));
		const char *stop = nul ? nul : end;

		pst_list_add(elements, p, (uint32_t)(stop - p));
		n++;
		if (nul && nul + 1 == end) { /* the separator is the last byte: an empty one follows */
			pst_list_add(elements, end, 0);
			n++;
		}
		p = stop + 1;
	}
	*ret_n = n;
}

void pst_procs_add(
	struct pst_buf *elements, uint32_t pid, uint64_t start_ns, const void *exe, uint32_t exe_len)
{
	if (exe_len > PST_STRING_MAX) {
		elements->failed = true;
		return;
	}
	pst_mp_array(elements, 3);
	pst_mp_uint(elements, pid);
	pst_mp_uint(elements, start_ns);
	pst_mp_bin(elements, exe, exe_len);
}

bool pst_list_next(struct pst_cur *cur, const void **ret_bytes, uint32_t *ret_len)
{
	if (cur->p >= cur->end)
		return false;
	*ret_bytes = take_string(cur, ret_len);
	return !cur->bad;
}

bool pst_procs_next(struct pst_cur *cur, struct pst_proc_ref *ret_proc)
{
	if (cur->p >= cur->end)
		return false;
	take_proc(cur, ret_proc);
	return !cur->bad;
}
