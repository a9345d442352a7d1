/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Ways to a file that is forbidden by its path. The row's folder has `in` with the file in it, and `mnt`,
 * which is empty; whatever a way needs it makes itself, as an attacker would.
 */
#ifndef PST_ATTACK_WAYS_H
#define PST_ATTACK_WAYS_H

#include <fcntl.h>
#include <linux/mount.h>
#include <pthread.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "tests/helpers/attack_calls.h"

#ifndef AT_EMPTY_PATH
#define AT_EMPTY_PATH 0x1000
#endif

struct at {
	int fd;
	char *path; /* in low memory; "": the file is the descriptor's */
};

static const char *folder; /* of the row */
static const char *name;   /* of the file in `in`, which may have folders in it */
static bool racing;        /* what `at` leads to changes all the time */

#define IN()    low_text("%s/in/%s", folder, name)
#define HERE(x) low_text("%s/" x, folder)

static int open_path(const char *path)
{
	return (int)must(open(path, O_PATH | O_CLOEXEC), "open as O_PATH");
}

static struct at plain(char *path)
{
	return (struct at){AT_FDCWD, path};
}

static struct at way_path(void)
{
	return plain(IN());
}

static struct at way_symlink(void)
{
	must(symlink(IN(), HERE("symlink")), "symlink");
	return plain(HERE("symlink"));
}

static struct at way_symlink_parent(void)
{
	must(symlink(HERE("in"), HERE("folder")), "symlink");
	return plain(low_text("%s/folder/%s", folder, name));
}

static struct at way_hardlink(void)
{
	must(link(IN(), HERE("hardlink")), "link");
	return plain(HERE("hardlink"));
}

static struct at way_renamed(void)
{
	must(rename(IN(), HERE("renamed")), "rename");
	return plain(HERE("renamed"));
}

static struct at way_parent_renamed(void)
{
	must(rename(HERE("in"), HERE("out")), "rename");
	return plain(low_text("%s/out/%s", folder, name));
}

/* ---- other spellings ---- */

static struct at way_relative(void)
{
	must(chdir(HERE("in")), "chdir");
	return plain(low_text("%s", name));
}

static struct at way_dotdot(void)
{
	return plain(low_text("%s/mnt/../in/./%s", folder, name));
}

static struct at way_slashes(void)
{
	return plain(low_text("/%s//in////%s", folder, name));
}

static struct at way_proc_fd(void)
{
	return plain(low_text("/proc/self/fd/%d", open_path(IN())));
}

static struct at way_proc_fd_folder(void)
{
	return plain(low_text("/proc/self/fd/%d/%s", open_path(HERE("in")), name));
}

static struct at way_proc_root(void)
{
	return plain(low_text("/proc/self/root%s/in/%s", folder, name));
}

static struct at way_proc_cwd(void)
{
	must(chdir(HERE("in")), "chdir");
	return plain(low_text("/proc/self/cwd/%s", name));
}

static struct at way_dirfd(void)
{
	return (struct at){open_path(HERE("in")), low_text("%s", name)};
}

static struct at way_empty(void)
{
	return (struct at){open_path(IN()), low_text("%s", "")};
}

/* The folder's descriptor comes from another process over a socket. */
static struct at way_passed_dirfd(void)
{
	union {
		struct cmsghdr head;
		char room[CMSG_SPACE(sizeof(int))];
	} control = {0};
	char byte = 0;
	struct iovec iov = {&byte, 1};
	struct msghdr m = {.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control.room,
		.msg_controllen = sizeof(control.room)};
	int pair[2], fd;

	must(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), "socketpair");
	if (!must(fork(), "fork")) {
		fd = open_path(HERE("in"));
		control.head = (struct cmsghdr){CMSG_LEN(sizeof(int)), SOL_SOCKET, SCM_RIGHTS};
		memcpy(CMSG_DATA(&control.head), &fd, sizeof(fd));
		_exit(sendmsg(pair[0], &m, 0) != 1);
	}
	must(recvmsg(pair[1], &m, 0) == 1 ? 0 : -1, "recvmsg");
	memcpy(&fd, CMSG_DATA(&control.head), sizeof(fd));
	return (struct at){fd, low_text("%s", name)};
}

