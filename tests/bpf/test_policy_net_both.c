// SPDX-License-Identifier: Apache-2.0
/* Policies on sockets by programs of a control group, and at functions for what these do not see. */
#define HOOKS (WITH_GROUPS | WITH_FENTRY)
#define OPS   (PST_OP_BIT(PST_OP_NET_CONNECT) | PST_OP_BIT(PST_OP_NET_LISTEN))
#include "tests/bpf/policynet.h"
