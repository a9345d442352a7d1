// SPDX-License-Identifier: Apache-2.0
/*
 * Policies in force on what processes do to others, to themselves and to the kernel: each operation in every
 * way there is to it. Who does what is forbidden is killed, and a record tells of it; who does what is beside
 * it goes on, and so does who is in no group of the test.
 */
#include <linux/bpf.h>
#include <linux/capability.h>
#include <linux/perf_event.h>
#include <linux/sched.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/uio.h>

#include "bpf/enforceproc.skel.h"
#include "bpf/lineage.skel.h"
#include "tests/bpf/enforcerun.h"

/* The C library may not have them. */
#define CALL_CLONE3       435
#define CALL_PIDFD_OPEN   434
#define CALL_PIDFD_SIGNAL 424
#define CALL_PIDFD_GETFD  438

static struct enforceproc_bpf *skel;
static struct lineage_bpf *lines;
static pid_t victim, neighbour; /* who run a file of the test */

/* ---- ways ---- */

static pid_t other; /* whom the act is on */

static long on_nothing(void)
{
	return getppid() > 0 ? 0 : -1;
}

static long by_attach(void)
{
	return ptrace(PTRACE_ATTACH, other, NULL, NULL);
}

static long by_seize(void)
{
	return ptrace(PTRACE_SEIZE, other, NULL, NULL);
}

static long by_vm_read(void)
{
	static char word[8], maps[256];
	struct iovec here = {word, 1}, there = {NULL, 1};

	proc_slurp(other, "maps", maps, sizeof(maps));
	there.iov_base = (void *)strtoull(maps, NULL, 16); /* NOLINT(performance-no-int-to-ptr) */

	return process_vm_readv(other, &here, 1, &there, 1, 0);
}

static long by_proc_mem(void)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/mem", other);
	return open(path, O_RDONLY | O_CLOEXEC);
}

static long by_getfd(void)
{
	return syscall(CALL_PIDFD_GETFD, syscall(CALL_PIDFD_OPEN, other, 0), 0, 0);
}

static long by_traceme(void)
{
	return ptrace(PTRACE_TRACEME, 0, NULL, NULL);
}

static long by_kill(void)
{
	return kill(other, SIGURG);
}

static long by_tgkill(void)
{
	return syscall(SYS_tgkill, other, other, SIGURG);
}

static long by_tkill(void)
{
	return syscall(SYS_tkill, other, SIGURG);
}

static long by_queue(void)
{
	return sigqueue(other, SIGURG, (union sigval){.sival_int = 1});
}

static long by_pidfd(void)
{
	return syscall(CALL_PIDFD_SIGNAL, syscall(CALL_PIDFD_OPEN, other, 0), SIGURG, NULL, 0);
}

static long by_other_signal(void)
{
	return kill(other, SIGWINCH);
}

static long by_asking(void)
{
	return kill(other, 0);
}

static long by_own(void)
{
	signal(SIGURG, SIG_IGN);
	return raise(SIGURG);
}

static long by_setuid(void)
{
	return setuid(61042);
}

static long by_setresuid(void)
{
	return syscall(SYS_setresuid, 61042, 61042, 61042);
}

static long by_setreuid(void)
{
	return syscall(SYS_setreuid, 61042, 61042);
}

static long by_setgid(void)
{
	return syscall(SYS_setgid, 61042);
}

static long by_setregid(void)
{
	return syscall(SYS_setregid, 61042, 61042);
}

static long by_setresgid(void)
{
	return syscall(SYS_setresgid, 61042, 61042, 61042);
}

static long by_setgroups(void)
{
	return syscall(SYS_setgroups, 0, NULL);
}

static long by_setfsuid(void)
{
	return syscall(SYS_setfsuid, 61042);
}

static long by_setfsgid(void)
{
	return syscall(SYS_setfsgid, 61042);
}

static long by_getuid(void)
{
	return (long)getuid();
}

/* Keeps CAP_CHOWN, or CAP_KILL, alone. */
static long keeps(unsigned cap)
{
	struct __user_cap_header_struct head = {_LINUX_CAPABILITY_VERSION_3, 0};
	struct __user_cap_data_struct data[2] = {{1u << cap, 1u << cap, 0}};

	return syscall(SYS_capset, &head, data);
}

static long by_capset(void)
{
	return keeps(CAP_CHOWN);
}

static long by_capset_else(void)
{
	return keeps(CAP_KILL);
}

static long by_unshare(void)
{
	return unshare(CLONE_NEWUTS);
}

static long by_unshare_files(void)
{
	return unshare(CLONE_FILES);
}

static long by_setns(void)
{
	return setns(open("/proc/self/ns/uts", O_RDONLY | O_CLOEXEC), CLONE_NEWUTS);
}

/* The child says that it is there, which it is not to come to. */
static int said;

