// SPDX-License-Identifier: Apache-2.0
/* One trial a feature: the smallest program or map that needs it. */
#include "loader/tries.h"

#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include <linux/perf_event.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include "proto/base/cleanup.h"

/* Newer than the headers of Debian 12. */
#define ATTACH_TCX_INGRESS 46
#define ATTACH_NETFILTER   45
#define PROG_NETFILTER     32

#define LOOPBACK 1 /* ifindex in every network namespace */

/* ---- tiny programs ---- */

/* "return @value" */
static int load(enum bpf_prog_type type, unsigned attach, int btf_id, int value)
{
	const struct bpf_insn insns[] = {
		{.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0, .imm = value},
		{.code = BPF_JMP | BPF_EXIT},
	};
	LIBBPF_OPTS(bpf_prog_load_opts, opts, .expected_attach_type = (enum bpf_attach_type)attach,
		.attach_btf_id = (uint32_t)btf_id);
	int fd = bpf_prog_load(type, "pst_try", "Dual BSD/GPL", insns, PST_ARRAY_SIZE(insns), &opts);

	return fd < 0 ? -errno : fd;
}

static int close_ok(int fd)
{
	if (fd < 0)
		return fd;
	close(fd);
	return 0;
}

static int load_type(enum bpf_prog_type type, unsigned attach, int value)
{
	return close_ok(load(type, attach, 0, value));
}

/* The first of the names that the kernel has. */
static int find_any(struct features *f, unsigned kind, const char *const *names)
{
	for (; *names; names++) {
		int id = features_btf_find(f, *names, kind);

		if (id > 0)
			return id;
	}
	return -ESRCH;
}

/* Loads and attaches for a moment; the program does nothing. */
static int try_tracing(
	struct features *f, enum bpf_prog_type type, unsigned attach, unsigned kind, const char *const *names)
{
	int id = find_any(f, kind, names);
	PST_CLOSE int prog = id < 0 ? id : load(type, attach, id, 0);

	if (prog < 0)
		return prog;
	int link = bpf_raw_tracepoint_open(NULL, prog);
	return link < 0 ? -errno : close_ok(link);
}

/* Called by nobody but the kernel's own tests, or else rarely. */
static const char *const traced[] = {"bpf_fentry_test1", "commit_creds", NULL};

/* ---- the trials ---- */

static int try_btf(struct features *f, char why[WHY_MAX])
{
	if (features_btf(f))
		return 0;
	snprintf(why, WHY_MAX, "no /sys/kernel/btf/vmlinux (CONFIG_DEBUG_INFO_BTF)");
	return 1;
}

static int try_jit(struct features *f, char why[WHY_MAX])
{
	if (f->jit) /* 1, 2, or the file is absent as the interpreter is compiled out */
		return 0;
	snprintf(why, WHY_MAX, "net.core.bpf_jit_enable is 0: programs are interpreted");
	return 1;
}

static int map(enum bpf_map_type type, unsigned key, unsigned value, unsigned entries, unsigned flags)
{
	LIBBPF_OPTS(bpf_map_create_opts, opts, .map_flags = flags);
	int fd = bpf_map_create(type, "pst_try", key, value, entries, &opts);

	return fd < 0 ? -errno : fd;
}

static int try_ringbuf(struct features *f, char why[WHY_MAX])
{
	(void)f, (void)why;
	return close_ok(map(BPF_MAP_TYPE_RINGBUF, 0, 0, 4096, 0));
}

static int try_mmap(struct features *f, char why[WHY_MAX])
{
	PST_CLOSE int fd = map(BPF_MAP_TYPE_ARRAY, 4, 8, 1, BPF_F_MMAPABLE);
	void *p = fd < 0 ? MAP_FAILED : mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	(void)f, (void)why;
	if (p == MAP_FAILED)
		return fd < 0 ? fd : -errno;
	munmap(p, 4096);
	return 0;
}

