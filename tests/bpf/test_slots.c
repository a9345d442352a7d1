// SPDX-License-Identifier: Apache-2.0
/*
 * The slot table of the kernel programs (bpf/lib/slots.bpf.h), compiled for user space. CPUs are played
 * twice: by coroutines that a seeded scheduler switches at every step of the algorithm, so that rare orders
 * of events come often and come again; and by threads, for the machine's own idea of memory.
 * Time is a counter that only moves on when every CPU has left the call it was in, which is what
 * the algorithm asks of real time: nobody stops for half of the idle timeout inside a call.
 */
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <ucontext.h>

#include <cmocka.h>

#include "proto/abi/records.h"
#include "tests/bpf/slotread.h"

/* ---- CPUs as coroutines ---- */

#define CPUS      3
#define CPU_STACK (64 << 10)

static ucontext_t scheduler, cpus_ctx[CPUS];
static int running = -1; /* coroutine at work, -1: none, threads or a single CPU */

static void let_others_in(void)
{
	if (running >= 0)
		swapcontext(&cpus_ctx[running], &scheduler);
}

/* ---- what the kernel gives the programs ---- */

#define BPF_NOEXIST 1

struct shim_table {
	struct pst_flow *slots;
	uint32_t n;
};

struct shim_claims {
	uint32_t held[64];
	uint32_t refused; /* somebody else had it */
};

static void *shim_lookup(void *map, const uint32_t *index)
{
	struct shim_table *t = map;

	let_others_in();
	return *index < t->n ? &t->slots[*index] : NULL;
}

static long shim_update(void *map, const uint32_t *bucket, const void *value, uint64_t flags)
{
	struct shim_claims *c = map;
	uint32_t none = 0;

	(void)value;
	assert_int_equal(flags, BPF_NOEXIST);
	let_others_in();
	if (__atomic_compare_exchange_n(
		    &c->held[*bucket], &none, 1, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST))
		return 0;
	__atomic_fetch_add(&c->refused, 1, __ATOMIC_RELAXED);
	return -17;
}

static long shim_delete(void *map, const uint32_t *bucket)
{
	struct shim_claims *c = map;

	let_others_in();
	return __atomic_exchange_n(&c->held[*bucket], 0, __ATOMIC_SEQ_CST) == 1 ? 0 : -2;
}

#define bpf_map_lookup_elem              shim_lookup
#define bpf_map_update_elem              shim_update
#define bpf_map_delete_elem(map, bucket) assert_int_equal(shim_delete(map, bucket), 0)

#define PST_SLOTS_POINT let_others_in

#include "bpf/lib/slots.bpf.h"

/* ---- the same use of it as in bpf/flow.bpf.c ---- */

#define KEYS    24
#define SLOTS   16 /* two buckets; fewer than keys, so that they have to be taken over */
#define THREADS 4
#define IDLE    1000
#define TICK    (IDLE / 16)
#define SECONDS 3   /* that the threads run */
#define WINDOW  4   /* keys in use at one time */
#define PACE    200 /* calls in one tick, of all threads */

static struct pst_flow slots[SLOTS] __attribute__((aligned(64)));
static struct shim_table table = {slots, SLOTS};
static struct shim_claims claims;
static uint64_t clock_now = 1;
static bool stop;
static unsigned int strange = 32; /* one packet in so many has any key, also one that is out of use */
static unsigned int wrong;        /* what may never be; no assert, a coroutine has no test to leave */
static uint64_t added[THREADS][KEYS], full[THREADS][KEYS], evicted[THREADS][KEYS], evictions[THREADS];
static uint64_t calls[THREADS]; /* odd while a thread is inside */

static const struct pst_slots t = {
	.table = &table,
	.claims = &claims,
	.mask = SLOTS - 1,
	.key_words = sizeof(struct pst_flow_key) / 8,
	.last_off = offsetof(struct pst_flow, last_ns),
	.idle_ns = IDLE,
};

