// SPDX-License-Identifier: Apache-2.0
/*
 * Any bytes as an event, and as a message. What is accepted must be scanned alike, survive encoding again and
 * appending with the same values, and give valid JSON.
 */
#include <stdlib.h>

#include "proto/wire/bus.h"
#include "proto/wire/json.h"
#include "tests/vectors/json_check.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define CHECK(condition)                                                                                     \
	do {                                                                                                 \
		if (!(condition))                                                                            \
			abort();                                                                             \
	} while (0)

static bool same(const struct pst_field *fields, unsigned n, const struct pst_val *a, const struct pst_val *b)
{
	for (unsigned i = 0; i < n; i++) {
		if (fields[i].type == PST_T_U || fields[i].type == PST_T_I) {
			if (a[i].u != b[i].u)
				return false;
			continue;
		}
		if (a[i].len != b[i].len || a[i].n != b[i].n ||
			(a[i].len && memcmp(a[i].p, b[i].p, a[i].len)))
			return false;
	}
	return true;
}

static void decode(const struct pst_buf *buf, struct pst_event *ret_event)
{
	struct pst_cur c = pst_cur(buf->p, buf->len);

	CHECK(!buf->failed && !pst_event_decode(&c, ret_event) && !pst_cur_left(&c));
}

static void encode_again(const struct pst_event *e)
{
	static struct pst_event again;
	struct pst_buf packed = {0}, enriched = {0}, alert = {0};

	if (e->desc) {
		pst_event_pack(&packed, e->kind, e->ts_ns, e->sensor);
		decode(&packed, &again);
		CHECK(again.kind == e->kind && again.ts_ns == e->ts_ns && again.n_stages == 1);
		CHECK(same(e->desc->fields, e->desc->n_fields, e->sensor, again.sensor));
	}
	pst_event_append_enricher(&enriched, e, e->enricher);
	decode(&enriched, &again);
	CHECK(same(pst_enricher_fields, PST_ENR_N, e->enricher, again.enricher));
	CHECK(same(pst_policyd_fields, PST_POL_N, e->policyd, again.policyd));
	pst_event_append_policyd(&alert, e, e->policyd);
	decode(&alert, &again);
	CHECK(again.n_stages == 3 && again.stage_raw_len[0] == e->stage_raw_len[0]);
	CHECK(!memcmp(again.stage_raw[0], e->stage_raw[0], e->stage_raw_len[0]));
	CHECK(same(pst_enricher_fields, PST_ENR_N, e->enricher, again.enricher));
	CHECK(same(pst_policyd_fields, PST_POL_N, e->policyd, again.policyd));
	pst_buf_done(&packed);
	pst_buf_done(&enriched);
	pst_buf_done(&alert);
}

static void show(const struct pst_event *e)
{
	struct pst_buf json = {0};
	const struct pst_field *field;
	char text[40];

	pst_json_event(&json, e, (int64_t)e->ts_ns);
	CHECK(!json.failed && json_valid(json.p, json.len));
	pst_buf_done(&json);
	for (unsigned f = 0; e->desc && f < e->desc->n_fields; f++) {
		field = &e->desc->fields[f];
		CHECK(pst_val_text(&e->sensor[f], field, text, sizeof(text)) < sizeof(text));
		CHECK(pst_event_field(e, field->name, &field));
	}
}

/* False: refused. */
static bool one(struct pst_cur *cur)
{
	static struct pst_event e, scanned;
	struct pst_cur other = *cur;
	int r = pst_event_scan(&other, &scanned);

	if (pst_event_decode(cur, &e) < 0) {
		CHECK(cur->bad);
		return false;
	}
	CHECK(!r && other.p == cur->p && scanned.raw_len == e.raw_len && scanned.n_stages == e.n_stages);
	encode_again(&e);
	show(&e);
	return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct pst_cur cur = pst_cur(data, size);
	struct pst_batch batch;

	while (pst_cur_left(&cur) && one(&cur))
		;
	if (!pst_batch_decode(data, size, &batch))
		for (uint32_t i = 0; i < batch.count && one(&batch.events); i++)
			;
	return 0;
}
