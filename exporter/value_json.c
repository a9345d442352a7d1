// SPDX-License-Identifier: Apache-2.0
#include "exporter/value_json.h"

#include <math.h>
#include <stdio.h>

#include "proto/wire/json.h"

#define DEPTH_MAX 8

static void json_map(struct pst_buf *out, const msgpack_object_map *map, unsigned depth);

static void json_float(struct pst_buf *out, double v)
{
	char text[32];

	if (!isfinite(v))
		return pst_json_raw(out, "null");
	snprintf(text, sizeof(text), "%.17g", v);
	pst_json_raw(out, text);
}

static void json_value(struct pst_buf *out, const msgpack_object *v, unsigned depth)
{
	switch (v->type) {
	case MSGPACK_OBJECT_BOOLEAN:
		return pst_json_raw(out, v->via.boolean ? "true" : "false");
	case MSGPACK_OBJECT_POSITIVE_INTEGER:
		return pst_json_uint(out, v->via.u64);
	case MSGPACK_OBJECT_NEGATIVE_INTEGER:
		return pst_json_int(out, v->via.i64);
	case MSGPACK_OBJECT_FLOAT32:
	case MSGPACK_OBJECT_FLOAT64:
		return json_float(out, v->via.f64);
	case MSGPACK_OBJECT_STR:
		return pst_json_str(out, v->via.str.ptr, v->via.str.size);
	case MSGPACK_OBJECT_BIN:
		return pst_json_str(out, v->via.bin.ptr, v->via.bin.size);
	case MSGPACK_OBJECT_ARRAY:
		if (depth >= DEPTH_MAX)
			break;
		pst_json_raw(out, "[");
		for (uint32_t i = 0; i < v->via.array.size; i++) {
			if (i)
				pst_json_raw(out, ",");
			json_value(out, &v->via.array.ptr[i], depth + 1);
		}
		return pst_json_raw(out, "]");
	case MSGPACK_OBJECT_MAP:
		if (depth >= DEPTH_MAX)
			break;
		return json_map(out, &v->via.map, depth + 1);
	default:
		break;
	}
	pst_json_raw(out, "null");
}

static void json_map(struct pst_buf *out, const msgpack_object_map *map, unsigned depth)
{
	bool first = true;

	pst_json_raw(out, "{");
	for (uint32_t i = 0; i < map->size; i++) {
		const msgpack_object *key = &map->ptr[i].key;

		if (key->type != MSGPACK_OBJECT_STR && key->type != MSGPACK_OBJECT_BIN)
			continue;
		if (!first)
			pst_json_raw(out, ",");
		first = false;
		json_value(out, key, depth);
		pst_json_raw(out, ":");
		json_value(out, &map->ptr[i].val, depth);
	}
	pst_json_raw(out, "}");
}

void value_json(struct pst_buf *out, const msgpack_object *value)
{
	json_value(out, value, 0);
}
