// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/base_test.h"
#include "proto/base/cleanup.h"
#include "proto/base/loop.h"

#include <seccomp.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/wait.h>
#include <time.h>

#define MS 1000000ull

static struct pst_loop *loop;

static int setup(void **state)
{
	(void)state;
	return pst_loop_new(&loop);
}

static int teardown(void **state)
{
	(void)state;
	pst_loop_free(loop);
	loop = NULL;
	return 0;
}

struct probe {
	struct pst_source *source, *other;
	unsigned calls;
	uint32_t events;
	unsigned order;
	uint64_t at_ns;
};

static unsigned order;

static void note(struct probe *p)
{
	p->calls++;
	p->order = ++order;
	p->at_ns = pst_now_mono_ns();
}

static void on_fd(void *arg, int fd, uint32_t events)
{
	struct probe *p = arg;

	(void)fd;
	p->events = events;
	note(p);
}

static void on_timer(void *arg)
{
	note(arg);
}

static void descriptor_is_level_triggered(void **state)
{
	PST_CLOSE int fd = eventfd(1, EFD_NONBLOCK | EFD_CLOEXEC);
	struct probe p = {0};

	(void)state;
	assert_int_equal(pst_loop_fd(loop, fd, EPOLLIN, on_fd, &p, &p.source), 0);
	assert_int_equal(pst_loop_turn(loop, 0), 1);
	assert_int_equal(pst_loop_turn(loop, 0), 1);
	assert_int_equal(p.events, EPOLLIN);
	assert_int_equal(pst_source_set_events(p.source, EPOLLIN | EPOLLOUT), 0);
	assert_int_equal(pst_loop_turn(loop, 0), 1);
	assert_int_equal(p.events, EPOLLIN | EPOLLOUT);
	assert_int_equal(pst_source_set_events(p.source, 0), 0);
	assert_int_equal(pst_loop_turn(loop, 0), 0);
	assert_int_equal(pst_source_set_events(p.source, EPOLLIN), 0);
	uint64_t count;
	assert_int_equal(read(fd, &count, 8), 8);
	assert_int_equal(pst_loop_turn(loop, 0), 0);
	assert_int_equal(p.calls, 3);
	assert_int_equal(pst_loop_wakeups(loop), 5);
}

static void muted_descriptor_does_not_report_hangup(void **state)
{
	struct probe p = {0};
	int pipe_fds[2];

	(void)state;
	assert_return_code(pipe2(pipe_fds, O_CLOEXEC), errno);
	assert_int_equal(pst_loop_fd(loop, pipe_fds[0], 0, on_fd, &p, &p.source), 0);
	close(pipe_fds[1]);
	assert_int_equal(pst_loop_turn(loop, 5), 0);
	assert_int_equal(pst_source_set_events(p.source, EPOLLIN), 0);
	assert_int_equal(pst_loop_turn(loop, 5), 1);
	assert_true(p.events & EPOLLHUP);
	pst_source_free(p.source);
	close(pipe_fds[0]);
}

static void bad_descriptor_is_refused(void **state)
{
	struct pst_source *s = (void *)1;
	PST_CLOSE int file = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);

	(void)state;
	assert_int_equal(pst_loop_fd(loop, 12345, EPOLLIN, on_fd, NULL, &s), -EBADF);
	assert_int_equal(pst_loop_fd(loop, file, EPOLLIN, on_fd, NULL, &s), -EPERM);
	assert_ptr_equal(s, (void *)1);
}

static void on_fd_free_both(void *arg, int fd, uint32_t events)
{
	struct probe *p = arg;

	on_fd(arg, fd, events);
	pst_source_free(p->other);
	pst_source_free(p->source);
}

