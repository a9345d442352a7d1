// SPDX-License-Identifier: Apache-2.0
/*
 * The workloads to which a sensor adds something. Each prints nanoseconds an operation, a line a batch:
 * elapsed, and processor time with that of the children. Medians of small batches are what a shared machine
 * disturbs least.
 *
 *   bench_work exec SECONDS PROGRAM     fork, exec of PROGRAM, its exit, wait
 *   bench_work connect SECONDS          connect, accept, close of both ends; in a network namespace of its
 * own bench_work getppid SECONDS          a system call that does nothing bench_work udp SECONDS ADDR FLOWS
 * sendto, to as many ports in turn bench_work forks SECONDS RATE       so many processes a second that end at
 * once; prints how many
 */
#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "proto/base/cleanup.h"
#include "proto/base/loop.h"
#include "tests/bench/toggle.h"

#define BATCHES_MAX 200000
#define FIRST_PORT  20000
#define PAYLOAD     64
#define TURN_NS     100000000

static double result[BATCHES_MAX], busy[BATCHES_MAX];
static unsigned results;

static void die(const char *what)
{
	fprintf(stderr, "bench_work: %s: %s\n", what, strerror(errno));
	exit(PST_EXIT_SYSTEM);
}

struct workload {
	const char *name;
	unsigned batch;
	void (*prepare)(char **argv);
	void (*once)(unsigned i);
};

/* ---- exec ---- */

static const char *program;

static void exec_prepare(char **argv)
{
	program = argv[0];
	if (!program || access(program, X_OK) < 0)
		die("program to execute");
}

static void exec_once(unsigned i)
{
	char *const args[] = {(char *)(uintptr_t)program, "0", "0", "0", NULL};
	char *const env[] = {NULL};
	pid_t pid = fork();
	int status;

	(void)i;
	if (pid == 0) {
		execve(program, args, env);
		_exit(127);
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid || status)
		die("exec");
}

/* ---- connect ---- */

static int listener = -1;

static void lo_up(void)
{
	struct ifreq ifr = {.ifr_name = "lo"};
	PST_CLOSE int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	ifr.ifr_flags = IFF_UP;
	if (fd < 0 || ioctl(fd, SIOCSIFFLAGS, &ifr) < 0)
		die("lo");
}

/* The namespace takes thousands of sockets in TIME_WAIT away with it. */
static void connect_prepare(char **argv)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(FIRST_PORT)};

	(void)argv;
	if (unshare(CLONE_NEWNET) < 0)
		die("unshare");
	lo_up();
	listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (listener < 0 || bind(listener, (struct sockaddr *)&a, sizeof(a)) < 0 || listen(listener, 16) < 0)
		die("listen");
}

static void connect_once(unsigned i)
{
	/* other addresses in turn, or the ephemeral ports of one would all be in TIME_WAIT soon */
	struct sockaddr_in a = {.sin_family = AF_INET,
		.sin_port = htons(FIRST_PORT),
		.sin_addr.s_addr = htonl(0x7f000001 + i % 4096)};
	PST_CLOSE int out = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	PST_CLOSE int in = -1;

	if (out < 0 || connect(out, (struct sockaddr *)&a, sizeof(a)) < 0)
		die("connect");
	in = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	if (in < 0)
		die("accept");
}

/* ---- getppid ---- */

static void nothing(char **argv)
{
	(void)argv;
}

static void getppid_once(unsigned i)
{
	(void)i;
	syscall(SYS_getppid);
}

/* ---- udp ---- */

static struct sockaddr_in target[2] = {{.sin_family = AF_INET}, {.sin_family = AF_INET}};
static unsigned flows;
static int udp = -1;

static void udp_prepare(char **argv)
{
	udp = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (udp < 0 || !argv[0] || !argv[1] || !argv[2] ||
		inet_pton(AF_INET, argv[0], &target[0].sin_addr) != 1 ||
		inet_pton(AF_INET, argv[1], &target[1].sin_addr) != 1)
		die("udp");
	flows = (unsigned)strtoul(argv[2], NULL, 10);
	if (!flows || flows > 10000)
		die("number of flows");
}

static void udp_send(unsigned to, unsigned i)
{
	static const char payload[PAYLOAD];
	struct sockaddr_in *a = &target[to];

	a->sin_port = htons((uint16_t)(FIRST_PORT + i % flows));
	if (sendto(udp, payload, sizeof(payload), 0, (struct sockaddr *)a, sizeof(*a)) < 0 &&
		errno != ENOBUFS)
		die("sendto");
}

static double udp_batch(unsigned to, unsigned n)
{
	uint64_t from = pst_now_mono_ns();

	for (unsigned i = 0; i < n; i++)
		udp_send(to, i);
	return (double)(pst_now_mono_ns() - from) / n;
}

