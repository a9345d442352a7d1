// SPDX-License-Identifier: Apache-2.0
/* A rule's keys. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "policyd/fw/reader.h"
#include "proto/base/cleanup.h"

/* Printable, and the same again when it is read back: no control characters, no separators that YAML folds.
 */
static bool is_printable(const char *text)
{
	static const char *const refused[] = {
		"\xe2\x80\xa8", "\xe2\x80\xa9", "\xef\xbb\xbf", "\xef\xbf\xbe", "\xef\xbf\xbf"};

	for (const unsigned char *c = (const unsigned char *)text; *c; c++)
		if (*c < 0x20 || *c == 0x7f || (*c == 0xc2 && c[1] < 0xa0))
			return false;
	for (size_t i = 0; i < PST_ARRAY_SIZE(refused); i++)
		if (strstr(text, refused[i]))
			return false;
	return true;
}

static int read_name(struct fw_reader *r, const struct pst_node *node, struct fw_rule *rule)
{
	size_t len = strlen(node->text);

	if (!len || len > FW_NAME_MAX || !is_printable(node->text))
		return FW_REJECT(
			r, node, "name: expected 1 to %d bytes without control characters", FW_NAME_MAX);
	rule->name = strdup(node->text);
	return rule->name ? 0 : -ENOMEM;
}

static int read_word(
	struct fw_reader *r, const struct pst_node *node, const struct fw_words *words, uint8_t *ret_value)
{
	uint16_t value;

	if (!fw_word_value(words, node->text, &value))
		return fw_reject_word(r, node, words, node->text);
	*ret_value = (uint8_t)value;
	return 0;
}

static int read_family(struct fw_reader *r, const struct pst_node *node, struct fw_rule *rule)
{
	return read_word(r, node, &fw_families, &rule->family);
}

static int read_action(struct fw_reader *r, const struct pst_node *node, struct fw_rule *rule)
{
	return read_word(r, node, &fw_actions, &rule->action);
}

/* Behind the action, in the order of the keys. */
static int read_reject_with(struct fw_reader *r, const struct pst_node *node, struct fw_rule *rule)
{
	if (rule->action != PST_FW_REJECT)
		return FW_REJECT(r, node, "reject_with: the action is not reject");
	return read_word(r, node, &fw_reject_with, &rule->with);
}

static int read_log(struct fw_reader *r, const struct pst_node *node, struct fw_rule *rule)
{
	static const char *const words[] = {"no", "yes", "false", "true", "off", "on"};

	for (size_t i = 0; i < PST_ARRAY_SIZE(words); i++) {
		if (strcmp(words[i], node->text) != 0)
			continue;
		rule->log = i % 2;
		return 0;
	}
	return FW_REJECT(r, node, "log: \"%.64s\": expected yes or no", node->text);
}

static int read_mark(struct fw_reader *r, const struct pst_node *node, struct fw_rule *rule)
{
	if (!fw_number(node->text, UINT32_MAX, &rule->mark))
		return FW_REJECT(r, node, "mark: \"%.64s\": expected a number of 32 bits, such as 16 or 0x10",
			node->text);
	if (rule->mark == PST_GUARD_OWN_MARK)
		return FW_REJECT(r, node, "mark: \"%.64s\" is the guard's own, expected another", node->text);
	rule->has_mark = true;
	return 0;
}

static int add_interface(struct fw_reader *r, const struct pst_node *node, void *list)
{
	struct fw_rule *rule = list;
	uint32_t index = 0;

	if (strlen(node->text) > FW_IFNAME_MAX)
		return FW_REJECT(
			r, node, "interface: \"%.64s\" is longer than %d bytes", node->text, FW_IFNAME_MAX);
	if (*node->text && r->context && r->context->ifindex)
		index = r->context->ifindex(node->text, r->context->arg);
	if (!index)
		return FW_REJECT(r, node,
			"interface: there is no interface \"%s\", expected the name of one that exists",
			node->text);
	return fw_append(r, node, (void **)&rule->ifaces, &rule->n_ifaces, &index, 1, sizeof(index));
}

static int read_interface(struct fw_reader *r, const struct pst_node *node, struct fw_rule *rule)
{
	rule->has |= FW_HAS_IFACE;
	return fw_read_each(r, node, add_interface, rule);
}

/* ---- words as bits ---- */

struct bits {
	const struct fw_words *words;
	uint64_t v[4];
};

static int add_bit(struct fw_reader *r, const struct pst_node *node, void *list)
{
	struct bits *bits = list;
	uint16_t n;

	if (!fw_word_value(bits->words, node->text, &n))
		return fw_reject_word(r, node, bits->words, node->text);
	bits->v[n / 64] |= 1ULL << n % 64;
	return 0;
}

