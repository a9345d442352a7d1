/* SPDX-License-Identifier: Apache-2.0 */
/* The loader's report (docs/loader-report.md) and a stage's status, for those who print them. */
#ifndef CLI_REPORT_H
#define CLI_REPORT_H

#include <jansson.h>

/* <run_dir>/loader.json; NULL with a message in @error (cut to @size). */
json_t *report_load(const char *run_dir, char *error, size_t size);
/* Text of a key, "" if absent. */
const char *report_text(const json_t *object, const char *key);
const char *report_safe(const json_t *object, const char *key); /* the same for a terminal, see cli_safe */
/* {rung, reason} of why_not: the reason, without the rung's name before it. */
const char *report_reason(const json_t *why);

enum loader_state {
	LOADER_UP,
	LOADER_DONE, /* has loaded and gone, as it was asked to */
	LOADER_DOWN, /* it was to serve, and nobody answers */
};
enum loader_state report_loader_state(const char *run_dir, const json_t *report);

#endif
