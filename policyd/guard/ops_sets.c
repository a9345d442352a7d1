// SPDX-License-Identifier: Apache-2.0
/* Requests about the firewall's sets. */
#include <errno.h>
#include <string.h>

#include "policyd/guard/ops.h"
#include "proto/base/cleanup.h"

#define SETS_A_REPLY    1000u
#define CHANGES_A_REPLY 1000u

static const char *const holds_names[] = {
	[FW_HOLDS_UNKNOWN] = "",
	[FW_HOLDS_ADDRESSES] = "addresses",
	[FW_HOLDS_PORTS] = "ports",
	[FW_HOLDS_ENDPOINTS] = "addresses with ports",
};

static void put_sets(struct pst_buf *out, const struct fw_ruleset *set)
{
	uint32_t n = set ? (uint32_t)PST_MIN(set->n_sets, (size_t)SETS_A_REPLY) : 0;

	pst_mp_str(out, "sets");
	pst_mp_array(out, n);
	for (uint32_t i = 0; i < n; i++) {
		pst_mp_array(out, 3);
		pst_mp_str(out, set->sets[i].name);
		pst_mp_str(out, holds_names[set->sets[i].holds]);
		pst_mp_uint(out, set->sets[i].n);
	}
}

static void put_changes(struct pst_buf *out, const struct runtime_sets *sets)
{
	uint32_t n = (uint32_t)PST_MIN(sets->n, (size_t)CHANGES_A_REPLY);

	pst_mp_str(out, "changes");
	pst_mp_array(out, n);
	for (size_t i = sets->n - n; i < sets->n; i++) {
		pst_mp_array(out, 4);
		pst_mp_str(out, sets->v[i].set);
		pst_mp_str(out, sets->v[i].add ? "added" : "deleted");
		pst_mp_str(out, sets->v[i].element);
		pst_mp_bool(out, sets->v[i].done);
	}
}

/* {} -> {state, sets: [[name, holds, elements]], total, changes: [[set, added or deleted, element, counts]]:
 * the last ones, warning} */
int guard_on_sets(void *arg, const msgpack_object *request, struct pst_buf *reply, char *error, size_t size)
{
	struct guard *g = arg;
	const struct firewall_rules *rules = firewall_shown(&g->firewall);

	(void)request;
	(void)error;
	(void)size;
	pst_mp_map(reply, 5);
	put_text(reply, "state", firewall_state(&g->firewall, &g->tables));
	put_sets(reply, rules ? rules->set : NULL);
	put_uint(reply, "total", g->firewall.sets.n);
	put_changes(reply, &g->firewall.sets);
	guard_put_warning(reply, &g->firewall.saved_sets);
	return 0;
}

/* The elements of the list that @key names, in one block with their texts; NULL: it is none. */
static char **take_elements(const msgpack_object *request, const char *key, size_t *ret_n)
{
	const msgpack_object *o = pst_ctl_get(request, key);
	size_t n = o && o->type == MSGPACK_OBJECT_ARRAY ? o->via.array.size : 0;
	char **v = n ? calloc(n, sizeof(*v) + FW_ELEMENT_MAX) : NULL, *text = v ? (char *)(v + n) : NULL;

	for (size_t i = 0; v && i < n; i++, text += FW_ELEMENT_MAX) {
		const msgpack_object *element = &o->via.array.ptr[i];

		if (element->type != MSGPACK_OBJECT_STR || !element->via.str.size ||
			element->via.str.size >= FW_ELEMENT_MAX ||
			memchr(element->via.str.ptr, 0, element->via.str.size)) {
			free(v);
			return NULL;
		}
		memcpy(text, element->via.str.ptr, element->via.str.size);
		v[i] = text;
	}
	*ret_n = n;
	return v;
}

/* {set, add: [element]} or {set, delete: [element]} -> as of other changes, and changed: how many elements
 * are in the set or out of it that were not before */
int guard_on_set_change(
	void *arg, const msgpack_object *request, struct pst_buf *reply, char *error, size_t size)
{
	PST_CLEANUP(pst_conf_errors_done) struct pst_conf_errors errors = {0};
	bool add = pst_ctl_get(request, "add") != NULL;
	char set[FW_NAME_MAX + 1];
	struct guard *g = arg;
	size_t n = 0, changed = 0;
	PST_FREE char **elements = NULL;
	int e = guard_check_user(g->bus, error, size);

	if (e)
		return e;
	elements = take_elements(request, add ? "add" : "delete", &n);
	if (!pst_ctl_text(request, "set", set, sizeof(set)) || !elements ||
		(add && pst_ctl_get(request, "delete"))) {
		snprintf(error, size,
			"expected set, a name, and add or delete, a list of elements of at most %d bytes",
			FW_ELEMENT_MAX - 1);
		return -EINVAL;
	}
	e = firewall_change_set(
		&g->firewall, &g->tables, set, (const char *const *)elements, n, add, &changed, &errors);
	if (e)
		return guard_answer_error(e, &errors, error, size);
	guard_commit(g);
	pst_mp_map(reply, 6);
	put_uint(reply, "changed", changed);
	guard_put_state(reply, g, firewall_state(&g->firewall, &g->tables),
		guard_generation(&g->tables.firewall), &g->firewall.saved_sets);
	return 0;
}
