// SPDX-License-Identifier: Apache-2.0
/* Policies on sockets at sys_exit alone. */
#define HOOKS WITH_EXIT
#define OPS   ALL_OPS
#include "tests/bpf/policynet.h"
