// SPDX-License-Identifier: Apache-2.0
#include "proto/base/ifpattern.h"

#include <ctype.h>
#include <fnmatch.h>
#include <net/if.h>
#include <stddef.h>
#include <string.h>

bool pst_ifpattern_match(const char *pattern, const char *name)
{
	return !fnmatch(pattern, name, 0);
}

/* Bytes of the shortest name that it matches; 0 where a set makes that hard to say. */
static size_t shortest(const char *pattern)
{
	size_t n = 0;

	for (; *pattern; pattern++) {
		if (*pattern == '[')
			return 0;
		if (*pattern == '\\' && pattern[1])
			pattern++;
		else if (*pattern == '*')
			continue;
		n++;
	}
	return n;
}

static bool has_impossible(const char *pattern)
{
	bool glob = strchr(pattern, '['); /* [[:digit:]] */

	for (const unsigned char *p = (const unsigned char *)pattern; *p; p++)
		if (*p == '/' || (*p == ':' && !glob) || isspace(*p) || iscntrl(*p))
			return true;
	return false;
}

const char *pst_ifpattern_flaw(const char *pattern)
{
	if (!*pattern)
		return "there is nothing";
	if (strlen(pattern) > PST_IFPATTERN_MAX)
		return "it has more than 64 bytes";
	if (has_impossible(pattern))
		return "no name has '/', ':' or white space";
	if (!strcmp(pattern, ".") || !strcmp(pattern, ".."))
		return "no interface is called so";
	return shortest(pattern) >= IF_NAMESIZE ? "a name has at most 15 bytes" : NULL;
}
