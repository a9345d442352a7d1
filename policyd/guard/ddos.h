/* SPDX-License-Identifier: Apache-2.0 */
/* What is done about floods: the steps beside lists, limits and rules, and which of all run dry. */
#ifndef POLICYD_GUARD_DDOS_H
#define POLICYD_GUARD_DDOS_H

#include <stdbool.h>
#include <stdint.h>

enum ddos_action { DDOS_OFF = 0, DDOS_COUNT /* a dry run */, DDOS_DROP };

/* Who goes on to send what is dropped is blocked for a time. */
struct offenders_config {
	uint64_t after; /* so many packets; 0: off */
	uint64_t within_ns, for_ns;
	bool forgeable; /* also what anybody can send in the name of another */
	enum ddos_action action;
};

struct ddos_config {
	enum ddos_action lists, limits, flags, amplification;
	struct offenders_config offenders;
	const char *signatures;  /* their file; NULL: none */
	bool signatures_named;   /* then it must be there */
	const char *scrub;       /* interface for what signatures and limits drop; NULL: none */
	uint64_t detect_packets; /* a second: a flood; 0: nobody looks */
	uint64_t quiet_ns;       /* below half of it for so long: it has ended */
};

/* struct pst_guard.bad_flags */
uint64_t ddos_bad_flags(void);
/* PST_GUARD_DRY_* */
uint64_t ddos_dry_runs(const struct ddos_config *config);

#endif
