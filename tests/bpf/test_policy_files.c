// SPDX-License-Identifier: Apache-2.0
/*
 * Policies in force on what processes do to files and mounts, on each rung that the kernel has: each
 * operation in every way there is to it. What is forbidden in one folder does not happen there (or its
 * process is killed), and happens in the folder beside it, and to who is in no group of the test. Each act
 * has a mount namespace and a file system of its own, and is told by what it changed there.
 */
#include <bpf/btf.h>
#include <dirent.h>
#include <linux/btf.h>
#include <linux/fs.h>

#include "bpf/enforcefile.skel.h"
#include "bpf/lineage.skel.h"
#include "tests/unit/policyd/policy_random.h"

#include "tests/bpf/enforcerun.h" /* its names are short */

#define SETS 3
#define ACTS 10 /* of each set */

/* Since 5.2; the C library may not have them. */
#define OPEN_TREE_CALL  428
#define MOVE_MOUNT_CALL 429
#define TREE_CLONE      1
#define FROM_EMPTY_PATH 4

enum rung { BY_LSM, BY_FENTRY, RUNGS };
static const char *const rung_names[RUNGS] = {"lsm", "fentry"};
static const char *const suffixes[RUNGS] = {"", "_f"};

static enum rung rung;
static struct enforcefile_bpf *skel;
static struct lineage_bpf *lines;
static uint64_t here;  /* operations that have programs on this rung */
static char world[80]; /* where each act has its files */

static bool can_deny(void)
{
	return rung != BY_FENTRY;
}

/* ---- the kernel's part ---- */

/* By what the names of programs begin with. */
static const struct {
	const char *name;
	enum pst_pol_op op;
} of[] = {
	{"unlink", PST_OP_FILE_UNLINK},
	{"rmdir", PST_OP_FILE_UNLINK},
	{"rename", PST_OP_FILE_RENAME},
	{"link", PST_OP_FILE_LINK},
	{"symlink", PST_OP_FILE_SYMLINK},
	{"mkdir", PST_OP_FILE_MKDIR},
	{"chmod", PST_OP_FILE_CHMOD},
	{"chown", PST_OP_FILE_CHOWN},
	{"truncate", PST_OP_FILE_TRUNCATE},
	{"ftruncate", PST_OP_FILE_TRUNCATE},
	{"mount", PST_OP_FILE_MOUNT},
	{"move_mount", PST_OP_FILE_MOUNT},
	{"umount", PST_OP_FILE_UMOUNT},
	{"pivot", PST_OP_FILE_PIVOT_ROOT},
};

static bool has(enum pst_pol_op op)
{
	return here & PST_OP_BIT(op);
}

static enum pst_pol_op op_of(const struct bpf_program *p)
{
	const char *name = bpf_program__name(p) + strlen("enforce_");

	for (size_t i = 0; i < PST_ARRAY_SIZE(of); i++) {
		size_t n = strlen(of[i].name);

		if (!strncmp(name, of[i].name, n) && (!name[n] || name[n] == '_'))
			return of[i].op;
	}
	fail_msg("what is %s?", name);
	return 0;
}

/*
 * The rungs differ in how programs are attached. An emulated processor takes seconds to verify each of them,
 * so there only the first rung has all.
 */
static uint64_t wanted_ops(void)
{
	const uint64_t two = PST_OP_BIT(PST_OP_FILE_MKDIR) | PST_OP_BIT(PST_OP_FILE_RENAME);

	if (rung == BY_LSM || !getenv("PENSTOCK_VM"))
		return ~0ULL;
	return two | (rung == BY_FENTRY ? PST_OP_BIT(PST_OP_FILE_CHOWN) | PST_OP_BIT(PST_OP_FILE_MOUNT)
					: PST_OP_BIT(PST_OP_FILE_UNLINK));
}

static bool ends(const char *text, const char *end)
{
	size_t n = strlen(text), m = strlen(end);

	return n >= m && !strcmp(text + n - m, end);
}

static bool is_wanted(const struct btf *kernel, const struct bpf_program *p, uint64_t ops)
{
	const char *name = bpf_program__name(p), *function = strchr(bpf_program__section_name(p), '/') + 1;
	char hook[80];

	snprintf(hook, sizeof(hook), "%s%s", rung == BY_LSM ? "bpf_lsm_" : "", function);
	if (btf__find_by_name_kind(kernel, hook, BTF_KIND_FUNC) < 0 || !(ops & PST_OP_BIT(op_of(p))))
		return false;
	return rung == BY_LSM ? !ends(name, "_f") : ends(name, suffixes[rung]);
}

