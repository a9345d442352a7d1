// SPDX-License-Identifier: Apache-2.0
/* Records of processes; convert_call.c has those of single calls, convert_file.c of files, convert_sock.c of
 * the network, convert_policy.c of policies. */
#include "collector/convert.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "collector/convert_internal.h"

static int convert_fork(const struct pst_rec_fork *r, struct pst_buf *out)
{
	struct pst_val v[PST_FORK_F_N] = {0};

	convert_who(v, &r->parent);
	v[PST_FORK_F_child_pid].u = r->child_pid;
	v[PST_FORK_F_child_start_ns].u = r->child_start_ns;
	v[PST_FORK_F_child_cgroup_id].u = r->child_cgroup_id;
	v[PST_FORK_F_clone_flags].u = r->clone_flags;
	pst_event_pack(out, PST_KIND_FORK, r->h.ts_ns, v);
	return 0;
}

/* Takes @n bytes off the tail; false if they are not there. */
static bool take(const char **tail, size_t *left, uint16_t n, struct pst_val *v)
{
	if (n > *left)
		return false;
	v->p = *tail;
	v->len = n;
	*tail += n;
	*left -= n;
	return true;
}

static bool argv_list(struct convert *c, const char *bytes, uint32_t len, struct pst_val *v)
{
	uint32_t n = 0;

	c->list.len = 0;
	c->list.failed = false;
	pst_list_add_nul(&c->list, bytes, len, &n);
	v->p = c->list.p;
	v->len = (uint32_t)c->list.len;
	v->n = n;
	return !c->list.failed;
}

static void exec_ns(struct pst_val *v, const struct pst_ns *ns)
{
	v[PST_EXEC_F_mnt_ns].u = ns->mnt;
	v[PST_EXEC_F_pid_ns].u = ns->pid;
	v[PST_EXEC_F_net_ns].u = ns->net;
	v[PST_EXEC_F_user_ns].u = ns->user;
	v[PST_EXEC_F_uts_ns].u = ns->uts;
	v[PST_EXEC_F_ipc_ns].u = ns->ipc;
	v[PST_EXEC_F_cgroup_ns].u = ns->cgroup;
	v[PST_EXEC_F_time_ns].u = ns->time;
}

static int convert_exec(struct convert *c, const struct pst_rec_exec *r, size_t len, struct pst_buf *out)
{
	struct pst_val v[PST_EXEC_F_N] = {0}, argv;
	const char *tail = (const char *)(r + 1);
	size_t left = len - sizeof(*r);

	if (!take(&tail, &left, r->filename_len, &v[PST_EXEC_F_filename]) ||
		!take(&tail, &left, r->path_len, &v[PST_EXEC_F_exe]) ||
		!take(&tail, &left, r->cwd_len, &v[PST_EXEC_F_cwd]) ||
		!take(&tail, &left, r->argv_len, &argv))
		return -EBADMSG;
	if (!argv_list(c, argv.p, argv.len, &v[PST_EXEC_F_argv]))
		return -ENOMEM;
	convert_who(v, &r->task);
	exec_ns(v, &r->ns);
	v[PST_EXEC_F_argc].u = r->argc;
	v[PST_EXEC_F_flags].u = r->h.flags;
	v[PST_EXEC_F_parent_pid].u = r->parent_pid;
	v[PST_EXEC_F_parent_start_ns].u = r->parent_start_ns;
	v[PST_EXEC_F_euid].u = r->euid;
	v[PST_EXEC_F_loginuid].u = r->loginuid;
	v[PST_EXEC_F_cap_effective].u = r->cap_effective;
	v[PST_EXEC_F_tty].u = r->tty;
	v[PST_EXEC_F_exe_dev].u = r->exe_dev;
	v[PST_EXEC_F_exe_ino].u = r->exe_ino;
	pst_event_pack(out, PST_KIND_EXEC, r->h.ts_ns, v);
	return 0;
}

static int convert_exec_failed(
	struct convert *c, const struct pst_rec_exec_failed *r, size_t len, struct pst_buf *out)
{
	struct pst_val v[PST_EXEC_FAILED_F_N] = {0}, argv;
	const char *tail = (const char *)(r + 1);
	size_t left = len - sizeof(*r);

	if (!take(&tail, &left, r->filename_len, &v[PST_EXEC_FAILED_F_filename]) ||
		!take(&tail, &left, r->argv_len, &argv))
		return -EBADMSG;
	if (!argv_list(c, argv.p, argv.len, &v[PST_EXEC_FAILED_F_argv]))
		return -ENOMEM;
	convert_who(v, &r->task);
	v[PST_EXEC_FAILED_F_error].u = r->error < 0 ? 0 : (uint64_t)r->error;
	pst_event_pack(out, PST_KIND_EXEC_FAILED, r->h.ts_ns, v);
	return 0;
}

