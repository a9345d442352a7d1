/* SPDX-License-Identifier: Apache-2.0 */
/* What the sandbox*.c files share with each other and nobody else. */
#ifndef PST_BASE_SANDBOX_INTERNAL_H
#define PST_BASE_SANDBOX_INTERNAL_H

#include "proto/base/sandbox.h"

/* Restricts this thread. @ret_abi 0: the kernel has no Landlock. 0 or -errno (said). */
int sandbox_landlock(const struct pst_sandbox *sandbox, int *ret_abi);
/* The last step: from here on only what is listed is possible. 0 or -errno (said). */
int sandbox_seccomp(const struct pst_sandbox *sandbox);

#endif