/* 0; -errno */
static int try_load(uint64_t ops)
{
	struct btf *kernel = btf__load_vmlinux_btf();
	struct bpf_program *p;
	int r;

	assert_non_null(kernel);
	skel = enforcefile_bpf__open();
	assert_non_null(skel);
	here = 0;
	for (p = bpf_object__next_program(skel->obj, NULL); p; p = bpf_object__next_program(skel->obj, p)) {
		bool wanted = is_wanted(kernel, p, ops);

		bpf_program__set_autoload(p, wanted);
		here |= wanted ? PST_OP_BIT(op_of(p)) : 0;
	}
	btf__free(kernel);
	assert_int_equal(bpf_map__reuse_fd(skel->maps.lineages, bpf_map__fd(lines->maps.lineages)), 0);
	r = enforcefile_bpf__load(skel);
	if (!r)
		r = enforcefile_bpf__attach(skel);
	if (!r)
		return 0;
	enforcefile_bpf__destroy(skel);
	skel = NULL;
	return r;
}

/* False: this kernel has no such rung. What it has it takes, but for chown before 6.1. */
static bool load(void)
{
	int r = try_load(wanted_ops());

	if (r && r != -EPERM && can_deny())
		r = try_load(wanted_ops() & ~PST_OP_BIT(PST_OP_FILE_CHOWN));
	if (r && r != -EPERM)
		fail_msg("%s: %s", rung_names[rung], strerror(-r));
	if (r)
		return false;
	tables_open(skel->obj, skel->rodata->cfg_path_key);
	return true;
}

static int after(void **state)
{
	(void)state;
	if (!skel)
		return 0;
	tables_close();
	enforcefile_bpf__destroy(skel);
	skel = NULL;
	return 0;
}

/* ---- ways ---- */

/* Where the test's folders are, from the act's folder on: "in" is the one that it is about. */
static const char *folder;

static const char *at(const char *format)
{
	static char all[8][64];
	static unsigned turn;
	char *p = all[turn++ % 8];

	if (!strncmp(format, "in", 2) && (!format[2] || format[2] == '/'))
		snprintf(p, sizeof(all[0]), "%s%s", folder, format + 2);
	else
		snprintf(p, sizeof(all[0]), "%s", format);
	return p;
}

static const char *by_fd(int fd, const char *more)
{
	static char path[64];

	snprintf(path, sizeof(path), "/proc/self/fd/%d%s", fd, more);
	return path;
}

static int dir_fd(const char *path)
{
	return open(path, O_PATH | O_CLOEXEC);
}

static long unlink_plain(void)
{
	return unlink(at("in/file"));
}

static long unlink_upward(void)
{
	return chdir(at("in"))
		       ? 999
		       : unlinkat(AT_FDCWD,
				 folder[0] == 'k' ? "../else/.././kept//file" : "../else/.././free//file", 0);
}

static long unlink_dirfd(void)
{
	return unlinkat(dir_fd(at("in")), "file", 0);
}

static long unlink_by_symlink(void)
{
	char path[64];

	snprintf(path, sizeof(path), "way-%s/file", folder);
	return unlink(path);
}

static long unlink_by_proc(void)
{
	return unlink(by_fd(dir_fd(at("in")), "/file"));
}

static void bind_else(void)
{
	assert_int_equal(mount("else", at("in/mnt"), NULL, MS_BIND, NULL), 0);
}

static long unlink_bound(void)
{
	return unlink(at("in/mnt/file"));
}

static void hard_link(void)
{
	assert_int_equal(link("else/file", at("in/hard")), 0);
}

static long unlink_hard(void)
{
	return unlink(at("in/hard"));
}

static long unlink_in_chroot(void)
{
	char path[64];

	snprintf(path, sizeof(path), "/%s", at("in/file"));
	return chroot(".") ? 999 : unlink(path);
}

/* Files of an overlay are where it is mounted; what it does in its layers is nobody's act. */
static void overlay(void)
{
	if (mount("overlay", at("in/mnt"), "overlay", 0, "lowerdir=low,upperdir=up/files,workdir=up/work"))
		_exit(70);
}

static long unlink_overlaid(void)
{
	return unlink(at("in/mnt/file"));
}

static long rmdir_plain(void)
{
	return rmdir(at("in/empty"));
}

static long rmdir_at(void)
{
	return unlinkat(dir_fd(at("in")), "empty/", AT_REMOVEDIR);
}

static long rename_out(void)
{
	return rename(at("in/file"), "else/new");
}

static long rename_into(void)
{
	return renameat(dir_fd("else"), "file", dir_fd(at("in")), "new");
}

static long rename_over(void)
{
	return rename("else/file", at("in/file"));
}

static long rename_folder(void)
{
	return rename(at("in"), "moved");
}

static long exchange(void)
{
	return syscall(SYS_renameat2, AT_FDCWD, at("in/file"), AT_FDCWD, "else/file", RENAME_EXCHANGE);
}

static long exchange_back(void)
{
	return syscall(SYS_renameat2, AT_FDCWD, "else/file", AT_FDCWD, at("in/file"), RENAME_EXCHANGE);
}

static long link_out(void)
{
	return link(at("in/file"), "else/new");
}

