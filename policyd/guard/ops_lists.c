// SPDX-License-Identifier: Apache-2.0
/* Requests about the allow and block list. */
#include <errno.h>
#include <string.h>

#include "policyd/guard/offenders.h"
#include "policyd/guard/ops.h"
#include "proto/base/cleanup.h"

#define BLOCKS_A_REPLY 1000u

static void put_runtime(struct pst_buf *out, const struct lists *l)
{
	uint32_t now = lists_now(), n = (uint32_t)PST_MIN(l->runtime.n, (size_t)BLOCKS_A_REPLY);
	char text[64];

	pst_mp_str(out, "runtime");
	pst_mp_array(out, n);
	for (uint32_t i = 0; i < n; i++) {
		const struct runtime_block *b = &l->runtime.v[i];

		runtime_block_text(&b->entry, text);
		pst_mp_array(out, 3);
		pst_mp_str(out, text);
		pst_mp_uint(out, b->entry.expires > now ? b->entry.expires - now : 0);
		pst_mp_str(out, b->reason ? b->reason : "");
	}
}

static void put_offenders(struct pst_buf *out, const struct guard *g)
{
	const struct offenders_config *c = &g->config.ddos.offenders;
	struct offenders_list list;
	char text[64];

	offenders_read(&g->tables, pst_now_boot_ns(), &list);
	pst_mp_str(out, "offenders");
	pst_mp_map(out, 3);
	put_text(out, "action", ddos_action_name(offenders_action(c)));
	put_uint(out, "total", list.total);
	pst_mp_str(out, "list");
	pst_mp_array(out, (uint32_t)list.n);
	for (size_t i = 0; i < list.n; i++) {
		runtime_block_text(&list.v[i].source, text);
		pst_mp_array(out, 3);
		pst_mp_str(out, text);
		pst_mp_uint(out, list.v[i].left_s);
		pst_mp_str(out, list.v[i].cause);
	}
}

/* {} -> {state, error, generation, allow: {files, entries}, block: {files, entries_4, entries_6, prefixes,
 * runtime_total, runtime: [[address, expires_s, reason]]}, offenders: {action, total, list: [[address,
 * expires_s, cause]]}, warning} */
int guard_on_lists(void *arg, const msgpack_object *request, struct pst_buf *reply, char *error, size_t size)
{
	struct guard *g = arg;
	struct lists *l = &g->lists;
	const struct block_list *allow = &l->set.allow, *block = &l->set.block;

	(void)request;
	(void)error;
	(void)size;
	runtime_blocks_expire(&l->runtime, lists_now());
	pst_mp_map(reply, 7);
	put_text(reply, "state", lists_state(l, &g->tables));
	put_text(reply, "error", g->lists_error ? g->lists_error : "");
	put_uint(reply, "generation", guard_generation(&g->tables.lists));
	pst_mp_str(reply, "allow");
	pst_mp_map(reply, 2);
	put_uint(reply, "files", l->n_files[0]);
	put_uint(reply, "entries", allow->n_addrs4 + allow->addrs6.n + allow->prefixes.n);
	pst_mp_str(reply, "block");
	pst_mp_map(reply, 6);
	put_uint(reply, "files", l->n_files[1]);
	put_uint(reply, "entries_4", block->n_addrs4);
	put_uint(reply, "entries_6", block->addrs6.n);
	put_uint(reply, "prefixes", block->prefixes.n);
	put_uint(reply, "runtime_total", l->runtime.n);
	put_runtime(reply, l);
	put_offenders(reply, g);
	guard_put_warning(reply, &l->saved);
	return 0;
}

static int take_address(
	const msgpack_object *request, struct block_entry *ret_entry, char *error, size_t size)
{
	char text[64];

	if (pst_ctl_text(request, "address", text, sizeof(text)) &&
		!block_entry_parse(text, strlen(text), ret_entry))
		return 0;
	snprintf(error, size,
		"expected address, such as 192.0.2.1, 2001:db8::1 or 198.51.100.0/24 without bits behind the "
		"prefix");
	return -EINVAL;
}

static int take_expiry(const msgpack_object *request, struct block_entry *entry, char *error, size_t size)
{
	uint64_t seconds;

	entry->expires = 0;
	if (!pst_ctl_get(request, "expires_s"))
		return 0;
	if (!pst_ctl_u64(request, "expires_s", &seconds) || !seconds || seconds > INT32_MAX) {
		snprintf(error, size, "expected expires_s, seconds from 1 to %d", INT32_MAX);
		return -EINVAL;
	}
	entry->expires = lists_now() + (uint32_t)seconds;
	return 0;
}

static int answer_lists(struct guard *g, struct pst_buf *reply)
{
	guard_commit(g);
	return guard_answer_state(g, lists_state(&g->lists, &g->tables), guard_generation(&g->tables.lists),
		&g->lists.saved, reply);
}

/* {address, expires_s, reason} */
int guard_on_block(void *arg, const msgpack_object *request, struct pst_buf *reply, char *error, size_t size)
{
	PST_CLEANUP(pst_conf_errors_done) struct pst_conf_errors errors = {0};
	char reason[BLOCK_REASON_MAX + 1] = "";
	struct guard *g = arg;
	struct block_entry entry = {0};
	int e = guard_check_user(g->bus, error, size);

	e = e ? e : take_address(request, &entry, error, size);
	e = e ? e : take_expiry(request, &entry, error, size);
	if (e)
		return e;
	if (pst_ctl_get(request, "reason") &&
		(!pst_ctl_text(request, "reason", reason, sizeof(reason)) || !runtime_reason_ok(reason))) {
		snprintf(error, size,
			"expected reason, at most %d bytes without quotes and control characters",
			BLOCK_REASON_MAX);
		return -EINVAL;
	}
	e = lists_block(&g->lists, &g->tables, &entry, reason, &errors);
	return e ? guard_answer_error(e, &errors, error, size) : answer_lists(g, reply);
}

/* {address} */
int guard_on_unblock(
	void *arg, const msgpack_object *request, struct pst_buf *reply, char *error, size_t size)
{
	PST_CLEANUP(pst_conf_errors_done) struct pst_conf_errors errors = {0};
	struct guard *g = arg;
	struct block_entry entry = {0};
	int e = guard_check_user(g->bus, error, size);

	bool freed;

	e = e ? e : take_address(request, &entry, error, size);
	if (e)
		return e;
	freed = offenders_free(&g->tables, &entry);
	e = lists_unblock(&g->lists, &g->tables, &entry, &errors);
	if (e == -ENOENT && freed)
		e = 0;
	return e ? guard_answer_error(e, &errors, error, size) : answer_lists(g, reply);
}
