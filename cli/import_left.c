// SPDX-License-Identifier: Apache-2.0
/* What is left out: a comment in its place, and a line for people. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "cli/import_internal.h"
#include "proto/base/cleanup.h"

#define TEXT_MAX 200 /* of a rule */

/* What a reader should know of the rules below. */
static const char *consequence(const struct import_rule *rule)
{
	switch (rule->verdict) {
	case IMPORT_ACCEPT:
		return "; what it accepts meets the rules below";
	case IMPORT_DROP:
	case IMPORT_REJECT:
		return "; what it drops meets the rules below";
	case IMPORT_RETURN:
		return "; what it lets out of its chain meets the rules below";
	case IMPORT_JUMP:
	case IMPORT_GOTO:
		return !rule->target ? "" : "; the rules of the chain that it jumps to are left out here";
	default:
		return "";
	}
}

static void put_place(struct import_buf *to, const struct import *im, const struct import_rule *rule)
{
	struct import_buf names = {0};

	import_printf(&names, "%s %s %s", rule->chain->family, rule->chain->table, rule->chain->name);
	import_put_clean(to, names.v ? names.v : "", names.n, 200);
	if (rule->number)
		import_printf(to, " %s %llu", im->place, (unsigned long long)rule->number);
	import_buf_done(&names);
}

/* The beginning is enough: a rule may hold a set of megabytes. */
static int some(const char *text, size_t len, void *arg)
{
	struct import_buf *to = arg;

	import_put(to, text, len < TEXT_MAX ? len : TEXT_MAX + 1);
	return to->n > TEXT_MAX ? -1 : 0;
}

static void put_source(struct import_buf *to, const struct import_rule *rule)
{
	PST_CLEANUP(import_buf_done) struct import_buf text = {0};

	if (rule->expr)
		json_dump_callback(rule->expr, some, &text, JSON_COMPACT);
	else if (rule->line)
		some(rule->line, rule->line_len, &text);
	if (!text.n)
		return;
	import_printf(to, "    #   ");
	import_put_clean(to, text.v, text.n, TEXT_MAX);
	import_printf(to, "%s\n", text.n > TEXT_MAX ? " ..." : "");
}

void import_leave_out(
	struct import *im, const struct import_rule *rule, const struct import_rule *by, const char *why)
{
	PST_CLEANUP(import_buf_done) struct import_buf line = {0};

	im->left_out++;
	put_place(&line, im, rule);
	if (by) {
		import_printf(&line, " (from %s %llu)", im->place, (unsigned long long)by->number);
	}
	import_printf(&line, ": ");
	import_put_clean(&line, why, strlen(why), 300);
	import_printf(&line, "%s\n", consequence(rule));
	if (line.failed)
		im->error = -ENOMEM;
	if (line.failed || im->n_said++ >= IMPORT_SAID_MAX)
		return;
	import_put_clean(&im->said, im->name, strlen(im->name), 4096);
	import_printf(&im->said, ": left out: %s", line.v);
	import_printf(&im->rules, "    # left out: %s", line.v);
	put_source(&im->rules, rule);
}

void import_note(struct import *im, const char *format, ...)
{
	PST_CLEANUP(import_buf_done) struct import_buf line = {0};
	PST_FREE char *text = NULL;
	va_list ap;
	int n;

	va_start(ap, format);
	n = vasprintf(&text, format, ap);
	va_end(ap);
	if (n < 0) {
		text = NULL;
		im->error = -ENOMEM;
		return;
	}
	if (im->notes++ >= 100)
		return;
	import_put_clean(&line, text, (size_t)n, 500);
	import_put_clean(&im->said, im->name, strlen(im->name), 4096);
	import_printf(&im->said, ": note: %s\n", line.v ? line.v : "");
}
