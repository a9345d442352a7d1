// SPDX-License-Identifier: Apache-2.0
#include "collector/record_op.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/base/cleanup.h"
#include "proto/base/log.h"
#include "proto/base/own.h"
#include "proto/wire/ctl.h"

#define LEASE_NS    10000000000ull
#define RECORD_NAME 80

struct record_op {
	const struct config *config;
	struct sink *sink;
	struct pst_source *lease;
	gid_t group;
	char name[RECORD_NAME]; /* of the recording that runs, "" if none */
};

/* A name in the run folder and nothing else: record-, letters, digits and dashes, then .rec */
static bool is_record_name(const char *name)
{
	size_t n = strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789-");

	return !strncmp(name, "record-", 7) && n <= 64 && !strcmp(name + n, ".rec");
}

/* Recordings of a collector that was killed. */
static void remove_left(const char *run_dir)
{
	PST_CLOSEDIR DIR *dir = opendir(run_dir);
	struct dirent *e;

	while (dir && (e = readdir(dir)))
		if (is_record_name(e->d_name))
			unlinkat(dirfd(dir), e->d_name, 0);
}

static void stop(struct record_op *op)
{
	op->name[0] = 0;
	pst_timer_disarm(op->lease);
	recorder_free(PST_TAKE_PTR(op->sink->recorder));
}

static void discard(struct record_op *op)
{
	PST_FREE char *path = pst_run_path(&op->config->common, op->name);

	stop(op);
	if (path)
		unlink(path);
}

static void on_lease_end(void *arg)
{
	struct record_op *op = arg;

	pst_warn("nobody asks for the recording any more, it is removed name=%s", op->name);
	discard(op);
}

static int start(struct record_op *op, const char *name, const char *path, char *error, size_t size)
{
	int e;

	if (op->sink->recorder) {
		snprintf(error, size, "a recording is running");
		return -EBUSY;
	}
	e = recorder_open_shared(path, op->config->record_max, op->group, &op->sink->recorder);
	if (e) {
		snprintf(error, size, "%s: %s", path, strerror(-e));
		return e;
	}
	snprintf(op->name, sizeof(op->name), "%s", name);
	return 0;
}

static int act(struct record_op *op, const char *action, const char *name, const char *path, char *error,
	size_t size)
{
	bool ours = !strcmp(op->name, name);

	if (!strcmp(action, "start"))
		return start(op, name, path, error, size);
	if (!strcmp(action, "renew") || !strcmp(action, "stop")) {
		if (ours)
			return 0;
		snprintf(error, size, "no recording %s is running", name);
		return -ENOENT;
	}
	if (!strcmp(action, "remove") && !ours)
		return unlink(path) < 0 ? -errno : 0;
	snprintf(error, size, "expected action start, renew, stop or remove");
	return -EINVAL;
}

static int on_op(void *arg, const msgpack_object *request, struct pst_buf *reply, char *error, size_t size)
{
	struct record_op *op = arg;
	char action[16] = "", name[RECORD_NAME] = "";
	struct recorder_state state = {0};
	PST_FREE char *path = NULL;
	int e;

	if (!pst_ctl_text(request, "action", action, sizeof(action)) ||
		!pst_ctl_text(request, "name", name, sizeof(name)) || !is_record_name(name)) {
		snprintf(error, size,
			"expected action start, renew, stop or remove, and a name such as record-1.rec");
		return -EINVAL;
	}
	path = pst_run_path(&op->config->common, name);
	e = path ? act(op, action, name, path, error, size) : -ENOMEM;
	if (e)
		return e;
	if (*op->name) {
		pst_timer_arm(op->lease, LEASE_NS, 0);
		if (!strcmp(action, "stop"))
			recorder_flush(op->sink->recorder);
		recorder_state(op->sink->recorder, &state);
	}
	if (!strcmp(action, "stop"))
		stop(op);
	pst_mp_map(reply, 4);
	pst_mp_str(reply, "path");
	pst_mp_str(reply, path);
	pst_mp_str(reply, "bytes");
	pst_mp_uint(reply, state.bytes);
	pst_mp_str(reply, "lost");
	pst_mp_uint(reply, state.lost);
	pst_mp_str(reply, "full");
	pst_mp_bool(reply, state.full);
	return 0;
}

int record_op_open(struct pst_loop *loop, struct pst_bus *bus, const struct config *config, struct sink *sink,
	struct record_op **ret_op)
{
	struct record_op *op = calloc(1, sizeof(*op));
	int e;

	if (!op)
		return -ENOMEM;
	op->config = config;
	op->sink = sink;
	op->group = pst_own_group();
	remove_left(config->common.run_dir);
	e = pst_loop_timer(loop, on_lease_end, op, &op->lease);
	e = e ? e : pst_ctl_handle(bus, "record", on_op, op);
	if (e) {
		record_op_free(op);
		return e;
	}
	*ret_op = op;
	return 0;
}

void record_op_free(struct record_op *op)
{
	if (!op)
		return;
	if (*op->name)
		discard(op);
	pst_source_free(op->lease);
	free(op);
}
