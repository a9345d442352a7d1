// SPDX-License-Identifier: Apache-2.0
/* Elements of conditions, by their type. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "policyd/block/addr.h"
#include "policyd/fw/words.h"
#include "policyd/policy/reader.h"
#include "proto/base/cleanup.h"

#define MODULE_MAX 55

/* One more in @c, which has room for it. */
typedef int element_fn(struct policy_reader *r, const struct pst_node *node, struct policy_cond *c);

static int copy_text(const char *text, char **ret_text)
{
	*ret_text = strdup(text);
	return *ret_text ? 0 : -ENOMEM;
}

static int add_pattern(struct policy_reader *r, const struct pst_node *node, struct policy_cond *c,
	enum policy_pattern_kind kind, const char *text)
{
	const char *fault = policy_pattern_fault(kind, text);
	struct policy_pattern *p = &c->patterns[c->n];

	if (fault)
		return POLICY_REJECT(r, node, "%s: \"%.64s\": %s", r->what, text, fault);
	p->kind = kind;
	if (copy_text(text, &p->text))
		return -ENOMEM;
	c->n++;
	return 0;
}

static void warn_of_star(struct policy_reader *r, const struct pst_node *node)
{
	if (r->warnings && strpbrk(node->text, "*?"))
		pst_conf_error(r->warnings, r->ctx.file, node->line, node->column,
			"%s: \"%.64s\" is a file of exactly this name, did you mean {glob: ...}?", r->what,
			node->text);
}

bool policy_yes(const char *text, bool *ret)
{
	static const char *const words[] = {"false", "true", "no", "yes", "off", "on"};

	for (size_t i = 0; i < PST_ARRAY_SIZE(words); i++) {
		if (strcmp(text, words[i]) != 0)
			continue;
		*ret = i % 2;
		return true;
	}
	return false;
}

/* {directory: /etc, recursive: true} and the like */
static int read_path_mapping(struct policy_reader *r, const struct pst_node *node, struct policy_cond *c)
{
	static const char *const keys[] = {"prefix", "suffix", "directory", "glob", "recursive"};
	static const enum policy_pattern_kind kinds[] = {
		POLICY_PREFIX, POLICY_SUFFIX, POLICY_DIRECTORY, POLICY_GLOB};
	const struct pst_node *text = NULL, *recursive = pst_node_get(node, "recursive");
	enum policy_pattern_kind kind = POLICY_EXACT;
	bool deep = false;

	for (const struct pst_node *n = node->child; n; n = n->next) {
		size_t i = 0;

		while (i < PST_ARRAY_SIZE(keys) && strcmp(keys[i], n->key) != 0)
			i++;
		if (i == PST_ARRAY_SIZE(keys))
			return policy_reject_key(r, n, "a path", keys, PST_ARRAY_SIZE(keys),
				"prefix, suffix, directory (with recursive) or glob");
		if (n == recursive)
			continue;
		if (text)
			return POLICY_REJECT(
				r, node, "%s: expected one of prefix, suffix, directory and glob", r->what);
		text = n;
		kind = kinds[i];
	}
	if (!text || text->type != PST_NODE_SCALAR)
		return POLICY_REJECT(r, text ? text : node,
			"%s: expected a path, or {prefix: /...}, {directory: /...}, {suffix: ...}, {glob: "
			"/...}",
			r->what);
	if (recursive && kind != POLICY_DIRECTORY)
		return POLICY_REJECT(r, recursive, "%s: recursive is for directory alone", r->what);
	if (recursive && (recursive->type != PST_NODE_SCALAR || !policy_yes(recursive->text, &deep)))
		return POLICY_REJECT(r, recursive, "%s: recursive: expected true or false", r->what);
	return add_pattern(r, text, c, deep ? POLICY_TREE : kind, text->text);
}

static int read_pattern(struct policy_reader *r, const struct pst_node *node, struct policy_cond *c)
{
	int e;

	if (node->type == PST_NODE_MAPPING)
		return read_path_mapping(r, node, c);
	e = add_pattern(r, node, c, POLICY_EXACT, node->text);
	if (!e)
		warn_of_star(r, node);
	return e;
}

static int read_file(struct policy_reader *r, const struct pst_node *node, struct policy_cond *c)
{
	int e = add_pattern(r, node, c, POLICY_EXACT, node->text);

	if (!e && r->warnings && strpbrk(node->text, "*?"))
		pst_conf_error(r->warnings, r->ctx.file, node->line, node->column,
			"%s: \"%.64s\" is a file of exactly this name: patterns cannot be here", r->what,
			node->text);
	return e;
}

static int read_cgroup(struct policy_reader *r, const struct pst_node *node, struct policy_cond *c)
{
	return add_pattern(r, node, c, POLICY_CGROUP, node->text);
}

static int read_glob(struct policy_reader *r, const struct pst_node *node, struct policy_cond *c)
{
	return add_pattern(r, node, c, POLICY_TEXT_GLOB, node->text);
}

static bool is_word(const char *text, size_t max)
{
	size_t len = strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-");

	return len && len <= max && !text[len];
}

