// SPDX-License-Identifier: Apache-2.0
/* KubeArmor's matches, one by one, as conditions. */
#include <stdlib.h>
#include <string.h>

#include "policyd/foreign/kubearmor.h"
#include "proto/base/cleanup.h"

/* ---- what is common to all levels ---- */

static bool read_action(const char *text, enum armor_action *action)
{
	static const char *const names[] = {"Allow", "Audit", "Block"};

	for (size_t i = 0; i < PST_ARRAY_SIZE(names); i++) {
		if (strcmp(text, names[i]) != 0)
			continue;
		*action = (enum armor_action)(ARMOR_ALLOW + i);
		return true;
	}
	return false;
}

/* False: the action is none. */
bool armor_read_common(
	const struct pst_node *node, const struct armor_common *outer, struct armor_common *ret_common)
{
	const struct pst_node *action = pst_node_get(node, "action");
	const char *message = foreign_text(node, "message");

	*ret_common = *outer;
	if (message && *message)
		ret_common->message = message;
	return !action || (action->type == PST_NODE_SCALAR && read_action(action->text, &ret_common->action));
}

bool armor_is_null(const struct pst_node *node)
{
	return !node || (node->type == PST_NODE_SCALAR && !node->quoted &&
				(!*node->text || !strcmp(node->text, "null") || !strcmp(node->text, "~")));
}

/* ---- one match ---- */

void armor_refuse(struct armor_section *s, const struct armor_item *item, struct foreign_at at,
	const char *clause, const char *why)
{
	foreign_leave_out(s->d, at, "%s, %s: %s", item->label, clause, why);
	s->incomplete |= item->common.action == ARMOR_ALLOW;
}

/* fromSource: the programs that do it. */
static bool read_source(struct armor_section *s, struct armor_item *item)
{
	static const char *const known[] = {"path", NULL};
	const struct pst_node *list = pst_node_get(item->node, "fromSource");
	const char *sep = ", executables: [";

	if (armor_is_null(list))
		return true;
	for (const struct pst_node *n = list->child; n; n = n->next) {
		const char *path = n->type == PST_NODE_MAPPING && !foreign_unknown(n, known)
					   ? foreign_text(n, "path")
					   : NULL;

		if (!path) {
			armor_refuse(s, item, foreign_at(n), "fromSource", "expected paths of programs");
			return false;
		}
		foreign_put(&item->source, "%s", sep);
		foreign_put_string(&item->source, path, SIZE_MAX);
		sep = ", ";
	}
	if (!item->source.n) {
		armor_refuse(s, item, foreign_at(list), "fromSource", "expected a list of paths of programs");
		return false;
	}
	foreign_put(&item->source, "]");
	item->rank += 8;
	return true;
}

/* "/etc/" */
static bool read_directory(struct armor_section *s, struct armor_item *item, const char *dir)
{
	size_t n = strlen(dir);
	PST_FREE char *bare = strndup(dir, n > 1 && dir[n - 1] == '/' ? n - 1 : n);
	bool deep = foreign_is_true(item->node, "recursive");

	if (!bare || dir[0] != '/' || (n > 1 && dir[n - 1] != '/')) {
		armor_refuse(s, item, foreign_at(pst_node_get(item->node, "dir")), "dir",
			"expected a path that begins and ends with /");
		return false;
	}
	foreign_put(&item->object, ", paths: [{directory: ");
	foreign_put_string(&item->object, bare, SIZE_MAX);
	foreign_put(&item->object, "%s}", deep ? ", recursive: true" : "");
	if (!deep) { /* itself, too */
		foreign_put(&item->object, ", ");
		foreign_put_string(&item->object, bare, SIZE_MAX);
	}
	foreign_put(&item->object, "]");
	item->depth = n;
	return true;
}

/* Of AppArmor's patterns those that mean the same as a glob here. NULL, or why not. */
static const char *pattern_fault(const char *p)
{
	if (strpbrk(p, "{}()|^$+\\\""))
		return "alternatives, negations and regular expressions cannot be expressed";
	for (const char *star = strstr(p, "**"); star; star = strstr(star + 2, "**"))
		if (star[2] || star == p || star[-1] != '/')
			return "** can only be expressed as all below a directory, at the end";
	return NULL;
}

static bool read_pattern(struct armor_section *s, struct armor_item *item, const char *pattern)
{
	const char *fault = pattern_fault(pattern);

	if (fault) {
		armor_refuse(s, item, foreign_at(pst_node_get(item->node, "pattern")), "pattern", fault);
		return false;
	}
	foreign_put(&item->object, ", paths: [{glob: ");
	foreign_put_string(&item->object, pattern, SIZE_MAX);
	foreign_put(&item->object, "}]");
	item->depth = strlen(pattern);
	return true;
}

