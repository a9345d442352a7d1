/* SPDX-License-Identifier: Apache-2.0 */
/* One BPF object: opened from its image, its switches set, loaded. */
#ifndef PST_LOADER_OBJECT_H
#define PST_LOADER_OBJECT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "loader/config.h"
#include "loader/feature.h"
#include "loader/images.h"
#include "loader/maps.h"

struct bpf_object;
struct bpf_program;

/* What is set in every object that has the symbol, beside the switches of the rungs. */
struct object_params {
	const struct loader_config *config;
	uint32_t generation;
	const uint64_t *seed;     /* SEED_WORDS */
	const uint64_t *path_key; /* PATH_KEY_WORDS */
	uint64_t id_seed;
	uint64_t percpu_offsets;
	bool syn_cookies; /* the kernel has the helpers */
	uint32_t net_ns;  /* of the guarded interfaces */
};

/*
 * No program is to be loaded yet. @types: file with the kernel's types for CO-RE, NULL: libbpf looks for them
 * itself. 0 or -errno with a log line.
 */
int object_open(const struct image *image, const char *types, struct bpf_object **ret_obj);
/* Sets the load-time constants that the object has; a constant of unexpected size is a mistake in the object
 * (-EINVAL). */
int object_set_params(struct bpf_object *obj, const struct object_params *params);
/* Is this constant one of those that object_set_params() sets? */
bool object_is_param(const char *symbol);
int object_set_bool(struct bpf_object *obj, const char *symbol, bool value);
/*
 * Loads the programs marked for it; the maps have descriptors. On failure a reason in @why: the verifier's
 * last word or what the error means. Nothing is logged: a failure is one rung less, not an accident.
 */
int object_load(struct bpf_object *obj, const struct features *features, char why[WHY_MAX]);

/* From the section's name, what the kernel has to have: @ret_kind BTF_KIND_*, 0: nothing to look for. */
void object_target(const char *section, char *ret_name, size_t size, unsigned *ret_kind);

/* Sends libbpf's own lines to our log (at debug level). */
void object_init_library(void);

#endif
