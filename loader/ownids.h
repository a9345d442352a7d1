/* SPDX-License-Identifier: Apache-2.0 */
/* The map `own_ids`: which programs and maps the iterators show as ours. */
#ifndef PST_LOADER_OWNIDS_H
#define PST_LOADER_OWNIDS_H

#include "loader/build.h"

/* Adds what the build has made, beside what is in force. 0 or -errno with a log line. */
int ownids_add(const struct build *b);
/* Takes away what only the build has. */
void ownids_forget(const struct build *b);
/* Leaves only what the build has. */
void ownids_prune(const struct build *b);

#endif
