// SPDX-License-Identifier: Apache-2.0
/* JSON's own parts: strings and numbers. What events look like: json_event.c. */
#include <stdbool.h>

#include "proto/wire/fmt.h"
#include "proto/wire/json.h"
#include "proto/wire/json_internal.h"

#define ONES 0x0101010101010101ull
#define HIGH 0x8080808080808080ull

/* Bytes with their highest bit set where @x has a byte below 32, '"', '\\', 127 or above; exact up to the
 * first of them. */
static inline uint64_t special_bytes(uint64_t x)
{
	uint64_t quote = x ^ (ONES * '"'), backslash = x ^ (ONES * '\\'), del = x ^ (ONES * 0x7f);

	return ((x - ONES * 0x20) | (quote - ONES) | (backslash - ONES) | (del - ONES) | x) & HIGH;
}

static inline bool is_plain(uint8_t c)
{
	return c >= 0x20 && c < 0x7f && c != '"' && c != '\\';
}

/*
 * The character at @s: its length, and its code point in @ret_cp; or, when the bytes are no UTF-8, minus the
 * length of what a decoder replaces by one U+FFFD (the longest beginning of a character that could have been;
 * Unicode 15, section 3.9).
 */
static int utf8_next(const uint8_t *s, size_t len, uint32_t *ret_cp)
{
	unsigned b = s[0], need = b < 0xe0 ? 1 : b < 0xf0 ? 2 : 3;
	/* the second byte's range shuts out overlong forms, surrogates, and what is beyond U+10FFFF */
	unsigned low = b == 0xe0 ? 0xa0 : b == 0xf0 ? 0x90 : 0x80;
	unsigned high = b == 0xed ? 0x9f : b == 0xf4 ? 0x8f : 0xbf;
	uint32_t cp = b & (0x3fu >> need);

	if (b < 0xc2 || b > 0xf4)
		return -1;
	for (unsigned i = 1; i <= need; i++) {
		if (i >= len || s[i] < low || s[i] > high)
			return -(int)i;
		cp = cp << 6 | (s[i] & 0x3f);
		low = 0x80;
		high = 0xbf;
	}
	*ret_cp = cp;
	return (int)need + 1;
}

static char *put_u(char *w, unsigned cp)
{
	*w++ = '\\';
	*w++ = 'u';
	for (int shift = 12; shift >= 0; shift -= 4)
		*w++ = "0123456789abcdef"[cp >> shift & 15];
	return w;
}

static char *put_ascii(char *w, uint8_t c)
{
	static const char letters[] = {['\b'] = 'b', ['\t'] = 't', ['\n'] = 'n', ['\f'] = 'f', ['\r'] = 'r'};

	if (c != '"' && c != '\\') {
		if (c >= sizeof(letters) || !letters[c])
			return put_u(w, c);
		c = (uint8_t)letters[c];
	}
	*w++ = '\\';
	*w++ = (char)c;
	return w;
}

/* Valid in JSON, but controls of terminals (C1), line ends of scripts (U+2028, U+2029), or turning the text
 * around (bidi). */
static bool is_hostile(uint32_t cp)
{
	return cp < 0xa0 || cp == 0x061c || cp == 0x200e || cp == 0x200f || (cp >= 0x2028 && cp <= 0x202e) ||
	       (cp >= 0x2066 && cp <= 0x2069) || cp == 0xfeff;
}

/* One character that is not plain. Returns the bytes read. */
static size_t put_special(char **w, const uint8_t *s, size_t len, bool *ret_valid)
{
	uint32_t cp = 0;
	int n;

	if (*s < 0x80) {
		*w = put_ascii(*w, *s);
		return 1;
	}
	n = utf8_next(s, len, &cp);
	if (n < 0) {
		*ret_valid = false;
		*w = pst_fmt_raw(*w, "\xef\xbf\xbd", 3);
		return (size_t)-n;
	}
	*w = is_hostile(cp) ? put_u(*w, cp) : pst_fmt_raw(*w, s, (size_t)n);
	return (size_t)n;
}

typedef int8_t vec __attribute__((vector_size(16)));

