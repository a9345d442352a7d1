// SPDX-License-Identifier: Apache-2.0
#include "tests/fuzz/stage_config.h"

#include "loader/config.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct loader_config config = {0};

	if (loader_config_init(&config) < 0)
		abort();
	fuzz_stage_config(data, size, &config, loader_fields, loader_config_validate);
	loader_config_done(&config);
	return 0;
}