static long is_child(long pid)
{
	if (!pid) {
		if (write(said, "c", 1) != 1)
			_exit(86);
		_exit(0);
	}
	if (pid > 0)
		waitpid((pid_t)pid, NULL, 0);
	return pid;
}

static long by_clone(void)
{
	return is_child(syscall(SYS_clone, CLONE_NEWUTS | SIGCHLD, NULL, NULL, NULL, NULL));
}

static long by_clone_user(void)
{
	return is_child(syscall(SYS_clone, CLONE_NEWUSER | SIGCHLD, NULL, NULL, NULL, NULL));
}

static long clone3(uint64_t flags)
{
	struct clone_args args = {.flags = flags, .exit_signal = SIGCHLD};

	return is_child(syscall(CALL_CLONE3, &args, sizeof(args)));
}

static long by_clone3(void)
{
	return clone3(CLONE_NEWUTS);
}

static long by_plain_clone(void)
{
	said = open("/dev/null", O_WRONLY | O_CLOEXEC);
	return is_child(syscall(SYS_clone, SIGCHLD, NULL, NULL, NULL, NULL));
}

static long by_plain_clone3(void)
{
	said = open("/dev/null", O_WRONLY | O_CLOEXEC);
	return clone3(0);
}

static long by_bpf(void)
{
	union bpf_attr attr = {
		.map_type = BPF_MAP_TYPE_ARRAY, .key_size = 4, .value_size = 4, .max_entries = 1};

	return syscall(SYS_bpf, BPF_MAP_CREATE, &attr, sizeof(attr));
}

static long by_perf(void)
{
	struct perf_event_attr attr = {
		.type = PERF_TYPE_SOFTWARE, .size = sizeof(attr), .config = PERF_COUNT_SW_CPU_CLOCK};

	return syscall(SYS_perf_event_open, &attr, 0, -1, -1, 0);
}

static long by_memfd(void)
{
	return syscall(SYS_memfd_create, "x", 0);
}

static long protect(int to)
{
	void *p = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	return p == MAP_FAILED ? -1 : mprotect(p, 4096, to);
}

static long by_mprotect(void)
{
	return protect(PROT_READ | PROT_EXEC);
}

static long by_pkey(void)
{
	void *p = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	return syscall(SYS_pkey_mprotect, p, 4096, PROT_READ | PROT_EXEC, -1);
}

static long by_mmap(void)
{
	return mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED ? -1
													 : 0;
}

static long by_mprotect_data(void)
{
	return protect(PROT_READ);
}

static const struct way {
	const char *name;
	enum pst_pol_op op;
	const char *more; /* of the rule */
	long (*act)(void), (*beside)(void);
} ways[] = {
	{"attach", PST_OP_PROCESS_PTRACE, "targets: VICTIM", by_attach, on_nothing},
	{"seize", PST_OP_PROCESS_PTRACE, "targets: VICTIM", by_seize, on_nothing},
	{"vm_read", PST_OP_PROCESS_PTRACE, "targets: VICTIM", by_vm_read, on_nothing},
	{"proc_mem", PST_OP_PROCESS_PTRACE, "targets: VICTIM", by_proc_mem, on_nothing},
	{"getfd", PST_OP_PROCESS_PTRACE, "targets: VICTIM", by_getfd, on_nothing},
	{"traceme", PST_OP_PROCESS_PTRACE, "", by_traceme, on_nothing},
	{"kill", PST_OP_PROCESS_SIGNAL, "targets: VICTIM, signals: SIGURG", by_kill, by_other_signal},
	{"tgkill", PST_OP_PROCESS_SIGNAL, "targets: VICTIM, signals: SIGURG", by_tgkill, by_asking},
	{"tkill", PST_OP_PROCESS_SIGNAL, "targets: VICTIM, signals: SIGURG", by_tkill, by_own},
	{"queue", PST_OP_PROCESS_SIGNAL, "signals: SIGURG", by_queue, by_own},
	{"pidfd", PST_OP_PROCESS_SIGNAL, "targets: VICTIM", by_pidfd, by_own},
	{"setuid", PST_OP_PROCESS_SETID, "uids: 0", by_setuid, by_getuid},
	{"setresuid", PST_OP_PROCESS_SETID, "uids: 0", by_setresuid, by_getuid},
	{"setreuid", PST_OP_PROCESS_SETID, "uids: 0", by_setreuid, by_getuid},
	{"setfsuid", PST_OP_PROCESS_SETID, "", by_setfsuid, by_getuid},
	{"setgid", PST_OP_PROCESS_SETID, "gids: 0", by_setgid, by_getuid},
	{"setregid", PST_OP_PROCESS_SETID, "gids: 0", by_setregid, by_getuid},
	{"setresgid", PST_OP_PROCESS_SETID, "gids: 0", by_setresgid, by_getuid},
	{"setfsgid", PST_OP_PROCESS_SETID, "", by_setfsgid, by_getuid},
	{"setgroups", PST_OP_PROCESS_SETID, "", by_setgroups, by_getuid},
	{"capset", PST_OP_PROCESS_CAPSET, "capabilities: CAP_CHOWN", by_capset, by_capset_else},
	{"unshare", PST_OP_PROCESS_NAMESPACE, "", by_unshare, by_unshare_files},
	{"setns", PST_OP_PROCESS_NAMESPACE, "", by_setns, by_unshare_files},
	{"clone", PST_OP_PROCESS_NAMESPACE, "", by_clone, by_plain_clone},
	{"clone, user", PST_OP_PROCESS_NAMESPACE, "", by_clone_user, by_plain_clone},
	{"clone3", PST_OP_PROCESS_NAMESPACE, "", by_clone3, by_plain_clone3},
	{"bpf", PST_OP_PROCESS_BPF, "", by_bpf, on_nothing},
	{"perf", PST_OP_PROCESS_PERF, "", by_perf, on_nothing},
	{"memfd", PST_OP_PROCESS_MEMFD, "", by_memfd, on_nothing},
	{"mprotect", PST_OP_PROCESS_MPROTECT, "access: execute", by_mprotect, by_mprotect_data},
	{"pkey_mprotect", PST_OP_PROCESS_MPROTECT, "access: execute", by_pkey, by_mprotect_data},
	{"mmap", PST_OP_PROCESS_MPROTECT, "access: execute", by_mmap, by_mprotect_data},
};

