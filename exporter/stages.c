// SPDX-License-Identifier: Apache-2.0
#include "exporter/stages.h"

#include <errno.h>

#include "exporter/stage_stats.h"
#include "exporter/value_json.h"
#include "proto/base/cleanup.h"
#include "proto/wire/ctl.h"
#include "proto/wire/json.h"

#define TIMEOUT_MS 2000
#define JSON_MAX   (1u << 20)

static const char *const names[] = {"collector", "enricher", "policyd", "exporter"};
#define STAGES PST_ARRAY_SIZE(names)

#define INPUTS_MAX 8
struct input {
	char publisher[32];
	bool connected, has_lag;
	uint64_t lag_ns;
};

struct stage {
	struct stages *owner;
	unsigned number;
	bool up, asked, waiting;
	int error; /* of the last question */
	uint64_t answered_ns;
	uint64_t uptime_ns, cpu_ns, rss_bytes;
	struct pst_buf labels; /* of the info metric */
	struct input inputs[INPUTS_MAX];
	unsigned n_inputs;
	struct stage_stats *stats;
	struct pst_buf json;
};

struct stages {
	struct stages_config config;
	struct pst_source *timer;
	struct pst_buf question;
	struct stage v[STAGES];
	unsigned waiting;
	bool closing; /* freed when the last answer has come */
};

static void release(struct stages *stages)
{
	for (unsigned i = 0; i < STAGES; i++) {
		struct stage *stage = &stages->v[i];

		pst_buf_done(&stage->labels);
		pst_buf_done(&stage->json);
		stage_stats_free(stage->stats);
	}
	pst_buf_done(&stages->question);
	free(stages);
}

/* ---- an answer ---- */

static bool text_of(const msgpack_object *v, const char **ret_text, uint32_t *ret_len)
{
	if (v && v->type == MSGPACK_OBJECT_STR) {
		*ret_text = v->via.str.ptr;
		*ret_len = v->via.str.size;
		return true;
	}
	if (v && v->type == MSGPACK_OBJECT_BIN) {
		*ret_text = v->via.bin.ptr;
		*ret_len = v->via.bin.size;
		return true;
	}
	return false;
}

static void add_label(struct stage *stage, const msgpack_object *reply, const char *key)
{
	const char *text = "";
	uint32_t len = 0;

	text_of(pst_ctl_get(reply, key), &text, &len);
	expo_label(&stage->labels, key, text, len, stage->owner->config.max_label_bytes);
}

/* A series may appear only once. */
static bool has_input(const struct stage *stage, const char *publisher, uint32_t len)
{
	for (unsigned i = 0; i < stage->n_inputs; i++)
		if (strlen(stage->inputs[i].publisher) == len &&
			!memcmp(stage->inputs[i].publisher, publisher, len))
			return true;
	return false;
}

static void take_inputs(struct stage *stage, const msgpack_object *inputs)
{
	stage->n_inputs = 0;
	if (!inputs || inputs->type != MSGPACK_OBJECT_MAP)
		return;
	for (uint32_t i = 0; i < inputs->via.map.size && stage->n_inputs < INPUTS_MAX; i++) {
		const msgpack_object_kv *kv = &inputs->via.map.ptr[i];
		struct input *input = &stage->inputs[stage->n_inputs];
		const msgpack_object *connected = pst_ctl_get(&kv->val, "connected");
		const char *text;
		uint32_t len;

		if (!text_of(&kv->key, &text, &len) || len >= sizeof(input->publisher) ||
			memchr(text, 0, len) || has_input(stage, text, len))
			continue;
		*input = (struct input){.connected = connected && connected->type == MSGPACK_OBJECT_BOOLEAN &&
						     connected->via.boolean};
		memcpy(input->publisher, text, len);
		input->has_lag = pst_ctl_u64(&kv->val, "lag_ns", &input->lag_ns);
		stage->n_inputs++;
	}
}

