// SPDX-License-Identifier: Apache-2.0
/*
 * What was changed by command, in the run folder:
 *
 *	penstock-policies 1
 *	policy MODE LINE LENGTH FILE	and behind it the policy's text, and a newline; MODE "-": as it is
 *written mode MODE NAME			of a policy that a file has
 *	before UNTIL SECONDS		the set that comes back then: the same again
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "policyd/policy/force_internal.h"
#include "proto/base/cleanup.h"
#include "proto/base/own.h"

#define HEAD     "penstock-policies 1\n"
#define MODE     0640
#define HEAD_MAX 512 /* of what is not a policy's text */
#define ALL_MAX  (2 * ((size_t)POLICY_ALL_BYTES + (size_t)POLICY_POLICIES_MAX * HEAD_MAX) + HEAD_MAX)

void force_state_done(struct force_state *s)
{
	force_list_done(&s->now);
	force_list_done(&s->before);
}

/* ---- written ---- */

static void put_item(FILE *out, const struct force_item *item)
{
	const struct force_policy *p = item->p;
	const char *mode = item->moded ? policy_modes.name(item->mode) : "-";

	if (!item->applied && item->moded)
		fprintf(out, "mode %s %s\n", mode, p->policy->name);
	if (!item->applied)
		return;
	fprintf(out, "policy %s %" PRIu32 " %zu %s\n", mode, p->line, p->len, p->policy->file);
	fwrite(p->text, 1, p->len, out);
	fputc('\n', out);
}

char *force_state_text(const struct force_state *s, size_t *ret_len)
{
	char *text = NULL;
	FILE *out = open_memstream(&text, ret_len);

	if (!out)
		return NULL;
	fputs(HEAD, out);
	for (size_t i = 0; i < s->now.n; i++)
		put_item(out, &s->now.v[i]);
	if (s->until_ns)
		fprintf(out, "before %" PRIu64 " %" PRIu64 "\n", s->until_ns, s->for_s);
	for (size_t i = 0; i < s->before.n && s->until_ns; i++)
		put_item(out, &s->before.v[i]);
	if (fclose(out) == 0)
		return text;
	free(text);
	return NULL;
}

/* ---- read ---- */

struct input {
	const char *at, *end;
};

/* A line without its newline; "" at the end. -EBADMSG: too long, or without one. */
static int take_line(struct input *in, char line[HEAD_MAX])
{
	size_t left = (size_t)(in->end - in->at);
	const char *newline = memchr(in->at, '\n', PST_MIN(left, (size_t)HEAD_MAX));

	line[0] = 0;
	if (!left)
		return 0;
	if (!newline || newline == in->at || memchr(in->at, 0, (size_t)(newline - in->at)))
		return -EBADMSG;
	*stpncpy(line, in->at, (size_t)(newline - in->at)) = 0;
	in->at = newline + 1;
	return 0;
}

/* A number and the space behind it. */
static bool take_number(char **at, uint64_t max, uint64_t *ret)
{
	char *end;

	if (**at < '0' || **at > '9')
		return false;
	errno = 0;
	*ret = strtoull(*at, &end, 10);
	if (errno || *ret > max || (*end && *end != ' '))
		return false;
	*at = *end ? end + 1 : end;
	return true;
}

static bool take_mode(char **at, struct force_item *item)
{
	char *end = strchr(*at, ' ');
	unsigned mode = 0;

	if (!end)
		return false;
	*end = 0;
	item->moded = strcmp(*at, "-") != 0;
	if (item->moded && !policy_word(&policy_modes, *at, &mode))
		return false;
	item->mode = (enum policy_mode)mode;
	*at = end + 1;
	return true;
}

static void shift(struct policy *p, uint32_t lines)
{
	p->line += lines;
	for (size_t i = 0; i < p->scope.n; i++)
		p->scope.v[i].line += lines;
	for (size_t i = 0; i < p->n; i++) {
		p->rules[i].line += lines;
		for (size_t k = 0; k < p->rules[i].conds.n; k++)
			p->rules[i].conds.v[k].line += lines;
	}
}

