// SPDX-License-Identifier: Apache-2.0
/* Records of what processes rarely ask of the kernel, and break-ins often. */
#include <errno.h>
#include <stdio.h>

#include "collector/convert_internal.h"
#include "proto/base/cleanup.h"
#include "proto/wire/names.h"

/* The PST_TARGET block of schema.def, from @v[0] on. */
static void target_block(struct pst_val *v, const struct pst_task *t)
{
	enum { BASE = PST_PROC_MEM_F_target_pid };

	v[PST_PROC_MEM_F_target_pid - BASE].u = t->pid;
	v[PST_PROC_MEM_F_target_start_ns - BASE].u = t->start_ns;
	v[PST_PROC_MEM_F_target_tid - BASE].u = t->tid;
	v[PST_PROC_MEM_F_target_uid - BASE].u = t->uid;
	v[PST_PROC_MEM_F_target_cgroup_id - BASE].u = t->cgroup_id;
	v[PST_PROC_MEM_F_target_comm - BASE] = pst_val_str(t->comm, strnlen(t->comm, sizeof(t->comm)));
}

static void convert_module(const struct pst_rec_module *r, struct pst_buf *out)
{
	struct pst_val v[PST_MODULE_F_N] = {0};

	convert_who(v, &r->task);
	v[PST_MODULE_F_module] = pst_val_str(r->name, strnlen(r->name, sizeof(r->name)));
	v[PST_MODULE_F_taints].u = r->taints;
	pst_event_pack(out, PST_KIND_MODULE, r->h.ts_ns, v);
}

/* enum bpf_prog_type */
static const char *const prog_types[] = {"unspec", "socket_filter", "kprobe", "sched_cls", "sched_act",
	"tracepoint", "xdp", "perf_event", "cgroup_skb", "cgroup_sock", "lwt_in", "lwt_out", "lwt_xmit",
	"sock_ops", "sk_skb", "cgroup_device", "sk_msg", "raw_tracepoint", "cgroup_sock_addr",
	"lwt_seg6local", "lirc_mode2", "sk_reuseport", "flow_dissector", "cgroup_sysctl",
	"raw_tracepoint_writable", "cgroup_sockopt", "tracing", "struct_ops", "ext", "lsm", "sk_lookup",
	"syscall", "netfilter"};

static void convert_bpf(const struct pst_rec_bpf *r, struct pst_buf *out)
{
	struct pst_val v[PST_BPF_F_N] = {0};
	struct number_text type;

	convert_who(v, &r->task);
	v[PST_BPF_F_error].u = convert_errno(r->error);
	v[PST_BPF_F_prog_name] = pst_val_str(r->name, strnlen(r->name, sizeof(r->name)));
	v[PST_BPF_F_prog_type] = convert_name(prog_types, PST_ARRAY_SIZE(prog_types), r->prog_type, &type);
	v[PST_BPF_F_attach_type].u = r->attach_type;
	v[PST_BPF_F_instructions].u = r->insns;
	pst_event_pack(out, PST_KIND_BPF, r->h.ts_ns, v);
}

static void convert_ptrace(const struct pst_rec_ptrace *r, struct pst_buf *out)
{
	static const char *const names[PST_PTRACE_OPS] = {[PST_PTRACE_ATTACH] = "attach",
		[PST_PTRACE_SEIZE] = "seize",
		[PST_PTRACE_TRACEME] = "traceme",
		[PST_PTRACE_VM_WRITE] = "vm_write"};
	struct pst_val v[PST_PTRACE_F_N] = {0};
	struct number_text op;

	convert_who(v, &r->task);
	v[PST_PTRACE_F_operation] = convert_name(names, PST_PTRACE_OPS, r->op, &op);
	v[PST_PTRACE_F_error].u = convert_errno(r->error);
	target_block(v + PST_PTRACE_F_target_pid, &r->target);
	v[PST_PTRACE_F_given_pid].u = r->given_pid;
	pst_event_pack(out, PST_KIND_PTRACE, r->h.ts_ns, v);
}

