/* SPDX-License-Identifier: Apache-2.0 */
/* Reading iterators as the stages do: a pinned link, opened and read by somebody who has no rights at all. */
#ifndef TESTS_BPF_ITERFILE_H
#define TESTS_BPF_ITERFILE_H

#include "tests/bpf/procs.h"

/* Pins go into a bpffs of our own, so that the mode of /sys/fs/bpf (0700 under systemd) does not matter. */
static char pin_dir[128];

/* folder is one of folder_make(). */
static inline int pins_make(const char *folder)
{
	snprintf(pin_dir, sizeof(pin_dir), "%s/pins", folder);
	return mkdir(pin_dir, 0755) || mount("bpf", pin_dir, "bpf", 0, "mode=755") ? -1 : 0;
}

static inline void pin_path(const char *name, char path[160])
{
	snprintf(path, 160, "%s/%s", pin_dir, name);
}

/* Attaches the iterator (to a map, or fd -1) and pins it, readable for everyone. */
static inline void iter_pin(struct bpf_program *prog, int map_fd, const char *name)
{
	union bpf_iter_link_info info = {.map.map_fd = (__u32)map_fd};
	LIBBPF_OPTS(bpf_iter_attach_opts, opts, .link_info = &info, .link_info_len = sizeof(info));
	struct bpf_link *link = bpf_program__attach_iter(prog, map_fd < 0 ? NULL : &opts);
	char path[160];

	assert_non_null(link);
	pin_path(name, path);
	assert_int_equal(bpf_link__pin(link, path), 0);
	assert_int_equal(chmod(path, 0444), 0);
	bpf_link__disconnect(link);
	bpf_link__destroy(link);
}

static inline void iter_unpin(const char *name)
{
	char path[160];

	pin_path(name, path);
	unlink(path);
}

static inline void pins_remove(void)
{
	umount2(pin_dir, MNT_DETACH);
}

struct bytes {
	char *data;
	size_t len;
};

/* The whole pass, read by a child without any right: uid and gid 65534, no groups, reads of `chunk` bytes. */
static inline struct bytes iter_read(const char *name, size_t chunk)
{
	struct bytes b = {0};
	size_t cap = 1 << 20;
	char path[160];
	int fds[2], status;
	ssize_t n;
	pid_t pid;

	pin_path(name, path);
	assert_int_equal(pipe(fds), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (!pid) {
		char *buf = malloc(chunk);
		int fd;

		if (!buf || setresgid(65534, 65534, 65534) || setresuid(65534, 65534, 65534))
			_exit(1);
		fd = open(path, O_RDONLY);
		if (fd < 0)
			_exit(2);
		while ((n = read(fd, buf, chunk)) > 0)
			if (write(fds[1], buf, (size_t)n) != n)
				_exit(3);
		_exit(n < 0 ? 4 : 0);
	}
	close(fds[1]);
	b.data = malloc(cap);
	assert_non_null(b.data);
	while ((n = read(fds[0], b.data + b.len, cap - b.len)) > 0) {
		b.len += (size_t)n;
		if (cap - b.len < 65536) {
			cap *= 2;
			b.data = realloc(b.data, cap);
			assert_non_null(b.data);
		}
	}
	close(fds[0]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	return b;
}

#endif
