// SPDX-License-Identifier: Apache-2.0
#include "enricher/config.h"

#include <stddef.h>

struct config enricher_config = {
	.processes_max = 32768,
	.cgroups_max = 8192,
	.linger_ns = 10000000000ull,
	.retention_bytes = 8 << 20,
};

static const struct pst_conf_field fields[] = {
	{.key = "processes",
		.type = PST_CONF_U64,
		.offset = offsetof(struct config, processes_max),
		.help = "processes that are remembered",
		.min = 256,
		.max = 4 << 20},
	{.key = "cgroups",
		.type = PST_CONF_U64,
		.offset = offsetof(struct config, cgroups_max),
		.help = "cgroups that are remembered",
		.min = 64,
		.max = 1 << 20},
	{.key = "linger",
		.type = PST_CONF_TIME,
		.offset = offsetof(struct config, linger_ns),
		.help = "how long an ended process stays known for late events",
		.min = 0,
		.max = 600000000000ull},
	{.key = "retention",
		.type = PST_CONF_SIZE,
		.offset = offsetof(struct config, retention_bytes),
		.help = "published events kept for subscribers that were away",
		.min = 1 << 20,
		.max = 1ull << 30},
	{0},
};

const struct pst_stage_desc enricher_desc = {
	.stage = "enricher",
	.summary = "Adds to each event who was behind it: ancestors, container, user, service.",
	.fields = fields,
	.examples = "  penstock-enricher\n  penstock-enricher --check --config /etc/penstock/penstock.yaml\n",
};
