// SPDX-License-Identifier: Apache-2.0
#include "cli/line.h"

#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#include "proto/base/cleanup.h"
#include "proto/base/log.h"

#define ANCESTORS_SHOWN 3
#define ARGS_SHOWN      256

enum colour { C_NONE, C_DIM, C_RED, C_GREEN, C_YELLOW, C_BLUE, C_MAGENTA, C_CYAN };
static const char *const codes[] = {
	"", "\033[2m", "\033[31m", "\033[32m", "\033[33m", "\033[34m", "\033[35m", "\033[36m"};

struct line {
	struct pst_buf *out;
	const struct pst_event *e;
	bool colour;
};

static void put(struct line *l, const char *text)
{
	pst_mp_raw(l->out, text, strlen(text));
}

static void paint(struct line *l, enum colour c, const char *text)
{
	if (l->colour && c)
		put(l, codes[c]);
	put(l, text);
	if (l->colour && c)
		put(l, "\033[0m");
}

static void escaped(struct line *l, const void *bytes, uint32_t len, uint32_t max)
{
	char text[1024];

	if (len)
		put(l, pst_log_escape(text, PST_MIN((uint32_t)sizeof(text), max), bytes, len));
}

/* The event's field as people see it; false if it is not there. */
static bool field(struct line *l, const char *name)
{
	const struct pst_field *f;
	const struct pst_val *v = pst_event_field(l->e, name, &f);
	char text[1024];
	size_t len;

	if (!v || (pst_val_empty(v, f) && f->type >= PST_T_S))
		return false;
	len = pst_val_text(v, f, text, sizeof(text));
	escaped(l, text, (uint32_t)len, ARGS_SHOWN + 64);
	return true;
}

static uint64_t number(const struct line *l, const char *name)
{
	const struct pst_field *f;
	const struct pst_val *v = pst_event_field(l->e, name, &f);

	return v && f->type < PST_T_S ? v->u : 0;
}

static void base_name(struct line *l, const void *path, uint32_t len)
{
	const char *slash = len ? memrchr(path, '/', len) : NULL;
	const char *name = slash ? slash + 1 : path;

	escaped(l, name, len - (uint32_t)(name - (const char *)path), 64);
}

/* Oldest of those shown first: init→sshd→bash→curl[123] */
static void who(struct line *l)
{
	const struct pst_val *a = &l->e->enricher[PST_ENR_ancestors];
	struct pst_proc_ref refs[ANCESTORS_SHOWN];
	struct pst_cur cur = pst_cur(a->p, a->len);
	unsigned n = 0;
	char pid[24];

	while (n < ANCESTORS_SHOWN && pst_procs_next(&cur, &refs[n]))
		n++;
	if (l->colour)
		put(l, codes[C_DIM]);
	if (a->n > n)
		put(l, "…→");
	while (n--) {
		if (!refs[n].exe_len)
			continue;
		base_name(l, refs[n].exe, refs[n].exe_len);
		put(l, "→");
	}
	if (l->colour)
		put(l, "\033[0m");
	if (!number(l, "pid")) {
		put(l, "kernel");
		return;
	}
	if (!field(l, "comm") && !field(l, "exe"))
		put(l, "?");
	snprintf(pid, sizeof(pid), "[%llu]", (unsigned long long)number(l, "pid"));
	paint(l, C_DIM, pid);
}

static void container(struct line *l)
{
	const struct pst_val *id = &l->e->enricher[PST_ENR_container_id];

	if (!id->len)
		return;
	put(l, " ");
	if (l->colour)
		put(l, codes[C_MAGENTA]);
	field(l, "container_runtime");
	put(l, ":");
	escaped(l, id->p, PST_MIN(id->len, 12u), 64);
	if (l->colour)
		put(l, "\033[0m");
}

static void end(struct line *l, const char *addr, const char *port)
{
	const struct pst_field *f;
	const struct pst_val *v = pst_event_field(l->e, addr, &f);
	bool v6 = v && v->len == 16;

	put(l, v6 ? "[" : "");
	if (!field(l, addr))
		put(l, "*");
	put(l, v6 ? "]:" : ":");
	field(l, port);
}

static void bytes(struct line *l, const char *name)
{
	static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB"};
	double v = (double)number(l, name);
	unsigned u = 0;
	char text[32];

	while (v >= 1024 && u < PST_ARRAY_SIZE(units) - 1) {
		v /= 1024;
		u++;
	}
	snprintf(text, sizeof(text), u ? "%.1f %s" : "%.0f %s", v, units[u]);
	put(l, text);
}

