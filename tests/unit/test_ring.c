// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/base_test.h"
#include "proto/abi/records.h"
#include "proto/base/cleanup.h"
#include "proto/base/log.h"
#include "proto/base/ring.h"
#include "proto/base/stat.h"

#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#define SIZE    32768u /* more than twice the longest record */
#define BUSY    BPF_RINGBUF_BUSY_BIT
#define DISCARD BPF_RINGBUF_DISCARD_BIT

/* A ring in a plain file with the kernel's layout, and a writer that does what the kernel does. */
static struct {
	int fd;
	uint64_t *consumer, *producer;
	unsigned char *data;
	size_t page;
} fake;
static struct pst_ring *ring;
static struct pst_ring_ctl ctl;

static int setup(void **state)
{
	(void)state;
	pst_log_init("test", PST_LOG_TEXT, PST_LOG_ERROR);
	fake.page = (size_t)sysconf(_SC_PAGESIZE);
	fake.fd = memfd_create("ring", MFD_CLOEXEC);
	if (fake.fd < 0 || ftruncate(fake.fd, (off_t)(2 * fake.page + SIZE)) < 0)
		return -1;
	unsigned char *p = mmap(NULL, 2 * fake.page + SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fake.fd, 0);
	if (p == MAP_FAILED)
		return -1;
	fake.consumer = (uint64_t *)p;
	fake.producer = (uint64_t *)(p + fake.page);
	fake.data = p + 2 * fake.page;
	ctl.awake = 1;
	return pst_ring_open(fake.fd, SIZE, &ctl, &ring);
}

static int teardown(void **state)
{
	(void)state;
	pst_ring_free(ring);
	ring = NULL;
	munmap(fake.consumer, 2 * fake.page + SIZE);
	close(fake.fd);
	return 0;
}

static uint32_t *head_at(uint64_t position)
{
	return (uint32_t *)(fake.data + position % SIZE);
}

/* Position of the new record; its bytes follow from its number. */
static uint64_t put(uint32_t number, uint32_t len, uint32_t bits)
{
	uint64_t at = *fake.producer;

	assert_true(at + 8 + ((len + 7) & ~7u) - *fake.consumer <= SIZE);
	*head_at(at) = len | bits;
	for (uint32_t i = 0; i < len; i++)
		fake.data[(at + 8 + i) % SIZE] =
			i < 4 ? (unsigned char)(number >> 8 * i) : (unsigned char)(number + i);
	__atomic_store_n(fake.producer, at + 8 + ((len + 7) & ~7u), __ATOMIC_RELEASE);
	return at;
}

struct got {
	unsigned n, stop_after;
	uint32_t number[4096], len[4096];
};

static bool on_record(void *arg, const void *bytes, size_t len)
{
	struct got *g = arg;
	const unsigned char *b = bytes;

	assert_int_equal((uintptr_t)bytes % 8, 0);
	memcpy(&g->number[g->n], bytes, 4);
	g->len[g->n] = (uint32_t)len;
	for (uint32_t i = 4; i < len; i++)
		assert_int_equal(b[i], (unsigned char)(g->number[g->n] + i));
	return ++g->n != g->stop_after;
}

static uint64_t corrupt(void)
{
	return pst_counter("ring_corrupt", "")->value;
}

static void records_in_order_with_wrap(void **state)
{
	static struct got g;
	uint32_t next = 0, seen = 0, lens = 0;

	(void)state;
	for (unsigned round = 0; round < 500; round++) {
		g = (struct got){0};
		for (unsigned i = 0; i < round % 7; i++, next++)
			put(next, 4 + next * 37 % 4000, 0);
		unsigned n = pst_ring_drain(ring, UINT64_MAX, UINT32_MAX, on_record, &g);
		assert_int_equal(n, round % 7);
		for (unsigned i = 0; i < n; i++, seen++) {
			assert_int_equal(g.number[i], seen);
			assert_int_equal(g.len[i], 4 + seen * 37 % 4000);
			lens += g.len[i];
		}
		assert_int_equal(pst_ring_backlog(ring), 0);
		pst_ring_release(ring, pst_ring_position(ring));
		assert_int_equal(*fake.consumer, *fake.producer);
	}
	assert_true(lens > 20 * SIZE);
	assert_int_equal(corrupt(), 0);
}

