/* SPDX-License-Identifier: Apache-2.0 */
#ifndef COLLECTOR_CONFIG_H
#define COLLECTOR_CONFIG_H

#include <stdbool.h>
#include <stdint.h>

#include "proto/base/stage.h"

struct config {
	struct pst_common common;
	uint64_t tick_ns;          /* between drains while events flow */
	uint64_t linger_ns;        /* how long the reader stays awake without events */
	uint64_t udp_interval_ns;  /* between reads of the UDP table */
	uint64_t flow_interval_ns; /* between reads of the flow table */
	uint64_t flow_active_ns;   /* a flow that goes on is reported this often */
	uint64_t flow_idle_ns;     /* a flow without packets has ended */
	uint64_t retention_bytes;
	uint64_t record_max;        /* bytes of a recording that was asked for by the control socket */
	uint64_t loader_timeout_ns; /* how long to wait for the loader */

	/* command line */
	const char *record;  /* write raw records here */
	const char *replay;  /* play this instead of reading the kernel */
	const char *speed;   /* "max", "real", or a factor */
	double speed_factor; /* 0: as fast as the subscribers take it */
	uint64_t repeat;     /* play so many times */
	bool exit_after;     /* end when the subscribers have handled all */
};

extern const struct pst_stage_desc collector_desc;
extern struct config collector_config; /* what the tables point at */

#endif
