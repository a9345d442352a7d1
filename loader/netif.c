// SPDX-License-Identifier: Apache-2.0
/* One interface: brought to what plan and configuration say. */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <linux/if_link.h>
#include <string.h>

#include "loader/clsact.h"
#include "loader/net_internal.h"
#include "loader/patterns.h"
#include "proto/base/cleanup.h"
#include "proto/base/log.h"

/* A program's place at tc, in both ways of attaching there. */
struct place {
	enum hook hook;
	enum clsact_slot slot;
};

static const struct place places[NET_PROGS] = {
	[NET_FLOW_IN] = {HOOK_IN, CLSACT_IN},
	[NET_FLOW_OUT] = {HOOK_OUT, CLSACT_OUT},
	[NET_GUARD_IN] = {HOOK_GUARD_IN, CLSACT_GUARD_IN},
	[NET_GUARD_OUT] = {HOOK_GUARD_OUT, CLSACT_GUARD_OUT},
};

static bool is_out(enum net_slot slot)
{
	return slot == NET_FLOW_OUT || slot == NET_GUARD_OUT;
}

/* In: what arrives is seen before others drop it, but behind the guard. Out: what others let go is seen. */
static bool is_first(const struct net_iface *iface, enum net_slot slot)
{
	return !is_out(slot) && (slot == NET_GUARD_IN || iface->guard == NET_NONE);
}

static void say_why(const struct net_iface *iface, char why[WHY_MAX], const char *how, int error)
{
	snprintf(why, WHY_MAX, "%s: %s", how,
		error == -EBUSY || error == -EEXIST ? "somebody else's program or qdisc is there"
						    : strerror(-error));
	if (!iface->again)
		pst_warn("cannot attach interface=%s %s", iface->name, why);
}

/*
 * No descriptor or no memory for a moment says nothing of what is attached. It is left as it @was and looked
 * at again later: to take it off would leave the interface open.
 */
static enum net_mode left(struct net_iface *iface, enum net_mode was, int error)
{
	if (!feature_passing(error))
		return NET_NONE;
	iface->unsure = true;
	return was;
}

bool net_is_xdp(enum net_mode mode)
{
	return mode == NET_XDP || mode == NET_XDP_GENERIC;
}

/* ---- tc ---- */

static int attach_clsact(struct net *net, const struct net_iface *iface, enum net_slot slot)
{
	if (net->qdiscs < 0)
		net->qdiscs = clsact_open(net->pins, true);
	return net->qdiscs < 0
		       ? net->qdiscs
		       : clsact_attach(net->qdiscs, clsact_handle(net->pins->root), iface->ifindex,
				 places[slot].slot, is_first(iface, slot) ? 1 : 2, net->prog[slot].fd);
}

static void detach_clsact(const struct net *net, int ifindex, enum net_slot slot)
{
	if (net->qdiscs >= 0)
		clsact_detach(net->qdiscs, clsact_handle(net->pins->root), ifindex, places[slot].slot);
}

static int attach_tcx(const struct net *net, const struct net_iface *iface, enum net_slot slot)
{
	enum hook hook = places[slot].hook;
	int r = iflink_keep(net->pins, hook, iface->ifindex, &net->prog[slot]);

	if (r)
		return r;
	return iflink_pin(net->pins, hook, iface->ifindex,
		iflink_tcx(net->prog[slot].fd, iface->ifindex, is_out(slot), is_first(iface, slot)));
}

static void leave_way(const struct net *net, int ifindex, enum net_slot slot, bool tcx)
{
	if (tcx)
		iflink_detach(net->pins, places[slot].hook, ifindex);
	else
		detach_clsact(net, ifindex, slot);
}

/* When the way changes: a packet may be judged twice, and must not be counted twice. */
static enum net_mode attach_tc(
	struct net *net, struct net_iface *iface, enum net_slot slot, enum net_mode was, char why[WHY_MAX])
{
	enum net_mode mode = net->tcx ? NET_TCX : NET_CLSACT;
	bool guards = slot == NET_GUARD_IN || slot == NET_GUARD_OUT;
	int r;

