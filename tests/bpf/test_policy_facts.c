// SPDX-License-Identifier: Apache-2.0
/*
 * What kernel programs tell of an act's object, compared with what stat(2), readlink(2) of /proc/self/fd and
 * the test itself know: real files of every sort, in mount namespaces of the test's own.
 */
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include "proto/abi/facts.h"
#include "proto/abi/lookup/pathhash.h"
#include "proto/base/cleanup.h"
#include "tests/bpf/policy_facts.skel.h"
#include "tests/bpf/procs.h"

#define MAGIC    0x70f4c751u
#define ALL      (PST_OBJECT_PATH | PST_OBJECT_ID | PST_OBJECT_ABOVE | PST_OBJECT_FLAGS | PST_OBJECT_ACCESS)
#define FLAG(f)  (1u << PST_FILE_##f)
#define MAY(a)   (1u << PST_ACCESS_##a)
#define NOTHING  UINT32_MAX
#define PATH_LEN 8192

enum { ASK_FILE = 1, ASK_DENTRY = 2, ASK_BEGIN = 3, ASK_STOLEN = 4 };

static struct policy_facts_bpf *skel;
static const struct pst_object *o; /* the last answer */
static char base[64];              /* a file system of the test's own, in its own mount namespace */

static int setup(void **state)
{
	(void)state;
	if (folder_make(base, sizeof(base)))
		return -1;
	skel = policy_facts_bpf__open_and_load();
	if (!skel || policy_facts_bpf__attach(skel))
		return -1;
	o = (const struct pst_object *)&skel->bss->object;
	skel->bss->magic = MAGIC;
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	policy_facts_bpf__destroy(skel);
	return folder_remove(base);
}

/* For children too: they share the answer's memory. False: there was none. */
static bool answered(int fd, int what)
{
	uint32_t before = skel->bss->answers;

	ioctl(fd, (unsigned long)MAGIC, what);
	return skel->bss->answers == before + 1;
}

static void ask(int fd, int what)
{
	assert_true(fd >= 0);
	assert_true(answered(fd, what));
	assert_true(skel->bss->whole);
}

/* ---- what is to be ---- */

static const char *in_base(const char *name)
{
	static char path[16][256];
	static int turn;

	turn = (turn + 1) % 16;
	snprintf(path[turn], sizeof(path[turn]), "%s/%s", base, name);
	return path[turn];
}

static const char *make(const char *name)
{
	const char *path = in_base(name);
	int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);

	assert_true(fd >= 0);
	close(fd);
	return path;
}

static void make_dir(const char *name)
{
	assert_int_equal(mkdir(in_base(name), 0755), 0);
}

static void assert_is(const struct pst_file_id *id, const struct stat *st)
{
	assert_int_equal(id->ino, st->st_ino);
	assert_int_equal(id->dev, kernel_dev(st->st_dev));
}

static void assert_id(int fd)
{
	struct stat st;

	assert_int_equal(fstat(fd, &st), 0);
	assert_is(&o->id, &st);
}

static bool is_above(const struct stat *st)
{
	for (uint32_t i = 0; i < o->n_above; i++)
		if (o->above[i].ino == st->st_ino && o->above[i].dev == kernel_dev(st->st_dev))
			return true;
	return false;
}

/* The folders that the path names are told from the nearest on; what else is above has its place between. */
static void assert_above(const char *path)
{
	char dir[PATH_LEN];
	uint32_t at = 0;
	struct stat st;

	snprintf(dir, sizeof(dir), "%s", path);
	while (dir[1]) {
		char *slash = strrchr(dir, '/');

		slash[slash == dir] = '\0';
		assert_int_equal(stat(dir, &st), 0);
		while (at < o->n_above &&
			(o->above[at].ino != st.st_ino || o->above[at].dev != kernel_dev(st.st_dev)))
			at++;
		if (at++ == o->n_above)
			fail_msg("%s is not told as above %s", dir, path);
	}
}

