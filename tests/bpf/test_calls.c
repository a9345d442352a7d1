// SPDX-License-Identifier: Apache-2.0
/* Records of single system calls, on both rungs: fexit on each call, and the one program on sys_exit. */
#include <linux/bpf.h>
#include <linux/openat2.h>
#include <linux/perf_event.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/uio.h>

#include "bpf/calls.skel.h"
#include "bpf/sysexit.skel.h"
#include "tests/bpf/procs.h"
#include "tests/bpf/rungs.h"

/* Both are attached at once, each with a ring of its own; a test looks at one of them. */
struct rung {
	struct calls_bpf *fexit;
	struct sysexit_bpf *sysexit;
	struct reclog recs;
};
static struct rung fexit_rung, sysexit_rung, *rung;
static char base[64];

/* What a child tells of its deed. */
static struct {
	long ret;
	int error;
	uint64_t at;
	struct pst_ns ns;
} * said;

static pid_t victim; /* a child that sleeps */

/* Runs it in a child. Its pid; the child is gone. */
static uint32_t act(void (*fn)(void *))
{
	pid_t pid;

	reclog_clear(&rung->recs);
	memset(said, 0, sizeof(*said));
	pid = run(fn, NULL);
	assert_int_equal(reap(pid), 0);
	return (uint32_t)pid;
}

static void tell(long ret)
{
	said->error = ret < 0 ? errno : 0;
	said->ret = ret;
}

static void done(long ret)
{
	tell(ret);
	_exit(0);
}

/* The only record of that kind by that process. */
static const void *only(int kind, uint32_t pid)
{
	const struct pst_rec *r = reclog_want(&rung->recs, kind, pid);

	assert_int_equal(reclog_count(&rung->recs, kind, pid), 1);
	return r;
}

static void assert_none(int kind, uint32_t pid)
{
	assert_int_equal(reclog_count(&rung->recs, kind, pid), 0);
}

static void sleep_for_ever(void *arg)
{
	(void)arg;
	for (;;)
		pause();
}

static void assert_target(const struct pst_task *t, pid_t pid)
{
	const uint64_t tick = 1000000000ull / (uint64_t)sysconf(_SC_CLK_TCK);

	assert_int_equal(t->pid, pid);
	assert_int_equal(t->tid, pid);
	assert_int_equal(t->start_ns / tick, proc_start_ticks(pid));
	assert_string_equal(t->comm, "test_calls");
	assert_int_equal(t->uid, getuid());
	assert_true(t->cgroup_id != 0);
}

/* ---- bpf(2) ---- */

static long bpf_load(unsigned type)
{
	static const struct bpf_insn insns[] = {
		{.code = BPF_ALU64 | BPF_MOV | BPF_K}, {.code = BPF_JMP | BPF_EXIT}};
	union bpf_attr attr = {.prog_type = type, .insn_cnt = 2, .expected_attach_type = 0};

	attr.insns = (uintptr_t)insns;
	attr.license = (uintptr_t) "GPL";
	strcpy(attr.prog_name, "pst_test");
	return syscall(SYS_bpf, BPF_PROG_LOAD, &attr, sizeof(attr));
}

static void do_bpf(void *arg)
{
	(void)arg;
	done(bpf_load(BPF_PROG_TYPE_SOCKET_FILTER));
}

static void do_bpf_bad(void *arg)
{
	(void)arg;
	done(bpf_load(9999));
}

static void do_bpf_map(void *arg)
{
	union bpf_attr attr = {
		.map_type = BPF_MAP_TYPE_ARRAY, .key_size = 4, .value_size = 4, .max_entries = 1};

	(void)arg;
	done(syscall(SYS_bpf, BPF_MAP_CREATE, &attr, sizeof(attr)));
}

static void do_bpf_short(void *arg)
{
	uint32_t attr[2] = {BPF_PROG_TYPE_KPROBE, 7};

	(void)arg;
	done(syscall(SYS_bpf, BPF_PROG_LOAD, attr, sizeof(attr)));
}

