// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <string.h>

#include "proto/base/cleanup.h"
#include "proto/wire/schema.h"

/* The fields of each kind, in the order of the wire. */
#define PST_KIND(K, id, name, topic, help)     static const struct pst_field fields_##K[] = {
#define PST_FIELD(K, name, type, format, help) {#name, PST_T_##type, PST_FMT_##format, help},
#define PST_END(K)                                                                                           \
	}                                                                                                    \
	;                                                                                                    \
	_Static_assert(PST_##K##_F_N <= PST_SENSOR_FIELDS_MAX, "too many fields");
#include "proto/wire/schema.def"
#undef PST_KIND
#undef PST_FIELD
#undef PST_END

#define PST_FIELD(K, name, type, format, help)
#define PST_END(K)

#define PST_KIND(K, id, name, topic, help) {(id), PST_TOPIC_##topic, PST_##K##_F_N, name, help, fields_##K},
const struct pst_kind pst_kinds[] = {
#include "proto/wire/schema.def"
};
#undef PST_KIND
const size_t pst_n_kinds = PST_ARRAY_SIZE(pst_kinds);

enum kind_index {
#define PST_KIND(K, id, name, topic, help) INDEX_##K,
#include "proto/wire/schema.def"
#undef PST_KIND
};
/* By id: index + 1. */
static const uint8_t index_of[] = {
#define PST_KIND(K, id, name, topic, help) [id] = INDEX_##K + 1,
#include "proto/wire/schema.def"
#undef PST_KIND
};

const struct pst_field pst_enricher_fields[PST_ENR_N] = {
	[PST_ENR_exe] = {"exe", PST_T_S, PST_FMT_STR, "path of the process's program"},
	[PST_ENR_user] = {"user", PST_T_S, PST_FMT_STR, "name of the user of uid"},
	[PST_ENR_parent_exe] = {"parent_exe", PST_T_S, PST_FMT_STR, "path of the parent's program"},
	[PST_ENR_ancestors] = {"ancestors", PST_T_P, PST_FMT_STR,
		"processes above, the parent first, at most 16"},
	[PST_ENR_cgroup] = {"cgroup", PST_T_S, PST_FMT_STR, "path below the cgroup v2 root"},
	[PST_ENR_container_id] = {"container_id", PST_T_S, PST_FMT_STR,
		"64 hex digits, or what the runtime uses"},
	[PST_ENR_container_runtime] = {"container_runtime", PST_T_S, PST_FMT_STR,
		"docker, containerd, cri-o, podman, ..."},
	[PST_ENR_unit] = {"unit", PST_T_S, PST_FMT_STR, "systemd unit"},
	[PST_ENR_pod_uid] = {"pod_uid", PST_T_S, PST_FMT_STR, "Kubernetes pod, from its cgroup path"},
	[PST_ENR_service] = {"service", PST_T_S, PST_FMT_STR, "service of the well-known port of the two"},
};

const struct pst_field pst_policyd_fields[PST_POL_N] = {
	[PST_POL_rule] = {"rule", PST_T_S, PST_FMT_STR, "rule that matched; makes the event an alert"},
	[PST_POL_severity] = {"severity", PST_T_U, PST_FMT_SEVERITY, "of the rule"},
	[PST_POL_message] = {"message", PST_T_S, PST_FMT_STR, "what the rule says about the event"},
	[PST_POL_tags] = {"tags", PST_T_L, PST_FMT_STR, "of the rule"},
	[PST_POL_suppressed] = {"suppressed", PST_T_U, PST_FMT_NUM,
		"alerts of this rule held back by its rate limit since the last one"},
};

static const char topics[PST_TOPICS][9] = {
	[PST_TOPIC_PROC] = "proc",
	[PST_TOPIC_FILE] = "file",
	[PST_TOPIC_NET] = "net",
	[PST_TOPIC_FLOW] = "flow",
	[PST_TOPIC_L7] = "l7",
	[PST_TOPIC_COUNT] = "count",
	[PST_TOPIC_ALERT] = "alert",
	[PST_TOPIC_META] = "meta",
};

const char *pst_topic_name(enum pst_topic topic)
{
	return (unsigned)topic < PST_TOPICS ? topics[topic] : "?";
}

int pst_topic_parse(const char name[8])
{
	for (int i = 0; i < PST_TOPICS; i++)
		if (!memcmp(name, topics[i], 8))
			return i;
	return -EINVAL;
}

const struct pst_kind *pst_kind_by_id(uint32_t id)
{
	unsigned i = id < PST_ARRAY_SIZE(index_of) ? index_of[id] : 0;

	return i ? &pst_kinds[i - 1] : NULL;
}

const struct pst_kind *pst_kind_by_name(const char *name, size_t len)
{
	for (size_t i = 0; i < pst_n_kinds; i++)
		if (!strncmp(pst_kinds[i].name, name, len) && !pst_kinds[i].name[len])
			return &pst_kinds[i];
	return NULL;
}

int pst_field_index(const struct pst_field *fields, size_t n, const char *name)
{
	for (size_t i = 0; i < n; i++)
		if (!strcmp(fields[i].name, name))
			return (int)i;
	return -ENOENT;
}
