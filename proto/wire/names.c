// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>

#include "proto/abi/guard.h"
#include "proto/base/cleanup.h"
#include "proto/wire/names.h"

#define NUMBER_MAX 255 /* the last number that may have a name: protocols; libc's errno ends earlier */
#define SIGNAL_MAX 64
#define SIGNAL_RT  34 /* the first one that libc leaves to programs */

static const char *const caps[] = {
	"CAP_CHOWN",
	"CAP_DAC_OVERRIDE",
	"CAP_DAC_READ_SEARCH",
	"CAP_FOWNER",
	"CAP_FSETID",
	"CAP_KILL",
	"CAP_SETGID",
	"CAP_SETUID",
	"CAP_SETPCAP",
	"CAP_LINUX_IMMUTABLE",
	"CAP_NET_BIND_SERVICE",
	"CAP_NET_BROADCAST",
	"CAP_NET_ADMIN",
	"CAP_NET_RAW",
	"CAP_IPC_LOCK",
	"CAP_IPC_OWNER",
	"CAP_SYS_MODULE",
	"CAP_SYS_RAWIO",
	"CAP_SYS_CHROOT",
	"CAP_SYS_PTRACE",
	"CAP_SYS_PACCT",
	"CAP_SYS_ADMIN",
	"CAP_SYS_BOOT",
	"CAP_SYS_NICE",
	"CAP_SYS_RESOURCE",
	"CAP_SYS_TIME",
	"CAP_SYS_TTY_CONFIG",
	"CAP_MKNOD",
	"CAP_LEASE",
	"CAP_AUDIT_WRITE",
	"CAP_AUDIT_CONTROL",
	"CAP_SETFCAP",
	"CAP_MAC_OVERRIDE",
	"CAP_MAC_ADMIN",
	"CAP_SYSLOG",
	"CAP_WAKE_ALARM",
	"CAP_BLOCK_SUSPEND",
	"CAP_AUDIT_READ",
	"CAP_PERFMON",
	"CAP_BPF",
	"CAP_CHECKPOINT_RESTORE",
};
static const char *const tcp_flags[] = {"FIN", "SYN", "RST", "PSH", "ACK", "URG", "ECE", "CWR"};
static const char *const exec_flags[] = {
	"argv_cut", "path_cut", "cwd_cut", "memfd", "unlinked", "upper", "argv_fault", "setid"};
static const char *const cred_flags[] = {"in_exec", "before_unknown"};
/* enum pst_pol_flag, enum pst_pol_access, enum pst_object_odd */
static const char *const file_flags[] = {"memfd", "unlinked", "upper", "setid"};
static const char *const accesses[] = {"read", "write", "execute", "append"};
static const char *const path_odd[] = {
	"cut", "nowhere", "detached", "foreign", "removed", "mountless", "own"};

/* enum of net/tcp_states.h, which user space only has in part */
static const char *const tcp_states[] = {NULL, "ESTABLISHED", "SYN_SENT", "SYN_RECV", "FIN_WAIT1",
	"FIN_WAIT2", "TIME_WAIT", "CLOSE", "CLOSE_WAIT", "LAST_ACK", "LISTEN", "CLOSING", "NEW_SYN_RECV",
	"BOUND_INACTIVE"};
static const char *const severities[] = {"debug", "info", "notice", "warning", "error", "critical"};
static const char *const dirs[] = {"none", "in", "out"};
static const char *const bools[] = {"false", "true"};

static const char *const protocols[256] = {
	[IPPROTO_ICMP] = "icmp",
	[IPPROTO_IGMP] = "igmp",
	[IPPROTO_IPIP] = "ipip",
	[IPPROTO_TCP] = "tcp",
	[IPPROTO_EGP] = "egp",
	[IPPROTO_UDP] = "udp",
	[IPPROTO_DCCP] = "dccp",
	[IPPROTO_IPV6] = "ipv6",
	[IPPROTO_RSVP] = "rsvp",
	[IPPROTO_GRE] = "gre",
	[IPPROTO_ESP] = "esp",
	[IPPROTO_AH] = "ah",
	[IPPROTO_ICMPV6] = "icmpv6",
	[88] = "eigrp",
	[89] = "ospf",
	[IPPROTO_PIM] = "pim",
	[IPPROTO_COMP] = "ipcomp",
	[112] = "vrrp",
	[115] = "l2tp",
	[IPPROTO_SCTP] = "sctp",
	[IPPROTO_UDPLITE] = "udplite",
	[IPPROTO_MPLS] = "mpls",
};

