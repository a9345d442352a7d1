// SPDX-License-Identifier: Apache-2.0
/* The ladder against the objects that are compiled in, and how a plan goes down it. */
#include <bpf/btf.h>
#include <bpf/libbpf.h>

#include "loader/images.h"
#include "loader/object.h"
#include "loader/plan.h"
#include "loader/policymaps.h"
#include "proto/abi/policy.h"
#include "proto/base/cleanup.h"
#include "tests/unit/base_test.h"

static struct bpf_object *open_image(const char *name)
{
	struct bpf_object *obj = NULL;
	int i = image_find(name);

	if (i < 0)
		fail_msg("no image %s", name);
	assert_int_equal(object_open(&images[i], NULL, &obj), 0);
	return obj;
}

static void check_program(const char *object, const char *program)
{
	struct bpf_object *obj = open_image(object);

	if (!bpf_object__find_program_by_name(obj, program))
		fail_msg("object %s has no program %s", object, program);
	bpf_object__close(obj);
}

static void check_switch(const char *object, const char *symbol)
{
	struct bpf_object *obj = open_image(object);

	if (object_set_bool(obj, symbol, true))
		fail_msg("object %s has no switch %s", object, symbol);
	bpf_object__close(obj);
}

static void every_name_is_there(void **state)
{
	(void)state;
	for (int s = 0; s < SENSOR_MAX; s++) {
		assert_non_null(sensors[s].name);
		assert_non_null(sensors[s].rungs[0].name);
		for (int r = 0; r < RUNGS_MAX && sensors[s].rungs[r].name; r++) {
			const struct rung *rung = &sensors[s].rungs[r];

			assert_true(rung->can & CAN_OBSERVE);
			assert_non_null(rung->programs[0].object);
			for (int p = 0; p < RUNG_PROGRAMS_MAX && rung->programs[p].object; p++)
				check_program(rung->programs[p].object, rung->programs[p].program);
			for (int i = 0; i < RUNG_SWITCHES_MAX && rung->switches[i].object; i++)
				check_switch(rung->switches[i].object, rung->switches[i].symbol);
		}
	}
	for (size_t i = 0; i < n_iterators; i++)
		check_program(iterators[i].object, iterators[i].program);
	assert_true(n_iterators <= ITERATORS_MAX);
}

/* A program of an object that no rung names would never be loaded. */
static void every_program_is_on_the_ladder(void **state)
{
	(void)state;
	for (size_t i = 0; i < n_images; i++) {
		struct bpf_object *obj = open_image(images[i].name);
		struct bpf_program *prog;

		bpf_object__for_each_program(prog, obj)
		{
			const char *name = bpf_program__name(prog);
			bool found = false;

			for (int s = 0; s < SENSOR_MAX; s++)
				for (int r = 0; r < RUNGS_MAX && sensors[s].rungs[r].name; r++)
					for (int p = 0; p < RUNG_PROGRAMS_MAX; p++) {
						const struct rung_program *rp =
							&sensors[s].rungs[r].programs[p];

						found |= rp->object && !strcmp(rp->object, images[i].name) &&
							 !strcmp(rp->program, name);
					}
			for (size_t n = 0; n < n_iterators; n++)
				found |= !strcmp(iterators[n].object, images[i].name) &&
					 !strcmp(iterators[n].program, name);
			if (!found)
				fail_msg("%s/%s is on no rung", images[i].name, name);
		}
		bpf_object__close(obj);
	}
}

/* Tracing links cannot be updated, so their programs need the gate's constant, or an upgrade would count
 * twice. */
static void every_traced_object_has_the_gate(void **state)
{
	(void)state;
	for (int s = 0; s < SENSOR_MAX; s++)
		for (int r = 0; r < RUNGS_MAX && sensors[s].rungs[r].name; r++)
			for (int p = 0; p < RUNG_PROGRAMS_MAX && sensors[s].rungs[r].programs[p].object;
				p++) {
				const struct rung_program *rp = &sensors[s].rungs[r].programs[p];
				struct bpf_object *obj;

				if (rp->kind != ATTACH_TRACE)
					continue;
				obj = open_image(rp->object);
				if (!bpf_object__find_map_by_name(obj, "gate"))
					fail_msg("object %s has no gate", rp->object);
				bpf_object__close(obj);
			}
}

