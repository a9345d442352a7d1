// SPDX-License-Identifier: Apache-2.0
/*
 * What kernel programs tell of an act's subject, and remember of where it comes from, compared with what
 * /proc says and with what the test has started: copies of this very program, which go from one to the next
 * as their arguments say.
 */
#include <linux/capability.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>

#include "bpf/lineage.skel.h"
#include "proto/abi/facts.h"
#include "proto/abi/lookup/pathhash.h"
#include "proto/base/cleanup.h"
#include "tests/bpf/policy_facts.skel.h"
#include "tests/bpf/procs.h"

#define MAGIC 0x70f4c752u
#define REMEMBERED                                                                                           \
	(PST_SUBJECT_EXE | PST_SUBJECT_EXE_ID | PST_SUBJECT_REMEMBERED | PST_SUBJECT_PARENT |                \
		PST_SUBJECT_GAINED)

enum { ASK_SUBJECT = 5, ASK_SUBJECT_ANEW = 6, ASK_NAMESPACES = 7 };

static struct policy_facts_bpf *facts;
static struct lineage_bpf *lines;
static const struct pst_subject *s; /* the last answer */
static char base[64];
static char self[256]; /* this program */

/* ---- what the started programs do ---- */

static void act(char **words);

static void *act_in_thread(void *words)
{
	act(words);
	return NULL;
}

/* The leader leaves. */
static void do_thread(char **rest)
{
	pthread_t t;

	if (pthread_create(&t, NULL, act_in_thread, rest))
		_exit(80);
	syscall(SYS_exit, 0);
}

static void do_fork(void)
{
	pid_t pid = fork();
	int status;

	if (!pid)
		return;
	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		_exit(81);
	_exit(WIFEXITED(status) ? WEXITSTATUS(status) : 82);
}

/* Goes on in a child whose parent is gone. */
static void do_orphan(void)
{
	pid_t was = getpid();

	if (fork())
		_exit(0);
	while (getppid() == was)
		usleep(1000);
}

static void do_setid(const char *id)
{
	unsigned n = (unsigned)atoi(id);

	if (setresgid(n + 1, n + 1, n + 1) || setresuid(n, n, n))
		_exit(83);
}

static void do_drop(void)
{
	struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct data[2];

	if (syscall(SYS_capget, &head, data))
		_exit(84);
	data[0].effective &= ~(1u << CAP_NET_RAW | 1u << CAP_SYS_ADMIN);
	if (syscall(SYS_capset, &head, data))
		_exit(85);
}

static void do_cgroup(const char *path)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);

	if (fd < 0 || write(fd, "0", 1) != 1)
		_exit(86);
	close(fd);
}

/*
 * What is left of a program that wants /proc to show another one: it unmaps its own file (from, bytes), sets
 * the link (descriptor), asks, and waits.
 */
asm(".pushsection .rodata\n"
    "relink_begin:\n"
    "	mov %rdx, %r12\n"
    "	mov $11, %eax\n" /* munmap */
    "	syscall\n"
    "	mov $157, %eax\n" /* prctl(PR_SET_MM, PR_SET_MM_EXE_FILE) */
    "	mov $35, %edi\n"
    "	mov $13, %esi\n"
    "	mov %r12, %rdx\n"
    "	xor %r10d, %r10d\n"
    "	xor %r8d, %r8d\n"
    "	syscall\n"
    "	mov $16, %eax\n" /* ioctl(0, MAGIC, ASK_SUBJECT) */
    "	xor %edi, %edi\n"
    "	mov $0x70f4c752, %esi\n"
    "	mov $5, %edx\n"
    "	syscall\n"
    "1:	mov $34, %eax\n" /* pause */
    "	syscall\n"
    "	jmp 1b\n"
    "relink_end:\n"
    ".popsection\n");
extern const char relink_begin[], relink_end[];

