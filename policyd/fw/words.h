/* SPDX-License-Identifier: Apache-2.0 */
/* The words that rules may use in the place of numbers, both ways. */
#ifndef PST_POLICYD_FW_WORDS_H
#define PST_POLICYD_FW_WORDS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct fw_word {
	const char *name;
	uint16_t value; /* several names may have one value: the first is the one that is shown */
};

struct fw_words {
	const char *what; /* "protocol": for messages */
	const char *examples;
	const struct fw_word *v;
	size_t n;
	uint16_t max; /* highest number that may be given in the place of a word; 0: words only */
};

extern const struct fw_words fw_protocols; /* IP protocol numbers */
extern const struct fw_words fw_dscps;
extern const struct fw_words fw_states; /* enum pst_ct_state */
extern const struct fw_words fw_flags;  /* TCP, as bits */
extern const struct fw_words fw_actions;
extern const struct fw_words fw_reject_with;
extern const struct fw_words fw_families; /* 4, 6 */
/* type << 8, and type << 8 | code of those types whose codes have names */
extern const struct fw_words fw_icmp4_types, fw_icmp4_codes;
extern const struct fw_words fw_icmp6_types, fw_icmp6_codes;

/* The word's value, or the number's (decimal or 0x). Letters' case does not count. */
bool fw_word_value(const struct fw_words *words, const char *text, uint16_t *ret_value);
/* NULL: it has no name. */
const char *fw_word_name(const struct fw_words *words, unsigned value);
/* The word that @text was probably to be, or NULL. */
const char *fw_word_near(const struct fw_words *words, const char *text);
/* Digits, or 0x and hexadecimal digits, and nothing else, up to @max. */
bool fw_number(const char *text, uint32_t max, uint32_t *ret_value);

#endif
