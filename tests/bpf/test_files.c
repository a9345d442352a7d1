// SPDX-License-Identifier: Apache-2.0
/* Records of changes of files, on both rungs: the kernel's own functions, and the end of system calls. */
#include <linux/fs.h>
#include <linux/io_uring.h>
#include <sys/mman.h>

#include "bpf/files.skel.h"
#include "bpf/sysexit.skel.h"
#include "tests/bpf/procs.h"
#include "tests/bpf/rungs.h"

#define RESOLVED (rung->fexit)

struct rung {
	struct files_bpf *fexit;
	struct sysexit_bpf *sysexit;
	struct reclog recs;
};
static struct rung fexit_rung, sysexit_rung, *rung;
static char base[64];

/* What a child tells of its deed. */
static struct {
	long ret;
	int error;
	struct stat st;
} * said;

static uint32_t act(void (*fn)(void *))
{
	pid_t pid;

	reclog_clear(&rung->recs);
	memset(said, 0, sizeof(*said));
	pid = run(fn, NULL);
	assert_int_equal(reap(pid), 0);
	return (uint32_t)pid;
}

static void done(long ret)
{
	said->error = ret < 0 ? errno : 0;
	said->ret = ret;
	_exit(0);
}

static const struct pst_rec_file *only(int kind, uint32_t pid)
{
	const struct pst_rec_file *r = reclog_want(&rung->recs, kind, pid);
	size_t len = 0;

	assert_int_equal(reclog_count(&rung->recs, kind, pid), 1);
	for (int i = 0; i < PST_FILE_PARTS; i++)
		len += r->len[i];
	assert_int_equal(r->h.size, (sizeof(*r) + len + 7) & ~7u);
	assert_int_equal(!!(r->h.flags & PST_FILE_AS_GIVEN), !RESOLVED);
	assert_int_equal(r->h.flags & PST_FILE_RESULT_OPEN, 0);
	assert_int_equal(r->error, said->error);
	assert_string_equal(r->task.comm, "test_files");
	return r;
}

static void assert_none(int kind, uint32_t pid)
{
	assert_int_equal(reclog_count(&rung->recs, kind, pid), 0);
}

static const char *part(const struct pst_rec_file *r, int n)
{
	static char text[PST_FILE_PARTS][PST_FILE_PATH_MAX + 1];
	const char *p = (const char *)(r + 1);

	for (int i = 0; i < n; i++)
		p += r->len[i];
	memcpy(text[n], p, r->len[n]);
	text[n][r->len[n]] = '\0';
	return text[n];
}

/* The part is @given, relative to the test's folder; resolved it is that name in @in. */
static void assert_path(const struct pst_rec_file *r, int n, const char *given, const char *in)
{
	char want[2 * PST_PATH_MAX];

	if (RESOLVED) {
		snprintf(want, sizeof(want), "%s%s%s", base, *in ? "/" : "", in);
		assert_string_equal(part(r, n), want);
		assert_int_equal(r->len[n - 1], 0);
		return;
	}
	assert_string_equal(part(r, n), given);
	assert_string_equal(part(r, n - 1), given[0] == '/' ? "" : base);
}

static void assert_file(const struct pst_rec_file *r, const struct stat *st)
{
	if (!RESOLVED) {
		assert_int_equal(r->ino, 0);
		return;
	}
	assert_int_equal(r->ino, st->st_ino);
	assert_int_equal(r->dev, kernel_dev(st->st_dev));
	assert_int_equal(r->mode, st->st_mode);
}

static void touch(const char *name)
{
	int fd = open(name, O_CREAT | O_WRONLY | O_CLOEXEC, 0640);

	if (fd < 0)
		_exit(90);
	close(fd);
}

/* ---- unlink, rmdir ---- */

static const char hostile[] = "\n\x01\xff \"\\'$(x)";

static void do_unlink(void *arg)
{
	(void)arg;
	touch(hostile);
	lstat(hostile, &said->st);
	done(syscall(SYS_unlink, hostile));
}

static void do_unlinkat(void *arg)
{
	char path[128];
	int fd;

	(void)arg;
	mkdir("dir", 0700);
	touch("dir/file");
	lstat("dir/file", &said->st);
	fd = open("dir", O_PATH | O_CLOEXEC);
	snprintf(path, sizeof(path), "../dir/./file");
	done(unlinkat(fd, path, 0));
}

static void do_rmdir(void *arg)
{
	char path[128];

	(void)arg;
	mkdir("dir", 0700);
	lstat("dir", &said->st);
	snprintf(path, sizeof(path), "%s/dir", base);
	done(syscall(SYS_rmdir, path));
}

static void do_rmdir_at(void *arg)
{
	(void)arg;
	mkdir("dir", 0700);
	lstat("dir", &said->st);
	done(unlinkat(AT_FDCWD, "dir/", AT_REMOVEDIR));
}

static void do_rmdir_full(void *arg)
{
	(void)arg;
	mkdir("dir", 0700);
	touch("dir/file");
	lstat("dir", &said->st);
	done(rmdir("dir"));
}

static void do_unlink_nothing(void *arg)
{
	(void)arg;
	done(unlink("nothing"));
}

