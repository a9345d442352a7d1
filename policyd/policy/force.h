/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Policies in force: those of files and those that were given by command become tables, which kernel programs
 * look up (proto/abi/policy.h). docs/design/policy.md.
 */
#ifndef PST_POLICYD_POLICY_FORCE_H
#define PST_POLICYD_POLICY_FORCE_H

#include "policyd/policy/policy.h"
#include "proto/base/fds.h"
#include "proto/wire/ctl.h"

struct force_config {
	const char *run_dir;
	const struct pst_strs *files; /* files and folders */
	bool files_named;             /* then they must be there */
	const char *cgroup_root;      /* where cgroup2 is mounted; NULL: nowhere */
};

struct force;

/* Reads everything, registers its ops and statistics. What is wrong is no error: it is said, and what is in
 * force stays. Before the sandbox. 0 or -errno. */
int force_open(struct pst_loop *loop, struct pst_bus *bus, const struct force_config *config,
	struct force **ret_force);
void force_free(struct force *force); /* NULL is fine; what is in force stays */
/* What the loader hands out, which may be what we have; and does somebody need to ask it? @force: struct
 * force. */
void force_take(void *force, const struct pst_fds *fds);
bool force_waits(void *force);
/* The files anew, all or nothing. 0 or -errno, with force_error(). */
int force_reload(struct force *force);
/* Of the last time that something was changed otherwise than by command; "" if it was good. */
const char *force_error(const struct force *force);
/* Pairs of status: returns how many. */
uint32_t force_status(const struct force *force, struct pst_buf *out);
/* For --check. 0 or -EINVAL. */
int force_check(const struct force_config *config, struct pst_conf_errors *errors);

#endif
