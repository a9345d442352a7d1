// SPDX-License-Identifier: Apache-2.0
/* Control sockets: what a stage answers, who may say what, what rubbish does. */
#include "tests/unit/bus_test.h"

#include "proto/wire/ctl_server.h"

#include <nng/nng.h>
#include <nng/protocol/reqrep0/rep.h>
#include <nng/protocol/reqrep0/req.h>
#include <malloc.h>
#include <pthread.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>

/* ---- helpers ---- */

struct answer {
	int calls, error;
	msgpack_unpacked value; /* a copy; .data is nil if there was none */
};

static void on_answer(void *arg, int error, const msgpack_object *reply)
{
	struct answer *a = arg;

	a->calls++;
	a->error = error;
	assert_int_equal(error == 0, reply != NULL);
	if (!reply)
		return;
	msgpack_sbuffer buf;
	msgpack_packer pk;
	msgpack_sbuffer_init(&buf);
	msgpack_packer_init(&pk, &buf, msgpack_sbuffer_write);
	msgpack_pack_object(&pk, *reply);
	assert_int_equal(ctl_unpack_copy(buf.data, buf.size, &a->value), 0);
	msgpack_sbuffer_destroy(&buf);
}

static void ask_bytes(struct bus_env *env, const char *stage, const void *request, size_t len,
	unsigned timeout_ms, struct answer *ret_answer)
{
	*ret_answer = (struct answer){0};
	assert_int_equal(
		pst_ctl_request(env->loop, env->dir, stage, request, len, timeout_ms, on_answer, ret_answer),
		0);
	assert_int_equal(ret_answer->calls, 0); /* never from within the request */
	RUN_UNTIL(env, ret_answer->calls);
	run_for(env, 5);
	assert_int_equal(ret_answer->calls, 1);
}

static void answer_done(struct answer *a)
{
	if (a->error == 0)
		msgpack_unpacked_destroy(&a->value);
}

static void op_request(struct pst_buf *buf, const char *op)
{
	pst_mp_map(buf, 1);
	pst_mp_str(buf, "op");
	pst_mp_str(buf, op);
}

static void ask_op(struct bus_env *env, const char *stage, const char *op, struct answer *ret_answer)
{
	struct pst_buf req = {0};

	op_request(&req, op);
	ask_bytes(env, stage, req.p, req.len, 5000, ret_answer);
	pst_buf_done(&req);
}

static const char *error_of(const struct answer *a)
{
	static char text[200];

	assert_int_equal(a->error, 0);
	return pst_ctl_text(&a->value.data, "error", text, sizeof(text)) ? text : "";
}

static uint64_t number(const msgpack_object *map, const char *key)
{
	uint64_t v = 0;

	assert_true(pst_ctl_u64(map, key, &v));
	return v;
}

static int raw_connect(struct bus_env *env, const char *stage)
{
	struct sockaddr_un sa = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	snprintf(sa.sun_path, sizeof(sa.sun_path), "%s/%s.ctl", env->dir, stage);
	assert_return_code(connect(fd, (struct sockaddr *)&sa, sizeof(sa)), errno);
	return fd;
}

static size_t raw_frame(uint8_t *out, const void *body, size_t len)
{
	sp_greeting(out, SP_REQ);
	sp_head(out + SP_GREETING, len);
	if (len)
		memcpy(out + SP_GREETING + SP_HEAD, body, len);
	return SP_GREETING + SP_HEAD + len;
}

/* ---- what is answered ---- */

static uint32_t extra(void *arg, struct pst_buf *out)
{
	pst_mp_str(out, "answer");
	pst_mp_uint(out, *(int *)arg);
	return 1;
}

