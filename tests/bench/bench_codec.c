// SPDX-License-Identifier: Apache-2.0
/*
 * Cost of the codec by event: ns per operation, the best and the median of several rounds. One line a figure:
 *   codec.<event>.<operation> <median> ns <min> <bytes>
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "proto/wire/event.h"
#include "proto/wire/json.h"

#define ROUNDS 301

struct sample {
	const char *name;
	uint32_t kind;
	struct pst_val sensor[PST_SENSOR_FIELDS_MAX];
	struct pst_val enricher[PST_ENR_N];
	struct pst_buf packed, whole, list, procs;
};

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

static struct pst_val num(uint64_t u)
{
	return (struct pst_val){.u = u};
}
static struct pst_val text(const char *s)
{
	return pst_val_str(s, strlen(s));
}

static void who(struct pst_val *v)
{
	v[PST_EXEC_F_pid] = num(48231);
	v[PST_EXEC_F_start_ns] = num(90123456789012);
	v[PST_EXEC_F_tid] = num(48231);
	v[PST_EXEC_F_uid] = num(1000);
	v[PST_EXEC_F_gid] = num(1000);
	v[PST_EXEC_F_cgroup_id] = num(7741);
	v[PST_EXEC_F_comm] = text("curl");
}

static void make_exec(struct sample *s)
{
	static const char argv[] = "curl\0-sS\0--max-time\0"
				   "5\0https://example.org/api/v1/items?page=2";
	struct pst_val *v = s->sensor;
	uint32_t n;

	s->kind = PST_KIND_EXEC;
	who(v);
	v[PST_EXEC_F_exe] = text("/usr/bin/curl");
	pst_list_add_nul(&s->list, argv, sizeof(argv) - 1, &n);
	v[PST_EXEC_F_argv] = (struct pst_val){.p = s->list.p, .len = (uint32_t)s->list.len, .n = n};
	v[PST_EXEC_F_argc] = num(n);
	v[PST_EXEC_F_filename] = text("/usr/bin/curl");
	v[PST_EXEC_F_cwd] = text("/srv/app/current");
	v[PST_EXEC_F_parent_pid] = num(48120);
	v[PST_EXEC_F_parent_start_ns] = num(90123056789012);
	v[PST_EXEC_F_euid] = num(1000);
	v[PST_EXEC_F_loginuid] = num(4294967295);
	v[PST_EXEC_F_cap_effective] = num(0xa80425fb);
	v[PST_EXEC_F_tty] = num(136 << 20 | 3);
	v[PST_EXEC_F_exe_dev] = num(259 << 20 | 2);
	v[PST_EXEC_F_exe_ino] = num(1311768);
	for (int i = PST_EXEC_F_mnt_ns; i < PST_EXEC_F_N; i++)
		v[i] = num(4026531840u + (unsigned)i);
}

static void make_connect(struct sample *s)
{
	static const uint8_t local[4] = {10, 0, 3, 17}, remote[4] = {93, 184, 216, 34};
	struct pst_val *v = s->sensor;

	s->kind = PST_KIND_CONNECT;
	who(v);
	v[PST_CONNECT_F_protocol] = num(6);
	v[PST_CONNECT_F_family] = num(2);
	v[PST_CONNECT_F_laddr] = pst_val_str(local, 4);
	v[PST_CONNECT_F_lport] = num(51234);
	v[PST_CONNECT_F_raddr] = pst_val_str(remote, 4);
	v[PST_CONNECT_F_rport] = num(443);
	v[PST_CONNECT_F_cookie] = num(8193);
	v[PST_CONNECT_F_net_ns] = num(4026531840);
	v[PST_CONNECT_F_error] = num(111);
	v[PST_CONNECT_F_duration_ns] = num(1234567);
}

static void make_flow(struct sample *s)
{
	static const uint8_t from[16] = {0x20, 1, 0xd, 0xb8, [15] = 1},
			     to[16] = {0x20, 1, 0xd, 0xb8, [15] = 2};
	struct pst_val *v = s->sensor;

	s->kind = PST_KIND_FLOW;
	v[PST_FLOW_F_protocol] = num(6);
	v[PST_FLOW_F_family] = num(10);
	v[PST_FLOW_F_saddr] = pst_val_str(from, 16);
	v[PST_FLOW_F_sport] = num(51234);
	v[PST_FLOW_F_daddr] = pst_val_str(to, 16);
	v[PST_FLOW_F_dport] = num(443);
	v[PST_FLOW_F_dir] = num(2);
	v[PST_FLOW_F_ifindex] = num(2);
	v[PST_FLOW_F_interface] = text("eth0");
	v[PST_FLOW_F_packets] = num(1234);
	v[PST_FLOW_F_bytes] = num(1234567);
	v[PST_FLOW_F_delta_packets] = num(12);
	v[PST_FLOW_F_delta_bytes] = num(17321);
	v[PST_FLOW_F_tcp_flags] = num(0x1a);
	v[PST_FLOW_F_first_ns] = num(90123456789012);
	v[PST_FLOW_F_last_ns] = num(90125456789012);
	v[PST_FLOW_F_flow_id] = num(77309411329);
	v[PST_FLOW_F_net_ns] = num(4026531840);
}

static void enrich(struct sample *s)
{
	static const char id[] = "4f1c0e7f2b6a4d5c9e8f7a6b5c4d3e2f1a0b9c8d7e6f5a4b3c2d1e0f9a8b7c6d";
	struct pst_val *e = s->enricher;

	pst_procs_add(&s->procs, 48120, 90123056789012, "/usr/bin/bash", 13);
	pst_procs_add(&s->procs, 3120, 80123056789012, "/usr/bin/node", 13);
	pst_procs_add(&s->procs, 3001, 80023056789012, "/usr/bin/containerd-shim-runc-v2", 32);
	pst_procs_add(&s->procs, 1, 10000000, "/usr/lib/systemd/systemd", 24);
	e[PST_ENR_user] = text("app");
	e[PST_ENR_parent_exe] = text("/usr/bin/bash");
	e[PST_ENR_ancestors] = (struct pst_val){.p = s->procs.p, .len = (uint32_t)s->procs.len, .n = 4};
	e[PST_ENR_cgroup] = text("/system.slice/docker-4f1c0e7f2b6a.scope");
	e[PST_ENR_container_id] = text(id);
	e[PST_ENR_container_runtime] = text("docker");
	if (s->kind != PST_KIND_EXEC) {
		e[PST_ENR_exe] = text("/usr/bin/curl");
		e[PST_ENR_service] = text("https");
	}
}

static void decode(struct sample *s, struct pst_buf *out, struct pst_event *e)
{
	struct pst_cur c = pst_cur(s->whole.p, s->whole.len);

	(void)out;
	if (pst_event_decode(&c, e))
		abort();
}
static void decode_sensor(struct sample *s, struct pst_buf *out, struct pst_event *e)
{
	struct pst_cur c = pst_cur(s->packed.p, s->packed.len);

	(void)out;
	if (pst_event_decode(&c, e))
		abort();
}
static void scan(struct sample *s, struct pst_buf *out, struct pst_event *e)
{
	struct pst_cur c = pst_cur(s->whole.p, s->whole.len);

	(void)out;
	if (pst_event_scan(&c, e))
		abort();
}
static void pack(struct sample *s, struct pst_buf *out, struct pst_event *e)
{
	(void)e;
	pst_event_pack(out, s->kind, 90123456999999, s->sensor);
}
static void append(struct sample *s, struct pst_buf *out, struct pst_event *e)
{
	pst_event_append_enricher(out, e, s->enricher);
}
static void json(struct sample *s, struct pst_buf *out, struct pst_event *e)
{
	(void)s;
	pst_json_event(out, e, 1700000000000000000);
}

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static void measure(struct sample *s, const char *op,
	void (*fn)(struct sample *, struct pst_buf *, struct pst_event *), struct pst_event *e)
{
	struct pst_buf out = {0};
	double ns[ROUNDS];
	unsigned n = 1000;

	for (int r = 0; r < ROUNDS; r++) {
		uint64_t start = now_ns();
		for (unsigned i = 0; i < n; i++) {
			out.len = 0;
			fn(s, &out, e);
		}
		ns[r] = (double)(now_ns() - start) / n;
	}
	qsort(ns, ROUNDS, sizeof(ns[0]), by_value);
	printf("codec.%s.%-14s %8.1f ns  min %8.1f  bytes %zu\n", s->name, op, ns[ROUNDS / 2], ns[0],
		out.len ? out.len : s->whole.len);
	if (out.failed)
		abort();
	pst_buf_done(&out);
}

int main(void)
{
	static struct sample samples[3] = {{.name = "exec"}, {.name = "connect"}, {.name = "flow"}};
	static struct pst_event e;

	make_exec(&samples[0]);
	make_connect(&samples[1]);
	make_flow(&samples[2]);
	for (int i = 0; i < 3; i++) {
		struct sample *s = &samples[i];

		enrich(s);
		pst_event_pack(&s->packed, s->kind, 90123456999999, s->sensor);
		struct pst_cur c = pst_cur(s->packed.p, s->packed.len);
		if (pst_event_decode(&c, &e))
			abort();
		pst_event_append_enricher(&s->whole, &e, s->enricher);
		measure(s, "pack", pack, &e);
		measure(s, "decode_sensor", decode_sensor, &e);
		measure(s, "append", append, &e);
		measure(s, "scan", scan, &e);
		measure(s, "decode", decode, &e);
		measure(s, "json", json, &e);
		pst_buf_done(&s->packed);
		pst_buf_done(&s->whole);
		pst_buf_done(&s->list);
		pst_buf_done(&s->procs);
	}
	return 0;
}
