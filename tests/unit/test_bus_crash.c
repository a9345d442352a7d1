// SPDX-License-Identifier: Apache-2.0
/*
 * kill -9, hundreds of times, at any moment, under load: source -> middle -> sink, each a process of its own
 * (this binary again, with a role as its argument). The source makes the numbers 0, 1, 2, ... and keeps its
 * place in the checkpoint, as the collector does with its rings. Nothing was ever made, passed on or handed
 * over twice or left out if and only if every event carries its own sequence number; where files are lost on
 * purpose, if the count of what was lost fills the gap exactly.
 */
#include "tests/unit/bus_test.h"

#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>

enum { SOURCE, MIDDLE, SINK, ROLES };
static const char *const role_names[ROLES] = {"source", "middle", "sink"};
#define IN_FLIGHT 200000

static const enum pst_topic topics[2] = {PST_TOPIC_PROC, PST_TOPIC_NET};

struct result { /* shared by all processes */
	uint64_t retention[ROLES];
	uint64_t slow_us; /* the sink sleeps so long after each batch */
	bool finish;      /* the source makes no more */
	bool may_lose;    /* events carry no longer their own number; the sink counts */
	bool direct;      /* the sink subscribes to the source */
	bool ready;       /* the sink knows where it begins */
	uint64_t source_epoch, sink_epoch[2];
	uint64_t made[2]; /* committed by the source */
	uint64_t had[2];  /* handed over or counted lost */
	uint64_t lost[2], wrong, starts[ROLES], batches, unknown;
	char first_wrong[160];
};
static struct result *shm;

static void complain(const char *what, enum pst_topic topic, uint64_t got, uint64_t want)
{
	if (!shm->wrong++)
		snprintf(shm->first_wrong, sizeof(shm->first_wrong), "%s topic=%s got=%llu want=%llu", what,
			pst_topic_name(topic), (unsigned long long)got, (unsigned long long)want);
}

/* ---- roles ---- */

struct role {
	struct bus_env env;
	struct pst_bus *bus;
	struct pst_sub *sub;
	struct pst_source *defer, *timer;
	uint64_t next[2]; /* source: to be made; sink: to come */
	bool began[2];
	unsigned seed;
};

static void made(void *arg, enum pst_topic topic)
{
	struct role *role = arg;

	for (int i = 0; i < 2; i++)
		if (topics[i] == topic)
			__atomic_store_n(
				&shm->made[i], pst_bus_get_aux(role->bus, topic, 0), __ATOMIC_RELEASE);
}

static void make(void *arg)
{
	struct role *role = arg;
	unsigned n = 1 + (unsigned)rand_r(&role->seed) % 700;

	if (__atomic_load_n(&shm->finish, __ATOMIC_ACQUIRE))
		return;
	pst_timer_arm(role->timer, 200000, 0);
	if (!shm->may_lose && role->next[0] + role->next[1] > shm->had[0] + shm->had[1] + IN_FLIGHT)
		return; /* what retention holds is to suffice */
	if (shm->may_lose && !__atomic_load_n(&shm->ready, __ATOMIC_ACQUIRE))
		return; /* so that the first event counts, too */
	while (n--) {
		int i = rand_r(&role->seed) % 3 == 0;

		publish(role->bus, topics[i], role->next[i]);
		pst_bus_set_aux(role->bus, topics[i], 0, ++role->next[i]);
	}
	if (rand_r(&role->seed) % 4 == 0)
		usleep((unsigned)rand_r(&role->seed) % 1000);
	pst_defer_arm(role->defer);
}

static void pass(void *arg, const struct pst_batch *batch)
{
	struct role *role = arg;
	struct pst_batch_iter it;
	struct pst_event e;
	uint64_t seq = batch->first_seq;

	pst_batch_iter_init(&it, role->sub, batch);
	it.scan_only = true;
	while (pst_batch_iter_next(&it, &e)) {
		if (e.ts_ns != ++seq && !shm->may_lose)
			complain("middle was handed another event", (enum pst_topic)batch->topic, e.ts_ns - 1,
				seq - 1);
		if (pst_bus_next_seq(role->bus, (enum pst_topic)batch->topic) != seq - 1 && !shm->may_lose)
			complain("middle passes on under another number", (enum pst_topic)batch->topic,
				pst_bus_next_seq(role->bus, (enum pst_topic)batch->topic), seq - 1);
		pst_mp_raw(pst_bus_put(role->bus, (enum pst_topic)batch->topic), e.raw, e.raw_len);
		pst_bus_end(role->bus, (enum pst_topic)batch->topic, e.ts_ns);
	}
}