static void check_bpf(void **state)
{
	const struct pst_rec_bpf *r;

	(void)state;
	r = only(PST_REC_BPF, act(do_bpf));
	assert_int_equal(said->error, 0);
	assert_int_equal(r->h.size, sizeof(*r));
	assert_int_equal(r->error, 0);
	assert_int_equal(r->prog_type, BPF_PROG_TYPE_SOCKET_FILTER);
	assert_int_equal(r->insns, 2);
	assert_string_equal(r->name, "pst_test");
	assert_string_equal(r->task.comm, "test_calls");

	r = only(PST_REC_BPF, act(do_bpf_bad));
	assert_int_equal(r->error, said->error);
	assert_true(r->error > 0);
	assert_int_equal(r->prog_type, 9999);

	r = only(PST_REC_BPF, act(do_bpf_short)); /* what the caller did not give is not read */
	assert_int_equal(r->error, said->error);
	assert_int_equal(r->prog_type, BPF_PROG_TYPE_KPROBE);
	assert_int_equal(r->insns, 7);
	assert_string_equal(r->name, "");

	assert_none(PST_REC_BPF, act(do_bpf_map));
	assert_int_equal(said->error, 0);
}

/* ---- ptrace(2) ---- */

static void trace(int request)
{
	tell(ptrace(request, victim, 0, 0));
	if (request == PTRACE_ATTACH)
		waitpid(victim, NULL, 0);
	_exit(0); /* detaches */
}

static void do_attach(void *arg)
{
	(void)arg;
	trace(PTRACE_ATTACH);
}

static void do_seize(void *arg)
{
	(void)arg;
	trace(PTRACE_SEIZE);
}

static void do_attach_self(void *arg)
{
	(void)arg;
	done(ptrace(PTRACE_ATTACH, getpid(), 0, 0));
}

static void do_traceme(void *arg)
{
	(void)arg;
	done(ptrace(PTRACE_TRACEME, 0, 0, 0));
}

static void do_peek(void *arg)
{
	(void)arg;
	done(ptrace(PTRACE_PEEKDATA, victim, said, 0));
}

static void do_vm_write(void *arg)
{
	static char there[8];
	char here[8] = "written";
	struct iovec l = {here, sizeof(here)}, r = {there, sizeof(there)};

	(void)arg;
	done(process_vm_writev(victim, &l, 1, &r, 1, 0));
}

static void check_ptrace(void **state)
{
	const struct pst_rec_ptrace *r;
	static const struct pst_task nobody;
	uint32_t pid;

	(void)state;
	r = only(PST_REC_PTRACE, act(do_attach));
	assert_int_equal(said->error, 0);
	assert_int_equal(r->op, PST_PTRACE_ATTACH);
	assert_int_equal(r->error, 0);
	assert_int_equal(r->given_pid, victim);
	assert_target(&r->target, victim);

	r = only(PST_REC_PTRACE, act(do_seize));
	assert_int_equal(said->error, 0);
	assert_int_equal(r->op, PST_PTRACE_SEIZE);
	assert_target(&r->target, victim);

	pid = act(do_attach_self);
	r = only(PST_REC_PTRACE, pid);
	assert_int_equal(said->error, EPERM);
	assert_int_equal(r->error, EPERM);
	assert_int_equal(r->given_pid, pid);
	assert_memory_equal(&r->target, &nobody, sizeof(nobody));

	pid = act(do_traceme);
	r = only(PST_REC_PTRACE, pid);
	assert_int_equal(said->error, 0);
	assert_int_equal(r->op, PST_PTRACE_TRACEME);
	assert_int_equal(r->target.pid, pid);

	r = only(PST_REC_PTRACE, act(do_vm_write));
	assert_int_equal(r->op, PST_PTRACE_VM_WRITE);
	assert_int_equal(r->error, said->error);
	assert_int_equal(r->given_pid, victim);

	assert_none(PST_REC_PTRACE, act(do_peek));
	assert_int_equal(said->error, ESRCH); /* not traced by it */
}

/* ---- namespaces ---- */

static void tell_ns(long ret)
{
	tell(ret);
	said->ns = (struct pst_ns){proc_ns(getpid(), "mnt"), proc_ns(getpid(), "pid_for_children"),
		proc_ns(getpid(), "net"), proc_ns(getpid(), "user"), proc_ns(getpid(), "uts"),
		proc_ns(getpid(), "ipc"), proc_ns(getpid(), "cgroup"), proc_ns(getpid(), "time")};
	_exit(0);
}

static void do_unshare(void *arg)
{
	(void)arg;
	tell_ns(unshare(CLONE_NEWUTS | CLONE_NEWIPC));
}

