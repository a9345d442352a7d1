// SPDX-License-Identifier: Apache-2.0
#include "loader/tablemaps.h"

#include <errno.h>
#include <string.h>

#include "proto/base/cleanup.h"
#include "proto/base/log.h"

#define TRIES 8 /* a writer that switches at every moment is none */

bool tablemaps_differ(const struct pins *pins, const struct tablemap *wanted, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		PST_CLOSE int fd = pins_get(pins, PIN_MAPS, wanted[i].name);
		struct region_size size;

		if (fd >= 0 && !region_size(fd, &size) &&
			(size.entries != wanted[i].size.entries ||
				size.value_bytes != wanted[i].size.value_bytes))
			return true;
	}
	return false;
}

bool tablemaps_renewed(const struct pins *pins, const struct maps *maps, const char *name)
{
	const struct map_entry *made = maps_find(maps, name);

	return made && made->staged && pins_exists(pins, PIN_MAPS, name);
}

void tablemove_done(struct tablemove *m)
{
	region_unmap(&m->from);
	region_unmap(&m->to);
}

int tablemove_open(const struct pins *pins, const struct maps *maps, const char *name, struct tablemove *m)
{
	const struct map_entry *made = maps_find(maps, name);
	PST_CLOSE int pinned = made && made->staged ? pins_get(pins, PIN_MAPS, name) : -ENOENT;
	int r;

	if (pinned < 0)
		return pinned == -ENOENT ? 0 : pinned;
	r = region_map(pinned, &m->from);
	r = r ? r : region_map(made->fd, &m->to);
	return r ? r : m->from.p && m->to.p;
}

static int move_half(const struct tablemove *m, uint64_t generation)
{
	size_t from = m->from.bytes / 2, to = m->to.bytes / 2;

	if (from > to || !m->from.p || !m->to.p)
		return -E2BIG;
	memcpy(m->to.p + (generation & 1) * to, m->from.p + (generation & 1) * from, from);
	return 0;
}

/* Those of @generation, while that is what @word says. 0; -E2BIG; -EAGAIN: it changed on the way. */
static int move_all(const struct tablemove *moves, size_t n, const __u64 *word, uint64_t generation)
{
	int r = 0;

	if (!generation)
		return 0;
	for (size_t i = 0; i < n && !r; i++)
		r = move_half(&moves[i], generation);
	__atomic_thread_fence(__ATOMIC_ACQUIRE);
	return !r && __atomic_load_n(word, __ATOMIC_RELAXED) != generation ? -EAGAIN : r;
}

void tablemove_halves(const struct tablemove *moves, size_t n, const __u64 *from, __u64 *to, const char *what)
{
	uint64_t generation = 0;
	int r = -EAGAIN;

	for (int i = 0; i < TRIES && r == -EAGAIN; i++) {
		generation = __atomic_load_n(from, __ATOMIC_ACQUIRE);
		r = move_all(moves, n, from, generation);
	}
	if (r)
		pst_warn("the %s is off until policyd has written it anew: %s", what,
			r == -E2BIG ? "its table became smaller" : "it changed too often");
	__atomic_store_n(to, r ? 0 : generation, __ATOMIC_RELEASE);
}
