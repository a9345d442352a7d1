/* SPDX-License-Identifier: Apache-2.0 */
/* Signatures of floods: built in, read from a file, and as the table that the packet programs look into. */
#ifndef POLICYD_DDOS_SIGS_H
#define POLICYD_DDOS_SIGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/abi/guard.h"
#include "proto/base/conf.h"

#define SIGS_TEXT_MAX  (64u << 10) /* bytes of a document */
#define SIGS_NODES_MAX 8000        /* values in it */
#define SIG_NAME_MAX   63
#define SIG_RANGES     16 /* of ports, in one signature */

struct sig_range {
	uint16_t lo, hi;
};

struct sig_ports {
	struct sig_range v[SIG_RANGES];
	size_t n; /* 0: any; else none touches another */
};

struct sig {
	char name[SIG_NAME_MAX + 1];
	bool drop; /* else it only counts */
	bool unasked;
	uint8_t protocol;
	struct sig_ports sport, dport;
	struct sig_range len; /* of the payload */
	uint16_t offset;      /* of the bytes that are compared */
	uint8_t need;         /* how many; 0: none */
	uint8_t mask[PST_SIG_BYTES], value[PST_SIG_BYTES];
};

/* In the order in which they are looked at. */
struct sig_set {
	struct sig v[PST_SIGS];
	size_t n;
};

/* Adds those of @text. 0; -EINVAL with messages in @errors, and @set as it was. */
int sigs_parse(
	const char *name, const char *text, size_t len, struct pst_conf_errors *errors, struct sig_set *set);
/* Adds the answers of services that are abused to amplify. 0; -ENOSPC: no room for them. */
int sigs_add_amplification(bool drop, struct sig_set *set);
/* Ranges that touch become one: a packet matches each signature once. */
void sigs_merge_ports(struct sig_ports *ports);
/* Is it the name of one of these? */
bool sigs_is_built_in(const char *name);
/*
 * The table; signature n counts in place n until sigs_places(). 0; -ENOSPC: more than PST_SIGS pairs of port
 * ranges, and @ret_table means nothing.
 */
int sigs_build(const struct sig_set *set, struct pst_sigs *ret_table);
/* A signature that was in @old (rubbish is fine) keeps its place there. @ret_fresh: bit n: place n is begun
 * anew. */
void sigs_places(struct pst_sigs *table, const struct pst_sigs *old, uint64_t *ret_fresh);
/* Where the signature counts in @table. */
uint8_t sigs_place(const struct pst_sigs *table, const struct sig *sig);

#endif
