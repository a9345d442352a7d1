/* SPDX-License-Identifier: Apache-2.0 */
/* A file of the run folder that may not let itself be written: it is said, counted, and tried again. */
#ifndef POLICYD_GUARD_SAVING_H
#define POLICYD_GUARD_SAVING_H

#include <stdbool.h>
#include <stddef.h>

#include "proto/base/stat.h"

struct saving {
	const char *path;
	int error;       /* of the last time; 0: the file holds what is in memory */
	unsigned waited; /* seconds since */
	struct pst_stat *errors;
};

/* @path stays the caller's; @what: label of the counter. */
void saving_open(struct saving *saving, const char *path, const char *what);
/* How writing it went: 0 or -errno. */
void saving_note(struct saving *saving, int error);
/* Each second: is it time to try again? */
bool saving_due(struct saving *saving);
/* For who asked for a change that is in force: "" if it was saved. */
void saving_warning(const struct saving *saving, char *buf, size_t size);

#endif
