// SPDX-License-Identifier: Apache-2.0
#include "cli/report.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "cli/cli.h"
#include "proto/base/cleanup.h"
#include "proto/base/loop.h"

#define STALE_NS 30000000000ll /* the loader writes it every 10 s while it serves */

json_t *report_load(const char *run_dir, char *error, size_t size)
{
	PST_FREE char *path = NULL;
	PST_CLOSE int fd = -1;
	json_error_t e;
	json_t *root;

	if (asprintf(&path, "%s/loader.json", run_dir) < 0)
		return NULL;
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOFOLLOW);
	if (fd < 0) {
		snprintf(error, size, "%s: %s%s", path, strerror(errno),
			errno == ENOENT   ? " (is Penstock up?)"
			: errno == EACCES ? " (are you in the group penstock?)"
					  : "");
		return NULL;
	}
	root = json_loadfd(fd, 0, &e);
	if (!root)
		snprintf(error, size, "%s:%d:%d: %s", path, e.line, e.column, e.text);
	return root;
}

const char *report_text(const json_t *object, const char *key)
{
	const char *text = json_string_value(json_object_get(object, key));

	return text ? text : "";
}

const char *report_safe(const json_t *object, const char *key)
{
	return cli_safe(report_text(object, key));
}

const char *report_reason(const json_t *why)
{
	const char *rung = report_text(why, "rung"), *reason = report_text(why, "reason");
	size_t n = strlen(rung);

	return cli_safe(
		n && !strncmp(reason, rung, n) && !strncmp(reason + n, ": ", 2) ? reason + n + 2 : reason);
}

/* 0, or why nobody takes a connection. */
static int knock(const char *run_dir)
{
	PST_CLOSE int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	int n = snprintf(addr.sun_path, sizeof(addr.sun_path), "%s/loader.fds", run_dir);

	if (fd < 0 || n < 0 || (size_t)n >= sizeof(addr.sun_path))
		return -ENAMETOOLONG;
	return connect(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0 ? -errno : 0;
}

enum loader_state report_loader_state(const char *run_dir, const json_t *report)
{
	json_int_t written = json_integer_value(json_object_get(report, "written_boot_ns"));
	int e;

	if (!report)
		return LOADER_DOWN;
	if (!json_is_true(json_object_get(report, "serving")))
		return LOADER_DONE;
	e = knock(run_dir);
	if (e == -ECONNREFUSED || e == -ENOENT)
		return LOADER_DOWN;
	return (json_int_t)pst_now_boot_ns() - written > STALE_NS ? LOADER_DOWN : LOADER_UP;
}
