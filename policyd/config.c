// SPDX-License-Identifier: Apache-2.0
#include "policyd/config.h"

#include <stddef.h>
#include <string.h>

#include "policyd/guard/guard.h"
#include "policyd/policy/cgroups.h"
#include "policyd/policy/force.h"
#include "proto/base/cleanup.h"

static char etc_rules[] = "/etc/penstock/rules.d";
static char share_rules[] = PST_PREFIX "/share/penstock/rules";
static char *default_rules[] = {etc_rules, share_rules};
static char etc_policies[] = "/etc/penstock/policies";
static char *default_policies[] = {etc_policies};
static const struct pst_strs default_policy_paths = {.v = default_policies, .n = 1};
static const struct pst_strs default_paths = {.v = default_rules, .n = 2};
static struct pst_arg_strs rules_args;
static const char *firewall_arg;

#define FILES_MAX 32 /* of a list */
static char etc_signatures[] = "/etc/penstock/signatures.yaml";
static char etc_firewall[] = "/etc/penstock/firewall.yaml";
static char etc_allow[] = "/etc/penstock/allow.list", etc_block[] = "/etc/penstock/block.list";
static char *default_allow[] = {etc_allow}, *default_block[] = {etc_block};
static const struct pst_strs default_allow_paths = {.v = default_allow, .n = 1};
static const struct pst_strs default_block_paths = {.v = default_block, .n = 1};

#define SECOND_NS 1000000000ull

struct config policyd_config = {.retention_bytes = 4 << 20,
	.drop_truncated = true,
	.drop_malformed = true,
	.vxlan_port = 4789,
	.limit_burst_ns = SECOND_NS,
	.syn_burst_ns = SECOND_NS,
	.syn_mss = 1460,
	.syn_cookies = true,
	.detect_packets = 10000,
	.detect_quiet_ns = 10 * SECOND_NS,
	.offenders_within_ns = 10 * SECOND_NS,
	.offenders_for_ns = 600 * SECOND_NS,
	.offenders_action = 1,
	.ddos_lists = 1,
	.ddos_limits = 1};

static const struct pst_conf_field drop_fields[] = {
	{.key = "truncated",
		.type = PST_CONF_BOOL,
		.offset = offsetof(struct config, drop_truncated),
		.help = "a header ends behind the packet's end"},
	{.key = "malformed",
		.type = PST_CONF_BOOL,
		.offset = offsetof(struct config, drop_malformed),
		.help = "a header contradicts itself"},
	{.key = "no_ip",
		.type = PST_CONF_BOOL,
		.offset = offsetof(struct config, drop_no_ip),
		.help = "neither IPv4 nor IPv6, as ARP"},
	{.key = "interfaces",
		.type = PST_CONF_CUSTOM,
		.help = "where it differs, by name or glob: {eth0: {truncated: no}, \"veth*\": {no_ip: "
			"yes}}; the "
			"first that matches holds",
		.parse = config_drop_parse,
		.print = config_drop_print},
	{0},
};

static const struct pst_conf_field inner_fields[] = {
	{.key = "ipip",
		.type = PST_CONF_BOOL,
		.offset = offsetof(struct config, inner_ipip),
		.help = "IPv4 or IPv6 in IPv4 or IPv6 (off)"},
	{.key = "gre",
		.type = PST_CONF_BOOL,
		.offset = offsetof(struct config, inner_gre),
		.help = "GRE, with IP or Ethernet in it (off)"},
	{.key = "vxlan",
		.type = PST_CONF_BOOL,
		.offset = offsetof(struct config, inner_vxlan),
		.help = "VXLAN (off)"},
	{.key = "vxlan_port",
		.type = PST_CONF_U64,
		.offset = offsetof(struct config, vxlan_port),
		.help = "of UDP (4789)",
		.min = 1,
		.max = UINT16_MAX},
	{0},
};

