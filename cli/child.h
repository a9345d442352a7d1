/* SPDX-License-Identifier: Apache-2.0 */
/* One supervised process: start, readiness by a newline, restart with backoff, stop. */
#ifndef CLI_CHILD_H
#define CLI_CHILD_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "proto/base/fds.h"
#include "proto/base/loop.h"

struct child;

struct child_config {
	const char *name;  /* "collector" */
	const char *path;  /* of the binary */
	char *const *argv; /* ends with NULL; must stay valid */
	const struct pst_fds
		*fds; /* handed over as PENSTOCK_FDS when @pass_fds says so at start; may be NULL */
	bool (*pass_fds)(void *arg);
	void (*on_ready)(void *arg, struct child *child);
	/* The process has ended. @again: it will be started again; else it asked not to be, or failed too
	 * often. */
	void (*on_exit)(void *arg, struct child *child, int status, bool again);
	void *arg;
};

int child_new(struct pst_loop *loop, const struct child_config *config, struct child **ret_child);
int child_start(struct child *child);
bool child_running(const struct child *child);
bool child_ready(const struct child *child);
const char *child_name(const struct child *child);
pid_t child_pid(const struct child *child);
/* SIGTERM, SIGKILL after @timeout_ms; waits. No restart any more. */
void child_stop(struct child *child, unsigned timeout_ms);
void child_free(struct child *child); /* stops it if it runs */

#endif
