// SPDX-License-Identifier: Apache-2.0
#include "proto/base/log.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define LINE_MAX_BYTES 4096 /* PIPE_BUF: one write(2) of a line is not torn by other writers */
#define TEXT_MAX_BYTES 2048

static struct {
	const char *stage;
	enum pst_log_format format;
	enum pst_log_level level;
	bool journal;
	uint64_t lost; /* lines that stderr did not take (full non-blocking pipe) */
} log_state = {.level = PST_LOG_INFO};

static const char *const level_names[] = {"error", "warn", "info", "debug"};
static const char journal_priority[] = {'3', '4', '6', '7'};

/* JOURNAL_STREAM names the journal's socket; it is inherited, so it means something only if stderr still is
 * that socket. */
static bool stderr_is_journal(void)
{
	const char *stream = getenv("JOURNAL_STREAM");
	unsigned long long dev, ino;
	struct stat st;

	if (!stream || sscanf(stream, "%llu:%llu", &dev, &ino) != 2 || fstat(STDERR_FILENO, &st) < 0)
		return false;
	return st.st_dev == dev && st.st_ino == ino;
}

void pst_log_init(const char *stage, enum pst_log_format format, enum pst_log_level level)
{
	log_state.stage = stage;
	log_state.format = format;
	log_state.level = level;
	log_state.journal = stderr_is_journal();
}

int pst_log_level_parse(const char *name, enum pst_log_level *ret_level)
{
	for (unsigned i = 0; i < sizeof(level_names) / sizeof(level_names[0]); i++)
		if (!strcmp(name, level_names[i])) {
			*ret_level = (enum pst_log_level)i;
			return 0;
		}
	return -EINVAL;
}

bool pst_log_enabled(enum pst_log_level level)
{
	return level <= log_state.level;
}

/* Characters that move the cursor, end a line or turn the direction of writing: they could forge what a
 * person sees. */
static bool is_deceptive(uint32_t c)
{
	return (c >= 0x80 && c <= 0x9f) || c == 0x061c || c == 0x200e || c == 0x200f ||
	       (c >= 0x2028 && c <= 0x202e) || (c >= 0x2066 && c <= 0x2069) || c == 0xfeff;
}

/* Length of the well-formed, harmless UTF-8 sequence of two bytes or more at @s, or 0. */
static unsigned utf8_len(const unsigned char *s, unsigned len)
{
	static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
	unsigned n = s[0] >= 0xf0 && s[0] < 0xf8   ? 4
		     : s[0] >= 0xe0 && s[0] < 0xf0 ? 3
		     : s[0] >= 0xc0 && s[0] < 0xe0 ? 2
						   : 0;
	if (!n || n > len)
		return 0;
	uint32_t c = s[0] & (0x7fu >> n);
	for (unsigned i = 1; i < n; i++) {
		if ((s[i] & 0xc0) != 0x80)
			return 0;
		c = c << 6 | (s[i] & 0x3f);
	}
	if (c < least[n] || c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff) || is_deceptive(c))
		return 0;
	return n;
}

struct out {
	char *buf;
	unsigned size, len; /* size leaves out the NUL */
	unsigned mark;      /* where "..." still fits */
	bool cut;
};

/* All of @bytes or nothing: an escape is never torn. */
static void put(struct out *o, const char *bytes, unsigned n)
{
	if (o->cut)
		return;
	if (n > o->size - o->len) {
		o->cut = true;
		return;
	}
	memcpy(o->buf + o->len, bytes, n);
	o->len += n;
	if (o->len + 3 <= o->size)
		o->mark = o->len;
}

static void finish(struct out *o)
{
	if (o->cut) {
		static const char dots[] = "...";
		unsigned n = o->size - o->mark < 3 ? o->size - o->mark : 3;

		memcpy(o->buf + o->mark, dots, n);
		o->len = o->mark + n;
	}
	o->buf[o->len] = '\0';
}

/* @quote: also escape quotes and backslashes. */
static void put_escaped(struct out *o, const void *bytes, unsigned len, bool quote)
{
	static const char hex[] = "0123456789abcdef";
	const unsigned char *s = bytes;

	for (unsigned i = 0; i < len && !o->cut;) {
		unsigned n = s[i] >= 0x80 ? utf8_len(s + i, len - i) : s[i] >= 0x20 && s[i] < 0x7f;

		if (quote && (s[i] == '"' || s[i] == '\\')) {
			put(o, (char[]){'\\', (char)s[i]}, 2);
			n = 1;
		} else if (n) {
			put(o, (const char *)s + i, n);
		} else {
			put(o, (char[]){'\\', 'x', hex[s[i] >> 4], hex[s[i] & 15]}, 4);
			n = 1;
		}
		i += n;
	}
}

static const char *escape(char *buf, unsigned size, const void *bytes, unsigned len, bool quote)
{
	struct out o = {.buf = buf, .size = size - 1};

	if (!size)
		return buf;
	put_escaped(&o, bytes, len, quote);
	finish(&o);
	return buf;
}

const char *pst_log_escape(char *buf, unsigned size, const void *bytes, unsigned len)
{
	return escape(buf, size, bytes, len, true);
}

