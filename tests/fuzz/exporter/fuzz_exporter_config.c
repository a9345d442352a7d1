// SPDX-License-Identifier: Apache-2.0
#include "tests/fuzz/stage_config.h"

#include "exporter/config.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct exporter_config config = {0};

	exporter_config_defaults(&config);
	fuzz_stage_config(data, size, &config, exporter_desc.fields, exporter_desc.validate);
	exporter_config_done(&config);
	return 0;
}
