// SPDX-License-Identifier: Apache-2.0
#include "loader/ladder.h"

#include <stdio.h>
#include <assert.h>
#include <string.h>

#include "loader/feature.h"
#include "proto/abi/maps.h"
#include "proto/base/cleanup.h"

#define NEEDS(feature) (1u << (feature))
static_assert(FEATURE_MAX <= 32, "needs is a word");

const struct sensor sensors[SENSOR_MAX] = {
	[SENSOR_PROCESS] = {"process", "fork, exec, exit",
		{{"tp_btf", CAN_OBSERVE, 0,
			{{"process", "process_fork", ATTACH_TRACE, false},
				{"process", "process_exec", ATTACH_TRACE, false},
				{"process", "process_exit", ATTACH_TRACE, false}},
			{{0}}}}},
	[SENSOR_EXEC_FAILED] = {"exec_failed", "exec that failed",
		{{"fexit", CAN_OBSERVE, NEEDS(FEATURE_FEXIT),
			 {{"execfail", "execfail_execve", ATTACH_TRACE, false},
				 {"execfail", "execfail_execveat", ATTACH_TRACE, false},
				 {"execfail32", "execfail32_execve", ATTACH_TRACE, true},
				 {"execfail32", "execfail32_execveat", ATTACH_TRACE, true}},
			 {{0}}},
			{"sys_exit", CAN_OBSERVE, 0, {{"sysexit", "sysexit", ATTACH_TRACE, false}},
				{{"sysexit", "cfg_exec_failed"}}}}},
	[SENSOR_CRED] = {"cred", "change of credentials",
		{{"fentry", CAN_OBSERVE, NEEDS(FEATURE_FENTRY),
			 {{"cred", "cred_commit", ATTACH_TRACE, false}}, {{0}}},
			{"sys_exit", CAN_OBSERVE, 0,
				{{"sysexit", "cred_enter", ATTACH_TRACE, false},
					{"sysexit", "sysexit", ATTACH_TRACE, false}},
				{{"sysexit", "cfg_cred"}}}}},
	[SENSOR_TCP] = {"tcp", "TCP connect, listen, close, retransmit, reset",
		{{"tp_btf", CAN_OBSERVE, 0,
			{{"socket", "socket_state", ATTACH_TRACE, false},
				{"socket", "socket_retrans", ATTACH_TRACE, false},
				{"socket", "reset_sent", ATTACH_TRACE, false},
				{"socket", "reset_received", ATTACH_TRACE, false}},
			{{0}}}}},
	[SENSOR_ACCEPT] = {"accept", "TCP accept",
		{{"fentry", CAN_OBSERVE, NEEDS(FEATURE_FENTRY),
			 {{"accept", "accept_graft", ATTACH_TRACE, false}}, {{0}}},
			{"sys_exit", CAN_OBSERVE, 0, {{"sysexit", "sysexit", ATTACH_TRACE, false}},
				{{"sysexit", "cfg_accept"}}}}},
	[SENSOR_UDP] = {"udp", "UDP traffic by socket and peer",
		{{"cgroup", CAN_OBSERVE, NEEDS(FEATURE_CGROUP_SKB),
			{{"udp", "udp_ingress", ATTACH_CGROUP, false},
				{"udp", "udp_egress", ATTACH_CGROUP, false},
				{"udp", "udp_bind4", ATTACH_CGROUP, false},
				{"udp", "udp_bind6", ATTACH_CGROUP, false}},
			{{0}}}}},
	[SENSOR_DROPS] = {"drops", "dropped packets, with the kernel's reason",
		{{"tp_btf", CAN_OBSERVE, 0, {{"socket", "packet_drop", ATTACH_TRACE, false}}, {{0}}}}},
	[SENSOR_FLOWS] = {"flows", "flows, and packets by interface and protocol",
		{{"tcx", CAN_OBSERVE, NEEDS(FEATURE_TCX),
			 {{"flow", "flow_ingress", ATTACH_TC_IN, false},
				 {"flow", "flow_egress", ATTACH_TC_OUT, false},
				 {"flow", "flow_xdp", ATTACH_XDP, true}},
			 {{0}}},
			{"clsact", CAN_OBSERVE, 0,
				{{"flow", "flow_ingress", ATTACH_TC_IN, false},
					{"flow", "flow_egress", ATTACH_TC_OUT, false},
					{"flow", "flow_xdp", ATTACH_XDP, true}},
				{{0}}}}},
	[SENSOR_SYSCALLS] = {"syscalls", "system calls by number and cgroup",
		{{"raw_tp", CAN_OBSERVE, 0,
			{{"syscalls", "syscalls_enter", ATTACH_TRACE, false},
				{"syscalls", "syscalls_rmdir", ATTACH_TRACE, false}},
			{{0}}}}},
	[SENSOR_MODULE] = {"module", "kernel modules that are loaded",
		{{"tp_btf", CAN_OBSERVE, 0, {{"module", "module_load", ATTACH_TRACE, false}}, {{0}}}}},
	[SENSOR_BPF] = {"bpf", "BPF programs that are loaded",
		{{"fexit", CAN_OBSERVE, NEEDS(FEATURE_FEXIT),
			 {{"calls", "calls_bpf", ATTACH_TRACE, false},
				 {"calls", "calls_bpf32", ATTACH_TRACE, true}},
			 {{0}}},
			{"sys_exit", CAN_OBSERVE, 0, {{"sysexit", "sysexit", ATTACH_TRACE, false}},
				{{"sysexit", "cfg_bpf"}}}}},
	[SENSOR_PTRACE] = {"ptrace", "processes that trace others or write into their memory",
		{{"fexit", CAN_OBSERVE, NEEDS(FEATURE_FEXIT),
			 {{"calls", "calls_ptrace", ATTACH_TRACE, false},
				 {"calls", "calls_ptrace32", ATTACH_TRACE, true},
				 {"calls", "calls_vm", ATTACH_TRACE, false},
				 {"calls", "calls_vm32", ATTACH_TRACE, true}},
			 {{0}}},
			{"sys_exit", CAN_OBSERVE, 0, {{"sysexit", "sysexit", ATTACH_TRACE, false}},
				{{"sysexit", "cfg_ptrace"}}}}},
	[SENSOR_SIGNAL] = {"signal", "signals to a process of another cgroup",
		{{"tp_btf", CAN_OBSERVE, 0, {{"signal", "signal_generate", ATTACH_TRACE, false}}, {{0}}}}},
	[SENSOR_NAMESPACE] = {"namespace", "unshare and setns",
		{{"fexit", CAN_OBSERVE, NEEDS(FEATURE_FEXIT),
			 {{"calls", "calls_unshare", ATTACH_TRACE, false},
				 {"calls", "calls_unshare32", ATTACH_TRACE, true},
				 {"calls", "calls_setns", ATTACH_TRACE, false},
				 {"calls", "calls_setns32", ATTACH_TRACE, true}},
			 {{0}}},
			{"sys_exit", CAN_OBSERVE, 0, {{"sysexit", "sysexit", ATTACH_TRACE, false}},
				{{"sysexit", "cfg_namespace"}}}}},
	[SENSOR_MEMFD] = {"memfd", "files that exist in memory alone (memfd_create)",
		{{"fexit", CAN_OBSERVE, NEEDS(FEATURE_FEXIT),
			 {{"calls", "calls_memfd", ATTACH_TRACE, false},
				 {"calls", "calls_memfd32", ATTACH_TRACE, true}},
			 {{0}}},
			{"sys_exit", CAN_OBSERVE, 0, {{"sysexit", "sysexit", ATTACH_TRACE, false}},
				{{"sysexit", "cfg_memfd"}}}}},
	[SENSOR_EXEC_MEMORY] = {"exec_memory", "anonymous memory made executable",
		{{"fexit", CAN_OBSERVE, NEEDS(FEATURE_FEXIT),
			 {{"calls", "calls_mprotect", ATTACH_TRACE, false},
				 {"calls", "calls_mmap", ATTACH_TRACE, false},
				 {"calls", "calls_mmap32", ATTACH_TRACE, true}},
			 {{0}}},
			{"sys_exit", CAN_OBSERVE, 0, {{"sysexit", "sysexit", ATTACH_TRACE, false}},
				{{"sysexit", "cfg_exec_memory"}}}}},
	[SENSOR_PERF] = {"perf", "performance counters and their samples (perf_event_open)",
		{{"fexit", CAN_OBSERVE, NEEDS(FEATURE_FEXIT),
			 {{"calls", "calls_perf", ATTACH_TRACE, false},
				 {"calls", "calls_perf32", ATTACH_TRACE, true}},
			 {{0}}},
			{"sys_exit", CAN_OBSERVE, 0, {{"sysexit", "sysexit", ATTACH_TRACE, false}},
				{{"sysexit", "cfg_perf"}}}}},
	[SENSOR_PROC_MEM] = {"proc_mem", "memory of others opened for writing in /proc",
		{{"fexit", CAN_OBSERVE, NEEDS(FEATURE_FEXIT),
			 {{"calls", "calls_mem_open", ATTACH_TRACE, false}}, {{0}}},
			{"sys_exit", CAN_OBSERVE, 0, {{"sysexit", "sysexit", ATTACH_TRACE, false}},
				{{"sysexit", "cfg_proc_mem"}}}}},
	[SENSOR_CAPABILITY] = {"capability", "checks of capabilities",
		{{"fexit", CAN_OBSERVE, NEEDS(FEATURE_FEXIT),
			 {{"capability", "capability_asked", ATTACH_TRACE, false}}, {{0}}},
			{"tp_btf", CAN_OBSERVE, 0, {{"capability", "capability_traced", ATTACH_TRACE, false}},
				{{0}}}}},
	[SENSOR_SOCKET] = {"socket", "sockets of unusual kinds",
		{{"fexit", CAN_OBSERVE, NEEDS(FEATURE_FEXIT),
			 {{"sockcall", "sockcall_create", ATTACH_TRACE, false}}, {{0}}},
			{"sys_exit", CAN_OBSERVE, 0, {{"sysexit", "sysexit", ATTACH_TRACE, false}},
				{{"sysexit", "cfg_socket"}}}}},
	[SENSOR_BIND] = {"bind", "addresses that sockets are bound to",
		{{"fexit", CAN_OBSERVE, NEEDS(FEATURE_FEXIT),
			 {{"sockcall", "sockcall_bound", ATTACH_TRACE, false},
				 {"sockcall", "sockcall_bound32", ATTACH_TRACE, true},
				 {"sockcall", "sockcall_multi32", ATTACH_TRACE, true}},
			 {{0}}},
			{"sys_exit", CAN_OBSERVE, 0, {{"sysexit", "sysexit", ATTACH_TRACE, false}},
				{{"sysexit", "cfg_bind"}}}}},
	[SENSOR_GUARD] = {"guard", "packets that rules and lists drop",
		{{"xdp", CAN_OBSERVE | CAN_DENY, NEEDS(FEATURE_XDP),
			 {{"guard", "guard_xdp", ATTACH_GUARD_XDP, false},
				 {"guard", "guard_tc", ATTACH_GUARD_IN, false},
				 {"guard", "guard_tc_egress", ATTACH_GUARD_OUT, false}},
			 {{0}}},
			{"tc", CAN_OBSERVE | CAN_DENY, 0,
				{{"guard", "guard_tc", ATTACH_GUARD_IN, false},
					{"guard", "guard_tc_egress", ATTACH_GUARD_OUT, false}},
				{{0}}}}},
};

