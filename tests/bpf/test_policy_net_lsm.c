// SPDX-License-Identifier: Apache-2.0
/* Policies on sockets where LSM calls BPF programs. */
#define HOOKS WITH_LSM
#define OPS   ALL_OPS
#include "tests/bpf/policynet.h"
