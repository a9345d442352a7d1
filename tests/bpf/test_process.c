// SPDX-License-Identifier: Apache-2.0
/* fork and exit records: real processes on this kernel, every field compared with what /proc and wait(2) say.
 */
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/resource.h>

#include "tests/bpf/procrun.h"

static uint64_t boot_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_BOOTTIME, &ts);
	return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

/* waitpid's status and the exit record say the same, once. */
static void assert_exit(pid_t pid, int status)
{
	const struct pst_rec_exit *r = reclog_want(&recs, PST_REC_EXIT, (unsigned int)pid);

	assert_int_equal(r->h.size, sizeof(*r));
	assert_int_equal(r->code, WIFEXITED(status) ? WEXITSTATUS(status) : 0);
	assert_int_equal(r->signal, WIFSIGNALED(status) ? WTERMSIG(status) : 0);
	assert_int_equal(r->core, WIFSIGNALED(status) && WCOREDUMP(status) ? 1 : 0);
	assert_int_equal(r->parent_pid, getpid());
	assert_int_equal(reclog_count(&recs, PST_REC_EXIT, (unsigned int)pid), 1);
}

/* ---- fork, exec, exit: all fields ---- */

static void become_sleeper(void *arg)
{
	char *argv[] = {"my sleep", "30", NULL};

	if (chdir(arg) || setresgid(4321, 4321, 4321) || setresuid(1234, 1234, 1234))
		_exit(98);
	execve("../../usr/bin/sleep", argv, (char *[]){NULL});
}

static void wait_comm(pid_t pid, const char *comm)
{
	char buf[64];

	for (int i = 0; i < 1000; i++) {
		proc_slurp(pid, "comm", buf, sizeof(buf));
		buf[strcspn(buf, "\n")] = '\0';
		if (!strcmp(buf, comm))
			return;
		usleep(2000);
	}
	fail_msg("pid %d did not become %s but is %s", pid, comm, buf);
}

static void test_fork_exec_exit(void **state)
{
	uint64_t before = boot_ns(), tick = 1000000000 / (uint64_t)sysconf(_SC_CLK_TCK);
	const struct pst_rec_fork *f;
	const struct pst_rec_exec *e;
	const struct pst_rec_exit *x;
	char loginuid[32];
	struct stat st;
	pid_t pid;
	int status;

	(void)state;
	reclog_clear(&recs);
	pid = run(become_sleeper, base);
	wait_comm(pid, "sleep");

	f = reclog_want(&recs, PST_REC_FORK, (unsigned int)pid);
	assert_int_equal(f->h.size, sizeof(*f));
	assert_true(f->h.ts_ns >= before && f->h.ts_ns <= boot_ns());
	assert_int_equal(f->parent.pid, getpid());
	assert_int_equal(f->parent.tid, getpid());
	assert_int_equal(f->parent.start_ns / tick, proc_start_ticks(getpid()));
	assert_int_equal(f->child_start_ns / tick, proc_start_ticks(pid));
	assert_int_equal(f->clone_flags, SIGCHLD);
	assert_int_equal(f->child_cgroup_id, f->parent.cgroup_id);
	assert_string_equal(f->parent.comm, "test_process");

	e = reclog_want(&recs, PST_REC_EXEC, (unsigned int)pid);
	f = reclog_want(&recs, PST_REC_FORK, (unsigned int)pid);
	assert_true(e->h.ts_ns > f->h.ts_ns);
	assert_int_equal(e->task.start_ns, f->child_start_ns);
	assert_int_equal(e->task.cgroup_id, f->child_cgroup_id);
	assert_int_equal(e->task.pid, pid);
	assert_int_equal(e->task.tid, pid);
	assert_int_equal(e->task.uid, 1234);
	assert_int_equal(e->task.gid, 4321);
	assert_int_equal(e->euid, 1234);
	assert_string_equal(e->task.comm, "sleep");
	assert_ns(&e->ns, pid);
	assert_int_equal(stat("/usr/bin/sleep", &st), 0);
	assert_int_equal(e->exe_ino, st.st_ino);
	assert_int_equal(e->exe_dev, kernel_dev(st.st_dev));
	assert_int_equal(e->cap_effective, proc_caps(pid));
	assert_int_equal(e->cap_effective, 0);
	assert_int_equal(e->parent_pid, getpid());
	assert_int_equal(e->parent_start_ns, f->parent.start_ns);
	proc_slurp(pid, "loginuid", loginuid, sizeof(loginuid));
	if (loginuid[0])
		assert_int_equal(e->loginuid, strtoul(loginuid, NULL, 10));
	assert_int_equal(e->h.flags, 0);
	assert_int_equal(e->argc, 2);
	assert_string_equal(exec_filename(e), "../../usr/bin/sleep");
	assert_string_equal(exec_path(e), "/usr/bin/sleep");
	assert_string_equal(exec_cwd(e), base);
	assert_int_equal(e->argv_len, sizeof("my sleep\0"
					     "30") -
					      1);
	assert_memory_equal(exec_argv(e),
		"my sleep\0"
		"30",
		e->argv_len);

	assert_int_equal(kill(pid, SIGKILL), 0);
	status = reap(pid);
	assert_exit(pid, status);
	x = reclog_want(&recs, PST_REC_EXIT, (unsigned int)pid);
	assert_int_equal(x->signal, SIGKILL);
	e = reclog_want(&recs, PST_REC_EXEC, (unsigned int)pid);
	assert_int_equal(x->task.start_ns, e->task.start_ns);
	assert_int_equal(x->task.uid, 1234);
	assert_int_equal(x->run_ns, x->h.ts_ns - x->task.start_ns);
	assert_string_equal(x->task.comm, "sleep");
	assert_int_equal(reclog_count(&recs, PST_REC_EXEC, (unsigned int)pid), 1);
	assert_int_equal(reclog_count(&recs, PST_REC_FORK, (unsigned int)pid), 1);
}

