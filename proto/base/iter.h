/* SPDX-License-Identifier: Apache-2.0 */
/* One pass over a pinned BPF iterator: open(2), read(2), close(2). */
#ifndef PST_BASE_ITER_H
#define PST_BASE_ITER_H

#include <stddef.h>
#include <stdint.h>

/* One element. -errno stops the pass and is returned. */
typedef int (*pst_iter_fn)(void *arg, const void *element, size_t len);

/* Elements of fixed size. @path is bpffs/iters/<name>. Returns the number of elements or -errno (-EBADMSG: a
 * broken one). */
int pst_iter_fixed(const char *path, size_t element_size, pst_iter_fn fn, void *arg);
/* Elements that begin with their u32 size (>= @head_size, <= 12288, multiple of 8). */
int pst_iter_sized(const char *path, size_t head_size, pst_iter_fn fn, void *arg);

#endif