static long link_into(void)
{
	return linkat(dir_fd("else"), "file", dir_fd(at("in")), "new", 0);
}

static long link_by_proc(void)
{
	int fd = open("else/file", O_RDONLY | O_CLOEXEC);

	return linkat(AT_FDCWD, by_fd(fd, ""), AT_FDCWD, at("in/new"), AT_SYMLINK_FOLLOW);
}

static long link_tmpfile(void)
{
	int fd = open("else", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);

	return linkat(AT_FDCWD, by_fd(fd, ""), AT_FDCWD, at("in/new"), AT_SYMLINK_FOLLOW);
}

static long symlink_plain(void)
{
	return symlink("/nowhere", at("in/new"));
}

static long symlink_at(void)
{
	return symlinkat("x", dir_fd(at("in")), "new");
}

static long mkdir_plain(void)
{
	return mkdir(at("in/new"), 0700);
}

static long mkdir_at(void)
{
	return mkdirat(dir_fd(at("in")), "new/", 0700);
}

static long chmod_plain(void)
{
	return chmod(at("in/file"), 06755);
}

static long chmod_at(void)
{
	return fchmodat(dir_fd(at("in")), "file", 0, 0);
}

static long chmod_by_symlink(void)
{
	return chmod(at("in/link"), 0);
}

static long chmod_fd(void)
{
	return fchmod(open(at("in/file"), O_RDONLY | O_CLOEXEC), 0);
}

static long chown_plain(void)
{
	return chown(at("in/file"), 1, 2);
}

static long chown_link(void)
{
	return lchown(at("in/link"), 1, 2);
}

static long chown_fd(void)
{
	return fchown(open(at("in/file"), O_RDONLY | O_CLOEXEC), 1, 2);
}

static long chown_at(void)
{
	return fchownat(dir_fd(at("in/file")), "", 1, 2, AT_EMPTY_PATH);
}

static long truncate_plain(void)
{
	return truncate(at("in/file"), 1);
}

static long truncate_fd(void)
{
	return ftruncate(open(at("in/file"), O_WRONLY | O_CLOEXEC), 1);
}

static long truncate_open(void)
{
	return open(at("in/file"), O_WRONLY | O_TRUNC | O_CLOEXEC) < 0 ? -1 : 0;
}

static long mount_new(void)
{
	return mount("none", at("in/empty"), "tmpfs", 0, NULL);
}

static long mount_bind(void)
{
	return mount("else", at("in/empty"), NULL, MS_BIND, NULL);
}

static long mount_again(void)
{
	return mount(NULL, at("in/mnt"), NULL, MS_REMOUNT | MS_RDONLY, NULL);
}

static long mount_shared(void)
{
	return mount(NULL, at("in/mnt"), NULL, MS_SHARED, NULL);
}

static void mount_else(void)
{
	assert_int_equal(mount("none", "else/empty", "tmpfs", 0, NULL), 0);
}

static long mount_moved(void)
{
	return mount("else/empty", at("in/empty"), NULL, MS_MOVE, NULL);
}

static long mount_tree(void)
{
	int fd = (int)syscall(OPEN_TREE_CALL, AT_FDCWD, "else", TREE_CLONE);

	return syscall(MOVE_MOUNT_CALL, fd, "", AT_FDCWD, at("in/empty"), FROM_EMPTY_PATH);
}

static long umount_plain(void)
{
	return umount2(at("in/mnt"), 0);
}

static long umount_lazily(void)
{
	return chdir(at("in")) ? 999 : umount2("mnt", MNT_DETACH);
}

static long pivot(void)
{
	char root[64], old[64];

	snprintf(root, sizeof(root), "/%s", at("in/mnt"));
	snprintf(old, sizeof(old), "/%s", at("in/mnt/old"));
	return chroot(".") ? 999 : syscall(SYS_pivot_root, root, old);
}