static void do_relink(const char *path)
{
	void (*code)(unsigned long, unsigned long, long) =
		mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	unsigned long from = 0, to = 0, a, b;
	char exe[256] = "", line[512], at[256];
	FILE *maps = fopen("/proc/self/maps", "re");
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if ((void *)code == MAP_FAILED || !maps || fd < 0 ||
		readlink("/proc/self/exe", exe, sizeof(exe) - 1) < 0)
		_exit(89);
	while (fgets(line, sizeof(line), maps))
		if (sscanf(line, "%lx-%lx %*s %*s %*s %*s %255s", &a, &b, at) == 3 && !strcmp(at, exe)) {
			from = from ? from : a;
			to = b;
		}
	fclose(maps);
	memcpy((void *)code, relink_begin, (size_t)(relink_end - relink_begin));
	code(from, to - from, fd);
}

static void act(char **words)
{
	for (char **w = words; *w; w++) {
		alarm(120); /* nobody is left behind by a test that fails */
		if (!strcmp(*w, "ask"))
			ioctl(0, (unsigned long)MAGIC, ASK_SUBJECT);
		else if (!strcmp(*w, "namespaces"))
			ioctl(0, (unsigned long)MAGIC, ASK_NAMESPACES);
		else if (!strcmp(*w, "fork"))
			do_fork();
		else if (!strcmp(*w, "orphan"))
			do_orphan();
		else if (!strcmp(*w, "thread"))
			do_thread(w + 1);
		else if (!strcmp(*w, "setid"))
			do_setid(*++w);
		else if (!strcmp(*w, "drop"))
			do_drop();
		else if (!strcmp(*w, "unshare") && unshare(atoi(*++w)))
			_exit(87);
		else if (!strcmp(*w, "relink"))
			do_relink(*++w);
		else if (!strcmp(*w, "cgroup"))
			do_cgroup(*++w);
		else if (!strcmp(*w, "hold"))
			for (;;)
				pause();
		else if (**w == '/') {
			execv(*w, w);
			_exit(88);
		}
	}
	_exit(0);
}

/* ---- the test's side ---- */

static int loaded(uint32_t entries)
{
	lines = lineage_bpf__open();
	facts = policy_facts_bpf__open();
	if (!lines || !facts || bpf_map__set_max_entries(lines->maps.lineages, entries) ||
		lineage_bpf__load(lines) ||
		bpf_map__reuse_fd(facts->maps.lineages, bpf_map__fd(lines->maps.lineages)) ||
		policy_facts_bpf__load(facts) || lineage_bpf__attach(lines) ||
		policy_facts_bpf__attach(facts))
		return -1;
	facts->bss->magic = MAGIC;
	s = (const struct pst_subject *)&facts->bss->subject;
	return 0;
}

static void unloaded(void)
{
	policy_facts_bpf__destroy(facts);
	lineage_bpf__destroy(lines);
}

static int setup(void **state)
{
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);

	(void)state;
	return n < 0 || folder_make(base, sizeof(base)) ? -1 : loaded(32768);
}

static int teardown(void **state)
{
	(void)state;
	unloaded();
	return folder_remove(base);
}

static uint64_t hash_of(const char *path)
{
	return pst_pathhash((const void *)facts->rodata->cfg_path_key, path, (uint32_t)strlen(path));
}

/* A copy of this program. */
static char *copy(const char *name)
{
	static char path[32][128];
	static unsigned turn;
	char *at = path[turn++ % 32];

	snprintf(at, sizeof(path[0]), "%s/%s", base, name);
	if (access(at, X_OK))
		copy_file(self, at, 0755);
	return at;
}

static void go(void *words)
{
	act(words);
}

/* Starts what @words say, and waits for @answers answers. */
static pid_t start(char **words, uint32_t answers)
{
	uint32_t before = facts->bss->answers;
	pid_t pid = run(go, words);

	for (int i = 0; facts->bss->answers != before + answers; i++) {
		if (i == 30000)
			fail_msg("no answer");
		usleep(1000);
	}
	return pid;
}

static void end(pid_t pid)
{
	kill(pid, SIGKILL);
	reap(pid);
}

