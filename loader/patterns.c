// SPDX-License-Identifier: Apache-2.0
#include "loader/patterns.h"

#include <string.h>

#include "proto/base/cleanup.h"
#include "proto/base/ifpattern.h"

static bool leaves_out(const char *pattern)
{
	return pattern[0] == '!';
}

static bool is_uplink(const char *pattern)
{
	return !strcmp(pattern, PATTERNS_UPLINK);
}

static bool matches(const char *pattern, const char *name, bool uplink)
{
	return is_uplink(pattern) ? uplink : pst_ifpattern_match(pattern, name);
}

uint64_t patterns_hit(const struct pst_strs *patterns, const char *name, bool uplink)
{
	uint64_t hit = 0;

	for (size_t i = 0; i < PST_MIN(patterns->n, (size_t)PATTERNS_MAX); i++)
		if (!leaves_out(patterns->v[i]) && matches(patterns->v[i], name, uplink))
			hit |= 1ull << i;
	return hit;
}

static bool repeats(const struct pst_strs *patterns, size_t at)
{
	for (size_t i = 0; i < at; i++)
		if (!strcmp(patterns->v[i], patterns->v[at]))
			return true;
	return false;
}

uint64_t patterns_asking(const struct pst_strs *patterns)
{
	uint64_t asking = 0;

	for (size_t i = 0; i < PST_MIN(patterns->n, (size_t)PATTERNS_MAX); i++)
		if (!leaves_out(patterns->v[i]) && !repeats(patterns, i))
			asking |= 1ull << i;
	return asking;
}

bool patterns_ask_routes(const struct pst_strs *patterns)
{
	for (size_t i = 0; i < patterns->n; i++)
		if (is_uplink(patterns->v[i] + leaves_out(patterns->v[i])))
			return true;
	return false;
}

bool patterns_take(const struct pst_strs *patterns, const char *name, bool uplink)
{
	for (size_t i = 0; i < patterns->n; i++)
		if (leaves_out(patterns->v[i]) && matches(patterns->v[i] + 1, name, uplink))
			return false;
	return patterns_asking(patterns) ? patterns_hit(patterns, name, uplink) : patterns->n;
}

const char *patterns_flaw(const char *pattern)
{
	const char *p = pattern + leaves_out(pattern);

	return is_uplink(p) ? NULL : pst_ifpattern_flaw(p);
}
