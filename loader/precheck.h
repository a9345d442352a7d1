/* SPDX-License-Identifier: Apache-2.0 */
/* What can be said without loading: features that a rung needs, functions and tracepoints that its programs
 * attach to. */
#ifndef PST_LOADER_PRECHECK_H
#define PST_LOADER_PRECHECK_H

#include "loader/feature.h"
#include "loader/plan.h"

/*
 * Moves every sensor to the first rung whose needs this kernel meets and notes why not the stronger ones;
 * leaves out optional programs and iterators whose target is missing. 0, or -errno when an image cannot be
 * opened.
 */
int precheck(struct plan *plan, struct features *features);

#endif
