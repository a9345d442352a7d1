/* SPDX-License-Identifier: Apache-2.0 */
/* Live events from the bus to stdout: `penstock observe --follow` and what `penstock up` shows. */
#ifndef CLI_WATCH_H
#define CLI_WATCH_H

#include <stdbool.h>

#include "cli/show.h"
#include "proto/base/loop.h"
#include "proto/wire/filter.h"

struct watch_options {
	const struct pst_filter *filter; /* NULL: all */
	enum show_form form;
	void (*on_event)(void *arg, const struct pst_event *event); /* instead of printing */
	void *arg;
	/* Take the place of this stage in a private pipeline: publishers that play a recording wait for us.
	 * NULL: a guest, nobody waits. */
	const char *as_stage;
	const int64_t *wall_offset_ns; /* of the host where it happened; NULL: of this one */
};

struct watch;
/* @options NULL: everything, compact. Subscribes to enricher and policyd; they need not be there yet. 0 or
 * -errno. */
int watch_start(struct pst_loop *loop, const char *run_dir, const struct watch_options *options,
	struct watch **ret_watch);
/* Has everything that enricher and policyd have published until now been shown? Asks them (blocking, a
 * moment). */
bool watch_caught_up(struct watch *watch);
/* NULL is fine. 0, or -errno when not all could be written to stdout. */
int watch_free(struct watch *watch);
/* Is there anything to watch? 0; -errno after a message in the name of @program. */
int watch_check(const char *run_dir, const char *program);

#endif
