// SPDX-License-Identifier: Apache-2.0
#include "cli/top_guard.h"

#include <stdio.h>
#include <stdlib.h>

#include "cli/ask.h"
#include "cli/cli.h"
#include "cli/top_iface.h"
#include "proto/base/cleanup.h"

#define RULES_A_CALL 500
#define RULES_MAX    16384 /* more than a firewall has */

/* ---- counters ---- */

static json_t *call(const char *run_dir, size_t from)
{
	PST_CLEANUP(pst_buf_done) struct pst_buf request = {0};
	int e;

	pst_mp_map(&request, 3);
	pst_mp_str(&request, "op");
	pst_mp_str(&request, "firewall");
	pst_mp_str(&request, "from");
	pst_mp_uint(&request, from);
	pst_mp_str(&request, "limit");
	pst_mp_uint(&request, RULES_A_CALL);
	return ask_call(run_dir, "policyd", &request, &e);
}

/* {key: [what, name, action, packets, bytes]} */
static void note(json_t *counters, const char *what, const char *name, const char *action,
	const json_t *packets, const json_t *bytes)
{
	char key[128];

	snprintf(key, sizeof(key), "%s %s", what, name);
	json_object_set_new_nocheck(counters, key,
		json_pack("[s, s, s, I, I]", what, name, action, json_integer_value(packets),
			json_integer_value(bytes)));
}

static void note_reply(json_t *counters, const json_t *reply, bool first)
{
	const json_t *row;
	size_t i;

	json_array_foreach(json_object_get(reply, "rules"), i, row) note(counters, "rule",
		ask_text_at(row, 1), ask_text_at(row, 2), json_array_get(row, 4), json_array_get(row, 5));
	if (!first)
		return;
	json_array_foreach(json_object_get(reply, "reasons"), i, row) note(
		counters, "verdict", ask_text_at(row, 0), "", json_array_get(row, 1), json_array_get(row, 2));
}

/* NULL: policyd says nothing. */
static json_t *fetch(const char *run_dir, json_t **ret_cells)
{
	json_t *counters = json_object();

	for (size_t from = 0, total = 0, n;; from += n) {
		json_t *reply = call(run_dir, from);

		if (!json_is_array(json_object_get(reply, "reasons"))) {
			json_decref(reply);
			json_decref(counters);
			json_decref(*ret_cells);
			*ret_cells = NULL;
			return NULL;
		}
		note_reply(counters, reply, !from);
		if (!from)
			*ret_cells = top_iface_cells(reply);
		n = json_array_size(json_object_get(reply, "rules"));
		total = PST_MIN(
			(size_t)json_integer_value(json_object_get(reply, "total")), (size_t)RULES_MAX);
		json_decref(reply);
		if (!n || from + n >= total)
			return counters;
	}
}

/* ---- rows ---- */

static json_int_t moved(const json_t *now, const json_t *before, size_t i)
{
	json_int_t a = json_integer_value(json_array_get(now, i));
	json_int_t b = json_integer_value(json_array_get(before, i));

	return a > b ? a - b : 0; /* counters of a rule begin anew when it was another one */
}

static int by_packets(const void *a, const void *b)
{
	json_int_t x = json_integer_value(json_object_get(*(json_t *const *)a, "packets"));
	json_int_t y = json_integer_value(json_object_get(*(json_t *const *)b, "packets"));

	return (x < y) - (x > y);
}

static json_t *sorted(json_t *rows)
{
	size_t n = json_array_size(rows);
	PST_FREE json_t **order = calloc(n + 1, sizeof(*order));
	json_t *made = json_array();

	for (size_t i = 0; order && i < n; i++)
		order[i] = json_array_get(rows, i);
	if (order)
		qsort(order, n, sizeof(*order), by_packets);
	for (size_t i = 0; order && i < n; i++)
		json_array_append(made, order[i]);
	json_decref(rows);
	return made;
}

static json_t *compare(const json_t *now, const json_t *before)
{
	json_t *rows = json_array(), *value;
	const char *key;

	json_object_foreach((json_t *)(uintptr_t)now, key, value)
	{
		const json_t *old = json_object_get(before, key);
		json_int_t packets = moved(value, old, 3);

		if (packets)
			json_array_append_new(
				rows, json_pack("{s:s, s:s, s:s, s:I, s:I}", "what", ask_text_at(value, 0),
					      "name", ask_text_at(value, 1), "action", ask_text_at(value, 2),
					      "packets", packets, "bytes", moved(value, old, 4)));
	}
	return sorted(rows);
}

void top_guard_sample(struct top_guard *g, const char *run_dir)
{
	json_t *cells = NULL, *now = fetch(run_dir, &cells);

	json_decref(g->rows);
	json_decref(g->moved);
	g->rows = now && g->before ? compare(now, g->before) : NULL;
	g->moved = now && g->before ? top_iface_moved(cells, g->cells) : NULL;
	json_decref(g->before);
	json_decref(g->cells);
	g->before = now;
	g->cells = cells;
}

void top_guard_print(const struct top_guard *g, double seconds, size_t rows)
{
	const json_t *row;
	size_t i;

	if (!json_array_size(g->rows))
		return;
	printf("\n%12s %10s  %s\n", "bytes/s", "packets/s", "guard");
	json_array_foreach(g->rows, i, row)
	{
		const char *action = json_string_value(json_object_get(row, "action"));

		if (i == rows)
			return;
		printf("%12.0f %10.1f  %s %s%s%s\n",
			(double)json_integer_value(json_object_get(row, "bytes")) / seconds,
			(double)json_integer_value(json_object_get(row, "packets")) / seconds,
			json_string_value(json_object_get(row, "what")),
			cli_safe(json_string_value(json_object_get(row, "name"))), *action ? ": " : "",
			cli_safe(action));
	}
}

json_t *top_guard_json(const struct top_guard *g, double seconds, size_t rows)
{
	json_t *list = json_array();
	const json_t *row;
	size_t i;

	json_array_foreach(g->rows, i, row)
	{
		if (i == rows)
			break;
		json_array_append_new(
			list, json_pack("{s:O, s:O, s:O, s:f, s:f}", "what", json_object_get(row, "what"),
				      "name", json_object_get(row, "name"), "action",
				      json_object_get(row, "action"), "packets_per_second",
				      (double)json_integer_value(json_object_get(row, "packets")) / seconds,
				      "bytes_per_second",
				      (double)json_integer_value(json_object_get(row, "bytes")) / seconds));
	}
	return list;
}

void top_guard_done(struct top_guard *g)
{
	json_decref(g->before);
	json_decref(g->rows);
	json_decref(g->cells);
	json_decref(g->moved);
	*g = (struct top_guard){0};
}
