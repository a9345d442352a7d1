/* SPDX-License-Identifier: Apache-2.0 */
/* What is done about floods: the steps beside lists, limits and rules, and which of all run dry. */
#ifndef POLICYD_GUARD_DDOS_H
#define POLICYD_GUARD_DDOS_H

#include <stdbool.h>
#include <stdint.h>

enum ddos_action { DDOS_OFF = 0, DDOS_COUNT /* a dry run */, DDOS_DROP };

struct ddos_config {
	enum ddos_action lists, limits, flags, amplification;
	const char *signatures;  /* their file; NULL: none */
	bool signatures_named;   /* then it must be there */
	uint64_t detect_packets; /* a second: a flood; 0: nobody looks */
	uint64_t quiet_ns;       /* below half of it for so long: it has ended */
};

/* struct pst_guard.bad_flags */
uint64_t ddos_bad_flags(void);
/* PST_GUARD_DRY_* */
uint64_t ddos_dry_runs(const struct ddos_config *config);

#endif
