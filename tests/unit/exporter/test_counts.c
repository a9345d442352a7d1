// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/base_test.h"

#include "exporter/counts.h"
#include "proto/abi/records.h"
#include "tests/unit/exporter/events.h"

struct fixture {
	struct cgroups *cgroups;
	struct flows *flows;
	struct counts *counts;
	struct pst_buf out;
};

static int setup(void **state)
{
	const struct counts_bounds bounds = {4, 64};
	struct fixture *f = calloc(1, sizeof(*f));

	assert_non_null(f);
	assert_int_equal(cgroups_new(16, &f->cgroups), 0);
	assert_int_equal(flows_new(16, &f->flows), 0);
	assert_int_equal(counts_new(&bounds, f->flows, f->cgroups, &f->counts), 0);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	counts_free(f->counts);
	flows_free(f->flows);
	cgroups_free(f->cgroups);
	pst_buf_done(&f->out);
	free(f);
	return 0;
}

static void feed_raw(struct fixture *f, struct pst_buf raw)
{
	struct pst_event event = event_scan(&raw);

	assert_int_not_equal(event.kind, UINT32_MAX);
	counts_event(f->counts, &event);
	pst_buf_done(&raw);
}

static void feed(struct fixture *f, uint32_t kind, const struct pst_val *sensor)
{
	feed_raw(f, event_pack(kind, 1, sensor));
}

static void check(struct fixture *f, const char *line)
{
	struct expo expo = {.out = &f->out};
	char whole[256];

	f->out.len = 0;
	counts_expose(f->counts, &expo);
	pst_mp_raw(&f->out, "", 1);
	snprintf(whole, sizeof(whole), "\npenstock_%s\n", line);
	if (!strstr((char *)f->out.p, whole))
		fail_msg("no line %s in:\n%s", line, (char *)f->out.p);
}

static void processes(void **state)
{
	struct fixture *f = *state;
	struct pst_val v[PST_SENSOR_FIELDS_MAX] = {0};

	feed_raw(f, event_exit(1, 1, 0, 0));
	feed_raw(f, event_exit(1, 1, 3, 0));
	feed_raw(f, event_exit(1, 1, 0, 9));
	feed_raw(f, event_exit(1, 1, 0, 9));
	feed_raw(f, event_exit(1, 1, 0, 1000));
	v[PST_EXEC_FAILED_F_error].u = ENOENT;
	feed(f, PST_KIND_EXEC_FAILED, v);
	v[PST_EXEC_FAILED_F_error].u = 100000;
	feed(f, PST_KIND_EXEC_FAILED, v);
	check(f, "events_total{kind=\"process_exit\"} 5");
	check(f, "process_exits_total{result=\"success\",signal=\"\"} 1");
	check(f, "process_exits_total{result=\"failure\",signal=\"\"} 1");
	check(f, "process_exits_total{result=\"signal\",signal=\"SIGKILL\"} 2");
	check(f, "process_exits_total{result=\"signal\",signal=\"other\"} 1");
	check(f, "process_exec_failures_total{error=\"ENOENT\"} 1");
	check(f, "process_exec_failures_total{error=\"other\"} 1");
}

static void tcp(void **state)
{
	struct fixture *f = *state;
	struct pst_val v[PST_SENSOR_FIELDS_MAX] = {0}, w[PST_SENSOR_FIELDS_MAX] = {0},
		       r[PST_SENSOR_FIELDS_MAX] = {0};

	v[PST_CONNECT_F_duration_ns].u = 300000;
	feed(f, PST_KIND_CONNECT, v);
	v[PST_CONNECT_F_error].u = ECONNREFUSED;
	v[PST_CONNECT_F_duration_ns].u = 60000000000;
	feed(f, PST_KIND_CONNECT, v);
	w[PST_CLOSE_F_bytes_sent].u = 1000;
	w[PST_CLOSE_F_bytes_received].u = 70000;
	feed(f, PST_KIND_CLOSE, w);
	feed(f, PST_KIND_CLOSE, w);
	r[PST_RESET_F_dir].u = PST_DIR_IN;
	feed(f, PST_KIND_RESET, r);
	check(f, "tcp_connects_total{result=\"ok\"} 1");
	check(f, "tcp_connects_total{result=\"ECONNREFUSED\"} 1");
	check(f, "tcp_connect_duration_seconds_bucket{le=\"0.00025\"} 0");
	check(f, "tcp_connect_duration_seconds_bucket{le=\"0.0005\"} 1");
	check(f, "tcp_connect_duration_seconds_bucket{le=\"30.0\"} 1");
	check(f, "tcp_connect_duration_seconds_bucket{le=\"+Inf\"} 2");
	check(f, "tcp_connect_duration_seconds_sum 60.0003");
	check(f, "tcp_closes_total 2");
	check(f, "tcp_bytes_total{direction=\"in\"} 140000");
	check(f, "tcp_bytes_total{direction=\"out\"} 2000");
	check(f, "tcp_resets_total{direction=\"in\"} 1");
	check(f, "tcp_resets_total{direction=\"out\"} 0");
}

