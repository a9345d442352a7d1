/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The guard: what its packet programs look up is made here, from the firewall's file, the allow and block
 * lists, and commands. docs/design/guard.md.
 */
#ifndef POLICYD_GUARD_GUARD_H
#define POLICYD_GUARD_GUARD_H

#include "policyd/guard/ddos.h"
#include "policyd/guard/drops.h"
#include "policyd/guard/lists.h"
#include "proto/wire/ctl.h"

struct guard_config {
	const char *run_dir;
	const char *firewall; /* NULL: none */
	bool firewall_named;  /* then it must be there */
	struct lists_config lists;
	struct drops_config drop; /* while a firewall, a list or a step is in force */
	uint64_t inner;           /* PST_GUARD_INNER_* */
	uint16_t vxlan_port;
	struct pst_guard_limits limits; /* all 0: none */
	struct pst_rates by_protocol[PST_SIG_PROTOCOLS];
	bool syn_cookies;
	const struct pst_strs *syn_ports;  /* good ones (syn_ports_parse()); none: where somebody listens */
	const struct pst_strs *syn_except; /* likewise: not there; none with syn_ports */
	struct ddos_config ddos;
	bool flows; /* PST_GUARD_FLOWS */
	/* Who else needs what the loader hands out (NULL: nobody): gets it, and says each second whether it
	 * is to be asked again. */
	void (*take)(void *arg, const struct pst_fds *fds);
	bool (*waits)(void *arg);
	void *arg;
};

struct guard;

/* Reads everything, takes the tables where the loader hands them out, registers its ops and statistics. Bad
 * files are no error: they are said, and what is in force stays. Before the sandbox. 0 or -errno. */
int guard_open(struct pst_loop *loop, struct pst_bus *bus, const struct guard_config *config,
	struct guard **ret_guard);
void guard_free(struct guard *guard); /* NULL is fine; what is in force stays */
/* The files of these tables anew, each all or nothing. 0 or -errno, with guard_error(). */
enum { GUARD_FIREWALL = 1, GUARD_LISTS = 2, GUARD_SIGNATURES = 4, GUARD_ALL = 7 };
int guard_reload(struct guard *guard, unsigned tables);
/* May who asks change what is in force, which is for root and whom policyd itself runs as? 0 or -EACCES. */
int guard_check_user(const struct pst_bus *bus, char *error, size_t size);
/* Of the last reload; "" if it was good. */
const char *guard_error(const struct guard *guard);
/* Pairs of status: returns how many. */
uint32_t guard_status(const struct guard *guard, struct pst_buf *out);
/* For --check. 0 or -EINVAL. */
int guard_check(const struct guard_config *config, struct pst_conf_errors *errors);

#endif
