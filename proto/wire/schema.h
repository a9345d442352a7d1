/* SPDX-License-Identifier: Apache-2.0 */
/* Ids, field indexes and tables made from schema.def. */
#ifndef PST_WIRE_SCHEMA_H
#define PST_WIRE_SCHEMA_H

#include <stddef.h>
#include <stdint.h>

#define PST_WIRE_VERSION 1

/* Topics: the first 8 bytes of a message, NUL-padded. Ids are local (checkpoint), names are the wire. */
enum pst_topic {
	PST_TOPIC_PROC,
	PST_TOPIC_FILE,
	PST_TOPIC_NET,
	PST_TOPIC_FLOW,
	PST_TOPIC_L7,
	PST_TOPIC_COUNT,
	PST_TOPIC_ALERT,
	PST_TOPIC_META,
	PST_TOPICS, /* = PST_CKPT_TOPICS */
};
const char *pst_topic_name(enum pst_topic topic); /* "proc" */
int pst_topic_parse(const char name[8]);          /* 8 NUL-padded bytes; id or -EINVAL */

enum pst_field_type { PST_T_U, PST_T_I, PST_T_S, PST_T_A, PST_T_L, PST_T_P };
enum pst_field_format {
	PST_FMT_NUM,
	PST_FMT_NS,
	PST_FMT_TIME,
	PST_FMT_BYTES,
	PST_FMT_STR,
	PST_FMT_PROTO,
	PST_FMT_DIR,
	PST_FMT_ERRNO,
	PST_FMT_SIGNAL,
	PST_FMT_CAPS,
	PST_FMT_TCPFLAGS,
	PST_FMT_TCPSTATE,
	PST_FMT_FAMILY,
	PST_FMT_DEV,
	PST_FMT_EXECFLAGS,
	PST_FMT_ID,
	PST_FMT_SEVERITY,
	PST_FMT_BOOL,
	PST_FMT_HEX,
	PST_FMT_CREDFLAGS,
	PST_FMT_CODE, /* a number whose 0 says something: never empty */
	PST_FMT_FILEFLAGS,
	PST_FMT_ACCESS,
	PST_FMT_PATHODD,
};

struct pst_field {
	const char *name; /* JSON name */
	uint8_t type;     /* enum pst_field_type */
	uint8_t format;   /* enum pst_field_format */
	const char *help;
};

struct pst_kind {
	uint16_t id;
	uint8_t topic;
	uint8_t n_fields;
	const char *name; /* JSON name */
	const char *help;
	const struct pst_field *fields;
};

#define PST_KIND(K, id, name, topic, help) PST_KIND_##K = (id),
#define PST_FIELD(K, name, type, format, help)
#define PST_END(K)
enum pst_kind_id {
#include "proto/wire/schema.def"
};
#undef PST_KIND
#undef PST_FIELD
#undef PST_END

/* PST_EXEC_F_argv: index of the field within the kind's sensor array; PST_EXEC_F_N: their number */
#define PST_KIND(K, id, name, topic, help)     enum {
#define PST_FIELD(K, name, type, format, help) PST_##K##_F_##name,
#define PST_END(K)                                                                                           \
	PST_##K##_F_N                                                                                        \
	}                                                                                                    \
	;
#include "proto/wire/schema.def"
#undef PST_KIND
#undef PST_FIELD
#undef PST_END

/* The enricher's array: the same for every kind. */
enum pst_enricher_field {
	PST_ENR_exe,          /* S path of the process's program (empty in process_exec, which has its own) */
	PST_ENR_user,         /* S name of uid */
	PST_ENR_parent_exe,   /* S */
	PST_ENR_ancestors,    /* P parent first, at most 16 */
	PST_ENR_cgroup,       /* S path below the cgroup2 root */
	PST_ENR_container_id, /* S 64 hex digits, or what the runtime uses */
	PST_ENR_container_runtime, /* S docker, containerd, cri-o, podman, ... */
	PST_ENR_unit,              /* S systemd unit */
	PST_ENR_pod_uid,           /* S from the cgroup path of a Kubernetes pod */
	PST_ENR_service,           /* S service name of the well-known port of the two */
	PST_ENR_N,
};
/* policyd's array: makes an event an alert. */
enum pst_policyd_field {
	PST_POL_rule,       /* S */
	PST_POL_severity,   /* U SEVERITY: 0 debug, 1 info, 2 notice, 3 warning, 4 error, 5 critical */
	PST_POL_message,    /* S */
	PST_POL_tags,       /* L */
	PST_POL_suppressed, /* U alerts of this rule held back by its rate limit since the last one */
	PST_POL_N,
};
extern const struct pst_field pst_enricher_fields[PST_ENR_N];
extern const struct pst_field pst_policyd_fields[PST_POL_N];

extern const struct pst_kind pst_kinds[]; /* by rising id */
extern const size_t pst_n_kinds;
const struct pst_kind *pst_kind_by_id(uint32_t id); /* NULL: unknown; O(1) */
const struct pst_kind *pst_kind_by_name(const char *name, size_t len);
/* Position of a name in a table of fields (desc->fields, pst_enricher_fields, ...), or -ENOENT; for those who
 * look up once. */
int pst_field_index(const struct pst_field *fields, size_t n, const char *name);

#define PST_SENSOR_FIELDS_MAX 48 /* more in a message are ignored */

#endif
