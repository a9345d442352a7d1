/* SPDX-License-Identifier: Apache-2.0 */
/* A stage's own state files, in a folder where others may make files, too. */
#ifndef PST_BASE_OWN_H
#define PST_BASE_OWN_H

#include <sys/types.h>

/*
 * Opens or creates @path for reading and writing. Only a regular file of ours with one name is taken: the
 * owner of another could cut it short under a mapping (SIGBUS), a second name would let us write elsewhere.
 * What is not ours is removed where the folder allows it. Descriptor or -errno (-EPERM: it stays).
 */
int pst_own_open(const char *path, mode_t mode);
/* All of such a file (see pst_read_file), which is only read. -ENOENT; -EPERM: it is not ours. */
int pst_own_read(const char *path, size_t max, char **ret_bytes, size_t *ret_len);
/* Puts a file with these bytes in its place at once. 0 or -errno after a log line. */
int pst_own_write(const char *path, mode_t mode, const void *bytes, size_t len);
/* The group of all stages; (gid_t)-1: there is none. Before the sandbox. */
gid_t pst_own_group(void);
/* As pst_own_write() with 0640, for that group to read. */
int pst_own_write_shared(const char *path, gid_t group, const void *bytes, size_t len);

#endif
