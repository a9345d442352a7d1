// SPDX-License-Identifier: Apache-2.0
/* exec records: who executed, where; and a storm of processes that live for a moment. */
#include <sys/ioctl.h>
#include <sys/mman.h>

#include "tests/bpf/procrun.h"

/* ---- exec: who ---- */

static void exec_on_tty(void *arg)
{
	int master = posix_openpt(O_RDWR | O_NOCTTY), slave;
	struct stat st;

	if (master < 0 || grantpt(master) || unlockpt(master))
		_exit(77);
	slave = open(ptsname(master), O_RDWR | O_NOCTTY);
	if (slave < 0 || setsid() < 0 || ioctl(slave, TIOCSCTTY, 0) || fstat(slave, &st))
		_exit(77);
	*(volatile uint32_t *)arg = kernel_dev(st.st_rdev);
	execl("/usr/bin/true", "true", NULL);
}

static void test_tty(void **state)
{
	uint32_t *dev = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	const struct pst_rec_exec *e;
	int status;
	pid_t pid;

	(void)state;
	assert_ptr_not_equal(dev, MAP_FAILED);
	reclog_clear(&recs);
	pid = run(exec_on_tty, dev);
	status = reap(pid);
	if (WIFEXITED(status) && WEXITSTATUS(status) == 77)
		skip_because("no pseudoterminal to be had");
	e = reclog_want(&recs, PST_REC_EXEC, (unsigned int)pid);
	assert_true(*dev != 0);
	assert_int_equal(e->tty, *dev);
	munmap(dev, 4096);
}

static void exec_in_cgroup(void *arg)
{
	char buf[16];
	int fd = open(arg, O_WRONLY | O_CLOEXEC), n = snprintf(buf, sizeof(buf), "%d", getpid());

	if (fd < 0 || write(fd, buf, (size_t)n) != n)
		_exit(98);
	close(fd);
	if (!fork())
		_exit(0);
	wait(NULL);
	execl("/usr/bin/true", "true", NULL);
}

static void test_cgroup(void **state)
{
	const char *root = cgroup2();
	char dir[300], procs[320];
	const struct pst_rec_exec *e;
	const struct pst_rec_exit *x;
	struct stat st;
	bool child = false;

	(void)state;
	if (!root)
		skip_because("cgroup v2 is not mounted");
	snprintf(dir, sizeof(dir), "%s/pst-test-%d", root, getpid());
	snprintf(procs, sizeof(procs), "%s/cgroup.procs", dir);
	assert_int_equal(mkdir(dir, 0755), 0);
	assert_int_equal(stat(dir, &st), 0);
	e = exec_of(exec_in_cgroup, procs);
	assert_int_equal(e->task.cgroup_id, st.st_ino);
	x = reclog_want(&recs, PST_REC_EXIT, e->task.pid);
	assert_int_equal(x->task.cgroup_id, st.st_ino);
	for (size_t off = 0; off < recs.len;) {
		const struct pst_rec_fork *f = (const void *)(recs.bytes + off);

		if (f->h.kind == PST_REC_FORK && f->parent.pid == x->task.pid)
			child = f->child_cgroup_id == st.st_ino;
		off += f->h.size;
	}
	assert_true(child);
	for (int i = 0; rmdir(dir) && i < 100; i++)
		usleep(10000);
}

/* exec by a thread that is not the leader: one exec, the process keeps its name (pid, start). */
static void *thread_exec(void *arg)
{
	execl("/usr/bin/true", "true", NULL);
	return arg;
}

static void exec_from_thread(void *arg)
{
	start_thread(thread_exec, (intptr_t)arg);
	pause();
}

static void test_exec_from_thread(void **state)
{
	const struct pst_rec_exec *e = exec_of(exec_from_thread, NULL);
	const struct pst_rec_fork *f = reclog_want(&recs, PST_REC_FORK, e->task.pid);
	uint64_t start = f->child_start_ns;

	(void)state;
	e = reclog_want(&recs, PST_REC_EXEC, f->child_pid);
	assert_int_equal(e->task.start_ns, start);
	assert_int_equal(e->task.tid, e->task.pid);
	assert_int_equal(reclog_count(&recs, PST_REC_EXIT, e->task.pid), 1);
}

/* ---- a storm of processes that live for a moment ---- */

#define STORM_WORKERS 3
#define STORM_EACH    500

static int storm_each; /* fewer in a VM without KVM, where a process takes 30 ms */

static void storm_worker(void *arg)
{
	for (int i = 0; i < storm_each; i++) {
		pid_t pid = fork();

		if (!pid) {
			char number[16], code[16];

			snprintf(number, sizeof(number), "%d", i);
			snprintf(code, sizeof(code), "exit %d", i % 256);
			execl(arg, "storm", "-c", code, number, NULL);
			_exit(99);
		}
		if (pid < 0 || waitpid(pid, NULL, 0) != pid)
			_exit(1);
	}
	_exit(0);
}

/* Whose child is it: 0 .. STORM_WORKERS - 1, or -1. */
static int storm_parent(const pid_t *workers, unsigned int pid)
{
	for (int w = 0; w < STORM_WORKERS; w++)
		if ((unsigned int)workers[w] == pid)
			return w;
	return -1;
}

/* Each one exec and one exit, with the right parent, arguments and code. */
static void test_storm(void **state)
{
	static unsigned char execs[STORM_WORKERS][STORM_EACH], exits[STORM_WORKERS][256];
	pid_t workers[STORM_WORKERS];
	char want[64];

	(void)state;
	storm_each = getenv("PENSTOCK_VM") ? 50 : STORM_EACH;
	reclog_clear(&recs);
	for (int w = 0; w < STORM_WORKERS; w++)
		workers[w] = run(storm_worker, (void *)(intptr_t) "/bin/sh");
	for (int w = 0; w < STORM_WORKERS; w++)
		assert_int_equal(reap(workers[w]), 0);
	reclog_want(&recs, PST_REC_EXIT, (unsigned int)workers[STORM_WORKERS - 1]);
	for (size_t off = 0; off < recs.len;) {
		const struct pst_rec *h = (const void *)(recs.bytes + off);
		const struct pst_rec_exec *e = (const void *)h;
		const struct pst_rec_exit *x = (const void *)h;
		int w;

		off += h->size;
		if (h->kind == PST_REC_EXEC && (w = storm_parent(workers, e->parent_pid)) >= 0) {
			int i;

			for (i = 0; i < storm_each; i++) {
				int n = snprintf(
					want, sizeof(want), "storm%c-c%cexit %d%c%d", 0, 0, i % 256, 0, i);

				if (n == e->argv_len && !memcmp(exec_argv(e), want, (size_t)n))
					break;
			}
			assert_true(i < storm_each);
			execs[w][i]++;
		}
		if (h->kind == PST_REC_EXIT && (w = storm_parent(workers, x->parent_pid)) >= 0) {
			assert_int_equal(x->signal, 0);
			exits[w][x->code]++;
		}
	}
	for (int w = 0; w < STORM_WORKERS; w++)
		for (int i = 0; i < storm_each; i++)
			assert_int_equal(execs[w][i], 1);
	for (int w = 0; w < STORM_WORKERS; w++)
		for (int c = 0; c < 256; c++)
			assert_int_equal(exits[w][c], storm_each / 256 + (c < storm_each % 256));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_tty),
		cmocka_unit_test(test_cgroup),
		cmocka_unit_test(test_exec_from_thread),
		cmocka_unit_test(test_storm),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, setup, teardown);
}
