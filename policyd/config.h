/* SPDX-License-Identifier: Apache-2.0 */
#ifndef POLICYD_CONFIG_H
#define POLICYD_CONFIG_H

#include <stdint.h>

#include "policyd/guard/drops.h"
#include "proto/base/stage.h"

struct config {
	struct pst_common common;
	struct pst_strs rules;                           /* files and folders (of *.yaml), in this order */
	bool drop_truncated, drop_malformed, drop_no_ip; /* packets that no rule is asked about */
	struct drops_config drop_by;                     /* of which by interface */
	bool inner_ipip, inner_gre, inner_vxlan;         /* tunnels that are looked into */
	uint64_t vxlan_port;
	uint64_t limit_packets, limit_bytes, limit_connections; /* of a source, a second; 0: no limit */
	struct protocol_limit {
		uint64_t packets, bytes;
	} limit_tcp, limit_udp, limit_icmp, limit_other; /* likewise, of one protocol */
	uint64_t limit_burst_ns;
	uint64_t syn_rate, syn_burst_ns, syn_mss; /* of all sources together; 0: no limit */
	bool syn_cookies;
	struct pst_strs syn_ports, syn_except;
	int ddos_lists, ddos_limits; /* 0: count, 1: drop */
	char *ddos_signatures;       /* their file */
	int ddos_amplification;      /* enum ddos_action */
	char *scrub_interface;
	uint64_t offenders_after, offenders_within_ns, offenders_for_ns;
	bool offenders_forgeable;
	int offenders_action; /* 0: count, 1: drop */
	uint64_t detect_packets, detect_quiet_ns;
	bool flows;
	int ddos_flags; /* enum ddos_action */
	uint64_t retention_bytes;
	char *firewall; /* its file; NULL: the default, if it is there */
	struct pst_strs allow, block;
	struct pst_strs policies; /* files and folders */
	char *cgroup_root;        /* NULL: where it is found */
};

extern const struct pst_stage_desc policyd_desc;
extern struct config policyd_config;
/* The paths in force: the configured ones or the default. */
const struct pst_strs *config_rules(const struct config *config);
/* Whether somebody named the rules: then a path that is not there is an error, the default folder may be
 * missing. */
bool config_rules_named(const struct config *config);

/* policyd.drop.interfaces: {name or glob: {truncated: no, ...}}; config_drop.c */
int config_drop_parse(struct pst_conf_ctx *ctx, const struct pst_node *node);
void config_drop_print(const void *base);

struct force_config;
/* What policies are made from. */
void config_force(const struct config *config, struct force_config *ret_force);

struct guard_config;
/* What the guard is made from, with defaults filled in. */
void config_guard(const struct config *config, struct guard_config *ret_guard);
/* Its files, there or not. */
const struct pst_strs *config_firewall_file(const struct config *config);
const struct pst_strs *config_list_files(const struct config *config);
const struct pst_strs *config_signatures_file(const struct config *config);

/* What is done about floods; config_ddos.c. Without the file of signatures. */
extern const struct pst_conf_field config_limit_fields[], config_syn_fields[], config_ddos_fields[];
struct pst_guard_limits config_limits(const struct config *config);
void config_limits_by_protocol(const struct config *config, struct pst_rates ret[PST_SIG_PROTOCOLS]);
struct ddos_config config_ddos(const struct config *config);
/* 0, or -EINVAL with the place of what is wrong. */
int config_check_ports(struct pst_conf_ctx *ctx, const struct pst_node *section);

#endif