static void assert_path(const char *path)
{
	const struct pst_path_key *key = (const void *)skel->rodata->cfg_path_key;
	uint32_t len = (uint32_t)strlen(path);

	if (o->path_len != len || memcmp(skel->bss->path, path, len) != 0)
		fail_msg("path %.*s and not %s", (int)o->path_len, skel->bss->path, path);
	assert_true(o->known & PST_OBJECT_PATH);
	assert_true(o->path_hash == pst_pathhash(key, path, len));
}

/* A file like any other. */
static void assert_plain(int fd, const char *path)
{
	ask(fd, ASK_FILE);
	assert_int_equal(o->odd, 0);
	assert_int_equal(o->known, ALL);
	assert_path(path);
	assert_id(fd);
	assert_above(path);
}

static void plain(const char *given, int flags, const char *path)
{
	int fd = open(given, flags | O_CLOEXEC);

	assert_plain(fd, path);
	close(fd);
}

/* ---- ways to a file ---- */

static void ways_to_a_file(void **state)
{
	const char *file;
	char text[64], far[PATH_LEN];
	int dir, fd;

	(void)state;
	make_dir("a");
	make_dir("a/b");
	make_dir("c");
	file = make("a/b/file");
	snprintf(far, sizeof(far), "%s/a/b/file", base);
	plain(file, O_RDONLY, far);
	plain(in_base("c/../a/./b//file"), O_RDONLY, far);
	assert_int_equal(symlink(in_base("a"), in_base("c/link")), 0);
	assert_int_equal(symlink("link/b/file", in_base("c/again")), 0);
	plain(in_base("c/again"), O_RDONLY, far);
	assert_int_equal(chdir(in_base("c")), 0);
	plain("../a/b/file", O_RDWR, far);
	assert_int_equal(chdir("/"), 0);
	snprintf(text, sizeof(text), "/proc/self/root%s", in_base("a/b/file"));
	plain(text, O_RDONLY, far);
	fd = open(file, O_RDONLY | O_CLOEXEC);
	snprintf(text, sizeof(text), "/proc/self/fd/%d", fd);
	plain(text, O_RDONLY, far);
	close(fd);
	dir = open(in_base("a"), O_PATH | O_DIRECTORY | O_CLOEXEC);
	assert_plain(dir, in_base("a"));
	fd = openat(dir, "b/file", O_RDONLY | O_CLOEXEC);
	assert_plain(fd, far);
	close(fd);
	if (syscall(SYS_openat2, dir, "/b/file", (uint64_t[]){O_RDONLY, 0, 0x10 /* RESOLVE_IN_ROOT */}, 24) <
		0)
		fail_msg("openat2: %s", strerror(errno));
	fd = (int)syscall(SYS_openat2, dir, "/b/file", (uint64_t[]){O_RDONLY, 0, 0x10}, 24);
	assert_plain(fd, far);
	close(fd);
	close(fd - 1);
	close(dir);
	plain(base, O_RDONLY | O_DIRECTORY, base);
	plain("/", O_RDONLY | O_DIRECTORY, "/");
	plain("/proc/self/status", O_RDONLY,
		(snprintf(text, sizeof(text), "/proc/%d/status", getpid()), text));
}

/* Two names, one file; and what a verdict is kept for tells the names apart. */
static void hard_link(void **state)
{
	const char *one = make("hard"), *two = in_base("harder"), *other = make("hardest");
	struct pst_object first;

	(void)state;
	assert_int_equal(link(one, two), 0);
	plain(one, O_RDONLY, one);
	first = *o;
	plain(two, O_RDONLY, two);
	assert_memory_equal(&o->id, &first.id, sizeof(first.id));
	assert_true(o->path_hash != first.path_hash);
	assert_true(o->name != first.name);
	assert_int_equal(o->mount, first.mount);
	assert_int_equal(o->parent_ino, first.parent_ino);
	assert_int_equal(o->parent_ino, o->above[0].ino);
	plain(other, O_RDONLY, other);
	assert_true(o->id.ino != first.id.ino);
	plain(one, O_RDONLY, one);
	assert_memory_equal(o, &first, offsetof(struct pst_object, access));
}