static inline vec special_vec(vec x)
{
	return (x < 0x20) | (x == '"') | (x == '\\') | (x == 0x7f); /* signed: also 128 and above */
}
static inline vec copy_vec(char *w, const uint8_t *s)
{
	vec x;

	memcpy(&x, s, sizeof(x));
	memcpy(w, &x, sizeof(x));
	return special_vec(x);
}

/* Copies all of @s if it is plain, the last bytes twice rather than one by one. False: it is not, and what is
 * at @w is nothing. */
static bool copy_plain(char *w, const uint8_t *s, size_t len)
{
	uint64_t first, last;

	if (len >= 16) {
		vec acc = copy_vec(w + len - 16, s + len - 16);

		for (size_t i = 0; i + 16 < len; i += 16)
			acc |= copy_vec(w + i, s + i);
		memcpy(&first, &acc, 8);
		memcpy(&last, (const char *)&acc + 8, 8);
		return !(first | last);
	}
	if (len >= 8) {
		memcpy(&first, s, 8);
		memcpy(&last, s + len - 8, 8);
		memcpy(w, &first, 8);
		memcpy(w + len - 8, &last, 8);
		return !(special_bytes(first) | special_bytes(last));
	}
	if (len >= 4) {
		uint32_t head, tail;

		memcpy(&head, s, 4);
		memcpy(&tail, s + len - 4, 4);
		memcpy(w, &head, 4);
		memcpy(w + len - 4, &tail, 4);
		return !special_bytes((uint64_t)head << 32 | tail);
	}
	for (size_t i = 0; i < len; i++) {
		if (!is_plain(s[i]))
			return false;
		w[i] = (char)s[i];
	}
	return true;
}

static char *put_escaped(char *w, const uint8_t *s, size_t len, bool *ret_valid)
{
	size_t i = 0;

	while (i < len) {
		if (len - i >= 8) {
			uint64_t x, special;

			memcpy(&x, s + i, 8);
			memcpy(w, &x, 8);
			special = special_bytes(le64toh(x));
			unsigned n = special ? (unsigned)__builtin_ctzll(special) / 8 : 8;
			w += n;
			i += n;
			if (!special)
				continue;
		} else if (is_plain(s[i])) {
			*w++ = (char)s[i++];
			continue;
		}
		i += put_special(&w, s + i, len - i, ret_valid);
	}
	return w;
}

char *pst_json_put_str(char *w, const void *bytes, size_t len, bool *ret_valid)
{
	*ret_valid = true;
	*w++ = '"';
	if (copy_plain(w, bytes, len))
		w += len;
	else
		w = put_escaped(w, bytes, len, ret_valid);
	*w++ = '"';
	return w;
}

char *pst_json_put_base64(char *w, const void *bytes, size_t len)
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	const uint8_t *s = bytes;

	*w++ = '"';
	for (; len >= 3; len -= 3, s += 3) {
		*w++ = digits[s[0] >> 2];
		*w++ = digits[(s[0] & 3) << 4 | s[1] >> 4];
		*w++ = digits[(s[1] & 15) << 2 | s[2] >> 6];
		*w++ = digits[s[2] & 63];
	}
	if (len) {
		*w++ = digits[s[0] >> 2];
		*w++ = digits[(s[0] & 3) << 4 | (len > 1 ? s[1] >> 4 : 0)];
		*w++ = len > 1 ? digits[(s[1] & 15) << 2] : '=';
		*w++ = '=';
	}
	*w++ = '"';
	return w;
}

void pst_json_str(struct pst_buf *out, const void *bytes, size_t len)
{
	char *w = pst_json_room(out, PST_JSON_STR_MAX(len));
	bool valid;

	if (w)
		pst_json_end(out, pst_json_put_str(w, bytes, len, &valid));
}

void pst_json_uint(struct pst_buf *out, uint64_t v)
{
	char *w = pst_json_room(out, 20);

	if (w)
		pst_json_end(out, pst_fmt_u64(w, v));
}

void pst_json_int(struct pst_buf *out, int64_t v)
{
	char *w = pst_json_room(out, 20);

	if (w)
		pst_json_end(out, pst_fmt_i64(w, v));
}

void pst_json_raw(struct pst_buf *out, const char *text)
{
	pst_mp_raw(out, text, strlen(text));
}
