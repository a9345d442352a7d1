// SPDX-License-Identifier: Apache-2.0
/* Any words as a packet: refused with a message, or a frame whose lengths and checksums are right. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "cli/why.h"

#define WORDS 10

/* Whole frames of IP sum up to 0xffff. */
static uint32_t sum(const uint8_t *p, size_t n)
{
	uint32_t s = 0;

	for (size_t i = 0; i < n; i++)
		s += i & 1 ? p[i] : (uint32_t)p[i] << 8;
	while (s >> 16)
		s = (s & 0xffff) + (s >> 16);
	return s;
}

static void check(const struct why_frame *f)
{
	size_t l3 = f->bytes[12] == 0x81 ? 18 : 14;
	bool ip6 = f->bytes[l3] >> 4 == 6;
	size_t bytes = (size_t)f->bytes[l3 + (ip6 ? 4 : 2)] << 8 | f->bytes[l3 + (ip6 ? 5 : 3)];

	if (f->len > PST_WHY_FRAME_MAX || l3 + bytes + (ip6 ? 40 : 0) != f->len)
		abort();
	if (!ip6 && sum(f->bytes + l3, 20) != 0xffff)
		abort();
	if (!ip6 && f->bytes[l3 + 9] == 1 && sum(f->bytes + l3 + 20, f->len - l3 - 20) != 0xffff)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *word[WORDS] = {NULL};
	char text[2048], error[WHY_ERROR_MAX];
	struct why_words words;
	struct why_frame frame;
	size_t n = 0;

	if (size >= sizeof(text))
		return 0;
	memcpy(text, data, size);
	text[size] = 0;
	for (char *p = text; p < text + size && n < WORDS; p += strlen(p) + 1)
		word[n++] = *p ? p : NULL;
	if (!word[0] || !word[1] || !word[2])
		return 0;
	words = (struct why_words){
		word[0], word[1], word[2], word[3], word[4], word[5], word[6], word[7], word[8], word[9]};
	if (!why_frame(&words, &frame, error))
		check(&frame);
	else if (!memchr(error, 0, sizeof(error)) || !*error)
		abort();
	return 0;
}