static void convert_signal(const struct pst_rec_signal *r, struct pst_buf *out)
{
	static const char *const results[] = {"delivered", "ignored", "pending", "no_room", "cut"};
	struct pst_val v[PST_SIGNAL_F_N] = {0};
	struct number_text result;

	convert_who(v, &r->task);
	v[PST_SIGNAL_F_signal].u = r->sig;
	target_block(v + PST_SIGNAL_F_target_pid, &r->target);
	v[PST_SIGNAL_F_result] = convert_name(results, PST_ARRAY_SIZE(results), r->result, &result);
	v[PST_SIGNAL_F_group].u = r->group != 0;
	v[PST_SIGNAL_F_si_code].i = r->code;
	pst_event_pack(out, PST_KIND_SIGNAL, r->h.ts_ns, v);
}

static void convert_namespace(const struct pst_rec_namespace *r, struct pst_buf *out)
{
	static const char *const names[PST_NS_CALLS] = {
		[PST_NS_UNSHARE] = "unshare", [PST_NS_SETNS] = "setns"};
	struct pst_val v[PST_NAMESPACE_F_N] = {0};
	struct number_text call;

	convert_who(v, &r->task);
	v[PST_NAMESPACE_F_operation] = convert_name(names, PST_NS_CALLS, r->call, &call);
	v[PST_NAMESPACE_F_error].u = convert_errno(r->error);
	v[PST_NAMESPACE_F_clone_flags].u = r->flags;
	v[PST_NAMESPACE_F_mnt_ns].u = r->ns.mnt;
	v[PST_NAMESPACE_F_pid_ns].u = r->ns.pid;
	v[PST_NAMESPACE_F_net_ns].u = r->ns.net;
	v[PST_NAMESPACE_F_user_ns].u = r->ns.user;
	v[PST_NAMESPACE_F_uts_ns].u = r->ns.uts;
	v[PST_NAMESPACE_F_ipc_ns].u = r->ns.ipc;
	v[PST_NAMESPACE_F_cgroup_ns].u = r->ns.cgroup;
	v[PST_NAMESPACE_F_time_ns].u = r->ns.time;
	pst_event_pack(out, PST_KIND_NAMESPACE, r->h.ts_ns, v);
}

static void convert_memfd(const struct pst_rec_memfd *r, struct pst_buf *out)
{
	struct pst_val v[PST_MEMFD_F_N] = {0};

	convert_who(v, &r->task);
	v[PST_MEMFD_F_name] = pst_val_str(r->name, strnlen(r->name, sizeof(r->name)));
	v[PST_MEMFD_F_error].u = convert_errno(r->error);
	v[PST_MEMFD_F_memfd_flags].u = r->flags;
	pst_event_pack(out, PST_KIND_MEMFD, r->h.ts_ns, v);
}

struct prot_text {
	char text[4];
};

static struct pst_val prot(uint32_t bits, struct prot_text *buf)
{
	if (!bits)
		return (struct pst_val){0};
	snprintf(buf->text, sizeof(buf->text), "%c%c%c", bits & 1 ? 'r' : '-', bits & 2 ? 'w' : '-',
		bits & 4 ? 'x' : '-');
	return pst_val_str(buf->text, 3);
}

static void convert_exec_memory(const struct pst_rec_exec_memory *r, struct pst_buf *out)
{
	static const char *const calls[PST_EXEC_CALLS] = {
		[PST_EXEC_MMAP] = "mmap", [PST_EXEC_MPROTECT] = "mprotect"};
	static const char *const mappings[] = {[PST_MAPPING_UNKNOWN] = "unknown",
		[PST_MAPPING_ANONYMOUS] = "anonymous",
		[PST_MAPPING_FILE] = "file"};
	struct pst_val v[PST_EXEC_MEMORY_F_N] = {0};
	struct number_text call, mapping;
	struct prot_text now, old;

	convert_who(v, &r->task);
	v[PST_EXEC_MEMORY_F_operation] = convert_name(calls, PST_EXEC_CALLS, r->call, &call);
	v[PST_EXEC_MEMORY_F_address].u = r->address;
	v[PST_EXEC_MEMORY_F_bytes].u = r->bytes;
	v[PST_EXEC_MEMORY_F_prot] = prot(r->prot, &now);
	v[PST_EXEC_MEMORY_F_old_prot] = prot(r->old_prot, &old);
	v[PST_EXEC_MEMORY_F_mapping] = convert_name(mappings, PST_ARRAY_SIZE(mappings), r->mapping, &mapping);
	pst_event_pack(out, PST_KIND_EXEC_MEMORY, r->h.ts_ns, v);
}