/* ---- mounts ---- */

static void bind_mount(void **state)
{
	const char *file;
	struct stat secret, deep, root;

	(void)state;
	make_dir("secret");
	make_dir("secret/deep");
	make_dir("elsewhere");
	file = make("secret/deep/key");
	make("else");
	assert_int_equal(stat(in_base("secret"), &secret), 0);
	assert_int_equal(stat(in_base("secret/deep"), &deep), 0);
	assert_int_equal(stat(base, &root), 0);

	/* a folder: its file has another path, and still is below the folder that it was in */
	assert_int_equal(mount(in_base("secret/deep"), in_base("elsewhere"), NULL, MS_BIND, NULL), 0);
	plain(in_base("elsewhere/key"), O_RDONLY, in_base("elsewhere/key"));
	assert_true(is_above(&secret) && is_above(&deep) && is_above(&root));
	plain(file, O_RDONLY, file);
	assert_true(is_above(&secret) && is_above(&deep));

	/* a file */
	assert_int_equal(mount(file, in_base("else"), NULL, MS_BIND, NULL), 0);
	plain(in_base("else"), O_RDONLY, in_base("else"));
	assert_true(is_above(&secret) && is_above(&deep));

	/* another file system within what is bound elsewhere: the folders that are not seen from there count
	 */
	make_dir("top");
	assert_int_equal(mount("none", in_base("secret/deep"), "tmpfs", 0, NULL), 0);
	file = make("secret/deep/other");
	assert_int_equal(mount(in_base("secret"), in_base("top"), NULL, MS_BIND | MS_REC, NULL), 0);
	plain(in_base("top/deep/other"), O_RDONLY, in_base("top/deep/other"));
	assert_true(is_above(&secret) && !is_above(&deep));

	umount2(in_base("top"), MNT_DETACH);
	umount2(in_base("secret/deep"), MNT_DETACH);
	umount2(in_base("else"), MNT_DETACH);
	umount2(in_base("elsewhere"), MNT_DETACH);
}

/* Moved out of the folder that is mounted elsewhere, while somebody is in it: no path leads there any more.
 */
static void escaped(void **state)
{
	struct stat out;
	int dir, fd;

	(void)state;
	make_dir("tree");
	make_dir("tree/in");
	make_dir("view");
	make("tree/in/file");
	assert_int_equal(mount(in_base("tree"), in_base("view"), NULL, MS_BIND, NULL), 0);
	dir = open(in_base("view/in"), O_PATH | O_DIRECTORY | O_CLOEXEC);
	assert_plain(dir, in_base("view/in"));
	assert_int_equal(rename(in_base("tree/in"), in_base("out")), 0);
	assert_int_equal(stat(in_base("out"), &out), 0);
	fd = openat(dir, "file", O_RDONLY | O_CLOEXEC);
	ask(fd, ASK_FILE);
	assert_int_equal(o->odd, PST_ODD_NOWHERE);
	assert_int_equal(o->known, ALL & ~(PST_OBJECT_PATH | PST_OBJECT_ABOVE));
	assert_id(fd);
	assert_true(is_above(&out));
	close(fd);
	close(dir);
	umount2(in_base("view"), MNT_DETACH);
}