static const char *const families[] = {
	[AF_UNIX] = "unix",
	[AF_INET] = "inet",
	[AF_AX25] = "ax25",
	[AF_INET6] = "inet6",
	[AF_KEY] = "key",
	[AF_NETLINK] = "netlink",
	[AF_PACKET] = "packet",
	[AF_RDS] = "rds",
	[AF_PPPOX] = "pppox",
	[AF_LLC] = "llc",
	[AF_CAN] = "can",
	[AF_TIPC] = "tipc",
	[AF_BLUETOOTH] = "bluetooth",
	[AF_RXRPC] = "rxrpc",
	[AF_PHONET] = "phonet",
	[AF_IEEE802154] = "ieee802154",
	[AF_ALG] = "alg",
	[AF_NFC] = "nfc",
	[AF_VSOCK] = "vsock",
	[AF_KCM] = "kcm",
	[AF_QIPCRTR] = "qipcrtr",
	[AF_SMC] = "smc",
	[AF_XDP] = "xdp",
};

/* What several names mean, or what the tables call otherwise. */
static const struct {
	uint8_t format;
	const char *name;
	uint32_t value;
} aliases[] = {
	{PST_FMT_FAMILY, "ipv4", AF_INET},
	{PST_FMT_FAMILY, "ipv6", AF_INET6},
	{PST_FMT_PROTO, "icmp6", IPPROTO_ICMPV6},
	{PST_FMT_ERRNO, "EWOULDBLOCK", EWOULDBLOCK},
	{PST_FMT_ERRNO, "EOPNOTSUPP", EOPNOTSUPP},
	{PST_FMT_ERRNO, "ENOTSUP", ENOTSUP},
	{PST_FMT_ERRNO, "EDEADLOCK", EDEADLOCK},
	{PST_FMT_SEVERITY, "warn", 3},
};

static char signal_names[SIGNAL_MAX + 1][16];

/* libc has them without SIG; made once, before there is any thread. */
__attribute__((constructor)) static void make_signal_names(void)
{
	for (int i = 1; i <= SIGNAL_MAX; i++) {
		const char *name = sigabbrev_np(i);

		if (name)
			snprintf(signal_names[i], sizeof(signal_names[i]), "SIG%s", name);
		else if (i == SIGNAL_RT)
			strcpy(signal_names[i], "SIGRTMIN");
		else if (i > SIGNAL_RT)
			snprintf(signal_names[i], sizeof(signal_names[i]), "SIGRTMIN+%d", i - SIGNAL_RT);
	}
}

static const char *in_table(const char *const *table, size_t n, uint64_t v)
{
	return v < n ? table[v] : NULL;
}

const char *pst_name_of(enum pst_field_format format, uint64_t v)
{
	switch (format) {
	case PST_FMT_PROTO:
		return in_table(protocols, PST_ARRAY_SIZE(protocols), v);
	case PST_FMT_DIR:
		return in_table(dirs, PST_ARRAY_SIZE(dirs), v);
	case PST_FMT_ERRNO:
		return v && v <= NUMBER_MAX ? strerrorname_np((int)v) : NULL;
	case PST_FMT_SIGNAL:
		return v <= SIGNAL_MAX && signal_names[v][0] ? signal_names[v] : NULL;
	case PST_FMT_TCPSTATE:
		return in_table(tcp_states, PST_ARRAY_SIZE(tcp_states), v);
	case PST_FMT_FAMILY:
		return in_table(families, PST_ARRAY_SIZE(families), v);
	case PST_FMT_SEVERITY:
		return in_table(severities, PST_ARRAY_SIZE(severities), v);
	case PST_FMT_BOOL:
		return in_table(bools, PST_ARRAY_SIZE(bools), v);
	default:
		return NULL;
	}
}

