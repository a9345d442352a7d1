// SPDX-License-Identifier: Apache-2.0
#include "proto/base/args.h"
#include "proto/base/cleanup.h"
#include "proto/base/conf.h"

#include <stdarg.h>
#include <string.h>
#include <sys/ioctl.h>

#ifndef PST_VERSION
#define PST_VERSION "unknown"
#endif

#define OPTIONS_MAX 64
#define HELP_COLUMN 30 /* where the explanations begin */

/* Found beside the table's own in every program. */
static const struct pst_arg builtin[] = {
	{.name = "help", .letter = 'h', .type = PST_ARG_FLAG, .help = "show this text"},
	{.name = "version", .letter = 'V', .type = PST_ARG_FLAG, .help = "show the version"},
};

struct parser {
	const struct pst_args *args;
	char **argv;
	int argc, at; /* at: the word being looked at */
};

__attribute__((format(printf, 2, 3))) static int fail(const struct parser *p, const char *format, ...)
{
	va_list ap;

	fprintf(stderr, "%s: ", p->args->program);
	va_start(ap, format);
	vfprintf(stderr, format, ap);
	va_end(ap);
	fprintf(stderr, "\nTry '%s --help'.\n", p->args->program);
	return -EINVAL;
}

/* ---- lookup ---- */

static const struct pst_arg *by_name(const struct pst_args *args, const char *name, size_t len)
{
	for (const struct pst_arg *a = args->options; a && a->name; a++)
		if (strlen(a->name) == len && !memcmp(a->name, name, len))
			return a;
	for (size_t i = 0; i < PST_ARRAY_SIZE(builtin); i++)
		if (strlen(builtin[i].name) == len && !memcmp(builtin[i].name, name, len))
			return &builtin[i];
	return NULL;
}

static const struct pst_arg *by_letter(const struct pst_args *args, char letter)
{
	for (const struct pst_arg *a = args->options; a && a->name; a++)
		if (a->letter == letter)
			return a;
	for (size_t i = 0; i < PST_ARRAY_SIZE(builtin); i++)
		if (builtin[i].letter == letter)
			return &builtin[i];
	return NULL;
}

static int unknown_name(const struct parser *p, const char *name, size_t len)
{
	const char *names[OPTIONS_MAX];
	char word[65];
	size_t n = 0;

	for (size_t i = 0; i < PST_ARRAY_SIZE(builtin); i++)
		names[n++] = builtin[i].name;
	for (const struct pst_arg *a = p->args->options; a && a->name && n < OPTIONS_MAX; a++)
		names[n++] = a->name;
	snprintf(word, sizeof(word), "%.*s", (int)PST_MIN(len, sizeof(word) - 1), name);
	const char *near = len < sizeof(word) ? pst_conf_did_you_mean(word, names, n) : NULL;
	if (near)
		return fail(p, "unknown option --%s; did you mean --%s?", word, near);
	return fail(p, "unknown option --%s", word);
}

/* ---- values ---- */

static int set_number(const struct parser *p, const struct pst_arg *a, const char *text)
{
	uint64_t base = text[0] == '0' && (text[1] == 'x' || text[1] == 'X') ? 16 : 10, n = 0;
	const char *s = base == 16 ? text + 2 : text;

	if (!*s)
		return fail(p, "--%s: \"%s\" is not a number", a->name, text);
	for (; *s; s++) {
		uint64_t digit = *s >= '0' && *s <= '9'   ? (uint64_t)(*s - '0')
				 : *s >= 'a' && *s <= 'f' ? (uint64_t)(*s - 'a' + 10)
				 : *s >= 'A' && *s <= 'F' ? (uint64_t)(*s - 'A' + 10)
							  : 16;
		if (digit >= base)
			return fail(p, "--%s: \"%s\" is not a number", a->name, text);
		if (__builtin_mul_overflow(n, base, &n) || __builtin_add_overflow(n, digit, &n))
			return fail(p, "--%s: %s is too large", a->name, text);
	}
	*(uint64_t *)a->target = n;
	return 0;
}

static int set_time(const struct parser *p, const struct pst_arg *a, const char *text)
{
	int r = pst_conf_parse_time(text, a->target);

	if (r == -ERANGE)
		return fail(p, "--%s: %s is too large", a->name, text);
	if (r < 0)
		return fail(
			p, "--%s: \"%s\" is not a time; write it as 500ms, 5s, 2m, 1h or 1d", a->name, text);
	return 0;
}

static int add_string(const struct parser *p, const struct pst_arg *a, const char *text)
{
	struct pst_arg_strs *strs = a->target;

	if (strs->n == PST_ARRAY_SIZE(strs->v))
		return fail(p, "--%s may be given at most %zu times", a->name, PST_ARRAY_SIZE(strs->v));
	strs->v[strs->n++] = text;
	return 0;
}

static int set_value(const struct parser *p, const struct pst_arg *a, const char *text)
{
	switch (a->type) {
	case PST_ARG_STR:
		*(const char **)a->target = text;
		return 0;
	case PST_ARG_U64:
		return set_number(p, a, text);
	case PST_ARG_TIME:
		return set_time(p, a, text);
	case PST_ARG_STRS:
		return add_string(p, a, text);
	case PST_ARG_FLAG:
		break;
	}
	return fail(p, "--%s takes no value", a->name);
}

