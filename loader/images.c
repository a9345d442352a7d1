// SPDX-License-Identifier: Apache-2.0
#include "loader/images.h"

#include <assert.h>
#include <string.h>

#include "bpf/accept.skel.h"
#include "bpf/calls.skel.h"
#include "bpf/capability.skel.h"
#include "bpf/cred.skel.h"
#include "bpf/enforce.skel.h"
#include "bpf/enforcefile.skel.h"
#include "bpf/enforcenet.skel.h"
#include "bpf/enforceproc.skel.h"
#include "bpf/execfail.skel.h"
#include "bpf/execfail32.skel.h"
#include "bpf/files.skel.h"
#include "bpf/flow.skel.h"
#include "bpf/guard.skel.h"
#include "bpf/iters.skel.h"
#include "bpf/lineage.skel.h"
#include "bpf/module.skel.h"
#include "bpf/process.skel.h"
#include "bpf/signal.skel.h"
#include "bpf/sockcall.skel.h"
#include "bpf/socket.skel.h"
#include "bpf/syscalls.skel.h"
#include "bpf/sysexit.skel.h"
#include "bpf/udp.skel.h"
#include "proto/base/cleanup.h"

#define IMAGE(x)                                                                                             \
	{                                                                                                    \
#x, x##_bpf__elf_bytes                                                                       \
	}

/* What takes the verifier longest comes first, so that the rest is loaded beside it. */
const struct image images[] = {
	IMAGE(guard),
	IMAGE(enforcefile),
	IMAGE(enforce),
	IMAGE(enforcenet),
	IMAGE(enforceproc),
	IMAGE(flow),
	IMAGE(process),
	IMAGE(socket),
	IMAGE(iters),
	IMAGE(sysexit),
	IMAGE(calls),
	IMAGE(lineage),
	IMAGE(files),
	IMAGE(udp),
	IMAGE(execfail),
	IMAGE(execfail32),
	IMAGE(cred),
	IMAGE(accept),
	IMAGE(syscalls),
	IMAGE(signal),
	IMAGE(module),
	IMAGE(sockcall),
	IMAGE(capability),
};
const size_t n_images = PST_ARRAY_SIZE(images);
static_assert(PST_ARRAY_SIZE(images) <= IMAGES_MAX, "room for every object");

int image_find(const char *name)
{
	for (size_t i = 0; i < n_images; i++)
		if (!strcmp(images[i].name, name))
			return (int)i;
	return -1;
}

void fingerprint_init(struct fingerprint *fp)
{
	*fp = (struct fingerprint){{0xcbf29ce484222325, 0x9e3779b97f4a7c15}};
}

void fingerprint_add(struct fingerprint *fp, const void *bytes, size_t len)
{
	const unsigned char *p = bytes;
	uint64_t a = fp->v[0], b = fp->v[1];

	for (size_t i = 0; i < len; i++) {
		a = (a ^ p[i]) * 0x100000001b3;
		b = (b + p[i]) * 0xff51afd7ed558ccd;
		b ^= b >> 29;
	}
	fp->v[0] = a | 1; /* zero means unknown */
	fp->v[1] = b;
}
