/* SPDX-License-Identifier: Apache-2.0 */
#ifndef POLICYD_GUARD_FLAGS_H
#define POLICYD_GUARD_FLAGS_H

#include <stdbool.h>
#include <stdint.h>

#include "proto/abi/guard.h"

struct guard;

/*
 * Sets what the configuration asks for, and tracking for as long as rules that are in force, or are about to
 * be, name a connection's state. To be called before a switch, after it, and now and then.
 */
void guard_flags_set(struct guard *guard, uint64_t now_ns);
struct guard_config;
bool guard_has_limits(const struct guard_config *config);

#endif
