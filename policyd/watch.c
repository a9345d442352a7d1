// SPDX-License-Identifier: Apache-2.0
#include "policyd/watch.h"

#include <errno.h>
#include <libgen.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>

#include "proto/base/cleanup.h"
#include "proto/base/log.h"

#define LINKS_MAX 40           /* as many as the kernel follows */
#define SETTLE_NS 200000000ull /* editors write a file in several steps */
/* Not IN_MODIFY: who still writes may pause for longer than that, with half a file. */
#define EVENTS                                                                                               \
	(IN_CLOSE_WRITE | IN_MOVED_TO | IN_MOVED_FROM | IN_DELETE | IN_DELETE_SELF | IN_MOVE_SELF | IN_ATTRIB)

/* A name in a folder: when it changes, the path may lead elsewhere. */
struct place {
	int wd;
	char *name; /* owned; NULL: whatever is in there */
};

struct places {
	struct place *v;
	size_t n;
};

struct watch {
	int fd;
	const struct pst_strs *paths;
	bool files; /* none of them is a folder */
	struct places places;
	struct pst_source *io, *settle;
	void (*fn)(void *arg);
	void *arg;
};

static bool is_folder(const char *path)
{
	struct stat st;

	return !stat(path, &st) && S_ISDIR(st.st_mode);
}

static bool is_there(const char *path)
{
	return !access(path, F_OK);
}

char *watch_folder(const char *path)
{
	PST_FREE char *copy = strdup(path);

	if (!copy)
		return NULL;
	return is_folder(path) || !is_there(path) ? PST_TAKE_PTR(copy) : watch_file_folder(path);
}

char *watch_file_folder(const char *path)
{
	PST_FREE char *copy = strdup(path);

	return copy ? strdup(dirname(copy)) : NULL;
}

char *watch_real_folder(const char *path)
{
	PST_FREE char *real = realpath(path, NULL);

	return watch_file_folder(real ? real : path);
}

/* ---- what is watched ---- */

static void places_done(struct places *p)
{
	for (size_t i = 0; i < p->n; i++)
		free(p->v[i].name);
	free(p->v);
	*p = (struct places){0};
}

static int add_place(const struct watch *w, struct places *p, const char *folder, const char *name)
{
	struct place *v = reallocarray(p->v, p->n + 1, sizeof(*v));
	PST_FREE char *copy = name ? strdup(name) : NULL;
	int wd;

	p->v = v ? v : p->v;
	if (!v || (name && !copy))
		return -ENOMEM;
	wd = inotify_add_watch(w->fd, folder, EVENTS);
	if (wd < 0 && errno != ENOENT && errno != ENOTDIR)
		pst_warn("can't watch, send SIGHUP after a change folder=%s error=%s", folder,
			strerror(errno));
	if (wd >= 0)
		p->v[p->n++] = (struct place){.wd = wd, .name = PST_TAKE_PTR(copy)};
	return 0;
}

/* Where it lies, and its name there. */
static int add_name(const struct watch *w, struct places *p, const char *path)
{
	const char *slash = strrchr(path, '/');
	PST_FREE char *folder = watch_file_folder(path);

	return folder ? add_place(w, p, folder, slash ? slash + 1 : path) : -ENOMEM;
}

/* The first part of @path that is a link: its length, and where it leads. 0: none. */
static size_t first_link(const char *path, char target[PATH_MAX])
{
	char part[PATH_MAX];

	for (size_t n = 1; path[n - 1] && n < sizeof(part); n++) {
		ssize_t len;

		if (path[n] && path[n] != '/')
			continue;
		memcpy(part, path, n);
		part[n] = '\0';
		len = readlink(part, target, PATH_MAX - 1);
		if (len >= 0) {
			target[len] = '\0';
			return n;
		}
	}
	return 0;
}

/* @path with the target in the place of its first @n bytes, which are a link. */
static char *follow(const char *path, size_t n, const char *target)
{
	PST_FREE char *link = strndup(path, n);
	char *next = NULL, *slash = link ? strrchr(link, '/') : NULL;

	if (!link)
		return NULL;
	*(slash ? slash + 1 : link) = '\0';
	return asprintf(&next, "%s%s%s", target[0] == '/' ? "" : link, target, path + n) < 0 ? NULL : next;
}

