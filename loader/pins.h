/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The bpffs folder: layout, who may open what, and the state that survives the loader (docs/pins.md).
 *
 * What a load makes is pinned under staging/ first and renamed into place when all of it is there. The phase
 * in the state map says how to go on after a crash: CLEAN: staging is rubbish; FLIP: staging is complete and
 * comes into force.
 */
#ifndef PST_LOADER_PINS_H
#define PST_LOADER_PINS_H

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>

#include "loader/accounts.h"
#include "loader/gate.h"
#include "proto/base/shm.h"

enum pin_dir { PIN_ROOT, PIN_MAPS, PIN_LINKS, PIN_PROGS, PIN_ITERS, PIN_STAGING, PIN_DIR_MAX };

#define PIN_NAME_MAX 48
#define PIN_PATH_MAX 320

#define MAP_STATE      "version"      /* pin in the root of the folder */
#define MAP_STATE_NEXT "version_next" /* beside it, until it takes its place */
#define MAP_QDISCS     "qdiscs"       /* in the root too, see clsact.h */
#define MAP_GATE       "gate"

/* Counters of the programs, by CPU: acts by enum pst_pol_told, and lines that were not remembered from the
 * fork on (enum lineage_count of bpf/lib/lineage.bpf.h). */
#define MAP_JUDGE_COUNTS   "judge_counts"
#define MAP_LINEAGE_COUNTS "lineage_counts"
enum lineage_count { LINEAGE_FULL, LINEAGE_MADE };

#define SEED_WORDS     7
#define PATH_KEY_WORDS 2

enum pin_phase { PHASE_CLEAN = 0, PHASE_FLIP = 1 };

/* Value of the one entry of the map `version`. The first word is the contract, the rest is the loader's own.
 * What comes before `outcomes` changes with the contract only: loads of other builds read it. */
struct pin_state {
	uint32_t abi; /* PST_ABI_VERSION of whoever made the folder */
	uint32_t phase;
	uint32_t generation;     /* of the programs in force */
	uint32_t staged;         /* FLIP: of those that come into force */
	uint64_t fingerprint[2]; /* what is in force; zero: unknown */
	uint32_t netns;          /* inode of the network namespace of tc and XDP attachments, 0: none */
	uint32_t pad;
	uint64_t seed[SEED_WORDS]; /* of the hash tables: programs of all generations share the tables */
	uint64_t id_seed;          /* of the ids that stand in for socket cookies */
	uint32_t n_maps;           /* pins under maps/ when all was well */
	uint32_t pad2;
	uint8_t outcomes[31744];           /* struct outcomes of the plan in force */
	uint64_t path_key[PATH_KEY_WORDS]; /* of the hashes of paths; zero: not drawn yet */
};

struct pins {
	const char *root;        /* bpffs folder; of pst_common */
	struct pin_state *state; /* mapped, NULL before pins_open */
	struct gate_word *gate;  /* mapped, one word a CPU */
	struct pst_shm state_map, gate_map;
};

/* "<root>/<dir>/<name>". Always fits: the configuration bounds the root. */
const char *pins_path(const struct pins *pins, enum pin_dir dir, const char *name, char buf[PIN_PATH_MAX]);

/*
 * Makes the folders, and the maps `version` and `gate`, or opens those that are there; a `version` of another
 * size is made anew with the same head. -EPROTO: made by a version with another ABI (nothing was changed).
 * 0 or -errno with a log line.
 */
int pins_open(struct pins *pins);
void pins_close(struct pins *pins);

/* Pin a descriptor; an older pin of that name goes. 0 or -errno. */
int pins_pin(const struct pins *pins, enum pin_dir dir, const char *name, int fd);
/* Descriptor or -errno. */
int pins_get(const struct pins *pins, enum pin_dir dir, const char *name);
int pins_remove(const struct pins *pins, enum pin_dir dir, const char *name);
bool pins_exists(const struct pins *pins, enum pin_dir dir, const char *name);
/* Every name in a folder; @fn may remove it. */
typedef void (*pins_fn)(void *arg, const char *name);
int pins_each(const struct pins *pins, enum pin_dir dir, pins_fn fn, void *arg);

/* Staging: the name carries the folder that it goes to. */
int pins_stage(const struct pins *pins, enum pin_dir target, const char *name, int fd);
int pins_unstage_all(
	const struct pins *pins); /* rename everything into place, each over what has that name */
int pins_drop_staged(const struct pins *pins);
void pins_drop_staged_but_maps(const struct pins *pins);
bool pins_is_staged(const struct pins *pins, enum pin_dir target, const char *name);

/* Removes the pins and the folders. The caller detaches what a pin alone does not hold. */
int pins_remove_all(struct pins *pins);

/* Owners and modes of everything, also of what is staged; touches only what is not right yet. */
void pins_set_owners(const struct pins *pins, const struct accounts *accounts);

#endif
