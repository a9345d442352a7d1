// SPDX-License-Identifier: Apache-2.0
#include "loader/ethtool.h"

#include <linux/ethtool.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "proto/base/cleanup.h"

bool ethtool_takes_tags(const char *name)
{
	PST_CLOSE int sock = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0); /* each takes this request */
	struct ethtool_value flags = {.cmd = ETHTOOL_GFLAGS};
	struct ifreq r = {.ifr_data = (char *)&flags};

	snprintf(r.ifr_name, sizeof(r.ifr_name), "%s", name);
	return sock >= 0 && !ioctl(sock, SIOCETHTOOL, &r) && flags.data & ETH_FLAG_RXVLAN;
}