	if (!guards)
		leave_way(net, iface->ifindex, slot, !net->tcx);
	r = net->tcx ? attach_tcx(net, iface, slot) : attach_clsact(net, iface, slot);
	if (r < 0) {
		say_why(iface, why, net->tcx ? "tcx" : "clsact", r);
		return left(iface, net_is_xdp(was) || (!guards && was != mode) ? NET_NONE : was, r);
	}
	if (guards)
		leave_way(net, iface->ifindex, slot, !net->tcx);
	return mode;
}

static void detach_tc(const struct net *net, int ifindex, enum net_slot slot)
{
	iflink_detach(net->pins, places[slot].hook, ifindex);
	detach_clsact(net, ifindex, slot);
}

/* ---- XDP ---- */

static enum net_mode xdp_mode(int ifindex)
{
	LIBBPF_OPTS(bpf_xdp_query_opts, opts);

	if (!bpf_xdp_query(ifindex, 0, &opts) && opts.attach_mode == XDP_ATTACHED_SKB)
		return NET_XDP_GENERIC;
	return NET_XDP;
}

/* Native first, then generic. One of ours that is there is exchanged in place. */
static enum net_mode attach_xdp(const struct net *net, struct net_iface *iface, enum net_slot slot,
	enum net_mode was, char why[WHY_MAX])
{
	const struct net_prog *prog = &net->prog[slot];
	int r = iflink_keep(net->pins, HOOK_XDP, iface->ifindex, prog);

	if (!r) {
		r = iflink_pin(
			net->pins, HOOK_XDP, iface->ifindex, iflink_xdp(prog->fd, iface->ifindex, false));
		if (r && r != -EBUSY && r != -EEXIST) {
			snprintf(why, WHY_MAX, "native xdp: %s", strerror(-r));
			r = iflink_pin(net->pins, HOOK_XDP, iface->ifindex,
				iflink_xdp(prog->fd, iface->ifindex, true));
		}
	}
	if (r >= 0)
		return xdp_mode(iface->ifindex);
	say_why(iface, why, "xdp", r);
	return left(iface, net_is_xdp(was) ? was : NET_NONE, r);
}

/* ---- guard, flows ---- */

static bool have(const struct net *net, enum net_slot slot)
{
	return net->prog[slot].fd >= 0;
}

/* The new place before the old one is given up: at no instant is a packet unguarded. */
static void apply_guard(struct net *net, struct net_iface *iface)
{
	bool wanted = have(net, NET_GUARD_IN) && net_guards(net->config, iface);
	enum net_mode was = iface->guard, was_out = iface->guard_out;

	iface->guard_why[0] = iface->guard_out_why[0] = '\0';
	iface->guard = iface->guard_out = NET_NONE;
	if (wanted && have(net, NET_GUARD_XDP))
		iface->guard = attach_xdp(net, iface, NET_GUARD_XDP, was, iface->guard_why);
	if (wanted && !net_is_xdp(iface->guard))
		iface->guard = attach_tc(net, iface, NET_GUARD_IN, was, iface->guard_why);
	else if (!iface->unsure)
		detach_tc(net, iface->ifindex, NET_GUARD_IN);
	if (iface->guard != NET_NONE)
		iface->guard_out = attach_tc(net, iface, NET_GUARD_OUT, was_out, iface->guard_out_why);
	else if (!iface->unsure)
		detach_tc(net, iface->ifindex, NET_GUARD_OUT);
}

