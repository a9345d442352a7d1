/* SPDX-License-Identifier: Apache-2.0 */
/* The processes that the enricher knows, asked for page by page. Rows come from another process and are not
 * trusted. */
#ifndef EXPORTER_PROCS_H
#define EXPORTER_PROCS_H

#include <msgpack.h>

#include "exporter/cgroups.h"
#include "proto/base/loop.h"
#include "proto/wire/filter.h"

struct procs_query {
	struct pst_filter *filter; /* NULL: all; taken on success */
	uint32_t after;            /* only pids above */
	uint32_t limit;            /* rows in the answer; 0: only learn names of cgroups */
	int64_t wall_offset_ns;
};

struct procs_config {
	struct pst_loop *loop;
	const char *run_dir;
	struct cgroups *cgroups; /* learns names */
};

/* @json: {"processes":[...],"next":PID or 0}; taken or left by the callee. @error: 0, -ETIMEDOUT,
 * -ECONNREFUSED, -EBADMSG, ... */
typedef void (*procs_fn)(void *arg, int error, struct pst_buf *json);

/* 0: @fn is called once, later. -errno. @config must stay. */
bool procs_waiting(void); /* for an answer to any of them */
int procs_list(const struct procs_config *config, const struct procs_query *query, procs_fn fn, void *arg);
/* The rows of one answer, comma-separated (for tests). */
void procs_write(const struct procs_config *config, const struct procs_query *query,
	const msgpack_object *rows, struct pst_buf *out);

#endif
