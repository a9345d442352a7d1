// SPDX-License-Identifier: Apache-2.0
/*
 * What policies say of real opens and execs in kernel programs, compared with policy_judge() on facts that
 * the test gathers by itself: from stat(2), /proc, and what it has started. Copies of this very program go
 * from one to the next as their arguments say, in a mount namespace and control groups of the test's own.
 * Nothing is denied.
 */
#include <sys/ioctl.h>
#include <sys/mman.h>

#include "bpf/lineage.skel.h"
#include "policyd/policy/tables.h"
#include "proto/abi/facts.h"
#include "proto/abi/lookup/pathhash.h"
#include "proto/base/cleanup.h"
#include "tests/bpf/policy_engine.skel.h"
#include "tests/bpf/procs.h"
#include "tests/unit/policyd/policy_random.h"

#define MAGIC      0x70f4c754u
#define HALF_BYTES ((size_t)PST_POL_LINES * sizeof(union pst_line))
#define WORDS_MAX  24
#define SETS       6
#define ACTS       24 /* of each set; at hooks a third */
#define NAMED_MAX  128

static_assert(PST_POL_LINES == PST_PATHS_LINES, "halves of both are mapped alike");

enum { ASK_OPEN = 1, ASK_EXEC, ASK_FILE, ASK_STOLEN, ASK_OTHER };
enum rung { BY_TRACEPOINT, BY_LSM, BY_FENTRY };

static struct policy_engine_bpf *skel;
static struct lineage_bpf *lines;
static union pst_line *halves[2], *paths[2];
static enum rung rung;
static char base[64];
static char self[256];      /* this program */
static char groups[2][320]; /* control groups, the second in the first; none: "" */

/* ---- what the started programs do ---- */

static void ask(int what)
{
	ioctl(0, (unsigned long)MAGIC, what);
}

static void do_open(const char *path, const char *flags)
{
	ask(ASK_OPEN);
	_exit(open(path, atoi(flags) | O_CLOEXEC, 0600) < 0 ? 80 : 0);
}

static void do_open_again(int fd, const char *flags)
{
	char link[64];

	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	do_open(link, flags);
}

/* Bind mounts in a mount namespace of its own. */
static void do_bind(const char *from, const char *to)
{
	if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) || mount(from, to, NULL, MS_BIND, NULL))
		_exit(88);
}

/* A file in a copy of mounts that is in no namespace. */
static void do_open_copy(const char *dir, const char *name, const char *flags)
{
	int fd = (int)syscall(SYS_open_tree, AT_FDCWD, dir, 1 /* OPEN_TREE_CLONE */ | O_CLOEXEC);

	ask(ASK_OPEN);
	_exit(openat(fd, name, atoi(flags) | O_CLOEXEC) < 0 ? 80 : 0);
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

static void do_setid(const char *id)
{
	unsigned n = (unsigned)atoi(id);

	if (setresgid(n + 1, n + 1, n + 1) || setresuid(n, n, n))
		_exit(83);
}

static void do_cgroup(const char *dir)
{
	char path[352];
	int fd;

	snprintf(path, sizeof(path), "%s/cgroup.procs", dir);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0 || write(fd, "0", 1) != 1)
		_exit(84);
	close(fd);
}

/* Says who it is, as /proc has it, and waits until that has been read. */
static void do_report(const char *fifo)
{
	char go;
	int fd = open(fifo, O_WRONLY | O_CLOEXEC), back;
	pid_t pid = getpid();

	if (fd < 0 || write(fd, &pid, sizeof(pid)) != sizeof(pid))
		_exit(85);
	close(fd);
	back = open(fifo, O_RDONLY | O_CLOEXEC);
	if (back < 0 || read(back, &go, 1) != 1)
		_exit(86);
	close(back);
}

/* A word and what it takes; the words behind it. */
static char **step(char **w)
{
	if (!strcmp(w[0], "end"))
		_exit(0);
	if (!strcmp(w[0], "report"))
		return do_report(w[1]), w + 2;
	if (!strcmp(w[0], "open"))
		do_open(w[1], w[2]);
	if (!strcmp(w[0], "fd"))
		do_open_again(open(w[1], O_RDONLY | O_CLOEXEC), w[2]);
	if (!strcmp(w[0], "memfd"))
		do_open_again(memfd_create("x", MFD_CLOEXEC), w[2]);
	if (!strcmp(w[0], "unlinked")) {
		int fd = open(w[1], O_RDWR | O_CREAT | O_CLOEXEC, 0600);

		do_open_again(unlink(w[1]) ? -1 : fd, w[2]);
	}
	if (!strcmp(w[0], "copy"))
		do_open_copy(w[1], w[2], w[3]);
	if (!strcmp(w[0], "bind"))
		return do_bind(w[1], w[2]), w + 3;
	if (!strcmp(w[0], "fork"))
		return do_fork(), w + 1;
	if (!strcmp(w[0], "setid"))
		return do_setid(w[1]), w + 2;
	if (!strcmp(w[0], "cgroup"))
		return do_cgroup(w[1]), w + 2;
	if (!strcmp(w[0], "unshare"))
		return unshare(atoi(w[1])) ? NULL : w + 2;
	if (!strcmp(w[0], "chdir"))
		return chdir(w[1]) ? NULL : w + 2;
	if (!strcmp(w[0], "chroot"))
		return chroot(w[1]) || chdir("/") ? NULL : w + 2;
	if (!strcmp(w[0], "moved"))
		return rename(w[1], w[2]) ? NULL : w + 3;
	if (!strcmp(w[0], "exec")) {
		ask(ASK_EXEC);
		w++;
	}
	execv(w[0], w);
	return NULL;
}

static void act(char **words)
{
	alarm(120); /* nobody is left behind by a test that fails */
	for (char **w = words; *w;) {
		w = step(w);
		if (!w)
			_exit(87);
	}
	_exit(0);
}

static void go(void *words)
{
	act(words);
}

/* ---- the programs ---- */

static union pst_line *mapped(const struct bpf_map *map)
{
	void *p = mmap(NULL, 2 * HALF_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, bpf_map__fd(map), 0);

	return p == MAP_FAILED ? NULL : p;
}