static void status_tells_all(void **state)
{
	struct bus_env *env = *state;
	struct sink sink = {0};
	struct answer a;
	int forty_two = 42;
	struct pst_bus *pub = start_bus(env, "pub", BUS_TOPIC(PROC) | BUS_TOPIC(NET), 0), *mid;

	publish_range(pub, PST_TOPIC_PROC, 0, 1000);
	mid = open_bus(env, "mid", 0, 0);
	pst_ctl_status_extra(mid, extra, &forty_two);
	pst_bus_set_sandbox(mid, "uid=1 caps=none");
	subscribe(mid, "pub", BUS_TOPIC(PROC) | BUS_TOPIC(NET), PST_RESUME_OWN, &sink);
	assert_int_equal(pst_bus_start(mid), 0);
	RUN_UNTIL(env, sink.events == 1000);

	ask_op(env, "pub", "status", &a);
	const msgpack_object *o = &a.value.data, *t, *in;
	char text[64];
	assert_true(pst_ctl_text(o, "stage", text, sizeof(text)));
	assert_string_equal(text, "pub");
	assert_true(pst_ctl_text(o, "version", text, sizeof(text)));
	assert_string_equal(text, PST_VERSION);
	assert_true(pst_ctl_text(o, "node", text, sizeof(text)));
	assert_string_equal(text, "node-1");
	assert_true(pst_ctl_text(o, "user", text, sizeof(text)) && *text);
	assert_int_equal(number(o, "pid"), getpid());
	assert_true(number(o, "epoch") == pub->epoch);
	assert_true(number(o, "uptime_ns") > 0 && number(o, "cpu_ns") > 0);
	t = pst_ctl_get(pst_ctl_get(o, "topics"), "proc");
	assert_int_equal(number(t, "next_seq"), 1000);
	assert_int_equal(number(t, "oldest_seq"), 0);
	assert_int_equal(number(pst_ctl_get(pst_ctl_get(o, "topics"), "net"), "next_seq"), 0);
	const msgpack_object *stats = pst_ctl_get(o, "stats");
	bool found = false;
	assert_int_equal(stats->type, MSGPACK_OBJECT_ARRAY);
	for (uint32_t i = 0; i < stats->via.array.size; i++) {
		const msgpack_object *s = &stats->via.array.ptr[i];

		assert_int_equal(s->type, MSGPACK_OBJECT_ARRAY);
		assert_int_equal(s->via.array.size, 6);
		const msgpack_object *f = s->via.array.ptr;
		if (f[0].via.str.size == 16 && !memcmp(f[0].via.str.ptr, "published_events", 16) &&
			f[2].via.str.size == 4 && !memcmp(f[2].via.str.ptr, "proc", 4))
			found = f[4].via.u64 >= 1000;
	}
	assert_true(found);
	answer_done(&a);

	ask_op(env, "mid", "status", &a);
	o = &a.value.data;
	in = pst_ctl_get(pst_ctl_get(o, "inputs"), "pub");
	assert_non_null(in);
	assert_true(pst_ctl_get(in, "connected")->via.boolean);
	assert_int_equal(number(in, "proc"), 1000);
	assert_int_equal(number(pst_ctl_get(o, "extra"), "answer"), 42);
	assert_true(pst_ctl_text(o, "sandbox", text, sizeof(text)));
	assert_string_equal(text, "uid=1 caps=none");
	answer_done(&a);
	pst_bus_free(mid);
	pst_bus_free(pub);
}

static void replay_request(struct pst_buf *buf, const char *topic, uint64_t epoch, uint64_t from, uint64_t to)
{
	buf->len = 0;
	pst_mp_map(buf, 5);
	pst_mp_str(buf, "op");
	pst_mp_str(buf, "replay");
	pst_mp_str(buf, "topic");
	pst_mp_str(buf, topic);
	pst_mp_str(buf, "epoch");
	pst_mp_uint(buf, epoch);
	pst_mp_str(buf, "from");
	pst_mp_uint(buf, from);
	pst_mp_str(buf, "to");
	pst_mp_uint(buf, to);
}

