// SPDX-License-Identifier: Apache-2.0
#include "loader/config.h"

#include <string.h>

#include "loader/ladder.h"
#include "loader/patterns.h"
#include "proto/abi/guard.h"
#include "proto/abi/policy.h"
#include "proto/base/cleanup.h"

#define KIB    (1ull << 10)
#define MIB    (1ull << 20)
#define SECOND 1000000000ull

#define SENSOR_FIELD(k, id, text)                                                                            \
	{                                                                                                    \
		.key = (k), .type = PST_CONF_BOOL, .offset = offsetof(struct loader_config, sensors[id]),    \
		.help = (text)                                                                               \
	}

static const struct pst_conf_field sensor_fields[] = {
	SENSOR_FIELD("process", SENSOR_PROCESS, "fork, exec, exit"),
	SENSOR_FIELD("exec_failed", SENSOR_EXEC_FAILED, "exec that failed"),
	SENSOR_FIELD("cred", SENSOR_CRED, "change of credentials"),
	SENSOR_FIELD("tcp", SENSOR_TCP, "TCP connect, listen, close, retransmit, reset"),
	SENSOR_FIELD("accept", SENSOR_ACCEPT, "TCP accept"),
	SENSOR_FIELD("udp", SENSOR_UDP, "UDP traffic by socket and peer"),
	SENSOR_FIELD("drops", SENSOR_DROPS, "packets that the kernel dropped, with its reason"),
	SENSOR_FIELD("flows", SENSOR_FLOWS, "flows, and packets by interface and protocol"),
	SENSOR_FIELD(
		"syscalls", SENSOR_SYSCALLS, "system calls by number and cgroup; costs every call a little"),
	SENSOR_FIELD("module", SENSOR_MODULE, "kernel modules that are loaded"),
	SENSOR_FIELD("bpf", SENSOR_BPF, "BPF programs that are loaded"),
	SENSOR_FIELD("ptrace", SENSOR_PTRACE, "processes that trace others or write into their memory"),
	SENSOR_FIELD("signal", SENSOR_SIGNAL, "signals to a process of another cgroup"),
	SENSOR_FIELD("namespace", SENSOR_NAMESPACE, "unshare and setns"),
	SENSOR_FIELD("memfd", SENSOR_MEMFD, "files that exist in memory alone (memfd_create)"),
	SENSOR_FIELD("exec_memory", SENSOR_EXEC_MEMORY, "anonymous memory made executable"),
	SENSOR_FIELD("perf", SENSOR_PERF, "performance counters and their samples (perf_event_open)"),
	SENSOR_FIELD("proc_mem", SENSOR_PROC_MEM, "memory of others opened for writing in /proc"),
	SENSOR_FIELD("capability", SENSOR_CAPABILITY,
		"checks of capabilities, with the answer; off by default, as there are many"),
	SENSOR_FIELD("socket", SENSOR_SOCKET,
		"sockets of unusual kinds: raw, packet, netlink but of routes, all but IP and Unix"),
	SENSOR_FIELD("bind", SENSOR_BIND, "addresses that sockets are bound to: IP, Unix, packet, vsock"),
	SENSOR_FIELD("file_unlink", SENSOR_FILE_UNLINK, "names of files that are removed; off by default"),
	SENSOR_FIELD("file_rename", SENSOR_FILE_RENAME, "files that are renamed; off by default"),
	SENSOR_FIELD("file_link", SENSOR_FILE_LINK, "further names of files (hard links); off by default"),
	SENSOR_FIELD("file_symlink", SENSOR_FILE_SYMLINK, "symbolic links that are made; off by default"),
	SENSOR_FIELD("file_mkdir", SENSOR_FILE_MKDIR, "directories that are made; off by default"),
	SENSOR_FIELD("file_mknod", SENSOR_FILE_MKNOD, "devices and FIFOs that are made"),
	SENSOR_FIELD("file_chmod", SENSOR_FILE_CHMOD, "modes of files that are changed; off by default"),
	SENSOR_FIELD("file_chown", SENSOR_FILE_CHOWN, "owners of files that are changed; off by default"),
	SENSOR_FIELD("file_truncate", SENSOR_FILE_TRUNCATE, "lengths of files that are set; off by default"),
	SENSOR_FIELD("file_xattr", SENSOR_FILE_XATTR, "extended attributes that are set or removed"),
	SENSOR_FIELD("file_mount", SENSOR_FILE_MOUNT, "file systems that are mounted or moved"),
	SENSOR_FIELD("file_umount", SENSOR_FILE_UMOUNT, "file systems that are unmounted"),
	SENSOR_FIELD("file_pivot_root", SENSOR_FILE_PIVOT_ROOT, "mount namespaces that get another root"),
	SENSOR_FIELD("policy_exec", SENSOR_POLICY_EXEC, "policies: programs that are started"),
	SENSOR_FIELD("policy_open", SENSOR_POLICY_OPEN, "policies: files that are opened"),
	SENSOR_FIELD("policy_file", SENSOR_POLICY_FILE, "policies: changes of files, and mounts"),
	SENSOR_FIELD("policy_chown", SENSOR_POLICY_CHOWN, "policies: owners of files that are changed"),
	SENSOR_FIELD("policy_net", SENSOR_POLICY_NET, "policies: what is done with sockets"),
	SENSOR_FIELD("policy_proc", SENSOR_POLICY_PROC,
		"policies: ptrace, signals, ids, capabilities, bpf, perf, memory that becomes executable"),
	SENSOR_FIELD("policy_made", SENSOR_POLICY_MADE, "policies: namespaces, and files in memory alone"),
	SENSOR_FIELD("policy_module", SENSOR_POLICY_MODULE, "policies: kernel modules that are loaded"),
	SENSOR_FIELD(
		"guard", SENSOR_GUARD, "packets that rules and lists drop, on the interfaces of `guard`"),
	{0},
};

