/* SPDX-License-Identifier: Apache-2.0 */
/* read(2) and write(2) until all is done, whatever signals come between. */
#ifndef PST_BASE_IO_H
#define PST_BASE_IO_H

#include <sys/types.h>

/* Bytes read, fewer than @len only at the end of the file; or -errno. */
ssize_t pst_read_all(int fd, void *buf, size_t len);
ssize_t pst_pread_all(int fd, void *buf, size_t len, off_t at);
/* 0 or -errno. */
int pst_write_all(int fd, const void *buf, size_t len);
/* All of a regular file, which may grow or shrink meanwhile; @ret_bytes is owned and has a NUL behind
 * @ret_len bytes. 0; -EINVAL: no regular file; -EFBIG: more than @max bytes; -errno. */
int pst_read_file(int fd, size_t max, char **ret_bytes, size_t *ret_len);

#endif