static void key_make(struct pst_flow_key *key, unsigned int n)
{
	memset(key, 0, sizeof(*key));
	key->family = 2;
	key->saddr[15] = (uint8_t)n;
	key->sport = (uint16_t)(n * 7);
	key->netns = n;
}

static void add(struct pst_flow *f, uint64_t now)
{
	__sync_fetch_and_add(&f->packets, 1);
	let_others_in();
	__sync_fetch_and_add(&f->bytes, 100);
	let_others_in();
	PST_WRITE(f->last_ns, now);
}

static void evict(unsigned int me, const struct pst_flow *f)
{
	if (f->key.netns >= KEYS || f->netns != f->key.netns || f->bytes != f->packets * 100) {
		wrong++; /* somebody else writes it, or is in the middle of adding */
		return;
	}
	evicted[me][f->key.netns] += f->packets;
	evictions[me]++;
}

static void packet(unsigned int me, unsigned int n, uint64_t now)
{
	struct pst_head_slot *slot = NULL;
	struct pst_flow_key key;
	struct pst_place place;
	struct pst_flow *f;
	uint32_t index;
	__u64 old;

	key_make(&key, n);
	place = pst_slots_place(&t, (const __u64 *)&key);
	wrong += place.bucket >= SLOTS / PST_BUCKET_SLOTS;
	f = pst_slots_find(&t, &place, (const __u64 *)&key, now, &index);
	added[me][n]++;
	if (f) {
		add(f, now);
		return;
	}
	switch (pst_slots_get(&t, &place, (const __u64 *)&key, now, &slot, &index, &old)) {
	case PST_SLOTS_FOUND:
		add((struct pst_flow *)slot, now);
		return;
	case PST_SLOTS_NONE:
		full[me][n]++;
		return;
	case PST_SLOTS_TAKEN:
		break;
	}
	f = (struct pst_flow *)slot;
	wrong += f->gen != old + 1 || f != &slots[index];
	if (old)
		evict(me, f);
	pst_slots_set_key(&t, slot, (const __u64 *)&key);
	let_others_in();
	f->packets = 1;
	f->bytes = 100;
	f->first_ns = now;
	PST_WRITE(f->last_ns, now);
	f->netns = n;
	pst_slots_publish(slot);
	pst_slots_release(&t, &place);
}

/* Keys come into use and go out of it again in turn; now and then one that is idle is met again, at any age.
 */
static unsigned int choose(uint64_t now, unsigned int *seed)
{
	unsigned int r = (unsigned int)rand_r(seed) / 16;

	if (r % strange == 0)
		return r / strange % KEYS;
	return (unsigned int)(now / (2 * IDLE) * 3 + r / 32 % WINDOW) % KEYS;
}

static void *cpu(void *arg)
{
	unsigned int me = (unsigned int)(uintptr_t)arg, seed = me + 1;

	while (!__atomic_load_n(&stop, __ATOMIC_ACQUIRE)) {
		uint64_t now;

		__atomic_fetch_add(&calls[me], 1, __ATOMIC_SEQ_CST);
		now = __atomic_load_n(&clock_now, __ATOMIC_SEQ_CST);
		packet(me, choose(now, &seed), now);
		if (__atomic_fetch_add(&calls[me], 1, __ATOMIC_SEQ_CST) % PACE == PACE - 1)
			sched_yield();
	}
	return NULL;
}

static uint64_t all_calls(void)
{
	uint64_t n = 0;

	for (int i = 0; i < THREADS; i++)
		n += __atomic_load_n(&calls[i], __ATOMIC_RELAXED);
	return n;
}