static void longest_record_wraps_at_every_place(void **state)
{
	static struct got g;

	(void)state;
	for (uint64_t at = SIZE - PST_REC_MAX - 16; at <= SIZE; at += 8) {
		pst_ring_free(ring);
		*fake.consumer = *fake.producer = at;
		assert_int_equal(pst_ring_open(fake.fd, SIZE, NULL, &ring), 0);
		put(7, PST_REC_MAX, 0);
		g = (struct got){0};
		assert_int_equal(pst_ring_drain(ring, UINT64_MAX, 9, on_record, &g), 1);
		assert_int_equal(g.len[0], PST_REC_MAX);
	}
	assert_int_equal(corrupt(), 0);
}

static void busy_record_stops_until_it_is_done(void **state)
{
	static struct got g;

	(void)state;
	g = (struct got){0};
	put(1, 16, 0);
	uint64_t at = put(2, 16, BUSY);
	put(3, 16, 0);
	assert_int_equal(pst_ring_drain(ring, UINT64_MAX, 9, on_record, &g), 1);
	assert_int_equal(pst_ring_position(ring), at);
	assert_int_equal(pst_ring_drain(ring, UINT64_MAX, 9, on_record, &g), 0);
	assert_int_equal(pst_ring_backlog(ring), 48);
	__atomic_store_n(head_at(at), 16, __ATOMIC_RELEASE);
	assert_int_equal(pst_ring_drain(ring, UINT64_MAX, 9, on_record, &g), 2);
	assert_int_equal(g.number[2], 3);
}

static void discarded_records_are_skipped(void **state)
{
	static struct got g;

	(void)state;
	g = (struct got){0};
	put(1, 16, DISCARD);
	put(2, 16, 0);
	put(3, 5000, DISCARD);
	put(4, 16, 0);
	put(5, 16, DISCARD);
	uint64_t at = put(6, 16, DISCARD | BUSY);
	assert_int_equal(pst_ring_drain(ring, UINT64_MAX, 2, on_record, &g), 2);
	assert_int_equal(g.number[0], 2);
	assert_int_equal(g.number[1], 4);
	assert_int_equal(pst_ring_drain(ring, UINT64_MAX, 9, on_record, &g), 0);
	assert_int_equal(pst_ring_position(ring), at);
	assert_int_equal(corrupt(), 0);
}

static void bounds_of_a_drain(void **state)
{
	static struct got g;
	uint64_t at[10];

	(void)state;
	for (uint32_t i = 0; i < 10; i++)
		at[i] = put(i, 24, 0);
	g = (struct got){0};
	assert_int_equal(pst_ring_drain(ring, UINT64_MAX, 3, on_record, &g), 3);
	assert_int_equal(pst_ring_drain(ring, at[5], 99, on_record, &g), 2);
	assert_int_equal(pst_ring_position(ring), at[5]);
	assert_int_equal(pst_ring_drain(ring, at[5], 99, on_record, &g), 0);
	g = (struct got){.stop_after = 2};
	assert_int_equal(pst_ring_drain(ring, UINT64_MAX, 99, on_record, &g), 2);
	assert_int_equal(pst_ring_position(ring), at[7]);
	assert_int_equal(pst_ring_drain(ring, UINT64_MAX, 0, on_record, &g), 0);
	g = (struct got){0};
	assert_int_equal(pst_ring_drain(ring, pst_ring_head(ring), 99, on_record, &g), 3);
	assert_int_equal(g.number[2], 9);
}

static void space_goes_back_only_by_release(void **state)
{
	static struct got g;
	uint64_t at[4];

	(void)state;
	for (uint32_t i = 0; i < 4; i++)
		at[i] = put(i, 16, 0);
	g = (struct got){0};
	assert_int_equal(pst_ring_drain(ring, UINT64_MAX, 3, on_record, &g), 3);
	assert_int_equal(*fake.consumer, 0);
	pst_ring_release(ring, at[2]);
	assert_int_equal(*fake.consumer, at[2]);
	pst_ring_release(ring, at[1]); /* not backwards */
	assert_int_equal(*fake.consumer, at[2]);
	pst_ring_release(ring, at[3] + 24); /* not beyond what was read */
	assert_int_equal(*fake.consumer, at[2]);
	pst_ring_release(ring, at[3]);
	assert_int_equal(*fake.consumer, at[3]);
}

