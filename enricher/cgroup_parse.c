// SPDX-License-Identifier: Apache-2.0
/*
 * Container and pod from a cgroup path. The forms (runtimes' cgroup drivers, cgroupfs and systemd):
 *   /docker/<id>   /system.slice/docker-<id>.scope   /libpod_parent/libpod-<id>
 * /machine.slice/libpod-<id>.scope /kubepods/burstable/pod<uid>/<id>
 * /kubepods.slice/kubepods-pod<uid>.slice/cri-containerd-<id>.scope   .../crio-<id>.scope
 *   /system.slice/containerd.service/kubepods-...:cri-containerd:<id>   /lxc/<name>   /lxc.payload.<name>
 * /garden/<id>  /actions_job/<id>
 */
#include <ctype.h>
#include <string.h>

#include "enricher/cgroup.h"
#include "proto/base/cleanup.h"

#define ID_MAX 64

struct piece {
	const char *p;
	uint32_t len;
};

static bool starts(const struct piece *s, const char *prefix)
{
	size_t n = strlen(prefix);

	return s->len >= n && !memcmp(s->p, prefix, n);
}

static bool ends(const struct piece *s, const char *suffix)
{
	size_t n = strlen(suffix);

	return s->len >= n && !memcmp(s->p + s->len - n, suffix, n);
}

static struct piece cut(struct piece s, size_t front, size_t back)
{
	return (struct piece){s.p + front, s.len - (uint32_t)(front + back)};
}

static bool is_hex_id(const struct piece *s)
{
	if (s->len < 32 || s->len > ID_MAX)
		return false;
	for (uint32_t i = 0; i < s->len; i++)
		if (!isxdigit((unsigned char)s->p[i]))
			return false;
	return true;
}

static bool is_name(const struct piece *s)
{
	if (!s->len || s->len > ID_MAX)
		return false;
	for (uint32_t i = 0; i < s->len; i++)
		if (!isalnum((unsigned char)s->p[i]) && !strchr("-_.", s->p[i]))
			return false;
	return true;
}

static void set_container(struct cgroup_parts *r, struct piece id, const char *runtime)
{
	r->container_id = id.p;
	r->container_id_len = id.len;
	r->runtime = runtime;
}

static const struct {
	const char *prefix, *runtime;
} scopes[] = {
	{"docker-", "docker"},
	{"cri-containerd-", "containerd"},
	{"nerdctl-", "containerd"},
	{"containerd-", "containerd"},
	{"crio-", "cri-o"},
	{"libpod-", "podman"},
	{"buildkit-", "buildkit"},
};

/* "docker-<id>.scope", "libpod-<id>", also with a trailing "/container" component handled by the caller. */
static bool match_scope(struct cgroup_parts *r, struct piece s)
{
	if (ends(&s, ".scope"))
		s = cut(s, 0, 6);
	for (size_t i = 0; i < PST_ARRAY_SIZE(scopes); i++) {
		struct piece id;

		if (!starts(&s, scopes[i].prefix))
			continue;
		id = cut(s, strlen(scopes[i].prefix), 0);
		if (starts(&id, "conmon-") || !is_hex_id(&id))
			continue; /* crio-conmon-<id>: the monitor, not the container */
		set_container(r, id, scopes[i].runtime);
		return true;
	}
	return false;
}

/* "...:cri-containerd:<id>": containerd with the systemd driver named wrongly. */
static bool match_colon(struct cgroup_parts *r, struct piece s)
{
	const char *colon = memrchr(s.p, ':', s.len);
	struct piece id, before;

	if (!colon)
		return false;
	before = (struct piece){s.p, (uint32_t)(colon - s.p)};
	id = cut(s, before.len + 1, 0);
	if (!is_hex_id(&id))
		return false;
	set_container(r, id,
		ends(&before, ":cri-containerd") ? "containerd"
		: ends(&before, ":crio")         ? "cri-o"
						 : "unknown");
	return true;
}

/* A component whose meaning comes from the one before it. */
static bool match_child(struct cgroup_parts *r, const struct piece *parent, struct piece s)
{
	if (starts(&s, "lxc.payload.")) {
		struct piece name = cut(s, 12, 0);

		if (is_name(&name))
			set_container(r, name, "lxc");
		return name.len > 0;
	}
	if (!parent->len)
		return false;
	if (parent->len == 3 && starts(parent, "lxc") && is_name(&s)) {
		set_container(r, s, "lxc");
		return true;
	}
	if (!is_hex_id(&s))
		return false;
	if (parent->len == 6 && starts(parent, "docker"))
		set_container(r, s, "docker");
	else if (starts(parent, "libpod"))
		set_container(r, s, "podman");
	else if (r->pod_uid_len)
		set_container(r, s, "kubernetes"); /* cgroupfs driver: the path does not say which runtime */
	else if (s.len == ID_MAX)
		set_container(r, s, "unknown");
	return r->container_id_len > 0;
}

static bool is_uid(const struct piece *s)
{
	if (s->len != 36 && s->len != 32)
		return false;
	for (uint32_t i = 0; i < s->len; i++)
		if (!isxdigit((unsigned char)s->p[i]) && s->p[i] != '-' && s->p[i] != '_')
			return false;
	return true;
}

/* "pod<uid>", "kubepods-besteffort-pod<uid>.slice" */
static void match_pod(struct cgroup_parts *r, struct piece s)
{
	const char *pod;

	if (ends(&s, ".slice"))
		s = cut(s, 0, 6);
	if (!starts(&s, "pod") && !starts(&s, "kubepods"))
		return;
	pod = memmem(s.p, s.len, "pod", 3);
	while (pod) {
		struct piece uid = cut(s, (size_t)(pod - s.p) + 3, 0);

		if (is_uid(&uid)) {
			for (uint32_t i = 0; i < uid.len; i++)
				r->pod_uid_buf[i] = uid.p[i] == '_' ? '-' : uid.p[i];
			r->pod_uid = r->pod_uid_buf;
			r->pod_uid_len = uid.len;
			return;
		}
		pod = memmem(uid.p, uid.len, "pod", 3);
	}
}

static void match_unit(struct cgroup_parts *r, const struct piece *s)
{
	if (ends(s, ".service") || ends(s, ".scope") || ends(s, ".socket") || ends(s, ".mount")) {
		r->unit = s->p;
		r->unit_len = s->len;
	}
}

void cgroup_parse(const char *path, size_t len, struct cgroup_parts *r)
{
	const char *end = path + len;
	struct piece parent = {"", 0};

	memset(r, 0, sizeof(*r));
	r->runtime = "";
	for (const char *p = path; p < end;) {
		const char *slash = memchr(p, '/', (size_t)(end - p));
		struct piece s = {p, (uint32_t)((slash ? slash : end) - p)};

		if (s.len) {
			match_pod(r, s);
			/* The outermost container: what it starts inside itself is its own affair. */
			if (!r->container_id_len && !match_scope(r, s) && !match_colon(r, s))
				match_child(r, &parent, s);
			if (!r->container_id_len || !r->unit_len)
				match_unit(r, &s);
			parent = s;
		}
		p += s.len + 1;
	}
}
