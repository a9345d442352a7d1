// SPDX-License-Identifier: Apache-2.0
/* Whose control socket is asked: one that another user made in a stage's place is not. Only root can try. */
#include "tests/unit/bus_test.h"

#include <pwd.h>
#include <signal.h>
#include <sys/wait.h>

#define OWNER  61234
#define NOBODY 65534

/* The users of this test, instead of those of the host. */
int getpwnam_r(const char *name, struct passwd *pw, char *buf, size_t size, struct passwd **ret)
{
	(void)buf;
	(void)size;
	*ret = strcmp(name, "test-enricher") ? NULL : pw;
	*pw = (struct passwd){.pw_uid = OWNER};
	return 0;
}

/* A stage of that name in a child, as @uid. */
static pid_t stage_as(struct bus_env *env, uid_t uid)
{
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (!pid) {
		struct pst_bus_config config = {.stage = "enricher", .run_dir = env->dir, .node = "n"};
		struct pst_loop *loop;
		struct pst_bus *bus;

		alarm(20);
		if (setresuid(uid, uid, uid) < 0 || pst_loop_new(&loop) ||
			pst_bus_open(loop, &config, &bus) || pst_bus_start(bus) ||
			chmod(env_path(env, "enricher.ctl"), 0666) < 0)
			_exit(90);
		pst_loop_run(loop);
		_exit(0);
	}
	while (access(env_path(env, "enricher.ctl"), F_OK) < 0)
		assert_int_equal(waitpid(pid, NULL, WNOHANG), 0);
	return pid;
}

struct answer {
	bool done;
	int error;
};

static void on_answer(void *arg, int error, const msgpack_object *reply)
{
	struct answer *a = arg;

	(void)reply;
	*a = (struct answer){true, error};
}

static int ask(struct bus_env *env)
{
	static const char status[] = "\x81\xa2op\xa6status";
	struct answer a = {0};

	assert_int_equal(pst_ctl_request(env->loop, env->dir, "enricher", status, sizeof(status) - 1, 5000,
				 on_answer, &a),
		0);
	RUN_UNTIL(env, a.done);
	return a.error;
}

static int error_for(struct bus_env *env, const char *prefix, uid_t uid)
{
	struct pst_bus_config config = {.stage = "exporter",
		.run_dir = env->dir,
		.node = "n",
		.user_prefix = prefix,
		.ephemeral = true};
	struct pst_bus *bus;
	int error;

	assert_int_equal(pst_bus_open(env->loop, &config, &bus), 0);
	pid_t pid = stage_as(env, uid);
	do
		error = ask(env); /* it may not listen yet */
	while (error == -ECONNREFUSED);
	kill(pid, SIGKILL);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	unlink(env_path(env, "enricher.ctl"));
	unlink(env_path(env, "enricher.lock"));
	unlink(env_path(env, "enricher.ckpt"));
	pst_bus_free(bus);
	return error;
}

static void only_the_stages_own_user_is_asked(void **state)
{
	struct bus_env *env = *state;
	struct capture log;

	if (geteuid())
		skip();
	assert_return_code(chmod(env->dir, 01777), errno);
	assert_int_equal(error_for(env, "test-", OWNER), 0);
	assert_int_equal(error_for(env, "test-", 0), 0);
	capture_begin(&log, 2);
	int refused = error_for(env, "test-", NOBODY);
	capture_end(&log);
	assert_int_equal(refused, -EACCES);
	assert_non_null(strstr(log.text, "control socket refused"));
	assert_int_equal(error_for(env, "nosuch-", NOBODY), 0); /* no such user: anyone's, as for the bus */
	assert_int_equal(error_for(env, NULL, NOBODY), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(only_the_stages_own_user_is_asked, env_setup, env_teardown),
	};

	pst_log_init("test", PST_LOG_TEXT, PST_LOG_WARN);
	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
