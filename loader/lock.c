// SPDX-License-Identifier: Apache-2.0
#include "loader/lock.h"

#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "loader/rundir.h"
#include "proto/base/cleanup.h"
#include "proto/base/log.h"

/* Whoever holds the flock, from /proc/locks; 0: not known (another pid namespace, or gone meanwhile). */
static int holder(const struct stat *st)
{
	PST_FCLOSE FILE *f = fopen("/proc/locks", "re");
	char line[256];

	while (f && fgets(line, sizeof(line), f)) {
		unsigned long long ino;
		unsigned maj, min;
		int pid;

		if (sscanf(line, "%*s FLOCK %*s WRITE %d %x:%x:%llu", &pid, &maj, &min, &ino) == 4 &&
			ino == st->st_ino && makedev(maj, min) == st->st_dev)
			return pid;
	}
	return 0;
}

/* A folder that its holder removed at the end is no lock: look again whether the path still leads to it. */
static bool still_there(const char *path, const struct stat *st)
{
	struct stat now;

	return !stat(path, &now) && now.st_ino == st->st_ino && now.st_dev == st->st_dev;
}

/* Where others may make files: is this one nobody's but ours? */
static bool is_ours(const struct stat *st)
{
	return S_ISREG(st->st_mode) && st->st_uid == geteuid() && st->st_nlink == 1;
}

/* @shared: others can make files in its folder. What one of them put there is not our lock: it goes. */
static int open_lock(const char *path, int flags, bool shared, struct stat *ret_st)
{
	struct stat st;

	if (shared && !lstat(path, &st) && !is_ours(&st)) {
		int r = rundir_clear(path);

		if (r < 0)
			return r;
	}
	PST_CLOSE int fd = open(path, flags | O_CLOEXEC, 0600);
	if (fd < 0 || fstat(fd, ret_st) < 0)
		return -errno;
	return !shared || is_ours(ret_st) ? PST_TAKE_FD(fd) : -ESTALE;
}

static int lock(const char *path, int flags, bool shared, int *ret_fd)
{
	int error = -EBUSY;

	for (int tries = 0; tries < 8; tries++) {
		struct stat st = {0};
		PST_CLOSE int fd = open_lock(path, flags, shared, &st);

		if (fd < 0) {
			error = fd;
			if (shared)
				continue; /* it came between the look and the opening */
			break;
		}
		error = -EBUSY;
		if (flock(fd, LOCK_EX | LOCK_NB) < 0) {
			if (errno == EINTR)
				continue;
			pst_error("another loader works on this folder path=%s pid=%d", path, holder(&st));
			return -EBUSY;
		}
		if (!still_there(path, &st))
			continue;
		*ret_fd = PST_TAKE_FD(fd);
		return 0;
	}
	if (error == -EBUSY)
		pst_error("the folder keeps changing under the lock path=%s", path);
	else if (error != -ENOENT)
		pst_error("cannot open lock path=%s error=%s", path, strerror(-error));
	return error;
}

int lock_dir(const char *path, int *ret_fd)
{
	return lock(path, O_RDONLY | O_DIRECTORY, false, ret_fd);
}

int lock_run_dir(const char *run_dir, int *ret_fd)
{
	PST_FREE char *path = NULL;

	if (asprintf(&path, "%s/loader.lock", run_dir) < 0) {
		path = NULL;
		return -ENOMEM;
	}
	return lock(path, O_RDWR | O_CREAT | O_NOFOLLOW | O_NONBLOCK, true, ret_fd);
}
