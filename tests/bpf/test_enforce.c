// SPDX-License-Identifier: Apache-2.0
/*
 * Policies in force on execs and opens, on each rung that the kernel has: what is forbidden does not happen,
 * what is beside it does, and a record tells of it. Scoped to a control group that the test made.
 */
#include "bpf/enforce.skel.h"
#include "bpf/lineage.skel.h"
#include "tests/bpf/enforcerun.h"

enum rung { BY_LSM, BY_FENTRY, BY_TRACEPOINT, RUNGS };
static const char *const rung_names[RUNGS] = {"lsm", "fentry", "tracepoint"};
static const unsigned hooks[RUNGS] = {PST_HOOK_LSM, PST_HOOK_FENTRY, PST_HOOK_TRACEPOINT};

static enum rung rung;
static struct enforce_bpf *skel;
static struct lineage_bpf *lines;

/* ---- the kernel's part ---- */

static void choose(struct bpf_program *open, struct bpf_program *exec, enum rung r)
{
	bpf_program__set_autoload(open, rung == r);
	bpf_program__set_autoload(exec, rung == r);
}

/* False: this kernel has no such rung. */
static bool load(void)
{
	int r;

	skel = enforce_bpf__open();
	assert_non_null(skel);
	choose(skel->progs.enforce_open, skel->progs.enforce_exec, BY_LSM);
	choose(skel->progs.enforce_open_f, skel->progs.enforce_exec_f, BY_FENTRY);
	choose(skel->progs.enforce_open_x, skel->progs.enforce_begun, BY_TRACEPOINT);
	assert_int_equal(bpf_map__reuse_fd(skel->maps.lineages, bpf_map__fd(lines->maps.lineages)), 0);
	r = enforce_bpf__load(skel);
	if (!r)
		r = enforce_bpf__attach(skel);
	if (r) {
		enforce_bpf__destroy(skel);
		skel = NULL;
		assert_int_not_equal(rung, BY_TRACEPOINT);
		assert_int_equal(r, -EPERM); /* else it is our own fault */
		return false;
	}
	tables_open(skel->obj, skel->rodata->cfg_path_key);
	return true;
}

static void unload(void)
{
	if (!skel)
		return;
	tables_close();
	enforce_bpf__destroy(skel);
	skel = NULL;
}

/* A rule about a file in the folder, whose action is what the rung can do. */
static void forbid(const char *operation, const char *name, const char *more)
{
	PST_FREE char *rules = NULL;

	assert_true(asprintf(&rules, "    - {name: r, operations: %s, paths: %s, %s}\n", operation,
			    in_base(name), more) > 0);
	put(rules);
}

static void forbid_strictly(const char *operation, const char *name)
{
	forbid(operation, name, rung == BY_LSM ? "action: deny, errno: ESRCH" : "action: kill");
}

/* ---- acts ---- */

struct deed {
	int group; /* -1: in none */
	const char *open, *exec;
	int times;
	int out; /* a byte for each that happened */
};

static void tell(const struct deed *d)
{
	if (write(d->out, "x", 1) != 1)
		_exit(85);
}

static void do_it(void *arg)
{
	const struct deed *d = arg;

	alarm(60);
	if (d->group >= 0)
		enter(groups[d->group]);
	for (int i = 0; d->open && i < d->times; i++) {
		int fd = open(d->open, O_RDONLY | O_CLOEXEC);

		if (fd < 0)
			_exit(errno);
		tell(d);
		close(fd);
	}
	if (d->exec) {
		dup2(d->out, 1);
		execl(d->exec, "echo", "-n", "x", NULL);
		_exit(errno);
	}
	_exit(0);
}

struct outcome {
	int happened, error, signal;
	pid_t pid;
};

static struct outcome outcome_of(struct deed d)
{
	struct outcome o = {0};
	char text[64];
	int pipes[2], status;
	ssize_t n;

	reclog_clear(&recs);
	assert_int_equal(pipe(pipes), 0);
	d.out = pipes[1];
	o.pid = run(do_it, &d);
	close(pipes[1]);
	status = reap(o.pid);
	n = read(pipes[0], text, sizeof(text));
	close(pipes[0]);
	o.happened = n > 0 ? (int)n : 0;
	o.error = WIFEXITED(status) ? WEXITSTATUS(status) : 0;
	o.signal = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
	return o;
}

static struct outcome opens(const char *name, int group)
{
	return outcome_of((struct deed){.group = group, .open = in_base(name), .times = 1});
}

static struct outcome starts(const char *name, int group)
{
	return outcome_of((struct deed){.group = group, .exec = in_base(name)});
}

static const struct pst_rec_policy *record_of(const struct outcome *o)
{
	return reclog_want(&recs, PST_REC_POLICY, (unsigned)o->pid);
}

static void assert_allowed(struct outcome o)
{
	assert_int_equal(o.happened, 1);
	assert_int_equal(o.error, 0);
	assert_int_equal(o.signal, 0);
	assert_int_equal(reclog_count(&recs, PST_REC_POLICY, (unsigned)o.pid), 0);
}

static void assert_path(const struct pst_rec_policy *r, const char *path)
{
	assert_int_equal(r->path_len, strlen(path));
	assert_memory_equal((const char *)(r + 1), path, r->path_len);
}

