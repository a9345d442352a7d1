// SPDX-License-Identifier: Apache-2.0
/* Any bytes as a firewall document; what is accepted is compiled, looked up, shown, and read again. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "policyd/fw/parse.h"
#include "policyd/fw/show.h"

#define LINES     4096
#define SHOWN_MAX (1u << 20)

static uint32_t find_interface(const char *name, void *arg)
{
	(void)arg;
	return !strncmp(name, "eth", 3) && name[3] >= '0' && name[3] <= '9' && !name[4]
		       ? (uint32_t)(name[3] - '0') + 1
		       : 0;
}

static const char *name_interface(uint32_t index, void *arg)
{
	static char name[] = "eth0";

	(void)arg;
	name[3] = (char)('0' + index - 1);
	return name;
}

static const struct fw_context context = {.ifindex = find_interface};
static const struct fw_show_context show_context = {.ifname = name_interface};

static char *show(const struct fw_ruleset *set, size_t *ret_len)
{
	char *text = NULL;
	FILE *out = open_memstream(&text, ret_len);

	if (!out)
		abort();
	fw_ruleset_show(out, set, &show_context);
	for (size_t i = 0; i < set->n; i++)
		fw_rule_list(out, &set->rules[i], &show_context);
	fclose(out);
	free(text);

	out = open_memstream(&text, ret_len);
	if (!out)
		abort();
	fw_ruleset_show(out, set, &show_context);
	fclose(out);
	return text;
}

/* Shown, read, and shown again: the same. */
static void check_text(const struct fw_ruleset *set)
{
	struct pst_conf_errors errors = {0};
	struct fw_ruleset *again = NULL;
	size_t len, len_again;
	char *text = show(set, &len), *text_again;

	if (len > SHOWN_MAX) { /* sets are written out: it may be more than a document holds */
		free(text);
		return;
	}
	if (fw_parse("again.yaml", text, len, &context, &errors, NULL, &again)) {
		fprintf(stderr, "%s\n%s", text, errors.text);
		abort();
	}
	text_again = show(again, &len_again);
	if (len != len_again || memcmp(text, text_again, len) != 0) {
		fprintf(stderr, "%s\n%s", text, text_again);
		abort();
	}
	fw_ruleset_free(again);
	free(text);
	free(text_again);
}

static void check_table(const struct fw_ruleset *set)
{
	static union pst_line lines[LINES] __attribute__((aligned(64)));
	struct fw_compiled made;
	struct pst_fw_packet p;

	if (fw_compile(set, lines, LINES, 1, &made))
		return; /* does not fit */
	if (!fw_verify(set, lines, LINES, 100, 7, &p))
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct pst_conf_errors errors = {0}, warnings = {0};
	struct fw_ruleset *set = NULL;

	if (!fw_parse("fuzz.yaml", (const char *)data, size, &context, &errors, &warnings, &set)) {
		check_text(set);
		check_table(set);
		if (fw_counters_assign(NULL, set, (uint32_t)set->n, NULL))
			abort();
	} else if (!errors.count) {
		abort(); /* refused, and nobody knows why */
	}
	fw_ruleset_free(set);
	pst_conf_errors_done(&errors);
	pst_conf_errors_done(&warnings);
	return 0;
}
