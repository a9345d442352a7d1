// SPDX-License-Identifier: Apache-2.0
/* Any bytes as the saved state of policies (first byte even), or as a file of policies that is cut into its
 * documents. */
#include <stdlib.h>
#include <string.h>

#include "policyd/policy/force_internal.h"

/* What is accepted is written the same, and read again. */
static void read_state(const char *text, size_t len)
{
	struct force_state s, again;
	char *one, *two;
	size_t n, m;

	if (force_state_parse(text, len, &s))
		return;
	one = force_state_text(&s, &n);
	if (!one || force_state_parse(one, n, &again))
		abort();
	two = force_state_text(&again, &m);
	if (!two || n != m || memcmp(one, two, n) != 0)
		abort();
	force_state_done(&s);
	force_state_done(&again);
	free(one);
	free(two);
}

/* Each part is a file that holds the policy which it was cut for, and no other. */
static void check_part(const struct force_policy *p)
{
	struct pst_conf_errors errors = {0};
	struct force_reader r = {0};

	if (force_read(&r, "f", p->text, p->len, &errors, NULL) || r.list.n != 1)
		abort();
	if (strcmp(r.list.v[0].p->policy->name, p->policy->name) != 0 ||
		r.list.v[0].p->policy->n != p->policy->n ||
		r.list.v[0].p->policy->line + p->line - 1 != p->policy->line)
		abort();
	force_reader_done(&r);
	pst_conf_errors_done(&errors);
}

static void read_file(const char *text, size_t len)
{
	struct pst_conf_errors errors = {0};
	struct force_reader r = {0};
	struct force_list list;

	if (!force_read(&r, "f", text, len, &errors, NULL)) {
		list = force_reader_take(&r, true);
		for (size_t i = 0; i < list.n; i++)
			check_part(list.v[i].p);
		force_list_done(&list);
	}
	force_reader_done(&r);
	pst_conf_errors_done(&errors);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size && data[0] % 2 == 0)
		read_state((const char *)data + 1, size - 1);
	else if (size)
		read_file((const char *)data + 1, size - 1);
	return 0;
}