#define RUNG_FIELD(k, id)                                                                                    \
	{                                                                                                    \
		.key = (k), .type = PST_CONF_STR, .offset = offsetof(struct loader_config, rungs[id]),       \
		.help = "auto, or the only rung of the ladder to try", .min = 1, .max = 32                   \
	}

static const struct pst_conf_field rung_fields[] = {
	RUNG_FIELD("process", SENSOR_PROCESS),
	RUNG_FIELD("exec_failed", SENSOR_EXEC_FAILED),
	RUNG_FIELD("cred", SENSOR_CRED),
	RUNG_FIELD("tcp", SENSOR_TCP),
	RUNG_FIELD("accept", SENSOR_ACCEPT),
	RUNG_FIELD("udp", SENSOR_UDP),
	RUNG_FIELD("drops", SENSOR_DROPS),
	RUNG_FIELD("flows", SENSOR_FLOWS),
	RUNG_FIELD("syscalls", SENSOR_SYSCALLS),
	RUNG_FIELD("module", SENSOR_MODULE),
	RUNG_FIELD("bpf", SENSOR_BPF),
	RUNG_FIELD("ptrace", SENSOR_PTRACE),
	RUNG_FIELD("signal", SENSOR_SIGNAL),
	RUNG_FIELD("namespace", SENSOR_NAMESPACE),
	RUNG_FIELD("memfd", SENSOR_MEMFD),
	RUNG_FIELD("exec_memory", SENSOR_EXEC_MEMORY),
	RUNG_FIELD("perf", SENSOR_PERF),
	RUNG_FIELD("proc_mem", SENSOR_PROC_MEM),
	RUNG_FIELD("capability", SENSOR_CAPABILITY),
	RUNG_FIELD("socket", SENSOR_SOCKET),
	RUNG_FIELD("bind", SENSOR_BIND),
	RUNG_FIELD("file_unlink", SENSOR_FILE_UNLINK),
	RUNG_FIELD("file_rename", SENSOR_FILE_RENAME),
	RUNG_FIELD("file_link", SENSOR_FILE_LINK),
	RUNG_FIELD("file_symlink", SENSOR_FILE_SYMLINK),
	RUNG_FIELD("file_mkdir", SENSOR_FILE_MKDIR),
	RUNG_FIELD("file_mknod", SENSOR_FILE_MKNOD),
	RUNG_FIELD("file_chmod", SENSOR_FILE_CHMOD),
	RUNG_FIELD("file_chown", SENSOR_FILE_CHOWN),
	RUNG_FIELD("file_truncate", SENSOR_FILE_TRUNCATE),
	RUNG_FIELD("file_xattr", SENSOR_FILE_XATTR),
	RUNG_FIELD("file_mount", SENSOR_FILE_MOUNT),
	RUNG_FIELD("file_umount", SENSOR_FILE_UMOUNT),
	RUNG_FIELD("file_pivot_root", SENSOR_FILE_PIVOT_ROOT),
	RUNG_FIELD("policy_exec", SENSOR_POLICY_EXEC),
	RUNG_FIELD("policy_open", SENSOR_POLICY_OPEN),
	RUNG_FIELD("policy_file", SENSOR_POLICY_FILE),
	RUNG_FIELD("policy_chown", SENSOR_POLICY_CHOWN),
	RUNG_FIELD("policy_net", SENSOR_POLICY_NET),
	RUNG_FIELD("policy_proc", SENSOR_POLICY_PROC),
	RUNG_FIELD("policy_made", SENSOR_POLICY_MADE),
	RUNG_FIELD("policy_module", SENSOR_POLICY_MODULE),
	RUNG_FIELD("guard", SENSOR_GUARD),
	{0},
};