static void cursor_and_replay(void **state)
{
	struct bus_env *env = *state;
	struct pst_buf req = {0};
	struct answer a;
	struct pst_bus *pub = start_bus(env, "pub", BUS_TOPIC(PROC), 0);

	publish_range(pub, PST_TOPIC_PROC, 0, 20000);
	ask_op(env, "pub", "cursor", &a);
	assert_true(number(&a.value.data, "epoch") == pub->epoch);
	assert_int_equal(number(&a.value.data, "prev_epoch"), 0);
	const msgpack_object *t = pst_ctl_get(pst_ctl_get(&a.value.data, "topics"), "proc");
	assert_int_equal(number(t, "oldest_seq"), 0);
	assert_int_equal(number(t, "next_seq"), 20000);
	answer_done(&a);

	uint64_t from = 777, rounds = 0; /* in the middle of a batch */
	while (from < 15000) {
		replay_request(&req, "proc", pub->epoch, from, 15000);
		ask_bytes(env, "pub", req.p, req.len, 5000, &a);
		const msgpack_object *b = pst_ctl_get(&a.value.data, "batches");
		assert_non_null(b);
		assert_true(b->via.array.size > 0);
		for (uint32_t i = 0; i < b->via.array.size; i++) {
			struct pst_batch batch;
			const msgpack_object *m = &b->via.array.ptr[i];

			assert_int_equal(m->type, MSGPACK_OBJECT_BIN);
			assert_int_equal(pst_batch_decode(m->via.bin.ptr, m->via.bin.size, &batch), 0);
			assert_true(batch.first_seq <= from && batch.first_seq + batch.count > from);
			from = batch.first_seq + batch.count;
		}
		assert_int_equal(number(&a.value.data, "next_seq"), 20000);
		answer_done(&a);
		rounds++;
	}
	assert_true(rounds > 1); /* did not fit into one */

	struct {
		const char *topic;
		uint64_t epoch, from, to;
		const char *error;
	} bad[] = {{"net", pub->epoch, 0, 1, "topic"}, {"nonsense-topic", pub->epoch, 0, 1, "malformed"},
		{"proc", pub->epoch + 1, 0, 1, "epoch"}, {"proc", pub->epoch, 2, 1, "malformed"}};
	for (size_t i = 0; i < PST_ARRAY_SIZE(bad); i++) {
		replay_request(&req, bad[i].topic, bad[i].epoch, bad[i].from, bad[i].to);
		ask_bytes(env, "pub", req.p, req.len, 5000, &a);
		assert_memory_equal(error_of(&a), bad[i].error, strlen(bad[i].error));
		answer_done(&a);
	}
	replay_request(&req, "proc", pub->epoch, 20000, UINT64_MAX); /* beyond the end: nothing */
	ask_bytes(env, "pub", req.p, req.len, 5000, &a);
	assert_int_equal(pst_ctl_get(&a.value.data, "batches")->via.array.size, 0);
	answer_done(&a);
	pst_buf_done(&req);
	pst_bus_free(pub);
}

static int echo(void *arg, const msgpack_object *request, struct pst_buf *reply, char *error, size_t size)
{
	struct pst_bus *bus = *(struct pst_bus **)arg;
	char text[64];

	if (!pst_ctl_text(request, "text", text, sizeof(text))) {
		snprintf(error, size, "no text");
		return -EINVAL;
	}
	if (!strcmp(text, "much")) {
		static uint8_t zeros[CTL_REPLY_MAX];

		pst_mp_bin(reply, zeros, sizeof(zeros));
		return 0;
	}
	pst_mp_map(reply, 2);
	pst_mp_str(reply, "text");
	pst_mp_str(reply, text);
	pst_mp_str(reply, "uid");
	pst_mp_uint(reply, pst_ctl_peer_uid(bus));
	return 0;
}