/* 0: attached on that rung. */
static int engine_load(enum rung r)
{
	skel = policy_engine_bpf__open();
	if (!skel)
		return -1;
	rung = r;
	bpf_program__set_autoload(skel->progs.engine_lsm_open, r == BY_LSM);
	bpf_program__set_autoload(skel->progs.engine_lsm_exec, r == BY_LSM);
	bpf_program__set_autoload(skel->progs.engine_fentry_open, r == BY_FENTRY);
	bpf_program__set_autoload(skel->progs.engine_fentry_exec, r == BY_FENTRY);
	if (bpf_map__reuse_fd(skel->maps.lineages, bpf_map__fd(lines->maps.lineages)) ||
		policy_engine_bpf__load(skel) || policy_engine_bpf__attach(skel))
		return -1;
	skel->bss->magic = MAGIC;
	skel->bss->at_hooks = r != BY_TRACEPOINT;
	halves[0] = mapped(skel->maps.policy_lines);
	paths[0] = mapped(skel->maps.path_lines);
	if (!halves[0] || !paths[0])
		return -1;
	halves[1] = halves[0] + PST_POL_LINES;
	paths[1] = paths[0] + PST_PATHS_LINES;
	return 0;
}

static void engine_unload(void)
{
	if (halves[0])
		munmap(halves[0], 2 * HALF_BYTES);
	if (paths[0])
		munmap(paths[0], 2 * HALF_BYTES);
	halves[0] = paths[0] = NULL;
	policy_engine_bpf__destroy(skel);
	skel = NULL;
}

/*
 * This process was there before its line was, so of its ancestors not all are known. As if it were the first
 * of all: then of those it starts they are.
 */
static int plant_line(uint64_t flags)
{
	int map = bpf_map__fd(lines->maps.lineages), status;
	struct pst_lineage_key key, *at = NULL;
	struct pst_lineage l;
	pid_t pid = fork();

	if (!pid)
		_exit(0);
	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		return -1;
	for (; !bpf_map_get_next_key(map, at, &key); at = &key)
		if (key.pid == (uint64_t)getpid()) {
			if (bpf_map_lookup_elem(map, &key, &l))
				return -1;
			memset(l.ancestors, 0, sizeof(l.ancestors));
			l.flags = flags;
			return bpf_map_update_elem(map, &key, &l, BPF_EXIST);
		}
	return -1;
}

static void make_groups(void)
{
	const char *mounted = cgroup2();

	if (!mounted)
		return;
	snprintf(groups[0], sizeof(groups[0]), "%s/pst-engine-%d", mounted, getpid());
	snprintf(groups[1], sizeof(groups[1]), "%s/pst-engine-%d/in", mounted, getpid());
	if (mkdir(groups[0], 0755)) {
		groups[0][0] = groups[1][0] = '\0';
		return;
	}
	if (mkdir(groups[1], 0755))
		groups[1][0] = '\0';
}

static const char *in_base(const char *name)
{
	static char path[256][128];
	static unsigned turn;
	char *at = path[turn++ % 256];

	snprintf(at, sizeof(path[0]), "%s/%s", base, name);
	return at;
}

static int put(const char *name, mode_t mode)
{
	int fd = open(in_base(name), O_WRONLY | O_CREAT | O_CLOEXEC, mode);

	if (fd < 0 || fchmod(fd, mode))
		return -1;
	return close(fd);
}

static const char *const programs[] = {"bin/one", "bin/two", "three"};

static int make_files(void)
{
	if (chmod(base, 0777) || mkdir(in_base("bin"), 0755) || mkdir(in_base("etc"), 0777) ||
		mkdir(in_base("etc/ssh"), 0777) || mkdir(in_base("srv"), 0777) || put("etc/shadow", 0666) ||
		put("etc/ssh/host.key", 0666) || put("etc/ssh/config", 0666) || put("srv/page", 0666) ||
		put("srv/setid", 06777) || chmod(in_base("etc"), 0777) || chmod(in_base("srv"), 0777) ||
		chmod(in_base("etc/ssh"), 0777) || mkfifo(in_base("report"), 0666) ||
		chmod(in_base("report"), 0666) || symlink("etc/shadow", in_base("link")) ||
		link(in_base("etc/shadow"), in_base("srv/hard")))
		return -1;
	for (size_t i = 0; i < PST_ARRAY_SIZE(programs); i++)
		copy_file(self, in_base(programs[i]), 0755);
	return 0;
}

static int setup(void **state)
{
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);

	(void)state;
	if (n < 0 || folder_make(base, sizeof(base)) || make_files())
		return -1;
	umask(0);
	make_groups();
	lines = lineage_bpf__open_and_load();
	return !lines || lineage_bpf__attach(lines) || plant_line(0) ? -1 : engine_load(BY_TRACEPOINT);
}

static int teardown(void **state)
{
	(void)state;
	engine_unload();
	lineage_bpf__destroy(lines);
	if (groups[1][0])
		rmdir(groups[1]);
	if (groups[0][0])
		rmdir(groups[0]);
	return folder_remove(base);
}

/* ---- policies ---- */

/* A path that rules name, and what was there when they came into force. */
struct named {
	const char *text;
	dev_t dev;
	ino_t ino;
};

struct force {
	struct policy_set set;
	struct policy_tables *tables;
	struct policy_inodes inodes;
	struct named named[NAMED_MAX];
	size_t n_named;
	uint32_t generation;
	const char *in[2]; /* paths of the control groups, as /proc has them */
	char in_text[2][256];
};

static void force_done(struct force *f)
{
	policy_tables_free(f->tables);
	policy_set_done(&f->set);
}

/* Where the group is, as its members say. */
static void find_group(struct force *f, int i)
{
	char text[4096], *at;
	struct stat st;
	pid_t pid;
	int pipes[2];

	if (!groups[i][0])
		return;
	assert_int_equal(pipe(pipes), 0);
	pid = fork();
	if (!pid) {
		do_cgroup(groups[i]);
		slurp("/proc/self/cgroup", text, sizeof(text));
		at = strstr(text, "0::");
		_exit(!at || write(pipes[1], at + 3, strcspn(at + 3, "\n")) < 1);
	}
	assert_int_equal(reap(pid), 0);
	assert_true(read(pipes[0], f->in_text[i], sizeof(f->in_text[i]) - 1) > 0);
	close(pipes[0]);
	close(pipes[1]);
	assert_int_equal(stat(groups[i], &st), 0);
	assert_int_equal(policy_cgroup_set(f->tables, st.st_ino, f->in_text[i]), 0);
	f->in[i] = f->in_text[i];
}

static void find_named(struct force *f, const struct policy_conds *conds)
{
	for (size_t i = 0; i < conds->n; i++) {
		const struct policy_cond *c = &conds->v[i];

		if (policy_rows[c->key].type != POLICY_T_PATTERNS)
			continue;
		for (uint32_t k = 0; k < c->n; k++) {
			const char *text = c->patterns[k].text;
			struct stat st;
			size_t at = 0;

			while (at < f->n_named && strcmp(f->named[at].text, text) != 0)
				at++;
			if (at < f->n_named || *text != '/' || lstat(text, &st))
				continue;
			assert_true(at < NAMED_MAX);
			f->named[f->n_named++] = (struct named){text, st.st_dev, st.st_ino};
		}
	}
}

