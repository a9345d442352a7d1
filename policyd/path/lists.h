/* SPDX-License-Identifier: Apache-2.0 */
/* Lists of numbers, each kept once and known by a number of its own; 0 is the empty list. */
#ifndef PST_POLICYD_PATH_LISTS_H
#define PST_POLICYD_PATH_LISTS_H

#include <stddef.h>
#include <stdint.h>

struct path_lists {
	uint32_t *pool;
	size_t used, size;
	uint32_t *starts; /* in the pool; n + 1 of them */
	uint32_t n, n_size;
	uint32_t *slots; /* list + 1 */
	uint32_t n_slots;
};

int path_lists_init(struct path_lists *lists);
void path_lists_done(struct path_lists *lists);
/* Forgets how to find lists: no more are put. */
void path_lists_close(struct path_lists *lists);
/* The number of a list like this. 0; -E2BIG: more numbers than the pool may hold; -ENOMEM. */
int path_lists_put(struct path_lists *lists, const uint32_t *v, size_t n, uint32_t *ret_list);

static inline const uint32_t *path_list(const struct path_lists *lists, uint32_t list, size_t *ret_n)
{
	*ret_n = lists->starts[list + 1] - lists->starts[list];
	return lists->pool + lists->starts[list];
}

#endif
