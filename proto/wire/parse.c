// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <stdbool.h>

#include "proto/base/cleanup.h"
#include "proto/wire/fmt.h"

struct unit {
	const char *name;
	uint64_t size;
};
static const struct unit durations[] = {{"ns", 1}, {"us", 1000}, {"ms", 1000000}, {"s", 1000000000},
	{"m", 60000000000}, {"h", 3600000000000}, {"d", 86400000000000}};
static const struct unit sizes[] = {{"B", 1}, {"K", 1ull << 10}, {"KiB", 1ull << 10}, {"M", 1ull << 20},
	{"MiB", 1ull << 20}, {"G", 1ull << 30}, {"GiB", 1ull << 30}, {"T", 1ull << 40}, {"TiB", 1ull << 40},
	{"P", 1ull << 50}, {"PiB", 1ull << 50}};

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static int hex_digit(char c)
{
	if (is_digit(c))
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

int pst_parse_u64(const char *text, size_t len, uint64_t *ret_value)
{
	unsigned base = len > 2 && text[0] == '0' && (text[1] | 0x20) == 'x' ? 16 : 10;
	uint64_t v = 0;

	if (!len)
		return -EINVAL;
	for (size_t i = base == 16 ? 2 : 0; i < len; i++) {
		int digit = hex_digit(text[i]);

		if (digit < 0 || (unsigned)digit >= base || __builtin_mul_overflow(v, base, &v) ||
			__builtin_add_overflow(v, (unsigned)digit, &v))
			return -EINVAL;
	}
	*ret_value = v;
	return 0;
}

/* "12.5" at the start of @text: the whole part, and the rest in billionths (digits beyond are read and
 * dropped). Bytes read, 0: no number. */
static size_t take_decimal(const char *text, size_t len, uint64_t *ret_whole, uint64_t *ret_billionths)
{
	size_t n = 0;
	uint64_t scale = 100000000;

	while (n < len && is_digit(text[n]))
		n++;
	if (pst_parse_u64(text, n, ret_whole) < 0)
		return 0;
	*ret_billionths = 0;
	if (n == len || text[n] != '.')
		return n;
	size_t point = n++;
	for (; n < len && is_digit(text[n]); n++, scale /= 10)
		*ret_billionths += (uint64_t)(text[n] - '0') * scale;
	return n == point + 1 ? 0 : n;
}

static const struct unit *find_unit(const struct unit *units, size_t n_units, const char *text, size_t len)
{
	for (size_t i = 0; i < n_units; i++)
		if (strlen(units[i].name) == len && !memcmp(units[i].name, text, len))
			return &units[i];
	return NULL;
}

/* Number and unit at the start of @text, added to @ret_sum. Bytes read or 0. */
static size_t take_quantity(
	const struct unit *units, size_t n_units, const char *text, size_t len, uint64_t *ret_sum)
{
	uint64_t whole, billionths, v;
	size_t n = take_decimal(text, len, &whole, &billionths), end = n;

	while (end < len && !is_digit(text[end]))
		end++;
	const struct unit *unit = n ? find_unit(units, n_units, text + n, end - n) : NULL;
	if (!unit || __builtin_mul_overflow(whole, unit->size, &v))
		return 0;
	/* the largest unit is below 2^51: in two steps nothing overflows, and no fraction of a second gets
	 * lost */
	uint64_t part =
		(unit->size / 1000000) * billionths / 1000 + (unit->size % 1000000) * billionths / 1000000000;
	if (__builtin_add_overflow(v, part, &v) || __builtin_add_overflow(*ret_sum, v, ret_sum))
		return 0;
	return end;
}

int pst_parse_duration(const char *text, size_t len, uint64_t *ret_ns)
{
	uint64_t sum = 0;
	size_t n;

	if (!len)
		return -EINVAL;
	for (; len; text += n, len -= n) {
		n = take_quantity(durations, PST_ARRAY_SIZE(durations), text, len, &sum);
		if (!n)
			return -EINVAL;
	}
	*ret_ns = sum;
	return 0;
}

int pst_parse_size(const char *text, size_t len, uint64_t *ret_bytes)
{
	uint64_t sum = 0;

	if (!len || take_quantity(sizes, PST_ARRAY_SIZE(sizes), text, len, &sum) != len)
		return -EINVAL;
	*ret_bytes = sum;
	return 0;
}