static bool read_paths(struct armor_section *s, struct armor_item *item, const char *value)
{
	if (!strcmp(item->label + strlen(s->name) + 1, "matchDirectories"))
		return read_directory(s, item, value);
	if (!strcmp(item->label + strlen(s->name) + 1, "matchPatterns"))
		return read_pattern(s, item, value);
	item->rank += 4;
	foreign_put(&item->object, ", paths: [");
	foreign_put_string(&item->object, value, SIZE_MAX);
	foreign_put(&item->object, "]");
	return true;
}

static bool read_protocol(struct armor_section *s, struct armor_item *item, const char *value)
{
	static const char *const names[][2] = {{"tcp", "tcp"}, {"udp", "udp"}, {"icmp", "icmp"},
		{"icmpv6", "icmpv6"}, {"sctp", "132"}, {"dccp", "33"}};

	if (!strcasecmp(value, "all"))
		return true;
	for (size_t i = 0; i < PST_ARRAY_SIZE(names); i++) {
		if (strcasecmp(value, names[i][0]) != 0)
			continue;
		foreign_put(&item->object, ", protocols: [%s]", names[i][1]);
		item->rank += 4;
		return true;
	}
	armor_refuse(s, item, foreign_at(pst_node_get(item->node, "protocol")), "protocol",
		"types of sockets cannot be expressed, only protocols");
	return false;
}

static bool read_capability(struct armor_section *s, struct armor_item *item, const char *value)
{
	(void)s;
	foreign_put(&item->object, ", capabilities: [CAP_");
	for (const char *p = value; *p; p++)
		foreign_put(&item->object, "%c",
			*p >= 'a' && *p <= 'z'                  ? *p - 'a' + 'A'
			: *p == '_' || (*p >= 'A' && *p <= 'Z') ? *p
								: '?');
	foreign_put(&item->object, "]");
	return true;
}

const struct armor_match armor_matches[] = {
	{"process", "process matchPaths", "matchPaths", "path", ARMOR_EXEC, read_paths},
	{"process", "process matchDirectories", "matchDirectories", "dir", ARMOR_EXEC, read_paths},
	{"process", "process matchPatterns", "matchPatterns", "pattern", ARMOR_EXEC, read_paths},
	{"file", "file matchPaths", "matchPaths", "path", ARMOR_OPEN | ARMOR_CHANGES, read_paths},
	{"file", "file matchDirectories", "matchDirectories", "dir", ARMOR_OPEN | ARMOR_CHANGES, read_paths},
	{"file", "file matchPatterns", "matchPatterns", "pattern", ARMOR_OPEN | ARMOR_CHANGES, read_paths},
	{"network", "network matchProtocols", "matchProtocols", "protocol", ARMOR_NET, read_protocol},
	{"capabilities", "capabilities matchCapabilities", "matchCapabilities", "capability", ARMOR_CAP,
		read_capability},
};
const size_t armor_n_matches = PST_ARRAY_SIZE(armor_matches);

/* What no rule here can ask. */
static bool check_keys(struct armor_section *s, const struct armor_item *item, const struct armor_match *m)
{
	const char *const known[] = {m->key, "fromSource", "recursive", "readOnly", "ownerOnly", "severity",
		"tags", "message", "action", NULL};
	const struct pst_node *odd = foreign_unknown(item->node, known);

	if (odd)
		armor_refuse(
			s, item, foreign_at_key(odd), odd->key, "it is not known, or cannot be expressed");
	else if (foreign_is_true(item->node, "ownerOnly"))
		armor_refuse(s, item, foreign_at_key(pst_node_get(item->node, "ownerOnly")), "ownerOnly",
			"whose file it is cannot be asked");
	else
		return true;
	return false;
}

bool armor_read_item(struct armor_section *s, struct armor_item *item, const struct armor_match *m)
{
	const char *value = NULL;

	if (item->node->type == PST_NODE_MAPPING) {
		if (!armor_read_common(item->node, &s->common, &item->common)) {
			s->incomplete = true;
			armor_refuse(s, item, foreign_at(pst_node_get(item->node, "action")), "action",
				"expected Allow, Audit or Block");
			return false;
		}
		value = foreign_text(item->node, m->key);
	}
	if (item->node->type != PST_NODE_MAPPING || (!value && !pst_node_get(item->node, "execname"))) {
		armor_refuse(s, item, foreign_at(item->node), m->key, "it is missing");
		return false;
	}
	item->read_only = foreign_is_true(item->node, "readOnly");
	return check_keys(s, item, m) && value && m->read(s, item, value) && read_source(s, item);
}
