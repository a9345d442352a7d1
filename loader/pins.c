// SPDX-License-Identifier: Apache-2.0
#include "loader/pins.h"

#include <bpf/bpf.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <assert.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>

#include "proto/abi/maps.h"
#include "proto/base/cleanup.h"
#include "proto/base/log.h"

static const char *const dir_names[PIN_DIR_MAX] = {"", "maps", "links", "progs", "iters", "staging"};
/* Stages open their iterators by path and pass through the root; nobody else looks into the rest. */
static const mode_t dir_modes[PIN_DIR_MAX] = {0711, 0711, 0700, 0700, 0711, 0700};

#define STATE_BYTES 32768
static_assert(sizeof(struct pin_state) <= STATE_BYTES, "state fits");

const char *pins_path(const struct pins *pins, enum pin_dir dir, const char *name, char buf[PIN_PATH_MAX])
{
	snprintf(buf, PIN_PATH_MAX, "%s%s%s%s%s", pins->root, dir == PIN_ROOT ? "" : "/", dir_names[dir],
		name ? "/" : "", name ? name : "");
	return buf;
}

static int make_dirs(const struct pins *pins)
{
	char path[PIN_PATH_MAX];

	for (int d = PIN_ROOT; d < PIN_DIR_MAX; d++) {
		pins_path(pins, (enum pin_dir)d, NULL, path);
		if ((mkdir(path, 0700) < 0 && errno != EEXIST) || chmod(path, dir_modes[d]) < 0) {
			int r = -errno;

			pst_error("cannot make folder path=%s error=%s", path, strerror(-r));
			return r;
		}
	}
	return 0;
}

/* A map of the loader's own: opened or, with @make, made and pinned. 1: it was made; 0; -errno. */
static int open_own(const struct pins *pins, enum pin_dir dir, const char *name, uint32_t value_size,
	uint32_t entries, bool make, struct pst_shm *ret_map)
{
	LIBBPF_OPTS(bpf_map_create_opts, opts, .map_flags = BPF_F_MMAPABLE);
	struct bpf_map_info info = {0};
	uint32_t len = sizeof(info);
	PST_CLOSE int fd = pins_get(pins, dir, name);
	bool fresh = fd == -ENOENT && make;
	int r;

	if (fresh)
		fd = bpf_map_create(BPF_MAP_TYPE_ARRAY, name, 4, value_size, entries, &opts);
	if (fd < 0)
		return fd;
	if (bpf_obj_get_info_by_fd(fd, &info, &len) < 0)
		return -errno;
	if (info.type != BPF_MAP_TYPE_ARRAY || info.value_size != value_size || info.max_entries != entries ||
		!(info.map_flags & BPF_F_MMAPABLE))
		return -EPROTO;
	r = pst_shm_map(fd, value_size, entries, true, ret_map);
	if (!r && fresh) {
		r = pins_pin(pins, dir, name, fd);
		if (r)
			pst_shm_unmap(ret_map);
	}
	return r ? r : fresh;
}

static int open_maps(struct pins *pins, bool make)
{
	int r = open_own(pins, PIN_ROOT, MAP_STATE, STATE_BYTES, 1, make, &pins->state_map);

	if (r < 0)
		return r;
	pins->state = pins->state_map.base;
	r = open_own(pins, PIN_MAPS, MAP_GATE, sizeof(uint32_t), PST_CPUS_MAX, make, &pins->gate_map);
	if (r < 0) {
		pins_close(pins);
		return r;
	}
	pins->gate = pins->gate_map.base;
	if (r) /* what may be attached looks at another gate: load anew */
		pins->state->fingerprint[0] = 0;
	return 0;
}

int pins_attach(struct pins *pins)
{
	char path[PIN_PATH_MAX];

	if (access(pins_path(pins, PIN_ROOT, NULL, path), F_OK) < 0)
		return -errno;
	return open_maps(pins, false);
}

static bool draw(void *bytes, size_t len)
{
	return getrandom(bytes, len, 0) == (ssize_t)len;
}

int pins_open(struct pins *pins)
{
	int r = make_dirs(pins);

	if (r)
		return r;
	r = open_maps(pins, true);
	if (r) {
		pst_error("cannot open the state path=%s/%s error=%s", pins->root, MAP_STATE, strerror(-r));
		return r;
	}
	if (!pins->state->abi) {
		if (!draw(pins->state->seed, sizeof(pins->state->seed)) ||
			!draw(&pins->state->id_seed, sizeof(pins->state->id_seed)))
			return -EIO;
		__atomic_store_n(&pins->state->abi, PST_ABI_VERSION, __ATOMIC_RELEASE);
	}
	return pins->state->abi == PST_ABI_VERSION ? 0 : -EPROTO;
}

void pins_close(struct pins *pins)
{
	if (pins->state)
		pst_shm_unmap(&pins->state_map);
	if (pins->gate)
		pst_shm_unmap(&pins->gate_map);
	pins->state = NULL;
	pins->gate = NULL;
}

/* ---- single pins ---- */

int pins_pin(const struct pins *pins, enum pin_dir dir, const char *name, int fd)
{
	char path[PIN_PATH_MAX];

	pins_path(pins, dir, name, path);
	if (!bpf_obj_pin(fd, path))
		return 0;
	if (errno != EEXIST || unlink(path) < 0)
		return -errno;
	return bpf_obj_pin(fd, path) ? -errno : 0;
}

int pins_get(const struct pins *pins, enum pin_dir dir, const char *name)
{
	char path[PIN_PATH_MAX];
	int fd = bpf_obj_get(pins_path(pins, dir, name, path));

	return fd < 0 ? -errno : fd;
}