static const struct deed {
	const char *name;
	enum pst_pol_op op;
	long (*act)(void);
	const char *path, *to; /* where that is; path NULL: a name that nobody gave */
	void (*prepare)(void); /* before it counts */
} deeds[] = {
	{"unlink", PST_OP_FILE_UNLINK, unlink_plain, .path = "in/file"},
	{"unlink, ..", PST_OP_FILE_UNLINK, unlink_upward, .path = "in/file"},
	{"unlinkat", PST_OP_FILE_UNLINK, unlink_dirfd, .path = "in/file"},
	{"unlink by a symbolic link", PST_OP_FILE_UNLINK, unlink_by_symlink, .path = "in/file"},
	{"unlink by /proc", PST_OP_FILE_UNLINK, unlink_by_proc, .path = "in/file"},
	{"unlink of what is bound there", PST_OP_FILE_UNLINK, unlink_bound, .path = "in/mnt/file",
		.prepare = bind_else},
	{"unlink of a hard link", PST_OP_FILE_UNLINK, unlink_hard, .path = "in/hard", .prepare = hard_link},
	{"unlink in a chroot", PST_OP_FILE_UNLINK, unlink_in_chroot, .path = "in/file"},
	{"unlink in an overlay", PST_OP_FILE_UNLINK, unlink_overlaid, .path = "in/mnt/file",
		.prepare = overlay},
	{"rmdir", PST_OP_FILE_UNLINK, rmdir_plain, .path = "in/empty"},
	{"unlinkat, AT_REMOVEDIR", PST_OP_FILE_UNLINK, rmdir_at, .path = "in/empty"},
	{"rename out", PST_OP_FILE_RENAME, rename_out, .path = "in/file", .to = "else/new"},
	{"renameat into", PST_OP_FILE_RENAME, rename_into, .path = "else/file", .to = "in/new"},
	{"rename over", PST_OP_FILE_RENAME, rename_over, .path = "else/file", .to = "in/file"},
	{"rename of the folder", PST_OP_FILE_RENAME, rename_folder, .path = "in", .to = "moved"},
	{"exchange", PST_OP_FILE_RENAME, exchange, .path = "in/file", .to = "else/file"},
	{"exchange, the other way", PST_OP_FILE_RENAME, exchange_back, .path = "else/file", .to = "in/file"},
	{"link out", PST_OP_FILE_LINK, link_out, .path = "in/file", .to = "else/new"},
	{"linkat into", PST_OP_FILE_LINK, link_into, .path = "else/file", .to = "in/new"},
	{"link by /proc", PST_OP_FILE_LINK, link_by_proc, .path = "else/file", .to = "in/new"},
	{"link of a file without a name", PST_OP_FILE_LINK, link_tmpfile, .path = NULL, .to = "in/new"},
	{"symlink", PST_OP_FILE_SYMLINK, symlink_plain, .path = "in/new"},
	{"symlinkat", PST_OP_FILE_SYMLINK, symlink_at, .path = "in/new"},
	{"mkdir", PST_OP_FILE_MKDIR, mkdir_plain, .path = "in/new"},
	{"mkdirat", PST_OP_FILE_MKDIR, mkdir_at, .path = "in/new"},
	{"chmod", PST_OP_FILE_CHMOD, chmod_plain, .path = "in/file"},
	{"fchmodat", PST_OP_FILE_CHMOD, chmod_at, .path = "in/file"},
	{"chmod by a symbolic link", PST_OP_FILE_CHMOD, chmod_by_symlink, .path = "in/file"},
	{"fchmod", PST_OP_FILE_CHMOD, chmod_fd, .path = "in/file"},
	{"chown", PST_OP_FILE_CHOWN, chown_plain, .path = "in/file"},
	{"lchown", PST_OP_FILE_CHOWN, chown_link, .path = "in/link"},
	{"fchown", PST_OP_FILE_CHOWN, chown_fd, .path = "in/file"},
	{"fchownat", PST_OP_FILE_CHOWN, chown_at, .path = "in/file"},
	{"truncate", PST_OP_FILE_TRUNCATE, truncate_plain, .path = "in/file"},
	{"ftruncate", PST_OP_FILE_TRUNCATE, truncate_fd, .path = "in/file"},
	{"O_TRUNC", PST_OP_FILE_TRUNCATE, truncate_open, .path = "in/file"},
	{"mount", PST_OP_FILE_MOUNT, mount_new, .path = "in/empty"},
	{"bind mount", PST_OP_FILE_MOUNT, mount_bind, .path = "in/empty"},
	{"remount", PST_OP_FILE_MOUNT, mount_again, .path = "in/mnt"},
	{"mount, MS_SHARED", PST_OP_FILE_MOUNT, mount_shared, .path = "in/mnt"},
	{"mount, MS_MOVE", PST_OP_FILE_MOUNT, mount_moved, .path = "in/empty", .prepare = mount_else},
	{"open_tree, move_mount", PST_OP_FILE_MOUNT, mount_tree, .path = "in/empty"},
	{"umount", PST_OP_FILE_UMOUNT, umount_plain, .path = "in/mnt"},
	{"umount, lazily", PST_OP_FILE_UMOUNT, umount_lazily, .path = "in/mnt"},
	{"pivot_root", PST_OP_FILE_PIVOT_ROOT, pivot, .path = "in/mnt"},
};

/* ---- an act ---- */

struct outcome {
	long ret;
	int error;
	bool told, changed;
	int signal;
	pid_t pid;
};

static void sum(uint64_t *state, const void *bytes, size_t n)
{
	for (size_t i = 0; i < n; i++)
		*state = (*state ^ ((const unsigned char *)bytes)[i]) * 0x100000001b3;
}