static void ask_echo(struct bus_env *env, const char *text, struct answer *ret_answer)
{
	struct pst_buf req = {0};

	pst_mp_map(&req, 2);
	pst_mp_str(&req, "op");
	pst_mp_str(&req, "echo");
	pst_mp_str(&req, text ? "text" : "test");
	pst_mp_str(&req, text ? text : "x");
	ask_bytes(env, "pub", req.p, req.len, 5000, ret_answer);
	pst_buf_done(&req);
}

static void ops_of_a_stage(void **state)
{
	struct bus_env *env = *state;
	struct answer a;
	char text[64];
	static struct pst_bus *bus;

	bus = open_bus(env, "pub", 0, 0);
	assert_int_equal(pst_ctl_handle(bus, "echo", echo, &bus), 0);
	assert_int_equal(pst_ctl_handle(bus, "echo", echo, &bus), -EEXIST);
	assert_int_equal(pst_ctl_handle(bus, "status", echo, &bus), -EEXIST);
	assert_int_equal(pst_bus_start(bus), 0);
	ask_echo(env, "hello", &a);
	assert_true(pst_ctl_text(&a.value.data, "text", text, sizeof(text)));
	assert_string_equal(text, "hello");
	assert_int_equal(number(&a.value.data, "uid"), geteuid());
	answer_done(&a);
	ask_echo(env, NULL, &a);
	assert_string_equal(error_of(&a), "no text");
	answer_done(&a);
	ask_echo(env, "much", &a);
	assert_string_equal(error_of(&a), "reply too large");
	answer_done(&a);
	ask_op(env, "pub", "reload", &a); /* this stage registered none */
	assert_string_equal(error_of(&a), "unknown op");
	answer_done(&a);
	ask_op(env, "pub", "cursor", &a);
	assert_string_equal(error_of(&a), "publishes nothing");
	answer_done(&a);
	pst_bus_free(bus);
}

struct call {
	const char *dir;
	int result;
	char stage[16];
};

static void *blocking_call(void *arg)
{
	struct call *c = arg;
	struct pst_buf req = {0};
	msgpack_unpacked reply;

	op_request(&req, "status");
	c->result = pst_ctl_call(c->dir, "pub", req.p, req.len, 5000, &reply);
	if (c->result == 0) {
		pst_ctl_text(&reply.data, "stage", c->stage, sizeof(c->stage));
		msgpack_unpacked_destroy(&reply);
	}
	pst_buf_done(&req);
	return NULL;
}

static void blocking_client(void **state)
{
	struct bus_env *env = *state;
	struct call c = {.dir = env->dir, .result = 1};
	msgpack_unpacked reply;
	pthread_t thread;

	assert_int_equal(pst_ctl_call(env->dir, "pub", "\x80", 1, 100, &reply), -ECONNREFUSED);
	struct pst_bus *bus = start_bus(env, "pub", 0, 0);
	pthread_create(&thread, NULL, blocking_call, &c);
	RUN_UNTIL(env, __atomic_load_n(&c.result, __ATOMIC_ACQUIRE) != 1);
	pthread_join(thread, NULL);
	assert_int_equal(c.result, 0);
	assert_string_equal(c.stage, "pub");
	uint64_t begin = pst_now_mono_ns();
	assert_int_equal(
		pst_ctl_call(env->dir, "pub", "\x80", 1, 100, &reply), -ETIMEDOUT); /* the loop stands */
	assert_true(pst_now_mono_ns() - begin >= 100000000);
	pst_bus_free(bus);
}

/* ---- the real nng ---- */

