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

/* A map of the loader's own: is it one, of whatever size? */
static int look_at_own(int fd, uint32_t entries, struct bpf_map_info *ret_info)
{
	uint32_t len = sizeof(*ret_info);

	*ret_info = (struct bpf_map_info){0};
	if (bpf_obj_get_info_by_fd(fd, ret_info, &len) < 0)
		return -errno;
	return ret_info->type == BPF_MAP_TYPE_ARRAY && ret_info->max_entries == entries &&
			       ret_info->map_flags & BPF_F_MMAPABLE
		       ? 0
		       : -EPROTO;
}

static int make_own(const char *name, uint32_t value_size, uint32_t entries)
{
	LIBBPF_OPTS(bpf_map_create_opts, opts, .map_flags = BPF_F_MMAPABLE);
	int fd = bpf_map_create(BPF_MAP_TYPE_ARRAY, name, 4, value_size, entries, &opts);

	return fd < 0 ? -errno : fd;
}

/* Opened, or made and pinned. 1: it was made; 0; -errno. */
static int open_own(const struct pins *pins, enum pin_dir dir, const char *name, uint32_t value_size,
	uint32_t entries, struct pst_shm *ret_map)
{
	struct bpf_map_info info;
	PST_CLOSE int fd = pins_get(pins, dir, name);
	bool fresh = fd == -ENOENT;
	int r;

	if (fresh)
		fd = make_own(name, value_size, entries);
	if (fd < 0)
		return fd;
	r = look_at_own(fd, entries, &info);
	if (r || info.value_size != value_size)
		return r ? r : -EPROTO;
	r = pst_shm_map(fd, value_size, entries, true, ret_map);
	if (!r && fresh) {
		r = pins_pin(pins, dir, name, fd);
		if (r)
			pst_shm_unmap(ret_map);
	}
	return r ? r : fresh;
}

/* What became of the rungs is laid out otherwise in a state of another size: it is not known any more. */
static int copy_head(int old, uint32_t old_bytes, int new)
{
	PST_CLEANUP(pst_shm_unmap) struct pst_shm from = {0}, to = {0};
	int r = pst_shm_map(old, old_bytes, 1, false, &from);

	r = r ? r : pst_shm_map(new, STATE_BYTES, 1, true, &to);
	if (r)
		return r;
	struct pin_state *state = to.base;

	memcpy(state, from.base, offsetof(struct pin_state, outcomes));
	memset(state->outcomes, 0xff, sizeof(state->outcomes));
	state->fingerprint[0] = state->fingerprint[1] = 0;
	return state->abi == PST_ABI_VERSION ? 0 : -EPROTO;
}

/*
 * The state of another build, which had more or less to tell of its rungs: what is in force stays in force.
 * Dying before the rename leaves the old one as it was. -EPROTO: it is no such state.
 */
static int resize_state(const struct pins *pins)
{
	char from[PIN_PATH_MAX], to[PIN_PATH_MAX];
	PST_CLOSE int old = pins_get(pins, PIN_ROOT, MAP_STATE);
	PST_CLOSE int new = -1;
	struct bpf_map_info info;
	int r = old < 0 ? old : look_at_own(old, 1, &info);

	if (r)
		return r;
	if (info.value_size < offsetof(struct pin_state, outcomes))
		return -EPROTO;
	new = make_own(MAP_STATE, STATE_BYTES, 1);
	r = new < 0 ? new : copy_head(old, info.value_size, new);
	r = r ? r : pins_pin(pins, PIN_ROOT, MAP_STATE_NEXT, new);
	if (r)
		return r;
	pins_path(pins, PIN_ROOT, MAP_STATE_NEXT, from);
	if (rename(from, pins_path(pins, PIN_ROOT, MAP_STATE, to)) < 0)
		return -errno;
	pst_info("the state of an earlier load has another size and was copied was=%u is=%u", info.value_size,
		STATE_BYTES);
	return 0;
}

static int open_state(struct pins *pins)
{
	int r = open_own(pins, PIN_ROOT, MAP_STATE, STATE_BYTES, 1, &pins->state_map);

	if (r == -EPROTO) {
		r = resize_state(pins);
		r = r ? r : open_own(pins, PIN_ROOT, MAP_STATE, STATE_BYTES, 1, &pins->state_map);
	}
	if (r >= 0)
		pins->state = pins->state_map.base;
	return r;
}

static int open_maps(struct pins *pins)
{
	int r = open_state(pins);

	if (r < 0)
		return r;
	pins_remove(pins, PIN_ROOT, MAP_STATE_NEXT); /* of a load that was killed */
	r = open_own(pins, PIN_MAPS, MAP_GATE, sizeof(uint32_t), PST_CPUS_MAX, &pins->gate_map);
	if (r < 0) {
		pins_close(pins);
		return r;
	}
	pins->gate = pins->gate_map.base;
	if (r) /* what may be attached looks at another gate: load anew */
		pins->state->fingerprint[0] = 0;
	return 0;
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
	r = open_maps(pins);
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
	static const char *const own[] = {MAP_QDISCS, MAP_STATE_NEXT, MAP_STATE};
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
