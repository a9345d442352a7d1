// SPDX-License-Identifier: Apache-2.0
#include "policyd/fw/words.h"

#include <string.h>
#include <strings.h>

#include "policyd/fw/fw.h"
#include "proto/base/cleanup.h"
#include "proto/base/conf.h"

#define WORDS_MAX 64

static const struct fw_word protocols[] = {
	{"tcp", 6},
	{"udp", 17},
	{"icmp", 1},
	{"icmpv6", 58},
	{"ipv6-icmp", 58},
	{"sctp", 132},
	{"hopopt", 0},
	{"igmp", 2},
	{"ipip", 4},
	{"dccp", 33},
	{"ipv6", 41},
	{"rsvp", 46},
	{"gre", 47},
	{"esp", 50},
	{"ah", 51},
	{"eigrp", 88},
	{"ospf", 89},
	{"pim", 103},
	{"ipcomp", 108},
	{"vrrp", 112},
	{"l2tp", 115},
	{"udplite", 136},
};

/* RFC 2474, 2597, 3246, 5865, 8622 */
static const struct fw_word dscps[] = {
	{"be", 0},
	{"cs0", 0},
	{"le", 1},
	{"cs1", 8},
	{"af11", 10},
	{"af12", 12},
	{"af13", 14},
	{"cs2", 16},
	{"af21", 18},
	{"af22", 20},
	{"af23", 22},
	{"cs3", 24},
	{"af31", 26},
	{"af32", 28},
	{"af33", 30},
	{"cs4", 32},
	{"af41", 34},
	{"af42", 36},
	{"af43", 38},
	{"cs5", 40},
	{"va", 44},
	{"ef", 46},
	{"cs6", 48},
	{"cs7", 56},
};

static const struct fw_word states[] = {
	{"untracked", PST_CT_UNTRACKED},
	{"new", PST_CT_NEW},
	{"established", PST_CT_ESTABLISHED},
	{"related", PST_CT_RELATED},
	{"invalid", PST_CT_INVALID},
};

static const struct fw_word flags[] = {
	{"fin", 1},
	{"syn", 2},
	{"rst", 4},
	{"psh", 8},
	{"ack", 16},
	{"urg", 32},
	{"ece", 64},
	{"cwr", 128},
	{"none", 0},
	{"all", 255},
};

static const struct fw_word actions[] = {
	{"accept", PST_FW_ACCEPT},
	{"drop", PST_FW_DROP},
	{"reject", PST_FW_REJECT},
	{"continue", PST_FW_NEXT},
	{"next", PST_FW_STEP},
};

/* As nftables has them for both families (icmpx), the first of each; of one family behind it. */
static const struct fw_word reject_with[] = {
	{"port-unreachable", PST_FW_WITH_PORT},
	{"admin-prohibited", PST_FW_WITH_ADMIN},
	{"host-unreachable", PST_FW_WITH_HOST},
	{"addr-unreachable", PST_FW_WITH_HOST},
	{"no-route", PST_FW_WITH_NET},
	{"net-unreachable", PST_FW_WITH_NET},
};

static const struct fw_word families[] = {
	{"4", 4},
	{"6", 6},
	{"ipv4", 4},
	{"ipv6", 6},
};

#define TYPE(n)       ((n) << 8)
#define CODE(type, n) ((type) << 8 | (n))

static const struct fw_word icmp4_types[] = {
	{"echo-reply", TYPE(0)},
	{"destination-unreachable", TYPE(3)},
	{"source-quench", TYPE(4)},
	{"redirect", TYPE(5)},
	{"echo-request", TYPE(8)},
	{"router-advertisement", TYPE(9)},
	{"router-solicitation", TYPE(10)},
	{"time-exceeded", TYPE(11)},
	{"parameter-problem", TYPE(12)},
	{"timestamp-request", TYPE(13)},
	{"timestamp-reply", TYPE(14)},
	{"address-mask-request", TYPE(17)},
	{"address-mask-reply", TYPE(18)},
};

static const struct fw_word icmp4_codes[] = {
	{"net-unreachable", CODE(3, 0)},
	{"host-unreachable", CODE(3, 1)},
	{"protocol-unreachable", CODE(3, 2)},
	{"port-unreachable", CODE(3, 3)},
	{"frag-needed", CODE(3, 4)},
	{"net-prohibited", CODE(3, 9)},
	{"host-prohibited", CODE(3, 10)},
	{"admin-prohibited", CODE(3, 13)},
	{"net-redirect", CODE(5, 0)},
	{"host-redirect", CODE(5, 1)},
	{"ttl-exceeded", CODE(11, 0)},
	{"reassembly-timeout", CODE(11, 1)},
};

