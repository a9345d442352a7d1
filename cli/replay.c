// SPDX-License-Identifier: Apache-2.0
/* `penstock replay FILE`: a private pipeline (collector, enricher, policyd) in a folder of its own; needs no
 * privilege. */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "cli/child.h"
#include "cli/cli.h"
#include "cli/commands.h"
#include "cli/watch.h"
#include "proto/base/cleanup.h"
#include "proto/base/log.h"
#include "proto/base/sandbox.h"

#define STAGES    3
#define ARGS_MAX  48
#define LOOK_NS   50000000ull /* between looks whether all was shown, when the collector is done */
#define LOOKS_MAX 200

static struct {
	const char *speed, *output, *bindir;
	struct pst_arg_strs rules;
} opt = {.speed = "max"};

const struct pst_arg replay_options[] = {
	{"speed", 0, PST_ARG_STR, &opt.speed, "SPEED", "max (default), real, or a factor such as 10"},
	{"output", 'o', PST_ARG_STR, &opt.output, "FORM", "compact (default), json, jsonl"},
	{"rules", 'r', PST_ARG_STRS, &opt.rules, "PATH", "rules to run on the events"},
	{"bindir", 0, PST_ARG_STR, &opt.bindir, "DIR", "folder of the programs (default: that of penstock)"},
	{0},
};

struct replay {
	struct pst_loop *loop;
	struct child *child[STAGES];
	char *path[STAGES];
	char *argv[STAGES][ARGS_MAX];
	unsigned argc[STAGES];
	struct watch *watch;
	struct pst_source *last;
	char dir[80]; /* sockets are in it: the length of their paths is bounded */
	unsigned looks;
	bool failed;
};

/* In the order of their start; the collector is last and ends by itself. */
static const char *const names[STAGES] = {"enricher", "policyd", "collector"};

static void add(struct replay *r, unsigned i, const char *text)
{
	if (r->argc[i] + 1 < ARGS_MAX)
		r->argv[i][r->argc[i]++] = (char *)(uintptr_t)text;
}

static void on_last(void *arg)
{
	struct replay *r = arg;

	if (watch_caught_up(r->watch)) {
		pst_loop_stop(r->loop);
		return;
	}
	if (++r->looks < LOOKS_MAX) {
		pst_timer_arm(r->last, LOOK_NS, 0);
		return;
	}
	fputs("penstock replay: not all events arrived here\n", stderr);
	r->failed = true;
	pst_loop_stop(r->loop);
}

static void on_exit_(void *arg, struct child *child, int status, bool again)
{
	struct replay *r = arg;

	(void)again;
	if (child == r->child[STAGES - 1] && WIFEXITED(status) && WEXITSTATUS(status) == 0) {
		child_stop(child, 0);
		pst_timer_arm(r->last, LOOK_NS, 0);
		return;
	}
	r->failed = true;
	pst_loop_stop(r->loop);
}

static void on_ready(void *arg, struct child *child)
{
	struct replay *r = arg;

	for (unsigned i = 0; i + 1 < STAGES; i++)
		if (child == r->child[i] && child_start(r->child[i + 1]) < 0) {
			r->failed = true;
			pst_loop_stop(r->loop);
		}
}

static int make_dir(struct replay *r)
{
	const char *tmp = getenv("TMPDIR");
	struct group *g = getgrnam(PST_GROUP);

	if (snprintf(r->dir, sizeof(r->dir), "%s/penstock-XXXXXX", tmp && *tmp ? tmp : "/tmp") >=
		(int)sizeof(r->dir)) {
		*r->dir = 0;
		return -ENAMETOOLONG;
	}
	if (!mkdtemp(r->dir)) {
		*r->dir = 0;
		return -errno;
	}
	/* As root the stages run under their own users and need to get in. */
	if (geteuid() == 0 && g && (chown(r->dir, 0, g->gr_gid) < 0 || chmod(r->dir, 01770) < 0))
		return -errno;
	return 0;
}