/* The first batch of a process goes on where the checkpoint is: at most the batch under way at the kill comes
 * again. */
static void begin(struct role *role, int i, const struct pst_batch *batch)
{
	uint64_t had = __atomic_load_n(&shm->had[i], __ATOMIC_ACQUIRE);

	role->began[i] = true;
	role->next[i] = had;
	if (shm->may_lose)
		return;
	if (batch->first_seq > had || had - batch->first_seq > PST_BATCH_EVENTS)
		complain("sink resumes elsewhere", topics[i], batch->first_seq, had);
	role->next[i] = batch->first_seq;
}

static void check(void *arg, const struct pst_batch *batch)
{
	struct role *role = arg;
	struct pst_batch_iter it;
	struct pst_event e;
	int i = batch->topic == (int)topics[1];

	if (!role->began[i])
		begin(role, i, batch);
	pst_batch_iter_init(&it, role->sub, batch);
	it.scan_only = true;
	while (pst_batch_iter_next(&it, &e)) {
		if (e.ts_ns - 1 != role->next[i])
			complain("event", topics[i], e.ts_ns - 1, role->next[i]);
		role->next[i] = e.ts_ns;
		__atomic_store_n(&shm->had[i], PST_MAX(e.ts_ns, shm->had[i]), __ATOMIC_RELEASE);
	}
	shm->batches++;
	if (shm->slow_us)
		usleep((unsigned)shm->slow_us);
}

static void lost(void *arg, enum pst_topic topic, const char *cause, uint64_t count)
{
	struct role *role = arg;
	int i = topic == topics[1];

	if (!shm->may_lose)
		complain(cause, topic, count, 0);
	role->next[i] += count;
	role->began[i] = true;
	shm->lost[i] += count;
	__atomic_store_n(&shm->had[i], role->next[i], __ATOMIC_RELEASE);
}

static void role_subscribe(struct role *role, const char *publisher, int resume, pst_batch_fn fn)
{
	struct pst_sub_config config = {.publisher = publisher,
		.topics = BUS_TOPIC(PROC) | BUS_TOPIC(NET),
		.on_batch = fn,
		.on_loss = lost,
		.arg = role};

	config.resume = resume;
	if (pst_bus_subscribe(role->bus, &config, &role->sub) < 0)
		_exit(2);
}

static void role_open(struct role *role, int what)
{
	struct pst_bus_config config = {.stage = role_names[what],
		.run_dir = role->env.dir,
		.node = "n",
		.topics = what == SINK ? 0 : BUS_TOPIC(PROC) | BUS_TOPIC(NET),
		.retention_bytes = shm->retention[what]};
	int r = pst_bus_open(role->env.loop, &config, &role->bus);

	if (r < 0)
		_exit(r == -EBUSY ? 4 : 3);
}

static int run_role(int what, const char *dir)
{
	struct role role = {.seed = (unsigned)getpid()};

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	pst_log_init(role_names[what], PST_LOG_TEXT, PST_LOG_ERROR);
	snprintf(role.env.dir, sizeof(role.env.dir), "%s", dir);
	if (pst_loop_new(&role.env.loop) < 0)
		return 2;
	role_open(&role, what);
	if (what == SOURCE) {
		for (int i = 0; i < 2; i++)
			role.next[i] = pst_bus_get_aux(role.bus, topics[i], 0);
		pst_bus_on_commit(role.bus, made, &role);
		pst_loop_defer(role.env.loop, make, &role, &role.defer);
		pst_loop_timer(role.env.loop, make, &role, &role.timer);
		pst_defer_arm(role.defer);
	} else if (what == MIDDLE) {
		role_subscribe(&role, "source", PST_RESUME_OUT_SAME, pass);
	} else {
		role_subscribe(&role, shm->direct ? "source" : "middle", PST_RESUME_OWN, check);
	}
	if (pst_bus_start(role.bus) < 0)
		return 3;
	__atomic_fetch_add(&shm->starts[what], 1, __ATOMIC_RELAXED);
	if (what == SOURCE)
		__atomic_store_n(&shm->source_epoch, role.bus->epoch, __ATOMIC_RELEASE);
	for (;;) {
		pst_loop_turn(role.env.loop, 1000);
		for (int i = 0; what == SINK && i < 2; i++)
			__atomic_store_n(
				&shm->sink_epoch[i], role.sub->topic[topics[i]].epoch, __ATOMIC_RELEASE);
		if (what == SINK && role.sub->topic[topics[0]].have && role.sub->topic[topics[1]].have)
			__atomic_store_n(&shm->ready, true, __ATOMIC_RELEASE);
		if (role.bus->st.unknown_gaps->value)
			shm->unknown = role.bus->st.unknown_gaps->value;
	}
}

