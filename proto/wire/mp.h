/* SPDX-License-Identifier: Apache-2.0 */
/*
 * msgpack on the hot path: a growable buffer with inline writers, and a cursor that reads in place. The
 * cursor never reads past its end, never allocates, and turns `bad` for ever at the first byte that is not
 * what was asked for. (Control messages, which are rare, use msgpack-c.) Format:
 * https://github.com/msgpack/msgpack/blob/master/spec.md
 */
#ifndef PST_WIRE_MP_H
#define PST_WIRE_MP_H

#include <endian.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define PST_MP_DEPTH 8 /* nesting allowed by the wire contract */

struct pst_buf {
	uint8_t *p; /* owned */
	size_t len, size;
	bool failed; /* no memory, or a value beyond the wire's limits: what was written is incomplete */
};
void pst_buf_done(struct pst_buf *buf);
bool pst_buf_grow(struct pst_buf *buf, size_t n);
/* Room for @n more bytes; false (and failed) without memory. */
static inline bool pst_buf_reserve(struct pst_buf *buf, size_t n)
{
	if (__builtin_expect(buf->size - buf->len >= n, 1))
		return true;
	return pst_buf_grow(buf, n);
}

/* memcpy of a length that is not known: gcc 12 makes a slow `rep movs` of it where it knows a bound. */
static inline void pst_copy(void *to, const void *from, size_t n)
{
	__asm__("" : "+r"(n));
	memcpy(to, from, n);
}

static inline uint64_t pst_load_be64(const void *p)
{
	uint64_t v;

	memcpy(&v, p, sizeof(v));
	return be64toh(v);
}
static inline void pst_store_be64(void *p, uint64_t v)
{
	v = htobe64(v);
	memcpy(p, &v, sizeof(v));
}

/* Shortest form of @v at @w, where 9 bytes may be written; returns the byte after it. No branch on its
 * length. */
static inline uint8_t *pst_mp_put_uint(uint8_t *w, uint64_t v)
{
	/* by the highest byte in use; the head is 0xcc + class, then 1 << class bytes */
	static const uint8_t class_of[8] = {0, 1, 2, 2, 3, 3, 3, 3};

	if (v < 0x80) {
		*w = (uint8_t)v;
		return w + 1;
	}
	unsigned c = class_of[(63 - (unsigned)__builtin_clzll(v)) >> 3];
	*w = (uint8_t)(0xcc + c);
	pst_store_be64(w + 1, v << ((64 - (8u << c)) & 63));
	return w + 1 + (1u << c);
}
uint8_t *pst_mp_put_int(uint8_t *w, int64_t v);
/* Head of a bin of @len bytes at @w, where 5 bytes may be written. */
static inline uint8_t *pst_mp_put_bin_head(uint8_t *w, size_t len)
{
	w[0] = 0xc4;
	w[1] = (uint8_t)len;
	if (__builtin_expect(len < 0x100, 1))
		return w + 2;
	if (len < 0x10000) {
		w[0] = 0xc5;
		w[1] = (uint8_t)(len >> 8);
		w[2] = (uint8_t)len;
		return w + 3;
	}
	w[0] = 0xc6;
	for (unsigned i = 0; i < 4; i++)
		w[1 + i] = (uint8_t)(len >> (24 - 8 * i));
	return w + 5;
}
/* Head of an array at @w, where 5 bytes may be written. */
static inline uint8_t *pst_mp_put_array(uint8_t *w, uint32_t n)
{
	if (__builtin_expect(n < 16, 1)) {
		*w = (uint8_t)(0x90 | n);
		return w + 1;
	}
	if (n < 0x10000) {
		w[0] = 0xdc;
		w[1] = (uint8_t)(n >> 8);
		w[2] = (uint8_t)n;
		return w + 3;
	}
	w[0] = 0xdd;
	for (unsigned i = 0; i < 4; i++)
		w[1 + i] = (uint8_t)(n >> (24 - 8 * i));
	return w + 5;
}

static inline void pst_mp_uint(struct pst_buf *buf, uint64_t v)
{
	if (pst_buf_reserve(buf, 9))
		buf->len = (size_t)(pst_mp_put_uint(buf->p + buf->len, v) - buf->p);
}
/* More than 4 GiB fails the buffer. */
static inline void pst_mp_bin(struct pst_buf *buf, const void *bytes, size_t len)
{
	if (len > UINT32_MAX) {
		buf->failed = true;
		return;
	}
	if (!pst_buf_reserve(buf, 5 + len))
		return;
	uint8_t *w = pst_mp_put_bin_head(buf->p + buf->len, len);
	if (len)
		pst_copy(w, bytes, len);
	buf->len = (size_t)(w + len - buf->p);
}
static inline void pst_mp_array(struct pst_buf *buf, uint32_t n)
{
	if (pst_buf_reserve(buf, 5))
		buf->len = (size_t)(pst_mp_put_array(buf->p + buf->len, n) - buf->p);
}
/* Already encoded. */
static inline void pst_mp_raw(struct pst_buf *buf, const void *bytes, size_t len)
{
	if (!len || !pst_buf_reserve(buf, len))
		return;
	pst_copy(buf->p + buf->len, bytes, len);
	buf->len += len;
}
void pst_mp_nil(struct pst_buf *buf);
void pst_mp_bool(struct pst_buf *buf, bool v);
void pst_mp_int(struct pst_buf *buf, int64_t v);
void pst_mp_str(struct pst_buf *buf, const char *text); /* keys of control messages */
void pst_mp_map(struct pst_buf *buf, uint32_t n);

