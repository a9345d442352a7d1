/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PST_POLICYD_ARRAY_H
#define PST_POLICYD_ARRAY_H

#include <errno.h>
#include <stdlib.h>

/* Makes room for element @n in an array of @size elements of @bytes, which doubles. 0 or -ENOMEM, and then it
 * is as it was. */
static inline int array_room(void **v, size_t *size, size_t n, size_t bytes)
{
	size_t more = *size ? *size * 2 : 64;
	void *p;

	if (n < *size)
		return 0;
	p = reallocarray(*v, more, bytes);
	if (!p)
		return -ENOMEM;
	*v = p;
	*size = more;
	return 0;
}

#endif