/* ---- exit status ---- */

static void *thread_exit_group(void *arg)
{
	usleep(20000);
	syscall(SYS_exit_group, (int)(intptr_t)arg);
	return NULL;
}

static void *thread_exit(void *arg)
{
	syscall(SYS_exit, (int)(intptr_t)arg);
	return NULL;
}

static void *thread_late_exit(void *arg)
{
	usleep(30000);
	syscall(SYS_exit, (int)(intptr_t)arg);
	return NULL;
}

static void child_exit(void *arg)
{
	_exit((int)(intptr_t)arg);
}

static void child_signal(void *arg)
{
	signal((int)(intptr_t)arg, SIG_DFL);
	raise((int)(intptr_t)arg);
}

/* exit_group by a thread that is not the leader */
static void child_thread_group(void *arg)
{
	start_thread(thread_exit_group, (intptr_t)arg);
	pause();
}

/* the leader leaves first, a thread ends the process */
static void child_leader_first(void *arg)
{
	start_thread(thread_exit_group, (intptr_t)arg);
	syscall(SYS_exit, 3);
}

/* every thread leaves on its own, each with another code, the leader first or last */
static void child_each(void *arg)
{
	start_thread(thread_exit, 11);
	start_thread(arg ? thread_late_exit : thread_exit, 12);
	if (!arg)
		usleep(30000);
	syscall(SYS_exit, 13);
}

/* killed by a signal while the leader is gone */
static void *thread_abort(void *arg)
{
	usleep(20000);
	abort();
	return arg;
}

static void child_thread_signal(void *arg)
{
	(void)arg;
	start_thread(thread_abort, 0);
	syscall(SYS_exit, 5);
}

static void test_exit_status(void **state)
{
	static const struct {
		void (*fn)(void *);
		intptr_t arg;
	} rows[] = {
		{child_exit, 0},
		{child_exit, 42},
		{child_exit, 255},
		{child_signal, SIGTERM},
		{child_signal, SIGSEGV},
		{child_signal, SIGABRT},
		{child_thread_group, 7},
		{child_leader_first, 8},
		{child_each, 0},
		{child_each, 1},
		{child_thread_signal, 0},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		pid_t pid;

		reclog_clear(&recs);
		pid = run(rows[i].fn, (void *)rows[i].arg);
		assert_exit(pid, reap(pid));
		/* threads are no processes */
		assert_int_equal(reclog_count(&recs, PST_REC_FORK, (unsigned int)pid), 1);
	}
}

/* Threads that leave at the same moment: still one exit. */
static void *thread_barrier_exit(void *arg)
{
	pthread_barrier_wait(arg);
	syscall(SYS_exit, 0);
	return NULL;
}

