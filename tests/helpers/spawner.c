// SPDX-License-Identifier: Apache-2.0
/*
 * Starts many short-lived processes and says of each what a sensor must have seen:
 *   spawner MARK COUNT [RATE [WORKERS]]      RATE a second and worker, 0: as fast as they go
 * Child i is "MARK i CODE LIFE_US" (brief.c), run with posix_spawn (vfork) by one of WORKERS processes that
 * share the numbers out. It ends with exit code i % 251, every 97th kills itself by SIGUSR1; every 16th lives
 * for 3 ms, the rest ends at once. Standard output: a line "i pid worker_pid code signal" each, when all have
 * ended. spawner --forks COUNT                    COUNT plain forks whose children end at once; prints the
 * number made
 */
#include <errno.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define AT_ONCE    32 /* children of a worker that may live at the same time */
#define WORKER_MAX 16

struct child {
	pid_t pid, parent;
	int status;
};

static struct child *children; /* shared by the workers */
static char brief[4096];       /* the program that they run, beside this one */

static void die(const char *what)
{
	perror(what);
	exit(1);
}

static unsigned number(const char *text)
{
	char *end;
	unsigned long n = strtoul(text, &end, 10);

	if (!*text || *end || n > 10000000) {
		fprintf(stderr, "spawner: not a number: %s\n", text);
		exit(100);
	}
	return (unsigned)n;
}

static pid_t start(const char *mark, unsigned i)
{
	char index[16], code[16], life[16];
	char *argv[] = {(char *)(size_t)mark, index, code, life, NULL};
	char *envp[] = {NULL};
	pid_t pid;
	int e;

	snprintf(index, sizeof(index), "%u", i);
	snprintf(code, sizeof(code), "%u", i % 97 == 96 ? 255 : i % 251);
	snprintf(life, sizeof(life), "%u", i % 16 == 15 ? 3000 : 0);
	do
		e = posix_spawn(&pid, brief, NULL, NULL, argv, envp);
	while (e == EAGAIN);
	if (e) {
		errno = e;
		die("posix_spawn");
	}
	return pid;
}

static void reap(unsigned from, unsigned to, unsigned step)
{
	int status;
	pid_t pid = wait(&status);

	if (pid < 0)
		die("wait");
	/* Backwards: the last one started with this number is it. */
	for (unsigned i = to; i > from; i -= step)
		if (children[i - step].pid == pid && children[i - step].status < 0) {
			children[i - step].status = status;
			return;
		}
	fprintf(stderr, "spawner: an unknown child ended\n");
	exit(1);
}

static void pace(struct timespec *next, unsigned rate)
{
	if (!rate)
		return;
	next->tv_nsec += 1000000000 / rate;
	while (next->tv_nsec >= 1000000000) {
		next->tv_nsec -= 1000000000;
		next->tv_sec++;
	}
	clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, next, NULL);
}

static void work(const char *mark, unsigned first, unsigned count, unsigned step, unsigned rate)
{
	unsigned alive = 0, i;
	struct timespec next;

	clock_gettime(CLOCK_MONOTONIC, &next);
	for (i = first; i < count; i += step) {
		pace(&next, rate);
		if (alive == AT_ONCE) {
			reap(first, i, step);
			alive--;
		}
		children[i].parent = getpid();
		children[i].status = -1;
		children[i].pid = start(mark, i);
		alive++;
	}
	while (alive--)
		reap(first, i, step);
}

static int spawn_all(const char *mark, unsigned count, unsigned rate, unsigned workers)
{
	pid_t pid[WORKER_MAX];

	children = mmap(NULL, (count + 1) * sizeof(*children), PROT_READ | PROT_WRITE,
		MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (children == MAP_FAILED || !workers || workers > WORKER_MAX)
		die("spawner");
	for (unsigned w = 0; w < workers; w++) {
		pid[w] = fork();
		if (pid[w] < 0)
			die("fork");
		if (!pid[w]) {
			work(mark, w, count, workers, rate);
			_exit(0);
		}
	}
	for (unsigned w = 0; w < workers; w++) {
		int status;

		if (waitpid(pid[w], &status, 0) < 0 || status)
			die("worker");
	}
	for (unsigned i = 0; i < count; i++) {
		int s = children[i].status;

		printf("%u %d %d %d %d\n", i, children[i].pid, children[i].parent,
			WIFEXITED(s) ? WEXITSTATUS(s) : 0, WIFSIGNALED(s) ? WTERMSIG(s) : 0);
	}
	return 0;
}

static int fork_all(unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		pid_t pid = fork();

		if (pid < 0)
			die("fork");
		if (!pid)
			_exit(0);
		if (waitpid(pid, NULL, 0) != pid)
			die("waitpid");
	}
	printf("%u\n", count);
	return 0;
}

static void find_brief(void)
{
	ssize_t n = readlink("/proc/self/exe", brief, sizeof(brief) - sizeof("/brief"));

	while (n > 0 && brief[n - 1] != '/')
		n--;
	if (n <= 0)
		die("/proc/self/exe");
	strcpy(brief + n, "brief");
}

int main(int argc, char **argv)
{
	if (argc == 3 && !strcmp(argv[1], "--forks"))
		return fork_all(number(argv[2]));
	if (argc < 3 || argc > 5) {
		fprintf(stderr, "usage: spawner MARK COUNT [RATE [WORKERS]] | spawner --forks COUNT\n");
		return 100;
	}
	find_brief();
	return spawn_all(
		argv[1], number(argv[2]), argc > 3 ? number(argv[3]) : 0, argc > 4 ? number(argv[4]) : 1);
}
