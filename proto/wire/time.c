// SPDX-License-Identifier: Apache-2.0
/* Times of day, UTC, without locale or time zone files. */
#include <errno.h>
#include <stdbool.h>

#include "proto/wire/fmt.h"
#include "proto/wire/json.h"

#define NS       1000000000ull
#define YEAR_MAX 2554 /* the last whose nanoseconds fit, except for its second half */

/* The Gregorian calendar repeats every 400 years of 146,097 days; a year that begins in March has its leap
 * day at its end. */
#define ERA_DAYS   146097
#define EPOCH_DAYS 719468 /* from 0000-03-01 to 1970-01-01 */

struct date {
	unsigned year, month, day;
};

static struct date date_of(uint64_t unix_days)
{
	uint64_t days = unix_days + EPOCH_DAYS;
	unsigned in_era = (unsigned)(days % ERA_DAYS);
	unsigned year = (in_era - in_era / 1460 + in_era / 36524 - in_era / 146096) / 365;
	unsigned in_year = in_era - (365 * year + year / 4 - year / 100);
	unsigned month = (5 * in_year + 2) / 153; /* from March */

	return (struct date){
		.year = (unsigned)(days / ERA_DAYS) * 400 + year + (month >= 10),
		.month = month < 10 ? month + 3 : month - 9,
		.day = in_year - (153 * month + 2) / 5 + 1,
	};
}

static uint64_t days_of(struct date d)
{
	unsigned year = d.year - (d.month <= 2), era = year / 400, in_era = year % 400;
	unsigned in_year = (153 * (d.month > 2 ? d.month - 3 : d.month + 9) + 2) / 5 + d.day - 1;

	return (uint64_t)era * ERA_DAYS + in_era * 365 + in_era / 4 - in_era / 100 + in_year - EPOCH_DAYS;
}

void pst_time_format(char buf[31], uint64_t unix_ns)
{
	uint64_t s = unix_ns / NS;
	unsigned of_day = (unsigned)(s % 86400);
	struct date d = date_of(s / 86400);
	char *w = pst_fmt_digits(buf, d.year, 4);

	*w++ = '-';
	w = pst_fmt_digits(w, d.month, 2);
	*w++ = '-';
	w = pst_fmt_digits(w, d.day, 2);
	*w++ = 'T';
	w = pst_fmt_digits(w, of_day / 3600, 2);
	*w++ = ':';
	w = pst_fmt_digits(w, of_day / 60 % 60, 2);
	*w++ = ':';
	w = pst_fmt_digits(w, of_day % 60, 2);
	*w++ = '.';
	w = pst_fmt_digits(w, unix_ns % NS, 9);
	*w++ = 'Z';
	*w = '\0';
}

/* Exactly @n digits, then @after (0: anything). */
static bool take_digits(const char **p, unsigned n, char after, unsigned *ret_v)
{
	unsigned v = 0;

	for (; n; n--, (*p)++) {
		if (**p < '0' || **p > '9')
			return false;
		v = v * 10 + (unsigned)(**p - '0');
	}
	*ret_v = v;
	if (after && *(*p)++ != after)
		return false;
	return true;
}

static unsigned days_in_month(unsigned year, unsigned month)
{
	bool leap = (year % 4 == 0 && year % 100) || year % 400 == 0;

	return month == 2 ? 28u + leap : 30 + ((month + (month > 7)) & 1);
}

/* ".5" as nanoseconds; digits beyond the ninth are read and dropped. No point: 0. */
static bool take_fraction(const char **p, uint64_t *ret_ns)
{
	uint64_t scale = NS / 10;
	const char *start;

	*ret_ns = 0;
	if (**p != '.')
		return true;
	for (start = ++*p; **p >= '0' && **p <= '9'; (*p)++, scale /= 10)
		*ret_ns += (uint64_t)(**p - '0') * scale;
	return *p > start;
}

/* "Z" or "+02:00", in seconds. */
static bool take_zone(const char **p, int64_t *ret_seconds)
{
	unsigned hours, minutes;
	char sign = *(*p)++;

	*ret_seconds = 0;
	if (sign == 'Z' || sign == 'z')
		return true;
	if (sign != '+' && sign != '-')
		return false;
	if (!take_digits(p, 2, ':', &hours) || !take_digits(p, 2, 0, &minutes) || hours > 23 || minutes > 59)
		return false;
	*ret_seconds = (int64_t)(hours * 3600 + minutes * 60) * (sign == '-' ? -1 : 1);
	return true;
}

static int parse_rfc3339(const char *p, uint64_t *ret_unix_ns)
{
	struct date d;
	unsigned hour, minute, second;
	uint64_t fraction;
	int64_t zone;

	if (!take_digits(&p, 4, '-', &d.year) || !take_digits(&p, 2, '-', &d.month) ||
		!take_digits(&p, 2, 0, &d.day))
		return -EINVAL;
	if (*p != 'T' && *p != 't' && *p != ' ')
		return -EINVAL;
	p++;
	if (!take_digits(&p, 2, ':', &hour) || !take_digits(&p, 2, ':', &minute) ||
		!take_digits(&p, 2, 0, &second))
		return -EINVAL;
	if (!take_fraction(&p, &fraction) || !take_zone(&p, &zone) || *p)
		return -EINVAL;
	if (d.year < 1970 || d.year >= YEAR_MAX || d.month < 1 || d.month > 12 || d.day < 1 ||
		d.day > days_in_month(d.year, d.month) || hour > 23 || minute > 59 || second > 60)
		return -EINVAL;
	int64_t s = (int64_t)(days_of(d) * 86400 + hour * 3600 + minute * 60 + second) - zone;
	if (s < 0)
		return -EINVAL;
	*ret_unix_ns = (uint64_t)s * NS + fraction;
	return 0;
}

int pst_time_parse(const char *text, uint64_t now_unix_ns, uint64_t *ret_unix_ns)
{
	size_t len = strlen(text), whole = strspn(text, "0123456789");
	uint64_t v, fraction;

	if (whole && (whole == len || text[whole] == '.')) { /* Unix seconds; "1.5m" is none */
		const char *p = text + whole;

		if (take_fraction(&p, &fraction) && !*p) {
			if (pst_parse_u64(text, whole, &v) < 0 || __builtin_mul_overflow(v, NS, &v) ||
				__builtin_add_overflow(v, fraction, &v))
				return -EINVAL;
			*ret_unix_ns = v;
			return 0;
		}
	}
	if (!pst_parse_duration(text, len, &v)) { /* ago */
		*ret_unix_ns = v < now_unix_ns ? now_unix_ns - v : 0;
		return 0;
	}
	return parse_rfc3339(text, ret_unix_ns);
}
