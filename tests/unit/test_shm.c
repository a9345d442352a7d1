// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/base_test.h"
#include "proto/abi/records.h"
#include "proto/base/cleanup.h"
#include "proto/base/shm.h"

#include <linux/bpf.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/syscall.h>

static void fake_memory(void **state)
{
	struct pst_shm shm;

	(void)state;
	assert_int_equal(pst_shm_fake(12, 1000, &shm), 0);
	assert_int_equal(shm.entry_size, 16);
	assert_int_equal(shm.entries, 1000);
	assert_int_equal(shm.len % 4096, 0);
	assert_true(shm.len >= 16000);
	assert_int_equal((uintptr_t)shm.base % 4096, 0);
	memset((void *)pst_shm_at(&shm, 999), 1, 16);
	pst_shm_unmap(&shm);
	assert_null(shm.base);
	pst_shm_unmap(&shm);
}

static void senseless_shapes_are_refused(void **state)
{
	struct pst_shm shm = {.len = 7};

	(void)state;
	assert_int_equal(pst_shm_fake(0, 10, &shm), -EINVAL);
	assert_int_equal(pst_shm_fake(8, 0, &shm), -EINVAL);
	assert_int_equal(pst_shm_fake(SIZE_MAX, 1, &shm), -EINVAL);
	assert_int_equal(pst_shm_fake(SIZE_MAX / 2, 3, &shm), -EINVAL);
	assert_int_equal(pst_shm_fake(1 << 20, SIZE_MAX >> 20, &shm), -EINVAL);
	assert_int_equal(pst_shm_map(-1, 8, 8, false, &shm), -EBADF);
	assert_int_equal(shm.len, 7);
}

static void mapping_is_shared_and_as_writable_as_asked(void **state)
{
	struct pst_shm ro, rw;
	PST_CLOSE int fd = memfd_create("array", MFD_CLOEXEC);

	(void)state;
	assert_return_code(ftruncate(fd, 8192), errno);
	assert_int_equal(pst_shm_map(fd, 8, 1024, true, &rw), 0);
	assert_int_equal(pst_shm_map(fd, 8, 1024, false, &ro), 0);
	((uint64_t *)rw.base)[1023] = 42;
	assert_int_equal(*(const uint64_t *)pst_shm_at(&ro, 1023), 42);
	assert_int_equal(mprotect(rw.base, rw.len, PROT_READ), 0);
	PST_CLOSE int zero = open("/dev/zero", O_RDONLY | O_CLOEXEC);
	/* The kernel refuses to write where it may not: no fault needed to see it. */
	assert_int_equal(read(zero, ro.base, 8), -1);
	assert_int_equal(errno, EFAULT);
	pst_shm_unmap(&ro);
	pst_shm_unmap(&rw);
}

static void slots(void **state)
{
	struct pst_shm shm;
	struct pst_flow out = {0};

	(void)state;
	assert_int_equal(pst_shm_fake(sizeof(struct pst_flow), 16, &shm), 0);
	struct pst_flow *flow = (struct pst_flow *)pst_shm_at(&shm, 3);
	assert_int_equal(pst_slot_read(&shm, 3, &out), 0); /* never used */
	flow->gen = 7;
	assert_int_equal(pst_slot_read(&shm, 3, &out), 0); /* being written */
	flow->gen = 8;
	flow->packets = 5;
	assert_int_equal(pst_slot_read(&shm, 3, &out), 8);
	assert_int_equal(out.packets, 5);
	assert_int_equal(out.gen, 8);
	assert_int_equal(pst_slot_read(&shm, 16, &out), 0);
	assert_int_equal(pst_slot_read(&shm, SIZE_MAX, &out), 0);
	pst_shm_unmap(&shm);
}

struct race {
	uint64_t *slot;
	bool stop;
};

