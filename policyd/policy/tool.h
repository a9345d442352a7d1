/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PST_POLICYD_POLICY_TOOL_H
#define PST_POLICYD_POLICY_TOOL_H

/* `penstock-policyd policy check|schema|test`, which `penstock policy` runs. It needs no configuration and no
 * privilege, and puts nothing in force. Returns the exit code. */
int policy_tool_main(int argc, char **argv);

#endif
