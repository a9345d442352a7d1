/* SPDX-License-Identifier: Apache-2.0 */
/* <run_dir>/loader.json: what is loaded, what it can do and why not more (docs/loader-report.md). */
#ifndef PST_LOADER_REPORT_H
#define PST_LOADER_REPORT_H

#include "loader/loader.h"

#define REPORT_FILE    "loader.json"
#define REPORT_VERSION 1
#define REASONS_MAX    1024 /* reason numbers beyond are of subsystems in modules, and left out */

struct json_t;

/* Parts that do not change while a loader runs: names of reasons. Call once, when BTF is at hand. */
struct report_names {
	struct json_t *drop_reasons, *reset_reasons; /* arrays of strings, index = number; owned */
};
void report_names_load(struct report_names *names, struct features *features);
void report_names_done(struct report_names *names);

/* Replaces the file in one step; 0640, group penstock. 0 or -errno with a log line. */
int report_write(const struct loader *l, const struct report_names *names);
/* The object itself, new reference or NULL without memory; for tests. */
struct json_t *report_json(const struct loader *l, const struct report_names *names);
/* Parts that `probe --json` has too. */
struct json_t *report_kernel(const struct features *features);
struct json_t *report_can(unsigned can);

#endif