static void check_unlink(void **state)
{
	const struct pst_rec_file *r;
	char path[128];

	(void)state;
	r = only(PST_REC_FILE_UNLINK, act(do_unlink));
	assert_int_equal(said->error, 0);
	assert_path(r, PST_FILE_PATH, hostile, hostile);
	assert_file(r, &said->st);

	r = only(PST_REC_FILE_UNLINK, act(do_unlinkat));
	assert_int_equal(said->error, 0);
	assert_file(r, &said->st);
	if (RESOLVED) {
		assert_path(r, PST_FILE_PATH, "", "dir/file");
	} else {
		snprintf(path, sizeof(path), "%s/dir", base);
		assert_string_equal(part(r, PST_FILE_BASE), path);
		assert_string_equal(part(r, PST_FILE_PATH), "../dir/./file");
	}

	r = only(PST_REC_FILE_UNLINK, act(do_rmdir));
	assert_int_equal(said->error, 0);
	snprintf(path, sizeof(path), "%s/dir", base);
	assert_path(r, PST_FILE_PATH, path, "dir");
	assert_file(r, &said->st);
	assert_true(S_ISDIR(r->mode));

	r = only(PST_REC_FILE_UNLINK, act(do_rmdir_at));
	assert_path(r, PST_FILE_PATH, "dir/", "dir");
	assert_true(S_ISDIR(r->mode));

	r = only(PST_REC_FILE_UNLINK, act(do_rmdir_full));
	assert_int_equal(said->error, ENOTEMPTY);
	assert_path(r, PST_FILE_PATH, "dir", "dir");

	if (RESOLVED) {
		assert_none(PST_REC_FILE_UNLINK, act(do_unlink_nothing));
	} else {
		r = only(PST_REC_FILE_UNLINK, act(do_unlink_nothing));
		assert_int_equal(r->error, ENOENT);
	}
	assert_int_equal(said->error, ENOENT);
}

/* ---- rename ---- */

static void do_rename(void *arg)
{
	(void)arg;
	mkdir("old", 0700);
	mkdir("new", 0700);
	touch("old/one");
	touch("new/two"); /* goes */
	lstat("old/one", &said->st);
	done(syscall(SYS_rename, "old/one", "new/two"));
}

static void do_exchange(void *arg)
{
	int fd, to;

	(void)arg;
	mkdir("old", 0700);
	mkdir("new", 0700);
	touch("old/three");
	touch("new/four");
	lstat("old/three", &said->st);
	fd = open("old", O_PATH | O_CLOEXEC);
	to = open("new", O_PATH | O_CLOEXEC);
	done(syscall(SYS_renameat2, fd, "three", to, "four", RENAME_EXCHANGE));
}

static void do_rename_folder(void *arg)
{
	(void)arg;
	mkdir("from", 0700);
	rmdir("to");
	lstat("from", &said->st);
	done(renameat(AT_FDCWD, "from", AT_FDCWD, "to"));
}

static void do_rename_refused(void *arg)
{
	(void)arg;
	mkdir("to", 0700);
	touch("plain");
	lstat("plain", &said->st);
	done(rename("plain", "to"));
}

static void assert_in(const struct pst_rec_file *r, int n, const char *folder, const char *name)
{
	char path[256];

	if (RESOLVED) {
		snprintf(path, sizeof(path), "%s/%s/%s", base, folder, name);
		assert_string_equal(part(r, n), path);
		return;
	}
	snprintf(path, sizeof(path), "%s/%s", base, folder);
	assert_string_equal(part(r, n - 1), path);
	assert_string_equal(part(r, n), name);
}

static void check_rename(void **state)
{
	const struct pst_rec_file *r;

	(void)state;
	r = only(PST_REC_FILE_RENAME, act(do_rename));
	assert_int_equal(said->error, 0);
	assert_path(r, PST_FILE_PATH, "old/one", "old/one");
	assert_path(r, PST_FILE_TO, "new/two", "new/two");
	assert_file(r, &said->st);
	assert_int_equal(r->call_flags, 0);

	r = only(PST_REC_FILE_RENAME, act(do_exchange));
	assert_int_equal(said->error, 0);
	assert_in(r, PST_FILE_PATH, "old", "three");
	assert_in(r, PST_FILE_TO, "new", "four");
	assert_file(r, &said->st);
	assert_int_equal(r->call_flags, RENAME_EXCHANGE);

	r = only(PST_REC_FILE_RENAME, act(do_rename_folder));
	assert_int_equal(said->error, 0);
	assert_path(r, PST_FILE_PATH, "from", "from");
	assert_path(r, PST_FILE_TO, "to", "to");
	assert_file(r, &said->st);

	r = only(PST_REC_FILE_RENAME, act(do_rename_refused));
	assert_int_equal(said->error, EISDIR);
	assert_path(r, PST_FILE_PATH, "plain", "plain");
	assert_path(r, PST_FILE_TO, "to", "to");
}

/* ---- link, symlink ---- */

static void do_link(void *arg)
{
	(void)arg;
	touch("linked");
	unlink("link");
	lstat("linked", &said->st);
	done(syscall(SYS_link, "linked", "link"));
}

static void do_linkat(void *arg)
{
	(void)arg;
	touch("linked");
	unlink("link");
	lstat("linked", &said->st);
	done(linkat(AT_FDCWD, "linked", AT_FDCWD, "link", AT_SYMLINK_FOLLOW));
}

