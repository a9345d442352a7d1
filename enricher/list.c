// SPDX-License-Identifier: Apache-2.0
/* The processes that live now, a page at a time. */
#include "enricher/list.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "proto/base/cleanup.h"

#define LIST_MAX   256
#define LIST_BYTES (512u << 10) /* half of what an answer may have: one more row always fits */

static void put_row(struct enrich *en, struct pst_buf *out, const struct proc_row *row)
{
	const struct proc *p = row->proc;
	const struct cgroup_facts *f = cgroups_get(en->cgroups, p->cgroup_id, row->key.pid);
	struct pst_val user = en->offline ? (struct pst_val){0} : names_user(en->names, p->uid);
	struct cgroup_facts none = {.runtime = ""};

	if (p->container.path && (!f || (p->container.container_id && !f->container_id)))
		f = &p->container;
	if (!f)
		f = &none;
	pst_mp_array(out, 12);
	pst_mp_uint(out, row->key.pid);
	pst_mp_uint(out, row->key.start_ns);
	pst_mp_uint(out, p->parent.pid);
	pst_mp_uint(out, p->uid);
	pst_mp_bin(out, p->comm, strnlen(p->comm, sizeof(p->comm)));
	pst_mp_bin(out, p->exe ? p->exe->bytes : "", p->exe ? p->exe->len : 0);
	pst_mp_bin(out, p->argv ? p->argv->bytes : "", p->argv ? p->argv->len : 0);
	pst_mp_uint(out, p->cgroup_id);
	pst_mp_bin(out, f->path ? f->path->bytes : "", f->path ? f->path->len : 0);
	pst_mp_bin(out, f->container_id ? f->container_id->bytes : "",
		f->container_id ? f->container_id->len : 0);
	pst_mp_bin(out, f->runtime, strlen(f->runtime));
	pst_mp_bin(out, user.p ? user.p : "", user.len);
}

int list_processes(struct enrich *en, const msgpack_object *request, struct pst_buf *reply, char *error,
	size_t error_size)
{
	PST_CLEANUP(pst_buf_done) struct pst_buf out = {0};
	uint64_t after = 0, limit = LIST_MAX;
	struct proc_row rows[LIST_MAX];
	uint32_t n, put = 0;

	pst_ctl_u64(request, "after", &after);
	pst_ctl_u64(request, "limit", &limit);
	if (after > UINT32_MAX || !limit) {
		snprintf(error, error_size, "after: a pid, limit: 1 to %d", LIST_MAX);
		return -EINVAL;
	}
	limit = PST_MIN(limit, (uint64_t)LIST_MAX);
	n = proctree_list(en->tree, (uint32_t)after, rows, (uint32_t)limit);
	while (put < n && out.len < LIST_BYTES)
		put_row(en, &out, &rows[put++]);
	pst_mp_map(reply, 2);
	pst_mp_str(reply, "processes");
	pst_mp_array(reply, put);
	pst_mp_raw(reply, out.p, out.len);
	pst_mp_str(reply, "next");
	pst_mp_uint(reply, put && (put < n || n == limit) ? rows[put - 1].key.pid : 0);
	return out.failed ? -ENOMEM : 0;
}