static void sum_folder(uint64_t *state, int fd)
{
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *e;

	while (d && (e = readdir(d)) != NULL) {
		struct stat st;

		if (!strcmp(e->d_name, ".") || !strcmp(e->d_name, "..") ||
			fstatat(dirfd(d), e->d_name, &st, AT_SYMLINK_NOFOLLOW))
			continue;
		sum(state, e->d_name, strlen(e->d_name));
		sum(state, (uint64_t[]){st.st_ino, st.st_mode, st.st_uid, (uint64_t)st.st_size, st.st_nlink},
			40);
		if (S_ISDIR(st.st_mode))
			sum_folder(state, openat(dirfd(d), e->d_name, O_RDONLY | O_DIRECTORY | O_CLOEXEC));
	}
	if (d)
		closedir(d);
}

/* All that there is in the act's file system, and its mounts. */
static uint64_t state_of(int root, int mounts)
{
	uint64_t state = 0xcbf29ce484222325;
	char text[4096];
	off_t from = 0;
	ssize_t n;

	sum_folder(&state, openat(root, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
	while ((n = pread(mounts, text, sizeof(text), from)) > 0) {
		sum(&state, text, (size_t)n);
		from += n;
	}
	return state;
}

static void write_file(const char *path)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);

	if (fd < 0 || write(fd, "text", 4) != 4)
		_exit(71);
	close(fd);
}

static void make_folder(const char *name)
{
	char path[64];

	if (mkdir(name, 0755) || chdir(name) || mkdir("empty", 0755) || mkdir("mnt", 0755) ||
		symlink("file", "link") || mount("none", "mnt", "tmpfs", 0, NULL) || mkdir("mnt/old", 0755))
		_exit(72);
	write_file("file");
	snprintf(path, sizeof(path), "../way-%s", name);
	if (symlink(name, path) || chdir(".."))
		_exit(73);
}

static void make_world(void)
{
	if (unshare(CLONE_NEWNS) || mount("none", world, "tmpfs", 0, NULL) || chdir(world))
		_exit(74);
	make_folder("kept");
	make_folder("free");
	make_folder("else");
	if (mkdir("low", 0755) || mkdir("up", 0755) || mkdir("up/files", 0755) || mkdir("up/work", 0755))
		_exit(75);
	write_file("low/file");
}

struct order {
	const struct deed *deed;
	const char *folder;
	int group; /* -1: in none */
	int out;
};

static void do_it(void *arg)
{
	const struct order *order = arg;
	struct outcome o = {0};
	int root, mounts;
	uint64_t before;

	alarm(60);
	folder = order->folder;
	make_world();
	if (order->deed->prepare)
		order->deed->prepare();
	root = open(".", O_PATH | O_CLOEXEC);
	mounts = open("/proc/self/mountinfo", O_RDONLY | O_CLOEXEC);
	if (order->group >= 0)
		enter(groups[order->group]);
	before = state_of(root, mounts);
	o.ret = order->deed->act();
	o.error = o.ret ? errno : 0;
	o.told = true;
	o.changed = state_of(root, mounts) != before;
	_exit(write(order->out, &o, sizeof(o)) != sizeof(o));
}

static struct outcome outcome_of(const struct deed *deed, const char *in, int group)
{
	struct order order = {.deed = deed, .folder = in, .group = group};
	struct outcome o = {0};
	int pipes[2], status;

	folder = in; /* for who reads of it */
	if (skel)
		reclog_clear(&recs);
	assert_int_equal(pipe(pipes), 0);
	order.out = pipes[1];
	pid_t pid = run(do_it, &order);
	close(pipes[1]);
	status = reap(pid);
	if (read(pipes[0], &o, sizeof(o)) != sizeof(o))
		memset(&o, 0, sizeof(o));
	close(pipes[0]);
	if (WIFEXITED(status) && WEXITSTATUS(status))
		fail_msg("%s in %s: ended with %d", deed->name, in, WEXITSTATUS(status));
	o.signal = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
	o.pid = pid;
	return o;
}

static int records_of(const struct outcome *o)
{
	return reclog_count(&recs, PST_REC_POLICY, (unsigned)o->pid);
}

static void assert_allowed(const struct deed *d, const char *in, int group)
{
	struct outcome o = outcome_of(d, in, group);

	if (!o.told || o.ret || o.signal || !o.changed || records_of(&o))
		fail_msg("%s in %s, group %d, by %s: %ld, errno %d, signal %d, %s, %d records", d->name, in,
			group, rung_names[rung], o.ret, o.error, o.signal, o.changed ? "done" : "not done",
			records_of(&o));
}

static bool is_path(const char *text, size_t len, const char *path)
{
	char want[160];

	snprintf(want, sizeof(want), "%s/%s", world, at(path));
	return len == strlen(want) && !memcmp(text, want, len);
}

/* Before 5.19 an exchange is asked about the other way round first. */
static void assert_paths(const struct deed *d, const struct pst_rec_policy *r)
{
	const char *text = (const char *)(r + 1);
	bool same = (!d->path || is_path(text, r->path_len, d->path)) &&
		    (d->to ? is_path(text + r->path_len, r->to_len, d->to) : !r->to_len);

	if (strstr(d->name, "exchange"))
		same |= is_path(text, r->path_len, d->to) && is_path(text + r->path_len, r->to_len, d->path);
	if (!same)
		fail_msg("%s: %.*s, %.*s", d->name, (int)r->path_len, text, (int)r->to_len,
			text + r->path_len);
}

