// SPDX-License-Identifier: Apache-2.0
/* `penstock completion bash|zsh|fish`: from the same tables that parse the options. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/commands.h"
#include "proto/base/cleanup.h"
#include "proto/wire/schema.h"

const struct pst_arg completion_options[] = {{0}};

/* ---- what may follow ---- */

static const struct pst_arg help_option = {
	.name = "help", .letter = 'h', .help = "show options and examples"};

/* First words of a command that are no options. */
static void print_words(const struct command *c)
{
	for (const struct command *sub = c->subs; sub && sub->name; sub++)
		printf("%s%s", sub == c->subs ? "" : " ", sub->name);
	if (!strcmp(c->name, "config"))
		fputs("check print", stdout);
	else if (!strcmp(c->name, "completion"))
		fputs("bash zsh fish", stdout);
}

static bool has_words(const struct command *c)
{
	return c->subs || !strcmp(c->name, "config") || !strcmp(c->name, "completion");
}

static bool listed_before(const struct command *c, const struct command *sub, const char *option)
{
	for (const struct command *s = c->subs; s < sub; s++)
		for (const struct pst_arg *o = s->options; o && o->name; o++)
			if (!strcmp(o->name, option))
				return true;
	return false;
}

/* Its options, or those of all its subcommands, each once. */
static void each_option(const struct command *c, void (*fn)(const struct command *, const struct pst_arg *))
{
	for (const struct pst_arg *o = c->options; o && o->name; o++)
		fn(c, o);
	for (const struct command *sub = c->subs; sub && sub->name; sub++)
		for (const struct pst_arg *o = sub->options; o && o->name; o++)
			if (!listed_before(c, sub, o->name))
				fn(c, o);
}

static bool takes_value(const struct pst_arg *o)
{
	return o->value_name != NULL;
}

static bool takes_file(const struct pst_arg *o)
{
	return o->value_name && (!strcmp(o->value_name, "FILE") || !strcmp(o->value_name, "PATH") ||
					!strcmp(o->value_name, "DIR"));
}

/* Values of an option, where they can be told; separated by spaces. */
static void print_values(const char *option)
{
	if (!strcmp(option, "kind"))
		for (size_t i = 0; i < pst_n_kinds; i++)
			printf("%s%s", i ? " " : "", pst_kinds[i].name);
	else if (!strcmp(option, "output"))
		fputs("compact json jsonl", stdout);
	else if (!strcmp(option, "severity"))
		fputs("debug info notice warning error critical", stdout);
	else if (!strcmp(option, "alert"))
		fputs("true false", stdout);
	else if (!strcmp(option, "speed"))
		fputs("max real", stdout);
	else if (!strcmp(option, "format"))
		fputs("nft iptables ip6tables", stdout);
	else if (!strcmp(option, "log-level"))
		fputs("error warn info debug", stdout);
}

static bool has_values(const char *option)
{
	static const char *const names[] = {
		"kind", "output", "severity", "alert", "speed", "format", "log-level"};

	for (size_t i = 0; i < PST_ARRAY_SIZE(names); i++)
		if (!strcmp(option, names[i]))
			return true;
	return false;
}

/* ---- bash ---- */

/* --kind|-k|--output|-o */
static void bash_pattern(const struct pst_arg *o)
{
	printf("--%s", o->name);
	if (o->letter)
		printf("|-%c", o->letter);
}

static void bash_name(const struct command *c, const struct pst_arg *o)
{
	(void)c;
	printf("--%s ", o->name);
}

static void bash_value(const struct command *c, const struct pst_arg *o)
{
	(void)c;
	if (!takes_value(o))
		return;
	printf("\t\t");
	bash_pattern(o);
	if (has_values(o->name)) {
		printf(") words='");
		print_values(o->name);
		printf("' options= files= ;;\n");
	} else {
		printf(") words= options= files=%s ;;\n", takes_file(o) ? "1" : "");
	}
}

static void bash_command(const struct command *c)
{
	printf("\t%s)\n\t\toptions='", c->name);
	each_option(c, bash_name);
	printf("--help' words='");
	print_words(c);
	printf("'\n\t\tcase $prev in\n");
	each_option(c, bash_value);
	printf("\t\tesac\n\t\t;;\n");
}

static void bash(void)
{
	printf("# bash completion of penstock; source it, or save it as /etc/bash_completion.d/penstock\n"
	       "_penstock() {\n"
	       "\tlocal cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]} options= words= "
	       "files=1\n"
	       "\tif ((COMP_CWORD == 1)); then\n\t\twords='");
	for (const struct command *c = cli_commands; c->name; c++)
		printf("%s ", c->name);
	printf("' options='--help --version' files=\n\telse case ${COMP_WORDS[1]} in\n");
	for (const struct command *c = cli_commands; c->name; c++)
		bash_command(c);
	printf("\tesac fi\n"
	       "\t[[ $cur == -* ]] && words=$options files=\n"
	       "\tmapfile -t COMPREPLY < <(compgen -W \"$words\" -- \"$cur\")\n"
	       "\t[[ -z $files ]] || { compopt -o filenames 2>/dev/null; mapfile -t -O ${#COMPREPLY[@]} "
	       "COMPREPLY < "
	       "<(compgen -f -- \"$cur\"); }\n"
	       "}\ncomplete -F _penstock penstock\n");
}