struct pst_cur {
	const uint8_t *p, *end;
	bool bad;
};
static inline struct pst_cur pst_cur(const void *bytes, size_t len)
{
	return (struct pst_cur){.p = bytes, .end = len ? (const uint8_t *)bytes + len : bytes};
}
/* Bad for ever: nothing is left to read, so that the readers need not look at the flag. */
static inline void pst_cur_fail(struct pst_cur *cur)
{
	cur->p = cur->end;
	cur->bad = true;
}
static inline size_t pst_cur_left(const struct pst_cur *cur)
{
	return (size_t)(cur->end - cur->p);
}
enum pst_mp_type {
	PST_MP_END,
	PST_MP_NIL,
	PST_MP_BOOL,
	PST_MP_UINT,
	PST_MP_INT,
	PST_MP_BIN,
	PST_MP_STR,
	PST_MP_ARRAY,
	PST_MP_MAP,
	PST_MP_OTHER
};
enum pst_mp_type pst_cur_peek(const struct pst_cur *cur); /* INT: negative only */

/*
 * The general forms, out of line; use the ones below. They take and give values, not the cursor's address, so
 * that a caller's cursor stays in registers. @next NULL: bad.
 */
struct pst_mp_step {
	uint64_t v; /* number, elements, or address of the bytes, which end at @next */
	const uint8_t *next;
};
struct pst_mp_step pst_mp_step_uint(const uint8_t *p, const uint8_t *end);
struct pst_mp_step pst_mp_step_bytes(const uint8_t *p, const uint8_t *end);
struct pst_mp_step pst_mp_step_array(const uint8_t *p, const uint8_t *end);

static inline uint64_t pst_cur_step(struct pst_cur *cur, struct pst_mp_step step)
{
	if (step.next)
		cur->p = step.next;
	else
		pst_cur_fail(cur);
	return step.v;
}

/* A negative integer is bad. */
static inline uint64_t pst_cur_uint(struct pst_cur *cur)
{
	const uint8_t *p = cur->p;

	/* branches, not a computed length: a predicted one does not wait for the load */
	if (__builtin_expect(pst_cur_left(cur) >= 9, 1)) {
		if (*p < 0x80) {
			cur->p = p + 1;
			return *p;
		}
		if (*p == 0xce) {
			cur->p = p + 5;
			return pst_load_be64(p + 1) >> 32;
		}
		if (*p == 0xcf) {
			cur->p = p + 9;
			return pst_load_be64(p + 1);
		}
		if (*p == 0xcd) {
			cur->p = p + 3;
			return pst_load_be64(p + 1) >> 48;
		}
	}
	return pst_cur_step(cur, pst_mp_step_uint(cur->p, cur->end));
}
int64_t pst_cur_int(struct pst_cur *cur);
bool pst_cur_bool(struct pst_cur *cur);
/* bin or str, in place. NULL when bad; for empty ones a pointer that must not be read. */
static inline const void *pst_cur_bytes(struct pst_cur *cur, uint32_t *ret_len)
{
	size_t left = pst_cur_left(cur);

	if (__builtin_expect(left >= 2 && cur->p[0] == 0xc4 && left - 2 >= cur->p[1], 1)) {
		const uint8_t *bytes = cur->p + 2;
		*ret_len = cur->p[1];
		cur->p = bytes + *ret_len;
		return bytes;
	}
	struct pst_mp_step step = pst_mp_step_bytes(cur->p, cur->end);
	*ret_len = (uint32_t)((uintptr_t)step.next - (uintptr_t)step.v);
	return (const void *)(uintptr_t)pst_cur_step(cur, step);
}
/* Elements; refused if more than bytes are left. */
static inline uint32_t pst_cur_array(struct pst_cur *cur)
{
	if (__builtin_expect(cur->p < cur->end && (*cur->p & 0xf0) == 0x90, 1)) {
		uint32_t n = *cur->p & 0x0f;

		if (n <= pst_cur_left(cur) - 1) {
			cur->p++;
			return n;
		}
	}
	return (uint32_t)pst_cur_step(cur, pst_mp_step_array(cur->p, cur->end));
}
uint32_t pst_cur_map(struct pst_cur *cur);
/* Skips one value of any type, nesting at most PST_MP_DEPTH. */
void pst_cur_skip(struct pst_cur *cur);
/* The same with other bounds: containers within containers (at most PST_MP_DEPTH), bytes of a string. */
void pst_cur_skip_within(struct pst_cur *cur, unsigned depth, uint32_t string_max);

#endif
