// SPDX-License-Identifier: Apache-2.0
#include "policyd/guard/lists_internal.h"

#include <errno.h>
#include <string.h>
#include <sys/random.h>

#include "policyd/block/set.h"
#include "proto/base/cleanup.h"
#include "proto/base/log.h"
#include "proto/base/loop.h"

#define RUNTIME_FILE "policyd.block.list"
#define NS           1000000000ull
#define SPARE        1024u /* addresses that find room without a new table */
#define CHECK_LINES  (1u << 22)

uint32_t lists_now(void)
{
	return (uint32_t)(pst_now_boot_ns() / NS);
}

/* ---- reading ---- */

static int say_load(const char *path, int e, struct pst_conf_errors *errors)
{
	if (e)
		pst_conf_error(errors, path, 0, 0, "%s",
			e == -E2BIG    ? "more than 4,000,000 entries"
			: e == -EFBIG  ? "larger than 256 MiB"
			: e == -EINVAL ? "expected a regular file"
				       : strerror(-e));
	return e;
}

/* One file; a line that is bad makes it all bad. */
static int load_file(const char *path, bool named, const struct block_clock *clock, struct block_set *set,
	struct block_list *list, size_t *n_files, struct pst_conf_errors *errors)
{
	struct block_loaded loaded = {0};
	int e = block_load(path, clock, &set->reasons, list, errors, &loaded);

	if (e == -ENOENT && !named)
		return 0;
	if (e)
		return say_load(path, e, errors);
	(*n_files)++;
	if (loaded.unnamed)
		pst_warn("more than %d different reasons: the rest is shown as another reason path=%s",
			BLOCK_REASONS - 2, path);
	return loaded.bad ? -EINVAL : 0;
}

static int load_files(const struct lists_config *c, struct block_set *set, size_t n_files[2],
	struct pst_conf_errors *errors)
{
	struct block_clock clock = block_clock_now();
	int e = 0, r;

	n_files[0] = n_files[1] = 0;
	for (size_t i = 0; i < c->allow->n; i++) {
		r = load_file(c->allow->v[i], c->allow_named, &clock, set, &set->allow, &n_files[0], errors);
		e = e ? e : r;
	}
	for (size_t i = 0; i < c->block->n; i++) {
		r = load_file(c->block->v[i], c->block_named, &clock, set, &set->block, &n_files[1], errors);
		e = e ? e : r;
	}
	return e;
}

/* ---- building ---- */

static uint32_t spare(uint32_t n_lines)
{
	return PST_MIN(SPARE, n_lines / 16);
}

/* The files' entries and those of commands. */
static int append(struct block_set *set, const struct runtime_blocks *runtime)
{
	int e = 0;

	for (size_t i = 0; !e && i < runtime->n; i++) {
		const struct runtime_block *b = &runtime->v[i];
		struct block_entry entry = b->entry;
		int reason = b->reason ? block_reason_number(&set->reasons, b->reason, strlen(b->reason)) : 0;

		entry.reason = (uint8_t)reason;
		e = reason < 0 ? reason : block_list_add(&set->block, &entry);
	}
	return e;
}

static int say_build(int e, uint32_t n_lines, uint32_t needed, struct pst_conf_errors *errors)
{
	if (e == -ENOSPC)
		pst_conf_error(errors, "lists", 0, 0,
			"the entries do not fit into the table, which has %s: raise loader.guard.list_memory "
			"to %s",
			guard_memory_for(n_lines).text, guard_memory_for(needed).text);
	else if (e)
		pst_conf_error(errors, "lists", 0, 0, "%s", strerror(-e));
	return e;
}

static int build_table(
	const struct block_set *set, struct guard_staged *staged, struct pst_conf_errors *errors)
{
	struct block_options o = {.generation = (uint32_t)staged->generation,
		.now = lists_now(),
		.spare_4 = spare(staged->n),
		.spare_6 = spare(staged->n)};
	struct block_built built;
	uint32_t needed = 0;
	int e = getrandom(o.seed, sizeof(o.seed), 0) == sizeof(o.seed) ? 0 : -EIO;

	e = e ? e : block_build(set, staged->lines, staged->n, &o, &built, &needed);
	if (!e)
		staged->used = built.lines;
	return say_build(e, staged->n, needed, errors);
}

