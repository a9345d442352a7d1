/* SPDX-License-Identifier: Apache-2.0 */
/* One loader per bpffs folder, and one per run folder. */
#ifndef PST_LOADER_LOCK_H
#define PST_LOADER_LOCK_H

#include <stdbool.h>

/*
 * flock of a folder, held while the descriptor is open (also by children: it is close-on-exec). -EBUSY after
 * a log line that names the holder; -ENOENT: no such folder; other -errno with a log line.
 */
int lock_dir(const char *path, int *ret_fd);
/* The same for <run_dir>/loader.lock, which is made. */
int lock_run_dir(const char *run_dir, int *ret_fd);

#endif