static void convert_perf(const struct pst_rec_perf *r, struct pst_buf *out)
{
	static const char *const types[] = {
		"hardware", "software", "tracepoint", "hw_cache", "raw", "breakpoint"};
	struct pst_val v[PST_PERF_F_N] = {0};
	struct number_text type;

	convert_who(v, &r->task);
	v[PST_PERF_F_error].u = convert_errno(r->error);
	v[PST_PERF_F_perf_type] = convert_name(types, PST_ARRAY_SIZE(types), r->type, &type);
	v[PST_PERF_F_config].u = r->config;
	v[PST_PERF_F_given_pid].i = r->given_pid;
	v[PST_PERF_F_cpu].i = r->cpu;
	v[PST_PERF_F_perf_flags].u = r->flags;
	pst_event_pack(out, PST_KIND_PERF, r->h.ts_ns, v);
}

static void convert_proc_mem(const struct pst_rec_proc_mem *r, struct pst_buf *out)
{
	struct pst_val v[PST_PROC_MEM_F_N] = {0};

	convert_who(v, &r->task);
	target_block(v + PST_PROC_MEM_F_target_pid, &r->target);
	v[PST_PROC_MEM_F_readable].u = r->readable != 0;
	pst_event_pack(out, PST_KIND_PROC_MEM, r->h.ts_ns, v);
}

static struct pst_val capability_name(uint32_t number, struct number_text *buf)
{
	unsigned n;
	const char *const *names = pst_name_bits(PST_FMT_CAPS, &n);

	return convert_name(names, n, number, buf);
}

static void convert_capability(const struct pst_rec_capability *r, struct pst_buf *out)
{
	const char *result = r->flags & PST_CAP_GRANTED ? "granted" : "refused";
	const char *audited = r->flags & PST_CAP_NOAUDIT ? "no" : "yes";
	struct pst_val v[PST_CAPABILITY_F_N] = {0};
	struct number_text name;

	if (r->flags & PST_CAP_AUDIT_UNKNOWN)
		audited = "unknown";
	convert_who(v, &r->task);
	v[PST_CAPABILITY_F_capability] = capability_name(r->capability, &name);
	v[PST_CAPABILITY_F_capability_number].u = r->capability;
	v[PST_CAPABILITY_F_result] = pst_val_str(result, strlen(result));
	v[PST_CAPABILITY_F_audited] = pst_val_str(audited, strlen(audited));
	v[PST_CAPABILITY_F_init_user_ns].u = (r->flags & PST_CAP_INIT_NS) != 0;
	v[PST_CAPABILITY_F_user_ns].u = r->user_ns;
	v[PST_CAPABILITY_F_checks].u = r->checks;
	pst_event_pack(out, PST_KIND_CAPABILITY, r->h.ts_ns, v);
}

int convert_call_record(const struct pst_rec *rec, struct pst_buf *out)
{
	switch (rec->kind) {
	case PST_REC_MODULE:
		convert_module((const void *)rec, out);
		return 0;
	case PST_REC_BPF:
		convert_bpf((const void *)rec, out);
		return 0;
	case PST_REC_PTRACE:
		convert_ptrace((const void *)rec, out);
		return 0;
	case PST_REC_SIGNAL:
		convert_signal((const void *)rec, out);
		return 0;
	case PST_REC_NAMESPACE:
		convert_namespace((const void *)rec, out);
		return 0;
	case PST_REC_MEMFD:
		convert_memfd((const void *)rec, out);
		return 0;
	case PST_REC_EXEC_MEMORY:
		convert_exec_memory((const void *)rec, out);
		return 0;
	case PST_REC_PERF:
		convert_perf((const void *)rec, out);
		return 0;
	case PST_REC_PROC_MEM:
		convert_proc_mem((const void *)rec, out);
		return 0;
	case PST_REC_CAPABILITY:
		convert_capability((const void *)rec, out);
		return 0;
	default:
		return -EBADMSG;
	}
}
