/* SPDX-License-Identifier: Apache-2.0 */
/* An event that is decoded when the first one asks for it, and then only once. */
#ifndef EXPORTER_LAZY_H
#define EXPORTER_LAZY_H

#include "proto/wire/event.h"

struct lazy_event {
	const uint8_t *raw;
	uint32_t len;
	enum { LAZY_RAW, LAZY_GOOD, LAZY_BAD } state;
	struct pst_event event;
};

static inline void lazy_init(struct lazy_event *lazy, const uint8_t *raw, uint32_t len)
{
	lazy->raw = raw;
	lazy->len = len;
	lazy->state = LAZY_RAW;
}

/* NULL: malformed. */
static inline const struct pst_event *lazy_get(struct lazy_event *lazy)
{
	if (lazy->state == LAZY_RAW) {
		struct pst_cur cur = pst_cur(lazy->raw, lazy->len);

		lazy->state = pst_event_decode(&cur, &lazy->event) < 0 ? LAZY_BAD : LAZY_GOOD;
	}
	return lazy->state == LAZY_GOOD ? &lazy->event : NULL;
}

#endif
