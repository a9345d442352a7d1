// SPDX-License-Identifier: Apache-2.0
/* Records of what policies took, made into events. */
#include <errno.h>
#include <sys/socket.h>

#include "collector/convert_internal.h"
#include "proto/abi/policy.h"
#include "proto/base/cleanup.h"
#include "proto/base/log.h"
#include "proto/base/stat.h"

#define FILE_FLAGS_SHIFT 4 /* of pst_rec_policy.file */
#define ERRNO_MASK       0xfff

/* Where the names are in a recording: behind the paths. */
static size_t named_at(const struct pst_rec_policy *r)
{
	return sizeof(*r) + (((size_t)r->path_len + r->to_len + 7) & ~(size_t)7);
}

static bool has_names(const struct pst_rec_policy *r)
{
	return r->h.flags & PST_POLICY_NAMED;
}

bool convert_policy_fits(const struct pst_rec_policy *r, size_t len)
{
	if (r->path_len > PST_PATH_MAX || r->to_len > PST_PATH_MAX)
		return false;
	if (has_names(r))
		return named_at(r) + sizeof(struct pst_pol_label) <= len;
	return (size_t)r->path_len + r->to_len <= len - sizeof(*r);
}

static struct pst_val text_of(const char *text)
{
	return pst_val_str(text, strlen(text));
}

/* Numbers that have no name here stay numbers. */
struct words {
	struct number_text operation, action, would, done, hook;
};

static void what(struct pst_val *v, const struct pst_rec_policy *r, struct words *buf)
{
	static const char *const actions[PST_ACTIONS] = {
		"none", "allow", "audit", "alert", "throttle", "deny", "kill"};
	static const char *const dones[] = {
		[PST_DONE_TOLD] = "told", [PST_DONE_DENIED] = "denied", [PST_DONE_KILLED] = "killed"};
	static const char *const hooks[] = {[PST_HOOK_LSM] = "lsm",
		[PST_HOOK_FENTRY] = "fentry",
		[PST_HOOK_TRACEPOINT] = "tracepoint",
		[PST_HOOK_CGROUP] = "cgroup"};
#define OP_NAME(id, number, name, asks, help) [number] = (name),
	static const char *const ops[PST_OPS_MAX] = {PST_POLICY_OPS(OP_NAME)};
#undef OP_NAME

	v[PST_POLICY_F_operation] = convert_name(ops, PST_ARRAY_SIZE(ops), r->op, &buf->operation);
	v[PST_POLICY_F_action] = convert_name(actions, PST_ARRAY_SIZE(actions), r->action, &buf->action);
	if (r->would && r->would != r->action)
		v[PST_POLICY_F_would] = convert_name(actions, PST_ARRAY_SIZE(actions), r->would, &buf->would);
	v[PST_POLICY_F_done] = convert_name(dones, PST_ARRAY_SIZE(dones), r->done, &buf->done);
	v[PST_POLICY_F_hook] = convert_name(hooks, PST_ARRAY_SIZE(hooks), r->hook, &buf->hook);
	if (r->done == PST_DONE_DENIED) /* as the program that denied it */
		v[PST_POLICY_F_error].u = r->error & ERRNO_MASK ? r->error & ERRNO_MASK : EPERM;
	v[PST_POLICY_F_partial].u = r->told == PST_TOLD_SOME;
}

static bool label_of(
	const struct names *names, const struct pst_rec_policy *r, struct pst_pol_label *ret_label)
{
	if (!has_names(r))
		return names_policy(names, r->generation, r->rule, ret_label);
	memcpy(ret_label, (const char *)r + named_at(r), sizeof(*ret_label));
	return names_is_label(ret_label);
}

static void unnamed(const struct names *names, const struct pst_rec_policy *r)
{
	pst_counter("unnamed_policy_events",
		"events of policies without the names of policy and rule, which are of another generation")
		->value++;
	pst_warn_limited(
		"names of a policy and its rule are not known policy=%u rule=%u generation=%u reason=%s",
		r->policy, r->rule, r->generation,
		names->policies.base ? "other policies are in force now"
				     : "there was no table of names when this process began");
}

static void whose(struct pst_val *v, const struct names *names, const struct pst_rec_policy *r,
	struct pst_pol_label *label)
{
	v[PST_POLICY_F_policy_generation].u = r->generation;
	v[PST_POLICY_F_policy_id].u = r->policy;
	v[PST_POLICY_F_policy_rule_id].u = r->rule;
	if (!label_of(names, r, label)) {
		unnamed(names, r);
		return;
	}
	v[PST_POLICY_F_policy] = text_of(label->policy);
	v[PST_POLICY_F_policy_rule] = text_of(label->rule);
}

static void file(struct pst_val *v, const struct pst_rec_policy *r)
{
	const char *tail = (const char *)(r + 1);

	v[PST_POLICY_F_path] = pst_val_str(tail, r->path_len);
	v[PST_POLICY_F_to_path] = pst_val_str(tail + r->path_len, r->to_len);
	v[PST_POLICY_F_path_odd].u = r->odd;
	v[PST_POLICY_F_dev].u = r->dev;
	v[PST_POLICY_F_ino].u = r->ino;
	v[PST_POLICY_F_file_flags].u = r->file >> FILE_FLAGS_SHIFT;
	v[PST_POLICY_F_access].u = r->file & ((1u << FILE_FLAGS_SHIFT) - 1);
}

/* Whose end the address is depends on the operation. */
static void socket_end(struct pst_val *v, const struct pst_rec_policy *r)
{
	bool own = r->op == PST_OP_NET_BIND || r->op == PST_OP_NET_LISTEN || r->op == PST_OP_NET_ACCEPT;

	if (r->family == AF_INET || r->family == AF_INET6)
		v[own ? PST_POLICY_F_laddr : PST_POLICY_F_raddr] = pst_val_addr(r->addr);
	v[own ? PST_POLICY_F_lport : PST_POLICY_F_rport].u = r->port;
	v[PST_POLICY_F_protocol].u = r->protocol;
	v[PST_POLICY_F_family].u = r->family;
}

int convert_policy_record(struct convert *c, const struct pst_rec_policy *r, struct pst_buf *out)
{
	struct pst_val v[PST_POLICY_F_N] = {0};
	struct pst_pol_label label;
	struct words words;

	convert_who(v, &r->task);
	what(v, r, &words);
	whose(v, c->names, r, &label);
	file(v, r);
	if (r->op >= PST_OP_NET_SOCKET && r->op <= PST_OP_NET_ACCEPT)
		socket_end(v, r);
	v[PST_POLICY_F_signal].u = r->signal;
	v[PST_POLICY_F_target_pid].u = r->target_pid;
	v[PST_POLICY_F_target_start_ns].u = r->target_start_ns;
	v[PST_POLICY_F_capabilities].u = r->capabilities;
	pst_event_pack(out, PST_KIND_POLICY, r->h.ts_ns, v);
	return 0;
}

const struct pst_rec *convert_policy_named(
	const struct names *names, const struct pst_rec_policy *r, union convert_room *room)
{
	size_t at = named_at(r);
	struct pst_pol_label label;

	if (has_names(r) || at + sizeof(label) > sizeof(*room) ||
		!names_policy(names, r->generation, r->rule, &label))
		return &r->h;
	memset(room->bytes, 0, at);
	memcpy(room->bytes, r, PST_MIN(at, (size_t)r->h.size));
	memcpy(room->bytes + at, &label, sizeof(label));
	room->rec.flags |= PST_POLICY_NAMED;
	room->rec.size = (uint32_t)(at + sizeof(label));
	return &room->rec;
}
