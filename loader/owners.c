// SPDX-License-Identifier: Apache-2.0
/* Owners and modes of the pins: a table. */
#include <string.h>
#include <sys/stat.h>

#include "loader/ladder.h"
#include "loader/pins.h"
#include "proto/abi/guard.h"
#include "proto/abi/maps.h"
#include "proto/abi/policy.h"
#include "proto/base/cleanup.h"
#include "proto/base/log.h"

struct owner {
	const char *name;
	const char *stage;
	mode_t mode;
};

/* A ring's reader needs a read-write descriptor; so does mmap of an array, even one that is frozen. */
static const struct owner map_owners[] = {
	{PST_MAP_RING_PROCESS, "collector", 0660},
	{PST_MAP_RING_NET, "collector", 0660},
	{PST_MAP_RING_FLOW, "collector", 0660},
	{PST_MAP_RING_CTL, "collector", 0660},
	{PST_MAP_CLASS_STATS, "collector", 0660},
	{PST_MAP_FLOWS, "collector", 0660},
	{PST_MAP_UDP_PEERS, "collector", 0660},
	{PST_MAP_GUARD_FLOWS, "collector", 0660},
	{PST_MAP_GUARD, "policyd", 0660},
	{PST_MAP_FW_LINES, "policyd", 0660},
	{PST_MAP_BLOCK_LINES, "policyd", 0660},
	{PST_MAP_GUARD_SIGS, "policyd", 0660},
	{PST_MAP_OFFENDERS, "policyd", 0660},
	{PST_MAP_SAMPLES, "policyd", 0660},
	{PST_MAP_GUARD_COUNTS, "policyd", 0660},
	{PST_MAP_POLICY, "policyd", 0660},
	{PST_MAP_POLICY_LINES, "policyd", 0660},
	{PST_MAP_PATH_LINES, "policyd", 0660},
	{PST_MAP_POLICY_NAMES, "policyd", 0660},
	{NULL},
};

struct pass {
	const struct pins *pins;
	const struct accounts *accounts;
	enum pin_dir dir;
};

/* Sets what is not right yet: closed first, then handed over, then opened, so that no group has a mode meant
 * for another. */
static void set(struct pass *p, const char *name, const char *stage, mode_t mode)
{
	int account = stage ? account_find(stage) : -1;
	gid_t gid = account >= 0 ? p->accounts->gid[account] : 0;
	char path[PIN_PATH_MAX];
	struct stat st;

	if (stage && !gid)
		mode = 0600;
	pins_path(p->pins, p->dir, name, path);
	if (!stat(path, &st) && !st.st_uid && st.st_gid == gid && (st.st_mode & 07777) == mode)
		return;
	if (chmod(path, 0600) < 0 || chown(path, 0, gid) < 0 || chmod(path, mode) < 0)
		pst_warn("cannot set owner or mode path=%s error=%s", path, strerror(errno));
}

static void set_map(struct pass *p, const char *name, const char *pin)
{
	for (const struct owner *o = map_owners; o->name; o++)
		if (!strcmp(o->name, name)) {
			set(p, pin, o->stage, o->mode);
			return;
		}
	set(p, pin, NULL, 0600);
}

static void set_iter(struct pass *p, const char *name, const char *pin)
{
	for (size_t i = 0; i < n_iterators; i++)
		if (!strcmp(iterators[i].name, name)) {
			set(p, pin, iterators[i].stage, 0440);
			return;
		}
	set(p, pin, NULL, 0400);
}

static void set_one(void *arg, const char *name)
{
	struct pass *p = arg;

	if (p->dir == PIN_MAPS)
		set_map(p, name, name);
	else if (p->dir == PIN_ITERS)
		set_iter(p, name, name);
	else if (p->dir == PIN_STAGING && !strncmp(name, "m_", 2))
		set_map(p, name + 2, name);
	else if (p->dir == PIN_STAGING && !strncmp(name, "i_", 2))
		set_iter(p, name + 2, name);
	else
		set(p, name, NULL, 0600);
}

void pins_set_owners(const struct pins *pins, const struct accounts *accounts)
{
	struct pass p = {.pins = pins, .accounts = accounts};

	for (int d = PIN_ROOT; d < PIN_DIR_MAX; d++) {
		p.dir = (enum pin_dir)d;
		pins_each(pins, p.dir, set_one, &p);
	}
}