/* @value NULL: the next word, where the option takes one. */
static int apply(struct parser *p, const struct pst_arg *a, const char *value)
{
	if (a == &builtin[0]) {
		pst_args_help(p->args);
		return -ECANCELED;
	}
	if (a == &builtin[1]) {
		printf("%s %s\n", p->args->program, PST_VERSION);
		return -ECANCELED;
	}
	if (a->type == PST_ARG_FLAG && !value) {
		*(bool *)a->target = true;
		return 0;
	}
	if (!value && p->at + 1 >= p->argc)
		return fail(p, "--%s needs a value (%s)", a->name, a->value_name ? a->value_name : "VALUE");
	return set_value(p, a, value ? value : p->argv[++p->at]);
}

/* ---- words ---- */

static int parse_long(struct parser *p, const char *word)
{
	size_t len = strcspn(word, "=");
	const struct pst_arg *a = by_name(p->args, word, len);

	if (!a)
		return unknown_name(p, word, len);
	if (word[len] && (a->type == PST_ARG_FLAG))
		return fail(p, "--%s takes no value", a->name);
	return apply(p, a, word[len] ? word + len + 1 : NULL);
}

/* -a, -abc (flags), -n5, -n 5 */
static int parse_letters(struct parser *p, const char *letters)
{
	for (; *letters; letters++) {
		const struct pst_arg *a = by_letter(p->args, *letters);

		if (!a)
			return fail(p, "unknown option -%c",
				*letters >= 0x20 && *letters < 0x7f ? *letters : '?');
		if (a->type != PST_ARG_FLAG)
			return apply(p, a, letters[1] ? letters + 1 : NULL);
		int r = apply(p, a, NULL);
		if (r < 0)
			return r;
	}
	return 0;
}

int pst_args_parse(const struct pst_args *args, int argc, char **argv)
{
	struct parser p = {.args = args, .argv = argv, .argc = argc, .at = 1};
	bool options = true;
	int n = 0;

	for (; p.at < argc; p.at++) {
		char *word = argv[p.at];
		int r = 0;

		if (options && !strcmp(word, "--"))
			options = false;
		else if (options && word[0] == '-' && word[1] == '-')
			r = parse_long(&p, word + 2);
		else if (options && word[0] == '-' && word[1])
			r = parse_letters(&p, word + 1);
		else if (!args->positional)
			r = fail(&p, "\"%s\" is not expected: only options are", word);
		else
			argv[1 + n++] = word; /* never overtakes p.at */
		if (r < 0)
			return r;
	}
	if (argc > 0)
		argv[1 + n] = NULL;
	return n;
}

/* ---- help ---- */

static unsigned terminal_width(void)
{
	struct winsize ws;

	if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &ws) < 0 || !ws.ws_col)
		return 80;
	return PST_MIN(PST_MAX(ws.ws_col, 60), 120);
}

/* Words of @text from column @column on; further lines are indented as far. The first line begins at @at. */
static void print_wrapped(const char *text, unsigned at, unsigned column, unsigned width)
{
	bool first = true;

	if (at < column) {
		printf("%*s", (int)(column - at), "");
		at = column;
	}
	while (*text) {
		unsigned len = (unsigned)strcspn(text, " ");

		if (!first && at + 1 + len > width) {
			printf("\n%*s", (int)column, "");
			at = column;
			first = true;
		}
		printf("%s%.*s", first ? "" : " ", (int)len, text);
		at += len + !first;
		first = false;
		text += len;
		text += strspn(text, " ");
	}
	putchar('\n');
}

static void print_option(const struct pst_arg *a, unsigned width)
{
	char head[128], letter[8] = "    ";

	if (a->letter)
		snprintf(letter, sizeof(letter), "-%c, ", a->letter);
	int n = snprintf(head, sizeof(head), "  %s--%s%s%s", letter, a->name,
		a->type == PST_ARG_FLAG ? "" : " ",
		a->type == PST_ARG_FLAG ? ""
		: a->value_name         ? a->value_name
					: "VALUE");
	unsigned len = (unsigned)PST_MIN(n, (int)sizeof(head) - 1);
	fputs(head, stdout);
	if (len + 2 > HELP_COLUMN) {
		putchar('\n');
		len = 0;
	}
	print_wrapped(a->help ? a->help : "", len, HELP_COLUMN, width);
}

void pst_args_help(const struct pst_args *args)
{
	unsigned width = terminal_width();

	printf("Usage: %s [OPTION]...%s%s\n", args->program, args->positional ? " " : "",
		args->positional ? args->positional : "");
	print_wrapped(args->summary ? args->summary : "", 0, 0, width);
	printf("\nOptions:\n");
	for (const struct pst_arg *a = args->options; a && a->name; a++)
		print_option(a, width);
	for (size_t i = 0; i < PST_ARRAY_SIZE(builtin); i++)
		print_option(&builtin[i], width);
	if (args->examples)
		printf("\nExamples:\n%s%s", args->examples,
			args->examples[0] && args->examples[strlen(args->examples) - 1] == '\n' ? "" : "\n");
}
