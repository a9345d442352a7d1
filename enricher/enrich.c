// SPDX-License-Identifier: Apache-2.0
#include "enricher/enrich.h"

#include <netinet/in.h>
#include <string.h>

#include "proto/base/cleanup.h"

#define FRESH_NS 1000000

static bool has_who(const struct pst_event *e)
{
	return e->desc && (e->desc->topic == PST_TOPIC_PROC || e->desc->topic == PST_TOPIC_NET) &&
	       e->kind != PST_KIND_DROP && e->kind != PST_KIND_FW_LOG;
}

static struct str *exe_of(const struct pst_event *e)
{
	const struct pst_val *v = &e->sensor[PST_EXEC_F_exe];

	if (!v->len) /* the kernel could not resolve it: the name as given is better than none */
		v = &e->sensor[PST_EXEC_F_filename];
	return str_new(v->p, v->len);
}

static struct str *argv_of(const struct pst_event *e)
{
	char buf[PROC_ARGV_MAX];
	struct pst_cur cur = pst_cur(e->sensor[PST_EXEC_F_argv].p, e->sensor[PST_EXEC_F_argv].len);
	const void *bytes;
	uint32_t len, n = 0;

	while (n + 1 < sizeof(buf) && pst_list_next(&cur, &bytes, &len)) {
		uint32_t room = (uint32_t)sizeof(buf) - n - 1;

		len = PST_MIN(len, room);
		memcpy(buf + n, bytes, len);
		n += len;
		buf[n++] = 0;
	}
	return n ? str_new(buf, n - 1) : NULL;
}

static void set_comm(struct proc *p, const struct pst_val *comm)
{
	memset(p->comm, 0, sizeof(p->comm));
	if (comm->len)
		memcpy(p->comm, comm->p, PST_MIN(comm->len, sizeof(p->comm) - 1));
}

/* Its container by /proc, on a hybrid host. A process that is gone keeps what it inherited. */
static void place(struct enrich *en, struct proc *p, uint32_t pid)
{
	if (!en->hybrid || en->offline)
		return;
	p->unplaced = false;
	cgroups_of_process(pid, &p->container);
}

/*
 * Being moved to another cgroup takes a grace period of the kernel (cgroup_attach_lock()): who executes right
 * after its fork still is where its parent was. It is looked up once it lives longer, as many do not.
 */
static void place_executed(struct enrich *en, struct proc *p, uint32_t pid, uint64_t age_ns)
{
	if (age_ns < FRESH_NS)
		p->unplaced = true;
	else
		place(en, p, pid);
}

static void learn_fork(struct enrich *en, const struct pst_event *e)
{
	const struct pst_val *s = e->sensor;
	struct proc *child =
		proctree_put(en->tree, (uint32_t)s[PST_FORK_F_child_pid].u, s[PST_FORK_F_child_start_ns].u);
	struct proc *parent = proctree_get(en->tree, (uint32_t)s[PST_FORK_F_pid].u, s[PST_FORK_F_start_ns].u);

	if (!child)
		return;
	child->parent =
		(struct proc_key){.start_ns = s[PST_FORK_F_start_ns].u, .pid = (uint32_t)s[PST_FORK_F_pid].u};
	child->cgroup_id = s[PST_FORK_F_child_cgroup_id].u;
	child->uid = (uint32_t)s[PST_FORK_F_uid].u;
	set_comm(child, &s[PST_FORK_F_comm]);
	if (!parent) {
		en->missed = true;
		return;
	}
	str_set(&child->exe, str_ref(parent->exe));
	str_set(&child->argv, str_ref(parent->argv));
	if (parent->unplaced)
		place(en, parent, (uint32_t)s[PST_FORK_F_pid].u);
	cgroup_facts_copy(&child->container, &parent->container);
}

static void learn_exec(struct enrich *en, const struct pst_event *e)
{
	const struct pst_val *s = e->sensor;
	struct proc *p = proctree_put(en->tree, (uint32_t)s[PST_EXEC_F_pid].u, s[PST_EXEC_F_start_ns].u);

	if (!p)
		return;
	p->parent = (struct proc_key){
		.start_ns = s[PST_EXEC_F_parent_start_ns].u, .pid = (uint32_t)s[PST_EXEC_F_parent_pid].u};
	p->cgroup_id = s[PST_EXEC_F_cgroup_id].u;
	p->uid = (uint32_t)s[PST_EXEC_F_uid].u;
	set_comm(p, &s[PST_EXEC_F_comm]);
	str_set(&p->exe, exe_of(e));
	str_set(&p->argv, argv_of(e));
	place_executed(en, p, (uint32_t)s[PST_EXEC_F_pid].u, e->ts_ns - s[PST_EXEC_F_start_ns].u);
}

static void learn(struct enrich *en, const struct pst_event *e)
{
	const struct pst_val *s = e->sensor;
	struct proc *p;

	switch (e->kind) {
	case PST_KIND_FORK:
		learn_fork(en, e);
		break;
	case PST_KIND_EXEC:
		learn_exec(en, e);
		break;
	case PST_KIND_EXIT:
		proctree_end(en->tree, (uint32_t)s[PST_EXIT_F_pid].u, s[PST_EXIT_F_start_ns].u, e->ts_ns);
		break;
	case PST_KIND_CRED:
		p = proctree_get(en->tree, (uint32_t)s[PST_CRED_F_pid].u, s[PST_CRED_F_start_ns].u);
		if (p)
			p->uid = (uint32_t)s[PST_CRED_F_new_uid].u;
		break;
	default:
		break;
	}
}

