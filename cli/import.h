/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rules of nftables or iptables, from text to a firewall document (docs/firewall.md). What a rule means is
 * kept or the rule is left out, and told: nothing is expressed in part.
 */
#ifndef CLI_IMPORT_H
#define CLI_IMPORT_H

#include <stdbool.h>
#include <stddef.h>

#define IMPORT_TEXT_MAX (16u << 20) /* bytes that are read */

enum import_format { IMPORT_DETECT, IMPORT_NFT, IMPORT_IPTABLES, IMPORT_IP6TABLES };

struct import_options {
	enum import_format format;
	const char *
		chain; /* CHAIN, TABLE/CHAIN or FAMILY/TABLE/CHAIN; NULL: those that guard incoming packets */
};

struct import_result {
	char *yaml; /* the document; NULL if the text is bad */
	size_t yaml_len;
	char *said; /* lines for people: what is left out and why, or what is wrong and where; may be NULL */
	size_t said_len;
	unsigned rules, left_out;
};

/*
 * @name stands for the file in messages. 0: there is a document, which ret_result->left_out rules are missing
 * from. -EBADMSG: the text is bad, or too large to work out, and `said` names the place; -ENOMEM. The caller
 * releases ret_result with import_result_done() in every case.
 */
int import_rules(const char *name, const char *text, size_t len, const struct import_options *options,
	struct import_result *ret_result);
void import_result_done(struct import_result *result);
/* "nft", "iptables" or "ip6tables". */
bool import_format_parse(const char *word, enum import_format *ret_format);

#endif