static void check_link(void **state)
{
	const struct pst_rec_file *r;

	(void)state;
	for (int i = 0; i < 2; i++) {
		r = only(PST_REC_FILE_LINK, act(i ? do_linkat : do_link));
		assert_int_equal(said->error, 0);
		assert_path(r, PST_FILE_PATH, "linked", "linked");
		assert_path(r, PST_FILE_TO, "link", "link");
		assert_file(r, &said->st);
	}
	assert_int_equal(r->call_flags, RESOLVED ? 0 : AT_SYMLINK_FOLLOW);
}

static char long_text[PST_PATH_MAX];

static void do_symlink(void *arg)
{
	(void)arg;
	unlink("symbol");
	said->ret = syscall(SYS_symlink, "../no/such\nfile", "symbol");
	lstat("symbol", &said->st);
	done(said->ret);
}

static void do_symlink_long(void *arg)
{
	(void)arg;
	unlink("symbol");
	said->ret = symlinkat(long_text, AT_FDCWD, "symbol");
	lstat("symbol", &said->st);
	done(said->ret);
}

static void do_symlink_again(void *arg)
{
	(void)arg;
	done(symlink("x", "symbol"));
}

static void check_symlink(void **state)
{
	const struct pst_rec_file *r;

	(void)state;
	r = only(PST_REC_FILE_SYMLINK, act(do_symlink));
	assert_int_equal(said->error, 0);
	assert_path(r, PST_FILE_PATH, "symbol", "symbol");
	assert_string_equal(part(r, PST_FILE_TO), "../no/such\nfile");
	assert_int_equal(r->len[PST_FILE_TO_BASE], 0);
	assert_file(r, &said->st);

	memset(long_text, 't', PST_FILE_PATH_MAX);
	r = only(PST_REC_FILE_SYMLINK, act(do_symlink_long));
	assert_string_equal(part(r, PST_FILE_TO), long_text);
	assert_int_equal(r->h.flags & PST_FILE_TO_CUT, 0);

	if (RESOLVED) { /* it is not asked whether that may be */
		assert_none(PST_REC_FILE_SYMLINK, act(do_symlink_again));
	} else {
		r = only(PST_REC_FILE_SYMLINK, act(do_symlink_again));
		assert_int_equal(r->error, EEXIST);
	}
}

/* ---- mkdir, mknod ---- */

static void do_mkdir(void *arg)
{
	(void)arg;
	rmdir("made");
	umask(0);
	said->ret = syscall(SYS_mkdir, "made", 01711);
	lstat("made", &said->st);
	done(said->ret);
}

static void do_mkdirat(void *arg)
{
	(void)arg;
	rmdir("made");
	umask(0);
	said->ret = mkdirat(AT_FDCWD, "made", 0750);
	lstat("made", &said->st);
	done(said->ret);
}

static void check_mkdir(void **state)
{
	const struct pst_rec_file *r;

	(void)state;
	for (int i = 0; i < 2; i++) {
		r = only(PST_REC_FILE_MKDIR, act(i ? do_mkdirat : do_mkdir));
		assert_int_equal(said->error, 0);
		assert_path(r, PST_FILE_PATH, "made", "made");
		assert_file(r, &said->st);
		assert_int_equal(r->mode, said->st.st_mode);
	}
}

static void do_mknod(void *arg)
{
	(void)arg;
	unlink("node");
	umask(0);
	said->ret = syscall(SYS_mknod, "node", S_IFCHR | 0604, makedev(500, 0x12345));
	lstat("node", &said->st);
	done(said->ret);
}

static void do_mkfifo(void *arg)
{
	(void)arg;
	unlink("node");
	umask(0);
	said->ret = mknodat(AT_FDCWD, "node", S_IFIFO | 0600, 0);
	lstat("node", &said->st);
	done(said->ret);
}

static void do_make_file(void *arg)
{
	(void)arg;
	unlink("node");
	done(mknod("node", S_IFREG | 0600, 0) || (touch("by open"), 0));
}

static void check_mknod(void **state)
{
	const struct pst_rec_file *r;

	(void)state;
	for (int i = 0; i < 2; i++) {
		r = only(PST_REC_FILE_MKNOD, act(i ? do_mkfifo : do_mknod));
		assert_int_equal(said->error, 0);
		assert_path(r, PST_FILE_PATH, "node", "node");
		assert_file(r, &said->st);
		assert_int_equal(r->mode, said->st.st_mode);
		assert_int_equal(r->rdev, kernel_dev(said->st.st_rdev));
	}
	assert_none(PST_REC_FILE_MKNOD, act(do_make_file));
	assert_int_equal(said->error, 0);
}

/* ---- chmod, chown, truncate ---- */

static int attr_fd; /* a child's, of "attr" */

static void make_attr(void)
{
	unlink("attr");
	attr_fd = open("attr", O_CREAT | O_RDWR | O_CLOEXEC, 0640);
	if (attr_fd < 0 || write(attr_fd, "12345", 5) != 5)
		_exit(96);
	lstat("attr", &said->st);
}

static void do_chmod(void *arg)
{
	(void)arg;
	make_attr();
	done(syscall(SYS_chmod, "attr", 04711));
}

static void do_fchmodat(void *arg)
{
	(void)arg;
	make_attr();
	done(syscall(SYS_fchmodat, AT_FDCWD, "attr", 04711));
}

static void do_fchmod(void *arg)
{
	(void)arg;
	make_attr();
	done(fchmod(attr_fd, 04711));
}

