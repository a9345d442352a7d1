// SPDX-License-Identifier: Apache-2.0
/* exec records: path, argv and flags of real executions on this kernel. */
#include <sys/mman.h>

#include "tests/bpf/procrun.h"

/* ---- exec: the parts of the tail ---- */

static void exec_vector(void *arg)
{
	char **argv = arg;

	execv("/usr/bin/true", argv);
}

static void test_argv(void **state)
{
	static char fits[PST_ARGV_MAX - 4], one_more[PST_ARGV_MAX - 3], huge[100000];
	const struct pst_rec_exec *e;

	(void)state;
	memset(fits, 'x', sizeof(fits) - 1);
	memset(one_more, 'y', sizeof(one_more) - 1);
	memset(huge, 'z', sizeof(huge) - 1);

	e = exec_of(exec_vector, (char *[]){"true", NULL});
	assert_int_equal(e->argv_len, 4);
	assert_int_equal(e->argc, 1);
	assert_memory_equal(exec_argv(e), "true", 4);

	/* empty arguments: only the last one's end is left out */
	e = exec_of(exec_vector, (char *[]){"true", "", "x", "", NULL});
	assert_int_equal(e->argc, 4);
	assert_int_equal(e->argv_len, 8);
	assert_memory_equal(exec_argv(e), "true\0\0x\0", 8);

	/* "true" NUL and the rest: 4,096 bytes to the last but the NUL */
	e = exec_of(exec_vector, (char *[]){"true", fits, NULL});
	assert_int_equal(e->argv_len, PST_ARGV_MAX);
	assert_int_equal(e->h.flags & PST_EXEC_ARGV_CUT, 0);
	assert_memory_equal(exec_argv(e) + 5, fits, sizeof(fits) - 1);

	e = exec_of(exec_vector, (char *[]){"true", one_more, NULL});
	assert_int_equal(e->argv_len, PST_ARGV_MAX);
	assert_int_equal(e->h.flags & PST_EXEC_ARGV_CUT, PST_EXEC_ARGV_CUT);
	assert_memory_equal(exec_argv(e) + 5, one_more, PST_ARGV_MAX - 5);

	e = exec_of(exec_vector, (char *[]){"true", "a", huge, "b", NULL});
	assert_int_equal(e->argc, 4);
	assert_int_equal(e->h.flags & (PST_EXEC_ARGV_CUT | PST_EXEC_ARGV_FAULT), PST_EXEC_ARGV_CUT);
	assert_memory_equal(exec_argv(e), "true\0a\0zzzz", 11);
}

static void exec_deep(void *arg)
{
	if (chdir(arg))
		_exit(98);
	for (int i = 0; i < 70; i++)
		if ((mkdir("d0", 0755) && errno != EEXIST) || chdir("d0"))
			_exit(98);
	copy_file("/usr/bin/true", "true", 0755);
	execl("./true", "true", NULL);
}

/* Deeper than PST_PATH_DEPTH: the leaf is kept, the head is not, and that is said. */
static void test_deep_path(void **state)
{
	const struct pst_rec_exec *e = exec_of(exec_deep, base);
	const char *path;

	(void)state;
	assert_int_equal(e->h.flags, PST_EXEC_PATH_CUT | PST_EXEC_CWD_CUT);
	path = exec_path(e);
	assert_int_equal(strlen(path), (PST_PATH_DEPTH - 1) * 3 + 5);
	assert_string_equal(path + strlen(path) - 11, "/d0/d0/true");
	assert_int_equal(e->cwd_len, PST_PATH_DEPTH * 3);
	assert_memory_equal(exec_cwd(e), "/d0/d0", 6);
}

static void exec_long(void *arg)
{
	static char name[251];

	memset(name, 'n', sizeof(name) - 1);
	if (chdir(arg))
		_exit(98);
	for (int i = 0; i < 12; i++)
		if ((mkdir(name, 0755) && errno != EEXIST) || chdir(name))
			_exit(98);
	copy_file("/usr/bin/true", "true", 0755);
	execl("./true", "true", NULL);
}

/* Long names: the exe's path whole (3 KiB), the working directory's end. */
static void test_long_path(void **state)
{
	const struct pst_rec_exec *e = exec_of(exec_long, base);
	const char *path, *cwd;

	(void)state;
	assert_int_equal(e->h.flags, PST_EXEC_CWD_CUT);
	path = exec_path(e);
	assert_int_equal(strlen(path), strlen(base) + 12 * 251 + 5);
	assert_memory_equal(path, base, strlen(base));
	assert_int_equal(e->cwd_len, PST_CWD_MAX);
	cwd = exec_cwd(e);
	assert_memory_equal(cwd, path + strlen(path) - 5 - PST_CWD_MAX, PST_CWD_MAX);
}