/* A constant that nobody sets would keep the value it has for tests. */
static void every_constant_is_set_by_somebody(void **state)
{
	static const char *const fixed[] = {"cfg_flow_table", "cfg_flow_ifaces"}; /* for benchmarks */

	(void)state;
	for (size_t i = 0; i < n_images; i++) {
		struct bpf_object *obj = open_image(images[i].name);
		const struct btf *btf = bpf_object__btf(obj);

		for (uint32_t id = 1; id < btf__type_cnt(btf); id++) {
			const struct btf_type *t = btf__type_by_id(btf, id);
			const char *name = btf__name_by_offset(btf, t->name_off);
			bool known = false;

			if (btf_kind(t) != BTF_KIND_VAR || strncmp(name, "cfg_", 4))
				continue;
			known = object_is_param(name);
			for (size_t n = 0; n < PST_ARRAY_SIZE(fixed); n++)
				known |= !strcmp(fixed[n], name);
			for (int s = 0; s < SENSOR_MAX; s++)
				for (int r = 0; r < RUNGS_MAX && sensors[s].rungs[r].name; r++)
					for (int k = 0; k < RUNG_SWITCHES_MAX; k++) {
						const struct rung_switch *sw =
							&sensors[s].rungs[r].switches[k];

						known |= sw->object && !strcmp(sw->object, images[i].name) &&
							 !strcmp(sw->symbol, name);
					}
			if (!known)
				fail_msg("%s: nobody sets %s", images[i].name, name);
		}
		bpf_object__close(obj);
	}
}

static struct loader_config config;
static struct outcomes outcomes;
static struct plan plan;

static int setup(void **state)
{
	(void)state;
	assert_int_equal(loader_config_init(&config), 0);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	loader_config_done(&config);
	return 0;
}

static void strongest_first_then_down(void **state)
{
	(void)state;
	plan_init(&plan, &config, &outcomes);
	assert_string_equal(plan_rung(&plan, SENSOR_ACCEPT)->name, "fentry");
	assert_true(plan_uses(&plan, "accept"));
	assert_false(plan_switch(&plan, "sysexit", "cfg_accept"));
	plan_demote(&plan, SENSOR_ACCEPT, "no fentry here");
	assert_string_equal(plan_rung(&plan, SENSOR_ACCEPT)->name, "sys_exit");
	assert_string_equal(outcomes.sensors[SENSOR_ACCEPT].why[0], "no fentry here");
	assert_false(plan_uses(&plan, "accept"));
	assert_true(plan_switch(&plan, "sysexit", "cfg_accept"));
	assert_int_equal(plan_kind(&plan, "sysexit", "sysexit"), ATTACH_TRACE);
	assert_int_equal(plan_kind(&plan, "accept", "accept_graft"), ATTACH_NONE);
	plan_demote(&plan, SENSOR_ACCEPT, "not this either");
	assert_null(plan_rung(&plan, SENSOR_ACCEPT));
	plan_demote(&plan, SENSOR_ACCEPT, "again");
	assert_null(plan_rung(&plan, SENSOR_ACCEPT));
}

static void forced_rung_is_the_only_one(void **state)
{
	(void)state;
	free(config.rungs[SENSOR_ACCEPT]);
	config.rungs[SENSOR_ACCEPT] = strdup("sys_exit");
	plan_init(&plan, &config, &outcomes);
	assert_string_equal(plan_rung(&plan, SENSOR_ACCEPT)->name, "sys_exit");
	assert_true(outcomes.sensors[SENSOR_ACCEPT].why[0][0]);
	free(config.rungs[SENSOR_ACCEPT]);
	config.rungs[SENSOR_ACCEPT] = strdup("fentry");
	plan_init(&plan, &config, &outcomes);
	plan_demote(&plan, SENSOR_ACCEPT, "no");
	assert_null(plan_rung(&plan, SENSOR_ACCEPT));
}

static void switched_off_is_not_planned(void **state)
{
	(void)state;
	config.sensors[SENSOR_PROCESS] = false;
	plan_init(&plan, &config, &outcomes);
	assert_null(plan_rung(&plan, SENSOR_PROCESS));
	assert_int_equal(outcomes.sensors[SENSOR_PROCESS].off, 1);
	assert_false(plan_uses(&plan, "process"));
}

static void xdp_only_where_asked(void **state)
{
	char *names[] = {(char *)"eth0"};

	(void)state;
	plan_init(&plan, &config, &outcomes);
	assert_int_equal(plan_kind(&plan, "flow", "flow_xdp"), ATTACH_NONE);
	struct pst_strs before = config.xdp;
	config.xdp = (struct pst_strs){names, 1};
	assert_int_equal(plan_kind(&plan, "flow", "flow_xdp"), ATTACH_XDP);
	config.xdp = before;
}

