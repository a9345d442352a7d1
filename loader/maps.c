// SPDX-License-Identifier: Apache-2.0
#include "loader/maps.h"

#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include <string.h>

#include "loader/guardmaps.h"
#include "loader/policymaps.h"
#include "proto/abi/ct.h"
#include "proto/abi/guard.h"
#include "proto/abi/maps.h"
#include "proto/abi/policy.h"
#include "proto/base/cleanup.h"
#include "proto/base/log.h"

struct def {
	const char *name;
	uint32_t type, key_size, value_size, max_entries, flags;
};

static const char *const frozen[] = {
	PST_MAP_CLASS_STATS, PST_MAP_FLOWS, PST_MAP_UDP_PEERS, PST_MAP_GUARD_FLOWS};

void maps_done(struct maps *maps)
{
	for (unsigned i = 0; i < maps->n; i++)
		close(maps->v[i].fd);
	maps->n = 0;
}

const struct map_entry *maps_find(const struct maps *maps, const char *name)
{
	for (unsigned i = 0; i < maps->n; i++)
		if (!strcmp(maps->v[i].name, name))
			return &maps->v[i];
	return NULL;
}

#define VALUE_BYTES_OLD   (4u << 20) /* what kernels before 5.17 take */
#define FWCACHE_BYTES     (512u << 10)
#define FWCACHE_BYTES_MIN (16u << 10)
#define FWCACHE_BYTES_ALL (32u << 20)

uint32_t maps_fwcache_bytes(unsigned cpus)
{
	uint32_t bytes = FWCACHE_BYTES;

	while (bytes > FWCACHE_BYTES_MIN && (uint64_t)bytes * cpus > FWCACHE_BYTES_ALL)
		bytes /= 2;
	return bytes;
}

/* What the configuration and the machine decide of a map's size; 0: as the object says. */
static int set_size(const struct loader_config *c, struct bpf_map *map)
{
	unsigned cpus = (unsigned)PST_MAX(libbpf_num_possible_cpus(), 1);
	const struct {
		const char *name;
		uint64_t entries, value_bytes;
	} sizes[] = {
		{PST_MAP_RING_PROCESS, c->ring_bytes[PST_CLASS_PROCESS], 0},
		{PST_MAP_RING_NET, c->ring_bytes[PST_CLASS_NET], 0},
		{PST_MAP_RING_FLOW, c->ring_bytes[PST_CLASS_FLOW], 0},
		{PST_MAP_FLOWS, c->flow_slots, 0},
		{PST_MAP_UDP_PEERS, c->udp_slots, 0},
		{PST_MAP_FW_LINES, 0, c->firewall_memory / 2},
		{PST_MAP_BLOCK_LINES, c->list_memory / sizeof(union pst_line), 0},
		{PST_MAP_GUARD_COUNTS, cpus, 0},
		{PST_MAP_JUDGED, cpus, 0},
		{PST_MAP_CT, c->connections / PST_CT_WAYS, 0},
		{PST_MAP_CT_NEW, c->connections / PST_CT_WAYS, 0},
		{PST_MAP_SRC_RATES, c->sources / PST_SRC_WAYS, 0},
		{PST_MAP_FW_CACHE, cpus, maps_fwcache_bytes(cpus)},
		{PST_MAP_POLICY_LINES, 0, c->policy_memory / 4},
		{PST_MAP_PATH_LINES, 0, c->policy_memory / 4},
	};
	int r = 0;

	for (size_t i = 0; i < PST_ARRAY_SIZE(sizes); i++) {
		if (strcmp(sizes[i].name, bpf_map__name(map)))
			continue;
		if (sizes[i].entries)
			r = bpf_map__set_max_entries(map, (uint32_t)sizes[i].entries);
		if (!r && sizes[i].value_bytes)
			r = bpf_map__set_value_size(map, (uint32_t)sizes[i].value_bytes);
	}
	return r;
}

static struct def def_of(const struct bpf_map *map)
{
	return (struct def){bpf_map__name(map), bpf_map__type(map), bpf_map__key_size(map),
		bpf_map__value_size(map), bpf_map__max_entries(map), bpf_map__map_flags(map)};
}

static bool same(const struct def *d, const struct map_entry *e)
{
	return d->type == e->type && d->key_size == e->key_size && d->value_size == e->value_size &&
	       d->max_entries == e->max_entries && d->flags == e->flags;
}

static int describe(int fd, struct map_entry *e)
{
	struct bpf_map_info info = {0};
	uint32_t len = sizeof(info);

	if (bpf_obj_get_info_by_fd(fd, &info, &len) < 0)
		return -errno;
	e->id = info.id;
	e->type = info.type;
	e->key_size = info.key_size;
	e->value_size = info.value_size;
	e->max_entries = info.max_entries;
	e->flags = info.map_flags;
	return 0;
}

/* What is in it is of no use to this load, or has to go where the rest goes. */
static bool is_stale(const struct pins *pins, const struct loader_config *config, const char *name)
{
	/* verdicts of an earlier load: another program's, and perhaps of numbers that come again */
	return !strcmp(name, PST_MAP_FW_CACHE) || guardmaps_outgrown(pins, config, name) ||
	       policymaps_outgrown(pins, config, name) || policymaps_missed(pins, name);
}