#define RING_FIELD(k, class, text)                                                                           \
	{                                                                                                    \
		.key = (k), .type = PST_CONF_SIZE,                                                           \
		.offset = offsetof(struct loader_config, ring_bytes[class]), .help = (text),                 \
		.min = 64 * KIB, .max = 1024 * MIB                                                           \
	}

static const struct pst_conf_field ring_fields[] = {
	RING_FIELD("process", PST_CLASS_PROCESS, "ring of process records, a power of two"),
	RING_FIELD("net", PST_CLASS_NET, "ring of socket records"),
	RING_FIELD("flow", PST_CLASS_FLOW, "ring of evicted flows"),
	{0},
};

static const struct pst_conf_field flow_fields[] = {
	{.key = "slots",
		.type = PST_CONF_U64,
		.offset = offsetof(struct loader_config, flow_slots),
		.help = "flows kept at once, a power of two; 128 bytes each",
		.min = 64,
		.max = 1 << 24},
	{.key = "idle",
		.type = PST_CONF_TIME,
		.offset = offsetof(struct loader_config, flow_idle_ns),
		.help = "a flow silent for so long may give its slot to another",
		.min = SECOND,
		.max = 86400 * SECOND},
	{0},
};

static const struct pst_conf_field udp_fields[] = {
	{.key = "slots",
		.type = PST_CONF_U64,
		.offset = offsetof(struct loader_config, udp_slots),
		.help = "pairs of UDP socket and peer kept at once, a power of two; 128 bytes each",
		.min = 64,
		.max = 1 << 24},
	{.key = "idle",
		.type = PST_CONF_TIME,
		.offset = offsetof(struct loader_config, udp_idle_ns),
		.help = "a pair silent for so long may give its slot to another",
		.min = SECOND,
		.max = 86400 * SECOND},
	{0},
};

#define GUARD_MEMORY_MIN (16 * KIB)
#define GUARD_MEMORY_MAX (1024 * MIB)
static_assert(GUARD_MEMORY_MIN % (2 * sizeof(union pst_line)) == 0, "two halves of whole lines");

