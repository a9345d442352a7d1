// SPDX-License-Identifier: Apache-2.0
/* Changes of credentials, on both rungs: fentry on commit_creds, and the system calls that may change them.
 */
#include <linux/capability.h>
#include <sys/fsuid.h>
#include <sys/mman.h>

#include "bpf/cred.skel.h"
#include "bpf/sysexit.skel.h"
#include "tests/bpf/procs.h"
#include "tests/bpf/rungs.h"

static char base[64];

/* Both are attached at once, each with a ring of its own; a test looks at one of them. */
struct rung {
	struct cred_bpf *fentry;
	struct sysexit_bpf *sysexit;
	struct reclog recs;
};
static struct rung fentry_rung, sysexit_rung, *rung;

/* ---- what to expect: /proc/PID/status before and after, written by the child ---- */

static void proc_cred(struct pst_cred *c)
{
	char buf[4096];
	const char *at;

	memset(c, 0, sizeof(*c));
	slurp("/proc/thread-self/status", buf, sizeof(buf));
	at = strstr(buf, "\nUid:");
	if (!at || sscanf(at, "\nUid: %u %u %u %u", &c->uid, &c->euid, &c->suid, &c->fsuid) != 4)
		_exit(95);
	at = strstr(buf, "\nGid:");
	if (!at || sscanf(at, "\nGid: %u %u %u %u", &c->gid, &c->egid, &c->sgid, &c->fsgid) != 4)
		_exit(95);
	c->cap_permitted = strtoull(strstr(buf, "CapPrm:") + 7, NULL, 16);
	c->cap_effective = strtoull(strstr(buf, "CapEff:") + 7, NULL, 16);
}

struct change {
	long (*call)(void);
	struct pst_cred before, after;
	long result;
	int tid;
};

static struct change *change; /* shared with the child */

static void child_change(void *arg)
{
	(void)arg;
	proc_cred(&change->before);
	change->result = change->call();
	change->tid = (int)syscall(SYS_gettid);
	proc_cred(&change->after);
	_exit(0);
}

/* The child's records of that kind, n of them expected; the first. */
static const struct pst_rec_cred *change_of(long (*call)(void), int n)
{
	pid_t pid;

	reclog_clear(&rung->recs);
	memset(change, 0, sizeof(*change));
	change->call = call;
	pid = run(child_change, NULL);
	assert_int_equal(reap(pid), 0);
	assert_int_equal(reclog_count(&rung->recs, PST_REC_CRED, (unsigned int)pid), n);
	return n ? reclog_nth(&rung->recs, PST_REC_CRED, (unsigned int)pid, 0) : NULL;
}

static void assert_change(long (*call)(void))
{
	const struct pst_rec_cred *r = change_of(call, 1);

	assert_int_equal(change->result, 0);
	assert_int_equal(r->h.size, sizeof(*r));
	assert_int_equal(r->h.flags, 0);
	assert_int_equal(r->task.tid, change->tid);
	assert_string_equal(r->task.comm, "test_cred");
	assert_memory_equal(&r->before, &change->before, sizeof(r->before));
	assert_memory_equal(&r->after, &change->after, sizeof(r->after));
	assert_memory_not_equal(&r->before, &r->after, sizeof(r->after));
}

static long do_setresuid(void)
{
	return syscall(SYS_setresuid, 11, 12, 13);
}

static long do_setresgid(void)
{
	return syscall(SYS_setresgid, 11, 12, 13);
}

static long do_setuid(void)
{
	return syscall(SYS_setuid, 14);
}

static long do_setgid(void)
{
	return syscall(SYS_setgid, 15);
}

static long do_setreuid(void)
{
	return syscall(SYS_setreuid, 16, 17);
}

static long do_setregid(void)
{
	return syscall(SYS_setregid, 18, 19);
}

static long do_setfsuid(void)
{
	return setfsuid(20);
}

static long do_setfsgid(void)
{
	return setfsgid(21);
}

