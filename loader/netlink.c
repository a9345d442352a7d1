// SPDX-License-Identifier: Apache-2.0
#include "loader/netlink.h"

#include <errno.h>
#include <linux/netlink.h>
#include <linux/pkt_sched.h>
#include <linux/rtnetlink.h>
#include <string.h>
#include <sys/socket.h>

#include "proto/base/cleanup.h"

#define BUF_BYTES 32768 /* the kernel fills at most that much in one read of a dump */

struct request {
	struct nlmsghdr h;
	union {
		struct ifinfomsg link;
		struct tcmsg tc;
	};
};

static int open_socket(unsigned groups, int flags)
{
	struct sockaddr_nl addr = {.nl_family = AF_NETLINK, .nl_groups = groups};
	struct timeval patience = {.tv_sec = 5};
	PST_CLOSE int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | flags, NETLINK_ROUTE);

	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)) < 0 ||
		bind(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0)
		return -errno;
	return PST_TAKE_FD(fd);
}

int netlink_open(void)
{
	return open_socket(RTMGRP_LINK, SOCK_NONBLOCK);
}

/* ---- parsing ---- */

static void link_name(const struct nlmsghdr *h, char name[IF_NAMESIZE])
{
	const struct rtattr *a = IFLA_RTA((struct ifinfomsg *)NLMSG_DATA(h));
	int len = (int)IFLA_PAYLOAD(h);

	for (; RTA_OK(a, len); a = RTA_NEXT(a, len))
		if (a->rta_type == IFLA_IFNAME) {
			size_t n = PST_MIN(RTA_PAYLOAD(a), (size_t)IF_NAMESIZE - 1);

			memcpy(name, RTA_DATA(a), n);
			name[n] = '\0';
			return;
		}
}

static int parse_link(const struct nlmsghdr *h, link_fn fn, void *arg)
{
	const struct ifinfomsg *info = NLMSG_DATA(h);
	struct link_event event = {0};

	if (h->nlmsg_len < NLMSG_LENGTH(sizeof(*info)))
		return -EBADMSG;
	if (info->ifi_family != AF_UNSPEC) /* a bridge telling of its ports */
		return 0;
	event.ifindex = info->ifi_index;
	event.gone = h->nlmsg_type == RTM_DELLINK;
	link_name(h, event.name);
	if (event.ifindex > 0 && (event.gone || event.name[0]))
		fn(arg, &event);
	return 0;
}

static bool kind_is_clsact(const struct nlmsghdr *h)
{
	const struct rtattr *a =
		(const void *)((const char *)NLMSG_DATA(h) + NLMSG_ALIGN(sizeof(struct tcmsg)));
	int len = (int)NLMSG_PAYLOAD(h, NLMSG_ALIGN(sizeof(struct tcmsg)));

	for (; RTA_OK(a, len); a = RTA_NEXT(a, len))
		if (a->rta_type == TCA_KIND)
			return RTA_PAYLOAD(a) == sizeof("clsact") &&
			       !memcmp(RTA_DATA(a), "clsact", sizeof("clsact"));
	return false;
}

int netlink_parse(const void *buf, size_t len, link_fn fn, void *arg, bool *ret_done)
{
	const struct nlmsghdr *h = buf;
	int left = (int)len; /* the macros count below zero at the end */
	bool done = false;

	for (; NLMSG_OK(h, left) && !done; h = NLMSG_NEXT(h, left)) {
		int r = 0;

		if (h->nlmsg_type == NLMSG_DONE) {
			done = true;
		} else if (h->nlmsg_type == NLMSG_ERROR) {
			const struct nlmsgerr *e = NLMSG_DATA(h);

			if (h->nlmsg_len < NLMSG_LENGTH(sizeof(*e)))
				return -EBADMSG;
			if (e->error)
				return e->error;
			done = true;
		} else if (h->nlmsg_type == RTM_NEWLINK || h->nlmsg_type == RTM_DELLINK) {
			r = parse_link(h, fn, arg);
		} else if (h->nlmsg_type == RTM_NEWQDISC) {
			struct link_event event = {.clsact = kind_is_clsact(h)};

			fn(arg, &event);
		} else if (h->nlmsg_type == RTM_NEWTFILTER) {
			struct link_event event = {0};

			fn(arg, &event);
		}
		if (r)
			return r;
	}
	if (ret_done)
		*ret_done = done;
	return 0;
}

/* ---- talking ---- */