/* Time moves on by a tick when every call that was under way at the last one is over. */
static void *timekeeper(void *arg)
{
	(void)arg;
	for (time_t end = time(NULL) + SECONDS; time(NULL) < end;) {
		uint64_t until = all_calls() + 2 * PACE;

		while (all_calls() < until)
			sched_yield();
		__atomic_fetch_add(&clock_now, TICK, __ATOMIC_SEQ_CST);
		for (int i = 0; i < THREADS; i++) {
			uint64_t seen = __atomic_load_n(&calls[i], __ATOMIC_SEQ_CST);

			while (seen & 1 && __atomic_load_n(&calls[i], __ATOMIC_SEQ_CST) == seen)
				sched_yield();
		}
	}
	__atomic_store_n(&stop, true, __ATOMIC_RELEASE);
	return NULL;
}

/* Never sees a slot in the middle of changing hands. */
static void *reader(void *arg)
{
	uint64_t *read = arg, gens[SLOTS] = {0};
	struct pst_flow f;

	while (!__atomic_load_n(&stop, __ATOMIC_ACQUIRE))
		for (int i = 0; i < SLOTS; i++) {
			if (!slot_read(&slots[i], &f))
				continue;
			assert_true(f.gen >= gens[i]);
			assert_int_equal(f.key.netns, f.netns);
			assert_true(f.netns < KEYS && f.packets && f.first_ns);
			gens[i] = f.gen;
			++*read;
		}
	return NULL;
}

static void reset(void)
{
	memset(slots, 0, sizeof(slots));
	memset(&claims, 0, sizeof(claims));
	memset(added, 0, sizeof(added));
	memset(full, 0, sizeof(full));
	memset(evicted, 0, sizeof(evicted));
	memset(evictions, 0, sizeof(evictions));
	clock_now = 1;
	stop = false;
	wrong = 0;
}

static uint64_t sum(uint64_t (*counts)[KEYS], int key)
{
	uint64_t n = 0;

	for (int i = 0; i < THREADS; i++)
		n += counts[i][key];
	return n;
}

/* Every packet of every key is in the table, in an eviction, or counted as one that found no slot. */
static void check_balance(void)
{
	uint64_t live[KEYS] = {0}, total = 0;

	for (int i = 0; i < SLOTS; i++) {
		if (!slots[i].gen)
			continue;
		assert_int_equal(slots[i].gen & 1, 0);
		assert_true(slots[i].netns < KEYS);
		assert_int_equal(live[slots[i].netns], 0); /* once only */
		live[slots[i].netns] = slots[i].packets;
	}
	for (int k = 0; k < KEYS; k++) {
		assert_int_equal(sum(added, k), live[k] + sum(evicted, k) + sum(full, k));
		total += sum(added, k);
	}
	print_message("# %llu packets\n", (unsigned long long)total);
}

static void check_threads(void **state)
{
	pthread_t cpus[THREADS], keeper, read;
	uint64_t n = 0, taken = 0;

	(void)state;
	reset();
	strange = 4096;
	for (uintptr_t i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&cpus[i], NULL, cpu, (void *)i), 0);
	assert_int_equal(pthread_create(&keeper, NULL, timekeeper, NULL), 0);
	assert_int_equal(pthread_create(&read, NULL, reader, &n), 0);
	pthread_join(keeper, NULL);
	pthread_join(read, NULL);
	for (int i = 0; i < THREADS; i++) {
		pthread_join(cpus[i], NULL);
		taken += evictions[i];
	}
	check_balance();
	print_message("# %llu evictions, %u claims refused, %llu slots read\n", (unsigned long long)taken,
		claims.refused, (unsigned long long)n);
	assert_int_equal(wrong, 0);
	assert_true(n > 1000);
	for (size_t i = 0; i < sizeof(claims.held) / sizeof(claims.held[0]); i++)
		assert_int_equal(claims.held[i], 0);
}

static void coroutine(int me)
{
	unsigned int seed = (unsigned int)me + 1;

	for (;;) {
		calls[me]++;
		packet((unsigned int)me, choose(clock_now, &seed), clock_now);
		calls[me]++;
		let_others_in();
	}
}

