/* SPDX-License-Identifier: Apache-2.0 */
/* Names that only the running kernel knows, from the loader's report: drop reasons, reset reasons,
 * interfaces. And what policyd calls its rules. */
#ifndef COLLECTOR_NAMES_H
#define COLLECTOR_NAMES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/abi/policy.h"
#include "proto/base/shm.h"

#define NAMES_MAX    1024 /* of each sort */
#define NAMES_IFACES 256

/* Names of firewall rules by counter, of one generation of the rules: what policyd wrote into its run file.
 */
struct rule_names {
	uint64_t generation; /* 0: none */
	char *text;          /* owned; the names lie in it */
	size_t len;
	uint32_t *at; /* owned; by counter: where in @text; 0: no name */
};

struct names {
	char *drop[NAMES_MAX]; /* owned; by number; NULL: no name */
	char *reset[NAMES_MAX];
	struct {
		uint32_t ifindex;
		char name[16];
	} iface[NAMES_IFACES];
	unsigned n_ifaces;
	bool guarded;      /* the loader has a guard */
	uint32_t net_ns;   /* whose interfaces they are; 0: not known */
	uint64_t mtime_ns; /* of the file that was read last */
	char scratch[24];
	char *rules_path;           /* owned; NULL: rules have no names */
	struct rule_names rules[2]; /* the newest first */
	uint64_t rules_mtime_ns, rules_ino, rules_tried_ns;
	struct pst_shm policies; /* the map policy_names; none: rules of policies have no names */
	uint64_t rules_begun_ns; /* flows that began before have rules of the same numbers and other names */
};

/* Read again if the file changed. 0, or -errno (the old names stay). */
int names_update(struct names *names, const char *path);
void names_done(struct names *names);
/* Reads the names of rules again if policyd wrote them anew; @now_ns: boot time. */
void names_update_rules(struct names *names, uint64_t now_ns);
/*
 * Name of the rule that counts there in that generation (its lower half), of a flow that began at @first_ns;
 * good until the next call that updates. "": none, or not known: never one of another generation.
 */
const char *names_rule(
	struct names *names, uint32_t generation, uint32_t counter, uint64_t first_ns, uint64_t now_ns);
/* Name or its number as text; "" where the kernel gives no reasons. */
const char *names_drop(struct names *names, uint32_t reason);
const char *names_reset(struct names *names, uint32_t reason); /* "" for 0 */
/* What a rule of the policies of that generation is called. False: not known; never the name of another one.
 * Policyd writes the texts: they may be any. */
bool names_policy(
	const struct names *names, uint32_t generation, uint32_t rule, struct pst_pol_label *ret_label);
/* Both texts are there and have an end. */
bool names_is_label(const struct pst_pol_label *label);
/* "" if unknown: numbers repeat between network namespaces. */
const char *names_iface(const struct names *names, uint32_t ifindex, uint32_t net_ns);

#endif