static void exec_line(struct line *l)
{
	const struct pst_val *argv = &l->e->sensor[PST_EXEC_F_argv];
	struct pst_cur cur = pst_cur(argv->p, argv->len);
	const void *arg;
	uint32_t len;
	size_t start = l->out->len;

	if (!field(l, "exe"))
		field(l, "filename");
	pst_list_next(&cur, &arg, &len);
	while (l->out->len - start < ARGS_SHOWN && pst_list_next(&cur, &arg, &len)) {
		put(l, " ");
		escaped(l, len ? arg : "''", len ? len : 2, ARGS_SHOWN);
	}
	if (number(l, "flags")) {
		put(l, " (");
		field(l, "flags");
		put(l, ")");
	}
}

static void exit_line(struct line *l)
{
	char code[32];

	if (number(l, "signal")) {
		put(l, "killed by ");
		field(l, "signal");
	} else {
		snprintf(code, sizeof(code), "code %llu", (unsigned long long)number(l, "exit_code"));
		paint(l, number(l, "exit_code") ? C_YELLOW : C_NONE, code);
	}
	put(l, " after ");
	field(l, "run_ns");
}

static void connect_line(struct line *l)
{
	end(l, "laddr", "lport");
	put(l, " → ");
	end(l, "raddr", "rport");
	if (number(l, "error")) {
		put(l, " ");
		field(l, "error");
	} else {
		put(l, " in ");
		field(l, "duration_ns");
	}
}

static void close_line(struct line *l)
{
	end(l, "laddr", "lport");
	put(l, " – ");
	end(l, "raddr", "rport");
	put(l, " sent ");
	bytes(l, "bytes_sent");
	put(l, ", received ");
	bytes(l, "bytes_received");
	put(l, " in ");
	field(l, "duration_ns");
}

static void ends_line(struct line *l)
{
	end(l, "laddr", "lport");
	put(l, l->e->kind == PST_KIND_ACCEPT ? " ← " : " – ");
	end(l, "raddr", "rport");
	if (l->e->kind == PST_KIND_RESET) {
		put(l, number(l, "dir") == 1 ? " received " : " sent ");
		field(l, "reason");
	}
}

static void listen_line(struct line *l)
{
	end(l, "laddr", "lport");
	put(l, " backlog ");
	field(l, "backlog");
}

static void udp_line(struct line *l)
{
	end(l, "laddr", "lport");
	put(l, " – ");
	end(l, "raddr", "rport");
	put(l, " sent ");
	field(l, "packets_sent");
	put(l, " (");
	bytes(l, "bytes_sent");
	put(l, "), received ");
	field(l, "packets_received");
	put(l, " (");
	bytes(l, "bytes_received");
	put(l, ")");
}

/* "in eth0 60B SYN: drop by no telnet, after 17 that were not logged" */
static void log_end(struct line *l)
{
	put(l, " ");
	field(l, "dir");
	put(l, " ");
	field(l, "interface");
	put(l, " ");
	bytes(l, "bytes");
	if (number(l, "tcp_flags")) {
		put(l, " ");
		field(l, "tcp_flags");
	}
	put(l, ": ");
	field(l, "verdict");
	put(l, " by ");
	field(l, "fw_rule");
	if (number(l, "not_logged")) {
		put(l, ", after ");
		field(l, "not_logged");
		put(l, " that were not logged");
	}
}

/* "drop (rate)", "pass (fw_accept) by ssh", and what became of its last packet if that is another. */
static void judged_end(struct line *l)
{
	const struct pst_val *s = l->e->sensor;
	const struct pst_val *rule = &s[PST_FLOW_F_fw_rule], *last = &s[PST_FLOW_F_last_fw_rule];

	if (!s[PST_FLOW_F_verdict].len)
		return;
	field(l, "verdict");
	put(l, " (");
	field(l, "reason");
	put(l, rule->len ? ") by " : ")");
	field(l, "fw_rule");
	if (last->len && (last->len != rule->len || memcmp(last->p, rule->p, last->len) != 0)) {
		put(l, ", then ");
		field(l, "last_fw_rule");
	}
}

