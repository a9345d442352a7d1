// SPDX-License-Identifier: Apache-2.0
/* `penstock up`: all five processes on this host, in the foreground. */
#include <errno.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>

#include "cli/child.h"
#include "cli/cli.h"
#include "cli/commands.h"
#include "cli/header.h"
#include "cli/watch.h"
#include "proto/abi/maps.h"
#include "proto/base/cleanup.h"
#include "proto/base/log.h"
#include "proto/base/loop.h"
#include "proto/base/stage.h"

#define STAGES         5
#define ARGS_MAX       48
#define STOP_MS        5000
#define LOADER_STOP_MS 20000

static const char *const names[STAGES] = {"loader", "collector", "enricher", "policyd", "exporter"};

static struct {
	const char *config, *run_dir, *bpffs, *bindir, *listen, *log_level;
	struct pst_arg_strs rules;
	bool quiet;
} opt;

const struct pst_arg up_options[] = {
	{"config", 'c', PST_ARG_STR, &opt.config, "FILE",
		"configuration file (default " PST_CONFIG_PATH ", if it is there)"},
	{"run-dir", 0, PST_ARG_STR, &opt.run_dir, "DIR",
		"folder of sockets and state (default " PST_RUN_DIR ")"},
	{"bpffs", 0, PST_ARG_STR, &opt.bpffs, "DIR", "folder of the pins (default " PST_PIN_DIR ")"},
	{"bindir", 0, PST_ARG_STR, &opt.bindir, "DIR", "folder of the programs (default: that of penstock)"},
	{"rules", 'r', PST_ARG_STRS, &opt.rules, "PATH", "file or folder of rules for policyd"},
	{"listen", 0, PST_ARG_STR, &opt.listen, "ADDR", "address of the HTTP API"},
	{"log-level", 0, PST_ARG_STR, &opt.log_level, "LEVEL",
		"of the processes: error, warn (default), info, debug"},
	{"quiet", 'q', PST_ARG_FLAG, &opt.quiet, NULL, "do not show events"},
	{0},
};

struct up {
	struct pst_loop *loop;
	struct child *child[STAGES];
	char *path[STAGES];
	char *argv[STAGES][ARGS_MAX];
	unsigned argc[STAGES];
	const char *run_dir, *bpffs;
	struct pst_fds fds; /* of the loader, kept for a collector that starts while the loader is away */
	struct watch *watch;
	unsigned started; /* stages 0..started-1 were started for the first time */
	bool shown, failed;
	bool owned; /* the run folder and the pins: our loader got their locks */
};

static void start_next(struct up *up);

static void add(struct up *up, unsigned i, const char *name, const char *value)
{
	if (!value || up->argc[i] + 3 > ARGS_MAX)
		return;
	up->argv[i][up->argc[i]++] = (char *)(uintptr_t)name;
	if (*value)
		up->argv[i][up->argc[i]++] = (char *)(uintptr_t)value;
}

static int make_args(struct up *up, const char *bindir)
{
	for (unsigned i = 0; i < STAGES; i++) {
		if (asprintf(&up->path[i], "%s/penstock-%s", bindir, names[i]) < 0)
			return -ENOMEM;
		if (access(up->path[i], X_OK) < 0) {
			pst_error("no program %s (give its folder with --bindir)", up->path[i]);
			return -ENOENT;
		}
		add(up, i, up->path[i], "");
		if (i == 0) {
			add(up, i, "serve", "");
			add(up, i, "--unload-on-exit", "");
		}
		add(up, i, "--config", opt.config);
		add(up, i, "--run-dir", up->run_dir);
		add(up, i, "--bpffs", up->bpffs);
		add(up, i, "--log-level", opt.log_level ? opt.log_level : "warn");
		if (!strcmp(names[i], "exporter"))
			add(up, i, "--listen", opt.listen);
		for (unsigned k = 0; !strcmp(names[i], "policyd") && k < opt.rules.n; k++)
			add(up, i, "--rules", opt.rules.v[k]);
	}
	return 0;
}

static bool loader_is_away(void *arg)
{
	const struct up *up = arg;

	return !child_ready(up->child[0]);
}

static void keep_fds(struct up *up)
{
	PST_FREE char *path = NULL;
	struct pst_fds fds = {0};

	if (asprintf(&path, "%s/loader.fds", up->run_dir) < 0)
		return;
	if (pst_fds_request(path, 1000, &fds) < 0) {
		pst_warn("can't keep the loader's descriptors: a collector can't start again while the "
			 "loader is away");
		return;
	}
	pst_fds_done(&up->fds);
	up->fds = fds;
}

static void on_ready(void *arg, struct child *child)
{
	struct up *up = arg;

	if (child == up->child[0]) {
		up->owned = true;
		keep_fds(up);
	}
	start_next(up);
}

static void say_exit(const struct child *child, int status, bool again)
{
	const char *then = again ? ", starting it again" : "";

	if (WIFSIGNALED(status))
		pst_warn("%s was ended by SIG%s%s", child_name(child), sigabbrev_np(WTERMSIG(status)), then);
	else
		pst_warn("%s ended with code %d%s", child_name(child), WEXITSTATUS(status), then);
}

static void on_exit_(void *arg, struct child *child, int status, bool again)
{
	struct up *up = arg;

	say_exit(child, status, again);
	if (again)
		return;
	/* Usage or configuration: it said why, and nothing gets better by trying. */
	up->failed = true;
	pst_loop_stop(up->loop);
}

