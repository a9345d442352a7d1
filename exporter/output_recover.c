// SPDX-License-Identifier: Apache-2.0
/*
 * The file after a crash. An event is in it for good when its position is committed (feed.c); what was
 * written later will come again from the bus, and so is cut off, rotations since then included.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

#include "exporter/output.h"
#include "proto/base/cleanup.h"
#include "proto/base/log.h"

#define PATH_BYTES (4096 + 24)

static void name_of(const char *path, uint64_t i, char *buf)
{
	if (i)
		snprintf(buf, PATH_BYTES, "%s.%llu", path, (unsigned long long)i);
	else
		snprintf(buf, PATH_BYTES, "%s", path);
}

/* Which of the files is the one of the mark; @keep + 1: none. */
static uint64_t find(const char *path, uint64_t keep, const struct output_mark *mark)
{
	char name[PATH_BYTES];
	struct stat st;
	uint64_t i;

	for (i = 0; i <= keep; i++) {
		name_of(path, i, name);
		/* A shorter one is another file with the same number, or somebody cut it. */
		if (lstat(name, &st) == 0 && S_ISREG(st.st_mode) && st.st_ino == mark->file &&
			(uint64_t)st.st_size >= mark->size)
			break;
	}
	return i;
}

static int cut(const char *name, uint64_t size)
{
	PST_CLOSE int fd = open(name, O_WRONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);

	return fd < 0 || ftruncate(fd, (off_t)size) < 0 ? -errno : 0;
}

/* path.n becomes path, path.(n+1) becomes path.1: as it was before the rotations. */
static int shift_back(const char *path, uint64_t keep, uint64_t n)
{
	char from[PATH_BYTES], to[PATH_BYTES];

	for (uint64_t i = 0; n && i + n <= keep; i++) {
		name_of(path, i + n, from);
		name_of(path, i, to);
		if (rename(from, to) < 0 && errno != ENOENT)
			return -errno;
	}
	return 0;
}

int output_recover(const char *path, uint64_t keep, const struct output_mark *mark)
{
	uint64_t n = mark->file ? find(path, keep, mark) : keep + 1;
	char name[PATH_BYTES];
	int r;

	if (n > keep)
		return 0;
	name_of(path, n, name);
	r = cut(name, mark->size);
	r = r ? r : shift_back(path, keep, n);
	if (r < 0)
		pst_warn("output file: lines since the last commit stay in it, and come again path=%s "
			 "error=%s",
			path, strerror(-r));
	return r;
}