/* What is told to policyd follows the rungs in use. */
static void levels_of_operations(void **state)
{
	static const uint8_t levels[] = {PST_LEVEL_DENY, PST_LEVEL_KILL, PST_LEVEL_KILL, PST_LEVEL_NONE};
	static const uint8_t of_files[] = {PST_LEVEL_DENY, PST_LEVEL_KILL, PST_LEVEL_NONE};

	(void)state;
	plan_init(&plan, &config, &outcomes);
	for (size_t i = 0; i < PST_ARRAY_SIZE(levels); i++) {
		assert_int_equal(policymaps_level(&outcomes, true, PST_OP_FILE_OPEN), levels[i]);
		assert_int_equal(policymaps_level(&outcomes, true, PST_OP_PROCESS_EXEC), PST_LEVEL_DENY);
		plan_demote(&plan, SENSOR_POLICY_OPEN, "no");
	}
	for (size_t i = 0; i < PST_ARRAY_SIZE(of_files); i++) {
		for (unsigned op = PST_OP_FILE_UNLINK; op <= PST_OP_FILE_PIVOT_ROOT; op++)
			assert_int_equal(policymaps_level(&outcomes, true, op),
				op == PST_OP_FILE_CHOWN ? PST_LEVEL_DENY : of_files[i]);
		plan_demote(&plan, SENSOR_POLICY_FILE, "no");
	}
	assert_int_equal(policymaps_level(&outcomes, false, PST_OP_PROCESS_EXEC), PST_LEVEL_DENY);
	plan_demote(&plan, SENSOR_POLICY_EXEC, "no");
	assert_int_equal(policymaps_level(&outcomes, false, PST_OP_PROCESS_EXEC), PST_LEVEL_OBSERVE);
	assert_int_equal(policymaps_level(NULL, true, PST_OP_PROCESS_EXEC), PST_LEVEL_NONE);
	assert_int_equal(policymaps_level(&outcomes, true, 0), PST_LEVEL_NONE);
	assert_string_equal(ladder_op_name(PST_OP_CAP_USE), "cap.use");
	assert_null(ladder_op_name(0));
	assert_null(ladder_op_name(PST_OPS_MAX));
}

/* Programs that several sensors share stay as long as one of them has its rung. */
static void shared_programs(void **state)
{
	(void)state;
	plan_init(&plan, &config, &outcomes);
	for (int i = 0; i < RUNGS_MAX; i++)
		plan_demote(&plan, SENSOR_POLICY_EXEC, "no");
	assert_int_equal(plan_kind(&plan, "lineage", "line_exec"), ATTACH_TRACE);
	assert_true(plan_switch(&plan, "lineage", "cfg_lines_wait"));
	for (int i = 0; i < RUNGS_MAX; i++) {
		plan_demote(&plan, SENSOR_POLICY_OPEN, "no");
		plan_demote(&plan, SENSOR_POLICY_FILE, "no");
		plan_demote(&plan, SENSOR_POLICY_NET, "no");
		plan_demote(&plan, SENSOR_POLICY_PROC, "no");
		plan_demote(&plan, SENSOR_POLICY_MADE, "no");
		plan_demote(&plan, SENSOR_POLICY_MODULE, "no");
	}
	assert_true(plan_uses(&plan, "lineage"));
	for (int i = 0; i < RUNGS_MAX; i++)
		plan_demote(&plan, SENSOR_POLICY_CHOWN, "no");
	assert_false(plan_uses(&plan, "lineage"));
}

static void object_key_follows_the_plan(void **state)
{
	struct fingerprint a, b, other;

	(void)state;
	plan_init(&plan, &config, &outcomes);
	a = plan_object_key(&plan, "sysexit");
	other = plan_object_key(&plan, "process");
	plan_demote(&plan, SENSOR_ACCEPT, "x");
	b = plan_object_key(&plan, "sysexit");
	assert_memory_not_equal(&a, &b, sizeof(a));
	b = plan_object_key(&plan, "process");
	assert_memory_equal(&other, &b, sizeof(b));
}

static void targets_of_sections(void **state)
{
	static const struct {
		const char *section, *name;
		bool looked_for;
	} cases[] = {
		{"tp_btf/sched_process_exec", "btf_trace_sched_process_exec", true},
		{"raw_tp/sys_enter", "btf_trace_sys_enter", true},
		{"fexit/inet_csk_accept", "inet_csk_accept", true},
		{"fentry/commit_creds", "commit_creds", true},
		{"iter/task", "bpf_iter_task", true},
		{"lsm/file_open", "bpf_lsm_file_open", true},
		{"cgroup_skb/egress", "", false},
		{"tc", "", false},
		{"", "", false},
	};

	(void)state;
	for (size_t i = 0; i < PST_ARRAY_SIZE(cases); i++) {
		char name[72] = "";
		unsigned kind = 77;

		object_target(cases[i].section, name, sizeof(name), &kind);
		assert_int_equal(kind != 0, cases[i].looked_for);
		assert_string_equal(name, cases[i].name);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_name_is_there),
		cmocka_unit_test(every_program_is_on_the_ladder),
		cmocka_unit_test(every_traced_object_has_the_gate),
		cmocka_unit_test(every_constant_is_set_by_somebody),
		cmocka_unit_test_setup_teardown(strongest_first_then_down, setup, teardown),
		cmocka_unit_test_setup_teardown(forced_rung_is_the_only_one, setup, teardown),
		cmocka_unit_test_setup_teardown(switched_off_is_not_planned, setup, teardown),
		cmocka_unit_test_setup_teardown(xdp_only_where_asked, setup, teardown),
		cmocka_unit_test_setup_teardown(levels_of_operations, setup, teardown),
		cmocka_unit_test_setup_teardown(shared_programs, setup, teardown),
		cmocka_unit_test_setup_teardown(object_key_follows_the_plan, setup, teardown),
		cmocka_unit_test(targets_of_sections),
	};
	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("loader ladder", tests, NULL, NULL);
}
