/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A few fields of an event that is not decoded: walks an inner array to the positions asked for, which must
 * rise. What is missing, or of another type, is zero or empty.
 */
#ifndef EXPORTER_PICK_H
#define EXPORTER_PICK_H

#include "proto/wire/event.h"

struct pick {
	struct pst_cur cur;
	uint32_t n, at; /* fields in the array; number of the one at the cursor */
};

/* @stage: 0 sensor, 1 enricher, 2 policyd. */
static inline struct pick pick_from(const struct pst_event *event, unsigned stage)
{
	struct pick pick = {0};

	if (stage >= event->n_stages)
		return pick;
	pick.cur = pst_cur(event->stage_raw[stage], event->stage_raw_len[stage]);
	pick.n = pst_cur_array(&pick.cur);
	return pick;
}

/* Most fields are numbers and short strings; the rest goes the long way. */
static inline void pick_skip(struct pst_cur *cur)
{
	size_t left = pst_cur_left(cur), len = 0;

	if (left >= 2) {
		unsigned head = cur->p[0];

		if (head < 0x80)
			len = 1;
		else if ((head & 0xfc) == 0xcc)
			len = 1 + ((size_t)1 << (head & 3));
		else if (head == 0xc4)
			len = 2 + (size_t)cur->p[1];
	}
	if (len && len <= left)
		cur->p += len;
	else
		pst_cur_skip(cur);
}

static inline bool pick_seek(struct pick *pick, uint32_t field)
{
	if (field >= pick->n)
		return false;
	for (; pick->at < field; pick->at++)
		pick_skip(&pick->cur);
	return !pick->cur.bad;
}

static inline uint64_t pick_uint(struct pick *pick, uint32_t field)
{
	if (!pick_seek(pick, field) || pst_cur_peek(&pick->cur) != PST_MP_UINT)
		return 0;
	pick->at++;
	return pst_cur_uint(&pick->cur);
}

static inline int64_t pick_int(struct pick *pick, uint32_t field)
{
	enum pst_mp_type type;

	if (!pick_seek(pick, field))
		return 0;
	type = pst_cur_peek(&pick->cur);
	if (type != PST_MP_UINT && type != PST_MP_INT)
		return 0;
	pick->at++;
	return pst_cur_int(&pick->cur);
}

static inline const void *pick_bytes(struct pick *pick, uint32_t field, uint32_t *ret_len)
{
	enum pst_mp_type type;

	*ret_len = 0;
	if (!pick_seek(pick, field))
		return "";
	type = pst_cur_peek(&pick->cur);
	if (type != PST_MP_BIN && type != PST_MP_STR)
		return "";
	pick->at++;
	return pst_cur_bytes(&pick->cur, ret_len);
}

/* An address as 16 bytes, IPv4-mapped when it has 4; zeros when it is none. */
static inline void pick_addr(struct pick *pick, uint32_t field, uint8_t ret_addr[16])
{
	uint32_t len;
	const void *p = pick_bytes(pick, field, &len);

	memset(ret_addr, 0, 16);
	if (len == 16) {
		memcpy(ret_addr, p, 16);
	} else if (len == 4) {
		memset(ret_addr + 10, 0xff, 2);
		memcpy(ret_addr + 12, p, 4);
	}
}

#endif
