// SPDX-License-Identifier: Apache-2.0
#include "loader/uplinks.h"

#include <errno.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <string.h>
#include <sys/socket.h>

#include "loader/netlink.h"
#include "proto/base/cleanup.h"
#include "proto/base/log.h"
#include "proto/base/loop.h"

#define MESSAGES_MAX 2048u /* of a dump, up to 32 KiB each: a table of a million routes is not read whole */
#define REST         100u  /* times what a look took pass before the next one */

static bool has(const struct uplink_set *set, int ifindex)
{
	for (unsigned i = 0; i < set->n; i++)
		if (set->ifindex[i] == ifindex)
			return true;
	return false;
}

bool uplinks_has(const struct uplinks *uplinks, int ifindex)
{
	return has(&uplinks->of[0], ifindex) || has(&uplinks->of[1], ifindex);
}

static void add(struct uplink_set *set, int ifindex)
{
	if (ifindex <= 0 || has(set, ifindex))
		return;
	if (set->n < UPLINKS_MAX)
		set->ifindex[set->n++] = ifindex;
	else
		set->full = true;
}

/* ---- messages ---- */

/* Several ways of one route. */
static void add_ways(struct uplink_set *set, const struct rtattr *a)
{
	const char *p = RTA_DATA(a), *end = p + RTA_PAYLOAD(a);
	struct rtnexthop way;

	for (; (size_t)(end - p) >= sizeof(way); p += RTNH_ALIGN(way.rtnh_len)) {
		memcpy(&way, p, sizeof(way));
		add(set, way.rtnh_ifindex);
		if (way.rtnh_len < sizeof(way) || RTNH_ALIGN(way.rtnh_len) > end - p)
			return;
	}
}

static void add_route(struct uplink_set *set, const struct nlmsghdr *h)
{
	const struct rtattr *a = RTM_RTA(NLMSG_DATA(h));
	int len = (int)RTM_PAYLOAD(h), ifindex;

	for (; RTA_OK(a, len); a = RTA_NEXT(a, len))
		if (a->rta_type == RTA_OIF && RTA_PAYLOAD(a) == sizeof(ifindex)) {
			memcpy(&ifindex, RTA_DATA(a), sizeof(ifindex));
			add(set, ifindex);
		} else if (a->rta_type == RTA_MULTIPATH) {
			add_ways(set, a);
		}
}

/* IPv4 routes come in the order of their addresses, 0.0.0.0 first, so the first other one is the end. */
static bool is_behind(const struct nlmsghdr *h)
{
	const struct rtmsg *m = NLMSG_DATA(h);
	const struct rtattr *a = RTM_RTA(m);
	int len = (int)RTM_PAYLOAD(h);
	uint32_t to;

	for (; m->rtm_family == AF_INET && RTA_OK(a, len); a = RTA_NEXT(a, len))
		if (a->rta_type == RTA_DST && RTA_PAYLOAD(a) == sizeof(to)) {
			memcpy(&to, RTA_DATA(a), sizeof(to));
			return to != 0;
		}
	return false;
}

static int parse_route(const struct nlmsghdr *h, int family, struct uplink_set *set)
{
	const struct rtmsg *m = NLMSG_DATA(h);

	if (h->nlmsg_len < NLMSG_LENGTH(sizeof(*m)))
		return -EBADMSG;
	if (m->rtm_family != family || m->rtm_table != RT_TABLE_MAIN)
		return 0;
	if (m->rtm_dst_len)
		return is_behind(h);
	if (m->rtm_type == RTN_UNICAST && !(m->rtm_flags & RTM_F_CLONED))
		add_route(set, h);
	return 0;
}

int uplinks_parse(const void *buf, size_t len, int family, struct uplink_set *set)
{
	const struct nlmsghdr *h = buf;
	int left = (int)len, r = 0;

	for (; NLMSG_OK(h, left) && !r; h = NLMSG_NEXT(h, left)) {
		const struct nlmsgerr *e = NLMSG_DATA(h);

		set->torn |= h->nlmsg_flags & NLM_F_DUMP_INTR;
		if (h->nlmsg_type == NLMSG_DONE)
			r = 1;
		else if (h->nlmsg_type == NLMSG_ERROR)
			r = h->nlmsg_len < NLMSG_LENGTH(sizeof(*e)) ? -EBADMSG : e->error ? e->error : 1;
		else if (h->nlmsg_type == RTM_NEWROUTE)
			r = parse_route(h, family, set);
	}
	return r;
}

/* ---- looking ---- */

struct pass {
	int family;
	struct uplink_set set;
};

static int on_messages(void *arg, const void *buf, size_t len)
{
	struct pass *p = arg;

	return uplinks_parse(buf, len, p->family, &p->set);
}

static int read_family(int family, struct uplink_set *ret_set)
{
	struct {
		struct nlmsghdr h;
		struct rtmsg m;
	} request = {.h = {.nlmsg_len = sizeof(request),
			     .nlmsg_type = RTM_GETROUTE,
			     .nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP},
		.m = {.rtm_family = (unsigned char)family, .rtm_table = RT_TABLE_MAIN}};
	struct pass pass = {.family = family};
	int r = netlink_dump(&request, sizeof(request), MESSAGES_MAX, on_messages, &pass);

	if (r == -ENOENT || r == -EOPNOTSUPP || r == -EAFNOSUPPORT) /* no such table, no such family */
		r = 0;
	if (!r)
		*ret_set = pass.set;
	return r;
}

static bool same(const struct uplink_set *a, const struct uplink_set *b)
{
	for (unsigned i = 0; i < a->n; i++)
		if (!has(b, a->ifindex[i]))
			return false;
	return a->n == b->n;
}

static bool look_at(int family, struct uplink_set *set)
{
	struct uplink_set now = {.n = 0};
	int r = read_family(family, &now);

	if (r)
		pst_warn_limited(
			"cannot look for default routes, what is known of them stays family=%s error=%s",
			family == AF_INET ? "IPv4" : "IPv6", r == -E2BIG ? "too many routes" : strerror(-r));
	if (now.full)
		pst_warn_limited(
			"default routes over more than %u interfaces: the rest is left alone", UPLINKS_MAX);
	for (unsigned i = 0; now.torn && i < set->n; i++)
		add(&now, set->ifindex[i]);
	if (r || !now.n || same(&now, set))
		return false;
	*set = now;
	return true;
}

bool uplinks_look(struct uplinks *uplinks)
{
	uint64_t start = pst_now_mono_ns();
	bool changed;

	if (start < uplinks->next_ns)
		return false;
	changed = look_at(AF_INET, &uplinks->of[0]);
	changed |= look_at(AF_INET6, &uplinks->of[1]);
	uplinks->next_ns = start + REST * (pst_now_mono_ns() - start);
	return changed;
}
