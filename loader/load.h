/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PST_LOADER_LOAD_H
#define PST_LOADER_LOAD_H

#include "loader/build.h"

/*
 * Loads the objects that the plan wants, several at once; those that are loaded for the same already stay. 0:
 * all are there; 1: some did not load, and the plan was changed to do without, so try again; -errno with a
 * log line.
 */
int load_objects(struct build *b);

#endif