/* The table of @set and @runtime; @set is left as it was. */
static int build(struct block_set *set, const struct runtime_blocks *runtime, const struct guard_table *table,
	struct guard_staged *ret_staged, struct pst_conf_errors *errors)
{
	size_t n4 = set->block.n_addrs4, n6 = set->block.addrs6.n, np = set->block.prefixes.n;
	PST_CLEANUP(guard_staged_done) struct guard_staged staged = {0};
	int e = say_build(guard_stage(table->n, guard_next_generation(table), &staged), 0, 0, errors);

	if (!e)
		e = say_build(append(set, runtime), 0, 0, errors);
	e = e ? e : build_table(set, &staged, errors);
	set->block.n_addrs4 = n4;
	set->block.addrs6.n = n6;
	set->block.prefixes.n = np;
	if (e)
		return e;
	*ret_staged = staged;
	staged = (struct guard_staged){0};
	return 0;
}

static bool wanted(const struct lists *l, const size_t n_files[2])
{
	return n_files[0] || n_files[1] || l->runtime.n;
}

static void replace_staged(struct lists *l, struct guard_staged *staged)
{
	guard_staged_done(&l->staged);
	l->staged = *staged;
	*staged = (struct guard_staged){0};
	l->pending = true;
}

/* @set and @staged are taken. */
static void take(struct lists *l, struct block_set *set, const size_t n_files[2], struct guard_staged *staged)
{
	struct block_set old = l->set;

	l->set = *set;
	*set = old;
	memcpy(l->n_files, n_files, sizeof(l->n_files));
	replace_staged(l, staged);
}

/*
 * At first there is nothing that could stay in force: who is allowed, and what was blocked by command, is
 * better than nothing. Not without the allow list, or who is on it might be blocked.
 */
static void load_without(struct lists *l, const struct guard_tables *tables)
{
	static const struct pst_strs none;
	PST_CLEANUP(block_set_done) struct block_set set = {0};
	PST_CLEANUP(guard_staged_done) struct guard_staged staged = {0};
	PST_CLEANUP(pst_conf_errors_done) struct pst_conf_errors errors = {0};
	struct lists_config allow = l->config;
	size_t n_files[2];

	allow.block = &none;
	if (l->loaded || l->pending || !guard_tables_mapped(tables) || guard_generation(&tables->lists) ||
		load_files(&allow, &set, n_files, &errors) || !wanted(l, n_files) ||
		build(&set, &l->runtime, &tables->lists, &staged, &errors))
		return;
	take(l, &set, n_files, &staged);
	pst_error("no list was in force: the allow list and what was blocked by command are put in force "
		  "without "
		  "the block list");
}

int lists_load(struct lists *l, const struct guard_tables *tables, struct pst_conf_errors *errors)
{
	PST_CLEANUP(block_set_done) struct block_set set = {0};
	PST_CLEANUP(guard_staged_done) struct guard_staged staged = {0};
	size_t n_files[2];
	int e = load_files(&l->config, &set, n_files, errors);

	runtime_blocks_expire(&l->runtime, lists_now());
	if (!e && guard_tables_mapped(tables) && wanted(l, n_files))
		e = build(&set, &l->runtime, &tables->lists, &staged, errors);
	if (e) {
		load_without(l, tables);
		return e;
	}
	take(l, &set, n_files, &staged);
	l->loaded = true;
	return 0;
}

void lists_tables_changed(struct lists *l)
{
	guard_staged_done(&l->staged);
	l->pending = l->ours = false;
}

