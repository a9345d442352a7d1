/* SPDX-License-Identifier: Apache-2.0 */
/* The run folder is sticky and the stages may make files in it; the loader's names there are the loader's. */
#ifndef PST_LOADER_RUNDIR_H
#define PST_LOADER_RUNDIR_H

/* Takes whatever somebody put at @path out of the way: removes it, or renames a folder that is not empty. 0,
 * also if nothing is there; -errno. */
int rundir_clear(const char *path);

#endif