/* After the freeze nobody can map it writable any more. */
static int try_freeze(struct features *f, char why[WHY_MAX])
{
	PST_CLOSE int fd = map(BPF_MAP_TYPE_ARRAY, 4, 8, 1, BPF_F_MMAPABLE);
	void *p;

	(void)f;
	if (fd < 0 || bpf_map_freeze(fd) < 0)
		return -errno;
	p = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (p == MAP_FAILED)
		return 0;
	munmap(p, 4096);
	snprintf(why, WHY_MAX, "a frozen map can still be mapped writable");
	return 1;
}

static int try_raw_tp(struct features *f, char why[WHY_MAX])
{
	PST_CLOSE int prog = load(BPF_PROG_TYPE_RAW_TRACEPOINT, 0, 0, 0);

	(void)f, (void)why;
	if (prog < 0)
		return prog;
	int link = bpf_raw_tracepoint_open("task_rename", prog);
	return link < 0 ? -errno : close_ok(link);
}

static int try_tp_btf(struct features *f, char why[WHY_MAX])
{
	static const char *const names[] = {"btf_trace_task_rename", "btf_trace_sched_process_exit", NULL};

	(void)why;
	return try_tracing(f, BPF_PROG_TYPE_TRACING, BPF_TRACE_RAW_TP, BTF_KIND_TYPEDEF, names);
}

static int try_fentry(struct features *f, char why[WHY_MAX])
{
	(void)why;
	return try_tracing(f, BPF_PROG_TYPE_TRACING, BPF_TRACE_FENTRY, BTF_KIND_FUNC, traced);
}

static int try_fexit(struct features *f, char why[WHY_MAX])
{
	(void)why;
	return try_tracing(f, BPF_PROG_TYPE_TRACING, BPF_TRACE_FEXIT, BTF_KIND_FUNC, traced);
}

/* Loaded only: an attached one would stand in for a system call's result. */
static int try_fmod_ret(struct features *f, char why[WHY_MAX])
{
	static const char *const names[] = {"__x64_sys_getpgid", "__arm64_sys_getpgid", NULL};
	int id = find_any(f, BTF_KIND_FUNC, names);

	(void)why;
	return id < 0 ? id : close_ok(load(BPF_PROG_TYPE_TRACING, BPF_MODIFY_RETURN, id, 0));
}

static bool lsm_listed(const char *list)
{
	for (const char *p = list; *p;) {
		size_t n = strcspn(p, ",");

		if (n == 3 && !strncmp(p, "bpf", 3))
			return true;
		p += n + (p[n] == ',');
	}
	return false;
}

static int try_lsm(struct features *f, char why[WHY_MAX])
{
	static const char *const names[] = {"bpf_lsm_sb_statfs", NULL};
	int r = try_tracing(f, BPF_PROG_TYPE_LSM, BPF_LSM_MAC, BTF_KIND_FUNC, names);

	if (r)
		return r;
	if (lsm_listed(f->lsm))
		return 0;
	/* then programs attach without an error and never run */
	snprintf(why, WHY_MAX,
		"attaches, but never runs: bpf is not among the LSMs (%.80s), boot with lsm=...,bpf",
		f->lsm[0] ? f->lsm : "unknown");
	return 1;
}

static int try_kprobe(struct features *f, char why[WHY_MAX])
{
	struct perf_event_attr attr = {.size = sizeof(attr), .disabled = 1};
	static const char func[] = "commit_creds";
	int type, r;

	(void)f;
	if (feature_read_int("/sys/bus/event_source/devices/kprobe/type", &type) < 0) {
		snprintf(why, WHY_MAX, "not compiled in (CONFIG_KPROBE_EVENTS)");
		return 1;
	}
	r = load_type(BPF_PROG_TYPE_KPROBE, 0, 0);
	if (r)
		return r;
	attr.type = (uint32_t)type;
	attr.config1 = (uint64_t)(uintptr_t)func;
	long fd = syscall(SYS_perf_event_open, &attr, -1, 0, -1, PERF_FLAG_FD_CLOEXEC);
	return fd < 0 ? -errno : close_ok((int)fd);
}