bool pins_exists(const struct pins *pins, enum pin_dir dir, const char *name)
{
	char path[PIN_PATH_MAX];

	return !access(pins_path(pins, dir, name, path), F_OK);
}

int pins_remove(const struct pins *pins, enum pin_dir dir, const char *name)
{
	char path[PIN_PATH_MAX];

	if (!unlink(pins_path(pins, dir, name, path)) || errno == ENOENT)
		return 0;
	pst_warn("cannot remove path=%s error=%s", path, strerror(errno));
	return -errno;
}

int pins_each(const struct pins *pins, enum pin_dir dir, pins_fn fn, void *arg)
{
	char path[PIN_PATH_MAX];
	PST_CLOSEDIR DIR *d = opendir(pins_path(pins, dir, NULL, path));
	PST_FREE char(*names)[PIN_NAME_MAX] = NULL;
	size_t n = 0, capacity = 0;

	if (!d)
		return errno == ENOENT ? 0 : -errno;
	/* all names first: @fn changes the folder under our feet */
	for (struct dirent *e = readdir(d); e; e = readdir(d)) {
		if (e->d_name[0] == '.' || e->d_type == DT_DIR || strlen(e->d_name) >= PIN_NAME_MAX)
			continue;
		if (n == capacity) {
			void *more =
				realloc(names, (capacity = capacity ? 2 * capacity : 64) * sizeof(*names));

			if (!more)
				return -ENOMEM;
			names = more;
		}
		memcpy(names[n++], e->d_name, strlen(e->d_name) + 1);
	}
	for (size_t i = 0; i < n; i++)
		fn(arg, names[i]);
	return 0;
}

/* ---- staging ---- */

/* One letter and '_' before the name: maps "m_", links "l_", ... */
static void staged_name(enum pin_dir target, const char *name, char buf[PIN_NAME_MAX + 2])
{
	snprintf(buf, PIN_NAME_MAX + 2, "%c_%s", dir_names[target][0], name);
}

int pins_stage(const struct pins *pins, enum pin_dir target, const char *name, int fd)
{
	char staged[PIN_NAME_MAX + 2];

	staged_name(target, name, staged);
	return pins_pin(pins, PIN_STAGING, staged, fd);
}

bool pins_is_staged(const struct pins *pins, enum pin_dir target, const char *name)
{
	char staged[PIN_NAME_MAX + 2];

	staged_name(target, name, staged);
	return pins_exists(pins, PIN_STAGING, staged);
}

struct walk {
	const struct pins *pins;
	enum pin_dir dir;
	int error;
};

static void unstage_one(void *arg, const char *staged)
{
	char from[PIN_PATH_MAX], to[PIN_PATH_MAX];
	struct walk *w = arg;

	for (int d = PIN_MAPS; d < PIN_STAGING; d++)
		if (staged[0] == dir_names[d][0] && staged[1] == '_') {
			pins_path(w->pins, PIN_STAGING, staged, from);
			pins_path(w->pins, (enum pin_dir)d, staged + 2, to);
			if (rename(from, to) < 0) {
				w->error = -errno;
				pst_error("cannot rename from=%s to=%s error=%s", from, to, strerror(errno));
			}
			return;
		}
	pins_remove(w->pins, PIN_STAGING, staged);
}

static void remove_one(void *arg, const char *name)
{
	struct walk *w = arg;
	int r = pins_remove(w->pins, w->dir, name);

	w->error = r ? r : w->error;
}

static int each(const struct pins *pins, enum pin_dir dir, pins_fn fn)
{
	struct walk w = {.pins = pins, .dir = dir};
	int r = pins_each(pins, dir, fn, &w);

	return r ? r : w.error;
}

int pins_unstage_all(const struct pins *pins)
{
	return each(pins, PIN_STAGING, unstage_one);
}

int pins_drop_staged(const struct pins *pins)
{
	return each(pins, PIN_STAGING, remove_one);
}

static void remove_unless_map(void *arg, const char *name)
{
	if (strncmp(name, "m_", 2))
		remove_one(arg, name);
}

void pins_drop_staged_but_maps(const struct pins *pins)
{
	each(pins, PIN_STAGING, remove_unless_map);
}

int pins_remove_all(struct pins *pins)
{
	/* what is attached first, what it uses last; in the root only what is ours */
	static const enum pin_dir order[] = {PIN_LINKS, PIN_STAGING, PIN_ITERS, PIN_PROGS, PIN_MAPS};
	static const char *const own[] = {MAP_QDISCS, MAP_STATE};
	char path[PIN_PATH_MAX];
	int r = 0;

	pins_close(pins);
	for (size_t i = 0; i < PST_ARRAY_SIZE(order); i++) {
		int e = each(pins, order[i], remove_one);

		r = e ? e : r;
		if (rmdir(pins_path(pins, order[i], NULL, path)) < 0 && errno != ENOENT) {
			r = -errno;
			pst_warn("cannot remove path=%s error=%s", path, strerror(errno));
		}
	}
	for (size_t i = 0; i < PST_ARRAY_SIZE(own); i++) {
		int e = pins_remove(pins, PIN_ROOT, own[i]);

		r = e ? e : r;
	}
	/* busy: a bpffs of its own is mounted there */
	if (rmdir(pins->root) < 0 && errno != ENOENT && errno != EBUSY) {
		r = -errno;
		pst_warn("cannot remove path=%s error=%s", pins->root, strerror(errno));
	}
	return r;
}
