// SPDX-License-Identifier: Apache-2.0
#include "proto/base/cleanup.h"
#include "proto/base/conf.h"
#include "proto/base/log.h"

#include <string.h>

#define MESSAGE_MAX 512

void pst_conf_errors_done(struct pst_conf_errors *errors)
{
	free(errors->text);
	*errors = (struct pst_conf_errors){0};
}

void pst_conf_errors_log(const struct pst_conf_errors *errors)
{
	for (const char *p = errors->text, *end; p && *p; p = *end ? end + 1 : end) {
		end = p + strcspn(p, "\n");
		pst_error("%.*s", (int)(end - p), p);
	}
}

/* A file's text or name cannot forge a line of its own. */
static void blank_controls(char *s)
{
	for (; *s; s++)
		if ((unsigned char)*s < 0x20 || *s == 0x7f)
			*s = '?';
}

__attribute__((format(printf, 5, 0))) static void verror(struct pst_conf_errors *errors, const char *file,
	uint32_t line, uint32_t column, const char *format, va_list ap)
{
	char message[MESSAGE_MAX], place[32] = "";

	if (errors->count++ >= PST_CONF_ERRORS_MAX)
		return;
	if (vsnprintf(message, sizeof(message), format, ap) >= (int)sizeof(message))
		memcpy(message + sizeof(message) - 4, "...", 4);
	if (line)
		snprintf(place, sizeof(place), ":%u:%u", line, column);

	PST_FREE char *text = NULL;
	int len = asprintf(&text, "%s%s: %s", file ? file : "", place, message);
	if (len < 0) {
		text = NULL; /* undefined after a failure */
		return;
	}
	blank_controls(text);
	char *all = realloc(errors->text, errors->text_len + (size_t)len + 2);
	if (!all)
		return;
	memcpy(all + errors->text_len, text, (size_t)len);
	errors->text_len += (size_t)len + 1;
	all[errors->text_len - 1] = '\n';
	all[errors->text_len] = '\0';
	errors->text = all;
}

void pst_conf_error(struct pst_conf_errors *errors, const char *file, uint32_t line, uint32_t column,
	const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	verror(errors, file, line, column, format, ap);
	va_end(ap);
}

int pst_conf_reject(struct pst_conf_ctx *ctx, const struct pst_node *node, const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	verror(ctx->errors, ctx->file, node ? node->line : 0, node ? node->column : 0, format, ap);
	va_end(ap);
	return -EINVAL;
}