static int try_ktry_multi(struct features *f, char why[WHY_MAX])
{
	const char *syms[] = {"commit_creds"};
	LIBBPF_OPTS(bpf_link_create_opts, opts, .kprobe_multi.syms = syms, .kprobe_multi.cnt = 1);
	PST_CLOSE int prog = load(BPF_PROG_TYPE_KPROBE, BPF_TRACE_KPROBE_MULTI, 0, 0);

	(void)f, (void)why;
	if (prog < 0)
		return prog;
	int link = bpf_link_create(prog, 0, BPF_TRACE_KPROBE_MULTI, &opts);
	return link < 0 ? -errno : close_ok(link);
}

/* Calls the helper with whatever is in the registers: the verifier says whether it minds the helper or only
 * the arguments. */
static int helper(enum bpf_prog_type type, enum bpf_func_id id)
{
	static const char *const refusals[] = {"unknown func", "invalid func", "cannot use helper"};
	const struct bpf_insn insns[] = {
		{.code = BPF_JMP | BPF_CALL, .imm = id},
		{.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0},
		{.code = BPF_JMP | BPF_EXIT},
	};
	char log[4096] = "";
	LIBBPF_OPTS(bpf_prog_load_opts, opts, .log_buf = log, .log_size = sizeof(log), .log_level = 1);
	int fd = bpf_prog_load(type, "pst_try", "Dual BSD/GPL", insns, PST_ARRAY_SIZE(insns), &opts);
	int error = errno;

	if (fd >= 0)
		return close_ok(fd);
	if (!log[0]) /* the verifier never saw it */
		return -error;
	for (size_t i = 0; i < PST_ARRAY_SIZE(refusals); i++)
		if (strstr(log, refusals[i]))
			return -ENOTSUP;
	return 0;
}

static int try_override_return(struct features *f, char why[WHY_MAX])
{
	(void)f, (void)why;
	return helper(BPF_PROG_TYPE_KPROBE, BPF_FUNC_override_return);
}

static int try_send_signal(struct features *f, char why[WHY_MAX])
{
	(void)f, (void)why;
	return helper(BPF_PROG_TYPE_RAW_TRACEPOINT, BPF_FUNC_send_signal);
}

static int try_iter(struct features *f, char why[WHY_MAX])
{
	static const char *const names[] = {"bpf_iter_task", NULL};
	int id = find_any(f, BTF_KIND_FUNC, names);
	PST_CLOSE int prog = id < 0 ? id : load(BPF_PROG_TYPE_TRACING, BPF_TRACE_ITER, id, 0);

	(void)why;
	if (prog < 0)
		return prog;
	int link = bpf_link_create(prog, 0, BPF_TRACE_ITER, NULL);
	return link < 0 ? -errno : close_ok(link);
}

#define TRY_TYPE(fn, type, attach, value)                                                                    \
	static int fn(struct features *f, char why[WHY_MAX])                                                 \
	{                                                                                                    \
		(void)f, (void)why;                                                                          \
		return load_type((enum bpf_prog_type)(type), attach, value);                                 \
	}
TRY_TYPE(try_cgroup_skb, BPF_PROG_TYPE_CGROUP_SKB, BPF_CGROUP_INET_INGRESS, 1)
TRY_TYPE(try_cgroup_connect, BPF_PROG_TYPE_CGROUP_SOCK_ADDR, BPF_CGROUP_INET4_CONNECT, 1)
TRY_TYPE(try_post_bind, BPF_PROG_TYPE_CGROUP_SOCK, BPF_CGROUP_INET4_POST_BIND, 1)
TRY_TYPE(try_sockops, BPF_PROG_TYPE_SOCK_OPS, BPF_CGROUP_SOCK_OPS, 1)
TRY_TYPE(try_sk_lookup, BPF_PROG_TYPE_SK_LOOKUP, BPF_SK_LOOKUP, 1)
TRY_TYPE(try_tc, BPF_PROG_TYPE_SCHED_CLS, 0, 0)
TRY_TYPE(try_xdp, BPF_PROG_TYPE_XDP, 0, XDP_PASS)
TRY_TYPE(try_netfilter, PROG_NETFILTER, ATTACH_NETFILTER, 1)

