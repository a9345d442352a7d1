/* SPDX-License-Identifier: Apache-2.0 */
/* The server's state, for ctl_server.c and ctl_ops.c. */
#ifndef PST_WIRE_CTL_SERVER_H
#define PST_WIRE_CTL_SERVER_H

#include "proto/wire/bus_internal.h"

struct ctl_conn;
struct ctl_user {
	uid_t uid;
	char name[40];
	bool known;
};
struct ctl_server {
	struct pst_bus *bus;
	struct bus_listener listener;
	struct ctl_conn *conns;
	unsigned n_conns;
	struct ctl_op *ops;
	uint32_t (*extra)(void *arg, struct pst_buf *out);
	void *extra_arg;
	uint32_t (*stats)(void *arg, struct pst_buf *out);
	void *stats_arg;
	char sandbox[128];
	uid_t peer_uid;           /* whose request is being answered */
	struct ctl_user users[2]; /* who we may be: the user file is out of reach later */
};
void ctl_remember_users(struct ctl_server *server);

#endif