const struct iterator iterators[] = {
	{PST_ITER_TASKS, "iters", "iter_tasks", NULL, "enricher", -1},
	{PST_ITER_SYSCALLS, "iters", "iter_syscalls", PST_MAP_SYSCALLS, "exporter", SENSOR_SYSCALLS},
	{PST_ITER_INTERFACES, "iters", "iter_interfaces", PST_MAP_IFACE_COUNTERS, "exporter", SENSOR_FLOWS},
	{PST_ITER_PROGRAMS, "iters", "iter_programs", NULL, "exporter", -1},
	{PST_ITER_MAPS, "iters", "iter_maps", NULL, "exporter", -1},
};
const size_t n_iterators = PST_ARRAY_SIZE(iterators);

int ladder_rung_find(enum sensor_id sensor, const char *name)
{
	for (int i = 0; i < RUNGS_MAX && sensors[sensor].rungs[i].name; i++)
		if (!strcmp(sensors[sensor].rungs[i].name, name))
			return i;
	return -1;
}

const char *ladder_can(unsigned can, char buf[CAN_TEXT_MAX])
{
	snprintf(buf, CAN_TEXT_MAX, "%s%s%s", can & CAN_OBSERVE ? "observe " : "",
		can & CAN_DENY ? "deny " : "", can & CAN_KILL ? "kill " : "");
	size_t n = strlen(buf);
	if (n)
		buf[n - 1] = '\0';
	return buf;
}
