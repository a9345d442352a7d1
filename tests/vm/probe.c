// SPDX-License-Identifier: Apache-2.0
/*
 * What does the kernel under test really do? Each row is loaded, attached and provoked, and counts only if
 * the kernel says that the program ran: an LSM program attaches without error where "bpf" is not in the lsm
 * list, and never runs. Prints one TAP line a row, numbered from argv[1] on. For test VMs only: it denies
 * mkdir(2) for a moment.
 */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <linux/perf_event.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define SCRATCH "/tmp/vm-probe"

/* r0 = value; exit */
#define RETURN(value)                                                                                        \
	{                                                                                                    \
		{.code = 0xb7, .imm = (value)},                                                              \
		{                                                                                            \
			.code = 0x95                                                                         \
		}                                                                                            \
	}

struct row {
	const char *name;
	enum bpf_prog_type type;
	enum bpf_attach_type attach;
	const char *target;
	bool denies; /* mkdir(2) must fail while it is attached */
};

static const struct row rows[] = {
	{"tracepoint sched_process_exec", BPF_PROG_TYPE_TRACEPOINT, 0, "sched/sched_process_exec", false},
	{"raw_tp sys_enter", BPF_PROG_TYPE_RAW_TRACEPOINT, 0, "sys_enter", false},
	{"tp_btf sched_process_exec", BPF_PROG_TYPE_TRACING, BPF_TRACE_RAW_TP, "sched_process_exec", false},
	{"kprobe vfs_mkdir", BPF_PROG_TYPE_KPROBE, 0, "vfs_mkdir", false},
	{"fentry vfs_mkdir", BPF_PROG_TYPE_TRACING, BPF_TRACE_FENTRY, "vfs_mkdir", false},
	{"fexit vfs_mkdir", BPF_PROG_TYPE_TRACING, BPF_TRACE_FEXIT, "vfs_mkdir", false},
	{"lsm inode_mkdir", BPF_PROG_TYPE_LSM, BPF_LSM_MAC, "inode_mkdir", true},
};

static int read_number(const char *path)
{
	char text[32] = {0};
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return -errno;
	ssize_t n = read(fd, text, sizeof(text) - 1);
	close(fd);
	return n > 0 ? atoi(text) : -EIO;
}