/* Longer than any path: from folder to folder, and the rest is short. */
static struct at way_descend(void)
{
	const char *from = name, *slash;

	must(chdir(HERE("in")), "chdir");
	for (; (slash = strchr(from, '/')); from = slash + 1)
		must(chdir(strndup(from, (size_t)(slash - from))), "chdir");
	return plain(low_text("%s", from));
}

static struct at way_chroot(void)
{
	if (chroot(HERE("in")))
		cannot("no chroot");
	must(chdir("/"), "chdir");
	return plain(low_text("/%s", name));
}

/* ---- mounts ---- */

static void own_mounts(int more)
{
	if (unshare(CLONE_NEWNS | more))
		cannot(more ? "no user namespaces" : "no mount namespaces");
	must(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL), "private mounts");
}

static void bind_to(const char *from, const char *to)
{
	must(mount(from, to, NULL, MS_BIND, NULL), "bind mount");
}

static struct at way_mount_ns(void)
{
	own_mounts(0);
	return way_path();
}

static struct at way_user_ns(void)
{
	own_mounts(CLONE_NEWUSER);
	return way_path();
}

static struct at bound_file(void)
{
	must(close((int)must(open(HERE("bound"), O_CREAT | O_WRONLY, 0755), "open")), "close");
	bind_to(IN(), HERE("bound"));
	return plain(HERE("bound"));
}

static struct at bound_folder(void)
{
	bind_to(HERE("in"), HERE("mnt"));
	return plain(low_text("%s/mnt/%s", folder, name));
}

static struct at way_bind_file(void)
{
	own_mounts(0);
	return bound_file();
}

static struct at way_bind_folder(void)
{
	own_mounts(0);
	return bound_folder();
}

static struct at way_user_ns_bind(void)
{
	own_mounts(CLONE_NEWUSER);
	return bound_folder();
}

/* Something harmless is mounted over the folder, and its file used below it by a descriptor of before. */
static struct at way_covered(void)
{
	struct at at = way_dirfd();

	own_mounts(0);
	at.fd = open_path(HERE("in"));
	must(mount("none", HERE("in"), "tmpfs", 0, NULL), "mount of a tmpfs");
	return at;
}

static struct at way_overlay(void)
{
	own_mounts(0);
	if (mount("none", HERE("mnt"), "overlay", 0,
		    low_text("lowerdir=%s/in,upperdir=%s/upper,workdir=%s/work", folder, folder, folder)) &&
		mount("none", HERE("mnt"), "overlay", 0, low_text("lowerdir=%s/in:%s/upper", folder, folder)))
		cannot("no overlay of this file system");
	return plain(low_text("%s/mnt/%s", folder, name));
}

/* A copy of the mount that is in no namespace. */
static struct at way_tree(void)
{
	int fd = (int)syscall(SYS_open_tree, AT_FDCWD, HERE("in"), OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);

	if (fd < 0)
		cannot("no open_tree");
	return (struct at){fd, low_text("%s", name)};
}

/* Unmounted while a descriptor is left. */
static struct at way_lazy(void)
{
	struct at at = {-1, low_text("%s", name)};

	own_mounts(0);
	bound_folder();
	at.fd = open_path(HERE("mnt"));
	must(umount2(HERE("mnt"), MNT_DETACH), "umount");
	return at;
}

/* By the root of a process in other mounts. */
static struct at way_other_root(void)
{
	int ready[2];
	char byte;
	pid_t pid;

	must(pipe(ready), "pipe");
	pid = (pid_t)must(fork(), "fork");
	if (!pid) {
		own_mounts(0);
		bound_folder();
		if (write(ready[1], "x", 1) == 1)
			pause();
		_exit(1);
	}
	must(read(ready[0], &byte, 1) == 1 ? 0 : -1, "the other process");
	return plain(low_text("/proc/%d/root%s/mnt/%s", pid, folder, name));
}