static void do_unshare_files(void *arg)
{
	(void)arg;
	done(unshare(CLONE_FILES));
}

static void do_unshare_bad(void *arg)
{
	(void)arg;
	tell_ns(unshare(CLONE_NEWUTS | CLONE_PARENT));
}

static void do_setns(void *arg)
{
	char path[64];
	int fd;

	(void)arg;
	snprintf(path, sizeof(path), "/proc/%d/ns/uts", getppid());
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || unshare(CLONE_NEWUTS))
		_exit(90);
	tell_ns(setns(fd, 0));
}

static void check_namespace(void **state)
{
	const struct pst_rec_namespace *r;
	uint32_t pid;

	(void)state;
	r = only(PST_REC_NAMESPACE, act(do_unshare));
	assert_int_equal(said->error, 0);
	assert_int_equal(r->call, PST_NS_UNSHARE);
	assert_int_equal(r->flags, CLONE_NEWUTS | CLONE_NEWIPC);
	assert_int_equal(r->error, 0);
	assert_memory_equal(&r->ns, &said->ns, sizeof(r->ns));
	assert_true(r->ns.uts != proc_ns(getpid(), "uts"));

	r = only(PST_REC_NAMESPACE, act(do_unshare_bad));
	assert_int_equal(said->error, EINVAL);
	assert_int_equal(r->error, EINVAL);
	assert_memory_equal(&r->ns, &said->ns, sizeof(r->ns));
	assert_int_equal(r->ns.uts, proc_ns(getpid(), "uts"));

	pid = act(do_setns);
	assert_int_equal(said->error, 0);
	assert_int_equal(reclog_count(&rung->recs, PST_REC_NAMESPACE, pid), 2);
	r = reclog_nth(&rung->recs, PST_REC_NAMESPACE, pid, 1);
	assert_int_equal(r->call, PST_NS_SETNS);
	assert_int_equal(r->flags, 0);
	assert_memory_equal(&r->ns, &said->ns, sizeof(r->ns));
	assert_int_equal(r->ns.uts, proc_ns(getpid(), "uts"));

	assert_none(PST_REC_NAMESPACE, act(do_unshare_files));
	assert_int_equal(said->error, 0);
}

/* ---- memfd_create(2) ---- */

static void do_memfd(void *arg)
{
	(void)arg;
	done(memfd_create("pst-test", MFD_CLOEXEC | MFD_ALLOW_SEALING));
}

static void do_memfd_long(void *arg)
{
	char name[101];

	(void)arg;
	memset(name, 'x', sizeof(name) - 1);
	name[100] = '\0';
	done(memfd_create(name, 0));
}

static void do_memfd_bad(void *arg)
{
	char name[] =
		"pst-bad"; /* not a literal: its page need not be there, and the kernel does not touch it */

	(void)arg;
	done(memfd_create(name, 0x4000));
}

static void check_memfd(void **state)
{
	const struct pst_rec_memfd *r;

	(void)state;
	r = only(PST_REC_MEMFD, act(do_memfd));
	assert_int_equal(said->error, 0);
	assert_int_equal(r->error, 0);
	assert_int_equal(r->flags, MFD_CLOEXEC | MFD_ALLOW_SEALING);
	assert_string_equal(r->name, "pst-test");

	r = only(PST_REC_MEMFD, act(do_memfd_long));
	assert_int_equal(strlen(r->name), sizeof(r->name) - 1);

	r = only(PST_REC_MEMFD, act(do_memfd_bad));
	assert_int_equal(said->error, EINVAL);
	assert_int_equal(r->error, EINVAL);
	assert_string_equal(r->name, "pst-bad");
}

/* Through the 32-bit table. */
static void do_memfd32(void *arg)
{
	char *name = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);
	long ret;

	(void)arg;
	if (name == MAP_FAILED)
		_exit(91);
	strcpy(name, "pst-32");
	__asm__ volatile("int $0x80"
			 : "=a"(ret)
			 : "a"(356), "b"(name), "c"(1L)
			 : "memory", "r8", "r9", "r10", "r11");
	said->ret = ret;
	_exit(0);
}

