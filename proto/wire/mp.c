// SPDX-License-Identifier: Apache-2.0
#include <stdlib.h>

#include "proto/wire/mp.h"

#define BUF_MAX ((size_t)1 << 32) /* nothing that is published comes near; keeps sums from wrapping */

void pst_buf_done(struct pst_buf *buf)
{
	free(buf->p);
	*buf = (struct pst_buf){0};
}

bool pst_buf_grow(struct pst_buf *buf, size_t n)
{
	if (buf->size - buf->len >= n)
		return true;
	if (n > BUF_MAX - buf->len) {
		buf->failed = true;
		return false;
	}
	size_t need = buf->len + n, size = buf->size ? buf->size : 256;
	while (size < need)
		size *= 2;
	uint8_t *p = realloc(buf->p, size);
	if (!p) {
		buf->failed = true;
		return false;
	}
	buf->p = p;
	buf->size = size;
	return true;
}

/* ---- writing ---- */

static void put_head(struct pst_buf *buf, uint8_t first, uint64_t v, unsigned bytes)
{
	if (!pst_buf_reserve(buf, 1 + bytes))
		return;
	uint8_t *w = buf->p + buf->len;
	*w++ = first;
	for (unsigned i = bytes; i--;)
		*w++ = (uint8_t)(v >> (8 * i));
	buf->len += 1 + bytes;
}

void pst_mp_nil(struct pst_buf *buf)
{
	put_head(buf, 0xc0, 0, 0);
}

void pst_mp_bool(struct pst_buf *buf, bool v)
{
	put_head(buf, v ? 0xc3 : 0xc2, 0, 0);
}

uint8_t *pst_mp_put_int(uint8_t *w, int64_t v)
{
	if (v >= 0)
		return pst_mp_put_uint(w, (uint64_t)v);
	if (v >= -32) {
		*w = (uint8_t)v;
		return w + 1;
	}
	unsigned c = v >= INT8_MIN ? 0 : v >= INT16_MIN ? 1 : v >= INT32_MIN ? 2 : 3;
	*w = (uint8_t)(0xd0 + c);
	pst_store_be64(w + 1, (uint64_t)v << ((64 - (8u << c)) & 63));
	return w + 1 + (1u << c);
}

void pst_mp_int(struct pst_buf *buf, int64_t v)
{
	if (pst_buf_reserve(buf, 9))
		buf->len = (size_t)(pst_mp_put_int(buf->p + buf->len, v) - buf->p);
}

void pst_mp_str(struct pst_buf *buf, const char *text)
{
	size_t len = strlen(text);

	if (len < 32)
		put_head(buf, (uint8_t)(0xa0 | len), 0, 0);
	else if (len < 0x100)
		put_head(buf, 0xd9, len, 1);
	else if (len < 0x10000)
		put_head(buf, 0xda, len, 2);
	else if (len <= UINT32_MAX)
		put_head(buf, 0xdb, len, 4);
	else
		buf->failed = true;
	pst_mp_raw(buf, text, len);
}

void pst_mp_map(struct pst_buf *buf, uint32_t n)
{
	if (n < 16)
		put_head(buf, (uint8_t)(0x80 | n), 0, 0);
	else if (n < 0x10000)
		put_head(buf, 0xde, n, 2);
	else
		put_head(buf, 0xdf, n, 4);
}

/* ---- reading ---- */

/* What a head byte begins: below 32 the length of all of it, else a class. */
enum {
	FIXSTR = 32,
	BYTES8,
	BYTES16,
	BYTES32,
	EXT8,
	EXT16,
	EXT32,
	ARRAY, /* containers from here on */
	ARRAY16,
	ARRAY32,
	MAP,
	MAP16,
	MAP32,
	INVALID,
};
static const uint8_t head[256] = {
	[0x00 ... 0x7f] = 1,
	[0x80 ... 0x8f] = MAP,
	[0x90 ... 0x9f] = ARRAY,
	[0xa0 ... 0xbf] = FIXSTR,
	[0xc0] = 1,
	[0xc1] = INVALID,
	[0xc2] = 1,
	[0xc3] = 1, /* false, true */
	[0xc4] = BYTES8,
	[0xc5] = BYTES16,
	[0xc6] = BYTES32, /* bin */
	[0xc7] = EXT8,
	[0xc8] = EXT16,
	[0xc9] = EXT32,
	[0xca] = 5,
	[0xcb] = 9, /* float, double */
	[0xcc] = 2,
	[0xcd] = 3,
	[0xce] = 5,
	[0xcf] = 9,
	[0xd0] = 2,
	[0xd1] = 3,
	[0xd2] = 5,
	[0xd3] = 9, /* integers */
	[0xd4] = 3,
	[0xd5] = 4,
	[0xd6] = 6,
	[0xd7] = 10,
	[0xd8] = 18, /* short ext */
	[0xd9] = BYTES8,
	[0xda] = BYTES16,
	[0xdb] = BYTES32, /* str */
	[0xdc] = ARRAY16,
	[0xdd] = ARRAY32,
	[0xde] = MAP16,
	[0xdf] = MAP32,
	[0xe0 ... 0xff] = 1,
};

