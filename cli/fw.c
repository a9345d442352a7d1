// SPDX-License-Identifier: Apache-2.0
/* `penstock fw SUBCOMMAND`: the firewall. */
#include "cli/cli.h"
#include "cli/commands.h"

const struct command fw_commands[] = {
	{"list", "the rules in force, with their counters", fw_list_main, fw_list_options, NULL},
	{"stats", "what became of packets, and why", fw_stats_main, fw_stats_options, NULL},
	{"test", "what would become of a packet, and by which rule", fw_test_main, fw_test_options, NULL},
	{"add", "put a rule before those of the file", fw_add_main, fw_add_options, NULL},
	{"delete", "take a rule out that was added", fw_delete_main, fw_delete_options, NULL},
	{"sets", "the sets, and what commands changed about them", fw_sets_main, fw_sets_options, NULL},
	{"add-element", "put elements into a set", fw_add_element_main, fw_add_element_options, NULL},
	{"delete-element", "take elements out of a set", fw_delete_element_main, fw_delete_element_options,
		NULL},
	{"import", "rules of nftables or iptables as a firewall document", fw_import_main, fw_import_options,
		NULL},
	{0},
};

int fw_main(int argc, char **argv)
{
	return cli_sub_main("penstock fw",
		"The firewall: what comes in over guarded interfaces (docs/firewall.md).",
		"  penstock fw list\n"
		"  penstock fw test --src 192.0.2.7 --proto tcp --dport 22\n"
		"  sudo penstock fw add '{name: no telnet, proto: tcp, dport: 23, action: drop}'\n"
		"  sudo penstock fw add-element office 192.0.2.7\n"
		"  iptables-save | penstock fw import > firewall.yaml\n",
		fw_commands, argc, argv);
}