static void restart_goes_on_from_the_consumer_position(void **state)
{
	static struct got g;
	uint64_t at[4];

	(void)state;
	for (uint32_t i = 0; i < 4; i++)
		at[i] = put(i, 16, 0);
	g = (struct got){0};
	pst_ring_drain(ring, UINT64_MAX, 3, on_record, &g);
	pst_ring_release(ring, at[1]);
	pst_ring_free(ring);
	assert_int_equal(pst_ring_open(fake.fd, SIZE, &ctl, &ring), 0);
	assert_int_equal(pst_ring_position(ring), at[1]);
	assert_false(pst_ring_seek(ring, at[0]));
	assert_false(pst_ring_seek(ring, at[3] + 48));
	assert_false(pst_ring_seek(ring, at[2] + 4));
	assert_true(pst_ring_seek(ring, at[2]));
	g = (struct got){0};
	assert_int_equal(pst_ring_drain(ring, UINT64_MAX, 9, on_record, &g), 2);
	assert_int_equal(g.number[0], 2);
	assert_true(pst_ring_seek(ring, pst_ring_head(ring)));
}

static struct capture cap;

/* One hostile word where a record should begin; afterwards the ring must work again. */
static void assert_survives(uint64_t head, uint32_t word)
{
	static struct got g;
	uint64_t before = corrupt();

	*head_at(0) = word;
	*fake.consumer = 0;
	*fake.producer = head;
	pst_ring_free(ring);
	capture_begin(&cap, 2);
	assert_int_equal(pst_ring_open(fake.fd, SIZE, NULL, &ring), 0);
	g = (struct got){0};
	assert_int_equal(pst_ring_drain(ring, UINT64_MAX, 99, on_record, &g), 0);
	capture_end(&cap);
	assert_non_null(strstr(cap.text, "ring buffer is corrupt"));
	assert_int_equal(corrupt(), before + 1);
	assert_int_equal(pst_ring_position(ring), head);
	assert_int_equal(*fake.consumer, head);
	put(5, 40, 0);
	assert_int_equal(pst_ring_drain(ring, UINT64_MAX, 99, on_record, &g), 1);
	assert_int_equal(g.number[0], 5);
}

static void hostile_lengths_are_skipped_and_counted(void **state)
{
	static const uint32_t words[] = {0, DISCARD, BUSY, PST_REC_MAX + 1, 0x3fffffff, SIZE,
		BUSY | 0x3fffffff, DISCARD | 0x3fffffff, 57};

	(void)state;
	for (unsigned i = 0; i < PST_ARRAY_SIZE(words); i++)
		assert_survives(words[i] == 57 ? 64 : 16384, words[i]); /* 57: one byte beyond the head */
}

static void hostile_positions(void **state)
{
	static const struct {
		uint64_t consumer, producer;
	} cases[] = {{8, 0}, {4, 64}, {0, SIZE + 8}, {UINT64_MAX - 7, 64}};
	uint64_t before = corrupt();

	(void)state;
	for (unsigned i = 0; i < PST_ARRAY_SIZE(cases); i++) {
		static struct got g;

		pst_ring_free(ring);
		*fake.consumer = cases[i].consumer;
		*fake.producer = cases[i].producer;
		capture_begin(&cap, 2);
		assert_int_equal(pst_ring_open(fake.fd, SIZE, NULL, &ring), 0);
		capture_end(&cap);
		assert_int_equal(*fake.consumer, cases[i].producer);
		assert_int_equal(pst_ring_drain(ring, UINT64_MAX, 9, on_record, &g), 0);
	}
	assert_int_equal(corrupt(), before + PST_ARRAY_SIZE(cases));
}

static bool add_up(void *arg, const void *bytes, size_t len)
{
	for (size_t i = 0; i < len; i++)
		*(uint64_t *)arg += ((const unsigned char *)bytes)[i];
	return true;
}

/* Every kind of rubbish, through many turns: no access outside, no endless loop, positions stay sound. */
static void random_bytes(void **state)
{
	uint32_t rnd = 99;

	(void)state;
	capture_begin(&cap, 2);
	for (unsigned round = 0; round < 3000; round++) {
		for (unsigned i = 0; i < SIZE / 4; i += 1 + (rnd >> 24)) {
			rnd = rnd * 1664525 + 1013904223;
			((uint32_t *)fake.data)[i] = rnd >> (rnd & 31);
		}
		*fake.producer += (rnd >> 8) % SIZE & ~7u;
		if (*fake.producer > *fake.consumer + SIZE)
			*fake.producer = *fake.consumer + SIZE;
		for (unsigned i = 0; i < 4; i++) {
			uint64_t sum = 0;
			pst_ring_drain(ring, UINT64_MAX, 50, add_up, &sum);
			assert_true(pst_ring_position(ring) <= *fake.producer);
			pst_ring_release(ring, pst_ring_position(ring));
		}
	}
	capture_end(&cap);
	assert_true(corrupt() > 100);
	assert_ptr_equal(strstr(strstr(cap.text, "corrupt") + 1, "corrupt"), NULL); /* said once */
}