static int by_handle(int flags)
{
	struct file_handle *h = low_alloc(sizeof(*h) + MAX_HANDLE_SZ);
	int mount_id, fd;

	h->handle_bytes = MAX_HANDLE_SZ;
	if (name_to_handle_at(AT_FDCWD, IN(), h, &mount_id, 0))
		cannot("this file system has no handles");
	fd = (int)sys(SYS_open_by_handle_at,
		ARG(must(open(folder, O_RDONLY | O_CLOEXEC), "open of the folder")), ARG(h), ARG(flags));
	return fd;
}

static struct at way_handle(void)
{
	return (struct at){(int)must(by_handle(O_PATH | O_CLOEXEC), "open_by_handle_at"), low_text("%s", "")};
}

/* ---- races ---- */

static useconds_t turn_us; /* where an attempt takes long, so does a turn */

static void take_turns(void)
{
	if (turn_us)
		usleep(turn_us);
	else
		sched_yield();
}

/* Two texts of the same length take turns where the path is read. */
static void *swap_text(void *path)
{
	size_t len = strlen(path);
	char other[64], was[64];

	memcpy(was, (char *)path + len - 6, 6);
	memcpy(other, "public", 6);
	for (;;) {
		memcpy((char *)path + len - 6, other, 6);
		take_turns();
		memcpy((char *)path + len - 6, was, 6);
		take_turns();
	}
	return NULL;
}

static void *swap_symlink(void *path)
{
	char *next = low_text("%s.next", (char *)path), *other = low_text("%s/in/public", folder),
	     *was = IN();

	for (;;) {
		if (symlink(other, next) || rename(next, path))
			return NULL;
		take_turns();
		if (symlink(was, next) || rename(next, path))
			return NULL;
		take_turns();
	}
}

static void *swap_names(void *path)
{
	char *other = low_text("%s/in/public", folder);

	while (!syscall(SYS_renameat2, AT_FDCWD, path, AT_FDCWD, other, 2 /* RENAME_EXCHANGE */))
		take_turns();
	return NULL;
}

static struct at race(void *(*swap)(void *), char *path)
{
	pthread_t thread;

	racing = true;
	if (pthread_create(&thread, NULL, swap, path))
		done("broken: no thread");
	return plain(path);
}

static struct at way_race_text(void)
{
	return race(swap_text, IN());
}

static struct at way_race_symlink(void)
{
	must(symlink(IN(), HERE("race")), "symlink");
	return race(swap_symlink, HERE("race"));
}

static struct at way_race_names(void)
{
	return race(swap_names, IN());
}

static const struct way {
	const char *name;
	struct at (*go)(void);
} ways[] = {
	{"path", way_path},
	{"symlink", way_symlink},
	{"symlink-parent", way_symlink_parent},
	{"hardlink", way_hardlink},
	{"renamed", way_renamed},
	{"parent-renamed", way_parent_renamed},
	{"relative", way_relative},
	{"dotdot", way_dotdot},
	{"slashes", way_slashes},
	{"proc-fd", way_proc_fd},
	{"proc-fd-folder", way_proc_fd_folder},
	{"proc-root", way_proc_root},
	{"proc-cwd", way_proc_cwd},
	{"dirfd", way_dirfd},
	{"empty", way_empty},
	{"passed-dirfd", way_passed_dirfd},
	{"descend", way_descend},
	{"chroot", way_chroot},
	{"mount-ns", way_mount_ns},
	{"user-ns", way_user_ns},
	{"bind-file", way_bind_file},
	{"bind-folder", way_bind_folder},
	{"user-ns-bind", way_user_ns_bind},
	{"covered", way_covered},
	{"overlay", way_overlay},
	{"tree", way_tree},
	{"lazy", way_lazy},
	{"other-root", way_other_root},
	{"handle", way_handle},
	{"race-text", way_race_text},
	{"race-symlink", way_race_symlink},
	{"race-names", way_race_names},
};

#endif