#define BAD ((struct pst_mp_step){0, NULL})

/* A big-endian number of @bytes after the head, which is at @p. */
static inline struct pst_mp_step step_len(const uint8_t *p, const uint8_t *end, unsigned bytes)
{
	uint64_t v = 0;

	if ((size_t)(end - p) < 1 + (size_t)bytes)
		return BAD;
	for (unsigned i = 1; i <= bytes; i++)
		v = v << 8 | p[i];
	return (struct pst_mp_step){v, p + 1 + bytes};
}

enum pst_mp_type pst_cur_peek(const struct pst_cur *cur)
{
	if (cur->bad || cur->p >= cur->end)
		return PST_MP_END;
	uint8_t b = *cur->p;
	if (b < 0x80 || (b >= 0xcc && b <= 0xcf))
		return PST_MP_UINT;
	if (b < 0x90 || b == 0xde || b == 0xdf)
		return PST_MP_MAP;
	if (b < 0xa0 || b == 0xdc || b == 0xdd)
		return PST_MP_ARRAY;
	if (b < 0xc0 || (b >= 0xd9 && b <= 0xdb))
		return PST_MP_STR;
	if (b >= 0xe0)
		return PST_MP_INT;
	if (b >= 0xd0 && b <= 0xd3) /* a signed form may hold a positive number */
		return pst_cur_left(cur) > 1 && !(cur->p[1] & 0x80) ? PST_MP_UINT : PST_MP_INT;
	if (b == 0xc0)
		return PST_MP_NIL;
	if (b == 0xc2 || b == 0xc3)
		return PST_MP_BOOL;
	if (b >= 0xc4 && b <= 0xc6)
		return PST_MP_BIN;
	return PST_MP_OTHER;
}

/* Any integer; @ret_negative tells how to read it. */
static struct pst_mp_step step_integer(const uint8_t *p, const uint8_t *end, bool *ret_negative)
{
	*ret_negative = false;
	if (p >= end)
		return BAD;
	uint8_t b = *p;
	if (b < 0x80)
		return (struct pst_mp_step){b, p + 1};
	if (b >= 0xe0) {
		*ret_negative = true;
		return (struct pst_mp_step){(uint64_t)(int8_t)b, p + 1};
	}
	if (b < 0xcc || b > 0xd3)
		return BAD;
	unsigned bytes = 1u << (b & 3);
	struct pst_mp_step step = step_len(p, end, bytes);
	if (b >= 0xd0 && step.next && (p[1] & 0x80)) {
		*ret_negative = true;
		step.v |= bytes < 8 ? UINT64_MAX << (8 * bytes) : 0;
	}
	return step;
}

struct pst_mp_step pst_mp_step_uint(const uint8_t *p, const uint8_t *end)
{
	bool negative;
	struct pst_mp_step step = step_integer(p, end, &negative);

	return negative ? BAD : step;
}

int64_t pst_cur_int(struct pst_cur *cur)
{
	bool negative;
	struct pst_mp_step step = step_integer(cur->p, cur->end, &negative);

	return (int64_t)pst_cur_step(cur, negative || step.v <= INT64_MAX ? step : BAD);
}

bool pst_cur_bool(struct pst_cur *cur)
{
	if (cur->p < cur->end && (*cur->p & 0xfe) == 0xc2)
		return *cur->p++ == 0xc3;
	pst_cur_fail(cur);
	return false;
}

struct pst_mp_step pst_mp_step_bytes(const uint8_t *p, const uint8_t *end)
{
	unsigned class = p < end ? head[*p] : INVALID;
	struct pst_mp_step step = BAD;

