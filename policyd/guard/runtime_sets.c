// SPDX-License-Identifier: Apache-2.0
/* Elements of sets that were added and deleted by command: a line each, "+ SET ELEMENT" or "- SET ELEMENT".
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "policyd/guard/runtime.h"
#include "proto/base/cleanup.h"
#include "proto/base/own.h"

#define MODE     0640
#define LINE_MAX (2 + FW_NAME_MAX + 1 + FW_ELEMENT_MAX)

void runtime_sets_done(struct runtime_sets *sets)
{
	for (size_t i = 0; i < sets->n; i++) {
		free(sets->v[i].set);
		free(sets->v[i].element);
	}
	free(sets->v);
	*sets = (struct runtime_sets){0};
}

static void remove_at(struct runtime_sets *sets, size_t i)
{
	free(sets->v[i].set);
	free(sets->v[i].element);
	memmove(&sets->v[i], &sets->v[i + 1], (sets->n - i - 1) * sizeof(*sets->v));
	sets->n--;
}

static int append(struct runtime_sets *sets, const char *set, const char *element, bool add)
{
	struct fw_set_change *c;

	if (sets->n == RUNTIME_CHANGES_MAX)
		return -ENOSPC;
	if (sets->n == sets->size) {
		size_t size = sets->size ? sets->size * 2 : 16;

		c = reallocarray(sets->v, size, sizeof(*c));
		if (!c)
			return -ENOMEM;
		sets->v = c;
		sets->size = size;
	}
	c = &sets->v[sets->n];
	*c = (struct fw_set_change){.set = strdup(set), .element = strdup(element), .add = add};
	sets->n++;
	return c->set && c->element ? 0 : -ENOMEM;
}

int runtime_sets_copy(const struct runtime_sets *from, struct runtime_sets *ret_sets)
{
	PST_CLEANUP(runtime_sets_done) struct runtime_sets sets = {0};
	int e = 0;

	for (size_t i = 0; i < from->n && !e; i++)
		e = append(&sets, from->v[i].set, from->v[i].element, from->v[i].add);
	if (e)
		return e;
	*ret_sets = sets;
	sets = (struct runtime_sets){0};
	return 0;
}

static bool is_change(const struct fw_set_change *c, const char *set, const char *element)
{
	return !strcmp(c->element, element) && !strcmp(c->set, set);
}

int runtime_sets_put(struct runtime_sets *sets, const char *set, const char *element, bool add)
{
	for (size_t i = 0; i < sets->n; i++) {
		if (!is_change(&sets->v[i], set, element))
			continue;
		if (sets->v[i].add == add)
			return RUNTIME_SETS_SAME;
		remove_at(sets, i);
		return RUNTIME_SETS_UNDONE;
	}
	return append(sets, set, element, add);
}

void runtime_sets_settle(struct runtime_sets *sets)
{
	for (size_t i = sets->n; i-- > 0;) {
		if (sets->v[i].errors && !sets->v[i].done)
			remove_at(sets, i);
		else
			sets->v[i].errors = NULL;
	}
}

/* ---- file ---- */

static bool is_word(const char *text, size_t len, size_t max)
{
	for (size_t i = 0; i < len; i++)
		if ((unsigned char)text[i] <= ' ' || text[i] == 0x7f)
			return false;
	return len && len <= max;
}

static int parse_line(const char *line, size_t len, struct runtime_sets *sets)
{
	char set[FW_NAME_MAX + 1], element[FW_ELEMENT_MAX];
	const char *space = len > 2 ? memchr(line + 2, ' ', len - 2) : NULL;
	size_t set_len = space ? (size_t)(space - line) - 2 : 0, rest = space ? len - set_len - 3 : 0;

	if ((line[0] != '+' && line[0] != '-') || !space || line[1] != ' ' ||
		!is_word(line + 2, set_len, FW_NAME_MAX) || !is_word(space + 1, rest, FW_ELEMENT_MAX - 1))
		return -EBADMSG;
	memcpy(set, line + 2, set_len);
	set[set_len] = '\0';
	memcpy(element, space + 1, rest);
	element[rest] = '\0';
	return runtime_sets_put(sets, set, element, line[0] == '+') ? -EBADMSG : 0;
}

int runtime_sets_parse(const char *text, size_t len, struct runtime_sets *ret_sets)
{
	PST_CLEANUP(runtime_sets_done) struct runtime_sets sets = {0};
	const char *end = text + len;

	for (const char *p = text, *newline; p < end; p = newline + 1) {
		int e;

		newline = memchr(p, '\n', (size_t)(end - p));
		if (!newline)
			return -EBADMSG;
		e = parse_line(p, (size_t)(newline - p), &sets);
		if (e)
			return e;
	}
	*ret_sets = sets;
	sets = (struct runtime_sets){0};
	return 0;
}

int runtime_sets_load(const char *path, struct runtime_sets *ret_sets)
{
	PST_FREE char *text = NULL;
	size_t len;
	int e = pst_own_read(path, (size_t)RUNTIME_CHANGES_MAX * LINE_MAX, &text, &len);

	if (e == -ENOENT) {
		*ret_sets = (struct runtime_sets){0};
		return 0;
	}
	return e ? e : runtime_sets_parse(text, len, ret_sets);
}

char *runtime_sets_text(const struct runtime_sets *sets, size_t *ret_len)
{
	char *text = NULL;
	FILE *out = open_memstream(&text, ret_len);

	if (!out)
		return NULL;
	for (size_t i = 0; i < sets->n; i++)
		fprintf(out, "%c %s %s\n", sets->v[i].add ? '+' : '-', sets->v[i].set, sets->v[i].element);
	if (fclose(out) == 0)
		return text;
	free(text);
	return NULL;
}

int runtime_sets_save(const char *path, const struct runtime_sets *sets)
{
	size_t len;
	PST_FREE char *text = runtime_sets_text(sets, &len);

	return text ? pst_own_write(path, MODE, text, len) : -ENOMEM;
}