const char *const *pst_name_bits(enum pst_field_format format, unsigned *ret_n)
{
	switch (format) {
	case PST_FMT_CAPS:
		*ret_n = PST_ARRAY_SIZE(caps);
		return caps;
	case PST_FMT_TCPFLAGS:
		*ret_n = PST_ARRAY_SIZE(tcp_flags);
		return tcp_flags;
	case PST_FMT_EXECFLAGS:
		*ret_n = PST_ARRAY_SIZE(exec_flags);
		return exec_flags;
	case PST_FMT_CREDFLAGS:
		*ret_n = PST_ARRAY_SIZE(cred_flags);
		return cred_flags;
	case PST_FMT_FILEFLAGS:
		*ret_n = PST_ARRAY_SIZE(file_flags);
		return file_flags;
	case PST_FMT_ACCESS:
		*ret_n = PST_ARRAY_SIZE(accesses);
		return accesses;
	case PST_FMT_PATHODD:
		*ret_n = PST_ARRAY_SIZE(path_odd);
		return path_odd;
	default:
		*ret_n = 0;
		return NULL;
	}
}

/* @table may be given without its @prefix. */
static bool same(const char *table, const char *prefix, const char *name, size_t len)
{
	size_t skip = strlen(prefix);

	if (!strncasecmp(table, name, len) && !table[len])
		return true;
	return !strncmp(table, prefix, skip) && !strncasecmp(table + skip, name, len) && !table[skip + len];
}

static int flag_value(const char *const *bits, unsigned n, const char *prefix, const char *name, size_t len,
	uint64_t *ret_value)
{
	for (unsigned i = 0; i < n; i++)
		if (same(bits[i], prefix, name, len)) {
			*ret_value = 1ull << i;
			return 0;
		}
	return -EINVAL;
}

int pst_name_value(enum pst_field_format format, const char *name, size_t len, uint64_t *ret_value)
{
	unsigned n;
	const char *const *bits = pst_name_bits(format, &n);

	if (!len || memchr(name, 0, len))
		return -EINVAL;
	if (bits)
		return flag_value(bits, n, format == PST_FMT_CAPS ? "CAP_" : "", name, len, ret_value);
	for (size_t i = 0; i < PST_ARRAY_SIZE(aliases); i++)
		if (aliases[i].format == format && same(aliases[i].name, "", name, len)) {
			*ret_value = aliases[i].value;
			return 0;
		}
	for (unsigned v = 0; v <= NUMBER_MAX; v++) {
		const char *text = pst_name_of(format, v);

		if (text && same(text, format == PST_FMT_SIGNAL ? "SIG" : "", name, len)) {
			*ret_value = v;
			return 0;
		}
	}
	return -EINVAL;
}

const char *pst_guard_reason_name(unsigned reason)
{
	static const char *const names[] = {
		[PST_GUARD_OFF] = "off",
		[PST_GUARD_PASSED] = "passed",
		[PST_GUARD_BLOCKED] = "blocked",
		[PST_GUARD_TRUNCATED] = "truncated",
		[PST_GUARD_MALFORMED] = "malformed",
		[PST_GUARD_FW_ACCEPT] = "fw_accept",
		[PST_GUARD_FW_DROP] = "fw_drop",
		[PST_GUARD_FW_REJECT] = "fw_reject",
		[PST_GUARD_FW_POLICY] = "fw_policy",
		[PST_GUARD_FW_NO_MATCH] = "fw_no_match",
		[PST_GUARD_RATE] = "rate",
		[PST_GUARD_NO_IP] = "no_ip",
		[PST_GUARD_BAD_FLAGS] = "bad_flags",
		[PST_GUARD_SIGNATURE] = "signature",
		[PST_GUARD_SYN_COOKIE] = "syn_cookie",
		[PST_GUARD_SYN_LIMIT] = "syn_limit",
		[PST_GUARD_OFFENDER] = "offender",
		[PST_GUARD_FW_STEP] = "fw_next",
	};

	static_assert(PST_ARRAY_SIZE(names) == PST_GUARD_REASONS, "each has a name");
	return in_table(names, PST_GUARD_REASONS, reason);
}

