/* SPDX-License-Identifier: Apache-2.0 */
/* Network interfaces of the loader's own network namespace, as the kernel tells of them. */
#ifndef PST_LOADER_NETLINK_H
#define PST_LOADER_NETLINK_H

#include <net/if.h>
#include <stdbool.h>
#include <stdint.h>

struct link_event {
	int ifindex;
	char name[IF_NAMESIZE];
	bool gone;
	bool clsact; /* of a message about a qdisc */
};

typedef void (*link_fn)(void *arg, const struct link_event *event);

/* Socket that is told of interfaces that come, change and go. Descriptor (non-blocking) or -errno. */
int netlink_open(void);
/* Everything that is there now. 0 or -errno. */
int netlink_list(link_fn fn, void *arg);
/* What has come in on @fd, at most @max messages. 0; -ENOBUFS: some were lost, list anew; other -errno. */
int netlink_read(int fd, unsigned max, link_fn fn, void *arg);
/* Number of tc filters under @parent of the interface, or -errno. */
int netlink_filters(int ifindex, uint32_t parent);
/* Is the qdisc for filters clsact, and not ingress, which takes filters for egress and runs them at ingress?
 */
bool netlink_is_clsact(int ifindex);
/*
 * A dump: @request is sent, and each read of the answer goes to @fn, until it says that this is the end (1)
 * or an error. 0; -E2BIG: more than @max reads; -errno.
 */
typedef int (*netlink_fn)(void *arg, const void *buf, size_t len);
int netlink_dump(const void *request, uint32_t len, unsigned max, netlink_fn fn, void *arg);
/* Walks the messages in @buf; for tests. Broken ones end the walk with -EBADMSG. */
int netlink_parse(const void *buf, size_t len, link_fn fn, void *arg, bool *ret_done);

#endif
