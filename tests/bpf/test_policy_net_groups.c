// SPDX-License-Identifier: Apache-2.0
/* Policies on sockets by programs of a control group, and at sys_exit for what these do not see. */
#define HOOKS (WITH_GROUPS | WITH_EXIT)
#define OPS   ALL_OPS
#include "tests/bpf/policynet.h"