static void assert_forbidden(const struct deed *d, const char *in)
{
	struct outcome o = outcome_of(d, in, 0);
	const struct pst_rec_policy *r;

	if (can_deny() ? !o.told || o.ret >= 0 || o.error != ESRCH || o.changed
		       : o.signal != SIGKILL || o.told)
		fail_msg("%s in %s, by %s: %ld, errno %d, signal %d, %s", d->name, in, rung_names[rung],
			o.ret, o.error, o.signal, o.changed ? "done" : "not done");
	r = reclog_want(&recs, PST_REC_POLICY, (unsigned)o.pid);
	assert_int_equal(records_of(&o), 1);
	assert_int_equal(r->op, d->op);
	assert_int_equal(r->hook, can_deny() ? PST_HOOK_LSM : PST_HOOK_FENTRY);
	assert_int_equal(r->action, can_deny() ? PST_ACT_DENY : PST_ACT_KILL);
	assert_int_equal(r->done, can_deny() ? PST_DONE_DENIED : PST_DONE_KILLED);
	assert_int_equal(r->told, PST_TOLD_ALL);
	assert_paths(d, r);
}

/* ---- rules ---- */

static const char *strictly(void)
{
	return can_deny() ? "action: deny, errno: ESRCH" : "action: kill";
}

static const char *op_name(enum pst_pol_op op)
{
	switch (op) {
#define OP_NAME(id, number, name, asks, help)                                                                \
	case PST_OP_##id:                                                                                    \
		return name;
		PST_POLICY_OPS(OP_NAME)
#undef OP_NAME
	}
	return "";
}

static void put_rules(const char *format, ...) __attribute__((format(printf, 1, 2)));
static void put_rules(const char *format, ...)
{
	PST_FREE char *rules = NULL;
	va_list args;

	va_start(args, format);
	assert_true(vasprintf(&rules, format, args) > 0);
	va_end(args);
	put(rules);
}

static void forbid_others(enum pst_pol_op but)
{
	char others[256] = "file.open";
	size_t n = strlen(others);

	for (enum pst_pol_op op = PST_OP_FILE_UNLINK; op <= PST_OP_FILE_PIVOT_ROOT; op++)
		if (op != but)
			n += (size_t)snprintf(others + n, sizeof(others) - n, ", %s", op_name(op));
	/* nothing of the test's own is opened below */
	put_rules("    - {name: r, operations: [%s], paths: {glob: \"%s/*/*\"}, %s}\n", others + 11, world,
		strictly());
}

/* Is it all that the act does? O_TRUNC opens, too. */
static void check_op(enum pst_pol_op op)
{
	put_rules("    - {name: r, operations: %s, paths: {directory: %s/kept, recursive: true}, %s}\n",
		op_name(op), world, strictly());
	for (size_t i = 0; i < PST_ARRAY_SIZE(deeds); i++) {
		if (deeds[i].op != op)
			continue;
		assert_forbidden(&deeds[i], "kept");
		assert_allowed(&deeds[i], "free", 0);
		assert_allowed(&deeds[i], "kept", -1);
	}
	forbid_others(op);
	for (size_t i = 0; i < PST_ARRAY_SIZE(deeds); i++)
		if (deeds[i].op == op)
			assert_allowed(&deeds[i], "kept", 0);
	lift();
}

static const struct deed *deed_of(const char *name)
{
	for (size_t i = 0; i < PST_ARRAY_SIZE(deeds); i++)
		if (!strcmp(deeds[i].name, name))
			return &deeds[i];
	fail_msg("no %s", name);
	return NULL;
}

/* `not` wants none of the two in the list; with one that is in it the rule has no part. */
static void check_two_paths(void)
{
	static const char *const names[] = {"rename out", "renameat into", "link out", "linkat into"};

	put_rules("    - {name: r, operations: [file.rename, file.link], paths: {not: {directory: %s/kept}}, "
		  "%s}\n",
		world, strictly());
	for (size_t i = 0; i < PST_ARRAY_SIZE(names); i++) {
		if (!has(deed_of(names[i])->op))
			continue;
		assert_forbidden(deed_of(names[i]), "free");
		assert_allowed(deed_of(names[i]), "kept", 0);
	}
	lift();
}

/* ---- by inodes ---- */

static char own[80]; /* a folder of its own for each rung */

static const char *in_own(const char *name)
{
	static char path[8][128];
	static unsigned turn;
	char *to = path[turn++ % 8];

	snprintf(to, sizeof(path[0]), "%s/%s", own, name);
	return to;
}

static long over_other_name(void)
{
	return rename(in_own("one"), in_own("hard"));
}

