// SPDX-License-Identifier: Apache-2.0
#include "enricher/cgroup.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "proto/base/cache.h"
#include "proto/base/cleanup.h"
#include "proto/base/log.h"
#include "proto/base/loop.h"
#include "proto/base/stat.h"

#define WALK_INTERVAL_NS 500000000ull
#define WALK_MAX         20000 /* folders looked at in one walk */
#define WALK_DEPTH       24
#define PATH_SIZE        4096

struct cgroups {
	struct pst_cache *cache;
	char *root;
	size_t root_len;
	bool offline;
	uint64_t walked_ns;
	unsigned budget;
	struct pst_stat *walks, *unknown;
};

void cgroup_facts_done(struct cgroup_facts *f)
{
	str_unref(f->path);
	str_unref(f->container_id);
	str_unref(f->pod_uid);
	str_unref(f->unit);
	*f = (struct cgroup_facts){0};
}

void cgroup_facts_copy(struct cgroup_facts *to, const struct cgroup_facts *from)
{
	struct cgroup_facts copy = {.path = str_ref(from->path),
		.container_id = str_ref(from->container_id),
		.pod_uid = str_ref(from->pod_uid),
		.unit = str_ref(from->unit),
		.runtime = from->runtime};

	cgroup_facts_done(to);
	*to = copy;
}

static void facts_of_path(const char *path, size_t len, struct cgroup_facts *f)
{
	struct cgroup_parts parts;

	cgroup_parse(path, len, &parts);
	cgroup_facts_done(f);
	f->path = str_new(path, (uint32_t)len);
	f->container_id = str_new(parts.container_id, parts.container_id_len);
	f->pod_uid = str_new(parts.pod_uid, parts.pod_uid_len);
	f->unit = str_new(parts.unit, parts.unit_len);
	f->runtime = parts.runtime;
}

static void drop(void *arg, void *value)
{
	(void)arg;
	cgroup_facts_done(value);
}

int cgroups_new(const char *root, uint32_t max, struct cgroups **ret_cgroups)
{
	struct cgroups *c = calloc(1, sizeof(*c));
	int e;

	if (!c)
		return -ENOMEM;
	c->root = strdup(root);
	e = c->root ? pst_cache_new(sizeof(uint64_t), sizeof(struct cgroup_facts), max, drop, NULL, &c->cache)
		    : -ENOMEM;
	if (e) {
		cgroups_free(c);
		return e;
	}
	c->root_len = strlen(root);
	c->walks = pst_counter("cgroup_walks", "walks of the cgroup tree for an unknown id");
	c->unknown = pst_counter("cgroup_unknown", "look-ups of a cgroup that could not be named");
	*ret_cgroups = c;
	return 0;
}

void cgroups_free(struct cgroups *c)
{
	if (!c)
		return;
	pst_cache_free(c->cache);
	free(c->root);
	free(c);
}

void cgroups_set_offline(struct cgroups *c, bool offline)
{
	c->offline = offline;
}

char *cgroup_mount(FILE *mountinfo)
{
	PST_FREE char *line = NULL;
	size_t size = 0;

	while (getline(&line, &size, mountinfo) > 0) {
		char path[PATH_SIZE];

		/* "36 35 0:30 / /sys/fs/cgroup rw,... - cgroup2 cgroup2 rw"; only a mount of the whole tree
		 * will do */
		if (strstr(line, " - cgroup2 ") && sscanf(line, "%*s %*s %*s / %4095s", path) == 1)
			return strdup(path);
	}
	return NULL;
}

char *cgroups_find_root(void)
{
	PST_FCLOSE FILE *f = fopen("/proc/self/mountinfo", "re");

	return f ? cgroup_mount(f) : NULL;
}

bool cgroups_hybrid(void)
{
	PST_FCLOSE FILE *f = fopen("/proc/self/cgroup", "re");
	PST_FREE char *line = NULL;
	size_t size = 0;
	bool v1 = false;

	while (f && getline(&line, &size, f) > 0)
		v1 |= strncmp(line, "0::", 3) != 0;
	return v1;
}

/* The path in a line of /proc/PID/cgroup: "5:memory:/docker/..."; NULL: malformed. */
static char *line_path(char *line, bool *ret_v2)
{
	char *first = strchr(line, ':'), *second = first ? strchr(first + 1, ':') : NULL;

	if (!second)
		return NULL;
	*ret_v2 = second == first + 1 && line[0] == '0';
	second[strcspn(second, "\n")] = 0;
	return second + 1;
}

