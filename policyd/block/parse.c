// SPDX-License-Identifier: Apache-2.0
/* Lists in text. Nearly all lines of a long list are an IPv4 address and nothing else: those take a short
 * way. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "policyd/block/addr.h"
#include "policyd/block/set.h"
#include "proto/base/cleanup.h"
#include "proto/base/io.h"
#include "proto/wire/fmt.h"
#include "proto/wire/json.h"

#define NS         1000000000ull
#define SHORT_LINE 16 /* an IPv4 address and its newline at most */
#define SHOWN      40 /* bytes of a bad word in its message */
#define TIME_MAX   40 /* bytes of a time */

struct scan {
	const char *name;
	const struct block_clock *clock;
	struct block_reasons *reasons;
	struct block_list *list;
	struct pst_conf_errors *errors;
	struct block_loaded *loaded;
	uint32_t number; /* of the line */
	const char *line, *p, *end;
};

struct word {
	const char *p;
	size_t len;
};

/* What follows an address. */
struct options {
	bool has_expires, has_reason, is_past, is_unnamed;
	uint32_t expires;
	uint8_t reason;
};

/* @at: where in the line. Always -EINVAL: the line is bad. */
__attribute__((format(printf, 3, 4))) static int bad(struct scan *s, const char *at, const char *format, ...)
{
	char message[256];
	va_list ap;

	s->loaded->bad++;
	if (s->errors->count >= PST_CONF_ERRORS_MAX) {
		s->errors->count++;
		return -EINVAL;
	}
	va_start(ap, format);
	vsnprintf(message, sizeof(message), format, ap);
	va_end(ap);
	pst_conf_error(s->errors, s->name, s->number, (uint32_t)(at - s->line) + 1, "%s", message);
	return -EINVAL;
}

static bool is_blank(char c)
{
	return c == ' ' || c == '\t';
}

/* To the next word; false: the line ends, or a comment begins. */
static bool skip_blanks(struct scan *s)
{
	while (s->p < s->end && is_blank(*s->p))
		s->p++;
	return s->p < s->end && *s->p != '#';
}

/* To a blank or one of these. */
static struct word take_word(struct scan *s, char stop, char other)
{
	struct word w = {.p = s->p};

	while (s->p < s->end && !is_blank(*s->p) && *s->p != stop && *s->p != other)
		s->p++;
	w.len = (size_t)(s->p - w.p);
	return w;
}

static int shown(struct word w)
{
	return (int)PST_MIN(w.len, (size_t)SHOWN);
}

/* A word, or anything between quotes. */
static int take_value(struct scan *s, struct word *ret_value)
{
	const char *quote = s->p, *end;

	if (s->p == s->end || *s->p != '"') {
		*ret_value = take_word(s, ' ', ' ');
		return 0;
	}
	end = memchr(quote + 1, '"', (size_t)(s->end - quote - 1));
	if (!end)
		return bad(s, quote, "expected a closing quote before the end of the line");
	s->p = end + 1;
	if (s->p < s->end && !is_blank(*s->p))
		return bad(s, s->p, "expected a blank after the closing quote");
	*ret_value = (struct word){.p = quote + 1, .len = (size_t)(end - quote - 1)};
	return 0;
}

/* Seconds of CLOCK_BOOTTIME, rounded up; what is too far to be written is the last that can be. */
static void set_expires(struct scan *s, struct options *o, uint64_t boot_ns)
{
	uint64_t expires = boot_ns / NS + (boot_ns % NS > 0);

	o->is_past = boot_ns <= s->clock->boot_ns;
	o->expires = (uint32_t)PST_MIN(expires, (uint64_t)PST_BLOCK_NEVER - 1);
}

static int parse_expires(struct scan *s, struct word w, struct options *o)
{
	const struct block_clock *c = s->clock;
	char text[TIME_MAX + 1] = "";
	uint64_t v;

	if (!pst_parse_duration(w.p, w.len, &v)) {
		if (__builtin_add_overflow(c->boot_ns, v, &v))
			v = UINT64_MAX;
		set_expires(s, o, v);
		return 0;
	}
	memcpy(text, w.p, PST_MIN(w.len, (size_t)TIME_MAX));
	if (w.len > TIME_MAX || strlen(text) != w.len || strspn(text, "0123456789") != 4 ||
		pst_time_parse(text, c->unix_ns, &v) < 0)
		return bad(s, w.p,
			"'%.*s': expected a duration such as 1h30m or a time such as 2030-01-31T12:00:00Z",
			shown(w), w.p);
	v = v <= c->unix_ns ? 0 : v - c->unix_ns;
	set_expires(s, o, v ? v + c->boot_ns : 0);
	return 0;
}

static int parse_reason(struct scan *s, struct word w, struct options *o)
{
	int number;

	if (!w.len || w.len > BLOCK_REASON_MAX)
		return bad(s, w.p, "expected a reason of 1 to %d bytes", BLOCK_REASON_MAX);
	for (size_t i = 0; i < w.len; i++)
		if ((uint8_t)w.p[i] < 0x20 || w.p[i] == 0x7f)
			return bad(s, w.p + i, "expected a reason without control characters");
	number = block_reason_number(s->reasons, w.p, w.len);
	if (number < 0)
		return number;
	o->reason = (uint8_t)number;
	o->is_unnamed = number == BLOCK_REASONS - 1;
	return 0;
}