/* All that is told of @pid, which holds still, but for its line. */
static void assert_subject(pid_t pid)
{
	uint64_t tick = 1000000000 / (uint64_t)sysconf(_SC_CLK_TCK);
	char status[4096], link[64], exe[4096] = "";
	unsigned uid, gid;
	struct stat st;

	assert_int_equal(s->pid, pid);
	assert_int_equal(s->start_ns / tick, proc_start_ticks(pid));
	assert_int_equal(s->holds, proc_caps(pid));
	proc_slurp(pid, "status", status, sizeof(status));
	assert_int_equal(sscanf(strstr(status, "Uid:"), "Uid: %*u %u", &uid), 1);
	assert_int_equal(sscanf(strstr(status, "Gid:"), "Gid: %*u %u", &gid), 1);
	assert_int_equal(s->uid, uid);
	assert_int_equal(s->gid, gid);
	snprintf(link, sizeof(link), "/proc/%d/exe", pid);
	assert_int_equal(stat(link, &st), 0);
	assert_true(readlink(link, exe, sizeof(exe) - 1) > 0);
	assert_int_equal(s->exe.ino, st.st_ino);
	assert_int_equal(s->exe.dev, kernel_dev(st.st_dev));
	assert_true(s->exe_hash == hash_of(exe));
}

static bool descends_from(const char *path)
{
	uint64_t hash = hash_of(path);

	assert_true(facts->bss->ancestors_told);
	for (int i = 0; i < PST_LINEAGE_MAX; i++)
		if (facts->bss->ancestors[i] == hash)
			return true;
	return false;
}

static uint32_t ancestors(void)
{
	uint32_t n = 0;

	while (n < PST_LINEAGE_MAX && facts->bss->ancestors[n])
		n++;
	return n;
}

static uint64_t counted(uint32_t which)
{
	uint64_t n[256] = {0}, sum = 0;

	assert_true(libbpf_num_possible_cpus() <= 256);
	assert_int_equal(bpf_map_lookup_elem(bpf_map__fd(lines->maps.lineage_counts), &which, n), 0);
	for (int i = 0; i < libbpf_num_possible_cpus(); i++)
		sum += n[i];
	return sum;
}

static bool remembered(pid_t pid, uint64_t start_ns)
{
	struct pst_lineage_key key = {.start_ns = start_ns, .pid = (uint64_t)pid};
	struct pst_lineage l;

	return !bpf_map_lookup_elem(bpf_map__fd(lines->maps.lineages), &key, &l);
}

/* ---- the subject ---- */

static void subject(void **state)
{
	char *one = copy("one");
	pid_t pid = start((char *[]){one, "setid", "1234", "ask", "hold", NULL}, 1);

	(void)state;
	assert_subject(pid);
	assert_int_equal(s->uid, 1234);
	assert_int_equal(s->gid, 1235);
	assert_int_equal(s->known & REMEMBERED, REMEMBERED);
	assert_int_equal(s->gained, 0);
	assert_true(s->exe_hash == hash_of(one));
	assert_true(s->parent_hash == hash_of(self));
	end(pid);
}

/* What has been kept is made anew when the process is not what it was. */
static void subject_changes(void **state)
{
	char *one = copy("one"), *two = copy("two");
	pid_t pid = start((char *[]){one, "ask", "ask", two, "ask", "drop", "ask", "setid", "77", "ask", one,
				  "ask", "hold", NULL},
		6);

	(void)state;
	assert_subject(pid);
	assert_int_equal(s->uid, 77);
	assert_int_equal(s->holds, 0);
	assert_true(s->exe_hash == hash_of(one));
	assert_true(descends_from(two) && descends_from(one) && descends_from(self));
	end(pid);
	pid = start((char *[]){one, "ask", two, "ask", "drop", "ask", "hold", NULL}, 3);
	assert_subject(pid);
	assert_true(s->exe_hash == hash_of(two));
	assert_true(s->holds && !(s->holds & (1u << CAP_NET_RAW | 1u << CAP_SYS_ADMIN)));
	assert_int_equal(s->gained, 0);
	end(pid);
}