static void packet_line(struct line *l)
{
	field(l, "protocol");
	put(l, " ");
	end(l, "saddr", "sport");
	put(l, " → ");
	end(l, "daddr", "dport");
	if (l->e->kind == PST_KIND_DROP) {
		put(l, " ");
		field(l, "reason");
		return;
	}
	if (l->e->kind == PST_KIND_FW_LOG) {
		log_end(l);
		return;
	}
	put(l, " ");
	field(l, "dir");
	put(l, " ");
	field(l, "interface");
	put(l, " ");
	field(l, "packets");
	put(l, " packets, ");
	bytes(l, "bytes");
	if (number(l, "tcp_flags")) {
		put(l, " ");
		field(l, "tcp_flags");
	}
	put(l, " ");
	if (field(l, "end") && l->e->sensor[PST_FLOW_F_verdict].len)
		put(l, ", ");
	judged_end(l);
}

static void cred_line(struct line *l)
{
	static const char *const what[] = {"uid", "euid", "suid", "gid", "egid", "cap_effective"};
	char old[32], new[32];

	for (size_t i = 0; i < PST_ARRAY_SIZE(what); i++) {
		snprintf(old, sizeof(old), "old_%s", what[i]);
		snprintf(new, sizeof(new), "new_%s", what[i]);
		if (number(l, old) == number(l, new))
			continue;
		put(l, what[i]);
		put(l, " ");
		field(l, old);
		put(l, "→");
		field(l, new);
		put(l, " ");
	}
}

static void word(struct line *l, const char *name)
{
	put(l, " ");
	field(l, name);
}

/* " EPERM", or nothing */
static void refused(struct line *l)
{
	if (number(l, "error"))
		word(l, "error");
}

static void target(struct line *l)
{
	if (!number(l, "target_pid"))
		return;
	put(l, " → ");
	field(l, "target_comm");
	put(l, "[");
	field(l, "target_pid");
	put(l, "]");
}

static void module_line(struct line *l)
{
	field(l, "module");
	if (number(l, "taints"))
		put(l, " taints");
	word(l, "taints");
}

static void bpf_line(struct line *l)
{
	field(l, "prog_type");
	word(l, "prog_name");
	refused(l);
}

static void ptrace_line(struct line *l)
{
	field(l, "operation");
	target(l);
	if (!number(l, "target_pid"))
		word(l, "given_pid");
	refused(l);
}

static void signal_line(struct line *l)
{
	field(l, "signal");
	target(l);
}

static void namespace_line(struct line *l)
{
	field(l, "operation");
	word(l, "clone_flags");
	refused(l);
}

static void memfd_line(struct line *l)
{
	field(l, "name");
	refused(l);
}

static void memory_line(struct line *l)
{
	field(l, "operation");
	put(l, " ");
	bytes(l, "bytes");
	put(l, " ");
	if (field(l, "old_prot"))
		put(l, "→");
	field(l, "prot");
	word(l, "mapping");
}

static void perf_line(struct line *l)
{
	field(l, "perf_type");
	word(l, "config");
	refused(l);
}

static void capability_line(struct line *l)
{
	field(l, "capability");
	word(l, "result");
	put(l, " ×");
	field(l, "checks");
}

static void socket_line(struct line *l)
{
	field(l, "family");
	word(l, "socket_type");
	word(l, "socket_protocol");
	refused(l);
}

static void bind_line(struct line *l)
{
	uint64_t family = number(l, "family");

	field(l, "family");
	word(l, "socket_type");
	if (family == AF_INET || family == AF_INET6) {
		put(l, " ");
		end(l, "laddr", "lport");
	}
	if (family == AF_UNIX)
		word(l, "path");
	refused(l);
}

static void file_line(struct line *l)
{
	field(l, "path");
	refused(l);
}

static void file_to_line(struct line *l)
{
	field(l, "path");
	put(l, " → ");
	if (!field(l, "to_path"))
		field(l, "target");
	refused(l);
}

static void chmod_line(struct line *l)
{
	field(l, "path");
	put(l, " ");
	if (field(l, "mode"))
		put(l, "→");
	field(l, "new_mode");
	refused(l);
}

static void chown_line(struct line *l)
{
	field(l, "path");
	put(l, " → ");
	field(l, "new_uid");
	put(l, ":");
	field(l, "new_gid");
	refused(l);
}

static void truncate_line(struct line *l)
{
	field(l, "path");
	put(l, " → ");
	bytes(l, "bytes");
	refused(l);
}

static void xattr_line(struct line *l)
{
	field(l, "operation");
	word(l, "attribute");
	word(l, "path");
	refused(l);
}

static void mount_line(struct line *l)
{
	field(l, "operation");
	word(l, "source");
	put(l, " → ");
	field(l, "path");
	word(l, "fs_type");
	refused(l);
}

