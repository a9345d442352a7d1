// SPDX-License-Identifier: Apache-2.0
#include "loader/feature.h"

#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include <malloc.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/utsname.h>

#include "loader/corebtf.h"
#include "loader/ladder.h"
#include "loader/mounts.h"
#include "loader/tries.h"
#include "proto/base/cleanup.h"
#include "proto/base/log.h"

const struct feature feature_table[FEATURE_MAX] = {
	[FEATURE_BTF] = {"btf", "type information of the kernel (CO-RE)", 0},
	[FEATURE_JIT] = {"jit", "programs are compiled", 0},
	[FEATURE_RINGBUF] = {"ringbuf", "ring buffer map", 0},
	[FEATURE_MMAP] = {"array_mmap", "array that user space maps", 0},
	[FEATURE_FREEZE] = {"map_freeze", "array that user space can only read", 0},
	[FEATURE_RAW_TP] = {"raw_tp", "raw tracepoint", CAN_OBSERVE | CAN_KILL},
	[FEATURE_TP_BTF] = {"tp_btf", "raw tracepoint with types", CAN_OBSERVE | CAN_KILL},
	[FEATURE_FENTRY] = {"fentry", "entry of a kernel function", CAN_OBSERVE | CAN_KILL},
	[FEATURE_FEXIT] = {"fexit", "exit of a kernel function", CAN_OBSERVE | CAN_KILL},
	[FEATURE_FMOD_RET] = {"fmod_ret", "result of a system call", CAN_OBSERVE | CAN_DENY | CAN_KILL},
	[FEATURE_LSM] = {"lsm", "security hook", CAN_OBSERVE | CAN_DENY | CAN_KILL},
	[FEATURE_KPROBE] = {"kprobe", "kprobe by perf event", CAN_OBSERVE | CAN_KILL},
	[FEATURE_KPROBE_MULTI] = {"kprobe_multi", "many kprobes in one link", CAN_OBSERVE | CAN_KILL},
	[FEATURE_OVERRIDE_RETURN] = {"override_return", "helper: result of a probed function", CAN_DENY},
	[FEATURE_SEND_SIGNAL] = {"send_signal", "helper: signal to the current task", CAN_KILL},
	[FEATURE_ITER] = {"iter", "iterator that can be pinned and read", CAN_OBSERVE},
	[FEATURE_CGROUP_SKB] = {"cgroup_skb", "packets of a cgroup", CAN_OBSERVE | CAN_DENY},
	[FEATURE_CGROUP_CONNECT] = {"cgroup_connect", "connect(2) in a cgroup", CAN_OBSERVE | CAN_DENY},
	[FEATURE_POST_BIND] = {"post_bind", "bind(2) in a cgroup", CAN_OBSERVE | CAN_DENY},
	[FEATURE_SOCKOPS] = {"sockops", "events of TCP sockets of a cgroup", CAN_OBSERVE},
	[FEATURE_SK_LOOKUP] = {"sk_lookup", "choice of the listening socket", CAN_DENY},
	[FEATURE_TC] = {"tc", "traffic control, clsact", CAN_OBSERVE | CAN_DENY},
	[FEATURE_TCX] = {"tcx", "traffic control as a link", CAN_OBSERVE | CAN_DENY},
	[FEATURE_XDP] = {"xdp", "packets before the stack", CAN_OBSERVE | CAN_DENY},
	[FEATURE_SYN_COOKIES] = {"syn_cookies", "helper: SYN cookies before the stack", CAN_DENY},
	[FEATURE_NETFILTER] = {"netfilter", "netfilter hook", CAN_OBSERVE | CAN_DENY},
	[FEATURE_TASK_BTF] = {"task_btf", "helper: current task with types", 0},
	[FEATURE_LOOP] = {"loop", "helper: bpf_loop", 0},
	[FEATURE_TIMER] = {"timer", "helper: bpf_timer", 0},
	[FEATURE_PERCPU_ELEM] = {"percpu_elem", "helper: another CPU's element", 0},
	[FEATURE_STATS] = {"stats", "run time of programs", CAN_OBSERVE},
};

/* ---- facts ---- */

int feature_read_int(const char *path, int *ret_value)
{
	PST_FCLOSE FILE *file = fopen(path, "re");

	return file && fscanf(file, "%d", ret_value) == 1 ? 0 : -ENOENT;
}

uint64_t feature_kallsyms(const char *symbol)
{
	PST_FCLOSE FILE *file = fopen("/proc/kallsyms", "re");
	unsigned long long address;
	char line[256], name[128];

	while (file && fgets(line, sizeof(line), file))
		if (strstr(line, symbol) && sscanf(line, "%llx %*c %127s", &address, name) == 2 &&
			!strcmp(name, symbol))
			return address;
	return 0;
}

