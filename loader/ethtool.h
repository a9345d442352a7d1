/* SPDX-License-Identifier: Apache-2.0 */
/* What an interface does with frames before a program sees them. */
#ifndef PST_LOADER_ETHTOOL_H
#define PST_LOADER_ETHTOOL_H

#include <stdbool.h>

/* Does it take VLAN tags off (rxvlan)? At XDP they are not seen then. False if that cannot be told. */
bool ethtool_takes_tags(const char *name);

#endif
