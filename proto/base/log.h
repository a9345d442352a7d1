/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Log lines on stderr: `time level stage message key=value ...`, or one JSON object a line.
 * Under systemd (JOURNAL_STREAM) the time is left out. Control bytes in values are escaped, so
 * that nothing from outside can forge a line.
 */
#ifndef PST_BASE_LOG_H
#define PST_BASE_LOG_H

#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>

enum pst_log_level { PST_LOG_ERROR, PST_LOG_WARN, PST_LOG_INFO, PST_LOG_DEBUG };
enum pst_log_format { PST_LOG_TEXT, PST_LOG_JSON };

/* @stage must stay valid. Before the call, lines go out as text at INFO without a stage. */
void pst_log_init(const char *stage, enum pst_log_format format, enum pst_log_level level);
/* "error", "warn", "info", "debug"; -EINVAL otherwise. */
int pst_log_level_parse(const char *name, enum pst_log_level *ret_level);
bool pst_log_enabled(enum pst_log_level level);
void pst_log(enum pst_log_level level, const char *format, ...) __attribute__((format(printf, 2, 3)));
void pst_logv(enum pst_log_level level, const char *format, va_list ap) __attribute__((format(printf, 2, 0)));

#define pst_error(...) pst_log(PST_LOG_ERROR, __VA_ARGS__)
#define pst_warn(...)  pst_log(PST_LOG_WARN, __VA_ARGS__)
#define pst_info(...)  pst_log(PST_LOG_INFO, __VA_ARGS__)
#define pst_debug(...)                                                                                       \
	do {                                                                                                 \
		if (pst_log_enabled(PST_LOG_DEBUG))                                                          \
			pst_log(PST_LOG_DEBUG, __VA_ARGS__);                                                 \
	} while (0)

/* At most one line a second from one place; the next line says how many were held back (suppressed=N). */
struct pst_ratelimit {
	uint64_t last_ns;
	uint64_t suppressed;
};
void pst_log_limited(struct pst_ratelimit *rl, enum pst_log_level level, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
#define pst_warn_limited(...)                                                                                \
	do {                                                                                                 \
		static struct pst_ratelimit pst_rl_;                                                         \
		pst_log_limited(&pst_rl_, PST_LOG_WARN, __VA_ARGS__);                                        \
	} while (0)

/* Escapes @len bytes into @buf (always NUL-terminated, cut with "..." when too long); returns @buf. Anything
 * that is not printable ASCII or valid UTF-8 becomes \xNN; quotes and backslashes are escaped. */
const char *pst_log_escape(char *buf, unsigned size, const void *bytes, unsigned len);
/* The same, but quotes and backslashes stay: for a whole message, which stands in no quotes. */
const char *pst_log_plain(char *buf, unsigned size, const void *bytes, unsigned len);

#endif
