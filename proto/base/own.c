// SPDX-License-Identifier: Apache-2.0
#include "proto/base/own.h"
#include "proto/base/cleanup.h"
#include "proto/base/io.h"
#include "proto/base/log.h"
#include "proto/base/sandbox.h"

#include <fcntl.h>
#include <grp.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>

static bool is_ours(const struct stat *st)
{
	return S_ISREG(st->st_mode) && st->st_uid == geteuid() && st->st_nlink <= 1;
}

/* 0; -EAGAIN: it was removed. */
static int check_owner(int fd, const char *path)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return -errno;
	if (is_ours(&st))
		return 0;
	pst_warn("file is not ours, replacing it path=%s owner=%u", path, (unsigned)st.st_uid);
	return unlink(path) < 0 ? -errno : -EAGAIN;
}

static int open_own(const char *path, mode_t mode)
{
	for (int i = 0; i < 2; i++) {
		PST_CLOSE int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, mode);

		if (fd < 0)
			return -errno;
		int r = check_owner(fd, path);
		if (!r)
			return PST_TAKE_FD(fd);
		if (r != -EAGAIN)
			return r;
	}
	return -EPERM;
}

int pst_own_open(const char *path, mode_t mode)
{
	int fd = open_own(path, mode);

	if (fd < 0)
		pst_error("cannot open a state file path=%s error=\"%s\"", path, strerror(-fd));
	return fd;
}

int pst_own_read(const char *path, size_t max, char **ret_bytes, size_t *ret_len)
{
	PST_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0)
		return -errno;
	return is_ours(&st) ? pst_read_file(fd, max, ret_bytes, ret_len) : -EPERM;
}

gid_t pst_own_group(void)
{
	char buf[4096];
	struct group g, *found = NULL;

	return getgrnam_r(PST_GROUP, &g, buf, sizeof(buf), &found) || !found ? (gid_t)-1 : g.gr_gid;
}

#define NO_GROUP ((gid_t)-1)

static int write_next(const char *next, mode_t mode, gid_t group, const void *bytes, size_t len)
{
	PST_CLOSE int fd = pst_own_open(next, mode);

	if (fd < 0)
		return fd;
	if (group != NO_GROUP && fchown(fd, (uid_t)-1, group) < 0)
		pst_warn("the group " PST_GROUP " cannot read a state file path=%s error=\"%s\"", next,
			strerror(errno));
	return ftruncate(fd, 0) < 0 ? -errno : pst_write_all(fd, bytes, len);
}

static int write_for(const char *path, mode_t mode, gid_t group, const void *bytes, size_t len)
{
	PST_FREE char *next = NULL;
	int r;

	if (asprintf(&next, "%s.next", path) < 0) {
		next = NULL;
		return -ENOMEM;
	}
	r = write_next(next, mode, group, bytes, len);
	if (!r && rename(next, path) < 0)
		r = -errno;
	if (r)
		pst_error("cannot write a state file path=%s error=\"%s\"", path, strerror(-r));
	return r;
}

int pst_own_write(const char *path, mode_t mode, const void *bytes, size_t len)
{
	return write_for(path, mode, NO_GROUP, bytes, len);
}

int pst_own_write_shared(const char *path, gid_t group, const void *bytes, size_t len)
{
	return write_for(path, 0640, group, bytes, len);
}
