/* SPDX-License-Identifier: Apache-2.0 */
/* A pinned link between a program and an interface: tcx or XDP. */
#ifndef PST_LOADER_IFLINK_H
#define PST_LOADER_IFLINK_H

#include <stdbool.h>
#include <stdint.h>

#include "loader/pins.h"

enum hook { HOOK_IN, HOOK_OUT, HOOK_XDP, HOOK_GUARD_IN, HOOK_GUARD_OUT, HOOK_MAX };

/* A program to attach; fd -1: none. */
struct net_prog {
	int fd; /* owned */
	uint32_t id;
};

/* New link: descriptor or -errno. @first: before the programs that are there, else behind them. */
int iflink_tcx(int prog, int ifindex, bool out, bool first);
int iflink_xdp(int prog, int ifindex, bool generic);
/* Pins it under links/ and closes @fd; passes a negative @fd on. 0 or -errno. */
int iflink_pin(const struct pins *pins, enum hook hook, int ifindex, int fd);
/* 1: the pinned link is there and has our program now; 0: there is none (any more); -errno, also one that
 * passes (feature_passing()) and says nothing of the link. */
int iflink_keep(const struct pins *pins, enum hook hook, int ifindex, const struct net_prog *prog);
/* Is the pinned link there, and attached? What cannot be known for now is taken for there. */
bool iflink_there(const struct pins *pins, enum hook hook, int ifindex);
void iflink_detach(const struct pins *pins, enum hook hook, int ifindex);
/* Is this pin under links/ one of ours? @ret_ifindex may be NULL. */
bool iflink_is_pin(const char *name, int *ret_ifindex);

#endif
