// SPDX-License-Identifier: Apache-2.0
#include "policyd/policy/table.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "policyd/fw/words.h"
#include "proto/base/cleanup.h"
#include "proto/base/conf.h"
#include "proto/wire/names.h"

#define NAMES_MAX  256
#define ERRNOS_END 134

/* ---- operations ---- */

const struct policy_op policy_ops[] = {
#define OP_ROW(id, number, name, asks, help) {name, PST_OP_##id, asks, help},
	PST_POLICY_OPS(OP_ROW)
#undef OP_ROW
};
const size_t policy_n_ops = PST_ARRAY_SIZE(policy_ops);

const char *policy_op_name(unsigned number)
{
	for (size_t i = 0; i < policy_n_ops; i++)
		if (policy_ops[i].number == number)
			return policy_ops[i].name;
	return NULL;
}

uint64_t policy_key_ops(enum policy_key key)
{
	uint64_t ops = 0;

	for (size_t i = 0; i < policy_n_ops; i++)
		if (!policy_is_on_object(key) || policy_ops[i].asks >> key & 1)
			ops |= PST_OP_BIT(policy_ops[i].number);
	return ops;
}

/* ---- words ---- */

#define IN(names, value) ((value) < PST_ARRAY_SIZE(names) ? names[value] : NULL)

static const char *action_name(unsigned v)
{
	static const char *const names[PST_ACTIONS] = {
		NULL, "allow", "audit", "alert", "throttle", "deny", "kill"};

	return IN(names, v);
}

static const char *flag_name(unsigned v)
{
	static const char *const names[PST_FILE_FLAGS] = {"memfd", "unlinked", "upper", "setid"};

	return IN(names, v);
}

static const char *access_name(unsigned v)
{
	static const char *const names[PST_ACCESSES] = {"read", "write", "execute", "append"};

	return IN(names, v);
}

static const char *ns_name(unsigned v)
{
	static const char *const names[PST_NAMESPACES] = {
		"cgroup", "ipc", "mnt", "net", "pid", "time", "user", "uts"};

	return IN(names, v);
}

static const char *mode_name(unsigned v)
{
	static const char *const names[] = {"off", "audit", "enforce"};

	return IN(names, v);
}

static const char *need_name(unsigned v)
{
	static const char *const names[] = {NULL, "observe", "kill", "deny"};

	return IN(names, v);
}

static const char *family_name(unsigned v)
{
	static const char *const names[] = {
		[AF_UNIX] = "unix",
		[AF_INET] = "inet",
		[AF_INET6] = "inet6",
		[AF_KEY] = "key",
		[AF_NETLINK] = "netlink",
		[AF_PACKET] = "packet",
		[AF_RDS] = "rds",
		[AF_CAN] = "can",
		[AF_TIPC] = "tipc",
		[AF_BLUETOOTH] = "bluetooth",
		[AF_ALG] = "alg",
		[AF_VSOCK] = "vsock",
		[AF_XDP] = "xdp",
	};

	return IN(names, v);
}

static const char *protocol_name(unsigned v)
{
	return pst_name_of(PST_FMT_PROTO, v);
}

static const char *signal_name(unsigned v)
{
	return pst_name_of(PST_FMT_SIGNAL, v);
}

static const char *errno_name(unsigned v)
{
	return pst_name_of(PST_FMT_ERRNO, v);
}

static const char *cap_name(unsigned v)
{
	unsigned n;
	const char *const *names = pst_name_bits(PST_FMT_CAPS, &n);

	return v < n ? names[v] : NULL;
}

const struct policy_words policy_actions = {
	"action", "allow, audit, alert, throttle, deny or kill", action_name, PST_ACTIONS, false};
const struct policy_words policy_errnos = {
	"errno", "a name such as EPERM or EACCES", errno_name, ERRNOS_END, false};
const struct policy_words policy_modes = {"mode", "enforce, audit or off", mode_name, 3, false};
const struct policy_words policy_needs = {
	"capability of the kernel", "deny, kill or observe", need_name, 4, false};
const struct policy_words policy_ns_kinds = {
	"kind of namespace", "cgroup, ipc, mnt, net, pid, time, user or uts", ns_name, PST_NAMESPACES, false};
const struct policy_words policy_op_words = {
	"operation", "one such as file.open or process.exec", policy_op_name, PST_OPS_MAX, false};
static const struct policy_words flags = {
	"flag of a file", "memfd, unlinked, upper or setid", flag_name, PST_FILE_FLAGS, false};
static const struct policy_words accesses = {
	"access", "read, write, execute or append", access_name, PST_ACCESSES, false};
static const struct policy_words families = {
	"address family", "one such as inet, inet6, unix or a number up to 63", family_name, 64, true};
static const struct policy_words protocols = {
	"protocol", "tcp, udp, icmp, icmpv6 or a number up to 255", protocol_name, 256, true};
static const struct policy_words signals = {
	"signal", "a name such as SIGKILL or a number up to 64", signal_name, 65, true};
static const struct policy_words caps = {"capability", "a name such as CAP_SYS_ADMIN", cap_name, 64, false};

