// SPDX-License-Identifier: Apache-2.0
/* `penstock record FILE`: raw records of the running collector, until Ctrl-C or for a time. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "cli/ask.h"
#include "cli/cli.h"
#include "cli/commands.h"
#include "proto/base/cleanup.h"
#include "proto/base/io.h"
#include "proto/base/loop.h"

#define RENEW_NS 1000000000ull /* the collector ends a recording whose owner it has not heard of for 10 s */

static struct {
	const char *run_dir;
	uint64_t duration_ns;
	bool force;
} opt;

const struct pst_arg record_options[] = {
	{"duration", 'd', PST_ARG_TIME, &opt.duration_ns, "TIME",
		"end after this time, such as 30s (default: Ctrl-C)"},
	{"force", 'f', PST_ARG_FLAG, &opt.force, NULL, "write over a file that exists"},
	{"run-dir", 0, PST_ARG_STR, &opt.run_dir, "DIR", "folder of the sockets"},
	{0},
};

struct answer {
	char path[4096];
	uint64_t bytes, lost;
	bool full;
};

/* The collector writes into its run folder, where it may. */
static int ask(const char *run_dir, const char *action, const char *name, struct answer *ret)
{
	PST_CLEANUP(pst_buf_done) struct pst_buf request = {0};
	const msgpack_object *full;
	msgpack_unpacked reply;
	char text[256];
	int e;

	pst_mp_map(&request, 3);
	pst_mp_str(&request, "op");
	pst_mp_str(&request, "record");
	pst_mp_str(&request, "action");
	pst_mp_str(&request, action);
	pst_mp_str(&request, "name");
	pst_mp_str(&request, name);
	e = pst_ctl_call(run_dir, "collector", request.p, request.len, ASK_TIMEOUT_MS, &reply);
	if (e < 0) {
		fprintf(stderr, "penstock record: the collector: %s\n", ask_error(e));
		return e;
	}
	if (pst_ctl_text(&reply.data, "error", text, sizeof(text))) {
		fprintf(stderr, "penstock record: %s\n", cli_safe(text));
		e = -EBUSY;
	} else if (!pst_ctl_text(&reply.data, "path", ret->path, sizeof(ret->path))) {
		e = -EBADMSG;
	}
	pst_ctl_u64(&reply.data, "bytes", &ret->bytes);
	pst_ctl_u64(&reply.data, "lost", &ret->lost);
	full = pst_ctl_get(&reply.data, "full");
	ret->full = full && full->type == MSGPACK_OBJECT_BOOLEAN && full->via.boolean;
	msgpack_unpacked_destroy(&reply);
	return e;
}

static void block_signals(sigset_t *ret_set)
{
	sigemptyset(ret_set);
	sigaddset(ret_set, SIGINT);
	sigaddset(ret_set, SIGTERM);
	sigaddset(ret_set, SIGHUP);
	sigprocmask(SIG_BLOCK, ret_set, NULL);
}

/* Until a signal, the end of the time, or the end of the room. The collector hears of us all the while. */
static int wait_for_end(const char *run_dir, const char *name, const sigset_t *signals)
{
	uint64_t until = opt.duration_ns ? pst_now_mono_ns() + opt.duration_ns : UINT64_MAX;
	struct answer answer = {0};

	for (;;) {
		uint64_t now = pst_now_mono_ns(), left = until > now ? until - now : 0;
		struct timespec t = {
			.tv_sec = left >= RENEW_NS, .tv_nsec = left >= RENEW_NS ? 0 : (long)left};
		int e;

		if (sigtimedwait(signals, NULL, &t) > 0 || left < RENEW_NS)
			return 0;
		e = ask(run_dir, "renew", name, &answer);
		if (e || answer.full)
			return e;
	}
}

static int copy(int from, int to, uint64_t *ret_bytes)
{
	char buf[65536];
	ssize_t n = 0;

	*ret_bytes = 0;
	while ((n = read(from, buf, sizeof(buf))) > 0) {
		int e = pst_write_all(to, buf, (size_t)n);

		if (e)
			return e;
		*ret_bytes += (uint64_t)n;
	}
	return n < 0 ? -errno : 0;
}

/* Stops it, when it still runs, and fetches what was written; @from is open since the start, so also after an
 * accident. */
static int fetch(const char *run_dir, const char *name, int from, const char *file, int out, int ended)
{
	struct answer end = {0}, ignored;
	uint64_t bytes;
	int e;

	if (!ended)
		ended = ask(run_dir, "stop", name, &end);
	e = copy(from, out, &bytes);
	if (e)
		fprintf(stderr, "penstock record: %s is incomplete, %llu of %llu bytes: %s\n", file,
			(unsigned long long)bytes, (unsigned long long)end.bytes, strerror(-e));
	else
		printf("%s: %llu bytes\n", file, (unsigned long long)bytes);
	if (ended)
		fprintf(stderr, "penstock record: it ended early, and its last second may be missing\n");
	else
		ask(run_dir, "remove", name, &ignored);
	if (!end.lost)
		return e ? e : ended;
	fprintf(stderr, "penstock record: %llu records were lost: there was no room for them\n",
		(unsigned long long)end.lost);
	return -ENOSPC;
}

static int record(const char *run_dir, const char *file, int out)
{
	struct answer answer = {0};
	PST_CLOSE int from = -1;
	char name[64];
	sigset_t signals;
	int e;

	snprintf(name, sizeof(name), "record-%d.rec", getpid());
	block_signals(&signals);
	e = ask(run_dir, "start", name, &answer);
	if (e)
		return e;
	from = open(answer.path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (from < 0) {
		e = -errno;
		fprintf(stderr, "penstock record: %s: %s\n", cli_safe(answer.path), strerror(errno));
		ask(run_dir, "stop", name, &answer);
		ask(run_dir, "remove", name, &answer);
		return e;
	}
	if (isatty(STDERR_FILENO))
		fprintf(stderr, "recording%s\n", opt.duration_ns ? "" : ", stop with Ctrl-C");
	e = wait_for_end(run_dir, name, &signals);
	return fetch(run_dir, name, from, file, out, e);
}

int record_main(int argc, char **argv)
{
	const struct pst_args args = {.program = "penstock record",
		.summary = "Writes the raw records that the kernel reports into a file, for penstock replay.",
		.positional = "FILE",
		.options = record_options,
		.examples = "  penstock record --duration 30s day.rec\n  penstock replay day.rec\n"};
	int e, n = pst_args_parse(&args, argc, argv);

	if (n < 0)
		return n == -ECANCELED ? PST_EXIT_OK : PST_EXIT_USAGE;
	if (n != 1) {
		fprintf(stderr, "penstock record: expected one FILE\nTry 'penstock record --help'.\n");
		return PST_EXIT_USAGE;
	}
	PST_CLOSE int out =
		open(argv[1], O_WRONLY | O_CREAT | O_CLOEXEC | (opt.force ? O_TRUNC : O_EXCL), 0600);
	if (out < 0) {
		fprintf(stderr, "penstock record: %s: %s%s\n", argv[1], strerror(errno),
			errno == EEXIST ? " (--force writes over it)" : "");
		return PST_EXIT_USAGE;
	}
	e = record(cli_run_dir(opt.run_dir), argv[1], out);
	/* Nothing came: leave no empty file. */
	if (e && lseek(out, 0, SEEK_END) == 0)
		unlink(argv[1]);
	return e ? PST_EXIT_SYSTEM : PST_EXIT_OK;
}
