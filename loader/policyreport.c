// SPDX-License-Identifier: Apache-2.0
#include "loader/policyreport.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <jansson.h>
#include <string.h>

#include "loader/policymaps.h"
#include "proto/abi/policy.h"
#include "proto/base/cleanup.h"

const char *policyreport_level(uint8_t level)
{
	static const char *const names[] = {"none", "observe", "kill", "deny"};

	return level < PST_ARRAY_SIZE(names) ? names[level] : "none";
}

int policyreport_sensor(unsigned op)
{
	for (int s = 0; s < SENSOR_MAX; s++)
		if (sensors[s].ops & PST_OP_BIT(op))
			return s;
	return -1;
}

/* Of the strongest rung that is not in use. */
static const char *why_not(const struct outcome *o, int s)
{
	if (o->off)
		return "off in the configuration";
	for (int r = 0; r < RUNGS_MAX && sensors[s].rungs[r].name; r++)
		if (o->why[r][0])
			return o->why[r];
	return "";
}

static json_t *operation(const struct loader *l, unsigned op)
{
	uint8_t level = policymaps_level(&l->outcomes, loader_kills(l), op);
	int s = policyreport_sensor(op);

	return json_pack("{s:s, s:s, s:s?, s:s}", "name", ladder_op_name(op), "level",
		policyreport_level(level), "sensor", s < 0 ? NULL : sensors[s].name, "why_not",
		s < 0 ? "no program judges it" : why_not(&l->outcomes.sensors[s], s));
}

static json_t *operations(const struct loader *l)
{
	json_t *list = json_array();

	for (unsigned op = 0; op < PST_OPS_MAX; op++)
		if (ladder_op_name(op))
			json_array_append_new(list, operation(l, op));
	return list;
}

/* Of all CPUs; 0: nothing is counted. */
static uint64_t counted(const struct pins *pins, const char *map, uint32_t at)
{
	int cpus = libbpf_num_possible_cpus();
	PST_FREE uint64_t *values = calloc((size_t)PST_MAX(cpus, 1), sizeof(*values));
	PST_CLOSE int fd = pins->root ? pins_get(pins, PIN_MAPS, map) : -ENOENT;
	uint64_t sum = 0;

	if (fd < 0 || !values || bpf_map_lookup_elem(fd, &at, values) < 0)
		return 0;
	for (int i = 0; i < cpus; i++)
		sum += values[i];
	return sum;
}

static json_t *count(const struct loader *l, const char *map, uint32_t at)
{
	return json_integer((json_int_t)counted(&l->pins, map, at));
}

json_t *policyreport(const struct loader *l)
{
	return json_pack("{s:o, s:{s:o, s:o, s:o}, s:{s:o, s:o}}", "operations", operations(l), "acts", "all",
		count(l, MAP_JUDGE_COUNTS, PST_TOLD_ALL), "some", count(l, MAP_JUDGE_COUNTS, PST_TOLD_SOME),
		"lost", count(l, MAP_JUDGE_COUNTS, PST_TOLD_LOST), "ancestors", "full",
		count(l, MAP_LINEAGE_COUNTS, LINEAGE_FULL), "climbed",
		count(l, MAP_LINEAGE_COUNTS, LINEAGE_MADE));
}