bool cgroup_read(FILE *file, bool v2_only, struct cgroup_facts *f)
{
	PST_FREE char *line = NULL;
	size_t size = 0;
	bool found = false;

	while (getline(&line, &size, file) > 0) {
		struct cgroup_parts parts;
		bool v2 = false;
		char *path = line_path(line, &v2);

		if (!path || (v2_only && !v2))
			continue;
		cgroup_parse(path, strlen(path), &parts);
		if (!v2 && !parts.container_id_len)
			continue;
		facts_of_path(path, strlen(path), f);
		found = true;
		if (parts.container_id_len)
			break;
	}
	return found;
}

static bool read_process(uint32_t pid, bool v2_only, struct cgroup_facts *f)
{
	PST_FCLOSE FILE *file = NULL;
	char name[32];

	snprintf(name, sizeof(name), "/proc/%u/cgroup", pid);
	file = fopen(name, "re");
	return file && cgroup_read(file, v2_only, f);
}

bool cgroups_of_process(uint32_t pid, struct cgroup_facts *ret_facts)
{
	return read_process(pid, false, ret_facts);
}

static void walk(struct cgroups *c, char *path, size_t len, unsigned depth)
{
	PST_CLOSEDIR DIR *dir = opendir(path);
	struct dirent *e;

	while (dir && (e = readdir(dir))) {
		struct cgroup_facts *f;
		uint64_t id = e->d_ino;
		size_t n = strlen(e->d_name);
		bool made;

		if (e->d_type != DT_DIR || e->d_name[0] == '.' || !c->budget || len + n + 2 > PATH_SIZE)
			continue;
		c->budget--;
		path[len] = '/';
		memcpy(path + len + 1, e->d_name, n + 1);
		f = pst_cache_put(c->cache, &id, &made);
		if (f && made)
			facts_of_path(path + c->root_len, len + n + 1 - c->root_len, f);
		if (depth < WALK_DEPTH)
			walk(c, path, len + n + 1, depth + 1);
	}
	path[len] = 0;
}

static void walk_tree(struct cgroups *c)
{
	uint64_t now = pst_now_boot_ns();
	char path[PATH_SIZE];
	struct cgroup_facts *f;
	struct stat st;
	uint64_t id;

	if (!c->root_len || c->root_len >= sizeof(path) ||
		(c->walked_ns && now - c->walked_ns < WALK_INTERVAL_NS))
		return;
	c->walked_ns = now;
	c->walks->value++;
	c->budget = WALK_MAX;
	memcpy(path, c->root, c->root_len + 1);
	if (stat(path, &st) == 0) {
		id = st.st_ino;
		f = pst_cache_put(c->cache, &id, NULL);
		if (f)
			facts_of_path("/", 1, f);
	}
	walk(c, path, c->root_len, 0);
	if (!c->budget)
		pst_warn_limited("cgroup tree is larger than one walk max=%u", WALK_MAX);
}

/* The process may have moved, or the pid may be another's by now: the id is the folder's inode. */
static bool is_folder_of(const struct cgroups *c, const struct str *path, uint64_t id)
{
	char full[PATH_SIZE];
	struct stat st;

	if (!path || !c->root_len || c->root_len + path->len >= sizeof(full))
		return false;
	memcpy(full, c->root, c->root_len);
	memcpy(full + c->root_len, path->bytes, path->len);
	full[c->root_len + path->len] = 0;
	return stat(full, &st) == 0 && st.st_ino == id;
}

const struct cgroup_facts *cgroups_get(struct cgroups *c, uint64_t id, uint32_t pid)
{
	struct cgroup_facts *f = pst_cache_get(c->cache, &id), from_proc = {0};

	if (f || c->offline || !id)
		return f;
	if (pid && read_process(pid, true, &from_proc) && is_folder_of(c, from_proc.path, id) &&
		(f = pst_cache_put(c->cache, &id, NULL))) {
		cgroup_facts_done(f);
		*f = from_proc;
		return f;
	}
	cgroup_facts_done(&from_proc);
	walk_tree(c);
	f = pst_cache_get(c->cache, &id);
	if (!f)
		c->unknown->value++;
	return f;
}
