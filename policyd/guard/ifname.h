/* SPDX-License-Identifier: Apache-2.0 */
/* Interfaces by name and number, within the sandbox: two requests on a Unix socket are all that it allows. */
#ifndef POLICYD_GUARD_IFNAME_H
#define POLICYD_GUARD_IFNAME_H

#include <net/if.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Numbers from here on are no interface's: of names whose number is that of another name now. */
#define IFNAME_NOBODYS 0x80000000u

/* Names that rules have, and their numbers when they were read. */
struct ifname_list {
	struct ifname *v; /* owned */
	size_t n;
	bool full; /* there are more */
};

struct ifnames {
	int sock;
	char name[IF_NAMESIZE]; /* the last one that was asked for */
	struct ifname_list noted;
	uint32_t nobodys; /* numbers of IFNAME_NOBODYS that were given */
	const struct ifname_list
		*known; /* those that are missing now keep these numbers; NULL: they are refused */
};

int ifnames_open(struct ifnames *names); /* 0 or -errno */
void ifnames_close(struct ifnames *names);
/* 0: there is none of this name. @names: struct ifnames (these are a fw_context's and a fw_show_context's).
 */
uint32_t ifnames_index(const char *name, void *names);
/* The same, and the name is noted; one that is missing may be known. */
uint32_t ifnames_note(const char *name, void *names);
/* Has one that was noted another number now, as it was made anew, or none, as it was renamed? True once for
 * each change. */
bool ifnames_changed(struct ifnames *names);
/* Is there surely none of this number? */
bool ifnames_is_gone(uint32_t index, void *names);
void ifname_list_done(struct ifname_list *list); /* zeroed: nothing to do */
/* NULL: there is none of this number; valid until the next call. */
const char *ifnames_name(uint32_t index, void *names);
/* The same of a number that a rule has: also of one that is gone. */
const char *ifnames_noted(uint32_t index, void *names);

#endif
