/* SPDX-License-Identifier: Apache-2.0 */
/* What the unit tests of proto/base share: cmocka, captured output, a temporary folder. */
#ifndef PST_TESTS_BASE_TEST_H
#define PST_TESTS_BASE_TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Sends what a descriptor (1 or 2) takes into a file until capture_end(). */
struct capture {
	int fd, saved, file;
	char text[65536];
};

static inline void capture_begin(struct capture *c, int fd)
{
	char name[] = "/tmp/pst-capture-XXXXXX";

	fflush(NULL);
	c->fd = fd;
	c->saved = dup(fd);
	c->file = mkstemp(name);
	assert_true(c->saved >= 0 && c->file >= 0);
	unlink(name);
	assert_return_code(dup2(c->file, fd), errno);
}

static inline const char *capture_end(struct capture *c)
{
	fflush(NULL);
	ssize_t n = pread(c->file, c->text, sizeof(c->text) - 1, 0);
	dup2(c->saved, c->fd);
	close(c->saved);
	close(c->file);
	assert_true(n >= 0);
	c->text[n] = '\0';
	return c->text;
}

/* A fresh folder in @path (at least 32 bytes); tmpdir_remove() takes its files with it. */
static inline void tmpdir_make(char *path)
{
	strcpy(path, "/tmp/pst-test-XXXXXX");
	assert_non_null(mkdtemp(path));
}

static inline void tmpdir_remove(const char *path)
{
	DIR *d = opendir(path);
	struct dirent *e;

	assert_non_null(d);
	while ((e = readdir(d)))
		if (e->d_name[0] != '.')
			unlinkat(dirfd(d), e->d_name, 0);
	closedir(d);
	rmdir(path);
}

static inline unsigned open_fds(void)
{
	DIR *d = opendir("/proc/self/fd");
	unsigned n = 0;

	assert_non_null(d);
	while (readdir(d))
		n++;
	closedir(d);
	return n;
}

#endif
