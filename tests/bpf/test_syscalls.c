// SPDX-License-Identifier: Apache-2.0
/* Counters of system calls and the iterator over them: numbers known in advance, made in a cgroup of our own.
 */
#include "bpf/iters.skel.h"
#include "bpf/syscalls.skel.h"
#include "tests/bpf/iterfile.h"

static struct syscalls_bpf *skel;
static struct iters_bpf *iters;
static char base[64];
static char cgroup[300];
static uint64_t cgroup_id;

/* Opens and loads a pair; the table's size can be set. */
static int load(struct syscalls_bpf **ret_s, struct iters_bpf **ret_i, uint32_t entries)
{
	struct syscalls_bpf *s = syscalls_bpf__open();
	struct iters_bpf *i = iters_bpf__open();

	if (!s || !i || bpf_map__set_max_entries(s->maps.syscalls, entries) || syscalls_bpf__load(s))
		return -1;
	i->rodata->cfg_ncpus = (uint32_t)libbpf_num_possible_cpus();
	if (bpf_map__reuse_fd(i->maps.syscalls, bpf_map__fd(s->maps.syscalls)) ||
		bpf_map__reuse_fd(i->maps.syscalls_lost, bpf_map__fd(s->maps.syscalls_lost)) ||
		bpf_map__reuse_fd(i->maps.cgroups_gone, bpf_map__fd(s->maps.cgroups_gone)) ||
		iters_bpf__load(i))
		return -1;
	*ret_s = s;
	*ret_i = i;
	return 0;
}

/* How often the pass names (cgroup, nr), and the sum of its counts. */
static uint64_t count_of(const struct bytes *b, uint64_t id, uint32_t nr, int *ret_entries)
{
	const struct pst_iter_syscall *r = (const void *)b->data;
	uint64_t sum = 0;
	int n = 0;

	assert_int_equal(b->len % sizeof(*r), 0);
	for (size_t i = 0; i < b->len / sizeof(*r); i++) {
		assert_int_equal(r[i].pad, 0);
		if (r[i].cgroup_id == id && r[i].nr == nr) {
			sum += r[i].count;
			n++;
		}
	}
	if (ret_entries)
		*ret_entries = n;
	return sum;
}

static void enter_cgroup(const char *dir)
{
	char path[330], pid[16];
	int fd, n = snprintf(pid, sizeof(pid), "%d", getpid());

	snprintf(path, sizeof(path), "%s/cgroup.procs", dir);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0 || write(fd, pid, (size_t)n) != n)
		_exit(98);
	close(fd);
}

static long compat_getppid(void)
{
	long ret;

	__asm__ volatile("int $0x80" : "=a"(ret) : "a"(64) : "memory", "r8", "r9", "r10", "r11");
	return ret;
}

static void child_calls(void *arg)
{
	cpu_set_t set;

	(void)arg;
	enter_cgroup(cgroup);
	for (int cpu = 0; cpu < 2; cpu++) { /* on two CPUs, where there are */
		CPU_ZERO(&set);
		CPU_SET(cpu, &set);
		sched_setaffinity(0, sizeof(set), &set);
		for (int i = 0; i < 500; i++)
			syscall(SYS_getppid);
	}
	for (int i = 0; i < 7; i++)
		syscall(1000000 + i);
	syscall(-1);
	for (int i = 0; i < 5; i++)
		if (compat_getppid() == -ENOSYS)
			_exit(77);
	syscall(0x40000000 | SYS_getppid); /* x32: counted as the native number, known to the kernel or not */
	_exit(0);
}

static void test_counts(void **state)
{
	struct bytes b;
	int entries, status;

	(void)state;
	status = reap(run(child_calls, NULL));
	b = iter_read("syscalls", 65536);
	assert_int_equal(count_of(&b, cgroup_id, SYS_getppid, &entries), 1001);
	assert_int_equal(entries, 1);
	assert_int_equal(count_of(&b, cgroup_id, PST_SYSCALL_INVALID, NULL), 8);
	if (WEXITSTATUS(status) != 77)
		assert_int_equal(count_of(&b, cgroup_id, PST_SYSCALL_COMPAT | 64, NULL), 5);
	assert_true(count_of(&b, cgroup_id, SYS_exit_group, NULL) == 1);
	assert_int_equal(count_of(&b, 0, PST_SYSCALL_LOST, &entries), 0);
	assert_int_equal(entries, 0);
	free(b.data);
}

/* The same pass in small pieces has the same entries, each once. */
static void test_small_reads(void **state)
{
	struct bytes b;
	int entries;

	(void)state;
	b = iter_read("syscalls", sizeof(struct pst_iter_syscall));
	assert_int_equal(count_of(&b, cgroup_id, SYS_getppid, &entries), 1001);
	assert_int_equal(entries, 1);
	free(b.data);
}

