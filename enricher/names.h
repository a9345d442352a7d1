/* SPDX-License-Identifier: Apache-2.0 */
/* User names and service names from the host's files; read again when they change. No NSS: that would open
 * sockets and load code. */
#ifndef ENRICHER_NAMES_H
#define ENRICHER_NAMES_H

#include <stdint.h>

#include "proto/wire/event.h"

struct names;
int names_new(const char *passwd_path, const char *services_path, struct names **ret_names);
void names_free(struct names *names);
void names_refresh(struct names *names);                      /* looks at the files' times */
struct pst_val names_user(struct names *names, uint32_t uid); /* empty if unknown */
/* protocol: IPPROTO_TCP, IPPROTO_UDP, IPPROTO_SCTP; empty if unknown */
struct pst_val names_service(const struct names *names, uint8_t protocol, uint16_t port);

#endif
