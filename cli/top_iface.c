// SPDX-License-Identifier: Apache-2.0
#include "cli/top_iface.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/ask.h"
#include "cli/cli.h"
#include "proto/base/cleanup.h"

/* Of a row. */
enum { INTERFACE, DIRECTION, PROTOCOL, VERDICT, PACKETS, BYTES };

json_t *top_iface_cells(const json_t *reply)
{
	json_t *cells = json_object(), *row;
	char key[160];
	size_t i;

	json_array_foreach(json_object_get(reply, "interfaces"), i, row)
	{
		snprintf(key, sizeof(key), "%s %s %s %s", ask_text_at(row, DIRECTION),
			ask_text_at(row, PROTOCOL), ask_text_at(row, VERDICT), ask_text_at(row, INTERFACE));
		json_object_set_nocheck(cells, key, row);
	}
	return cells;
}

static json_int_t grown(const json_t *now, const json_t *before, size_t i)
{
	json_int_t a = ask_number_at(now, i), b = ask_number_at(before, i);

	return a > b ? a - b : 0; /* another interface of that name, or other tables */
}

json_t *top_iface_moved(const json_t *now, const json_t *before)
{
	json_t *moved = json_array(), *row;
	const char *key;

	json_object_foreach((json_t *)(uintptr_t)now, key, row)
	{
		const json_t *old = json_object_get(before, key);
		json_int_t packets = grown(row, old, PACKETS);

		if (packets)
			json_array_append_new(
				moved, json_pack("[s, s, s, s, I, I]", ask_text_at(row, INTERFACE),
					       ask_text_at(row, DIRECTION), ask_text_at(row, PROTOCOL),
					       ask_text_at(row, VERDICT), packets, grown(row, old, BYTES)));
	}
	return moved;
}

/* ---- lines ---- */

struct line {
	const char *name;
	json_int_t packets[2], bytes[2], dropped; /* in, out */
};

static struct line *line_of(struct line *lines, size_t *n, const char *name)
{
	for (size_t i = 0; i < *n; i++)
		if (!strcmp(lines[i].name, name))
			return &lines[i];
	lines[*n].name = name;
	return &lines[(*n)++];
}

static int by_packets(const void *a, const void *b)
{
	const struct line *x = a, *y = b;
	json_int_t p = x->packets[0] + x->packets[1], q = y->packets[0] + y->packets[1];

	return p == q ? strcmp(x->name, y->name) : (p < q) - (p > q);
}

/* Owned; NULL without memory. */
static struct line *gather(const json_t *moved, size_t *ret_n)
{
	struct line *lines = calloc(json_array_size(moved) + 1, sizeof(*lines));
	const json_t *row;
	size_t i;

	*ret_n = 0;
	json_array_foreach(moved, i, row)
	{
		struct line *l = lines ? line_of(lines, ret_n, ask_text_at(row, INTERFACE)) : NULL;
		bool out = !strcmp(ask_text_at(row, DIRECTION), "out");

		if (!l)
			break;
		l->packets[out] += ask_number_at(row, PACKETS);
		l->bytes[out] += ask_number_at(row, BYTES);
		if (!strcmp(ask_text_at(row, VERDICT), "drop"))
			l->dropped += ask_number_at(row, PACKETS);
	}
	if (lines)
		qsort(lines, *ret_n, sizeof(*lines), by_packets);
	return lines;
}

void top_iface_print(const json_t *moved, double seconds, size_t rows)
{
	size_t n;
	PST_FREE struct line *lines = gather(moved, &n);

	if (!n)
		return;
	printf("\n%12s %10s %10s %12s %10s  %s\n", "in bytes/s", "packets/s", "dropped/s", "out bytes/s",
		"packets/s", "guarded interface");
	for (size_t i = 0; i < n && i < rows; i++) {
		const struct line *l = &lines[i];

		printf("%12.0f %10.1f %10.1f %12.0f %10.1f  %s\n", (double)l->bytes[0] / seconds,
			(double)l->packets[0] / seconds, (double)l->dropped / seconds,
			(double)l->bytes[1] / seconds, (double)l->packets[1] / seconds, cli_safe(l->name));
	}
}

json_t *top_iface_json(const json_t *moved, double seconds)
{
	json_t *list = json_array();
	const json_t *row;
	size_t i;

	json_array_foreach(moved, i, row) json_array_append_new(
		list, json_pack("{s:s, s:s, s:s, s:s, s:f, s:f}", "interface", ask_text_at(row, INTERFACE),
			      "direction", ask_text_at(row, DIRECTION), "protocol",
			      ask_text_at(row, PROTOCOL), "verdict", ask_text_at(row, VERDICT),
			      "packets_per_second", (double)ask_number_at(row, PACKETS) / seconds,
			      "bytes_per_second", (double)ask_number_at(row, BYTES) / seconds));
	return list;
}
