// SPDX-License-Identifier: Apache-2.0
/* libyaml's complaints as file:line:column and what to do. */
#include "proto/base/cleanup.h"
#include "proto/base/conf_internal.h"

#include <string.h>

/* What the reader (encoding, control characters) complains of has only an offset. */
static yaml_mark_t mark_of_offset(const unsigned char *bytes, size_t len, size_t offset)
{
	yaml_mark_t m = {0};

	for (size_t i = 0; i < len && i < offset; i++) {
		if (bytes[i] == '\n') {
			m.line++;
			m.column = 0;
		} else if ((bytes[i] & 0xc0) != 0x80) { /* count characters */
			m.column++;
		}
	}
	return m;
}

/* Byte at a mark, or 0. libyaml counts characters, not bytes. */
static unsigned char byte_at(const unsigned char *bytes, size_t len, yaml_mark_t at)
{
	size_t i = 0, column = 0;

	for (size_t line = 0; i < len && line < at.line; i++)
		line += bytes[i] == '\n';
	for (; i < len && bytes[i] != '\n'; i++) {
		if ((bytes[i] & 0xc0) == 0x80)
			continue;
		if (column++ == at.column)
			return bytes[i];
	}
	return 0;
}

/* What libyaml says where people slip most, in words that say what to do. */
static const char *explain(const char *problem)
{
	static const char *const texts[][2] = {
		{"mapping values are not allowed in this context",
			"unexpected \":\"; check the indentation, or quote the text if the colon belongs to "
			"it"},
		{"could not find expected ':'", "expected \"key: value\"; the colon is missing"},
		{"did not find expected key", "expected a key at the indentation of those above"},
		{"did not find expected '-' indicator",
			"expected \"- \" for the next entry of the list, or less indentation"},
		{"found character that cannot start any token",
			"a value cannot begin with this character; quote the text"},
		{"found unexpected end of stream", "the quoted text never ends"},
	};

	for (size_t i = 0; i < PST_ARRAY_SIZE(texts); i++)
		if (!strcmp(problem, texts[i][0]))
			return texts[i][1];
	return problem;
}

void conf_syntax_error(struct pst_conf_errors *errors, const char *name, const yaml_parser_t *parser,
	const unsigned char *bytes, size_t len)
{
	const char *problem = parser->problem ? parser->problem : "not YAML";
	yaml_mark_t at = parser->problem_mark;

	switch (parser->error) {
	case YAML_MEMORY_ERROR:
		pst_conf_error(errors, name, 0, 0, "out of memory");
		return;
	case YAML_READER_ERROR:
		at = mark_of_offset(bytes, len, parser->problem_offset);
		CONF_ERROR_AT(errors, name, at, "%s: text must be UTF-8 without control characters", problem);
		return;
	default:
		break;
	}
	if (byte_at(bytes, len, at) == '\t')
		CONF_ERROR_AT(errors, name, at, "a tab is here: indent with spaces");
	else if (parser->context)
		CONF_ERROR_AT(errors, name, at, "%s (%s, which began in line %u)", explain(problem),
			parser->context, conf_place(parser->context_mark.line));
	else
		CONF_ERROR_AT(errors, name, at, "%s", explain(problem));
}
