// SPDX-License-Identifier: Apache-2.0
/* Records of checked capabilities, on both rungs: the kernel's question of its security modules, and a
 * tracepoint. */
#include <sys/mman.h>

#include "bpf/capability.skel.h"
#include "tests/bpf/procs.h"

#define CAP_SYS_CHROOT 18
#define CAP_SYS_PTRACE 19
#define USER_NS_INIT   0xeffffffdu
#define HOUR_NS        3600000000000ull
#define SECOND_NS      1000000000ull
#define MANY           20

static bool fexit_rung; /* else the tracepoint */
static struct capability_bpf *skel;
static struct reclog recs;

/* What a child tells. */
static struct {
	long ret;
	int error;
	uint32_t user_ns;
} * said;

/* Each test begins with a table that knows nothing. False: the kernel has not this rung. */
static bool begin(uint64_t interval_ns)
{
	skel = capability_bpf__open();
	assert_non_null(skel);
	skel->rodata->cfg_capability_ns = interval_ns;
	bpf_program__set_autoload(skel->progs.capability_asked, fexit_rung);
	bpf_program__set_autoload(skel->progs.capability_traced, !fexit_rung);
	if (capability_bpf__load(skel)) {
		if (fexit_rung)
			assert_int_equal(errno, EPERM); /* locked down */
		else
			assert_true(libbpf_find_vmlinux_btf_id("cap_capable", BPF_TRACE_RAW_TP) < 0);
		capability_bpf__destroy(skel);
		skel = NULL;
		return false;
	}
	assert_int_equal(capability_bpf__attach(skel), 0);
	reclog_open(&recs, bpf_map__fd(skel->maps.ring_process));
	return true;
}

static int end(void **state)
{
	(void)state;
	if (skel) {
		reclog_close(&recs);
		capability_bpf__destroy(skel);
		skel = NULL;
	}
	return 0;
}

#define BEGIN(interval_ns)                                                                                   \
	do {                                                                                                 \
		if (!begin(interval_ns))                                                                     \
			skip_because("this kernel does not have this rung");                                 \
	} while (0)

static uint64_t suppressed(void)
{
	return stat_sum(bpf_map__fd(skel->maps.class_stats), PST_CLASS_PROCESS,
		offsetof(struct pst_class_stat, suppressed));
}

static uint32_t act(void (*fn)(void *))
{
	pid_t pid = run(fn, NULL);

	assert_int_equal(reap(pid), 0);
	return (uint32_t)pid;
}

/* The n-th record (from 0) of that capability by that process, or NULL. */
static const struct pst_rec_capability *nth(uint32_t pid, uint32_t capability, int n)
{
	const struct pst_rec_capability *r;

	for (int i = 0; (r = reclog_nth(&recs, PST_REC_CAPABILITY, pid, i)); i++)
		if (r->capability == capability && n-- == 0)
			return r;
	return NULL;
}

static const struct pst_rec_capability *only(uint32_t pid, uint32_t capability)
{
	const struct pst_rec_capability *r = nth(pid, capability, 0);

	assert_non_null(r);
	assert_null(nth(pid, capability, 1));
	assert_int_equal(r->h.size, sizeof(*r));
	assert_int_equal(r->checks, 1);
	assert_int_equal(r->pad, 0);
	assert_string_equal(r->task.comm, "test_capability");
	return r;
}

static void assert_flags(const struct pst_rec_capability *r, uint32_t flags, bool noaudit)
{
	if (!fexit_rung)
		flags |= PST_CAP_AUDIT_UNKNOWN;
	else if (noaudit)
		flags |= PST_CAP_NOAUDIT;
	assert_int_equal(r->flags, flags);
}

static void do_chroot(void *arg)
{
	(void)arg;
	said->user_ns = proc_ns(getpid(), "user");
	said->ret = chroot("/");
	said->error = said->ret ? errno : 0;
	_exit(0);
}

static void drop(void)
{
	if (setgid(65534) || setuid(65534))
		_exit(90);
}

static void do_chroot_stranger(void *arg)
{
	drop();
	do_chroot(arg);
}

