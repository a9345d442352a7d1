// SPDX-License-Identifier: Apache-2.0
#include "loader/copies.h"
#include "loader/ethtool.h"
#include "loader/report.h"

#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <fcntl.h>
#include <jansson.h>
#include <string.h>
#include <sys/stat.h>

#include "loader/patterns.h"
#include "loader/policyreport.h"
#include "loader/rundir.h"
#include "proto/abi/maps.h"
#include "proto/base/cleanup.h"
#include "proto/base/io.h"
#include "proto/base/log.h"
#include "proto/base/loop.h"

#ifndef PST_VERSION
#define PST_VERSION "unknown"
#endif

static void decref(json_t **j)
{
	json_decref(*j);
}
#define JSON_OWNED PST_CLEANUP(decref) json_t *

/* ---- names of reasons ---- */

/* The name without its head; holes are empty strings. */
static void put_name(json_t *list, int64_t value, const char *name, const char *prefix)
{
	size_t n = strlen(prefix);

	if (value < 0 || value >= REASONS_MAX)
		return;
	while (json_array_size(list) <= (size_t)value)
		if (json_array_append_new(list, json_string("")))
			return;
	json_array_set_new(list, (size_t)value, json_string(strncmp(name, prefix, n) ? name : name + n));
}

static json_t *names_of(struct features *features, const char *type, const char *prefix)
{
	json_t *list = json_array();
	int id = features_btf_find(features, type, BTF_KIND_ENUM);
	const struct btf_type *t = id > 0 ? btf__type_by_id(features->btf, (uint32_t)id) : NULL;
	const struct btf_enum *e = t ? btf_enum(t) : NULL;

	for (int i = 0; e && i < btf_vlen(t); i++, e++) {
		const char *name = btf__name_by_offset(features->btf, e->name_off);
		size_t n = strlen(name);

		if (n >= 4 && (!strcmp(name + n - 4, "_MAX") || !strcmp(name + n - 4, "MASK")))
			continue;
		put_name(list, e->val, name, prefix);
	}
	return list;
}

void report_names_load(struct report_names *names, struct features *features)
{
	names->drop_reasons = names_of(features, "skb_drop_reason", "SKB_DROP_REASON_");
	names->reset_reasons = names_of(features, "sk_rst_reason", "SK_RST_REASON_");
}

void report_names_done(struct report_names *names)
{
	json_decref(names->drop_reasons);
	json_decref(names->reset_reasons);
	*names = (struct report_names){0};
}

/* ---- parts ---- */

json_t *report_kernel(const struct features *f)
{
	return json_pack("{s:s, s:s, s:s, s:s, s:i, s:i}", "release", f->release, "boot_id", f->boot_id,
		"lockdown", f->lockdown, "lsm", f->lsm, "unprivileged_bpf_disabled",
		f->unprivileged_bpf_disabled, "jit", f->jit);
}

json_t *report_can(unsigned can)
{
	static const char *const names[] = {"observe", "deny", "kill"};
	json_t *list = json_array();

	for (unsigned i = 0; i < PST_ARRAY_SIZE(names); i++)
		if (can & 1u << i)
			json_array_append_new(list, json_string(names[i]));
	return list;
}

/* "active": the strongest rung that is allowed works; "weaker": a lower one; "off": by configuration;
 * "unavailable". */
static const char *state_of(const struct outcome *o)
{
	if (o->off)
		return "off";
	if (o->rung == RUNG_NONE)
		return "unavailable";
	return o->rung ? "weaker" : "active";
}

static json_t *sensor(const struct loader *l, int s)
{
	const struct outcome *o = &l->outcomes.sensors[s];
	const struct rung *rung = o->rung == RUNG_NONE ? NULL : &sensors[s].rungs[o->rung];
	json_t *why = json_array();

	for (int r = 0; !o->off && r < RUNGS_MAX && sensors[s].rungs[r].name; r++)
		if (o->why[r][0])
			json_array_append_new(why, json_pack("{s:s, s:s}", "rung", sensors[s].rungs[r].name,
							   "reason", o->why[r]));
	return json_pack("{s:s, s:s, s:s, s:s?, s:o, s:o}", "name", sensors[s].name, "help", sensors[s].help,
		"state", state_of(o), "rung", rung ? rung->name : NULL, "can",
		report_can(rung ? ladder_can(rung, loader_kills(l)) : 0), "why_not", why);
}

