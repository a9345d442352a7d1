// SPDX-License-Identifier: Apache-2.0
/* Iterators over tasks, interfaces, programs and maps, read without any right and compared with what is known
 * otherwise. */
#include <dirent.h>
#include <sys/prctl.h>

#include "bpf/iters.skel.h"
#include "bpf/process.skel.h"
#include "tests/bpf/iterfile.h"

static struct iters_bpf *iters;
static struct process_bpf *other; /* some programs and maps to be shown */
static char base[64];

/* ---- tasks ---- */

static const struct pst_iter_task *find_task(const struct bytes *b, pid_t pid)
{
	for (size_t off = 0; off < b->len;) {
		const struct pst_iter_task *t = (const void *)(b->data + off);

		assert_true(b->len - off >= sizeof(*t));
		assert_true(t->size >= sizeof(*t) && t->size % 8 == 0 && t->size <= b->len - off);
		assert_int_equal(t->size, (sizeof(*t) + t->path_len + 7) / 8 * 8);
		assert_int_equal(t->task.pid, t->task.tid);
		if (t->task.pid == (unsigned int)pid)
			return t;
		off += t->size;
	}
	return NULL;
}

static const char *task_path(const struct pst_iter_task *t)
{
	return tail_str(t + 1, 0, t->path_len);
}

static void hold_as_user(void *arg)
{
	if (setresgid(4321, 4321, 4321) || setresuid(1234, 1234, 1234))
		_exit(98);
	execl(arg, "held", "60", NULL);
	_exit(97);
}

static void wait_exe(pid_t pid, const char *exe)
{
	char link[64], path[PATH_MAX];

	snprintf(link, sizeof(link), "/proc/%d/exe", pid);
	for (int i = 0; i < 1000; i++) {
		ssize_t n = readlink(link, path, sizeof(path) - 1);

		path[n > 0 ? n : 0] = '\0';
		if (!strcmp(path, exe))
			return;
		usleep(2000);
	}
	fail_msg("pid %d runs %s", pid, path);
}

static void test_task_fields(void **state)
{
	uint64_t tick = 1000000000 / (uint64_t)sysconf(_SC_CLK_TCK);
	const struct pst_iter_task *t, *self;
	char path[128], loginuid[32];
	struct bytes b;
	struct stat st;
	pid_t pid;

	(void)state;
	snprintf(path, sizeof(path), "%s/held", base);
	copy_file("/usr/bin/sleep", path, 0755);
	assert_int_equal(stat(path, &st), 0);
	pid = run(hold_as_user, path);
	wait_exe(pid, path);
	b = iter_read("tasks", 65536);
	t = find_task(&b, pid);
	self = find_task(&b, getpid());
	assert_non_null(t);
	assert_non_null(self);
	assert_string_equal(task_path(t), path);
	assert_int_equal(t->flags, 0);
	assert_int_equal(t->exe_ino, st.st_ino);
	assert_int_equal(t->exe_dev, kernel_dev(st.st_dev));
	assert_int_equal(t->task.uid, 1234);
	assert_int_equal(t->task.gid, 4321);
	assert_int_equal(t->euid, 1234);
	assert_int_equal(t->cap_effective, 0);
	assert_int_equal(self->cap_effective, proc_caps(getpid()));
	assert_string_equal(t->task.comm, "held");
	assert_int_equal(t->task.start_ns / tick, proc_start_ticks(pid));
	assert_int_equal(t->parent_pid, getpid());
	assert_int_equal(t->parent_start_ns, self->task.start_ns);
	assert_int_equal(t->task.cgroup_id, self->task.cgroup_id);
	assert_int_equal(t->kthread, 0);
	assert_ns(&t->ns, pid);
	proc_slurp(pid, "loginuid", loginuid, sizeof(loginuid));
	if (loginuid[0])
		assert_int_equal(t->loginuid, strtoul(loginuid, NULL, 10));
	free(b.data);

	assert_int_equal(unlink(path), 0);
	b = iter_read("tasks", 65536);
	t = find_task(&b, pid);
	assert_non_null(t);
	assert_int_equal(t->flags, PST_EXEC_UNLINKED);
	assert_string_equal(task_path(t), path);
	free(b.data);
	kill(pid, SIGKILL);
	reap(pid);
}

