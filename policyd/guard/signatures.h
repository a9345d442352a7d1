/* SPDX-License-Identifier: Apache-2.0 */
/* Signatures of floods: from the configuration and their file to the table in force. */
#ifndef POLICYD_GUARD_SIGNATURES_H
#define POLICYD_GUARD_SIGNATURES_H

#include "policyd/ddos/sigs.h"
#include "policyd/guard/ddos.h"
#include "policyd/guard/tables.h"

struct signatures {
	const struct ddos_config *config;
	bool loaded;
	/* what was read last: in force, or waiting for the idle half */
	struct sig_set set;
	struct pst_sigs table; /* of @set; counters have their places when it is in force */
	bool pending;
};

/* Reads the file. On an error nothing is changed and @errors says where. 0 or -errno. */
int signatures_load(struct signatures *s, struct pst_conf_errors *errors);
/* The tables are others: what was read before goes into them. */
void signatures_tables_changed(struct signatures *s);
/* As firewall_commit(). */
uint64_t signatures_commit(struct signatures *s, struct guard_tables *tables, uint64_t now_ns);
/* Does one of them ask what the host asked for? Then connections have to be tracked. */
bool signatures_ask(const struct signatures *s);
/* guard_state() */
const char *signatures_state(const struct signatures *s, const struct guard_tables *tables);
/* For --check. 0 or -EINVAL. */
int signatures_check(const struct ddos_config *config, struct pst_conf_errors *errors);

#endif