/* @n: how many values there are */
static int read_bits(struct fw_reader *r, const struct pst_node *node, unsigned n, struct bits *bits)
{
	bool other;
	int e = fw_read_list(r, node, add_bit, bits, &other);

	for (unsigned i = 0; i < 4 && other; i++)
		bits->v[i] = ~bits->v[i];
	if (n < 64)
		bits->v[0] &= (1ULL << n) - 1;
	return e;
}

static int read_proto(struct fw_reader *r, const struct pst_node *node, struct fw_rule *rule)
{
	struct bits bits = {.words = &fw_protocols};
	int e = read_bits(r, node, 256, &bits);

	rule->has |= FW_HAS_PROTO;
	memcpy(rule->protocols, bits.v, sizeof(rule->protocols));
	return e;
}

static int read_state(struct fw_reader *r, const struct pst_node *node, struct fw_rule *rule)
{
	struct bits bits = {.words = &fw_states};
	int e = read_bits(r, node, PST_CT_STATES, &bits);

	rule->has |= FW_HAS_STATE;
	rule->state = (uint8_t)bits.v[0];
	return e;
}

static int read_dscp(struct fw_reader *r, const struct pst_node *node, struct fw_rule *rule)
{
	struct bits bits = {.words = &fw_dscps};
	int e = read_bits(r, node, 64, &bits);

	rule->has |= FW_HAS_DSCP;
	rule->dscp = bits.v[0];
	return e;
}

/* ---- lists ---- */

static int read_vlan(struct fw_reader *r, const struct pst_node *node, struct fw_rule *rule)
{
	return fw_read_list(r, node, fw_read_vlan, &rule->vlan, &rule->vlan.other);
}

/* A list is empty where a set is: nothing is in it, and everything is not. */
static int read_side(struct fw_reader *r, const struct pst_node *node, struct fw_rule *rule,
	struct fw_prefixes *addrs, struct fw_endpoints *ends)
{
	struct fw_side side = {addrs, ends};
	bool other = false;
	int e = fw_read_list(r, node, fw_read_address, &side, &other);

	addrs->other = other && addrs->n;
	ends->other = other && ends->n;
	if (!e && !addrs->n && !ends->n && !other)
		rule->has |= FW_HAS_NOTHING;
	return e;
}

static int read_src(struct fw_reader *r, const struct pst_node *node, struct fw_rule *rule)
{
	return read_side(r, node, rule, &rule->src, &rule->ends[0]);
}

static int read_dst(struct fw_reader *r, const struct pst_node *node, struct fw_rule *rule)
{
	return read_side(r, node, rule, &rule->dst, &rule->ends[1]);
}

/* Of an empty set all ports are not in it, but there has to be one. */
static int read_ports(
	struct fw_reader *r, const struct pst_node *node, struct fw_rule *rule, struct fw_ranges *list)
{
	static const struct fw_range all = {0, 65535};
	int e = fw_read_list(r, node, fw_read_port, list, &list->other);

	if (e || list->n)
		return e;
	if (!list->other)
		rule->has |= FW_HAS_NOTHING;
	else
		e = fw_append(r, node, (void **)&list->v, &list->n, &all, 1, sizeof(all));
	list->other = false;
	return e;
}

static int read_sport(struct fw_reader *r, const struct pst_node *node, struct fw_rule *rule)
{
	return read_ports(r, node, rule, &rule->sport);
}

static int read_dport(struct fw_reader *r, const struct pst_node *node, struct fw_rule *rule)
{
	return read_ports(r, node, rule, &rule->dport);
}

/* ---- the rule ---- */

static const struct {
	const char *key;
	bool scalar;
	int (*read)(struct fw_reader *r, const struct pst_node *node, struct fw_rule *rule);
} keys[FW_KEYS] = {
	[FW_KEY_NAME] = {"name", true, read_name},
	[FW_KEY_FAMILY] = {"family", true, read_family},
	[FW_KEY_INTERFACE] = {"interface", false, read_interface},
	[FW_KEY_VLAN] = {"vlan", false, read_vlan},
	[FW_KEY_PROTO] = {"proto", false, read_proto},
	[FW_KEY_SRC] = {"src", false, read_src},
	[FW_KEY_DST] = {"dst", false, read_dst},
	[FW_KEY_SPORT] = {"sport", false, read_sport},
	[FW_KEY_DPORT] = {"dport", false, read_dport},
	[FW_KEY_TCP_FLAGS] = {"tcp_flags", false, fw_read_tcp_flags},
	[FW_KEY_ICMP] = {"icmp", false, fw_read_icmp},
	[FW_KEY_STATE] = {"state", false, read_state},
	[FW_KEY_DSCP] = {"dscp", false, read_dscp},
	[FW_KEY_ACTION] = {"action", true, read_action},
	[FW_KEY_REJECT_WITH] = {"reject_with", true, read_reject_with},
	[FW_KEY_LOG] = {"log", true, read_log},
	[FW_KEY_MARK] = {"mark", true, read_mark},
};

