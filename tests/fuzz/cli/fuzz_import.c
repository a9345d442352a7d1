// SPDX-License-Identifier: Apache-2.0
/* Any bytes as rules of nftables or iptables: what is printed is a document that policyd reads. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/import.h"
#include "policyd/fw/parse.h"

static uint32_t find_interface(const char *name, void *arg)
{
	(void)name;
	(void)arg;
	return 1;
}

static const struct fw_context context = {.ifindex = find_interface};

static void check(const struct import_result *r)
{
	struct pst_conf_errors errors = {0};
	struct fw_ruleset *set = NULL;

	if (fw_parse("import.yaml", r->yaml, r->yaml_len, &context, &errors, NULL, &set)) {
		fprintf(stderr, "%s\n%s", r->yaml, errors.text);
		abort();
	}
	if (set->n != r->rules || (r->left_out && !r->said_len))
		abort();
	fw_ruleset_free(set);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char *const chains[] = {NULL, NULL, NULL, "web", "filter/INPUT"};
	struct import_options options = {.format = IMPORT_DETECT};
	struct import_result r;

	if (!size)
		return 0;
	options.chain = chains[data[0] % 5];
	if (data[0] & 0x80)
		options.format = IMPORT_IP6TABLES;
	if (!import_rules("fuzz", (const char *)data + 1, size - 1, &options, &r))
		check(&r);
	else if (!r.said_len)
		abort(); /* refused, and nobody knows why */
	import_result_done(&r);
	return 0;
}