static int convert_exit(const struct pst_rec_exit *r, struct pst_buf *out)
{
	struct pst_val v[PST_EXIT_F_N] = {0};

	convert_who(v, &r->task);
	v[PST_EXIT_F_exit_code].u = r->code;
	v[PST_EXIT_F_signal].u = r->signal;
	v[PST_EXIT_F_core_dumped].u = r->core;
	v[PST_EXIT_F_run_ns].u = r->run_ns;
	v[PST_EXIT_F_utime_ns].u = r->utime_ns;
	v[PST_EXIT_F_stime_ns].u = r->stime_ns;
	v[PST_EXIT_F_parent_pid].u = r->parent_pid;
	pst_event_pack(out, PST_KIND_EXIT, r->h.ts_ns, v);
	return 0;
}

static int convert_cred(const struct pst_rec_cred *r, struct pst_buf *out)
{
	struct pst_val v[PST_CRED_F_N] = {0};
	const struct pst_cred *a = &r->before, *b = &r->after;

	convert_who(v, &r->task);
	v[PST_CRED_F_flags].u = r->h.flags;
#define BOTH(field)                                                                                          \
	v[PST_CRED_F_old_##field].u = a->field;                                                              \
	v[PST_CRED_F_new_##field].u = b->field
	BOTH(uid);
	BOTH(euid);
	BOTH(suid);
	BOTH(fsuid);
	BOTH(gid);
	BOTH(egid);
	BOTH(sgid);
	BOTH(fsgid);
	BOTH(cap_effective);
	BOTH(cap_permitted);
#undef BOTH
	pst_event_pack(out, PST_KIND_CRED, r->h.ts_ns, v);
	return 0;
}

struct pst_val convert_name(const char *const *names, size_t n, uint32_t number, struct number_text *buf)
{
	const char *name = number < n ? names[number] : NULL;

	if (!name) {
		snprintf(buf->text, sizeof(buf->text), "%u", number);
		name = buf->text;
	}
	return pst_val_str(name, strlen(name));
}

static const struct {
	uint16_t kind;
	uint8_t topic;
	uint16_t size; /* smallest */
} kinds[] = {
	{PST_REC_FORK, PST_TOPIC_PROC, sizeof(struct pst_rec_fork)},
	{PST_REC_EXEC, PST_TOPIC_PROC, sizeof(struct pst_rec_exec)},
	{PST_REC_EXEC_FAILED, PST_TOPIC_PROC, sizeof(struct pst_rec_exec_failed)},
	{PST_REC_EXIT, PST_TOPIC_PROC, sizeof(struct pst_rec_exit)},
	{PST_REC_CRED, PST_TOPIC_PROC, sizeof(struct pst_rec_cred)},
	{PST_REC_MODULE, PST_TOPIC_PROC, sizeof(struct pst_rec_module)},
	{PST_REC_BPF, PST_TOPIC_PROC, sizeof(struct pst_rec_bpf)},
	{PST_REC_PTRACE, PST_TOPIC_PROC, sizeof(struct pst_rec_ptrace)},
	{PST_REC_SIGNAL, PST_TOPIC_PROC, sizeof(struct pst_rec_signal)},
	{PST_REC_NAMESPACE, PST_TOPIC_PROC, sizeof(struct pst_rec_namespace)},
	{PST_REC_MEMFD, PST_TOPIC_PROC, sizeof(struct pst_rec_memfd)},
	{PST_REC_EXEC_MEMORY, PST_TOPIC_PROC, sizeof(struct pst_rec_exec_memory)},
	{PST_REC_PERF, PST_TOPIC_PROC, sizeof(struct pst_rec_perf)},
	{PST_REC_PROC_MEM, PST_TOPIC_PROC, sizeof(struct pst_rec_proc_mem)},
	{PST_REC_CAPABILITY, PST_TOPIC_PROC, sizeof(struct pst_rec_capability)},
	{PST_REC_TCP_CONNECT, PST_TOPIC_NET, sizeof(struct pst_rec_sock)},
	{PST_REC_TCP_ACCEPT, PST_TOPIC_NET, sizeof(struct pst_rec_sock)},
	{PST_REC_TCP_LISTEN, PST_TOPIC_NET, sizeof(struct pst_rec_sock)},
	{PST_REC_TCP_CLOSE, PST_TOPIC_NET, sizeof(struct pst_rec_sock)},
	{PST_REC_TCP_RETRANSMIT, PST_TOPIC_NET, sizeof(struct pst_rec_sock)},
	{PST_REC_TCP_RESET, PST_TOPIC_NET, sizeof(struct pst_rec_sock)},
	{PST_REC_DROP, PST_TOPIC_NET, sizeof(struct pst_rec_drop)},
	{PST_REC_FW_LOG, PST_TOPIC_NET, sizeof(struct pst_rec_fw_log)},
	{PST_REC_SOCKET_BIND, PST_TOPIC_NET, sizeof(struct pst_rec_bind)},
	{PST_REC_SOCKET_CREATE, PST_TOPIC_NET, sizeof(struct pst_rec_socket)},
	{PST_REC_UDP_EVICTED, PST_TOPIC_NET, sizeof(struct pst_rec_udp)},
	{PST_REC_UDP_READ, PST_TOPIC_NET, sizeof(struct pst_rec_udp)},
	{PST_REC_FILE_UNLINK, PST_TOPIC_PROC, sizeof(struct pst_rec_file)},
	{PST_REC_FILE_RENAME, PST_TOPIC_PROC, sizeof(struct pst_rec_file)},
	{PST_REC_FILE_LINK, PST_TOPIC_PROC, sizeof(struct pst_rec_file)},
	{PST_REC_FILE_SYMLINK, PST_TOPIC_PROC, sizeof(struct pst_rec_file)},
	{PST_REC_FILE_MKDIR, PST_TOPIC_PROC, sizeof(struct pst_rec_file)},
	{PST_REC_FILE_MKNOD, PST_TOPIC_PROC, sizeof(struct pst_rec_file)},
	{PST_REC_FILE_CHMOD, PST_TOPIC_PROC, sizeof(struct pst_rec_file)},
	{PST_REC_FILE_CHOWN, PST_TOPIC_PROC, sizeof(struct pst_rec_file)},
	{PST_REC_FILE_TRUNCATE, PST_TOPIC_PROC, sizeof(struct pst_rec_file)},
	{PST_REC_FILE_XATTR, PST_TOPIC_PROC, sizeof(struct pst_rec_file)},
	{PST_REC_FILE_MOUNT, PST_TOPIC_PROC, sizeof(struct pst_rec_file)},
	{PST_REC_FILE_UMOUNT, PST_TOPIC_PROC, sizeof(struct pst_rec_file)},
	{PST_REC_FILE_PIVOT_ROOT, PST_TOPIC_PROC, sizeof(struct pst_rec_file)},
	{PST_REC_POLICY, PST_TOPIC_PROC, sizeof(struct pst_rec_policy)},
	{PST_REC_FLOW_EVICTED, PST_TOPIC_FLOW, sizeof(struct pst_rec_flow)},
	{PST_REC_FLOW_READ, PST_TOPIC_FLOW, sizeof(struct pst_rec_flow)},
	{PST_REC_FLOW_DROPPED, PST_TOPIC_FLOW, sizeof(struct pst_rec_flow)},
};

int convert_topic(uint16_t kind)
{
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		if (kinds[i].kind == kind)
			return kinds[i].topic;
	return -EINVAL;
}

static bool tail_fits(const struct pst_rec *rec, size_t len)
{
	const struct pst_rec_exec *exec = (const void *)rec;
	const struct pst_rec_exec_failed *failed = (const void *)rec;

	if (rec->kind == PST_REC_EXEC)
		return (size_t)exec->filename_len + exec->path_len + exec->cwd_len + exec->argv_len <=
		       len - sizeof(*exec);
	if (rec->kind == PST_REC_EXEC_FAILED)
		return (size_t)failed->filename_len + failed->argv_len <= len - sizeof(*failed);
	if (convert_is_file(rec->kind))
		return convert_file_fits((const void *)rec, len);
	if (rec->kind == PST_REC_POLICY)
		return convert_policy_fits((const void *)rec, len);
	return true;
}

bool convert_check(const struct pst_rec *rec, size_t len)
{
	if (len < sizeof(*rec) || len > PST_REC_MAX || rec->size != len)
		return false;
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		if (kinds[i].kind == rec->kind)
			return len >= kinds[i].size && tail_fits(rec, len);
	return false;
}

int convert_record(struct convert *c, const struct pst_rec *rec, size_t len, struct pst_buf *out)
{
	if (!convert_check(rec, len))
		return -EBADMSG;
	switch (rec->kind) {
	case PST_REC_FORK:
		return convert_fork((const void *)rec, out);
	case PST_REC_EXEC:
		return convert_exec(c, (const void *)rec, len, out);
	case PST_REC_EXEC_FAILED:
		return convert_exec_failed(c, (const void *)rec, len, out);
	case PST_REC_EXIT:
		return convert_exit((const void *)rec, out);
	case PST_REC_CRED:
		return convert_cred((const void *)rec, out);
	case PST_REC_POLICY:
		return convert_policy_record(c, (const void *)rec, out);
	default:
		if (convert_is_file(rec->kind))
			return convert_file_record((const void *)rec, out);
		return rec->kind <= PST_REC_CAPABILITY ? convert_call_record(rec, out)
						       : convert_net_record(c, rec, out);
	}
}