static long into_moved(void)
{
	return rename(in_own("two"), in_own("moved/new"));
}

static long from_moved(void)
{
	return rename(in_own("moved/file"), in_own("out"));
}

static long beside(void)
{
	return rename(in_own("three"), in_own("beside"));
}

static void make_own(void)
{
	snprintf(own, sizeof(own), "%s/own-%s", base, rung_names[rung]);
	assert_int_equal(mkdir(own, 0755), 0);
	assert_int_equal(mkdir(in_own("folder"), 0755), 0);
	write_file(in_own("folder/file"));
	write_file(in_own("file"));
	write_file(in_own("one"));
	write_file(in_own("two"));
	write_file(in_own("three"));
}

/* Of both paths: a file and a folder that go by names which no rule has. */
static void check_inodes(void)
{
	static const struct deed deeds_here[] = {
		{"rename over another name", PST_OP_FILE_RENAME, over_other_name, NULL, NULL, NULL},
		{"rename into a moved folder", PST_OP_FILE_RENAME, into_moved, NULL, NULL, NULL},
		{"rename out of a moved folder", PST_OP_FILE_RENAME, from_moved, NULL, NULL, NULL},
		{"rename beside it", PST_OP_FILE_RENAME, beside, NULL, NULL, NULL},
	};
	struct policy_inodes inodes;

	make_own();
	put_rules("    - {name: r, operations: file.rename, paths: [%1$s/file, {directory: %1$s/folder}], "
		  "%2$s}\n",
		own, strictly());
	assert_int_equal(policy_inodes_fill(tables, &inodes), 0);
	assert_int_equal(inodes.set, 2);
	assert_int_equal(link(in_own("file"), in_own("hard")), 0);
	assert_int_equal(rename(in_own("folder"), in_own("moved")), 0);
	for (size_t i = 0; i < PST_ARRAY_SIZE(deeds_here); i++) {
		struct outcome o = outcome_of(&deeds_here[i], "kept", 0);
		bool forbidden = o.told ? o.ret < 0 && o.error == ESRCH : o.signal == SIGKILL;

		if (forbidden != (i < 3) || records_of(&o) != (i < 3))
			fail_msg("%s, by %s: %ld, errno %d, signal %d, %d records", deeds_here[i].name,
				rung_names[rung], o.ret, o.error, o.signal, records_of(&o));
	}
	lift();
}

/* What the overlay does in its layers is judged by nobody. */
static void check_layers(void)
{
	put_rules("    - {name: r, operations: [file.unlink, file.rename, file.mkdir, file.chmod, "
		  "file.truncate], "
		  "paths: [{directory: %1$s/up, recursive: true}, {directory: %1$s/low}], %2$s}\n",
		world, strictly());
	assert_allowed(deed_of("unlink in an overlay"), "free", 0);
	lift();
}

/* What is only told happens, and what the hook cannot do is not said to have been done. */
static void check_told(void)
{
	static const char *const names[] = {
		"unlink", "rename out", "mkdir", "chmod", "truncate", "mount", "umount"};

	for (int deny = 0; deny <= !can_deny(); deny++) {
		put_rules(
			"    - {name: r, operations: [file.unlink, file.rename, file.mkdir, file.chmod, "
			"file.truncate, file.mount, file.umount], paths: {directory: %s/kept}, action: %s}\n",
			world, deny ? "deny" : "alert");
		for (size_t i = 0; i < PST_ARRAY_SIZE(names); i++) {
			const struct pst_rec_policy *r;
			struct outcome o;

			if (!has(deed_of(names[i])->op))
				continue;
			o = outcome_of(deed_of(names[i]), "kept", 0);
			r = reclog_want(&recs, PST_REC_POLICY, (unsigned)o.pid);
			assert_int_equal(o.ret, 0);
			assert_true(o.changed);
			assert_int_equal(r->action, deny ? PST_ACT_DENY : PST_ACT_ALERT);
			assert_int_equal(r->done, PST_DONE_TOLD);
			assert_int_equal(records_of(&o), 1);
		}
	}
	lift();
}

/* ---- by chance ---- */

static void random_path(FILE *f)
{
	static const char *const dirs[] = {"kept", "free", "else"};
	static const char *const names[] = {"file", "new", "empty", "mnt", "link"};
	const char *dir = dirs[policy_draw(3)], *name = names[policy_draw(5)];

	switch (policy_draw(5)) {
	case 0:
		fprintf(f, "{directory: %s/%s}", world, dir);
		return;
	case 1:
		fprintf(f, "{directory: %s/%s, recursive: true}", world, dir);
		return;
	case 2:
		fprintf(f, "{suffix: /%s}", name);
		return;
	case 3:
		fprintf(f, "{glob: \"%s/*/%.1s*\"}", world, name);
		return;
	default:
		fprintf(f, "%s/%s/%s", world, dir, name);
	}
}