static void assert_forbidden(struct outcome o, unsigned op, const char *name)
{
	const struct pst_rec_policy *r = record_of(&o);

	assert_int_equal(o.happened, 0);
	assert_int_equal(o.error, rung == BY_LSM ? ESRCH : 0);
	assert_int_equal(o.signal, rung == BY_LSM ? 0 : SIGKILL);
	assert_int_equal(r->op, op);
	assert_int_equal(r->hook, hooks[rung]);
	assert_int_equal(r->action, rung == BY_LSM ? PST_ACT_DENY : PST_ACT_KILL);
	assert_int_equal(r->would, r->action);
	assert_int_equal(r->done, rung == BY_LSM ? PST_DONE_DENIED : PST_DONE_KILLED);
	assert_int_equal(r->generation, (uint32_t)page->generation);
	assert_int_equal(r->policy, 0);
	assert_int_equal(r->rule, 0);
	assert_int_equal(r->told, PST_TOLD_ALL);
	assert_true(r->ino != 0);
	assert_path(r, in_base(name));
	assert_int_equal(reclog_count(&recs, PST_REC_POLICY, (unsigned)o.pid), 1);
}

/* ---- tests ---- */

static void check_open(void)
{
	forbid_strictly("file.open", "secret");
	assert_forbidden(opens("secret", 0), PST_OP_FILE_OPEN, "secret");
	assert_forbidden(opens("link", 0), PST_OP_FILE_OPEN, "secret");
	assert_allowed(opens("other", 0));
	assert_allowed(opens("secret", -1));
	lift();
	assert_allowed(opens("secret", 0));
}

static void check_exec(void)
{
	forbid_strictly("process.exec", "echo");
	assert_forbidden(starts("echo", 0), PST_OP_PROCESS_EXEC, "echo");
	assert_allowed(starts("echo2", 0));
	assert_allowed(starts("echo", -1));
	assert_allowed(opens("echo", 0));
	lift();
	assert_allowed(starts("echo", 0));
}

/* A group in one that is known, and one in that which nobody has told of. */
static void check_groups(void)
{
	forbid_strictly("file.open", "secret");
	assert_forbidden(opens("secret", 1), PST_OP_FILE_OPEN, "secret");
	assert_forbidden(opens("secret", 2), PST_OP_FILE_OPEN, "secret");
	assert_allowed(opens("other", 2));
	lift();
}

static void check_audit(void)
{
	const struct pst_rec_policy *r;
	struct outcome o;

	forbid("file.open", "secret", "action: audit");
	o = opens("secret", 0);
	assert_int_equal(o.happened, 1);
	r = record_of(&o);
	assert_int_equal(r->action, PST_ACT_AUDIT);
	assert_int_equal(r->done, PST_DONE_TOLD);
	assert_path(r, in_base("secret"));
	lift();
}

/* What the hook cannot do is not said to have been done. */
static void check_deny(void)
{
	struct outcome o;

	forbid("file.open", "secret", "action: deny, errno: EACCES");
	o = opens("secret", 0);
	assert_int_equal(o.happened, rung != BY_LSM);
	assert_int_equal(o.error, rung == BY_LSM ? EACCES : 0);
	assert_int_equal(record_of(&o)->done, rung == BY_LSM ? PST_DONE_DENIED : PST_DONE_TOLD);
	lift();
}

static void check_throttle(void)
{
	struct outcome o;

	if (rung != BY_LSM)
		return;
	forbid("file.open", "secret", "action: throttle, rate: 3/1h");
	o = outcome_of((struct deed){.group = 0, .open = in_base("secret"), .times = 5});
	assert_int_equal(o.happened, 3);
	assert_int_equal(o.error, EPERM);
	assert_int_equal(record_of(&o)->done, PST_DONE_DENIED);
	assert_int_equal(reclog_count(&recs, PST_REC_POLICY, (unsigned)o.pid), 1);
	lift();
}

/* LSM programs are attached and never called where the kernel was started without them. */
static bool is_called(void)
{
	struct outcome o;

	forbid("file.open", "secret", "action: audit");
	o = opens("secret", 0);
	lift();
	return reclog_count(&recs, PST_REC_POLICY, (unsigned)o.pid) == 1;
}

static void on_rung(enum rung r)
{
	rung = r;
	if (!load() || (r == BY_LSM && !is_called()))
		skip_because("this kernel has no rung %s", rung_names[r]);
	check_open();
	check_exec();
	check_groups();
	check_audit();
	check_deny();
	check_throttle();
}

static void at_lsm(void **state)
{
	(void)state;
	on_rung(BY_LSM);
}

static void at_fentry(void **state)
{
	(void)state;
	on_rung(BY_FENTRY);
}

static void at_tracepoints(void **state)
{
	(void)state;
	on_rung(BY_TRACEPOINT);
}

static int after(void **state)
{
	(void)state;
	unload();
	return 0;
}

static int make_files(void)
{
	static const char *const files[] = {"secret", "other"};

	for (size_t i = 0; i < PST_ARRAY_SIZE(files); i++) {
		int fd = open(in_base(files[i]), O_WRONLY | O_CREAT | O_CLOEXEC, 0644);

		if (fd < 0)
			return -1;
		close(fd);
	}
	copy_file("/bin/echo", in_base("echo"), 0755);
	copy_file("/bin/echo", in_base("echo2"), 0755);
	return symlink("secret", in_base("link"));
}

static int setup(void **state)
{
	(void)state;
	if (folder_make(base, sizeof(base)) || make_files() || groups_make())
		return -1;
	lines = lineage_bpf__open_and_load();
	return !lines || lineage_bpf__attach(lines) ? -1 : 0;
}

static int teardown(void **state)
{
	(void)state;
	lineage_bpf__destroy(lines);
	groups_remove();
	return folder_remove(base);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(at_lsm, after),
		cmocka_unit_test_teardown(at_fentry, after),
		cmocka_unit_test_teardown(at_tracepoints, after),
	};

	setenv("CMOCKA_MESSAGE_OUTPUT", "TAP", 0);
	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, setup, teardown);
}