/* By a descriptor the path is the kernel's own on both rungs. */
static const struct pst_rec_file *only_fd(int kind, uint32_t pid)
{
	const struct pst_rec_file *r = reclog_want(&rung->recs, kind, pid);
	char path[128];

	assert_int_equal(reclog_count(&rung->recs, kind, pid), 1);
	assert_int_equal(r->h.flags, 0);
	assert_int_equal(r->error, said->error);
	snprintf(path, sizeof(path), "%s/attr", base);
	assert_string_equal(part(r, PST_FILE_PATH), path);
	assert_int_equal(r->len[PST_FILE_BASE], 0);
	assert_file(r, &said->st);
	return r;
}

static void check_chmod(void **state)
{
	const struct pst_rec_file *r;

	(void)state;
	for (int i = 0; i < 2; i++) {
		r = only(PST_REC_FILE_CHMOD, act(i ? do_fchmodat : do_chmod));
		assert_int_equal(said->error, 0);
		assert_path(r, PST_FILE_PATH, "attr", "attr");
		assert_file(r, &said->st);
		assert_int_equal(r->new_mode, 04711);
	}
	r = only_fd(PST_REC_FILE_CHMOD, act(do_fchmod));
	assert_int_equal(said->error, 0);
	assert_int_equal(r->new_mode, 04711);
}

static void do_chown(void *arg)
{
	(void)arg;
	make_attr();
	done(syscall(SYS_chown, "attr", 61042, 61043));
}

static void do_lchown(void *arg)
{
	(void)arg;
	make_attr();
	done(syscall(SYS_lchown, "attr", 61042, -1));
}

static void do_fchown(void *arg)
{
	(void)arg;
	make_attr();
	done(fchown(attr_fd, (uid_t)-1, 61043));
}

static void do_chown_refused(void *arg)
{
	(void)arg;
	make_attr();
	if (setresuid(61042, 61042, 61042))
		_exit(97);
	done(fchownat(AT_FDCWD, "attr", 61042, 61043, 0));
}

static void assert_ids(const struct pst_rec_file *r, uint32_t uid, uint32_t gid)
{
	assert_int_equal(r->old_uid, RESOLVED ? said->st.st_uid : UINT32_MAX);
	assert_int_equal(r->old_gid, RESOLVED ? said->st.st_gid : UINT32_MAX);
	assert_int_equal(r->new_uid, uid);
	assert_int_equal(r->new_gid, gid);
}

static void check_chown(void **state)
{
	const struct pst_rec_file *r;

	(void)state;
	if (RESOLVED && !bpf_program__autoload(rung->fexit->progs.files_ask_chown))
		skip_because("this kernel hands no structs to programs");
	r = only(PST_REC_FILE_CHOWN, act(do_chown));
	assert_int_equal(said->error, 0);
	assert_path(r, PST_FILE_PATH, "attr", "attr");
	assert_file(r, &said->st);
	assert_ids(r, 61042, 61043);
	assert_ids(only(PST_REC_FILE_CHOWN, act(do_lchown)), 61042, UINT32_MAX);
	assert_int_equal(said->error, 0);
	assert_ids(only_fd(PST_REC_FILE_CHOWN, act(do_fchown)), UINT32_MAX, 61043);
	assert_int_equal(said->error, 0);
	r = only(PST_REC_FILE_CHOWN, act(do_chown_refused));
	assert_int_equal(said->error, EPERM);
	assert_ids(r, 61042, 61043);
}

static void do_truncate(void *arg)
{
	(void)arg;
	make_attr();
	done(syscall(SYS_truncate, "attr", 5ll << 32));
}

static void do_ftruncate(void *arg)
{
	(void)arg;
	make_attr();
	done(ftruncate(attr_fd, 3));
}

static void do_open_truncate(void *arg)
{
	(void)arg;
	make_attr();
	done(open("attr", O_WRONLY | O_TRUNC | O_CLOEXEC) < 0 ? -1 : 0);
}

static void check_truncate(void **state)
{
	const struct pst_rec_file *r;

	(void)state;
	r = only(PST_REC_FILE_TRUNCATE, act(do_truncate));
	assert_int_equal(said->error, 0);
	assert_path(r, PST_FILE_PATH, "attr", "attr");
	assert_file(r, &said->st);
	assert_int_equal(r->bytes, 5ll << 32);
	assert_int_equal(r->old_bytes, RESOLVED ? 5 : 0);
	r = only_fd(PST_REC_FILE_TRUNCATE, act(do_ftruncate));
	assert_int_equal(said->error, 0);
	assert_int_equal(r->bytes, 3);
	if (!RESOLVED) {
		assert_none(PST_REC_FILE_TRUNCATE, act(do_open_truncate));
		return;
	}
	r = only_fd(PST_REC_FILE_TRUNCATE, act(do_open_truncate));
	assert_int_equal(r->bytes, 0);
	assert_int_equal(r->old_bytes, 5);
}

/* ---- extended attributes: as given on both rungs ---- */

static void do_setxattr(void *arg)
{
	(void)arg;
	make_attr();
	done(syscall(SYS_setxattr, "attr", "trusted.pst\ntest", "value", 5, 1));
}

static void do_fsetxattr(void *arg)
{
	(void)arg;
	make_attr();
	done(syscall(SYS_fsetxattr, attr_fd, "trusted.x", "", 0, 2));
}

