// SPDX-License-Identifier: Apache-2.0
/* Any bytes as a capture: each frame that is read fits, and the reader ends. */
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/why.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	FILE *file = size ? fmemopen((void *)data, size, "r") : NULL;
	char error[WHY_ERROR_MAX];
	struct why_frame frame;
	struct why_pcap pcap;
	int r = file ? why_pcap_open(file, &pcap, error) : -EINVAL;

	for (size_t n = 0; !r; n++) {
		r = why_pcap_next(&pcap, &frame, error);
		if (n > size / 16 + 1 || pcap.at > size + 16)
			abort();
		if (!r)
			break;
		if (r == 1 && (frame.len < PST_WHY_FRAME_MIN || frame.len > PST_WHY_FRAME_MAX ||
				      frame.filled > frame.len))
			abort();
		r = r == 1 || r == -EMSGSIZE ? 0 : r;
	}
	if (r && file && !memchr(error, 0, sizeof(error)))
		abort();
	if (file)
		fclose(file);
	return 0;
}
