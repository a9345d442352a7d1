// SPDX-License-Identifier: Apache-2.0
#include "loader/net.h"

#include <bpf/bpf.h>
#include <string.h>

#include "loader/clsact.h"
#include "loader/net_internal.h"
#include "loader/patterns.h"
#include "proto/abi/guard.h"
#include "proto/base/cleanup.h"
#include "proto/base/log.h"

#define CHECKED_AT_ONCE 64u /* interfaces */
#define RETRY_CHECKS    4u

const char *net_mode_name(enum net_mode mode)
{
	static const char *const names[] = {"none", "tcx", "clsact", "xdp", "xdp-generic"};

	return names[mode];
}

bool net_guards(const struct loader_config *config, const struct net_iface *iface)
{
	return iface->ifindex != PST_GUARD_WHY_IFINDEX &&
	       patterns_take(&config->guarded, iface->name, iface->uplink);
}

const struct net_iface *net_find(const struct net *net, const char *name)
{
	for (unsigned i = 0; i < net->n; i++)
		if (!strcmp(net->v[i].name, name))
			return &net->v[i];
	return NULL;
}

void net_init(struct net *net, const struct pins *pins)
{
	*net = (struct net)NET_CLOSED;
	net->pins = pins;
}

static void drop_prog(struct net_prog *p)
{
	pst_closep(&p->fd);
	*p = (struct net_prog){.fd = -1};
}

void net_done(struct net *net)
{
	for (int s = 0; s < NET_PROGS; s++)
		drop_prog(&net->prog[s]);
	pst_closep(&net->qdiscs);
	net->qdiscs = -1;
	free(net->v);
	net->v = NULL;
	net->n = net->capacity = 0;
}

/* ---- all interfaces ---- */

static struct net_iface *find(struct net *net, int ifindex)
{
	for (unsigned i = 0; i < net->n; i++)
		if (net->v[i].ifindex == ifindex)
			return &net->v[i];
	return NULL;
}

static struct net_iface *add(struct net *net, int ifindex)
{
	if (net->n == INTERFACES_MAX) {
		net->ignored++;
		pst_warn_limited("more than %d interfaces: the rest is left alone", INTERFACES_MAX);
		return NULL;
	}
	if (net->n == net->capacity) {
		unsigned capacity = net->capacity ? net->capacity * 2 : 16;
		struct net_iface *v = realloc(net->v, capacity * sizeof(*v));

		if (!v)
			return NULL;
		net->v = v;
		net->capacity = capacity;
	}
	net->v[net->n] = (struct net_iface){.ifindex = ifindex};
	return &net->v[net->n++];
}

/* It should be guarded in both directions and is not: whatever was in the way may be gone. */
static bool lacks_guard(const struct net *net, const struct net_iface *iface)
{
	return net->prog[NET_GUARD_IN].fd >= 0 &&
	       (iface->guard == NET_NONE || iface->guard_out == NET_NONE) && net_guards(net->config, iface);
}

void net_event(struct net *net, const struct link_event *event)
{
	struct net_iface *iface = find(net, event->ifindex);

	if (event->gone) {
		if (!iface)
			return;
		pst_info("interface is gone interface=%s ifindex=%d", iface->name, iface->ifindex);
		net_forget(net, event->ifindex);
		*iface = net->v[--net->n];
		return;
	}
	if (iface && !strcmp(iface->name, event->name) && !lacks_guard(net, iface)) {
		iface->seen = true;
		return; /* up, down, a new address: nothing for us */
	}
	iface = iface ? iface : add(net, event->ifindex);
	if (!iface)
		return;
	snprintf(iface->name, sizeof(iface->name), "%s", event->name);
	iface->seen = true;
	iface->uplink = uplinks_has(&net->uplinks, event->ifindex);
	net_apply(net, iface);
}

static void on_listed(void *arg, const struct link_event *event)
{
	net_event(arg, event);
}

static void drop_stale_pin(void *arg, const char *name)
{
	struct net *net = arg;
	int ifindex;

	if (iflink_is_pin(name, &ifindex) && !find(net, ifindex))
		pins_remove(net->pins, PIN_LINKS, name);
}

static void drop_stale_note(void *arg, int ifindex)
{
	struct net *net = arg;

	if (!find(net, ifindex))
		clsact_forget(net->qdiscs, ifindex);
}

static const struct {
	enum sensor_id sensor;
	enum attach_kind kind;
} programs[NET_PROGS] = {
	[NET_FLOW_IN] = {SENSOR_FLOWS, ATTACH_TC_IN},
	[NET_FLOW_OUT] = {SENSOR_FLOWS, ATTACH_TC_OUT},
	[NET_FLOW_XDP] = {SENSOR_FLOWS, ATTACH_XDP},
	[NET_GUARD_IN] = {SENSOR_GUARD, ATTACH_GUARD_IN},
	[NET_GUARD_OUT] = {SENSOR_GUARD, ATTACH_GUARD_OUT},
	[NET_GUARD_XDP] = {SENSOR_GUARD, ATTACH_GUARD_XDP},
};

