// SPDX-License-Identifier: Apache-2.0
#include "exporter/procs.h"

#include <errno.h>

#include "proto/base/cleanup.h"
#include "proto/wire/ctl.h"
#include "proto/wire/json.h"

#define PAGE       256
#define PAGES_MAX  1024
#define TIMEOUT_MS 2000
#define BODY_BYTES (4u << 20) /* then the client asks for the rest, as it does beyond its limit */

/* Columns of a row, as docs/design says for the enricher's op. */
enum {
	ROW_PID,
	ROW_START,
	ROW_PARENT,
	ROW_UID,
	ROW_COMM,
	ROW_EXE,
	ROW_ARGV,
	ROW_CGROUP_ID,
	ROW_CGROUP,
	ROW_CONTAINER,
	ROW_RUNTIME,
	ROW_USER,
	ROW_N,
};

struct job {
	const struct procs_config *config;
	struct procs_query query;
	procs_fn fn;
	void *arg;
	struct pst_buf json;
	uint32_t n, pages, next;
	struct pst_event event; /* a row in the form that the filter takes */
};

static unsigned jobs;

bool procs_waiting(void)
{
	return jobs;
}

static void finish(struct job *job, int error)
{
	jobs--;
	if (!error) {
		pst_json_raw(&job->json, "],\"next\":");
		pst_json_uint(&job->json, job->next);
		pst_json_raw(&job->json, "}\n");
	}
	if (!error && job->json.failed)
		error = -ENOMEM;
	job->fn(job->arg, error, &job->json);
	pst_buf_done(&job->json);
	pst_filter_free(job->query.filter);
	free(job);
}

/* ---- rows ---- */

static uint64_t number(const msgpack_object *row, unsigned i)
{
	const msgpack_object *v = &row->via.array.ptr[i];

	return v->type == MSGPACK_OBJECT_POSITIVE_INTEGER ? v->via.u64 : 0;
}

static struct pst_val text(const msgpack_object *row, unsigned i)
{
	const msgpack_object *v = &row->via.array.ptr[i];

	if (v->type == MSGPACK_OBJECT_BIN)
		return pst_val_str(v->via.bin.ptr, v->via.bin.size);
	return v->type == MSGPACK_OBJECT_STR ? pst_val_str(v->via.str.ptr, v->via.str.size)
					     : pst_val_str("", 0);
}

static bool wanted(struct job *job, const msgpack_object *row)
{
	struct pst_event *event = &job->event;

	if (!job->query.filter)
		return true;
	memset(event, 0, sizeof(*event));
	event->kind = PST_KIND_EXEC;
	event->desc = pst_kind_by_id(PST_KIND_EXEC);
	event->n_stages = 2;
	event->ts_ns = event->sensor[PST_EXEC_F_start_ns].u = number(row, ROW_START);
	event->sensor[PST_EXEC_F_pid].u = number(row, ROW_PID);
	event->sensor[PST_EXEC_F_uid].u = number(row, ROW_UID);
	event->sensor[PST_EXEC_F_comm] = text(row, ROW_COMM);
	event->sensor[PST_EXEC_F_exe] = text(row, ROW_EXE);
	event->sensor[PST_EXEC_F_cgroup_id].u = number(row, ROW_CGROUP_ID);
	event->enricher[PST_ENR_user] = text(row, ROW_USER);
	event->enricher[PST_ENR_cgroup] = text(row, ROW_CGROUP);
	event->enricher[PST_ENR_container_id] = text(row, ROW_CONTAINER);
	event->enricher[PST_ENR_container_runtime] = text(row, ROW_RUNTIME);
	return pst_filter_match(job->query.filter, event, job->query.wall_offset_ns);
}

static void put_number(struct pst_buf *out, const char *key, uint64_t v)
{
	pst_json_raw(out, key);
	pst_json_uint(out, v);
}

static void put_text(struct pst_buf *out, const char *key, struct pst_val v)
{
	if (!v.len)
		return;
	pst_json_raw(out, key);
	pst_json_str(out, v.p, v.len);
}

/* NUL-separated; an empty argument is one too. */
static void put_argv(struct pst_buf *out, struct pst_val argv)
{
	const char *p = argv.p, *end = p + argv.len;

	if (!argv.len)
		return;
	pst_json_raw(out, ",\"argv\":[");
	for (const char *stop; p < end; p = stop + 1) {
		stop = memchr(p, 0, (size_t)(end - p));
		if (!stop)
			stop = end;
		if (p != (const char *)argv.p)
			pst_json_raw(out, ",");
		pst_json_str(out, p, (size_t)(stop - p));
	}
	pst_json_raw(out, "]");
}

