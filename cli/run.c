// SPDX-License-Identifier: Apache-2.0
#include "cli/run.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cli/cli.h"
#include "proto/base/cleanup.h"

#define TEXT_MAX (1u << 20)

static void become(const char *path, const char *stage, const char *const *args, int to, int capture)
{
	size_t n = 0;
	char **argv;

	while (args[n])
		n++;
	argv = calloc(n + 2, sizeof(*argv));
	if (!argv)
		_exit(PST_EXIT_SYSTEM);
	argv[0] = (char *)(uintptr_t)path;
	for (size_t i = 0; i < n; i++)
		argv[i + 1] = (char *)(uintptr_t)args[i];
	if (capture >= 0)
		dup2(to, capture);
	execv(path, argv);
	fprintf(stderr, "penstock: can't run %s: %s (give the folder of penstock-%s with --bindir)\n", path,
		strerror(errno), stage);
	_exit(PST_EXIT_USAGE);
}

/* Until the end; what is too much is read and dropped, so that the writer does not hang. */
static char *read_text(int fd)
{
	char *text = calloc(1, TEXT_MAX + 1), rest[4096];
	size_t len = 0;
	ssize_t n;

	if (!text)
		return NULL;
	for (;;) {
		n = len < TEXT_MAX ? read(fd, text + len, TEXT_MAX - len) : read(fd, rest, sizeof(rest));
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return text;
		len += len < TEXT_MAX ? (size_t)n : 0;
	}
}

int run_stage(const char *bindir, const char *stage, const char *const *args, int capture, char **ret_text)
{
	PST_FREE char *dir = cli_bindir(bindir);
	PST_FREE char *path = NULL;
	PST_CLOSE int from = -1;
	int ends[2], status;
	pid_t pid;

	if (!dir || asprintf(&path, "%s/penstock-%s", dir, stage) < 0)
		return -ENOMEM;
	if (pipe2(ends, O_CLOEXEC) < 0)
		return -errno;
	from = ends[0];
	fflush(stdout);
	pid = fork();
	if (pid == 0)
		become(path, stage, args, ends[1], capture);
	close(ends[1]);
	if (pid < 0)
		return -errno;
	if (capture >= 0)
		*ret_text = read_text(from);
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return -errno;
	return WIFEXITED(status) ? WEXITSTATUS(status) : PST_EXIT_SYSTEM;
}
