/* SPDX-License-Identifier: Apache-2.0 */
/* Names of interfaces in configurations, and globs over them. */
#ifndef PST_BASE_IFPATTERN_H
#define PST_BASE_IFPATTERN_H

#include <stdbool.h>

#define PST_IFPATTERN_MAX 64 /* bytes */

bool pst_ifpattern_match(const char *pattern, const char *name);
/* Why no interface can have this name, or one that the glob matches (dev_valid_name()); NULL: one can. */
const char *pst_ifpattern_flaw(const char *pattern);

#endif
