// SPDX-License-Identifier: Apache-2.0
#include "proto/base/loop.h"
#include "proto/base/cleanup.h"

#include <assert.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <time.h>

#define EVENTS_A_TURN 64
#define NOT_ARMED     UINT32_MAX

enum source_type { SOURCE_FD, SOURCE_TIMER, SOURCE_DEFER };

struct pst_source {
	enum source_type type;
	bool removed; /* freed within a turn: memory stays until no one can hold it any more */
	struct pst_loop *loop;
	struct pst_source *prev, *next; /* all sources of the loop */
	void *arg;
	union {
		struct {
			pst_fd_fn fn;
			int fd;
			uint32_t events;
		} io;
		struct {
			pst_timer_fn fn;
			uint64_t deadline_ns, interval_ns;
			uint32_t at; /* place in the heap or NOT_ARMED */
		} timer;
		struct {
			pst_defer_fn fn;
			struct pst_source *queued; /* next in the queue */
			bool armed;
		} defer;
	};
};

struct pst_loop {
	int epoll_fd, signal_fd;
	struct pst_source *sources, *graveyard;
	struct pst_source **heap; /* armed timers, earliest first */
	uint32_t n_armed, n_timers, heap_size;
	struct pst_source *deferred, **deferred_end;
	unsigned depth; /* turns under way */
	bool stop, no_pwait2;
	uint64_t turn_ns; /* when this turn's handlers began */
	uint64_t busy_ns, wakeups;
	pst_signal_fn signal_fn;
	void *signal_arg;
};