static void many_processes(void **state)
{
	char *copies[] = {copy("one"), copy("two"), copy("three")};

	(void)state;
	for (unsigned i = 0; i < 60; i++) {
		pid_t pid = start((char *[]){copies[i % 3], "ask", "hold", NULL}, 1);

		assert_int_equal(s->pid, pid);
		assert_true(s->exe_hash == hash_of(copies[i % 3]));
		assert_true(s->parent_hash == hash_of(self));
		end(pid);
	}
}

/* Two programs may write an entry at the same time: whatever is in it, a mixture is not taken for a line. */
static void mixtures(void **state)
{
	int map = bpf_map__fd(facts->maps.subjects);
	uint32_t entry = (uint32_t)getpid() & (bpf_map__max_entries(facts->maps.subjects) - 1);
	uint32_t words = bpf_map__value_size(facts->maps.subjects) / 8;
	uint64_t kept[64], spoilt[64], elders[PST_LINEAGE_MAX];
	struct pst_subject was;

	(void)state;
	assert_true(words <= PST_ARRAY_SIZE(kept));
	ioctl(0, (unsigned long)MAGIC, ASK_SUBJECT);
	was = *s;
	memcpy(elders, facts->bss->ancestors, sizeof(elders));
	assert_int_equal(bpf_map_lookup_elem(map, &entry, kept), 0);
	for (uint32_t i = 0; i < words; i++)
		for (int bit = 0; bit < 64; bit += 21) {
			memcpy(spoilt, kept, sizeof(kept));
			spoilt[i] ^= 1ull << bit;
			assert_int_equal(bpf_map_update_elem(map, &entry, spoilt, BPF_ANY), 0);
			ioctl(0, (unsigned long)MAGIC, ASK_SUBJECT);
			assert_memory_equal(s, &was, sizeof(was));
			assert_memory_equal(facts->bss->ancestors, elders, sizeof(elders));
		}
}

static void gained(void **state)
{
	char *one = copy("one"), number[16];
	pid_t pid;

	(void)state;
	snprintf(number, sizeof(number), "%d", CLONE_NEWUSER);
	pid = start((char *[]){"setid", "1234", one, "ask", "hold", NULL}, 1);
	assert_int_equal(s->holds, 0);
	assert_int_equal(s->gained, 0);
	assert_true(s->known & PST_SUBJECT_GAINED);
	end(pid);
	pid = fork();
	if (!pid) {
		do_setid("1234");
		_exit(unshare(CLONE_NEWUSER) ? 1 : 0);
	}
	if (reap(pid))
		skip_because("no user namespaces for other users");
	/* its child has them, too, and had them not when the program began */
	pid = start(
		(char *[]){"setid", "1234", one, "ask", "unshare", number, "fork", "ask", "hold", NULL}, 2);
	assert_true(s->holds & 1u << CAP_SYS_ADMIN);
	assert_int_equal(s->gained, s->holds);
	kill((pid_t)s->pid, SIGKILL);
	end(pid);
	/* started with them */
	pid = start(
		(char *[]){"setid", "1234", one, "unshare", number, "setid", "0", one, "ask", "hold", NULL},
		0);
	end(pid);
}

static void cgroup(void **state)
{
	const char *mounted = cgroup2();
	char dir[320], procs[352], *one = copy("one");
	struct stat st;
	pid_t pid;

	(void)state;
	if (!mounted)
		skip_because("no cgroup v2");
	snprintf(dir, sizeof(dir), "%s/pst-subject-%d", mounted, getpid());
	if (mkdir(dir, 0755))
		skip_because("no cgroup can be made");
	assert_int_equal(stat(dir, &st), 0);
	snprintf(procs, sizeof(procs), "%s/cgroup.procs", dir);
	pid = start((char *[]){one, "ask", "cgroup", procs, "ask", "hold", NULL}, 2);
	assert_int_equal(s->cgroup_id, st.st_ino);
	assert_subject(pid);
	end(pid);
	assert_int_equal(rmdir(dir), 0);
}

/* Where init is hidden even from root, kernel threads show the same. 0: neither can be seen. */
static uint32_t host_ns(const char *name)
{
	uint32_t ino = proc_ns(1, name);

	return ino ? ino : proc_ns(2, name);
}

