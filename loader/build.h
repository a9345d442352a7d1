/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a load makes before anything comes into force: maps, programs, and tracing links whose programs still
 * find their gate closed. All of it is pinned under staging/, and gone again if the build is dropped.
 */
#ifndef PST_LOADER_BUILD_H
#define PST_LOADER_BUILD_H

#include <bpf/libbpf.h>

#include "loader/loader.h"
#include "loader/maps.h"

#define BUILD_LINKS_MAX 256

struct build {
	struct loader *l;
	struct outcomes outcomes;
	struct plan plan;
	struct maps maps;
	struct bpf_object *objs[IMAGES_MAX]; /* NULL: not used */
	struct fingerprint keys[IMAGES_MAX]; /* what each was loaded for */
	uint32_t generation;
	struct bpf_link *links[BUILD_LINKS_MAX];
	unsigned n_links;
};

/* 0 or -errno with a log line. In any case build_done() ends it. */
int build_run(struct build *b, struct loader *l, uint32_t generation);
void build_done(struct build *b);
/* Loaded program; NULL: not in the plan. */
struct bpf_program *build_program(const struct build *b, const char *object, const char *program);

#endif