static void test_task_kinds(void **state)
{
	const struct pst_iter_task *t;
	struct bytes b;
	pid_t zombie;

	(void)state;
	zombie = fork();
	if (!zombie)
		_exit(0);
	waitid(P_PID, (id_t)zombie, &(siginfo_t){0}, WEXITED | WNOWAIT);
	b = iter_read("tasks", 65536);
	assert_null(find_task(&b, zombie));
	t = find_task(&b, 2); /* kthreadd */
	assert_non_null(t);
	assert_int_equal(t->kthread, 1);
	assert_int_equal(t->path_len, 0);
	assert_string_equal(t->task.comm, "kthreadd");
	free(b.data);
	reap(zombie);
}

static void *idle(void *arg)
{
	pause();
	return arg;
}

static void child_headless(void *arg)
{
	prctl(PR_SET_NAME, "headless");
	start_thread(idle, (intptr_t)arg);
	syscall(SYS_exit, 0);
}

/* The leader is gone, a thread lives: the process is there, without a path. Threads are no entries. */
static void test_task_without_leader(void **state)
{
	const struct pst_iter_task *t = NULL;
	struct bytes b = {0};
	char stat[512];
	pid_t pid;

	(void)state;
	pid = run(child_headless, NULL);
	for (int i = 0; i < 500; i++) {
		proc_slurp(pid, "stat", stat, sizeof(stat));
		if (strstr(stat, ") Z"))
			break;
		usleep(2000);
	}
	b = iter_read("tasks", 65536);
	t = find_task(&b, pid);
	assert_non_null(t);
	assert_string_equal(t->task.comm, "headless");
	assert_int_equal(t->path_len, 0);
	free(b.data);
	kill(pid, SIGKILL);
	reap(pid);
}

static int is_zombie(pid_t pid)
{
	char buf[512], *at;

	proc_slurp(pid, "stat", buf, sizeof(buf));
	at = strrchr(buf, ')');
	return !at || at[2] == 'Z' || at[2] == 'X';
}

/* Some kernels shield init even from root, and from iterators too. */
static int is_shielded(pid_t pid)
{
	char link[64], path[64];

	snprintf(link, sizeof(link), "/proc/%d/exe", pid);
	return readlink(link, path, sizeof(path)) < 0 && errno == EACCES;
}

/* Whoever was in /proc before and after the pass is in the pass; also when it is read in pieces. */
static void test_all_tasks(void **state)
{
	static const size_t chunks[] = {65536, 4400};
	int before[4096], n, seen;

	(void)state;
	for (size_t c = 0; c < sizeof(chunks) / sizeof(chunks[0]); c++) {
		DIR *dir = opendir("/proc");
		struct bytes b;

		assert_non_null(dir);
		n = seen = 0;
		for (struct dirent *e; n < 4096 && (e = readdir(dir));)
			if (atoi(e->d_name) > 0 && !is_zombie(atoi(e->d_name)))
				before[n++] = atoi(e->d_name);
		closedir(dir);
		b = iter_read("tasks", chunks[c]);
		for (int i = 0; i < n; i++) {
			if (is_zombie(before[i]) || is_shielded(before[i]))
				continue;
			assert_non_null(find_task(&b, before[i]));
			seen++;
		}
		assert_true(seen > 5);
		free(b.data);
	}
}

/* ---- interfaces ---- */

static void test_interfaces(void **state)
{
	int ncpus = libbpf_num_possible_cpus();
	struct pst_iface_key key = {
		.ifindex = 3, .netns = 4026531840, .ethertype = 0x86dd, .protocol = 17, .dir = PST_DIR_OUT};
	struct pst_iface_count *counts = calloc((size_t)ncpus, sizeof(*counts));
	const struct pst_iter_iface *r;
	struct bytes b;
	int map;

	(void)state;
	map = bpf_map_create(BPF_MAP_TYPE_PERCPU_HASH, "ifaces", sizeof(key), sizeof(*counts), 16, NULL);
	assert_true(map >= 0);
	for (int i = 0; i < ncpus; i++)
		counts[i] = (struct pst_iface_count){.packets = 10 + (unsigned int)i, .bytes = 1000};
	assert_int_equal(bpf_map_update_elem(map, &key, counts, BPF_ANY), 0);
	memset(counts, 0, (size_t)ncpus * sizeof(*counts));
	key.ifindex = 4; /* never a packet: not shown */
	assert_int_equal(bpf_map_update_elem(map, &key, counts, BPF_ANY), 0);

	iter_pin(iters->progs.iter_interfaces, map, "interfaces");
	b = iter_read("interfaces", 4096);
	assert_int_equal(b.len, sizeof(*r));
	r = (const void *)b.data;
	assert_int_equal(r->ifindex, 3);
	assert_int_equal(r->netns, 4026531840);
	assert_int_equal(r->ethertype, 0x86dd);
	assert_int_equal(r->protocol, 17);
	assert_int_equal(r->dir, PST_DIR_OUT);
	assert_int_equal(r->pad, 0);
	assert_int_equal(r->packets, 10 * ncpus + ncpus * (ncpus - 1) / 2);
	assert_int_equal(r->bytes, 1000 * ncpus);
	free(b.data);
	free(counts);
	iter_unpin("interfaces");
	close(map);
}

