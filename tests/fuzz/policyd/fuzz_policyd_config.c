// SPDX-License-Identifier: Apache-2.0
/* What is taken of drop.interfaces is what a name can be, and decides of nothing that it does not name. */
#include "policyd/config.h"
#include "tests/fuzz/stage_config.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(const struct drops_config *drop)
{
	for (size_t i = 0; i < drop->n; i++)
		if (pst_ifpattern_flaw(drop->v[i].pattern) || drop->v[i].flags & ~drop->v[i].set)
			abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct config config = policyd_config;

	fuzz_stage_config(data, size, &config, policyd_desc.fields, NULL);
	if (config.drop_by.n > DROPS_MAX)
		abort();
	check(&config.drop_by);
	if (!config.vxlan_port || config.vxlan_port > UINT16_MAX)
		abort();
	pst_conf_release(&config, policyd_desc.fields);
	return 0;
}