static void find_all_named(struct force *f)
{
	for (size_t i = 0; i < f->set.n; i++) {
		find_named(f, &f->set.v[i]->scope);
		for (size_t k = 0; k < f->set.v[i]->n; k++)
			find_named(f, &f->set.v[i]->rules[k].conds);
	}
}

/* Puts the set into the other half, and that in force. */
static void enforce(struct force *f)
{
	static uint32_t generation;
	uint32_t half = !skel->bss->half;
	const struct policy_room room = {halves[half], paths[half], PST_POL_LINES, PST_PATHS_LINES};
	struct pst_conf_errors errors = {0};
	const volatile uint64_t *key = (const void *)skel->rodata->cfg_path_key;

	f->generation = ++generation;
	if (policy_compile(&f->set, &room, f->generation, (uint64_t[]){key[0], key[1]}, &errors, &f->tables))
		fail_msg("%s", errors.text ? errors.text : "refused");
	skel->bss->half = half;
	find_all_named(f);
	assert_int_equal(policy_inodes_fill(f->tables, &f->inodes), 0);
	assert_int_equal(f->inodes.full, 0);
	find_group(f, 0);
	find_group(f, 1);
}

static void policies(struct force *f, const char *text)
{
	struct pst_conf_errors errors = {0};

	memset(f, 0, sizeof(*f));
	if (policy_parse(&f->set, "p.yaml", text, strlen(text), &errors, NULL))
		fail_msg("%s", errors.text ? errors.text : "refused");
	enforce(f);
}

/* ---- what is to be ---- */

/* Where a process comes from, by what it was told to do. */
struct line {
	const char *exe, *parent;
	const char *ancestors[WORDS_MAX];
	size_t n;
	bool begun; /* had an exec: then what it gained is known */
	int group;  /* -1: none of the test's */
};

static void push(struct line *l, const char *exe)
{
	for (size_t i = 0; i < l->n; i++)
		if (!strcmp(l->ancestors[i], exe))
			return;
	l->ancestors[l->n++] = exe;
}

static size_t arguments(const char *word)
{
	static const char *const two[] = {"open", "fd", "memfd", "unlinked", "moved", "bind"};

	for (size_t i = 0; i < PST_ARRAY_SIZE(two); i++)
		if (!strcmp(word, two[i]))
			return 2;
	return *word == '/' || !strcmp(word, "fork") || !strcmp(word, "exec") ? 0 : 1;
}

/* Up to what is asked for. */
static struct line line_of(char **words)
{
	struct line l = {.exe = self, .parent = self, .group = -1};

	push(&l, self);
	for (char **w = words; *w && strcmp(*w, "exec") != 0; w += 1 + arguments(*w)) {
		if (**w == '/') {
			push(&l, l.exe);
			l.exe = *w;
			l.begun = true;
		} else if (!strcmp(*w, "fork")) {
			push(&l, l.exe);
			l.parent = l.exe;
		} else if (!strcmp(*w, "cgroup")) {
			l.group = strcmp(w[1], groups[0]) != 0;
		}
	}
	return l;
}

/* Of hidden namespaces (0) nothing is compared. */
static uint32_t host_ns(const char *name)
{
	uint32_t ino = proc_ns(1, name);

	return ino ? ino : proc_ns(2, name);
}

static const char *const ns_names[PST_NAMESPACES] = {
	[PST_NS_CGROUP] = "cgroup",
	[PST_NS_IPC] = "ipc",
	[PST_NS_MNT] = "mnt",
	[PST_NS_NET] = "net",
	[PST_NS_PID] = "pid",
	[PST_NS_TIME] = "time",
	[PST_NS_USER] = "user",
	[PST_NS_UTS] = "uts",
};

static bool shows_namespaces(void)
{
	return host_ns("mnt") && host_ns("user") && host_ns("uts");
}

/* The subject, while it waits. */
static void subject_of(pid_t pid, const struct line *l, const struct force *f, struct policy_act *a)
{
	char status[4096];

	proc_slurp(pid, "status", status, sizeof(status));
	assert_int_equal(sscanf(strstr(status, "Uid:"), "Uid: %*u %u", &a->uid), 1);
	assert_int_equal(sscanf(strstr(status, "Gid:"), "Gid: %*u %u", &a->gid), 1);
	a->holds = proc_caps(pid);
	a->executable = l->exe;
	a->parent = l->parent;
	a->ancestors = l->ancestors;
	a->n_ancestors = l->n;
	a->cgroup = l->group < 0 ? NULL : f->in[l->group];
	for (int k = 0; k < PST_NAMESPACES; k++)
		if (proc_ns(pid, ns_names[k]) == host_ns(ns_names[k]))
			a->ns_host |= (uint8_t)(1u << k);
	a->unknown = POLICY_UNKNOWN_CONTAINER;
	if (!l->begun)
		a->unknown |= POLICY_UNKNOWN_GAINED;
}

/* At the end of an exec: who started it is among the ancestors by now, and its executable is not known. */
static void as_begun(struct line *l, struct policy_act *a)
{
	push(l, l->exe);
	a->n_ancestors = l->n;
	a->executable = NULL;
	a->unknown &= (uint8_t)~POLICY_UNKNOWN_GAINED;
}

static uint32_t access_of(int flags)
{
	uint32_t access = 0;

	if ((flags & O_ACCMODE) != O_WRONLY)
		access |= 1u << PST_ACCESS_READ;
	if ((flags & O_ACCMODE) != O_RDONLY)
		access |= 1u << PST_ACCESS_WRITE;
	if ((flags & O_ACCMODE) != O_RDONLY && flags & O_APPEND)
		access |= 1u << PST_ACCESS_APPEND;
	return access;
}

/* An act, and how it is gone about. */
struct deed {
	enum pst_pol_op op;
	const char *path; /* NULL: it has none */
	const char *real; /* where it is, if not there: the same for all who look */
	uint32_t flags;   /* of the file */
	int how;          /* flags of the open */
	char *words[WORDS_MAX];
};

/* ---- what it is by its inodes ---- */

static struct policy_alias aliases[NAMED_MAX * 4];

static void add_aliases(const struct force *f, struct policy_act *a, const char *path,
	enum policy_alias_of of, enum policy_alias_as as)
{
	struct stat st;

	if (!path || lstat(path, &st))
		return;
	for (size_t i = 0; i < f->n_named; i++)
		if (f->named[i].dev == st.st_dev && f->named[i].ino == st.st_ino) {
			assert_true(a->n_aliases < PST_ARRAY_SIZE(aliases));
			aliases[a->n_aliases++] = (struct policy_alias){f->named[i].text, of, as};
		}
}