static void do_chroot_inside(void *arg)
{
	if (unshare(CLONE_NEWUSER))
		_exit(91);
	do_chroot(arg);
}

static void check_answers(void **state)
{
	const struct pst_rec_capability *r;
	bool host = proc_ns(getpid(), "user") == USER_NS_INIT;

	(void)state;
	BEGIN(HOUR_NS);
	r = only(act(do_chroot), CAP_SYS_CHROOT);
	assert_int_equal(said->error, 0);
	assert_int_equal(r->user_ns, said->user_ns);
	assert_flags(r, PST_CAP_GRANTED | (host ? PST_CAP_INIT_NS : 0), false);

	r = only(act(do_chroot_stranger), CAP_SYS_CHROOT);
	assert_int_equal(said->error, EPERM);
	assert_flags(r, host ? PST_CAP_INIT_NS : 0, false);
	assert_int_equal(r->task.uid, 65534);

	r = only(act(do_chroot_inside), CAP_SYS_CHROOT); /* all capabilities, over what is its own */
	assert_int_equal(said->error, 0);
	assert_int_equal(r->user_ns, said->user_ns);
	assert_int_not_equal(r->user_ns, USER_NS_INIT);
	assert_flags(r, PST_CAP_GRANTED, false);
}

static void do_look(void *arg)
{
	char path[64], buf[64];

	(void)arg;
	drop();
	snprintf(path, sizeof(path), "/proc/%d/stat", getppid());
	slurp(path, buf, sizeof(buf)); /* some fields are for those who may trace it */
	_exit(buf[0] ? 0 : 92);
}

static void check_noaudit(void **state)
{
	const struct pst_rec_capability *r;
	bool host = proc_ns(getpid(), "user") == USER_NS_INIT;

	(void)state;
	BEGIN(HOUR_NS);
	r = only(act(do_look), CAP_SYS_PTRACE);
	assert_flags(r, host ? PST_CAP_INIT_NS : 0, true);
}

static void do_many(void *arg)
{
	(void)arg;
	for (int i = 0; i < MANY; i++)
		if (chroot("/"))
			_exit(93);
	_exit(0);
}

/* Equal checks are one record, of whichever process, and what is folded is counted. */
static void check_folded(void **state)
{
	uint64_t before;

	(void)state;
	BEGIN(HOUR_NS);
	only(act(do_many), CAP_SYS_CHROOT);
	before = suppressed();
	assert_true(before >= MANY - 1);
	assert_null(nth(act(do_many), CAP_SYS_CHROOT, 0));
	assert_true(suppressed() >= before + MANY);
}

/* The next record, an interval later, has the number of those before. */
static void check_counted(void **state)
{
	const struct pst_rec_capability *r = NULL;
	uint64_t checks = 0;

	(void)state;
	BEGIN(SECOND_NS);
	while (!r) {
		assert_int_equal(chroot("/"), 0);
		checks++;
		r = nth((uint32_t)getpid(), CAP_SYS_CHROOT, 1);
		usleep(10000);
	}
	assert_int_equal(r->checks, checks);
	assert_true(checks > 2);
}

static int setup(void **state)
{
	(void)state;
	said = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	return said == MAP_FAILED ? -1 : 0;
}

#define ON_BOTH(name)                                                                                        \
	static void test_##name##_fexit(void **state)                                                        \
	{                                                                                                    \
		fexit_rung = true;                                                                           \
		check_##name(state);                                                                         \
	}                                                                                                    \
	static void test_##name##_tp_btf(void **state)                                                       \
	{                                                                                                    \
		fexit_rung = false;                                                                          \
		check_##name(state);                                                                         \
	}

ON_BOTH(answers)
ON_BOTH(noaudit)
ON_BOTH(folded)
ON_BOTH(counted)

#define BOTH(name)                                                                                           \
	cmocka_unit_test_teardown(test_##name##_fexit, end),                                                 \
		cmocka_unit_test_teardown(test_##name##_tp_btf, end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		BOTH(answers),
		BOTH(noaudit),
		BOTH(folded),
		BOTH(counted),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, setup, NULL);
}