static void drops_and_losses_are_bounded(void **state)
{
	struct fixture *f = *state;
	struct pst_val v[PST_SENSOR_FIELDS_MAX] = {0}, w[PST_SENSOR_FIELDS_MAX] = {0};
	char reason[16];

	for (unsigned i = 0; i < 10; i++) {
		snprintf(reason, sizeof(reason), "R%u", i);
		v[PST_DROP_F_reason] = pst_val_str(reason, strlen(reason));
		feed(f, PST_KIND_DROP, v);
	}
	w[PST_LOSS_F_stage] = pst_val_str("collector", 9);
	w[PST_LOSS_F_where] = pst_val_str("process", 7);
	w[PST_LOSS_F_cause] = pst_val_str("ring_full", 9);
	w[PST_LOSS_F_count].u = 17;
	feed(f, PST_KIND_LOSS, w);
	feed(f, PST_KIND_LOSS, w);
	check(f, "packet_drops_total{reason=\"R3\"} 1");
	check(f, "packet_drops_total{reason=\"other\"} 6");
	check(f, "series_overflow_total{metric=\"penstock_packet_drops\"} 6");
	check(f, "events_lost_total{stage=\"collector\",where=\"process\",cause=\"ring_full\"} 34");
}

static void alerts(void **state)
{
	struct fixture *f = *state;
	struct pst_val pol[PST_POL_N] = {0};
	struct pst_buf raw = event_exit(1, 1, 0, 0), alert = {0};
	struct pst_event event = event_scan(&raw);

	pol[PST_POL_rule] = pst_val_str("shell \"in\" container", 20);
	pol[PST_POL_severity].u = 3;
	pst_event_append_policyd(&alert, &event, pol);
	event = event_scan(&alert);
	counts_alert(f->counts, &event);
	check(f, "alerts_total{rule=\"shell \\\"in\\\" container\",severity=\"warning\"} 1");
	check(f, "events_total{kind=\"process_exit\"} 0"); /* counted when the enricher sent it */
	pst_buf_done(&raw);
	pst_buf_done(&alert);
}

static void feed_policy(struct fixture *f, const char *rule, const char *action, const char *done)
{
	struct pst_val v[PST_SENSOR_FIELDS_MAX] = {0};

	v[PST_POLICY_F_pid].u = 1;
	v[PST_POLICY_F_operation] = pst_val_str("file.open", 9);
	v[PST_POLICY_F_policy] = pst_val_str("secrets", 7);
	v[PST_POLICY_F_policy_rule] = pst_val_str(rule, strlen(rule));
	v[PST_POLICY_F_action] = pst_val_str(action, strlen(action));
	v[PST_POLICY_F_done] = pst_val_str(done, strlen(done));
	feed(f, PST_KIND_POLICY, v);
}

static void policies(void **state)
{
	struct fixture *f = *state;
	char rule[16];

	feed_policy(f, "no \"one\"", "deny", "denied");
	feed_policy(f, "no \"one\"", "deny", "denied");
	feed_policy(f, "no \"one\"", "deny", "told");
	feed_policy(f, "", "kill", "killed");
	check(f, "events_total{kind=\"policy\"} 4");
	check(f, "policy_acts_total{policy=\"secrets\",rule=\"no "
		 "\\\"one\\\"\",action=\"deny\",done=\"denied\"} 2");
	check(f, "policy_acts_total{policy=\"secrets\",rule=\"no "
		 "\\\"one\\\"\",action=\"deny\",done=\"told\"} 1");
	check(f, "policy_acts_total{policy=\"secrets\",rule=\"\",action=\"kill\",done=\"killed\"} 1");
	for (unsigned i = 0; i < 10; i++) {
		snprintf(rule, sizeof(rule), "r%u", i);
		feed_policy(f, rule, "audit", "told");
	}
	check(f, "policy_acts_total{policy=\"other\",rule=\"other\",action=\"other\",done=\"other\"} 9");
	check(f, "series_overflow_total{metric=\"penstock_policy_acts\"} 9");
}