static long do_capset(void)
{
	struct __user_cap_header_struct h = {_LINUX_CAPABILITY_VERSION_3, 0};
	struct __user_cap_data_struct d[2];

	if (syscall(SYS_capget, &h, d))
		return -1;
	d[0].effective &= ~(1U << CAP_CHOWN);
	return syscall(SYS_capset, &h, d);
}

static void check_calls(void **state)
{
	static long (*const calls[])(void) = {do_setresuid, do_setresgid, do_setuid, do_setgid, do_setreuid,
		do_setregid, do_setfsuid, do_setfsgid, do_capset};

	(void)state;
	for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++)
		assert_change(calls[i]);
}

/* ---- nothing happened ---- */

static long no_change(void)
{
	return syscall(SYS_setresuid, -1, 0, -1);
}

static long refused(void)
{
	if (syscall(SYS_setresuid, 1234, 1234, 1234))
		return 1;
	return syscall(SYS_setresuid, 0, 0, 0) == -1 ? 0 : 2;
}

static void check_silence(void **state)
{
	(void)state;
	change_of(no_change, 0);
	assert_int_equal(change->result, 0);
	change_of(refused, 1); /* the first of the two calls */
	assert_int_equal(change->result, 0);
}

/* ---- a new user namespace gives every capability in it ---- */

static long do_userns(void)
{
	if (syscall(SYS_setresuid, 1234, 1234, 1234))
		return 1;
	return unshare(CLONE_NEWUSER);
}

static void check_userns(void **state)
{
	const struct pst_rec_cred *r;
	pid_t pid;

	(void)state;
	reclog_clear(&rung->recs);
	memset(change, 0, sizeof(*change));
	change->call = do_userns;
	pid = run(child_change, NULL);
	assert_int_equal(reap(pid), 0);
	if (change->result)
		skip_because("no user namespaces here");
	r = reclog_nth(&rung->recs, PST_REC_CRED, (unsigned int)pid, 1);
	assert_non_null(r);
	assert_int_equal(r->before.cap_effective, 0);
	assert_true(r->after.cap_effective != 0);
	assert_int_equal(r->after.uid, 1234);
}

/* ---- 32-bit numbering ---- */

static long do_compat_setuid(void)
{
	long ret;

	__asm__ volatile("int $0x80" : "=a"(ret) : "a"(213), "b"(77L) : "memory", "r8", "r9", "r10", "r11");
	return ret == -ENOSYS ? 1 : ret;
}

static void check_compat(void **state)
{
	const struct pst_rec_cred *r;
	pid_t pid;

	(void)state;
	reclog_clear(&rung->recs);
	memset(change, 0, sizeof(*change));
	change->call = do_compat_setuid;
	pid = run(child_change, NULL);
	if (reap(pid) || change->result)
		skip_because("this kernel takes no int 0x80");
	r = reclog_want(&rung->recs, PST_REC_CRED, (unsigned int)pid);
	assert_int_equal(r->before.uid, 0);
	assert_int_equal(r->after.uid, 77);
	assert_int_equal(reclog_count(&rung->recs, PST_REC_CRED, (unsigned int)pid), 1);
}

/* ---- exec ---- */

static void exec_as_user(void *arg)
{
	if (setresgid(1234, 1234, 1234) || setresuid(1234, 1234, 1234))
		_exit(98);
	execl(arg, "file", NULL);
}

static void *thread_exec(void *arg)
{
	execl(arg, "file", NULL);
	return arg;
}

static void exec_as_user_in_thread(void *arg)
{
	if (setresgid(1234, 1234, 1234) || setresuid(1234, 1234, 1234))
		_exit(98);
	start_thread(thread_exec, (intptr_t)arg);
	pause();
}

/* One record for the exec itself (the third of the child), with what set-user-ID changed; none for a plain
 * file. */