static void nng_client_is_answered(void **state)
{
	struct bus_env *env = *state;
	struct pst_bus *bus = start_bus(env, "pub", 0, 0);
	struct pst_buf req = {0};
	nng_socket s;
	char url[160];

	snprintf(url, sizeof(url), "ipc://%s", env_path(env, "pub.ctl"));
	assert_int_equal(nng_req0_open(&s), 0);
	assert_int_equal(nng_dial(s, url, NULL, NNG_FLAG_NONBLOCK), 0);
	op_request(&req, "status");
	for (int i = 0; i < 20; i++) {
		uint64_t end = pst_now_mono_ns() + 5000000000ull;
		msgpack_unpacked value;
		nng_msg *msg;
		char text[16];
		int e;

		while ((e = nng_send(s, req.p, req.len, NNG_FLAG_NONBLOCK)) == NNG_EAGAIN &&
			pst_now_mono_ns() < end)
			pst_loop_turn(env->loop, 1);
		assert_int_equal(e, 0);
		while ((e = nng_recvmsg(s, &msg, NNG_FLAG_NONBLOCK)) == NNG_EAGAIN && pst_now_mono_ns() < end)
			pst_loop_turn(env->loop, 1);
		assert_int_equal(e, 0);
		assert_int_equal(ctl_unpack(nng_msg_body(msg), nng_msg_len(msg), &value), 0);
		assert_true(pst_ctl_text(&value.data, "stage", text, sizeof(text)));
		assert_string_equal(text, "pub");
		msgpack_unpacked_destroy(&value);
		nng_msg_free(msg);
	}
	nng_close(s);
	pst_buf_done(&req);
	pst_bus_free(bus);
}

static void *nng_server(void *arg)
{
	nng_socket s = *(nng_socket *)arg;
	nng_msg *msg;

	while (nng_recvmsg(s, &msg, 0) == 0) {
		nng_msg_clear(msg);
		nng_msg_append(msg, "\x81\xa2ok\xc3", 5);
		if (nng_sendmsg(s, msg, 0))
			nng_msg_free(msg);
	}
	return NULL;
}

static void nng_server_is_understood(void **state)
{
	struct bus_env *env = *state;
	struct answer a;
	nng_socket s;
	pthread_t thread;
	char url[160];

	snprintf(url, sizeof(url), "ipc://%s", env_path(env, "pub.ctl"));
	assert_int_equal(nng_rep0_open(&s), 0);
	assert_int_equal(nng_listen(s, url, NULL, 0), 0);
	pthread_create(&thread, NULL, nng_server, &s);
	for (int i = 0; i < 5; i++) {
		ask_op(env, "pub", "status", &a);
		assert_true(pst_ctl_get(&a.value.data, "ok")->via.boolean);
		answer_done(&a);
	}
	nng_close(s);
	pthread_join(thread, NULL);
}

/* ---- hostile clients ---- */

static void rubbish_is_answered_with_an_error(void **state)
{
	struct bus_env *env = *state;
	struct pst_bus *bus = start_bus(env, "pub", BUS_TOPIC(PROC), 0);
	uint64_t errors = bus->st.ctl_errors->value;
	static const struct {
		const char *bytes;
		size_t len;
	} bad[] = {{"", 0}, {"\xc1", 1}, {"\x80", 1}, {"\x81\xa2op", 4}, {"\x81\xa2op\x07", 5},
		{"\x91\xa2op", 4}, {"\x81\xa2op\xa4none", 9}, {"\x81\xa2op\xa6status\x00", 12},
		{"\xdf\xff\xff\xff\xff", 5}, {"\xdd\x7f\xff\xff\xff\x90", 6},
		{"\x91\x91\x91\x91\x91\x91\x91\x91\x91\x91\x91\x91\x90", 13},
		{"\x81\xa2op\xc6\xff\xff\xff\xf0", 9}};
	struct answer a;

	for (size_t i = 0; i < PST_ARRAY_SIZE(bad); i++) {
		ask_bytes(env, "pub", bad[i].bytes, bad[i].len, 5000, &a);
		assert_true(*error_of(&a));
		answer_done(&a);
	}
	assert_int_equal(bus->st.ctl_errors->value - errors, PST_ARRAY_SIZE(bad));
	static uint8_t big[CTL_REQUEST_MAX + CTL_BACKTRACE + 100] = {0x80};
	ask_bytes(env, "pub", big, CTL_REQUEST_MAX, 5000, &a);
	assert_true(*error_of(&a));
	answer_done(&a);
	ask_bytes(env, "pub", big, CTL_REQUEST_MAX + 1, 5000, &a);
	assert_string_equal(error_of(&a), "request too large");
	answer_done(&a);
	ask_bytes(env, "pub", big, sizeof(big), 5000, &a); /* not even read */
	assert_int_equal(a.error, -ECONNREFUSED);
	ask_op(env, "pub", "status", &a);
	assert_string_equal(error_of(&a), "");
	answer_done(&a);
	pst_bus_free(bus);
}