static struct pst_val proc_name(const struct proc *p)
{
	return p->exe ? str_val(p->exe) : pst_val_str(p->comm, strnlen(p->comm, sizeof(p->comm)));
}

static void add_ancestors(struct enrich *en, const struct proc *p, struct pst_val *ret)
{
	struct proc_key key = p->parent;
	uint32_t n = 0;

	en->ancestors.len = 0;
	en->ancestors.failed = false;
	while (n < ANCESTORS_MAX && key.pid) {
		const struct proc *a = proctree_get(en->tree, key.pid, key.start_ns);
		struct pst_val name = {0};

		if (a)
			name = proc_name(a);
		if (n == 0)
			ret[PST_ENR_parent_exe] = name;
		pst_procs_add(&en->ancestors, key.pid, key.start_ns, name.p, name.len);
		n++;
		if (!a)
			break;
		key = a->parent;
	}
	if (en->ancestors.failed)
		return;
	ret[PST_ENR_ancestors] =
		(struct pst_val){.p = en->ancestors.p, .len = (uint32_t)en->ancestors.len, .n = n};
}

static void add_cgroup(
	struct enrich *en, const struct proc *p, uint64_t cgroup_id, uint32_t pid, struct pst_val *ret)
{
	const struct cgroup_facts *f = cgroups_get(en->cgroups, cgroup_id, pid);

	/* What was found at its exec; since then it may have moved, so only for the container or for want of
	 * better. */
	if (p && p->container.path && (!f || (p->container.container_id && !f->container_id)))
		f = &p->container;
	if (!f)
		return;
	ret[PST_ENR_cgroup] = str_val(f->path);
	ret[PST_ENR_container_id] = str_val(f->container_id);
	ret[PST_ENR_container_runtime] = pst_val_str(f->runtime, strlen(f->runtime));
	ret[PST_ENR_unit] = str_val(f->unit);
	ret[PST_ENR_pod_uid] = str_val(f->pod_uid);
}

/* The service is at the end that listens: known for accept and connect, else the lower port that has a name.
 */
static void add_service(struct enrich *en, const struct pst_event *e, struct pst_val *ret)
{
	uint64_t a, b;
	uint8_t protocol;

	if (e->kind == PST_KIND_FLOW) {
		protocol = (uint8_t)e->sensor[PST_FLOW_F_protocol].u;
		a = e->sensor[PST_FLOW_F_sport].u;
		b = e->sensor[PST_FLOW_F_dport].u;
	} else if (e->kind == PST_KIND_DROP) {
		protocol = (uint8_t)e->sensor[PST_DROP_F_protocol].u;
		a = e->sensor[PST_DROP_F_sport].u;
		b = e->sensor[PST_DROP_F_dport].u;
	} else if (e->kind == PST_KIND_FW_LOG) {
		protocol = (uint8_t)e->sensor[PST_FW_LOG_F_protocol].u;
		a = e->sensor[PST_FW_LOG_F_sport].u;
		b = e->sensor[PST_FW_LOG_F_dport].u;
	} else if (e->kind >= PST_KIND_CONNECT && e->kind <= PST_KIND_UDP) {
		protocol = (uint8_t)e->sensor[PST_CONNECT_F_protocol].u;
		a = e->sensor[PST_CONNECT_F_lport].u;
		b = e->sensor[PST_CONNECT_F_rport].u;
		if (e->kind == PST_KIND_CONNECT)
			a = b;
		if (e->kind == PST_KIND_ACCEPT || e->kind == PST_KIND_LISTEN)
			b = a;
	} else {
		return;
	}
	ret[PST_ENR_service] = names_service(en->names, protocol, (uint16_t)PST_MIN(a, b));
	if (!ret[PST_ENR_service].len)
		ret[PST_ENR_service] = names_service(en->names, protocol, (uint16_t)PST_MAX(a, b));
}

static void add_who(struct enrich *en, const struct pst_event *e, struct pst_val *ret)
{
	const struct pst_val *s = e->sensor;
	uint32_t pid = (uint32_t)s[PST_FORK_F_pid].u;
	uint32_t uid = (uint32_t)s[PST_FORK_F_uid].u;
	struct proc *p;

	if (!pid)
		return;
	p = proctree_get(en->tree, pid, s[PST_FORK_F_start_ns].u);
	if (p && p->unplaced && e->kind != PST_KIND_EXEC && e->kind != PST_KIND_EXIT)
		place(en, p, pid);
	if (!p && !en->offline)
		en->missed = true;
	if (p && e->desc->topic == PST_TOPIC_PROC)
		p->cgroup_id = s[PST_FORK_F_cgroup_id].u; /* it may have been moved */
	if (p && e->kind != PST_KIND_EXEC)
		ret[PST_ENR_exe] = str_val(p->exe);
	if (p && uid == UINT32_MAX)
		uid = p->uid;
	if (!en->offline)
		ret[PST_ENR_user] = names_user(en->names, uid);
	if (p)
		add_ancestors(en, p, ret);
	add_cgroup(en, p, s[PST_FORK_F_cgroup_id].u, pid, ret);
}

void enrich_event(struct enrich *en, const struct pst_event *e, struct pst_val *ret)
{
	memset(ret, 0, PST_ENR_N * sizeof(*ret));
	if (e->ts_ns > en->events_ns)
		en->events_ns = e->ts_ns;
	if (!e->desc)
		return;
	learn(en, e);
	if (has_who(e))
		add_who(en, e, ret);
	add_service(en, e, ret);
}