static void coroutine_start(int me, char *stack)
{
	assert_int_equal(getcontext(&cpus_ctx[me]), 0);
	cpus_ctx[me].uc_stack.ss_sp = stack;
	cpus_ctx[me].uc_stack.ss_size = CPU_STACK;
	cpus_ctx[me].uc_link = &scheduler;
	makecontext(&cpus_ctx[me], (void (*)(void))coroutine, 1, me);
}

/* Runs one CPU for one step. */
static void step(int me)
{
	running = me;
	swapcontext(&scheduler, &cpus_ctx[me]);
	running = -1;
}

/* Runs until everybody has left the call he was in: time may move on. */
static void finish_calls(unsigned int *seed)
{
	uint64_t entered[CPUS];
	bool busy = true;

	memcpy(entered, calls, sizeof(entered));
	while (busy) {
		step((int)((unsigned int)rand_r(seed) >> 8) % CPUS);
		busy = false;
		for (int i = 0; i < CPUS; i++)
			busy |= entered[i] & 1 && calls[i] == entered[i];
	}
}

static void play(unsigned int seed, int steps)
{
	static char stacks[CPUS][CPU_STACK];
	uint64_t taken = 0;

	reset();
	memset(calls, 0, sizeof(calls));
	for (int i = 0; i < CPUS; i++)
		coroutine_start(i, stacks[i]);
	for (int tick = 0; tick < 20000; tick++) {
		for (int i = 0; i < steps; i++)
			step((int)((unsigned int)rand_r(&seed) >> 8) % CPUS);
		finish_calls(&seed);
		clock_now += TICK;
	}
	for (int i = 0; i < CPUS; i++) {
		while (calls[i] & 1)
			step(i);
		taken += evictions[i];
	}
	print_message("# %llu evictions, %u claims refused\n", (unsigned long long)taken, claims.refused);
	assert_int_equal(wrong, 0);
	check_balance();
	assert_true(taken > 1000);
	assert_true(claims.refused > 100);
}

static void check_orders(void **state)
{
	(void)state;
	for (unsigned int seed = 1; seed <= 4; seed++)
		for (strange = 4; strange <= 16; strange *= 2)
			play(seed, 10 + 10 * (int)seed);
}

/* The rules one by one, on one CPU: 8 slots, all of one bucket. */
static void check_rules(void **state)
{
	struct pst_slots one = t;
	struct pst_place place = {0, 3};
	struct pst_flow_key key;
	struct pst_head_slot *slot;
	uint32_t index;
	__u64 old;

	(void)state;
	reset();
	one.mask = PST_BUCKET_SLOTS - 1;
	for (unsigned int i = 0; i < PST_BUCKET_SLOTS; i++) {
		key_make(&key, i);
		assert_null(pst_slots_find(&one, &place, (const __u64 *)&key, 10, &index));
		assert_int_equal(pst_slots_get(&one, &place, (const __u64 *)&key, 10, &slot, &index, &old),
			PST_SLOTS_TAKEN);
		assert_int_equal(index, (3 + i) % PST_BUCKET_SLOTS);
		assert_int_equal(old, 0);
		assert_int_equal(slot->gen, 1);
		pst_slots_set_key(&one, slot, (const __u64 *)&key);
		slots[index].last_ns = 10 + i;
		pst_slots_publish(slot);
		pst_slots_release(&one, &place);
		assert_ptr_equal(pst_slots_find(&one, &place, (const __u64 *)&key, 10, &index), slot);
	}
	key_make(&key, 20);
	/* all in use, none idle for long enough */
	assert_int_equal(pst_slots_get(&one, &place, (const __u64 *)&key, 10 + IDLE - 1, &slot, &index, &old),
		PST_SLOTS_NONE);
	assert_int_equal(claims.held[0], 0);
	/* the first is */
	assert_int_equal(pst_slots_get(&one, &place, (const __u64 *)&key, 10 + IDLE, &slot, &index, &old),
		PST_SLOTS_TAKEN);
	assert_int_equal(index, 3);
	assert_int_equal(old, 2);
	assert_int_equal(slot->gen, 3);
	/* while it changes hands nobody finds it, under the old key or the new one */
	key_make(&key, 0);
	assert_null(pst_slots_find(&one, &place, (const __u64 *)&key, 10 + IDLE, &index));
	/* a claim that is held is waited for, not for ever */
	key_make(&key, 21);
	claims.refused = 0;
	assert_int_equal(pst_slots_get(&one, &place, (const __u64 *)&key, 10 + IDLE, &slot, &index, &old),
		PST_SLOTS_NONE);
	assert_int_equal(claims.refused, PST_CLAIM_TRIES);
	pst_slots_release(&one, &place);
}

