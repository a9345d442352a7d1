/* SPDX-License-Identifier: Apache-2.0 */
/* Patterns of text. */
#ifndef PST_POLICYD_POLICY_PATTERN_H
#define PST_POLICYD_POLICY_PATTERN_H

#include <stdbool.h>

#include "policyd/path/path.h"

#define POLICY_TEXT_MAX 4095 /* bytes: the kernel's longest path */

enum policy_pattern_kind {
	POLICY_EXACT,
	POLICY_PREFIX,    /* begins with */
	POLICY_SUFFIX,    /* ends with */
	POLICY_DIRECTORY, /* what is in the directory, not itself */
	POLICY_TREE,      /* the directory and all below */
	POLICY_GLOB,      /* of a path: * and ? stop at a slash, ** does not */
	POLICY_TEXT_GLOB, /* of any text */
	POLICY_CGROUP,    /* glob of a path, and all below */
};

struct policy_pattern {
	enum policy_pattern_kind kind;
	char *text; /* owned */
};

/* How the automata of policyd/path/ call it; not for POLICY_TEXT_GLOB and POLICY_CGROUP. */
enum path_kind policy_path_kind(enum policy_pattern_kind kind);
bool policy_pattern_takes(const struct policy_pattern *pattern, const char *text);
/* Does @a take all that @b takes? True is certain. */
bool policy_pattern_covers(const struct policy_pattern *a, const struct policy_pattern *b);
/* NULL: the text is one of such a pattern; else what is wrong with it. */
const char *policy_pattern_fault(enum policy_pattern_kind kind, const char *text);

#endif
