/* SPDX-License-Identifier: Apache-2.0 */
/* Entries of the configuration's lists of interfaces that match none: they wait for one to appear. */
#ifndef PST_LOADER_WAITING_H
#define PST_LOADER_WAITING_H

#include <stdint.h>

#include "loader/config.h"
#include "loader/net.h"

enum waiting_list { WAITING_GUARD, WAITING_INTERFACES, WAITING_XDP, WAITING_LISTS };

struct waiting {
	uint64_t entries[WAITING_LISTS]; /* bit n: entry n */
};

/* Looks which wait now, and says what has changed. @serving: who comes is attached. */
void waiting_look(
	struct waiting *waiting, const struct loader_config *config, const struct net *net, bool serving);
/* As the configuration calls it. */
const char *waiting_name(enum waiting_list list);
const struct pst_strs *waiting_patterns(const struct loader_config *config, enum waiting_list list);

#endif