static const struct pst_conf_field policy_fields[] = {
	{.key = "files",
		.type = PST_CONF_STRS,
		.offset = offsetof(struct config, policies),
		.help = "files and folders (default: /etc/penstock/policies if it is there)",
		.max = 64},
	{.key = "cgroup_root",
		.type = PST_CONF_STR,
		.offset = offsetof(struct config, cgroup_root),
		.help = "where cgroup2 is mounted (default: /sys/fs/cgroup or /sys/fs/cgroup/unified)",
		.min = 1,
		.max = 4000},
	{0},
};

static const struct pst_conf_field fields[] = {
	{.key = "rules",
		.type = PST_CONF_STRS,
		.offset = offsetof(struct config, rules),
		.help = "files and folders of rules (default: /etc/penstock/rules.d and the installed ones)",
		.max = 64},
	{.key = "firewall",
		.type = PST_CONF_STR,
		.offset = offsetof(struct config, firewall),
		.help = "file of the firewall's rules (default: /etc/penstock/firewall.yaml if it is there)"},
	{.key = "allow",
		.type = PST_CONF_STRS,
		.offset = offsetof(struct config, allow),
		.help = "files of addresses that are never blocked (default: /etc/penstock/allow.list if it "
			"is "
			"there)",
		.max = FILES_MAX},
	{.key = "block",
		.type = PST_CONF_STRS,
		.offset = offsetof(struct config, block),
		.help = "files of addresses that are blocked (default: /etc/penstock/block.list if it is "
			"there)",
		.max = FILES_MAX},
	{.key = "drop",
		.type = PST_CONF_SECTION,
		.help = "packets that no rule is asked about, while a firewall, a list, a limit or a "
			"step of ddos is in force",
		.section = drop_fields},
	{.key = "inner",
		.type = PST_CONF_SECTION,
		.help = "tunnels that are looked into: what is inside is judged in place of the packet "
			"around "
			"it",
		.section = inner_fields},
	{.key = "limits",
		.type = PST_CONF_SECTION,
		.help = "what one source may send over guarded interfaces (default: no limit)",
		.section = config_limit_fields},
	{.key = "syn",
		.type = PST_CONF_SECTION,
		.help = "SYNs of all sources together, against floods from forged addresses",
		.section = config_syn_fields},
	{.key = "ddos",
		.type = PST_CONF_SECTION,
		.help = "what is done about floods, each step with a dry run",
		.section = config_ddos_fields},
	{.key = "flows",
		.type = PST_CONF_BOOL,
		.offset = offsetof(struct config, flows),
		.help = "flows tell what the guard made of their packets, and by which rule; what it drops "
			"is seen "
			"as flows too (off)"},
	{.key = "policies",
		.type = PST_CONF_SECTION,
		.help = "runtime policies, beside those that are applied by command",
		.section = policy_fields},
	{.key = "retention",
		.type = PST_CONF_SIZE,
		.offset = offsetof(struct config, retention_bytes),
		.help = "alerts kept for subscribers that were away",
		.min = 1 << 20,
		.max = 1ull << 30},
	{0},
};

static const struct pst_arg options[] = {
	{"rules", 'r', PST_ARG_STRS, &rules_args, "PATH",
		"file or folder of rules, instead of the configured ones"},
	{"firewall", 'f', PST_ARG_STR, &firewall_arg, "FILE",
		"the firewall's rules, instead of the configured ones"},
	{0},
};

const struct pst_stage_desc policyd_desc = {
	.stage = "policyd",
	.summary = "Matches events with rules and raises alerts.",
	.options = options,
	.fields = fields,
	.examples = "  penstock-policyd --rules ./my-rules.yaml\n"
		    "  penstock-policyd --check --rules ./my-rules.yaml     only say whether the rules are "
		    "good\n"
		    "  penstock-policyd --check --firewall ./fw.yaml        the same of the firewall's\n"
		    "  penstock-policyd policy check ./policies             what penstock policy runs\n",
};

