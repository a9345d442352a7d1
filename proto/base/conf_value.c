// SPDX-License-Identifier: Apache-2.0
/* Scalars: numbers with units, and the nearest known word. Needs no document. */
#include "proto/base/cleanup.h"
#include "proto/base/conf_internal.h"
#include "proto/base/log.h"

#include <ctype.h>
#include <inttypes.h>
#include <string.h>

#define WORD_MAX 64

struct unit {
	const char *name;
	uint64_t factor;
};

static const struct unit sizes[] = {
	{"", 1},
	{"B", 1},
	{"K", 1ull << 10},
	{"KiB", 1ull << 10},
	{"M", 1ull << 20},
	{"MiB", 1ull << 20},
	{"G", 1ull << 30},
	{"GiB", 1ull << 30},
	{"T", 1ull << 40},
	{"TiB", 1ull << 40},
	{NULL, 0},
};

static const struct unit times[] = {
	{"ns", 1},
	{"us", 1000},
	{"ms", 1000000},
	{"s", 1000000000},
	{"m", 60000000000},
	{"h", 3600000000000},
	{"d", 86400000000000},
	{NULL, 0},
};

/* Decimal digits (no sign, no blanks) and one unit. */
static int parse_unit(const char *text, const struct unit *units, uint64_t *ret_value)
{
	uint64_t n = 0;
	const char *s = text;

	for (; *s >= '0' && *s <= '9'; s++)
		if (__builtin_mul_overflow(n, 10, &n) || __builtin_add_overflow(n, (uint64_t)(*s - '0'), &n))
			return -ERANGE;
	if (s == text)
		return -EINVAL;
	for (; units->name; units++)
		if (!strcmp(s, units->name)) {
			if (__builtin_mul_overflow(n, units->factor, &n))
				return -ERANGE;
			*ret_value = n;
			return 0;
		}
	return -EINVAL;
}

int pst_conf_parse_size(const char *text, uint64_t *ret_bytes)
{
	return parse_unit(text, sizes, ret_bytes);
}

int pst_conf_parse_time(const char *text, uint64_t *ret_ns)
{
	if (!strcmp(text, "0")) { /* no time in any unit */
		*ret_ns = 0;
		return 0;
	}
	return parse_unit(text, times, ret_ns);
}

struct conf_text conf_format(enum pst_conf_type type, uint64_t value)
{
	struct conf_text t;
	const struct unit *best = NULL;

	/* The units are in rising order, equal ones with the name to prefer last. */
	if (value && type != PST_CONF_U64)
		for (const struct unit *u = type == PST_CONF_SIZE ? sizes : times; u->name; u++)
			if (value % u->factor == 0 && strcmp(u->name, "B"))
				best = u;
	snprintf(t.s, sizeof(t.s), "%" PRIu64 "%s", best ? value / best->factor : value,
		best ? best->name : "");
	return t;
}

struct conf_text conf_quote(const char *s)
{
	struct conf_text t;

	pst_log_escape(t.s, sizeof(t.s), s, (unsigned)strlen(s));
	return t;
}

/* Edit distance that counts a swap of neighbours as one (optimal string alignment), letters' case left aside.
 */
static size_t distance(const char *a, size_t na, const char *b, size_t nb)
{
	size_t rows[3][WORD_MAX + 1];
	size_t *before = rows[0], *above = rows[1], *row = rows[2];

	for (size_t j = 0; j <= nb; j++)
		above[j] = j;
	for (size_t i = 1; i <= na; i++) {
		int ca = tolower((unsigned char)a[i - 1]);

		row[0] = i;
		for (size_t j = 1; j <= nb; j++) {
			int cb = tolower((unsigned char)b[j - 1]);
			size_t d = above[j - 1] + (ca != cb);

			d = PST_MIN(d, above[j] + 1);
			d = PST_MIN(d, row[j - 1] + 1);
			if (i > 1 && j > 1 && ca == tolower((unsigned char)b[j - 2]) &&
				cb == tolower((unsigned char)a[i - 2]))
				d = PST_MIN(d, before[j - 2] + 1);
			row[j] = d;
		}
		size_t *t = before;
		before = above;
		above = row;
		row = t;
	}
	return above[nb];
}

const char *pst_conf_did_you_mean(const char *word, const char *const *names, size_t n)
{
	size_t len = strlen(word), best = len / 3 + 1;
	const char *found = NULL;

	if (len > WORD_MAX)
		return NULL;
	for (size_t i = 0; i < n; i++) {
		size_t name_len = strlen(names[i]);

		if (name_len > WORD_MAX)
			continue;
		size_t d = distance(word, len, names[i], name_len);
		if (d < best) {
			best = d;
			found = names[i];
		}
	}
	return found;
}
