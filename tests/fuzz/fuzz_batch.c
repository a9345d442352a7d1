// SPDX-License-Identifier: Apache-2.0
/* A message as a subscriber gets it: decoded, every event of it looked at. */
#include <stdlib.h>

#include "proto/wire/bus.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct pst_batch batch;
	struct pst_batch_iter it;
	struct pst_event event;

	if (pst_batch_decode(data, size, &batch) < 0)
		return 0;
	if (batch.count > PST_BATCH_EVENTS || batch.events.p < data || batch.events.end > data + size)
		abort();
	for (int scan = 0; scan < 2; scan++) {
		uint32_t n = 0;

		pst_batch_iter_init(&it, NULL, &batch);
		it.scan_only = scan;
		while (pst_batch_iter_next(&it, &event))
			if (++n > batch.count || event.raw < data || event.raw + event.raw_len > data + size)
				abort();
	}
	return 0;
}
