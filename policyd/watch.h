/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tells when rule files have changed. A path may lead over links: each of them is watched where it lies, so
 * that one that is exchanged (as in Kubernetes' ConfigMaps) is noticed as a file that is.
 */
#ifndef POLICYD_WATCH_H
#define POLICYD_WATCH_H

#include "proto/base/conf.h"
#include "proto/base/loop.h"

struct watch;

/* @fn is called, from the loop, a little after something at @paths may have changed. 0 or -errno; a path that
 * cannot be watched is said in the log. @paths stay. */
int watch_open(struct pst_loop *loop, const struct pst_strs *paths, void (*fn)(void *arg), void *arg,
	struct watch **ret_watch);
/* The same for files, which may not be there yet. */
int watch_open_files(struct pst_loop *loop, const struct pst_strs *paths, void (*fn)(void *arg), void *arg,
	struct watch **ret_watch);
void watch_free(struct watch *watch); /* NULL is fine */

/*
 * What to look at for @path: a folder is that itself, of a file it is the folder that it lies in, since a
 * file is changed by putting another one in its place. Owned; NULL without memory.
 */
char *watch_folder(const char *path);
/* Of a file, there or not. */
char *watch_file_folder(const char *path);
/* Where it lies when links are followed. */
char *watch_real_folder(const char *path);

#endif
