/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Numbers and addresses as text and back, without locale or format strings: for what is printed a million
 * times. pst_fmt_*() write at @w, where the number of bytes in their comment may be written, put no NUL at
 * the end, and return the byte after.
 */
#ifndef PST_WIRE_FMT_H
#define PST_WIRE_FMT_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

char *pst_fmt_u64_long(char *w, uint64_t v); /* 20 */
/* 20; small numbers without a call */
static inline char *pst_fmt_u64(char *w, uint64_t v)
{
	if (v < 10) {
		*w = (char)('0' + v);
		return w + 1;
	}
	return pst_fmt_u64_long(w, v);
}
char *pst_fmt_i64(char *w, int64_t v);                 /* 20 */
char *pst_fmt_hex(char *w, uint64_t v);                /* 18: 0x and digits */
char *pst_fmt_digits(char *w, uint64_t v, unsigned n); /* exactly @n, with leading zeros */
char *pst_fmt_addr(char *w, const uint8_t *bytes,
	unsigned len);                        /* 45; IPv4 or IPv6 (RFC 5952); no byte for other lengths */
char *pst_fmt_duration(char *w, uint64_t ns); /* 24: 750ns, 1.5ms, 2.25s, 1m30s, 3d4h; cut, not rounded */
char *pst_fmt_size(char *w, uint64_t bytes);  /* 12: 512B, 1.5KiB; cut to one decimal */
static inline char *pst_fmt_raw(char *w, const void *bytes, size_t len)
{
	if (!__builtin_constant_p(len))
		__asm__(""
			: "+r"(len)); /* else gcc 12 makes a slow `rep movs` of it where it knows a bound */
	memcpy(w, bytes, len);
	return w + len;
}

/* All of the @len bytes must be it. 0 or -EINVAL, also for what does not fit. */
int pst_parse_u64(const char *text, size_t len, uint64_t *ret_value); /* decimal, or hex after 0x */
int pst_parse_duration(
	const char *text, size_t len, uint64_t *ret_ns); /* 1.5ms, 1m30s, 3d; ns us ms s m h d */
int pst_parse_size(const char *text, size_t len,
	uint64_t *ret_bytes); /* 1.5KiB, 2M; B K M G T P, KiB ... PiB, by 1,024 */

#endif