/* ---- the one who kills ---- */

struct stage_set {
	char dir[32];
	pid_t pids[ROLES];
	unsigned seed;
};

static void map_result(const char *dir)
{
	char path[64];

	snprintf(path, sizeof(path), "%s/result", dir);
	PST_CLOSE int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (fd < 0 || ftruncate(fd, sizeof(*shm)) < 0)
		abort();
	shm = mmap(NULL, sizeof(*shm), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (shm == MAP_FAILED)
		abort();
}

static void spawn(struct stage_set *set, int what)
{
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0) {
		execl("/proc/self/exe", "test_bus_crash", role_names[what], set->dir, NULL);
		_exit(9);
	}
	set->pids[what] = pid;
}

static void kill_one(struct stage_set *set, int what)
{
	int status;

	kill(set->pids[what], SIGKILL);
	assert_int_equal(waitpid(set->pids[what], &status, 0), set->pids[what]);
	/* It had not ended by itself: no error, no failed assertion, nothing that a sanitizer found. */
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

static void wait_above(const uint64_t *count, uint64_t before)
{
	uint64_t end = pst_now_mono_ns() + 60000000000ull;

	while (__atomic_load_n(count, __ATOMIC_ACQUIRE) <= before && !shm->wrong && pst_now_mono_ns() < end)
		usleep(1000);
	assert_true(shm->wrong || *count > before);
}

/* Until it has its files and goes about its work, however slow the machine is. */
static void spawn_and_wait(struct stage_set *set, int what)
{
	uint64_t before = __atomic_load_n(&shm->starts[what], __ATOMIC_ACQUIRE);

	spawn(set, what);
	wait_above(&shm->starts[what], before);
}

static int set_up(void **state)
{
	struct stage_set *set = calloc(1, sizeof(*set));

	tmpdir_make(set->dir);
	map_result(set->dir);
	set->seed = 20260101;
	*state = set;
	return 0;
}

static int tear_down(void **state)
{
	struct stage_set *set = *state;

	for (int i = 0; i < ROLES; i++)
		if (set->pids[i] > 0) {
			kill(set->pids[i], SIGKILL);
			waitpid(set->pids[i], NULL, 0);
		}
	munmap(shm, sizeof(*shm));
	tmpdir_remove(set->dir);
	free(set);
	return 0;
}

static unsigned kills(unsigned n)
{
	const char *factor = getenv("PST_CRASH_FACTOR"); /* for a longer run */

#ifdef PST_SAN
	n /= 3; /* starts take longer there */
#endif
	return factor ? n * (unsigned)atoi(factor) : n;
}

static bool all_arrived(void)
{
	for (int i = 0; i < 2; i++)
		if (__atomic_load_n(&shm->had[i], __ATOMIC_ACQUIRE) !=
			__atomic_load_n(&shm->made[i], __ATOMIC_ACQUIRE))
			return false;
	return true;
}

static bool enough_made(void)
{
	return __atomic_load_n(&shm->made[0], __ATOMIC_ACQUIRE) > 10000 &&
	       __atomic_load_n(&shm->made[1], __ATOMIC_ACQUIRE) > 5000;
}

/* The source stops, the rest comes through; then the books must balance. */
static void settle(void)
{
	uint64_t end = pst_now_mono_ns() + 60000000000ull;
	unsigned same = 0;

	while (!enough_made() && !shm->wrong && pst_now_mono_ns() < end)
		usleep(10000);
	__atomic_store_n(&shm->finish, true, __ATOMIC_RELEASE);
	while (same < 50 && pst_now_mono_ns() < end) {
		usleep(10000);
		same = all_arrived() ? same + 1 : 0;
	}
	if (shm->wrong)
		print_message("%s, gaps of unknown size: %llu\n", shm->first_wrong,
			(unsigned long long)shm->unknown);
	assert_int_equal(shm->wrong, 0);
	for (int i = 0; i < 2; i++)
		assert_int_equal(shm->had[i], shm->made[i]);
	print_message("%llu + %llu events, %llu lost and counted, %llu batches; starts %llu %llu %llu\n",
		(unsigned long long)shm->made[0], (unsigned long long)shm->made[1],
		(unsigned long long)(shm->lost[0] + shm->lost[1]), (unsigned long long)shm->batches,
		(unsigned long long)shm->starts[0], (unsigned long long)shm->starts[1],
		(unsigned long long)shm->starts[2]);
	assert_true(enough_made());
}

static void nothing_lost_nothing_twice(void **state)
{
	struct stage_set *set = *state;

	for (int i = 0; i < ROLES; i++) {
		shm->retention[i] = 64 << 20;
		spawn_and_wait(set, i);
	}
	for (unsigned n = 0; n < kills(400) && !shm->wrong; n++) {
		int what = rand_r(&set->seed) % ROLES;

		usleep((unsigned)rand_r(&set->seed) % 30000);
		kill_one(set, what);
		spawn(set, what);
	}
	settle();
	assert_int_equal(shm->lost[0] + shm->lost[1], 0);
}

/* Stages are restarted so fast that most do not get beyond opening their files. */
static void killed_while_starting(void **state)
{
	struct stage_set *set = *state;

	for (int i = 0; i < ROLES; i++) {
		shm->retention[i] = 64 << 20;
		spawn_and_wait(set, i);
	}
	for (unsigned n = 0; n < kills(300) && !shm->wrong; n++) {
		int what = rand_r(&set->seed) % ROLES;

		for (int again = 1 + rand_r(&set->seed) % 4; again; again--) {
			kill_one(set, what);
			spawn(set, what);
			usleep((unsigned)rand_r(&set->seed) % 4000);
		}
		usleep((unsigned)rand_r(&set->seed) % 10000);
	}
	settle();
}

/* A publisher tells of the epoch before its own: the sink must have entered one before there is the next. */
static void wait_for_new_epoch(uint64_t old)
{
	uint64_t end = pst_now_mono_ns() + 20000000000ull, epoch = old;

	while (pst_now_mono_ns() < end &&
		(epoch == old || shm->sink_epoch[0] != epoch || shm->sink_epoch[1] != epoch)) {
		usleep(1000);
		epoch = __atomic_load_n(&shm->source_epoch, __ATOMIC_ACQUIRE);
	}
	assert_true(epoch != old);
}

static void losses_are_counted(struct stage_set *set, bool lose_file)
{
	unsigned n_kills = kills(60);

	shm->may_lose = shm->direct = true;
	spawn_and_wait(set, SOURCE);
	spawn_and_wait(set, SINK);
	for (unsigned n = 0; n < n_kills && !shm->wrong; n++) {
		char path[64];

		wait_above(&shm->made[0], shm->made[0]);
		usleep(20000 + (unsigned)rand_r(&set->seed) % 60000);
		kill_one(set, SOURCE);
		snprintf(path, sizeof(path), "%s/source.ret", set->dir);
		if (lose_file && rand_r(&set->seed) % 2) {
			uint64_t old = shm->source_epoch;

			assert_return_code(unlink(path), errno);
			spawn(set, SOURCE);
			wait_for_new_epoch(old);
			continue;
		}
		spawn_and_wait(set, SOURCE);
	}
	settle();
	assert_int_equal(shm->unknown, 0);
	assert_true(shm->lost[0] > 0);
}

static void lost_files_are_counted_to_the_event(void **state)
{
	shm->retention[SOURCE] = 64 << 20;
	shm->slow_us = 300;
	losses_are_counted(*state, true);
}

static void tiny_retention_is_counted_to_the_event(void **state)
{
	shm->retention[SOURCE] = 256 << 10;
	shm->slow_us = 3000;
	losses_are_counted(*state, false);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		TEST(nothing_lost_nothing_twice),
		TEST(killed_while_starting),
		TEST(lost_files_are_counted_to_the_event),
		TEST(tiny_retention_is_counted_to_the_event),
	};

	for (int i = 0; argc == 3 && i < ROLES; i++)
		if (!strcmp(argv[1], role_names[i])) {
			map_result(argv[2]);
			return run_role(i, argv[2]);
		}
	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
