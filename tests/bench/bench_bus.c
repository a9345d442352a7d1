// SPDX-License-Identifier: Apache-2.0
/*
 * The bus alone, with 110-byte events that are copied and only scanned: what it adds to the stages' own work.
 * One line a figure: <name> <value> <unit>. All processes are forked from one that has never called nng.
 */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "proto/base/cleanup.h"
#include "proto/base/log.h"
#include "proto/base/stat.h"
#include "proto/wire/bus.h"

#define EVENTS   3000000ull
#define SLOW     2000u /* events of the latency test */
#define SLOW_NS  1000000ull
#define PER_TURN 512

struct shared { /* between the processes */
	volatile uint64_t received[4], rss[8], lost[4];
	volatile uint64_t latency_ns[SLOW];
	volatile bool ready[4], stop;
};
static struct shared *shm;
static char dir[] = "/dev/shm/pst-bench-bus-XXXXXX"; /* as /run: a tmpfs */

struct node {
	struct pst_loop *loop;
	struct pst_bus *bus;
	struct pst_sub *sub;
	int id;
	uint64_t sent, limit;
	struct pst_source *defer, *timer;
	struct pst_buf event;
	bool pass_on;
};

static void make_event(struct pst_buf *buf, uint64_t ts)
{
	struct pst_val v[PST_SENSOR_FIELDS_MAX] = {0};

	v[PST_EXIT_F_pid].u = 48231;
	v[PST_EXIT_F_start_ns].u = 90123456789012;
	v[PST_EXIT_F_tid].u = 48231;
	v[PST_EXIT_F_uid].u = 1000;
	v[PST_EXIT_F_gid].u = 1000;
	v[PST_EXIT_F_cgroup_id].u = 7741;
	v[PST_EXIT_F_comm] = pst_val_str("a-command-of-a-length-that-makes-the-event-110-bytes-long....", 60);
	v[PST_EXIT_F_run_ns].u = 1234567;
	pst_event_pack(buf, PST_KIND_EXIT, ts, v);
}

static void open_node(struct node *n, const char *stage, uint32_t topics, const char *const *subscribers)
{
	struct pst_bus_config config = {.stage = stage,
		.run_dir = dir,
		.node = "bench",
		.topics = topics,
		.subscribers = subscribers,
		.retention_bytes = 64 << 20};

	pst_log_init(stage, PST_LOG_TEXT, PST_LOG_ERROR);
	pst_stat_open();
	if (pst_loop_new(&n->loop) < 0 || pst_loop_signals(n->loop, NULL, NULL) < 0 ||
		pst_bus_open(n->loop, &config, &n->bus) < 0)
		_exit(1);
}

static void on_batch(void *arg, const struct pst_batch *batch)
{
	struct node *n = arg;
	struct pst_batch_iter it;
	struct pst_event e;
	uint64_t count = 0;

	pst_batch_iter_init(&it, n->sub, batch);
	it.scan_only = true;
	while (pst_batch_iter_next(&it, &e)) {
		count++;
		if (n->pass_on) {
			pst_mp_raw(pst_bus_put(n->bus, PST_TOPIC_PROC), e.raw, e.raw_len);
			pst_bus_end(n->bus, PST_TOPIC_PROC, e.ts_ns);
		} else if (n->limit == SLOW && shm->received[n->id] + count <= SLOW) {
			shm->latency_ns[shm->received[n->id] + count - 1] = pst_now_mono_ns() - e.ts_ns;
		}
	}
	shm->received[n->id] += count;
	if (shm->received[n->id] % (1 << 16) < count)
		shm->rss[n->id] = pst_stat_rss_bytes();
}

static void on_loss(void *arg, enum pst_topic topic, const char *cause, uint64_t count)
{
	struct node *n = arg;

	(void)topic;
	(void)cause;
	shm->lost[n->id] += count;
}

static void subscribe(struct node *n, const char *publisher, int resume)
{
	struct pst_sub_config config = {.publisher = publisher,
		.topics = 1u << PST_TOPIC_PROC,
		.on_batch = on_batch,
		.on_loss = on_loss,
		.arg = n};

	config.resume = resume;
	if (pst_bus_subscribe(n->bus, &config, &n->sub) < 0)
		_exit(1);
}

static void run(struct node *n)
{
	if (pst_bus_start(n->bus) < 0)
		_exit(1);
	shm->ready[n->id] = true;
	while (!shm->stop && !pst_loop_stopping(n->loop)) {
		pst_loop_turn(n->loop, 100);
		shm->rss[n->id] = shm->rss[n->id] ? shm->rss[n->id] : pst_stat_rss_bytes();
	}
	pst_bus_free(n->bus);
	pst_loop_free(n->loop);
	_exit(0);
}

/* ---- processes ---- */

static void feed(void *arg)
{
	struct node *n = arg;

	for (int i = 0; i < PER_TURN * 4 && n->sent < n->limit && !pst_bus_congested(n->bus);
		i++, n->sent++) {
		pst_mp_raw(pst_bus_put(n->bus, PST_TOPIC_PROC), n->event.p, n->event.len);
		pst_bus_end(n->bus, PST_TOPIC_PROC, 1);
	}
	if (n->sent < n->limit && !pst_bus_congested(n->bus))
		pst_defer_arm(n->defer);
}

static void source(const char *const *subscribers)
{
	struct node n = {.limit = EVENTS};

	open_node(&n, "collector", 1u << PST_TOPIC_PROC, subscribers);
	make_event(&n.event, 1);
	pst_loop_defer(n.loop, feed, &n, &n.defer);
	pst_bus_on_ready(n.bus, feed, &n);
	pst_bus_set_paced(n.bus, true);
	pst_defer_arm(n.defer);
	run(&n);
}