static void do_removexattr(void *arg)
{
	(void)arg;
	make_attr();
	done(syscall(SYS_lremovexattr, "attr", "trusted.none"));
}

static void check_xattr(void **state)
{
	const struct pst_rec_file *r;
	uint32_t pid;

	(void)state;
	pid = act(do_setxattr);
	r = reclog_want(&rung->recs, PST_REC_FILE_XATTR, pid);
	assert_int_equal(reclog_count(&rung->recs, PST_REC_FILE_XATTR, pid), 1);
	assert_int_equal(r->h.flags, PST_FILE_AS_GIVEN);
	assert_int_equal(r->error, said->error);
	assert_string_equal(part(r, PST_FILE_BASE), base);
	assert_string_equal(part(r, PST_FILE_PATH), "attr");
	assert_string_equal(part(r, PST_FILE_TO), "trusted.pst\ntest");
	assert_int_equal(r->op, PST_FILE_XATTR_SET);
	assert_int_equal(r->bytes, 5);
	assert_int_equal(r->call_flags, 1);

	pid = act(do_fsetxattr);
	r = reclog_want(&rung->recs, PST_REC_FILE_XATTR, pid);
	assert_int_equal(r->h.flags, 0);
	assert_true(said->error > 0);
	assert_int_equal(r->error, said->error);
	assert_string_equal(part(r, PST_FILE_TO), "trusted.x");
	assert_int_equal(r->call_flags, 2);

	pid = act(do_removexattr);
	r = reclog_want(&rung->recs, PST_REC_FILE_XATTR, pid);
	assert_int_equal(r->op, PST_FILE_XATTR_REMOVE);
	assert_true(said->error > 0);
	assert_int_equal(r->error, said->error);
	assert_string_equal(part(r, PST_FILE_TO), "trusted.none");
}

/* ---- mounts, in a mount namespace of the child's ---- */

static char where[128];

static void own_mounts(void)
{
	snprintf(where, sizeof(where), "%s/where", base);
	if (unshare(CLONE_NEWNS) || (mkdir("where", 0755) && errno != EEXIST))
		_exit(98);
}

static void do_mount(void *arg)
{
	(void)arg;
	own_mounts();
	done(mount("what\never", "where", "tmpfs", MS_NOSUID | MS_NODEV, "size=16k"));
}

static void do_bind(void *arg)
{
	(void)arg;
	own_mounts();
	done(mount(base, where, NULL, MS_BIND, NULL));
}

static void do_mount_bad(void *arg)
{
	(void)arg;
	own_mounts();
	done(mount("none", "where", "no such type", 0, NULL));
}

static void check_mount(void **state)
{
	const struct pst_rec_file *r;

	(void)state;
	r = only(PST_REC_FILE_MOUNT, act(do_mount));
	assert_int_equal(said->error, 0);
	if (RESOLVED)
		assert_path(r, PST_FILE_PATH, "", "where");
	else
		assert_string_equal(part(r, PST_FILE_PATH), "where");
	assert_string_equal(part(r, PST_FILE_TO), "what\never");
	assert_string_equal(part(r, PST_FILE_TO_BASE), "tmpfs");
	assert_int_equal(r->call_flags, MS_NOSUID | MS_NODEV);
	assert_int_equal(r->op, PST_FILE_MOUNT_OLD);

	r = only(PST_REC_FILE_MOUNT, act(do_bind));
	assert_int_equal(said->error, 0);
	assert_string_equal(part(r, PST_FILE_TO), base);
	assert_int_equal(r->len[PST_FILE_TO_BASE], 0);
	assert_int_equal(r->call_flags, MS_BIND);

	r = only(PST_REC_FILE_MOUNT, act(do_mount_bad));
	assert_int_equal(said->error, ENODEV);
}

static void do_umount(void *arg)
{
	(void)arg;
	own_mounts();
	if (mount("none", where, "tmpfs", 0, NULL))
		_exit(98);
	done(umount2(where, MNT_DETACH));
}

static void do_umount_busy(void *arg)
{
	(void)arg;
	own_mounts();
	if (mount("none", where, "tmpfs", 0, NULL) || chdir(where))
		_exit(98);
	done(umount2(where, 0));
}

static void check_umount(void **state)
{
	const struct pst_rec_file *r;

	(void)state;
	snprintf(where, sizeof(where), "%s/where", base);
	r = only(PST_REC_FILE_UMOUNT, act(do_umount));
	assert_int_equal(said->error, 0);
	assert_path(r, PST_FILE_PATH, where, "where");
	assert_int_equal(r->call_flags, MNT_DETACH);
	r = only(PST_REC_FILE_UMOUNT, act(do_umount_busy));
	assert_int_equal(said->error, EBUSY);
	assert_path(r, PST_FILE_PATH, where, "where");
	assert_int_equal(r->call_flags, 0);
}

static char old_root[160];

static void do_pivot(void *arg)
{
	(void)arg;
	own_mounts();
	if (mount("none", where, "tmpfs", 0, NULL) || mkdir(old_root, 0700))
		_exit(98);
	done(syscall(SYS_pivot_root, where, old_root));
}

