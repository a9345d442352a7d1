// SPDX-License-Identifier: Apache-2.0
#include "cli/show.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "cli/cli.h"
#include "cli/line.h"
#include "proto/base/cleanup.h"
#include "proto/wire/json.h"

#define CHUNK       4096 /* a pipe that has room takes so much without blocking */
#define LITTLE_MS   20   /* a terminal has room, and too little of it: look again after this time */
#define BACKLOG_MAX 65536

void show_init(struct show *s, enum show_form form, bool never_wait)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGHUP);
	*s = (struct show){.form = form,
		.colour = cli_colour(stdout),
		.never_wait = never_wait,
		.fd = cli_stdout_open(),
		.signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK)};
}

int show_parse(const char *program, const char *text, enum show_form *ret_form)
{
	static const char *const names[] = {
		[SHOW_COMPACT] = "compact", [SHOW_JSON] = "json", [SHOW_JSONL] = "jsonl"};

	for (unsigned i = 0; i < PST_ARRAY_SIZE(names); i++)
		if (!strcmp(text ? text : "compact", names[i])) {
			*ret_form = (enum show_form)i;
			return 0;
		}
	fprintf(stderr, "%s: --output: expected compact, json or jsonl, got \"%s\"\n", program, text);
	return -EINVAL;
}

static void append(struct show *s, const struct pst_event *e, int64_t wall_offset_ns)
{
	if (s->form == SHOW_JSON)
		pst_mp_raw(&s->out, s->shown ? ",\n" : "[\n", 2);
	if (s->form == SHOW_COMPACT)
		line_event(&s->out, e, wall_offset_ns, s->colour);
	else
		pst_json_event(&s->out, e, wall_offset_ns);
	if (s->form != SHOW_JSON)
		pst_mp_raw(&s->out, "\n", 1);
	s->shown++;
}

void show_event(struct show *s, const struct pst_event *e, int64_t wall_offset_ns)
{
	char text[80];
	int n;

	if (s->form == SHOW_COMPACT && e->kind == PST_KIND_NODE)
		return;
	if (s->never_wait && s->out.len > BACKLOG_MAX) {
		s->left_out++;
		return;
	}
	if (s->left_out) {
		n = snprintf(text, sizeof(text),
			"... %llu events were not shown: the terminal was too slow\n",
			(unsigned long long)s->left_out);
		pst_mp_raw(&s->out, text, (size_t)n);
		s->left_out = 0;
	}
	append(s, e, wall_offset_ns);
}

/* 1: write now; 0: no room, and we do not wait; -EINTR: a signal came first. */
static int wait_room(const struct show *s)
{
	struct pollfd p[] = {{.fd = s->fd, .events = POLLOUT}, {.fd = s->signals, .events = POLLIN}};

	while (poll(p, PST_ARRAY_SIZE(p), s->never_wait ? 0 : -1) < 0)
		if (errno != EINTR)
			return -errno;
	return p[0].revents ? 1 : p[1].revents ? -EINTR : 0;
}

static int write_out(struct show *s, size_t *ret_done)
{
	int r = 0;

	*ret_done = 0;
	while (*ret_done < s->out.len && (r = wait_room(s)) > 0) {
		ssize_t n = write(s->fd, s->out.p + *ret_done, PST_MIN(s->out.len - *ret_done, CHUNK));

		if (n >= 0)
			*ret_done += (size_t)n;
		else if (errno == EAGAIN && s->never_wait)
			return 0;
		else if (errno == EAGAIN)
			poll(&(struct pollfd){.fd = s->signals, .events = POLLIN}, 1, LITTLE_MS);
		else if (errno != EINTR)
			return -errno;
	}
	return PST_MIN(r, 0);
}

bool show_flush(struct show *s)
{
	size_t done;

	if (s->error)
		return false;
	s->error = s->out.failed ? -ENOMEM : write_out(s, &done);
	if (s->error) {
		if (s->error != -EPIPE && s->error != -EINTR)
			fprintf(stderr, "penstock: can't write the events: %s\n", strerror(-s->error));
		return false;
	}
	s->out.len -= done;
	if (s->out.len)
		memmove(s->out.p, s->out.p + done, s->out.len);
	return true;
}

int show_end(struct show *s)
{
	if (s->form == SHOW_JSON)
		pst_mp_raw(&s->out, s->shown ? "\n]\n" : "[]\n", 3);
	show_flush(s);
	pst_buf_done(&s->out);
	if (s->signals >= 0)
		close(s->signals);
	if (s->fd >= 0)
		close(s->fd);
	return s->error == -EPIPE || s->error == -EINTR ? 0 : s->error;
}