/* An interface has one XDP program: where the guard is, flows are at tc. */
static void apply_flows(struct net *net, struct net_iface *iface)
{
	bool on = have(net, NET_FLOW_IN) && have(net, NET_FLOW_OUT);
	bool asked = have(net, NET_FLOW_XDP) && patterns_take(&net->config->xdp, iface->name, iface->uplink);
	enum net_mode was_in = iface->in, was_out = iface->out;
	bool tc = on && (asked || patterns_take(&net->config->interfaces, iface->name, iface->uplink));

	snprintf(iface->why, sizeof(iface->why), "%s",
		!on                                 ? "sensor flows is off"
		: !tc                               ? "left out by the configuration"
		: asked && net_is_xdp(iface->guard) ? "xdp: the guard is there"
						    : "");
	iface->in = NET_NONE;
	if (asked && !net_is_xdp(iface->guard))
		iface->in = attach_xdp(net, iface, NET_FLOW_XDP, was_in, iface->why);
	if (iface->in == NET_NONE && !net_is_xdp(iface->guard) && !iface->unsure)
		iflink_detach(net->pins, HOOK_XDP, iface->ifindex);
	if (tc && iface->in == NET_NONE) /* what XDP cannot do is left to tc */
		iface->in = attach_tc(net, iface, NET_FLOW_IN, was_in, iface->why);
	else
		detach_tc(net, iface->ifindex, NET_FLOW_IN);
	if (tc)
		iface->out = attach_tc(net, iface, NET_FLOW_OUT, was_out, iface->why);
	else
		detach_tc(net, iface->ifindex, NET_FLOW_OUT);
	if (!tc)
		iface->out = NET_NONE;
}

void net_apply(struct net *net, struct net_iface *iface)
{
	struct net_iface before = *iface;

	iface->unsure = false;
	apply_guard(net, iface);
	apply_flows(net, iface);
	if (before.in != iface->in || before.out != iface->out || before.guard != iface->guard ||
		before.guard_out != iface->guard_out)
		pst_info("interface=%s ifindex=%d in=%s out=%s guard=%s guard_out=%s", iface->name,
			iface->ifindex, net_mode_name(iface->in), net_mode_name(iface->out),
			net_mode_name(iface->guard), net_mode_name(iface->guard_out));
	if (iface->guard != NET_NONE && iface->guard_out == NET_NONE && !iface->again)
		pst_warn("what the host sends is not seen, so no connection is established for the rules "
			 "interface=%s %s",
			iface->name, iface->guard_out_why);
}

static bool is_attached(const struct net *net, int ifindex, enum net_slot slot, enum net_mode mode)
{
	if (net_is_xdp(mode))
		return iflink_there(net->pins, HOOK_XDP, ifindex);
	if (mode == NET_TCX)
		return iflink_there(net->pins, places[slot].hook, ifindex);
	return net->qdiscs < 0 || clsact_there(net->qdiscs, clsact_handle(net->pins->root), ifindex,
					  places[slot].slot, net->prog[slot].id);
}

bool net_whole(const struct net *net, const struct net_iface *iface)
{
	const struct {
		enum net_slot slot;
		enum net_mode mode;
	} all[] = {{NET_GUARD_IN, iface->guard}, {NET_GUARD_OUT, iface->guard_out}, {NET_FLOW_IN, iface->in},
		{NET_FLOW_OUT, iface->out}};

	for (size_t i = 0; i < PST_ARRAY_SIZE(all); i++)
		if (all[i].mode != NET_NONE && !is_attached(net, iface->ifindex, all[i].slot, all[i].mode))
			return false;
	return true;
}

void net_forget(const struct net *net, int ifindex)
{
	for (int h = 0; h < HOOK_MAX; h++)
		iflink_detach(net->pins, (enum hook)h, ifindex);
	if (net->qdiscs >= 0)
		clsact_forget(net->qdiscs, ifindex);
}

void net_clear(const struct net *net, int ifindex)
{
	for (int s = 0; s < NET_PROGS; s++)
		if (s != NET_FLOW_XDP && s != NET_GUARD_XDP)
			detach_clsact(net, ifindex, (enum net_slot)s);
}