bool policy_word(const struct policy_words *words, const char *text, unsigned *ret_value)
{
	uint32_t number;

	for (unsigned v = 0; v < words->n; v++) {
		const char *name = words->name(v);

		if (!name || strcmp(name, text) != 0)
			continue;
		*ret_value = v;
		return true;
	}
	if (!words->numbers || !strncmp(text, "0x", 2) || !fw_number(text, words->n - 1, &number))
		return false;
	*ret_value = number;
	return true;
}

const char *policy_word_near(const struct policy_words *words, const char *text)
{
	const char *names[NAMES_MAX];
	size_t n = 0;

	for (unsigned v = 0; v < words->n && n < NAMES_MAX; v++)
		if (words->name(v))
			names[n++] = words->name(v);
	return pst_conf_did_you_mean(text, names, n);
}

/* ---- conditions ---- */

const struct policy_row policy_rows[POLICY_KEYS] = {
	[POLICY_PATHS] = {"paths", POLICY_T_PATTERNS, POLICY_IN_RULE, NULL,
		"the file's path, without symbolic links and `..`"},
	[POLICY_FLAGS] = {"flags", POLICY_T_WORDS, POLICY_IN_RULE, &flags,
		"a file that is only in memory (`memfd`), has no name any more (`unlinked`), was written "
		"since the "
		"container began (`upper`), has a set-id bit (`setid`)"},
	[POLICY_ACCESS] = {"access", POLICY_T_WORDS, POLICY_IN_RULE, &accesses, "one of these is asked for"},
	[POLICY_ADDRESSES] = {"addresses", POLICY_T_ADDRESSES, POLICY_IN_RULE, NULL,
		"IPv4 and IPv6 addresses and prefixes"},
	[POLICY_PORTS] = {"ports", POLICY_T_PORTS, POLICY_IN_RULE, NULL, "ports and ranges of ports"},
	[POLICY_PROTOCOLS] = {"protocols", POLICY_T_WORDS, POLICY_IN_RULE, &protocols,
		"IP protocols, by name or number"},
	[POLICY_FAMILIES] = {"families", POLICY_T_WORDS, POLICY_IN_RULE, &families,
		"address families, by name or number"},
	[POLICY_TARGETS] = {"targets", POLICY_T_PATTERNS, POLICY_IN_RULE, NULL,
		"executable of the other process"},
	[POLICY_SIGNALS] = {"signals", POLICY_T_WORDS, POLICY_IN_RULE, &signals,
		"signals, by name or number"},
	[POLICY_CAPABILITIES] = {"capabilities", POLICY_T_WORDS, POLICY_IN_RULE, &caps,
		"the capability that is used, or one of those that are set"},
	[POLICY_MODULES] = {"modules", POLICY_T_NAMES, POLICY_IN_RULE, NULL, "names of kernel modules"},
	[POLICY_ARGUMENTS] = {"arguments", POLICY_T_GLOBS, POLICY_IN_RULE, NULL,
		"one of the program's arguments; known too late to deny, so only with `action: kill` and "
		"weaker ones"},
	[POLICY_EXECUTABLES] = {"executables", POLICY_T_PATTERNS, POLICY_IN_RULE | POLICY_IN_SCOPE, NULL,
		"the process's executable"},
	[POLICY_PARENTS] = {"parents", POLICY_T_FILES, POLICY_IN_RULE, NULL, "executable of the parent"},
	[POLICY_ANCESTORS] = {"ancestors", POLICY_T_FILES, POLICY_IN_RULE, NULL,
		"executable of a process that this one descends from, or of itself before"},
	[POLICY_UIDS] = {"uids", POLICY_T_IDS, POLICY_IN_RULE | POLICY_IN_SCOPE, NULL,
		"effective user ids, as the host counts them"},
	[POLICY_GIDS] = {"gids", POLICY_T_IDS, POLICY_IN_RULE, NULL, "effective group ids, likewise"},
	[POLICY_HOLDS] = {"holds", POLICY_T_WORDS, POLICY_IN_RULE, &caps, "an effective capability"},
	[POLICY_GAINED] = {"gained", POLICY_T_WORDS, POLICY_IN_RULE, &caps,
		"an effective capability that it did not have when its program began"},
	[POLICY_NAMESPACES] = {"namespaces", POLICY_T_NAMESPACES, POLICY_IN_RULE, &policy_ns_kinds,
		"by kind, `host` (that of the host) or `other`; all that are named must hold"},
	[POLICY_CGROUPS] = {"cgroups", POLICY_T_CGROUPS, POLICY_IN_SCOPE, NULL,
		"control groups and all below them"},
	[POLICY_CONTAINERS] = {"containers", POLICY_T_TRUE, POLICY_IN_SCOPE, NULL, "in a container"},
	[POLICY_HOST] = {"host", POLICY_T_TRUE, POLICY_IN_SCOPE, NULL, "in no container"},
	[POLICY_DESCENDANTS] = {"descendantsOf", POLICY_T_FILES, POLICY_IN_SCOPE, NULL, "as `ancestors`"},
};