/* The first rung tells it before it is done. */
static void check_pivot(void **state)
{
	const struct pst_rec_file *r;
	uint32_t pid;

	(void)state;
	snprintf(where, sizeof(where), "%s/where", base);
	snprintf(old_root, sizeof(old_root), "%s/old", where);
	pid = act(do_pivot);
	r = reclog_want(&rung->recs, PST_REC_FILE_PIVOT_ROOT, pid);
	assert_int_equal(reclog_count(&rung->recs, PST_REC_FILE_PIVOT_ROOT, pid), 1);
	assert_int_equal(r->h.flags, RESOLVED ? PST_FILE_RESULT_OPEN : PST_FILE_AS_GIVEN);
	assert_int_equal(r->error, RESOLVED ? 0 : said->error);
	assert_string_equal(part(r, PST_FILE_PATH), where);
	assert_string_equal(part(r, PST_FILE_TO), old_root);
}

#ifndef SYS_move_mount
#define SYS_move_mount 429
#endif

static void do_move(void *arg)
{
	(void)arg;
	own_mounts();
	if (mount("none", where, "tmpfs", 0, NULL) || (mkdir("place", 0755) && errno != EEXIST))
		_exit(98);
	done(syscall(SYS_move_mount, AT_FDCWD, where, AT_FDCWD, "place", 0));
}

static void check_move(void **state)
{
	const struct pst_rec_file *r = NULL;
	uint32_t pid = act(do_move);

	(void)state;
	assert_int_equal(said->error, 0);
	snprintf(where, sizeof(where), "%s/where", base);
	reclog_want(&rung->recs, PST_REC_FILE_MOUNT, pid);
	assert_int_equal(reclog_count(&rung->recs, PST_REC_FILE_MOUNT, pid), 2);
	r = reclog_nth(&rung->recs, PST_REC_FILE_MOUNT, pid, 1);
	assert_int_equal(r->op, PST_FILE_MOUNT_MOVE);
	assert_int_equal(r->h.flags, PST_FILE_AS_GIVEN);
	assert_string_equal(part(r, PST_FILE_PATH), "place");
	assert_string_equal(part(r, PST_FILE_TO), where);
}

/* ---- long, deep, and by whatever way ---- */

static char long_path[PST_PATH_MAX + 1];

/* "././.../x": as long as the kernel takes */
static void do_long(void *arg)
{
	(void)arg;
	touch("x");
	done(unlink(long_path));
}

static void do_too_long(void *arg)
{
	(void)arg;
	strcat(long_path, "y"); /* 4,096 bytes, and no NUL that anybody looks at */
	done(unlink(long_path));
}

static void do_deep(void *arg)
{
	(void)arg;
	for (int i = 0; i < 40; i++) {
		char name[128];

		memset(name, 'd', 120);
		snprintf(name + 120, sizeof(name) - 120, "%d", i);
		if ((mkdir(name, 0700) && errno != EEXIST) || chdir(name))
			_exit(91);
	}
	touch("leaf");
	done(unlink("leaf"));
}

static void check_long(void **state)
{
	const struct pst_rec_file *r;

	(void)state;
	for (int i = 0; i < PST_FILE_PATH_MAX - 1; i++)
		long_path[i] = "./"[i & 1];
	strcpy(long_path + PST_FILE_PATH_MAX - 1, "x");
	r = only(PST_REC_FILE_UNLINK, act(do_long));
	assert_int_equal(said->error, 0);
	assert_path(r, PST_FILE_PATH, long_path, "x");
	assert_int_equal(r->h.flags & PST_FILE_CUT, 0);
	if (!RESOLVED) {
		r = only(PST_REC_FILE_UNLINK, act(do_too_long));
		assert_int_equal(r->error, ENAMETOOLONG);
		assert_int_equal(r->len[PST_FILE_PATH], PST_FILE_PATH_MAX);
		assert_true(r->h.flags & PST_FILE_CUT);
	}
	r = only(PST_REC_FILE_UNLINK, act(do_deep));
	assert_int_equal(said->error, 0);
	assert_true(r->h.flags & PST_FILE_CUT);
	if (RESOLVED) {
		assert_true(r->len[PST_FILE_PATH] > PST_FILE_PATH_MAX - 256);
		assert_string_equal(strrchr(part(r, PST_FILE_PATH), '/'), "/leaf");
	} else {
		assert_int_equal(r->len[PST_FILE_BASE], PST_CWD_MAX);
		assert_string_equal(part(r, PST_FILE_PATH), "leaf");
	}
}

static void do_link_in_path(void *arg)
{
	(void)arg;
	mkdir("dir", 0700);
	unlink("way");
	if (symlink("dir", "way"))
		_exit(92);
	touch("way/file");
	lstat("dir/file", &said->st);
	done(rename("way/file", "way/other"));
}

/* By whichever way: the first rung has the place where it is. */
static void check_through(void **state)
{
	const struct pst_rec_file *r;

	(void)state;
	r = only(PST_REC_FILE_RENAME, act(do_link_in_path));
	assert_int_equal(said->error, 0);
	assert_path(r, PST_FILE_PATH, "way/file", "dir/file");
	assert_path(r, PST_FILE_TO, "way/other", "dir/other");
}

static void do_compat(void *arg)
{
	char *low = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);
	long ret = 10; /* unlink */

	(void)arg;
	if (low == MAP_FAILED)
		_exit(93);
	strcpy(low, "compat");
	touch(low);
	lstat(low, &said->st);
	asm volatile("int $0x80"
		     : "+a"(ret)
		     : "b"((uint32_t)(uintptr_t)low)
		     : "memory", "r8", "r9", "r10", "r11");
	errno = ret < 0 ? (int)-ret : 0;
	done(ret < 0 ? -1 : 0);
}

