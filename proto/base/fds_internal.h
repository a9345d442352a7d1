/* SPDX-License-Identifier: Apache-2.0 */
/* What fds.c and fds_env.c share with each other and nobody else. */
#ifndef PST_BASE_FDS_INTERNAL_H
#define PST_BASE_FDS_INTERNAL_H

#include <stdbool.h>
#include <stddef.h>

#include "proto/base/fds.h"

/* Not empty, terminated within @size, of letters, digits and "_.-" only. */
bool fds_name_ok(const char *name, size_t size);
/* Takes @fd on success only. @name must be good. -E2BIG, -EEXIST. */
int fds_add(struct pst_fds *fds, const char *name, uint64_t size, int fd);

#endif
