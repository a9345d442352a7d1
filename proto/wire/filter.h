/* SPDX-License-Identifier: Apache-2.0 */
/* The filter of the API (query parameters), of `penstock observe` (options) and of the `events` control
 * request. */
#ifndef PST_WIRE_FILTER_H
#define PST_WIRE_FILTER_H

#include "proto/wire/event.h"

struct pst_filter; /* all given keys must match; several values of one key: any. NULL: one that is empty */

#define PST_FILTER_VALUES_MAX 64
/* Keys: kind (name or glob), pid (also a child's), comm (glob), exe (glob), container (id prefix), address
 * (address or CIDR, either end), port (either end), user, uid, alert (true: only alerts, false: only others),
 * severity (at least), rule (glob), policy (glob), since, until (see pst_time_parse). */
extern const char *const pst_filter_keys[]; /* NULL-terminated */
int pst_filter_new(struct pst_filter **ret_filter);
void pst_filter_free(struct pst_filter *filter);
/* 0; -EINVAL with what was expected in @error (cut to @size); -E2BIG. */
int pst_filter_add(struct pst_filter *filter, const char *key, const char *value, uint64_t now_unix_ns,
	char *error, size_t size);
bool pst_filter_match(const struct pst_filter *filter, const struct pst_event *event, int64_t wall_offset_ns);
bool pst_filter_empty(const struct pst_filter *filter);
/* Cheap first test on the undecoded event: may this kind match at all? */
bool pst_filter_wants_kind(const struct pst_filter *filter, uint32_t kind);

/* Shared matchers (policyd uses them too). */
bool pst_glob_match(
	const char *pattern, const void *bytes, size_t len); /* * ? [a-z], no backtracking blow-up */
struct pst_cidr {
	uint8_t addr[16]; /* IPv4 as ::ffff:a.b.c.d */
	uint8_t bits;     /* of 128 */
};
int pst_cidr_parse(const char *text, struct pst_cidr *ret_cidr);
bool pst_cidr_match(const struct pst_cidr *cidr, const struct pst_val *addr);

#endif