/* Of the file, and of the folders that it is in. */
static void aliases_of(const struct force *f, const char *path, struct policy_act *a)
{
	char above[256];
	enum policy_alias_as as = POLICY_ALIAS_IN;
	char *slash;

	a->aliases = aliases;
	if (!path)
		return;
	add_aliases(f, a, path, POLICY_ALIAS_PATH, POLICY_ALIAS_FILE);
	snprintf(above, sizeof(above), "%s", path);
	while ((slash = strrchr(above, '/')) && above[1]) {
		slash[slash == above] = '\0';
		add_aliases(f, a, above, POLICY_ALIAS_PATH, as);
		as = POLICY_ALIAS_ABOVE;
	}
}

/* Runs it up to the act, finds out who does it, and lets it happen. */
static void happens(struct deed *d, const struct force *f, struct line *l, struct policy_act *a)
{
	uint32_t before = skel->bss->answers;
	char *fifo = (char *)in_base("report");
	int fd, status;
	pid_t pid, who;

	*l = line_of(d->words);
	*a = (struct policy_act)POLICY_ACT_INIT;
	pid = run(go, d->words);
	fd = open(fifo, O_RDONLY | O_CLOEXEC);
	assert_true(fd >= 0);
	assert_int_equal(read(fd, &who, sizeof(who)), sizeof(who));
	close(fd);
	subject_of(who, l, f, a);
	aliases_of(f, d->real ? d->real : d->path, a);
	if (d->op != PST_OP_PROCESS_EXEC || rung != BY_TRACEPOINT) /* then nobody knows */
		add_aliases(f, a, l->exe, POLICY_ALIAS_EXECUTABLE, POLICY_ALIAS_FILE);
	fd = open(fifo, O_WRONLY | O_CLOEXEC);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, "", 1), 1);
	close(fd);
	status = reap(pid);
	if (!WIFEXITED(status) || WEXITSTATUS(status))
		fail_msg("%s: status %#x", d->path ? d->path : "no path", (unsigned)status);
	assert_int_equal(skel->bss->answers, before + 1);
	a->op = d->op;
	a->path = d->path;
	a->flags = d->flags;
	a->access = d->op == PST_OP_FILE_OPEN ? access_of(d->how) : 1u << PST_ACCESS_EXECUTE;
	if (d->op == PST_OP_PROCESS_EXEC && rung == BY_TRACEPOINT)
		as_begun(l, a);
}

/* What the kernel says; the same as what is to be. */
static struct policy_verdict compared(const struct force *f, const struct policy_act *a)
{
	const struct pst_verdict *v = (const void *)&skel->bss->verdict;
	const struct policy_found found = {.rule = v->rule};
	struct policy_verdict want = policy_judge(&f->set, a), got = policy_tables_verdict(f->tables, &found);

	if (want.rule != got.rule || want.policy != got.policy)
		fail_msg("%s by %s: %s/%s in the kernel, and not %s/%s", a->path ? a->path : "no path",
			a->executable ? a->executable : "?", got.policy ? got.policy->name : "-",
			got.rule ? got.rule->name : "-", want.policy ? want.policy->name : "-",
			want.rule ? want.rule->name : "-");
	assert_int_equal(v->action, want.action);
	assert_int_equal(v->would, want.would);
	if (v->told == PST_TOLD_NOT) { /* no rule names the operation */
		assert_null(want.rule);
		return want;
	}
	assert_int_equal(v->told, PST_TOLD_ALL);
	assert_int_equal(v->generation, f->generation);
	if (want.rule)
		assert_ptr_equal(f->set.v[v->policy], want.policy);
	if (want.rule && (want.rule->action == PST_ACT_DENY || want.rule->action == PST_ACT_THROTTLE))
		assert_int_equal(v->error, want.rule->error);
	return want;
}

static struct policy_verdict judged(struct deed *d, const struct force *f)
{
	struct policy_act a;
	struct line l;

	happens(d, f, &l, &a);
	return compared(f, &a);
}

/* ---- acts of every sort ---- */

static char *text(const char *format, ...) __attribute__((format(printf, 1, 2)));
static char *text(const char *format, ...)
{
	static char all[64][160];
	static unsigned turn;
	char *at = all[turn++ % 64];
	va_list args;

	va_start(args, format);
	vsnprintf(at, sizeof(all[0]), format, args);
	va_end(args);
	return at;
}

/* Appends words, up to NULL. */
static void say(struct deed *d, ...)
{
	va_list args;
	size_t n = 0;
	char *word;

	while (d->words[n])
		n++;
	va_start(args, d);
	while ((word = va_arg(args, char *)) != NULL) {
		assert_true(n < WORDS_MAX - 1);
		d->words[n++] = word;
	}
	va_end(args);
}

enum way { PLAIN, LINK, HARD, UPWARD, RELATIVE, BY_FD, CHROOT, MEMFD, UNLINKED, CREATED, SETID, KEY, WAYS };

/* The last words: the file is opened in that way. */
static void opens(struct deed *d, enum way way, int how)
{
	char *flags = text("%d", how), *shadow = (char *)in_base("etc/shadow");

	d->op = PST_OP_FILE_OPEN;
	d->how = how;
	d->path = shadow;
	say(d, way == CHROOT ? "chdir" : "report", way == CHROOT ? "/" : in_base("report"), NULL);
	switch (way) {
	case LINK:
		say(d, "open", in_base("link"), flags, NULL);
		return;
	case HARD:
		d->path = in_base("srv/hard");
		say(d, "open", d->path, flags, NULL);
		return;
	case UPWARD:
		say(d, "open", in_base("srv/../bin/.././etc//shadow"), flags, NULL);
		return;
	case RELATIVE:
		say(d, "chdir", in_base("etc/ssh"), "open", "../shadow", flags, NULL);
		return;
	case BY_FD:
		say(d, "fd", shadow, flags, NULL);
		return;
	case CHROOT:
		say(d, "report", in_base("report"), "chroot", base, "open", "/etc/shadow", flags, NULL);
		return;
	case MEMFD:
		d->path = NULL;
		d->flags = 1u << PST_FILE_MEMFD | 1u << PST_FILE_UNLINKED;
		say(d, "memfd", "-", flags, NULL);
		return;
	case UNLINKED:
		d->path = in_base("etc/gone");
		d->flags = 1u << PST_FILE_UNLINKED;
		say(d, "unlinked", d->path, flags, NULL);
		return;
	case CREATED:
		d->path = in_base(text("srv/new-%u", policy_draw(UINT32_MAX)));
		say(d, "open", d->path, text("%d", how | O_CREAT), NULL);
		return;
	case SETID:
		d->path = in_base("srv/setid");
		d->flags = 1u << PST_FILE_SETID;
		say(d, "open", d->path, flags, NULL);
		return;
	case KEY:
		d->path = in_base("etc/ssh/host.key");
		say(d, "open", d->path, flags, NULL);
		return;
	default:
		say(d, "open", shadow, flags, NULL);
	}
}