const char *pst_guard_offence_name(unsigned offence)
{
	static const char *const names[] = {
		[PST_OFFENCE_RATE] = "rate",
		[PST_OFFENCE_SIGNATURE] = "signature",
		[PST_OFFENCE_FLAGS] = "bad_flags",
	};

	static_assert(PST_ARRAY_SIZE(names) == PST_OFFENCES, "each has a name");
	return in_table(names, PST_OFFENCES, offence);
}

const char *pst_guard_protocol_name(unsigned protocol)
{
	static const char *const names[] = {
		[PST_GUARD_TCP] = "tcp",
		[PST_GUARD_UDP] = "udp",
		[PST_GUARD_ICMP] = "icmp",
		[PST_GUARD_ICMPV6] = "icmpv6",
		[PST_GUARD_SCTP] = "sctp",
		[PST_GUARD_GRE] = "gre",
		[PST_GUARD_ARP] = "arp",
		[PST_GUARD_OTHER] = "other",
	};

	static_assert(PST_ARRAY_SIZE(names) == PST_GUARD_PROTOCOLS, "each has a name");
	return in_table(names, PST_GUARD_PROTOCOLS, protocol);
}

const char *pst_guard_verdict_name(unsigned verdict)
{
	static const char *const names[] = {
		[PST_GUARD_PASS] = "pass",
		[PST_GUARD_DROP] = "drop",
		[PST_GUARD_ANSWER] = "answer",
	};

	static_assert(PST_ARRAY_SIZE(names) == PST_GUARD_VERDICTS, "each has a name");
	return in_table(names, PST_GUARD_VERDICTS, verdict);
}

const char *pst_guard_event_name(unsigned event)
{
	static const char *const names[] = {
		[PST_GUARD_FLOW_FULL - PST_GUARD_FIRST_EVENT] = "flow_full",
		[PST_GUARD_CT_BEGUN - PST_GUARD_FIRST_EVENT] = "ct_begun",
		[PST_GUARD_CT_CONFIRMED - PST_GUARD_FIRST_EVENT] = "ct_confirmed",
		[PST_GUARD_CT_EVICTED - PST_GUARD_FIRST_EVENT] = "ct_evicted",
		[PST_GUARD_CT_FULL - PST_GUARD_FIRST_EVENT] = "ct_full",
		[PST_GUARD_RATE_FULL - PST_GUARD_FIRST_EVENT] = "rate_full",
		[PST_GUARD_DRY_BLOCKED - PST_GUARD_FIRST_EVENT] = "dry_blocked",
		[PST_GUARD_DRY_RATE - PST_GUARD_FIRST_EVENT] = "dry_rate",
		[PST_GUARD_DRY_BAD_FLAGS - PST_GUARD_FIRST_EVENT] = "dry_bad_flags",
		[PST_GUARD_DRY_SIGNATURE - PST_GUARD_FIRST_EVENT] = "dry_signature",
		[PST_GUARD_DRY_OFFENDER - PST_GUARD_FIRST_EVENT] = "dry_offender",
		[PST_GUARD_OFFENDER_BLOCKED - PST_GUARD_FIRST_EVENT] = "offender_blocked",
		[PST_GUARD_OFFENDER_FULL - PST_GUARD_FIRST_EVENT] = "offender_full",
		[PST_GUARD_UNANSWERED - PST_GUARD_FIRST_EVENT] = "unanswered",
		[PST_GUARD_LOG_HELD - PST_GUARD_FIRST_EVENT] = "log_held",
		[PST_GUARD_UNMARKED - PST_GUARD_FIRST_EVENT] = "unmarked",
		[PST_GUARD_SCRUBBED - PST_GUARD_FIRST_EVENT] = "scrubbed",
	};

	static_assert(PST_ARRAY_SIZE(names) == PST_GUARD_EVENTS - PST_GUARD_FIRST_EVENT, "each has a name");
	return event < PST_GUARD_FIRST_EVENT
		       ? NULL
		       : in_table(names, PST_ARRAY_SIZE(names), event - PST_GUARD_FIRST_EVENT);
}