static void namespaces(void **state)
{
	static const char *const names[PST_NAMESPACES] = {
		[PST_NS_CGROUP] = "cgroup",
		[PST_NS_IPC] = "ipc",
		[PST_NS_MNT] = "mnt",
		[PST_NS_NET] = "net",
		[PST_NS_PID] = "pid",
		[PST_NS_TIME] = "time",
		[PST_NS_USER] = "user",
		[PST_NS_UTS] = "uts",
	};
	static const int flags[] = {0, CLONE_NEWNS, CLONE_NEWUTS, CLONE_NEWIPC, CLONE_NEWPID, CLONE_NEWNET,
		CLONE_NEWCGROUP, CLONE_NEWUSER, 0x80 /* time */};
	const struct pst_subject_ns *ns = (const void *)&facts->bss->namespaces;
	unsigned others = 0;

	(void)state;
	for (size_t i = 0; i < PST_ARRAY_SIZE(flags); i++) {
		char number[16];
		char *words[] = {"unshare", number, "fork", copy("one"), "ask", "namespaces", "hold", NULL};
		pid_t pid = fork();

		if (!pid)
			_exit(unshare(flags[i]) ? 1 : 0);
		if (reap(pid))
			continue; /* not on this kernel */
		snprintf(number, sizeof(number), "%d", flags[i]);
		pid = start(words, 2);
		assert_int_equal(ns->known, (1 << PST_NAMESPACES) - 1);
		for (int k = 0; k < PST_NAMESPACES; k++) {
			uint32_t own = proc_ns((pid_t)s->pid, names[k]);
			bool host = own == host_ns(names[k]);

			if (host_ns(names[k]) && (ns->host >> k & 1) != host)
				fail_msg("unshare %#x: %s", (unsigned)flags[i], names[k]);
			others += !host;
		}
		kill((pid_t)s->pid, SIGKILL);
		end(pid);
	}
	assert_true(others >= PST_ARRAY_SIZE(flags)); /* each has the test's own mounts at least */
}

/* ---- the line ---- */

static void line(void **state)
{
	char *one = copy("one"), *two = copy("two"), *three = copy("three");
	pid_t pid;

	(void)state;
	pid = start((char *[]){one, "fork", two, "fork", three, "ask", "hold", NULL}, 1);
	assert_true(s->exe_hash == hash_of(three) && s->parent_hash == hash_of(two));
	assert_true(descends_from(one) && descends_from(two) && descends_from(self));
	assert_false(descends_from(three));
	kill((pid_t)s->pid, SIGKILL);
	reap(pid);

	/* one program after the other in one process: its parent is who forked it */
	pid = start((char *[]){one, two, three, "ask", "hold", NULL}, 1);
	assert_true(s->exe_hash == hash_of(three) && s->parent_hash == hash_of(self));
	assert_true(descends_from(one) && descends_from(two) && descends_from(self));
	end(pid);

	/* the same again is its own descendant, and a child of it is, too */
	pid = start((char *[]){one, one, "ask", "hold", NULL}, 1);
	assert_true(descends_from(one) && s->parent_hash == hash_of(self));
	end(pid);
	pid = start((char *[]){one, "fork", "ask", "hold", NULL}, 1);
	assert_true(descends_from(one) && s->parent_hash == hash_of(one));
	kill((pid_t)s->pid, SIGKILL);
	reap(pid);
}

/* Who is adopted keeps his line. */
static void adopted(void **state)
{
	char *one = copy("one"), *two = copy("two");
	pid_t pid = start((char *[]){one, "orphan", two, "ask", "hold", NULL}, 1);

	(void)state;
	assert_true(s->exe_hash == hash_of(two) && s->parent_hash == hash_of(one));
	assert_true(descends_from(one) && descends_from(self));
	kill((pid_t)s->pid, SIGKILL);
	reap(pid);
}

