/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is done to a file, once a way leads to it. A deed returns 0 or -errno, and proves what it got hold of.
 */
#ifndef PST_ATTACK_FILES_H
#define PST_ATTACK_FILES_H

#include <linux/openat2.h>

#include "tests/helpers/attack_ways.h"

static char *extra[8]; /* further words of the line */

/* ---- open ---- */

/* The first byte of what is read is the proof. */
static long take(long fd)
{
	char byte;

	if (fd < 0)
		return fd;
	if (read((int)fd, &byte, 1) == 1)
		prove(byte);
	close((int)fd);
	return 0;
}

/* Writes what the test finds in the file. */
static long leave(long fd)
{
	if (fd < 0)
		return fd;
	if (write((int)fd, "changed", 7) != 7)
		done("broken: write: %s", strerrorname_np(errno));
	close((int)fd);
	return 0;
}

static long open_at(const struct at *at, int flags)
{
	return sys(SYS_openat, at->fd, ARG(at->path), flags, 0644);
}

static long do_read(const struct at *at)
{
	return take(open_at(at, O_RDONLY));
}

static long do_read_open(const struct at *at)
{
	return take(sys(SYS_open, ARG(at->path), O_RDONLY));
}

static long open2(const struct at *at, uint64_t flags, uint64_t resolve)
{
	const struct open_how how = {.flags = flags, .resolve = resolve};
	long fd = sys(SYS_openat2, at->fd, ARG(at->path), ARG(low_copy(&how, sizeof(how))), sizeof(how));

	if (fd == -ENOSYS)
		cannot("no openat2");
	return fd;
}

static long do_read_openat2(const struct at *at)
{
	return take(open2(at, O_RDONLY, 0));
}

static long do_read_beneath(const struct at *at)
{
	return take(open2(at, O_RDONLY, RESOLVE_BENEATH));
}

/* The folder is the root, and the path begins there. */
static long do_read_in_root(const struct at *at)
{
	const struct at root = {at->fd, low_text("/%s", at->path)};

	return take(open2(&root, O_RDONLY, RESOLVE_IN_ROOT));
}

static long do_read_cached(const struct at *at)
{
	struct stat st;

	must(fstatat(at->fd, at->path, &st, 0), "stat");
	return take(open2(at, O_RDONLY, 0x20 /* RESOLVE_CACHED */));
}

static long do_read_handle(const struct at *at)
{
	(void)at;
	return take(by_handle(O_RDONLY));
}

static long do_read_rdwr(const struct at *at)
{
	return take(open_at(at, O_RDWR));
}

static long do_read_noaccess(const struct at *at)
{
	return take(open_at(at, O_RDONLY | O_CREAT));
}

static long do_write(const struct at *at)
{
	return leave(open_at(at, O_WRONLY));
}

static long do_append(const struct at *at)
{
	return leave(open_at(at, O_WRONLY | O_APPEND));
}

static long do_create(const struct at *at)
{
	return leave(open_at(at, O_WRONLY | O_CREAT | O_EXCL));
}

static long do_creat(const struct at *at)
{
	return leave(sys(SYS_creat, ARG(at->path), 0644));
}

static long do_open_truncating(const struct at *at)
{
	long fd = open_at(at, O_RDONLY | O_TRUNC);

	return fd < 0 ? fd : 0;
}

static long do_tmpfile(const struct at *at)
{
	return leave(open_at(at, O_WRONLY | O_TMPFILE));
}

/* Opened for reading, and again for writing by its descriptor. */
static long do_write_again(const struct at *at)
{
	int fd = (int)must(open(at->path, O_RDONLY), "open for reading");

	return leave(sys(SYS_openat, AT_FDCWD, ARG(low_text("/proc/self/fd/%d", fd)), O_WRONLY, 0));
}

/* ---- exec ---- */

static char *const *arguments(void)
{
	uint64_t *list = low_alloc(16); /* of 32-bit pointers, too: what is behind the first is 0 */

	list[0] = (uint64_t)(uintptr_t)low_text("marker");
	list[1] = 0;
	return (char *const *)list;
}

static void keep_proof(void)
{
	fcntl(PROOF_FD, F_SETFD, 0);
}

static long do_exec(const struct at *at)
{
	keep_proof();
	return sys(SYS_execve, ARG(at->path), ARG(arguments()), 0);
}

static long do_execat(const struct at *at)
{
	keep_proof();
	return sys(SYS_execveat, at->fd, ARG(at->path), ARG(arguments()), 0, *at->path ? 0 : AT_EMPTY_PATH);
}

/* An attempt of a race: its process is gone afterwards. */
static long do_exec_child(const struct at *at)
{
	int status, proof[2];
	char byte;
	pid_t pid;

	must(pipe2(proof, O_CLOEXEC), "pipe");
	pid = vfork();
	if (!pid) {
		dup2(proof[1], PROOF_FD);
		execl(at->path, "marker", (char *)NULL);
		_exit(errno);
	}
	close(proof[1]);
	must(waitpid(pid, &status, 0), "wait");
	if (read(proof[0], &byte, 1) == 1)
		prove(byte);
	close(proof[0]);
	return WIFSIGNALED(status) ? -EOWNERDEAD : -WEXITSTATUS(status);
}

