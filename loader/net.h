/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Programs on the interfaces of the loader's own network namespace: tcx links where the kernel has them, else
 * filters on clsact, and XDP where the configuration names an interface for it. The guard is at XDP, native
 * or generic, or where that cannot be at tc, before the flows.
 */
#ifndef PST_LOADER_NET_H
#define PST_LOADER_NET_H

#include <stdbool.h>
#include <stdint.h>

#include "loader/config.h"
#include "loader/iflink.h"
#include "loader/netlink.h"
#include "loader/pins.h"
#include "loader/plan.h"
#include "loader/uplinks.h"

#define INTERFACES_MAX 4096

enum net_mode { NET_NONE, NET_TCX, NET_CLSACT, NET_XDP, NET_XDP_GENERIC };

/* Programs that an interface may have. */
enum net_slot {
	NET_FLOW_IN,
	NET_FLOW_OUT,
	NET_FLOW_XDP,
	NET_GUARD_IN,
	NET_GUARD_OUT, /* sees what the host answers, and drops nothing */
	NET_GUARD_XDP,
	NET_PROGS
};

struct net_iface {
	int ifindex;
	char name[IF_NAMESIZE];
	bool seen;             /* by the listing under way */
	bool uplink;           /* a default route leads over it, as far as somebody asks for them */
	enum net_mode in, out; /* flows and counters */
	enum net_mode guard, guard_out;
	char why[WHY_MAX]; /* why not, or why not the better way; "" */
	char guard_why[WHY_MAX], guard_out_why[WHY_MAX];
	bool again;  /* what is in the way was said before */
	bool unsure; /* an error that passes left what was there as it was: to be tried again */
	unsigned checks;
};

struct net {
	const struct pins *pins;
	const struct loader_config *config;
	struct net_iface *v; /* owned */
	unsigned n, capacity;
	uint64_t ignored;    /* interfaces beyond INTERFACES_MAX */
	uint64_t reattached; /* times that somebody had taken off what we attached */
	unsigned checked;    /* where the next net_check() goes on */
	struct uplinks uplinks;
	bool tcx;
	struct net_prog prog[NET_PROGS];
	int qdiscs; /* map: what we made for clsact, -1: not opened */
};

#define NET_CLOSED                                                                                           \
	{                                                                                                    \
		.prog = {[0 ... NET_PROGS - 1] = {.fd = -1}}, .qdiscs = -1                                   \
	}

void net_init(struct net *net, const struct pins *pins);
void net_done(struct net *net);
/*
 * Brings all interfaces to what @plan and @config say: attaches, replaces programs in place, detaches. 0, or
 * -errno when the interfaces could not be listed; one that does not work is no failure, it says why.
 */
int net_sync(struct net *net, const struct loader_config *config, const struct plan *plan,
	struct features *features);
/* One interface came, changed or went. */
void net_event(struct net *net, const struct link_event *event);
/*
 * Each second: have default routes moved, and is what was attached to the next few interfaces there still?
 * What is not is attached again. True: something changed.
 */
bool net_check(struct net *net);
/* Detaches everything, also what an earlier loader attached. */
void net_detach_all(struct net *net);
/* The interfaces are of a network namespace that we are not in: links are detached all the same, filters out
 * of reach. */
void net_let_go(struct net *net);
const char *net_mode_name(enum net_mode mode);
bool net_is_xdp(enum net_mode mode);
/* Is it to be guarded? Never the loopback interface: by that packets of trials come in (why.h). */
bool net_guards(const struct loader_config *config, const struct net_iface *iface);
/* By name; NULL. */
const struct net_iface *net_find(const struct net *net, const char *name);

#endif
