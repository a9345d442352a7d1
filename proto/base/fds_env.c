// SPDX-License-Identifier: Apache-2.0
/* Descriptors that the supervisor passes: PENSTOCK_FDS, or systemd's fd store. */
#include "proto/base/cleanup.h"
#include "proto/base/fds_internal.h"
#include "proto/base/log.h"

#include <fcntl.h>
#include <inttypes.h>
#include <string.h>

#define LISTEN_FDS_START 3 /* sd_listen_fds(3) */

static int parse_number(const char *text, uint64_t *ret_value)
{
	uint64_t n = 0;

	if (!*text)
		return -EINVAL;
	for (; *text; text++)
		if (*text < '0' || *text > '9' || __builtin_mul_overflow(n, 10, &n) ||
			__builtin_add_overflow(n, (uint64_t)(*text - '0'), &n))
			return -EINVAL;
	*ret_value = n;
	return 0;
}

int pst_fds_map(int fd, struct pst_fd_map *ret_map)
{
	struct pst_fd_map map = {0};
	char path[64], line[256];
	bool is_map = false;

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
	PST_FCLOSE FILE *f = fopen(path, "re");
	if (!f)
		return -errno;
	while (fgets(line, sizeof(line), f)) {
		is_map |= sscanf(line, "map_type: %" SCNu32, &map.type) == 1;
		sscanf(line, "value_size: %" SCNu32, &map.value_size);
		sscanf(line, "max_entries: %" SCNu64, &map.max_entries);
	}
	if (!is_map)
		return -EBADF;
	*ret_map = map;
	return 0;
}

/* Bytes of a ring, entries of an array. 0 if it is something else. */
static uint64_t map_size(int fd)
{
	struct pst_fd_map map = {0};

	return pst_fds_map(fd, &map) < 0 ? 0 : map.max_entries;
}

/* Takes over an inherited descriptor: from here on it is ours and goes to no child. */
static int adopt(struct pst_fds *fds, uint64_t fd, const char *name, const char *size_text)
{
	uint64_t size;

	if (fd < LISTEN_FDS_START || fd > INT32_MAX || !fds_name_ok(name, PST_FD_NAME_LEN))
		return -EINVAL;
	int flags = fcntl((int)fd, F_GETFD);
	if (flags < 0)
		return -EBADF;
	for (unsigned i = 0; i < fds->n; i++)
		if (fds->v[i].fd == (int)fd)
			return -EEXIST;
	if (!size_text)
		size = map_size((int)fd);
	else if (parse_number(size_text, &size) < 0)
		return -EINVAL;
	int r = fds_add(fds, name, size, (int)fd);
	if (!r)
		fcntl((int)fd, F_SETFD, flags | FD_CLOEXEC);
	return r;
}

/* fd:name[:size],... */
static int from_penstock(char *text, struct pst_fds *fds)
{
	char *item;

	while ((item = strsep(&text, ","))) {
		char *fd_text = strsep(&item, ":"), *name = strsep(&item, ":"), *size = item;
		uint64_t fd;

		if (!name || parse_number(fd_text, &fd) < 0)
			return -EINVAL;
		int r = adopt(fds, fd, name, size);
		if (r < 0)
			return r;
	}
	return 0;
}

/* LISTEN_FDS descriptors from 3 on, LISTEN_FDNAMES name:name:... */
static int from_systemd(const char *count_text, char *names, struct pst_fds *fds)
{
	uint64_t count;

	if (parse_number(count_text, &count) < 0 || count > PST_FDS_MAX)
		return -EINVAL;
	for (uint64_t i = 0; i < count; i++) {
		const char *name = strsep(&names, ":");
		int r = name ? adopt(fds, LISTEN_FDS_START + i, name, NULL) : -EINVAL;

		if (r < 0)
			return r;
	}
	return 0;
}

/* The variable's value, removed from the environment: it is meant for this process alone. */
static char *take_env(const char *name)
{
	const char *value = getenv(name);
	char *copy = value ? strdup(value) : NULL;

	unsetenv(name);
	return copy;
}

static bool for_this_process(const char *pid_text)
{
	uint64_t pid;

	return pid_text && !parse_number(pid_text, &pid) && pid == (uint64_t)getpid();
}

int pst_fds_inherited(struct pst_fds *ret_fds)
{
	struct pst_fds fds = {.n = 0};
	PST_FREE char *own = take_env("PENSTOCK_FDS");
	PST_FREE char *pid = take_env("LISTEN_PID");
	PST_FREE char *count = take_env("LISTEN_FDS");
	PST_FREE char *names = take_env("LISTEN_FDNAMES");
	int r = -ENOENT;

	if (own && *own)
		r = from_penstock(own, &fds);
	else if (count && names && for_this_process(pid))
		r = from_systemd(count, names, &fds);
	if (r < 0 && r != -ENOENT)
		pst_warn("unusable descriptors in the environment, asking the loader: %s", strerror(-r));
	/* What was taken before the error stays open: with such a text it may just as well be our own. */
	if (r < 0)
		return r;
	if (!fds.n)
		return -ENOENT;
	*ret_fds = fds;
	return 0;
}

int pst_fds_env(const struct pst_fds *fds, char *buf, size_t size)
{
	size_t len = 0;

	if (!size)
		return -ENOSPC;
	buf[0] = '\0';
	for (unsigned i = 0; i < fds->n; i++) {
		const struct pst_fd *f = &fds->v[i];
		int n = snprintf(
			buf + len, size - len, "%s%d:%s:%" PRIu64, i ? "," : "", f->fd, f->name, f->size);

		if (n < 0 || (size_t)n >= size - len)
			return -ENOSPC;
		len += (size_t)n;
	}
	return 0;
}