/* ---- programs ---- */

static void leave(void *arg)
{
	(void)arg;
	_exit(0);
}

static void own(int kind, uint32_t id)
{
	struct pst_own_id key = {.kind = (uint32_t)kind, .id = id};
	uint32_t one = 1;

	assert_int_equal(bpf_map_update_elem(bpf_map__fd(iters->maps.own_ids), &key, &one, BPF_ANY), 0);
}

static struct bpf_prog_info prog_info(const struct bpf_program *p)
{
	struct bpf_prog_info info = {0};
	__u32 len = sizeof(info);

	assert_int_equal(bpf_obj_get_info_by_fd(bpf_program__fd(p), &info, &len), 0);
	return info;
}

static const struct pst_iter_prog *find_prog(const struct bytes *b, uint32_t id)
{
	const struct pst_iter_prog *r = (const void *)b->data;

	assert_int_equal(b->len % sizeof(*r), 0);
	for (size_t i = 0; i < b->len / sizeof(*r); i++)
		if (r[i].id == id)
			return &r[i];
	return NULL;
}

static void test_programs(void **state)
{
	const struct bpf_program *fork_prog = other->progs.process_fork,
				 *exit_prog = other->progs.process_exit;
	struct bpf_prog_info info = prog_info(fork_prog);
	const struct pst_iter_prog *r;
	struct bytes b;
	int stats;

	(void)state;
	own(PST_OWN_PROG, info.id);
	own(PST_OWN_PROG, prog_info(exit_prog).id);
	b = iter_read("programs", 4096);
	assert_int_equal(b.len, 2 * sizeof(*r)); /* only those two */
	r = find_prog(&b, info.id);
	assert_non_null(r);
	assert_string_equal(r->name, "process_fork");
	assert_int_equal(r->type, info.type);
	assert_int_equal(r->insns, info.xlated_prog_len / 8);
	assert_int_equal(r->run_count, 0);
	free(b.data);

	stats = bpf_enable_stats(BPF_STATS_RUN_TIME);
	assert_true(stats >= 0);
	assert_int_equal(process_bpf__attach(other), 0);
	for (int i = 0; i < 50; i++)
		reap(run(leave, NULL));
	process_bpf__detach(other);
	free(iter_read("programs", 4096)
			.data); /* where stats cannot be asked for, the first pass tells the second */
	b = iter_read("programs", 4096);
	info = prog_info(fork_prog);
	r = find_prog(&b, info.id);
	assert_non_null(r);
	assert_true(info.run_cnt >= 50);
	assert_int_equal(r->run_count, info.run_cnt);
	assert_int_equal(r->run_time_ns, info.run_time_ns);
	assert_int_equal(r->stats_on, 1);
	free(b.data);
	close(stats);
	usleep(50000); /* the switch is off when the descriptor's last reference is */
	free(iter_read("programs", 4096).data);
	b = iter_read("programs", 4096);
	r = find_prog(&b, info.id);
	assert_non_null(r);
	assert_int_equal(r->stats_on, 0);
	assert_int_equal(r->run_count, info.run_cnt);
	free(b.data);
}

/* ---- maps ---- */

static struct bpf_map_info map_info(int fd)
{
	struct bpf_map_info info = {0};
	__u32 len = sizeof(info);

	assert_int_equal(bpf_obj_get_info_by_fd(fd, &info, &len), 0);
	return info;
}

static const struct pst_iter_map *find_map(const struct bytes *b, uint32_t id)
{
	const struct pst_iter_map *r = (const void *)b->data;

	assert_int_equal(b->len % sizeof(*r), 0);
	for (size_t i = 0; i < b->len / sizeof(*r); i++)
		if (r[i].id == id)
			return &r[i];
	return NULL;
}

