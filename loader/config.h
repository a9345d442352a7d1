/* SPDX-License-Identifier: Apache-2.0 */
/* Section `loader` of the configuration. */
#ifndef PST_LOADER_CONFIG_H
#define PST_LOADER_CONFIG_H

#include <stdbool.h>
#include <stdint.h>

#include "proto/abi/records.h"
#include "proto/base/stage.h"

/* In the order of the configuration and the report. */
enum sensor_id {
	SENSOR_PROCESS,
	SENSOR_EXEC_FAILED,
	SENSOR_CRED,
	SENSOR_TCP,
	SENSOR_ACCEPT,
	SENSOR_UDP,
	SENSOR_DROPS,
	SENSOR_FLOWS,
	SENSOR_SYSCALLS,
	SENSOR_MODULE,
	SENSOR_BPF,
	SENSOR_PTRACE,
	SENSOR_SIGNAL,
	SENSOR_NAMESPACE,
	SENSOR_MEMFD,
	SENSOR_EXEC_MEMORY,
	SENSOR_PERF,
	SENSOR_PROC_MEM,
	SENSOR_CAPABILITY,
	SENSOR_SOCKET,
	SENSOR_BIND,
	SENSOR_FILE_UNLINK,
	SENSOR_FILE_RENAME,
	SENSOR_FILE_LINK,
	SENSOR_FILE_SYMLINK,
	SENSOR_FILE_MKDIR,
	SENSOR_FILE_MKNOD,
	SENSOR_FILE_CHMOD,
	SENSOR_FILE_CHOWN,
	SENSOR_FILE_TRUNCATE,
	SENSOR_FILE_XATTR,
	SENSOR_FILE_MOUNT,
	SENSOR_FILE_UMOUNT,
	SENSOR_FILE_PIVOT_ROOT,
	SENSOR_POLICY_EXEC,
	SENSOR_POLICY_OPEN,
	SENSOR_POLICY_FILE,
	SENSOR_POLICY_CHOWN,
	SENSOR_POLICY_NET,
	SENSOR_POLICY_PROC,
	SENSOR_POLICY_MADE,
	SENSOR_POLICY_MODULE,
	SENSOR_GUARD,
	SENSOR_MAX,
};

struct loader_config {
	bool sensors[SENSOR_MAX];
	char *rungs[SENSOR_MAX]; /* "auto": the strongest that works; else only this one */
	uint64_t ring_bytes[PST_CLASS_MAX];
	uint64_t flow_slots, flow_idle_ns;
	uint64_t udp_slots, udp_idle_ns;
	uint64_t drop_rate;         /* records a second, each of drops and resets */
	uint64_t cgroup_rate;       /* records a second of one cgroup, each of signals and rare calls */
	uint64_t capability_ns;     /* equal checks of a capability are one record for so long */
	struct pst_strs interfaces; /* flows and interface counters at tc */
	struct pst_strs xdp;        /* at XDP instead */
	struct pst_strs guarded;    /* interfaces whose incoming packets the guard judges; none: it is off */
	uint64_t firewall_memory;   /* bytes of `fw_lines`, both halves */
	uint64_t list_memory;       /* of `block_lines` */
	uint64_t connections;       /* entries of `ct`, and of `ct_new` */
	uint64_t sources;           /* of `src_rates` */
	uint64_t policy_memory;     /* bytes of `policy_lines` and `path_lines`, both halves of both */
	char *cgroup;               /* "auto" or the folder of the root cgroup */
	bool bpf_stats;
};

extern const struct pst_conf_field loader_fields[];

/* Defaults; -ENOMEM leaves nothing behind. */
int loader_config_init(struct loader_config *config);
void loader_config_done(struct loader_config *config);
/* What goes over single fields: powers of two, names of rungs, patterns. */
int loader_config_validate(struct pst_conf_ctx *ctx, const struct pst_node *section);

#endif
