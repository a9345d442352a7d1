/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One single-threaded epoll loop a process. Handlers do bounded work per wake. The loop accounts for
 * its own busy time. No handler may be called after its source was removed, also within the same turn.
 */
#ifndef PST_BASE_LOOP_H
#define PST_BASE_LOOP_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/epoll.h>

struct pst_loop;
struct pst_source;

typedef void (*pst_fd_fn)(void *arg, int fd, uint32_t epoll_events);
typedef void (*pst_timer_fn)(void *arg);
typedef void (*pst_signal_fn)(void *arg, int signo);
typedef void (*pst_defer_fn)(void *arg);

int pst_loop_new(struct pst_loop **ret_loop);
void pst_loop_free(struct pst_loop *loop); /* NULL is fine; frees every source */
void pst_loop_freep(struct pst_loop **loop);

/* Blocks SIGTERM, SIGINT, SIGHUP (and ignores SIGPIPE) and hands them to @fn by signalfd. Call before any
 * thread is started. @fn NULL: SIGTERM and SIGINT stop the loop, SIGHUP does nothing. */
int pst_loop_signals(struct pst_loop *loop, pst_signal_fn fn, void *arg);

/* Watch @fd (not owned). Level triggered. */
int pst_loop_fd(struct pst_loop *loop, int fd, uint32_t epoll_events, pst_fd_fn fn, void *arg,
	struct pst_source **ret_source);
int pst_source_set_events(struct pst_source *source, uint32_t epoll_events); /* 0: keep, but do not watch */

/* Timer on CLOCK_MONOTONIC, not armed yet. */
int pst_loop_timer(struct pst_loop *loop, pst_timer_fn fn, void *arg, struct pst_source **ret_source);
/* First after @delay_ns (0: as soon as possible), then each @interval_ns (0: once). */
void pst_timer_arm(struct pst_source *timer, uint64_t delay_ns, uint64_t interval_ns);
void pst_timer_disarm(struct pst_source *timer);
bool pst_timer_armed(const struct pst_source *timer);

/* Called once before the loop next sleeps (after all ready handlers of the turn): where batches are flushed.
 * Arming an armed one does nothing. */
int pst_loop_defer(struct pst_loop *loop, pst_defer_fn fn, void *arg, struct pst_source **ret_source);
void pst_defer_arm(struct pst_source *defer);

void pst_source_free(struct pst_source *source); /* NULL is fine */

/* Runs until pst_loop_stop. 0 or -errno. */
int pst_loop_run(struct pst_loop *loop);
/* One turn, waiting at most @timeout_ms (-1: for ever). Returns the number of handlers called or -errno. */
int pst_loop_turn(struct pst_loop *loop, int timeout_ms);
void pst_loop_stop(struct pst_loop *loop);
bool pst_loop_stopping(const struct pst_loop *loop);
uint64_t pst_loop_busy_ns(const struct pst_loop *loop); /* time spent in handlers */
uint64_t pst_loop_wakeups(const struct pst_loop *loop);

uint64_t pst_now_boot_ns(void); /* CLOCK_BOOTTIME */
uint64_t pst_now_mono_ns(void);
uint64_t pst_now_wall_ns(void);

#endif
