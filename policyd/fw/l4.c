// SPDX-License-Identifier: Apache-2.0
/* `tcp_flags:` and `icmp:`. */
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "policyd/fw/reader.h"

/* ---- TCP ---- */

#define FLAGS_TEXT_MAX 128

/* Flags between commas, bars or blanks, up to @end; at least one. */
static int parse_flags(struct fw_reader *r, const struct pst_node *node, const char *text, const char *end,
	uint8_t *ret_flags)
{
	char word[FLAGS_TEXT_MAX];
	unsigned n = 0;
	uint16_t bit;

	*ret_flags = 0;
	while (text < end) {
		size_t len = strcspn(text, ",| ");

		if (len > (size_t)(end - text))
			len = (size_t)(end - text);
		if (len) {
			memcpy(word, text, len);
			word[len] = 0;
			if (!fw_word_value(&fw_flags, word, &bit))
				return fw_reject_word(r, node, &fw_flags, word);
			*ret_flags |= (uint8_t)bit;
			n++;
		}
		text += len + 1;
	}
	if (!n)
		return FW_REJECT(r, node, "%s: expected flags such as syn or \"syn / syn,ack\"", r->what);
	return 0;
}

static int add_flag(struct fw_reader *r, const struct pst_node *node, void *list)
{
	uint8_t *flags = list;
	uint16_t bit;

	if (!fw_word_value(&fw_flags, node->text, &bit))
		return fw_reject_word(r, node, &fw_flags, node->text);
	*flags |= (uint8_t)bit;
	return 0;
}

/* The flags that are to be set, and behind a slash those that are looked at. */
static int parse_value_mask(struct fw_reader *r, const struct pst_node *node, struct fw_rule *rule)
{
	const char *text = node->text, *slash = strchr(text, '/'), *end = text + strlen(text);
	unsigned lost;
	int e;

	if (end - text >= FLAGS_TEXT_MAX)
		return FW_REJECT(r, node, "%s: longer than %d bytes", r->what, FLAGS_TEXT_MAX - 1);
	e = parse_flags(r, node, text, slash ? slash : end, &rule->tcp_value);
	if (e || !slash)
		return e;
	e = parse_flags(r, node, slash + 1, end, &rule->tcp_mask);
	lost = rule->tcp_value & ~(unsigned)rule->tcp_mask;
	if (e || !lost)
		return e;
	return FW_REJECT(r, node,
		"%s: nothing could match: %s is to be set and not looked at, expected it behind the / too",
		r->what, fw_word_name(&fw_flags, lost & -lost));
}

int fw_read_tcp_flags(struct fw_reader *r, const struct pst_node *node, struct fw_rule *rule)
{
	bool has_mask = node->type == PST_NODE_SCALAR && strchr(node->text, '/');
	int e = node->type == PST_NODE_SCALAR ? parse_value_mask(r, node, rule)
					      : fw_read_each(r, node, add_flag, &rule->tcp_value);

	if (e)
		return e;
	if (!has_mask) /* "none" says of all that they are not set */
		rule->tcp_mask = rule->tcp_value ? rule->tcp_value : 0xff;
	rule->has |= FW_HAS_TCP_FLAGS;
	return 0;
}

/* ---- ICMP ---- */

bool fw_icmp_words(
	const struct fw_rule *rule, const struct fw_words **ret_types, const struct fw_words **ret_codes)
{
	bool proto = rule->has & FW_HAS_PROTO;
	bool v4 = proto ? rule->protocols[0] >> 1 & 1 : rule->family != 6;
	bool v6 = proto ? rule->protocols[0] >> 58 & 1 : rule->family != 4;

	*ret_types = v4 ? &fw_icmp4_types : &fw_icmp6_types;
	*ret_codes = v4 ? &fw_icmp4_codes : &fw_icmp6_codes;
	return v4 != v6;
}

struct icmp_list {
	const struct fw_rule *rule;
	struct fw_ranges *to;
};

