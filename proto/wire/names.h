/* SPDX-License-Identifier: Apache-2.0 */
/* Names of numbers by field format, both ways. */
#ifndef PST_WIRE_NAMES_H
#define PST_WIRE_NAMES_H

#include <stdint.h>

#include "proto/wire/schema.h"

/* "tcp", "ECONNREFUSED", "SIGKILL", "ESTABLISHED", "inet6", "in", "warning", "true"; NULL: the format or the
 * number has no name. */
const char *pst_name_of(enum pst_field_format format, uint64_t v);
/* Names by bit of a format of flags (CAPS, TCPFLAGS, EXECFLAGS, CREDFLAGS, FILEFLAGS, ACCESS, PATHODD), their
 * number in @ret_n; NULL: not flags. */
const char *const *pst_name_bits(enum pst_field_format format, unsigned *ret_n);
/* The number of a name of either sort (one flag: its bit), or -EINVAL. Signals and capabilities also without
 * SIG and CAP_, in any case. */
int pst_name_value(enum pst_field_format format, const char *name, size_t len, uint64_t *ret_value);

/* Of enum pst_guard_reason: "passed", "blocked"; NULL: there is none such. */
const char *pst_guard_reason_name(unsigned reason);
/* Likewise of enum pst_guard_protocol: "tcp", "icmpv6", "other". */
const char *pst_guard_protocol_name(unsigned protocol);
/* Likewise of enum pst_guard_verdict: "pass", "drop", "answer". */
const char *pst_guard_verdict_name(unsigned verdict);
/* Likewise of enum pst_guard_event: "ct_begun", "rate_full". */
const char *pst_guard_event_name(unsigned event);
/* Likewise of enum pst_offence: "rate", "signature". */
const char *pst_guard_offence_name(unsigned offence);

#endif
