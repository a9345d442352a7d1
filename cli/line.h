/* SPDX-License-Identifier: Apache-2.0 */
/* One event as one line for people: time, process with its ancestors, container, what happened. */
#ifndef CLI_LINE_H
#define CLI_LINE_H

#include <stdbool.h>

#include "proto/wire/event.h"

/* Appends the line without a newline. Bytes of the event are escaped: none reaches the terminal raw.
 * @wall_offset_ns: see node_info. */
void line_event(struct pst_buf *out, const struct pst_event *event, int64_t wall_offset_ns, bool colour);

#endif
