/* SPDX-License-Identifier: Apache-2.0 */
/* The loader's capability report, <run>/loader.json: what each sensor can do on this kernel. Read again when
 * it has changed. */
#ifndef EXPORTER_REPORT_H
#define EXPORTER_REPORT_H

#include "exporter/expo.h"

struct report;

int report_new(const char *run_dir, uint32_t max_label_bytes, struct report **ret_report);
void report_free(struct report *report); /* NULL is fine */
/* Looks whether the file has changed and reads it then; cheap. True: it was read. */
bool report_refresh(struct report *report);
/* Interface number @i of the report; false at the end. An interface may come twice. */
bool report_interface(const struct report *report, unsigned i, uint32_t *ret_ifindex, const char **ret_name);
void report_expose(const struct report *report, struct expo *expo);
/* The report as JSON, or null. */
void report_json(const struct report *report, struct pst_buf *out);
/* Why it is not good, as text; "" when it is. */
const char *report_problem(const struct report *report);

#endif
