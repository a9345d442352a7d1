/* SPDX-License-Identifier: Apache-2.0 */
/* SYNs above the rate of all sources: which are answered with cookies, and whether the stack would take them.
 */
#ifndef POLICYD_GUARD_SYN_H
#define POLICYD_GUARD_SYN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/abi/guard.h"

struct guard_config;
struct pst_strs;

struct syn {
	int sysctl; /* net.ipv4.tcp_syncookies of this network namespace; negative: cannot be read */
	enum syn_told { SYN_TOLD_NOTHING, SYN_TOLD_KERNEL, SYN_TOLD_SYSCTL, SYN_TOLD_GOOD } told;
	__u64 ports[PST_GUARD_PORT_WORDS];
	uint64_t ports_flag; /* what they are: PST_GUARD_SYN_PORTS or _EXCEPT; 0: none is named */
};

/* "80" or "8000-8080", each from 1 to 65535. 0, or -EINVAL with the place of the first bad one. */
int syn_ports_parse(const struct pst_strs *texts, __u64 ret_ports[PST_GUARD_PORT_WORDS], size_t *ret_bad);

/* Before the sandbox. */
void syn_open(struct syn *syn, const struct guard_config *config);
void syn_close(struct syn *syn);
/* PST_GUARD_SYN etc. for now; the ports are written into @word before. */
uint64_t syn_flags(struct syn *syn, const struct guard_config *config, struct pst_guard *word);

#endif