static void removed_source_is_not_called_in_the_same_turn(void **state)
{
	PST_CLOSE int a = eventfd(1, EFD_CLOEXEC), b = eventfd(1, EFD_CLOEXEC);
	struct probe pa = {0}, pb = {0};

	(void)state;
	assert_int_equal(pst_loop_fd(loop, a, EPOLLIN, on_fd_free_both, &pa, &pa.source), 0);
	assert_int_equal(pst_loop_fd(loop, b, EPOLLIN, on_fd_free_both, &pb, &pb.source), 0);
	pa.other = pb.source;
	pb.other = pa.source;
	assert_int_equal(pst_loop_turn(loop, 0), 1); /* whoever comes first takes the other away */
	assert_int_equal(pa.calls + pb.calls, 1);
	assert_int_equal(pst_loop_turn(loop, 0), 0);
	close(PST_TAKE_FD(b));
}

static void on_fd_mute_other(void *arg, int fd, uint32_t events)
{
	struct probe *p = arg;

	on_fd(arg, fd, events);
	assert_int_equal(pst_source_set_events(p->other, 0), 0);
}

static void muted_source_is_not_called_in_the_same_turn(void **state)
{
	PST_CLOSE int a = eventfd(1, EFD_CLOEXEC), b = eventfd(1, EFD_CLOEXEC);
	struct probe pa = {0}, pb = {0};

	(void)state;
	assert_int_equal(pst_loop_fd(loop, a, EPOLLIN, on_fd_mute_other, &pa, &pa.source), 0);
	assert_int_equal(pst_loop_fd(loop, b, EPOLLIN, on_fd_mute_other, &pb, &pb.source), 0);
	pa.other = pb.source;
	pb.other = pa.source;
	assert_int_equal(pst_loop_turn(loop, 0), 1);
	assert_int_equal(pa.calls + pb.calls, 1);
}

static void timer_fires_once_and_in_time(void **state)
{
	struct probe p = {0};
	uint64_t begin = pst_now_mono_ns();

	(void)state;
	assert_int_equal(pst_loop_timer(loop, on_timer, &p, &p.source), 0);
	assert_false(pst_timer_armed(p.source));
	assert_int_equal(pst_loop_turn(loop, 0), 0);
	pst_timer_arm(p.source, 20 * MS, 0);
	assert_true(pst_timer_armed(p.source));
	assert_int_equal(pst_loop_turn(loop, 1), 0);
	while (!p.calls)
		assert_true(pst_loop_turn(loop, -1) >= 0);
	assert_true(p.at_ns - begin >= 20 * MS);
	assert_true(p.at_ns - begin < 2000 * MS);
	assert_false(pst_timer_armed(p.source));
	assert_int_equal(pst_loop_turn(loop, 30), 0);
	assert_int_equal(p.calls, 1);
}

static void timers_fire_in_order_of_deadline(void **state)
{
	enum { N = 60 };
	static struct probe p[N];
	unsigned rnd = 7, last = 0;

	(void)state;
	for (unsigned i = 0; i < N; i++) {
		p[i] = (struct probe){0};
		assert_int_equal(pst_loop_timer(loop, on_timer, &p[i], &p[i].source), 0);
	}
	/* Armed in a shuffled order, every third elsewhere first; some are disarmed or freed. Far enough
	 * apart for a slow machine. */
	uint64_t base = pst_now_mono_ns() + 200 * MS;
	for (unsigned i = 0; i < N; i++) {
		unsigned k = i * 23 % N;

		if (k % 3 == 0)
			pst_timer_arm(p[k].source,
				base + (rnd = rnd * 1664525 + 1013904223) % (300 * MS) - pst_now_mono_ns(),
				0);
		pst_timer_arm(p[k].source, base + k * 10 * MS - pst_now_mono_ns(), 0);
	}
	for (unsigned i = 0; i < N; i += 5)
		pst_timer_disarm(p[i].source);
	for (unsigned i = 1; i < N; i += 10)
		pst_source_free(p[i].source);
	order = 0;
	while (pst_now_mono_ns() < base + N * 10 * MS)
		assert_true(pst_loop_turn(loop, 20) >= 0);
	pst_loop_turn(loop, 0);
	for (unsigned i = 0; i < N; i++) {
		bool off = i % 5 == 0 || i % 10 == 1;

		assert_int_equal(p[i].calls, !off);
		if (off)
			continue;
		assert_int_equal(p[i].order, last + 1);
		last = p[i].order;
		assert_true(p[i].at_ns >= base + i * 10 * MS);
	}
}