static void show(struct up *up)
{
	if (up->shown)
		return;
	up->shown = true;
	header_print(stdout, up->run_dir);
	if (!opt.quiet && watch_start(up->loop, up->run_dir, NULL, &up->watch) < 0)
		pst_warn("can't show events");
}

/* One after the other, each when the one before is ready. */
static void start_next(struct up *up)
{
	int e;

	if (up->started && !child_ready(up->child[up->started - 1]))
		return;
	if (up->started == STAGES) {
		show(up);
		return;
	}
	e = child_start(up->child[up->started++]);
	if (e) {
		pst_error("can't start %s error=%s", names[up->started - 1], strerror(-e));
		up->failed = true;
		pst_loop_stop(up->loop);
	}
}

static int make_children(struct up *up)
{
	int e = 0;

	for (unsigned i = 0; i < STAGES && !e; i++) {
		struct child_config config = {.name = names[i],
			.path = up->path[i],
			.argv = up->argv[i],
			.on_ready = on_ready,
			.on_exit = on_exit_,
			.arg = up};

		if (!strcmp(names[i], "collector")) {
			config.fds = &up->fds;
			config.pass_fds = loader_is_away;
		}
		e = child_new(up->loop, &config, &up->child[i]);
	}
	return e;
}

/* A loader that serves unloads when it ends; one that was killed, or had only begun to start again, does not.
 */
static void unload(struct up *up)
{
	static const struct timespec tick = {.tv_nsec = 5000000};
	char **argv = up->argv[0];
	uint64_t until = pst_now_mono_ns() + LOADER_STOP_MS * 1000000ull;
	pid_t pid;
	int e;

	argv[1] = (char *)(uintptr_t) "unload";
	memmove(&argv[2], &argv[3], (up->argc[0] - 2) * sizeof(argv[0])); /* --unload-on-exit */
	e = posix_spawn(&pid, up->path[0], NULL, NULL, argv, environ);
	if (e) {
		pst_error("can't run %s: %s", up->path[0], strerror(e));
		return;
	}
	while (waitpid(pid, NULL, WNOHANG) == 0) {
		if (pst_now_mono_ns() > until)
			kill(pid, SIGKILL);
		nanosleep(&tick, NULL);
	}
}

/* The stages' files are left for a restart; when the whole is taken down they go too. */
static void remove_state(const char *run_dir)
{
	PST_CLOSEDIR DIR *dir = opendir(run_dir);
	struct dirent *e;

	while (dir && (e = readdir(dir)))
		if (e->d_type != DT_DIR)
			unlinkat(dirfd(dir), e->d_name, 0);
	rmdir(run_dir);
}

static void take_down(struct up *up)
{
	watch_free(up->watch);
	for (unsigned i = STAGES; i-- > 0;)
		if (up->child[i])
			child_stop(up->child[i], i ? STOP_MS : LOADER_STOP_MS);
	for (unsigned i = 0; i < STAGES; i++)
		child_free(up->child[i]);
	pst_fds_done(&up->fds);
	if (up->owned && access(up->bpffs, F_OK) == 0)
		unload(up);
	for (unsigned i = 0; i < STAGES; i++)
		free(up->path[i]);
	if (up->owned)
		remove_state(up->run_dir);
	if (up->owned && access(up->bpffs, F_OK) == 0) {
		pst_error("pins are left in %s; remove them with: penstock-loader unload --bpffs %s",
			up->bpffs, up->bpffs);
		up->failed = true;
	}
	pst_loop_free(up->loop);
}

static int check_host(void)
{
	if (geteuid()) {
		pst_error("penstock up needs root, to load kernel programs");
		return -EPERM;
	}
	return 0;
}

/* After the ^C; a terminal that takes no output does not hold us up. */
static void end_line(void)
{
	PST_CLOSE int fd = isatty(STDOUT_FILENO) ? cli_stdout_open() : -1;

	if (fd >= 0 && write(fd, "\n", 1) < 0)
		pst_debug("no end of line error=%s", strerror(errno));
}

int up_main(int argc, char **argv)
{
	const struct pst_args args = {.program = "penstock up",
		.summary = "Starts the five processes on this host and shows events until Ctrl-C.",
		.options = up_options,
		.examples = "  sudo penstock up\n"
			    "  sudo penstock up --quiet --listen 127.0.0.1:9999\n"
			    "  sudo penstock up --run-dir /run/penstock2 --bpffs /sys/fs/bpf/penstock2   a "
			    "second instance\n"};
	struct up up = {0};
	PST_FREE char *bindir = NULL;
	int e = pst_args_parse(&args, argc, argv);

	if (e)
		return e == -ECANCELED ? PST_EXIT_OK : PST_EXIT_USAGE;
	pst_log_init("up", PST_LOG_TEXT, PST_LOG_INFO);
	bindir = cli_bindir(opt.bindir);
	up.run_dir = cli_run_dir(opt.run_dir);
	up.bpffs = cli_bpffs(opt.bpffs);
	if (check_host() < 0 || !bindir || make_args(&up, bindir) < 0)
		return PST_EXIT_USAGE;
	e = pst_loop_new(&up.loop);
	e = e ? e : pst_loop_signals(up.loop, NULL, NULL);
	e = e ? e : make_children(&up);
	if (!e) {
		start_next(&up);
		e = pst_loop_run(up.loop);
	}
	end_line();
	take_down(&up);
	return e < 0 ? PST_EXIT_SYSTEM : up.failed ? PST_EXIT_USAGE : PST_EXIT_OK;
}
