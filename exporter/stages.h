/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the other stages (and we) say about themselves: each is asked for its status from time to time; its
 * counters become metrics with the label `stage`, the whole answer is part of /api/v1/status. Answers come
 * from other processes and are not trusted.
 */
#ifndef EXPORTER_STAGES_H
#define EXPORTER_STAGES_H

#include <msgpack.h>

#include "exporter/expo.h"
#include "proto/base/loop.h"

struct stages;

struct stages_config {
	struct pst_loop *loop;
	const char *run_dir;
	uint64_t interval_ns;
	uint32_t max_label_bytes;
};

int stages_new(const struct stages_config *config, struct stages **ret_stages);
void stages_start(struct stages *stages);         /* the first question at once */
void stages_free(struct stages *stages);          /* NULL is fine; an answer under way is not waited for */
bool stages_waiting(const struct stages *stages); /* for an answer */
void stages_expose(struct stages *stages, struct expo *expo);
/* "collector":{"up":true,"error":"","age_ns":N,"status":{...}}, ... without the braces around. */
void stages_json(const struct stages *stages, struct pst_buf *out);
/* Stages that do not answer, as text; "" when all do. */
void stages_missing(const struct stages *stages, char *buf, size_t size);

/* Take an answer as if it had come from stage number @i (for tests). */
void stages_take(struct stages *stages, unsigned i, int error, const msgpack_object *reply);
#endif
