// SPDX-License-Identifier: Apache-2.0
#include "cli/commands.h"

#include "cli/cli.h"

const struct command cli_commands[] = {
	{"up", "start the five processes on this host and show events", up_main, up_options, NULL},
	{"status", "what runs, and what each sensor can do on this kernel", status_main, status_options,
		NULL},
	{"observe", "show events, stored and live", observe_main, observe_options, NULL},
	{"top", "processes and connections by rate", top_main, top_options, NULL},
	{"probe", "what this kernel can do, and why not more", probe_main, probe_options, NULL},
	{"record", "write the raw records of the kernel into a file", record_main, record_options, NULL},
	{"replay", "play such a file", replay_main, replay_options, NULL},
	{"fw", "the firewall: rules, counters, tests, import", fw_main, NULL, fw_commands},
	{"ddos", "block and allow addresses", ddos_main, NULL, ddos_commands},
	{"policy", "check policies on what processes do, and ask what they say", policy_main, NULL,
		policy_commands},
	{"why", "what the guard would do to a packet, and by what", why_main, why_options, NULL},
	{"config", "check or print the configuration", config_main, config_options, NULL},
	{"completion", "completion for bash, zsh or fish", completion_main, completion_options, NULL},
	{0},
};