static const struct pst_conf_field guard_fields[] = {
	{.key = "interfaces",
		.type = PST_CONF_STRS,
		.offset = offsetof(struct loader_config, guarded),
		.help = "interfaces whose incoming packets are judged: names, globs, \"default route\"; "
			"!name leaves out",
		.max = PATTERNS_MAX},
	{.key = "firewall_memory",
		.type = PST_CONF_SIZE,
		.offset = offsetof(struct loader_config, firewall_memory),
		.help = "memory of compiled rules, a power of two; before Linux 5.17 at most 8MiB",
		.min = GUARD_MEMORY_MIN,
		.max = GUARD_MEMORY_MAX},
	{.key = "list_memory",
		.type = PST_CONF_SIZE,
		.offset = offsetof(struct loader_config, list_memory),
		.help = "memory of allow and block list, a power of two; 32MiB hold a million IPv4 addresses",
		.min = GUARD_MEMORY_MIN,
		.max = GUARD_MEMORY_MAX},
	{.key = "connections",
		.type = PST_CONF_U64,
		.offset = offsetof(struct loader_config, connections),
		.help = "connections tracked at once, and as many that have only begun; a power of two; 64 "
			"bytes each",
		.min = 64,
		.max = 1 << 24},
	{.key = "sources",
		.type = PST_CONF_U64,
		.offset = offsetof(struct loader_config, sources),
		.help = "sources limited at once, a power of two; 32 bytes each",
		.min = 64,
		.max = 1 << 24},
	{0},
};

/* A quarter is a half of one of the two tables: what the cgroups alone take, or what the tables may have. */
#define POLICY_MEMORY_MIN (1 * MIB)
#define POLICY_MEMORY_MAX (4 * PST_POL_LINES * sizeof(union pst_line))
static_assert(PST_POL_LINES == PST_PATHS_LINES, "both tables have one size");

static const struct pst_conf_field policy_fields[] = {
	{.key = "memory",
		.type = PST_CONF_SIZE,
		.offset = offsetof(struct loader_config, policy_memory),
		.help = "memory of compiled policies, a power of two; 16MiB hold ten thousand rules",
		.min = POLICY_MEMORY_MIN,
		.max = POLICY_MEMORY_MAX},
	{0},
};

const struct pst_conf_field loader_fields[] = {
	{.key = "sensors", .type = PST_CONF_SECTION, .help = "what is watched", .section = sensor_fields},
	{.key = "rungs",
		.type = PST_CONF_SECTION,
		.help = "how it is watched: auto, or one rung of the ladder (for tests)",
		.section = rung_fields},
	{.key = "rings",
		.type = PST_CONF_SECTION,
		.help = "sizes of the ring buffers",
		.section = ring_fields},
	{.key = "flows", .type = PST_CONF_SECTION, .help = "the flow table", .section = flow_fields},
	{.key = "udp", .type = PST_CONF_SECTION, .help = "the table of UDP peers", .section = udp_fields},
	{.key = "guard",
		.type = PST_CONF_SECTION,
		.help = "where packets are judged, and room for what they are judged by",
		.section = guard_fields},
	{.key = "policies",
		.type = PST_CONF_SECTION,
		.help = "room for policies, while a sensor of them is on",
		.section = policy_fields},
	{.key = "drop_rate",
		.type = PST_CONF_U64,
		.offset = offsetof(struct loader_config, drop_rate),
		.help = "most records a second of dropped packets, and of resets; the rest is counted",
		.min = 1,
		.max = 10000000},
	{.key = "cgroup_rate",
		.type = PST_CONF_U64,
		.offset = offsetof(struct loader_config, cgroup_rate),
		.help = "most records a second of one cgroup, each of signals, tracing, namespaces, memory, "
			"sockets, files and the like; the rest is counted",
		.min = 1,
		.max = 10000000},
	{.key = "capability_interval",
		.type = PST_CONF_TIME,
		.offset = offsetof(struct loader_config, capability_ns),
		.help = "equal checks of a capability are told once in so long, with their number",
		.min = SECOND,
		.max = 86400 * SECOND},
	{.key = "interfaces",
		.type = PST_CONF_STRS,
		.offset = offsetof(struct loader_config, interfaces),
		.help = "interfaces whose packets are counted: names, globs, \"default route\"; !name leaves "
			"out",
		.max = PATTERNS_MAX},
	{.key = "xdp",
		.type = PST_CONF_STRS,
		.offset = offsetof(struct loader_config, xdp),
		.help = "interfaces whose incoming packets are counted at XDP instead of tc (default: none)",
		.max = PATTERNS_MAX},
	{.key = "cgroup",
		.type = PST_CONF_STR,
		.offset = offsetof(struct loader_config, cgroup),
		.help = "auto, or the folder of the cgroup2 hierarchy",
		.min = 1,
		.max = 255},
	{.key = "bpf_stats",
		.type = PST_CONF_BOOL,
		.offset = offsetof(struct loader_config, bpf_stats),
		.help = "run time of the kernel programs while serving; two clock reads a run, of every "
			"program on "
			"the host"},
	{0},
};