static uint64_t now_ns(clockid_t clock)
{
	struct timespec ts;

	clock_gettime(clock, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

uint64_t pst_now_boot_ns(void)
{
	return now_ns(CLOCK_BOOTTIME);
}

uint64_t pst_now_mono_ns(void)
{
	return now_ns(CLOCK_MONOTONIC);
}

uint64_t pst_now_wall_ns(void)
{
	return now_ns(CLOCK_REALTIME);
}

/* ---- sources ---- */

static struct pst_source *source_new(struct pst_loop *loop, enum source_type type, void *arg)
{
	struct pst_source *s = calloc(1, sizeof(*s));

	if (!s)
		return NULL;
	s->type = type;
	s->loop = loop;
	s->arg = arg;
	s->next = loop->sources;
	if (s->next)
		s->next->prev = s;
	loop->sources = s;
	return s;
}

static void source_unlink(struct pst_source *s)
{
	*(s->prev ? &s->prev->next : &s->loop->sources) = s->next;
	if (s->next)
		s->next->prev = s->prev;
}

static void defer_cancel(struct pst_source *s)
{
	struct pst_loop *loop = s->loop;

	for (struct pst_source **p = &loop->deferred; *p; p = &(*p)->defer.queued)
		if (*p == s) {
			*p = s->defer.queued;
			if (loop->deferred_end == &s->defer.queued)
				loop->deferred_end = p;
			break;
		}
	s->defer.armed = false;
}

void pst_source_free(struct pst_source *source)
{
	if (!source)
		return;
	assert(!source->removed);

	struct pst_loop *loop = source->loop;
	switch (source->type) {
	case SOURCE_FD:
		/* The caller may have closed it already: then the kernel has forgotten it, too. */
		if (source->io.events)
			epoll_ctl(loop->epoll_fd, EPOLL_CTL_DEL, source->io.fd, NULL);
		break;
	case SOURCE_TIMER:
		pst_timer_disarm(source);
		loop->n_timers--;
		break;
	case SOURCE_DEFER:
		if (source->defer.armed)
			defer_cancel(source);
		break;
	}
	source_unlink(source);
	source->removed = true;
	if (!loop->depth) {
		free(source);
		return;
	}
	source->next = loop->graveyard;
	loop->graveyard = source;
}

/* ---- descriptors ---- */

int pst_loop_fd(struct pst_loop *loop, int fd, uint32_t epoll_events, pst_fd_fn fn, void *arg,
	struct pst_source **ret_source)
{
	struct pst_source *s = source_new(loop, SOURCE_FD, arg);

	if (!s)
		return -ENOMEM;
	s->io.fn = fn;
	s->io.fd = fd;
	int r = pst_source_set_events(s, epoll_events);
	if (r < 0) {
		pst_source_free(s);
		return r;
	}
	*ret_source = s;
	return 0;
}

int pst_source_set_events(struct pst_source *source, uint32_t epoll_events)
{
	struct epoll_event ev = {.events = epoll_events, .data.ptr = source};
	uint32_t old = source->io.events;

	assert(source->type == SOURCE_FD);
	if (old == epoll_events)
		return 0;
	/* Errors and hang-ups are reported even with an empty mask: "do not watch" means to take it out. */
	int op = !epoll_events ? EPOLL_CTL_DEL : old ? EPOLL_CTL_MOD : EPOLL_CTL_ADD;
	if (epoll_ctl(source->loop->epoll_fd, op, source->io.fd, &ev) < 0)
		return -errno;
	source->io.events = epoll_events;
	return 0;
}

static unsigned run_io(struct pst_source *s, uint32_t events)
{
	/* An earlier handler of this turn may have removed or muted it. */
	if (s->removed || !s->io.events)
		return 0;
	events &= s->io.events | EPOLLERR | EPOLLHUP;
	if (!events)
		return 0;
	s->io.fn(s->arg, s->io.fd, events);
	return 1;
}

/* ---- timers: a binary heap by deadline ---- */

static void heap_set(struct pst_loop *loop, uint32_t at, struct pst_source *timer)
{
	loop->heap[at] = timer;
	timer->timer.at = at;
}

static void heap_up(struct pst_loop *loop, uint32_t at, struct pst_source *timer)
{
	while (at > 0) {
		uint32_t parent = (at - 1) / 2;

		if (loop->heap[parent]->timer.deadline_ns <= timer->timer.deadline_ns)
			break;
		heap_set(loop, at, loop->heap[parent]);
		at = parent;
	}
	heap_set(loop, at, timer);
}

static void heap_down(struct pst_loop *loop, uint32_t at, struct pst_source *timer)
{
	for (;;) {
		uint32_t child = at * 2 + 1;

		if (child >= loop->n_armed)
			break;
		if (child + 1 < loop->n_armed &&
			loop->heap[child + 1]->timer.deadline_ns < loop->heap[child]->timer.deadline_ns)
			child++;
		if (timer->timer.deadline_ns <= loop->heap[child]->timer.deadline_ns)
			break;
		heap_set(loop, at, loop->heap[child]);
		at = child;
	}
	heap_set(loop, at, timer);
}

/* Puts @timer where its deadline belongs, starting from place @at that is its to fill. */
static void heap_place(struct pst_loop *loop, uint32_t at, struct pst_source *timer)
{
	if (at > 0 && timer->timer.deadline_ns < loop->heap[(at - 1) / 2]->timer.deadline_ns)
		heap_up(loop, at, timer);
	else
		heap_down(loop, at, timer);
}

int pst_loop_timer(struct pst_loop *loop, pst_timer_fn fn, void *arg, struct pst_source **ret_source)
{
	/* Room for every timer is made here, so that arming one cannot fail. */
	if (loop->n_timers == loop->heap_size) {
		uint32_t size = loop->heap_size ? loop->heap_size * 2 : 16;
		struct pst_source **heap = reallocarray(loop->heap, size, sizeof(*heap));

		if (!heap)
			return -ENOMEM;
		loop->heap = heap;
		loop->heap_size = size;
	}
	struct pst_source *s = source_new(loop, SOURCE_TIMER, arg);
	if (!s)
		return -ENOMEM;
	loop->n_timers++;
	s->timer.fn = fn;
	s->timer.at = NOT_ARMED;
	*ret_source = s;
	return 0;
}

static void timer_set(struct pst_source *timer, uint64_t deadline_ns)
{
	struct pst_loop *loop = timer->loop;

	timer->timer.deadline_ns = deadline_ns;
	heap_place(loop, timer->timer.at != NOT_ARMED ? timer->timer.at : loop->n_armed++, timer);
}

void pst_timer_arm(struct pst_source *timer, uint64_t delay_ns, uint64_t interval_ns)
{
	uint64_t now = pst_now_mono_ns(), deadline;

	assert(timer->type == SOURCE_TIMER && !timer->removed);
	if (__builtin_add_overflow(now, delay_ns, &deadline))
		deadline = UINT64_MAX;
	/* What is armed in a turn fires in a later one, so that a handler that re-arms itself cannot hold the
	 * turn. */
	if (deadline <= timer->loop->turn_ns)
		deadline = timer->loop->turn_ns + 1;
	timer->timer.interval_ns =
		PST_MIN(interval_ns, (uint64_t)INT64_MAX); /* now + interval must not wrap */
	timer_set(timer, deadline);
}

void pst_timer_disarm(struct pst_source *timer)
{
	struct pst_loop *loop = timer->loop;
	uint32_t at = timer->timer.at;

	assert(timer->type == SOURCE_TIMER);
	if (at == NOT_ARMED)
		return;
	timer->timer.at = NOT_ARMED;
	struct pst_source *last = loop->heap[--loop->n_armed];
	if (last != timer)
		heap_place(loop, at, last);
}

bool pst_timer_armed(const struct pst_source *timer)
{
	return timer->timer.at != NOT_ARMED;
}

static unsigned run_timers(struct pst_loop *loop)
{
	unsigned n = 0;

	while (loop->n_armed && loop->heap[0]->timer.deadline_ns <= loop->turn_ns) {
		struct pst_source *s = loop->heap[0];
		uint64_t interval = s->timer.interval_ns, late = loop->turn_ns - s->timer.deadline_ns;

		/* A periodic timer keeps its phase; periods that were missed are not made up for. */
		if (interval)
			timer_set(s, loop->turn_ns + interval - late % interval);
		else
			pst_timer_disarm(s);
		s->timer.fn(s->arg);
		n++;
	}
	return n;
}

/* ---- deferred ---- */

int pst_loop_defer(struct pst_loop *loop, pst_defer_fn fn, void *arg, struct pst_source **ret_source)
{
	struct pst_source *s = source_new(loop, SOURCE_DEFER, arg);

	if (!s)
		return -ENOMEM;
	s->defer.fn = fn;
	*ret_source = s;
	return 0;
}

void pst_defer_arm(struct pst_source *defer)
{
	assert(defer->type == SOURCE_DEFER && !defer->removed);
	if (defer->defer.armed)
		return;
	defer->defer.armed = true;
	defer->defer.queued = NULL;
	*defer->loop->deferred_end = defer;
	defer->loop->deferred_end = &defer->defer.queued;
}

/* Those that are armed now; what they arm themselves runs in the next turn, which then does not sleep. */
static unsigned run_deferred(struct pst_loop *loop)
{
	unsigned todo = 0, n = 0;

	for (struct pst_source *s = loop->deferred; s; s = s->defer.queued)
		todo++;
	for (; n < todo && loop->deferred; n++) {
		struct pst_source *s = loop->deferred;

		defer_cancel(s);
		s->defer.fn(s->arg);
	}
	return n;
}

/* ---- signals ---- */

static void on_signal(void *arg, int fd, uint32_t epoll_events)
{
	struct pst_loop *loop = arg;
	struct signalfd_siginfo info;

	(void)epoll_events;
	while (read(fd, &info, sizeof(info)) == (ssize_t)sizeof(info)) {
		if (loop->signal_fn)
			loop->signal_fn(loop->signal_arg, (int)info.ssi_signo);
		else if (info.ssi_signo != SIGHUP)
			pst_loop_stop(loop);
	}
}

int pst_loop_signals(struct pst_loop *loop, pst_signal_fn fn, void *arg)
{
	struct pst_source *source;
	sigset_t set;

	if (loop->signal_fd >= 0)
		return -EALREADY;
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGHUP);
	if (sigprocmask(SIG_BLOCK, &set, NULL) < 0)
		return -errno;
	signal(SIGPIPE, SIG_IGN);

	PST_CLOSE int fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (fd < 0)
		return -errno;
	int r = pst_loop_fd(loop, fd, EPOLLIN, on_signal, loop, &source);
	if (r < 0)
		return r;
	loop->signal_fn = fn;
	loop->signal_arg = arg;
	loop->signal_fd = PST_TAKE_FD(fd);
	return 0;
}

/* ---- the loop ---- */

int pst_loop_new(struct pst_loop **ret_loop)
{
	struct pst_loop *loop = calloc(1, sizeof(*loop));

	if (!loop)
		return -ENOMEM;
	loop->signal_fd = -1;
	loop->deferred_end = &loop->deferred;
	loop->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (loop->epoll_fd < 0) {
		int r = -errno;

		free(loop);
		return r;
	}
	*ret_loop = loop;
	return 0;
}

static void bury(struct pst_loop *loop)
{
	while (loop->graveyard) {
		struct pst_source *s = loop->graveyard;

		loop->graveyard = s->next;
		free(s);
	}
}

void pst_loop_free(struct pst_loop *loop)
{
	if (!loop)
		return;
	assert(!loop->depth);
	while (loop->sources)
		pst_source_free(loop->sources);
	free(loop->heap);
	pst_closep(&loop->signal_fd);
	close(loop->epoll_fd);
	free(loop);
}

void pst_loop_freep(struct pst_loop **loop)
{
	pst_loop_free(*loop);
}

/* @wait_ns UINT64_MAX: for ever. */
static int wait_events(struct pst_loop *loop, struct epoll_event *events, uint64_t wait_ns)
{
	int n;

	if (!loop->no_pwait2) {
		struct timespec ts = {(time_t)(wait_ns / 1000000000u), (long)(wait_ns % 1000000000u)};

		n = epoll_pwait2(
			loop->epoll_fd, events, EVENTS_A_TURN, wait_ns == UINT64_MAX ? NULL : &ts, NULL);
		/* Linux 5.10 does not have it; older container profiles refuse it. */
		if (n >= 0 || (errno != ENOSYS && errno != EPERM))
			return n;
		loop->no_pwait2 = true;
	}
	uint64_t ms = wait_ns / 1000000u + (wait_ns % 1000000u != 0);
	return epoll_wait(loop->epoll_fd, events, EVENTS_A_TURN,
		wait_ns == UINT64_MAX ? -1 : (int)PST_MIN(ms, INT32_MAX));
}

static uint64_t wait_time(const struct pst_loop *loop, int timeout_ms)
{
	uint64_t wait = timeout_ms < 0 ? UINT64_MAX : (uint64_t)timeout_ms * 1000000u;

	if (loop->deferred || !wait)
		return 0;
	if (loop->n_armed) {
		uint64_t now = pst_now_mono_ns(), deadline = loop->heap[0]->timer.deadline_ns;

		wait = PST_MIN(wait, deadline > now ? deadline - now : 0);
	}
	return wait;
}

int pst_loop_turn(struct pst_loop *loop, int timeout_ms)
{
	struct epoll_event events[EVENTS_A_TURN];
	unsigned called = 0;
	int n = wait_events(loop, events, wait_time(loop, timeout_ms));

	if (n < 0 && errno != EINTR)
		return -errno;
	loop->depth++;
	loop->wakeups++;
	uint64_t begin_ns = pst_now_mono_ns();
	loop->turn_ns = begin_ns;
	for (int i = 0; i < n; i++)
		called += run_io(events[i].data.ptr, events[i].events);
	called += run_timers(loop);
	called += run_deferred(loop);
	if (--loop->depth == 0) {
		bury(loop);
		loop->busy_ns += pst_now_mono_ns() - begin_ns;
	}
	return (int)called;
}

int pst_loop_run(struct pst_loop *loop)
{
	while (!loop->stop) {
		int n = pst_loop_turn(loop, -1);

		if (n < 0)
			return n;
	}
	return 0;
}

void pst_loop_stop(struct pst_loop *loop)
{
	loop->stop = true;
}

bool pst_loop_stopping(const struct pst_loop *loop)
{
	return loop->stop;
}

uint64_t pst_loop_busy_ns(const struct pst_loop *loop)
{
	return loop->busy_ns;
}

uint64_t pst_loop_wakeups(const struct pst_loop *loop)
{
	return loop->wakeups;
}