/* Nothing that the hook stops: what it would do is told. */
static char *random_rules(void)
{
	static const char *const actions[] = {"allow", "audit", "alert"};
	char *text = NULL;
	size_t len = 0;
	FILE *f = open_memstream(&text, &len);

	for (unsigned i = 0; i < 30; i++) {
		bool other = !policy_draw(6);

		fprintf(f, "    - {name: r%u, operations: [%s, %s], action: %s, paths: %s[", i,
			op_name(PST_OP_FILE_UNLINK + policy_draw(11)),
			op_name(PST_OP_FILE_UNLINK + policy_draw(11)), actions[policy_draw(3)],
			other ? "{not: " : "");
		random_path(f);
		fputs(", ", f);
		random_path(f);
		fprintf(f, "]%s, uids: %s}\n", other ? "}" : "", policy_draw(5) ? "0-10" : "7");
	}
	fclose(f);
	return text;
}

static const char *in_world(const char *path)
{
	static char all[2][160];
	static unsigned turn;
	char *p = all[turn++ % 2];

	snprintf(p, sizeof(all[0]), "%s/%s", world, at(path));
	return p;
}

static bool compared(const struct deed *d, const char *in)
{
	struct outcome o = outcome_of(d, in, 0);
	const struct pst_rec_policy *r = NULL;
	struct policy_act a = POLICY_ACT_INIT;
	struct policy_verdict want, got = {0};

	a.op = d->op;
	a.cgroup = group_path;
	a.path = in_world(d->path);
	a.path_to = d->to ? in_world(d->to) : NULL;
	want = policy_judge(&set, &a);
	if (records_of(&o)) {
		r = reclog_want(&recs, PST_REC_POLICY, (unsigned)o.pid);
		got = policy_tables_verdict(tables, &(struct policy_found){.rule = r->rule});
	}
	if (want.action <= PST_ACT_ALLOW ? r != NULL : want.rule != got.rule)
		fail_msg("%s in %s: %s in the kernel, and not %s", d->name, in,
			got.rule ? got.rule->name : "-", want.rule ? want.rule->name : "-");
	assert_true(!r || r->action == want.action);
	return r;
}

static const struct deed *random_deed(void)
{
	const struct deed *d;

	do
		d = &deeds[policy_draw(PST_ARRAY_SIZE(deeds))];
	while (!d->path || !has(d->op));
	return d;
}

static void by_chance(void)
{
	unsigned told = 0;

	for (unsigned i = 0; i < SETS; i++) {
		PST_FREE char *rules = random_rules();

		put(rules);
		for (unsigned k = 0; k < ACTS; k++) {
			const struct deed *d = random_deed();

			told += compared(d, policy_draw(2) ? "kept" : "free");
		}
	}
	print_message("# by chance: %u of %d acts told\n", told, SETS * ACTS);
	assert_in_range(told, 3, SETS * ACTS - 3);
	lift();
}

/* ---- rungs ---- */

/* Without policies, on any kernel: each act does what it is to do. */
static void acts(void **state)
{
	(void)state;
	for (size_t i = 0; i < PST_ARRAY_SIZE(deeds); i++) {
		struct outcome o = outcome_of(&deeds[i], "kept", 0);

		if (!o.told || o.ret || !o.changed)
			fail_msg("%s: %ld, errno %d, signal %d, %s", deeds[i].name, o.ret, o.error, o.signal,
				o.changed ? "done" : "not done");
	}
}

/* LSM programs are attached and never called where the kernel was started without them. */
static bool is_called(void)
{
	struct outcome o;

	put_rules("    - {name: r, operations: file.mkdir, paths: {suffix: /new}, action: audit}\n");
	o = outcome_of(deed_of("mkdir"), "kept", 0);
	lift();
	return records_of(&o) == 1;
}

static void on_rung(enum rung r)
{
	rung = r;
	if (!load() || !is_called())
		skip_because("this kernel has no rung %s", rung_names[r]);
	for (enum pst_pol_op op = PST_OP_FILE_UNLINK; op <= PST_OP_FILE_PIVOT_ROOT; op++)
		if (has(op))
			check_op(op);
		else if (wanted_ops() & PST_OP_BIT(op))
			print_message("# no program for %s on the rung %s\n", op_name(op), rung_names[r]);
	check_two_paths();
	check_inodes();
	check_layers();
	check_told();
	by_chance();
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

static int setup(void **state)
{
	(void)state;
	if (folder_make(base, sizeof(base)) || groups_make())
		return -1;
	snprintf(world, sizeof(world), "%s/w", base);
	lines = lineage_bpf__open_and_load();
	return mkdir(world, 0755) || !lines || lineage_bpf__attach(lines) ? -1 : 0;
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
		cmocka_unit_test(acts),
		cmocka_unit_test_teardown(at_lsm, after),
		cmocka_unit_test_teardown(at_fentry, after),
	};

	setenv("CMOCKA_MESSAGE_OUTPUT", "TAP", 0);
	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, setup, teardown);
}