static void exec_root_cwd(void *arg)
{
	(void)arg;
	if (chdir("/"))
		_exit(98);
	execl("usr/bin/true", "true", NULL);
}

static void test_root_cwd(void **state)
{
	const struct pst_rec_exec *e = exec_of(exec_root_cwd, NULL);

	(void)state;
	assert_string_equal(exec_cwd(e), "/");
	assert_string_equal(exec_path(e), "/usr/bin/true");
	assert_string_equal(exec_filename(e), "usr/bin/true");
}

static void exec_script(void *arg)
{
	execl(arg, "script", "one", NULL);
}

/* A script: the file as given is the script, the file that runs its interpreter, as in /proc/PID/exe. */
static void test_script(void **state)
{
	char path[128], real[PATH_MAX];
	const struct pst_rec_exec *e;
	FILE *f;

	(void)state;
	snprintf(path, sizeof(path), "%s/script", base);
	f = fopen(path, "w");
	assert_non_null(f);
	fputs("#!/bin/sh\nexit 0\n", f);
	fclose(f);
	assert_int_equal(chmod(path, 0755), 0);
	e = exec_of(exec_script, path);
	assert_string_equal(exec_filename(e), path);
	assert_non_null(realpath("/bin/sh", real));
	assert_string_equal(exec_path(e), real);
	assert_string_equal(e->task.comm, "script");
	assert_int_equal(e->argc, 3);
	assert_memory_equal(exec_argv(e), "/bin/sh\0", 8);
	assert_memory_equal(exec_argv(e) + 8, path, strlen(path));
}

/* ---- exec: flags ---- */

static void exec_memfd(void *arg)
{
	int fd = memfd_create("payload", MFD_CLOEXEC);
	char path[32];

	(void)arg;
	if (fd < 0)
		_exit(98);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	copy_file("/usr/bin/true", path, 0755);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	/* the writer is closed only with the last descriptor: open it again for reading */
	dup2(open(path, O_RDONLY), 9);
	close(fd);
	fexecve(9, (char *[]){"hidden", NULL}, (char *[]){NULL});
}

static void test_memfd(void **state)
{
	const struct pst_rec_exec *e = exec_of(exec_memfd, NULL);

	(void)state;
	assert_int_equal(e->h.flags, PST_EXEC_MEMFD | PST_EXEC_UNLINKED);
	assert_string_equal(exec_path(e), "/memfd:payload");
	assert_string_equal(exec_filename(e), "/dev/fd/9");
}

static void exec_unlinked(void *arg)
{
	int fd;

	copy_file("/usr/bin/true", arg, 0755);
	fd = open(arg, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || unlink(arg))
		_exit(98);
	fexecve(fd, (char *[]){"gone", NULL}, (char *[]){NULL});
}

/* A file whose name only looks like a memfd's is not one. */
static void test_unlinked(void **state)
{
	char path[128];
	const struct pst_rec_exec *e;

	(void)state;
	snprintf(path, sizeof(path), "%s/memfd:gone", base);
	e = exec_of(exec_unlinked, path);
	assert_int_equal(e->h.flags, PST_EXEC_UNLINKED);
	assert_string_equal(exec_path(e), path);
}

static void exec_as_user(void *arg)
{
	if (setresuid(1234, 1234, 1234))
		_exit(98);
	execl(arg, "file", NULL);
}

static void test_setid(void **state)
{
	const struct pst_rec_exec *e;
	char path[128];

	(void)state;
	snprintf(path, sizeof(path), "%s/setuid", base);
	copy_file("/usr/bin/true", path, 0755);
	assert_int_equal(chown(path, 0, 0), 0);
	e = exec_of(exec_as_user, path);
	assert_int_equal(e->h.flags, 0);
	assert_int_equal(chmod(path, 04755), 0);
	e = exec_of(exec_as_user, path);
	assert_int_equal(e->h.flags, PST_EXEC_SETID);
	assert_int_equal(e->task.uid, 1234);
	assert_int_equal(e->euid, 0);
	assert_true(e->cap_effective != 0);
}

/* Tries a mount in a namespace of its own; the folder's files then show through. */
struct overlay {
	char lower[160], upper[160], work[160], at[160], from_lower[160], from_upper[160], copied[160];
};