static int reject_key(struct fw_reader *r, const struct pst_node *node)
{
	const char *names[FW_KEYS], *near;

	for (unsigned i = 0; i < FW_KEYS; i++)
		names[i] = keys[i].key;
	near = pst_conf_did_you_mean(node->key, names, FW_KEYS);
	pst_conf_error(r->ctx.errors, r->ctx.file, node->key_line, node->key_column,
		"unknown key \"%.64s\" of a rule%s%s%s", node->key,
		near ? ", did you mean \""
		     : ", expected name, family, interface, vlan, proto, src, dst, sport, dport, "
		       "tcp_flags, icmp, state, dscp, action, reject_with, log or mark",
		near ? near : "", near ? "\"?" : "");
	return -EINVAL;
}

static int find_key(struct fw_reader *r, const struct pst_node *node)
{
	for (unsigned i = 0; i < FW_KEYS; i++) {
		if (strcmp(keys[i].key, node->key) != 0)
			continue;
		r->at[i] = node;
		return 0;
	}
	return reject_key(r, node);
}

/* In the order of the table: what `icmp` means hangs on `proto`. */
static int read_keys(struct fw_reader *r, const struct pst_node *node, struct fw_rule *rule)
{
	int e = 0, k;

	memset(r->at, 0, sizeof(r->at));
	for (const struct pst_node *n = node->child; n; n = n->next) {
		k = find_key(r, n);
		e = e ? e : k;
	}
	for (unsigned i = 0; i < FW_KEYS; i++) {
		if (!r->at[i])
			continue;
		snprintf(r->what, sizeof(r->what), "%s", keys[i].key);
		if (keys[i].scalar && r->at[i]->type != PST_NODE_SCALAR)
			k = FW_REJECT(r, r->at[i], "%s: expected one value", keys[i].key);
		else
			k = keys[i].read(r, r->at[i], rule);
		if (k == -ENOMEM)
			return k;
		e = e ? e : k;
	}
	return e;
}

static int check_name(struct fw_reader *r, const struct pst_node *node, const struct fw_rule *rule)
{
	uint32_t line;
	int e;

	if (!rule->name)
		return r->at[FW_KEY_NAME]
			       ? 0 /* refused */
			       : FW_REJECT(r, node,
					 "the rule has no name, expected one that no other rule has");
	e = fw_names_add(&r->rule_names, rule->name, node->line);
	if (e != -EEXIST)
		return e;
	fw_names_find(&r->rule_names, rule->name, &line);
	return FW_REJECT(r, r->at[FW_KEY_NAME],
		"name: \"%s\" is the name of the rule in line %u already, expected another", rule->name,
		line);
}

static int check_rule(struct fw_reader *r, const struct pst_node *node, const struct fw_rule *rule)
{
	enum fw_key key;
	const char *why;
	int e = rule->has & FW_HAS_NOTHING ? 1 : fw_rule_possible(rule, &key, &why);

	if (e < 0)
		return e;
	if (!e)
		return FW_REJECT(
			r, r->at[key] ? r->at[key] : node, "%s: nothing could match: %s", keys[key].key, why);
	if (rule->action == PST_FW_NEXT && ++r->n_next == PST_FW_NEXT_MAX + 1)
		return FW_REJECT(
			r, r->at[FW_KEY_ACTION], "action: more than %d rules that continue", PST_FW_NEXT_MAX);
	if ((rule->ends[0].n || rule->ends[1].n) && ++r->n_paired == PST_FW_PAIRED_MAX + 1)
		return FW_REJECT(r, r->at[rule->ends[0].n ? FW_KEY_SRC : FW_KEY_DST],
			"%s: more than %d rules with addresses and ports in one list",
			rule->ends[0].n ? "src" : "dst", PST_FW_PAIRED_MAX);
	return 0;
}

int fw_read_rule(struct fw_reader *r, const struct pst_node *node, struct fw_rule *rule)
{
	int e, k;

	if (node->type != PST_NODE_MAPPING)
		return FW_REJECT(r, node,
			"expected a rule such as {name: ssh, proto: tcp, dport: 22, action: accept}");
	e = read_keys(r, node, rule);
	if (e == -ENOMEM)
		return e;
	k = check_name(r, node, rule);
	e = e ? e : k;
	if (!r->at[FW_KEY_ACTION]) {
		k = FW_REJECT(r, node, "the rule has no action, expected %s", fw_actions.examples);
		e = e ? e : k;
	}
	return e ? e : check_rule(r, node, rule);
}
