/* SPDX-License-Identifier: Apache-2.0 */
/* Users and groups of the stages, looked up once while everything is still allowed. */
#ifndef PST_LOADER_ACCOUNTS_H
#define PST_LOADER_ACCOUNTS_H

#include <stdbool.h>
#include <sys/types.h>

#include "proto/base/stage.h"

enum account { ACCOUNT_COLLECTOR, ACCOUNT_ENRICHER, ACCOUNT_POLICYD, ACCOUNT_EXPORTER, ACCOUNT_MAX };

struct accounts {
	uid_t uid[ACCOUNT_MAX]; /* (uid_t)-1: no such user */
	gid_t gid[ACCOUNT_MAX]; /* 0: no such group, root's instead */
	gid_t common;           /* group penstock, or 0 */
};

extern const char *const account_names[ACCOUNT_MAX]; /* the stages' names */

void accounts_load(struct accounts *accounts, const struct pst_common *common);
/* By name of the stage; -1 if it is none. */
int account_find(const char *stage);
/*
 * Become a member of all of them: an owner may give a file to a group that he is in, so that CAP_CHOWN can
 * go. Needs CAP_SETGID, 0 or -errno.
 */
int accounts_join(const struct accounts *accounts);

#endif