static const struct fw_word icmp6_types[] = {
	{"destination-unreachable", TYPE(1)},
	{"packet-too-big", TYPE(2)},
	{"time-exceeded", TYPE(3)},
	{"parameter-problem", TYPE(4)},
	{"echo-request", TYPE(128)},
	{"echo-reply", TYPE(129)},
	{"mld-query", TYPE(130)},
	{"mld-report", TYPE(131)},
	{"mld-done", TYPE(132)},
	{"router-solicitation", TYPE(133)},
	{"router-advertisement", TYPE(134)},
	{"neighbor-solicitation", TYPE(135)},
	{"neighbor-advertisement", TYPE(136)},
	{"redirect", TYPE(137)},
	{"router-renumbering", TYPE(138)},
	{"mld2-report", TYPE(143)},
};

static const struct fw_word icmp6_codes[] = {
	{"no-route", CODE(1, 0)},
	{"admin-prohibited", CODE(1, 1)},
	{"address-unreachable", CODE(1, 3)},
	{"port-unreachable", CODE(1, 4)},
	{"policy-fail", CODE(1, 5)},
	{"reject-route", CODE(1, 6)},
	{"hop-limit-exceeded", CODE(3, 0)},
	{"reassembly-timeout", CODE(3, 1)},
	{"erroneous-header", CODE(4, 0)},
	{"unknown-header", CODE(4, 1)},
	{"unknown-option", CODE(4, 2)},
};

#define WORDS(name, what, max, examples)                                                                     \
	const struct fw_words fw_##name = {what, examples, name, PST_ARRAY_SIZE(name), max};                 \
	static_assert(PST_ARRAY_SIZE(name) <= WORDS_MAX, "fw_word_near() has room for them")

WORDS(protocols, "protocol", 255, "tcp, udp, icmp, icmpv6 or a number up to 255");
WORDS(dscps, "DSCP", 63, "ef, af11, cs1 or a number up to 63");
WORDS(states, "state", 0, "new, established, related, invalid or untracked");
WORDS(flags, "TCP flag", 255, "fin, syn, rst, psh, ack, urg, ece, cwr, none or all");
WORDS(actions, "action", 0, "accept, drop, reject, continue or next");
WORDS(reject_with, "answer", 0, "port-unreachable, admin-prohibited, host-unreachable or no-route");
WORDS(families, "family", 0, "4 or 6");
WORDS(icmp4_types, "type of ICMP", 0, "echo-request or a number up to 255");
WORDS(icmp4_codes, "code of the type", 0, "a number up to 255");
WORDS(icmp6_types, "type of ICMPv6", 0, "echo-request or a number up to 255");
WORDS(icmp6_codes, "code of the type", 0, "a number up to 255");

bool fw_number(const char *text, uint32_t max, uint32_t *ret_value)
{
	static const char digits[] = "0123456789abcdef";
	unsigned base = 10;
	uint64_t n = 0;

	if (text[0] == '0' && (text[1] | 32) == 'x') {
		base = 16;
		text += 2;
	}
	if (!*text)
		return false;
	for (; *text; text++) {
		const char *d = strchr(digits, *text >= 'A' && *text <= 'F' ? *text | 32 : *text);

		if (!d || d - digits >= (long)base)
			return false;
		n = n * base + (unsigned)(d - digits);
		if (n > max)
			return false;
	}
	*ret_value = (uint32_t)n;
	return true;
}

bool fw_word_value(const struct fw_words *words, const char *text, uint16_t *ret_value)
{
	uint32_t n;

	for (size_t i = 0; i < words->n; i++) {
		if (strcasecmp(words->v[i].name, text))
			continue;
		*ret_value = words->v[i].value;
		return true;
	}
	if (!words->max || !fw_number(text, words->max, &n))
		return false;
	*ret_value = (uint16_t)n;
	return true;
}

const char *fw_word_name(const struct fw_words *words, unsigned value)
{
	for (size_t i = 0; i < words->n; i++)
		if (words->v[i].value == value)
			return words->v[i].name;
	return NULL;
}

const char *fw_word_near(const struct fw_words *words, const char *text)
{
	const char *names[WORDS_MAX];

	for (size_t i = 0; i < words->n; i++)
		names[i] = words->v[i].name;
	return pst_conf_did_you_mean(text, names, words->n);
}
