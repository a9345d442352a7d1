// SPDX-License-Identifier: Apache-2.0
#include "proto/base/notify.h"
#include "proto/base/cleanup.h"
#include "proto/base/log.h"

#include <fcntl.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

static struct {
	int fd;   /* takes one newline */
	int sock; /* connected to systemd */
	bool ready;
} notify = {.fd = -1, .sock = -1};

static int open_fd(const char *text)
{
	char *end;

	errno = 0;
	long fd = strtol(text, &end, 10);
	if (errno || end == text || *end || fd < 3 || fd > INT32_MAX)
		return -EINVAL;
	int flags = fcntl((int)fd, F_GETFD);
	if (flags < 0 || fcntl((int)fd, F_SETFD, flags | FD_CLOEXEC) < 0)
		return -errno;
	notify.fd = (int)fd;
	return 0;
}

/* A path, or "@name" in the abstract namespace (sd_notify(3)). */
static int open_socket(const char *path)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	size_t len = strlen(path);

	if ((path[0] != '/' && path[0] != '@') || len < 2 || len >= sizeof(addr.sun_path))
		return -EINVAL;
	memcpy(addr.sun_path, path, len);
	if (path[0] == '@')
		addr.sun_path[0] = '\0';
	PST_CLOSE int sock = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (sock < 0)
		return -errno;
	/* Connected now: within the sandbox the path may be out of reach. */
	if (connect(sock, (struct sockaddr *)&addr,
		    (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len)) < 0)
		return -errno;
	notify.sock = PST_TAKE_FD(sock);
	return 0;
}

/* Opens by what @name says, and takes it out of the environment. */
static int open_by_env(const char *name, int (*open_fn)(const char *value))
{
	const char *value = getenv(name);
	int r = 0;

	if (value && *value)
		r = open_fn(value);
	if (r < 0)
		pst_error("cannot tell readiness %s=%s: %s", name, value, strerror(-r));
	unsetenv(name);
	return r;
}

int pst_notify_open(void)
{
	int a = open_by_env("PENSTOCK_NOTIFY_FD", open_fd);
	int b = open_by_env("NOTIFY_SOCKET", open_socket);

	return a < 0 ? a : b;
}

static void tell(const char *text)
{
	if (notify.sock >= 0 && send(notify.sock, text, strlen(text), MSG_NOSIGNAL) < 0)
		pst_warn_limited("systemd did not take a notification: %m");
}

void pst_notify_ready(void)
{
	if (notify.ready)
		return;
	notify.ready = true;
	if (notify.fd >= 0) {
		if (write(notify.fd, "\n", 1) != 1)
			pst_warn("the supervisor did not take the sign of readiness: %m");
		close(PST_TAKE_FD(notify.fd));
	}
	tell("READY=1\n");
}

void pst_notify_status(const char *text)
{
	char line[256];

	/* One line only: another one could carry a command of its own. */
	snprintf(line, sizeof(line), "STATUS=%.*s\n", (int)PST_MIN(strcspn(text, "\r\n"), sizeof(line) - 16),
		text);
	tell(line);
}

void pst_notify_stopping(void)
{
	tell("STOPPING=1\n");
}
