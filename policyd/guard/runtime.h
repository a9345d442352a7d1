/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What was added by command, and where the rules count, in the run folder: both outlive a restart of policyd.
 * Others may make files in that folder: only our own are read, within bounds, and what is in them is checked
 * as if it came from anywhere.
 */
#ifndef POLICYD_GUARD_RUNTIME_H
#define POLICYD_GUARD_RUNTIME_H

#include <stddef.h>
#include <sys/types.h>

#include "policyd/block/block.h"
#include "policyd/fw/parse.h"
#include "proto/base/conf.h"

#define RUNTIME_RULES_MAX   1000
#define RUNTIME_RULE_MAX    4096 /* bytes of a rule's text */
#define RUNTIME_BLOCKS_MAX  10000
#define RUNTIME_CHANGES_MAX 10000 /* elements of sets, added or deleted */

/* Rules as they were given: one line of flow YAML each, in the order of their evaluation. */
struct runtime_rules {
	char **text; /* owned */
	size_t n;
};

void runtime_rules_done(struct runtime_rules *rules);
/* Is it one line that may be an element of a YAML list? */
bool runtime_rule_ok(const char *text, size_t len);
/* A copy of @rules with @text before place @at (text NULL: without what is at @at). 0 or -ENOMEM. */
int runtime_rules_edit(
	const struct runtime_rules *rules, const char *text, size_t at, struct runtime_rules *ret_rules);
/* The document that they make. Owned; NULL without memory. */
char *runtime_rules_document(const struct runtime_rules *rules, size_t *ret_len);
/* From such a document, byte by byte. 0; -EBADMSG: it is none; -ENOMEM. */
int runtime_rules_parse(const char *text, size_t len, struct runtime_rules *ret_rules);
/* A file that is not there holds none. 0 or -errno. */
int runtime_rules_load(const char *path, struct runtime_rules *ret_rules);
int runtime_rules_save(const char *path, const struct runtime_rules *rules);

/* What was changed about the file's sets, in the order in which it was. */
struct runtime_sets {
	struct fw_set_change *v;
	size_t n, size;
};

void runtime_sets_done(struct runtime_sets *sets);
int runtime_sets_copy(const struct runtime_sets *from, struct runtime_sets *ret_sets);
enum { RUNTIME_SETS_SAME = 1, RUNTIME_SETS_UNDONE };
/* @element: as fw_element_text() has it. 0: it is the last of them now; RUNTIME_SETS_SAME: it was one
 * already; RUNTIME_SETS_UNDONE: the opposite was, and is no more; -ENOSPC: RUNTIME_CHANGES_MAX; -ENOMEM. */
int runtime_sets_put(struct runtime_sets *sets, const char *set, const char *element, bool add);
/* Those that somebody asked for (errors) and that changed nothing are left out; nobody asks any more. */
void runtime_sets_settle(struct runtime_sets *sets);
int runtime_sets_parse(const char *text, size_t len, struct runtime_sets *ret_sets);
/* Owned; NULL without memory. */
char *runtime_sets_text(const struct runtime_sets *sets, size_t *ret_len);
int runtime_sets_load(const char *path, struct runtime_sets *ret_sets);
int runtime_sets_save(const char *path, const struct runtime_sets *sets);

/* A blocked address or prefix. */
struct runtime_block {
	struct block_entry entry; /* its reason is not used */
	char *reason;             /* owned; NULL: none was given */
};

struct runtime_blocks {
	struct runtime_block *v;
	size_t n, size;
};

void runtime_blocks_done(struct runtime_blocks *blocks);
/* The same address or prefix, or NULL. */
struct runtime_block *runtime_blocks_find(
	const struct runtime_blocks *blocks, const struct block_entry *entry);
/* Adds it, or changes expiry and reason of what is there. 0; -ENOSPC: more than RUNTIME_BLOCKS_MAX; -ENOMEM.
 */
int runtime_blocks_put(struct runtime_blocks *blocks, const struct block_entry *entry, const char *reason);
void runtime_blocks_remove(struct runtime_blocks *blocks, struct runtime_block *block);
void runtime_blocks_expire(struct runtime_blocks *blocks, uint32_t now);
/* "192.0.2.1", "2001:db8::/32"; at least 64 bytes. */
void runtime_block_text(const struct block_entry *entry, char *buf);
/* May the text be written behind reason= and be read back? */
bool runtime_reason_ok(const char *reason);
/* @name stands for the file in @errors. */
int runtime_blocks_parse(const char *name, const char *text, size_t len, const struct block_clock *clock,
	struct pst_conf_errors *errors, struct runtime_blocks *ret_blocks);
int runtime_blocks_load(const char *path, const struct block_clock *clock, struct pst_conf_errors *errors,
	struct runtime_blocks *ret_blocks);
int runtime_blocks_save(
	const char *path, const struct runtime_blocks *blocks, const struct block_clock *clock);

/*
 * Where the rules of a generation count, for @group to read: the collector has their names from it. To us a
 * hint only: what is wrong in it makes counters begin anew or go on from another rule's, and nothing else.
 */
int runtime_places_save(const char *path, gid_t group, const struct fw_ruleset *set, uint64_t generation);
/* Rules with a name and a counter, and nothing else. 0; -ESTALE: of another generation; -EBADMSG; -errno. */
int runtime_places_parse(const char *text, size_t len, uint64_t generation, struct fw_ruleset **ret_set);
int runtime_places_load(const char *path, uint64_t generation, struct fw_ruleset **ret_set);

#endif