static void take_reply(struct stage *stage, const msgpack_object *reply)
{
	stage->uptime_ns = stage->cpu_ns = stage->rss_bytes = 0;
	pst_ctl_u64(reply, "uptime_ns", &stage->uptime_ns);
	pst_ctl_u64(reply, "cpu_ns", &stage->cpu_ns);
	pst_ctl_u64(reply, "rss_bytes", &stage->rss_bytes);
	stage->labels.len = 0;
	expo_label_text(&stage->labels, "stage", names[stage->number]);
	add_label(stage, reply, "version");
	add_label(stage, reply, "user");
	add_label(stage, reply, "sandbox");
	take_inputs(stage, pst_ctl_get(reply, "inputs"));
	stage_stats_free(stage->stats);
	stage->stats = stage_stats_parse(
		names[stage->number], pst_ctl_get(reply, "stats"), stage->owner->config.max_label_bytes);
	stage->json.len = 0;
	value_json(&stage->json, reply);
	if (stage->json.failed || stage->json.len > JSON_MAX) {
		pst_buf_done(&stage->json);
		pst_json_raw(&stage->json, "null");
	}
}

void stages_take(struct stages *stages, unsigned i, int error, const msgpack_object *reply)
{
	struct stage *stage = &stages->v[i];

	if (!error && (!reply || reply->type != MSGPACK_OBJECT_MAP || pst_ctl_get(reply, "error")))
		error = -EBADMSG;
	stage->asked = true;
	stage->error = error;
	stage->up = !error;
	if (error)
		return;
	stage->answered_ns = pst_now_boot_ns();
	take_reply(stage, reply);
}

static void on_reply(void *arg, int error, const msgpack_object *reply)
{
	struct stage *stage = arg;
	struct stages *stages = stage->owner;

	stage->waiting = false;
	stages->waiting--;
	if (!stages->closing)
		stages_take(stages, stage->number, error, reply);
	else if (!stages->waiting)
		release(stages);
}

/* ---- questions ---- */

static void on_timer(void *arg)
{
	struct stages *stages = arg;

	for (unsigned i = 0; i < STAGES; i++) {
		struct stage *stage = &stages->v[i];
		int r;

		if (stage->waiting)
			continue;
		stage->waiting = true;
		stages->waiting++;
		r = pst_ctl_request(stages->config.loop, stages->config.run_dir, names[i], stages->question.p,
			stages->question.len, TIMEOUT_MS, on_reply, stage);
		if (r < 0)
			on_reply(stage, r, NULL);
	}
}

int stages_new(const struct stages_config *config, struct stages **ret_stages)
{
	struct stages *stages = calloc(1, sizeof(*stages));
	int r;

	if (!stages)
		return -ENOMEM;
	stages->config = *config;
	for (unsigned i = 0; i < STAGES; i++) {
		stages->v[i].owner = stages;
		stages->v[i].number = i;
	}
	pst_mp_map(&stages->question, 1);
	pst_mp_str(&stages->question, "op");
	pst_mp_str(&stages->question, "status");
	r = stages->question.failed ? -ENOMEM
				    : pst_loop_timer(config->loop, on_timer, stages, &stages->timer);
	if (r < 0) {
		release(stages);
		return r;
	}
	*ret_stages = stages;
	return 0;
}

void stages_start(struct stages *stages)
{
	pst_timer_arm(stages->timer, 0, stages->config.interval_ns);
}

bool stages_waiting(const struct stages *stages)
{
	return stages->waiting;
}

void stages_free(struct stages *stages)
{
	if (!stages)
		return;
	pst_source_free(PST_TAKE_PTR(stages->timer));
	stages->closing = true;
	if (!stages->waiting)
		release(stages);
}

/* ---- exposition ---- */

static void stage_label(struct pst_buf *label, const struct stage *stage)
{
	label->len = 0;
	expo_label_text(label, "stage", names[stage->number]);
}

static void expose_up(const struct stages *stages, struct expo *expo, struct pst_buf *label)
{
	expo_family(expo, &metrics_table[M_STAGE_UP]);
	for (unsigned i = 0; i < STAGES; i++) {
		stage_label(label, &stages->v[i]);
		if (stages->v[i].asked && !label->failed)
			expo_u64(expo, (const char *)label->p, stages->v[i].up);
	}
	expo_family(expo, &metrics_table[M_STAGE]);
	for (unsigned i = 0; i < STAGES; i++)
		if (stages->v[i].up && !stages->v[i].labels.failed)
			expo_u64(expo, (const char *)stages->v[i].labels.p, 1);
}