static int make_children(struct replay *r, const char *file)
{
	PST_FREE char *bindir = cli_bindir(opt.bindir);
	int e = 0;

	for (unsigned i = 0; i < STAGES && !e; i++) {
		struct child_config config = {
			.name = names[i], .on_ready = on_ready, .on_exit = on_exit_, .arg = r};

		if (!bindir || asprintf(&r->path[i], "%s/penstock-%s", bindir, names[i]) < 0)
			return -ENOMEM;
		add(r, i, r->path[i]);
		add(r, i, "--run-dir");
		add(r, i, r->dir);
		add(r, i, "--log-level");
		add(r, i, "error");
		for (unsigned k = 0; !strcmp(names[i], "policyd") && k < opt.rules.n; k++) {
			add(r, i, "--rules");
			add(r, i, opt.rules.v[k]);
		}
		if (!strcmp(names[i], "collector")) {
			add(r, i, "--replay");
			add(r, i, file);
			add(r, i, "--speed");
			add(r, i, opt.speed);
			add(r, i, "--exit");
		}
		config.path = r->path[i];
		config.argv = r->argv[i];
		e = child_new(r->loop, &config, &r->child[i]);
	}
	return e;
}

static void take_down(struct replay *r)
{
	PST_CLOSEDIR DIR *dir = NULL;
	struct dirent *e;

	if (watch_free(r->watch) < 0)
		r->failed = true;
	for (unsigned i = 0; i < STAGES; i++) {
		child_free(r->child[i]);
		free(r->path[i]);
	}
	pst_source_free(r->last);
	pst_loop_free(r->loop);
	dir = *r->dir ? opendir(r->dir) : NULL;
	while (dir && (e = readdir(dir)))
		if (e->d_type != DT_DIR)
			unlinkat(dirfd(dir), e->d_name, 0);
	if (*r->dir)
		rmdir(r->dir);
}

/* The beginning of a recording (collector/record.h). Its clock also comes as an event, but maybe after
 * others. */
struct head {
	char magic[8];
	uint32_t order, abi;
	int64_t wall_offset_ns;
};

static int64_t wall_offset(const char *file)
{
	PST_CLOSE int fd = open(file, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	struct head head;

	return fd >= 0 && read(fd, &head, sizeof(head)) == sizeof(head) ? head.wall_offset_ns : 0;
}

static int play(struct replay *r, const char *file, enum show_form form)
{
	const int64_t offset = wall_offset(file);
	const struct watch_options options = {
		.form = form, .as_stage = "exporter", .wall_offset_ns = &offset};
	int e = make_dir(r);

	e = e ? e : pst_loop_new(&r->loop);
	e = e ? e : pst_loop_signals(r->loop, NULL, NULL);
	e = e ? e : pst_loop_timer(r->loop, on_last, r, &r->last);
	e = e ? e : make_children(r, file);
	e = e ? e : watch_start(r->loop, r->dir, &options, &r->watch);
	e = e ? e : child_start(r->child[0]);
	return e ? e : pst_loop_run(r->loop);
}

int replay_main(int argc, char **argv)
{
	const struct pst_args args = {.program = "penstock replay",
		.summary = "Plays a recording through a pipeline of its own and shows the events.",
		.positional = "FILE",
		.options = replay_options,
		.examples = "  penstock replay day.rec\n  penstock replay --speed 10 --rules my-rules.yaml "
			    "-o jsonl day.rec\n"};
	enum show_form form;
	struct replay r = {0};
	char file[PATH_MAX];
	int e, n = pst_args_parse(&args, argc, argv);

	if (n < 0)
		return n == -ECANCELED ? PST_EXIT_OK : PST_EXIT_USAGE;
	if (n != 1) {
		fprintf(stderr, "penstock replay: expected one FILE\nTry 'penstock replay --help'.\n");
		return PST_EXIT_USAGE;
	}
	if (show_parse(args.program, opt.output, &form) < 0)
		return PST_EXIT_USAGE;
	if (!realpath(argv[1], file)) {
		fprintf(stderr, "penstock replay: %s: %s\n", argv[1], strerror(errno));
		return PST_EXIT_USAGE;
	}
	pst_log_init("replay", PST_LOG_TEXT, PST_LOG_WARN);
	e = play(&r, file, form);
	if (e < 0)
		fprintf(stderr, "penstock replay: %s\n", strerror(-e));
	take_down(&r);
	return e < 0 || r.failed ? PST_EXIT_SYSTEM : PST_EXIT_OK;
}