/* As /proc/modules has it: a dash is written as an underscore. */
static int read_module(struct policy_reader *r, const struct pst_node *node, struct policy_cond *c)
{
	int e;

	if (!is_word(node->text, MODULE_MAX))
		return POLICY_REJECT(r, node, "%s: \"%.64s\": expected 1 to %d letters, digits, _ and -",
			r->what, node->text, MODULE_MAX);
	e = copy_text(node->text, &c->patterns[c->n].text);
	if (e)
		return e;
	for (char *p = c->patterns[c->n++].text; *p; p++)
		if (*p == '-')
			*p = '_';
	return 0;
}

/* "n" or "n-m", decimal */
static bool parse_range(const char *text, uint32_t max, struct policy_range *ret)
{
	const char *dash = strchrnul(text, '-');
	char lo[16] = "";

	if ((size_t)(dash - text) >= sizeof(lo) || strpbrk(text, "xX"))
		return false;
	memcpy(lo, text, (size_t)(dash - text));
	if (!fw_number(lo, max, &ret->lo))
		return false;
	ret->hi = ret->lo;
	return !*dash || fw_number(dash + 1, max, &ret->hi);
}

static int read_range(struct policy_reader *r, const struct pst_node *node, struct policy_cond *c,
	uint32_t max, const char *expected)
{
	struct policy_range *range = &c->ranges[c->n];

	if (!parse_range(node->text, max, range))
		return POLICY_REJECT(r, node, "%s: \"%.64s\": expected %s", r->what, node->text, expected);
	if (range->lo > range->hi)
		return POLICY_REJECT(r, node, "%s: the range %u-%u is empty, expected %u-%u", r->what,
			range->lo, range->hi, range->hi, range->lo);
	c->n++;
	return 0;
}

static int read_id(struct policy_reader *r, const struct pst_node *node, struct policy_cond *c)
{
	return read_range(
		r, node, c, UINT32_MAX - 1, "an id of 0 to 4294967294 or a range such as 1000-60000");
}

static int read_port(struct policy_reader *r, const struct pst_node *node, struct policy_cond *c)
{
	return read_range(r, node, c, 65535, "a port of 0 to 65535 or a range such as 8000-8099");
}

static int read_bit(struct policy_reader *r, const struct pst_node *node, struct policy_cond *c)
{
	unsigned bit = 0;
	int e = policy_read_word(r, node, policy_rows[c->key].words, &bit);

	if (!e)
		c->bits[bit / 64] |= 1ull << bit % 64;
	return e;
}

int policy_read_prefix(struct policy_reader *r, const struct pst_node *node, struct fw_prefix *ret_prefix)
{
	struct block_entry entry;
	struct block_fault fault;
	struct fw_prefix p = {0};

	if (block_addr_parse(node->text, strlen(node->text), &entry, &fault))
		return POLICY_REJECT(r, node, "%s: \"%.64s\": %s", r->what, node->text, fault.what);
	if (!entry.ip6) {
		entry.lo |= 0xffffull << 32;
		entry.len += 96;
	}
	p.len = entry.len;
	for (unsigned i = 0; i < 8; i++) {
		p.addr[i] = (uint8_t)(entry.hi >> (56 - 8 * i));
		p.addr[8 + i] = (uint8_t)(entry.lo >> (56 - 8 * i));
	}
	*ret_prefix = p;
	return 0;
}

static int read_address(struct policy_reader *r, const struct pst_node *node, struct policy_cond *c)
{
	int e = policy_read_prefix(r, node, &c->prefixes[c->n]);

	c->n += !e;
	return e;
}

static const struct {
	element_fn *read;
	size_t bytes; /* of an element; 0: bits */
} types[POLICY_TYPES] = {
	[POLICY_T_PATTERNS] = {read_pattern, sizeof(struct policy_pattern)},
	[POLICY_T_FILES] = {read_file, sizeof(struct policy_pattern)},
	[POLICY_T_CGROUPS] = {read_cgroup, sizeof(struct policy_pattern)},
	[POLICY_T_GLOBS] = {read_glob, sizeof(struct policy_pattern)},
	[POLICY_T_NAMES] = {read_module, sizeof(struct policy_pattern)},
	[POLICY_T_IDS] = {read_id, sizeof(struct policy_range)},
	[POLICY_T_PORTS] = {read_port, sizeof(struct policy_range)},
	[POLICY_T_WORDS] = {read_bit, 0},
	[POLICY_T_ADDRESSES] = {read_address, sizeof(struct fw_prefix)},
};

int policy_read_element(struct policy_reader *r, const struct pst_node *node, struct policy_cond *c)
{
	if (node->type == PST_NODE_SEQUENCE ||
		(node->type == PST_NODE_MAPPING && policy_rows[c->key].type != POLICY_T_PATTERNS))
		return POLICY_REJECT(r, node, "%s: expected one value in each place of the list", r->what);
	return types[policy_rows[c->key].type].read(r, node, c);
}

size_t policy_element_bytes(enum policy_type type)
{
	return types[type].bytes;
}
