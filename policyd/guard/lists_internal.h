/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of the lists share. */
#ifndef POLICYD_GUARD_LISTS_INTERNAL_H
#define POLICYD_GUARD_LISTS_INTERNAL_H

#include "policyd/guard/lists.h"

void lists_show_stats(struct lists *lists, const struct guard_table *table);

#endif