/* What the act was done to: of most operations there is one of these. */
static void object(struct line *l)
{
	const struct pst_val *s = l->e->sensor;

	if (s[PST_POLICY_F_path].len)
		word(l, "path");
	if (s[PST_POLICY_F_to_path].len) {
		put(l, " → ");
		field(l, "to_path");
	}
	if (s[PST_POLICY_F_raddr].len || s[PST_POLICY_F_rport].u) {
		put(l, " → ");
		end(l, "raddr", "rport");
	}
	if (s[PST_POLICY_F_laddr].len || s[PST_POLICY_F_lport].u) {
		put(l, " ");
		end(l, "laddr", "lport");
	}
	if (s[PST_POLICY_F_signal].u)
		word(l, "signal");
	if (s[PST_POLICY_F_target_pid].u) {
		put(l, " → [");
		field(l, "target_pid");
		put(l, "]");
	}
	if (s[PST_POLICY_F_capabilities].u)
		word(l, "capabilities");
}

/* "secrets/nobody else does", or the numbers where the names are not known */
static void by_rule(struct line *l)
{
	put(l, " by ");
	if (!field(l, "policy")) {
		put(l, "#");
		field(l, "policy_id");
	}
	put(l, "/");
	if (!field(l, "policy_rule")) {
		put(l, "#");
		field(l, "policy_rule_id");
	}
}

static bool says(const struct line *l, unsigned sensor_field, const char *text)
{
	const struct pst_val *v = &l->e->sensor[sensor_field];

	return v->len == strlen(text) && !memcmp(v->p, text, v->len);
}

/* "denied file.open /etc/shadow EACCES by secrets/nobody else does": what was done is the first word, as it
 * decides the colour. */
static void policy_line(struct line *l)
{
	bool told = says(l, PST_POLICY_F_done, "told");

	if (l->colour)
		put(l, codes[told ? C_YELLOW : C_RED]);
	field(l, told ? "action" : "done");
	if (l->colour)
		put(l, "\033[0m");
	word(l, "operation");
	object(l);
	refused(l);
	by_rule(l);
	if (l->e->sensor[PST_POLICY_F_would].len) {
		put(l, " (would ");
		field(l, "would");
		put(l, ")");
	} else if (told && !says(l, PST_POLICY_F_action, "audit") && !says(l, PST_POLICY_F_action, "alert")) {
		put(l, " (only told)");
	}
}

static void failed_line(struct line *l)
{
	field(l, "filename");
	put(l, " ");
	field(l, "error");
}

static void fork_line(struct line *l)
{
	put(l, "→ ");
	field(l, "child_pid");
}

static void loss_line(struct line *l)
{
	field(l, "stage");
	put(l, " lost ");
	field(l, "count");
	put(l, " events of ");
	field(l, "where");
	put(l, ": ");
	field(l, "cause");
}

static void node_line(struct line *l)
{
	field(l, "hostname");
	put(l, " Linux ");
	field(l, "kernel");
	put(l, ", Penstock ");
	field(l, "version");
}

