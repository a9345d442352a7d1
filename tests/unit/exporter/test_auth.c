// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/base_test.h"

#include "exporter/auth.h"

static char dir[32];

static const char *file(const char *name, const char *content, size_t len)
{
	static char path[4][96];
	static unsigned n;
	char *p = path[n++ % 4];
	FILE *f;

	snprintf(p, sizeof(path[0]), "%s/%s", dir, name);
	f = fopen(p, "w");
	assert_non_null(f);
	assert_int_equal(fwrite(content, 1, len, f), len);
	assert_int_equal(fclose(f), 0);
	return p;
}

static const char *text(const char *name, const char *content)
{
	return file(name, content, strlen(content));
}

static int setup(void **state)
{
	(void)state;
	tmpdir_make(dir);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	tmpdir_remove(dir);
	return 0;
}

static void none_is_needed(void **state)
{
	struct auth auth;

	(void)state;
	assert_int_equal(auth_load(NULL, NULL, NULL, &auth), 0);
	assert_false(auth_needed(&auth));
	assert_true(auth_check(&auth, NULL));
	assert_true(auth_check(&auth, "Bearer x"));
}

static void bearer(void **state)
{
	struct auth auth;

	(void)state;
	assert_int_equal(auth_load(text("token", "s3cret-token\nrest\n"), NULL, NULL, &auth), 0);
	assert_true(auth_needed(&auth));
	assert_true(auth_check(&auth, "Bearer s3cret-token"));
	assert_true(auth_check(&auth, "bearer   s3cret-token"));
	assert_false(auth_check(&auth, NULL));
	assert_false(auth_check(&auth, ""));
	assert_false(auth_check(&auth, "Bearer"));
	assert_false(auth_check(&auth, "Bearer "));
	assert_false(auth_check(&auth, "Bearer s3cret-toke"));
	assert_false(auth_check(&auth, "Bearer s3cret-token2"));
	assert_false(auth_check(&auth, "Bearer s3cret-tokeN"));
	assert_false(auth_check(&auth, "Bearers3cret-token"));
	assert_false(auth_check(&auth, "s3cret-token"));
	/* no user was configured: not even an empty one gets in */
	assert_false(auth_check(&auth, "Basic Og=="));
	assert_false(auth_check(&auth, "Basic "));
	assert_string_equal(auth_challenge(&auth), "Bearer realm=\"penstock\"");
	auth_done(&auth);
	assert_int_equal(auth.bearer[0], 0);
}

static void basic(void **state)
{
	struct auth auth;

	(void)state;
	assert_int_equal(auth_load(NULL, "Aladdin", text("password", "open sesame\r\n"), &auth), 0);
	/* the example of RFC 7617 */
	assert_true(auth_check(&auth, "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="));
	assert_true(auth_check(&auth, "basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="));
	assert_false(auth_check(&auth, "Basic QWxhZGRpbjpvcGVuIHNlc2FtZR=="));
	assert_false(auth_check(&auth, "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ"));
	assert_false(auth_check(&auth, "Bearer QWxhZGRpbjpvcGVuIHNlc2FtZQ=="));
	assert_string_equal(auth_challenge(&auth), "Basic realm=\"penstock\", charset=\"UTF-8\"");
	/* all remainders of three */
	assert_int_equal(auth_load(NULL, "a", text("password", "b"), &auth), 0);
	assert_true(auth_check(&auth, "Basic YTpi"));
	assert_int_equal(auth_load(NULL, "a", text("password", "bc"), &auth), 0);
	assert_true(auth_check(&auth, "Basic YTpiYw=="));
	assert_int_equal(auth_load(NULL, "a", text("password", "bcd"), &auth), 0);
	assert_true(auth_check(&auth, "Basic YTpiY2Q="));
}

static void either(void **state)
{
	struct auth auth;

	(void)state;
	assert_int_equal(auth_load(text("token", "t"), "a", text("password", "b"), &auth), 0);
	assert_true(auth_check(&auth, "Bearer t"));
	assert_true(auth_check(&auth, "Basic YTpi"));
	assert_false(auth_check(&auth, "Basic t"));
}

static void bad_files(void **state)
{
	char large[AUTH_SECRET_MAX + 8];
	struct auth auth;
	struct capture c;

	(void)state;
	memset(large, 'x', sizeof(large));
	capture_begin(&c, 2);
	assert_int_equal(auth_load("/nonexistent/token", NULL, NULL, &auth), -ENOENT);
	assert_int_equal(auth_load(text("token", ""), NULL, NULL, &auth), -EINVAL);
	assert_int_equal(auth_load(text("token", "\nsecret"), NULL, NULL, &auth), -EINVAL);
	assert_int_equal(auth_load(file("token", large, sizeof(large)), NULL, NULL, &auth), -EINVAL);
	assert_int_equal(auth_load(dir, NULL, NULL, &auth), -EISDIR);
	assert_non_null(strstr(capture_end(&c), "/nonexistent/token"));
	/* a long one that just fits */
	large[AUTH_SECRET_MAX - 1] = '\n';
	assert_int_equal(auth_load(file("token", large, AUTH_SECRET_MAX), NULL, NULL, &auth), 0);
	assert_int_equal(strlen(auth.bearer), AUTH_SECRET_MAX - 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(none_is_needed),
		cmocka_unit_test(bearer),
		cmocka_unit_test(basic),
		cmocka_unit_test(either),
		cmocka_unit_test(bad_files),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, setup, teardown);
}
