// SPDX-License-Identifier: Apache-2.0
/* Classic pcap files, of either byte order, with Ethernet frames. */
#include <byteswap.h>
#include <errno.h>
#include <string.h>

#include "cli/why.h"
#include "proto/base/cleanup.h"

#define MAGIC_US     0xa1b2c3d4u
#define MAGIC_NS     0xa1b23c4du
#define MAGIC_NG     0x0a0d0d0au
#define LINK_ETHER   1u
#define LINK_MASK    0x0fffffffu /* above it: what there is of a check sequence */
#define CAPTURED_MAX (1u << 20)  /* nobody captures more of a packet */

struct file_header {
	uint32_t magic;
	uint16_t major, minor;
	uint32_t zone, digits, snap, link;
};

struct packet_header {
	uint32_t seconds, fraction, captured, bytes;
};

static uint32_t number(const struct why_pcap *p, uint32_t v)
{
	return p->swapped ? bswap_32(v) : v;
}

static int refuse_magic(uint32_t magic, char error[WHY_ERROR_MAX])
{
	snprintf(error, WHY_ERROR_MAX, "%s",
		magic == MAGIC_NG
			? "is a pcapng file, expected pcap (editcap -F pcap turns one into the other)"
			: "is no pcap file");
	return -EINVAL;
}

int why_pcap_open(FILE *file, struct why_pcap *ret_pcap, char error[WHY_ERROR_MAX])
{
	struct why_pcap p = {.file = file, .at = sizeof(struct file_header)};
	struct file_header h;
	uint32_t link;

	if (fread(&h, 1, sizeof(h), file) != sizeof(h)) {
		snprintf(error, WHY_ERROR_MAX, "%s",
			ferror(file) ? strerror(errno) : "is too short for a pcap file");
		return -EINVAL;
	}
	p.swapped = bswap_32(h.magic) == MAGIC_US || bswap_32(h.magic) == MAGIC_NS;
	if (!p.swapped && h.magic != MAGIC_US && h.magic != MAGIC_NS)
		return refuse_magic(h.magic, error);
	link = number(&p, h.link) & LINK_MASK;
	if (link != LINK_ETHER) {
		snprintf(error, WHY_ERROR_MAX, "has link type %u, expected Ethernet (1)", link);
		return -EINVAL;
	}
	*ret_pcap = p;
	return 0;
}

static int damaged(const struct why_pcap *p, const char *what, char error[WHY_ERROR_MAX])
{
	snprintf(error, WHY_ERROR_MAX, "packet %u, at byte %llu: %s", p->n, (unsigned long long)p->at, what);
	return -EINVAL;
}

static int skip(FILE *file, uint32_t bytes)
{
	char rest[4096];

	while (bytes) {
		size_t n = PST_MIN((size_t)bytes, sizeof(rest));

		if (fread(rest, 1, n, file) != n)
			return -EINVAL;
		bytes -= (uint32_t)n;
	}
	return 0;
}

int why_pcap_next(struct why_pcap *p, struct why_frame *ret_frame, char error[WHY_ERROR_MAX])
{
	struct packet_header h;
	size_t n = fread(&h, 1, sizeof(h), p->file);
	uint32_t captured, bytes, kept;

	if (!n && !ferror(p->file))
		return 0;
	p->n++;
	if (n != sizeof(h))
		return damaged(p, ferror(p->file) ? strerror(errno) : "the file ends in its header", error);
	captured = number(p, h.captured);
	bytes = number(p, h.bytes);
	if (captured > CAPTURED_MAX || captured > bytes)
		return damaged(p, "its length makes no sense", error);
	kept = PST_MIN(captured, (uint32_t)sizeof(ret_frame->bytes));
	memset(ret_frame, 0, sizeof(*ret_frame));
	if (fread(ret_frame->bytes, 1, kept, p->file) != kept || skip(p->file, captured - kept))
		return damaged(p, ferror(p->file) ? strerror(errno) : "the file ends in it", error);
	p->at += sizeof(h) + captured;
	if (bytes > sizeof(ret_frame->bytes) || bytes < PST_WHY_FRAME_MIN) {
		snprintf(error, WHY_ERROR_MAX, "packet %u: has %u bytes, expected %d to %d", p->n, bytes,
			PST_WHY_FRAME_MIN, PST_WHY_FRAME_MAX);
		return -EMSGSIZE;
	}
	ret_frame->len = bytes;
	ret_frame->filled = bytes - captured;
	return 1;
}