static const struct {
	uint32_t kind;
	const char *word;
	enum colour colour;
	void (*text)(struct line *l);
	bool no_who;
} forms[] = {
	{PST_KIND_FORK, "fork", C_DIM, fork_line, false},
	{PST_KIND_EXEC, "exec", C_GREEN, exec_line, false},
	{PST_KIND_EXEC_FAILED, "exec failed", C_YELLOW, failed_line, false},
	{PST_KIND_EXIT, "exit", C_DIM, exit_line, false},
	{PST_KIND_CRED, "credentials", C_YELLOW, cred_line, false},
	{PST_KIND_MODULE, "module", C_YELLOW, module_line, false},
	{PST_KIND_BPF, "bpf", C_YELLOW, bpf_line, false},
	{PST_KIND_PTRACE, "trace", C_YELLOW, ptrace_line, false},
	{PST_KIND_SIGNAL, "signal", C_YELLOW, signal_line, false},
	{PST_KIND_NAMESPACE, "namespace", C_YELLOW, namespace_line, false},
	{PST_KIND_MEMFD, "memfd", C_YELLOW, memfd_line, false},
	{PST_KIND_EXEC_MEMORY, "exec memory", C_YELLOW, memory_line, false},
	{PST_KIND_PERF, "perf", C_YELLOW, perf_line, false},
	{PST_KIND_PROC_MEM, "write memory", C_YELLOW, target, false},
	{PST_KIND_CAPABILITY, "capability", C_DIM, capability_line, false},
	{PST_KIND_SOCKET_BIND, "bind", C_CYAN, bind_line, false},
	{PST_KIND_SOCKET_CREATE, "socket", C_YELLOW, socket_line, false},
	{PST_KIND_FILE_UNLINK, "unlink", C_MAGENTA, file_line, false},
	{PST_KIND_FILE_RENAME, "rename", C_MAGENTA, file_to_line, false},
	{PST_KIND_FILE_LINK, "link", C_MAGENTA, file_to_line, false},
	{PST_KIND_FILE_SYMLINK, "symlink", C_MAGENTA, file_to_line, false},
	{PST_KIND_FILE_MKDIR, "mkdir", C_MAGENTA, file_line, false},
	{PST_KIND_FILE_MKNOD, "mknod", C_YELLOW, file_line, false},
	{PST_KIND_FILE_CHMOD, "chmod", C_MAGENTA, chmod_line, false},
	{PST_KIND_FILE_CHOWN, "chown", C_MAGENTA, chown_line, false},
	{PST_KIND_FILE_TRUNCATE, "truncate", C_MAGENTA, truncate_line, false},
	{PST_KIND_FILE_XATTR, "xattr", C_YELLOW, xattr_line, false},
	{PST_KIND_FILE_MOUNT, "mount", C_YELLOW, mount_line, false},
	{PST_KIND_FILE_UMOUNT, "umount", C_YELLOW, file_line, false},
	{PST_KIND_FILE_PIVOT_ROOT, "pivot_root", C_YELLOW, file_line, false},
	{PST_KIND_POLICY, "policy", C_DIM, policy_line, false},
	{PST_KIND_CONNECT, "connect", C_CYAN, connect_line, false},
	{PST_KIND_ACCEPT, "accept", C_CYAN, ends_line, false},
	{PST_KIND_LISTEN, "listen", C_CYAN, listen_line, false},
	{PST_KIND_CLOSE, "close", C_BLUE, close_line, false},
	{PST_KIND_RETRANSMIT, "retransmit", C_YELLOW, ends_line, false},
	{PST_KIND_RESET, "reset", C_YELLOW, ends_line, false},
	{PST_KIND_DROP, "drop", C_YELLOW, packet_line, true},
	{PST_KIND_FW_LOG, "log", C_YELLOW, packet_line, true},
	{PST_KIND_UDP, "udp", C_CYAN, udp_line, false},
	{PST_KIND_FLOW, "flow", C_BLUE, packet_line, true},
	{PST_KIND_NODE, "node", C_DIM, node_line, true},
	{PST_KIND_LOSS, "LOST", C_RED, loss_line, true},
};

static void alert(struct line *l)
{
	const struct pst_val *message = &l->e->policyd[PST_POL_message];
	uint64_t severity = l->e->policyd[PST_POL_severity].u;
	char text[32];
	size_t n = pst_val_text(&l->e->policyd[PST_POL_severity], &pst_policyd_fields[PST_POL_severity], text,
		sizeof(text) - 1);

	text[n] = 0;
	paint(l, severity >= 4 ? C_RED : C_YELLOW, "ALERT ");
	paint(l, severity >= 4 ? C_RED : C_YELLOW, text);
	put(l, " ");
	field(l, "rule");
	put(l, ": ");
	escaped(l, message->p, message->len, 512);
}

static void local_time(struct line *l, uint64_t unix_ns)
{
	time_t s = (time_t)(unix_ns / 1000000000);
	struct tm tm;
	char text[32];
	size_t n;

	if (!localtime_r(&s, &tm))
		return;
	n = strftime(text, sizeof(text), "%H:%M:%S", &tm);
	snprintf(text + n, sizeof(text) - n, ".%03u ", (unsigned)(unix_ns / 1000000 % 1000));
	paint(l, C_DIM, text);
}

void line_event(struct pst_buf *out, const struct pst_event *event, int64_t wall_offset_ns, bool colour)
{
	struct line l = {.out = out, .e = event, .colour = colour};
	char number_text[32];

	local_time(&l, event->ts_ns + (uint64_t)wall_offset_ns);
	if (event->n_stages >= 3 && event->policyd[PST_POL_rule].len) {
		alert(&l);
		return;
	}
	for (size_t i = 0; i < PST_ARRAY_SIZE(forms); i++) {
		if (forms[i].kind != event->kind)
			continue;
		if (!forms[i].no_who) {
			who(&l);
			container(&l);
			put(&l, " ");
		}
		paint(&l, forms[i].colour, forms[i].word);
		put(&l, " ");
		forms[i].text(&l);
		return;
	}
	snprintf(number_text, sizeof(number_text), "event of unknown kind %u", event->kind);
	put(&l, number_text);
}