static void any_bytes_on_the_socket(void **state)
{
	struct bus_env *env = *state;
	struct pst_bus *bus = start_bus(env, "pub", BUS_TOPIC(PROC), 0);
	uint64_t errors = bus->st.ctl_errors->value;
	unsigned seed = 99;
	struct answer a;

	for (int i = 0; i < 600; i++) {
		uint8_t buf[300], body[128];
		size_t len = (size_t)(rand_r(&seed) % 200);
		PST_CLOSE int fd = raw_connect(env, "pub");

		for (size_t j = 0; j < sizeof(body); j++)
			body[j] = (uint8_t)rand_r(&seed);
		for (size_t j = 0; j < len; j++)
			buf[j] = (uint8_t)rand_r(&seed);
		if (i % 3) { /* the right form with any bytes in it, in part with one byte of the form wrong
			      */
			body[0] |= 0x80;
			len = raw_frame(buf, body, (size_t)(rand_r(&seed) % 128));
			if (i % 3 == 2)
				buf[rand_r(&seed) % (int)len] ^= (uint8_t)(1 + rand_r(&seed) % 255);
		}
		assert_true(send(fd, buf, len, MSG_NOSIGNAL) >= 0);
		for (int k = 0; k < 3; k++)
			pst_loop_turn(env->loop, 0);
	}
	run_for(env, 50);
	assert_true(bus->st.ctl_errors->value > errors + 300);
	assert_int_equal(bus->ctl->n_conns, 0); /* all of them are gone, and so are we */
	ask_op(env, "pub", "status", &a);
	assert_string_equal(error_of(&a), "");
	answer_done(&a);
	pst_bus_free(bus);
}

static void byte_by_byte(void **state)
{
	struct bus_env *env = *state;
	struct pst_bus *bus = start_bus(env, "pub", 0, 0);
	uint8_t buf[64], reply[65536];
	const uint8_t body[] = "\x80\x00\x00\x07\x81\xa2op\xa6status";
	size_t len = raw_frame(buf, body, sizeof(body) - 1), got = 0;
	PST_CLOSE int fd = raw_connect(env, "pub");

	for (size_t i = 0; i < len; i++) {
		assert_int_equal(send(fd, buf + i, 1, 0), 1);
		pst_loop_turn(env->loop, 0);
		pst_loop_turn(env->loop, 0);
	}
	uint64_t want = SP_GREETING + SP_HEAD;
	while (got < want) {
		pst_loop_turn(env->loop, 1);
		ssize_t n = recv(fd, reply + got, sizeof(reply) - got, MSG_DONTWAIT);
		got += n > 0 ? (size_t)n : 0;
		if (got > SP_GREETING + SP_HEAD)
			want = SP_GREETING + SP_HEAD + pst_load_be64(reply + SP_GREETING + 1);
	}
	assert_memory_equal(reply + SP_GREETING + SP_HEAD, body, 4); /* its number comes back */
	pst_bus_free(bus);
}