/* An exec by another thread takes the place of the process. */
static void by_a_thread(void **state)
{
	char *one = copy("one"), *two = copy("two");
	pid_t pid = start((char *[]){one, "thread", "ask", two, "ask", "hold", NULL}, 2);

	(void)state;
	assert_subject(pid);
	assert_int_equal(s->known & REMEMBERED, REMEMBERED);
	assert_true(s->exe_hash == hash_of(two) && descends_from(one));
	end(pid);
}

static void starts(void *words)
{
	struct policy_facts_bpf *hook = ((void **)words)[0];

	hook->bss->opens = (uint32_t)getpid();
	act((char **)words + 1);
}

/* In the middle of an exec the executable is the new one, and what is told then is not kept. */
static void exec_under_way(void **state)
{
	struct policy_facts_bpf *hook = policy_facts_bpf__open(), *was = facts;
	char *one = copy("one"), *two = copy("two");
	char *words[] = {(char *)hook, one, two, "ask", "hold", NULL};
	const struct pst_subject *h;
	uint32_t before = facts->bss->answers, seen;
	pid_t pid;

	(void)state;
	assert_non_null(hook);
	bpf_program__set_autoload(hook->progs.facts_enter, false);
	bpf_program__set_autoload(hook->progs.facts_exec, false);
	bpf_program__set_autoload(hook->progs.facts_committed, true);
	if (bpf_map__reuse_fd(hook->maps.lineages, bpf_map__fd(lines->maps.lineages)) ||
		bpf_map__reuse_fd(hook->maps.subjects, bpf_map__fd(facts->maps.subjects)) ||
		policy_facts_bpf__load(hook) || policy_facts_bpf__attach(hook)) {
		policy_facts_bpf__destroy(hook);
		skip_because("no BPF program can be attached to LSM hooks");
	}
	pid = run(starts, words);
	for (int i = 0; facts->bss->answers == before; i++) {
		if (i == 30000)
			fail_msg("no answer");
		usleep(1000);
	}
	seen = hook->bss->answers;
	h = (const struct pst_subject *)&hook->bss->subject;
	if (seen) {
		assert_int_equal(seen, 2);
		assert_true(h->exe_hash == hash_of(two));
		assert_true(h->known & PST_SUBJECT_EXE);
		assert_false(h->known & (PST_SUBJECT_GAINED | PST_SUBJECT_REMEMBERED));
		facts = hook;
		assert_true(descends_from(one) && descends_from(self));
		facts = was;
	}
	assert_true(s->exe_hash == hash_of(two));
	assert_int_equal(s->known & REMEMBERED, REMEMBERED);
	assert_true(descends_from(one) && descends_from(self) && !descends_from(two));
	assert_subject(pid);
	end(pid);
	policy_facts_bpf__destroy(hook);
	if (!seen)
		skip_because("bpf is none of this kernel's security modules");
}

/* Sixteen different ones, the last first; going to and fro among a few pushes none of the others out. */
static void different_ones(void **state)
{
	char name[16], *words[64], *one = copy("one"), *two = copy("two"), *three = copy("three");
	pid_t pid;
	int n = 0;

	(void)state;
	words[n++] = one;
	for (int i = 0; i < 40; i++)
		words[n++] = i % 2 ? two : three;
	words[n++] = "ask";
	words[n++] = "hold";
	words[n] = NULL;
	pid = start(words, 1);
	assert_true(descends_from(one) && descends_from(self));
	assert_true(facts->bss->ancestors[0] == hash_of(three));
	assert_true(facts->bss->ancestors[1] == hash_of(two));
	end(pid);

	n = 0;
	for (int i = 0; i < 18; i++) {
		snprintf(name, sizeof(name), "n%d", i);
		words[n++] = copy(name);
	}
	words[n++] = "ask";
	words[n++] = "hold";
	words[n] = NULL;
	pid = start(words, 1);
	assert_int_equal(ancestors(), PST_LINEAGE_MAX);
	assert_false(s->known & PST_SUBJECT_ANCESTORS);
	for (int i = 0; i < PST_LINEAGE_MAX; i++)
		assert_true(facts->bss->ancestors[i] == hash_of(words[16 - i]));
	end(pid);
	for (int i = 0; i < 18; i++)
		unlink(words[i]);
}