/* Behind "policy ". */
static int take_policy(struct input *in, char *at, struct force_reader *r)
{
	struct pst_conf_errors errors = {0};
	struct force_item head = {0}, *item;
	size_t n = r->list.n;
	uint64_t line, len;
	int e;

	if (!take_mode(&at, &head) || !take_number(&at, UINT32_MAX / 2, &line) ||
		!take_number(&at, POLICY_FILE_BYTES, &len) || !line || !*at || strlen(at) > FORCE_FILE_MAX ||
		len >= (size_t)(in->end - in->at) || in->at[len] != '\n')
		return -EBADMSG;
	e = force_read(r, at, in->at, len, &errors, NULL);
	pst_conf_errors_done(&errors);
	if (e || r->list.n != n + 1)
		return e == -ENOMEM ? e : -EBADMSG;
	item = &r->list.v[n];
	item->moded = head.moded;
	item->mode = head.moded ? head.mode : item->mode;
	item->p->line = (uint32_t)line;
	shift(item->p->policy, (uint32_t)line - 1);
	in->at += len + 1;
	return 0;
}

/* Behind "mode ": of the policy there is the name alone. */
static int take_moded(char *at, struct force_list *list)
{
	struct force_policy *p = calloc(1, sizeof(*p));
	struct force_item item = {.p = p};
	int e;

	if (!p)
		return -ENOMEM;
	p->refs = 1;
	e = take_mode(&at, &item) && item.moded && *at && strlen(at) <= POLICY_NAME_MAX ? 0 : -EBADMSG;
	e = e                                                                               ? e
	    : (p->policy = calloc(1, sizeof(*p->policy))) && (p->policy->name = strdup(at)) ? 0
											    : -ENOMEM;
	e = e ? e : force_list_add(list, &item);
	force_policy_unref(p);
	return e;
}

static int take_before(char *at, struct force_state *s)
{
	if (s->until_ns || !take_number(&at, UINT64_MAX - 1, &s->until_ns) || !s->until_ns ||
		!take_number(&at, UINT32_MAX, &s->for_s) || *at)
		return -EBADMSG;
	return 0;
}

/* The records up to a "before", whose line is left in @line, or the end. */
static int take_list(struct input *in, char line[HEAD_MAX], struct force_list *list)
{
	PST_CLEANUP(force_reader_done) struct force_reader r = {0};
	PST_CLEANUP(force_list_done) struct force_list modes = {0}, policies = {0};
	int e = take_line(in, line);

	while (!e && *line && strncmp(line, "before ", 7) != 0) {
		if (!strncmp(line, "policy ", 7))
			e = take_policy(in, line + 7, &r);
		else if (!strncmp(line, "mode ", 5) && modes.n < POLICY_POLICIES_MAX)
			e = take_moded(line + 5, &modes);
		else
			e = -EBADMSG;
		e = e ? e : take_line(in, line);
	}
	if (e)
		return e;
	policies = force_reader_take(&r, true);
	return force_list_unique(&policies, &modes, list);
}

int force_state_parse(const char *text, size_t len, struct force_state *ret_state)
{
	PST_CLEANUP(force_state_done) struct force_state s = {0};
	struct input in = {text + strlen(HEAD), text + len};
	char line[HEAD_MAX];
	int e;

	if (len < strlen(HEAD) || memcmp(text, HEAD, strlen(HEAD)) != 0)
		return -EBADMSG;
	e = take_list(&in, line, &s.now);
	if (!e && *line) {
		e = take_before(line + 7, &s);
		e = e ? e : take_list(&in, line, &s.before);
		e = e ? e : *line ? -EBADMSG : 0;
	}
	if (e)
		return e;
	*ret_state = s;
	s = (struct force_state){0};
	return 0;
}

int force_state_load(const char *path, struct force_state *ret_state)
{
	PST_FREE char *text = NULL;
	size_t len;
	int e = pst_own_read(path, ALL_MAX, &text, &len);

	if (e == -ENOENT) {
		*ret_state = (struct force_state){0};
		return 0;
	}
	return e ? e : force_state_parse(text, len, ret_state);
}

int force_state_save(const char *path, const struct force_state *state)
{
	size_t len;
	PST_FREE char *text = force_state_text(state, &len);

	return text ? pst_own_write(path, MODE, text, len) : -ENOMEM;
}