static int strs_set(struct pst_strs *strs, const char *const *from, size_t n)
{
	struct pst_strs out = {.v = calloc(n ? n : 1, sizeof(*out.v))};

	if (!out.v)
		return -ENOMEM;
	for (; out.n < n; out.n++) {
		out.v[out.n] = strdup(from[out.n]);
		if (!out.v[out.n]) {
			pst_strs_done(&out);
			return -ENOMEM;
		}
	}
	*strs = out;
	return 0;
}

/* What compilers and package managers do all day, and what the kernel asks at every other call: told on
 * request. */
static bool is_frequent(int sensor)
{
	static const int frequent[] = {SENSOR_FILE_UNLINK, SENSOR_FILE_RENAME, SENSOR_FILE_LINK,
		SENSOR_FILE_SYMLINK, SENSOR_FILE_MKDIR, SENSOR_FILE_CHMOD, SENSOR_FILE_CHOWN,
		SENSOR_FILE_TRUNCATE, SENSOR_CAPABILITY};

	for (size_t i = 0; i < PST_ARRAY_SIZE(frequent); i++)
		if (frequent[i] == sensor)
			return true;
	return false;
}

static int init(struct loader_config *c)
{
	static const char *const interfaces[] = {"*", "!lo"};
	int r;

	for (int i = 0; i < SENSOR_MAX; i++) {
		c->sensors[i] = !is_frequent(i);
		c->rungs[i] = strdup("auto");
		if (!c->rungs[i])
			return -ENOMEM;
	}
	c->cgroup = strdup("auto");
	r = strs_set(&c->interfaces, interfaces, PST_ARRAY_SIZE(interfaces));
	r = r ? r : strs_set(&c->xdp, NULL, 0);
	r = r ? r : strs_set(&c->guarded, NULL, 0);
	return r || !c->cgroup ? -ENOMEM : 0;
}

int loader_config_init(struct loader_config *config)
{
	struct loader_config c = {
		.ring_bytes =
			{[PST_CLASS_PROCESS] = 4 * MIB, [PST_CLASS_NET] = 4 * MIB, [PST_CLASS_FLOW] = MIB},
		.flow_slots = 65536,
		.flow_idle_ns = 30 * SECOND,
		.udp_slots = 8192,
		.udp_idle_ns = 30 * SECOND,
		.drop_rate = 1000,
		.cgroup_rate = 200,
		.capability_ns = 60 * SECOND,
		.firewall_memory = 8 * MIB,
		.list_memory = 8 * MIB,
		.connections = 65536,
		.sources = 131072,
		.policy_memory = POLICY_MEMORY_MAX,
	};
	int r = init(&c);

	if (r) {
		loader_config_done(&c);
		return r;
	}
	*config = c;
	return 0;
}

void loader_config_done(struct loader_config *config)
{
	pst_conf_release(config, loader_fields);
	memset(config, 0, sizeof(*config));
}

/* ---- checks ---- */

static const struct pst_node *node_at(const struct pst_node *section, const char *a, const char *b)
{
	const struct pst_node *node = section ? pst_node_get(section, a) : NULL;
	const struct pst_node *inner = node && b ? pst_node_get(node, b) : NULL;

	return inner ? inner : node ? node : section;
}