/* The path of a program that has been renamed or taken away since is that which was started. */
static void started_as(void **state)
{
	char *gone = copy("gone"), where[128];
	pid_t pid = start((char *[]){gone, "ask", "hold", NULL}, 1);

	(void)state;
	snprintf(where, sizeof(where), "%s/moved", base);
	assert_int_equal(rename(gone, where), 0);
	assert_true(s->exe_hash == hash_of(gone));
	end(pid);
	copy_file(self, gone, 0755);
	pid = start((char *[]){gone, "fork", "ask", "hold", NULL}, 1);
	assert_true(descends_from(gone));
	kill((pid_t)s->pid, SIGKILL);
	reap(pid);
}

/* Programs of a mount namespace that any user can make are called as he likes. */
static void own_mounts(void **state)
{
	char *one = copy("one"), *two = copy("two"), number[16];
	pid_t pid = fork();

	(void)state;
	if (!pid)
		_exit(unshare(CLONE_NEWUSER | CLONE_NEWNS) ? 1 : 0);
	if (reap(pid))
		skip_because("no user namespaces");
	snprintf(number, sizeof(number), "%d", CLONE_NEWUSER | CLONE_NEWNS);
	pid = start((char *[]){one, "ask", "unshare", number, two, "ask", "hold", NULL}, 2);
	assert_true(s->exe_hash == hash_of(two));
	assert_int_equal(s->known & (REMEMBERED | PST_SUBJECT_OWN), REMEMBERED | PST_SUBJECT_OWN);
	end(pid);
	pid = start((char *[]){one, "ask", "hold", NULL}, 1);
	assert_false(s->known & PST_SUBJECT_OWN);
	end(pid);
}

/* What a process makes /proc/PID/exe say is not what it is. */
static void pretends(void **state)
{
	char *one = copy("one"), *two = copy("two"), link[64], exe[256] = "";
	pid_t pid = start((char *[]){one, "ask", "relink", two, NULL}, 2);

	(void)state;
	snprintf(link, sizeof(link), "/proc/%d/exe", pid);
	assert_true(readlink(link, exe, sizeof(exe) - 1) > 0);
	if (strcmp(exe, two) != 0) {
		end(pid);
		skip_because("the link cannot be changed (CAP_SYS_RESOURCE)");
	}
	assert_true(s->exe_hash == hash_of(one));
	assert_int_equal(s->known & REMEMBERED, REMEMBERED);
	end(pid);
}

/* A program in memory has no path, and whatever comes of it descends from something unknown. */
static void no_path(void **state)
{
	char buf[65536], link[64], *one = copy("one");
	int in = open(self, O_RDONLY | O_CLOEXEC), fd = memfd_create("prog", 0);
	ssize_t n;
	pid_t pid;

	(void)state;
	assert_true(in >= 0 && fd >= 0);
	while ((n = read(in, buf, sizeof(buf))) > 0)
		assert_int_equal(write(fd, buf, (size_t)n), n);
	close(in);
	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	pid = start((char *[]){link, "ask", "hold", NULL}, 1);
	assert_false(s->known & PST_SUBJECT_EXE);
	assert_true(s->known & PST_SUBJECT_EXE_ID);
	assert_int_equal(s->exe_hash, 0);
	end(pid);
	pid = start((char *[]){link, one, "ask", "hold", NULL}, 1);
	assert_true(s->known & PST_SUBJECT_EXE);
	assert_false(s->known & PST_SUBJECT_ANCESTORS);
	assert_true(descends_from(self));
	end(pid);
	close(fd);
}

static void freed(void **state)
{
	char *one = copy("one");
	pid_t pid = start((char *[]){one, "ask", "hold", NULL}, 1);

	(void)state;
	assert_true(remembered(pid, s->start_ns));
	end(pid);
	assert_false(remembered(pid, s->start_ns));
	/* its leader leaves first */
	pid = start((char *[]){one, "ask", "thread", "ask", "hold", NULL}, 2);
	assert_true(remembered(pid, s->start_ns));
	end(pid);
	assert_false(remembered(pid, s->start_ns));
}