static void periodic_timer_keeps_phase_and_skips_missed(void **state)
{
	struct probe p = {0};

	(void)state;
	assert_int_equal(pst_loop_timer(loop, on_timer, &p, &p.source), 0);
	uint64_t begin = pst_now_mono_ns();
	pst_timer_arm(p.source, 10 * MS, 10 * MS);
	while (p.calls < 3)
		pst_loop_turn(loop, -1);
	assert_true(p.at_ns - begin >= 30 * MS);
	usleep(35000);
	unsigned before = p.calls;
	assert_int_equal(pst_loop_turn(loop, 0), 1); /* several periods late: one call */
	assert_int_equal(p.calls, before + 1);
	assert_true(pst_timer_armed(p.source));
	pst_timer_disarm(p.source);
	assert_int_equal(pst_loop_turn(loop, 20), 0);
}

static void on_timer_rearm(void *arg)
{
	struct probe *p = arg;

	note(p);
	pst_timer_arm(p->source, 0, 0);
}

static void timer_armed_with_zero_does_not_hold_the_turn(void **state)
{
	struct probe p = {0};

	(void)state;
	assert_int_equal(pst_loop_timer(loop, on_timer_rearm, &p, &p.source), 0);
	pst_timer_arm(p.source, 0, 0);
	for (unsigned i = 1; i <= 5; i++) {
		assert_int_equal(pst_loop_turn(loop, -1), 1);
		assert_int_equal(p.calls, i);
	}
	pst_timer_arm(p.source, UINT64_MAX, 0);
	assert_int_equal(pst_loop_turn(loop, 1), 0);
}

static void on_timer_free(void *arg)
{
	struct probe *p = arg;

	note(p);
	pst_source_free(p->source);
	pst_source_free(p->other);
}

static void timer_may_free_itself_and_others(void **state)
{
	struct probe a = {0}, b = {0};

	(void)state;
	assert_int_equal(pst_loop_timer(loop, on_timer_free, &a, &a.source), 0);
	assert_int_equal(pst_loop_timer(loop, on_timer, &b, &b.source), 0);
	a.other = b.source;
	pst_timer_arm(a.source, 0, 1 * MS);
	pst_timer_arm(b.source, 0, 1 * MS);
	usleep(2000);
	assert_int_equal(pst_loop_turn(loop, 0), 1);
	assert_int_equal(b.calls, 0);
	assert_int_equal(pst_loop_turn(loop, 5), 0);
}

static void on_fd_defer(void *arg, int fd, uint32_t events)
{
	struct probe *p = arg;

	on_fd(arg, fd, events);
	pst_defer_arm(p->other);
	pst_defer_arm(p->other);
}

static void deferred_runs_once_after_the_handlers(void **state)
{
	PST_CLOSE int a = eventfd(1, EFD_CLOEXEC), b = eventfd(1, EFD_CLOEXEC);
	struct probe pa = {0}, pb = {0}, d = {0};

	(void)state;
	assert_int_equal(pst_loop_fd(loop, a, EPOLLIN, on_fd_defer, &pa, &pa.source), 0);
	assert_int_equal(pst_loop_fd(loop, b, EPOLLIN, on_fd_defer, &pb, &pb.source), 0);
	assert_int_equal(pst_loop_defer(loop, on_timer, &d, &d.source), 0);
	pa.other = pb.other = d.source;
	assert_int_equal(pst_loop_turn(loop, 0), 3);
	assert_int_equal(d.calls, 1);
	assert_true(d.order > pa.order && d.order > pb.order);
	pst_source_free(pa.source);
	pst_source_free(pb.source);
	/* Armed outside of a turn: the next turn does not sleep. */
	pst_defer_arm(d.source);
	assert_int_equal(pst_loop_turn(loop, -1), 1);
	assert_int_equal(pst_loop_turn(loop, 0), 0);
	assert_int_equal(d.calls, 2);
}