static void put_row(struct job *job, const msgpack_object *row)
{
	struct pst_buf *out = &job->json;
	uint64_t start_ns = number(row, ROW_START);
	char when[31];

	pst_json_raw(out, job->n++ ? ",\n" : "\n");
	put_number(out, "{\"pid\":", number(row, ROW_PID));
	put_number(out, ",\"start_ns\":", start_ns);
	pst_time_format(when, start_ns + (uint64_t)job->query.wall_offset_ns);
	pst_json_raw(out, ",\"start\":\"");
	pst_json_raw(out, when);
	put_number(out, "\",\"parent_pid\":", number(row, ROW_PARENT));
	put_number(out, ",\"uid\":", number(row, ROW_UID));
	put_text(out, ",\"user\":", text(row, ROW_USER));
	put_text(out, ",\"comm\":", text(row, ROW_COMM));
	put_text(out, ",\"exe\":", text(row, ROW_EXE));
	put_argv(out, text(row, ROW_ARGV));
	put_number(out, ",\"cgroup_id\":", number(row, ROW_CGROUP_ID));
	put_text(out, ",\"cgroup\":", text(row, ROW_CGROUP));
	put_text(out, ",\"container_id\":", text(row, ROW_CONTAINER));
	put_text(out, ",\"container_runtime\":", text(row, ROW_RUNTIME));
	pst_json_raw(out, "}");
}

static void learn(struct job *job, const msgpack_object *row)
{
	struct pst_val path = text(row, ROW_CGROUP), container = text(row, ROW_CONTAINER);

	cgroups_put(job->config->cgroups, number(row, ROW_CGROUP_ID), path.p, path.len, container.p,
		container.len);
}

/* ---- pages ---- */

static int ask(struct job *job);

/* True: all rows were taken. */
static bool take_rows(struct job *job, const msgpack_object *rows)
{
	for (uint32_t i = 0; i < rows->via.array.size; i++) {
		const msgpack_object *row = &rows->via.array.ptr[i];

		if (row->type != MSGPACK_OBJECT_ARRAY || row->via.array.size < ROW_N)
			continue;
		learn(job, row);
		if (!job->query.limit || !wanted(job, row))
			continue;
		if (job->n == job->query.limit || job->json.len >= BODY_BYTES)
			return false;
		put_row(job, row);
		job->next = (uint32_t)number(row, ROW_PID); /* where the next request goes on */
	}
	return true;
}

void procs_write(const struct procs_config *config, const struct procs_query *query,
	const msgpack_object *rows, struct pst_buf *out)
{
	struct job job = {.config = config, .query = *query, .json = *out};

	if (rows->type == MSGPACK_OBJECT_ARRAY)
		take_rows(&job, rows);
	*out = job.json;
}

static void on_page(void *arg, int error, const msgpack_object *reply)
{
	struct job *job = arg;
	const msgpack_object *rows = error ? NULL : pst_ctl_get(reply, "processes");
	uint64_t next = 0;

	if (!error && (!rows || rows->type != MSGPACK_OBJECT_ARRAY))
		error = -EBADMSG;
	if (error)
		return finish(job, error);
	if (!take_rows(job, rows))
		return finish(job, 0);
	pst_ctl_u64(reply, "next", &next);
	/* pids rise from page to page: a stage that says otherwise does not keep us for ever */
	if (!next || next <= job->query.after || next > UINT32_MAX || ++job->pages >= PAGES_MAX) {
		job->next = 0;
		return finish(job, 0);
	}
	job->query.after = (uint32_t)next;
	error = ask(job);
	if (error)
		finish(job, error);
}

static int ask(struct job *job)
{
	PST_CLEANUP(pst_buf_done) struct pst_buf question = {0};

	pst_mp_map(&question, 3);
	pst_mp_str(&question, "op");
	pst_mp_str(&question, "processes");
	pst_mp_str(&question, "after");
	pst_mp_uint(&question, job->query.after);
	pst_mp_str(&question, "limit");
	pst_mp_uint(&question, PAGE);
	if (question.failed)
		return -ENOMEM;
	return pst_ctl_request(job->config->loop, job->config->run_dir, "enricher", question.p, question.len,
		TIMEOUT_MS, on_page, job);
}

int procs_list(const struct procs_config *config, const struct procs_query *query, procs_fn fn, void *arg)
{
	struct job *job = calloc(1, sizeof(*job));
	int r;

	if (!job)
		return -ENOMEM;
	job->config = config;
	job->query = *query;
	job->fn = fn;
	job->arg = arg;
	pst_json_raw(&job->json, "{\"processes\":[");
	r = ask(job);
	if (r < 0) {
		pst_buf_done(&job->json);
		free(job);
		return r;
	}
	jobs++;
	return 0;
}