int lists_renew(struct lists *l, const struct guard_tables *tables, struct pst_conf_errors *errors)
{
	PST_CLEANUP(guard_staged_done) struct guard_staged staged = {0};
	int e = wanted(l, l->n_files) ? build(&l->set, &l->runtime, &tables->lists, &staged, errors) : 0;

	if (!e)
		replace_staged(l, &staged);
	return e;
}

/* ---- coming into force ---- */

void lists_show_stats(struct lists *l, const struct guard_table *table)
{
	const struct block_list *allow = &l->set.allow, *block = &l->set.block;

	l->generation->value = guard_generation(table);
	l->entries[0]->value = allow->n_addrs4 + allow->addrs6.n + allow->prefixes.n;
	l->entries[1]->value = block->n_addrs4 + block->addrs6.n + block->prefixes.n;
	l->entries[2]->value = l->runtime.n;
}

uint64_t lists_commit(struct lists *l, struct guard_tables *tables, uint64_t now_ns)
{
	struct guard_table *table = &tables->lists;
	uint64_t left = guard_grace_left(table, now_ns), generation;

	if (!l->pending || !guard_tables_mapped(tables))
		return 0;
	if (l->staged.lines && left)
		return left;
	if (l->staged.lines) {
		generation = guard_next_generation(table);
		memcpy(guard_half(table, generation), l->staged.lines,
			l->staged.used * sizeof(union pst_line));
		guard_switch(table, generation, now_ns);
	} else if (guard_generation(table)) {
		guard_switch_off(table, now_ns);
	}
	guard_staged_done(&l->staged);
	l->pending = false;
	l->ours = true;
	lists_show_stats(l, table);
	pst_info("lists in force allowed=%llu blocked=%llu by_command=%zu generation=%llu",
		(unsigned long long)l->entries[0]->value, (unsigned long long)l->entries[1]->value,
		l->runtime.n, (unsigned long long)l->generation->value);
	return 0;
}

/* ---- the whole ---- */

int lists_open(struct lists *l, const struct lists_config *config, const char *run_dir)
{
	static const char *const names[] = {"allow", "block", "command"};
	struct block_clock clock = block_clock_now();
	PST_CLEANUP(pst_conf_errors_done) struct pst_conf_errors errors = {0};
	int e;

	*l = (struct lists){.config = *config};
	l->generation = pst_gauge("lists_generation", "number of the lists' table in force, 0: none");
	for (size_t i = 0; i < PST_ARRAY_SIZE(names); i++)
		l->entries[i] = pst_stat(PST_STAT_GAUGE, "list_entries", "list", names[i],
			"addresses and prefixes of the files, and blocked by command");
	if (asprintf(&l->runtime_path, "%s/" RUNTIME_FILE, run_dir) < 0) {
		l->runtime_path = NULL;
		return -ENOMEM;
	}
	saving_open(&l->saved, l->runtime_path, "lists");
	e = runtime_blocks_load(l->runtime_path, &clock, &errors, &l->runtime);
	pst_conf_errors_log(&errors);
	if (e)
		pst_error("addresses that were blocked by command are lost path=%s error=\"%s\"",
			l->runtime_path, strerror(-e));
	return 0;
}

void lists_close(struct lists *l)
{
	runtime_blocks_done(&l->runtime);
	block_set_done(&l->set);
	guard_staged_done(&l->staged);
	free(l->runtime_path);
}

int lists_check(const struct lists_config *config, struct pst_conf_errors *errors)
{
	static const struct runtime_blocks none;
	PST_CLEANUP(block_set_done) struct block_set set = {0};
	PST_CLEANUP(guard_staged_done) struct guard_staged scratch = {0};
	__u64 generation = 0, last = 0;
	const struct guard_table table = {.generation = &generation, .last = &last, .n = CHECK_LINES};
	size_t n_files[2];
	int e = load_files(config, &set, n_files, errors);

	return e || !(n_files[0] + n_files[1]) ? e : build(&set, &none, &table, &scratch, errors);
}

const char *lists_state(const struct lists *l, const struct guard_tables *tables)
{
	return guard_state(tables, &tables->lists, l->pending);
}
