// SPDX-License-Identifier: Apache-2.0
/* The parts of why_json(): what a step says, from what the program noted of it. */
#ifndef CLI_WHY_STEPS_H
#define CLI_WHY_STEPS_H

#include <jansson.h>

#include "cli/why.h"

void why_put_text(json_t *object, const char *key, const char *text);
void why_put_number(json_t *object, const char *key, uint64_t number);
void why_put_bool(json_t *object, const char *key, bool is);

/* Its headers could be read. */
bool why_is_read(const struct pst_guard_why *w);
/* What is done about SYNs comes behind the rules. */
bool why_is_syn_reason(uint32_t reason);
/* A step would have dropped it, but runs dry; @event: PST_GUARD_DRY_* */
bool why_ran_dry(const struct pst_guard_why *w, enum pst_guard_event event);

/* Steps against floods (docs/ddos.md). */
json_t *why_offenders(const struct pst_guard_why *w);
json_t *why_flags(const struct pst_guard_why *w);
json_t *why_signatures(const char *run_dir, const struct pst_guard_why *w);
json_t *why_limits(const struct pst_guard_why *w);
json_t *why_syns(const struct pst_guard_why *w);

#endif