static int perf_open(struct perf_event_attr *attr)
{
	int fd = (int)syscall(SYS_perf_event_open, attr, -1, 0, -1, PERF_FLAG_FD_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

/* Both kinds hang on a perf event of the first CPU, to which main() has bound itself. */
static int attach_perf(const struct row *row, int prog)
{
	struct perf_event_attr attr = {.size = sizeof(attr)};
	char path[128];

	if (row->type == BPF_PROG_TYPE_KPROBE) {
		attr.type = (uint32_t)read_number("/sys/bus/event_source/devices/kprobe/type");
		attr.kprobe_func = (uint64_t)(uintptr_t)row->target;
	} else {
		snprintf(path, sizeof(path), "/sys/kernel/tracing/events/%s/id", row->target);
		attr.type = PERF_TYPE_TRACEPOINT;
		attr.config = (uint64_t)read_number(path);
	}
	int fd = perf_open(&attr);
	if (fd < 0)
		return fd;
	if (ioctl(fd, PERF_EVENT_IOC_SET_BPF, prog) == 0 && ioctl(fd, PERF_EVENT_IOC_ENABLE, 0) == 0)
		return fd;
	int err = -errno;
	close(fd);
	return err;
}

static int attach(const struct row *row, int prog)
{
	if (row->type == BPF_PROG_TYPE_KPROBE || row->type == BPF_PROG_TYPE_TRACEPOINT)
		return attach_perf(row, prog);
	int fd =
		bpf_raw_tracepoint_open(row->type == BPF_PROG_TYPE_RAW_TRACEPOINT ? row->target : NULL, prog);
	return fd < 0 ? -errno : fd;
}

static int load(const struct row *row, char *log, size_t log_size)
{
	const struct bpf_insn allow[] = RETURN(0), deny[] = RETURN(-1);
	LIBBPF_OPTS(bpf_prog_load_opts, opts, .expected_attach_type = row->attach, .log_buf = log,
		.log_size = (uint32_t)log_size, .log_level = 1);

	if (row->type == BPF_PROG_TYPE_TRACING || row->type == BPF_PROG_TYPE_LSM) {
		int id = libbpf_find_vmlinux_btf_id(row->target, row->attach);
		if (id < 0)
			return id;
		opts.attach_btf_id = (uint32_t)id;
	}
	int fd = bpf_prog_load(row->type, "vm_probe", "GPL", row->denies ? deny : allow, 2, &opts);
	return fd < 0 ? -errno : fd;
}

/* One exec and one mkdir; returns what mkdir said. */
static int provoke(void)
{
	pid_t pid = fork();

	if (pid == 0) {
		execl("/usr/bin/true", "true", (char *)NULL);
		_exit(127);
	}
	if (pid > 0)
		waitpid(pid, NULL, 0);
	int rc = mkdir(SCRATCH, 0700) == 0 ? 0 : -errno;
	rmdir(SCRATCH);
	return rc;
}

/* Returns how often the program ran, or -errno, with the failed step in *ret_step. */
static long try_row(const struct row *row, char *log, size_t log_size, const char **ret_step)
{
	struct bpf_prog_info info = {0};
	uint32_t size = sizeof(info);

	*ret_step = "load";
	int prog = load(row, log, log_size);
	if (prog < 0)
		return prog;
	*ret_step = "attach";
	int link = attach(row, prog);
	long rc = link;
	if (link >= 0) {
		int made = provoke();
		close(link);
		*ret_step = "run";
		rc = bpf_obj_get_info_by_fd(prog, &info, &size) == 0 ? (long)info.run_cnt : -errno;
		if (row->denies && made != -EPERM)
			rc = 0;
	}
	close(prog);
	return rc;
}

static int report(int number, bool ok, const char *name, const char *why)
{
	printf("%s %d - %s%s%s\n", ok ? "ok" : "not ok", number, name, why[0] ? ": " : "", why);
	fflush(stdout);
	return ok ? 0 : 1;
}

int main(int argc, char **argv)
{
	int number = argc > 1 ? atoi(argv[1]) : 1, failed = 0;
	char why[256], log[4096];
	unsigned long first_cpu = 1;

	syscall(SYS_sched_setaffinity, 0, sizeof(first_cpu), &first_cpu);
	int stats = bpf_enable_stats(BPF_STATS_RUN_TIME);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const char *step = "";
		log[0] = '\0';
		long runs = try_row(&rows[i], log, sizeof(log), &step);
		why[0] = '\0';
		if (runs < 0)
			snprintf(why, sizeof(why), "%s: %s %.100s", step, strerror((int)-runs), log);
		else if (runs == 0)
			snprintf(why, sizeof(why), "attached, never ran");
		failed += report(number++, runs > 0, rows[i].name, why);
	}
	if (stats >= 0)
		close(stats);

	/* LANDLOCK_CREATE_RULESET_VERSION; on a kernel before 5.13 its absence is the right answer. */
	long abi = syscall(SYS_landlock_create_ruleset, NULL, 0, 1U);
	snprintf(why, sizeof(why), "%s%ld", abi >= 0 ? "ABI " : "errno ", abi >= 0 ? abi : (long)errno);
	failed += report(number++, (abi >= 1) == (argc > 2 && strcmp(argv[2], "landlock") == 0),
		"Landlock as expected", why);
	/* A filter mode that exists refuses a NULL filter with EFAULT, and one that does not with EINVAL. */
	bool seccomp = prctl(PR_SET_SECCOMP, 2, NULL) < 0 && errno == EFAULT;
	failed += report(number++, seccomp, "seccomp filters", "");
	return failed ? 1 : 0;
}