static void check_compat(void **state)
{
	const struct pst_rec_memfd *r;
	pid_t pid;

	(void)state;
	reclog_clear(&rung->recs);
	memset(said, 0, sizeof(*said));
	pid = run(do_memfd32, NULL);
	if (reap(pid) || said->ret < 0)
		skip_because("this kernel takes no int 0x80");
	r = only(PST_REC_MEMFD, (uint32_t)pid);
	assert_string_equal(r->name, "pst-32");
	assert_int_equal(r->flags, MFD_CLOEXEC);
}

/* ---- perf_event_open(2) ---- */

static long perf_open(uint32_t type, uint64_t config)
{
	struct perf_event_attr attr = {.type = type, .size = sizeof(attr), .config = config, .disabled = 1};

	return syscall(SYS_perf_event_open, &attr, 0, -1, -1, PERF_FLAG_FD_CLOEXEC);
}

static void do_perf(void *arg)
{
	(void)arg;
	done(perf_open(PERF_TYPE_SOFTWARE, PERF_COUNT_SW_PAGE_FAULTS));
}

static void do_perf_bad(void *arg)
{
	(void)arg;
	done(perf_open(424242, 77));
}

static void check_perf(void **state)
{
	const struct pst_rec_perf *r;

	(void)state;
	if (rung->fexit && !bpf_program__autoload(rung->fexit->progs.calls_perf))
		skip_because("this kernel's BTF has no perf_event_open");
	r = only(PST_REC_PERF, act(do_perf));
	assert_int_equal(r->error, said->error);
	assert_int_equal(r->type, PERF_TYPE_SOFTWARE);
	assert_int_equal(r->config, PERF_COUNT_SW_PAGE_FAULTS);
	assert_int_equal(r->given_pid, 0);
	assert_int_equal(r->cpu, -1);
	assert_int_equal(r->flags, PERF_FLAG_FD_CLOEXEC);

	r = only(PST_REC_PERF, act(do_perf_bad));
	assert_true(said->error > 0);
	assert_int_equal(r->error, said->error);
	assert_int_equal(r->type, 424242);
	assert_int_equal(r->config, 77);
}

/* ---- executable memory ---- */

#define RW  (PROT_READ | PROT_WRITE)
#define RX  (PROT_READ | PROT_EXEC)
#define RWX (RW | PROT_EXEC)

static void *anonymous(int prot)
{
	void *p = mmap(NULL, 8192, prot, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED)
		_exit(92);
	said->at = (uintptr_t)p;
	return p;
}

static void *of_file(int prot)
{
	int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	void *p = mmap(NULL, 8192, prot, MAP_PRIVATE, fd, 0);

	if (p == MAP_FAILED)
		_exit(93);
	said->at = (uintptr_t)p;
	return p;
}

static void do_mmap(void *arg)
{
	(void)arg;
	anonymous(RWX);
	_exit(0);
}

static void do_mmap_file(void *arg)
{
	(void)arg;
	of_file(RX);
	_exit(0);
}

static void do_mprotect(void *arg)
{
	(void)arg;
	done(mprotect(anonymous(RW), 8192, RX));
}

static void do_mprotect_file(void *arg)
{
	(void)arg;
	done(mprotect(of_file(PROT_READ), 8192, RX));
}

static void do_mprotect_written(void *arg)
{
	char *p = of_file(RW);

	(void)arg;
	*p = 1;
	done(mprotect(p, 8192, RX));
}

static void do_mprotect_read(void *arg)
{
	(void)arg;
	done(mprotect(anonymous(RW), 8192, PROT_READ));
}

static const struct pst_rec_exec_memory *protected(void (*fn)(void *), enum pst_mapping mapping, uint32_t old)
{
	const struct pst_rec_exec_memory *r = only(PST_REC_EXEC_MEMORY, act(fn));
	bool all = rung->fexit;

	assert_int_equal(said->error, 0);
	assert_int_equal(r->call, PST_EXEC_MPROTECT);
	assert_int_equal(r->address, said->at);
	assert_int_equal(r->bytes, 8192);
	assert_int_equal(r->prot, RX);
	assert_int_equal(r->old_prot, all ? old : 0);
	assert_int_equal(r->mapping, all ? mapping : PST_MAPPING_UNKNOWN);
	return r;
}