static void who_does_not_read_holds_up_only_itself(void **state)
{
	struct bus_env *env = *state;
	struct pst_bus *bus = start_bus(env, "pub", BUS_TOPIC(PROC), 0);
	const uint8_t body[] = "\x80\x00\x00\x07\x81\xa2op\xa6status";
	uint8_t buf[128];
	size_t len = raw_frame(buf, body, sizeof(body) - 1);
	struct answer a;
	PST_CLOSE int fd = raw_connect(env, "pub");

	assert_int_equal(send(fd, buf, len, 0), (ssize_t)len);
	size_t before = mallinfo2().uordblks;
	for (int i = 0; i < 5000; i++) { /* asks and asks */
		send(fd, buf + SP_GREETING, len - SP_GREETING, MSG_NOSIGNAL | MSG_DONTWAIT);
		pst_loop_turn(env->loop, 0);
	}
	assert_true(mallinfo2().uordblks < before + (1 << 20)); /* one answer waits, not thousands */
	ask_op(env, "pub", "status", &a);
	assert_string_equal(error_of(&a), "");
	answer_done(&a);
	pst_bus_free(bus);
}

static void idle_clients_make_room(void **state)
{
	struct bus_env *env = *state;
	struct pst_bus *bus = start_bus(env, "pub", 0, 0);
	uint64_t evicted = bus->st.ctl_refused->value;
	int fds[200];
	struct answer a;

	for (size_t i = 0; i < PST_ARRAY_SIZE(fds); i++) {
		fds[i] = raw_connect(env, "pub");
		pst_loop_turn(env->loop, 0);
	}
	ask_op(env, "pub", "status", &a);
	assert_string_equal(error_of(&a), "");
	answer_done(&a);
	assert_true(bus->st.ctl_refused->value - evicted >= 100);
	for (size_t i = 0; i < PST_ARRAY_SIZE(fds); i++)
		close(fds[i]);
	pst_bus_free(bus);
}

/* ---- hostile servers ---- */

static int raw_listen(struct bus_env *env)
{
	int fd = sp_bind(env_path(env, "pub.ctl"));

	assert_true(fd >= 0);
	assert_int_equal(listen(fd, 8), 0);
	return fd;
}

static void client_gives_up_in_time(void **state)
{
	struct bus_env *env = *state;
	struct answer a;

	ask_op(env, "pub", "status", &a); /* no one there */
	assert_int_equal(a.error, -ECONNREFUSED);
	int fd = raw_listen(env);
	ask_bytes(env, "pub", "\x80", 1, 50, &a); /* listens and says nothing */
	assert_int_equal(a.error, -ETIMEDOUT);
	close(fd);
	ask_op(env, "pub", "status", &a); /* the socket of a process that was killed */
	assert_int_equal(a.error, -ECONNREFUSED);
}

static void client_refuses_rubbish(void **state)
{
	struct bus_env *env = *state;
	int listener = raw_listen(env);
	unsigned seed = 5;
	struct answer a;

	for (int i = 0; i < 300; i++) {
		uint8_t buf[128], in[256];
		size_t len = 17 + (size_t)(rand_r(&seed) % 100);

		for (size_t j = 0; j < sizeof(buf); j++)
			buf[j] = (uint8_t)rand_r(&seed);
		a = (struct answer){0};
		assert_int_equal(
			pst_ctl_request(env->loop, env->dir, "pub", "\x80", 1, 200, on_answer, &a), 0);
		pst_loop_turn(env->loop, 0);
		PST_CLOSE int fd = accept(listener, NULL, NULL);
		assert_true(fd >= 0);
		pst_loop_turn(env->loop, 0);
		ssize_t n = recv(fd, in, sizeof(in), 0);
		if (i % 2 && n >= SP_GREETING + SP_HEAD + 5) { /* the right number, then anything */
			sp_greeting(buf, SP_REP);
			sp_head(buf + SP_GREETING, len - SP_GREETING - SP_HEAD);
			if (len >= SP_GREETING + SP_HEAD + 4)
				memcpy(buf + SP_GREETING + SP_HEAD, in + SP_GREETING + SP_HEAD, 4);
		}
		send(fd, buf, len, MSG_NOSIGNAL);
		if (i % 5 == 0)
			shutdown(fd, SHUT_RDWR);
		RUN_UNTIL(env, a.calls);
		assert_true(a.error == 0 || a.error == -EBADMSG || a.error == -EMSGSIZE ||
			    a.error == -ECONNREFUSED || a.error == -ETIMEDOUT);
		answer_done(&a);
	}
	close(listener);
}