bool config_rules_named(const struct config *config)
{
	return rules_args.n || config->rules.n;
}

const struct pst_strs *config_rules(const struct config *config)
{
	static char *paths[PST_ARRAY_SIZE(rules_args.v)];
	static struct pst_strs from_args;

	if (rules_args.n) {
		for (unsigned i = 0; i < rules_args.n; i++)
			paths[i] = (char *)(uintptr_t)rules_args.v[i];
		from_args = (struct pst_strs){.v = paths, .n = rules_args.n};
		return &from_args;
	}
	return config->rules.n ? &config->rules : &default_paths;
}

static char *firewall_path(const struct config *config)
{
	if (firewall_arg)
		return (char *)(uintptr_t)firewall_arg;
	return config->firewall ? config->firewall : etc_firewall;
}

static char *signatures_path(const struct config *config)
{
	return config->ddos_signatures ? config->ddos_signatures : etc_signatures;
}

static struct drops_config drop_of(const struct config *c)
{
	struct drops_config drop = c->drop_by;

	drop.all = (c->drop_truncated ? PST_GUARD_DROP_TRUNCATED : 0u) |
		   (c->drop_malformed ? PST_GUARD_DROP_MALFORMED : 0u) |
		   (c->drop_no_ip ? PST_GUARD_DROP_NO_IP : 0u);
	return drop;
}

static uint64_t inner_of(const struct config *c)
{
	return (c->inner_ipip ? PST_GUARD_INNER_IPIP : 0u) | (c->inner_gre ? PST_GUARD_INNER_GRE : 0u) |
	       (c->inner_vxlan ? PST_GUARD_INNER_VXLAN : 0u);
}

void config_guard(const struct config *config, struct guard_config *ret_guard)
{
	*ret_guard = (struct guard_config){
		.run_dir = config->common.run_dir,
		.firewall = firewall_path(config),
		.firewall_named = firewall_arg || config->firewall,
		.lists = {.allow = config->allow.n ? &config->allow : &default_allow_paths,
			.block = config->block.n ? &config->block : &default_block_paths,
			.allow_named = config->allow.n,
			.block_named = config->block.n},
		.drop = drop_of(config),
		.inner = inner_of(config),
		.vxlan_port = (uint16_t)config->vxlan_port,
		.limits = config_limits(config),
		.syn_cookies = config->syn_cookies,
		.syn_ports = &config->syn_ports,
		.syn_except = &config->syn_except,
		.ddos = config_ddos(config),
		.flows = config->flows,
	};
	ret_guard->ddos.signatures = signatures_path(config);
	ret_guard->ddos.signatures_named = config->ddos_signatures;
	config_limits_by_protocol(config, ret_guard->by_protocol);
}

void config_force(const struct config *config, struct force_config *ret_force)
{
	*ret_force = (struct force_config){
		.run_dir = config->common.run_dir,
		.files = config->policies.n ? &config->policies : &default_policy_paths,
		.files_named = config->policies.n,
		.cgroup_root = cgroups_root(config->cgroup_root),
	};
}

const struct pst_strs *config_firewall_file(const struct config *config)
{
	static char *path;
	static const struct pst_strs file = {.v = &path, .n = 1};

	path = firewall_path(config);
	return &file;
}

const struct pst_strs *config_signatures_file(const struct config *config)
{
	static char *path;
	static const struct pst_strs file = {.v = &path, .n = 1};

	path = signatures_path(config);
	return &file;
}

const struct pst_strs *config_list_files(const struct config *config)
{
	static char *paths[2 * FILES_MAX];
	static struct pst_strs files;
	struct guard_config guard;

	config_guard(config, &guard);
	files = (struct pst_strs){.v = paths};
	for (size_t i = 0; i < guard.lists.allow->n; i++)
		paths[files.n++] = guard.lists.allow->v[i];
	for (size_t i = 0; i < guard.lists.block->n; i++)
		paths[files.n++] = guard.lists.block->v[i];
	return &files;
}