static void feed_judged(struct fixture *f, uint16_t sport, uint64_t bytes, uint64_t delta, const char *end,
	const char *verdict, const char *rule)
{
	struct pst_val v[PST_SENSOR_FIELDS_MAX] = {0};

	v[PST_FLOW_F_protocol].u = 6;
	v[PST_FLOW_F_saddr] = pst_val_str("\x0a\x00\x00\x01", 4);
	v[PST_FLOW_F_sport].u = sport;
	v[PST_FLOW_F_daddr] = pst_val_str("\x0a\x00\x00\x02", 4);
	v[PST_FLOW_F_dport].u = 443;
	v[PST_FLOW_F_dir].u = PST_DIR_OUT;
	v[PST_FLOW_F_packets].u = bytes / 100;
	v[PST_FLOW_F_bytes].u = bytes;
	v[PST_FLOW_F_delta_packets].u = delta / 100;
	v[PST_FLOW_F_delta_bytes].u = delta;
	v[PST_FLOW_F_last_ns].u = bytes;
	v[PST_FLOW_F_end] = pst_val_str(end, strlen(end));
	v[PST_FLOW_F_verdict] = pst_val_str(verdict, strlen(verdict));
	v[PST_FLOW_F_reason] = pst_val_str(*rule ? "fw_drop" : "", *rule ? 7 : 0);
	v[PST_FLOW_F_fw_rule] = pst_val_str(rule, strlen(rule));
	v[PST_FLOW_F_last_fw_rule] = pst_val_str(rule, strlen(rule));
	feed(f, PST_KIND_FLOW, v);
}

static void feed_flow(struct fixture *f, uint16_t sport, uint64_t bytes, uint64_t delta, const char *end)
{
	feed_judged(f, sport, bytes, delta, end, "", "");
}

static void flows(void **state)
{
	struct fixture *f = *state;
	struct flows_query query = {.limit = 2};
	const char *first, *second;

	feed_flow(f, 1000, 500, 500, "");
	feed_flow(f, 1001, 9000, 9000, "");
	feed_flow(f, 1000, 700, 200, "fin");
	feed_flow(f, 1002, 100, 100, "");
	check(f, "flow_bytes_total{protocol=\"tcp\",direction=\"out\"} 9800");
	check(f, "flow_packets_total{protocol=\"tcp\",direction=\"out\"} 98");
	check(f, "flow_ends_total{reason=\"fin\"} 1");
	check(f, "flows 3");
	f->out.len = 0;
	flows_json(f->flows, &query, &f->out);
	pst_mp_raw(&f->out, "", 1);
	first = strstr((char *)f->out.p, "\"bytes\":9000");
	second = strstr((char *)f->out.p, "\"bytes\":700");
	assert_true(first && second && first < second);
	assert_null(strstr((char *)f->out.p, "\"bytes\":100,"));
	assert_non_null(strstr((char *)f->out.p, "\"saddr\":\"10.0.0.1\""));
	assert_non_null(strstr((char *)f->out.p, "],\"matched\":3,\"total\":3}"));
	query.active = true;
	f->out.len = 0;
	flows_json(f->flows, &query, &f->out);
	pst_mp_raw(&f->out, "", 1);
	assert_null(strstr((char *)f->out.p, "\"bytes\":700"));
	/* bounded */
	for (unsigned i = 0; i < 100; i++)
		feed_flow(f, (uint16_t)(2000 + i), 100, 100, "");
	assert_int_equal(flows_count(f->flows), 16);
	assert_int_equal(flows_evicted(f->flows), 87);
}