/* A kernel that does not know the attach type says EINVAL. */
static int try_tcx(struct features *f, char why[WHY_MAX])
{
	uint32_t flags = 0, n = 0;

	(void)f;
	if (!bpf_prog_query(LOOPBACK, (enum bpf_attach_type)ATTACH_TCX_INGRESS, 0, &flags, NULL, &n))
		return 0;
	if (errno != EINVAL)
		return -errno;
	snprintf(why, WHY_MAX, "not in this kernel (came in 6.6)");
	return 1;
}

static int try_task_btf(struct features *f, char why[WHY_MAX])
{
	(void)f, (void)why;
	return helper(BPF_PROG_TYPE_RAW_TRACEPOINT, BPF_FUNC_get_current_task_btf);
}

static int try_loop(struct features *f, char why[WHY_MAX])
{
	(void)f, (void)why;
	return helper(BPF_PROG_TYPE_RAW_TRACEPOINT, BPF_FUNC_loop);
}

static int try_timer(struct features *f, char why[WHY_MAX])
{
	(void)f, (void)why;
	return helper(BPF_PROG_TYPE_SCHED_CLS, BPF_FUNC_timer_init);
}

/* All four come together, and only with CONFIG_SYN_COOKIES. */
static int try_syn_cookies(struct features *f, char why[WHY_MAX])
{
	(void)f, (void)why;
	return helper(BPF_PROG_TYPE_XDP, BPF_FUNC_tcp_raw_check_syncookie_ipv6);
}

static int try_percpu_elem(struct features *f, char why[WHY_MAX])
{
	(void)f, (void)why;
	return helper(BPF_PROG_TYPE_RAW_TRACEPOINT, BPF_FUNC_map_lookup_percpu_elem);
}

static int try_stats(struct features *f, char why[WHY_MAX])
{
	int fd = bpf_enable_stats(BPF_STATS_RUN_TIME);

	(void)f, (void)why;
	return fd < 0 ? -errno : close_ok(fd);
}

const try_fn tries[FEATURE_MAX] = {
	[FEATURE_BTF] = try_btf,
	[FEATURE_JIT] = try_jit,
	[FEATURE_RINGBUF] = try_ringbuf,
	[FEATURE_MMAP] = try_mmap,
	[FEATURE_FREEZE] = try_freeze,
	[FEATURE_RAW_TP] = try_raw_tp,
	[FEATURE_TP_BTF] = try_tp_btf,
	[FEATURE_FENTRY] = try_fentry,
	[FEATURE_FEXIT] = try_fexit,
	[FEATURE_FMOD_RET] = try_fmod_ret,
	[FEATURE_LSM] = try_lsm,
	[FEATURE_KPROBE] = try_kprobe,
	[FEATURE_KPROBE_MULTI] = try_ktry_multi,
	[FEATURE_OVERRIDE_RETURN] = try_override_return,
	[FEATURE_SEND_SIGNAL] = try_send_signal,
	[FEATURE_ITER] = try_iter,
	[FEATURE_CGROUP_SKB] = try_cgroup_skb,
	[FEATURE_CGROUP_CONNECT] = try_cgroup_connect,
	[FEATURE_POST_BIND] = try_post_bind,
	[FEATURE_SOCKOPS] = try_sockops,
	[FEATURE_SK_LOOKUP] = try_sk_lookup,
	[FEATURE_TC] = try_tc,
	[FEATURE_TCX] = try_tcx,
	[FEATURE_XDP] = try_xdp,
	[FEATURE_SYN_COOKIES] = try_syn_cookies,
	[FEATURE_NETFILTER] = try_netfilter,
	[FEATURE_TASK_BTF] = try_task_btf,
	[FEATURE_LOOP] = try_loop,
	[FEATURE_TIMER] = try_timer,
	[FEATURE_PERCPU_ELEM] = try_percpu_elem,
	[FEATURE_STATS] = try_stats,
};
