// SPDX-License-Identifier: Apache-2.0
/* Sections `limits`, `syn` and `ddos`: what is done about floods. */
#include <stddef.h>
#include <string.h>

#include "policyd/config.h"
#include "policyd/guard/guard.h"
#include "policyd/guard/syn.h"
#include "proto/base/cleanup.h"

#define SECOND_NS 1000000000ull
#define BURST_MIN (20 * SECOND_NS / 1000) /* the programs' clock goes in jiffies */

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

const struct pst_conf_field config_limit_fields[] = {
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

const struct pst_conf_field config_syn_fields[] = {
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
	{.key = "except",
		.type = PST_CONF_STRS,
		.offset = offsetof(struct config, syn_except),
		.help = "which are not, although a socket listens: those that are translated (DNAT), as "
			"published ports of containers",
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

const struct pst_conf_field config_ddos_fields[] = {
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

static struct offenders_config offenders_of(const struct config *c)
{
	return (struct offenders_config){.after = c->offenders_after,
		.within_ns = c->offenders_within_ns,
		.for_ns = c->offenders_for_ns,
		.forgeable = c->offenders_forgeable,
		.action = DRY_OR_NOT(c->offenders_action)};
}

struct ddos_config config_ddos(const struct config *c)
{
	return (struct ddos_config){.lists = DRY_OR_NOT(c->ddos_lists),
		.limits = DRY_OR_NOT(c->ddos_limits),
		.flags = (enum ddos_action)c->ddos_flags,
		.amplification = (enum ddos_action)c->ddos_amplification,
		.offenders = offenders_of(c),
		.scrub = c->scrub_interface && *c->scrub_interface ? c->scrub_interface : NULL,
		.detect_packets = c->detect_packets,
		.quiet_ns = c->detect_quiet_ns};
}

struct pst_guard_limits config_limits(const struct config *c)
{
	const struct pst_rates all =
		rates_of(c->limit_packets, c->limit_bytes, c->limit_connections, c->limit_burst_ns);
	struct pst_guard_limits l = {0};

	memcpy(l.cost_ns, all.cost_ns, sizeof(l.cost_ns));
	memcpy(l.ahead_us, all.ahead_us, sizeof(l.ahead_us));
	syn_limit(&l, c);
	return l;
}

void config_limits_by_protocol(const struct config *c, struct pst_rates ret[PST_SIG_PROTOCOLS])
{
	const struct protocol_limit *const limits[PST_SIG_PROTOCOLS] = {[PST_SIG_TCP] = &c->limit_tcp,
		[PST_SIG_UDP] = &c->limit_udp,
		[PST_SIG_ICMP] = &c->limit_icmp,
		[PST_SIG_OTHER] = &c->limit_other};

	for (unsigned p = 0; p < PST_SIG_PROTOCOLS; p++)
		ret[p] = rates_of(limits[p]->packets, limits[p]->bytes, 0, c->limit_burst_ns);
}

static int check_ports(
	struct pst_conf_ctx *ctx, const struct pst_node *syn, const char *key, const struct pst_strs *texts)
{
	__u64 ports[PST_GUARD_PORT_WORDS];
	size_t bad = 0;

	if (!syn_ports_parse(texts, ports, &bad))
		return 0;
	return pst_conf_reject(ctx, syn ? pst_node_get(syn, key) : NULL,
		"entry %zu: expected a port from 1 to 65535, or a range as 8000-8080, not \"%.20s\"", bad + 1,
		texts->v[bad]);
}

int config_check_ports(struct pst_conf_ctx *ctx, const struct pst_node *section)
{
	const struct config *c = ctx->base;
	const struct pst_node *syn = section ? pst_node_get(section, "syn") : NULL;
	int r = check_ports(ctx, syn, "ports", &c->syn_ports);

	r = r ? r : check_ports(ctx, syn, "except", &c->syn_except);
	if (!r && c->syn_ports.n && c->syn_except.n)
		r = pst_conf_reject(ctx, pst_node_get(syn, "except"),
			"except: not beside `ports`, which names all that are answered");
	return r;
}