/* Only the kernel (port 0) is believed. */
static ssize_t receive(int fd, void *buf, size_t size, int flags)
{
	struct sockaddr_nl from = {0};
	struct iovec iov = {buf, size};
	struct msghdr msg = {
		.msg_name = &from, .msg_namelen = sizeof(from), .msg_iov = &iov, .msg_iovlen = 1};
	ssize_t n;

	do {
		from.nl_pid = 0;
		n = recvmsg(fd, &msg, flags);
		if (n >= 0 && msg.msg_flags & MSG_TRUNC)
			return -ENOBUFS;
	} while ((n < 0 && errno == EINTR) || (n >= 0 && from.nl_pid));
	return n < 0 ? -errno : n;
}

int netlink_read(int fd, unsigned max, link_fn fn, void *arg)
{
	PST_FREE char *buf = malloc(BUF_BYTES);

	if (!buf)
		return -ENOMEM;
	for (unsigned i = 0; i < max; i++) {
		ssize_t n = receive(fd, buf, BUF_BYTES, MSG_DONTWAIT);
		int r;

		if (n == -EAGAIN)
			return 0;
		r = n < 0 ? (int)n : netlink_parse(buf, (size_t)n, fn, arg, NULL);
		if (r)
			return r;
	}
	return 0;
}

/* The kernel looks at what a request says of a table only if it is asked to (4.20). */
static int set_strict(int fd)
{
	const int one = 1;

	return setsockopt(fd, SOL_NETLINK, NETLINK_GET_STRICT_CHK, &one, sizeof(one)) < 0 ? -errno : 0;
}

int netlink_dump(const void *request, uint32_t len, unsigned max, netlink_fn fn, void *arg)
{
	PST_CLOSE int fd = open_socket(0, 0);
	PST_FREE char *buf = malloc(BUF_BYTES);
	int r = fd < 0 ? fd : !buf ? -ENOMEM : set_strict(fd);

	if (!r && send(fd, request, len, 0) < 0)
		r = -errno;
	for (unsigned i = 0; !r; i++) {
		ssize_t n = i < max ? receive(fd, buf, BUF_BYTES, 0) : -E2BIG;

		r = n < 0 ? (int)n : fn(arg, buf, (size_t)n);
	}
	return r < 0 ? r : 0;
}

/* Sends a request, for a dump or to be acknowledged, and reads the answer to its end. */
static int ask(struct request *req, uint16_t type, uint16_t flags, size_t body, link_fn fn, void *arg)
{
	PST_CLOSE int fd = open_socket(0, 0);
	PST_FREE char *buf = malloc(BUF_BYTES);
	bool done = false;

	if (fd < 0)
		return fd;
	if (!buf)
		return -ENOMEM;
	req->h = (struct nlmsghdr){
		.nlmsg_len = (uint32_t)NLMSG_LENGTH(body),
		.nlmsg_type = type,
		.nlmsg_flags = NLM_F_REQUEST | flags,
	};
	if (send(fd, req, req->h.nlmsg_len, 0) < 0)
		return -errno;
	while (!done) {
		ssize_t n = receive(fd, buf, BUF_BYTES, 0);
		int r = n < 0 ? (int)n : netlink_parse(buf, (size_t)n, fn, arg, &done);

		if (r)
			return r;
	}
	return 0;
}

int netlink_list(link_fn fn, void *arg)
{
	struct request req = {.link = {.ifi_family = AF_UNSPEC}};

	return ask(&req, RTM_GETLINK, NLM_F_DUMP, sizeof(req.link), fn, arg);
}

static void count_one(void *arg, const struct link_event *event)
{
	(void)event;
	++*(int *)arg;
}

int netlink_filters(int ifindex, uint32_t parent)
{
	struct request req = {.tc = {.tcm_family = AF_UNSPEC, .tcm_ifindex = ifindex, .tcm_parent = parent}};
	int n = 0;
	int r = ask(&req, RTM_GETTFILTER, NLM_F_DUMP, sizeof(req.tc), count_one, &n);

	return r ? r : n;
}

static void note_clsact(void *arg, const struct link_event *event)
{
	*(bool *)arg = event->clsact;
}

bool netlink_is_clsact(int ifindex)
{
	struct request req = {
		.tc = {.tcm_family = AF_UNSPEC, .tcm_ifindex = ifindex, .tcm_parent = TC_H_CLSACT}};
	bool clsact = false;

	return !ask(&req, RTM_GETQDISC, NLM_F_ACK | NLM_F_ECHO, sizeof(req.tc), note_clsact, &clsact) &&
	       clsact;
}