static void sleeping_looks_again(void **state)
{
	static struct got g;

	(void)state;
	g = (struct got){0};
	assert_true(pst_ring_sleep(ring));
	assert_int_equal(ctl.awake, 0);
	pst_ring_wake(ring);
	assert_int_equal(ctl.awake, 1);
	uint64_t at = put(1, 16, BUSY); /* its writer may have seen awake = 1: do not sleep on it */
	assert_false(pst_ring_sleep(ring));
	assert_int_equal(ctl.awake, 1);
	*head_at(at) = 16;
	assert_false(pst_ring_sleep(ring));
	pst_ring_drain(ring, UINT64_MAX, 9, on_record, &g);
	assert_true(pst_ring_sleep(ring));
}

static void bad_sizes_are_refused(void **state)
{
	struct pst_ring *r = NULL;

	(void)state;
	assert_int_equal(pst_ring_open(fake.fd, 0, NULL, &r), -EINVAL);
	assert_int_equal(pst_ring_open(fake.fd, 100, NULL, &r), -EINVAL);
	assert_int_equal(pst_ring_open(fake.fd, SIZE + 4096, NULL, &r), -EINVAL);
	assert_int_equal(pst_ring_open(fake.fd, 1ul << 40, NULL, &r), -EINVAL);
	assert_int_equal(pst_ring_open(-1, SIZE, NULL, &r), -EBADF);
	assert_null(r);
	pst_ring_free(NULL);
}

/* ---- a real one ---- */

#define INSN(c, d, s, o, i)                                                                                  \
	((struct bpf_insn){.code = (c), .dst_reg = (d), .src_reg = (s), .off = (o), .imm = (i)})
#define MOV_REG(d, s) INSN(BPF_ALU64 | BPF_MOV | BPF_X, d, s, 0, 0)
#define MOV_IMM(d, i) INSN(BPF_ALU64 | BPF_MOV | BPF_K, d, 0, 0, i)
#define ADD_IMM(d, i) INSN(BPF_ALU64 | BPF_ADD | BPF_K, d, 0, 0, i)
#define LD_MAP(d, fd) INSN(BPF_LD | BPF_DW | BPF_IMM, d, BPF_PSEUDO_MAP_FD, 0, fd), INSN(0, 0, 0, 0, 0)
#define CALL(f)       INSN(BPF_JMP | BPF_CALL, 0, 0, 0, f)
#define EXIT          INSN(BPF_JMP | BPF_EXIT, 0, 0, 0, 0)

static int load(const struct bpf_insn *insns, unsigned n)
{
	union bpf_attr attr = {
		.prog_type = BPF_PROG_TYPE_SOCKET_FILTER,
		.insns = (uint64_t)(uintptr_t)insns,
		.insn_cnt = n,
		.license = (uint64_t)(uintptr_t) "GPL",
	};
	return (int)syscall(SYS_bpf, BPF_PROG_LOAD, &attr, sizeof(attr));
}

/* Puts the packet's first 200 bytes into the ring. */
static int load_output(int map)
{
	const struct bpf_insn insns[] = {
		MOV_IMM(2, 0),
		MOV_REG(3, 10),
		ADD_IMM(3, -200),
		MOV_IMM(4, 200),
		CALL(BPF_FUNC_skb_load_bytes),
		LD_MAP(1, map),
		MOV_REG(2, 10),
		ADD_IMM(2, -200),
		MOV_IMM(3, 200),
		MOV_IMM(4, 0),
		CALL(BPF_FUNC_ringbuf_output),
		MOV_IMM(0, 0),
		EXIT,
	};
	/* The verifier wants the buffer initialized in case the load fails. */
	struct bpf_insn all[25 + PST_ARRAY_SIZE(insns) + 1];
	unsigned n = 0;
	for (int i = 0; i < 25; i++)
		all[n++] = INSN(BPF_ST | BPF_DW | BPF_MEM, 10, 0, (int16_t)(-200 + 8 * i), 0);
	memcpy(all + n, insns, sizeof(insns));
	return load(all, n + PST_ARRAY_SIZE(insns));
}