static int overlay_mount(const struct overlay *o)
{
	char opts[600];

	if (unshare(CLONE_NEWNS) || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL))
		return -1;
	snprintf(opts, sizeof(opts), "lowerdir=%s,upperdir=%s,workdir=%s", o->lower, o->upper, o->work);
	return mount("overlay", o->at, "overlay", 0, opts);
}

static void exec_overlay(void *arg)
{
	const struct overlay *o = arg;

	if (overlay_mount(o))
		_exit(77);
	chmod(o->copied, 0700); /* copies it up */
	switch (fork()) {
	case 0:
		execl(o->from_lower, "lower", NULL);
		_exit(1);
	default:
		wait(NULL);
	}
	switch (fork()) {
	case 0:
		execl(o->copied, "copied", NULL);
		_exit(1);
	default:
		wait(NULL);
	}
	execl(o->from_upper, "upper", NULL);
}

/* The exec record whose path is that one. */
static const struct pst_rec_exec *exec_by_path(const char *path)
{
	for (size_t off = 0; off < recs.len;) {
		const struct pst_rec *h = (const void *)(recs.bytes + off);

		if (h->kind == PST_REC_EXEC && !strcmp(exec_path((const void *)h), path))
			return (const void *)h;
		off += h->size;
	}
	fail_msg("no exec of %s", path);
	return NULL;
}

static void test_overlay(void **state)
{
	struct overlay o;
	char dir[128], path[160];
	int status;
	pid_t pid;

	(void)state;
	snprintf(dir, sizeof(dir), "%s/ovl", base);
	assert_int_equal(mkdir(dir, 0755), 0);
#define FIELD(f, name) snprintf(o.f, sizeof(o.f), "%s/" name, dir)
	FIELD(lower, "lower");
	FIELD(upper, "upper");
	FIELD(work, "work");
	FIELD(at, "at");
	FIELD(from_lower, "at/below");
	FIELD(from_upper, "at/above");
	FIELD(copied, "at/copied");
	mkdir(o.lower, 0755);
	mkdir(o.upper, 0755);
	mkdir(o.work, 0755);
	mkdir(o.at, 0755);
	snprintf(path, sizeof(path), "%s/lower/below", dir);
	copy_file("/usr/bin/true", path, 0755);
	snprintf(path, sizeof(path), "%s/lower/copied", dir);
	copy_file("/usr/bin/true", path, 0755);
	snprintf(path, sizeof(path), "%s/upper/above", dir);
	copy_file("/usr/bin/true", path, 0755);

	reclog_clear(&recs);
	pid = run(exec_overlay, &o);
	status = reap(pid);
	if (WIFEXITED(status) && WEXITSTATUS(status) == 77)
		skip_because("this kernel cannot mount an overlay here");
	assert_int_equal(status, 0);
	reclog_want(&recs, PST_REC_EXIT, (unsigned int)pid);
	assert_int_equal(exec_by_path(o.from_lower)->h.flags, 0);
	assert_int_equal(exec_by_path(o.copied)->h.flags, PST_EXEC_UPPER);
	assert_int_equal(exec_by_path(o.from_upper)->h.flags, PST_EXEC_UPPER);
}

static void exec_bound(void *arg)
{
	const char *dir = arg;
	char path[160];

	if (unshare(CLONE_NEWNS) || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) ||
		mount("/usr/bin", dir, NULL, MS_BIND, NULL) || chdir(dir))
		_exit(98);
	snprintf(path, sizeof(path), "%s/true", dir);
	execl(path, "true", NULL);
}

/* A mount below a mount: the path is that of the mount tree, not of the file system's. */
static void test_mounts(void **state)
{
	const struct pst_rec_exec *e;
	char dir[128], path[160];

	(void)state;
	snprintf(dir, sizeof(dir), "%s/bind", base);
	snprintf(path, sizeof(path), "%s/true", dir);
	assert_int_equal(mkdir(dir, 0755), 0);
	e = exec_of(exec_bound, dir);
	assert_string_equal(exec_path(e), path);
	assert_string_equal(exec_cwd(e), dir);
	assert_int_equal(e->h.flags, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_argv),
		cmocka_unit_test(test_deep_path),
		cmocka_unit_test(test_long_path),
		cmocka_unit_test(test_root_cwd),
		cmocka_unit_test(test_script),
		cmocka_unit_test(test_memfd),
		cmocka_unit_test(test_unlinked),
		cmocka_unit_test(test_setid),
		cmocka_unit_test(test_overlay),
		cmocka_unit_test(test_mounts),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, setup, teardown);
}