static void check_exec_memory(void **state)
{
	const struct pst_rec_exec_memory *r;

	(void)state;
	r = only(PST_REC_EXEC_MEMORY, act(do_mmap));
	assert_int_equal(r->call, PST_EXEC_MMAP);
	assert_int_equal(r->address, said->at);
	assert_int_equal(r->bytes, 8192);
	assert_int_equal(r->prot, RWX);
	assert_int_equal(r->mapping, PST_MAPPING_ANONYMOUS);

	protected(do_mprotect, PST_MAPPING_ANONYMOUS, RW);
	protected(do_mprotect_written, PST_MAPPING_FILE, RW);
	assert_none(PST_REC_EXEC_MEMORY, act(do_mprotect_read));
	assert_none(PST_REC_EXEC_MEMORY, act(do_mmap_file));
	/* a file's own pages: fexit sees what they are, sys_exit does not */
	assert_int_equal(
		reclog_count(&rung->recs, PST_REC_EXEC_MEMORY, act(do_mprotect_file)), rung->fexit ? 0 : 1);
	assert_int_equal(said->error, 0);
}

/* ---- /proc/PID/mem ---- */

static char mem[64];

static void do_mem_rw(void *arg)
{
	(void)arg;
	done(open(mem, O_RDWR | O_CLOEXEC));
}

static void do_mem_w(void *arg)
{
	(void)arg;
	done(syscall(SYS_open, mem, O_WRONLY));
}

static void do_mem_r(void *arg)
{
	(void)arg;
	done(open(mem, O_RDONLY | O_CLOEXEC));
}

static void do_mem_openat2(void *arg)
{
	struct open_how how = {.flags = O_RDWR};

	(void)arg;
	done(syscall(SYS_openat2, AT_FDCWD, mem, &how, sizeof(how)));
}

static void do_mem_own(void *arg)
{
	(void)arg;
	done(open("/proc/self/mem", O_RDWR | O_CLOEXEC));
}

static void do_mem_named(void *arg)
{
	char path[128];

	(void)arg;
	snprintf(path, sizeof(path), "%s/mem", base);
	done(open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600));
}

static void check_proc_mem(void **state)
{
	static const struct {
		void (*fn)(void *);
		int readable;
	} cases[] = {{do_mem_rw, 1}, {do_mem_w, 0}, {do_mem_openat2, 1}};
	const struct pst_rec_proc_mem *r;

	(void)state;
	snprintf(mem, sizeof(mem), "/proc/%d/mem", victim);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		r = only(PST_REC_PROC_MEM, act(cases[i].fn));
		assert_int_equal(said->error, 0);
		assert_int_equal(r->readable, cases[i].readable);
		assert_target(&r->target, victim);
	}
	assert_none(PST_REC_PROC_MEM, act(do_mem_r));
	assert_none(PST_REC_PROC_MEM, act(do_mem_own));
	assert_int_equal(said->error, 0);
	assert_none(PST_REC_PROC_MEM, act(do_mem_named));
	assert_int_equal(said->error, 0);
}

/* ---- the bound ---- */

#define MANY 20

static void do_many(void *arg)
{
	(void)arg;
	for (int i = 0; i < MANY; i++)
		if (memfd_create("many", MFD_CLOEXEC) < 0)
			_exit(94);
	_exit(0);
}

static char group[300];

static void do_elsewhere(void *arg)
{
	int fd;

	(void)arg;
	strcat(group, "/cgroup.procs");
	fd = open(group, O_WRONLY | O_CLOEXEC);
	if (fd < 0 || write(fd, "0", 1) != 1)
		_exit(95);
	if (memfd_create("many", MFD_CLOEXEC) < 0)
		_exit(96);
	_exit(0);
}

/* One a second of each cgroup: what stays out is counted, and another cgroup has its own. */
static void test_bound(void **state)
{
	struct sysexit_bpf *own = sysexit_bpf__open();
	struct rung bounded = {0};
	const char *root = cgroup2();
	uint64_t suppressed;
	int seen, stats;

	(void)state;
	assert_non_null(own);
	own->rodata->cfg_cred = own->rodata->cfg_exec_failed = false;
	own->rodata->cfg_memfd = true;
	own->rodata->cfg_cgroup_gap_ns = 1000000000;
	assert_int_equal(sysexit_bpf__load(own), 0);
	assert_int_equal(sysexit_bpf__attach(own), 0);
	stats = bpf_map__fd(own->maps.class_stats);
	reclog_open(&bounded.recs, bpf_map__fd(own->maps.ring_process));
	rung = &bounded;
	seen = reclog_count(&rung->recs, PST_REC_MEMFD, act(do_many));
	suppressed = stat_sum(stats, PST_CLASS_PROCESS, offsetof(struct pst_class_stat, suppressed));
	assert_true(seen >= 1 && seen < MANY);
	assert_true((uint64_t)seen + suppressed >= MANY); /* others of this cgroup may do the same */
	assert_int_equal(rung->recs.records,
		stat_sum(stats, PST_CLASS_PROCESS, offsetof(struct pst_class_stat, emitted)));
	if (root) {
		snprintf(group, sizeof(group), "%s/pst-test-%d", root, getpid());
		assert_int_equal(mkdir(group, 0755), 0);
		only(PST_REC_MEMFD, act(do_elsewhere));
		while (rmdir(group) && errno == EBUSY)
			usleep(1000);
	}
	reclog_close(&bounded.recs);
	sysexit_bpf__destroy(own);
}