/* Each link on the way, and what it ends at: any of them may be exchanged for another one. */
static int add_path(const struct watch *w, struct places *p, const char *path)
{
	PST_FREE char *at = strdup(path);
	char target[PATH_MAX];
	size_t n;

	for (int links = 0; at && links < LINKS_MAX && (n = first_link(at, target)) > 0; links++) {
		PST_FREE char *link = strndup(at, n), *next = follow(at, n, target);
		int e = link ? add_name(w, p, link) : -ENOMEM;

		if (e)
			return e;
		free(at);
		at = PST_TAKE_PTR(next);
	}
	if (!at)
		return -ENOMEM;
	return !w->files && is_folder(at) ? add_place(w, p, at, NULL) : add_name(w, p, at);
}

static bool has(const struct places *p, int wd)
{
	for (size_t i = 0; i < p->n; i++)
		if (p->v[i].wd == wd)
			return true;
	return false;
}

/* Links may lead elsewhere than before. */
static int look_again(struct watch *w)
{
	PST_CLEANUP(places_done) struct places p = {0};
	struct places old = w->places;
	int e = 0;

	for (size_t i = 0; !e && i < w->paths->n; i++)
		e = add_path(w, &p, w->paths->v[i]);
	if (e)
		return e;
	for (size_t i = 0; i < old.n; i++)
		if (!has(&p, old.v[i].wd))
			inotify_rm_watch(w->fd, old.v[i].wd); /* may be gone by itself */
	w->places = p;
	p = old;
	return 0;
}

/* Of a file's folder only what is about the file. */
static bool concerns(const struct watch *w, const struct inotify_event *e)
{
	if (e->mask & IN_Q_OVERFLOW)
		return true;
	for (size_t i = 0; i < w->places.n; i++) {
		const struct place *p = &w->places.v[i];

		if (p->wd == e->wd && (!e->len || !p->name || !strcmp(e->name, p->name)))
			return true;
	}
	return false;
}

static void on_inotify(void *arg, int fd, uint32_t events)
{
	char buf[4096] __attribute__((aligned(__alignof__(struct inotify_event))));
	struct watch *w = arg;
	ssize_t n;

	(void)events;
	while ((n = read(fd, buf, sizeof(buf))) > 0)
		for (ssize_t at = 0; at < n;) {
			const struct inotify_event *e = (const void *)(buf + at);

			if (concerns(w, e))
				pst_timer_arm(w->settle, SETTLE_NS, 0);
			at += (ssize_t)(sizeof(*e) + e->len);
		}
}

static void on_settled(void *arg)
{
	struct watch *w = arg;
	int e = look_again(w);

	if (e)
		pst_warn("what is watched is as before error=%s", strerror(-e));
	w->fn(w->arg);
}

static int open_watch(struct pst_loop *loop, const struct pst_strs *paths, bool files, void (*fn)(void *arg),
	void *arg, struct watch **ret_watch)
{
	struct watch *w = calloc(1, sizeof(*w));
	int e;

	if (!w)
		return -ENOMEM;
	*w = (struct watch){.paths = paths, .files = files, .fn = fn, .arg = arg};
	w->fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	e = w->fd < 0 ? -errno : 0;
	e = e ? e : look_again(w);
	e = e ? e : pst_loop_fd(loop, w->fd, EPOLLIN, on_inotify, w, &w->io);
	e = e ? e : pst_loop_timer(loop, on_settled, w, &w->settle);
	if (e) {
		watch_free(w);
		return e;
	}
	*ret_watch = w;
	return 0;
}

int watch_open(struct pst_loop *loop, const struct pst_strs *paths, void (*fn)(void *arg), void *arg,
	struct watch **ret_watch)
{
	return open_watch(loop, paths, false, fn, arg, ret_watch);
}

int watch_open_files(struct pst_loop *loop, const struct pst_strs *paths, void (*fn)(void *arg), void *arg,
	struct watch **ret_watch)
{
	return open_watch(loop, paths, true, fn, arg, ret_watch);
}

void watch_free(struct watch *w)
{
	if (!w)
		return;
	pst_source_free(w->io);
	pst_source_free(w->settle);
	pst_closep(&w->fd);
	places_done(&w->places);
	free(w);
}