/* The last words: that program is started. */
static void execs(struct deed *d, const char *program)
{
	d->op = PST_OP_PROCESS_EXEC;
	d->path = program;
	say(d, "report", in_base("report"), "exec", program, "end", NULL);
}

/* ---- what is said ---- */

/* The rule that took it, or "". */
static const char *rule_of(struct deed *d, const struct force *f)
{
	struct policy_verdict v = judged(d, f);

	return v.rule ? v.rule->name : "";
}

#define POLICY(name, spec)                                                                                   \
	"---\napiVersion: penstock.dev/v1\nkind: Policy\nmetadata: {name: " name "}\nspec:\n" spec

static void ways_to_a_file(void **state)
{
	static const struct {
		enum way way;
		int how;
		const char *rule;
	} rows[] = {
		{PLAIN, O_RDONLY, "shadow"},
		{PLAIN, O_WRONLY, "written"},
		{PLAIN, O_RDWR | O_APPEND, "written"},
		{LINK, O_RDONLY, "shadow"},
		{UPWARD, O_RDONLY, "shadow"},
		{RELATIVE, O_RDONLY, "shadow"},
		{BY_FD, O_RDONLY, "shadow"},
		{CHROOT, O_RDONLY, "shadow"}, /* the path is the host's */
		{HARD, O_RDONLY, "shadow"},   /* the same file */
		{KEY, O_RDONLY, "keys"},
		{MEMFD, O_RDONLY, "in memory"}, /* no path: not even `not` takes it */
		{UNLINKED, O_RDONLY, "gone"},
		{SETID, O_RDONLY, "setid"},
		{CREATED, O_WRONLY, "made"},
	};
	PST_CLEANUP(force_done) struct force f;
	char *all = NULL;

	(void)state;
	assert_true(asprintf(&all,
			    POLICY("files",
				    "  rules:\n"
				    "    - {name: written, operations: file.open, paths: %1$s/etc/shadow, "
				    "access: [write], action: kill}\n"
				    "    - {name: shadow, operations: file.open, paths: %1$s/etc/shadow, "
				    "action: deny, errno: EACCES}\n"
				    "    - {name: keys, operations: file.open, paths: {suffix: .key}, "
				    "action: alert}\n"
				    "    - {name: elsewhere, operations: file.open, flags: memfd, "
				    "paths: {not: /none}, action: kill}\n"
				    "    - {name: in memory, operations: file.open, flags: memfd, action: "
				    "audit}\n"
				    "    - {name: gone, operations: file.open, flags: unlinked, action: "
				    "audit}\n"
				    "    - {name: setid, operations: file.open, flags: setid, action: "
				    "deny}\n"
				    "    - {name: made, operations: file.open, paths: {glob: "
				    "\"%1$s/*/new-*\"}, "
				    "access: {not: read}, action: audit}\n"),
			    base) > 0);
	policies(&f, all);
	free(all);
	for (size_t i = 0; i < PST_ARRAY_SIZE(rows); i++) {
		struct deed d = {0};

		opens(&d, rows[i].way, rows[i].how);
		if (strcmp(rule_of(&d, &f), rows[i].rule) != 0)
			fail_msg("row %zu: not %s", i, rows[i].rule);
	}
	/* nobody asks for starts of programs */
	struct deed d = {0};

	execs(&d, in_base("bin/one"));
	assert_string_equal(rule_of(&d, &f), "");
	assert_int_equal(((const struct pst_verdict *)&skel->bss->verdict)->told, PST_TOLD_NOT);
}

/* ---- other names ---- */

static int make_others(void)
{
	if (mkdir(in_base("o"), 0755) || mkdir(in_base("o/keys"), 0755) ||
		mkdir(in_base("o/keys/sub"), 0755) || mkdir(in_base("o/list"), 0755) ||
		mkdir(in_base("o/list/sub"), 0755) || mkdir(in_base("o/mnt"), 0755) ||
		put("o/secret", 0644) || put("o/beside", 0644) || put("o/file", 0644) ||
		put("o/keys/sub/key", 0644) || put("o/list/page", 0644) || put("o/list/sub/page", 0644) ||
		put("o/keys/key", 0644))
		return -1;
	copy_file(self, in_base("o/running"), 0755);
	return link(in_base("o/secret"), in_base("o/hard")) ||
	       link(in_base("o/keys/key"), in_base("o/key")) ||
	       link(in_base("bin/one"), in_base("o/program"));
}

static void remove_others(void)
{
	static const char *const names[] = {"o/running", "o/was", "o/program", "o/key", "o/hard",
		"o/keys/key", "o/list/sub/page", "o/list/page", "o/keys/sub/key", "o/file", "o/beside",
		"o/secret", "o/mnt", "o/list/sub", "o/list", "o/keys/sub", "o/keys", "o"};

	for (size_t i = 0; i < PST_ARRAY_SIZE(names); i++)
		remove(in_base(names[i]));
}

/* What is bound elsewhere, in a mount namespace of its own. */
static void bound(struct deed *d, const char *from, const char *to, const char *file, const char *real)
{
	d->op = PST_OP_FILE_OPEN;
	d->path = in_base(file);
	d->real = in_base(real);
	say(d, "unshare", text("%d", CLONE_NEWNS), "bind", in_base(from), in_base(to), "report",
		in_base("report"), "open", d->path, "0", NULL);
}

/* By its own path, another one of the same file, or none. */
static void opened(struct deed *d, const char *file)
{
	d->op = PST_OP_FILE_OPEN;
	d->path = in_base(file);
	say(d, "report", in_base("report"), "open", d->path, "0", NULL);
}

static void copied(struct deed *d, const char *dir, const char *name, const char *real)
{
	d->op = PST_OP_FILE_OPEN;
	d->real = in_base(real);
	say(d, "report", in_base("report"), "copy", in_base(dir), name, "0", NULL);
}

static void must_be(struct deed *d, const struct force *f, const char *rule)
{
	const char *is = rule_of(d, f);

	if (strcmp(is, rule) != 0)
		fail_msg("%s (%s): %s, and not %s", d->path ? d->path : "no path", d->real ? d->real : "-",
			is, rule);
}

#define MUST_BE(f, rule, how, ...)                                                                           \
	do {                                                                                                 \
		struct deed d_ = {0};                                                                        \
                                                                                                             \
		how(&d_, __VA_ARGS__);                                                                       \
		must_be(&d_, f, rule);                                                                       \
	} while (0)