static void test_maps(void **state)
{
	struct bpf_map_info ring = map_info(bpf_map__fd(other->maps.ring_process));
	struct bpf_map_info ctl = map_info(bpf_map__fd(other->maps.ring_ctl));
	struct bpf_map_info hash;
	const struct pst_iter_map *r;
	struct bytes b;
	uint64_t used;
	int fd;

	(void)state;
	fd = bpf_map_create(BPF_MAP_TYPE_HASH, "some_hash", 4, 8, 100, NULL);
	assert_true(fd >= 0);
	hash = map_info(fd);
	own(PST_OWN_MAP, ring.id);
	own(PST_OWN_MAP, ctl.id);
	own(PST_OWN_MAP, hash.id);
	for (uint32_t i = 0; i < 42; i++)
		assert_int_equal(bpf_map_update_elem(fd, &i, &(uint64_t){1}, BPF_ANY), 0);
	b = iter_read("maps", 4096);
	assert_int_equal(b.len, 3 * sizeof(*r));
	r = find_map(&b, hash.id);
	assert_non_null(r);
	assert_string_equal(r->name, "some_hash");
	assert_int_equal(r->type, BPF_MAP_TYPE_HASH);
	assert_int_equal(r->max_entries, 100);
	assert_int_equal(r->value_size, 8);
	assert_int_equal(r->capacity, 100);
	if (r->used == PST_MAP_USED_UNKNOWN)
		printf("# this kernel does not count the entries of a hash map\n");
	else
		assert_int_equal(r->used, 42);
	r = find_map(&b, ctl.id);
	assert_non_null(r);
	assert_int_equal(r->used, r->capacity);
	assert_int_equal(r->capacity, PST_CLASS_MAX);
	r = find_map(&b, ring.id);
	assert_non_null(r);
	assert_string_equal(r->name, "ring_process");
	assert_int_equal(r->capacity, ring.max_entries);
	used = r->used;
	free(b.data);

	/* two records with their 8-byte heads, and 16 bytes that woke nobody */
	assert_int_equal(process_bpf__attach(other), 0);
	reap(run(leave, NULL));
	process_bpf__detach(other);
	b = iter_read("maps", 4096);
	r = find_map(&b, ring.id);
	assert_non_null(r);
	assert_true(r->used >= used + sizeof(struct pst_rec_fork) + sizeof(struct pst_rec_exit) + 16);
	assert_true(r->used < r->capacity);
	free(b.data);
	close(fd);
}

/* 0: not there (CONFIG_KALLSYMS_ALL). */
static uint64_t kernel_symbol(const char *name)
{
	FILE *f = fopen("/proc/kallsyms", "re");
	char line[512], symbol[256];
	unsigned long long at, found = 0;

	while (f && !found && fgets(line, sizeof(line), f))
		if (sscanf(line, "%llx %*c %255s", &at, symbol) == 2 && !strcmp(symbol, name))
			found = at;
	if (f)
		fclose(f);
	return found;
}

static int setup(void **state)
{
	(void)state;
	if (folder_make(base, sizeof(base)) || pins_make(base))
		return -1;
	other = process_bpf__open_and_load();
	iters = iters_bpf__open();
	if (!other || !iters)
		return -1;
	iters->rodata->cfg_ncpus = (uint32_t)libbpf_num_possible_cpus();
	iters->rodata->cfg_percpu_offsets = kernel_symbol("__per_cpu_offset");
	if (iters_bpf__load(iters))
		return -1;
	iter_pin(iters->progs.iter_tasks, -1, "tasks");
	iter_pin(iters->progs.iter_programs, -1, "programs");
	iter_pin(iters->progs.iter_maps, -1, "maps");
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	iter_unpin("tasks");
	iter_unpin("programs");
	iter_unpin("maps");
	pins_remove();
	iters_bpf__destroy(iters);
	process_bpf__destroy(other);
	return folder_remove(base);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_task_fields),
		cmocka_unit_test(test_task_kinds),
		cmocka_unit_test(test_task_without_leader),
		cmocka_unit_test(test_all_tasks),
		cmocka_unit_test(test_interfaces),
		cmocka_unit_test(test_programs),
		cmocka_unit_test(test_maps),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, setup, teardown);
}