static void on_defer_again(void *arg)
{
	struct probe *p = arg;

	note(p);
	pst_defer_arm(p->source);
	if (p->other)
		pst_source_free(PST_TAKE_PTR(p->other));
}

static void deferred_that_rearms_lets_others_run(void **state)
{
	struct probe a = {0}, b = {0}, c = {0};

	(void)state;
	assert_int_equal(pst_loop_defer(loop, on_defer_again, &a, &a.source), 0);
	assert_int_equal(pst_loop_defer(loop, on_timer, &b, &b.source), 0);
	assert_int_equal(pst_loop_defer(loop, on_timer, &c, &c.source), 0);
	pst_defer_arm(a.source);
	pst_defer_arm(b.source);
	pst_defer_arm(c.source);
	a.other = c.source; /* the first removes the last of the queue */
	assert_true(pst_loop_turn(loop, -1) >= 2);
	assert_int_equal(b.calls, 1);
	assert_int_equal(c.calls, 0);
	unsigned calls = a.calls;
	assert_int_equal(pst_loop_turn(loop, -1), 1);
	assert_int_equal(a.calls, calls + 1);
	pst_defer_arm(b.source); /* the queue's end is right after the removal */
	assert_int_equal(pst_loop_turn(loop, -1), 2);
	assert_int_equal(b.calls, 2);
}

static int last_signal;

static void on_sig(void *arg, int signo)
{
	last_signal = signo;
	if (signo == SIGTERM)
		pst_loop_stop(arg);
}

static void signals_reach_their_handler(void **state)
{
	(void)state;
	assert_int_equal(pst_loop_signals(loop, on_sig, loop), 0);
	assert_int_equal(pst_loop_signals(loop, on_sig, loop), -EALREADY);
	kill(getpid(), SIGHUP);
	assert_int_equal(pst_loop_turn(loop, 1000), 1);
	assert_int_equal(last_signal, SIGHUP);
	assert_false(pst_loop_stopping(loop));
	kill(getpid(), SIGPIPE); /* ignored */
	kill(getpid(), SIGTERM);
	assert_int_equal(pst_loop_run(loop), 0);
	assert_int_equal(last_signal, SIGTERM);
	assert_true(pst_loop_stopping(loop));
}

static void signals_stop_by_default(void **state)
{
	(void)state;
	assert_int_equal(pst_loop_signals(loop, NULL, NULL), 0);
	kill(getpid(), SIGHUP);
	assert_int_equal(pst_loop_turn(loop, 1000), 1);
	assert_false(pst_loop_stopping(loop));
	kill(getpid(), SIGINT);
	assert_int_equal(pst_loop_run(loop), 0);
}

static void on_timer_busy(void *arg)
{
	uint64_t end = pst_now_mono_ns() + 20 * MS;

	note(arg);
	while (pst_now_mono_ns() < end)
		;
}

static void busy_time_is_that_of_handlers(void **state)
{
	struct probe p = {0};

	(void)state;
	assert_int_equal(pst_loop_timer(loop, on_timer_busy, &p, &p.source), 0);
	pst_loop_turn(loop, 50);
	assert_true(pst_loop_busy_ns(loop) < 10 * MS);
	pst_timer_arm(p.source, 0, 0);
	assert_int_equal(pst_loop_turn(loop, -1), 1);
	assert_true(pst_loop_busy_ns(loop) >= 20 * MS);
	assert_true(pst_loop_busy_ns(loop) < 2000 * MS);
}

static void on_fd_nested(void *arg, int fd, uint32_t events)
{
	struct probe *p = arg;

	on_fd(arg, fd, events);
	pst_source_free(p->source);
	pst_loop_turn(loop, 0); /* must not free what this turn still holds */
}

