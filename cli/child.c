// SPDX-License-Identifier: Apache-2.0
#include "cli/child.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "proto/base/cleanup.h"
#include "proto/base/log.h"

#define BACKOFF_FIRST_NS 100000000ull
#define BACKOFF_MAX_NS   5000000000ull
#define STABLE_NS        10000000000ull /* ran so long: the next failure is a first one */
#define ENV_FDS_SIZE     2048

struct child {
	struct pst_loop *loop;
	struct child_config config;
	pid_t pid; /* 0: not running */
	int pidfd, notify;
	bool ready, stopping;
	struct pst_source *exited, *told, *again;
	uint64_t backoff_ns, started_ns;
};

static void forget(struct child *c)
{
	pst_source_free(PST_TAKE_PTR(c->exited));
	pst_source_free(PST_TAKE_PTR(c->told));
	if (c->pidfd >= 0)
		close(PST_TAKE_FD(c->pidfd));
	if (c->notify >= 0)
		close(PST_TAKE_FD(c->notify));
	c->pid = 0;
	c->ready = false;
}

/* Exit codes of our processes: 100 is "do not restart me" (proto/base/cleanup.h). */
static bool wants_restart(const struct child *c, int status)
{
	return !c->stopping && !(WIFEXITED(status) && WEXITSTATUS(status) == PST_EXIT_USAGE);
}

static void on_again(void *arg)
{
	struct child *c = arg;
	int e = child_start(c);

	if (e) {
		pst_error("can't start again stage=%s error=%s", c->config.name, strerror(-e));
		pst_timer_arm(c->again, BACKOFF_MAX_NS, 0);
	}
}

static void on_exited(void *arg, int fd, uint32_t events)
{
	struct child *c = arg;
	int status = 0;
	bool again;

	(void)fd;
	(void)events;
	if (waitpid(c->pid, &status, WNOHANG) != c->pid)
		return;
	again = wants_restart(c, status);
	if (pst_now_mono_ns() - c->started_ns > STABLE_NS)
		c->backoff_ns = BACKOFF_FIRST_NS;
	forget(c);
	if (again) {
		pst_timer_arm(c->again, c->backoff_ns, 0);
		c->backoff_ns = PST_MIN(2 * c->backoff_ns, BACKOFF_MAX_NS);
	}
	c->config.on_exit(c->config.arg, c, status, again);
}

static void on_told(void *arg, int fd, uint32_t events)
{
	struct child *c = arg;
	char byte = 0;
	ssize_t n = read(fd, &byte, 1);

	(void)events;
	if (n < 0 && errno == EAGAIN)
		return;
	pst_source_free(PST_TAKE_PTR(c->told));
	if (n == 1 && byte == '\n') {
		c->ready = true;
		c->config.on_ready(c->config.arg, c);
	}
}

int child_new(struct pst_loop *loop, const struct child_config *config, struct child **ret_child)
{
	struct child *c = calloc(1, sizeof(*c));
	int e;

	if (!c)
		return -ENOMEM;
	c->loop = loop;
	c->config = *config;
	c->pidfd = c->notify = -1;
	c->backoff_ns = BACKOFF_FIRST_NS;
	e = pst_loop_timer(loop, on_again, c, &c->again);
	if (e) {
		free(c);
		return e;
	}
	*ret_child = c;
	return 0;
}

/* In the child: its own process group (Ctrl-C is ours to handle), no blocked signals, descriptors to inherit.
 */
static void become(const struct child *c, int notify, const char *fds)
{
	char number[16];
	sigset_t none;

	setpgid(0, 0);
	/* When the supervisor dies without a word its stages go too; the loader then unloads. */
	prctl(PR_SET_PDEATHSIG, SIGTERM);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	fcntl(notify, F_SETFD, 0);
	snprintf(number, sizeof(number), "%d", notify);
	setenv("PENSTOCK_NOTIFY_FD", number, 1);
	if (*fds) {
		setenv("PENSTOCK_FDS", fds, 1);
		for (unsigned i = 0; i < c->config.fds->n; i++)
			fcntl(c->config.fds->v[i].fd, F_SETFD, 0);
	}
	execv(c->config.path, c->config.argv);
	dprintf(STDERR_FILENO, "can't run %s: %s\n", c->config.path, strerror(errno));
	_exit(PST_EXIT_USAGE);
}

int child_start(struct child *c)
{
	PST_CLOSE int to_child = -1;
	char fds[ENV_FDS_SIZE] = "";
	int ends[2], e;

	if (c->config.fds && c->config.pass_fds && c->config.pass_fds(c->config.arg))
		pst_fds_env(c->config.fds, fds, sizeof(fds));
	if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) < 0)
		return -errno;
	c->notify = ends[0];
	to_child = ends[1];
	c->started_ns = pst_now_mono_ns();
	c->pid = fork();
	if (c->pid == 0)
		become(c, to_child, fds);
	if (c->pid < 0) {
		e = -errno;
		forget(c);
		return e;
	}
	c->pidfd = (int)syscall(SYS_pidfd_open, c->pid, 0);
	e = c->pidfd < 0 ? -errno : pst_loop_fd(c->loop, c->pidfd, EPOLLIN, on_exited, c, &c->exited);
	e = e ? e : pst_loop_fd(c->loop, c->notify, EPOLLIN, on_told, c, &c->told);
	if (e)
		child_stop(c, 1000);
	return e;
}

bool child_running(const struct child *c)
{
	return c->pid > 0;
}

bool child_ready(const struct child *c)
{
	return c->ready;
}

const char *child_name(const struct child *c)
{
	return c->config.name;
}

pid_t child_pid(const struct child *c)
{
	return c->pid;
}

void child_stop(struct child *c, unsigned timeout_ms)
{
	uint64_t until = pst_now_mono_ns() + timeout_ms * 1000000ull;
	bool killed = false;

	c->stopping = true;
	pst_timer_disarm(c->again);
	if (!c->pid)
		return;
	kill(c->pid, SIGTERM);
	while (waitpid(c->pid, NULL, WNOHANG) == 0) {
		if (!killed && pst_now_mono_ns() > until) {
			pst_warn("does not stop, killing it stage=%s", c->config.name);
			kill(c->pid, SIGKILL);
			killed = true;
		}
		poll(NULL, 0, 5);
	}
	forget(c);
}

void child_free(struct child *c)
{
	if (!c)
		return;
	child_stop(c, 3000);
	pst_source_free(c->again);
	free(c);
}
