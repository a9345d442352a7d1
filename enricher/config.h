/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ENRICHER_CONFIG_H
#define ENRICHER_CONFIG_H

#include <stdint.h>

#include "proto/base/stage.h"

struct config {
	struct pst_common common;
	uint64_t processes_max; /* entries of the process table */
	uint64_t cgroups_max;   /* entries of the cgroup cache */
	uint64_t linger_ns;     /* how long an ended process stays known */
	uint64_t retention_bytes;
};

extern const struct pst_stage_desc enricher_desc;
extern struct config enricher_config;

#endif