/* Of a program that no loader needs some of them start another one, so this is not the marker. */
static long do_exec_ldso(const struct at *at)
{
	keep_proof();
	execl("/lib64/ld-linux-x86-64.so.2", "ld.so", at->path, "prove", (char *)NULL);
	return -errno;
}

static long do_exec_shell(const struct at *at)
{
	keep_proof();
	execl("/bin/sh", "sh", at->path, (char *)NULL);
	return -errno;
}

static void put_file(const char *path, const char *text, size_t len)
{
	int fd = (int)must(open(path, O_CREAT | O_WRONLY | O_TRUNC, 0755), "a file of its own");

	must(write(fd, text, len) == (ssize_t)len ? 0 : -1, "write");
	close(fd);
}

/* The file is a script's interpreter. */
static long do_exec_shebang(const struct at *at)
{
	const char *line = low_text("#!%s\n", at->path);

	put_file(HERE("script"), line, strlen(line));
	keep_proof();
	execl(HERE("script"), "script", (char *)NULL);
	return -errno;
}

static char *contents(const char *path, size_t *ret_len)
{
	char *bytes = low_alloc(256 * 1024);
	int fd = (int)must(open(path, O_RDONLY), "open for reading");

	*ret_len = (size_t)must(read(fd, bytes, 256 * 1024), "read");
	close(fd);
	return bytes;
}

static long do_exec_copy(const struct at *at)
{
	size_t len;
	const char *bytes = contents(at->path, &len);

	put_file(HERE("copy"), bytes, len);
	keep_proof();
	execl(HERE("copy"), "marker", (char *)NULL);
	return -errno;
}

static long do_exec_memfd(const struct at *at)
{
	size_t len;
	const char *bytes = contents(at->path, &len);
	int fd = (int)must(memfd_create("attack", MFD_CLOEXEC), "memfd");

	must(write(fd, bytes, len) == (ssize_t)len ? 0 : -1, "write");
	keep_proof();
	return sys(SYS_execveat, fd, ARG(low_text("%s", "")), ARG(arguments()), 0, AT_EMPTY_PATH);
}

static long do_exec_unlinked(const struct at *at)
{
	int fd = open_path(at->path);

	must(unlink(at->path), "unlink");
	keep_proof();
	return sys(SYS_execveat, fd, ARG(low_text("%s", "")), ARG(arguments()), 0, AT_EMPTY_PATH);
}

/* ---- names ---- */

static long do_unlink(const struct at *at)
{
	return sys(SYS_unlink, ARG(at->path));
}

static long do_unlinkat(const struct at *at)
{
	return sys(SYS_unlinkat, at->fd, ARG(at->path), 0);
}

static long do_rmdir(const struct at *at)
{
	return sys(SYS_rmdir, ARG(at->path));
}

static long do_unlinkat_dir(const struct at *at)
{
	return sys(SYS_unlinkat, at->fd, ARG(at->path), AT_REMOVEDIR);
}

/* On the same mount, and below the same root. */
static char *beside(const struct at *at)
{
	const char *slash = strrchr(at->path, '/');

	return low_text("%.*saway", slash ? (int)(slash + 1 - at->path) : 0, at->path);
}

static long do_rename(const struct at *at)
{
	return sys(SYS_rename, ARG(at->path), ARG(beside(at)));
}

static long do_renameat2(const struct at *at)
{
	return sys(SYS_renameat2, at->fd, ARG(at->path), at->fd, ARG(beside(at)), 0);
}

/* Another file takes its name. */
static long do_rename_over(const struct at *at)
{
	put_file(HERE("in/mine"), "mine", 4);
	return sys(SYS_renameat2, AT_FDCWD, ARG(HERE("in/mine")), at->fd, ARG(at->path), 0);
}

static long do_rename_exchange(const struct at *at)
{
	put_file(HERE("in/mine"), "mine", 4);
	return sys(SYS_renameat2, AT_FDCWD, ARG(HERE("in/mine")), at->fd, ARG(at->path), 2);
}

static long do_rename_parent(const struct at *at)
{
	(void)at;
	return sys(SYS_rename, ARG(HERE("in")), ARG(HERE("out")));
}

static long do_link(const struct at *at)
{
	return sys(SYS_link, ARG(at->path), ARG(HERE("away")));
}

static long link_from(const struct at *at, int flags)
{
	return sys(SYS_linkat, at->fd, ARG(at->path), AT_FDCWD, ARG(HERE("away")), flags);
}

static long do_linkat(const struct at *at)
{
	return link_from(at, *at->path ? AT_SYMLINK_FOLLOW : AT_EMPTY_PATH);
}

