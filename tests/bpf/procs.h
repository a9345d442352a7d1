/* SPDX-License-Identifier: Apache-2.0 */
/* For the tests of process records: children to watch, and what /proc says of them. */
#ifndef TESTS_BPF_PROCS_H
#define TESTS_BPF_PROCS_H

#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/bpf/reclog.h"

static inline uint32_t kernel_dev(dev_t dev)
{
	return major(dev) << 20 | minor(dev);
}

/* ---- what /proc says ---- */

static inline void slurp(const char *path, char *buf, size_t size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n;

	buf[0] = '\0';
	if (fd < 0)
		return;
	n = read(fd, buf, size - 1);
	buf[n > 0 ? n : 0] = '\0';
	close(fd);
}

static inline void proc_slurp(pid_t pid, const char *file, char *buf, size_t size)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/%s", pid, file);
	slurp(path, buf, size);
}

static inline uint64_t proc_caps(pid_t pid)
{
	char buf[4096];
	const char *at;

	proc_slurp(pid, "status", buf, sizeof(buf));
	at = strstr(buf, "CapEff:");
	assert_non_null(at);
	return strtoull(at + 7, NULL, 16);
}

/* Start in clock ticks of CLOCK_BOOTTIME. */
static inline uint64_t proc_start_ticks(pid_t pid)
{
	char buf[1024], *at;

	proc_slurp(pid, "stat", buf, sizeof(buf));
	at = strrchr(buf, ')');
	assert_non_null(at);
	for (int i = 0; i < 20; i++)
		at = strchr(at + 1, ' ');
	return strtoull(at, NULL, 10);
}

static inline uint32_t proc_ns(pid_t pid, const char *name)
{
	char path[64];
	struct stat st;

	snprintf(path, sizeof(path), "/proc/%d/ns/%s", pid, name);
	return stat(path, &st) ? 0 : (uint32_t)st.st_ino;
}

static inline void assert_ns(const struct pst_ns *ns, pid_t pid)
{
	assert_int_equal(ns->mnt, proc_ns(pid, "mnt"));
	assert_int_equal(ns->pid, proc_ns(pid, "pid"));
	assert_int_equal(ns->net, proc_ns(pid, "net"));
	assert_int_equal(ns->user, proc_ns(pid, "user"));
	assert_int_equal(ns->uts, proc_ns(pid, "uts"));
	assert_int_equal(ns->ipc, proc_ns(pid, "ipc"));
	assert_int_equal(ns->cgroup, proc_ns(pid, "cgroup"));
	assert_int_equal(ns->time, proc_ns(pid, "time"));
}

/* ---- running things ---- */

/* Runs fn in a child, which must not return; its pid. The record of its fork has been seen. */
static inline pid_t run(void (*fn)(void *), void *arg)
{
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (!pid) {
		fn(arg);
		_exit(99);
	}
	return pid;
}

static inline int reap(pid_t pid)
{
	int status;

	assert_int_equal(waitpid(pid, &status, 0), pid);
	return status;
}

static inline void copy_file(const char *from, const char *to, mode_t mode)
{
	char buf[65536];
	int in = open(from, O_RDONLY | O_CLOEXEC),
	    out = open(to, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode);
	ssize_t n;

	assert_true(in >= 0 && out >= 0);
	while ((n = read(in, buf, sizeof(buf))) > 0)
		assert_int_equal(write(out, buf, (size_t)n), n);
	assert_int_equal(fchmod(out, mode), 0);
	close(in);
	close(out);
}

static inline void start_thread(void *(*fn)(void *), intptr_t arg)
{
	pthread_t t;

	if (pthread_create(&t, NULL, fn, (void *)arg))
		_exit(97);
}

/* Where cgroup v2 is mounted, or NULL. */
static inline const char *cgroup2(void)
{
	static char mounts[65536], at[256];
	char *line;

	slurp("/proc/self/mounts", mounts, sizeof(mounts));
	for (line = strtok(mounts, "\n"); line; line = strtok(NULL, "\n")) {
		char type[32];

		if (sscanf(line, "%*s %255s %31s", at, type) == 2 && !strcmp(type, "cgroup2"))
			return at;
	}
	return NULL;
}

/*
 * A folder for the test's files: a file system of its own, in a mount namespace of its own, so
 * that set-user-ID files work and an overlay can lie on it. 0, or -1.
 */
static inline int folder_make(char *dir, size_t size)
{
	snprintf(dir, size, "/tmp/pst-test-%d", getpid());
	if (mkdir(dir, 0755) || unshare(CLONE_NEWNS) || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) ||
		mount("none", dir, "tmpfs", 0, NULL))
		return -1;
	return 0;
}

static inline int folder_remove(const char *dir)
{
	return umount2(dir, MNT_DETACH) || rmdir(dir) ? -1 : 0;
}

#endif