/* ---- zsh ---- */

/* Within a single-quoted word of zsh; brackets and colons mean something to _arguments. */
static void zsh_quoted(const char *text)
{
	for (; *text; text++) {
		if (*text == '\'')
			fputs("'\\''", stdout);
		else if (*text == '[' || *text == ']' || *text == ':')
			printf("\\%c", *text);
		else
			putchar(*text);
	}
}

static void zsh_option(const struct command *c, const struct pst_arg *o)
{
	(void)c;
	printf(" \\\n\t\t\t'--%s[", o->name);
	zsh_quoted(o->help);
	printf("]");
	if (takes_value(o)) {
		printf(":%s:", o->value_name);
		if (takes_file(o)) {
			printf("_files");
		} else if (has_values(o->name)) {
			printf("(");
			print_values(o->name);
			printf(")");
		}
	}
	printf("'");
}

static void zsh(void)
{
	printf("#compdef penstock\n# zsh completion of penstock; save it as _penstock in a folder of $fpath\n"
	       "_penstock() {\n\tlocal -a commands\n\tcommands=(\n");
	for (const struct command *c = cli_commands; c->name; c++) {
		printf("\t\t'%s:", c->name);
		zsh_quoted(c->summary);
		printf("'\n");
	}
	printf("\t)\n\tif ((CURRENT == 2)); then _describe command commands; return; fi\n"
	       "\tlocal command=$words[2]\n\tshift words; ((CURRENT--))\n\tcase $command in\n");
	for (const struct command *c = cli_commands; c->name; c++) {
		printf("\t%s) _arguments", c->name);
		each_option(c, zsh_option);
		zsh_option(c, &help_option);
		if (has_words(c)) {
			printf(" \\\n\t\t\t'1:word:(");
			print_words(c);
			printf(")'");
		}
		printf(" \\\n\t\t\t'*:file:_files' ;;\n");
	}
	printf("\tesac\n}\n_penstock \"$@\"\n");
}

/* ---- fish ---- */

static void fish_quoted(const char *text)
{
	putchar('\'');
	for (; *text; text++)
		printf(*text == '\'' || *text == '\\' ? "\\%c" : "%c", *text);
	putchar('\'');
}

static void fish_option(const struct command *c, const struct pst_arg *o)
{
	printf("complete -c penstock -n '__fish_seen_subcommand_from %s' -l %s", c->name, o->name);
	if (o->letter)
		printf(" -s %c", o->letter);
	if (takes_value(o))
		printf(takes_file(o) ? " -r -F" : " -x");
	if (has_values(o->name)) {
		printf(" -a '");
		print_values(o->name);
		printf("'");
	}
	printf(" -d ");
	fish_quoted(o->help);
	putchar('\n');
}

static void fish(void)
{
	printf("# fish completion of penstock; save it as ~/.config/fish/completions/penstock.fish\n"
	       "complete -c penstock -n __fish_use_subcommand -f\n"
	       "complete -c penstock -n __fish_use_subcommand -l help -s h -d 'show the commands'\n"
	       "complete -c penstock -n __fish_use_subcommand -l version -s V -d 'show the version'\n");
	for (const struct command *c = cli_commands; c->name; c++) {
		printf("complete -c penstock -n __fish_use_subcommand -a %s -d ", c->name);
		fish_quoted(c->summary);
		putchar('\n');
		each_option(c, fish_option);
		fish_option(c, &help_option);
		if (has_words(c)) {
			printf("complete -c penstock -n '__fish_seen_subcommand_from %s' -a '", c->name);
			print_words(c);
			printf("'\n");
		}
	}
}

int completion_main(int argc, char **argv)
{
	static const struct {
		const char *name;
		void (*print)(void);
	} shells[] = {{"bash", bash}, {"zsh", zsh}, {"fish", fish}};
	const struct pst_args args = {.program = "penstock completion",
		.summary = "Prints the completion for a shell.",
		.positional = "bash|zsh|fish",
		.options = completion_options,
		.examples = "  source <(penstock completion bash)\n"
			    "  penstock completion fish > ~/.config/fish/completions/penstock.fish\n"};
	int n = pst_args_parse(&args, argc, argv);

	if (n < 0)
		return n == -ECANCELED ? PST_EXIT_OK : PST_EXIT_USAGE;
	for (size_t i = 0; n == 1 && i < PST_ARRAY_SIZE(shells); i++)
		if (!strcmp(argv[1], shells[i].name)) {
			shells[i].print();
			return PST_EXIT_OK;
		}
	fprintf(stderr,
		"penstock completion: expected bash, zsh or fish\nTry 'penstock completion --help'.\n");
	return PST_EXIT_USAGE;
}
