/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PST_LOADER_NET_INTERNAL_H
#define PST_LOADER_NET_INTERNAL_H

#include "loader/net.h"

/* Attaches, exchanges and detaches on this interface; says why not. */
void net_apply(struct net *net, struct net_iface *iface);
/* The interface is gone. */
/* Is all that was attached there still? */
bool net_whole(const struct net *net, const struct net_iface *iface);
void net_forget(const struct net *net, int ifindex);
/* Removes our filters on clsact. */
void net_clear(const struct net *net, int ifindex);

#endif