/* Mounts that are in no namespace have paths of their own, which rules must not be asked about. */
static void detached_mount(void **state)
{
	struct stat hidden;
	int fd, tree;

	(void)state;
	make_dir("gone");
	assert_int_equal(mount("none", in_base("gone"), "tmpfs", 0, NULL), 0);
	make_dir("gone/in");
	fd = open(make("gone/in/file"), O_RDONLY | O_CLOEXEC);
	assert_plain(fd, in_base("gone/in/file"));
	assert_int_equal(umount2(in_base("gone"), MNT_DETACH), 0);
	ask(fd, ASK_FILE);
	assert_int_equal(o->odd, PST_ODD_DETACHED);
	assert_int_equal(o->known, ALL & ~(PST_OBJECT_PATH | PST_OBJECT_ABOVE));
	assert_int_equal(o->path_hash, 0);
	assert_id(fd);
	close(fd);

	make_dir("hidden");
	make("hidden/passwd");
	assert_int_equal(stat(in_base("hidden"), &hidden), 0);
	tree = (int)syscall(SYS_open_tree, AT_FDCWD, in_base("hidden"), 1 /* OPEN_TREE_CLONE */);
	if (tree < 0)
		skip_because("open_tree: %s", strerror(errno));
	fd = openat(tree, "passwd", O_RDONLY | O_CLOEXEC);
	ask(fd, ASK_FILE);
	assert_int_equal(o->odd, PST_ODD_DETACHED);
	assert_int_equal(o->known, ALL & ~(PST_OBJECT_PATH | PST_OBJECT_ABOVE));
	assert_id(fd);
	assert_true(is_above(&hidden)); /* what there is of it is told */
	close(fd);
	close(tree);
}

/* In a child with mounts of its own: what the parent sees of it, and the other way round. */
static void asks_from_another_namespace(void *arg)
{
	int fd;

	if (unshare(CLONE_NEWNS) || mount("none", arg, "tmpfs", 0, NULL) || chdir(arg))
		_exit(1);
	fd = open("inner", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (fd < 0 || !answered(fd, ASK_FILE) || o->odd || o->known != ALL)
		_exit(2);
	if (o->path_len != strlen(arg) + 6 || memcmp(skel->bss->path, arg, strlen(arg)) != 0)
		_exit(3);
	if (!answered(1023, ASK_FILE) || o->odd != PST_ODD_FOREIGN)
		_exit(4);
	_exit(0);
}

static void other_mount_namespace(void **state)
{
	const char *file = make("outer");
	int fd = open(file, O_RDONLY | O_CLOEXEC);

	(void)state;
	make_dir("mine");
	assert_int_equal(dup2(fd, 1023), 1023);
	assert_int_equal(reap(run(asks_from_another_namespace, (void *)in_base("mine"))), 0);
	assert_int_equal(o->odd, PST_ODD_FOREIGN);
	assert_int_equal(o->known, ALL);
	assert_path(file);
	assert_id(fd);
	close(1023);
	close(fd);
}

static void asks_with_own_mounts(void *arg)
{
	int fd;

	if (unshare(CLONE_NEWUSER | CLONE_NEWNS))
		_exit(77);
	if (mount(arg, "/etc", NULL, MS_BIND, NULL))
		_exit(1);
	fd = open("/etc/passwd", O_RDONLY | O_CLOEXEC);
	_exit(fd < 0 || !answered(fd, ASK_FILE) ? 2 : 0);
}

/* Any user can have a namespace where his files are called as he likes. */
static void own_mounts(void **state)
{
	struct stat st;
	int status;

	(void)state;
	make_dir("mine2");
	make("mine2/passwd");
	assert_int_equal(stat(in_base("mine2/passwd"), &st), 0);
	status = reap(run(asks_with_own_mounts, (void *)in_base("mine2")));
	if (WEXITSTATUS(status) == 77)
		skip_because("no user namespaces");
	assert_int_equal(status, 0);
	assert_path("/etc/passwd");
	assert_is(&o->id, &st);
	assert_int_equal(o->odd, PST_ODD_OWN);
	assert_int_equal(o->known, ALL);
}

static void asks_from_below(void *arg)
{
	int fd;

	if (chroot(arg) || chdir("/"))
		_exit(1);
	fd = open("/etc/passwd", O_RDONLY | O_CLOEXEC);
	_exit(fd < 0 || !answered(fd, ASK_FILE));
}

/* Whoever changed his root has the path that everybody else has. */
static void changed_root(void **state)
{
	struct stat st;

	(void)state;
	make_dir("root");
	make_dir("root/etc");
	make("root/etc/passwd");
	assert_int_equal(reap(run(asks_from_below, (void *)in_base("root"))), 0);
	assert_int_equal(o->odd, 0);
	assert_int_equal(o->known, ALL);
	assert_path(in_base("root/etc/passwd"));
	assert_above(in_base("root/etc/passwd"));
	assert_int_equal(stat(in_base("root/etc/passwd"), &st), 0);
	assert_is(&o->id, &st);
}

/* ---- what has no path ---- */

static void nowhere(int fd, uint32_t flags)
{
	ask(fd, ASK_FILE);
	assert_true(o->odd & PST_ODD_NOWHERE);
	assert_false(o->known & (PST_OBJECT_PATH | PST_OBJECT_ABOVE));
	assert_int_equal(o->path_hash, 0);
	assert_int_equal(o->n_above, 0);
	assert_id(fd);
	if (flags != NOTHING)
		assert_int_equal(o->flags, flags);
	close(fd);
}

static void without_a_path(void **state)
{
	int fds[2];

	(void)state;
	nowhere(memfd_create("x", MFD_CLOEXEC), FLAG(MEMFD) | FLAG(UNLINKED));
	nowhere(memfd_create("../../etc/passwd", MFD_CLOEXEC), FLAG(MEMFD) | FLAG(UNLINKED));
	nowhere(eventfd(0, EFD_CLOEXEC), NOTHING);
	nowhere(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), NOTHING);
	assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
	nowhere(fds[0], NOTHING);
	nowhere(fds[1], NOTHING);
}