static void child_few(void *arg)
{
	enter_cgroup(arg);
	for (int i = 0; i < 11; i++)
		syscall(SYS_getppid);
	_exit(0);
}

/* A removed cgroup is shown once more, then its entries are gone and the others are all there. */
static void test_removed_cgroup(void **state)
{
	char dir[330];
	struct bytes b;
	struct stat st;
	int entries;

	(void)state;
	snprintf(dir, sizeof(dir), "%s-gone", cgroup);
	assert_int_equal(mkdir(dir, 0755), 0);
	assert_int_equal(stat(dir, &st), 0);
	assert_int_equal(reap(run(child_few, dir)), 0);
	for (int i = 0; rmdir(dir) && i < 200; i++)
		usleep(10000);
	assert_int_equal(access(dir, F_OK), -1);
	b = iter_read("syscalls", 65536);
	assert_int_equal(count_of(&b, st.st_ino, SYS_getppid, NULL), 11);
	free(b.data);
	b = iter_read("syscalls", 65536);
	assert_int_equal(count_of(&b, st.st_ino, SYS_getppid, &entries), 0);
	assert_int_equal(entries, 0);
	assert_int_equal(count_of(&b, cgroup_id, SYS_getppid, &entries), 1001);
	assert_int_equal(entries, 1);
	free(b.data);
}

/* A full table: what it does not hold is counted all the same. */
static void test_full_table(void **state)
{
	static const long harmless[] = {SYS_fcntl, SYS_ioctl, SYS_lseek, SYS_getuid, SYS_getgid, SYS_getppid,
		SYS_geteuid, SYS_getegid, SYS_fsync};
	struct syscalls_bpf *s;
	struct iters_bpf *it;
	struct bytes b;
	uint64_t lost;
	int entries;

	(void)state;
	assert_int_equal(load(&s, &it, 4), 0);
	assert_int_equal(syscalls_bpf__attach(s), 0);
	iter_pin(it->progs.iter_syscalls, bpf_map__fd(s->maps.syscalls), "full");
	for (int i = 0; i < 40; i++)
		for (size_t k = 0; k < sizeof(harmless) / sizeof(harmless[0]); k++)
			syscall(harmless[k], -1, 0, 0);
	syscalls_bpf__detach(s);
	b = iter_read("full", 65536);
	lost = count_of(&b, 0, PST_SYSCALL_LOST, &entries);
	assert_int_equal(entries, 1);
	assert_true(lost >= 5 * 40);
	assert_int_equal(b.len / sizeof(struct pst_iter_syscall), 4 + 1);
	free(b.data);
	iter_unpin("full");
	iters_bpf__destroy(it);
	syscalls_bpf__destroy(s);
}

/* Nothing is counted behind a gate that another generation holds. */
static void test_gate(void **state)
{
	struct syscalls_bpf *s = syscalls_bpf__open();
	struct pst_syscall_key key, *prev = NULL;
	uint32_t generation = 7;

	(void)state;
	assert_non_null(s);
	s->rodata->cfg_generation = generation;
	assert_int_equal(syscalls_bpf__load(s), 0);
	assert_int_equal(syscalls_bpf__attach(s), 0);
	syscall(SYS_getppid);
	assert_int_equal(bpf_map_get_next_key(bpf_map__fd(s->maps.syscalls), prev, &key), -ENOENT);
	for (uint32_t cpu = 0; cpu < PST_CPUS_MAX; cpu++)
		assert_int_equal(bpf_map_update_elem(bpf_map__fd(s->maps.gate), &cpu, &generation, 0), 0);
	syscall(SYS_getppid);
	assert_int_equal(bpf_map_get_next_key(bpf_map__fd(s->maps.syscalls), prev, &key), 0);
	syscalls_bpf__destroy(s);
}

static int setup(void **state)
{
	const char *root = cgroup2();
	struct stat st;

	(void)state;
	if (!root || folder_make(base, sizeof(base)) || pins_make(base) || load(&skel, &iters, 16384) ||
		syscalls_bpf__attach(skel))
		return -1;
	snprintf(cgroup, sizeof(cgroup), "%s/pst-test-%d", root, getpid());
	if (mkdir(cgroup, 0755) || stat(cgroup, &st))
		return -1;
	cgroup_id = st.st_ino;
	iter_pin(iters->progs.iter_syscalls, bpf_map__fd(skel->maps.syscalls), "syscalls");
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	iter_unpin("syscalls");
	pins_remove();
	rmdir(cgroup);
	iters_bpf__destroy(iters);
	syscalls_bpf__destroy(skel);
	return folder_remove(base);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_counts),
		cmocka_unit_test(test_small_reads),
		cmocka_unit_test(test_removed_cgroup),
		cmocka_unit_test(test_full_table),
		cmocka_unit_test(test_gate),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, setup, teardown);
}