/* In pairs, a fraction of a millisecond apart: what disturbs one disturbs the other. */
static int udp_pairs(double seconds)
{
	uint64_t end;

	for (unsigned i = 0; i < 20; i++)
		udp_batch(i % 2, 500);
	end = pst_now_mono_ns() + (uint64_t)(seconds * 1e9);
	while (pst_now_mono_ns() < end && results + 2 <= BATCHES_MAX) {
		result[results++] = udp_batch(0, 200);
		result[results++] = udp_batch(1, 200);
	}
	for (unsigned i = 0; i < results; i += 2)
		printf("%.1f %.1f\n", result[i], result[i + 1]);
	return 0;
}

/* ---- forks ---- */

static int forks(double seconds, double rate)
{
	uint64_t start = pst_now_mono_ns(), n = 0, now = start;

	for (; now - start < (uint64_t)(seconds * 1e9); now = pst_now_mono_ns()) {
		if ((double)n < rate * (double)(now - start) / 1e9) {
			pid_t pid = fork();

			if (pid == 0)
				_exit(0);
			if (pid < 0 || waitpid(pid, NULL, 0) != pid)
				die("fork");
			n++;
		} else {
			usleep(1000);
		}
	}
	printf("%llu\n", (unsigned long long)n);
	return 0;
}

/* ---- */

static const struct workload workloads[] = {
	{"exec", 20, exec_prepare, exec_once},
	{"connect", 50, connect_prepare, connect_once},
	{"getppid", 20000, nothing, getppid_once},
};

static double cpu_ns(void)
{
	struct rusage self, children;

	getrusage(RUSAGE_SELF, &self);
	getrusage(RUSAGE_CHILDREN, &children);
	return 1e9 * (double)(self.ru_utime.tv_sec + self.ru_stime.tv_sec + children.ru_utime.tv_sec +
			      children.ru_stime.tv_sec) +
	       1e3 * (double)(self.ru_utime.tv_usec + self.ru_stime.tv_usec + children.ru_utime.tv_usec +
			      children.ru_stime.tv_usec);
}

static unsigned done; /* operations so far */

static void batch(const struct workload *w)
{
	double cpu = cpu_ns();
	uint64_t from = pst_now_mono_ns(), to;

	for (unsigned k = 0; k < w->batch; k++)
		w->once(done++);
	to = pst_now_mono_ns();
	busy[results] = (cpu_ns() - cpu) / w->batch;
	result[results++] = (double)(to - from) / w->batch;
}

static void warm_up(const struct workload *w, unsigned batches)
{
	for (unsigned i = 0; i < batches * w->batch; i++)
		w->once(done++);
}

static void measure(const struct workload *w, double seconds)
{
	uint64_t end = pst_now_mono_ns() + (uint64_t)(seconds * 1e9);

	warm_up(w, 5);
	do
		batch(w);
	while (results < BATCHES_MAX && pst_now_mono_ns() < end);
	for (unsigned k = 0; k < results; k++)
		printf("%.1f %.1f\n", result[k], busy[k]);
}

static int order(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

/* Medians over the batches of one turn. */
static void turn(const struct workload *w, double *ret_elapsed, double *ret_busy)
{
	uint64_t end = pst_now_mono_ns() + TURN_NS;

	results = 0;
	warm_up(w, 1);
	do
		batch(w);
	while (results < BATCHES_MAX && pst_now_mono_ns() < end);
	qsort(result, results, sizeof(result[0]), order);
	qsort(busy, results, sizeof(busy[0]), order);
	*ret_elapsed = result[results / 2];
	*ret_busy = busy[results / 2];
}

/* On first in every second pair. */
static void measure_toggled(const struct workload *w, double seconds, const char *bpffs)
{
	uint64_t end = pst_now_mono_ns() + (uint64_t)(seconds * 1e9);
	double elapsed[2], cpu[2];
	struct toggle all = {0};

	toggle_open(&all, bpffs);
	warm_up(w, 5);
	for (unsigned pair = 0; pst_now_mono_ns() < end; pair++) {
		for (unsigned k = 0; k < 2; k++) {
			bool on = (k + pair) % 2 == 0;

			if (on)
				toggle_on(&all);
			turn(w, &elapsed[!on], &cpu[!on]);
			if (on)
				toggle_off(&all);
		}
		printf("%.1f %.1f %.1f %.1f\n", elapsed[0], elapsed[1], cpu[0], cpu[1]);
	}
}

int main(int argc, char **argv)
{
	double seconds = argc > 2 ? strtod(argv[2], NULL) : 0;

	if (seconds > 0 && argc > 3 && !strcmp(argv[1], "forks"))
		return forks(seconds, strtod(argv[3], NULL));
	if (seconds > 0 && !strcmp(argv[1], "udp")) {
		udp_prepare(argv + 3);
		return udp_pairs(seconds);
	}
	for (size_t i = 0; seconds > 0 && i < PST_ARRAY_SIZE(workloads); i++) {
		if (strcmp(argv[1], workloads[i].name))
			continue;
		workloads[i].prepare(argv + 3);
		if (getenv("TOGGLE"))
			measure_toggled(&workloads[i], seconds, getenv("TOGGLE"));
		else
			measure(&workloads[i], seconds);
		return 0;
	}
	fputs("usage: bench_work exec|connect|getppid|udp|forks SECONDS ...\n", stderr);
	return PST_EXIT_USAGE;
}