/* ---- acts ---- */

struct deed {
	int group; /* -1: in none */
	long (*act)(void);
	int out; /* a byte when it happened */
};

static void do_it(void *arg)
{
	const struct deed *d = arg;

	alarm(60);
	if (d->group >= 0)
		enter(groups[d->group]);
	said = d->out;
	if (d->act() < 0)
		_exit(errno);
	if (write(d->out, "x", 1) != 1)
		_exit(85);
	_exit(0);
}

struct outcome {
	pid_t pid;
	int status;
	char text[8]; /* what was said */
};

static struct outcome outcome_of(int group, long (*act)(void))
{
	struct deed d = {.group = group, .act = act};
	struct outcome o = {0};
	int pipes[2];

	reclog_clear(&recs);
	assert_int_equal(pipe2(pipes, O_CLOEXEC), 0);
	d.out = pipes[1];
	o.pid = run(do_it, &d);
	close(pipes[1]);
	o.status = reap(o.pid);
	assert_true(read(pipes[0], o.text, sizeof(o.text) - 1) >=
		    0); /* until all who could say something are gone */
	close(pipes[0]);
	return o;
}

static void assert_killed(const struct way *w)
{
	struct outcome o = outcome_of(0, w->act);
	const struct pst_rec_policy *r;

	if (!WIFSIGNALED(o.status) || WTERMSIG(o.status) != SIGKILL || o.text[0])
		fail_msg("%s: status %#x, said '%s'", w->name, (unsigned)o.status, o.text);
	r = reclog_want(&recs, PST_REC_POLICY, (unsigned)o.pid);
	assert_int_equal(r->op, w->op);
	assert_int_equal(r->hook, PST_HOOK_TRACEPOINT);
	assert_int_equal(r->done, PST_DONE_KILLED);
	assert_int_equal(r->told, PST_TOLD_ALL);
	assert_int_equal(r->generation, (uint32_t)page->generation);
	if (strstr(w->more, "targets"))
		assert_int_equal(r->target_pid, other);
	assert_int_equal(r->signal, w->op == PST_OP_PROCESS_SIGNAL ? SIGURG : 0);
	assert_int_equal(reclog_count(&recs, PST_REC_POLICY, (unsigned)o.pid), 1);
}

static void assert_allowed(const char *name, int group, long (*act)(void))
{
	struct outcome o = outcome_of(group, act);

	if (!WIFEXITED(o.status) || WEXITSTATUS(o.status) || !strchr(o.text, 'x'))
		fail_msg("%s: status %#x, said '%s'", name, (unsigned)o.status, o.text);
	assert_int_equal(reclog_count(&recs, PST_REC_POLICY, (unsigned)o.pid), 0);
}

/* A rule of the way, with the victim's path. */
static void forbid(const struct way *w, const char *action)
{
	static const char *const names[PST_OPS_MAX] = {
#define OP_NAME(id, number, name, asks, help) [number] = (name),
		PST_POLICY_OPS(OP_NAME)
#undef OP_NAME
	};
	const char *at = strstr(w->more, "VICTIM");
	PST_FREE char *rules = NULL, *more = NULL;

	if (at)
		assert_true(asprintf(&more, "%.*s%s%s, ", (int)(at - w->more), w->more, in_base("victim"),
				    at + 6) > 0);
	else
		assert_true(asprintf(&more, "%s%s", w->more, *w->more ? ", " : "") >= 0);
	assert_true(asprintf(&rules, "    - {name: r, operations: %s, %saction: %s}\n", names[w->op], more,
			    action) > 0);
	put(rules);
}

