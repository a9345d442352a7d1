// SPDX-License-Identifier: Apache-2.0
#include "policyd/policy/cgroups.h"

#include <dirent.h>
#include <errno.h>
#include <linux/magic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "policyd/array.h"
#include "proto/base/cleanup.h"
#include "proto/base/log.h"

#define DEPTH_MAX 64
#define RESCAN_NS 1000000000ull /* at most so often */
#define EVENTS    (IN_CREATE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO | IN_ONLYDIR | IN_DONT_FOLLOW)

struct group {
	int wd;
	uint64_t id;
	char *path; /* from the root of the hierarchy, owned */
};

/* What one inotify instance watches. Its numbers only grow: in the order of being added they are sorted. */
struct tree {
	int fd;
	struct group *v;
	size_t n, size;
	uint64_t missed;
};

struct cgroups {
	struct pst_loop *loop;
	char *root;
	cgroups_fn fn;
	void *arg;
	struct tree tree;
	struct pst_source *io, *rescan;
	bool told;
};

static void tree_done(struct tree *t)
{
	for (size_t i = 0; i < t->n; i++)
		free(t->v[i].path);
	free(t->v);
	pst_closep(&t->fd);
	*t = (struct tree){.fd = -1};
}

static bool is_cgroup2(const char *path)
{
	struct statfs fs;

	return !statfs(path, &fs) && fs.f_type == CGROUP2_SUPER_MAGIC;
}

const char *cgroups_root(const char *configured)
{
	static const char *const usual[] = {"/sys/fs/cgroup", "/sys/fs/cgroup/unified"};

	if (configured)
		return configured;
	for (size_t i = 0; i < PST_ARRAY_SIZE(usual); i++)
		if (is_cgroup2(usual[i]))
			return usual[i];
	return NULL;
}

/* ---- what is known ---- */

static struct group *find_wd(const struct tree *t, int wd)
{
	size_t lo = 0, hi = t->n;

	while (lo < hi) {
		size_t mid = (lo + hi) / 2;

		if (t->v[mid].wd < wd)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo < t->n && t->v[lo].wd == wd ? &t->v[lo] : NULL;
}

static const struct group *find_id(const struct tree *t, uint64_t id)
{
	for (size_t i = 0; i < t->n; i++)
		if (t->v[i].id == id)
			return &t->v[i];
	return NULL;
}

static struct group *find_path(const struct tree *t, const char *path)
{
	for (size_t i = 0; i < t->n; i++)
		if (!strcmp(t->v[i].path, path))
			return &t->v[i];
	return NULL;
}

static char *below(const char *path, const char *name)
{
	char *child;

	return asprintf(&child, "%s/%s", strcmp(path, "/") ? path : "", name) < 0 ? NULL : child;
}

/* ---- looking ---- */

/* Another one that is not watched: its children are not looked at either. */
static int miss(struct tree *t)
{
	t->missed++;
	return 0;
}

/* Takes @path over. 0; 1: it is watched already; -errno. */
static int add(struct cgroups *c, struct tree *t, char *path, const char *at, struct group **ret_group)
{
	struct stat st;
	int wd = inotify_add_watch(t->fd, at, EVENTS), e = wd < 0 ? -errno : 0;
	struct group *known = e ? NULL : find_wd(t, wd);

	if (!e && stat(at, &st) < 0)
		e = -errno;
	if (!e && !known && t->n && wd < t->v[t->n - 1].wd)
		e = -EOVERFLOW; /* numbers began anew */
	if (!e && !known)
		e = array_room((void **)&t->v, &t->size, t->n, sizeof(*t->v));
	if (e) {
		free(path);
		return e;
	}
	if (known)
		free(known->path);
	else
		known = &t->v[t->n++];
	*known = (struct group){.wd = wd, .id = st.st_ino, .path = path};
	c->fn(c->arg, known->id, known->path);
	*ret_group = known;
	return 0;
}

static int walk(struct cgroups *c, struct tree *t, char *path, unsigned depth);

static int walk_children(struct cgroups *c, struct tree *t, const char *path, const char *at, unsigned depth)
{
	DIR *dir = opendir(at);
	struct dirent *d;
	int e = 0;

	while (dir && !e && (d = readdir(dir)))
		if (d->d_type == DT_DIR && strcmp(d->d_name, ".") != 0 && strcmp(d->d_name, "..") != 0)
			e = walk(c, t, below(path, d->d_name), depth + 1);
	if (dir)
		closedir(dir);
	return e;
}

/* The cgroup and all below, @path is taken over. One that went meanwhile is none. 0, -ENOMEM or -EOVERFLOW.
 */
static int walk(struct cgroups *c, struct tree *t, char *path, unsigned depth)
{
	PST_FREE char *at = NULL, *copy = path ? strdup(path) : NULL;
	struct group *group;
	int e = copy && asprintf(&at, "%s%s", c->root, strcmp(path, "/") ? path : "") >= 0 ? 0 : -ENOMEM;

	if (e) {
		at = NULL;
		free(path);
		return e;
	}
	if (t->n >= CGROUPS_MAX || depth > DEPTH_MAX) {
		free(path);
		return miss(t);
	}
	e = add(c, t, path, at, &group);
	if (e == -ENOENT || e == -ENOTDIR)
		return 0;
	if (e == -ENOSPC || e == -EACCES)
		return miss(t);
	return e ? e : walk_children(c, t, copy, at, depth);
}

static void tell_missed(struct cgroups *c)
{
	if (c->tree.missed && !c->told)
		pst_warn("cgroups that are not known are treated as the nearest one above: too many, or none "
			 "may be watched "
			 "(fs.inotify.max_user_watches) known=%zu",
			c->tree.n);
	c->told = c->tree.missed;
}

static void drop(struct cgroups *c, struct group *g)
{
	struct tree *t = &c->tree;
	size_t i = (size_t)(g - t->v);

	inotify_rm_watch(t->fd, g->wd);
	c->fn(c->arg, g->id, NULL);
	free(g->path);
	memmove(g, g + 1, (t->n - i - 1) * sizeof(*g));
	t->n--;
	if (t->missed && !pst_timer_armed(c->rescan)) /* there is room now */
		pst_timer_arm(c->rescan, RESCAN_NS, 0);
}

/* ---- events ---- */

static void on_inotify(void *arg, int fd, uint32_t events);

/* Those that are still there are never unknown in between. */
static int look_again(struct cgroups *c)
{
	struct tree t = {.fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK)}, old = c->tree;
	struct pst_source *io = NULL;
	int e = t.fd < 0 ? -errno : pst_loop_fd(c->loop, t.fd, EPOLLIN, on_inotify, c, &io);

