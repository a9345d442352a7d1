/* SPDX-License-Identifier: Apache-2.0 */
/* Everything that one run of the loader holds. */
#ifndef PST_LOADER_LOADER_H
#define PST_LOADER_LOADER_H

#include "loader/accounts.h"
#include "loader/caps.h"
#include "loader/config.h"
#include "loader/feature.h"
#include "loader/net.h"
#include "loader/pins.h"
#include "loader/plan.h"
#include "loader/waiting.h"

struct copies;

struct loader {
	const struct pst_stage_desc *desc;
	struct pst_common common;
	struct loader_config config;
	struct accounts accounts;
	struct features features;
	struct caps_level caps;
	struct pins pins;
	struct net net;
	struct waiting waiting;
	struct copies *copies;    /* of the guard's tables, while it serves; NULL: none are kept */
	struct outcomes outcomes; /* of what is in force */
	struct plan plan;         /* views outcomes and config */
	int pins_lock, run_lock;
	int cgroup_fd;
	char cgroup_text[256];
	int stats_fd; /* BPF run time statistics are on while it is open */
	char stats_why[WHY_MAX];
	bool force; /* load anew even when nothing changed */
	bool serving;
	uint64_t load_ns;             /* how long the last apply took */
	char load_error[2 * WHY_MAX]; /* of the last apply: what is in force is of an earlier one; "" */
};

/* Locks, folders, mounts, accounts; then drops what is not needed any more. 0 or -errno after a log line. */
int loader_prepare(struct loader *l);
/* Brings the kernel to what the configuration says, in one step; on failure all stays as it was. 0 or -errno
 * after a log line. */
int loader_apply(struct loader *l);
/* After a guard that does not load: goes on with what an earlier load left in force. 0 or -errno. */
int loader_keep(struct loader *l);
/* Has the kernel the helper by which programs end a process? */
bool loader_kills(const struct loader *l);
void loader_done(struct loader *l);

#endif