/* ---- tests ---- */

static void each_way(void **state)
{
	(void)state;
	for (size_t i = 0; i < PST_ARRAY_SIZE(ways); i++) {
		const struct way *w = &ways[i];

		other = victim;
		assert_allowed(w->name, 0, w->act); /* it works where nothing forbids it */
		forbid(w, "kill");
		assert_killed(w);
		assert_allowed(w->name, 0, w->beside);
		assert_allowed(w->name, -1, w->act);
		other = neighbour;
		if (strstr(w->more, "targets"))
			assert_allowed(w->name, 0, w->act);
		lift();
	}
}

/* What is told and not forbidden goes on, once for each act. */
static void is_told(void **state)
{
	(void)state;
	other = victim;
	for (size_t i = 0; i < PST_ARRAY_SIZE(ways); i++) {
		const struct pst_rec_policy *r;
		struct outcome o;

		forbid(&ways[i], "audit");
		o = outcome_of(0, ways[i].act);
		assert_true(WIFEXITED(o.status));
		r = reclog_want(&recs, PST_REC_POLICY, (unsigned)o.pid);
		assert_int_equal(r->op, ways[i].op);
		assert_int_equal(r->action, PST_ACT_AUDIT);
		assert_int_equal(r->done, PST_DONE_TOLD);
		assert_int_equal(reclog_count(&recs, PST_REC_POLICY, (unsigned)o.pid), 1);
		lift();
	}
}

static long by_bad_setns(void)
{
	return setns(-1, 0) < 0 && errno == EBADF ? 0 : -1;
}

static long by_bad_bpf(void)
{
	return syscall(SYS_bpf, 999, NULL, 0) < 0 ? 0 : -1;
}

/* What the kernel refuses has not happened. */
static void what_fails(void **state)
{
	const struct way ns = {"setns", PST_OP_PROCESS_NAMESPACE, "", by_setns, NULL},
			 bpf = {"bpf", PST_OP_PROCESS_BPF, "", by_bpf, NULL};

	(void)state;
	forbid(&ns, "kill");
	assert_allowed("bad setns", 0, by_bad_setns);
	forbid(&bpf, "kill");
	assert_allowed("bad bpf", 0, by_bad_bpf);
	lift();
}

/* ---- before and after ---- */

static void sleeps(void *name)
{
	execl(in_base(name), "sleep", "1000", NULL);
	_exit(98);
}

/* Returns when it runs its program. */
static pid_t sleeper(const char *name)
{
	char path[64], exe[256];
	pid_t pid = run(sleeps, (void *)name);

	snprintf(path, sizeof(path), "/proc/%d/exe", pid);
	for (;;) {
		ssize_t n = readlink(path, exe, sizeof(exe) - 1);

		exe[n > 0 ? n : 0] = '\0';
		if (n > 0 && !strcmp(exe, in_base(name)))
			return pid;
		assert_int_equal(waitpid(pid, NULL, WNOHANG), 0);
		usleep(1000);
	}
}

static int setup(void **state)
{
	(void)state;
	if (folder_make(base, sizeof(base)) || groups_make())
		return -1;
	copy_file("/bin/sleep", in_base("victim"), 0755);
	copy_file("/bin/sleep", in_base("neighbour"), 0755);
	lines = lineage_bpf__open_and_load();
	if (!lines || lineage_bpf__attach(lines))
		return -1;
	skel = enforceproc_bpf__open();
	if (!skel)
		return -1;
	skel->rodata->cfg_proc_calls = true;
	skel->rodata->cfg_made_calls = true;
	bpf_program__set_autoload(skel->progs.enforce_module, false);
	if (bpf_map__reuse_fd(skel->maps.lineages, bpf_map__fd(lines->maps.lineages)) ||
		enforceproc_bpf__load(skel) || enforceproc_bpf__attach(skel))
		return -1;
	tables_open(skel->obj, skel->rodata->cfg_path_key);
	victim = sleeper("victim");
	neighbour = sleeper("neighbour");
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	kill(victim, SIGKILL);
	kill(neighbour, SIGKILL);
	reap(victim);
	reap(neighbour);
	tables_close();
	enforceproc_bpf__destroy(skel);
	lineage_bpf__destroy(lines);
	groups_remove();
	return folder_remove(base);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_way),
		cmocka_unit_test(is_told),
		cmocka_unit_test(what_fails),
	};

	setenv("CMOCKA_MESSAGE_OUTPUT", "TAP", 0);
	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, setup, teardown);
}