/* ---- the kept connection of a subscriber ---- */

static void count_call(void *arg, int error, const void *reply, size_t len)
{
	int *calls = arg;

	(void)reply;
	(void)len;
	calls[error != 0]++;
}

static void kept_connection_survives_a_restart(void **state)
{
	struct bus_env *env = *state;
	struct ctl_client *client;
	struct pst_buf req = {0};
	int calls[2] = {0};

	op_request(&req, "status");
	assert_int_equal(
		ctl_client_new(env->loop, env_path(env, "pub.ctl"), &(struct sp_peer){0}, &client), 0);
	for (int i = 0; i < 5; i++) {
		struct pst_bus *bus = start_bus(env, "pub", 0, 0);

		for (int k = 1; k <= 3; k++) {
			assert_int_equal(
				ctl_client_request(client, req.p, req.len, 5000, count_call, calls), 0);
			assert_int_equal(
				ctl_client_request(client, req.p, req.len, 5000, count_call, calls), -EBUSY);
			RUN_UNTIL(env, calls[0] == 3 * i + k);
			assert_int_equal(bus->ctl->n_conns, 1);
		}
		pst_bus_free(bus);
	}
	assert_int_equal(calls[1], 0);
	assert_int_equal(ctl_client_request(client, req.p, req.len, 5000, count_call, calls), 0);
	RUN_UNTIL(env, calls[1] == 1);
	ctl_client_free(client);
	pst_buf_done(&req);
}

/* A stage that was taken over makes the socket of another one while that is away. */
static void socket_of_another_user_is_refused(void **state)
{
	struct bus_env *env = *state;
	struct sp_peer any = {0}, nobody = {.check = true, .uid = 65534},
		       other = {.check = true, .uid = 4711};
	char go;
	int pipes[2];

	if (geteuid())
		skip();
	assert_int_equal(pipe(pipes), 0);
	assert_int_equal(chmod(env->dir, 0777), 0);
	pid_t pid = fork();
	if (!pid) {
		int fd = setgid(65534) || setuid(65534) ? -1 : sp_bind(env_path(env, "pub.ctl"));

		if (fd < 0 || listen(fd, 8) < 0 || write(pipes[1], "g", 1) != 1)
			_exit(1);
		pause();
	}
	assert_int_equal(read(pipes[0], &go, 1), 1);
	int fd = sp_connect(env_path(env, "pub.ctl"), &any);
	assert_true(fd >= 0);
	close(fd);
	fd = sp_connect(env_path(env, "pub.ctl"), &nobody);
	assert_true(fd >= 0);
	close(fd);
	assert_int_equal(sp_connect(env_path(env, "pub.ctl"), &other), -EACCES);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	close(pipes[0]);
	close(pipes[1]);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, env_setup, env_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(status_tells_all),
		TEST(cursor_and_replay),
		TEST(ops_of_a_stage),
		TEST(blocking_client),
		TEST(nng_client_is_answered),
		TEST(nng_server_is_understood),
		TEST(rubbish_is_answered_with_an_error),
		TEST(any_bytes_on_the_socket),
		TEST(byte_by_byte),
		TEST(who_does_not_read_holds_up_only_itself),
		TEST(idle_clients_make_room),
		TEST(client_gives_up_in_time),
		TEST(client_refuses_rubbish),
		TEST(kept_connection_survives_a_restart),
		TEST(socket_of_another_user_is_refused),
	};

	pst_log_init("test", PST_LOG_TEXT, PST_LOG_ERROR);
	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
