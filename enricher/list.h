/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ENRICHER_LIST_H
#define ENRICHER_LIST_H

#include "enricher/enrich.h"
#include "proto/wire/ctl.h"

/*
 * {op:"processes", after: pid, limit: n} -> {processes: [[pid, start_ns, parent_pid, uid, comm, exe, argv,
 * cgroup_id, cgroup, container_id, container_runtime, user], ...], next: pid or 0}. Fewer than asked for when
 * they are many bytes: whoever starts processes can give them names of any length. As a pst_ctl_fn.
 */
int list_processes(struct enrich *en, const msgpack_object *request, struct pst_buf *reply, char *error,
	size_t error_size);

#endif