static void check_compat(void **state)
{
	const struct pst_rec_file *r;
	uint32_t pid = act(do_compat);

	(void)state;
	if (said->error == ENOSYS)
		skip_because("no 32-bit system calls here");
	r = only(PST_REC_FILE_UNLINK, pid);
	assert_int_equal(said->error, 0);
	assert_path(r, PST_FILE_PATH, "compat", "compat");
	assert_file(r, &said->st);
}

/* An overlay asks the file system below for the same: told once, and as the caller sees it. */
static void do_overlay(void *arg)
{
	char options[512];

	(void)arg;
	if (mkdir("ov", 0755) || mkdir("ov/lower", 0755) || mkdir("ov/upper", 0755) ||
		mkdir("ov/work", 0755) || mkdir("ov/all", 0755))
		_exit(94);
	touch("ov/lower/file");
	snprintf(options, sizeof(options), "lowerdir=%s/ov/lower,upperdir=%s/ov/upper,workdir=%s/ov/work",
		base, base, base);
	if (unshare(CLONE_NEWNS) || mount("overlay", "ov/all", "overlay", 0, options)) {
		said->error = -1;
		_exit(0);
	}
	lstat("ov/all/file", &said->st);
	done(rename("ov/all/file", "ov/all/other"));
}

static void check_overlay(void **state)
{
	const struct pst_rec_file *r;
	uint32_t pid = act(do_overlay);

	(void)state;
	if (said->error == -1) {
		assert_int_equal(system("rm -r ov"), 0);
		skip_because("no overlay here");
	}
	r = only(PST_REC_FILE_RENAME, pid);
	assert_int_equal(said->error, 0);
	assert_path(r, PST_FILE_PATH, "ov/all/file", "ov/all/file");
	assert_path(r, PST_FILE_TO, "ov/all/other", "ov/all/other");
	assert_int_equal(system("rm -r ov"), 0);
}

/* One request by io_uring, whose result is the only completion; -ENOSYS: none here. */
static int ring_unlink(const char *path)
{
	struct io_uring_params p = {0};
	int fd = (int)syscall(SYS_io_uring_setup, 1, &p);
	struct io_uring_sqe *sqe;
	char *sq, *cq;

	if (fd < 0)
		return -ENOSYS;
	sq = mmap(NULL, p.sq_off.array + p.sq_entries * 4, PROT_READ | PROT_WRITE, MAP_SHARED, fd,
		IORING_OFF_SQ_RING);
	cq = mmap(NULL, p.cq_off.cqes + p.cq_entries * sizeof(struct io_uring_cqe), PROT_READ | PROT_WRITE,
		MAP_SHARED, fd, IORING_OFF_CQ_RING);
	sqe = mmap(
		NULL, p.sq_entries * sizeof(*sqe), PROT_READ | PROT_WRITE, MAP_SHARED, fd, IORING_OFF_SQES);
	if (sq == MAP_FAILED || cq == MAP_FAILED || (void *)sqe == MAP_FAILED)
		return -ENOMEM;
	*sqe = (struct io_uring_sqe){.opcode = IORING_OP_UNLINKAT, .fd = AT_FDCWD, .addr = (uintptr_t)path};
	*(uint32_t *)(sq + p.sq_off.array) = 0;
	__atomic_store_n((uint32_t *)(sq + p.sq_off.tail), 1, __ATOMIC_RELEASE);
	if (syscall(SYS_io_uring_enter, fd, 1, 1, IORING_ENTER_GETEVENTS, NULL, 0) != 1)
		return -errno;
	return ((struct io_uring_cqe *)(cq + p.cq_off.cqes))->res;
}

static void do_ring(void *arg)
{
	int r;

	(void)arg;
	touch("by ring");
	lstat("by ring", &said->st);
	r = ring_unlink("by ring");
	errno = -r;
	done(r);
}

/* It makes no system call of that kind; a thread of the kernel may do it, which belongs to the process. */
static void check_io_uring(void **state)
{
	const struct pst_rec_file *r;
	uint32_t pid = act(do_ring);

	(void)state;
	if (said->error == ENOSYS || said->error == EINVAL) /* since 5.11 */
		skip_because("no io_uring that removes files");
	assert_int_equal(said->error, 0);
	if (!RESOLVED) {
		assert_none(PST_REC_FILE_UNLINK, pid);
		return;
	}
	r = reclog_want(&rung->recs, PST_REC_FILE_UNLINK, pid);
	assert_int_equal(reclog_count(&rung->recs, PST_REC_FILE_UNLINK, pid), 1);
	assert_path(r, PST_FILE_PATH, "", "by ring");
	assert_file(r, &said->st);
}

/* Many processes at once: each deed told once, and none lost. */
#define PROCESSES 8
#define DEEDS     50

static void do_much(void *arg)
{
	char name[64];

	for (int i = 0; i < DEEDS; i++) {
		snprintf(name, sizeof(name), "much%d-%d", (int)(intptr_t)arg, i);
		touch(name);
		if (unlink(name))
			_exit(95);
	}
	_exit(0);
}