/* The program of the plan for this slot, from its pin. */
static void open_prog(struct net *net, const struct plan *plan, enum net_slot slot)
{
	const struct rung *rung = plan_rung(plan, programs[slot].sensor);
	struct net_prog *ret = &net->prog[slot];
	struct bpf_prog_info info = {0};
	uint32_t len = sizeof(info);

	drop_prog(ret);
	for (unsigned p = 0; rung && p < RUNG_PROGRAMS_MAX; p++) {
		if (!plan_has(plan, programs[slot].sensor, p) ||
			rung->programs[p].kind != programs[slot].kind)
			continue;
		ret->fd = pins_get(net->pins, PIN_PROGS, rung->programs[p].program);
		if (ret->fd >= 0 && !bpf_obj_get_info_by_fd(ret->fd, &info, &len))
			ret->id = info.id;
		else
			drop_prog(ret);
	}
}

/* As flows do; without them, as the kernel can. */
static bool use_tcx(const struct plan *plan, struct features *features)
{
	const struct rung *rung = plan_rung(plan, SENSOR_FLOWS);

	return rung ? !strcmp(rung->name, "tcx") : feature_get(features, FEATURE_TCX)->ok;
}

/* ---- default routes ---- */

static bool asks_for_routes(const struct loader_config *c)
{
	return patterns_ask_routes(&c->guarded) || patterns_ask_routes(&c->interfaces) ||
	       patterns_ask_routes(&c->xdp);
}

static bool look_for_uplinks(struct net *net)
{
	if (asks_for_routes(net->config))
		return uplinks_look(&net->uplinks);
	net->uplinks = (struct uplinks){.next_ns = 0};
	return false;
}

/* Where a default route came before where it went: at no instant is neither guarded. */
static bool follow_uplinks(struct net *net)
{
	bool changed = look_for_uplinks(net);

	for (int comes = 1; comes >= 0 && changed; comes--)
		for (unsigned i = 0; i < net->n; i++) {
			struct net_iface *iface = &net->v[i];

			if (uplinks_has(&net->uplinks, iface->ifindex) != comes || iface->uplink == comes)
				continue;
			iface->uplink = comes;
			pst_info("default route %s interface=%s", comes ? "came" : "went", iface->name);
			net_apply(net, iface);
		}
	return changed;
}

int net_sync(struct net *net, const struct loader_config *config, const struct plan *plan,
	struct features *features)
{
	int r;

	net->config = config;
	for (int s = 0; s < NET_PROGS; s++)
		open_prog(net, plan, (enum net_slot)s);
	net->tcx = use_tcx(plan, features);
	if (net->qdiscs < 0)
		net->qdiscs = clsact_open(net->pins, false);
	look_for_uplinks(net);
	for (unsigned i = 0; i < net->n; i++) {
		net->v[i].seen = false;
		net->v[i].uplink = uplinks_has(&net->uplinks, net->v[i].ifindex);
		net_apply(net, &net->v[i]);
	}
	r = netlink_list(on_listed, net);
	if (r) {
		pst_error("cannot list interfaces error=%s", strerror(-r));
		return r;
	}
	for (unsigned i = 0; i < net->n;)
		if (net->v[i].seen) {
			i++;
		} else {
			net_forget(net, net->v[i].ifindex);
			net->v[i] = net->v[--net->n];
		}
	pins_each(net->pins, PIN_LINKS, drop_stale_pin, net);
	if (net->qdiscs >= 0)
		clsact_each(net->qdiscs, drop_stale_note, net);
	return 0;
}

static bool check_one(struct net *net, struct net_iface *iface)
{
	bool whole = net_whole(net, iface), retry = iface->checks++ % RETRY_CHECKS == 0;
	bool again = iface->unsure || lacks_guard(net, iface);
	char name[IF_NAMESIZE];
	enum net_mode in = iface->guard, out = iface->guard_out;

	if (whole && !(retry && again))
		return false;
	if (!if_indextoname((unsigned)iface->ifindex, name)) /* we are about to be told that it is gone */
		return false;
	if (!whole) {
		net->reattached++;
		pst_warn("somebody took off what was attached, attaching it again interface=%s ifindex=%d",
			iface->name, iface->ifindex);
	}
	iface->again = whole;
	net_apply(net, iface);
	iface->again = false;
	return !whole || in != iface->guard || out != iface->guard_out;
}

bool net_check(struct net *net)
{
	bool changed = follow_uplinks(net);

	for (unsigned i = 0; i < PST_MIN(net->n, CHECKED_AT_ONCE); i++) {
		net->checked = net->checked + 1 < net->n ? net->checked + 1 : 0;
		changed |= check_one(net, &net->v[net->checked]);
	}
	return changed;
}

static void detach_one(void *arg, int ifindex)
{
	struct net *net = arg;

	net_clear(net, ifindex);
}

static void unpin_one(void *arg, const char *name)
{
	struct net *net = arg;

	if (iflink_is_pin(name, NULL))
		pins_remove(net->pins, PIN_LINKS, name);
}

static void forget_note(void *arg, int ifindex)
{
	struct net *net = arg;

	clsact_forget(net->qdiscs, ifindex);
}

void net_let_go(struct net *net)
{
	if (net->qdiscs < 0)
		net->qdiscs = clsact_open(net->pins, false);
	if (net->qdiscs >= 0)
		clsact_each(net->qdiscs, forget_note, net);
	pins_each(net->pins, PIN_LINKS, unpin_one, net);
	net->n = 0;
}

void net_detach_all(struct net *net)
{
	if (net->qdiscs < 0)
		net->qdiscs = clsact_open(net->pins, false);
	if (net->qdiscs >= 0)
		clsact_each(net->qdiscs, detach_one, net);
	pins_each(net->pins, PIN_LINKS, unpin_one, net);
	net->n = 0;
}
