// SPDX-License-Identifier: Apache-2.0
#include "loader/rundir.h"

#include <string.h>
#include <sys/stat.h>

#include "proto/base/cleanup.h"
#include "proto/base/log.h"
#include "proto/base/loop.h"

/* A folder is not ours, and neither is what is in it: it is not looked into. */
static int put_aside(const char *path)
{
	PST_FREE char *aside = NULL;

	if (asprintf(&aside, "%s.stray-%llx", path, (unsigned long long)pst_now_boot_ns()) < 0) {
		aside = NULL;
		return -ENOMEM;
	}
	if (rename(path, aside) < 0)
		return -errno;
	pst_warn("somebody put a folder in the loader's place path=%s moved_to=%s", path, aside);
	return 0;
}

int rundir_clear(const char *path)
{
	if (!unlink(path) || errno == ENOENT)
		return 0;
	if (errno != EISDIR && errno != EPERM) /* what unlink(2) says of a folder */
		return -errno;
	if (!rmdir(path) || errno == ENOENT)
		return 0;
	return errno == ENOTEMPTY || errno == EEXIST ? put_aside(path) : -errno;
}
