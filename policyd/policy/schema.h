/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PST_POLICYD_POLICY_SCHEMA_H
#define PST_POLICYD_POLICY_SCHEMA_H

#include <stdio.h>

/* The JSON Schema (2020-12) of a policy, from the tables. It accepts what the parser accepts, and more: what
 * cannot be said in it (one rule against another, numbers against each other) is left to the parser. */
void policy_schema_print(FILE *out);

#endif