static void chomp(char *s)
{
	s[strcspn(s, "\n")] = '\0';
}

static void read_boot_id(struct features *f)
{
	PST_FCLOSE FILE *file = fopen("/proc/sys/kernel/random/boot_id", "re");

	if (file && fgets(f->boot_id, sizeof(f->boot_id), file))
		chomp(f->boot_id);
}

/* "none [integrity] confidentiality" */
static void read_lockdown(struct features *f)
{
	char text[96], *open;

	snprintf(f->lockdown, sizeof(f->lockdown), "unknown");
	if (mounts_securityfs_read("lockdown", text, sizeof(text)) < 0)
		return;
	open = strchr(text, '[');
	if (!open)
		return;
	open[strcspn(open, "]")] = '\0';
	snprintf(f->lockdown, sizeof(f->lockdown), "%.15s", open + 1);
}

void features_init(struct features *f)
{
	struct utsname u;
	struct stat st;

	*f = (struct features){.unprivileged_bpf_disabled = -1, .jit = -1, .core_fd = -1};
	if (!uname(&u))
		snprintf(f->release, sizeof(f->release), "%s", u.release);
	read_boot_id(f);
	if (!stat("/proc/self/ns/net", &st))
		f->net_ns = st.st_ino;
	read_lockdown(f);
	if (mounts_securityfs_read("lsm", f->lsm, sizeof(f->lsm)) < 0)
		f->lsm[0] = '\0';
	feature_read_int("/proc/sys/kernel/unprivileged_bpf_disabled", &f->unprivileged_bpf_disabled);
	feature_read_int("/proc/sys/net/core/bpf_jit_enable", &f->jit);
}

void features_done(struct features *f)
{
	btf__free(f->btf);
	f->btf = NULL;
	if (f->core_path[0])
		pst_closep(&f->core_fd);
	f->core_fd = -1;
	f->core_path[0] = '\0';
}

void features_trim(struct features *f)
{
	features_done(f);
	f->btf_tried = false;
	malloc_trim(0);
}

struct btf *features_btf(struct features *f)
{
	if (!f->btf_tried) {
		f->btf_tried = true;
		f->btf = btf__load_vmlinux_btf();
		if (libbpf_get_error(f->btf))
			f->btf = NULL;
	}
	return f->btf;
}

const char *features_core_path(struct features *f)
{
	if (!f->core_path[0] && features_btf(f)) {
		f->core_fd = corebtf_open(f->btf);
		if (f->core_fd >= 0)
			snprintf(f->core_path, sizeof(f->core_path), "/proc/self/fd/%d", f->core_fd);
		else
			pst_warn("the kernel's types could not be reduced to ours error=%s",
				strerror(-f->core_fd));
	}
	return f->core_path[0] ? f->core_path : NULL;
}

int features_btf_find(struct features *f, const char *name, unsigned kind)
{
	struct btf *btf = features_btf(f);

	return btf ? btf__find_by_name_kind(btf, name, kind) : -ENOENT;
}

bool feature_passing(int error)
{
	error = error < 0 ? -error : error;
	return error == ENOMEM || error == ENOSPC || error == EMFILE || error == ENFILE || error == EAGAIN ||
	       error == EINTR || error == EIO;
}

void feature_why(const struct features *f, int error, char why[WHY_MAX])
{
	bool locked = strcmp(f->lockdown, "none") && strcmp(f->lockdown, "unknown");

	error = error < 0 ? -error : error;
	if ((error == EPERM || error == EACCES) && locked)
		snprintf(why, WHY_MAX, "refused (%s); the kernel is locked down: %s", strerrorname_np(error),
			f->lockdown);
	else if (error == ESRCH)
		snprintf(why, WHY_MAX, "this kernel has no such function or tracepoint");
	else if (error == ENOTSUP || error == EOPNOTSUPP)
		snprintf(why, WHY_MAX, "not supported by this kernel");
	else if (error == EINVAL || error == ENOENT || error == E2BIG)
		snprintf(why, WHY_MAX, "not known to this kernel (%s)", strerrorname_np(error));
	else
		snprintf(why, WHY_MAX, "%s", strerror(error));
}

const struct feature_result *feature_get(struct features *f, enum feature_id id)
{
	struct feature_result *result = &f->results[id];
	int r;

	if (result->known)
		return result;
	r = tries[id](f, result->why);
	result->known = true;
	result->ok = r == 0;
	if (r < 0)
		feature_why(f, r, result->why);
	return result;
}
