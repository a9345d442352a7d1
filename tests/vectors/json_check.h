/* SPDX-License-Identifier: Apache-2.0 */
/* A strict judge of JSON (RFC 8259), for tests: one value and nothing after it; strings are UTF-8 without
 * controls. */
#ifndef PST_TESTS_JSON_CHECK_H
#define PST_TESTS_JSON_CHECK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#ifndef JSON_CHECK_DEPTH
#define JSON_CHECK_DEPTH 8
#endif

struct json_check {
	const uint8_t *p, *end;
	unsigned depth;
};

static inline bool json_check_value(struct json_check *j);

static inline int json_check_peek(const struct json_check *j)
{
	return j->p < j->end ? *j->p : -1;
}
static inline bool json_check_take(struct json_check *j, const char *text)
{
	size_t n = strlen(text);

	if ((size_t)(j->end - j->p) < n || memcmp(j->p, text, n))
		return false;
	j->p += n;
	return true;
}
static inline bool json_check_digits(struct json_check *j)
{
	const uint8_t *start = j->p;

	while (json_check_peek(j) >= '0' && json_check_peek(j) <= '9')
		j->p++;
	return j->p > start;
}
static inline bool json_check_number(struct json_check *j)
{
	bool zero;

	json_check_take(j, "-");
	zero = json_check_take(j, "0");
	if (zero ? json_check_peek(j) >= '0' && json_check_peek(j) <= '9' : !json_check_digits(j))
		return false;
	if (json_check_take(j, ".") && !json_check_digits(j))
		return false;
	if (!json_check_take(j, "e") && !json_check_take(j, "E"))
		return true;
	if (!json_check_take(j, "-"))
		json_check_take(j, "+");
	return json_check_digits(j);
}

/* Written without a table of ranges, unlike the code under test: decode, then judge the code point. */
static inline bool json_check_utf8(struct json_check *j)
{
	uint32_t cp = *j->p++, first = cp;
	int more = first >= 0xf0 ? 3 : first >= 0xe0 ? 2 : 1;

	if (first < 0xc0 || first > 0xf7)
		return false;
	cp &= 0x3fu >> more;
	for (int i = 0; i < more; i++) {
		if (json_check_peek(j) < 0x80 || json_check_peek(j) > 0xbf)
			return false;
		cp = cp << 6 | (*j->p++ & 0x3f);
	}
	return cp >= (more == 1          ? 0x80u
			     : more == 2 ? 0x800u
					 : 0x10000u) &&
	       cp <= 0x10ffff && (cp < 0xd800 || cp > 0xdfff) && cp >= 0xa0 && (cp < 0x2028 || cp > 0x202e) &&
	       (cp < 0x2066 || cp > 0x2069) && cp != 0x061c && cp != 0x200e && cp != 0x200f && cp != 0xfeff;
}
static inline bool json_check_escape(struct json_check *j)
{
	int c = json_check_peek(j);

	j->p++;
	if (c != 'u')
		return c > 0 && strchr("\"\\/bfnrt", c);
	for (int i = 0; i < 4; i++, j->p++)
		if (json_check_peek(j) < 0 || !strchr("0123456789abcdef", json_check_peek(j)))
			return false;
	return true;
}
static inline bool json_check_string(struct json_check *j)
{
	if (!json_check_take(j, "\""))
		return false;
	while (j->p < j->end && *j->p != '"') {
		bool ok = true;

		if (*j->p >= 0x80)
			ok = json_check_utf8(j);
		else if (*j->p == '\\')
			ok = j->p++ && json_check_escape(j);
		else
			ok = *j->p >= 0x20 && *j->p++ != 0x7f;
		if (!ok)
			return false;
	}
	return json_check_take(j, "\"");
}

static inline bool json_check_members(struct json_check *j, const char *close, bool object)
{
	if (json_check_take(j, close))
		return true;
	do {
		if (object && (!json_check_string(j) || !json_check_take(j, ":")))
			return false;
		if (!json_check_value(j))
			return false;
	} while (json_check_take(j, ","));
	return json_check_take(j, close);
}

static inline bool json_check_value(struct json_check *j)
{
	int c = json_check_peek(j);
	bool ok;

	if (c == '"')
		return json_check_string(j);
	if (c == '{' || c == '[') {
		if (++j->depth > JSON_CHECK_DEPTH)
			return false;
		j->p++;
		ok = json_check_members(j, c == '{' ? "}" : "]", c == '{');
		j->depth--;
		return ok;
	}
	return json_check_take(j, "true") || json_check_take(j, "false") || json_check_take(j, "null") ||
	       json_check_number(j);
}

/* Without spaces between the parts, as events are written. */
static inline bool json_valid(const void *text, size_t len)
{
	struct json_check j = {.p = text, .end = (const uint8_t *)text + len};

	return len && json_check_value(&j) && j.p == j.end;
}

#endif
