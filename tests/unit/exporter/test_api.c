// SPDX-License-Identifier: Apache-2.0
/* Routes where something fails under them. */
#include "exporter/exporter.h"
#include "exporter/http_internal.h"
#include "tests/unit/base_test.h"

/* No memory, at the one place where it comes after everything else was made. */
struct MHD_Response *MHD_create_response_from_callback(uint64_t size, size_t block_size,
	MHD_ContentReaderCallback crc, void *crc_cls, MHD_ContentReaderFreeCallback crfc)
{
	(void)size;
	(void)block_size;
	(void)crc;
	(void)crc_cls;
	(void)crfc;
	return NULL;
}

static const struct route *route(const char *path)
{
	const struct route *r = api_routes;

	while (strcmp(r->path, path))
		r++;
	return r;
}

static void events_without_memory(void **state)
{
	static struct exporter_config config;
	struct exporter x = {.config = &config};
	struct pst_stat stat = {0};
	struct http http = {.client_errors = &stat, .server_errors = &stat, .bytes = &stat};
	char query[] = "kind=process_exec&follow=1&comm=x", error[160];

	(void)state;
	exporter_config_defaults(&config);
	assert_int_equal(pst_loop_new(&x.loop), 0);
	assert_int_equal(store_new(16, 65536, &x.store), 0);
	const struct streams_config streams = {.loop = x.loop,
		.store = x.store,
		.max_followers = 1,
		.queue_bytes = 65536,
		.heartbeat_ns = 1000000000};
	assert_int_equal(streams_new(&streams, &x.streams), 0);
	for (int i = 0; i < 3; i++) {
		struct request request = {.http = &http};

		strcpy(query, "kind=process_exec&follow=1&comm=x");
		assert_int_equal(params_parse(query, &request.params, error, sizeof(error)), 0);
		route("/api/v1/events")->fn(&x, &request);
		assert_int_equal(request.status, 503);
		assert_non_null(request.response);
		MHD_destroy_response(request.response);
		assert_int_equal(streams_followers(x.streams), 0);
	}
	streams_free(x.streams);
	store_free(x.store);
	pst_loop_free(x.loop);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(events_without_memory),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
