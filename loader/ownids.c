// SPDX-License-Identifier: Apache-2.0
#include "loader/ownids.h"

#include <bpf/bpf.h>
#include <string.h>

#include "proto/abi/maps.h"
#include "proto/base/cleanup.h"
#include "proto/base/log.h"

#define IDS_MAX 1024 /* entries of the map */

struct ids {
	struct pst_own_id v[IDS_MAX];
	unsigned n;
};

static void add(struct ids *ids, uint32_t kind, uint32_t id)
{
	if (id && ids->n < IDS_MAX)
		ids->v[ids->n++] = (struct pst_own_id){.kind = kind, .id = id};
}

static uint32_t program_id(int fd)
{
	struct bpf_prog_info info = {0};
	uint32_t len = sizeof(info);

	return bpf_obj_get_info_by_fd(fd, &info, &len) < 0 ? 0 : info.id;
}

static void collect_programs(const struct build *b, struct ids *ids)
{
	for (size_t i = 0; i < n_images; i++) {
		struct bpf_program *prog;

		if (!b->objs[i])
			continue;
		bpf_object__for_each_program(prog, b->objs[i])
		{
			if (bpf_program__fd(prog) >= 0)
				add(ids, PST_OWN_PROG, program_id(bpf_program__fd(prog)));
		}
	}
}

static void collect(const struct build *b, struct ids *ids)
{
	collect_programs(b, ids);
	for (unsigned i = 0; i < b->maps.n; i++)
		add(ids, PST_OWN_MAP, b->maps.v[i].id);
}

int ownids_add(const struct build *b)
{
	const struct map_entry *map = maps_find(&b->maps, PST_MAP_OWN_IDS);
	PST_FREE struct ids *ids = calloc(1, sizeof(*ids));
	uint32_t one = 1;

	if (!map)
		return 0; /* no iterator is loaded */
	if (!ids)
		return -ENOMEM;
	collect(b, ids);
	for (unsigned i = 0; i < ids->n; i++)
		if (bpf_map_update_elem(map->fd, &ids->v[i], &one, BPF_ANY) < 0) {
			int r = -errno;

			pst_error("cannot note our programs and maps error=%s", strerror(-r));
			return r;
		}
	return 0;
}

void ownids_forget(const struct build *b)
{
	const struct map_entry *map = maps_find(&b->maps, PST_MAP_OWN_IDS);
	PST_FREE struct ids *ids = calloc(1, sizeof(*ids));

	if (!map || !ids)
		return;
	collect_programs(b, ids);
	for (unsigned i = 0; i < b->maps.n; i++)
		if (b->maps.v[i].staged)
			add(ids, PST_OWN_MAP, b->maps.v[i].id);
	for (unsigned i = 0; i < ids->n; i++)
		bpf_map_delete_elem(map->fd, &ids->v[i]);
}

static bool has(const struct ids *ids, const struct pst_own_id *id)
{
	for (unsigned i = 0; i < ids->n; i++)
		if (!memcmp(&ids->v[i], id, sizeof(*id)))
			return true;
	return false;
}

void ownids_prune(const struct build *b)
{
	const struct map_entry *map = maps_find(&b->maps, PST_MAP_OWN_IDS);
	PST_FREE struct ids *mine = calloc(1, sizeof(*mine));
	PST_FREE struct ids *there = calloc(1, sizeof(*there));
	const struct pst_own_id *prev = NULL;

	if (!map || !mine || !there)
		return;
	collect(b, mine);
	/* first collect: a key that is deleted is no place to go on from */
	while (there->n < IDS_MAX && !bpf_map_get_next_key(map->fd, prev, &there->v[there->n]))
		prev = &there->v[there->n++];
	for (unsigned i = 0; i < there->n; i++)
		if (!has(mine, &there->v[i]))
			bpf_map_delete_elem(map->fd, &there->v[i]);
}