static void turn_within_a_turn(void **state)
{
	PST_CLOSE int a = eventfd(1, EFD_CLOEXEC), b = eventfd(1, EFD_CLOEXEC);
	struct probe pa = {0}, pb = {0};

	(void)state;
	assert_int_equal(pst_loop_fd(loop, a, EPOLLIN, on_fd_nested, &pa, &pa.source), 0);
	assert_int_equal(pst_loop_fd(loop, b, EPOLLIN, on_fd_nested, &pb, &pb.source), 0);
	pst_loop_turn(loop, 0);
	assert_int_equal(pa.calls, 1);
	assert_int_equal(pb.calls, 1);
}

/* Linux 5.10, or a container profile that does not know the call. */
static void works_without_epoll_pwait2(void **state)
{
	static const int errors[] = {ENOSYS, EPERM};

	(void)state;
	for (unsigned i = 0; i < PST_ARRAY_SIZE(errors); i++) {
		pid_t pid = fork();
		if (!pid) {
			struct probe p = {0};
			scmp_filter_ctx ctx = seccomp_init(SCMP_ACT_ALLOW);

			if (!ctx ||
				seccomp_rule_add(ctx, SCMP_ACT_ERRNO((uint16_t)errors[i]),
					SCMP_SYS(epoll_pwait2), 0) ||
				seccomp_load(ctx))
				_exit(77);
			if (pst_loop_timer(loop, on_timer, &p, &p.source))
				_exit(2);
			uint64_t begin = pst_now_mono_ns();
			pst_timer_arm(p.source, 1500000, 0);
			while (!p.calls)
				if (pst_loop_turn(loop, -1) < 0)
					_exit(3);
			uint64_t took = pst_now_mono_ns() - begin;
			_exit(took >= 1500000 && took < 1000 * MS && pst_loop_wakeups(loop) <= 3 ? 0 : 4);
		}
		int status;
		assert_int_equal(waitpid(pid, &status, 0), pid);
		assert_int_equal(status, 0);
	}
}

static void clocks(void **state)
{
	(void)state;
	assert_true(pst_now_boot_ns() >= pst_now_mono_ns() - 1000 * MS);
	uint64_t wall = pst_now_wall_ns() / 1000000000u;
	assert_true(wall >= (uint64_t)time(NULL) - 1 && wall <= (uint64_t)time(NULL) + 1);
}

static void nothing_leaks(void **state)
{
	unsigned fds = open_fds();

	(void)state;
	for (int i = 0; i < 10; i++) {
		struct pst_loop *l;
		struct pst_source *s;

		assert_int_equal(pst_loop_new(&l), 0);
		assert_int_equal(pst_loop_signals(l, NULL, NULL), 0);
		assert_int_equal(pst_loop_timer(l, on_timer, NULL, &s), 0);
		assert_int_equal(pst_loop_defer(l, on_timer, NULL, &s), 0);
		pst_defer_arm(s);
		pst_loop_free(l);
	}
	assert_int_equal(open_fds(), fds);
	pst_loop_free(NULL);
	pst_source_free(NULL);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(descriptor_is_level_triggered),
		TEST(muted_descriptor_does_not_report_hangup),
		TEST(bad_descriptor_is_refused),
		TEST(removed_source_is_not_called_in_the_same_turn),
		TEST(muted_source_is_not_called_in_the_same_turn),
		TEST(timer_fires_once_and_in_time),
		TEST(timers_fire_in_order_of_deadline),
		TEST(periodic_timer_keeps_phase_and_skips_missed),
		TEST(timer_armed_with_zero_does_not_hold_the_turn),
		TEST(timer_may_free_itself_and_others),
		TEST(deferred_runs_once_after_the_handlers),
		TEST(deferred_that_rearms_lets_others_run),
		TEST(signals_reach_their_handler),
		TEST(signals_stop_by_default),
		TEST(busy_time_is_that_of_handlers),
		TEST(turn_within_a_turn),
		TEST(works_without_epoll_pwait2),
		TEST(clocks),
		TEST(nothing_leaks),
	};
	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("loop", tests, NULL, NULL);
}