	e = e ? e : walk(c, &t, strdup("/"), 0);
	e = e || t.n ? e : -ENOENT;
	if (e) {
		pst_source_free(io);
		tree_done(&t);
		return e;
	}
	pst_source_free(c->io);
	c->io = io;
	c->tree = t;
	for (size_t i = 0; i < old.n; i++)
		if (!find_id(&c->tree, old.v[i].id))
			c->fn(c->arg, old.v[i].id, NULL);
	tree_done(&old);
	tell_missed(c);
	return 0;
}

static void on_rescan(void *arg)
{
	struct cgroups *c = arg;
	int e = look_again(c);

	if (e)
		pst_warn_limited("cgroups cannot be looked at root=%s error=\"%s\"", c->root, strerror(-e));
	if (e)
		pst_timer_arm(c->rescan, RESCAN_NS, 0);
}

void cgroups_rescan(struct cgroups *c)
{
	on_rescan(c);
}

static void on_event(struct cgroups *c, const struct inotify_event *e)
{
	struct group *parent = find_wd(&c->tree, e->wd), *gone;
	PST_FREE char *path = parent && e->len ? below(parent->path, e->name) : NULL;

	if (!path || !(e->mask & IN_ISDIR))
		return;
	if (e->mask & (IN_CREATE | IN_MOVED_TO)) {
		if (walk(c, &c->tree, PST_TAKE_PTR(path), 1) < 0 && !pst_timer_armed(c->rescan))
			pst_timer_arm(c->rescan, RESCAN_NS, 0);
		tell_missed(c);
		return;
	}
	gone = find_path(&c->tree, path);
	if (gone)
		drop(c, gone);
}

static void on_inotify(void *arg, int fd, uint32_t events)
{
	char buf[16384] __attribute__((aligned(__alignof__(struct inotify_event))));
	struct cgroups *c = arg;
	ssize_t n = read(fd, buf, sizeof(buf));

	(void)events;
	for (ssize_t at = 0; at < n;) {
		const struct inotify_event *e = (const void *)(buf + at);

		if (e->mask & IN_Q_OVERFLOW && !pst_timer_armed(c->rescan))
			pst_timer_arm(c->rescan, RESCAN_NS, 0);
		on_event(c, e);
		at += (ssize_t)(sizeof(*e) + e->len);
	}
}

/* ---- the whole ---- */

int cgroups_open(
	struct pst_loop *loop, const char *root, cgroups_fn fn, void *arg, struct cgroups **ret_cgroups)
{
	struct cgroups *c = calloc(1, sizeof(*c));
	int e;

	if (!c)
		return -ENOMEM;
	*c = (struct cgroups){.loop = loop, .root = strdup(root), .fn = fn, .arg = arg, .tree.fd = -1};
	e = c->root ? pst_loop_timer(loop, on_rescan, c, &c->rescan) : -ENOMEM;
	e = e ? e : look_again(c);
	if (e) {
		cgroups_free(c);
		return e;
	}
	*ret_cgroups = c;
	return 0;
}

void cgroups_free(struct cgroups *c)
{
	if (!c)
		return;
	pst_source_free(c->io);
	pst_source_free(c->rescan);
	tree_done(&c->tree);
	free(c->root);
	free(c);
}

void cgroups_each(const struct cgroups *c, cgroups_fn fn, void *arg)
{
	for (size_t i = 0; i < c->tree.n; i++)
		fn(arg, c->tree.v[i].id, c->tree.v[i].path);
}

size_t cgroups_count(const struct cgroups *c)
{
	return c->tree.n;
}

uint64_t cgroups_missed(const struct cgroups *c)
{
	return c->tree.missed;
}
