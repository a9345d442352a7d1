// SPDX-License-Identifier: Apache-2.0
/* Sets of the file, changed by command, and what was changed kept in the run folder. */
#include <errno.h>
#include <string.h>

#include "policyd/guard/firewall_internal.h"
#include "proto/base/cleanup.h"

/* Into @sets, as something that was just asked for. */
static int put(struct runtime_sets *sets, const char *set, const char *element, bool add, size_t *ret_undone,
	struct pst_conf_errors *errors)
{
	char text[FW_ELEMENT_MAX];
	int e = fw_element_text(element, errors, text);

	if (e)
		return e;
	e = runtime_sets_put(sets, set, text, add);
	if (!e)
		sets->v[sets->n - 1].errors = errors;
	if (e == RUNTIME_SETS_UNDONE)
		++*ret_undone;
	if (e == RUNTIME_SETS_SAME && !add) {
		pst_conf_error(errors, "firewall", 0, 0, "%s is not in the set \"%.64s\"", text, set);
		return -ENOENT;
	}
	if (e == -ENOSPC)
		pst_conf_error(errors, "firewall", 0, 0,
			"%d elements were added or deleted by command already: put them into the file",
			RUNTIME_CHANGES_MAX);
	return e < 0 ? e : 0;
}

static void swap(struct runtime_sets *a, struct runtime_sets *b)
{
	struct runtime_sets c = *a;

	*a = *b;
	*b = c;
}

int firewall_change_set(struct firewall *fw, const struct guard_tables *tables, const char *set,
	const char *const *elements, size_t n, bool add, size_t *ret_changed, struct pst_conf_errors *errors)
{
	PST_CLEANUP(runtime_sets_done) struct runtime_sets sets = {0};
	size_t undone = 0;
	int e = firewall_may_change(fw, tables, errors) ? runtime_sets_copy(&fw->sets, &sets) : -ECANCELED;

	for (size_t i = 0; i < n && !e; i++)
		e = put(&sets, set, elements[i], add, &undone, errors);
	if (e)
		return e;
	swap(&fw->sets, &sets);
	e = firewall_build(fw, tables, &fw->runtime, fw->text, fw->text_len, errors);
	if (e) {
		swap(&fw->sets, &sets);
		return e;
	}
	*ret_changed = undone;
	for (size_t i = 0; i < fw->sets.n; i++)
		*ret_changed += fw->sets.v[i].errors && fw->sets.v[i].done;
	runtime_sets_settle(&fw->sets);
	saving_note(&fw->saved_sets, runtime_sets_save(fw->sets_path, &fw->sets));
	return 0;
}
