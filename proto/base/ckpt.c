// SPDX-License-Identifier: Apache-2.0
#include "proto/base/ckpt.h"
#include "proto/base/cleanup.h"
#include "proto/base/log.h"
#include "proto/base/loop.h"
#include "proto/base/own.h"
#include "proto/base/sandbox.h"

#include <fcntl.h>
#include <grp.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#define VERSION    1
#define NONE       2 /* value of `active` before the first store */
#define LOAD_TRIES 16

/*
 * Someone else's file is read with pread(2) into memory of our own, not mapped: its owner could cut it short,
 * and touching a mapped page that is gone would kill us with SIGBUS.
 */
struct view {
	struct pst_ckpt copy;
	int fd;
	struct view *next;
};
static struct view *views;

static void unmap(struct pst_ckpt **ckpt)
{
	if (*ckpt)
		munmap(*ckpt, sizeof(**ckpt));
}

/* ---- own ---- */

/* The publishers read it. Not being able to give it to the group (not root, no such group) is not fatal. */
static void share(int fd)
{
	const struct group *group = getgrnam(PST_GROUP);

	if (fchmod(fd, 0640) < 0 || !group || fchown(fd, (uid_t)-1, group->gr_gid) < 0)
		pst_debug("checkpoint is not readable by the group group=" PST_GROUP);
}

static void init(struct pst_ckpt *ckpt)
{
	memset(ckpt, 0, sizeof(*ckpt));
	for (unsigned i = 0; i < PST_CKPT_ENTRIES; i++)
		ckpt->entry[i].active = NONE;
	ckpt->version = VERSION;
	/* Last: without the magic number it is one that was never finished. */
	__atomic_store_n(&ckpt->magic, PST_CKPT_MAGIC, __ATOMIC_RELEASE);
}

/* A file that cannot be ours is kept for whoever wants to look at it. */
static int set_aside(const char *path)
{
	PST_FREE char *bad = NULL;

	if (asprintf(&bad, "%s.bad", path) < 0) {
		bad = NULL;
		return -ENOMEM;
	}
	pst_warn("not a checkpoint of this version, beginning a new one path=%s kept_as=%s", path, bad);
	return rename(path, bad) < 0 ? -errno : 0;
}