static void child_race(void *arg)
{
	pthread_barrier_t *bar = arg;

	pthread_barrier_init(bar, NULL, 4);
	for (int i = 0; i < 3; i++)
		start_thread(thread_barrier_exit, (intptr_t)bar);
	pthread_barrier_wait(bar);
	syscall(SYS_exit, 0);
}

static void test_exit_once(void **state)
{
	static pthread_barrier_t bar;

	(void)state;
	for (int i = 0; i < 300; i++) {
		pid_t pid;

		reclog_clear(&recs);
		pid = run(child_race, &bar);
		assert_exit(pid, reap(pid));
	}
}

static void child_burn(void *arg)
{
	struct timespec ts;

	(void)arg;
	do
		clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);
	while (ts.tv_nsec < 60000000);
	_exit(0);
}

static void test_exit_cpu_time(void **state)
{
	const struct pst_rec_exit *x;
	struct rusage ru;
	uint64_t user, sys;
	pid_t pid;

	(void)state;
	reclog_clear(&recs);
	pid = run(child_burn, NULL);
	assert_int_equal(wait4(pid, NULL, 0, &ru), pid);
	x = reclog_want(&recs, PST_REC_EXIT, (unsigned int)pid);
	user = (uint64_t)ru.ru_utime.tv_sec * 1000000000 + (uint64_t)ru.ru_utime.tv_usec * 1000;
	sys = (uint64_t)ru.ru_stime.tv_sec * 1000000000 + (uint64_t)ru.ru_stime.tv_usec * 1000;
	/* the record stops at the last scheduler tick, wait4 counts what the rest of the exit took as well */
	assert_in_range(x->utime_ns + x->stime_ns, 50000000, user + sys + 10000000);
	assert_in_range(x->utime_ns, user > 20000000 ? user - 20000000 : 0, user + 20000000);
	assert_true(x->run_ns >= x->utime_ns);
}

static void hold(void *arg)
{
	(void)arg;
	execl("/usr/bin/sleep", "sleep", "30", NULL);
}

/* A child made with clone in namespaces of its own: flags, namespaces, and pid as the first namespace counts
 * it. */
static void test_clone_namespaces(void **state)
{
	const int want = CLONE_NEWNS | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWPID | CLONE_NEWNET |
			 CLONE_NEWCGROUP | CLONE_NEWUSER | SIGCHLD;
	const struct pst_rec_exec *e;
	const struct pst_rec_fork *f;
	pid_t pid;

	(void)state;
	reclog_clear(&recs);
	pid = (pid_t)syscall(SYS_clone, want, 0, 0, 0, 0);
	if (!pid) {
		hold(NULL);
		_exit(1);
	}
	if (pid < 0)
		skip_because("clone with new namespaces: %s", strerror(errno));
	e = reclog_want(&recs, PST_REC_EXEC, (unsigned int)pid);
	assert_ns(&e->ns, pid);
	assert_true(e->ns.pid != proc_ns(getpid(), "pid"));
	assert_int_equal(e->task.pid, pid);
	f = reclog_want(&recs, PST_REC_FORK, (unsigned int)pid);
	assert_int_equal(f->clone_flags, want);
	kill(pid, SIGKILL);
	assert_exit(pid, reap(pid));
}

static __attribute__((noinline)) pid_t vfork_exit(void)
{
	pid_t pid = vfork();

	if (!pid)
		_exit(0);
	return pid;
}

static void test_vfork(void **state)
{
	const struct pst_rec_fork *f;
	pid_t pid;

	(void)state;
	reclog_clear(&recs);
	pid = vfork_exit();
	assert_exit(pid, reap(pid));
	f = reclog_want(&recs, PST_REC_FORK, (unsigned int)pid);
	assert_int_equal(f->clone_flags, CLONE_VM | SIGCHLD);
}

/* ---- counting and waking ---- */

#define FIELD_SUM(f)                                                                                         \
	stat_sum(bpf_map__fd(skel->maps.class_stats), PST_CLASS_PROCESS, offsetof(struct pst_class_stat, f))

static void forks(int n)
{
	for (int i = 0; i < n; i++)
		assert_true(WIFEXITED(reap(vfork_exit())));
}