static void tick(void *arg)
{
	struct node *n = arg;

	if (n->sent++ >= n->limit)
		return;
	make_event(pst_bus_put(n->bus, PST_TOPIC_PROC), pst_now_mono_ns());
	pst_bus_end(n->bus, PST_TOPIC_PROC, 1);
}

static void slow_source(void)
{
	struct node n = {.limit = SLOW};

	open_node(&n, "collector", 1u << PST_TOPIC_PROC, NULL);
	pst_loop_timer(n.loop, tick, &n, &n.timer);
	pst_timer_arm(n.timer, 300000000, SLOW_NS);
	run(&n);
}

static void middle(const char *const *subscribers)
{
	struct node n = {.id = 1, .pass_on = true};

	open_node(&n, "enricher", 1u << PST_TOPIC_PROC, subscribers);
	subscribe(&n, "collector", PST_RESUME_OUT_SAME);
	run(&n);
}

static void sink(const char *stage, const char *publisher, int id, uint64_t limit)
{
	struct node n = {.id = id, .limit = limit};

	open_node(&n, stage, 0, NULL);
	subscribe(&n, publisher, PST_RESUME_OWN);
	run(&n);
}

/* ---- measuring ---- */

static pid_t spawn(void (*fn)(void))
{
	pid_t pid = fork();

	if (pid == 0) {
		fn();
		_exit(1);
	}
	return pid;
}

static double seconds(struct timeval tv)
{
	return (double)tv.tv_sec + (double)tv.tv_usec / 1e6;
}

static double finish(pid_t *pids, int n)
{
	double cpu = 0;

	shm->stop = true;
	for (int i = 0; i < n; i++) {
		struct rusage ru;

		kill(pids[i], SIGTERM);
		wait4(pids[i], NULL, 0, &ru);
		cpu += seconds(ru.ru_utime) + seconds(ru.ru_stime);
	}
	return cpu;
}

static void fresh(void)
{
	char cmd[128];

	snprintf(cmd, sizeof(cmd), "rm -rf %s/*", dir);
	if (system(cmd))
		exit(1);
	memset((void *)shm, 0, sizeof(*shm));
}

static void wait_for(const volatile uint64_t *what, uint64_t value)
{
	uint64_t end = pst_now_mono_ns() + 60000000000ull;

	while (*what < value && pst_now_mono_ns() < end)
		usleep(500);
}

static const char *const to_exporter[] = {"exporter", NULL}, *const to_enricher[] = {"enricher", NULL},
			 *const to_both[] = {"policyd", "exporter", NULL};
static void p_source_direct(void)
{
	source(to_exporter);
}
static void p_source(void)
{
	source(to_enricher);
}
static void p_middle(void)
{
	middle(to_both);
}
static void p_direct(void)
{
	sink("exporter", "collector", 1, EVENTS);
}
static void p_policyd(void)
{
	sink("policyd", "enricher", 2, EVENTS);
}
static void p_exporter(void)
{
	sink("exporter", "enricher", 3, EVENTS);
}
static void p_slow(void)
{
	sink("exporter", "collector", 1, SLOW);
}

static void figures(const char *name, uint64_t begin, double cpu, int hops)
{
	double s = (double)(pst_now_mono_ns() - begin) / 1e9;

	printf("bus.%s_events_per_s %.0f events/s\n", name, (double)EVENTS / s);
	printf("bus.%s_cpu_us_per_event %.3f us\n", name, cpu * 1e6 / (double)EVENTS);
	printf("bus.%s_lost %llu events\n", name,
		(unsigned long long)(shm->lost[1] + shm->lost[2] + shm->lost[3]));
	for (int i = 0; i <= hops; i++)
		if (shm->rss[i])
			printf("bus.%s_rss_%d %.1f MiB\n", name, i, (double)shm->rss[i] / 1048576);
}

static void direct(void)
{
	fresh();
	pid_t pids[] = {spawn(p_direct), spawn(p_source_direct)};
	uint64_t begin = pst_now_mono_ns();
	wait_for(&shm->received[1], EVENTS);
	uint64_t end = pst_now_mono_ns();
	double cpu = finish(pids, 2);
	figures("direct", begin + (pst_now_mono_ns() - end), cpu, 1);
}

static void chain(void)
{
	fresh();
	pid_t pids[] = {spawn(p_policyd), spawn(p_exporter), spawn(p_middle), spawn(p_source)};
	uint64_t begin = pst_now_mono_ns();
	wait_for(&shm->received[2], EVENTS);
	wait_for(&shm->received[3], EVENTS);
	uint64_t end = pst_now_mono_ns();
	double cpu = finish(pids, 4);
	figures("chain", begin + (pst_now_mono_ns() - end), cpu, 3);
}

static int by_value(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

static void latency(void)
{
	fresh();
	pid_t pids[] = {spawn(p_slow), spawn(slow_source)};
	wait_for(&shm->received[1], SLOW);
	uint64_t *l = (uint64_t *)shm->latency_ns;
	qsort(l, SLOW, sizeof(*l), by_value);
	double cpu = finish(pids, 2);
	printf("bus.single_p50_us %.0f us\n", (double)l[SLOW / 2] / 1e3);
	printf("bus.single_p99_us %.0f us\n", (double)l[SLOW * 99 / 100] / 1e3);
	printf("bus.single_cpu_us_per_event %.1f us\n", cpu * 1e6 / SLOW);
}

int main(void)
{
	if (!mkdtemp(dir))
		return 1;
	shm = mmap(NULL, sizeof(*shm), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (shm == MAP_FAILED)
		return 1;
	setvbuf(stdout, NULL, _IOLBF, 0);
	direct();
	chain();
	latency();
	fresh();
	rmdir(dir);
	return 0;
}
