// SPDX-License-Identifier: Apache-2.0
/* Signals from one cgroup to another: which are told, and which are not. */
#include <sys/mman.h>
#include <time.h>

#include "bpf/signal.skel.h"
#include "tests/bpf/procs.h"

static struct signal_bpf *skel;
static struct reclog recs;
static char group[300];

static void sleep_for_ever(void *arg)
{
	signal(SIGUSR1, SIG_IGN);
	sigset_t blocked;
	sigemptyset(&blocked);
	sigaddset(&blocked, SIGUSR2);
	sigprocmask(SIG_BLOCK, &blocked, NULL);
	*(volatile int *)arg = 1;
	for (;;)
		pause();
}

static volatile int *ready; /* shared with the child */

static pid_t sleeper(bool elsewhere)
{
	char path[400], text[16];
	pid_t pid;
	int fd;

	*ready = 0;
	pid = run(sleep_for_ever, (void *)(uintptr_t)ready);
	while (!*ready)
		usleep(1000);
	if (!elsewhere)
		return pid;
	snprintf(path, sizeof(path), "%s/cgroup.procs", group);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	assert_true(fd >= 0);
	snprintf(text, sizeof(text), "%d", pid);
	assert_true(write(fd, text, strlen(text)) > 0);
	close(fd);
	return pid;
}

static void end(pid_t pid)
{
	kill(pid, SIGKILL);
	reap(pid);
}

static int sent(void)
{
	return reclog_count(&recs, PST_REC_SIGNAL, (unsigned)getpid());
}

static const struct pst_rec_signal *nth(int n)
{
	return reclog_nth(&recs, PST_REC_SIGNAL, (unsigned)getpid(), n);
}

static uint64_t id_of_group(void)
{
	struct stat st;

	assert_int_equal(stat(group, &st), 0);
	return st.st_ino;
}

static void test_across(void **state)
{
	const uint64_t tick = 1000000000ull / (uint64_t)sysconf(_SC_CLK_TCK);
	pid_t pid = sleeper(true);
	union sigval value = {.sival_int = 1};
	const struct pst_rec_signal *r;

	(void)state;
	reclog_clear(&recs);
	assert_int_equal(kill(pid, SIGUSR2), 0);
	assert_int_equal(kill(pid, SIGUSR2), 0); /* pending already */
	assert_int_equal(sigqueue(pid, SIGRTMIN, value), 0);
	assert_int_equal(syscall(SYS_tgkill, pid, pid, SIGUSR1), 0);
	assert_int_equal(kill(pid, 0), 0); /* asks, and sends nothing */
	assert_int_equal(sent(), 4);
	r = nth(0);
	assert_int_equal(r->h.size, sizeof(*r));
	assert_int_equal(r->sig, SIGUSR2);
	assert_int_equal(r->code, SI_USER);
	assert_int_equal(r->result, 0);
	assert_int_equal(r->group, 1);
	assert_int_equal(r->target.pid, pid);
	assert_int_equal(r->target.start_ns / tick, proc_start_ticks(pid));
	assert_int_equal(r->target.cgroup_id, id_of_group());
	assert_true(r->task.cgroup_id != r->target.cgroup_id);
	assert_string_equal(r->target.comm, "test_signal");
	assert_int_equal(nth(1)->result, 2);
	assert_int_equal(nth(2)->sig, SIGRTMIN);
	assert_int_equal(nth(2)->code, SI_QUEUE);
	assert_int_equal(nth(3)->code, SI_TKILL);
	assert_int_equal(nth(3)->group, 0);
	assert_int_equal(nth(3)->result, 1); /* ignored */
	end(pid);
	assert_int_equal(nth(4)->sig, SIGKILL);
}

/* A code that its sender made up is told as it is. */
static void test_made_up(void **state)
{
	siginfo_t info = {.si_signo = SIGUSR2, .si_code = -100};
	pid_t pid = sleeper(true);

	(void)state;
	reclog_clear(&recs);
	assert_int_equal(syscall(SYS_rt_sigqueueinfo, pid, SIGUSR2, &info), 0);
	assert_int_equal(sent(), 1);
	assert_int_equal(nth(0)->code, -100);
	end(pid);
}

static void child_with_timer(void *arg)
{
	struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1};
	struct itimerspec soon = {.it_value.tv_nsec = 1000000};
	sigset_t set;
	timer_t timer;
	int got;

	(void)arg;
	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	sigprocmask(SIG_BLOCK, &set, NULL);
	if (timer_create(CLOCK_MONOTONIC, &event, &timer) || timer_settime(timer, 0, &soon, NULL))
		_exit(90);
	_exit(sigwait(&set, &got) ? 91 : 0);
}

/* In its own cgroup; and what the kernel sends: that a child ended, a timer. */
static void test_silence(void **state)
{
	pid_t pid = sleeper(false);

	(void)state;
	reclog_clear(&recs);
	assert_int_equal(kill(pid, SIGUSR2), 0);
	end(pid);
	assert_int_equal(sent(), 0);
	pid = sleeper(true);
	kill(pid, SIGKILL);
	reclog_clear(&recs);
	reap(pid);
	assert_int_equal(reclog_count(&recs, PST_REC_SIGNAL, (unsigned)pid), 0); /* SIGCHLD */
	pid = run(child_with_timer, NULL);
	assert_int_equal(reap(pid), 0);
	assert_int_equal(reclog_count(&recs, PST_REC_SIGNAL, (unsigned)pid), 0);
}

static int setup(void **state)
{
	const char *root = cgroup2();

	(void)state;
	if (!root)
		return 0;
	snprintf(group, sizeof(group), "%s/pst-test-%d", root, getpid());
	ready = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	skel = signal_bpf__open_and_load();
	if (ready == MAP_FAILED || mkdir(group, 0755) || !skel || signal_bpf__attach(skel))
		return -1;
	reclog_open(&recs, bpf_map__fd(skel->maps.ring_process));
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	if (!skel)
		return 0;
	reclog_close(&recs);
	signal_bpf__destroy(skel);
	while (rmdir(group) && errno == EBUSY)
		usleep(1000);
	return 0;
}

#define WITH_CGROUP(name)                                                                                    \
	static void name##_here(void **state)                                                                \
	{                                                                                                    \
		if (!skel)                                                                                   \
			skip_because("no cgroup2 is mounted");                                               \
		name(state);                                                                                 \
	}
WITH_CGROUP(test_across)
WITH_CGROUP(test_made_up)
WITH_CGROUP(test_silence)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_across_here),
		cmocka_unit_test(test_made_up_here),
		cmocka_unit_test(test_silence_here),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, setup, teardown);
}
