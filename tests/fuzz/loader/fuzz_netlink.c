// SPDX-License-Identifier: Apache-2.0
/* Any bytes as what a netlink socket gives: no more events than there is room for, names that end. */
#include <errno.h>
#include <linux/netlink.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "loader/netlink.h"
#include "loader/uplinks.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static unsigned events;

static void see(void *arg, const struct link_event *event)
{
	(void)arg;
	events++;
	if (!memchr(event->name, 0, sizeof(event->name)) || event->ifindex < 0)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	bool done = false;

	events = 0;
	/* errors that the kernel reports are any number; ours is one */
	if (netlink_parse(data, size, see, NULL, &done) == 0 && events > size / sizeof(struct nlmsghdr))
		abort();
	for (int family = 0; family < 2; family++) {
		struct uplink_set set = {.n = 0};

		uplinks_parse(data, size, family ? AF_INET6 : AF_INET, &set);
		if (set.n > UPLINKS_MAX)
			abort();
	}
	return 0;
}
