// SPDX-License-Identifier: Apache-2.0
#include "policyd/config.h"

#include <stddef.h>
#include <string.h>

#include "policyd/guard/guard.h"
#include "policyd/guard/syn.h"
#include "proto/base/cleanup.h"

static char etc_rules[] = "/etc/penstock/rules.d";
static char share_rules[] = PST_PREFIX "/share/penstock/rules";
static char *default_rules[] = {etc_rules, share_rules};
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
#define BURST_MIN (20 * SECOND_NS / 1000) /* the programs' clock goes in jiffies */

struct config policyd_config = {.retention_bytes = 4 << 20,
	.drop_truncated = true,
	.drop_malformed = true,
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

/* Of a protocol. */
#define PROTOCOL_LIMIT(name)                                                                                 \
	static const struct pst_conf_field limit_##name##_fields[] = {                                       \
		{.key = "packets",                                                                           \
			.type = PST_CONF_U64,                                                                \
			.offset = offsetof(struct config, limit_##name.packets),                             \
			.help = "packets a second",                                                          \
			.max = SECOND_NS},                                                                   \
		{.key = "bytes",                                                                             \
			.type = PST_CONF_SIZE,                                                               \
			.offset = offsetof(struct config, limit_##name.bytes),                               \
			.help = "bytes a second",                                                            \
			.max = 1ull << 40},                                                                  \
		{0},                                                                                         \
	}
PROTOCOL_LIMIT(tcp);
PROTOCOL_LIMIT(udp);
PROTOCOL_LIMIT(icmp);
PROTOCOL_LIMIT(other);

static const struct pst_conf_field limit_fields[] = {
	{.key = "packets",
		.type = PST_CONF_U64,
		.offset = offsetof(struct config, limit_packets),
		.help = "packets a second",
		.max = SECOND_NS},
	{.key = "bytes",
		.type = PST_CONF_SIZE,
		.offset = offsetof(struct config, limit_bytes),
		.help = "bytes a second",
		.max = 1ull << 40},
	{.key = "connections",
		.type = PST_CONF_U64,
		.offset = offsetof(struct config, limit_connections),
		.help = "TCP connections that it begins a second",
		.max = SECOND_NS},
	{.key = "tcp",
		.type = PST_CONF_SECTION,
		.help = "of TCP alone, beside those of all",
		.section = limit_tcp_fields},
	{.key = "udp", .type = PST_CONF_SECTION, .help = "of UDP alone", .section = limit_udp_fields},
	{.key = "icmp",
		.type = PST_CONF_SECTION,
		.help = "of ICMP and ICMPv6 alone",
		.section = limit_icmp_fields},
	{.key = "other",
		.type = PST_CONF_SECTION,
		.help = "of all other protocols together",
		.section = limit_other_fields},
	{.key = "burst",
		.type = PST_CONF_TIME,
		.offset = offsetof(struct config, limit_burst_ns),
		.help = "what it has not used for so long it may send at once (1s)",
		.min = BURST_MIN,
		.max = 3600 * SECOND_NS},
	{0},
};

static const struct pst_conf_field syn_fields[] = {
	{.key = "rate",
		.type = PST_CONF_U64,
		.offset = offsetof(struct config, syn_rate),
		.help = "TCP connections that all sources together may begin a second (0: no limit)",
		.max = SECOND_NS},
	{.key = "burst",
		.type = PST_CONF_TIME,
		.offset = offsetof(struct config, syn_burst_ns),
		.help = "what was not used for so long may come at once (1s)",
		.min = BURST_MIN,
		.max = 3600 * SECOND_NS},
	{.key = "cookies",
		.type = PST_CONF_BOOL,
		.offset = offsetof(struct config, syn_cookies),
		.help = "those above the rate are answered with SYN cookies, not dropped (on)"},
	{.key = "ports",
		.type = PST_CONF_STRS,
		.offset = offsetof(struct config, syn_ports),
		.help = "which are answered: ports and ranges as 8000-8080 (default: where a socket of this "
			"network namespace listens)",
		.max = 256},
	{.key = "mss",
		.type = PST_CONF_U64,
		.offset = offsetof(struct config, syn_mss),
		.help = "the largest segment that an answer asks for over IPv4; over IPv6 it is 20 less "
			"(1460)",
		.min = 536,
		.max = 65495},
	{0},
};

static const struct pst_conf_field detect_fields[] = {
	{.key = "packets",
		.type = PST_CONF_U64,
		.offset = offsetof(struct config, detect_packets),
		.help = "packets a second that one step takes, from which on it is a flood; 0: never (10000)",
		.max = SECOND_NS},
	{.key = "quiet",
		.type = PST_CONF_TIME,
		.offset = offsetof(struct config, detect_quiet_ns),
		.help = "it has ended when it was below half of that for so long (10s)",
		.min = SECOND_NS,
		.max = 3600 * SECOND_NS},
	{0},
};

static const char *const ddos_actions[] = {"off", "count", "drop", NULL}; /* by enum ddos_action */
static const char *const dry_or_not[] = {"count", "drop", NULL};          /* from DDOS_COUNT on */
#define DRY_OR_NOT(i) ((enum ddos_action)(DDOS_COUNT + (i)))

static const struct pst_conf_field offenders_fields[] = {
	{.key = "after",
		.type = PST_CONF_U64,
		.offset = offsetof(struct config, offenders_after),
		.help = "packets of one source that flags, signatures and limits drop; 0: off (0)",
		.max = 1000000},
	{.key = "within",
		.type = PST_CONF_TIME,
		.offset = offsetof(struct config, offenders_within_ns),
		.help = "in so long (10s)",
		.min = SECOND_NS,
		.max = 3600 * SECOND_NS},
	{.key = "for",
		.type = PST_CONF_TIME,
		.offset = offsetof(struct config, offenders_for_ns),
		.help = "how long it is blocked then (10m)",
		.min = SECOND_NS,
		.max = 7 * 86400 * SECOND_NS},
	{.key = "forgeable",
		.type = PST_CONF_BOOL,
		.offset = offsetof(struct config, offenders_forgeable),
		.help = "counts packets of any kind, which others can send in its name, and not only those "
			"of its open TCP connections (off)"},
	{.key = "action",
		.type = PST_CONF_ENUM,
		.offset = offsetof(struct config, offenders_action),
		.help = "what comes from it: drop, or count what would be dropped (drop)",
		.names = dry_or_not},
	{0},
};

static const struct pst_conf_field scrub_fields[] = {
	{.key = "interface",
		.type = PST_CONF_STR,
		.offset = offsetof(struct config, scrub_interface),
		.help = "its name, in policyd's network namespace (default: none)"},
	{0},
};

static const struct pst_conf_field ddos_fields[] = {
	{.key = "lists",
		.type = PST_CONF_ENUM,
		.offset = offsetof(struct config, ddos_lists),
		.help = "what is on the block list: drop, or count what would be dropped (drop)",
		.names = dry_or_not},
	{.key = "limits",
		.type = PST_CONF_ENUM,
		.offset = offsetof(struct config, ddos_limits),
		.help = "what is over a limit, likewise (drop)",
		.names = dry_or_not},
	{.key = "flags",
		.type = PST_CONF_ENUM,
		.offset = offsetof(struct config, ddos_flags),
		.help = "TCP flags that no stack sends: off, count or drop (off)",
		.names = ddos_actions},
	{.key = "amplification",
		.type = PST_CONF_ENUM,
		.offset = offsetof(struct config, ddos_amplification),
		.help = "answers of services that are abused to amplify: off, count or drop (off)",
		.names = ddos_actions},
	{.key = "signatures",
		.type = PST_CONF_STR,
		.offset = offsetof(struct config, ddos_signatures),
		.help = "file of signatures (default: /etc/penstock/signatures.yaml if it is there)"},
	{.key = "offenders",
		.type = PST_CONF_SECTION,
		.help = "who goes on to send what is dropped is blocked for a time, in the kernel",
		.section = offenders_fields},
	{.key = "scrub",
		.type = PST_CONF_SECTION,
		.help = "where what signatures and limits drop is sent instead",
		.section = scrub_fields},
	{.key = "detect",
		.type = PST_CONF_SECTION,
		.help = "events ddos_detected and ddos_ended",
		.section = detect_fields},
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
	{.key = "limits",
		.type = PST_CONF_SECTION,
		.help = "what one source may send over guarded interfaces (default: no limit)",
		.section = limit_fields},
	{.key = "syn",
		.type = PST_CONF_SECTION,
		.help = "SYNs of all sources together, against floods from forged addresses",
		.section = syn_fields},
	{.key = "ddos",
		.type = PST_CONF_SECTION,
		.help = "what is done about floods, each step with a dry run",
		.section = ddos_fields},
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

/* Rate in units a second, one unit's time at least a nanosecond. */
static void limit(struct pst_rates *r, enum pst_limit which, uint64_t rate, uint64_t burst_ns)
{
	if (!rate)
		return;
	r->cost_ns[which] = (uint32_t)PST_MIN(PST_MAX(SECOND_NS / rate, 1), (uint64_t)UINT32_MAX);
	r->ahead_us[which] = (uint32_t)PST_MIN(burst_ns / 1000, (uint64_t)UINT32_MAX);
}

/* The unit of bytes is KiB. */
static struct pst_rates rates_of(uint64_t packets, uint64_t bytes, uint64_t connections, uint64_t burst_ns)
{
	struct pst_rates r = {0};

	limit(&r, PST_LIMIT_PACKETS, packets, burst_ns);
	limit(&r, PST_LIMIT_BYTES, bytes ? PST_MAX(bytes >> 10, 1) : 0, burst_ns);
	limit(&r, PST_LIMIT_CONNECTIONS, connections, burst_ns);
	return r;
}

static void syn_limit(struct pst_guard_limits *l, const struct config *c)
{
	if (!c->syn_rate)
		return;
	l->syn_cost_ns = (uint32_t)PST_MAX(SECOND_NS / c->syn_rate, 1);
	l->syn_ahead_us = (uint32_t)PST_MIN(c->syn_burst_ns / 1000, (uint64_t)UINT32_MAX);
	l->syn_mss = (uint32_t)c->syn_mss;
}

static char *signatures_path(const struct config *config)
{
	return config->ddos_signatures ? config->ddos_signatures : etc_signatures;
}

static struct offenders_config offenders_of(const struct config *c)
{
	return (struct offenders_config){.after = c->offenders_after,
		.within_ns = c->offenders_within_ns,
		.for_ns = c->offenders_for_ns,
		.forgeable = c->offenders_forgeable,
		.action = DRY_OR_NOT(c->offenders_action)};
}

static struct ddos_config ddos_of(const struct config *c)
{
	return (struct ddos_config){.lists = DRY_OR_NOT(c->ddos_lists),
		.limits = DRY_OR_NOT(c->ddos_limits),
		.flags = (enum ddos_action)c->ddos_flags,
		.amplification = (enum ddos_action)c->ddos_amplification,
		.offenders = offenders_of(c),
		.scrub = c->scrub_interface && *c->scrub_interface ? c->scrub_interface : NULL,
		.signatures = signatures_path(c),
		.signatures_named = c->ddos_signatures,
		.detect_packets = c->detect_packets,
		.quiet_ns = c->detect_quiet_ns};
}

static struct pst_guard_limits limits_of(const struct config *c)
{
	const struct pst_rates all =
		rates_of(c->limit_packets, c->limit_bytes, c->limit_connections, c->limit_burst_ns);
	struct pst_guard_limits l = {0};

	memcpy(l.cost_ns, all.cost_ns, sizeof(l.cost_ns));
	memcpy(l.ahead_us, all.ahead_us, sizeof(l.ahead_us));
	syn_limit(&l, c);
	return l;
}

static void limits_by_protocol(const struct config *c, struct pst_rates ret[PST_SIG_PROTOCOLS])
{
	const struct protocol_limit *const limits[PST_SIG_PROTOCOLS] = {[PST_SIG_TCP] = &c->limit_tcp,
		[PST_SIG_UDP] = &c->limit_udp,
		[PST_SIG_ICMP] = &c->limit_icmp,
		[PST_SIG_OTHER] = &c->limit_other};

	for (unsigned p = 0; p < PST_SIG_PROTOCOLS; p++)
		ret[p] = rates_of(limits[p]->packets, limits[p]->bytes, 0, c->limit_burst_ns);
}

static struct drops_config drop_of(const struct config *c)
{
	struct drops_config drop = c->drop_by;

	drop.all = (c->drop_truncated ? PST_GUARD_DROP_TRUNCATED : 0u) |
		   (c->drop_malformed ? PST_GUARD_DROP_MALFORMED : 0u) |
		   (c->drop_no_ip ? PST_GUARD_DROP_NO_IP : 0u);
	return drop;
}

int config_check_ports(struct pst_conf_ctx *ctx, const struct pst_node *section)
{
	const struct config *c = ctx->base;
	const struct pst_node *syn = section ? pst_node_get(section, "syn") : NULL;
	__u64 ports[PST_GUARD_PORT_WORDS];
	size_t bad = 0;

	if (!syn_ports_parse(&c->syn_ports, ports, &bad))
		return 0;
	return pst_conf_reject(ctx, syn ? pst_node_get(syn, "ports") : section,
		"entry %zu: expected a port from 1 to 65535, or a range as 8000-8080, not \"%.20s\"", bad + 1,
		c->syn_ports.v[bad]);
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
		.limits = limits_of(config),
		.syn_cookies = config->syn_cookies,
		.syn_ports = &config->syn_ports,
		.ddos = ddos_of(config),
	};
	limits_by_protocol(config, ret_guard->by_protocol);
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
