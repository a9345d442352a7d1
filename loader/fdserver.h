/* SPDX-License-Identifier: Apache-2.0 */
/* Server of loader.fds: which user gets which descriptors (protocol in proto/base/fds.h). */
#ifndef PST_LOADER_FDSERVER_H
#define PST_LOADER_FDSERVER_H

#include "loader/loader.h"
#include "proto/base/loop.h"

#define FDS_SOCKET "loader.fds"

struct fdserver;

/* Listens in the run folder; root:penstock 0660. 0 or -errno with a log line. */
int fdserver_open(struct pst_loop *loop, const struct loader *l, struct fdserver **ret_server);
void fdserver_free(struct fdserver *server); /* NULL is fine; removes the socket */

/* Bit n: enum account n; and root, who gets all (the supervisor keeps them for the others). */
#define FDS_ROOT (1u << 31)
/* Roles of a user, 0: none. */
unsigned fdserver_roles(const struct accounts *accounts, uid_t uid);
/* May a user of these roles have the map? */
bool fdserver_may(unsigned roles, const char *map);

#endif