static int load_discard(int map)
{
	const struct bpf_insn insns[] = {
		LD_MAP(1, map),
		MOV_IMM(2, 64),
		MOV_IMM(3, 0),
		CALL(BPF_FUNC_ringbuf_reserve),
		INSN(BPF_JMP | BPF_JEQ | BPF_K, 0, 0, 3, 0),
		MOV_REG(1, 0),
		MOV_IMM(2, 0),
		CALL(BPF_FUNC_ringbuf_discard),
		MOV_IMM(0, 0),
		EXIT,
	};
	return load(insns, PST_ARRAY_SIZE(insns));
}

static void run(int prog, uint32_t number)
{
	unsigned char packet[256];

	memset(packet, 0, ETH_HLEN); /* the filter sees what comes after it */
	for (uint32_t i = 0; i < sizeof(packet) - ETH_HLEN; i++)
		packet[ETH_HLEN + i] = i < 4 ? (unsigned char)(number >> 8 * i) : (unsigned char)(number + i);
	union bpf_attr attr = {.test = {.prog_fd = (uint32_t)prog,
				       .data_in = (uint64_t)(uintptr_t)packet,
				       .data_size_in = sizeof(packet)}};
	assert_return_code(syscall(SYS_bpf, BPF_PROG_TEST_RUN, &attr, sizeof(attr)), errno);
}

static bool readable(int fd)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};

	return poll(&p, 1, 0) == 1 && p.revents == POLLIN;
}

static void kernel_ring_buffer(void **state)
{
	static struct got g;
	union bpf_attr attr = {.map_type = BPF_MAP_TYPE_RINGBUF, .max_entries = SIZE};
	struct pst_ring *real;
	uint32_t next = 0, seen = 0;

	(void)state;
	PST_CLOSE int map = (int)syscall(SYS_bpf, BPF_MAP_CREATE, &attr, sizeof(attr));
	if (map < 0 && errno == EPERM)
		skip(); /* not root */
	assert_return_code(map, errno);
	PST_CLOSE int output = load_output(map);
	assert_return_code(output, errno);
	PST_CLOSE int discard = load_discard(map);
	assert_return_code(discard, errno);
	uint64_t before = corrupt();
	assert_int_equal(pst_ring_open(map, SIZE, NULL, &real), 0);
	assert_false(readable(map));
	for (unsigned round = 0; round < 100; round++) {
		for (unsigned i = 0; i < 13; i++) {
			run(output, next++);
			if (i % 4 == 0)
				run(discard, 0);
		}
		assert_true(readable(map));
		g = (struct got){0};
		assert_int_equal(pst_ring_drain(real, UINT64_MAX, UINT32_MAX, on_record, &g), 13);
		for (unsigned i = 0; i < 13; i++, seen++) {
			assert_int_equal(g.number[i], seen);
			assert_int_equal(g.len[i], 200);
		}
		assert_int_equal(pst_ring_backlog(real), 0);
		assert_true(readable(map)); /* until the space is given back */
		pst_ring_release(real, pst_ring_position(real));
		assert_false(readable(map));
	}
	/* Full: what does not fit is refused by the kernel, what did fit is whole. */
	for (unsigned i = 0; i < 400; i++)
		run(output, next + i);
	g = (struct got){0};
	assert_int_equal(pst_ring_drain(real, UINT64_MAX, UINT32_MAX, on_record, &g), SIZE / 208);
	pst_ring_release(real, pst_ring_position(real));
	run(output, 77);
	g = (struct got){0};
	assert_int_equal(pst_ring_drain(real, UINT64_MAX, UINT32_MAX, on_record, &g), 1);
	assert_int_equal(g.number[0], 77);
	assert_int_equal(corrupt(), before);
	pst_ring_free(real);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(records_in_order_with_wrap),
		TEST(longest_record_wraps_at_every_place),
		TEST(busy_record_stops_until_it_is_done),
		TEST(discarded_records_are_skipped),
		TEST(bounds_of_a_drain),
		TEST(space_goes_back_only_by_release),
		TEST(restart_goes_on_from_the_consumer_position),
		TEST(hostile_lengths_are_skipped_and_counted),
		TEST(hostile_positions),
		TEST(random_bytes),
		TEST(sleeping_looks_again),
		TEST(bad_sizes_are_refused),
		TEST(kernel_ring_buffer),
	};
	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("ring", tests, NULL, NULL);
}
