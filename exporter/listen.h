/* SPDX-License-Identifier: Apache-2.0 */
/* Listening sockets: opened before the sandbox, so that a low port or a path outside it can be named. */
#ifndef EXPORTER_LISTEN_H
#define EXPORTER_LISTEN_H

#include "exporter/config.h"

#define LISTEN_URL_MAX 160

/* Listening, non-blocking. A Unix socket gets mode 0660 and the group penstock; one left by a killed run is
 * replaced. 0 or -errno. */
int listen_open(const struct listen_addr *addr, int *ret_fd);
/* "http://127.0.0.1:9435" as bound (port 0 resolved), or "unix:/path". */
void listen_url(int fd, bool tls, char buf[static LISTEN_URL_MAX]);

#endif