	if (class == FIXSTR)
		step = (struct pst_mp_step){*p & 0x1f, p + 1};
	else if (class >= BYTES8 && class <= BYTES32)
		step = step_len(p, end, 1u << (class - BYTES8));
	if (!step.next || (size_t)(end - step.next) < step.v)
		return BAD;
	return (struct pst_mp_step){(uintptr_t)step.next, step.next + step.v};
}

/* Elements or pairs of a container of the classes @fix (short), @fix + 1 and @fix + 2; each takes at least
 * @min bytes. */
static struct pst_mp_step step_count(const uint8_t *p, const uint8_t *end, unsigned fix, unsigned min)
{
	unsigned class = p < end ? head[*p] : INVALID;
	struct pst_mp_step step = BAD;

	if (class == fix)
		step = (struct pst_mp_step){*p & 0x0f, p + 1};
	else if (class == fix + 1 || class == fix + 2)
		step = step_len(p, end, class == fix + 1 ? 2 : 4);
	return step.next && step.v <= (size_t)(end - step.next) / min ? step : BAD;
}

struct pst_mp_step pst_mp_step_array(const uint8_t *p, const uint8_t *end)
{
	return step_count(p, end, ARRAY, 1);
}

uint32_t pst_cur_map(struct pst_cur *cur)
{
	return (uint32_t)pst_cur_step(cur, step_count(cur->p, cur->end, MAP, 2));
}

/* The end of a string or ext whose head is at @p, or NULL. */
static inline const uint8_t *skip_bytes(const uint8_t *p, const uint8_t *end, unsigned class, uint32_t max)
{
	bool ext = class >= EXT8; /* has one byte for its type */
	struct pst_mp_step step = {*p & 0x1f, p + 1};

	if (class != FIXSTR)
		step = step_len(p, end, 1u << (class - (ext ? EXT8 : BYTES8)));
	if (!step.next || step.v > max || (size_t)(end - step.next) < step.v + ext)
		return NULL;
	return step.next + step.v + ext;
}

/* The end of a value that has no elements, whose head is at @p, or NULL. */
static const uint8_t *skip_flat(const uint8_t *p, const uint8_t *end, uint32_t string_max)
{
	unsigned class = head[*p];

	if (class < 32)
		return (size_t)(end - p) < class ? NULL : p + class;
	return class < ARRAY ? skip_bytes(p, end, class, string_max) : NULL;
}

/* What most values of an event are; NULL: something else. Branches as in pst_cur_uint. */
static inline const uint8_t *skip_common(const uint8_t *p, const uint8_t *end, uint32_t string_max)
{
	size_t room = (size_t)(end - p);

	if (*p < 0x80)
		return p + 1;
	if (room < 9)
		return NULL;
	switch (*p) {
	case 0xc4:
		return room - 2 < p[1] || p[1] > string_max ? NULL : p + 2 + p[1];
	case 0xcd:
		return p + 3;
	case 0xce:
		return p + 5;
	case 0xcf:
		return p + 9;
	default:
		return NULL;
	}
}

void pst_cur_skip_within(struct pst_cur *cur, unsigned depth, uint32_t string_max)
{
	uint64_t outer[PST_MP_DEPTH], left = 1; /* elements still to come: on the levels above, on this one */
	unsigned level = 0;
	const uint8_t *p = cur->p, *end = cur->end, *next;

	if (depth > PST_MP_DEPTH)
		depth = PST_MP_DEPTH;
	for (;;) {
		for (; left && p < end && (next = skip_common(p, end, string_max)); left--)
			p = next;
		if (!left) {
			if (!level)
				break;
			left = outer[--level];
			continue;
		}
		unsigned class = p < end ? head[*p] : INVALID, map = class >= MAP;
		left--;
		if (class < ARRAY) {
			next = skip_flat(p, end, string_max);
		} else {
			if (class == INVALID || level >= depth)
				goto bad;
			struct pst_mp_step step = step_count(p, end, map ? MAP : ARRAY, 1 + map);
			next = step.next;
			outer[level++] = left; /* an empty one nests, too */
			left = step.v << map;
		}
		if (!next)
			goto bad;
		p = next;
	}
	cur->p = p;
	return;
bad:
	pst_cur_fail(cur);
}

void pst_cur_skip(struct pst_cur *cur)
{
	pst_cur_skip_within(cur, PST_MP_DEPTH, UINT32_MAX);
}
