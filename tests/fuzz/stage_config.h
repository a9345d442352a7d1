/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as a configuration file, bound by the tables of one stage and checked as at its start. */
#ifndef TESTS_FUZZ_STAGE_CONFIG_H
#define TESTS_FUZZ_STAGE_CONFIG_H

#include <stdlib.h>

#include "proto/base/cleanup.h"
#include "proto/base/conf.h"

typedef int (*fuzz_validate_fn)(struct pst_conf_ctx *ctx, const struct pst_node *section);

/* What is refused has a line that says why and names the file. */
static inline void fuzz_stage_config(const uint8_t *data, size_t size, void *config,
	const struct pst_conf_field *fields, fuzz_validate_fn validate)
{
	PST_CLEANUP(pst_conf_errors_done) struct pst_conf_errors errors = {0};
	PST_CLEANUP(pst_doc_freep) struct pst_doc *doc = NULL;
	struct pst_conf_ctx ctx = {.file = "fuzz.yaml", .errors = &errors, .base = config};
	int r = pst_doc_parse("fuzz.yaml", data, size, &errors, &doc);

	if (!r)
		r = pst_conf_bind(&ctx, pst_doc_root(doc), fields);
	if (!r && validate)
		validate(&ctx, pst_doc_root(doc));
	if ((r && !errors.count) || (errors.count && strncmp(errors.text, "fuzz.yaml:", 10)))
		abort();
}

#endif
