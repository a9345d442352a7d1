/* SPDX-License-Identifier: Apache-2.0 */
/* The allow and block list: from files and commands to the table in force. */
#ifndef POLICYD_GUARD_LISTS_H
#define POLICYD_GUARD_LISTS_H

#include "policyd/guard/runtime.h"
#include "policyd/guard/saving.h"
#include "policyd/guard/tables.h"
#include "proto/base/stat.h"

struct lists_config {
	const struct pst_strs *allow, *block;
	bool allow_named, block_named; /* then the files must be there */
};

struct lists {
	struct lists_config config;
	char *runtime_path;
	struct runtime_blocks runtime;
	struct block_set set; /* the files' entries */
	size_t n_files[2];    /* of those that were found: allow, block */
	bool loaded;          /* @set was good once */
	bool pending;
	bool ours;                  /* the table in force was made by this process */
	struct guard_staged staged; /* of @set and @runtime; waits for the idle half */
	struct saving saved;
	struct pst_stat *generation, *entries[3];
};

/* As firewall_open(). */
int lists_open(struct lists *lists, const struct lists_config *config, const char *run_dir);
void lists_close(struct lists *lists);
/*
 * Reads the files and makes the table ready. On an error nothing is changed and @errors says where; but where
 * nothing is in force yet, the allow list, if it is good, and what was blocked by command are made ready.
 */
int lists_load(struct lists *lists, const struct guard_tables *tables, struct pst_conf_errors *errors);
/* What waited was for other tables. */
void lists_tables_changed(struct lists *lists);
/* The same from what was read before: the tables are others. */
int lists_renew(struct lists *lists, const struct guard_tables *tables, struct pst_conf_errors *errors);
/* As firewall_commit(). */
uint64_t lists_commit(struct lists *lists, struct guard_tables *tables, uint64_t now_ns);
/* For --check. */
int lists_check(const struct lists_config *config, struct pst_conf_errors *errors);

/*
 * One more by command, until @expires (second of CLOCK_BOOTTIME; 0: for ever); one that was added by command
 * less. A single address is changed in the table in force. 0; -ENOENT: it was not added by command; -ENOSPC.
 */
int lists_block(struct lists *lists, struct guard_tables *tables, const struct block_entry *entry,
	const char *reason, struct pst_conf_errors *errors);
int lists_unblock(struct lists *lists, struct guard_tables *tables, const struct block_entry *entry,
	struct pst_conf_errors *errors);

/* Each second or so: forgets what was blocked by command and has expired, and saves what could not be. */
void lists_tick(struct lists *lists);
/* Second of CLOCK_BOOTTIME. */
uint32_t lists_now(void);
const char *lists_state(const struct lists *lists, const struct guard_tables *tables);

#endif