/* 1: taken over; 0: there is none that fits; -errno. */
static int take_pinned(
	const struct pins *pins, const struct loader_config *config, const struct def *d, struct map_entry *e)
{
	int fd = is_stale(pins, config, d->name) ? -ENOENT : pins_get(pins, PIN_MAPS, d->name);
	int r;

	if (fd == -ENOENT)
		return 0;
	r = fd < 0 ? fd : describe(fd, e);
	if (!r && same(d, e)) {
		e->fd = fd;
		return 1;
	}
	if (fd >= 0)
		close(fd);
	if (!r)
		pst_warn("definition changed, making the map anew: its readers must fetch it again map=%s "
			 "entries=%u was=%u",
			d->name, d->max_entries, e->max_entries);
	return r;
}

/* Types for bpftool and for maps that demand them; a kernel that does not take all of an object's BTF gets
 * none. */
static int load_btf(struct bpf_object *obj, struct btf **ret_btf)
{
	const struct btf *own = bpf_object__btf(obj);
	uint32_t size = 0;
	const void *raw = own ? btf__raw_data(own, &size) : NULL;
	struct btf *btf = raw ? btf__new(raw, size) : NULL;

	if (!btf || libbpf_get_error(btf))
		return -ENOENT;
	if (btf__load_into_kernel(btf) < 0) {
		btf__free(btf);
		return -EINVAL;
	}
	*ret_btf = btf;
	return 0;
}

static void free_btf(struct btf **btf)
{
	btf__free(*btf);
}

static int create(const struct bpf_map *map, const struct def *d, const struct btf *btf)
{
	LIBBPF_OPTS(bpf_map_create_opts, opts, .map_flags = d->flags);
	int fd;

	if (btf && d->type != BPF_MAP_TYPE_RINGBUF) {
		opts.btf_fd = (uint32_t)btf__fd(btf);
		opts.btf_key_type_id = bpf_map__btf_key_type_id(map);
		opts.btf_value_type_id = bpf_map__btf_value_type_id(map);
	}
	fd = bpf_map_create(d->type, d->name, d->key_size, d->value_size, d->max_entries, &opts);
	return fd < 0 ? -errno : fd;
}

static int freeze(const char *name, int fd)
{
	for (size_t i = 0; i < PST_ARRAY_SIZE(frozen); i++)
		if (!strcmp(frozen[i], name) && bpf_map_freeze(fd) < 0)
			return -errno;
	return 0;
}

static int make(const struct pins *pins, const struct bpf_map *map, const struct def *d,
	const struct btf *btf, struct map_entry *e)
{
	PST_CLOSE int fd = create(map, d, btf);
	int r = fd < 0 ? fd : describe(fd, e);

	r = r ? r : freeze(d->name, fd);
	if (!r && pins)
		r = pins_stage(pins, PIN_MAPS, d->name, fd);
	if (r) {
		pst_error("cannot make map map=%s type=%u entries=%u value_bytes=%u error=%s%s", d->name,
			d->type, d->max_entries, d->value_size, strerror(-r),
			r == -E2BIG && d->value_size > VALUE_BYTES_OLD
				? ": before Linux 5.17 guard.firewall_memory is 8MiB at most"
				: "");
		return r;
	}
	e->fd = PST_TAKE_FD(fd);
	e->staged = true;
	return 0;
}

static int add(struct maps *maps, const struct pins *pins, const struct loader_config *config,
	const struct bpf_map *map, const struct def *d, const struct btf *btf)
{
	struct map_entry e = {.fd = -1};
	int r;

	if (maps->n == MAPS_MAX || strlen(d->name) >= sizeof(e.name))
		return -E2BIG;
	snprintf(e.name, sizeof(e.name), "%s", d->name);
	r = pins ? take_pinned(pins, config, d, &e) : 0;
	if (r < 0) {
		pst_error("cannot look at the pinned map map=%s error=%s", d->name, strerror(-r));
		return r;
	}
	if (!r) {
		r = make(pins, map, d, btf, &e);
		if (r)
			return r;
	}
	maps->v[maps->n++] = e;
	return 0;
}

static int prepare_one(struct maps *maps, const struct pins *pins, const struct loader_config *config,
	struct bpf_map *map, const struct btf *btf)
{
	const struct map_entry *e;
	struct def d;
	int r = set_size(config, map);

	if (r)
		return r;
	d = def_of(map);
	e = maps_find(maps, d.name);
	if (!e) {
		r = add(maps, pins, config, map, &d, btf);
		e = &maps->v[maps->n - 1];
	} else if (!same(&d, e)) {
		pst_error("two objects define the map differently map=%s", d.name);
		r = -EINVAL;
	}
	return r ? r : bpf_map__reuse_fd(map, e->fd);
}

int maps_prepare(struct maps *maps, const struct pins *pins, const struct loader_config *config,
	struct bpf_object *obj)
{
	PST_CLEANUP(free_btf) struct btf *btf = NULL;
	struct bpf_map *map;
	bool tried = false;

	bpf_object__for_each_map(map, obj)
	{
		int r;

		if (bpf_map__is_internal(map) || !bpf_map__autocreate(map))
			continue;
		if (!tried && !maps_find(maps, bpf_map__name(map))) {
			tried = true;
			load_btf(obj, &btf);
		}
		r = prepare_one(maps, pins, config, map, btf);
		if (r)
			return r;
	}
	return 0;
}