static void assert_exec(void (*fn)(void *), const char *path)
{
	const struct pst_rec_cred *r;
	pid_t pid;

	assert_int_equal(chmod(path, 0755), 0);
	reclog_clear(&rung->recs);
	pid = run(fn, (void *)(intptr_t)path);
	assert_int_equal(reap(pid), 0);
	assert_int_equal(reclog_count(&rung->recs, PST_REC_CRED, (unsigned int)pid), 2);

	assert_int_equal(chmod(path, 04755), 0);
	reclog_clear(&rung->recs);
	pid = run(fn, (void *)(intptr_t)path);
	assert_int_equal(reap(pid), 0);
	assert_int_equal(reclog_count(&rung->recs, PST_REC_CRED, (unsigned int)pid), 3);
	r = reclog_nth(&rung->recs, PST_REC_CRED, (unsigned int)pid, 2);
	assert_int_equal(r->h.flags, PST_CRED_DURING_EXEC);
	assert_int_equal(r->before.uid, 1234);
	assert_int_equal(r->before.euid, 1234);
	assert_int_equal(r->before.cap_effective, 0);
	assert_int_equal(r->after.uid, 1234);
	assert_int_equal(r->after.euid, 0);
	assert_int_equal(r->after.suid, 0);
	assert_true(r->after.cap_effective != 0);
	assert_int_equal(r->task.pid, pid);
}

static void check_exec(void **state)
{
	char path[128];

	(void)state;
	snprintf(path, sizeof(path), "%s/file", base);
	copy_file("/usr/bin/true", path, 0755);
	assert_exec(exec_as_user, path);
	assert_exec(exec_as_user_in_thread, path);
}

/* ---- second rung: calls that had begun before it ---- */

static void test_before_unknown(void **state)
{
	const struct pst_rec_cred *r;
	struct sysexit_bpf *own = sysexit_bpf__open();
	static const struct pst_cred zero;
	struct rung r2 = {0};

	(void)state;
	assert_non_null(own);
	bpf_program__set_autoload(own->progs.cred_enter, false);
	assert_int_equal(sysexit_bpf__load(own), 0);
	assert_int_equal(sysexit_bpf__attach(own), 0);
	reclog_open(&r2.recs, bpf_map__fd(own->maps.ring_process));
	rung = &r2;
	r = change_of(do_setresuid, 1);
	assert_int_equal(r->h.flags, PST_CRED_BEFORE_UNKNOWN);
	assert_memory_equal(&r->before, &zero, sizeof(zero));
	assert_memory_equal(&r->after, &change->after, sizeof(r->after));
	reclog_close(&r2.recs);
	sysexit_bpf__destroy(own);
}

static int setup(void **state)
{
	struct sysexit_bpf *s;

	(void)state;
	change = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (change == MAP_FAILED || folder_make(base, sizeof(base)))
		return -1;
	fentry_rung.fentry = cred_bpf__open_and_load();
	if (fentry_rung.fentry) {
		if (cred_bpf__attach(fentry_rung.fentry))
			return -1;
		reclog_open(&fentry_rung.recs, bpf_map__fd(fentry_rung.fentry->maps.ring_process));
	}
	s = sysexit_rung.sysexit = sysexit_bpf__open();
	if (!s)
		return -1;
	s->rodata->cfg_exec_failed = false;
	if (sysexit_bpf__load(s) || sysexit_bpf__attach(s))
		return -1;
	reclog_open(&sysexit_rung.recs, bpf_map__fd(s->maps.ring_process));
	return 0;
}

static void rung_close(struct rung *r)
{
	if (r->recs.rb)
		reclog_close(&r->recs);
	cred_bpf__destroy(r->fentry);
	sysexit_bpf__destroy(r->sysexit);
}

static int teardown(void **state)
{
	(void)state;
	rung_close(&fentry_rung);
	rung_close(&sysexit_rung);
	return folder_remove(base);
}

ON_RUNGS(fentry, calls)
ON_RUNGS(fentry, silence)
ON_RUNGS(fentry, userns)
ON_RUNGS(fentry, compat)
ON_RUNGS(fentry, exec)

int main(void)
{
	const struct CMUnitTest tests[] = {
		RUNGS(fentry, calls),
		RUNGS(fentry, silence),
		RUNGS(fentry, userns),
		RUNGS(fentry, compat),
		RUNGS(fentry, exec),
		cmocka_unit_test(test_before_unknown),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, setup, teardown);
}