/* A link by the name that is forbidden, to another file. */
static long do_link_over(const struct at *at)
{
	put_file(HERE("in/mine"), "mine", 4);
	return sys(SYS_linkat, AT_FDCWD, ARG(HERE("in/mine")), at->fd, ARG(at->path), 0);
}

static long do_symlink(const struct at *at)
{
	return sys(SYS_symlink, ARG(low_text("/nowhere")), ARG(at->path));
}

static long do_symlinkat(const struct at *at)
{
	return sys(SYS_symlinkat, ARG(low_text("/nowhere")), at->fd, ARG(at->path));
}

static long do_mkdir(const struct at *at)
{
	return sys(SYS_mkdir, ARG(at->path), 0755);
}

static long do_mkdirat(const struct at *at)
{
	return sys(SYS_mkdirat, at->fd, ARG(at->path), 0755);
}

/* ---- attributes ---- */

#define NEW_MODE 0604
#define NEW_ID   61042

static long do_chmod(const struct at *at)
{
	return sys(SYS_chmod, ARG(at->path), NEW_MODE);
}

static long do_fchmodat(const struct at *at)
{
	return sys(SYS_fchmodat, at->fd, ARG(at->path), NEW_MODE);
}

static long do_fchmod(const struct at *at)
{
	return sys(SYS_fchmod, ARG(must(open(at->path, O_RDONLY), "open for reading")), NEW_MODE);
}

static long do_fchmodat2(const struct at *at)
{
	long r = sys(452, at->fd, ARG(at->path), NEW_MODE, *at->path ? 0 : AT_EMPTY_PATH);

	if (r == -ENOSYS)
		cannot("no fchmodat2");
	return r;
}

static long do_chown(const struct at *at)
{
	return sys(SYS_chown, ARG(at->path), NEW_ID, NEW_ID);
}

static long do_lchown(const struct at *at)
{
	return sys(SYS_lchown, ARG(at->path), NEW_ID, NEW_ID);
}

static long do_fchown(const struct at *at)
{
	return sys(SYS_fchown, ARG(must(open(at->path, O_RDONLY), "open for reading")), NEW_ID, NEW_ID);
}

static long do_fchownat(const struct at *at)
{
	return sys(SYS_fchownat, at->fd, ARG(at->path), NEW_ID, NEW_ID, *at->path ? 0 : AT_EMPTY_PATH);
}

static long do_truncate(const struct at *at)
{
	return sys(SYS_truncate, ARG(at->path), 0);
}

/* ---- mounts ---- */

static long do_mount_bind(const struct at *at)
{
	return sys(SYS_mount, ARG(HERE("mnt")), ARG(at->path), 0, MS_BIND, 0);
}

static long do_mount_tmpfs(const struct at *at)
{
	return sys(SYS_mount, ARG(low_text("none")), ARG(at->path), ARG(low_text("tmpfs")), 0, 0);
}

static long new_mount(void)
{
	int fs = (int)syscall(SYS_fsopen, "tmpfs", 0);

	if (fs < 0)
		cannot("no fsopen");
	must(syscall(SYS_fsconfig, fs, 6 /* create */, NULL, NULL, 0), "fsconfig");
	return must(syscall(SYS_fsmount, fs, 0, 0), "fsmount");
}

static long move_to(long tree, const struct at *at)
{
	return sys(SYS_move_mount, tree, ARG(low_text("%s", "")), at->fd, ARG(at->path),
		4 /* from the descriptor */);
}

static long do_mount_new(const struct at *at)
{
	return move_to(new_mount(), at);
}

static long do_mount_tree(const struct at *at)
{
	long tree = syscall(SYS_open_tree, AT_FDCWD, HERE("mnt"), OPEN_TREE_CLONE);

	if (tree < 0)
		cannot("no open_tree");
	return move_to(tree, at);
}

static long do_mount_move(const struct at *at)
{
	must(mount("none", HERE("mnt"), "tmpfs", 0, NULL), "mount of a tmpfs");
	return sys(SYS_mount, ARG(HERE("mnt")), ARG(at->path), 0, MS_MOVE, 0);
}

static void mounted_there(const struct at *at)
{
	must(mount("none", at->path, "tmpfs", 0, NULL), "mount of a tmpfs");
}

static long do_umount(const struct at *at)
{
	mounted_there(at);
	return sys(SYS_umount2, ARG(at->path), 0);
}

static long do_umount_lazy(const struct at *at)
{
	mounted_there(at);
	return sys(SYS_umount2, ARG(at->path), MNT_DETACH);
}

static long do_pivot_root(const struct at *at)
{
	char mounts[4096] = "";
	int fd = (int)must(open("/proc/self/mountinfo", O_RDONLY), "open of its mounts");

	must(read(fd, mounts, sizeof(mounts) - 1), "read");
	if (strstr(mounts, " - rootfs "))
		cannot("the root is the kernel's own, which stays");
	mounted_there(at);
	must(mkdir(low_text("%s/old", at->path), 0755), "mkdir");
	return sys(SYS_pivot_root, ARG(at->path), ARG(low_text("%s/old", at->path)));
}

#endif