/* emitted + lost is what happened; what was emitted is what a reader gets. */
static void test_loss_is_counted(void **state)
{
	uint64_t emitted, lost, bytes, lost_bytes;
	struct process_bpf *small = process_bpf__open();
	struct reclog log;

	(void)state;
	assert_non_null(small);
	bpf_map__set_max_entries(small->maps.ring_process, 4096);
	assert_int_equal(process_bpf__load(small), 0);
	assert_int_equal(process_bpf__attach(small), 0);
	forks(201);
	process_bpf__detach(small);
	reclog_open(&log, bpf_map__fd(small->maps.ring_process));
	assert_true(ring_buffer__consume(log.rb) > 0);
	process_bpf__detach(small);
#define SMALL_SUM(f)                                                                                         \
	stat_sum(bpf_map__fd(small->maps.class_stats), PST_CLASS_PROCESS, offsetof(struct pst_class_stat, f))
	emitted = SMALL_SUM(emitted);
	bytes = SMALL_SUM(emitted_bytes);
	lost = SMALL_SUM(lost);
	lost_bytes = SMALL_SUM(lost_bytes);
	assert_int_equal(log.records, emitted);
	assert_int_equal(log.len, bytes);
	assert_true(lost > 0);
	assert_true(emitted + lost >= 402); /* 201 forks and exits, and what else this host did meanwhile */
	assert_true(lost_bytes >= lost * sizeof(struct pst_rec_fork));
	reclog_close(&log);
	process_bpf__destroy(small);
}

struct sleeper_thread {
	pthread_t thread;
	int epoll, timeout_ms;
	int woken;
};

static void *sleep_in_epoll(void *arg)
{
	struct sleeper_thread *t = arg;
	struct epoll_event ev;

	t->woken = epoll_wait(t->epoll, &ev, 1, t->timeout_ms);
	return NULL;
}

/* Is a reader that sleeps in epoll_wait woken by so many forks and exits? */
static bool wakes(struct reclog *log, int n, int timeout_ms)
{
	struct sleeper_thread t = {.epoll = ring_buffer__epoll_fd(log->rb), .timeout_ms = timeout_ms};

	ring_buffer__consume(log->rb);
	assert_int_equal(pthread_create(&t.thread, NULL, sleep_in_epoll, &t), 0);
	usleep(50000);
	forks(n);
	pthread_join(t.thread, NULL);
	return t.woken == 1;
}

/* A sleeping reader (awake 0) is woken by the first record and then left alone until half of the ring is
 * full. */
static void test_wakeups(void **state)
{
	struct process_bpf *own = process_bpf__open();
	struct pst_ring_ctl *ctl;
	struct reclog log;

	(void)state;
	assert_non_null(own);
	bpf_map__set_max_entries(own->maps.ring_process, 256 << 10);
	assert_int_equal(process_bpf__load(own), 0);
	ctl = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, bpf_map__fd(own->maps.ring_ctl), 0);
	assert_ptr_not_equal(ctl, MAP_FAILED);
	reclog_open(&log, bpf_map__fd(own->maps.ring_process));
	assert_int_equal(process_bpf__attach(own), 0);

	assert_true(wakes(&log, 1, 5000));
	assert_int_equal(ctl[PST_CLASS_PROCESS].awake, 1);
	assert_false(wakes(&log, 100, 1000));
	/* a fork and an exit take 240 bytes with their heads in the ring, so 546 fill the half of it */
	assert_true(wakes(&log, 700, 30000));
	ctl[PST_CLASS_PROCESS].awake = 0;
	assert_true(wakes(&log, 1, 5000));
	assert_int_equal(ctl[PST_CLASS_PROCESS].awake, 1);
	munmap(ctl, 4096);
	reclog_close(&log);
	process_bpf__destroy(own);
}

/* Nothing unread, nothing lost in all that came before. */
static void test_clean(void **state)
{
	(void)state;
	assert_int_equal(FIELD_SUM(lost), 0);
	assert_int_equal(FIELD_SUM(unread), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_fork_exec_exit),
		cmocka_unit_test(test_exit_status),
		cmocka_unit_test(test_exit_once),
		cmocka_unit_test(test_exit_cpu_time),
		cmocka_unit_test(test_clone_namespaces),
		cmocka_unit_test(test_vfork),
		cmocka_unit_test(test_loss_is_counted),
		cmocka_unit_test(test_wakeups),
		cmocka_unit_test(test_clean),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, setup, teardown);
}