static void files_by_other_names(const struct force *f)
{
	MUST_BE(f, "secret", opened, "o/secret");
	MUST_BE(f, "secret", opened, "o/hard");
	MUST_BE(f, "secret", bound, "o/secret", "o/file", "o/file", "o/secret");
	MUST_BE(f, "secret", bound, "o/hard", "o/file", "o/file", "o/hard");
	MUST_BE(f, "secret", bound, "o", "o/mnt", "o/mnt/hard", "o/hard");
	MUST_BE(f, "else", opened, "o/beside");
	MUST_BE(f, "else", bound, "o/beside", "o/file", "o/file", "o/beside");
	MUST_BE(f, "else", opened, "o/key"); /* a hard link is in its own folders */
	/* by a copy of mounts that is in no namespace it has no path: no `not` takes it */
	MUST_BE(f, "secret", copied, "o", "secret", "o/secret");
	MUST_BE(f, "", copied, "o", "beside", "o/beside");
}

static void folders_by_other_names(const struct force *f)
{
	MUST_BE(f, "keys", bound, "o/keys", "o/mnt", "o/mnt/key", "o/keys/key");
	MUST_BE(f, "keys", bound, "o/keys", "o/mnt", "o/mnt/sub/key", "o/keys/sub/key");
	MUST_BE(f, "keys", bound, "o/keys/sub", "o/mnt", "o/mnt/key", "o/keys/sub/key");
	MUST_BE(f, "keys", bound, "o/keys/key", "o/file", "o/file", "o/keys/key");
	MUST_BE(f, "keys", bound, "o/keys", "o/mnt", "o/mnt", "o/keys");
	MUST_BE(f, "list", bound, "o/list", "o/mnt", "o/mnt/page", "o/list/page");
	MUST_BE(f, "else", bound, "o/list", "o/mnt", "o/mnt/sub/page", "o/list/sub/page");
	MUST_BE(f, "else", bound, "o/list/sub", "o/mnt", "o/mnt/page", "o/list/sub/page");
	MUST_BE(f, "keys", copied, "o/keys", "sub/key", "o/keys/sub/key");
	MUST_BE(f, "list", copied, "o/list", "page", "o/list/page");
}

/* Files that were moved since; what takes their place is taken by its name. */
static void files_that_were_moved(const struct force *f)
{
	assert_int_equal(rename(in_base("o/secret"), in_base("o/was")), 0);
	MUST_BE(f, "secret", opened, "o/was");
	assert_int_equal(put("o/secret", 0644), 0);
	MUST_BE(f, "secret", opened, "o/secret");
	assert_int_equal(rename(in_base("o/was"), in_base("o/secret")), 0);
	assert_int_equal(rename(in_base("o/keys"), in_base("o/was")), 0);
	MUST_BE(f, "keys", opened, "o/was/sub/key");
	assert_int_equal(rename(in_base("o/was"), in_base("o/keys")), 0);
}

/* A hard link of a program; one that was renamed while it runs, which has no path. */
static void programs_by_other_names(const struct force *f)
{
	char *running = (char *)in_base("o/running"), *was = (char *)in_base("o/was");
	struct deed d = {0}, renamed = {0};
	struct policy_act a;
	struct line l;

	say(&d, in_base("o/program"), NULL);
	opened(&d, "o/beside");
	must_be(&d, f, "by one");
	say(&renamed, running, "moved", running, was, NULL);
	opened(&renamed, "o/beside");
	happens(&renamed, f, &l, &a);
	a.executable = NULL;
	for (size_t i = 0; i < f->n_named; i++)
		if (!strcmp(f->named[i].text, running))
			aliases[a.n_aliases++] = (struct policy_alias){
				f->named[i].text, POLICY_ALIAS_EXECUTABLE, POLICY_ALIAS_FILE};
	assert_string_equal(compared(f, &a).rule->name, "by running");
}

static void other_names(void **state)
{
	PST_CLEANUP(force_done) struct force f;
	char *all = NULL;

	(void)state;
	assert_int_equal(make_others(), 0);
	assert_true(
		asprintf(&all,
			POLICY("names",
				"  rules:\n"
				"    - {name: by one, operations: file.open, executables: %1$s/bin/one, "
				"action: audit}\n"
				"    - {name: by running, operations: file.open, executables: "
				"%1$s/o/running, "
				"action: audit}\n"
				"    - {name: secret, operations: file.open, paths: %1$s/o/secret, action: "
				"deny, errno: EACCES}\n"
				"    - {name: keys, operations: file.open, paths: {directory: %1$s/o/keys, "
				"recursive: true}, action: kill}\n"
				"    - {name: list, operations: file.open, paths: {directory: %1$s/o/list}, "
				"action: alert}\n"
				"    - {name: else, operations: file.open, paths: {not: [%1$s/o/secret, "
				"{directory: %1$s/o/keys, recursive: true}, {directory: %1$s/o/list}]}, "
				"action: audit}\n"),
			base) > 0);
	policies(&f, all);
	free(all);
	if (f.inodes.set != 5) {
		remove_others();
		skip_because("inodes say nothing of files in %s", base);
	}
	files_by_other_names(&f);
	folders_by_other_names(&f);
	files_that_were_moved(&f);
	programs_by_other_names(&f);
	remove_others();
}

static void who_does_it(void **state)
{
	PST_CLEANUP(force_done) struct force f;
	char *one = (char *)in_base("bin/one"), *two = (char *)in_base("bin/two");
	char *moved = (char *)in_base("bin/moved"), *was = (char *)in_base("bin/was"), *all = NULL;
	struct {
		char *words[8];
		const char *rule;
	} rows[] = {
		{{one}, "by one"},
		{{"setid", "1234", two}, "by an id"},
		{{one, "fork", two}, "started by one"},
		{{one, two}, "comes of one"},
		{{one, two, "fork", two}, "comes of one"},
		{{two}, "not of one"},
		{{two, "cgroup", groups[1]}, "in a group"},
		/* called otherwise by now: its path is not known, and no `not` takes it either */
		{{moved, "moved", moved, was}, "renamed"},
	};

	(void)state;
	copy_file(self, moved, 0755);
	assert_true(
		asprintf(&all,
			POLICY("group",
				"  scope: {cgroups: \"/**/pst-engine-%2$d/in\"}\n"
				"  rules: [{name: in a group, operations: file.open, action: kill}]\n")
				POLICY("subject",
					"  rules:\n"
					"    - {name: by an id, operations: file.open, uids: 1234, gids: "
					"1235, action: deny}\n"
					"    - {name: by one, operations: file.open, executables: "
					"%1$s/bin/one, action: audit}\n"
					"    - {name: started by one, operations: file.open, parents: "
					"%1$s/bin/one, action: audit}\n"
					"    - {name: comes of one, operations: file.open, ancestors: "
					"%1$s/bin/one, action: audit}\n"
					"    - {name: not of one, operations: file.open, executables: {not: "
					"%1$s/bin/one}, action: audit}\n"
					"    - {name: renamed, operations: file.open, action: audit}\n"),
			base, getpid()) > 0);
	policies(&f, all);
	free(all);
	for (size_t i = 0; i < PST_ARRAY_SIZE(rows); i++) {
		struct deed d = {0};

		if (!strcmp(rows[i].rule, "in a group") && !groups[1][0])
			continue;
		for (size_t k = 0; k < PST_ARRAY_SIZE(rows[i].words) && rows[i].words[k]; k++)
			say(&d, rows[i].words[k], NULL);
		opens(&d, PLAIN, O_RDONLY);
		if (!strcmp(rows[i].rule, "renamed")) {
			struct policy_act a;
			struct line l;

			happens(&d, &f, &l, &a);
			a.executable = NULL;
			assert_string_equal(compared(&f, &a).rule->name, "renamed");
		} else if (strcmp(rule_of(&d, &f), rows[i].rule) != 0) {
			fail_msg("row %zu: not %s", i, rows[i].rule);
		}
	}
	unlink(was);
}