/* "8", "3/4", "3-5", "3/1-3/4": numbers only. @ret_range is empty if the end is below the start. */
static bool parse_numbers(const char *text, struct fw_range *ret_range)
{
	char copy[32], *part[2] = {copy, NULL}, *code[2];
	uint32_t type, n, v[2][2];

	if (snprintf(copy, sizeof(copy), "%s", text) >= (int)sizeof(copy))
		return false;
	part[1] = strchr(copy, '-');
	if (part[1])
		*part[1]++ = 0;
	for (int i = 0; i < 2 && part[i]; i++) {
		code[i] = strchr(part[i], '/');
		if (code[i])
			*code[i]++ = 0;
		if (!fw_number(part[i], 255, &type) || (code[i] && !fw_number(code[i], 255, &n)))
			return false;
		v[i][0] = type << 8 | (code[i] ? n : 0);
		v[i][1] = type << 8 | (code[i] ? n : 255);
	}
	if (part[1] && !code[0] != !code[1])
		return false; /* 3-4/5: whose code? */
	*ret_range = (struct fw_range){(uint16_t)v[0][0], (uint16_t)v[!!part[1]][1]};
	return true;
}

/* "type" or "type/code", at least one of them a word. */
static int parse_words(struct fw_reader *r, const struct pst_node *node, const struct fw_rule *rule,
	struct fw_range *ret_range)
{
	const struct fw_words *types, *codes;
	char type_text[64];
	const char *slash = strchrnul(node->text, '/');
	uint16_t type, code;
	uint32_t n;

	if (!fw_icmp_words(rule, &types, &codes))
		return FW_REJECT(r, node,
			"%s: \"%.64s\" is another number in ICMP than in ICMPv6, expected proto: icmp or "
			"proto: icmpv6 beside it",
			r->what, node->text);
	if ((size_t)(slash - node->text) >= sizeof(type_text))
		return fw_reject_word(r, node, types, node->text);
	memcpy(type_text, node->text, (size_t)(slash - node->text));
	type_text[slash - node->text] = 0;
	if (fw_number(type_text, 255, &n))
		type = (uint16_t)(n << 8);
	else if (!fw_word_value(types, type_text, &type))
		return fw_reject_word(r, node, types, type_text);
	*ret_range = (struct fw_range){type, type | 255};
	if (!*slash)
		return 0;
	if (fw_number(slash + 1, 255, &n))
		code = (uint16_t)(type | n);
	else if (!fw_word_value(codes, slash + 1, &code))
		return fw_reject_word(r, node, codes, slash + 1);
	if (code >> 8 != type >> 8)
		return FW_REJECT(r, node, "%s: \"%.64s\" is a code of type %d, expected one of type %d",
			r->what, slash + 1, code >> 8, type >> 8);
	*ret_range = (struct fw_range){code, code};
	return 0;
}

static int add_icmp(struct fw_reader *r, const struct pst_node *node, void *list)
{
	struct icmp_list *l = list;
	struct fw_range range = {0};
	int e;

	if (!parse_numbers(node->text, &range)) {
		if (!node->text[strspn(node->text, "0123456789/-")])
			return FW_REJECT(r, node,
				"%s: \"%.64s\": expected numbers up to 255 such as 8, 3/4, 3-5 or 3/0-3/5",
				r->what, node->text);
		e = parse_words(r, node, l->rule, &range);
		if (e)
			return e;
	}
	if (range.lo > range.hi)
		return FW_REJECT(r, node, "%s: the range %s is empty: its end is below its start", r->what,
			node->text);
	return fw_append(r, node, (void **)&l->to->v, &l->to->n, &range, 1, sizeof(range));
}

int fw_read_icmp(struct fw_reader *r, const struct pst_node *node, struct fw_rule *rule)
{
	struct icmp_list list = {rule, &rule->icmp};

	rule->has |= FW_HAS_ICMP;
	if (node->type == PST_NODE_SCALAR && !strcmp(node->text, "any"))
		return 0;
	return fw_read_list(r, node, add_icmp, &list, &rule->icmp.other);
}