static struct sysexit_bpf *sysexit_attach(void)
{
	struct sysexit_bpf *s = sysexit_bpf__open();

	if (!s)
		return NULL;
	s->rodata->cfg_exec_failed = s->rodata->cfg_cred = false;
	s->rodata->cfg_bpf = s->rodata->cfg_ptrace = s->rodata->cfg_namespace = true;
	s->rodata->cfg_memfd = s->rodata->cfg_perf = s->rodata->cfg_exec_memory = true;
	s->rodata->cfg_proc_mem = true;
	bpf_program__set_autoload(s->progs.cred_enter, false);
	return sysexit_bpf__load(s) || sysexit_bpf__attach(s) ? NULL : s;
}

/* Functions that this kernel's BTF has not (5.10: perf_event_open). */
static void leave_out_unknown(void)
{
	struct bpf_program *prog;

	bpf_object__for_each_program(prog, fexit_rung.fexit->obj)
	{
		const char *name = strchr(bpf_program__section_name(prog), '/') + 1;

		bpf_program__set_autoload(prog, libbpf_find_vmlinux_btf_id(name, BPF_TRACE_FEXIT) > 0);
	}
}

static int setup(void **state)
{
	(void)state;
	said = mmap(NULL, 4096, RW, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (said == MAP_FAILED || folder_make(base, sizeof(base)))
		return -1;
	victim = run(sleep_for_ever, NULL);
	sysexit_rung.sysexit = sysexit_attach();
	if (!sysexit_rung.sysexit)
		return -1;
	reclog_open(&sysexit_rung.recs, bpf_map__fd(sysexit_rung.sysexit->maps.ring_process));
	fexit_rung.fexit = calls_bpf__open();
	if (!fexit_rung.fexit)
		return -1;
	leave_out_unknown();
	if (calls_bpf__load(fexit_rung.fexit)) {
		calls_bpf__destroy(fexit_rung.fexit);
		fexit_rung.fexit = NULL;
		return 0;
	}
	if (calls_bpf__attach(fexit_rung.fexit))
		return -1;
	reclog_open(&fexit_rung.recs, bpf_map__fd(fexit_rung.fexit->maps.ring_process));
	return 0;
}

static void rung_close(struct rung *r)
{
	if (r->recs.rb)
		reclog_close(&r->recs);
	calls_bpf__destroy(r->fexit);
	sysexit_bpf__destroy(r->sysexit);
}

static int teardown(void **state)
{
	(void)state;
	rung_close(&fexit_rung);
	rung_close(&sysexit_rung);
	kill(victim, SIGKILL);
	reap(victim);
	return folder_remove(base);
}

ON_RUNGS(fexit, bpf)
ON_RUNGS(fexit, ptrace)
ON_RUNGS(fexit, namespace)
ON_RUNGS(fexit, memfd)
ON_RUNGS(fexit, compat)
ON_RUNGS(fexit, perf)
ON_RUNGS(fexit, exec_memory)
ON_RUNGS(fexit, proc_mem)

int main(void)
{
	const struct CMUnitTest tests[] = {
		RUNGS(fexit, bpf),
		RUNGS(fexit, ptrace),
		RUNGS(fexit, namespace),
		RUNGS(fexit, memfd),
		RUNGS(fexit, compat),
		RUNGS(fexit, perf),
		RUNGS(fexit, exec_memory),
		RUNGS(fexit, proc_mem),
		cmocka_unit_test(test_bound),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, setup, teardown);
}
