/* SPDX-License-Identifier: Apache-2.0 */
/* What went through guarded interfaces in an interval: the fourth table of `penstock top`. */
#ifndef CLI_TOP_IFACE_H
#define CLI_TOP_IFACE_H

#include <jansson.h>

/* Counters of a reply of policyd to {op: firewall}; owned. */
json_t *top_iface_cells(const json_t *reply);
/* What was counted between: [[interface, direction, protocol, verdict, packets, bytes]]; owned. */
json_t *top_iface_moved(const json_t *now, const json_t *before);
/* A line for each interface, the one with most packets first. */
void top_iface_print(const json_t *moved, double seconds, size_t rows);
/* An object for each of @moved; owned. */
json_t *top_iface_json(const json_t *moved, double seconds);

#endif
