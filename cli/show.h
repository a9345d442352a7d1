/* SPDX-License-Identifier: Apache-2.0 */
/* Events on stdout in one of the three forms. */
#ifndef CLI_SHOW_H
#define CLI_SHOW_H

#include <stdbool.h>

#include "proto/wire/event.h"

enum show_form { SHOW_COMPACT, SHOW_JSON, SHOW_JSONL }; /* a line for people; one array; an object a line */

struct show {
	enum show_form form;
	bool colour;
	bool never_wait; /* leave events out while stdout takes none (a stopped terminal), and tell how many
			  */
	uint64_t shown, left_out;
	int fd, signals;
	int error; /* of the first write that failed, -errno */
	struct pst_buf out;
};

void show_init(struct show *ret_show, enum show_form form, bool never_wait);
/* @text as --output has it, NULL: compact. 0, or -EINVAL after a message in the name of @program. */
int show_parse(const char *program, const char *text, enum show_form *ret_form);
/* Appends the event. The node's heartbeat is not for people. */
void show_event(struct show *show, const struct pst_event *event, int64_t wall_offset_ns);
/* Writes what was appended; waits for the reader, but not beyond SIGINT, SIGTERM or SIGHUP. False: it is
 * over. */
bool show_flush(struct show *show);
/* Closes the array, where there is one, flushes, frees. 0, also when the reader has gone or a signal came, or
 * -errno. */
int show_end(struct show *show);

#endif