const char *pst_log_plain(char *buf, unsigned size, const void *bytes, unsigned len)
{
	return escape(buf, size, bytes, len, false);
}

static unsigned format_time(char *buf, size_t size)
{
	struct timespec ts;
	struct tm tm;

	clock_gettime(CLOCK_REALTIME, &ts);
	gmtime_r(&ts.tv_sec, &tm);
	int n = snprintf(buf, size, "%04d-%02d-%02dT%02d:%02d:%02d.%03ldZ", tm.tm_year + 1900, tm.tm_mon + 1,
		tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec, ts.tv_nsec / 1000000);
	return n > 0 && (size_t)n < size ? (unsigned)n : 0;
}

static void put_str(struct out *o, const char *s)
{
	put(o, s, (unsigned)strlen(s));
}

static void head_text(struct out *o, enum pst_log_level level)
{
	char time[48];

	if (!log_state.journal) {
		put(o, time, format_time(time, sizeof(time)));
		put_str(o, " ");
	}
	put_str(o, level_names[level]);
	put_str(o, " ");
	if (log_state.stage) {
		put_str(o, log_state.stage);
		put_str(o, " ");
	}
}

static void head_json(struct out *o, enum pst_log_level level)
{
	char time[48];

	put_str(o, "{");
	if (!log_state.journal) {
		put_str(o, "\"time\":\"");
		put(o, time, format_time(time, sizeof(time)));
		put_str(o, "\",");
	}
	put_str(o, "\"level\":\"");
	put_str(o, level_names[level]);
	if (log_state.stage) {
		put_str(o, "\",\"stage\":\"");
		put_escaped(o, log_state.stage, (unsigned)strlen(log_state.stage), true);
	}
	put_str(o, "\",\"message\":\"");
}

/* False: stderr did not take it. */
static bool emit(enum pst_log_level level, const char *text, unsigned len)
{
	char line[LINE_MAX_BYTES];
	/* Room for what closes the line is kept back from the message. */
	struct out o = {.buf = line, .size = sizeof(line) - 8};

	if (log_state.journal)
		put(&o, (char[]){'<', journal_priority[level], '>'}, 3);
	if (log_state.format == PST_LOG_JSON) {
		char safe[TEXT_MAX_BYTES];
		struct out s = {.buf = safe, .size = sizeof(safe) - 1};

		/* Bytes that JSON cannot carry become \xNN first; then quotes and backslashes are escaped for
		 * JSON. */
		put_escaped(&s, text, len, false);
		finish(&s);
		head_json(&o, level);
		put_escaped(&o, safe, s.len, true);
		finish(&o);
		memcpy(line + o.len, "\"}\n", sizeof("\"}\n"));
		o.len += 3;
	} else {
		head_text(&o, level);
		put_escaped(&o, text, len, false);
		finish(&o);
		line[o.len++] = '\n';
	}
	ssize_t n;
	do {
		n = write(STDERR_FILENO, line, o.len);
	} while (n < 0 && errno == EINTR);
	return n >= 0;
}

__attribute__((format(printf, 3, 0))) static void vlog(
	enum pst_log_level level, uint64_t suppressed, const char *format, va_list ap)
{
	char text[TEXT_MAX_BYTES];
	int saved = errno; /* a log call changes nothing for its caller */
	int len = vsnprintf(text, sizeof(text) - 64, format, ap);

	if (len < 0)
		len = snprintf(text, sizeof(text), "unprintable message");
	if (len >= (int)sizeof(text) - 64) {
		len = (int)sizeof(text) - 64 - 1;
		memcpy(text + len - 3, "...", sizeof("..."));
	}
	if (suppressed)
		len += snprintf(text + len, sizeof(text) - (size_t)len, " suppressed=%llu",
			(unsigned long long)suppressed);
	uint64_t lost = __atomic_exchange_n(&log_state.lost, 0, __ATOMIC_RELAXED);
	if (lost)
		len += snprintf(
			text + len, sizeof(text) - (size_t)len, " lines_lost=%llu", (unsigned long long)lost);
	if (!emit(level, text, (unsigned)len))
		__atomic_fetch_add(&log_state.lost, lost + 1, __ATOMIC_RELAXED);
	errno = saved;
}

void pst_logv(enum pst_log_level level, const char *format, va_list ap)
{
	if (pst_log_enabled(level))
		vlog(level, 0, format, ap);
}

void pst_log(enum pst_log_level level, const char *format, ...)
{
	va_list ap;

	if (!pst_log_enabled(level))
		return;
	va_start(ap, format);
	vlog(level, 0, format, ap);
	va_end(ap);
}

void pst_log_limited(struct pst_ratelimit *rl, enum pst_log_level level, const char *format, ...)
{
	struct timespec ts;
	va_list ap;

	if (!pst_log_enabled(level))
		return;
	clock_gettime(CLOCK_MONOTONIC, &ts);
	uint64_t now = (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
	if (rl->last_ns && now - rl->last_ns < 1000000000u) {
		rl->suppressed++;
		return;
	}
	rl->last_ns = now;
	va_start(ap, format);
	vlog(level, rl->suppressed, format, ap);
	va_end(ap);
	rl->suppressed = 0;
}