/* 0; -EBADMSG: not a checkpoint. */
static int open_file(const char *path, struct pst_ckpt **ret_ckpt)
{
	struct stat st;

	PST_CLOSE int fd = pst_own_open(path, 0640);
	if (fd < 0)
		return fd;
	if (fstat(fd, &st) < 0)
		return -errno;
	if (st.st_size && st.st_size != (off_t)sizeof(struct pst_ckpt))
		return -EBADMSG;
	if (!st.st_size)
		share(fd);
	/* Room is taken now: a page that the full file system cannot give later would be SIGBUS. */
	int r = -posix_fallocate(fd, 0, sizeof(struct pst_ckpt));
	if (r < 0)
		return r;
	PST_CLEANUP(unmap)
	struct pst_ckpt *ckpt = mmap(NULL, sizeof(*ckpt), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (ckpt == MAP_FAILED) {
		ckpt = NULL;
		return -errno;
	}
	if (!ckpt->magic)
		init(ckpt);
	if (ckpt->magic != PST_CKPT_MAGIC || ckpt->version != VERSION)
		return -EBADMSG;
	*ret_ckpt = PST_TAKE_PTR(ckpt);
	return 0;
}

static int open_memory(struct pst_ckpt **ret_ckpt)
{
	struct pst_ckpt *ckpt =
		mmap(NULL, sizeof(*ckpt), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (ckpt == MAP_FAILED)
		return -errno;
	init(ckpt);
	*ret_ckpt = ckpt;
	return 0;
}

int pst_ckpt_open(const char *path, struct pst_ckpt **ret_ckpt)
{
	if (!path)
		return open_memory(ret_ckpt);
	int r = open_file(path, ret_ckpt);
	if (r != -EBADMSG)
		return r;
	r = set_aside(path);
	return r < 0 ? r : open_file(path, ret_ckpt);
}

/* ---- someone else's ---- */

static struct view *view_of(const void *p)
{
	for (struct view *v = views; v; v = v->next)
		if ((const char *)p >= (const char *)&v->copy &&
			(const char *)p < (const char *)(&v->copy + 1))
			return v;
	return NULL;
}

/* What is there now; after a failure what was there before. */
static int refresh(struct view *v)
{
	struct pst_ckpt now;
	ssize_t n = pread(v->fd, &now, sizeof(now), 0);

	if (n < 0)
		return -errno;
	if (n != (ssize_t)sizeof(now) || now.magic != PST_CKPT_MAGIC || now.version != VERSION)
		return -EBADMSG;
	v->copy = now;
	return 0;
}

int pst_ckpt_view(const char *path, const struct pst_ckpt **ret_ckpt)
{
	struct stat st;

	PST_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
	if (fd < 0 || fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode))
		return -EBADMSG;
	PST_FREE struct view *v = calloc(1, sizeof(*v));
	if (!v)
		return -ENOMEM;
	v->fd = fd;
	int r = refresh(v);
	if (r < 0)
		return r;
	v->fd = PST_TAKE_FD(fd);
	v->next = views;
	views = v;
	*ret_ckpt = &v->copy;
	v = NULL;
	return 0;
}

void pst_ckpt_close(const struct pst_ckpt *ckpt)
{
	if (!ckpt)
		return;
	for (struct view **p = &views; *p; p = &(*p)->next) {
		struct view *v = *p;

		if (&v->copy == ckpt) {
			*p = v->next;
			close(v->fd);
			free(v);
			return;
		}
	}
	munmap((void *)ckpt, sizeof(*ckpt));
}

/* ---- entries ---- */

static bool same_name(const char *stored, const char *name)
{
	return !strncmp(stored, name, sizeof(((struct pst_ckpt_entry *)0)->name));
}

struct pst_ckpt_entry *pst_ckpt_entry(
	struct pst_ckpt *ckpt, const char *name, const char *in_publisher, bool make)
{
	struct pst_ckpt_entry *e = ckpt->entry, *end = e + PST_CKPT_ENTRIES, *empty = NULL;
	struct view *v = view_of(ckpt);

	if (v)
		refresh(v);
	if (!*name || strlen(name) >= sizeof(e->name) ||
		(in_publisher && strlen(in_publisher) >= sizeof(e->in_publisher)))
		return NULL;
	for (; e < end && !same_name(e->name, name); e++)
		if (!empty && !e->name[0])
			empty = e;
	if (!make || v)
		return e < end ? e : NULL;
	if (e == end && !(e = empty))
		return NULL;
	/* What was stored for another publisher says nothing about this one. */
	if (!e->name[0] || !same_name(e->in_publisher, in_publisher ? in_publisher : "")) {
		__atomic_store_n(&e->active, NONE, __ATOMIC_RELEASE);
		strncpy(e->in_publisher, in_publisher ? in_publisher : "", sizeof(e->in_publisher) - 1);
		strncpy(e->name, name, sizeof(e->name) - 1);
	}
	return e;
}

void pst_ckpt_store(struct pst_ckpt *ckpt, struct pst_ckpt_entry *entry, const struct pst_ckpt_words *words)
{
	uint64_t idle = entry->active == 0;

	entry->copy[idle] = *words;
	/* One store makes it valid, after all of it is there: kill -9 leaves the old or the new, whole. */
	__atomic_store_n(&entry->active, idle, __ATOMIC_RELEASE);
	__atomic_store_n(&ckpt->updated_ns, pst_now_boot_ns(), __ATOMIC_RELAXED);
}

static bool read_entry(
	const struct pst_ckpt_entry *entry, uint64_t *ret_active, struct pst_ckpt_words *ret_words)
{
	uint64_t active = __atomic_load_n(&entry->active, __ATOMIC_ACQUIRE);

	if (active > 1)
		return false;
	*ret_active = active;
	*ret_words = entry->copy[active];
	return true;
}

bool pst_ckpt_load(const struct pst_ckpt_entry *entry, struct pst_ckpt_words *ret_words)
{
	struct pst_ckpt_words a, b;
	uint64_t active_a, active_b;
	struct view *v = view_of(entry);

	/*
	 * A copy is written only while the other is active. So what was read twice alike, with the same one
	 * active both times, was not being written.
	 */
	for (unsigned i = 0; i < LOAD_TRIES; i++) {
		if ((v && refresh(v) < 0) || !read_entry(entry, &active_a, &a))
			return false;
		if (v && refresh(v) < 0)
			return false;
		if (!read_entry(entry, &active_b, &b))
			return false;
		if (active_a == active_b && !memcmp(&a, &b, sizeof(a))) {
			*ret_words = a;
			return true;
		}
	}
	return false;
}