static int parse_option(struct scan *s, struct options *o)
{
	static const struct {
		const char *key;
		size_t has;
		int (*parse)(struct scan *s, struct word value, struct options *o);
	} keys[] = {
		{"expires", offsetof(struct options, has_expires), parse_expires},
		{"reason", offsetof(struct options, has_reason), parse_reason},
	};
	struct word key = take_word(s, '=', '#'), value = key;
	int e;

	for (size_t i = 0; i < PST_ARRAY_SIZE(keys); i++) {
		bool *has = (bool *)((char *)o + keys[i].has);

		if (key.len != strlen(keys[i].key) || memcmp(key.p, keys[i].key, key.len) != 0 ||
			s->p == s->end || *s->p != '=')
			continue;
		if (*has)
			return bad(s, key.p, "%s= is there twice: expected it once", keys[i].key);
		*has = true;
		s->p++;
		e = take_value(s, &value);
		return e ? e : keys[i].parse(s, value, o);
	}
	return bad(s, key.p, "'%.*s': expected expires=, reason= or a comment behind #", shown(key), key.p);
}

static int parse_entry(struct scan *s)
{
	struct word w = take_word(s, '#', '#');
	struct block_fault fault = {0};
	struct block_entry entry = {0};
	struct options o = {0};
	int e = block_addr_parse(w.p, w.len, &entry, &fault);

	if (e)
		return bad(s, w.p + fault.at, "'%.*s': %s", shown(w), w.p, fault.what);
	while (!e && skip_blanks(s))
		e = parse_option(s, &o);
	if (e)
		return e;
	if (o.is_past) {
		s->loaded->expired++;
		return 0;
	}
	s->loaded->unnamed += o.is_unnamed;
	entry.expires = o.expires;
	entry.reason = o.reason;
	return block_list_add(s->list, &entry);
}

/* The line from @line on, without its newline. */
static int parse_line(struct scan *s)
{
	int e;

	if (s->end > s->line && s->end[-1] == '\r')
		s->end--;
	s->p = s->line;
	if (s->end - s->line > BLOCK_LINE_MAX)
		e = bad(s, s->line, "expected a line of at most %d bytes", BLOCK_LINE_MAX);
	else
		e = skip_blanks(s) ? parse_entry(s) : 0;
	return e == -EINVAL ? 0 : e;
}

static int parse_all(struct scan *s, const char *p, const char *end)
{
	int e = 0;

	while (p < end && !e) {
		struct block_addr4 a = {0};
		const char *behind = end - p >= SHORT_LINE ? block_octets(p, &a.addr) : NULL;

		s->number++;
		if (behind && *behind == '\n') {
			e = block_list_add_addr4(s->list, a);
			p = behind + 1;
			continue;
		}
		s->line = p;
		s->end = memchr(p, '\n', (size_t)(end - p));
		s->end = s->end ? s->end : end;
		p = s->end + (s->end < end);
		e = parse_line(s);
	}
	return e;
}

static size_t count(const struct block_list *list)
{
	return list->n_addrs4 + list->addrs6.n + list->prefixes.n;
}

int block_parse(const char *name, const void *bytes, size_t len, const struct block_clock *clock,
	struct block_reasons *reasons, struct block_list *list, struct pst_conf_errors *errors,
	struct block_loaded *ret_loaded)
{
	struct block_loaded loaded = {0};
	struct scan s = {.name = name,
		.clock = clock,
		.reasons = reasons,
		.list = list,
		.errors = errors,
		.loaded = &loaded};
	size_t before = count(list);
	int e;

	if (len > BLOCK_FILE_MAX)
		return -EFBIG;
	e = len ? parse_all(&s, bytes, (const char *)bytes + len) : 0;
	if (e)
		return e;
	loaded.lines = s.number;
	loaded.entries = count(list) - before;
	*ret_loaded = loaded;
	return 0;
}

int block_load(const char *path, const struct block_clock *clock, struct block_reasons *reasons,
	struct block_list *list, struct pst_conf_errors *errors, struct block_loaded *ret_loaded)
{
	PST_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	PST_FREE char *bytes = NULL;
	size_t len = 0;
	int e;

	if (fd < 0)
		return -errno;
	e = pst_read_file(fd, BLOCK_FILE_MAX, &bytes, &len);
	return e ? e : block_parse(path, bytes, len, clock, reasons, list, errors, ret_loaded);
}

struct block_clock block_clock_now(void)
{
	struct timespec boot, real;

	clock_gettime(CLOCK_BOOTTIME, &boot);
	clock_gettime(CLOCK_REALTIME, &real);
	return (struct block_clock){
		.boot_ns = (uint64_t)boot.tv_sec * NS + (uint64_t)boot.tv_nsec,
		.unix_ns = (uint64_t)real.tv_sec * NS + (uint64_t)real.tv_nsec,
	};
}