/* Of whoever was there before not all ancestors are known: no list of them takes him, and no `not`. */
static void unknown_ancestors(void **state)
{
	PST_CLEANUP(force_done) struct force f;
	struct policy_act a;
	struct deed d = {0};
	char *all = NULL;
	struct line l;

	(void)state;
	assert_int_equal(plant_line(PST_LINEAGE_CLIMBED), 0);
	assert_true(
		asprintf(&all,
			POLICY("p", "  rules:\n"
				    "    - {name: list, operations: file.open, ancestors: %s, action: kill}\n"
				    "    - {name: not, operations: file.open, ancestors: {not: /none}, "
				    "action: kill}\n"
				    "    - {name: rest, operations: file.open, action: audit}\n"),
			self) > 0);
	policies(&f, all);
	free(all);
	say(&d, in_base("bin/one"), NULL);
	opens(&d, PLAIN, O_RDONLY);
	happens(&d, &f, &l, &a);
	a.ancestors = NULL;
	assert_string_equal(compared(&f, &a).rule->name, "rest");
	assert_int_equal(plant_line(0), 0);
}

static void starts_of_programs(void **state)
{
	PST_CLEANUP(force_done) struct force f;
	char *one = (char *)in_base("bin/one"), *three = (char *)in_base("three"), *all = NULL;
	struct deed by_one = {0}, by_two = {0}, other = {0};

	(void)state;
	assert_true(
		asprintf(&all,
			POLICY("starts", "  rules:\n"
					 "    - {name: one starts, operations: process.exec, executables: "
					 "%1$s/bin/one, action: kill}\n"
					 "    - {name: bin, operations: process.exec, paths: {directory: "
					 "%1$s/bin}, action: deny}\n"
					 "    - {name: other, operations: process.exec, paths: {not: "
					 "{directory: %1$s/bin}}, action: audit}\n"),
			base) > 0);
	policies(&f, all);
	free(all);
	say(&by_one, one, NULL);
	execs(&by_one, in_base("bin/two"));
	/* at its end it is not known any more who has started it */
	assert_string_equal(rule_of(&by_one, &f), rung == BY_TRACEPOINT ? "bin" : "one starts");
	say(&by_two, in_base("bin/two"), NULL);
	execs(&by_two, in_base("bin/one"));
	assert_string_equal(rule_of(&by_two, &f), "bin");
	execs(&other, three);
	assert_string_equal(rule_of(&other, &f), "other");
}

/* Of the tables that are in force, and by nobody else's numbers. */
static void what_comes_between(void **state)
{
	PST_CLEANUP(force_done) struct force f;
	int fd = open(in_base("etc/shadow"), O_RDONLY | O_CLOEXEC);

	(void)state;
	assert_true(fd >= 0);
	policies(&f,
		POLICY("p", "  rules: [{name: all, operations: file.open, paths: {suffix: shadow}, action: "
			    "audit}]\n"));
	ioctl(fd, (unsigned long)MAGIC, ASK_FILE);
	assert_int_equal(((const struct pst_verdict *)&skel->bss->verdict)->action, PST_ACT_AUDIT);
	skel->bss->told = 1;
	ioctl(fd, (unsigned long)MAGIC, ASK_STOLEN);
	assert_int_equal(skel->bss->told, 0);
	skel->bss->told = 1;
	ioctl(fd, (unsigned long)MAGIC, ASK_OTHER);
	assert_int_equal(skel->bss->told, 0);
	close(fd);
}

/* ---- by chance ---- */

static void random_path(FILE *f)
{
	static const char *const names[] = {"etc/shadow", "srv/hard", "etc/ssh/host.key", "srv/setid",
		"etc/gone", "bin/one", "bin/two", "three"};
	static const char *const dirs[] = {"etc", "srv", "bin", "etc/ssh"};
	const char *dir = dirs[policy_draw(4)];

	switch (policy_draw(6)) {
	case 0:
		fprintf(f, "{directory: %s/%s}", base, dir);
		return;
	case 1:
		fprintf(f, "{directory: %s/%s, recursive: true}", base, dir);
		return;
	case 2:
		fprintf(f, "{prefix: %s/%s/s}", base, dir);
		return;
	case 3:
		fprintf(f, "{suffix: %s}", policy_draw(2) ? "o" : ".key");
		return;
	case 4:
		fprintf(f, "{glob: \"%s\"}", policy_draw(2) ? "/**/sh*" : "/tmp/*/*/[a-n]*");
		return;
	default:
		fprintf(f, "%s/%s", base, names[policy_draw(8)]);
	}
}

static void random_element(FILE *f, enum policy_key key)
{
	const struct policy_words *words = policy_rows[key].words;
	uint32_t n = policy_draw(4);

	switch (policy_rows[key].type) {
	case POLICY_T_PATTERNS:
		random_path(f);
		return;
	case POLICY_T_FILES:
		fprintf(f, "%s", n < 3 ? in_base(programs[n]) : self);
		return;
	case POLICY_T_CGROUPS:
		fprintf(f, "\"/**/pst-engine-%d%s\"", getpid(), n % 2 ? "" : "/in");
		return;
	case POLICY_T_IDS:
		fprintf(f, "%u-%u", n * 500, n * 500 + 600);
		return;
	default:
		do
			n = policy_draw(words->n);
		while (!words->name(n));
		fputs(words->name(n), f);
	}
}

