// SPDX-License-Identifier: Apache-2.0
#include "cli/ask.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cli/cli.h"
#include "proto/base/cleanup.h"
#include "proto/base/log.h"

#define ROWS_A_CALL 500

const char *const ask_stages[] = {"collector", "enricher", "policyd", "exporter", NULL};

static json_t *text(const char *p, uint32_t len)
{
	json_t *s = json_stringn(p, len);
	char escaped[4096];

	return s ? s : json_string(pst_log_escape(escaped, sizeof(escaped), p, len));
}

static json_t *map(const msgpack_object_map *m)
{
	json_t *object = json_object();

	for (uint32_t i = 0; i < m->size; i++) {
		char key[128];

		if (m->ptr[i].key.type != MSGPACK_OBJECT_STR)
			continue;
		pst_log_escape(key, sizeof(key), m->ptr[i].key.via.str.ptr, m->ptr[i].key.via.str.size);
		json_object_set_new(object, key, ask_to_json(&m->ptr[i].val));
	}
	return object;
}

json_t *ask_to_json(const msgpack_object *o)
{
	json_t *list;

	switch (o->type) {
	case MSGPACK_OBJECT_BOOLEAN:
		return json_boolean(o->via.boolean);
	case MSGPACK_OBJECT_POSITIVE_INTEGER:
		return json_integer((json_int_t)o->via.u64);
	case MSGPACK_OBJECT_NEGATIVE_INTEGER:
		return json_integer(o->via.i64);
	case MSGPACK_OBJECT_STR:
		return text(o->via.str.ptr, o->via.str.size);
	case MSGPACK_OBJECT_BIN:
		return text(o->via.bin.ptr, o->via.bin.size);
	case MSGPACK_OBJECT_MAP:
		return map(&o->via.map);
	case MSGPACK_OBJECT_ARRAY:
		list = json_array();
		for (uint32_t i = 0; i < o->via.array.size; i++)
			json_array_append_new(list, ask_to_json(&o->via.array.ptr[i]));
		return list;
	default:
		return json_null();
	}
}

static json_t *call(const char *run_dir, const char *stage, const struct pst_buf *request,
	unsigned timeout_ms, int *ret_error)
{
	msgpack_unpacked reply;
	json_t *json;

	*ret_error = pst_ctl_call(run_dir, stage, request->p, request->len, timeout_ms, &reply);
	if (*ret_error < 0)
		return NULL;
	json = ask_to_json(&reply.data);
	msgpack_unpacked_destroy(&reply);
	return json;
}

json_t *ask_call(const char *run_dir, const char *stage, const struct pst_buf *request, int *ret_error)
{
	return call(run_dir, stage, request, ASK_TIMEOUT_MS, ret_error);
}

json_t *ask_json(const char *run_dir, const char *stage, const char *op, int *ret_error)
{
	PST_CLEANUP(pst_buf_done) struct pst_buf request = {0};

	pst_mp_map(&request, 1);
	pst_mp_str(&request, "op");
	pst_mp_str(&request, op);
	return ask_call(run_dir, stage, &request, ret_error);
}

/* @reply if it has the key, else NULL after a message. */
static json_t *checked(const char *program, json_t *reply, int e, const char *has)
{
	const char *error = json_string_value(json_object_get(reply, "error"));

	if (reply && json_object_get(reply, has))
		return reply;
	if (!reply)
		fprintf(stderr, "%s: policyd: %s\n", program, ask_error(e));
	else
		fprintf(stderr, "%s: %s\n", program,
			cli_message(error ? error : "policyd's answer is strange"));
	json_decref(reply);
	return NULL;
}

json_t *ask_policyd(const char *program, const char *run_dir, const struct pst_buf *request, const char *has)
{
	int e;
	json_t *reply = ask_call(cli_run_dir(run_dir), "policyd", request, &e);

	return checked(program, reply, e, has);
}

static json_t *ask_page(
	const char *program, const char *run_dir, const char *op, const char *rows, size_t from)
{
	PST_CLEANUP(pst_buf_done) struct pst_buf request = {0};
	json_t *page;

	pst_mp_map(&request, 3);
	pst_mp_str(&request, "op");
	pst_mp_str(&request, op);
	pst_mp_str(&request, "from");
	pst_mp_uint(&request, from);
	pst_mp_str(&request, "limit");
	pst_mp_uint(&request, ROWS_A_CALL);
	page = ask_policyd(program, run_dir, &request, "total");
	if (page && !json_is_array(json_object_get(page, rows)))
		json_object_set_new(page, rows, json_array());
	return page;
}

