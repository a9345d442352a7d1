// SPDX-License-Identifier: Apache-2.0
/* Policies on sockets by programs at functions alone. */
#define HOOKS WITH_FENTRY
#define OPS   ALL_OPS
#include "tests/bpf/policynet.h"