static void random_cond(FILE *f, enum policy_key key, bool first)
{
	bool other = !policy_draw(3);

	if (!first)
		fputs(", ", f);
	fprintf(f, "%s: ", policy_rows[key].key);
	if (policy_rows[key].type == POLICY_T_NAMESPACES) {
		fprintf(f, "{%s: %s}", policy_draw(2) ? "uts" : "mnt", policy_draw(2) ? "host" : "other");
		return;
	}
	if (policy_rows[key].type == POLICY_T_TRUE) {
		fputs("true", f);
		return;
	}
	fprintf(f, "%s[", other ? "{not: " : "");
	random_element(f, key);
	if (policy_draw(2)) {
		fputs(", ", f);
		random_element(f, key);
	}
	fprintf(f, "]%s", other ? "}" : "");
}

static void random_rule(FILE *f, unsigned i)
{
	static const char *const actions[] = {
		"allow", "audit", "alert", "deny, errno: EACCES", "kill", "throttle, rate: 5/1s"};
	static const enum policy_key keys[] = {POLICY_PATHS, POLICY_FLAGS, POLICY_ACCESS, POLICY_EXECUTABLES,
		POLICY_PARENTS, POLICY_ANCESTORS, POLICY_UIDS, POLICY_GIDS, POLICY_HOLDS, POLICY_GAINED,
		POLICY_NAMESPACES};
	static const char *const ops[] = {"file.open", "file.open, process.exec", "process.exec"};
	unsigned op = policy_draw(3);

	fprintf(f, "    - {name: r%u, operations: [%s], action: %s", i, ops[op], actions[policy_draw(6)]);
	for (size_t k = 0; k < PST_ARRAY_SIZE(keys); k++)
		if (!policy_draw(keys[k] == POLICY_PATHS ? 2 : 5) && (keys[k] != POLICY_ACCESS || !op) &&
			(keys[k] != POLICY_NAMESPACES || shows_namespaces()))
			random_cond(f, keys[k], false);
	fputs("}\n", f);
}

static void random_policy(FILE *f, unsigned i)
{
	static const char *const modes[] = {"enforce", "enforce", "enforce", "audit", "\"off\""};
	static const enum policy_key scopes[] = {
		POLICY_CGROUPS, POLICY_UIDS, POLICY_EXECUTABLES, POLICY_DESCENDANTS, POLICY_HOST};
	enum policy_key scope = scopes[policy_draw(5)];

	fprintf(f,
		"---\napiVersion: penstock.dev/v1\nkind: Policy\nmetadata: {name: p%u}\nspec:\n  mode: %s\n",
		i, modes[policy_draw(5)]);
	if (policy_draw(2) && (scope != POLICY_CGROUPS || groups[1][0])) {
		fputs("  scope: {", f);
		random_cond(f, scope, true);
		fputs("}\n", f);
	}
	fputs("  rules:\n", f);
	for (unsigned r = 0, n = 1 + policy_draw(6); r < n; r++)
		random_rule(f, r);
}

/* Those that are good by themselves. */
static void random_policies(struct policy_set *set, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		PST_CLEANUP(policy_set_done) struct policy_set tried = {0};
		PST_CLEANUP(pst_freep) char *yaml = NULL;
		struct pst_conf_errors errors = {0};
		size_t len = 0;
		FILE *f = open_memstream(&yaml, &len);

		random_policy(f, i);
		fclose(f);
		if (!policy_parse(&tried, "random.yaml", yaml, len, &errors, NULL))
			assert_int_equal(policy_parse(set, "random.yaml", yaml, len, &errors, NULL), 0);
		pst_conf_errors_done(&errors);
	}
}

static void random_deed(struct deed *d)
{
	static const int hows[] = {O_RDONLY, O_WRONLY, O_RDWR, O_WRONLY | O_APPEND};
	const char *program = in_base(programs[policy_draw(3)]);

	memset(d, 0, sizeof(*d));
	if (groups[1][0] && policy_draw(3))
		say(d, "cgroup", groups[policy_draw(2)], NULL);
	if (!policy_draw(4))
		say(d, "unshare", text("%d", CLONE_NEWUTS), NULL);
	if (policy_draw(4))
		say(d, in_base(programs[policy_draw(3)]), NULL);
	if (!policy_draw(3))
		say(d, "fork", NULL);
	if (!policy_draw(3))
		say(d, in_base(programs[policy_draw(3)]), NULL);
	if (!policy_draw(4)) {
		execs(d, program);
		return;
	}
	/* who has another id may not change his root, and his file is his own */
	if (policy_draw(2))
		opens(d, policy_draw(WAYS), hows[policy_draw(4)]);
	else
		say(d, "setid", text("%u", 500 * policy_draw(4)), NULL),
			opens(d, (enum way)policy_draw(CHROOT), hows[policy_draw(4)]);
}

static void by_chance(void **state)
{
	unsigned taken = 0, none = 0, rules = 0;

	(void)state;
	for (unsigned n = 0; n < SETS; n++) {
		PST_CLEANUP(force_done) struct force f = {0};

		random_policies(&f.set, n % 2 ? 100 : 4);
		enforce(&f);
		rules += policy_tables_made(f.tables).rules;
		for (unsigned i = 0; i < (rung == BY_TRACEPOINT ? ACTS : ACTS / 3); i++) {
			struct deed d;

			random_deed(&d);
			if (judged(&d, &f).rule)
				taken++;
			else
				none++;
		}
	}
	print_message("# %u rules, %u acts taken, %u not\n", rules, taken, none);
	assert_true(rules > 500 && taken > 10 && none > 5);
}

/* ---- rungs ---- */

/* The same at hooks of functions, where there are any. */
static void at_hooks(enum rung r, const char *name)
{
	uint32_t before;
	int fd;

	engine_unload();
	if (engine_load(r)) {
		engine_unload();
		skip_because("no BPF program can be attached to %s hooks", name);
	}
	before = skel->bss->answers;
	ask(ASK_OPEN);
	fd = open("/", O_RDONLY | O_CLOEXEC);
	close(fd);
	if (skel->bss->answers == before) {
		engine_unload();
		skip_because("programs at %s hooks are not called", name);
	}
	ways_to_a_file(NULL);
	other_names(NULL);
	who_does_it(NULL);
	unknown_ancestors(NULL);
	starts_of_programs(NULL);
	by_chance(NULL);
}

static void at_lsm(void **state)
{
	(void)state;
	at_hooks(BY_LSM, "LSM");
}

static void at_fentry(void **state)
{
	(void)state;
	at_hooks(BY_FENTRY, "fentry");
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ways_to_a_file),
		cmocka_unit_test(other_names),
		cmocka_unit_test(who_does_it),
		cmocka_unit_test(unknown_ancestors),
		cmocka_unit_test(starts_of_programs),
		cmocka_unit_test(what_comes_between),
		cmocka_unit_test(by_chance),
		cmocka_unit_test(at_lsm),
		cmocka_unit_test(at_fentry),
	};

	if (argc > 1)
		act(argv + 1);
	return cmocka_run_group_tests(tests, setup, teardown);
}