static void check_power(struct pst_conf_ctx *ctx, const struct pst_node *section, const char *a,
	const char *b, uint64_t value)
{
	if (value & (value - 1))
		pst_conf_reject(ctx, node_at(section, a, b), "expected a power of two, got %llu",
			(unsigned long long)value);
}

static void check_rung(
	struct pst_conf_ctx *ctx, const struct pst_node *section, enum sensor_id id, const char *name)
{
	const struct sensor *sensor = &sensors[id];
	const char *names[RUNGS_MAX + 1] = {"auto"};
	const char *near;
	size_t n = 1;

	if (!strcmp(name, "auto") || ladder_rung_find(id, name) >= 0)
		return;
	for (size_t i = 0; i < RUNGS_MAX && sensor->rungs[i].name; i++)
		names[n++] = sensor->rungs[i].name;
	near = pst_conf_did_you_mean(name, names, n);
	if (near)
		pst_conf_reject(ctx, node_at(section, "rungs", sensor->name),
			"%s has no rung \"%s\", did you mean \"%s\"?", sensor->name, name, near);
	else
		pst_conf_reject(ctx, node_at(section, "rungs", sensor->name),
			"%s has no rung \"%s\" (strongest: \"%s\")", sensor->name, name, names[1]);
}

/* A list may be given as one text. */
static const struct pst_node *entry_at(const struct pst_node *list, size_t i)
{
	const struct pst_node *n = list && list->type == PST_NODE_SEQUENCE ? list->child : NULL;

	while (n && i--)
		n = n->next;
	return n ? n : list;
}

static void check_patterns(
	struct pst_conf_ctx *ctx, const struct pst_node *list, const struct pst_strs *patterns)
{
	for (size_t i = 0; i < patterns->n; i++) {
		const char *flaw = patterns_flaw(patterns->v[i]);

		if (flaw)
			pst_conf_reject(ctx, entry_at(list, i),
				"expected the name of an interface, a glob or \"default route\": %s", flaw);
	}
}

static void check_guarded(
	struct pst_conf_ctx *ctx, const struct pst_node *list, const struct pst_strs *patterns)
{
	check_patterns(ctx, list, patterns);
	for (size_t i = 0; i < patterns->n; i++)
		if (!strcmp(patterns->v[i], "lo"))
			pst_conf_reject(ctx, entry_at(list, i), "the loopback interface is never guarded");
}

int loader_config_validate(struct pst_conf_ctx *ctx, const struct pst_node *section)
{
	const struct loader_config *c = ctx->base;

	for (size_t i = 0; i < PST_CLASS_MAX; i++)
		check_power(ctx, section, "rings", ring_fields[i].key, c->ring_bytes[i]);
	check_power(ctx, section, "flows", "slots", c->flow_slots);
	check_power(ctx, section, "udp", "slots", c->udp_slots);
	check_power(ctx, section, "guard", "firewall_memory", c->firewall_memory);
	check_power(ctx, section, "guard", "list_memory", c->list_memory);
	check_power(ctx, section, "guard", "connections", c->connections);
	check_power(ctx, section, "guard", "sources", c->sources);
	check_power(ctx, section, "policies", "memory", c->policy_memory);
	for (int i = 0; i < SENSOR_MAX; i++)
		check_rung(ctx, section, (enum sensor_id)i, c->rungs[i]);
	check_patterns(ctx, node_at(section, "interfaces", NULL), &c->interfaces);
	check_patterns(ctx, node_at(section, "xdp", NULL), &c->xdp);
	check_guarded(ctx, node_at(section, "guard", "interfaces"), &c->guarded);
	if (strcmp(c->cgroup, "auto") && c->cgroup[0] != '/')
		pst_conf_reject(ctx, node_at(section, "cgroup", NULL), "expected auto or an absolute path");
	return ctx->errors->count ? -EINVAL : 0;
}
