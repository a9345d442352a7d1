/* SPDX-License-Identifier: Apache-2.0 */
/* What the report says of policies: what can be done about each operation, and what was counted. */
#ifndef PST_LOADER_POLICYREPORT_H
#define PST_LOADER_POLICYREPORT_H

#include "loader/loader.h"

struct json_t;

/* New reference. */
struct json_t *policyreport(const struct loader *l);
const char *policyreport_level(uint8_t level);
/* The sensor that judges the operation; -1: none does. */
int policyreport_sensor(unsigned op);

#endif
