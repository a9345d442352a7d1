/* SPDX-License-Identifier: Apache-2.0 */
/* Events for the exporter's tests. */
#ifndef PST_TESTS_EXPORTER_EVENTS_H
#define PST_TESTS_EXPORTER_EVENTS_H

#include "proto/wire/event.h"

/* [kind, ts, [sensor]]; the caller frees with pst_buf_done. */
static inline struct pst_buf event_pack(uint32_t kind, uint64_t ts_ns, const struct pst_val *sensor)
{
	struct pst_buf buf = {0};

	pst_event_pack(&buf, kind, ts_ns, sensor);
	return buf;
}

static inline struct pst_event event_scan(const struct pst_buf *buf)
{
	struct pst_cur cur = pst_cur(buf->p, buf->len);
	struct pst_event event;

	memset(&event, 0, sizeof(event));
	if (pst_event_scan(&cur, &event) < 0)
		event.kind = UINT32_MAX;
	return event;
}

/* An exit of process @pid with @code. */
static inline struct pst_buf event_exit(uint64_t ts_ns, uint64_t pid, uint64_t code, uint64_t signo)
{
	struct pst_val v[PST_SENSOR_FIELDS_MAX] = {0};

	v[PST_EXIT_F_pid].u = pid;
	v[PST_EXIT_F_comm] = pst_val_str("test", 4);
	v[PST_EXIT_F_exit_code].u = code;
	v[PST_EXIT_F_signal].u = signo;
	return event_pack(PST_KIND_EXIT, ts_ns, v);
}

#endif