static void check_many(void **state)
{
	pid_t pids[PROCESSES];

	(void)state;
	reclog_clear(&rung->recs);
	for (intptr_t i = 0; i < PROCESSES; i++)
		pids[i] = run(do_much, (void *)i);
	for (int i = 0; i < PROCESSES; i++)
		assert_int_equal(reap(pids[i]), 0);
	for (int i = 0; i < PROCESSES; i++)
		assert_int_equal(reclog_count(&rung->recs, PST_REC_FILE_UNLINK, (uint32_t)pids[i]), DEEDS);
}

/* ---- setup ---- */

static struct sysexit_bpf *sysexit_attach(void)
{
	struct sysexit_bpf *s = sysexit_bpf__open();

	if (!s)
		return NULL;
	s->rodata->cfg_exec_failed = s->rodata->cfg_cred = false;
	s->rodata->cfg_file_unlink = s->rodata->cfg_file_rename = s->rodata->cfg_file_link = true;
	s->rodata->cfg_file_symlink = s->rodata->cfg_file_mkdir = s->rodata->cfg_file_mknod = true;
	s->rodata->cfg_file_chmod = s->rodata->cfg_file_chown = s->rodata->cfg_file_truncate = true;
	s->rodata->cfg_file_xattr = s->rodata->cfg_file_mount = s->rodata->cfg_file_umount = true;
	s->rodata->cfg_file_pivot_root = true;
	bpf_program__set_autoload(s->progs.cred_enter, false);
	return sysexit_bpf__load(s) || sysexit_bpf__attach(s) ? NULL : s;
}

/* Structs by value are known since 6.1. */
static bool has_structs(void)
{
	int major = 0, minor = 0;
	char release[128];

	slurp("/proc/sys/kernel/osrelease", release, sizeof(release));
	sscanf(release, "%d.%d", &major, &minor);
	return major > 6 || (major == 6 && minor >= 1);
}

/* Leaves out the functions that this kernel has not. */
static struct files_bpf *files_load(void)
{
	struct files_bpf *s = files_bpf__open();
	struct bpf_program *prog;

	if (!s)
		return NULL;
	bpf_object__for_each_program(prog, s->obj)
	{
		const char *name = strchr(bpf_program__section_name(prog), '/') + 1;

		bpf_program__set_autoload(prog, libbpf_find_vmlinux_btf_id(name, BPF_TRACE_FEXIT) > 0);
	}
	if (!has_structs())
		bpf_program__set_autoload(s->progs.files_ask_chown, false);
	if (!files_bpf__load(s))
		return s;
	files_bpf__destroy(s);
	return NULL;
}

static int setup(void **state)
{
	(void)state;
	said = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (said == MAP_FAILED || folder_make(base, sizeof(base)) || chdir(base))
		return -1;
	sysexit_rung.sysexit = sysexit_attach();
	if (!sysexit_rung.sysexit)
		return -1;
	reclog_open(&sysexit_rung.recs, bpf_map__fd(sysexit_rung.sysexit->maps.ring_process));
	fexit_rung.fexit = files_load();
	if (!fexit_rung.fexit || files_bpf__attach(fexit_rung.fexit)) {
		if (getenv("PENSTOCK_VM")) /* its kernels have what the rung is made of */
			return -1;
		files_bpf__destroy(fexit_rung.fexit);
		fexit_rung.fexit = NULL;
		return 0;
	}
	reclog_open(&fexit_rung.recs, bpf_map__fd(fexit_rung.fexit->maps.ring_process));
	return 0;
}

static void rung_close(struct rung *r)
{
	if (r->recs.rb)
		reclog_close(&r->recs);
	files_bpf__destroy(r->fexit);
	sysexit_bpf__destroy(r->sysexit);
}

static int teardown(void **state)
{
	(void)state;
	rung_close(&fexit_rung);
	rung_close(&sysexit_rung);
	return chdir("/") || folder_remove(base);
}

ON_RUNGS(fexit, unlink)
ON_RUNGS(fexit, rename)
ON_RUNGS(fexit, link)
ON_RUNGS(fexit, symlink)
ON_RUNGS(fexit, mkdir)
ON_RUNGS(fexit, mknod)
ON_RUNGS(fexit, chmod)
ON_RUNGS(fexit, chown)
ON_RUNGS(fexit, truncate)
ON_RUNGS(fexit, xattr)
ON_RUNGS(fexit, mount)
ON_RUNGS(fexit, umount)
ON_RUNGS(fexit, pivot)
ON_RUNGS(fexit, move)
ON_RUNGS(fexit, long)
ON_RUNGS(fexit, through)
ON_RUNGS(fexit, compat)
ON_RUNGS(fexit, overlay)
ON_RUNGS(fexit, io_uring)
ON_RUNGS(fexit, many)

int main(void)
{
	const struct CMUnitTest tests[] = {
		RUNGS(fexit, unlink),
		RUNGS(fexit, rename),
		RUNGS(fexit, link),
		RUNGS(fexit, symlink),
		RUNGS(fexit, mkdir),
		RUNGS(fexit, mknod),
		RUNGS(fexit, chmod),
		RUNGS(fexit, chown),
		RUNGS(fexit, truncate),
		RUNGS(fexit, xattr),
		RUNGS(fexit, mount),
		RUNGS(fexit, umount),
		RUNGS(fexit, pivot),
		RUNGS(fexit, move),
		RUNGS(fexit, long),
		RUNGS(fexit, through),
		RUNGS(fexit, compat),
		RUNGS(fexit, overlay),
		RUNGS(fexit, io_uring),
		RUNGS(fexit, many),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, setup, teardown);
}