/* As a program does: odd, fill, even. */
static void *writer(void *arg)
{
	struct race *r = arg;

	for (uint64_t gen = 2; !__atomic_load_n(&r->stop, __ATOMIC_RELAXED); gen += 2) {
		__atomic_store_n(&r->slot[0], gen - 1, __ATOMIC_RELAXED);
		__atomic_thread_fence(__ATOMIC_SEQ_CST);
		for (unsigned i = 1; i < 16; i++)
			__atomic_store_n(&r->slot[i], gen * i, __ATOMIC_RELAXED);
		__atomic_store_n(&r->slot[0], gen, __ATOMIC_RELEASE);
	}
	return NULL;
}

static void a_slot_is_never_torn(void **state)
{
	struct pst_shm shm;
	struct race race = {0};
	uint64_t out[16], seen = 0, changes = 0, last = 0;
	pthread_t thread;

	(void)state;
	assert_int_equal(pst_shm_fake(128, 1, &shm), 0);
	race.slot = shm.base;
	assert_int_equal(pthread_create(&thread, NULL, writer, &race), 0);
	for (unsigned i = 0; i < 300000 || (!seen && i < 100000000); i++) {
		uint64_t gen = pst_slot_read(&shm, 0, out);

		if (!gen)
			continue;
		seen++;
		changes += gen != last;
		last = gen;
		for (unsigned k = 1; k < 16; k++)
			if (out[k] != gen * k)
				fail_msg("torn: generation %lu word %u is %lu", gen, k, out[k]);
	}
	__atomic_store_n(&race.stop, true, __ATOMIC_RELAXED);
	pthread_join(thread, NULL);
	assert_true(seen > 0 && changes > 0);
	pst_shm_unmap(&shm);
}

static void kernel_array(void **state)
{
	union bpf_attr attr = {.map_type = BPF_MAP_TYPE_ARRAY,
		.key_size = 4,
		.value_size = 12,
		.max_entries = 1000,
		.map_flags = BPF_F_MMAPABLE};
	uint32_t key = 999, value[3] = {1, 2, 3};
	struct pst_shm ro, rw;

	(void)state;
	PST_CLOSE int map = (int)syscall(SYS_bpf, BPF_MAP_CREATE, &attr, sizeof(attr));
	if (map < 0 && errno == EPERM)
		skip();
	assert_return_code(map, errno);
	assert_int_equal(pst_shm_map(map, 12, 1000, true, &rw), 0);
	assert_int_equal(pst_shm_map(map, 12, 1000, false, &ro), 0);
	attr = (union bpf_attr){.map_fd = (uint32_t)map,
		.key = (uint64_t)(uintptr_t)&key,
		.value = (uint64_t)(uintptr_t)value};
	assert_return_code(syscall(SYS_bpf, BPF_MAP_UPDATE_ELEM, &attr, sizeof(attr)), errno);
	assert_memory_equal(pst_shm_at(&ro, 999), value, 12);
	((uint32_t *)pst_shm_at(&rw, 999))[2] = 77;
	assert_return_code(syscall(SYS_bpf, BPF_MAP_LOOKUP_ELEM, &attr, sizeof(attr)), errno);
	assert_int_equal(value[2], 77);
	struct pst_shm more;
	assert_int_equal(pst_shm_map(map, 12, 10000, false, &more), -EINVAL); /* it is not that long */
	pst_shm_unmap(&rw);
	attr = (union bpf_attr){.map_fd = (uint32_t)map};
	assert_return_code(syscall(SYS_bpf, BPF_MAP_FREEZE, &attr, sizeof(attr)), errno);
	assert_int_equal(pst_shm_map(map, 12, 1000, true, &rw), -EPERM);
	pst_shm_unmap(&ro);
	assert_int_equal(pst_shm_map(map, 12, 1000, false, &ro), 0);
	pst_shm_unmap(&ro);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(fake_memory),
		cmocka_unit_test(senseless_shapes_are_refused),
		cmocka_unit_test(mapping_is_shared_and_as_writable_as_asked),
		cmocka_unit_test(slots),
		cmocka_unit_test(a_slot_is_never_torn),
		cmocka_unit_test(kernel_array),
	};
	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("shm", tests, NULL, NULL);
}
