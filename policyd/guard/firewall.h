/* SPDX-License-Identifier: Apache-2.0 */
/* The firewall: from its file and the rules that were added by command to the table in force. */
#ifndef POLICYD_GUARD_FIREWALL_H
#define POLICYD_GUARD_FIREWALL_H

#include "policyd/fw/show.h"
#include "policyd/guard/ifname.h"
#include "policyd/guard/runtime.h"
#include "policyd/guard/saving.h"
#include "policyd/guard/tables.h"
#include "proto/base/stat.h"

#define FIREWALL_RUNTIME_ID                                                                                  \
	100001u /* of the first rule that was added by command; those of the file are from 1 on */
#define FIREWALL_CHECK_LINES                                                                                 \
	(1u << 22) /* what rules are compiled into to see how much they need: 256 MiB                        \
		    */

struct firewall_rules {
	struct fw_ruleset *set; /* those of commands first; NULL: no firewall */
	size_t n_runtime;
	bool *fresh; /* whose counters begin at 0 */
};

struct firewall {
	const char *path; /* NULL: none */
	bool named;       /* then it must be there */
	bool loaded;      /* @text and @runtime were good once */
	char *runtime_path, *sets_path, *places_path;
	gid_t group; /* who may read the places */
	struct ifnames ifnames;
	struct runtime_rules runtime;
	struct runtime_sets sets;
	char *text; /* the file's, as it was last taken */
	size_t text_len;
	/* Not guarded: what was read is @next, and nothing is staged. */
	struct firewall_rules current, next;
	struct fw_ruleset *hint; /* where the rules of a table count that was in force before we were */
	uint64_t published;      /* the generation of @current; 0: it is not known */
	bool pending;            /* @next waits for the idle half */
	struct guard_staged staged;
	struct saving saved_rules, saved_sets, saved_places;
	struct pst_stat *rules, *generation, *mismatches;
};

/* What was added by command is read too; where that cannot be, it is said and left out. 0 or -errno. */
int firewall_open(struct firewall *fw, const char *path, bool named, const char *run_dir);
void firewall_close(struct firewall *fw);
/* The tables are others now: what waited is forgotten, what is in force there counts where the hint in the
 * run folder says. */
void firewall_tables_changed(struct firewall *fw, const struct guard_tables *tables);
/*
 * Reads the file, compiles, checks; all is ready then, and firewall_commit() puts it in force. On an error
 * nothing is changed and @errors says where; but where nothing is in force yet and only what was added by
 * command is bad, the file's rules are made ready.
 */
int firewall_load(struct firewall *fw, const struct guard_tables *tables, struct pst_conf_errors *errors);
/* The same from what was read before: the tables are others. */
int firewall_renew(struct firewall *fw, const struct guard_tables *tables, struct pst_conf_errors *errors);
/* Nanoseconds until it can be called again; 0: nothing is waiting (any more). */
uint64_t firewall_commit(struct firewall *fw, struct guard_tables *tables, uint64_t now_ns);
/* Each second: what could not be saved is tried again. */
void firewall_tick(struct firewall *fw, const struct guard_tables *tables);
/* Adds one rule before the one of that name (NULL: behind the others that were added); removes one. As
 * firewall_load(), without reading the file again. -EEXIST, -ENOENT. */
int firewall_add(struct firewall *fw, const struct guard_tables *tables, const char *text, const char *before,
	struct pst_conf_errors *errors);
int firewall_delete(struct firewall *fw, const struct guard_tables *tables, const char *name,
	struct pst_conf_errors *errors);
/*
 * Adds elements to a set of the file, or deletes them. What is to be added and is there changes nothing;
 * ret_changed says how many were not. -ENOENT: there is no such set, or no such element to be deleted.
 */
int firewall_change_set(struct firewall *fw, const struct guard_tables *tables, const char *set,
	const char *const *elements, size_t n, bool add, size_t *ret_changed, struct pst_conf_errors *errors);
/* For --check: the file, compiled into a table of the largest size. 0 or -EINVAL. */
int firewall_check(const char *path, bool named, struct pst_conf_errors *errors);

/* The rules that count: in force, or else waiting, or else read. NULL: none. */
const struct firewall_rules *firewall_shown(const struct firewall *fw);
/* guard_state(), or "changed by another": what is in force is not what was put in force last. */
const char *firewall_state(const struct firewall *fw, const struct guard_tables *tables);

#endif