/* ---- who is not remembered ---- */

/* Executables of the ancestors as /proc has them, each once, the nearest first, but for those without a path.
 * @ret_all: up to init. */
static uint32_t climb(pid_t pid, uint64_t *ret_hashes, bool *ret_all)
{
	uint32_t n = 0;

	for (;;) {
		char status[4096], link[64], exe[4096];
		uint32_t i = 0;
		ssize_t len;

		proc_slurp(pid, "status", status, sizeof(status));
		*ret_all = pid == 1;
		if (!strstr(status, "PPid:"))
			return n;
		pid = atoi(strstr(status, "PPid:") + 5);
		snprintf(link, sizeof(link), "/proc/%d/exe", pid);
		len = pid ? readlink(link, exe, sizeof(exe) - 1) : -1;
		if (len < 0)
			return n;
		exe[len] = '\0';
		if (!strncmp(exe, "/memfd:", 7))
			continue;
		while (i < n && ret_hashes[i] != hash_of(exe))
			i++;
		if (i == n && n < PST_LINEAGE_MAX)
			ret_hashes[n++] = hash_of(exe);
	}
}

static void assert_climbed(void)
{
	uint64_t want[PST_LINEAGE_MAX];
	bool all;
	uint32_t n = climb((pid_t)s->pid, want, &all);

	assert_true(n >= 1);
	assert_true(facts->bss->ancestors_told);
	assert_true(all ? ancestors() == n : ancestors() >= n);
	for (uint32_t i = 0; i < n; i++)
		assert_true(facts->bss->ancestors[i] == want[i]);
	assert_true(s->parent_hash == want[0]);
	assert_false(s->known & PST_SUBJECT_ANCESTORS);
}

/* This process was there before the programs were. */
static void there_before(void **state)
{
	uint32_t before = facts->bss->answers;

	(void)state;
	ioctl(0, (unsigned long)MAGIC, ASK_SUBJECT);
	assert_int_equal(facts->bss->answers, before + 1);
	assert_subject(getpid());
	assert_false(s->known & (PST_SUBJECT_REMEMBERED | PST_SUBJECT_GAINED));
	assert_climbed();
	assert_true(counted(1) > 0);
	ioctl(0, (unsigned long)MAGIC, ASK_SUBJECT_ANEW);
	assert_subject(getpid());
	assert_climbed();
}

static void full(void **state)
{
	char *one = copy("one"), *two = copy("two");
	pid_t pid;

	(void)state;
	unloaded();
	assert_int_equal(loaded(1), 0);
	/* what there is room for is somebody's */
	end(start((char *[]){one, "ask", "hold", NULL}, 1));
	pid = start((char *[]){one, "fork", two, "ask", "ask", "hold", NULL}, 2);
	assert_true(counted(0) > 0);
	assert_subject((pid_t)s->pid);
	assert_false(s->known & (PST_SUBJECT_REMEMBERED | PST_SUBJECT_GAINED));
	assert_true(s->parent_hash == hash_of(one));
	assert_true(descends_from(one) && descends_from(self));
	assert_climbed();
	kill((pid_t)s->pid, SIGKILL);
	reap(pid);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(subject),
		cmocka_unit_test(subject_changes),
		cmocka_unit_test(many_processes),
		cmocka_unit_test(mixtures),
		cmocka_unit_test(gained),
		cmocka_unit_test(cgroup),
		cmocka_unit_test(namespaces),
		cmocka_unit_test(line),
		cmocka_unit_test(adopted),
		cmocka_unit_test(by_a_thread),
		cmocka_unit_test(exec_under_way),
		cmocka_unit_test(different_ones),
		cmocka_unit_test(started_as),
		cmocka_unit_test(own_mounts),
		cmocka_unit_test(pretends),
		cmocka_unit_test(no_path),
		cmocka_unit_test(freed),
		cmocka_unit_test(there_before),
		cmocka_unit_test(full),
	};

	if (argc > 1)
		act(argv + 1);
	return cmocka_run_group_tests(tests, setup, teardown);
}