/* What was dropped of a flow is an entry of its own, and no traffic. */
static void flows_that_were_dropped(void **state)
{
	struct fixture *f = *state;
	struct flows_query query = {.limit = 9};
	char name[70];

	memset(name, 'x', sizeof(name)); /* longer than a rule's */
	name[sizeof(name) - 1] = 0;
	feed_judged(f, 1000, 500, 500, "", "pass", "web");
	feed_judged(f, 1000, 700, 700, "idle", "drop", "no telnet");
	feed_judged(f, 1001, 900, 900, "idle", "reject", name);
	check(f, "flow_bytes_total{protocol=\"tcp\",direction=\"out\"} 500");
	check(f, "flow_packets_total{protocol=\"tcp\",direction=\"out\"} 5");
	check(f, "flows 3");
	assert_null(strstr((char *)f->out.p, "flow_ends_total{reason=\"idle\"}"));
	f->out.len = 0;
	flows_json(f->flows, &query, &f->out);
	pst_mp_raw(&f->out, "", 1);
	assert_non_null(
		strstr((char *)f->out.p, "\"verdict\":\"pass\",\"reason\":\"fw_drop\",\"fw_rule\":\"web\""));
	assert_non_null(strstr(
		(char *)f->out.p, "\"verdict\":\"drop\",\"reason\":\"fw_drop\",\"fw_rule\":\"no telnet\""));
	assert_non_null(strstr((char *)f->out.p, "\"last_fw_rule\":\"no telnet\""));
	name[64] = 0;
	assert_non_null(strstr((char *)f->out.p, name));
}

static void learns_cgroups_and_the_clock(void **state)
{
	struct fixture *f = *state;
	struct pst_val v[PST_SENSOR_FIELDS_MAX] = {0}, e[PST_ENR_N] = {0}, n[PST_SENSOR_FIELDS_MAX] = {0};
	struct pst_buf raw, enriched = {0};
	struct pst_event event;
	const struct cgroup_name *name;

	v[PST_EXEC_F_cgroup_id].u = 4711;
	e[PST_ENR_cgroup] = pst_val_str("/docker/abc", 11);
	e[PST_ENR_container_id] = pst_val_str("abc", 3);
	raw = event_pack(PST_KIND_EXEC, 1, v);
	event = event_scan(&raw);
	pst_event_append_enricher(&enriched, &event, e);
	feed_raw(f, enriched);
	pst_buf_done(&raw);
	name = cgroups_get(f->cgroups, 4711);
	assert_non_null(name);
	assert_memory_equal(name->path, "/docker/abc", 11);
	assert_int_equal(name->container_len, 3);
	n[PST_NODE_F_hostname] = pst_val_str("h", 1);
	n[PST_NODE_F_kernel] = pst_val_str("6.1", 3);
	n[PST_NODE_F_wall_offset_ns].i = -5;
	feed(f, PST_KIND_NODE, n);
	assert_int_equal(counts_wall_offset(f->counts), -5);
	check(f, "node_info{node=\"h\",kernel=\"6.1\",boot_id=\"\"} 1");
}

/* Fields of other types than the schema says, short arrays, unknown kinds: counted, never trusted. */
static void hostile(void **state)
{
	static const uint8_t events[][16] = {
		{0x93, PST_KIND_DROP, 1, 0x90},                             /* no fields */
		{0x93, PST_KIND_DROP, 1, 0x91, 0x05},                       /* the reason is a number */
		{0x93, PST_KIND_FLOW, 1, 0x93, 0xa1, 'x', 0xff, 0xa1, 'y'}, /* texts, a negative number */
		{0x93, PST_KIND_LOSS, 1, 0x92, 0xc0, 0xc0},
		{0x93, PST_KIND_NODE, 1, 0x91, 0x80},
		{0x93, PST_KIND_POLICY, 1, 0x92, 0x05, 0x80},
		{0x93, 0x7f, 1, 0x90}, /* no such kind */
		{0x93, 0xcd, 0xff, 0xff, 1, 0x90},
	};
	struct fixture *f = *state;

	for (size_t i = 0; i < sizeof(events) / sizeof(events[0]); i++) {
		struct pst_cur cur = pst_cur(events[i], sizeof(events[i]));
		struct pst_event event;

		assert_int_equal(pst_event_scan(&cur, &event), 0);
		counts_event(f->counts, &event);
		counts_alert(f->counts, &event);
	}
	check(f, "events_total{kind=\"unknown\"} 2");
	check(f, "packet_drops_total{reason=\"unknown\"} 2");
	check(f, "alerts_total{rule=\"\",severity=\"debug\"} 8");
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(processes),
		TEST(tcp),
		TEST(drops_and_losses_are_bounded),
		TEST(alerts),
		TEST(policies),
		TEST(flows),
		TEST(flows_that_were_dropped),
		TEST(learns_cgroups_and_the_clock),
		TEST(hostile),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