/* A key that was idle for long is stamped before it is added to, and then not taken. */
static void check_revive(void **state)
{
	struct pst_place place = {0, 0};
	struct pst_flow_key key;
	struct pst_flow *f = &slots[0];
	uint32_t index;

	(void)state;
	reset();
	key_make(&key, 5);
	f->gen = 2;
	f->key = key;
	f->last_ns = 100;
	assert_ptr_equal(pst_slots_find(&t, &place, (const __u64 *)&key, 100 + IDLE / 2 - 1, &index), f);
	assert_int_equal(f->last_ns, 100);
	assert_ptr_equal(pst_slots_find(&t, &place, (const __u64 *)&key, 100 + 5 * IDLE, &index), f);
	assert_int_equal(f->last_ns, 100 + 5 * IDLE);
	/* a stamp from a CPU whose clock is ahead is not "long ago" */
	f->last_ns = 200 + 5 * IDLE;
	assert_ptr_equal(pst_slots_find(&t, &place, (const __u64 *)&key, 100 + 5 * IDLE, &index), f);
	assert_int_equal(f->last_ns, 200 + 5 * IDLE);
}

/* Keys that differ in one bit, or only in ports that count up, spread like random ones. */
static void check_spread(void **state)
{
	enum { BUCKETS = 1024, N = BUCKETS * 4 };
	static unsigned int load[3][BUCKETS];
	struct pst_slots big = t;

	(void)state;
	memset(load, 0, sizeof(load));
	big.mask = BUCKETS * PST_BUCKET_SLOTS - 1;
	for (unsigned int i = 0; i < N; i++) {
		struct pst_flow_key key;

		key_make(&key, 1);
		key.sport = (uint16_t)i;
		load[0][pst_slots_place(&big, (const __u64 *)&key).bucket]++;
		key_make(&key, 1);
		memcpy(key.saddr + 12, &i, 4);
		load[1][pst_slots_place(&big, (const __u64 *)&key).bucket]++;
		key_make(&key, 1);
		key.saddr[0] = (uint8_t)(i & 1 ? 0x80 : 0);
		key.saddr[8] = (uint8_t)(i & 2 ? 0x80 : 0);
		memcpy(key.daddr, &i, 4);
		load[2][pst_slots_place(&big, (const __u64 *)&key).bucket]++;
	}
	for (int k = 0; k < 3; k++) {
		unsigned int over = 0;

		for (int b = 0; b < BUCKETS; b++)
			over += load[k][b] > PST_BUCKET_SLOTS ? load[k][b] - PST_BUCKET_SLOTS : 0;
		/* half full: Poisson with mean 4 leaves 1.4 % without a slot */
		print_message("# %u of %d keys without a slot\n", over, N);
		assert_true(over < N / 20);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(check_rules),
		cmocka_unit_test(check_revive),
		cmocka_unit_test(check_spread),
		cmocka_unit_test(check_orders),
		cmocka_unit_test(check_threads),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("slots", tests, NULL, NULL);
}