json_t *ask_pages(const char *program, const char *run_dir, const char *op, const char *rows)
{
	json_t *all = ask_page(program, run_dir, op, rows, 0), *list = json_object_get(all, rows);
	size_t n = json_array_size(list), total = (size_t)json_integer_value(json_object_get(all, "total"));

	while (all && n && json_array_size(list) < total) {
		json_t *page = ask_page(program, run_dir, op, rows, json_array_size(list));

		if (!page) {
			json_decref(all);
			return NULL;
		}
		n = json_array_size(json_object_get(page, rows));
		json_array_extend(list, json_object_get(page, rows));
		json_decref(page);
	}
	return all;
}

static void say_waiting(int signo)
{
	static const char text[] = "policyd is at work ...\n";

	(void)signo;
	if (write(STDERR_FILENO, text, sizeof(text) - 1) < 0)
		return; /* nobody reads it */
}

json_t *ask_changed(const char *program, const char *run_dir, const struct pst_buf *request)
{
	const struct sigaction wait = {.sa_handler = say_waiting, .sa_flags = SA_RESTART};
	struct sigaction before;
	json_t *reply;
	int e;

	sigaction(SIGALRM, &wait, &before);
	if (isatty(STDERR_FILENO))
		alarm(ASK_TIMEOUT_MS / 1000);
	reply = call(cli_run_dir(run_dir), "policyd", request, CHANGE_TIMEOUT_MS, &e);
	alarm(0);
	sigaction(SIGALRM, &before, NULL);
	if (reply || e != -ETIMEDOUT)
		return checked(program, reply, e, "ok");
	fprintf(stderr, "%s: policyd has not answered for %d s: the change may come into force yet\n",
		program, CHANGE_TIMEOUT_MS / 1000);
	return NULL;
}

int ask_say_not_kept(const char *program, const json_t *reply)
{
	const char *warning = json_string_value(json_object_get(reply, "warning"));

	if (!warning || !*warning)
		return PST_EXIT_OK;
	fprintf(stderr, "%s: warning: %s\n", program, cli_message(warning));
	return EXIT_NOT_KEPT;
}

int ask_change(const char *program, const char *run_dir, const struct pst_buf *request)
{
	json_t *reply = ask_changed(program, run_dir, request);
	int r;

	if (!reply)
		return PST_EXIT_SYSTEM;
	ask_say_idle(stderr, reply);
	r = ask_say_not_kept(program, reply);
	json_decref(reply);
	return r;
}

void ask_say_idle(FILE *f, const json_t *reply)
{
	const char *state = json_string_value(json_object_get(reply, "state"));

	if (json_is_true(json_object_get(reply, "not_enforced")) || (state && !strcmp(state, "not enforced")))
		fputs("written, not enforced: the loader has attached the guard to no interface, penstock "
		      "status says why\n",
			f);
}

/* ---- replies ---- */

const char *ask_text_at(const json_t *row, size_t i)
{
	const char *text = json_string_value(json_array_get(row, i));

	return text ? text : "";
}

long long ask_number_at(const json_t *row, size_t i)
{
	return json_integer_value(json_array_get(row, i));
}

json_t *ask_named(const json_t *rows, const char *const *names, size_t n)
{
	json_t *list = json_array();
	const json_t *row;
	size_t i;

	json_array_foreach(rows, i, row)
	{
		json_t *object = json_object();

		for (size_t k = 0; k < n; k++)
			json_object_set(object, names[k], json_array_get(row, k));
		json_array_append_new(list, object);
	}
	return list;
}

int ask_print_json(json_t *root)
{
	int r = json_dumpf(root, stdout, JSON_INDENT(1) | JSON_ENSURE_ASCII);

	putchar('\n');
	json_decref(root);
	return r || fflush(stdout) ? PST_EXIT_SYSTEM : PST_EXIT_OK;
}

const char *ask_error(int error)
{
	switch (-error) {
	case ENOENT:
	case ECONNREFUSED:
		return "not running";
	case EACCES:
	case EPERM:
		return "no access (are you in the group penstock?)";
	case ETIMEDOUT:
		return "does not answer";
	default:
		return strerror(-error);
	}
}