static json_t *sensor_list(const struct loader *l)
{
	json_t *list = json_array();

	for (int s = 0; s < SENSOR_MAX; s++)
		json_array_append_new(list, sensor(l, s));
	return list;
}

static json_t *iterator_list(const struct loader *l)
{
	json_t *list = json_array();

	for (size_t i = 0; i < n_iterators; i++) {
		const char *why = l->outcomes.iterators[i];

		json_array_append_new(list, json_pack("{s:s, s:s, s:s}", "name", iterators[i].name, "stage",
						    iterators[i].stage, "why_not", why));
	}
	return list;
}

/* Names of interfaces are bytes; JSON wants UTF-8. */
static void shown_name(const struct net_iface *i, char *buf, size_t size)
{
	json_t *j = json_string(i->name);

	if (j)
		snprintf(buf, size, "%s", i->name);
	else
		snprintf(buf, size, "if%d", i->ifindex);
	json_decref(j);
}

static void add_interface(json_t *list, const struct net_iface *i, const char *dir, enum net_mode mode)
{
	char name[IF_NAMESIZE + 2];

	shown_name(i, name, sizeof(name));
	json_array_append_new(
		list, json_pack("{s:s, s:i, s:s, s:s, s:s}", "name", name, "ifindex", i->ifindex, "dir", dir,
			      "mode", net_mode_name(mode), "why", i->why));
}

static json_t *interface_list(const struct loader *l)
{
	json_t *list = json_array();

	for (unsigned i = 0; i < l->net.n; i++) {
		const struct net_iface *iface = &l->net.v[i];

		add_interface(list, iface, "in", iface->in);
		add_interface(list, iface, "out", iface->out);
	}
	return list;
}

/* Interfaces that are guarded, or should be. */
static json_t *guard_list(const struct loader *l)
{
	json_t *list = json_array();

	for (unsigned i = 0; i < l->net.n; i++) {
		const struct net_iface *n = &l->net.v[i];
		char name[IF_NAMESIZE + 2];

		if (!net_guards(&l->config, n))
			continue;
		shown_name(n, name, sizeof(name));
		json_array_append_new(list,
			json_pack("{s:s, s:i, s:s, s:s, s:s, s:s, s:b}", "name", name, "ifindex", n->ifindex,
				"mode", net_mode_name(n->guard), "out", net_mode_name(n->guard_out), "why",
				n->guard_why, "out_why", n->guard_out_why, "tags_hidden",
				net_is_xdp(n->guard) && ethtool_takes_tags(n->name)));
	}
	return list;
}

/* Entries that wait for an interface. */
static json_t *waiting_list(const struct loader *l)
{
	json_t *list = json_array();

	for (int w = 0; w < WAITING_LISTS; w++) {
		const struct pst_strs *patterns = waiting_patterns(&l->config, (enum waiting_list)w);

		for (size_t i = 0; i < patterns->n && i < PATTERNS_MAX; i++)
			if (l->waiting.entries[w] >> i & 1)
				json_array_append_new(list,
					json_pack("{s:s, s:s}", "list", waiting_name((enum waiting_list)w),
						"entry", patterns->v[i]));
	}
	return list;
}

struct map_pass {
	const struct pins *pins;
	json_t *list;
};

static void add_map(void *arg, const char *name)
{
	struct map_pass *p = arg;
	PST_CLOSE int fd = pins_get(p->pins, PIN_MAPS, name);
	struct bpf_map_info info = {0};
	uint32_t len = sizeof(info);

	if (fd < 0 || bpf_obj_get_info_by_fd(fd, &info, &len) < 0)
		return;
	json_array_append_new(
		p->list, json_pack("{s:s, s:I, s:I, s:I, s:I}", "name", name, "id", (json_int_t)info.id,
				 "type", (json_int_t)info.type, "entries", (json_int_t)info.max_entries,
				 "value_bytes", (json_int_t)info.value_size));
}