static void expose_value(const struct stages *stages, struct expo *expo, struct pst_buf *label,
	enum metric_id id, size_t offset, bool ns)
{
	expo_family(expo, &metrics_table[id]);
	for (unsigned i = 0; i < STAGES; i++) {
		uint64_t value;

		stage_label(label, &stages->v[i]);
		if (!stages->v[i].up || label->failed)
			continue;
		memcpy(&value, (const char *)&stages->v[i] + offset, sizeof(value));
		if (ns)
			expo_ns(expo, (const char *)label->p, value);
		else
			expo_u64(expo, (const char *)label->p, value);
	}
}

static void expose_inputs(const struct stages *stages, struct expo *expo, struct pst_buf *label, bool lag)
{
	expo_family(expo, &metrics_table[lag ? M_STAGE_LAG : M_STAGE_INPUT]);
	for (unsigned i = 0; i < STAGES; i++) {
		const struct stage *stage = &stages->v[i];

		for (unsigned k = 0; stage->up && k < stage->n_inputs; k++) {
			stage_label(label, stage);
			expo_label(label, "publisher", stage->inputs[k].publisher,
				strlen(stage->inputs[k].publisher), 64);
			if (label->failed)
				return;
			if (lag && stage->inputs[k].has_lag)
				expo_ns(expo, (const char *)label->p, stage->inputs[k].lag_ns);
			else if (!lag)
				expo_u64(expo, (const char *)label->p, stage->inputs[k].connected);
		}
	}
}

void stages_expose(struct stages *stages, struct expo *expo)
{
	PST_CLEANUP(pst_buf_done) struct pst_buf label = {0};
	const struct stage_stats *stats[STAGES];
	unsigned n = 0;

	expose_up(stages, expo, &label);
	expose_value(stages, expo, &label, M_STAGE_UPTIME, offsetof(struct stage, uptime_ns), true);
	expose_value(stages, expo, &label, M_STAGE_CPU, offsetof(struct stage, cpu_ns), true);
	expose_value(stages, expo, &label, M_STAGE_RSS, offsetof(struct stage, rss_bytes), false);
	expose_inputs(stages, expo, &label, false);
	expose_inputs(stages, expo, &label, true);
	for (unsigned i = 0; i < STAGES; i++)
		if (stages->v[i].up && stages->v[i].stats)
			stats[n++] = stages->v[i].stats;
	stage_stats_expose(stats, n, expo);
}

void stages_json(const struct stages *stages, struct pst_buf *out)
{
	uint64_t now = pst_now_boot_ns();

	for (unsigned i = 0; i < STAGES; i++) {
		const struct stage *stage = &stages->v[i];

		pst_json_raw(out, i ? ",\"" : "\"");
		pst_json_raw(out, names[i]);
		pst_json_raw(out, stage->up ? "\":{\"up\":true" : "\":{\"up\":false");
		if (stage->asked && !stage->up) {
			const char *text = strerror(-stage->error);

			pst_json_raw(out, ",\"error\":");
			pst_json_str(out, text, strlen(text));
		}
		if (stage->answered_ns) {
			pst_json_raw(out, ",\"age_ns\":");
			pst_json_uint(out, now - stage->answered_ns);
			pst_json_raw(out, ",\"status\":");
			pst_mp_raw(out, stage->json.p, stage->json.len);
		}
		pst_json_raw(out, "}");
	}
}

void stages_missing(const struct stages *stages, char *buf, size_t size)
{
	size_t len = 0;

	buf[0] = 0;
	for (unsigned i = 0; i < STAGES && len < size; i++) {
		const struct stage *stage = &stages->v[i];

		if (!stage->up)
			len += (size_t)snprintf(buf + len, size - len, "%s%s: %s", len ? ", " : "", names[i],
				stage->asked ? strerror(-stage->error) : "not asked yet");
	}
}
