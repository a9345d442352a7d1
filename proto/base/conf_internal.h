/* SPDX-License-Identifier: Apache-2.0 */
/* What the conf_*.c files share with each other and nobody else. */
#ifndef PST_BASE_CONF_INTERNAL_H
#define PST_BASE_CONF_INTERNAL_H

#include <yaml.h>

#include "proto/base/conf.h"

#define CONF_FILE_MAX_BYTES (1u << 20)

struct conf_text {
	char s[72];
};

/* A number as it would be written in the file, in the largest unit that keeps it whole. */
struct conf_text conf_format(enum pst_conf_type type, uint64_t value);
/* A word from the file, made fit for a message. */
struct conf_text conf_quote(const char *s);

/* libyaml counts from 0. */
static inline uint32_t conf_place(size_t zero_based)
{
	return zero_based < UINT32_MAX ? (uint32_t)zero_based + 1 : UINT32_MAX;
}
#define CONF_ERROR_AT(errors, name, mark, ...)                                                               \
	pst_conf_error(errors, name, conf_place((mark).line), conf_place((mark).column), __VA_ARGS__)
void conf_syntax_error(struct pst_conf_errors *errors, const char *name, const yaml_parser_t *parser,
	const unsigned char *bytes, size_t len);

#endif
