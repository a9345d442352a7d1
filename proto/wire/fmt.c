// SPDX-License-Identifier: Apache-2.0
#include <endian.h>

#include "proto/wire/fmt.h"

#define E8 100000000u

/* The eight digits of @v, which is below 10^8, one a byte with the first in the lowest: halves, quarters,
 * digits, all lanes at once. */
static inline uint64_t digits8(uint32_t v)
{
	uint64_t x = v / 10000 | (uint64_t)(v % 10000) << 32, upper;

	upper = (x * 10486 >> 20) & 0x0000007f0000007f; /* / 100, exact below 10^4 */
	x = upper | (x - 100 * upper) << 16;
	upper = (x * 103 >> 10) & 0x000f000f000f000f; /* / 10, exact below 100 */
	return upper | (x - 10 * upper) << 8;
}

static inline char *put_8(char *w, uint32_t v)
{
	uint64_t x = htole64(digits8(v) + 0x3030303030303030);

	memcpy(w, &x, 8);
	return w + 8;
}

/* Below 10^8, without leading zeros; 8 bytes are written. */
static inline char *put_short(char *w, uint32_t v)
{
	uint64_t x = digits8(v);
	unsigned zeros = v ? (unsigned)__builtin_ctzll(x) / 8 : 7;

	x = htole64((x + 0x3030303030303030) >> (8 * zeros));
	memcpy(w, &x, 8);
	return w + 8 - zeros;
}

char *pst_fmt_u64_long(char *w, uint64_t v)
{
	if (v < E8)
		return put_short(w, (uint32_t)v);
	uint64_t upper = v / E8;
	if (upper < E8)
		w = put_short(w, (uint32_t)upper);
	else
		w = put_8(put_short(w, (uint32_t)(upper / E8)), (uint32_t)(upper % E8));
	return put_8(w, (uint32_t)(v % E8));
}

char *pst_fmt_digits(char *w, uint64_t v, unsigned n)
{
	char *end = w + n;

	for (; n >= 8; n -= 8, v /= E8)
		put_8(w + n - 8, (uint32_t)(v % E8));
	for (; n; n--, v /= 10)
		w[n - 1] = (char)('0' + v % 10);
	return end;
}

char *pst_fmt_i64(char *w, int64_t v)
{
	uint64_t u = (uint64_t)v;

	if (v < 0) {
		*w++ = '-';
		u = -u;
	}
	return pst_fmt_u64(w, u);
}

char *pst_fmt_hex(char *w, uint64_t v)
{
	unsigned digits = (67 - (unsigned)__builtin_clzll(v | 1)) / 4;

	*w++ = '0';
	*w++ = 'x';
	for (unsigned i = digits; i--;)
		*w++ = "0123456789abcdef"[v >> (4 * i) & 15];
	return w;
}

/* @v in @unit with at most @decimals digits after the point, none of them a trailing zero. */
static char *fmt_decimal(char *w, uint64_t v, uint64_t unit, unsigned decimals)
{
	uint64_t rest = v % unit;

	w = pst_fmt_u64(w, v / unit);
	*w++ = '.';
	while (decimals--) {
		rest *= 10;
		*w++ = (char)('0' + rest / unit);
		rest %= unit;
	}
	while (w[-1] == '0')
		w--;
	return w[-1] == '.' ? w - 1 : w;
}

/* The two largest of d, h, m, s. */
static char *fmt_long_duration(char *w, uint64_t s)
{
	static const struct {
		uint32_t seconds;
		char unit;
	} units[] = {{86400, 'd'}, {3600, 'h'}, {60, 'm'}, {1, 's'}};
	unsigned i = 0;

	while (s < units[i].seconds)
		i++;
	w = pst_fmt_u64(w, s / units[i].seconds);
	*w++ = units[i].unit;
	s = s % units[i].seconds / units[i + 1].seconds;
	if (!s)
		return w;
	w = pst_fmt_u64(w, s);
	*w++ = units[i + 1].unit;
	return w;
}

char *pst_fmt_duration(char *w, uint64_t ns)
{
	if (ns >= 60000000000)
		return fmt_long_duration(w, ns / 1000000000);
	if (ns >= 1000000000)
		return pst_fmt_raw(fmt_decimal(w, ns, 1000000000, 3), "s", 1);
	if (ns >= 1000000)
		return pst_fmt_raw(fmt_decimal(w, ns, 1000000, 3), "ms", 2);
	if (ns >= 1000)
		return pst_fmt_raw(fmt_decimal(w, ns, 1000, 3), "us", 2);
	return pst_fmt_raw(pst_fmt_u64(w, ns), "ns", 2);
}

char *pst_fmt_size(char *w, uint64_t bytes)
{
	unsigned shift = 0;

	while (shift < 60 && bytes >> shift >= 1024)
		shift += 10;
	if (!shift)
		return pst_fmt_raw(pst_fmt_u64(w, bytes), "B", 1);
	/* tenths, from the remainder's upper 10 bits so that nothing overflows */
	uint64_t tenth = ((bytes >> (shift - 10) & 1023) * 10) >> 10;
	w = pst_fmt_u64(w, bytes >> shift);
	if (tenth) {
		*w++ = '.';
		*w++ = (char)('0' + tenth);
	}
	*w++ = "KMGTPE"[shift / 10 - 1];
	return pst_fmt_raw(w, "iB", 2);
}

static char *fmt_ipv4(char *w, const uint8_t *b)
{
	for (int i = 0; i < 4; i++) {
		if (i)
			*w++ = '.';
		w = pst_fmt_u64(w, b[i]);
	}
	return w;
}

static char *fmt_group(char *w, const uint8_t *b)
{
	unsigned v = (unsigned)b[0] << 8 | b[1];

	for (int shift = v > 0xfff ? 12 : v > 0xff ? 8 : v > 0xf ? 4 : 0; shift >= 0; shift -= 4)
		*w++ = "0123456789abcdef"[v >> shift & 15];
	return w;
}

/* The longest run of at least two zero groups, the first of several: RFC 5952 section 4.2. */
static int zero_run(const uint8_t *b, int *ret_len)
{
	int start = -1;

	*ret_len = 1;
	for (int i = 0; i < 8; i++) {
		int n = 0;
		while (i + n < 8 && !b[2 * (i + n)] && !b[2 * (i + n) + 1])
			n++;
		if (n > *ret_len) {
			start = i;
			*ret_len = n;
		}
		i += n;
	}
	return start;
}

static char *fmt_ipv6(char *w, const uint8_t *b)
{
	static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
	int len, start = zero_run(b, &len);

	if (!memcmp(b, mapped, sizeof(mapped)))
		return fmt_ipv4(pst_fmt_raw(w, "::ffff:", 7), b + 12);
	for (int i = 0; i < 8; i++) {
		if (i == start) {
			w = pst_fmt_raw(w, "::", 2);
			i += len - 1;
			continue;
		}
		if (i && i != start + len)
			*w++ = ':';
		w = fmt_group(w, b + 2 * i);
	}
	return w;
}

char *pst_fmt_addr(char *w, const uint8_t *bytes, unsigned len)
{
	return len == 4 ? fmt_ipv4(w, bytes) : len == 16 ? fmt_ipv6(w, bytes) : w;
}
