// SPDX-License-Identifier: Apache-2.0
/* Addresses by command: blocked, unblocked, kept in the run folder. */
#include <errno.h>
#include <string.h>

#include "policyd/block/set.h"
#include "policyd/guard/lists_internal.h"
#include "proto/base/cleanup.h"

static bool is_single(const struct block_entry *e)
{
	return e->len == (e->ip6 ? 128 : 32);
}

static bool lasts_longer(const struct block_entry *a, const struct block_entry *b)
{
	return block_expiry(a->expires) > block_expiry(b->expires);
}

/* The files' entry of this very address that lasts longest. */
static bool find_in_files(const struct block_list *l, const struct block_entry *addr, struct block_entry *ret)
{
	bool found = false;

	for (size_t i = 0; !addr->ip6 && i < l->n_addrs4; i++) {
		const struct block_addr4 *a = &l->addrs4[i];
		const struct block_entry e = {
			.lo = a->addr, .len = 32, .expires = a->expires, .reason = a->reason};

		if (a->addr == (uint32_t)addr->lo && (!found || lasts_longer(&e, ret))) {
			*ret = e;
			found = true;
		}
	}
	for (size_t i = 0; addr->ip6 && i < l->addrs6.n; i++) {
		const struct block_entry *e = &l->addrs6.v[i];

		if (e->hi == addr->hi && e->lo == addr->lo && (!found || lasts_longer(e, ret))) {
			*ret = *e;
			found = true;
		}
	}
	return found;
}

/* What the table is to hold for an address: of the files' entry and the command's the one that lasts longer.
 * False: nothing. */
static int effective(
	struct lists *l, const struct block_entry *addr, bool *ret_there, struct block_entry *ret)
{
	const struct runtime_block *b = runtime_blocks_find(&l->runtime, addr);
	bool in_file = find_in_files(&l->set.block, addr, ret);
	int reason = 0;

	*ret_there = in_file || b;
	if (!b || (in_file && !lasts_longer(&b->entry, ret)))
		return 0;
	if (b->reason)
		reason = block_reason_number(&l->set.reasons, b->reason, strlen(b->reason));
	if (reason < 0)
		return reason;
	*ret = b->entry;
	ret->reason = (uint8_t)reason;
	return 0;
}

static int set_address(
	union pst_line *lines, uint32_t n, const struct block_entry *entry, bool there, uint32_t now)
{
	int e = there ? block_insert(lines, n, entry, now) : block_remove(lines, n, entry, now);

	return e == 1 || e == -ENOENT ? 0 : e;
}

/* In the table in force, and in the one that waits. -ENOSPC: a new one is needed. */
static int change_in_place(struct lists *l, const struct guard_table *table, const struct block_entry *addr)
{
	uint64_t generation = guard_generation(table);
	struct block_entry entry = *addr;
	bool there;
	int e = effective(l, addr, &there, &entry);

	if (!e && !generation && !l->staged.lines)
		return -ENOSPC;
	if (!e && generation)
		e = set_address(guard_half(table, generation), table->n, &entry, there, lists_now());
	if (!e && l->staged.lines)
		e = set_address(l->staged.lines, l->staged.n, &entry, there, lists_now());
	return e;
}

/* The table follows what is in @runtime. */
static int follow(struct lists *l, struct guard_tables *tables, const struct block_entry *entry,
	struct pst_conf_errors *errors)
{
	int e = -ENOSPC;

	if (!guard_tables_mapped(tables))
		return 0;
	if (is_single(entry))
		e = change_in_place(l, &tables->lists, entry);
	if (e != -ENOSPC)
		return e;
	if (!l->loaded && !l->ours && guard_generation(&tables->lists)) {
		pst_conf_error(errors, "lists", 0, 0,
			"the lists in force are those of an earlier process, the files are bad: correct them "
			"first");
		return -ECANCELED;
	}
	return lists_renew(l, tables, errors);
}

static void save(struct lists *l)
{
	struct block_clock clock = block_clock_now();

	runtime_blocks_expire(&l->runtime, lists_now());
	saving_note(&l->saved, runtime_blocks_save(l->runtime_path, &l->runtime, &clock));
}

void lists_tick(struct lists *l)
{
	runtime_blocks_expire(&l->runtime, lists_now());
	l->entries[2]->value = l->runtime.n;
	if (saving_due(&l->saved))
		save(l);
}

int lists_block(struct lists *l, struct guard_tables *tables, const struct block_entry *entry,
	const char *reason, struct pst_conf_errors *errors)
{
	const struct runtime_block *old = runtime_blocks_find(&l->runtime, entry);
	PST_FREE char *old_reason = old && old->reason ? strdup(old->reason) : NULL;
	struct block_entry old_entry = old ? old->entry : *entry;
	bool was = old;
	int e = runtime_blocks_put(&l->runtime, entry, reason);

	if (e == -ENOSPC)
		pst_conf_error(errors, "block", 0, 0,
			"%d addresses were blocked by command already: put them into a file",
			RUNTIME_BLOCKS_MAX);
	if (e)
		return e;
	e = follow(l, tables, entry, errors);
	if (!e) {
		save(l);
		lists_show_stats(l, &tables->lists);
	} else if (was) {
		runtime_blocks_put(&l->runtime, &old_entry, old_reason);
	} else {
		runtime_blocks_remove(&l->runtime, runtime_blocks_find(&l->runtime, entry));
	}
	return e;
}

/* Why an address that was not blocked by command cannot be unblocked by one. */
static void say_not_ours(
	const struct guard_tables *tables, const struct block_entry *entry, struct pst_conf_errors *errors)
{
	const struct guard_table *table = &tables->lists;
	uint64_t generation = guard_generation(table);
	struct pst_block_hit hit;
	char text[64];

	runtime_block_text(entry, text);
	if (generation && is_single(entry) &&
		block_lookup(guard_half(table, generation), table->n, entry, lists_now(), &hit) >=
			PST_BLOCK_ADDRESS)
		pst_conf_error(errors, "block", 0, 0,
			"%s is blocked, as part of a prefix or by a file: take out the prefix, or change the "
			"file",
			text);
	else
		pst_conf_error(errors, "block", 0, 0, "%s was not blocked by command", text);
}

int lists_unblock(struct lists *l, struct guard_tables *tables, const struct block_entry *entry,
	struct pst_conf_errors *errors)
{
	struct runtime_block *b = runtime_blocks_find(&l->runtime, entry);
	int e;

	if (!b) {
		say_not_ours(tables, entry, errors);
		return -ENOENT;
	}
	runtime_blocks_remove(&l->runtime, b);
	e = follow(l, tables, entry, errors);
	/* It is not wanted any more: should the new table fail, the next one will not have it. */
	save(l);
	lists_show_stats(l, &tables->lists);
	return e;
}
