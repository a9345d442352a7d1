// SPDX-License-Identifier: Apache-2.0
#include "loader/mounts.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#include "proto/base/cleanup.h"
#include "proto/base/log.h"

#define BPFFS_ROOT "/sys/fs/bpf"

static bool is_fs(const char *path, unsigned magic)
{
	struct statfs s;

	return !statfs(path, &s) && (unsigned)s.f_type == magic;
}

bool mounts_is_bpffs(const char *path)
{
	return is_fs(path, BPF_FS_MAGIC);
}

/* Others need search permission on every folder above the pins, or no stage reaches its iterators. */
static int let_pass(const char *path)
{
	struct stat st;

	if (stat(path, &st) < 0)
		return -errno;
	if (st.st_mode & S_IXOTH)
		return 0;
	pst_info("letting others pass through folder path=%s mode=%04o", path,
		(unsigned)(st.st_mode & 07777) | 0011);
	return chmod(path, (st.st_mode & 07777) | 0011) < 0 ? -errno : 0;
}

/* From the folder that @folder lies in upwards, as far as it is a bpffs. */
static int check_above(const char *folder)
{
	char path[PATH_MAX];
	int r = is_fs(folder, BPF_FS_MAGIC) ? 0 : -EMEDIUMTYPE;

	snprintf(path, sizeof(path), "%s", folder);
	for (char *slash = strrchr(path, '/'); slash && slash != path; slash = strrchr(path, '/')) {
		*slash = '\0';
		if (!is_fs(path, BPF_FS_MAGIC))
			break;
		r = let_pass(path);
		if (r)
			break;
	}
	return r;
}

int mounts_bpffs(const char *folder)
{
	int r = 0;

	if (!strncmp(folder, BPFFS_ROOT "/", strlen(BPFFS_ROOT "/")) && !is_fs(BPFFS_ROOT, BPF_FS_MAGIC)) {
		pst_info("mounting bpffs path=%s", BPFFS_ROOT);
		if (mount("bpf", BPFFS_ROOT, "bpf", MS_NOSUID | MS_NODEV | MS_NOEXEC, "mode=0711") < 0)
			r = -errno;
	}
	r = r ? r : check_above(folder);
	if (r == -EMEDIUMTYPE)
		pst_error("the folder of the pins must lie in a folder of a mounted bpffs path=%s", folder);
	else if (r)
		pst_error("cannot prepare bpffs path=%s error=%s", folder, strerror(-r));
	return r;
}

/* ---- mounts that nobody else sees ---- */

static int detached_mount(const char *type)
{
	PST_CLOSE int fs = fsopen(type, FSOPEN_CLOEXEC);
	int fd;

	if (fs < 0 || fsconfig(fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0)
		return -errno;
	fd = fsmount(fs, FSMOUNT_CLOEXEC, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC);
	return fd < 0 ? -errno : fd;
}

static ssize_t read_at(int dir, const char *name, char *buf, size_t size)
{
	PST_CLOSE int fd = openat(dir, name, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, buf, size - 1);

	if (n < 0)
		return -errno;
	while (n > 0 && buf[n - 1] == '\n')
		n--;
	buf[n] = '\0';
	return n;
}

ssize_t mounts_securityfs_read(const char *name, char *buf, size_t size)
{
	PST_CLOSE int dir = open("/sys/kernel/security", O_PATH | O_DIRECTORY | O_CLOEXEC);
	ssize_t n = dir < 0 ? -errno : read_at(dir, name, buf, size);

	if (n >= 0)
		return n;
	PST_CLOSE int own = detached_mount("securityfs");
	return own < 0 ? own : read_at(own, name, buf, size);
}

/* ---- cgroup2 ---- */

/* A mount of the whole hierarchy; the shortest path wins. */
static bool find_cgroup2(char *ret_path, size_t size)
{
	PST_FCLOSE FILE *f = fopen("/proc/self/mountinfo", "re");
	char line[4096], root[1024], at[1024];
	bool found = false;

	while (f && fgets(line, sizeof(line), f)) {
		const char *sep = strstr(line, " - ");

		if (!sep || strncmp(sep, " - cgroup2 ", 11))
			continue;
		if (sscanf(line, "%*s %*s %*s %1023s %1023s", root, at) != 2 || strcmp(root, "/"))
			continue;
		if (found && strlen(at) >= strlen(ret_path))
			continue;
		if (strlen(at) >= size || strchr(at, '\\')) /* an escaped name: not one of ours */
			continue;
		snprintf(ret_path, size, "%s", at);
		found = true;
	}
	return found;
}

static int open_cgroup(const char *path, char *ret_text, size_t size)
{
	int fd, r;

	if (!is_fs(path, CGROUP2_SUPER_MAGIC)) {
		snprintf(ret_text, size, "not a cgroup2 folder: %s", path);
		return -EMEDIUMTYPE;
	}
	fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	r = fd < 0 ? -errno : fd;
	if (fd < 0)
		snprintf(ret_text, size, "cannot open %s: %s", path, strerror(-r));
	else
		snprintf(ret_text, size, "%s", path);
	return r;
}

int mounts_cgroup(const char *wanted, bool may_mount, char *ret_text, size_t size)
{
	PST_CLOSE int mnt = -1;
	char path[PATH_MAX];
	int fd;

	if (strcmp(wanted, "auto"))
		return open_cgroup(wanted, ret_text, size);
	if (find_cgroup2(path, sizeof(path)))
		return open_cgroup(path, ret_text, size);
	mnt = may_mount ? detached_mount("cgroup2") : -ENOENT;
	fd = mnt < 0 ? -1 : openat(mnt, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0) {
		fd = mnt < 0 ? mnt : -errno;
		snprintf(ret_text, size, "no cgroup2 is mounted (%s)", strerror(-fd));
		return fd;
	}
	snprintf(ret_text, size, "private mount");
	return fd;
}

/* ---- run folder ---- */

int mounts_run_dir(const char *run_dir, gid_t group)
{
	struct stat st;

	if (mkdir(run_dir, 0700) < 0) {
		if (errno != EEXIST) {
			int r = -errno;

			pst_error("cannot make run folder path=%s error=%s", run_dir, strerror(-r));
			return r;
		}
		/* one that is there keeps its modes; somebody else's is not to be trusted */
		if (lstat(run_dir, &st) < 0 || !S_ISDIR(st.st_mode) || st.st_uid != geteuid()) {
			pst_error("the run folder is not a folder of root path=%s", run_dir);
			return -EPERM;
		}
		return 0;
	}
	if (chown(run_dir, 0, group) < 0 || chmod(run_dir, 01770) < 0) {
		int r = -errno;

		pst_error("cannot set up run folder path=%s error=%s", run_dir, strerror(-r));
		return r;
	}
	return 0;
}