static json_t *map_list(const struct loader *l)
{
	struct map_pass p = {&l->pins, json_array()};

	if (l->pins.root)
		pins_each(&l->pins, PIN_MAPS, add_map, &p);
	return p.list;
}

static json_t *privilege(const struct caps_level *caps)
{
	json_t *list = json_array();

	for (unsigned c = 0; c <= CAPS_LAST; c++)
		if (caps->kept & 1ull << c)
			json_array_append_new(list, json_string(caps_name(c) ? caps_name(c) : "unknown"));
	return json_pack("{s:o, s:b, s:b, s:b, s:b, s:s?}", "capabilities", list, "bounding_set_empty",
		caps->bounding_empty, "securebits", caps->securebits, "no_new_privs", caps->no_new_privs,
		"seccomp", caps->seccomp, "why_sys_admin", caps->why_sys_admin);
}

json_t *report_json(const struct loader *l, const struct report_names *names)
{
	uint32_t generation = l->pins.state ? l->pins.state->generation : 0;
	char changed[64];

	return json_pack(
		"{s:i, s:s, s:i, s:o, s:i, s:b, s:i, s:I, s:f, s:s, s:s, s:o, s:o, s:o, s:o, s:o, s:I, "
		"s:I, s:o, s:o, "
		"s:{s:b, s:s}, s:O, s:O, s:I, s:s, s:s, s:o}",
		"report", REPORT_VERSION, "version", PST_VERSION, "abi", PST_ABI_VERSION, "kernel",
		report_kernel(&l->features), "pid", getpid(), "serving", l->serving, "generation",
		(int)generation, "written_boot_ns", (json_int_t)pst_now_boot_ns(), "load_ms",
		(double)l->load_ns / 1e6, "bpffs", l->common.bpffs ? l->common.bpffs : "", "cgroup",
		l->cgroup_text, "sensors", sensor_list(l), "iterators", iterator_list(l), "interfaces",
		interface_list(l), "guard", guard_list(l), "waiting", waiting_list(l), "interfaces_ignored",
		(json_int_t)l->net.ignored, "reattached", (json_int_t)l->net.reattached, "maps", map_list(l),
		"privilege", privilege(&l->caps), "bpf_stats", "on", l->stats_fd >= 0, "why_not",
		l->stats_fd >= 0 ? "" : l->stats_why, "drop_reasons", names->drop_reasons, "reset_reasons",
		names->reset_reasons, "net_ns", (json_int_t)l->features.net_ns, "load_error", l->load_error,
		"tables_changed", copies_changed(l->copies, changed, sizeof(changed)), "policies",
		policyreport(l));
}

/* ---- file ---- */

static int write_file(const char *path, gid_t group, const char *text)
{
	PST_CLOSE int fd = -1;

	int r = rundir_clear(path);
	if (r < 0)
		return r;
	fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return -errno;
	if (fchown(fd, (uid_t)-1, group) < 0 || fchmod(fd, 0640) < 0)
		return -errno;
	return pst_write_all(fd, text, strlen(text));
}

/* Only a folder can be in the way of a rename. */
static int put_in_place(const char *next, const char *path)
{
	if (!rename(next, path))
		return 0;
	int r = errno == EISDIR ? rundir_clear(path) : -errno;

	return !r && rename(next, path) < 0 ? -errno : r;
}

int report_write(const struct loader *l, const struct report_names *names)
{
	PST_FREE char *path = pst_run_path(&l->common, REPORT_FILE);
	PST_FREE char *next = pst_run_path(&l->common, REPORT_FILE ".next");
	JSON_OWNED root = report_json(l, names);
	PST_FREE char *text = root ? json_dumps(root, JSON_INDENT(1) | JSON_REAL_PRECISION(6)) : NULL;
	int r = path && next && text ? write_file(next, l->accounts.common, text) : -ENOMEM;

	if (!r)
		r = put_in_place(next, path);
	if (r)
		pst_warn_limited("cannot write the report path=%s error=%s", path ? path : "?", strerror(-r));
	return r;
}
