/* SPDX-License-Identifier: Apache-2.0 */
/* The subcommands' entry points and option tables. */
#ifndef CLI_COMMANDS_H
#define CLI_COMMANDS_H

#include "proto/base/args.h"

int status_main(int argc, char **argv);
extern const struct pst_arg status_options[];
int observe_main(int argc, char **argv);
extern const struct pst_arg observe_options[];
int top_main(int argc, char **argv);
extern const struct pst_arg top_options[];
int probe_main(int argc, char **argv);
extern const struct pst_arg probe_options[];
int record_main(int argc, char **argv);
extern const struct pst_arg record_options[];
int replay_main(int argc, char **argv);
extern const struct pst_arg replay_options[];
int config_main(int argc, char **argv);
extern const struct pst_arg config_options[];
int completion_main(int argc, char **argv);
extern const struct pst_arg completion_options[];
int fw_main(int argc, char **argv);
int fw_list_main(int argc, char **argv);
extern const struct pst_arg fw_list_options[];
int fw_stats_main(int argc, char **argv);
extern const struct pst_arg fw_stats_options[];
int fw_test_main(int argc, char **argv);
extern const struct pst_arg fw_test_options[];
int fw_add_main(int argc, char **argv);
extern const struct pst_arg fw_add_options[];
int fw_delete_main(int argc, char **argv);
extern const struct pst_arg fw_delete_options[];
int ddos_main(int argc, char **argv);
int fw_sets_main(int argc, char **argv);
int fw_add_element_main(int argc, char **argv);
int fw_delete_element_main(int argc, char **argv);
int fw_import_main(int argc, char **argv);
extern const struct pst_arg fw_sets_options[], fw_add_element_options[], fw_delete_element_options[];
extern const struct pst_arg fw_import_options[];
int policy_main(int argc, char **argv);
int policy_apply_main(int argc, char **argv);
int policy_list_main(int argc, char **argv);
int policy_show_main(int argc, char **argv);
int policy_mode_main(int argc, char **argv);
int policy_delete_main(int argc, char **argv);
int policy_rollback_main(int argc, char **argv);
int policy_confirm_main(int argc, char **argv);
extern const struct pst_arg policy_apply_options[], policy_list_options[], policy_show_options[];
extern const struct pst_arg policy_mode_options[], policy_delete_options[], policy_rollback_options[];
extern const struct pst_arg policy_confirm_options[];
int why_main(int argc, char **argv);
extern const struct pst_arg why_options[];
int up_main(int argc, char **argv);
extern const struct pst_arg up_options[];

#endif