/* ---- flags ---- */

static void flags_of(int fd, uint32_t flags, uint32_t odd)
{
	ask(fd, ASK_FILE);
	assert_int_equal(o->flags, flags);
	assert_int_equal(o->odd, odd);
	assert_int_equal(o->known, ALL);
	assert_id(fd);
}

static void flags(void **state)
{
	const char *path = make("flags");
	int fd = open(path, O_RDWR | O_CLOEXEC);

	(void)state;
	flags_of(fd, 0, 0);
	assert_int_equal(fchmod(fd, 04755), 0);
	flags_of(fd, FLAG(SETID), 0);
	assert_int_equal(fchmod(fd, 02755), 0);
	flags_of(fd, FLAG(SETID), 0);
	assert_int_equal(fchmod(fd, 0755), 0);
	assert_int_equal(link(path, in_base("flags2")), 0);
	assert_int_equal(unlink(path), 0);
	flags_of(fd, 0, PST_ODD_REMOVED);
	assert_int_equal(unlink(in_base("flags2")), 0);
	flags_of(fd, FLAG(UNLINKED), PST_ODD_REMOVED);
	assert_path(path);
	close(fd);

	make_dir("sgid");
	assert_int_equal(chmod(in_base("sgid"), 02755), 0);
	fd = open(in_base("sgid"), O_RDONLY | O_CLOEXEC);
	flags_of(fd, 0, 0);
	close(fd);

	fd = open(base, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	flags_of(fd, FLAG(UNLINKED), PST_ODD_REMOVED);
	close(fd);

	/* a file that only looks like one that is in memory */
	fd = open(make("memfd:x"), O_RDONLY | O_CLOEXEC);
	assert_int_equal(unlink(in_base("memfd:x")), 0);
	flags_of(fd, FLAG(UNLINKED), PST_ODD_REMOVED);
	close(fd);
}

static void overlay(void **state)
{
	char options[PATH_LEN];
	struct stat st;
	int fd;

	(void)state;
	make_dir("ovl");
	make_dir("ovl/lower");
	make_dir("ovl/upper");
	make_dir("ovl/work");
	make_dir("ovl/all");
	make("ovl/lower/shipped");
	make("ovl/lower/changed");
	snprintf(options, sizeof(options), "lowerdir=%s/ovl/lower,upperdir=%s/ovl/upper,workdir=%s/ovl/work",
		base, base, base);
	if (mount("none", in_base("ovl/all"), "overlay", 0, options))
		skip_because("no overlay here: %s", strerror(errno));
	fd = open(in_base("ovl/all/shipped"), O_RDONLY | O_CLOEXEC);
	assert_plain(fd, in_base("ovl/all/shipped"));
	assert_int_equal(o->flags, 0);
	close(fd);
	fd = open(in_base("ovl/all/changed"), O_WRONLY | O_CLOEXEC);
	assert_plain(fd, in_base("ovl/all/changed"));
	assert_int_equal(o->flags, FLAG(UPPER));
	close(fd);
	fd = open(make("ovl/all/new"), O_RDONLY | O_CLOEXEC);
	assert_plain(fd, in_base("ovl/all/new"));
	assert_int_equal(o->flags, FLAG(UPPER));
	close(fd);
	/* by way of the layer it is another file, on the file system below */
	assert_int_equal(stat(in_base("ovl/upper/new"), &st), 0);
	fd = open(in_base("ovl/upper/new"), O_RDONLY | O_CLOEXEC);
	assert_plain(fd, in_base("ovl/upper/new"));
	assert_int_equal(o->flags, 0);
	close(fd);
	umount2(in_base("ovl/all"), MNT_DETACH);
}

/* ---- access ---- */

static void access_of_opens(void **state)
{
	static const struct {
		int flags;
		uint32_t access;
	} rows[] = {
		{O_RDONLY, MAY(READ)}, {O_WRONLY, MAY(WRITE)}, {O_RDWR, MAY(READ) | MAY(WRITE)},
		{O_WRONLY | O_APPEND, MAY(WRITE) | MAY(APPEND)},
		{O_RDWR | O_APPEND, MAY(READ) | MAY(WRITE) | MAY(APPEND)}, {O_RDONLY | O_APPEND, MAY(READ)},
		{O_PATH, 0}, {O_ACCMODE, 0}, /* for ioctl alone */
	};
	const char *path = make("access");

	(void)state;
	for (size_t i = 0; i < PST_ARRAY_SIZE(rows); i++) {
		plain(path, rows[i].flags, path);
		assert_int_equal(o->access, rows[i].access);
	}
	/* what the call asked for beside it */
	skel->bss->asked = O_TRUNC;
	plain(path, O_RDONLY, path);
	assert_int_equal(o->access, MAY(READ) | MAY(WRITE));
	skel->bss->asked = 0;
}

static void starts(void *arg)
{
	skel->bss->starts = (uint32_t)getpid();
	execl(arg, arg, NULL);
}

static void access_of_exec(void **state)
{
	const struct pst_object *s = (const struct pst_object *)&skel->bss->started;
	const char *path = in_base("prog");
	uint32_t before = skel->bss->execs;
	struct stat st;

	(void)state;
	copy_file("/bin/true", path, 04755);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(reap(run(starts, (void *)path)), 0);
	assert_int_equal(skel->bss->execs, before + 1);
	assert_int_equal(s->access, MAY(EXECUTE));
	assert_int_equal(s->flags, FLAG(SETID));
	assert_int_equal(s->known, ALL);
	assert_int_equal(s->odd, 0);
	assert_is(&s->id, &st);
	assert_int_equal(s->path_len, strlen(path));
	assert_memory_equal(skel->bss->started_path, path, strlen(path));
}

/* Where an open can be denied: the file is not open yet, and what it is to be truncated for is still known.
 */
static void at_the_hook(void **state)
{
	static const struct {
		int flags;
		uint32_t access;
	} rows[] = {
		{O_RDONLY, MAY(READ)},
		{O_RDONLY | O_TRUNC, MAY(READ) | MAY(WRITE)},
		{O_WRONLY | O_CREAT | O_TRUNC, MAY(WRITE)},
		{O_RDWR | O_CREAT | O_APPEND, MAY(READ) | MAY(WRITE) | MAY(APPEND)},
	};
	struct policy_facts_bpf *other = policy_facts_bpf__open(), *was = skel;
	char path[256];
	uint32_t asked;

	(void)state;
	assert_non_null(other);
	bpf_program__set_autoload(other->progs.facts_enter, false);
	bpf_program__set_autoload(other->progs.facts_exec, false);
	bpf_program__set_autoload(other->progs.facts_open, true);
	if (policy_facts_bpf__load(other) || policy_facts_bpf__attach(other)) {
		policy_facts_bpf__destroy(other);
		skip_because("no BPF program can be attached to LSM hooks");
	}
	skel = other;
	o = (const struct pst_object *)&skel->bss->object;
	skel->bss->opens = (uint32_t)getpid();
	snprintf(path, sizeof(path), "%s", make("hook"));
	for (size_t i = 0; i < PST_ARRAY_SIZE(rows) && skel->bss->answers; i++) {
		uint32_t before = skel->bss->answers;
		int fd = open(path, rows[i].flags | O_CLOEXEC, 0600);

		assert_true(fd >= 0);
		assert_int_equal(skel->bss->answers, before + 1);
		assert_true(skel->bss->whole);
		assert_int_equal(o->known, ALL);
		assert_int_equal(o->odd, 0);
		assert_path(path);
		assert_id(fd);
		assert_int_equal(o->access, rows[i].access);
		close(fd);
	}
	asked = skel->bss->answers;
	skel = was;
	o = (const struct pst_object *)&skel->bss->object;
	policy_facts_bpf__destroy(other);
	if (!asked)
		skip_because("bpf is none of this kernel's security modules");
}

/* ---- bounds ---- */

/* Made and left by relative paths; the whole ones are too long for a call. */
static int descend(const char *name, int n)
{
	assert_int_equal(chdir(base), 0);
	for (int i = 0; i < n; i++)
		if ((mkdir(name, 0755) && errno != EEXIST) || chdir(name))
			fail_msg("%s: %s", name, strerror(errno));
	return open("leaf", O_RDONLY | O_CREAT | O_CLOEXEC, 0600);
}

static uint32_t names_in(const char *path)
{
	uint32_t n = 0;

	for (; *path; path++)
		n += *path == '/' && path[1];
	return n;
}

static void depth(void **state)
{
	int most = PST_PATH_DEPTH - 1 - (int)names_in(base), fd;
	char want[PATH_LEN];

	(void)state;
	fd = descend("d", most);
	assert_int_equal(chdir("/"), 0);
	snprintf(want, sizeof(want), "%s", base);
	for (int i = 0; i < most; i++)
		strcat(want, "/d");
	strcat(want, "/leaf");
	assert_plain(fd, want);
	close(fd);
	fd = descend("d", most + 1);
	assert_int_equal(chdir("/"), 0);
	ask(fd, ASK_FILE);
	assert_int_equal(o->odd, PST_ODD_CUT);
	assert_int_equal(o->known, ALL & ~(PST_OBJECT_PATH | PST_OBJECT_ABOVE));
	assert_int_equal(o->n_above, PST_ABOVE_MAX);
	assert_int_equal(o->path_hash, 0);
	assert_id(fd);
	close(fd);
}

static void length(void **state)
{
	char name[256], tail[8192] = "";
	int fd;

	(void)state;
	memset(name, 'n', 255);
	name[255] = '\0';
	fd = descend(name, 15);
	assert_int_equal(chdir("/"), 0);
	ask(fd, ASK_FILE);
	assert_int_equal(o->odd, 0);
	snprintf(tail, sizeof(tail), "%s", base);
	for (int i = 0; i < 15; i++)
		strcat(strcat(tail, "/"), name);
	strcat(tail, "/leaf");
	assert_path(tail);
	close(fd);
	fd = descend(name, 16);
	assert_int_equal(chdir("/"), 0);
	ask(fd, ASK_FILE);
	assert_int_equal(o->odd, PST_ODD_CUT);
	assert_false(o->known & PST_OBJECT_PATH);
	assert_memory_equal(skel->bss->path + o->path_len - 5, "/leaf", 5);
	close(fd);
}

/* ---- by a dentry alone; what an answer is worth ---- */

static void without_its_mount(void **state)
{
	const char *file;
	struct stat dir, root;
	int fd;

	(void)state;
	make_dir("alone");
	file = make("alone/file");
	assert_int_equal(stat(in_base("alone"), &dir), 0);
	assert_int_equal(stat(base, &root), 0);
	fd = open(file, O_RDONLY | O_CLOEXEC);
	ask(fd, ASK_DENTRY);
	assert_int_equal(o->odd, PST_ODD_MOUNTLESS);
	assert_int_equal(o->known, PST_OBJECT_ID | PST_OBJECT_ABOVE | PST_OBJECT_FLAGS);
	assert_id(fd);
	assert_int_equal(o->n_above, 2);
	assert_is(&o->above[0], &dir);
	assert_is(&o->above[1], &root);
	assert_int_equal(o->path_len, strlen("/alone/file"));
	assert_memory_equal(skel->bss->path, "/alone/file", o->path_len);
	close(fd);
}

static void only_what_it_is(void **state)
{
	const char *file = make("what");
	int fd = open(file, O_RDONLY | O_CLOEXEC);

	(void)state;
	ask(fd, ASK_BEGIN);
	assert_int_equal(o->known, PST_OBJECT_ID | PST_OBJECT_FLAGS | PST_OBJECT_ACCESS);
	assert_id(fd);
	assert_true(answered(fd, ASK_STOLEN));
	assert_false(skel->bss->whole);
	close(fd);
}

/* Values of another implementation of SipHash-1-3, key 0: Python's hash() of bytes. */
static void hash_is_what_it_should_be(void **state)
{
	static const struct {
		const char *text;
		uint64_t hash;
	} rows[] = {
		{"/", 0x25582f928c81f862},
		{"/usr/lib", 0x344a120164cc1b5a},
		{"/etc/shadow", 0x9dff99d645fbaec8},
		{"/usr/bin/python3.11", 0xcb8761188e5c2990},
	};
	static const struct pst_path_key none = {{0, 0}}, low = {{1, 0}}, high = {{0, 1}};

	(void)state;
	for (size_t i = 0; i < PST_ARRAY_SIZE(rows); i++) {
		uint32_t len = (uint32_t)strlen(rows[i].text);

		assert_true(pst_pathhash(&none, rows[i].text, len) == rows[i].hash);
		assert_true(pst_pathhash(&low, rows[i].text, len) != rows[i].hash);
		assert_true(pst_pathhash(&high, rows[i].text, len) != rows[i].hash);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ways_to_a_file),
		cmocka_unit_test(hard_link),
		cmocka_unit_test(bind_mount),
		cmocka_unit_test(escaped),
		cmocka_unit_test(detached_mount),
		cmocka_unit_test(other_mount_namespace),
		cmocka_unit_test(own_mounts),
		cmocka_unit_test(changed_root),
		cmocka_unit_test(without_a_path),
		cmocka_unit_test(flags),
		cmocka_unit_test(overlay),
		cmocka_unit_test(access_of_opens),
		cmocka_unit_test(access_of_exec),
		cmocka_unit_test(at_the_hook),
		cmocka_unit_test(depth),
		cmocka_unit_test(length),
		cmocka_unit_test(without_its_mount),
		cmocka_unit_test(only_what_it_is),
		cmocka_unit_test(hash_is_what_it_should_be),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
