/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PST_LOADER_PROBE_H
#define PST_LOADER_PROBE_H

#include "loader/loader.h"

/* Prints what this kernel can do, by trying: features, and every rung of every sensor. Leaves nothing behind.
 * 0 or -errno. */
int probe(struct loader *l, bool json);

#endif
