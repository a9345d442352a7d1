// SPDX-License-Identifier: Apache-2.0
#include "collector/config.h"

#include <stddef.h>

#define MS  1000000ull
#define SEC (1000 * MS)

struct config collector_config = {
	.tick_ns = 5 * MS,
	.linger_ns = 20 * MS,
	.udp_interval_ns = SEC,
	.flow_interval_ns = 2 * SEC,
	.flow_active_ns = 10 * SEC,
	.flow_idle_ns = 30 * SEC,
	.retention_bytes = 8 << 20,
	.loader_timeout_ns = 30 * SEC,
	.record_max = 1ull << 30,
	.speed = "max",
	.repeat = 1,
};

#define TIME(name, help_, min_, max_)                                                                        \
	{                                                                                                    \
		.key = #name, .type = PST_CONF_TIME, .offset = offsetof(struct config, name##_ns),           \
		.help = help_, .min = min_, .max = max_                                                      \
	}

static const struct pst_conf_field fields[] = {
	TIME(tick, "time between drains of the rings while events flow", MS / 10, 100 * MS),
	TIME(linger, "how long the reader drains by itself after the last event", MS, SEC),
	TIME(udp_interval, "time between two reads of the UDP table: the interval of udp_traffic events",
		100 * MS, 60 * SEC),
	TIME(flow_interval, "time between two reads of the flow table", 100 * MS, 60 * SEC),
	TIME(flow_active, "a flow that goes on is reported this often", SEC, 3600 * SEC),
	TIME(flow_idle, "a flow without packets for so long has ended", SEC, 3600 * SEC),
	TIME(loader_timeout, "how long to wait for the loader at start", 0, 3600 * SEC),
	{.key = "retention",
		.type = PST_CONF_SIZE,
		.offset = offsetof(struct config, retention_bytes),
		.help = "published events kept for subscribers that were away",
		.min = 1 << 20,
		.max = 1ull << 30},
	{.key = "record_max",
		.type = PST_CONF_SIZE,
		.offset = offsetof(struct config, record_max),
		.help = "size at which `penstock record` ends",
		.min = 1 << 20,
		.max = 1ull << 40},
	{0},
};

static const struct pst_arg options[] = {
	{"record", 0, PST_ARG_STR, &collector_config.record, "FILE", "also write the raw records to FILE"},
	{"replay", 0, PST_ARG_STR, &collector_config.replay, "FILE",
		"play the records of FILE instead of reading the kernel"},
	{"speed", 0, PST_ARG_STR, &collector_config.speed, "SPEED",
		"of a replay: max (default), real, or a factor such as 10"},
	{"repeat", 0, PST_ARG_U64, &collector_config.repeat, "N", "play so many times"},
	{"exit", 0, PST_ARG_FLAG, &collector_config.exit_after, NULL,
		"end after a replay, when the subscribers have handled all"},
	{0},
};

const struct pst_stage_desc collector_desc = {
	.stage = "collector",
	.summary = "Drains the kernel's rings and tables and publishes the events.",
	.options = options,
	.fields = fields,
	.examples = "  penstock-collector                        publish what the kernel reports\n"
		    "  penstock-collector --record day.rec       and keep the raw records\n"
		    "  penstock-collector --replay day.rec --speed real\n",
};
