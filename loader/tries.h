/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PST_LOADER_TRIES_H
#define PST_LOADER_TRIES_H

#include "loader/feature.h"

/* 0: the kernel can; 1: it cannot, and @why says so; -errno. Leaves nothing behind. */
typedef int (*try_fn)(struct features *features, char why[WHY_MAX]);
extern const try_fn tries[FEATURE_MAX];

#endif
