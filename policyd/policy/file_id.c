// SPDX-License-Identifier: Apache-2.0
/* Which inode is at a path. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "policyd/policy/tables.h"
#include "proto/base/cleanup.h"

#define BTRFS_MAGIC 0x9123683e /* its inodes are those of a subvolume, its device is not the kernel's */

/* Descriptors that allow nothing but to go on from there: no FIFO or device is opened. */
#define FOLDER (O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)
#define FILE_  (O_PATH | O_NOFOLLOW | O_CLOEXEC)

/* Why the folder could not be entered. */
static int folder_error(int at, const char *name)
{
	int e = errno;
	struct stat st;

	if (e == ENOTDIR && !fstatat(at, name, &st, AT_SYMLINK_NOFOLLOW) && S_ISLNK(st.st_mode))
		return -ELOOP;
	return -e;
}

/* The next name of *path, which is passed. False: there is none. */
static bool next_name(const char **path, char ret_name[NAME_MAX + 1], int *ret_error)
{
	size_t len;

	while (**path == '/')
		++*path;
	len = strcspn(*path, "/");
	*ret_error = len > NAME_MAX ? -ENAMETOOLONG : 0;
	if (!len || *ret_error)
		return false;
	memcpy(ret_name, *path, len);
	ret_name[len] = '\0';
	*path += len;
	return true;
}

/* A descriptor of what is at the path, component by component: a link anywhere is not followed. */
static int open_path(const char *path)
{
	int fd = open("/", FOLDER), e;
	char name[NAME_MAX + 1];

	if (fd < 0)
		return -errno;
	while (next_name(&path, name, &e)) {
		int next = openat(fd, name, *path ? FOLDER : FILE_);

		e = next < 0 ? folder_error(fd, name) : 0;
		close(fd);
		if (e)
			return e;
		fd = next;
	}
	if (e)
		close(fd);
	return e ? e : fd;
}

int policy_file_id(const char *path, struct pst_file_id *ret_id)
{
	PST_CLEANUP(pst_closep) int fd = open_path(path);
	struct statfs fs;
	struct stat st;

	if (fd < 0)
		return fd;
	if (fstat(fd, &st) || fstatfs(fd, &fs))
		return -errno;
	if (S_ISLNK(st.st_mode))
		return -ELOOP;
	if (fs.f_type == BTRFS_MAGIC || !st.st_ino)
		return -ENODATA;
	*ret_id = (struct pst_file_id){
		.ino = st.st_ino, .dev = (uint32_t)(major(st.st_dev) << 20 | minor(st.st_dev))};
	return ret_id->dev ? 0 : -ENODATA;
}
